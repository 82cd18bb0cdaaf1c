/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verbs that are not an adventure: define, undefine, list, get, native, adopt, start, pause, resume, stats, probe. */
#include "qmp.h"
#include <stdio.h>
#include <string.h>

static struct qmp_vm *
vm_hold (struct qmp *q, const char *name, struct hv_err *err)
{
  struct qmp_vm *vm = qmp_vm_find (q, name, err);
  return vm != NULL ? qmp_vm_ref (vm) : NULL;
}

/* --- define, undefine --- */

int
qmp_define_check (struct qmp *q, const char *name, const struct hv_machine *m, struct hv_err *err)
{
  if (strcmp (name, m->name) != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "vm '%s' and machine.name '%s' differ", name, m->name);
  int r = qmp_node_wait (q, err);
  if (r == 0)
    r = qmp_argv_check (m, q->accel, err);
  for (uint32_t i = 0; r == 0 && i < q->vm_count; i++)
    if (q->vms[i]->uuid != NULL && strcasecmp (q->vms[i]->uuid, m->uuid) == 0 && strcmp (q->vms[i]->name, name) != 0)
      return hv_err_set (err, HV_E_ALREADY_EXISTS, "machine.uuid '%s' is that of VM '%s'", m->uuid, q->vms[i]->name);
  return r;
}

void
qmp_define_pin (const struct qmp *q, struct hv_machine *m)
{
  if (strcmp (m->machine, "q35") == 0 && q->q35 != NULL)
    HV_SET (m, machine, q->q35); /* pinned: the guest's hardware does not change with the package */
  m->memory_bytes = qmp_argv_memory (m->memory_bytes);
}

/* A record that cannot be read says nothing about a process, so the processes are asked. */
static int
may_replace (struct qmp_vm *vm, struct hv_err *err)
{
  const char *run_dir = vm->qmp->host->api->info (vm->qmp->host)->run_dir;
  int32_t pid = vm->state == HV_VM_UNKNOWN ? qmp_process_find_by_name (run_dir, vm->name) : 0;
  if (pid > 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s': its record cannot be read, and process %d runs it", vm->name,
                       (int) pid);
  if (vm->launched || qmp_vm_alive (vm))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  return 0;
}

/* Disks with snapshots are what the snapshots made of them: a definition that names other images would lose what was written
 * since. */
static int
may_rebase (struct qmp_vm *vm, const struct hv_machine *m, struct hv_err *err)
{
  struct qmp_snapshots all;
  struct hv_machine now;
  int r = qmp_snapshots_get (vm, &all, err);
  if (r < 0 || all.items.count == 0)
    return r;
  r = qmp_vm_machine (vm, &now, err);
  for (uint32_t i = 0; r == 0 && i < now.disks.count; i++) {
    const struct hv_machine_disk *d = &now.disks.items[i], *after = qmp_machine_disk (m, d->name);
    if (after != NULL && strcmp (after->path, d->path) != 0)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                         "VM '%s' has snapshots, and its disk '%s' is '%s' by now, not '%s'; delete the snapshots first", vm->name,
                         d->name, d->path, after->path);
  }
  return r;
}

void
qmp_announce (struct qmp_vm *vm, const char *reason, int undefined)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  struct hv_lifecycle e = { .vm = vm->name };
  HV_SET (&e, state, vm->state);
  HV_SET (&e, reason, reason);
  if (undefined)
    HV_SET (&e, undefined, 1);
  if (hv_publish (vm->qmp->host, "lifecycle", &e, err) < 0)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "VM '%s': event lost: %s", vm->name, hv_err_message (err));
}

static int
define_take (struct qmp_vm *vm, const struct hv_define_args *a, struct hv_err *err)
{
  struct qmp *q = vm->qmp;
  struct hv_machine m = a->machine;
  qmp_define_pin (q, &m);
  int unknown = vm->state == HV_VM_UNKNOWN;
  HV_CLEAN (hv_free) char *reason = HV_STEAL (vm->reason);
  if (unknown)
    qmp_vm_set_state (vm, HV_VM_STOPPED, "defined", NULL);
  int r = qmp_text_set (&vm->reason, "defined");
  r = r < 0 ? hv_err_set (err, r, "out of memory") : qmp_record_define (vm, &m, err);
  if (r < 0 && unknown)
    qmp_vm_set_state (vm, HV_VM_UNKNOWN, "record_unreadable", hv_err_message (err));
  else if (r < 0)
    (void) qmp_text_set (&vm->reason, reason);
  return r;
}

int
qmp_define (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct qmp *q = self;
  const struct hv_define_args *a = args;
  (void) call;
  int r = qmp_define_check (q, a->vm, &a->machine, err);
  if (r < 0)
    return hv_err_wrap (err, r, "define VM '%s'", a->vm);
  struct qmp_vm *found = qmp_vm_find (q, a->vm, NULL);
  if (found != NULL && !a->replace)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "VM '%s' is defined already", a->vm);
  if (found != NULL && ((r = may_replace (found, err)) < 0 || (r = may_rebase (found, &a->machine, err)) < 0))
    return r;
  struct qmp_vm *listed = found != NULL ? found : qmp_vm_new (q, a->vm, err);
  if (listed == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_ref (listed);
  r = define_take (vm, a, err);
  if (r < 0 && found == NULL)
    qmp_vm_remove (vm);
  if (r < 0)
    return hv_err_wrap (err, r, "define VM '%s'", a->vm);
  hv_step (q->host, "define.recorded");
  qmp_announce (vm, "defined", 0);
  qmp_vm_fill (vm, result);
  return 0;
}

int
qmp_undefine_vm (struct qmp_vm *vm, struct hv_err *err)
{
  int r = qmp_record_delete (vm, err);
  if (r < 0)
    return r;
  hv_step (vm->qmp->host, "undefine.deleted");
  if (vm->uuid != NULL) {
    qmp_nvram_remove (vm);
    qmp_paths_remove (vm, 0);
  }
  qmp_announce (vm, "undefined", 1);
  qmp_vm_remove (vm);
  return 0;
}

int
qmp_undefine (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = vm_hold (self, a->vm, err);
  (void) call;
  (void) result;
  int r = vm == NULL ? HV_E_NOT_FOUND : may_replace (vm, err);
  return r == 0 ? qmp_undefine_vm (vm, err) : r;
}

/* --- reading --- */

int
qmp_list (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct qmp *q = self;
  const struct hv_list_args *a = args;
  struct hv_vm_list *ret = result;
  uint32_t at = 0;
  (void) call;
  while (HV_HAS (a, continue_from) && at < q->vm_count && strcmp (q->vms[at]->name, a->continue_from) <= 0)
    at++;
  uint32_t n = q->vm_count - at < a->limit ? q->vm_count - at : a->limit;
  ret->items.items = hv_alloc (q->host, ((uint64_t) n + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (; ret->items.count < n; ret->items.count++)
    qmp_vm_fill (q->vms[at + ret->items.count], &ret->items.items[ret->items.count]);
  if (at + n < q->vm_count)
    HV_SET (ret, continue_from, q->vms[at + n - 1]->name);
  q->host->api->cursor (q->host, &ret->epoch, &ret->seq);
  ret->has.epoch = ret->has.seq = 1;
  return 0;
}

int
qmp_get (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  struct qmp_vm *vm = qmp_vm_find (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  qmp_vm_fill (vm, result);
  return 0;
}

int
qmp_native (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  struct hv_native *ret = result;
  struct hv_machine m;
  struct qmp_argv argv = { 0 };
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_node_wait (self, err);
  if (r == 0)
    r = qmp_vm_live (vm, &m, err);
  if (r == 0)
    r = qmp_native_argv (vm, &m, NULL, 0, &argv, err);
  if (r < 0)
    return r;
  const char **items = hv_alloc (vm->qmp->host, (uint64_t) argv.count * sizeof *items);
  for (uint32_t i = 0; items != NULL && i < argv.count; i++)
    items[i] = hv_strdup (vm->qmp->host, argv.items[i]);
  ret->format = "argv";
  if (items != NULL)
    HV_SET (ret, argv, ((struct hv_strs){ items, argv.count }));
  qmp_argv_clear (&argv);
  return items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

int
qmp_adopt (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = qmp_control_ready (vm) ? 0 : qmp_adopt_one (vm, err);
  qmp_vm_fill (vm, result);
  return r;
}

/* --- running --- */

int
qmp_start (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_start_args *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->launched || qmp_vm_alive (vm) || (vm->state != HV_VM_STOPPED && vm->state != HV_VM_CRASHED))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  int r = qmp_pending_settle (vm, err);
  if (r == 0)
    r = qmp_launch (vm, &(struct qmp_launch){ .op = "start", .run_reason = "booted", .paused = a->paused }, err);
  qmp_vm_fill (vm, result);
  return r;
}

/* Takes over what the monitor says now, so that the answer and what list shows next are the same. */
static int
settle (struct qmp_vm *vm, struct hv_err *err)
{
  HV_CLEAN (json) json_t *status = NULL;
  int r = qmp_control_query (vm, "query-status", NULL, &status, err);
  if (r < 0)
    return r;
  qmp_status_apply (vm, qmp_json_str (status, "status", "other"));
  return qmp_record_save (vm, err);
}

static int
change (struct qmp *q, const char *name, const char *command, const uint32_t *from, uint32_t to, void *result, struct hv_err *err)
{
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = vm_hold (q, name, err);
  struct qmp_pending p;
  int allowed = 0, r = 0;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  for (; *from != HV_VM_STATES; from++)
    allowed |= vm->state == *from;
  if (qmp_pending_get (vm, "save", &p) || qmp_pending_get (vm, "migrate", &p))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s': it is not settled yet what became of '%s'", vm->name, p.op);
  if (vm->state == HV_VM_UNREACHABLE || vm->state == HV_VM_UNMANAGED)
    return qmp_vm_need_running (vm, err);
  if (!allowed && vm->state != to)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  if (vm->state != to)
    r = qmp_control_change (vm, vm->state == HV_VM_SUSPENDED ? "system_wakeup" : command, NULL, err);
  hv_step (q->host, "change.done");
  if (r == 0)
    r = settle (vm, err);
  if (r == 0 && vm->state != to && vm->state != HV_VM_STOPPING)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s (%s) after %s", vm->name, hv_vm_state_words[vm->state],
                       vm->reason != NULL ? vm->reason : "", command);
  qmp_vm_fill (vm, result);
  return r;
}

int
qmp_pause (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  static const uint32_t from[] = { HV_VM_RUNNING, HV_VM_STOPPING, HV_VM_STATES };
  (void) call;
  return change (self, ((const struct hv_vm_ref *) args)->vm, "stop", from, HV_VM_PAUSED, result, err);
}

int
qmp_resume (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  static const uint32_t from[] = { HV_VM_PAUSED, HV_VM_SUSPENDED, HV_VM_STATES };
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, ((const struct hv_vm_ref *) args)->vm, err);
  (void) call;
  if (vm != NULL && vm->incoming && vm->state == HV_VM_PAUSED) {
    /* it has come, nobody said that it may run, and now somebody does */
    int r = qmp_incoming_take (vm, 1, err);
    qmp_vm_fill (vm, result);
    return r;
  }
  return vm == NULL ? HV_E_NOT_FOUND : change (self, vm->name, "cont", from, HV_VM_RUNNING, result, err);
}

/* --- probe --- */

static int
probe_verbs (struct qmp *q, struct hv_probe *ret)
{
  uint32_t n = 0;
  while (hv_iface_hypervisor.verbs[n] != NULL)
    n++;
  ret->verbs.items = hv_alloc (q->host, (uint64_t) n * sizeof *ret->verbs.items);
  if (ret->verbs.items == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (; ret->verbs.count < n; ret->verbs.count++) {
    struct hv_support *s = &ret->verbs.items[ret->verbs.count];
    s->verb = hv_iface_hypervisor.verbs[ret->verbs.count]->verb;
    const char *why = qmp_lacks (s->verb);
    s->supported = why == NULL;
    if (why != NULL)
      HV_SET (s, reason, why);
  }
  ret->has.verbs = 1;
  return 0;
}

static int
probe_accels (struct qmp *q, struct hv_probe *ret)
{
  struct hv_accel *a = hv_alloc (q->host, 2 * sizeof *a);
  if (a == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  a[0] = (struct hv_accel){ .name = "kvm", .works = q->kvm_works };
  HV_SET (&a[0], reason, q->kvm_tried ? q->kvm_reason : "not tried: the accelerator is pinned in the configuration");
  a[1] = (struct hv_accel){ .name = "tcg", .works = 1 };
  HV_SET (&a[1], reason, "emulation needs nothing from the processor");
  ret->accels.items = a;
  ret->accels.count = 2;
  ret->has.accels = 1;
  return 0;
}

int
qmp_probe (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct qmp *q = self;
  struct hv_probe *ret = result;
  uint32_t n = 0;
  (void) call;
  (void) args;
  int r = qmp_node_wait (q, err);
  if (r < 0)
    return r;
  ret->backend = "qemu";
  ret->arch = "amd64";
  ret->accel = q->accel;
  HV_SET (ret, version, q->version);
  HV_SET (ret, binary, q->config->qemu);
  while (q->machines != NULL && q->machines[n] != NULL)
    n++;
  HV_SET (ret, machines, ((struct hv_strs){ (const char *const *) q->machines, n }));
  if (probe_accels (q, ret) < 0 || probe_verbs (q, ret) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return 0;
}
