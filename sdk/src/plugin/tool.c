/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <hvkit/clean.h>
#include <hvkit/tool.h>
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

struct child {
  int32_t pid, pidfd, out, errors;
};

static int
start (const struct hv_tool *t, struct child *c, struct hv_err *err)
{
  const char *argv[HV_TOOL_ARGS_MAX + 2] = { t->program };
  int out[2] = { -1, -1 }, errors[2] = { -1, -1 };
  for (uint32_t i = 0; t->args[i] != NULL && i < HV_TOOL_ARGS_MAX; i++)
    argv[i + 1] = t->args[i];
  if (access (t->program, X_OK) != 0)
    return hv_err_sys (err, errno, "'%s'", t->program);
  int r = pipe2 (out, O_CLOEXEC | O_NONBLOCK) != 0 || pipe2 (errors, O_CLOEXEC | O_NONBLOCK) != 0 ? hv_err_sys (err, errno, "pipe")
                                                                                                  : 0;
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

/* What does not fit is read, and forgotten. */
static ssize_t
take (int fd, char *text, size_t *at)
{
  char rest[4096];
  size_t room = HV_TOOL_TEXT_MAX - 1 - *at;
  ssize_t n = room > 0 ? read (fd, text + *at, room) : read (fd, rest, sizeof rest);
  if (n > 0 && room > 0)
    *at += (size_t) n;
  text[*at] = '\0';
  return n;
}

/* 0 when it has said its last. */
static int
follow (const struct hv_tool *t, const struct child *c, char *text, struct hv_err *err)
{
  size_t at = 0;
  for (;;) {
    int r = t->host->api->wait_fd (t->host, c->out, HV_WAIT_READ, POLL_MS, NULL, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
    if (t->call != NULL && hv_cancelled (t->call))
      return hv_err_set (err, HV_E_CANCELLED, "cancelled");
    if (r < 0)
      continue;
    if (t->phase != NULL)
      at = 0; /* the newest is what counts */
    ssize_t n = take (c->out, text, &at);
    if (n == 0 || (n < 0 && errno != EAGAIN))
      return 0;
    if (n > 0 && t->phase != NULL)
      tell_progress (t, text);
  }
}

static int
outcome (const struct hv_tool *t, const siginfo_t *info, char *errors, struct hv_tool_result *ret, struct hv_err *err)
{
  const char *name = strrchr (t->program, '/') + 1;
  if (info->si_code != CLD_EXITED)
    return hv_err_set (err, HV_E_INTERNAL, "%s was ended by signal %d", name, info->si_status);
  if (ret != NULL)
    ret->status = info->si_status;
  if (ret != NULL || info->si_status == 0)
    return 0;
  errors[strcspn (errors, "\r\n")] = '\0';
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "%s", errors[0] != '\0' ? errors : "it failed, and says no more");
}

int
hv_tool_run (const struct hv_tool *t, struct hv_tool_result *ret, struct hv_err *err)
{
  struct child c = { 0, -1, -1, -1 };
  siginfo_t info = { 0 };
  char *out = hv_alloc (t->host, HV_TOOL_TEXT_MAX), *errors = hv_alloc (t->host, HV_TOOL_TEXT_MAX);
  size_t at = 0;
  if (out == NULL || errors == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = start (t, &c, err);
  if (r == 0) {
    r = follow (t, &c, out, err);
    if (r < 0)
      (void) pidfd_send_signal (c.pidfd, SIGKILL, NULL, 0);
    if (t->host->api->wait_fd (t->host, c.pidfd, HV_WAIT_READ, END_MS, NULL, NULL)
        < 0) /* what it has begun must not go on unseen */
      (void) pidfd_send_signal (c.pidfd, SIGKILL, NULL, 0);
    (void) waitid (P_PIDFD, (id_t) c.pidfd, &info, WEXITED);
    (void) take (c.errors, errors, &at);
    if (ret != NULL)
      *ret = (struct hv_tool_result){ .out = out, .errors = errors };
    r = r == 0 ? outcome (t, &info, errors, ret, err) : r;
  }
  hv_fd_cleanup (&c.out);
  hv_fd_cleanup (&c.errors);
  hv_fd_cleanup (&c.pidfd);
  return r;
}
