/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin ABI, version 1.0. This header, the others of this directory and nothing else is the ABI.
 *
 * A plugin is a shared object with one exported function that returns a constant table (HV_PLUGIN_REGISTER). The core
 * reads the table, checks the manifest's "config" against its field table, and calls start() once per instance. From
 * then on everything about an instance (start, handlers, timers, watches, events, stop) runs on one thread, one piece
 * at a time; a plugin needs no locks.
 *
 * Handlers are coroutines: hv_call, hv_sleep, hv_wait_fd, hv_cond_wait and hv_offload look blocking and let other
 * handlers of the same instance run meanwhile. Functions marked [coro] may be used only there (start() included, stop()
 * not); the others anywhere on the instance's thread, those marked [any thread] anywhere. A handler flagged HV_FAST, a
 * timer and a watch run without a coroutine and may not use [coro] functions; hv_go() starts a coroutine from there.
 *
 * Changes (append only; a struct's `struct_size` says what it has):
 *   1.0  2026-11  first version
 */
#ifndef HVKIT_PLUGIN_H
#define HVKIT_PLUGIN_H
#include <hvkit/clean.h>
#include <hvkit/err.h>
#include <hvkit/field.h>
#include <hvkit/msg.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_ABI_MAJOR 1
#define HV_ABI_MINOR 0

struct hv_call; /* one call being handled; opaque */
struct hv_host;

/* --- methods ------------------------------------------------------------------------------------------------- */

/* Who may call. There is no default: HV_METHOD does not compile without it, and the core refuses a table that lacks it. */
#define HV_VIEWER   1u
#define HV_OPERATOR 2u
#define HV_ADMIN    3u

#define HV_FAST     1u /* answered in place, without a coroutine; may not yield, must return in microseconds */
#define HV_READ     2u /* has no side effect: takes no lane; past its deadline it is DEADLINE_EXCEEDED, not UNKNOWN */
#define HV_HIDDEN   4u /* not shown as a command */
#define HV_MUST     8u /* iface tables: a provider has to have this verb */
#define HV_PROGRESS 16u /* reports progress */

/* Lanes: one call at a time per key value within a lane; HV_LANE_DESTROY pre-empts (cancels) the HV_LANE_MUTATE holder. */
#define HV_LANE_NONE    0u
#define HV_LANE_MUTATE  1u
#define HV_LANE_DESTROY 2u
#define HV_LANE_AGENT   3u

#define HV_CLI_TEXT     2u /* its byte stream (HV_STREAM_TOKEN) is text to be read: on a terminal, without what would act on it */
#define HV_CLI_TERMINAL 1u /* its byte stream (HV_STREAM_TOKEN) is for a person's terminal: a console, a shell */

/* How a method appears on the command line beyond `hvkit INSTANCE VERB --field value`. */
struct hv_cli {
  uint32_t struct_size, flags; /* HV_CLI_* */
  const char *words;      /* "get vmi": also reachable as `hvkit get vmi`; several, separated by '|' */
  const char *positional; /* fields given by position, in order, separated by spaces; a trailing '?' is optional: "name?" */
  const char *columns;    /* table for people: "NAME=name PHASE=status.phase AGE=created_at:age"; of the list field if there is one */
  const char *wide;       /* further columns of -o wide */
  const char *list;       /* result field that holds the rows; NULL: the result is one row */
  const char *done;       /* line printed after success: "{kind}/{name} {verb}"; result and argument fields in braces */
  const char *watch;      /* event topic whose arrival redraws the table for -w */
  const char *shorts;     /* one-letter options: "f=manifest n=namespace" */
};

struct hv_method {
  uint32_t struct_size, flags;
  const char *verb;
  /* Returns 0 and fills `result`, or a negative HV_E_* and fills `err`. `args` is decoded and checked; both structs
   * belong to the core and live until the handler returns. NULL in an interface's table. */
  int (*handler) (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err);
  const struct hv_record *args, *result; /* NULL: none */
  uint32_t access, lane;
  const char *key;     /* field of args that names the lane's key; NULL: the whole instance is one key */
  uint32_t timeout_ms; /* default deadline; 0: 5 s for reads, 30 s else */
  uint32_t reserved;
  const struct hv_cli *cli;
  const char *doc, *since;
  const struct hv_method *base; /* an interface's verb: whatever is NULL or 0 here is taken from there */
};

#define HV_METHOD(verb_, access_, handler_, args_, result_, ...) \
  &(const struct hv_method){ .struct_size = sizeof (struct hv_method), \
                             .verb = (verb_), \
                             .access = HV_ACCESS_CHECKED_ (access_), \
                             .handler = (handler_), \
                             .args = (args_), \
                             .result = (result_), \
                             .doc = __VA_ARGS__ }
#define HV_ACCESS_CHECKED_(a) ((uint32_t) ((a) + 0 * sizeof (char[(a) >= 1 && (a) <= 3 ? 1 : -1])))

/* A provider's implementation of an interface's verb: HV_IMPLEMENT (hv_hypervisor_start, qmp_start). */
#define HV_IMPLEMENT(base_, handler_) \
  &(const struct hv_method){ .struct_size = sizeof (struct hv_method), .handler = (handler_), .base = &(base_) }

/* --- events and interfaces ----------------------------------------------------------------------------------- */

struct hv_event {
  uint32_t struct_size, flags;
  const char *name; /* topic is "<instance>.<name>" */
  const struct hv_record *data;
  const char *doc, *since;
};
#define HV_EVENT(name_, data_, ...) \
  &(const struct hv_event){ .struct_size = sizeof (struct hv_event), .name = (name_), .data = (data_), .doc = __VA_ARGS__ }

/* A contract: the verbs (those flagged HV_MUST are required) and events that every provider has in the same form. */
struct hv_iface {
  uint32_t struct_size, major;
  const char *name, *doc;
  const struct hv_method *const *verbs;
  const struct hv_event *const *events;
};

/* --- the host: core → plugin --------------------------------------------------------------------------------- */

#define HV_LOG_ERROR   3
#define HV_LOG_WARNING 4
#define HV_LOG_NOTICE  5
#define HV_LOG_INFO    6
#define HV_LOG_DEBUG   7

#define HV_WAIT_READ  1u
#define HV_WAIT_WRITE 2u

#define HV_OFFLOAD_RESERVED 1u /* may use the pool's reserved thread: for destroy paths */

struct hv_timer; /* opaque */
struct hv_watch;
struct hv_cond;
struct hv_subscription;
struct hv_stream;

typedef void hv_coro_fn (void *self, void *arg);
typedef void hv_timer_fn (void *self, void *arg);
typedef void hv_watch_fn (void *self, void *arg, uint32_t ready); /* ready: HV_WAIT_* */

/* An event as delivered to a subscriber. Borrowed until the callback returns. */
struct hv_event_info {
  uint32_t struct_size, reserved;
  uint64_t epoch, seq;
  int64_t time_ms; /* wall clock, milliseconds since 1970 */
  const char *topic;
  struct hv_bin data;
};
typedef void hv_event_fn (void *self, void *arg, const struct hv_event_info *);

/* A byte stream (a console, a display) has ended by itself; its handle is gone. Without a coroutine. `code`: 0 when one of the sides closed
 * it, DEADLINE_EXCEEDED when its token was never used, RESOURCE_EXHAUSTED when the core was out of memory. */
typedef void hv_stream_fn (void *self, void *arg, int32_t code);
struct hv_stream_options {
  uint32_t struct_size, reserved;
  const char *what;    /* for the log: "console of 'a'"; copied; NULL: "a stream" */
  hv_stream_fn *ended; /* NULL: it is not told. Not called after stream_close, nor when the instance stops, which closes its streams */
  void *arg;           /* of `ended` */
};

struct hv_call_options {
  uint32_t struct_size;
  uint32_t timeout_ms; /* 0: the method's default, never more than what is left of the caller's own deadline */
  const char *idempotency_key;
  struct hv_call *progress_of; /* who waits for this call is told what the other reports; NULL: nobody is */
  uint64_t max_age_ms;         /* of a read: its answer may be what was known this long ago; 0: live */
};

/* A child process. It is started with: its own session, no descriptor but those listed, the default signal mask,
 * no_new_privs, OOM score 0, core dumps off. It goes on when the daemon ends, unless it is to end with it. */
#define HV_SPAWN_ENDS_WITH_US 1u /* killed when the daemon ends, however that happens: for what is of use to nobody else */
struct hv_spawn {
  uint32_t struct_size, flags; /* HV_SPAWN_* */
  const char *const *argv; /* argv[0] is an absolute path; NULL-terminated */
  const char *const *env;  /* NULL: only PATH and LANG=C */
  const char *cwd;         /* NULL: / */
  const int32_t *fds;      /* descriptors the child gets as 3, 4, … */
  uint32_t fd_count;
  int32_t stdin_fd, stdout_fd, stderr_fd; /* -1: /dev/null */
  uint32_t uid, gid;                      /* 0: stay; supplementary groups are dropped when set */
  uint64_t limit_as_bytes, limit_cpu_s, limit_fsize_bytes; /* 0: none */
};

struct hv_host_info {
  uint32_t struct_size, reserved;
  const char *instance;  /* "qmp" */
  const char *state_dir; /* durable, this instance's own, mode 0700 */
  const char *run_dir;   /* gone after a reboot, this instance's own, mode 0711 */
  const char *boot_id;   /* of the running kernel */
  const char *version;   /* of the core */
};

/* Only ever appended to. */
struct hv_host_api {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor;

  struct hv_err *(*err_new) (void);                                                                   /* [any thread] */
  void (*logv) (struct hv_host *, int32_t level, const char *fmt, va_list) HV_PRINTF (3, 0);           /* [any thread] */
  const struct hv_host_info *(*info) (struct hv_host *);                                              /* [any thread] lives with the instance */
  uint64_t (*now_ms) (void);                                                                          /* [any thread] monotonic */

  /* memory of the current call, coroutine, or callback; zeroed; freed when it ends. NULL when there is none left. */
  void *(*alloc) (struct hv_host *, uint64_t size);
  uint64_t (*scope_mark) (struct hv_host *);
  void (*scope_release) (struct hv_host *, uint64_t mark);

  /* coroutines */
  int (*go) (struct hv_host *, const char *name, hv_coro_fn *, void *arg); /* runs soon, in a coroutine of its own */
  int (*sleep) (struct hv_host *, uint64_t ms, struct hv_err *);                                                /* [coro] */
  int (*wait_fd) (struct hv_host *, int32_t fd, uint32_t wait, uint64_t timeout_ms, uint32_t *ret_ready, struct hv_err *); /* [coro] */
  int (*offload) (struct hv_host *, int (*fn) (void *arg), void *arg, uint32_t flags, struct hv_err *); /* [coro] returns what fn (arg), run on a pool thread, returned; waits for its end even if cancelled */
  struct hv_cond *(*cond_new) (struct hv_host *);
  int (*cond_wait) (struct hv_host *, struct hv_cond *, uint64_t timeout_ms, struct hv_err *); /* [coro] 0, DEADLINE_EXCEEDED, CANCELLED */
  void (*cond_wake) (struct hv_host *, struct hv_cond *);                                      /* wakes all who wait */
  void (*cond_free) (struct hv_host *, struct hv_cond *);

  /* timers and descriptors, without a coroutine */
  struct hv_timer *(*timer_new) (struct hv_host *, hv_timer_fn *, void *arg);
  void (*timer_set) (struct hv_host *, struct hv_timer *, uint64_t after_ms, uint64_t repeat_ms); /* 0, 0 stops it */
  void (*timer_free) (struct hv_host *, struct hv_timer *);
  struct hv_watch *(*watch_new) (struct hv_host *, int32_t fd, uint32_t wait, hv_watch_fn *, void *arg);
  void (*watch_set) (struct hv_host *, struct hv_watch *, uint32_t wait); /* 0 pauses it */
  void (*watch_free) (struct hv_host *, struct hv_watch *);               /* before the fd is closed */

  /* processes */
  int (*spawn) (struct hv_host *, const struct hv_spawn *, int32_t *ret_pid, int32_t *ret_pidfd, struct hv_err *);

  /* the bus */
  int (*call) (struct hv_host *, const char *method, const struct hv_record *args_record, const void *args,
               const struct hv_record *result_record, void *result, const struct hv_call_options *, struct hv_err *); /* [coro] */
  int (*publish) (struct hv_host *, const char *event, const void *data, struct hv_err *); /* data: the struct of the event's record */
  struct hv_subscription *(*subscribe) (struct hv_host *, const char *topic_glob, hv_event_fn *, void *arg); /* callback in a coroutine */
  void (*unsubscribe) (struct hv_host *, struct hv_subscription *);
  void (*cursor) (struct hv_host *, uint64_t *ret_epoch, uint64_t *ret_seq); /* of the newest event */

  /* about the call being handled */
  int (*cancelled) (struct hv_call *);
  uint32_t (*caller_uid) (struct hv_call *);
  uint64_t (*deadline_left_ms) (struct hv_call *);
  void (*progress) (struct hv_call *, const char *phase, uint64_t done, uint64_t total, const char *unit);

  /* durable documents of this instance; a key is [A-Za-z0-9._-]{1,200}. They return when the disk has it. */
  int (*store_put) (struct hv_host *, const char *key, const struct hv_record *, const void *doc, struct hv_err *);       /* [coro] */
  int (*store_get) (struct hv_host *, const char *key, const struct hv_record *, void *doc, struct hv_err *);            /* [coro] NOT_FOUND, DATA_LOSS */
  int (*store_delete) (struct hv_host *, const char *key, struct hv_err *);                                              /* [coro] absent is success */
  int (*store_list) (struct hv_host *, struct hv_strs *ret_keys, struct hv_err *);                                       /* [coro] */

  /* records ⇄ msgpack */
  int (*decode) (struct hv_host *, const struct hv_record *, struct hv_bin, uint32_t flags, void *out, struct hv_err *);
  int (*encode) (struct hv_host *, const struct hv_record *, const void *in, struct hv_bin *ret, struct hv_err *);

  uint64_t (*max_age_ms) (struct hv_call *); /* about the call being handled: a read may be answered from what was known this long ago; 0: live */

  void (*step) (struct hv_host *, const char *name); /* [any thread] a durable step of this plugin is reached: tests die here */

  /* Byte streams. The core takes over `fd`, a connected stream socket (also on failure), and keeps it for the user who made `call`: the token
   * goes into the result (a field flagged HV_STREAM_TOKEN), bus.attach uses it up on a second connection, and from then on that connection and
   * the socket are joined. A token that is not used within 30 s closes the socket. *ret_token lives as long as the call. Options and `ret` (the
   * handle, for stream_close) may be NULL; the handle is gone once `ended` was called. Not after stop(). */
  int (*stream_open) (struct hv_host *, struct hv_call *call, int32_t fd, const struct hv_stream_options *, struct hv_stream **ret,
                      const char **ret_token, struct hv_err *);
  void (*stream_close) (struct hv_host *, struct hv_stream *); /* at once; `ended` is not called; NULL is fine */
};
#define HV_DECODE_OPEN 1u /* unknown keys are ignored instead of refused */

/* The handle a plugin gets at start(); what follows the first member is the core's. */
struct hv_host {
  const struct hv_host_api *api;
};
struct hv_call_head {
  const struct hv_host_api *api;
};

/* Whether the core that loaded us has a member: if (hv_host_has (host, store_list)) … */
#define hv_host_has(h, member) \
  ((h)->api->struct_size >= offsetof (struct hv_host_api, member) + sizeof ((h)->api->member))

/* --- the plugin: plugin → core ------------------------------------------------------------------------------- */

struct hv_plugin {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor;
  const char *name, *version, *summary, *license;
  const struct hv_iface *const *provides; /* NULL-terminated, or NULL */
  const struct hv_iface *const *needs;    /* needed to start; orders the start */
  const struct hv_record *config;         /* NULL: takes no config */
  const struct hv_method *const *methods;
  const struct hv_event *const *events; /* besides those of the interfaces it provides */
  int (*start) (struct hv_host *, const void *config, void **ret_self, struct hv_err *); /* [coro]; config lives as long as the instance */
  void (*stop) (void *self); /* accepts half-built self and NULL; no calls are running any more */
};

#define HV_PLUGIN_HEAD .struct_size = sizeof (struct hv_plugin), .abi_major = HV_ABI_MAJOR, .abi_minor = HV_ABI_MINOR

#define HV_PLUGIN_REGISTER(p) \
  HV_PUBLIC const struct hv_plugin *hv_plugin_entry_v1 (void); \
  HV_PUBLIC const struct hv_plugin *hv_plugin_entry_v1 (void) \
  { \
    return &(p); \
  }

/* --- the same, shorter to write ------------------------------------------------------------------------------ */

HV_PRINTF (3, 4)
static inline void
hv_log (struct hv_host *h, int32_t level, const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  h->api->logv (h, level, fmt, ap);
  va_end (ap);
}

static inline struct hv_err *
hv_err_new (struct hv_host *h)
{
  return h->api->err_new ();
}

static inline void *
hv_alloc (struct hv_host *h, uint64_t size)
{
  return h->api->alloc (h, size);
}
/* Copies of text in the memory of the current call. NULL when out of memory. In libhvkit-plugin. */
char *hv_strdup (struct hv_host *, const char *);
HV_PRINTF (2, 3) char *hv_printf (struct hv_host *, const char *fmt, ...);

static inline int
hv_go (struct hv_host *h, const char *name, hv_coro_fn *fn, void *arg)
{
  return h->api->go (h, name, fn, arg);
}

static inline int
hv_sleep (struct hv_host *h, uint64_t ms, struct hv_err *e)
{
  return h->api->sleep (h, ms, e);
}

/* Runs fn (arg) on the instance's worker pool. Always waits for fn to end, cancelled or not, so arg may be on the stack. */
static inline int
hv_offload (struct hv_host *h, int (*fn) (void *), void *arg, struct hv_err *e)
{
  return h->api->offload (h, fn, arg, 0, e);
}

/* hv_call_method (host, "disk-qcow2.overlay", hv_disk_overlay_args, &args, hv_disk_info, &info, err) */
#define hv_call_method(h, method, args_rec, args, result_rec, result, err) \
  ((h)->api->call ((h), (method), &args_rec##_record, (args), &result_rec##_record, (result), NULL, (err)))

/* The same on behalf of a call that is being handled: its caller sees the progress of the other. */
#define hv_call_method_for(h, call_, method, args_rec, args, result_rec, result, err) \
  ((h)->api->call ((h), (method), &args_rec##_record, (args), &result_rec##_record, (result), \
                   &(const struct hv_call_options){ .struct_size = sizeof (struct hv_call_options), .progress_of = (call_) }, (err)))

/* Marks a durable step, before and after: "start.record", "start.recorded". A test can end the daemon at each of them and look
 * whether the next one repairs what is left. Costs nothing otherwise. */
static inline void
hv_step (struct hv_host *h, const char *name)
{
  if (hv_host_has (h, step))
    h->api->step (h, name);
}

static inline int
hv_publish (struct hv_host *h, const char *event, const void *data, struct hv_err *e)
{
  return h->api->publish (h, event, data, e);
}

static inline int
hv_cancelled (struct hv_call *c)
{
  return ((struct hv_call_head *) (void *) c)->api->cancelled (c);
}

static inline void
hv_progress (struct hv_call *c, const char *phase, uint64_t done, uint64_t total, const char *unit)
{
  ((struct hv_call_head *) (void *) c)->api->progress (c, phase, done, total, unit);
}

static inline uint32_t
hv_caller_uid (struct hv_call *c)
{
  return ((struct hv_call_head *) (void *) c)->api->caller_uid (c);
}

#ifdef __cplusplus
}
#endif
#endif
