/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* External snapshots of disks. libvirt keeps their list; the overlays exist already, disk/1 made them. */
#include "op.h"
#include "xml/build.h"
#include "xml/read.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- create --- */

static int
create_run (struct lv_work *w)
{
  virDomainSnapshotPtr s = virDomainSnapshotCreateXML (w->dom, LV_OP (w)->a, LV_OP (w)->flags);
  if (s == NULL)
    return lv_work_fail (w);
  (void) virDomainSnapshotFree (s);
  return 0;
}

/* What is not named stays as it is. */
static int
snapshot_xml (struct lv_vm *vm, const struct hv_snapshot_create_args *a, char **ret_xml, struct hv_err *err)
{
  struct hv_host *h = vm->lv->host;
  struct lv_xml_snapshot_disk *disks = hv_alloc (h, ((uint64_t) vm->facts->disk_count + 1) * sizeof *disks);
  if (disks == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < vm->facts->disk_count; i++)
    disks[i].target = vm->facts->disks[i].target;
  for (uint32_t k = 0; k < a->disks.count; k++) {
    const struct hv_snapshot_disk *d = &a->disks.items[k];
    const struct lv_disk *of = lv_domain_disk (vm->facts, d->disk);
    if (of == NULL)
      return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no disk '%s'", vm->name, d->disk);
    if (of->read_only)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "disk '%s' of VM '%s' is read-only", d->disk, vm->name);
    struct lv_xml_snapshot_disk *to = &disks[of - vm->facts->disks];
    if (to->path != NULL)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "disks[%" PRIu32 "]: disk '%s' is named twice", k, d->disk);
    to->path = d->path;
    to->format = hv_disk_format_words[d->format];
  }
  return lv_xml_snapshot (a->snapshot, disks, vm->facts->disk_count, ret_xml, err);
}

/* --- list --- */

/* ret: the XML of every snapshot, separated by a NUL that is not the last; out[0]: how many; b: name of the current one. */
static int
list_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  virDomainSnapshotPtr *all = NULL;
  size_t size = 0;
  int n = virDomainListAllSnapshots (w->dom, &all, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
  FILE *out = n >= 0 ? open_memstream (&op->ret, &size) : NULL;
  for (int i = 0; i < n; i++) {
    char *xml = virDomainSnapshotGetXMLDesc (all[i], 0);
    if (out != NULL && xml != NULL && fwrite (xml, 1, strlen (xml) + 1, out) > 0)
      op->out[0]++;
    if (virDomainSnapshotIsCurrent (all[i], 0) == 1)
      (void) lv_text_set (&op->b, virDomainSnapshotGetName (all[i]));
    free (xml);
    (void) virDomainSnapshotFree (all[i]);
  }
  free (all);
  if (out != NULL)
    (void) fclose (out);
  return n < 0 ? lv_work_fail (w) : out != NULL ? 0 : lv_work_error (w, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static void
disks_fill (struct lv_vm *vm, const struct lv_snapshot *s, struct hv_snapshot *ret)
{
  struct hv_host *h = vm->lv->host;
  ret->disks.items = hv_alloc (h, ((uint64_t) s->disk_count + 1) * sizeof *ret->disks.items);
  for (uint32_t i = 0; ret->disks.items != NULL && i < s->disk_count; i++) {
    struct hv_snapshot_disk *d = &ret->disks.items[ret->disks.count];
    if (s->disks[i].path == NULL)
      continue;
    const char *name = s->disks[i].target;
    for (uint32_t k = 0; k < vm->facts->disk_count; k++)
      if (strcmp (vm->facts->disks[k].target, name) == 0)
        name = vm->facts->disks[k].name;
    d->disk = hv_strdup (h, name);
    d->path = hv_strdup (h, s->disks[i].path);
    HV_SET (d, format, s->disks[i].format != NULL && strcmp (s->disks[i].format, "raw") == 0 ? HV_DISK_RAW : HV_DISK_QCOW2);
    ret->disks.count++;
  }
  ret->has.disks = 1;
}

static void
snapshot_fill (struct lv_vm *vm, const struct lv_snapshot *s, const char *current, struct hv_snapshot *ret)
{
  static const struct {
    const char *word;
    uint32_t state;
  } states[] = {
    { "running", HV_VM_RUNNING }, { "paused", HV_VM_PAUSED }, { "shutoff", HV_VM_STOPPED }, { "disk-snapshot", HV_VM_RUNNING }
  };
  struct hv_host *h = vm->lv->host;
  ret->snapshot = hv_strdup (h, s->name);
  ret->has.snapshot = 1;
  if (s->parent != NULL)
    HV_SET (ret, parent, hv_strdup (h, s->parent));
  HV_SET (ret, created_ms, s->created_s * 1000);
  for (size_t i = 0; s->state != NULL && i < sizeof states / sizeof states[0]; i++)
    if (strcmp (states[i].word, s->state) == 0)
      HV_SET (ret, state, states[i].state);
  HV_SET (ret, has_memory, s->has_memory);
  HV_SET (ret, current, current != NULL && strcmp (current, s->name) == 0);
  disks_fill (vm, s, ret);
}

static int
list_all (struct lv_vm *vm, struct hv_snapshots *ret, struct hv_err *err)
{
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (list_run, "snapshots of VM", 0, NULL, NULL);
  int r = lv_op_run (vm, op, 0, err);
  if (r < 0)
    return r;
  ret->items.items = hv_alloc (vm->lv->host, (op->out[0] + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  const char *at = op->ret;
  for (uint64_t i = 0; i < op->out[0]; i++, at += strlen (at) + 1) {
    HV_CLEAN (lv_snapshot) struct lv_snapshot *s = NULL;
    r = lv_snapshot_read (at, &s, err);
    if (r < 0)
      return hv_err_wrap (err, HV_E_DATA_LOSS, "snapshots of VM '%s'", vm->name);
    snapshot_fill (vm, s, op->b, &ret->items.items[ret->items.count++]);
  }
  return 0;
}

int
lv_snapshot_list (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  return vm->facts != NULL ? list_all (vm, result, err)
                           : hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': libvirt was not asked yet", vm->name);
}

/* --- create and delete --- */

static const struct hv_snapshot *
snapshot_named (const struct hv_snapshots *all, const char *name)
{
  for (uint32_t i = 0; i < all->items.count; i++)
    if (strcmp (all->items.items[i].snapshot, name) == 0)
      return &all->items.items[i];
  return NULL;
}

static int
create_check (struct lv_vm *vm, const struct hv_snapshot_create_args *a, struct hv_err *err)
{
  struct hv_snapshots all = { 0 };
  if (HV_HAS (a, memory_path))
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "memory_path: a snapshot has no memory here; save writes machine and memory");
  int r = lv_vm_need_running (vm, err);
  if (r == 0)
    r = lv_sync_vm (vm, err);
  if (r == 0)
    r = list_all (vm, &all, err);
  if (r == 0 && snapshot_named (&all, a->snapshot) != NULL)
    r = hv_err_set (err, HV_E_ALREADY_EXISTS, "VM '%s' has a snapshot '%s' already", vm->name, a->snapshot);
  return r;
}

int
lv_snapshot_create (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_snapshot_create_args *a = args;
  struct hv_snapshots all = { 0 };
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  HV_CLEAN (hv_free) char *xml = NULL;
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : create_check (vm, a, err);
  if (r == 0)
    r = snapshot_xml (vm, a, &xml, err);
  if (r < 0)
    return r;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (create_run, "snapshot of VM", LV_WORK_CHANGES | LV_WORK_LONG, xml, NULL);
  if (op != NULL)
    op->flags = VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT | VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC
                | (a->quiesce ? VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE : 0u);
  r = lv_op_change (vm, op, 0, err);
  hv_step (vm->lv->host, "snapshot.done");
  if (r == 0)
    r = lv_sync_vm (vm, err);
  if (r == 0)
    r = list_all (vm, &all, err);
  const struct hv_snapshot *s = r == 0 ? snapshot_named (&all, a->snapshot) : NULL;
  if (r == 0 && s == NULL)
    r = hv_err_set (err, HV_E_ABORTED, "VM '%s': snapshot '%s' was deleted by somebody else meanwhile", vm->name, a->snapshot);
  if (r == 0)
    *(struct hv_snapshot *) result = *s;
  return r;
}

/* a: name. libvirt merges the layers and forgets the snapshot; it tells of the merge as a block job. */
static int
delete_run (struct lv_work *w)
{
  virDomainSnapshotPtr s = virDomainSnapshotLookupByName (w->dom, LV_OP (w)->a, 0);
  if (s == NULL)
    return lv_work_fail (w);
  int r = virDomainSnapshotDelete (s, 0) < 0 ? lv_work_fail (w) : 0;
  (void) virDomainSnapshotFree (s);
  return r;
}

int
lv_snapshot_delete (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_snapshot_ref *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) result;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (delete_run, "delete a snapshot of VM", LV_WORK_CHANGES, a->snapshot, NULL);
  int r = lv_op_long (vm, op, call, "merge", err);
  if (r == HV_E_NOT_FOUND)
    return hv_err_set (err, r, "VM '%s' has no snapshot '%s'", vm->name, a->snapshot);
  hv_step (vm->lv->host, "delete.done");
  return r == 0 ? lv_sync_vm (vm, err) : r;
}
