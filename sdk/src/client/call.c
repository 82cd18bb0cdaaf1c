/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls: sending requests, finding the pending call of an answer, deadlines, cancelling. */
#include "impl.h"
#include <string.h>

/* --- pending calls --- */

static struct hv_client_pending **
bucket_of (struct hv_client *c, uint32_t id)
{
  return &c->buckets[id % HV_CLIENT_BUCKETS];
}

struct hv_client_pending *
hv_client_pending_find (struct hv_client *c, uint32_t id)
{
  struct hv_client_pending *p = *bucket_of (c, id);
  while (p != NULL && p->id != id)
    p = p->next;
  return p;
}

struct hv_client_pending *
hv_client_pending_take (struct hv_client *c, uint32_t id)
{
  for (struct hv_client_pending **at = bucket_of (c, id); *at != NULL; at = &(*at)->next)
    if ((*at)->id == id) {
      struct hv_client_pending *p = *at;
      *at = p->next;
      c->pending_count--;
      return p;
    }
  return NULL;
}

static void
pending_fail (struct hv_client_pending *p, int code, const char *why)
{
  struct hv_err *err = hv_error_new ();
  (void)hv_err_set (err, code, "call '%s': %s", p->method, why);
  if (p->done != NULL)
    p->done (p->done_arg, code, (struct hv_bin){ NULL, 0 }, err);
  hv_err_free (err);
  free (p);
}

void
hv_client_pending_fail_all (struct hv_client *c, int code, const char *why)
{
  for (uint32_t i = 0; i < HV_CLIENT_BUCKETS; i++)
    while (c->buckets[i] != NULL)
      pending_fail (hv_client_pending_take (c, c->buckets[i]->id), code, why);
}

static struct hv_client_pending *
find_expired (struct hv_client *c, uint64_t now, uint64_t *ret_next)
{
  *ret_next = 0;
  for (uint32_t i = 0; i < HV_CLIENT_BUCKETS; i++)
    for (struct hv_client_pending *p = c->buckets[i]; p != NULL; p = p->next) {
      if (p->deadline_ms == 0)
        continue;
      if (p->deadline_ms <= now)
        return p;
      if (*ret_next == 0 || p->deadline_ms < *ret_next)
        *ret_next = p->deadline_ms;
    }
  return NULL;
}

void
hv_client_pending_expire (struct hv_client *c)
{
  uint64_t now, next;
  struct hv_client_pending *p;
  if (c->next_deadline_ms == 0 || c->next_deadline_ms > (now = hv_client_now_ms ()))
    return;
  while ((p = find_expired (c, now, &next)) != NULL) {
    (void)hv_client_cancel (c, p->id, NULL);
    pending_fail (hv_client_pending_take (c, p->id), HV_E_DEADLINE_EXCEEDED, "the daemon did not answer in time");
  }
  c->next_deadline_ms = next;
}

/* --- requests --- */

/* The argument map with the reserved arguments of the options added. */
static void
pack_args (struct hv_pack *to, struct hv_bin args, const struct hv_client_call_options *o)
{
  struct hv_read r = { args.data, args.data + args.size };
  struct hv_value map = { .type = HV_MP_MAP };
  if (args.size > 0)
    (void)hv_read_next (&r, &map);
  uint32_t extra
      = o == NULL ? 0 : (o->timeout_ms != 0) + (o->max_age_ms != 0) + (o->idempotency_key != NULL) + (o->progress != NULL);
  hv_pack_map (to, map.size + extra);
  if (extra > 0 && o->timeout_ms != 0) {
    hv_pack_str (to, "_timeout_ms");
    hv_pack_u64 (to, o->timeout_ms);
  }
  if (extra > 0 && o->max_age_ms != 0) {
    hv_pack_str (to, "_max_age_ms");
    hv_pack_u64 (to, o->max_age_ms);
  }
  if (extra > 0 && o->idempotency_key != NULL) {
    hv_pack_str (to, "_idempotency_key");
    hv_pack_str (to, o->idempotency_key);
  }
  if (extra > 0 && o->progress != NULL) {
    hv_pack_str (to, "_progress");
    hv_pack_bool (to, 1);
  }
  if (args.size > 0)
    hv_pack_raw (to, r.at, (uint64_t)(r.end - r.at));
}

static int
check_args (const struct hv_client *c, struct hv_bin args, struct hv_err *err)
{
  if (args.size == 0)
    return 0;
  int r = hv_fence_check (args, c->info.request_bytes != 0 ? c->info.request_bytes : HV_CLIENT_OUT_MAX, err);
  if (r != 0)
    return hv_err_wrap (err, r, "arguments");
  struct hv_read rd = { args.data, args.data + args.size };
  struct hv_value v;
  if (!hv_read_next (&rd, &v) || v.type != HV_MP_MAP)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "arguments: they have to be one map");
  return 0;
}

static uint32_t
free_id (struct hv_client *c)
{
  do
    c->next_id++;
  while (hv_client_pending_find (c, c->next_id) != NULL);
  return c->next_id;
}

static int
append_request (struct hv_client *c, uint32_t id, const char *method, struct hv_bin args, const struct hv_client_call_options *o,
                struct hv_err *err)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  hv_pack_array (&p, 4);
  hv_pack_u64 (&p, 0);
  hv_pack_u64 (&p, id);
  hv_pack_str (&p, method);
  hv_pack_array (&p, 1);
  pack_args (&p, args, o);
  if (p.failed)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (c->info.request_bytes != 0 && p.size > c->info.request_bytes)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "the request has %llu bytes, the daemon takes %llu",
                       (unsigned long long)p.size, (unsigned long long)c->info.request_bytes);
  if (p.size > HV_CLIENT_OUT_MAX - (c->out.size - c->out.at))
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "more than %u MiB wait to be sent", HV_CLIENT_OUT_MAX >> 20);
  if (hv_client_buf_append (&c->out, p.data, p.size) != 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return 0;
}

static void
set_deadline (struct hv_client *c, struct hv_client_pending *p, const struct hv_client_call_options *o)
{
  if (o == NULL || o->timeout_ms == 0)
    return;
  p->deadline_ms = hv_client_now_ms () + o->timeout_ms + c->grace_ms;
  if (c->next_deadline_ms == 0 || p->deadline_ms < c->next_deadline_ms)
    c->next_deadline_ms = p->deadline_ms;
}

static struct hv_client_pending *
pending_new (const char *method, const struct hv_client_call_options *o, hv_client_done_fn *done, void *arg)
{
  uint64_t n = strlen (method) + 1;
  struct hv_client_pending *p = calloc (1, sizeof *p + n);
  if (p == NULL)
    return NULL;
  memcpy (p->method, method, n);
  p->done = done;
  p->done_arg = arg;
  p->progress = o != NULL ? o->progress : NULL;
  p->progress_arg = o != NULL ? o->arg : NULL;
  return p;
}

int
hv_client_call_async (struct hv_client *c, const char *method, struct hv_bin args, const struct hv_client_call_options *o,
                      hv_client_done_fn *done, void *arg, uint32_t *ret_id, struct hv_err *err)
{
  if (c->lost)
    return hv_client_lost_error (c, err);
  int r = check_args (c, args, err);
  if (r != 0)
    return hv_err_wrap (err, r, "call '%s'", method);
  struct hv_client_pending *p = pending_new (method, o, done, arg);
  if (p == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  p->id = free_id (c);
  r = append_request (c, p->id, method, args, o, err);
  if (r != 0) {
    free (p);
    return hv_err_wrap (err, r, "call '%s'", method);
  }
  set_deadline (c, p, o);
  p->next = *bucket_of (c, p->id);
  *bucket_of (c, p->id) = p;
  c->pending_count++;
  if (ret_id != NULL)
    *ret_id = p->id;
  return 0;
}

int
hv_client_cancel (struct hv_client *c, uint32_t id, struct hv_err *err)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  if (!c->lost && hv_client_pending_find (c, id) == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "there is no call %u to cancel", id);
  hv_pack_map (&p, 1);
  hv_pack_str (&p, "id");
  hv_pack_u64 (&p, id);
  return hv_client_call_async (c, "bus.cancel", hv_client_packed (&p), NULL, NULL, NULL, NULL, err);
}

/* --- the blocking call --- */

struct waiter {
  struct hv_pack *result;
  struct hv_err *err;
  int done, code;
};

static void
on_waited (void *arg, int code, struct hv_bin result, const struct hv_err *error)
{
  struct waiter *w = arg;
  w->done = 1;
  w->code = code;
  if (code == 0 && w->result != NULL)
    hv_pack_raw (w->result, result.data, result.size);
  if (code != 0 && w->err != NULL) {
    struct hv_err *copy = hv_error_dup (error);
    if (copy != NULL)
      hv_err_api_of (w->err)->move (w->err, copy);
    else
      (void)hv_err_set (w->err, code, "%s", hv_err_message (error));
    hv_err_free (copy);
  }
}

int
hv_client_call (struct hv_client *c, const char *method, struct hv_bin args, const struct hv_client_call_options *o,
                struct hv_pack *ret, struct hv_err *err)
{
  HV_CLEAN (hv_pack) struct hv_pack result = { 0 };
  struct waiter w = { .result = &result, .err = err };
  int r = hv_client_may_block (c, err);
  if (r == 0)
    r = hv_client_call_async (c, method, args, o, on_waited, &w, NULL, err);
  if (r != 0)
    return r;
  while (!w.done)
    (void)hv_client_wait (c, -1, NULL);
  if (w.code == 0 && result.failed)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (w.code == 0 && ret != NULL) {
    *ret = result;
    result = (struct hv_pack){ 0 };
  }
  return w.code;
}
