/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* -o json and -o yaml. Both quote strings in JSON's way, so what is printed is plain text whatever the daemon sent. */
#include "cli.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>

/* hv_term_safe would do for terminals, but machines want the value back: \u escapes, and U+FFFD for what is not UTF-8. */
static void
print_string (FILE *f, const char *text, uint64_t n)
{
  fputc ('"', f);
  for (uint64_t i = 0; i < n;) {
    uint32_t c, len = hv_term_utf8 (text + i, n - i, &c);
    if (len == 0)
      fputs ("\\ufffd", f);
    else if (c == '"' || c == '\\')
      fprintf (f, "\\%c", (int) c);
    else if (c == '\n')
      fputs ("\\n", f);
    else if (c == '\t')
      fputs ("\\t", f);
    else if (hv_term_harmful (c))
      fprintf (f, "\\u%04x", c);
    else
      fwrite (text + i, 1, len, f);
    i += len == 0 ? 1 : len;
  }
  fputc ('"', f);
}

static void
print_base64 (FILE *f, const char *data, uint64_t n)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const uint8_t *s = (const uint8_t *) data;
  fputc ('"', f);
  for (uint64_t i = 0; i < n; i += 3) {
    uint32_t left = n - i >= 3 ? 3 : (uint32_t) (n - i);
    uint32_t v = (uint32_t) s[i] << 16 | (left > 1 ? (uint32_t) s[i + 1] << 8 : 0) | (left > 2 ? s[i + 2] : 0);
    fputc (digits[v >> 18], f);
    fputc (digits[v >> 12 & 63], f);
    fputc (left > 1 ? digits[v >> 6 & 63] : '=', f);
    fputc (left > 2 ? digits[v & 63] : '=', f);
  }
  fputc ('"', f);
}

static void
print_scalar (FILE *f, const struct hv_node *n)
{
  switch (n->type) {
  case HV_NODE_BOOL:
    fputs (n->as.u ? "true" : "false", f);
    break;
  case HV_NODE_UINT:
    fprintf (f, "%" PRIu64, n->as.u);
    break;
  case HV_NODE_INT:
    fprintf (f, "%" PRId64, n->as.i);
    break;
  case HV_NODE_F64:
    if (isfinite (n->as.f))
      fprintf (f, "%.17g", n->as.f);
    else
      fputs ("null", f);
    break;
  case HV_NODE_STR:
    print_string (f, n->as.s.data, n->as.s.size);
    break;
  case HV_NODE_BIN:
    print_base64 (f, n->as.s.data, n->as.s.size);
    break;
  default:
    fputs ("null", f);
  }
}

/* --- JSON --- */

static void
newline (FILE *f, int indent, int level)
{
  if (indent > 0)
    fprintf (f, "\n%*s", indent * level, "");
}

static void
print_json (FILE *f, const struct hv_node *n, int indent, int level)
{
  int map = n->type == HV_NODE_MAP;
  if (hv_node_is_scalar (n)) {
    print_scalar (f, n);
    return;
  }
  fputc (map ? '{' : '[', f);
  for (uint32_t i = 0; i < n->count; i++) {
    newline (f, indent, level + 1);
    if (map) {
      print_string (f, n->as.items[i]->key, strlen (n->as.items[i]->key));
      fputs (indent > 0 ? ": " : ":", f);
    }
    print_json (f, n->as.items[i], indent, level + 1);
    if (i + 1 < n->count)
      fputc (',', f);
  }
  if (n->count > 0)
    newline (f, indent, level);
  fputc (map ? '}' : ']', f);
}

void
hv_output_json (FILE *f, const struct hv_node *n, int indent)
{
  print_json (f, n, indent, 0);
  fputc ('\n', f);
}

/* --- YAML --- */

/* Plain only where no reader can take it for anything but this text. */
static int
yaml_plain (const char *s, uint64_t n)
{
  static const char *const words[] = { "true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", NULL };
  if (n == 0 || n > 200 || strchr ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/_", s[0]) == NULL)
    return 0;
  for (uint64_t i = 0; i < n; i++)
    if (strchr ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-", s[i]) == NULL || s[i] == '\0')
      return 0;
  for (const char *const *w = words; *w != NULL; w++)
    if (strcasecmp (s, *w) == 0)
      return 0;
  return 1;
}

static void
yaml_text (FILE *f, const char *s, uint64_t n)
{
  if (yaml_plain (s, n))
    fwrite (s, 1, n, f);
  else
    print_string (f, s, n);
}

/* A block literal for text of several lines that needs no escapes and ends in exactly one newline. */
static int
yaml_block (const char *s, uint64_t n)
{
  if (n < 2 || s[n - 1] != '\n' || s[n - 2] == '\n' || memchr (s, '\n', n - 1) == NULL || s[0] == ' ' || s[0] == '\n')
    return 0;
  for (uint64_t i = 0; i < n;) {
    uint32_t c, len = hv_term_utf8 (s + i, n - i, &c);
    if (len == 0 || (c != '\n' && hv_term_harmful (c)))
      return 0;
    i += len;
  }
  return 1;
}

static void
print_yaml_block (FILE *f, const char *s, int level)
{
  fputs ("|\n", f);
  while (*s != '\0') {
    size_t n = strcspn (s, "\n");
    fprintf (f, "%*s%.*s\n", n > 0 ? level * 2 : 0, "", (int) n, s);
    s += n + 1;
  }
}

static void print_yaml (FILE *f, const struct hv_node *n, int level, int inline_first);

/* The value after "key:" or "-"; containers with items start on their own line, or beside the dash. */
static void
yaml_value (FILE *f, const struct hv_node *n, int level, int in_list)
{
  if (!hv_node_is_scalar (n) && n->count > 0) {
    fputc (in_list ? ' ' : '\n', f);
    print_yaml (f, n, in_list || n->type == HV_NODE_MAP ? level + 1 : level, in_list);
    return;
  }
  fputc (' ', f);
  if (!hv_node_is_scalar (n))
    fputs (n->type == HV_NODE_MAP ? "{}\n" : "[]\n", f);
  else if (n->type == HV_NODE_STR && yaml_block (n->as.s.data, n->as.s.size))
    print_yaml_block (f, n->as.s.data, level + 1);
  else {
    if (n->type == HV_NODE_STR)
      yaml_text (f, n->as.s.data, n->as.s.size);
    else
      print_scalar (f, n);
    fputc ('\n', f);
  }
}

static void
print_yaml (FILE *f, const struct hv_node *n, int level, int inline_first)
{
  for (uint32_t i = 0; i < n->count; i++) {
    const struct hv_node *item = n->as.items[i];
    fprintf (f, "%*s", i == 0 && inline_first ? 0 : level * 2, "");
    if (n->type == HV_NODE_MAP) {
      yaml_text (f, item->key, strlen (item->key));
      fputc (':', f);
    } else
      fputc ('-', f);
    yaml_value (f, item, level, n->type == HV_NODE_LIST);
  }
}

void
hv_output_yaml (FILE *f, const struct hv_node *n)
{
  if (!hv_node_is_scalar (n) && n->count > 0)
    print_yaml (f, n, 0, 0);
  else
    hv_output_json (f, n, 0);
}
