/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* key=value lines on standard error. The table of levels is replaced whole, so readers need no lock. */
#include "core/log/log.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define CATEGORIES_MAX 64u
#define LINE_MAX_BYTES 4096u

struct level {
  char category[48];
  int level;
};
struct levels {
  int standard;
  uint32_t count;
  struct level list[CATEGORIES_MAX];
};

static struct levels initial = { .standard = HV_LOG_INFO };
static struct levels *_Atomic current = &initial;
static pthread_mutex_t change = PTHREAD_MUTEX_INITIALIZER;

static const struct {
  const char *word;
  int level;
} words[] = { { "error", HV_LOG_ERROR }, { "warning", HV_LOG_WARNING }, { "notice", HV_LOG_NOTICE }, { "info", HV_LOG_INFO }, { "debug", HV_LOG_DEBUG } };

static int
parse_level (const char *word, size_t n, int *ret)
{
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strlen (words[i].word) == n && memcmp (words[i].word, word, n) == 0) {
      *ret = words[i].level;
      return 0;
    }
  return HV_E_INVALID_ARGUMENT;
}

/* One of "info" and "qmp=debug". */
static int
parse_item (const char *item, size_t n, struct levels *l, struct hv_err *err)
{
  const char *eq = memchr (item, '=', n);
  const char *word = eq != NULL ? eq + 1 : item;
  size_t key = eq != NULL ? (size_t) (eq - item) : 0;
  int level = 0;
  if (parse_level (word, n - (size_t) (word - item), &level) < 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "log level '%.*s': error, warning, notice, info or debug is wanted, or category=level", (int) n, item);
  if (eq == NULL) {
    l->standard = level;
    return 0;
  }
  if (key == 0 || key >= sizeof l->list[0].category || l->count == CATEGORIES_MAX)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "log level '%.*s': at most %u categories of at most 47 letters", (int) n, item, CATEGORIES_MAX);
  memcpy (l->list[l->count].category, item, key);
  l->list[l->count++].level = level;
  return 0;
}

int
hv_log_configure (const char *spec, struct hv_err *err)
{
  struct levels *l = calloc (1, sizeof *l);
  if (l == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "log levels: out of memory");
  l->standard = HV_LOG_INFO;
  for (const char *at = spec; *at != '\0';) {
    size_t n = strcspn (at, ",");
    int r = parse_item (at, n, l, err);
    if (r < 0) {
      free (l);
      return r;
    }
    at += n + (at[n] == ',');
  }
  pthread_mutex_lock (&change);
  static struct levels *retired; /* a reader may still look at the table before: it goes with the next change */
  struct levels *old = atomic_exchange (&current, l);
  free (retired);
  retired = old != &initial ? old : NULL;
  pthread_mutex_unlock (&change);
  return 0;
}

int
hv_log_enabled (const char *category, int level)
{
  const struct levels *l = atomic_load_explicit (&current, memory_order_acquire);
  for (uint32_t i = 0; i < l->count; i++)
    if (strcmp (l->list[i].category, category) == 0)
      return level <= l->list[i].level;
  return level <= l->standard;
}

/* What a terminal, a log viewer or a grep could misread leaves here as an escape. Bytes above ASCII pass: text is UTF-8. */
static size_t
escape (char *out, size_t size, const char *text)
{
  size_t n = 0;
  for (; *text != '\0' && n + 5 < size; text++) {
    unsigned char c = (unsigned char) *text;
    if (c == '"' || c == '\\') {
      out[n++] = '\\';
      out[n++] = (char) c;
    } else if (c < 0x20 || c == 0x7f) {
      n += (size_t) snprintf (out + n, size - n, "\\x%02x", c);
    } else {
      out[n++] = (char) c;
    }
  }
  return n;
}

static const char *
level_word (int level)
{
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (words[i].level == level)
      return words[i].word;
  return "error";
}

void
hv_log_linev (const char *category, int level, const char *fmt, va_list ap)
{
  char text[LINE_MAX_BYTES / 2], line[LINE_MAX_BYTES];
  if (!hv_log_enabled (category, level))
    return;
  (void) vsnprintf (text, sizeof text, fmt, ap);
  size_t n = 0;
  if (getenv ("JOURNAL_STREAM") != NULL)
    n = (size_t) snprintf (line, sizeof line, "<%d>", level);
  n += (size_t) snprintf (line + n, sizeof line - n, "level=%s cat=%s msg=\"", level_word (level), category);
  n += escape (line + n, sizeof line - n - 3, text);
  line[n++] = '"';
  line[n++] = '\n';
  if (write (STDERR_FILENO, line, n) < 0)
    return; /* nowhere left to say so */
}

void
hv_log_line (const char *category, int level, const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  hv_log_linev (category, level, fmt, ap);
  va_end (ap);
}
