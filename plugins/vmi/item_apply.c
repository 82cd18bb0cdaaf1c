/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* apply, of objects that no machine comes of. */
#include "quantity.h"
#include "verbs.h"
#include <string.h>

/* --- checks --- */

static int
fail_at (struct hv_err *err, int code, const char *path, const char *why)
{
  hv_err_set (err, code, "%s: %s", path, why);
  hv_err_data (err, "path", path);
  return code;
}

static int
check_claim (struct vmi *vmi, const struct vmi_object *o, uint64_t *ret_bytes, struct hv_err *err)
{
  static const char size[] = "spec.resources.requests.storage";
  static const char *const modes[] = { "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod" };
  const struct vmi_claim_spec *s = &o->claim.spec;
  const struct vmi_item *c = vmi_item_find (vmi, VMI_KIND_CLAIM, o->namespace_, o->name);
  uint64_t bytes = 0;
  if (HV_HAS (s, volumeMode) && s->volumeMode != VMI_VOLUME_MODE_FILESYSTEM)
    return fail_at (err, HV_E_UNIMPLEMENTED, "spec.volumeMode", "only Filesystem: a claim is a file");
  for (uint32_t i = 0; i < s->accessModes.count; i++) {
    size_t k = 0;
    while (k < 4 && strcmp (modes[k], s->accessModes.items[i]) != 0)
      k++;
    if (k == 4)
      return fail_at (err, HV_E_INVALID_ARGUMENT, "spec.accessModes",
                      "ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod");
  }
  int r = vmi_quantity (s->resources.requests.storage, &bytes, err);
  if (r < 0) {
    hv_err_data (err, "path", size);
    return hv_err_wrap (err, r, "%s", size);
  }
  bytes = vmi_claim_bytes (bytes);
  if (bytes == 0 || bytes > UINT64_C (70368744177664))
    return fail_at (err, HV_E_INVALID_ARGUMENT, size, "a disk has 1Mi to 64Ti");
  if (c != NULL && c->bytes != bytes)
    return fail_at (err, HV_E_UNIMPLEMENTED, size, "the size of a claim cannot be changed yet");
  *ret_bytes = bytes;
  return 0;
}

static int
same_map (const struct hv_map *a, const struct hv_map *b)
{
  int same = a->count == b->count;
  for (uint32_t i = 0; same && i < a->count; i++) {
    const char *other = vmi_map_get (b, a->items[i].key);
    same = other != NULL && strcmp (other, a->items[i].value) == 0;
  }
  return same;
}

static int
check_secret (struct vmi *vmi, const struct vmi_object *o, const struct vmi_item *it, struct hv_err *err)
{
  struct vmi_secret *old = hv_alloc (vmi->host, sizeof *old);
  if (old == NULL)
    return vmi_no_memory (err);
  int r = vmi->host->api->decode (vmi->host, &vmi_secret_record, vmi_bytes_bin (&it->object), HV_DECODE_OPEN, old, err);
  if (r == 0 && strcmp (old->type, o->secret.type) != 0)
    r = fail_at (err, HV_E_FAILED_PRECONDITION, "type", "the type of a Secret cannot be changed; delete it first");
  if (r == 0 && old->immutable && (!o->secret.immutable || !same_map (&old->data, &o->secret.data)))
    r = fail_at (err, HV_E_FAILED_PRECONDITION, "data", "it is immutable; delete it first");
  return r;
}

static int
check_config_map (struct vmi *vmi, const struct vmi_object *o, const struct vmi_item *it, struct hv_err *err)
{
  struct vmi_config_map *old = hv_alloc (vmi->host, sizeof *old);
  const struct vmi_config_map *new = &o->config_map;
  if (old == NULL)
    return vmi_no_memory (err);
  int r = vmi->host->api->decode (vmi->host, &vmi_config_map_record, vmi_bytes_bin (&it->object), HV_DECODE_OPEN, old, err);
  if (r == 0 && old->immutable
      && (!new->immutable || !same_map (&old->data, &new->data) || !same_map (&old->binaryData, &new->binaryData)))
    r = fail_at (err, HV_E_FAILED_PRECONDITION, "data", "it is immutable; delete it first");
  return r;
}

int
vmi_item_check (struct vmi *vmi, const struct vmi_object *o, uint64_t *ret_bytes, struct hv_err *err)
{
  const struct vmi_item *it = vmi_item_find (vmi, o->kind, o->namespace_, o->name);
  if (o->kind == VMI_KIND_CLAIM)
    return check_claim (vmi, o, ret_bytes, err);
  if (it == NULL)
    return 0;
  return o->kind == VMI_KIND_SECRET ? check_secret (vmi, o, it, err) : check_config_map (vmi, o, it, err);
}

/* --- apply --- */

static int
encode (struct vmi *vmi, const struct vmi_object *o, struct hv_bin *ret, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  return o->kind == VMI_KIND_CLAIM    ? h->api->encode (h, &vmi_claim_object_record, &o->claim, ret, err)
         : o->kind == VMI_KIND_SECRET ? h->api->encode (h, &vmi_secret_record, &o->secret, ret, err)
                                      : h->api->encode (h, &vmi_config_map_record, &o->config_map, ret, err);
}

/* A claim's file that is there already is somebody's; one that is not will be made by us, for this claim. */
static int
create (struct vmi *vmi, const struct vmi_object *o, uint64_t bytes, struct hv_bin object, struct hv_err *err)
{
  HV_CLEAN (vmi_item) struct vmi_item *it = vmi_item_new (vmi, o->kind, o->namespace_, o->name, err);
  int exists = 0, r = it != NULL ? vmi_uuid_random (it->uid, err) : HV_E_RESOURCE_EXHAUSTED;
  if (r == 0 && o->kind == VMI_KIND_CLAIM)
    r = vmi_volumes_exists (vmi, vmi_claim_path (vmi->host, vmi->state_dir, o->namespace_, o->name), &exists, err);
  if (r < 0)
    return r;
  it->bytes = bytes;
  it->made = o->kind == VMI_KIND_CLAIM && !exists;
  if (vmi_bytes_set (&it->object, object) < 0)
    return vmi_no_memory (err);
  r = vmi_item_save (vmi, it, err);
  if (r == 0)
    r = vmi_item_add (vmi, it, err);
  if (r == 0)
    it = NULL; /* the list has it */
  return r;
}

/* What was kept in memory is put back if it cannot be written down. */
static int
change (struct vmi *vmi, struct vmi_item *it, struct hv_bin object, struct hv_err *err)
{
  struct vmi_bytes old = it->object;
  it->object = (struct vmi_bytes){ NULL, 0 };
  int r = vmi_bytes_set (&it->object, object) < 0 ? vmi_no_memory (err) : vmi_item_save (vmi, it, err);
  if (r < 0) {
    vmi_bytes_clear (&it->object);
    it->object = old;
    return r;
  }
  vmi_bytes_clear (&old);
  return 0;
}

int
vmi_item_apply (struct vmi *vmi, const struct vmi_object *o, int dry_run, uint32_t *ret, struct hv_err *err)
{
  struct vmi_item *it = vmi_item_find (vmi, o->kind, o->namespace_, o->name);
  uint64_t bytes = 0;
  struct hv_bin object;
  int r = vmi_item_check (vmi, o, &bytes, err);
  if (r == 0)
    r = encode (vmi, o, &object, err);
  if (r < 0)
    return r;
  int same = it != NULL && it->object.size == object.size && memcmp (it->object.data, object.data, object.size) == 0;
  *ret = it == NULL ? VMI_CREATED : same ? VMI_UNCHANGED : VMI_CONFIGURED;
  if (dry_run || same)
    return 0;
  return it == NULL ? create (vmi, o, bytes, object, err) : change (vmi, it, object, err);
}
