/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* msgpack → struct. Everything a handler or a manifest reader relies on is checked here, and said with its path. */
#include "core/schema/private.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int decode_map (const struct hv_record *, struct hv_read *, const struct hv_decode *, void *out, const struct place *, uint32_t depth,
                       struct hv_err *);

static const char *
type_word (uint32_t type)
{
  static const char *const words[] = { "", "nothing", "true or false", "a number", "a number", "a number", "text", "bytes", "a list", "a map", "an extension value" };
  return type < sizeof words / sizeof *words ? words[type] : "?";
}

static int
wrong (const struct place *p, struct hv_err *err, const struct hv_value *v, const char *wanted)
{
  return place_error (p, err, HV_E_INVALID_ARGUMENT, "%s is wanted, not %s", wanted, type_word (v->type));
}

int
utf8_valid (const uint8_t *s, uint64_t n)
{
  for (uint64_t i = 0; i < n;) {
    uint8_t c = s[i];
    unsigned len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (c == 0 || len == 0 || len > n - i)
      return 0;
    for (unsigned k = 1; k < len; k++)
      if ((s[i + k] & 0xc0) != 0x80)
        return 0;
    if ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] >= 0xa0) || (c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] >= 0x90))
      return 0;
    i += len;
  }
  return 1;
}

/* --- numbers --- */

static int
range_error (const struct hv_field *f, const struct place *p, struct hv_err *err)
{
  const char *unit = FIELD (f, unit);
  uint64_t max = FIELD (f, max);
  if (f->type == HV_T_I64)
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "%" PRId64 " to %" PRIu64 "%s%s is wanted", FIELD (f, min), max, unit ? " " : "", unit ? unit : "");
  if (max == 0)
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "at least %" PRIu64 "%s%s is wanted", FIELD (f, umin), unit ? " " : "", unit ? unit : "");
  return place_error (p, err, HV_E_INVALID_ARGUMENT, "%" PRIu64 " to %" PRIu64 "%s%s is wanted", FIELD (f, umin), max, unit ? " " : "", unit ? unit : "");
}

static int
decode_unsigned (const struct hv_field *f, const struct hv_value *v, void *at, const struct place *p, struct hv_err *err)
{
  uint64_t max = FIELD (f, max);
  if (v->type != HV_MP_UINT)
    return wrong (p, err, v, v->type == HV_MP_INT ? "a number from 0 up" : "a whole number");
  if (v->as.u < FIELD (f, umin) || (max != 0 && v->as.u > max))
    return range_error (f, p, err);
  if (f->type == HV_T_U64)
    *(uint64_t *) at = v->as.u;
  else if (v->as.u > UINT32_MAX)
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "0 to 4294967295 is wanted");
  else
    *(uint32_t *) at = (uint32_t) v->as.u;
  return 0;
}

static int
decode_signed (const struct hv_field *f, const struct hv_value *v, int64_t *at, const struct place *p, struct hv_err *err)
{
  if (v->type != HV_MP_INT && v->type != HV_MP_UINT)
    return wrong (p, err, v, "a whole number");
  if (v->type == HV_MP_UINT && v->as.u > INT64_MAX)
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "at most 9223372036854775807 is wanted");
  int64_t i = v->type == HV_MP_UINT ? (int64_t) v->as.u : v->as.i, min = FIELD (f, min);
  uint64_t max = FIELD (f, max);
  if ((min != 0 || max != 0) && (i < min || i > (int64_t) max))
    return range_error (f, p, err);
  *at = i;
  return 0;
}

static int
decode_float (const struct hv_field *f, const struct hv_value *v, double *at, const struct place *p, struct hv_err *err)
{
  double d = v->type == HV_MP_F64 ? v->as.f : v->type == HV_MP_UINT ? (double) v->as.u : v->type == HV_MP_INT ? (double) v->as.i : 0;
  if (v->type != HV_MP_F64 && v->type != HV_MP_UINT && v->type != HV_MP_INT)
    return wrong (p, err, v, "a number");
  if (d != d || d - d != 0)
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "a finite number is wanted");
  if (FIELD (f, max) != 0 && (d < (double) FIELD (f, umin) || d > (double) FIELD (f, max)))
    return range_error (f, p, err);
  *at = d;
  return 0;
}

/* --- text --- */

static int
copy_text (struct hv_arena *arena, const void *s, uint64_t n, const char **ret, const struct place *p, struct hv_err *err)
{
  char *copy = hv_arena_alloc (arena, n + 1);
  if (copy == NULL)
    return place_error (p, err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  memcpy (copy, s, n);
  *ret = copy;
  return 0;
}

static int
decode_scalar_text (const struct hv_value *v, struct hv_arena *arena, const char **ret, const struct place *p, struct hv_err *err)
{
  char text[40];
  int n = v->type == HV_MP_UINT   ? snprintf (text, sizeof text, "%" PRIu64, v->as.u)
          : v->type == HV_MP_INT  ? snprintf (text, sizeof text, "%" PRId64, v->as.i)
          : v->type == HV_MP_BOOL ? snprintf (text, sizeof text, "%s", v->as.u ? "true" : "false")
                                  : snprintf (text, sizeof text, "%.15g", v->as.f);
  return copy_text (arena, text, (uint64_t) n, ret, p, err);
}

static int
check_path (const char *s, const struct place *p, struct hv_err *err)
{
  if (s[0] != '/')
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "an absolute path is wanted, it begins with /");
  for (const char *c = s; (c = strstr (c, "/..")) != NULL; c += 3)
    if (c[3] == '/' || c[3] == '\0')
      return place_error (p, err, HV_E_INVALID_ARGUMENT, "a path without '..' is wanted");
  return 0;
}

static int
check_text (const struct hv_field *f, const char *s, uint64_t n, const struct place *p, struct hv_err *err)
{
  uint64_t umin = FIELD (f, umin), max = FIELD (f, max);
  const char *pattern = FIELD (f, pattern);
  if (n < umin || (max != 0 && n > max)) {
    if (n < umin && umin == 1)
      return place_error (p, err, HV_E_INVALID_ARGUMENT, "it is empty");
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "%" PRIu64 " to %" PRIu64 " bytes of text are wanted, it has %" PRIu64, umin, max, n);
  }
  if (!hv_pattern_match (pattern, s)) {
    if (strcmp (pattern, "uuid") == 0)
      return place_error (p, err, HV_E_INVALID_ARGUMENT, "'%.80s' is not a UUID", s);
    if (strcmp (pattern, "mac") == 0)
      return place_error (p, err, HV_E_INVALID_ARGUMENT, "'%.80s' is not a MAC address", s);
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "'%.80s' is not a name: small letters, digits and inner dashes, at most %d", s,
                        strcmp (pattern, "name") == 0 ? 63 : 253);
  }
  return (f->flags & HV_PATH) ? check_path (s, p, err) : 0;
}

static int
decode_text (const struct hv_field *f, const struct hv_value *v, const struct hv_decode *how, const char **at, const struct place *p,
             struct hv_err *err)
{
  const char *s = NULL;
  int scalar = (f->flags & HV_SCALAR) && (v->type == HV_MP_UINT || v->type == HV_MP_INT || v->type == HV_MP_F64 || v->type == HV_MP_BOOL);
  int r = 0;
  if (scalar)
    r = decode_scalar_text (v, how->arena, &s, p, err);
  else if (v->type != HV_MP_STR)
    return wrong (p, err, v, "text");
  else if (!utf8_valid (v->as.data, v->size))
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "UTF-8 text without NUL is wanted");
  else
    r = copy_text (how->arena, v->as.data, v->size, &s, p, err);
  if (r == 0)
    r = check_text (f, s, strlen (s), p, err);
  if (r == 0)
    *at = s;
  return r;
}

static int
decode_word (const struct hv_field *f, const struct hv_value *v, uint32_t *at, const struct place *p, struct hv_err *err)
{
  char all[256] = "";
  size_t n = 0;
  if (v->type != HV_MP_STR)
    return wrong (p, err, v, "text");
  for (uint32_t i = 0; f->words[i] != NULL; i++)
    if (strlen (f->words[i]) == v->size && memcmp (f->words[i], v->as.data, v->size) == 0) {
      *at = i;
      return 0;
    }
  for (uint32_t i = 0; f->words[i] != NULL && n < sizeof all - 1; i++)
    n += (size_t) snprintf (all + n, sizeof all - n, "%s%s", i > 0 ? ", " : "", f->words[i]);
  const char *near = hv_nearest ((const char *) v->as.data, v->size, f->words);
  return place_error (p, err, HV_E_INVALID_ARGUMENT, "'%.*s' is none of: %s%s%s%s", (int) (v->size > 64 ? 64 : v->size), (const char *) v->as.data, all,
                      near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* --- lists and maps --- */

static int
check_count (const struct hv_field *f, uint32_t n, uint64_t most, const struct place *p, struct hv_err *err)
{
  uint64_t umin = FIELD (f, umin), max = FIELD (f, max) != 0 ? FIELD (f, max) : most;
  if (n >= umin && n <= max)
    return 0;
  return place_error (p, err, HV_E_INVALID_ARGUMENT, "%" PRIu64 " to %" PRIu64 " items are wanted, it has %u", umin, max, n);
}

static int
decode_texts (const struct hv_field *f, const struct hv_value *list, struct hv_read *r, const struct hv_decode *how, struct hv_strs *at,
              const struct place *p, struct hv_err *err)
{
  struct hv_value v;
  int rc = list->type == HV_MP_ARRAY ? check_count (f, list->size, LIST_ITEMS_MAX, p, err) : wrong (p, err, list, "a list of texts");
  if (rc < 0)
    return rc;
  const char **items = hv_arena_alloc (how->arena, (list->size + 1u) * sizeof *items);
  if (items == NULL)
    return place_error (p, err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < list->size; i++) {
    struct place item = { p, NULL, i };
    if (!hv_read_next (r, &v) || v.type != HV_MP_STR)
      return wrong (&item, err, &v, "text");
    if (!utf8_valid (v.as.data, v.size))
      return place_error (&item, err, HV_E_INVALID_ARGUMENT, "UTF-8 text without NUL is wanted");
    if ((rc = copy_text (how->arena, v.as.data, v.size, &items[i], &item, err)) < 0)
      return rc;
  }
  *at = (struct hv_strs){ items, list->size };
  return 0;
}

static int
decode_pair (const struct hv_field *f, struct hv_read *r, const struct hv_decode *how, struct hv_pair *pair, const struct place *p, struct hv_err *err)
{
  static const struct hv_field any_text = { .struct_size = sizeof any_text, .type = HV_T_STR };
  struct hv_value v;
  if (!hv_read_next (r, &v) || v.type != HV_MP_STR || !utf8_valid (v.as.data, v.size))
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "its keys are UTF-8 texts");
  int rc = copy_text (how->arena, v.as.data, v.size, &pair->key, p, err);
  if (rc < 0)
    return rc;
  struct place item = { p, pair->key, 0 };
  struct hv_field text = any_text;
  text.flags = f->flags & HV_SCALAR;
  if (!hv_read_next (r, &v))
    return place_error (&item, err, HV_E_INVALID_ARGUMENT, "it is cut short");
  return decode_text (&text, &v, how, &pair->value, &item, err);
}

static int
decode_pairs (const struct hv_field *f, const struct hv_value *map, struct hv_read *r, const struct hv_decode *how, struct hv_map *at,
              const struct place *p, struct hv_err *err)
{
  int rc = map->type == HV_MP_MAP ? check_count (f, map->size, MAP_ITEMS_MAX, p, err) : wrong (p, err, map, "a map of texts");
  if (rc < 0)
    return rc;
  struct hv_pair *items = hv_arena_alloc (how->arena, (map->size + 1u) * sizeof *items);
  if (items == NULL)
    return place_error (p, err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < map->size; i++) {
    if ((rc = decode_pair (f, r, how, &items[i], p, err)) < 0)
      return rc;
    for (uint32_t k = 0; k < i; k++)
      if (strcmp (items[k].key, items[i].key) == 0)
        return place_error (p, err, HV_E_INVALID_ARGUMENT, "key '%.80s' stands twice", items[i].key);
  }
  *at = (struct hv_map){ items, map->size };
  return 0;
}

struct list { /* what HV_C_RECS makes */
  void *items;
  uint32_t count;
};

static int
decode_records (const struct hv_field *f, const struct hv_value *list, struct hv_read *r, const struct hv_decode *how, struct list *at,
                const struct place *p, uint32_t depth, struct hv_err *err)
{
  uint64_t bytes;
  int rc = list->type == HV_MP_ARRAY ? check_count (f, list->size, LIST_ITEMS_MAX, p, err) : wrong (p, err, list, "a list of maps");
  if (rc < 0)
    return rc;
  uint8_t *items = __builtin_mul_overflow ((uint64_t) list->size, f->item_size, &bytes) ? NULL : hv_arena_alloc (how->arena, bytes > 0 ? bytes : 1);
  if (items == NULL)
    return place_error (p, err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < list->size; i++) {
    struct place item = { p, NULL, i };
    if ((rc = decode_map (f->record, r, how, items + (uint64_t) i * f->item_size, &item, depth + 1, err)) < 0)
      return rc;
  }
  *at = (struct list){ items, list->size };
  return 0;
}

/* --- one value --- */

static int
decode_fd (const struct hv_value *v, const struct hv_decode *how, int32_t *at, const struct place *p, struct hv_err *err)
{
  if (v->type != HV_MP_UINT)
    return wrong (p, err, v, "the index of a descriptor");
  if (v->as.u >= how->fd_count)
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "no descriptor %" PRIu64 " came with the message", v->as.u);
  *at = how->fds[v->as.u];
  return 0;
}

static int
decode_bool (const struct hv_value *v, uint8_t *at, const struct place *p, struct hv_err *err)
{
  if (v->type != HV_MP_BOOL)
    return wrong (p, err, v, "true or false");
  *at = v->as.u != 0;
  return 0;
}

static int
decode_bin (const struct hv_field *f, const struct hv_value *v, struct hv_bin *at, const struct place *p, struct hv_err *err)
{
  if (v->type != HV_MP_BIN && v->type != HV_MP_STR)
    return wrong (p, err, v, "bytes");
  if (v->size < FIELD (f, umin) || (FIELD (f, max) != 0 && v->size > FIELD (f, max)))
    return range_error (f, p, err);
  *at = (struct hv_bin){ v->as.data, v->size };
  return 0;
}

/* `whole` is the value's bytes, `v` its head, `r` stands after the head. */
static int
decode_value (const struct hv_field *f, struct hv_bin whole, const struct hv_value *v, struct hv_read *r, const struct hv_decode *how, void *at,
              const struct place *p, uint32_t depth, struct hv_err *err)
{
  switch (f->type) {
  case HV_T_BOOL: return decode_bool (v, at, p, err);
  case HV_T_I64: return decode_signed (f, v, at, p, err);
  case HV_T_U32:
  case HV_T_U64: return decode_unsigned (f, v, at, p, err);
  case HV_T_F64: return decode_float (f, v, at, p, err);
  case HV_T_STR: return decode_text (f, v, how, at, p, err);
  case HV_T_BIN: return decode_bin (f, v, at, p, err);
  case HV_T_ENUM: return decode_word (f, v, at, p, err);
  case HV_T_STRS: return decode_texts (f, v, r, how, at, p, err);
  case HV_T_MAP: return decode_pairs (f, v, r, how, at, p, err);
  case HV_T_RECS: return decode_records (f, v, r, how, at, p, depth, err);
  case HV_T_FD: return decode_fd (v, how, at, p, err);
  case HV_T_ANY: *(struct hv_bin *) at = whole; return 0;
  case HV_T_REC: {
    struct hv_read again = { whole.data, whole.data + whole.size };
    return decode_map (f->record, &again, how, at, p, depth + 1, err);
  }
  default: return place_error (p, err, HV_E_INTERNAL, "its type is not known to this core");
  }
}

/* --- one map --- */

static const struct hv_field *
find_field (const struct hv_record *rec, const struct hv_value *key, uint32_t *ret_index)
{
  for (uint32_t i = 0; rec->fields[i] != NULL; i++) {
    const char *name = rec->fields[i]->name;
    if (strncmp (name, (const char *) key->as.data, key->size) == 0 && name[key->size] == '\0') {
      *ret_index = i;
      return rec->fields[i];
    }
  }
  return NULL;
}

static int
unknown_key (const struct hv_record *rec, const struct hv_value *key, const struct place *up, struct hv_err *err)
{
  const char *names[RECORD_FIELDS_MAX + 1];
  char word[81];
  uint32_t n = 0;
  for (; rec->fields[n] != NULL && n < RECORD_FIELDS_MAX; n++)
    names[n] = rec->fields[n]->name;
  names[n] = NULL;
  (void) snprintf (word, sizeof word, "%.*s", (int) (key->size > 80 ? 80 : key->size), (const char *) key->as.data);
  for (char *c = word; *c != '\0'; c++)
    if ((unsigned char) *c < 0x20 || *c == 0x7f)
      *c = '?';
  const char *near = hv_nearest ((const char *) key->as.data, key->size, names);
  struct place p = { up, word, 0 };
  int r = place_error (&p, err, HV_E_INVALID_ARGUMENT, "unknown key '%s'%s%s%s", word, near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
  hv_err_data (err, "key", word);
  return r;
}

static int
decode_field (const struct hv_field *f, struct hv_read *r, const struct hv_decode *how, void *out, const struct place *p, uint32_t depth,
              struct hv_err *err)
{
  struct hv_read from = *r, inner;
  struct hv_bin whole = hv_read_skip (r);
  struct hv_value v;
  if (!hv_read_next (&from, &v))
    return place_error (p, err, HV_E_INVALID_ARGUMENT, "it is cut short");
  if (f->flags & HV_IGNORED)
    return 0;
  if (v.type == HV_MP_NIL && f->type != HV_T_ANY) {
    if (f->flags & HV_NULLABLE)
      return set_default (f, how->arena, out, p, err);
    return wrong (p, err, &v, "a value");
  }
  inner = (struct hv_read){ from.at, r->at };
  int rc = decode_value (f, whole, &v, &inner, how, (uint8_t *) out + f->offset, p, depth, err);
  if (rc == 0)
    ((uint8_t *) out)[f->has_offset] = 1;
  return rc;
}

static int
finish_map (const struct hv_record *rec, const uint64_t *seen, const struct hv_decode *how, void *out, const struct place *up, struct hv_err *err)
{
  for (uint32_t i = 0; rec->fields[i] != NULL; i++) {
    const struct hv_field *f = rec->fields[i];
    struct place p = { up, f->name, 0 };
    if (seen[i / 64] & (UINT64_C (1) << (i % 64)))
      continue;
    if (f->flags & HV_REQUIRED)
      return place_error (&p, err, HV_E_INVALID_ARGUMENT, "it is required");
    int r = set_default (f, how->arena, out, &p, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int
decode_map (const struct hv_record *rec, struct hv_read *r, const struct hv_decode *how, void *out, const struct place *up, uint32_t depth,
            struct hv_err *err)
{
  uint64_t seen[RECORD_FIELDS_MAX / 64] = { 0 };
  struct hv_value map, key;
  uint32_t index = 0;
  if (depth > RECORD_DEPTH_MAX || !hv_read_next (r, &map))
    return place_error (up, err, HV_E_INVALID_ARGUMENT, "it is nested too deep, or cut short");
  if (map.type != HV_MP_MAP)
    return wrong (up, err, &map, "a map");
  for (uint32_t i = 0; i < map.size; i++) {
    if (!hv_read_next (r, &key) || key.type != HV_MP_STR)
      return place_error (up, err, HV_E_INVALID_ARGUMENT, "its keys are texts");
    const struct hv_field *f = find_field (rec, &key, &index);
    if (f == NULL && ((depth == 0 && key.size > 0 && key.as.data[0] == '_') || (how->flags & HV_DECODE_OPEN))) {
      (void) hv_read_skip (r);
      continue;
    }
    if (f == NULL)
      return unknown_key (rec, &key, up, err);
    struct place p = { up, f->name, 0 };
    if (seen[index / 64] & (UINT64_C (1) << (index % 64)))
      return place_error (&p, err, HV_E_INVALID_ARGUMENT, "it stands twice");
    seen[index / 64] |= UINT64_C (1) << (index % 64);
    int rc = decode_field (f, r, how, out, &p, depth, err);
    if (rc < 0)
      return rc;
  }
  return finish_map (rec, seen, how, out, up, err);
}

int
hv_record_decode (const struct hv_record *rec, struct hv_bin map, const struct hv_decode *how, void *out, struct hv_err *err)
{
  struct hv_read r = { map.data, map.data + map.size };
  return decode_map (rec, &r, how, out, NULL, 0, err);
}
