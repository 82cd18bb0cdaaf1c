/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does KVM run a guest? Opening the device, creating a machine, even running real-mode code all succeed on nodes where every
 * kernel hangs, so a small program runs 64-bit guest code as kernels do, and its word counts. It is a process of its own: a
 * hang costs a deadline, not the daemon. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <hvkit/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_MS 5000u

char *
hv_program_beside (const void *symbol, const char *name)
{
  Dl_info info;
  char *path = NULL;
  if (dladdr (symbol, &info) == 0 || info.dli_fname == NULL)
    return NULL;
  const char *slash = strrchr (info.dli_fname, '/');
  int n = slash != NULL ? (int) (slash - info.dli_fname) : 1;
  return asprintf (&path, "%.*s/%s", n, slash != NULL ? info.dli_fname : ".", name) < 0 ? NULL : path;
}

/* Its one line of output, at most; until it ends or the time is up. */
static int
probe_listen (struct hv_host *h, int fd, int pidfd, char *text, size_t size, struct hv_err *err)
{
  size_t at = 0;
  uint64_t end = h->api->now_ms () + PROBE_MS;
  int r = 0;
  while (at < size - 1) {
    uint64_t now = h->api->now_ms ();
    r = now < end ? h->api->wait_fd (h, fd, HV_WAIT_READ, end - now, NULL, err) : HV_E_DEADLINE_EXCEEDED;
    ssize_t n = r == 0 ? read (fd, text + at, size - 1 - at) : -1;
    if (n <= 0)
      break;
    at += (size_t) n;
  }
  text[at] = '\0';
  text[strcspn (text, "\n")] = '\0';
  if (r < 0)
    (void) pidfd_send_signal (pidfd, SIGKILL, NULL, 0);
  return r;
}

/* Waits for the end of a child that was read to its end, or killed. */
static int
probe_reap (struct hv_host *h, int pidfd, siginfo_t *ret)
{
  memset (ret, 0, sizeof *ret);
  int r = h->api->wait_fd (h, pidfd, HV_WAIT_READ, PROBE_MS, NULL, NULL);
  (void) waitid (P_PIDFD, (id_t) pidfd, ret, WEXITED | WNOHANG);
  return r;
}

int
hv_kvm_try (struct hv_host *h, const char *program, uint8_t *ret_works, char **ret_reason, struct hv_err *err)
{
  char text[512] = "";
  siginfo_t info;
  int fds[2];
  int32_t pid, pidfd = -1;
  if (program == NULL || pipe2 (fds, O_CLOEXEC | O_NONBLOCK) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "try KVM: no descriptor or no memory");
  HV_CLEAN (hv_fd) int in = fds[0];
  const char *argv[] = { program, NULL };
  struct hv_spawn how = {
    .struct_size = sizeof how, .flags = HV_SPAWN_ENDS_WITH_US, .argv = argv, .stdin_fd = -1, .stdout_fd = fds[1], .stderr_fd = -1
  };
  int r = h->api->spawn (h, &how, &pid, &pidfd, err);
  (void) close (fds[1]);
  HV_CLEAN (hv_fd) int child = pidfd;
  if (r < 0)
    return hv_err_wrap (err, r, "try KVM with '%s'", program);
  int heard = probe_listen (h, in, child, text, sizeof text, err);
  r = probe_reap (h, child, &info);
  if (heard == HV_E_CANCELLED || r == HV_E_CANCELLED)
    return hv_err_set (err, HV_E_CANCELLED, "try KVM: cancelled");
  *ret_works = heard == 0 && info.si_code == CLD_EXITED && info.si_status == 0;
  if (heard == HV_E_DEADLINE_EXCEEDED)
    (void) snprintf (text, sizeof text, "guest code hangs: no end within %u ms", PROBE_MS);
  else if (!*ret_works && text[0] == '\0')
    (void) snprintf (text, sizeof text, "'%s' ended with %s %d", program, info.si_code == CLD_EXITED ? "status" : "signal",
                     info.si_status);
  char *copy = strdup (text);
  if (copy == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  free (*ret_reason);
  *ret_reason = copy;
  return 0;
}
