/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* EFI variables: a file per machine that is made once, from the distribution's template, and goes with the definition.
 * QEMU gets it as a descriptor, since it may not look into our state directory. */
#include "qmp.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hvkit/file.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NVRAM_MAX (64u << 20)

struct nvram_job {
  const char *dir, *path, *vars;
  int fd;
  struct hv_err *err;
};

static char *
nvram_path (const struct qmp_vm *vm, const char *name)
{
  char *p = NULL;
  struct hv_host *h = vm->qmp->host;
  return asprintf (&p, "%s/nvram%s%s%s", h->api->info (h)->state_dir, name != NULL ? "/" : "", name != NULL ? name : "",
                   name != NULL ? ".fd" : "")
                 < 0
             ? NULL
             : p;
}

/* The whole of it under its name, or nothing. */
static int
nvram_make (const struct nvram_job *j)
{
  HV_CLEAN (hv_file_new) struct hv_file_new file = HV_FILE_NEW_INIT;
  HV_CLEAN (hv_fd) int from = open (j->vars, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (from < 0 || fstat (from, &st) < 0)
    return hv_err_set (j->err, HV_E_FAILED_PRECONDITION, "firmware efi: '%s': %s; install the package ovmf", j->vars,
                       strerror (errno));
  if (st.st_size <= 0 || st.st_size > (off_t) NVRAM_MAX)
    return hv_err_set (j->err, HV_E_FAILED_PRECONDITION, "firmware efi: '%s' has an impossible size", j->vars);
  HV_CLEAN (hv_free) char *bytes = malloc ((size_t) st.st_size);
  if (bytes == NULL)
    return hv_err_set (j->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = hv_file_read (from, bytes, (uint64_t) st.st_size, 0, j->err);
  if (r == 0)
    r = hv_file_new_begin (&file, j->path, j->err);
  if (r == 0)
    r = hv_file_write (file.fd, bytes, (uint64_t) st.st_size, 0, j->err);
  return r == 0 ? hv_file_new_commit (&file, j->err) : r;
}

static int
nvram_run (void *arg)
{
  struct nvram_job *j = arg;
  int r = 0;
  if (mkdir (j->dir, 0700) < 0 && errno != EEXIST)
    return hv_err_sys (j->err, errno, "make directory '%s'", j->dir);
  if (access (j->path, F_OK) < 0)
    r = nvram_make (j);
  if (r < 0)
    return hv_err_wrap (j->err, r, "EFI variables '%s'", j->path);
  j->fd = open (j->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  return j->fd >= 0 ? 0 : hv_err_sys (j->err, errno, "EFI variables '%s'", j->path);
}

int
qmp_nvram_open (struct qmp_vm *vm, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *dir = nvram_path (vm, NULL), *path = nvram_path (vm, vm->uuid);
  struct nvram_job j = { .dir = dir, .path = path, .vars = vm->qmp->config->efi_vars, .fd = -1, .err = err };
  if (dir == NULL || path == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = hv_offload (vm->qmp->host, nvram_run, &j, err);
  hv_step (vm->qmp->host, "nvram.made");
  return r < 0 ? r : j.fd;
}

void
qmp_nvram_remove (struct qmp_vm *vm)
{
  HV_CLEAN (hv_free) char *path = nvram_path (vm, vm->uuid);
  if (path != NULL)
    (void) unlink (path);
}

/* --- those of nobody: an undefine was cut off behind its record --- */

static int
is_of_a_vm (const struct qmp *q, const char *file)
{
  for (uint32_t i = 0; i < q->vm_count; i++) {
    const char *uuid = q->vms[i]->uuid;
    /* a record that cannot be read may be anybody's */
    if (uuid == NULL || (strncmp (file, uuid, strlen (uuid)) == 0 && strcmp (file + strlen (uuid), ".fd") == 0))
      return 1;
  }
  return 0;
}

static int
sweep_run (void *arg)
{
  const struct qmp *q = arg;
  HV_CLEAN (hv_free) char *path = NULL;
  struct dirent *e;
  DIR *d = asprintf (&path, "%s/nvram", q->host->api->info (q->host)->state_dir) < 0 ? NULL : opendir (path);
  while (d != NULL && (e = readdir (d)) != NULL)
    if (e->d_name[0] != '.' && !is_of_a_vm (q, e->d_name))
      (void) unlinkat (dirfd (d), e->d_name, 0);
  if (d != NULL)
    (void) closedir (d);
  return 0;
}

void
qmp_nvram_sweep (struct qmp *q)
{
  (void) hv_offload (q->host, sweep_run, q, NULL);
}
