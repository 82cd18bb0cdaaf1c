/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The images a disk consists of, and what snapshots make of them. Everything in the memory of the current call. */
#include "qmp.h"
#include <string.h>

/* The whole disk as layers, top first. */
int
qmp_chain_layers (struct hv_host *h, const struct hv_machine_disk *d, struct hv_machine_layer **ret, uint32_t *ret_count)
{
  struct hv_machine_layer *l = hv_alloc (h, ((uint64_t) d->backing.count + 1) * sizeof *l);
  if (l == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  l[0].path = d->path;
  HV_SET (&l[0], format, d->format);
  l[0].has.path = 1;
  if (d->backing.count > 0)
    memcpy (l + 1, d->backing.items, d->backing.count * sizeof *l);
  *ret = l;
  *ret_count = d->backing.count + 1;
  return 0;
}

/* The disk becomes `path` on top of these layers. */
void
qmp_chain_set (struct hv_machine_disk *d, const char *path, uint32_t format, const struct hv_machine_layer *layers, uint32_t count)
{
  d->path = path;
  HV_SET (d, format, format);
  d->backing.items = (struct hv_machine_layer *) (uintptr_t) layers;
  d->backing.count = count;
  d->has.backing = count > 0;
}

/* Takes the layer with this image out; what is below it stands in its place. NOT_FOUND; the last layer cannot be taken. */
int
qmp_chain_drop (struct hv_machine_disk *d, const char *path)
{
  if (strcmp (d->path, path) == 0 && d->backing.count > 0) {
    qmp_chain_set (d, d->backing.items[0].path, d->backing.items[0].format, d->backing.items + 1, d->backing.count - 1);
    return 0;
  }
  for (uint32_t i = 0; i < d->backing.count; i++)
    if (strcmp (d->backing.items[i].path, path) == 0) {
      d->backing.count--;
      memmove (&d->backing.items[i], &d->backing.items[i + 1], (d->backing.count - i) * sizeof d->backing.items[0]);
      d->has.backing = d->backing.count > 0;
      return 0;
    }
  return HV_E_NOT_FOUND;
}

/* -1, or how deep the image is: 0 is the top. */
int
qmp_chain_depth (const struct hv_machine_disk *d, const char *path)
{
  if (strcmp (d->path, path) == 0)
    return 0;
  for (uint32_t i = 0; i < d->backing.count; i++)
    if (strcmp (d->backing.items[i].path, path) == 0)
      return (int) i + 1;
  return -1;
}

/* --- snapshots --- */

int
qmp_snapshots_get (struct qmp_vm *vm, struct qmp_snapshots *ret, struct hv_err *err)
{
  int r = qmp_kept_get (vm->qmp->host, &vm->snapshots, &qmp_snapshots_record, ret, err);
  return r < 0 ? r : 0;
}

/* An empty list is none. */
int
qmp_snapshots_set (struct qmp_vm *vm, const struct qmp_snapshots *s, struct hv_err *err)
{
  return qmp_kept_set (vm->qmp->host, &vm->snapshots, &qmp_snapshots_record, s->items.count > 0 ? s : NULL, err);
}

struct qmp_snapshot *
qmp_snapshot_find (const struct qmp_snapshots *s, const char *name)
{
  for (uint32_t i = 0; i < s->items.count; i++)
    if (strcmp (s->items.items[i].name, name) == 0)
      return &s->items.items[i];
  return NULL;
}

/* Whether a snapshot's contents of this disk include the image. */
int
qmp_snapshot_stands_on (const struct qmp_snapshot *s, const char *disk, const char *path)
{
  for (uint32_t i = 0; i < s->disks.count; i++) {
    const struct qmp_snapshot_disk *d = &s->disks.items[i];
    for (uint32_t n = 0; strcmp (d->disk, disk) == 0 && n < d->layers.count; n++)
      if (strcmp (d->layers.items[n].path, path) == 0)
        return 1;
  }
  return 0;
}

static void
snapshot_disk_without (struct qmp_snapshot_disk *d, const char *disk, const char *path)
{
  for (uint32_t n = 0; strcmp (d->disk, disk) == 0 && n < d->layers.count; n++)
    if (strcmp (d->layers.items[n].path, path) == 0) {
      d->layers.count--;
      memmove (&d->layers.items[n], &d->layers.items[n + 1], (d->layers.count - n) * sizeof d->layers.items[0]);
      return;
    }
}

static void
snapshot_forget_disk (struct qmp_snapshot *s, const char *disk)
{
  for (uint32_t i = 0; i < s->disks.count; i++)
    if (strcmp (s->disks.items[i].disk, disk) == 0) {
      s->disks.count--;
      memmove (&s->disks.items[i], &s->disks.items[i + 1], (s->disks.count - i) * sizeof s->disks.items[0]);
      return;
    }
}

static void
snapshots_reparent (struct qmp_snapshots *all, const struct qmp_snapshot *gone)
{
  for (uint32_t i = 0; i < all->items.count; i++) {
    struct qmp_snapshot *s = &all->items.items[i];
    if (!HV_HAS (s, parent) || strcmp (s->parent, gone->name) != 0)
      continue;
    s->parent = gone->parent;
    s->has.parent = gone->has.parent;
  }
  if (HV_HAS (all, current) && strcmp (all->current, gone->name) == 0) {
    all->current = gone->parent;
    all->has.current = gone->has.parent;
  }
}

/* Takes the overlay of one disk out of every snapshot's layers, and the disk out of snapshot `name`, which goes when it was
 * the last. disk NULL: the whole snapshot goes. Those taken on it stand on its parent from then on. */
void
qmp_snapshots_without (struct qmp_snapshots *all, const char *name, const char *disk, const char *path)
{
  struct qmp_snapshot *s = qmp_snapshot_find (all, name);
  for (uint32_t i = 0; disk != NULL && i < all->items.count; i++)
    for (uint32_t k = 0; k < all->items.items[i].disks.count; k++)
      snapshot_disk_without (&all->items.items[i].disks.items[k], disk, path);
  if (s != NULL && disk != NULL)
    snapshot_forget_disk (s, disk);
  if (s == NULL || (disk != NULL && s->disks.count > 0))
    return;
  snapshots_reparent (all, s);
  all->items.count--;
  memmove (s, s + 1, (size_t) (all->items.items + all->items.count - s) * sizeof *s);
}

/* Whether the snapshot has this disk in it still. */
int
qmp_snapshots_mention (const struct qmp_snapshots *all, const char *name, const char *disk)
{
  const struct qmp_snapshot *s = qmp_snapshot_find (all, name);
  for (uint32_t i = 0; s != NULL && i < s->disks.count; i++)
    if (strcmp (s->disks.items[i].disk, disk) == 0)
      return 1;
  return 0;
}

void
qmp_snapshot_fill (const struct qmp_snapshots *all, const struct qmp_snapshot *s, struct hv_snapshot_disk *disks,
                   struct hv_snapshot *ret)
{
  ret->snapshot = s->name;
  ret->has.snapshot = 1;
  if (HV_HAS (s, parent))
    HV_SET (ret, parent, s->parent);
  HV_SET (ret, created_ms, s->created_ms);
  HV_SET (ret, state, s->state);
  HV_SET (ret, has_memory, HV_HAS (s, memory_path));
  HV_SET (ret, current, HV_HAS (all, current) && strcmp (all->current, s->name) == 0);
  for (uint32_t i = 0; i < s->disks.count; i++) {
    disks[i].disk = s->disks.items[i].disk;
    disks[i].path = s->disks.items[i].path;
    HV_SET (&disks[i], format, s->disks.items[i].format);
    disks[i].has.disk = disks[i].has.path = 1;
  }
  ret->disks.items = disks;
  ret->disks.count = s->disks.count;
  ret->has.disks = 1;
}
