/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A table as msgpack, for bus.describe and everything that is made of it. */
#include "core/schema/private.h"

static void
text (struct hv_pack *p, const char *key, const char *value, uint32_t *n)
{
  if (value == NULL)
    return;
  hv_pack_str (p, key);
  hv_pack_str (p, value);
  (*n)++;
}

static void
describe_flags (uint32_t flags, struct hv_pack *p)
{
  static const char *const words[] = { "required", "secret", "file", "path", "deprecated", "nullable", "ignored", "scalar", "stream" };
  uint32_t n = 0;
  uint64_t list = hv_pack_array_open (p);
  for (uint32_t i = 0; i < sizeof words / sizeof *words; i++)
    if (flags & (1u << i)) {
      hv_pack_str (p, words[i]);
      n++;
    }
  hv_pack_array_close (p, list, n);
}

static void
describe_words (const char *const *words, struct hv_pack *p)
{
  uint32_t n = 0;
  uint64_t list = hv_pack_array_open (p);
  for (; words[n] != NULL; n++)
    hv_pack_str (p, words[n]);
  hv_pack_array_close (p, list, n);
}

static void
describe_field (const struct hv_field *given, struct hv_pack *p)
{
  struct hv_field room;
  const struct hv_field *f = hv_field_get (given, &room);
  static const char *const types[]
      = { "?", "bool", "i64", "u32", "u64", "f64", "str", "bin", "enum", "record", "records", "strs", "map", "any", "fd" };
  uint32_t n = 2;
  uint64_t map = hv_pack_map_open (p);
  hv_pack_str (p, "name");
  hv_pack_str (p, f->name);
  hv_pack_str (p, "type");
  hv_pack_str (p, f->type < sizeof types / sizeof *types ? types[f->type] : types[0]);
  hv_pack_str (p, "flags");
  describe_flags (f->flags, p);
  n++;
  text (p, "doc", f->doc, &n);
  text (p, "default", f->def, &n);
  text (p, "unit", f->unit, &n);
  text (p, "pattern", f->pattern, &n);
  text (p, "since", f->since, &n);
  if (f->min != 0 || f->umin != 0) {
    hv_pack_str (p, "min");
    if (f->type == HV_T_I64)
      hv_pack_i64 (p, f->min);
    else
      hv_pack_u64 (p, f->umin);
    n++;
  }
  if (f->max != 0) {
    hv_pack_str (p, "max");
    hv_pack_u64 (p, f->max);
    n++;
  }
  if (f->words != NULL) {
    hv_pack_str (p, "words");
    describe_words (f->words, p);
    n++;
  }
  if (f->record != NULL) {
    hv_pack_str (p, "record");
    hv_record_describe (f->record, p);
    n++;
  }
  hv_pack_map_close (p, map, n);
}

void
hv_record_describe (const struct hv_record *rec, struct hv_pack *p)
{
  uint32_t n = 0;
  hv_pack_map (p, 3);
  hv_pack_str (p, "name");
  hv_pack_str (p, rec->name);
  hv_pack_str (p, "doc");
  hv_pack_str (p, rec->doc);
  hv_pack_str (p, "fields");
  uint64_t list = hv_pack_array_open (p);
  for (; rec->fields[n] != NULL; n++)
    describe_field (rec->fields[n], p);
  hv_pack_array_close (p, list, n);
}
