/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See <hvkit/file.h>. */
#include <errno.h>
#include <hvkit/file.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>

/* glibc 2.36 has no wrapper. */
static int
open_no_links (int dir_fd, const char *path, uint64_t flags)
{
  struct open_how how = { .flags = flags | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
  return (int) syscall (SYS_openat2, dir_fd, path, &how, sizeof how);
}

static int
set_open_error (int errnum, struct hv_err *err)
{
  if (errnum == ELOOP)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "a part of the path is a symbolic link, which is never followed");
  return hv_err_sys (err, errnum, "open");
}

int
hv_file_check_path (const char *path, struct hv_err *err)
{
  if (path == NULL || path[0] != '/')
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "the path is not absolute");
  const char *name = strrchr (path, '/') + 1;
  if (name[0] == '\0' || strcmp (name, ".") == 0 || strcmp (name, "..") == 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "the path does not end in the name of a file");
  return 0;
}

static int
is_below (const char *path, const char *dir)
{
  size_t n = strlen (dir);
  while (n > 0 && dir[n - 1] == '/')
    n--;
  return strncmp (path, dir, n) == 0 && path[n] == '/';
}

int
hv_file_check_below (const char *path, const struct hv_strs *directories, struct hv_err *err)
{
  if (directories->count == 0)
    return 0;
  if (strstr (path, "/../") == NULL)
    for (uint32_t i = 0; i < directories->count; i++)
      if (is_below (path, directories->items[i]))
        return 0;
  return hv_err_set (err, HV_E_PERMISSION_DENIED, "'%s' is not below '%s'%s, as the manifest's \"directories\" asks for", path,
                     directories->items[0], directories->count > 1 ? " or another one" : "");
}

/* The path was resolved without links; what it is open on is reopened through the kernel's own name for it. */
static int
reopen (int path_fd, int32_t flags, int *ret_fd, struct hv_err *err)
{
  char self[32];
  snprintf (self, sizeof self, "/proc/self/fd/%d", path_fd);
  int fd = open (self, flags | O_CLOEXEC | O_NOCTTY);
  if (fd < 0)
    return hv_err_sys (err, errno, "open");
  *ret_fd = fd;
  return 0;
}

static const char *
kind_of (mode_t mode)
{
  switch (mode & S_IFMT) {
  case S_IFDIR:
    return "a directory";
  case S_IFLNK:
    return "a symbolic link";
  case S_IFBLK:
    return "a block device";
  case S_IFCHR:
    return "a character device";
  case S_IFIFO:
    return "a pipe";
  case S_IFSOCK:
    return "a socket";
  default:
    return "something else";
  }
}

int
hv_file_open (const char *path, int32_t flags, int *ret_fd, struct stat *ret_stat, struct hv_err *err)
{
  int rc = hv_file_check_path (path, err);
  if (rc != 0)
    return rc;
  HV_CLEAN (hv_fd) int at = open_no_links (AT_FDCWD, path, O_PATH);
  struct stat st;
  if (at < 0)
    return set_open_error (errno, err);
  if (fstat (at, &st) != 0)
    return hv_err_sys (err, errno, "stat");
  if (!S_ISREG (st.st_mode))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "is %s, not a regular file", kind_of (st.st_mode));
  rc = reopen (at, flags, ret_fd, err);
  if (rc == 0 && ret_stat != NULL)
    *ret_stat = st;
  return rc;
}

int
hv_file_open_dir (const char *path, int *ret_fd, const char **ret_name, struct hv_err *err)
{
  int rc = hv_file_check_path (path, err);
  if (rc != 0)
    return rc;
  const char *name = strrchr (path, '/') + 1;
  HV_CLEAN (hv_free) char *dir = strndup (path, (size_t) (name - path));
  if (dir == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int fd = open_no_links (AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
  if (fd < 0) {
    rc = set_open_error (errno, err);
    return hv_err_wrap (err, rc, "directory '%s'", dir);
  }
  *ret_fd = fd;
  *ret_name = name;
  return 0;
}

int64_t
hv_file_read_some (int fd, void *buf, uint64_t n, uint64_t offset, struct hv_err *err)
{
  uint64_t done = 0;
  if (offset > INT64_MAX || n > INT64_MAX - offset)
    return hv_err_set (err, HV_E_OUT_OF_RANGE, "read at %llu: no file is that long", (unsigned long long) offset);
  while (done < n) {
    ssize_t got = pread (fd, (uint8_t *) buf + done, n - done, (off_t) (offset + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return hv_err_sys (err, errno, "read at %llu", (unsigned long long) offset);
    if (got == 0)
      break;
    done += (uint64_t) got;
  }
  return (int64_t) done;
}

int
hv_file_read (int fd, void *buf, uint64_t n, uint64_t offset, struct hv_err *err)
{
  int64_t got = hv_file_read_some (fd, buf, n, offset, err);
  if (got < 0)
    return (int) got;
  if ((uint64_t) got < n)
    return hv_err_set (err, HV_E_DATA_LOSS, "read at %llu: the file ends within the %llu bytes that should be there",
                       (unsigned long long) offset, (unsigned long long) n);
  return 0;
}

int
hv_file_write (int fd, const void *buf, uint64_t n, uint64_t offset, struct hv_err *err)
{
  uint64_t done = 0;
  if (offset > INT64_MAX || n > INT64_MAX - offset)
    return hv_err_set (err, HV_E_OUT_OF_RANGE, "write at %llu: no file is that long", (unsigned long long) offset);
  while (done < n) {
    ssize_t put = pwrite (fd, (const uint8_t *) buf + done, n - done, (off_t) (offset + done));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return hv_err_sys (err, errno, "write at %llu", (unsigned long long) offset);
    done += (uint64_t) put;
  }
  return 0;
}

int
hv_file_check_unused (int fd, struct hv_err *err)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
  if (fcntl (fd, F_OFD_GETLK, &lock) != 0)
    return hv_err_sys (err, errno, "look for locks");
  if (lock.l_type != F_UNLCK)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "is in use: another process has it locked");
  return 0;
}

/* --- making files --- */

/* Linux says EOPNOTSUPP or, from file systems that never heard of it, EISDIR or EINVAL. */
static int
lacks_tmpfile (int errnum)
{
  return errnum == EOPNOTSUPP || errnum == EISDIR || errnum == EINVAL;
}

static int
begin_named (struct hv_file_new *file, struct hv_err *err)
{
  uint64_t random[2];
  if (getrandom (random, sizeof random, 0) != sizeof random)
    return hv_err_sys (err, errno, "getrandom");
  snprintf (file->temp, sizeof file->temp, ".hvkit-%016llx%016llx", (unsigned long long) random[0], (unsigned long long) random[1]);
  file->fd = openat (file->dir_fd, file->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file->fd >= 0)
    return 0;
  file->temp[0] = '\0';
  return hv_err_sys (err, errno, "create");
}

static int
is_free (struct hv_file_new *file, struct hv_err *err)
{
  struct stat st;
  if (fstatat (file->dir_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "already exists");
  return errno == ENOENT ? 0 : hv_err_sys (err, errno, "look for the name");
}

static int
begin (struct hv_file_new *file, const char *path, int replaces, struct hv_err *err)
{
  *file = (struct hv_file_new) HV_FILE_NEW_INIT;
  int rc = hv_file_open_dir (path, &file->dir_fd, &file->name, err);
  if (rc != 0)
    return rc;
  if (!replaces)
    rc = is_free (file, err);
  if (rc == 0 && (file->fd = openat (file->dir_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)) < 0)
    rc = lacks_tmpfile (errno) ? begin_named (file, err) : hv_err_sys (err, errno, "create");
  if (rc == 0 && fchmod (file->fd, 0600) != 0) /* whatever the umask is */
    rc = hv_err_sys (err, errno, "set the mode");
  if (rc != 0)
    hv_file_new_end (file);
  return rc;
}

int
hv_file_new_begin (struct hv_file_new *file, const char *path, struct hv_err *err)
{
  return begin (file, path, 0, err);
}

int
hv_file_new_begin_over (struct hv_file_new *file, const char *path, struct hv_err *err)
{
  return begin (file, path, 1, err);
}

int
hv_file_new_chown (struct hv_file_new *file, uint32_t uid, struct hv_err *err)
{
  if (fchown (file->fd, uid, (gid_t) -1) != 0)
    return hv_err_sys (err, errno, "give it to uid %u", uid);
  return 0;
}

static int
link_nameless (struct hv_file_new *file)
{
  char self[32];
  snprintf (self, sizeof self, "/proc/self/fd/%d", file->fd);
  return linkat (AT_FDCWD, self, file->dir_fd, file->name, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

/* Neither replaces what is there. */
static int
rename_temp (struct hv_file_new *file)
{
  if (renameat2 (file->dir_fd, file->temp, file->dir_fd, file->name, RENAME_NOREPLACE) == 0) {
    file->temp[0] = '\0';
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS)
    return errno;
  /* the file system has no RENAME_NOREPLACE; hv_file_new_end removes the temporary name */
  return linkat (file->dir_fd, file->temp, file->dir_fd, file->name, 0) == 0 ? 0 : errno;
}

int
hv_file_new_commit (struct hv_file_new *file, struct hv_err *err)
{
  if (fsync (file->fd) != 0)
    return hv_err_sys (err, errno, "fsync");
  int errnum = file->temp[0] == '\0' ? link_nameless (file) : rename_temp (file);
  if (errnum == EEXIST)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "already exists");
  if (errnum != 0)
    return hv_err_sys (err, errnum, "give it its name");
  if (fsync (file->dir_fd) != 0) {
    hv_err_sys (err, errno, "fsync of the directory");
    return hv_err_set (err, HV_E_UNKNOWN, "it is there, but its directory could not be synced: a power failure may lose it");
  }
  return 0;
}

/* A file without a name gets one beside the other's, which follows from it: what a crash leaves there, the next one takes away. */
static int
name_temp (struct hv_file_new *file)
{
  char self[32];
  uint64_t hash = UINT64_C (14695981039346656037); /* FNV-1a */
  if (file->temp[0] != '\0')
    return 0;
  for (const char *at = file->name; *at != '\0'; at++)
    hash = (hash ^ (uint8_t) *at) * UINT64_C (1099511628211);
  snprintf (file->temp, sizeof file->temp, ".hvkit-over-%016llx", (unsigned long long) hash);
  snprintf (self, sizeof self, "/proc/self/fd/%d", file->fd);
  (void) unlinkat (file->dir_fd, file->temp, 0);
  return linkat (AT_FDCWD, self, file->dir_fd, file->temp, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}

int
hv_file_new_replace (struct hv_file_new *file, int old_fd, struct hv_err *err)
{
  struct stat old, named;
  if (fstat (old_fd, &old) != 0 || fstatat (file->dir_fd, file->name, &named, AT_SYMLINK_NOFOLLOW) != 0)
    return hv_err_sys (err, errno, "stat");
  if (old.st_dev != named.st_dev || old.st_ino != named.st_ino)
    return hv_err_set (err, HV_E_ABORTED, "another file took its name meanwhile");
  if (fchown (file->fd, old.st_uid, old.st_gid) != 0 || fchmod (file->fd, old.st_mode & 07777) != 0)
    return hv_err_sys (err, errno, "give it owner and mode of the old one");
  if (fsync (file->fd) != 0)
    return hv_err_sys (err, errno, "fsync");
  int errnum = name_temp (file);
  if (errnum == 0 && renameat (file->dir_fd, file->temp, file->dir_fd, file->name) != 0)
    errnum = errno;
  if (errnum != 0)
    return hv_err_sys (err, errnum, "put it in the old one's place");
  file->temp[0] = '\0';
  return fsync (file->dir_fd) == 0
             ? 0
             : hv_err_set (err, HV_E_UNKNOWN,
                           "it is there, but its directory could not be synced: a power failure may bring the old one back");
}

void
hv_file_new_end (struct hv_file_new *file)
{
  if (file->temp[0] != '\0' && file->dir_fd >= 0)
    (void) unlinkat (file->dir_fd, file->temp, 0);
  if (file->fd >= 0)
    (void) close (file->fd);
  if (file->dir_fd >= 0)
    (void) close (file->dir_fd);
  *file = (struct hv_file_new) HV_FILE_NEW_INIT;
}

int
hv_file_delete (const char *path, int fd, struct hv_err *err)
{
  HV_CLEAN (hv_fd) int dir_fd = -1;
  const char *name = NULL;
  struct stat opened, named;
  int rc = hv_file_open_dir (path, &dir_fd, &name, err);
  if (rc != 0)
    return rc;
  if (fstat (fd, &opened) != 0 || fstatat (dir_fd, name, &named, AT_SYMLINK_NOFOLLOW) != 0)
    return hv_err_sys (err, errno, "stat");
  if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "another file has taken that name; nothing was deleted");
  if (unlinkat (dir_fd, name, 0) != 0)
    return hv_err_sys (err, errno, "unlink");
  if (fsync (dir_fd) != 0)
    return hv_err_set (err, HV_E_UNKNOWN, "deleted, but the directory could not be synced: a power failure may bring it back");
  return 0;
}

const char *
hv_file_looks_like (const uint8_t *first, uint64_t n)
{
  static const struct {
    uint32_t offset, size;
    const char *magic, *what;
  } known[] = {
    { 0, 4, "QFI\xfb", "a qcow2 image" },
    { 0, 8, "vhdxfile", "a VHDX image" },
    { 0, 8, "conectix", "a VHD image" },
    { 0, 4, "KDMV", "a VMDK image" },
    { 0, 4, "COWD", "a VMDK image" },
    { 0, 4, "QED\0", "a QED image" },
    { 64, 4, "\x7f\x10\xda\xbe", "a VDI image" },
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (n >= known[i].offset + known[i].size && memcmp (first + known[i].offset, known[i].magic, known[i].size) == 0)
      return known[i].what;
  static const char descriptor[] = "# Disk DescriptorFile";
  if (n >= sizeof descriptor - 1 && memcmp (first, descriptor, sizeof descriptor - 1) == 0)
    return "a VMDK descriptor";
  return NULL;
}
