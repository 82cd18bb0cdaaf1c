/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt's states and ours. */
#include "libvirt.h"
#include <string.h>

struct row {
  int state, reason; /* reason -1: any other */
  struct lv_state is;
};

static const struct row rows[] = {
  { VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATED, { HV_VM_RUNNING, "migrated" } },
  { VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_RESTORED, { HV_VM_RUNNING, "restored" } },
  { VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_FROM_SNAPSHOT, { HV_VM_RUNNING, "from_snapshot" } },
  { VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_UNPAUSED, { HV_VM_RUNNING, "user" } },
  { VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_WAKEUP, { HV_VM_RUNNING, "wakeup" } },
  { VIR_DOMAIN_RUNNING, -1, { HV_VM_RUNNING, "booted" } },
  { VIR_DOMAIN_BLOCKED, -1, { HV_VM_RUNNING, "booted" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, { HV_VM_PAUSED, "user" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, { HV_VM_MIGRATING, "migration" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SAVE, { HV_VM_PAUSED, "saving" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_DUMP, { HV_VM_PAUSED, "dumping" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR, { HV_VM_PAUSED, "io_error" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_WATCHDOG, { HV_VM_PAUSED, "watchdog" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_FROM_SNAPSHOT, { HV_VM_PAUSED, "from_snapshot" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SHUTTING_DOWN, { HV_VM_STOPPING, "shutdown" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SNAPSHOT, { HV_VM_PAUSED, "snapshot" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_CRASHED, { HV_VM_CRASHED, "guest_panic" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, { HV_VM_STARTING, "start" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY, { HV_VM_MIGRATING, "post_copy" } },
  { VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, { HV_VM_PAUSED, "post_copy_failed" } },
  { VIR_DOMAIN_PAUSED, -1, { HV_VM_PAUSED, "unknown" } },
  { VIR_DOMAIN_SHUTDOWN, -1, { HV_VM_STOPPING, "shutdown" } },
  { VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN, { HV_VM_STOPPED, "shutdown" } },
  { VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED, { HV_VM_STOPPED, "destroyed" } },
  { VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED, { HV_VM_CRASHED, "crashed" } },
  { VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_MIGRATED, { HV_VM_STOPPED, "migrated" } },
  { VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SAVED, { HV_VM_STOPPED, "saved" } },
  { VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED, { HV_VM_STOPPED, "start_failed" } },
  { VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT, { HV_VM_STOPPED, "from_snapshot" } },
  { VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DAEMON, { HV_VM_CRASHED, "libvirt_ended_it" } },
  { VIR_DOMAIN_SHUTOFF, -1, { HV_VM_STOPPED, "defined" } },
  { VIR_DOMAIN_CRASHED, -1, { HV_VM_CRASHED, "guest_panic" } },
  { VIR_DOMAIN_PMSUSPENDED, -1, { HV_VM_SUSPENDED, "guest" } },
};

struct lv_state
lv_state_of (int libvirt_state, int libvirt_reason)
{
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].state == libvirt_state && (rows[i].reason == libvirt_reason || rows[i].reason < 0))
      return rows[i].is;
  return (struct lv_state){ HV_VM_UNKNOWN, "no_state" };
}

static const char *
detail_of (struct lv_state s)
{
  if (s.state != HV_VM_CRASHED)
    return NULL;
  if (strcmp (s.reason, "guest_panic") == 0)
    return "the guest panicked";
  return strcmp (s.reason, "crashed") == 0 ? "its process ended, and nobody had asked it to; libvirt keeps no exit code"
                                           : "libvirt could not take it over when it was restarted, and ended it";
}

/* The guest was asked to go and has not gone yet: to libvirt it runs. */
static int
still_asked (const struct lv_vm *vm, struct lv_state s)
{
  return vm->state == HV_VM_STOPPING && vm->shutdown_asked && s.state == HV_VM_RUNNING;
}

int
lv_state_is_stale (const struct lv_vm *vm, uint64_t asked_at_ms)
{
  return vm->changing > 0 || (vm->asked_ms != 0 && asked_at_ms < vm->asked_ms);
}

void
lv_state_take (struct lv_vm *vm, int libvirt_state, int libvirt_reason)
{
  struct lv_state s = lv_state_of (libvirt_state, libvirt_reason);
  if (s.state == HV_VM_MIGRATING && !vm->awaited && vm->changing == 0)
    s = (struct lv_state){ HV_VM_PAUSED, "migration" }; /* it has come, and nobody said that it may run */
  int first = !vm->known;
  vm->known = 1;
  vm->heard_ms = vm->lv->host->api->now_ms ();
  if (vm->overdue > 0 && s.state != HV_VM_STOPPED && s.state != HV_VM_CRASHED)
    return; /* libvirt's daemon answers, its QEMU does not */
  if (still_asked (vm, s) || (vm->state == HV_VM_STOPPED && s.state == HV_VM_CRASHED && !first))
    return; /* the latter: it had crashed, and was stopped */
  if (s.state == vm->state && s.state == HV_VM_STOPPED && vm->reason == NULL)
    (void) lv_text_set (&vm->reason, s.reason);
  if (first) /* nothing changed: we only learn what it is */
    lv_vm_begin_state (vm, s.state, s.reason, detail_of (s));
  else {
    if (vm->state == HV_VM_STOPPED && s.state != HV_VM_STOPPED && s.state != HV_VM_CRASHED)
      lv_vm_set_state (vm, HV_VM_STARTING, "start", NULL); /* by somebody else */
    lv_vm_set_state (vm, s.state, s.reason, detail_of (s));
  }
  if (lv_vm_alive (vm) && vm->pid == 0)
    lv_process_find_later (vm);
}

/* --- reading it --- */

struct state_work {
  struct lv_work w;
  int state, reason;
};

static int
state_run (struct lv_work *w)
{
  struct state_work *s = (struct state_work *) w;
  return virDomainGetState (w->dom, &s->state, &s->reason, 0) < 0 ? lv_work_fail (w) : 0;
}

int
lv_state_read (struct lv_vm *vm, struct hv_err *err)
{
  struct state_work *s = lv_work_new (sizeof *s, state_run, "state of VM", LV_WORK_LIGHT);
  HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) s;
  uint64_t now = vm->lv->host->api->now_ms ();
  int r = lv_work_run (vm->daemon, w, vm, 0, err);
  if (r == 0 && !lv_state_is_stale (vm, now))
    lv_state_take (vm, s->state, s->reason);
  return r;
}

static void
read_later (void *self, void *arg)
{
  HV_CLEAN (lv_vm) struct lv_vm *vm = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->lv->host);
  (void) self;
  if (lv_state_read (vm, err) == HV_E_NOT_FOUND)
    lv_sync_later (vm->daemon);
}

void
lv_state_read_later (struct lv_vm *vm)
{
  if (hv_go (vm->lv->host, "state", read_later, lv_vm_ref (vm)) < 0)
    lv_vm_unref (vm);
}
