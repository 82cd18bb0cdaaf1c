/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* inspect: what tables and file systems say of themselves is read out of the image into memory that is as sparse as it, and looked
 * at there. */
#include "disk-qcow2.h"
#include "reader.h"
#include <errno.h>
#include <hvkit/file.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE 65536u

struct view {
  struct disk_qcow2 *d;
  const struct hv_disk_inspect_args *a;
  struct hv_qcow2_reader *reader;
  int fd;
  uint64_t offset, n;
  struct hv_err *err;
};

static int
open_job (void *arg)
{
  struct view *v = arg;
  struct hv_qcow2_source sources[HV_QCOW2_LAYERS_MAX];
  int r = hv_qcow2_sources (v->a->path, v->a->backing.items, v->a->backing.count, sources, v->err);
  if (r == 0)
    r = hv_qcow2_reader_open (sources, v->a->backing.count + 1, 0, &v->reader, v->err);
  if (r < 0)
    return r;
  v->fd = memfd_create ("disk", MFD_CLOEXEC);
  if (v->fd < 0 || ftruncate (v->fd, (off_t) hv_qcow2_reader_size (v->reader)) != 0)
    return hv_err_sys (v->err, errno, "make room to look at it");
  return 0;
}

static int
fill_job (void *arg)
{
  struct view *v = arg;
  uint8_t buf[PIECE];
  for (uint64_t at = v->offset, end = v->offset + v->n; at < end;) {
    struct hv_qcow2_extent e;
    int r = hv_qcow2_reader_find (v->reader, at, 0, &e, v->err);
    uint64_t some = r == 0 && e.length < end - at ? e.length : end - at;
    if (r == 0 && !e.zero) {
      some = some < PIECE ? some : PIECE;
      r = hv_qcow2_reader_read (v->reader, &e, at, buf, some, v->err);
      if (r == 0)
        r = hv_file_write (v->fd, buf, some, at, v->err);
    }
    if (r < 0)
      return r;
    at += some;
  }
  return 0;
}

static int
fill (void *arg, uint64_t offset, uint64_t n, struct hv_err *err)
{
  struct view *v = arg;
  v->offset = offset;
  v->n = n;
  v->err = err;
  return hv_offload (v->d->host, fill_job, v, err);
}

int
hv_disk_qcow2_inspect (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_qcow2 *d = self;
  struct hv_disk_inspect_result *ret = result;
  struct view v = { .d = d, .a = args, .fd = -1, .err = err };
  int r = v.a->trusted_raw ? hv_err_set (err, HV_E_INVALID_ARGUMENT, "trusted_raw: it is given as qcow2; for raw, call disk-raw")
                           : hv_disk_qcow2_allowed (d, v.a->path, err);
  for (uint32_t i = 0; i < v.a->backing.count && r == 0; i++)
    r = hv_disk_qcow2_allowed (d, v.a->backing.items[i].path, err);
  if (r == 0)
    r = hv_offload (d->host, open_job, &v, err);
  HV_SET (ret, path, v.a->path);
  if (r == 0) {
    const struct hv_inspect i = { .host = d->host,
                                  .call = call,
                                  .sfdisk = d->config->sfdisk,
                                  .blkid = d->config->blkid,
                                  .fd = v.fd,
                                  .size_bytes = hv_qcow2_reader_size (v.reader),
                                  .fill = fill,
                                  .arg = &v };
    r = hv_inspect_run (&i, ret, err);
  }
  hv_qcow2_reader_close (v.reader);
  hv_fd_cleanup (&v.fd);
  return r < 0 ? hv_err_wrap (err, r, "disk '%s'", v.a->path) : 0;
}
