/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* struct → msgpack: what is present, and what is required. Text always leaves as valid UTF-8, wherever it came from. */
#include "core/msg/text.h"
#include "core/schema/private.h"

static int encode_record (const struct hv_record *, const void *in, struct hv_pack *, const struct hv_place *, struct hv_err *);

#define FAIL(f, at, err, ...) hv_place_fail ((at), (f)->name, HV_E_INTERNAL, (err), __VA_ARGS__)

/* Bytes that are not UTF-8 (a file name, a word of a foreign program) become U+FFFD: one of them must not fail a whole list. */
static void
pack_clean (struct hv_pack *p, const uint8_t *s, uint64_t n)
{
  struct hv_pack clean = { 0 };
  for (uint64_t i = 0; i < n;) {
    uint64_t good = hv_utf8_check (s + i, n - i);
    hv_pack_raw (&clean, s + i, good);
    i += good;
    if (i < n) {
      hv_pack_raw (&clean, "\xef\xbf\xbd", 3);
      i++;
    }
  }
  hv_pack_strn (p, (const char *) clean.data, clean.size);
  p->failed |= clean.failed;
  hv_pack_clear (&clean);
}

static void
pack_text (struct hv_pack *p, const char *s)
{
  uint64_t n = strlen (s);
  if (hv_utf8_check ((const uint8_t *) s, n) == n)
    hv_pack_strn (p, s, n);
  else
    pack_clean (p, (const uint8_t *) s, n);
}

static int
encode_text (const struct hv_field *f, const char *s, struct hv_pack *p, const struct hv_place *at, struct hv_err *err)
{
  if (s == NULL)
    return FAIL (f, at, err, "a required text is NULL");
  pack_text (p, s);
  return 0;
}

static int
encode_bytes (const struct hv_field *f, const struct hv_bin *b, struct hv_pack *p, const struct hv_place *at, struct hv_err *err)
{
  if (b->data == NULL && b->size > 0)
    return FAIL (f, at, err, "bytes are NULL");
  hv_pack_bin (p, b->data, b->size);
  return 0;
}

static int
encode_word (const struct hv_field *f, uint32_t v, struct hv_pack *p, const struct hv_place *at, struct hv_err *err)
{
  uint32_t n = 0;
  while (f->words[n] != NULL)
    n++;
  if (v >= n)
    return FAIL (f, at, err, "%u is not the index of one of its %u words", v, n);
  hv_pack_str (p, f->words[v]);
  return 0;
}

static int
encode_texts (const struct hv_field *f, const struct hv_strs *list, struct hv_pack *p, const struct hv_place *at,
              struct hv_err *err)
{
  hv_pack_array (p, list->count);
  for (uint32_t i = 0; i < list->count; i++) {
    if (list->items == NULL || list->items[i] == NULL)
      return FAIL (f, at, err, "item %u is NULL", i);
    pack_text (p, list->items[i]);
  }
  return 0;
}

static int
encode_pairs (const struct hv_field *f, const struct hv_map *map, struct hv_pack *p, const struct hv_place *at, struct hv_err *err)
{
  hv_pack_map (p, map->count);
  for (uint32_t i = 0; i < map->count; i++) {
    if (map->items == NULL || map->items[i].key == NULL || map->items[i].value == NULL)
      return FAIL (f, at, err, "pair %u is NULL", i);
    pack_text (p, map->items[i].key);
    pack_text (p, map->items[i].value);
  }
  return 0;
}

static int
encode_records (const struct hv_field *f, const struct hv_field_list *list, struct hv_pack *p, const struct hv_place *up,
                struct hv_err *err)
{
  int r = 0;
  if (list->items == NULL && list->count > 0)
    return FAIL (f, up, err, "items are NULL");
  hv_pack_array (p, list->count);
  for (uint32_t i = 0; i < list->count && r == 0; i++) {
    struct hv_place at = { up, f->name, i, 1 };
    r = encode_record (f->record, (const uint8_t *) list->items + (uint64_t) i * f->item_size, p, &at, err);
  }
  return r;
}

static int
encode_nested (const struct hv_field *f, const void *in, struct hv_pack *p, const struct hv_place *up, struct hv_err *err)
{
  struct hv_place at = { up, f->name, 0, 0 };
  return encode_record (f->record, in, p, &at, err);
}

static void
encode_any (const struct hv_bin *b, struct hv_pack *p)
{
  if (b->size == 0)
    hv_pack_nil (p);
  else
    hv_pack_raw (p, b->data, b->size);
}

static int
encode_value (const struct hv_field *f, const void *in, struct hv_pack *p, const struct hv_place *at, struct hv_err *err)
{
  switch (f->type) {
  case HV_T_BOOL:
    hv_pack_bool (p, *(const uint8_t *) in != 0);
    return 0;
  case HV_T_I64:
    hv_pack_i64 (p, *(const int64_t *) in);
    return 0;
  case HV_T_U32:
    hv_pack_u64 (p, *(const uint32_t *) in);
    return 0;
  case HV_T_U64:
    hv_pack_u64 (p, *(const uint64_t *) in);
    return 0;
  case HV_T_F64:
    hv_pack_f64 (p, *(const double *) in);
    return 0;
  case HV_T_ANY:
    encode_any (in, p);
    return 0;
  case HV_T_STR:
    return encode_text (f, *(const char *const *) in, p, at, err);
  case HV_T_BIN:
    return encode_bytes (f, in, p, at, err);
  case HV_T_ENUM:
    return encode_word (f, *(const uint32_t *) in, p, at, err);
  case HV_T_REC:
    return encode_nested (f, in, p, at, err);
  case HV_T_RECS:
    return encode_records (f, in, p, at, err);
  case HV_T_STRS:
    return encode_texts (f, in, p, at, err);
  case HV_T_MAP:
    return encode_pairs (f, in, p, at, err);
  default:
    return hv_place_fail (at, f->name, HV_E_UNIMPLEMENTED, err, "a descriptor cannot travel in this message");
  }
}

/* Present, or required. An optional text that was set to NULL counts as absent, so that HV_SET needs no condition. */
static int
is_written (const struct hv_field *f, const void *in)
{
  const uint8_t *base = in;
  if (f->flags & (HV_REQUIRED | HV_IGNORED))
    return !(f->flags & HV_IGNORED);
  if (base[f->has_offset] == 0)
    return 0;
  if (f->type == HV_T_STR)
    return *(const char *const *) (const void *) (base + f->offset) != NULL;
  return f->type != HV_T_ANY || ((const struct hv_bin *) (const void *) (base + f->offset))->size > 0;
}

static int
encode_record (const struct hv_record *rec, const void *in, struct hv_pack *p, const struct hv_place *at, struct hv_err *err)
{
  struct hv_field room;
  uint32_t n = 0;
  int r = 0;
  for (const struct hv_field *const *f = rec->fields; *f != NULL; f++)
    n += is_written (*f, in) ? 1 : 0;
  hv_pack_map (p, n);
  for (const struct hv_field *const *i = rec->fields; *i != NULL && r == 0; i++) {
    const struct hv_field *f = hv_field_get (*i, &room);
    if (!is_written (f, in))
      continue;
    hv_pack_str (p, f->name);
    r = encode_value (f, (const uint8_t *) in + f->offset, p, at, err);
  }
  return r;
}

int
hv_record_encode (const struct hv_record *rec, const void *in, struct hv_pack *p, struct hv_err *err)
{
  int r = encode_record (rec, in, p, NULL, err);
  return r == 0 && p->failed ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: out of memory", rec->name) : r;
}
