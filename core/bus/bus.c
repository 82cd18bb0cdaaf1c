/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The registry: which instance answers which method. Read on every call from any thread, written when instances come and go. */
#include "core/bus/private.h"
#include "core/limits.h"
#include <stdlib.h>
#include <string.h>

struct hv_bus *
hv_bus_new (struct hv_loop *main_loop, struct hv_err *err)
{
  struct hv_bus *b = calloc (1, sizeof *b);
  if (b == NULL || hv_events_init (&b->events, HV_LIMIT_EVENT_LOG, HV_LIMIT_EVENT_LOG_BYTES) < 0) {
    free (b);
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "bus: out of memory");
    return NULL;
  }
  b->loop = main_loop;
  hv_streams_init (&b->streams);
  (void) pthread_rwlock_init (&b->lock, NULL);
  atomic_flag_clear (&b->reader_posted);
  return b;
}

void
hv_bus_free (struct hv_bus *b)
{
  if (b == NULL)
    return;
  hv_events_free (&b->events);
  hv_streams_free (&b->streams);
  free (b->instances);
  (void) pthread_rwlock_destroy (&b->lock);
  free (b);
}

struct hv_loop *
hv_bus_loop (struct hv_bus *b)
{
  return b->loop;
}

static uint64_t
hash_name (const char *s, uint64_t n)
{
  uint64_t h = 1469598103934665603u; /* FNV-1a */
  for (uint64_t i = 0; i < n; i++)
    h = (h ^ (uint8_t) s[i]) * 1099511628211u;
  return h;
}

void
hv_bus_add_instance (struct hv_bus *b, struct hv_instance *i)
{
  pthread_rwlock_wrlock (&b->lock);
  struct hv_instance **more = realloc (b->instances, (b->instance_count + 1) * sizeof *more);
  if (more != NULL) {
    b->instances = more;
    b->instances[b->instance_count++] = hv_instance_ref (i);
  }
  pthread_rwlock_unlock (&b->lock);
}

void
hv_bus_add_routes (struct hv_bus *b, struct hv_instance *i)
{
  pthread_rwlock_wrlock (&b->lock);
  for (uint32_t k = 0; k < i->route_count; k++) {
    struct hv_route *r = &i->routes[k];
    r->hash = hash_name (r->name, strlen (r->name));
    r->next = b->buckets[r->hash % HV_ROUTE_BUCKETS];
    b->buckets[r->hash % HV_ROUTE_BUCKETS] = r;
  }
  pthread_rwlock_unlock (&b->lock);
}

void
hv_bus_remove_instance (struct hv_bus *b, struct hv_instance *i)
{
  uint32_t found = 0;
  pthread_rwlock_wrlock (&b->lock);
  for (uint32_t k = 0; k < i->route_count; k++) {
    struct hv_route **at = &b->buckets[i->routes[k].hash % HV_ROUTE_BUCKETS];
    while (*at != NULL && *at != &i->routes[k])
      at = &(*at)->next;
    if (*at != NULL)
      *at = i->routes[k].next;
  }
  for (uint32_t k = 0; k < b->instance_count; k++) {
    if (b->instances[k] == i) {
      b->instances[k] = b->instances[--b->instance_count];
      found = 1;
    }
  }
  pthread_rwlock_unlock (&b->lock);
  if (found)
    hv_instance_unref (i);
}

struct hv_instance *
hv_bus_find_instance (struct hv_bus *b, const char *name, uint64_t n)
{
  struct hv_instance *found = NULL;
  pthread_rwlock_rdlock (&b->lock);
  for (uint32_t k = 0; k < b->instance_count && found == NULL; k++)
    if (strlen (b->instances[k]->name) == n && memcmp (b->instances[k]->name, name, n) == 0)
      found = hv_instance_ref (b->instances[k]);
  pthread_rwlock_unlock (&b->lock);
  return found;
}

void
hv_bus_each_instance (struct hv_bus *b, void (*fn) (void *arg, struct hv_instance *), void *arg)
{
  pthread_rwlock_rdlock (&b->lock);
  for (uint32_t k = 0; k < b->instance_count; k++)
    fn (arg, b->instances[k]);
  pthread_rwlock_unlock (&b->lock);
}

/* An interface's verb that this provider lacks is UNIMPLEMENTED; anything else does not exist. */
static int
route_missing_verb (struct hv_instance *i, const char *verb, struct hv_err *err)
{
  const char *verbs[129] = { NULL };
  uint32_t count = 0;
  for (const struct hv_iface *const *f = i->plugin.provides; f != NULL && *f != NULL; f++)
    for (const struct hv_method *const *m = (*f)->verbs; m != NULL && *m != NULL; m++)
      if (strcmp ((*m)->verb, verb) == 0) {
        hv_err_set (err, HV_E_UNIMPLEMENTED, "%s.%s: this backend does not do '%s' of %s/%u; %s.probe says what it can do", i->name, verb, verb,
                    (*f)->name, (*f)->major, i->name);
        hv_err_data (err, "reason", "not_implemented");
        return HV_E_UNIMPLEMENTED;
      }
  for (uint32_t k = 0; k < i->route_count && count < 128; k++)
    verbs[count++] = i->routes[k].method.verb;
  const char *near = hv_nearest (verb, strlen (verb), verbs);
  return hv_err_set (err, HV_E_NOT_FOUND, "%s has no method '%s'%s%s%s", i->name, verb, near ? ", did you mean '" : "", near ? near : "",
                     near ? "'?" : "");
}

static int
route_missing (struct hv_bus *b, const char *method, uint64_t n, struct hv_err *err)
{
  char name[HV_LIMIT_METHOD_BYTES + 1];
  if (n > HV_LIMIT_METHOD_BYTES)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "a method name has at most %u bytes", HV_LIMIT_METHOD_BYTES);
  for (uint64_t k = 0; k < n; k++)
    name[k] = method[k] >= 0x20 && method[k] < 0x7f ? method[k] : '?';
  name[n] = '\0';
  char *dot = strchr (name, '.');
  if (dot == NULL)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "'%s' is not a method: INSTANCE.VERB is wanted, see bus.describe", name);
  struct hv_instance *i = hv_bus_find_instance (b, name, (uint64_t) (dot - name));
  if (i == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "there is no running plugin instance '%.*s'; bus.plugins lists them", (int) (dot - name), name);
  int r = route_missing_verb (i, dot + 1, err);
  hv_instance_unref (i);
  return r;
}

int
hv_bus_route (struct hv_bus *b, const char *method, uint64_t n, struct hv_route **ret, struct hv_err *err)
{
  uint64_t h = hash_name (method, n);
  struct hv_route *r;
  pthread_rwlock_rdlock (&b->lock);
  for (r = b->buckets[h % HV_ROUTE_BUCKETS]; r != NULL; r = r->next)
    if (r->hash == h && strlen (r->name) == n && memcmp (r->name, method, n) == 0)
      break;
  if (r != NULL)
    (void) hv_instance_ref (r->instance);
  pthread_rwlock_unlock (&b->lock);
  if (r == NULL)
    return route_missing (b, method, n, err);
  *ret = r;
  return 0;
}

/* --- waking those who read the log --- */

static void
reader_run (struct hv_task *t)
{
  struct hv_bus *b = hv_container (t, struct hv_bus, reader_task);
  atomic_flag_clear (&b->reader_posted);
  if (b->reader != NULL)
    b->reader (b->reader_arg);
}

void
hv_events_set_reader (struct hv_bus *b, void (*fn) (void *arg), void *arg)
{
  b->reader = fn;
  b->reader_arg = arg;
  b->reader_task.fn = reader_run;
}

void
hv_instance_pump_run (struct hv_task *t)
{
  struct hv_instance *i = hv_container (t, struct hv_instance, pump_task);
  atomic_flag_clear (&i->pump_posted);
  hv_instance_pump_events (i);
  hv_instance_unref (i);
}

static void
wake_instance (void *arg, struct hv_instance *i)
{
  (void) arg;
  if (atomic_load (&i->subscription_count) == 0 || atomic_load (&i->state) > HV_INSTANCE_RUNNING || atomic_flag_test_and_set (&i->pump_posted))
    return;
  (void) hv_instance_ref (i);
  hv_loop_post (i->loop, &i->pump_task);
}

void
hv_bus_wake_subscribers (struct hv_bus *b)
{
  if (b->reader != NULL && !atomic_flag_test_and_set (&b->reader_posted))
    hv_loop_post (b->loop, &b->reader_task);
  hv_bus_each_instance (b, wake_instance, NULL);
}
