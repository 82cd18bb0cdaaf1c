/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rebase: a new overlay is made beside the old one, of what the guest sees and the new base has not, and takes its place when it is
 * whole: at every moment the name is a disk with the guest's contents. */
#include "copy.h"
#include "disk-qcow2.h"
#include <hvkit/file.h>
#include <string.h>

struct job {
  const struct hv_disk_rebase_args *a;
  struct hv_qcow2_source sources[HV_QCOW2_LAYERS_MAX];
  uint32_t count;
  struct hv_qcow2_reader *reader, *base;
  struct hv_qcow2_target target;
  struct hv_qcow2_copy *copy;
  struct hv_err *err;
};

static int
check_top (const struct job *j)
{
  const struct hv_qcow2_header *h = hv_qcow2_reader_header (j->reader);
  if (h->snapshots > 0)
    return hv_err_set (j->err, HV_E_FAILED_PRECONDITION, "it has %u internal snapshots, which would be lost", h->snapshots);
  if (h->autoclear & HV_QCOW2_BITMAPS)
    return hv_err_set (j->err, HV_E_FAILED_PRECONDITION,
                       "it has persistent bitmaps, which would be lost: remove them first, and begin "
                       "the next backup with a full one");
  return hv_file_check_unused (hv_qcow2_reader_fd (j->reader, 0), j->err);
}

/* The new base is a layer that is below already, with those below it; or it stands alone. */
static int
open_base (struct job *j)
{
  const struct hv_disk_rebase_args *a = j->a;
  int is_qcow2 = a->backing_format == HV_DISK_QCOW2;
  struct hv_qcow2_source alone = { a->backing_path, is_qcow2, a->trusted_raw };
  uint32_t i = 1;
  while (i < j->count && strcmp (j->sources[i].path, a->backing_path) != 0)
    i++;
  if (i < j->count && j->sources[i].is_qcow2 != is_qcow2)
    return hv_err_set (j->err, HV_E_INVALID_ARGUMENT, "'%s' is given as %s in backing, and as %s", a->backing_path,
                       is_qcow2 ? "raw" : "qcow2", is_qcow2 ? "qcow2" : "raw");
  int r = i < j->count ? hv_qcow2_reader_open (&j->sources[i], j->count - i, 0, &j->base, j->err)
                       : hv_qcow2_reader_open (&alone, 1, 0, &j->base, j->err);
  j->target.base = j->base;
  j->target.base_path = a->backing_path;
  j->target.base_is_qcow2 = is_qcow2;
  j->target.shared = i < j->count ? i : 0;
  return r < 0 ? hv_err_wrap (j->err, r, "base '%s'", a->backing_path) : 0;
}

static int
begin_job (void *arg)
{
  struct job *j = arg;
  int r = hv_qcow2_reader_open (j->sources, j->count, 0, &j->reader, j->err);
  if (r == 0)
    r = check_top (j);
  if (r == 0 && HV_HAS (j->a, backing_path))
    r = open_base (j);
  if (r < 0)
    return r;
  j->target.path = j->a->path;
  j->target.is_qcow2 = j->target.replaces = 1;
  j->target.cluster_bytes = 1ull << hv_qcow2_reader_header (j->reader)->cluster_bits;
  return hv_qcow2_copy_new (j->reader, &j->target, &j->copy, j->err);
}

static int
step_job (void *arg)
{
  struct job *j = arg;
  return hv_qcow2_copy_step (j->copy, j->err);
}

static int
finish_job (void *arg)
{
  struct job *j = arg;
  return hv_qcow2_copy_finish (j->copy, hv_qcow2_reader_fd (j->reader, 0), j->err);
}

static int
run (struct disk_qcow2 *d, struct hv_call *call, struct job *j, struct hv_err *err)
{
  int r = hv_offload (d->host, begin_job, j, err);
  uint64_t size = r == 0 ? hv_qcow2_reader_size (j->reader) : 0;
  while (r == 0 && (r = hv_offload (d->host, step_job, j, err)) > 0) {
    hv_progress (call, "rebase", hv_qcow2_copy_done (j->copy), size, "bytes");
    r = hv_cancelled (call) ? hv_err_set (err, HV_E_CANCELLED, "cancelled") : 0;
  }
  if (r == 0)
    r = hv_offload (d->host, finish_job, j, err);
  hv_qcow2_copy_free (j->copy);
  hv_qcow2_reader_close (j->base);
  hv_qcow2_reader_close (j->reader);
  return r;
}

static int
check_args (struct disk_qcow2 *d, const struct hv_disk_rebase_args *a, struct hv_err *err)
{
  if (HV_HAS (a, backing_path) != HV_HAS (a, backing_format))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "backing_format: goes with backing_path, and that with it");
  if (a->trusted_raw && (!HV_HAS (a, backing_format) || a->backing_format != HV_DISK_RAW))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "trusted_raw: goes with backing_format raw only");
  int r = hv_disk_qcow2_allowed (d, a->path, err);
  if (r == 0 && HV_HAS (a, backing_path))
    r = hv_disk_qcow2_allowed (d, a->backing_path, err);
  if (r == 0 && HV_HAS (a, backing_path))
    r = hv_qcow2_check_backing_name (a->backing_path, strlen (a->backing_path), err);
  for (uint32_t i = 0; i < a->backing.count && r == 0; i++)
    r = hv_disk_qcow2_allowed (d, a->backing.items[i].path, err);
  return r;
}

int
hv_disk_qcow2_rebase (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_qcow2 *d = self;
  const struct hv_disk_rebase_args *a = args;
  struct job *j = hv_alloc (d->host, sizeof *j);
  if (j == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  j->a = a;
  j->err = err;
  j->count = a->backing.count + 1;
  int r = check_args (d, a, err);
  if (r == 0 && a->header_only)
    r = hv_disk_qcow2_rename_base (d, call, a, err);
  else if (r == 0) {
    r = hv_qcow2_sources (a->path, a->backing.items, a->backing.count, j->sources, err);
    r = r == 0 ? run (d, call, j, err) : r;
  }
  if (r == 0)
    r = hv_disk_qcow2_describe (d, a->path, result, err);
  return r < 0 ? hv_err_wrap (err, r, "rebase disk '%s'", a->path) : 0;
}
