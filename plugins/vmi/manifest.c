/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manifest.h"
#include "data.h"
#include "yaml.h"
#include <string.h>

#define LABEL_MAX     63
#define DATA_NAME_MAX 100 /* a document is named after it and its namespace */

int
vmi_object_is_machine (const struct vmi_object *o)
{
  return o->kind == VMI_KIND_VM || o->kind == VMI_KIND_VMI;
}

const char *
vmi_object_prefix (const struct vmi_object *o)
{
  return o->kind == VMI_KIND_VM ? "spec.template.spec" : "spec";
}

int
vmi_manifest_place (const struct vmi_manifest *m, const struct vmi_object *o, int code, struct hv_err *err)
{
  const char *path = hv_err_data_get (err, "path");
  uint32_t line = path != NULL ? vmi_yaml_line (m->text, m->size, o->number, path) : 0;
  if (err == NULL)
    return code;
  if (line > 0)
    return hv_err_wrap (err, code, "document %u, line %u", o->number, line);
  return hv_err_wrap (err, code, "document %u", o->number);
}

/* The decoder takes keys that begin with '_' for a call's own arguments; in an object they are as unknown as others. */
static int
check_keys (struct hv_bin doc, struct hv_err *err)
{
  struct hv_read r = { doc.data, doc.data + doc.size };
  struct hv_value map, key;
  if (!hv_read_next (&r, &map) || map.type != HV_MP_MAP)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "an object must be a map with apiVersion, kind, metadata and spec");
  for (uint32_t i = 0; i < map.size && hv_read_next (&r, &key); i++) {
    if (key.type == HV_MP_STR && key.size > 0 && key.as.data[0] == '_') {
      int r2 = hv_err_set (err, HV_E_INVALID_ARGUMENT, "unknown key '%.*s'", key.size > 60 ? 60 : (int) key.size,
                           (const char *) key.as.data);
      return r2;
    }
    (void) hv_read_skip (&r);
  }
  return 0;
}

static int
find_kind (const struct vmi_head *head, uint32_t *ret, struct hv_err *err)
{
  static const char *const versions[] = { "kubevirt.io/v1", "kubevirt.io/v1", "v1", "v1", "v1" };
  for (uint32_t k = 0; vmi_kind_words[k] != NULL; k++) {
    if (strcmp (head->kind, vmi_kind_words[k]) != 0)
      continue;
    *ret = k;
    if (strcmp (head->apiVersion, versions[k]) == 0)
      return 0;
    hv_err_set (err, HV_E_INVALID_ARGUMENT, "apiVersion: '%s' of %s is not known; it is %s", head->apiVersion, head->kind,
                versions[k]);
    hv_err_data (err, "path", "apiVersion");
    return HV_E_INVALID_ARGUMENT;
  }
  hv_err_set (err, HV_E_INVALID_ARGUMENT,
              "kind: '%s' is not known; VirtualMachine, VirtualMachineInstance, PersistentVolumeClaim, Secret and ConfigMap are",
              head->kind);
  hv_err_data (err, "path", "kind");
  return HV_E_INVALID_ARGUMENT;
}

static int
decode_instance (struct hv_host *h, struct hv_bin doc, struct vmi_object *o, struct hv_err *err)
{
  struct vmi_instance *i = hv_alloc (h, sizeof *i);
  if (i == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = h->api->decode (h, &vmi_instance_record, doc, 0, i, err);
  if (r < 0)
    return r;
  struct vmi_virtual_machine *vm = &o->vm;
  HV_SET (vm, apiVersion, i->apiVersion);
  HV_SET (vm, kind, i->kind);
  HV_SET (vm, metadata, i->metadata);
  vm->has.spec = vm->spec.has.template = vm->spec.template.has.spec = 1;
  HV_SET (&vm->spec, runStrategy, VMI_ONCE);
  vm->spec.template.spec = i->spec;
  vm->spec.template.has.metadata = 1;
  vm->spec.template.metadata.labels = i->metadata.labels;
  vm->spec.template.metadata.has.labels = i->metadata.has.labels;
  vm->spec.template.metadata.annotations = i->metadata.annotations;
  vm->spec.template.metadata.has.annotations = i->metadata.has.annotations;
  return 0;
}

static int
check_running (const struct vmi_vm_spec *s, struct hv_err *err)
{
  if (HV_HAS (s, running) && HV_HAS (s, runStrategy))
    hv_err_set (err, HV_E_INVALID_ARGUMENT, "spec.running: excludes spec.runStrategy; give one of them");
  else if (!HV_HAS (s, running) && !HV_HAS (s, runStrategy))
    hv_err_set (err, HV_E_INVALID_ARGUMENT, "spec.runStrategy: required (or spec.running)");
  else
    return 0;
  hv_err_data (err, "path", HV_HAS (s, running) ? "spec.running" : "spec.runStrategy");
  return HV_E_INVALID_ARGUMENT;
}

static int
decode_object (struct hv_host *h, struct hv_bin doc, struct vmi_object *o, struct hv_err *err)
{
  struct vmi_head head = { 0 };
  int r = check_keys (doc, err);
  if (r == 0)
    r = h->api->decode (h, &vmi_head_record, doc, HV_DECODE_OPEN, &head, err);
  if (r == 0)
    r = find_kind (&head, &o->kind, err);
  if (r < 0)
    return r;
  if (o->kind == VMI_KIND_CLAIM)
    return h->api->decode (h, &vmi_claim_object_record, doc, 0, &o->claim, err);
  if (o->kind == VMI_KIND_SECRET) {
    r = h->api->decode (h, &vmi_secret_record, doc, 0, &o->secret, err);
    return r < 0 ? r : vmi_secret_settle (h, &o->secret, err);
  }
  if (o->kind == VMI_KIND_CONFIG_MAP) {
    r = h->api->decode (h, &vmi_config_map_record, doc, 0, &o->config_map, err);
    return r < 0 ? r : vmi_config_map_check (&o->config_map, err);
  }
  if (o->kind == VMI_KIND_VMI)
    return decode_instance (h, doc, o, err);
  r = h->api->decode (h, &vmi_virtual_machine_record, doc, 0, &o->vm, err);
  return r < 0 ? r : check_running (&o->vm.spec, err);
}

static struct vmi_meta *
meta_of (struct vmi_object *o)
{
  return o->kind == VMI_KIND_CLAIM        ? &o->claim.metadata
         : o->kind == VMI_KIND_SECRET     ? &o->secret.metadata
         : o->kind == VMI_KIND_CONFIG_MAP ? &o->config_map.metadata
                                          : &o->vm.metadata;
}

/* Machines and claims give their names to files and to guests. */
static int
check_name (const struct vmi_object *o, struct hv_err *err)
{
  int data = o->kind == VMI_KIND_SECRET || o->kind == VMI_KIND_CONFIG_MAP;
  if (data ? strlen (o->name) <= DATA_NAME_MAX : strlen (o->name) <= LABEL_MAX && strchr (o->name, '.') == NULL)
    return 0;
  hv_err_set (err, HV_E_INVALID_ARGUMENT,
              data ? "metadata.name: '%.80s' is longer than %d characters"
                   : "metadata.name: '%.80s' is not a name (small letters, digits and inner '-', at most %d)",
              o->name, data ? DATA_NAME_MAX : LABEL_MAX);
  hv_err_data (err, "path", "metadata.name");
  return HV_E_INVALID_ARGUMENT;
}

static int
read_object (struct hv_host *h, const struct vmi_yaml_doc *d, const char *default_namespace, struct vmi_manifest *m,
             struct hv_err *err)
{
  struct vmi_object *o = &m->objects[m->count];
  o->number = d->number;
  int r = decode_object (h, (struct hv_bin){ d->pack.data, d->pack.size }, o, err);
  if (r < 0)
    return vmi_manifest_place (m, o, r, err);
  struct vmi_meta *meta = meta_of (o);
  if (!HV_HAS (meta, namespace))
    HV_SET (meta, namespace, default_namespace);
  o->namespace_ = meta->namespace;
  o->name = meta->name;
  r = check_name (o, err);
  if (r < 0)
    return vmi_manifest_place (m, o, r, err);
  for (uint32_t i = 0; i < m->count; i++)
    if (m->objects[i].kind == o->kind && strcmp (m->objects[i].name, o->name) == 0
        && strcmp (m->objects[i].namespace_, o->namespace_) == 0)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "documents %u and %u are the same %s '%s/%s'", m->objects[i].number, o->number,
                         vmi_kind_words[o->kind], o->namespace_, o->name);
  m->count++;
  return 0;
}

int
vmi_manifest_read (struct hv_host *h, const char *text, const char *default_namespace, struct vmi_manifest *ret, struct hv_err *err)
{
  HV_CLEAN (hv_free) struct vmi_yaml *y = calloc (1, sizeof *y);
  struct vmi_manifest m = { .text = text, .size = strlen (text) };
  if (y == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = vmi_yaml_read (text, m.size, y, err);
  if (r == 0 && y->count == 0)
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "there is no object in it");
  m.objects = r == 0 ? hv_alloc (h, y->count * sizeof *m.objects) : NULL;
  if (r == 0 && m.objects == NULL)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < y->count && r == 0; i++)
    r = read_object (h, &y->docs[i], default_namespace, &m, err);
  vmi_yaml_clear (y);
  if (r == 0)
    *ret = m;
  return r < 0 ? hv_err_wrap (err, r, "manifest") : 0;
}
