/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* KubeVirt's masquerade binding: the guest has a private address behind a bridge, the interface stays as it is, and NAT is in
 * between. Names, addresses and hooks are KubeVirt's; the rules are one table, put there in one transaction. */
#include "net-bridge.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define GATEWAY4         "10.0.2.1"
#define GUEST4           "10.0.2.2"
#define PREFIX4          24
#define GATEWAY6         "fd10:0:2::1"
#define GUEST6           "fd10:0:2::2"
#define PREFIX6          120
#define NB_STEP(h, name) hv_step ((h), "masquerade." name)

/* --- plan --- */

static int
read_port (const char *text, unsigned *ret_port, char ret_protocol[8])
{
  char *end = NULL;
  unsigned long n = strtoul (text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || n < 1 || n > 65535)
    return 0;
  if (strcmp (end, "") != 0 && strcmp (end, "/tcp") != 0 && strcmp (end, "/udp") != 0 && strcmp (end, "/sctp") != 0)
    return 0;
  *ret_port = (unsigned) n;
  (void) snprintf (ret_protocol, 8, "%s", end[0] != '\0' ? end + 1 : "tcp");
  return 1;
}

int
nb_masquerade_check_ports (const struct hv_strs *ports, struct hv_err *err)
{
  unsigned port;
  char protocol[8];
  for (uint32_t i = 0; i < ports->count; i++)
    if (!read_port (ports->items[i], &port, protocol))
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "ports: '%.32s' is not a port with its protocol, as 80/tcp", ports->items[i]);
  return 0;
}

static int
look (struct nl_sock *s, const struct hv_net_attach_args *a, struct nb_plan *p, struct hv_err *err)
{
  struct nb_link l;
  uint8_t own[1][16];
  int r = nb_link_get (s, 0, p->name, &l, err);
  uint32_t mtu = HV_HAS (a, mtu) ? a->mtu : l.mtu;
  if (r == 0 && l.flags & IFF_LOOPBACK)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "interface '%s' leads nowhere", l.name);
  if (r == 0 && mtu > l.mtu)
    r = hv_err_set (err, HV_E_OUT_OF_RANGE, "mtu: %u; interface '%s' has %u", mtu, l.name, l.mtu);
  if (r == 0)
    r = nb_check_free (s, p->names.bridge, err);
  if (r == 0)
    r = nb_check_free (s, p->names.tap, err);
  if (r == 0)
    r = nb_addresses_save (s, l.index, &p->addresses, err);
  if (r < 0)
    return r;
  HV_SET (&p->d, guest_mtu, mtu);
  HV_SET (&p->d, guest_address, GUEST4 "/24");
  HV_SET (&p->d, guest_gateway, GATEWAY4);
  r = nb_sysctl_note (p->sysctls, NB_FORWARD4, err);
  if (r == 0 && nb_saved_ipv6 ((struct hv_bin){ p->addresses.data, p->addresses.size }, own, 1) > 0) {
    HV_SET (&p->d, guest_address6, GUEST6 "/120");
    HV_SET (&p->d, guest_gateway6, GATEWAY6);
    r = nb_sysctl_note (p->sysctls, NB_FORWARD6, err);
  }
  HV_SET (&p->d, sysctls, p->sysctls);
  return r;
}

int
nb_masquerade_plan (const struct hv_net_attach_args *a, struct nb_plan *p, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  (void) snprintf (p->name, sizeof p->name, "%s", HV_HAS (a, interface_name) ? a->interface_name : "eth0");
  int r = nb_names_make (p->name, a->ordinal, &p->names, err);
  if (r == 0)
    r = nb_plan_mac (a, p->mac, p, err);
  if (r == 0)
    r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = look (s, a, p, err);
  nl_socket_free (s);
  HV_SET (&p->d, interface_name, p->name);
  HV_SET (&p->d, bridge, p->names.bridge);
  HV_SET (&p->d, tap, p->names.tap);
  return r;
}

/* --- make --- */

static int
make_bridge (struct hv_host *h, struct nl_sock *s, const struct nb_document *d, struct nb_link *ret, struct hv_err *err)
{
  static const uint8_t mac[NB_MAC] = { 0x02 };
  char route_localnet[64];
  struct in_addr gateway;
  uint8_t gateway6[16];
  int r = nb_link_add (s, d->bridge, "bridge", mac, d->guest_mtu, 0, err);
  NB_STEP (h, "bridge");
  if (r == 0)
    r = nb_link_get (s, 0, d->bridge, ret, err);
  (void) inet_pton (AF_INET, GATEWAY4, &gateway);
  (void) inet_pton (AF_INET6, GATEWAY6, gateway6);
  if (r == 0)
    r = nb_address_add (s, ret->index, gateway.s_addr, PREFIX4, err);
  if (r == 0 && HV_HAS (d, guest_address6))
    r = nb_address6_add (s, ret->index, gateway6, PREFIX6, err);
  NB_STEP (h, "address");
  if (r == 0)
    r = nb_link_change (s, ret->index, &(struct nb_change){ .has_up = 1, .up = 1 }, err);
  NB_STEP (h, "up");
  (void) snprintf (route_localnet, sizeof route_localnet, "ipv4/conf/%s/route_localnet", d->bridge);
  return r == 0 ? nb_sysctl_write (route_localnet, 1, err) : r;
}

/* A port of the namespace's that leads to the guest; protocol NULL: all of them. */
static void
add_forward (struct nb_nft *n, const struct nb_document *d, const char *table, const char *protocol, unsigned port)
{
  char match[48] = "";
  if (protocol != NULL)
    (void) snprintf (match, sizeof match, "%s dport %u ", protocol, port);
  nb_nft_add (n, "add rule inet %s prerouting iifname \"%s\" fib daddr type local meta nfproto ipv4 %sdnat ip to " GUEST4, table,
              d->interface_name, match);
  nb_nft_add (n, "add rule inet %s output ip daddr 127.0.0.1 %sdnat ip to " GUEST4, table, match);
  if (HV_HAS (d, guest_address6)) /* neighbour discovery is not tracked, so it is not translated either */
    nb_nft_add (n, "add rule inet %s prerouting iifname \"%s\" fib daddr type local meta nfproto ipv6 %sdnat ip6 to " GUEST6, table,
                d->interface_name, match);
}

void
nb_masquerade_nat (const struct nb_document *d, const struct hv_strs *ports, struct nb_nft *n)
{
  char table[32], protocol[8];
  unsigned port;
  (void) snprintf (table, sizeof table, "hvkit-nat-%s", d->bridge);
  nb_nft_add (n, "create table inet %s", table);
  nb_nft_add (n, "add chain inet %s prerouting { type nat hook prerouting priority dstnat; }", table);
  nb_nft_add (n, "add chain inet %s output { type nat hook output priority -100; }", table);
  nb_nft_add (n, "add chain inet %s postrouting { type nat hook postrouting priority srcnat; }", table);
  nb_nft_add (n, "add rule inet %s postrouting ip saddr " GUEST4 " oifname != \"%s\" masquerade", table, d->bridge);
  nb_nft_add (n, "add rule inet %s postrouting ip saddr 127.0.0.1 oifname \"%s\" snat ip to " GATEWAY4, table, d->bridge);
  if (HV_HAS (d, guest_address6))
    nb_nft_add (n, "add rule inet %s postrouting ip6 saddr " GUEST6 " oifname != \"%s\" masquerade", table, d->bridge);
  for (uint32_t i = 0; i < ports->count; i++)
    if (read_port (ports->items[i], &port, protocol))
      add_forward (n, d, table, protocol, port);
  if (ports->count == 0)
    add_forward (n, d, table, NULL, 0);
}

void
nb_masquerade_nat_remove (const struct nb_document *d, struct nb_nft *n)
{
  nb_nft_add (n, "add table inet hvkit-nat-%s", d->bridge); /* so that it can be deleted */
  nb_nft_add (n, "delete table inet hvkit-nat-%s", d->bridge);
}

int
nb_masquerade_make (struct hv_host *h, const struct nb_document *d, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  struct nb_link bridge = { 0 };
  int r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = make_bridge (h, s, d, &bridge, err);
  if (r == 0)
    r = nb_make_tap (h, s, d, bridge.index, err);
  if (r == 0)
    r = nb_sysctl_write (NB_FORWARD4, 1, err);
  if (r == 0 && HV_HAS (d, guest_address6))
    r = nb_sysctl_write (NB_FORWARD6, 1, err);
  NB_STEP (h, "forwarding");
  nl_socket_free (s);
  return r;
}

/* --- undo --- */

int
nb_masquerade_undo (struct hv_host *h, const struct nb_document *d, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  int r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = nb_remove_link (s, d, d->tap, "tun", err);
  NB_STEP (h, "undo-tap");
  if (r == 0)
    r = nb_remove_link (s, d, d->bridge, "bridge", err);
  NB_STEP (h, "undo-bridge");
  nl_socket_free (s);
  return r;
}
