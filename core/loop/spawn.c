/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one place that forks. Between fork and exec only async-signal-safe calls: the daemon has threads, and any of them may hold malloc's
 * lock. Everything the child needs is prepared before; what goes wrong in it comes back over a pipe that exec closes. */
#include "core/loop/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FDS_MAX 64

/* What the child tells when it fails: which step, and errno. */
struct failure {
  int step, errnum;
};
enum { STEP_FDS = 1, STEP_LIMITS, STEP_UID, STEP_CWD, STEP_EXEC };
static const char *const step_words[] = { "", "descriptors", "limits", "uid and gid", "working directory", "exec" };

static void __attribute__ ((noreturn))
child_fail (int pipe_fd, int step)
{
  struct failure f = { step, errno };
  ssize_t n = write (pipe_fd, &f, sizeof f);
  _exit (n == sizeof f ? 127 : 126);
}

/* Moves every wanted descriptor out of the way of the numbers it will get, then into place. Returns the pipe's new number. */
static int
child_fds (const struct hv_spawn *s, int null_fd, int pipe_fd)
{
  int high[FDS_MAX + 3], top = 3 + (int) s->fd_count;
  const int32_t standard[3] = { s->stdin_fd, s->stdout_fd, s->stderr_fd };
  int report = fcntl (pipe_fd, F_DUPFD_CLOEXEC, top + 3 + FDS_MAX);
  if (report < 0)
    child_fail (pipe_fd, STEP_FDS);
  for (int i = 0; i < top; i++) {
    int from = i < 3 ? (standard[i] >= 0 ? standard[i] : null_fd) : s->fds[i - 3];
    if ((high[i] = fcntl (from, F_DUPFD_CLOEXEC, top + 3)) < 0)
      child_fail (report, STEP_FDS);
  }
  for (int i = 0; i < top; i++)
    if (dup2 (high[i], i) < 0) /* the copy is not close-on-exec */
      child_fail (report, STEP_FDS);
  if (syscall (SYS_close_range, (unsigned) top, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
    child_fail (report, STEP_FDS);
  return report;
}

static void
child_signals (void)
{
  struct sigaction standard = { .sa_handler = SIG_DFL };
  sigset_t none;
  for (int n = 1; n < NSIG; n++)
    (void) sigaction (n, &standard, NULL);
  (void) sigemptyset (&none);
  (void) sigprocmask (SIG_SETMASK, &none, NULL);
}

static int
child_limit (int resource, uint64_t value)
{
  struct rlimit l = { value, value };
  return value > 0 ? setrlimit ((__rlimit_resource_t) resource, &l) : 0;
}

static void
child_limits (const struct hv_spawn *s, int report)
{
  struct rlimit none = { 0, 0 };
  int fd = open ("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd >= 0) {
    ssize_t n = write (fd, "0", 1); /* a daemon that is protected does not protect its children */
    (void) n;
    (void) close (fd);
  }
  if (setrlimit (RLIMIT_CORE, &none) < 0 || child_limit (RLIMIT_AS, s->limit_as_bytes) < 0 || child_limit (RLIMIT_CPU, s->limit_cpu_s) < 0
      || child_limit (RLIMIT_FSIZE, s->limit_fsize_bytes) < 0 || prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    child_fail (report, STEP_LIMITS);
}

static void
child_ids (const struct hv_spawn *s, int report)
{
  if (s->uid == 0 && s->gid == 0)
    return;
  if (syscall (SYS_setgroups, 0, NULL) < 0 || syscall (SYS_setresgid, s->gid, s->gid, s->gid) < 0 || syscall (SYS_setresuid, s->uid, s->uid, s->uid) < 0)
    child_fail (report, STEP_UID);
}

/* The daemon may have ended before that was asked for. */
static void
child_end_with (pid_t parent, int report)
{
  if (prctl (PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
    child_fail (report, STEP_LIMITS);
  if (getppid () != parent)
    _exit (126);
}

static void __attribute__ ((noreturn))
child_run (const struct hv_spawn *s, const char *const *env, pid_t parent, int null_fd, int pipe_fd)
{
  (void) setsid ();
  child_signals ();
  int report = child_fds (s, null_fd, pipe_fd);
  child_limits (s, report);
  child_ids (s, report);
  if (s->flags & HV_SPAWN_ENDS_WITH_US) /* after the ids: a change of those would undo it */
    child_end_with (parent, report);
  if (chdir (s->cwd != NULL ? s->cwd : "/") < 0)
    child_fail (report, STEP_CWD);
  (void) umask (0077);
  (void) execve (s->argv[0], (char *const *) (uintptr_t) s->argv, (char *const *) (uintptr_t) env);
  child_fail (report, STEP_EXEC);
}

static int
reap_failed (pid_t pid, int pidfd, const struct hv_spawn *s, const struct failure *f, struct hv_err *err)
{
  while (waitpid (pid, NULL, 0) < 0 && errno == EINTR)
    continue;
  if (pidfd >= 0)
    (void) close (pidfd);
  const char *step = f->step > 0 && f->step <= STEP_EXEC ? step_words[f->step] : "?";
  return f->step == STEP_EXEC ? hv_err_sys (err, f->errnum, "run '%s'", s->argv[0]) : hv_err_sys (err, f->errnum, "run '%s': %s", s->argv[0], step);
}

int
hv_spawn_process (const struct hv_spawn *s, int32_t *ret_pid, int32_t *ret_pidfd, struct hv_err *err)
{
  static const char *const standard_env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C", NULL };
  sigset_t all, old;
  if (s->fd_count > FDS_MAX || s->argv == NULL || s->argv[0] == NULL || s->argv[0][0] != '/')
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "spawn: an absolute program and at most %d descriptors are wanted", FDS_MAX);
  HV_CLEAN (hv_fd) int null_fd = open ("/dev/null", O_RDWR | O_CLOEXEC);
  HV_CLEAN (hv_fd) int read_end = -1;
  int ends[2];
  if (null_fd < 0 || pipe2 (ends, O_CLOEXEC) < 0)
    return hv_err_sys (err, errno, "run '%s'", s->argv[0]);
  read_end = ends[0];
  (void) sigfillset (&all); /* no handler of ours may run in the child */
  (void) pthread_sigmask (SIG_SETMASK, &all, &old);
  pid_t parent = getpid (), pid = fork ();
  int fork_errno = errno;
  if (pid == 0)
    child_run (s, s->env != NULL ? s->env : standard_env, parent, null_fd, ends[1]);
  (void) pthread_sigmask (SIG_SETMASK, &old, NULL);
  (void) close (ends[1]);
  if (pid < 0)
    return hv_err_sys (err, fork_errno, "run '%s'", s->argv[0]);
  int pidfd = (int) syscall (SYS_pidfd_open, pid, 0); /* it cannot be another process: nobody but we may reap it */
  struct failure f = { 0, 0 };
  ssize_t n;
  do
    n = read (read_end, &f, sizeof f);
  while (n < 0 && errno == EINTR);
  if (n > 0)
    return reap_failed (pid, pidfd, s, &f, err);
  if (pidfd < 0) {
    int r = hv_err_sys (err, errno, "watch '%s'", s->argv[0]);
    (void) kill (pid, SIGKILL);
    while (waitpid (pid, NULL, 0) < 0 && errno == EINTR)
      continue;
    return r;
  }
  *ret_pid = pid;
  *ret_pidfd = pidfd;
  return 0;
}
