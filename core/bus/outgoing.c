/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls that a plugin makes: encoded, sent, waited for, decoded into the memory of the fiber that calls. */
#include "core/bus/host.h"
#include "core/err/err.h"
#include "core/limits.h"
#include <string.h>

struct outgoing {
  struct hv_fiber *fiber;
  int code;
  struct hv_msg *result;
  struct hv_err *err;
  struct hv_call *progress_of; /* NULL: nobody wants to know */
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

static void
outgoing_progress (void *arg, const char *phase, uint64_t done, uint64_t total, const char *unit)
{
  struct outgoing *o = arg;
  o->fiber->instance->host.api->progress (o->progress_of, phase, done, total, unit);
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
outgoing_send (struct hv_fiber *f, struct hv_route *route, struct hv_pack *args, const struct hv_call_options *opts,
               struct outgoing *o, struct hv_err *err)
{
  struct hv_instance *i = f->instance;
  struct hv_call_request req = { .loop = i->loop, .done = outgoing_done, .arg = o, .role = i->role };
  req.depth = f->call != NULL ? f->call->request.depth + 1 : 1;
  req.uid = f->call != NULL ? f->call->request.uid : (uint32_t) getuid ();
  req.deadline_ms = outgoing_deadline (f, opts);
  req.args_msg = hv_msg_from_pack (args);
  if (opts != NULL && opts->struct_size >= offsetof (struct hv_call_options, max_age_ms) + sizeof opts->max_age_ms)
    req.max_age_ms = opts->max_age_ms;
  if (o->progress_of != NULL) {
    req.progress = outgoing_progress;
    req.flags |= HV_CALL_PROGRESS;
  }
  int r = req.depth > HV_LIMIT_CALL_DEPTH
              ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: calls are nested deeper than %u", route->name, HV_LIMIT_CALL_DEPTH)
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

int
hv_host_call (struct hv_host *h, const char *method, const struct hv_record *args_rec, const void *args,
              const struct hv_record *result_rec, void *result, const struct hv_call_options *opts, struct hv_err *err)
{
  struct hv_instance *i = hv_instance_of (h);
  struct hv_fiber *f = hv_host_fiber (i, "call", err);
  struct hv_pack p = { 0 };
  struct hv_route *route = NULL;
  if (f == NULL)
    return HV_E_INTERNAL;
  int r = outgoing_encode (args_rec, args, &p, err);
  if (r == 0)
    r = hv_bus_route (i->bus, method, strlen (method), &route, err);
  struct outgoing o = { .fiber = f, .err = err };
  if (opts != NULL && opts->struct_size >= offsetof (struct hv_call_options, progress_of) + sizeof opts->progress_of)
    o.progress_of = opts->progress_of;
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
