/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables of net/1: words, records, verbs. Linked into every plugin that provides or calls it. */
#include <hvkit/iface/net.h>

const char *const hv_net_binding_words[] = { "bridge", "masquerade", NULL };
const char *const hv_net_link_words[] = { "missing", "down", "up", NULL };
const char *const hv_net_state_words[] = { "pending", "started", "attached", NULL };

HV_RECORD_TABLE (hv_net_attach_args, HV_NET_ATTACH_ARGS, "arguments of attach");
HV_RECORD_TABLE (hv_net_ref, HV_NET_REF, "names a network card of a VM");
HV_RECORD_TABLE (hv_net_detach_args, HV_NET_DETACH_ARGS, "arguments of detach");
HV_RECORD_TABLE (hv_net_attachment, HV_NET_ATTACHMENT, "a network card's connection");
HV_RECORD_TABLE (hv_net_list_args, HV_NET_LIST_ARGS, "arguments of list");
HV_RECORD_TABLE (hv_net_list, HV_NET_LIST, "connections of network cards");

/* --- how the verbs look on the command line --- */
#define HV_VERB(name_, flags_, args_, result_, access_, lane_, key_, timeout_, cli_, doc_) \
  const struct hv_method hv_net_verb_##name_ = { .struct_size = sizeof (struct hv_method), \
                                                 .flags = (flags_), \
                                                 .verb = #name_, \
                                                 .args = (args_), \
                                                 .result = (result_), \
                                                 .access = HV_ACCESS_CHECKED_ (access_), \
                                                 .lane = (lane_), \
                                                 .key = (key_), \
                                                 .timeout_ms = (timeout_), \
                                                 .cli = (cli_), \
                                                 .doc = (doc_) }
#define HV_VERB_CLI(name_, ...) static const struct hv_cli cli_##name_ = { .struct_size = sizeof (struct hv_cli), __VA_ARGS__ }

#define NET_COLUMNS "VM=vm NIC=nic STATE=state BINDING=binding TAP=tap MAC=mac ADDRESSES=addresses"
#define NET_WIDE    "BRIDGE=bridge NETNS=netns MTU=mtu GATEWAY=gateway DETAIL=detail"
HV_VERB_CLI (attached, .positional = "vm nic", .done = "vm/{vm} {nic} attached");
HV_VERB_CLI (detached, .positional = "vm nic?", .done = "vm/{vm} detached");
HV_VERB_CLI (get, .positional = "vm nic", .columns = NET_COLUMNS, .wide = NET_WIDE);
HV_VERB_CLI (list, .positional = "vm?", .list = "items", .columns = NET_COLUMNS, .wide = NET_WIDE);
HV_VERB_CLI (stats, .positional = "vm nic?", .list = "items",
             .columns = "NIC=nic TAP=tap RECEIVED=rx_bytes:bytes SENT=tx_bytes:bytes RX_DROPS=rx_drops TX_DROPS=tx_drops");

/* --- the verbs --- */
HV_VERB (attach, HV_MUST, &hv_net_attach_args_record, &hv_net_attachment_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 60000,
         &cli_attached, "Make the connection of a network card; finishes one that was begun");
HV_VERB (detach, HV_MUST, &hv_net_detach_args_record, NULL, HV_OPERATOR, HV_LANE_MUTATE, "vm", 60000, &cli_detached,
         "Take connections back, whole or begun; success if there are none");
HV_VERB (get, HV_MUST | HV_READ, &hv_net_ref_record, &hv_net_attachment_record, HV_VIEWER, HV_LANE_NONE, "vm", 0, &cli_get,
         "One connection");
HV_VERB (list, HV_MUST | HV_READ, &hv_net_list_args_record, &hv_net_list_record, HV_VIEWER, HV_LANE_NONE, NULL, 0, &cli_list,
         "The connections of VMs");
HV_VERB (stats, HV_READ, &hv_interface_args_record, &hv_interface_stats_record, HV_VIEWER, HV_LANE_NONE, "vm", 0, &cli_stats,
         "Counters of connections, as the guest would count");

const struct hv_iface hv_iface_net = {
  .struct_size = sizeof (struct hv_iface),
  .major = 1,
  .name = "net",
  .doc = "connects network cards of VMs",
  .verbs = (const struct hv_method *const[]){ &hv_net_verb_attach, &hv_net_verb_detach, &hv_net_verb_get, &hv_net_verb_list,
                                              &hv_net_verb_stats, NULL },
  .events = (const struct hv_event *const[]){ NULL },
};
