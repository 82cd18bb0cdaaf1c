/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inspect: a raw image is what the guest sees. */
#include "disk-raw.h"
#include <hvkit/file.h>
#include <unistd.h>

struct open_job {
  const struct hv_disk_inspect_args *a;
  int fd;
  struct stat stat;
  struct hv_err *err;
};

static int
open_job (void *arg)
{
  struct open_job *j = arg;
  return hv_disk_raw_open (j->a->path, j->a->trusted_raw, O_RDONLY, &j->fd, &j->stat, j->err);
}

int
hv_disk_raw_inspect (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_raw *d = self;
  struct hv_disk_inspect_result *ret = result;
  struct open_job j = { .a = args, .fd = -1, .err = err };
  int r = j.a->backing.count > 0 ? hv_err_set (err, HV_E_INVALID_ARGUMENT, "backing: a raw image stands on nothing")
                                 : hv_disk_raw_allowed (d, j.a->path, err);
  if (r == 0)
    r = hv_offload (d->host, open_job, &j, err);
  HV_CLEAN (hv_fd) int fd = j.fd;
  uint64_t size = 0;
  if (r == 0 && hv_round_up ((uint64_t) j.stat.st_size, 512, &size) < 0)
    r = hv_err_set (err, HV_E_OUT_OF_RANGE, "too large");
  const struct hv_inspect i
      = { .host = d->host, .call = call, .sfdisk = d->config->sfdisk, .blkid = d->config->blkid, .fd = fd, .size_bytes = size };
  HV_SET (ret, path, j.a->path);
  if (r == 0)
    r = hv_inspect_run (&i, ret, err);
  return r < 0 ? hv_err_wrap (err, r, "disk '%s'", j.a->path) : 0;
}
