/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Objects that no machine comes of: claims, Secrets, ConfigMaps. Documents "pvc_<namespace>_<name>", "secret_…", "configmap_…". */
#include "vmi.h"
#include <stdio.h>
#include <string.h>

static const char *const prefixes[VMI_KINDS]
    = { [VMI_KIND_CLAIM] = "pvc", [VMI_KIND_SECRET] = "secret", [VMI_KIND_CONFIG_MAP] = "configmap" };

struct vmi_item *
vmi_item_find (struct vmi *vmi, uint32_t kind, const char *namespace_, const char *name)
{
  for (uint32_t i = 0; i < vmi->item_count; i++) {
    struct vmi_item *it = vmi->items[i];
    if (it->kind == kind && strcmp (it->namespace_, namespace_) == 0 && strcmp (it->name, name) == 0)
      return it;
  }
  return NULL;
}

void
vmi_item_free (struct vmi_item *it)
{
  if (it == NULL)
    return;
  free (it->namespace_);
  free (it->name);
  free (it->key);
  if (it->object.data != NULL && it->kind == VMI_KIND_SECRET)
    explicit_bzero (it->object.data, it->object.size);
  vmi_bytes_clear (&it->object);
  free (it);
}

struct vmi_item *
vmi_item_new (struct vmi *vmi, uint32_t kind, const char *namespace_, const char *name, struct hv_err *err)
{
  HV_CLEAN (vmi_item) struct vmi_item *it = calloc (1, sizeof *it);
  char *key = hv_printf (vmi->host, "%s_%s_%s", prefixes[kind], namespace_, name);
  if (it != NULL)
    it->kind = kind;
  if (it == NULL || key == NULL || vmi_text_set (&it->namespace_, namespace_) < 0 || vmi_text_set (&it->name, name) < 0
      || vmi_text_set (&it->key, key) < 0) {
    (void) vmi_no_memory (err);
    return NULL;
  }
  it->created_ms = vmi_wall_ms ();
  return HV_STEAL (it);
}

int
vmi_item_add (struct vmi *vmi, struct vmi_item *it, struct hv_err *err)
{
  if (vmi->item_count == vmi->item_capacity) {
    uint32_t capacity = vmi->item_capacity == 0 ? 8 : vmi->item_capacity * 2;
    struct vmi_item **more = realloc (vmi->items, capacity * sizeof *more);
    if (more == NULL)
      return vmi_no_memory (err);
    vmi->items = more;
    vmi->item_capacity = capacity;
  }
  vmi->items[vmi->item_count++] = it;
  return 0;
}

/* --- documents --- */

int
vmi_item_load (struct vmi *vmi, const char *prefix, const char *namespace_, const char *name, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct vmi_item_document d = { 0 };
  uint32_t kind = 0;
  while (kind < VMI_KINDS && (prefixes[kind] == NULL || strcmp (prefixes[kind], prefix) != 0))
    kind++;
  if (kind == VMI_KINDS)
    return HV_E_NOT_FOUND;
  HV_CLEAN (vmi_item) struct vmi_item *it = vmi_item_new (vmi, kind, namespace_, name, err);
  if (it == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  int r = h->api->store_get (h, it->key, &vmi_item_document_record, &d, err);
  if (r == HV_E_DATA_LOSS) { /* a claim's file is still there, and is used by its name */
    hv_log (h, HV_LOG_ERROR, "%s '%s/%s': %s", vmi_kind_words[kind], namespace_, name, hv_err_message (err));
    return 0;
  }
  if (r == 0 && vmi_bytes_set (&it->object, d.object) < 0)
    r = vmi_no_memory (err);
  if (r < 0)
    return r;
  (void) snprintf (it->uid, sizeof it->uid, "%s", d.uid);
  it->created_ms = d.created_ms;
  it->bytes = d.bytes;
  it->made = d.made;
  r = vmi_item_add (vmi, it, err);
  if (r == 0)
    it = NULL;
  return r;
}

int
vmi_item_save (struct vmi *vmi, struct vmi_item *it, struct hv_err *err)
{
  struct vmi_item_document d = { 0 };
  HV_SET (&d, uid, it->uid);
  HV_SET (&d, created_ms, it->created_ms);
  if (it->kind == VMI_KIND_CLAIM) {
    HV_SET (&d, bytes, it->bytes);
    HV_SET (&d, made, it->made);
  }
  HV_SET (&d, object, vmi_bytes_bin (&it->object));
  return vmi->host->api->store_put (vmi->host, it->key, &vmi_item_document_record, &d, err);
}

int
vmi_item_delete (struct vmi *vmi, struct vmi_item *it, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  int r = h->api->store_delete (h, it->key, err);
  if (r < 0)
    return r;
  for (uint32_t i = 0; i < vmi->item_count; i++)
    if (vmi->items[i] == it) {
      vmi->item_count--;
      memmove (&vmi->items[i], &vmi->items[i + 1], (vmi->item_count - i) * sizeof (struct vmi_item *));
      break;
    }
  vmi_item_free (it);
  return 0;
}

/* --- values --- */

int
vmi_item_values (struct vmi *vmi, uint32_t kind, const char *namespace_, const char *name, struct vmi_values *ret,
                 struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  const struct vmi_item *it = vmi_item_find (vmi, kind, namespace_, name);
  if (it == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "%s '%s/%s' does not exist", vmi_kind_words[kind], namespace_, name);
  /* the decoded texts may point into what is decoded, and the item may go */
  struct hv_bin object = { NULL, it->object.size };
  uint8_t *copy = hv_alloc (h, it->object.size);
  struct vmi_secret *secret = hv_alloc (h, sizeof *secret);
  struct vmi_config_map *map = hv_alloc (h, sizeof *map);
  if (copy == NULL || secret == NULL || map == NULL)
    return vmi_no_memory (err);
  memcpy (copy, it->object.data, it->object.size);
  object.data = copy;
  int r = kind == VMI_KIND_SECRET ? h->api->decode (h, &vmi_secret_record, object, HV_DECODE_OPEN, secret, err)
                                  : h->api->decode (h, &vmi_config_map_record, object, HV_DECODE_OPEN, map, err);
  if (r < 0)
    return r;
  return kind == VMI_KIND_SECRET ? vmi_secret_values (h, secret, ret, err) : vmi_config_map_values (h, map, ret, err);
}
