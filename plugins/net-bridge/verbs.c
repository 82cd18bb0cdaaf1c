/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dhcp.h"
#include "net-bridge.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- one at a time changes namespaces --- */

int
nb_lock (struct nb *nb, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  int r = 0;
  while (nb->locked && (r == 0 || r == HV_E_DEADLINE_EXCEEDED))
    r = h->api->cond_wait (h, nb->unlocked, 60000, NULL);
  if (nb->locked)
    return hv_err_set (err, r, "another attachment is being made or taken back");
  nb->locked = 1;
  return 0;
}

void
nb_unlock (struct nb *nb)
{
  nb->locked = 0;
  nb->host->api->cond_wake (nb->host, nb->unlocked);
}

/* --- how it is shown --- */

static char *
address_text (struct hv_host *h, uint32_t ipv4, int prefix)
{
  char text[INET_ADDRSTRLEN] = "";
  (void) inet_ntop (AF_INET, &ipv4, text, sizeof text);
  return prefix >= 0 ? hv_printf (h, "%s/%d", text, prefix) : hv_strdup (h, text);
}

static int
fill (struct nb *nb, const struct nb_attachment *at, struct hv_net_attachment *ret, struct hv_err *err)
{
  const struct nb_document *d = &at->d;
  struct hv_host *h = nb->host;
  uint8_t prefix = 0;
  uint32_t ipv4 = nb_saved_ipv4 (d->addresses, &prefix), gateway = nb_saved_gateway (d->routes);
  const char **addresses = hv_alloc (h, sizeof *addresses);
  if (addresses == NULL)
    return nb_no_memory (err);
  HV_SET (ret, vm, hv_strdup (h, d->vm));
  HV_SET (ret, nic, hv_strdup (h, d->nic));
  HV_SET (ret, state, d->step == NB_ATTACHED ? HV_NET_ATTACHED : HV_NET_STARTED);
  if (d->step != NB_ATTACHED)
    HV_SET (ret, detail, d->step == NB_ATTACHING ? "it is being made" : "it is being taken back");
  HV_SET (ret, binding, HV_NET_BRIDGE);
  HV_SET (ret, tap, hv_strdup (h, d->tap));
  if (HV_HAS (d, netns))
    HV_SET (ret, netns, hv_strdup (h, d->netns));
  HV_SET (ret, bridge, hv_strdup (h, d->bridge));
  HV_SET (ret, mac, hv_strdup (h, d->guest_mac));
  HV_SET (ret, mtu, d->guest_mtu);
  if (ipv4 != 0) {
    addresses[0] = address_text (h, ipv4, prefix);
    HV_SET (ret, addresses, ((struct hv_strs){ addresses, 1 }));
  }
  if (gateway != 0)
    HV_SET (ret, gateway, address_text (h, gateway, -1));
  if (at->server == NB_SERVER_ENDED)
    HV_SET (ret, detail, "its DHCP server has ended by itself, and is started again");
  HV_SET (ret, source, "stored");
  return ret->vm != NULL && ret->nic != NULL && ret->tap != NULL && ret->bridge != NULL && ret->mac != NULL ? 0
                                                                                                            : nb_no_memory (err);
}

/* --- attach --- */

struct attach_job {
  struct nb *nb;
  const struct hv_net_attach_args *a;
  struct nb_plan *plan;
  const struct nb_document *d;
  struct hv_err *err;
};

static int
plan_job (void *arg)
{
  struct attach_job *j = arg;
  return nb_bridge_plan (j->a, j->plan, j->err);
}

static int
make_job (void *arg)
{
  struct attach_job *j = arg;
  return nb_bridge_make (j->nb->host, j->d, j->err);
}

static int
check_args (const struct hv_net_attach_args *a, struct hv_err *err)
{
  const char *what = a->binding != HV_NET_BRIDGE ? "binding: only bridge"
                     : HV_HAS (a, network)       ? "network: no networks of the node are known"
                     : !HV_HAS (a, netns)        ? "netns: required; no namespaces are made for VMs"
                     : HV_HAS (a, ports)         ? "ports: only masquerade forwards ports"
                                                 : NULL;
  if (strchr (a->vm, '/') != NULL)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "vm: a name has no '/'");
  return what == NULL ? nb_dhcp_check (a, err) : hv_err_set (err, HV_E_UNIMPLEMENTED, "%s, in this version", what);
}

struct node_job {
  const struct nb_config *config;
  char text[8192]; /* of resolv.conf */
  struct hv_err *err;
};

static int
node_job (void *arg)
{
  struct node_job *j = arg;
  if (access (j->config->dnsmasq, X_OK) < 0)
    return hv_err_sys (j->err, errno, "the DHCP server '%s' (configuration: dnsmasq)", j->config->dnsmasq);
  if (access (j->config->nsenter, X_OK) < 0)
    return hv_err_sys (j->err, errno, "'%s' (configuration: nsenter)", j->config->nsenter);
  HV_CLEAN (hv_fd) int fd = open ("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd >= 0 ? read (fd, j->text, sizeof j->text - 1) : 0;
  j->text[n > 0 ? n : 0] = '\0';
  return 0;
}

/* What the guest will be told, decided once: renewals get the same answer whatever becomes of the node's configuration. */
static int
plan_dhcp (struct nb *nb, const struct hv_net_attach_args *a, struct nb_plan *p, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  struct nb_lease l = { .bridge = p->d.bridge, .mac = p->d.guest_mac, .mtu = p->d.guest_mtu };
  struct node_job *j = hv_alloc (h, sizeof *j);
  struct hv_strs nameservers = { NULL, 0 };
  l.address = nb_saved_ipv4 (p->d.addresses, &l.prefix);
  l.gateway = nb_saved_gateway (p->d.routes);
  if (l.address == 0)
    return !nb_dhcp_is_asked (a)
               ? 0
               : hv_err_set (err, HV_E_FAILED_PRECONDITION,
                             "interface '%s' has no IPv4 address, so there is no lease to tell the guest anything with",
                             p->d.interface_name);
  if (j == NULL)
    return nb_no_memory (err);
  *j = (struct node_job){ .config = nb->config, .err = err };
  int r = hv_offload (h, node_job, j, err);
  if (r == 0)
    r = nb_dhcp_nameservers (h, j->text, &nameservers, err);
  char *args = r == 0 ? nb_dhcp_args (h, a, &l, &nameservers) : NULL;
  if (r == 0 && args == NULL)
    r = nb_no_memory (err);
  if (r == 0)
    HV_SET (&p->d, dhcp, args);
  return r;
}

/* Two attachments of one namespace: the later one found the earlier's setting, not the original. */
static void
find_original_arp (struct nb *nb, struct nb_document *d)
{
  for (uint32_t i = 0; i < nb->count && d->arp_ignore >= 0; i++) {
    const struct nb_document *b = &nb->all[i]->d;
    if (b->netns_ino == d->netns_ino && b->netns_dev == d->netns_dev && b->arp_ignore >= 0) {
      HV_SET (d, arp_ignore, b->arp_ignore);
      return;
    }
  }
}

/* Durable first; what fails half way is taken back at once. */
static int
make (struct nb *nb, struct nb_plan *plan, struct hv_err *err)
{
  int r = nb_record_save (nb, &plan->d, err);
  struct nb_attachment *a = r == 0 ? nb_find (nb, plan->d.vm, plan->d.nic) : NULL;
  hv_step (nb->host, "attach.recorded");
  if (r < 0)
    return r;
  struct attach_job j = { .nb = nb, .d = &a->d, .err = err };
  r = nb_in_netns (nb, &a->d, make_job, &j, err);
  if (r == 0)
    r = nb_record_step (nb, a, NB_ATTACHED, err);
  if (r == 0)
    nb_server_want (nb, a);
  hv_step (nb->host, "attach.done");
  if (r < 0) {
    HV_CLEAN (hv_err) struct hv_err *other = hv_err_new (nb->host);
    if (nb_take_back (nb, a, other) < 0)
      hv_log (nb->host, HV_LOG_ERROR, "VM '%s', card '%s' cannot be taken back: %s", plan->d.vm, plan->d.nic,
              hv_err_message (other));
  }
  return r;
}

static int
attach (struct nb *nb, const struct hv_net_attach_args *a, struct hv_net_attachment *ret, struct hv_err *err)
{
  struct nb_attachment *there = nb_find (nb, a->vm, a->nic);
  if (there != NULL && there->d.step == NB_ATTACHED)
    return fill (nb, there, ret, err); /* asked for once more */
  int r = there != NULL ? nb_take_back (nb, there, err) : 0;
  struct nb_plan *plan = hv_alloc (nb->host, sizeof *plan);
  if (r == 0 && plan == NULL)
    r = nb_no_memory (err);
  if (r < 0)
    return r;
  struct attach_job j = { .nb = nb, .a = a, .plan = plan, .err = err };
  uint64_t dev = 0, ino = 0;
  r = nb_netns_identify (nb, a->netns, &dev, &ino, err);
  HV_SET (&plan->d, netns_dev, dev);
  HV_SET (&plan->d, netns_ino, ino);
  if (r == 0) {
    struct nb_document where = { .netns = a->netns, .netns_dev = dev, .netns_ino = ino };
    where.has.netns = 1;
    r = nb_in_netns (nb, &where, plan_job, &j, err);
  }
  if (r == 0) {
    find_original_arp (nb, &plan->d);
    r = plan_dhcp (nb, a, plan, err);
  }
  if (r == 0)
    r = make (nb, plan, err);
  if (r == 0)
    r = fill (nb, nb_find (nb, a->vm, a->nic), ret, err);
  nb_plan_clear (plan);
  return r;
}

int
nb_attach (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct nb *nb = self;
  const struct hv_net_attach_args *a = args;
  (void) call;
  int r = check_args (a, err);
  if (r == 0)
    r = nb_lock (nb, err);
  if (r == 0) {
    r = attach (nb, a, result, err);
    nb_unlock (nb);
  }
  return r < 0 ? hv_err_wrap (err, r, "attach card '%s' of VM '%s'", a->nic, a->vm) : 0;
}

/* --- detach --- */

static int
detach (struct nb *nb, const struct hv_net_detach_args *a, struct hv_err *err)
{
  int r = 0;
  for (uint32_t i = nb->count; i > 0 && r == 0; i--) { /* the last first */
    struct nb_attachment *at = nb->all[i - 1];
    if (strcmp (at->d.vm, a->vm) == 0 && (!HV_HAS (a, nic) || strcmp (at->d.nic, a->nic) == 0))
      r = nb_take_back (nb, at, err);
  }
  return r;
}

int
nb_detach (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct nb *nb = self;
  const struct hv_net_detach_args *a = args;
  (void) call;
  (void) result;
  int r = nb_lock (nb, err);
  if (r == 0) {
    r = detach (nb, a, err);
    nb_unlock (nb);
  }
  return r < 0 ? hv_err_wrap (err, r, "detach VM '%s'", a->vm) : 0;
}

/* --- get, list --- */

static struct nb_attachment *
need (struct nb *nb, const char *vm, const char *nic, struct hv_err *err)
{
  struct nb_attachment *a = nb_find (nb, vm, nic);
  if (a == NULL)
    (void) hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no attachment of a card '%s'", vm, nic);
  return a;
}

int
nb_get (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_net_ref *a = args;
  const struct nb_attachment *at = need (self, a->vm, a->nic, err);
  (void) call;
  return at != NULL ? fill (self, at, result, err) : HV_E_NOT_FOUND;
}

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
    r = fill (nb, nb->all[i], &ret->items.items[ret->items.count++], err);
  }
  return r;
}

/* --- stats --- */

struct stats_job {
  const struct nb_document *d;
  struct nb_link link;
  struct hv_err *err;
};

static int
stats_job (void *arg)
{
  struct stats_job *j = arg;
  struct nl_sock *s = NULL;
  int r = nb_rtnl_open (&s, j->err);
  if (r == 0)
    r = nb_link_get (s, 0, j->d->tap, &j->link, j->err);
  nl_socket_free (s);
  return r;
}

/* What the host receives from the tap is what the guest sent. */
static int
read_stats (struct nb *nb, const struct nb_document *d, struct hv_interface_stat *ret, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  char *nic = hv_strdup (h, d->nic), *tap = hv_strdup (h, d->tap);
  struct stats_job j = { .d = d, .err = err };
  int r = nic != NULL && tap != NULL ? nb_in_netns (nb, d, stats_job, &j, err) : nb_no_memory (err);
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
