/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a value of a field may be. The same checks apply to what a peer sends and to what a table gives as its default. */
#include "core/msg/text.h"
#include "core/schema/private.h"
#include <inttypes.h>
#include <stdio.h>

static int
fail (const struct hv_field *f, const struct hv_place *at, struct hv_err *err, const char *text)
{
  return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "%s", text);
}

/* A secret is not repeated in an error: errors are logged. */
static const char *
shown (const struct hv_field *f, const char *text, uint64_t n, char room[HV_QUOTE_TEXT])
{
  return (f->flags & HV_SECRET) ? "this value" : hv_quote_text (text, n, room);
}

static uint64_t
type_max (const struct hv_field *f)
{
  return f->type == HV_T_U32 ? UINT32_MAX : f->type == HV_T_I64 ? INT64_MAX : UINT64_MAX;
}

int
hv_check_range_fail (const struct hv_field *f, const struct hv_place *at, const char *value, struct hv_err *err)
{
  char low[24], high[24];
  int is_signed = f->type == HV_T_I64, has_low = !is_signed || f->min != 0;
  int has_high = f->max != 0 || f->type == HV_T_U32;
  if (is_signed)
    (void) snprintf (low, sizeof low, "%" PRId64, f->min);
  else
    (void) snprintf (low, sizeof low, "%" PRIu64, f->umin);
  (void) snprintf (high, sizeof high, "%" PRIu64, f->max != 0 ? f->max : type_max (f));
  const char *what = (f->flags & HV_SECRET) ? "it" : value, *unit = f->unit != NULL ? f->unit : "",
             *space = f->unit != NULL ? " " : "";
  if (!has_high)
    return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "%s is too small, at least %s%s%s is needed", what, low, space,
                          unit);
  if (!has_low)
    return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "%s is out of range (at most %s%s%s)", what, high, space, unit);
  return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "%s is out of range (%s to %s%s%s)", what, low, high, space, unit);
}

int
hv_check_unsigned (const struct hv_field *f, const struct hv_place *at, uint64_t v, struct hv_err *err)
{
  char text[24];
  uint64_t max = f->max != 0 ? f->max : type_max (f);
  if (v >= f->umin && v <= max && v <= type_max (f))
    return 0;
  (void) snprintf (text, sizeof text, "%" PRIu64, v);
  return hv_check_range_fail (f, at, text, err);
}

int
hv_check_signed (const struct hv_field *f, const struct hv_place *at, int64_t v, struct hv_err *err)
{
  char text[24];
  if ((f->min == 0 || v >= f->min) && (f->max == 0 || v < 0 || (uint64_t) v <= f->max))
    return 0;
  (void) snprintf (text, sizeof text, "%" PRId64, v);
  return hv_check_range_fail (f, at, text, err);
}

int
hv_check_f64 (const struct hv_field *f, const struct hv_place *at, double v, struct hv_err *err)
{
  char text[HV_F64_TEXT];
  if (v != v || v - v != 0)
    return fail (f, at, err, "must be a finite number");
  if ((f->umin == 0 || v >= (double) f->umin) && (f->max == 0 || v <= (double) f->max))
    return 0;
  return hv_check_range_fail (f, at, hv_f64_text (v, text), err);
}

/* --- text --- */

static int
check_length (const struct hv_field *f, const struct hv_place *at, uint64_t n, struct hv_err *err)
{
  if (n < f->umin && n == 0)
    return fail (f, at, err, "must not be empty");
  if (n < f->umin)
    return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "has %" PRIu64 " bytes, at least %" PRIu64 " are needed", n,
                          f->umin);
  if (f->max != 0 && n > f->max)
    return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "has %" PRIu64 " bytes, at most %" PRIu64 " are allowed", n,
                          f->max);
  return 0;
}

int
hv_check_bytes (const struct hv_field *f, const struct hv_place *at, uint64_t n, struct hv_err *err)
{
  return check_length (f, at, n, err);
}

static int
check_path (const struct hv_field *f, const struct hv_place *at, const char *s, uint64_t n, struct hv_err *err)
{
  char room[HV_QUOTE_TEXT];
  if (s[0] != '/')
    return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "%s is not an absolute path", shown (f, s, n, room));
  for (const char *c = s; (c = strstr (c, "/..")) != NULL; c += 3)
    if (c[3] == '/' || c[3] == '\0')
      return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "%s has '..' in it, which is not allowed in a path",
                            shown (f, s, n, room));
  return 0;
}

static int
pattern_fail (const struct hv_field *f, const struct hv_place *at, const char *s, uint64_t n, struct hv_err *err)
{
  static const char *const meaning[][2] = {
    { "name", "a name (small letters, digits and inner '-', at most 63)" },
    { "subdomain", "a name (small letters, digits, inner '-' and '.', at most 253)" },
    { "uuid", "a UUID like 0b3ff1c6-2d5f-4e3a-9a51-6ffb0f0b5b61" },
    { "mac", "a MAC address like 52:54:00:12:34:56" },
  };
  char room[HV_QUOTE_TEXT];
  const char *what = f->pattern;
  for (size_t i = 0; i < sizeof meaning / sizeof *meaning; i++)
    if (strcmp (meaning[i][0], f->pattern) == 0)
      what = meaning[i][1];
  return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "%s is not %s", shown (f, s, n, room), what);
}

int
hv_check_text (const struct hv_field *f, const struct hv_place *at, const char *text, uint64_t n, struct hv_err *err)
{
  if (hv_utf8_check ((const uint8_t *) text, n) != n)
    return fail (f, at, err, "is not valid UTF-8");
  if (memchr (text, '\0', n) != NULL)
    return fail (f, at, err, "has a NUL byte in it");
  int r = check_length (f, at, n, err);
  if (r == 0 && f->pattern != NULL && !hv_pattern_match (f->pattern, text))
    r = pattern_fail (f, at, text, n, err);
  if (r == 0 && (f->flags & HV_PATH))
    r = check_path (f, at, text, n, err);
  return r;
}

int
hv_word_index (const char *const *words, const void *text, uint64_t n)
{
  for (int i = 0; words[i] != NULL; i++)
    if (strlen (words[i]) == n && memcmp (words[i], text, n) == 0)
      return i;
  return -1;
}

int
hv_check_word_fail (const struct hv_field *f, const struct hv_place *at, const void *text, uint64_t n, struct hv_err *err)
{
  char all[512] = "", room[HV_QUOTE_TEXT];
  size_t used = 0;
  for (uint32_t i = 0; f->words[i] != NULL && used < sizeof all; i++)
    used += (size_t) snprintf (all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "", f->words[i]);
  const char *near = hv_nearest (text, n, f->words);
  return hv_place_fail (at, f->name, HV_E_INVALID_ARGUMENT, err, "%s is not one of: %s%s%s%s", hv_quote_text (text, n, room), all,
                        near != NULL ? "; did you mean '" : "", near != NULL ? near : "", near != NULL ? "'?" : "");
}
