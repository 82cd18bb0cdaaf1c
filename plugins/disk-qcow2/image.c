/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See image.h. */
#include "image.h"
#include <errno.h>
#include <hvkit/file.h>
#include <string.h>

#define FIRST_READ 4096u /* holds the header of every image but odd ones */

/* Reads more of the file as long as the header says that it goes on. It ends at the first cluster. */
static int
read_long_header (int fd, uint64_t file_bytes, uint64_t need, struct hv_qcow2_header *ret, struct hv_err *err)
{
  int rc = 1;
  while (rc == 1) {
    uint64_t room = need * 2;
    HV_CLEAN (hv_free) uint8_t *bytes = malloc (room);
    if (bytes == NULL)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    int64_t got = hv_file_read_some (fd, bytes, room, 0, err);
    if (got < 0)
      return (int) got;
    if ((uint64_t) got < need)
      return hv_err_set (err, HV_E_ABORTED, "the file shrank while it was read");
    rc = hv_qcow2_header_read (bytes, (uint64_t) got, file_bytes, ret, &need, err);
  }
  return rc;
}

static int
read_header (int fd, uint64_t file_bytes, struct hv_qcow2_header *ret, struct hv_err *err)
{
  uint8_t first[FIRST_READ];
  uint64_t need = 0;
  int64_t got = hv_file_read_some (fd, first, sizeof first, 0, err);
  if (got < 0)
    return (int) got;
  if ((uint64_t) got < sizeof first && (uint64_t) got < file_bytes)
    return hv_err_set (err, HV_E_ABORTED, "the file shrank while it was read");
  int rc = hv_qcow2_header_read (first, (uint64_t) got, file_bytes, ret, &need, err);
  return rc == 1 ? read_long_header (fd, file_bytes, need, ret, err) : rc;
}

int
hv_qcow2_image_open (const char *path, struct hv_qcow2_image *ret, struct hv_err *err)
{
  *ret = (struct hv_qcow2_image){ .fd = -1 };
  int rc = hv_file_open (path, O_RDONLY, &ret->fd, &ret->stat, err);
  return rc != 0 ? rc : read_header (ret->fd, (uint64_t) ret->stat.st_size, &ret->header, err);
}

void
hv_qcow2_image_close (struct hv_qcow2_image *image)
{
  if (image->fd >= 0)
    (void) close (HV_STEAL_FD (image->fd));
}

/* --- making one --- */

static int
raw_base_size (const struct hv_qcow2_new *new_image, uint64_t *ret_size, struct hv_err *err)
{
  HV_CLEAN (hv_fd) int fd = -1;
  struct stat st;
  uint8_t first[HV_FILE_LOOK_BYTES];
  int rc = hv_file_open (new_image->backing, O_RDONLY, &fd, &st, err);
  if (rc != 0)
    return rc;
  if (!new_image->backing_trusted_raw) {
    int64_t n = hv_file_read_some (fd, first, sizeof first, 0, err);
    if (n < 0)
      return (int) n;
    const char *like = hv_file_looks_like (first, (uint64_t) n);
    if (like != NULL)
      return hv_err_set (
          err, HV_E_FAILED_PRECONDITION,
          "given as raw, but it looks like %s: write its format as backing_format, or, if it is on record as raw and its "
          "guest wrote that, trusted_raw: true",
          like);
  }
  return hv_round_up ((uint64_t) st.st_size, 512, ret_size);
}

static int
qcow2_base_size (const struct hv_qcow2_new *new_image, uint64_t *ret_size, struct hv_err *err)
{
  struct hv_qcow2_image base;
  int rc = hv_qcow2_image_open (new_image->backing, &base, err);
  hv_qcow2_image_close (&base);
  if (rc == HV_E_INVALID_ARGUMENT)
    return hv_err_wrap (err, rc, "given as qcow2; write its format as backing_format");
  if (rc == 0 && base.header.incompatible & HV_QCOW2_CORRUPT)
    return hv_err_set (err, HV_E_DATA_LOSS, "is marked corrupt");
  return rc != 0 ? rc : hv_round_up (base.header.size_bytes, 512, ret_size);
}

/* The base is opened to be sure of what it is; the size is its own unless a larger one is asked for. */
static int
find_size (const struct hv_qcow2_new *new_image, uint64_t *ret_size, struct hv_err *err)
{
  uint64_t base = 0;
  if (new_image->backing == NULL) {
    *ret_size = new_image->size_bytes;
    return 0;
  }
  int rc = hv_file_check_path (new_image->backing, err);
  if (rc == 0)
    rc = hv_qcow2_check_backing_name (new_image->backing, strlen (new_image->backing), err);
  if (rc == 0)
    rc = (new_image->backing_is_qcow2 ? qcow2_base_size : raw_base_size) (new_image, &base, err);
  if (rc != 0)
    return hv_err_wrap (err, rc, "base '%s'", new_image->backing);
  if (new_image->size_bytes != 0 && new_image->size_bytes < base)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "virtual_size_bytes: %llu is less than the %llu of its base '%s'",
                       (unsigned long long) new_image->size_bytes, (unsigned long long) base, new_image->backing);
  *ret_size = new_image->size_bytes != 0 ? new_image->size_bytes : base;
  return 0;
}

/* The table lists the blocks; the blocks say 1 for each cluster there is. What is zero is left to be a hole. */
static int
write_refcounts (int fd, const struct hv_qcow2_layout *l, struct hv_err *err)
{
  uint64_t cluster = 1ull << l->cluster_bits, table_size = 8 * l->refblocks, counts_size = 2 * l->clusters;
  HV_CLEAN (hv_free) uint8_t *table = malloc (table_size);
  HV_CLEAN (hv_free) uint8_t *counts = malloc (counts_size);
  if (table == NULL || counts == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint64_t i = 0; i < l->refblocks; i++)
    hv_put_be64 (table + 8 * i, (1 + l->reftable_clusters + i) << l->cluster_bits);
  for (uint64_t i = 0; i < l->clusters; i++)
    hv_put_be16 (counts + 2 * i, 1);
  int rc = hv_file_write (fd, table, table_size, cluster, err);
  return rc != 0 ? rc : hv_file_write (fd, counts, counts_size, (1 + l->reftable_clusters) << l->cluster_bits, err);
}

static int
write_image (int fd, const struct hv_qcow2_new *new_image, const struct hv_qcow2_layout *l, struct hv_err *err)
{
  uint8_t header[HV_QCOW2_HEADER_ROOM];
  const char *format = new_image->backing == NULL ? NULL : new_image->backing_is_qcow2 ? "qcow2" : "raw";
  int n = hv_qcow2_header_write (l, new_image->backing, format, header, err);
  if (n < 0)
    return n;
  if (ftruncate (fd, (off_t) (l->clusters << l->cluster_bits)) != 0)
    return hv_err_sys (err, errno, "set the length");
  int rc = hv_file_write (fd, header, (uint64_t) n, 0, err);
  return rc != 0 ? rc : write_refcounts (fd, l, err);
}

static int
look_at (int fd, struct hv_qcow2_image *ret, struct hv_err *err)
{
  return fstat (fd, &ret->stat) == 0 ? 0 : hv_err_sys (err, errno, "stat");
}

int
hv_qcow2_image_make (const struct hv_qcow2_new *new_image, struct hv_qcow2_image *ret, struct hv_err *err)
{
  HV_CLEAN (hv_file_new) struct hv_file_new file = HV_FILE_NEW_INIT;
  struct hv_qcow2_layout layout;
  struct hv_qcow2_image made = { .fd = -1 };
  uint64_t size = 0;
  int rc = find_size (new_image, &size, err);
  if (rc == 0)
    rc = hv_qcow2_layout_make (size, new_image->cluster_bytes, &layout, err);
  if (rc == 0)
    rc = hv_file_new_begin (&file, new_image->path, err);
  if (rc == 0)
    rc = write_image (file.fd, new_image, &layout, err);
  if (rc == 0 && new_image->has_owner)
    rc = hv_file_new_chown (&file, new_image->owner_uid, err);
  if (rc == 0) /* what was written is read back like anybody's: a mistake here is found before the name exists */
    rc = read_header (file.fd, layout.clusters << layout.cluster_bits, &made.header, err);
  if (rc == 0)
    rc = hv_file_new_commit (&file, err);
  if (rc == 0)
    rc = look_at (file.fd, &made, err);
  if (rc == 0)
    *ret = made;
  return rc;
}
