/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See keeper.h. The keeper allocates nothing and has no thread: it is there to outlive trouble. */
#include "keeper.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DAEMON_MS   20000 /* to stop its plugins */
#define LAST_MS     30000 /* for the last words */
#define LEFT_MS     10000 /* for a process that was asked to end; KubeVirt's monitor gives QEMU as much */
#define WORDS_BYTES 4096
#define WORDS_MAX   32
#define NEW_WORDS   '\f' /* before the last words: instead of those so far */

struct keeping {
  pid_t daemon;
  int from_runner, signals;
  char words[WORDS_BYTES];
  size_t words_size;
};

static int64_t
now_ms (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- ending --- */

/* Takes what has ended; *ret_status if that is `pid`. 1: `pid` has ended, -1: there is no child any more. */
static int
reap (pid_t pid, int *ret_status)
{
  int status, found = 0;
  pid_t got;
  while ((got = waitpid (-1, &status, WNOHANG)) > 0)
    if (got == pid) {
      *ret_status = status;
      found = 1;
    }
  return found ? 1 : got < 0 && errno == ECHILD ? -1 : 0;
}

/* SIGCHLD is blocked and comes here. */
static void
pause_ms (int signals, int64_t ms)
{
  struct signalfd_siginfo info;
  struct pollfd p = { .fd = signals, .events = POLLIN };
  if (poll (&p, 1, ms < 0 ? 0 : (int) ms) > 0)
    (void) !read (signals, &info, sizeof info);
}

static int
await (pid_t pid, int signals, int64_t ms, int *ret_status)
{
  int64_t end = now_ms () + ms;
  for (;;) {
    int r = reap (pid, ret_status);
    if (r != 0 || now_ms () >= end)
      return r != 0;
    pause_ms (signals, end - now_ms ());
  }
}

/* Children have children: those come to us when their parents end, so this goes round until there is none. */
static void
signal_children (int sig)
{
  char list[8192];
  const char *at = list;
  char *end = NULL;
  int fd = open ("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read (fd, list, sizeof list - 1) : 0;
  if (fd >= 0)
    (void) close (fd);
  list[n > 0 ? n : 0] = '\0';
  for (long pid = strtol (at, &end, 10); end != at; at = end, pid = strtol (at, &end, 10))
    if (pid > 1)
      (void) kill ((pid_t) pid, sig);
}

static void
end_children (int signals)
{
  int status;
  int64_t begin = now_ms ();
  while (reap (0, &status) >= 0) {
    signal_children (now_ms () - begin < LEFT_MS ? SIGTERM : SIGKILL);
    pause_ms (signals, 100);
  }
}

/* --- the last words --- */

static void
say_last_words (struct keeping *k)
{
  char *argv[WORDS_MAX + 1] = { NULL }, *at = k->words, *end = k->words + k->words_size;
  int n = 0, status;
  for (char *nl; n < WORDS_MAX && (nl = memchr (at, '\n', (size_t) (end - at))) != NULL; at = nl + 1) {
    *nl = '\0';
    argv[n++] = at;
  }
  pid_t pid = n > 0 ? fork () : -1;
  if (pid == 0) {
    sigset_t none;
    sigemptyset (&none);
    (void) sigprocmask (SIG_SETMASK, &none, NULL);
    int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i <= 2; i++)
      (void) dup2 (null, i);
    (void) execv (argv[0], argv);
    _exit (127);
  }
  if (pid > 0 && !await (pid, k->signals, LAST_MS, &status))
    (void) kill (pid, SIGKILL);
}

/* --- keeping --- */

/* 1: the runner is gone, or wants the end; *ret_orderly which. */
static int
hear (struct keeping *k, int *ret_orderly)
{
  char buf[512];
  ssize_t n = read (k->from_runner, buf, sizeof buf);
  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return 0;
  *ret_orderly = n > 0 && buf[n - 1] == '\0';
  for (ssize_t i = 0; i < n; i++)
    if (buf[i] == NEW_WORDS)
      k->words_size = 0;
    else if (k->words_size < sizeof k->words - 1)
      k->words[k->words_size++] = buf[i];
  return n <= 0 || *ret_orderly;
}

static int
keep (struct keeping *k)
{
  int status = 0, orderly = 0, ended = 0, over = 0;
  while (!ended && !over) {
    struct pollfd p[2] = { { .fd = k->from_runner, .events = POLLIN }, { .fd = k->signals, .events = POLLIN } };
    if (poll (p, 2, -1) < 0)
      continue;
    if (p[1].revents != 0)
      pause_ms (k->signals, 0);
    ended = reap (k->daemon, &status) != 0;
    if (p[0].revents != 0)
      over = hear (k, &orderly);
  }
  if (over && !orderly && !ended)
    say_last_words (k);
  if (!ended)
    (void) kill (k->daemon, SIGTERM);
  if (!ended && !await (k->daemon, k->signals, DAEMON_MS, &status))
    (void) kill (k->daemon, SIGKILL);
  end_children (k->signals);
  return status;
}

static void
become_daemon (char *const *argv, const char *log)
{
  sigset_t none;
  sigemptyset (&none);
  (void) sigprocmask (SIG_SETMASK, &none, NULL);
  int null = open ("/dev/null", O_RDWR | O_CLOEXEC), out = open (log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  (void) dup2 (null, 0);
  (void) dup2 (out >= 0 ? out : null, 1);
  (void) dup2 (out >= 0 ? out : null, 2);
  (void) unsetenv ("NOTIFY_SOCKET"); /* it is the runner that is waited for */
  (void) execv (argv[0], argv);
  _exit (127);
}

/* In a session of its own: what a terminal sends, the runner hears and answers for. */
static void
become_keeper (char *const *argv, const char *log, int from_runner)
{
  struct keeping k = { .from_runner = from_runner };
  sigset_t set;
  (void) setsid ();
  (void) prctl (PR_SET_CHILD_SUBREAPER, 1);
  (void) prctl (PR_SET_NAME, "hvkit-keeper");
  sigfillset (&set);
  (void) sigprocmask (SIG_BLOCK, &set, NULL);
  sigemptyset (&set);
  sigaddset (&set, SIGCHLD);
  k.signals = signalfd (-1, &set, SFD_CLOEXEC);
  k.daemon = fork ();
  if (k.daemon == 0)
    become_daemon (argv, log);
  int status = k.daemon > 0 ? keep (&k) : 0x100;
  _exit (WIFEXITED (status) ? WEXITSTATUS (status) : 128 + WTERMSIG (status));
}

int
hv_keeper_start (struct hv_keeper *k, char *const *argv, const char *log)
{
  int ends[2];
  *k = (struct hv_keeper){ .pipe = -1 };
  (void) prctl (PR_SET_CHILD_SUBREAPER, 1); /* if the keeper itself is killed, what it kept is ours to end */
  if (pipe2 (ends, O_CLOEXEC) < 0)
    return -errno;
  pid_t pid = fork ();
  if (pid == 0) {
    (void) close (ends[1]);
    become_keeper (argv, log, ends[0]);
  }
  int r = pid < 0 ? -errno : 0;
  (void) close (ends[0]);
  if (pid < 0) {
    (void) close (ends[1]);
    return r;
  }
  k->pid = pid;
  k->pipe = ends[1];
  return 0;
}

void
hv_keeper_last_words (struct hv_keeper *k, const char *lines)
{
  const char begin = NEW_WORDS;
  (void) !write (k->pipe, &begin, 1);
  (void) !write (k->pipe, lines, strlen (lines));
}

/* The keeper ends last. If it did not, its children came to us. */
static void
has_ended (struct hv_keeper *k, int status)
{
  sigset_t set, old;
  k->pid = 0;
  k->status = status;
  (void) close (k->pipe);
  k->pipe = -1;
  if (!WIFSIGNALED (status))
    return;
  sigemptyset (&set);
  sigaddset (&set, SIGCHLD);
  (void) sigprocmask (SIG_BLOCK, &set, &old);
  int signals = signalfd (-1, &set, SFD_CLOEXEC);
  end_children (signals);
  (void) close (signals);
  (void) sigprocmask (SIG_SETMASK, &old, NULL);
}

int
hv_keeper_ended (struct hv_keeper *k)
{
  int status;
  if (k->pid != 0 && waitpid (k->pid, &status, WNOHANG) == k->pid)
    has_ended (k, status);
  return k->pid == 0;
}

void
hv_keeper_end (struct hv_keeper *k)
{
  int status = 0;
  if (k->pid == 0)
    return;
  (void) !write (k->pipe, "", 1);
  while (waitpid (k->pid, &status, 0) < 0 && errno == EINTR)
    ;
  has_ended (k, status);
}
