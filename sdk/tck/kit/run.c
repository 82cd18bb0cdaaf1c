/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One check, one process: started from a parent that never loads the plugin, so that a crash or a hang is an outcome, too. */
#include "core/err/err.h"
#include "core/plugin/plugin.h"
#include "sdk/tck/kit/kit.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LOG_LINES 8

const char *const tck_outcome_words[] = { "pass", "fail", "n/a", NULL };

void tck_child_end (struct tck *, uint32_t outcome, const char *text) __attribute__ ((noreturn));

/* --- the child --- */

static int
remove_entry (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove (path);
}

static void
leave (struct tck *t)
{
  if (t == NULL || t->host == NULL)
    return;
  tck_hypervisor.clean (t);
  hv_fake_free (t->host);
}

/* First the verdict, then the cleaning: whatever goes wrong there is not what the check was about. */
void
tck_child_end (struct tck *t, uint32_t outcome, const char *text)
{
  static int ending;
  if (!ending) {
    ending = 1;
    (void) dprintf (t->report_fd, "%c%s", (char) ('0' + outcome), text != NULL ? text : "");
    (void) close (t->report_fd);
    if (t->before_clean != NULL)
      t->before_clean ();
    leave (t->other);
    leave (t);
  }
  if (t->files != NULL)
    (void) nftw (t->files, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  _exit (0);
}

/* Not through the daemon's loader: a build directory need not be root's. */
static const struct hv_plugin *
load (struct tck *t)
{
  const struct hv_plugin *(*entry) (void) = NULL;
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  void *so = dlopen (t->options->plugin_path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  TCK_CHECK (t, so != NULL, "%s", dlerror ());
  void *symbol = dlsym (so, "hv_plugin_entry_v1");
  TCK_CHECK (t, symbol != NULL, "'%s' does not export hv_plugin_entry_v1", t->options->plugin_path);
  memcpy (&entry, &symbol, sizeof entry);
  const struct hv_plugin *p = entry ();
  TCK_CHECK (t, p != NULL, "'%s' returned no table", t->options->plugin_path);
  TCK_CHECK (t, hv_plugin_check (p, err) == 0, "its tables: %s", hv_err_message (err));
  return p;
}

static void
open_host (struct tck *t)
{
  char *error = NULL;
  t->plugin = load (t);
  t->files = NULL;
  if (asprintf (&t->files, "%s/files-XXXXXX", t->options->dir) < 0 || mkdtemp (t->files) == NULL || chmod (t->files, 0777) < 0)
    tck_fail (t, "the kit cannot make a directory in '%s': %s", t->options->dir, strerror (errno));
  t->host = hv_fake_new (t->plugin, t->options->config, t->options->dir, &error);
  TCK_CHECK (t, t->host != NULL, "the plugin does not start: %s", error);
}

struct tck *
tck_other (struct tck *t)
{
  char *error = NULL, *dir = NULL;
  struct tck *other = calloc (1, sizeof *other);
  if (other == NULL || asprintf (&dir, "%s/other", t->files) < 0 || (mkdir (dir, 0755) < 0 && errno != EEXIST))
    tck_fail (t, "the kit cannot make a second daemon");
  *other = *t;
  other->host
      = hv_fake_new (t->plugin, t->options->other_config != NULL ? t->options->other_config : t->options->config, dir, &error);
  free (dir);
  TCK_CHECK (t, other->host != NULL, "a second instance does not start: %s", error);
  other->other = t;
  t->other = other;
  return other;
}

static void __attribute__ ((noreturn))
child (const struct tck_suite *suite, const struct tck_check *check, const struct tck_options *options, int report_fd)
{
  struct tck t = { .options = options, .check = check, .report_fd = report_fd, .kept = json_array () };
  open_host (&t);
  suite->prepare (&t);
  for (const char *at = check != NULL ? check->needs : NULL; at != NULL && *at != '\0';) {
    size_t n = strcspn (at, " ");
    const char *verb = tck_text (&t, "%.*s", (int) n, at);
    if (!tck_supported (&t, verb))
      tck_na (&t, "%s: %s", verb, tck_str (json_object_get (t.verbs, verb), "reason"));
    at += n + (at[n] == ' ');
  }
  if (check != NULL)
    check->run (&t);
  tck_child_end (&t, TCK_PASS, NULL);
}

/* --- the parent --- */

static char *
last_lines (int fd)
{
  off_t size = lseek (fd, 0, SEEK_END), from = size > 16384 ? size - 16384 : 0;
  char *text = calloc (1, (size_t) (size - from) + 1);
  ssize_t n = text != NULL ? pread (fd, text, (size_t) (size - from), from) : -1;
  if (n <= 0) {
    free (text);
    return NULL;
  }
  char *at = text + n;
  for (int lines = 0; at > text; at--)
    if (at[-1] == '\n' && lines++ == LOG_LINES)
      break;
  char *kept = strdup (at);
  free (text);
  return kept;
}

/* What the child wrote until it closed its end; 0 when it did not in time. */
static int
read_report (int fd, uint64_t timeout_ms, char *text, size_t size)
{
  uint64_t end = tck_now_ms () + timeout_ms;
  size_t n = 0;
  for (;;) {
    uint64_t now = tck_now_ms ();
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int r = now < end ? poll (&p, 1, (int) (end - now)) : 0;
    if (r == 0)
      return 0;
    ssize_t got = r > 0 ? read (fd, text + n, size - 1 - n) : -1;
    if (got == 0 || (got < 0 && errno != EINTR))
      break;
    n += got > 0 ? (size_t) got : 0;
    if (n >= size - 1)
      break;
  }
  text[n] = '\0';
  return 1;
}

/* 1 when the child is gone in time; else it is ended. */
static int
reap (pid_t pid, uint64_t timeout_ms, int *ret_status)
{
  uint64_t end = tck_now_ms () + timeout_ms;
  while (waitpid (pid, ret_status, WNOHANG) == 0) {
    struct pollfd none = { .fd = -1 };
    if (tck_now_ms () >= end) {
      (void) kill (pid, SIGKILL);
      (void) waitpid (pid, ret_status, 0);
      return 0;
    }
    (void) poll (&none, 1, 5);
  }
  return 1;
}

static char *
formatted (const char *fmt, ...)
{
  char *text = NULL;
  va_list ap;
  va_start (ap, fmt);
  int n = vasprintf (&text, fmt, ap);
  va_end (ap);
  return n >= 0 ? text : NULL;
}

static void
judge (const char *report, int in_time, int ended, int status, const struct tck_options *o, struct tck_result *ret)
{
  ret->outcome = TCK_FAIL;
  if (!in_time)
    ret->text = formatted ("it did not end within %llu ms", (unsigned long long) o->check_ms);
  else if (report[0] < '0' || report[0] > '2')
    ret->text = WIFSIGNALED (status) ? formatted ("the provider crashed: %s", strsignal (WTERMSIG (status)))
                                     : formatted ("the provider ended the process with exit status %d", WEXITSTATUS (status));
  else if (report[0] - '0' == (int) TCK_PASS && (!ended || WIFSIGNALED (status)))
    ret->text = formatted ("it was fine until the instance was stopped: %s",
                           ended ? strsignal (WTERMSIG (status)) : "stopping it takes too long");
  else {
    ret->outcome = (uint32_t) (report[0] - '0');
    ret->text = report[1] != '\0' ? strdup (report + 1) : NULL;
  }
}

static void
run_child (const struct tck_suite *suite, const struct tck_check *check, const struct tck_options *o, struct tck_result *ret)
{
  int fds[2], status = 0;
  HV_CLEAN (hv_fd) int log = memfd_create ("tck-log", MFD_CLOEXEC);
  char *report = calloc (1, 65536);
  if (log < 0 || report == NULL || pipe2 (fds, O_CLOEXEC) < 0) {
    perror ("hvkit-tck");
    exit (2);
  }
  (void) fflush (NULL);
  pid_t pid = fork ();
  if (pid == 0) {
    (void) prctl (PR_SET_PDEATHSIG, SIGKILL);
    (void) close (fds[0]);
    (void) dup2 (log, 2);
    child (suite, check, o, fds[1]);
  }
  (void) close (fds[1]);
  int in_time = pid > 0 && read_report (fds[0], o->check_ms, report, 65536);
  (void) close (fds[0]);
  int ended = pid > 0 && reap (pid, in_time ? o->settle_ms : 0, &status);
  judge (report, in_time, ended, status, o, ret);
  if (ret->outcome == TCK_FAIL)
    ret->log = last_lines (log);
  if (check != NULL && (!in_time || !ended || report[0] == '\0' || WIFSIGNALED (status)))
    tck_run_clean (suite, o);
  free (report);
}

static void
reap_dead (void)
{
  while (waitpid (-1, NULL, WNOHANG) > 0)
    continue;
}

void
tck_run_check (const struct tck_suite *suite, const struct tck_check *check, const struct tck_options *o, struct tck_result *ret)
{
  uint64_t begin = tck_now_ms ();
  *ret = (struct tck_result){ .check = check };
  run_child (suite, check, o, ret);
  reap_dead ();
  ret->ms = tck_now_ms () - begin;
}

void
tck_run_clean (const struct tck_suite *suite, const struct tck_options *o)
{
  struct tck_result r = { 0 };
  run_child (suite, NULL, o, &r);
  tck_result_clear (&r);
}

/* What a wrong provider lost sight of is still ours: every orphan of a check becomes a child of this process. */
void
tck_adopt_orphans (void)
{
  (void) prctl (PR_SET_CHILD_SUBREAPER, 1);
}

void
tck_end_orphans (void)
{
  char path[64];
  long pid;
  (void) snprintf (path, sizeof path, "/proc/self/task/%d/children", (int) getpid ());
  for (int rounds = 0; rounds < 10; rounds++) { /* an orphan may have children of its own */
    int found = 0;
    FILE *in = fopen (path, "re");
    while (in != NULL && fscanf (in, "%ld", &pid) == 1)
      found |= kill ((pid_t) pid, SIGKILL) == 0;
    if (in != NULL)
      (void) fclose (in);
    if (!found)
      return;
    struct pollfd none = { .fd = -1 };
    (void) poll (&none, 1, 20);
    reap_dead ();
  }
}

void
tck_result_clear (struct tck_result *r)
{
  free (r->text);
  free (r->log);
  r->text = r->log = NULL;
}
