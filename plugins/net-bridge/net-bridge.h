/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's own view. An attachment is a record, written before anything is changed, with all it takes to undo it. */
#ifndef NET_BRIDGE_H
#define NET_BRIDGE_H
#include "names.h"
#include "nft.h"
#include "rtnl.h"
#include <hvkit/iface/net.h>
#include <hvkit/plugin.h>

/* --- what is on disk: one document per network card --- */

extern const char *const nb_step_words[]; /* attaching, attached, detaching */
#define NB_ATTACHING 0u
#define NB_ATTACHED  1u
#define NB_DETACHING 2u

extern const char *const nb_kind_words[]; /* bridge, masquerade, network */
#define NB_BRIDGE     0u                  /* KubeVirt's bindings … */
#define NB_MASQUERADE 1u
#define NB_NETWORK    2u /* a tap on a bridge of the node */

#define NB_DOCUMENT(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name") \
  F (T, STR, _, nic, HV_REQUIRED, "network card") \
  F (T, ENUM, nb_step, step, HV_REQUIRED, "how far it is") \
  F (T, ENUM, nb_kind, kind, HV_REQUIRED, "what was made") \
  F (T, STR, _, boot, HV_REQUIRED, "boot of the node in which it was made; nothing of it outlives that") \
  F (T, STR, _, netns, 0, "namespace; absent: the daemon's") \
  F (T, U64, _, netns_dev, HV_REQUIRED, "which namespace that was; 0: not made yet") \
  F (T, U64, _, netns_ino, HV_REQUIRED, "which namespace that was") \
  F (T, STR, _, uplink, 0, "the namespace was made for the VM; the other end of its link, in the daemon's") \
  F (T, U32, _, subnet, 0, "that namespace's address range, counted from the pool's begin") \
  F (T, STR, _, interface_name, 0, "the interface, by its own name") \
  F (T, U32, _, index, 0, "the interface") \
  F (T, STR, _, bridge, HV_REQUIRED, "what the tap is in") \
  F (T, BOOL, _, bridge_made, 0, "the bridge of the node is ours") \
  F (T, STR, _, port, 0, "name of the interface as a port") \
  F (T, STR, _, tap, HV_REQUIRED, "made") \
  F (T, BIN, _, mac, 0, "of the interface, before") \
  F (T, U32, _, mtu, 0, "of the interface, before") \
  F (T, BOOL, _, up, 0, "the interface was up") \
  F (T, BIN, _, addresses, 0, "of the interface, before: the kernel's messages") \
  F (T, BIN, _, routes, 0, "through the interface, before: the kernel's messages") \
  F (T, STR, _, sysctls, 0, "settings of the namespace, before: name=value, a line each") \
  F (T, STR, _, host_sysctls, 0, "settings of the daemon's namespace, before") \
  F (T, STR, _, guest_mac, HV_REQUIRED, "guest MAC address") \
  F (T, U32, _, guest_mtu, 0, "in effect") \
  F (T, STR, _, guest_address, 0, "IPv4 address/prefix of the guest") \
  F (T, STR, _, guest_gateway, 0, "its router") \
  F (T, STR, _, guest_address6, 0, "IPv6 address/prefix of the guest") \
  F (T, STR, _, guest_gateway6, 0, "its router") \
  F (T, U32, _, ordinal, HV_REQUIRED, "place among the VM's cards") \
  F (T, U32, _, queues, HV_REQUIRED, "queue pairs") \
  F (T, U32, _, owner_uid, 0, "uid that may open the tap") \
  F (T, BOOL, _, guarded, 0, "frames with others' addresses are dropped") \
  F (T, STR, _, dhcp, 0, "arguments of its DHCP server, a line each; absent: it has none")
HV_RECORD_STRUCT (nb_document, NB_DOCUMENT);

/* --- in memory --- */

enum nb_server_state {
  NB_SERVER_NONE,  /* not started yet, or not needed */
  NB_SERVER_FRESH, /* to be started, and none can be there */
  NB_SERVER_LOST,  /* one may run since before the daemon was started */
  NB_SERVER_RUNS,
  NB_SERVER_ENDED, /* by itself */
};

struct nb_attachment {
  struct nb *nb;
  char *key;      /* of its document */
  uint8_t *bytes; /* what d points to */
  struct nb_document d;
  int32_t pidfd;          /* of its DHCP server; -1: none is known */
  struct hv_watch *watch; /* of that */
  enum nb_server_state server;
  uint32_t server_pause_s; /* before the next start */
  uint64_t server_due_ms, server_begun_ms;
};

#define NB_CONFIG_NETWORK(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "what VMs call it", .pattern = "name") \
  F (T, STR, _, bridge, HV_REQUIRED, "bridge of the node", .umin = 1, .max = 15) \
  F (T, BOOL, _, create, 0, "make the bridge while a VM is on it", .def = "false") \
  F (T, STR, _, address, 0, "of the node on a bridge that is made: address/prefix", .max = 18)
HV_RECORD_STRUCT (nb_config_network, NB_CONFIG_NETWORK);

#define NB_CONFIG(F, T) \
  F (T, RECS, nb_config_network, networks, 0, "networks of the node", .max = 64) \
  F (T, STR, _, pool, 0, "addresses for the namespaces that are made for VMs, four each", .def = "10.66.0.0/16", .max = 18) \
  F (T, BOOL, _, own_netns, 0, "a VM may take over interfaces of the daemon's own namespace, where that is a pod's", \
     .def = "false") \
  F (T, BOOL, _, guard, 0, "drop frames of guests with addresses of others", .def = "true") \
  F (T, STR, _, dnsmasq, HV_PATH, "DHCP server", .def = "/usr/sbin/dnsmasq", .max = 4096) \
  F (T, STR, _, nsenter, HV_PATH, "program that starts it in a namespace", .def = "/usr/bin/nsenter", .max = 4096) \
  F (T, STR, _, user, 0, "whom it runs as", .def = "nobody", .umin = 1, .max = 32)
HV_RECORD_STRUCT (nb_config, NB_CONFIG);

struct nb {
  struct hv_host *host;
  const struct nb_config *config;
  uint64_t netns_dev, netns_ino; /* the daemon's */
  uint32_t pool;                 /* first address, network byte order */
  uint8_t pool_prefix;
  uint8_t locked;             /* somebody changes a namespace */
  uint8_t keeps_servers;      /* somebody starts DHCP servers */
  struct nb_attachment **all; /* by VM and card */
  uint32_t count, capacity;
  struct hv_cond *unlocked;
};

int nb_no_memory (struct hv_err *);

/* --- record.c [coro] --- */
int nb_record_load (struct nb *, struct hv_err *);
struct nb_attachment *nb_find (struct nb *, const char *vm, const char *nic); /* borrowed; NULL */
/* Writes it down; the list has it afterwards, instead of an older one of its name. */
int nb_record_save (struct nb *, const struct nb_document *, struct hv_err *);
int nb_record_step (struct nb *, struct nb_attachment *, uint32_t step, struct hv_err *);
int nb_record_delete (struct nb *, struct nb_attachment *, struct hv_err *);

/* --- a plan: everything there is to undo, looked at before anything is changed --- */
#define NB_ADDRESS 64u /* room for an address with its prefix */
#define NB_LINES   512u
struct nb_plan {
  struct nb_document d; /* points into what follows, and into the arguments */
  char name[IFNAMSIZ], uplink[IFNAMSIZ], guest_mac[20], sysctls[NB_LINES], host_sysctls[NB_LINES];
  char address[NB_ADDRESS], gateway[NB_ADDRESS], address6[NB_ADDRESS], gateway6[NB_ADDRESS];
  uint8_t mac[NB_MAC];
  struct nb_names names;
  struct nb_saved addresses, routes; /* malloc'd: nb_plan_clear */
};
void nb_plan_clear (struct nb_plan *);

/* --- bridge.c, masquerade.c, network.c: what is made, in the namespace, in an offload. Planning changes nothing. Making does every
 * step that is not done yet; undoing passes over what is gone already. --- */
int nb_bridge_plan (const struct hv_net_attach_args *, struct nb_plan *ret, struct hv_err *);
int nb_bridge_make (struct hv_host *, const struct nb_document *, struct hv_err *);
int nb_bridge_undo (struct hv_host *, const struct nb_document *, struct hv_err *);

int nb_masquerade_plan (const struct hv_net_attach_args *, struct nb_plan *ret, struct hv_err *);
int nb_masquerade_make (struct hv_host *, const struct nb_document *, struct hv_err *);
void nb_masquerade_nat (const struct nb_document *, const struct hv_strs *ports, struct nb_nft *);
void nb_masquerade_nat_remove (const struct nb_document *, struct nb_nft *);
int nb_masquerade_undo (struct hv_host *, const struct nb_document *, struct hv_err *);
int nb_masquerade_check_ports (const struct hv_strs *, struct hv_err *);

int nb_network_plan (const struct hv_net_attach_args *, const struct nb_config_network *, struct nb_plan *ret, struct hv_err *);
int nb_network_make (struct hv_host *, const struct nb_document *, const struct nb_config_network *, struct hv_err *);
int nb_network_check (const struct nb_config *, struct hv_err *); /* the networks of a configuration */
int nb_network_undo (struct hv_host *, const struct nb_document *, int drop_bridge, struct hv_err *);

/* link.c: what they share. In the namespace, in an offload. */
uint32_t nb_be32 (uint32_t);
int nb_parse_ipv4 (const char *text, uint32_t *ret_address, uint8_t *ret_prefix); /* address/prefix; network byte order */
int nb_check_free (struct nl_sock *, const char *name, struct hv_err *);
/* The MAC of the call, or the card's own. INVALID_ARGUMENT: a group's. */
int nb_plan_mac (const struct hv_net_attach_args *, const uint8_t own[NB_MAC], struct nb_plan *, struct hv_err *);
int nb_make_tap (struct hv_host *, struct nl_sock *, const struct nb_document *, uint32_t bridge, struct hv_err *);
/* What has the name and the kind, and is not the interface itself. kind NULL: any. */
int nb_remove_link (struct nl_sock *, const struct nb_document *, const char *name, const char *kind, struct hv_err *);

/* --- pod.c: a namespace for a VM that was given none [coro] --- */
int nb_pod_plan (struct nb *, const struct hv_net_attach_args *, struct nb_plan *ret, struct hv_err *);
int nb_pod_make (struct nb *, struct nb_plan *, struct hv_err *); /* fills in which namespace it became */
int nb_pod_undo (struct nb *, const struct nb_attachment *, struct hv_err *);
int nb_pod_check_pool (struct nb *, struct hv_err *); /* of the configuration */

/* --- guard.c: frames that a guest may not send --- */
void nb_guard_put (const struct nb_document *, struct nb_nft *);
void nb_guard_remove (const struct nb_document *, struct nb_nft *);

/* --- tap.c --- */
int nb_tap_make (const char *name, uint32_t queues, int has_owner, uint32_t owner_uid, struct hv_err *); /* what is there stays */

/* --- sysctl.c: of the namespace that the thread is in. Lines are "name=value" --- */
#define NB_ARP_IGNORE "ipv4/conf/all/arp_ignore"
#define NB_FORWARD4   "ipv4/ip_forward"
#define NB_FORWARD6   "ipv6/conf/all/forwarding"
int nb_sysctl_write (const char *name, int64_t value, struct hv_err *);
int nb_sysctl_note (char lines[NB_LINES], const char *name, struct hv_err *); /* adds the line of its value */
int nb_sysctl_restore (const char *lines, struct hv_err *);
/* What was there before anybody here changed it: the values of another attachment of the same namespace win. */
void nb_sysctl_originals (struct nb *, struct nb_plan *);
/* The lines to restore when an attachment goes: without what another one needs. The call's memory; NULL: none. */
const char *nb_sysctl_due (struct nb *, const struct nb_attachment *, int host);

/* --- netns.c [coro] --- */
/* Runs fn in the document's namespace, in an offload. NOT_FOUND: it is gone, or another has its name; fn has not run. */
int nb_in_netns (struct nb *, const struct nb_document *, int (*fn) (void *), void *arg, struct hv_err *);
int nb_netns_identify (struct nb *, const char *netns, uint64_t *ret_dev, uint64_t *ret_ino, struct hv_err *);

/* --- server.c [coro] --- */
/* It is found or started as soon as the lock is free, and again whenever it ends. */
void nb_server_want (struct nb *, struct nb_attachment *);
int nb_server_stop (struct nb *, struct nb_attachment *, struct hv_err *);
void nb_server_forget (struct nb *, struct nb_attachment *); /* it goes on; not a coroutine's alone */
/* When the guest took its lease, ms since 1970; 0: it has not. */
uint64_t nb_server_lease_ms (struct nb *, const struct nb_attachment *);

/* --- repair.c [coro] --- */
int nb_repair (struct nb *, struct hv_err *); /* what was cut off is taken back */
int nb_take_back (struct nb *, struct nb_attachment *, struct hv_err *);

/* --- verbs: attach.c, show.c --- */
int nb_attach (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_detach (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_get (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_list (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_show (struct nb *, const struct nb_attachment *, struct hv_net_attachment *ret, struct hv_err *); /* as it is on record */
int nb_lock (struct nb *, struct hv_err *);
void nb_unlock (struct nb *);
extern const struct hv_plugin nb_plugin;
#endif
