/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* get, list, stats. */
#include "net-bridge.h"
#include <stdlib.h>
#include <string.h>

/* --- as it is on record --- */

static void
show_addresses (struct nb *nb, const struct nb_document *d, struct hv_net_attachment *ret)
{
  struct hv_host *h = nb->host;
  const char **addresses = hv_alloc (h, 2 * sizeof *addresses);
  uint32_t n = 0;
  if (addresses != NULL && HV_HAS (d, guest_address))
    addresses[n++] = hv_strdup (h, d->guest_address);
  if (addresses != NULL && HV_HAS (d, guest_address6))
    addresses[n++] = hv_strdup (h, d->guest_address6);
  if (n > 0)
    HV_SET (ret, addresses, ((struct hv_strs){ addresses, n }));
  if (HV_HAS (d, guest_gateway))
    HV_SET (ret, gateway, hv_strdup (h, d->guest_gateway));
}

int
nb_show (struct nb *nb, const struct nb_attachment *at, struct hv_net_attachment *ret, struct hv_err *err)
{
  const struct nb_document *d = &at->d;
  struct hv_host *h = nb->host;
  HV_SET (ret, vm, hv_strdup (h, d->vm));
  HV_SET (ret, nic, hv_strdup (h, d->nic));
  HV_SET (ret, state, d->step == NB_ATTACHED ? HV_NET_ATTACHED : HV_NET_STARTED);
  if (d->step != NB_ATTACHED)
    HV_SET (ret, detail, d->step == NB_ATTACHING ? "it is being made" : "it is being taken back");
  if (at->server == NB_SERVER_ENDED)
    HV_SET (ret, detail, "its DHCP server has ended by itself, and is started again");
  if (d->kind != NB_NETWORK)
    HV_SET (ret, binding, d->kind == NB_BRIDGE ? HV_NET_BRIDGE : HV_NET_MASQUERADE);
  HV_SET (ret, tap, hv_strdup (h, d->tap));
  if (HV_HAS (d, netns))
    HV_SET (ret, netns, hv_strdup (h, d->netns));
  HV_SET (ret, bridge, hv_strdup (h, d->bridge));
  HV_SET (ret, mac, hv_strdup (h, d->guest_mac));
  HV_SET (ret, mtu, d->guest_mtu);
  HV_SET (ret, queues, d->queues);
  HV_SET (ret, guard, d->guarded);
  show_addresses (nb, d, ret);
  HV_SET (ret, source, "stored");
  return ret->vm != NULL && ret->nic != NULL && ret->tap != NULL && ret->bridge != NULL && ret->mac != NULL ? 0
                                                                                                            : nb_no_memory (err);
}

/* --- get --- */

struct link_job {
  const char *tap;
  struct nb_link link;
  struct hv_err *err;
};

static int
link_job (void *arg)
{
  struct link_job *j = arg;
  struct nl_sock *s = NULL;
  int r = nb_rtnl_open (&s, j->err);
  if (r == 0)
    r = nb_link_get (s, 0, j->tap, &j->link, j->err);
  nl_socket_free (s);
  return r;
}

/* What can be seen of it now. */
static void
look_at (struct nb *nb, const struct nb_attachment *at, struct hv_net_attachment *ret)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (nb->host);
  struct link_job j = { .tap = ret->tap, .err = err };
  int r = nb_in_netns (nb, &at->d, link_job, &j, err);
  if (r < 0) {
    HV_SET (ret, link, HV_NET_LINK_MISSING);
    HV_SET (ret, detail, hv_printf (nb->host, "%s", hv_err_message (err)));
    return;
  }
  HV_SET (ret, link, j.link.flags & IFF_UP && j.link.flags & IFF_RUNNING ? HV_NET_LINK_UP : HV_NET_LINK_DOWN);
  uint64_t lease = nb_server_lease_ms (nb, at);
  if (lease != 0)
    HV_SET (ret, lease_ms, lease);
  HV_SET (ret, source, "live");
  HV_SET (ret, age_ms, 0);
}

static int
get (struct nb *nb, const struct hv_net_ref *a, struct hv_net_attachment *ret, struct hv_err *err)
{
  const struct nb_attachment *at = nb_find (nb, a->vm, a->nic);
  if (at == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no attachment of a card '%s'", a->vm, a->nic);
  int r = nb_show (nb, at, ret, err);
  if (r == 0 && at->d.step == NB_ATTACHED)
    look_at (nb, at, ret);
  return r;
}

int
nb_get (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  int r = nb_lock (self, err); /* the records may not change while a namespace is visited */
  if (r < 0)
    return r;
  r = get (self, args, result, err);
  nb_unlock (self);
  return r;
}

/* --- list --- */

/* "vm/card" of the last row before. */
static int
is_after (struct hv_host *h, const struct nb_document *d, const char *continue_from)
{
  char *key = hv_printf (h, "%s/%s", d->vm, d->nic);
  return key == NULL || strcmp (key, continue_from) > 0;
}

int
nb_list (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct nb *nb = self;
  const struct hv_net_list_args *a = args;
  struct hv_net_list *ret = result;
  int r = 0;
  (void) call;
  ret->items.items = hv_alloc (nb->host, (nb->count + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return nb_no_memory (err);
  ret->has.items = 1;
  for (uint32_t i = 0; i < nb->count && r == 0; i++) {
    const struct nb_document *d = &nb->all[i]->d;
    if ((HV_HAS (a, vm) && strcmp (a->vm, d->vm) != 0) || (HV_HAS (a, continue_from) && !is_after (nb->host, d, a->continue_from)))
      continue;
    if (ret->items.count == a->limit) {
      const struct hv_net_attachment *last = &ret->items.items[ret->items.count - 1];
      HV_SET (ret, continue_from, hv_printf (nb->host, "%s/%s", last->vm, last->nic));
      break;
    }
    r = nb_show (nb, nb->all[i], &ret->items.items[ret->items.count++], err);
  }
  return r;
}

/* --- stats --- */

/* What the host receives from the tap is what the guest sent. */
static int
read_stats (struct nb *nb, const struct nb_document *d, struct hv_interface_stat *ret, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  char *nic = hv_strdup (h, d->nic), *tap = hv_strdup (h, d->tap);
  struct link_job j = { .tap = d->tap, .err = err };
  int r = nic != NULL && tap != NULL ? nb_in_netns (nb, d, link_job, &j, err) : nb_no_memory (err);
  HV_SET (ret, nic, nic);
  HV_SET (ret, tap, tap);
  HV_SET (ret, rx_bytes, j.link.tx_bytes);
  HV_SET (ret, rx_packets, j.link.tx_packets);
  HV_SET (ret, rx_errors, j.link.tx_errors);
  HV_SET (ret, rx_drops, j.link.tx_drops);
  HV_SET (ret, tx_bytes, j.link.rx_bytes);
  HV_SET (ret, tx_packets, j.link.rx_packets);
  HV_SET (ret, tx_errors, j.link.rx_errors);
  HV_SET (ret, tx_drops, j.link.rx_drops);
  return r;
}

static int
stats (struct nb *nb, const struct hv_interface_args *a, struct hv_interface_stats *ret, struct hv_err *err)
{
  int r = 0;
  ret->items.items = hv_alloc (nb->host, (nb->count + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return nb_no_memory (err);
  ret->has.items = 1;
  for (uint32_t i = 0; i < nb->count && r == 0; i++) {
    const struct nb_document *d = &nb->all[i]->d;
    if (strcmp (d->vm, a->vm) == 0 && (!HV_HAS (a, nic) || strcmp (d->nic, a->nic) == 0))
      r = read_stats (nb, d, &ret->items.items[ret->items.count++], err);
  }
  if (r == 0 && ret->items.count == 0)
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no attachment%s%s", a->vm, HV_HAS (a, nic) ? " of a card " : "",
                       HV_HAS (a, nic) ? a->nic : "");
  HV_SET (ret, age_ms, 0);
  return r;
}

/* The records may not change while a namespace is visited. */
int
nb_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  int r = nb_lock (self, err);
  if (r < 0)
    return r;
  r = stats (self, args, result, err);
  nb_unlock (self);
  return r;
}
