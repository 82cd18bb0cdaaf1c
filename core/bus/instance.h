/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/bus: an instance of a plugin and everything the core owns on its behalf. Members are touched on the instance's
 * loop only, except where it says otherwise. */
#ifndef HV_CORE_INSTANCE_H
#define HV_CORE_INSTANCE_H
#include "core/bus/bus.h"
#include "core/store/store.h"

#define HV_ISOLATION_LOOP    0u
#define HV_ISOLATION_THREAD  1u
#define HV_ISOLATION_PROCESS 2u
extern const char *const hv_isolation_words[];

#define HV_INSTANCE_STARTING 0u
#define HV_INSTANCE_RUNNING  1u
#define HV_INSTANCE_STOPPING 2u
#define HV_INSTANCE_STOPPED  3u
#define HV_INSTANCE_FAILED   4u
#define HV_INSTANCE_REFUSED  5u
#define HV_INSTANCE_DISABLED 6u
extern const char *const hv_instance_state_words[];

/* A list that owns its nodes by embedding; used for everything an instance may leave behind. */
struct hv_list {
  struct hv_list *prev, *next;
};
static inline void
hv_list_init (struct hv_list *l)
{
  l->prev = l->next = l;
}
static inline void
hv_list_add (struct hv_list *l, struct hv_list *node)
{
  node->prev = l->prev;
  node->next = l;
  l->prev->next = node;
  l->prev = node;
}
static inline void
hv_list_remove (struct hv_list *node)
{
  node->prev->next = node->next;
  node->next->prev = node->prev;
  hv_list_init (node);
}
static inline int
hv_list_empty (const struct hv_list *l)
{
  return l->next == l;
}
#define hv_container(ptr, type, member) ((type *) (void *) ((char *) (ptr) - offsetof (type, member)))

/* A coroutine of an instance: a handler, an event callback, or what hv_go started. */
struct hv_fiber {
  struct hv_list node; /* instance->fibers */
  struct hv_instance *instance;
  struct hv_coro *coro;
  struct hv_call *call; /* being handled, or NULL */
  struct hv_arena arena;
  const char *name;
  void (*fn) (struct hv_fiber *);
  hv_coro_fn *user_fn;
  void *user_arg;
  struct hv_fiber *ready_next;
  uint64_t deadline_ms; /* of nested calls; 0: none */
  uint8_t cancelled;    /* every interruptible wait answers CANCELLED */
  uint8_t waiting;      /* suspended in an interruptible wait */
  uint8_t woken;
};

struct hv_lane {
  struct hv_list node; /* instance->lanes */
  uint32_t kind;       /* HV_LANE_MUTATE (also destroy's) or HV_LANE_AGENT */
  char *key;
  struct hv_call *holder, *destroyer;
  struct hv_fiber *waiter; /* the destroyer's fiber while the holder gives up */
};

struct hv_instance {
  struct hv_host host; /* what the plugin holds; must be first */
  _Atomic uint32_t refs;
  _Atomic uint32_t state; /* HV_INSTANCE_*: written on the main loop, read anywhere */
  struct hv_bus *bus;
  struct hv_plugin plugin; /* every member valid whatever struct_size it was built with */
  char *name, *path;
  struct hv_route *routes;
  uint32_t route_count;
  const struct hv_event **events; /* own and interfaces', NULL-terminated */
  struct hv_loop *loop;
  uint32_t isolation, role;
  uint8_t own_thread, stopping, scratch_depth;
  void *self;
  void *config;
  struct hv_arena config_arena, scratch;
  struct hv_sched *sched;
  struct hv_pool *pool;
  struct hv_store *store;
  struct hv_host_info info;
  struct hv_list fibers, lanes, timers, watches, conds, subscriptions, streams;
  struct hv_fiber *ready_head, *ready_tail;
  struct hv_task ready_task;
  uint8_t ready_posted;
  uint32_t fiber_count;
  _Atomic uint32_t calls_running;
  struct hv_task pump_task; /* events have come */
  atomic_flag pump_posted;
  _Atomic uint32_t subscription_count; /* any thread: without one, an event is nothing to wake it for */
};

struct hv_instance *hv_instance_ref (struct hv_instance *);
void hv_instance_unref (struct hv_instance *);

/* A new instance around a plugin's table, not started. `loop` NULL: it gets its own thread's. The table was checked by hv_plugin_check. */
struct hv_instance_spec {
  const struct hv_plugin *plugin;
  const char *name, *path, *state_dir, *run_dir; /* dirs are the daemon's; the instance gets <dir>/<name> */
  struct hv_bin config;                          /* msgpack map, or empty */
  uint32_t isolation, role;
};
int hv_instance_new (struct hv_bus *, const struct hv_instance_spec *, struct hv_instance **ret, struct hv_err *);
/* Runs start() on the instance's loop; done (arg, code, err) on the main loop. On success its methods are routed. */
void hv_instance_start (struct hv_instance *, void (*done) (void *arg, int code, struct hv_err *), void *arg);
/* Refuses new calls, drains until `drain_ms`, cancels, runs stop(), ends the thread; done (arg, leaked) on the main loop. */
void hv_instance_stop (struct hv_instance *, uint32_t drain_ms, void (*done) (void *arg, uint32_t leaked), void *arg);

/* Registry (main loop writes, anyone reads under the bus's lock). */
void hv_bus_add_instance (struct hv_bus *, struct hv_instance *); /* it hears events and is listed */
void hv_bus_add_routes (struct hv_bus *, struct hv_instance *);   /* and now answers calls */
void hv_bus_remove_instance (struct hv_bus *, struct hv_instance *);
struct hv_instance *hv_bus_find_instance (struct hv_bus *, const char *name, uint64_t n); /* referenced, or NULL */
void hv_bus_each_instance (struct hv_bus *, void (*fn) (void *arg, struct hv_instance *), void *arg); /* under the lock */

/* --- fibers --- */
struct hv_fiber *hv_fiber_self (void); /* of the running coroutine, or NULL */
/* Starts a fiber that runs fn (fiber); from outside a coroutine it runs at once, else soon. NULL: out of memory or over the limit. */
struct hv_fiber *hv_fiber_start (struct hv_instance *, const char *name, struct hv_call *, void (*fn) (struct hv_fiber *), hv_coro_fn *, void *arg);
/* Suspends the running fiber until hv_fiber_wake. Interruptible: returns HV_E_CANCELLED at once, or later, when it is cancelled. */
int hv_fiber_wait (int interruptible);
void hv_fiber_wake (struct hv_fiber *);     /* from plugin code: it runs soon */
void hv_fiber_wake_now (struct hv_fiber *); /* from the loop, when nothing else of the instance is running: it runs at once */
void hv_fiber_cancel (struct hv_fiber *);
struct hv_arena *hv_instance_arena (struct hv_instance *); /* of the running fiber, else the scratch of the callback */

/* --- the boundary: every entry into plugin code goes through one of these --- */
void hv_boundary_resume (struct hv_fiber *); /* a slice of a coroutine */
int hv_boundary_fast (struct hv_instance *, const struct hv_route *, struct hv_call *, const void *args, void *result, struct hv_err *);
void hv_boundary_timer (struct hv_instance *, hv_timer_fn *, void *arg);
void hv_boundary_watch (struct hv_instance *, hv_watch_fn *, void *arg, uint32_t ready);
void hv_boundary_stream (struct hv_instance *, hv_stream_fn *, void *arg, int code);
void hv_boundary_stop (struct hv_instance *);

/* --- lanes (instance's loop) --- */
int hv_lane_enter (struct hv_call *, struct hv_err *); /* in the call's fiber; DESTROY may wait */
void hv_lane_leave (struct hv_call *);

/* --- pieces of a call that the folder shares --- */
struct hv_call {
  const struct hv_host_api *api; /* what hv_call_head promises */
  _Atomic uint32_t refs;
  struct hv_route *route;
  struct hv_call_request request;
  /* caller's side */
  struct hv_deadline deadline;
  uint64_t sent_ms;
  struct hv_task reply_task;
  uint8_t answered; /* done() was called, or will not be */
  int code;
  struct hv_msg *result;
  struct hv_err *error;
  /* callee's side */
  struct hv_task deliver_task, cancel_task;
  atomic_flag cancel_posted;
  _Atomic uint8_t cancelled;
  uint8_t preempted;
  struct hv_fiber *fiber;
  struct hv_lane *lane;
  uint64_t started_ms; /* when the callee took it */
  uint64_t progress_ms; /* of the last report */
  int reply_code;
  struct hv_msg *reply_result;
  struct hv_err *reply_error;
  uint64_t args_size;
  uint8_t args_copy[];
};
/* Core-internal method flag: the handler reads call->request itself and may set call->reply_result (scripted instances in tests). */
#define HV_CALL_RAW 0x80000000u
void hv_call_ref (struct hv_call *);
int hv_call_check_access (const struct hv_route *, uint32_t role, struct hv_err *);
void hv_call_unref (struct hv_call *);
extern const struct hv_host_api hv_host_api_table;
void hv_instance_pump_events (struct hv_instance *);   /* instance's loop */
void hv_instance_release_all (struct hv_instance *);   /* timers, watches, conds, subscriptions: after stop() */
void hv_bus_wake_subscribers (struct hv_bus *);        /* any thread: after an event was appended */
#endif
