/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "did you mean", and the named patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/schema/schema.h"
#include <cmocka.h>
#include <string.h>

static void
nearest (const char *word, const char *want)
{
  static const char *const names[] = { "path", "patch", "format", "runStrategy", "terminationGracePeriodSeconds", "x", "id", NULL };
  const char *have = hv_nearest (word, strlen (word), names);
  if (want == NULL && have != NULL)
    fail_msg ("'%s': '%s', not nothing", word, have);
  if (want != NULL && (have == NULL || strcmp (have, want) != 0))
    fail_msg ("'%s': '%s', not '%s'", word, have != NULL ? have : "nothing", want);
}

static void
test_nearest (void **state)
{
  static const char *const none[] = { NULL };
  (void) state;
  nearest ("pth", "path");
  nearest ("apth", "path");
  nearest ("paths", "path");
  nearest ("ptch", "patch");
  nearest ("fromat", "format");
  nearest ("runstrategy", "runStrategy");
  nearest ("RunStrategy", "runStrategy");
  nearest ("terminationGracePeriod", "terminationGracePeriodSeconds");
  nearest ("di", "id");
  nearest ("volume", NULL);
  nearest ("y", NULL);
  nearest ("", NULL);
  char longer[200];
  memset (longer, 'p', sizeof longer);
  assert_null (hv_nearest (longer, sizeof longer, none));
  static const char *const names[] = { "path", NULL };
  assert_null (hv_nearest (longer, sizeof longer, names));
  assert_string_equal (hv_nearest ("pathX", 4, names), "path"); /* n counts, not a NUL */
}

static void
test_patterns (void **state)
{
  static const struct {
    const char *pattern, *text;
    int fits;
  } cases[] = {
    { "name", "a", 1 },
    { "name", "vm-0", 1 },
    { "name", "", 0 },
    { "name", "-a", 0 },
    { "name", "a-", 0 },
    { "name", "A", 0 },
    { "name", "a.b", 0 },
    { "name", "a_b", 0 },
    { "name", "a\xc3\xa4", 0 },
    { "subdomain", "a.b-c.d", 1 },
    { "subdomain", "a", 1 },
    { "subdomain", ".a", 0 },
    { "subdomain", "a.", 0 },
    { "subdomain", "a..b", 0 },
    { "subdomain", "a-.b", 0 },
    { "subdomain", "a.-b", 0 },
    { "uuid", "0b3ff1c6-2d5f-4e3a-9a51-6ffb0f0b5b61", 1 },
    { "uuid", "0b3ff1c62d5f4e3a9a516ffb0f0b5b61", 0 },
    { "uuid", "0b3ff1c6-2d5f-4e3a-9a51-6ffb0f0b5b6", 0 },
    { "uuid", "0b3ff1c6-2d5f-4e3a-9a51-6ffb0f0b5b611", 0 },
    { "uuid", "0b3ff1c6-2d5f-4e3a-9a51-6ffb0f0b5b6g", 0 },
    { "mac", "52:54:00:12:34:56", 1 },
    { "mac", "52-54-00-12-34-56", 0 },
    { "mac", "52:54:00:12:34:5", 0 },
    { "mac", "", 0 },
    { "unknown", "a", 0 },
    { NULL, "anything", 1 },
  };
  char label[65] = { 0 }, domain[255] = { 0 };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (hv_pattern_match (cases[i].pattern, cases[i].text) != cases[i].fits)
      fail_msg ("%s of '%s' is not %d", cases[i].pattern, cases[i].text, cases[i].fits);
  memset (label, 'a', 64);
  assert_false (hv_pattern_match ("name", label));
  assert_false (hv_pattern_match ("subdomain", label)); /* a label of a subdomain is a name too */
  label[63] = '\0';
  assert_true (hv_pattern_match ("name", label));
  for (int i = 0; i < 254; i++)
    domain[i] = i % 2 == 0 ? 'a' : '.';
  domain[253] = '\0';
  assert_true (hv_pattern_match ("subdomain", domain));
  memcpy (domain + 252, "bb", 2);
  assert_false (hv_pattern_match ("subdomain", domain));
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_nearest), cmocka_unit_test (test_patterns) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
