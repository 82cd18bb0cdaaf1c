/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A VM's monitor: commands with deadlines, the heartbeat, and what silence and a lost connection mean. */
#include "qmp.h"
#include <stdio.h>
#include <string.h>

#define RECONNECT_MS 250u
#define ENDING_MS    5000u

/* --- status --- */

static const struct {
  const char *status;
  uint32_t state;
  const char *reason;
} statuses[] = {
  { "running", HV_VM_RUNNING, "running" },
  { "paused", HV_VM_PAUSED, "user" },
  { "prelaunch", HV_VM_PAUSED, "start_paused" },
  { "io-error", HV_VM_PAUSED, "io_error" },
  { "watchdog", HV_VM_PAUSED, "watchdog" },
  { "debug", HV_VM_PAUSED, "debug" },
  { "internal-error", HV_VM_PAUSED, "internal_error" },
  { "save-vm", HV_VM_PAUSED, "saving" },
  { "restore-vm", HV_VM_PAUSED, "restoring" },
  { "finish-migrate", HV_VM_PAUSED, "migration" },
  { "postmigrate", HV_VM_PAUSED, "migrated" },
  { "inmigrate", HV_VM_MIGRATING, "incoming" },
  { "suspended", HV_VM_SUSPENDED, "guest" },
  { "guest-panicked", HV_VM_CRASHED, "guest_panic" },
  { "shutdown", HV_VM_STOPPING, "shutdown" },
  { "colo", HV_VM_RUNNING, "colo" },
};

uint32_t
qmp_status_state (const char *status, const char **ret_reason)
{
  for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
    if (strcmp (statuses[i].status, status) == 0) {
      *ret_reason = statuses[i].reason;
      return statuses[i].state;
    }
  /* a newer QEMU's word: the guest does not run, or it would have said so */
  *ret_reason = "other";
  return HV_VM_PAUSED;
}

void
qmp_status_apply (struct qmp_vm *vm, const char *status)
{
  const char *reason;
  uint32_t state = qmp_status_state (status, &reason);
  if (vm->settling || vm->stop_requested)
    return;
  if (vm->incoming && state == HV_VM_PAUSED)
    return; /* everything is here, but whether it is to run is not known yet */
  if (strcmp (status, "shutdown") == 0) {
    /* -no-shutdown: the guest is off and its process waits to be told */
    qmp_let_go (vm);
  }
  if (state == HV_VM_RUNNING && vm->state == HV_VM_STOPPING)
    return; /* it was asked to shut down and has not yet */
  if (state == HV_VM_PAUSED && vm->io_error != NULL && strcmp (reason, "io_error") == 0)
    qmp_vm_set_state (vm, state, reason, vm->io_error);
  else
    qmp_vm_set_state (vm, state, reason, NULL);
}

/* --- silence --- */

static void
control_missed (struct qmp_vm *vm)
{
  vm->misses++;
  if (vm->misses < 2 || vm->settling || vm->stop_requested)
    return;
  qmp_vm_set_state (vm, HV_VM_UNREACHABLE, "monitor_silent", "the process is alive, but its monitor does not answer");
}

static void
status_done (void *arg, const struct qmp_reply *reply)
{
  struct qmp_vm *vm = arg;
  uint32_t was = vm->state;
  vm->heartbeat = 0;
  vm->reachable_again = 0;
  if (reply != NULL && reply->ret != NULL)
    qmp_status_apply (vm, qmp_json_str (reply->ret, "status", "other"));
  if (vm->state != was)
    qmp_record_save_later (vm);
}

/* One status query at a time; its late answer is as good as any, so it is never given up. */
void
qmp_control_refresh (struct qmp_vm *vm)
{
  if (vm->heartbeat == 0 && qmp_control_ready (vm))
    vm->heartbeat = qmp_monitor_send (vm->monitor, "query-status", NULL, status_done, vm);
}

void
qmp_control_heartbeat (struct qmp_vm *vm)
{
  if (!qmp_control_ready (vm))
    return;
  if (vm->heartbeat != 0)
    control_missed (vm);
  else
    qmp_control_refresh (vm);
}

/* --- the connection --- */

static void
on_ready (void *arg)
{
  qmp_sample_begin (arg);
  qmp_vm_wake (arg);
}

static void
on_heard (void *arg)
{
  struct qmp_vm *vm = arg;
  vm->heard_ms = vm->qmp->host->api->now_ms ();
  vm->misses = 0;
  if (vm->state == HV_VM_UNREACHABLE && !vm->reachable_again && qmp_control_ready (vm)) {
    vm->reachable_again = 1;
    qmp_control_refresh (vm);
  }
}

static void
on_event (void *arg, const char *name, const json_t *data)
{
  qmp_event_handle (arg, name, data);
}

/* The end of the process follows within moments if that is the cause: its pidfd tells. Else the monitor is connected to anew. */
static void
connect_again (struct qmp_vm *vm, const char *why)
{
  if (vm->stop_requested || vm->shutdown_seen) {
    vm->retry_at_ms = vm->qmp->host->api->now_ms () + ENDING_MS;
    return;
  }
  hv_log (vm->qmp->host, HV_LOG_WARNING, "VM '%s': %s", vm->name, why);
  qmp_adopt_later (vm, RECONNECT_MS);
}

static void
on_lost (void *arg, const char *why)
{
  struct qmp_vm *vm = arg;
  qmp_control_close (vm);
  if (!vm->settling && !vm->adopting)
    connect_again (vm, why);
  qmp_vm_wake (vm);
}

static const struct qmp_monitor_ops control_ops = { .ready = on_ready, .heard = on_heard, .event = on_event, .lost = on_lost };

void
qmp_control_settled (struct qmp_vm *vm)
{
  if (vm->launched && vm->pidfd >= 0 && !qmp_control_ready (vm))
    connect_again (vm, "the monitor connection was lost while it was looked at");
}

int
qmp_control_open (struct qmp_vm *vm, int fd, struct hv_err *err)
{
  qmp_control_close (vm);
  vm->misses = 0;
  vm->heard_ms = vm->qmp->host->api->now_ms ();
  vm->monitor = qmp_monitor_open (vm->qmp->host, fd, &control_ops, vm);
  return vm->monitor != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "monitor: out of memory");
}

void
qmp_control_close (struct qmp_vm *vm)
{
  struct qmp_monitor *m = HV_STEAL (vm->monitor);
  qmp_monitor_close (m);
  vm->heartbeat = 0;
  vm->reachable_again = 0;
}

int
qmp_control_ready (const struct qmp_vm *vm)
{
  return qmp_monitor_state (vm->monitor) == QMP_MONITOR_READY;
}

/* --- commands --- */

struct exchange {
  struct qmp_vm *vm;
  json_t *ret;
  char *error;
  uint8_t done, lost;
};

static void
exchange_done (void *arg, const struct qmp_reply *reply)
{
  struct exchange *x = arg;
  x->done = 1;
  if (reply == NULL)
    x->lost = 1;
  else if (reply->ret != NULL)
    x->ret = json_incref ((json_t *) (uintptr_t) reply->ret);
  else if (asprintf (&x->error, "%s", reply->error_text) < 0)
    x->error = NULL;
  qmp_vm_wake (x->vm);
}

/* What a command is, how long it may take, and what being late means. */
struct command {
  const char *name;
  json_t *args; /* borrowed */
  int fd;       /* goes along, or -1 */
  uint32_t timeout_ms;
  int late_code;
};

/* Waits for the exchange, at most as long as a command may take. Cancelled or late: the reply is nobody's any more. */
static int
exchange_wait (struct exchange *x, uint64_t id, uint32_t timeout_ms, struct hv_err *err)
{
  struct qmp_vm *vm = x->vm;
  struct hv_host *h = vm->qmp->host;
  uint64_t end = h->api->now_ms () + timeout_ms;
  int r = 0;
  while (!x->done && r == 0) {
    uint64_t now = h->api->now_ms ();
    r = now < end ? h->api->cond_wait (h, vm->changed, end - now, err) : HV_E_DEADLINE_EXCEEDED;
    if (r == HV_E_DEADLINE_EXCEEDED && now < end)
      r = 0;
  }
  if (x->done)
    return 0;
  qmp_monitor_forget (vm->monitor, id);
  if (r == HV_E_DEADLINE_EXCEEDED)
    control_missed (vm);
  return r;
}

static uint64_t
command_send (struct qmp_vm *vm, const struct command *c, struct exchange *x)
{
  if (!qmp_control_ready (vm))
    return 0;
  return c->fd < 0 ? qmp_monitor_send (vm->monitor, c->name, c->args, exchange_done, x)
                   : qmp_monitor_send_fd (vm->monitor, c->name, c->args, c->fd, exchange_done, x);
}

static int
control_run (struct qmp_vm *vm, const struct command *c, json_t **ret, struct hv_err *err)
{
  struct exchange x = { .vm = vm };
  if (vm->state == HV_VM_UNREACHABLE && c->late_code == HV_E_UNKNOWN)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s' does not answer: %s", vm->name, c->name);
  uint64_t id = command_send (vm, c, &x);
  if (id == 0)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': no connection to its monitor: %s", vm->name, c->name);
  int r = exchange_wait (&x, id, c->timeout_ms, err);
  if (r == HV_E_DEADLINE_EXCEEDED)
    return hv_err_set (err, c->late_code, "VM '%s': no answer to %s within %u ms", vm->name, c->name, c->timeout_ms);
  if (r < 0)
    return hv_err_set (err, r, "VM '%s': %s: cancelled", vm->name, c->name);
  HV_CLEAN (json) json_t *got = x.ret;
  HV_CLEAN (hv_free) char *error = x.error;
  if (x.lost)
    return hv_err_set (err, c->late_code == HV_E_UNKNOWN ? HV_E_UNKNOWN : HV_E_UNAVAILABLE,
                       "VM '%s': the monitor was lost during %s", vm->name, c->name);
  if (got == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s': %s: %s", vm->name, c->name, error != NULL ? error : "refused");
  if (ret != NULL)
    *ret = HV_STEAL (got);
  return 0;
}

int
qmp_control_query (struct qmp_vm *vm, const char *command, json_t *args, json_t **ret, struct hv_err *err)
{
  const struct command c = { command, args, -1, vm->qmp->config->command_ms, HV_E_DEADLINE_EXCEEDED };
  return control_run (vm, &c, ret, err);
}

int
qmp_control_ask (struct qmp_vm *vm, const char *command, json_t *args, uint32_t timeout_ms, json_t **ret, struct hv_err *err)
{
  const struct command c = { command, args, -1, timeout_ms, HV_E_DEADLINE_EXCEEDED };
  return control_run (vm, &c, ret, err);
}

int
qmp_control_change (struct qmp_vm *vm, const char *command, json_t *args, struct hv_err *err)
{
  return qmp_control_long (vm, command, args, vm->qmp->config->command_ms, err);
}

int
qmp_control_long (struct qmp_vm *vm, const char *command, json_t *args, uint32_t timeout_ms, struct hv_err *err)
{
  const struct command c = { command, args, -1, timeout_ms, HV_E_UNKNOWN };
  return control_run (vm, &c, NULL, err);
}

int
qmp_control_pass_fd (struct qmp_vm *vm, const char *name, int fd, struct hv_err *err)
{
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "fdname", name);
  const struct command c = { "getfd", args, fd, vm->qmp->config->command_ms, HV_E_UNKNOWN };
  return control_run (vm, &c, NULL, err);
}

int
qmp_control_add_fd (struct qmp_vm *vm, int64_t set, int fd, const char *opaque, int64_t *ret_fd, struct hv_err *err)
{
  HV_CLEAN (json) json_t *args = json_pack ("{s:I, s:s}", "fdset-id", (json_int_t) set, "opaque", opaque);
  HV_CLEAN (json) json_t *ret = NULL;
  const struct command c = { "add-fd", args, fd, vm->qmp->config->command_ms, HV_E_UNKNOWN };
  int r = control_run (vm, &c, &ret, err);
  if (r == 0 && ret_fd != NULL)
    *ret_fd = qmp_json_int (ret, "fd", -1);
  return r;
}

static void
post_done (void *arg, const struct qmp_reply *reply)
{
  (void) arg;
  (void) reply;
}

void
qmp_control_post (struct qmp_vm *vm, const char *command)
{
  if (qmp_control_ready (vm))
    (void) qmp_monitor_send (vm->monitor, command, NULL, post_done, NULL);
}
