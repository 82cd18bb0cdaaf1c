/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of one log: 0 is NAME, k is NAME.(k-1). */
#include <errno.h>
#include <fcntl.h>
#include <hvkit/clean.h>
#include <hvkit/file.h>
#include <hvkit/logs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK 65536u
#define TRIES 16u /* rotations that may come between two looks */

struct hv_log_reader {
  char *path;
  const char *name; /* in path */
  int dir_fd, fd;
  dev_t device;
  ino_t inode;
  uint64_t at, gaps;
};

static const char *
name_of (const struct hv_log_reader *r, unsigned k, char *text, size_t size)
{
  if (k == 0)
    return r->name;
  (void) snprintf (text, size, "%s.%u", r->name, k - 1);
  return text;
}

static int
file_open (const struct hv_log_reader *r, unsigned k, struct stat *ret)
{
  char text[300];
  HV_CLEAN (hv_fd)
  int fd = openat (r->dir_fd, name_of (r, k, text, sizeof text), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0 || fstat (fd, ret) < 0 || !S_ISREG (ret->st_mode))
    return -1;
  return HV_STEAL_FD (fd);
}

/* Which of the files it is that we read; -1: none any more. */
static int
place_of (const struct hv_log_reader *r)
{
  char text[300];
  struct stat st;
  for (unsigned k = 0; r->fd >= 0 && k < HV_LOG_FILES_MAX; k++)
    if (fstatat (r->dir_fd, name_of (r, k, text, sizeof text), &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == r->device
        && st.st_ino == r->inode)
      return (int) k;
  return -1;
}

static int
oldest (const struct hv_log_reader *r)
{
  char text[300];
  struct stat st;
  for (unsigned k = HV_LOG_FILES_MAX; k > 0; k--)
    if (fstatat (r->dir_fd, name_of (r, k - 1, text, sizeof text), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG (st.st_mode))
      return (int) k - 1;
  return -1;
}

static void
take (struct hv_log_reader *r, int fd, const struct stat *st, uint64_t at)
{
  hv_fd_cleanup (&r->fd);
  r->fd = fd;
  r->device = st->st_dev;
  r->inode = st->st_ino;
  r->at = at;
}

/* On to the file that came after ours. 0: there is none yet. */
static int
advance (struct hv_log_reader *r)
{
  struct stat st;
  for (unsigned tries = 0; tries < TRIES; tries++) {
    int k = place_of (r), next = k < 0 ? oldest (r) : k - 1;
    if (next < 0)
      return 0;
    HV_CLEAN (hv_fd) int fd = file_open (r, (unsigned) next, &st);
    if (place_of (r) != k)
      continue; /* rotated in between: what was opened may be another one */
    if (fd < 0)
      return 0;
    r->gaps += k < 0 && r->fd >= 0;
    take (r, HV_STEAL_FD (fd), &st, 0);
    return 1;
  }
  return 0;
}

static size_t
more (struct hv_log_reader *r, void *buffer, size_t size)
{
  ssize_t n;
  do
    n = pread (r->fd, buffer, size, (off_t) r->at);
  while (n < 0 && errno == EINTR);
  r->at += n > 0 ? (uint64_t) n : 0;
  return n > 0 ? (size_t) n : 0;
}

size_t
hv_log_reader_read (struct hv_log_reader *r, void *buffer, size_t size)
{
  struct stat st;
  do {
    size_t n = r->fd >= 0 ? more (r, buffer, size) : 0;
    if (n > 0)
      return n;
    if (r->fd >= 0 && fstat (r->fd, &st) == 0 && (uint64_t) st.st_size < r->at) {
      r->at = 0; /* emptied by somebody */
      n = more (r, buffer, size);
    } else if (place_of (r) != 0 && r->fd >= 0) {
      n = more (r, buffer, size); /* put away since, and nobody writes to it any more: its last words */
    }
    if (n > 0)
      return n;
  } while (advance (r));
  return 0;
}

/* Where the last lines of the file begin; those still to be found are in *lines. -1: further up. */
static int64_t
last_lines (int fd, uint64_t size, int is_last, uint64_t *lines)
{
  static _Thread_local char block[BLOCK];
  for (uint64_t end = size; end > 0;) {
    uint64_t n = end < BLOCK ? end : BLOCK;
    if (pread (fd, block, n, (off_t) (end - n)) != (ssize_t) n)
      return 0; /* changed under us: better too much */
    for (uint64_t i = n; i > 0; i--)
      if (block[i - 1] == '\n' && !(is_last && end - n + i == size) && --*lines == 0)
        return (int64_t) (end - n + i);
    end -= n;
  }
  return -1;
}

static void
go_to_lines (struct hv_log_reader *r, uint64_t lines)
{
  struct stat st;
  int is_last = 1;
  for (unsigned k = 0; k < HV_LOG_FILES_MAX; k++) {
    int fd = file_open (r, k, &st);
    if (fd < 0 && k > 0)
      return;
    if (fd < 0)
      continue;
    int64_t at = lines == 0 ? st.st_size : last_lines (fd, (uint64_t) st.st_size, is_last, &lines);
    take (r, fd, &st, at < 0 ? 0 : (uint64_t) at);
    if (at >= 0)
      return;
    is_last = is_last && st.st_size == 0;
  }
}

int
hv_log_reader_new (const char *path, uint64_t lines, struct hv_log_reader **ret, struct hv_err *err)
{
  struct hv_log_reader *r = calloc (1, sizeof *r);
  int rc = r == NULL ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : 0;
  if (rc < 0)
    return rc;
  r->dir_fd = r->fd = -1;
  r->path = strdup (path);
  rc = r->path == NULL ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory")
                       : hv_file_open_dir (r->path, &r->dir_fd, &r->name, err);
  if (rc < 0) {
    hv_log_reader_free (r);
    return rc;
  }
  if (lines != HV_LOG_ALL)
    go_to_lines (r, lines);
  *ret = r;
  return 0;
}

uint64_t
hv_log_reader_gaps (const struct hv_log_reader *r)
{
  return r->gaps;
}

void
hv_log_reader_free (struct hv_log_reader *r)
{
  if (r == NULL)
    return;
  hv_fd_cleanup (&r->fd);
  hv_fd_cleanup (&r->dir_fd);
  free (r->path);
  free (r);
}
