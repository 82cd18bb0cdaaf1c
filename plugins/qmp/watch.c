/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a process, as its pidfd tells it. Nothing else is taken for the end: neither a silent monitor nor a closed one. */
#include "qmp.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

static void
exit_state (struct qmp_vm *vm, uint32_t *ret_state, const char **ret_reason)
{
  const char *pending = qmp_pending_end_reason (vm);
  *ret_state = HV_VM_STOPPED;
  if (pending != NULL)
    *ret_reason = pending;
  else if (vm->stop_requested)
    *ret_reason = "destroyed";
  else if (!vm->acknowledged)
    *ret_reason = "start_failed";
  else if (vm->panicked)
    *ret_state = HV_VM_CRASHED, *ret_reason = "guest_panic";
  else if (vm->shutdown_seen)
    *ret_reason = "shutdown";
  else
    *ret_state = HV_VM_CRASHED, *ret_reason = "crashed";
}

static char *
exit_detail (struct qmp_vm *vm, const char *status)
{
  char *text = NULL;
  HV_CLEAN (hv_free) char *tail = qmp_log_tail (vm, "qemu.log", 3);
  if (asprintf (&text, "%s%s%s", status, tail != NULL ? ": " : "", tail != NULL ? tail : "") < 0)
    return NULL;
  return text;
}

static void
agent_gone (struct qmp_vm *vm)
{
  struct hv_agent_event e = { .vm = vm->name, .connected = 0 };
  qmp_agent_close (vm);
  if (vm->agent_connected)
    (void) hv_publish (vm->qmp->host, "agent", &e, NULL);
  vm->agent_connected = 0;
}

static void
vm_exited (struct qmp_vm *vm)
{
  char status[64] = "exit status not known";
  const char *reason = "crashed";
  uint32_t state;
  if (vm->monitor != NULL)
    qmp_monitor_drain (vm->monitor); /* its last words decide between shut down and crashed */
  qmp_control_close (vm);
  (void) qmp_process_exit_status (vm->pidfd, status, sizeof status);
  exit_state (vm, &state, &reason);
  int failed = state == HV_VM_CRASHED || strstr (reason, "_failed") != NULL;
  HV_CLEAN (hv_free) char *said = HV_STEAL (vm->end_detail);
  HV_CLEAN (hv_free) char *detail = !failed ? NULL : said != NULL ? HV_STEAL (said) : exit_detail (vm, status);
  agent_gone (vm);
  qmp_console_close (vm);
  qmp_exit_forget (vm);
  vm->launched = vm->acknowledged = vm->stop_requested = vm->shutdown_seen = vm->by_guest = vm->panicked = vm->managed
      = vm->incoming = 0;
  vm->retry_at_ms = 0;
  (void) qmp_vm_set_live (vm, NULL, NULL);
  qmp_sample_clear (&vm->sample);
  qmp_paths_remove (vm, 1);
  qmp_vm_set_state (vm, state, reason, detail);
  vm->pid = 0;
  vm->start_ticks = 0;
  qmp_record_save_later (vm);
  qmp_pending_later (vm);
  qmp_vm_wake (vm);
}

/* Its last words are still on their way into its log. */
static void
exit_run (void *self, void *arg)
{
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = arg;
  (void) self;
  qmp_log_sync (vm, QMP_LOG_QEMU);
  if (vm->exit_watch != NULL)
    vm_exited (vm);
}

static void
exit_ready (void *self, void *arg, uint32_t ready)
{
  struct qmp_vm *vm = arg;
  (void) self;
  (void) ready;
  vm->qmp->host->api->watch_set (vm->qmp->host, vm->exit_watch, 0);
  if (hv_go (vm->qmp->host, "exit", exit_run, qmp_vm_ref (vm)) == 0)
    return;
  vm_exited (vm);
  qmp_vm_unref (vm);
}

int
qmp_exit_watch (struct qmp_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  vm->exit_watch = h->api->watch_new (h, vm->pidfd, HV_WAIT_READ, exit_ready, vm);
  return vm->exit_watch != NULL ? 0
                                : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "watch of process %d: out of memory", (int) vm->pid);
}

void
qmp_exit_forget (struct qmp_vm *vm)
{
  struct hv_host *h = vm->qmp->host;
  if (vm->exit_watch != NULL)
    h->api->watch_free (h, vm->exit_watch);
  vm->exit_watch = NULL;
  if (vm->pidfd >= 0)
    (void) close (vm->pidfd);
  vm->pidfd = -1;
}

void
qmp_kill (struct qmp_vm *vm, int signum)
{
  if (vm->pidfd >= 0)
    (void) pidfd_send_signal (vm->pidfd, signum, NULL, 0);
}
