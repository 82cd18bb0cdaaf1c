/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The durable document of each VM. */
#include "qmp.h"
#include <stdio.h>
#include <string.h>

HV_RECORD_TABLE (qmp_snapshot_disk, QMP_SNAPSHOT_DISK, "a disk of a snapshot");
HV_RECORD_TABLE (qmp_snapshot, QMP_SNAPSHOT, "a snapshot");
HV_RECORD_TABLE (qmp_snapshots, QMP_SNAPSHOTS, "snapshots of a VM");
HV_RECORD_TABLE (qmp_pending, QMP_PENDING, "an operation that is under way");
HV_RECORD_TABLE (qmp_document, QMP_DOCUMENT, "a VM of this instance");

#define KEY_PREFIX "vm."

static int
not_saving (const struct qmp_vm *vm)
{
  return !vm->saving;
}

/* What is kept encoded, into the document. */
static int
record_kept (struct qmp_vm *vm, struct qmp_document *d, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  const struct {
    const struct qmp_kept *kept;
    const struct hv_record *rec;
    void *at;
    uint8_t *has;
  } parts[] = { { &vm->machine, &hv_machine_record, &d->machine, &d->has.machine },
                { &vm->live, &hv_machine_record, &d->live, &d->has.live },
                { &vm->pending, &qmp_pending_record, &d->pending, &d->has.pending },
                { &vm->snapshots, &qmp_snapshots_record, &d->snapshots, &d->has.snapshots } };
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    int r = qmp_kept_get (h, parts[i].kept, parts[i].rec, parts[i].at, err);
    if (r < 0)
      return r;
    *parts[i].has = (uint8_t) r;
  }
  return d->has.machine ? 0 : hv_err_set (err, HV_E_DATA_LOSS, "VM '%s': its record cannot be read", vm->name);
}

static int
record_put (struct qmp_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  char key[256];
  struct qmp_document d = { .state = vm->state };
  int r = record_kept (vm, &d, err);
  if (r < 0)
    return r;
  d.has.state = 1;
  if (vm->reason != NULL)
    HV_SET (&d, reason, vm->reason);
  if (vm->detail != NULL)
    HV_SET (&d, detail, vm->detail);
  HV_SET (&d, since_ms, vm->since_ms);
  HV_SET (&d, launched, vm->launched);
  HV_SET (&d, acknowledged, vm->acknowledged);
  HV_SET (&d, guest_off, vm->shutdown_seen);
  HV_SET (&d, boot_id, h->api->info (h)->boot_id);
  HV_SET (&d, pid, vm->pid > 0 ? (uint32_t) vm->pid : 0);
  HV_SET (&d, start_ticks, vm->start_ticks);
  if (vm->accel != NULL)
    HV_SET (&d, accel, vm->accel);
  HV_SET (&d, qemu_log, vm->log_pipes[QMP_LOG_QEMU]);
  HV_SET (&d, serial_log, vm->log_pipes[QMP_LOG_SERIAL]);
  HV_SET (&d, firmware_log, vm->log_pipes[QMP_LOG_FIRMWARE]);
  (void) snprintf (key, sizeof key, KEY_PREFIX "%s", vm->name);
  return h->api->store_put (h, key, &qmp_document_record, &d, err);
}

/* Writers take turns, and each writes what is true when its turn comes: the newest state is always the last on disk. */
int
qmp_record_save (struct qmp_vm *vm, struct hv_err *err)
{
  while (vm->saving) {
    int r = qmp_vm_wait (vm, not_saving, 60000, err);
    if (r < 0)
      return hv_err_wrap (err, r, "record of VM '%s'", vm->name);
  }
  if (vm->undefined)
    return 0;
  vm->saving = 1;
  int r = record_put (vm, err);
  vm->saving = 0;
  vm->unsaved = r < 0;
  qmp_vm_wake (vm);
  return r < 0 ? hv_err_wrap (err, r, "record of VM '%s'", vm->name) : 0;
}

/* What is kept encoded, from the document. */
static int
record_take_kept (struct qmp_vm *vm, const struct qmp_document *d, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  int r = qmp_vm_set_machine (vm, &d->machine, err);
  if (r == 0)
    r = qmp_vm_set_live (vm, HV_HAS (d, live) ? &d->live : NULL, err);
  if (r == 0)
    r = qmp_kept_set (h, &vm->pending, &qmp_pending_record, HV_HAS (d, pending) ? &d->pending : NULL, err);
  if (r == 0)
    r = qmp_kept_set (h, &vm->snapshots, &qmp_snapshots_record, HV_HAS (d, snapshots) ? &d->snapshots : NULL, err);
  return r;
}

static void
record_go_back (struct qmp_vm *vm)
{
  struct hv_host *h = vm->qmp->host;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (h);
  struct qmp_document d;
  char key[256];
  memset (&d, 0, sizeof d);
  (void) snprintf (key, sizeof key, KEY_PREFIX "%s", vm->name);
  int r = h->api->store_get (h, key, &qmp_document_record, &d, err);
  if (r == HV_E_NOT_FOUND || vm->undefined)
    return; /* there was nothing before */
  if (!vm->launched)
    d.has.live = 0; /* it ended meanwhile */
  if (r == 0)
    r = record_take_kept (vm, &d, err);
  if (r < 0)
    hv_log (h, HV_LOG_ERROR, "VM '%s': %s", vm->name, hv_err_message (err));
}

int
qmp_record_commit (struct qmp_vm *vm, struct hv_err *err)
{
  int r = qmp_record_save (vm, err);
  if (r < 0)
    record_go_back (vm);
  return r;
}

int
qmp_record_define (struct qmp_vm *vm, const struct hv_machine *m, struct hv_err *err)
{
  int r = qmp_vm_set_machine (vm, m, err);
  return r == 0 ? qmp_record_commit (vm, err) : r;
}

static void
save_run (void *self, void *arg)
{
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  int known = vm->unsaved;
  (void) self;
  if (qmp_record_save (vm, err) < 0 && !known)
    hv_log (vm->qmp->host, HV_LOG_ERROR, "%s", hv_err_message (err));
}

void
qmp_record_save_later (struct qmp_vm *vm)
{
  if (hv_go (vm->qmp->host, "save", save_run, qmp_vm_ref (vm)) < 0)
    qmp_vm_unref (vm);
}

int
qmp_record_delete (struct qmp_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  char key[256];
  while (vm->saving) {
    int r = qmp_vm_wait (vm, not_saving, 60000, err);
    if (r < 0)
      return r;
  }
  (void) snprintf (key, sizeof key, KEY_PREFIX "%s", vm->name);
  return h->api->store_delete (h, key, err);
}

/* --- reading them all --- */

static int
record_take (struct qmp_vm *vm, const struct qmp_document *d, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  int r = record_take_kept (vm, d, err);
  if (r < 0)
    return r;
  if (qmp_text_set (&vm->reason, d->reason) < 0 || qmp_text_set (&vm->detail, d->detail) < 0
      || qmp_text_set (&vm->accel, d->accel) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  vm->state = d->state;
  vm->since_ms = d->since_ms;
  vm->launched = d->launched;
  vm->acknowledged = d->acknowledged;
  vm->shutdown_seen = d->launched && d->guest_off;
  vm->pid = (int32_t) d->pid;
  vm->start_ticks = d->start_ticks;
  vm->log_pipes[QMP_LOG_QEMU] = d->qemu_log;
  vm->log_pipes[QMP_LOG_SERIAL] = d->serial_log;
  vm->log_pipes[QMP_LOG_FIRMWARE] = d->firmware_log;
  if (vm->launched && (d->boot_id == NULL || strcmp (d->boot_id, h->api->info (h)->boot_id) != 0)) {
    /* the machine that ran it has gone through a reboot since */
    vm->launched = vm->acknowledged = vm->shutdown_seen = 0;
    vm->pid = 0;
    vm->start_ticks = 0;
    const char *reason = qmp_pending_end_reason (vm);
    (void) qmp_vm_set_live (vm, NULL, NULL);
    qmp_vm_set_state (vm, HV_VM_STOPPED, reason != NULL ? reason : "node_rebooted", NULL);
    qmp_record_save_later (vm);
  }
  if (!vm->launched) {
    qmp_paths_remove (vm, 1); /* a start may have been cut off before it was recorded */
    qmp_pending_later (vm);
  }
  return 0;
}

static int
record_load_one (struct qmp *q, const char *key, struct hv_err *err)
{
  struct hv_host *h = q->host;
  struct qmp_document d;
  struct qmp_vm *vm = qmp_vm_new (q, key + strlen (KEY_PREFIX), err);
  if (vm == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  memset (&d, 0, sizeof d);
  int r = h->api->store_get (h, key, &qmp_document_record, &d, err);
  if (r == 0)
    r = record_take (vm, &d, err);
  if (r < 0) {
    hv_log (h, HV_LOG_ERROR, "VM '%s': %s", vm->name, hv_err_message (err));
    qmp_vm_set_state (vm, HV_VM_UNKNOWN, "record_unreadable", hv_err_message (err));
  }
  return r == HV_E_CANCELLED ? r : 0;
}

int
qmp_record_load (struct qmp *q, struct hv_err *err)
{
  struct hv_host *h = q->host;
  struct hv_strs keys = { 0 };
  int r = h->api->store_list (h, &keys, err);
  for (uint32_t i = 0; r == 0 && i < keys.count; i++) {
    if (strncmp (keys.items[i], KEY_PREFIX, strlen (KEY_PREFIX)) != 0)
      continue;
    HV_CLEAN (hv_err) struct hv_err *one = hv_err_new (h);
    uint64_t mark = h->api->scope_mark (h);
    r = record_load_one (q, keys.items[i], one);
    h->api->scope_release (h, mark);
    if (r < 0)
      (void) hv_err_set (err, r, "%s", hv_err_message (one));
  }
  return r;
}
