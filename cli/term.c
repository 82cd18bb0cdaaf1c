/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Terminals: what they can do, and text that cannot harm them. */
#include "cli.h"
#include <langinfo.h>
#include <locale.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

struct hv_term hv_term;

int
hv_term_init (const char *when)
{
  const char *name = getenv ("TERM"), *none = getenv ("NO_COLOR");
  int able = (name == NULL || strcmp (name, "dumb") != 0) && (none == NULL || *none == '\0');
  (void) setlocale (LC_CTYPE, "");
  hv_term.out_tty = isatty (STDOUT_FILENO) == 1;
  hv_term.err_tty = isatty (STDERR_FILENO) == 1;
  hv_term.utf8 = strcmp (nl_langinfo (CODESET), "UTF-8") == 0;
  if (strcmp (when, "always") == 0)
    hv_term.out_color = hv_term.err_color = 1;
  else if (strcmp (when, "never") == 0)
    hv_term.out_color = hv_term.err_color = 0;
  else if (strcmp (when, "auto") == 0) {
    hv_term.out_color = hv_term.out_tty && able;
    hv_term.err_color = hv_term.err_tty && able;
  } else
    return 0;
  return 1;
}

uint32_t
hv_term_columns (void)
{
  struct winsize w;
  if (ioctl (STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
    return w.ws_col;
  if (ioctl (STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
    return w.ws_col;
  return 80;
}

static int
has_color (FILE *f)
{
  return f == stderr ? hv_term.err_color : hv_term.out_color;
}

const char *
hv_term_on (FILE *f, enum hv_style style)
{
  static const char *const codes[] = { "", "\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[31m", "\033[36m" };
  return has_color (f) ? codes[style] : "";
}

const char *
hv_term_off (FILE *f, enum hv_style style)
{
  return has_color (f) && style != HV_PLAIN ? "\033[0m" : "";
}

/* --- safe text --- */

uint32_t
hv_term_utf8 (const char *text, uint64_t n, uint32_t *ret)
{
  const uint8_t *s = (const uint8_t *) text;
  static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
  uint32_t len = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
  if (len == 0 || len > n)
    return 0;
  uint32_t c = len == 1 ? s[0] : s[0] & (0x7fu >> len);
  for (uint32_t i = 1; i < len; i++) {
    if ((s[i] & 0xc0) != 0x80)
      return 0;
    c = c << 6 | (s[i] & 0x3f);
  }
  if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
    return 0;
  *ret = c;
  return len;
}

/* C0, DEL, C1, and the characters that reorder what stands around them. */
int
hv_term_harmful (uint32_t c)
{
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e)
         || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static char *
escape (char *to, uint32_t c, int broken)
{
  if (!broken && (c == '\n' || c == '\t' || c == '\r'))
    return to + snprintf (to, 13, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
  return to + snprintf (to, 13, c < 0x100 ? "\\x%02x" : "\\u%04x", c);
}

char *
hv_term_safe (struct hv_arena *a, const char *text, uint64_t n)
{
  char *out = hv_node_alloc (a, n * 6 + 1), *to = out; /* the longest escape of one byte has 4, of three bytes 6 */
  for (uint64_t i = 0; i < n;) {
    uint32_t c = (uint8_t) text[i], len = hv_term_utf8 (text + i, n - i, &c);
    if (len == 0 || hv_term_harmful (c)) {
      to = escape (to, c, len == 0);
    } else {
      memcpy (to, text + i, len);
      to += len;
    }
    i += len == 0 ? 1 : len;
  }
  *to = '\0';
  return out;
}

uint32_t
hv_term_width (const char *safe)
{
  const char *s = safe;
  uint32_t width = 0, c, len;
  for (uint64_t n = strlen (safe); n > 0 && (len = hv_term_utf8 (s, n, &c)) > 0; n -= len, s += len) {
    int w = c < 0x80 ? 1 : wcwidth ((wchar_t) c);
    width += w < 0 ? 1 : (uint32_t) w;
  }
  return width;
}

void
hv_term_wrap (FILE *f, const char *safe, uint32_t indent, uint32_t columns)
{
  uint32_t at = indent;
  while (*safe != '\0') {
    size_t n = strcspn (safe, " ");
    if (at > indent && at + 1 + n > columns) {
      fprintf (f, "\n%*s", (int) indent, "");
      at = indent;
    } else if (at > indent) {
      fputc (' ', f);
      at++;
    }
    fwrite (safe, 1, n, f);
    at += (uint32_t) n;
    safe += n;
    safe += strspn (safe, " ");
  }
}

void
hv_term_error (const char *fmt, ...)
{
  struct hv_arena a = { 0 };
  va_list ap;
  va_start (ap, fmt);
  int n = vsnprintf (NULL, 0, fmt, ap);
  va_end (ap);
  char *text = hv_node_alloc (&a, (uint64_t) n + 1);
  va_start (ap, fmt);
  (void) vsnprintf (text, (size_t) n + 1, fmt, ap);
  va_end (ap);
  (void) fflush (stdout);
  fprintf (stderr, "%shvkit:%s %s\n", hv_term_on (stderr, HV_RED), hv_term_off (stderr, HV_RED),
           hv_term_safe (&a, text, strlen (text)));
  hv_arena_free (&a);
}
