/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "data.h"
#include <ctype.h>
#include <hvkit/base64.h>
#include <jansson.h>
#include <string.h>

#define BYTES_MAX (1u << 20) /* of all values, Kubernetes' limit */

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- base64 --- */

int
vmi_base64_is_valid (const char *text)
{
  uint64_t n;
  return hv_base64_decode (text, NULL, &n);
}

int
vmi_base64_decode (struct hv_host *h, const char *text, struct hv_bin *ret, struct hv_err *err)
{
  uint64_t n = 0;
  uint8_t *bytes = hv_alloc (h, strlen (text) / 4 * 3 + 1);
  if (bytes == NULL)
    return no_memory (err);
  if (!hv_base64_decode (text, bytes, &n))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "it is not base64");
  *ret = (struct hv_bin){ bytes, n };
  return 0;
}

char *
vmi_base64_encode (struct hv_host *h, struct hv_bin bytes)
{
  char *text = bytes.size < BYTES_MAX * 2 ? hv_alloc (h, HV_BASE64_ENCODED (bytes.size)) : NULL;
  if (text != NULL)
    hv_base64_encode (bytes.data, bytes.size, text);
  return text;
}

/* --- what has to be true --- */

static int
fail (struct hv_err *err, const char *map, const char *key, const char *why)
{
  char path[320];
  (void) snprintf (path, sizeof path, "%s%s%.253s", map, key != NULL ? "." : "", key != NULL ? key : "");
  hv_err_set (err, HV_E_INVALID_ARGUMENT, "%s: %s", path, why);
  hv_err_data (err, "path", path);
  return HV_E_INVALID_ARGUMENT;
}

/* A key names a file. */
static int
check_key (const char *map, const char *key, struct hv_err *err)
{
  size_t n = strlen (key);
  int good = n >= 1 && n <= 253 && strcmp (key, ".") != 0 && strncmp (key, "..", 2) != 0;
  for (size_t i = 0; good && i < n; i++)
    good = isalnum ((unsigned char) key[i]) || strchr ("-_.", key[i]) != NULL;
  return good ? 0 : fail (err, map, key, "a key is letters, digits, '-', '_' and '.', and does not begin with '..'");
}

static int
check_map (const struct hv_map *map, const char *name, int base64, uint64_t *size, struct hv_err *err)
{
  int r = 0;
  for (uint32_t i = 0; i < map->count && r == 0; i++) {
    r = check_key (name, map->items[i].key, err);
    if (r == 0 && base64 && !vmi_base64_is_valid (map->items[i].value))
      r = fail (err, name, map->items[i].key, "it is not base64");
    *size += base64 ? strlen (map->items[i].value) / 4 * 3 : strlen (map->items[i].value);
  }
  return r == 0 && *size > BYTES_MAX ? fail (err, name, NULL, "more than 1Mi in all") : r;
}

/* stringData wins over data, as at an API server. */
static int
merge (struct hv_host *h, struct vmi_secret *s, struct hv_err *err)
{
  uint32_t n = 0;
  struct hv_pair *all = hv_alloc (h, (s->data.count + s->stringData.count + 1) * sizeof *all);
  if (all == NULL)
    return no_memory (err);
  for (uint32_t i = 0; i < s->data.count; i++)
    if (vmi_map_get (&s->stringData, s->data.items[i].key) == NULL)
      all[n++] = s->data.items[i];
  for (uint32_t i = 0; i < s->stringData.count; i++) {
    const struct hv_pair *p = &s->stringData.items[i];
    all[n] = (struct hv_pair){ p->key, vmi_base64_encode (h, (struct hv_bin){ (const uint8_t *) p->value, strlen (p->value) }) };
    if (all[n++].value == NULL)
      return no_memory (err);
  }
  if (n > VMI_DATA_MAX)
    return fail (err, "stringData", NULL, "more than 256 keys, with those of data");
  s->data = (struct hv_map){ all, n };
  s->has.data = n > 0;
  s->stringData = (struct hv_map){ NULL, 0 };
  s->has.stringData = 0;
  return 0;
}

static int
check_docker (struct hv_host *h, const struct vmi_secret *s, const char *key, struct hv_err *err)
{
  const char *text = vmi_map_get (&s->data, key);
  struct hv_bin bytes;
  if (text == NULL)
    return fail (err, "data", key, "required by the type of the Secret");
  int r = vmi_base64_decode (h, text, &bytes, err);
  json_t *json = r == 0 ? json_loadb ((const char *) bytes.data, bytes.size, JSON_REJECT_DUPLICATES, NULL) : NULL;
  int good = json_is_object (json);
  json_decref (json);
  return r == 0 && !good ? fail (err, "data", key, "it is not the JSON of a docker configuration") : r;
}

int
vmi_secret_settle (struct hv_host *h, struct vmi_secret *s, struct hv_err *err)
{
  uint64_t size = 0;
  int r = check_map (&s->data, "data", 1, &size, err);
  if (r == 0)
    r = check_map (&s->stringData, "stringData", 0, &size, err);
  if (r == 0)
    r = merge (h, s, err);
  if (!HV_HAS (s, type))
    HV_SET (s, type, VMI_SECRET_OPAQUE);
  if (r == 0 && strcmp (s->type, VMI_SECRET_DOCKER) == 0)
    r = check_docker (h, s, ".dockerconfigjson", err);
  if (r == 0 && strcmp (s->type, VMI_SECRET_DOCKER_OLD) == 0)
    r = check_docker (h, s, ".dockercfg", err);
  return r;
}

int
vmi_config_map_check (const struct vmi_config_map *c, struct hv_err *err)
{
  uint64_t size = 0;
  int r = check_map (&c->data, "data", 0, &size, err);
  if (r == 0)
    r = check_map (&c->binaryData, "binaryData", 1, &size, err);
  for (uint32_t i = 0; i < c->binaryData.count && r == 0; i++)
    if (vmi_map_get (&c->data, c->binaryData.items[i].key) != NULL)
      r = fail (err, "binaryData", c->binaryData.items[i].key, "data has this key too");
  return r;
}

/* --- values --- */

static int
add_values (struct hv_host *h, const struct hv_map *map, int base64, struct vmi_values *to, struct hv_err *err)
{
  int r = 0;
  for (uint32_t i = 0; i < map->count && r == 0; i++) {
    struct vmi_value *v = &to->items[to->count++];
    v->key = map->items[i].key;
    v->bytes = (struct hv_bin){ (const uint8_t *) map->items[i].value, strlen (map->items[i].value) };
    if (base64)
      r = vmi_base64_decode (h, map->items[i].value, &v->bytes, err);
  }
  return r;
}

int
vmi_secret_values (struct hv_host *h, const struct vmi_secret *s, struct vmi_values *ret, struct hv_err *err)
{
  *ret = (struct vmi_values){ hv_alloc (h, (s->data.count + 1) * sizeof *ret->items), 0 };
  return ret->items != NULL ? add_values (h, &s->data, 1, ret, err) : no_memory (err);
}

int
vmi_config_map_values (struct hv_host *h, const struct vmi_config_map *c, struct vmi_values *ret, struct hv_err *err)
{
  *ret = (struct vmi_values){ hv_alloc (h, (c->data.count + c->binaryData.count + 1) * sizeof *ret->items), 0 };
  if (ret->items == NULL)
    return no_memory (err);
  int r = add_values (h, &c->data, 0, ret, err);
  return r < 0 ? r : add_values (h, &c->binaryData, 1, ret, err);
}

const struct vmi_value *
vmi_value_find (const struct vmi_values *values, const char *key)
{
  for (uint32_t i = 0; i < values->count; i++)
    if (strcmp (values->items[i].key, key) == 0)
      return &values->items[i];
  return NULL;
}
