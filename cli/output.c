/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A result in the form that was asked for. */
#include "cli.h"
#include <string.h>

#define KEY_WIDTH_MAX 28u
#define LINE_MAX_LIST 100u

/* --- key/value view of anything --- */

static const struct hv_model_record no_fields = { .name = "", .doc = "" };

/* "4294967296 (4Gi)": the value as it is, and what it means. */
static char *
view_scalar (struct hv_arena *a, const struct hv_node *n, const struct hv_model_field *f)
{
  char *plain = hv_format_value (a, n, "", 0);
  if (f == NULL || f->unit == NULL || n->type != HV_NODE_UINT)
    return plain;
  if (strcmp (f->unit, "bytes") == 0 && n->as.u >= 1024)
    return hv_node_printf (a, "%s (%s)", plain, hv_format_bytes (a, n->as.u));
  if (strcmp (f->unit, "ms") == 0 && n->as.u >= 1000)
    return hv_format_is_time (f->name) ? hv_node_printf (a, "%s (%s ago)", plain, hv_format_age (a, (int64_t) n->as.u))
                                       : hv_node_printf (a, "%s (%s)", plain, hv_format_ms (a, n->as.u));
  return plain;
}

static const struct hv_model_field *
field_of (const struct hv_model_record *rec, const char *key)
{
  return hv_model_find_field (rec, key, strlen (key));
}

static uint32_t
key_width (struct hv_arena *a, const struct hv_node *map)
{
  uint32_t width = 0;
  for (uint32_t i = 0; i < map->count; i++) {
    uint32_t w = hv_term_width (hv_term_safe (a, map->as.items[i]->key, strlen (map->as.items[i]->key)));
    if (w > width && w <= KEY_WIDTH_MAX)
      width = w;
  }
  return width;
}

static int
all_scalar (const struct hv_node *n)
{
  for (uint32_t i = 0; i < n->count; i++)
    if (!hv_node_is_scalar (n->as.items[i]))
      return 0;
  return 1;
}

static int
is_text_block (const struct hv_node *n)
{
  return n->type == HV_NODE_STR && n->as.s.size > 1 && memchr (n->as.s.data, '\n', n->as.s.size - 1) != NULL;
}

static void
view_block (FILE *f, struct hv_arena *a, const struct hv_node *n, uint32_t indent)
{
  const char *s = n->as.s.data, *end = s + n->as.s.size;
  while (s < end) {
    const char *line = memchr (s, '\n', (size_t) (end - s)), *stop = line != NULL ? line : end;
    fprintf (f, "%*s%s\n", (int) indent, "", hv_term_safe (a, s, (uint64_t) (stop - s)));
    s = stop + 1;
  }
}

/* A table where rows are flat and few fields wide, else one after the other. */
static void
view_rows (FILE *f, struct hv_arena *a, const struct hv_node *list, const struct hv_model_record *rec, uint32_t indent)
{
  int flat = rec->count > 0;
  for (uint32_t i = 0; i < list->count; i++)
    flat = flat && all_scalar (list->as.items[i]) && list->as.items[i]->count <= 6;
  if (flat) {
    struct hv_table *t = hv_table_from_fields (a, rec, list);
    for (uint32_t i = 0; i < list->count; i++)
      hv_table_add (t, list->as.items[i]);
    hv_table_print (t, f, indent);
    return;
  }
  for (uint32_t i = 0; i < list->count; i++) {
    if (i > 0)
      fputc ('\n', f);
    hv_output_view (f, a, list->as.items[i], rec, indent);
  }
}

/* Many short words fill lines; long ones get a line each. */
static void
view_list (FILE *f, struct hv_arena *a, const struct hv_node *list, const struct hv_model_record *rec, uint32_t indent)
{
  if (!all_scalar (list)) {
    view_rows (f, a, list, rec, indent);
    return;
  }
  int brief = 1;
  const char *all = "";
  for (uint32_t i = 0; i < list->count; i++)
    brief = brief && strlen (hv_format_value (a, list->as.items[i], "", 0)) < 30;
  for (uint32_t i = 0; brief && i < list->count; i++)
    all = hv_node_printf (a, "%s%s%s", all, i > 0 ? ", " : "", hv_format_value (a, list->as.items[i], "", 0));
  if (brief) {
    fprintf (f, "%*s", (int) indent, "");
    hv_term_wrap (f, all, indent, LINE_MAX_LIST);
    fputc ('\n', f);
    return;
  }
  for (uint32_t i = 0; i < list->count; i++)
    fprintf (f, "%*s%s\n", (int) indent, "", hv_format_value (a, list->as.items[i], "", 0));
}

static void
view_pair (FILE *f, struct hv_arena *a, const struct hv_node *n, const struct hv_model_field *field, uint32_t indent,
           uint32_t width)
{
  const char *key = hv_term_safe (a, n->key, strlen (n->key));
  const struct hv_model_record *rec = field != NULL ? field->record : &no_fields;
  uint32_t w = hv_term_width (key);
  fprintf (f, "%*s%s%s:%s", (int) indent, "", hv_term_on (f, HV_BOLD), key, hv_term_off (f, HV_BOLD));
  if (hv_node_is_scalar (n) && !is_text_block (n)) {
    const char *text = view_scalar (a, n, field);
    const char *name = hv_node_printf (a, "%s",
                                       strcmp (n->key, "state") == 0   ? "STATE"
                                       : strcmp (n->key, "phase") == 0 ? "PHASE"
                                                                       : "");
    enum hv_style style = hv_format_style (name, text);
    fprintf (f, "%*s%s%s%s\n", (int) (w < width ? width - w + 2 : 2), "", hv_term_on (f, style), text, hv_term_off (f, style));
  } else if (!hv_node_is_scalar (n)
             && (n->count == 0
                 || (n->type == HV_NODE_LIST && all_scalar (n) && strlen (hv_format_value (a, n, "", 0)) < LINE_MAX_LIST))) {
    fprintf (f, "%*s%s\n", (int) (w < width ? width - w + 2 : 2), "", hv_format_value (a, n, "", 0));
  } else {
    fputc ('\n', f);
    if (n->type == HV_NODE_MAP)
      hv_output_view (f, a, n, rec, indent + 2);
    else if (n->type == HV_NODE_LIST)
      view_list (f, a, n, rec, indent + 2);
    else
      view_block (f, a, n, indent + 2);
  }
}

void
hv_output_view (FILE *f, struct hv_arena *a, const struct hv_node *n, const struct hv_model_record *rec, uint32_t indent)
{
  if (n->type == HV_NODE_LIST) {
    view_list (f, a, n, rec, indent);
    return;
  }
  if (n->type != HV_NODE_MAP) {
    fprintf (f, "%*s%s\n", (int) indent, "", hv_format_value (a, n, "", 0));
    return;
  }
  uint32_t width = key_width (a, n);
  for (uint32_t i = 0; i < n->count; i++)
    view_pair (f, a, n->as.items[i], field_of (rec, n->as.items[i]->key), indent, width);
}

/* --- tables --- */

struct hv_table *
hv_output_table (struct hv_app *app, const struct hv_model_method *m, struct hv_arena *a, const struct hv_node *result)
{
  const char *list = hv_run_list_field (m, result);
  const struct hv_node *rows = list != NULL ? hv_node_get (result, list) : NULL;
  struct hv_table *t;
  if (m->columns != NULL)
    t = hv_table_new (a, m->columns, app->opt.output == HV_OUTPUT_WIDE ? m->wide : NULL);
  else if (rows != NULL)
    t = hv_table_from_fields (
        a, hv_model_find_field (m->result, list, strlen (list)) != NULL ? field_of (m->result, list)->record : &no_fields, rows);
  else
    return NULL;
  if (rows == NULL)
    hv_table_add (t, result);
  for (uint32_t i = 0; rows != NULL && i < rows->count; i++)
    hv_table_add (t, rows->as.items[i]);
  return t;
}

/* --- the line of a success --- */

static const struct hv_node *
find_part (const struct hv_node *row, const struct hv_node *result, const struct hv_node *args, const char *path, uint64_t n)
{
  const struct hv_node *v = hv_node_path (row, path, n);
  if (v == NULL)
    v = hv_node_path (result, path, n);
  return v != NULL ? v : hv_node_path (args, path, n);
}

/* "{kind}/{name} started"; what is not known leaves nothing behind. */
static void
print_done (struct hv_app *app, const char *t, const struct hv_node *row, const struct hv_node *result, const struct hv_node *args)
{
  while (*t != '\0') {
    const char *end = *t == '{' ? strchr (t, '}') : NULL;
    if (end == NULL) {
      fputc (*t++, stdout);
      continue;
    }
    const struct hv_node *v = find_part (row, result, args, t + 1, (uint64_t) (end - t - 1));
    if (v != NULL)
      fputs (hv_format_value (&app->arena, v, "", 0), stdout);
    t = end + 1;
  }
  fputc ('\n', stdout);
}

static void
print_done_lines (struct hv_app *app, const struct hv_model_method *m, const struct hv_node *args, const struct hv_node *result)
{
  const char *list = hv_run_list_field (m, result);
  const struct hv_node *rows = list != NULL ? hv_node_get (result, list) : NULL;
  if (rows == NULL)
    print_done (app, m->done, NULL, result, args);
  for (uint32_t i = 0; rows != NULL && i < rows->count; i++)
    print_done (app, m->done, rows->as.items[i], result, args);
}

/* --- */

#define NEWS_MS 1000u /* younger figures are as good as live ones */

/* Figures that are not of now say so, beside the table. */
static void
print_age (struct hv_app *app, const struct hv_node *result)
{
  const char *source = hv_node_str (result, "source");
  uint64_t age = hv_node_u64 (result, "age_ms");
  if (age >= NEWS_MS)
    fprintf (stderr, "These are %s old%s%s%s.\n", hv_format_ms (&app->arena, age), source != NULL ? " (" : "",
             source != NULL ? hv_term_safe (&app->arena, source, strlen (source)) : "", source != NULL ? ")" : "");
}

static void
print_human (struct hv_app *app, const struct hv_model_method *m, const struct hv_node *args, const struct hv_node *result)
{
  if (m->done != NULL) {
    print_done_lines (app, m, args, result);
    return;
  }
  struct hv_table *t = hv_output_table (app, m, &app->arena, result);
  if (t != NULL && t->rows == 0)
    fputs ("Nothing found.\n", stderr);
  else if (t != NULL && t->columns > 0)
    hv_table_print (t, stdout, 0);
  else
    hv_output_view (stdout, &app->arena, result, m->result, 0);
  print_age (app, result);
}

void
hv_output_result (struct hv_app *app, const struct hv_model_method *m, const struct hv_node *args, const struct hv_node *result)
{
  switch (app->opt.output) {
  case HV_OUTPUT_JSON:
    hv_output_json (stdout, result, 2);
    break;
  case HV_OUTPUT_YAML:
    hv_output_yaml (stdout, result);
    break;
  default:
    print_human (app, m, args, result);
  }
}
