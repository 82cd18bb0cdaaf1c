/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* -w: the table, then every row that changes, until Ctrl-C. An event says only that something happened; what, is read anew. */
#include "cli.h"
#include <string.h>

#define WATCH_WIDTH 9u

struct watch {
  struct hv_app *app;
  const struct hv_model_method *method;
  struct hv_node *args;
  struct hv_arena arenas[2]; /* of the newest answer and of the one before */
  struct hv_node *result[2];
  struct hv_table *table[2];
  uint32_t now; /* index of the newest */
  struct hv_client_cursor cursor;
  int has_cursor, dirty, subscribed;
};

static void
on_event (void *arg, const struct hv_client_event *e)
{
  struct watch *w = arg;
  w->cursor = e->cursor;
  w->has_cursor = 1;
  w->dirty = 1;
}

static void
on_dropped (void *arg, uint64_t id, const char *reason)
{
  struct watch *w = arg;
  (void) id;
  (void) reason;
  w->subscribed = 0;
  w->has_cursor = 0; /* what was missed is in the next list */
  w->dirty = 1;
}

/* Lists into the older of the two arenas. What is gone by now is an empty list. */
static int
list_again (struct watch *w)
{
  uint32_t next = !w->now;
  struct hv_arena *a = &w->arenas[next];
  hv_arena_free (a);
  w->dirty = 0;
  w->result[next] = NULL;
  int r = hv_run_pages (w->app, w->method, w->args, a, &w->result[next]);
  if (r == HV_E_NOT_FOUND && w->table[w->now] != NULL) {
    w->result[next] = hv_node_new (a, HV_NODE_MAP);
    w->table[next] = hv_table_new (a, w->method->columns, w->app->opt.output == HV_OUTPUT_WIDE ? w->method->wide : NULL);
    r = 0;
  } else if (r == 0)
    w->table[next] = hv_output_table (w->app, w->method, a, w->result[next]);
  if (r == 0)
    w->now = next;
  return r;
}

/* "lifecycle qmp.agent": a name without a dot is an event of the method's own instance, whose name an interface cannot know. */
static const char *const *
topics_of (struct watch *w)
{
  struct hv_arena *a = &w->app->arena;
  const char *at = w->method->watch, **topics = hv_node_alloc (a, (strlen (at) + 2) * sizeof *topics);
  for (uint32_t n = 0; *(at += strspn (at, " ")) != '\0'; at += strcspn (at, " ")) {
    const char *name = hv_node_strn (a, at, strcspn (at, " "));
    topics[n++] = strchr (name, '.') != NULL ? name : hv_node_printf (a, "%s.%s", w->method->instance->name, name);
  }
  return topics;
}

/* Without a cursor in the answer something may have changed between it and the subscription: it is read once more. */
static int
subscribe (struct watch *w)
{
  const struct hv_node *result = w->result[w->now];
  if (!w->has_cursor && hv_node_get (result, "epoch") != NULL && hv_node_get (result, "seq") != NULL) {
    w->cursor = (struct hv_client_cursor){ hv_node_u64 (result, "epoch"), hv_node_u64 (result, "seq") };
    w->has_cursor = 1;
  }
  struct hv_client_subscription s = { .struct_size = sizeof s,
                                      .topics = topics_of (w),
                                      .since = w->has_cursor ? &w->cursor : NULL,
                                      .event = on_event,
                                      .dropped = on_dropped,
                                      .arg = w };
  w->subscribed = 1; /* before the call: its end may come right behind its answer */
  int r = hv_run_subscribe (w->app, &s);
  if (r == HV_E_OUT_OF_RANGE) {
    w->has_cursor = 0;
    s.since = NULL;
    r = hv_run_subscribe (w->app, &s);
  }
  if (r == 0 && s.since == NULL)
    w->dirty = 1;
  return r;
}

/* --- what changed --- */

static const char *
key_of (const struct hv_table *t, uint32_t row)
{
  return t->columns > 0 ? t->cell[row][0] : "";
}

/* Ages change by themselves and are no news. */
static int
same_row (const struct hv_table *a, uint32_t i, const struct hv_table *b, uint32_t k)
{
  for (uint32_t c = 0; c < a->columns; c++) {
    const struct hv_column *column = &a->column[c];
    if (column->formatter_size == 3 && memcmp (column->formatter, "age", 3) == 0)
      continue;
    if (strcmp (a->cell[i][c], b->cell[k][c]) != 0)
      return 0;
  }
  return 1;
}

/* Namespaces may share names: rows that agree in all but one cell come in the same order, so the n-th of a key is the n-th. */
static int
find_row (const struct hv_table *t, const char *key, uint32_t nth)
{
  for (uint32_t i = 0; i < t->rows; i++)
    if (strcmp (key_of (t, i), key) == 0 && nth-- == 0)
      return (int) i;
  return -1;
}

static uint32_t
nth_of (const struct hv_table *t, uint32_t row)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < row; i++)
    n += strcmp (key_of (t, i), key_of (t, row)) == 0;
  return n;
}

static void
print_row (struct watch *w, uint32_t which, uint32_t row, int gone)
{
  struct hv_table *t = w->table[which];
  const char *list = hv_run_list_field (w->method, w->result[which]);
  const struct hv_node *rows = list != NULL ? hv_node_get (w->result[which], list) : NULL;
  const struct hv_node *node = rows != NULL ? rows->as.items[row] : w->result[which];
  if (w->app->opt.output == HV_OUTPUT_JSON && !gone)
    hv_output_json (stdout, node, 0);
  else if (w->app->opt.output == HV_OUTPUT_YAML && !gone) {
    fputs ("---\n", stdout);
    hv_output_yaml (stdout, node);
  } else if (w->app->opt.output <= HV_OUTPUT_WIDE) {
    if (!gone)
      hv_table_print_row (t, row, stdout, 0);
    else
      printf ("%s%s is gone%s\n", hv_term_on (stdout, HV_DIM), key_of (t, row), hv_term_off (stdout, HV_DIM));
  }
}

/* Later rows line up with the header that was printed first. */
static void
keep_widths (struct hv_table *t, const struct hv_table *before)
{
  for (uint32_t c = 0; before != NULL && c < t->columns && c < before->columns; c++)
    if (t->width[c] < before->width[c])
      t->width[c] = before->width[c];
}

static void
print_changes (struct watch *w)
{
  struct hv_table *t = w->table[w->now], *before = w->table[!w->now];
  keep_widths (t, before);
  for (uint32_t i = 0; i < t->rows; i++) {
    int k = before != NULL ? find_row (before, key_of (t, i), nth_of (t, i)) : -1;
    if (k < 0 || !same_row (t, i, before, (uint32_t) k))
      print_row (w, w->now, i, 0);
  }
  for (uint32_t i = 0; before != NULL && i < before->rows; i++)
    if (find_row (t, key_of (before, i), nth_of (before, i)) < 0)
      print_row (w, !w->now, i, 1);
  (void) fflush (stdout);
}

static void
print_first (struct watch *w)
{
  struct hv_table *t = w->table[w->now];
  for (uint32_t c = 0; c < t->columns; c++) /* room for the words that may come */
    t->width[c] = t->width[c] < WATCH_WIDTH ? WATCH_WIDTH : t->width[c];
  if (w->app->opt.output <= HV_OUTPUT_WIDE)
    hv_table_print_header (t, stdout, 0);
  for (uint32_t i = 0; i < t->rows; i++)
    print_row (w, w->now, i, 0);
  (void) fflush (stdout);
}

/* --- the loop --- */

static int
follow (struct watch *w)
{
  int r = 0;
  while (r == 0 && !hv_run_interrupted ()) {
    if (!w->subscribed)
      r = subscribe (w);
    while (r == 0 && !w->dirty && !hv_run_interrupted ())
      r = hv_run_wait (w->app, w->app->err);
    if (r != 0 || hv_run_interrupted ())
      break;
    r = list_again (w);
    if (r == 0)
      print_changes (w);
  }
  return r;
}

int
hv_watch_run (struct hv_app *app, const struct hv_model_method *m, struct hv_node *args)
{
  struct watch w = { .app = app, .method = m, .args = args };
  if (m->watch == NULL || m->columns == NULL) {
    hv_term_error ("this command has nothing to watch");
    return HV_EXIT_USAGE;
  }
  hv_run_catch_interrupt ();
  int r = list_again (&w);
  if (r == 0) {
    print_first (&w);
    r = follow (&w);
  }
  int status = r == 0 || hv_run_interrupted () ? HV_EXIT_DONE : hv_run_report (app, r);
  hv_arena_free (&w.arenas[0]);
  hv_arena_free (&w.arenas[1]);
  return status;
}
