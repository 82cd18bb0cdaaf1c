/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's own view. An attachment is a record, written before anything is changed, with all it takes to undo it. */
#ifndef NET_BRIDGE_H
#define NET_BRIDGE_H
#include "names.h"
#include "rtnl.h"
#include <hvkit/iface/net.h>
#include <hvkit/plugin.h>

/* --- what is on disk: one document per network card --- */

extern const char *const nb_step_words[]; /* attaching, attached, detaching */
#define NB_ATTACHING 0u
#define NB_ATTACHED  1u
#define NB_DETACHING 2u

#define NB_DOCUMENT(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name") \
  F (T, STR, _, nic, HV_REQUIRED, "network card") \
  F (T, ENUM, nb_step, step, HV_REQUIRED, "how far it is") \
  F (T, STR, _, netns, 0, "namespace; absent: the daemon's") \
  F (T, U64, _, netns_dev, HV_REQUIRED, "which namespace that was") \
  F (T, U64, _, netns_ino, HV_REQUIRED, "which namespace that was") \
  F (T, STR, _, interface_name, HV_REQUIRED, "the interface, by its own name") \
  F (T, U32, _, index, HV_REQUIRED, "the interface") \
  F (T, STR, _, bridge, HV_REQUIRED, "made") \
  F (T, STR, _, port, HV_REQUIRED, "name of the interface as a port") \
  F (T, STR, _, tap, HV_REQUIRED, "made") \
  F (T, BIN, _, mac, HV_REQUIRED, "of the interface, before") \
  F (T, U32, _, mtu, HV_REQUIRED, "of the interface, before") \
  F (T, BOOL, _, up, HV_REQUIRED, "the interface was up") \
  F (T, BIN, _, addresses, HV_REQUIRED, "of the interface, before: the kernel's messages") \
  F (T, BIN, _, routes, HV_REQUIRED, "through the interface, before: the kernel's messages") \
  F (T, I64, _, arp_ignore, HV_REQUIRED, "of the namespace, before; -1: not changed") \
  F (T, STR, _, guest_mac, HV_REQUIRED, "guest MAC address") \
  F (T, U32, _, guest_mtu, HV_REQUIRED, "in effect") \
  F (T, U32, _, ordinal, HV_REQUIRED, "place among the VM's cards") \
  F (T, U32, _, queues, HV_REQUIRED, "queue pairs") \
  F (T, U32, _, owner_uid, 0, "uid that may open the tap") \
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
  uint8_t *bytes; /* the document, encoded; what d points into */
  struct nb_document d;
  int32_t pidfd;          /* of its DHCP server; -1: none is known */
  struct hv_watch *watch; /* of that */
  enum nb_server_state server;
  uint32_t server_pause_s; /* before the next start */
  uint64_t server_due_ms, server_begun_ms;
};

#define NB_CONFIG(F, T) \
  F (T, STR, _, dnsmasq, HV_PATH, "DHCP server", .def = "/usr/sbin/dnsmasq", .max = 4096) \
  F (T, STR, _, nsenter, HV_PATH, "program that starts it in a namespace", .def = "/usr/bin/nsenter", .max = 4096) \
  F (T, STR, _, user, 0, "whom it runs as", .def = "nobody", .umin = 1, .max = 32)
HV_RECORD_STRUCT (nb_config, NB_CONFIG);

struct nb {
  struct hv_host *host;
  const struct nb_config *config;
  struct nb_attachment **all; /* by VM and card */
  uint32_t count, capacity;
  uint8_t locked;        /* somebody changes a namespace */
  uint8_t keeps_servers; /* somebody starts DHCP servers */
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

/* --- bridge.c: KubeVirt's bridge binding. In the namespace, in an offload --- */
/* Looks at everything there is to undo, and refuses what cannot be; changes nothing. What d points to is malloc'd: nb_plan_clear.
 */
struct nb_plan {
  struct nb_document d;
  char name[IFNAMSIZ], guest_mac[20];
  uint8_t mac[NB_MAC];
  struct nb_names names;
  struct nb_saved addresses, routes;
};
int nb_bridge_plan (const struct hv_net_attach_args *, struct nb_plan *ret, struct hv_err *);
void nb_plan_clear (struct nb_plan *);
/* Every step that is not done yet. */
int nb_bridge_make (struct hv_host *, const struct nb_document *, struct hv_err *);
/* Whatever was done of it is undone; what is gone already is passed over. `keeps_arp`: another attachment of the namespace needs
 * it. */
int nb_bridge_undo (struct hv_host *, const struct nb_document *, int keeps_arp, struct hv_err *);

/* --- tap.c --- */
int nb_tap_make (const char *name, uint32_t queues, int has_owner, uint32_t owner_uid, struct hv_err *); /* what is there stays */

/* --- sysctl.c: of the namespace that the thread is in --- */
int nb_sysctl_read (const char *name, int64_t *ret, struct hv_err *);
int nb_sysctl_write (const char *name, int64_t value, struct hv_err *);
#define NB_ARP_IGNORE "ipv4/conf/all/arp_ignore"

/* --- netns.c [coro] --- */
/* Runs fn in the document's namespace, in an offload. NOT_FOUND: it is gone, or another has its name; fn has not run. */
int nb_in_netns (struct nb *, const struct nb_document *, int (*fn) (void *), void *arg, struct hv_err *);
int nb_netns_identify (struct nb *, const char *netns, uint64_t *ret_dev, uint64_t *ret_ino, struct hv_err *);

/* --- server.c [coro] --- */
/* Finds or starts the DHCP server of an attachment that has one. `fresh`: there cannot be one yet. */
int nb_server_start (struct nb *, struct nb_attachment *, int fresh, struct hv_err *);
/* It is found or started as soon as the lock is free, and again whenever it ends. */
void nb_server_want (struct nb *, struct nb_attachment *);
int nb_server_stop (struct nb *, struct nb_attachment *, struct hv_err *);
void nb_server_forget (struct nb *, struct nb_attachment *); /* it goes on; not a coroutine's alone */

/* --- repair.c [coro] --- */
int nb_repair (struct nb *, struct hv_err *); /* what was cut off is taken back */
int nb_take_back (struct nb *, struct nb_attachment *, struct hv_err *);

/* --- verbs --- */
int nb_attach (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_detach (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_get (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_list (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int nb_lock (struct nb *, struct hv_err *);
void nb_unlock (struct nb *);
extern const struct hv_plugin nb_plugin;
#endif
