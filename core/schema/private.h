/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of core/schema share: reading tables of any age, and saying where in a document something is wrong. */
#ifndef HV_CORE_SCHEMA_PRIVATE_H
#define HV_CORE_SCHEMA_PRIVATE_H
#include "core/schema/schema.h"
#include <string.h>

#define HV_RECORD_DEPTH_MAX  16u
#define HV_RECORD_FIELDS_MAX 256u
#define HV_LIST_ITEMS_MAX    65536u /* of a list whose field gives no `max` */
#define HV_MAP_PAIRS_MAX     256u
#define HV_DECODE_BYTES_MAX  (64u << 20) /* memory of one decoded message: small items can declare large structs */
#define HV_FIELD_BYTES_MIN   (offsetof (struct hv_field, unit)) /* what every table has; later members read as 0 */

/* A field as this core knows it, whatever the table was built with: `room` is used only for shorter ones. */
static inline const struct hv_field *
hv_field_get (const struct hv_field *f, struct hv_field *room)
{
  if (__builtin_expect (f->struct_size >= sizeof *f, 1))
    return f;
  memset (room, 0, sizeof *room);
  memcpy (room, f, f->struct_size);
  return room;
}

static inline void *
hv_field_at (void *record, uint32_t offset)
{
  return (uint8_t *) record + offset;
}

/* The list member of an HV_T_RECS field, whatever its items are. */
struct hv_field_list {
  void *items;
  uint32_t count;
};

/* Where a record is inside the document: a chain on the stack that becomes text only when something is wrong. */
struct hv_place {
  const struct hv_place *up; /* NULL: inside the root record */
  const char *name;
  uint32_t index;
  uint8_t has_index;
};
#define HV_PLACE_TEXT 512u
/* "house.rooms[2].color" for field "color"; NULL for the record itself. Cut at the end when it is too long; clean UTF-8. */
void hv_place_text (const struct hv_place *, const char *field, char ret[HV_PLACE_TEXT]);
/* Sets "<place>: <text>" and data.path; returns code. */
HV_PRINTF (5, 6)
int hv_place_fail (const struct hv_place *, const char *field, int32_t code, struct hv_err *, const char *fmt, ...);

/* Checks of values, also applied to defaults. `text` is NUL-terminated after n bytes. */
int hv_check_text (const struct hv_field *, const struct hv_place *, const char *text, uint64_t n, struct hv_err *);
int hv_check_unsigned (const struct hv_field *, const struct hv_place *, uint64_t v, struct hv_err *);
int hv_check_signed (const struct hv_field *, const struct hv_place *, int64_t v, struct hv_err *);
int hv_check_f64 (const struct hv_field *, const struct hv_place *, double v, struct hv_err *);
/* "-5 is out of range (1 to 512)" */
int hv_check_range_fail (const struct hv_field *, const struct hv_place *, const char *value, struct hv_err *);
int hv_check_bytes (const struct hv_field *, const struct hv_place *, uint64_t n, struct hv_err *); /* length of BIN */
/* "'virtoi' is not one of: virtio, sata; did you mean 'virtio'?" */
int hv_check_word_fail (const struct hv_field *, const struct hv_place *, const void *text, uint64_t n, struct hv_err *);
int hv_pattern_known (const char *pattern);

/* The index of a word in a NULL-terminated list, or -1. */
int hv_word_index (const char *const *words, const void *text, uint64_t n);

/* Gives an absent field of `record` its default: def, -1 for a descriptor, the defaults inside a nested record.
 * INTERNAL when the default does not parse, which hv_record_validate rules out. */
int hv_field_default (const struct hv_field *, void *record, struct hv_err *);
#endif
