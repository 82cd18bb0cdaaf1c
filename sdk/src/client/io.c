/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes in and out of the connection, and the loop functions. */
#include "impl.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* --- buffer --- */

static void
buf_compact (struct hv_client_buf *b)
{
  if (b->at == 0)
    return;
  memmove (b->data, b->data + b->at, b->size - b->at);
  b->size -= b->at;
  b->at = 0;
}

int
hv_client_buf_room (struct hv_client_buf *b, uint64_t n)
{
  if (b->capacity - b->size >= n)
    return 0;
  /* moving is worth it only when most of the buffer is used up; else a long queue would be copied over and over */
  if (b->at >= b->size - b->at)
    buf_compact (b);
  if (b->capacity - b->size >= n)
    return 0;
  uint64_t capacity = b->capacity == 0 ? HV_CLIENT_READ_BYTES : b->capacity;
  while (capacity - b->size < n)
    if (__builtin_mul_overflow (capacity, 2u, &capacity))
      return HV_E_RESOURCE_EXHAUSTED;
  uint8_t *data = realloc (b->data, capacity);
  if (data == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  b->data = data;
  b->capacity = capacity;
  return 0;
}

int
hv_client_buf_append (struct hv_client_buf *b, const void *data, uint64_t n)
{
  int r = hv_client_buf_room (b, n);
  if (r == 0 && n > 0) {
    memcpy (b->data + b->size, data, n);
    b->size += n;
  }
  return r;
}

void
hv_client_buf_consume (struct hv_client_buf *b, uint64_t n)
{
  b->at += n;
  if (b->at < b->size)
    return;
  b->at = b->size = 0;
  if (b->capacity > (1u << 20)) { /* one long answer does not stay allocated for good */
    free (b->data);
    *b = (struct hv_client_buf){ 0 };
  }
}

/* --- the connection's end --- */

void
hv_client_fail (struct hv_client *c, const char *fmt, ...)
{
  if (c->lost)
    return;
  va_list ap;
  va_start (ap, fmt);
  (void)vsnprintf (c->why, sizeof c->why, fmt, ap);
  va_end (ap);
  c->lost = 1;
  hv_client_pending_fail_all (c, HV_E_UNAVAILABLE, c->why);
}

int
hv_client_lost_error (const struct hv_client *c, struct hv_err *err)
{
  return hv_err_set (err, HV_E_UNAVAILABLE, "%s", c->why[0] != '\0' ? c->why : "the connection was closed");
}

int
hv_client_may_block (const struct hv_client *c, struct hv_err *err)
{
  if (c->busy)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "a callback of this client may not wait for it");
  return c->lost ? hv_client_lost_error (c, err) : 0;
}

/* --- moving bytes --- */

/* A peer that closed its end may still have answered: what cannot be written is dropped, reading finds the end. */
static void
flush_out (struct hv_client *c)
{
  struct hv_client_buf *b = &c->out;
  while (b->at < b->size && !c->write_broken) {
    ssize_t n = send (c->fd, b->data + b->at, b->size - b->at, MSG_NOSIGNAL);
    if (n >= 0)
      hv_client_buf_consume (b, (uint64_t)n);
    else if (errno == EAGAIN)
      return;
    else if (errno != EINTR)
      c->write_broken = 1;
  }
  if (c->write_broken)
    b->at = b->size = 0;
}

/* Takes every whole frame out of the buffer. */
static void
take_frames (struct hv_client *c)
{
  struct hv_client_buf *b = &c->in;
  while (!c->lost && b->at < b->size) {
    uint64_t size = 0;
    int r = hv_fence_scan (&c->fence, b->data + b->at, b->size - b->at, &size);
    if (r == HV_FENCE_MORE)
      return;
    if (r != HV_FENCE_DONE) {
      hv_client_fail (c, "connection closed: what the daemon sent is not valid: %s", hv_fence_strerror (r));
      return;
    }
    hv_fence_init (&c->fence, c->answer_bytes);
    if (hv_client_dispatch (c, (struct hv_bin){ b->data + b->at, size }) != 0)
      return;
    hv_client_buf_consume (b, size);
  }
}

/* 1: more may be waiting, 0: nothing more for now, or lost. */
static int
read_some (struct hv_client *c)
{
  struct hv_client_buf *b = &c->in;
  if (hv_client_buf_room (b, HV_CLIENT_READ_BYTES) != 0) {
    hv_client_fail (c, "connection closed: out of memory");
    return 0;
  }
  ssize_t n = recv (c->fd, b->data + b->size, b->capacity - b->size, 0);
  if (n > 0) {
    b->size += (uint64_t)n;
    take_frames (c);
    return !c->lost;
  }
  if (n == 0)
    hv_client_fail (c, "connection closed");
  else if (errno != EAGAIN && errno != EINTR)
    hv_client_fail (c, "connection closed: %s", strerror (errno));
  return n < 0 && errno == EINTR && !c->lost;
}

/* --- loop functions --- */

int
hv_client_fd (const struct hv_client *c)
{
  return c->fd;
}

uint32_t
hv_client_wants (const struct hv_client *c)
{
  if (c->lost)
    return 0;
  return HV_CLIENT_READ | (c->out.at < c->out.size && !c->write_broken ? HV_CLIENT_WRITE : 0);
}

int
hv_client_timeout_ms (const struct hv_client *c)
{
  if (c->next_deadline_ms == 0 || c->lost)
    return -1;
  uint64_t now = hv_client_now_ms (), left = c->next_deadline_ms > now ? c->next_deadline_ms - now : 0;
  return left > INT_MAX ? INT_MAX : (int)left;
}

int
hv_client_process (struct hv_client *c, struct hv_err *err)
{
  int r = hv_client_may_block (c, err);
  if (r != 0)
    return r;
  c->busy = 1;
  flush_out (c);
  for (uint32_t i = 0; i < HV_CLIENT_READ_ROUNDS && read_some (c); i++)
    ;
  if (!c->lost)
    hv_client_pending_expire (c);
  if (!c->lost)
    flush_out (c);
  c->busy = 0;
  return c->lost ? hv_client_lost_error (c, err) : 0;
}

static int
sooner (int a, int b)
{
  if (a < 0 || b < 0)
    return a < 0 ? b : a;
  return a < b ? a : b;
}

int
hv_client_wait (struct hv_client *c, int timeout_ms, struct hv_err *err)
{
  int r = hv_client_may_block (c, err);
  if (r != 0)
    return r;
  if (c->out.at < c->out.size)
    flush_out (c);
  struct pollfd p = { .fd = c->fd, .events = POLLIN };
  if (hv_client_wants (c) & HV_CLIENT_WRITE)
    p.events |= POLLOUT;
  if (poll (&p, 1, sooner (timeout_ms, hv_client_timeout_ms (c))) < 0)
    return errno == EINTR ? 0 : hv_err_sys (err, errno, "wait for the daemon");
  return hv_client_process (c, err);
}
