/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkitd: reads its options, puts the pieces together, runs the main loop. */
#include "core/bus/instance.h"
#include "core/err/err.h"
#include "core/limits.h"
#include "core/log/log.h"
#include "core/plugin/plugin.h"
#include "core/rpc/rpc.h"
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#ifndef HV_PLUGIN_DIR
#define HV_PLUGIN_DIR "/usr/local/lib/hvkit/plugins"
#endif

struct daemon {
  const char *manifests, *socket, *state_dir, *run_dir, *plugin_dir, *log;
  int check;
  struct hv_loop *loop;
  struct hv_bus *bus;
  struct hv_instance *core;
  struct hv_supervisor *supervisor;
  struct hv_rpc *rpc;
  struct hv_arena arena;
  struct hv_core_config config;
  struct hv_rpc_config rpc_config;
  int exit_code, busy, stop_wanted, reload_wanted;
};

/* --- command line --- */

static void
usage (FILE *to)
{
  (void) fputs ("usage: hvkitd [--manifests DIR] [--socket PATH] [--state-dir DIR] [--run-dir DIR] [--plugin-dir DIR] [--log SPEC] [--check]\n"
                "\n"
                "  --manifests DIR   one JSON file per plugin instance, and core.json   (/etc/hvkit/plugins.d)\n"
                "  --socket PATH     where clients connect                              (/run/hvkit/hvkit.sock)\n"
                "  --state-dir DIR   what has to survive a reboot                       (/var/lib/hvkit)\n"
                "  --run-dir DIR     what must not                                      (/run/hvkit)\n"
                "  --plugin-dir DIR  where plugins named without a path are             (" HV_PLUGIN_DIR ")\n"
                "  --log SPEC        info, or info,bus=debug,qmp=warning                (info)\n"
                "  --check           read and check everything, start nothing\n"
                "  --version, --help\n"
                "\n"
                "SIGTERM stops the daemon and leaves the machines running; SIGHUP rereads the manifests.\n",
                to);
}

static int
parse_options (int argc, char **argv, struct daemon *d)
{
  static const struct option options[] = { { "manifests", 1, NULL, 'm' }, { "socket", 1, NULL, 's' }, { "state-dir", 1, NULL, 'd' },
                                           { "run-dir", 1, NULL, 'r' },   { "plugin-dir", 1, NULL, 'p' }, { "log", 1, NULL, 'l' },
                                           { "check", 0, NULL, 'c' },     { "version", 0, NULL, 'v' },    { "help", 0, NULL, 'h' },
                                           { NULL, 0, NULL, 0 } };
  for (int c; (c = getopt_long (argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'm': d->manifests = optarg; break;
    case 's': d->socket = optarg; break;
    case 'd': d->state_dir = optarg; break;
    case 'r': d->run_dir = optarg; break;
    case 'p': d->plugin_dir = optarg; break;
    case 'l': d->log = optarg; break;
    case 'c': d->check = 1; break;
    case 'v': (void) puts ("hvkitd " HV_VERSION); return 1;
    case 'h': usage (stdout); return 1;
    default: usage (stderr); return -1;
    }
  }
  if (optind == argc)
    return 0;
  (void) fprintf (stderr, "hvkitd: unexpected argument '%s'\n", argv[optind]);
  return -1;
}

/* --- process --- */

extern _Thread_local const char *hv_boundary_instance, *hv_boundary_what;

/* Names the plugin whose code was running, then dies of the signal as it would have. Only async-signal-safe calls. */
static void
crashed (int signum)
{
  const char *parts[] = { "hvkitd: fatal signal in plugin '", hv_boundary_instance != NULL ? hv_boundary_instance : "(none: the core)", "' (",
                          hv_boundary_what != NULL ? hv_boundary_what : "-", ")\n" };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (write (STDERR_FILENO, parts[i], strlen (parts[i])) < 0)
      break;
  (void) signal (signum, SIG_DFL);
  (void) raise (signum);
}

static void
process_prepare (void)
{
  struct rlimit files;
  struct sigaction ignore = { .sa_handler = SIG_IGN };
  (void) umask (0077);
  (void) sigaction (SIGPIPE, &ignore, NULL);
  if (getrlimit (RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max > 65536 ? 65536 : files.rlim_max;
    (void) setrlimit (RLIMIT_NOFILE, &files);
  }
#ifndef __SANITIZE_ADDRESS__
  static uint8_t stack[65536];
  stack_t alt = { .ss_sp = stack, .ss_size = sizeof stack };
  struct sigaction crash = { .sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_RESETHAND };
  (void) sigaltstack (&alt, NULL);
  const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
  for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
    (void) sigaction (fatal[i], &crash, NULL);
#else
  (void) crashed;
#endif
}

static int
make_dir (const char *path, mode_t mode, struct hv_err *err)
{
  struct stat st;
  if (mkdir (path, mode) < 0 && errno != EEXIST)
    return hv_err_sys (err, errno, "create directory '%s'", path);
  if (stat (path, &st) < 0 || !S_ISDIR (st.st_mode))
    return hv_err_sys (err, ENOTDIR, "directory '%s'", path);
  if (st.st_uid != geteuid () && st.st_uid != 0)
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "directory '%s' belongs to uid %u", path, (unsigned) st.st_uid);
  return chmod (path, mode) < 0 ? hv_err_sys (err, errno, "directory '%s'", path) : 0;
}

/* Tells a service manager (sd_notify's protocol: one datagram to $NOTIFY_SOCKET). */
static void
notify_manager (const char *text)
{
  const char *path = getenv ("NOTIFY_SOCKET");
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  if (path == NULL || strlen (path) >= sizeof a.sun_path || (path[0] != '/' && path[0] != '@'))
    return;
  memcpy (a.sun_path, path, strlen (path));
  socklen_t size = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + strlen (path));
  if (a.sun_path[0] == '@')
    a.sun_path[0] = '\0';
  HV_CLEAN (hv_fd) int fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && sendto (fd, text, strlen (text), MSG_NOSIGNAL, (const struct sockaddr *) &a, size) < 0)
    hv_log_line ("main", HV_LOG_WARNING, "service manager was not told '%s': %s", text, strerror (errno));
}

/* Plugins hand these to programs that run elsewhere: so they are made absolute once, here. */
static int
make_absolute (const char **path, struct hv_arena *arena, struct hv_err *err)
{
  char cwd[4096];
  if ((*path)[0] == '/')
    return 0;
  if (getcwd (cwd, sizeof cwd) == NULL)
    return hv_err_sys (err, errno, "working directory");
  size_t size = strlen (cwd) + strlen (*path) + 2;
  char *full = hv_arena_alloc (arena, size);
  if (full == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  (void) snprintf (full, size, "%s/%s", cwd, *path);
  *path = full;
  return 0;
}

static int
absolute_paths (struct daemon *d, struct hv_err *err)
{
  const char **paths[] = { &d->manifests, &d->socket, &d->state_dir, &d->run_dir, &d->plugin_dir };
  int r = 0;
  for (size_t i = 0; r == 0 && i < sizeof paths / sizeof *paths; i++)
    r = make_absolute (paths[i], &d->arena, err);
  return r;
}

/* --- core.json --- */

static int
parse_number (const char *text, int base, unsigned long max, uint32_t *ret)
{
  char *end;
  errno = 0;
  unsigned long v = strtoul (text, &end, base);
  if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || v > max)
    return HV_E_INVALID_ARGUMENT;
  *ret = (uint32_t) v;
  return 0;
}

static int
resolve_id (const char *text, int group, uint32_t *ret)
{
  if (parse_number (text, 10, UINT32_MAX - 1, ret) == 0)
    return 0;
  const struct passwd *pw = group ? NULL : getpwnam (text);
  const struct group *gr = group ? getgrnam (text) : NULL;
  if (pw == NULL && gr == NULL)
    return HV_E_NOT_FOUND;
  *ret = pw != NULL ? pw->pw_uid : gr->gr_gid;
  return 0;
}

static int
read_roles (struct daemon *d, const struct hv_map *map, int group, const struct hv_rpc_role **ret, uint32_t *ret_count, struct hv_err *err)
{
  struct hv_rpc_role *roles = hv_arena_alloc (&d->arena, (map->count + 1u) * sizeof *roles);
  const char *what = group ? "gids" : "uids";
  if (roles == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < map->count; i++) {
    if (resolve_id (map->items[i].key, group, &roles[i].uid) < 0)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "core.json: %s: '%s' is neither a number nor a known name", what, map->items[i].key);
    for (uint32_t k = 0; k < 4; k++)
      if (strcmp (hv_role_words[k], map->items[i].value) == 0)
        roles[i].role = k;
    if (roles[i].role == 0 && strcmp (map->items[i].value, hv_role_words[0]) != 0)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "core.json: %s.%s: '%s' is not a role; nobody, viewer, operator and admin are", what,
                         map->items[i].key, map->items[i].value);
  }
  *ret = roles;
  *ret_count = map->count;
  return 0;
}

static void
apply_limits (struct daemon *d)
{
  const struct hv_core_limits *l = &d->config.limits;
  struct hv_rpc_config *c = &d->rpc_config;
  c->request_bytes = HV_HAS (l, request_bytes) ? l->request_bytes : c->request_bytes;
  c->answer_bytes = HV_HAS (l, answer_bytes) ? l->answer_bytes : c->answer_bytes;
  c->output_bytes = HV_HAS (l, output_bytes) ? l->output_bytes : c->output_bytes;
  c->connections = HV_HAS (l, connections) ? l->connections : c->connections;
  c->connections_per_uid = HV_HAS (l, connections_per_uid) ? l->connections_per_uid : c->connections_per_uid;
  c->in_flight = HV_HAS (l, in_flight) ? l->in_flight : c->in_flight;
}

static void
apply_stream_limits (struct daemon *d)
{
  const struct hv_core_limits *l = &d->config.limits;
  struct hv_stream_limits s = { HV_HAS (l, streams) ? l->streams : HV_LIMIT_STREAMS,
                                HV_HAS (l, streams_per_uid) ? l->streams_per_uid : HV_LIMIT_STREAMS_PER_UID,
                                HV_HAS (l, stream_token_ms) ? l->stream_token_ms : HV_LIMIT_STREAM_TOKEN_MS };
  hv_streams_set_limits (d->bus, &s);
}

static int
read_core_config (struct daemon *d, struct hv_err *err)
{
  struct hv_rpc_config *c = &d->rpc_config;
  hv_rpc_config_defaults (c);
  int r = hv_core_config_read (d->manifests, &d->arena, &d->config, err);
  if (r == 0)
    r = hv_log_configure (d->log != NULL ? d->log : HV_HAS (&d->config, log) ? d->config.log : "info", err);
  if (r == 0)
    r = read_roles (d, &d->config.uids, 0, &c->uid_roles, &c->uid_role_count, err);
  if (r == 0)
    r = read_roles (d, &d->config.gids, 1, &c->gid_roles, &c->gid_role_count, err);
  if (r == 0 && parse_number (d->config.socket_mode, 8, 0777, &c->socket_mode) < 0)
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "core.json: socket_mode: '%s' is not an octal mode", d->config.socket_mode);
  apply_limits (d);
  return r;
}

/* --- life --- */

static void
fail (struct daemon *d, const struct hv_err *err)
{
  hv_log_line ("main", HV_LOG_ERROR, "%s", hv_err_message (err));
  d->exit_code = 1;
}

static void
everything_stopped (void *arg, uint32_t leaked)
{
  struct daemon *d = arg;
  (void) leaked;
  hv_loop_stop (d->loop);
}

static void
begin_stop (struct daemon *d)
{
  if (d->busy) { /* a start or reload under way finishes first */
    d->stop_wanted = 1;
    return;
  }
  d->busy = 1;
  notify_manager ("STOPPING=1");
  hv_rpc_free (HV_STEAL (d->rpc));
  hv_supervisor_stop (d->supervisor, everything_stopped, d);
}

static void begin_reload (struct daemon *d);

static void
settled (struct daemon *d)
{
  d->busy = 0;
  if (d->stop_wanted)
    begin_stop (d);
  else if (d->reload_wanted)
    begin_reload (d);
}

static void
reloaded (void *arg, uint32_t failed)
{
  hv_log_line ("main", failed > 0 ? HV_LOG_ERROR : HV_LOG_NOTICE, "manifests were read again%s", failed > 0 ? "; required plugins are not running" : "");
  notify_manager ("READY=1");
  settled (arg);
}

static void
begin_reload (struct daemon *d)
{
  if (d->busy) {
    d->reload_wanted = 1;
    return;
  }
  d->reload_wanted = 0;
  d->busy = 1;
  hv_supervisor_reload (d->supervisor, reloaded, d);
}

static void
on_signal (void *arg, int signum)
{
  if (signum == SIGHUP)
    begin_reload (arg);
  else
    begin_stop (arg);
}

static int
open_socket (struct daemon *d, struct hv_err *err)
{
  int r = hv_rpc_new (d->bus, d->socket, &d->rpc_config, &d->rpc, err);
  if (r < 0)
    return r;
  struct hv_bus_hooks hooks = { .plugins = hv_supervisor_describe, .plugins_arg = d->supervisor, .stats = hv_rpc_stats, .stats_arg = d->rpc, .request_bytes = d->rpc_config.request_bytes,
                                .answer_bytes = d->rpc_config.answer_bytes };
  hv_bus_set_hooks (d->bus, &hooks);
  hv_log_line ("main", HV_LOG_NOTICE, "hvkitd " HV_VERSION " listens at '%s'", d->socket);
  notify_manager ("READY=1");
  return 0;
}

static void
plugins_started (void *arg, uint32_t failed)
{
  struct daemon *d = arg;
  struct hv_err *err = hv_error_new ();
  if (failed > 0) {
    (void) hv_err_set (err, HV_E_FAILED_PRECONDITION, "%u required plugin(s) did not start; the lines above say why", failed);
    fail (d, err);
    d->stop_wanted = 1;
  } else if (!d->stop_wanted && open_socket (d, err) < 0) {
    fail (d, err);
    d->stop_wanted = 1;
  }
  hv_err_free (err);
  settled (d);
}

static void
core_started (void *arg, int code, struct hv_err *err)
{
  struct daemon *d = arg;
  if (code < 0) {
    fail (d, err);
    hv_loop_stop (d->loop);
    return;
  }
  hv_supervisor_start (d->supervisor, plugins_started, d);
}

static int
assemble (struct daemon *d, struct hv_err *err)
{
  struct hv_supervisor_config sc = { d->manifests, d->plugin_dir, d->state_dir, d->run_dir };
  struct hv_instance_spec core = { .plugin = &hv_bus_plugin, .name = "bus", .state_dir = d->state_dir, .run_dir = d->run_dir,
                                   .isolation = HV_ISOLATION_LOOP, .role = HV_ADMIN };
  int r = make_dir (d->state_dir, 0700, err);
  if (r == 0)
    r = make_dir (d->run_dir, 0711, err);
  if (r < 0)
    return r;
  d->loop = hv_loop_new ("main", err);
  d->bus = d->loop != NULL ? hv_bus_new (d->loop, err) : NULL;
  d->supervisor = d->bus != NULL ? hv_supervisor_new (d->bus, &sc, err) : NULL;
  if (d->supervisor == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  if (HV_HAS (&d->config.limits, event_log) || HV_HAS (&d->config.limits, event_log_bytes))
    hv_events_set_limits (d->bus, HV_HAS (&d->config.limits, event_log) ? d->config.limits.event_log : HV_LIMIT_EVENT_LOG,
                          HV_HAS (&d->config.limits, event_log_bytes) ? d->config.limits.event_log_bytes : HV_LIMIT_EVENT_LOG_BYTES);
  apply_stream_limits (d);
  const int signals[] = { SIGTERM, SIGINT, SIGHUP };
  for (size_t i = 0; r == 0 && i < sizeof signals / sizeof *signals; i++)
    r = hv_loop_signal (d->loop, signals[i], on_signal, d);
  return r < 0 ? hv_err_set (err, r, "signals: out of memory") : hv_instance_new (d->bus, &core, &d->core, err);
}

static void
core_stopped (void *arg, uint32_t leaked)
{
  struct daemon *d = arg;
  (void) leaked;
  hv_loop_stop (d->loop);
}

static void
run (struct daemon *d)
{
  d->busy = 1;
  hv_instance_start (d->core, core_started, d);
  hv_loop_run (d->loop);
  hv_instance_stop (d->core, 0, core_stopped, d);
  hv_loop_run (d->loop);
}

static void
dismantle (struct daemon *d)
{
  hv_rpc_free (d->rpc);
  hv_supervisor_free (d->supervisor);
  hv_instance_unref (d->core);
  hv_bus_free (d->bus);
  if (d->loop != NULL)
    hv_loop_free (d->loop);
  hv_arena_free (&d->arena);
}

static int
check_only (struct daemon *d)
{
  struct hv_supervisor_config sc = { d->manifests, d->plugin_dir, d->state_dir, d->run_dir };
  d->supervisor = hv_supervisor_new (NULL, &sc, NULL);
  uint32_t bad = d->supervisor != NULL ? hv_supervisor_check (d->supervisor) : 1;
  if (bad == 0)
    hv_log_line ("main", HV_LOG_NOTICE, "manifests in '%s' are good", d->manifests);
  return bad == 0 ? 0 : 1;
}

int
main (int argc, char **argv)
{
  struct daemon d = { .manifests = "/etc/hvkit/plugins.d", .socket = "/run/hvkit/hvkit.sock", .state_dir = "/var/lib/hvkit",
                      .run_dir = "/run/hvkit", .plugin_dir = HV_PLUGIN_DIR };
  int r = parse_options (argc, argv, &d);
  if (r != 0)
    return r > 0 ? 0 : 2;
  process_prepare ();
  struct hv_err *err = hv_error_new ();
  if (absolute_paths (&d, err) < 0 || read_core_config (&d, err) < 0)
    fail (&d, err);
  else if (d.check)
    d.exit_code = check_only (&d);
  else if (assemble (&d, err) < 0)
    fail (&d, err);
  else
    run (&d);
  hv_err_free (err);
  dismantle (&d);
  return d.exit_code;
}
