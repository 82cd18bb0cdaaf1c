/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Encoding: what is present comes out, in the table's order, and comes back the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/err/err.h"
#include "core/msg/msg.h"
#include "tests/lib/every_type.h"
#include <cmocka.h>
#include <string.h>

static void
expect_json (const struct et_tree *t, const char *want)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  if (hv_record_encode (&et_tree_record, t, &p, err) < 0)
    fail_msg ("%s", hv_err_message (err));
  char *text = hv_pack_to_json ((struct hv_bin){ p.data, p.size }, 0);
  assert_non_null (text);
  assert_string_equal (text, want);
  free (text);
  assert_int_equal (hv_fence_check ((struct hv_bin){ p.data, p.size }, 1 << 20, err), 0);
}

static void
test_only_what_is_present (void **state)
{
  struct et_tree t = { 0 };
  (void) state;
  expect_json (&t, "{}");
  t.count = 5; /* not present: not written */
  HV_SET (&t, number, -4);
  HV_SET (&t, flag, 0);
  expect_json (&t, "{\"flag\":false,\"number\":-4}");
}

static void
test_every_type (void **state)
{
  static const char *const words[] = { "a", "b" };
  static const struct hv_pair pairs[] = { { "k", "v" }, { "l", "" } };
  struct et_leaf leaves[2] = { { .name = "x" }, { .name = "y" } };
  struct et_branch branch = { .leaves = { leaves, 2 }, .has.leaves = 1 };
  struct et_tree t = { 0 };
  (void) state;
  HV_SET (&leaves[1], color, 2);
  HV_SET (&t, flag, 200);
  HV_SET (&t, number, INT64_MIN);
  HV_SET (&t, count, UINT32_MAX);
  HV_SET (&t, size, UINT64_MAX);
  HV_SET (&t, ratio, 0.25);
  HV_SET (&t, text, "t");
  HV_SET (&t, bytes, (struct hv_bin){ (const uint8_t *) "\x01\x02", 2 });
  HV_SET (&t, color, 0);
  HV_SET (&t, branch, branch);
  t.branches.items = &branch;
  t.branches.count = 1;
  t.has.branches = 1;
  HV_SET (&t, words, (struct hv_strs){ words, 2 });
  HV_SET (&t, labels, (struct hv_map){ pairs, 2 });
  HV_SET (&t, any, (struct hv_bin){ (const uint8_t *) "\x92\x01\xc0", 3 });
  HV_SET (&t, server, "never written");
  expect_json (&t,
               "{\"flag\":true,\"number\":-9223372036854775808,\"count\":4294967295,\"size\":18446744073709551615,\"ratio\":0.25,"
               "\"text\":\"t\",\"bytes\":\"AQI=\",\"color\":\"red\",\"branch\":{\"leaves\":[{\"name\":\"x\"},{\"name\":\"y\","
               "\"color\":\"blue\"}]},"
               "\"branches\":[{\"leaves\":[{\"name\":\"x\"},{\"name\":\"y\",\"color\":\"blue\"}]}],\"words\":[\"a\",\"b\"],"
               "\"labels\":{\"k\":\"v\",\"l\":\"\"},\"any\":[1,null]}");
}

static void
test_nothing_set_is_absent (void **state)
{
  struct et_tree t = { 0 };
  (void) state;
  HV_SET (&t, text, NULL);
  HV_SET (&t, any, (struct hv_bin){ NULL, 0 });
  HV_SET (&t, bytes, (struct hv_bin){ NULL, 0 });
  expect_json (&t, "{\"bytes\":\"\"}");
}

static void
test_text_leaves_as_utf8 (void **state)
{
  struct et_tree t = { 0 };
  static const char *const words[] = { "\xff", "a\xc3" };
  (void) state;
  HV_SET (&t, text, "ok\xfe\xc3\xa4!");
  HV_SET (&t, words, (struct hv_strs){ words, 2 });
  expect_json (&t, "{\"text\":\"ok\xef\xbf\xbd\xc3\xa4!\",\"words\":[\"\xef\xbf\xbd\",\"a\xef\xbf\xbd\"]}");
}

/* decode (encode (decode (x))) is decode (x), and the bytes are a fixpoint. */
static void
test_round_trip (void **state)
{
  static const char *const cases[] = {
    "{}",
    "{\"flag\":true,\"number\":10,\"offset\":-1,\"count\":0,\"size\":2,\"ratio\":3,\"text\":\"ab\",\"path\":\"/x\",\"quantity\":5}",
    "{\"branch\":{\"cores\":2,\"leaves\":[{\"name\":\"a\",\"size_bytes\":512}]},\"branches\":[{},{\"on\":true}],\"words\":[\"x\"]}",
    "{\"labels\":{\"b\":\"1\",\"a\":\"2\"},\"limits\":{\"x\":1.5},\"any\":{\"deep\":[[[]]]},\"bytes\":\"raw\",\"color\":\"green\","
    "\"domain\":null}",
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct hv_pack p[3] = { { 0 }, { 0 }, { 0 } };
    struct hv_arena arena = { 0 };
    struct hv_decode how = { .arena = &arena };
    assert_int_equal (hv_json_to_pack (cases[i], strlen (cases[i]), &p[0], NULL), 0);
    for (int k = 0; k < 2; k++) {
      struct et_tree t = { 0 };
      assert_int_equal (hv_record_decode (&et_tree_record, (struct hv_bin){ p[k].data, p[k].size }, &how, &t, NULL), 0);
      t.has.file = 0;
      assert_int_equal (hv_record_encode (&et_tree_record, &t, &p[k + 1], NULL), 0);
    }
    assert_int_equal (p[1].size, p[2].size);
    assert_memory_equal (p[1].data, p[2].data, p[1].size);
    for (int k = 0; k < 3; k++)
      hv_pack_clear (&p[k]);
    hv_arena_free (&arena);
  }
}

static void
expect_failure (const struct et_tree *t, int code, const char *text, const char *path)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  assert_int_equal (hv_record_encode (&et_tree_record, t, &p, err), code);
  assert_string_equal (hv_err_message (err), text);
  assert_string_equal (hv_err_data_get (err, "path"), path);
}

static void
test_mistakes_of_a_plugin (void **state)
{
  struct et_leaf leaf = { .name = NULL };
  struct et_branch branches[2] = { { .has.on = 1 }, { .leaves = { &leaf, 1 }, .has.leaves = 1 } };
  static const char *const words[] = { "a", NULL };
  static const struct hv_pair pairs[] = { { "k", NULL } };
  (void) state;
  struct et_tree t = { .has.leaf = 1 };
  expect_failure (&t, HV_E_INTERNAL, "leaf.name: a required text is NULL", "leaf.name");
  t = (struct et_tree){ .branches = { branches, 2 }, .has.branches = 1 };
  expect_failure (&t, HV_E_INTERNAL, "branches[1].leaves[0].name: a required text is NULL", "branches[1].leaves[0].name");
  t = (struct et_tree){ .color = 3, .has.color = 1 };
  expect_failure (&t, HV_E_INTERNAL, "color: 3 is not the index of one of its 3 words", "color");
  t = (struct et_tree){ .words = { words, 2 }, .has.words = 1 };
  expect_failure (&t, HV_E_INTERNAL, "words: item 1 is NULL", "words");
  t = (struct et_tree){ .labels = { pairs, 1 }, .has.labels = 1 };
  expect_failure (&t, HV_E_INTERNAL, "labels: pair 0 is NULL", "labels");
  t = (struct et_tree){ .branches = { NULL, 1 }, .has.branches = 1 };
  expect_failure (&t, HV_E_INTERNAL, "branches: items are NULL", "branches");
  t = (struct et_tree){ .bytes = { NULL, 1 }, .has.bytes = 1 };
  expect_failure (&t, HV_E_INTERNAL, "bytes: bytes are NULL", "bytes");
  t = (struct et_tree){ .file = 3, .has.file = 1 };
  expect_failure (&t, HV_E_UNIMPLEMENTED, "file: a descriptor cannot travel in this message", "file");
}

static void
test_a_failed_writer (void **state)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  struct hv_pack p = { .failed = 1 };
  struct et_tree t = { 0 };
  (void) state;
  assert_int_equal (hv_record_encode (&et_tree_record, &t, &p, err), HV_E_RESOURCE_EXHAUSTED);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_only_what_is_present), cmocka_unit_test (test_every_type), cmocka_unit_test (test_nothing_set_is_absent),
    cmocka_unit_test (test_text_leaves_as_utf8),  cmocka_unit_test (test_round_trip), cmocka_unit_test (test_mistakes_of_a_plugin),
    cmocka_unit_test (test_a_failed_writer),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
