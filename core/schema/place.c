/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Paths in error texts: machine.disks[2].bus */
#include "core/schema/private.h"
#include <stdio.h>
#include <string.h>

static size_t
place_print (const struct place *p, char *buf, size_t size)
{
  size_t n = p->up != NULL ? place_print (p->up, buf, size) : 0;
  if (n >= size)
    return n;
  if (p->name == NULL)
    return n + (size_t) snprintf (buf + n, size - n, "[%u]", p->index);
  return n + (size_t) snprintf (buf + n, size - n, "%s%s", n > 0 ? "." : "", p->name);
}

int
place_error (const struct place *p, struct hv_err *err, int code, const char *fmt, ...)
{
  char path[512] = "", text[1024];
  va_list ap;
  if (err == NULL)
    return code;
  if (p != NULL)
    (void) place_print (p, path, sizeof path);
  va_start (ap, fmt);
  (void) vsnprintf (text, sizeof text, fmt, ap);
  va_end (ap);
  hv_err_set (err, code, "%s%s%s", path, path[0] != '\0' ? ": " : "", text);
  hv_err_data (err, "path", path);
  return code;
}
