/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Worker threads for blocking calls of one owner. They start on demand and leave when idle. The pool's memory is shared with its
 * threads by reference count, so that one that never returns from a library leaks no more than itself. */
#include "core/loop/loop.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define IDLE_S 30

struct lane {
  struct hv_pool_job *head, **tail;
  pthread_cond_t work;
  uint32_t threads, idle, queued, most;
};

struct hv_pool {
  pthread_mutex_t lock;
  pthread_cond_t quiet; /* a job ended, or a thread left */
  struct lane lanes[2]; /* ordinary, reserved */
  uint32_t running, refs;
  int closing;
  char name[16];
};

static void
pool_unref_locked (struct hv_pool *p)
{
  int last = --p->refs == 0;
  pthread_mutex_unlock (&p->lock);
  if (!last)
    return;
  for (int i = 0; i < 2; i++)
    (void) pthread_cond_destroy (&p->lanes[i].work);
  (void) pthread_cond_destroy (&p->quiet);
  (void) pthread_mutex_destroy (&p->lock);
  free (p);
}

static void
cond_init (pthread_cond_t *c)
{
  pthread_condattr_t a;
  (void) pthread_condattr_init (&a);
  (void) pthread_condattr_setclock (&a, CLOCK_MONOTONIC);
  (void) pthread_cond_init (c, &a);
  (void) pthread_condattr_destroy (&a);
}

static struct timespec
after_ms (uint64_t ms)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_MONOTONIC, &t);
  t.tv_sec += (time_t) (ms / 1000);
  t.tv_nsec += (long) (ms % 1000) * 1000000;
  if (t.tv_nsec >= 1000000000) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000;
  }
  return t;
}

struct hv_pool *
hv_pool_new (const char *name, uint32_t threads)
{
  struct hv_pool *p = calloc (1, sizeof *p);
  if (p == NULL)
    return NULL;
  (void) snprintf (p->name, sizeof p->name, "%.12s/w", name);
  (void) pthread_mutex_init (&p->lock, NULL);
  cond_init (&p->quiet);
  for (int i = 0; i < 2; i++) {
    p->lanes[i].tail = &p->lanes[i].head;
    cond_init (&p->lanes[i].work);
  }
  p->lanes[0].most = threads > 0 ? threads : 1;
  p->lanes[1].most = 1;
  p->refs = 1;
  return p;
}

struct worker {
  struct hv_pool *pool;
  struct lane *lane;
};

/* The next job, or NULL when it is time to leave. Called and returns with the lock held. */
static struct hv_pool_job *
worker_wait (struct hv_pool *p, struct lane *l)
{
  struct timespec until = after_ms (IDLE_S * 1000);
  int r = 0;
  l->idle++;
  while (l->head == NULL && !p->closing && r != ETIMEDOUT)
    r = pthread_cond_timedwait (&l->work, &p->lock, &until);
  l->idle--;
  struct hv_pool_job *j = l->head;
  if (j != NULL) {
    l->head = j->next;
    l->queued--;
    if (l->head == NULL)
      l->tail = &l->head;
  }
  return j;
}

static void *
worker_main (void *arg)
{
  struct worker w = *(struct worker *) arg;
  struct hv_pool *p = w.pool;
  struct hv_pool_job *j;
  free (arg);
  (void) pthread_setname_np (pthread_self (), p->name);
  pthread_mutex_lock (&p->lock);
  while ((j = worker_wait (p, w.lane)) != NULL) {
    p->running++;
    pthread_mutex_unlock (&p->lock);
    struct hv_loop *loop = j->loop;
    j->fn (j);
    pthread_mutex_lock (&p->lock);
    p->running--;
    (void) pthread_cond_broadcast (&p->quiet);
    hv_loop_post (loop, &j->done); /* the job is the loop's from here on */
  }
  w.lane->threads--;
  (void) pthread_cond_broadcast (&p->quiet);
  pool_unref_locked (p);
  return NULL;
}

static int
start_worker (struct hv_pool *p, struct lane *l)
{
  struct worker *w = malloc (sizeof *w);
  pthread_t thread;
  sigset_t all, old;
  if (w == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  *w = (struct worker){ p, l };
  (void) sigfillset (&all);
  (void) pthread_sigmask (SIG_SETMASK, &all, &old);
  int r = pthread_create (&thread, NULL, worker_main, w);
  (void) pthread_sigmask (SIG_SETMASK, &old, NULL);
  if (r != 0) {
    free (w);
    return HV_E_RESOURCE_EXHAUSTED;
  }
  (void) pthread_detach (thread);
  l->threads++;
  p->refs++;
  return 0;
}

void
hv_pool_submit (struct hv_pool *p, struct hv_pool_job *j, uint32_t flags)
{
  struct lane *l = &p->lanes[0];
  j->next = NULL;
  pthread_mutex_lock (&p->lock);
  if ((flags & HV_OFFLOAD_RESERVED) && l->queued >= l->idle && l->threads == l->most)
    l = &p->lanes[1]; /* the ordinary ones are all taken, perhaps for ever */
  *l->tail = j;
  l->tail = &j->next;
  l->queued++;
  if (l->queued <= l->idle) {
    (void) pthread_cond_signal (&l->work);
  } else if (l->threads < l->most && start_worker (p, l) < 0 && l->threads == 0) {
    l->head = NULL; /* no thread at all: here and now is all there is */
    l->tail = &l->head;
    l->queued = 0;
    pthread_mutex_unlock (&p->lock);
    j->fn (j);
    hv_loop_post (j->loop, &j->done);
    return;
  }
  pthread_mutex_unlock (&p->lock);
}

uint32_t
hv_pool_free (struct hv_pool *p, uint64_t deadline_ms)
{
  struct timespec until = after_ms (deadline_ms);
  int r = 0;
  if (p == NULL)
    return 0;
  pthread_mutex_lock (&p->lock);
  p->closing = 1;
  for (int i = 0; i < 2; i++)
    (void) pthread_cond_broadcast (&p->lanes[i].work);
  while (p->lanes[0].threads + p->lanes[1].threads > 0 && r != ETIMEDOUT)
    r = pthread_cond_timedwait (&p->quiet, &p->lock, &until);
  uint32_t leaked = p->running;
  pool_unref_locked (p);
  return leaked;
}
