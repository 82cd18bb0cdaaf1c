/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rtnl.h"
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>

/* --- messages --- */

static int
fail (struct hv_err *err, int nl, const char *what)
{
  int code = nl == -NLE_EXIST                              ? HV_E_ALREADY_EXISTS
             : nl == -NLE_OBJ_NOTFOUND || nl == -NLE_NODEV ? HV_E_NOT_FOUND
             : nl == -NLE_OPNOTSUPP                        ? HV_E_UNIMPLEMENTED
             : nl == -NLE_PERM || nl == -NLE_NOACCESS      ? HV_E_PERMISSION_DENIED
             : nl == -NLE_NOMEM                            ? HV_E_RESOURCE_EXHAUSTED
             : nl == -NLE_INVAL || nl == -NLE_RANGE        ? HV_E_INVALID_ARGUMENT
                                                           : HV_E_INTERNAL;
  return hv_err_set (err, code, "%s: %s", what, nl_geterror (nl));
}

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

int
nb_rtnl_open (struct nl_sock **ret, struct hv_err *err)
{
  struct nl_sock *s = nl_socket_alloc ();
  if (s == NULL)
    return no_memory (err);
  int r = nl_connect (s, NETLINK_ROUTE);
  if (r < 0) {
    nl_socket_free (s);
    return fail (err, r, "open rtnetlink");
  }
  *ret = s;
  return 0;
}

/* A message about a link, with its fixed part. */
static struct nl_msg *
link_msg (int type, int flags, uint32_t index, uint32_t set, uint32_t mask)
{
  struct nl_msg *m = nlmsg_alloc_simple (type, flags);
  struct ifinfomsg info = { .ifi_family = AF_UNSPEC, .ifi_index = (int) index, .ifi_flags = set, .ifi_change = mask };
  if (m != NULL && nlmsg_append (m, &info, sizeof info, NLMSG_ALIGNTO) < 0) {
    nlmsg_free (m);
    m = NULL;
  }
  return m;
}

/* Sends it, waits for the kernel's word, and frees it. `put` is what became of its attributes. */
static int
send_msg (struct nl_sock *s, struct nl_msg *m, int put, const char *what, struct hv_err *err)
{
  if (m == NULL || put < 0) {
    nlmsg_free (m);
    return no_memory (err);
  }
  int r = nl_send_sync (s, m);
  return r < 0 ? fail (err, r, what) : 0;
}

/* --- links --- */

static void
take_stats (struct nb_link *l, const struct nlattr *a)
{
  struct rtnl_link_stats64 st = { 0 };
  memcpy (&st, nla_data (a), (size_t) nla_len (a) < sizeof st ? (size_t) nla_len (a) : sizeof st);
  l->rx_bytes = st.rx_bytes;
  l->rx_packets = st.rx_packets;
  l->rx_errors = st.rx_errors;
  l->rx_drops = st.rx_dropped;
  l->tx_bytes = st.tx_bytes;
  l->tx_packets = st.tx_packets;
  l->tx_errors = st.tx_errors;
  l->tx_drops = st.tx_dropped;
}

static int
on_link (struct nl_msg *m, void *arg)
{
  struct nb_link *l = arg;
  const struct nlmsghdr *h = nlmsg_hdr (m);
  struct nlattr *a[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
  if (h->nlmsg_type != RTM_NEWLINK || nlmsg_parse (nlmsg_hdr (m), sizeof (struct ifinfomsg), a, IFLA_MAX, NULL) < 0)
    return NL_SKIP;
  const struct ifinfomsg *i = nlmsg_data (h);
  l->index = (uint32_t) i->ifi_index;
  l->flags = i->ifi_flags;
  if (a[IFLA_IFNAME] != NULL)
    (void) nla_strlcpy (l->name, a[IFLA_IFNAME], sizeof l->name);
  l->master = a[IFLA_MASTER] != NULL ? nla_get_u32 (a[IFLA_MASTER]) : 0;
  l->mtu = a[IFLA_MTU] != NULL ? nla_get_u32 (a[IFLA_MTU]) : 0;
  l->min_mtu = a[IFLA_MIN_MTU] != NULL ? nla_get_u32 (a[IFLA_MIN_MTU]) : 0;
  l->max_mtu = a[IFLA_MAX_MTU] != NULL ? nla_get_u32 (a[IFLA_MAX_MTU]) : 0;
  if (a[IFLA_ADDRESS] != NULL && nla_len (a[IFLA_ADDRESS]) == NB_MAC) {
    memcpy (l->mac, nla_data (a[IFLA_ADDRESS]), NB_MAC);
    l->mac_bytes = NB_MAC;
  }
  if (a[IFLA_STATS64] != NULL)
    take_stats (l, a[IFLA_STATS64]);
  if (a[IFLA_LINKINFO] != NULL && nla_parse_nested (info, IFLA_INFO_MAX, a[IFLA_LINKINFO], NULL) == 0
      && info[IFLA_INFO_KIND] != NULL)
    (void) nla_strlcpy (l->kind, info[IFLA_INFO_KIND], sizeof l->kind);
  return NL_OK;
}

/* Asks, and gives each answer to fn. */
static int
ask (struct nl_sock *s, struct nl_msg *m, nl_recvmsg_msg_cb_t fn, void *arg, const char *what, struct hv_err *err)
{
  struct nl_cb *cb = nl_cb_alloc (NL_CB_DEFAULT);
  int r = cb != NULL && m != NULL ? nl_cb_set (cb, NL_CB_VALID, NL_CB_CUSTOM, fn, arg) : -NLE_NOMEM;
  if (r >= 0)
    r = nl_send_auto (s, m);
  if (r >= 0)
    r = nl_recvmsgs (s, cb);
  nlmsg_free (m);
  nl_cb_put (cb);
  return r < 0 ? fail (err, r, what) : 0;
}

int
nb_link_get (struct nl_sock *s, uint32_t index, const char *name, struct nb_link *ret, struct hv_err *err)
{
  char what[64];
  struct nl_msg *m = link_msg (RTM_GETLINK, 0, index, 0, 0);
  (void) snprintf (what, sizeof what, "interface '%s'", name != NULL ? name : "");
  if (index != 0)
    (void) snprintf (what, sizeof what, "interface %u", index);
  *ret = (struct nb_link){ 0 };
  if (m != NULL && index == 0 && nla_put_string (m, IFLA_IFNAME, name) < 0) {
    nlmsg_free (m);
    m = NULL;
  }
  int r = ask (s, m, on_link, ret, what, err);
  if (r == 0)
    (void) nl_wait_for_ack (s); /* libnl asks for one with each request that is no dump */
  return r == 0 && ret->index == 0 ? hv_err_set (err, HV_E_NOT_FOUND, "%s: there is none", what) : r;
}

int
nb_link_add (struct nl_sock *s, const char *name, const char *kind, const uint8_t *mac, uint32_t mtu, int noarp, struct hv_err *err)
{
  char what[64];
  struct nl_msg *m = link_msg (RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, noarp ? IFF_NOARP : 0, noarp ? IFF_NOARP : 0);
  (void) snprintf (what, sizeof what, "make '%s' (%s)", name, kind);
  int put = m != NULL ? nla_put_string (m, IFLA_IFNAME, name) : 0;
  if (put == 0 && m != NULL && mac != NULL)
    put = nla_put (m, IFLA_ADDRESS, NB_MAC, mac);
  if (put == 0 && m != NULL && mtu != 0)
    put = nla_put_u32 (m, IFLA_MTU, mtu);
  struct nlattr *info = m != NULL ? nla_nest_start (m, IFLA_LINKINFO) : NULL;
  if (put == 0 && info != NULL)
    put = nla_put_string (m, IFLA_INFO_KIND, kind);
  if (info != NULL)
    nla_nest_end (m, info);
  return send_msg (s, m, info == NULL ? -1 : put, what, err);
}

/* The other end, described as a message within the message. */
static int
put_peer (struct nl_msg *m, const char *name, uint32_t mtu, int netns_fd)
{
  struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
  struct nlattr *peer = nla_nest_start (m, VETH_INFO_PEER);
  int put = peer != NULL ? nlmsg_append (m, &info, sizeof info, NLMSG_ALIGNTO) : -1;
  if (put == 0)
    put = nla_put_string (m, IFLA_IFNAME, name);
  if (put == 0)
    put = nla_put_u32 (m, IFLA_MTU, mtu);
  if (put == 0)
    put = nla_put_u32 (m, IFLA_NET_NS_FD, (uint32_t) netns_fd);
  if (peer != NULL)
    nla_nest_end (m, peer);
  return put;
}

int
nb_veth_add (struct nl_sock *s, const char *name, const uint8_t mac[NB_MAC], uint32_t mtu, const char *peer, int peer_netns_fd,
             struct hv_err *err)
{
  char what[64];
  struct nl_msg *m = link_msg (RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0);
  (void) snprintf (what, sizeof what, "make '%s' and '%s' (veth)", name, peer);
  int put = m != NULL ? nla_put_string (m, IFLA_IFNAME, name) : -1;
  if (put == 0)
    put = nla_put (m, IFLA_ADDRESS, NB_MAC, mac);
  if (put == 0)
    put = nla_put_u32 (m, IFLA_MTU, mtu);
  struct nlattr *info = put == 0 ? nla_nest_start (m, IFLA_LINKINFO) : NULL;
  put = info != NULL ? nla_put_string (m, IFLA_INFO_KIND, "veth") : -1;
  struct nlattr *data = put == 0 ? nla_nest_start (m, IFLA_INFO_DATA) : NULL;
  put = data != NULL ? put_peer (m, peer, mtu, peer_netns_fd) : -1;
  if (data != NULL)
    nla_nest_end (m, data);
  if (info != NULL)
    nla_nest_end (m, info);
  return send_msg (s, m, put, what, err);
}

int
nb_link_change (struct nl_sock *s, uint32_t index, const struct nb_change *c, struct hv_err *err)
{
  char what[64];
  struct nl_msg *m = link_msg (RTM_NEWLINK, 0, index, c->up ? IFF_UP : 0, c->has_up ? IFF_UP : 0);
  (void) snprintf (what, sizeof what, "change interface %u", index);
  int put = 0;
  if (m != NULL && c->name != NULL)
    put = nla_put_string (m, IFLA_IFNAME, c->name);
  if (m != NULL && put == 0 && c->mac != NULL)
    put = nla_put (m, IFLA_ADDRESS, NB_MAC, c->mac);
  if (m != NULL && put == 0 && c->has_mtu)
    put = nla_put_u32 (m, IFLA_MTU, c->mtu);
  if (m != NULL && put == 0 && c->has_master)
    put = nla_put_u32 (m, IFLA_MASTER, c->master);
  return send_msg (s, m, put, what, err);
}

int
nb_link_delete (struct nl_sock *s, uint32_t index, struct hv_err *err)
{
  char what[64];
  (void) snprintf (what, sizeof what, "remove interface %u", index);
  int r = send_msg (s, link_msg (RTM_DELLINK, 0, index, 0, 0), 0, what, NULL);
  return r == HV_E_NOT_FOUND ? 0 : r < 0 ? hv_err_set (err, r, "%s", what) : 0;
}

int
nb_port_learning (struct nl_sock *s, uint32_t index, int on, struct hv_err *err)
{
  struct nl_msg *m = nlmsg_alloc_simple (RTM_SETLINK, 0);
  struct ifinfomsg info = { .ifi_family = AF_BRIDGE, .ifi_index = (int) index };
  int put = m != NULL ? nlmsg_append (m, &info, sizeof info, NLMSG_ALIGNTO) : -1;
  struct nlattr *port = put == 0 ? nla_nest_start (m, IFLA_PROTINFO | NLA_F_NESTED) : NULL;
  if (port != NULL) {
    put = nla_put_u8 (m, IFLA_BRPORT_LEARNING, (uint8_t) on);
    nla_nest_end (m, port);
  }
  return send_msg (s, m, port == NULL ? -1 : put, "learning of a bridge's port", err);
}

int
nb_address_add (struct nl_sock *s, uint32_t index, uint32_t ipv4, uint8_t prefix, struct hv_err *err)
{
  struct nl_msg *m = nlmsg_alloc_simple (RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  struct ifaddrmsg a = { .ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_index = index };
  int put = m != NULL ? nlmsg_append (m, &a, sizeof a, NLMSG_ALIGNTO) : -1;
  if (put == 0)
    put = nla_put_u32 (m, IFA_LOCAL, ipv4);
  if (put == 0)
    put = nla_put_u32 (m, IFA_ADDRESS, ipv4);
  return send_msg (s, m, put, "add an address", err);
}

int
nb_address6_add (struct nl_sock *s, uint32_t index, const uint8_t ipv6[16], uint8_t prefix, struct hv_err *err)
{
  struct nl_msg *m = nlmsg_alloc_simple (RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  /* nobody else can have it: the link was made a moment ago */
  struct ifaddrmsg a = { .ifa_family = AF_INET6, .ifa_prefixlen = prefix, .ifa_flags = IFA_F_NODAD, .ifa_index = index };
  int put = m != NULL ? nlmsg_append (m, &a, sizeof a, NLMSG_ALIGNTO) : -1;
  if (put == 0)
    put = nla_put (m, IFA_LOCAL, 16, ipv6);
  return send_msg (s, m, put, "add an address", err);
}

int
nb_gateway_add (struct nl_sock *s, uint32_t index, uint32_t gateway, struct hv_err *err)
{
  struct nl_msg *m = nlmsg_alloc_simple (RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  struct rtmsg r = { .rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC, .rtm_type = RTN_UNICAST };
  int put = m != NULL ? nlmsg_append (m, &r, sizeof r, NLMSG_ALIGNTO) : -1;
  if (put == 0)
    put = nla_put_u32 (m, RTA_GATEWAY, gateway);
  if (put == 0)
    put = nla_put_u32 (m, RTA_OIF, index);
  return send_msg (s, m, put, "add the default route", err);
}

struct surveying {
  struct nb_survey *to;
  uint32_t pool;
  uint8_t prefix;
};

static int
on_survey (struct nl_msg *m, void *arg)
{
  struct surveying *k = arg;
  const struct nlmsghdr *h = nlmsg_hdr (m);
  const struct rtmsg *r = nlmsg_data (h);
  struct nlattr *a[RTA_MAX + 1];
  uint32_t mask = k->prefix == 0 ? 0 : htonl (~(uint32_t) 0 << (32 - k->prefix));
  if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse (nlmsg_hdr (m), sizeof *r, a, RTA_MAX, NULL) < 0 || r->rtm_family != AF_INET)
    return NL_OK;
  if (r->rtm_dst_len == 0 && r->rtm_type == RTN_UNICAST && a[RTA_OIF] != NULL && k->to->default_index == 0)
    k->to->default_index = nla_get_u32 (a[RTA_OIF]);
  if (a[RTA_DST] == NULL || r->rtm_dst_len < k->prefix || (nla_get_u32 (a[RTA_DST]) & mask) != (k->pool & mask)
      || k->to->count == sizeof k->to->taken / sizeof *k->to->taken)
    return NL_OK;
  k->to->taken[k->to->count].address = nla_get_u32 (a[RTA_DST]);
  k->to->taken[k->to->count++].prefix = r->rtm_dst_len;
  return NL_OK;
}

int
nb_routes_survey (struct nl_sock *s, uint32_t pool, uint8_t prefix, struct nb_survey *ret, struct hv_err *err)
{
  struct rtmsg head = { .rtm_family = AF_INET };
  struct nl_msg *m = nlmsg_alloc_simple (RTM_GETROUTE, NLM_F_DUMP);
  struct surveying k = { ret, pool, prefix };
  *ret = (struct nb_survey){ 0 };
  if (m != NULL && nlmsg_append (m, &head, sizeof head, NLMSG_ALIGNTO) < 0) {
    nlmsg_free (m);
    m = NULL;
  }
  return ask (s, m, on_survey, &k, "read routes", err);
}

/* --- saved messages --- */

struct saving {
  struct nb_saved *to;
  uint32_t index;
  int failed;
};

static int
keep (struct saving *k, const struct nlmsghdr *h)
{
  uint64_t n = NLMSG_ALIGN (h->nlmsg_len);
  uint8_t *more = realloc (k->to->data, k->to->size + n);
  if (more == NULL) {
    k->failed = 1;
    return NL_STOP;
  }
  memset (more + k->to->size, 0, n);
  memcpy (more + k->to->size, h, h->nlmsg_len);
  k->to->data = more;
  k->to->size += n;
  return NL_OK;
}

static int
on_address (struct nl_msg *m, void *arg)
{
  struct saving *k = arg;
  const struct nlmsghdr *h = nlmsg_hdr (m);
  const struct ifaddrmsg *a = nlmsg_data (h);
  return h->nlmsg_type == RTM_NEWADDR && a->ifa_index == k->index ? keep (k, h) : NL_OK;
}

/* One of its ways leads through the link. */
static int
leads_through (struct nlattr **a, uint32_t index)
{
  if (a[RTA_OIF] != NULL)
    return nla_get_u32 (a[RTA_OIF]) == index;
  if (a[RTA_MULTIPATH] == NULL)
    return 0;
  const struct rtnexthop *n = nla_data (a[RTA_MULTIPATH]);
  for (int left = nla_len (a[RTA_MULTIPATH]); RTNH_OK (n, left); left -= NLMSG_ALIGN (n->rtnh_len), n = RTNH_NEXT (n))
    if ((uint32_t) n->rtnh_ifindex == index)
      return 1;
  return 0;
}

static int
on_route (struct nl_msg *m, void *arg)
{
  struct saving *k = arg;
  const struct nlmsghdr *h = nlmsg_hdr (m);
  const struct rtmsg *r = nlmsg_data (h);
  struct nlattr *a[RTA_MAX + 1];
  if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse (nlmsg_hdr (m), sizeof *r, a, RTA_MAX, NULL) < 0)
    return NL_OK;
  if (r->rtm_flags & RTM_F_CLONED || r->rtm_protocol == RTPROT_KERNEL || (r->rtm_family != AF_INET && r->rtm_family != AF_INET6))
    return NL_OK;
  return leads_through (a, k->index) ? keep (k, h) : NL_OK;
}

static int
save (struct nl_sock *s, int type, const void *head, size_t size, struct saving *k, nl_recvmsg_msg_cb_t fn, const char *what,
      struct hv_err *err)
{
  struct nl_msg *m = nlmsg_alloc_simple (type, NLM_F_DUMP);
  *k->to = (struct nb_saved){ NULL, 0 };
  if (m != NULL && nlmsg_append (m, (void *) (uintptr_t) head, size, NLMSG_ALIGNTO) < 0) {
    nlmsg_free (m);
    m = NULL;
  }
  int r = ask (s, m, fn, k, what, err);
  if (r == 0 && k->failed)
    r = no_memory (err);
  if (r < 0)
    nb_saved_clear (k->to);
  return r;
}

int
nb_addresses_save (struct nl_sock *s, uint32_t index, struct nb_saved *ret, struct hv_err *err)
{
  struct ifaddrmsg head = { .ifa_family = AF_UNSPEC };
  struct saving k = { .to = ret, .index = index };
  return save (s, RTM_GETADDR, &head, sizeof head, &k, on_address, "read addresses", err);
}

int
nb_routes_save (struct nl_sock *s, uint32_t index, struct nb_saved *ret, struct hv_err *err)
{
  struct rtmsg head = { .rtm_family = AF_UNSPEC };
  struct saving k = { .to = ret, .index = index };
  return save (s, RTM_GETROUTE, &head, sizeof head, &k, on_route, "read routes", err);
}

void
nb_saved_clear (struct nb_saved *saved)
{
  free (saved->data);
  *saved = (struct nb_saved){ NULL, 0 };
}

/* The next message of what was saved, copied to where it may be changed; NULL: that was all, or it is damaged. */
static struct nlmsghdr *
next (struct hv_bin saved, uint64_t *at)
{
  struct nlmsghdr h;
  if (saved.size - *at < sizeof h)
    return NULL;
  memcpy (&h, saved.data + *at, sizeof h);
  if (h.nlmsg_len < sizeof h || NLMSG_ALIGN (h.nlmsg_len) > saved.size - *at)
    return NULL;
  struct nlmsghdr *copy = malloc (NLMSG_ALIGN (h.nlmsg_len));
  if (copy != NULL)
    memcpy (copy, saved.data + *at, NLMSG_ALIGN (h.nlmsg_len));
  *at += NLMSG_ALIGN (h.nlmsg_len);
  return copy;
}

/* As it came, under another type. */
static int
send_saved (struct nl_sock *s, const struct nlmsghdr *h, int type, int flags)
{
  struct nl_msg *m = nlmsg_alloc_simple (type, flags);
  if (m != NULL && nlmsg_append (m, nlmsg_data (h), (size_t) nlmsg_datalen (h), NLMSG_ALIGNTO) < 0) {
    nlmsg_free (m);
    m = NULL;
  }
  return m != NULL ? nl_send_sync (s, m) : -NLE_NOMEM;
}

int
nb_addresses_flush (struct nl_sock *s, uint32_t index, struct hv_err *err)
{
  struct nb_saved all;
  int r = nb_addresses_save (s, index, &all, err), nl;
  uint64_t at = 0;
  for (struct nlmsghdr *h; r == 0 && (h = next ((struct hv_bin){ all.data, all.size }, &at)) != NULL; free (h)) {
    nl = send_saved (s, h, RTM_DELADDR, 0);
    if (nl < 0 && nl != -NLE_NOADDR && nl != -NLE_OBJ_NOTFOUND)
      r = fail (err, nl, "remove an address");
  }
  nb_saved_clear (&all);
  return r;
}

/* Whether it was found out already that nobody else has it is to be found out anew. */
static void
forget_state (struct nlmsghdr *h)
{
  struct ifaddrmsg *a = nlmsg_data (h);
  struct nlattr *flags = nlmsg_find_attr (h, sizeof *a, IFA_FLAGS);
  a->ifa_flags &= (uint8_t) ~(IFA_F_TENTATIVE | IFA_F_DADFAILED);
  if (flags != NULL) {
    uint32_t v = nla_get_u32 (flags) & ~(uint32_t) (IFA_F_TENTATIVE | IFA_F_DADFAILED);
    memcpy (nla_data (flags), &v, sizeof v);
  }
}

int
nb_addresses_restore (struct nl_sock *s, struct hv_bin saved, uint32_t index, struct hv_err *err)
{
  uint64_t at = 0;
  int r = 0;
  for (struct nlmsghdr *h; r == 0 && (h = next (saved, &at)) != NULL; free (h)) {
    struct ifaddrmsg *a = nlmsg_data (h);
    a->ifa_index = index;
    forget_state (h);
    int nl = send_saved (s, h, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    if (nl < 0 && nl != -NLE_EXIST)
      r = fail (err, nl, "put an address back");
  }
  return r;
}

/* A gateway is reached by a route that has none, so those go first; a second round for what leaned on what came later. */
int
nb_routes_restore (struct nl_sock *s, struct hv_bin saved, struct hv_err *err)
{
  int worst = 0;
  for (int round = 0; round < 3; round++) {
    uint64_t at = 0;
    worst = 0;
    for (struct nlmsghdr *h; (h = next (saved, &at)) != NULL; free (h)) {
      struct rtmsg *r = nlmsg_data (h);
      int has_gateway
          = nlmsg_find_attr (h, sizeof *r, RTA_GATEWAY) != NULL || nlmsg_find_attr (h, sizeof *r, RTA_MULTIPATH) != NULL;
      if (round == 0 && has_gateway)
        continue;
      r->rtm_flags &= ~(unsigned) (RTNH_F_DEAD | RTNH_F_LINKDOWN | RTNH_F_UNRESOLVED | RTNH_F_OFFLOAD | RTNH_F_TRAP);
      int nl = send_saved (s, h, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
      if (nl < 0 && nl != -NLE_EXIST)
        worst = nl;
    }
    if (worst == 0 && round > 0)
      break;
  }
  return worst < 0 ? fail (err, worst, "put a route back") : 0;
}

uint32_t
nb_saved_ipv4 (struct hv_bin saved, uint8_t *ret_prefix)
{
  uint64_t at = 0;
  uint32_t found = 0;
  for (struct nlmsghdr *h; found == 0 && (h = next (saved, &at)) != NULL; free (h)) {
    const struct ifaddrmsg *a = nlmsg_data (h);
    const struct nlattr *local = nlmsg_find_attr (h, sizeof *a, IFA_LOCAL);
    if (a->ifa_family != AF_INET || a->ifa_scope != RT_SCOPE_UNIVERSE || local == NULL)
      continue;
    found = nla_get_u32 (local);
    *ret_prefix = a->ifa_prefixlen;
  }
  return found;
}

uint32_t
nb_saved_ipv6 (struct hv_bin saved, uint8_t (*ret)[16], uint32_t max)
{
  uint64_t at = 0;
  uint32_t n = 0;
  for (struct nlmsghdr *h; n < max && (h = next (saved, &at)) != NULL; free (h)) {
    const struct ifaddrmsg *a = nlmsg_data (h);
    const struct nlattr *address = nlmsg_find_attr (h, sizeof *a, IFA_ADDRESS);
    if (a->ifa_family == AF_INET6 && a->ifa_scope == RT_SCOPE_UNIVERSE && address != NULL && nla_len (address) == 16)
      memcpy (ret[n++], nla_data (address), 16);
  }
  return n;
}

uint32_t
nb_saved_gateway (struct hv_bin saved)
{
  uint64_t at = 0;
  uint32_t found = 0;
  for (struct nlmsghdr *h; found == 0 && (h = next (saved, &at)) != NULL; free (h)) {
    const struct rtmsg *r = nlmsg_data (h);
    const struct nlattr *gateway = nlmsg_find_attr (h, sizeof *r, RTA_GATEWAY);
    if (r->rtm_family == AF_INET && r->rtm_dst_len == 0 && gateway != NULL)
      found = nla_get_u32 (gateway);
  }
  return found;
}
