/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fence. Declared lengths are lies until the bytes are there: five bytes can promise four thousand million items. So before
 * anything is decoded, this scan walks the heads of a value, without recursion and without memory, and refuses what could not
 * fit. Every value needs at least one byte, so what is scanned plus what is owed may never exceed the limit.
 *
 * While it runs, `need` = at + skip + owed: the least number of bytes the whole value has. A one-byte value moves one byte
 * from `owed` to `at` and leaves it alone, which is why the commonest case is the cheapest. */
#include "core/msg/msg.h"
#include <string.h>

/* Bytes of a value, head and body, by its lead byte; 0 where the head says more: containers, long bodies, and 0xc1. */
static const uint8_t whole_size[256] = {
  [0x00 ... 0x7f] = 1, [0xa0] = 1,  [0xa1] = 2,  [0xa2] = 3,          [0xa3] = 4,  [0xa4] = 5,  [0xa5] = 6,  [0xa6] = 7,
  [0xa7] = 8,          [0xa8] = 9,  [0xa9] = 10, [0xaa] = 11,         [0xab] = 12, [0xac] = 13, [0xad] = 14, [0xae] = 15,
  [0xaf] = 16,         [0xb0] = 17, [0xb1] = 18, [0xb2] = 19,         [0xb3] = 20, [0xb4] = 21, [0xb5] = 22, [0xb6] = 23,
  [0xb7] = 24,         [0xb8] = 25, [0xb9] = 26, [0xba] = 27,         [0xbb] = 28, [0xbc] = 29, [0xbd] = 30, [0xbe] = 31,
  [0xbf] = 32,         [0xc0] = 1,  [0xc2] = 1,  [0xc3] = 1,          [0xca] = 5,  [0xcb] = 9,  [0xcc] = 2,  [0xcd] = 3,
  [0xce] = 5,          [0xcf] = 9,  [0xd0] = 2,  [0xd1] = 3,          [0xd2] = 5,  [0xd3] = 9,  [0xd4] = 3,  [0xd5] = 4,
  [0xd6] = 6,          [0xd7] = 10, [0xd8] = 18, [0xe0 ... 0xff] = 1,
};

/* The number in the head of the others: how many bytes it has, and what each unit of it stands for. */
struct long_head {
  uint8_t number, items, extra; /* items: values per unit, 0 = bytes of body; extra: bytes of body besides */
};
static const struct long_head long_heads[32] = {
  [0x04] = { 1, 0, 0 }, [0x05] = { 2, 0, 0 }, [0x06] = { 4, 0, 0 }, /* bin */
  [0x07] = { 1, 0, 1 }, [0x08] = { 2, 0, 1 }, [0x09] = { 4, 0, 1 }, /* ext */
  [0x19] = { 1, 0, 0 }, [0x1a] = { 2, 0, 0 }, [0x1b] = { 4, 0, 0 }, /* str */
  [0x1c] = { 2, 1, 0 }, [0x1d] = { 4, 1, 0 },                       /* array */
  [0x1e] = { 2, 2, 0 }, [0x1f] = { 4, 2, 0 },                       /* map */
};

/* The running scan: what is in registers while a call lasts. */
struct scan {
  const uint8_t *data;
  uint64_t n, at, need;
  uint32_t left; /* of the innermost open container */
};

void
hv_fence_init (struct hv_fence *f, uint64_t limit)
{
  f->limit = limit;
  f->at = f->skip = 0;
  f->owed = 1;
  f->depth = 0;
  f->started = 0;
}

static int
open_container (struct hv_fence *f, struct scan *s, uint64_t items)
{
  if (f->depth == HV_FENCE_DEPTH_MAX)
    return HV_FENCE_TOO_DEEP;
  if (items > UINT32_MAX || items > f->limit - s->need)
    return HV_FENCE_TOO_LONG;
  if (items == 0)
    return HV_FENCE_DONE;
  s->need += items;
  if (f->depth > 0)
    f->left[f->depth - 1] = s->left;
  f->left[f->depth++] = s->left = (uint32_t) items;
  return HV_FENCE_DONE;
}

/* Takes a head whose number follows the lead byte. `at` stays before it while it is incomplete. */
static int
scan_long (struct hv_fence *f, struct scan *s, uint8_t lead)
{
  struct long_head h = lead >= 0xc0 ? long_heads[lead - 0xc0] : (struct long_head){ 0, lead < 0x90 ? 2 : 1, 0 };
  uint64_t number = 0;
  if (lead == 0xc1)
    return HV_FENCE_INVALID;
  if (h.number > f->limit - s->need)
    return HV_FENCE_TOO_LONG;
  if (h.number >= s->n - s->at)
    return HV_FENCE_MORE;
  for (unsigned i = 1; i <= h.number; i++)
    number = number << 8 | s->data[s->at + i];
  if (lead < 0xc0)
    number = lead & 0x0f;
  s->at += 1u + h.number;
  s->need += h.number;
  s->left--;
  if (h.items > 0)
    return open_container (f, s, number * h.items);
  number += h.extra;
  if (number > f->limit - s->need)
    return HV_FENCE_TOO_LONG;
  s->need += number;
  s->at += number; /* past the end of what is here: the caller notices */
  return HV_FENCE_DONE;
}

/* Steps over what the innermost container still has, up to its end or the end of the bytes. */
static int
scan_values (struct hv_fence *f, struct scan *s)
{
  while (s->left > 0 && s->at < s->n) {
    uint8_t lead = s->data[s->at];
    if (lead < 0x80 || lead >= 0xe0) {
      s->at++;
      s->left--;
      continue;
    }
    unsigned size = whole_size[lead];
    if ((lead & 0xef) == 0x80 && f->depth < HV_FENCE_DEPTH_MAX) { /* an empty container is a byte like any other */
      s->at++;
      s->left--;
      continue;
    }
    if (size == 0) {
      int r = scan_long (f, s, lead);
      if (r != HV_FENCE_DONE)
        return r;
      continue;
    }
    s->at += size;
    s->need += size - 1;
    s->left--;
    if (s->need > f->limit)
      return HV_FENCE_TOO_LONG;
  }
  return s->left > 0 ? HV_FENCE_MORE : HV_FENCE_DONE;
}

static int
scan (struct hv_fence *f, struct scan *s)
{
  for (;;) {
    int r = scan_values (f, s);
    if (r != HV_FENCE_DONE)
      return r;
    if (f->depth == 0)
      return s->at > s->n ? HV_FENCE_MORE : HV_FENCE_DONE;
    f->depth--;
    s->left = f->depth > 0 ? f->left[f->depth - 1] : 0;
  }
}

/* Back into the fence; a body that goes beyond what is here becomes `skip`. */
static void
keep (struct hv_fence *f, const struct scan *s)
{
  f->skip = s->at > s->n ? s->at - s->n : 0;
  f->at = s->at - f->skip;
  f->owed = s->need - s->at;
  if (f->depth > 0)
    f->left[f->depth - 1] = s->left;
}

int
hv_fence_scan (struct hv_fence *f, const uint8_t *data, uint64_t n, uint64_t *ret_size)
{
  uint64_t have = n > f->at ? n - f->at : 0, step = f->skip < have ? f->skip : have;
  f->at += step;
  f->skip -= step;
  if (f->skip > 0 || (step == have && f->owed > 0))
    return f->at + f->skip + f->owed > f->limit ? HV_FENCE_TOO_LONG : HV_FENCE_MORE;
  struct scan s = { data, n, f->at, f->at + f->owed, f->depth > 0 ? f->left[f->depth - 1] : (uint32_t) f->owed };
  if (s.need > f->limit)
    return HV_FENCE_TOO_LONG;
  f->started = 1;
  int r = scan (f, &s);
  keep (f, &s);
  if (r == HV_FENCE_DONE)
    *ret_size = f->at;
  return r;
}

const char *
hv_fence_strerror (int r)
{
  switch (r) {
  case HV_FENCE_MORE:
    return "it is cut short";
  case HV_FENCE_DONE:
    return "it is whole";
  case HV_FENCE_TOO_DEEP:
    return "it is nested deeper than 32 levels";
  case HV_FENCE_TOO_LONG:
    return "it is, or says it will be, longer than the limit";
  default:
    return "it is not msgpack";
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
  return hv_err_set (err, HV_E_INVALID_ARGUMENT, "not one msgpack value: %s",
                     r == HV_FENCE_DONE ? "bytes follow it" : hv_fence_strerror (r));
}
