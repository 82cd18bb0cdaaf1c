/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net-bridge.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* /proc/sys/net is that of whoever opens it. */
static int
open_sysctl (const char *name, int flags, int *ret, struct hv_err *err)
{
  char path[256];
  (void) snprintf (path, sizeof path, "/proc/sys/net/%s", name);
  *ret = open (path, flags | O_CLOEXEC);
  return *ret >= 0 ? 0 : hv_err_sys (err, errno, "sysctl net/%s", name);
}

int
nb_sysctl_read (const char *name, int64_t *ret, struct hv_err *err)
{
  HV_CLEAN (hv_fd) int fd = -1;
  char text[32] = "", *end = NULL;
  int r = open_sysctl (name, O_RDONLY, &fd, err);
  ssize_t n = r == 0 ? read (fd, text, sizeof text - 1) : 0;
  if (r == 0 && n <= 0)
    return hv_err_sys (err, errno, "sysctl net/%s", name);
  *ret = strtoll (text, &end, 10);
  return r == 0 && end == text ? hv_err_set (err, HV_E_INTERNAL, "sysctl net/%s is no number", name) : r;
}

int
nb_sysctl_write (const char *name, int64_t value, struct hv_err *err)
{
  HV_CLEAN (hv_fd) int fd = -1;
  char text[32];
  int n = snprintf (text, sizeof text, "%lld\n", (long long) value);
  int r = open_sysctl (name, O_WRONLY, &fd, err);
  return r == 0 && write (fd, text, (size_t) n) != n ? hv_err_sys (err, errno, "set sysctl net/%s", name) : r;
}
