/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON to msgpack and back: exact, bounded, and valid UTF-8 whatever came in. Also the text helpers under it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/err/err.h"
#include "core/limits.h"
#include "core/msg/msg.h"
#include "core/msg/text.h"
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

static void
expect_json (struct hv_bin b, int indent, const char *want)
{
  char *text = hv_pack_to_json (b, indent);
  assert_non_null (text);
  assert_string_equal (text, want);
  free (text);
}

static void
expect_packed (struct hv_pack *p, const char *want)
{
  expect_json ((struct hv_bin){ p->data, p->size }, 0, want);
  hv_pack_clear (p);
}

static void
round_trip (const char *text, const char *want)
{
  struct hv_pack p = { 0 };
  assert_int_equal (hv_json_to_pack (text, strlen (text), &p, NULL), 0);
  expect_packed (&p, want);
}

static void
test_round_trips (void **state)
{
  static const char *const same[] = { "null",
                                      "true",
                                      "false",
                                      "0",
                                      "-1",
                                      "9007199254740993",
                                      "9223372036854775807",
                                      "-9223372036854775808",
                                      "0.5",
                                      "1e+300",
                                      "-2.25",
                                      "\"\"",
                                      "\"a\\\"b\\\\c\\n\\t\\u0001\"",
                                      "\"\xc3\xa4\xf0\x9f\x98\x80\"",
                                      "[]",
                                      "{}",
                                      "[1,[2,[]],{\"a\":{\"b\":null}}]" };
  (void) state;
  for (size_t i = 0; i < sizeof same / sizeof *same; i++)
    round_trip (same[i], same[i]);
  round_trip (" { \"b\" : 1 , \"a\" : 2 } ", "{\"b\":1,\"a\":2}"); /* order stays */
  round_trip ("4.0", "4.0");                                       /* and so does the type */
  round_trip ("\"\\u00e4\"", "\"\xc3\xa4\"");
}

static void
test_numbers_out (void **state)
{
  struct hv_pack p = { 0 };
  (void) state;
  hv_pack_u64 (&p, UINT64_MAX);
  expect_packed (&p, "18446744073709551615");
  hv_pack_f64 (&p, 0.1);
  expect_packed (&p, "0.1");
  hv_pack_f64 (&p, 3);
  expect_packed (&p, "3.0");
  hv_pack_f64 (&p, (double) NAN);
  expect_packed (&p, "null");
  hv_pack_f64 (&p, -(double) INFINITY);
  expect_packed (&p, "null");
}

static void
test_bad_bytes_become_text (void **state)
{
  struct hv_pack p = { 0 };
  (void) state;
  hv_pack_strn (&p,
                "a\xff"
                "b\xc3",
                4);
  expect_packed (&p, "\"a\xef\xbf\xbd"
                     "b\xef\xbf\xbd\"");
  hv_pack_strn (&p, "\xed\xa0\x80\xc0\x80\x7f\0", 7);
  expect_packed (&p, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\\u007f\\u0000\"");
}

static void
test_bytes_are_base64 (void **state)
{
  static const char *const want[] = { "\"\"", "\"AA==\"", "\"AP8=\"", "\"AP8Q\"", "\"AP8Qgw==\"" };
  (void) state;
  for (unsigned n = 0; n < 5; n++) {
    struct hv_pack p = { 0 };
    hv_pack_bin (&p, "\x00\xff\x10\x83", n);
    expect_packed (&p, want[n]);
  }
}

static void
test_keys_are_text (void **state)
{
  struct hv_pack p = { 0 };
  (void) state;
  hv_pack_map (&p, 5);
  hv_pack_u64 (&p, 1);
  hv_pack_nil (&p);
  hv_pack_bool (&p, 1);
  hv_pack_nil (&p);
  hv_pack_bin (&p, "x", 1);
  hv_pack_nil (&p);
  hv_pack_array (&p, 1);
  hv_pack_str (&p, "q");
  hv_pack_nil (&p);
  hv_pack_str (&p, "s");
  hv_pack_nil (&p);
  expect_packed (&p, "{\"1\":null,\"true\":null,\"eA==\":null,\"kaFx\":null,\"s\":null}");
}

/* Maps as keys of maps as keys …: the text stays in proportion to the bytes. */
static void
test_nested_keys (void **state)
{
  uint8_t bytes[93];
  (void) state;
  memset (bytes, 0x81, 31);
  memset (bytes + 31, 0xa0, sizeof bytes - 31);
  char *text = hv_pack_to_json ((struct hv_bin){ bytes, sizeof bytes }, 0);
  assert_non_null (text);
  assert_in_range (strlen (text), 1, 4 * sizeof bytes);
  free (text);
}

static void
test_indent (void **state)
{
  struct hv_pack p = { 0 };
  const char *text = "{\"a\":[1,2],\"b\":{},\"c\":[]}";
  (void) state;
  assert_int_equal (hv_json_to_pack (text, strlen (text), &p, NULL), 0);
  expect_json ((struct hv_bin){ p.data, p.size }, 2, "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": []\n}");
  hv_pack_clear (&p);
}

static void
test_not_a_value (void **state)
{
  (void) state;
  assert_null (hv_pack_to_json ((struct hv_bin){ (const uint8_t *) "", 0 }, 0));
  assert_null (hv_pack_to_json ((struct hv_bin){ (const uint8_t *) "\x92\x01", 2 }, 0));
  assert_null (hv_pack_to_json ((struct hv_bin){ (const uint8_t *) "\x81\x01", 2 }, 0));
  uint8_t deep[200];
  memset (deep, 0x91, sizeof deep);
  assert_null (hv_pack_to_json ((struct hv_bin){ deep, sizeof deep }, 0));
}

static void
expect_error (const char *text, uint64_t n, const char *want)
{
  struct hv_err *err = hv_error_new ();
  struct hv_pack p = { 0 };
  assert_int_equal (hv_json_to_pack (text, n, &p, err), HV_E_INVALID_ARGUMENT);
  if (strstr (hv_err_message (err), want) == NULL)
    fail_msg ("'%s' is not in '%s'", want, hv_err_message (err));
  const char *message = hv_err_message (err);
  assert_int_equal (hv_utf8_check ((const uint8_t *) message, strlen (message)), strlen (message));
  assert_int_equal (p.size, 0);
  hv_pack_clear (&p);
  hv_err_free (err);
}

static void
test_errors_have_places (void **state)
{
  (void) state;
  expect_error ("{\n  \"a\": tru\n}", 14, "line 2, column ");
  expect_error ("{\"a\":1,\"a\":2}", 13, "duplicate");
  expect_error ("", 0, "line 1");
  expect_error ("[1] [2]", 7, "end of file");
  expect_error ("\"\xff\"", 3, "line 1");
  expect_error ("[\x80\xfe]", 4, "line 1");
  expect_error ("99999999999999999999", 20, "too big integer");
  expect_error ("\"a\\u0000b\"", 10, "line 1");
}

static void
test_depth_and_size (void **state)
{
  char deep[200];
  (void) state;
  memset (deep, '[', 100);
  memset (deep + 100, ']', 100);
  expect_error (deep, 200, "line 1, column 33: nested deeper than 32");
  struct hv_pack p = { 0 };
  assert_int_equal (hv_json_to_pack (deep + 68, 64, &p, NULL), 0);
  hv_pack_clear (&p);
  round_trip ("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"", "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"");
  char *large = malloc (HV_LIMIT_ANSWER_BYTES + 1);
  assert_non_null (large);
  memset (large, ' ', HV_LIMIT_ANSWER_BYTES + 1);
  expect_error (large, HV_LIMIT_ANSWER_BYTES + 1, "more than");
  free (large);
}

/* --- text --- */

static void
test_utf8 (void **state)
{
  static const struct {
    const char *text;
    unsigned n, good;
  } cases[] = {
    { "", 0, 0 },
    { "plain ASCII of some length", 26, 26 },
    { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, 9 },
    { "abcdefghijk\xff", 12, 11 },
    { "\xc0\xaf", 2, 0 },
    { "\xe0\x9f\xbf", 3, 0 },
    { "\xed\xa0\x80", 3, 0 },
    { "\xed\x9f\xbf", 3, 3 },
    { "\xf4\x8f\xbf\xbf", 4, 4 },
    { "\xf4\x90\x80\x80", 4, 0 },
    { "\xf5\x80\x80\x80", 4, 0 },
    { "a\xe2\x82", 3, 1 },
    { "\x80", 1, 0 },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal (hv_utf8_check ((const uint8_t *) cases[i].text, cases[i].n), cases[i].good);
}

static void
test_f64_text (void **state)
{
  static const double values[] = { 0.1, 1.0 / 3, 1e22, 123456789.125, DBL_MIN, DBL_MAX, -0.0, 5e-324 };
  char text[HV_F64_TEXT];
  (void) state;
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    double again = strtod (hv_f64_text (values[i], text), NULL);
    assert_memory_equal (&again, &values[i], sizeof again);
    assert_non_null (strpbrk (text, ".e"));
  }
  assert_string_equal (hv_f64_text (4, text), "4.0");
}

static void
test_quote (void **state)
{
  char room[HV_QUOTE_TEXT], lots[300];
  (void) state;
  assert_string_equal (hv_quote_text ("abc", 3, room), "'abc'");
  assert_string_equal (hv_quote_text ("", 0, room), "''");
  assert_string_equal (hv_quote_text ("a\nb\xff\0", 5, room), "'a?b?"
                                                              "?'");
  memset (lots, 'x', sizeof lots);
  assert_string_equal (hv_quote_text (lots, 64, room) + 60, "xxxxx'");
  assert_string_equal (hv_quote_text (lots, 65, room) + 60, "xxxxx...'");
  memset (lots, 'x', 63);
  memcpy (lots + 63, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 8);
  assert_string_equal (hv_quote_text (lots, 71, room) + 60, "xxxx\xf0\x9f\x98\x80...'");
  char line[] = "ok\x01\xfe\xc3\xa4";
  hv_text_clean (line);
  assert_string_equal (line, "ok?"
                             "?\xc3\xa4");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_round_trips),
    cmocka_unit_test (test_numbers_out),
    cmocka_unit_test (test_bad_bytes_become_text),
    cmocka_unit_test (test_bytes_are_base64),
    cmocka_unit_test (test_keys_are_text),
    cmocka_unit_test (test_nested_keys),
    cmocka_unit_test (test_indent),
    cmocka_unit_test (test_not_a_value),
    cmocka_unit_test (test_errors_have_places),
    cmocka_unit_test (test_depth_and_size),
    cmocka_unit_test (test_utf8),
    cmocka_unit_test (test_f64_text),
    cmocka_unit_test (test_quote),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
