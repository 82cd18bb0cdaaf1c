/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disks on the command line: for every layer a protocol node and a format node, the format always stated and the end of
 * the chain closed, so that QEMU never looks into an image to find out what it is or what it stands on. */
#include "argv.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct layer {
  const char *path;
  uint32_t format, number, of; /* 0 is the top */
  int read_only, direct;
};

static json_t *
cache_json (int direct)
{
  return json_pack ("{s:b, s:b}", "direct", direct, "no-flush", 0);
}

static void
layer_args (const struct layer *l, uint32_t disk, struct qmp_argv *a)
{
  char file[32], node[32], below[32];
  (void) snprintf (file, sizeof file, "disk%" PRIu32 "-%" PRIu32 "-file", disk, l->number);
  (void) snprintf (node, sizeof node, "disk%" PRIu32 "-%" PRIu32, disk, l->number);
  (void) snprintf (below, sizeof below, "disk%" PRIu32 "-%" PRIu32, disk, l->number + 1);
  qmp_argv_json (a, "-blockdev",
                 json_pack ("{s:s, s:s, s:s, s:o, s:b, s:b, s:s}", "driver", "file", "filename", l->path, "node-name", file,
                            "cache", cache_json (l->direct), "read-only", l->read_only, "auto-read-only", 0, "discard", "unmap"));
  json_t *f = json_pack ("{s:s, s:b, s:s, s:o, s:s, s:s}", "node-name", node, "read-only", l->read_only, "discard", "unmap",
                         "cache", cache_json (l->direct), "driver", hv_disk_format_words[l->format], "file", file);
  if (f != NULL && l->format == HV_DISK_QCOW2)
    (void) json_object_set_new (f, "backing", l->number + 1 < l->of ? json_string (below) : json_null ());
  qmp_argv_json (a, "-blockdev", f);
}

/* Bottom first: a node is named before it is stood upon. */
static void
chain_args (const struct hv_machine_disk *d, uint32_t index, int direct, struct qmp_argv *a)
{
  uint32_t of = d->backing.count + 1;
  for (uint32_t n = of - 1; n > 0; n--) {
    const struct hv_machine_layer *b = &d->backing.items[n - 1];
    struct layer l = { .path = b->path, .format = b->format, .number = n, .of = of, .read_only = 1, .direct = direct };
    layer_args (&l, index, a);
  }
  struct layer top = { .path = d->path, .format = d->format, .of = of, .direct = direct };
  top.read_only = d->read_only || d->media == HV_MEDIA_CDROM;
  layer_args (&top, index, a);
}

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

static void
disk_args (const struct hv_machine *m, const struct qmp_argv_how *how, uint32_t index, struct qmp_pci *pci, struct qmp_argv *a)
{
  const struct hv_machine_disk *d = &m->disks.items[index];
  char node[32], id[80];
  int direct = d->cache == HV_CACHE_NONE || (d->cache == HV_CACHE_AUTO && how->direct != NULL && how->direct[index]);
  int write_back = direct || d->cache == HV_CACHE_WRITEBACK;
  (void) snprintf (node, sizeof node, "disk%" PRIu32 "-0", index);
  (void) snprintf (id, sizeof id, "ua-%s", d->name);
  chain_args (d, index, direct, a);
  json_t *dev = json_pack ("{s:s, s:s, s:s, s:s}", "driver", disk_driver (d), "drive", node, "id", id, "write-cache",
                           write_back ? "on" : "off");
  disk_place (m, index, pci, dev);
  if (dev != NULL && HV_HAS (d, boot_order))
    (void) json_object_set_new (dev, "bootindex", json_integer (d->boot_order));
  if (dev != NULL && HV_HAS (d, serial))
    (void) json_object_set_new (dev, "serial", json_string (d->serial));
  if (dev != NULL) {
    (void) json_object_set_new (dev, "werror", json_string (on_error[d->on_error].write));
    (void) json_object_set_new (dev, "rerror", json_string (on_error[d->on_error].read));
  }
  qmp_argv_json (a, "-device", dev);
}

void
qmp_disks_args (const struct hv_machine *m, const struct qmp_argv_how *how, struct qmp_pci *pci, struct qmp_argv *a)
{
  for (uint32_t i = 0; i < m->disks.count; i++)
    disk_args (m, how, i, pci, a);
}

int
qmp_disk_of_node (const char *node)
{
  unsigned disk, layer;
  if (node == NULL || sscanf (node, "disk%3u-%3u", &disk, &layer) != 2)
    return -1;
  return (int) disk;
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
