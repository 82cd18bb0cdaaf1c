/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations with side effects that outlive us: recorded before, cleared with what they led to. One at a time per VM: the
 * mutation lane sees to that. What an interruption left is resolved by asking what is true. */
#include "qmp.h"
#include <string.h>

/* What finishes an operation of this kind, or undoes it. Called with the VM re-adopted, or without a process. */
static const struct {
  const char *op;
  int (*resolve) (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);
} kinds[] = {
  { "attach", qmp_attach_resolve },       { "snapshot", qmp_snapshot_resolve }, { "merge", qmp_merge_resolve },
  { "revert", qmp_discard_resolve },      { "discard", qmp_discard_resolve },   { "migrate", qmp_migrate_resolve },
  { "migrate_in", qmp_incoming_resolve }, { "save", qmp_save_resolve },         { "restore", qmp_restore_resolve },
};

int
qmp_pending_begin (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  int r = qmp_kept_set (h, &vm->pending, &qmp_pending_record, p, err);
  if (r == 0)
    r = qmp_record_commit (vm, err);
  if (r < 0)
    return r; /* nothing has happened yet, and now nothing will */
  hv_step (h, "pending.begun");
  return 0;
}

/* One write with everything else that the record says by now. It has happened: should the write fail, it is tried again. */
int
qmp_pending_end (struct qmp_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  int r = qmp_kept_set (h, &vm->pending, &qmp_pending_record, NULL, err);
  if (r == 0)
    r = qmp_record_save (vm, err);
  hv_step (h, "pending.ended");
  return r;
}

int
qmp_pending_resolve (struct qmp_vm *vm, struct hv_err *err)
{
  struct qmp_pending p;
  int r = qmp_kept_get (vm->qmp->host, &vm->pending, &qmp_pending_record, &p, err);
  if (r <= 0)
    return r;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (strcmp (kinds[i].op, p.op) == 0) {
      r = kinds[i].resolve (vm, &p, err);
      return r < 0 ? hv_err_wrap (err, r, "finish '%s' of VM '%s'", p.op, vm->name) : 0;
    }
  return hv_err_set (err, HV_E_UNIMPLEMENTED, "VM '%s': operation '%s' of a newer version is under way", vm->name, p.op);
}

static void
resolve_run (void *self, void *arg)
{
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  (void) self;
  int r = qmp_pending_resolve (vm, err);
  vm->resolving = 0;
  qmp_vm_wake (vm);
  if (r < 0 && r != HV_E_CANCELLED)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "%s", hv_err_message (err));
}

/* Who adopts resolves at the end of it. */
static int
not_resolving (const struct qmp_vm *vm)
{
  return !vm->resolving && !vm->adopting;
}

int
qmp_pending_settle (struct qmp_vm *vm, struct hv_err *err)
{
  if (vm->incoming)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is waiting for a migration", vm->name);
  int r = !not_resolving (vm) ? qmp_vm_wait (vm, not_resolving, 30000, err) : 0;
  if (r == 0 && vm->pending.bytes != NULL) {
    vm->resolving = 1; /* one at a time: a second one would clear what comes after the first */
    r = qmp_pending_resolve (vm, err);
    vm->resolving = 0;
    qmp_vm_wake (vm);
  }
  if (r == 0 && vm->undefined)
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' is not defined any more", vm->name);
  return r < 0 ? hv_err_wrap (err, r, "an earlier operation is not finished") : 0;
}

int
qmp_pending_in_doubt (struct qmp_vm *vm, int code)
{
  if (code != HV_E_UNKNOWN && code != HV_E_CANCELLED && code != HV_E_UNAVAILABLE)
    return 0;
  qmp_pending_later (vm);
  return 1;
}

/* When the operation itself cannot: it was cancelled, or its outcome is not known. */
void
qmp_pending_later (struct qmp_vm *vm)
{
  if (vm->resolving || vm->pending.bytes == NULL)
    return;
  vm->resolving = 1;
  if (hv_go (vm->qmp->host, "resolve", resolve_run, qmp_vm_ref (vm)) < 0) {
    vm->resolving = 0;
    qmp_vm_unref (vm);
  }
}

int
qmp_pending_enter (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  vm->resolving = 1;
  int r = qmp_pending_begin (vm, p, err);
  if (r < 0)
    vm->resolving = 0;
  return r;
}

void
qmp_pending_leave (struct qmp_vm *vm, int code)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  int r = 0;
  if (vm->pending.bytes != NULL && code < 0 && code != HV_E_CANCELLED)
    r = qmp_pending_resolve (vm, err);
  vm->resolving = 0;
  qmp_vm_wake (vm);
  if (r < 0)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "%s", hv_err_message (err));
  if (r == HV_E_CANCELLED || code == HV_E_CANCELLED)
    qmp_pending_later (vm);
}

int
qmp_pending_commit (struct qmp_vm *vm, struct qmp_pending *p, struct hv_err *err)
{
  if (p->committed)
    return 0;
  HV_SET (p, committed, 1);
  int r = qmp_kept_set (vm->qmp->host, &vm->pending, &qmp_pending_record, p, err);
  if (r == 0)
    r = qmp_record_commit (vm, err);
  p->committed = r == 0;
  return r;
}

int
qmp_pending_get (struct qmp_vm *vm, const char *op, struct qmp_pending *ret)
{
  return qmp_kept_get (vm->qmp->host, &vm->pending, &qmp_pending_record, ret, NULL) > 0 && strcmp (ret->op, op) == 0;
}

const char *
qmp_pending_end_reason (struct qmp_vm *vm)
{
  struct qmp_pending p;
  if (qmp_pending_get (vm, "save", &p))
    return p.committed ? "saved" : NULL;
  if (qmp_pending_get (vm, "migrate", &p))
    return p.committed ? "migrated" : NULL;
  if (vm->stop_requested || vm->acknowledged)
    return NULL;
  if (qmp_pending_get (vm, "restore", &p))
    return "restore_failed";
  return qmp_pending_get (vm, "migrate_in", &p) ? "migration_failed" : NULL;
}
