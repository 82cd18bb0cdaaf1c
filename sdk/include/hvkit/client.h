/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libhvkit: the client of hvkitd, for programs that call it over its UNIX socket.
 *
 *   struct hv_err *err = hv_client_err_new ();
 *   struct hv_client *c = NULL;
 *   HV_CLEAN (hv_pack) struct hv_pack args = { 0 }, result = { 0 };
 *   hv_pack_map (&args, 0);
 *   if (hv_client_connect (NULL, NULL, &c, err) != 0
 *       || hv_client_call (c, "bus.ping", hv_client_packed (&args), NULL, &result, err) != 0)
 *     fprintf (stderr, "%s: %s\n", hv_err_name (hv_err_code (err)), hv_err_message (err));
 *
 * One client is one connection and belongs to one thread. There are two ways to use it, which mix: blocking calls, or a
 * loop of the program's own that watches hv_client_fd() for what hv_client_wants() says and runs hv_client_process().
 * Any number of calls may be under way at a time; answers come in any order. Callbacks run inside hv_client_process()
 * (or inside a blocking call) on the client's thread; from a callback, start further calls as you like, but neither
 * block nor close the client there.
 *
 * Everything the daemon sends is checked for size and depth before it is used. Descriptors that travel with an answer
 * are not taken: methods that return one are for plugins. Functions return 0 or a negative HV_E_*; `struct hv_err *`
 * may be NULL. A lost connection is HV_E_UNAVAILABLE, and hv_client_lost() tells it from an answer with that code. */
#ifndef HVKIT_CLIENT_H
#define HVKIT_CLIENT_H
#include <hvkit/clean.h>
#include <hvkit/err.h>
#include <hvkit/msg.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hv_client; /* opaque */

#define HV_CLIENT_SOCKET "/run/hvkit/hvkit.sock"

/* A new, unset error, or NULL when out of memory (which every function accepts). Free with hv_err_free. */
HV_PUBLIC struct hv_err *hv_client_err_new (void);

/* The socket a program uses unless it is told another: $HVKIT_SOCKET, else HV_CLIENT_SOCKET. Not owned by the caller. */
HV_PUBLIC const char *hv_client_default_path (void);

/* What was written so far as a value. Borrowed: valid until the writer is written to or cleared. */
static inline struct hv_bin
hv_client_packed (const struct hv_pack *p)
{
  struct hv_bin b;
  b.data = p->data;
  b.size = p->size;
  return b;
}

/* --- connecting ---------------------------------------------------------------------------------------------- */

struct hv_client_options {
  uint32_t struct_size;  /* sizeof (struct hv_client_options) */
  uint32_t timeout_ms;   /* for connecting and the greeting; 0: 5000 */
  const char *name;      /* what the daemon's log calls this program; NULL: "libhvkit" */
  uint64_t answer_bytes; /* longest frame taken from the daemon; 0: 16 MiB */
};

/* Connects to `path` (NULL: hv_client_default_path()) and greets the daemon. Blocks, at most timeout_ms. Options may be
 * NULL. UNAVAILABLE: nobody answers there; PERMISSION_DENIED: the socket or the daemon refuses this user. */
HV_PUBLIC int hv_client_connect (const char *path, const struct hv_client_options *, struct hv_client **ret, struct hv_err *);

/* The same over a stream socket that is connected already. `fd` belongs to the client from here on, also on failure. */
HV_PUBLIC int hv_client_connect_fd (int fd, const struct hv_client_options *, struct hv_client **ret, struct hv_err *);

/* Closes the connection. Calls that are not answered are told CANCELLED first. NULL is fine. Not from a callback. */
HV_PUBLIC void hv_client_close (struct hv_client *);
HV_CLEAN_DEFINE (hv_client, struct hv_client, hv_client_close)

/* What the daemon said in its greeting. Lives as long as the client. */
struct hv_client_info {
  uint32_t struct_size;
  uint32_t api_level;
  const char *version;    /* of the daemon */
  const char *role;       /* viewer, operator or admin: what this user may call */
  uint64_t epoch;         /* of its event log */
  uint64_t request_bytes; /* longest request it takes */
};
HV_PUBLIC const struct hv_client_info *hv_client_info (const struct hv_client *);

/* 1 once the connection is gone; every call fails from then on. Connect anew. */
HV_PUBLIC int hv_client_lost (const struct hv_client *);

/* --- calling ------------------------------------------------------------------------------------------------- */

/* Progress of a call. Strings and struct are borrowed until the callback returns. */
struct hv_client_progress {
  uint32_t struct_size;
  uint32_t id;          /* of the call */
  const char *phase;    /* "download" …; "" if there is only one */
  uint64_t done, total; /* in `unit`; total 0: not known */
  const char *unit;     /* "bytes" …; "" for a plain count */
};
typedef void hv_client_progress_fn (void *arg, const struct hv_client_progress *);

struct hv_client_call_options {
  uint32_t struct_size;            /* sizeof (struct hv_client_call_options) */
  uint32_t timeout_ms;             /* deadline of the call; 0: the method's own */
  uint32_t max_age_ms;             /* a read may be answered from a cache this old; 0: live */
  uint32_t reserved;               /* 0 */
  const char *idempotency_key;     /* repeats of a mutation with the same key join the first; NULL: none */
  hv_client_progress_fn *progress; /* NULL: not asked for */
  void *arg;                       /* of `progress` */
};

/* Calls a method and waits for its answer. `args` is one msgpack map, size 0 for an empty one. On success *ret holds the
 * result (one msgpack value, checked: hv_read_next may walk it) and belongs to the caller, who frees it with
 * hv_pack_clear; ret may be NULL. Options may be NULL. On failure `err` has the daemon's code, text and details. With a
 * timeout_ms, a daemon that is still silent two seconds past it answers DEADLINE_EXCEEDED here; what came of the call
 * is then not known. */
HV_PUBLIC int hv_client_call (struct hv_client *, const char *method, struct hv_bin args, const struct hv_client_call_options *,
                              struct hv_pack *ret, struct hv_err *);

/* The answer of a call: code 0 and a result, or HV_E_* and an error. Both are borrowed until the callback returns. */
typedef void hv_client_done_fn (void *arg, int code, struct hv_bin result, const struct hv_err *error);

/* Starts a call and returns without waiting. `done` runs exactly once, later, unless this function fails; it may be NULL.
 * *ret_id (may be NULL) names the call for hv_client_cancel and in progress. RESOURCE_EXHAUSTED: more than 64 MiB are
 * waiting to be sent. */
HV_PUBLIC int hv_client_call_async (struct hv_client *, const char *method, struct hv_bin args,
                                    const struct hv_client_call_options *, hv_client_done_fn *done, void *arg, uint32_t *ret_id,
                                    struct hv_err *);

/* Asks the daemon to give up a call. Its `done` still comes: with CANCELLED, or with what it was quicker to answer. */
HV_PUBLIC int hv_client_cancel (struct hv_client *, uint32_t id, struct hv_err *);

/* --- events -------------------------------------------------------------------------------------------------- */

/* A place in the daemon's event log. Events after it are the ones not seen yet. */
struct hv_client_cursor {
  uint64_t epoch, seq;
};

struct hv_client_event {
  uint32_t struct_size;
  uint32_t reserved;
  uint64_t subscription;
  struct hv_client_cursor cursor; /* of this event: resume after it */
  uint64_t prev;   /* seq of the event before it in this subscription: equal to the last seen one, nothing was missed */
  int64_t time_ms; /* wall clock, ms since 1970 */
  const char *topic;
  struct hv_bin data; /* msgpack */
  struct hv_bin raw;  /* the whole event as it came, a msgpack map */
};
typedef void hv_client_event_fn (void *arg, const struct hv_client_event *); /* borrowed until it returns */

/* The daemon ended the subscription, for instance because this reader was too slow. Subscribe again from the last cursor. */
typedef void hv_client_dropped_fn (void *arg, uint64_t subscription, const char *reason);

struct hv_client_subscription {
  uint32_t struct_size;                 /* sizeof (struct hv_client_subscription) */
  uint32_t reserved;                    /* 0 */
  const char *const *topics;            /* globs ("qmp.*"), NULL-terminated; NULL: everything */
  const struct hv_client_cursor *since; /* resume after this place; NULL: only what is new. OUT_OF_RANGE: it is gone; list anew */
  hv_client_event_fn *event;
  hv_client_dropped_fn *dropped; /* may be NULL */
  void *arg;
};

/* Subscribes and waits for the answer. Events come from then on, in order. *ret_cursor is where the subscription begins,
 * *ret_id its name; both may be NULL. */
HV_PUBLIC int hv_client_subscribe (struct hv_client *, const struct hv_client_subscription *, uint64_t *ret_id,
                                   struct hv_client_cursor *ret_cursor, struct hv_err *);

/* The same without waiting. `done` runs before the first event; its result is the answer of bus.subscribe. */
HV_PUBLIC int hv_client_subscribe_async (struct hv_client *, const struct hv_client_subscription *, hv_client_done_fn *done,
                                         void *arg, struct hv_err *);

/* Ends a subscription at once on this side, and tells the daemon. Fine in a callback. NOT_FOUND: there is none. */
HV_PUBLIC int hv_client_unsubscribe (struct hv_client *, uint64_t id, struct hv_err *);

/* --- byte streams -------------------------------------------------------------------------------------------- */

/* A call that opens a console, a display or the like answers a token: good once, for this user, for a short time. This opens a second
 * connection to `path` (NULL: hv_client_default_path()) and uses the token up: *ret_fd is a stream socket that carries raw bytes both ways,
 * blocking, close-on-exec, and the caller's to close. shutdown() ends one direction. Blocks, at most options' timeout_ms. NOT_FOUND: the
 * token is not good (any more); UNAVAILABLE: nobody answers. Any thread. */
HV_PUBLIC int hv_client_attach (const char *path, const char *token, const struct hv_client_options *, int *ret_fd, struct hv_err *);

/* The same over a stream socket that is connected already and has carried nothing yet. On success `fd` is the byte stream; on failure it
 * is closed. */
HV_PUBLIC int hv_client_attach_fd (int fd, const char *token, const struct hv_client_options *, struct hv_err *);

/* --- on a loop of the program's own -------------------------------------------------------------------------- */

#define HV_CLIENT_READ  1u
#define HV_CLIENT_WRITE 2u

HV_PUBLIC int hv_client_fd (const struct hv_client *); /* non-blocking; the client's: do not close it */
HV_PUBLIC uint32_t
hv_client_wants (const struct hv_client *); /* HV_CLIENT_READ | HV_CLIENT_WRITE; changes with every function here */
HV_PUBLIC int hv_client_timeout_ms (const struct hv_client *); /* run hv_client_process after this long even if idle; -1: no need */

/* Sends and receives what is possible without waiting, and runs callbacks. 0, or UNAVAILABLE once the connection is lost:
 * by then every pending call has had its `done`. */
HV_PUBLIC int hv_client_process (struct hv_client *, struct hv_err *);

/* Waits until something can be done, at most timeout_ms (-1: for ever), and does it. A signal ends the wait early. For programs
 * without a loop that wait for events. */
HV_PUBLIC int hv_client_wait (struct hv_client *, int timeout_ms, struct hv_err *);

#ifdef __cplusplus
}
#endif
#endif
