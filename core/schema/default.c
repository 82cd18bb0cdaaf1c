/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Defaults: the text in a table, as it would be typed, made a value of the struct. */
#include "core/schema/private.h"
#include <stdlib.h>

static int
parse_u64 (const char *s, uint64_t *ret)
{
  uint64_t v = 0;
  if (*s == '\0')
    return 0;
  for (; *s >= '0' && *s <= '9'; s++)
    if (__builtin_mul_overflow (v, 10, &v) || __builtin_add_overflow (v, (uint64_t) (*s - '0'), &v))
      return 0;
  *ret = v;
  return *s == '\0';
}

static int
parse_i64 (const char *s, int64_t *ret)
{
  uint64_t v;
  int minus = *s == '-';
  if (!parse_u64 (s + minus, &v) || v > (uint64_t) INT64_MAX + (uint64_t) minus)
    return 0;
  *ret = minus ? (int64_t) (0 - v) : (int64_t) v;
  return 1;
}

static int
parse_f64 (const char *s, double *ret)
{
  char *end;
  *ret = strtod (s, &end);
  return end != s && *end == '\0';
}

static int
parse_u32 (const char *s, uint32_t *ret)
{
  uint64_t v;
  if (!parse_u64 (s, &v) || v > UINT32_MAX)
    return 0;
  *ret = (uint32_t) v;
  return 1;
}

static int
parse_bool (const char *s, uint8_t *ret)
{
  *ret = strcmp (s, "true") == 0;
  return *ret || strcmp (s, "false") == 0;
}

static int
parse_word (const struct hv_field *f, const char *s, uint32_t *ret)
{
  int i = f->words != NULL ? hv_word_index (f->words, s, strlen (s)) : -1;
  *ret = i < 0 ? 0 : (uint32_t) i;
  return i >= 0;
}

static int
parse (const struct hv_field *f, void *at)
{
  switch (f->type) {
  case HV_T_BOOL:
    return parse_bool (f->def, at);
  case HV_T_I64:
    return parse_i64 (f->def, at);
  case HV_T_U32:
    return parse_u32 (f->def, at);
  case HV_T_U64:
    return parse_u64 (f->def, at);
  case HV_T_F64:
    return parse_f64 (f->def, at);
  case HV_T_ENUM:
    return parse_word (f, f->def, at);
  case HV_T_STR:
    *(const char **) at = f->def;
    return 1;
  default:
    return 0; /* the other types have none */
  }
}

int
hv_field_default (const struct hv_field *f, void *record, struct hv_err *err)
{
  void *at = hv_field_at (record, f->offset);
  if (f->type == HV_T_FD)
    *(int32_t *) at = -1;
  else if (f->type == HV_T_REC)
    return hv_record_defaults (f->record, NULL, at, err);
  else if (f->def != NULL && !parse (f, at))
    return hv_err_set (err, HV_E_INTERNAL, "%s: '%s' is not a default of its type", f->name, f->def);
  return 0;
}

/* The arena is part of the interface for types whose default would need memory; those of today are static text or numbers. */
int
hv_record_defaults (const struct hv_record *rec, struct hv_arena *arena, void *out, struct hv_err *err)
{
  struct hv_field room;
  (void) arena;
  for (const struct hv_field *const *f = rec->fields; *f != NULL; f++) {
    int r = hv_field_default (hv_field_get (*f, &room), out, err);
    if (r < 0)
      return r;
  }
  return 0;
}
