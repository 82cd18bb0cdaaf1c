/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ways to an end: asking the guest, asking QEMU, and the two signals. */
#include "qmp.h"
#include <signal.h>
#include <string.h>

static int
is_gone (const struct qmp_vm *vm)
{
  return vm->pidfd < 0;
}

/* Each step gets its time; the process's end is what is waited for, never an answer. */
int
qmp_end (struct qmp_vm *vm, struct hv_err *err)
{
  const struct qmp_config *c = vm->qmp->config;
  const struct {
    int signum;
    uint32_t wait_ms;
  } steps[] = { { 0, c->quit_ms }, { SIGTERM, c->term_ms }, { SIGKILL, 10000 } };
  vm->stop_requested = 1;
  for (size_t i = 0; i < sizeof steps / sizeof steps[0] && vm->pidfd >= 0; i++) {
    if (steps[i].signum == 0 && (!qmp_control_ready (vm) || vm->misses >= 2))
      continue;
    if (steps[i].signum == 0)
      qmp_control_post (vm, "quit");
    else
      qmp_kill (vm, steps[i].signum);
    int r = qmp_vm_wait (vm, is_gone, steps[i].wait_ms, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
  }
  if (vm->pidfd >= 0)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': process %d does not die; it is probably stuck in the kernel", vm->name,
                       (int) vm->pid);
  return 0;
}

/* That the guest shut down by itself is on disk before its process goes, or it would seem to have crashed to a daemon that was not
 * there: and a machine that crashes is started again. */
static void
let_go_run (void *self, void *arg)
{
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  (void) self;
  if (qmp_record_save (vm, err) < 0)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "%s", hv_err_message (err));
  vm->letting_go = 0;
  qmp_control_post (vm, "quit");
}

void
qmp_let_go (struct qmp_vm *vm)
{
  vm->shutdown_seen = 1;
  if (vm->letting_go)
    return;
  vm->letting_go = 1;
  if (hv_go (vm->qmp->host, "let go", let_go_run, qmp_vm_ref (vm)) == 0)
    return;
  vm->letting_go = 0;
  qmp_vm_unref (vm);
  qmp_control_post (vm, "quit");
}

/* A machine that runs without our control is still known by its record: enough for its pidfd. */
static int
stop_find (struct qmp_vm *vm, struct hv_err *err)
{
  if (vm->pidfd >= 0 || !vm->launched)
    return 0;
  int r = qmp_process_open (vm->pid, vm->start_ticks, vm->uuid, &vm->pidfd, err);
  if (r == 0)
    return qmp_exit_watch (vm, err);
  vm->launched = vm->acknowledged = 0;
  return 0;
}

/* The wish is on disk before the process goes: a daemon that dies in between leaves no machine that seems to have crashed.
 * A disk that cannot be written to does not save the machine. */
static int
stop_run (struct qmp_vm *vm, struct hv_err *err)
{
  HV_CLEAN (hv_err) struct hv_err *lost = hv_err_new (vm->qmp->host);
  if (qmp_record_save (vm, lost) < 0)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "%s", hv_err_message (lost));
  hv_step (vm->qmp->host, "stop.intent");
  return qmp_end (vm, err);
}

int
qmp_stop (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = NULL;
  struct qmp_vm *found = qmp_vm_find (self, a->vm, err);
  (void) call;
  if (found == NULL)
    return HV_E_NOT_FOUND;
  vm = qmp_vm_ref (found);
  if (vm->state == HV_VM_UNKNOWN)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s': its record cannot be read, so its process is not known", vm->name);
  int r = stop_find (vm, err);
  if (r == 0 && vm->pidfd >= 0) {
    qmp_vm_set_state (vm, HV_VM_STOPPING, "destroy", NULL);
    r = stop_run (vm, err);
  }
  if (r < 0)
    return r;
  hv_step (vm->qmp->host, "stop.gone");
  qmp_vm_set_state (vm, HV_VM_STOPPED, "destroyed", NULL); /* from crashed, say */
  r = qmp_record_save (vm, err);
  qmp_vm_fill (vm, result);
  return r;
}

/* --- asking the guest --- */

/* guest-shutdown is not answered by a guest that obeys. */
static int
ask_agent (struct qmp_vm *vm, struct hv_err *err)
{
  return qmp_agent_exchange (vm, "{\"execute\":\"guest-shutdown\",\"arguments\":{\"mode\":\"powerdown\"}}", 5000, 0, NULL, err);
}

static int
ask_guest (struct qmp_vm *vm, uint32_t mode, struct hv_err *err)
{
  int r = mode == HV_SHUTDOWN_AGENT ? ask_agent (vm, err) : qmp_control_change (vm, "system_powerdown", NULL, err);
  if (r == 0)
    qmp_vm_set_state (vm, HV_VM_STOPPING, "shutdown", NULL);
  return r;
}

/* Guests miss a power button that is pressed while they boot, so it is pressed again. */
static int
shutdown_wait (struct qmp_vm *vm, uint32_t mode, uint64_t grace_ms, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  uint64_t end = h->api->now_ms () + grace_ms, again = vm->qmp->config->powerdown_ms;
  while (vm->pidfd >= 0) {
    uint64_t now = h->api->now_ms ();
    if (now >= end)
      return qmp_end (vm, err);
    int r = qmp_vm_wait (vm, is_gone, end - now < again ? end - now : again, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
    if (r < 0 && mode == HV_SHUTDOWN_ACPI && !vm->shutdown_seen)
      qmp_control_post (vm, "system_powerdown");
  }
  return 0;
}

static int
shutdown_begin (struct qmp_vm *vm, const struct hv_shutdown_args *a, struct hv_err *err)
{
  if (vm->state == HV_VM_PAUSED && a->grace_ms == 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is paused (%s): its guest cannot shut down; resume or stop it",
                       vm->name, vm->reason != NULL ? vm->reason : "user");
  int r = vm->state == HV_VM_PAUSED ? qmp_control_change (vm, "cont", NULL, err) : 0;
  if (r == 0)
    r = ask_guest (vm, a->mode, err);
  /* with a time limit, a guest that cannot be asked is one that did not obey */
  return r < 0 && a->grace_ms > 0 && r != HV_E_CANCELLED ? 0 : r;
}

int
qmp_shutdown (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_shutdown_args *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = NULL;
  struct qmp_vm *found = qmp_vm_find (self, a->vm, err);
  (void) call;
  if (found == NULL)
    return HV_E_NOT_FOUND;
  vm = qmp_vm_ref (found);
  if (vm->pidfd < 0 && (vm->state == HV_VM_STOPPED || vm->state == HV_VM_CRASHED)) {
    qmp_vm_fill (vm, result);
    return 0;
  }
  if (vm->pidfd < 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  int r = shutdown_begin (vm, a, err);
  if (r == 0 && a->grace_ms > 0)
    r = shutdown_wait (vm, a->mode, a->grace_ms, err);
  if (r == 0)
    r = qmp_record_save (vm, err);
  qmp_vm_fill (vm, result);
  return r;
}
