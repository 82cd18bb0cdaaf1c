/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages and the writer that makes them. A plugin rarely needs this page: handlers get decoded structs. It is for
 * free-form values (HV_T_ANY) and for what is built from another format (a YAML manifest, a guest agent's answer). */
#ifndef HVKIT_MSG_H
#define HVKIT_MSG_H
#include <hvkit/clean.h>
#include <hvkit/field.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An immutable, atomically ref-counted msgpack value plus the descriptors that travel with it. Opaque; any thread. */
struct hv_msg;

/* Growable msgpack writer. Zero-initialised is ready for use. Out of memory sets `failed` and every later call is a
 * no-op, so only the end needs checking. Numbers take the shortest encoding. Not thread-safe. */
struct hv_pack {
  uint8_t *data;
  uint64_t size, capacity;
  uint32_t failed;
};

void hv_pack_nil (struct hv_pack *);
void hv_pack_bool (struct hv_pack *, int);
void hv_pack_i64 (struct hv_pack *, int64_t);
void hv_pack_u64 (struct hv_pack *, uint64_t);
void hv_pack_f64 (struct hv_pack *, double);
void hv_pack_str (struct hv_pack *, const char *); /* NULL packs nil */
void hv_pack_strn (struct hv_pack *, const char *, uint64_t n);
void hv_pack_bin (struct hv_pack *, const void *, uint64_t n);
void hv_pack_array (struct hv_pack *, uint32_t count); /* followed by `count` values */
void hv_pack_map (struct hv_pack *, uint32_t count);   /* followed by `count` pairs */
void hv_pack_raw (struct hv_pack *, const void *, uint64_t n); /* bytes that are msgpack already */
void hv_pack_clear (struct hv_pack *);                         /* frees; usable again */

/* Lists whose length is known only at the end: open, append, close with the count. */
uint64_t hv_pack_array_open (struct hv_pack *);
void hv_pack_array_close (struct hv_pack *, uint64_t mark, uint32_t count);
uint64_t hv_pack_map_open (struct hv_pack *);
void hv_pack_map_close (struct hv_pack *, uint64_t mark, uint32_t count);

HV_CLEAN_DEFINE (hv_pack_body, uint8_t, free)
__attribute__ ((unused)) static inline void
hv_pack_cleanup (struct hv_pack *p)
{
  free (p->data);
}

/* Reader over bytes that passed the fence (depth, lengths and completeness are known good). One value at a time. */
struct hv_read {
  const uint8_t *at, *end;
};
#define HV_MP_NIL   1u
#define HV_MP_BOOL  2u
#define HV_MP_UINT  3u /* u */
#define HV_MP_INT   4u /* i, negative */
#define HV_MP_F64   5u
#define HV_MP_STR   6u /* data, size */
#define HV_MP_BIN   7u /* data, size */
#define HV_MP_ARRAY 8u /* size = items that follow */
#define HV_MP_MAP   9u /* size = pairs that follow */
#define HV_MP_EXT   10u /* data, size, i = type */
struct hv_value {
  uint32_t type;
  uint32_t size;
  union {
    uint64_t u;
    int64_t i;
    double f;
    const uint8_t *data;
  } as;
  int32_t ext_type;
};
/* Reads the head of the next value (containers: their items follow). Returns 1, or 0 at the end of the bytes. */
int hv_read_next (struct hv_read *, struct hv_value *ret);
/* Steps over one whole value. Returns its bytes. */
struct hv_bin hv_read_skip (struct hv_read *);

#ifdef __cplusplus
}
#endif
#endif
