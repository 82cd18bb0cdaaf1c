/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connect, disconnect: a raw image as a block device of the node. */
#include "disk-raw.h"
#include <hvkit/file.h>

struct open_job {
  const struct hv_disk_connect_args *a;
  int fd;
  struct stat stat;
  struct hv_err *err;
};

static int
open_job (void *arg)
{
  struct open_job *j = arg;
  int r = hv_disk_raw_open (j->a->path, j->a->trusted_raw, O_RDWR, &j->fd, &j->stat, j->err);
  return r == 0 ? hv_file_check_unused (j->fd, j->err) : r;
}

int
hv_disk_raw_connect (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_raw *d = self;
  const struct hv_nbd nbd = { d->host, call, d->config->qemu_nbd };
  struct open_job j = { .a = args, .fd = -1, .err = err };
  int r = hv_disk_raw_allowed (d, j.a->path, err);
  if (r == 0)
    r = hv_offload (d->host, open_job, &j, err);
  if (r == 0)
    r = hv_nbd_connect (&nbd, j.a, j.fd, "raw", result, err);
  hv_fd_cleanup (&j.fd);
  return r < 0 ? hv_err_wrap (err, r, "connect disk '%s'", j.a->path) : 0;
}

int
hv_disk_raw_disconnect (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_raw *d = self;
  const struct hv_disk_disconnect_args *a = args;
  const struct hv_nbd nbd = { d->host, call, d->config->qemu_nbd };
  (void) result;
  int r = hv_nbd_disconnect (&nbd, a->device, err);
  return r < 0 ? hv_err_wrap (err, r, "disconnect '%s'", a->device) : 0;
}
