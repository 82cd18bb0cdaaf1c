/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The boundary: every entry into plugin code. It asserts the thread, names the plugin for whoever looks at a crash, and times
 * each slice: code that holds its thread longer than HV_LIMIT_SLICE_WARN_MS is named in the log. */
#include "core/bus/instance.h"
#include "core/limits.h"
#include "core/log/log.h"
#include <stdlib.h>
#include <time.h>

/* Read by the crash handler of main.c. */
_Thread_local const char *hv_boundary_instance;
_Thread_local const char *hv_boundary_what;

struct slice {
  const char *instance, *what; /* of the slice around this one */
  uint64_t start_us;
};

static uint64_t
now_us (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000000u + (uint64_t) t.tv_nsec / 1000u;
}

static struct slice
slice_begin (struct hv_instance *i, const char *what)
{
  if (!hv_loop_is_current (i->loop)) {
    hv_log_line (i->name, HV_LOG_ERROR, "%s entered on the wrong thread; this is a defect of the core", what);
    abort ();
  }
  struct slice s = { hv_boundary_instance, hv_boundary_what, now_us () };
  hv_boundary_instance = i->name;
  hv_boundary_what = what;
  return s;
}

static uint64_t
slice_end (struct hv_instance *i, const char *what, struct slice s)
{
  uint64_t us = now_us () - s.start_us;
  hv_boundary_instance = s.instance;
  hv_boundary_what = s.what;
  if (us > HV_LIMIT_SLICE_WARN_MS * 1000u)
    hv_log_line (i->name, HV_LOG_WARNING, "%s held its thread for %llu ms without yielding", what, (unsigned long long) us / 1000u);
  return us;
}

void
hv_boundary_resume (struct hv_fiber *f)
{
  struct hv_instance *i = f->instance;
  const char *name = f->name;
  struct hv_route *route = f->call != NULL ? f->call->route : NULL;
  struct slice s = slice_begin (i, name);
  hv_coro_resume (f->coro);
  uint64_t us = slice_end (i, name, s);
  if (route != NULL)
    atomic_fetch_add_explicit (&route->busy_us, us, memory_order_relaxed);
}

int
hv_boundary_fast (struct hv_instance *i, const struct hv_route *route, struct hv_call *c, const void *args, void *result,
                  struct hv_err *err)
{
  struct slice s = slice_begin (i, route->name);
  int r = route->method.handler (i->self, c, args, result, err);
  (void) slice_end (i, route->name, s);
  return r;
}

void
hv_boundary_timer (struct hv_instance *i, hv_timer_fn *fn, void *arg)
{
  uint64_t mark = hv_arena_mark (&i->scratch);
  struct slice s = slice_begin (i, "a timer");
  fn (i->self, arg);
  (void) slice_end (i, "a timer", s);
  hv_arena_release (&i->scratch, mark);
}

void
hv_boundary_watch (struct hv_instance *i, hv_watch_fn *fn, void *arg, uint32_t ready)
{
  uint64_t mark = hv_arena_mark (&i->scratch);
  struct slice s = slice_begin (i, "a descriptor watch");
  fn (i->self, arg, ready);
  (void) slice_end (i, "a descriptor watch", s);
  hv_arena_release (&i->scratch, mark);
}

void
hv_boundary_stream (struct hv_instance *i, hv_stream_fn *fn, void *arg, int code)
{
  uint64_t mark = hv_arena_mark (&i->scratch);
  struct slice s = slice_begin (i, "the end of a stream");
  fn (i->self, arg, code);
  (void) slice_end (i, "the end of a stream", s);
  hv_arena_release (&i->scratch, mark);
}

void
hv_boundary_stop (struct hv_instance *i)
{
  struct slice s = slice_begin (i, "stop");
  if (i->plugin.stop != NULL)
    i->plugin.stop (i->self);
  i->self = NULL;
  (void) slice_end (i, "stop", s);
}
