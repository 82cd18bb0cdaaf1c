/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File systems that are frozen for a while. A guest that nobody thaws hangs, so what will be thawed is on record before it is
 * frozen: a daemon that dies meanwhile thaws it when it comes back. */
#include "json.h"
#include "poll.h"
#include <ctype.h>
#include <hvkit/iface/hypervisor.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define STATUS_MS    5000u
#define FREEZE_MS    60000u /* a guest with much to write back takes its time */
#define THAW_MS      30000u
#define AGAIN_MS     1000u
#define AGAIN_MAX_MS 30000u

#define FROZEN_DOCUMENT(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name") \
  F (T, STR, _, backend, HV_REQUIRED, "instance that runs it") \
  F (T, U64, _, thaw_ms, HV_REQUIRED, "to be thawed at, ms since 1970", .unit = "ms")
HV_RECORD_STRUCT (frozen_document, FROZEN_DOCUMENT);
HV_RECORD_TABLE (frozen_document, FROZEN_DOCUMENT, "a guest that is to be thawed");

struct frozen {
  struct frozen *next;
  struct guest_agent *agent;
  char *vm, *backend;
  struct hv_timer *timer;
  uint32_t pause_ms; /* before the next attempt */
};

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static uint64_t
wall_ms (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_REALTIME, &t);
  return (uint64_t) t.tv_sec * 1000u + (uint64_t) t.tv_nsec / 1000000u;
}

/* --- the list --- */

static struct frozen *
find (struct guest_agent *self, const char *vm)
{
  struct frozen *f = self->frozen;
  while (f != NULL && strcmp (f->vm, vm) != 0)
    f = f->next;
  return f;
}

static void
release (struct guest_agent *self, struct frozen *f)
{
  if (f == NULL)
    return;
  if (f->timer != NULL)
    self->host->api->timer_free (self->host, f->timer);
  free (f->vm);
  free (f->backend);
  free (f);
}

static void
drop (struct guest_agent *self, struct frozen *f)
{
  for (struct frozen **at = &self->frozen; *at != NULL; at = &(*at)->next)
    if (*at == f) {
      *at = f->next;
      break;
    }
  release (self, f);
}

void
ga_freeze_clear (struct guest_agent *self)
{
  while (self->frozen != NULL)
    drop (self, self->frozen);
}

/* The VM's name; what a key cannot have is ".xx" in it. Nobody else keeps documents here. */
static const char *
key_of (struct guest_agent *self, const char *vm)
{
  char *key = hv_alloc (self->host, 3 * strlen (vm) + 1), *at = key;
  for (; key != NULL && *vm != '\0'; vm++)
    if (isalnum ((unsigned char) *vm) || *vm == '-' || *vm == '_')
      *at++ = *vm;
    else
      at += snprintf (at, 4, ".%02x", (unsigned char) *vm);
  return key != NULL ? key : "";
}

static int
forget (struct guest_agent *self, const char *vm, struct hv_err *err)
{
  struct frozen *f = find (self, vm);
  int rc = self->host->api->store_delete (self->host, key_of (self, vm), err);
  f = rc == 0 ? find (self, vm) : f; /* it may have gone meanwhile */
  if (rc == 0 && f != NULL)
    drop (self, f);
  return rc;
}

/* --- asking --- */

static int
vm_state (struct guest_agent *self, const char *vm, const char *backend, uint32_t *ret, struct hv_err *err)
{
  struct hv_vm_ref ref = { 0 };
  struct hv_vm got;
  const char *method = hv_printf (self->host, "%s.get", backend);
  if (method == NULL)
    return no_memory (err);
  HV_SET (&ref, vm, vm);
  int rc = hv_call_method (self->host, method, hv_vm_ref, &ref, hv_vm, &got, err);
  *ret = rc == 0 ? got.state : HV_VM_STOPPED;
  return rc;
}

static int
ask_status (struct guest_agent *self, struct hv_call *call, const char *vm, const char *backend, int *ret_frozen,
            struct hv_err *err)
{
  const struct question q
      = { .vm = vm, .backend = backend, .command = ga_readings[GA_FREEZE_STATUS].command, .answer_ms = STATUS_MS };
  struct hv_agent_freeze_status status = { 0 };
  const char *reply = NULL;
  int rc = ga_ask (self, call, &q, &reply, err);
  if (rc == 0)
    rc = ga_reading_decode (self, GA_FREEZE_STATUS, reply, &status, err);
  if (rc == 0)
    ga_learned (self, backend, vm, GA_FREEZE_STATUS, reply);
  *ret_frozen = status.status == HV_AGENT_FROZEN;
  return rc < 0 ? hv_err_wrap (err, rc, "guest agent of '%s'", vm) : 0;
}

static int
ask_count (struct guest_agent *self, struct hv_call *call, const struct question *q, json_t *command, uint32_t *ret,
           struct hv_err *err)
{
  json_t *value = NULL;
  int rc = ga_do (self, call, q, command, &value, err);
  json_int_t n = json_integer_value (value);
  if (rc == 0 && (!json_is_integer (value) || n < 0 || n > UINT32_MAX))
    rc = hv_json_bad (&(struct hv_json){ NULL, err }, "a count of file systems was expected");
  json_decref (value);
  *ret = rc == 0 ? (uint32_t) n : 0;
  return rc;
}

/* The guest was told, and obeyed: nobody has to wait for the next time it is asked. */
static void
now_is (struct guest_agent *self, const char *vm, const char *backend, const char *word)
{
  const char *reply = hv_printf (self->host, "{\"return\":\"%s\"}", word);
  if (reply != NULL)
    ga_learned (self, backend, vm, GA_FREEZE_STATUS, reply);
}

static int
ask_thaw (struct guest_agent *self, struct hv_call *call, const char *vm, const char *backend, uint32_t *ret, struct hv_err *err)
{
  const struct question q = { .vm = vm, .backend = backend, .answer_ms = THAW_MS };
  int rc = ask_count (self, call, &q, json_pack ("{s:s}", "execute", "guest-fsfreeze-thaw"), ret, err);
  if (rc == 0)
    now_is (self, vm, backend, "thawed");
  return rc;
}

/* --- by itself, when it is time --- */

/* Whether there is still somebody to thaw. */
static int
is_alive (struct guest_agent *self, const char *vm, const char *backend)
{
  uint32_t state;
  int rc = vm_state (self, vm, backend, &state, NULL);
  return rc == HV_E_NOT_FOUND ? 0 : rc < 0 || (state != HV_VM_STOPPED && state != HV_VM_CRASHED);
}

struct due {
  struct guest_agent *agent;
  char vm[200], backend[80];
};

static void
thaw_due (void *self_, void *arg)
{
  struct due *d = arg;
  struct guest_agent *self = d->agent;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (self->host);
  uint32_t n = 0;
  (void) self_;
  int rc = ask_thaw (self, NULL, d->vm, d->backend, &n, err);
  struct frozen *f = find (self, d->vm);
  if (rc == 0)
    hv_log (self->host, HV_LOG_NOTICE, "VM '%s' was frozen for as long as was asked for: %u file systems are thawed", d->vm, n);
  if (rc == HV_E_CANCELLED || f == NULL) {
    free (d);
    return;
  }
  if (rc == 0 || !is_alive (self, d->vm, d->backend))
    rc = forget (self, d->vm, err);
  f = find (self, d->vm);
  if (f != NULL && rc < 0) {
    hv_log (self->host, HV_LOG_WARNING, "VM '%s' is still frozen: %s", d->vm, hv_err_message (err));
    self->host->api->timer_set (self->host, f->timer, f->pause_ms, 0);
    f->pause_ms = f->pause_ms < AGAIN_MAX_MS / 2 ? f->pause_ms * 2 : AGAIN_MAX_MS;
  }
  free (d);
}

static void
on_due (void *self_, void *arg)
{
  struct frozen *f = arg;
  struct hv_host *h = f->agent->host;
  struct due *d = calloc (1, sizeof *d);
  (void) self_;
  if (d != NULL) {
    d->agent = f->agent;
    (void) snprintf (d->vm, sizeof d->vm, "%s", f->vm);
    (void) snprintf (d->backend, sizeof d->backend, "%s", f->backend);
  }
  if (d == NULL || h->api->go (h, "thaw", thaw_due, d) < 0) {
    free (d);
    h->api->timer_set (h, f->timer, AGAIN_MS, 0);
  }
}

static int
arm (struct guest_agent *self, const char *vm, const char *backend, uint64_t after_ms, struct hv_err *err)
{
  struct hv_host *h = self->host;
  struct frozen *f = find (self, vm);
  if (f == NULL) {
    f = calloc (1, sizeof *f);
    if (f == NULL)
      return no_memory (err);
    *f = (struct frozen){
      .agent = self, .vm = strdup (vm), .backend = strdup (backend), .timer = h->api->timer_new (h, on_due, f)
    };
    if (f->vm == NULL || f->backend == NULL || f->timer == NULL) {
      release (self, f);
      return no_memory (err);
    }
    f->next = self->frozen;
    self->frozen = f;
  }
  f->pause_ms = AGAIN_MS;
  h->api->timer_set (h, f->timer, after_ms > 0 ? after_ms : 1, 0);
  return 0;
}

static int
remember (struct guest_agent *self, const char *vm, const char *backend, uint32_t timeout_ms, struct hv_err *err)
{
  struct frozen_document d = { 0 };
  HV_SET (&d, vm, vm);
  HV_SET (&d, backend, backend);
  HV_SET (&d, thaw_ms, wall_ms () + timeout_ms);
  int rc = self->host->api->store_put (self->host, key_of (self, vm), &frozen_document_record, &d, err);
  hv_step (self->host, "freeze.recorded");
  return rc < 0 ? rc : arm (self, vm, backend, timeout_ms, err);
}

int
ga_freeze_load (struct guest_agent *self, struct hv_err *err)
{
  struct hv_host *h = self->host;
  struct hv_strs keys = { NULL, 0 };
  uint64_t now = wall_ms ();
  int rc = h->api->store_list (h, &keys, err);
  for (uint32_t i = 0; rc == 0 && i < keys.count; i++) {
    struct frozen_document d = { 0 };
    rc = h->api->store_get (h, keys.items[i], &frozen_document_record, &d, err);
    if (rc == HV_E_DATA_LOSS) {
      hv_log (h, HV_LOG_ERROR, "whether VM '%s' is frozen is not known: %s", keys.items[i], hv_err_message (err));
      rc = 0;
    } else if (rc == 0)
      rc = arm (self, d.vm, d.backend, d.thaw_ms > now ? d.thaw_ms - now : 0, err);
  }
  return rc;
}

/* --- the verbs --- */

static json_t *
freeze_command (const struct hv_agent_freeze_args *a)
{
  json_t *list = HV_HAS (a, mountpoints) ? json_array () : NULL;
  for (uint32_t i = 0; list != NULL && i < a->mountpoints.count; i++)
    (void) json_array_append_new (list, json_string (a->mountpoints.items[i]));
  return list != NULL ? json_pack ("{s:s, s:{s:o}}", "execute", "guest-fsfreeze-freeze-list", "arguments", "mountpoints", list)
                      : json_pack ("{s:s}", "execute", "guest-fsfreeze-freeze");
}

/* A guest that moves is written to by two: a frozen one would arrive frozen, and nobody there would know. */
static int
check_state (struct guest_agent *self, const char *vm, const char *backend, struct hv_err *err)
{
  uint32_t state = HV_VM_STOPPED;
  int rc = vm_state (self, vm, backend, &state, err);
  if (rc == 0 && state == HV_VM_MIGRATING)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is migrating; freeze it when it has arrived", vm);
  return rc;
}

static int
freeze (struct guest_agent *self, struct hv_call *call, const struct hv_agent_freeze_args *a, const char *backend, uint32_t *ret,
        struct hv_err *err)
{
  const struct question q = { .vm = a->vm, .backend = backend, .answer_ms = FREEZE_MS };
  int frozen = 0;
  int rc = check_state (self, a->vm, backend, err);
  if (rc == 0)
    rc = ask_status (self, call, a->vm, backend, &frozen, err);
  if (rc == 0)
    rc = remember (self, a->vm, backend, a->timeout_ms, err);
  if (rc < 0 || frozen) /* once more is for longer */
    return rc;
  rc = ask_count (self, call, &q, freeze_command (a), ret, err);
  hv_step (self->host, "freeze.done");
  if (rc == 0)
    now_is (self, a->vm, backend, "frozen");
  if (rc == 0)
    return arm (self, a->vm, backend, a->timeout_ms, err); /* from now on */
  HV_CLEAN (hv_err) struct hv_err *other = hv_err_new (self->host);
  uint32_t n;
  if (ask_thaw (self, NULL, a->vm, backend, &n, other) == 0) /* a part of it may be */
    (void) forget (self, a->vm, other);
  return rc;
}

int
ga_freeze (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct guest_agent *self = arg;
  const struct hv_agent_freeze_args *a = args;
  struct hv_agent_freeze_result *ret = result;
  const char *backend = HV_HAS (a, backend) ? a->backend : NULL;
  uint32_t n = 0;
  int rc = backend != NULL ? 0 : ga_find_backend (self, &backend, err);
  if (rc == 0)
    rc = freeze (self, call, a, backend, &n, err);
  HV_SET (ret, filesystems, n);
  return rc;
}

/* The guest's hooks run at every thaw; one that is thawed already is left alone. A guest that does not say is thawed. */
static int
thaw (struct guest_agent *self, struct hv_call *call, const char *vm, const char *backend, uint32_t *ret, struct hv_err *err)
{
  int frozen = 1;
  if (ask_status (self, call, vm, backend, &frozen, NULL) == 0 && !frozen)
    return 0;
  int rc = ask_thaw (self, call, vm, backend, ret, err);
  return rc;
}

int
ga_thaw (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct guest_agent *self = arg;
  const struct hv_agent_args *a = args;
  struct hv_agent_freeze_result *ret = result;
  const char *backend = HV_HAS (a, backend) ? a->backend : NULL;
  uint32_t n = 0;
  int rc = backend != NULL ? 0 : ga_find_backend (self, &backend, err);
  if (rc == 0)
    rc = thaw (self, call, a->vm, backend, &n, err);
  hv_step (self->host, "thaw.done");
  if (rc == 0)
    rc = forget (self, a->vm, err);
  HV_SET (ret, filesystems, n);
  return rc;
}
