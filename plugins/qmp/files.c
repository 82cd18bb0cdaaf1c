/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A look at the image files before QEMU gets them: that they are there, that their file system takes O_DIRECT, and that a
 * qcow2 header does not send QEMU to a data file that nobody declared. */
#include "qmp.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct files_job {
  const struct hv_machine *machine;
  uint8_t *direct;
  int strict;
  struct hv_err *err;
};

#define QCOW2_HEADER        80
#define QCOW2_EXTERNAL_DATA 4u /* incompatible feature bit 2 */

static uint32_t
be32 (const uint8_t *p)
{
  return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

static int
file_check_qcow2 (int fd, const char *path, struct hv_err *err)
{
  uint8_t h[QCOW2_HEADER];
  if (pread (fd, h, sizeof h, 0) < (ssize_t) sizeof h || memcmp (h, "QFI\xfb", 4) != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "image '%s' is declared qcow2 and is not", path);
  if (be32 (h + 4) >= 3 && (be32 (h + 76) & QCOW2_EXTERNAL_DATA))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "image '%s' keeps its data in another file, which is not declared", path);
  return 0;
}

/* One layer. *direct is cleared where O_DIRECT is refused. */
static int
file_check (const struct files_job *j, const char *path, uint32_t format, uint8_t *direct)
{
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    *direct = 0;
    return j->strict ? hv_err_sys (j->err, errno, "image '%s'", path) : 0;
  }
  HV_CLEAN (hv_fd) int direct_fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_DIRECT);
  if (direct_fd < 0)
    *direct = 0;
  return j->strict && format == HV_DISK_QCOW2 ? file_check_qcow2 (fd, path, j->err) : 0;
}

static int
files_run (void *arg)
{
  const struct files_job *j = arg;
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < j->machine->disks.count; i++) {
    const struct hv_machine_disk *d = &j->machine->disks.items[i];
    j->direct[i] = 1;
    r = file_check (j, d->path, d->format, &j->direct[i]);
    for (uint32_t n = 0; r == 0 && n < d->backing.count; n++)
      r = file_check (j, d->backing.items[n].path, d->backing.items[n].format, &j->direct[i]);
    if (r < 0)
      (void) hv_err_wrap (j->err, r, "disk '%s'", d->name);
  }
  return r;
}

int
qmp_files_probe (struct qmp *q, const struct hv_machine *m, uint8_t *ret_direct, int strict, struct hv_err *err)
{
  struct files_job j = { .machine = m, .direct = ret_direct, .strict = strict, .err = err };
  return m->disks.count == 0 ? 0 : hv_offload (q->host, files_run, &j, err);
}

/* --- what size the guest sees --- */

int
qmp_file_size (const char *path, uint32_t format, uint64_t *ret, struct hv_err *err)
{
  uint8_t h[QCOW2_HEADER];
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return hv_err_sys (err, errno, "image '%s'", path);
  if (format == HV_DISK_RAW) {
    off_t end = lseek (fd, 0, SEEK_END); /* of a block device, too */
    if (end < 0)
      return hv_err_sys (err, errno, "image '%s'", path);
    *ret = (uint64_t) end;
    return 0;
  }
  int r = file_check_qcow2 (fd, path, err);
  if (r == 0 && pread (fd, h, sizeof h, 0) == (ssize_t) sizeof h)
    *ret = (uint64_t) be32 (h + 24) << 32 | be32 (h + 28);
  return r;
}

struct size_job {
  const char *path;
  uint32_t format;
  uint64_t size;
  struct hv_err *err;
};

static int
size_run (void *arg)
{
  struct size_job *j = arg;
  return qmp_file_size (j->path, j->format, &j->size, j->err);
}

int
qmp_files_size (struct qmp *q, const char *path, uint32_t format, uint64_t *ret, struct hv_err *err)
{
  struct size_job j = { .path = path, .format = format, .err = err };
  int r = hv_offload (q->host, size_run, &j, err);
  if (r == 0)
    *ret = j.size;
  return r;
}
