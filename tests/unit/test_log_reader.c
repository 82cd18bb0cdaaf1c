/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit/logs.h: nothing is lost or read twice when a log is rotated, wherever the reader is. */
#include "core/err/err.h"
#include <fcntl.h>
#include <hvkit/logs.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
/* after those */
#include <cmocka.h>

#define KEEP 3u

struct world {
  char dir[64], log[96];
  struct hv_err *err;
  struct hv_log_reader *r;
};

static int
setup (void **state)
{
  struct world *w = calloc (1, sizeof *w);
  snprintf (w->dir, sizeof w->dir, "/tmp/hvkit-logs-XXXXXX");
  assert_non_null (mkdtemp (w->dir));
  snprintf (w->log, sizeof w->log, "%s/a.log", w->dir);
  w->err = hv_error_new ();
  *state = w;
  return 0;
}

static void
old_name (const struct world *w, unsigned k, char *text, size_t size)
{
  snprintf (text, size, "%s.%u", w->log, k);
}

static int
teardown (void **state)
{
  struct world *w = *state;
  char old[128];
  hv_log_reader_free (w->r);
  (void) unlink (w->log);
  for (unsigned k = 0; k < HV_LOG_FILES_MAX; k++) {
    old_name (w, k, old, sizeof old);
    (void) unlink (old);
  }
  assert_int_equal (rmdir (w->dir), 0);
  hv_err_free (w->err);
  free (w);
  return 0;
}

static void
put (const struct world *w, const char *text)
{
  int fd = open (w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  assert_true (fd >= 0);
  assert_int_equal (write (fd, text, strlen (text)), (ssize_t) strlen (text));
  (void) close (fd);
}

static void
rotate (const struct world *w, unsigned keep)
{
  char from[128], to[128];
  for (unsigned k = keep; k > 0; k--) {
    old_name (w, k - 1, to, sizeof to);
    if (k > 1)
      old_name (w, k - 2, from, sizeof from);
    else
      snprintf (from, sizeof from, "%s", w->log);
    (void) rename (from, to);
  }
}

static void
begin (struct world *w, uint64_t lines)
{
  hv_log_reader_free (w->r);
  w->r = NULL;
  assert_int_equal (hv_log_reader_new (w->log, lines, &w->r, w->err), 0);
}

static void
expect (struct world *w, const char *text)
{
  char seen[4096];
  size_t n = 0, more;
  while ((more = hv_log_reader_read (w->r, seen + n, sizeof seen - 1 - n)) > 0)
    n += more;
  seen[n] = '\0';
  assert_string_equal (seen, text);
}

static void
test_follows (void **state)
{
  struct world *w = *state;
  begin (w, HV_LOG_ALL); /* before there is a log */
  expect (w, "");
  put (w, "one\ntw");
  expect (w, "one\ntw");
  expect (w, "");
  put (w, "o\n");
  rotate (w, KEEP);
  expect (w, "o\n"); /* what was written before the rotation, though its name is another one now */
  put (w, "three\n");
  rotate (w, KEEP);
  put (w, "four\n");
  rotate (w, KEEP);
  put (w, "five\n");
  expect (w, "three\nfour\nfive\n");
  assert_int_equal (hv_log_reader_gaps (w->r), 0);
}

static void
test_from_the_oldest (void **state)
{
  struct world *w = *state;
  put (w, "1\n");
  rotate (w, KEEP);
  put (w, "2\n");
  rotate (w, KEEP);
  put (w, "3\n");
  begin (w, HV_LOG_ALL);
  expect (w, "1\n2\n3\n");
}

static void
test_last_lines (void **state)
{
  struct world *w = *state;
  put (w, "1\n2\n3\n");
  rotate (w, KEEP);
  put (w, "4\n5\n");
  static const char *const wanted[] = { "", "5\n", "4\n5\n", "3\n4\n5\n", "2\n3\n4\n5\n", "1\n2\n3\n4\n5\n", "1\n2\n3\n4\n5\n" };
  for (unsigned n = 0; n < sizeof wanted / sizeof *wanted; n++) {
    begin (w, n);
    expect (w, wanted[n]);
  }
  put (w, "half");
  begin (w, 1);
  expect (w, "half");
  begin (w, 2);
  expect (w, "5\nhalf");
  rotate (w, KEEP); /* the current file is not there, or has nothing yet */
  begin (w, 2);
  expect (w, "5\nhalf");
  put (w, "");
  begin (w, 2);
  expect (w, "5\nhalf");
}

static void
test_falls_behind (void **state)
{
  struct world *w = *state;
  char line[16];
  put (w, "0\n");
  begin (w, HV_LOG_ALL);
  expect (w, "0\n");
  for (unsigned i = 1; i < 8; i++) {
    rotate (w, KEEP);
    (void) snprintf (line, sizeof line, "%u\n", i);
    put (w, line);
  }
  expect (w, "4\n5\n6\n7\n"); /* 1 to 3 are gone; the reader knows */
  assert_int_equal (hv_log_reader_gaps (w->r), 1);
}

static void
test_emptied_and_gone (void **state)
{
  struct world *w = *state;
  put (w, "something long\n");
  begin (w, HV_LOG_ALL);
  expect (w, "something long\n");
  assert_int_equal (truncate (w->log, 0), 0);
  put (w, "new\n");
  expect (w, "new\n");
  assert_int_equal (unlink (w->log), 0);
  expect (w, "");
  assert_int_equal (symlink ("/etc/hostname", w->log), 0); /* nobody's log */
  expect (w, "");
}

/* Numbered lines, rotated as the writer likes. */
struct writer {
  const struct world *w;
  atomic_uint reached;
};

#define LINES  4000u
#define AHEAD  12u /* files at most that the reader may be behind */
#define A_FILE 20u

static void *
write_all (void *arg)
{
  struct writer *wr = arg;
  char line[32];
  for (unsigned i = 0; i < LINES; i++) {
    while (i > atomic_load (&wr->reached) + AHEAD * A_FILE)
      sched_yield ();
    if (i % A_FILE == A_FILE - 1)
      rotate (wr->w, HV_LOG_FILES_MAX - 1);
    (void) snprintf (line, sizeof line, "%u\n", i);
    put (wr->w, line);
  }
  return NULL;
}

static void
test_while_it_rotates (void **state)
{
  struct world *w = *state;
  struct writer wr = { .w = w };
  pthread_t t;
  unsigned wanted = 0, n = 0;
  begin (w, HV_LOG_ALL);
  assert_int_equal (pthread_create (&t, NULL, write_all, &wr), 0);
  while (wanted < LINES && hv_log_reader_gaps (w->r) == 0) {
    char data[64];
    size_t got = hv_log_reader_read (w->r, data, sizeof data);
    for (size_t i = 0; i < got; i++) {
      if (data[i] != '\n') {
        n = n * 10 + (unsigned) (data[i] - '0');
        continue;
      }
      assert_int_equal (n, wanted);
      atomic_store (&wr.reached, ++wanted);
      n = 0;
    }
  }
  assert_int_equal (hv_log_reader_gaps (w->r), 0);
  (void) pthread_join (t, NULL);
}

#define TEST(t) cmocka_unit_test_setup_teardown (t, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (test_follows),      TEST (test_from_the_oldest),  TEST (test_last_lines),
    TEST (test_falls_behind), TEST (test_emptied_and_gone), TEST (test_while_it_rotates),
  };
  return cmocka_run_group_tests_name ("log_reader", tests, NULL, NULL);
}
