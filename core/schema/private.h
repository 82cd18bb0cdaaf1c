/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/schema: what its own files share. */
#ifndef HV_CORE_SCHEMA_PRIVATE_H
#define HV_CORE_SCHEMA_PRIVATE_H
#include "core/schema/schema.h"

#define RECORD_DEPTH_MAX  16u
#define RECORD_FIELDS_MAX 256u
#define LIST_ITEMS_MAX    65536u
#define MAP_ITEMS_MAX     256u

/* A member of a table that may have been built with a shorter struct: absent members read as 0. */
#define FIELD(f, member) ((f)->struct_size >= offsetof (struct hv_field, member) + sizeof ((f)->member) ? (f)->member : 0)

/* Where in a document we are; frames live on the stack of the decoder. */
struct place {
  const struct place *up;
  const char *name; /* of a field, or NULL for an item */
  uint32_t index;
};
/* Sets "path: text" and data.path. Returns the code. */
HV_PRINTF (4, 5) int place_error (const struct place *, struct hv_err *, int code, const char *fmt, ...);

int set_default (const struct hv_field *, struct hv_arena *, void *out, const struct place *, struct hv_err *);
int set_defaults (const struct hv_record *, struct hv_arena *, void *out, const struct place *, struct hv_err *);
uint64_t hv_field_size (const struct hv_field *); /* of the C member; 0: unknown type */
int utf8_valid (const uint8_t *, uint64_t n); /* and no NUL */
#endif
