/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Machines into files: save, restore, dump_memory. libvirt's daemon opens the files. */
#include "op.h"
#include "xml/read.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* [worker] */
static int
must_not_exist (struct lv_work *w, const char *path)
{
  if (access (path, F_OK) == 0)
    return lv_work_error (w, HV_E_ALREADY_EXISTS, "file '%s' exists", path);
  return errno == ENOENT ? 0 : lv_work_error (w, hv_err_from_errno (errno), "file '%s': %s", path, strerror (errno));
}

/* --- save --- */

static int
save_run (struct lv_work *w)
{
  int r = must_not_exist (w, LV_OP (w)->a);
  return r < 0 ? r : virDomainSaveFlags (w->dom, LV_OP (w)->a, NULL, 0) < 0 ? lv_work_fail (w) : 0;
}

int
lv_save (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_save_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r < 0)
    return r;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (save_run, "save VM", LV_WORK_CHANGES, a->path, NULL);
  r = lv_op_long (vm, op, call, "save", err);
  hv_step (vm->lv->host, "save.done");
  if (r < 0) {
    lv_sync_vm_later (vm);
    return r;
  }
  r = lv_sync_vm (vm, err);
  lv_vm_fill (vm, result);
  return r;
}

/* --- restore --- */

/* out[0]: 1: begins with the state of another domain. */
static int
restore_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  struct lv_domain *d = NULL;
  if (access (op->a, R_OK) < 0)
    return lv_work_error (w, hv_err_from_errno (errno), "file '%s': %s", op->a, strerror (errno));
  char *xml = virDomainSaveImageGetXMLDesc (w->conn, op->a, 0);
  if (xml == NULL || lv_domain_read (xml, &d, NULL) < 0) {
    free (xml);
    return lv_work_error (w, HV_E_INVALID_ARGUMENT, "file '%s' is none that libvirt saved", op->a);
  }
  free (xml);
  int other = strcmp (d->name, virDomainGetName (w->dom)) != 0;
  int r = other ? lv_work_error (w, HV_E_FAILED_PRECONDITION, "file '%s' has the state of VM '%s'", op->a, d->name) : 0;
  lv_domain_free (d);
  if (r == 0 && virDomainRestoreFlags (w->conn, op->a, NULL, op->flags) < 0)
    r = lv_work_fail (w);
  return r;
}

int
lv_restore (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_restore_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->state != HV_VM_STOPPED && (vm->state != HV_VM_CRASHED || lv_vm_alive (vm)))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (restore_run, "restore VM", LV_WORK_CHANGES, a->path, NULL);
  if (op != NULL)
    op->flags = a->paused ? VIR_DOMAIN_SAVE_PAUSED : VIR_DOMAIN_SAVE_RUNNING;
  const uint32_t was = vm->state;
  HV_CLEAN (hv_free) char *reason = vm->reason != NULL ? strdup (vm->reason) : NULL;
  lv_vm_set_state (vm, HV_VM_STARTING, "restore", NULL);
  int r = lv_op_long (vm, op, call, "restore", err);
  hv_step (vm->lv->host, "restore.done");
  if (r < 0 && r != HV_E_UNKNOWN && r != HV_E_CANCELLED)
    lv_vm_set_state (vm, was == HV_VM_STOPPED ? HV_VM_STOPPED : HV_VM_CRASHED, reason != NULL ? reason : "restore_failed", NULL);
  if (r < 0) {
    lv_sync_vm_later (vm);
    return r;
  }
  r = lv_sync_vm (vm, err);
  if (r == 0)
    (void) lv_text_set (&vm->reason, "restored");
  if (vm->pid == 0)
    lv_process_find (vm);
  lv_vm_fill (vm, result);
  return r;
}

/* --- dump --- */

static int
dump_run (struct lv_work *w)
{
  int r = must_not_exist (w, LV_OP (w)->a);
  if (r == 0 && virDomainCoreDumpWithFormat (w->dom, LV_OP (w)->a, (unsigned) LV_OP (w)->x, VIR_DUMP_MEMORY_ONLY) < 0)
    r = lv_work_fail (w);
  return r;
}

int
lv_dump_memory (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  static const unsigned formats[]
      = { VIR_DOMAIN_CORE_DUMP_FORMAT_RAW, VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_ZLIB, VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_LZO,
          VIR_DOMAIN_CORE_DUMP_FORMAT_KDUMP_SNAPPY, VIR_DOMAIN_CORE_DUMP_FORMAT_WIN_DMP };
  const struct hv_dump_memory_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) result;
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r < 0)
    return r;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (dump_run, "dump memory of VM", LV_WORK_CHANGES, a->path, NULL);
  if (op != NULL)
    op->x = formats[a->format];
  r = lv_op_long (vm, op, call, "dump", err);
  lv_sync_vm_later (vm); /* it stood still meanwhile */
  return r;
}
