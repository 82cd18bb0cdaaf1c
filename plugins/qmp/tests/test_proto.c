/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor protocol: however its bytes are cut, glued or wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err/err.h"
#include "proto.h"

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": [\"oob\"]}}\r\n"

struct seen {
  int greetings, replies, events;
  uint64_t last_id;
  char text[128], event[64];
};

static void
on_greeting (void *arg, const json_t *version)
{
  struct seen *s = arg;
  assert_non_null (json_object_get (version, "qemu"));
  s->greetings++;
}

static void
on_reply (void *arg, const struct qmp_reply *r)
{
  struct seen *s = arg;
  s->replies++;
  s->last_id = r->id;
  (void) snprintf (s->text, sizeof s->text, "%s", r->ret != NULL ? "ok" : r->error_text);
}

static void
on_event (void *arg, const char *name, const json_t *data)
{
  struct seen *s = arg;
  assert_true (data == NULL || json_is_object (data));
  s->events++;
  (void) snprintf (s->event, sizeof s->event, "%s", name);
}

static const struct qmp_proto_ops ops = { on_greeting, on_reply, on_event };

/* Feeds `bytes` in pieces of the given sizes; returns the first failing code. */
static int
feed (struct seen *s, const char *bytes, size_t size, size_t first, size_t piece, char *why)
{
  struct qmp_proto p;
  struct hv_err *err = hv_error_new ();
  int r = 0;
  *s = (struct seen){ 0 };
  qmp_proto_init (&p, &ops, s);
  for (size_t at = 0; at < size && r == 0;) {
    size_t n = at == 0 && first > 0 ? first : piece;
    n = n < size - at ? n : size - at;
    r = qmp_proto_feed (&p, bytes + at, n, err);
    at += n;
  }
  if (why != NULL)
    (void) snprintf (why, 128, "%s", hv_err_message (err));
  hv_err_free (err);
  qmp_proto_clear (&p);
  return r;
}

static const char conversation[]
    = GREETING "{\"return\": {}, \"id\": 1}\r\n"
               "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"STOP\"}\r\n"
               "{\"id\": 2, \"error\": {\"class\": \"GenericError\", \"desc\": \"no \\\"such\\\" node\"}}\n"
               "{\"event\": \"RESET\", \"data\": {\"guest\": true}, \"new\": [1]}\n"
               "{\"return\": {\"status\": \"running\"}, \"id\": 3}\n";

static void
check_conversation (const struct seen *s)
{
  assert_int_equal (s->greetings, 1);
  assert_int_equal (s->replies, 3);
  assert_int_equal (s->events, 2);
  assert_int_equal (s->last_id, 3);
  assert_string_equal (s->event, "RESET");
}

static void
test_every_cut (void **state)
{
  struct seen s;
  size_t n = sizeof conversation - 1;
  (void) state;
  for (size_t cut = 1; cut < n; cut++) {
    assert_int_equal (feed (&s, conversation, n, cut, n, NULL), 0);
    check_conversation (&s);
  }
}

static void
test_piecewise_and_glued (void **state)
{
  struct seen s;
  (void) state;
  assert_int_equal (feed (&s, conversation, sizeof conversation - 1, 0, 1, NULL), 0);
  check_conversation (&s);
  assert_int_equal (feed (&s, conversation, sizeof conversation - 1, 0, 1 << 20, NULL), 0);
  check_conversation (&s);
}

static void
test_end_in_the_middle (void **state)
{
  static const char cut[] = GREETING "{\"return\": {\"status\": \"run";
  struct seen s;
  (void) state;
  assert_int_equal (feed (&s, cut, sizeof cut - 1, 0, 7, NULL), 0);
  assert_int_equal (s.replies, 0);
}

static void
test_breaches (void **state)
{
  static const struct {
    const char *bytes, *why;
  } cases[] = {
    { "{\"return\": {}, \"id\": 1}\n", "not a QMP greeting" },
    { "{\"QMP\": 1}\n", "not a QMP greeting" },
    { "hello\n", "not JSON" },
    { GREETING "{\"return\": {}}\n", "without the id" },
    { GREETING "{\"error\": {\"class\": \"GenericError\", \"desc\": \"x\"}}\n", "without the id" },
    { GREETING "{\"return\": {}, \"id\": \"1\"}\n", "without the id" },
    { GREETING "{\"return\": {}, \"id\": -1}\n", "without the id" },
    { GREETING "{\"something\": {}}\n", "neither reply nor event" },
    { GREETING "{\"event\": 3}\n", "neither reply nor event" },
    { GREETING "}{\n", "not JSON" },
    { GREETING "[1]\n", "not an object" },
    { GREETING "{\"event\": \"\xff\xfe\"}\n", "not JSON" },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct seen s;
    char why[128];
    assert_int_equal (feed (&s, cases[i].bytes, strlen (cases[i].bytes), 0, 5, why), HV_E_UNAVAILABLE);
    assert_non_null (strstr (why, cases[i].why));
  }
}

static char *
padded (const char *head, size_t size, const char *tail, size_t *ret_size)
{
  size_t h = strlen (head), t = strlen (tail);
  char *s = malloc (h + size + t);
  assert_non_null (s);
  memcpy (s, head, h);
  memset (s + h, 'x', size);
  memcpy (s + h + size, tail, t);
  *ret_size = h + size + t;
  return s;
}

static void
test_sizes (void **state)
{
  static const struct {
    const char *head;
    size_t size;
    int code;
  } cases[] = {
    { "{\"QMP\": {\"version\": {\"qemu\": {}, \"package\": \"", 15000, 0 },
    { "{\"QMP\": {\"version\": {\"qemu\": {}, \"package\": \"", 17000, -1 },
    { GREETING "{\"event\": \"A\", \"data\": {\"a\": {\"b\": \"", 200000, 0 },
    { GREETING "{\"event\": \"A\", \"data\": {\"a\": {\"b\": \"", (10u << 20) - 100, 0 },
    { GREETING "{\"event\": \"A\", \"data\": {\"a\": {\"b\": \"", (10u << 20) + 100, -1 },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct seen s;
    size_t n;
    char *bytes = padded (cases[i].head, cases[i].size, "\"}}}\n", &n);
    int r = feed (&s, bytes, n, 0, 16384, NULL);
    assert_int_equal (r < 0 ? -1 : 0, cases[i].code);
    if (r == 0)
      assert_int_equal (s.greetings, 1);
    /* without its end the line is refused as soon as it is too long, not once memory is gone */
    r = feed (&s, bytes, n - 1, 0, 16384, NULL);
    assert_int_equal (r < 0 ? -1 : 0, cases[i].code);
    free (bytes);
  }
}

static void
test_depth (void **state)
{
  char line[512] = GREETING "{\"event\": \"A\", \"data\": {\"a\": ";
  size_t at = strlen (line);
  struct seen s;
  char why[128];
  (void) state;
  for (int depth = 0; depth < 62; depth++)
    line[at + (size_t) depth] = '[';
  for (int depth = 0; depth < 62; depth++)
    line[at + 62 + (size_t) depth] = ']';
  memcpy (line + at + 124, "}}\n", 4);
  assert_int_equal (feed (&s, line, strlen (line), 0, 3, NULL), 0);
  memmove (line + at + 1, line + at, strlen (line + at) + 1);
  memcpy (line + at + 63, "]]", 2);
  assert_true (feed (&s, line, strlen (line), 0, 3, why) < 0);
  assert_non_null (strstr (why, "deeper"));
}

static void
test_many_values (void **state)
{
  size_t n = 600000, at;
  char *bytes = malloc (n + 200);
  struct seen s;
  char why[128];
  (void) state;
  assert_non_null (bytes);
  at = (size_t) snprintf (bytes, n, "%s{\"event\": \"A\", \"data\": {\"a\": [", GREETING);
  for (size_t i = 0; i < n / 2; i++)
    at += (size_t) snprintf (bytes + at, n + 200 - at, "%s1", i > 0 ? "," : "");
  at += (size_t) snprintf (bytes + at, n + 200 - at, "]}}\n");
  assert_true (feed (&s, bytes, at, 0, 1 << 16, why) < 0);
  assert_non_null (strstr (why, "values"));
  free (bytes);
}

static void
test_command (void **state)
{
  size_t n;
  json_t *args = json_pack ("{s:s}", "id", "a\"b\n");
  char *line = qmp_proto_command ("device_del", args, 7, &n);
  (void) state;
  assert_non_null (line);
  assert_int_equal (line[n - 1], '\n');
  assert_null (memchr (line, '\n', n - 1));
  line[n - 1] = '\0';
  assert_string_equal (line, "{\"execute\":\"device_del\",\"id\":7,\"arguments\":{\"id\":\"a\\\"b\\n\"}}");
  free (line);
  json_decref (args);
}

/* QEMU says "unknown" with all bits set, in the midst of figures that are known. */
static void
test_numbers_that_no_int64_holds (void **state)
{
  static const char text[] = "{\"a\":18446744073709551615,\"b\":[1, 9223372036854775808 ,-3],\"c\":9223372036854775807,"
                             "\"d\":\"18446744073709551615\\\"1\",\"e\":123456789012345678901234567890,\"f\":1.25e3}";
  static const struct qmp_json_limits limits = { 8, 64 };
  (void) state;
  HV_CLEAN (json) json_t *j = qmp_json_load (text, strlen (text), &limits, NULL);
  assert_non_null (j);
  assert_true (qmp_json_int (j, "a", 0) == INT64_MAX);
  assert_true (json_integer_value (json_array_get (json_object_get (j, "b"), 1)) == INT64_MAX);
  assert_true (json_integer_value (json_array_get (json_object_get (j, "b"), 2)) == -3);
  assert_true (qmp_json_int (j, "c", 0) == INT64_MAX);
  assert_string_equal (qmp_json_str (j, "d", ""), "18446744073709551615\"1");
  assert_true (qmp_json_int (j, "e", 0) == INT64_MAX);
  assert_true (json_real_value (json_object_get (j, "f")) == 1250.0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_every_cut),
    cmocka_unit_test (test_piecewise_and_glued),
    cmocka_unit_test (test_end_in_the_middle),
    cmocka_unit_test (test_breaches),
    cmocka_unit_test (test_numbers_that_no_int64_holds),
    cmocka_unit_test (test_sizes),
    cmocka_unit_test (test_depth),
    cmocka_unit_test (test_many_values),
    cmocka_unit_test (test_command),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
