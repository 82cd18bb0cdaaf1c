/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Field tables: one table describes a map on the wire, the C struct it becomes, its checks, its help and its docs.
 *
 * A record is written once, as a list macro; the struct and the table are both made from it:
 *
 *   #define GREET_ARGS(F, T)                                                                    \
 *     F (T, STR, _, name,  HV_REQUIRED, "who to greet", .max = 64)                              \
 *     F (T, U32, _, times, 0,           "how often",    .def = "1", .umin = 1, .max = 100)
 *   HV_RECORD_STRUCT (greet_args, GREET_ARGS);                       struct greet_args { name; times; has; }
 *   HV_RECORD_TABLE (greet_args, GREET_ARGS, "arguments of greet");  const struct hv_record greet_args_record
 *
 * The columns are: T, type, what it refers to (a record or enum name, else _), name, flags, one line of doc, and optional
 * designated members of struct hv_field. A field's presence is has.<name>: absent is not zero. Fields that have a
 * default are filled from it and stay absent in `has`. Decoded strings and lists live as long as the call (or scope)
 * they were decoded in; everything is borrowed by the handler. */
#ifndef HVKIT_FIELD_H
#define HVKIT_FIELD_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- types of a field: the number is ABI, the C type beside it is what the struct member has --- */
#define HV_T_BOOL 1  /* uint8_t, 0 or 1 */
#define HV_T_I64  2  /* int64_t */
#define HV_T_U32  3  /* uint32_t */
#define HV_T_U64  4  /* uint64_t */
#define HV_T_F64  5  /* double */
#define HV_T_STR  6  /* const char *, UTF-8, no NUL inside, NUL-terminated */
#define HV_T_BIN  7  /* struct hv_bin */
#define HV_T_ENUM 8  /* uint32_t, index into a list of words; a word on the wire */
#define HV_T_REC  9  /* a nested struct, in place */
#define HV_T_RECS 10 /* list of nested structs */
#define HV_T_STRS 11 /* struct hv_strs */
#define HV_T_MAP  12 /* struct hv_map: string to string */
#define HV_T_ANY  13 /* struct hv_bin: one msgpack value, passed through undecoded */
#define HV_T_FD   14 /* int32_t: a descriptor that travels with the message; borrowed, -1 when absent */

struct hv_bin {
  const uint8_t *data;
  uint64_t size;
};
struct hv_strs {
  const char *const *items;
  uint32_t count;
};
struct hv_pair {
  const char *key, *value;
};
struct hv_map {
  const struct hv_pair *items;
  uint32_t count;
};

/* --- flags of a field --- */
#define HV_REQUIRED   1u  /* decode: absent is INVALID_ARGUMENT. encode: always written */
#define HV_SECRET     2u  /* never logged, never in a dump */
#define HV_FILE       4u  /* the CLI takes a file name (or - for standard input) and sends its contents */
#define HV_PATH       8u  /* an absolute path on the node */
#define HV_DEPRECATED 16u
#define HV_NULLABLE   32u /* nil on the wire means absent (Kubernetes writes creationTimestamp: null) */
#define HV_IGNORED    64u /* accepted with any value and not kept (server-owned fields of Kubernetes objects) */
#define HV_SCALAR     128u /* STR: a number or a boolean is taken as its text (Kubernetes quantities: cpu: 4) */
#define HV_STREAM_TOKEN 256u /* STR of a result: for bus.attach. The CLI attaches to it: terminal, proxy or pipe */

struct hv_record;

struct hv_field {
  uint32_t struct_size, type, flags;
  uint32_t offset, has_offset; /* in the C struct; has_offset is a uint8_t */
  uint32_t item_size;          /* RECS: sizeof of one item */
  const char *name, *doc;
  const char *unit;                /* "bytes", "ms" …: also in the name */
  const char *def;                 /* default, as it would be typed: "1", "true", "q35" */
  int64_t min;                     /* I64 */
  uint64_t umin, max;              /* U32, U64, F64: range; STR, BIN: length in bytes; lists and maps: items; 0 = none */
  const struct hv_record *record;  /* REC, RECS */
  const char *const *words;        /* ENUM: NULL-terminated */
  const char *pattern;             /* STR: one of the named checks "name" (RFC 1123 label), "subdomain", "uuid", "mac" */
  const char *since;               /* version that introduced it, if later than its record */
};

struct hv_record {
  uint32_t struct_size;
  uint32_t c_size; /* sizeof of the C struct */
  const char *name, *doc;
  const struct hv_field *const *fields; /* NULL-terminated; order is the order on the wire */
};

/* --- from one list, the struct … --- */
#define HV_C_BOOL(sub) uint8_t
#define HV_C_I64(sub)  int64_t
#define HV_C_U32(sub)  uint32_t
#define HV_C_U64(sub)  uint64_t
#define HV_C_F64(sub)  double
#define HV_C_STR(sub)  const char *
#define HV_C_BIN(sub)  struct hv_bin
#define HV_C_ENUM(sub) uint32_t
#define HV_C_REC(sub)  struct sub
#define HV_C_RECS(sub) \
  struct { \
    struct sub *items; \
    uint32_t count; \
  }
#define HV_C_STRS(sub) struct hv_strs
#define HV_C_MAP(sub)  struct hv_map
#define HV_C_ANY(sub)  struct hv_bin
#define HV_C_FD(sub)   int32_t

#define HV_F_HAS_(T, type, sub, name, ...)    uint8_t name;
#define HV_F_MEMBER_(T, type, sub, name, ...) HV_C_##type (sub) name;

#define HV_RECORD_STRUCT(rec, LIST) \
  struct rec { \
    LIST (HV_F_MEMBER_, struct rec) \
    struct { \
      LIST (HV_F_HAS_, struct rec) \
    } has; \
  }; \
  extern const struct hv_record rec##_record

/* A record without fields. */
#define HV_RECORD_EMPTY_STRUCT(rec) \
  struct rec { \
    uint8_t unused; \
  }; \
  extern const struct hv_record rec##_record

/* --- … and the table (C only) --- */
#ifndef __cplusplus
#define HV_R_BOOL(sub)
#define HV_R_I64(sub)
#define HV_R_U32(sub)
#define HV_R_U64(sub)
#define HV_R_F64(sub)
#define HV_R_STR(sub)
#define HV_R_BIN(sub)
#define HV_R_ENUM(sub) .words = sub##_words,
#define HV_R_REC(sub)  .record = &sub##_record,
#define HV_R_RECS(sub) .record = &sub##_record, .item_size = sizeof (struct sub),
#define HV_R_STRS(sub)
#define HV_R_MAP(sub)
#define HV_R_ANY(sub)
#define HV_R_FD(sub)

#define HV_F_ENTRY_(T, type_, sub, name_, flags_, ...) \
  &(const struct hv_field){ .struct_size = sizeof (struct hv_field), \
                            .type = HV_T_##type_, \
                            .flags = (flags_), \
                            .offset = offsetof (T, name_), \
                            .has_offset = offsetof (T, has.name_), \
                            HV_R_##type_ (sub).name = #name_, \
                            .doc = __VA_ARGS__ },

#define HV_RECORD_TABLE(rec, LIST, doc_) \
  const struct hv_record rec##_record = { .struct_size = sizeof (struct hv_record), \
                                          .c_size = sizeof (struct rec), \
                                          .name = #rec, \
                                          .doc = (doc_), \
                                          .fields = (const struct hv_field *const[]){ LIST (HV_F_ENTRY_, struct rec) NULL } }

#define HV_RECORD_EMPTY_TABLE(rec, doc_) \
  const struct hv_record rec##_record = { .struct_size = sizeof (struct hv_record), \
                                          .c_size = sizeof (struct rec), \
                                          .name = #rec, \
                                          .doc = (doc_), \
                                          .fields = (const struct hv_field *const[]){ NULL } }

/* Presence: read it, or set value and presence in one go. */
#define HV_HAS(r, member) ((r)->has.member != 0)
#define HV_SET(r, member, ...) ((r)->member = (__VA_ARGS__), (void) ((r)->has.member = 1))
#endif

#ifdef __cplusplus
}
#endif
#endif
