/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two sockets joined: what one says the other hears, with one bounded buffer for each direction. A side is not read while what it
 * said has not been taken, so a slow reader stops the writer and nothing piles up here. */
#include "core/limits.h"
#include "core/loop/loop.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CHECK_MS 1000u /* how often a side that is not being read is asked whether it is still there */

/* The bytes on their way from side k (pipe k) to the other one. */
struct pipe {
  uint8_t *data;
  uint64_t at, size, capacity, moved; /* bytes at … size wait to be written */
  uint8_t eof, done;                  /* nothing more will be read; and the other side was told so */
};

struct side {
  int fd;
  struct hv_loop_watch *watch;
  uint8_t gone; /* closed both ways */
};

struct hv_splice {
  struct hv_loop *loop;
  struct side side[2];
  struct pipe pipe[2];
  struct hv_deadline check;
  uint64_t linger_until_ms; /* what is left for the side that stays is waited for until then; 0: both are there */
  void (*done) (void *);
  void *arg;
};

static int
pipe_empty (const struct pipe *p)
{
  return p->at == p->size;
}

/* The reader left: what was on its way to it is lost, and the writer learns that nobody listens. */
static void
pipe_break (struct hv_splice *s, int from)
{
  struct pipe *p = &s->pipe[from];
  p->at = p->size;
  p->eof = p->done = 1;
  (void) shutdown (s->side[from].fd, SHUT_RD);
}

static void
pipe_fill (struct hv_splice *s, int from)
{
  struct pipe *p = &s->pipe[from];
  if (p->eof || !pipe_empty (p))
    return;
  ssize_t n = recv (s->side[from].fd, p->data, p->capacity, MSG_DONTWAIT);
  if (n > 0) {
    p->at = 0;
    p->size = (uint64_t) n;
  } else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
    p->eof = 1;
  }
}

static void
pipe_drain (struct hv_splice *s, int from)
{
  struct pipe *p = &s->pipe[from];
  int to = s->side[1 - from].fd;
  while (!pipe_empty (p)) {
    ssize_t n = send (to, p->data + p->at, p->size - p->at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (n < 0) {
      pipe_break (s, from);
      return;
    }
    p->at += (uint64_t) n;
    p->moved += (uint64_t) n;
  }
  if (p->eof && !p->done) {
    p->done = 1;
    (void) shutdown (to, SHUT_WR);
  }
}

/* A side that is not being read cannot tell by itself that it was closed. */
static void
side_look (struct hv_splice *s, int k)
{
  struct pollfd p = { .fd = s->side[k].fd };
  if (s->side[k].gone || poll (&p, 1, 0) <= 0 || !(p.revents & (POLLHUP | POLLERR | POLLNVAL)))
    return;
  s->side[k].gone = 1;
  pipe_break (s, 1 - k);
  if (s->linger_until_ms == 0)
    s->linger_until_ms = hv_loop_now_ms () + HV_LIMIT_STREAM_LINGER_MS;
}

static int
splice_over (const struct hv_splice *s)
{
  if (s->pipe[0].done && s->pipe[1].done)
    return 1;
  return s->linger_until_ms != 0 && hv_loop_now_ms () >= s->linger_until_ms;
}

static int
splice_wants_check (const struct hv_splice *s)
{
  return s->pipe[0].eof || s->pipe[1].eof || !pipe_empty (&s->pipe[0]) || !pipe_empty (&s->pipe[1]);
}

static void
splice_settle (struct hv_splice *s)
{
  if (splice_over (s)) {
    s->done (s->arg);
    return;
  }
  for (int k = 0; k < 2; k++) {
    const struct pipe *out = &s->pipe[k], *in = &s->pipe[1 - k];
    hv_loop_watch_set (s->side[k].watch,
                       (!out->eof && pipe_empty (out) ? HV_WAIT_READ : 0) | (!pipe_empty (in) ? HV_WAIT_WRITE : 0));
  }
  if (s->check.index == 0 && splice_wants_check (s))
    (void) hv_loop_deadline_arm (s->loop, &s->check, hv_loop_now_ms () + CHECK_MS);
}

static void
splice_turn (struct hv_splice *s)
{
  for (int k = 0; k < 2; k++) {
    uint8_t was = s->pipe[k].eof;
    pipe_fill (s, k);
    pipe_drain (s, k);
    if (s->pipe[k].eof && !was)
      side_look (s, k);
  }
  splice_settle (s);
}

static void
splice_check (struct hv_deadline *d)
{
  struct hv_splice *s = (struct hv_splice *) (void *) ((char *) d - offsetof (struct hv_splice, check));
  side_look (s, 0);
  side_look (s, 1);
  splice_turn (s);
}

static void
splice_ready (void *arg, uint32_t ready)
{
  (void) ready;
  splice_turn (arg);
}

static int
pipe_init (struct pipe *p, struct hv_bin first)
{
  p->capacity = first.size > HV_LIMIT_STREAM_BUFFER_BYTES ? first.size : HV_LIMIT_STREAM_BUFFER_BYTES;
  p->data = malloc (p->capacity);
  if (p->data == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  if (first.size > 0)
    memcpy (p->data, first.data, first.size);
  p->size = first.size;
  return 0;
}

int
hv_splice_new (struct hv_loop *loop, const struct hv_splice_side sides[2], void (*done) (void *), void *arg, struct hv_splice **ret)
{
  struct hv_splice *s = calloc (1, sizeof *s);
  if (s == NULL) {
    (void) close (sides[0].fd);
    (void) close (sides[1].fd);
    return HV_E_RESOURCE_EXHAUSTED;
  }
  *s = (struct hv_splice){
    .loop = loop, .side = { { .fd = sides[0].fd }, { .fd = sides[1].fd } }, .check.fn = splice_check, .done = done, .arg = arg
  };
  int r = 0;
  for (int k = 0; k < 2 && r == 0; k++) {
    r = pipe_init (&s->pipe[k], sides[k].first);
    /* Writable at once: the first turn comes from the loop, never from in here. */
    s->side[k].watch = r == 0 ? hv_loop_watch_new (loop, sides[k].fd, HV_WAIT_READ | HV_WAIT_WRITE, splice_ready, s) : NULL;
    if (s->side[k].watch == NULL)
      r = HV_E_RESOURCE_EXHAUSTED;
  }
  if (r < 0) {
    hv_splice_free (s);
    return r;
  }
  *ret = s;
  return 0;
}

void
hv_splice_moved (const struct hv_splice *s, uint64_t ret_bytes[2])
{
  ret_bytes[0] = s->pipe[0].moved;
  ret_bytes[1] = s->pipe[1].moved;
}

void
hv_splice_free (struct hv_splice *s)
{
  if (s == NULL)
    return;
  hv_loop_deadline_disarm (s->loop, &s->check);
  for (int k = 0; k < 2; k++) {
    hv_loop_watch_free (s->side[k].watch);
    (void) close (s->side[k].fd);
    free (s->pipe[k].data);
  }
  free (s);
}
