/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asking guests by itself, each kind of thing as often as KubeVirt's agent poller does (pkg/virt-launcher/virtwrap/agent-poller):
 * at once when an agent connects, then after 10 s, then twice as long each time up to the configured interval. */
#ifndef HV_AGENT_POLL_H
#define HV_AGENT_POLL_H
#include "ask.h"

struct ga_reading {
  const char *command; /* JSON */
  hv_reply_decode_fn *decode;
};
extern const struct ga_reading ga_readings[GA_READINGS];

/* The reply as a record, in the memory of the call. */
int ga_reading_decode (struct guest_agent *, uint32_t reading, const char *reply, void *ret, struct hv_err *err);
/* The guest said that just now: it is kept, and whoever listens is told if it is something else than before. */
void ga_learned (struct guest_agent *, const char *backend, const char *vm, uint32_t reading, const char *reply);

int ga_poll_start (struct guest_agent *, struct hv_err *);
void ga_poll_stop (struct guest_agent *);
#endif
