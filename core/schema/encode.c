/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* struct → msgpack: what is present, and what is required. */
#include "core/schema/private.h"

static int encode_map (const struct hv_record *, const void *in, struct hv_pack *, const struct place *, struct hv_err *);

struct list { /* what HV_C_RECS makes */
  const uint8_t *items;
  uint32_t count;
};

static int
encode_records (const struct hv_field *f, const struct list *l, struct hv_pack *p, const struct place *up, struct hv_err *err)
{
  hv_pack_array (p, l->count);
  for (uint32_t i = 0; i < l->count; i++) {
    struct place item = { up, NULL, i };
    int r = encode_map (f->record, l->items + (uint64_t) i * f->item_size, p, &item, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int
encode_texts (const struct hv_strs *s, struct hv_pack *p, const struct place *up, struct hv_err *err)
{
  hv_pack_array (p, s->count);
  for (uint32_t i = 0; i < s->count; i++) {
    if (s->items[i] == NULL)
      return place_error (up, err, HV_E_INTERNAL, "item %u is NULL", i);
    hv_pack_str (p, s->items[i]);
  }
  return 0;
}

static void
encode_pairs (const struct hv_map *m, struct hv_pack *p)
{
  hv_pack_map (p, m->count);
  for (uint32_t i = 0; i < m->count; i++) {
    hv_pack_str (p, m->items[i].key);
    hv_pack_str (p, m->items[i].value);
  }
}

static int
encode_word (const struct hv_field *f, uint32_t v, struct hv_pack *p, const struct place *up, struct hv_err *err)
{
  uint32_t n = 0;
  while (f->words[n] != NULL)
    n++;
  if (v >= n)
    return place_error (up, err, HV_E_INTERNAL, "%u is not one of its %u words", v, n);
  hv_pack_str (p, f->words[v]);
  return 0;
}

static int
encode_any (const struct hv_bin *b, struct hv_pack *p)
{
  if (b->size == 0)
    hv_pack_nil (p);
  else
    hv_pack_raw (p, b->data, b->size);
  return 0;
}

static int
encode_value (const struct hv_field *f, const void *at, struct hv_pack *p, const struct place *up, struct hv_err *err)
{
  switch (f->type) {
  case HV_T_BOOL: hv_pack_bool (p, *(const uint8_t *) at); return 0;
  case HV_T_I64: hv_pack_i64 (p, *(const int64_t *) at); return 0;
  case HV_T_U32: hv_pack_u64 (p, *(const uint32_t *) at); return 0;
  case HV_T_U64: hv_pack_u64 (p, *(const uint64_t *) at); return 0;
  case HV_T_F64: hv_pack_f64 (p, *(const double *) at); return 0;
  case HV_T_BIN: hv_pack_bin (p, ((const struct hv_bin *) at)->data, ((const struct hv_bin *) at)->size); return 0;
  case HV_T_ANY: return encode_any (at, p);
  case HV_T_ENUM: return encode_word (f, *(const uint32_t *) at, p, up, err);
  case HV_T_REC: return encode_map (f->record, at, p, up, err);
  case HV_T_RECS: return encode_records (f, at, p, up, err);
  case HV_T_STRS: return encode_texts (at, p, up, err);
  case HV_T_MAP: encode_pairs (at, p); return 0;
  case HV_T_STR:
    if (*(const char *const *) at == NULL)
      return place_error (up, err, HV_E_INTERNAL, "a required text is NULL");
    hv_pack_str (p, *(const char *const *) at);
    return 0;
  default: return place_error (up, err, HV_E_UNIMPLEMENTED, "descriptors do not travel in this message");
  }
}

static int
is_written (const struct hv_field *f, const void *in)
{
  return (f->flags & HV_REQUIRED) || ((const uint8_t *) in)[f->has_offset];
}

static int
encode_map (const struct hv_record *rec, const void *in, struct hv_pack *p, const struct place *up, struct hv_err *err)
{
  uint32_t n = 0;
  for (const struct hv_field *const *f = rec->fields; *f != NULL; f++)
    n += is_written (*f, in) ? 1 : 0;
  hv_pack_map (p, n);
  for (const struct hv_field *const *f = rec->fields; *f != NULL; f++) {
    struct place here = { up, (*f)->name, 0 };
    if (!is_written (*f, in))
      continue;
    hv_pack_str (p, (*f)->name);
    int r = encode_value (*f, (const uint8_t *) in + (*f)->offset, p, &here, err);
    if (r < 0)
      return r;
  }
  return 0;
}

int
hv_record_encode (const struct hv_record *rec, const void *in, struct hv_pack *p, struct hv_err *err)
{
  int r = encode_map (rec, in, p, NULL, err);
  return r == 0 && p->failed ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : r;
}
