/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "read.h"
#include "tree.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
number (char *text)
{
  uint64_t n = text != NULL ? strtoull (text, NULL, 10) : 0;
  xmlFree (text);
  return n;
}

/* libvirt gives memory in KiB, people in anything. */
static uint64_t
memory_of (const xmlNode *n)
{
  static const struct {
    const char *unit;
    uint64_t bytes;
  } units[]
      = { { "b", 1 },        { "bytes", 1 },      { "KB", 1000 },       { "k", 1024 },     { "KiB", 1024 },    { "MB", 1000000 },
          { "M", 1u << 20 }, { "MiB", 1u << 20 }, { "GB", 1000000000 }, { "G", 1u << 30 }, { "GiB", 1u << 30 } };
  uint64_t value = number (lv_text_of (n)), scale = 1024;
  char *unit = lv_attr_of (n, "unit");
  for (size_t i = 0; unit != NULL && i < sizeof units / sizeof units[0]; i++)
    if (strcmp (unit, units[i].unit) == 0)
      scale = units[i].bytes;
  xmlFree (unit);
  return value <= UINT64_MAX / scale ? value * scale : 0;
}

/* --- devices --- */

/* ua-NAME is a device that we named; another goes by what else it is called. */
static char *
neutral_name (const char *alias, const char *otherwise, uint32_t index)
{
  char text[32];
  if (alias != NULL && strncmp (alias, "ua-", 3) == 0)
    return strdup (alias + 3);
  if (otherwise != NULL && otherwise[0] != '\0')
    return strdup (otherwise);
  (void) snprintf (text, sizeof text, "nic%" PRIu32, index);
  return strdup (text);
}

static char *
source_of (const xmlNode *disk)
{
  static const char *const names[] = { "file", "dev", "name", "dir", NULL };
  const xmlNode *source = lv_child (disk, "source");
  for (size_t i = 0; names[i] != NULL; i++) {
    char *path = lv_attr_of (source, names[i]);
    if (path != NULL)
      return path;
  }
  return NULL;
}

static int
read_backing (const xmlNode *disk, struct lv_disk *ret)
{
  for (const xmlNode *b = lv_child (disk, "backingStore"); b != NULL; b = lv_child (b, "backingStore")) {
    char *path = source_of (b);
    if (path == NULL)
      break; /* the empty one ends the chain */
    struct lv_layer *more = realloc (ret->backing, ((size_t) ret->backing_count + 1) * sizeof *more);
    if (more == NULL) {
      xmlFree (path);
      return -1;
    }
    ret->backing = more;
    more[ret->backing_count++] = (struct lv_layer){ path, lv_attr_of (lv_child (b, "format"), "type") };
  }
  return 0;
}

static int
read_disk (const xmlNode *n, struct lv_disk *ret)
{
  const xmlNode *target = lv_child (n, "target");
  ret->alias = lv_attr_of (lv_child (n, "alias"), "name");
  ret->target = lv_attr_of (target, "dev");
  ret->bus = lv_attr_of (target, "bus");
  ret->device = lv_attr_of (n, "device");
  ret->path = source_of (n);
  ret->format = lv_attr_of (lv_child (n, "driver"), "type");
  ret->read_only = lv_child (n, "readonly") != NULL;
  ret->name = neutral_name (ret->alias, ret->target, 0);
  return ret->name != NULL && ret->target != NULL ? read_backing (n, ret) : -1;
}

static int
read_nic (const xmlNode *n, uint32_t index, struct lv_nic *ret)
{
  ret->alias = lv_attr_of (lv_child (n, "alias"), "name");
  ret->mac = lv_attr_of (lv_child (n, "mac"), "address");
  ret->target = lv_attr_of (lv_child (n, "target"), "dev");
  ret->model = lv_attr_of (lv_child (n, "model"), "type");
  ret->name = neutral_name (ret->alias, ret->target, index);
  return ret->name != NULL ? 0 : -1;
}

static int
read_devices (const xmlNode *devices, struct lv_domain *d)
{
  d->disks = calloc ((size_t) lv_count (devices, "disk") + 1, sizeof *d->disks);
  d->nics = calloc ((size_t) lv_count (devices, "interface") + 1, sizeof *d->nics);
  if (d->disks == NULL || d->nics == NULL)
    return -1;
  for (const xmlNode *c = lv_child (devices, "disk"); c != NULL; c = lv_next (c))
    if (read_disk (c, &d->disks[d->disk_count++]) < 0)
      return -1;
  for (const xmlNode *c = lv_child (devices, "interface"); c != NULL; c = lv_next (c), d->nic_count++)
    if (read_nic (c, d->nic_count, &d->nics[d->nic_count]) < 0)
      return -1;
  return 0;
}

static void
read_channels (const xmlNode *devices, struct lv_domain *d)
{
  for (const xmlNode *c = lv_child (devices, "channel"); c != NULL; c = lv_next (c)) {
    const xmlNode *target = lv_child (c, "target");
    if (!lv_attr_is (target, "name", "org.qemu.guest_agent.0"))
      continue;
    d->has_agent = 1;
    d->agent_connected = lv_attr_is (target, "state", "connected");
  }
}

static void
read_consoles (const xmlNode *devices, struct lv_domain *d)
{
  const xmlNode *serial = lv_child (devices, "serial");
  d->has_console = serial != NULL;
  d->console_path = lv_attr_is (serial, "type", "unix") ? lv_attr_of (lv_child (serial, "source"), "path") : NULL;
  d->log_path = lv_attr_of (lv_child (serial, "log"), "file");
  for (const xmlNode *c = lv_child (devices, "graphics"); c != NULL && d->vnc_path == NULL; c = lv_next (c)) {
    if (!lv_attr_is (c, "type", "vnc"))
      continue;
    d->vnc_path = lv_attr_of (lv_child (c, "listen"), "socket");
    if (d->vnc_path == NULL)
      d->vnc_path = lv_attr_of (c, "socket");
  }
  const xmlNode *balloon = lv_child (devices, "memballoon");
  d->has_balloon = balloon != NULL && !lv_attr_is (balloon, "model", "none");
}

/* --- the domain --- */

static void
read_vcpus (const xmlNode *root, struct lv_domain *d)
{
  const xmlNode *vcpu = lv_child (root, "vcpu");
  char *current = lv_attr_of (vcpu, "current");
  uint64_t most = number (lv_text_of (vcpu));
  d->max_vcpus = most <= UINT32_MAX ? (uint32_t) most : 0;
  d->vcpus = current != NULL ? (uint32_t) number (current) : d->max_vcpus;
}

static int
read_root (const xmlNode *root, struct lv_domain *d)
{
  const xmlNode *type = lv_child (lv_child (root, "os"), "type"), *devices = lv_child (root, "devices");
  d->name = lv_text_of (lv_child (root, "name"));
  d->uuid = lv_text_of (lv_child (root, "uuid"));
  d->type = lv_attr_of (root, "type");
  d->machine = lv_attr_of (type, "machine");
  d->arch = lv_attr_of (type, "arch");
  d->memory_bytes = memory_of (lv_child (root, "memory"));
  d->current_memory_bytes
      = lv_child (root, "currentMemory") != NULL ? memory_of (lv_child (root, "currentMemory")) : d->memory_bytes;
  read_vcpus (root, d);
  read_channels (devices, d);
  read_consoles (devices, d);
  return d->name != NULL && d->type != NULL ? read_devices (devices, d) : -1;
}

int
lv_domain_read (const char *xml, struct lv_domain **ret, struct hv_err *err)
{
  xmlDocPtr doc = lv_xml_parse (xml, err);
  if (doc == NULL)
    return HV_E_INVALID_ARGUMENT;
  const xmlNode *root = xmlDocGetRootElement (doc);
  HV_CLEAN (lv_domain) struct lv_domain *d = calloc (1, sizeof *d);
  int r = 0;
  if (d == NULL)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  else if (root == NULL || strcmp ((const char *) root->name, "domain") != 0 || read_root (root, d) < 0)
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "the XML is no domain");
  xmlFreeDoc (doc);
  if (r == 0)
    *ret = HV_STEAL (d);
  return r;
}

static void
free_disk (struct lv_disk *d)
{
  for (uint32_t i = 0; i < d->backing_count; i++) {
    free (d->backing[i].path);
    free (d->backing[i].format);
  }
  free (d->backing);
  free (d->name);
  free (d->alias);
  free (d->target);
  free (d->bus);
  free (d->device);
  free (d->path);
  free (d->format);
}

void
lv_domain_free (struct lv_domain *d)
{
  if (d == NULL)
    return;
  for (uint32_t i = 0; i < d->disk_count; i++)
    free_disk (&d->disks[i]);
  for (uint32_t i = 0; i < d->nic_count; i++) {
    free (d->nics[i].name);
    free (d->nics[i].alias);
    free (d->nics[i].mac);
    free (d->nics[i].target);
    free (d->nics[i].model);
  }
  char *const texts[] = { d->name, d->uuid, d->type, d->machine, d->arch, d->console_path, d->log_path, d->vnc_path };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    free (texts[i]);
  free (d->disks);
  free (d->nics);
  free (d);
}

const struct lv_disk *
lv_domain_disk (const struct lv_domain *d, const char *name)
{
  for (uint32_t i = 0; d != NULL && i < d->disk_count; i++)
    if (strcmp (d->disks[i].name, name) == 0)
      return &d->disks[i];
  return NULL;
}

const struct lv_nic *
lv_domain_nic (const struct lv_domain *d, const char *name)
{
  for (uint32_t i = 0; d != NULL && i < d->nic_count; i++)
    if (strcmp (d->nics[i].name, name) == 0)
      return &d->nics[i];
  return NULL;
}

/* --- snapshots --- */

static int
read_snapshot_disks (const xmlNode *disks, struct lv_snapshot *s)
{
  s->disks = calloc ((size_t) lv_count (disks, "disk") + 1, sizeof *s->disks);
  for (const xmlNode *c = lv_child (disks, "disk"); s->disks != NULL && c != NULL; c = lv_next (c)) {
    struct lv_snapshot_disk *d = &s->disks[s->disk_count++];
    d->target = lv_attr_of (c, "name");
    d->format = lv_attr_of (lv_child (c, "driver"), "type");
    d->path = lv_attr_is (c, "snapshot", "external") ? source_of (c) : NULL;
    if (d->target == NULL)
      return -1;
  }
  return s->disks != NULL ? 0 : -1;
}

int
lv_snapshot_read (const char *xml, struct lv_snapshot **ret, struct hv_err *err)
{
  xmlDocPtr doc = lv_xml_parse (xml, err);
  if (doc == NULL)
    return HV_E_INVALID_ARGUMENT;
  const xmlNode *root = xmlDocGetRootElement (doc);
  HV_CLEAN (lv_snapshot) struct lv_snapshot *s = calloc (1, sizeof *s);
  int ok = s != NULL && root != NULL && strcmp ((const char *) root->name, "domainsnapshot") == 0;
  if (ok) {
    s->name = lv_text_of (lv_child (root, "name"));
    s->parent = lv_text_of (lv_child (lv_child (root, "parent"), "name"));
    s->state = lv_text_of (lv_child (root, "state"));
    s->created_s = number (lv_text_of (lv_child (root, "creationTime")));
    s->has_memory = lv_child (root, "memory") != NULL && !lv_attr_is (lv_child (root, "memory"), "snapshot", "no");
    ok = s->name != NULL && read_snapshot_disks (lv_child (root, "disks"), s) == 0;
  }
  xmlFreeDoc (doc);
  if (!ok)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "the XML is no snapshot of a domain");
  *ret = HV_STEAL (s);
  return 0;
}

void
lv_snapshot_free (struct lv_snapshot *s)
{
  if (s == NULL)
    return;
  for (uint32_t i = 0; i < s->disk_count; i++) {
    free (s->disks[i].target);
    free (s->disks[i].path);
    free (s->disks[i].format);
  }
  free (s->disks);
  free (s->name);
  free (s->parent);
  free (s->state);
  free (s);
}
