/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *const lv_spawn_kvm_words[] = { "auto", "show", "hide", NULL };
HV_RECORD_TABLE (lv_spawn_config, LV_SPAWN_CONFIG, "a libvirt daemon of our own");

/* Who a child is, across our restarts: its number alone says nothing, since numbers are given out again. */
#define LV_CHILD(F, T) \
  F (T, STR, _, boot_id, HV_REQUIRED, "boot it belongs to") \
  F (T, U32, _, pid, HV_REQUIRED, "its process") \
  F (T, U64, _, start_ticks, HV_REQUIRED, "its start time, from /proc") \
  F (T, STR, _, how, HV_REQUIRED, "what it was started as: program, namespace, with KVM or without")
HV_RECORD_STRUCT (lv_child_record, LV_CHILD);
HV_RECORD_TABLE (lv_child_record, LV_CHILD, "a daemon that we started");

#define RETRY_FIRST_MS 200u
#define RETRY_MAX_MS   10000u
#define LIVED_MS       30000u /* one that ran for so long did not end because of its configuration */
#define WORDS_MAX      1024u

struct child {
  struct lv_spawn *spawn;
  const char *name, *program; /* "libvirtd", what the configuration says */
  int32_t pid, pidfd;
  uint64_t started_ms, pause_ms;
  struct hv_watch *exit_watch, *words_watch;
  struct hv_timer *again;
  int words_fd; /* a named pipe that it has open itself: it never stands still or breaks because nobody reads */
  char words[WORDS_MAX];
  size_t words_at;
  uint8_t starting;
};

struct lv_spawn {
  struct hv_host *host;
  const struct lv_spawn_config *config;
  char *launcher, *uri, *run, *state, *no_kvm, *last_words;
  char *netns, *place; /* NULL: ours; "": the instance's only one */
  int hide_kvm, ending;
  void (*ended) (void *arg, const char *why);
  void *arg;
  struct child logd, daemon;
};

/* --- directories and configuration --- */

static int
make_dir (const char *base, const char *name, mode_t mode, struct hv_err *err)
{
  char path[4096];
  (void) snprintf (path, sizeof path, "%s%s%s", base, name[0] != '\0' ? "/" : "", name);
  if (mkdir (path, mode) < 0 && errno != EEXIST)
    return hv_err_sys (err, errno, "make directory '%s'", path);
  return 0;
}

static int
write_file (const char *dir, const char *name, const char *text, struct hv_err *err)
{
  char path[4096];
  (void) snprintf (path, sizeof path, "%s/etc/%s", dir, name);
  FILE *f = fopen (path, "we");
  int ok = f != NULL && fputs (text, f) >= 0;
  if (f != NULL && fclose (f) != 0)
    ok = 0;
  return ok ? 0 : hv_err_sys (err, errno, "write '%s'", path);
}

/* Nobody but root gets to the sockets: their directory is closed to others. QEMU's own files are where the machines say. */
static int
write_conf (const struct lv_spawn *s, struct hv_err *err)
{
  static const char daemon_conf[]
      = "unix_sock_ro_perms = \"0700\"\nunix_sock_rw_perms = \"0700\"\nauth_unix_ro = \"none\"\n"
        "auth_unix_rw = \"none\"\nmax_clients = 200\nmax_workers = 64\nprio_workers = 16\n"
        "max_client_requests = 32\nkeepalive_interval = 5\nkeepalive_count = 5\nlog_outputs = \"3:stderr\"\n";
  static const char logd_conf[] = "log_outputs = \"3:stderr\"\nmax_size = 4194304\nmax_backups = 2\n";
  static const char qemu_conf[] = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\ndynamic_ownership = 0\n"
                                  "remember_owner = 0\nnamespaces = []\ncgroup_controllers = []\nstdio_handler = \"logd\"\n";
  static const char *const names[] = { "libvirtd.conf", "virtqemud.conf" };
  int r = 0;
  for (size_t i = 0; r == 0 && i < 2; i++)
    r = write_file (s->state, names[i], daemon_conf, err);
  if (r == 0)
    r = write_file (s->state, "virtlogd.conf", logd_conf, err);
  return r == 0 ? write_file (s->state, "qemu.conf", qemu_conf, err) : r;
}

static int
make_place (const struct lv_spawn *s, struct hv_err *err)
{
  static const char *const state[] = { "", "lib", "cache", "log", "etc", NULL };
  int r = make_dir (s->run, "", 0755, err);
  if (r == 0)
    r = make_dir (s->run, "libvirt", 0755, err);
  for (size_t i = 0; r == 0 && state[i] != NULL; i++)
    r = make_dir (s->state, state[i], 0755, err);
  return r == 0 ? write_conf (s, err) : r;
}

/* --- what they say --- */

static void
words_line (struct child *c)
{
  c->words[c->words_at] = '\0';
  c->words_at = 0;
  /* its own date and thread say nothing that our log does not */
  const char *text = strstr (c->words, " : ") != NULL ? strstr (c->words, " : ") + 3 : c->words;
  int bad = strstr (c->words, ": error :") != NULL || strstr (c->words, "hvkit-libvirt-launch:") != NULL;
  hv_log (c->spawn->host, bad ? HV_LOG_NOTICE : HV_LOG_INFO, "%s: %s", c->name, text);
  char *copy = bad ? strdup (text) : NULL;
  if (copy != NULL) {
    free (c->spawn->last_words);
    c->spawn->last_words = copy;
  }
}

static void
on_words (void *self, void *arg, uint32_t ready)
{
  struct child *c = arg;
  char buf[4096];
  ssize_t n;
  (void) self;
  (void) ready;
  while ((n = read (c->words_fd, buf, sizeof buf)) > 0)
    for (ssize_t i = 0; i < n; i++) {
      if (buf[i] == '\n' || c->words_at == WORDS_MAX - 1)
        words_line (c);
      if (buf[i] != '\n')
        c->words[c->words_at++] = buf[i];
    }
}

static int
words_open (struct child *c, struct hv_err *err)
{
  char path[4096];
  (void) snprintf (path, sizeof path, "%s/%s.words", c->spawn->run, c->name);
  if (mkfifo (path, 0600) < 0 && errno != EEXIST)
    return hv_err_sys (err, errno, "make '%s'", path);
  c->words_fd = open (path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (c->words_fd < 0)
    return hv_err_sys (err, errno, "open '%s'", path);
  c->words_watch = c->spawn->host->api->watch_new (c->spawn->host, c->words_fd, HV_WAIT_READ, on_words, c);
  return c->words_watch != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- their lives --- */

static int
start_ticks (int32_t pid, uint64_t *ret)
{
  char path[64], buf[1024];
  (void) snprintf (path, sizeof path, "/proc/%" PRId32 "/stat", pid);
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read (fd, buf, sizeof buf - 1) : -1;
  if (n <= 0)
    return -1;
  buf[n] = '\0';
  const char *at = strrchr (buf, ')'); /* what is before may hold anything; field 22 is its start time */
  for (unsigned field = 2; field < 22 && at != NULL; field++)
    at = strchr (at + 1, ' ');
  if (at == NULL)
    return -1;
  *ret = strtoull (at, NULL, 10);
  return 0;
}

static void
child_forget (struct child *c)
{
  struct hv_host *h = c->spawn->host;
  if (c->exit_watch != NULL)
    h->api->watch_free (h, c->exit_watch);
  if (c->pidfd >= 0)
    (void) close (c->pidfd);
  c->exit_watch = NULL;
  c->pidfd = -1;
  c->pid = 0;
}

static void
on_exit_of (void *self, void *arg, uint32_t ready)
{
  struct child *c = arg;
  struct hv_host *h = c->spawn->host;
  siginfo_t info = { 0 };
  char why[1024], how[64] = "(it was taken over, so how is not known)";
  uint64_t lived = h->api->now_ms () - c->started_ms;
  (void) self;
  (void) ready;
  on_words (self, c, 0);
  int ours = waitid (P_PIDFD, (id_t) c->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0;
  if (ours)
    (void) snprintf (how, sizeof how, "%s %d", info.si_code == CLD_EXITED ? "with status" : "by signal", info.si_status);
  (void) snprintf (why, sizeof why, "%s (process %d%s%s) ended %s%s%s", c->name, (int) c->pid,
                   c->spawn->netns != NULL ? ", network namespace " : "", c->spawn->netns != NULL ? c->spawn->netns : "", how,
                   c->spawn->last_words != NULL ? ": " : "", c->spawn->last_words != NULL ? c->spawn->last_words : "");
  hv_log (h, HV_LOG_WARNING, "%s", why);
  child_forget (c);
  c->pause_ms = lived >= LIVED_MS || c->pause_ms == 0 ? RETRY_FIRST_MS
                : c->pause_ms * 2 < RETRY_MAX_MS      ? c->pause_ms * 2
                                                      : RETRY_MAX_MS;
  h->api->timer_set (h, c->again, c->pause_ms, 0);
  if (c->spawn->ended != NULL)
    c->spawn->ended (c->spawn->arg, why);
}

static int
child_watch (struct child *c, struct hv_err *err)
{
  c->exit_watch = c->spawn->host->api->watch_new (c->spawn->host, c->pidfd, HV_WAIT_READ, on_exit_of, c);
  return c->exit_watch != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static const char *
child_key (const struct child *c, char *buf, size_t size)
{
  (void) snprintf (buf, size, "spawn%s.%s", c->spawn->place, c->name);
  return buf;
}

/* What cannot be changed while it runs. */
static char *
child_how (const struct child *c)
{
  const struct lv_spawn *s = c->spawn;
  return hv_printf (s->host, "%s, network namespace %s, %s KVM", c->program, s->netns != NULL ? s->netns : "of hvkitd",
                    s->hide_kvm ? "without" : "with");
}

static int
child_record (struct child *c, struct hv_err *err)
{
  struct hv_host *h = c->spawn->host;
  struct lv_child_record d = { .boot_id = h->api->info (h)->boot_id, .pid = (uint32_t) c->pid };
  char key[96];
  d.how = child_how (c);
  if (d.how == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (start_ticks (c->pid, &d.start_ticks) < 0)
    return 0; /* it has ended already, and its watch will say so */
  return h->api->store_put (h, child_key (c, key, sizeof key), &lv_child_record_record, &d, err);
}

/* The one that was started before, if it runs. 1: taken over. One that was started in another way is not ours to end: its machines
 * would go on in another place than the configuration says. */
static int
child_adopt (struct child *c, struct hv_err *err)
{
  struct hv_host *h = c->spawn->host;
  struct lv_child_record d = { 0 };
  uint64_t ticks;
  char key[96];
  (void) child_key (c, key, sizeof key);
  if (h->api->store_get (h, key, &lv_child_record_record, &d, NULL) < 0 || strcmp (d.boot_id, h->api->info (h)->boot_id) != 0)
    return 0;
  HV_CLEAN (hv_fd) int fd = pidfd_open ((pid_t) d.pid, 0); /* first the handle, then the look: what is looked at is what is held */
  if (fd < 0 || start_ticks ((int32_t) d.pid, &ticks) < 0 || ticks != d.start_ticks)
    return 0;
  const char *how = child_how (c);
  if (how == NULL || strcmp (how, d.how) != 0)
    return hv_err_set (
        err, HV_E_FAILED_PRECONDITION,
        "%s (process %u) runs as \"%s\", and the configuration says \"%s\": end its machines and then it, or take the change back",
        c->name, d.pid, d.how, how != NULL ? how : "?");
  c->pid = (int32_t) d.pid;
  c->pidfd = fd;
  fd = -1;
  c->started_ms = h->api->now_ms ();
  int r = child_watch (c, err);
  return r < 0 ? r : 1;
}

static int
child_start (struct child *c, struct hv_err *err)
{
  struct lv_spawn *s = c->spawn;
  struct hv_host *h = s->host;
  char conf[4200], pid_file[4200];
  const char *argv[20];
  int n = 0;
  (void) snprintf (conf, sizeof conf, "/etc/libvirt/%s.conf", c->name);
  (void) snprintf (pid_file, sizeof pid_file, "%s/%s.pid", s->run, c->name);
  argv[n++] = s->launcher;
  argv[n++] = "--run", argv[n++] = s->run, argv[n++] = "--state", argv[n++] = s->state;
  if (s->netns != NULL)
    argv[n++] = "--net", argv[n++] = s->netns;
  if (s->hide_kvm)
    argv[n++] = "--no-kvm", argv[n++] = s->no_kvm;
  argv[n++] = "--", argv[n++] = c->program, argv[n++] = "-f", argv[n++] = conf, argv[n++] = "-p", argv[n++] = pid_file;
  argv[n] = NULL;
  if (access (c->program, X_OK) < 0)
    return hv_err_sys (err, errno, "'%s'", c->program);
  struct hv_spawn how = { .struct_size = sizeof how, .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = c->words_fd };
  int r = h->api->spawn (h, &how, &c->pid, &c->pidfd, err);
  if (r < 0)
    return hv_err_wrap (err, r, "start '%s'", c->program);
  c->started_ms = h->api->now_ms ();
  r = child_watch (c, err);
  return r == 0 ? child_record (c, err) : r;
}

static void
start_run (void *self, void *arg)
{
  struct child *c = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (c->spawn->host);
  (void) self;
  int r = child_start (c, err);
  if (r < 0)
    hv_log (c->spawn->host, HV_LOG_ERROR, "%s", hv_err_message (err));
  if (r < 0 && c->pidfd < 0) {
    c->pause_ms = c->pause_ms * 2 < RETRY_MAX_MS ? c->pause_ms * 2 : RETRY_MAX_MS;
    c->spawn->host->api->timer_set (c->spawn->host, c->again, c->pause_ms, 0);
  }
  c->starting = 0;
}

static void
on_again (void *self, void *arg)
{
  struct child *c = arg;
  (void) self;
  if (c->pidfd >= 0 || c->starting || c->spawn->ending)
    return;
  c->starting = hv_go (c->spawn->host, "start again", start_run, c) == 0;
  if (!c->starting)
    c->spawn->host->api->timer_set (c->spawn->host, c->again, RETRY_MAX_MS, 0);
}

static int
child_begin (struct child *c, struct hv_err *err)
{
  struct hv_host *h = c->spawn->host;
  c->again = h->api->timer_new (h, on_again, c);
  if (c->again == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = words_open (c, err);
  if (r == 0)
    r = child_adopt (c, err);
  return r < 0 ? r : r > 0 ? 0 : child_start (c, err);
}

static void
child_end (struct child *c)
{
  struct hv_host *h = c->spawn->host;
  child_forget (c);
  if (c->again != NULL)
    h->api->timer_free (h, c->again);
  if (c->words_watch != NULL)
    h->api->watch_free (h, c->words_watch);
  if (c->words_fd >= 0)
    (void) close (c->words_fd);
}

/* --- the two --- */

void
lv_spawn_leave (struct lv_spawn *s)
{
  if (s == NULL)
    return;
  child_end (&s->daemon);
  child_end (&s->logd);
  free (s->launcher);
  free (s->uri);
  free (s->run);
  free (s->state);
  free (s->no_kvm);
  free (s->netns);
  free (s->place);
  free (s->last_words);
  free (s);
}

static const char *
base_name (const char *path)
{
  const char *slash = strrchr (path, '/');
  return slash != NULL ? slash + 1 : path;
}

/* Paths of sockets are short, those of namespaces may be long. */
static uint64_t
place_of (const char *netns)
{
  uint64_t h = 14695981039346656037u; /* FNV-1a */
  for (; *netns != '\0'; netns++)
    h = (h ^ (uint8_t) *netns) * 1099511628211u;
  return h;
}

static int
spawn_paths (struct lv_spawn *s, const struct lv_spawn_how *how, struct hv_err *err)
{
  const struct hv_host_info *info = s->host->api->info (s->host);
  int split = strcmp (base_name (s->config->daemon), "libvirtd") != 0;
  s->launcher = strdup (how->launcher);
  s->netns = how->netns != NULL ? strdup (how->netns) : NULL;
  int ok = s->launcher != NULL && (s->netns != NULL || how->netns == NULL);
  ok = ok && (how->own_place ? asprintf (&s->place, "-%016" PRIx64, place_of (s->netns)) : asprintf (&s->place, "%s", "")) >= 0;
  ok = ok && asprintf (&s->run, "%s/spawn%s", info->run_dir, s->place) >= 0
       && asprintf (&s->state, "%s/spawn%s", info->state_dir, s->place) >= 0;
  ok = ok && asprintf (&s->no_kvm, "%s/no-kvm", s->run) >= 0;
  ok = ok && asprintf (&s->uri, "qemu+unix:///system?socket=%s/libvirt/%s", s->run, split ? "virtqemud-sock" : "libvirt-sock") >= 0;
  return ok ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

int
lv_spawn_start (struct hv_host *h, const struct lv_spawn_config *config, const struct lv_spawn_how *how, struct lv_spawn **ret,
                struct hv_err *err)
{
  struct lv_spawn *s = calloc (1, sizeof *s);
  if (s == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *s = (struct lv_spawn){ .host = h, .config = config, .ended = how->ended, .arg = how->arg };
  s->hide_kvm = config->kvm == LV_SPAWN_KVM_HIDE || (config->kvm == LV_SPAWN_KVM_AUTO && !how->kvm);
  s->logd = (struct child){ .spawn = s, .name = "virtlogd", .program = config->logd, .pidfd = -1, .words_fd = -1 };
  s->daemon
      = (struct child){ .spawn = s, .name = base_name (config->daemon), .program = config->daemon, .pidfd = -1, .words_fd = -1 };
  int r = spawn_paths (s, how, err);
  if (r == 0 && (access (config->logd, X_OK) < 0 || access (config->daemon, X_OK) < 0))
    r = hv_err_sys (err, errno, "'%s'", access (config->logd, X_OK) < 0 ? config->logd : config->daemon); /* both, or none */
  if (r == 0)
    r = make_place (s, err);
  if (r == 0)
    r = child_begin (&s->logd, err);
  if (r == 0)
    r = child_begin (&s->daemon, err);
  if (r < 0) {
    lv_spawn_leave (s);
    return r;
  }
  *ret = s;
  return 0;
}

const char *
lv_spawn_uri (const struct lv_spawn *s)
{
  return s->uri;
}

const char *
lv_spawn_last_words (const struct lv_spawn *s)
{
  return s->last_words != NULL ? s->last_words : "";
}

int
lv_spawn_in_place (const struct lv_spawn *s)
{
  char path[64];
  struct stat theirs, named;
  if (s->netns == NULL || s->daemon.pidfd < 0)
    return 1; /* one that is started again gets the one that is there */
  (void) snprintf (path, sizeof path, "/proc/%" PRId32 "/ns/net", s->daemon.pid);
  return stat (path, &theirs) < 0 || stat (s->netns, &named) < 0
         || (theirs.st_ino == named.st_ino && theirs.st_dev == named.st_dev);
}

/* --- their end --- */

#define END_MS 10000u

static int
child_kill (struct child *c, struct hv_err *err)
{
  struct hv_host *h = c->spawn->host;
  char key[96];
  siginfo_t info;
  int r = 0, signals[] = { SIGTERM, SIGKILL };
  if (c->exit_watch != NULL)
    h->api->watch_free (h, HV_STEAL (c->exit_watch));
  for (size_t i = 0; c->pidfd >= 0 && i < 2; i++) {
    (void) pidfd_send_signal (c->pidfd, signals[i], NULL, 0);
    r = h->api->wait_fd (h, c->pidfd, HV_WAIT_READ, END_MS, NULL, err);
    if (r >= 0)
      break;
  }
  if (r < 0)
    return hv_err_wrap (err, r, "%s (process %d) does not end", c->name, (int) c->pid);
  if (c->pidfd >= 0)
    (void) waitid (P_PIDFD, (id_t) c->pidfd, &info, WEXITED | WNOHANG);
  return h->api->store_delete (h, child_key (c, key, sizeof key), err);
}

static int
remove_one (const char *path, const struct stat *st, int what, struct FTW *where)
{
  (void) st;
  (void) what;
  (void) where;
  return remove (path);
}

static int
remove_run (void *arg)
{
  struct lv_spawn *s = arg;
  (void) nftw (s->run, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  (void) nftw (s->state, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  return 0;
}

int
lv_spawn_end (struct lv_spawn *s, int forget, struct hv_err *err)
{
  s->ending = 1;
  s->ended = NULL;
  while (s->daemon.starting || s->logd.starting)
    if (hv_sleep (s->host, 10, NULL) < 0)
      break;
  int r = child_kill (&s->daemon, err);
  if (r == 0)
    r = child_kill (&s->logd, err);
  if (r == 0 && forget)
    r = hv_offload (s->host, remove_run, s, err);
  lv_spawn_leave (s);
  return r;
}

const char *
lv_spawn_state_dir (const struct lv_spawn *s)
{
  return s->state;
}
