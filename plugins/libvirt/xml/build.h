/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hv_machine → domain XML, as KubeVirt hands it to libvirt. Any thread unless it says otherwise; no state. Texts are malloc'ed. */
#ifndef LV_XML_BUILD_H
#define LV_XML_BUILD_H
#include <hvkit/iface/hypervisor.h>

struct lv_xml_options {
  const char *type;        /* "qemu" or "kvm" */
  const char *netns;       /* that libvirt's daemon runs in; NULL: ours */
  const char *emulator;    /* NULL: libvirt's choice */
  const char *serial_path; /* UNIX socket of the serial console */
  const char *serial_log;
  const char *vnc_path;
  const char *efi_code, *efi_vars, *nvram_path; /* used for firmware "efi" */
  uint32_t balloon_s;                           /* period of the balloon's statistics; 0: none */
  uint32_t placeholders;                        /* network cards that only reserve an address (double define) */
  const uint8_t *direct;                        /* per disk: cache "auto" is none (1) or writethrough (0); NULL: writethrough */
};

/* INVALID_ARGUMENT or UNIMPLEMENTED with the field's path: "machine.nics[0].netns: …". */
int lv_xml_build (const struct hv_machine *, const struct lv_xml_options *, char **ret_xml, struct hv_err *);
/* The machine as libvirt has it by now, without the placeholders, the addresses kept. */
int lv_xml_drop_placeholders (const char *xml, char **ret_xml, struct hv_err *);
/* One device, for attach, detach and update. `target`: what the guest's bus calls it (vdb), `scsi_unit` for bus scsi. */
int lv_xml_disk (const struct hv_machine_disk *, const char *target, uint32_t scsi_unit, int direct, char **ret_xml,
                 struct hv_err *);
int lv_xml_nic (const struct hv_machine_nic *, char **ret_xml, struct hv_err *);
/* The next free target of a disk on this bus: vdb, sdc …; malloc'ed, NULL when out of memory. `used` are the targets there are. */
char *lv_xml_free_target (uint32_t bus, const char *const *used, uint32_t count);
/* An external snapshot of disks: overlays that exist already. */
struct lv_xml_snapshot_disk {
  const char *target, *path, *format;
};
int lv_xml_snapshot (const char *name, const struct lv_xml_snapshot_disk *, uint32_t count, char **ret_xml, struct hv_err *);
/* The definition with this many processors, in as many sockets; INVALID_ARGUMENT when they are not whole. */
int lv_xml_set_vcpus (const char *xml, uint32_t vcpus, char **ret_xml, struct hv_err *);
/* The same domain on another node: every path below `dir` is below `to` instead. */
int lv_xml_move (const char *xml, const char *dir, const char *to, char **ret_xml, struct hv_err *);
/* A block copy's target. */
int lv_xml_copy_target (const char *path, const char *format, char **ret_xml, struct hv_err *);
/* A backup of disks at one point in time. `nbd_path`: served there (pull); NULL: written (push). Disks without a path are left out.
 */
struct lv_xml_backup_disk {
  const char *target, *path, *format, *export_name;
};
struct lv_xml_backup {
  const char *since, *nbd_path;
  const struct lv_xml_backup_disk *disks;
  uint32_t disk_count;
};
int lv_xml_backup (const struct lv_xml_backup *, char **ret_xml, struct hv_err *);
int lv_xml_checkpoint (const char *name, const struct lv_xml_backup *, char **ret_xml, struct hv_err *); /* of the disks in it */
/* Files a machine names, probed for O_DIRECT as KubeVirt does (blocks: on a worker). */
int lv_xml_probe_direct (const struct hv_machine *, uint8_t *ret_direct);
#endif
