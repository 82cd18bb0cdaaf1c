/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who a process is: a number alone says nothing, since it is given out again. Number, start time, boot and the uuid on its
 * command line together do. */
#include "qmp.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

/* A file of /proc/PID, NUL-terminated; its length or -1. */
static ssize_t
proc_read (int32_t pid, const char *name, char *buf, size_t size)
{
  char path[64];
  (void) snprintf (path, sizeof path, "/proc/%" PRId32 "/%s", pid, name);
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC);
  size_t at = 0;
  while (fd >= 0 && at < size - 1) {
    ssize_t n = read (fd, buf + at, size - 1 - at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    at += (size_t) n;
  }
  buf[at] = '\0';
  return fd < 0 ? -1 : (ssize_t) at;
}

/* Where a field of stat begins, or NULL. Counted from 3: before it is the command name, which may itself hold spaces and
 * parentheses. */
static const char *
stat_field (const char *stat, unsigned field)
{
  const char *at = strrchr (stat, ')');
  for (unsigned f = 2; f < field && at != NULL; f++)
    at = strchr (at + 1, ' ');
  return at;
}

int
qmp_process_start_ticks (int32_t pid, uint64_t *ret)
{
  char buf[2048];
  const char *at = proc_read (pid, "stat", buf, sizeof buf) > 0 ? stat_field (buf, 22) : NULL;
  if (at == NULL)
    return HV_E_NOT_FOUND;
  *ret = strtoull (at, NULL, 10);
  return 0;
}

static int
cmdline_has (const char *cmdline, size_t size, const char *option, const char *value, size_t value_size)
{
  for (const char *at = cmdline, *end = cmdline + size; at < end; at += strlen (at) + 1) {
    const char *next = at + strlen (at) + 1;
    if (strcmp (at, option) == 0 && next < end && strncmp (next, value, value_size) == 0)
      return next[value_size] == '\0' || next[value_size] == ',';
  }
  return 0;
}

static char *
cmdline_read (int32_t pid, size_t *ret_size)
{
  const size_t max = 256u << 10;
  char *buf = malloc (max);
  ssize_t n = buf != NULL ? proc_read (pid, "cmdline", buf, max) : -1;
  if (n <= 0) {
    free (buf);
    return NULL;
  }
  *ret_size = (size_t) n;
  return buf;
}

int
qmp_process_has_uuid (int32_t pid, const char *uuid)
{
  size_t n = 0;
  HV_CLEAN (hv_free) char *cmdline = cmdline_read (pid, &n);
  return cmdline != NULL && cmdline_has (cmdline, n, "-uuid", uuid, strlen (uuid));
}

/* The inode of the listening socket that was bound to `path`, or 0. */
static uint64_t
listener_inode (const char *path)
{
  char line[512], bound[256];
  unsigned flags;
  unsigned long long inode = 0;
  FILE *f = fopen ("/proc/net/unix", "re");
  while (f != NULL && inode == 0 && fgets (line, sizeof line, f) != NULL) {
    unsigned long long i;
    if (sscanf (line, "%*s %*s %*s %x %*s %*s %llu %255s", &flags, &i, bound) == 3 && (flags & 0x10000)
        && strcmp (bound, path) == 0)
      inode = i;
  }
  if (f != NULL)
    (void) fclose (f);
  return inode;
}

static int
process_holds (int32_t pid, uint64_t inode)
{
  char dir[64], target[64], wanted[64];
  int found = 0;
  struct dirent *e;
  (void) snprintf (dir, sizeof dir, "/proc/%" PRId32 "/fd", pid);
  int n = snprintf (wanted, sizeof wanted, "socket:[%" PRIu64 "]", inode);
  DIR *d = opendir (dir);
  while (d != NULL && !found && (e = readdir (d)) != NULL)
    found = readlinkat (dirfd (d), e->d_name, target, sizeof target) == n && memcmp (target, wanted, (size_t) n) == 0;
  if (d != NULL)
    (void) closedir (d);
  return found;
}

static int
process_is_guest (int32_t pid, const char *uuid, const char *name)
{
  char guest[256];
  size_t n = 0;
  HV_CLEAN (hv_free) char *cmdline = cmdline_read (pid, &n);
  int len = snprintf (guest, sizeof guest, "guest=%s", name);
  return cmdline != NULL && cmdline_has (cmdline, n, "-name", guest, (size_t) len)
         && (uuid == NULL || cmdline_has (cmdline, n, "-uuid", uuid, strlen (uuid)));
}

/* Another daemon may run a machine of the same name and uuid; whoever holds our socket is ours. */
int32_t
qmp_process_find (const char *uuid, const char *name, const char *monitor_path)
{
  int32_t found = 0;
  struct dirent *e;
  uint64_t inode = listener_inode (monitor_path);
  DIR *d = inode != 0 ? opendir ("/proc") : NULL;
  while (d != NULL && found == 0 && (e = readdir (d)) != NULL) {
    long pid = isdigit ((unsigned char) e->d_name[0]) ? strtol (e->d_name, NULL, 10) : 0;
    if (pid > 0 && process_is_guest ((int32_t) pid, uuid, name) && process_holds ((int32_t) pid, inode))
      found = (int32_t) pid;
  }
  if (d != NULL)
    (void) closedir (d);
  return found;
}

/* When even the uuid is lost: every monitor socket under our run directory is looked behind. */
int32_t
qmp_process_find_by_name (const char *run_dir, const char *name)
{
  char path[4096];
  int32_t found = 0;
  struct dirent *e;
  DIR *d = opendir (run_dir);
  while (d != NULL && found == 0 && (e = readdir (d)) != NULL)
    if (e->d_name[0] != '.' && (size_t) snprintf (path, sizeof path, "%s/%s/monitor.sock", run_dir, e->d_name) < sizeof path)
      found = qmp_process_find (NULL, name, path);
  if (d != NULL)
    (void) closedir (d);
  return found;
}

int
qmp_process_open (int32_t pid, uint64_t start_ticks, const char *uuid, int32_t *ret_pidfd, struct hv_err *err)
{
  uint64_t ticks = 0;
  HV_CLEAN (hv_fd) int fd = pid > 0 ? pidfd_open (pid, 0) : -1;
  /* opened first, compared afterwards: what was compared is then what the descriptor stands for */
  if (fd < 0 || qmp_process_start_ticks (pid, &ticks) < 0 || (start_ticks != 0 && ticks != start_ticks)
      || !qmp_process_has_uuid (pid, uuid))
    return hv_err_set (err, HV_E_NOT_FOUND, "process %" PRId32 " is gone", pid);
  *ret_pidfd = HV_STEAL_FD (fd);
  return 0;
}

int
qmp_process_exit_status (int32_t pidfd, char *text, size_t size)
{
  siginfo_t info = { 0 };
  if (waitid (P_PIDFD, (id_t) pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
    return 0;
  if (info.si_code == CLD_EXITED)
    (void) snprintf (text, size, "exit status %d", info.si_status);
  else
    (void) snprintf (text, size, "signal %d (%s)", info.si_status, strsignal (info.si_status));
  return 1;
}

/* --- figures that cost no round trip to the machine --- */

int
qmp_process_cpu (int32_t pid, struct hv_cpu_stats *ret)
{
  char buf[2048];
  const char *times = proc_read (pid, "stat", buf, sizeof buf) > 0 ? stat_field (buf, 14) : NULL;
  const char *threads = times != NULL ? stat_field (buf, 20) : NULL;
  const uint64_t tick_ns = 1000000000u / (uint64_t) sysconf (_SC_CLK_TCK);
  char *rest;
  if (threads == NULL)
    return HV_E_NOT_FOUND;
  uint64_t user = strtoull (times, &rest, 10), system = strtoull (rest, NULL, 10);
  HV_SET (ret, user_ns, user * tick_ns);
  HV_SET (ret, system_ns, system * tick_ns);
  HV_SET (ret, total_ns, (user + system) * tick_ns);
  HV_SET (ret, threads, (uint32_t) strtoul (threads, NULL, 10));
  return 0;
}

static uint64_t
status_kib (const char *status, const char *key)
{
  const char *at = strstr (status, key);
  return at != NULL ? strtoull (at + strlen (key), NULL, 10) * 1024 : 0;
}

int
qmp_process_memory (int32_t pid, struct hv_memory_stats *ret)
{
  char buf[4096];
  if (proc_read (pid, "status", buf, sizeof buf) <= 0)
    return HV_E_NOT_FOUND;
  HV_SET (ret, resident_bytes, status_kib (buf, "\nVmRSS:"));
  HV_SET (ret, swapped_bytes, status_kib (buf, "\nVmSwap:"));
  return 0;
}
