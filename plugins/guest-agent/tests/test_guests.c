/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store of answers: ages, changes, and its bounds. */
#include "plugins/guest-agent/guests.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after those */
#include <cmocka.h>

static void
clear (struct ga_guests *all)
{
  while (all->first != NULL)
    ga_guests_remove (all, all->first);
  assert_int_equal (all->count, 0);
}

static void
test_ages (void **state)
{
  (void) state;
  struct ga_guests all = { NULL, 0 };
  struct ga_guest *g = ga_guests_add (&all, "qmp", "a");
  uint64_t age = 0;
  assert_ptr_equal (ga_guests_find (&all, "qmp", "a"), g);
  assert_null (ga_guests_find (&all, "libvirt", "a"));
  assert_null (ga_guests_find (&all, "qmp", "b"));
  assert_null (ga_guest_get (g, GA_USERS, 1000, 1000, &age));
  assert_int_equal (ga_guest_put (g, GA_USERS, "one", 1000), 1);
  assert_string_equal (ga_guest_get (g, GA_USERS, 1500, 500, &age), "one");
  assert_int_equal (age, 500);
  assert_null (ga_guest_get (g, GA_USERS, 1501, 500, &age));
  assert_null (ga_guest_get (g, GA_INFO, 1000, 500, &age));
  clear (&all);
}

static void
test_changes (void **state)
{
  (void) state;
  struct ga_guests all = { NULL, 0 };
  struct ga_guest *g = ga_guests_add (&all, "qmp", "a");
  uint64_t age = 0;
  assert_int_equal (ga_guest_put (g, GA_OSINFO, "one", 1000), 1);
  assert_int_equal (ga_guest_put (g, GA_OSINFO, "one", 2000), 0);
  assert_string_equal (ga_guest_get (g, GA_OSINFO, 2000, 0, &age), "one"); /* said again: it is as new as that */
  assert_int_equal (ga_guest_put (g, GA_OSINFO, "two", 3000), 1);
  assert_string_equal (ga_guest_get (g, GA_OSINFO, 3000, 0, &age), "two");
  clear (&all);
}

static void
test_bounds (void **state)
{
  (void) state;
  struct ga_guests all = { NULL, 0 };
  struct ga_guest *g = ga_guests_add (&all, "qmp", "a");
  char name[16], *large = malloc (GA_ANSWER_BYTES_MAX + 2);
  uint64_t age;
  memset (large, 'x', GA_ANSWER_BYTES_MAX + 1);
  large[GA_ANSWER_BYTES_MAX + 1] = '\0';
  assert_int_equal (ga_guest_put (g, GA_USERS, "small", 1), 1);
  assert_int_equal (ga_guest_put (g, GA_USERS, large, 2), 0);
  assert_null (ga_guest_get (g, GA_USERS, 2, 1000, &age)); /* nor the old one in its place */
  free (large);
  for (unsigned i = 1; i < GA_GUESTS_MAX; i++) {
    snprintf (name, sizeof name, "vm%u", i);
    assert_non_null (ga_guests_add (&all, "qmp", name));
  }
  assert_null (ga_guests_add (&all, "qmp", "one more"));
  ga_guests_remove (&all, g);
  assert_non_null (ga_guests_add (&all, "qmp", "one more"));
  clear (&all);
}

int
main (void)
{
  const struct CMUnitTest tests[]
      = { cmocka_unit_test (test_ages), cmocka_unit_test (test_changes), cmocka_unit_test (test_bounds) };
  return cmocka_run_group_tests_name ("agent guests", tests, NULL, NULL);
}
