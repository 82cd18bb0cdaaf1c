/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --proxy PATH: a socket for programs that know nothing of hvkit (a VNC viewer). Each connection to it is a call of its own, whose
 * byte stream it becomes. */
#include "cli.h"
#include "core/loop/loop.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct proxy {
  struct hv_app *app;
  const struct hv_model_method *method;
  struct hv_pack args;
  struct hv_loop *loop;
  struct hv_loop_watch *listen_watch, *client_watch;
  struct hv_loop_timer *client_timer;
  struct visit *visits;
  int listen_fd, status;
};

/* One program that connected. */
struct visit {
  struct visit *next;
  struct proxy *proxy;
  int fd; /* -1 once the splice has it */
  struct hv_splice *splice;
};

static void
visit_free (struct visit *v)
{
  struct visit **at = &v->proxy->visits;
  while (*at != v)
    at = &(*at)->next;
  *at = v->next;
  hv_splice_free (v->splice);
  if (v->fd >= 0)
    (void) close (v->fd);
  free (v);
}

static void
visit_over (void *arg)
{
  visit_free (arg);
}

static int
visit_join (struct visit *v, struct hv_bin result)
{
  struct hv_app *app = v->proxy->app;
  struct hv_arena a = { 0 };
  struct hv_splice_side sides[2] = { { .fd = v->fd }, { .fd = -1 } };
  const char *token = hv_node_str (hv_node_decode (&a, result), v->proxy->method->stream);
  int r = token == NULL ? hv_err_set (app->err, HV_E_INTERNAL, "the daemon answered no token")
                        : hv_client_attach (app->socket, token, NULL, &sides[1].fd, app->err);
  hv_arena_free (&a);
  if (r != 0)
    return r;
  v->fd = -1;
  r = hv_splice_new (v->proxy->loop, sides, visit_over, v, &v->splice);
  return r < 0 ? hv_err_set (app->err, r, "out of memory") : 0;
}

/* One that cannot be served is told by the end of its connection; the others and the next ones are not concerned. */
static void
visit_answered (void *arg, int code, struct hv_bin result, const struct hv_err *error)
{
  struct visit *v = arg;
  struct hv_app *app = v->proxy->app;
  if (code == 0)
    code = visit_join (v, result);
  else
    (void) hv_err_set (app->err, code, "%s", hv_err_message (error));
  if (code == 0)
    return;
  if (code != HV_E_CANCELLED) /* we are ending */
    hv_term_error ("%s: %s", hv_err_name (code), hv_err_message (app->err));
  visit_free (v);
}

/* --- the daemon's connection, on our loop --- */

static void
client_turn (struct proxy *p)
{
  struct hv_client *c = p->app->client;
  if (hv_client_process (c, p->app->err) != 0) {
    p->status = hv_run_report (p->app, HV_E_UNAVAILABLE);
    hv_loop_stop (p->loop);
    return;
  }
  int ms = hv_client_timeout_ms (c);
  hv_loop_watch_set (p->client_watch, HV_WAIT_READ | (hv_client_wants (c) & HV_CLIENT_WRITE ? HV_WAIT_WRITE : 0));
  hv_loop_timer_set (p->client_timer, ms < 0 ? 0 : (uint64_t) ms + 1, 0);
}

static void
client_ready (void *arg, uint32_t ready)
{
  (void) ready;
  client_turn (arg);
}

static void
client_timeout (void *arg)
{
  client_turn (arg);
}

static void
listen_ready (void *arg, uint32_t ready)
{
  struct proxy *p = arg;
  struct hv_client_call_options o = { .struct_size = sizeof o, .timeout_ms = (uint32_t) p->app->opt.timeout_ms };
  int fd = accept4 (p->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  (void) ready;
  if (fd < 0)
    return;
  struct visit *v = calloc (1, sizeof *v);
  if (v == NULL) {
    (void) close (fd);
    return;
  }
  *v = (struct visit){ .next = p->visits, .proxy = p, .fd = fd };
  p->visits = v;
  int r = hv_client_call_async (p->app->client, p->method->name, hv_client_packed (&p->args), &o, visit_answered, v, NULL,
                                p->app->err);
  if (r != 0) {
    hv_term_error ("%s: %s", hv_err_name (r), hv_err_message (p->app->err));
    visit_free (v);
  }
  client_turn (p);
}

/* --- the socket --- */

static int
is_left_behind (const struct sockaddr_un *a)
{
  struct stat st;
  if (lstat (a->sun_path, &st) != 0 || !S_ISSOCK (st.st_mode))
    return 0;
  HV_CLEAN (hv_fd) int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return fd >= 0 && connect (fd, (const struct sockaddr *) a, sizeof *a) < 0 && errno == ECONNREFUSED;
}

/* Only for this user: whoever may connect there may do what this user may. */
static int
listen_at (const char *path, struct hv_err *err)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  if (*path == '\0' || strlen (path) >= sizeof a.sun_path)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "--proxy '%s': a path of at most %zu bytes is wanted", path,
                       sizeof a.sun_path - 1);
  memcpy (a.sun_path, path, strlen (path) + 1);
  HV_CLEAN (hv_fd) int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && is_left_behind (&a))
    (void) unlink (path); /* left behind by a proxy that was killed */
  mode_t mask = umask (0177);
  int r = fd < 0 || bind (fd, (const struct sockaddr *) &a, sizeof a) < 0 || listen (fd, 16) < 0
              ? hv_err_sys (err, errno, "--proxy '%s'", path)
              : 0;
  (void) umask (mask);
  return r < 0 ? r : HV_STEAL_FD (fd);
}

static void
on_signal (void *arg, int signum)
{
  (void) signum;
  hv_loop_stop (arg);
}

static int
proxy_make (struct proxy *p)
{
  p->loop = hv_loop_new ("proxy", p->app->err);
  if (p->loop == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  p->listen_watch = hv_loop_watch_new (p->loop, p->listen_fd, HV_WAIT_READ, listen_ready, p);
  p->client_watch = hv_loop_watch_new (p->loop, hv_client_fd (p->app->client), HV_WAIT_READ, client_ready, p);
  p->client_timer = hv_loop_timer_new (p->loop, client_timeout, p);
  if (p->listen_watch == NULL || p->client_watch == NULL || p->client_timer == NULL
      || hv_loop_signal (p->loop, SIGINT, on_signal, p->loop) < 0 || hv_loop_signal (p->loop, SIGTERM, on_signal, p->loop) < 0)
    return hv_err_set (p->app->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return 0;
}

/* Calls that are still under way are told CANCELLED here, by the client's end, before what they would use is gone. */
static void
proxy_clear (struct proxy *p)
{
  hv_client_close (p->app->client);
  p->app->client = NULL;
  while (p->visits != NULL)
    visit_free (p->visits);
  hv_loop_watch_free (p->listen_watch);
  hv_loop_watch_free (p->client_watch);
  hv_loop_timer_free (p->client_timer);
  if (p->loop != NULL)
    hv_loop_free (p->loop);
  hv_pack_clear (&p->args);
}

int
hv_proxy_run (struct hv_app *app, const struct hv_model_method *m, const struct hv_node *args)
{
  struct proxy p = { .app = app, .method = m };
  p.listen_fd = listen_at (app->opt.proxy, app->err);
  if (p.listen_fd < 0)
    return hv_run_report (app, p.listen_fd);
  hv_node_encode (args, &p.args);
  int r = proxy_make (&p);
  if (r == 0) {
    printf ("listening at %s, until Ctrl-C\n", hv_term_safe (&app->arena, app->opt.proxy, strlen (app->opt.proxy)));
    (void) fflush (stdout);
    hv_loop_run (p.loop);
  } else {
    p.status = hv_run_report (app, r);
  }
  (void) unlink (app->opt.proxy);
  (void) close (p.listen_fd);
  proxy_clear (&p);
  return p.status;
}
