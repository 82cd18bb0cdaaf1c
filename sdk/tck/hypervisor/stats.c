/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures: the groups that were asked for, with their age, and the truth about what is missing. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

static const char *const groups[] = { "cpu", "memory", "block", "net" };

static json_t *
stats_of (struct tck *t, const char *vm, const char *more)
{
  json_t *items = json_object_get (tck_ok (t, "stats", "{\"vm\":\"%s\"%s}", vm, more), "items");
  TCK_CHECK (t, json_array_size (items) == 1, "one VM was asked for, %zu are answered", json_array_size (items));
  TCK_CHECK (t, strcmp (tck_str (json_array_get (items, 0), "vm"), vm) == 0, "another VM is answered");
  return json_array_get (items, 0);
}

static int
is_missing (const json_t *row, const char *group)
{
  size_t i;
  json_t *m;
  json_array_foreach (json_object_get (row, "missing"), i, m) if (strcmp (json_string_value (m), group) == 0) return 1;
  return 0;
}

static void
check_groups (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  const json_t *row = stats_of (t, vm, "");
  TCK_CHECK (t, strcmp (tck_str (row, "state"), "running") == 0, "state is '%s'", tck_str (row, "state"));
  TCK_CHECK (t, tck_int (row, "age_ms") >= 0, "it has no age");
  for (size_t i = 0; i < 4; i++)
    TCK_CHECK (t, (json_object_get (row, groups[i]) != NULL) != is_missing (row, groups[i]),
               "%s is neither there nor missing, or both: %s", groups[i], tck_dump (t, row));
  TCK_CHECK (t, json_object_get (row, "cpu") == NULL || tck_int (json_object_get (row, "cpu"), "total_ns") >= 0, "cpu is %s",
             tck_dump (t, json_object_get (row, "cpu")));
}

static void
check_only (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  for (size_t i = 0; i < 4; i++) {
    const json_t *row = stats_of (t, vm, tck_text (t, ",\"groups\":[\"%s\"]", groups[i]));
    for (size_t k = 0; k < 4; k++)
      TCK_CHECK (t, k == i || (json_object_get (row, groups[k]) == NULL && !is_missing (row, groups[k])),
                 "only %s was asked for, and %s is answered: %s", groups[i], groups[k], tck_dump (t, row));
  }
}

static void
check_unknown_group (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  const char *text = tck_refused (t, HV_E_INVALID_ARGUMENT, "stats", "{\"vm\":\"%s\",\"groups\":[\"cpu\",\"colour\"]}", vm);
  TCK_CHECK (t, strstr (text, "colour") != NULL, "the refusal does not name it: %s", text);
  (void) tck_refused (t, HV_E_INVALID_ARGUMENT, "stats", "{\"groups\":[\"colour\"]}");
}

static void
check_all (struct tck *t)
{
  size_t i, found = 0;
  json_t *row;
  const char *before = "";
  (void) tck_define (t, "b");
  (void) tck_define (t, "c");
  (void) tck_define (t, "a");
  json_array_foreach (json_object_get (tck_ok (t, "stats", "{}"), "items"), i, row)
  {
    TCK_CHECK (t, strcmp (before, tck_str (row, "vm")) < 0, "'%s' comes after '%s'", tck_str (row, "vm"), before);
    before = tck_str (row, "vm");
    found += strncmp (before, TCK_PREFIX, strlen (TCK_PREFIX)) == 0;
  }
  TCK_CHECK (t, found == 3, "three VMs were defined, %zu are answered", found);
}

static void
check_stopped (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  const json_t *row = stats_of (t, vm, "");
  TCK_CHECK (t, strcmp (tck_str (row, "state"), "stopped") == 0, "state is '%s'", tck_str (row, "state"));
  TCK_CHECK (t, json_object_get (row, "cpu") == NULL, "a VM without a process uses a processor: %s", tck_dump (t, row));
}

static void
check_memory (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  const json_t *m = tck_ok (t, "memory_stats", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, tck_int (m, "size_bytes") == tck_int (tck_get (t, vm), "memory_bytes"), "size_bytes is %lld, the machine has %lld",
             (long long) tck_int (m, "size_bytes"), (long long) tck_int (tck_get (t, vm), "memory_bytes"));
  TCK_CHECK (t, tck_int (m, "age_ms") >= 0, "it has no age");
}

/* A machine with two disks of its own. */
static const char *
with_disks (struct tck *t)
{
  const char *vm = tck_name (t, "a");
  json_t *m = tck_machine (t, vm);
  (void) json_object_set_new (m, "disks",
                              json_pack ("[{s:s,s:s,s:s},{s:s,s:s,s:s}]", "name", "one", "path", tck_raw (t, "1.img", 1 << 20),
                                         "format", "raw", "name", "two", "path", tck_raw (t, "2.img", 2 << 20), "format", "raw"));
  (void) tck_define_as (t, vm, m);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  return vm;
}

static json_t *
rows (struct tck *t, const char *verb, const char *vm, const char *more)
{
  return json_object_get (tck_ok (t, verb, "{\"vm\":\"%s\"%s}", vm, more), "items");
}

static void
block (struct tck *t, const char *verb)
{
  const char *vm = with_disks (t);
  const json_t *all = rows (t, verb, vm, ""), *one = rows (t, verb, vm, ",\"disk\":\"two\"");
  TCK_CHECK (t,
             json_array_size (all) == 2 && strcmp (tck_str (json_array_get (all, 0), "disk"), "one") == 0
                 && strcmp (tck_str (json_array_get (all, 1), "disk"), "two") == 0,
             "the machine has the disks one and two: %s", tck_dump (t, all));
  TCK_CHECK (t, json_array_size (one) == 1 && strcmp (tck_str (json_array_get (one, 0), "disk"), "two") == 0,
             "only disk two was asked for: %s", tck_dump (t, one));
  (void) tck_refused (t, HV_E_NOT_FOUND, verb, "{\"vm\":\"%s\",\"disk\":\"none\"}", vm);
}

static void
check_block_info (struct tck *t)
{
  block (t, "block_info");
  const json_t *two = json_array_get (rows (t, "block_info", tck_name (t, "a"), ",\"disk\":\"two\""), 0);
  TCK_CHECK (t, strcmp (tck_str (two, "path"), tck_path (t, "2.img")) == 0, "path is '%s'", tck_str (two, "path"));
  TCK_CHECK (t, strcmp (tck_str (two, "format"), "raw") == 0, "format is '%s'", tck_str (two, "format"));
  TCK_CHECK (t, tck_int (two, "virtual_size_bytes") == 2 << 20, "virtual_size_bytes is %lld",
             (long long) tck_int (two, "virtual_size_bytes"));
  TCK_CHECK (t, tck_int (two, "layers") <= 1, "layers is %lld", (long long) tck_int (two, "layers"));
}

static void
check_block_stats (struct tck *t)
{
  block (t, "block_stats");
}

static void
check_block_errors (struct tck *t)
{
  const char *vm = with_disks (t);
  const json_t *all = rows (t, "block_errors", vm, ""), *one = rows (t, "block_errors", vm, ",\"disk\":\"two\"");
  TCK_CHECK (t, json_array_size (all) == 0, "nothing failed: %s", tck_dump (t, all));
  TCK_CHECK (t, json_array_size (one) == 1 && strcmp (tck_str (json_array_get (one, 0), "fault"), "ok") == 0,
             "a disk that was asked for is answered, with the fault 'ok': %s", tck_dump (t, one));
  (void) tck_refused (t, HV_E_NOT_FOUND, "block_errors", "{\"vm\":\"%s\",\"disk\":\"none\"}", vm);
}

static void
check_interfaces (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  size_t nics = json_array_size (json_object_get (t->options->machine, "nics"));
  const json_t *all = rows (t, "interface_stats", vm, "");
  TCK_CHECK (t, json_array_size (all) == nics, "the machine has %zu network cards: %s", nics, tck_dump (t, all));
  (void) tck_refused (t, HV_E_NOT_FOUND, "interface_stats", "{\"vm\":\"%s\",\"nic\":\"none\"}", vm);
}

const struct tck_check tck_stats_checks[] = {
  { "stats.groups", "stats answers every group, or lists it as missing; with an age", NULL, check_groups },
  { "stats.only", "stats answers the groups that were asked for, and no other", NULL, check_only },
  { "stats.unknown-group", "a group that does not exist is INVALID_ARGUMENT, naming it", NULL, check_unknown_group },
  { "stats.all", "stats without a VM answers all of them, by name", NULL, check_all },
  { "stats.stopped", "a VM without a process has a state and no figures", NULL, check_stopped },
  { "stats.memory", "memory_stats says what the machine was given, with an age", "memory_stats", check_memory },
  { "stats.block-info", "block_info: the disks in the guest's order, or the one asked for; unknown is NOT_FOUND", "block_info",
    check_block_info },
  { "stats.block-stats", "block_stats: the disks in the guest's order, or the one asked for; unknown is NOT_FOUND", "block_stats",
    check_block_stats },
  { "stats.block-errors", "block_errors: disks that failed, or the one asked for; unknown is NOT_FOUND", "block_errors",
    check_block_errors },
  { "stats.interfaces", "interface_stats: the network cards; unknown is NOT_FOUND", "interface_stats", check_interfaces },
  { NULL, NULL, NULL, NULL },
};
