/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The run directory of a VM: <run>/<uuid>, the daemon's alone. QEMU is handed descriptors; only VNC binds a path itself,
 * in a directory of its own. Logs are opened here too, so a hostile QEMU cannot point them elsewhere. */
#include "qmp.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const char *const sockets[] = { "monitor.sock", "agent.sock", "serial.sock", "vnc/vnc.sock" };
#define COUNT(a) (sizeof (a) / sizeof (a)[0])

char *
qmp_path (const struct qmp_vm *vm, const char *name)
{
  char *p = NULL;
  struct hv_host *h = vm->qmp->host;
  return asprintf (&p, "%s/%s%s%s", h->api->info (h)->run_dir, vm->uuid, name[0] != '\0' ? "/" : "", name) < 0 ? NULL : p;
}

static int
make_dir (const char *path, mode_t mode, uint32_t uid, struct hv_err *err)
{
  if (path == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (mkdir (path, mode) < 0 && errno != EEXIST)
    return hv_err_sys (err, errno, "make directory '%s'", path);
  if (chmod (path, mode) < 0)
    return hv_err_sys (err, errno, "mode of directory '%s'", path);
  if (uid != 0 && lchown (path, uid, uid) < 0)
    return hv_err_sys (err, errno, "give directory '%s' to uid %u", path, uid);
  return 0;
}

int
qmp_paths_make (struct qmp_vm *vm, uint32_t uid, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *dir = qmp_path (vm, ""), *vnc = qmp_path (vm, "vnc"), *longest = qmp_path (vm, "vnc/vnc.sock");
  struct sockaddr_un a;
  if (longest != NULL && strlen (longest) >= sizeof a.sun_path)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s' is too long for a socket; give the daemon a shorter run directory",
                       longest);
  qmp_paths_remove (vm, 0);
  int r = make_dir (dir, uid != 0 ? 0711 : 0700, 0, err);
  return r == 0 ? make_dir (vnc, 0700, uid, err) : r;
}

/* A log and the older ones beside it, however many were kept. */
static void
log_remove (struct qmp_vm *vm, const char *name)
{
  HV_CLEAN (hv_free) char *path = qmp_path (vm, name);
  if (path == NULL)
    return;
  (void) unlink (path);
  for (unsigned i = 0; i < 16; i++) {
    HV_CLEAN (hv_free) char *old = NULL;
    if (asprintf (&old, "%s.%u", path, i) < 0 || unlink (old) < 0)
      return;
  }
}

void
qmp_paths_remove (struct qmp_vm *vm, int keep_logs)
{
  HV_CLEAN (hv_free) char *dir = qmp_path (vm, ""), *vnc = qmp_path (vm, "vnc");
  for (size_t i = 0; i < COUNT (sockets); i++) {
    HV_CLEAN (hv_free) char *p = qmp_path (vm, sockets[i]);
    if (p != NULL)
      (void) unlink (p);
  }
  for (uint32_t i = 0; i < QMP_LOGS && !keep_logs; i++)
    log_remove (vm, qmp_log_names[i]);
  if (vnc != NULL)
    (void) rmdir (vnc);
  if (dir != NULL && !keep_logs)
    (void) rmdir (dir);
}

static int
address_set (struct sockaddr_un *a, const char *path, struct hv_err *err)
{
  *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
  if (strlen (path) >= sizeof a->sun_path)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "socket '%s': the path is too long", path);
  memcpy (a->sun_path, path, strlen (path) + 1);
  return 0;
}

int
qmp_listen (const char *path, struct hv_err *err)
{
  struct sockaddr_un a;
  HV_CLEAN (hv_fd) int fd = -1;
  if (path == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = address_set (&a, path, err);
  if (r < 0)
    return r;
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind (fd, (struct sockaddr *) &a, sizeof a) < 0 || chmod (path, 0600) < 0 || listen (fd, 4) < 0)
    return hv_err_sys (err, errno, "listen on '%s'", path);
  return HV_STEAL_FD (fd);
}

int
qmp_connect (const char *path, struct hv_err *err)
{
  struct sockaddr_un a;
  HV_CLEAN (hv_fd) int fd = -1;
  if (path == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = address_set (&a, path, err);
  if (r < 0)
    return r;
  fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect (fd, (struct sockaddr *) &a, sizeof a) < 0) {
    (void) hv_err_sys (err, errno, "connect to '%s'", path);
    return HV_E_UNAVAILABLE;
  }
  return HV_STEAL_FD (fd);
}

/* --- logs --- */

/* The last `lines` lines. The text may come from the guest: it is made printable. */
char *
qmp_log_tail (struct qmp_vm *vm, const char *name, uint32_t lines)
{
  char buf[2049];
  HV_CLEAN (hv_free) char *path = qmp_path (vm, name);
  HV_CLEAN (hv_fd) int fd = path != NULL ? open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
  off_t size = fd >= 0 ? lseek (fd, 0, SEEK_END) : 0;
  ssize_t n = size > 0 ? pread (fd, buf, sizeof buf - 1, size > (off_t) sizeof buf - 1 ? size - (off_t) (sizeof buf - 1) : 0) : 0;
  while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '\r'))
    n--;
  if (n <= 0)
    return NULL;
  buf[n] = '\0';
  const char *begin = buf;
  for (char *at = buf + n; at > buf; at--)
    if (at[-1] == '\n' && --lines == 0) {
      begin = at;
      break;
    }
  for (char *at = buf; *at != '\0'; at++)
    if (*at == '\n')
      *at = '|';
    else if ((unsigned char) *at < 0x20 || (unsigned char) *at >= 0x7f)
      *at = '?';
  return strdup (begin);
}
