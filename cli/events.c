/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit events: what happens, as it happens, until Ctrl-C. */
#include "cli.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

struct subscribing {
  struct hv_app *app;
  int done, code;
};

static void
on_subscribed (void *arg, int code, struct hv_bin result, const struct hv_err *error)
{
  struct subscribing *s = arg;
  (void) result;
  s->done = 1;
  s->code = code;
  if (code != 0)
    (void) hv_err_set (s->app->err, code, "%s", hv_err_message (error));
}

/* Not the library's own waiting: that would not see Ctrl-C. */
int
hv_run_subscribe (struct hv_app *app, const struct hv_client_subscription *o)
{
  struct subscribing s = { .app = app };
  int r = hv_client_subscribe_async (app->client, o, on_subscribed, &s, app->err);
  while (r == 0 && !s.done)
    (void) hv_run_wait (app, NULL);
  return r != 0 ? r : s.code;
}

struct following {
  struct hv_app *app;
  struct hv_client_cursor cursor;
  uint64_t left; /* events to show; 0: no end */
  int counted, ended, dropped;
  const char *reason;
};

static void
print_time (FILE *f, int64_t ms)
{
  time_t s = (time_t) (ms / 1000);
  struct tm tm;
  char text[32] = "";
  if (localtime_r (&s, &tm) != NULL)
    (void) strftime (text, sizeof text, "%H:%M:%S", &tm);
  fprintf (f, "%s%s.%03d%s", hv_term_on (f, HV_DIM), text, (int) (ms % 1000), hv_term_off (f, HV_DIM));
}

static void
print_pairs (struct hv_arena *a, const struct hv_node *data)
{
  for (uint32_t i = 0; data->type == HV_NODE_MAP && i < data->count; i++) {
    const struct hv_node *v = data->as.items[i];
    const char *text = hv_format_value (a, v, "", 0);
    const char *column = hv_node_printf (a, "%s",
                                         strcmp (v->key, "state") == 0   ? "STATE"
                                         : strcmp (v->key, "phase") == 0 ? "PHASE"
                                                                         : "");
    enum hv_style style = hv_format_style (column, text);
    const char *quote = strchr (text, ' ') != NULL && v->type == HV_NODE_STR ? "\"" : "";
    printf (" %s=%s%s%s%s%s", hv_term_safe (a, v->key, strlen (v->key)), quote, hv_term_on (stdout, style), text,
            hv_term_off (stdout, style), quote);
  }
}

static void
print_human (struct hv_arena *a, const struct hv_client_event *e, const struct hv_node *node)
{
  const struct hv_node *data = hv_node_get (node, "data");
  print_time (stdout, e->time_ms);
  printf ("  %s%-24s%s", hv_term_on (stdout, HV_BOLD), hv_term_safe (a, e->topic, strlen (e->topic)),
          hv_term_off (stdout, HV_BOLD));
  if (data != NULL)
    print_pairs (a, data);
  fputc ('\n', stdout);
}

static void
on_event (void *arg, const struct hv_client_event *e)
{
  struct following *f = arg;
  struct hv_arena a = { 0 };
  if (f->ended)
    return;
  f->cursor = e->cursor;
  struct hv_node *node = hv_node_decode (&a, e->raw);
  hv_node_remove (node, "subscription");
  if (f->app->opt.output == HV_OUTPUT_JSON)
    hv_output_json (stdout, node, 0);
  else if (f->app->opt.output == HV_OUTPUT_YAML) {
    fputs ("---\n", stdout);
    hv_output_yaml (stdout, node);
  } else
    print_human (&a, e, node);
  hv_arena_free (&a);
  if (f->counted && --f->left == 0)
    f->ended = 1;
}

static void
on_dropped (void *arg, uint64_t id, const char *reason)
{
  struct following *f = arg;
  (void) id;
  f->dropped = 1;
  f->reason = hv_node_strn (&f->app->arena, reason, strlen (reason));
}

/* "EPOCH:SEQ" */
static int
parse_cursor (const char *text, struct hv_client_cursor *ret)
{
  char *end = NULL;
  if (*text < '0' || *text > '9')
    return 0;
  errno = 0;
  ret->epoch = strtoull (text, &end, 10);
  if (errno != 0 || *end != ':' || end[1] < '0' || end[1] > '9')
    return 0;
  ret->seq = strtoull (end + 1, &end, 10);
  return errno == 0 && *end == '\0';
}

static const char *const *
topics_of (struct hv_app *app, const struct hv_node *args)
{
  const struct hv_node *list = hv_node_get (args, "topic");
  if (list == NULL)
    return NULL;
  const char **topics = hv_node_alloc (&app->arena, (list->count + 1) * sizeof *topics);
  for (uint32_t i = 0; i < list->count; i++)
    topics[i] = list->as.items[i]->as.s.data;
  return topics;
}

/* A reader that was too slow goes on from where it was, if the log still reaches back there. */
static int
follow (struct following *f, struct hv_client_subscription *s)
{
  int r = 0;
  while (r == 0 && !f->ended && !hv_run_interrupted ()) {
    (void) fflush (stdout);
    if (f->dropped) {
      hv_term_error ("the daemon ended the subscription (%s), going on from %" PRIu64 ":%" PRIu64, f->reason, f->cursor.epoch,
                     f->cursor.seq);
      f->dropped = 0;
      s->since = &f->cursor;
      r = hv_run_subscribe (f->app, s);
    } else
      r = hv_run_wait (f->app, f->app->err);
  }
  (void) fflush (stdout);
  return r;
}

int
hv_builtin_events (struct hv_app *app, struct hv_node *args)
{
  struct following f = { .app = app, .left = hv_node_u64 (args, "count"), .counted = hv_node_get (args, "count") != NULL };
  const char *since = hv_node_str (args, "since");
  struct hv_client_subscription s
      = { .struct_size = sizeof s, .topics = topics_of (app, args), .event = on_event, .dropped = on_dropped, .arg = &f };
  if (since != NULL && !parse_cursor (since, &f.cursor)) {
    hv_term_error ("events: --since '%s' is not EPOCH:SEQ", since);
    return HV_EXIT_USAGE;
  }
  if (since != NULL)
    s.since = &f.cursor;
  hv_run_catch_interrupt ();
  int r = hv_run_subscribe (app, &s);
  if (r == 0)
    r = follow (&f, &s);
  if (f.cursor.seq != 0 && app->opt.output <= HV_OUTPUT_WIDE && hv_term.err_tty)
    fprintf (stderr, "\nGo on with: hvkit events --since %" PRIu64 ":%" PRIu64 "\n", f.cursor.epoch, f.cursor.seq);
  return r == 0 || (hv_run_interrupted () && !hv_client_lost (app->client)) ? HV_EXIT_DONE : hv_run_report (app, r);
}
