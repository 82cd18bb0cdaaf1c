/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host vtable: what a plugin may ask of the core (see <hvkit/plugin.h> for each function's promise). Here is what needs no more
 * than a few lines; the rest is in the files of its nouns. Everything that is registered is on a list of its instance, so that nothing
 * outlives it. */
#include "core/bus/host.h"
#include "core/err/err.h"
#include "core/fault/fault.h"
#include "core/limits.h"
#include "core/log/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

HV_PRINTF (3, 0)
static void
host_logv (struct hv_host *h, int32_t level, const char *fmt, va_list ap)
{
  hv_log_linev (hv_instance_of (h)->name, level, fmt, ap);
}

static const struct hv_host_info *
host_info (struct hv_host *h)
{
  return &hv_instance_of (h)->info;
}

/* --- memory --- */

void *
hv_host_alloc (struct hv_host *h, uint64_t size)
{
  return hv_arena_alloc (hv_instance_arena (hv_instance_of (h)), size);
}

static uint64_t
host_scope_mark (struct hv_host *h)
{
  return hv_arena_mark (hv_instance_arena (hv_instance_of (h)));
}

static void
host_scope_release (struct hv_host *h, uint64_t mark)
{
  hv_arena_release (hv_instance_arena (hv_instance_of (h)), mark);
}

/* --- about the call --- */

static int
host_cancelled (struct hv_call *c)
{
  return atomic_load (&c->cancelled) || (c->fiber != NULL && c->fiber->cancelled);
}

static uint32_t
host_caller_uid (struct hv_call *c)
{
  return c->request.uid;
}

static uint64_t
host_deadline_left_ms (struct hv_call *c)
{
  uint64_t now = hv_loop_now_ms ();
  return c->request.deadline_ms > now ? c->request.deadline_ms - now : 0;
}

static uint64_t
host_max_age_ms (struct hv_call *c)
{
  return c->request.max_age_ms;
}

struct progress {
  struct hv_task task;
  struct hv_call *call;
  uint64_t done, total;
  char phase[64], unit[16];
};

static void
progress_deliver (struct hv_task *t)
{
  struct progress *p = hv_container (t, struct progress, task);
  if (!p->call->answered && p->call->request.progress != NULL)
    p->call->request.progress (p->call->request.arg, p->phase, p->done, p->total, p->unit);
  hv_call_unref (p->call);
  free (p);
}

/* At most ten a second and the last one: a loop that reports every block costs the bus nothing. */
static void
host_progress (struct hv_call *c, const char *phase, uint64_t done, uint64_t total, const char *unit)
{
  uint64_t now = hv_loop_now_ms ();
  if (!(c->request.flags & HV_CALL_PROGRESS) || (now < c->progress_ms + 100 && done != total))
    return;
  struct progress *p = calloc (1, sizeof *p);
  if (p == NULL)
    return;
  c->progress_ms = now;
  hv_call_ref (c);
  p->task.fn = progress_deliver;
  p->call = c;
  p->done = done;
  p->total = total;
  (void) snprintf (p->phase, sizeof p->phase, "%s", phase != NULL ? phase : "");
  (void) snprintf (p->unit, sizeof p->unit, "%s", unit != NULL ? unit : "");
  hv_loop_post (c->request.loop, &p->task);
}

/* --- records --- */

static int
host_decode (struct hv_host *h, const struct hv_record *rec, struct hv_bin b, uint32_t flags, void *out, struct hv_err *err)
{
  struct hv_decode how = { .arena = hv_instance_arena (hv_instance_of (h)), .flags = flags };
  int r = hv_fence_check (b, HV_LIMIT_ANSWER_BYTES, err);
  return r < 0 ? r : hv_record_decode (rec, b, &how, out, err);
}

static int
host_encode (struct hv_host *h, const struct hv_record *rec, const void *in, struct hv_bin *ret, struct hv_err *err)
{
  struct hv_pack p = { 0 };
  int r = hv_record_encode (rec, in, &p, err);
  uint8_t *copy = r == 0 ? hv_host_alloc (h, p.size) : NULL;
  if (r == 0 && copy == NULL)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r == 0) {
    memcpy (copy, p.data, p.size);
    *ret = (struct hv_bin){ copy, p.size };
  }
  hv_pack_clear (&p);
  return r;
}

static void
host_step (struct hv_host *h, const char *name)
{
  hv_fault_step (hv_instance_of (h)->name, name);
}

void
hv_instance_release_all (struct hv_instance *i)
{
  hv_instance_release_watches (i);
  hv_instance_release_subscriptions (i);
  hv_instance_release_streams (i);
  hv_instance_release_conds (i);
}

const struct hv_host_api hv_host_api_table = {
  .struct_size = sizeof (struct hv_host_api),
  .abi_major = HV_ABI_MAJOR,
  .abi_minor = HV_ABI_MINOR,
  .err_new = hv_error_new,
  .logv = host_logv,
  .info = host_info,
  .now_ms = hv_loop_now_ms,
  .alloc = hv_host_alloc,
  .scope_mark = host_scope_mark,
  .scope_release = host_scope_release,
  .go = hv_host_go,
  .sleep = hv_host_sleep,
  .wait_fd = hv_host_wait_fd,
  .offload = hv_host_offload,
  .cond_new = hv_host_cond_new,
  .cond_wait = hv_host_cond_wait,
  .cond_wake = hv_host_cond_wake,
  .cond_free = hv_host_cond_free,
  .timer_new = hv_host_timer_new,
  .timer_set = hv_host_timer_set,
  .timer_free = hv_host_timer_free,
  .watch_new = hv_host_watch_new,
  .watch_set = hv_host_watch_set,
  .watch_free = hv_host_watch_free,
  .spawn = hv_host_spawn,
  .call = hv_host_call,
  .publish = hv_host_publish,
  .subscribe = hv_host_subscribe,
  .unsubscribe = hv_host_unsubscribe,
  .cursor = hv_host_cursor,
  .cancelled = host_cancelled,
  .caller_uid = host_caller_uid,
  .deadline_left_ms = host_deadline_left_ms,
  .progress = host_progress,
  .store_put = hv_host_store_put,
  .store_get = hv_host_store_get,
  .store_delete = hv_host_store_delete,
  .store_list = hv_host_store_list,
  .decode = host_decode,
  .encode = host_encode,
  .max_age_ms = host_max_age_ms,
  .step = host_step,
  .stream_open = hv_host_stream_open,
  .stream_close = hv_host_stream_close,
};
