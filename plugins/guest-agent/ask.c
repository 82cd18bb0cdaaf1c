/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions to guests, one at a time each, through the agent_command of the backend that runs them. */
#include "ask.h"
#include <hvkit/iface/hypervisor.h>
#include <hvkit/providers.h>
#include <string.h>

#define NOBODY_MS 120000u /* where nobody waits for it */

/* A guest answers one question at a time, and a backend refuses the second; so they wait for each other here. */
struct asked {
  struct asked *next;
  const char *vm;
};

/* --- which backend --- */

int
ga_find_backend (struct guest_agent *self, const char **ret, struct hv_err *err)
{
  struct hv_strs found = { NULL, 0 };
  int rc = hv_providers (self->host, hv_iface_hypervisor.name, &found, err);
  if (rc != 0)
    return rc;
  if (found.count == 0)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "there is no hypervisor: no running instance provides hypervisor/1");
  if (found.count > 1)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "backend: required here, since there are several: '%s', '%s' …", found.items[0],
                       found.items[1]);
  *ret = found.items[0];
  return 0;
}

/* --- asking --- */

static uint64_t
left_ms (struct guest_agent *self, struct hv_call *call)
{
  return call != NULL ? self->host->api->deadline_left_ms (call) : NOBODY_MS;
}

static int
is_asked (const struct guest_agent *self, const char *vm)
{
  for (const struct asked *a = self->asked; a != NULL; a = a->next)
    if (strcmp (a->vm, vm) == 0)
      return 1;
  return 0;
}

static int
begin (struct guest_agent *self, struct hv_call *call, struct asked *mine, struct hv_err *err)
{
  while (is_asked (self, mine->vm)) {
    uint64_t left = left_ms (self, call);
    int rc = self->host->api->cond_wait (self->host, self->free_again, left, err);
    if (rc != 0)
      return hv_err_wrap (err, rc, "wait for the guest to answer an earlier question");
  }
  mine->next = self->asked;
  self->asked = mine;
  return 0;
}

static void
finish (struct guest_agent *self, struct asked *mine)
{
  struct asked **at = &self->asked;
  while (*at != mine)
    at = &(*at)->next;
  *at = mine->next;
  self->host->api->cond_wake (self->host, self->free_again);
}

static int
send (struct guest_agent *self, struct hv_call *call, const struct question *q, struct hv_agent_command_result *ret,
      struct hv_err *err)
{
  const char *backend = q->backend;
  int rc = backend != NULL ? 0 : ga_find_backend (self, &backend, err);
  if (rc != 0)
    return rc;
  uint64_t left = left_ms (self, call), wait = q->answer_ms < left ? q->answer_ms : left;
  struct hv_agent_command_args args = { .vm = q->vm, .command = q->command, .has = { .vm = 1, .command = 1 } };
  HV_SET (&args, timeout_ms, wait < 1 ? 1 : wait > 600000 ? 600000 : (uint32_t) wait);
  const char *method = hv_printf (self->host, "%s.agent_command", backend);
  if (method == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return hv_call_method (self->host, method, hv_agent_command_args, &args, hv_agent_command_result, ret, err);
}

int
ga_ask (struct guest_agent *self, struct hv_call *call, const struct question *q, const char **ret_reply, struct hv_err *err)
{
  struct asked *mine = hv_alloc (self->host, sizeof *mine);
  struct hv_agent_command_result result = { 0 };
  if (mine == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  mine->vm = q->vm;
  int rc = begin (self, call, mine, err);
  if (rc != 0)
    return rc;
  rc = send (self, call, q, &result, err);
  finish (self, mine);
  if (rc == 0)
    *ret_reply = result.reply;
  return rc;
}

int
ga_do (struct guest_agent *self, struct hv_call *call, const struct question *q, json_t *command, json_t **ret_value,
       struct hv_err *err)
{
  char *text = command != NULL ? json_dumps (command, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
  struct question whole = *q;
  const char *reply = NULL;
  json_t *value = NULL;
  json_decref (command);
  if (text == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  whole.command = text;
  int rc = ga_ask (self, call, &whole, &reply, err);
  memset (text, 0, strlen (text)); /* there may be a password in it */
  free (text);
  if (rc == 0)
    rc = hv_reply_parse (reply, strlen (reply), &value, err);
  if (rc == 0 && ret_value != NULL)
    *ret_value = value;
  else
    json_decref (value);
  return rc < 0 ? hv_err_wrap (err, rc, "guest agent of '%s'", q->vm) : 0;
}
