/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine's process: started, ended, watched, and known again after a restart of the daemon. */
#include "toy.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

/* Field 22 of /proc/PID/stat; the second field is in parentheses and may contain anything. */
static uint64_t
start_ticks (int32_t pid)
{
  char path[64], text[1024], *at;
  (void) snprintf (path, sizeof path, "/proc/%d/stat", (int) pid);
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read (fd, text, sizeof text - 1) : -1;
  if (n <= 0)
    return 0;
  text[n] = '\0';
  at = strrchr (text, ')');
  for (int field = 2; at != NULL && field < 22; field++)
    at = strchr (at + 1, ' ');
  return at != NULL ? strtoull (at + 1, NULL, 10) : 0;
}

int
toy_process_argv (struct toy *t, const struct hv_machine *m, struct hv_strs *ret, struct hv_err *err)
{
  uint32_t n = 0;
  const char **argv = hv_alloc (t->host, (m->disks.count + 6) * sizeof *argv);
  if (argv == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  argv[n++] = "/usr/bin/env";
  argv[n++] = hv_printf (t->host, "TOYHV_NAME=%s", m->name);
  argv[n++] = hv_printf (t->host, "TOYHV_UUID=%s", m->uuid);
  for (uint32_t i = 0; i < m->disks.count; i++)
    argv[n++] = hv_printf (t->host, "TOYHV_DISK_%u=%s", i, m->disks.items[i].path);
  argv[n++] = "/bin/sleep";
  argv[n++] = "infinity";
  for (uint32_t i = 0; i < n; i++)
    if (argv[i] == NULL)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret = (struct hv_strs){ argv, n };
  return 0;
}

/* --- its end --- */

static void
exited_record (struct toy_vm *vm, uint32_t state, const char *reason, const char *detail)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->toy->host);
  struct toy_document d;
  int r = toy_vm_read (vm, &d, err);
  if (r == 0) {
    d.has.pid = d.has.start_ticks = d.has.live = d.has.balloon_bytes = 0;
    r = toy_vm_write (vm, &d, err);
  }
  if (r == 0)
    r = toy_vm_state (vm, state, reason, detail, err);
  if (r < 0)
    hv_log (vm->toy->host, HV_LOG_ERROR, "VM '%s': %s", vm->name, hv_err_message (err));
  toy_vm_save_later (vm);
}

static void
exited (void *self, void *arg, uint32_t ready)
{
  struct toy_vm *vm = arg;
  struct hv_host *h = vm->toy->host;
  siginfo_t info = { 0 };
  char detail[64] = "its process ended";
  (void) self;
  (void) ready;
  if (waitid (P_PIDFD, (id_t) vm->pidfd, &info, WEXITED) == 0)
    (void) snprintf (detail, sizeof detail, info.si_code == CLD_EXITED ? "exit status %d" : "signal %d", info.si_status);
  h->api->watch_free (h, vm->watch);
  h->api->timer_set (h, vm->poweroff, 0, 0);
  vm->watch = NULL;
  (void) close (vm->pidfd);
  vm->pidfd = -1;
  const char *why = vm->ending;
  vm->ending = NULL;
  exited_record (vm, why != NULL ? HV_VM_STOPPED : HV_VM_CRASHED, why != NULL ? why : "crashed", why != NULL ? NULL : detail);
  h->api->cond_wake (h, vm->changed);
}

static int
watch (struct toy_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  vm->watch = h->api->watch_new (h, vm->pidfd, HV_WAIT_READ, exited, vm);
  return vm->watch != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

void
toy_process_end (struct toy_vm *vm, const char *why)
{
  if (vm->pidfd < 0)
    return;
  vm->ending = why;
  (void) pidfd_send_signal (vm->pidfd, SIGKILL, NULL, 0);
}

int
toy_process_wait (struct toy_vm *vm, uint64_t timeout_ms, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  uint64_t end = h->api->now_ms () + timeout_ms;
  while (vm->pidfd >= 0) {
    uint64_t now = h->api->now_ms ();
    int r = now < end ? h->api->cond_wait (h, vm->changed, end - now, err) : HV_E_DEADLINE_EXCEEDED;
    if (r == HV_E_DEADLINE_EXCEEDED && h->api->now_ms () >= end)
      return hv_err_set (err, r, "VM '%s': its process does not end", vm->name);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
  }
  return 0;
}

/* --- its beginning --- */

int
toy_process_start (struct toy_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  struct toy_document d;
  struct hv_strs argv;
  int32_t pid = 0;
  int r = toy_vm_read (vm, &d, err);
  if (r == 0)
    r = toy_process_argv (vm->toy, &d.machine, &argv, err);
  if (r < 0)
    return r;
  struct hv_spawn how = { .struct_size = sizeof how, .argv = argv.items, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 };
  r = h->api->spawn (h, &how, &pid, &vm->pidfd, err);
  if (r < 0)
    return r;
  HV_SET (&d, live, d.machine);
  HV_SET (&d, pid, (uint32_t) pid);
  HV_SET (&d, start_ticks, start_ticks (pid));
  HV_SET (&d, boot_id, h->api->info (h)->boot_id);
  HV_SET (&d, balloon_bytes, d.machine.memory_bytes);
  r = toy_vm_write (vm, &d, err);
  return r == 0 ? watch (vm, err) : r;
}

/* --- its process, in the next life of the daemon --- */

static int
is_ours (struct toy_vm *vm, const struct toy_document *d)
{
  struct hv_host *h = vm->toy->host;
  if (!HV_HAS (d, pid) || !HV_HAS (d, boot_id) || strcmp (d->boot_id, h->api->info (h)->boot_id) != 0)
    return 0;
  vm->pidfd = pidfd_open ((pid_t) d->pid, 0);
  if (vm->pidfd >= 0 && d->start_ticks != 0 && start_ticks ((int32_t) d->pid) == d->start_ticks)
    return 1; /* looked up after it was pinned: it is the one */
  hv_fd_cleanup (&vm->pidfd);
  vm->pidfd = -1;
  return 0;
}

/* A guest that was asked to power off still does. A start that was under way never was acknowledged, so its process is ended. */
static int
adopt_running (struct toy_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  int r = watch (vm, err);
  if (r == 0 && vm->state == HV_VM_STARTING)
    toy_process_end (vm, "start_failed");
  if (r == 0 && vm->state == HV_VM_STOPPING)
    h->api->timer_set (h, vm->poweroff, vm->toy->config.poweroff_ms, 0);
  struct hv_control_event e = { .vm = vm->name, .connected = 1 };
  HV_SET (&e, gap, 1);
  return r == 0 ? hv_publish (h, "control", &e, err) : r;
}

int
toy_process_adopt (struct toy_vm *vm, struct hv_err *err)
{
  struct toy_document d;
  int r = toy_vm_read (vm, &d, err);
  if (r < 0)
    return r;
  if (is_ours (vm, &d))
    return adopt_running (vm, err);
  if (vm->state == HV_VM_STARTING || vm->state == HV_VM_STOPPING)
    exited_record (vm, HV_VM_STOPPED, vm->state == HV_VM_STARTING ? "start_failed" : "shutdown", NULL);
  else if (vm->state != HV_VM_STOPPED && vm->state != HV_VM_CRASHED)
    exited_record (vm, HV_VM_CRASHED, "crashed", "its process ended while the daemon was away");
  return 0;
}
