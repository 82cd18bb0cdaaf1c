/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* msgpack → struct. Everything that a handler relies on is checked here, and what is wrong is said with its path. */
#include "core/msg/text.h"
#include "core/schema/private.h"
#include <inttypes.h>
#include <stdio.h>

/* What stays the same through one document. */
struct decode {
  const struct hv_decode *how;
  struct hv_read *r;
  struct hv_err *err;
  uint64_t memory_max; /* of the arena's used_total */
};

/* One record of it. */
struct scope {
  struct decode *d;
  const struct hv_record *rec;
  void *out;
  const struct hv_place *at;
  uint32_t depth, next; /* next: where the following key probably is, since writers keep the table's order */
  uint64_t seen[HV_RECORD_FIELDS_MAX / 64];
};

static int decode_record (struct decode *, const struct hv_record *, void *out, const struct hv_place *, uint32_t depth);

#define FAIL(s, f, ...) hv_place_fail ((s)->at, (f)->name, HV_E_INVALID_ARGUMENT, (s)->d->err, __VA_ARGS__)

static const char *
type_text (const struct hv_value *v)
{
  static const char *const texts[]
      = { "?", "nil", "true or false", "a number", "a number", "a number", "text", "bytes", "a list", "a map", "an extension" };
  if (v->type == HV_MP_F64)
    return "a number with a fraction";
  return v->type < sizeof texts / sizeof *texts ? texts[v->type] : texts[0];
}

static int
wrong_type (const struct scope *s, const struct hv_field *f, const char *wanted, const struct hv_value *v)
{
  return FAIL (s, f, "must be %s, not %s", wanted, type_text (v));
}

static int
cut_short (const struct scope *s, const struct hv_field *f)
{
  return FAIL (s, f, "is cut short");
}

/* Small items may declare large structs: what one message can make us allocate is bounded. NULL: the error is set. */
static void *
take (const struct scope *s, const struct hv_field *f, uint64_t count, uint64_t size)
{
  struct hv_arena *a = s->d->how->arena;
  uint64_t bytes, end;
  if (__builtin_mul_overflow (count, size, &bytes) || __builtin_add_overflow (a->used_total, bytes, &end)
      || end > s->d->memory_max) {
    (void) hv_place_fail (s->at, f->name, HV_E_RESOURCE_EXHAUSTED, s->d->err, "decoding needs more than %u MiB",
                          HV_DECODE_BYTES_MAX >> 20);
    return NULL;
  }
  void *p = hv_arena_alloc (a, bytes);
  if (p == NULL)
    (void) hv_place_fail (s->at, f->name, HV_E_RESOURCE_EXHAUSTED, s->d->err, "out of memory");
  return p;
}

/* --- numbers --- */

static int
decode_unsigned (const struct scope *s, const struct hv_field *f, const struct hv_value *v, uint64_t *ret)
{
  if (v->type == HV_MP_UINT) {
    *ret = v->as.u;
    return hv_check_unsigned (f, s->at, v->as.u, s->d->err);
  }
  if (v->type != HV_MP_INT)
    return wrong_type (s, f, "a whole number", v);
  char text[24];
  (void) snprintf (text, sizeof text, "%" PRId64, v->as.i);
  return hv_check_range_fail (f, s->at, text, s->d->err);
}

static int
decode_u32 (const struct scope *s, const struct hv_field *f, const struct hv_value *v, uint32_t *ret)
{
  uint64_t n = 0;
  int r = decode_unsigned (s, f, v, &n);
  if (r == 0)
    *ret = (uint32_t) n;
  return r;
}

static int
decode_i64 (const struct scope *s, const struct hv_field *f, const struct hv_value *v, int64_t *ret)
{
  if (v->type == HV_MP_UINT && v->as.u > INT64_MAX) {
    char text[24];
    (void) snprintf (text, sizeof text, "%" PRIu64, v->as.u);
    return FAIL (s, f, "%s is out of range (at most %" PRId64 ")", text, INT64_MAX);
  }
  if (v->type != HV_MP_UINT && v->type != HV_MP_INT)
    return wrong_type (s, f, "a whole number", v);
  *ret = v->type == HV_MP_UINT ? (int64_t) v->as.u : v->as.i;
  return hv_check_signed (f, s->at, *ret, s->d->err);
}

static int
decode_f64 (const struct scope *s, const struct hv_field *f, const struct hv_value *v, double *ret)
{
  switch (v->type) {
  case HV_MP_F64:
    *ret = v->as.f;
    break;
  case HV_MP_UINT:
    *ret = (double) v->as.u;
    break;
  case HV_MP_INT:
    *ret = (double) v->as.i;
    break;
  default:
    return wrong_type (s, f, "a number", v);
  }
  return hv_check_f64 (f, s->at, *ret, s->d->err);
}

static int
decode_bool (const struct scope *s, const struct hv_field *f, const struct hv_value *v, uint8_t *ret)
{
  if (v->type != HV_MP_BOOL)
    return wrong_type (s, f, "true or false", v);
  *ret = v->as.u != 0;
  return 0;
}

static int
decode_fd (const struct scope *s, const struct hv_field *f, const struct hv_value *v, int32_t *ret)
{
  if (v->type != HV_MP_UINT)
    return wrong_type (s, f, "the index of a descriptor", v);
  if (v->as.u >= s->d->how->fd_count)
    return FAIL (s, f, "descriptor %" PRIu64 " did not come with the message", v->as.u);
  *ret = s->d->how->fds[v->as.u];
  return 0;
}

/* --- text --- */

/* The text of a value: STR, or with HV_SCALAR a number or boolean as it would be written. NULL: it is something else. */
static const void *
text_of (const struct hv_field *f, const struct hv_value *v, char room[HV_F64_TEXT], uint64_t *ret_size)
{
  if (v->type == HV_MP_STR) {
    *ret_size = v->size;
    return v->as.data;
  }
  if (!(f->flags & HV_SCALAR))
    return NULL;
  switch (v->type) {
  case HV_MP_UINT:
    (void) snprintf (room, HV_F64_TEXT, "%" PRIu64, v->as.u);
    break;
  case HV_MP_INT:
    (void) snprintf (room, HV_F64_TEXT, "%" PRId64, v->as.i);
    break;
  case HV_MP_F64:
    (void) hv_f64_text (v->as.f, room);
    break;
  case HV_MP_BOOL:
    (void) snprintf (room, HV_F64_TEXT, "%s", v->as.u != 0 ? "true" : "false");
    break;
  default:
    return NULL;
  }
  *ret_size = strlen (room);
  return room;
}

static int
decode_text (const struct scope *s, const struct hv_field *f, const struct hv_value *v, const char **ret)
{
  char room[HV_F64_TEXT];
  uint64_t n = 0;
  const void *text = text_of (f, v, room, &n);
  if (text == NULL)
    return wrong_type (s, f, "text", v);
  char *copy = take (s, f, n + 1, 1);
  if (copy == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  memcpy (copy, text, n);
  int r = hv_check_text (f, s->at, copy, n, s->d->err);
  if (r == 0)
    *ret = copy;
  return r;
}

/* Bytes, or the bytes of a text: clients whose language has one string type send that. They stay where they are. */
static int
decode_bytes (const struct scope *s, const struct hv_field *f, const struct hv_value *v, struct hv_bin *ret)
{
  if (v->type != HV_MP_BIN && v->type != HV_MP_STR)
    return wrong_type (s, f, "bytes", v);
  *ret = (struct hv_bin){ v->as.data, v->size };
  return hv_check_bytes (f, s->at, v->size, s->d->err);
}

static int
decode_word (const struct scope *s, const struct hv_field *f, const struct hv_value *v, uint32_t *ret)
{
  if (v->type != HV_MP_STR)
    return wrong_type (s, f, "text", v);
  int i = hv_word_index (f->words, v->as.data, v->size);
  if (i < 0)
    return hv_check_word_fail (f, s->at, v->as.data, v->size, s->d->err);
  *ret = (uint32_t) i;
  return 0;
}

/* --- lists and maps --- */

static int
check_count (const struct scope *s, const struct hv_field *f, uint32_t n, uint32_t most)
{
  uint64_t max = f->max != 0 ? f->max : most;
  if (n > max)
    return FAIL (s, f, "has %u items, at most %" PRIu64 " are allowed", n, max);
  return n < f->umin ? FAIL (s, f, "has %u items, at least %" PRIu64 " are needed", n, f->umin) : 0;
}

static int
decode_texts (const struct scope *s, const struct hv_field *f, const struct hv_value *list, struct hv_strs *ret)
{
  if (list->type != HV_MP_ARRAY)
    return wrong_type (s, f, "a list of texts", list);
  int r = check_count (s, f, list->size, HV_LIST_ITEMS_MAX);
  const char **items = r == 0 ? take (s, f, list->size, sizeof *items) : NULL;
  if (items == NULL)
    return r < 0 ? r : HV_E_RESOURCE_EXHAUSTED;
  struct hv_field item = { .struct_size = sizeof item, .type = HV_T_STR, .flags = f->flags, .pattern = f->pattern };
  for (uint32_t i = 0; i < list->size && r == 0; i++) {
    struct hv_place at = { s->at, f->name, i, 1 };
    struct scope inner = { .d = s->d, .at = &at };
    struct hv_value v;
    r = hv_read_next (s->d->r, &v) ? decode_text (&inner, &item, &v, &items[i]) : cut_short (&inner, &item);
  }
  *ret = (struct hv_strs){ items, list->size };
  return r;
}

static int
decode_pair (const struct scope *s, const struct hv_field *f, struct hv_pair *ret)
{
  struct hv_field text = { .struct_size = sizeof text, .type = HV_T_STR, .name = f->name };
  struct hv_value v;
  if (!hv_read_next (s->d->r, &v))
    return cut_short (s, f);
  if (v.type != HV_MP_STR)
    return FAIL (s, f, "its keys must be text, not %s", type_text (&v));
  int r = decode_text (s, &text, &v, &ret->key);
  if (r < 0)
    return r;
  struct hv_place at = { s->at, f->name, 0, 0 };
  struct scope inner = { .d = s->d, .at = &at };
  text.name = ret->key;
  text.flags = f->flags & (HV_SCALAR | HV_SECRET);
  return hv_read_next (s->d->r, &v) ? decode_text (&inner, &text, &v, &ret->value) : cut_short (&inner, &text);
}

static int
decode_pairs (const struct scope *s, const struct hv_field *f, const struct hv_value *map, struct hv_map *ret)
{
  char room[HV_QUOTE_TEXT];
  if (map->type != HV_MP_MAP)
    return wrong_type (s, f, "a map of texts", map);
  int r = check_count (s, f, map->size, HV_MAP_PAIRS_MAX);
  struct hv_pair *items = r == 0 ? take (s, f, map->size, sizeof *items) : NULL;
  if (items == NULL)
    return r < 0 ? r : HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < map->size && r == 0; i++) {
    r = decode_pair (s, f, &items[i]);
    for (uint32_t k = 0; k < i && r == 0; k++)
      if (strcmp (items[k].key, items[i].key) == 0)
        r = FAIL (s, f, "has the key %s twice", hv_quote_text (items[i].key, strlen (items[i].key), room));
  }
  *ret = (struct hv_map){ items, map->size };
  return r;
}

static int
decode_records (const struct scope *s, const struct hv_field *f, const struct hv_value *list, struct hv_field_list *ret)
{
  if (list->type != HV_MP_ARRAY)
    return wrong_type (s, f, "a list of maps", list);
  int r = check_count (s, f, list->size, HV_LIST_ITEMS_MAX);
  uint8_t *items = r == 0 ? take (s, f, list->size, f->item_size) : NULL;
  if (items == NULL)
    return r < 0 ? r : HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < list->size && r == 0; i++) {
    struct hv_place at = { s->at, f->name, i, 1 };
    r = decode_record (s->d, f->record, items + (uint64_t) i * f->item_size, &at, s->depth + 1);
  }
  *ret = (struct hv_field_list){ items, list->size };
  return r;
}

static int
decode_nested (const struct scope *s, const struct hv_field *f, void *out)
{
  struct hv_place at = { s->at, f->name, 0, 0 };
  return decode_record (s->d, f->record, out, &at, s->depth + 1);
}

/* --- one field --- */

static int
decode_head (const struct scope *s, const struct hv_field *f, void *out)
{
  struct hv_value v;
  if (!hv_read_next (s->d->r, &v))
    return cut_short (s, f);
  switch (f->type) {
  case HV_T_BOOL:
    return decode_bool (s, f, &v, out);
  case HV_T_I64:
    return decode_i64 (s, f, &v, out);
  case HV_T_U32:
    return decode_u32 (s, f, &v, out);
  case HV_T_U64:
    return decode_unsigned (s, f, &v, out);
  case HV_T_F64:
    return decode_f64 (s, f, &v, out);
  case HV_T_STR:
    return decode_text (s, f, &v, out);
  case HV_T_BIN:
    return decode_bytes (s, f, &v, out);
  case HV_T_ENUM:
    return decode_word (s, f, &v, out);
  case HV_T_STRS:
    return decode_texts (s, f, &v, out);
  case HV_T_MAP:
    return decode_pairs (s, f, &v, out);
  case HV_T_RECS:
    return decode_records (s, f, &v, out);
  case HV_T_FD:
    return decode_fd (s, f, &v, out);
  default:
    return hv_place_fail (s->at, f->name, HV_E_INTERNAL, s->d->err, "type %u is not known to this core", f->type);
  }
}

static int
absent (const struct scope *s, const struct hv_field *f)
{
  if ((f->flags & (HV_REQUIRED | HV_IGNORED)) == HV_REQUIRED)
    return FAIL (s, f, "required");
  return hv_field_default (f, s->out, s->d->err);
}

static int
decode_field (const struct scope *s, const struct hv_field *f)
{
  struct hv_read *r = s->d->r;
  void *out = hv_field_at (s->out, f->offset);
  int rc = 0;
  if (f->flags & HV_IGNORED) {
    (void) hv_read_skip (r);
    return absent (s, f);
  }
  if ((f->flags & HV_NULLABLE) && r->at < r->end && *r->at == 0xc0) {
    r->at++;
    return absent (s, f);
  }
  if (f->type == HV_T_REC)
    rc = decode_nested (s, f, out);
  else if (f->type == HV_T_ANY)
    *(struct hv_bin *) out = hv_read_skip (r);
  else
    rc = decode_head (s, f, out);
  if (rc == 0)
    *(uint8_t *) hv_field_at (s->out, f->has_offset) = 1;
  return rc;
}

/* --- one record --- */

static int
name_is (const char *name, const struct hv_value *key)
{
  for (uint32_t i = 0; i < key->size; i++)
    if (name[i] == '\0' || name[i] != (char) key->as.data[i])
      return 0;
  return name[key->size] == '\0';
}

static int
find_field (struct scope *s, const struct hv_value *key, uint32_t *ret_index)
{
  const struct hv_field *const *fields = s->rec->fields;
  uint32_t i = s->next;
  for (; fields[i] != NULL; i++)
    if (name_is (fields[i]->name, key))
      goto found;
  for (i = 0; i < s->next; i++)
    if (name_is (fields[i]->name, key))
      goto found;
  return 0;
found:
  s->next = i + 1;
  *ret_index = i;
  return i < HV_RECORD_FIELDS_MAX;
}

static int
unknown_key (const struct scope *s, const struct hv_value *key)
{
  const char *names[HV_RECORD_FIELDS_MAX + 1];
  char path[HV_PLACE_TEXT], word[HV_QUOTE_TEXT];
  uint32_t n = 0;
  for (; s->rec->fields[n] != NULL && n < HV_RECORD_FIELDS_MAX; n++)
    names[n] = s->rec->fields[n]->name;
  names[n] = NULL;
  const char *near = hv_nearest ((const char *) key->as.data, key->size, names);
  hv_place_text (s->at, NULL, path);
  (void) hv_quote_text (key->as.data, key->size, word);
  (void) hv_err_set (s->d->err, HV_E_INVALID_ARGUMENT, "unknown key %s in %s%s%s%s", word, path[0] != '\0' ? path : s->rec->name,
                     near != NULL ? ", did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "");
  word[strlen (word) - 1] = '\0';
  hv_place_text (s->at, word + 1, path);
  hv_err_data (s->d->err, "path", path);
  return HV_E_INVALID_ARGUMENT;
}

/* A key that no field has: reserved arguments and what an open reader does not know are stepped over. */
static int
other_key (const struct scope *s, const struct hv_value *key)
{
  int reserved = s->depth == 0 && key->size > 0 && key->as.data[0] == '_';
  if (!reserved && !(s->d->how->flags & HV_DECODE_OPEN))
    return unknown_key (s, key);
  (void) hv_read_skip (s->d->r);
  return 0;
}

static int
decode_entry (struct scope *s)
{
  struct hv_read *r = s->d->r, key_start = *r;
  struct hv_field room;
  struct hv_value key;
  uint32_t i = 0;
  if (!hv_read_next (r, &key))
    return hv_place_fail (s->at, NULL, HV_E_INVALID_ARGUMENT, s->d->err, "is cut short");
  if (key.type != HV_MP_STR) {
    if (!(s->d->how->flags & HV_DECODE_OPEN))
      return hv_place_fail (s->at, NULL, HV_E_INVALID_ARGUMENT, s->d->err, "keys must be text, not %s", type_text (&key));
    *r = key_start;
    (void) hv_read_skip (r);
    (void) hv_read_skip (r);
    return 0;
  }
  if (!find_field (s, &key, &i))
    return other_key (s, &key);
  const struct hv_field *f = hv_field_get (s->rec->fields[i], &room);
  uint64_t bit = UINT64_C (1) << (i % 64);
  if (s->seen[i / 64] & bit)
    return FAIL (s, f, "is there twice");
  s->seen[i / 64] |= bit;
  return decode_field (s, f);
}

static int
finish (const struct scope *s)
{
  struct hv_field room;
  int r = 0;
  for (uint32_t i = 0; s->rec->fields[i] != NULL && r == 0; i++)
    if (i >= HV_RECORD_FIELDS_MAX || !(s->seen[i / 64] & UINT64_C (1) << (i % 64)))
      r = absent (s, hv_field_get (s->rec->fields[i], &room));
  return r;
}

static int
decode_record (struct decode *d, const struct hv_record *rec, void *out, const struct hv_place *at, uint32_t depth)
{
  struct scope s = { .d = d, .rec = rec, .out = out, .at = at, .depth = depth };
  struct hv_value map;
  int r = 0;
  if (depth > HV_RECORD_DEPTH_MAX)
    return hv_place_fail (at, NULL, HV_E_INVALID_ARGUMENT, d->err, "records are nested deeper than %u", HV_RECORD_DEPTH_MAX);
  if (!hv_read_next (d->r, &map))
    return hv_place_fail (at, NULL, HV_E_INVALID_ARGUMENT, d->err, "is cut short");
  if (map.type != HV_MP_MAP)
    return hv_place_fail (at, NULL, HV_E_INVALID_ARGUMENT, d->err, "must be a map, not %s", type_text (&map));
  for (uint32_t i = 0; i < map.size && r == 0; i++)
    r = decode_entry (&s);
  return r < 0 ? r : finish (&s);
}

int
hv_record_decode (const struct hv_record *rec, struct hv_bin map, const struct hv_decode *how, void *out, struct hv_err *err)
{
  struct hv_read r = { map.data, map.data + map.size };
  struct decode d = { how, &r, err, UINT64_MAX };
  (void) __builtin_add_overflow (how->arena->used_total, (uint64_t) HV_DECODE_BYTES_MAX, &d.memory_max);
  if (map.size == 0) /* no arguments at all */
    return finish (&(struct scope){ .d = &d, .rec = rec, .out = out });
  return decode_record (&d, rec, out, NULL, 0);
}
