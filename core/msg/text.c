/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/msg/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HIGH_BITS 0x8080808080808080u
#define QUOTE_MAX 64u

static unsigned
sequence_length (uint8_t lead)
{
  if (lead < 0x80)
    return 1;
  if (lead < 0xc2)
    return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
}

/* The second byte of some leads has a narrower range: no overlong forms, no surrogates, nothing above U+10FFFF. */
static int
second_fits (uint8_t lead, uint8_t second)
{
  uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high;
}

unsigned
hv_utf8_length (const uint8_t *s, uint64_t n)
{
  unsigned len = sequence_length (s[0]);
  if (len > n || (len > 1 && !second_fits (s[0], s[1])))
    return 0;
  for (unsigned i = 2; i < len; i++)
    if ((s[i] & 0xc0) != 0x80)
      return 0;
  return len;
}

uint64_t
hv_utf8_check (const uint8_t *s, uint64_t n)
{
  uint64_t i = 0, word;
  while (i < n) {
    /* nearly all text is ASCII: eight bytes at a time */
    for (; n - i >= 8; i += 8) {
      memcpy (&word, s + i, sizeof word);
      if (word & HIGH_BITS)
        break;
    }
    if (i == n)
      break;
    unsigned len = hv_utf8_length (s + i, n - i);
    if (len == 0)
      break;
    i += len;
  }
  return i;
}

const char *
hv_f64_text (double v, char ret[HV_F64_TEXT])
{
  if (!isfinite (v)) {
    memcpy (ret, "null", sizeof "null");
    return ret;
  }
  (void) snprintf (ret, HV_F64_TEXT - 2, "%.15g", v);
  double again = strtod (ret, NULL);
  if (memcmp (&again, &v, sizeof v) != 0)
    (void) snprintf (ret, HV_F64_TEXT - 2, "%.17g", v);
  size_t n = strlen (ret);
  /* a locale may have another decimal point */
  for (size_t i = 0; i < n; i++)
    if (strchr ("+-0123456789e", ret[i]) == NULL)
      ret[i] = '.';
  if (strpbrk (ret, ".e") == NULL)
    memcpy (ret + n, ".0", sizeof ".0");
  return ret;
}

const char *
hv_quote_text (const void *text, uint64_t n, char ret[HV_QUOTE_TEXT])
{
  const uint8_t *s = text;
  uint64_t at = 1, i = 0;
  ret[0] = '\'';
  while (i < n && at <= QUOTE_MAX) {
    unsigned len = hv_utf8_length (s + i, n - i);
    if (len == 0 || s[i] < 0x20 || s[i] == 0x7f)
      ret[at++] = '?';
    else
      for (unsigned j = 0; j < len; j++)
        ret[at++] = (char) s[i + j];
    i += len > 0 ? len : 1;
  }
  (void) snprintf (ret + at, HV_QUOTE_TEXT - at, "%s'", i < n ? "..." : "");
  return ret;
}

void
hv_text_clean (char *text)
{
  uint64_t n = strlen (text), i = 0;
  while (i < n) {
    unsigned len = hv_utf8_length ((uint8_t *) text + i, n - i);
    if (len == 0 || (uint8_t) text[i] < 0x20 || text[i] == 0x7f)
      text[i] = '?';
    i += len > 0 ? len : 1;
  }
}
