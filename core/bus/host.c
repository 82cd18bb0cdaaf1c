/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host vtable: what a plugin may ask of the core (see <hvkit/plugin.h> for each function's promise). Everything that is
 * registered here is on a list of its instance, so that nothing outlives it. */
#include "core/bus/private.h"
#include "core/err/err.h"
#include "core/fault/fault.h"
#include "core/limits.h"
#include "core/log/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct hv_instance *
instance_of (struct hv_host *h)
{
  return (struct hv_instance *) (void *) h;
}

HV_PRINTF (3, 0)
static void
host_logv (struct hv_host *h, int32_t level, const char *fmt, va_list ap)
{
  hv_log_linev (instance_of (h)->name, level, fmt, ap);
}

static const struct hv_host_info *
host_info (struct hv_host *h)
{
  return &instance_of (h)->info;
}

/* --- memory --- */

static void *
host_alloc (struct hv_host *h, uint64_t size)
{
  return hv_arena_alloc (hv_instance_arena (instance_of (h)), size);
}

static uint64_t
host_scope_mark (struct hv_host *h)
{
  return hv_arena_mark (hv_instance_arena (instance_of (h)));
}

static void
host_scope_release (struct hv_host *h, uint64_t mark)
{
  hv_arena_release (hv_instance_arena (instance_of (h)), mark);
}

/* --- coroutines --- */

/* The functions that yield need a coroutine of this very instance; without one it is the plugin's mistake, said loudly. */
static struct hv_fiber *
fiber_of (struct hv_instance *i, const char *what, struct hv_err *err)
{
  struct hv_fiber *f = hv_fiber_self ();
  if (f != NULL && f->instance == i)
    return f;
  hv_log_line (i->name, HV_LOG_ERROR, "%s was called outside a coroutine; use hv_go", what);
  (void) hv_err_set (err, HV_E_INTERNAL, "%s outside a coroutine", what);
  return NULL;
}

static int
host_go (struct hv_host *h, const char *name, hv_coro_fn *fn, void *arg)
{
  return hv_fiber_start (instance_of (h), name, NULL, NULL, fn, arg) != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
}

struct sleeper {
  struct hv_deadline deadline;
  struct hv_fiber *fiber;
  uint8_t passed;
};

static void
sleeper_passed (struct hv_deadline *d)
{
  struct sleeper *s = hv_container (d, struct sleeper, deadline);
  s->passed = 1;
  hv_fiber_wake_now (s->fiber);
}

/* Waits until somebody sets *done and wakes us, the time passes, or the fiber is cancelled. */
static int
fiber_wait_until (struct hv_fiber *f, const uint8_t *done, uint64_t timeout_ms, struct hv_err *err)
{
  struct sleeper s = { .deadline = { .fn = sleeper_passed }, .fiber = f };
  int r = hv_loop_deadline_arm (f->instance->loop, &s.deadline, hv_loop_now_ms () + timeout_ms);
  while (r == 0 && !*done && !s.passed)
    r = hv_fiber_wait (1);
  hv_loop_deadline_disarm (f->instance->loop, &s.deadline);
  if (r == HV_E_CANCELLED)
    return hv_err_set (err, r, "cancelled");
  if (r < 0)
    return hv_err_set (err, r, "out of memory");
  return *done ? 0 : HV_E_DEADLINE_EXCEEDED;
}

static int
host_sleep (struct hv_host *h, uint64_t ms, struct hv_err *err)
{
  static const uint8_t never;
  struct hv_fiber *f = fiber_of (instance_of (h), "sleep", err);
  if (f == NULL)
    return HV_E_INTERNAL;
  int r = fiber_wait_until (f, &never, ms, err);
  return r == HV_E_DEADLINE_EXCEEDED ? 0 : r;
}

struct fd_wait {
  struct hv_fiber *fiber;
  uint32_t ready;
  uint8_t done;
};

static void
fd_wait_ready (void *arg, uint32_t ready)
{
  struct fd_wait *w = arg;
  w->ready |= ready;
  w->done = 1;
  hv_fiber_wake_now (w->fiber);
}

static int
host_wait_fd (struct hv_host *h, int32_t fd, uint32_t wait, uint64_t timeout_ms, uint32_t *ret_ready, struct hv_err *err)
{
  struct hv_fiber *f = fiber_of (instance_of (h), "wait_fd", err);
  if (f == NULL)
    return HV_E_INTERNAL;
  struct fd_wait w = { .fiber = f };
  struct hv_loop_watch *watch = hv_loop_watch_new (f->instance->loop, fd, wait, fd_wait_ready, &w);
  if (watch == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "wait for a descriptor: out of memory");
  int r = fiber_wait_until (f, &w.done, timeout_ms, err);
  hv_loop_watch_free (watch);
  if (r == HV_E_DEADLINE_EXCEEDED)
    return hv_err_set (err, r, "not ready within %llu ms", (unsigned long long) timeout_ms);
  if (r == 0 && ret_ready != NULL)
    *ret_ready = w.ready;
  return r;
}

struct offload {
  struct hv_pool_job job;
  struct hv_fiber *fiber;
  int (*fn) (void *);
  void *arg;
  int result;
  uint8_t done;
};

static void
offload_run (struct hv_pool_job *j)
{
  struct offload *o = hv_container (j, struct offload, job);
  o->result = o->fn (o->arg);
}

static void
offload_done (struct hv_task *t)
{
  struct offload *o = hv_container (t, struct offload, job.done);
  o->done = 1;
  hv_fiber_wake_now (o->fiber);
}

static int
host_offload (struct hv_host *h, int (*fn) (void *), void *arg, uint32_t flags, struct hv_err *err)
{
  struct hv_fiber *f = fiber_of (instance_of (h), "offload", err);
  if (f == NULL)
    return HV_E_INTERNAL;
  struct offload o = { .job = { .fn = offload_run, .loop = f->instance->loop, .done.fn = offload_done }, .fiber = f, .fn = fn, .arg = arg };
  hv_pool_submit (f->instance->pool, &o.job, flags);
  while (!o.done)
    (void) hv_fiber_wait (0);
  return o.result;
}

struct hv_cond {
  struct hv_list node; /* instance->conds */
  struct hv_list waiters;
};
struct cond_waiter {
  struct hv_list node;
  struct hv_fiber *fiber;
  uint8_t done;
};

static struct hv_cond *
host_cond_new (struct hv_host *h)
{
  struct hv_cond *c = calloc (1, sizeof *c);
  if (c != NULL) {
    hv_list_init (&c->waiters);
    hv_list_add (&instance_of (h)->conds, &c->node);
  }
  return c;
}

static int
host_cond_wait (struct hv_host *h, struct hv_cond *c, uint64_t timeout_ms, struct hv_err *err)
{
  struct hv_fiber *f = fiber_of (instance_of (h), "cond_wait", err);
  if (f == NULL)
    return HV_E_INTERNAL;
  struct cond_waiter w = { .fiber = f };
  hv_list_add (&c->waiters, &w.node);
  int r = fiber_wait_until (f, &w.done, timeout_ms, err);
  if (!w.done)
    hv_list_remove (&w.node);
  if (r == HV_E_DEADLINE_EXCEEDED)
    return hv_err_set (err, r, "nothing happened within %llu ms", (unsigned long long) timeout_ms);
  return r;
}

static void
host_cond_wake (struct hv_host *h, struct hv_cond *c)
{
  (void) h;
  while (!hv_list_empty (&c->waiters)) {
    struct cond_waiter *w = hv_container (c->waiters.next, struct cond_waiter, node);
    hv_list_remove (&w->node);
    w->done = 1;
    hv_fiber_wake (w->fiber);
  }
}

static void
host_cond_free (struct hv_host *h, struct hv_cond *c)
{
  if (c == NULL)
    return;
  host_cond_wake (h, c);
  hv_list_remove (&c->node);
  free (c);
}

/* --- timers and watches --- */

struct hv_timer {
  struct hv_list node;
  struct hv_instance *instance;
  struct hv_loop_timer *timer;
  hv_timer_fn *fn;
  void *arg;
};

static void
timer_fired (void *arg)
{
  struct hv_timer *t = arg;
  hv_boundary_timer (t->instance, t->fn, t->arg);
}

static struct hv_timer *
host_timer_new (struct hv_host *h, hv_timer_fn *fn, void *arg)
{
  struct hv_timer *t = calloc (1, sizeof *t);
  if (t == NULL)
    return NULL;
  *t = (struct hv_timer){ .instance = instance_of (h), .fn = fn, .arg = arg };
  t->timer = hv_loop_timer_new (t->instance->loop, timer_fired, t);
  if (t->timer == NULL) {
    free (t);
    return NULL;
  }
  hv_list_add (&t->instance->timers, &t->node);
  return t;
}

static void
host_timer_set (struct hv_host *h, struct hv_timer *t, uint64_t after_ms, uint64_t repeat_ms)
{
  (void) h;
  hv_loop_timer_set (t->timer, after_ms, repeat_ms);
}

static void
host_timer_free (struct hv_host *h, struct hv_timer *t)
{
  (void) h;
  if (t == NULL)
    return;
  hv_loop_timer_free (t->timer);
  hv_list_remove (&t->node);
  free (t);
}

struct hv_watch {
  struct hv_list node;
  struct hv_instance *instance;
  struct hv_loop_watch *watch;
  hv_watch_fn *fn;
  void *arg;
};

static void
watch_ready (void *arg, uint32_t ready)
{
  struct hv_watch *w = arg;
  hv_boundary_watch (w->instance, w->fn, w->arg, ready);
}

static struct hv_watch *
host_watch_new (struct hv_host *h, int32_t fd, uint32_t wait, hv_watch_fn *fn, void *arg)
{
  struct hv_watch *w = calloc (1, sizeof *w);
  if (w == NULL)
    return NULL;
  *w = (struct hv_watch){ .instance = instance_of (h), .fn = fn, .arg = arg };
  w->watch = hv_loop_watch_new (w->instance->loop, fd, wait, watch_ready, w);
  if (w->watch == NULL) {
    free (w);
    return NULL;
  }
  hv_list_add (&w->instance->watches, &w->node);
  return w;
}

static void
host_watch_set (struct hv_host *h, struct hv_watch *w, uint32_t wait)
{
  (void) h;
  hv_loop_watch_set (w->watch, wait);
}

static void
host_watch_free (struct hv_host *h, struct hv_watch *w)
{
  (void) h;
  if (w == NULL)
    return;
  hv_loop_watch_free (w->watch);
  hv_list_remove (&w->node);
  free (w);
}

static int
host_spawn (struct hv_host *h, const struct hv_spawn *how, int32_t *ret_pid, int32_t *ret_pidfd, struct hv_err *err)
{
  (void) h;
  return hv_spawn_process (how, ret_pid, ret_pidfd, err);
}

/* --- calls of other plugins --- */

struct outgoing {
  struct hv_fiber *fiber;
  int code;
  struct hv_msg *result;
  struct hv_err *err;
  uint8_t done;
};

static void
outgoing_done (struct hv_call *c, void *arg)
{
  struct outgoing *o = arg;
  o->code = hv_call_code (c);
  if (o->code < 0 && o->err != NULL && hv_call_error (c) != NULL)
    hv_err_api_of (o->err)->move (o->err, hv_call_error (c));
  else if (o->code < 0)
    (void) hv_err_set (o->err, o->code, "the call failed");
  if (hv_call_result (c) != NULL)
    o->result = hv_msg_ref (hv_call_result (c));
  o->done = 1;
  hv_fiber_wake_now (o->fiber);
}

static int
outgoing_encode (const struct hv_record *rec, const void *args, struct hv_pack *p, struct hv_err *err)
{
  if (args == NULL) {
    hv_pack_map (p, 0);
    return 0;
  }
  if (rec != NULL)
    return hv_record_encode (rec, args, p, err);
  const struct hv_bin *raw = args;
  hv_pack_raw (p, raw->data, raw->size);
  return p->failed ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "arguments: out of memory") : 0;
}

/* The bytes are copied into the fiber's memory: decoded BIN and ANY values point into them. */
static int
outgoing_decode (struct hv_fiber *f, struct hv_msg *msg, const struct hv_record *rec, void *result, struct hv_err *err)
{
  static const uint8_t empty = 0x80;
  struct hv_bin b = msg != NULL ? hv_msg_bytes (msg) : (struct hv_bin){ &empty, 1 };
  if (result == NULL)
    return 0;
  uint8_t *copy = hv_arena_alloc (&f->arena, b.size);
  if (copy == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "result: out of memory");
  memcpy (copy, b.data, b.size);
  b.data = copy;
  if (rec == NULL) {
    *(struct hv_bin *) result = b;
    return 0;
  }
  memset (result, 0, rec->c_size);
  struct hv_decode how = { .arena = &f->arena, .flags = HV_DECODE_OPEN };
  return hv_record_decode (rec, b, &how, result, err);
}

static uint64_t
outgoing_deadline (const struct hv_fiber *f, const struct hv_call_options *o)
{
  uint64_t at = o != NULL && o->timeout_ms > 0 ? hv_loop_now_ms () + o->timeout_ms : 0;
  if (f->deadline_ms != 0 && (at == 0 || at > f->deadline_ms))
    at = f->deadline_ms;
  return at;
}

static int
outgoing_send (struct hv_fiber *f, struct hv_route *route, struct hv_pack *args, const struct hv_call_options *opts, struct outgoing *o,
               struct hv_err *err)
{
  struct hv_instance *i = f->instance;
  struct hv_call_request req = { .loop = i->loop, .done = outgoing_done, .arg = o, .role = i->role };
  req.depth = f->call != NULL ? f->call->request.depth + 1 : 1;
  req.uid = f->call != NULL ? f->call->request.uid : (uint32_t) getuid ();
  req.deadline_ms = outgoing_deadline (f, opts);
  req.args_msg = hv_msg_from_pack (args);
  int r = req.depth > HV_LIMIT_CALL_DEPTH ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: calls are nested deeper than %u", route->name, HV_LIMIT_CALL_DEPTH)
                                          : hv_call_check_access (route, i->role, err);
  struct hv_call *c = NULL;
  if (r == 0)
    c = hv_call_send (route, &req);
  else
    hv_instance_unref (route->instance);
  hv_msg_unref (req.args_msg);
  if (r == 0 && c == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "call: out of memory");
  if (r < 0)
    return r;
  while (!o->done) {
    if (hv_fiber_wait (!f->cancelled) == HV_E_CANCELLED && !o->done)
      hv_call_cancel (c); /* and wait for its answer: a mutation under way is not left behind */
  }
  return 0;
}

static int
host_call (struct hv_host *h, const char *method, const struct hv_record *args_rec, const void *args, const struct hv_record *result_rec,
           void *result, const struct hv_call_options *opts, struct hv_err *err)
{
  struct hv_instance *i = instance_of (h);
  struct hv_fiber *f = fiber_of (i, "call", err);
  struct hv_pack p = { 0 };
  struct hv_route *route = NULL;
  if (f == NULL)
    return HV_E_INTERNAL;
  int r = outgoing_encode (args_rec, args, &p, err);
  if (r == 0)
    r = hv_bus_route (i->bus, method, strlen (method), &route, err);
  struct outgoing o = { .fiber = f, .err = err };
  if (r == 0)
    r = outgoing_send (f, route, &p, opts, &o, err);
  hv_pack_clear (&p);
  if (r == 0)
    r = o.code;
  if (r == 0)
    r = outgoing_decode (f, o.result, result_rec, result, err);
  hv_msg_unref (o.result);
  return r;
}

/* --- events --- */

static const struct hv_event *
event_find (const struct hv_instance *i, const char *name)
{
  for (const struct hv_event *const *e = i->events; e != NULL && *e != NULL; e++)
    if (strcmp ((*e)->name, name) == 0)
      return *e;
  return NULL;
}

static int
host_publish (struct hv_host *h, const char *event, const void *data, struct hv_err *err)
{
  struct hv_instance *i = instance_of (h);
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
  free (s->globs[0]);
  free (s);
}

static struct hv_subscription *
host_subscribe (struct hv_host *h, const char *glob, hv_event_fn *fn, void *arg)
{
  struct hv_instance *i = instance_of (h);
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
  hv_events_head (i->bus, &epoch, &seq);
  s->cursor.next = seq + 1;
  s->cursor.prev = seq;
  hv_list_add (&i->subscriptions, &s->node);
  return s;
}

static void
host_unsubscribe (struct hv_host *h, struct hv_subscription *s)
{
  (void) h;
  if (s == NULL)
    return;
  s->dead = 1;
  if (!s->running)
    subscription_free (s);
}

static void
host_cursor (struct hv_host *h, uint64_t *ret_epoch, uint64_t *ret_seq)
{
  hv_events_head (instance_of (h)->bus, ret_epoch, ret_seq);
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
  hv_log_line (f->instance->name, HV_LOG_WARNING, "fell behind the event log (topic '%s'); it is told to read the state anew", s->globs[0]);
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

/* --- about the call --- */

static int
host_cancelled (struct hv_call *c)
{
  return atomic_load (&c->cancelled) || (c->fiber != NULL && c->fiber->cancelled);
}

static uint32_t
host_caller_uid (struct hv_call *c)
{
  return c->request.uid;
}

static uint64_t
host_deadline_left_ms (struct hv_call *c)
{
  uint64_t now = hv_loop_now_ms ();
  return c->request.deadline_ms > now ? c->request.deadline_ms - now : 0;
}

static uint64_t
host_max_age_ms (struct hv_call *c)
{
  return c->request.max_age_ms;
}

struct progress {
  struct hv_task task;
  struct hv_call *call;
  uint64_t done, total;
  char phase[64], unit[16];
};

static void
progress_deliver (struct hv_task *t)
{
  struct progress *p = hv_container (t, struct progress, task);
  if (!p->call->answered && p->call->request.progress != NULL)
    p->call->request.progress (p->call->request.arg, p->phase, p->done, p->total, p->unit);
  hv_call_unref (p->call);
  free (p);
}

/* At most ten a second and the last one: a loop that reports every block costs the bus nothing. */
static void
host_progress (struct hv_call *c, const char *phase, uint64_t done, uint64_t total, const char *unit)
{
  uint64_t now = hv_loop_now_ms ();
  if (!(c->request.flags & HV_CALL_PROGRESS) || (now < c->progress_ms + 100 && done != total))
    return;
  struct progress *p = calloc (1, sizeof *p);
  if (p == NULL)
    return;
  c->progress_ms = now;
  hv_call_ref (c);
  p->task.fn = progress_deliver;
  p->call = c;
  p->done = done;
  p->total = total;
  (void) snprintf (p->phase, sizeof p->phase, "%s", phase != NULL ? phase : "");
  (void) snprintf (p->unit, sizeof p->unit, "%s", unit != NULL ? unit : "");
  hv_loop_post (c->request.loop, &p->task);
}

/* --- documents --- */

struct store_job {
  struct hv_store *store;
  const char *key;
  struct hv_bin doc;
  struct hv_pack *got;
  struct hv_strs *keys;
  struct hv_err *err;
};

static int
store_put_job (void *arg)
{
  struct store_job *j = arg;
  return hv_store_put (j->store, j->key, j->doc, j->err);
}

static int
store_get_job (void *arg)
{
  struct store_job *j = arg;
  return hv_store_get (j->store, j->key, j->got, j->err);
}

static int
store_delete_job (void *arg)
{
  struct store_job *j = arg;
  return hv_store_delete (j->store, j->key, j->err);
}

static int
store_list_job (void *arg)
{
  struct store_job *j = arg;
  return hv_store_list (j->store, j->keys, j->err);
}

static int
host_store_put (struct hv_host *h, const char *key, const struct hv_record *rec, const void *doc, struct hv_err *err)
{
  struct hv_pack p = { 0 };
  int r = hv_record_encode (rec, doc, &p, err);
  struct store_job j = { .store = instance_of (h)->store, .key = key, .doc = { p.data, p.size }, .err = err };
  if (r == 0)
    r = host_offload (h, store_put_job, &j, 0, err);
  hv_pack_clear (&p);
  return r < 0 ? hv_err_wrap (err, r, "store '%s'", key) : 0;
}

static int
host_store_get (struct hv_host *h, const char *key, const struct hv_record *rec, void *doc, struct hv_err *err)
{
  struct hv_pack p = { 0 };
  struct store_job j = { .store = instance_of (h)->store, .key = key, .got = &p, .err = err };
  int r = host_offload (h, store_get_job, &j, 0, err);
  struct hv_bin b = { NULL, p.size };
  uint8_t *copy = r == 0 ? host_alloc (h, p.size) : NULL;
  if (r == 0 && copy == NULL)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r == 0) {
    memcpy (copy, p.data, p.size);
    b.data = copy;
    r = hv_fence_check (b, HV_LIMIT_RECORD_BYTES, err);
  }
  hv_pack_clear (&p);
  if (r == 0) {
    struct hv_decode how = { .arena = hv_instance_arena (instance_of (h)), .flags = HV_DECODE_OPEN };
    memset (doc, 0, rec->c_size);
    r = hv_record_decode (rec, b, &how, doc, err);
    if (r < 0)
      r = hv_err_wrap (err, HV_E_DATA_LOSS, "not a valid record");
  }
  return r < 0 ? hv_err_wrap (err, r, "read '%s'", key) : 0;
}

static int
host_store_delete (struct hv_host *h, const char *key, struct hv_err *err)
{
  struct store_job j = { .store = instance_of (h)->store, .key = key, .err = err };
  int r = host_offload (h, store_delete_job, &j, 0, err);
  return r < 0 ? hv_err_wrap (err, r, "delete '%s'", key) : 0;
}

static int
host_store_list (struct hv_host *h, struct hv_strs *ret, struct hv_err *err)
{
  struct hv_strs keys = { NULL, 0 };
  struct store_job j = { .store = instance_of (h)->store, .keys = &keys, .err = err };
  int r = host_offload (h, store_list_job, &j, 0, err);
  if (r < 0)
    return r;
  const char **items = host_alloc (h, (keys.count + 1) * sizeof *items);
  for (uint32_t k = 0; items != NULL && k < keys.count; k++) {
    uint64_t n = strlen (keys.items[k]) + 1;
    char *copy = host_alloc (h, n);
    if (copy != NULL)
      memcpy (copy, keys.items[k], n);
    items[k] = copy;
  }
  *ret = (struct hv_strs){ items, items != NULL ? keys.count : 0 };
  free ((void *) (uintptr_t) keys.items);
  return items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "list of documents: out of memory");
}

/* --- records --- */

static int
host_decode (struct hv_host *h, const struct hv_record *rec, struct hv_bin b, uint32_t flags, void *out, struct hv_err *err)
{
  struct hv_decode how = { .arena = hv_instance_arena (instance_of (h)), .flags = flags };
  int r = hv_fence_check (b, HV_LIMIT_ANSWER_BYTES, err);
  return r < 0 ? r : hv_record_decode (rec, b, &how, out, err);
}

static int
host_encode (struct hv_host *h, const struct hv_record *rec, const void *in, struct hv_bin *ret, struct hv_err *err)
{
  struct hv_pack p = { 0 };
  int r = hv_record_encode (rec, in, &p, err);
  uint8_t *copy = r == 0 ? host_alloc (h, p.size) : NULL;
  if (r == 0 && copy == NULL)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r == 0) {
    memcpy (copy, p.data, p.size);
    *ret = (struct hv_bin){ copy, p.size };
  }
  hv_pack_clear (&p);
  return r;
}

static void
host_step (struct hv_host *h, const char *name)
{
  hv_fault_step (instance_of (h)->name, name);
}

void
hv_instance_release_all (struct hv_instance *i)
{
  while (!hv_list_empty (&i->timers))
    host_timer_free (&i->host, hv_container (i->timers.next, struct hv_timer, node));
  while (!hv_list_empty (&i->watches))
    host_watch_free (&i->host, hv_container (i->watches.next, struct hv_watch, node));
  while (!hv_list_empty (&i->subscriptions))
    subscription_free (hv_container (i->subscriptions.next, struct hv_subscription, node));
  while (!hv_list_empty (&i->streams))
    hv_host_stream_close (&i->host, hv_container (i->streams.next, struct hv_stream, node));
  while (!hv_list_empty (&i->conds))
    host_cond_free (&i->host, hv_container (i->conds.next, struct hv_cond, node));
}

const struct hv_host_api hv_host_api_table = {
  .struct_size = sizeof (struct hv_host_api),
  .abi_major = HV_ABI_MAJOR,
  .abi_minor = HV_ABI_MINOR,
  .err_new = hv_error_new,
  .logv = host_logv,
  .info = host_info,
  .now_ms = hv_loop_now_ms,
  .alloc = host_alloc,
  .scope_mark = host_scope_mark,
  .scope_release = host_scope_release,
  .go = host_go,
  .sleep = host_sleep,
  .wait_fd = host_wait_fd,
  .offload = host_offload,
  .cond_new = host_cond_new,
  .cond_wait = host_cond_wait,
  .cond_wake = host_cond_wake,
  .cond_free = host_cond_free,
  .timer_new = host_timer_new,
  .timer_set = host_timer_set,
  .timer_free = host_timer_free,
  .watch_new = host_watch_new,
  .watch_set = host_watch_set,
  .watch_free = host_watch_free,
  .spawn = host_spawn,
  .call = host_call,
  .publish = host_publish,
  .subscribe = host_subscribe,
  .unsubscribe = host_unsubscribe,
  .cursor = host_cursor,
  .cancelled = host_cancelled,
  .caller_uid = host_caller_uid,
  .deadline_left_ms = host_deadline_left_ms,
  .progress = host_progress,
  .store_put = host_store_put,
  .store_get = host_store_get,
  .store_delete = host_store_delete,
  .store_list = host_store_list,
  .decode = host_decode,
  .encode = host_encode,
  .max_age_ms = host_max_age_ms,
  .step = host_step,
  .stream_open = hv_host_stream_open,
  .stream_close = hv_host_stream_close,
};
