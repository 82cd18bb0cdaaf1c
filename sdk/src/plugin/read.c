/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The msgpack reader: heads of values, over bytes that are known to be whole. It never reads past the end all the same. */
#include <hvkit/msg.h>
#include <string.h>

#define MP_F32 11u /* inside this file: becomes HV_MP_F64 */

/* What the lead bytes 0xc0 … 0xdf begin: a type, the bytes of a big-endian number after it, and a body of fixed size. */
struct lead {
  uint8_t type, number, body;
};
static const struct lead leads[32] = {
  { HV_MP_NIL, 0, 0 },  { 0, 0, 0 },         { HV_MP_BOOL, 0, 0 }, { HV_MP_BOOL, 0, 0 },  { HV_MP_BIN, 1, 0 },
  { HV_MP_BIN, 2, 0 },  { HV_MP_BIN, 4, 0 }, { HV_MP_EXT, 1, 0 },  { HV_MP_EXT, 2, 0 },   { HV_MP_EXT, 4, 0 },
  { MP_F32, 4, 0 },     { HV_MP_F64, 8, 0 }, { HV_MP_UINT, 1, 0 }, { HV_MP_UINT, 2, 0 },  { HV_MP_UINT, 4, 0 },
  { HV_MP_UINT, 8, 0 }, { HV_MP_INT, 1, 0 }, { HV_MP_INT, 2, 0 },  { HV_MP_INT, 4, 0 },   { HV_MP_INT, 8, 0 },
  { HV_MP_EXT, 0, 1 },  { HV_MP_EXT, 0, 2 }, { HV_MP_EXT, 0, 4 },  { HV_MP_EXT, 0, 8 },   { HV_MP_EXT, 0, 16 },
  { HV_MP_STR, 1, 0 },  { HV_MP_STR, 2, 0 }, { HV_MP_STR, 4, 0 },  { HV_MP_ARRAY, 2, 0 }, { HV_MP_ARRAY, 4, 0 },
  { HV_MP_MAP, 2, 0 },  { HV_MP_MAP, 4, 0 },
};

static uint64_t
left (const struct hv_read *r)
{
  return (uint64_t) (r->end - r->at);
}

static int
ends (struct hv_read *r)
{
  r->at = r->end;
  return 0;
}

static uint64_t
take_number (struct hv_read *r, unsigned n)
{
  uint64_t v = 0;
  for (unsigned i = 0; i < n; i++)
    v = v << 8 | r->at[i];
  r->at += n;
  return v;
}

static int
take_body (struct hv_read *r, uint32_t type, uint64_t n, struct hv_value *v)
{
  if (left (r) < n)
    return ends (r);
  v->type = type;
  v->size = (uint32_t) n;
  v->as.data = r->at;
  r->at += n;
  return 1;
}

static int
take_ext (struct hv_read *r, uint64_t n, struct hv_value *v)
{
  if (left (r) < 1)
    return ends (r);
  v->ext_type = (int8_t) *r->at++;
  return take_body (r, HV_MP_EXT, n, v);
}

static int
set_signed (struct hv_value *v, uint64_t bits, unsigned bytes)
{
  unsigned shift = 64 - 8 * bytes;
  v->as.i = (int64_t) (bits << shift) >> shift;
  v->type = v->as.i < 0 ? HV_MP_INT : HV_MP_UINT;
  return 1;
}

static int
set_float (struct hv_value *v, uint64_t bits, int narrow)
{
  uint32_t low = (uint32_t) bits;
  float f;
  memcpy (&f, &low, sizeof f);
  memcpy (&v->as.f, &bits, sizeof bits);
  if (narrow)
    v->as.f = (double) f;
  v->type = HV_MP_F64;
  return 1;
}

static int
read_long (struct hv_read *r, uint8_t byte, struct hv_value *v)
{
  struct lead lead = leads[byte - 0xc0];
  if (lead.type == 0 || left (r) < lead.number) /* 0xc1 does not exist */
    return ends (r);
  uint64_t number = take_number (r, lead.number);
  switch (lead.type) {
  case HV_MP_STR:
  case HV_MP_BIN:
    return take_body (r, lead.type, number, v);
  case HV_MP_EXT:
    return take_ext (r, lead.body > 0 ? lead.body : number, v);
  case HV_MP_INT:
    return set_signed (v, number, lead.number);
  case MP_F32:
  case HV_MP_F64:
    return set_float (v, number, lead.type == MP_F32);
  case HV_MP_ARRAY:
  case HV_MP_MAP:
    v->size = (uint32_t) number;
    break;
  case HV_MP_BOOL:
    v->as.u = byte & 1;
    break;
  default:
    v->as.u = number;
    break;
  }
  v->type = lead.type;
  return 1;
}

int
hv_read_next (struct hv_read *r, struct hv_value *v)
{
  if (r->at >= r->end)
    return 0;
  uint8_t byte = *r->at++;
  *v = (struct hv_value){ 0 };
  if (byte >= 0xc0 && byte < 0xe0)
    return read_long (r, byte, v);
  if (byte >= 0xa0 && byte < 0xc0)
    return take_body (r, HV_MP_STR, byte & 0x1f, v);
  if (byte < 0x80) {
    v->type = HV_MP_UINT;
    v->as.u = byte;
  } else if (byte >= 0xe0) {
    v->type = HV_MP_INT;
    v->as.i = (int8_t) byte;
  } else {
    v->type = byte < 0x90 ? HV_MP_MAP : HV_MP_ARRAY;
    v->size = byte & 0x0f;
  }
  return 1;
}

struct hv_bin
hv_read_skip (struct hv_read *r)
{
  const uint8_t *from = r->at;
  uint64_t owed = 1; /* cannot overflow: it grows by less than 2^33 for every byte or more that was read */
  struct hv_value v;
  for (; owed > 0; owed--) {
    if (!hv_read_next (r, &v))
      return (struct hv_bin){ NULL, 0 };
    if (v.type == HV_MP_ARRAY || v.type == HV_MP_MAP)
      owed += (uint64_t) v.size << (v.type == HV_MP_MAP);
  }
  return (struct hv_bin){ from, (uint64_t) (r->at - from) };
}
