/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tool.h"
#include <errno.h>
#include <fcntl.h>
#include <hvkit/clean.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_BYTES (2ull << 30)
#define CPU_S        14400u
#define POLL_MS      250u
#define END_MS       10000u /* between its last word and its end */
#define ARGS_MAX     16u

struct child {
  int32_t pid, pidfd, out, errors;
};

static int
start (const struct hv_tool *t, struct child *c, struct hv_err *err)
{
  const char *argv[ARGS_MAX + 2] = { t->program };
  int out[2] = { -1, -1 }, errors[2] = { -1, -1 };
  for (uint32_t i = 0; t->args[i] != NULL && i < ARGS_MAX; i++)
    argv[i + 1] = t->args[i];
  if (access (t->program, X_OK) != 0)
    return hv_err_sys (err, errno, "'%s'", t->program);
  if (pipe2 (out, O_CLOEXEC | O_NONBLOCK) != 0)
    return hv_err_sys (err, errno, "pipe");
  int r = pipe2 (errors, O_CLOEXEC | O_NONBLOCK) != 0 ? hv_err_sys (err, errno, "pipe") : 0;
  struct hv_spawn how = { .struct_size = sizeof how, .argv = argv, .fds = t->fds, .fd_count = t->fd_count, .stdin_fd = -1 };
  how.stdout_fd = out[1];
  how.stderr_fd = errors[1];
  how.limit_as_bytes = MEMORY_BYTES;
  how.limit_cpu_s = CPU_S;
  if (r == 0)
    r = t->host->api->spawn (t->host, &how, &c->pid, &c->pidfd, err);
  hv_fd_cleanup (&out[1]);
  hv_fd_cleanup (&errors[1]);
  c->out = out[0];
  c->errors = errors[0];
  return r;
}

/* "    (12.34/100%)\r": the last of what came. */
static void
tell_progress (const struct hv_tool *t, const char *text)
{
  const char *open = strrchr (text, '(');
  double percent = open != NULL ? strtod (open + 1, NULL) : -1;
  if (percent >= 0 && percent <= 100)
    hv_progress (t->call, t->phase, (uint64_t) (percent * 100), 10000, "of 10000");
}

/* 0 when it has said its last. */
static int
follow (const struct hv_tool *t, const struct child *c, struct hv_err *err)
{
  char text[4096];
  for (;;) {
    int r = t->host->api->wait_fd (t->host, c->out, HV_WAIT_READ, POLL_MS, NULL, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
    if (hv_cancelled (t->call))
      return hv_err_set (err, HV_E_CANCELLED, "cancelled");
    ssize_t n = r == 0 ? read (c->out, text, sizeof text - 1) : 1;
    if (n == 0 || (n < 0 && errno != EAGAIN))
      return 0;
    if (r == 0 && n > 0) {
      text[n] = '\0';
      tell_progress (t, text);
    }
  }
}

static int
outcome (const struct child *c, const siginfo_t *info, struct hv_err *err)
{
  char text[512];
  if (info->si_code == CLD_EXITED && info->si_status == 0)
    return 0;
  ssize_t n = read (c->errors, text, sizeof text - 1);
  text[n > 0 ? n : 0] = '\0';
  text[strcspn (text, "\r\n")] = '\0';
  if (info->si_code != CLD_EXITED)
    return hv_err_set (err, HV_E_INTERNAL, "qemu-img ended by signal %d %s", info->si_status, text);
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "%s", text[0] != '\0' ? text : "qemu-img failed, and says no more");
}

int
hv_tool_run (const struct hv_tool *t, struct hv_err *err)
{
  struct child c = { 0, -1, -1, -1 };
  siginfo_t info = { 0 };
  int r = start (t, &c, err);
  if (r == 0) {
    r = follow (t, &c, err);
    if (r < 0)
      (void) pidfd_send_signal (c.pidfd, SIGKILL, NULL, 0);
    if (t->host->api->wait_fd (t->host, c.pidfd, HV_WAIT_READ, END_MS, NULL, NULL)
        < 0) /* what it has begun must not go on unseen */
      (void) pidfd_send_signal (c.pidfd, SIGKILL, NULL, 0);
    (void) waitid (P_PIDFD, (id_t) c.pidfd, &info, WEXITED);
    r = r == 0 ? outcome (&c, &info, err) : r;
  }
  hv_fd_cleanup (&c.out);
  hv_fd_cleanup (&c.errors);
  hv_fd_cleanup (&c.pidfd);
  return r;
}
