/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit-logd --socket PATH --root DIR: see <hvkit/logd.h> and hvkit-logd(8). One thread, one epoll, no memory that grows
 * with what is logged. */
#include "file.h"
#include <errno.h>
#include <fcntl.h>
#include <hvkit/clean.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define IDLE_MS 1000 /* without logs and connections for this long: it ends */
#define CHUNK   65536u
#define CLIENTS 64u
#define LOGS    4096u

enum { LISTENER, SIGNALS, CLIENT, LOG };

struct watched {
  struct watched *next, **at;
  int kind, fd;
  char *path; /* LOG */
  struct logd_file file;
};

static struct {
  int epoll, listener, clients;
  uint32_t logs;
  uint64_t written, lost; /* of logs that are closed */
  const char *root;
  struct watched *all;
} d;

static struct watched *
watch (int kind, int fd)
{
  struct watched *w = calloc (1, sizeof *w);
  struct epoll_event e = { .events = EPOLLIN, .data.ptr = w };
  if (w == NULL || epoll_ctl (d.epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
    free (w);
    return NULL;
  }
  *w = (struct watched){ .next = d.all, .at = &d.all, .kind = kind, .fd = fd };
  if (d.all != NULL)
    d.all->at = &w->next;
  d.all = w;
  d.clients += kind == CLIENT;
  d.logs += kind == LOG;
  return w;
}

static void
unwatch (struct watched *w)
{
  *w->at = w->next;
  if (w->next != NULL)
    w->next->at = w->at;
  (void) close (w->fd);
  d.clients -= w->kind == CLIENT;
  d.logs -= w->kind == LOG;
  if (w->kind == LOG) {
    d.written += w->file.written;
    d.lost += w->file.lost;
    logd_file_close (&w->file);
  }
  free (w->path);
  free (w);
}

/* --- logs --- */

static char chunk[CHUNK];

/* Reads what is there, `most` chunks at a time, so that one log cannot keep others waiting. 0: its writers are gone. */
static int
log_read (struct watched *w, int most)
{
  for (; most > 0; most--) {
    ssize_t n = read (w->fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno == EAGAIN;
    if (n == 0)
      return 0;
    logd_file_write (&w->file, chunk, (size_t) n);
  }
  return 1;
}

static struct watched *
log_find (const char *path)
{
  for (struct watched *w = d.all; w != NULL; w = w->next)
    if (w->kind == LOG && strcmp (w->path, path) == 0)
      return w;
  return NULL;
}

/* Takes over read_fd, also on failure. */
static int
log_add (const struct hv_logd_request *q, int read_fd)
{
  struct logd_file f = { .dir_fd = -1, .fd = -1 };
  HV_CLEAN (hv_fd) int fd = read_fd;
  struct watched *before = log_find (q->path);
  if (before != NULL) { /* its writers have been replaced: what is left of the old pipe first */
    (void) log_read (before, 64);
    unwatch (before);
  }
  int r = d.logs < LOGS ? logd_file_open (&f, d.root, q->path, q->cap_bytes, q->keep) : HV_E_RESOURCE_EXHAUSTED;
  if (r < 0)
    return r;
  (void) fcntl (fd, F_SETFL, O_NONBLOCK);
  struct watched *w = watch (LOG, fd);
  if (w != NULL)
    w->path = strdup (q->path);
  if (w == NULL || w->path == NULL) {
    logd_file_close (&f);
    if (w != NULL) {
      fd = -1;
      w->path = strdup ("");
      unwatch (w);
    }
    return HV_E_RESOURCE_EXHAUSTED;
  }
  w->file = f;
  fd = -1;
  return 0;
}

static int
log_open (const struct hv_logd_request *q, int *ret_write)
{
  int ends[2];
  if (pipe2 (ends, O_CLOEXEC) < 0)
    return HV_E_RESOURCE_EXHAUSTED;
  int r = log_add (q, ends[0]);
  if (r < 0)
    (void) close (ends[1]);
  else
    *ret_write = ends[1];
  return r;
}

static int
log_sync (const char *path)
{
  struct watched *w = log_find (path);
  if (w != NULL && !log_read (w, 1024))
    unwatch (w);
  return 0; /* one that is closed is in its file, whole */
}

/* --- requests --- */

static const char *
code_text (int code)
{
  switch (code) {
  case 0:
    return "";
  case HV_E_PERMISSION_DENIED:
    return "the log is not below this hvkit-logd's root";
  case HV_E_RESOURCE_EXHAUSTED:
    return "too many logs, or out of memory";
  case HV_E_INVALID_ARGUMENT:
    return "not a request of this version";
  default:
    return "the log's directory or file cannot be opened";
  }
}

static int
request_check (const struct hv_logd_request *q, ssize_t n, int fd)
{
  if (n != (ssize_t) sizeof *q || q->version != HV_LOGD_VERSION || memchr (q->path, '\0', sizeof q->path) == NULL)
    return HV_E_INVALID_ARGUMENT;
  if ((q->op == HV_LOGD_OPEN || q->op == HV_LOGD_ADOPT) && q->cap_bytes == 0)
    return HV_E_INVALID_ARGUMENT;
  return q->op == HV_LOGD_ADOPT && fd < 0 ? HV_E_INVALID_ARGUMENT : 0;
}

/* Takes over fd. *ret_fd: goes along with the answer, -1: none. */
static int
request_run (const struct hv_logd_request *q, ssize_t n, int fd, int *ret_fd)
{
  HV_CLEAN (hv_fd) int given = fd;
  int r = request_check (q, n, fd);
  if (r < 0)
    return r;
  switch (q->op) {
  case HV_LOGD_OPEN:
    return log_open (q, ret_fd);
  case HV_LOGD_ADOPT:
    return log_add (q, HV_STEAL_FD (given));
  case HV_LOGD_SYNC:
    return log_sync (q->path);
  case HV_LOGD_STATUS:
    return 0;
  default:
    return HV_E_INVALID_ARGUMENT;
  }
}

static void
answer_send (int fd, int code, int pass)
{
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE (sizeof (int))];
  } control = { 0 };
  struct hv_logd_answer a = { .version = HV_LOGD_VERSION, .code = code, .logs = d.logs, .bytes = d.written, .lost_bytes = d.lost };
  struct iovec part = { &a, sizeof a };
  struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
  for (struct watched *w = d.all; w != NULL; w = w->next)
    if (w->kind == LOG) {
      a.bytes += w->file.written;
      a.lost_bytes += w->file.lost;
    }
  (void) snprintf (a.text, sizeof a.text, "%s", code_text (code));
  if (pass >= 0) {
    msg.msg_control = &control;
    msg.msg_controllen = sizeof control.space;
    struct cmsghdr *c = CMSG_FIRSTHDR (&msg);
    *c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN (sizeof (int)) };
    memcpy (CMSG_DATA (c), &pass, sizeof pass);
  }
  (void) sendmsg (fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The one descriptor that a request may bring; more than one are closed, all of them. */
static int
descriptor_take (struct msghdr *msg)
{
  int fds[2] = { -1, -1 };
  struct cmsghdr *c = CMSG_FIRSTHDR (msg);
  if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
    return -1;
  size_t n = (c->cmsg_len - CMSG_LEN (0)) / sizeof (int);
  memcpy (fds, CMSG_DATA (c), (n < 2 ? n : 2) * sizeof (int));
  if (n == 1)
    return fds[0];
  for (size_t i = 0; i < 2; i++)
    if (fds[i] >= 0)
      (void) close (fds[i]);
  return -1;
}

static void
client_ready (struct watched *w)
{
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE (sizeof (int))];
  } control = { 0 };
  static struct hv_logd_request q;
  struct iovec part = { &q, sizeof q };
  struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space };
  int fd = -1, pass = -1;
  ssize_t n = recvmsg (w->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (n <= 0) {
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
      unwatch (w);
    return;
  }
  fd = descriptor_take (&msg);
  int code = request_run (&q, n, fd, &pass);
  answer_send (w->fd, code, pass);
  if (pass >= 0)
    (void) close (pass); /* the process that logs has it alone: its end is the pipe's end */
}

/* Root and whoever started us. */
static void
listener_ready (void)
{
  struct ucred peer;
  socklen_t n = sizeof peer;
  int fd = accept4 (d.listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0 && (errno == EMFILE || errno == ENFILE))
    (void) usleep (1000); /* it stays ready; logs have to go on */
  if (fd < 0)
    return;
  int known = getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == 0 || peer.uid == getuid ());
  if (!known || d.clients >= (int) CLIENTS || watch (CLIENT, fd) == NULL)
    (void) close (fd);
}

/* --- life --- */

/* One per socket. Whoever ends removes the lock file, too: a lock on a file that has no name any more is none. */
static int
lock_take (const char *path)
{
  for (int i = 0; i < 100; i++) {
    struct stat held, named;
    HV_CLEAN (hv_fd) int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock (fd, LOCK_EX | LOCK_NB) < 0)
      return -1;
    if (fstat (fd, &held) == 0 && stat (path, &named) == 0 && held.st_ino == named.st_ino && held.st_dev == named.st_dev)
      return HV_STEAL_FD (fd);
  }
  return -1;
}

static int
lock_path (const char *socket_path, char *ret, size_t size)
{
  int n = snprintf (ret, size, "%s.lock", socket_path);
  return n > 0 && (size_t) n < size ? 0 : -1;
}

static int
listen_at (const char *path)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  char lock[sizeof a.sun_path + 8];
  if (strlen (path) >= sizeof a.sun_path || lock_path (path, lock, sizeof lock) < 0 || lock_take (lock) < 0)
    return -1;
  memcpy (a.sun_path, path, strlen (path) + 1);
  (void) unlink (path);
  (void) umask (0177);
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind (fd, (struct sockaddr *) &a, sizeof a) < 0 || listen (fd, 16) < 0)
    return -1;
  return fd;
}

static int
signals_open (void)
{
  sigset_t set;
  (void) sigemptyset (&set);
  (void) sigaddset (&set, SIGTERM);
  (void) sigaddset (&set, SIGINT);
  (void) sigprocmask (SIG_BLOCK, &set, NULL);
  (void) signal (SIGPIPE, SIG_IGN);
  return signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* 0: the end was asked for. */
static int
dispatch (struct watched *w)
{
  switch (w->kind) {
  case LISTENER:
    listener_ready ();
    return 1;
  case CLIENT:
    client_ready (w);
    return 1;
  case LOG:
    if (!log_read (w, 4))
      unwatch (w);
    return 1;
  default:
    return 0;
  }
}

/* One event at a time: handling it may end another that would come next. */
static void
serve (void)
{
  for (;;) {
    struct epoll_event e;
    int idle = d.logs == 0 && d.clients == 0;
    int n = epoll_wait (d.epoll, &e, 1, idle ? IDLE_MS : -1);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 || (n == 0 && idle) || (n > 0 && !dispatch (e.data.ptr)))
      return;
  }
}

/* What is in the pipes by now is written before we go. */
static void
finish (const char *socket_path)
{
  char lock[sizeof (struct sockaddr_un) + 8];
  (void) unlink (socket_path);
  while (d.all != NULL) {
    if (d.all->kind == LOG)
      (void) log_read (d.all, 64);
    unwatch (d.all);
  }
  if (lock_path (socket_path, lock, sizeof lock) == 0)
    (void) unlink (lock);
}

int
main (int argc, char **argv)
{
  const char *socket_path = NULL;
  for (int i = 1; i + 1 < argc; i += 2)
    if (strcmp (argv[i], "--socket") == 0)
      socket_path = argv[i + 1];
    else if (strcmp (argv[i], "--root") == 0)
      d.root = argv[i + 1];
  if (socket_path == NULL || d.root == NULL || d.root[0] != '/' || d.root[strlen (d.root) - 1] == '/' || argc != 5) {
    (void) fprintf (stderr, "usage: hvkit-logd --socket PATH --root DIR (absolute, without a slash at its end)\n");
    return 2;
  }
  struct rlimit files;
  if (getrlimit (RLIMIT_NOFILE, &files) == 0) { /* three per log */
    files.rlim_cur = files.rlim_max;
    (void) setrlimit (RLIMIT_NOFILE, &files);
  }
  int signals = signals_open ();
  d.listener = listen_at (socket_path);
  d.epoll = epoll_create1 (EPOLL_CLOEXEC);
  if (signals < 0 || d.listener < 0 || d.epoll < 0 || watch (LISTENER, d.listener) == NULL || watch (SIGNALS, signals) == NULL) {
    (void) fprintf (stderr, "hvkit-logd: '%s': %s\n", socket_path,
                    errno == EWOULDBLOCK ? "another one serves it" : strerror (errno));
    return 1;
  }
  serve ();
  finish (socket_path);
  return 0;
}
