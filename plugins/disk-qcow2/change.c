/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize, commit, the name of a base: an image changed in place, by qemu-img. What may go wrong is looked at before. */
#include "disk-qcow2.h"
#include "image.h"
#include <errno.h>
#include <hvkit/file.h>
#include <hvkit/iface/disk.h>
#include <hvkit/tool.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* An image to be written to: sound, not in use, and the file that was looked at. */
struct open_job {
  const char *path;
  int is_qcow2, trusted_raw;
  int fd;
  struct hv_qcow2_header header;
  struct hv_err *err;
};

static int
open_qcow2 (struct open_job *j)
{
  struct hv_qcow2_image image;
  struct stat st;
  int r = hv_qcow2_image_open (j->path, &image, j->err);
  hv_qcow2_image_close (&image);
  if (r == 0 && (fstat (j->fd, &st) != 0 || st.st_ino != image.stat.st_ino || st.st_dev != image.stat.st_dev))
    r = hv_err_set (j->err, HV_E_ABORTED, "another file took its place meanwhile");
  if (r == 0 && image.header.incompatible & HV_QCOW2_CORRUPT)
    r = hv_err_set (j->err, HV_E_DATA_LOSS, "is marked corrupt");
  j->header = image.header;
  return r;
}

static int
open_raw (struct open_job *j)
{
  uint8_t first[HV_FILE_LOOK_BYTES];
  int64_t n = hv_file_read_some (j->fd, first, sizeof first, 0, j->err);
  const char *like = n > 0 && !j->trusted_raw ? hv_file_looks_like (first, (uint64_t) n) : NULL;
  if (like != NULL)
    return hv_err_set (j->err, HV_E_FAILED_PRECONDITION, "given as raw, but it looks like %s", like);
  return n < 0 ? (int) n : 0;
}

static int
open_job (void *arg)
{
  struct open_job *j = arg;
  int r = hv_file_open (j->path, O_RDWR, &j->fd, NULL, j->err);
  if (r == 0)
    r = hv_file_check_unused (j->fd, j->err);
  return r < 0 ? r : j->is_qcow2 ? open_qcow2 (j) : open_raw (j);
}

static int
sync_job (void *arg)
{
  const struct open_job *j = arg;
  return fsync (j->fd) == 0 ? 0 : hv_err_sys (j->err, errno, "fsync");
}

/* Close j->fd afterwards, also after a failure. [coro] */
static int
open_image (struct disk_qcow2 *d, struct open_job *j, struct hv_err *err)
{
  j->err = err;
  int r = hv_disk_qcow2_allowed (d, j->path, err);
  return r == 0 ? hv_offload (d->host, open_job, j, err) : r;
}

/* --- resize --- */

static int
resize (struct disk_qcow2 *d, struct hv_call *call, const struct hv_disk_resize_args *a, struct open_job *j, struct hv_err *err)
{
  char size[32];
  const char *args[8] = { "resize", "-q" };
  uint32_t n = 2;
  int shrinks = a->virtual_size_bytes < j->header.size_bytes;
  if (shrinks && !a->allow_shrink)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "it has %" PRIu64 " bytes, and what is beyond %" PRIu64
                       " would be lost: allow_shrink: true if that is wanted",
                       j->header.size_bytes, a->virtual_size_bytes);
  if (shrinks && j->header.snapshots > 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it has %u internal snapshots, which would lose what is beyond the new end",
                       j->header.snapshots);
  (void) snprintf (size, sizeof size, "%" PRIu64, a->virtual_size_bytes);
  if (shrinks)
    args[n++] = "--shrink";
  if (a->preallocate && !shrinks)
    args[n++] = "--preallocation=falloc";
  args[n++] = "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/3\"},\"backing\":null}";
  args[n++] = size;
  const int32_t fds[] = { j->fd };
  const struct hv_tool t = { d->host, call, d->config->qemu_img, args, fds, 1, NULL };
  int r = hv_tool_run (&t, NULL, err);
  return r == 0 ? hv_offload (d->host, sync_job, j, err) : r;
}

int
hv_disk_qcow2_resize (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_qcow2 *d = self;
  const struct hv_disk_resize_args *a = args;
  struct open_job j = { .path = a->path, .is_qcow2 = 1, .fd = -1 };
  int r = 0;
  if (a->virtual_size_bytes % 512 != 0)
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "virtual_size_bytes: not a multiple of 512");
  else if (a->trusted_raw)
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "trusted_raw: it is given as qcow2; for raw, call disk-raw");
  if (r == 0)
    r = open_image (d, &j, err);
  if (r == 0)
    r = resize (d, call, a, &j, err);
  hv_fd_cleanup (&j.fd);
  if (r == 0)
    r = hv_disk_qcow2_describe (d, a->path, result, err);
  return r < 0 ? hv_err_wrap (err, r, "resize disk '%s'", a->path) : 0;
}

/* --- the name of a base --- */

int
hv_disk_qcow2_rename_base (struct disk_qcow2 *d, struct hv_call *call, const struct hv_disk_rebase_args *a, struct hv_err *err)
{
  struct open_job top = { .path = a->path, .is_qcow2 = 1, .fd = -1 };
  struct open_job base
      = { .path = a->backing_path, .is_qcow2 = a->backing_format == HV_DISK_QCOW2, .trusted_raw = a->trusted_raw, .fd = -1 };
  const char *args[10] = { "rebase", "-q", "-u", "-b", HV_HAS (a, backing_path) ? a->backing_path : "" };
  uint32_t n = 5;
  if (HV_HAS (a, backing_path)) {
    args[n++] = "-F";
    args[n++] = hv_disk_format_words[a->backing_format];
  }
  args[n++] = "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/3\"},\"backing\":null}";
  int r = open_image (d, &top, err);
  if (r == 0 && HV_HAS (a, backing_path) && (r = open_image (d, &base, err)) < 0)
    r = hv_err_wrap (err, r, "base '%s'", a->backing_path);
  const struct hv_tool t = { d->host, call, d->config->qemu_img, args, &top.fd, 1, NULL };
  if (r == 0)
    r = hv_tool_run (&t, NULL, err);
  if (r == 0)
    r = hv_offload (d->host, sync_job, &top, err);
  hv_fd_cleanup (&top.fd);
  hv_fd_cleanup (&base.fd);
  return r;
}

/* --- commit --- */

static int
check_pair (const struct hv_disk_commit_args *a, const struct open_job *top, const struct open_job *base, struct hv_err *err)
{
  const char *format = hv_disk_format_words[a->backing_format];
  if (top->header.backing_size == 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it stands alone: there is nothing to commit to");
  if (strcmp (top->header.backing, a->backing_path) != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "its base is '%s', not '%s'", top->header.backing, a->backing_path);
  if (top->header.backing_format[0] != '\0' && strcmp (top->header.backing_format, format) != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "says that its base is %s, and it was given as %s",
                       top->header.backing_format, format);
  if (top->header.snapshots > 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it has internal snapshots, which need it as it is");
  if (base->is_qcow2 && base->header.backing_size > 0)
    return hv_err_set (err, HV_E_UNIMPLEMENTED,
                       "its base stands on '%s': only one that stands alone is committed to; convert makes one of all",
                       base->header.backing);
  return 0;
}

static int
commit (struct disk_qcow2 *d, struct hv_call *call, const struct hv_disk_commit_args *a, struct open_job *top,
        struct open_job *base, struct hv_err *err)
{
  char image[512];
  const char *args[] = { "commit", "-p", a->keep ? "-d" : "-q", image, NULL };
  (void) snprintf (image, sizeof image,
                   "json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/3\"},"
                   "\"backing\":{\"driver\":\"%s\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/4\"}%s}}",
                   base->is_qcow2 ? "qcow2" : "raw", base->is_qcow2 ? ",\"backing\":null" : "");
  const int32_t fds[] = { top->fd, base->fd };
  const struct hv_tool t = { d->host, call, d->config->qemu_img, args, fds, 2, "commit" };
  int r = hv_tool_run (&t, NULL, err);
  if (r == 0)
    r = hv_offload (d->host, sync_job, base, err);
  return r == 0 ? hv_offload (d->host, sync_job, top, err) : r;
}

int
hv_disk_qcow2_commit (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_qcow2 *d = self;
  const struct hv_disk_commit_args *a = args;
  struct open_job top = { .path = a->path, .is_qcow2 = 1, .fd = -1 };
  struct open_job base
      = { .path = a->backing_path, .is_qcow2 = a->backing_format == HV_DISK_QCOW2, .trusted_raw = a->trusted_raw, .fd = -1 };
  int r = open_image (d, &top, err);
  if (r == 0 && (r = open_image (d, &base, err)) < 0)
    r = hv_err_wrap (err, r, "base '%s'", a->backing_path);
  if (r == 0)
    r = check_pair (a, &top, &base, err);
  if (r == 0)
    r = commit (d, call, a, &top, &base, err);
  hv_fd_cleanup (&top.fd);
  hv_fd_cleanup (&base.fd);
  if (r == 0)
    r = hv_disk_qcow2_describe (d, a->path, result, err);
  return r < 0 ? hv_err_wrap (err, r, "commit disk '%s'", a->path) : 0;
}

/* --- connect, disconnect --- */

int
hv_disk_qcow2_connect (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_qcow2 *d = self;
  const struct hv_disk_connect_args *a = args;
  const struct hv_nbd nbd = { d->host, call, d->config->qemu_nbd };
  struct open_job j = { .path = a->path, .is_qcow2 = 1, .fd = -1 };
  int r = a->trusted_raw ? hv_err_set (err, HV_E_INVALID_ARGUMENT, "trusted_raw: it is given as qcow2; for raw, call disk-raw") : 0;
  if (r == 0)
    r = open_image (d, &j, err);
  if (r == 0 && j.header.backing_size > 0)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "it stands on '%s': convert makes one that stands alone", j.header.backing);
  if (r == 0)
    r = hv_nbd_connect (&nbd, a, j.fd, "qcow2", result, err);
  hv_fd_cleanup (&j.fd);
  return r < 0 ? hv_err_wrap (err, r, "connect disk '%s'", a->path) : 0;
}

int
hv_disk_qcow2_disconnect (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_qcow2 *d = self;
  const struct hv_disk_disconnect_args *a = args;
  const struct hv_nbd nbd = { d->host, call, d->config->qemu_nbd };
  (void) result;
  int r = hv_nbd_disconnect (&nbd, a->device, err);
  return r < 0 ? hv_err_wrap (err, r, "disconnect '%s'", a->device) : 0;
}
