/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus's own methods, as a plugin named "bus" on the main loop: written with the same tables as everybody else's. */
#include "core/bus/private.h"
#include "core/limits.h"
#include "core/log/log.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define API_LEVEL 1u

static struct hv_bus *
bus_of (struct hv_call *c)
{
  return c->route->instance->bus;
}

static int
want_peer (struct hv_call *c, struct hv_err *err)
{
  if (c->request.peer != NULL)
    return 0;
  return hv_err_set (err, HV_E_UNIMPLEMENTED, "%s is for connections; a plugin uses its host's functions", c->route->name);
}

static const char *
role_word (uint32_t role)
{
  static const char *const words[] = { "nobody", "viewer", "operator", "admin" };
  return words[role & 3];
}

/* --- hello, ping --- */

static const char *const errors_words[] = { "text", "map", NULL };
#define HELLO_ARGS(F, T) \
  F (T, STR, _, client, 0, "name of the client, for the log", .max = 64) \
  F (T, ENUM, errors, errors, 0, "form of errors from now on: [0, text], or {code, message, data}", .def = "text")
HV_RECORD_STRUCT (hello_args, HELLO_ARGS);
HV_RECORD_TABLE (hello_args, HELLO_ARGS, "arguments of hello");

#define HELLO_LIMITS(F, T) \
  F (T, U64, _, request_bytes, HV_REQUIRED, "largest frame accepted", .unit = "bytes") \
  F (T, U64, _, answer_bytes, HV_REQUIRED, "largest frame sent", .unit = "bytes")
HV_RECORD_STRUCT (hello_limits, HELLO_LIMITS);
HV_RECORD_TABLE (hello_limits, HELLO_LIMITS, "limits of the connection");

#define HELLO(F, T) \
  F (T, STR, _, version, HV_REQUIRED, "version of hvkitd") \
  F (T, U32, _, api_level, HV_REQUIRED, "grows when methods are added") \
  F (T, U64, _, epoch, HV_REQUIRED, "of the event log; changes when the daemon restarts") \
  F (T, U32, _, uid, HV_REQUIRED, "who you are to the daemon") \
  F (T, STR, _, role, HV_REQUIRED, "what you may do: viewer, operator or admin") \
  F (T, REC, hello_limits, limits, HV_REQUIRED, "limits of the connection")
HV_RECORD_STRUCT (hello, HELLO);
HV_RECORD_TABLE (hello, HELLO, "the daemon introduces itself");

static int
bus_hello (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  const struct hello_args *a = args;
  struct hello *r = result;
  struct hv_bus *b = bus_of (c);
  uint64_t seq;
  (void) self;
  int rc = want_peer (c, err);
  if (rc < 0)
    return rc;
  c->request.peer->set_error_map (c->request.peer, a->errors == 1);
  r->version = HV_VERSION;
  r->api_level = API_LEVEL;
  hv_events_head (b, &r->epoch, &seq);
  r->uid = c->request.uid;
  r->role = role_word (c->request.role);
  r->limits.request_bytes = b->hooks.request_bytes;
  r->limits.answer_bytes = b->hooks.answer_bytes;
  return 0;
}

static int
bus_ping (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  (void) self;
  (void) c;
  (void) args;
  (void) result;
  (void) err;
  return 0;
}

/* --- describe, plugins --- */

#define DESCRIBE_ARGS(F, T) \
  F (T, STR, _, instance, 0, "only this instance", .max = 64) \
  F (T, STR, _, iface, 0, "only providers of this interface", .max = 64)
HV_RECORD_STRUCT (describe_args, DESCRIBE_ARGS);
HV_RECORD_TABLE (describe_args, DESCRIBE_ARGS, "arguments of describe");
#define DESCRIBE(F, T) \
  F (T, STR, _, version, HV_REQUIRED, "version of hvkitd") \
  F (T, U32, _, api_level, HV_REQUIRED, "grows when methods are added") \
  F (T, ANY, _, instances, HV_REQUIRED, "list of {name, plugin, version, summary, state, provides, methods, events}")
HV_RECORD_STRUCT (describe_result, DESCRIBE);
HV_RECORD_TABLE (describe_result, DESCRIBE, "every method, event and field");

struct describe {
  const struct describe_args *args;
  struct hv_pack pack;
  uint32_t count;
};

static int
provides (const struct hv_instance *i, const char *iface)
{
  for (const struct hv_iface *const *f = i->plugin.provides; f != NULL && *f != NULL; f++)
    if (strcmp ((*f)->name, iface) == 0)
      return 1;
  return 0;
}

static void
describe_one (void *arg, struct hv_instance *i)
{
  struct describe *d = arg;
  if (HV_HAS (d->args, instance) && strcmp (d->args->instance, i->name) != 0)
    return;
  if (HV_HAS (d->args, iface) && !provides (i, d->args->iface))
    return;
  hv_describe_instance (i, &d->pack);
  d->count++;
}

/* The bytes live in the call's memory until they are encoded. */
static int
pack_to_any (struct hv_call *c, struct hv_pack *p, struct hv_bin *ret, struct hv_err *err)
{
  uint8_t *copy = p->failed ? NULL : hv_arena_alloc (hv_instance_arena (c->route->instance), p->size);
  if (copy != NULL) {
    memcpy (copy, p->data, p->size);
    *ret = (struct hv_bin){ copy, p->size };
  }
  hv_pack_clear (p);
  return copy != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static int
bus_describe (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct describe_result *r = result;
  struct describe d = { .args = args };
  (void) self;
  uint64_t list = hv_pack_array_open (&d.pack);
  hv_bus_each_instance (bus_of (c), describe_one, &d);
  hv_pack_array_close (&d.pack, list, d.count);
  if (HV_HAS (d.args, instance) && d.count == 0) {
    hv_pack_clear (&d.pack);
    return hv_err_set (err, HV_E_NOT_FOUND, "there is no running plugin instance '%s'; bus.plugins lists them", d.args->instance);
  }
  r->version = HV_VERSION;
  r->api_level = API_LEVEL;
  return pack_to_any (c, &d.pack, &r->instances, err);
}

#define PLUGINS(F, T) F (T, ANY, _, items, HV_REQUIRED, "list of {name, plugin, path, version, summary, state, isolation, required, role, provides, reason}")
HV_RECORD_STRUCT (plugins_result, PLUGINS);
HV_RECORD_TABLE (plugins_result, PLUGINS, "every manifest and what became of it");

static int
bus_plugins (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct plugins_result *r = result;
  struct hv_bus *b = bus_of (c);
  struct hv_pack p = { 0 };
  (void) self;
  (void) args;
  if (b->hooks.plugins != NULL)
    b->hooks.plugins (b->hooks.plugins_arg, &p);
  else
    hv_pack_array (&p, 0);
  return pack_to_any (c, &p, &r->items, err);
}

/* --- subscribe, unsubscribe, cancel --- */

#define SINCE(F, T) \
  F (T, U64, _, epoch, HV_REQUIRED, "of the cursor") \
  F (T, U64, _, seq, HV_REQUIRED, "last event that was seen")
HV_RECORD_STRUCT (since, SINCE);
HV_RECORD_TABLE (since, SINCE, "cursor to resume from");
#define NOTIFY(F, T) \
  F (T, STR, _, method, HV_REQUIRED, "method of the notification", .umin = 1, .max = 100) \
  F (T, ANY, _, prefix, 0, "list: parameters before the list that holds the event")
HV_RECORD_STRUCT (notify, NOTIFY);
HV_RECORD_TABLE (notify, NOTIFY, "shape of the notifications, for clients with fixed method names");
#define SUBSCRIBE_ARGS(F, T) \
  F (T, STRS, _, topics, HV_REQUIRED, "topic globs: qmp.lifecycle, *.lifecycle, *", .max = HV_LIMIT_TOPIC_GLOBS) \
  F (T, REC, since, since, 0, "resume after this event; absent: from now on") \
  F (T, REC, notify, notify, 0, "absent: [2, \"event\", [event]]")
HV_RECORD_STRUCT (subscribe_args, SUBSCRIBE_ARGS);
HV_RECORD_TABLE (subscribe_args, SUBSCRIBE_ARGS, "arguments of subscribe");
#define SUBSCRIBED(F, T) \
  F (T, U32, _, subscription, HV_REQUIRED, "for unsubscribe; also in each event") \
  F (T, U64, _, epoch, HV_REQUIRED, "of the log") \
  F (T, U64, _, seq, HV_REQUIRED, "events after this one follow")
HV_RECORD_STRUCT (subscribed, SUBSCRIBED);
HV_RECORD_TABLE (subscribed, SUBSCRIBED, "a subscription");

static int
bus_subscribe (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  const struct subscribe_args *a = args;
  struct subscribed *r = result;
  struct hv_event_cursor from = { 0 };
  (void) self;
  int rc = want_peer (c, err);
  if (rc < 0)
    return rc;
  if (a->topics.count == 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "topics: at least one glob is wanted; [\"*\"] is everything");
  hv_events_head (bus_of (c), &r->epoch, &r->seq);
  if (HV_HAS (a, since)) {
    r->epoch = a->since.epoch;
    r->seq = a->since.seq;
  }
  rc = hv_events_seek (bus_of (c), r->epoch, r->seq, &from, err);
  if (rc < 0)
    return rc;
  struct hv_notify_shape shape = { HV_HAS (a, notify) ? a->notify.method : NULL, { NULL, 0 } };
  if (HV_HAS (a, notify) && HV_HAS (&a->notify, prefix))
    shape.prefix = a->notify.prefix;
  return c->request.peer->subscribe (c->request.peer, &a->topics, &from, &shape, &r->subscription, err);
}

#define UNSUBSCRIBE_ARGS(F, T) F (T, U32, _, subscription, HV_REQUIRED, "what subscribe answered")
HV_RECORD_STRUCT (unsubscribe_args, UNSUBSCRIBE_ARGS);
HV_RECORD_TABLE (unsubscribe_args, UNSUBSCRIBE_ARGS, "arguments of unsubscribe");

static int
bus_unsubscribe (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  const struct unsubscribe_args *a = args;
  (void) self;
  (void) result;
  int rc = want_peer (c, err);
  return rc < 0 ? rc : c->request.peer->unsubscribe (c->request.peer, a->subscription, err);
}

#define CANCEL_ARGS(F, T) F (T, U32, _, id, HV_REQUIRED, "message id of the call, on this connection")
HV_RECORD_STRUCT (cancel_args, CANCEL_ARGS);
HV_RECORD_TABLE (cancel_args, CANCEL_ARGS, "arguments of cancel");
#define CANCELLED(F, T) F (T, BOOL, _, cancelled, HV_REQUIRED, "such a call was running; it answers CANCELLED, or done if it was too late")
HV_RECORD_STRUCT (cancel_result, CANCELLED);
HV_RECORD_TABLE (cancel_result, CANCELLED, "result of cancel");

static int
bus_cancel (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  const struct cancel_args *a = args;
  struct cancel_result *r = result;
  (void) self;
  int rc = want_peer (c, err);
  if (rc < 0)
    return rc;
  r->cancelled = c->request.peer->cancel (c->request.peer, a->id) ? 1 : 0;
  return 0;
}

#define ATTACH_ARGS(F, T) F (T, STR, _, token, HV_REQUIRED | HV_SECRET, "what the call answered that opened the stream", .max = 128)
HV_RECORD_STRUCT (attach_args, ATTACH_ARGS);
HV_RECORD_TABLE (attach_args, ATTACH_ARGS, "arguments of attach");

static int
bus_attach (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  const struct attach_args *a = args;
  (void) self;
  (void) result;
  int rc = want_peer (c, err);
  return rc < 0 ? rc : c->request.peer->attach (c->request.peer, a->token, err);
}

/* --- stats, log --- */

#define STATS(F, T) \
  F (T, U64, _, events, HV_REQUIRED, "events in the log") \
  F (T, U64, _, event_bytes, HV_REQUIRED, "their size", .unit = "bytes") \
  F (T, U64, _, oldest_seq, HV_REQUIRED, "first event that can still be resumed from") \
  F (T, U64, _, newest_seq, HV_REQUIRED, "newest event") \
  F (T, U64, _, max_rss_bytes, HV_REQUIRED, "peak resident size of the daemon", .unit = "bytes") \
  F (T, U32, _, streams, HV_REQUIRED, "open byte streams") \
  F (T, ANY, _, rpc, 0, "counters of the socket") \
  F (T, ANY, _, methods, HV_REQUIRED, "list of {name, calls, failures, busy_us}: methods that were called")
HV_RECORD_STRUCT (stats_result, STATS);
HV_RECORD_TABLE (stats_result, STATS, "counters since the daemon started");

static void
stats_instance (void *arg, struct hv_instance *i)
{
  struct describe *d = arg;
  for (uint32_t k = 0; k < i->route_count; k++) {
    struct hv_route *r = &i->routes[k];
    uint64_t calls = atomic_load_explicit (&r->calls, memory_order_relaxed);
    if (calls == 0)
      continue;
    d->count++;
    hv_pack_map (&d->pack, 4);
    hv_pack_str (&d->pack, "name");
    hv_pack_str (&d->pack, r->name);
    hv_pack_str (&d->pack, "calls");
    hv_pack_u64 (&d->pack, calls);
    hv_pack_str (&d->pack, "failures");
    hv_pack_u64 (&d->pack, atomic_load_explicit (&r->failures, memory_order_relaxed));
    hv_pack_str (&d->pack, "busy_us");
    hv_pack_u64 (&d->pack, atomic_load_explicit (&r->busy_us, memory_order_relaxed));
  }
}

static int
bus_stats (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct stats_result *r = result;
  struct hv_bus *b = bus_of (c);
  struct describe d = { .args = NULL };
  struct hv_pack rpc = { 0 };
  struct rusage ru;
  uint64_t epoch;
  (void) self;
  (void) args;
  hv_events_stats (b, &r->events, &r->event_bytes);
  r->oldest_seq = hv_events_oldest (b);
  hv_events_head (b, &epoch, &r->newest_seq);
  r->max_rss_bytes = getrusage (RUSAGE_SELF, &ru) == 0 ? (uint64_t) ru.ru_maxrss * 1024u : 0;
  r->streams = hv_streams_count (b);
  uint64_t list = hv_pack_array_open (&d.pack);
  hv_bus_each_instance (b, stats_instance, &d);
  hv_pack_array_close (&d.pack, list, d.count);
  if (b->hooks.stats != NULL) {
    b->hooks.stats (b->hooks.stats_arg, &rpc);
    r->has.rpc = pack_to_any (c, &rpc, &r->rpc, err) == 0;
  }
  return pack_to_any (c, &d.pack, &r->methods, err);
}

#define LOG_ARGS(F, T) F (T, STR, _, level, HV_REQUIRED, "info, or info,bus=debug,qmp=warning", .max = 1024)
HV_RECORD_STRUCT (log_args, LOG_ARGS);
HV_RECORD_TABLE (log_args, LOG_ARGS, "arguments of log");

static int
bus_log (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  const struct log_args *a = args;
  (void) self;
  (void) c;
  (void) result;
  return hv_log_configure (a->level, err);
}

/* --- the table --- */

static const struct hv_method *const methods[] = {
  HV_METHOD ("hello", HV_VIEWER, bus_hello, &hello_args_record, &hello_record, "introduces client and daemon to each other",
             .flags = HV_FAST | HV_READ | HV_HIDDEN),
  HV_METHOD ("ping", HV_VIEWER, bus_ping, NULL, NULL, "answers an empty map", .flags = HV_FAST | HV_READ),
  HV_METHOD ("describe", HV_VIEWER, bus_describe, &describe_args_record, &describe_result_record,
             "every method, event and field of every instance", .flags = HV_FAST | HV_READ | HV_HIDDEN),
  HV_METHOD ("plugins", HV_VIEWER, bus_plugins, NULL, &plugins_result_record, "every plugin instance, running or not, and why",
             .flags = HV_FAST | HV_READ),
  HV_METHOD ("subscribe", HV_VIEWER, bus_subscribe, &subscribe_args_record, &subscribed_record,
             "sends events as notifications, from now on or after a cursor", .flags = HV_FAST | HV_READ | HV_HIDDEN),
  HV_METHOD ("unsubscribe", HV_VIEWER, bus_unsubscribe, &unsubscribe_args_record, NULL, "ends a subscription",
             .flags = HV_FAST | HV_READ | HV_HIDDEN),
  HV_METHOD ("cancel", HV_VIEWER, bus_cancel, &cancel_args_record, &cancel_result_record, "cancels a call of this connection",
             .flags = HV_FAST | HV_READ | HV_HIDDEN),
  HV_METHOD ("attach", HV_VIEWER, bus_attach, &attach_args_record, NULL,
             "makes this connection the byte stream of a token: after the answer it carries raw bytes both ways", .flags = HV_FAST | HV_HIDDEN),
  HV_METHOD ("stats", HV_VIEWER, bus_stats, NULL, &stats_result_record, "counters", .flags = HV_FAST | HV_READ),
  HV_METHOD ("log", HV_ADMIN, bus_log, &log_args_record, NULL, "changes what is logged, until the daemon restarts", .flags = HV_FAST),
  NULL,
};

const struct hv_plugin hv_bus_plugin = {
  HV_PLUGIN_HEAD,
  .name = "bus",
  .version = HV_VERSION,
  .summary = "the core's own methods",
  .license = "LGPL-2.1-or-later",
  .methods = methods,
};

void
hv_bus_set_hooks (struct hv_bus *b, const struct hv_bus_hooks *hooks)
{
  b->hooks = *hooks;
}
