/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize: the length of a raw image is the size that its guest sees. */
#include "disk-raw.h"
#include <errno.h>
#include <hvkit/file.h>
#include <unistd.h>

struct resize_job {
  const struct hv_disk_resize_args *a;
  struct stat stat;
  struct hv_err *err;
};

/* Blocks are reserved before the length changes: when there is no space, the image is as it was. */
static int
change (int fd, const struct hv_disk_resize_args *a, uint64_t size, struct hv_err *err)
{
  if (a->preallocate && a->virtual_size_bytes > size
      && fallocate (fd, FALLOC_FL_KEEP_SIZE, (off_t) size, (off_t) (a->virtual_size_bytes - size)) != 0) {
    if (errno == EOPNOTSUPP)
      return hv_err_set (err, HV_E_UNIMPLEMENTED, "preallocate: this file system cannot reserve blocks");
    return hv_err_sys (err, errno, "reserve the blocks");
  }
  if (ftruncate (fd, (off_t) a->virtual_size_bytes) != 0)
    return hv_err_sys (err, errno, "set the length");
  return fsync (fd) == 0 ? 0 : hv_err_sys (err, errno, "fsync");
}

static int
resize_job (void *arg)
{
  struct resize_job *j = arg;
  const struct hv_disk_resize_args *a = j->a;
  HV_CLEAN (hv_fd) int fd = -1;
  int r = hv_disk_raw_open (a->path, a->trusted_raw, O_RDWR, &fd, &j->stat, j->err);
  if (r == 0)
    r = hv_file_check_unused (fd, j->err);
  uint64_t size = r == 0 ? (uint64_t) j->stat.st_size : 0;
  if (r == 0 && a->virtual_size_bytes < size && !a->allow_shrink)
    r = hv_err_set (j->err, HV_E_FAILED_PRECONDITION,
                    "it has %llu bytes, and what is beyond %llu would be lost: allow_shrink: true if that is wanted",
                    (unsigned long long) size, (unsigned long long) a->virtual_size_bytes);
  if (r == 0)
    r = change (fd, a, size, j->err);
  if (r == 0 && fstat (fd, &j->stat) != 0)
    r = hv_err_sys (j->err, errno, "stat");
  return r;
}

int
hv_disk_raw_resize (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_raw *d = self;
  const struct hv_disk_resize_args *a = args;
  struct resize_job j = { .a = a, .err = err };
  (void) call;
  if (a->virtual_size_bytes % 512 != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "virtual_size_bytes: not a multiple of 512");
  int r = hv_disk_raw_allowed (d, a->path, err);
  if (r == 0)
    r = hv_offload (d->host, resize_job, &j, err);
  if (r == 0)
    r = hv_disk_raw_fill (a->path, &j.stat, result, err);
  return r == 0 ? 0 : hv_err_wrap (err, r, "resize disk '%s'", a->path);
}
