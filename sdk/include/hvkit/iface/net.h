/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* net/1: connects the network cards of a VM to a network of the node, and takes that back. An attachment is made before the
 * machine starts and outlives it until it is detached; both steps may be repeated after a crash at any point. */
#ifndef HVKIT_IFACE_NET_H
#define HVKIT_IFACE_NET_H
#include <hvkit/iface/hypervisor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_NET_BRIDGE     0u /* the guest takes over address and MAC of the interface */
#define HV_NET_MASQUERADE 1u /* the guest has a private address; NAT in between */
extern const char *const hv_net_binding_words[];

#define HV_NET_PENDING  0u /* nothing was changed yet */
#define HV_NET_STARTED  1u /* some of it is there: attach finishes it, detach takes it back */
#define HV_NET_ATTACHED 2u
extern const char *const hv_net_state_words[];

extern const char *const hv_net_link_words[]; /* missing, down, up */
#define HV_NET_LINK_MISSING 0u
#define HV_NET_LINK_DOWN    1u
#define HV_NET_LINK_UP      2u

#define HV_NET_ATTACH_ARGS(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190) \
  F (T, STR, _, nic, HV_REQUIRED, "name of the network card in the machine", .pattern = "name") \
  F (T, U32, _, ordinal, 0, "its place among the machine's network cards, from 0", .def = "0", .max = 255) \
  F (T, ENUM, hv_net_binding, binding, 0, "how the guest gets there", .def = "bridge") \
  F (T, STR, _, network, 0, "network of the node, as the provider's configuration names it; absent: its default", .max = 64) \
  F (T, STR, _, netns, HV_PATH, "network namespace the interface is in; absent: the provider makes one for the VM", .max = 4096) \
  F (T, STR, _, interface_name, 0, "interface to take; absent: eth0 in the VM's namespace", .umin = 1, .max = 15) \
  F (T, STR, _, mac, 0, "guest MAC address; absent: bridge takes the interface's, others one that follows from VM and card", .pattern = "mac") \
  F (T, U32, _, mtu, 0, "absent: the interface's", .umin = 68, .max = 65535) \
  F (T, U32, _, queues, 0, "queue pairs", .def = "1", .umin = 1, .max = 256) \
  F (T, U32, _, owner_uid, 0, "uid that may open the tap device") \
  F (T, BOOL, _, guard, 0, "drop the guest's frames with addresses of others; absent: as the provider is configured") \
  F (T, STR, _, hostname, 0, "told to the guest by DHCP", .pattern = "name") \
  F (T, STR, _, domain, 0, "told to the guest by DHCP", .max = 253) \
  F (T, STRS, _, search, 0, "search domains, told to the guest by DHCP", .max = 32) \
  F (T, STRS, _, nameservers, 0, "told to the guest by DHCP; absent: the node's", .max = 16) \
  F (T, STRS, _, ntp, 0, "time servers, told to the guest by DHCP", .max = 16) \
  F (T, STR, _, bootfile, 0, "told to the guest by DHCP", .max = 255) \
  F (T, STR, _, tftp_server, 0, "told to the guest by DHCP", .max = 255) \
  F (T, MAP, _, options, 0, "private options, 224 to 254, with their texts, told to the guest by DHCP", .max = 31) \
  F (T, STRS, _, ports, 0, "masquerade: forwarded to the guest, as 80/tcp; absent: all", .max = 256)
HV_RECORD_STRUCT (hv_net_attach_args, HV_NET_ATTACH_ARGS);

#define HV_NET_REF(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190) \
  F (T, STR, _, nic, HV_REQUIRED, "name of the network card in the machine", .pattern = "name")
HV_RECORD_STRUCT (hv_net_ref, HV_NET_REF);
#define HV_NET_DETACH_ARGS(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190) \
  F (T, STR, _, nic, 0, "name of the network card in the machine; absent: all of them", .pattern = "name")
HV_RECORD_STRUCT (hv_net_detach_args, HV_NET_DETACH_ARGS);

#define HV_NET_ATTACHMENT(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name") \
  F (T, STR, _, nic, HV_REQUIRED, "name of the network card in the machine") \
  F (T, ENUM, hv_net_state, state, HV_REQUIRED, "how far it is") \
  F (T, STR, _, detail, 0, "for people: what stopped it") \
  F (T, ENUM, hv_net_binding, binding, 0, "how the guest gets there") \
  F (T, STR, _, tap, 0, "tap device, for hv_machine_nic.tap") \
  F (T, STR, _, netns, 0, "network namespace the tap is in, for hv_machine_nic.netns; absent: the daemon's") \
  F (T, STR, _, bridge, 0, "bridge the tap is in") \
  F (T, STR, _, mac, 0, "guest MAC address") \
  F (T, U32, _, mtu, 0, "MTU") \
  F (T, U32, _, queues, 0, "queue pairs") \
  F (T, ENUM, hv_net_link, link, 0, "up while a machine has the tap open") \
  F (T, BOOL, _, guard, 0, "the guest's frames with addresses of others are dropped") \
  F (T, STRS, _, addresses, 0, "what the guest is given: address/prefix") \
  F (T, STR, _, gateway, 0, "what the guest is given") \
  F (T, U64, _, lease_ms, 0, "the guest took its lease at, ms since 1970", .unit = "ms") \
  F (T, U64, _, age_ms, 0, "age of this answer", .unit = "ms") \
  F (T, STR, _, source, 0, "live, cache or stored")
HV_RECORD_STRUCT (hv_net_attachment, HV_NET_ATTACHMENT);

#define HV_NET_LIST_ARGS(F, T) \
  F (T, STR, _, vm, 0, "domain name; absent: every VM", .umin = 1, .max = 190) \
  F (T, U32, _, limit, 0, "at most this many rows", .def = "500", .umin = 1, .max = 5000) \
  F (T, STR, _, continue_from, 0, "the previous answer's continue_from", .max = 300)
HV_RECORD_STRUCT (hv_net_list_args, HV_NET_LIST_ARGS);
#define HV_NET_LIST(F, T) \
  F (T, RECS, hv_net_attachment, items, HV_REQUIRED, "attachments, by VM and network card") \
  F (T, STR, _, continue_from, 0, "pass it back to get the next page; absent: that was all")
HV_RECORD_STRUCT (hv_net_list, HV_NET_LIST);

/* --- the verbs: base tables for HV_IMPLEMENT; stats takes hv_interface_args and answers hv_interface_stats --- */
extern const struct hv_method hv_net_verb_attach, hv_net_verb_detach, hv_net_verb_get, hv_net_verb_list, hv_net_verb_stats;
extern const struct hv_iface hv_iface_net;

#ifdef __cplusplus
}
#endif
#endif
