/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A network of the node: the guest's tap is a port of a bridge in the daemon's namespace. Who gives out addresses there is not our
 * business. */
#include "net-bridge.h"
#include <string.h>

#define NB_STEP(h, name) hv_step ((h), "network." name)

int
nb_network_check (const struct nb_config *c, struct hv_err *err)
{
  uint32_t address;
  uint8_t prefix;
  for (uint32_t i = 0; i < c->networks.count; i++) {
    const struct nb_config_network *n = &c->networks.items[i];
    if (HV_HAS (n, address) && !n->create)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "network '%s': address goes only with 'create'", n->name);
    if (HV_HAS (n, address) && !nb_parse_ipv4 (n->address, &address, &prefix))
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "network '%s': address '%s' is not IPv4 address/prefix", n->name, n->address);
    for (uint32_t k = 0; k < i; k++)
      if (strcmp (c->networks.items[k].name, n->name) == 0)
        return hv_err_set (err, HV_E_INVALID_ARGUMENT, "network '%s' is there twice", n->name);
  }
  return 0;
}

static int
look (struct nl_sock *s, const struct hv_net_attach_args *a, const struct nb_config_network *c, struct nb_plan *p,
      struct hv_err *err)
{
  struct nb_link l;
  int r = nb_link_get (s, 0, c->bridge, &l, NULL);
  if (r == HV_E_NOT_FOUND && !c->create)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "network '%s': the node has no bridge '%s'; make it, or say 'create' in the configuration", c->name,
                       c->bridge);
  if (r == HV_E_NOT_FOUND) {
    HV_SET (&p->d, bridge_made, 1);
    l.mtu = 1500;
  } else if (r < 0)
    return hv_err_set (err, r, "look for bridge '%s'", c->bridge);
  else if (strcmp (l.kind, "bridge") != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "network '%s': interface '%s' is no bridge", c->name, c->bridge);
  HV_SET (&p->d, guest_mtu, HV_HAS (a, mtu) ? a->mtu : l.mtu);
  return nb_check_free (s, p->names.tap, err);
}

/* The tap's name and the MAC are in the plan already. */
int
nb_network_plan (const struct hv_net_attach_args *a, const struct nb_config_network *c, struct nb_plan *p, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  HV_SET (&p->d, bridge, c->bridge);
  HV_SET (&p->d, tap, p->names.tap);
  int r = nb_plan_mac (a, p->mac, p, err);
  if (r == 0)
    r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = look (s, a, c, p, err);
  nl_socket_free (s);
  return r;
}

static int
make_bridge (struct nl_sock *s, const struct nb_document *d, const struct nb_config_network *c, struct hv_err *err)
{
  struct nb_link l;
  uint32_t address = 0;
  uint8_t prefix = 0;
  uint8_t mac[NB_MAC];
  nb_names_mac (mac, nb_names_hash ("bridge", c->bridge, ""));
  int r = nb_link_add (s, d->bridge, "bridge", mac, d->guest_mtu, 0, err);
  if (r == 0)
    r = nb_link_get (s, 0, d->bridge, &l, err);
  if (r == 0 && HV_HAS (c, address) && nb_parse_ipv4 (c->address, &address, &prefix))
    r = nb_address_add (s, l.index, address, prefix, err);
  return r < 0 ? r : nb_link_change (s, l.index, &(struct nb_change){ .has_up = 1, .up = 1 }, err);
}

/* A bridge without a MAC of its own takes the lowest of its ports': not this one's. */
static int
raise_mac (struct nl_sock *s, const struct nb_document *d, struct hv_err *err)
{
  struct nb_link tap;
  int r = nb_link_get (s, 0, d->tap, &tap, err);
  tap.mac[0] = 0xfe;
  return r < 0 ? r : nb_link_change (s, tap.index, &(struct nb_change){ .mac = tap.mac }, err);
}

int
nb_network_make (struct hv_host *h, const struct nb_document *d, const struct nb_config_network *c, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  struct nb_link bridge;
  int r = nb_rtnl_open (&s, err);
  if (r == 0 && nb_link_get (s, 0, d->bridge, &bridge, NULL) == HV_E_NOT_FOUND)
    r = make_bridge (s, d, c, err);
  NB_STEP (h, "bridge");
  if (r == 0)
    r = nb_link_get (s, 0, d->bridge, &bridge, err);
  if (r == 0)
    r = nb_tap_make (d->tap, d->queues, HV_HAS (d, owner_uid), d->owner_uid, err);
  if (r == 0)
    r = raise_mac (s, d, err);
  if (r == 0)
    r = nb_make_tap (h, s, d, bridge.index, err);
  nl_socket_free (s);
  return r;
}

int
nb_network_undo (struct hv_host *h, const struct nb_document *d, int drop_bridge, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  int r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = nb_remove_link (s, d, d->tap, "tun", err);
  NB_STEP (h, "undo-tap");
  if (r == 0 && drop_bridge)
    r = nb_remove_link (s, d, d->bridge, "bridge", err);
  NB_STEP (h, "undo-bridge");
  nl_socket_free (s);
  return r;
}
