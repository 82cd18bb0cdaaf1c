/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What yields: sleeping, waiting for a descriptor, for a condition, for work on the pool. */
#include "core/bus/host.h"
#include "core/log/log.h"
#include <stdlib.h>

/* The functions that yield need a coroutine of this very instance; without one it is the plugin's mistake, said loudly. */
struct hv_fiber *
hv_host_fiber (struct hv_instance *i, const char *what, struct hv_err *err)
{
  struct hv_fiber *f = hv_fiber_self ();
  if (f != NULL && f->instance == i)
    return f;
  hv_log_line (i->name, HV_LOG_ERROR, "%s was called outside a coroutine; use hv_go", what);
  (void) hv_err_set (err, HV_E_INTERNAL, "%s outside a coroutine", what);
  return NULL;
}

int
hv_host_go (struct hv_host *h, const char *name, hv_coro_fn *fn, void *arg)
{
  return hv_fiber_start (hv_instance_of (h), name, NULL, NULL, fn, arg) != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
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

int
hv_host_sleep (struct hv_host *h, uint64_t ms, struct hv_err *err)
{
  static const uint8_t never;
  struct hv_fiber *f = hv_host_fiber (hv_instance_of (h), "sleep", err);
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

int
hv_host_wait_fd (struct hv_host *h, int32_t fd, uint32_t wait, uint64_t timeout_ms, uint32_t *ret_ready, struct hv_err *err)
{
  struct hv_fiber *f = hv_host_fiber (hv_instance_of (h), "wait_fd", err);
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

int
hv_host_offload (struct hv_host *h, int (*fn) (void *), void *arg, uint32_t flags, struct hv_err *err)
{
  struct hv_fiber *f = hv_host_fiber (hv_instance_of (h), "offload", err);
  if (f == NULL)
    return HV_E_INTERNAL;
  struct offload o
      = { .job = { .fn = offload_run, .loop = f->instance->loop, .done.fn = offload_done }, .fiber = f, .fn = fn, .arg = arg };
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

struct hv_cond *
hv_host_cond_new (struct hv_host *h)
{
  struct hv_cond *c = calloc (1, sizeof *c);
  if (c != NULL) {
    hv_list_init (&c->waiters);
    hv_list_add (&hv_instance_of (h)->conds, &c->node);
  }
  return c;
}

int
hv_host_cond_wait (struct hv_host *h, struct hv_cond *c, uint64_t timeout_ms, struct hv_err *err)
{
  struct hv_fiber *f = hv_host_fiber (hv_instance_of (h), "cond_wait", err);
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

void
hv_host_cond_wake (struct hv_host *h, struct hv_cond *c)
{
  (void) h;
  while (!hv_list_empty (&c->waiters)) {
    struct cond_waiter *w = hv_container (c->waiters.next, struct cond_waiter, node);
    hv_list_remove (&w->node);
    w->done = 1;
    hv_fiber_wake (w->fiber);
  }
}

void
hv_host_cond_free (struct hv_host *h, struct hv_cond *c)
{
  if (c == NULL)
    return;
  hv_host_cond_wake (h, c);
  hv_list_remove (&c->node);
  free (c);
}

void
hv_instance_release_conds (struct hv_instance *i)
{
  while (!hv_list_empty (&i->conds))
    hv_host_cond_free (&i->host, hv_container (i->conds.next, struct hv_cond, node));
}
