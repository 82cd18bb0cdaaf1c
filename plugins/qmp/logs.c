/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs of machines: pipes to hvkit-logd, which outlives us as the machines do. One that dies is replaced, and given the
 * pipes that the machines still hold; meanwhile they fill, or lose, a little, and nobody waits. */
#include "qmp.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hvkit/logd.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define BEGIN_TRIES 100u
#define BEGIN_MS    20u

const char *const qmp_log_names[QMP_LOGS] = { "qemu.log", "serial.log", "firmware.log" };

/* --- where it is --- */

/* One for all instances: beside their run directories. */
static char *
logd_socket (const struct qmp *q)
{
  char *path = NULL;
  const char *run = q->host->api->info (q->host)->run_dir, *slash = strrchr (run, '/');
  if (HV_HAS (q->config, logd_socket))
    return strdup (q->config->logd_socket);
  return asprintf (&path, "%.*s/logd.sock", (int) (slash - run), run) < 0 ? NULL : path;
}

static char *
logd_root (const struct qmp *q)
{
  const char *run = q->host->api->info (q->host)->run_dir, *slash = strrchr (run, '/');
  return strndup (run, (size_t) (slash - run));
}

/* --- the connection that tells whether it lives --- */

struct connect_job {
  const char *socket;
  int fd;
  struct hv_err *err;
};

static int
connect_run (void *arg)
{
  struct connect_job *j = arg;
  return hv_logd_connect (j->socket, &j->fd, j->err);
}

static int
logd_connect (struct qmp *q, const char *socket, int *ret_fd, struct hv_err *err)
{
  struct connect_job j = { .socket = socket, .fd = -1, .err = err };
  int r = hv_offload (q->host, connect_run, &j, err);
  if (r == 0)
    *ret_fd = j.fd;
  return r;
}

static int
logd_spawn (struct qmp *q, const char *socket, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *program = HV_HAS (q->config, logd) ? strdup (q->config->logd) : qmp_program_beside ("hvkit-logd");
  HV_CLEAN (hv_free) char *root = logd_root (q);
  const char *argv[] = { program, "--socket", socket, "--root", root, NULL };
  struct hv_spawn how = { .struct_size = sizeof how, .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 };
  int32_t pid;
  if (program == NULL || root == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (q->logd_pidfd >= 0)
    (void) close (q->logd_pidfd);
  q->logd_pidfd = -1;
  return q->host->api->spawn (q->host, &how, &pid, &q->logd_pidfd, err);
}

static int
logd_begin (struct qmp *q, const char *socket, int *ret_fd, struct hv_err *err)
{
  int r = logd_spawn (q, socket, err);
  for (unsigned i = 0; r == 0 && i < BEGIN_TRIES; i++) {
    if (logd_connect (q, socket, ret_fd, err) == 0)
      return 0;
    r = hv_sleep (q->host, BEGIN_MS, err);
  }
  return r < 0 ? r : hv_err_set (err, HV_E_UNAVAILABLE, "hvkit-logd does not listen at '%s'", socket);
}

static void again_run (void *self, void *arg);

/* Its end of the connection is gone, and so is it. */
static void
logd_lost (void *self, void *arg, uint32_t ready)
{
  struct qmp *q = arg;
  (void) self;
  (void) ready;
  qmp_logs_close (q);
  hv_log (q->host, HV_LOG_WARNING, "hvkit-logd ended; it is started again");
  (void) hv_go (q->host, "logd", again_run, q);
}

void
qmp_logs_close (struct qmp *q)
{
  siginfo_t info;
  if (q->logd_watch != NULL)
    q->host->api->watch_free (q->host, q->logd_watch);
  q->logd_watch = NULL;
  if (q->logd_fd >= 0)
    (void) close (q->logd_fd);
  q->logd_fd = -1;
  if (q->logd_pidfd >= 0)
    (void) waitid (P_PIDFD, (id_t) q->logd_pidfd, &info, WEXITED | WNOHANG);
}

/* Those who come while somebody is at it wait for that. */
int
qmp_logs_ready (struct qmp *q, struct hv_err *err)
{
  int fd = -1;
  while (q->logd_starting) {
    int r = q->host->api->cond_wait (q->host, q->changed, 10000, err);
    if (r < 0)
      return r;
  }
  if (q->logd_fd >= 0)
    return 0;
  HV_CLEAN (hv_free) char *socket = logd_socket (q);
  if (socket == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  q->logd_starting = 1;
  int r = logd_connect (q, socket, &fd, err);
  if (r == HV_E_UNAVAILABLE)
    r = logd_begin (q, socket, &fd, err);
  q->logd_starting = 0;
  if (r == 0) {
    q->logd_fd = fd;
    q->logd_watch = q->host->api->watch_new (q->host, fd, HV_WAIT_READ, logd_lost, q);
  }
  q->host->api->cond_wake (q->host, q->changed);
  return r < 0 ? hv_err_wrap (err, r, "logs") : 0;
}

/* --- one log --- */

struct log_job {
  struct qmp_vm *vm;
  const char *socket;
  uint32_t log;
  int sync;
  int fd;
  uint64_t inode;
  struct hv_err *err;
};

static int
log_run (void *arg)
{
  struct log_job *j = arg;
  const struct qmp_config *c = j->vm->qmp->config;
  HV_CLEAN (hv_free) char *path = qmp_path (j->vm, qmp_log_names[j->log]);
  HV_CLEAN (hv_fd) int logd = -1;
  struct stat st;
  int r = path != NULL ? hv_logd_connect (j->socket, &logd, j->err) : HV_E_RESOURCE_EXHAUSTED;
  if (r == 0)
    r = j->sync ? hv_logd_sync (logd, path, j->err) : hv_logd_open (logd, path, c->log_bytes, c->log_keep, &j->fd, j->err);
  if (r == 0 && !j->sync && fstat (j->fd, &st) == 0)
    j->inode = st.st_ino;
  return r;
}

int
qmp_log_open (struct qmp_vm *vm, uint32_t log, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *socket = logd_socket (vm->qmp);
  struct log_job j = { .vm = vm, .socket = socket, .log = log, .fd = -1, .err = err };
  int r = socket != NULL ? qmp_logs_ready (vm->qmp, err) : HV_E_RESOURCE_EXHAUSTED;
  if (r == 0)
    r = hv_offload (vm->qmp->host, log_run, &j, err);
  if (r < 0)
    return hv_err_wrap (err, r, "log '%s'", qmp_log_names[log]);
  vm->log_pipes[log] = j.inode;
  return j.fd;
}

void
qmp_log_sync (struct qmp_vm *vm, uint32_t log)
{
  HV_CLEAN (hv_free) char *socket = logd_socket (vm->qmp);
  struct log_job j = { .vm = vm, .socket = socket, .log = log, .sync = 1, .fd = -1 };
  if (socket != NULL && vm->qmp->logd_fd >= 0)
    (void) hv_offload (vm->qmp->host, log_run, &j, NULL);
}

/* --- after a loss --- */

/* The other end of a pipe that the process holds, by way of the process. -1: it does not. */
static int
pipe_reopen (int32_t pid, uint64_t inode)
{
  char dir[64], wanted[64], target[64], path[400];
  struct dirent *e;
  int fd = -1;
  (void) snprintf (dir, sizeof dir, "/proc/%" PRId32 "/fd", pid);
  int n = snprintf (wanted, sizeof wanted, "pipe:[%" PRIu64 "]", inode);
  DIR *d = opendir (dir);
  while (d != NULL && fd < 0 && (e = readdir (d)) != NULL) {
    if (readlinkat (dirfd (d), e->d_name, target, sizeof target) != n || memcmp (target, wanted, (size_t) n) != 0)
      continue;
    (void) snprintf (path, sizeof path, "%s/%s", dir, e->d_name);
    fd = open (path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  }
  if (d != NULL)
    (void) closedir (d);
  return fd;
}

static int
adopt_run (void *arg)
{
  struct log_job *j = arg;
  const struct qmp_config *c = j->vm->qmp->config;
  HV_CLEAN (hv_fd) int logd = -1;
  int r = hv_logd_connect (j->socket, &logd, j->err);
  for (uint32_t i = 0; r == 0 && i < QMP_LOGS; i++) {
    HV_CLEAN (hv_free) char *path = qmp_path (j->vm, qmp_log_names[i]);
    HV_CLEAN (hv_fd) int fd = j->vm->log_pipes[i] != 0 ? pipe_reopen (j->vm->pid, j->vm->log_pipes[i]) : -1;
    if (fd >= 0 && path != NULL)
      r = hv_logd_adopt (logd, path, c->log_bytes, c->log_keep, fd, j->err);
  }
  return r;
}

/* A log that hvkit-logd still has is not disturbed by being given again. */
void
qmp_logs_adopt (struct qmp_vm *vm)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  HV_CLEAN (hv_free) char *socket = logd_socket (vm->qmp);
  struct log_job j = { .vm = vm, .socket = socket, .fd = -1, .err = err };
  int r = socket != NULL ? qmp_logs_ready (vm->qmp, err) : HV_E_RESOURCE_EXHAUSTED;
  if (r == 0)
    r = hv_offload (vm->qmp->host, adopt_run, &j, err);
  if (r < 0 && r != HV_E_CANCELLED)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "VM '%s': nobody keeps its logs: %s", vm->name, hv_err_message (err));
}

static void
again_run (void *self, void *arg)
{
  struct qmp *q = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (q->host);
  (void) self;
  uint32_t n = q->vm_count;
  struct qmp_vm **vms = hv_alloc (q->host, ((uint64_t) n + 1) * sizeof (struct qmp_vm *));
  if (vms == NULL)
    return;
  for (uint32_t i = 0; i < n; i++)
    vms[i] = qmp_vm_ref (q->vms[i]);
  for (uint32_t i = 0; i < n; i++) {
    if (vms[i]->pidfd >= 0)
      qmp_logs_adopt (vms[i]);
    qmp_vm_unref (vms[i]);
  }
}
