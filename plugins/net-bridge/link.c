/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the ways to attach have in common. */
#include "net-bridge.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NB_STEP(h, name) hv_step ((h), "bridge." name)

uint32_t
nb_be32 (uint32_t v)
{
  uint8_t b[4] = { (uint8_t) (v >> 24), (uint8_t) (v >> 16), (uint8_t) (v >> 8), (uint8_t) v };
  memcpy (&v, b, 4);
  return v;
}

int
nb_parse_ipv4 (const char *text, uint32_t *ret_address, uint8_t *ret_prefix)
{
  char address[INET_ADDRSTRLEN] = "", *end = NULL;
  size_t n = strcspn (text, "/");
  struct in_addr a;
  unsigned long prefix = text[n] == '/' ? strtoul (text + n + 1, &end, 10) : 33;
  if (n >= sizeof address || text[n] != '/' || text[n + 1] < '0' || text[n + 1] > '9' || *end != '\0' || prefix > 32)
    return 0;
  memcpy (address, text, n);
  if (inet_pton (AF_INET, address, &a) != 1)
    return 0;
  *ret_address = a.s_addr;
  *ret_prefix = (uint8_t) prefix;
  return 1;
}

int
nb_check_free (struct nl_sock *s, const char *name, struct hv_err *err)
{
  struct nb_link l;
  int r = nb_link_get (s, 0, name, &l, NULL);
  return r == HV_E_NOT_FOUND ? 0
         : r == 0            ? hv_err_set (err, HV_E_ALREADY_EXISTS, "there is an interface '%s' already", name)
                             : hv_err_set (err, r, "look for an interface '%s'", name);
}

int
nb_plan_mac (const struct hv_net_attach_args *a, const uint8_t own[NB_MAC], struct nb_plan *p, struct hv_err *err)
{
  if (HV_HAS (a, mac) && strchr ("13579bdfBDF", a->mac[1]) != NULL)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "mac: '%s' is a group's address", a->mac);
  if (HV_HAS (a, mac))
    (void) snprintf (p->guest_mac, sizeof p->guest_mac, "%s", a->mac);
  else
    (void) snprintf (p->guest_mac, sizeof p->guest_mac, "%02x:%02x:%02x:%02x:%02x:%02x", own[0], own[1], own[2], own[3], own[4],
                     own[5]);
  HV_SET (&p->d, guest_mac, p->guest_mac);
  return 0;
}

int
nb_make_tap (struct hv_host *h, struct nl_sock *s, const struct nb_document *d, uint32_t bridge, struct hv_err *err)
{
  struct nb_link tap;
  int r = nb_tap_make (d->tap, d->queues, HV_HAS (d, owner_uid), d->owner_uid, err);
  NB_STEP (h, "tap");
  if (r == 0)
    r = nb_link_get (s, 0, d->tap, &tap, err);
  if (r == 0)
    r = nb_link_change (s, tap.index, &(struct nb_change){ .has_mtu = 1, .mtu = d->guest_mtu }, err);
  NB_STEP (h, "tap-mtu");
  if (r == 0)
    r = nb_link_change (s, tap.index, &(struct nb_change){ .has_master = 1, .master = bridge }, err);
  NB_STEP (h, "tap-master");
  if (r == 0)
    r = nb_link_change (s, tap.index, &(struct nb_change){ .has_up = 1, .up = 1 }, err);
  NB_STEP (h, "tap-up");
  return r;
}

int
nb_remove_link (struct nl_sock *s, const struct nb_document *d, const char *name, const char *kind, struct hv_err *err)
{
  struct nb_link l;
  int r = nb_link_get (s, 0, name, &l, NULL);
  if (r == HV_E_NOT_FOUND || (r == 0 && HV_HAS (d, index) && l.index == d->index)
      || (r == 0 && kind != NULL && strcmp (l.kind, kind) != 0))
    return 0;
  return r < 0 ? hv_err_set (err, r, "look for interface '%s'", name) : nb_link_delete (s, l.index, err);
}

void
nb_plan_clear (struct nb_plan *p)
{
  nb_saved_clear (&p->addresses);
  nb_saved_clear (&p->routes);
}
