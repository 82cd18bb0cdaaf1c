/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots of disks: the overlay that the caller made becomes the top layer, all at one point in time. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

#define SIZE  (4 << 20)
#define NEEDS "snapshot_create snapshot_list"

static const char *
with_disk (struct tck *t)
{
  const char *vm = tck_name (t, "a");
  json_t *m = tck_machine (t, vm);
  (void) json_object_set_new (
      m, "disks", json_pack ("[{s:s,s:s,s:s}]", "name", "root", "path", tck_raw (t, "root.img", SIZE), "format", "raw"));
  (void) tck_define_as (t, vm, m);
  return vm;
}

static json_t *
create (struct tck *t, const char *vm, const char *name, const char *overlay, const char *backing)
{
  const char *path = tck_overlay (t, overlay, backing);
  return tck_ok (t, "snapshot_create", "{\"vm\":\"%s\",\"snapshot\":\"%s\",\"disks\":[{\"disk\":\"root\",\"path\":\"%s\"}]}", vm,
                 name, path);
}

static json_t *
snapshots (struct tck *t, const char *vm)
{
  return json_object_get (tck_ok (t, "snapshot_list", "{\"vm\":\"%s\"}", vm), "items");
}

static const char *
top (struct tck *t, const char *vm)
{
  const json_t *items = json_object_get (tck_ok (t, "block_info", "{\"vm\":\"%s\",\"disk\":\"root\"}", vm), "items");
  return tck_str (json_array_get (items, 0), "path");
}

static void
check_create (struct tck *t)
{
  const char *vm = with_disk (t);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  const json_t *made = create (t, vm, "s1", "s1.qcow2", tck_path (t, "root.img")), *list = snapshots (t, vm);
  TCK_CHECK (t, strcmp (tck_str (made, "snapshot"), "s1") == 0, "it answers %s", tck_dump (t, made));
  TCK_CHECK (t, json_array_size (list) == 1 && strcmp (tck_str (json_array_get (list, 0), "snapshot"), "s1") == 0,
             "snapshot_list says %s", tck_dump (t, list));
  TCK_CHECK (t, strcmp (tck_str (json_array_get (list, 0), "state"), "running") == 0, "the VM was running: %s", tck_dump (t, list));
  TCK_CHECK (t, tck_is (t, vm, "running"), "the VM is %s afterwards", tck_state (t, vm));
  if (tck_supported (t, "block_info"))
    TCK_CHECK (t, strcmp (top (t, vm), tck_path (t, "s1.qcow2")) == 0, "the top layer is '%s'", top (t, vm));
}

static void
check_order (struct tck *t)
{
  const char *vm = with_disk (t);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  (void) create (t, vm, "z-first", "s1.qcow2", tck_path (t, "root.img"));
  (void) create (t, vm, "a-second", "s2.qcow2", tck_path (t, "s1.qcow2"));
  const json_t *list = snapshots (t, vm);
  TCK_CHECK (t, json_array_size (list) == 2 && strcmp (tck_str (json_array_get (list, 0), "snapshot"), "z-first") == 0,
             "oldest first: %s", tck_dump (t, list));
  TCK_CHECK (t, strcmp (tck_str (json_array_get (list, 1), "parent"), "z-first") == 0, "the second one's parent is the first: %s",
             tck_dump (t, list));
}

static void
check_refused (struct tck *t)
{
  const char *vm = with_disk (t), *path = tck_overlay (t, "s1.qcow2", tck_path (t, "root.img"));
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  struct tck_answer a
      = tck_call (t, "snapshot_create", "{\"vm\":\"%s\",\"snapshot\":\"s\",\"disks\":[{\"disk\":\"root\",\"path\":\"%s\"}]}", vm,
                  tck_path (t, "missing.qcow2"));
  TCK_CHECK (t, a.code < 0, "an overlay that does not exist was taken");
  (void) tck_refused (t, HV_E_NOT_FOUND, "snapshot_create",
                      "{\"vm\":\"%s\",\"snapshot\":\"s\",\"disks\":[{\"disk\":\"none\",\"path\":\"%s\"}]}", vm, path);
  TCK_CHECK (t, json_array_size (snapshots (t, vm)) == 0, "a snapshot that was refused is listed: %s",
             tck_dump (t, snapshots (t, vm)));
  (void) tck_ok (t, "snapshot_create", "{\"vm\":\"%s\",\"snapshot\":\"s\",\"disks\":[{\"disk\":\"root\",\"path\":\"%s\"}]}", vm,
                 path);
  const char *second = tck_overlay (t, "s2.qcow2", path);
  (void) tck_refused (t, HV_E_ALREADY_EXISTS, "snapshot_create",
                      "{\"vm\":\"%s\",\"snapshot\":\"s\",\"disks\":[{\"disk\":\"root\",\"path\":\"%s\"}]}", vm, second);
}

static void
check_restart (struct tck *t)
{
  const char *vm = with_disk (t);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  (void) create (t, vm, "s1", "s1.qcow2", tck_path (t, "root.img"));
  hv_fake_restart (t->host);
  if (!tck_wait_state (t, vm, "running", t->options->settle_ms))
    tck_fail (t, "after a restart of the daemon it is %s", tck_state (t, vm));
  TCK_CHECK (t, json_array_size (snapshots (t, vm)) == 1, "after a restart of the daemon there is no snapshot");
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  if (tck_supported (t, "block_info"))
    TCK_CHECK (t, strcmp (top (t, vm), tck_path (t, "s1.qcow2")) == 0,
               "the next start is from '%s': what was written since is lost", top (t, vm));
}

static void
check_delete (struct tck *t)
{
  const char *vm = with_disk (t);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  (void) create (t, vm, "s1", "s1.qcow2", tck_path (t, "root.img"));
  (void) tck_refused (t, HV_E_NOT_FOUND, "snapshot_delete", "{\"vm\":\"%s\",\"snapshot\":\"none\"}", vm);
  (void) tck_ok (t, "snapshot_delete", "{\"vm\":\"%s\",\"snapshot\":\"s1\"}", vm);
  TCK_CHECK (t, json_array_size (snapshots (t, vm)) == 0, "it is still listed");
  TCK_CHECK (t, tck_is (t, vm, "running"), "the VM is %s afterwards", tck_state (t, vm));
}

static void
check_revert (struct tck *t)
{
  const char *vm = with_disk (t);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  (void) create (t, vm, "s1", "s1.qcow2", tck_path (t, "root.img"));
  (void) tck_refused (t, HV_E_NOT_FOUND, "snapshot_revert", "{\"vm\":\"%s\",\"snapshot\":\"none\"}", vm);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  (void) tck_ok (t, "snapshot_revert", "{\"vm\":\"%s\",\"snapshot\":\"s1\"}", vm);
  const char *state = tck_settled (t, vm);
  TCK_CHECK (t, strcmp (state, "stopped") == 0 || strcmp (state, "running") == 0, "afterwards the VM is %s", state);
  if (strcmp (state, "stopped") == 0)
    (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
}

const struct tck_check tck_snapshot_checks[] = {
  { "snapshots.create", "snapshot_create makes the overlay the top layer under a running guest, and is listed", NEEDS,
    check_create },
  { "snapshots.order", "snapshot_list: oldest first, with parents", NEEDS, check_order },
  { "snapshots.refused", "an unknown disk, a missing overlay, a name that is taken: refused, nothing changed", NEEDS,
    check_refused },
  { "snapshots.restart", "snapshots and the new layer survive restarts of daemon and machine", NEEDS, check_restart },
  { "snapshots.delete", "snapshot_delete under a running guest; unknown is NOT_FOUND", NEEDS " snapshot_delete", check_delete },
  { "snapshots.revert", "snapshot_revert of a stopped VM, which then starts; unknown is NOT_FOUND", NEEDS " snapshot_revert",
    check_revert },
  { NULL, NULL, NULL, NULL },
};
