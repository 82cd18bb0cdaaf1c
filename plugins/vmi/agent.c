/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guest says of itself, asked for once per connection of its agent. A VM counts as connected to its agent when the
 * agent has answered, not when somebody opened the channel. */
#include "vmi.h"
#include <string.h>

#define ASK_MS       5000u
#define RETRY_MAX_MS 60000u

void
vmi_agent_forget (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  v->agent_known = 0;
  v->agent_failures = 0;
  h->api->timer_set (h, v->agent_retry, 0, 0);
  (void) vmi_text_set (&v->agent_version, NULL);
  v->addresses_missing = 0;
  vmi_bytes_clear (&v->osinfo);
  vmi_bytes_clear (&v->interfaces);
}

static int
ask (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct hv_call_options o = { .struct_size = sizeof o, .timeout_ms = ASK_MS };
  struct hv_agent_args a = { 0 };
  struct hv_agent_info info;
  struct hv_agent_osinfo os;
  struct hv_agent_interfaces interfaces;
  struct hv_bin b, c;
  HV_SET (&a, vm, v->domain);
  HV_SET (&a, backend, v->backend);
  int r = h->api->call (h, "guest-agent.info", &hv_agent_args_record, &a, &hv_agent_info_record, &info, &o, err);
  if (r == 0)
    r = h->api->call (h, "guest-agent.osinfo", &hv_agent_args_record, &a, &hv_agent_osinfo_record, &os, &o, err);
  if (r == 0)
    r = h->api->encode (h, &hv_agent_osinfo_record, &os, &b, err);
  /* a guest may have forbidden its agent to tell */
  int told
      = r == 0
        && h->api->call (h, "guest-agent.interfaces", &hv_agent_args_record, &a, &hv_agent_interfaces_record, &interfaces, &o, NULL)
               == 0;
  if (told)
    r = h->api->encode (h, &hv_agent_interfaces_record, &interfaces, &c, err);
  if (r == 0
      && (vmi_text_set (&v->agent_version, info.version) < 0 || vmi_bytes_set (&v->osinfo, b) < 0
          || (told && vmi_bytes_set (&v->interfaces, c) < 0)))
    r = vmi_no_memory (err);
  return r;
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
  if ((v->agent_known && !v->addresses_missing) || v->agent_asking || v->gone || v->run.phase != VMI_RUNNING)
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
