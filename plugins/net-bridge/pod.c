/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a pod is to KubeVirt, for a VM that was given none: a network namespace with an eth0 that leads out. It is one end of a
 * veth; the other is in the daemon's namespace, and the node routes and masquerades what comes from there. Four addresses each, so
 * that any guest's idea of a subnet does. */
#include "net-bridge.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUBNET           4u /* addresses */
#define NB_STEP(h, name) hv_step ((h), "pod." name)

static uint32_t
address_of (const struct nb *nb, uint32_t subnet, uint32_t which)
{
  return nb_be32 (nb_be32 (nb->pool) + subnet * SUBNET + which);
}

int
nb_pod_check_pool (struct nb *nb, struct hv_err *err)
{
  uint32_t address = 0;
  uint8_t prefix = 0;
  if (!nb_parse_ipv4 (nb->config->pool, &address, &prefix) || prefix < 8 || prefix > 30)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "pool: '%s' is not IPv4 addresses/prefix, from /8 to /30", nb->config->pool);
  nb->pool = address & htonl (~(uint32_t) 0 << (32 - prefix));
  nb->pool_prefix = prefix;
  return 0;
}

/* The table of all pods of this daemon. */
static void
table_name (struct nb *nb, char ret[32])
{
  uint64_t hash = nb_names_hash (nb->host->api->info (nb->host)->state_dir, "", "");
  (void) snprintf (ret, 32, "hvkit-pods-%08x", (unsigned) (hash & 0xffffffffu));
}

/* --- plan --- */

struct plan_job {
  struct nb *nb;
  struct nb_plan *p;
  struct nb_survey routes;
  uint32_t mtu;
  struct hv_err *err;
};

static int
plan_job (void *arg)
{
  struct plan_job *j = arg;
  struct nl_sock *s = NULL;
  struct nb_link l;
  int r = nb_rtnl_open (&s, j->err);
  if (r == 0)
    r = nb_routes_survey (s, j->nb->pool, j->nb->pool_prefix, &j->routes, j->err);
  j->mtu = 1500;
  if (r == 0 && j->routes.default_index != 0 && nb_link_get (s, j->routes.default_index, NULL, &l, NULL) == 0 && l.mtu < j->mtu)
    j->mtu = l.mtu; /* what leaves by a smaller one would be cut in pieces */
  if (r == 0)
    r = nb_check_free (s, j->p->uplink, j->err);
  if (r == 0)
    r = nb_sysctl_note (j->p->host_sysctls, NB_FORWARD4, j->err);
  nl_socket_free (s);
  return r;
}

static int
is_taken (const struct nb *nb, const struct nb_survey *routes, uint32_t subnet)
{
  uint32_t first = nb_be32 (address_of (nb, subnet, 0));
  for (uint32_t i = 0; i < nb->count; i++)
    if (HV_HAS (&nb->all[i]->d, uplink) && nb->all[i]->d.subnet == subnet)
      return 1;
  for (uint32_t i = 0; i < routes->count; i++) {
    uint32_t mask = ~(uint32_t) 0 << (32 - (routes->taken[i].prefix < 30 ? routes->taken[i].prefix : 30));
    if ((nb_be32 (routes->taken[i].address) & mask) == (first & mask))
      return 1;
  }
  return 0;
}

/* The same as last time, unless somebody else has it. */
static int
choose_subnet (struct nb *nb, const struct nb_survey *routes, uint64_t hash, uint32_t *ret, struct hv_err *err)
{
  uint32_t count = 1u << (30 - nb->pool_prefix);
  for (uint32_t i = 0; i < count; i++) {
    *ret = (uint32_t) ((hash + i) % count);
    if (!is_taken (nb, routes, *ret))
      return 0;
  }
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "no free addresses in the pool %s (configuration: pool)", nb->config->pool);
}

int
nb_pod_plan (struct nb *nb, const struct hv_net_attach_args *a, struct nb_plan *p, struct hv_err *err)
{
  struct hv_host *h = nb->host;
  uint64_t hash = nb_names_hash (h->api->info (h)->state_dir, a->vm, "");
  struct plan_job *j = hv_alloc (h, sizeof *j);
  char *path = hv_printf (h, "%s/netns/%s", h->api->info (h)->run_dir, a->vm);
  uint32_t subnet = 0;
  if (j == NULL || path == NULL)
    return nb_no_memory (err);
  for (uint32_t i = 0; i < nb->count; i++)
    if (strcmp (nb->all[i]->d.vm, a->vm) == 0 && HV_HAS (&nb->all[i]->d, uplink))
      return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                         "the VM's card '%s' has the network that is made for a VM; name another with 'network'",
                         nb->all[i]->d.nic);
  nb_names_link (p->uplink, "hv", hash);
  *j = (struct plan_job){ .nb = nb, .p = p, .err = err };
  int r = hv_offload (h, plan_job, j, err);
  if (r == 0)
    r = choose_subnet (nb, &j->routes, hash, &subnet, err);
  HV_SET (&p->d, netns, path);
  HV_SET (&p->d, uplink, p->uplink);
  HV_SET (&p->d, subnet, subnet);
  HV_SET (&p->d, host_sysctls, p->host_sysctls);
  HV_SET (&p->d, guest_mtu, HV_HAS (a, mtu) ? a->mtu : j->mtu);
  return r;
}

/* --- make --- */

struct make_job {
  struct nb *nb;
  struct nb_plan *p;
  struct hv_err *err;
};

static int
make_mount (const char *path, struct hv_err *err)
{
  char dir[4096];
  const char *slash = strrchr (path, '/');
  (void) snprintf (dir, sizeof dir, "%.*s", (int) (slash - path), path);
  if (mkdir (dir, 0711) < 0 && errno != EEXIST)
    return hv_err_sys (err, errno, "make '%s'", dir);
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
  if (fd < 0)
    return hv_err_sys (err, errno, "make '%s'", path);
  if (mount ("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL) < 0)
    return hv_err_sys (err, errno, "keep the network namespace at '%s'", path);
  return 0;
}

/* The pod's end. The thread is in the new namespace. */
static int
make_inside (struct nb *nb, const struct nb_plan *p, int home, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  struct nb_link lo, eth0;
  const struct nb_change up = { .has_up = 1, .up = 1 };
  int r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = nb_link_get (s, 0, "lo", &lo, err);
  if (r == 0)
    r = nb_link_change (s, lo.index, &up, err);
  if (r == 0)
    r = nb_veth_add (s, "eth0", p->mac, p->d.guest_mtu, p->uplink, home, err);
  NB_STEP (nb->host, "veth");
  if (r == 0)
    r = nb_link_get (s, 0, "eth0", &eth0, err);
  if (r == 0)
    r = nb_address_add (s, eth0.index, address_of (nb, p->d.subnet, 2), 30, err);
  if (r == 0)
    r = nb_link_change (s, eth0.index, &up, err);
  if (r == 0)
    r = nb_gateway_add (s, eth0.index, address_of (nb, p->d.subnet, 1), err);
  nl_socket_free (s);
  return r;
}

static int
make_namespace (struct nb *nb, struct nb_plan *p, int home, struct hv_err *err)
{
  struct stat st;
  if (unshare (CLONE_NEWNET) < 0)
    return hv_err_sys (err, errno, "make a network namespace");
  int r = make_mount (p->d.netns, err);
  NB_STEP (nb->host, "namespace");
  if (r == 0 && stat ("/proc/thread-self/ns/net", &st) < 0)
    r = hv_err_sys (err, errno, "network namespace");
  if (r == 0) {
    HV_SET (&p->d, netns_dev, st.st_dev);
    HV_SET (&p->d, netns_ino, st.st_ino);
    r = make_inside (nb, p, home, err);
  }
  if (setns (home, CLONE_NEWNET) < 0)
    abort (); /* it must not serve anybody again */
  return r;
}

/* What is masqueraded goes out to others than pods. */
static int
make_nat (struct nb *nb, const struct nb_plan *p, struct hv_err *err)
{
  struct nb_nft n;
  char table[32], address[INET_ADDRSTRLEN];
  uint32_t pod = address_of (nb, p->d.subnet, 2);
  table_name (nb, table);
  nb_nft_begin (&n);
  nb_nft_add (&n, "add table ip %s", table);
  nb_nft_add (&n, "add set ip %s pods { type ipv4_addr; }", table);
  nb_nft_add (&n, "add chain ip %s postrouting { type nat hook postrouting priority srcnat; }", table);
  nb_nft_add (&n, "flush chain ip %s postrouting", table);
  nb_nft_add (&n, "add rule ip %s postrouting ip saddr @pods ip daddr != @pods masquerade", table);
  nb_nft_add (&n, "add element ip %s pods { %s }", table, inet_ntop (AF_INET, &pod, address, sizeof address));
  int r = nb_nft_commit (&n, "let the node masquerade", err);
  nb_nft_end (&n);
  return r;
}

/* A guest whose frames are not guarded advertises no routes to the node. A kernel without IPv6 has no such setting. */
static void
without_ipv6 (const char *link)
{
  char name[64];
  (void) snprintf (name, sizeof name, "ipv6/conf/%s/disable_ipv6", link);
  (void) nb_sysctl_write (name, 1, NULL);
}

static int
make_outside (struct nb *nb, const struct nb_plan *p, struct hv_err *err)
{
  struct nl_sock *s = NULL;
  struct nb_link l;
  int r = nb_rtnl_open (&s, err);
  if (r == 0)
    r = nb_link_get (s, 0, p->uplink, &l, err);
  if (r == 0)
    r = nb_address_add (s, l.index, address_of (nb, p->d.subnet, 1), 30, err);
  without_ipv6 (p->uplink);
  if (r == 0)
    r = nb_link_change (s, l.index, &(struct nb_change){ .has_up = 1, .up = 1 }, err);
  NB_STEP (nb->host, "uplink");
  nl_socket_free (s);
  if (r == 0)
    r = make_nat (nb, p, err);
  NB_STEP (nb->host, "nat");
  if (r == 0)
    r = nb_sysctl_write (NB_FORWARD4, 1, err);
  NB_STEP (nb->host, "forwarding");
  return r;
}

static int
make_job (void *arg)
{
  struct make_job *j = arg;
  HV_CLEAN (hv_fd) int home = open ("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0)
    return hv_err_sys (j->err, errno, "network namespace");
  int r = make_namespace (j->nb, j->p, home, j->err);
  return r < 0 ? r : make_outside (j->nb, j->p, j->err);
}

int
nb_pod_make (struct nb *nb, struct nb_plan *p, struct hv_err *err)
{
  struct make_job j = { nb, p, err };
  return hv_offload (nb->host, make_job, &j, err);
}

/* --- undo --- */

struct undo_job {
  struct nb *nb;
  const struct nb_document *d;
  const char *sysctls;
  int last;
  struct hv_err *err;
};

static int
undo_nat (struct nb *nb, const struct nb_document *d, int last, struct nb_nft *n, struct hv_err *err)
{
  char table[32], address[INET_ADDRSTRLEN];
  uint32_t pod = address_of (nb, d->subnet, 2);
  table_name (nb, table);
  (void) inet_ntop (AF_INET, &pod, address, sizeof address);
  nb_nft_add (n, "add table ip %s", table);
  if (last)
    nb_nft_add (n, "delete table ip %s", table);
  else {
    nb_nft_add (n, "add set ip %s pods { type ipv4_addr; }", table);
    nb_nft_add (n, "add element ip %s pods { %s }", table, address);
    nb_nft_add (n, "delete element ip %s pods { %s }", table, address);
  }
  return nb_nft_commit (n, "let the node masquerade no longer", err);
}

static int
undo_namespace (const struct nb_document *d, struct hv_err *err)
{
  if (umount2 (d->netns, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
    return hv_err_sys (err, errno, "let go of the network namespace '%s'", d->netns);
  return unlink (d->netns) < 0 && errno != ENOENT ? hv_err_sys (err, errno, "remove '%s'", d->netns) : 0;
}

static int
undo_job (void *arg)
{
  struct undo_job *j = arg;
  struct nl_sock *s = NULL;
  struct nb_nft n;
  struct hv_host *h = j->nb->host;
  nb_nft_begin (&n);
  int r = undo_nat (j->nb, j->d, j->last, &n, j->err);
  NB_STEP (h, "undo-nat");
  if (r == 0)
    r = nb_rtnl_open (&s, j->err);
  if (r == 0)
    r = nb_remove_link (s, j->d, j->d->uplink, "veth", j->err);
  NB_STEP (h, "undo-uplink");
  nl_socket_free (s);
  if (r == 0)
    r = undo_namespace (j->d, j->err);
  NB_STEP (h, "undo-namespace");
  if (r == 0)
    r = nb_sysctl_restore (j->sysctls, j->err);
  NB_STEP (h, "undo-forwarding");
  nb_nft_end (&n);
  return r;
}

int
nb_pod_undo (struct nb *nb, const struct nb_attachment *a, struct hv_err *err)
{
  struct undo_job j = { .nb = nb, .d = &a->d, .sysctls = nb_sysctl_due (nb, a, 1), .last = 1, .err = err };
  for (uint32_t i = 0; i < nb->count; i++)
    j.last &= nb->all[i] == a || !HV_HAS (&nb->all[i]->d, uplink);
  return hv_offload (nb->host, undo_job, &j, err);
}
