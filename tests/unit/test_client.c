/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhvkit's client against a scripted daemon. Both ends of the connection are driven by the test on one thread, so that every
 * order of bytes is exact; only what blocks has a thread. */
#include "sdk/src/client/impl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

/* --- the daemon's end --- */

struct peer {
  int fd;
  struct hv_client *client;
  struct hv_err *err;
  uint8_t in[1 << 20];
  uint64_t in_size;
};

static void
put (int fd, const void *data, uint64_t n)
{
  assert_int_equal (send (fd, data, n, MSG_NOSIGNAL), (ssize_t) n);
}

static void
pack_hello (struct hv_pack *p, uint64_t request_bytes)
{
  hv_pack_array (p, 4);
  hv_pack_u64 (p, 1);
  hv_pack_u64 (p, 1); /* the greeting is a connection's first request */
  hv_pack_nil (p);
  hv_pack_map (p, 5);
  hv_pack_str (p, "version");
  hv_pack_str (p, "1.2.3");
  hv_pack_str (p, "api_level");
  hv_pack_u64 (p, 4);
  hv_pack_str (p, "epoch");
  hv_pack_u64 (p, 77);
  hv_pack_str (p, "role");
  hv_pack_str (p, "operator");
  hv_pack_str (p, "limits");
  hv_pack_map (p, 1);
  hv_pack_str (p, "request_bytes");
  hv_pack_u64 (p, request_bytes);
}

static struct hv_frame next_request (struct peer *p);

static void
connect_with (struct peer *p, const struct hv_client_options *o, uint64_t request_bytes)
{
  int fds[2];
  HV_CLEAN (hv_pack) struct hv_pack hello = { 0 };
  assert_int_equal (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  p->fd = fds[1];
  p->in_size = 0;
  p->err = hv_client_err_new ();
  p->client = NULL;
  pack_hello (&hello, request_bytes);
  put (p->fd, hello.data, hello.size);
  assert_int_equal (hv_client_connect_fd (fds[0], o, &p->client, p->err), 0);
  struct hv_frame f = next_request (p);
  assert_memory_equal (f.method.data, "bus.hello", f.method.size);
}

static int
setup (void **state)
{
  struct peer *p = calloc (1, sizeof *p);
  connect_with (p, NULL, 1 << 20);
  *state = p;
  return 0;
}

static int
teardown (void **state)
{
  struct peer *p = *state;
  hv_client_close (p->client);
  hv_err_free (p->err);
  if (p->fd >= 0)
    close (p->fd);
  free (p);
  return 0;
}

/* The next request the client wrote; borrowed until the one after it. */
static struct hv_frame
next_request (struct peer *p)
{
  static uint8_t frame[1 << 20];
  struct hv_fence fence;
  struct hv_frame f;
  uint64_t size = 0;
  int r;
  while (hv_fence_init (&fence, sizeof frame),
         (r = p->in_size > 0 ? hv_fence_scan (&fence, p->in, p->in_size, &size) : HV_FENCE_MORE) == HV_FENCE_MORE) {
    struct pollfd pf = { .fd = p->fd, .events = POLLIN };
    assert_int_equal (poll (&pf, 1, 5000), 1);
    ssize_t n = recv (p->fd, p->in + p->in_size, sizeof p->in - p->in_size, 0);
    assert_true (n > 0);
    p->in_size += (uint64_t) n;
  }
  assert_int_equal (r, HV_FENCE_DONE);
  memcpy (frame, p->in, size);
  memmove (p->in, p->in + size, p->in_size - size);
  p->in_size -= size;
  assert_int_equal (hv_frame_parse ((struct hv_bin){ frame, size }, &f, NULL), 0);
  assert_int_equal (f.kind, 0);
  assert_int_equal (hv_frame_args (f.args, &f.args, NULL), 0);
  return f;
}

/* [1, id, nil, {"n": n}] */
static void
pack_answer (struct hv_pack *p, uint32_t id, uint64_t n)
{
  hv_pack_array (p, 4);
  hv_pack_u64 (p, 1);
  hv_pack_u64 (p, id);
  hv_pack_nil (p);
  hv_pack_map (p, 1);
  hv_pack_str (p, "n");
  hv_pack_u64 (p, n);
}

static void
pack_notification (struct hv_pack *p, const char *method, uint32_t pairs)
{
  hv_pack_array (p, 3);
  hv_pack_u64 (p, 2);
  hv_pack_str (p, method);
  hv_pack_array (p, 1);
  hv_pack_map (p, pairs);
}

static void
pack_pair (struct hv_pack *p, const char *key, uint64_t value)
{
  hv_pack_str (p, key);
  hv_pack_u64 (p, value);
}

static void
pack_event (struct hv_pack *p, uint64_t sub, uint64_t seq, const char *topic)
{
  pack_notification (p, "event", 6);
  pack_pair (p, "subscription", sub);
  pack_pair (p, "epoch", 77);
  pack_pair (p, "seq", seq);
  pack_pair (p, "prev", seq - 1);
  hv_pack_str (p, "topic");
  hv_pack_str (p, topic);
  hv_pack_str (p, "data");
  hv_pack_map (p, 1);
  pack_pair (p, "seq", seq);
}

static void
send_pack (struct peer *p, struct hv_pack *k)
{
  assert_false (k->failed);
  put (p->fd, k->data, k->size);
  hv_pack_clear (k);
}

/* --- the client's end --- */

struct answer {
  int count, code;
  uint64_t n;
  char message[512], reason[64];
};

static void
on_done (void *arg, int code, struct hv_bin result, const struct hv_err *error)
{
  struct answer *a = arg;
  const char *reason = hv_err_data_get (error, "reason");
  a->count++;
  a->code = code;
  a->n = hv_client_map_u64 (result, "n");
  snprintf (a->message, sizeof a->message, "%s", hv_err_message (error));
  snprintf (a->reason, sizeof a->reason, "%s", reason != NULL ? reason : "");
}

static const struct hv_bin no_args = { NULL, 0 };

static uint32_t
start_call (struct peer *p, struct answer *a)
{
  uint32_t id = 0;
  assert_int_equal (hv_client_call_async (p->client, "a.b", no_args, NULL, on_done, a, &id, p->err), 0);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  assert_int_equal (next_request (p).id, id);
  return id;
}

/* --- tests --- */

static void
greeting_is_kept (void **state)
{
  struct peer *p = *state;
  const struct hv_client_info *i = hv_client_info (p->client);
  assert_string_equal (i->version, "1.2.3");
  assert_string_equal (i->role, "operator");
  assert_int_equal (i->api_level, 4);
  assert_int_equal (i->epoch, 77);
  assert_int_equal (i->request_bytes, 1 << 20);
  assert_int_equal (hv_client_wants (p->client), HV_CLIENT_READ);
}

/* An answer, an event and another answer, cut in two at every byte. */
static void
frames_are_put_together_at_every_byte (void **state)
{
  struct peer *p = *state;
  static struct answer a, b; /* the last two calls are answered when the connection closes */
  for (uint64_t cut = 0;; cut++) {
    a = b = (struct answer){ 0 };
    HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
    uint32_t first = start_call (p, &a), second = start_call (p, &b);
    pack_answer (&k, second, 2);
    pack_event (&k, 5, 1, "a.x");
    pack_answer (&k, first, 1);
    if (cut > k.size)
      break;
    if (cut > 0)
      put (p->fd, k.data, cut);
    assert_int_equal (hv_client_process (p->client, p->err), 0);
    assert_int_equal (a.count, cut == k.size);
    if (cut < k.size)
      put (p->fd, k.data + cut, k.size - cut);
    assert_int_equal (hv_client_process (p->client, p->err), 0);
    assert_int_equal (a.count, 1);
    assert_int_equal (a.n, 1);
    assert_int_equal (b.count, 1);
    assert_int_equal (b.n, 2);
  }
}

static void
lost_with (struct peer *p, const void *data, uint64_t n, const char *words)
{
  static struct answer a;
  a = (struct answer){ 0 };
  (void) start_call (p, &a);
  put (p->fd, data, n);
  assert_int_equal (hv_client_process (p->client, p->err), HV_E_UNAVAILABLE);
  assert_non_null (strstr (hv_err_message (p->err), words));
  assert_int_equal (a.count, 1);
  assert_int_equal (a.code, HV_E_UNAVAILABLE);
  assert_non_null (strstr (a.message, "a.b"));
  assert_int_equal (hv_client_lost (p->client), 1);
  assert_int_equal (hv_client_wants (p->client), 0);
  assert_int_equal (hv_client_call_async (p->client, "a.b", no_args, NULL, on_done, &a, NULL, p->err), HV_E_UNAVAILABLE);
  assert_int_equal (a.count, 1);
}

static void
garbage_ends_the_connection (void **state)
{
  lost_with (*state, "\xc1", 1, "not valid");
}

static void
a_huge_declared_length_ends_the_connection (void **state)
{
  lost_with (*state, "\x94\x01\x02\xc0\xc6\xff\xff\xff\xff", 9, "not valid");
}

static void
too_deep_ends_the_connection (void **state)
{
  char deep[64];
  memset (deep, '\x91', sizeof deep);
  lost_with (*state, deep, sizeof deep, "not valid");
}

static void
another_protocol_ends_the_connection (void **state)
{
  lost_with (*state, "\x93\x01\x02\xc0", 4, "msgpack-RPC");
}

static void
a_request_from_the_daemon_ends_the_connection (void **state)
{
  lost_with (*state, "\x94\x00\x01\xa1x\x90", 6, "msgpack-RPC");
}

static void
an_answer_over_the_limit_ends_the_connection (void **state)
{
  struct peer *p = *state;
  struct hv_client_options o = { .struct_size = sizeof o, .answer_bytes = 400 };
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  char body[500] = { 0 };
  static struct answer a;
  a = (struct answer){ 0 };
  teardown (state);
  *state = p = calloc (1, sizeof *p);
  connect_with (p, &o, 1 << 20);
  uint32_t id = start_call (p, &a);
  hv_pack_array (&k, 4);
  hv_pack_u64 (&k, 1);
  hv_pack_u64 (&k, id);
  hv_pack_nil (&k);
  hv_pack_bin (&k, body, sizeof body);
  put (p->fd, k.data, 20); /* the declared length is enough to know */
  assert_int_equal (hv_client_process (p->client, p->err), HV_E_UNAVAILABLE);
  assert_int_equal (a.code, HV_E_UNAVAILABLE);
}

static void
death_tells_every_call (void **state)
{
  struct peer *p = *state;
  static struct answer a, b;
  a = b = (struct answer){ 0 };
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  uint32_t id = start_call (p, &a);
  (void) start_call (p, &b);
  pack_answer (&k, id, 9);
  put (p->fd, k.data, k.size);
  put (p->fd, k.data, 3); /* and dies in the middle of a frame */
  close (p->fd);
  p->fd = -1;
  assert_int_equal (hv_client_process (p->client, p->err), HV_E_UNAVAILABLE);
  assert_int_equal (a.code, 0);
  assert_int_equal (a.n, 9);
  assert_int_equal (b.code, HV_E_UNAVAILABLE);
  assert_non_null (strstr (b.message, "connection closed"));
}

/* What was answered before the daemon went is read although nothing can be written any more. */
static void
answers_survive_a_broken_pipe (void **state)
{
  struct peer *p = *state;
  static struct answer a;
  a = (struct answer){ 0 };
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  uint32_t id = start_call (p, &a);
  pack_answer (&k, id, 3);
  send_pack (p, &k);
  close (p->fd);
  p->fd = -1;
  assert_int_equal (hv_client_call_async (p->client, "a.b", no_args, NULL, NULL, NULL, NULL, p->err), 0);
  assert_int_equal (hv_client_process (p->client, p->err), HV_E_UNAVAILABLE);
  assert_int_equal (a.code, 0);
  assert_int_equal (a.n, 3);
}

static void
answers_to_nobody_are_ignored (void **state)
{
  struct peer *p = *state;
  static struct answer a;
  a = (struct answer){ 0 };
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  uint32_t id = start_call (p, &a);
  pack_answer (&k, id + 100, 1);
  pack_answer (&k, id, 2);
  pack_answer (&k, id, 3);
  send_pack (p, &k);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  assert_int_equal (a.count, 1);
  assert_int_equal (a.n, 2);
}

static void
answer_error (struct peer *p, uint32_t id, void (*pack) (struct hv_pack *))
{
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  hv_pack_array (&k, 4);
  hv_pack_u64 (&k, 1);
  hv_pack_u64 (&k, id);
  pack (&k);
  hv_pack_nil (&k);
  send_pack (p, &k);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
}

static void
pack_error_map (struct hv_pack *k)
{
  hv_pack_map (k, 3);
  hv_pack_str (k, "code");
  hv_pack_str (k, "NOT_FOUND");
  hv_pack_str (k, "message");
  hv_pack_str (k, "no disk 'a'");
  hv_pack_str (k, "data");
  hv_pack_map (k, 1);
  hv_pack_str (k, "reason");
  hv_pack_str (k, "gone");
}

static void
pack_error_pair (struct hv_pack *k)
{
  hv_pack_array (k, 2);
  hv_pack_u64 (k, 0);
  hv_pack_str (k, "ABORTED: busy: really");
}

static void
pack_error_text (struct hv_pack *k)
{
  hv_pack_str (k, "something: broke");
}

static void
pack_error_odd (struct hv_pack *k)
{
  hv_pack_u64 (k, 42);
}

static void
errors_are_understood_in_every_form (void **state)
{
  struct peer *p = *state;
  static struct answer a;
  a = (struct answer){ 0 };
  answer_error (p, start_call (p, &a), pack_error_map);
  assert_int_equal (a.code, HV_E_NOT_FOUND);
  assert_string_equal (a.message, "no disk 'a'");
  assert_string_equal (a.reason, "gone");
  answer_error (p, start_call (p, &a), pack_error_pair);
  assert_int_equal (a.code, HV_E_ABORTED);
  assert_string_equal (a.message, "busy: really");
  answer_error (p, start_call (p, &a), pack_error_text);
  assert_int_equal (a.code, HV_E_UNKNOWN);
  assert_string_equal (a.message, "something: broke");
  answer_error (p, start_call (p, &a), pack_error_odd);
  assert_int_equal (a.code, HV_E_UNKNOWN);
  assert_int_equal (a.count, 4);
}

static void
options_become_reserved_arguments (void **state)
{
  struct peer *p = *state;
  HV_CLEAN (hv_pack) struct hv_pack args = { 0 };
  struct hv_client_call_options o = { .struct_size = sizeof o, .timeout_ms = 300, .max_age_ms = 40, .idempotency_key = "k1" };
  char text[32];
  hv_pack_map (&args, 1);
  pack_pair (&args, "size", 5);
  assert_int_equal (hv_client_call_async (p->client, "a.b", hv_client_packed (&args), &o, NULL, NULL, NULL, p->err), 0);
  assert_true (hv_client_timeout_ms (p->client) > 0);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  struct hv_frame f = next_request (p);
  assert_int_equal (hv_client_map_u64 (f.args, "size"), 5);
  assert_int_equal (hv_client_map_u64 (f.args, "_timeout_ms"), 300);
  assert_int_equal (hv_client_map_u64 (f.args, "_max_age_ms"), 40);
  hv_client_map_text (f.args, "_idempotency_key", text, sizeof text);
  assert_string_equal (text, "k1");
  assert_int_equal (hv_client_map_get (f.args, "_progress").size, 0);
}

static void
bad_arguments_are_not_sent (void **state)
{
  struct peer *p = *state;
  static struct answer a;
  a = (struct answer){ 0 };
  static const uint8_t list[] = { 0x90 }, cut[] = { 0x81, 0xa1 }, two[] = { 0x80, 0x80 };
  const struct hv_bin bad[] = { { list, 1 }, { cut, 2 }, { two, 2 } };
  for (size_t i = 0; i < 3; i++)
    assert_int_equal (hv_client_call_async (p->client, "a.b", bad[i], NULL, on_done, &a, NULL, p->err), HV_E_INVALID_ARGUMENT);
  HV_CLEAN (hv_pack) struct hv_pack large = { 0 };
  static char body[1 << 20];
  hv_pack_map (&large, 1);
  hv_pack_str (&large, "x");
  hv_pack_bin (&large, body, sizeof body);
  assert_true (hv_client_call_async (p->client, "a.b", hv_client_packed (&large), NULL, on_done, &a, NULL, p->err) < 0);
  assert_int_equal (hv_client_wants (p->client), HV_CLIENT_READ);
  assert_int_equal (a.count, 0);
}

static void
a_silent_daemon_runs_into_the_deadline (void **state)
{
  struct peer *p = *state;
  static struct answer a;
  a = (struct answer){ 0 };
  struct hv_client_call_options o = { .struct_size = sizeof o, .timeout_ms = 20 };
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  uint32_t id;
  p->client->grace_ms = 0;
  assert_int_equal (hv_client_call_async (p->client, "a.b", no_args, &o, on_done, &a, &id, p->err), 0);
  while (a.count == 0)
    assert_int_equal (hv_client_wait (p->client, 5000, p->err), 0);
  assert_int_equal (a.code, HV_E_DEADLINE_EXCEEDED);
  assert_int_equal (next_request (p).id, id);
  struct hv_frame f = next_request (p);
  assert_memory_equal (f.method.data, "bus.cancel", f.method.size);
  assert_int_equal (hv_client_map_u64 (f.args, "id"), id);
  assert_int_equal (hv_client_timeout_ms (p->client), -1);
  pack_answer (&k, id, 1); /* too late */
  send_pack (p, &k);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  assert_int_equal (a.count, 1);
}

static void
cancel_names_the_call (void **state)
{
  struct peer *p = *state;
  static struct answer a;
  a = (struct answer){ 0 };
  uint32_t id = start_call (p, &a);
  assert_int_equal (hv_client_cancel (p->client, id + 5, p->err), HV_E_NOT_FOUND);
  assert_int_equal (hv_client_cancel (p->client, id, p->err), 0);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  struct hv_frame f = next_request (p);
  assert_memory_equal (f.method.data, "bus.cancel", f.method.size);
  assert_int_equal (hv_client_map_u64 (f.args, "id"), id);
  assert_int_equal (a.count, 0); /* its end comes from the daemon */
}

/* More than the socket holds, written in pieces, answered backwards. */
static void
many_calls_at_once (void **state)
{
  enum { CALLS = 3000 };
  struct peer *p = *state;
  static struct answer a[CALLS];
  static uint32_t ids[CALLS];
  HV_CLEAN (hv_pack) struct hv_pack args = { 0 };
  int small = 4096, wrote_in_pieces = 0;
  setsockopt (hv_client_fd (p->client), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  memset (a, 0, sizeof a);
  hv_pack_map (&args, 1);
  hv_pack_str (&args, "text");
  hv_pack_str (&args, "0123456789012345678901234567890123456789012345678901234567890123456789");
  for (int i = 0; i < CALLS; i++)
    assert_int_equal (hv_client_call_async (p->client, "a.b", hv_client_packed (&args), NULL, on_done, &a[i], NULL, p->err), 0);
  for (int i = 0; i < CALLS; i++) {
    assert_int_equal (hv_client_process (p->client, p->err), 0);
    wrote_in_pieces |= hv_client_wants (p->client) == (HV_CLIENT_READ | HV_CLIENT_WRITE);
    ids[i] = next_request (p).id;
  }
  assert_true (wrote_in_pieces);
  for (int i = CALLS; i-- > 0;) {
    HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
    pack_answer (&k, ids[i], (uint64_t) i);
    send_pack (p, &k);
    if (i % 50 == 0)
      assert_int_equal (hv_client_process (p->client, p->err), 0);
  }
  for (int i = 0; i < CALLS; i++) {
    assert_int_equal (a[i].count, 1);
    assert_int_equal (a[i].n, i);
  }
}

struct seen {
  struct hv_client *client;
  int events, dropped, stop_after;
  uint64_t last_seq, id;
  char topic[64], reason[64];
};

static void
on_event (void *arg, const struct hv_client_event *e)
{
  struct seen *s = arg;
  s->events++;
  s->last_seq = e->cursor.seq;
  assert_int_equal (e->cursor.epoch, 77);
  assert_int_equal (hv_client_map_u64 (e->data, "seq"), e->cursor.seq);
  snprintf (s->topic, sizeof s->topic, "%s", e->topic);
  if (s->events == s->stop_after)
    assert_int_equal (hv_client_unsubscribe (s->client, e->subscription, NULL), 0);
}

static void
on_dropped (void *arg, uint64_t id, const char *reason)
{
  struct seen *s = arg;
  s->dropped++;
  s->id = id;
  snprintf (s->reason, sizeof s->reason, "%s", reason);
}

static void
pack_subscribed (struct hv_pack *k, uint32_t id, uint64_t sub)
{
  hv_pack_array (k, 4);
  hv_pack_u64 (k, 1);
  hv_pack_u64 (k, id);
  hv_pack_nil (k);
  hv_pack_map (k, 3);
  pack_pair (k, "subscription", sub);
  pack_pair (k, "epoch", 77);
  pack_pair (k, "seq", 10);
}

static void
start_subscription (struct peer *p, struct seen *s, struct answer *a, const struct hv_client_cursor *since)
{
  static const char *const topics[] = { "a.*", "b.c", NULL };
  struct hv_client_subscription o
      = { .struct_size = sizeof o, .topics = topics, .since = since, .event = on_event, .dropped = on_dropped, .arg = s };
  s->client = p->client;
  assert_int_equal (hv_client_subscribe_async (p->client, &o, on_done, a, p->err), 0);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
}

static void
events_come_in_order_and_none_before_the_answer_is_lost (void **state)
{
  struct peer *p = *state;
  struct seen s = { 0 };
  static struct answer a;
  a = (struct answer){ 0 };
  struct hv_client_cursor since = { 77, 8 };
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  start_subscription (p, &s, &a, &since);
  struct hv_frame f = next_request (p);
  assert_memory_equal (f.method.data, "bus.subscribe", f.method.size);
  assert_int_equal (hv_client_map_u64 (hv_client_map_get (f.args, "since"), "seq"), 8);
  pack_subscribed (&k, f.id, 5); /* the answer and three events in one read */
  pack_event (&k, 5, 9, "a.x");
  pack_event (&k, 6, 9, "a.other");
  pack_event (&k, 5, 10, "a.y");
  send_pack (p, &k);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  assert_int_equal (a.code, 0);
  assert_int_equal (s.events, 2);
  assert_int_equal (s.last_seq, 10);
  assert_string_equal (s.topic, "a.y");
}

static void
a_dropped_subscription_is_told (void **state)
{
  struct peer *p = *state;
  struct seen s = { 0 };
  static struct answer a;
  a = (struct answer){ 0 };
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  start_subscription (p, &s, &a, NULL);
  pack_subscribed (&k, next_request (p).id, 5);
  pack_notification (&k, "bus.dropped", 2);
  pack_pair (&k, "subscription", 5);
  hv_pack_str (&k, "reason");
  hv_pack_str (&k, "too slow");
  pack_event (&k, 5, 9, "a.x");
  pack_notification (&k, "from.the.future", 0);
  send_pack (p, &k);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  assert_int_equal (s.dropped, 1);
  assert_int_equal (s.id, 5);
  assert_string_equal (s.reason, "too slow");
  assert_int_equal (s.events, 0);
  assert_int_equal (hv_client_unsubscribe (p->client, 5, p->err), HV_E_NOT_FOUND);
}

static void
unsubscribing_in_the_callback_is_at_once (void **state)
{
  struct peer *p = *state;
  struct seen s = { .stop_after = 2 };
  static struct answer a;
  a = (struct answer){ 0 };
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  start_subscription (p, &s, &a, NULL);
  pack_subscribed (&k, next_request (p).id, 5);
  for (uint64_t i = 1; i <= 4; i++)
    pack_event (&k, 5, i, "a.x");
  send_pack (p, &k);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  assert_int_equal (s.events, 2);
  struct hv_frame f = next_request (p);
  assert_memory_equal (f.method.data, "bus.unsubscribe", f.method.size);
  assert_int_equal (hv_client_map_u64 (f.args, "subscription"), 5);
}

static void
on_progress (void *arg, const struct hv_client_progress *g)
{
  struct answer *a = arg;
  a->n = g->done * 1000 + g->total;
  snprintf (a->message, sizeof a->message, "%s/%s", g->phase, g->unit);
}

static void
progress_finds_its_call (void **state)
{
  struct peer *p = *state;
  static struct answer a, progress;
  a = progress = (struct answer){ 0 };
  struct hv_client_call_options o = { .struct_size = sizeof o, .progress = on_progress, .arg = &progress };
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  uint32_t id;
  assert_int_equal (hv_client_call_async (p->client, "a.b", no_args, &o, on_done, &a, &id, p->err), 0);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  assert_int_equal (hv_client_map_get (next_request (p).args, "_progress").size, 1);
  for (uint32_t which = id; which <= id + 1; which++) { /* the second is nobody's */
    pack_notification (&k, "progress", 5);
    pack_pair (&k, "id", which);
    pack_pair (&k, "done", which == id ? 3 : 4);
    pack_pair (&k, "total", 9);
    hv_pack_str (&k, "phase");
    hv_pack_str (&k, "copy");
    hv_pack_str (&k, "unit");
    hv_pack_str (&k, "bytes");
  }
  send_pack (p, &k);
  assert_int_equal (hv_client_process (p->client, p->err), 0);
  assert_int_equal (progress.n, 3009);
  assert_string_equal (progress.message, "copy/bytes");
  assert_int_equal (a.count, 0);
}

static void
on_done_blocking (void *arg, int code, struct hv_bin result, const struct hv_err *error)
{
  struct peer *p = arg;
  (void) code;
  (void) result;
  (void) error;
  assert_int_equal (hv_client_call (p->client, "a.b", no_args, NULL, NULL, p->err), HV_E_FAILED_PRECONDITION);
  assert_int_equal (hv_client_process (p->client, p->err), HV_E_FAILED_PRECONDITION);
}

static void
a_callback_may_not_block (void **state)
{
  struct peer *p = *state;
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  uint32_t id;
  assert_int_equal (hv_client_call_async (p->client, "a.b", no_args, NULL, on_done_blocking, p, &id, p->err), 0);
  pack_answer (&k, id, 1);
  send_pack (p, &k);
  assert_int_equal (hv_client_process (p->client, NULL), 0);
  assert_int_equal (hv_err_code (p->err), HV_E_FAILED_PRECONDITION);
}

static void
closing_tells_every_call (void **state)
{
  struct peer *p = *state;
  static struct answer a;
  a = (struct answer){ 0 };
  (void) start_call (p, &a);
  hv_client_close (p->client);
  p->client = NULL;
  assert_int_equal (a.count, 1);
  assert_int_equal (a.code, HV_E_CANCELLED);
}

/* --- what blocks --- */

struct server {
  int listener;
  int silent;          /* accepts and says nothing */
  uint64_t byte_delay; /* answers byte by byte */
  char path[64];
};

static void
serve_call (struct peer *p, const struct server *s)
{
  HV_CLEAN (hv_pack) struct hv_pack k = { 0 };
  struct hv_frame f = next_request (p);
  if (f.method.size == 9 && memcmp (f.method.data, "bus.hello", 9) == 0)
    pack_hello (&k, 1 << 20);
  else
    pack_answer (&k, f.id, 42);
  for (uint64_t i = 0; i < k.size; i += s->byte_delay != 0 ? 1 : k.size)
    put (p->fd, k.data + i, s->byte_delay != 0 ? 1 : k.size);
}

static void *
serve (void *arg)
{
  const struct server *s = arg;
  struct peer *p = calloc (1, sizeof *p);
  char byte;
  p->fd = accept (s->listener, NULL, NULL);
  if (s->silent)
    while (recv (p->fd, &byte, 1, 0) > 0)
      ;
  else {
    serve_call (p, s);
    serve_call (p, s);
    (void) next_request (p); /* the third stays unanswered */
  }
  close (p->fd);
  free (p);
  return NULL;
}

static void
listen_at (struct server *s)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  char dir[] = "/tmp/hv-client-XXXXXX";
  assert_non_null (mkdtemp (dir));
  snprintf (s->path, sizeof s->path, "%s/s", dir);
  snprintf (a.sun_path, sizeof a.sun_path, "%s", s->path);
  s->listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal (bind (s->listener, (struct sockaddr *) &a, sizeof a), 0);
  assert_int_equal (listen (s->listener, 4), 0);
}

static void
unlisten (struct server *s)
{
  close (s->listener);
  unlink (s->path);
  *strrchr (s->path, '/') = '\0';
  rmdir (s->path);
}

static void
blocking_calls_wait_for_their_answer (void **state)
{
  struct server s = { .byte_delay = 1 };
  struct hv_client *c = NULL;
  HV_CLEAN (hv_err) struct hv_err *err = hv_client_err_new ();
  HV_CLEAN (hv_pack) struct hv_pack result = { 0 };
  pthread_t t;
  (void) state;
  listen_at (&s);
  pthread_create (&t, NULL, serve, &s);
  assert_int_equal (hv_client_connect (s.path, NULL, &c, err), 0);
  assert_int_equal (hv_client_call (c, "a.b", no_args, NULL, &result, err), 0);
  assert_int_equal (hv_client_map_u64 (hv_client_packed (&result), "n"), 42);
  hv_pack_clear (&result);
  assert_int_equal (hv_client_call (c, "a.b", no_args, NULL, &result, err), HV_E_UNAVAILABLE);
  assert_non_null (strstr (hv_err_message (err), "connection closed"));
  assert_null (result.data);
  assert_int_equal (hv_client_lost (c), 1);
  pthread_join (t, NULL);
  hv_client_close (c);
  unlisten (&s);
}

static void
a_silent_peer_is_no_daemon (void **state)
{
  struct server s = { .silent = 1 };
  struct hv_client *c = NULL;
  struct hv_client_options o = { .struct_size = sizeof o, .timeout_ms = 30 };
  HV_CLEAN (hv_err) struct hv_err *err = hv_client_err_new ();
  pthread_t t;
  (void) state;
  listen_at (&s);
  pthread_create (&t, NULL, serve, &s);
  assert_int_equal (hv_client_connect (s.path, &o, &c, err), HV_E_UNAVAILABLE);
  assert_non_null (strstr (hv_err_message (err), "30 ms"));
  assert_null (c);
  pthread_join (t, NULL);
  unlisten (&s);
}

static void
nobody_there (void **state)
{
  struct hv_client *c = NULL;
  HV_CLEAN (hv_err) struct hv_err *err = hv_client_err_new ();
  char longer[200];
  (void) state;
  assert_int_equal (hv_client_connect ("/nonexistent/hvkit.sock", NULL, &c, err), HV_E_UNAVAILABLE);
  assert_non_null (strstr (hv_err_message (err), "/nonexistent/hvkit.sock"));
  memset (longer, 'a', sizeof longer);
  longer[sizeof longer - 1] = '\0';
  assert_int_equal (hv_client_connect (longer, NULL, &c, err), HV_E_INVALID_ARGUMENT);
  assert_null (c);
}

static void
the_environment_names_the_socket (void **state)
{
  (void) state;
  unsetenv ("HVKIT_SOCKET");
  assert_string_equal (hv_client_default_path (), HV_CLIENT_SOCKET);
  setenv ("HVKIT_SOCKET", "/tmp/x.sock", 1);
  assert_string_equal (hv_client_default_path (), "/tmp/x.sock");
  unsetenv ("HVKIT_SOCKET");
}

#define WITH_PEER(t) cmocka_unit_test_setup_teardown (t, setup, teardown)

/* --- byte streams --- */

/* Attaches over a socket pair whose other end has said `data` already; the result is the code. */
static int
attach_with (const void *data, uint64_t n, int fds[2], struct hv_err *err)
{
  struct hv_client_options o = { .struct_size = sizeof o, .timeout_ms = 200 };
  assert_int_equal (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
  put (fds[1], data, n);
  return hv_client_attach_fd (fds[0], "0123", &o, err);
}

static void
test_attach_takes_no_byte_too_many (void **state)
{
  static const char answer[] = "\x94\x01\x01\xc0\x80$ raw", request[] = "\x94\x00\x01\xaa" "bus.attach\x91\x81\xa5token\xa4" "0123";
  char got[64] = "";
  int fds[2];
  (void) state;
  assert_int_equal (attach_with (answer, sizeof answer - 1, fds, NULL), 0);
  assert_int_equal (recv (fds[0], got, sizeof got, 0), 5);
  assert_memory_equal (got, "$ raw", 5);
  assert_int_equal (recv (fds[1], got, sizeof got, 0), sizeof request - 1);
  assert_memory_equal (got, request, sizeof request - 1);
  assert_int_equal (fcntl (fds[0], F_GETFL) & O_NONBLOCK, 0);
  close (fds[0]);
  close (fds[1]);
}

static void
test_attach_failures (void **state)
{
  static const struct {
    const char *data, *message;
    int code;
  } rows[] = { { "\x94\x01\x01\x92\x00\xac" "NOT_FOUND: x\xc0", "x", HV_E_NOT_FOUND },
               { "\x94\x01\x01", "does not answer", HV_E_UNAVAILABLE },
               { "HTTP/1.1 400", "not an answer", HV_E_UNAVAILABLE },
               { "\xdf\xff\xff\xff\xff", "not an answer", HV_E_UNAVAILABLE },
               { "\x93\x02\xa1" "a\x90", "not an answer", HV_E_UNAVAILABLE } };
  (void) state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    /* the bytes of one row hold no NUL but those that are meant: its length comes from where its text would end */
    size_t n = i == 0 ? 19 : i == 1 ? 3 : strlen (rows[i].data);
    struct hv_err *err = hv_client_err_new ();
    int fds[2];
    char byte;
    assert_int_equal (attach_with (rows[i].data, n, fds, err), rows[i].code);
    assert_non_null (strstr (hv_err_message (err), rows[i].message));
    while (recv (fds[1], &byte, 1, 0) > 0)
      ;
    assert_int_equal (recv (fds[1], &byte, 1, 0), 0); /* it was closed */
    hv_err_free (err);
    close (fds[1]);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_attach_takes_no_byte_too_many),
    cmocka_unit_test (test_attach_failures),
    WITH_PEER (greeting_is_kept),
    WITH_PEER (frames_are_put_together_at_every_byte),
    WITH_PEER (garbage_ends_the_connection),
    WITH_PEER (a_huge_declared_length_ends_the_connection),
    WITH_PEER (too_deep_ends_the_connection),
    WITH_PEER (another_protocol_ends_the_connection),
    WITH_PEER (a_request_from_the_daemon_ends_the_connection),
    WITH_PEER (an_answer_over_the_limit_ends_the_connection),
    WITH_PEER (death_tells_every_call),
    WITH_PEER (answers_survive_a_broken_pipe),
    WITH_PEER (answers_to_nobody_are_ignored),
    WITH_PEER (errors_are_understood_in_every_form),
    WITH_PEER (options_become_reserved_arguments),
    WITH_PEER (bad_arguments_are_not_sent),
    WITH_PEER (a_silent_daemon_runs_into_the_deadline),
    WITH_PEER (cancel_names_the_call),
    WITH_PEER (many_calls_at_once),
    WITH_PEER (events_come_in_order_and_none_before_the_answer_is_lost),
    WITH_PEER (a_dropped_subscription_is_told),
    WITH_PEER (unsubscribing_in_the_callback_is_at_once),
    WITH_PEER (progress_finds_its_call),
    WITH_PEER (a_callback_may_not_block),
    WITH_PEER (closing_tells_every_call),
    cmocka_unit_test (blocking_calls_wait_for_their_answer),
    cmocka_unit_test (a_silent_peer_is_no_daemon),
    cmocka_unit_test (nobody_there),
    cmocka_unit_test (the_environment_names_the_socket),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
