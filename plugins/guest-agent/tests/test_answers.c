/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store of answers: ages, keys, and its bounds. */
#include "plugins/guest-agent/answers.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after those */
#include <cmocka.h>

static void
test_ages (void **state)
{
  (void) state;
  struct hv_answers *a = hv_answers_new ();
  const struct hv_answer_key key = { "hv", "vm", "cmd" }, other = { "hv", "vm", "cmd2" }, shifted = { "hv\nvm", "cmd", "" };
  uint64_t age = 77;
  assert_null (hv_answers_get (a, &key, 1000, 1000, &age));
  hv_answers_put (a, &key, "one", 1000);
  assert_string_equal (hv_answers_get (a, &key, 1500, 500, &age), "one");
  assert_int_equal (age, 500);
  assert_null (hv_answers_get (a, &key, 1501, 500, &age));
  assert_null (hv_answers_get (a, &other, 1000, 500, &age));
  assert_null (hv_answers_get (a, &shifted, 1000, 500, &age));
  hv_answers_put (a, &key, "two", 2000);
  assert_string_equal (hv_answers_get (a, &key, 2000, 0, &age), "two");
  hv_answers_free (a);
}

static void
test_bounds (void **state)
{
  (void) state;
  struct hv_answers *a = hv_answers_new ();
  char name[16], *large = malloc (HV_ANSWERS_BYTES_MAX + 2);
  uint64_t age;
  for (unsigned i = 0; i <= HV_ANSWERS_MAX; i++) {
    snprintf (name, sizeof name, "vm%u", i);
    hv_answers_put (a, &(struct hv_answer_key){ "", name, "c" }, "x", 10 + i);
  }
  assert_null (hv_answers_get (a, &(struct hv_answer_key){ "", "vm0", "c" }, 500, 1000, &age)); /* the oldest made room */
  assert_non_null (hv_answers_get (a, &(struct hv_answer_key){ "", "vm1", "c" }, 500, 1000, &age));
  memset (large, 'x', HV_ANSWERS_BYTES_MAX + 1);
  large[HV_ANSWERS_BYTES_MAX + 1] = '\0';
  hv_answers_put (a, &(struct hv_answer_key){ "", "vm1", "c" }, large, 600);
  assert_null (hv_answers_get (a, &(struct hv_answer_key){ "", "vm1", "c" }, 600, 1000, &age)); /* nor the old one in its place */
  free (large);
  hv_answers_free (a);
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_ages), cmocka_unit_test (test_bounds) };
  return cmocka_run_group_tests_name ("agent answers", tests, NULL, NULL);
}
