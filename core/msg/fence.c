/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fence. Declared lengths are lies until the bytes are there: five bytes can promise four thousand million items. So before
 * anything is decoded, this scan walks the heads of a value, without recursion and without memory, and refuses what could not
 * fit. Every value needs at least one byte, so what is owed may never exceed what the limit leaves. */
#include "core/msg/msg.h"
#include <string.h>

void
hv_fence_init (struct hv_fence *f, uint64_t limit)
{
  f->limit = limit;
  f->at = f->skip = f->owed = 0;
  f->depth = 0;
  f->started = 0;
}

/* What a lead byte says: bytes of head after it that hold a number, and what the number means. */
enum kind { PLAIN, BODY, EXT, ARRAY, MAP, INVALID };
struct head {
  uint8_t kind, number, fixed; /* fixed: bytes of body without a number */
};

static struct head
head_of (uint8_t b)
{
  static const struct head table[32] = {
    { PLAIN, 0, 0 }, { INVALID, 0, 0 }, { PLAIN, 0, 0 }, { PLAIN, 0, 0 }, { BODY, 1, 0 }, { BODY, 2, 0 }, { BODY, 4, 0 }, { EXT, 1, 0 },
    { EXT, 2, 0 },   { EXT, 4, 0 },     { PLAIN, 0, 4 }, { PLAIN, 0, 8 }, { PLAIN, 0, 1 }, { PLAIN, 0, 2 }, { PLAIN, 0, 4 }, { PLAIN, 0, 8 },
    { PLAIN, 0, 1 }, { PLAIN, 0, 2 },   { PLAIN, 0, 4 }, { PLAIN, 0, 8 }, { PLAIN, 0, 2 }, { PLAIN, 0, 3 }, { PLAIN, 0, 5 }, { PLAIN, 0, 9 },
    { PLAIN, 0, 17 }, { BODY, 1, 0 },   { BODY, 2, 0 },  { BODY, 4, 0 },  { ARRAY, 2, 0 }, { ARRAY, 4, 0 }, { MAP, 2, 0 },   { MAP, 4, 0 },
  };
  if (b < 0x80 || b >= 0xe0)
    return (struct head){ PLAIN, 0, 0 };
  if (b < 0x90)
    return (struct head){ MAP, 0, b & 0x0f };
  if (b < 0xa0)
    return (struct head){ ARRAY, 0, b & 0x0f };
  if (b < 0xc0)
    return (struct head){ BODY, 0, b & 0x1f };
  return table[b - 0xc0];
}

static uint64_t
number (const uint8_t *p, unsigned n)
{
  uint64_t v = 0;
  for (unsigned i = 0; i < n; i++)
    v = v << 8 | p[i];
  return v;
}

/* One value is complete: so may be the containers around it. */
static void
value_done (struct hv_fence *f)
{
  while (f->depth > 0 && --f->left[f->depth - 1] == 0)
    f->depth--;
}

static int
open_container (struct hv_fence *f, uint64_t items)
{
  if (items == 0) {
    value_done (f);
    return 0;
  }
  if (f->depth == HV_FENCE_DEPTH_MAX)
    return HV_FENCE_TOO_DEEP;
  f->owed += items;
  if (f->owed > f->limit - f->at || items > UINT32_MAX)
    return HV_FENCE_TOO_LONG;
  f->left[f->depth++] = (uint32_t) items;
  return 0;
}

/* One head whose bytes are all there. */
static int
scan_head (struct hv_fence *f, struct head h, uint64_t n)
{
  if (f->started)
    f->owed--;
  f->started = 1;
  if (h.kind == ARRAY || h.kind == MAP)
    return open_container (f, h.kind == MAP ? 2 * n : n);
  uint64_t body = h.kind == EXT ? n + 1 : n;
  if (body + f->owed > f->limit - f->at)
    return HV_FENCE_TOO_LONG;
  f->skip = body;
  if (body == 0)
    value_done (f);
  return 0;
}

int
hv_fence_scan (struct hv_fence *f, const uint8_t *data, uint64_t n, uint64_t *ret_size)
{
  for (;;) {
    if (f->skip > 0) {
      uint64_t have = n - f->at, step = f->skip < have ? f->skip : have;
      f->at += step;
      f->skip -= step;
      if (f->skip > 0)
        return HV_FENCE_MORE;
      value_done (f);
    }
    if (f->started && f->depth == 0) {
      *ret_size = f->at;
      return HV_FENCE_DONE;
    }
    if (f->at >= n)
      return f->at >= f->limit ? HV_FENCE_TOO_LONG : HV_FENCE_MORE;
    struct head h = head_of (data[f->at]);
    if (h.kind == INVALID)
      return HV_FENCE_INVALID;
    if (1u + h.number > n - f->at)
      return f->at + 1u + h.number > f->limit ? HV_FENCE_TOO_LONG : HV_FENCE_MORE;
    uint64_t value = h.number > 0 ? number (data + f->at + 1, h.number) : h.fixed;
    if (f->at + 1u + h.number > f->limit)
      return HV_FENCE_TOO_LONG;
    f->at += 1u + h.number;
    int r = scan_head (f, h, value);
    if (r < 0)
      return r;
  }
}

const char *
hv_fence_strerror (int r)
{
  switch (r) {
  case HV_FENCE_MORE: return "it is cut short";
  case HV_FENCE_DONE: return "it is whole";
  case HV_FENCE_TOO_DEEP: return "it is nested deeper than 32 levels";
  case HV_FENCE_TOO_LONG: return "it is, or says it will be, longer than the limit";
  default: return "it is not msgpack";
  }
}

int
hv_fence_check (struct hv_bin b, uint64_t limit, struct hv_err *err)
{
  struct hv_fence f;
  uint64_t size = 0;
  hv_fence_init (&f, limit);
  int r = hv_fence_scan (&f, b.data, b.size, &size);
  if (r == HV_FENCE_DONE && size == b.size)
    return 0;
  return hv_err_set (err, HV_E_INVALID_ARGUMENT, "not one msgpack value: %s", r == HV_FENCE_DONE ? "bytes follow it" : hv_fence_strerror (r));
}
