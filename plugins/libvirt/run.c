/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* start, stop, shutdown, pause, resume, reset, reboot. */
#include "libvirt.h"
#include <string.h>

struct run_work {
  struct lv_work w;
  int (*fn) (virDomainPtr, unsigned flags);
  unsigned flags;
};

static int
run_run (struct lv_work *w)
{
  struct run_work *r = (struct run_work *) w;
  return r->fn (w->dom, r->flags) < 0 ? lv_work_fail (w) : 0;
}

/* One call of libvirt that changes the machine. What its events say until a while after it may be older than its answer. */
static int
change (struct lv_vm *vm, const char *what, int (*fn) (virDomainPtr, unsigned), unsigned flags, uint32_t work_flags,
        uint64_t timeout_ms, struct hv_err *err)
{
  struct run_work *c = lv_work_new (sizeof *c, run_run, what, LV_WORK_CHANGES | work_flags);
  HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) c;
  if (c != NULL) {
    c->fn = fn;
    c->flags = flags;
  }
  vm->changing++;
  vm->asked_ms = vm->lv->host->api->now_ms ();
  int r = lv_work_run (vm->daemon, w, vm, timeout_ms, err);
  vm->asked_ms = vm->lv->host->api->now_ms ();
  vm->changing--;
  return r;
}

static int
do_pause (virDomainPtr dom, unsigned flags)
{
  (void) flags;
  return virDomainSuspend (dom);
}

static int
do_resume (virDomainPtr dom, unsigned flags)
{
  (void) flags;
  return virDomainResume (dom);
}

/* --- start --- */

static void
start_failed (struct lv_vm *vm, int r, const char *why)
{
  if (r == HV_E_UNKNOWN || r == HV_E_CANCELLED || r == HV_E_UNAVAILABLE)
    lv_state_read_later (vm); /* when it has come to something: lv_vm_work_done looks again */
  else
    lv_vm_set_state (vm, HV_VM_STOPPED, "start_failed", why);
}

int
lv_start (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_start_args *a = args;
  struct lv *lv = self;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (lv, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->state != HV_VM_STOPPED && (vm->state != HV_VM_CRASHED || lv_vm_alive (vm)))
    return vm->state == HV_VM_UNREACHABLE
               ? lv_vm_need_running (vm, err)
               : hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  if (!vm->daemon->connected)
    return hv_err_set (err, HV_E_UNAVAILABLE, "start VM '%s': libvirt cannot be reached: %s", vm->name, lv_why_lost (vm->daemon));
  lv_faults_clear (vm);
  lv_vm_set_state (vm, HV_VM_STARTING, "start", NULL);
  hv_step (lv->host, "start.begun");
  int r = change (vm, "start VM", virDomainCreateWithFlags, a->paused ? VIR_DOMAIN_START_PAUSED : 0, LV_WORK_LONG,
                  lv->config->start_ms, err);
  hv_step (lv->host, "start.created");
  if (r < 0) {
    start_failed (vm, r, hv_err_message (err));
    return r;
  }
  r = lv_sync_vm (vm, err);
  if (a->paused && vm->state == HV_VM_PAUSED)
    (void) lv_text_set (&vm->reason, "start_paused");
  if (vm->pid == 0)
    lv_process_find (vm);
  lv_vm_fill (vm, result);
  return r;
}

/* --- stop --- */

static int
no_change_pending (const struct lv_vm *vm)
{
  for (const struct lv_work *w = vm->works; w != NULL; w = w->vm_next)
    if (w->flags & LV_WORK_CHANGES && w->abandoned)
      return 0;
  return 1;
}

/* A start that was given up goes on in libvirt, and may make a process after this one was ended; so it is waited for, and what
 * it made is ended, too. */
static int
destroy (struct lv_vm *vm, struct hv_err *err)
{
  uint32_t flags = LV_WORK_URGENT | LV_WORK_LONG;
  int r = 0;
  for (int i = 0; i < 3; i++) {
    r = change (vm, "stop VM", virDomainDestroyFlags, 0, flags, 0, err);
    if (r < 0 && r != HV_E_FAILED_PRECONDITION && r != HV_E_NOT_FOUND)
      return r;
    if (no_change_pending (vm))
      return 0; /* it does not run, whoever ended it */
    r = lv_vm_wait (vm, no_change_pending, 10000, err);
    if (r < 0)
      return r;
  }
  return 0;
}

int
lv_stop (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->state == HV_VM_UNKNOWN)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s': its record cannot be read, so its domain is not known", vm->name);
  int transient = vm->transient;
  if (lv_vm_alive (vm) && !vm->daemon->connected)
    return hv_err_set (err, HV_E_UNAVAILABLE, "stop VM '%s': libvirt cannot be reached: %s", vm->name, lv_why_lost (vm->daemon));
  if (lv_vm_alive (vm))
    lv_vm_set_state (vm, HV_VM_STOPPING, "destroy", NULL);
  hv_step (vm->lv->host, "stop.intent");
  int r = lv_vm_alive (vm) || vm->awaited || !no_change_pending (vm) ? destroy (vm, err) : 0;
  if (r < 0) {
    lv_state_read_later (vm);
    return r;
  }
  hv_step (vm->lv->host, "stop.gone");
  int awaited = vm->awaited;
  vm->awaited = 0;
  lv_vm_set_state (vm, HV_VM_STOPPED, "destroyed", NULL);
  if (transient || awaited)
    lv_sync_later (vm->daemon); /* libvirt has forgotten it */
  else if (!vm->undefined)
    r = lv_sync_vm (vm, err);
  lv_vm_fill (vm, result);
  return r;
}

/* --- shutdown --- */

static int
is_gone (const struct lv_vm *vm)
{
  return !lv_vm_alive (vm);
}

static int
ask_guest (struct lv_vm *vm, uint32_t mode, struct hv_err *err)
{
  unsigned flags = mode == HV_SHUTDOWN_AGENT ? VIR_DOMAIN_SHUTDOWN_GUEST_AGENT : VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN;
  int r = change (vm, "shut down VM", virDomainShutdownFlags, flags, mode == HV_SHUTDOWN_AGENT ? LV_WORK_LONG : 0, 0, err);
  if (r == 0 && lv_vm_alive (vm)) {
    vm->shutdown_asked = 1;
    lv_vm_set_state (vm, HV_VM_STOPPING, "shutdown", NULL);
  }
  return r;
}

/* Guests miss a power button that is pressed while they boot, so it is pressed again. */
static int
shutdown_wait (struct lv_vm *vm, uint32_t mode, uint64_t grace_ms, struct hv_err *err)
{
  struct hv_host *h = vm->lv->host;
  uint64_t end = h->api->now_ms () + grace_ms, again = vm->lv->config->powerdown_ms;
  while (lv_vm_alive (vm)) {
    uint64_t now = h->api->now_ms ();
    if (now >= end)
      return destroy (vm, err);
    int r = lv_vm_wait (vm, is_gone, end - now < again ? end - now : again, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
    if (r < 0 && mode == HV_SHUTDOWN_ACPI && lv_vm_alive (vm) && vm->state != HV_VM_UNREACHABLE)
      (void) ask_guest (vm, mode, NULL);
  }
  return 0;
}

static int
shutdown_begin (struct lv_vm *vm, const struct hv_shutdown_args *a, struct hv_err *err)
{
  if (vm->state == HV_VM_PAUSED && a->grace_ms == 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is paused (%s): its guest cannot shut down; resume or stop it",
                       vm->name, vm->reason != NULL ? vm->reason : "user");
  int r = vm->state == HV_VM_PAUSED ? change (vm, "resume VM", do_resume, 0, 0, 0, err) : 0;
  if (r == 0)
    r = ask_guest (vm, a->mode, err);
  /* with a time limit, a guest that cannot be asked is one that did not obey */
  return r < 0 && a->grace_ms > 0 && r != HV_E_CANCELLED ? 0 : r;
}

int
lv_shutdown (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_shutdown_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (!lv_vm_alive (vm)) {
    lv_vm_fill (vm, result);
    return 0;
  }
  int r = shutdown_begin (vm, a, err);
  if (r == 0 && a->grace_ms > 0)
    r = shutdown_wait (vm, a->mode, a->grace_ms, err);
  if (r == 0 && !vm->undefined && vm->state != HV_VM_UNREACHABLE)
    r = lv_state_read (vm, err);
  if (r == HV_E_NOT_FOUND)
    r = 0; /* a domain that libvirt forgets when it ends */
  lv_vm_fill (vm, result);
  return r;
}

/* --- pause, resume --- */

static int
to_state (struct lv_vm *vm, const char *what, int (*fn) (virDomainPtr, unsigned), const uint32_t *from, uint32_t to, void *result,
          struct hv_err *err)
{
  int allowed = vm->state == to, r = 0;
  for (; *from != HV_VM_STATES; from++)
    allowed |= vm->state == *from;
  if (vm->state == HV_VM_UNREACHABLE)
    return lv_vm_need_running (vm, err);
  if (!allowed)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  if (vm->state != to) {
    vm->shutdown_asked = 0;
    r = change (vm, what, fn, 0, 0, 0, err);
    hv_step (vm->lv->host, "change.done");
    if (r == 0)
      r = lv_state_read (vm, err);
  }
  if (r == 0 && vm->state != to)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s (%s) after %s", vm->name, hv_vm_state_words[vm->state],
                       vm->reason != NULL ? vm->reason : "", what);
  lv_vm_fill (vm, result);
  return r;
}

int
lv_pause (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  static const uint32_t from[] = { HV_VM_RUNNING, HV_VM_STOPPING, HV_VM_STATES };
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, ((const struct hv_vm_ref *) args)->vm, err);
  (void) call;
  return vm == NULL ? HV_E_NOT_FOUND : to_state (vm, "pause VM", do_pause, from, HV_VM_PAUSED, result, err);
}

int
lv_resume (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  static const uint32_t from[] = { HV_VM_PAUSED, HV_VM_SUSPENDED, HV_VM_STATES };
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, ((const struct hv_vm_ref *) args)->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  return to_state (vm, "resume VM", vm->state == HV_VM_SUSPENDED ? virDomainPMWakeup : do_resume, from, HV_VM_RUNNING, result, err);
}

/* --- reset, reboot --- */

void
lv_reset_told (struct lv_vm *vm)
{
  vm->resets++;
  lv_vm_wake (vm);
}

int
lv_reset (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, ((const struct hv_vm_ref *) args)->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r == 0)
    r = change (vm, "reset VM", virDomainReset, 0, 0, 0, err);
  if (r == 0)
    r = lv_state_read (vm, err);
  if (r == 0)
    lv_vm_fill (vm, result);
  return r;
}

static int
has_reset (const struct lv_vm *vm)
{
  return vm->resets > 0 || !lv_vm_alive (vm);
}

int
lv_reboot (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_reboot_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  unsigned flags = a->mode == HV_SHUTDOWN_AGENT ? VIR_DOMAIN_REBOOT_GUEST_AGENT : VIR_DOMAIN_REBOOT_ACPI_POWER_BTN;
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r < 0)
    return r;
  vm->resets = 0;
  r = change (vm, "reboot VM", virDomainReboot, flags, a->mode == HV_SHUTDOWN_AGENT ? LV_WORK_LONG : 0, 0, err);
  if (a->grace_ms > 0 && r != HV_E_CANCELLED) {
    if (r == 0)
      r = lv_vm_wait (vm, has_reset, a->grace_ms, err);
    if (r < 0 && r != HV_E_CANCELLED && lv_vm_alive (vm))
      r = change (vm, "reset VM", virDomainReset, 0, 0, 0, err);
  }
  if (r == 0)
    r = lv_state_read (vm, err);
  if (r == 0)
    lv_vm_fill (vm, result);
  return r;
}
