/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calling a method: Ctrl-C, progress, pages, and what failing means for the exit status. */
#include "cli.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

/* --- Ctrl-C --- */

static volatile sig_atomic_t interrupts;
static sigset_t unblocked;

static void
on_interrupt (int sig)
{
  (void) sig;
  if (++interrupts > 1) /* whoever presses it twice does not want to wait for the daemon */
    _exit (HV_EXIT_INTERRUPTED);
}

/* Blocked except inside ppoll, so that none is lost between looking at the flag and waiting. */
void
hv_run_catch_interrupt (void)
{
  static int caught;
  struct sigaction sa = { .sa_handler = on_interrupt };
  sigset_t set;
  if (caught)
    return;
  caught = 1;
  sigemptyset (&set);
  sigaddset (&set, SIGINT);
  sigprocmask (SIG_BLOCK, &set, &unblocked);
  sigdelset (&unblocked, SIGINT);
  sigaction (SIGINT, &sa, NULL);
}

int
hv_run_interrupted (void)
{
  return interrupts > 0;
}

int
hv_run_wait (struct hv_app *app, struct hv_err *err)
{
  uint32_t wants = hv_client_wants (app->client);
  struct pollfd p = { .fd = hv_client_fd (app->client), .events = (short) (POLLIN | (wants & HV_CLIENT_WRITE ? POLLOUT : 0)) };
  int ms = hv_client_timeout_ms (app->client);
  struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long) (ms % 1000) * 1000000 };
  if (ppoll (&p, 1, ms < 0 ? NULL : &ts, &unblocked) < 0 && errno != EINTR)
    return hv_err_sys (err, errno, "wait for the daemon");
  return hv_client_process (app->client, err);
}

int
hv_run_poll (struct pollfd *p, uint32_t n)
{
  return ppoll (p, n, NULL, &unblocked);
}

/* --- one call --- */

struct pending {
  struct hv_app *app;
  struct hv_arena *arena;
  struct hv_node *result;
  int done, code;
};

static void
copy_error (struct hv_err *to, int code, const struct hv_err *from)
{
  (void) hv_err_set (to, code, "%s", hv_err_message (from));
}

static void
on_done (void *arg, int code, struct hv_bin result, const struct hv_err *error)
{
  struct pending *p = arg;
  p->done = 1;
  p->code = code;
  if (code == 0)
    p->result = hv_node_decode (p->arena, result);
  else
    copy_error (p->app->err, code, error);
}

static void
wait_done (struct pending *p, uint32_t id)
{
  int cancelled = 0;
  while (!p->done) {
    if (hv_run_interrupted () && !cancelled) {
      (void) hv_client_cancel (p->app->client, id, NULL);
      cancelled = 1;
    }
    (void) hv_run_wait (p->app, NULL); /* a lost connection ends the call through on_done */
  }
}

int
hv_run_call (struct hv_app *app, const char *method, const struct hv_node *args, int progress, struct hv_arena *arena,
             struct hv_node **ret)
{
  HV_CLEAN (hv_pack) struct hv_pack packed = { 0 };
  struct pending p = { .app = app, .arena = arena };
  struct hv_progress *bar = progress ? hv_progress_new (app) : NULL;
  struct hv_client_call_options o = { .struct_size = sizeof o, .timeout_ms = (uint32_t) app->opt.timeout_ms };
  uint32_t id = 0;
  if (args != NULL)
    hv_node_encode (args, &packed);
  else
    hv_pack_map (&packed, 0);
  if (bar != NULL) {
    o.progress = hv_progress_update;
    o.arg = bar;
  }
  hv_run_catch_interrupt ();
  int r = packed.failed ? hv_err_set (app->err, HV_E_RESOURCE_EXHAUSTED, "out of memory")
                        : hv_client_call_async (app->client, method, hv_client_packed (&packed), &o, on_done, &p, &id, app->err);
  if (r == 0) {
    wait_done (&p, id);
    r = p.code;
  }
  hv_progress_end (bar);
  if (r == 0)
    *ret = p.result;
  return r;
}

int
hv_run_report (struct hv_app *app, int code)
{
  hv_term_error ("%s: %s", hv_err_name (code), hv_err_message (app->err));
  if (hv_run_interrupted ())
    return HV_EXIT_INTERRUPTED;
  return app->client != NULL && hv_client_lost (app->client) ? HV_EXIT_UNREACHABLE : HV_EXIT_FAILED;
}

/* --- pages --- */

/* The field that holds the rows: as the method says, else its only list of records. */
const char *
hv_run_list_field (const struct hv_model_method *m, const struct hv_node *result)
{
  const char *name = m->list;
  for (uint32_t i = 0; name == NULL && i < m->result->count; i++)
    if (strcmp (m->result->fields[i].name, "items") == 0 && strcmp (m->result->fields[i].type, "records") == 0)
      name = "items";
  const struct hv_node *list = name != NULL ? hv_node_get (result, name) : NULL;
  return list != NULL && list->type == HV_NODE_LIST ? name : NULL;
}

/* Someone who asks for a page gets that page. */
static int
pages_by_itself (const struct hv_model_method *m, const struct hv_node *args)
{
  return hv_model_find_field (m->args, "continue_from", 13) != NULL && hv_model_find_field (m->result, "continue_from", 13) != NULL
         && hv_node_get (args, "continue_from") == NULL && hv_node_get (args, "limit") == NULL;
}

static void
append_page (struct hv_arena *a, struct hv_node *list, const struct hv_node *more)
{
  for (uint32_t i = 0; more != NULL && i < more->count; i++)
    hv_node_append (a, list, more->as.items[i]);
}

int
hv_run_pages (struct hv_app *app, const struct hv_model_method *m, struct hv_node *args, struct hv_arena *a, struct hv_node **ret)
{
  struct hv_node *first = NULL;
  int paged = pages_by_itself (m, args);
  const char *list = NULL, *next = NULL;
  do {
    struct hv_node *page;
    int r = hv_run_call (app, m->name, args, m->progress, a, &page);
    if (r != 0)
      return r;
    if (first == NULL) {
      first = page;
      list = hv_run_list_field (m, page);
    } else
      append_page (a, hv_node_get (first, list), hv_node_get (page, list));
    next = paged && list != NULL ? hv_node_str (page, "continue_from") : NULL;
    if (next != NULL)
      hv_node_put (a, args, "continue_from", hv_node_text (a, next));
  } while (next != NULL && *next != '\0' && !hv_run_interrupted ());
  if (paged && list != NULL) {
    hv_node_remove (args, "continue_from");
    hv_node_remove (first, "continue_from");
  }
  *ret = first;
  return 0;
}

int
hv_run_method (struct hv_app *app, const struct hv_model_method *m, struct hv_node *args)
{
  struct hv_node *result = NULL;
  if (app->opt.watch)
    return hv_watch_run (app, m, args);
  int as_is = app->opt.output > HV_OUTPUT_WIDE; /* the answer itself, for programs that attach on their own */
  if (m->stream != NULL && (!as_is || app->opt.proxy != NULL))
    return hv_stream_run (app, m, args);
  if (m->binary != NULL && (!as_is || app->opt.file != NULL))
    return hv_binary_run (app, m, args);
  int r = hv_run_pages (app, m, args, &app->arena, &result);
  if (r != 0)
    return hv_run_report (app, r);
  hv_output_result (app, m, args, result);
  return hv_run_interrupted () ? HV_EXIT_INTERRUPTED : HV_EXIT_DONE;
}
