/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <hvkit/clean.h>
#include <hvkit/netns.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

int
hv_netns_visit (const char *netns, int (*fn) (void *arg), void *arg, struct hv_err *err)
{
  HV_CLEAN (hv_fd) int home = -1;
  HV_CLEAN (hv_fd) int there = -1;
  if (netns != NULL) {
    home = open ("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    there = open (netns, O_RDONLY | O_CLOEXEC);
    if (home < 0 || there < 0 || setns (there, CLONE_NEWNET) < 0)
      return hv_err_sys (err, errno, "network namespace '%s'", netns);
  }
  int r = fn (arg);
  if (there >= 0 && setns (home, CLONE_NEWNET) < 0)
    abort ();
  return r;
}
