/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt tells, into the events of hypervisor/1. */
#include "note.h"
#include <stdio.h>
#include <string.h>

/* For so long an event may be older than what we did last: answers and events come by different ways. */
#define EVENTS_LATE_MS 2000u

static void
publish (struct lv *lv, const char *event, const void *data)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (lv->host);
  if (hv_publish (lv->host, event, data, err) < 0)
    hv_log (lv->host, HV_LOG_WARNING, "event '%s' lost: %s", event, hv_err_message (err));
}

/* The word for number n of a list; "" beyond its end. */
static const char *
word (const char *const *words, size_t count, long long n)
{
  return n >= 0 && (size_t) n < count ? words[n] : "unknown";
}
#define WORD(words, n) word (words, sizeof (words) / sizeof *(words), (n))

/* --- lifecycle --- */

/* What came before we changed something may be heard after it: then libvirt is asked what is true. */
static void
event_state (struct lv_vm *vm, uint32_t state, const char *reason, const char *detail)
{
  if (vm->state == state)
    return;
  if (vm->changing > 0)
    return; /* the verb that is at it reads the state when it is done */
  if (vm->asked_ms != 0 && vm->lv->host->api->now_ms () - vm->asked_ms < EVENTS_LATE_MS) {
    lv_state_read_later (vm);
    return;
  }
  lv_vm_set_state (vm, state, reason, detail);
  if (lv_vm_alive (vm) && vm->pid == 0)
    lv_process_find_later (vm);
}

static void
on_started (struct lv_vm *vm, int running, long long detail)
{
  static const char *const reasons[] = { "user", "migrated", "from_snapshot", "migrated" };
  if (vm->state == HV_VM_STOPPED || vm->state == HV_VM_CRASHED)
    event_state (vm, HV_VM_STARTING, "start", NULL);
  if (running)
    event_state (vm, HV_VM_RUNNING,
                 vm->state == HV_VM_STARTING && detail == VIR_DOMAIN_EVENT_RESUMED_UNPAUSED ? "booted" : WORD (reasons, detail),
                 NULL);
  lv_sync_vm_later (vm); /* its state, too: a machine may begin paused */
}

static void
on_suspended (struct lv_vm *vm, long long detail)
{
  static const char *const reasons[]
      = { "user", "migration", "io_error", "watchdog", "restored", "from_snapshot", "api_error", "post_copy", "post_copy_failed" };
  uint32_t state = detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED || detail == VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY ? HV_VM_MIGRATING
                                                                                                                  : HV_VM_PAUSED;
  if (vm->state == HV_VM_STARTING)
    lv_state_read_later (vm); /* a machine begins paused */
  else
    event_state (vm, state, WORD (reasons, detail), NULL);
}

/* Its domain is gone with its process, or was undefined while it ran. */
static void
forget (struct lv_vm *vm)
{
  lv_vm_announce (vm, "undefined", 1);
  if (!vm->foreign)
    lv_record_delete_later (vm);
  lv_vm_remove (vm);
}

static void
on_stopped (struct lv_vm *vm, long long detail)
{
  static const char *const reasons[] = { "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from_snapshot" };
  int failed = detail == VIR_DOMAIN_EVENT_STOPPED_FAILED, starting = vm->state == HV_VM_STARTING;
  if (detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED)
    event_state (vm, HV_VM_CRASHED, "guest_panic", "the guest panicked");
  else if (failed && !starting)
    event_state (vm, HV_VM_CRASHED, "crashed", "its process ended, and nobody had asked it to; libvirt keeps no exit code");
  else
    event_state (vm, HV_VM_STOPPED, failed ? "start_failed" : WORD (reasons, detail), NULL);
  if (vm->transient && vm->changing == 0)
    forget (vm);
  else
    lv_sync_vm_later (vm);
}

static void
on_crashed (struct lv_vm *vm, long long detail)
{
  struct hv_guest_panic e = { .vm = vm->name };
  HV_SET (&e, action, detail == VIR_DOMAIN_EVENT_CRASHED_PANICKED ? "pause" : "run");
  publish (vm->lv, "guest_panic", &e);
  if (detail == VIR_DOMAIN_EVENT_CRASHED_PANICKED)
    event_state (vm, HV_VM_CRASHED, "guest_panic", "the guest panicked");
}

static void
on_undefined (struct lv_vm *vm)
{
  if (vm->changing > 0)
    return; /* we do it ourselves */
  vm->transient = 1;
  if (vm->state == HV_VM_STOPPED || vm->state == HV_VM_CRASHED)
    forget (vm);
}

static void
on_lifecycle (struct lv_daemon *d, struct lv_vm *vm, const struct lv_note *n)
{
  if (vm == NULL) {
    if (n->x != VIR_DOMAIN_EVENT_UNDEFINED)
      lv_sync_later (d); /* somebody else's, and new */
    return;
  }
  switch (n->x) {
  case VIR_DOMAIN_EVENT_DEFINED:
    lv_sync_vm_later (vm);
    break;
  case VIR_DOMAIN_EVENT_UNDEFINED:
    on_undefined (vm);
    break;
  case VIR_DOMAIN_EVENT_STARTED:
    on_started (vm, 0, 0);
    break;
  case VIR_DOMAIN_EVENT_SUSPENDED:
    on_suspended (vm, n->y);
    break;
  case VIR_DOMAIN_EVENT_RESUMED:
    on_started (vm, 1, n->y);
    break;
  case VIR_DOMAIN_EVENT_STOPPED:
    on_stopped (vm, n->y);
    break;
  case VIR_DOMAIN_EVENT_SHUTDOWN:
    event_state (vm, HV_VM_STOPPING, "shutdown", NULL);
    break;
  case VIR_DOMAIN_EVENT_PMSUSPENDED:
    event_state (vm, HV_VM_SUSPENDED, "guest", NULL);
    break;
  case VIR_DOMAIN_EVENT_CRASHED:
    on_crashed (vm, n->y);
    break;
  default:
    lv_state_read_later (vm);
  }
}

/* --- devices --- */

/* The neutral name of a device that libvirt names by its alias, or a disk by its target. */
static const char *
device_name (const struct lv_vm *vm, const char *alias)
{
  if (alias == NULL)
    return "";
  if (strncmp (alias, "ua-", 3) == 0)
    return alias + 3;
  for (uint32_t i = 0; vm->facts != NULL && i < vm->facts->disk_count; i++) {
    const struct lv_disk *d = &vm->facts->disks[i];
    if ((d->alias != NULL && strcmp (d->alias, alias) == 0) || (d->target != NULL && strcmp (d->target, alias) == 0))
      return d->name;
  }
  for (uint32_t i = 0; vm->facts != NULL && i < vm->facts->nic_count; i++)
    if (vm->facts->nics[i].alias != NULL && strcmp (vm->facts->nics[i].alias, alias) == 0)
      return vm->facts->nics[i].name;
  return alias;
}

static const char *
disk_of_path (const struct lv_vm *vm, const char *path)
{
  for (uint32_t i = 0; vm->facts != NULL && path != NULL && i < vm->facts->disk_count; i++)
    if (vm->facts->disks[i].path != NULL && strcmp (vm->facts->disks[i].path, path) == 0)
      return vm->facts->disks[i].name;
  return NULL;
}

static void
on_device (struct lv_vm *vm, const struct lv_note *n, const char *event)
{
  struct hv_device_event e = { .vm = vm->name, .device = device_name (vm, n->a) };
  if (n->kind == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED)
    HV_SET (&e, reason, "the guest did not let it go");
  publish (vm->lv, event, &e);
  lv_device_told (vm, e.device, n->kind);
  if (n->kind != VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED)
    lv_sync_vm_later (vm);
}

static void
on_io_error (struct lv_vm *vm, const struct lv_note *n)
{
  static const char *const actions[] = { "ignore", "stop", "report" };
  struct hv_io_error e = { .vm = vm->name };
  const char *disk = n->b != NULL && n->b[0] != '\0' ? device_name (vm, n->b) : disk_of_path (vm, n->a);
  if (disk != NULL)
    HV_SET (&e, disk, disk);
  if (n->a != NULL)
    HV_SET (&e, path, n->a);
  HV_SET (&e, action, WORD (actions, n->x));
  HV_SET (&e, no_space, n->c != NULL && strcmp (n->c, "enospc") == 0);
  HV_SET (&e, reason,
          n->c != NULL && n->c[0] != '\0' ? (e.no_space ? "No space left on device" : n->c) : "an I/O error; libvirt says no more");
  lv_fault_note (vm, &e);
  publish (vm->lv, "io_error", &e);
}

static void
on_block_job (struct lv_vm *vm, const struct lv_note *n)
{
  static const char *const kinds[] = { "unknown", "pull", "mirror", "commit", "commit", "backup" };
  static const char *const statuses[] = { "completed", "failed", "cancelled", "ready" };
  struct hv_block_job e = { .vm = vm->name, .status = WORD (statuses, n->y) };
  HV_SET (&e, disk, device_name (vm, n->a));
  HV_SET (&e, kind, WORD (kinds, n->x));
  publish (vm->lv, "block_job", &e);
  lv_block_job_told (vm, n->a, (int) n->y);
  if (n->y != VIR_DOMAIN_BLOCK_JOB_READY)
    lv_sync_vm_later (vm);
}

static void
on_disk_change (struct lv_vm *vm, const struct lv_note *n)
{
  struct hv_disk_change e = { .vm = vm->name, .disk = device_name (vm, n->c) };
  if (n->a != NULL)
    HV_SET (&e, was_path, n->a);
  if (n->b != NULL)
    HV_SET (&e, path, n->b);
  publish (vm->lv, "disk_change", &e);
  lv_sync_vm_later (vm);
}

static void
on_tray (struct lv_vm *vm, const struct lv_note *n)
{
  struct hv_tray_change e = { .vm = vm->name, .disk = device_name (vm, n->a), .open = n->x == VIR_DOMAIN_EVENT_TRAY_CHANGE_OPEN };
  publish (vm->lv, "tray_change", &e);
}

static void
on_threshold (struct lv_vm *vm, const struct lv_note *n)
{
  struct hv_block_threshold e = { .vm = vm->name, .disk = device_name (vm, n->a), .threshold_bytes = (uint64_t) n->x };
  HV_SET (&e, excess_bytes, (uint64_t) n->y);
  publish (vm->lv, "block_threshold", &e);
}

/* --- memory, clock, and the rest --- */

static void
on_memory (struct lv_vm *vm, const struct lv_note *n)
{
  struct hv_memory_event e = { .vm = vm->name, .size_bytes = (uint64_t) n->x * 1024 };
  if (n->a != NULL)
    HV_SET (&e, device, device_name (vm, n->a));
  publish (vm->lv, n->kind == VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE ? "balloon" : "memory_size", &e);
}

static void
on_memory_failure (struct lv_vm *vm, const struct lv_note *n)
{
  static const char *const actions[] = { "ignore", "inject", "fatal", "reset" };
  struct hv_memory_failure e = { .vm = vm->name,
                                 .recipient = n->x == VIR_DOMAIN_EVENT_MEMORY_FAILURE_RECIPIENT_GUEST ? "guest" : "hypervisor",
                                 .action = WORD (actions, n->y) };
  HV_SET (&e, recursive, (n->z & VIR_DOMAIN_MEMORY_FAILURE_RECURSIVE) != 0);
  publish (vm->lv, "memory_failure", &e);
}

static void
on_watchdog (struct lv_vm *vm, const struct lv_note *n)
{
  static const char *const actions[] = { "none", "pause", "reset", "poweroff", "shutdown", "debug", "inject-nmi" };
  publish (vm->lv, "watchdog", &(struct hv_watchdog_event){ .vm = vm->name, .action = WORD (actions, n->x) });
}

static void
on_reboot (struct lv_vm *vm)
{
  publish (vm->lv, "reboot", &(struct hv_reboot_event){ .vm = vm->name });
  lv_reset_told (vm);
  if (vm->state == HV_VM_STOPPING)
    lv_vm_set_state (vm, HV_VM_RUNNING, "rebooted", NULL);
}

static void
on_rtc (struct lv_vm *vm, const struct lv_note *n)
{
  publish (vm->lv, "rtc_change", &(struct hv_rtc_change){ .vm = vm->name, .offset_s = n->x });
}

static void
on_graphics (struct lv_vm *vm, const struct lv_note *n)
{
  static const char *const phases[] = { "connected", "initialized", "disconnected" };
  struct hv_graphics_event e = { .vm = vm->name, .phase = WORD (phases, n->x) };
  if (n->a != NULL)
    HV_SET (&e, client, n->a);
  publish (vm->lv, "graphics", &e);
}

static void
on_pm (struct lv_vm *vm, const char *phase)
{
  publish (vm->lv, "power_management", &(struct hv_pm_event){ .vm = vm->name, .phase = phase });
}

static void
on_agent (struct lv_vm *vm, const struct lv_note *n)
{
  int connected = n->x == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED;
  if (vm->agent_connected == connected)
    return;
  vm->agent_connected = (uint8_t) connected;
  publish (vm->lv, "agent", &(struct hv_agent_event){ .vm = vm->name, .connected = (uint8_t) connected });
  lv_vm_wake (vm);
}

static void
on_migration (struct lv_vm *vm, const struct lv_note *n)
{
  struct hv_migration_event e = { .vm = vm->name, .status = "active" };
  HV_SET (&e, iteration, (uint32_t) n->x);
  publish (vm->lv, "migration", &e);
}

/* The figures of a job: "name=value" lines (note.c). */
static int
figure (const char *lines, const char *name, uint64_t *ret)
{
  size_t length = strlen (name);
  for (const char *at = lines; at != NULL && *at != '\0'; at = strchr (at, '\n') != NULL ? strchr (at, '\n') + 1 : NULL)
    if (strncmp (at, name, length) == 0 && at[length] == '=') {
      *ret = strtoull (at + length + 1, NULL, 10);
      return 1;
    }
  return 0;
}

static void
on_job (struct lv_vm *vm, const struct lv_note *n)
{
  static const char *const jobs[] = { "unknown",  "start",  "save", "restore", "migrate_in",     "migrate",
                                      "snapshot", "revert", "dump", "backup",  "snapshot_delete" };
  uint64_t operation = 0, value;
  (void) figure (n->a, VIR_DOMAIN_JOB_OPERATION, &operation);
  struct hv_job_completed e = { .vm = vm->name, .job = WORD (jobs, (long long) operation), .ok = n->x >= 0 };
  const char *words = n->a != NULL ? strstr (n->a, VIR_DOMAIN_JOB_ERRMSG "=") : NULL;
  char *reason = words != NULL ? hv_strdup (vm->lv->host, words + strlen (VIR_DOMAIN_JOB_ERRMSG "=")) : NULL;
  if (reason != NULL) {
    reason[strcspn (reason, "\n")] = '\0';
    HV_SET (&e, reason, reason);
  }
  if (figure (n->a, VIR_DOMAIN_JOB_TIME_ELAPSED, &value))
    HV_SET (&e, total_ms, value);
  if (figure (n->a, VIR_DOMAIN_JOB_DATA_PROCESSED, &value))
    HV_SET (&e, transferred_bytes, value);
  publish (vm->lv, "job_completed", &e);
  vm->jobs_ended++;
  vm->job_failed = !e.ok;
  lv_vm_wake (vm);
  if (figure (n->a, VIR_DOMAIN_JOB_DOWNTIME, &value))
    vm->job_downtime_ms = value;
  if (e.has.transferred_bytes)
    vm->job_bytes = e.transferred_bytes;
}

static void
on_config (struct lv_vm *vm, const struct lv_note *n, const char *event)
{
  struct hv_config_event e = { .vm = vm->name };
  static const char *const kinds[] = { "description", "title", "element" };
  struct hv_pair pairs[16];
  uint32_t count = 0;
  if (n->kind == VIR_DOMAIN_EVENT_ID_METADATA_CHANGE)
    pairs[count++] = (struct hv_pair){ WORD (kinds, n->x), n->a != NULL ? n->a : "" };
  char *at = n->kind == VIR_DOMAIN_EVENT_ID_METADATA_CHANGE ? NULL : hv_strdup (vm->lv->host, n->a != NULL ? n->a : "");
  while (at != NULL && *at != '\0' && count < 16) {
    char *end = at + strcspn (at, "\n"), *equals = strchr (at, '=');
    int last = *end == '\0';
    *end = '\0';
    if (equals != NULL && equals < end) {
      *equals = '\0';
      pairs[count++] = (struct hv_pair){ at, equals + 1 };
    }
    at = last ? NULL : end + 1;
  }
  HV_SET (&e, changed, ((struct hv_map){ pairs, count }));
  publish (vm->lv, event, &e);
}

static void
on_control (struct lv_vm *vm)
{
  struct hv_control_event e = { .vm = vm->name, .connected = 0 };
  publish (vm->lv, "control", &e);
  if (lv_vm_alive (vm))
    lv_vm_set_state (vm, HV_VM_UNREACHABLE, "monitor_error", "libvirt says that its monitor is broken");
}

static void
on_closed (struct lv_daemon *d, const struct lv_note *n)
{
  static const char *const reasons[]
      = { "an error on the connection", "libvirt's daemon ended", "libvirt's daemon did not answer", "it was closed" };
  lv_connection_lost (d, WORD (reasons, n->x));
}

static void
apply_to (struct lv_vm *vm, const struct lv_note *n)
{
  switch (n->kind) {
  case VIR_DOMAIN_EVENT_ID_REBOOT:
    on_reboot (vm);
    break;
  case VIR_DOMAIN_EVENT_ID_RTC_CHANGE:
    on_rtc (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_WATCHDOG:
    on_watchdog (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_IO_ERROR:
    break; /* IO_ERROR_REASON comes with it, and says more */
  case VIR_DOMAIN_EVENT_ID_GRAPHICS:
    on_graphics (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON:
    on_io_error (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_CONTROL_ERROR:
    on_control (vm);
    break;
  case VIR_DOMAIN_EVENT_ID_BLOCK_JOB:
    break; /* BLOCK_JOB_2 comes with it, and names the disk in a way that lasts */
  case VIR_DOMAIN_EVENT_ID_DISK_CHANGE:
    on_disk_change (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_TRAY_CHANGE:
    on_tray (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_PMWAKEUP:
    on_pm (vm, "wakeup");
    break;
  case VIR_DOMAIN_EVENT_ID_PMSUSPEND:
    on_pm (vm, "suspend");
    break;
  case VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE:
    on_memory (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK:
    on_pm (vm, "suspend_disk");
    break;
  case VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED:
    on_device (vm, n, "device_removed");
    break;
  case VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2:
    on_block_job (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_TUNABLE:
    on_config (vm, n, "tunable");
    break;
  case VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE:
    on_agent (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_DEVICE_ADDED:
    on_device (vm, n, "device_added");
    break;
  case VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION:
    on_migration (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_JOB_COMPLETED:
    on_job (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED:
    on_device (vm, n, "device_removal_failed");
    break;
  case VIR_DOMAIN_EVENT_ID_METADATA_CHANGE:
    on_config (vm, n, "metadata_change");
    break;
  case VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD:
    on_threshold (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE:
    on_memory_failure (vm, n);
    break;
  case VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE:
    on_memory (vm, n);
    break;
  default:
    hv_log (vm->lv->host, HV_LOG_WARNING, "VM '%s': libvirt's event %d is not known here", vm->name, n->kind);
  }
}

void
lv_note_apply (struct lv_daemon *d, const struct lv_note *n)
{
  if (n->kind == LV_NOTE_CLOSED) {
    on_closed (d, n);
    return;
  }
  struct lv_vm *found = lv_vm_find_uuid (d->lv, n->uuid); /* one that has moved is another libvirt's now */
  HV_CLEAN (lv_vm) struct lv_vm *vm = found != NULL && found->daemon == d ? lv_vm_ref (found) : NULL;
  if (vm != NULL)
    vm->heard_ms = d->heard_ms;
  if (n->kind == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
    on_lifecycle (d, vm, n);
  else if (vm != NULL)
    apply_to (vm, n);
}
