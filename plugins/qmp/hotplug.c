/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that come and go while the guest runs. A device is what QEMU says it is: after an interruption its list decides,
 * not ours. A device that the guest lets go late, when nobody waits any more, is taken off all the same. */
#include "qmp.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int
out_of_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- attach --- */

/* What the record says once the device is there: live, the definition if asked, nothing pending. One write. */
static int
attach_commit (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  const struct hv_machine_disk *disk = HV_HAS (p, disk) ? &p->disk : NULL;
  const struct hv_machine_nic *nic = HV_HAS (p, nic) ? &p->nic : NULL;
  struct hv_machine live, machine;
  int r = qmp_vm_live (vm, &live, err);
  if (r == 0)
    r = qmp_vm_machine (vm, &machine, err);
  if (r == 0 && (qmp_machine_with (h, &live, disk, nic) < 0 || (p->config && qmp_machine_with (h, &machine, disk, nic) < 0)))
    r = out_of_memory (err);
  if (r == 0)
    r = qmp_vm_set_live (vm, &live, err);
  if (r == 0 && p->config)
    r = qmp_vm_set_machine (vm, &machine, err);
  return r == 0 ? qmp_pending_end (vm, err) : r;
}

static void
announce (struct qmp_vm *vm, const char *event, const char *device)
{
  struct hv_device_event e = { .vm = vm->name, .device = device };
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  if (hv_publish (vm->qmp->host, event, &e, err) < 0)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "VM '%s': event '%s' lost: %s", vm->name, event, hv_err_message (err));
}

static int
attach_live (struct qmp_vm *vm, const struct hv_attach_args *a, char **ret_address, struct hv_err *err)
{
  const struct hv_machine_disk *disk = HV_HAS (a, disk) ? &a->disk : NULL;
  const struct hv_machine_nic *nic = HV_HAS (a, nic) ? &a->nic : NULL;
  char address[QMP_ADDRESS] = "";
  struct qmp_pending pending = { .op = "attach" };
  HV_SET (&pending, config, a->config);
  HV_SET (&pending, device, disk != NULL ? disk->name : nic->name);
  if (disk != NULL)
    HV_SET (&pending, disk, *disk);
  else
    HV_SET (&pending, nic, *nic);
  int r = qmp_pending_begin (vm, &pending, err);
  if (r < 0)
    return r;
  r = qmp_plug (vm, disk, nic, address, err);
  hv_step (vm->qmp->host, "attach.done");
  if (r < 0 && !qmp_pending_in_doubt (vm, r))
    (void) qmp_pending_end (vm, NULL);
  if (r < 0)
    return r;
  r = attach_commit (vm, &pending, err);
  if (r < 0)
    return r;
  announce (vm, "device_added", pending.device);
  *ret_address = hv_strdup (vm->qmp->host, address);
  return 0;
}

static int
attach_config (struct qmp_vm *vm, const struct hv_attach_args *a, struct hv_err *err)
{
  struct hv_machine m;
  int r = qmp_vm_machine (vm, &m, err);
  if (r == 0 && qmp_machine_with (vm->qmp->host, &m, HV_HAS (a, disk) ? &a->disk : NULL, HV_HAS (a, nic) ? &a->nic : NULL) < 0)
    r = out_of_memory (err);
  if (r == 0)
    r = qmp_vm_split (vm, err); /* what runs stays what it was */
  return r == 0 ? qmp_record_define (vm, &m, err) : r;
}

static int
name_free (struct qmp_vm *vm, const struct hv_machine *m, const char *name, struct hv_err *err)
{
  int taken = qmp_machine_disk (m, name) != NULL;
  for (uint32_t i = 0; i < m->nics.count; i++)
    taken |= strcmp (m->nics.items[i].name, name) == 0;
  return taken ? hv_err_set (err, HV_E_ALREADY_EXISTS, "VM '%s' has a device '%s' already", vm->name, name) : 0;
}

/* The machine as it will be passes the same checks as one that is defined: names, buses, formats. */
static int
attach_check (struct qmp_vm *vm, const struct hv_attach_args *a, struct hv_err *err)
{
  struct hv_machine m;
  const struct hv_machine_disk *disk = HV_HAS (a, disk) ? &a->disk : NULL;
  const struct hv_machine_nic *nic = HV_HAS (a, nic) ? &a->nic : NULL;
  if ((disk != NULL) == (nic != NULL))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "one of disk and nic has to be given");
  if (!a->live && !a->config)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "neither live nor config: there is nothing to do");
  const char *name = disk != NULL ? disk->name : nic->name;
  int r = a->live ? qmp_vm_live (vm, &m, err) : 0;
  if (r == 0 && a->live)
    r = name_free (vm, &m, name, err);
  if (r == 0 && a->live && qmp_machine_with (vm->qmp->host, &m, disk, nic) < 0)
    r = out_of_memory (err);
  if (r == 0 && a->live)
    r = qmp_argv_check (&m, vm->accel != NULL ? vm->accel : "tcg", err);
  if (r == 0 && a->config)
    r = qmp_vm_machine (vm, &m, err);
  if (r == 0 && a->config)
    r = name_free (vm, &m, name, err);
  if (r == 0 && a->config && qmp_machine_with (vm->qmp->host, &m, disk, nic) < 0)
    r = out_of_memory (err);
  if (r == 0 && a->config)
    r = qmp_argv_check (&m, vm->accel != NULL ? vm->accel : "tcg", err);
  return r;
}

int
qmp_attach (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_attach_args *a = args;
  struct hv_device *ret = result;
  char *address = NULL;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = qmp_pending_settle (vm, err);
  if (r == 0 && a->live)
    r = qmp_vm_need_running (vm, err);
  if (r == 0)
    r = attach_check (vm, a, err);
  if (r == 0)
    r = a->live ? attach_live (vm, a, &address, err) : attach_config (vm, a, err);
  if (r < 0)
    return hv_err_wrap (err, r, "attach to VM '%s'", vm->name);
  ret->device = HV_HAS (a, disk) ? a->disk.name : a->nic.name;
  if (address != NULL)
    HV_SET (ret, address, address);
  return 0;
}

/* --- taking off --- */

/* The guest has let go: what the device stood on goes too, and the machine is one without it. */
static int
device_finish (struct qmp_vm *vm, const char *name, struct hv_err *err)
{
  struct hv_machine live;
  int r = qmp_vm_live (vm, &live, err);
  if (r < 0 || !qmp_machine_has (&live, name))
    return r;
  const struct hv_machine_disk *d = qmp_machine_disk (&live, name);
  if (d != NULL)
    qmp_nodes_drop (vm, d);
  else
    qmp_netdev_drop (vm, name);
  r = qmp_vm_live (vm, &live, err); /* as it is now: taking nodes off took time */
  if (r < 0 || qmp_machine_without (&live, name) < 0)
    return r;
  r = qmp_vm_set_live (vm, &live, err);
  if (r == 0)
    r = qmp_record_save (vm, err);
  hv_step (vm->qmp->host, "detach.recorded");
  announce (vm, "device_removed", name);
  qmp_vm_wake (vm);
  return r;
}

struct gone {
  struct qmp_vm *vm;
  char *name;
};

static void
gone_run (void *self, void *arg)
{
  struct gone *g = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (g->vm->qmp->host);
  (void) self;
  if (device_finish (g->vm, g->name, err) < 0)
    hv_log (g->vm->qmp->host, HV_LOG_WARNING, "VM '%s': device '%s' is gone: %s", g->vm->name, g->name, hv_err_message (err));
  qmp_vm_unref (g->vm);
  free (g->name);
  free (g);
}

void
qmp_device_gone (struct qmp_vm *vm, const char *name)
{
  struct gone *g = calloc (1, sizeof *g);
  if (g != NULL)
    *g = (struct gone){ qmp_vm_ref (vm), strdup (name) };
  if (g != NULL && g->name != NULL && hv_go (vm->qmp->host, "device-gone", gone_run, g) == 0)
    return;
  if (g != NULL) {
    qmp_vm_unref (g->vm);
    free (g->name);
  }
  free (g);
}

/* Waits until the device is no longer in the live machine. */
static int
detach_wait (struct qmp_vm *vm, const char *name, uint64_t grace_ms, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  uint64_t end = h->api->now_ms () + grace_ms;
  for (;;) {
    struct hv_machine live;
    uint64_t now = h->api->now_ms (), mark = h->api->scope_mark (h);
    int r = qmp_vm_live (vm, &live, err), there = r == 0 && qmp_machine_has (&live, name);
    h->api->scope_release (h, mark);
    if (r < 0 || !there)
      return r;
    if (vm->pidfd < 0)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' ended meanwhile", vm->name);
    if (vm->refused_device != NULL && strcmp (vm->refused_device, name) == 0)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the guest refuses to let '%s' go", name);
    if (now >= end)
      return HV_E_DEADLINE_EXCEEDED;
    r = h->api->cond_wait (h, vm->changed, end - now, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
  }
}

/* QEMU only passes the wish on; a guest that is paused or has no driver never answers. */
static int
detach_live (struct qmp_vm *vm, const struct hv_detach_args *a, struct hv_err *err)
{
  char id[80];
  (void) snprintf (id, sizeof id, "ua-%s", a->device);
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "id", id);
  (void) qmp_text_set (&vm->refused_device, NULL);
  int r = qmp_device_exists (vm, a->device, err);
  if (r == 0)
    return device_finish (vm, a->device, err);
  if (r > 0)
    r = qmp_control_change (vm, "device_del", args, err);
  if (r < 0)
    return r;
  r = detach_wait (vm, a->device, a->grace_ms, err);
  if (r != HV_E_DEADLINE_EXCEEDED) /* durable before it is acknowledged: whoever noticed the end may still be writing */
    return r == 0 ? qmp_record_save (vm, err) : r;
  r = qmp_device_exists (vm, a->device, err); /* the event may have been missed */
  if (r == 0)
    return device_finish (vm, a->device, err);
  return hv_err_set (err, HV_E_UNKNOWN,
                     "the guest has not let '%s' go within %" PRIu64 " ms; it is taken off when it does (device_removed)%s",
                     a->device, a->grace_ms, vm->state == HV_VM_PAUSED ? "; the VM is paused, resume it" : "");
}

static int
detach_config (struct qmp_vm *vm, const char *device, struct hv_err *err)
{
  struct hv_machine m;
  int r = qmp_vm_machine (vm, &m, err);
  if (r == 0 && qmp_machine_without (&m, device) < 0)
    return 0; /* it was only ever plugged in live */
  return r == 0 ? qmp_record_define (vm, &m, err) : r;
}

static int
detach_check (struct qmp_vm *vm, const struct hv_detach_args *a, struct hv_err *err)
{
  struct hv_machine live, m;
  if (!a->live && !a->config)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "neither live nor config: there is nothing to do");
  int r = a->live ? qmp_vm_need_running (vm, err) : 0;
  if (r == 0)
    r = qmp_vm_live (vm, &live, err);
  if (r == 0)
    r = qmp_vm_machine (vm, &m, err);
  if (r < 0)
    return r;
  if (!qmp_machine_has (a->live ? &live : &m, a->device))
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no disk or network card '%s'", vm->name, a->device);
  const struct hv_machine_disk *d = qmp_machine_disk (&live, a->device);
  if (a->live && d != NULL && d->bus == HV_BUS_SATA)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "disk '%s' is on the sata bus and cannot be taken off a running machine",
                       a->device);
  return 0;
}

int
qmp_detach (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_detach_args *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  (void) result;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = qmp_pending_settle (vm, err);
  if (r == 0)
    r = detach_check (vm, a, err);
  if (r == 0)
    r = qmp_vm_split (vm, err);
  if (r == 0 && a->live)
    r = detach_live (vm, a, err);
  if (r == 0 && a->config)
    r = detach_config (vm, a->device, err);
  return r < 0 ? hv_err_wrap (err, r, "detach from VM '%s'", vm->name) : 0;
}

/* --- after an interruption --- */

/* An attach that was cut off: there, or not there and then without remains. */
int
qmp_attach_resolve (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  if (vm->pidfd < 0)
    return qmp_pending_end (vm, err); /* it never came into a machine that is gone */
  int there = qmp_device_exists (vm, p->device, err);
  if (there < 0)
    return there;
  if (!there) {
    if (HV_HAS (p, disk))
      qmp_nodes_drop (vm, &p->disk);
    else
      qmp_netdev_drop (vm, p->device);
    return qmp_pending_end (vm, err);
  }
  int r = attach_commit (vm, p, err);
  if (r == 0)
    announce (vm, "device_added", p->device);
  return r;
}

static const char *
device_at (const struct hv_machine *m, uint32_t i)
{
  return i < m->disks.count ? m->disks.items[i].name : m->nics.items[i - m->disks.count].name;
}

/* Devices that went while nobody listened. */
int
qmp_devices_reconcile (struct qmp_vm *vm, struct hv_err *err)
{
  struct hv_machine live;
  int r = qmp_vm_live (vm, &live, err);
  for (uint32_t i = 0; r >= 0 && i < live.disks.count + live.nics.count; i++) {
    r = qmp_device_exists (vm, device_at (&live, i), err);
    if (r == 0)
      r = device_finish (vm, device_at (&live, i), err); /* works on a copy of its own */
  }
  return r < 0 ? r : 0;
}
