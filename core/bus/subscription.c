/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events of a plugin: publishing its own, and hearing others in order, one fiber for each subscription that is behind. */
#include "core/bus/host.h"
#include "core/log/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct hv_event *
event_find (const struct hv_instance *i, const char *name)
{
  for (const struct hv_event *const *e = i->events; e != NULL && *e != NULL; e++)
    if (strcmp ((*e)->name, name) == 0)
      return *e;
  return NULL;
}

int
hv_host_publish (struct hv_host *h, const char *event, const void *data, struct hv_err *err)
{
  struct hv_instance *i = hv_instance_of (h);
  const struct hv_event *e = event_find (i, event);
  char topic[256];
  struct hv_pack p = { 0 };
  if (e == NULL)
    return hv_err_set (err, HV_E_INTERNAL, "event '%s' is not in the tables of '%s'", event, i->name);
  (void) snprintf (topic, sizeof topic, "%s.%s", i->name, event);
  int r = 0;
  if (e->data != NULL)
    r = hv_record_encode (e->data, data, &p, err);
  else
    hv_pack_map (&p, 0);
  if (r == 0 && p.failed)
    r = HV_E_RESOURCE_EXHAUSTED;
  if (r == 0)
    r = hv_events_publish (i->bus, topic, (struct hv_bin){ p.data, p.size });
  hv_pack_clear (&p);
  return r < 0 ? hv_err_wrap (err, r, "event '%s'", topic) : 0;
}

static void
subscription_free (struct hv_subscription *s)
{
  hv_list_remove (&s->node);
  (void) atomic_fetch_sub (&s->instance->subscription_count, 1);
  free (s->globs[0]);
  free (s);
}

struct hv_subscription *
hv_host_subscribe (struct hv_host *h, const char *glob, hv_event_fn *fn, void *arg)
{
  struct hv_instance *i = hv_instance_of (h);
  struct hv_subscription *s = calloc (1, sizeof *s);
  uint64_t epoch, seq;
  if (s == NULL || (s->globs[0] = strdup (glob)) == NULL) {
    free (s);
    return NULL;
  }
  s->instance = i;
  s->fn = fn;
  s->arg = arg;
  s->cursor.globs = (const char *const *) s->globs;
  (void) atomic_fetch_add (&i->subscription_count, 1); /* first: whoever publishes behind the head that is read now sees it */
  hv_events_head (i->bus, &epoch, &seq);
  s->cursor.next = seq + 1;
  s->cursor.prev = seq;
  hv_list_add (&i->subscriptions, &s->node);
  return s;
}

void
hv_host_unsubscribe (struct hv_host *h, struct hv_subscription *s)
{
  (void) h;
  if (s == NULL)
    return;
  s->dead = 1;
  if (!s->running)
    subscription_free (s);
}

void
hv_host_cursor (struct hv_host *h, uint64_t *ret_epoch, uint64_t *ret_seq)
{
  hv_events_head (hv_instance_of (h)->bus, ret_epoch, ret_seq);
}

/* Reads seq, time and topic back from the shared bytes and hands them over. */
static void
subscription_deliver (struct hv_fiber *f, struct hv_subscription *s, const struct hv_event_entry *e)
{
  struct hv_bin b = hv_msg_bytes (e->packed);
  struct hv_read r = { b.data, b.data + b.size };
  struct hv_event_info info = { .struct_size = sizeof info, .seq = e->seq, .time_ms = e->time_ms };
  struct hv_value v;
  for (uint32_t k = 0; k < HV_EVENT_PAIRS - 1; k++) {
    (void) hv_read_skip (&r);
    if (!hv_read_next (&r, &v))
      return;
    if (k == 0)
      info.epoch = v.as.u;
    if (k == 3 && v.type == HV_MP_STR) {
      char *topic = hv_arena_alloc (&f->arena, (uint64_t) v.size + 1);
      if (topic == NULL)
        return;
      memcpy (topic, v.as.data, v.size);
      info.topic = topic;
    }
  }
  info.data = (struct hv_bin){ b.data + e->data_at, b.size - e->data_at };
  if (info.topic != NULL)
    s->fn (f->instance->self, s->arg, &info);
}

static void
subscription_gap (struct hv_fiber *f, struct hv_subscription *s)
{
  static const uint8_t empty = 0x80;
  struct hv_event_info info = { .struct_size = sizeof info, .topic = "bus.gap", .data = { &empty, 1 } };
  hv_log_line (f->instance->name, HV_LOG_WARNING, "fell behind the event log (topic '%s'); it is told to read the state anew",
               s->globs[0]);
  hv_events_head (f->instance->bus, &info.epoch, &info.seq);
  s->cursor.next = info.seq + 1;
  s->fn (f->instance->self, s->arg, &info);
}

/* One fiber per subscription that has something to deliver: events stay in order, and an idle one holds nothing. */
static void
subscription_run (struct hv_fiber *f)
{
  struct hv_subscription *s = f->user_arg;
  struct hv_event_entry e;
  int r;
  while (!s->dead && !f->cancelled && (r = hv_events_next (f->instance->bus, &s->cursor, &e)) != 0) {
    uint64_t mark = hv_arena_mark (&f->arena);
    if (r == HV_E_OUT_OF_RANGE) {
      subscription_gap (f, s);
    } else {
      subscription_deliver (f, s, &e);
      hv_msg_unref (e.packed);
    }
    hv_arena_release (&f->arena, mark);
  }
  s->running = 0;
  if (s->dead)
    subscription_free (s);
}

void
hv_instance_pump_events (struct hv_instance *i)
{
  struct hv_list *next;
  if (i->stopping)
    return;
  for (struct hv_list *n = i->subscriptions.next; n != &i->subscriptions; n = next) {
    struct hv_subscription *s = hv_container (n, struct hv_subscription, node);
    struct hv_event_cursor probe = s->cursor;
    next = n->next;
    if (s->running || s->dead)
      continue;
    struct hv_event_entry e;
    int r = hv_events_next (i->bus, &probe, &e);
    if (r == 1)
      hv_msg_unref (e.packed);
    if (r == 0) {
      s->cursor.next = probe.next; /* what it does not want is not looked at again */
      continue;
    }
    s->running = 1;
    if (hv_fiber_start (i, s->globs[0], NULL, subscription_run, NULL, s) == NULL)
      s->running = 0;
  }
}

void
hv_instance_release_subscriptions (struct hv_instance *i)
{
  while (!hv_list_empty (&i->subscriptions))
    subscription_free (hv_container (i->subscriptions.next, struct hv_subscription, node));
}
