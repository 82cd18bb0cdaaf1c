/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Byte streams: a socket that a plugin gave, kept under a token until the caller comes for it on a second connection, then joined
 * with that connection. A stream lives on its instance's loop; only its place in the list of open ones, where tokens are looked up,
 * is shared. */
#include "core/bus/host.h"
#include "core/limits.h"
#include "core/log/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

/* --- the list of open ones --- */

void
hv_streams_init (struct hv_streams *s)
{
  (void) pthread_mutex_init (&s->lock, NULL);
  hv_list_init (&s->open);
  s->limits = (struct hv_stream_limits){ HV_LIMIT_STREAMS, HV_LIMIT_STREAMS_PER_UID, HV_LIMIT_STREAM_TOKEN_MS };
}

void
hv_streams_free (struct hv_streams *s)
{
  (void) pthread_mutex_destroy (&s->lock);
}

void
hv_streams_set_limits (struct hv_bus *b, const struct hv_stream_limits *limits)
{
  pthread_mutex_lock (&b->streams.lock);
  b->streams.limits = *limits;
  pthread_mutex_unlock (&b->streams.lock);
}

uint32_t
hv_streams_count (struct hv_bus *b)
{
  uint32_t n = 0;
  pthread_mutex_lock (&b->streams.lock);
  for (struct hv_list *l = b->streams.open.next; l != &b->streams.open; l = l->next)
    n++;
  pthread_mutex_unlock (&b->streams.lock);
  return n;
}

/* Under the lock. */
static int
streams_room (const struct hv_streams *all, const struct hv_stream *s, struct hv_err *err)
{
  uint32_t of_instance = 0, of_uid = 0;
  for (struct hv_list *l = all->open.next; l != &all->open; l = l->next) {
    const struct hv_stream *o = hv_container (l, struct hv_stream, open_node);
    of_instance += o->instance == s->instance;
    of_uid += o->uid == s->uid;
  }
  if (of_instance >= all->limits.per_instance)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: '%s' has %u byte streams open, which is the limit", s->what,
                       s->instance->name, of_instance);
  if (s->uid != 0 && s->uid != (uint32_t) geteuid () && of_uid >= all->limits.per_uid)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: uid %u has %u byte streams open, which is the limit", s->what, s->uid,
                       of_uid);
  return 0;
}

static void
stream_unref (struct hv_stream *s)
{
  if (atomic_fetch_sub_explicit (&s->refs, 1, memory_order_acq_rel) != 1)
    return;
  hv_instance_unref (s->instance);
  hv_pack_clear (&s->first);
  hv_pack_clear (&s->unsent);
  free (s->what);
  free (s);
}

/* --- the instance's side --- */

static void
stream_release (struct hv_stream *s)
{
  struct hv_streams *all = &s->instance->bus->streams;
  pthread_mutex_lock (&all->lock);
  hv_list_remove (&s->open_node);
  pthread_mutex_unlock (&all->lock);
  hv_list_remove (&s->node);
  hv_loop_deadline_disarm (s->instance->loop, &s->expiry);
  hv_splice_free (s->splice);
  s->splice = NULL;
  if (s->fd >= 0)
    (void) close (s->fd);
  s->fd = -1;
  s->closed = 1;
  stream_unref (s);
}

static void
stream_end (struct hv_stream *s, int code)
{
  struct hv_instance *i = hv_instance_ref (s->instance);
  hv_stream_fn *ended = s->ended;
  void *arg = s->arg;
  stream_release (s);
  if (ended != NULL)
    hv_boundary_stream (i, ended, arg, code);
  hv_instance_unref (i);
}

static void
stream_expired (struct hv_deadline *d)
{
  struct hv_stream *s = hv_container (d, struct hv_stream, expiry);
  struct hv_streams *all = &s->instance->bus->streams;
  pthread_mutex_lock (&all->lock);
  uint8_t claimed = s->claimed;
  s->claimed = 1; /* nobody may have it any more */
  pthread_mutex_unlock (&all->lock);
  if (claimed)
    return; /* its client is on the way */
  hv_log_line (s->instance->name, HV_LOG_NOTICE, "%s: nobody came for it; it is closed", s->what);
  stream_end (s, HV_E_DEADLINE_EXCEEDED);
}

static void
stream_over (void *arg)
{
  struct hv_stream *s = arg;
  uint64_t moved[2];
  hv_splice_moved (s->splice, moved);
  hv_log_line (s->instance->name, HV_LOG_INFO, "%s: uid %u left it after %llu bytes in and %llu out", s->what, s->uid,
               (unsigned long long) moved[0], (unsigned long long) moved[1]);
  stream_end (s, 0);
}

static void
stream_join (struct hv_stream *s)
{
  struct hv_splice_side sides[2] = { s->client, { .fd = s->fd, .first = { s->unsent.data, s->unsent.size } } };
  sides[0].first = (struct hv_bin){ s->first.data, s->first.size };
  s->fd = -1;
  hv_loop_deadline_disarm (s->instance->loop, &s->expiry);
  int r = hv_splice_new (s->instance->loop, sides, stream_over, s, &s->splice);
  hv_pack_clear (&s->first);
  hv_pack_clear (&s->unsent);
  if (r < 0)
    stream_end (s, r);
  else
    hv_log_line (s->instance->name, HV_LOG_INFO, "%s: uid %u attached", s->what, s->uid);
}

static void
stream_attached (struct hv_task *t)
{
  struct hv_stream *s = hv_container (t, struct hv_stream, attach_task);
  if (!s->closed && s->client.fd >= 0 && !s->first.failed && !s->unsent.failed) {
    stream_join (s);
  } else {
    if (s->client.fd >= 0)
      (void) close (s->client.fd);
    if (!s->closed)
      stream_end (s, s->client.fd < 0 ? 0 : HV_E_RESOURCE_EXHAUSTED);
  }
  stream_unref (s);
}

static int
token_make (char *token, size_t size, struct hv_err *err)
{
  uint8_t bytes[32];
  ssize_t n;
  do
    n = getrandom (bytes, sizeof bytes, 0);
  while (n < 0 && errno == EINTR);
  if (n != (ssize_t) sizeof bytes || size != 2 * sizeof bytes + 1)
    return hv_err_set (err, HV_E_UNAVAILABLE, "no random bytes for a token");
  for (size_t i = 0; i < sizeof bytes; i++) {
    token[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
    token[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
  }
  token[size - 1] = '\0';
  return 0;
}

static int
stream_check_fd (int fd, struct hv_err *err)
{
  int type = 0;
  socklen_t size = sizeof type;
  if (getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "a connected stream socket is wanted");
  return fcntl (fd, F_SETFD, FD_CLOEXEC) < 0 ? hv_err_sys (err, errno, "close-on-exec") : 0;
}

static struct hv_stream *
stream_new (struct hv_instance *i, struct hv_call *call, int fd, const struct hv_stream_options *o)
{
  struct hv_stream *s = calloc (1, sizeof *s);
  if (s == NULL)
    return NULL;
  s->what = strdup (o != NULL && o->what != NULL ? o->what : "a stream");
  if (s->what == NULL) {
    free (s);
    return NULL;
  }
  hv_list_init (&s->node);
  hv_list_init (&s->open_node);
  s->refs = 1;
  s->instance = hv_instance_ref (i);
  s->expiry.fn = stream_expired;
  s->attach_task.fn = stream_attached;
  s->ended = o != NULL ? o->ended : NULL;
  s->arg = o != NULL ? o->arg : NULL;
  s->uid = call->request.uid;
  s->fd = fd;
  return s;
}

/* Into the lists, where its token is found and its time begins. */
static int
stream_publish (struct hv_stream *s, struct hv_err *err)
{
  struct hv_instance *i = s->instance;
  struct hv_streams *all = &i->bus->streams;
  pthread_mutex_lock (&all->lock);
  uint64_t until_ms = hv_loop_now_ms () + all->limits.token_ms;
  int r = streams_room (all, s, err);
  if (r == 0)
    hv_list_add (&all->open, &s->open_node);
  pthread_mutex_unlock (&all->lock);
  if (r < 0)
    return r;
  hv_list_add (&i->streams, &s->node);
  r = hv_loop_deadline_arm (i->loop, &s->expiry, until_ms);
  return r < 0 ? hv_err_set (err, r, "%s: out of memory", s->what) : 0;
}

int
hv_host_stream_open (struct hv_host *h, struct hv_call *call, int32_t fd, const struct hv_stream_options *o, struct hv_stream **ret,
                     const char **ret_token, struct hv_err *err)
{
  struct hv_instance *i = hv_instance_of (h);
  int r = stream_check_fd (fd, err);
  struct hv_stream *s = r == 0 ? stream_new (i, call, fd, o) : NULL;
  if (s == NULL) {
    (void) close (fd);
    return r < 0 ? r : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "a stream: out of memory");
  }
  char *token = hv_arena_alloc (hv_instance_arena (i), sizeof s->token);
  r = token == NULL ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: out of memory", s->what)
                    : token_make (s->token, sizeof s->token, err);
  if (r == 0)
    r = stream_publish (s, err);
  if (r < 0) {
    stream_release (s);
    return r;
  }
  memcpy (token, s->token, sizeof s->token);
  *ret_token = token;
  if (ret != NULL)
    *ret = s;
  return 0;
}

void
hv_host_stream_close (struct hv_host *h, struct hv_stream *s)
{
  (void) h;
  if (s != NULL)
    stream_release (s);
}

void
hv_instance_release_streams (struct hv_instance *i)
{
  while (!hv_list_empty (&i->streams))
    stream_release (hv_container (i->streams.next, struct hv_stream, node));
}

/* --- the client's side --- */

/* As long for a token that is almost right as for one that is all wrong. */
static int
token_equal (const char *a, const char *b, size_t n)
{
  unsigned diff = 0;
  for (size_t i = 0; i < n; i++)
    diff |= (unsigned) (a[i] ^ b[i]);
  return diff == 0;
}

int
hv_stream_claim (struct hv_bus *b, const char *token, uint32_t uid, struct hv_stream **ret, struct hv_err *err)
{
  struct hv_stream *found = NULL;
  pthread_mutex_lock (&b->streams.lock);
  for (struct hv_list *l = b->streams.open.next; l != &b->streams.open && strlen (token) + 1 == sizeof found->token; l = l->next) {
    struct hv_stream *s = hv_container (l, struct hv_stream, open_node);
    if (!s->claimed && s->uid == uid && token_equal (s->token, token, sizeof s->token))
      found = s;
  }
  if (found != NULL) {
    found->claimed = 1;
    atomic_fetch_add_explicit (&found->refs, 1, memory_order_relaxed);
  }
  pthread_mutex_unlock (&b->streams.lock);
  if (found == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND,
                       "there is no such token: it was used, is too old, or is another user's; call again for a new one");
  *ret = found;
  return 0;
}

void
hv_stream_attach (struct hv_stream *s, struct hv_splice_side client, struct hv_bin unsent)
{
  s->client.fd = client.fd;
  hv_pack_raw (&s->first, client.first.data, client.first.size);
  hv_pack_raw (&s->unsent, unsent.data, unsent.size);
  hv_loop_post (s->instance->loop, &s->attach_task);
}
