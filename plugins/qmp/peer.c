/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections between two daemons. See peer.h. */
#include "peer.h"
#include "qmp.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

const char *const qmp_peer_kind_words[] = { "stream", "commit", "abort", NULL };
HV_RECORD_TABLE (qmp_hello, QMP_HELLO, "begin of a connection between two daemons");
HV_RECORD_TABLE (qmp_answer, QMP_ANSWER, "answer to it");

/* --- addresses; names are looked up on a pool thread --- */

struct peer_job {
  const struct qmp_uri *uri;
  int listening, again, fd;
  struct hv_err *err;
};

static int
tcp_one (struct peer_job *j, const struct addrinfo *a)
{
  const struct timeval limit = { .tv_sec = QMP_PEER_MS / 1000 };
  const int on = 1;
  HV_CLEAN (hv_fd) int fd = socket (a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
  if (fd < 0)
    return -errno;
  (void) setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  (void) setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void) setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* of connect, too */
  int r = j->listening ? bind (fd, a->ai_addr, a->ai_addrlen) : connect (fd, a->ai_addr, a->ai_addrlen);
  if (r == 0 && j->listening)
    r = listen (fd, 4);
  if (r < 0)
    return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
  j->fd = HV_STEAL_FD (fd);
  return 0;
}

static int
tcp_run (struct peer_job *j)
{
  const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | (j->listening ? AI_PASSIVE : 0) };
  struct addrinfo *list = NULL;
  int r = -ENOENT, e = getaddrinfo (j->uri->host, j->uri->port, &hints, &list);
  if (e != 0)
    return hv_err_set (j->err, HV_E_UNAVAILABLE, "'%s': %s", j->uri->host, gai_strerror (e));
  for (const struct addrinfo *a = list; a != NULL && r < 0; a = a->ai_next)
    r = tcp_one (j, a);
  freeaddrinfo (list);
  if (r == 0)
    return 0;
  (void) hv_err_sys (j->err, -r, "%s %s port %s", j->listening ? "listen on" : "connect to", j->uri->host, j->uri->port);
  return j->listening ? HV_E_FAILED_PRECONDITION : HV_E_UNAVAILABLE;
}

static int
unix_run (struct peer_job *j)
{
  struct stat st;
  if (j->again && lstat (j->uri->path, &st) == 0 && S_ISSOCK (st.st_mode))
    (void) unlink (j->uri->path);
  j->fd = j->listening ? qmp_listen (j->uri->path, j->err) : qmp_connect (j->uri->path, j->err);
  return j->fd < 0 ? j->fd : 0;
}

static int
peer_run (void *arg)
{
  struct peer_job *j = arg;
  int r = j->uri->path != NULL ? unix_run (j) : tcp_run (j);
  if (r == 0 && fcntl (j->fd, F_SETFL, O_NONBLOCK) < 0)
    return hv_err_sys (j->err, errno, "socket");
  return r;
}

int
qmp_peer_connect (struct hv_host *h, const char *uri, int *ret_fd, struct hv_err *err)
{
  struct qmp_uri *u = hv_alloc (h, sizeof *u);
  if (u == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  struct peer_job j = { .uri = u, .fd = -1, .err = err };
  int r = qmp_uri_parse (uri, u, err);
  if (r == 0)
    r = hv_offload (h, peer_run, &j, err);
  if (r == 0)
    *ret_fd = j.fd;
  else if (j.fd >= 0)
    (void) close (j.fd);
  return r;
}

static uint32_t
port_of (int fd)
{
  struct sockaddr_storage a;
  socklen_t n = sizeof a;
  if (getsockname (fd, (struct sockaddr *) &a, &n) < 0)
    return 0;
  if (a.ss_family == AF_INET6)
    return ntohs (((struct sockaddr_in6 *) (void *) &a)->sin6_port);
  return a.ss_family == AF_INET ? ntohs (((struct sockaddr_in *) (void *) &a)->sin_port) : 0;
}

int
qmp_peer_listen (struct hv_host *h, const char *uri, int again, int *ret_fd, uint32_t *ret_port, struct hv_err *err)
{
  struct qmp_uri *u = hv_alloc (h, sizeof *u);
  if (u == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  struct peer_job j = { .uri = u, .listening = 1, .again = again, .fd = -1, .err = err };
  int r = qmp_uri_parse (uri, u, err);
  if (r == 0)
    r = hv_offload (h, peer_run, &j, err);
  if (r < 0) {
    if (j.fd >= 0)
      (void) close (j.fd);
    return r;
  }
  *ret_fd = j.fd;
  *ret_port = port_of (j.fd);
  return 0;
}

/* --- frames --- */

/* All of it, in one direction, until `end`. */
static int
peer_move (struct hv_host *h, int fd, uint8_t *bytes, uint64_t n, int out, uint64_t end, struct hv_err *err)
{
  for (uint64_t done = 0; done < n;) {
    ssize_t got = out ? send (fd, bytes + done, n - done, MSG_NOSIGNAL) : recv (fd, bytes + done, n - done, 0);
    if (got == 0)
      return hv_err_set (err, HV_E_UNAVAILABLE, "the other side hung up");
    if (got > 0) {
      done += (uint64_t) got;
      continue;
    }
    if (errno == EINTR)
      continue;
    if (errno != EAGAIN) {
      (void) hv_err_sys (err, errno, "connection to the other side");
      return HV_E_UNAVAILABLE;
    }
    uint64_t now = h->api->now_ms ();
    int r = now < end ? h->api->wait_fd (h, fd, out ? HV_WAIT_WRITE : HV_WAIT_READ, end - now, NULL, err) : HV_E_DEADLINE_EXCEEDED;
    if (r == HV_E_DEADLINE_EXCEEDED)
      return hv_err_set (err, HV_E_UNAVAILABLE, "the other side says nothing");
    if (r < 0)
      return r;
  }
  return 0;
}

int
qmp_peer_send (struct hv_host *h, int fd, const struct hv_record *rec, const void *what, struct hv_err *err)
{
  uint64_t end = h->api->now_ms () + QMP_PEER_MS;
  uint8_t head[QMP_PEER_HEAD];
  struct hv_bin b = { 0 };
  int r = h->api->encode (h, rec, what, &b, err);
  if (r == 0 && b.size > QMP_PEER_MAX)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "the machine takes more than %u bytes to describe", QMP_PEER_MAX);
  if (r < 0)
    return r;
  qmp_peer_head_write ((uint32_t) b.size, head);
  r = peer_move (h, fd, head, sizeof head, 1, end, err);
  return r == 0 ? peer_move (h, fd, (uint8_t *) (uintptr_t) b.data, b.size, 1, end, err) : r;
}

int
qmp_peer_receive (struct hv_host *h, int fd, const struct hv_record *rec, void *ret, struct hv_err *err)
{
  uint64_t end = h->api->now_ms () + QMP_PEER_MS;
  uint8_t head[QMP_PEER_HEAD];
  uint32_t n = 0;
  int r = peer_move (h, fd, head, sizeof head, 0, end, err);
  if (r == 0)
    r = qmp_peer_head_parse (head, &n, err);
  if (r < 0)
    return r;
  uint8_t *body = hv_alloc (h, n);
  if (body == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  r = peer_move (h, fd, body, n, 0, end, err);
  memset (ret, 0, rec->c_size);
  return r == 0 ? h->api->decode (h, rec, (struct hv_bin){ body, n }, HV_DECODE_OPEN, ret, err) : r;
}

int
qmp_peer_ask (struct hv_host *h, int fd, const struct qmp_hello *hello, const char **ret_reason, struct hv_err *err)
{
  struct qmp_answer a = { .ok = 0 };
  int r = qmp_peer_send (h, fd, &qmp_hello_record, hello, err);
  if (r == 0)
    r = qmp_peer_receive (h, fd, &qmp_answer_record, &a, err);
  if (r == 0 && !a.ok)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the other side refuses: %s",
                       a.reason != NULL ? a.reason : "no reason given");
  if (r == 0 && ret_reason != NULL)
    *ret_reason = a.reason;
  return r;
}

int
qmp_peer_answer (struct hv_host *h, int fd, int ok, const char *reason, struct hv_err *err)
{
  struct qmp_answer a = { .ok = (uint8_t) ok };
  if (reason != NULL && reason[0] != '\0')
    HV_SET (&a, reason, hv_printf (h, "%.2000s", reason));
  return qmp_peer_send (h, fd, &qmp_answer_record, &a, err);
}
