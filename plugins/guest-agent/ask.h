/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the parts of guest-agent. */
#ifndef HV_AGENT_ASK_H
#define HV_AGENT_ASK_H
#include "guest-agent.h"
#include "guests.h"
#include "reply.h"
#include <hvkit/iface/agent.h>

#define ANSWER_MS 5000u /* a guest that has not answered a question by then does not */

struct asked;
struct frozen;

#define GUEST_AGENT_CONFIG(F, T) \
  F (T, U32, _, sys_ms, 0, "how often a guest is asked for its system, time zone, name and interfaces; 0: never", .unit = "ms", \
     .def = "120000", .max = 86400000) \
  F (T, U32, _, file_ms, 0, "for its file systems", .unit = "ms", .def = "300000", .max = 86400000) \
  F (T, U32, _, user_ms, 0, "for its users", .unit = "ms", .def = "10000", .max = 86400000) \
  F (T, U32, _, version_ms, 0, "for its agent's version", .unit = "ms", .def = "300000", .max = 86400000) \
  F (T, U32, _, freeze_ms, 0, "whether it is frozen", .unit = "ms", .def = "5000", .max = 86400000)
HV_RECORD_STRUCT (guest_agent_config, GUEST_AGENT_CONFIG);

struct guest_agent {
  struct hv_host *host;
  const struct guest_agent_config *config;
  struct hv_cond *free_again; /* a VM in `asked` was answered */
  struct asked *asked;
  struct ga_guests guests; /* what they said last */
  struct frozen *frozen;   /* those that will be thawed */
};

struct question {
  const char *vm, *backend; /* backend: NULL if the caller named none */
  const char *command;      /* JSON */
  uint64_t answer_ms;
};

int ga_find_backend (struct guest_agent *, const char **ret, struct hv_err *); /* the only one there is */

/* Asks; *ret_reply is the agent's answer as it came, in the memory of the call. `call` NULL: nobody waits for it. [coro] */
int ga_ask (struct guest_agent *, struct hv_call *, const struct question *, const char **ret_reply, struct hv_err *);
/* The same with a command that is made here, whose reference it takes, and an answer that is parsed: json_decref. [coro] */
int ga_do (struct guest_agent *, struct hv_call *, const struct question *, json_t *command, json_t **ret_value, struct hv_err *);

/* --- change.c --- */
int ga_exec (void *, struct hv_call *, const void *, void *, struct hv_err *);
int ga_set_time (void *, struct hv_call *, const void *, void *, struct hv_err *);
int ga_set_password (void *, struct hv_call *, const void *, void *, struct hv_err *);
int ga_ssh_keys_get (void *, struct hv_call *, const void *, void *, struct hv_err *);
int ga_ssh_keys_add (void *, struct hv_call *, const void *, void *, struct hv_err *);
int ga_ssh_keys_remove (void *, struct hv_call *, const void *, void *, struct hv_err *);
int ga_shutdown (void *, struct hv_call *, const void *, void *, struct hv_err *);

/* --- freeze.c --- */
int ga_freeze (void *, struct hv_call *, const void *, void *, struct hv_err *);
int ga_thaw (void *, struct hv_call *, const void *, void *, struct hv_err *);
int ga_freeze_load (struct guest_agent *, struct hv_err *); /* those of an earlier life are thawed when it is time [coro] */
void ga_freeze_clear (struct guest_agent *);
#endif
