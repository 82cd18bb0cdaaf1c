/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of volumes: <state>/volumes/<namespace>/<claim>/disk.img, which outlive every VM, and <state>/overlays/<domain>/
 * <volume>.qcow2, which live as long as one run. Paths are made of names without '/' and '.', below our own directory. */
#include "vmi.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hvkit/file.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- jobs for the worker pool --- */

struct file_job {
  struct vmi *vmi;
  const char *path;
  const char *const *keep; /* sweep: domains that are there */
  int exists;
  struct hv_err *err;
};

/* Makes the directories below the state directory that lead to a file, durably. */
static int
make_parents (struct file_job *j)
{
  HV_CLEAN (hv_free) char *path = strdup (j->path);
  if (path == NULL)
    return vmi_no_memory (j->err);
  for (char *at = strchr (path + strlen (j->vmi->state_dir) + 1, '/'); at != NULL; at = strchr (at + 1, '/')) {
    HV_CLEAN (hv_fd) int up = -1;
    const char *name;
    *at = '\0';
    int made = mkdir (path, 0700) == 0;
    if (!made && errno != EEXIST)
      return hv_err_sys (j->err, errno, "make directory '%s'", path);
    if (made && hv_file_open_dir (path, &up, &name, NULL) == 0 && fsync (up) < 0)
      return hv_err_sys (j->err, errno, "make directory '%s'", path);
    *at = '/';
  }
  return 0;
}

static int
job_exists (void *arg)
{
  struct file_job *j = arg;
  HV_CLEAN (hv_fd) int fd = -1;
  int r = hv_file_open (j->path, O_RDONLY, &fd, NULL, j->err);
  j->exists = r == 0;
  return r == HV_E_NOT_FOUND ? 0 : r < 0 ? hv_err_wrap (j->err, r, "'%s'", j->path) : 0;
}

static int
job_parents (void *arg)
{
  return make_parents (arg);
}

/* Removes a directory of overlays and what is in it. It has no directories in it. */
static int
remove_dir (const char *path, struct hv_err *err)
{
  DIR *d = opendir (path);
  int r = 0;
  if (d == NULL)
    return errno == ENOENT ? 0 : hv_err_sys (err, errno, "'%s'", path);
  for (struct dirent *e; r == 0 && (e = readdir (d)) != NULL;)
    if (strcmp (e->d_name, ".") != 0 && strcmp (e->d_name, "..") != 0 && unlinkat (dirfd (d), e->d_name, 0) < 0 && errno != ENOENT)
      r = hv_err_sys (err, errno, "remove '%s/%s'", path, e->d_name);
  closedir (d);
  if (r == 0 && rmdir (path) < 0 && errno != ENOENT)
    r = hv_err_sys (err, errno, "remove '%s'", path);
  return r;
}

static int
job_remove_dir (void *arg)
{
  struct file_job *j = arg;
  return remove_dir (j->path, j->err);
}

static int
job_remove_claim (void *arg)
{
  struct file_job *j = arg;
  HV_CLEAN (hv_fd) int fd = -1;
  HV_CLEAN (hv_free) char *dir = strdup (j->path);
  if (dir == NULL)
    return vmi_no_memory (j->err);
  int r = hv_file_open (j->path, O_RDONLY, &fd, NULL, j->err);
  if (r == 0)
    r = hv_file_check_unused (fd, j->err);
  if (r == 0)
    r = hv_file_delete (j->path, fd, j->err);
  if (r < 0 && r != HV_E_NOT_FOUND)
    return hv_err_wrap (j->err, r, "remove '%s'", j->path);
  *strrchr (dir, '/') = '\0';
  if (rmdir (dir) < 0 && errno != ENOENT && errno != ENOTEMPTY)
    return hv_err_sys (j->err, errno, "remove '%s'", dir);
  return 0;
}

static int
is_kept (const char *const *keep, const char *name)
{
  for (; *keep != NULL; keep++)
    if (strcmp (*keep, name) == 0)
      return 1;
  return name[0] == '.';
}

static int
job_sweep (void *arg)
{
  struct file_job *j = arg;
  DIR *d = opendir (j->path);
  char path[1024];
  if (d == NULL)
    return 0;
  for (struct dirent *e; (e = readdir (d)) != NULL;)
    if (!is_kept (j->keep, e->d_name) && snprintf (path, sizeof path, "%s/%s", j->path, e->d_name) < (int) sizeof path)
      (void) remove_dir (path, NULL);
  closedir (d);
  return 0;
}

static int
run_job (struct vmi *vmi, int (*fn) (void *), const char *path, int *ret_exists, struct hv_err *err)
{
  struct file_job j = { .vmi = vmi, .path = path, .err = err };
  if (path == NULL)
    return vmi_no_memory (err);
  int r = hv_offload (vmi->host, fn, &j, err);
  if (r == 0 && ret_exists != NULL)
    *ret_exists = j.exists;
  return r;
}

/* --- what a start needs --- */

int
vmi_volumes_exists (struct vmi *vmi, const char *path, int *ret, struct hv_err *err)
{
  return run_job (vmi, job_exists, path, ret, err);
}

static int
create (struct vmi *vmi, const char *path, uint64_t bytes, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct hv_disk_create_args a = { 0 };
  struct hv_disk_info info;
  HV_SET (&a, path, path);
  HV_SET (&a, virtual_size_bytes, bytes);
  int r = hv_call_method (h, "disk-raw.create", hv_disk_create_args, &a, hv_disk_info, &info, err);
  return r == HV_E_ALREADY_EXISTS ? 0 : r;
}

static int
create_missing (struct vmi_vm *v, const struct vmi_volume_plan *p, struct hv_err *err)
{
  struct vmi *vmi = v->vmi;
  const struct vmi_item *c = p->claim != NULL ? vmi_item_find (vmi, VMI_KIND_CLAIM, v->namespace_, p->claim) : NULL;
  uint64_t bytes = c != NULL ? c->bytes : p->create_bytes;
  if (bytes == 0)
    return hv_err_set (err, HV_E_NOT_FOUND,
                       p->claim != NULL ? "'%s' does not exist, and no PersistentVolumeClaim '%s' gives its size"
                                        : "'%s' does not exist",
                       p->path, p->claim);
  if (p->format != HV_DISK_RAW)
    return hv_err_set (err, HV_E_NOT_FOUND, "'%s' does not exist, and only raw disks are made", p->path);
  int r = p->claim != NULL ? run_job (vmi, job_parents, p->path, NULL, err) : 0;
  if (r == 0)
    r = create (vmi, p->path, bytes, err);
  if (r == 0)
    vmi_note (v, 0, "VolumeCreated", "made '%s' (%" PRIu64 " bytes) for volume '%s'", p->path, bytes, p->name);
  return r;
}

/* What an image names as its base would be opened unasked: only a whole one is taken. */
static int
check_whole (struct vmi *vmi, const char *path, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct hv_disk_ref a = { 0 };
  struct hv_disk_info info;
  HV_SET (&a, path, path);
  int r = hv_call_method (h, "disk-qcow2.info", hv_disk_ref, &a, hv_disk_info, &info, err);
  if (r == 0 && HV_HAS (&info, backing_path))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s' has a base of its own, '%s'; only images that stand alone are taken",
                       path, info.backing_path);
  return r;
}

/* An image in the cache, and a disk that was made for a claim, are on record as raw: what a guest wrote does not count. */
static int
make_overlay (struct vmi_vm *v, const struct vmi_volume_plan *p, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  const struct vmi_item *c = p->claim != NULL ? vmi_item_find (v->vmi, VMI_KIND_CLAIM, v->namespace_, p->claim) : NULL;
  int made = p->container != NULL || (c != NULL && c->made); /* the claim may be gone after the next line */
  struct hv_disk_overlay_args a = { 0 };
  struct hv_disk_info info;
  int r = run_job (v->vmi, job_parents, p->overlay, NULL, err);
  if (r < 0)
    return r;
  HV_SET (&a, path, p->overlay);
  HV_SET (&a, backing_path, p->path);
  HV_SET (&a, backing_format, p->format);
  if (p->format == HV_DISK_RAW && made)
    HV_SET (&a, trusted_raw, 1);
  return hv_call_method (h, "disk-qcow2.overlay", hv_disk_overlay_args, &a, hv_disk_info, &info, err);
}

static int
make_empty (struct vmi_vm *v, const struct vmi_volume_plan *p, struct hv_err *err)
{
  struct hv_disk_create_args a = { 0 };
  struct hv_disk_info info;
  int r = run_job (v->vmi, job_parents, p->path, NULL, err);
  if (r < 0)
    return r;
  HV_SET (&a, path, p->path);
  HV_SET (&a, virtual_size_bytes, p->create_bytes);
  return hv_call_method (v->vmi->host, "disk-qcow2.create", hv_disk_create_args, &a, hv_disk_info, &info, err);
}

static int
make_seed (struct vmi_vm *v, const struct vmi_spec *s, const struct vmi_volume_plan *p, uint32_t i, struct hv_err *err)
{
  struct vmi_seed *seed = hv_alloc (v->vmi->host, sizeof *seed);
  int r = seed != NULL ? vmi_seed_fill (v, s, &s->volumes.items[i], seed, err) : vmi_no_memory (err);
  if (r == 0)
    r = run_job (v->vmi, job_parents, p->path, NULL, err);
  return r < 0 ? r : vmi_iso_make (v->vmi, p->path, seed, err);
}

static int
prepare_file (struct vmi_vm *v, const struct vmi_volume_plan *p, struct hv_err *err)
{
  int exists = 0;
  int r = vmi_volumes_exists (v->vmi, p->path, &exists, err);
  if (r == 0 && !exists)
    r = create_missing (v, p, err);
  return r == 0 && p->format == HV_DISK_QCOW2 ? check_whole (v->vmi, p->path, err) : r;
}

static int
prepare_one (struct vmi_vm *v, const struct vmi_spec *s, struct vmi_volume_plan *p, uint32_t i, struct hv_err *err)
{
  int r = p->source == VMI_SOURCE_CONTAINER ? vmi_image_pull (v, p, i, err)
          : p->source == VMI_SOURCE_EMPTY   ? make_empty (v, p, err)
          : p->source == VMI_SOURCE_SEED    ? make_seed (v, s, p, i, err)
                                            : prepare_file (v, p, err);
  if (r == 0 && p->overlay != NULL)
    r = make_overlay (v, p, err);
  return r < 0 ? hv_err_wrap (err, r, "volume '%s'", p->name) : 0;
}

/* The machine is known not to run: an overlay that is there is of an earlier run, and a run begins with a fresh one. */
int
vmi_volumes_prepare (struct vmi_vm *v, const struct vmi_spec *s, struct vmi_volume_plan *plans, struct hv_err *err)
{
  int r = vmi_volumes_drop_overlays (v, err);
  for (uint32_t i = 0; i < s->volumes.count && r == 0; i++)
    r = prepare_one (v, s, &plans[i], i, err);
  return r;
}

int
vmi_volumes_drop_overlays (struct vmi_vm *v, struct hv_err *err)
{
  return run_job (v->vmi, job_remove_dir, vmi_overlay_dir (v->vmi->host, v->vmi->state_dir, v->domain), NULL, err);
}

/* --- when a manifest is applied --- */

static int
has_size (struct vmi *vmi, const char *namespace_, const char *claim, const struct vmi_manifest *m)
{
  for (uint32_t i = 0; i < m->count; i++)
    if (m->objects[i].kind == VMI_KIND_CLAIM && strcmp (m->objects[i].name, claim) == 0
        && strcmp (m->objects[i].namespace_, namespace_) == 0)
      return 1;
  return vmi_item_find (vmi, VMI_KIND_CLAIM, namespace_, claim) != NULL;
}

int
vmi_volumes_check (struct vmi *vmi, const struct vmi_volume_plan *plans, uint32_t count, const char *namespace_,
                   const struct vmi_manifest *sizes, struct hv_err *err)
{
  for (uint32_t i = 0; i < count; i++) {
    if (plans[i].source == VMI_SOURCE_CONTAINER || plans[i].source == VMI_SOURCE_EMPTY || plans[i].source == VMI_SOURCE_SEED)
      continue; /* there when it starts */
    int exists = 0, r = vmi_volumes_exists (vmi, plans[i].path, &exists, err);
    if (r == 0 && !exists && plans[i].claim != NULL && !has_size (vmi, namespace_, plans[i].claim, sizes))
      r = hv_err_set (err, HV_E_NOT_FOUND,
                      "nothing says how large claim '%s' is: add a PersistentVolumeClaim '%s' to the file, or put an image at '%s'",
                      plans[i].claim, plans[i].claim, plans[i].path);
    if (r == 0 && !exists && plans[i].claim == NULL && plans[i].create_bytes == 0)
      r = hv_err_set (err, HV_E_NOT_FOUND, "there is no file '%s'", plans[i].path);
    if (r < 0)
      return hv_err_wrap (err, r, "volume '%s'", plans[i].name);
  }
  return 0;
}

int
vmi_volumes_remove_claim (struct vmi *vmi, const struct vmi_item *c, struct hv_err *err)
{
  return c->made ? run_job (vmi, job_remove_claim, vmi_claim_path (vmi->host, vmi->state_dir, c->namespace_, c->name), NULL, err)
                 : 0;
}

void
vmi_volumes_sweep (struct vmi *vmi)
{
  struct hv_host *h = vmi->host;
  const char **keep = hv_alloc (h, (vmi->vm_count + 1) * sizeof *keep);
  char *path = hv_printf (h, "%s/overlays", vmi->state_dir);
  if (keep == NULL || path == NULL)
    return;
  for (uint32_t i = 0; i < vmi->vm_count; i++)
    keep[i] = vmi->vms[i]->domain;
  struct file_job j = { .vmi = vmi, .path = path, .keep = keep };
  (void) hv_offload (h, job_sweep, &j, NULL);
}
