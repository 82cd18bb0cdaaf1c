/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events to connections. Each subscription is a place in the log; an event's bytes were packed once and are copied after the
 * few that differ per subscriber. Nothing is written while the peer is behind, and one that falls off the log is told. */
#include "core/limits.h"
#include "core/rpc/private.h"
#include <stdlib.h>
#include <string.h>

static void
sub_free (struct hv_conn_sub *s)
{
  for (char **g = s->globs; g != NULL && *g != NULL; g++)
    free (*g);
  free (s->globs);
  free (s->method);
  hv_pack_clear (&s->prefix);
  free (s);
}

void
hv_conn_free_subs (struct hv_conn *c)
{
  while (c->subs != NULL) {
    struct hv_conn_sub *s = c->subs;
    c->subs = s->next;
    sub_free (s);
  }
  c->sub_count = 0;
}

static int
sub_copy_globs (struct hv_conn_sub *s, const struct hv_strs *globs)
{
  s->globs = calloc ((size_t) globs->count + 1, sizeof *s->globs);
  if (s->globs == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < globs->count; i++)
    if ((s->globs[i] = strdup (globs->items[i])) == NULL)
      return HV_E_RESOURCE_EXHAUSTED;
  return 0;
}

static int
sub_copy_shape (struct hv_conn_sub *s, const struct hv_notify_shape *shape, struct hv_err *err)
{
  struct hv_read r = { shape->prefix.data, shape->prefix.data + shape->prefix.size };
  struct hv_value v;
  s->method = strdup (shape->method != NULL ? shape->method : "event");
  if (s->method == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (shape->prefix.size == 0)
    return 0;
  if (!hv_read_next (&r, &v) || v.type != HV_MP_ARRAY || v.size > 16 || shape->prefix.size > 4096)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "notify.prefix: a list of at most 16 values and 4096 bytes is wanted");
  s->has_prefix = 1;
  s->prefix_count = v.size;
  hv_pack_raw (&s->prefix, r.at, (uint64_t) (r.end - r.at));
  return s->prefix.failed ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : 0;
}

int
hv_conn_subscribe (struct hv_peer *p, const struct hv_strs *globs, const struct hv_event_cursor *from, const struct hv_notify_shape *shape,
                   uint32_t *ret_id, struct hv_err *err)
{
  struct hv_conn *c = hv_container (p, struct hv_conn, peer);
  if (c->sub_count >= HV_LIMIT_SUBSCRIPTIONS)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "a connection has at most %u subscriptions", HV_LIMIT_SUBSCRIPTIONS);
  struct hv_conn_sub *s = calloc (1, sizeof *s);
  if (s == NULL || sub_copy_globs (s, globs) < 0) {
    if (s != NULL)
      sub_free (s);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  int r = sub_copy_shape (s, shape, err);
  if (r < 0) {
    sub_free (s);
    return r;
  }
  s->cursor = *from;
  s->cursor.globs = (const char *const *) s->globs;
  s->id = ++c->next_sub;
  s->next = c->subs;
  c->subs = s;
  c->sub_count++;
  *ret_id = s->id;
  hv_conn_dirty (c); /* a resumed one may have events waiting */
  return 0;
}

int
hv_conn_unsubscribe (struct hv_peer *p, uint32_t id, struct hv_err *err)
{
  struct hv_conn *c = hv_container (p, struct hv_conn, peer);
  for (struct hv_conn_sub **at = &c->subs; *at != NULL; at = &(*at)->next)
    if ((*at)->id == id) {
      struct hv_conn_sub *s = *at;
      *at = s->next;
      c->sub_count--;
      sub_free (s);
      return 0;
    }
  return hv_err_set (err, HV_E_NOT_FOUND, "this connection has no subscription %u", id);
}

static void
sub_write (struct hv_conn *c, struct hv_conn_sub *s, const struct hv_event_entry *e)
{
  struct hv_pack *p = &c->out;
  struct hv_bin shared = hv_msg_bytes (e->packed);
  hv_pack_array (p, 3);
  hv_pack_u64 (p, 2);
  hv_pack_str (p, s->method);
  hv_pack_array (p, s->has_prefix ? s->prefix_count + 1 : 1);
  if (s->has_prefix) {
    hv_pack_raw (p, s->prefix.data, s->prefix.size);
    hv_pack_array (p, 1);
  }
  hv_pack_map (p, 2 + HV_EVENT_PAIRS);
  hv_pack_str (p, "subscription");
  hv_pack_u64 (p, s->id);
  hv_pack_str (p, "prev");
  hv_pack_u64 (p, s->cursor.prev);
  hv_pack_raw (p, shared.data, shared.size);
  s->cursor.prev = e->seq;
}

/* The subscriber was slower than the log is long. It hears so once and is not a subscriber any more. */
static void
sub_drop (struct hv_conn *c, struct hv_conn_sub *s)
{
  struct hv_pack *p = &c->out;
  hv_pack_array (p, 3);
  hv_pack_u64 (p, 2);
  hv_pack_str (p, "bus.dropped");
  hv_pack_array (p, 1);
  hv_pack_map (p, 2);
  hv_pack_str (p, "subscription");
  hv_pack_u64 (p, s->id);
  hv_pack_str (p, "reason");
  hv_pack_str (p, "too slow: events it had not read have left the log; read the state, then subscribe anew");
  c->rpc->dropped_subscribers++;
  (void) hv_conn_unsubscribe (&c->peer, s->id, NULL);
}

static void
sub_pump (struct hv_conn *c, struct hv_conn_sub *s)
{
  struct hv_event_entry e;
  while (hv_conn_queued (c) <= c->rpc->config.output_soft_bytes) {
    int r = hv_events_next (c->rpc->bus, &s->cursor, &e);
    if (r == 0)
      return;
    if (r < 0) {
      sub_drop (c, s);
      return;
    }
    sub_write (c, s, &e);
    hv_msg_unref (e.packed);
  }
}

void
hv_conn_pump (struct hv_conn *c)
{
  struct hv_conn_sub *next;
  for (struct hv_conn_sub *s = c->subs; s != NULL; s = next) {
    next = s->next;
    sub_pump (c, s);
  }
}
