/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a path to a checked table. A shared object's constructors run inside dlopen, so everything about the file is checked before. */
#include "core/plugin/plugin.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* One component of the path: only root or we may be able to change it. A sticky directory of root's (/tmp) counts as safe,
 * since nobody can replace what is ours in it. */
static int
check_component (const char *path, const struct stat *st, int last, struct hv_err *err)
{
  if (S_ISLNK (st->st_mode))
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "'%s' is a symbolic link; name the file itself", path);
  if (st->st_uid != 0 && st->st_uid != geteuid ())
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "'%s' belongs to uid %u, not to root or the daemon: chown it", path, (unsigned) st->st_uid);
  if ((st->st_mode & 022) != 0 && !(S_ISDIR (st->st_mode) && (st->st_mode & S_ISVTX) && st->st_uid == 0))
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "'%s' is writable by group or others (mode %04o): chmod go-w it", path, st->st_mode & 07777u);
  if (last && !S_ISREG (st->st_mode))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "'%s' is not a regular file", path);
  return 0;
}

static int
check_path (const char *path, struct stat *ret, struct hv_err *err)
{
  char part[4096];
  size_t n = strlen (path);
  if (path[0] != '/' || n >= sizeof part)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "'%s': an absolute path is wanted", path);
  for (size_t i = 1; i <= n; i++) {
    if (path[i] != '/' && path[i] != '\0')
      continue;
    memcpy (part, path, i);
    part[i] = '\0';
    if (lstat (part, ret) < 0)
      return hv_err_sys (err, errno, "'%s'", part);
    int r = check_component (part, ret, path[i] == '\0', err);
    if (r < 0)
      return r;
  }
  return 0;
}

/* The file that is mapped where the symbol lives has to be the one that was checked. */
static int
check_mapped (const char *path, const void *symbol, const struct stat *want, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *line = NULL;
  size_t size = 0;
  uintptr_t at = (uintptr_t) symbol;
  int found = 0, same = 0;
  FILE *maps = fopen ("/proc/self/maps", "re");
  while (maps != NULL && !found && getline (&line, &size, maps) > 0) {
    uintptr_t from, to;
    uint64_t inode;
    if (sscanf (line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64, &from, &to, &inode) != 3 || at < from || at >= to)
      continue;
    found = 1;
    same = inode == (uint64_t) want->st_ino; /* the device numbers differ on some file systems */
  }
  if (maps != NULL)
    (void) fclose (maps);
  struct stat now;
  if (found && same && lstat (path, &now) == 0 && now.st_dev == want->st_dev && now.st_ino == want->st_ino
      && now.st_ctim.tv_sec == want->st_ctim.tv_sec && now.st_ctim.tv_nsec == want->st_ctim.tv_nsec)
    return 0;
  return hv_err_set (err, HV_E_ABORTED, "'%s' changed while it was being loaded; try again", path);
}

static int
missing_entry (const char *path, void *so, struct hv_err *err)
{
  char name[64];
  for (unsigned major = 2; major < 10; major++) {
    (void) snprintf (name, sizeof name, "hv_plugin_entry_v%u", major);
    if (dlsym (so, name) != NULL)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s' wants plugin ABI %u, this core has %u.%u: upgrade hvkitd", path, major, HV_ABI_MAJOR, HV_ABI_MINOR);
  }
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s' is not an hvkit plugin: it does not export hv_plugin_entry_v1 (HV_PLUGIN_REGISTER)", path);
}

int
hv_plugin_load (const char *path, const struct hv_plugin **ret, struct hv_err *err)
{
  struct stat st;
  const struct hv_plugin *(*entry) (void) = NULL;
  int r = check_path (path, &st, err);
  if (r < 0)
    return r;
  void *so = dlopen (path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (so == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "%s", dlerror ());
  void *symbol = dlsym (so, "hv_plugin_entry_v1");
  if (symbol == NULL)
    return missing_entry (path, so, err);
  r = check_mapped (path, symbol, &st, err);
  if (r < 0)
    return r;
  memcpy (&entry, &symbol, sizeof entry);
  const struct hv_plugin *p = entry ();
  r = p != NULL ? hv_plugin_check (p, err) : hv_err_set (err, HV_E_FAILED_PRECONDITION, "it returned no table");
  if (r < 0)
    return hv_err_wrap (err, r, "'%s'", path);
  *ret = p;
  return 0;
}
