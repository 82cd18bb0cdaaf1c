/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Removing a snapshot: the overlay that was put on top is merged into what it stands on, under a running guest.
 *
 * The one dangerous moment is when QEMU turns from the overlay to the layer below: from then on the layer below is newer,
 * and a record that still names the overlay would take the guest back in time. So the job is not allowed to finish by
 * itself. When it is about to, both layers hold the same and the guest's writes wait; the record is changed then, and only
 * then is the job told to finish. Whatever dies in between, the image that the record names is the newest. */
#include "qmp.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define JOB_POLL_MS 100u

struct merge {
  struct qmp_vm *vm;
  struct hv_call *call;                 /* NULL when it is finished after an interruption */
  const struct qmp_snapshot_disk *disk; /* its overlay goes into its first layer */
  const char *snapshot;
  char job[96];
};

static void
job_name (char *ret, size_t size, const char *disk)
{
  (void) snprintf (ret, size, "merge-%s", disk);
}

/* --- the job --- */

/* "" when there is no such job (any more). */
static int
job_status (struct merge *g, char *status, size_t size, char **ret_error, struct hv_err *err)
{
  size_t i;
  json_t *item;
  HV_CLEAN (json) json_t *list = NULL;
  status[0] = '\0';
  int r = qmp_control_query (g->vm, "query-jobs", NULL, &list, err);
  json_array_foreach (list, i, item)
  {
    if (strcmp (qmp_json_str (item, "id", ""), g->job) != 0)
      continue;
    (void) snprintf (status, size, "%s", qmp_json_str (item, "status", ""));
    const char *error = qmp_json_str (item, "error", NULL);
    *ret_error = error != NULL ? hv_strdup (g->vm->qmp->host, error) : NULL;
    if (g->call != NULL)
      hv_progress (g->call, g->disk->disk, (uint64_t) qmp_json_int (item, "current-progress", 0),
                   (uint64_t) qmp_json_int (item, "total-progress", 0), "bytes");
  }
  return r;
}

static int
job_command (struct merge *g, const char *command, struct hv_err *err)
{
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "id", g->job);
  return qmp_control_change (g->vm, command, args, err);
}

static int
job_begin (struct merge *g, const struct hv_machine_disk *d, struct hv_err *err)
{
  char root[QMP_NODE_NAME], top[QMP_NODE_NAME], base[QMP_NODE_NAME];
  qmp_node_name (root, 'q', d->name, d->path);
  qmp_node_name (top, 'q', d->name, g->disk->path);
  qmp_node_name (base, 'q', d->name, g->disk->layers.items[0].path);
  HV_CLEAN (json)
  json_t *args = json_pack ("{s:s, s:s, s:s, s:s, s:b, s:b}", "job-id", g->job, "device", root, "top-node", top, "base-node", base,
                            "auto-finalize", 0, "auto-dismiss", 0);
  return qmp_control_change (g->vm, "block-commit", args, err);
}

/* What the machine and its snapshots are without this overlay. */
static int
forget_overlay (struct merge *g, struct hv_err *err)
{
  struct qmp_vm *vm = g->vm;
  struct hv_machine m, live;
  struct qmp_snapshots all;
  const char *name = g->disk->disk;
  int r = qmp_vm_machine (vm, &m, err);
  if (r == 0)
    r = qmp_vm_live (vm, &live, err);
  if (r == 0)
    r = qmp_snapshots_get (vm, &all, err);
  if (r < 0)
    return r;
  struct hv_machine_disk *d = (struct hv_machine_disk *) (uintptr_t) qmp_machine_disk (&m, name);
  if (d != NULL && qmp_chain_drop (d, g->disk->path) == 0)
    r = qmp_vm_set_machine (vm, &m, err);
  d = (struct hv_machine_disk *) (uintptr_t) qmp_machine_disk (&live, name);
  if (r == 0 && vm->live.bytes != NULL && d != NULL && qmp_chain_drop (d, g->disk->path) == 0)
    r = qmp_vm_set_live (vm, &live, err);
  qmp_snapshots_without (&all, g->snapshot, name, g->disk->path);
  return r == 0 ? qmp_snapshots_set (vm, &all, err) : r;
}

static int
is_forgotten (struct merge *g)
{
  struct qmp_snapshots all;
  return qmp_snapshots_get (g->vm, &all, NULL) == 0 && !qmp_snapshots_mention (&all, g->snapshot, g->disk->disk);
}

/* Both layers are the same and nothing is written, the guest waits: the record first, then the job. What cannot be recorded
 * is not done: the disk stays on its overlay, and the guest goes on. */
static int
job_finish (struct merge *g, struct hv_err *err)
{
  int r = forget_overlay (g, err);
  if (r == 0)
    r = qmp_record_commit (g->vm, err);
  hv_step (g->vm->qmp->host, "merge.recorded");
  if (r < 0 && !is_forgotten (g))
    (void) job_command (g, "job-cancel", NULL);
  return r == 0 ? job_command (g, "job-finalize", err) : r;
}

static int
job_step (struct merge *g, const char *status, const char *error, int *ret_done, struct hv_err *err)
{
  if (strcmp (status, "ready") == 0)
    return job_command (g, "job-complete", err);
  if (strcmp (status, "pending") == 0)
    return job_finish (g, err);
  if (strcmp (status, "concluded") != 0)
    return 0;
  *ret_done = 1;
  int r = job_command (g, "job-dismiss", err);
  return error != NULL ? hv_err_set (err, HV_E_FAILED_PRECONDITION, "merge of disk '%s': %s", g->disk->disk, error) : r;
}

/* Follows the job to its end. Its events wake us; the poll is for those that got lost. */
static int
job_follow (struct merge *g, struct hv_err *err)
{
  struct hv_host *h = g->vm->qmp->host;
  int done = 0;
  while (!done) {
    char status[32], *error = NULL;
    int r = job_status (g, status, sizeof status, &error, err);
    if (r == 0 && status[0] == '\0')
      return hv_err_set (err, HV_E_UNKNOWN, "merge of disk '%s': its job has disappeared", g->disk->disk);
    if (r == 0)
      r = job_step (g, status, error, &done, err);
    if (r == 0 && !done)
      r = h->api->cond_wait (h, g->vm->changed, JOB_POLL_MS, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
  }
  return 0;
}

static void
overlay_remove (struct merge *g)
{
  struct hv_machine_disk d = { .name = g->disk->disk, .path = g->disk->path };
  qmp_nodes_drop (g->vm, &d);
  if (unlink (g->disk->path) < 0)
    hv_log (g->vm->qmp->host, HV_LOG_WARNING, "VM '%s': merged overlay '%s' stays: %m", g->vm->name, g->disk->path);
}

/* --- one disk --- */

static int
merge_disk (struct merge *g, struct hv_err *err)
{
  struct hv_machine live;
  char status[32], *error = NULL;
  job_name (g->job, sizeof g->job, g->disk->disk);
  int r = qmp_vm_live (g->vm, &live, err);
  const struct hv_machine_disk *d = r == 0 ? qmp_machine_disk (&live, g->disk->disk) : NULL;
  if (r == 0)
    r = job_status (g, status, sizeof status, &error, err);
  if (r < 0)
    return r;
  if (d != NULL && qmp_chain_depth (d, g->disk->path) >= 0 && status[0] == '\0')
    r = job_begin (g, d, err);
  else if (status[0] == '\0')
    return 0; /* finished before the interruption */
  hv_step (g->vm->qmp->host, "merge.begun");
  if (r == 0)
    r = job_follow (g, err);
  if (r == 0)
    overlay_remove (g);
  return r;
}

/* --- the verb --- */

/* Nothing else may stand on what is about to change: another branch would find its ground moved. */
static int
merge_check (struct qmp_vm *vm, const struct qmp_snapshots *all, const struct qmp_snapshot *s, struct hv_err *err)
{
  for (uint32_t i = 0; i < s->disks.count; i++) {
    const struct qmp_snapshot_disk *d = &s->disks.items[i];
    for (uint32_t k = 0; k < all->items.count; k++) {
      const struct qmp_snapshot *o = &all->items.items[k];
      if (o != s && qmp_snapshot_stands_on (o, d->disk, d->layers.items[0].path) && !qmp_snapshot_stands_on (o, d->disk, d->path))
        return hv_err_set (err, HV_E_FAILED_PRECONDITION, "snapshot '%s' of VM '%s' stands on the same image; delete it first",
                           o->name, vm->name);
    }
  }
  return 0;
}

/* In the chain that runs, or left behind when the VM went back to an earlier snapshot. */
static int
is_abandoned (struct qmp_vm *vm, const struct qmp_snapshot *s, int *ret, struct hv_err *err)
{
  struct hv_machine live;
  int r = qmp_vm_live (vm, &live, err);
  *ret = 1;
  for (uint32_t i = 0; r == 0 && i < s->disks.count; i++) {
    const struct hv_machine_disk *d = qmp_machine_disk (&live, s->disks.items[i].disk);
    if (d != NULL && qmp_chain_depth (d, s->disks.items[i].path) >= 0)
      *ret = 0;
  }
  return r;
}

/* A branch on which nothing runs: its overlay holds nothing that anybody can still want. */
static int
drop_abandoned (struct qmp_vm *vm, struct qmp_snapshots *all, const struct qmp_snapshot *s, struct hv_err *err)
{
  const char **paths = hv_alloc (vm->qmp->host, ((uint64_t) s->disks.count + 1) * sizeof *paths);
  struct qmp_pending p = { .op = "discard" };
  if (paths == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < s->disks.count; i++) {
    for (uint32_t k = 0; k < all->items.count; k++)
      if (&all->items.items[k] != s
          && qmp_snapshot_stands_on (&all->items.items[k], s->disks.items[i].disk, s->disks.items[i].path))
        return hv_err_set (err, HV_E_FAILED_PRECONDITION, "snapshot '%s' of VM '%s' stands on it; delete that first",
                           all->items.items[k].name, vm->name);
    paths[i] = s->disks.items[i].path;
  }
  HV_SET (&p, paths, ((struct hv_strs){ paths, s->disks.count }));
  qmp_snapshots_without (all, s->name, NULL, NULL);
  int r = qmp_snapshots_set (vm, all, err);
  if (r == 0)
    r = qmp_pending_begin (vm, &p, err);
  return r == 0 ? qmp_discard_resolve (vm, &p, err) : r;
}

static int
merge_all (struct qmp_vm *vm, struct hv_call *call, const struct qmp_snapshot *s, struct hv_err *err)
{
  struct qmp_pending p = { .op = "merge" };
  HV_SET (&p, snapshot, *s);
  int r = qmp_pending_begin (vm, &p, err);
  for (uint32_t i = 0; r == 0 && i < s->disks.count; i++) {
    struct merge g = { .vm = vm, .call = call, .disk = &s->disks.items[i], .snapshot = s->name };
    r = merge_disk (&g, err);
  }
  if (r == 0)
    r = qmp_pending_end (vm, err);
  else if (!qmp_pending_in_doubt (vm, r))
    (void) qmp_merge_resolve (vm, &p, NULL);
  return r;
}

int
qmp_snapshot_delete (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_snapshot_ref *a = args;
  struct qmp_snapshots all;
  int abandoned = 0;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) result;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_pending_settle (vm, err);
  if (r == 0)
    r = qmp_snapshots_get (vm, &all, err);
  if (r < 0)
    return r;
  const struct qmp_snapshot *s = qmp_snapshot_find (&all, a->snapshot);
  if (s == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no snapshot '%s'", vm->name, a->snapshot);
  r = is_abandoned (vm, s, &abandoned, err);
  if (r == 0 && abandoned)
    r = drop_abandoned (vm, &all, s, err);
  else if (r == 0) {
    r = merge_check (vm, &all, s, err);
    if (r == 0 && vm->pidfd < 0)
      r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "images are merged by a running machine; start it (paused is enough)");
    if (r == 0)
      r = qmp_vm_need_running (vm, err);
    if (r == 0)
      r = merge_all (vm, call, s, err);
  }
  return r < 0 ? hv_err_wrap (err, r, "delete snapshot '%s' of VM '%s'", a->snapshot, vm->name) : 0;
}

/* --- after an interruption --- */

/* Jobs that QEMU still has are brought to their end; what has not begun is left to whoever asks again. */
int
qmp_merge_resolve (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < p->snapshot.disks.count; i++) {
    struct merge g = { .vm = vm, .disk = &p->snapshot.disks.items[i], .snapshot = p->snapshot.name };
    char status[32] = "", *error = NULL;
    struct qmp_snapshots all;
    job_name (g.job, sizeof g.job, g.disk->disk);
    if (vm->pidfd >= 0)
      r = job_status (&g, status, sizeof status, &error, err);
    if (r == 0 && status[0] != '\0')
      r = job_follow (&g, err);
    if (r == HV_E_FAILED_PRECONDITION && job_status (&g, status, sizeof status, &error, err) == 0 && status[0] == '\0')
      r = 0; /* the job failed and is gone: the disk is on its overlay still */
    if (r == 0)
      r = qmp_snapshots_get (vm, &all, err);
    if (r == 0 && !qmp_snapshots_mention (&all, g.snapshot, g.disk->disk))
      overlay_remove (&g); /* the record has done without it already */
  }
  return r == 0 ? qmp_pending_end (vm, err) : r;
}
