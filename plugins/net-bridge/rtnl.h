/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rtnetlink: one step each, synchronous, in the namespace where it was opened. Blocks for the kernel: for an offload. Errors say
 * what the step was. */
#ifndef NB_RTNL_H
#define NB_RTNL_H
#include <hvkit/err.h>
#include <hvkit/field.h>
#include <net/if.h>
#include <netlink/netlink.h>

#define NB_MAC 6u

struct nb_link {
  uint32_t index, master, mtu, min_mtu, max_mtu, flags; /* IFF_*; index 0: there is none */
  char name[IFNAMSIZ], kind[16];                        /* kind: bridge, tun, veth …; "" if it has none */
  uint8_t mac[NB_MAC], mac_bytes;
  uint64_t rx_bytes, rx_packets, rx_errors, rx_drops, tx_bytes, tx_packets, tx_errors, tx_drops;
};

/* What is to be changed of a link; NULL and the has bits: stays. */
struct nb_change {
  const char *name;
  const uint8_t *mac;
  uint32_t mtu, master;
  uint8_t has_mtu, has_master; /* master 0: of nothing */
  uint8_t has_up, up;
};

/* Messages of the kernel, one after the other as they came: addresses or routes, to be given back to it later. */
struct nb_saved {
  uint8_t *data; /* malloc'd */
  uint64_t size;
};

int nb_rtnl_open (struct nl_sock **ret, struct hv_err *); /* nl_socket_free */

/* By index, or by name where index is 0. NOT_FOUND. */
int nb_link_get (struct nl_sock *, uint32_t index, const char *name, struct nb_link *ret, struct hv_err *);
/* UNIMPLEMENTED: the kernel has no such kind. `mac` NULL: the kernel's choice; noarp: without ARP. */
int nb_link_add (struct nl_sock *, const char *name, const char *kind, const uint8_t *mac, uint32_t mtu, int noarp,
                 struct hv_err *);
/* A pair of links: one here, the other where `peer_netns_fd` is. */
int nb_veth_add (struct nl_sock *, const char *name, const uint8_t mac[NB_MAC], uint32_t mtu, const char *peer, int peer_netns_fd,
                 struct hv_err *);
int nb_link_change (struct nl_sock *, uint32_t index, const struct nb_change *, struct hv_err *);
int nb_link_delete (struct nl_sock *, uint32_t index, struct hv_err *); /* what is gone is gone */
int nb_port_learning (struct nl_sock *, uint32_t index, int on, struct hv_err *);
int nb_address_add (struct nl_sock *, uint32_t index, uint32_t ipv4, uint8_t prefix, struct hv_err *); /* network byte order */

int nb_address6_add (struct nl_sock *, uint32_t index, const uint8_t ipv6[16], uint8_t prefix, struct hv_err *);
int nb_gateway_add (struct nl_sock *, uint32_t index, uint32_t gateway, struct hv_err *); /* the default route */

/* What the namespace's IPv4 routes say. */
struct nb_survey {
  struct {
    uint32_t address; /* network byte order */
    uint8_t prefix;
  } taken[256]; /* inside what was asked about */
  uint32_t count;
  uint32_t default_index; /* link of the default route; 0: there is none */
};
int nb_routes_survey (struct nl_sock *, uint32_t pool, uint8_t prefix, struct nb_survey *ret, struct hv_err *);

int nb_addresses_save (struct nl_sock *, uint32_t index, struct nb_saved *ret, struct hv_err *);
/* Those that somebody put there: what follows from addresses comes with them. */
int nb_routes_save (struct nl_sock *, uint32_t index, struct nb_saved *ret, struct hv_err *);
void nb_saved_clear (struct nb_saved *);
int nb_addresses_flush (struct nl_sock *, uint32_t index, struct hv_err *);
/* On another link, if its index differs; what is there already stays. */
int nb_addresses_restore (struct nl_sock *, struct hv_bin saved, uint32_t index, struct hv_err *);
int nb_routes_restore (struct nl_sock *, struct hv_bin saved, struct hv_err *);

/* The first IPv4 address that is not of the link alone, network byte order; 0: there is none. */
uint32_t nb_saved_ipv4 (struct hv_bin addresses, uint8_t *ret_prefix);
/* The IPv6 addresses that are not of the link alone, up to max. Returns how many. */
uint32_t nb_saved_ipv6 (struct hv_bin addresses, uint8_t (*ret)[16], uint32_t max);
/* The gateway of the first IPv4 route that has one; 0: none. */
uint32_t nb_saved_gateway (struct hv_bin routes);
#endif
