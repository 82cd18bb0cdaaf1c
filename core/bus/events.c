/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event log. It is the queue, too: a subscriber is a place in the log, so a slow one costs nothing and simply falls off its
 * end (and is told). Publishing appends under a lock and wakes the readers; nobody waits for a reader. */
#include "core/bus/instance.h"
#include "core/bus/private.h"
#include "core/limits.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The ring holds seq first … first + count - 1; slot of a seq is seq % capacity. */
int
hv_events_init (struct hv_events *e, uint32_t max_events, uint64_t max_bytes)
{
  struct timespec now;
  (void) clock_gettime (CLOCK_REALTIME, &now);
  e->epoch = (uint64_t) now.tv_sec * 1000000u + (uint64_t) now.tv_nsec / 1000u;
  e->first = 1;
  e->max_bytes = max_bytes;
  e->capacity = max_events;
  e->ring = calloc (max_events, sizeof *e->ring);
  return e->ring != NULL && pthread_mutex_init (&e->lock, NULL) == 0 ? 0 : HV_E_RESOURCE_EXHAUSTED;
}

static void
events_drop_oldest (struct hv_events *e)
{
  struct hv_event_entry *o = &e->ring[e->first % e->capacity];
  e->bytes -= hv_msg_bytes (o->packed).size;
  hv_msg_unref (o->packed);
  free (o->topic);
  memset (o, 0, sizeof *o);
  e->first++;
  e->count--;
}

void
hv_events_free (struct hv_events *e)
{
  while (e->count > 0)
    events_drop_oldest (e);
  free (e->ring);
  (void) pthread_mutex_destroy (&e->lock);
}

void
hv_events_set_limits (struct hv_bus *bus, uint32_t max_events, uint64_t max_bytes)
{
  struct hv_events *e = &bus->events;
  struct hv_event_entry *ring = max_events > 0 ? calloc (max_events, sizeof *ring) : NULL;
  if (ring == NULL)
    return;
  pthread_mutex_lock (&e->lock);
  while (e->count > max_events)
    events_drop_oldest (e);
  for (uint64_t s = e->first; s < e->first + e->count; s++)
    ring[s % max_events] = e->ring[s % e->capacity];
  free (e->ring);
  e->ring = ring;
  e->capacity = max_events;
  e->max_bytes = max_bytes;
  pthread_mutex_unlock (&e->lock);
}

static struct hv_msg *
event_pack (uint64_t epoch, uint64_t seq, int64_t time_ms, const char *topic, struct hv_bin data, uint32_t *ret_data_at)
{
  struct hv_pack p = { 0 };
  hv_pack_str (&p, "epoch");
  hv_pack_u64 (&p, epoch);
  hv_pack_str (&p, "seq");
  hv_pack_u64 (&p, seq);
  hv_pack_str (&p, "time_ms");
  hv_pack_i64 (&p, time_ms);
  hv_pack_str (&p, "topic");
  hv_pack_str (&p, topic);
  hv_pack_str (&p, "data");
  *ret_data_at = (uint32_t) p.size;
  hv_pack_raw (&p, data.data, data.size);
  struct hv_msg *m = hv_msg_from_pack (&p);
  hv_pack_clear (&p);
  return m;
}

int
hv_events_publish (struct hv_bus *bus, const char *topic, struct hv_bin data)
{
  struct hv_events *e = &bus->events;
  struct timespec now;
  struct hv_event_entry n = { .topic = strdup (topic) };
  (void) clock_gettime (CLOCK_REALTIME, &now);
  n.time_ms = (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
  pthread_mutex_lock (&e->lock);
  n.seq = e->first + e->count;
  n.packed = n.topic == NULL ? NULL : event_pack (e->epoch, n.seq, n.time_ms, topic, data, &n.data_at);
  if (n.packed == NULL) {
    pthread_mutex_unlock (&e->lock);
    free (n.topic);
    return HV_E_RESOURCE_EXHAUSTED;
  }
  uint64_t size = hv_msg_bytes (n.packed).size;
  while (e->count > 0 && (e->count == e->capacity || e->bytes + size > e->max_bytes))
    events_drop_oldest (e);
  e->ring[n.seq % e->capacity] = n;
  e->count++;
  e->bytes += size;
  pthread_mutex_unlock (&e->lock);
  hv_bus_wake_subscribers (bus);
  return 0;
}

void
hv_events_head (struct hv_bus *bus, uint64_t *ret_epoch, uint64_t *ret_seq)
{
  pthread_mutex_lock (&bus->events.lock);
  *ret_epoch = bus->events.epoch;
  *ret_seq = bus->events.first + bus->events.count - 1;
  pthread_mutex_unlock (&bus->events.lock);
}

uint64_t
hv_events_oldest (struct hv_bus *bus)
{
  pthread_mutex_lock (&bus->events.lock);
  uint64_t first = bus->events.first;
  pthread_mutex_unlock (&bus->events.lock);
  return first;
}

void
hv_events_stats (struct hv_bus *bus, uint64_t *ret_count, uint64_t *ret_bytes)
{
  pthread_mutex_lock (&bus->events.lock);
  *ret_count = bus->events.count;
  *ret_bytes = bus->events.bytes;
  pthread_mutex_unlock (&bus->events.lock);
}

int
hv_events_seek (struct hv_bus *bus, uint64_t epoch, uint64_t seq, struct hv_event_cursor *c, struct hv_err *err)
{
  struct hv_events *e = &bus->events;
  int r = 0;
  pthread_mutex_lock (&e->lock);
  if (epoch != e->epoch)
    r = hv_err_set (err, HV_E_OUT_OF_RANGE, "the cursor is of epoch %llu, before a restart; this log is epoch %llu: read the state, then subscribe anew",
                    (unsigned long long) epoch, (unsigned long long) e->epoch);
  else if (seq + 1 < e->first)
    r = hv_err_set (err, HV_E_OUT_OF_RANGE, "the cursor is too old: event %llu is gone, the log begins at %llu: read the state, then subscribe anew",
                    (unsigned long long) seq + 1, (unsigned long long) e->first);
  else if (seq >= e->first + e->count)
    r = hv_err_set (err, HV_E_OUT_OF_RANGE, "the cursor is ahead of the log, whose newest event is %llu",
                    (unsigned long long) (e->first + e->count - 1));
  if (r == 0) {
    c->next = seq + 1;
    c->prev = seq;
  }
  pthread_mutex_unlock (&e->lock);
  return r;
}

int
hv_glob_match (const char *glob, const char *text)
{
  const char *star = NULL, *mark = NULL;
  while (*text != '\0') {
    if (*glob == '*') {
      star = glob++;
      mark = text;
    } else if (*glob == *text) {
      glob++;
      text++;
    } else if (star != NULL) {
      glob = star + 1;
      text = ++mark;
    } else {
      return 0;
    }
  }
  while (*glob == '*')
    glob++;
  return *glob == '\0';
}

static int
cursor_wants (const struct hv_event_cursor *c, const char *topic)
{
  for (const char *const *g = c->globs; *g != NULL; g++)
    if (hv_glob_match (*g, topic))
      return 1;
  return 0;
}

int
hv_events_next (struct hv_bus *bus, struct hv_event_cursor *c, struct hv_event_entry *ret)
{
  struct hv_events *e = &bus->events;
  int r = 0;
  pthread_mutex_lock (&e->lock);
  if (c->next < e->first)
    r = HV_E_OUT_OF_RANGE;
  while (r == 0 && c->next < e->first + e->count) {
    const struct hv_event_entry *o = &e->ring[c->next++ % e->capacity];
    if (!cursor_wants (c, o->topic))
      continue;
    *ret = *o;
    (void) hv_msg_ref (o->packed);
    ret->topic = NULL; /* read it from packed: the entry's own may go any time */
    r = 1;
  }
  pthread_mutex_unlock (&e->lock);
  return r;
}
