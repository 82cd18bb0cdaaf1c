/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting a machine: everything that can fail without a process first, then the intent on disk, the process stopped before
 * its first instruction, its pid on disk, a word with its monitor, and only then the guest. A crash of the daemon at any
 * point leaves a record from which the next one knows what to do. */
#include "qmp.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Descriptors for QEMU, in the order of qmp_fd_plan; closed here in any case. */
struct launch {
  struct qmp_vm *vm;
  const struct qmp_launch *how;
  struct hv_machine machine;
  struct qmp_fd_plan plan;
  struct qmp_argv argv;
  int32_t *fds;
  uint32_t fd_count;
  int32_t log_fd;
  uint32_t uid;
};

static void
launch_close (struct launch *l)
{
  for (uint32_t i = 0; i < l->fd_count; i++)
    (void) close (l->fds[i]);
  l->fd_count = 0;
  if (l->log_fd >= 0)
    (void) close (l->log_fd);
  l->log_fd = -1;
}

static void
launch_clear (struct launch *l)
{
  launch_close (l);
  qmp_argv_clear (&l->argv);
}

static int
launch_keep_fd (struct launch *l, int fd)
{
  if (fd >= 0)
    l->fds[l->fd_count++] = fd;
  return fd < 0 ? fd : 0;
}

static int
launch_listen (struct launch *l, const char *name, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *path = qmp_path (l->vm, name);
  return launch_keep_fd (l, qmp_listen (path, err));
}

/* Sockets and logs exist before QEMU does, and the monitor is connected to before anybody accepts: no race, no retry. */
static int
launch_open (struct launch *l, struct hv_err *err)
{
  struct qmp *q = l->vm->qmp;
  l->fds = hv_alloc (q->host, (uint64_t) l->plan.count * sizeof *l->fds);
  if (l->fds == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = qmp_paths_make (l->vm, l->uid, err);
  if (r == 0)
    r = launch_listen (l, "monitor.sock", err);
  if (r == 0 && l->plan.agent > 0)
    r = launch_listen (l, "agent.sock", err);
  if (r == 0 && l->plan.serial > 0)
    r = launch_listen (l, "serial.sock", err);
  if (r == 0 && l->plan.serial_log > 0)
    r = launch_keep_fd (l, qmp_log_open (l->vm, QMP_LOG_SERIAL, err));
  if (r == 0)
    r = launch_keep_fd (l, qmp_log_open (l->vm, QMP_LOG_FIRMWARE, err));
  if (r == 0 && l->plan.nvram > 0)
    r = launch_keep_fd (l, qmp_nvram_open (l->vm, err));
  if (r == 0 && l->plan.first_tap > 0) {
    r = qmp_taps_open (q, &l->machine, l->fds + l->fd_count, err);
    if (r == 0)
      l->fd_count = l->plan.count;
  }
  if (r == 0)
    l->log_fd = qmp_log_open (l->vm, QMP_LOG_QEMU, err);
  return l->log_fd < 0 && r == 0 ? l->log_fd : r;
}

int
qmp_native_argv (struct qmp_vm *vm, const struct hv_machine *m, const struct qmp_places *places, int strict, struct qmp_argv *ret,
                 struct hv_err *err)
{
  struct qmp *q = vm->qmp;
  HV_CLEAN (hv_free) char *vnc = qmp_path (vm, "vnc/vnc.sock");
  uint8_t *direct = hv_alloc (q->host, m->disks.count + 1);
  if (vnc == NULL || direct == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = qmp_argv_check (m, q->accel, err);
  if (r == 0)
    r = qmp_files_probe (q, m, direct, strict, err);
  struct qmp_argv_how how = { .qemu = q->config->qemu,
                              .accel = q->accel,
                              .vnc_path = vnc,
                              .tb_size_mib = q->config->tb_size_mib,
                              .efi_code = q->config->efi_code,
                              .direct = direct,
                              .places = places };
  return r == 0 ? qmp_argv_make (m, &how, ret, err) : r;
}

static int
launch_prepare (struct launch *l, struct hv_err *err)
{
  struct qmp_vm *vm = l->vm;
  struct qmp *q = vm->qmp;
  int r = qmp_node_wait (q, err);
  if (r == 0 && l->how->machine != NULL)
    l->machine = *l->how->machine;
  else if (r == 0)
    r = qmp_vm_machine (vm, &l->machine, err);
  if (r < 0)
    return r;
  l->uid = HV_HAS (&l->machine, owner_uid) ? l->machine.owner_uid : q->config->uid;
  qmp_fd_plan_make (&l->machine, &l->plan);
  r = qmp_native_argv (vm, &l->machine, l->how->places, 1, &l->argv, err);
  if (r < 0)
    return r;
  if (l->how->incoming) {
    qmp_argv_add (&l->argv, "-incoming");
    qmp_argv_add (&l->argv, "defer");
  }
  return l->argv.failed ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : launch_open (l, err);
}

static int
launch_spawn (struct launch *l, struct hv_err *err)
{
  struct qmp_vm *vm = l->vm;
  struct hv_host *h = vm->qmp->host;
  HV_CLEAN (hv_free) char *path = qmp_path (vm, "monitor.sock");
  HV_CLEAN (hv_fd) int monitor = qmp_connect (path, err);
  if (monitor < 0)
    return monitor;
  struct hv_spawn how = { .struct_size = sizeof how,
                          .argv = (const char *const *) l->argv.items,
                          .fds = l->fds,
                          .fd_count = l->fd_count,
                          .stdin_fd = -1,
                          .stdout_fd = l->log_fd,
                          .stderr_fd = l->log_fd,
                          .uid = l->uid,
                          .gid = l->uid };
  int r = h->api->spawn (h, &how, &vm->pid, &vm->pidfd, err);
  launch_close (l); /* what QEMU holds now, it holds alone: its end is seen as the end of the connection */
  if (r < 0)
    return r;
  (void) qmp_process_start_ticks (vm->pid, &vm->start_ticks);
  r = qmp_exit_watch (vm, err);
  if (r == 0)
    r = qmp_control_open (vm, HV_STEAL_FD (monitor), err);
  return r;
}

static int
ready_or_gone (const struct qmp_vm *vm)
{
  return qmp_control_ready (vm) || vm->pidfd < 0;
}

/* It is the machine we meant, and it has not run. */
static int
launch_verify (struct qmp_vm *vm, const char *expected, struct hv_err *err)
{
  HV_CLEAN (json) json_t *uuid = NULL, *status = NULL;
  int r = qmp_control_query (vm, "query-uuid", NULL, &uuid, err);
  if (r == 0)
    r = qmp_control_query (vm, "query-status", NULL, &status, err);
  if (r < 0)
    return r;
  if (strcasecmp (qmp_json_str (uuid, "UUID", ""), vm->uuid) != 0)
    return hv_err_set (err, HV_E_INTERNAL, "another machine answers on its monitor");
  if (strcmp (qmp_json_str (status, "status", ""), expected) != 0)
    return hv_err_set (err, HV_E_INTERNAL, "it is '%s' before it was told to run", qmp_json_str (status, "status", ""));
  return 0;
}

static int
launch_handshake (struct qmp_vm *vm, const struct qmp_launch *how, struct hv_err *err)
{
  int r = qmp_vm_wait (vm, ready_or_gone, vm->qmp->config->start_ms, err);
  if (r == HV_E_DEADLINE_EXCEEDED)
    return hv_err_set (err, HV_E_UNAVAILABLE, "its monitor is not ready after %u ms", vm->qmp->config->start_ms);
  if (r < 0)
    return r;
  if (vm->pidfd < 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "%s", vm->detail != NULL ? vm->detail : "QEMU ended at once");
  return launch_verify (vm, how->incoming ? "inmigrate" : "prelaunch", err);
}

static int
launch_run (struct qmp_vm *vm, const struct qmp_launch *how, struct hv_err *err)
{
  vm->managed = 1;
  if (how->incoming && how->load == NULL) {
    vm->incoming = 1;
    qmp_vm_set_state (vm, HV_VM_MIGRATING, "incoming", NULL);
    return qmp_record_save (vm, err);
  }
  int r = how->load != NULL ? how->load (vm, how->arg, err) : 0;
  if (r == 0 && !how->paused)
    r = qmp_control_change (vm, "cont", NULL, err);
  if (r < 0)
    return r;
  vm->acknowledged = 1;
  hv_step (vm->qmp->host, "start.continued");
  if (how->paused)
    qmp_vm_set_state (vm, HV_VM_PAUSED, how->load != NULL ? how->run_reason : "start_paused", NULL);
  else if (vm->state == HV_VM_STARTING)
    qmp_vm_set_state (vm, HV_VM_RUNNING, how->run_reason, NULL);
  return qmp_record_save (vm, err);
}

static int
is_gone (const struct qmp_vm *vm)
{
  return vm->pidfd < 0;
}

/* It never ran, so it may be ended. If this coroutine is cancelled, the watch on the process does the rest. */
static int
launch_undo (struct qmp_vm *vm, const struct qmp_launch *how, int code, struct hv_err *err)
{
  qmp_control_close (vm);
  if (vm->pidfd >= 0) {
    qmp_kill (vm, SIGKILL);
    (void) qmp_vm_wait (vm, is_gone, 5000, NULL);
  } else if (vm->launched) {
    vm->launched = 0;
    (void) qmp_vm_set_live (vm, NULL, NULL);
    qmp_vm_set_state (vm, HV_VM_STOPPED, "start_failed", hv_err_message (err));
    qmp_paths_remove (vm, 1);
    qmp_record_save_later (vm);
  }
  vm->settling = 0;
  return hv_err_wrap (err, code, "%s VM '%s'", how->op, vm->name);
}

int
qmp_launch (struct qmp_vm *vm, const struct qmp_launch *how, struct hv_err *err)
{
  struct launch l = { .vm = vm, .how = how, .log_fd = -1 };
  int r = launch_prepare (&l, err);
  if (r < 0) {
    launch_clear (&l);
    if (vm->uuid != NULL)
      qmp_paths_remove (vm, 0);
    return hv_err_wrap (err, r, "%s VM '%s'", how->op, vm->name);
  }
  vm->settling = vm->launched = 1;
  qmp_faults_clear (vm);
  vm->acknowledged = vm->incoming = 0;
  vm->run_reason = how->run_reason;
  if (qmp_text_set (&vm->accel, vm->qmp->accel) < 0)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r == 0 && how->machine != NULL)
    r = qmp_vm_set_live (vm, how->machine, err);
  qmp_vm_set_state (vm, HV_VM_STARTING, "start", NULL);
  if (r == 0)
    r = qmp_record_save (vm, err);
  hv_step (vm->qmp->host, "start.intent");
  if (r == 0)
    r = launch_spawn (&l, err);
  launch_clear (&l);
  hv_step (vm->qmp->host, "start.spawned");
  if (r == 0)
    r = qmp_record_save (vm, err); /* with its pid, while QEMU sets itself up */
  hv_step (vm->qmp->host, "start.recorded");
  if (r == 0)
    r = launch_handshake (vm, how, err);
  if (r == 0)
    r = launch_run (vm, how, err);
  if (r < 0 && !vm->acknowledged)
    return launch_undo (vm, how, r, err);
  vm->settling = 0;
  qmp_control_settled (vm);
  return r < 0 ? hv_err_wrap (err, r, "%s VM '%s'", how->op, vm->name) : 0;
}
