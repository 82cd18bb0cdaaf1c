/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The msgpack reader: heads of values, over bytes that are known to be whole. It never reads past the end all the same. */
#include <hvkit/msg.h>
#include <string.h>

static uint64_t
big_endian (const uint8_t *p, unsigned n)
{
  uint64_t v = 0;
  for (unsigned i = 0; i < n; i++)
    v = v << 8 | p[i];
  return v;
}

/* Takes `n` bytes of head after the lead byte; NULL when there are fewer. */
static const uint8_t *
take (struct hv_read *r, uint64_t n)
{
  const uint8_t *at = r->at;
  if ((uint64_t) (r->end - r->at) < n) {
    r->at = r->end;
    return NULL;
  }
  r->at += n;
  return at;
}

static int
read_uint (struct hv_read *r, unsigned bytes, struct hv_value *v)
{
  const uint8_t *p = take (r, bytes);
  if (p == NULL)
    return 0;
  v->type = HV_MP_UINT;
  v->as.u = big_endian (p, bytes);
  return 1;
}

static int
read_int (struct hv_read *r, unsigned bytes, struct hv_value *v)
{
  const uint8_t *p = take (r, bytes);
  if (p == NULL)
    return 0;
  unsigned shift = 64 - 8 * bytes;
  int64_t i = (int64_t) (big_endian (p, bytes) << shift) >> shift;
  v->type = i < 0 ? HV_MP_INT : HV_MP_UINT;
  if (i < 0)
    v->as.i = i;
  else
    v->as.u = (uint64_t) i;
  return 1;
}

static int
read_float (struct hv_read *r, unsigned bytes, struct hv_value *v)
{
  const uint8_t *p = take (r, bytes);
  if (p == NULL)
    return 0;
  v->type = HV_MP_F64;
  if (bytes == 8) {
    uint64_t bits = big_endian (p, 8);
    memcpy (&v->as.f, &bits, sizeof bits);
  } else {
    uint32_t bits = (uint32_t) big_endian (p, 4);
    float f;
    memcpy (&f, &bits, sizeof bits);
    v->as.f = (double) f;
  }
  return 1;
}

static int
read_body (struct hv_read *r, uint32_t type, uint64_t n, struct hv_value *v)
{
  const uint8_t *p = take (r, n);
  if (p == NULL)
    return 0;
  v->type = type;
  v->size = (uint32_t) n;
  v->as.data = p;
  return 1;
}

static int
read_sized (struct hv_read *r, uint32_t type, unsigned bytes, struct hv_value *v)
{
  const uint8_t *p = take (r, bytes);
  return p != NULL && read_body (r, type, big_endian (p, bytes), v);
}

static int
read_container (struct hv_read *r, uint32_t type, unsigned bytes, struct hv_value *v)
{
  const uint8_t *p = take (r, bytes);
  if (p == NULL)
    return 0;
  v->type = type;
  v->size = (uint32_t) big_endian (p, bytes);
  return 1;
}

static int
read_ext (struct hv_read *r, uint64_t n, struct hv_value *v)
{
  const uint8_t *type = take (r, 1);
  if (type == NULL)
    return 0;
  v->ext_type = (int8_t) *type;
  return read_body (r, HV_MP_EXT, n, v);
}

static int
read_ext_sized (struct hv_read *r, unsigned bytes, struct hv_value *v)
{
  const uint8_t *p = take (r, bytes);
  return p != NULL && read_ext (r, big_endian (p, bytes), v);
}

/* 0xc0 … 0xdf */
static int
read_lead (struct hv_read *r, uint8_t lead, struct hv_value *v)
{
  switch (lead) {
  case 0xc0: v->type = HV_MP_NIL; return 1;
  case 0xc2:
  case 0xc3: v->type = HV_MP_BOOL; v->as.u = lead & 1; return 1;
  case 0xc4: return read_sized (r, HV_MP_BIN, 1, v);
  case 0xc5: return read_sized (r, HV_MP_BIN, 2, v);
  case 0xc6: return read_sized (r, HV_MP_BIN, 4, v);
  case 0xc7: return read_ext_sized (r, 1, v);
  case 0xc8: return read_ext_sized (r, 2, v);
  case 0xc9: return read_ext_sized (r, 4, v);
  case 0xca: return read_float (r, 4, v);
  case 0xcb: return read_float (r, 8, v);
  case 0xcc: return read_uint (r, 1, v);
  case 0xcd: return read_uint (r, 2, v);
  case 0xce: return read_uint (r, 4, v);
  case 0xcf: return read_uint (r, 8, v);
  case 0xd0: return read_int (r, 1, v);
  case 0xd1: return read_int (r, 2, v);
  case 0xd2: return read_int (r, 4, v);
  case 0xd3: return read_int (r, 8, v);
  case 0xd4:
  case 0xd5:
  case 0xd6:
  case 0xd7:
  case 0xd8: return read_ext (r, 1u << (lead - 0xd4), v);
  case 0xd9: return read_sized (r, HV_MP_STR, 1, v);
  case 0xda: return read_sized (r, HV_MP_STR, 2, v);
  case 0xdb: return read_sized (r, HV_MP_STR, 4, v);
  case 0xdc: return read_container (r, HV_MP_ARRAY, 2, v);
  case 0xdd: return read_container (r, HV_MP_ARRAY, 4, v);
  case 0xde: return read_container (r, HV_MP_MAP, 2, v);
  case 0xdf: return read_container (r, HV_MP_MAP, 4, v);
  default: return 0; /* 0xc1 does not exist */
  }
}

int
hv_read_next (struct hv_read *r, struct hv_value *v)
{
  if (r->at >= r->end)
    return 0;
  uint8_t lead = *r->at++;
  *v = (struct hv_value){ 0 };
  if (lead < 0x80) {
    v->type = HV_MP_UINT;
    v->as.u = lead;
  } else if (lead < 0x90) {
    v->type = HV_MP_MAP;
    v->size = lead & 0x0f;
  } else if (lead < 0xa0) {
    v->type = HV_MP_ARRAY;
    v->size = lead & 0x0f;
  } else if (lead < 0xc0) {
    return read_body (r, HV_MP_STR, lead & 0x1f, v);
  } else if (lead >= 0xe0) {
    v->type = HV_MP_INT;
    v->as.i = (int8_t) lead;
  } else {
    return read_lead (r, lead, v);
  }
  return 1;
}

struct hv_bin
hv_read_skip (struct hv_read *r)
{
  const uint8_t *from = r->at;
  uint64_t left = 1;
  struct hv_value v;
  while (left > 0 && hv_read_next (r, &v)) {
    left--;
    if (v.type == HV_MP_ARRAY)
      left += v.size;
    else if (v.type == HV_MP_MAP)
      left += 2 * (uint64_t) v.size;
  }
  return (struct hv_bin){ from, (uint64_t) (r->at - from) };
}
