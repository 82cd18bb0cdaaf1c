/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A connection: bytes in, frames out, and back-pressure in between. */
#include "core/limits.h"
#include "core/log/log.h"
#include "core/rpc/private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_CHUNK (64u << 10)
#define KEEP_BUFFER (256u << 10) /* an idle connection does not hold more */

uint64_t
hv_conn_queued (const struct hv_conn *c)
{
  return c->out.size - c->out_at;
}

static void
conn_free (struct hv_conn *c)
{
  hv_conn_detach_calls (c);
  hv_conn_free_subs (c);
  hv_list_remove (&c->node);
  hv_list_remove (&c->dirty_node);
  hv_loop_watch_free (c->watch);
  if (c->stream != NULL)
    hv_stream_attach (c->stream, (struct hv_splice_side){ .fd = -1 }, (struct hv_bin){ NULL, 0 });
  if (c->fd >= 0)
    (void) close (c->fd);
  free (c->in);
  hv_pack_clear (&c->out);
  c->rpc->conn_count--;
  free (c);
}

void
hv_conn_close (struct hv_conn *c, const char *why)
{
  if (c->closing)
    return;
  if (why != NULL)
    hv_log_line ("rpc", HV_LOG_WARNING, "connection of uid %u closed: %s", c->peer.uid, why);
  c->closing = 1;
  hv_conn_flush (c); /* best effort: what was answered before the fault */
  if (!c->in_read)
    conn_free (c); /* else the reader does it when it is done with the buffer */
}

void
hv_conn_dirty (struct hv_conn *c)
{
  if (hv_list_empty (&c->dirty_node))
    hv_list_add (&c->rpc->dirty, &c->dirty_node);
}

/* Reading stops while the peer owes us reading, or has too many calls under way; the kernel's buffer then stops the peer. */
static void
conn_update_watch (struct hv_conn *c)
{
  uint64_t queued = hv_conn_queued (c);
  c->paused = queued > c->rpc->config.output_soft_bytes || c->call_count >= c->rpc->config.in_flight;
  hv_loop_watch_set (c->watch, (c->paused ? 0 : HV_WAIT_READ) | (queued > 0 ? HV_WAIT_WRITE : 0));
}

static void
conn_out_reset (struct hv_conn *c)
{
  c->out_at = 0;
  c->out.size = 0;
  if (c->out.capacity > KEEP_BUFFER)
    hv_pack_clear (&c->out);
}

void
hv_conn_flush (struct hv_conn *c)
{
  while (c->out_at < c->out.size) {
    ssize_t n = send (c->fd, c->out.data + c->out_at, c->out.size - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK)
        conn_out_reset (c); /* the peer is gone; reading will say so */
      break;
    }
    c->rpc->bytes_out += (uint64_t) n;
    c->out_at += (uint64_t) n;
  }
  if (c->out_at == c->out.size)
    conn_out_reset (c);
  if (!c->closing)
    conn_update_watch (c);
}

/* Makes room for a chunk: the unconsumed bytes move to the front first. */
static int
conn_in_reserve (struct hv_conn *c)
{
  if (c->in_at > 0) {
    memmove (c->in, c->in + c->in_at, c->in_size - c->in_at);
    c->in_size -= c->in_at;
    c->in_at = 0;
  }
  if (c->in_capacity - c->in_size >= READ_CHUNK)
    return 0;
  uint64_t want = c->in_size + READ_CHUNK;
  if (want < c->in_capacity * 2 && c->in_capacity > 0)
    want = c->in_capacity * 2;
  uint8_t *more = realloc (c->in, want);
  if (more == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  c->in = more;
  c->in_capacity = want;
  return 0;
}

/* Everything that is whole by now; stops early when the connection is paused. */
static void
conn_consume (struct hv_conn *c)
{
  while (!c->closing && c->stream == NULL && c->in_at < c->in_size && c->call_count < c->rpc->config.in_flight
         && hv_conn_queued (c) <= c->rpc->config.output_soft_bytes) {
    uint64_t size = 0;
    int r = hv_fence_scan (&c->fence, c->in + c->in_at, c->in_size - c->in_at, &size);
    if (r == HV_FENCE_MORE)
      return;
    if (r != HV_FENCE_DONE) {
      c->rpc->protocol_errors++;
      hv_conn_close (c, hv_fence_strerror (r));
      return;
    }
    struct hv_bin frame = { c->in + c->in_at, size };
    c->in_at += size;
    hv_fence_init (&c->fence, c->rpc->config.request_bytes);
    hv_conn_frame (c, frame);
  }
}

static void
conn_in_trim (struct hv_conn *c)
{
  if (c->in_at < c->in_size)
    return;
  c->in_at = c->in_size = 0;
  if (c->in_capacity > KEEP_BUFFER) {
    free (c->in);
    c->in = NULL;
    c->in_capacity = 0;
  }
}

static void
conn_read (struct hv_conn *c)
{
  ssize_t n = -1;
  if (conn_in_reserve (c) < 0) {
    hv_conn_close (c, "out of memory");
    return;
  }
  do
    n = recv (c->fd, c->in + c->in_size, c->in_capacity - c->in_size, MSG_DONTWAIT);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return;
  if (n <= 0) {
    hv_conn_close (c, NULL);
    return;
  }
  c->in_size += (uint64_t) n;
  c->rpc->bytes_in += (uint64_t) n;
}

/* After bus.attach was answered: from here on the descriptor, what the client sent behind its request and what it has not taken yet
 * belong to the stream. */
static void
conn_hand_over (struct hv_conn *c)
{
  struct hv_splice_side client = { .fd = c->fd, .first = { c->in + c->in_at, c->in_size - c->in_at } };
  hv_loop_watch_free (c->watch);
  c->watch = NULL;
  hv_stream_attach (c->stream, client, (struct hv_bin){ c->out.data + c->out_at, hv_conn_queued (c) });
  c->stream = NULL;
  c->fd = -1;
  c->closing = 1;
}

/* Frames that were left in the buffer while paused are looked at again once there is room. */
static void
conn_ready (void *arg, uint32_t ready)
{
  struct hv_conn *c = arg;
  c->in_read = 1;
  if (ready & HV_WAIT_WRITE)
    hv_conn_flush (c);
  if (!c->closing && (ready & HV_WAIT_READ))
    conn_read (c);
  if (!c->closing)
    conn_consume (c);
  if (!c->closing)
    hv_conn_pump (c);
  if (!c->closing)
    hv_conn_flush (c);
  if (!c->closing && c->stream != NULL)
    conn_hand_over (c);
  c->in_read = 0;
  if (c->closing)
    conn_free (c);
  else
    conn_in_trim (c);
}

/* Before the loop blocks: output that answers from other threads left behind, and frames those answers made room for. */
void
hv_conn_settle (struct hv_conn *c)
{
  hv_list_remove (&c->dirty_node);
  conn_ready (c, 0);
}

struct hv_conn *
hv_conn_new (struct hv_rpc *rpc, int fd, uint32_t uid, uint32_t role)
{
  struct hv_conn *c = calloc (1, sizeof *c);
  if (c == NULL)
    return NULL;
  c->rpc = rpc;
  c->fd = fd;
  c->peer = (struct hv_peer){ .uid = uid,
                              .role = role,
                              .set_error_map = hv_conn_set_error_map,
                              .cancel = hv_conn_cancel,
                              .subscribe = hv_conn_subscribe,
                              .unsubscribe = hv_conn_unsubscribe,
                              .attach = hv_conn_attach };
  hv_fence_init (&c->fence, rpc->config.request_bytes);
  hv_list_init (&c->calls);
  hv_list_init (&c->dirty_node);
  c->watch = hv_loop_watch_new (rpc->loop, fd, HV_WAIT_READ, conn_ready, c);
  if (c->watch == NULL) {
    free (c);
    return NULL;
  }
  hv_list_add (&rpc->conns, &c->node);
  rpc->conn_count++;
  return c;
}
