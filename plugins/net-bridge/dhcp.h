/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a DHCP server has to be told so that a guest is told what KubeVirt tells it. Pure functions, any thread. */
#ifndef NB_DHCP_H
#define NB_DHCP_H
#include <hvkit/iface/net.h>
#include <hvkit/plugin.h>

#define NB_DHCP_ARGS_MAX 56u
#define NB_LEASE_S       86313600u /* 999 days, KubeVirt's */

struct nb_lease {
  const char *bridge, *mac;
  uint32_t address, gateway; /* IPv4, network byte order; gateway 0: none */
  uint8_t prefix;
  uint32_t mtu;
  const char *address6; /* address/prefix; NULL: the guest gets no IPv6 from us */
};

/* Refuses what cannot be said to dnsmasq or to a guest. `has_address`: there is one to lease. */
int nb_dhcp_check (const struct hv_net_attach_args *, struct hv_err *);
int nb_dhcp_is_asked (const struct hv_net_attach_args *); /* for anything that only DHCP can tell */
/* dnsmasq's arguments, a line each, in the call's memory. `nameservers`: those of the node, for who was given none. NULL: no
 * memory. */
char *nb_dhcp_args (struct hv_host *, const struct hv_net_attach_args *, const struct nb_lease *,
                    const struct hv_strs *nameservers);
/* The name servers of a resolv.conf that a guest can reach: those on this node alone are left out. The call's memory. */
int nb_dhcp_nameservers (struct hv_host *, const char *resolv_conf, struct hv_strs *ret, struct hv_err *);
#endif
