/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guest says of itself: asked for when its agent connects, and then whenever guest-agent says that something of it
 * changed. A VM counts as connected to its agent when the agent has answered, not when somebody opened the channel. */
#include "vmi.h"
#include <stdio.h>
#include <string.h>

#define ASK_MS       5000u
#define RETRY_MAX_MS 60000u
#define CLOCK_MS     1000u
#define CLOCK_TRIES  60u

void
vmi_agent_forget (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  v->agent_known = 0;
  v->agent_failures = 0;
  h->api->timer_set (h, v->agent_retry, 0, 0);
  (void) vmi_text_set (&v->agent_version, NULL);
  v->addresses_missing = v->agent_news = v->frozen = 0;
  vmi_bytes_clear (&v->osinfo);
  vmi_bytes_clear (&v->interfaces);
}

/* One reading of the guest, kept encoded. What is not older than max_age_ms is not asked for again. */
static int
read_one (struct vmi_vm *v, const char *verb, const struct hv_record *record, void *got, uint64_t max_age_ms,
          struct vmi_bytes *keep, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct hv_call_options o = { .struct_size = sizeof o, .timeout_ms = ASK_MS, .max_age_ms = max_age_ms };
  struct hv_agent_args a = { 0 };
  struct hv_bin b;
  char method[64];
  HV_SET (&a, vm, v->domain);
  HV_SET (&a, backend, v->backend);
  (void) snprintf (method, sizeof method, "guest-agent.%s", verb);
  int r = h->api->call (h, method, &hv_agent_args_record, &a, record, got, &o, err);
  if (r == 0 && keep != NULL)
    r = h->api->encode (h, record, got, &b, err);
  if (r == 0 && keep != NULL && vmi_bytes_set (keep, b) < 0)
    r = vmi_no_memory (err);
  return r;
}

static int
ask (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_agent_info info;
  struct hv_agent_osinfo os;
  struct hv_agent_interfaces interfaces;
  struct hv_agent_freeze_status frozen = { 0 };
  int r = read_one (v, "info", &hv_agent_info_record, &info, v->agent_known ? VMI_AGENT_KNOWN_MS : 0, NULL, err);
  if (r == 0)
    r = vmi_text_set (&v->agent_version, info.version) < 0 ? vmi_no_memory (err) : 0;
  if (r == 0)
    r = read_one (v, "osinfo", &hv_agent_osinfo_record, &os, VMI_AGENT_KNOWN_MS, &v->osinfo, err);
  if (r < 0)
    return r;
  /* addresses that are missing still are looked for oftener than the guest is asked for them otherwise */
  uint64_t age = v->addresses_missing && !v->agent_news ? 0 : VMI_AGENT_KNOWN_MS;
  v->agent_changes += v->agent_news;
  v->agent_news = 0;
  /* a guest may have forbidden its agent to tell */
  (void) read_one (v, "interfaces", &hv_agent_interfaces_record, &interfaces, age, &v->interfaces, NULL);
  if (read_one (v, "freeze_status", &hv_agent_freeze_status_record, &frozen, VMI_AGENT_KNOWN_MS, NULL, NULL) == 0)
    v->frozen = frozen.status == HV_AGENT_FROZEN;
  return 0;
}

static void
again_later (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  uint64_t ms = v->vmi->config->agent_retry_ms;
  for (uint32_t i = 0; i < v->agent_failures && ms < RETRY_MAX_MS; i++)
    ms *= 2;
  v->agent_failures++;
  h->api->timer_set (h, v->agent_retry, ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS, 0);
}

static void
answered (struct vmi_vm *v)
{
  int first = !v->agent_known;
  v->agent_known = 1;
  v->addresses_missing = (uint8_t) vmi_network_misses_addresses (v);
  if (first)
    vmi_note (v, 0, "AgentConnected", "guest agent %s answers", v->agent_version);
  if (first)
    v->agent_failures = 0;
  if (v->addresses_missing)
    again_later (v); /* its network comes up later than its agent */
  vmi_status_update (v);
  if (v->agent_news)
    vmi_agent_follow (v); /* meanwhile */
}

static void
asking (void *self, void *arg)
{
  struct vmi_vm *v = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (v->vmi->host);
  (void) self;
  int r = ask (v, err);
  v->agent_asking = 0;
  if (r == 0 && v->seen.agent && !v->gone) {
    answered (v);
  } else if (r < 0 && r != HV_E_CANCELLED && v->seen.agent && !v->gone) {
    hv_log (v->vmi->host, HV_LOG_DEBUG, "VM '%s': its agent does not answer: %s", v->domain, hv_err_message (err));
    again_later (v);
  }
  vmi_vm_unref (v);
}

void
vmi_agent_follow (struct vmi_vm *v)
{
  if (!v->seen.agent) {
    v->agent_known = 0; /* what it said stays, as history */
    v->agent_failures = 0;
    return;
  }
  if ((v->agent_known && !v->addresses_missing && !v->agent_news) || v->agent_asking || v->gone || v->run.phase != VMI_RUNNING)
    return;
  v->agent_asking = 1;
  if (hv_go (v->vmi->host, "agent", asking, vmi_vm_ref (v)) == 0)
    return;
  v->agent_asking = 0;
  vmi_vm_unref (v);
}

int
vmi_agent_osinfo (struct vmi_vm *v, struct hv_agent_osinfo *ret, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  memset (ret, 0, sizeof *ret);
  if (v->osinfo.size == 0)
    return hv_err_set (err, HV_E_NOT_FOUND, "the guest agent has not said anything yet");
  return h->api->decode (h, &hv_agent_osinfo_record, vmi_bytes_bin (&v->osinfo), HV_DECODE_OPEN, ret, err);
}

int
vmi_agent_interfaces (struct vmi_vm *v, struct hv_agent_interfaces *ret, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  memset (ret, 0, sizeof *ret);
  if (v->interfaces.size == 0)
    return hv_err_set (err, HV_E_NOT_FOUND, "the guest agent has not said anything yet");
  return h->api->decode (h, &hv_agent_interfaces_record, vmi_bytes_bin (&v->interfaces), HV_DECODE_OPEN, ret, err);
}

/* --- the guest's clock --- */

/* 1: it is set, or will not be. */
static int
set_clock (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  struct hv_call_options o = { .struct_size = sizeof o, .timeout_ms = CLOCK_MS };
  struct hv_agent_set_time_args a = { 0 };
  HV_SET (&a, vm, v->domain);
  HV_SET (&a, backend, v->backend);
  int r = h->api->call (h, "guest-agent.set_time", &hv_agent_set_time_args_record, &a, NULL, NULL, &o, NULL);
  if (r == 0)
    hv_log (h, HV_LOG_INFO, "VM '%s': its clock is set", v->domain);
  return r == 0 || r == HV_E_UNIMPLEMENTED || r == HV_E_FAILED_PRECONDITION || r == HV_E_CANCELLED;
}

static void
setting_clock (void *self, void *arg)
{
  struct vmi_vm *v = arg;
  (void) self;
  for (uint32_t i = 1; i < CLOCK_TRIES && hv_sleep (v->vmi->host, CLOCK_MS, NULL) == 0; i++)
    if (v->gone || !v->seen.agent || v->run.phase != VMI_RUNNING || v->seen.state != HV_VM_RUNNING || set_clock (v))
      break;
  vmi_vm_unref (v);
}

/* As virt-launcher does it: tried again each second for a minute. A guest that cannot, or will not, is let be. The first time is
 * waited for: what is asked of the guest next does not find it busy. */
void
vmi_agent_set_clock (struct vmi_vm *v)
{
  if (!v->seen.agent || set_clock (v))
    return;
  if (hv_go (v->vmi->host, "clock", setting_clock, vmi_vm_ref (v)) < 0)
    vmi_vm_unref (v);
}
