/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The msgpack writer and reader, against each other, against the format's own byte sequences and against msgpack-c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <hvkit/msg.h>
#include <limits.h>
#include <math.h>
#include <string.h>

static void
expect_bytes (struct hv_pack *p, const char *bytes, size_t n)
{
  assert_false (p->failed);
  assert_int_equal (p->size, n);
  assert_memory_equal (p->data, bytes, n);
  hv_pack_clear (p);
  assert_null (p->data);
}
#define EXPECT(p, bytes) expect_bytes ((p), (bytes), sizeof (bytes) - 1)

static void
test_numbers_are_shortest (void **state)
{
  static const struct {
    int64_t v;
    const char *bytes;
    size_t n;
  } cases[] = {
    { 0, "\x00", 1 },
    { 127, "\x7f", 1 },
    { 128, "\xcc\x80", 2 },
    { 255, "\xcc\xff", 2 },
    { 256, "\xcd\x01\x00", 3 },
    { 65535, "\xcd\xff\xff", 3 },
    { 65536, "\xce\x00\x01\x00\x00", 5 },
    { 4294967295, "\xce\xff\xff\xff\xff", 5 },
    { 4294967296, "\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 9 },
    { INT64_MAX, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9 },
    { -1, "\xff", 1 },
    { -32, "\xe0", 1 },
    { -33, "\xd0\xdf", 2 },
    { -128, "\xd0\x80", 2 },
    { -129, "\xd1\xff\x7f", 3 },
    { -32768, "\xd1\x80\x00", 3 },
    { -32769, "\xd2\xff\xff\x7f\xff", 5 },
    { INT32_MIN, "\xd2\x80\x00\x00\x00", 5 },
    { (int64_t) INT32_MIN - 1, "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff", 9 },
    { INT64_MIN, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9 },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct hv_pack p = { 0 };
    hv_pack_i64 (&p, cases[i].v);
    struct hv_read r = { p.data, p.data + p.size };
    struct hv_value v;
    assert_int_equal (hv_read_next (&r, &v), 1);
    assert_int_equal (v.type, cases[i].v < 0 ? HV_MP_INT : HV_MP_UINT);
    assert_true (v.as.i == cases[i].v);
    expect_bytes (&p, cases[i].bytes, cases[i].n);
  }
}

static void
test_plain_values (void **state)
{
  struct hv_pack p = { 0 };
  (void) state;
  hv_pack_nil (&p);
  hv_pack_bool (&p, 0);
  hv_pack_bool (&p, 7);
  hv_pack_f64 (&p, 1.5);
  hv_pack_u64 (&p, UINT64_MAX);
  EXPECT (&p, "\xc0\xc2\xc3\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
}

/* Around every boundary of the length encodings, for text and bytes. */
static void
test_lengths (void **state)
{
  static const uint32_t lengths[] = { 0, 1, 31, 32, 255, 256, 65535, 65536, 70000 };
  (void) state;
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    struct hv_pack p = { 0 };
    struct hv_value v;
    uint32_t n = lengths[i];
    char *text = calloc (1, n + 1);
    assert_non_null (text);
    memset (text, 'x', n);
    hv_pack_strn (&p, text, n);
    hv_pack_bin (&p, text, n);
    struct hv_read r = { p.data, p.data + p.size };
    assert_int_equal (hv_read_next (&r, &v), 1);
    assert_int_equal (v.type, HV_MP_STR);
    assert_int_equal (v.size, n);
    assert_memory_equal (v.as.data, text, n);
    uint64_t head = (uint64_t) (v.as.data - p.data);
    assert_int_equal (head, n < 32 ? 1 : n < 256 ? 2 : n < 65536 ? 3 : 5);
    assert_int_equal (hv_read_next (&r, &v), 1);
    assert_int_equal (v.type, HV_MP_BIN);
    assert_int_equal (v.size, n);
    assert_ptr_equal (r.at, r.end);
    hv_pack_clear (&p);
    free (text);
  }
}

static void
test_text_null_is_nil (void **state)
{
  struct hv_pack p = { 0 };
  (void) state;
  hv_pack_str (&p, NULL);
  hv_pack_str (&p, "");
  EXPECT (&p, "\xc0\xa0");
}

static void
test_container_heads (void **state)
{
  static const uint32_t counts[] = { 0, 15, 16, 65535, 65536, UINT32_MAX };
  (void) state;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    struct hv_pack p = { 0 };
    struct hv_value v;
    hv_pack_array (&p, counts[i]);
    hv_pack_map (&p, counts[i]);
    struct hv_read r = { p.data, p.data + p.size };
    assert_int_equal (hv_read_next (&r, &v), 1);
    assert_true (v.type == HV_MP_ARRAY && v.size == counts[i]);
    assert_int_equal (hv_read_next (&r, &v), 1);
    assert_true (v.type == HV_MP_MAP && v.size == counts[i]);
    hv_pack_clear (&p);
  }
}

static void
test_open_and_close (void **state)
{
  static const uint32_t counts[] = { 0, 1, 15, 16, 300, 65536 };
  (void) state;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    struct hv_pack p = { 0 }, want = { 0 };
    uint64_t outer = hv_pack_map_open (&p), inner;
    hv_pack_str (&p, "list");
    inner = hv_pack_array_open (&p);
    hv_pack_map (&want, 1);
    hv_pack_str (&want, "list");
    hv_pack_array (&want, counts[i]);
    for (uint32_t k = 0; k < counts[i]; k++) {
      hv_pack_u64 (&p, k);
      hv_pack_u64 (&want, k);
    }
    hv_pack_array_close (&p, inner, counts[i]);
    hv_pack_map_close (&p, outer, 1);
    expect_bytes (&p, (char *) want.data, want.size);
    hv_pack_clear (&want);
  }
}

static void
test_failure_sticks (void **state)
{
  struct hv_pack p = { 0 };
  (void) state;
  hv_pack_u64 (&p, 1);
  hv_pack_strn (&p, "", (uint64_t) UINT32_MAX + 1);
  assert_true (p.failed);
  uint64_t size = p.size;
  hv_pack_u64 (&p, 2);
  uint64_t mark = hv_pack_array_open (&p);
  hv_pack_array_close (&p, mark, 0);
  assert_int_equal (p.size, size);
  hv_pack_clear (&p);
  hv_pack_raw (&p, "x", UINT64_MAX - 3); /* the sum overflows, nothing is read */
  assert_false (p.size != 0);
  hv_pack_clear (&p);
  p.size = 10;
  hv_pack_raw (&p, "x", UINT64_MAX - 3);
  assert_true (p.failed);
  p.size = 0;
  hv_pack_clear (&p);
  hv_pack_nil (&p);
  EXPECT (&p, "\xc0");
}

static void
test_read_other_encodings (void **state)
{
  static const uint8_t bytes[] = { 0xca, 0x3f, 0xc0, 0,    0,                            /* float 1.5 */
                                   0xd0, 5,                                              /* int8 5: positive */
                                   0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, /* -2, long */
                                   0xd4, 0xff, 9,                                        /* fixext1, type -1 */
                                   0xc7, 3,    7,    1,    2,    3 };                    /* ext8 of 3, type 7 */
  struct hv_read r = { bytes, bytes + sizeof bytes };
  struct hv_value v;
  (void) state;
  assert_true (hv_read_next (&r, &v) && v.type == HV_MP_F64 && v.as.f == 1.5);
  assert_true (hv_read_next (&r, &v) && v.type == HV_MP_UINT && v.as.u == 5);
  assert_true (hv_read_next (&r, &v) && v.type == HV_MP_INT && v.as.i == -2);
  assert_true (hv_read_next (&r, &v) && v.type == HV_MP_EXT && v.ext_type == -1 && v.size == 1 && v.as.data[0] == 9);
  assert_true (hv_read_next (&r, &v) && v.type == HV_MP_EXT && v.ext_type == 7 && v.size == 3 && v.as.data[2] == 3);
  assert_int_equal (hv_read_next (&r, &v), 0);
}

/* Every lead byte with every number of bytes after it: never past the end (the bytes are malloc'd: the sanitizer sees it). */
static void
test_reader_stays_inside (void **state)
{
  (void) state;
  for (unsigned lead = 0; lead < 256; lead++)
    for (unsigned n = 1; n < 24; n++) {
      uint8_t *bytes = malloc (n);
      assert_non_null (bytes);
      memset (bytes, 0xff, n);
      bytes[0] = (uint8_t) lead;
      struct hv_read r = { bytes, bytes + n }, s = r;
      struct hv_value v;
      if (hv_read_next (&r, &v) && v.as.data != NULL && v.type >= HV_MP_STR && v.type != HV_MP_ARRAY && v.type != HV_MP_MAP)
        assert_true (v.as.data + v.size <= bytes + n);
      struct hv_bin b = hv_read_skip (&s);
      assert_true (b.size <= n && s.at <= s.end);
      assert_true (b.size > 0 || b.data == NULL);
      free (bytes);
    }
}

static void
test_skip (void **state)
{
  struct hv_pack p = { 0 };
  (void) state;
  hv_pack_map (&p, 2);
  hv_pack_str (&p, "a");
  hv_pack_array (&p, 2);
  hv_pack_map (&p, 0);
  hv_pack_bin (&p, "xyz", 3);
  hv_pack_str (&p, "b");
  hv_pack_f64 (&p, -0.5);
  uint64_t first = p.size;
  hv_pack_nil (&p);
  struct hv_read r = { p.data, p.data + p.size };
  struct hv_bin b = hv_read_skip (&r);
  assert_ptr_equal (b.data, p.data);
  assert_int_equal (b.size, first);
  assert_int_equal (hv_read_skip (&r).size, 1);
  assert_int_equal (hv_read_skip (&r).size, 0);
  r = (struct hv_read){ p.data, p.data + first - 1 };
  assert_int_equal (hv_read_skip (&r).size, 0);
  hv_pack_clear (&p);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_numbers_are_shortest),
    cmocka_unit_test (test_plain_values),
    cmocka_unit_test (test_lengths),
    cmocka_unit_test (test_text_null_is_nil),
    cmocka_unit_test (test_container_heads),
    cmocka_unit_test (test_open_and_close),
    cmocka_unit_test (test_failure_sticks),
    cmocka_unit_test (test_read_other_encodings),
    cmocka_unit_test (test_reader_stays_inside),
    cmocka_unit_test (test_skip),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
