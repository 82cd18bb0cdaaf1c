/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Jobs on the disks of a running machine: block_commit, block_pull, block_mirror. libvirt begins them and tells by events how they
 * end; a job that waits to be finished (ready) is finished here. */
#include "op.h"
#include "xml/build.h"
#include <string.h>

#define LOOK_MS 250u

/* --- beginning --- */

/* a: target; b: top, "" none; ret: base, NULL none; x: bytes/s. */
static int
commit_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  unsigned flags = VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES | (op->b == NULL ? VIR_DOMAIN_BLOCK_COMMIT_ACTIVE : 0u)
                   | (op->ret == NULL ? VIR_DOMAIN_BLOCK_COMMIT_SHALLOW : 0u);
  return virDomainBlockCommit (w->dom, op->a, op->ret, op->b, op->x, flags) < 0 ? lv_work_fail (w) : 0;
}

static int
pull_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  return virDomainBlockRebase (w->dom, op->a, op->b, op->x, VIR_DOMAIN_BLOCK_REBASE_BANDWIDTH_BYTES) < 0 ? lv_work_fail (w) : 0;
}

/* b: XML of the target. */
static int
mirror_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  virTypedParameter speed = { .type = VIR_TYPED_PARAM_ULLONG, .value.ul = op->x };
  (void) memcpy (speed.field, VIR_DOMAIN_BLOCK_COPY_BANDWIDTH, sizeof VIR_DOMAIN_BLOCK_COPY_BANDWIDTH);
  return virDomainBlockCopy (w->dom, op->a, op->b, &speed, op->x > 0 ? 1 : 0, op->flags) < 0 ? lv_work_fail (w) : 0;
}

/* --- following --- */

/* out: there is one, done, of all. */
static int
look_run (struct lv_work *w)
{
  virDomainBlockJobInfo info = { 0 };
  int n = virDomainGetBlockJobInfo (w->dom, LV_OP (w)->a, &info, 0);
  if (n < 0)
    return lv_work_fail (w);
  LV_OP (w)->out[0] = (uint64_t) n;
  LV_OP (w)->out[1] = info.cur;
  LV_OP (w)->out[2] = info.end;
  return 0;
}

static int
end_run (struct lv_work *w)
{
  return virDomainBlockJobAbort (w->dom, LV_OP (w)->a, LV_OP (w)->flags) < 0 ? lv_work_fail (w) : 0;
}

struct job {
  struct lv_vm *vm;
  struct hv_call *call;
  const char *target, *phase;
  int ends; /* it waits, when it is ready, for this: */
  unsigned end_flags;
};

static int
has_moved (const struct lv_vm *vm)
{
  return vm->block_job_status >= 0;
}

static int
job_end (struct job *j, unsigned flags, struct hv_err *err)
{
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (end_run, "block job of VM", LV_WORK_CHANGES | LV_WORK_LONG, j->target, NULL);
  if (op != NULL)
    op->flags = flags;
  return lv_op_run (j->vm, op, 0, err);
}

struct give_up {
  struct lv_vm *vm;
  char *target;
};

static void
give_up_run (void *self, void *arg)
{
  struct give_up *g = arg;
  struct job j = { .vm = g->vm, .target = g->target };
  (void) self;
  (void) job_end (&j, VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC, NULL);
  lv_vm_unref (g->vm);
  free (g->target);
  free (g);
}

/* The call is cancelled, and so is every wait in it: somebody else gives the job up. */
static void
give_up (struct job *j)
{
  struct give_up *g = calloc (1, sizeof *g);
  if (g == NULL || (g->target = strdup (j->target)) == NULL) {
    free (g);
    return;
  }
  g->vm = lv_vm_ref (j->vm);
  if (hv_go (j->vm->lv->host, "give up", give_up_run, g) < 0) {
    lv_vm_unref (g->vm);
    free (g->target);
    free (g);
  }
}

/* 1: it is over; 0: it goes on. */
static int
job_look (struct job *j, int *ending, struct hv_err *err)
{
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (look_run, "block job of VM", 0, j->target, NULL);
  int r = lv_op_run (j->vm, op, 0, err);
  if (r < 0)
    return r;
  if (op->out[0] == 0)
    return 1;
  hv_progress (j->call, j->phase, op->out[1], op->out[2], "bytes");
  int ready = j->vm->block_job_status == VIR_DOMAIN_BLOCK_JOB_READY;
  if (!ready || !j->ends || *ending)
    return 0;
  *ending = 1;
  j->vm->block_job_status = -1;
  return job_end (j, j->end_flags, err);
}

static int
job_follow (struct job *j, struct hv_err *err)
{
  int ending = 0, r = 0;
  while (r == 0) {
    int waited = lv_vm_wait (j->vm, has_moved, LOOK_MS, NULL);
    if (waited == HV_E_CANCELLED) {
      give_up (j);
      return hv_err_set (err, waited, "cancelled; the disk is as it was");
    }
    if (!lv_vm_alive (j->vm))
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' ended meanwhile", j->vm->name);
    int status = j->vm->block_job_status;
    if (status == VIR_DOMAIN_BLOCK_JOB_FAILED)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the job failed; the log of the VM may say why");
    if (status == VIR_DOMAIN_BLOCK_JOB_CANCELED && !(ending && !(j->end_flags & VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT)))
      return hv_err_set (err, HV_E_ABORTED, "the job was given up by somebody else");
    r = job_look (j, &ending, err);
  }
  return r < 0 ? r : 0;
}

static int
job_run (struct lv_vm *vm, struct lv_op *op, struct job *j, const char *disk, struct hv_block_info *ret, struct hv_err *err)
{
  vm->block_job_status = -1;
  int r = lv_op_run (vm, op, 0, err);
  hv_step (vm->lv->host, "block_job.begun");
  if (r == 0)
    r = job_follow (j, err);
  if (r == 0)
    r = lv_sync_vm (vm, err);
  if (r < 0)
    return hv_err_wrap (err, r, "%s of disk '%s'", j->phase, disk);
  const struct lv_disk *d = lv_domain_disk (vm->facts, disk);
  ret->disk = disk;
  if (d != NULL && d->path != NULL)
    HV_SET (ret, path, hv_strdup (vm->lv->host, d->path));
  if (d != NULL)
    HV_SET (ret, layers, d->backing_count + 1);
  return 0;
}

/* The target of the disk, in the memory of the call: facts are read anew meanwhile. */
static int
target_of (struct lv_vm *vm, const char *disk, const char **ret, struct hv_err *err)
{
  int r = lv_vm_need_running (vm, err);
  const struct lv_disk *d = r == 0 ? lv_domain_disk (vm->facts, disk) : NULL;
  if (r < 0)
    return r;
  if (d == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no disk '%s'", vm->name, disk);
  *ret = hv_strdup (vm->lv->host, d->target);
  return *ret != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- the verbs --- */

int
lv_block_commit (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_commit_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  struct job j = { .vm = vm, .call = call, .phase = "commit", .end_flags = VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT };
  int r = vm == NULL ? HV_E_NOT_FOUND : target_of (vm, a->disk, &j.target, err);
  if (r < 0)
    return r;
  const struct lv_disk *d = lv_domain_disk (vm->facts, a->disk);
  const char *top = HV_HAS (a, top) && (d->path == NULL || strcmp (a->top, d->path) != 0) ? a->top : NULL;
  j.ends = top == NULL;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (commit_run, "commit a disk of VM", LV_WORK_CHANGES, j.target, top);
  if (op == NULL || (HV_HAS (a, base) && lv_text_set (&op->ret, a->base) < 0))
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  op->x = a->bytes_per_s;
  return job_run (vm, op, &j, a->disk, result, err);
}

int
lv_block_pull (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_pull_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  struct job j = { .vm = vm, .call = call, .phase = "pull" };
  int r = vm == NULL ? HV_E_NOT_FOUND : target_of (vm, a->disk, &j.target, err);
  if (r < 0)
    return r;
  HV_CLEAN (lv_op)
  struct lv_op *op = lv_op_new (pull_run, "pull a disk of VM", LV_WORK_CHANGES, j.target, HV_HAS (a, base) ? a->base : NULL);
  if (op != NULL)
    op->x = a->bytes_per_s;
  return job_run (vm, op, &j, a->disk, result, err);
}

int
lv_block_mirror (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_mirror_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  HV_CLEAN (hv_free) char *xml = NULL;
  struct job j
      = { .vm = vm, .call = call, .phase = "mirror", .ends = 1, .end_flags = a->pivot ? VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT : 0u };
  int r = vm == NULL ? HV_E_NOT_FOUND : target_of (vm, a->disk, &j.target, err);
  if (r == 0)
    r = lv_xml_copy_target (a->path, hv_disk_format_words[a->format], &xml, err);
  if (r < 0)
    return r;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (mirror_run, "mirror a disk of VM", LV_WORK_CHANGES, j.target, xml);
  if (op != NULL) {
    op->x = a->bytes_per_s;
    op->flags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB
                | (a->top_only ? VIR_DOMAIN_BLOCK_COPY_SHALLOW : 0u);
  }
  return job_run (vm, op, &j, a->disk, result, err);
}
