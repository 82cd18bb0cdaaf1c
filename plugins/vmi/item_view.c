/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Claims, Secrets and ConfigMaps: as they are listed and shown. */
#include "quantity.h"
#include "verbs.h"
#include <string.h>

HV_RECORD_TABLE (vmi_claim_status, VMI_CLAIM_STATUS, "status of a claim");
HV_RECORD_TABLE (vmi_claim_view, VMI_CLAIM_VIEW, "PersistentVolumeClaim");
HV_RECORD_TABLE (vmi_claim_list, VMI_CLAIM_LIST, "claims");
HV_RECORD_TABLE (vmi_data_extra, VMI_DATA_EXTRA, "beyond Kubernetes");
HV_RECORD_TABLE (vmi_secret_view, VMI_SECRET_VIEW, "Secret");
HV_RECORD_TABLE (vmi_secret_list, VMI_SECRET_LIST, "Secrets");
HV_RECORD_TABLE (vmi_config_map_view, VMI_CONFIG_MAP_VIEW, "ConfigMap");
HV_RECORD_TABLE (vmi_config_map_list, VMI_CONFIG_MAP_LIST, "ConfigMaps");

/* --- objects --- */

static int
view_meta (struct vmi *vmi, const struct vmi_item *it, const struct vmi_meta *from, struct vmi_meta_view *to, struct hv_err *err)
{
  char *uid = hv_strdup (vmi->host, it->uid), *created = vmi_time_text (vmi->host, it->created_ms);
  if (uid == NULL || created == NULL)
    return vmi_no_memory (err);
  vmi_view_meta (from, to);
  HV_SET (to, uid, uid);
  HV_SET (to, creationTimestamp, created);
  return 0;
}

/* The item may go while its view is still to be sent. */
static int
copy_object (struct vmi *vmi, const struct vmi_item *it, struct hv_bin *ret, struct hv_err *err)
{
  uint8_t *copy = hv_alloc (vmi->host, it->object.size);
  if (copy == NULL)
    return vmi_no_memory (err);
  memcpy (copy, it->object.data, it->object.size);
  *ret = (struct hv_bin){ copy, it->object.size };
  return 0;
}

int
vmi_view_claim (struct vmi *vmi, const struct vmi_item *c, struct vmi_claim_view *ret, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct vmi_claim_object *o = hv_alloc (h, sizeof *o);
  char *size = hv_alloc (h, VMI_QUANTITY_TEXT), *path = vmi_claim_path (h, vmi->state_dir, c->namespace_, c->name);
  struct hv_bin spec;
  struct vmi_meta_view meta = { 0 };
  int exists = 0;
  if (o == NULL || size == NULL || path == NULL)
    return vmi_no_memory (err);
  vmi_quantity_text (c->bytes, size);
  int r = h->api->decode (h, &vmi_claim_object_record, vmi_bytes_bin (&c->object), HV_DECODE_OPEN, o, err);
  if (r == 0)
    r = view_meta (vmi, c, &o->metadata, &meta, err);
  if (r == 0)
    r = h->api->encode (h, &vmi_claim_spec_record, &o->spec, &spec, err);
  if (r == 0)
    r = vmi_volumes_exists (vmi, path, &exists, err);
  if (r < 0)
    return r;
  HV_SET (ret, apiVersion, "v1");
  HV_SET (ret, kind, vmi_kind_words[VMI_KIND_CLAIM]);
  ret->metadata = meta;
  HV_SET (ret, spec, spec);
  HV_SET (&ret->status, phase, exists ? "Bound" : "Pending");
  ret->status.has.capacity = 1;
  HV_SET (&ret->status.capacity, storage, size);
  HV_SET (ret, path, path);
  ret->has.metadata = ret->has.status = 1;
  return 0;
}

int
vmi_view_secret (struct vmi *vmi, const struct vmi_item *it, struct vmi_secret_view *ret, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct vmi_secret *o = hv_alloc (h, sizeof *o);
  struct hv_bin object;
  int r = o != NULL ? copy_object (vmi, it, &object, err) : vmi_no_memory (err);
  if (r == 0)
    r = h->api->decode (h, &vmi_secret_record, object, HV_DECODE_OPEN, o, err);
  if (r == 0)
    r = view_meta (vmi, it, &o->metadata, &ret->metadata, err);
  if (r < 0)
    return r;
  HV_SET (ret, apiVersion, "v1");
  HV_SET (ret, kind, vmi_kind_words[VMI_KIND_SECRET]);
  HV_SET (ret, type, o->type);
  if (o->data.count > 0)
    HV_SET (ret, data, o->data);
  if (o->immutable)
    HV_SET (ret, immutable, 1);
  HV_SET (&ret->hvkit, keys, o->data.count);
  ret->has.metadata = ret->has.hvkit = 1;
  return 0;
}

int
vmi_view_config_map (struct vmi *vmi, const struct vmi_item *it, struct vmi_config_map_view *ret, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct vmi_config_map *o = hv_alloc (h, sizeof *o);
  struct hv_bin object;
  int r = o != NULL ? copy_object (vmi, it, &object, err) : vmi_no_memory (err);
  if (r == 0)
    r = h->api->decode (h, &vmi_config_map_record, object, HV_DECODE_OPEN, o, err);
  if (r == 0)
    r = view_meta (vmi, it, &o->metadata, &ret->metadata, err);
  if (r < 0)
    return r;
  HV_SET (ret, apiVersion, "v1");
  HV_SET (ret, kind, vmi_kind_words[VMI_KIND_CONFIG_MAP]);
  if (o->data.count > 0)
    HV_SET (ret, data, o->data);
  if (o->binaryData.count > 0)
    HV_SET (ret, binaryData, o->binaryData);
  if (o->immutable)
    HV_SET (ret, immutable, 1);
  HV_SET (&ret->hvkit, keys, o->data.count + o->binaryData.count);
  ret->has.metadata = ret->has.hvkit = 1;
  return 0;
}

/* --- lists --- */

struct rows {
  struct vmi_item **items;
  uint32_t count;
  char *more; /* where the next page begins; NULL: this was the last */
};

static int
by_name (const void *a, const void *b)
{
  const struct vmi_item *x = *(struct vmi_item *const *) a, *y = *(struct vmi_item *const *) b;
  int c = strcmp (x->namespace_, y->namespace_);
  return c != 0 ? c : strcmp (x->name, y->name);
}

static int
select_rows (struct vmi *vmi, const struct vmi_get_args *a, uint32_t kind, struct rows *ret, struct hv_err *err)
{
  *ret = (struct rows){ hv_alloc (vmi->host, (vmi->item_count + 1) * sizeof (struct vmi_item *)), 0, NULL };
  if (ret->items == NULL)
    return vmi_no_memory (err);
  for (uint32_t i = 0; i < vmi->item_count; i++) {
    struct vmi_item *it = vmi->items[i];
    if (it->kind == kind && (a->all_namespaces || strcmp (it->namespace_, a->namespace) == 0)
        && (!HV_HAS (a, name) || strcmp (it->name, a->name) == 0)
        && (!HV_HAS (a, continue_from) || vmi_is_after (vmi, it->namespace_, it->name, a->continue_from)))
      ret->items[ret->count++] = it;
  }
  if (ret->count == 0 && HV_HAS (a, name))
    return hv_err_set (err, HV_E_NOT_FOUND, "%s '%s/%s' does not exist", vmi_kind_words[kind], a->namespace, a->name);
  qsort (ret->items, ret->count, sizeof (struct vmi_item *), by_name);
  if (ret->count > a->limit) {
    const struct vmi_item *last = ret->items[a->limit - 1];
    ret->count = a->limit;
    ret->more = hv_printf (vmi->host, "%s/%s", last->namespace_, last->name);
    return ret->more != NULL ? 0 : vmi_no_memory (err);
  }
  return 0;
}

/* The views look at files, and the list may change meanwhile: the lock is held. */
static int
list_claims (struct vmi *vmi, const struct vmi_get_args *a, struct vmi_claim_list *ret, struct hv_err *err)
{
  struct rows rows;
  int r = select_rows (vmi, a, VMI_KIND_CLAIM, &rows, err);
  ret->items.items = r == 0 ? hv_alloc (vmi->host, (rows.count + 1) * sizeof *ret->items.items) : NULL;
  if (r == 0 && ret->items.items == NULL)
    r = vmi_no_memory (err);
  for (; r == 0 && ret->items.count < rows.count; ret->items.count++)
    r = vmi_view_claim (vmi, rows.items[ret->items.count], &ret->items.items[ret->items.count], err);
  if (r == 0 && rows.more != NULL)
    HV_SET (ret, continue_from, rows.more);
  return r;
}

int
vmi_get_pvc (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  int r = vmi_lock (self, err);
  if (r < 0)
    return r;
  r = list_claims (self, args, result, err);
  vmi_unlock (self);
  return r;
}

int
vmi_get_secret (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  struct vmi_secret_list *ret = result;
  struct rows rows;
  (void) call;
  int r = select_rows (vmi, args, VMI_KIND_SECRET, &rows, err);
  ret->items.items = r == 0 ? hv_alloc (vmi->host, (rows.count + 1) * sizeof *ret->items.items) : NULL;
  if (r == 0 && ret->items.items == NULL)
    r = vmi_no_memory (err);
  for (; r == 0 && ret->items.count < rows.count; ret->items.count++)
    r = vmi_view_secret (vmi, rows.items[ret->items.count], &ret->items.items[ret->items.count], err);
  if (r == 0 && rows.more != NULL)
    HV_SET (ret, continue_from, rows.more);
  return r;
}

int
vmi_get_config_map (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  struct vmi_config_map_list *ret = result;
  struct rows rows;
  (void) call;
  int r = select_rows (vmi, args, VMI_KIND_CONFIG_MAP, &rows, err);
  ret->items.items = r == 0 ? hv_alloc (vmi->host, (rows.count + 1) * sizeof *ret->items.items) : NULL;
  if (r == 0 && ret->items.items == NULL)
    r = vmi_no_memory (err);
  for (; r == 0 && ret->items.count < rows.count; ret->items.count++)
    r = vmi_view_config_map (vmi, rows.items[ret->items.count], &ret->items.items[ret->items.count], err);
  if (r == 0 && rows.more != NULL)
    HV_SET (ret, continue_from, rows.more);
  return r;
}
