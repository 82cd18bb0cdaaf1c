/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert, import: what a guest sees, into an image that stands alone. */
#include "copy.h"
#include "disk-qcow2.h"
#include "make.h"
#include <hvkit/file.h>
#include <string.h>

#define CLUSTER 65536u

#define IMPORT_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "raw image to read; no VM runs on it", .umin = 1, .max = 4096) \
  F (T, STR, _, target_path, HV_REQUIRED | HV_PATH, "qcow2 file to make; must not exist", .umin = 1, .max = 4096) \
  F (T, U32, _, cluster_size_bytes, 0, "its cluster size", .unit = "bytes", .def = "65536", .umin = 512, .max = 2097152) \
  F (T, U32, _, owner_uid, 0, "uid it is given to") \
  F (T, BOOL, _, trusted_raw, 0, "recorded as raw: what its bytes look like is not considered", .def = "false") \
  F (T, BOOL, _, compress, 0, "compress clusters", .def = "false")
HV_RECORD_STRUCT (disk_qcow2_import_args, IMPORT_ARGS);
HV_RECORD_TABLE (disk_qcow2_import_args, IMPORT_ARGS, "arguments of import");

struct job {
  const struct hv_qcow2_source *sources;
  uint32_t count;
  int compress;
  struct hv_qcow2_target target;
  struct hv_qcow2_reader *reader;
  struct hv_qcow2_copy *copy;
  struct stat stat; /* of the target, once it is done */
  struct hv_err *err;
};

static int
begin_job (void *arg)
{
  struct job *j = arg;
  int r = hv_qcow2_reader_open (j->sources, j->count, 0, &j->reader, j->err);
  if (r == 0)
    r = hv_file_check_unused (hv_qcow2_reader_fd (j->reader, 0), j->err);
  return r == 0 && !j->compress ? hv_qcow2_copy_new (j->reader, &j->target, &j->copy, j->err) : r;
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
  int r = hv_qcow2_copy_finish (j->copy, -1, j->err);
  return r == 0 && stat (j->target.path, &j->stat) < 0 ? hv_err_set (j->err, HV_E_ABORTED, "it was removed at once") : r;
}

/* Compressed clusters are qemu-img's to write. [coro] */
static int
compress (struct disk_qcow2 *d, struct hv_call *call, struct job *j, struct hv_err *err)
{
  struct hv_qcow2_made m = { .call = call, .target = &j->target };
  return hv_qcow2_make_compressed (d, &m, j->reader, j->sources, j->count, err);
}

static int
copy (struct disk_qcow2 *d, struct hv_call *call, struct job *j, struct hv_err *err)
{
  uint64_t size = hv_qcow2_reader_size (j->reader);
  int r = 0;
  while (r == 0 && (r = hv_offload (d->host, step_job, j, err)) > 0) {
    hv_progress (call, "convert", hv_qcow2_copy_done (j->copy), size, "bytes");
    r = hv_cancelled (call) ? hv_err_set (err, HV_E_CANCELLED, "cancelled") : 0;
  }
  return r == 0 ? hv_offload (d->host, finish_job, j, err) : r;
}

/* The job's parts are closed in any case. [coro] */
static int
run (struct disk_qcow2 *d, struct hv_call *call, struct job *j, struct hv_err *err)
{
  j->err = err;
  int r = hv_disk_qcow2_allowed (d, j->target.path, err);
  for (uint32_t i = 0; r == 0 && i < j->count; i++)
    r = hv_disk_qcow2_allowed (d, j->sources[i].path, err);
  if (r == 0)
    r = hv_offload (d->host, begin_job, j, err);
  if (r == 0)
    r = j->compress ? compress (d, call, j, err) : copy (d, call, j, err);
  hv_qcow2_copy_free (j->copy);
  hv_qcow2_reader_close (j->reader);
  return r < 0 ? hv_err_wrap (err, r, "convert disk '%s' to '%s'", j->sources[0].path, j->target.path) : 0;
}

static int
describe (struct disk_qcow2 *d, const struct job *j, uint64_t size, void *result, struct hv_err *err)
{
  struct hv_disk_info *info = result;
  if (j->target.is_qcow2)
    return hv_disk_qcow2_describe (d, j->target.path, info, err);
  HV_SET (info, path, j->target.path);
  HV_SET (info, format, HV_DISK_RAW);
  HV_SET (info, virtual_size_bytes, size);
  HV_SET (info, file_size_bytes, (uint64_t) j->stat.st_size);
  HV_SET (info, allocated_bytes, (uint64_t) j->stat.st_blocks * 512);
  return 0;
}

static int
check_args (const struct hv_disk_convert_args *a, struct hv_err *err)
{
  if (a->trusted_raw)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "trusted_raw: '%s' is given as qcow2; for raw, call disk-raw", a->path);
  if (a->compress && a->target_format != HV_DISK_QCOW2)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "compress: goes with target_format qcow2 only");
  if (HV_HAS (a, cluster_size_bytes) && a->target_format != HV_DISK_QCOW2)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "cluster_size_bytes: goes with target_format qcow2 only");
  return 0;
}

int
hv_disk_qcow2_convert (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_disk_convert_args *a = args;
  struct hv_qcow2_source sources[HV_QCOW2_LAYERS_MAX];
  int r = check_args (a, err);
  if (r == 0)
    r = hv_qcow2_sources (a->path, a->backing.items, a->backing.count, sources, err);
  if (r < 0)
    return r;
  struct job j = { .sources = sources, .count = a->backing.count + 1, .compress = a->compress };
  j.target = (struct hv_qcow2_target){ .path = a->target_path,
                                       .is_qcow2 = a->target_format == HV_DISK_QCOW2,
                                       .cluster_bytes = HV_HAS (a, cluster_size_bytes) ? a->cluster_size_bytes : CLUSTER,
                                       .has_owner = HV_HAS (a, owner_uid),
                                       .owner_uid = a->owner_uid };
  r = run (self, call, &j, err);
  return r == 0 ? describe (self, &j, (uint64_t) j.stat.st_size, result, err) : r;
}

static int
import (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct disk_qcow2_import_args *a = args;
  const struct hv_qcow2_source source = { a->path, 0, a->trusted_raw };
  struct job j = { .sources = &source, .count = 1, .compress = a->compress };
  j.target = (struct hv_qcow2_target){ .path = a->target_path,
                                       .is_qcow2 = 1,
                                       .cluster_bytes = a->cluster_size_bytes,
                                       .has_owner = HV_HAS (a, owner_uid),
                                       .owner_uid = a->owner_uid };
  int r = run (self, call, &j, err);
  return r == 0 ? describe (self, &j, 0, result, err) : r;
}

const struct hv_method hv_disk_qcow2_import = { .struct_size = sizeof (struct hv_method),
                                                .flags = HV_PROGRESS,
                                                .verb = "import",
                                                .handler = import,
                                                .args = &disk_qcow2_import_args_record,
                                                .result = &hv_disk_info_record,
                                                .access = HV_ACCESS_CHECKED_ (HV_OPERATOR),
                                                .lane = HV_LANE_MUTATE,
                                                .key = "target_path",
                                                .timeout_ms = 86400000,
                                                .doc = "Make a qcow2 image of a raw one" };
