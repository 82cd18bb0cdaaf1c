/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where in a document something is wrong: "house.rooms[2].color". */
#include "core/msg/text.h"
#include "core/schema/private.h"
#include <stdio.h>

/* Appends and returns the new length, which stays below the size whatever the text. */
HV_PRINTF (3, 4)
static uint32_t
append (char *text, uint32_t at, const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  int n = vsnprintf (text + at, HV_PLACE_TEXT - at, fmt, ap);
  va_end (ap);
  return n < 0 || (uint32_t) n >= HV_PLACE_TEXT - at ? HV_PLACE_TEXT - 1 : at + (uint32_t) n;
}

static uint32_t
print (const struct hv_place *p, char *text)
{
  uint32_t at = p->up != NULL ? print (p->up, text) : 0;
  at = append (text, at, "%s%s", at > 0 ? "." : "", p->name);
  return p->has_index ? append (text, at, "[%u]", p->index) : at;
}

void
hv_place_text (const struct hv_place *p, const char *field, char ret[HV_PLACE_TEXT])
{
  ret[0] = '\0';
  uint32_t at = p != NULL ? print (p, ret) : 0;
  if (field != NULL)
    (void) append (ret, at, "%s%s", at > 0 ? "." : "", field);
  hv_text_clean (ret); /* keys of free-form maps are any text, and it may have been cut inside a character */
}

int
hv_place_fail (const struct hv_place *p, const char *field, int32_t code, struct hv_err *err, const char *fmt, ...)
{
  char path[HV_PLACE_TEXT], text[1024];
  va_list ap;
  if (err == NULL)
    return code;
  hv_place_text (p, field, path);
  va_start (ap, fmt);
  (void) vsnprintf (text, sizeof text, fmt, ap);
  va_end (ap);
  hv_text_clean (text);
  hv_err_set (err, code, "%s%s%s", path, path[0] != '\0' ? ": " : "", text);
  if (path[0] != '\0')
    hv_err_data (err, "path", path);
  return code;
}
