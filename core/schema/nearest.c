/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* "did you mean": edit distance with transpositions; and the named patterns of text fields. */
#include "core/schema/private.h"
#include <string.h>

#define WORD_MAX 64u

static uint32_t
least (uint32_t a, uint32_t b, uint32_t c)
{
  uint32_t m = a < b ? a : b;
  return m < c ? m : c;
}

static uint32_t
distance (const char *a, uint32_t n, const char *b, uint32_t m)
{
  uint32_t two[WORD_MAX + 1], one[WORD_MAX + 1], row[WORD_MAX + 1];
  for (uint32_t j = 0; j <= m; j++)
    one[j] = two[j] = j;
  for (uint32_t i = 1; i <= n; i++) {
    row[0] = i;
    for (uint32_t j = 1; j <= m; j++) {
      row[j] = least (one[j] + 1, row[j - 1] + 1, one[j - 1] + (a[i - 1] != b[j - 1]));
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two[j - 2] + 1 < row[j])
        row[j] = two[j - 2] + 1;
    }
    memcpy (two, one, sizeof one);
    memcpy (one, row, sizeof row);
  }
  return one[m];
}

const char *
hv_nearest (const char *word, uint64_t n, const char *const *names)
{
  const char *best = NULL;
  if (n > WORD_MAX)
    return NULL;
  uint32_t found = (uint32_t) n / 3 + 2;
  for (; *names != NULL; names++) {
    size_t m = strlen (*names);
    if (m > WORD_MAX)
      continue;
    uint32_t d = distance (word, (uint32_t) n, *names, (uint32_t) m);
    /* a word of which nothing stayed is not near */
    if (d < found && d < (n > m ? n : m)) {
      found = d;
      best = *names;
    }
  }
  return best;
}

static int
label_char (char c)
{
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* One RFC 1123 label: letters, digits and inner dashes. */
static int
is_label (const char *s, size_t n)
{
  if (n == 0 || n > 63 || s[0] == '-' || s[n - 1] == '-')
    return 0;
  for (size_t i = 0; i < n; i++)
    if (!label_char (s[i]) && s[i] != '-')
      return 0;
  return 1;
}

static int
is_name (const char *s)
{
  return is_label (s, strlen (s));
}

static int
is_subdomain (const char *s)
{
  if (strlen (s) > 253)
    return 0;
  for (;;) {
    size_t n = strcspn (s, ".");
    if (!is_label (s, n))
      return 0;
    if (s[n] == '\0')
      return 1;
    s += n + 1;
  }
}

static int
hex (char c)
{
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* x stands for a hexadecimal digit. */
static int
match_shape (const char *s, const char *shape)
{
  for (; *shape != '\0'; s++, shape++)
    if (*shape == 'x' ? !hex (*s) : *s != *shape)
      return 0;
  return *s == '\0';
}

static int
is_uuid (const char *s)
{
  return match_shape (s, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
}

static int
is_mac (const char *s)
{
  return match_shape (s, "xx:xx:xx:xx:xx:xx");
}

static const struct {
  const char *name;
  int (*match) (const char *);
} patterns[] = { { "name", is_name }, { "subdomain", is_subdomain }, { "uuid", is_uuid }, { "mac", is_mac } };

int
hv_pattern_known (const char *pattern)
{
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
    if (strcmp (patterns[i].name, pattern) == 0)
      return 1;
  return 0;
}

int
hv_pattern_match (const char *pattern, const char *text)
{
  if (pattern == NULL)
    return 1;
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
    if (strcmp (patterns[i].name, pattern) == 0)
      return patterns[i].match (text);
  return 0;
}
