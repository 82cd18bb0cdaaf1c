/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables themselves: whether decode and encode may trust one. Runs once, when a plugin is loaded. */
#include "core/schema/private.h"

static int check_record (const struct hv_record *, const struct hv_place *, uint32_t depth, struct hv_err *);

#define FAIL(at, f, err, ...) hv_place_fail ((at), (f)->name, HV_E_FAILED_PRECONDITION, (err), __VA_ARGS__)

static const struct {
  uint32_t size, align;
} shapes[] = {
  [HV_T_BOOL] = { sizeof (uint8_t), _Alignof(uint8_t) },
  [HV_T_I64] = { sizeof (int64_t), _Alignof(int64_t) },
  [HV_T_U32] = { sizeof (uint32_t), _Alignof(uint32_t) },
  [HV_T_U64] = { sizeof (uint64_t), _Alignof(uint64_t) },
  [HV_T_F64] = { sizeof (double), _Alignof(double) },
  [HV_T_STR] = { sizeof (char *), _Alignof(char *) },
  [HV_T_BIN] = { sizeof (struct hv_bin), _Alignof(struct hv_bin) },
  [HV_T_ENUM] = { sizeof (uint32_t), _Alignof(uint32_t) },
  [HV_T_REC] = { 0, 1 }, /* as large as its record */
  [HV_T_RECS] = { sizeof (struct hv_field_list), _Alignof(struct hv_field_list) },
  [HV_T_STRS] = { sizeof (struct hv_strs), _Alignof(struct hv_strs) },
  [HV_T_MAP] = { sizeof (struct hv_map), _Alignof(struct hv_map) },
  [HV_T_ANY] = { sizeof (struct hv_bin), _Alignof(struct hv_bin) },
  [HV_T_FD] = { sizeof (int32_t), _Alignof(int32_t) },
};
#define TYPES (sizeof shapes / sizeof *shapes)

static int
has_record (const struct hv_field *f)
{
  return f->type == HV_T_REC || f->type == HV_T_RECS;
}

static int
check_name (const struct hv_field *f, const struct hv_place *at, struct hv_err *err)
{
  const char *c = f->name;
  if (c == NULL || *c == '\0')
    return hv_place_fail (at, NULL, HV_E_FAILED_PRECONDITION, err, "a field has no name");
  if (*c == '_')
    return FAIL (at, f, err, "names that begin with '_' are reserved");
  for (; *c != '\0'; c++)
    if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_'))
      return FAIL (at, f, err, "a field's name has letters, digits and '_' only");
  return 0;
}

static int
check_shape (const struct hv_record *rec, const struct hv_field *f, const struct hv_place *at, struct hv_err *err)
{
  uint32_t size = f->type == HV_T_REC ? f->record->c_size : shapes[f->type].size;
  if ((uint64_t) f->offset + size > rec->c_size || f->has_offset >= rec->c_size)
    return FAIL (at, f, err, "it lies outside its struct of %u bytes", rec->c_size);
  if (f->offset % shapes[f->type].align != 0)
    return FAIL (at, f, err, "it is not aligned");
  if (f->type == HV_T_RECS && f->item_size != f->record->c_size)
    return FAIL (at, f, err, "its items have %u bytes, their record %u", f->item_size, f->record->c_size);
  return 0;
}

static int
check_words (const struct hv_field *f, const struct hv_place *at, struct hv_err *err)
{
  if (f->type != HV_T_ENUM)
    return 0;
  if (f->words == NULL || f->words[0] == NULL)
    return FAIL (at, f, err, "it has no words");
  for (int i = 0; f->words[i] != NULL; i++)
    if (hv_word_index (f->words, f->words[i], strlen (f->words[i])) != i)
      return FAIL (at, f, err, "its word '%s' is there twice", f->words[i]);
  return 0;
}

static int
check_limits (const struct hv_field *f, const struct hv_place *at, struct hv_err *err)
{
  if (f->max != 0 && f->umin > f->max)
    return FAIL (at, f, err, "its minimum is above its maximum");
  if (f->type == HV_T_I64 && f->max != 0 && f->min > 0 && (uint64_t) f->min > f->max)
    return FAIL (at, f, err, "its minimum is above its maximum");
  if (f->pattern != NULL && (f->type != HV_T_STR && f->type != HV_T_STRS))
    return FAIL (at, f, err, "only text has a pattern");
  if (f->pattern != NULL && !hv_pattern_known (f->pattern))
    return FAIL (at, f, err, "pattern '%s' is not known to this core", f->pattern);
  return (f->flags & HV_REQUIRED) && (f->flags & HV_IGNORED) ? FAIL (at, f, err, "it cannot be both required and ignored") : 0;
}

/* A default has to pass what a peer's value would have to. */
static int
check_default (const struct hv_field *given, const struct hv_place *at, struct hv_err *err)
{
  union {
    uint8_t b;
    int64_t i;
    uint32_t u;
    uint64_t n;
    double d;
    const char *s;
    uint8_t bytes[sizeof (struct hv_map)];
  } v = { .n = 0 };
  struct hv_field f = *given;
  f.offset = 0;
  if (f.def == NULL || f.type == HV_T_REC)
    return f.def == NULL ? 0 : FAIL (at, &f, err, "a record has the defaults of its fields, not one of its own");
  if (f.flags & HV_REQUIRED)
    return FAIL (at, &f, err, "a required field has no use for a default");
  if (f.type == HV_T_FD || hv_field_default (&f, &v, NULL) < 0)
    return FAIL (at, &f, err, "'%s' is not a default of its type", f.def);
  switch (f.type) {
  case HV_T_STR:
    return hv_check_text (&f, at, v.s, strlen (v.s), err);
  case HV_T_U32:
    return hv_check_unsigned (&f, at, v.u, err);
  case HV_T_U64:
    return hv_check_unsigned (&f, at, v.n, err);
  case HV_T_I64:
    return hv_check_signed (&f, at, v.i, err);
  case HV_T_F64:
    return hv_check_f64 (&f, at, v.d, err);
  default:
    return 0;
  }
}

static int
check_nested (const struct hv_field *f, const struct hv_place *up, uint32_t depth, struct hv_err *err)
{
  struct hv_place at = { up, f->name, 0, 0 };
  return has_record (f) ? check_record (f->record, &at, depth + 1, err) : 0;
}

static int
check_field (const struct hv_record *rec, const struct hv_field *given, const struct hv_place *at, uint32_t depth,
             struct hv_err *err)
{
  struct hv_field room;
  if (given->struct_size < HV_FIELD_BYTES_MIN)
    return hv_place_fail (at, NULL, HV_E_FAILED_PRECONDITION, err, "a field's table entry has %u bytes, at least %zu are needed",
                          given->struct_size, HV_FIELD_BYTES_MIN);
  const struct hv_field *f = hv_field_get (given, &room);
  int r = check_name (f, at, err);
  if (r < 0)
    return r;
  if (f->type == 0 || f->type >= TYPES)
    return FAIL (at, f, err, "type %u is not known to this core", f->type);
  if (has_record (f) && f->record == NULL)
    return FAIL (at, f, err, "it names no record");
  r = check_shape (rec, f, at, err);
  if (r == 0)
    r = check_words (f, at, err);
  if (r == 0)
    r = check_limits (f, at, err);
  if (r == 0)
    r = check_default (f, at, err);
  return r < 0 ? r : check_nested (f, at, depth, err);
}

static int
check_record (const struct hv_record *rec, const struct hv_place *at, uint32_t depth, struct hv_err *err)
{
  uint32_t n = 0;
  if (rec->struct_size < offsetof (struct hv_record, fields) + sizeof rec->fields || rec->name == NULL || rec->fields == NULL)
    return hv_place_fail (at, NULL, HV_E_FAILED_PRECONDITION, err, "a record without a name or fields");
  if (depth > HV_RECORD_DEPTH_MAX)
    return hv_place_fail (at, NULL, HV_E_FAILED_PRECONDITION, err, "records are nested deeper than %u", HV_RECORD_DEPTH_MAX);
  for (const struct hv_field *const *f = rec->fields; *f != NULL; f++) {
    int r = ++n > HV_RECORD_FIELDS_MAX
                ? hv_place_fail (at, NULL, HV_E_FAILED_PRECONDITION, err, "more than %u fields", HV_RECORD_FIELDS_MAX)
                : check_field (rec, *f, at, depth, err);
    for (const struct hv_field *const *o = rec->fields; r == 0 && o != f; o++)
      if (strcmp ((*o)->name, (*f)->name) == 0)
        r = FAIL (at, *f, err, "the name is there twice");
    if (r < 0)
      return r;
  }
  return 0;
}

int
hv_record_validate (const struct hv_record *rec, struct hv_err *err)
{
  int r = check_record (rec, NULL, 0, err);
  return r < 0 ? hv_err_wrap (err, HV_E_FAILED_PRECONDITION, "record '%s'", rec->name != NULL ? rec->name : "?") : 0;
}
