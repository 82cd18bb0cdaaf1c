/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert: a raw image into another raw file, holes kept; into qcow2 by the plugin whose format that is. */
#include "disk-raw.h"
#include <errno.h>
#include <hvkit/file.h>
#include <string.h>
#include <unistd.h>

#define STEP_BYTES (64u << 20)

/* What disk-qcow2's import takes; its own table is the one that counts. */
#define IMPORT_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED, "raw image") \
  F (T, STR, _, target_path, HV_REQUIRED, "qcow2 file to make") \
  F (T, U32, _, cluster_size_bytes, 0, "its cluster size") \
  F (T, U32, _, owner_uid, 0, "uid it is given to") \
  F (T, BOOL, _, trusted_raw, 0, "recorded as raw") \
  F (T, BOOL, _, compress, 0, "compress clusters")
HV_RECORD_STRUCT (disk_raw_import_args, IMPORT_ARGS);
HV_RECORD_TABLE (disk_raw_import_args, IMPORT_ARGS, "arguments of disk-qcow2's import");

struct copy_job {
  const struct hv_disk_convert_args *a;
  struct hv_file_new file;
  int fd;
  struct stat stat;
  uint64_t at, size;
  struct hv_err *err;
};

static int
begin_job (void *arg)
{
  struct copy_job *j = arg;
  int r = hv_disk_raw_open (j->a->path, j->a->trusted_raw, O_RDONLY, &j->fd, &j->stat, j->err);
  if (r == 0)
    r = hv_file_check_unused (j->fd, j->err);
  if (r == 0)
    r = hv_round_up ((uint64_t) j->stat.st_size, 512, &j->size);
  if (r == 0)
    r = hv_file_new_begin (&j->file, j->a->target_path, j->err);
  return r == 0 && ftruncate (j->file.fd, (off_t) j->size) != 0 ? hv_err_sys (j->err, errno, "set the length") : r;
}

/* The kernel copies; where both files are on one file system that can, they share the blocks. */
static int
copy_range (struct copy_job *j, uint64_t n)
{
  while (n > 0) {
    off_t from = (off_t) j->at, to = from;
    ssize_t some = copy_file_range (j->fd, &from, j->file.fd, &to, n, 0);
    if (some < 0)
      return hv_err_sys (j->err, errno, "copy");
    if (some == 0)
      return hv_err_set (j->err, HV_E_ABORTED, "the file shrank while it was read");
    j->at += (uint64_t) some;
    n -= (uint64_t) some;
  }
  return 0;
}

/* 1: there is more to do. */
static int
step_job (void *arg)
{
  struct copy_job *j = arg;
  for (uint64_t copied = 0, before; copied < STEP_BYTES; copied += j->at - before) {
    off_t data = lseek (j->fd, (off_t) j->at, SEEK_DATA);
    if (data < 0)
      return errno == ENXIO ? 0 : hv_err_sys (j->err, errno, "look for data");
    off_t hole = lseek (j->fd, data, SEEK_HOLE);
    if (hole < 0)
      return hv_err_sys (j->err, errno, "look for a hole");
    before = j->at = (uint64_t) data;
    uint64_t n = (uint64_t) (hole - data);
    int r = copy_range (j, n < STEP_BYTES ? n : STEP_BYTES);
    if (r < 0)
      return r;
  }
  return 1;
}

static int
finish_job (void *arg)
{
  struct copy_job *j = arg;
  int r = HV_HAS (j->a, owner_uid) ? hv_file_new_chown (&j->file, j->a->owner_uid, j->err) : 0;
  if (r == 0)
    r = hv_file_new_commit (&j->file, j->err);
  return r == 0 && fstat (j->file.fd, &j->stat) != 0 ? hv_err_sys (j->err, errno, "stat") : r;
}

static int
to_raw (struct disk_raw *d, struct hv_call *call, const struct hv_disk_convert_args *a, struct hv_disk_info *ret,
        struct hv_err *err)
{
  struct copy_job j = { .a = a, .file = HV_FILE_NEW_INIT, .fd = -1, .err = err };
  int r = hv_offload (d->host, begin_job, &j, err);
  while (r == 0 && (r = hv_offload (d->host, step_job, &j, err)) > 0) {
    hv_progress (call, "convert", j.at, j.size, "bytes");
    r = hv_cancelled (call) ? hv_err_set (err, HV_E_CANCELLED, "cancelled") : 0;
  }
  if (r == 0)
    r = hv_offload (d->host, finish_job, &j, err);
  hv_file_new_end (&j.file);
  hv_fd_cleanup (&j.fd);
  return r == 0 ? hv_disk_raw_fill (a->target_path, &j.stat, ret, err) : r;
}

static int
to_qcow2 (struct disk_raw *d, struct hv_call *call, const struct hv_disk_convert_args *a, struct hv_disk_info *ret, struct hv_err *err)
{
  struct disk_raw_import_args i = { 0 };
  char *method = hv_printf (d->host, "%s.import", d->config->qcow2);
  if (method == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  HV_SET (&i, path, a->path);
  HV_SET (&i, target_path, a->target_path);
  if (HV_HAS (a, cluster_size_bytes))
    HV_SET (&i, cluster_size_bytes, a->cluster_size_bytes);
  if (HV_HAS (a, owner_uid))
    HV_SET (&i, owner_uid, a->owner_uid);
  HV_SET (&i, trusted_raw, a->trusted_raw);
  HV_SET (&i, compress, a->compress);
  return hv_call_method_for (d->host, call, method, disk_raw_import_args, &i, hv_disk_info, ret, err);
}

static int
check_args (const struct disk_raw *d, const struct hv_disk_convert_args *a, struct hv_err *err)
{
  int raw = a->target_format == HV_DISK_RAW;
  if (a->backing.count > 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "backing: a raw image stands on nothing");
  if (raw && HV_HAS (a, cluster_size_bytes))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "cluster_size_bytes: goes with target_format qcow2 only");
  if (a->compress && raw)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "compress: goes with target_format qcow2 only");
  int r = hv_disk_raw_allowed (d, a->path, err);
  return r == 0 ? hv_disk_raw_allowed (d, a->target_path, err) : r;
}

int
hv_disk_raw_convert (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_disk_convert_args *a = args;
  int r = check_args (self, a, err);
  if (r == 0)
    r = a->target_format == HV_DISK_RAW ? to_raw (self, call, a, result, err) : to_qcow2 (self, call, a, result, err);
  return r == 0 ? 0 : hv_err_wrap (err, r, "convert disk '%s' to '%s'", a->path, a->target_path);
}
