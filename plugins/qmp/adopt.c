/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Taking over machines that run: after a restart of the daemon, and when a monitor was lost. Nothing is ever ended here
 * because it does not answer; the one process that is, never ran its guest and was never promised to anybody. */
#include "qmp.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define GREETING_MS 2000u
#define RETRY_MAX   30000u

static int
ready_or_lost (const struct qmp_vm *vm)
{
  return qmp_monitor_state (vm->monitor) == QMP_MONITOR_READY || qmp_monitor_state (vm->monitor) == QMP_MONITOR_LOST
         || vm->pidfd < 0;
}

static int
is_gone (const struct qmp_vm *vm)
{
  return vm->pidfd < 0;
}

/* --- the process --- */

/* Its stop was asked for, and cut off. */
static int
was_to_die (const struct qmp_vm *vm)
{
  return vm->state == HV_VM_STOPPING && vm->reason != NULL && strcmp (vm->reason, "destroy") == 0;
}

static void
adopt_gone (struct qmp_vm *vm)
{
  int ran = vm->acknowledged, asked = was_to_die (vm), off = vm->shutdown_seen;
  const char *pending = qmp_pending_end_reason (vm);
  vm->launched = vm->acknowledged = vm->shutdown_seen = 0;
  vm->retry_at_ms = 0;
  qmp_paths_remove (vm, 1);
  if (pending != NULL)
    qmp_vm_set_state (vm, HV_VM_STOPPED, pending, NULL);
  else if (ran && asked)
    qmp_vm_set_state (vm, HV_VM_STOPPED, "destroyed", NULL);
  else if (ran && off)
    qmp_vm_set_state (vm, HV_VM_STOPPED, "shutdown", NULL);
  else if (ran)
    qmp_vm_set_state (vm, HV_VM_CRASHED, "gone", "its process ended while nobody watched");
  else
    qmp_vm_set_state (vm, HV_VM_STOPPED, "start_interrupted", NULL);
  vm->pid = 0;
  vm->start_ticks = 0;
  (void) qmp_vm_set_live (vm, NULL, NULL);
  qmp_record_save_later (vm);
  qmp_pending_later (vm);
}

/* NOT_FOUND: it is gone, and that is taken note of. */
static int
adopt_process (struct qmp_vm *vm, struct hv_err *err)
{
  if (vm->pidfd >= 0)
    return 0;
  if (vm->pid == 0) { /* the intent was recorded, the pid was not: it may or may not have come into being */
    HV_CLEAN (hv_free) char *path = qmp_path (vm, "monitor.sock");
    vm->pid = path != NULL ? qmp_process_find (vm->uuid, vm->name, path) : 0;
  }
  int r = qmp_process_open (vm->pid, vm->start_ticks, vm->uuid, &vm->pidfd, err);
  if (r < 0) {
    adopt_gone (vm);
    return r;
  }
  (void) qmp_process_start_ticks (vm->pid, &vm->start_ticks);
  return qmp_exit_watch (vm, err);
}

/* --- the monitor --- */

static int
adopt_connect (struct qmp_vm *vm, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *path = qmp_path (vm, "monitor.sock");
  int fd = qmp_connect (path, err);
  int r = fd < 0 ? fd : qmp_control_open (vm, fd, err);
  if (r == 0)
    r = qmp_vm_wait (vm, ready_or_lost, GREETING_MS, err);
  if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
    return r;
  if (vm->pidfd < 0)
    return hv_err_set (err, HV_E_NOT_FOUND, "its process ended");
  if (!qmp_control_ready (vm))
    return hv_err_set (err, HV_E_UNAVAILABLE, "no greeting within %u ms: it is stuck, or somebody else is connected to its monitor",
                       GREETING_MS);
  return 0;
}

static int
adopt_verify (struct qmp_vm *vm, struct hv_err *err)
{
  HV_CLEAN (json) json_t *uuid = NULL;
  int r = qmp_control_query (vm, "query-uuid", NULL, &uuid, err);
  if (r == 0 && strcasecmp (qmp_json_str (uuid, "UUID", ""), vm->uuid) != 0)
    return hv_err_set (err, HV_E_UNAVAILABLE, "another machine answers on its monitor");
  return r;
}

/* Whether the agent is there: the event that said so went to nobody. */
static int
adopt_agent (struct qmp_vm *vm, struct hv_err *err)
{
  size_t i;
  json_t *item;
  HV_CLEAN (json) json_t *chardevs = NULL;
  int r = qmp_control_query (vm, "query-chardev", NULL, &chardevs, err);
  json_array_foreach (chardevs, i, item)
  {
    if (strcmp (qmp_json_str (item, "label", ""), "agent0-socket") != 0)
      continue;
    uint8_t open = (uint8_t) qmp_json_bool (item, "frontend-open", 0);
    struct hv_agent_event e = { .vm = vm->name, .connected = open };
    if (open != vm->agent_connected)
      (void) hv_publish (vm->qmp->host, "agent", &e, NULL);
    vm->agent_connected = open;
  }
  return r;
}

/* A machine whose start was cut off: if its guest has not run, nobody was told of it, and it is ended. */
static int
adopt_unacknowledged (struct qmp_vm *vm, const char *status, struct hv_err *err)
{
  struct qmp_pending p;
  if (qmp_pending_get (vm, "migrate_in", &p)) {
    vm->incoming = 1; /* whoever asked for it was told where to migrate to: it is waited for again */
    return 0;
  }
  if (strcmp (status, "prelaunch") != 0 && (!qmp_pending_get (vm, "restore", &p) || strcmp (status, "running") == 0)) {
    vm->acknowledged = 1;
    return 0;
  }
  qmp_control_post (vm, "quit");
  if (qmp_vm_wait (vm, is_gone, vm->qmp->config->quit_ms, err) == HV_E_DEADLINE_EXCEEDED) {
    qmp_kill (vm, SIGKILL);
    (void) qmp_vm_wait (vm, is_gone, 5000, err);
  }
  return hv_err_set (err, HV_E_NOT_FOUND, "its start was interrupted before the guest ran");
}

/* It runs and obeys, whether or not that can be written down now. */
static void
adopt_record (struct qmp_vm *vm)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  if (qmp_record_save (vm, err) < 0)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "%s", hv_err_message (err));
}

/* State is read first, events are followed from then on; what happened in between is a gap, and said to be one. */
static int
adopt_state (struct qmp_vm *vm, struct hv_err *err)
{
  HV_CLEAN (json) json_t *status = NULL;
  int r = adopt_verify (vm, err);
  if (r == 0)
    r = qmp_control_query (vm, "query-status", NULL, &status, err);
  const char *word = qmp_json_str (status, "status", "other");
  if (r == 0 && !vm->acknowledged)
    r = adopt_unacknowledged (vm, word, err);
  if (r == 0)
    r = adopt_agent (vm, err);
  if (r < 0)
    return r;
  struct hv_control_event e = { .vm = vm->name, .connected = 1 };
  HV_SET (&e, gap, 1);
  (void) hv_publish (vm->qmp->host, "control", &e, NULL);
  qmp_status_apply (vm, word);
  qmp_logs_adopt (vm);
  r = qmp_devices_reconcile (vm, err);
  if (r == 0)
    adopt_record (vm);
  qmp_pending_later (vm);
  return r;
}

static void
adopt_failed (struct qmp_vm *vm, const char *why)
{
  uint64_t now = vm->qmp->host->api->now_ms ();
  qmp_control_close (vm);
  vm->retry_ms = vm->retry_ms == 0 ? 1000 : vm->retry_ms * 2 > RETRY_MAX ? RETRY_MAX : vm->retry_ms * 2;
  vm->retry_at_ms = now + vm->retry_ms;
  if (vm->managed)
    qmp_vm_set_state (vm, HV_VM_UNREACHABLE, "monitor_lost", why);
  else
    qmp_vm_set_state (vm, HV_VM_UNMANAGED, "not_adopted", why);
}

int
qmp_adopt_one (struct qmp_vm *vm, struct hv_err *err)
{
  if (!vm->launched || vm->settling)
    return 0;
  if (vm->adopting)
    return hv_err_set (err, HV_E_ABORTED, "VM '%s' is being adopted", vm->name);
  vm->adopting = 1;
  vm->retry_at_ms = 0;
  int r = adopt_process (vm, err);
  if (r == 0 && was_to_die (vm)) {
    vm->adopting = 0;
    return qmp_end (vm, err);
  }
  if (r == 0)
    r = adopt_connect (vm, err);
  if (r == 0)
    r = adopt_state (vm, err);
  vm->adopting = 0;
  qmp_vm_wake (vm);
  if (r == 0) {
    vm->retry_ms = 0;
    vm->managed = 1;
    qmp_control_settled (vm);
  } else if (vm->pidfd >= 0 && r != HV_E_CANCELLED)
    adopt_failed (vm, hv_err_message (err));
  return r < 0 ? hv_err_wrap (err, r, "adopt VM '%s'", vm->name) : 0;
}

/* --- many --- */

static void
adopt_run (void *self, void *arg)
{
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = arg;
  struct qmp *q = vm->qmp;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (q->host);
  (void) self;
  int r = vm->adopt_delay_ms > 0 ? hv_sleep (q->host, vm->adopt_delay_ms, err) : 0;
  if (r < 0 || (vm->adopt_delay_ms > 0 && (vm->pidfd < 0 || vm->adopting || vm->settling || qmp_control_ready (vm))))
    ; /* it ended, or somebody else was quicker */
  else if (qmp_adopt_one (vm, err) < 0)
    hv_log (q->host, HV_LOG_WARNING, "%s", hv_err_message (err));
  else
    hv_log (q->host, HV_LOG_INFO, "VM '%s' (process %d) is %s", vm->name, (int) vm->pid, hv_vm_state_words[vm->state]);
  q->adopting--;
  q->host->api->cond_wake (q->host, q->changed);
}

void
qmp_adopt_later (struct qmp_vm *vm, uint32_t delay_ms)
{
  vm->adopt_delay_ms = delay_ms;
  if (hv_go (vm->qmp->host, "adopt", adopt_run, qmp_vm_ref (vm)) < 0)
    qmp_vm_unref (vm);
  else
    vm->qmp->adopting++;
}

void
qmp_adopt_all (struct qmp *q)
{
  uint64_t end = q->host->api->now_ms () + q->config->adopt_ms;
  for (uint32_t i = 0; i < q->vm_count; i++)
    if (q->vms[i]->launched)
      qmp_adopt_later (q->vms[i], 0);
  while (q->adopting > 0) {
    uint64_t now = q->host->api->now_ms ();
    if (now >= end || q->host->api->cond_wait (q->host, q->changed, end - now, NULL) == HV_E_CANCELLED)
      return;
  }
}
