/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The libvirt backend. This file is its table, its beginning and its end. */
#include "libvirt.h"
#include <string.h>

const char *const lv_accel_words[] = { "auto", "kvm", "tcg", NULL };
HV_RECORD_TABLE (lv_config, LV_CONFIG, "configuration of the libvirt backend");

#define TICK_MS 250u

/* Everything that happens on the clock, for all VMs, in one timer. */
static void
lv_tick (void *self, void *arg)
{
  struct lv *lv = arg;
  (void) self;
  for (uint32_t i = 0; i < lv->vm_count; i++) {
    if (!lv->vms[i]->daemon->connected)
      continue;
    lv_vm_check_overdue (lv->vms[i]);
    lv_vm_heartbeat (lv->vms[i]);
  }
}

static void
lv_stop_instance (void *self)
{
  struct lv *lv = self;
  if (lv == NULL)
    return;
  lv->host->api->timer_free (lv->host, lv->tick);
  while (lv->vm_count > 0) {
    lv_console_close (lv->vms[lv->vm_count - 1]);
    lv_vm_remove (lv->vms[lv->vm_count - 1]);
  }
  free (lv->vms);
  lv_daemons_free (lv);
  free (lv->kvm_reason);
  if (lv->entered)
    lv_eventloop_leave ();
  lv->host->api->cond_free (lv->host, lv->changed);
  free (lv);
}

/* The records say which namespaces machines are in; so they are read before any libvirt is spoken with. */
static int
start_parts (struct lv *lv, struct hv_err *err)
{
  struct hv_host *h = lv->host;
  lv->changed = h->api->cond_new (h);
  lv->tick = h->api->timer_new (h, lv_tick, lv);
  if (lv->changed == NULL || lv->tick == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = lv_eventloop_enter (err);
  if (r < 0)
    return r;
  lv->entered = 1;
  r = lv_daemon_first (lv, err);
  if (r == 0)
    r = lv_record_load (lv, err);
  if (r == 0)
    lv_daemons_start (lv);
  return r;
}

/* A libvirt that is not there now may come: its VMs are unreachable until then, and the instance runs. */
static int
lv_start_instance (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  struct lv *lv = calloc (1, sizeof *lv);
  if (lv == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret_self = lv;
  *lv = (struct lv){ .host = host, .config = config };
  int r = start_parts (lv, err);
  if (r < 0)
    return r;
  host->api->timer_set (host, lv->tick, TICK_MS, TICK_MS);
  (void) lv_wait_connected (lv->daemons[0], HV_HAS (lv->config, spawn) ? lv->config->spawn.ready_ms : lv->config->adopt_ms);
  return 0;
}

const struct hv_plugin lv_plugin = {
  HV_PLUGIN_HEAD,
  .name = "libvirt",
  .version = HV_VERSION,
  .summary = "virtual machines on libvirt",
  .license = "LGPL-2.1-or-later",
  .provides = (const struct hv_iface *const[]){ &hv_iface_hypervisor, NULL },
  .config = &lv_config_record,
  /* clang-format off */
  .methods = (const struct hv_method *const[]){
    HV_IMPLEMENT (hv_hypervisor_probe, lv_probe),
    HV_IMPLEMENT (hv_hypervisor_define, lv_define),
    HV_IMPLEMENT (hv_hypervisor_start, lv_start),
    HV_IMPLEMENT (hv_hypervisor_shutdown, lv_shutdown),
    HV_IMPLEMENT (hv_hypervisor_stop, lv_stop),
    HV_IMPLEMENT (hv_hypervisor_undefine, lv_undefine),
    HV_IMPLEMENT (hv_hypervisor_list, lv_list),
    HV_IMPLEMENT (hv_hypervisor_get, lv_get),
    HV_IMPLEMENT (hv_hypervisor_native, lv_native),
    HV_IMPLEMENT (hv_hypervisor_adopt, lv_adopt),
    HV_IMPLEMENT (hv_hypervisor_stats, lv_stats),
    HV_IMPLEMENT (hv_hypervisor_agent_command, lv_agent_command),
    HV_IMPLEMENT (hv_hypervisor_pause, lv_pause),
    HV_IMPLEMENT (hv_hypervisor_resume, lv_resume),
    HV_IMPLEMENT (hv_hypervisor_reset, lv_reset),
    HV_IMPLEMENT (hv_hypervisor_reboot, lv_reboot),
    HV_IMPLEMENT (hv_hypervisor_block_info, lv_block_info),
    HV_IMPLEMENT (hv_hypervisor_block_stats, lv_block_stats),
    HV_IMPLEMENT (hv_hypervisor_block_errors, lv_block_errors),
    HV_IMPLEMENT (hv_hypervisor_interface_stats, lv_interface_stats),
    HV_IMPLEMENT (hv_hypervisor_memory_stats, lv_memory_stats),
    HV_IMPLEMENT (hv_hypervisor_attach, lv_attach),
    HV_IMPLEMENT (hv_hypervisor_detach, lv_detach),
    HV_IMPLEMENT (hv_hypervisor_resize_block, lv_resize_block),
    HV_IMPLEMENT (hv_hypervisor_set_memory, lv_set_memory),
    HV_IMPLEMENT (hv_hypervisor_set_vcpus, lv_set_vcpus),
    HV_IMPLEMENT (hv_hypervisor_snapshot_create, lv_snapshot_create),
    HV_IMPLEMENT (hv_hypervisor_snapshot_list, lv_snapshot_list),
    HV_IMPLEMENT (hv_hypervisor_snapshot_delete, lv_snapshot_delete),
    HV_IMPLEMENT (hv_hypervisor_block_commit, lv_block_commit),
    HV_IMPLEMENT (hv_hypervisor_block_pull, lv_block_pull),
    HV_IMPLEMENT (hv_hypervisor_block_mirror, lv_block_mirror),
    HV_IMPLEMENT (hv_hypervisor_backup_begin, lv_backup_begin),
    HV_IMPLEMENT (hv_hypervisor_backup_end, lv_backup_end),
    HV_IMPLEMENT (hv_hypervisor_save, lv_save),
    HV_IMPLEMENT (hv_hypervisor_restore, lv_restore),
    HV_IMPLEMENT (hv_hypervisor_migrate, lv_migrate),
    HV_IMPLEMENT (hv_hypervisor_migrate_in, lv_migrate_in),
    HV_IMPLEMENT (hv_hypervisor_dump_memory, lv_dump_memory),
    HV_IMPLEMENT (hv_hypervisor_logs, lv_logs),
    HV_IMPLEMENT (hv_hypervisor_console, lv_console),
    HV_IMPLEMENT (hv_hypervisor_display, lv_display),
    HV_IMPLEMENT (hv_hypervisor_screenshot, lv_screenshot),
    HV_IMPLEMENT (hv_hypervisor_send_key, lv_send_key),
    #define LV_LACKS(verb_, why_) HV_IMPLEMENT (hv_hypervisor_##verb_, lv_lacking_##verb_),
#include "lacks.h"
#undef LV_LACKS
    NULL },
  /* clang-format on */
  .start = lv_start_instance,
  .stop = lv_stop_instance,
};
