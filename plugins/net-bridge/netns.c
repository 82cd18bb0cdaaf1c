/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net-bridge.h"
#include <errno.h>
#include <hvkit/netns.h>
#include <sys/stat.h>

struct identify_job {
  const char *netns;
  uint64_t dev, ino;
  struct hv_err *err;
};

static int
identify_job (void *arg)
{
  struct identify_job *j = arg;
  struct stat st;
  if (stat (j->netns != NULL ? j->netns : "/proc/self/ns/net", &st) < 0)
    return hv_err_sys (j->err, errno, "network namespace '%s'", j->netns != NULL ? j->netns : "of the daemon");
  j->dev = st.st_dev;
  j->ino = st.st_ino;
  return 0;
}

int
nb_netns_identify (struct nb *nb, const char *netns, uint64_t *ret_dev, uint64_t *ret_ino, struct hv_err *err)
{
  struct identify_job j = { .netns = netns, .err = err };
  int r = hv_offload (nb->host, identify_job, &j, err);
  *ret_dev = j.dev;
  *ret_ino = j.ino;
  return r;
}

struct visit_job {
  const struct nb_document *d;
  int (*fn) (void *);
  void *arg;
  struct hv_err *err;
};

/* The path may lead to another namespace by the time it is opened: looked at from inside. */
static int
inside (void *arg)
{
  struct visit_job *j = arg;
  struct stat st;
  if (stat ("/proc/thread-self/ns/net", &st) < 0)
    return hv_err_sys (j->err, errno, "network namespace");
  if (st.st_dev != j->d->netns_dev || st.st_ino != j->d->netns_ino)
    return hv_err_set (j->err, HV_E_NOT_FOUND, "'%s' is another network namespace by now",
                       HV_HAS (j->d, netns) ? j->d->netns : "the daemon's");
  return j->fn (j->arg);
}

static int
visit_job (void *arg)
{
  struct visit_job *j = arg;
  return hv_netns_visit (HV_HAS (j->d, netns) ? j->d->netns : NULL, inside, j, j->err);
}

int
nb_in_netns (struct nb *nb, const struct nb_document *d, int (*fn) (void *), void *arg, struct hv_err *err)
{
  struct visit_job j = { d, fn, arg, err };
  return hv_offload (nb->host, visit_job, &j, err);
}
