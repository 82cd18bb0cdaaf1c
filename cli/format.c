/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values for people: sizes, durations, ages, and which words are good or bad news. */
#include "cli.h"
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* 4Gi, 512Mi, 1.5Gi: exact when there is no fraction, one digit otherwise. */
char *
hv_format_bytes (struct hv_arena *a, uint64_t n)
{
  static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
  uint32_t u = 0;
  uint64_t scale = 1;
  while (u < 6 && n / scale >= 1024) {
    scale *= 1024;
    u++;
  }
  if (n % scale == 0)
    return hv_node_printf (a, "%" PRIu64 "%s", n / scale, units[u]);
  return hv_node_printf (a, "%.1f%s", (double) n / (double) scale, units[u]);
}

/* kubectl's manner: two units at most, and only one when the first is large. */
static char *
format_seconds (struct hv_arena *a, uint64_t s)
{
  uint64_t m = s / 60, h = m / 60, d = h / 24;
  if (s < 120)
    return hv_node_printf (a, "%" PRIu64 "s", s);
  if (m < 10)
    return hv_node_printf (a, s % 60 ? "%" PRIu64 "m%" PRIu64 "s" : "%" PRIu64 "m", m, s % 60);
  if (h < 3)
    return hv_node_printf (a, "%" PRIu64 "m", m);
  if (h < 8)
    return hv_node_printf (a, m % 60 ? "%" PRIu64 "h%" PRIu64 "m" : "%" PRIu64 "h", h, m % 60);
  if (h < 48)
    return hv_node_printf (a, "%" PRIu64 "h", h);
  if (d < 8)
    return hv_node_printf (a, h % 24 ? "%" PRIu64 "d%" PRIu64 "h" : "%" PRIu64 "d", d, h % 24);
  if (d < 730)
    return hv_node_printf (a, "%" PRIu64 "d", d);
  return hv_node_printf (a, d % 365 ? "%" PRIu64 "y%" PRIu64 "d" : "%" PRIu64 "y", d / 365, d % 365);
}

char *
hv_format_ms (struct hv_arena *a, uint64_t ms)
{
  if (ms < 1000)
    return hv_node_printf (a, "%" PRIu64 "ms", ms);
  if (ms < 60000 && ms % 1000 != 0)
    return hv_node_printf (a, "%.1fs", (double) ms / 1000);
  return format_seconds (a, ms / 1000);
}

char *
hv_format_age (struct hv_arena *a, int64_t then_ms)
{
  struct timespec now;
  clock_gettime (CLOCK_REALTIME, &now);
  int64_t s = (int64_t) now.tv_sec - then_ms / 1000;
  return format_seconds (a, s < 0 ? 0 : (uint64_t) s);
}

int
hv_format_is_time (const char *name)
{
  static const char *const tails[] = { "since_ms", "time_ms", "_at_ms", "created_ms", "last_ms" };
  size_t n = strlen (name);
  for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
    if (n >= strlen (tails[i]) && strcmp (name + n - strlen (tails[i]), tails[i]) == 0)
      return 1;
  return 0;
}

/* "2026-11-23T15:32:51Z", also with a fraction or an offset. */
static int
parse_rfc3339 (const char *text, int64_t *ret_ms)
{
  struct tm tm = { 0 };
  const char *rest = strptime (text, "%Y-%m-%dT%H:%M:%S", &tm);
  int hours = 0, minutes = 0;
  char sign = '+';
  if (rest == NULL)
    return 0;
  if (*rest == '.')
    rest += 1 + strspn (rest + 1, "0123456789");
  if (strcmp (rest, "Z") != 0 && (sscanf (rest, "%c%2d:%2d", &sign, &hours, &minutes) != 3 || (sign != '+' && sign != '-')))
    return 0;
  int64_t offset = (int64_t) (hours * 60 + minutes) * 60;
  *ret_ms = ((int64_t) timegm (&tm) - (sign == '-' ? -offset : offset)) * 1000;
  return 1;
}

static char *
scalar_text (struct hv_arena *a, const struct hv_node *n)
{
  switch (n->type) {
  case HV_NODE_BOOL:
    return hv_node_printf (a, "%s", n->as.u ? "true" : "false");
  case HV_NODE_UINT:
    return hv_node_printf (a, "%" PRIu64, n->as.u);
  case HV_NODE_INT:
    return hv_node_printf (a, "%" PRId64, n->as.i);
  case HV_NODE_F64:
    return hv_node_printf (a, "%.6g", n->as.f);
  case HV_NODE_STR:
    return hv_term_safe (a, n->as.s.data, n->as.s.size);
  case HV_NODE_BIN:
    return hv_node_printf (a, "(%" PRIu64 " bytes)", n->as.s.size);
  default:
    return hv_node_printf (a, "<none>");
  }
}

static char *
joined (struct hv_arena *a, const struct hv_node *n)
{
  char *text = hv_node_printf (a, "%s", "");
  for (uint32_t i = 0; i < n->count; i++) {
    const struct hv_node *item = n->as.items[i];
    const char *value = hv_node_is_scalar (item) ? scalar_text (a, item) : "…";
    if (n->type == HV_NODE_MAP)
      value = hv_node_printf (a, "%s=%s", hv_term_safe (a, item->key, strlen (item->key)), value);
    text = hv_node_printf (a, "%s%s%s", text, i > 0 ? "," : "", value);
  }
  return text;
}

static char *
list_text (struct hv_arena *a, const struct hv_node *n)
{
  if (n->count == 0)
    return hv_node_printf (a, "<none>");
  if (n->type == HV_NODE_LIST && !hv_node_is_scalar (n->as.items[0]))
    return hv_node_printf (a, "%u item%s", n->count, n->count == 1 ? "" : "s");
  return joined (a, n);
}

static int
is_word (const char *word, const char *s, uint64_t n)
{
  return strlen (word) == n && memcmp (word, s, n) == 0;
}

char *
hv_format_value (struct hv_arena *a, const struct hv_node *n, const char *f, uint64_t size)
{
  int64_t ms;
  if (n == NULL || n->type == HV_NODE_NIL || (n->type == HV_NODE_STR && n->as.s.size == 0))
    return hv_node_printf (a, "<none>");
  if (is_word ("bytes", f, size) && n->type == HV_NODE_UINT)
    return hv_format_bytes (a, n->as.u);
  if (is_word ("ms", f, size) && n->type == HV_NODE_UINT)
    return hv_format_ms (a, n->as.u);
  if (is_word ("ns", f, size) && n->type == HV_NODE_UINT)
    return hv_format_ms (a, n->as.u / 1000000);
  if (is_word ("age", f, size) && n->type == HV_NODE_UINT)
    return n->as.u == 0 ? hv_node_printf (a, "<none>") : hv_format_age (a, (int64_t) n->as.u);
  if (is_word ("age", f, size) && n->type == HV_NODE_STR && parse_rfc3339 (n->as.s.data, &ms))
    return hv_format_age (a, ms);
  if (is_word ("bool", f, size) && n->type == HV_NODE_BOOL)
    return hv_node_printf (a, "%s", n->as.u ? "yes" : "no");
  return hv_node_is_scalar (n) ? scalar_text (a, n) : list_text (a, n);
}

/* --- colour --- */

static int
in_words (const char *text, const char *const *words)
{
  for (; *words != NULL; words++)
    if (strcasecmp (text, *words) == 0)
      return 1;
  return 0;
}

enum hv_style
hv_format_style (const char *column, const char *text)
{
  static const char *const columns[]
      = { "STATE", "STATUS", "PHASE", "READY", "WORKS", "SUPPORTED", "HEALTH", "CONDITION", "RESULT", NULL };
  static const char *const good[]
      = { "running", "ready", "succeeded", "ok", "true", "yes", "connected", "healthy", "active", "live", NULL };
  static const char *const bad[]
      = { "failed", "error", "crashed", "refused", "lost", "unreachable", "unmanaged", "corrupt", "damaged", NULL };
  static const char *const busy[]
      = { "pending",  "scheduling", "scheduled",   "starting", "stopping",  "paused",     "pausing", "migrating", "provisioning",
          "shutdown", "waiting",    "terminating", "unknown",  "suspended", "restarting", "no",      "false",     NULL };
  static const char *const quiet[] = { "stopped", "disabled", "halted", "shutoff", "off", "undefined", "<none>", NULL };
  if (strcmp (text, "<none>") == 0)
    return HV_DIM;
  if (!in_words (column, columns))
    return HV_PLAIN;
  return in_words (text, good)    ? HV_GREEN
         : in_words (text, bad)   ? HV_RED
         : in_words (text, busy)  ? HV_YELLOW
         : in_words (text, quiet) ? HV_DIM
                                  : HV_PLAIN;
}
