/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* QEMU's events → changes of state and the interface's events. An event is a hint; what it says about the state is
 * confirmed by the status, and the end of the process by its pidfd. */
#include "qmp.h"
#include <stdio.h>
#include <string.h>

static void
publish (struct qmp_vm *vm, const char *event, const void *data)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  if (hv_publish (vm->qmp->host, event, data, err) < 0)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "VM '%s': event '%s' lost: %s", vm->name, event, hv_err_message (err));
}

/* --- the machine --- */

static void
on_stop (struct qmp_vm *vm, const json_t *data)
{
  (void) data;
  vm->stood_ms = vm->qmp->host->api->now_ms ();
  qmp_control_refresh (vm); /* why, only the status knows */
}

static void
on_resume (struct qmp_vm *vm, const json_t *data)
{
  (void) data;
  if (vm->stop_requested)
    return;
  (void) qmp_text_set (&vm->io_error, NULL);
  qmp_vm_set_state (vm, HV_VM_RUNNING, vm->acknowledged || vm->run_reason == NULL ? "resumed" : vm->run_reason, NULL);
}

static void
on_shutdown (struct qmp_vm *vm, const json_t *data)
{
  const char *reason = qmp_json_str (data, "reason", "");
  if (strncmp (reason, "host-", 5) == 0)
    return; /* quit or a signal: the process is about to end by itself */
  vm->shutdown_seen = 1;
  vm->by_guest = (uint8_t) qmp_json_bool (data, "guest", 0);
  if (!vm->stop_requested)
    qmp_vm_set_state (vm, HV_VM_STOPPING, "shutdown", NULL);
  qmp_control_post (vm, "quit");
}

static void
on_reset (struct qmp_vm *vm, const json_t *data)
{
  struct hv_reboot_event e = { .vm = vm->name };
  HV_SET (&e, by_guest, (uint8_t) qmp_json_bool (data, "guest", 0));
  publish (vm, "reboot", &e);
  if (vm->state == HV_VM_STOPPING && !vm->stop_requested && !vm->shutdown_seen)
    qmp_vm_set_state (vm, HV_VM_RUNNING, "rebooted", NULL);
}

static void
on_panic (struct qmp_vm *vm, const json_t *data)
{
  struct hv_guest_panic e = { .vm = vm->name };
  HV_SET (&e, action, qmp_json_str (data, "action", "pause"));
  publish (vm, "guest_panic", &e);
  vm->panicked = 1;
  qmp_vm_set_state (vm, HV_VM_CRASHED, "guest_panic", NULL);
}

static void
on_watchdog (struct qmp_vm *vm, const json_t *data)
{
  struct hv_watchdog_event e = { .vm = vm->name };
  e.action = qmp_json_str (data, "action", "none");
  publish (vm, "watchdog", &e);
}

static void
power (struct qmp_vm *vm, const char *phase, uint32_t state)
{
  struct hv_pm_event e = { .vm = vm->name, .phase = phase };
  publish (vm, "power_management", &e);
  if (!vm->stop_requested)
    qmp_vm_set_state (vm, state, "guest", NULL);
}

static void
on_suspend (struct qmp_vm *vm, const json_t *data)
{
  (void) data;
  power (vm, "suspend", HV_VM_SUSPENDED);
}

static void
on_wakeup (struct qmp_vm *vm, const json_t *data)
{
  (void) data;
  power (vm, "wakeup", HV_VM_RUNNING);
}

static void
on_suspend_disk (struct qmp_vm *vm, const json_t *data)
{
  struct hv_pm_event e = { .vm = vm->name, .phase = "suspend_disk" };
  (void) data;
  publish (vm, "power_management", &e);
}

/* --- devices --- */

static void
on_port (struct qmp_vm *vm, const json_t *data)
{
  if (strcmp (qmp_json_str (data, "id", ""), QMP_ID_AGENT) != 0)
    return;
  struct hv_agent_event e = { .vm = vm->name, .connected = (uint8_t) qmp_json_bool (data, "open", 0) };
  if (vm->agent_connected == e.connected)
    return;
  vm->agent_connected = e.connected;
  publish (vm, "agent", &e);
  qmp_vm_wake (vm);
}

/* The disk that a node belongs to, by its name in the definition; in the memory of the current callback. */
static const char *
disk_name (struct qmp_vm *vm, const char *node)
{
  struct hv_machine m;
  int index = qmp_vm_live (vm, &m, NULL) == 0 ? qmp_disk_of_node (&m, node, NULL) : -1;
  return index >= 0 ? m.disks.items[index].name : NULL;
}

static void
on_io_error (struct qmp_vm *vm, const json_t *data)
{
  struct hv_io_error e = { .vm = vm->name };
  const char *disk = disk_name (vm, qmp_json_str (data, "node-name", NULL));
  if (disk != NULL)
    HV_SET (&e, disk, disk);
  HV_SET (&e, operation, qmp_json_str (data, "operation", "unknown"));
  HV_SET (&e, action, qmp_json_str (data, "action", "unknown"));
  HV_SET (&e, reason, qmp_json_str (data, "reason", "unknown"));
  HV_SET (&e, no_space, (uint8_t) qmp_json_bool (data, "nospace", 0));
  if (strcmp (e.action, "stop") == 0)
    (void) qmp_text_set (&vm->io_error, e.reason);
  publish (vm, "io_error", &e);
}

static void
on_balloon (struct qmp_vm *vm, const json_t *data)
{
  struct hv_memory_event e = { .vm = vm->name };
  int64_t actual = qmp_json_int (data, "actual", -1);
  if (actual < 0)
    return;
  e.size_bytes = (uint64_t) actual;
  publish (vm, "balloon", &e);
}

static void
on_rtc (struct qmp_vm *vm, const json_t *data)
{
  struct hv_rtc_change e = { .vm = vm->name, .offset_s = qmp_json_int (data, "offset", 0) };
  publish (vm, "rtc_change", &e);
}

static void
on_tray (struct qmp_vm *vm, const json_t *data)
{
  struct hv_tray_change e = { .vm = vm->name, .open = (uint8_t) qmp_json_bool (data, "tray-open", 0) };
  const char *id = qmp_json_str (data, "id", "");
  if (strncmp (id, "ua-", 3) != 0)
    return;
  e.disk = id + 3;
  publish (vm, "tray_change", &e);
}

/* What the device stood on is taken off before anybody is told. */
static void
on_deleted (struct qmp_vm *vm, const json_t *data)
{
  const char *id = qmp_json_str (data, "device", "");
  if (strncmp (id, "ua-", 3) == 0)
    qmp_device_gone (vm, id + 3);
  qmp_vm_wake (vm);
}

static void
on_unplug_refused (struct qmp_vm *vm, const json_t *data)
{
  struct hv_device_event e = { .vm = vm->name };
  const char *id = qmp_json_str (data, "device", "");
  if (strncmp (id, "ua-", 3) != 0)
    return;
  e.device = id + 3;
  HV_SET (&e, reason, "the guest refuses");
  (void) qmp_text_set (&vm->refused_device, e.device);
  publish (vm, "device_removal_failed", &e);
  qmp_vm_wake (vm);
}

static void
on_memory_failure (struct qmp_vm *vm, const json_t *data)
{
  struct hv_memory_failure e = { .vm = vm->name };
  e.recipient = qmp_json_str (data, "recipient", "hypervisor");
  e.action = qmp_json_str (data, "action", "ignore");
  HV_SET (&e, recursive, (uint8_t) qmp_json_bool (json_object_get (data, "flags"), "recursive", 0));
  publish (vm, "memory_failure", &e);
}

/* --- migration --- */

static void
on_migration (struct qmp_vm *vm, const json_t *data)
{
  static const char *const known[] = { "setup", "active", "pre-switchover", "completed", "failed", "cancelled" };
  const char *status = qmp_json_str (data, "status", "");
  struct hv_migration_event e = { .vm = vm->name, .status = strcmp (status, "postcopy-active") == 0 ? "post-copy" : NULL };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp (known[i], status) == 0)
      e.status = known[i];
  vm->transfer_events++;
  qmp_vm_wake (vm);
  if (e.status != NULL)
    publish (vm, "migration", &e);
}

static void
on_migration_pass (struct qmp_vm *vm, const json_t *data)
{
  struct hv_migration_event e = { .vm = vm->name, .status = "active" };
  int64_t pass = qmp_json_int (data, "pass", 0);
  HV_SET (&e, iteration, pass > 0 && pass <= UINT32_MAX ? (uint32_t) pass : 0);
  vm->transfer_events++;
  qmp_vm_wake (vm);
  publish (vm, "migration", &e);
}

static void
graphics (struct qmp_vm *vm, const json_t *data, const char *phase)
{
  struct hv_graphics_event e = { .vm = vm->name, .phase = phase };
  const char *service = qmp_json_str (json_object_get (data, "client"), "service", NULL);
  if (service != NULL)
    HV_SET (&e, client, service);
  publish (vm, "graphics", &e);
}

static void
on_vnc_connected (struct qmp_vm *vm, const json_t *data)
{
  graphics (vm, data, "connected");
}

static void
on_vnc_initialized (struct qmp_vm *vm, const json_t *data)
{
  graphics (vm, data, "initialized");
}

static void
on_vnc_disconnected (struct qmp_vm *vm, const json_t *data)
{
  graphics (vm, data, "disconnected");
}

static const struct {
  const char *name;
  void (*fn) (struct qmp_vm *, const json_t *data);
} handlers[] = {
  { "STOP", on_stop },
  { "RESUME", on_resume },
  { "SHUTDOWN", on_shutdown },
  { "RESET", on_reset },
  { "GUEST_PANICKED", on_panic },
  { "GUEST_CRASHLOADED", on_panic },
  { "WATCHDOG", on_watchdog },
  { "SUSPEND", on_suspend },
  { "SUSPEND_DISK", on_suspend_disk },
  { "WAKEUP", on_wakeup },
  { "VSERPORT_CHANGE", on_port },
  { "BLOCK_IO_ERROR", on_io_error },
  { "BALLOON_CHANGE", on_balloon },
  { "RTC_CHANGE", on_rtc },
  { "DEVICE_TRAY_MOVED", on_tray },
  { "DEVICE_DELETED", on_deleted },
  { "DEVICE_UNPLUG_GUEST_ERROR", on_unplug_refused },
  { "MEMORY_FAILURE", on_memory_failure },
  { "MIGRATION", on_migration },
  { "MIGRATION_PASS", on_migration_pass },
  { "VNC_CONNECTED", on_vnc_connected },
  { "VNC_INITIALIZED", on_vnc_initialized },
  { "VNC_DISCONNECTED", on_vnc_disconnected },
};

void
qmp_event_handle (struct qmp_vm *vm, const char *name, const json_t *data)
{
  uint32_t was = vm->state;
  for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
    if (strcmp (handlers[i].name, name) == 0)
      handlers[i].fn (vm, data);
  if (vm->state != was && !vm->settling)
    qmp_record_save_later (vm);
}
