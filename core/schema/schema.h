/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/schema: field tables at work: decode, check, default, encode, describe. See <hvkit/field.h>. */
#ifndef HV_CORE_SCHEMA_H
#define HV_CORE_SCHEMA_H
#include <hvkit/plugin.h>

/* Bump allocator: chunks, everything freed at once; marks release back to a point. Not thread-safe. Memory is zeroed. */
struct hv_arena {
  struct hv_arena_chunk *head;
  uint64_t used_total;
};
void *hv_arena_alloc (struct hv_arena *, uint64_t size); /* 16-byte aligned; NULL when out of memory */
uint64_t hv_arena_mark (struct hv_arena *);
void hv_arena_release (struct hv_arena *, uint64_t mark);
void hv_arena_free (struct hv_arena *); /* may be used again */

/* Whether a table is well-formed (names, types, places in the struct, defaults that pass the field's own checks, no duplicate,
 * depth ≤ 16, at most 256 fields). FAILED_PRECONDITION says what is wrong. Run once at load; the others trust what passed. */
int hv_record_validate (const struct hv_record *, struct hv_err *);

/* Decodes a msgpack map that passed the fence into the zeroed struct `out`; no bytes at all are the empty map. Strict unless
 * HV_DECODE_OPEN: an unknown key is INVALID_ARGUMENT with the nearest name ("unknown key 'colr' in door, did you mean 'color'?").
 * Errors name the path ("house.rooms[2].color: …"; also as data.path) and are clean UTF-8 whatever the bytes were; values of
 * HV_SECRET fields are not repeated. Keys starting with '_' at the top level are reserved arguments and skipped (the bus reads
 * them). Duplicate keys are refused. Strings are copied NUL-terminated into the arena; BIN and ANY point into the bytes; BIN
 * takes text as well. An absent record is zeroed but for the defaults of its fields. Limits: 16 levels of records, 65536 items
 * of a list without `max`, 256 pairs of a free-form map, 64 MiB of memory (RESOURCE_EXHAUSTED). `fds`/`fd_count` are the
 * descriptors of the message. `out` is undefined after a failure. */
struct hv_decode {
  struct hv_arena *arena;
  uint32_t flags; /* HV_DECODE_OPEN */
  const int32_t *fds;
  uint32_t fd_count;
};
int hv_record_decode (const struct hv_record *, struct hv_bin map, const struct hv_decode *, void *out, struct hv_err *);

/* Fills defaults into a zeroed struct that nothing was decoded into; required fields stay zero. `arena` may be NULL today. */
int hv_record_defaults (const struct hv_record *, struct hv_arena *, void *out, struct hv_err *);

/* Writes the fields that are present, and all HV_REQUIRED ones, as one map. An optional string that is NULL counts as absent;
 * bytes of a string that are not UTF-8 leave as U+FFFD. INTERNAL (naming the path) if a required string is NULL or an enum
 * value is out of its list; UNIMPLEMENTED for a descriptor. */
int hv_record_encode (const struct hv_record *, const void *in, struct hv_pack *, struct hv_err *);

/* The table itself as msgpack: {name, doc, fields: [{name, type, flags, default, min, max, unit, words, pattern, doc, since,
 * record: {…}}]}; what bus.describe, --help and completion are made of. `type` is "str", "u32", "enum", "record", "records" … */
void hv_record_describe (const struct hv_record *, struct hv_pack *);

/* The name in a NULL-terminated list that is nearest to `word` (edit distance ≤ 1/3 of its length + 1), or NULL. */
const char *hv_nearest (const char *word, uint64_t n, const char *const *names);

/* Named checks of strings: "name", "subdomain", "uuid", "mac". 1 if it fits or the pattern is NULL. */
int hv_pattern_match (const char *pattern, const char *text);
#endif
