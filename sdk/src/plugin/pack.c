/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The msgpack writer: shortest encodings, one buffer, failure sticks. */
#include <hvkit/msg.h>
#include <string.h>

/* Makes room for n more bytes. 0 when there is none: `failed` is set, or was. */
static int
grow (struct hv_pack *p, uint64_t n)
{
  uint64_t want, capacity = p->capacity < 64 ? 64 : p->capacity;
  if (p->failed || __builtin_add_overflow (p->size, n, &want))
    goto fail;
  while (capacity < want)
    if (__builtin_mul_overflow (capacity, 2, &capacity))
      goto fail;
  uint8_t *more = realloc (p->data, capacity);
  if (more == NULL)
    goto fail;
  p->data = more;
  p->capacity = capacity;
  return 1;
fail:
  p->failed = 1;
  return 0;
}

static inline int
reserve (struct hv_pack *p, uint64_t n)
{
  if (__builtin_expect (!p->failed && p->capacity - p->size >= n, 1))
    return 1;
  return grow (p, n);
}

/* A lead byte and a big-endian number of `bytes` bytes. Eight are always written and those that count are kept, which
 * is faster than a copy of variable length. */
static inline void
put (struct hv_pack *p, uint8_t lead, uint64_t v, unsigned bytes)
{
  if (!reserve (p, 9))
    return;
  uint64_t be = __builtin_bswap64 (bytes > 0 ? v << (64 - 8 * bytes) : 0);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  be = __builtin_bswap64 (be);
#endif
  p->data[p->size] = lead;
  memcpy (p->data + p->size + 1, &be, sizeof be);
  p->size += 1 + bytes;
}

void
hv_pack_nil (struct hv_pack *p)
{
  put (p, 0xc0, 0, 0);
}

void
hv_pack_bool (struct hv_pack *p, int v)
{
  put (p, v ? 0xc3 : 0xc2, 0, 0);
}

void
hv_pack_u64 (struct hv_pack *p, uint64_t v)
{
  if (v < 0x80)
    put (p, (uint8_t) v, 0, 0);
  else if (v <= UINT8_MAX)
    put (p, 0xcc, v, 1);
  else if (v <= UINT16_MAX)
    put (p, 0xcd, v, 2);
  else if (v <= UINT32_MAX)
    put (p, 0xce, v, 4);
  else
    put (p, 0xcf, v, 8);
}

void
hv_pack_i64 (struct hv_pack *p, int64_t v)
{
  if (v >= 0)
    hv_pack_u64 (p, (uint64_t) v);
  else if (v >= -32)
    put (p, (uint8_t) v, 0, 0);
  else if (v >= INT8_MIN)
    put (p, 0xd0, (uint64_t) v, 1);
  else if (v >= INT16_MIN)
    put (p, 0xd1, (uint64_t) v, 2);
  else if (v >= INT32_MIN)
    put (p, 0xd2, (uint64_t) v, 4);
  else
    put (p, 0xd3, (uint64_t) v, 8);
}

void
hv_pack_f64 (struct hv_pack *p, double v)
{
  uint64_t bits;
  memcpy (&bits, &v, sizeof bits);
  put (p, 0xcb, bits, 8);
}

static inline void
body (struct hv_pack *p, const void *data, uint64_t n)
{
  if (n == 0 || !reserve (p, n))
    return;
  memcpy (p->data + p->size, data, n);
  p->size += n;
}

void
hv_pack_strn (struct hv_pack *p, const char *s, uint64_t n)
{
  if (n > UINT32_MAX) {
    p->failed = 1;
    return;
  }
  if (n < 32)
    put (p, (uint8_t) (0xa0 | n), 0, 0);
  else if (n <= UINT8_MAX)
    put (p, 0xd9, n, 1);
  else if (n <= UINT16_MAX)
    put (p, 0xda, n, 2);
  else
    put (p, 0xdb, n, 4);
  body (p, s, n);
}

void
hv_pack_str (struct hv_pack *p, const char *s)
{
  if (s == NULL)
    hv_pack_nil (p);
  else
    hv_pack_strn (p, s, strlen (s));
}

void
hv_pack_bin (struct hv_pack *p, const void *data, uint64_t n)
{
  if (n > UINT32_MAX) {
    p->failed = 1;
    return;
  }
  if (n <= UINT8_MAX)
    put (p, 0xc4, n, 1);
  else if (n <= UINT16_MAX)
    put (p, 0xc5, n, 2);
  else
    put (p, 0xc6, n, 4);
  body (p, data, n);
}

void
hv_pack_array (struct hv_pack *p, uint32_t n)
{
  if (n < 16)
    put (p, (uint8_t) (0x90 | n), 0, 0);
  else if (n <= UINT16_MAX)
    put (p, 0xdc, n, 2);
  else
    put (p, 0xdd, n, 4);
}

void
hv_pack_map (struct hv_pack *p, uint32_t n)
{
  if (n < 16)
    put (p, (uint8_t) (0x80 | n), 0, 0);
  else if (n <= UINT16_MAX)
    put (p, 0xde, n, 2);
  else
    put (p, 0xdf, n, 4);
}

void
hv_pack_raw (struct hv_pack *p, const void *data, uint64_t n)
{
  body (p, data, n);
}

void
hv_pack_clear (struct hv_pack *p)
{
  free (p->data);
  memset (p, 0, sizeof *p);
}

uint64_t
hv_pack_array_open (struct hv_pack *p)
{
  put (p, 0xdd, 0, 4);
  return p->size;
}

uint64_t
hv_pack_map_open (struct hv_pack *p)
{
  put (p, 0xdf, 0, 4);
  return p->size;
}

/* Writes the count; a small one moves the items forward over the three or four bytes that it does not need. */
static void
close_list (struct hv_pack *p, uint64_t mark, uint32_t n, uint8_t small, uint8_t mid)
{
  if (p->failed || mark < 5 || mark > p->size)
    return;
  uint64_t items = p->size - mark;
  uint8_t *at = p->data + mark - 5;
  unsigned head = n < 16 ? 1 : n <= UINT16_MAX ? 3 : 5;
  if (head == 1)
    at[0] = (uint8_t) (small | n);
  else if (head == 3)
    at[0] = mid;
  for (unsigned i = 1; i < head; i++)
    at[i] = (uint8_t) (n >> (8 * (head - 1 - i)));
  memmove (at + head, p->data + mark, items);
  p->size = mark - 5 + head + items;
}

void
hv_pack_array_close (struct hv_pack *p, uint64_t mark, uint32_t n)
{
  close_list (p, mark, n, 0x90, 0xdc);
}

void
hv_pack_map_close (struct hv_pack *p, uint64_t mark, uint32_t n)
{
  close_list (p, mark, n, 0x80, 0xde);
}
