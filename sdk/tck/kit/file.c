/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that checks need: raw images and qcow2 overlays, written here so that the kit needs no tool of any backend. */
#include "sdk/tck/kit/kit.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

const char *
tck_path (struct tck *t, const char *name)
{
  return tck_text (t, "%s/%s", t->files, name);
}

static int
create (struct tck *t, const char *path, uint64_t size)
{
  int fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 || fchmod (fd, 0666) < 0 || ftruncate (fd, (off_t) size) < 0)
    tck_fail (t, "the kit cannot make '%s': %s", path, strerror (errno));
  return fd;
}

const char *
tck_raw (struct tck *t, const char *name, uint64_t size)
{
  const char *path = tck_path (t, name);
  (void) close (create (t, path, size));
  return path;
}

/* The smallest overlay there is: header, one refcount table, one refcount block, one empty L1 table. */
#define CLUSTER 65536u
struct qcow2_header {
  uint32_t magic, version;
  uint64_t backing_offset;
  uint32_t backing_size, cluster_bits;
  uint64_t size;
  uint32_t crypt, l1_size;
  uint64_t l1_offset, refcount_offset;
  uint32_t refcount_clusters, snapshots;
  uint64_t snapshots_offset, incompatible, compatible, autoclear;
  uint32_t refcount_order, header_length;
  uint32_t format_type, format_size; /* extension: the backing's format, never guessed */
  char format[8];
  uint32_t end_type, end_size;
} __attribute__ ((packed));

const char *
tck_overlay (struct tck *t, const char *name, const char *backing, uint64_t size)
{
  const char *path = tck_path (t, name);
  uint64_t table = htobe64 (2 * CLUSTER);
  uint16_t counts[4] = { htobe16 (1), htobe16 (1), htobe16 (1), htobe16 (1) };
  struct qcow2_header h = { .magic = htobe32 (0x514649fb),
                            .version = htobe32 (3),
                            .backing_offset = htobe64 (sizeof h),
                            .backing_size = htobe32 ((uint32_t) strlen (backing)),
                            .cluster_bits = htobe32 (16),
                            .size = htobe64 (size),
                            .l1_size = htobe32 ((uint32_t) ((size + (512u << 20) - 1) / (512u << 20))),
                            .l1_offset = htobe64 (3 * CLUSTER),
                            .refcount_offset = htobe64 (CLUSTER),
                            .refcount_clusters = htobe32 (1),
                            .refcount_order = htobe32 (4),
                            .header_length = htobe32 (104),
                            .format_type = htobe32 (0xe2792aca),
                            .format_size = htobe32 (3),
                            .format = "raw" };
  int fd = create (t, path, 4 * CLUSTER);
  if (pwrite (fd, &h, sizeof h, 0) != (ssize_t) sizeof h
      || pwrite (fd, backing, strlen (backing), sizeof h) != (ssize_t) strlen (backing)
      || pwrite (fd, &table, sizeof table, CLUSTER) != (ssize_t) sizeof table
      || pwrite (fd, counts, sizeof counts, 2 * CLUSTER) != (ssize_t) sizeof counts)
    tck_fail (t, "the kit cannot write '%s': %s", path, strerror (errno));
  (void) close (fd);
  return path;
}

int64_t
tck_file_size (const char *path)
{
  struct stat st;
  return lstat (path, &st) == 0 ? (int64_t) st.st_size : -1;
}
