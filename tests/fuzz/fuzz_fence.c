/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes from outside, the whole way: fence, frame, decode, encode. What the fence lets through is safe to walk; where the
 * bytes are cut makes no difference; what was decoded and encoded once stays the same. */
#include "core/msg/msg.h"
#include "tests/lib/every_type.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t n);

#define LIMIT 65536u

static void
check (int ok)
{
  if (!ok)
    abort ();
}

/* The first byte chooses where the bytes are cut: a fence fed in pieces says what one fed at once says. */
static int
scan_in_pieces (uint8_t seed, const uint8_t *data, uint64_t n, uint64_t *ret_size)
{
  struct hv_fence f;
  uint64_t have = 0;
  uint32_t random = seed;
  int r = HV_FENCE_MORE;
  hv_fence_init (&f, LIMIT);
  while (r == HV_FENCE_MORE && have < n) {
    random = random * 1103515245u + 12345u;
    have += 1 + (random >> 16) % (1u + seed % 16);
    have = have < n ? have : n;
    r = hv_fence_scan (&f, data, have, ret_size);
  }
  return r;
}

static int
decode (struct hv_bin b, struct hv_arena *a, struct et_tree *t)
{
  static const int32_t fds[] = { 0, 1 };
  struct hv_decode how = { .arena = a, .flags = b.size & 1 ? HV_DECODE_OPEN : 0, .fds = fds, .fd_count = 2 };
  return hv_record_decode (&et_tree_record, b, &how, t, NULL);
}

static void
decode_and_encode (struct hv_bin b)
{
  struct hv_pack once = { 0 }, twice = { 0 };
  struct hv_arena arena = { 0 };
  struct et_tree t = { 0 }, again = { 0 };
  if (decode (b, &arena, &t) == 0) {
    t.has.file = 0; /* descriptors do not travel in what is encoded here */
    check (hv_record_encode (&et_tree_record, &t, &once, NULL) == 0);
    struct hv_bin o = { once.data, once.size };
    check (hv_fence_check (o, UINT32_MAX, NULL) == 0);
    check (decode (o, &arena, &again) == 0);
    again.has.file = 0;
    check (hv_record_encode (&et_tree_record, &again, &twice, NULL) == 0);
    check (once.size == twice.size && memcmp (once.data, twice.data, once.size) == 0);
  }
  hv_pack_clear (&once);
  hv_pack_clear (&twice);
  hv_arena_free (&arena);
}

static void
walk (struct hv_bin b)
{
  struct hv_read r = { b.data, b.data + b.size };
  struct hv_frame frame;
  struct hv_bin args;
  check (hv_read_skip (&r).size == b.size);
  if (hv_frame_parse (b, &frame, NULL) == 0 && frame.kind != 1 && hv_frame_args (frame.args, &args, NULL) == 0)
    decode_and_encode (args);
  char *text = hv_pack_to_json (b, 1);
  check (text != NULL);
  free (text);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t n)
{
  struct hv_fence f;
  uint64_t size = 0, size_in_pieces = 0;
  if (n < 1)
    return 0;
  hv_fence_init (&f, LIMIT);
  int r = hv_fence_scan (&f, data + 1, n - 1, &size);
  int pieces = scan_in_pieces (data[0], data + 1, n - 1, &size_in_pieces);
  check (r == pieces || n == 1);
  check (size == size_in_pieces && size <= n - 1 && size <= LIMIT);
  if (r != HV_FENCE_DONE)
    return 0;
  walk ((struct hv_bin){ data + 1, size });
  decode_and_encode ((struct hv_bin){ data + 1, size });
  return 0;
}
