/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* KubeVirt's bridge binding: the guest takes over address and MAC of the interface. The interface becomes a port of a new bridge, a
 * tap another, and a stand-in that is down has name, MAC and addresses of the interface, for those who look for them. Steps, names
 * and order are KubeVirt's. Each step is announced, and may be done again. */
#include "net-bridge.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define BRIDGE_ADDRESS   0xa9fe4b0au /* 169.254.75.10, and on with the card's place */
#define NB_STEP(h, name) hv_step ((h), "bridge." name)

/* --- plan --- */

static int
check_interface (const struct nb_link *l, uint32_t mtu, struct hv_err *err)
{
  if (l->master != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "interface '%s' belongs to another already (interface %u)", l->name,
                       l->master);
  if (l->flags & IFF_LOOPBACK || l->mac_bytes != NB_MAC)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "interface '%s' is not Ethernet", l->name);
  if (strcmp (l->kind, "bridge") == 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "interface '%s' is a bridge, which cannot be a port of one", l->name);
  if ((l->min_mtu != 0 && mtu < l->min_mtu) || (l->max_mtu != 0 && mtu > l->max_mtu))
    return hv_err_set (err, HV_E_OUT_OF_RANGE, "mtu: %u; interface '%s' takes %u to %u", mtu, l->name, l->min_mtu, l->max_mtu);
  return 0;
}

static int
look (struct nl_sock *s, const struct hv_net_attach_args *a, struct nb_plan *p, struct hv_err *err)
{
  struct nb_link l;
  const struct nb_names *n = &p->names;
  int r = nb_link_get (s, 0, p->name, &l, err);
  uint32_t mtu = HV_HAS (a, mtu) ? a->mtu : l.mtu;
  if (r == 0)
    r = check_interface (&l, mtu, err);
  if (r == 0)
    r = nb_plan_mac (a, l.mac, p, err);
  if (r == 0)
    r = nb_check_free (s, n->bridge, err);
  if (r == 0)
    r = nb_check_free (s, n->port, err);
  if (r == 0)
    r = nb_check_free (s, n->tap, err);
  if (r == 0)
    r = nb_addresses_save (s, l.index, &p->addresses, err);
  if (r == 0)
    r = nb_routes_save (s, l.index, &p->routes, err);
  if (r < 0)
    return r;
  memcpy (p->mac, l.mac, NB_MAC);
  HV_SET (&p->d, index, l.index);
  HV_SET (&p->d, mtu, l.mtu);
  HV_SET (&p->d, up, (l.flags & IFF_UP) != 0);
  HV_SET (&p->d, guest_mtu, mtu);
  return 0;
}

/* The guest's, from what the interface has. */
static void
plan_guest (struct nb_plan *p)
{
  struct in_addr a = { .s_addr = 0 };
  uint8_t prefix = 0;
  char text[INET_ADDRSTRLEN];
  a.s_addr = nb_saved_ipv4 (p->d.addresses, &prefix);
  if (a.s_addr == 0)
    return;
  (void) snprintf (p->address, sizeof p->address, "%s/%u", inet_ntop (AF_INET, &a, text, sizeof text), prefix);
  HV_SET (&p->d, guest_address, p->address);
  a.s_addr = nb_saved_gateway (p->d.routes);
  if (a.s_addr == 0)
    return;
  (void) snprintf (p->gateway, sizeof p->gateway, "%s", inet_ntop (AF_INET, &a, text, sizeof text));
  HV_SET (&p->d, guest_gateway, p->gateway);
}

static void
fill (struct nb_plan *p)
{
  struct nb_document *d = &p->d;
  HV_SET (d, interface_name, p->name);
  HV_SET (d, bridge, p->names.bridge);
  HV_SET (d, port, p->names.port);
  HV_SET (d, tap, p->names.tap);
  HV_SET (d, mac, ((struct hv_bin){ p->mac, NB_MAC }));
  HV_SET (d, addresses, ((struct hv_bin){ p->addresses.data, p->addresses.size }));
  HV_SET (d, routes, ((struct hv_bin){ p->routes.data, p->routes.size }));
  plan_guest (p);
}

int
nb_bridge_plan (const struct hv_net_attach_args *a, struct nb_plan *p, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  (void) snprintf (p->name, sizeof p->name, "%s", HV_HAS (a, interface_name) ? a->interface_name : "eth0");
  int r = nb_names_make (p->name, a->ordinal, &p->names, err);
  if (r == 0)
    r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = look (s, a, p, err);
  nl_socket_free (s);
  if (r == 0)
    fill (p);
  if (r == 0 && HV_HAS (&p->d, guest_address)) {
    r = nb_sysctl_note (p->sysctls, NB_ARP_IGNORE, err);
    HV_SET (&p->d, sysctls, p->sysctls);
  }
  return r;
}

/* --- make --- */

/* Given to it from the beginning: one that it found out by itself would follow the least of its ports. */
static int
random_mac (uint8_t mac[NB_MAC], struct hv_err *err)
{
  if (getrandom (mac, NB_MAC, 0) != NB_MAC)
    return hv_err_sys (err, errno, "getrandom");
  mac[0] = (uint8_t) ((mac[0] & 0xfcu) | 2u); /* locally administered, of one */
  return 0;
}

static int
make_bridge (struct hv_host *h, struct nl_sock *s, const struct nb_document *d, struct nb_link *ret, struct hv_err *err)
{
  uint8_t mac[NB_MAC];
  int r = nb_link_get (s, 0, d->bridge, ret, NULL);
  if (r == HV_E_NOT_FOUND) {
    r = random_mac (mac, err);
    if (r == 0)
      r = nb_link_add (s, d->bridge, "bridge", mac, d->guest_mtu, 0, err);
    NB_STEP (h, "bridge");
    if (r == 0)
      r = nb_link_get (s, 0, d->bridge, ret, err);
  }
  if (r == 0 && HV_HAS (d, guest_address))
    r = nb_address_add (s, ret->index, nb_be32 (BRIDGE_ADDRESS + d->ordinal), 32, err);
  NB_STEP (h, "address");
  if (r == 0)
    r = nb_link_change (s, ret->index, &(struct nb_change){ .has_up = 1, .up = 1 }, err);
  NB_STEP (h, "up");
  return r;
}

static int
make_port (struct hv_host *h, struct nl_sock *s, const struct nb_document *d, const struct nb_link *bridge, struct hv_err *err)
{
  int r = nb_link_change (s, d->index, &(struct nb_change){ .has_up = 1, .up = 0 }, err);
  NB_STEP (h, "port-down");
  if (r == 0)
    r = nb_link_change (s, d->index, &(struct nb_change){ .name = d->port }, err);
  NB_STEP (h, "port-name");
  if (r == 0)
    r = nb_link_change (s, d->index, &(struct nb_change){ .mac = bridge->mac }, err);
  NB_STEP (h, "port-mac");
  if (r == 0 && d->guest_mtu != d->mtu)
    r = nb_link_change (s, d->index, &(struct nb_change){ .has_mtu = 1, .mtu = d->guest_mtu }, err);
  NB_STEP (h, "port-mtu");
  if (r == 0)
    r = nb_link_change (s, d->index, &(struct nb_change){ .has_master = 1, .master = bridge->index }, err);
  NB_STEP (h, "port-master");
  if (r == 0)
    r = nb_addresses_flush (s, d->index, err);
  NB_STEP (h, "port-flush");
  if (r == 0)
    r = nb_port_learning (s, d->index, 0, err);
  NB_STEP (h, "port-learning");
  if (r == 0)
    r = nb_link_change (s, d->index, &(struct nb_change){ .has_up = 1, .up = 1 }, err);
  NB_STEP (h, "port-up");
  return r;
}

/* The kind that is meant for this, or where the kernel has no such, one that keeps the same things while it is down. ifb comes
 * last: with its module the kernel makes two links of its own. */
static int
make_stand_in (struct hv_host *h, struct nl_sock *s, const struct nb_document *d, struct hv_err *err)
{
  static const char *const kinds[] = { "dummy", "bridge", "ifb" };
  struct nb_link l;
  int r = HV_E_UNIMPLEMENTED;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds && r == HV_E_UNIMPLEMENTED; i++)
    r = nb_link_add (s, d->interface_name, kinds[i], d->mac.data, d->guest_mtu, 1, err);
  if (r == HV_E_ALREADY_EXISTS)
    r = 0;
  NB_STEP (h, "stand-in");
  if (r == 0)
    r = nb_link_get (s, 0, d->interface_name, &l, err);
  if (r == 0)
    r = nb_addresses_restore (s, d->addresses, l.index, err);
  NB_STEP (h, "stand-in-addresses");
  return r;
}

int
nb_bridge_make (struct hv_host *h, const struct nb_document *d, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  struct nb_link bridge = { 0 };
  int r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = make_bridge (h, s, d, &bridge, err);
  if (r == 0)
    r = make_port (h, s, d, &bridge, err);
  if (r == 0)
    r = nb_make_tap (h, s, d, bridge.index, err);
  if (r == 0)
    r = make_stand_in (h, s, d, err);
  if (r == 0 && HV_HAS (d, guest_address))
    r = nb_sysctl_write (NB_ARP_IGNORE, 1, err);
  NB_STEP (h, "arp");
  nl_socket_free (s);
  return r;
}

/* --- undo --- */

static int
is_as_before (const struct nb_document *d, const struct nb_link *l)
{
  return l->master == 0 && l->mtu == d->mtu && memcmp (l->mac, d->mac.data, NB_MAC) == 0 && strcmp (l->name, d->interface_name) == 0
         && ((l->flags & IFF_UP) != 0) == (d->up != 0);
}

static int
restore_link (struct hv_host *h, struct nl_sock *s, const struct nb_document *d, const struct nb_link *l, struct hv_err *err)
{
  int r = nb_link_change (s, d->index, &(struct nb_change){ .has_up = 1, .up = 0 }, err);
  NB_STEP (h, "undo-down");
  if (r == 0 && l->master != 0)
    r = nb_link_change (s, d->index, &(struct nb_change){ .has_master = 1, .master = 0 }, err);
  NB_STEP (h, "undo-master");
  if (r == 0 && strcmp (l->name, d->interface_name) != 0)
    r = nb_link_change (s, d->index, &(struct nb_change){ .name = d->interface_name }, err);
  NB_STEP (h, "undo-name");
  if (r == 0)
    r = nb_link_change (s, d->index, &(struct nb_change){ .mac = d->mac.data, .has_mtu = 1, .mtu = d->mtu }, err);
  NB_STEP (h, "undo-mac");
  if (r == 0 && d->up)
    r = nb_link_change (s, d->index, &(struct nb_change){ .has_up = 1, .up = 1 }, err);
  NB_STEP (h, "undo-up");
  return r;
}

static int
restore (struct hv_host *h, struct nl_sock *s, const struct nb_document *d, struct hv_err *err)
{
  struct nb_link l;
  int r = nb_link_get (s, d->index, NULL, &l, NULL);
  if (r == HV_E_NOT_FOUND)
    return 0; /* somebody took it away */
  if (r < 0)
    return hv_err_set (err, r, "look for interface '%s'", d->interface_name);
  if (!is_as_before (d, &l))
    r = restore_link (h, s, d, &l, err);
  if (r == 0)
    r = nb_addresses_restore (s, d->addresses, d->index, err);
  NB_STEP (h, "undo-addresses");
  if (r == 0)
    r = nb_routes_restore (s, d->routes, err);
  NB_STEP (h, "undo-routes");
  return r;
}

int
nb_bridge_undo (struct hv_host *h, const struct nb_document *d, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  int r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = nb_remove_link (s, d, d->interface_name, NULL, err);
  NB_STEP (h, "undo-stand-in");
  if (r == 0)
    r = nb_remove_link (s, d, d->tap, "tun", err);
  NB_STEP (h, "undo-tap");
  if (r == 0)
    r = restore (h, s, d, err);
  if (r == 0)
    r = nb_remove_link (s, d, d->bridge, "bridge", err);
  NB_STEP (h, "undo-bridge");
  nl_socket_free (s);
  return r;
}
