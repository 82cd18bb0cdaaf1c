/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a frame to a call and from its answer to a frame. */
#include "core/err/err.h"
#include "core/limits.h"
#include "core/log/log.h"
#include "core/rpc/private.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- answers --- */

static void
answer_head (struct hv_conn *c, uint32_t id)
{
  hv_pack_array (&c->out, 4);
  hv_pack_u64 (&c->out, 1);
  hv_pack_u64 (&c->out, id);
}

static void
pack_error_map (struct hv_pack *p, int code, const struct hv_err *err)
{
  uint32_t n = err != NULL ? hv_error_data_count (err) : 0;
  hv_pack_map (p, 3);
  hv_pack_str (p, "code");
  hv_pack_str (p, hv_err_name (code));
  hv_pack_str (p, "message");
  hv_pack_str (p, hv_err_message (err));
  hv_pack_str (p, "data");
  hv_pack_map (p, n);
  for (uint32_t i = 0; i < n; i++) {
    const char *key, *value;
    hv_error_data_at (err, i, &key, &value);
    hv_pack_str (p, key);
    hv_pack_str (p, value);
  }
}

/* [0, "NOT_FOUND: text"]: the one form that every msgpack-RPC client shows. */
static void
pack_error_text (struct hv_pack *p, int code, const struct hv_err *err)
{
  HV_CLEAN (hv_free) char *text = NULL;
  hv_pack_array (p, 2);
  hv_pack_u64 (p, 0);
  if (asprintf (&text, "%s: %s", hv_err_name (code), hv_err_message (err)) < 0)
    text = NULL;
  hv_pack_str (p, text != NULL ? text : hv_err_name (code));
}

static void
answer_error (struct hv_conn *c, uint32_t id, int code, const struct hv_err *err)
{
  answer_head (c, id);
  if (c->error_map)
    pack_error_map (&c->out, code, err);
  else
    pack_error_text (&c->out, code, err);
  hv_pack_nil (&c->out);
}

/* Answers are bounded, too: a result that is too long becomes an error instead of an endless frame. */
static void
answer_result (struct hv_conn *c, uint32_t id, struct hv_bin result)
{
  if (result.size + 16 > c->rpc->config.answer_bytes) {
    struct hv_err *err = hv_error_new ();
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "the answer has %llu bytes, the limit is %llu; ask for less (limit, continue)",
                       (unsigned long long) result.size, (unsigned long long) c->rpc->config.answer_bytes);
    answer_error (c, id, HV_E_RESOURCE_EXHAUSTED, err);
    hv_err_free (err);
    return;
  }
  answer_head (c, id);
  hv_pack_nil (&c->out);
  if (result.size > 0)
    hv_pack_raw (&c->out, result.data, result.size);
  else
    hv_pack_map (&c->out, 0);
}

/* Whether the peer still takes its answers. */
static int
conn_output_ok (struct hv_conn *c)
{
  if (!c->out.failed && hv_conn_queued (c) <= c->rpc->config.output_bytes)
    return 1;
  hv_conn_close (c, c->out.failed ? "out of memory" : "it does not read its answers");
  return 0;
}

/* --- calls --- */

static void
call_forget (struct hv_conn_call *cc)
{
  hv_list_remove (&cc->node);
  cc->conn->call_count--;
  free (cc);
}

static void
call_done (struct hv_call *call, void *arg)
{
  struct hv_conn_call *cc = arg;
  struct hv_conn *c = cc->conn;
  int code = hv_call_code (call);
  if (code < 0)
    answer_error (c, cc->id, code, hv_call_error (call));
  else
    answer_result (c, cc->id, hv_call_result (call) != NULL ? hv_msg_bytes (hv_call_result (call)) : (struct hv_bin){ NULL, 0 });
  call_forget (cc);
  if (conn_output_ok (c))
    hv_conn_dirty (c);
}

static void
call_progress (void *arg, const char *phase, uint64_t done, uint64_t total, const char *unit)
{
  struct hv_conn_call *cc = arg;
  struct hv_pack *p = &cc->conn->out;
  if (hv_conn_queued (cc->conn) > cc->conn->rpc->config.output_soft_bytes)
    return; /* the next report will do */
  hv_pack_array (p, 3);
  hv_pack_u64 (p, 2);
  hv_pack_str (p, "progress");
  hv_pack_array (p, 1);
  hv_pack_map (p, 5);
  hv_pack_str (p, "id");
  hv_pack_u64 (p, cc->id);
  hv_pack_str (p, "phase");
  hv_pack_str (p, phase);
  hv_pack_str (p, "done");
  hv_pack_u64 (p, done);
  hv_pack_str (p, "total");
  hv_pack_u64 (p, total);
  hv_pack_str (p, "unit");
  hv_pack_str (p, unit);
  hv_conn_dirty (cc->conn);
}

static int
call_send (struct hv_conn *c, uint32_t id, struct hv_route *route, struct hv_call_request *req, struct hv_err *err)
{
  struct hv_conn_call *cc = calloc (1, sizeof *cc);
  if (cc == NULL) {
    hv_instance_unref (route->instance);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  cc->conn = c;
  cc->id = id;
  req->done = call_done;
  req->progress = call_progress;
  req->arg = cc;
  hv_list_add (&c->calls, &cc->node);
  c->call_count++;
  cc->call = hv_call_send (route, req);
  if (cc->call != NULL)
    return 0;
  call_forget (cc);
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* A method that the main loop itself answers in place. 1: answered. */
static int
call_fast (struct hv_conn *c, uint32_t id, struct hv_route *route, const struct hv_call_request *req, struct hv_err *err)
{
  uint64_t size = c->out.size;
  answer_head (c, id);
  hv_pack_nil (&c->out);
  int r = hv_call_inline (route, req, &c->out, err);
  hv_instance_unref (route->instance);
  if (r == 0)
    return 0;
  c->out.size = size;
  return r;
}

static int
request_run (struct hv_conn *c, const struct hv_frame *f, struct hv_err *err)
{
  struct hv_call_request req = { .loop = c->rpc->loop, .peer = &c->peer, .uid = c->peer.uid, .role = c->peer.role };
  struct hv_route *route = NULL;
  int r = c->peer.role == 0 ? hv_err_set (err, HV_E_PERMISSION_DENIED, "uid %u has no role on this node; core.json maps uids to roles", c->peer.uid) : 0;
  if (r == 0)
    r = hv_bus_route (c->rpc->bus, (const char *) f->method.data, f->method.size, &route, err);
  if (r < 0)
    return r;
  r = hv_call_check_access (route, c->peer.role, err);
  if (r == 0)
    r = hv_frame_args (f->args, &req.args, err);
  if (r == 0)
    r = hv_call_reserved (req.args, &req, err);
  if (r < 0) {
    hv_instance_unref (route->instance);
    return r;
  }
  if ((route->method.flags & HV_FAST) && route->instance->loop == c->rpc->loop)
    return call_fast (c, f->id, route, &req, err);
  return call_send (c, f->id, route, &req, err);
}

static void
scratch_renew (struct hv_rpc *rpc)
{
  hv_err_free (rpc->scratch);
  rpc->scratch = hv_error_new ();
}

void
hv_conn_frame (struct hv_conn *c, struct hv_bin frame)
{
  struct hv_rpc *rpc = c->rpc;
  struct hv_frame f;
  if (hv_frame_parse (frame, &f, rpc->scratch) < 0) {
    rpc->protocol_errors++;
    hv_conn_close (c, hv_err_message (rpc->scratch));
    scratch_renew (rpc);
    return;
  }
  if (f.kind != 0) { /* notifications are accepted and never answered; nobody was asked, so a response answers nothing */
    rpc->notifications++;
    return;
  }
  rpc->requests++;
  int r = request_run (c, &f, rpc->scratch);
  if (r < 0) {
    answer_error (c, f.id, r, rpc->scratch);
    scratch_renew (rpc);
  }
  (void) conn_output_ok (c);
}

void
hv_conn_detach_calls (struct hv_conn *c)
{
  while (!hv_list_empty (&c->calls)) {
    struct hv_conn_call *cc = hv_container (c->calls.next, struct hv_conn_call, node);
    hv_call_detach (cc->call);
    call_forget (cc);
  }
}

/* --- what bus.hello, bus.cancel and bus.attach need --- */

void
hv_conn_set_error_map (struct hv_peer *p, int on)
{
  hv_container (p, struct hv_conn, peer)->error_map = on ? 1 : 0;
}

int
hv_conn_cancel (struct hv_peer *p, uint32_t id)
{
  struct hv_conn *c = hv_container (p, struct hv_conn, peer);
  for (struct hv_list *n = c->calls.next; n != &c->calls; n = n->next) {
    struct hv_conn_call *cc = hv_container (n, struct hv_conn_call, node);
    if (cc->id == id) {
      hv_call_cancel (cc->call);
      return 1;
    }
  }
  return 0;
}

/* Answers and events must not fall into the raw bytes: only a connection that waits for neither can become a stream. */
int
hv_conn_attach (struct hv_peer *p, const char *token, struct hv_err *err)
{
  struct hv_conn *c = hv_container (p, struct hv_conn, peer);
  if (c->call_count > 0 || c->subs != NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "a stream needs a connection of its own: this one has %u calls under way and %u subscriptions",
                       c->call_count, c->sub_count);
  return hv_stream_claim (c->rpc->bus, token, p->uid, &c->stream, err);
}
