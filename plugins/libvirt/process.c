/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt does not tell the process of a domain. Its command line does: QEMU was given the domain's uuid. */
#include "libvirt.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct search {
  char uuid[VIR_UUID_STRING_BUFLEN];
  int32_t pid;
};

/* Arguments are separated by NUL: -uuid, and the uuid after it. */
static int
names_uuid (const char *args, size_t size, const char *uuid)
{
  int next = 0;
  for (size_t at = 0; at < size; at += strlen (args + at) + 1) {
    if (next)
      return strcasecmp (args + at, uuid) == 0;
    next = strcmp (args + at, "-uuid") == 0;
  }
  return 0;
}

static int
is_it (const char *pid, const char *uuid)
{
  static const size_t most = 65536;
  char path[64];
  (void) snprintf (path, sizeof path, "/proc/%.16s/cmdline", pid);
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  char *args = fd >= 0 ? malloc (most + 1) : NULL;
  ssize_t n = args != NULL ? read (fd, args, most) : -1;
  if (fd >= 0)
    (void) close (fd);
  int found = 0;
  if (n > 0) {
    args[n] = '\0';
    found = strstr (args, "qemu") != NULL && names_uuid (args, (size_t) n, uuid);
  }
  free (args);
  return found;
}

static int
search_run (void *arg)
{
  struct search *s = arg;
  DIR *d = opendir ("/proc");
  struct dirent *e;
  if (d == NULL)
    return 0;
  while (s->pid == 0 && (e = readdir (d)) != NULL)
    if (isdigit ((unsigned char) e->d_name[0]) && is_it (e->d_name, s->uuid))
      s->pid = (int32_t) strtol (e->d_name, NULL, 10);
  (void) closedir (d);
  return 0;
}

/* qemu:///system, qemu+unix:///…, and no host between the slashes. */
static int
is_local (const struct lv_daemon *d)
{
  const char *slashes = strstr (d->uri, "://");
  return strncmp (d->uri, "qemu", 4) == 0 && slashes != NULL && slashes[3] == '/';
}

static int
not_searching (const struct lv_vm *vm)
{
  return !vm->pid_searching;
}

void
lv_process_find (struct lv_vm *vm)
{
  struct hv_host *h = vm->lv->host;
  struct search s = { .pid = 0 };
  uint64_t since = vm->since_ms;
  if (vm->pid_searching)
    (void) lv_vm_wait (vm, not_searching, 10000, NULL);
  if (!is_local (vm->daemon) || vm->pid != 0 || vm->pid_searching)
    return;
  char *uuid = lv_uuid_text (h, vm->uuid);
  if (uuid == NULL)
    return;
  (void) snprintf (s.uuid, sizeof s.uuid, "%s", uuid);
  vm->pid_searching = 1;
  (void) hv_offload (h, search_run, &s, NULL);
  vm->pid_searching = 0;
  if (lv_vm_alive (vm) && (vm->since_ms == since || vm->pid == 0))
    vm->pid = s.pid;
  lv_vm_wake (vm);
}

static void
find_run (void *self, void *arg)
{
  HV_CLEAN (lv_vm) struct lv_vm *vm = arg;
  (void) self;
  lv_process_find (vm);
}

void
lv_process_find_later (struct lv_vm *vm)
{
  if (!vm->pid_searching && hv_go (vm->lv->host, "process", find_run, lv_vm_ref (vm)) < 0)
    lv_vm_unref (vm);
}
