/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One dnsmasq per attachment, in the attachment's namespace, without rights but those it needs. It goes on when the daemon ends,
 * and is found again by its own argument that no other has; one that ends by itself is started anew. */
#include "dhcp.h"
#include "net-bridge.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CMDLINE_MAX (16u << 10)
#define AGAIN_MS    1000u /* how often those that have ended are looked at */
#define PAUSE_MAX_S 60u   /* between two starts of one that does not stay */
#define STAYED_MS   60000
#define END_MS      3000u
#define MEMORY      (256ull << 20)

/* "--pid-file=<run>/<key>.pid": ours, and this attachment's. */
static char *
mark_of (struct nb *nb, const struct nb_attachment *a)
{
  return hv_printf (nb->host, "--pid-file=%s/%s.pid", nb->host->api->info (nb->host)->run_dir, a->key);
}

static char *
lease_path (struct nb *nb, const struct nb_attachment *a)
{
  return hv_printf (nb->host, "%s/%s.leases", nb->host->api->info (nb->host)->run_dir, a->key);
}

/* --- finding one --- */

static int
has_arg (int32_t pid, const char *arg)
{
  char path[64], *text = malloc (CMDLINE_MAX);
  int found = 0;
  (void) snprintf (path, sizeof path, "/proc/%d/cmdline", (int) pid);
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 && text != NULL ? read (fd, text, CMDLINE_MAX - 1) : 0;
  if (n > 0) {
    text[n] = '\0';
    for (char *at = text; at < text + n && !found; at += strlen (at) + 1)
      found = strcmp (at, arg) == 0;
  }
  free (text);
  return found;
}

struct find_job {
  const char *mark;
  int32_t pidfd;
};

/* The process that its descriptor stands for has the mark still: it is not another that got its number. */
static int
find_job (void *arg)
{
  struct find_job *j = arg;
  DIR *d = opendir ("/proc");
  for (struct dirent *e; d != NULL && j->pidfd < 0 && (e = readdir (d)) != NULL;) {
    int32_t pid = (int32_t) strtol (e->d_name, NULL, 10);
    if (pid <= 0 || !has_arg (pid, j->mark))
      continue;
    j->pidfd = (int32_t) syscall (SYS_pidfd_open, pid, 0);
    if (j->pidfd >= 0 && !has_arg (pid, j->mark))
      hv_fd_cleanup (&j->pidfd);
  }
  if (d != NULL)
    (void) closedir (d);
  return 0;
}

/* --- starting one --- */

static int
spawn (struct nb *nb, const struct nb_attachment *a, const char *mark, int32_t netns_fd, int32_t *ret_pidfd, struct hv_err *err)
{
  char *text = hv_strdup (nb->host, a->d.dhcp), *user = hv_printf (nb->host, "--user=%s", nb->config->user);
  const char *argv[NB_DHCP_ARGS_MAX + 9] = { nb->config->nsenter, "--net=/proc/self/fd/3", nb->config->dnsmasq, mark, user };
  char *leases = hv_printf (nb->host, "--dhcp-leasefile=%s", lease_path (nb, a));
  uint32_t n = 5;
  int32_t pid = 0;
  argv[n++] = leases;
  if (text == NULL || user == NULL || leases == NULL)
    return nb_no_memory (err);
  for (char *line; n < NB_DHCP_ARGS_MAX + 8 && (line = strsep (&text, "\n")) != NULL;)
    if (line[0] != '\0')
      argv[n++] = line;
  struct hv_spawn how = { .struct_size = sizeof how,
                          .argv = argv,
                          .fds = &netns_fd,
                          .fd_count = 1,
                          .stdin_fd = -1,
                          .stdout_fd = -1,
                          .stderr_fd = -1,
                          .limit_as_bytes = MEMORY };
  return nb->host->api->spawn (nb->host, &how, &pid, ret_pidfd, err);
}

struct open_job {
  const char *netns;
  int32_t fd;
  struct hv_err *err;
};

static int
open_job (void *arg)
{
  struct open_job *j = arg;
  j->fd = open (j->netns != NULL ? j->netns : "/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  return j->fd >= 0 ? 0 : hv_err_sys (j->err, errno, "network namespace");
}

static int start_server (struct nb *nb, struct nb_attachment *a, int fresh, struct hv_err *err);

/* Longer each time, so that one that cannot run does not fill the log. */
static void
postpone (struct nb *nb, struct nb_attachment *a)
{
  a->server = NB_SERVER_ENDED;
  a->server_pause_s = a->server_pause_s == 0 ? 1 : a->server_pause_s < PAUSE_MAX_S / 2 ? a->server_pause_s * 2 : PAUSE_MAX_S;
  a->server_due_ms = nb->host->api->now_ms () + a->server_pause_s * 1000;
}

/* Started when its time has come. Returns whether there is one left to be started. */
static int
start_due (struct nb *nb)
{
  struct hv_host *h = nb->host;
  int left = 0;
  for (uint32_t i = 0; i < nb->count; i++) {
    struct nb_attachment *a = nb->all[i];
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (h);
    if (a->d.step != NB_ATTACHED || a->server == NB_SERVER_RUNS || a->server == NB_SERVER_NONE)
      continue;
    if (h->api->now_ms () >= a->server_due_ms && start_server (nb, a, a->server == NB_SERVER_FRESH, err) < 0) {
      hv_log (h, HV_LOG_ERROR, "the DHCP server of VM '%s', card '%s' cannot be started: %s", a->d.vm, a->d.nic,
              hv_err_message (err));
      postpone (nb, a);
    }
    left |= a->server == NB_SERVER_ENDED;
  }
  return left;
}

static void
keep_running (void *self, void *arg)
{
  struct nb *nb = arg;
  struct hv_host *h = nb->host;
  int r = 0, left = 1;
  (void) self;
  while (left && (r = nb_lock (nb, NULL)) == 0) {
    left = start_due (nb);
    nb->keeps_servers = left != 0;
    nb_unlock (nb);
    if (left && h->api->sleep (h, AGAIN_MS, NULL) < 0)
      break; /* the plugin ends */
  }
}

void
nb_server_want (struct nb *nb, struct nb_attachment *a)
{
  if (!HV_HAS (&a->d, dhcp))
    return;
  if (a->server == NB_SERVER_NONE)
    a->server = NB_SERVER_FRESH;
  if (!nb->keeps_servers)
    nb->keeps_servers = nb->host->api->go (nb->host, "dhcp", keep_running, nb) == 0;
}

static void
on_end (void *self, void *arg, uint32_t ready)
{
  struct nb_attachment *a = arg;
  struct hv_host *h = a->nb->host;
  siginfo_t info = { 0 };
  (void) self;
  (void) ready;
  (void) waitid (P_PIDFD, (id_t) a->pidfd, &info, WEXITED | WNOHANG); /* where it is a child of ours */
  nb_server_forget (a->nb, a);
  hv_log (h, HV_LOG_WARNING, "the DHCP server of VM '%s', card '%s' has ended by itself: another is started", a->d.vm, a->d.nic);
  if (h->api->now_ms () - a->server_begun_ms > STAYED_MS)
    a->server_pause_s = 0;
  postpone (a->nb, a);
  nb_server_want (a->nb, a);
}

/* Finds or starts it. `fresh`: there cannot be one yet. */
static int
start_server (struct nb *nb, struct nb_attachment *a, int fresh, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  char *mark = mark_of (nb, a);
  struct find_job found = { mark, -1 };
  struct open_job ns = { HV_HAS (&a->d, netns) ? a->d.netns : NULL, -1, err };
  if (!HV_HAS (&a->d, dhcp) || a->pidfd >= 0)
    return 0;
  if (mark == NULL)
    return nb_no_memory (err);
  int r = fresh ? 0 : hv_offload (h, find_job, &found, err);
  a->pidfd = found.pidfd;
  if (r == 0 && a->pidfd < 0) {
    r = hv_offload (h, open_job, &ns, err);
    if (r == 0)
      r = spawn (nb, a, mark, ns.fd, &a->pidfd, err);
    hv_fd_cleanup (&ns.fd);
    hv_step (h, "dhcp.started");
  }
  a->server = NB_SERVER_RUNS;
  a->server_begun_ms = h->api->now_ms ();
  if (r == 0)
    a->watch = h->api->watch_new (h, a->pidfd, HV_WAIT_READ, on_end, a);
  return r == 0 && a->watch == NULL ? nb_no_memory (err) : r;
}

struct files_job {
  const char *pid, *leases;
};

static int
files_job (void *arg)
{
  const struct files_job *j = arg;
  (void) unlink (j->pid);
  (void) unlink (j->leases);
  return 0;
}

int
nb_server_stop (struct nb *nb, struct nb_attachment *a, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  struct find_job found = { mark_of (nb, a), -1 };
  siginfo_t info = { 0 };
  if (a->watch != NULL)
    h->api->watch_free (h, a->watch);
  a->watch = NULL;
  int r = a->pidfd < 0 && HV_HAS (&a->d, dhcp) && found.mark != NULL ? hv_offload (h, find_job, &found, err) : 0;
  if (a->pidfd < 0)
    a->pidfd = found.pidfd;
  if (found.mark == NULL)
    return nb_no_memory (err);
  if (r < 0 || a->pidfd < 0)
    return r;
  (void) pidfd_send_signal (a->pidfd, SIGTERM, NULL, 0);
  if (h->api->wait_fd (h, a->pidfd, HV_WAIT_READ, END_MS, NULL, NULL) < 0) {
    (void) pidfd_send_signal (a->pidfd, SIGKILL, NULL, 0);
    (void) h->api->wait_fd (h, a->pidfd, HV_WAIT_READ, END_MS, NULL, NULL);
  }
  (void) waitid (P_PIDFD, (id_t) a->pidfd, &info, WEXITED | WNOHANG);
  hv_fd_cleanup (&a->pidfd);
  struct files_job files = { found.mark + strlen ("--pid-file="), lease_path (nb, a) };
  (void) hv_offload (h, files_job, &files, NULL);
  hv_step (h, "dhcp.ended");
  return 0;
}

void
nb_server_forget (struct nb *nb, struct nb_attachment *a)
{
  if (a->watch != NULL)
    nb->host->api->watch_free (nb->host, a->watch);
  a->watch = NULL;
  hv_fd_cleanup (&a->pidfd);
}

struct lease_job {
  const char *path;
  char text[512];
};

static int
lease_job (void *arg)
{
  struct lease_job *j = arg;
  HV_CLEAN (hv_fd) int fd = open (j->path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read (fd, j->text, sizeof j->text - 1) : 0;
  j->text[n > 0 ? n : 0] = '\0';
  return 0;
}

/* dnsmasq's first line: when the lease ends, in s since 1970, and whose it is. */
uint64_t
nb_server_lease_ms (struct nb *nb, const struct nb_attachment *a)
{
  struct lease_job j = { .path = lease_path (nb, a) };
  if (!HV_HAS (&a->d, dhcp) || j.path == NULL || hv_offload (nb->host, lease_job, &j, NULL) < 0)
    return 0;
  uint64_t ends_s = strtoull (j.text, NULL, 10);
  return ends_s > NB_LEASE_S ? (ends_s - NB_LEASE_S) * 1000 : 0;
}
