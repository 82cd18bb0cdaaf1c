/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk-raw: disk/1 for raw images. A raw image has no header: it is what a caller says is raw, and does not look like
 * anything else unless the caller has it on record (trusted_raw). What touches the disk runs in an offload. */
#include "disk-raw.h"
#include <errno.h>
#include <hvkit/file.h>
#include <hvkit/iface/disk.h>
#include <string.h>

HV_RECORD_TABLE (disk_raw_config, DISK_CONFIG, "config of disk-raw");

int
hv_disk_raw_allowed (const struct disk_raw *self, const char *path, struct hv_err *err)
{
  return hv_file_check_below (path, &self->config->directories, err);
}

/* --- opening --- */

/* A guest that is shown a qcow2 file as raw sees a tiny disk, and destroys the image by writing to it. */
static int
refuse_other_format (int fd, struct hv_err *err)
{
  uint8_t first[HV_FILE_LOOK_BYTES];
  int64_t n = hv_file_read_some (fd, first, sizeof first, 0, err);
  const char *like = n > 0 ? hv_file_looks_like (first, (uint64_t) n) : NULL;
  if (n < 0)
    return (int) n;
  if (like == NULL)
    return 0;
  hv_err_set (
      err, HV_E_FAILED_PRECONDITION,
      "given as raw, but it looks like %s: write that as its format (qcow2 is disk-qcow2's), or, if it is on record as raw and "
      "its guest wrote that, trusted_raw: true",
      like);
  hv_err_data (err, "reason", "format");
  return HV_E_FAILED_PRECONDITION;
}

struct open_job {
  const struct hv_disk_ref *ref;
  int fd;
  struct stat stat;
  struct hv_err *err;
};

int
hv_disk_raw_open (const char *path, int trusted_raw, int flags, int *ret_fd, struct stat *ret_stat, struct hv_err *err)
{
  int rc = hv_file_open (path, flags, ret_fd, ret_stat, err);
  return rc != 0 || trusted_raw ? rc : refuse_other_format (*ret_fd, err);
}

static int
open_job (void *arg)
{
  struct open_job *job = arg;
  return hv_disk_raw_open (job->ref->path, job->ref->trusted_raw, O_RDONLY, &job->fd, &job->stat, job->err);
}

static int
size_of (const struct stat *st, uint64_t *ret, struct hv_err *err)
{
  return hv_round_up ((uint64_t) st->st_size, 512, ret) == 0 ? 0 : hv_err_set (err, HV_E_OUT_OF_RANGE, "too large");
}

int
hv_disk_raw_fill (const char *path, const struct stat *st, struct hv_disk_info *info, struct hv_err *err)
{
  uint64_t size = 0;
  int rc = size_of (st, &size, err);
  HV_SET (info, path, path);
  HV_SET (info, format, HV_DISK_RAW);
  HV_SET (info, virtual_size_bytes, size);
  HV_SET (info, allocated_bytes, (uint64_t) st->st_blocks * 512);
  HV_SET (info, file_size_bytes, (uint64_t) st->st_size);
  return rc;
}

static int
handle_info (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  struct open_job job = { .ref = args, .fd = -1, .err = err };
  int rc = hv_disk_raw_allowed (self, job.ref->path, err);
  if (rc == 0)
    rc = hv_offload (((struct disk_raw *) self)->host, open_job, &job, err);
  hv_fd_cleanup (&job.fd);
  if (rc == 0)
    rc = hv_disk_raw_fill (job.ref->path, &job.stat, result, err);
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "disk '%s'", job.ref->path);
}

/* --- check --- */

static int
handle_check (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  static const char *const odd[]
      = { "the file's size is not a multiple of 512: the guest sees its last sector filled up with zeros" };
  struct hv_disk_check_result *r = result;
  struct open_job job = { .ref = args, .fd = -1, .err = err };
  int rc = hv_disk_raw_allowed (self, job.ref->path, err);
  if (rc == 0)
    rc = hv_offload (((struct disk_raw *) self)->host, open_job, &job, err);
  hv_fd_cleanup (&job.fd);
  if (rc != 0)
    return hv_err_wrap (err, rc, "check disk '%s'", job.ref->path);
  HV_SET (r, path, job.ref->path);
  HV_SET (r, clean, 1); /* there is no structure that could be wrong */
  HV_SET (r, errors, 0);
  HV_SET (r, leaked_clusters, 0);
  HV_SET (r, findings, (struct hv_strs){ odd, job.stat.st_size % 512 != 0 ? 1 : 0 });
  return 0;
}

/* --- create --- */

struct create_job {
  const struct hv_disk_create_args *args;
  struct stat stat;
  struct hv_err *err;
};

static int
set_length (int fd, const struct hv_disk_create_args *args, struct hv_err *err)
{
  off_t size = (off_t) args->virtual_size_bytes;
  if (ftruncate (fd, size) != 0)
    return hv_err_sys (err, errno, "set the length");
  if (args->preallocate && fallocate (fd, 0, 0, size) != 0) {
    if (errno == EOPNOTSUPP)
      return hv_err_set (err, HV_E_UNIMPLEMENTED, "preallocate: this file system cannot reserve blocks");
    return hv_err_sys (err, errno, "reserve the blocks");
  }
  return 0;
}

static int
create_job (void *arg)
{
  struct create_job *job = arg;
  HV_CLEAN (hv_file_new) struct hv_file_new file = HV_FILE_NEW_INIT;
  int rc = hv_file_new_begin (&file, job->args->path, job->err);
  if (rc == 0)
    rc = set_length (file.fd, job->args, job->err);
  if (rc == 0 && HV_HAS (job->args, owner_uid))
    rc = hv_file_new_chown (&file, job->args->owner_uid, job->err);
  if (rc == 0)
    rc = hv_file_new_commit (&file, job->err);
  if (rc == 0 && fstat (file.fd, &job->stat) != 0)
    rc = hv_err_sys (job->err, errno, "stat");
  return rc;
}

static int
handle_create (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  const struct hv_disk_create_args *a = args;
  struct create_job job = { .args = a, .err = err };
  if (HV_HAS (a, cluster_size_bytes))
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "cluster_size_bytes: raw images have no clusters; qcow2 images do");
  if (a->virtual_size_bytes % 512 != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "virtual_size_bytes: not a multiple of 512");
  int rc = hv_disk_raw_allowed (self, a->path, err);
  if (rc == 0)
    rc = hv_offload (((struct disk_raw *) self)->host, create_job, &job, err);
  if (rc == 0)
    rc = hv_disk_raw_fill (a->path, &job.stat, result, err);
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "create disk '%s'", a->path);
}

/* --- delete --- */

static int
delete_job (void *arg)
{
  struct open_job *job = arg;
  int rc = open_job (job);
  if (rc == 0)
    rc = hv_file_check_unused (job->fd, job->err);
  return rc == 0 ? hv_file_delete (job->ref->path, job->fd, job->err) : rc;
}

static int
handle_delete (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  (void) result;
  struct open_job job = { .ref = args, .fd = -1, .err = err };
  int rc = hv_disk_raw_allowed (self, job.ref->path, err);
  if (rc == 0)
    rc = hv_offload (((struct disk_raw *) self)->host, delete_job, &job, err);
  hv_fd_cleanup (&job.fd);
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "delete disk '%s'", job.ref->path);
}

/* --- the plugin --- */

static int
start (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  struct disk_raw *self = calloc (1, sizeof *self);
  if (self == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  self->host = host;
  self->config = config;
  *ret_self = self;
  return 0;
}

const struct hv_plugin hv_disk_raw_plugin = {
  HV_PLUGIN_HEAD,
  .name = "disk-raw",
  .version = HV_VERSION,
  .summary = "raw images: info, create, resize, convert, map, inspect, check, delete",
  .license = "LGPL-2.1-or-later",
  .provides = (const struct hv_iface *const[]){ &hv_iface_disk, NULL },
  .config = &disk_raw_config_record,
  .methods = (const struct hv_method *const[]){ HV_IMPLEMENT (hv_disk_verb_info, handle_info),
                                                HV_IMPLEMENT (hv_disk_verb_create, handle_create),
                                                HV_IMPLEMENT (hv_disk_verb_check, handle_check),
                                                HV_IMPLEMENT (hv_disk_verb_delete, handle_delete),
                                                HV_IMPLEMENT (hv_disk_verb_map, hv_disk_raw_map),
                                                HV_IMPLEMENT (hv_disk_verb_inspect, hv_disk_raw_inspect),
                                                HV_IMPLEMENT (hv_disk_verb_resize, hv_disk_raw_resize),
                                                HV_IMPLEMENT (hv_disk_verb_convert, hv_disk_raw_convert),
                                                HV_IMPLEMENT (hv_disk_verb_connect, hv_disk_raw_connect),
                                                HV_IMPLEMENT (hv_disk_verb_disconnect, hv_disk_raw_disconnect), NULL },
  .start = start,
  .stop = free,
};
