/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/bus: what its own files share. */
#ifndef HV_CORE_BUS_PRIVATE_H
#define HV_CORE_BUS_PRIVATE_H
#include "core/bus/instance.h"
#include <pthread.h>

struct hv_events {
  pthread_mutex_t lock;
  struct hv_event_entry *ring;
  uint64_t epoch, first, bytes, max_bytes;
  uint32_t capacity, count;
};
int hv_events_init (struct hv_events *, uint32_t max_events, uint64_t max_bytes);
void hv_events_free (struct hv_events *);

struct hv_streams {
  pthread_mutex_t lock;
  struct hv_list open; /* every stream, attached or not yet */
  struct hv_stream_limits limits;
};
void hv_streams_init (struct hv_streams *);
void hv_streams_free (struct hv_streams *);
struct hv_stream {
  struct hv_list node;      /* instance->streams; this and what follows: instance's loop */
  struct hv_list open_node; /* bus->streams.open; this, token and claimed: under its lock */
  _Atomic uint32_t refs;    /* the instance's, and that of whoever claimed it */
  struct hv_instance *instance;
  struct hv_deadline expiry;
  struct hv_splice *splice;
  hv_stream_fn *ended;
  void *arg;
  char *what;
  char token[65];
  uint32_t uid;
  int fd; /* the plugin's side; -1 once the splice has it */
  uint8_t claimed, closed;
  /* on its way from hv_stream_attach to the instance */
  struct hv_task attach_task;
  struct hv_splice_side client;
  struct hv_pack first, unsent;
};

#define HV_ROUTE_BUCKETS 1024u
struct hv_bus {
  struct hv_loop *loop;
  pthread_rwlock_t lock; /* routes, instances */
  struct hv_route *buckets[HV_ROUTE_BUCKETS];
  struct hv_instance **instances;
  uint32_t instance_count;
  struct hv_events events;
  struct hv_streams streams;
  struct hv_task reader_task;
  atomic_flag reader_posted;
  void (*reader) (void *arg);
  void *reader_arg;
  struct hv_bus_hooks hooks;
};

/* instance.c */
void hv_instance_free_routes (struct hv_instance *);
/* bus.c: the pump_task of an instance */
void hv_instance_pump_run (struct hv_task *);
/* describe.c */
void hv_describe_instance (struct hv_instance *, struct hv_pack *);
/* subscription.c */
struct hv_subscription {
  struct hv_list node; /* instance->subscriptions */
  struct hv_instance *instance;
  struct hv_event_cursor cursor;
  char *globs[2];
  hv_event_fn *fn;
  void *arg;
  uint8_t running, dead; /* a fiber is delivering; was unsubscribed meanwhile */
};
#endif
