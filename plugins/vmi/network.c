/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A VM's network cards: connected before each start by whoever provides net/1, disconnected after each run. */
#include "view.h"
#include <hvkit/iface/net.h>
#include <stdio.h>
#include <string.h>

#define QUEUES_MAX 256u /* KubeVirt's */

static int
choose (struct vmi *vmi, const char **ret, struct hv_err *err)
{
  const char *named = vmi->config != NULL && HV_HAS (vmi->config, network) ? vmi->config->network : NULL;
  return vmi_provider_choose (vmi, &hv_iface_net, named, "network", "connects network cards", "net-bridge", ret, err);
}

/* --- attach --- */

static int
fill_ports (struct hv_host *h, const struct vmi_interface *f, struct hv_net_attach_args *a)
{
  static const char *const words[] = { "tcp", "udp", "sctp" };
  const char **ports = hv_alloc (h, (f->ports.count + 1) * sizeof *ports);
  for (uint32_t i = 0; ports != NULL && i < f->ports.count; i++) {
    const struct vmi_port *p = &f->ports.items[i];
    ports[i] = hv_printf (h, "%u/%s", p->port, words[HV_HAS (p, protocol) ? p->protocol : 0]);
    if (ports[i] == NULL)
      return -1;
  }
  if (ports != NULL && f->ports.count > 0)
    HV_SET (a, ports, ((struct hv_strs){ ports, f->ports.count }));
  return ports != NULL ? 0 : -1;
}

static int
fill_dhcp (struct hv_host *h, const struct vmi_dhcp_options *o, struct hv_net_attach_args *a)
{
  struct hv_pair *options = hv_alloc (h, (o->privateOptions.count + 1) * sizeof *options);
  for (uint32_t i = 0; options != NULL && i < o->privateOptions.count; i++) {
    options[i].key = hv_printf (h, "%u", o->privateOptions.items[i].option);
    options[i].value = o->privateOptions.items[i].value;
    if (options[i].key == NULL)
      return -1;
  }
  if (options == NULL)
    return -1;
  if (o->privateOptions.count > 0)
    HV_SET (a, options, ((struct hv_map){ options, o->privateOptions.count }));
  if (HV_HAS (o, bootFileName))
    HV_SET (a, bootfile, o->bootFileName);
  if (HV_HAS (o, tftpServerName))
    HV_SET (a, tftp_server, o->tftpServerName);
  if (o->ntpServers.count > 0)
    HV_SET (a, ntp, o->ntpServers);
  return 0;
}

static uint32_t
queues_of (const struct vmi_spec *s, const struct vmi_interface *f)
{
  const struct vmi_cpu *c = &s->domain.cpu;
  uint32_t n = c->cores * c->sockets * c->threads;
  if (!s->domain.devices.networkInterfaceMultiqueue || (HV_HAS (f, model) && strcmp (f->model, "virtio") != 0) || n == 0)
    return 1;
  return n < QUEUES_MAX ? n : QUEUES_MAX;
}

static int
fill_args (struct vmi_vm *v, const struct vmi_virtual_machine *o, const struct vmi_spec *s, uint32_t i,
           struct hv_net_attach_args *a)
{
  struct hv_host *h = v->vmi->host;
  const struct vmi_interface *f = &s->domain.devices.interfaces.items[i];
  const struct vmi_network *n = vmi_spec_network (s, f->name);
  const char *netns = vmi_map_get (&o->metadata.annotations, VMI_ANNOTATION_NETNS);
  HV_SET (a, vm, v->domain);
  HV_SET (a, nic, f->name);
  HV_SET (a, ordinal, i);
  HV_SET (a, queues, queues_of (s, f));
  if (HV_HAS (f, macAddress))
    HV_SET (a, mac, f->macAddress);
  if (n != NULL && HV_HAS (n, multus)) { /* a namespace before it is KubeVirt's: networks here are the node's */
    const char *slash = strrchr (n->multus.networkName, '/');
    HV_SET (a, network, slash != NULL ? slash + 1 : n->multus.networkName);
    return 0;
  }
  HV_SET (a, binding, HV_HAS (f, masquerade) ? HV_NET_MASQUERADE : HV_NET_BRIDGE);
  if (netns != NULL)
    HV_SET (a, netns, netns);
  HV_SET (a, hostname, HV_HAS (s, hostname) ? s->hostname : v->name);
  return fill_ports (h, f, a) < 0 ? -1 : fill_dhcp (h, &f->dhcpOptions, a);
}

static void
fill_nic (const struct vmi_interface *f, const struct hv_net_attachment *at, struct hv_machine_nic *nic)
{
  HV_SET (nic, name, f->name);
  if (HV_HAS (f, model))
    HV_SET (nic, model, f->model);
  if (HV_HAS (f, bootOrder))
    HV_SET (nic, boot_order, f->bootOrder);
  HV_SET (nic, mac, at->mac);
  HV_SET (nic, tap, at->tap);
  if (HV_HAS (at, netns))
    HV_SET (nic, netns, at->netns);
  if (HV_HAS (at, mtu) && (!HV_HAS (f, model) || strcmp (f->model, "virtio") == 0)) /* no other can be told */
    HV_SET (nic, mtu, at->mtu);
  HV_SET (nic, queues, HV_HAS (at, queues) ? at->queues : 1);
}

static int
keep (struct vmi_vm *v, struct hv_net_attachment *items, uint32_t count, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct hv_net_list list = { 0 };
  struct hv_bin b;
  list.items.items = items;
  list.items.count = count;
  list.has.items = 1;
  int r = h->api->encode (h, &hv_net_list_record, &list, &b, err);
  return r == 0 && vmi_bytes_set (&v->run.network, b) < 0 ? vmi_no_memory (err) : r;
}

int
vmi_network_attach (struct vmi_vm *v, const struct vmi_virtual_machine *o, const struct vmi_spec *s, struct hv_machine *m,
                    struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  uint32_t n = s->domain.devices.interfaces.count;
  struct hv_net_attachment *at = hv_alloc (h, (n + 1) * sizeof *at);
  struct hv_net_attach_args *a = hv_alloc (h, (n + 1) * sizeof *a);
  const char *instance = NULL;
  if (n == 0)
    return 0;
  m->nics.items = hv_alloc (h, n * sizeof *m->nics.items);
  if (at == NULL || a == NULL || m->nics.items == NULL)
    return vmi_no_memory (err);
  int r = choose (v->vmi, &instance, err);
  if (r < 0)
    return hv_err_wrap (err, r, "domain.devices.interfaces[0] (or set domain.devices.autoattachPodInterface to false)");
  const char *method = hv_printf (h, "%s.attach", instance);
  for (uint32_t i = 0; i < n; i++) {
    if (method == NULL || fill_args (v, o, s, i, &a[i]) < 0)
      return vmi_no_memory (err);
    r = hv_call_method (h, method, hv_net_attach_args, &a[i], hv_net_attachment, &at[i], err);
    if (r < 0)
      return hv_err_wrap (err, r, "interface '%s'", s->domain.devices.interfaces.items[i].name);
    fill_nic (&s->domain.devices.interfaces.items[i], &at[i], &m->nics.items[i]);
  }
  m->nics.count = n;
  m->has.nics = 1;
  return keep (v, at, n, err);
}

/* --- detach --- */

int
vmi_network_detach (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct vmi_spec *s = hv_alloc (h, sizeof *s);
  struct hv_net_detach_args a = { 0 };
  const char *instance = NULL;
  if (s == NULL)
    return vmi_no_memory (err);
  int r = v->run.exists ? vmi_run_spec (v, s, err) : 0;
  if (r < 0 || !v->run.exists || s->domain.devices.interfaces.count == 0)
    return r;
  r = choose (v->vmi, &instance, err);
  if (r == HV_E_UNIMPLEMENTED && v->run.network.size == 0)
    return 0; /* nor was there one when it was to be connected */
  const char *method = r == 0 ? hv_printf (h, "%s.detach", instance) : NULL;
  if (r == 0 && method == NULL)
    r = vmi_no_memory (err);
  HV_SET (&a, vm, v->domain);
  if (r == 0)
    r = h->api->call (h, method, &hv_net_detach_args_record, &a, NULL, NULL, NULL, err);
  if (r == 0)
    vmi_bytes_clear (&v->run.network);
  return r;
}

/* --- what is shown of it --- */

static int
read_attachments (struct vmi_vm *v, struct hv_net_list *ret)
{
  struct hv_host *h = v->vmi->host;
  memset (ret, 0, sizeof *ret);
  return v->run.network.size > 0
             ? h->api->decode (h, &hv_net_list_record, vmi_bytes_bin (&v->run.network), HV_DECODE_OPEN, ret, NULL)
             : HV_E_NOT_FOUND;
}

static const struct hv_agent_interface *
find_in_guest (const struct hv_agent_interfaces *all, const char *mac)
{
  for (uint32_t i = 0; i < all->items.count; i++)
    if (HV_HAS (&all->items.items[i], mac) && strcasecmp (all->items.items[i].mac, mac) == 0)
      return &all->items.items[i];
  return NULL;
}

/* Without the prefix; NULL: of the link alone, or the guest's own. */
static const char *
usable (struct hv_host *h, const char *address)
{
  if (strncasecmp (address, "fe80:", 5) == 0 || strncmp (address, "127.", 4) == 0 || strncmp (address, "::1/", 4) == 0)
    return NULL;
  return hv_printf (h, "%.*s", (int) strcspn (address, "/"), address);
}

static int
has_text (const struct hv_strs *all, const char *text)
{
  for (uint32_t i = 0; i < all->count; i++)
    if (strcmp (all->items[i], text) == 0)
      return 1;
  return 0;
}

/* What the guest was given first, then what else it says it has. */
static int
merge_addresses (struct hv_host *h, const struct hv_strs *given, const struct hv_strs *said, struct hv_strs *ret)
{
  const struct hv_strs *both[] = { given, said };
  const char **items = hv_alloc (h, (given->count + said->count + 1) * sizeof *items);
  *ret = (struct hv_strs){ items, 0 };
  for (unsigned k = 0; items != NULL && k < 2; k++)
    for (uint32_t i = 0; i < both[k]->count; i++) {
      const char *text = usable (h, both[k]->items[i]);
      if (text != NULL && !has_text (ret, text))
        items[ret->count++] = text;
    }
  return items != NULL ? 0 : -1;
}

static int
view_interface (struct hv_host *h, const struct hv_net_attachment *at, const struct hv_agent_interface *in_guest,
                struct vmi_interface_view *out)
{
  static const struct hv_strs none = { NULL, 0 };
  struct hv_strs all;
  HV_SET (out, name, at->nic);
  HV_SET (out, mac, at->mac);
  HV_SET (out, queueCount, HV_HAS (at, queues) ? at->queues : 1);
  HV_SET (out, infoSource, in_guest != NULL ? "domain, guest-agent" : "domain");
  if (in_guest != NULL)
    HV_SET (out, interfaceName, in_guest->name);
  if (merge_addresses (h, &at->addresses, in_guest != NULL ? &in_guest->addresses : &none, &all) < 0)
    return -1;
  if (all.count > 0) {
    HV_SET (out, ipAddress, all.items[0]);
    HV_SET (out, ipAddresses, all);
  }
  return 0;
}

int
vmi_network_view (struct vmi_vm *v, struct vmi_vmi_view *ret, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct hv_net_list list;
  struct hv_agent_interfaces guest;
  int known = vmi_agent_interfaces (v, &guest, NULL) == 0 && v->conditions[VMI_AGENT_CONNECTED].status == 2;
  ret->status.has.interfaces = 1;
  if (read_attachments (v, &list) < 0)
    return 0;
  ret->status.interfaces.items = hv_alloc (h, (list.items.count + 1) * sizeof *ret->status.interfaces.items);
  if (ret->status.interfaces.items == NULL)
    return vmi_no_memory (err);
  for (uint32_t i = 0; i < list.items.count; i++) {
    const struct hv_net_attachment *at = &list.items.items[i];
    struct vmi_interface_view *out = &ret->status.interfaces.items[i];
    if (view_interface (h, at, known ? find_in_guest (&guest, at->mac) : NULL, out) < 0)
      return vmi_no_memory (err);
    if (!HV_HAS (&ret->hvkit, ip) && HV_HAS (out, ipAddress))
      HV_SET (&ret->hvkit, ip, out->ipAddress);
  }
  ret->status.interfaces.count = list.items.count;
  return 0;
}

int
vmi_network_misses_addresses (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  uint64_t mark = h->api->scope_mark (h);
  struct hv_net_list list;
  struct hv_agent_interfaces guest;
  int misses = 0;
  if (read_attachments (v, &list) == 0 && vmi_agent_interfaces (v, &guest, NULL) == 0)
    for (uint32_t i = 0; i < list.items.count; i++) {
      const struct hv_agent_interface *in_guest = find_in_guest (&guest, list.items.items[i].mac);
      int found = 0;
      for (uint32_t k = 0; in_guest != NULL && k < in_guest->addresses.count; k++)
        found |= usable (h, in_guest->addresses.items[k]) != NULL;
      misses |= !found;
    }
  h->api->scope_release (h, mark);
  return misses;
}
