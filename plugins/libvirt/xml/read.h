/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a domain's XML says, as far as this plugin needs it. The XML may come from anybody: a document type, an entity, more than
 * 1 MiB, or more than 256 levels are refused. Any thread; no state. */
#ifndef LV_XML_READ_H
#define LV_XML_READ_H
#include <hvkit/plugin.h>

struct lv_layer {
  char *path, *format;
};
struct lv_disk {
  char *name;                         /* without ua-; the target of a disk that was not named by us */
  char *alias;                        /* NULL: none */
  char *target;                       /* vda */
  char *bus, *device, *path, *format; /* device: disk, cdrom …; path: NULL: no medium, or no file */
  struct lv_layer *backing;           /* top first */
  uint32_t backing_count;
  uint8_t read_only;
};
struct lv_nic {
  char *name; /* without ua-; the target, or nic<index>, of one that was not named by us */
  char *alias, *mac, *target, *model;
};

struct lv_domain {
  char *name, *uuid, *type, *machine, *arch; /* type: kvm, qemu …; arch: libvirt's word */
  uint64_t memory_bytes, current_memory_bytes;
  uint32_t vcpus, max_vcpus; /* vcpus: what it has now */
  char *console_path, *log_path, *vnc_path;
  uint8_t has_console, has_agent, agent_connected, has_balloon;
  struct lv_disk *disks;
  struct lv_nic *nics;
  uint32_t disk_count, nic_count;
};

/* INVALID_ARGUMENT for what cannot be a domain, RESOURCE_EXHAUSTED. The caller owns *ret: lv_domain_free. */
int lv_domain_read (const char *xml, struct lv_domain **ret, struct hv_err *);
void lv_domain_free (struct lv_domain *); /* NULL is fine */
HV_CLEAN_DEFINE (lv_domain, struct lv_domain, lv_domain_free)
const struct lv_disk *lv_domain_disk (const struct lv_domain *, const char *name); /* NULL: none */
const struct lv_nic *lv_domain_nic (const struct lv_domain *, const char *name);

/* A snapshot, as virDomainSnapshotGetXMLDesc gives it. */
struct lv_snapshot_disk {
  char *target, *path, *format; /* path: NULL: not in it */
};
struct lv_snapshot {
  char *name, *parent, *state;
  uint64_t created_s;
  uint8_t has_memory;
  struct lv_snapshot_disk *disks;
  uint32_t disk_count;
};
int lv_snapshot_read (const char *xml, struct lv_snapshot **ret, struct hv_err *);
void lv_snapshot_free (struct lv_snapshot *);
HV_CLEAN_DEFINE (lv_snapshot, struct lv_snapshot, lv_snapshot_free)
#endif
