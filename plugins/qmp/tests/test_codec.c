/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest agent's framing against a guest that does what it likes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec.h"
#include "core/err/err.h"

static void
begin (struct qmp_codec *c, uint64_t id)
{
  size_t n;
  *c = (struct qmp_codec){ 0 };
  char *line = qmp_codec_sync (c, id, &n);
  assert_non_null (line);
  assert_int_equal ((unsigned char) line[0], 0xff);
  assert_int_equal (line[n - 1], '\n');
  free (line);
}

/* Feeds everything, `piece` bytes at a time, taking answers in between. Returns how many came, or a code. */
static int
run (struct qmp_codec *c, const char *bytes, size_t size, size_t piece, char *last, size_t last_size)
{
  int answers = 0, r = 0;
  for (size_t at = 0; at < size; at += piece) {
    r = qmp_codec_feed (c, bytes + at, piece < size - at ? piece : size - at, NULL);
    json_t *j = NULL;
    while (r >= 0 && (r = qmp_codec_next (c, &j, NULL)) > 0) {
      if (j == NULL)
        continue;
      answers++;
      char *text = json_dumps (j, JSON_COMPACT);
      (void) snprintf (last, last_size, "%s", text);
      free (text);
      json_decref (j);
    }
    if (r < 0)
      return r;
  }
  return answers;
}

#define RUN(c, text, piece) run (c, text, sizeof (text) - 1, piece, last, sizeof last)

static void
test_every_piece (void **state)
{
  static const char bytes[]
      = "{\"return\": 41}\nstale\xff{\"return\": 42}\n{\"return\": {\"version\": \"7.2\"}}\r\n{\"error\": {\"class\": \"X\"}}\n";
  char last[128];
  (void) state;
  for (size_t piece = 1; piece < sizeof bytes; piece++) {
    struct qmp_codec c;
    begin (&c, 42);
    assert_int_equal (RUN (&c, bytes, piece), 2);
    assert_string_equal (last, "{\"error\":{\"class\":\"X\"}}");
    assert_true (qmp_codec_clean (&c));
    assert_int_equal (qmp_codec_feed (&c, "{", 1, NULL), 0); /* unasked */
    assert_false (qmp_codec_clean (&c));
    qmp_codec_clear (&c);
  }
}

/* A late answer to an earlier command, and an earlier echo with its own 0xFF, come before ours. */
static void
test_stale_echo (void **state)
{
  struct qmp_codec c;
  char last[128];
  (void) state;
  begin (&c, 43);
  assert_int_equal (RUN (&c, "\xff{\"return\": 42}\n", 4), 0);
  assert_int_equal (c.state, QMP_CODEC_SEEK);
  assert_int_equal (RUN (&c, "{\"return\": 43}\n", 4), 0); /* without 0xFF it is not the echo */
  assert_int_equal (c.state, QMP_CODEC_SEEK);
  assert_int_equal (RUN (&c, "\xff{\"return\": 43}\n{\"return\": 1}\n", 4), 1);
  assert_string_equal (last, "{\"return\":1}");
  qmp_codec_clear (&c);
}

static void
test_forged_echoes (void **state)
{
  static const char *const forged[]
      = { "\xff{\"return\": \"42\"}\n", "\xff{\"return\": 42.0}\n", "\xff{\"error\": 42}\n", "\xff[42]\n",
          "\xff"
          "42\n" };
  char last[128];
  (void) state;
  for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
    struct qmp_codec c;
    begin (&c, 42);
    assert_int_equal (run (&c, forged[i], strlen (forged[i]), 3, last, sizeof last), 0);
    assert_int_equal (c.state, QMP_CODEC_SEEK);
    qmp_codec_clear (&c);
  }
}

static void
test_flood (void **state)
{
  static char junk[65536];
  struct qmp_codec c;
  int r = 0, rounds = 0;
  (void) state;
  memset (junk, 'a', sizeof junk);
  begin (&c, 42);
  while (r == 0 && rounds++ < 1000)
    r = qmp_codec_feed (&c, junk, sizeof junk, NULL);
  assert_int_equal (r, HV_E_RESOURCE_EXHAUSTED);
  assert_in_range (rounds, QMP_AGENT_DISCARD / sizeof junk, QMP_AGENT_DISCARD / sizeof junk + 2);
  qmp_codec_clear (&c);
  /* the same with a 0xFF in every piece: what is thrown away still counts */
  memset (junk, 0xff, sizeof junk);
  begin (&c, 42);
  for (r = 0, rounds = 0; r == 0 && rounds < 1000; rounds++)
    r = qmp_codec_feed (&c, junk, sizeof junk, NULL);
  assert_int_equal (r, HV_E_RESOURCE_EXHAUSTED);
  qmp_codec_clear (&c);
}

static void
test_endless_answer (void **state)
{
  static char junk[65536];
  struct qmp_codec c;
  char last[128];
  int r = 0, rounds = 0;
  (void) state;
  memset (junk, ' ', sizeof junk);
  begin (&c, 42);
  assert_int_equal (RUN (&c, "\xff{\"return\": 42}\n{\"return\": \"", 100), 0);
  while (r == 0 && rounds++ < 1000)
    r = qmp_codec_feed (&c, junk, sizeof junk, NULL);
  assert_int_equal (r, HV_E_RESOURCE_EXHAUSTED);
  assert_in_range (rounds, 15, 18);
  qmp_codec_clear (&c);
}

static void
test_bad_answers (void **state)
{
  static const char *const bad[]
      = { "nonsense\n", "{\"return\": 1\n", "[1, 2]\n", "{\"return\": \"\xc3\x28\"}\n", "{\"return\": 1e999}\n" };
  char last[128], deep[256];
  (void) state;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct qmp_codec c;
    begin (&c, 42);
    assert_int_equal (RUN (&c, "\xff{\"return\": 42}\n", 100), 0);
    assert_int_equal (run (&c, bad[i], strlen (bad[i]), 100, last, sizeof last), HV_E_INVALID_ARGUMENT);
    qmp_codec_clear (&c);
  }
  struct qmp_codec c;
  begin (&c, 42);
  assert_int_equal (RUN (&c, "\xff{\"return\": 42}\n", 100), 0);
  memset (deep, '[', sizeof deep);
  deep[sizeof deep - 1] = '\n';
  assert_true (run (&c, deep, sizeof deep, 100, last, sizeof last) < 0);
  qmp_codec_clear (&c);
}

static void
test_commands (void **state)
{
  size_t n;
  char *line = qmp_codec_command (" {\n \"execute\" : \"guest-ping\" }\n", &n, NULL);
  (void) state;
  assert_non_null (line);
  line[n - 1] = '\0';
  assert_string_equal (line, "{\"execute\":\"guest-ping\"}");
  free (line);
  assert_null (qmp_codec_command ("", &n, NULL));
  assert_null (qmp_codec_command ("{}", &n, NULL));
  assert_null (qmp_codec_command ("{\"execute\": 1}", &n, NULL));
  assert_null (qmp_codec_command ("{\"execute\": \"a\"} {\"execute\": \"b\"}", &n, NULL));
  assert_null (qmp_codec_command ("[\"execute\"]", &n, NULL));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_every_piece), cmocka_unit_test (test_stale_echo),     cmocka_unit_test (test_forged_echoes),
    cmocka_unit_test (test_flood),       cmocka_unit_test (test_endless_answer), cmocka_unit_test (test_bad_answers),
    cmocka_unit_test (test_commands),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
