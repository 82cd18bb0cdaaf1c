/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net-bridge.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* /proc/sys/net is that of whoever opens it. */
static int
open_sysctl (const char *name, int flags, int *ret, struct hv_err *err)
{
  char path[256];
  (void) snprintf (path, sizeof path, "/proc/sys/net/%s", name);
  *ret = open (path, flags | O_CLOEXEC);
  return *ret >= 0 ? 0 : hv_err_sys (err, errno, "sysctl net/%s", name);
}

static int
read_sysctl (const char *name, int64_t *ret, struct hv_err *err)
{
  HV_CLEAN (hv_fd) int fd = -1;
  char text[32] = "", *end = NULL;
  int r = open_sysctl (name, O_RDONLY, &fd, err);
  ssize_t n = r == 0 ? read (fd, text, sizeof text - 1) : 0;
  if (r == 0 && n <= 0)
    return hv_err_sys (err, errno, "sysctl net/%s", name);
  *ret = strtoll (text, &end, 10);
  return r == 0 && end == text ? hv_err_set (err, HV_E_INTERNAL, "sysctl net/%s is no number", name) : r;
}

int
nb_sysctl_write (const char *name, int64_t value, struct hv_err *err)
{
  HV_CLEAN (hv_fd) int fd = -1;
  char text[32];
  int n = snprintf (text, sizeof text, "%lld\n", (long long) value);
  int r = open_sysctl (name, O_WRONLY, &fd, err);
  return r == 0 && write (fd, text, (size_t) n) != n ? hv_err_sys (err, errno, "set sysctl net/%s", name) : r;
}

int
nb_sysctl_note (char lines[NB_LINES], const char *name, struct hv_err *err)
{
  int64_t value = 0;
  size_t at = strlen (lines);
  int r = read_sysctl (name, &value, err);
  if (r == 0 && snprintf (lines + at, NB_LINES - at, "%s=%lld\n", name, (long long) value) >= (int) (NB_LINES - at))
    return hv_err_set (err, HV_E_INTERNAL, "too many settings");
  return r;
}

/* The next line, taken apart. */
static int
next_line (const char **lines, char name[128], int64_t *value)
{
  size_t n = strcspn (*lines, "="), whole = strcspn (*lines, "\n");
  if (**lines == '\0' || n >= 128 || n > whole)
    return 0;
  memcpy (name, *lines, n);
  name[n] = '\0';
  *value = strtoll (*lines + n + 1, NULL, 10);
  *lines += whole + ((*lines)[whole] == '\n');
  return 1;
}

int
nb_sysctl_restore (const char *lines, struct hv_err *err)
{
  char name[128];
  int64_t value;
  int r = 0;
  while (lines != NULL && r == 0 && next_line (&lines, name, &value))
    r = nb_sysctl_write (name, value, err);
  return r;
}

/* --- several attachments that change the same --- */

static int
find_in (const char *lines, const char *wanted, int64_t *ret)
{
  char name[128];
  while (lines != NULL && next_line (&lines, name, ret))
    if (strcmp (name, wanted) == 0)
      return 1;
  return 0;
}

/* Whether an attachment other than `but` changed it in that namespace, and what it was before. */
static int
find_elsewhere (struct nb *nb, const struct nb_document *but, uint64_t dev, uint64_t ino, const char *name, int64_t *ret)
{
  for (uint32_t i = 0; i < nb->count; i++) {
    const struct nb_document *b = &nb->all[i]->d;
    if (strcmp (b->vm, but->vm) == 0 && strcmp (b->nic, but->nic) == 0)
      continue;
    if ((b->netns_dev == dev && b->netns_ino == ino && find_in (b->sysctls, name, ret))
        || (nb->netns_dev == dev && nb->netns_ino == ino && find_in (b->host_sysctls, name, ret)))
      return 1;
  }
  return 0;
}

static void
originals (struct nb *nb, const struct nb_document *d, uint64_t dev, uint64_t ino, char lines[NB_LINES])
{
  char name[128], found[NB_LINES] = "";
  const char *at = lines;
  int64_t value;
  for (size_t n = 0; n < sizeof found && next_line (&at, name, &value); n = strlen (found)) {
    (void) find_elsewhere (nb, d, dev, ino, name, &value);
    (void) snprintf (found + n, sizeof found - n, "%s=%lld\n", name, (long long) value);
  }
  memcpy (lines, found, sizeof found);
}

void
nb_sysctl_originals (struct nb *nb, struct nb_plan *p)
{
  originals (nb, &p->d, p->d.netns_dev, p->d.netns_ino, p->sysctls);
  originals (nb, &p->d, nb->netns_dev, nb->netns_ino, p->host_sysctls);
}

const char *
nb_sysctl_due (struct nb *nb, const struct nb_attachment *a, int host)
{
  const char *lines = host ? a->d.host_sysctls : a->d.sysctls, *due = NULL;
  uint64_t dev = host ? nb->netns_dev : a->d.netns_dev, ino = host ? nb->netns_ino : a->d.netns_ino;
  char name[128];
  int64_t value, other;
  while (lines != NULL && next_line (&lines, name, &value))
    if (!find_elsewhere (nb, &a->d, dev, ino, name, &other))
      due = hv_printf (nb->host, "%s%s=%lld\n", due != NULL ? due : "", name, (long long) value);
  return due;
}
