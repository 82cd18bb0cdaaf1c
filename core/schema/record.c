/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables themselves: are they well-formed, and what are their defaults. */
#include "core/schema/private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t
hv_field_size (const struct hv_field *f)
{
  switch (f->type) {
  case HV_T_BOOL: return 1;
  case HV_T_U32:
  case HV_T_ENUM:
  case HV_T_FD: return 4;
  case HV_T_I64:
  case HV_T_U64:
  case HV_T_F64: return 8;
  case HV_T_STR: return sizeof (char *);
  case HV_T_BIN:
  case HV_T_ANY: return sizeof (struct hv_bin);
  case HV_T_STRS: return sizeof (struct hv_strs);
  case HV_T_MAP: return sizeof (struct hv_map);
  case HV_T_RECS: return sizeof (struct hv_strs);
  case HV_T_REC: return FIELD (f, record) != NULL ? f->record->c_size : 0;
  default: return 0;
  }
}

/* --- defaults --- */

static int
default_number (const struct hv_field *f, const char *def, void *at, const struct place *p, struct hv_err *err)
{
  char *end = NULL;
  errno = 0;
  switch (f->type) {
  case HV_T_I64: *(int64_t *) at = strtoll (def, &end, 10); break;
  case HV_T_U64: *(uint64_t *) at = strtoull (def, &end, 10); break;
  case HV_T_F64: *(double *) at = strtod (def, &end); break;
  default: {
    unsigned long long v = strtoull (def, &end, 10);
    *(uint32_t *) at = (uint32_t) v;
    if (v > UINT32_MAX)
      errno = ERANGE;
  }
  }
  if (errno != 0 || end == def || *end != '\0')
    return place_error (p, err, HV_E_INTERNAL, "its default '%s' is not a number in range", def);
  return 0;
}

static int
default_word (const struct hv_field *f, const char *def, uint32_t *at, const struct place *p, struct hv_err *err)
{
  const char *const *words = FIELD (f, words);
  for (uint32_t i = 0; words != NULL && words[i] != NULL; i++)
    if (strcmp (words[i], def) == 0) {
      *at = i;
      return 0;
    }
  return place_error (p, err, HV_E_INTERNAL, "its default '%s' is not one of its words", def);
}

int
set_default (const struct hv_field *f, struct hv_arena *arena, void *out, const struct place *p, struct hv_err *err)
{
  const char *def = FIELD (f, def);
  void *at = (uint8_t *) out + f->offset;
  if (f->type == HV_T_FD)
    *(int32_t *) at = -1;
  if (f->type == HV_T_REC)
    return set_defaults (f->record, arena, at, p, err);
  if (def == NULL)
    return 0;
  switch (f->type) {
  case HV_T_BOOL: *(uint8_t *) at = strcmp (def, "true") == 0; return 0;
  case HV_T_STR: *(const char **) at = def; return 0;
  case HV_T_ENUM: return default_word (f, def, at, p, err);
  case HV_T_I64:
  case HV_T_U32:
  case HV_T_U64:
  case HV_T_F64: return default_number (f, def, at, p, err);
  default: return place_error (p, err, HV_E_INTERNAL, "this type has no default");
  }
}

int
set_defaults (const struct hv_record *rec, struct hv_arena *arena, void *out, const struct place *up, struct hv_err *err)
{
  for (const struct hv_field *const *f = rec->fields; *f != NULL; f++) {
    struct place p = { up, (*f)->name, 0 };
    int r = set_default (*f, arena, out, &p, err);
    if (r < 0)
      return r;
  }
  return 0;
}

int
hv_record_defaults (const struct hv_record *rec, struct hv_arena *arena, void *out, struct hv_err *err)
{
  return set_defaults (rec, arena, out, NULL, err);
}

/* --- validation --- */

static int
validate_field (const struct hv_record *rec, const struct hv_field *f, const struct place *p, struct hv_err *err)
{
  uint64_t size = hv_field_size (f);
  if (f->name == NULL || f->name[0] == '\0' || f->name[0] == '_')
    return place_error (p, err, HV_E_FAILED_PRECONDITION, "a field without a name, or with a reserved one");
  if (size == 0 && f->type != HV_T_REC)
    return place_error (p, err, HV_E_FAILED_PRECONDITION, "type %u is not known to this core", f->type);
  if ((uint64_t) f->offset + size > rec->c_size || f->has_offset >= rec->c_size)
    return place_error (p, err, HV_E_FAILED_PRECONDITION, "it lies outside its struct");
  if ((f->type == HV_T_REC || f->type == HV_T_RECS) && FIELD (f, record) == NULL)
    return place_error (p, err, HV_E_FAILED_PRECONDITION, "it names no record");
  if (f->type == HV_T_RECS && f->item_size < f->record->c_size)
    return place_error (p, err, HV_E_FAILED_PRECONDITION, "its items are smaller than their record");
  if (f->type == HV_T_ENUM && (FIELD (f, words) == NULL || f->words[0] == NULL))
    return place_error (p, err, HV_E_FAILED_PRECONDITION, "it has no words");
  if (FIELD (f, pattern) != NULL && !hv_pattern_match (f->pattern, strcmp (f->pattern, "uuid") == 0 ? "00000000-0000-0000-0000-000000000000"
                                                                  : strcmp (f->pattern, "mac") == 0 ? "00:00:00:00:00:00"
                                                                                                    : "a"))
    return place_error (p, err, HV_E_FAILED_PRECONDITION, "pattern '%s' is not known to this core", f->pattern);
  return 0;
}

static int
validate_default (const struct hv_record *rec, const struct hv_field *f, const struct place *p, struct hv_err *err)
{
  struct hv_arena arena = { 0 };
  if (f->type == HV_T_REC || FIELD (f, def) == NULL)
    return 0;
  void *out = hv_arena_alloc (&arena, rec->c_size);
  int r = out != NULL ? set_default (f, &arena, out, p, err) : HV_E_RESOURCE_EXHAUSTED;
  hv_arena_free (&arena);
  if (r == 0 && f->type == HV_T_BOOL && strcmp (f->def, "true") != 0 && strcmp (f->def, "false") != 0)
    return place_error (p, err, HV_E_FAILED_PRECONDITION, "its default is neither true nor false");
  return r;
}

static int
validate (const struct hv_record *rec, const struct place *up, uint32_t depth, struct hv_err *err)
{
  uint32_t n = 0;
  if (rec->struct_size < offsetof (struct hv_record, fields) + sizeof rec->fields || rec->fields == NULL || rec->name == NULL)
    return place_error (up, err, HV_E_FAILED_PRECONDITION, "a record without a name or fields");
  if (depth > RECORD_DEPTH_MAX)
    return place_error (up, err, HV_E_FAILED_PRECONDITION, "records are nested deeper than %u", RECORD_DEPTH_MAX);
  for (const struct hv_field *const *f = rec->fields; *f != NULL; f++, n++) {
    struct place p = { up, (*f)->name != NULL ? (*f)->name : "?", 0 };
    int r = n >= RECORD_FIELDS_MAX ? place_error (up, err, HV_E_FAILED_PRECONDITION, "more than %u fields", RECORD_FIELDS_MAX)
                                   : validate_field (rec, *f, &p, err);
    if (r == 0)
      r = validate_default (rec, *f, &p, err);
    if (r == 0 && ((*f)->type == HV_T_REC || (*f)->type == HV_T_RECS))
      r = validate ((*f)->record, &p, depth + 1, err);
    for (const struct hv_field *const *o = rec->fields; r == 0 && o != f; o++)
      if (strcmp ((*o)->name, (*f)->name) == 0)
        r = place_error (&p, err, HV_E_FAILED_PRECONDITION, "the name stands twice");
    if (r < 0)
      return r;
  }
  return 0;
}

int
hv_record_validate (const struct hv_record *rec, struct hv_err *err)
{
  int r = validate (rec, NULL, 0, err);
  return r < 0 ? hv_err_wrap (err, r, "record '%s'", rec->name != NULL ? rec->name : "?") : 0;
}
