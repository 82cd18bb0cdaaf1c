/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checks of hypervisor/1, group by group, and what is done around each. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

static int
provides (const struct hv_plugin *p)
{
  for (const struct hv_iface *const *i = p->provides; i != NULL && *i != NULL; i++)
    if (strcmp ((*i)->name, hv_iface_hypervisor.name) == 0 && (*i)->major == hv_iface_hypervisor.major)
      return 1;
  return 0;
}

static void
prepare (struct tck *t)
{
  TCK_CHECK (t, provides (t->plugin), "plugin '%s' does not provide hypervisor/1", t->plugin->name);
  size_t i;
  tck_disk_provider (t);
  json_t *row, *probe = tck_ok (t, "probe", "{}");
  t->verbs = tck_keep (t, json_object ());
  json_array_foreach (json_object_get (probe, "verbs"), i, row) (void) json_object_set (t->verbs, tck_str (row, "verb"), row);
}

static void
forget (struct tck *t, const char *vm)
{
  (void) tck_call (t, "stop", "{\"vm\":\"%s\"}", vm);
  (void) tck_call (t, "undefine", "{\"vm\":\"%s\"}", vm);
}

static void
clean (struct tck *t)
{
  size_t i;
  json_t *row;
  struct tck_answer a = tck_call (t, "list", "{\"limit\":5000}");
  json_array_foreach (json_object_get (a.result, "items"), i,
                      row) if (strncmp (tck_str (row, "vm"), TCK_PREFIX, strlen (TCK_PREFIX)) == 0) forget (t, tck_str (row, "vm"));
}

static const struct tck_check *const groups[]
    = { tck_probe_checks,    tck_define_checks,   tck_list_checks,  tck_walk_checks,      tck_event_checks, tck_lane_checks,
        tck_deadline_checks, tck_shutdown_checks, tck_crash_checks, tck_restart_checks,   tck_stuck_checks, tck_device_checks,
        tck_stats_checks,    tck_snapshot_checks, tck_state_checks, tck_migration_checks, tck_guest_checks, NULL };

const struct tck_suite tck_hypervisor = { .name = "hypervisor", .groups = groups, .prepare = prepare, .clean = clean };
