/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices into a running QEMU: a place for them, what they stand on, the device itself; and back, in reverse. */
#include "transfer.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- where there is room --- */

/* What stands below a path, as an array: an answer of another shape says nothing of what is there. */
static int
children_query (struct qmp_vm *vm, const char *path, json_t **ret, struct hv_err *err)
{
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "path", path);
  HV_CLEAN (json) json_t *list = NULL;
  int r = qmp_control_query (vm, "qom-list", args, &list, err);
  if (r == 0 && !json_is_array (list))
    return hv_err_set (err, HV_E_INTERNAL, "VM '%s': QEMU's answer to qom-list is no list", vm->name);
  if (r == 0)
    *ret = HV_STEAL (list);
  return r;
}

/* 1 free, 0 taken, NOT_FOUND: no such port. */
static int
port_is_free (struct qmp_vm *vm, uint32_t port, struct hv_err *err)
{
  char path[64];
  size_t i;
  json_t *item;
  int taken = 0;
  (void) snprintf (path, sizeof path, "/machine/peripheral/pci.%" PRIu32 "/pci.%" PRIu32, port, port);
  HV_CLEAN (json) json_t *list = NULL;
  int r = children_query (vm, path, &list, err);
  if (r == HV_E_FAILED_PRECONDITION)
    return HV_E_NOT_FOUND;
  if (r < 0)
    return r;
  json_array_foreach (list, i, item) taken |= strncmp (qmp_json_str (item, "name", ""), "child[", 6) == 0;
  return !taken;
}

/* The highest free port: the low ones are where network cards stand after the next start. */
static int
port_find (struct qmp_vm *vm, uint32_t *ret, struct hv_err *err)
{
  uint32_t found = 0;
  for (uint32_t port = 1; port < 256; port++) {
    int r = port_is_free (vm, port, err);
    if (r == HV_E_NOT_FOUND)
      break;
    if (r < 0)
      return r;
    if (r)
      found = port;
  }
  if (found == 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED,
                       "every PCI port is taken; unplug a device, put the disk on the scsi bus, or restart the VM with it defined");
  *ret = found;
  return 0;
}

static int
place_pci (struct qmp_vm *vm, json_t *device, char *address, size_t size, struct hv_err *err)
{
  uint32_t port = 0;
  int r = port_find (vm, &port, err);
  if (r < 0)
    return r;
  struct qmp_pci pci = { port };
  qmp_pci_place (&pci, device);
  (void) snprintf (address, size, "0000:00:%02" PRIx32 ".%" PRIx32 "/00.0", 2 + (port - 1) / 8, (port - 1) % 8);
  return 0;
}

/* By number, not wherever QEMU puts it: a place that is not named cannot be found again. */
static int
place_usb (struct qmp_vm *vm, json_t *device, char *address, size_t size, struct hv_err *err)
{
  struct qmp_places p;
  uint8_t taken[QMP_USB_PORTS + 1] = { 0 };
  uint32_t port = 1;
  int r = qmp_transfer_places (vm, &p, err);
  if (r < 0)
    return r;
  for (uint32_t i = 0; i < p.devices.count; i++) {
    const char *place = p.devices.items[i].value;
    unsigned long n = strncmp (place, "port:", 5) == 0 ? strtoul (place + 5, NULL, 10) : 0;
    if (n <= QMP_USB_PORTS)
      taken[n] = 1;
  }
  while (port < QMP_USB_PORTS && taken[port])
    port++;
  char text[12];
  (void) snprintf (text, sizeof text, "%" PRIu32, port);
  (void) json_object_set_new (device, "bus", json_string ("usb.0"));
  (void) json_object_set_new (device, "port", json_string (text));
  (void) snprintf (address, size, "usb.0/%s", text);
  return 0;
}

static int
place_disk (struct qmp_vm *vm, const struct hv_machine_disk *d, json_t *device, char *address, size_t size, struct hv_err *err)
{
  switch (d->bus) {
  case HV_BUS_VIRTIO:
    return place_pci (vm, device, address, size, err);
  case HV_BUS_SCSI:
    (void) json_object_set_new (device, "bus", json_string ("scsi0.0"));
    (void) json_object_set_new (device, "channel", json_integer (0));
    (void) json_object_set_new (device, "scsi-id", json_integer (0));
    (void) snprintf (address, size, "scsi0:0:0");
    return 0;
  case HV_BUS_USB:
    (void) json_object_set_new (device, "removable", json_true ());
    return place_usb (vm, device, address, size, err);
  default:
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "disk.bus '%s': cannot be plugged into a running machine; use scsi, virtio or usb",
                       hv_disk_bus_words[d->bus]);
  }
}

/* --- plugging in --- */

struct plug {
  struct qmp_vm *vm;
  const struct hv_machine_disk *disk;
  const struct hv_machine_nic *nic;
  char *address; /* QMP_ADDRESS */
  int r;
  struct hv_err *err;
};

static void
add_node (void *arg, json_t *node)
{
  struct plug *p = arg;
  HV_CLEAN (json) json_t *owned = node;
  if (p->r == 0 && owned == NULL)
    p->r = hv_err_set (p->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (p->r == 0)
    p->r = qmp_control_change (p->vm, "blockdev-add", owned, p->err);
}

static void
node_drop (struct qmp_vm *vm, char kind, const char *disk, const char *path)
{
  char name[QMP_NODE_NAME];
  qmp_node_name (name, kind, disk, path);
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "node-name", name);
  (void) qmp_control_change (vm, "blockdev-del", args, NULL);
}

/* Top first. A node that is not there, or that somebody else stands on, stays; both are fine. */
void
qmp_nodes_drop (struct qmp_vm *vm, const struct hv_machine_disk *d)
{
  for (uint32_t n = 0; n <= d->backing.count; n++) {
    const char *path = n == 0 ? d->path : d->backing.items[n - 1].path;
    node_drop (vm, 'q', d->name, path);
    node_drop (vm, 'f', d->name, path);
  }
}

static int
device_add (struct qmp_vm *vm, json_t *device, struct hv_err *err)
{
  return device == NULL ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory")
                        : qmp_control_change (vm, "device_add", device, err);
}

static int
plug_disk (struct plug *p)
{
  uint8_t direct = 0;
  struct hv_machine one = { .disks = { (struct hv_machine_disk *) (uintptr_t) p->disk, 1 } };
  p->r = qmp_files_probe (p->vm->qmp, &one, &direct, 1, p->err);
  if (p->r < 0)
    return p->r;
  int use_direct = qmp_disk_direct (p->disk, direct);
  HV_CLEAN (json) json_t *device = qmp_disk_device (p->disk, use_direct);
  p->r = place_disk (p->vm, p->disk, device, p->address, QMP_ADDRESS, p->err);
  if (p->r < 0)
    return p->r;
  qmp_nodes_each (p->disk, use_direct, add_node, p);
  if (p->r == 0)
    p->r = device_add (p->vm, device, p->err);
  if (p->r < 0 && p->r != HV_E_UNKNOWN)
    qmp_nodes_drop (p->vm, p->disk);
  return p->r;
}

void
qmp_netdev_drop (struct qmp_vm *vm, const char *nic)
{
  char id[80];
  (void) snprintf (id, sizeof id, "host-%s", nic);
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "id", id);
  (void) qmp_control_change (vm, "netdev_del", args, NULL);
}

/* The tap's descriptors under names, and the names in one text: "tap-net0-0:tap-net0-1". */
static int
pass_taps (struct plug *p, const int32_t *fds, char *names, size_t size)
{
  size_t at = 0;
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < p->nic->queues; i++) {
    char name[96];
    (void) snprintf (name, sizeof name, "tap-%s-%" PRIu32, p->nic->name, i);
    r = qmp_control_pass_fd (p->vm, name, fds[i], p->err);
    at += (size_t) snprintf (names + at, size - at, "%s%s", i > 0 ? ":" : "", name);
  }
  return r;
}

static int
add_netdev (struct plug *p)
{
  struct hv_host *h = p->vm->qmp->host;
  char id[80];
  size_t size = (size_t) p->nic->queues * 96 + 1;
  struct hv_machine one = { .nics = { (struct hv_machine_nic *) (uintptr_t) p->nic, 1 } };
  int32_t *fds = hv_alloc (h, p->nic->queues * sizeof *fds);
  char *names = hv_alloc (h, size);
  if (fds == NULL || names == NULL)
    return hv_err_set (p->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = qmp_taps_open (p->vm->qmp, &one, fds, p->err);
  if (r < 0)
    return r;
  r = pass_taps (p, fds, names, size);
  for (uint32_t i = 0; i < p->nic->queues; i++)
    (void) close (fds[i]);
  (void) snprintf (id, sizeof id, "host-%s", p->nic->name);
  HV_CLEAN (json) json_t *args = json_pack ("{s:s, s:s, s:s}", "type", "tap", "id", id, p->nic->queues > 1 ? "fds" : "fd", names);
  return r == 0 ? qmp_control_change (p->vm, "netdev_add", args, p->err) : r;
}

static int
plug_nic (struct plug *p)
{
  HV_CLEAN (json) json_t *device = qmp_nic_device (p->nic);
  p->r = device == NULL ? hv_err_set (p->err, HV_E_RESOURCE_EXHAUSTED, "out of memory")
                        : place_pci (p->vm, device, p->address, QMP_ADDRESS, p->err);
  if (p->r == 0)
    p->r = add_netdev (p);
  if (p->r < 0)
    return p->r;
  (void) json_object_del (device, "bootindex"); /* what is plugged in now is booted from, if at all, after the next start */
  p->r = device_add (p->vm, device, p->err);
  if (p->r < 0 && p->r != HV_E_UNKNOWN)
    qmp_netdev_drop (p->vm, p->nic->name);
  return p->r;
}

int
qmp_device_exists (struct qmp_vm *vm, const char *name, struct hv_err *err)
{
  char id[80];
  size_t i;
  json_t *item;
  HV_CLEAN (json) json_t *list = NULL;
  (void) snprintf (id, sizeof id, "ua-%s", name);
  int r = children_query (vm, "/machine/peripheral", &list, err);
  json_array_foreach (list, i, item) if (strcmp (qmp_json_str (item, "name", ""), id) == 0) return 1;
  return r;
}

int
qmp_plug (struct qmp_vm *vm, const struct hv_machine_disk *disk, const struct hv_machine_nic *nic, char address[QMP_ADDRESS],
          struct hv_err *err)
{
  struct plug p = { .vm = vm, .disk = disk, .nic = nic, .address = address, .err = err };
  return disk != NULL ? plug_disk (&p) : plug_nic (&p);
}
