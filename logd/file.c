/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file.h"
#include <errno.h>
#include <fcntl.h>
#include <hvkit/clean.h>
#include <hvkit/file.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
file_begin (struct logd_file *f)
{
  struct stat st;
  f->fd = openat (f->dir_fd, f->name, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (f->fd < 0 || fstat (f->fd, &st) < 0 || !S_ISREG (st.st_mode)) {
    f->errnum = f->fd < 0 ? errno : EINVAL;
    if (f->fd >= 0)
      (void) close (f->fd);
    f->fd = -1;
    return -1;
  }
  f->size = (uint64_t) st.st_size;
  return 0;
}

int
logd_file_open (struct logd_file *f, const char *root, const char *path, uint64_t cap, uint32_t keep)
{
  const char *name;
  size_t n = strlen (root);
  *f = (struct logd_file){ .dir_fd = -1, .fd = -1, .cap = cap, .keep = keep < HV_LOGD_KEEP ? keep : HV_LOGD_KEEP };
  if (strncmp (path, root, n) != 0 || path[n] != '/' || strstr (path, "/../") != NULL)
    return HV_E_PERMISSION_DENIED;
  int r = hv_file_open_dir (path, &f->dir_fd, &name, NULL);
  if (r < 0)
    return r;
  f->name = strdup (name);
  if (f->name != NULL && file_begin (f) == 0)
    return 0;
  logd_file_close (f);
  return HV_E_UNAVAILABLE;
}

/* NAME → NAME.0 → NAME.1 …; the oldest goes. */
static void
file_rotate (struct logd_file *f)
{
  char from[300], to[300];
  if (f->fd >= 0)
    (void) close (f->fd);
  f->fd = -1;
  for (uint32_t i = f->keep; i > 0; i--) {
    (void) snprintf (to, sizeof to, "%s.%" PRIu32, f->name, i - 1);
    if (i > 1)
      (void) snprintf (from, sizeof from, "%s.%" PRIu32, f->name, i - 2);
    else
      (void) snprintf (from, sizeof from, "%s", f->name);
    (void) renameat (f->dir_fd, from, f->dir_fd, to);
  }
  if (f->keep == 0)
    (void) unlinkat (f->dir_fd, f->name, 0);
  (void) file_begin (f);
}

static size_t
file_put (struct logd_file *f, const char *data, size_t size)
{
  size_t done = 0;
  while (f->fd >= 0 && done < size) {
    ssize_t n = write (f->fd, data + done, size - done);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      f->errnum = n < 0 ? errno : ENOSPC;
      break;
    }
    done += (size_t) n;
  }
  f->size += done;
  f->written += done;
  return done;
}

static void
file_lose (struct logd_file *f, size_t n)
{
  f->lost += n;
  f->lost_now += n;
}

/* The gap is said first: a log that seems whole and is not would be worse than none. 0: it can be written to. */
static int
file_say_gap (struct logd_file *f)
{
  char line[160];
  if (f->lost_now == 0)
    return 0;
  if (f->fd < 0 && file_begin (f) < 0)
    return -1;
  int n = snprintf (line, sizeof line, "\n[hvkit-logd: %" PRIu64 " bytes lost: %s]\n", f->lost_now, strerror (f->errnum));
  if (file_put (f, line, (size_t) n) != (size_t) n)
    return -1;
  f->lost_now = 0;
  return 0;
}

void
logd_file_write (struct logd_file *f, const void *data, size_t size)
{
  const char *at = data;
  while (size > 0) {
    if (f->size >= f->cap)
      file_rotate (f);
    size_t room = f->size < f->cap ? (size_t) (f->cap - f->size) : 0, n = size < room ? size : room;
    if (n == 0 && f->errnum == 0)
      f->errnum = EEXIST; /* the old ones cannot be put aside: the cap stands all the same */
    size_t done = n > 0 && file_say_gap (f) == 0 ? file_put (f, at, n) : 0;
    n = n > 0 ? n : size;
    if (done < n) {
      file_lose (f, size - done);
      return;
    }
    at += n;
    size -= n;
  }
}

void
logd_file_close (struct logd_file *f)
{
  if (f->fd >= 0)
    (void) close (f->fd);
  if (f->dir_fd >= 0)
    (void) close (f->dir_fd);
  free (f->name);
  *f = (struct logd_file){ .dir_fd = -1, .fd = -1 };
}
