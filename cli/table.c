/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables: columns from a specification ("NAME=name AGE=created_at:age") or from a record's fields. */
#include "cli.h"
#include <ctype.h>
#include <string.h>

#define GUESSED_COLUMNS 8u
#define GAP             3u

static void
add_column (struct hv_table *t, const char *header, const char *path, uint64_t path_size, const char *formatter,
            uint64_t formatter_size)
{
  t->header[t->columns] = header;
  t->column[t->columns] = (struct hv_column){ path, formatter, path_size, formatter_size };
  t->width[t->columns] = hv_term_width (header);
  t->columns++;
}

static struct hv_table *
table_alloc (struct hv_arena *a, uint32_t columns)
{
  struct hv_table *t = hv_node_alloc (a, sizeof *t);
  t->arena = a;
  t->header = hv_node_alloc (a, (columns + 1) * sizeof *t->header);
  t->column = hv_node_alloc (a, (columns + 1) * sizeof *t->column);
  t->width = hv_node_alloc (a, (columns + 1) * sizeof *t->width);
  return t;
}

static uint32_t
count_words (const char *s)
{
  uint32_t n = 0;
  while (s != NULL && *(s += strspn (s, " ")) != '\0') {
    s += strcspn (s, " ");
    n++;
  }
  return n;
}

/* Without a '=' the word is the path, and the header is its last part. */
static void
add_spec (struct hv_table *t, const char *spec)
{
  while (spec != NULL && *(spec += strspn (spec, " ")) != '\0') {
    size_t n = strcspn (spec, " ");
    const char *eq = memchr (spec, '=', n), *path = eq != NULL ? eq + 1 : spec, *end = spec + n;
    const char *colon = memchr (path, ':', (size_t) (end - path)), *path_end = colon != NULL ? colon : end;
    const char *formatter = colon != NULL ? colon + 1 : end;
    const char *header = hv_term_safe (t->arena, spec, (uint64_t) ((eq != NULL ? eq : path_end) - spec));
    add_column (t, header, path, (uint64_t) (path_end - path), formatter, (uint64_t) (end - formatter));
    spec = end;
  }
}

struct hv_table *
hv_table_new (struct hv_arena *a, const char *columns, const char *wide)
{
  struct hv_table *t = table_alloc (a, count_words (columns) + count_words (wide));
  add_spec (t, columns);
  add_spec (t, wide);
  return t;
}

/* --- columns from fields --- */

static const char *
formatter_of (const struct hv_model_field *f)
{
  if (f->unit != NULL && strcmp (f->unit, "bytes") == 0)
    return "bytes";
  if (f->unit != NULL && strcmp (f->unit, "ms") == 0)
    return hv_format_is_time (f->name) ? "age" : "ms";
  return strcmp (f->type, "bool") == 0 ? "bool" : "";
}

/* "memory_bytes" → MEMORY: the unit is in the value. */
static const char *
header_of (struct hv_arena *a, const struct hv_model_field *f)
{
  size_t n = strlen (f->name), u = f->unit != NULL ? strlen (f->unit) : 0;
  if (u > 0 && n > u + 1 && f->name[n - u - 1] == '_' && strcmp (f->name + n - u, f->unit) == 0)
    n -= u + 1;
  char *s = hv_term_safe (a, f->name, n);
  for (char *c = s; *c != '\0'; c++)
    *c = *c == '_' ? '-' : (char) toupper ((unsigned char) *c);
  return s;
}

static int
appears (const struct hv_node *rows, const char *name)
{
  for (uint32_t i = 0; i < rows->count; i++) {
    const struct hv_node *n = hv_node_get (rows->as.items[i], name);
    if (n != NULL && hv_node_is_scalar (n) && n->type != HV_NODE_NIL)
      return 1;
  }
  return 0;
}

struct hv_table *
hv_table_from_fields (struct hv_arena *a, const struct hv_model_record *rec, const struct hv_node *rows)
{
  struct hv_table *t = table_alloc (a, GUESSED_COLUMNS);
  for (uint32_t i = 0; i < rec->count && t->columns < GUESSED_COLUMNS; i++) {
    const struct hv_model_field *f = &rec->fields[i];
    if (f->secret || !appears (rows, f->name))
      continue;
    const char *formatter = formatter_of (f);
    add_column (t, header_of (a, f), f->name, strlen (f->name), formatter, strlen (formatter));
  }
  return t;
}

/* --- rows --- */

/* "block.read_bytes", where block is a list: the sum over its items. */
static const struct hv_node *
sum_value (struct hv_arena *a, const struct hv_node *list, const char *path, uint64_t size)
{
  struct hv_node *sum = hv_node_alloc (a, sizeof *sum);
  *sum = (struct hv_node){ .type = HV_NODE_NIL };
  for (uint32_t i = 0; i < list->count; i++) {
    const struct hv_node *v = hv_node_path (list->as.items[i], path, size);
    if (v == NULL || v->type != HV_NODE_UINT)
      continue;
    sum->type = HV_NODE_UINT;
    sum->as.u += v->as.u;
  }
  return sum;
}

static const struct hv_node *
cell_value (struct hv_arena *a, const struct hv_node *row, const struct hv_column *c)
{
  const char *dot = memchr (c->path, '.', c->path_size);
  uint64_t first = dot != NULL ? (uint64_t) (dot - c->path) : c->path_size;
  const struct hv_node *list = dot != NULL ? hv_node_path (row, c->path, first) : NULL;
  if (list != NULL && list->type == HV_NODE_LIST)
    return sum_value (a, list, dot + 1, c->path_size - first - 1);
  return hv_node_path (row, c->path, c->path_size);
}

void
hv_table_add (struct hv_table *t, const struct hv_node *row)
{
  if (t->rows == t->capacity) {
    uint32_t capacity = t->capacity == 0 ? 16 : t->capacity * 2;
    const char ***cell = hv_node_alloc (t->arena, capacity * sizeof *cell);
    if (t->rows > 0)
      memcpy (cell, t->cell, t->rows * sizeof *cell);
    t->cell = cell;
    t->capacity = capacity;
  }
  const char **cells = hv_node_alloc (t->arena, (t->columns + 1) * sizeof *cells);
  for (uint32_t i = 0; i < t->columns; i++) {
    const struct hv_column *c = &t->column[i];
    cells[i] = hv_format_value (t->arena, cell_value (t->arena, row, c), c->formatter, c->formatter_size);
    uint32_t w = hv_term_width (cells[i]);
    if (w > t->width[i])
      t->width[i] = w;
  }
  t->cell[t->rows++] = cells;
}

/* The last column is not padded: no line ends in blanks. */
static void
print_cell (FILE *f, const char *text, uint32_t width, enum hv_style style, int last)
{
  uint32_t w = hv_term_width (text), pad = last || w > width ? 0 : width - w;
  fprintf (f, "%s%s%s%*s", hv_term_on (f, style), text, hv_term_off (f, style), (int) (last ? 0 : pad + GAP), "");
}

void
hv_table_print_header (const struct hv_table *t, FILE *f, uint32_t indent)
{
  fprintf (f, "%*s", (int) indent, "");
  for (uint32_t i = 0; i < t->columns; i++)
    print_cell (f, t->header[i], t->width[i], HV_BOLD, i + 1 == t->columns);
  fputc ('\n', f);
}

void
hv_table_print_row (const struct hv_table *t, uint32_t row, FILE *f, uint32_t indent)
{
  fprintf (f, "%*s", (int) indent, "");
  for (uint32_t i = 0; i < t->columns; i++)
    print_cell (f, t->cell[row][i], t->width[i], hv_format_style (t->header[i], t->cell[row][i]), i + 1 == t->columns);
  fputc ('\n', f);
}

void
hv_table_print (const struct hv_table *t, FILE *f, uint32_t indent)
{
  hv_table_print_header (t, f, indent);
  for (uint32_t i = 0; i < t->rows; i++)
    hv_table_print_row (t, i, f, indent);
}
