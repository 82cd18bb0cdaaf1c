/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fence: whole values are found wherever the bytes are cut, and what could not fit is refused before it is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/err/err.h"
#include "core/msg/msg.h"
#include <cmocka.h>
#include <msgpack.h>
#include <string.h>

#define LIMIT (1u << 20)

/* One scan over all of it. */
static int
scan (const void *data, uint64_t n, uint64_t limit, uint64_t *ret_size)
{
  struct hv_fence f;
  hv_fence_init (&f, limit);
  return hv_fence_scan (&f, data, n, ret_size);
}

/* Fed as [0, cut), then everything, from a buffer that moves in between. */
static int
scan_cut (const uint8_t *data, uint64_t n, uint64_t cut, uint64_t *ret_size)
{
  struct hv_fence f;
  uint8_t *first = malloc (cut + 1);
  assert_non_null (first);
  memcpy (first, data, cut);
  hv_fence_init (&f, LIMIT);
  int r = hv_fence_scan (&f, first, cut, ret_size);
  free (first);
  return r == HV_FENCE_MORE ? hv_fence_scan (&f, data, n, ret_size) : r;
}

/* Byte by byte: MORE until the last one. */
static int
scan_bytes (const uint8_t *data, uint64_t n, uint64_t *ret_size)
{
  struct hv_fence f;
  int r = HV_FENCE_MORE;
  hv_fence_init (&f, LIMIT);
  for (uint64_t i = 1; i <= n && r == HV_FENCE_MORE; i++) {
    uint8_t *copy = malloc (i);
    assert_non_null (copy);
    memcpy (copy, data, i);
    r = hv_fence_scan (&f, copy, i, ret_size);
    free (copy);
    if (r == HV_FENCE_DONE)
      assert_int_equal (i, n);
  }
  return r;
}

/* A value that begins with `lead`, with small numbers in its head. Returns its size; 0 for 0xc1. */
static uint64_t
sample (uint8_t lead, uint8_t *buf)
{
  static const uint8_t numbers[32] = {
    [4] = 1, [5] = 2, [6] = 4, [7] = 1, [8] = 2, [9] = 4, [25] = 1, [26] = 2, [27] = 4, [28] = 2, [29] = 4, [30] = 2, [31] = 4
  };
  static const uint8_t fixed[32] = { [10] = 4, [11] = 8, [12] = 1, [13] = 2, [14] = 4, [15] = 8, [16] = 1, [17] = 2,
                                     [18] = 4, [19] = 8, [20] = 2, [21] = 3, [22] = 5, [23] = 9, [24] = 17 };
  uint64_t n = 1, body = 0;
  memset (buf, 0, 128); /* zero: the items of containers are zeros, and zero is a value of one byte */
  buf[0] = lead;
  if (lead == 0xc1)
    return 0;
  if (lead >= 0x80 && lead < 0xa0)
    return 1 + (uint64_t) (lead & 0x0f) * (lead < 0x90 ? 2 : 1);
  if (lead >= 0xa0 && lead < 0xc0)
    return 1 + (uint64_t) (lead & 0x1f);
  if (lead < 0x80 || lead >= 0xe0)
    return 1;
  n += numbers[lead - 0xc0];
  if (n == 1)
    return n + fixed[lead - 0xc0];
  buf[n - 1] = 5;
  body = lead >= 0xde ? 10 : lead >= 0xc7 && lead <= 0xc9 ? 6 : 5;
  return n + body;
}

static void
test_every_lead_at_every_cut (void **state)
{
  uint8_t buf[128];
  (void) state;
  for (unsigned lead = 0; lead < 256; lead++) {
    uint64_t n = sample ((uint8_t) lead, buf), size = 0;
    if (n == 0) {
      assert_int_equal (scan (buf, 128, LIMIT, &size), HV_FENCE_INVALID);
      continue;
    }
    assert_int_equal (scan (buf, n + 3, LIMIT, &size), HV_FENCE_DONE);
    assert_int_equal (size, n);
    for (uint64_t cut = 0; cut < n; cut++) {
      size = 77;
      assert_int_equal (scan (buf, cut, LIMIT, &size), HV_FENCE_MORE);
      assert_int_equal (size, 77);
      assert_int_equal (scan_cut (buf, n + 3, cut, &size), HV_FENCE_DONE);
      assert_int_equal (size, n);
    }
    assert_int_equal (scan_bytes (buf, n, &size), HV_FENCE_DONE);
    assert_int_equal (size, n);
    /* a value of n bytes passes a limit of n and of nothing less, known as soon as its head is there */
    assert_int_equal (scan (buf, n, n, &size), HV_FENCE_DONE);
    assert_int_equal (scan (buf, n, n - 1, &size), HV_FENCE_TOO_LONG);
  }
}

static void
refused (const char *bytes, size_t n, int want)
{
  uint64_t size = 0;
  assert_int_equal (scan (bytes, n, LIMIT, &size), want);
}
#define REFUSED(bytes, want) refused ((bytes), sizeof (bytes) - 1, (want))

static void
test_hostile_heads (void **state)
{
  (void) state;
  REFUSED ("\xdf\xff\xff\xff\xff", HV_FENCE_TOO_LONG);
  REFUSED ("\xdd\xff\xff\xff\xff", HV_FENCE_TOO_LONG);
  REFUSED ("\xdb\xff\xff\xff\xff", HV_FENCE_TOO_LONG);
  REFUSED ("\xc6\xff\xff\xff\xff", HV_FENCE_TOO_LONG);
  REFUSED ("\xc9\xff\xff\xff\xff", HV_FENCE_TOO_LONG);
  REFUSED ("\xde\xff\xff", HV_FENCE_MORE);                 /* 131070 values fit into 1 MiB */
  REFUSED ("\x92\xdd\x00\x0f\xff\xfa", HV_FENCE_TOO_LONG); /* alone it would fit; with what is owed it does not */
  REFUSED ("\x92\xdd\x00\x0f\xff\xf8", HV_FENCE_MORE);
  REFUSED ("\x91\xc1", HV_FENCE_INVALID);
}

/* Each container fits alone; together they promise more than there can be. */
static void
test_owed_adds_up (void **state)
{
  uint8_t buf[3 * 20];
  uint64_t size = 0;
  (void) state;
  for (unsigned i = 0; i < 20; i++)
    memcpy (buf + 3 * i, "\xdc\xff\xff", 3);
  assert_int_equal (scan (buf, sizeof buf, LIMIT, &size), HV_FENCE_TOO_LONG);
  assert_int_equal (scan (buf, 3 * 15, LIMIT, &size), HV_FENCE_MORE);
}

static void
test_depth (void **state)
{
  uint8_t buf[64];
  uint64_t size = 0;
  (void) state;
  memset (buf, 0x91, sizeof buf);
  buf[32] = 0xc0;
  assert_int_equal (scan (buf, 33, LIMIT, &size), HV_FENCE_DONE);
  assert_int_equal (scan_bytes (buf, 33, &size), HV_FENCE_DONE);
  buf[32] = 0x90; /* an empty list is one level too */
  assert_int_equal (scan (buf, 33, LIMIT, &size), HV_FENCE_TOO_DEEP);
  buf[32] = 0x91;
  assert_int_equal (scan (buf, 40, LIMIT, &size), HV_FENCE_TOO_DEEP);
  /* depth goes down again: 100 lists of depth 30 beside each other */
  struct hv_pack p = { 0 };
  hv_pack_array (&p, 100);
  for (int i = 0; i < 100; i++)
    for (int k = 0; k < 30; k++)
      hv_pack_array (&p, k < 29 ? 1 : 0);
  assert_int_equal (scan (p.data, p.size, LIMIT, &size), HV_FENCE_DONE);
  assert_int_equal (size, p.size);
  hv_pack_clear (&p);
}

static void
test_empty_and_zero_limit (void **state)
{
  uint64_t size = 0;
  (void) state;
  assert_int_equal (scan ("", 0, LIMIT, &size), HV_FENCE_MORE);
  assert_int_equal (scan ("\x01", 1, 0, &size), HV_FENCE_TOO_LONG);
}

/* --- random values, and what msgpack-c says about them --- */

static uint64_t seed = 42;

static uint32_t
random_below (uint32_t n)
{
  seed = seed * UINT64_C (6364136223846793005) + UINT64_C (1442695040888963407);
  return (uint32_t) (seed >> 33) % n;
}

static void
random_value (struct hv_pack *p, unsigned depth)
{
  static const uint8_t bytes[300];
  uint32_t n = random_below (depth < 6 ? 12 : 9);
  switch (n) {
  case 0:
    hv_pack_nil (p);
    break;
  case 1:
    hv_pack_bool (p, 1);
    break;
  case 2:
  case 3:
    hv_pack_u64 (p, seed >> random_below (64));
    break;
  case 4:
    hv_pack_i64 (p, -(int64_t) (seed >> (1 + random_below (62))));
    break;
  case 5:
    hv_pack_f64 (p, 0.25 * n);
    break;
  case 6:
  case 7:
    hv_pack_strn (p, (const char *) bytes, random_below (300));
    break;
  case 8:
    hv_pack_bin (p, bytes, random_below (300));
    break;
  case 9:
  case 10: {
    uint32_t count = random_below (20);
    hv_pack_array (p, count);
    while (count-- > 0)
      random_value (p, depth + 1);
    break;
  }
  default: {
    uint32_t count = random_below (10);
    hv_pack_map (p, count);
    for (count *= 2; count > 0; count--)
      random_value (p, depth + 1);
  }
  }
}

static uint64_t
msgpack_size (const uint8_t *data, uint64_t n)
{
  msgpack_unpacked u;
  size_t at = 0;
  msgpack_unpacked_init (&u);
  msgpack_unpack_return r = msgpack_unpack_next (&u, (const char *) data, n, &at);
  msgpack_unpacked_destroy (&u);
  return r == MSGPACK_UNPACK_SUCCESS || r == MSGPACK_UNPACK_EXTRA_BYTES ? at : 0;
}

static void
test_same_as_msgpack_c (void **state)
{
  (void) state;
  for (int i = 0; i < 2000; i++) {
    struct hv_pack p = { 0 };
    uint64_t size = 0;
    random_value (&p, 0);
    uint64_t whole = p.size;
    hv_pack_u64 (&p, 7); /* something follows */
    assert_int_equal (scan (p.data, p.size, LIMIT, &size), HV_FENCE_DONE);
    assert_int_equal (size, whole);
    assert_int_equal (msgpack_size (p.data, p.size), whole);
    struct hv_read r = { p.data, p.data + p.size };
    assert_int_equal (hv_read_skip (&r).size, whole);
    uint64_t cut = random_below ((uint32_t) whole);
    assert_int_equal (scan (p.data, cut, LIMIT, &size), HV_FENCE_MORE);
    assert_int_equal (scan_cut (p.data, whole, cut, &size), HV_FENCE_DONE);
    assert_int_equal (size, whole);
    if (whole < 200)
      assert_int_equal (scan_bytes (p.data, whole, &size), HV_FENCE_DONE);
    hv_pack_clear (&p);
  }
}

/* Values of which one byte was changed: what the fence calls whole, msgpack-c reads, with the same size. */
static void
test_changed_bytes (void **state)
{
  unsigned done = 0;
  (void) state;
  for (int i = 0; i < 4000; i++) {
    struct hv_pack p = { 0 };
    uint64_t size = 0;
    random_value (&p, 3);
    p.data[random_below ((uint32_t) p.size)] = (uint8_t) random_below (256);
    if (scan (p.data, p.size, LIMIT, &size) == HV_FENCE_DONE) {
      assert_int_equal (msgpack_size (p.data, p.size), size);
      done++;
    }
    hv_pack_clear (&p);
  }
  assert_in_range (done, 100, 4000);
}

static void
check_says (const char *bytes, size_t n, const char *text)
{
  struct hv_err *err = hv_error_new ();
  int r = hv_fence_check ((struct hv_bin){ (const uint8_t *) bytes, n }, 64, err);
  if (text == NULL) {
    assert_int_equal (r, 0);
  } else {
    assert_int_equal (r, HV_E_INVALID_ARGUMENT);
    assert_non_null (strstr (hv_err_message (err), text));
  }
  hv_err_free (err);
}

static void
test_check (void **state)
{
  (void) state;
  check_says ("\x92\x01\x02", 3, NULL);
  check_says ("\x92\x01\x02\x03", 4, "bytes follow");
  check_says ("\x92\x01", 2, "cut short");
  check_says ("", 0, "cut short");
  check_says ("\xda\xff\xff", 3, "longer than the limit");
  check_says ("\xc1", 1, "not msgpack");
  assert_non_null (strstr (hv_fence_strerror (HV_FENCE_TOO_DEEP), "deeper than 32"));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_every_lead_at_every_cut),
    cmocka_unit_test (test_hostile_heads),
    cmocka_unit_test (test_owed_adds_up),
    cmocka_unit_test (test_depth),
    cmocka_unit_test (test_empty_and_zero_limit),
    cmocka_unit_test (test_same_as_msgpack_c),
    cmocka_unit_test (test_changed_bytes),
    cmocka_unit_test (test_check),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
