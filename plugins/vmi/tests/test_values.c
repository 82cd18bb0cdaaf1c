/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "../quantity.h"
#include "../scalar.h"
#include "../uuid.h"
#include "../yaml.h"
#include "core/err/err.h"
#include "core/msg/msg.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* after its prerequisites */
#include <cmocka.h>

/* --- quantities --- */

static void
quantities_are_exact (void **state)
{
  static const struct {
    const char *text;
    uint64_t value;
  } good[] = { { "0", 0 },
               { "4Gi", UINT64_C (4294967296) },
               { "256Mi", 268435456 },
               { "1.5G", 1500000000 },
               { "1.5Gi", 1610612736 },
               { "1e3", 1000 },
               { "1E3", 1000 },
               { "12e-1", 2 },
               { "500m", 1 },
               { "1500m", 2 },
               { "100n", 1 },
               { "2k", 2000 },
               { "+7", 7 },
               { ".5Ki", 512 },
               { "5.", 5 },
               { "1E", UINT64_C (1000000000000000000) },
               { "15Ei", UINT64_C (17293822569102704640) },
               { "0.000000000000000001Ei", 2 } };
  uint64_t v;
  (void) state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    v = 77;
    assert_int_equal (vmi_quantity (good[i].text, &v, NULL), 0);
    assert_int_equal (v, good[i].value);
  }
  assert_int_equal (vmi_quantity_milli ("500m", &v, NULL), 0);
  assert_int_equal (v, 500);
  assert_int_equal (vmi_quantity_milli ("4", &v, NULL), 0);
  assert_int_equal (v, 4000);
  assert_int_equal (vmi_quantity_milli ("0.1", &v, NULL), 0);
  assert_int_equal (v, 100);
}

static void
bad_quantities_are_refused (void **state)
{
  static const char *const bad[]
      = { "",    "Gi", "-1", "4GB", "4gi", "1.2.3", "1e", "1e+", "0x10", "1 Gi", "4Gi ", "e3", "1e3Gi", ".", "18446744073709551615",
          "1e99" };
  static const char *const large[] = { "16Ei", "100000E", "999999999999Ei", "1e20", "1e60" };
  uint64_t v = 77;
  (void) state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal (vmi_quantity (bad[i], &v, NULL), HV_E_INVALID_ARGUMENT);
  for (size_t i = 0; i < sizeof large / sizeof *large; i++)
    assert_int_equal (vmi_quantity (large[i], &v, NULL), HV_E_OUT_OF_RANGE);
  assert_int_equal (v, 77);
}

static void
quantities_are_printed_without_loss (void **state)
{
  char text[VMI_QUANTITY_TEXT];
  (void) state;
  vmi_quantity_text (UINT64_C (4294967296), text);
  assert_string_equal (text, "4Gi");
  vmi_quantity_text (268435456 + 1024, text);
  assert_string_equal (text, "262145Ki");
  vmi_quantity_text (1000, text);
  assert_string_equal (text, "1000");
  vmi_quantity_text (0, text);
  assert_string_equal (text, "0");
}

/* --- UUIDs --- */

static void
sha1_is_sha1 (void **state)
{
  static const struct {
    const char *text, *sum;
  } known[] = { { "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
                { "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
                { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1" } };
  (void) state;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    uint8_t sum[20];
    char text[41];
    vmi_sha1 (known[i].text, strlen (known[i].text), sum);
    for (int k = 0; k < 20; k++)
      (void) snprintf (text + 2 * k, 3, "%02x", sum[k]);
    assert_string_equal (text, known[i].sum);
  }
}

static void
the_firmware_uuid_is_kubevirts (void **state)
{
  char text[VMI_UUID_TEXT], other[VMI_UUID_TEXT];
  (void) state;
  vmi_uuid_firmware ("ubuntu-amd", text);
  assert_string_equal (text, "d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c3"); /* of the reference VM */
  assert_int_equal (vmi_uuid_random (text, NULL), 0);
  assert_int_equal (vmi_uuid_random (other, NULL), 0);
  assert_string_not_equal (text, other);
  assert_int_equal (text[14], '4');
  assert_non_null (strchr ("89ab", text[19]));
}

/* --- YAML --- */

/* One document as JSON; NULL and the error's text when it is refused. */
static char *
to_json (const char *yaml, char error[256])
{
  struct vmi_yaml *y = calloc (1, sizeof *y);
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  char *json = NULL;
  if (vmi_yaml_read (yaml, strlen (yaml), y, err) == 0 && y->count > 0) {
    struct hv_bin b = { y->docs[0].pack.data, y->docs[0].pack.size };
    assert_int_equal (hv_fence_check (b, 1u << 20, NULL), 0);
    json = hv_pack_to_json (b, 0);
  }
  (void) snprintf (error, 256, "%s", hv_err_message (err));
  vmi_yaml_clear (y);
  free (y);
  return json;
}

static void
expect_json (const char *yaml, const char *want)
{
  char error[256];
  char *json = to_json (yaml, error);
  if (json == NULL)
    print_message ("%s\n", error);
  assert_non_null (json);
  assert_string_equal (json, want);
  free (json);
}

static void
expect_refused (const char *yaml, const char *want)
{
  char error[256];
  char *json = to_json (yaml, error);
  if (json != NULL || strstr (error, want) == NULL)
    print_message ("%s\nis: %s %s\nwant: %s\n", yaml, json != NULL ? json : "", error, want);
  assert_null (json);
  assert_non_null (strstr (error, want));
}

static void
scalars_are_typed_by_the_core_schema (void **state)
{
  (void) state;
  expect_json ("[1, -2, 0x1F, 0o17, 1.5, -.5, 1e3, +4, 007]", "[1,-2,31,15,1.5,-0.5,1000.0,4,7]");
  expect_json ("[true, False, TRUE, yes, no, on, off, y]", "[true,false,true,\"yes\",\"no\",\"on\",\"off\",\"y\"]");
  expect_json ("[null, ~, Null, nul]", "[null,null,null,\"nul\"]");
  expect_json ("a:\nb: 1\n", "{\"a\":null,\"b\":1}");
  expect_json ("['1', \"true\", \"null\", '', 4Gi, 1.2.3, 2026-11-23, 1_000, \"a\\tb\"]",
               "[\"1\",\"true\",\"null\",\"\",\"4Gi\",\"1.2.3\",\"2026-11-23\",\"1_000\",\"a\\tb\"]");
  expect_json ("a: |\n  1\n  2\nb: >\n  x\n  y\n", "{\"a\":\"1\\n2\\n\",\"b\":\"x y\\n\"}");
  expect_json ("18446744073709551615", "18446744073709551615");
  expect_json ("-9223372036854775808", "-9223372036854775808");
}

static void
json_is_yaml (void **state)
{
  (void) state;
  expect_json ("{\"a\": [1, {\"b\": null}], \"c\": \"x\"}", "{\"a\":[1,{\"b\":null}],\"c\":\"x\"}");
  expect_json ("a:\n- b: 1\n  c: {}\n- []\n", "{\"a\":[{\"b\":1,\"c\":{}},[]]}");
  expect_json ("1: x\n", "{\"1\":\"x\"}");
}

static void
what_is_more_than_data_is_refused (void **state)
{
  (void) state;
  expect_refused ("a: &x 1\nb: 2\n", "line 1: anchors");
  expect_refused ("a: 1\nb: *x\n", "line 2:");
  expect_refused ("a: &x {b: 1}\n", "line 1: anchors");
  expect_refused ("a: !!str 1\n", "line 1: tags");
  expect_refused ("\na: !Ref [1]\n", "line 2: tags");
  expect_refused ("a: !!map {}\n", "line 1: tags");
  expect_refused ("<<: {a: 1}\n", "line 1: merge keys");
  expect_refused ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is there twice");
  expect_refused ("a: {b: 1, c: 2, b: 3}", "the key 'b' is there twice");
  expect_refused ("? [1]\n: 2\n", "line 1: a key must be text");
  expect_refused ("~: 1\n", "line 1: a key that is null");
  expect_refused ("a: \"x\\0y\"\n", "line 1: text with a NUL");
  expect_refused ("\"x\\0y\": 1\n", "line 1: a key with a NUL");
  expect_refused ("a: 18446744073709551616\n", "line 1: the number");
  expect_refused ("a: 1e999\n", "line 1: the number");
  expect_refused ("a: .nan\n", "line 1: the number");
  expect_refused ("a: -.inf\n", "line 1: the number");
}

static void
what_is_not_yaml_is_refused (void **state)
{
  (void) state;
  expect_refused ("a: [1\n", "line ");
  expect_refused ("a: b: c\n", "line 1:");
  expect_refused ("\ta: 1\n", "line 1:");
  expect_refused ("a: 'x\n", "line ");
  expect_refused ("a: \xff\n", "line ");
  expect_refused ("a: \"\x01\"\n", "line ");
  expect_refused ("{]", "line 1:");
}

static char *
repeat (const char *text, size_t n)
{
  size_t size = strlen (text);
  char *s = malloc (size * n + 1);
  for (size_t i = 0; i < n; i++)
    memcpy (s + i * size, text, size);
  s[size * n] = '\0';
  return s;
}

static void
limits_hold (void **state)
{
  (void) state;
  char *deep = repeat ("[", 500000), *documents = repeat ("---\na: 1\n", 65), *large = repeat ("# twenty characters\n", 60000);
  char *fits = repeat ("[", VMI_YAML_DEPTH);
  expect_refused (deep, "nested deeper than 30");
  expect_refused (documents, "more than 64 documents");
  expect_refused (large, "at most 1048576 are taken");
  expect_refused (fits, "did not find expected"); /* not for its depth, but because it does not end */
  free (deep);
  free (documents);
  free (large);
  free (fits);
}

static void
maps_have_few_keys (void **state)
{
  (void) state;
  char text[257 * 12 + 1];
  size_t at = 0;
  for (int i = 0; i < 257; i++)
    at += (size_t) snprintf (text + at, sizeof text - at, "k%03d: 1\n", i);
  expect_refused (text, "line 257: a map with more than 256 keys");
}

static void
empty_documents_do_not_count (void **state)
{
  struct vmi_yaml *y = calloc (1, sizeof *y);
  static const char text[] = "---\n---\na: 1\n---\n# nothing\n---\nb: 2\n...\n";
  (void) state;
  assert_int_equal (vmi_yaml_read (text, strlen (text), y, NULL), 0);
  assert_int_equal (y->count, 2);
  assert_int_equal (y->docs[0].number, 2);
  assert_int_equal (y->docs[1].number, 4);
  vmi_yaml_clear (y);
  assert_int_equal (vmi_yaml_read ("", 0, y, NULL), 0);
  assert_int_equal (y->count, 0);
  free (y);
}

static void
places_have_lines (void **state)
{
  static const char text[] = "kind: A\n---\nkind: B\nspec:\n  disks:\n  - name: x\n  - name: y\n    bus: {a: 1}\n  last: 1\n";
  static const struct {
    const char *path;
    uint32_t line;
  } places[] = { { "kind", 3 },
                 { "spec", 4 },
                 { "spec.disks", 5 },
                 { "spec.disks[0]", 6 },
                 { "spec.disks[1]", 7 },
                 { "spec.disks[1].bus", 8 },
                 { "spec.disks[1].bus.a", 8 },
                 { "spec.disks[1].none", 7 },
                 { "spec.disks[7].x", 5 },
                 { "spec.la", 4 },
                 { "spec.last", 9 },
                 { "other", 2 } };
  (void) state;
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    assert_int_equal (vmi_yaml_line (text, strlen (text), 2, places[i].path), places[i].line);
  assert_int_equal (vmi_yaml_line (text, strlen (text), 1, "kind"), 1);
  assert_int_equal (vmi_yaml_line (text, strlen (text), 9, "kind"), 0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (quantities_are_exact),
    cmocka_unit_test (bad_quantities_are_refused),
    cmocka_unit_test (quantities_are_printed_without_loss),
    cmocka_unit_test (sha1_is_sha1),
    cmocka_unit_test (the_firmware_uuid_is_kubevirts),
    cmocka_unit_test (scalars_are_typed_by_the_core_schema),
    cmocka_unit_test (json_is_yaml),
    cmocka_unit_test (what_is_more_than_data_is_refused),
    cmocka_unit_test (what_is_not_yaml_is_refused),
    cmocka_unit_test (limits_hold),
    cmocka_unit_test (maps_have_few_keys),
    cmocka_unit_test (empty_documents_do_not_count),
    cmocka_unit_test (places_have_lines),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
