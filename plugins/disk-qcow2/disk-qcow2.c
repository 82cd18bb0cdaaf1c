/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk-qcow2: disk/1 for qcow2 images, without starting a process. What touches the disk runs in an offload. */
#include "disk-qcow2.h"
#include "check.h"
#include "image.h"
#include "make.h"
#include <hvkit/file.h>
#include <hvkit/iface/disk.h>
#include <string.h>

HV_RECORD_TABLE (disk_qcow2_config, DISK_CONFIG, "config of disk-qcow2");

int
hv_disk_qcow2_allowed (const struct disk_qcow2 *self, const char *path, struct hv_err *err)
{
  return hv_file_check_below (path, &self->config->directories, err);
}

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- info --- */

static int
fill_backing (struct hv_host *host, const struct hv_qcow2_header *h, struct hv_disk_info *info, struct hv_err *err)
{
  const char *name = h->backing_size == 0 ? NULL : hv_strdup (host, h->backing);
  if (h->backing_size == 0)
    return 0;
  if (name == NULL)
    return no_memory (err);
  HV_SET (info, backing_path, name);
  for (uint32_t i = 0; hv_disk_format_words[i] != NULL; i++)
    if (strcmp (h->backing_format, hv_disk_format_words[i]) == 0)
      HV_SET (info, backing_format, i);
  if (h->backing_format[0] != '\0' && !HV_HAS (info, backing_format))
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "its base is of format '%s': raw and qcow2 are known", h->backing_format);
  return 0;
}

static int
fill_info (struct hv_host *host, const char *path, const struct hv_qcow2_image *image, struct hv_disk_info *info,
           struct hv_err *err)
{
  const struct hv_qcow2_header *h = &image->header;
  HV_SET (info, path, path);
  HV_SET (info, format, HV_DISK_QCOW2);
  HV_SET (info, virtual_size_bytes, h->size_bytes);
  HV_SET (info, allocated_bytes, (uint64_t) image->stat.st_blocks * 512);
  HV_SET (info, file_size_bytes, (uint64_t) image->stat.st_size);
  HV_SET (info, cluster_size_bytes, 1u << h->cluster_bits);
  HV_SET (info, compat, h->version == 2 ? "0.10" : "1.1");
  HV_SET (info, refcount_bits, h->refcount_bits);
  HV_SET (info, compression, h->zstd ? "zstd" : "zlib");
  HV_SET (info, lazy_refcounts, (h->compatible & HV_QCOW2_LAZY_REFCOUNT) != 0);
  HV_SET (info, dirty, (h->incompatible & HV_QCOW2_DIRTY) != 0);
  HV_SET (info, corrupt, (h->incompatible & HV_QCOW2_CORRUPT) != 0);
  HV_SET (info, extended_l2, (h->incompatible & HV_QCOW2_EXTENDED_L2) != 0);
  HV_SET (info, snapshots, h->snapshots);
  return fill_backing (host, h, info, err);
}

struct open_job {
  const char *path;
  struct hv_qcow2_image image;
  struct hv_err *err;
};

static int
open_job (void *arg)
{
  struct open_job *job = arg;
  return hv_qcow2_image_open (job->path, &job->image, job->err);
}

/* A flag that only raw images have a use for is not silently dropped. */
static int
refuse_trusted_raw (const struct hv_disk_ref *args, struct hv_err *err)
{
  if (!args->trusted_raw)
    return 0;
  return hv_err_set (err, HV_E_INVALID_ARGUMENT, "trusted_raw: '%s' is given as qcow2 and as raw; for raw, call disk-raw",
                     args->path);
}

/* Close job.image afterwards, also after a failure. */
static int
open_image (struct disk_qcow2 *self, const struct hv_disk_ref *args, struct open_job *job, struct hv_err *err)
{
  *job = (struct open_job){ .path = args->path, .image.fd = -1, .err = err };
  int rc = refuse_trusted_raw (args, err);
  if (rc != 0)
    return rc;
  rc = hv_disk_qcow2_allowed (self, args->path, err);
  if (rc == 0)
    rc = hv_offload (self->host, open_job, job, err);
  if (rc == HV_E_INVALID_ARGUMENT && hv_err_code (err) == rc)
    hv_err_data (err, "reason", "format");
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "disk '%s'", args->path);
}

static int
handle_info (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  struct hv_host *host = ((struct disk_qcow2 *) self)->host;
  const struct hv_disk_ref *ref = args;
  struct open_job job;
  int rc = open_image (self, ref, &job, err);
  hv_qcow2_image_close (&job.image);
  if (rc != 0)
    return rc;
  rc = fill_info (host, ref->path, &job.image, result, err);
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "disk '%s'", ref->path);
}

int
hv_disk_qcow2_describe (struct disk_qcow2 *self, const char *path, void *ret_info, struct hv_err *err)
{
  const struct hv_disk_ref ref = { .path = path, .has = { .path = 1 } };
  struct open_job job;
  int rc = open_image (self, &ref, &job, err);
  hv_qcow2_image_close (&job.image);
  return rc == 0 ? fill_info (self->host, path, &job.image, ret_info, err) : rc;
}

/* --- create, overlay --- */

struct make_job {
  struct hv_qcow2_new what;
  struct hv_qcow2_image made;
  struct hv_err *err;
};

static int
make_job (void *arg)
{
  struct make_job *job = arg;
  return hv_qcow2_image_make (&job->what, &job->made, job->err);
}

static int
make (struct disk_qcow2 *self, struct make_job *job, void *result, struct hv_err *err)
{
  job->err = err;
  int rc = hv_disk_qcow2_allowed (self, job->what.path, err);
  if (rc == 0 && job->what.backing != NULL)
    rc = hv_disk_qcow2_allowed (self, job->what.backing, err);
  if (rc == 0)
    rc = hv_offload (self->host, make_job, job, err);
  if (rc == 0)
    rc = fill_info (self->host, job->what.path, &job->made, result, err);
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "create disk '%s'", job->what.path);
}

static int
make_preallocated (struct disk_qcow2 *self, struct hv_call *call, const struct hv_qcow2_new *what, void *result, struct hv_err *err)
{
  const struct hv_qcow2_target target
      = { .path = what->path, .cluster_bytes = what->cluster_bytes, .has_owner = what->has_owner, .owner_uid = what->owner_uid };
  const struct hv_qcow2_made made = { .call = call, .target = &target, .size_bytes = what->size_bytes };
  int rc = hv_disk_qcow2_allowed (self, what->path, err);
  if (rc == 0)
    rc = hv_qcow2_make_preallocated (self, &made, err);
  if (rc == 0)
    rc = hv_disk_qcow2_describe (self, what->path, result, err);
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "create disk '%s'", what->path);
}

static int
handle_create (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_disk_create_args *a = args;
  if (a->virtual_size_bytes % 512 != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "virtual_size_bytes: not a multiple of 512");
  struct make_job job = { .what = { .path = a->path,
                                    .size_bytes = a->virtual_size_bytes,
                                    .cluster_bytes = HV_HAS (a, cluster_size_bytes) ? a->cluster_size_bytes : 65536,
                                    .has_owner = HV_HAS (a, owner_uid),
                                    .owner_uid = a->owner_uid } };
  return a->preallocate ? make_preallocated (self, call, &job.what, result, err) : make (self, &job, result, err);
}

static int
handle_overlay (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  const struct hv_disk_overlay_args *a = args;
  if (a->trusted_raw && a->backing_format != HV_DISK_RAW)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "trusted_raw: goes with backing_format raw only");
  if (a->virtual_size_bytes % 512 != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "virtual_size_bytes: not a multiple of 512");
  struct make_job job = { .what = { .path = a->path,
                                    .size_bytes = a->virtual_size_bytes,
                                    .cluster_bytes = a->cluster_size_bytes,
                                    .backing = a->backing_path,
                                    .backing_is_qcow2 = a->backing_format == HV_DISK_QCOW2,
                                    .backing_trusted_raw = a->trusted_raw,
                                    .has_owner = HV_HAS (a, owner_uid),
                                    .owner_uid = a->owner_uid } };
  return make (self, &job, result, err);
}

/* --- check --- */

struct check_job {
  struct hv_qcow2_image *image;
  struct hv_qcow2_check *check;
  struct hv_err *err;
};

static int
check_begin_job (void *arg)
{
  struct check_job *job = arg;
  int rc = hv_file_check_unused (job->image->fd, job->err);
  return rc != 0 ? rc : hv_qcow2_check_new (job->image, &job->check, job->err);
}

static int
check_step_job (void *arg)
{
  struct check_job *job = arg;
  return hv_qcow2_check_step (job->check, job->err);
}

static int
run_check (struct hv_host *host, struct hv_call *call, struct check_job *job, struct hv_err *err)
{
  uint64_t done, total;
  int rc = hv_offload (host, check_begin_job, job, err);
  if (rc != 0)
    return rc;
  while ((rc = hv_offload (host, check_step_job, job, err)) > 0) {
    if (hv_cancelled (call))
      return hv_err_set (err, HV_E_CANCELLED, "cancelled");
    hv_qcow2_check_progress (job->check, &done, &total);
    hv_progress (call, "check", done, total, "clusters");
  }
  return rc;
}

static int
fill_check (struct hv_host *host, const struct hv_qcow2_findings *found, struct hv_disk_check_result *result, struct hv_err *err)
{
  const char **texts = hv_alloc (host, (found->count + 1) * sizeof *texts);
  if (texts == NULL)
    return no_memory (err);
  for (uint32_t i = 0; i < found->count; i++)
    if ((texts[i] = hv_strdup (host, found->text[i])) == NULL)
      return no_memory (err);
  HV_SET (result, clean, found->errors == 0 && found->leaked_clusters == 0);
  HV_SET (result, errors, found->errors);
  HV_SET (result, leaked_clusters, found->leaked_clusters);
  HV_SET (result, findings, (struct hv_strs){ texts, found->count });
  return 0;
}

static int
handle_check (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct hv_host *host = ((struct disk_qcow2 *) self)->host;
  const struct hv_disk_ref *ref = args;
  struct open_job open;
  struct check_job job = { .image = &open.image, .err = err };
  int rc = open_image (self, ref, &open, err);
  if (rc == 0) {
    rc = run_check (host, call, &job, err);
    if (rc == 0)
      rc = fill_check (host, hv_qcow2_check_findings (job.check), result, err);
    if (rc != 0)
      hv_err_wrap (err, rc, "check disk '%s'", ref->path);
  }
  HV_SET ((struct hv_disk_check_result *) result, path, ref->path);
  hv_qcow2_check_free (job.check);
  hv_qcow2_image_close (&open.image);
  return rc;
}

/* --- delete --- */

struct delete_job {
  const struct hv_disk_ref *ref;
  struct hv_err *err;
};

static int
delete_job (void *arg)
{
  struct delete_job *job = arg;
  struct hv_qcow2_image image;
  int rc = hv_qcow2_image_open (job->ref->path, &image, job->err);
  if (image.fd >= 0 && (rc == HV_E_DATA_LOSS || rc == HV_E_UNIMPLEMENTED || rc == HV_E_FAILED_PRECONDITION))
    rc = 0; /* damaged, newer, or refused for what it names: qcow2 all the same */
  if (rc == 0)
    rc = hv_file_check_unused (image.fd, job->err);
  if (rc == 0)
    rc = hv_file_delete (job->ref->path, image.fd, job->err);
  hv_qcow2_image_close (&image);
  return rc;
}

static int
handle_delete (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  (void) result;
  struct delete_job job = { .ref = args, .err = err };
  int rc = refuse_trusted_raw (args, err);
  if (rc == 0)
    rc = hv_disk_qcow2_allowed (self, job.ref->path, err);
  if (rc == 0)
    rc = hv_offload (((struct disk_qcow2 *) self)->host, delete_job, &job, err);
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "delete disk '%s'", job.ref->path);
}

/* --- the plugin --- */

static int
start (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  struct disk_qcow2 *self = calloc (1, sizeof *self);
  if (self == NULL)
    return no_memory (err);
  self->host = host;
  self->config = config;
  *ret_self = self;
  return 0;
}

const struct hv_plugin hv_disk_qcow2_plugin = {
  HV_PLUGIN_HEAD,
  .name = "disk-qcow2",
  .version = HV_VERSION,
  .summary = "qcow2 images: info, create, overlay, convert, commit, rebase, resize, map, inspect, check, delete",
  .license = "LGPL-2.1-or-later",
  .provides = (const struct hv_iface *const[]){ &hv_iface_disk, NULL },
  .config = &disk_qcow2_config_record,
  .methods = (const struct hv_method *const[]){ HV_IMPLEMENT (hv_disk_verb_info, handle_info),
                                                HV_IMPLEMENT (hv_disk_verb_create, handle_create),
                                                HV_IMPLEMENT (hv_disk_verb_overlay, handle_overlay),
                                                HV_IMPLEMENT (hv_disk_verb_check, handle_check),
                                                HV_IMPLEMENT (hv_disk_verb_delete, handle_delete),
                                                HV_IMPLEMENT (hv_disk_verb_map, hv_disk_qcow2_map),
                                                HV_IMPLEMENT (hv_disk_verb_inspect, hv_disk_qcow2_inspect),
                                                HV_IMPLEMENT (hv_disk_verb_convert, hv_disk_qcow2_convert),
                                                HV_IMPLEMENT (hv_disk_verb_resize, hv_disk_qcow2_resize),
                                                HV_IMPLEMENT (hv_disk_verb_commit, hv_disk_qcow2_commit),
                                                HV_IMPLEMENT (hv_disk_verb_rebase, hv_disk_qcow2_rebase),
                                                HV_IMPLEMENT (hv_disk_verb_connect, hv_disk_qcow2_connect),
                                                HV_IMPLEMENT (hv_disk_verb_disconnect, hv_disk_qcow2_disconnect),
                                                &hv_disk_qcow2_import, NULL },
  .start = start,
  .stop = free,
};
