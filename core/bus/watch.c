/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What calls a plugin back without a coroutine: timers and descriptors. And the processes it starts. */
#include "core/bus/host.h"
#include <stdlib.h>

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

struct hv_timer *
hv_host_timer_new (struct hv_host *h, hv_timer_fn *fn, void *arg)
{
  struct hv_timer *t = calloc (1, sizeof *t);
  if (t == NULL)
    return NULL;
  *t = (struct hv_timer){ .instance = hv_instance_of (h), .fn = fn, .arg = arg };
  t->timer = hv_loop_timer_new (t->instance->loop, timer_fired, t);
  if (t->timer == NULL) {
    free (t);
    return NULL;
  }
  hv_list_add (&t->instance->timers, &t->node);
  return t;
}

void
hv_host_timer_set (struct hv_host *h, struct hv_timer *t, uint64_t after_ms, uint64_t repeat_ms)
{
  (void) h;
  hv_loop_timer_set (t->timer, after_ms, repeat_ms);
}

void
hv_host_timer_free (struct hv_host *h, struct hv_timer *t)
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

struct hv_watch *
hv_host_watch_new (struct hv_host *h, int32_t fd, uint32_t wait, hv_watch_fn *fn, void *arg)
{
  struct hv_watch *w = calloc (1, sizeof *w);
  if (w == NULL)
    return NULL;
  *w = (struct hv_watch){ .instance = hv_instance_of (h), .fn = fn, .arg = arg };
  w->watch = hv_loop_watch_new (w->instance->loop, fd, wait, watch_ready, w);
  if (w->watch == NULL) {
    free (w);
    return NULL;
  }
  hv_list_add (&w->instance->watches, &w->node);
  return w;
}

void
hv_host_watch_set (struct hv_host *h, struct hv_watch *w, uint32_t wait)
{
  (void) h;
  hv_loop_watch_set (w->watch, wait);
}

void
hv_host_watch_free (struct hv_host *h, struct hv_watch *w)
{
  (void) h;
  if (w == NULL)
    return;
  hv_loop_watch_free (w->watch);
  hv_list_remove (&w->node);
  free (w);
}

int
hv_host_spawn (struct hv_host *h, const struct hv_spawn *how, int32_t *ret_pid, int32_t *ret_pidfd, struct hv_err *err)
{
  (void) h;
  return hv_spawn_process (how, ret_pid, ret_pidfd, err);
}

void
hv_instance_release_watches (struct hv_instance *i)
{
  while (!hv_list_empty (&i->timers))
    hv_host_timer_free (&i->host, hv_container (i->timers.next, struct hv_timer, node));
  while (!hv_list_empty (&i->watches))
    hv_host_watch_free (&i->host, hv_container (i->watches.next, struct hv_watch, node));
}
