/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of a call. Two references: the caller's handle and the callee's work. Each side runs on its own loop. */
#include "core/bus/instance.h"
#include "core/err/err.h"
#include "core/limits.h"
#include <stdlib.h>
#include <string.h>

void
hv_call_ref (struct hv_call *c)
{
  atomic_fetch_add_explicit (&c->refs, 1, memory_order_relaxed);
}

void
hv_call_unref (struct hv_call *c)
{
  if (atomic_fetch_sub_explicit (&c->refs, 1, memory_order_acq_rel) != 1)
    return;
  hv_msg_unref (c->request.args_msg);
  hv_msg_unref (c->result);
  hv_msg_unref (c->reply_result);
  hv_err_free (c->error);
  hv_err_free (c->reply_error);
  hv_instance_unref (c->route->instance);
  free (c);
}

/* --- callee's side --- */

static void
call_reply (struct hv_call *c, int code)
{
  c->reply_code = code;
  hv_loop_post (c->request.loop, &c->reply_task); /* the callee's reference travels with the task */
}

static void
call_reply_error (struct hv_call *c, struct hv_err *err, int code)
{
  c->reply_error = err;
  call_reply (c, code);
}

static int
call_encode_result (struct hv_call *c, const void *result, struct hv_err *err)
{
  struct hv_pack p = { 0 };
  if (c->route->method.result == NULL)
    return 0;
  int r = hv_record_encode (c->route->method.result, result, &p, err);
  if (r < 0) {
    hv_pack_clear (&p);
    return hv_err_wrap (err, r, "result of %s", c->route->name);
  }
  c->reply_result = hv_msg_from_pack (&p);
  return c->reply_result == NULL ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "result of %s: out of memory", c->route->name) : 0;
}

static struct hv_bin
call_args (const struct hv_call *c)
{
  if (c->request.args_msg != NULL)
    return hv_msg_bytes (c->request.args_msg);
  return c->request.args;
}

static int
call_decode_args (struct hv_call *c, struct hv_arena *arena, void **ret, struct hv_err *err)
{
  const struct hv_record *rec = c->route->method.args;
  struct hv_decode how = { .arena = arena };
  void *args = hv_arena_alloc (arena, rec != NULL && rec->c_size > 0 ? rec->c_size : 1);
  if (args == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "arguments of %s: out of memory", c->route->name);
  static const struct hv_field *const no_fields[] = { NULL };
  static const struct hv_record nothing = { .struct_size = sizeof nothing, .c_size = 1, .name = "no arguments", .fields = no_fields };
  if (c->request.args_msg != NULL)
    how.fds = hv_msg_fds (c->request.args_msg, &how.fd_count);
  int r = (c->route->method.flags & HV_CALL_RAW) ? 0 : hv_record_decode (rec != NULL ? rec : &nothing, call_args (c), &how, args, err);
  if (r < 0)
    return hv_err_wrap (err, r, "%s", c->route->name);
  *ret = args;
  return 0;
}

static int
call_alloc_result (struct hv_call *c, struct hv_arena *arena, void **ret, struct hv_err *err)
{
  const struct hv_record *rec = c->route->method.result;
  *ret = hv_arena_alloc (arena, rec != NULL && rec->c_size > 0 ? rec->c_size : 1);
  return *ret != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "result of %s: out of memory", c->route->name);
}

/* What the caller is told when a handler failed after it was cancelled. */
static int
call_outcome (struct hv_call *c, int r, struct hv_err *err)
{
  if (r == HV_E_CANCELLED && c->preempted)
    return hv_err_set (err, HV_E_ABORTED, "%s was pre-empted by a destroying call", c->route->name);
  if (r > 0)
    return hv_err_set (err, HV_E_INTERNAL, "%s returned %d, which is not a code", c->route->name, r);
  return r;
}

/* The body of a handler's fiber. */
static void
call_run (struct hv_fiber *f)
{
  struct hv_call *c = f->call;
  struct hv_err *err = hv_error_new ();
  void *args = NULL, *result = NULL;
  int r = call_decode_args (c, &f->arena, &args, err);
  if (r == 0)
    r = call_alloc_result (c, &f->arena, &result, err);
  if (r == 0)
    r = hv_lane_enter (c, err);
  if (r == 0) {
    r = call_outcome (c, c->route->method.handler (f->instance->self, c, args, result, err), err);
    hv_lane_leave (c);
  }
  if (r == 0)
    r = call_encode_result (c, result, err);
  c->fiber = NULL;
  f->call = NULL;
  atomic_fetch_sub (&f->instance->calls_running, 1);
  if (r < 0)
    call_reply_error (c, err, r);
  else {
    hv_err_free (err);
    call_reply (c, 0);
  }
}

static void
call_run_fast (struct hv_call *c)
{
  struct hv_instance *i = c->route->instance;
  struct hv_err *err = hv_error_new ();
  void *args = NULL, *result = NULL;
  uint64_t mark = hv_arena_mark (&i->scratch);
  int r = call_decode_args (c, &i->scratch, &args, err);
  if (r == 0)
    r = call_alloc_result (c, &i->scratch, &result, err);
  if (r == 0)
    r = hv_boundary_fast (i, c->route, c, args, result, err);
  if (r == 0)
    r = call_encode_result (c, result, err);
  hv_arena_release (&i->scratch, mark);
  atomic_fetch_sub (&i->calls_running, 1);
  if (r < 0) {
    call_reply_error (c, err, r);
    return;
  }
  hv_err_free (err);
  call_reply (c, 0);
}

int
hv_call_inline (struct hv_route *route, const struct hv_call_request *req, struct hv_pack *out, struct hv_err *err)
{
  struct hv_instance *i = route->instance;
  struct hv_call c = { .api = &hv_host_api_table, .refs = 2, .route = route, .request = *req };
  void *args = NULL, *result = NULL;
  uint64_t mark = hv_arena_mark (&i->scratch), size = out->size;
  int r = call_decode_args (&c, &i->scratch, &args, err);
  if (r == 0)
    r = call_alloc_result (&c, &i->scratch, &result, err);
  if (r == 0)
    r = hv_boundary_fast (i, route, &c, args, result, err);
  if (r == 0 && route->method.result == NULL)
    hv_pack_map (out, 0);
  else if (r == 0)
    r = hv_record_encode (route->method.result, result, out, err);
  hv_arena_release (&i->scratch, mark);
  atomic_fetch_add_explicit (&route->calls, 1, memory_order_relaxed);
  if (r < 0) {
    out->size = size;
    atomic_fetch_add_explicit (&route->failures, 1, memory_order_relaxed);
  }
  return r;
}

static void
call_refuse (struct hv_call *c, int code, const char *text)
{
  struct hv_err *err = hv_error_new ();
  atomic_fetch_sub (&c->route->instance->calls_running, 1);
  call_reply_error (c, err, hv_err_set (err, code, "%s: %s", c->route->name, text));
}

static void
call_deliver (struct hv_task *t)
{
  struct hv_call *c = hv_container (t, struct hv_call, deliver_task);
  struct hv_instance *i = c->route->instance;
  uint32_t state = atomic_load (&i->state);
  c->started_ms = hv_loop_now_ms ();
  if (i->stopping || (state != HV_INSTANCE_RUNNING && state != HV_INSTANCE_STARTING)) {
    call_refuse (c, HV_E_UNAVAILABLE, "the plugin is stopping");
  } else if (atomic_load (&c->cancelled)) {
    call_refuse (c, HV_E_CANCELLED, "cancelled before it started");
  } else if (c->route->method.flags & HV_FAST) {
    call_run_fast (c);
  } else if (hv_fiber_start (i, c->route->name, c, call_run, NULL, NULL) == NULL) { /* else it may be answered and gone by now */
    call_refuse (c, HV_E_RESOURCE_EXHAUSTED, "too many calls are running");
  }
}

static void
call_cancel_deliver (struct hv_task *t)
{
  struct hv_call *c = hv_container (t, struct hv_call, cancel_task);
  if (c->fiber != NULL)
    hv_fiber_cancel (c->fiber);
  hv_call_unref (c);
}

/* --- caller's side --- */

static void
call_post_cancel (struct hv_call *c)
{
  atomic_store (&c->cancelled, 1);
  if (atomic_load (&c->route->instance->state) >= HV_INSTANCE_STOPPED)
    return; /* nobody is there to hear it, and the answer is on its way */
  if (atomic_flag_test_and_set (&c->cancel_posted))
    return;
  hv_call_ref (c);
  hv_loop_post (c->route->instance->loop, &c->cancel_task);
}

static void
call_answer (struct hv_call *c, int code)
{
  c->answered = 1;
  c->code = code;
  hv_loop_deadline_disarm (c->request.loop, &c->deadline);
  if (code < 0)
    atomic_fetch_add_explicit (&c->route->failures, 1, memory_order_relaxed);
  c->request.done (c, c->request.arg);
  hv_call_unref (c);
}

static void
call_reply_deliver (struct hv_task *t)
{
  struct hv_call *c = hv_container (t, struct hv_call, reply_task);
  if (!c->answered) {
    c->result = HV_STEAL (c->reply_result);
    c->error = HV_STEAL (c->reply_error);
    call_answer (c, c->reply_code);
  }
  hv_call_unref (c);
}

static void
call_deadline_passed (struct hv_deadline *d)
{
  struct hv_call *c = hv_container (d, struct hv_call, deadline);
  int read = (c->route->method.flags & HV_READ) != 0;
  call_post_cancel (c);
  c->error = hv_error_new ();
  int code = hv_err_set (c->error, read ? HV_E_DEADLINE_EXCEEDED : HV_E_UNKNOWN,
                         read ? "%s: no answer within %llu ms" : "%s: no answer within %llu ms; whether it was done is not known, read the state",
                         c->route->name, (unsigned long long) (hv_loop_now_ms () - c->sent_ms));
  call_answer (c, code);
}

static uint64_t
call_default_timeout (const struct hv_method *m)
{
  if (m->timeout_ms != 0)
    return m->timeout_ms;
  return (m->flags & HV_READ) ? 5000 : 30000;
}

static struct hv_call *
call_new (struct hv_route *route, const struct hv_call_request *req)
{
  uint64_t copy = req->args_msg == NULL ? req->args.size : 0;
  struct hv_call *c = calloc (1, sizeof *c + copy);
  if (c == NULL)
    return NULL;
  c->api = &hv_host_api_table;
  c->refs = 2;
  c->route = route;
  c->request = *req;
  c->args_size = copy;
  if (copy > 0) {
    memcpy (c->args_copy, req->args.data, copy);
    c->request.args.data = c->args_copy;
  }
  if (req->args_msg != NULL)
    c->request.args_msg = hv_msg_ref (req->args_msg);
  c->deliver_task.fn = call_deliver;
  c->cancel_task.fn = call_cancel_deliver;
  c->reply_task.fn = call_reply_deliver;
  c->deadline.fn = call_deadline_passed;
  atomic_flag_clear (&c->cancel_posted);
  return c;
}

int
hv_call_check_access (const struct hv_route *route, uint32_t role, struct hv_err *err)
{
  static const char *const words[] = { "nobody", "viewer", "operator", "admin" };
  if (role >= route->method.access)
    return 0;
  return hv_err_set (err, HV_E_PERMISSION_DENIED, "%s needs role %s, the caller has %s; core.json maps uids to roles", route->name,
                     words[route->method.access & 3], words[role & 3]);
}

struct hv_call *
hv_call_send (struct hv_route *route, const struct hv_call_request *req)
{
  struct hv_call *c = call_new (route, req);
  if (c == NULL) {
    hv_instance_unref (route->instance);
    return NULL;
  }
  uint64_t now = hv_loop_now_ms ();
  c->sent_ms = now;
  if (c->request.deadline_ms == 0)
    c->request.deadline_ms = now + call_default_timeout (&route->method);
  (void) hv_loop_deadline_arm (req->loop, &c->deadline, c->request.deadline_ms);
  atomic_fetch_add_explicit (&route->calls, 1, memory_order_relaxed);
  atomic_fetch_add (&route->instance->calls_running, 1);
  hv_loop_post (route->instance->loop, &c->deliver_task);
  return c;
}

void
hv_call_cancel (struct hv_call *c)
{
  if (!c->answered)
    call_post_cancel (c);
}

void
hv_call_detach (struct hv_call *c)
{
  call_post_cancel (c);
  c->answered = 1;
  hv_loop_deadline_disarm (c->request.loop, &c->deadline);
  hv_call_unref (c);
}

int
hv_call_code (const struct hv_call *c)
{
  return c->code;
}

struct hv_msg *
hv_call_result (const struct hv_call *c)
{
  return c->result;
}

struct hv_err *
hv_call_error (const struct hv_call *c)
{
  return c->error;
}

/* --- reserved arguments --- */

static int
reserved_number (struct hv_value v, const char *name, uint64_t max, uint64_t *ret, struct hv_err *err)
{
  if (v.type != HV_MP_UINT || v.as.u > max)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "%s: a whole number from 0 to %llu is wanted", name, (unsigned long long) max);
  *ret = v.as.u;
  return 0;
}

static int
reserved_one (struct hv_bin key, struct hv_read *r, struct hv_call_request *req, struct hv_err *err)
{
  struct hv_value v;
  uint64_t n = 0;
  struct hv_read probe = *r;
  if (!hv_read_next (&probe, &v))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "arguments are cut short");
  if (key.size == 11 && memcmp (key.data, "_timeout_ms", 11) == 0) {
    int rc = reserved_number (v, "_timeout_ms", HV_LIMIT_TIMEOUT_MS, &n, err);
    if (rc < 0 || n == 0)
      return rc < 0 ? rc : hv_err_set (err, HV_E_INVALID_ARGUMENT, "_timeout_ms: no call is without a deadline; 1 or more is wanted");
    req->deadline_ms = hv_loop_now_ms () + n;
  } else if (key.size == 9 && memcmp (key.data, "_progress", 9) == 0) {
    if (v.type != HV_MP_BOOL)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "_progress: true or false is wanted");
    req->flags |= v.as.u ? HV_CALL_PROGRESS : 0;
  } else if (key.size == 11 && memcmp (key.data, "_max_age_ms", 11) == 0) {
    int rc = reserved_number (v, "_max_age_ms", HV_LIMIT_TIMEOUT_MS, &req->max_age_ms, err);
    if (rc < 0)
      return rc;
  } else if (key.size == 16 && memcmp (key.data, "_idempotency_key", 16) == 0) {
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "_idempotency_key: this version does not keep results for a repeated call; leave it out");
  } else {
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "unknown reserved argument '%.*s': _timeout_ms, _progress and _max_age_ms are known",
                       (int) (key.size > 64 ? 64 : key.size), (const char *) key.data);
  }
  return 0;
}

int
hv_call_reserved (struct hv_bin args, struct hv_call_request *req, struct hv_err *err)
{
  struct hv_read r = { args.data, args.data + args.size };
  struct hv_value map, key;
  if (args.size <= 1 || !hv_read_next (&r, &map) || map.type != HV_MP_MAP)
    return 0;
  for (uint32_t i = 0; i < map.size; i++) {
    if (!hv_read_next (&r, &key))
      return 0;
    if (key.type == HV_MP_STR && key.size > 0 && key.as.data[0] == '_') {
      int rc = reserved_one ((struct hv_bin){ key.as.data, key.size }, &r, req, err);
      if (rc < 0)
        return rc;
    } else if (key.type != HV_MP_STR) {
      return 0; /* the field decoder says what is wrong with it */
    }
    (void) hv_read_skip (&r);
  }
  return 0;
}
