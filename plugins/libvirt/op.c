/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "op.h"
#include <string.h>

static void
op_clear (struct lv_work *w)
{
  free (LV_OP (w)->a);
  free (LV_OP (w)->b);
  free (LV_OP (w)->ret);
}

struct lv_op *
lv_op_new (int (*run) (struct lv_work *), const char *what, uint32_t work_flags, const char *a, const char *b)
{
  HV_CLEAN (lv_op) struct lv_op *op = lv_work_new (sizeof *op, run, what, work_flags);
  if (op == NULL)
    return NULL;
  op->w.clear = op_clear;
  if (lv_text_set (&op->a, a) < 0 || lv_text_set (&op->b, b) < 0)
    return NULL;
  return HV_STEAL (op);
}

void
lv_op_free (struct lv_op *op)
{
  lv_work_unref (op != NULL ? &op->w : NULL);
}

int
lv_op_run (struct lv_vm *vm, struct lv_op *op, uint64_t timeout_ms, struct hv_err *err)
{
  return lv_work_run (vm->daemon, op != NULL ? &op->w : NULL, vm, timeout_ms, err);
}

static int
change (struct lv_vm *vm, struct lv_work *w, uint64_t timeout_ms, struct hv_err *err)
{
  vm->changing++;
  vm->asked_ms = vm->lv->host->api->now_ms ();
  int r = lv_work_run (vm->daemon, w, vm, timeout_ms, err);
  vm->asked_ms = vm->lv->host->api->now_ms ();
  vm->changing--;
  return r;
}

int
lv_op_change (struct lv_vm *vm, struct lv_op *op, uint64_t timeout_ms, struct hv_err *err)
{
  return change (vm, op != NULL ? &op->w : NULL, timeout_ms, err);
}

/* --- long ones --- */

struct watch {
  struct lv_vm *vm;     /* held */
  struct hv_call *call; /* NULL: nobody is told any more */
  const char *phase;
  uint32_t refs;
};

static void
watch_unref (struct watch *w)
{
  if (--w->refs > 0)
    return;
  lv_vm_unref (w->vm);
  free (w);
}

static int
progress_run (struct lv_work *w)
{
  virDomainJobInfo info;
  if (virDomainGetJobInfo (w->dom, &info) < 0)
    return lv_work_fail (w);
  LV_OP (w)->out[0] = info.dataProcessed;
  LV_OP (w)->out[1] = info.dataTotal;
  return 0;
}

static void
watch_progress (void *self, void *arg)
{
  struct watch *w = arg;
  (void) self;
  while (w->call != NULL && hv_sleep (w->vm->lv->host, 250, NULL) == 0 && w->call != NULL) {
    HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (progress_run, "progress of VM", LV_WORK_LIGHT, NULL, NULL);
    if (lv_op_run (w->vm, op, 2000, NULL) == 0 && w->call != NULL && op->out[1] > 0)
      hv_progress (w->call, w->phase, op->out[0], op->out[1], "bytes");
  }
  watch_unref (w);
}

static int
abort_run (struct lv_work *w)
{
  return virDomainAbortJob (w->dom) < 0 ? lv_work_fail (w) : 0;
}

static void
abort_job (void *self, void *arg)
{
  HV_CLEAN (lv_vm) struct lv_vm *vm = arg;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (abort_run, "give up the job of VM", LV_WORK_LIGHT | LV_WORK_URGENT, NULL, NULL);
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->lv->host);
  (void) self;
  if (lv_op_run (vm, op, 0, err) < 0)
    hv_log (vm->lv->host, HV_LOG_NOTICE, "%s", hv_err_message (err));
}

void
lv_abort_later (struct lv_vm *vm)
{
  if (hv_go (vm->lv->host, "abort", abort_job, lv_vm_ref (vm)) < 0)
    lv_vm_unref (vm);
}

int
lv_op_long (struct lv_vm *vm, struct lv_op *op, struct hv_call *call, const char *phase, struct hv_err *err)
{
  return lv_work_long (vm, op != NULL ? &op->w : NULL, call, phase, err);
}

int
lv_work_long (struct lv_vm *vm, struct lv_work *work, struct hv_call *call, const char *phase, struct hv_err *err)
{
  struct watch *w = malloc (sizeof *w);
  if (w == NULL || work == NULL) {
    free (w);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  *w = (struct watch){ .vm = lv_vm_ref (vm), .call = call, .phase = phase, .refs = 1 };
  if (hv_go (vm->lv->host, "progress", watch_progress, w) == 0)
    w->refs++;
  work->flags |= LV_WORK_LONG;
  int r = change (vm, work, UINT32_MAX, err);
  w->call = NULL;
  watch_unref (w);
  if (r == HV_E_CANCELLED && work->abandoned)
    lv_abort_later (vm);
  return r;
}
