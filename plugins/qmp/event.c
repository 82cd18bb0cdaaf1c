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
  qmp_faults_resumed (vm);
  qmp_vm_set_state (vm, HV_VM_RUNNING,
                    vm->run_reason == NULL || (vm->acknowledged && vm->state != HV_VM_MIGRATING) ? "resumed" : vm->run_reason,
                    NULL);
}

static void
on_shutdown (struct qmp_vm *vm, const json_t *data)
{
  const char *reason = qmp_json_str (data, "reason", "");
  if (strncmp (reason, "host-", 5) == 0)
    return; /* quit or a signal: the process is about to end by itself */
  vm->by_guest = (uint8_t) qmp_json_bool (data, "guest", 0);
  if (!vm->stop_requested)
    qmp_vm_set_state (vm, HV_VM_STOPPING, "shutdown", NULL);
  qmp_let_go (vm);
}

static void
on_reset (struct qmp_vm *vm, const json_t *data)
{
  struct hv_reboot_event e = { .vm = vm->name };
  HV_SET (&e, by_guest, (uint8_t) qmp_json_bool (data, "guest", 0));
  publish (vm, "reboot", &e);
  vm->resets_awaited = 0;
  qmp_vm_wake (vm);
  if (vm->state == HV_VM_STOPPING && !vm->stop_requested && !vm->shutdown_seen)
    qmp_vm_set_state (vm, HV_VM_RUNNING, "rebooted", NULL);
}

/* "run": the guest deals with it itself (a crash kernel, say) and goes on. */
static void
on_panic (struct qmp_vm *vm, const json_t *data)
{
  struct hv_guest_panic e = { .vm = vm->name };
  const char *type = qmp_json_str (json_object_get (data, "info"), "type", NULL);
  HV_SET (&e, action, qmp_json_str (data, "action", "pause"));
  if (type != NULL)
    HV_SET (&e, detail, type);
  publish (vm, "guest_panic", &e);
  if (strcmp (e.action, "run") == 0)
    return;
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

/* The disk that a node belongs to, by its name in the definition, and the node's file (may be NULL: not wanted); in the memory
 * of the current callback. */
static const char *
disk_name (struct qmp_vm *vm, const char *node, const char **ret_path)
{
  struct hv_machine m;
  int index = qmp_vm_live (vm, &m, NULL) == 0 ? qmp_disk_of_node (&m, node, ret_path) : -1;
  return index >= 0 ? m.disks.items[index].name : NULL;
}

static void
io_error_place (struct qmp_vm *vm, const json_t *data, struct hv_io_error *e)
{
  const char *path = NULL, *disk = disk_name (vm, qmp_json_str (data, "node-name", NULL), &path);
  if (disk == NULL)
    return;
  HV_SET (e, disk, disk);
  HV_SET (e, path, path);
}

static void
on_io_error (struct qmp_vm *vm, const json_t *data)
{
  struct hv_io_error e = { .vm = vm->name };
  io_error_place (vm, data, &e);
  HV_SET (&e, operation, qmp_json_str (data, "operation", "unknown"));
  HV_SET (&e, action, qmp_json_str (data, "action", "unknown"));
  HV_SET (&e, reason, qmp_json_str (data, "reason", "unknown"));
  HV_SET (&e, no_space, (uint8_t) qmp_json_bool (data, "nospace", 0));
  if (strcmp (e.action, "stop") == 0)
    (void) qmp_text_set (&vm->io_error, e.reason);
  qmp_fault_note (vm, &e);
  publish (vm, "io_error", &e);
}

/* QEMU found an image damaged: the guest sees errors from then on, all of them if it is fatal. */
static void
on_image_corrupted (struct qmp_vm *vm, const json_t *data)
{
  struct hv_io_error e = { .vm = vm->name };
  io_error_place (vm, data, &e);
  HV_SET (&e, operation, "metadata");
  HV_SET (&e, action, "report");
  HV_SET (&e, reason, qmp_json_str (data, "msg", "the image is corrupt"));
  qmp_fault_note (vm, &e);
  publish (vm, "io_error", &e);
}

static void
on_threshold (struct qmp_vm *vm, const json_t *data)
{
  struct hv_block_threshold e = { .vm = vm->name };
  e.disk = disk_name (vm, qmp_json_str (data, "node-name", NULL), NULL);
  if (e.disk == NULL)
    return;
  e.threshold_bytes = (uint64_t) qmp_json_int (data, "write-threshold", 0);
  HV_SET (&e, excess_bytes, (uint64_t) qmp_json_int (data, "amount-exceeded", 0));
  publish (vm, "block_threshold", &e);
}

/* --- block jobs: ours are named merge-DISK --- */

static void
block_job (struct qmp_vm *vm, const json_t *data, const char *status, const char *reason)
{
  struct hv_block_job e = { .vm = vm->name, .status = status };
  const char *job = qmp_json_str (data, "device", "");
  const char *kind = qmp_json_str (data, "type", "");
  if (strncmp (job, "merge-", 6) == 0)
    HV_SET (&e, disk, job + 6);
  HV_SET (&e, job, job);
  HV_SET (&e, kind, strcmp (kind, "stream") == 0 ? "pull" : kind);
  if (reason != NULL)
    HV_SET (&e, reason, reason);
  publish (vm, "block_job", &e);
  qmp_vm_wake (vm);
}

static void
on_job_ready (struct qmp_vm *vm, const json_t *data)
{
  block_job (vm, data, "ready", NULL);
}

static void
on_job_completed (struct qmp_vm *vm, const json_t *data)
{
  const char *error = qmp_json_str (data, "error", NULL);
  block_job (vm, data, error != NULL ? "failed" : "completed", error);
}

static void
on_job_cancelled (struct qmp_vm *vm, const json_t *data)
{
  block_job (vm, data, "cancelled", NULL);
}

/* An error within a job, which may go on all the same. */
static void
on_job_error (struct qmp_vm *vm, const json_t *data)
{
  struct hv_io_error e = { .vm = vm->name };
  const char *job = qmp_json_str (data, "device", "");
  if (strncmp (job, "merge-", 6) == 0)
    HV_SET (&e, disk, job + 6);
  HV_SET (&e, operation, qmp_json_str (data, "operation", "unknown"));
  HV_SET (&e, action, qmp_json_str (data, "action", "report"));
  HV_SET (&e, reason, "in a block job");
  publish (vm, "io_error", &e);
}

/* Somebody who follows a job looks at it again. */
static void
on_job (struct qmp_vm *vm, const json_t *data)
{
  (void) data;
  qmp_vm_wake (vm);
}

static void
on_balloon (struct qmp_vm *vm, const json_t *data)
{
  struct hv_memory_event e = { .vm = vm->name };
  int64_t actual = qmp_json_int (data, "actual", -1);
  if (actual < 0)
    return;
  e.size_bytes = (uint64_t) actual;
  HV_SET (&vm->sample.memory, balloon_bytes, e.size_bytes);
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

/* Of memory that could not be unplugged. */
static void
on_memory_refused (struct qmp_vm *vm, const json_t *data)
{
  struct hv_device_event e = { .vm = vm->name };
  e.device = qmp_json_str (data, "device", "");
  HV_SET (&e, reason, qmp_json_str (data, "msg", "the guest refuses"));
  publish (vm, "device_removal_failed", &e);
}

static void
on_memory_size (struct qmp_vm *vm, const json_t *data)
{
  struct hv_memory_event e = { .vm = vm->name };
  const char *id = qmp_json_str (data, "id", NULL);
  int64_t size = qmp_json_int (data, "size", -1);
  if (size < 0)
    return;
  e.size_bytes = (uint64_t) size;
  if (id != NULL)
    HV_SET (&e, device, id);
  publish (vm, "memory_size", &e);
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

/* --- addresses of network cards --- */

/* The MAC address that was heard last; until then that of the definition. */
static void
mac_take (struct qmp_vm *vm, const char *nic, const char *mac)
{
  struct hv_machine live;
  struct hv_nic_mac_change e = { .vm = vm->name, .nic = nic, .mac = mac };
  char **known = qmp_mac_of (vm, nic);
  const char *was = known != NULL ? *known : NULL;
  if (was == NULL && qmp_vm_live (vm, &live, NULL) == 0)
    for (uint32_t i = 0; i < live.nics.count; i++)
      if (strcmp (live.nics.items[i].name, nic) == 0)
        was = live.nics.items[i].mac;
  if (was != NULL && strcasecmp (was, mac) == 0)
    return;
  if (was != NULL)
    HV_SET (&e, was_mac, was);
  publish (vm, "nic_mac_change", &e);
  if (known != NULL)
    (void) qmp_text_set (known, mac);
}

static void
rx_filter_done (void *arg, const struct qmp_reply *reply)
{
  struct qmp_vm *vm = arg;
  const json_t *first = reply != NULL && reply->ret != NULL ? json_array_get (reply->ret, 0) : NULL;
  const char *name = qmp_json_str (first, "name", ""), *mac = qmp_json_str (first, "main-mac", NULL);
  if (strncmp (name, "ua-", 3) == 0 && mac != NULL)
    mac_take (vm, name + 3, mac);
}

/* QEMU says that something changed, and says it no more until it was asked what. */
static void
on_rx_filter (struct qmp_vm *vm, const json_t *data)
{
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "name", qmp_json_str (data, "name", ""));
  if (qmp_control_ready (vm) && args != NULL)
    (void) qmp_monitor_send (vm->monitor, "query-rx-filter", args, rx_filter_done, vm);
}

/* --- the display --- */

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

/* All events of QEMU 7.2. Those without a handler say nothing that hypervisor/1 has a word for, or nothing new:
 * POWERDOWN follows our own wish; BLOCK_JOB_PENDING, JOB_STATUS_CHANGE and DUMP_COMPLETED wake whoever follows the job;
 * UNPLUG_PRIMARY, FAILOVER_NEGOTIATED, COLO_EXIT, QUORUM_*, PR_MANAGER_*, RDMA_*, SPICE_*, NETDEV_*, VFU_* and
 * BLOCK_EXPORT_DELETED belong to devices that this backend never gives a machine; ACPI_DEVICE_OST tells what
 * DEVICE_UNPLUG_GUEST_ERROR tells. */
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
  { "BLOCK_IMAGE_CORRUPTED", on_image_corrupted },
  { "BLOCK_WRITE_THRESHOLD", on_threshold },
  { "BLOCK_JOB_READY", on_job_ready },
  { "BLOCK_JOB_COMPLETED", on_job_completed },
  { "BLOCK_JOB_CANCELLED", on_job_cancelled },
  { "BLOCK_JOB_ERROR", on_job_error },
  { "BLOCK_JOB_PENDING", on_job },
  { "JOB_STATUS_CHANGE", on_job },
  { "DUMP_COMPLETED", on_job },
  { "MEMORY_DEVICE_SIZE_CHANGE", on_memory_size },
  { "MEM_UNPLUG_ERROR", on_memory_refused },
  { "NIC_RX_FILTER_CHANGED", on_rx_filter },
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
  size_t i = 0;
  while (i < sizeof handlers / sizeof handlers[0] && strcmp (handlers[i].name, name) != 0)
    i++;
  if (i < sizeof handlers / sizeof handlers[0])
    handlers[i].fn (vm, data);
  else
    hv_log (vm->qmp->host, HV_LOG_DEBUG, "VM '%s': QEMU's event '%.64s' has no counterpart", vm->name, name);
  if (vm->state != was && !vm->settling)
    qmp_record_save_later (vm);
}
