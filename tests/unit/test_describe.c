/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A table as bus.describe shows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/msg/msg.h"
#include "tests/lib/every_type.h"
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

static json_t *
describe (const struct hv_record *rec)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  hv_record_describe (rec, &p);
  assert_int_equal (hv_fence_check ((struct hv_bin){ p.data, p.size }, 1 << 20, NULL), 0);
  char *text = hv_pack_to_json ((struct hv_bin){ p.data, p.size }, 0);
  assert_non_null (text);
  json_t *j = json_loads (text, JSON_REJECT_DUPLICATES, NULL);
  free (text);
  assert_non_null (j);
  return j;
}

static void
expect_field (const json_t *record, const char *name, const char *want)
{
  size_t i;
  json_t *field, *expected = json_loads (want, 0, NULL);
  assert_non_null (expected);
  json_array_foreach (json_object_get (record, "fields"), i, field)
  {
    if (strcmp (json_string_value (json_object_get (field, "name")), name) != 0)
      continue;
    if (!json_equal (field, expected)) {
      char *have = json_dumps (field, JSON_COMPACT);
      print_error ("%s\n", have);
      free (have);
      fail_msg ("field '%s' is not %s", name, want);
    }
    json_decref (expected);
    return;
  }
  fail_msg ("no field '%s'", name);
}

static void
test_fields (void **state)
{
  json_t *tree = describe (&et_tree_record);
  (void) state;
  assert_string_equal (json_string_value (json_object_get (tree, "name")), "et_tree");
  assert_string_equal (json_string_value (json_object_get (tree, "doc")), "every type");
  assert_int_equal (json_array_size (json_object_get (tree, "fields")), 24);
  expect_field (tree, "flag", "{\"name\":\"flag\",\"type\":\"bool\",\"flags\":[],\"doc\":\"a boolean\"}");
  expect_field (
      tree, "number",
      "{\"name\":\"number\",\"type\":\"i64\",\"flags\":[],\"doc\":\"a signed number\",\"default\":\"-3\",\"min\":-5,\"max\":10}");
  expect_field (tree, "size", "{\"name\":\"size\",\"type\":\"u64\",\"flags\":[],\"doc\":\"a large number\",\"min\":2}");
  expect_field (tree, "ratio",
                "{\"name\":\"ratio\",\"type\":\"f64\",\"flags\":[],\"doc\":\"a fraction\",\"default\":\"0.5\",\"max\":100}");
  expect_field (tree, "domain",
                "{\"name\":\"domain\",\"type\":\"str\",\"flags\":[\"deprecated\",\"nullable\"],\"doc\":\"a domain\","
                "\"default\":\"a.example\",\"pattern\":\"subdomain\",\"since\":\"1.1\"}");
  expect_field (tree, "uuid",
                "{\"name\":\"uuid\",\"type\":\"str\",\"flags\":[\"secret\"],\"doc\":\"a secret\",\"pattern\":\"uuid\"}");
  expect_field (tree, "bytes", "{\"name\":\"bytes\",\"type\":\"bin\",\"flags\":[\"file\"],\"doc\":\"bytes\",\"max\":16}");
  expect_field (tree, "path", "{\"name\":\"path\",\"type\":\"str\",\"flags\":[\"path\"],\"doc\":\"a path\"}");
  expect_field (tree, "quantity", "{\"name\":\"quantity\",\"type\":\"str\",\"flags\":[\"scalar\"],\"doc\":\"a quantity\"}");
  expect_field (tree, "server", "{\"name\":\"server\",\"type\":\"str\",\"flags\":[\"ignored\"],\"doc\":\"not ours\"}");
  expect_field (tree, "color",
                "{\"name\":\"color\",\"type\":\"enum\",\"flags\":[],\"doc\":\"a "
                "word\",\"default\":\"blue\",\"words\":[\"red\",\"green\",\"blue\"]}");
  expect_field (tree, "words", "{\"name\":\"words\",\"type\":\"strs\",\"flags\":[],\"doc\":\"texts\",\"min\":1,\"max\":4}");
  expect_field (tree, "labels", "{\"name\":\"labels\",\"type\":\"map\",\"flags\":[],\"doc\":\"texts by name\",\"max\":3}");
  expect_field (tree, "any", "{\"name\":\"any\",\"type\":\"any\",\"flags\":[],\"doc\":\"anything\"}");
  expect_field (tree, "file", "{\"name\":\"file\",\"type\":\"fd\",\"flags\":[],\"doc\":\"a descriptor\"}");
  json_decref (tree);
}

static void
test_nested_records (void **state)
{
  json_t *tree = describe (&et_tree_record), *branch = NULL, *leaf = NULL, *field;
  size_t i;
  (void) state;
  json_array_foreach (json_object_get (tree, "fields"), i, field)
  {
    const char *name = json_string_value (json_object_get (field, "name"));
    if (strcmp (name, "branches") == 0) {
      assert_string_equal (json_string_value (json_object_get (field, "type")), "records");
      branch = json_object_get (field, "record");
    } else if (strcmp (name, "leaf") == 0) {
      assert_string_equal (json_string_value (json_object_get (field, "type")), "record");
      leaf = json_object_get (field, "record");
    }
  }
  assert_string_equal (json_string_value (json_object_get (branch, "name")), "et_branch");
  expect_field (leaf, "name",
                "{\"name\":\"name\",\"type\":\"str\",\"flags\":[\"required\"],\"doc\":\"its name\",\"pattern\":\"name\"}");
  expect_field (
      leaf, "size_bytes",
      "{\"name\":\"size_bytes\",\"type\":\"u64\",\"flags\":[],\"doc\":\"its size\",\"default\":\"512\",\"unit\":\"bytes\","
      "\"min\":512,\"max\":1048576}");
  json_decref (tree);
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_fields), cmocka_unit_test (test_nested_records) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
