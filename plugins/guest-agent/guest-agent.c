/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-agent: agent/1 over the agent_command of whatever backend runs the VM. The backend owns the channel, framing and
 * resynchronisation; here are the questions, and what is believed of the answers (reply.h). */
#include "poll.h"
#include <string.h>
#include <time.h>

HV_RECORD_TABLE (guest_agent_config, GUEST_AGENT_CONFIG, "configuration of guest-agent");

/* --- the verbs --- */

/* What is read, and what became of it. */
struct reading {
  uint32_t which;
  uint64_t age_ms; /* of the answer */
  int cached;
};

/* Answered from what is known if the caller takes that, else by the guest. */
static int
read_guest (struct guest_agent *self, struct hv_call *call, const struct hv_agent_args *args, struct reading *r, void *ret,
            struct hv_err *err)
{
  const struct hv_host_api *api = self->host->api;
  const char *backend = HV_HAS (args, backend) ? args->backend : NULL, *reply = NULL;
  int rc = backend != NULL ? 0 : ga_find_backend (self, &backend, err);
  if (rc < 0)
    return rc;
  uint64_t max_age = hv_host_has (self->host, max_age_ms) ? api->max_age_ms (call) : 0;
  struct ga_guest *g = max_age > 0 ? ga_guests_find (&self->guests, backend, args->vm) : NULL;
  if (g != NULL)
    reply = ga_guest_get (g, r->which, api->now_ms (), max_age, &r->age_ms);
  r->cached = reply != NULL;
  if (!r->cached) {
    const struct question q = { args->vm, backend, ga_readings[r->which].command, ANSWER_MS };
    r->age_ms = 0;
    rc = ga_ask (self, call, &q, &reply, err);
  }
  if (rc == 0)
    rc = ga_reading_decode (self, r->which, reply, ret, err);
  if (rc == 0 && !r->cached)
    ga_learned (self, backend, args->vm, r->which, reply);
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "guest agent of '%s'", args->vm);
}

#define SET_AGE(result, age, cached) \
  do { \
    HV_SET ((result), age_ms, (age)); \
    HV_SET ((result), source, (cached) ? "cache" : "live"); \
  } while (0)

static uint64_t
now_us (void)
{
  struct timespec t;
  clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000000u + (uint64_t) t.tv_nsec / 1000u;
}

/* Never from what is known: the question is whether the guest answers now. */
static int
handle_ping (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct guest_agent *self = arg;
  const struct hv_agent_args *a = args;
  struct hv_agent_ping *ping = result;
  const struct question q = { a->vm, HV_HAS (a, backend) ? a->backend : NULL, "{\"execute\":\"guest-ping\"}", ANSWER_MS };
  const char *reply = NULL;
  json_t *value = NULL;
  uint64_t before = now_us ();
  int rc = ga_ask (self, call, &q, &reply, err);
  HV_SET (ping, rtt_us, now_us () - before);
  if (rc == 0)
    rc = hv_reply_parse (reply, strlen (reply), &value, err);
  json_decref (value);
  return rc == 0 ? 0 : hv_err_wrap (err, rc, "guest agent of '%s'", a->vm);
}

/* The name is part of the answer where the guest tells it; an agent that does not know the command is no failure. */
static int
handle_osinfo (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct reading os = { .which = GA_OSINFO }, name = { .which = GA_HOSTNAME };
  struct hv_agent_osinfo *r = result;
  struct hv_agent_hostname host = { 0 };
  int rc = read_guest (self, call, args, &os, r, err);
  if (rc != 0)
    return rc;
  rc = read_guest (self, call, args, &name, &host, err);
  if (rc == 0)
    HV_SET (r, hostname, host.hostname);
  SET_AGE (r, os.age_ms > name.age_ms ? os.age_ms : name.age_ms, os.cached || name.cached);
  return rc == HV_E_UNIMPLEMENTED || rc == HV_E_FAILED_PRECONDITION ? 0 : rc;
}

/* The others are one question each. */
#define HANDLE(name, which_) \
  static int handle_##name (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err) \
  { \
    struct reading r = { .which = (which_) }; \
    int rc = read_guest (self, call, args, &r, result, err); \
    SET_AGE ((struct hv_agent_##name *) result, r.age_ms, r.cached); \
    return rc; \
  }

HANDLE (info, GA_INFO)
HANDLE (hostname, GA_HOSTNAME)
HANDLE (timezone, GA_TIMEZONE)
HANDLE (users, GA_USERS)
HANDLE (interfaces, GA_INTERFACES)
HANDLE (filesystems, GA_FILESYSTEMS)
HANDLE (freeze_status, GA_FREEZE_STATUS)

/* The command goes through as one JSON object that was parsed and written anew: it cannot break the backend's framing. */
static int
rewrite_command (struct hv_host *host, const char *command, const char **ret, struct hv_err *err)
{
  json_error_t where;
  json_t *object = json_loads (command, JSON_REJECT_DUPLICATES, &where);
  if (!json_is_object (object) || !json_is_string (json_object_get (object, "execute"))) {
    json_decref (object);
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "command: not a JSON object with a text member 'execute'");
  }
  char *text = json_dumps (object, JSON_COMPACT | JSON_ENSURE_ASCII);
  json_decref (object);
  *ret = text == NULL ? NULL : hv_strdup (host, text);
  free (text);
  return *ret == NULL ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : 0;
}

static int
handle_command (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct guest_agent *self = arg;
  const struct hv_agent_raw_args *a = args;
  struct hv_agent_raw_result *r = result;
  struct question q = { .vm = a->vm, .backend = HV_HAS (a, backend) ? a->backend : NULL, .answer_ms = UINT32_MAX };
  const char *reply = NULL;
  json_t *value = NULL;
  int rc = rewrite_command (self->host, a->command, &q.command, err);
  if (rc != 0)
    return rc;
  rc = ga_ask (self, call, &q, &reply, err);
  if (rc == 0)
    rc = hv_reply_parse (reply, strlen (reply), &value, err);
  if (rc != 0)
    return hv_err_wrap (err, rc, "guest agent of '%s'", a->vm);
  char *text = json_dumps (value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII); /* ASCII: nothing for a terminal to act on */
  json_decref (value);
  HV_SET (r, reply, text == NULL ? NULL : hv_strdup (self->host, text));
  free (text);
  return r->reply == NULL ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : 0;
}

/* --- the plugin --- */

static void
stop (void *arg)
{
  struct guest_agent *self = arg;
  if (self == NULL)
    return;
  if (self->free_again != NULL)
    self->host->api->cond_free (self->host, self->free_again);
  ga_freeze_clear (self);
  ga_poll_stop (self);
  free (self);
}

static int
start (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  struct guest_agent *self = calloc (1, sizeof *self);
  if (self != NULL) {
    self->host = host;
    self->free_again = host->api->cond_new (host);
    self->config = config;
  }
  if (self == NULL || self->free_again == NULL) {
    stop (self);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  *ret_self = self;
  int rc = ga_freeze_load (self, err);
  return rc < 0 ? rc : ga_poll_start (self, err);
}

const struct hv_plugin hv_guest_agent_plugin = {
  HV_PLUGIN_HEAD,
  .name = "guest-agent",
  .version = HV_VERSION,
  .summary = "the guest agent of a VM, on any hypervisor",
  .license = "LGPL-2.1-or-later",
  .provides = (const struct hv_iface *const[]){ &hv_iface_agent, NULL },
  .methods = (const struct hv_method *const[]){ HV_IMPLEMENT (hv_agent_verb_ping, handle_ping),
                                                HV_IMPLEMENT (hv_agent_verb_info, handle_info),
                                                HV_IMPLEMENT (hv_agent_verb_osinfo, handle_osinfo),
                                                HV_IMPLEMENT (hv_agent_verb_hostname, handle_hostname),
                                                HV_IMPLEMENT (hv_agent_verb_timezone, handle_timezone),
                                                HV_IMPLEMENT (hv_agent_verb_users, handle_users),
                                                HV_IMPLEMENT (hv_agent_verb_filesystems, handle_filesystems),
                                                HV_IMPLEMENT (hv_agent_verb_interfaces, handle_interfaces),
                                                HV_IMPLEMENT (hv_agent_verb_freeze, ga_freeze),
                                                HV_IMPLEMENT (hv_agent_verb_thaw, ga_thaw),
                                                HV_IMPLEMENT (hv_agent_verb_freeze_status, handle_freeze_status),
                                                HV_IMPLEMENT (hv_agent_verb_exec, ga_exec),
                                                HV_IMPLEMENT (hv_agent_verb_set_time, ga_set_time),
                                                HV_IMPLEMENT (hv_agent_verb_set_password, ga_set_password),
                                                HV_IMPLEMENT (hv_agent_verb_ssh_keys_get, ga_ssh_keys_get),
                                                HV_IMPLEMENT (hv_agent_verb_ssh_keys_add, ga_ssh_keys_add),
                                                HV_IMPLEMENT (hv_agent_verb_ssh_keys_remove, ga_ssh_keys_remove),
                                                HV_IMPLEMENT (hv_agent_verb_shutdown, ga_shutdown),
                                                HV_IMPLEMENT (hv_agent_verb_command, handle_command),
                                                NULL },
  .events
  = (const struct hv_event *const[]){ HV_EVENT ("changed", &hv_agent_changed_record, "A guest says something else than before"),
                                      NULL },
  .config = &guest_agent_config_record,
  .start = start,
  .stop = stop,
};
