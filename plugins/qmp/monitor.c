/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "monitor.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct request {
  struct request *next;
  uint64_t id;
  qmp_monitor_done_fn *done;
  void *arg;
};

struct qmp_monitor {
  struct hv_host *host;
  struct hv_watch *watch;
  const struct qmp_monitor_ops *ops;
  void *arg;
  struct qmp_proto proto;
  struct request *requests;
  char *out; /* not sent yet: out_at … out_size */
  size_t out_at, out_size;
  uint64_t next_id, dropped;
  uint32_t state;
  int fd;
};

/* --- out --- */

static void
monitor_want (struct qmp_monitor *m)
{
  m->host->api->watch_set (m->host, m->watch, m->out != NULL ? HV_WAIT_READ | HV_WAIT_WRITE : HV_WAIT_READ);
}

/* Sends what the socket takes. Errors are left to the reading side, which sees the end of the connection too. */
static void
monitor_flush (struct qmp_monitor *m)
{
  while (m->out_at < m->out_size) {
    ssize_t n = send (m->fd, m->out + m->out_at, m->out_size - m->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      break;
    m->out_at += (size_t) n;
  }
  if (m->out_at == m->out_size) {
    free (m->out);
    m->out = NULL;
    m->out_at = m->out_size = 0;
  }
  monitor_want (m);
}

static int
monitor_queue (struct qmp_monitor *m, const char *line, size_t size)
{
  size_t left = m->out_size - m->out_at;
  char *out = malloc (left + size);
  if (out == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  if (left > 0)
    memcpy (out, m->out + m->out_at, left);
  memcpy (out + left, line, size);
  free (m->out);
  m->out = out;
  m->out_at = 0;
  m->out_size = left + size;
  monitor_flush (m);
  return 0;
}

/* A descriptor goes with the bytes of its own command, in one piece and behind nothing. */
static int
monitor_send_with (struct qmp_monitor *m, const char *line, size_t size, int fd)
{
  union {
    struct cmsghdr head;
    char space[CMSG_SPACE (sizeof (int))];
  } control = { 0 };
  struct iovec part = { (void *) (uintptr_t) line, size };
  struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space };
  struct cmsghdr *c = CMSG_FIRSTHDR (&msg);
  *c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN (sizeof (int)) };
  memcpy (CMSG_DATA (c), &fd, sizeof fd);
  if (m->out != NULL)
    return HV_E_UNAVAILABLE;
  ssize_t n = sendmsg (m->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n <= 0)
    return HV_E_UNAVAILABLE;
  return (size_t) n < size ? monitor_queue (m, line + n, size - (size_t) n) : 0;
}

static uint64_t
monitor_command (struct qmp_monitor *m, const char *command, json_t *args, int fd, qmp_monitor_done_fn *done, void *arg)
{
  size_t size = 0;
  HV_CLEAN (hv_free) char *line = qmp_proto_command (command, args, m->next_id, &size);
  struct request *r = calloc (1, sizeof *r);
  if (line == NULL || r == NULL || (fd < 0 ? monitor_queue (m, line, size) : monitor_send_with (m, line, size, fd)) < 0) {
    free (r);
    return 0;
  }
  *r = (struct request){ .next = m->requests, .id = m->next_id++, .done = done, .arg = arg };
  m->requests = r;
  return r->id;
}

uint64_t
qmp_monitor_send (struct qmp_monitor *m, const char *command, json_t *args, qmp_monitor_done_fn *done, void *arg)
{
  return m->state == QMP_MONITOR_READY ? monitor_command (m, command, args, -1, done, arg) : 0;
}

uint64_t
qmp_monitor_send_fd (struct qmp_monitor *m, const char *command, json_t *args, int fd, qmp_monitor_done_fn *done, void *arg)
{
  return m->state == QMP_MONITOR_READY && fd >= 0 ? monitor_command (m, command, args, fd, done, arg) : 0;
}

/* --- in --- */

static struct request *
monitor_take (struct qmp_monitor *m, uint64_t id)
{
  struct request **p = &m->requests, *r;
  while ((r = *p) != NULL && r->id != id)
    p = &r->next;
  if (r != NULL)
    *p = r->next;
  return r;
}

void
qmp_monitor_forget (struct qmp_monitor *m, uint64_t id)
{
  if (m != NULL)
    free (monitor_take (m, id));
}

static void
monitor_reply (void *arg, const struct qmp_reply *reply)
{
  struct qmp_monitor *m = arg;
  struct request *r = monitor_take (m, reply->id);
  if (r == NULL) {
    m->dropped++;
    return;
  }
  r->done (r->arg, reply);
  free (r);
}

static void
monitor_negotiated (void *arg, const struct qmp_reply *reply)
{
  struct qmp_monitor *m = arg;
  if (reply == NULL || reply->ret == NULL)
    return;
  m->state = QMP_MONITOR_READY;
  m->ops->ready (m->arg);
}

static void
monitor_greeting (void *arg, const json_t *version)
{
  struct qmp_monitor *m = arg;
  (void) version;
  m->state = QMP_MONITOR_NEGOTIATING;
  (void) monitor_command (m, "qmp_capabilities", NULL, -1, monitor_negotiated, m);
}

static void
monitor_event (void *arg, const char *name, const json_t *data)
{
  struct qmp_monitor *m = arg;
  m->ops->event (m->arg, name, data);
}

static const struct qmp_proto_ops proto_ops = { .greeting = monitor_greeting, .reply = monitor_reply, .event = monitor_event };

static void
monitor_fail_all (struct qmp_monitor *m)
{
  struct request *r;
  while ((r = m->requests) != NULL) {
    m->requests = r->next;
    r->done (r->arg, NULL);
    free (r);
  }
}

static void
monitor_lost (struct qmp_monitor *m, const char *why)
{
  if (m->state == QMP_MONITOR_LOST)
    return;
  m->state = QMP_MONITOR_LOST;
  m->host->api->watch_set (m->host, m->watch, 0);
  monitor_fail_all (m);
  m->ops->lost (m->arg, why);
}

/* Reads at most `rounds` times, so that a flood of events cannot hold the loop. Returns 0 once there is nothing more. */
static int
monitor_read (struct qmp_monitor *m, int rounds)
{
  char buf[16384];
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (m->host);
  for (; rounds > 0 && m->state != QMP_MONITOR_LOST; rounds--) {
    ssize_t n = recv (m->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      return 0;
    if (n <= 0) {
      monitor_lost (m, n == 0 ? "the monitor connection was closed" : strerror (errno));
      return 0;
    }
    m->ops->heard (m->arg);
    if (qmp_proto_feed (&m->proto, buf, (size_t) n, err) < 0) {
      monitor_lost (m, hv_err_message (err));
      return 0;
    }
  }
  return 1;
}

static void
monitor_ready (void *self, void *arg, uint32_t ready)
{
  struct qmp_monitor *m = arg;
  (void) self;
  if (ready & HV_WAIT_WRITE)
    monitor_flush (m);
  if (ready & HV_WAIT_READ)
    (void) monitor_read (m, 16); /* `lost` may have closed m */
}

void
qmp_monitor_drain (struct qmp_monitor *m)
{
  /* at most one full reply and the events before it; the peer is gone or silent when this is called */
  for (int i = 0; i < 64 && m->state != QMP_MONITOR_LOST && monitor_read (m, 16); i++)
    ;
}

/* --- life --- */

struct qmp_monitor *
qmp_monitor_open (struct hv_host *host, int fd, const struct qmp_monitor_ops *ops, void *arg)
{
  struct qmp_monitor *m = calloc (1, sizeof *m);
  if (m != NULL) {
    *m = (struct qmp_monitor){ .host = host, .ops = ops, .arg = arg, .next_id = 1, .fd = fd };
    m->watch = host->api->watch_new (host, fd, HV_WAIT_READ, monitor_ready, m);
  }
  if (m == NULL || m->watch == NULL) {
    free (m);
    (void) close (fd);
    return NULL;
  }
  qmp_proto_init (&m->proto, &proto_ops, m);
  return m;
}

void
qmp_monitor_close (struct qmp_monitor *m)
{
  if (m == NULL)
    return;
  m->state = QMP_MONITOR_LOST;
  monitor_fail_all (m);
  m->host->api->watch_free (m->host, m->watch);
  (void) close (m->fd);
  qmp_proto_clear (&m->proto);
  free (m->out);
  free (m);
}

uint32_t
qmp_monitor_state (const struct qmp_monitor *m)
{
  return m == NULL ? QMP_MONITOR_LOST : m->state;
}

uint64_t
qmp_monitor_dropped (const struct qmp_monitor *m)
{
  return m->dropped;
}
