/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fibers: coroutines that belong to an instance, with the memory, the call and the cancellation that go with them. */
#include "core/bus/instance.h"
#include "core/limits.h"
#include <stdlib.h>

struct hv_fiber *
hv_fiber_self (void)
{
  struct hv_coro *c = hv_coro_self ();
  return c == NULL ? NULL : hv_coro_local (c);
}

static void
fiber_main (void *arg)
{
  struct hv_fiber *f = arg;
  if (f->fn != NULL)
    f->fn (f);
  else
    f->user_fn (f->instance->self, f->user_arg);
}

/* After the last slice: the coroutine has returned and is gone. */
static void
fiber_finish (struct hv_fiber *f)
{
  struct hv_instance *i = f->instance;
  hv_list_remove (&f->node);
  i->fiber_count--;
  hv_arena_free (&f->arena);
  free (f);
  hv_instance_unref (i);
}

static void
fiber_run (struct hv_fiber *f)
{
  hv_boundary_resume (f);
  if (f->coro == NULL)
    fiber_finish (f);
}

static void
fiber_entry (void *arg)
{
  struct hv_fiber *f = arg;
  fiber_main (f);
  f->coro = NULL; /* tells whoever resumed us that this was the last slice */
}

static void
instance_run_ready (struct hv_task *t)
{
  struct hv_instance *i = hv_container (t, struct hv_instance, ready_task);
  i->ready_posted = 0;
  struct hv_fiber *f = i->ready_head;
  i->ready_head = i->ready_tail = NULL;
  hv_instance_ref (i);
  while (f != NULL) {
    struct hv_fiber *next = f->ready_next;
    f->ready_next = NULL;
    fiber_run (f);
    f = next;
  }
  hv_instance_unref (i);
}

static void
fiber_make_ready (struct hv_fiber *f)
{
  struct hv_instance *i = f->instance;
  if (i->ready_tail != NULL)
    i->ready_tail->ready_next = f;
  else
    i->ready_head = f;
  i->ready_tail = f;
  if (i->ready_posted)
    return;
  i->ready_posted = 1;
  i->ready_task.fn = instance_run_ready;
  hv_loop_post (i->loop, &i->ready_task);
}

struct hv_fiber *
hv_fiber_start (struct hv_instance *i, const char *name, struct hv_call *call, void (*fn) (struct hv_fiber *), hv_coro_fn *user_fn,
                void *arg)
{
  if (i->fiber_count >= HV_LIMIT_COROUTINES)
    return NULL;
  struct hv_fiber *f = calloc (1, sizeof *f);
  if (f == NULL)
    return NULL;
  f->instance = i;
  f->name = name;
  f->call = call;
  f->fn = fn;
  f->user_fn = user_fn;
  f->user_arg = arg;
  f->deadline_ms = call != NULL ? call->request.deadline_ms : 0;
  f->coro = hv_coro_new (i->sched, fiber_entry, f);
  if (f->coro == NULL) {
    free (f);
    return NULL;
  }
  hv_coro_set_local (f->coro, f);
  hv_list_add (&i->fibers, &f->node);
  i->fiber_count++;
  hv_instance_ref (i);
  if (call != NULL)
    call->fiber = f;
  if (user_fn != NULL || hv_coro_self () != NULL) {
    fiber_make_ready (f); /* never inside somebody else's slice */
    return f;
  }
  fiber_run (f); /* may have finished: only callers that were given `call` look at it, through call->fiber */
  return f;
}

int
hv_fiber_wait (int interruptible)
{
  struct hv_fiber *f = hv_fiber_self ();
  if (interruptible && f->cancelled)
    return HV_E_CANCELLED;
  f->waiting = interruptible ? 1 : 2;
  f->woken = 0;
  hv_coro_suspend ();
  f->waiting = 0;
  return interruptible && f->cancelled ? HV_E_CANCELLED : 0;
}

void
hv_fiber_wake (struct hv_fiber *f)
{
  if (!f->waiting || f->woken)
    return;
  f->woken = 1;
  fiber_make_ready (f);
}

void
hv_fiber_wake_now (struct hv_fiber *f)
{
  if (hv_coro_self () != NULL) {
    hv_fiber_wake (f);
  } else if (f->waiting && !f->woken) {
    f->woken = 1;
    fiber_run (f);
  }
}

void
hv_fiber_cancel (struct hv_fiber *f)
{
  f->cancelled = 1;
  if (f->waiting == 1)
    hv_fiber_wake (f);
}

struct hv_arena *
hv_instance_arena (struct hv_instance *i)
{
  struct hv_fiber *f = hv_fiber_self ();
  return f != NULL && f->instance == i ? &f->arena : &i->scratch;
}
