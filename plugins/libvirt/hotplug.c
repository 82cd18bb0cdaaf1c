/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices that come and go while the guest runs. libvirt has what is there; it is asked before and after. */
#include "op.h"
#include "xml/build.h"
#include "xml/check.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* How long after libvirt's answer its event may come. */
#define TOLD_MS 3000u

/* --- attach --- */

static int
attach_run (struct lv_work *w)
{
  return virDomainAttachDeviceFlags (w->dom, LV_OP (w)->a, LV_OP (w)->flags) < 0 ? lv_work_fail (w) : 0;
}

static int
name_free (const struct lv_vm *vm, const char *name, struct hv_err *err)
{
  int taken = lv_domain_disk (vm->facts, name) != NULL || lv_domain_nic (vm->facts, name) != NULL;
  return taken ? hv_err_set (err, HV_E_ALREADY_EXISTS, "VM '%s' has a device '%s' already", vm->name, name) : 0;
}

/* The device passes the same checks as one of a machine that is defined. */
static int
device_check (const struct lv_vm *vm, const struct hv_attach_args *a, struct hv_err *err)
{
  static const char uuid[] = "00000000-0000-0000-0000-000000000000";
  struct hv_machine m
      = { .name = vm->name, .uuid = uuid, .arch = "amd64", .machine = "q35", .firmware = "bios", .memory_bytes = 1 << 20 };
  struct hv_machine_disk disk = a->disk;
  struct hv_machine_nic nic = a->nic;
  m.cpu = (struct hv_machine_cpu){ .model = "max", .sockets = 1, .cores = 1, .threads = 1 };
  if (HV_HAS (a, disk)) {
    m.disks.items = &disk;
    m.disks.count = 1;
  } else {
    m.nics.items = &nic;
    m.nics.count = 1;
  }
  return lv_xml_check (&m, "qemu", vm->daemon->netns, err);
}

static int
attach_check (struct lv_vm *vm, const struct hv_attach_args *a, struct hv_err *err)
{
  if (HV_HAS (a, disk) == HV_HAS (a, nic))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "one of disk and nic has to be given");
  if (!a->live && !a->config)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "neither live nor config: there is nothing to do");
  int r = a->live ? lv_vm_need_running (vm, err) : 0;
  if (r == 0)
    r = device_check (vm, a, err);
  if (r == 0)
    r = lv_sync_vm (vm, err);
  if (r == 0)
    r = lv_vm_need_facts (vm, err);
  if (r == 0)
    r = name_free (vm, HV_HAS (a, disk) ? a->disk.name : a->nic.name, err);
  if (r == 0 && a->live && HV_HAS (a, disk) && a->disk.bus == HV_BUS_SATA)
    r = hv_err_set (err, HV_E_UNIMPLEMENTED, "disk '%s': the sata bus takes none while the machine runs; use virtio, scsi or usb",
                    a->disk.name);
  return r;
}

struct file_look {
  const struct hv_machine_disk *disk;
  uint8_t direct;
  int missing;
};

static int
look_run (void *arg)
{
  struct file_look *l = arg;
  struct hv_machine m = { .disks = { .items = (struct hv_machine_disk *) (uintptr_t) l->disk, .count = 1 } };
  l->missing = access (l->disk->path, F_OK) < 0 ? errno : 0;
  return lv_xml_probe_direct (&m, &l->direct);
}

static int
disk_xml (struct lv_vm *vm, const struct hv_machine_disk *d, char **ret_xml, struct hv_err *err)
{
  struct file_look look = { .disk = d };
  const char *used[256];
  uint32_t n = 0, units = 0;
  int r = hv_offload (vm->lv->host, look_run, &look, err);
  if (r == 0 && look.missing != 0)
    r = hv_err_set (err, hv_err_from_errno (look.missing), "image '%s': %s", d->path, strerror (look.missing));
  if (r < 0)
    return r;
  for (uint32_t i = 0; i < vm->facts->disk_count && n < 256; i++) {
    used[n++] = vm->facts->disks[i].target;
    units += vm->facts->disks[i].bus != NULL && strcmp (vm->facts->disks[i].bus, "scsi") == 0;
  }
  HV_CLEAN (hv_free) char *target = lv_xml_free_target (d->bus, used, n);
  if (target == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return lv_xml_disk (d, target, units, look.direct, ret_xml, err);
}

static int
told_added (const struct lv_vm *vm)
{
  return vm->told_kind == VIR_DOMAIN_EVENT_ID_DEVICE_ADDED || !lv_vm_alive (vm);
}

int
lv_attach (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_attach_args *a = args;
  struct hv_device *ret = result;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  HV_CLEAN (hv_free) char *xml = NULL;
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : attach_check (vm, a, err);
  if (r == 0)
    r = HV_HAS (a, disk) ? disk_xml (vm, &a->disk, &xml, err) : lv_xml_nic (&a->nic, &xml, err);
  if (r < 0)
    return r;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (attach_run, "attach to VM", LV_WORK_CHANGES, xml, NULL);
  if (op != NULL)
    op->flags = (a->live ? VIR_DOMAIN_AFFECT_LIVE : 0u) | (a->config ? VIR_DOMAIN_AFFECT_CONFIG : 0u);
  vm->told_kind = -1;
  r = lv_op_run (vm, op, 0, err);
  hv_step (vm->lv->host, "attach.done");
  if (r == 0 && a->live) /* it is there; the event goes before the answer */
    (void) lv_vm_wait (vm, told_added, TOLD_MS, NULL);
  if (r == 0)
    r = lv_sync_vm (vm, err);
  ret->device = HV_HAS (a, disk) ? a->disk.name : a->nic.name;
  return r;
}

/* --- detach --- */

static int
detach_run (struct lv_work *w)
{
  if (virDomainDetachDeviceAlias (w->dom, LV_OP (w)->a, LV_OP (w)->flags) == 0)
    return 0;
  virErrorPtr e = virGetLastError (); /* an alias that is nowhere has no number of its own */
  if (e != NULL && e->message != NULL && strstr (e->message, "no device found with alias") != NULL)
    return lv_work_error (w, HV_E_NOT_FOUND, "it has no such disk or network card");
  return lv_work_fail (w);
}

static int
told_gone (const struct lv_vm *vm)
{
  return vm->told_kind == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED || vm->told_kind == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED
         || !lv_vm_alive (vm);
}

static int
is_there (const struct lv_vm *vm, const char *device)
{
  return lv_domain_disk (vm->facts, device) != NULL || lv_domain_nic (vm->facts, device) != NULL;
}

static const char *
alias_of (const struct lv_vm *vm, const char *device)
{
  const struct lv_disk *d = lv_domain_disk (vm->facts, device);
  const struct lv_nic *n = lv_domain_nic (vm->facts, device);
  return d != NULL ? d->alias : n != NULL ? n->alias : NULL;
}

static int
detach_check (struct lv_vm *vm, const struct hv_detach_args *a, struct hv_err *err)
{
  if (!a->live && !a->config)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "neither live nor config: there is nothing to do");
  int r = a->live ? lv_vm_need_running (vm, err) : 0;
  if (r == 0)
    r = lv_sync_vm (vm, err);
  if (r == 0)
    r = lv_vm_need_facts (vm, err);
  if (r < 0)
    return r;
  const struct lv_disk *d = lv_domain_disk (vm->facts, a->device);
  if (a->live && !is_there (vm, a->device))
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no disk or network card '%s'", vm->name, a->device);
  if (a->live && d != NULL && d->bus != NULL && strcmp (d->bus, "sata") == 0)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "disk '%s' is on the sata bus and cannot be taken off a running machine",
                       a->device);
  return 0;
}

/* libvirt's answer says that the guest was asked; whether it has let go, the event says, and the XML afterwards. */
static int
detach_live (struct lv_vm *vm, const struct hv_detach_args *a, struct hv_err *err)
{
  int r = a->grace_ms > 0 ? lv_vm_wait (vm, told_gone, a->grace_ms, NULL) : 0;
  if (r == HV_E_CANCELLED)
    return hv_err_set (err, r, "cancelled");
  r = lv_vm_alive (vm) ? lv_sync_vm (vm, err) : 0;
  if (r < 0 || !lv_vm_alive (vm) || !is_there (vm, a->device))
    return r;
  if (vm->told_kind == VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the guest would not let '%s' go", a->device);
  return hv_err_set (err, HV_E_UNAVAILABLE, "the guest has not let '%s' go within %llu ms; it may do so later", a->device,
                     (unsigned long long) a->grace_ms);
}

int
lv_detach (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_detach_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  (void) result;
  int r = vm == NULL ? HV_E_NOT_FOUND : detach_check (vm, a, err);
  if (r < 0)
    return r;
  const char *alias = alias_of (vm, a->device);
  if (alias == NULL)
    alias = hv_printf (vm->lv->host, "ua-%s", a->device);
  HV_CLEAN (lv_op) struct lv_op *op = alias != NULL ? lv_op_new (detach_run, "detach from VM", LV_WORK_CHANGES, alias, NULL) : NULL;
  if (op != NULL)
    op->flags = (a->live ? VIR_DOMAIN_AFFECT_LIVE : 0u) | (a->config ? VIR_DOMAIN_AFFECT_CONFIG : 0u);
  vm->told_kind = -1;
  r = lv_op_run (vm, op, 0, err);
  hv_step (vm->lv->host, "detach.done");
  if (r == 0 && a->live)
    r = detach_live (vm, a, err);
  return r < 0 ? hv_err_wrap (err, r, "detach from VM '%s'", vm->name) : lv_sync_vm (vm, err);
}
