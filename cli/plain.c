/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's text on a person's terminal: its lines, without the sequences that would move the cursor, answer questions or rename
 * the window. Works on pieces: a sequence or character may begin in one and end in the next. */
#include "cli.h"
#include <string.h>

enum { TEXT, ESCAPE, CSI, STRING, STRING_ESCAPE };

/* 1: the byte was part of a sequence. */
static int
in_sequence (struct hv_plain *p, uint8_t c)
{
  switch (p->state) {
  case TEXT:
    p->state = c == 0x1b ? ESCAPE : TEXT;
    return c == 0x1b;
  case ESCAPE: /* [ begins a control sequence; ] P X ^ _ a string; between 0x20 and 0x2f there is more to come */
    p->state = c == '[' ? CSI : strchr ("]PX^_", c) != NULL && c != 0 ? STRING : c >= 0x20 && c <= 0x2f ? ESCAPE : TEXT;
    return 1;
  case CSI:
    if (c >= 0x20 && c < 0x7f) {
      p->state = c >= 0x40 ? TEXT : CSI;
      return 1;
    }
    p->state = c == 0x1b ? ESCAPE : TEXT; /* broken off */
    return c == 0x1b;
  case STRING:
    if (c == '\n') { /* no string has several lines: one that is not ended does not hide the rest */
      p->state = TEXT;
      return 0;
    }
    p->state = c == 0x07 ? TEXT : c == 0x1b ? STRING_ESCAPE : STRING;
    return 1;
  default:
    p->state = c == '\\' ? TEXT : STRING;
    return 1;
  }
}

/* Of a character that is whole; its bytes are gone from `held`. */
static char *
put (struct hv_plain *p, char *to)
{
  uint32_t c = 0, len = hv_term_utf8 ((const char *) p->held, p->n, &c);
  if (len == p->n && (c == '\n' || c == '\t' || !hv_term_harmful (c))) {
    memcpy (to, p->held, p->n);
    to += p->n;
  } else if (len == 0) {
    memcpy (to, "?", 1);
    to++;
  }
  p->n = 0;
  return to;
}

uint64_t
hv_plain_text (struct hv_plain *p, const uint8_t *data, uint64_t n, char *out)
{
  char *to = out;
  for (uint64_t i = 0; i < n; i++) {
    uint8_t c = data[i];
    if (p->n > 0 && (c & 0xc0) != 0x80)
      to = put (p, to); /* it was broken off */
    if (p->n == 0 && in_sequence (p, c))
      continue;
    p->held[p->n++] = c;
    uint32_t wanted = p->held[0] < 0xc0 ? 1 : p->held[0] < 0xe0 ? 2 : p->held[0] < 0xf0 ? 3 : 4;
    if (p->n == wanted)
      to = put (p, to);
  }
  return (uint64_t) (to - out);
}
