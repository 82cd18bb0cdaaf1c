/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/bus: the message bus. It routes calls to plugin instances, keeps deadlines, lanes and cancellation, and holds the event log.
 *
 * Threads. The main loop owns connections and the life of instances. Every instance lives on one loop: the main one
 * (isolation "loop") or its own thread's (isolation "thread"). A call is an object that two sides hold: the caller's, on the
 * caller's loop (deadline, answer), and the callee's, on the instance's loop (lane, coroutine). They talk by posting
 * tasks; nothing else is shared. The registry and the event log are the only structures behind locks. */
#ifndef HV_CORE_BUS_H
#define HV_CORE_BUS_H
#include "core/coro/coro.h"
#include "core/loop/loop.h"
#include "core/msg/msg.h"
#include "core/schema/schema.h"
#include <hvkit/plugin.h>
#include <stdatomic.h>

struct hv_bus;
struct hv_instance;
struct hv_call;
struct hv_peer;
struct hv_event_cursor;

/* --- methods as the bus routes them --- */

/* One verb of one instance: the plugin's table entry merged with its interface's, read only once built. */
struct hv_route {
  struct hv_method method; /* every member valid whatever struct_size the plugin was built with */
  char *name;              /* "qmp.start" */
  struct hv_instance *instance;
  const struct hv_field *key; /* of method.args, or NULL */
  uint64_t hash;
  struct hv_route *next;
  _Atomic uint64_t calls, failures, busy_us;
};

/* --- the bus --- */

struct hv_bus *hv_bus_new (struct hv_loop *main_loop, struct hv_err *);
void hv_bus_free (struct hv_bus *);
struct hv_loop *hv_bus_loop (struct hv_bus *); /* the main loop */

/* Finds "instance.verb"; the instance is referenced (hv_instance_unref). UNIMPLEMENTED / NOT_FOUND with a helpful text. Any thread. */
int hv_bus_route (struct hv_bus *, const char *method, uint64_t n, struct hv_route **ret, struct hv_err *);

/* --- calls --- */

#define HV_CALL_PROGRESS 1u /* the caller wants progress */

struct hv_call_request {
  struct hv_loop *loop; /* where done and progress run */
  void (*done) (struct hv_call *, void *arg); /* exactly once, unless detached; then read code, result, error */
  void (*progress) (void *arg, const char *phase, uint64_t done, uint64_t total, const char *unit);
  void *arg;
  struct hv_bin args;      /* copied */
  struct hv_msg *args_msg; /* instead of args: shared, referenced */
  struct hv_peer *peer;    /* of the connection, for the bus's own methods; NULL for plugins */
  uint64_t deadline_ms;    /* absolute, hv_loop_now_ms; 0: the method's default from now */
  uint64_t max_age_ms;
  uint32_t uid, role, depth, flags;
};

/* Sends a call and returns the caller's handle; the answer comes through done() even when it fails at once. NULL when out of
 * memory. `route` was returned by hv_bus_route; its reference passes to the call. */
struct hv_call *hv_call_send (struct hv_route *route, const struct hv_call_request *);
void hv_call_cancel (struct hv_call *); /* caller's side: asks the callee to give up; done() still comes */
void hv_call_detach (struct hv_call *); /* caller's side: cancels, and done() will not be called any more; the handle is gone */
/* In done(): the answer. Borrowed until done() returns. */
int hv_call_code (const struct hv_call *);
struct hv_msg *hv_call_result (const struct hv_call *); /* NULL: the empty map */
struct hv_err *hv_call_error (const struct hv_call *);

/* An HV_FAST method of an instance on the calling loop, without a call object: the result goes straight into `out`. For the RPC
 * server's hot path. `out` is as before after a failure. */
int hv_call_inline (struct hv_route *route, const struct hv_call_request *, struct hv_pack *out, struct hv_err *);

/* Reads the reserved arguments (_timeout_ms, _progress, _max_age_ms) of an argument map. */
int hv_call_reserved (struct hv_bin args, struct hv_call_request *, struct hv_err *);

/* --- the peer of a call that came over a connection: what the bus's own methods need of the RPC server --- */
struct hv_notify_shape {
  const char *method;   /* NULL: "event" */
  struct hv_bin prefix; /* msgpack array whose items come before the [event]; empty: none */
};
struct hv_peer {
  uint32_t uid, role;
  void (*set_error_map) (struct hv_peer *, int on);
  int (*cancel) (struct hv_peer *, uint32_t id); /* 1 if such a call was pending */
  int (*subscribe) (struct hv_peer *, const struct hv_strs *globs, const struct hv_event_cursor *from, const struct hv_notify_shape *,
                    uint32_t *ret_id, struct hv_err *);
  int (*unsubscribe) (struct hv_peer *, uint32_t id, struct hv_err *);
  int (*attach) (struct hv_peer *, const char *token, struct hv_err *); /* after this call's answer the connection is a byte stream */
};

/* The instance named "bus": the core's own methods. Main loop. */
struct hv_bus_hooks {
  void (*plugins) (void *arg, struct hv_pack *); /* packs the array of bus.plugins */
  void (*stats) (void *arg, struct hv_pack *);   /* packs a map: the RPC server's counters */
  void *plugins_arg, *stats_arg;
  uint64_t request_bytes, answer_bytes;
};
extern const struct hv_plugin hv_bus_plugin;
void hv_bus_set_hooks (struct hv_bus *, const struct hv_bus_hooks *);

/* --- byte streams --- */

struct hv_stream_limits {
  uint32_t per_instance, per_uid, token_ms;
};
void hv_streams_set_limits (struct hv_bus *, const struct hv_stream_limits *);
uint32_t hv_streams_count (struct hv_bus *);
/* Uses a token up: NOT_FOUND when there is none (never was, was used, too old, another user's). What is returned must be passed to
 * hv_stream_attach. Any thread. */
int hv_stream_claim (struct hv_bus *, const char *token, uint32_t uid, struct hv_stream **ret, struct hv_err *);
/* Joins the stream with `client`, whose fd it takes over (-1: the client left meanwhile, the stream ends). client.first was read
 * from it already, `unsent` still has to be written to it, before anything else. */
void hv_stream_attach (struct hv_stream *, struct hv_splice_side client, struct hv_bin unsent);

/* --- events --- */

/* One event of the log. Ref-counted through its message; immutable. */
struct hv_event_entry {
  uint64_t seq;
  char *topic;          /* inside packed's allocation */
  struct hv_msg *packed; /* the pairs "epoch", "seq", "time_ms", "topic", "data" without a map header: 5 pairs */
  uint32_t data_at;     /* offset of the data value in packed */
  int64_t time_ms;
};
#define HV_EVENT_PAIRS 5u

/* A reader's place in the log. */
struct hv_event_cursor {
  uint64_t next; /* seq to read next */
  uint64_t prev; /* seq of the last event that was delivered to this reader */
  const char *const *globs; /* NULL-terminated */
};

/* Appends and wakes the readers. Any thread. 0 or RESOURCE_EXHAUSTED. */
int hv_events_publish (struct hv_bus *, const char *topic, struct hv_bin data);
void hv_events_head (struct hv_bus *, uint64_t *ret_epoch, uint64_t *ret_seq); /* newest; any thread */
uint64_t hv_events_oldest (struct hv_bus *);
/* Places a cursor after `seq`: OUT_OF_RANGE (naming why) when the epoch is another or the events after it are gone. */
int hv_events_seek (struct hv_bus *, uint64_t epoch, uint64_t seq, struct hv_event_cursor *, struct hv_err *);
/* The next matching event: 1 and a referenced entry (hv_msg_unref (entry.packed)), 0 when there is none yet, HV_E_OUT_OF_RANGE
 * when the reader was too slow and events it had not seen have left the log. */
int hv_events_next (struct hv_bus *, struct hv_event_cursor *, struct hv_event_entry *ret);
void hv_events_set_limits (struct hv_bus *, uint32_t max_events, uint64_t max_bytes);
/* Called on the main loop after events were appended (the RPC server). */
void hv_events_set_reader (struct hv_bus *, void (*fn) (void *arg), void *arg);
int hv_glob_match (const char *glob, const char *text); /* '*' matches any run of characters */
void hv_events_stats (struct hv_bus *, uint64_t *ret_count, uint64_t *ret_bytes);

#endif
