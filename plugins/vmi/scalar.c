/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scalar.h"
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <string.h>

static int
is_one_of (const char *text, const char *const *words)
{
  for (; *words != NULL; words++)
    if (strcmp (text, *words) == 0)
      return 1;
  return 0;
}

int
vmi_scalar_is_null (const char *text)
{
  static const char *const words[] = { "", "~", "null", "Null", "NULL", NULL };
  return is_one_of (text, words);
}

static size_t
digits (const char *s)
{
  return strspn (s, "0123456789");
}

/* [-+]?[0-9]+, 0o[0-7]+, 0x[0-9a-fA-F]+: the base, or 0. */
static int
integer_base (const char *s)
{
  if (strncmp (s, "0o", 2) == 0)
    return s[2] != '\0' && s[2 + strspn (s + 2, "01234567")] == '\0' ? 8 : 0;
  if (strncmp (s, "0x", 2) == 0)
    return s[2] != '\0' && s[2 + strspn (s + 2, "0123456789abcdefABCDEF")] == '\0' ? 16 : 0;
  s += *s == '-' || *s == '+';
  return *s != '\0' && s[digits (s)] == '\0' ? 10 : 0;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static int
is_float (const char *s)
{
  s += *s == '-' || *s == '+';
  size_t whole = digits (s);
  s += whole;
  if (*s == '.') {
    size_t part = digits (++s);
    if (whole == 0 && part == 0)
      return 0;
    s += part;
  } else if (whole == 0) {
    return 0;
  }
  if (*s == 'e' || *s == 'E') {
    s++;
    s += *s == '-' || *s == '+';
    if (digits (s) == 0)
      return 0;
    s += digits (s);
  }
  return *s == '\0';
}

static int
is_infinite (const char *s)
{
  static const char *const words[] = { ".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL };
  return is_one_of (s + (*s == '-' || *s == '+'), words);
}

static int
pack_integer (const char *text, int base, struct hv_pack *p)
{
  errno = 0;
  if (*text == '-') {
    int64_t i = strtoll (text, NULL, 10);
    if (errno == 0)
      hv_pack_i64 (p, i);
  } else {
    uint64_t u = strtoull (text + (base != 10 ? 2 : 0), NULL, base);
    if (errno == 0)
      hv_pack_u64 (p, u);
  }
  return errno == 0;
}

/* The point is a point whatever locale a program that links us has set. */
static int
pack_float (const char *text, struct hv_pack *p)
{
  static locale_t c;
  if (c == (locale_t) 0 && (c = newlocale (LC_ALL_MASK, "C", (locale_t) 0)) == (locale_t) 0)
    return 0;
  double d = strtod_l (text, NULL, c);
  if (!isfinite (d))
    return 0;
  hv_pack_f64 (p, d);
  return 1;
}

int
vmi_scalar_pack (const char *text, struct hv_pack *p)
{
  static const char *const yes[] = { "true", "True", "TRUE", NULL }, *const no[] = { "false", "False", "FALSE", NULL };
  int base = integer_base (text);
  if (vmi_scalar_is_null (text))
    hv_pack_nil (p);
  else if (is_one_of (text, yes) || is_one_of (text, no))
    hv_pack_bool (p, is_one_of (text, yes));
  else if (base != 0)
    return pack_integer (text, base, p);
  else if (is_infinite (text))
    return 0;
  else if (is_float (text))
    return pack_float (text, p);
  else
    hv_pack_str (p, text);
  return 1;
}
