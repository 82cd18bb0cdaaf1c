/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See poll.h. A guest that does not answer is left alone for a while, so that those who want something of it are not kept waiting;
 * one that is paused is not asked at all. */
#include "poll.h"
#include <hvkit/iface/hypervisor.h>
#include <hvkit/providers.h>
#include <string.h>

#define FIRST_MS  10000u
#define SILENT_MS 10000u

const struct ga_reading ga_readings[GA_READINGS] = {
  [GA_INFO] = { "{\"execute\":\"guest-info\"}", hv_reply_info },
  [GA_OSINFO] = { "{\"execute\":\"guest-get-osinfo\"}", hv_reply_osinfo },
  [GA_HOSTNAME] = { "{\"execute\":\"guest-get-host-name\"}", hv_reply_hostname },
  [GA_TIMEZONE] = { "{\"execute\":\"guest-get-timezone\"}", hv_reply_timezone },
  [GA_USERS] = { "{\"execute\":\"guest-get-users\"}", hv_reply_users },
  [GA_FILESYSTEMS] = { "{\"execute\":\"guest-get-fsinfo\"}", hv_reply_filesystems },
  [GA_INTERFACES] = { "{\"execute\":\"guest-network-get-interfaces\"}", hv_reply_interfaces },
  [GA_FREEZE_STATUS] = { "{\"execute\":\"guest-fsfreeze-status\"}", hv_reply_freeze_status },
};

/* Room for any of them. */
union any_answer {
  struct hv_agent_info info;
  struct hv_agent_osinfo osinfo;
  struct hv_agent_hostname hostname;
  struct hv_agent_timezone timezone;
  struct hv_agent_users users;
  struct hv_agent_filesystems filesystems;
  struct hv_agent_interfaces interfaces;
  struct hv_agent_freeze_status freeze_status;
};

static uint64_t
configured_ms (const struct guest_agent_config *c, uint32_t reading)
{
  switch (reading) {
  case GA_INFO:
    return c->version_ms;
  case GA_USERS:
    return c->user_ms;
  case GA_FILESYSTEMS:
    return c->file_ms;
  case GA_FREEZE_STATUS:
    return c->freeze_ms;
  default:
    return c->sys_ms;
  }
}

/* --- what was said --- */

static void *
call_alloc (void *arg, uint64_t size)
{
  return hv_alloc (arg, size);
}

int
ga_reading_decode (struct guest_agent *self, uint32_t reading, const char *reply, void *ret, struct hv_err *err)
{
  const struct hv_reply_memory memory = { call_alloc, self->host };
  json_t *value = NULL;
  int rc = hv_reply_parse (reply, strlen (reply), &value, err);
  if (rc == 0)
    rc = ga_readings[reading].decode (&memory, value, ret, err);
  json_decref (value);
  return rc;
}

void
ga_learned (struct guest_agent *self, const char *backend, const char *vm, uint32_t reading, const char *reply)
{
  struct hv_agent_changed e = { 0 };
  struct ga_guest *g = ga_guests_find (&self->guests, backend, vm);
  if (g == NULL)
    g = ga_guests_add (&self->guests, backend, vm);
  if (g == NULL || !ga_guest_put (g, reading, reply, self->host->api->now_ms ()))
    return;
  HV_SET (&e, vm, g->vm);
  HV_SET (&e, backend, g->backend);
  HV_SET (&e, what, reading);
  (void) hv_publish (self->host, "changed", &e, NULL);
}

/* --- asking --- */

static int
is_due (const struct ga_guest *g, uint32_t reading, uint64_t now)
{
  return configured_ms (g->agent->config, reading) > 0 && g->plans[reading].due_ms <= now;
}

static void
arm (struct ga_guest *g)
{
  struct hv_host *h = g->agent->host;
  uint64_t now = h->api->now_ms (), next = UINT64_MAX;
  for (uint32_t i = 0; i < GA_READINGS; i++)
    if (configured_ms (g->agent->config, i) > 0 && g->plans[i].due_ms < next)
      next = g->plans[i].due_ms;
  int idle = !g->connected || g->paused || g->polling || next == UINT64_MAX;
  if (g->timer != NULL)
    h->api->timer_set (h, g->timer, idle ? 0 : next > now ? next - now : 1, 0);
}

static void
plan_next (struct ga_guest *g, uint32_t reading)
{
  struct ga_plan *p = &g->plans[reading];
  uint64_t most = configured_ms (g->agent->config, reading), next = p->interval_ms == 0 ? FIRST_MS : 2 * p->interval_ms;
  p->interval_ms = next < most ? next : most;
  p->due_ms = g->agent->host->api->now_ms () + p->interval_ms;
}

static void
leave_alone (struct ga_guest *g)
{
  uint64_t now = g->agent->host->api->now_ms ();
  for (uint32_t i = 0; i < GA_READINGS; i++)
    if (g->plans[i].due_ms < now + SILENT_MS)
      g->plans[i].due_ms = now + SILENT_MS;
}

static int
ask (struct guest_agent *self, struct ga_guest *g, uint32_t reading, struct hv_err *err)
{
  const struct question q = { g->vm, g->backend, ga_readings[reading].command, ANSWER_MS };
  union any_answer answer;
  const char *reply = NULL;
  int rc = ga_ask (self, NULL, &q, &reply, err);
  if (rc < 0)
    return rc;
  memset (&answer, 0, sizeof answer);
  if (ga_reading_decode (self, reading, reply, &answer, err) == 0 && g->timer != NULL)
    ga_learned (self, g->backend, g->vm, reading, reply);
  return 0; /* what it cannot, or will not, tell stays as it was */
}

static void
round_of (void *self_, void *arg)
{
  struct ga_guest *g = arg;
  struct guest_agent *self = g->agent;
  struct hv_host *h = self->host;
  int rc = 0;
  (void) self_;
  for (uint32_t i = 0; rc == 0 && i < GA_READINGS; i++) {
    if (!g->connected || g->paused || !is_due (g, i, h->api->now_ms ()))
      continue;
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (h);
    uint64_t mark = h->api->scope_mark (h);
    rc = ask (self, g, i, err);
    h->api->scope_release (h, mark);
    plan_next (g, i);
    if (rc < 0 && rc != HV_E_CANCELLED)
      hv_log (h, HV_LOG_DEBUG, "VM '%s': its agent is left alone for a while: %s", g->vm, hv_err_message (err));
  }
  if (rc < 0)
    leave_alone (g);
  g->polling = 0;
  arm (g);
  ga_guest_unref (g);
}

static void
on_due (void *self, void *arg)
{
  struct ga_guest *g = arg;
  (void) self;
  if (g->polling)
    return;
  g->polling = 1;
  g->refs++;
  if (hv_go (g->agent->host, "poll", round_of, g) == 0)
    return;
  g->polling = 0;
  leave_alone (g);
  arm (g);
  ga_guest_unref (g);
}

/* --- who is there --- */

static void
connected (struct guest_agent *self, const char *backend, const char *vm, int yes)
{
  struct ga_guest *g = ga_guests_find (&self->guests, backend, vm);
  if (g == NULL && yes)
    g = ga_guests_add (&self->guests, backend, vm);
  if (g == NULL || (g->connected && yes))
    return;
  g->agent = self;
  g->connected = (uint8_t) yes;
  memset (g->plans, 0, sizeof g->plans);
  if (g->timer == NULL && yes)
    g->timer = self->host->api->timer_new (self->host, on_due, g);
  arm (g);
}

static void
drop (struct guest_agent *self, struct ga_guest *g)
{
  if (g->timer != NULL)
    self->host->api->timer_free (self->host, g->timer);
  g->timer = NULL;
  g->connected = 0;
  ga_guests_remove (&self->guests, g);
}

static int
find_of (struct guest_agent *self, const char *backend, struct hv_err *err)
{
  struct hv_host *h = self->host;
  struct hv_list_args a = { 0 };
  struct hv_vm_list list;
  const char *method = hv_printf (h, "%s.list", backend);
  if (method == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  do {
    int rc = hv_call_method (h, method, hv_list_args, &a, hv_vm_list, &list, err);
    if (rc < 0)
      return rc;
    for (uint32_t i = 0; i < list.items.count; i++)
      if (list.items.items[i].agent_connected)
        connected (self, backend, list.items.items[i].vm, 1);
    if (HV_HAS (&list, continue_from))
      HV_SET (&a, continue_from, list.continue_from);
  } while (HV_HAS (&list, continue_from));
  return 0;
}

/* Those that connected before anybody listened here, or while nobody did. A backend that is not there yet tells of them when it is.
 */
static void
find_all (void *self_, void *arg)
{
  struct guest_agent *self = arg;
  struct hv_strs backends = { NULL, 0 };
  (void) self_;
  if (hv_providers (self->host, hv_iface_hypervisor.name, &backends, NULL) < 0)
    return;
  for (uint32_t i = 0; i < backends.count; i++) {
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (self->host);
    if (find_of (self, backends.items[i], err) < 0)
      hv_log (self->host, HV_LOG_DEBUG, "'%s' does not say what it runs: %s", backends.items[i], hv_err_message (err));
  }
}

/* "qmp.agent" → "qmp"; the memory of the callback. */
static const char *
instance_of (struct hv_host *h, const char *topic)
{
  char *name = hv_strdup (h, topic), *dot = name != NULL ? strrchr (name, '.') : NULL;
  if (dot != NULL)
    *dot = '\0';
  return name;
}

static void
on_agent (void *self_, void *arg, const struct hv_event_info *event)
{
  struct guest_agent *self = arg;
  struct hv_agent_event e = { 0 };
  const char *backend = instance_of (self->host, event->topic);
  if (strcmp (event->topic, "bus.gap") == 0)
    find_all (self_, arg);
  else if (backend != NULL
           && self->host->api->decode (self->host, &hv_agent_event_record, event->data, HV_DECODE_OPEN, &e, NULL) == 0)
    connected (self, backend, e.vm, e.connected);
}

static void
on_lifecycle (void *self_, void *arg, const struct hv_event_info *event)
{
  struct guest_agent *self = arg;
  struct hv_lifecycle e = { 0 };
  const char *backend = instance_of (self->host, event->topic);
  (void) self_;
  if (backend == NULL || self->host->api->decode (self->host, &hv_lifecycle_record, event->data, HV_DECODE_OPEN, &e, NULL) < 0)
    return;
  struct ga_guest *g = ga_guests_find (&self->guests, backend, e.vm);
  if (g == NULL)
    return;
  if (e.state == HV_VM_STOPPED || e.state == HV_VM_CRASHED || e.undefined) {
    drop (self, g);
    return;
  }
  g->paused = e.state == HV_VM_PAUSED;
  if (g->agent != NULL)
    arm (g);
}

int
ga_poll_start (struct guest_agent *self, struct hv_err *err)
{
  struct hv_host *h = self->host;
  (void) h->api->subscribe (h, "*.agent", on_agent, self);
  (void) h->api->subscribe (h, "*.lifecycle", on_lifecycle, self);
  return hv_go (h, "find agents", find_all, self) < 0 ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : 0;
}

void
ga_poll_stop (struct guest_agent *self)
{
  while (self->guests.first != NULL)
    drop (self, self->guests.first);
}
