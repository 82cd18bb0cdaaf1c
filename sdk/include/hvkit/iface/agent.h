/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/1: the guest agent of a VM, whatever backend runs it. Everything a guest says is hostile input. */
#ifndef HVKIT_IFACE_AGENT_H
#define HVKIT_IFACE_AGENT_H
#include <hvkit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_AGENT_ARGS(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190) \
  F (T, STR, _, backend, 0, "instance that runs it; absent: the only hypervisor there is", .max = 64)
HV_RECORD_STRUCT (hv_agent_args, HV_AGENT_ARGS);

#define HV_AGENT_PING(F, T) F (T, U64, _, rtt_us, HV_REQUIRED, "time the guest took to answer", .unit = "us")
HV_RECORD_STRUCT (hv_agent_ping, HV_AGENT_PING);

#define HV_AGENT_INFO(F, T) \
  F (T, STR, _, version, HV_REQUIRED, "version of the agent", .max = 128) \
  F (T, STRS, _, commands, HV_REQUIRED, "commands that are enabled in the guest", .max = 256)
HV_RECORD_STRUCT (hv_agent_info, HV_AGENT_INFO);

#define HV_AGENT_OSINFO(F, T) \
  F (T, STR, _, id, 0, "debian") \
  F (T, STR, _, name, 0, "Debian GNU/Linux") \
  F (T, STR, _, pretty_name, 0, "Debian GNU/Linux 12 (bookworm)") \
  F (T, STR, _, version, 0, "12 (bookworm)") \
  F (T, STR, _, version_id, 0, "12") \
  F (T, STR, _, kernel_release, 0, "uname -r") \
  F (T, STR, _, kernel_version, 0, "uname -v") \
  F (T, STR, _, machine, 0, "x86_64") \
  F (T, STR, _, hostname, 0, "the guest's host name") \
  F (T, U64, _, age_ms, 0, "age of this answer", .unit = "ms") \
  F (T, STR, _, source, 0, "live or cache")
HV_RECORD_STRUCT (hv_agent_osinfo, HV_AGENT_OSINFO);

#define HV_AGENT_INTERFACE(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name in the guest") \
  F (T, STR, _, mac, 0, "hardware address") \
  F (T, STRS, _, addresses, 0, "address/prefix")
HV_RECORD_STRUCT (hv_agent_interface, HV_AGENT_INTERFACE);
#define HV_AGENT_INTERFACES(F, T) F (T, RECS, hv_agent_interface, items, HV_REQUIRED, "the guest's network interfaces")
HV_RECORD_STRUCT (hv_agent_interfaces, HV_AGENT_INTERFACES);

extern const struct hv_method hv_agent_verb_ping, hv_agent_verb_info, hv_agent_verb_osinfo, hv_agent_verb_interfaces;
extern const struct hv_iface hv_iface_agent;

#ifdef __cplusplus
}
#endif
#endif
