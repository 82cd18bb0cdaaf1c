/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An instance from table to running and back: merging its method tables, its directories, its thread, start and stop. */
#include "core/bus/instance.h"
#include "core/bus/private.h"
#include "core/err/err.h"
#include "core/limits.h"
#include "core/log/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const hv_isolation_words[] = { "loop", "thread", "process", NULL };
const char *const hv_instance_state_words[] = { "starting", "running", "stopping", "stopped", "failed", "refused", "disabled", NULL };

/* --- tables: whatever size they were built with, ours afterwards --- */

static void
copy_sized (void *to, uint64_t to_size, const void *from)
{
  uint32_t have = *(const uint32_t *) from;
  memset (to, 0, to_size);
  memcpy (to, from, have < to_size ? have : to_size);
}

#define INHERIT(m, b, member) \
  do { \
    if (!(m)->member) \
      (m)->member = (b)->member; \
  } while (0)

static void
method_merge (struct hv_method *m, const struct hv_method *from)
{
  struct hv_method b;
  copy_sized (m, sizeof *m, from);
  if (m->base == NULL)
    return;
  copy_sized (&b, sizeof b, m->base);
  m->flags |= b.flags;
  INHERIT (m, &b, verb);
  INHERIT (m, &b, handler);
  INHERIT (m, &b, args);
  INHERIT (m, &b, result);
  INHERIT (m, &b, access);
  INHERIT (m, &b, lane);
  INHERIT (m, &b, key);
  INHERIT (m, &b, timeout_ms);
  INHERIT (m, &b, cli);
  INHERIT (m, &b, doc);
  INHERIT (m, &b, since);
}

static const struct hv_field *
record_field (const struct hv_record *rec, const char *name)
{
  for (const struct hv_field *const *f = rec != NULL ? rec->fields : NULL; f != NULL && *f != NULL; f++)
    if (name != NULL && strcmp ((*f)->name, name) == 0)
      return *f;
  return NULL;
}

static int
instance_build_routes (struct hv_instance *i, struct hv_err *err)
{
  uint32_t n = 0;
  for (const struct hv_method *const *m = i->plugin.methods; m != NULL && *m != NULL; m++)
    n++;
  i->routes = calloc (n > 0 ? n : 1, sizeof *i->routes);
  if (i->routes == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (; i->route_count < n; i->route_count++) {
    struct hv_route *r = &i->routes[i->route_count];
    method_merge (&r->method, i->plugin.methods[i->route_count]);
    r->instance = i;
    r->key = record_field (r->method.args, r->method.key);
    if (asprintf (&r->name, "%s.%s", i->name, r->method.verb) < 0) {
      r->name = NULL;
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    }
  }
  return 0;
}

static uint32_t
events_count (const struct hv_event *const *e)
{
  uint32_t n = 0;
  while (e != NULL && e[n] != NULL)
    n++;
  return n;
}

/* The instance's own events, then those of the interfaces it provides. */
static int
instance_build_events (struct hv_instance *i, struct hv_err *err)
{
  uint32_t n = events_count (i->plugin.events), at = 0;
  for (const struct hv_iface *const *f = i->plugin.provides; f != NULL && *f != NULL; f++)
    n += events_count ((*f)->events);
  i->events = calloc (n + 1, sizeof *i->events);
  if (i->events == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t k = 0; k < events_count (i->plugin.events); k++)
    i->events[at++] = i->plugin.events[k];
  for (const struct hv_iface *const *f = i->plugin.provides; f != NULL && *f != NULL; f++)
    for (uint32_t k = 0; k < events_count ((*f)->events); k++)
      i->events[at++] = (*f)->events[k];
  return 0;
}

static int
instance_decode_config (struct hv_instance *i, struct hv_bin config, struct hv_err *err)
{
  static const uint8_t empty = 0x80;
  const struct hv_record *rec = i->plugin.config;
  uint64_t size = config.size > 0 ? config.size : 1;
  uint8_t *copy = hv_arena_alloc (&i->config_arena, size);
  i->config = hv_arena_alloc (&i->config_arena, rec != NULL && rec->c_size > 0 ? rec->c_size : 1);
  if (copy == NULL || i->config == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  memcpy (copy, config.size > 0 ? config.data : &empty, size);
  if (rec == NULL) {
    if (size == 1 && copy[0] == empty)
      return 0;
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "config: this plugin takes none");
  }
  struct hv_decode how = { .arena = &i->config_arena };
  int r = hv_record_decode (rec, (struct hv_bin){ copy, size }, &how, i->config, err);
  return r < 0 ? hv_err_wrap (err, r, "config") : 0;
}

/* --- directories --- */

static int
make_dir (struct hv_instance *i, const char *parent, mode_t mode, const char **ret, struct hv_err *err)
{
  char path[4096];
  int n = snprintf (path, sizeof path, "%s/%s", parent, i->name);
  if (n < 0 || (size_t) n >= sizeof path)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "directory '%s/%s': the name is too long", parent, i->name);
  if (mkdir (path, mode) < 0 && errno != EEXIST)
    return hv_err_sys (err, errno, "create directory '%s'", path);
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fchmod (fd, mode) < 0)
    return hv_err_sys (err, errno, "open directory '%s'", path);
  char *copy = hv_arena_alloc (&i->config_arena, (uint64_t) n + 1);
  if (copy == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  memcpy (copy, path, (size_t) n + 1);
  *ret = copy;
  return 0;
}

static const char *
boot_id (void)
{
  static char id[64]; /* read once, by the main thread, before any instance runs */
  if (id[0] != '\0')
    return id;
  HV_CLEAN (hv_fd) int fd = open ("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read (fd, id, sizeof id - 1) : -1;
  id[n > 0 ? n : 0] = '\0';
  id[strcspn (id, "\n")] = '\0';
  return id;
}

static int
instance_prepare (struct hv_instance *i, const struct hv_instance_spec *s, struct hv_err *err)
{
  int r = instance_build_routes (i, err);
  if (r == 0)
    r = instance_build_events (i, err);
  if (r == 0)
    r = instance_decode_config (i, s->config, err);
  i->info = (struct hv_host_info){ .struct_size = sizeof i->info, .instance = i->name, .boot_id = boot_id (), .version = HV_VERSION };
  if (r == 0)
    r = make_dir (i, s->state_dir, 0700, &i->info.state_dir, err);
  if (r == 0)
    r = make_dir (i, s->run_dir, 0711, &i->info.run_dir, err);
  char docs[4200];
  (void) snprintf (docs, sizeof docs, "%s/docs", r == 0 ? i->info.state_dir : "");
  if (r == 0)
    r = hv_store_open (docs, &i->store, err);
  return r;
}

static int
instance_make_runtime (struct hv_instance *i, const struct hv_instance_spec *s, struct hv_err *err)
{
  i->own_thread = s->isolation == HV_ISOLATION_THREAD;
  i->loop = i->own_thread ? hv_loop_new (i->name, err) : hv_bus_loop (i->bus);
  if (i->loop == NULL)
    return hv_err_code (err) != 0 ? (int) hv_err_code (err) : HV_E_RESOURCE_EXHAUSTED;
  i->sched = hv_sched_new (16);
  i->pool = hv_pool_new (i->name, HV_LIMIT_OFFLOAD_THREADS);
  if (i->sched == NULL || i->pool == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return 0;
}

int
hv_instance_new (struct hv_bus *bus, const struct hv_instance_spec *s, struct hv_instance **ret, struct hv_err *err)
{
  struct hv_instance *i = calloc (1, sizeof *i);
  if (i == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  struct hv_list *lists[] = { &i->fibers, &i->lanes, &i->timers, &i->watches, &i->conds, &i->subscriptions, &i->streams };
  for (size_t k = 0; k < sizeof lists / sizeof *lists; k++)
    hv_list_init (lists[k]);
  i->refs = 1;
  i->host.api = &hv_host_api_table;
  i->bus = bus;
  i->isolation = s->isolation;
  i->role = s->role;
  i->pump_task.fn = hv_instance_pump_run;
  atomic_flag_clear (&i->pump_posted);
  copy_sized (&i->plugin, sizeof i->plugin, s->plugin);
  i->name = strdup (s->name);
  i->path = strdup (s->path != NULL ? s->path : "");
  int r = i->name != NULL && i->path != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
  if (r == 0)
    r = instance_prepare (i, s, err);
  if (r == 0)
    r = instance_make_runtime (i, s, err);
  if (r < 0) {
    hv_instance_unref (i);
    return r;
  }
  *ret = i;
  return 0;
}

struct hv_instance *
hv_instance_ref (struct hv_instance *i)
{
  atomic_fetch_add_explicit (&i->refs, 1, memory_order_relaxed);
  return i;
}

void
hv_instance_unref (struct hv_instance *i)
{
  if (i == NULL || atomic_fetch_sub_explicit (&i->refs, 1, memory_order_acq_rel) != 1)
    return;
  for (uint32_t k = 0; k < i->route_count; k++)
    free (i->routes[k].name);
  free (i->routes);
  free (i->events);
  hv_arena_free (&i->config_arena);
  hv_arena_free (&i->scratch);
  hv_store_close (i->store);
  if (i->sched != NULL)
    hv_sched_free (i->sched);
  if (i->own_thread && i->loop != NULL)
    hv_loop_free (i->loop);
  free (i->name);
  free (i->path);
  free (i);
}

/* --- start --- */

struct instance_start {
  struct hv_task to_instance, to_main;
  struct hv_instance *instance;
  void (*done) (void *, int, struct hv_err *);
  void *arg;
  int code;
  struct hv_err *err;
};

static void
start_finished (struct hv_task *t)
{
  struct instance_start *s = hv_container (t, struct instance_start, to_main);
  struct hv_instance *i = s->instance;
  if (s->code == 0) {
    atomic_store (&i->state, HV_INSTANCE_RUNNING);
    hv_bus_add_routes (i->bus, i);
  } else {
    atomic_store (&i->state, HV_INSTANCE_FAILED);
  }
  s->done (s->arg, s->code, s->err);
  hv_err_free (s->err);
  hv_instance_unref (i);
  free (s);
}

static void
start_fiber (struct hv_fiber *f)
{
  struct instance_start *s = f->user_arg;
  struct hv_instance *i = f->instance;
  void *self = NULL;
  s->code = i->plugin.start != NULL ? i->plugin.start (&i->host, i->config, &self, s->err) : 0;
  i->self = self;
  hv_loop_post (i->bus->loop, &s->to_main);
}

static void
start_deliver (struct hv_task *t)
{
  struct instance_start *s = hv_container (t, struct instance_start, to_instance);
  if (hv_fiber_start (s->instance, "start", NULL, start_fiber, NULL, s) != NULL)
    return;
  s->code = hv_err_set (s->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  hv_loop_post (s->instance->bus->loop, &s->to_main);
}

void
hv_instance_start (struct hv_instance *i, void (*done) (void *arg, int code, struct hv_err *), void *arg)
{
  struct hv_err *err = hv_error_new ();
  struct instance_start *s = calloc (1, sizeof *s);
  int r = s == NULL ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : 0;
  if (r == 0 && i->own_thread)
    r = hv_loop_thread_start (i->loop, err);
  if (r < 0) {
    atomic_store (&i->state, HV_INSTANCE_FAILED);
    i->own_thread = 0;
    done (arg, r, err);
    hv_err_free (err);
    free (s);
    return;
  }
  *s = (struct instance_start){ .instance = hv_instance_ref (i), .done = done, .arg = arg, .err = err };
  s->to_instance.fn = start_deliver;
  s->to_main.fn = start_finished;
  hv_bus_add_instance (i->bus, i);
  hv_loop_post (i->loop, &s->to_instance);
}

/* --- stop --- */

#define STOP_POLL_MS   5u
#define STOP_CANCEL_MS 1000u

struct instance_stop {
  struct hv_task to_instance, to_main;
  struct hv_instance *instance;
  struct hv_loop_timer *timer;
  uint64_t drain_until_ms, cancel_until_ms;
  uint32_t leaked;
  void (*done) (void *, uint32_t);
  void *arg;
};

static void
stop_finished (struct hv_task *t)
{
  struct instance_stop *s = hv_container (t, struct instance_stop, to_main);
  struct hv_instance *i = s->instance;
  atomic_store (&i->state, HV_INSTANCE_STOPPED);
  if (i->own_thread) {
    hv_loop_thread_join (i->loop);
    hv_loop_drain (i->loop); /* late cancels and wake-ups hold references */
  }
  s->leaked += hv_pool_free (i->pool, STOP_CANCEL_MS);
  i->pool = NULL;
  if (s->leaked > 0) {
    hv_log_line (i->name, HV_LOG_WARNING, "stopped, but %u of its calls never returned; they are leaked", s->leaked);
    (void) hv_instance_ref (i); /* what never returned still uses it */
  }
  s->done (s->arg, s->leaked);
  hv_instance_unref (i);
  free (s);
}

static void
stop_cancel_all (struct hv_instance *i)
{
  for (struct hv_list *n = i->fibers.next; n != &i->fibers; n = n->next)
    hv_fiber_cancel (hv_container (n, struct hv_fiber, node));
}

static void
stop_poll (void *arg)
{
  struct instance_stop *s = arg;
  struct hv_instance *i = s->instance;
  uint64_t now = hv_loop_now_ms ();
  if (atomic_load (&i->calls_running) > 0 && now < s->drain_until_ms)
    return;
  if (i->fiber_count > 0 && s->cancel_until_ms == 0)
    s->cancel_until_ms = now + STOP_CANCEL_MS;
  if (s->cancel_until_ms != 0)
    stop_cancel_all (i); /* also what those started that were cancelled before */
  if (i->fiber_count > 0 && now < s->cancel_until_ms)
    return;
  s->leaked = i->fiber_count;
  hv_boundary_stop (i);
  hv_instance_release_all (i);
  hv_loop_timer_free (s->timer);
  hv_loop_post (i->bus->loop, &s->to_main);
}

static void
stop_deliver (struct hv_task *t)
{
  struct instance_stop *s = hv_container (t, struct instance_stop, to_instance);
  s->instance->stopping = 1;
  s->timer = hv_loop_timer_new (s->instance->loop, stop_poll, s);
  hv_loop_timer_set (s->timer, 1, STOP_POLL_MS);
}

void
hv_instance_stop (struct hv_instance *i, uint32_t drain_ms, void (*done) (void *arg, uint32_t leaked), void *arg)
{
  struct instance_stop *s = calloc (1, sizeof *s);
  atomic_store (&i->state, HV_INSTANCE_STOPPING);
  hv_bus_remove_instance (i->bus, i);
  if (s == NULL) {
    done (arg, 1);
    return;
  }
  *s = (struct instance_stop){ .instance = hv_instance_ref (i), .done = done, .arg = arg, .drain_until_ms = hv_loop_now_ms () + drain_ms };
  s->to_instance.fn = stop_deliver;
  s->to_main.fn = stop_finished;
  hv_loop_post (i->loop, &s->to_instance);
}
