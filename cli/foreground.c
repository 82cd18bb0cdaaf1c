/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit run: one VM in the foreground, for any supervisor. A daemon of its own runs it; the process lives as long as the VM does,
 * and its exit status is what became of it. What virt-launcher and its monitor are in a pod. */
#include "cli.h"
#include "keeper.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATE_ROOT  "/var/lib/hvkit-run"
#define RUN_ROOT    "/run/hvkit-run"
#define MANIFESTS   "/etc/hvkit/plugins.d"
#define INIT_SOCKET "hvkit-init.sock"
#define SOCKET      "hvkit.sock"
#define DAEMON_MS   15000u
#define START_S     300u /* KubeVirt's qemu-timeout is 240 to 359 s */
#define ROUND_MS    500

struct run {
  struct hv_app *app;
  struct hv_keeper keeper;
  const char *file, *text, *state_dir, *run_dir, *socket, *log;
  const char *namespace_, *name, *kind; /* of the machine; the kind as the verbs have it: vm, vmi */
  int64_t start_by_ms;
  int ready, ended, succeeded, stopping;
};

static volatile sig_atomic_t signals;

static void
on_signal (int sig)
{
  (void) sig;
  signals++;
}

static int64_t
now_ms (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- telling --- */

/* systemd's protocol: one datagram to $NOTIFY_SOCKET, "@" for an abstract one. */
static void
notify (const char *text)
{
  const char *path = getenv ("NOTIFY_SOCKET");
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  size_t n = path != NULL ? strlen (path) : 0;
  if (n < 2 || n >= sizeof a.sun_path || (path[0] != '/' && path[0] != '@'))
    return;
  memcpy (a.sun_path, path, n);
  if (path[0] == '@')
    a.sun_path[0] = '\0';
  int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  (void) sendto (fd, text, strlen (text), MSG_NOSIGNAL, (const struct sockaddr *) &a,
                 (socklen_t) (offsetof (struct sockaddr_un, sun_path) + n));
  (void) close (fd);
}

static void
print_event (struct run *x, const struct hv_client_event *e, const struct hv_node *data)
{
  struct hv_arena *a = &x->app->arena;
  const char *type = hv_node_str (data, "type"), *reason = hv_node_str (data, "reason"), *message = hv_node_str (data, "message");
  char when[32] = "";
  time_t s = (time_t) (e->time_ms / 1000);
  struct tm tm;
  if (type == NULL || reason == NULL || message == NULL)
    return;
  if (x->app->opt.output == HV_OUTPUT_JSON) {
    hv_output_json (stdout, data, 0);
  } else {
    if (localtime_r (&s, &tm) != NULL)
      (void) strftime (when, sizeof when, "%H:%M:%S", &tm);
    int warning = strcmp (type, "Warning") == 0;
    printf ("%s %s%-14s%s %s\n", when, warning ? hv_term_on (stdout, HV_YELLOW) : "", hv_term_safe (a, reason, strlen (reason)),
            warning ? hv_term_off (stdout, HV_YELLOW) : "", hv_term_safe (a, message, strlen (message)));
  }
  (void) fflush (stdout);
}

/* --- following --- */

/* Whoever ends us, the machine is ended in order, and what it had on the node is taken away. */
static void
leave_last_words (struct run *x)
{
  char self[PATH_MAX];
  ssize_t n = readlink ("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0)
    return;
  self[n] = '\0';
  hv_keeper_last_words (&x->keeper, hv_node_printf (&x->app->arena,
                                                    "%s\n--socket=%s\ndelete\n%s\n%s\n--namespace=%s\n--grace-period-seconds=0\n",
                                                    self, x->socket, x->kind, x->name, x->namespace_));
}

/* The name of the socket says that the VM runs: it is renamed, as virt-launcher does it. */
static void
is_ready (struct run *x)
{
  const char *final = hv_node_printf (&x->app->arena, "%s/" SOCKET, x->run_dir);
  if (x->ready)
    return;
  x->ready = 1;
  if (rename (x->socket, final) == 0)
    x->socket = final;
  leave_last_words (x);
  notify ("READY=1\nSTATUS=The virtual machine runs\n");
}

static void
follow_phase (struct run *x, const struct hv_node *data)
{
  const char *phase = hv_node_str (data, "phase"), *type = hv_node_str (data, "type");
  int gone = type != NULL && strcmp (type, "DELETED") == 0;
  if (phase != NULL && strcmp (phase, "Running") == 0)
    is_ready (x);
  if (phase != NULL && (strcmp (phase, "Succeeded") == 0 || strcmp (phase, "Failed") == 0)) {
    x->ended = 1;
    x->succeeded = phase[0] == 'S';
  } else if (x->stopping && !x->ended && (phase == NULL || gone)) {
    x->ended = x->succeeded = 1; /* it was stopped before it ran */
  }
}

static void
on_event (void *arg, const struct hv_client_event *e)
{
  struct run *x = arg;
  struct hv_node *data = hv_node_decode (&x->app->arena, e->data);
  const char *name = hv_node_str (data, "name"), *namespace_ = hv_node_str (data, "namespace");
  if (name == NULL || namespace_ == NULL || strcmp (name, x->name) != 0 || strcmp (namespace_, x->namespace_) != 0)
    return;
  if (strcmp (e->topic, "vmi.event") == 0)
    print_event (x, e, data);
  else
    follow_phase (x, data);
}

/* --- the daemon --- */

static char *
daemon_path (struct hv_app *app, const char *given)
{
  char self[PATH_MAX];
  ssize_t n = readlink ("/proc/self/exe", self, sizeof self - 1);
  if (given != NULL)
    return hv_node_strn (&app->arena, given, strlen (given));
  if (n <= 0)
    return NULL;
  self[n] = '\0';
  char *beside = hv_node_printf (&app->arena, "%s/hvkitd", dirname (self));
  return access (beside, X_OK) == 0 ? beside : hv_node_strn (&app->arena, "/usr/sbin/hvkitd", 16);
}

static int
make_dir (const char *path, mode_t mode)
{
  char part[PATH_MAX];
  size_t n = strlen (path);
  if (n >= sizeof part)
    return -ENAMETOOLONG;
  for (size_t i = 1; i <= n; i++) {
    if (path[i] != '/' && path[i] != '\0')
      continue;
    memcpy (part, path, i);
    part[i] = '\0';
    if (mkdir (part, mode) < 0 && errno != EEXIST)
      return -errno;
  }
  return 0;
}

/* Why a daemon did not come up: the last line it wrote. */
static const char *
last_line (struct run *x)
{
  const char *ignored;
  struct hv_node *text = hv_value_file (x->app, NULL, x->log, &ignored);
  char *s = text != NULL ? (char *) (uintptr_t) text->as.s.data : NULL, *line = s;
  for (char *nl; s != NULL && (nl = strchr (s, '\n')) != NULL; s = nl + 1) {
    *nl = '\0';
    line = *s != '\0' ? s : line;
  }
  return line != NULL && *line != '\0' ? line : "it said nothing";
}

static int
connect_to (struct run *x)
{
  int64_t end = now_ms () + DAEMON_MS;
  while (!hv_keeper_ended (&x->keeper) && now_ms () < end) {
    struct hv_client_options o = { .struct_size = sizeof o, .name = "hvkit run" };
    if (hv_client_connect (x->socket, &o, &x->app->client, x->app->err) == 0)
      return 0;
    (void) nanosleep (&(struct timespec){ .tv_nsec = 5000000 }, NULL);
  }
  hv_term_error ("run: hvkitd does not come up (%s): %s", x->log, last_line (x));
  return HV_EXIT_FAILED;
}

static int
start_daemon (struct run *x, const struct hv_node *args)
{
  const char *manifests = hv_node_str (args, "manifests"), *plugins = hv_node_str (args, "plugin_dir");
  const char *daemon = daemon_path (x->app, hv_node_str (args, "hvkitd"));
  struct hv_arena *a = &x->app->arena;
  int r = make_dir (x->state_dir, 0711);
  if (r == 0)
    r = make_dir (x->run_dir, 0711);
  if (r < 0) {
    hv_term_error ("run: make '%s' and '%s': %s", x->state_dir, x->run_dir, strerror (-r));
    return HV_EXIT_FAILED;
  }
  x->socket = hv_node_printf (a, "%s/" INIT_SOCKET, x->run_dir);
  x->log = hv_node_printf (a, "%s/hvkitd.log", x->run_dir);
  char *const argv[] = { (char *) (uintptr_t) daemon,
                         hv_node_printf (a, "--manifests=%s", manifests != NULL ? manifests : MANIFESTS),
                         hv_node_printf (a, "--socket=%s", x->socket),
                         hv_node_printf (a, "--state-dir=%s", x->state_dir),
                         hv_node_printf (a, "--run-dir=%s", x->run_dir),
                         plugins != NULL ? hv_node_printf (a, "--plugin-dir=%s", plugins) : NULL,
                         NULL };
  if (access (daemon, X_OK) < 0) {
    hv_term_error ("run: there is no program '%s'; name it with --hvkitd", daemon);
    return HV_EXIT_FAILED;
  }
  (void) unlink (hv_node_printf (a, "%s/" SOCKET, x->run_dir)); /* of a run that was killed */
  r = hv_keeper_start (&x->keeper, argv, x->log);
  if (r < 0) {
    hv_term_error ("run: start '%s': %s", daemon, strerror (-r));
    return HV_EXIT_FAILED;
  }
  return connect_to (x);
}

/* --- the machine --- */

static int
call (struct run *x, const char *method, struct hv_node *args, struct hv_node **ret)
{
  HV_CLEAN (hv_pack) struct hv_pack packed = { 0 }, result = { 0 };
  struct hv_client_call_options o = { .struct_size = sizeof o, .timeout_ms = 60000 };
  hv_node_encode (args, &packed);
  int r = hv_client_call (x->app->client, method, hv_client_packed (&packed), &o, &result, x->app->err);
  if (r == 0 && ret != NULL)
    *ret = hv_node_decode (&x->app->arena, hv_client_packed (&result));
  return r;
}

static struct hv_node *
reference (struct run *x)
{
  struct hv_arena *a = &x->app->arena;
  struct hv_node *args = hv_node_new (a, HV_NODE_MAP);
  hv_node_put (a, args, "name", hv_node_text (a, x->name));
  hv_node_put (a, args, "namespace", hv_node_text (a, x->namespace_));
  return args;
}

static struct hv_node *
yes (struct run *x)
{
  struct hv_node *n = hv_node_new (&x->app->arena, HV_NODE_BOOL);
  n->as.u = 1;
  return n;
}

static int
apply (struct run *x, int dry_run, struct hv_node **ret)
{
  struct hv_arena *a = &x->app->arena;
  struct hv_node *args = hv_node_new (a, HV_NODE_MAP);
  hv_node_put (a, args, "manifest", hv_node_text (a, x->text));
  hv_node_put (a, args, "once", yes (x));
  if (x->app->opt.namespace_ != NULL)
    hv_node_put (a, args, "namespace", hv_node_text (a, x->app->opt.namespace_));
  if (dry_run)
    hv_node_put (a, args, "dry_run", yes (x));
  return call (x, "vmi.apply", args, ret);
}

/* The one machine of the manifest. */
static int
find_machine (struct run *x)
{
  struct hv_node *result = NULL;
  int r = apply (x, 1, &result);
  const struct hv_node *items = hv_node_get (result, "items");
  uint32_t machines = 0;
  if (r != 0)
    return hv_run_report (x->app, r);
  for (uint32_t i = 0; items != NULL && i < items->count; i++) {
    const char *kind = hv_node_str (items->as.items[i], "kind");
    if (kind == NULL || strncmp (kind, "VirtualMachine", 14) != 0)
      continue;
    machines++;
    x->kind = strcmp (kind, "VirtualMachine") == 0 ? "vm" : "vmi";
    x->name = hv_node_str (items->as.items[i], "name");
    x->namespace_ = hv_node_str (items->as.items[i], "namespace");
  }
  if (machines == 1)
    return 0;
  hv_term_error ("run: '%s' has %u virtual machines; one is run", x->file, machines);
  return HV_EXIT_USAGE;
}

/* Of a run that did not end in order, whose machine is not there any more. */
static int
delete_machine (struct run *x)
{
  struct hv_node *args = reference (x), *zero = hv_node_uint (&x->app->arena, 0);
  hv_node_put (&x->app->arena, args, "grace_period_seconds", zero);
  int r = call (x, hv_node_printf (&x->app->arena, "vmi.delete_%s", x->kind), args, NULL);
  return r == HV_E_NOT_FOUND ? 0 : r;
}

static int
start_machine (struct run *x)
{
  const char *topics[] = { "vmi.object", "vmi.event", NULL };
  struct hv_client_subscription s = { .struct_size = sizeof s, .topics = topics, .event = on_event, .arg = x };
  int r = find_machine (x);
  if (r != 0)
    return r;
  r = delete_machine (x);
  if (r == 0)
    r = hv_client_subscribe (x->app->client, &s, NULL, NULL, x->app->err);
  if (r == 0)
    leave_last_words (x);
  if (r == 0)
    r = apply (x, 0, NULL);
  return r != 0 ? hv_run_report (x->app, r) : 0;
}

/* Asked once: the guest has its grace. Asked again: at once. */
static void
stop_machine (struct run *x, const struct hv_node *args)
{
  struct hv_node *stop = reference (x), *grace = hv_node_get (args, "grace_period_seconds");
  int again = x->stopping++ > 0;
  if (again)
    grace = hv_node_uint (&x->app->arena, 0);
  if (grace != NULL)
    hv_node_put (&x->app->arena, stop, "grace_period_seconds", grace);
  notify ("STOPPING=1\nSTATUS=The virtual machine is shutting down\n");
  int r = call (x, "vmi.stop", stop, NULL);
  if (r != 0 && !again && r != HV_E_FAILED_PRECONDITION)
    (void) hv_run_report (x->app, r);
}

static int
follow (struct run *x, const struct hv_node *args)
{
  int seen = 0, r = 0;
  while (!x->ended && r == 0) {
    if (signals > seen) {
      seen = signals;
      stop_machine (x, args);
      continue;
    }
    if (!x->ready && x->stopping == 0 && now_ms () > x->start_by_ms) {
      hv_term_error ("run: the virtual machine did not start in time (--start-timeout)");
      return HV_EXIT_FAILED;
    }
    r = hv_client_wait (x->app->client, ROUND_MS, x->app->err);
    if (hv_keeper_ended (&x->keeper))
      r = HV_E_UNAVAILABLE;
  }
  if (r == 0)
    return x->succeeded ? HV_EXIT_DONE : HV_EXIT_FAILED;
  hv_keeper_end (&x->keeper);
  hv_term_error ("run: hvkitd ended (status %d; %s), and the virtual machine with it: %s",
                 WIFEXITED (x->keeper.status) ? WEXITSTATUS (x->keeper.status) : -1, x->log, last_line (x));
  return HV_EXIT_FAILED;
}

static int
run (struct run *x, const struct hv_node *args)
{
  int r = start_daemon (x, args);
  if (r != 0)
    return r;
  r = start_machine (x);
  if (r == 0)
    r = follow (x, args);
  if (x->name != NULL && !hv_keeper_ended (&x->keeper))
    (void) delete_machine (x);
  return r;
}

/* "ubuntu.yaml" is "ubuntu": what a VM keeps is found again by the next run of its file. */
static const char *
dir_for (struct hv_app *app, const char *root, const char *file)
{
  char *copy = hv_node_strn (&app->arena, file, strlen (file)), *base = basename (copy), *dot = strrchr (base, '.');
  if (dot != NULL && dot != base)
    *dot = '\0';
  return hv_node_printf (&app->arena, "%s/%s", root, strcmp (base, "-") == 0 ? "stdin" : base);
}

static void
catch_signals (void)
{
  static const int all[] = { SIGINT, SIGTERM, SIGQUIT };
  struct sigaction sa = { .sa_handler = on_signal };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    (void) sigaction (all[i], &sa, NULL);
  (void) signal (SIGPIPE, SIG_IGN);
}

int
hv_builtin_run (struct hv_app *app, struct hv_node *args)
{
  const char *why = "", *state_dir = hv_node_str (args, "state_dir"), *run_dir = hv_node_str (args, "run_dir");
  struct run x = { .app = app, .file = hv_node_str (args, "file"), .keeper.pipe = -1 };
  const struct hv_node *text = hv_value_file (app, NULL, x.file, &why), *seconds = hv_node_get (args, "start_timeout");
  if (text == NULL) {
    hv_term_error ("run: %s", why);
    return HV_EXIT_USAGE;
  }
  x.text = text->as.s.data;
  x.state_dir = state_dir != NULL ? state_dir : dir_for (app, STATE_ROOT, x.file);
  x.run_dir = run_dir != NULL ? run_dir : dir_for (app, RUN_ROOT, x.file);
  x.start_by_ms = now_ms () + (int64_t) (seconds != NULL ? seconds->as.u : START_S) * 1000;
  catch_signals ();
  int r = run (&x, args);
  hv_client_close (app->client);
  app->client = NULL;
  hv_keeper_end (&x.keeper);
  (void) unlink (x.socket != NULL ? x.socket : "");
  return r;
}
