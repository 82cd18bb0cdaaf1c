/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Going back to a snapshot: fresh overlays over what the disks were then. What was written since is given up, except where
 * a later snapshot keeps it. */
#include "qmp.h"
#include <errno.h>
#include <hvkit/iface/disk.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* The fresh overlays' paths, in the directory of the overlay that the snapshot made. */
static int
fresh_paths (struct qmp_vm *vm, const struct qmp_snapshot *s, struct hv_strs *ret, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  const char **paths = hv_alloc (h, ((uint64_t) s->disks.count + 1) * sizeof *paths);
  uint32_t salt = 0;
  if (getrandom (&salt, sizeof salt, 0) != sizeof salt)
    return hv_err_sys (err, errno, "random number");
  for (uint32_t i = 0; paths != NULL && i < s->disks.count; i++) {
    const struct qmp_snapshot_disk *d = &s->disks.items[i];
    const char *slash = strrchr (d->path, '/');
    paths[i] = hv_printf (h, "%.*s/%s-%s-%08x.qcow2", (int) (slash - d->path), d->path, d->disk, s->name, salt);
    if (paths[i] == NULL)
      paths = NULL;
  }
  *ret = (struct hv_strs){ paths, s->disks.count };
  return paths != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static int
overlays_make (struct qmp_vm *vm, const struct hv_machine *m, const struct qmp_snapshot *s, const struct hv_strs *paths,
               struct hv_err *err)
{
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < s->disks.count; i++) {
    const struct qmp_snapshot_disk *d = &s->disks.items[i];
    struct hv_disk_overlay_args a = { 0 };
    struct hv_disk_info info = { 0 };
    HV_SET (&a, path, paths->items[i]);
    HV_SET (&a, backing_path, d->layers.items[0].path);
    HV_SET (&a, backing_format, d->layers.items[0].format);
    HV_SET (&a, trusted_raw, d->layers.items[0].format == HV_DISK_RAW);
    if (HV_HAS (m, owner_uid))
      HV_SET (&a, owner_uid, m->owner_uid);
    HV_CLEAN (hv_free) char *method = NULL;
    if (asprintf (&method, "%s.overlay", vm->qmp->config->qcow2) < 0)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    r = vm->qmp->host->api->call (vm->qmp->host, method, &hv_disk_overlay_args_record, &a, &hv_disk_info_record, &info, NULL, err);
  }
  return r;
}

/* Images that the disks stood on, and that neither the disks nor any snapshot stand on any more. */
static int
discarded (struct qmp_vm *vm, const struct hv_machine *was, const struct hv_machine *now, struct hv_strs *ret, struct hv_err *err)
{
  struct qmp_snapshots all;
  uint32_t n = 0, most = 0;
  int r = qmp_snapshots_get (vm, &all, err);
  for (uint32_t i = 0; i < was->disks.count; i++)
    most += was->disks.items[i].backing.count + 1;
  const char **paths = r == 0 ? hv_alloc (vm->qmp->host, ((uint64_t) most + 1) * sizeof *paths) : NULL;
  if (paths == NULL)
    return r < 0 ? r : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < was->disks.count; i++) {
    const struct hv_machine_disk *d = &was->disks.items[i];
    const struct hv_machine_disk *after = qmp_machine_disk (now, d->name);
    for (uint32_t l = 0; l <= d->backing.count; l++) {
      const char *path = l == 0 ? d->path : d->backing.items[l - 1].path;
      int used = after == NULL || qmp_chain_depth (after, path) >= 0;
      for (uint32_t k = 0; !used && k < all.items.count; k++)
        used = qmp_snapshot_stands_on (&all.items.items[k], d->name, path);
      if (!used)
        paths[n++] = path;
    }
  }
  *ret = (struct hv_strs){ paths, n };
  return 0;
}

static int
is_among (const struct hv_strs *paths, const char *path)
{
  for (uint32_t i = 0; i < paths->count; i++)
    if (strcmp (paths->items[i], path) == 0)
      return 1;
  return 0;
}

/* The snapshot's own overlay was given up: the fresh one is what stands on it now, and is merged when it is deleted. */
static void
overlays_renew (struct qmp_snapshots *all, const char *snapshot, const struct hv_strs *given_up, const struct hv_strs *fresh)
{
  struct qmp_snapshot *s = qmp_snapshot_find (all, snapshot);
  for (uint32_t i = 0; s != NULL && i < s->disks.count; i++)
    if (is_among (given_up, s->disks.items[i].path))
      s->disks.items[i].path = fresh->items[i];
}

/* The new machine and the list of what is given up, in one write. */
static int
revert_commit (struct qmp_vm *vm, const struct qmp_snapshot *s, const struct hv_strs *paths, struct hv_err *err)
{
  struct hv_machine was, m;
  struct qmp_snapshots all;
  struct qmp_pending p = { .op = "discard" };
  int r = qmp_vm_machine (vm, &was, err);
  if (r == 0)
    r = qmp_vm_machine (vm, &m, err);
  if (r == 0)
    r = qmp_snapshots_get (vm, &all, err);
  for (uint32_t i = 0; r == 0 && i < s->disks.count; i++) {
    const struct qmp_snapshot_disk *d = &s->disks.items[i];
    struct hv_machine_disk *at = (struct hv_machine_disk *) (uintptr_t) qmp_machine_disk (&m, d->disk);
    if (at != NULL)
      qmp_chain_set (at, paths->items[i], HV_DISK_QCOW2, d->layers.items, d->layers.count);
  }
  if (r == 0)
    r = discarded (vm, &was, &m, &p.paths, err);
  if (r < 0)
    return r;
  p.has.paths = 1;
  HV_SET (&all, current, s->name);
  overlays_renew (&all, s->name, &p.paths, paths);
  r = qmp_vm_set_machine (vm, &m, err);
  if (r == 0)
    r = qmp_snapshots_set (vm, &all, err);
  if (r == 0)
    r = qmp_pending_begin (vm, &p, err);
  hv_step (vm->qmp->host, "revert.recorded");
  return r == 0 ? qmp_discard_resolve (vm, &p, err) : r;
}

static int
revert_check (struct qmp_vm *vm, const struct qmp_snapshot *s, const struct hv_machine *m, struct hv_err *err)
{
  if (vm->pidfd >= 0 || vm->launched)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s; stop it first: what runs has no way back", vm->name,
                       hv_vm_state_words[vm->state]);
  if (vm->state != HV_VM_STOPPED && vm->state != HV_VM_CRASHED)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  for (uint32_t i = 0; i < s->disks.count; i++)
    if (qmp_machine_disk (m, s->disks.items[i].disk) == NULL)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "disk '%s' is not part of VM '%s' any more", s->disks.items[i].disk,
                         vm->name);
  return 0;
}

int
qmp_snapshot_revert (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_snapshot_ref *a = args;
  struct qmp_snapshots all;
  struct hv_machine m;
  struct qmp_pending p = { .op = "revert" };
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_pending_settle (vm, err);
  if (r == 0)
    r = qmp_snapshots_get (vm, &all, err);
  if (r == 0)
    r = qmp_vm_machine (vm, &m, err);
  if (r < 0)
    return r;
  const struct qmp_snapshot *s = qmp_snapshot_find (&all, a->snapshot);
  if (s == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no snapshot '%s'", vm->name, a->snapshot);
  r = revert_check (vm, s, &m, err);
  if (r == 0)
    r = fresh_paths (vm, s, &p.paths, err);
  p.has.paths = 1;
  if (r == 0)
    r = qmp_pending_begin (vm, &p, err);
  if (r == 0 && (r = overlays_make (vm, &m, s, &p.paths, err)) < 0)
    (void) qmp_discard_resolve (vm, &p, NULL); /* what was made is removed again */
  if (r == 0)
    r = revert_commit (vm, s, &p.paths, err);
  if (r < 0)
    return hv_err_wrap (err, r, "revert VM '%s' to snapshot '%s'", vm->name, a->snapshot);
  qmp_vm_fill (vm, result);
  return 0;
}

/* --- files that are not wanted any more --- */

struct removal {
  const struct hv_strs *paths;
};

static int
removal_run (void *arg)
{
  const struct removal *j = arg;
  for (uint32_t i = 0; i < j->paths->count; i++)
    (void) unlink (j->paths->items[i]);
  return 0;
}

int
qmp_discard_resolve (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  struct removal j = { &p->paths };
  (void) hv_offload (vm->qmp->host, removal_run, &j, NULL);
  hv_step (vm->qmp->host, "discard.done");
  return qmp_pending_end (vm, err);
}
