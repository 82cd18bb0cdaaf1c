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

static void
write_overlay (struct tck *t, const char *path, const char *backing, const char *format, uint64_t size)
{
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
                            .format_size = htobe32 ((uint32_t) strlen (format)) };
  memcpy (h.format, format, strlen (format));
  int fd = create (t, path, 4 * CLUSTER);
  if (pwrite (fd, &h, sizeof h, 0) != (ssize_t) sizeof h
      || pwrite (fd, backing, strlen (backing), sizeof h) != (ssize_t) strlen (backing)
      || pwrite (fd, &table, sizeof table, CLUSTER) != (ssize_t) sizeof table
      || pwrite (fd, counts, sizeof counts, 2 * CLUSTER) != (ssize_t) sizeof counts)
    tck_fail (t, "the kit cannot write '%s': %s", path, strerror (errno));
  (void) close (fd);
}

/* What a qcow2 image says of itself; 0 when it is none, and thus raw. */
static uint64_t
qcow2_size (const char *path)
{
  struct qcow2_header h = { 0 };
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC);
  return fd >= 0 && pread (fd, &h, sizeof h, 0) > 32 && h.magic == htobe32 (0x514649fb) ? be64toh (h.size) : 0;
}

static void
overlay (struct tck *t, const char *path, const char *backing)
{
  uint64_t size = qcow2_size (backing);
  write_overlay (t, path, backing, size > 0 ? "qcow2" : "raw", size > 0 ? size : (uint64_t) tck_file_size (backing));
}

const char *
tck_overlay (struct tck *t, const char *name, const char *backing)
{
  const char *path = tck_path (t, name);
  overlay (t, path, backing);
  return path;
}

static char *
overlay_answer (void *arg, const char *args_json, int *ret_code)
{
  struct tck *t = arg;
  char *text = NULL;
  const json_t *args = tck_keep (t, json_loads (args_json, 0, NULL));
  overlay (t, tck_str (args, "path"), tck_str (args, "backing_path"));
  *ret_code = 0;
  if (asprintf (&text, "{\"path\":\"%s\",\"format\":\"qcow2\",\"virtual_size_bytes\":%llu,\"allocated_bytes\":0}",
                tck_str (args, "path"), (unsigned long long) qcow2_size (tck_str (args, "path")))
      < 0)
    tck_fail (t, "the kit is out of memory");
  return text;
}

void
tck_disk_provider (struct tck *t)
{
  hv_fake_answer (t->host, "disk-qcow2.overlay", overlay_answer, t);
}

int64_t
tck_file_size (const char *path)
{
  struct stat st;
  return lstat (path, &st) == 0 ? (int64_t) st.st_size : -1;
}
