/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From defined to undefined. */
#include "toy.h"
#include <string.h>
#include <strings.h>

/* --- define, undefine --- */

static void
announce (struct toy_vm *vm, const char *reason, int undefined)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->toy->host);
  struct hv_lifecycle e = { .vm = vm->name, .state = vm->state };
  HV_SET (&e, reason, reason);
  if (undefined)
    HV_SET (&e, undefined, 1);
  if (hv_publish (vm->toy->host, "lifecycle", &e, err) < 0)
    hv_log (vm->toy->host, HV_LOG_WARNING, "VM '%s': event lost: %s", vm->name, hv_err_message (err));
}

static int
uuid_free (struct toy *t, const struct hv_define_args *a, struct hv_err *err)
{
  for (uint32_t i = 0; i < t->count; i++) {
    struct toy_document d;
    int r = toy_vm_read (t->vms[i], &d, err);
    if (r < 0)
      return r;
    if (strcmp (t->vms[i]->name, a->vm) != 0 && strcasecmp (d.machine.uuid, a->machine.uuid) == 0)
      return hv_err_set (err, HV_E_ALREADY_EXISTS, "machine.uuid '%s' is that of VM '%s'", a->machine.uuid, t->vms[i]->name);
  }
  return 0;
}

/* What a sleeping machine cannot be is said at once, by the path of the field. */
static int
honours (const struct hv_machine *m, struct hv_err *err)
{
  const struct {
    const char *field, *value, *only;
  } fields[] = { { "arch", m->arch, "amd64" }, { "machine", m->machine, "q35" }, { "firmware", m->firmware, "bios" } };
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
    if (strcmp (fields[i].value, fields[i].only) != 0)
      return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.%s '%s': this backend has %s only", fields[i].field, fields[i].value,
                         fields[i].only);
  return HV_HAS (m, watchdog) ? hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.watchdog: nobody watches a machine that sleeps") : 0;
}

static int
define_check (struct toy *t, const struct hv_define_args *a, struct toy_vm *found, struct hv_err *err)
{
  if (strcmp (a->vm, a->machine.name) != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "vm '%s' and machine.name '%s' differ", a->vm, a->machine.name);
  if (found != NULL && !a->replace)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "VM '%s' is defined already", a->vm);
  if (found != NULL && found->state != HV_VM_STOPPED && found->state != HV_VM_CRASHED)
    return toy_vm_wrong_state (found, err);
  int r = honours (&a->machine, err);
  return r == 0 ? uuid_free (t, a, err) : r;
}

int
toy_define (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_define_args *a = args;
  struct toy_vm *found = toy_vm_find (self, a->vm, NULL);
  (void) call;
  int r = define_check (self, a, found, err);
  if (r < 0)
    return r;
  if (found == NULL && toy_vm_new (self, a->vm, err) == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  struct toy_document d = { .machine = a->machine, .state = vm->state };
  HV_SET (&d, reason, "defined");
  r = toy_vm_write (vm, &d, err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  if (r < 0) {
    if (found == NULL)
      toy_vm_remove (vm);
    return r;
  }
  announce (vm, "defined", 0);
  return toy_vm_fill (vm, result, err);
}

int
toy_undefine (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  (void) result;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->state != HV_VM_STOPPED && vm->state != HV_VM_CRASHED)
    return toy_vm_wrong_state (vm, err);
  int r = toy_vm_forget (vm, err);
  if (r < 0)
    return r;
  announce (vm, "undefined", 1);
  toy_vm_remove (vm);
  return 0;
}

/* --- start --- */

/* The intent, the process, its pid, the boot; each on disk before the next. */
static int
launch (struct toy_vm *vm, int paused, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  int r = toy_vm_state (vm, HV_VM_STARTING, "start", NULL, err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  if (r == 0)
    r = toy_process_start (vm, err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  if (r == 0)
    r = hv_sleep (h, vm->toy->config.boot_ms, err);
  if (r == 0 && vm->pidfd < 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s': its process ended at once", vm->name);
  if (r == 0)
    r = toy_vm_state (vm, paused ? HV_VM_PAUSED : HV_VM_RUNNING, paused ? "start_paused" : "booted", NULL, err);
  return r == 0 ? toy_vm_save (vm, err) : r;
}

int
toy_start (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_start_args *a = args;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->state != HV_VM_STOPPED && vm->state != HV_VM_CRASHED)
    return toy_vm_wrong_state (vm, err);
  int r = launch (vm, a->paused, err);
  if (r == 0)
    return toy_vm_fill (vm, result, err);
  /* whoever gave up: what has begun is undone, by the watch if this coroutine may not wait any more */
  if (vm->pidfd >= 0)
    toy_process_end (vm, "start_failed");
  else if (vm->state == HV_VM_STARTING && toy_vm_state (vm, HV_VM_STOPPED, "start_failed", NULL, NULL) == 0)
    toy_vm_save_later (vm);
  return hv_err_wrap (err, r, "start VM '%s'", vm->name);
}

/* --- ends --- */

static int
end (struct toy_vm *vm, const char *why, struct hv_err *err)
{
  toy_process_end (vm, why);
  return toy_process_wait (vm, 10000, err);
}

int
toy_stop (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = vm->pidfd >= 0 ? toy_vm_state (vm, HV_VM_STOPPING, "destroy", NULL, err) : 0;
  if (r == 0)
    r = end (vm, "destroyed", err);
  if (r == 0)
    r = toy_vm_state (vm, HV_VM_STOPPED, "destroyed", NULL, err); /* from crashed */
  if (r == 0)
    r = toy_vm_save (vm, err);
  return r == 0 ? toy_vm_fill (vm, result, err) : r;
}

/* A guest that does not run cannot be asked; with a time limit it is one that did not obey. */
static int
ask (struct toy_vm *vm, uint64_t grace_ms, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  uint32_t poweroff_ms = vm->toy->config.poweroff_ms;
  if (vm->state == HV_VM_PAUSED)
    return grace_ms > 0 ? 0 : toy_vm_wrong_state (vm, err);
  int r = toy_vm_state (vm, HV_VM_STOPPING, "shutdown", NULL, err);
  if (r == 0 && poweroff_ms > 0)
    h->api->timer_set (h, vm->poweroff, poweroff_ms, 0);
  return r == 0 ? toy_vm_save (vm, err) : r;
}

int
toy_shutdown (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_shutdown_args *a = args;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = vm->pidfd >= 0 ? ask (vm, a->grace_ms, err) : 0;
  if (r == 0 && a->grace_ms > 0)
    r = toy_process_wait (vm, a->grace_ms, err);
  if (r == HV_E_DEADLINE_EXCEEDED)
    r = end (vm, "shutdown_timeout", err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  return r == 0 ? toy_vm_fill (vm, result, err) : r;
}

/* --- meanwhile --- */

static int
change (void *self, const char *name, uint32_t from, uint32_t to, const char *reason, void *result, struct hv_err *err)
{
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, name, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->state != from && vm->state != to)
    return toy_vm_wrong_state (vm, err);
  int r = toy_vm_state (vm, to, reason, NULL, err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  return r == 0 ? toy_vm_fill (vm, result, err) : r;
}

int
toy_pause (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  return change (self, ((const struct hv_vm_ref *) args)->vm, HV_VM_RUNNING, HV_VM_PAUSED, "user", result, err);
}

int
toy_resume (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  return change (self, ((const struct hv_vm_ref *) args)->vm, HV_VM_PAUSED, HV_VM_RUNNING, "resumed", result, err);
}

static int
rebooted (struct toy_vm *vm, int by_guest, void *result, struct hv_err *err)
{
  struct hv_reboot_event e = { .vm = vm->name };
  HV_SET (&e, by_guest, (uint8_t) by_guest);
  int r = hv_publish (vm->toy->host, "reboot", &e, err);
  return r == 0 ? toy_vm_fill (vm, result, err) : r;
}

int
toy_reset (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct toy_vm *vm = toy_vm_find (self, ((const struct hv_vm_ref *) args)->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->state != HV_VM_RUNNING && vm->state != HV_VM_PAUSED)
    return toy_vm_wrong_state (vm, err);
  return rebooted (vm, 0, result, err);
}

int
toy_reboot (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct toy_vm *vm = toy_vm_find (self, ((const struct hv_reboot_args *) args)->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->state != HV_VM_RUNNING)
    return toy_vm_wrong_state (vm, err);
  return rebooted (vm, 1, result, err);
}

int
toy_adopt (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct toy_vm *vm = toy_vm_find (self, ((const struct hv_vm_ref *) args)->vm, err);
  (void) call;
  return vm != NULL ? toy_vm_fill (vm, result, err) : HV_E_NOT_FOUND; /* it always is under control */
}

int
toy_agent_command (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct toy_vm *vm = toy_vm_find (self, ((const struct hv_agent_command_args *) args)->vm, err);
  (void) call;
  (void) result;
  return vm == NULL ? HV_E_NOT_FOUND : hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': no guest agent is connected", vm->name);
}
