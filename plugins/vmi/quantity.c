/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A quantity is digits × a power of two × a power of ten; only the last step can lose something, and that is rounded up. */
#include "quantity.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide; /* 18 digits × 2^60 fit with room to spare */

#define DIGITS_MAX 18
#define POWER_MAX  60

struct parts {
  wide digits;
  int fraction; /* digits behind the point */
  const char *suffix;
};

static int
read_digits (const char *text, struct parts *p)
{
  int any = 0, significant = 0, point = 0;
  for (; (*text >= '0' && *text <= '9') || (*text == '.' && !point); text++) {
    if (*text == '.') {
      point = 1;
      continue;
    }
    any = 1;
    significant += significant > 0 || *text != '0';
    if (significant > DIGITS_MAX)
      return 0;
    p->digits = p->digits * 10 + (unsigned) (*text - '0');
    p->fraction += point;
    if (p->fraction > POWER_MAX)
      return 0;
  }
  p->suffix = text;
  return any;
}

static int
read_exponent (const char *s, int *ret)
{
  int sign = *s == '-' ? -1 : 1, n = 0;
  s += *s == '-' || *s == '+';
  if (*s == '\0')
    return 0;
  for (; *s >= '0' && *s <= '9'; s++)
    if ((n = n * 10 + (*s - '0')) > POWER_MAX)
      return 0;
  *ret = sign * n;
  return *s == '\0';
}

/* What the suffix multiplies by: 2^*ret_two × 10^*ret_ten. */
static int
read_suffix (const char *s, int *ret_two, int *ret_ten)
{
  static const struct {
    const char *text;
    int two, ten;
  } known[] = { { "", 0, 0 },    { "n", 0, -9 },  { "u", 0, -6 },  { "m", 0, -3 }, { "k", 0, 3 },   { "M", 0, 6 },
                { "G", 0, 9 },   { "T", 0, 12 },  { "P", 0, 15 },  { "E", 0, 18 }, { "Ki", 10, 0 }, { "Mi", 20, 0 },
                { "Gi", 30, 0 }, { "Ti", 40, 0 }, { "Pi", 50, 0 }, { "Ei", 60, 0 } };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp (s, known[i].text) == 0) {
      *ret_two = known[i].two;
      *ret_ten = known[i].ten;
      return 1;
    }
  *ret_two = 0;
  return (*s == 'e' || *s == 'E') && read_exponent (s + 1, ret_ten);
}

/* v × 10^ten, rounded up. 0 when it does not fit. */
static int
scale (wide v, int ten, uint64_t *ret)
{
  for (; ten > 0; ten--)
    if (__builtin_mul_overflow (v, (wide) 10, &v))
      return 0;
  int rest = 0;
  for (; ten < 0; ten++) {
    rest |= v % 10 != 0;
    v /= 10;
  }
  v += (wide) rest;
  if (v > UINT64_MAX)
    return 0;
  *ret = (uint64_t) v;
  return 1;
}

static int
parse (const char *text, int ten, uint64_t *ret, struct hv_err *err)
{
  struct parts p = { 0 };
  int two = 0, power = 0;
  uint64_t v = 0;
  if (*text == '-')
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "'%s' is negative", text);
  if (!read_digits (text + (*text == '+'), &p) || !read_suffix (p.suffix, &two, &power))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "'%.40s' is not a quantity such as 4Gi, 1.5G or 500m", text);
  if (p.digits != 0 && !scale (p.digits << two, power - p.fraction + ten, &v))
    return hv_err_set (err, HV_E_OUT_OF_RANGE, "'%s' is too large", text);
  *ret = v;
  return 0;
}

int
vmi_quantity (const char *text, uint64_t *ret, struct hv_err *err)
{
  return parse (text, 0, ret, err);
}

int
vmi_quantity_milli (const char *text, uint64_t *ret, struct hv_err *err)
{
  return parse (text, 3, ret, err);
}

void
vmi_quantity_text (uint64_t bytes, char ret[VMI_QUANTITY_TEXT])
{
  static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
  unsigned u = 0;
  while (u < 6 && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    u++;
  }
  (void) snprintf (ret, VMI_QUANTITY_TEXT, "%" PRIu64 "%s", bytes, units[u]);
}
