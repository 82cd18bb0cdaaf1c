/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One libev loop per thread. The inbox is a list behind a mutex that is taken whole; the wake-up is a system call, so only the post that
 * finds the inbox empty makes it, and none from the loop's own thread. */
#include "core/loop/loop.h"
#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct loop_signal {
  ev_signal ev;
  struct loop_signal *next;
  void (*fn) (void *, int);
  void *arg;
};

struct hv_loop {
  struct ev_loop *ev;
  ev_async wake;
  ev_prepare prepare;
  ev_timer deadline_timer;
  uint64_t deadline_armed_ms; /* what the timer is set to; 0: not running */
  pthread_mutex_t lock;
  struct hv_task *head, **tail;
  struct hv_deadline **heap;
  uint32_t heap_count, heap_capacity;
  struct loop_signal *signals;
  void (*prepare_fn) (void *);
  void *prepare_arg;
  const int *until; /* of hv_loop_run_until */
  pthread_t thread;
  uint8_t has_thread;
  _Atomic int stop;
  char name[16];
};

static _Thread_local struct hv_loop *this_loop;

uint64_t
hv_loop_now_ms (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000u + (uint64_t) t.tv_nsec / 1000000u;
}

struct hv_loop *
hv_loop_current (void)
{
  return this_loop;
}

int
hv_loop_is_current (const struct hv_loop *l)
{
  return this_loop == l || this_loop == NULL;
}

/* --- inbox --- */

void
hv_loop_post (struct hv_loop *l, struct hv_task *t)
{
  t->next = NULL;
  pthread_mutex_lock (&l->lock);
  int was_empty = l->head == NULL;
  *l->tail = t;
  l->tail = &t->next;
  if (was_empty && this_loop != l)
    ev_async_send (l->ev, &l->wake); /* under the lock: once it is released, whoever took the task may free the loop */
  pthread_mutex_unlock (&l->lock);
}

static struct hv_task *
inbox_take (struct hv_loop *l)
{
  pthread_mutex_lock (&l->lock);
  struct hv_task *t = l->head;
  l->head = NULL;
  l->tail = &l->head;
  pthread_mutex_unlock (&l->lock);
  return t;
}

static int
inbox_run (struct hv_loop *l)
{
  struct hv_task *t = inbox_take (l);
  int any = t != NULL;
  while (t != NULL) {
    struct hv_task *next = t->next; /* the task may free itself */
    t->fn (t);
    t = next;
  }
  return any;
}

static void
on_wake (struct ev_loop *ev, ev_async *w, int revents)
{
  (void) ev;
  (void) revents;
  (void) inbox_run (w->data);
}

/* --- deadlines: a binary heap --- */

static void
heap_put (struct hv_loop *l, uint32_t i, struct hv_deadline *d)
{
  l->heap[i] = d;
  d->index = i + 1;
}

static void
heap_up (struct hv_loop *l, uint32_t i)
{
  struct hv_deadline *d = l->heap[i];
  while (i > 0 && d->at_ms < l->heap[(i - 1) / 2]->at_ms) {
    heap_put (l, i, l->heap[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
  heap_put (l, i, d);
}

static void
heap_down (struct hv_loop *l, uint32_t i)
{
  struct hv_deadline *d = l->heap[i];
  for (uint32_t c; (c = 2 * i + 1) < l->heap_count; i = c) {
    if (c + 1 < l->heap_count && l->heap[c + 1]->at_ms < l->heap[c]->at_ms)
      c++;
    if (d->at_ms <= l->heap[c]->at_ms)
      break;
    heap_put (l, i, l->heap[c]);
  }
  heap_put (l, i, d);
}

int
hv_loop_deadline_arm (struct hv_loop *l, struct hv_deadline *d, uint64_t at_ms)
{
  hv_loop_deadline_disarm (l, d);
  if (l->heap_count == l->heap_capacity) {
    uint32_t want = l->heap_capacity > 0 ? l->heap_capacity * 2 : 64;
    struct hv_deadline **more = realloc (l->heap, want * sizeof *more);
    if (more == NULL)
      return HV_E_RESOURCE_EXHAUSTED;
    l->heap = more;
    l->heap_capacity = want;
  }
  d->at_ms = at_ms;
  l->heap[l->heap_count] = d;
  heap_up (l, l->heap_count++);
  return 0;
}

void
hv_loop_deadline_disarm (struct hv_loop *l, struct hv_deadline *d)
{
  if (d->index == 0)
    return;
  uint32_t i = d->index - 1;
  struct hv_deadline *last = l->heap[--l->heap_count];
  d->index = 0;
  if (last == d)
    return;
  heap_put (l, i, last);
  heap_up (l, i);
  heap_down (l, last->index - 1);
}

static void
on_deadline (struct ev_loop *ev, ev_timer *w, int revents)
{
  struct hv_loop *l = w->data;
  uint64_t now = hv_loop_now_ms ();
  (void) ev;
  (void) revents;
  l->deadline_armed_ms = 0;
  while (l->heap_count > 0 && l->heap[0]->at_ms <= now) {
    struct hv_deadline *d = l->heap[0];
    hv_loop_deadline_disarm (l, d);
    d->fn (d);
  }
}

/* The libev timer follows the top of the heap lazily: calls arm and disarm thousands of deadlines that never come, so it is only moved
 * when it would fire too late; firing too early merely sets it anew. */
static void
deadline_follow (struct hv_loop *l)
{
  if (l->heap_count == 0 || (l->deadline_armed_ms != 0 && l->deadline_armed_ms <= l->heap[0]->at_ms))
    return;
  uint64_t now = hv_loop_now_ms (), at = l->heap[0]->at_ms;
  ev_timer_stop (l->ev, &l->deadline_timer);
  ev_now_update (l->ev);
  ev_timer_set (&l->deadline_timer, at > now ? (double) (at - now) / 1e3 : 0., 0.);
  ev_timer_start (l->ev, &l->deadline_timer);
  l->deadline_armed_ms = at;
}

/* Before the loop blocks: tasks this thread posted to itself, then what the owner wants flushed, until there is nothing new. */
static void
on_prepare (struct ev_loop *ev, ev_prepare *w, int revents)
{
  struct hv_loop *l = w->data;
  (void) revents;
  do {
    (void) inbox_run (l);
    if (l->prepare_fn != NULL)
      l->prepare_fn (l->prepare_arg);
  } while (inbox_run (l));
  deadline_follow (l);
  if (atomic_load (&l->stop) || (l->until != NULL && *l->until))
    ev_break (ev, EVBREAK_ALL);
}

/* --- life --- */

struct hv_loop *
hv_loop_new (const char *name, struct hv_err *err)
{
  struct hv_loop *l = calloc (1, sizeof *l);
  if (l == NULL || (l->ev = ev_loop_new (EVFLAG_AUTO | EVFLAG_NOENV)) == NULL) {
    free (l);
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "event loop '%s': out of memory or descriptors", name);
    return NULL;
  }
  (void) snprintf (l->name, sizeof l->name, "%s", name);
  (void) pthread_mutex_init (&l->lock, NULL);
  l->tail = &l->head;
  ev_async_init (&l->wake, on_wake);
  l->wake.data = l;
  ev_async_start (l->ev, &l->wake);
  ev_prepare_init (&l->prepare, on_prepare);
  l->prepare.data = l;
  ev_prepare_start (l->ev, &l->prepare);
  ev_init (&l->deadline_timer, on_deadline);
  l->deadline_timer.data = l;
  return l;
}

void
hv_loop_free (struct hv_loop *l)
{
  hv_loop_drain (l);
  ev_loop_destroy (l->ev);
  while (l->signals != NULL) {
    struct loop_signal *s = l->signals;
    l->signals = s->next;
    free (s);
  }
  free (l->heap);
  (void) pthread_mutex_destroy (&l->lock);
  free (l);
}

void
hv_loop_run (struct hv_loop *l)
{
  struct hv_loop *outer = this_loop;
  this_loop = l;
  ev_now_update (l->ev);
  ev_run (l->ev, 0);
  atomic_store (&l->stop, 0);
  this_loop = outer;
}

static void
on_until_timer (struct ev_loop *ev, ev_timer *w, int revents)
{
  (void) revents;
  *(int *) w->data = 1;
  ev_break (ev, EVBREAK_ONE);
}

int
hv_loop_run_until (struct hv_loop *l, const int *done, uint64_t timeout_ms)
{
  struct hv_loop *outer = this_loop;
  ev_timer timer;
  int over = 0;
  ev_now_update (l->ev);
  ev_timer_init (&timer, on_until_timer, (double) timeout_ms / 1e3, 0.);
  timer.data = &over;
  this_loop = l;
  l->until = done;
  ev_timer_start (l->ev, &timer);
  while (!*done && !over)
    ev_run (l->ev, EVRUN_ONCE); /* one turn at a time: the last callback of a turn may have set it */
  ev_timer_stop (l->ev, &timer);
  l->until = NULL;
  this_loop = outer;
  return *done;
}

void
hv_loop_drain (struct hv_loop *l)
{
  struct hv_loop *outer = this_loop;
  this_loop = l;
  while (inbox_run (l))
    continue;
  this_loop = outer;
}

void
hv_loop_stop (struct hv_loop *l)
{
  atomic_store (&l->stop, 1);
  ev_async_send (l->ev, &l->wake);
}

static void *
thread_main (void *arg)
{
  struct hv_loop *l = arg;
  (void) pthread_setname_np (pthread_self (), l->name);
  hv_loop_run (l);
  return NULL;
}

int
hv_loop_thread_start (struct hv_loop *l, struct hv_err *err)
{
  sigset_t all, old;
  (void) sigfillset (&all);
  (void) pthread_sigmask (SIG_SETMASK, &all, &old);
  int r = pthread_create (&l->thread, NULL, thread_main, l);
  (void) pthread_sigmask (SIG_SETMASK, &old, NULL);
  if (r != 0)
    return hv_err_sys (err, r, "thread '%s'", l->name);
  l->has_thread = 1;
  return 0;
}

void
hv_loop_thread_join (struct hv_loop *l)
{
  if (!l->has_thread)
    return;
  hv_loop_stop (l);
  (void) pthread_join (l->thread, NULL);
  l->has_thread = 0;
}

/* --- timers --- */

struct hv_loop_timer {
  ev_timer ev;
  struct hv_loop *loop;
  void (*fn) (void *);
  void *arg;
};

static void
on_timer (struct ev_loop *ev, ev_timer *w, int revents)
{
  struct hv_loop_timer *t = (struct hv_loop_timer *) (void *) w;
  (void) ev;
  (void) revents;
  t->fn (t->arg);
}

struct hv_loop_timer *
hv_loop_timer_new (struct hv_loop *l, void (*fn) (void *), void *arg)
{
  struct hv_loop_timer *t = calloc (1, sizeof *t);
  if (t == NULL)
    return NULL;
  t->loop = l;
  t->fn = fn;
  t->arg = arg;
  ev_init (&t->ev, on_timer);
  return t;
}

void
hv_loop_timer_set (struct hv_loop_timer *t, uint64_t after_ms, uint64_t repeat_ms)
{
  ev_timer_stop (t->loop->ev, &t->ev);
  if (after_ms == 0 && repeat_ms == 0)
    return;
  ev_now_update (t->loop->ev);
  ev_timer_set (&t->ev, (double) (after_ms > 0 ? after_ms : repeat_ms) / 1e3, (double) repeat_ms / 1e3);
  ev_timer_start (t->loop->ev, &t->ev);
}

void
hv_loop_timer_free (struct hv_loop_timer *t)
{
  if (t == NULL)
    return;
  ev_timer_stop (t->loop->ev, &t->ev);
  free (t);
}

/* --- watches --- */

struct hv_loop_watch {
  ev_io ev;
  struct hv_loop *loop;
  void (*fn) (void *, uint32_t);
  void *arg;
  uint32_t wait;
};

static void
on_io (struct ev_loop *ev, ev_io *w, int revents)
{
  struct hv_loop_watch *x = (struct hv_loop_watch *) (void *) w;
  (void) ev;
  x->fn (x->arg, ((revents & EV_READ) ? HV_WAIT_READ : 0) | ((revents & EV_WRITE) ? HV_WAIT_WRITE : 0));
}

struct hv_loop_watch *
hv_loop_watch_new (struct hv_loop *l, int fd, uint32_t wait, void (*fn) (void *, uint32_t), void *arg)
{
  struct hv_loop_watch *w = calloc (1, sizeof *w);
  if (w == NULL)
    return NULL;
  w->loop = l;
  w->fn = fn;
  w->arg = arg;
  ev_io_init (&w->ev, on_io, fd, 0);
  hv_loop_watch_set (w, wait);
  return w;
}

void
hv_loop_watch_set (struct hv_loop_watch *w, uint32_t wait)
{
  if (w->wait == wait)
    return;
  w->wait = wait;
  ev_io_stop (w->loop->ev, &w->ev);
  ev_io_set (&w->ev, w->ev.fd, ((wait & HV_WAIT_READ) ? EV_READ : 0) | ((wait & HV_WAIT_WRITE) ? EV_WRITE : 0));
  if (wait != 0)
    ev_io_start (w->loop->ev, &w->ev);
}

void
hv_loop_watch_free (struct hv_loop_watch *w)
{
  if (w == NULL)
    return;
  ev_io_stop (w->loop->ev, &w->ev);
  free (w);
}

/* --- signals, prepare --- */

static void
on_signal (struct ev_loop *ev, ev_signal *w, int revents)
{
  struct loop_signal *s = (struct loop_signal *) (void *) w;
  (void) ev;
  (void) revents;
  s->fn (s->arg, w->signum);
}

int
hv_loop_signal (struct hv_loop *l, int signum, void (*fn) (void *, int), void *arg)
{
  struct loop_signal *s = calloc (1, sizeof *s);
  if (s == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  s->fn = fn;
  s->arg = arg;
  ev_signal_init (&s->ev, on_signal, signum);
  ev_signal_start (l->ev, &s->ev);
  s->next = l->signals;
  l->signals = s;
  return 0;
}

void
hv_loop_set_prepare (struct hv_loop *l, void (*fn) (void *), void *arg)
{
  l->prepare_fn = fn;
  l->prepare_arg = arg;
}
