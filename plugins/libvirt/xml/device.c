/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
lv_device_alias (struct lv_writer *w, xmlNodePtr device, const char *name)
{
  char alias[128];
  (void) snprintf (alias, sizeof alias, "ua-%s", name);
  (void) lv_element (w, device, "alias", "name", alias, NULL);
}

const char *
lv_target_prefix (uint32_t bus)
{
  return bus == HV_BUS_VIRTIO ? "vd" : "sd";
}

/* Letters as a number of base 26 that has no zero. */
void
lv_target_name (const char *prefix, uint32_t index, char *ret, size_t size)
{
  char letters[8];
  size_t at = sizeof letters - 1;
  letters[at] = '\0';
  for (uint32_t n = index + 1; n > 0 && at > 0; n = (n - 1) / 26)
    letters[--at] = (char) ('a' + (n - 1) % 26);
  (void) snprintf (ret, size, "%s%s", prefix, letters + at);
}

char *
lv_xml_free_target (uint32_t bus, const char *const *used, uint32_t count)
{
  char name[16];
  for (uint32_t i = 0;; i++) {
    uint32_t k = 0;
    lv_target_name (lv_target_prefix (bus), i, name, sizeof name);
    while (k < count && strcmp (used[k], name) != 0)
      k++;
    if (k == count)
      return strdup (name);
  }
}

static const char *
cache_of (const struct hv_machine_disk *d, int direct)
{
  return d->cache != HV_CACHE_AUTO ? hv_disk_cache_words[d->cache] : direct ? "none" : "writethrough";
}

/* Every layer with its format, so that libvirt looks into no image to find out. Below a raw one there is none; below a qcow2 that
 * nothing is declared for, it is said that there is none, whatever its header says. */
static void
backing (struct lv_writer *w, xmlNodePtr disk, const struct hv_machine_disk *d)
{
  xmlNodePtr at = disk;
  uint32_t last = d->format;
  for (uint32_t i = 0; i < d->backing.count; i++) {
    const struct hv_machine_layer *l = &d->backing.items[i];
    at = lv_element (w, at, "backingStore", "type", "file", NULL);
    (void) lv_element (w, at, "format", "type", hv_disk_format_words[l->format], NULL);
    (void) lv_element (w, at, "source", "file", l->path, NULL);
    last = l->format;
  }
  if (last == HV_DISK_QCOW2)
    (void) lv_element (w, at, "backingStore", NULL);
}

xmlNodePtr
lv_device_disk (struct lv_writer *w, xmlNodePtr parent, const struct hv_machine_disk *d, const char *target, int direct)
{
  int cdrom = d->media == HV_MEDIA_CDROM;
  xmlNodePtr n = lv_element (w, parent, "disk", "type", "file", "device", cdrom ? "cdrom" : "disk", "model",
                             d->bus == HV_BUS_VIRTIO ? "virtio-non-transitional" : NULL, NULL);
  (void) lv_element (w, n, "driver", "name", "qemu", "type", hv_disk_format_words[d->format], "cache", cache_of (d, direct),
                     "error_policy", hv_disk_onerror_words[d->on_error], "discard", "unmap", NULL);
  (void) lv_element (w, n, "source", "file", d->path, NULL);
  backing (w, n, d);
  (void) lv_element (w, n, "target", "dev", target, "bus", hv_disk_bus_words[d->bus], "tray", cdrom ? "closed" : NULL, NULL);
  if (d->read_only || cdrom)
    (void) lv_element (w, n, "readonly", NULL);
  if (HV_HAS (d, serial))
    (void) lv_element_text (w, n, "serial", d->serial);
  if (HV_HAS (d, boot_order))
    lv_attr (w, lv_element (w, n, "boot", NULL), "order", "%" PRIu32, d->boot_order);
  lv_device_alias (w, n, d->name);
  return n;
}

xmlNodePtr
lv_device_nic (struct lv_writer *w, xmlNodePtr parent, const struct hv_machine_nic *nic)
{
  int is_virtio = strcmp (nic->model, "virtio") == 0;
  xmlNodePtr n = lv_element (w, parent, "interface", "type", "ethernet", NULL);
  (void) lv_element (w, n, "mac", "address", nic->mac, NULL);
  (void) lv_element (w, n, "target", "dev", nic->tap, "managed", "no", NULL);
  (void) lv_element (w, n, "model", "type", is_virtio ? "virtio-non-transitional" : nic->model, NULL);
  if (nic->queues > 1)
    lv_attr (w, lv_element (w, n, "driver", NULL), "queues", "%" PRIu32, nic->queues);
  if (HV_HAS (nic, mtu))
    lv_attr (w, lv_element (w, n, "mtu", NULL), "size", "%" PRIu32, nic->mtu);
  if (HV_HAS (nic, boot_order))
    lv_attr (w, lv_element (w, n, "boot", NULL), "order", "%" PRIu32, nic->boot_order);
  else
    (void) lv_element (w, n, "rom", "enabled", "no", NULL);
  lv_device_alias (w, n, nic->name);
  return n;
}

int
lv_xml_disk (const struct hv_machine_disk *d, const char *target, uint32_t scsi_unit, int direct, char **ret_xml,
             struct hv_err *err)
{
  struct lv_writer w = { 0 };
  xmlNodePtr n = lv_device_disk (&w, NULL, d, target, direct);
  if (d->bus == HV_BUS_SCSI)
    lv_attr (&w, lv_element (&w, n, "address", "type", "drive", "controller", "0", "bus", "0", NULL), "unit", "%" PRIu32,
             scsi_unit);
  return lv_writer_end (&w, ret_xml, err);
}

int
lv_xml_nic (const struct hv_machine_nic *nic, char **ret_xml, struct hv_err *err)
{
  struct lv_writer w = { 0 };
  (void) lv_device_nic (&w, NULL, nic);
  return lv_writer_end (&w, ret_xml, err);
}

int
lv_xml_snapshot (const char *name, const struct lv_xml_snapshot_disk *disks, uint32_t count, char **ret_xml, struct hv_err *err)
{
  struct lv_writer w = { 0 };
  xmlNodePtr root = lv_element (&w, NULL, "domainsnapshot", NULL);
  (void) lv_element_text (&w, root, "name", name);
  xmlNodePtr all = lv_element (&w, root, "disks", NULL);
  for (uint32_t i = 0; i < count; i++) {
    xmlNodePtr d = lv_element (&w, all, "disk", "name", disks[i].target, "snapshot", disks[i].path != NULL ? "external" : "no",
                               "type", disks[i].path != NULL ? "file" : NULL, NULL);
    if (disks[i].path == NULL)
      continue; /* one that is left alone */
    (void) lv_element (&w, d, "driver", "type", disks[i].format, NULL);
    (void) lv_element (&w, d, "source", "file", disks[i].path, NULL);
  }
  return lv_writer_end (&w, ret_xml, err);
}

int
lv_xml_copy_target (const char *path, const char *format, char **ret_xml, struct hv_err *err)
{
  struct lv_writer w = { 0 };
  xmlNodePtr n = lv_element (&w, NULL, "disk", "type", "file", NULL);
  (void) lv_element (&w, n, "driver", "name", "qemu", "type", format, NULL);
  (void) lv_element (&w, n, "source", "file", path, NULL);
  return lv_writer_end (&w, ret_xml, err);
}
