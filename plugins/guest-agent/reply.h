/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest agent answered, as hostile input: bounded before it is parsed, every member read through one accessor that
 * checks its type, every text free of control characters, every list cut to a limit. No host is needed here, so a fuzzer
 * can call it. */
#ifndef HV_AGENT_REPLY_H
#define HV_AGENT_REPLY_H
#include <hvkit/iface/agent.h>
#include <jansson.h>

#define HV_REPLY_BYTES_MAX  (1u << 20)
#define HV_REPLY_DEPTH_MAX  16u
#define HV_REPLY_VALUES_MAX 32768u /* all together */
#define HV_REPLY_ITEMS_MAX  256u   /* of one list that is passed on; more are dropped */
#define HV_REPLY_TEXT_MAX   4096u  /* bytes of one text; longer ones are cut */

/* Where results live. Returns zeroed memory or NULL. */
struct hv_reply_memory {
  void *(*alloc) (void *arg, uint64_t size);
  void *arg;
};

/* Parses {"return": …}; *ret_value is what was returned, owned by the caller (json_decref). An {"error": …} becomes UNIMPLEMENTED
 * (the guest has no such command), FAILED_PRECONDITION (it is disabled there, or failed); what is neither is UNAVAILABLE with
 * data.reason "bad_reply". */
int hv_reply_parse (const char *text, uint64_t n, json_t **ret_value, struct hv_err *err);

/* A returned value as a record. UNAVAILABLE with data.reason "bad_reply" if it is not what the agent's protocol says. */
typedef int hv_reply_decode_fn (const struct hv_reply_memory *, json_t *value, void *ret, struct hv_err *err);
hv_reply_decode_fn hv_reply_info;          /* guest-info → hv_agent_info */
hv_reply_decode_fn hv_reply_osinfo;        /* guest-get-osinfo → hv_agent_osinfo */
hv_reply_decode_fn hv_reply_hostname;      /* guest-get-host-name → hv_agent_hostname */
hv_reply_decode_fn hv_reply_timezone;      /* guest-get-timezone → hv_agent_timezone */
hv_reply_decode_fn hv_reply_users;         /* guest-get-users → hv_agent_users */
hv_reply_decode_fn hv_reply_interfaces;    /* guest-network-get-interfaces → hv_agent_interfaces */
hv_reply_decode_fn hv_reply_filesystems;   /* guest-get-fsinfo → hv_agent_filesystems */
hv_reply_decode_fn hv_reply_freeze_status; /* guest-fsfreeze-status → hv_agent_freeze_status */
#endif
