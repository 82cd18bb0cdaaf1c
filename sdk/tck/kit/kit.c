/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ends of a check, and what it keeps. */
#include "sdk/tck/kit/kit.h"
#include "core/loop/loop.h"
#include <stdio.h>
#include <string.h>

extern void tck_child_end (struct tck *, uint32_t outcome, const char *text) __attribute__ ((noreturn));

void
tck_fail (struct tck *t, const char *fmt, ...)
{
  char *text = NULL;
  va_list ap;
  va_start (ap, fmt);
  int n = vasprintf (&text, fmt, ap);
  va_end (ap);
  tck_child_end (t, TCK_FAIL, n >= 0 ? text : fmt);
}

void
tck_na (struct tck *t, const char *why, ...)
{
  char *text = NULL;
  va_list ap;
  va_start (ap, why);
  int n = vasprintf (&text, why, ap);
  va_end (ap);
  tck_child_end (t, TCK_NA, n >= 0 ? text : why);
}

json_t *
tck_keep (struct tck *t, json_t *j)
{
  if (j == NULL || json_array_append_new (t->kept, j) < 0)
    tck_fail (t, "the kit is out of memory");
  return j;
}

const char *
tck_text (struct tck *t, const char *fmt, ...)
{
  char *text = NULL;
  va_list ap;
  va_start (ap, fmt);
  int n = vasprintf (&text, fmt, ap);
  va_end (ap);
  if (n < 0)
    tck_fail (t, "the kit is out of memory");
  json_t *kept = tck_keep (t, json_stringn_nocheck (text, (size_t) n));
  free (text);
  return json_string_value (kept);
}

uint64_t
tck_now_ms (void)
{
  return hv_loop_now_ms ();
}
