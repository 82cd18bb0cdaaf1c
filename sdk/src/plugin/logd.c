/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <hvkit/clean.h>
#include <hvkit/logd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_S 5

int
hv_logd_connect (const char *socket_path, int *ret_fd, struct hv_err *err)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  struct timeval limit = { .tv_sec = ANSWER_S };
  if (strlen (socket_path) >= sizeof a.sun_path)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "socket '%s': the path is too long", socket_path);
  memcpy (a.sun_path, socket_path, strlen (socket_path) + 1);
  HV_CLEAN (hv_fd) int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return hv_err_sys (err, errno, "socket");
  (void) setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  (void) setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect (fd, (struct sockaddr *) &a, sizeof a) < 0) {
    (void) hv_err_sys (err, errno, "hvkit-logd at '%s'", socket_path);
    return HV_E_UNAVAILABLE;
  }
  *ret_fd = HV_STEAL_FD (fd);
  return 0;
}

static int
request_send (int connection, const struct hv_logd_request *q, int fd)
{
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE (sizeof (int))];
  } control = { 0 };
  struct iovec part = { (void *) (uintptr_t) q, sizeof *q };
  struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
  if (fd >= 0) {
    msg.msg_control = &control;
    msg.msg_controllen = sizeof control.space;
    struct cmsghdr *c = CMSG_FIRSTHDR (&msg);
    *c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN (sizeof (int)) };
    memcpy (CMSG_DATA (c), &fd, sizeof fd);
  }
  return sendmsg (connection, &msg, MSG_NOSIGNAL) == (ssize_t) sizeof *q ? 0 : -1;
}

/* *ret_fd: a descriptor that came along, or -1. */
static int
answer_receive (int connection, struct hv_logd_answer *a, int *ret_fd)
{
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE (sizeof (int))];
  } control = { 0 };
  struct iovec part = { a, sizeof *a };
  struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space };
  ssize_t n = recvmsg (connection, &msg, MSG_CMSG_CLOEXEC);
  struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR (&msg) : NULL;
  *ret_fd = -1;
  if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN (sizeof (int)))
    memcpy (ret_fd, CMSG_DATA (c), sizeof (int));
  return n == (ssize_t) sizeof *a && a->version == HV_LOGD_VERSION ? 0 : -1;
}

static int
exchange (int connection, const struct hv_logd_request *q, int fd, struct hv_logd_answer *a, int *ret_fd, struct hv_err *err)
{
  HV_CLEAN (hv_fd) int got = -1;
  errno = EPROTO;
  if (request_send (connection, q, fd) < 0 || answer_receive (connection, a, &got) < 0) {
    (void) hv_err_sys (err, errno, "hvkit-logd");
    return HV_E_UNAVAILABLE;
  }
  a->text[sizeof a->text - 1] = '\0';
  if (a->code < 0)
    return hv_err_set (err, a->code, "hvkit-logd: %s", a->text);
  if (ret_fd != NULL)
    *ret_fd = HV_STEAL_FD (got);
  return 0;
}

static int
request_make (struct hv_logd_request *q, uint32_t op, const char *path, uint64_t cap_bytes, uint32_t keep, struct hv_err *err)
{
  *q = (struct hv_logd_request){ .version = HV_LOGD_VERSION, .op = op, .cap_bytes = cap_bytes, .keep = keep };
  if (strlen (path) >= sizeof q->path)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "log '%.64s…': the path is too long", path);
  memcpy (q->path, path, strlen (path) + 1);
  return 0;
}

int
hv_logd_open (int connection, const char *path, uint64_t cap_bytes, uint32_t keep, int *ret_fd, struct hv_err *err)
{
  struct hv_logd_request q;
  struct hv_logd_answer a;
  int fd = -1, r = request_make (&q, HV_LOGD_OPEN, path, cap_bytes, keep, err);
  if (r == 0)
    r = exchange (connection, &q, -1, &a, &fd, err);
  if (r == 0 && fd < 0)
    return hv_err_set (err, HV_E_INTERNAL, "hvkit-logd gave no pipe for '%s'", path);
  if (r == 0)
    *ret_fd = fd;
  return r;
}

int
hv_logd_adopt (int connection, const char *path, uint64_t cap_bytes, uint32_t keep, int read_fd, struct hv_err *err)
{
  struct hv_logd_request q;
  struct hv_logd_answer a;
  int r = request_make (&q, HV_LOGD_ADOPT, path, cap_bytes, keep, err);
  return r == 0 ? exchange (connection, &q, read_fd, &a, NULL, err) : r;
}

int
hv_logd_sync (int connection, const char *path, struct hv_err *err)
{
  struct hv_logd_request q;
  struct hv_logd_answer a;
  int r = request_make (&q, HV_LOGD_SYNC, path, 0, 0, err);
  return r == 0 ? exchange (connection, &q, -1, &a, NULL, err) : r;
}

int
hv_logd_status (int connection, struct hv_logd_answer *ret, struct hv_err *err)
{
  struct hv_logd_request q;
  int r = request_make (&q, HV_LOGD_STATUS, "", 0, 0, err);
  return r == 0 ? exchange (connection, &q, -1, ret, NULL, err) : r;
}
