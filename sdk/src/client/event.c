/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Subscriptions. */
#include "impl.h"
#include <stdio.h>
#include <string.h>

static struct hv_client_sub **
sub_at (struct hv_client *c, uint64_t id)
{
  struct hv_client_sub **at = &c->subs;
  while (*at != NULL && (*at)->id != id)
    at = &(*at)->next;
  return at;
}

void
hv_client_subs_free (struct hv_client *c)
{
  while (c->subs != NULL) {
    struct hv_client_sub *s = c->subs;
    c->subs = s->next;
    free (s);
  }
}

void
hv_client_on_event (struct hv_client *c, struct hv_bin map)
{
  char topic[512];
  struct hv_client_sub *s = *sub_at (c, hv_client_map_u64 (map, "subscription"));
  if (s == NULL) /* sent before the daemon saw that it was ended */
    return;
  hv_client_map_text (map, "topic", topic, sizeof topic);
  struct hv_client_event e = { .struct_size = sizeof e,
                               .subscription = s->id,
                               .cursor = { hv_client_map_u64 (map, "epoch"), hv_client_map_u64 (map, "seq") },
                               .prev = hv_client_map_u64 (map, "prev"),
                               .time_ms = (int64_t)hv_client_map_u64 (map, "time_ms"),
                               .topic = topic,
                               .data = hv_client_map_get (map, "data"),
                               .raw = map };
  s->event (s->arg, &e);
}

void
hv_client_on_dropped (struct hv_client *c, struct hv_bin map)
{
  char reason[512];
  struct hv_client_sub **at = sub_at (c, hv_client_map_u64 (map, "subscription")), *s = *at;
  if (s == NULL)
    return;
  *at = s->next;
  hv_client_map_text (map, "reason", reason, sizeof reason);
  if (s->dropped != NULL)
    s->dropped (s->arg, s->id, reason);
  free (s);
}

/* --- subscribing --- */

struct subscribing {
  struct hv_client *client;
  struct hv_client_sub *sub;
  hv_client_done_fn *done;
  void *arg;
};

/* Registered before anything else of the same read is looked at, so that no event can slip by. */
static void
on_subscribed (void *arg, int code, struct hv_bin result, const struct hv_err *error)
{
  struct subscribing *s = arg;
  if (code == 0) {
    s->sub->id = hv_client_map_u64 (result, "subscription");
    s->sub->next = s->client->subs;
    s->client->subs = HV_STEAL (s->sub);
  }
  if (s->done != NULL)
    s->done (s->arg, code, result, error);
  free (s->sub);
  free (s);
}

static void
pack_topics (struct hv_pack *p, const char *const *topics)
{
  static const char *const all[] = { "*", NULL };
  uint32_t n = 0;
  const char *const *t = topics != NULL ? topics : all;
  hv_pack_str (p, "topics");
  uint64_t mark = hv_pack_array_open (p);
  for (; t[n] != NULL; n++)
    hv_pack_str (p, t[n]);
  hv_pack_array_close (p, mark, n);
}

static void
pack_since (struct hv_pack *p, const struct hv_client_cursor *since)
{
  hv_pack_str (p, "since");
  hv_pack_map (p, 2);
  hv_pack_str (p, "epoch");
  hv_pack_u64 (p, since->epoch);
  hv_pack_str (p, "seq");
  hv_pack_u64 (p, since->seq);
}

static struct subscribing *
subscribing_new (struct hv_client *c, const struct hv_client_subscription *o, hv_client_done_fn *done, void *arg)
{
  struct subscribing *s = calloc (1, sizeof *s);
  struct hv_client_sub *sub = calloc (1, sizeof *sub);
  if (s == NULL || sub == NULL) {
    free (s);
    free (sub);
    return NULL;
  }
  *sub = (struct hv_client_sub){ .event = o->event, .dropped = o->dropped, .arg = o->arg };
  *s = (struct subscribing){ .client = c, .sub = sub, .done = done, .arg = arg };
  return s;
}

int
hv_client_subscribe_async (struct hv_client *c, const struct hv_client_subscription *o, hv_client_done_fn *done, void *arg,
                           struct hv_err *err)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  if (o->event == NULL)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "a subscription needs an event callback");
  struct subscribing *s = subscribing_new (c, o, done, arg);
  if (s == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  hv_pack_map (&p, o->since != NULL ? 2 : 1);
  pack_topics (&p, o->topics);
  if (o->since != NULL)
    pack_since (&p, o->since);
  int r = hv_client_call_async (c, "bus.subscribe", hv_client_packed (&p), NULL, on_subscribed, s, NULL, err);
  if (r != 0) {
    free (s->sub);
    free (s);
  }
  return r;
}

struct waiter {
  uint64_t id;
  struct hv_client_cursor cursor;
  struct hv_err *err;
  int done, code;
};

static void
on_waited (void *arg, int code, struct hv_bin result, const struct hv_err *error)
{
  struct waiter *w = arg;
  w->done = 1;
  w->code = code;
  w->id = hv_client_map_u64 (result, "subscription");
  w->cursor = (struct hv_client_cursor){ hv_client_map_u64 (result, "epoch"), hv_client_map_u64 (result, "seq") };
  if (code != 0)
    (void)hv_err_set (w->err, code, "%s", hv_err_message (error));
}

int
hv_client_subscribe (struct hv_client *c, const struct hv_client_subscription *o, uint64_t *ret_id,
                     struct hv_client_cursor *ret_cursor, struct hv_err *err)
{
  struct waiter w = { .err = err };
  int r = hv_client_may_block (c, err);
  if (r == 0)
    r = hv_client_subscribe_async (c, o, on_waited, &w, err);
  if (r != 0)
    return r;
  while (!w.done)
    (void)hv_client_wait (c, -1, NULL);
  if (w.code == 0 && ret_id != NULL)
    *ret_id = w.id;
  if (w.code == 0 && ret_cursor != NULL)
    *ret_cursor = w.cursor;
  return w.code;
}

int
hv_client_unsubscribe (struct hv_client *c, uint64_t id, struct hv_err *err)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  struct hv_client_sub **at = sub_at (c, id), *s = *at;
  if (s == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "there is no subscription %llu", (unsigned long long)id);
  *at = s->next;
  free (s);
  hv_pack_map (&p, 1);
  hv_pack_str (&p, "subscription");
  hv_pack_u64 (&p, id);
  return hv_client_call_async (c, "bus.unsubscribe", hv_client_packed (&p), NULL, NULL, NULL, NULL, err);
}
