/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots: overlays put on top of the disks, all at one point in time. From then on the VM's definition names the
 * overlays: what the guest writes is in them, whether or not anybody was told. */
#include "qmp.h"
#include <inttypes.h>
#include <string.h>

#define FREEZE_MS 10000u

/* --- what is asked for --- */

static int
disk_check (const struct hv_machine *live, const struct hv_snapshot_disk *want, uint32_t at, struct hv_err *err)
{
  const struct hv_machine_disk *d = qmp_machine_disk (live, want->disk);
  if (d == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "disks[%" PRIu32 "]: VM '%s' has no disk '%s'", at, live->name, want->disk);
  if (want->format != HV_DISK_QCOW2)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "disks[%" PRIu32 "].format: an overlay is qcow2", at);
  if (d->read_only || d->media == HV_MEDIA_CDROM)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "disks[%" PRIu32 "]: '%s' is read-only and never changes", at, d->name);
  if (d->backing.count >= 16)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "disks[%" PRIu32 "]: '%s' has %u layers; delete a snapshot first", at, d->name,
                       d->backing.count + 1);
  for (uint32_t i = 0; i < live->disks.count; i++)
    if (qmp_chain_depth (&live->disks.items[i], want->path) >= 0)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "disks[%" PRIu32 "].path '%s' is in use by disk '%s'", at, want->path,
                         live->disks.items[i].name);
  return 0;
}

static int
create_check (struct qmp_vm *vm, const struct hv_snapshot_create_args *a, const struct hv_machine *live, struct hv_err *err)
{
  struct qmp_snapshots all;
  int r = qmp_snapshots_get (vm, &all, err);
  if (r == 0 && qmp_snapshot_find (&all, a->snapshot) != NULL)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "VM '%s' has a snapshot '%s'", vm->name, a->snapshot);
  for (uint32_t i = 0; r == 0 && i < a->disks.count; i++) {
    r = disk_check (live, &a->disks.items[i], i, err);
    for (uint32_t k = 0; r == 0 && k < i; k++)
      if (strcmp (a->disks.items[i].disk, a->disks.items[k].disk) == 0
          || strcmp (a->disks.items[i].path, a->disks.items[k].path) == 0)
        r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "disks[%" PRIu32 "]: the same disk or path twice", i);
  }
  return r;
}

/* An overlay of another size would change the disk under the guest. */
static int
overlay_size_check (struct qmp_vm *vm, const struct qmp_snapshot_disk *d, struct hv_err *err)
{
  uint64_t below = 0, size = 0;
  int r = qmp_files_size (vm->qmp, d->layers.items[0].path, d->layers.items[0].format, &below, err);
  if (r == 0)
    r = qmp_files_size (vm->qmp, d->path, d->format, &size, err);
  if (r < 0 || size == below)
    return r;
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "overlay '%s' has %" PRIu64 " bytes and disk '%s' has %" PRIu64, d->path, size,
                     d->disk, below);
}

/* The overlays as disks of a machine of their own: to look at the files. */
static int
overlays_probe (struct qmp_vm *vm, const struct qmp_snapshot *s, uint8_t *direct, struct hv_err *err)
{
  struct hv_machine m = { .name = vm->name };
  m.disks.items = hv_alloc (vm->qmp->host, (uint64_t) s->disks.count * sizeof *m.disks.items);
  if (m.disks.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (; m.disks.count < s->disks.count; m.disks.count++) {
    m.disks.items[m.disks.count].name = s->disks.items[m.disks.count].disk;
    qmp_chain_set (&m.disks.items[m.disks.count], s->disks.items[m.disks.count].path, HV_DISK_QCOW2, NULL, 0);
  }
  int r = qmp_files_probe (vm->qmp, &m, direct, 1, err);
  for (uint32_t i = 0; r == 0 && i < s->disks.count; i++)
    r = overlay_size_check (vm, &s->disks.items[i], err);
  return r;
}

static int
snapshot_make (struct qmp_vm *vm, const struct hv_snapshot_create_args *a, const struct hv_machine *live, struct qmp_snapshot *ret,
               struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  struct qmp_snapshots all;
  int r = qmp_snapshots_get (vm, &all, err);
  if (r < 0)
    return r;
  *ret = (struct qmp_snapshot){ .name = a->snapshot, .created_ms = qmp_wall_ms (), .state = vm->state };
  if (HV_HAS (&all, current))
    HV_SET (ret, parent, all.current);
  if (HV_HAS (a, memory_path))
    HV_SET (ret, memory_path, a->memory_path);
  ret->disks.items = hv_alloc (h, (uint64_t) a->disks.count * sizeof *ret->disks.items);
  if (ret->disks.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (; ret->disks.count < a->disks.count; ret->disks.count++) {
    const struct hv_snapshot_disk *want = &a->disks.items[ret->disks.count];
    struct qmp_snapshot_disk *d = &ret->disks.items[ret->disks.count];
    d->disk = want->disk;
    d->path = want->path;
    d->format = want->format;
    if (qmp_chain_layers (h, qmp_machine_disk (live, want->disk), &d->layers.items, &d->layers.count) < 0)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  return 0;
}

/* --- what the record says afterwards --- */

static int
machine_push (struct hv_machine *m, const struct qmp_snapshot *s)
{
  int changed = 0;
  for (uint32_t i = 0; i < s->disks.count; i++) {
    const struct qmp_snapshot_disk *sd = &s->disks.items[i];
    struct hv_machine_disk *d = (struct hv_machine_disk *) (uintptr_t) qmp_machine_disk (m, sd->disk);
    if (d == NULL || strcmp (d->path, sd->layers.items[0].path) != 0)
      continue; /* plugged in live only, or there already */
    qmp_chain_set (d, sd->path, sd->format, sd->layers.items, sd->layers.count);
    changed = 1;
  }
  return changed;
}

static int
snapshots_push (struct qmp_vm *vm, const struct qmp_snapshot *s, struct hv_err *err)
{
  struct qmp_snapshots all;
  int r = qmp_snapshots_get (vm, &all, err);
  if (r < 0 || qmp_snapshot_find (&all, s->name) != NULL)
    return r;
  struct qmp_snapshot *items = hv_alloc (vm->qmp->host, ((uint64_t) all.items.count + 1) * sizeof *items);
  if (items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (all.items.count > 0)
    memcpy (items, all.items.items, all.items.count * sizeof *items);
  items[all.items.count++] = *s;
  all.items.items = items;
  HV_SET (&all, current, s->name);
  return qmp_snapshots_set (vm, &all, err);
}

static int
snapshot_commit (struct qmp_vm *vm, const struct qmp_snapshot *s, struct hv_err *err)
{
  struct hv_machine m, live;
  int r = qmp_vm_machine (vm, &m, err);
  if (r == 0)
    r = qmp_vm_live (vm, &live, err);
  if (r == 0 && vm->live.bytes != NULL && machine_push (&live, s))
    r = qmp_vm_set_live (vm, &live, err);
  if (r == 0 && machine_push (&m, s))
    r = qmp_vm_set_machine (vm, &m, err);
  if (r == 0)
    r = snapshots_push (vm, s, err);
  return r == 0 ? qmp_pending_end (vm, err) : r;
}

/* --- doing it --- */

static int
overlay_add (struct qmp_vm *vm, const struct qmp_snapshot_disk *d, int direct, struct hv_err *err)
{
  struct qmp_layer l = { .disk = d->disk, .path = d->path, .format = d->format, .direct = direct };
  HV_CLEAN (json) json_t *file = qmp_node_file (&l);
  HV_CLEAN (json) json_t *format = qmp_node_format (&l, NULL);
  if (file == NULL || format == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = qmp_control_change (vm, "blockdev-add", file, err);
  return r == 0 ? qmp_control_change (vm, "blockdev-add", format, err) : r;
}

static void
overlays_drop (struct qmp_vm *vm, const struct qmp_snapshot *s)
{
  for (uint32_t i = 0; i < s->disks.count; i++) {
    struct hv_machine_disk d = { .name = s->disks.items[i].disk, .path = s->disks.items[i].path };
    qmp_nodes_drop (vm, &d);
  }
}

static json_t *
transaction (const struct qmp_snapshot *s)
{
  json_t *actions = json_array ();
  for (uint32_t i = 0; i < s->disks.count; i++) {
    const struct qmp_snapshot_disk *d = &s->disks.items[i];
    char top[QMP_NODE_NAME], overlay[QMP_NODE_NAME];
    qmp_node_name (top, 'q', d->disk, d->layers.items[0].path);
    qmp_node_name (overlay, 'q', d->disk, d->path);
    (void) json_array_append_new (
        actions, json_pack ("{s:s, s:{s:s, s:s}}", "type", "blockdev-snapshot", "data", "node", top, "overlay", overlay));
  }
  return json_pack ("{s:o}", "actions", actions);
}

static int
freeze (struct qmp_vm *vm, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *reply = NULL;
  int r = qmp_agent_exchange (vm, "{\"execute\":\"guest-fsfreeze-freeze\"}", FREEZE_MS, 1, &reply, err);
  if (r == 0 && strstr (reply, "\"error\"") != NULL)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "the guest agent cannot freeze the file systems");
  return r < 0 ? hv_err_wrap (err, r, "quiesce") : 0;
}

/* Whatever came of the freeze: a guest is never left frozen. */
static void
thaw (struct qmp_vm *vm)
{
  HV_CLEAN (hv_free) char *reply = NULL;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  if (qmp_agent_exchange (vm, "{\"execute\":\"guest-fsfreeze-thaw\"}", FREEZE_MS, 1, &reply, err) < 0)
    hv_log (vm->qmp->host, HV_LOG_ERROR, "VM '%s': thaw after a snapshot: %s", vm->name, hv_err_message (err));
}

static int
snapshot_take (struct qmp_vm *vm, const struct qmp_snapshot *s, int quiesce, struct hv_err *err)
{
  HV_CLEAN (json) json_t *actions = transaction (s);
  int r = quiesce ? freeze (vm, err) : 0;
  if (r == 0)
    r = qmp_control_change (vm, "transaction", actions, err);
  if (quiesce)
    thaw (vm);
  return r;
}

static int
snapshot_live (struct qmp_vm *vm, const struct hv_snapshot_create_args *a, const struct qmp_snapshot *s, const uint8_t *direct,
               struct hv_err *err)
{
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < s->disks.count; i++)
    r = overlay_add (vm, &s->disks.items[i], direct[i], err);
  if (r == 0)
    r = snapshot_take (vm, s, a->quiesce, err);
  hv_step (vm->qmp->host, "snapshot.taken");
  if (r < 0 && r != HV_E_UNKNOWN && r != HV_E_CANCELLED && r != HV_E_UNAVAILABLE)
    overlays_drop (vm, s);
  return r;
}

static int
snapshot_run (struct qmp_vm *vm, const struct hv_snapshot_create_args *a, const struct qmp_snapshot *s, struct hv_err *err)
{
  struct qmp_pending p = { .op = "snapshot" };
  uint8_t *direct = hv_alloc (vm->qmp->host, s->disks.count + 1);
  if (direct == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  HV_SET (&p, snapshot, *s);
  int r = overlays_probe (vm, s, direct, err);
  if (r == 0)
    r = qmp_pending_begin (vm, &p, err);
  if (r < 0)
    return r;
  if (vm->pidfd >= 0)
    r = snapshot_live (vm, a, s, direct, err);
  if (r == 0)
    return snapshot_commit (vm, s, err);
  if (!qmp_pending_in_doubt (vm, r))
    (void) qmp_pending_end (vm, NULL);
  return r;
}

static int
create_allowed (struct qmp_vm *vm, const struct hv_snapshot_create_args *a, struct hv_err *err)
{
  int stopped = vm->state == HV_VM_STOPPED || vm->state == HV_VM_CRASHED;
  if (stopped && vm->pidfd < 0 && !vm->launched)
    return a->quiesce || HV_HAS (a, memory_path)
               ? hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s: it has no %s", vm->name, hv_vm_state_words[vm->state],
                             a->quiesce ? "guest to quiesce" : "memory to save")
               : 0;
  if (HV_HAS (a, memory_path))
    return hv_err_set (err, HV_E_UNIMPLEMENTED,
                       "memory_path: snapshots of the memory are not made yet; save writes machine and memory");
  return qmp_vm_need_running (vm, err);
}

int
qmp_snapshot_create (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_snapshot_create_args *a = args;
  struct hv_machine live;
  struct qmp_snapshot s;
  struct qmp_snapshots all;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = qmp_pending_settle (vm, err);
  if (r == 0)
    r = create_allowed (vm, a, err);
  if (r == 0)
    r = qmp_vm_live (vm, &live, err);
  if (r == 0)
    r = create_check (vm, a, &live, err);
  if (r == 0)
    r = snapshot_make (vm, a, &live, &s, err);
  if (r == 0)
    r = snapshot_run (vm, a, &s, err);
  if (r == 0)
    r = qmp_snapshots_get (vm, &all, err);
  if (r < 0)
    return hv_err_wrap (err, r, "snapshot '%s' of VM '%s'", a->snapshot, vm->name);
  qmp_snapshot_fill (&all, &s, a->disks.items, result);
  return 0;
}

int
qmp_snapshot_list (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct hv_snapshots *ret = result;
  struct qmp_snapshots all;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, ((const struct hv_vm_ref *) args)->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_snapshots_get (vm, &all, err);
  if (r < 0)
    return r;
  struct hv_host *h = vm->qmp->host;
  ret->items.items = hv_alloc (h, ((uint64_t) all.items.count + 1) * sizeof *ret->items.items);
  for (uint32_t i = 0; ret->items.items != NULL && i < all.items.count; i++) {
    const struct qmp_snapshot *s = &all.items.items[i];
    struct hv_snapshot_disk *disks = hv_alloc (h, ((uint64_t) s->disks.count + 1) * sizeof *disks);
    if (disks == NULL)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    qmp_snapshot_fill (&all, s, disks, &ret->items.items[ret->items.count++]);
  }
  return ret->items.items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- after an interruption --- */

/* Whether the disk runs on this image: 1, 0 or an error. */
static int
root_node_is (struct qmp_vm *vm, const char *disk, const char *path, struct hv_err *err)
{
  char node[QMP_NODE_NAME];
  size_t i;
  json_t *item;
  HV_CLEAN (json) json_t *list = NULL;
  qmp_node_name (node, 'q', disk, path);
  int r = qmp_control_query (vm, "query-block", NULL, &list, err);
  json_array_foreach (list, i, item)
  {
    if (strcmp (qmp_json_str (json_object_get (item, "inserted"), "node-name", ""), node) == 0)
      return 1;
  }
  return r;
}

/* One transaction: one disk tells for all. Without a process it cannot be told, and the overlays, which may hold what the
 * guest wrote, are taken as part of the disks: empty ones do no harm. */
int
qmp_snapshot_resolve (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  const struct qmp_snapshot *s = &p->snapshot;
  if (vm->pidfd < 0)
    return snapshot_commit (vm, s, err);
  int taken = root_node_is (vm, s->disks.items[0].disk, s->disks.items[0].path, err);
  if (taken < 0)
    return taken;
  if (taken)
    return snapshot_commit (vm, s, err);
  overlays_drop (vm, s);
  return qmp_pending_end (vm, err);
}
