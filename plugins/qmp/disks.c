/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks as devices, and which of them can be had. What is behind a device is in nodes.c. */
#include "argv.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *
disk_driver (const struct hv_machine_disk *d)
{
  int cdrom = d->media == HV_MEDIA_CDROM;
  switch (d->bus) {
  case HV_BUS_SATA:
    return cdrom ? "ide-cd" : "ide-hd";
  case HV_BUS_SCSI:
    return cdrom ? "scsi-cd" : "scsi-hd";
  case HV_BUS_USB:
    return "usb-storage";
  default:
    return "virtio-blk-pci-non-transitional";
  }
}

/* How many disks before this one are on the same bus: its place on a bus that is not PCI. */
static uint32_t
disk_rank (const struct hv_machine *m, uint32_t index)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < index; i++)
    n += m->disks.items[i].bus == m->disks.items[index].bus;
  return n;
}

static void
disk_place (const struct hv_machine *m, uint32_t index, struct qmp_pci *pci, json_t *dev)
{
  char bus[24];
  uint32_t rank = disk_rank (m, index);
  if (dev == NULL)
    return;
  switch (m->disks.items[index].bus) {
  case HV_BUS_SATA:
    (void) snprintf (bus, sizeof bus, "ide.%" PRIu32, rank);
    (void) json_object_set_new (dev, "bus", json_string (bus));
    break;
  case HV_BUS_SCSI:
    (void) json_object_set_new (dev, "bus", json_string ("scsi0.0"));
    (void) json_object_set_new (dev, "channel", json_integer (0));
    (void) json_object_set_new (dev, "scsi-id", json_integer (0));
    (void) json_object_set_new (dev, "lun", json_integer (rank));
    break;
  case HV_BUS_USB:
    (void) snprintf (bus, sizeof bus, "%" PRIu32, qmp_usb_inputs (m) + rank + 1);
    (void) json_object_set_new (dev, "bus", json_string ("usb.0"));
    (void) json_object_set_new (dev, "port", json_string (bus));
    (void) json_object_set_new (dev, "removable", json_false ());
    break;
  default:
    qmp_pci_place (pci, dev);
  }
}

static const struct {
  const char *write, *read;
} on_error[] = {
  [HV_ONERROR_STOP] = { "stop", "stop" },
  [HV_ONERROR_IGNORE] = { "ignore", "ignore" },
  [HV_ONERROR_REPORT] = { "report", "report" },
  [HV_ONERROR_ENOSPACE] = { "enospc", "report" },
};

int
qmp_disk_direct (const struct hv_machine_disk *d, int can)
{
  return d->cache == HV_CACHE_NONE || (d->cache == HV_CACHE_AUTO && can);
}

json_t *
qmp_disk_device (const struct hv_machine_disk *d, int direct)
{
  char node[QMP_NODE_NAME], id[80];
  qmp_node_name (node, 'q', d->name, d->path);
  (void) snprintf (id, sizeof id, "ua-%s", d->name);
  json_t *dev = json_pack ("{s:s, s:s, s:s, s:s}", "driver", disk_driver (d), "drive", node, "id", id, "write-cache",
                           direct || d->cache == HV_CACHE_WRITEBACK ? "on" : "off");
  if (dev == NULL)
    return NULL;
  if (HV_HAS (d, boot_order))
    (void) json_object_set_new (dev, "bootindex", json_integer (d->boot_order));
  if (HV_HAS (d, serial))
    (void) json_object_set_new (dev, "serial", json_string (d->serial));
  (void) json_object_set_new (dev, "werror", json_string (on_error[d->on_error].write));
  (void) json_object_set_new (dev, "rerror", json_string (on_error[d->on_error].read));
  return dev;
}

static void
node_arg (void *arg, json_t *node)
{
  qmp_argv_json (arg, "-blockdev", node);
}

void
qmp_disks_args (const struct hv_machine *m, const struct qmp_argv_how *how, struct qmp_pci *pci, struct qmp_argv *a)
{
  for (uint32_t i = 0; i < m->disks.count; i++) {
    const struct hv_machine_disk *d = &m->disks.items[i];
    int direct = qmp_disk_direct (d, how->direct != NULL && how->direct[i]);
    qmp_nodes_each (d, direct, node_arg, a);
    json_t *dev = qmp_disk_device (d, direct);
    disk_place (m, i, pci, dev);
    qmp_argv_json (a, "-device", dev);
  }
}

/* --- what can be had --- */

static int
disk_check (const struct hv_machine *m, uint32_t i, struct hv_err *err)
{
  const struct hv_machine_disk *d = &m->disks.items[i];
  int cdrom = d->media == HV_MEDIA_CDROM;
  if (cdrom && (d->bus == HV_BUS_VIRTIO || d->bus == HV_BUS_USB))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "machine.disks[%" PRIu32 "].bus: a cdrom cannot be on %s; use sata or scsi", i,
                       hv_disk_bus_words[d->bus]);
  if (d->bus == HV_BUS_SATA && !cdrom && d->read_only)
    return hv_err_set (err, HV_E_UNIMPLEMENTED,
                       "machine.disks[%" PRIu32 "].read_only: a SATA disk cannot be; use virtio or scsi, or make it a cdrom", i);
  if (d->bus == HV_BUS_SATA && disk_rank (m, i) >= 6)
    return hv_err_set (err, HV_E_UNIMPLEMENTED,
                       "machine.disks[%" PRIu32 "].bus: the SATA controller has 6 ports; use virtio or scsi", i);
  for (uint32_t n = 0; n < d->backing.count; n++) {
    uint32_t above = n == 0 ? d->format : d->backing.items[n - 1].format;
    if (above != HV_DISK_QCOW2)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT,
                         "machine.disks[%" PRIu32 "].backing[%" PRIu32 "]: the layer above it is raw and stands on nothing", i, n);
  }
  return 0;
}

int
qmp_disks_check (const struct hv_machine *m, struct hv_err *err)
{
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < m->disks.count; i++)
    r = disk_check (m, i, err);
  return r;
}
