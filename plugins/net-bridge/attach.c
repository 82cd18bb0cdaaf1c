/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attach, detach. */
#include "dhcp.h"
#include "net-bridge.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

/* --- what is asked for --- */

static const struct nb_config_network *
find_network (const struct nb *nb, const char *name)
{
  for (uint32_t i = 0; i < nb->config->networks.count; i++)
    if (strcmp (nb->config->networks.items[i].name, name) == 0)
      return &nb->config->networks.items[i];
  return NULL;
}

static int
check_args (const struct nb *nb, const struct hv_net_attach_args *a, struct hv_err *err)
{
  if (strchr (a->vm, '/') != NULL || strcmp (a->vm, ".") == 0 || strcmp (a->vm, "..") == 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "vm: a name has no '/', and is neither '.' nor '..'");
  if (HV_HAS (a, network) && find_network (nb, a->network) == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "network: the configuration of net-bridge has no network '%s'", a->network);
  if (HV_HAS (a, network) && (HV_HAS (a, netns) || HV_HAS (a, interface_name)))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "network: of the node, so neither netns nor interface_name goes with it");
  if (HV_HAS (a, network) && a->binding != HV_NET_BRIDGE)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "binding: only bridge goes with a network of the node");
  if (HV_HAS (a, ports) && a->binding != HV_NET_MASQUERADE)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "ports: only masquerade forwards ports");
  if (HV_HAS (a, interface_name) && !HV_HAS (a, netns))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "interface_name: in which netns?");
  int r = nb_masquerade_check_ports (&a->ports, err);
  return r < 0 ? r : nb_dhcp_check (a, err);
}

static uint32_t
kind_of (const struct hv_net_attach_args *a)
{
  return HV_HAS (a, network) ? NB_NETWORK : a->binding == HV_NET_MASQUERADE ? NB_MASQUERADE : NB_BRIDGE;
}

/* What does not depend on what is there. */
static void
begin_plan (struct nb *nb, const struct hv_net_attach_args *a, struct nb_plan *p)
{
  struct hv_host *h = nb->host;
  struct nb_document *d = &p->d;
  uint64_t hash = nb_names_hash (h->api->info (h)->state_dir, a->vm, a->nic);
  HV_SET (d, vm, a->vm);
  HV_SET (d, nic, a->nic);
  HV_SET (d, step, NB_ATTACHING);
  HV_SET (d, kind, kind_of (a));
  HV_SET (d, boot, h->api->info (h)->boot_id);
  if (HV_HAS (a, netns))
    HV_SET (d, netns, a->netns);
  HV_SET (d, netns_dev, d->kind == NB_NETWORK ? nb->netns_dev : 0);
  HV_SET (d, netns_ino, d->kind == NB_NETWORK ? nb->netns_ino : 0);
  HV_SET (d, bridge, "");
  HV_SET (d, tap, "");
  HV_SET (d, guest_mac, "");
  HV_SET (d, ordinal, a->ordinal);
  HV_SET (d, queues, a->queues);
  HV_SET (d, guarded, HV_HAS (a, guard) ? a->guard : nb->config->guard);
  if (HV_HAS (a, owner_uid))
    HV_SET (d, owner_uid, a->owner_uid);
  nb_names_link (p->names.tap, "tap", hash);
  nb_names_mac (p->mac, hash);
}

/* --- what is there --- */

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
  switch (j->plan->d.kind) {
  case NB_NETWORK:
    return nb_network_plan (j->a, find_network (j->nb, j->a->network), j->plan, j->err);
  case NB_MASQUERADE:
    return nb_masquerade_plan (j->a, j->plan, j->err);
  default:
    return nb_bridge_plan (j->a, j->plan, j->err);
  }
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
  if (!HV_HAS (&p->d, guest_address))
    return !nb_dhcp_is_asked (a)
               ? 0
               : hv_err_set (err, HV_E_FAILED_PRECONDITION,
                             "'%s' has no IPv4 address for the guest, so there is no lease to tell it anything with",
                             HV_HAS (&p->d, interface_name) ? p->d.interface_name : p->d.bridge);
  struct in_addr gateway = { 0 };
  (void) nb_parse_ipv4 (p->d.guest_address, &l.address, &l.prefix);
  if (HV_HAS (&p->d, guest_gateway) && inet_pton (AF_INET, p->d.guest_gateway, &gateway) == 1)
    l.gateway = gateway.s_addr;
  l.address6 = HV_HAS (&p->d, guest_address6) ? p->d.guest_address6 : NULL;
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

/* --- how it is made --- */

/* Before anything of the guest's can come by: nobody has the tap yet. */
static int
make_rules (const struct attach_job *j)
{
  struct nb_nft n;
  if (!j->d->guarded && j->d->kind != NB_MASQUERADE)
    return 0;
  nb_nft_begin (&n);
  if (j->d->kind == NB_MASQUERADE)
    nb_masquerade_nat (j->d, &j->a->ports, &n);
  nb_guard_put (j->d, &n);
  int r = nb_nft_commit (&n, "set the rules of its frames", j->err);
  nb_nft_end (&n);
  return r;
}

static int
make_job (void *arg)
{
  struct attach_job *j = arg;
  struct hv_host *h = j->nb->host;
  int r = j->d->kind == NB_NETWORK      ? nb_network_make (h, j->d, find_network (j->nb, j->a->network), j->err)
          : j->d->kind == NB_MASQUERADE ? nb_masquerade_make (h, j->d, j->err)
                                        : nb_bridge_make (h, j->d, j->err);
  if (r == 0)
    r = make_rules (j);
  hv_step (h, "attach.ruled");
  return r;
}

/* Durable first. */
static int
make (struct nb *nb, const struct hv_net_attach_args *a, struct nb_plan *plan, struct hv_err *err)
{
  int r = nb_record_save (nb, &plan->d, err);
  struct nb_attachment *at = r == 0 ? nb_find (nb, a->vm, a->nic) : NULL;
  hv_step (nb->host, "attach.recorded");
  if (r < 0)
    return r;
  struct attach_job j = { .nb = nb, .a = a, .d = &at->d, .err = err };
  r = nb_in_netns (nb, &at->d, make_job, &j, err);
  if (r == 0)
    r = nb_record_step (nb, at, NB_ATTACHED, err);
  if (r == 0)
    nb_server_want (nb, at);
  hv_step (nb->host, "attach.done");
  return r;
}

/* The namespace that is made for the VM is on record before it is, and is looked at when it is there. */
static int
make_pod (struct nb *nb, const struct hv_net_attach_args *a, struct nb_plan *plan, struct hv_err *err)
{
  int r = nb_pod_plan (nb, a, plan, err);
  if (r == 0)
    nb_sysctl_originals (nb, plan);
  if (r == 0)
    r = nb_record_save (nb, &plan->d, err);
  hv_step (nb->host, "pod.recorded");
  return r < 0 ? r : nb_pod_make (nb, plan, err);
}

/* A bridge of the node that another attachment had made is ours as well. */
static void
find_makers (struct nb *nb, struct nb_document *d)
{
  for (uint32_t i = 0; i < nb->count && d->kind == NB_NETWORK; i++)
    if (nb->all[i]->d.bridge_made && strcmp (nb->all[i]->d.bridge, d->bridge) == 0)
      HV_SET (d, bridge_made, 1);
}

static int
is_only_masquerade (struct nb *nb, const struct nb_document *d, struct hv_err *err)
{
  for (uint32_t i = 0; i < nb->count && d->kind == NB_MASQUERADE; i++) {
    const struct nb_document *b = &nb->all[i]->d;
    if (b->kind == NB_MASQUERADE && b->netns_dev == d->netns_dev && b->netns_ino == d->netns_ino)
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s', card '%s' has this namespace's private addresses already", b->vm,
                         b->nic);
  }
  return 0;
}

static int
attach_new (struct nb *nb, const struct hv_net_attach_args *a, struct nb_plan *plan, struct hv_err *err)
{
  struct attach_job j = { .nb = nb, .a = a, .plan = plan, .err = err };
  uint64_t dev = nb->netns_dev, ino = nb->netns_ino;
  int r = 0;
  begin_plan (nb, a, plan);
  if (HV_HAS (a, netns)) {
    r = nb_netns_identify (nb, a->netns, &dev, &ino, err);
    HV_SET (&plan->d, netns_dev, dev);
    HV_SET (&plan->d, netns_ino, ino);
    if (r == 0 && dev == nb->netns_dev && ino == nb->netns_ino && !nb->config->own_netns)
      r = hv_err_set (
          err, HV_E_FAILED_PRECONDITION,
          "netns: '%s' is the daemon's own, whose interfaces no VM takes over; name a network of the node with 'network', or, "
          "where the daemon is in a pod, set own_netns in the configuration",
          a->netns);
  } else if (plan->d.kind != NB_NETWORK)
    r = make_pod (nb, a, plan, err);
  if (r == 0)
    r = is_only_masquerade (nb, &plan->d, err);
  if (r == 0)
    r = nb_in_netns (nb, &plan->d, plan_job, &j, err);
  if (r == 0)
    nb_sysctl_originals (nb, plan);
  find_makers (nb, &plan->d);
  if (r == 0)
    r = plan_dhcp (nb, a, plan, err);
  return r < 0 ? r : make (nb, a, plan, err);
}

/* Whether the namespace that it was made in is there still. */
static int
is_there (struct nb *nb, const struct nb_attachment *at)
{
  uint64_t dev = 0, ino = 0;
  if (!HV_HAS (&at->d, netns))
    return 1;
  return nb_netns_identify (nb, at->d.netns, &dev, &ino, NULL) == 0 && dev == at->d.netns_dev && ino == at->d.netns_ino;
}

static int
attach (struct nb *nb, const struct hv_net_attach_args *a, struct hv_net_attachment *ret, struct hv_err *err)
{
  struct nb_attachment *there = nb_find (nb, a->vm, a->nic);
  if (there != NULL && there->d.step == NB_ATTACHED && is_there (nb, there))
    return nb_show (nb, there, ret, err); /* asked for once more */
  int r = there != NULL ? nb_take_back (nb, there, err) : 0;
  struct nb_plan *plan = hv_alloc (nb->host, sizeof *plan);
  if (r == 0 && plan == NULL)
    r = nb_no_memory (err);
  if (r < 0)
    return r;
  r = attach_new (nb, a, plan, err);
  nb_plan_clear (plan);
  there = nb_find (nb, a->vm, a->nic);
  if (r == 0)
    return nb_show (nb, there, ret, err);
  if (there != NULL) { /* what fails half way is taken back at once */
    HV_CLEAN (hv_err) struct hv_err *other = hv_err_new (nb->host);
    if (nb_take_back (nb, there, other) < 0)
      hv_log (nb->host, HV_LOG_ERROR, "VM '%s', card '%s' cannot be taken back: %s", a->vm, a->nic, hv_err_message (other));
  }
  return r;
}

int
nb_attach (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct nb *nb = self;
  const struct hv_net_attach_args *a = args;
  (void) call;
  int r = check_args (nb, a, err);
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
