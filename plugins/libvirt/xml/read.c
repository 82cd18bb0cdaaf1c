/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "read.h"
#include "tree.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the tree --- */

static const xmlNode *
child (const xmlNode *n, const char *name)
{
  for (const xmlNode *c = n != NULL ? n->children : NULL; c != NULL; c = c->next)
    if (c->type == XML_ELEMENT_NODE && strcmp ((const char *) c->name, name) == 0)
      return c;
  return NULL;
}

static const xmlNode *
next_of (const xmlNode *n)
{
  const xmlNode *c = n->next;
  while (c != NULL && (c->type != XML_ELEMENT_NODE || strcmp ((const char *) c->name, (const char *) n->name) != 0))
    c = c->next;
  return c;
}

/* NULL where there is none, or no memory. */
static char *
attr (const xmlNode *n, const char *name)
{
  return n != NULL ? (char *) xmlGetNoNsProp (n, (const xmlChar *) name) : NULL;
}

static char *
content (const xmlNode *n)
{
  return n != NULL ? (char *) xmlNodeGetContent (n) : NULL;
}

static int
attr_is (const xmlNode *n, const char *name, const char *value)
{
  char *a = attr (n, name);
  int is = a != NULL && strcmp (a, value) == 0;
  xmlFree (a);
  return is;
}

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
  uint64_t value = number (content (n)), scale = 1024;
  char *unit = attr (n, "unit");
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
  const xmlNode *source = child (disk, "source");
  for (size_t i = 0; names[i] != NULL; i++) {
    char *path = attr (source, names[i]);
    if (path != NULL)
      return path;
  }
  return NULL;
}

static int
read_backing (const xmlNode *disk, struct lv_disk *ret)
{
  for (const xmlNode *b = child (disk, "backingStore"); b != NULL; b = child (b, "backingStore")) {
    char *path = source_of (b);
    if (path == NULL)
      break; /* the empty one ends the chain */
    struct lv_layer *more = realloc (ret->backing, ((size_t) ret->backing_count + 1) * sizeof *more);
    if (more == NULL) {
      xmlFree (path);
      return -1;
    }
    ret->backing = more;
    more[ret->backing_count++] = (struct lv_layer){ path, attr (child (b, "format"), "type") };
  }
  return 0;
}

static int
read_disk (const xmlNode *n, struct lv_disk *ret)
{
  const xmlNode *target = child (n, "target");
  ret->alias = attr (child (n, "alias"), "name");
  ret->target = attr (target, "dev");
  ret->bus = attr (target, "bus");
  ret->device = attr (n, "device");
  ret->path = source_of (n);
  ret->format = attr (child (n, "driver"), "type");
  ret->read_only = child (n, "readonly") != NULL;
  ret->name = neutral_name (ret->alias, ret->target, 0);
  return ret->name != NULL && ret->target != NULL ? read_backing (n, ret) : -1;
}

static int
read_nic (const xmlNode *n, uint32_t index, struct lv_nic *ret)
{
  ret->alias = attr (child (n, "alias"), "name");
  ret->mac = attr (child (n, "mac"), "address");
  ret->target = attr (child (n, "target"), "dev");
  ret->model = attr (child (n, "model"), "type");
  ret->name = neutral_name (ret->alias, ret->target, index);
  return ret->name != NULL ? 0 : -1;
}

static uint32_t
count_of (const xmlNode *devices, const char *name)
{
  uint32_t n = 0;
  for (const xmlNode *c = child (devices, name); c != NULL; c = next_of (c))
    n++;
  return n;
}

static int
read_devices (const xmlNode *devices, struct lv_domain *d)
{
  d->disks = calloc ((size_t) count_of (devices, "disk") + 1, sizeof *d->disks);
  d->nics = calloc ((size_t) count_of (devices, "interface") + 1, sizeof *d->nics);
  if (d->disks == NULL || d->nics == NULL)
    return -1;
  for (const xmlNode *c = child (devices, "disk"); c != NULL; c = next_of (c))
    if (read_disk (c, &d->disks[d->disk_count++]) < 0)
      return -1;
  for (const xmlNode *c = child (devices, "interface"); c != NULL; c = next_of (c), d->nic_count++)
    if (read_nic (c, d->nic_count, &d->nics[d->nic_count]) < 0)
      return -1;
  return 0;
}

static void
read_channels (const xmlNode *devices, struct lv_domain *d)
{
  for (const xmlNode *c = child (devices, "channel"); c != NULL; c = next_of (c)) {
    const xmlNode *target = child (c, "target");
    if (!attr_is (target, "name", "org.qemu.guest_agent.0"))
      continue;
    d->has_agent = 1;
    d->agent_connected = attr_is (target, "state", "connected");
  }
}

static void
read_consoles (const xmlNode *devices, struct lv_domain *d)
{
  const xmlNode *serial = child (devices, "serial");
  d->has_console = serial != NULL;
  d->console_path = attr_is (serial, "type", "unix") ? attr (child (serial, "source"), "path") : NULL;
  d->log_path = attr (child (serial, "log"), "file");
  for (const xmlNode *c = child (devices, "graphics"); c != NULL && d->vnc_path == NULL; c = next_of (c)) {
    if (!attr_is (c, "type", "vnc"))
      continue;
    d->vnc_path = attr (child (c, "listen"), "socket");
    if (d->vnc_path == NULL)
      d->vnc_path = attr (c, "socket");
  }
  const xmlNode *balloon = child (devices, "memballoon");
  d->has_balloon = balloon != NULL && !attr_is (balloon, "model", "none");
}

/* --- the domain --- */

static void
read_vcpus (const xmlNode *root, struct lv_domain *d)
{
  const xmlNode *vcpu = child (root, "vcpu");
  char *current = attr (vcpu, "current");
  uint64_t most = number (content (vcpu));
  d->max_vcpus = most <= UINT32_MAX ? (uint32_t) most : 0;
  d->vcpus = current != NULL ? (uint32_t) number (current) : d->max_vcpus;
}

static int
read_root (const xmlNode *root, struct lv_domain *d)
{
  const xmlNode *type = child (child (root, "os"), "type"), *devices = child (root, "devices");
  d->name = content (child (root, "name"));
  d->uuid = content (child (root, "uuid"));
  d->type = attr (root, "type");
  d->machine = attr (type, "machine");
  d->arch = attr (type, "arch");
  d->memory_bytes = memory_of (child (root, "memory"));
  d->current_memory_bytes = child (root, "currentMemory") != NULL ? memory_of (child (root, "currentMemory")) : d->memory_bytes;
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
  s->disks = calloc ((size_t) count_of (disks, "disk") + 1, sizeof *s->disks);
  for (const xmlNode *c = child (disks, "disk"); s->disks != NULL && c != NULL; c = next_of (c)) {
    struct lv_snapshot_disk *d = &s->disks[s->disk_count++];
    d->target = attr (c, "name");
    d->format = attr (child (c, "driver"), "type");
    d->path = attr_is (c, "snapshot", "external") ? source_of (c) : NULL;
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
    s->name = content (child (root, "name"));
    s->parent = content (child (child (root, "parent"), "name"));
    s->state = content (child (root, "state"));
    s->created_s = number (content (child (root, "creationTime")));
    s->has_memory = child (root, "memory") != NULL && !attr_is (child (root, "memory"), "snapshot", "no");
    ok = s->name != NULL && read_snapshot_disks (child (root, "disks"), s) == 0;
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
