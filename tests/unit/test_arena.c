/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/schema/schema.h"
#include <cmocka.h>
#include <string.h>

static void
expect_zero (const uint8_t *p, uint64_t n)
{
  for (uint64_t i = 0; i < n; i++)
    assert_int_equal (p[i], 0);
}

static void
test_aligned_and_zeroed (void **state)
{
  static const uint64_t sizes[] = { 0, 1, 15, 16, 17, 100, 2000, 2032, 2033, 5000, 100000, 3 << 20 };
  struct hv_arena a = { 0 };
  (void) state;
  for (int round = 0; round < 3; round++) {
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      uint8_t *p = hv_arena_alloc (&a, sizes[i]);
      assert_non_null (p);
      assert_int_equal ((uintptr_t) p % 16, 0);
      expect_zero (p, sizes[i]);
      memset (p, 0xee, sizes[i]); /* what comes after a release has to be zero again */
    }
    hv_arena_release (&a, 0);
    assert_int_equal (hv_arena_mark (&a), 0);
  }
  hv_arena_free (&a);
  hv_arena_free (&a);
}

static void
test_pieces_do_not_overlap (void **state)
{
  struct hv_arena a = { 0 };
  uint8_t *p[500];
  (void) state;
  for (unsigned i = 0; i < 500; i++) {
    p[i] = hv_arena_alloc (&a, 1 + i % 90);
    memset (p[i], (int) i, 1 + i % 90);
  }
  for (unsigned i = 0; i < 500; i++)
    for (unsigned k = 0; k < 1 + i % 90; k++)
      assert_int_equal (p[i][k], (uint8_t) i);
  hv_arena_free (&a);
}

static void
test_marks (void **state)
{
  struct hv_arena a = { 0 };
  (void) state;
  char *first = hv_arena_alloc (&a, 32);
  memcpy (first, "kept", 5);
  uint64_t mark = hv_arena_mark (&a);
  char *second = hv_arena_alloc (&a, 32);
  for (int i = 0; i < 100; i++)
    assert_non_null (hv_arena_alloc (&a, 1000));
  hv_arena_release (&a, mark);
  assert_int_equal (hv_arena_mark (&a), mark);
  assert_string_equal (first, "kept");
  assert_ptr_equal (hv_arena_alloc (&a, 32), second);
  hv_arena_free (&a);
}

/* Nested scopes across chunk borders, in a pattern that exercises every order. */
static void
test_nested_marks (void **state)
{
  struct hv_arena a = { 0 };
  uint64_t marks[20];
  uint32_t *values[20];
  (void) state;
  for (int round = 1; round < 40; round++) {
    for (uint32_t i = 0; i < 20; i++) {
      values[i] = hv_arena_alloc (&a, (uint64_t) round * 37);
      *values[i] = i;
      marks[i] = hv_arena_mark (&a);
      assert_non_null (hv_arena_alloc (&a, (uint64_t) round * 311));
    }
    for (uint32_t i = 20; i-- > 0;) {
      hv_arena_release (&a, marks[i]);
      for (uint32_t k = 0; k <= i; k++)
        assert_int_equal (*values[k], k);
    }
    hv_arena_release (&a, 0);
  }
  hv_arena_free (&a);
}

/* The same work after a release to 0 finds its memory there. */
static void
test_chunk_is_reused (void **state)
{
  struct hv_arena a = { 0 };
  (void) state;
  for (int i = 0; i < 8; i++)
    assert_non_null (hv_arena_alloc (&a, 1000));
  hv_arena_release (&a, 0);
  void *p = hv_arena_alloc (&a, 3000);
  hv_arena_release (&a, 0);
  assert_ptr_equal (hv_arena_alloc (&a, 3000), p);
  hv_arena_release (&a, 0);
  /* but one exceptional message does not stay in memory */
  assert_non_null (hv_arena_alloc (&a, 4 << 20));
  hv_arena_release (&a, 0);
  assert_ptr_equal (hv_arena_alloc (&a, 3000), p);
  hv_arena_free (&a);
}

static void
test_too_much (void **state)
{
  struct hv_arena a = { 0 };
  (void) state;
  assert_null (hv_arena_alloc (&a, UINT64_MAX));
  assert_null (hv_arena_alloc (&a, UINT64_MAX - 40));
  assert_int_equal (hv_arena_mark (&a), 0);
  assert_non_null (hv_arena_alloc (&a, 1));
  hv_arena_free (&a);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_aligned_and_zeroed), cmocka_unit_test (test_pieces_do_not_overlap), cmocka_unit_test (test_marks),
    cmocka_unit_test (test_nested_marks),       cmocka_unit_test (test_chunk_is_reused),       cmocka_unit_test (test_too_much),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
