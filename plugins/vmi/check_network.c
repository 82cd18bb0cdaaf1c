/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Networks and the interfaces on them, by KubeVirt's rules. */
#include "check.h"
#include <string.h>

const struct vmi_network *
vmi_spec_network (const struct vmi_spec *s, const char *name)
{
  for (uint32_t i = 0; i < s->networks.count; i++)
    if (strcmp (s->networks.items[i].name, name) == 0)
      return &s->networks.items[i];
  return NULL;
}

static int
has_interface (const struct vmi_spec *s, const char *network)
{
  for (uint32_t i = 0; i < s->domain.devices.interfaces.count; i++)
    if (strcmp (s->domain.devices.interfaces.items[i].name, network) == 0)
      return 1;
  return 0;
}

static int
check_network (const struct vmi_check *c, uint32_t i)
{
  const struct vmi_network *n = &c->spec->networks.items[i], *before;
  if (HV_HAS (n, pod) == HV_HAS (n, multus))
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "exactly one of pod and multus", "networks[%u]", i);
  for (before = c->spec->networks.items; before < n; before++) {
    if (strcmp (before->name, n->name) == 0)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "another network has this name", "networks[%u].name", i);
    if (HV_HAS (n, pod) && HV_HAS (before, pod))
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "a pod has one network", "networks[%u].pod", i);
  }
  if (!has_interface (c->spec, n->name))
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "no interface is on it", "networks[%u].name", i);
  return 0;
}

static int
is_model (const char *model)
{
  static const char *const models[] = { "virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet" };
  for (size_t i = 0; i < sizeof models / sizeof *models; i++)
    if (strcmp (model, models[i]) == 0)
      return 1;
  return 0;
}

static int
check_options (const struct vmi_check *c, const struct vmi_interface *f, uint32_t i)
{
  const struct vmi_dhcp_options *o = &f->dhcpOptions;
  for (uint32_t k = 0; k < o->privateOptions.count; k++)
    for (uint32_t l = 0; l < k; l++)
      if (o->privateOptions.items[l].option == o->privateOptions.items[k].option)
        return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "it is there twice",
                                 "domain.devices.interfaces[%u].dhcpOptions.privateOptions[%u].option", i, k);
  return 0;
}

/* Against the interfaces before it, and the disks. */
static int
check_unique (const struct vmi_check *c, const struct vmi_interface *f, uint32_t i)
{
  const struct vmi_devices *d = &c->spec->domain.devices;
  for (const struct vmi_interface *before = d->interfaces.items; before < f; before++) {
    if (strcmp (before->name, f->name) == 0)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "another interface has this name", "domain.devices.interfaces[%u].name",
                               i);
    if (HV_HAS (f, macAddress) && HV_HAS (before, macAddress) && strcasecmp (before->macAddress, f->macAddress) == 0)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "another interface has this address",
                               "domain.devices.interfaces[%u].macAddress", i);
    if (f->bootOrder != 0 && before->bootOrder == f->bootOrder)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "another interface has this place",
                               "domain.devices.interfaces[%u].bootOrder", i);
  }
  for (uint32_t k = 0; k < d->disks.count; k++) {
    if (f->bootOrder != 0 && d->disks.items[k].bootOrder == f->bootOrder)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "a disk has this place", "domain.devices.interfaces[%u].bootOrder", i);
    if (strcmp (d->disks.items[k].name, f->name) == 0)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "a disk has this name", "domain.devices.interfaces[%u].name", i);
  }
  return 0;
}

static int
check_interface (const struct vmi_check *c, uint32_t i)
{
  const struct vmi_interface *f = &c->spec->domain.devices.interfaces.items[i];
  const struct vmi_network *n = vmi_spec_network (c->spec, f->name);
  if (n == NULL)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "there is no network of this name", "domain.devices.interfaces[%u].name", i);
  if (HV_HAS (f, bridge) == HV_HAS (f, masquerade))
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "exactly one of bridge and masquerade", "domain.devices.interfaces[%u]", i);
  if (HV_HAS (f, masquerade) && HV_HAS (n, multus))
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "only on the pod network", "domain.devices.interfaces[%u].masquerade", i);
  if (HV_HAS (f, ports) && !HV_HAS (f, masquerade))
    return vmi_check_refuse (c, HV_E_UNIMPLEMENTED, "only with masquerade; all ports of a bridged guest are its own",
                             "domain.devices.interfaces[%u].ports", i);
  if (HV_HAS (f, dhcpOptions) && HV_HAS (n, multus))
    return vmi_check_refuse (c, HV_E_UNIMPLEMENTED, "only on the pod network; a network of the node has a DHCP server of its own",
                             "domain.devices.interfaces[%u].dhcpOptions", i);
  if (HV_HAS (f, model) && !is_model (f->model))
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "virtio, e1000, e1000e, rtl8139, ne2k_pci or pcnet",
                             "domain.devices.interfaces[%u].model", i);
  if (HV_HAS (f, macAddress) && strchr ("13579bdfBDF", f->macAddress[1]) != NULL)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "a group's address", "domain.devices.interfaces[%u].macAddress", i);
  int r = check_unique (c, f, i);
  return r < 0 ? r : check_options (c, f, i);
}

int
vmi_check_networks (const struct vmi_check *c)
{
  int r = 0;
  for (uint32_t i = 0; i < c->spec->domain.devices.interfaces.count && r == 0; i++)
    r = check_interface (c, i);
  for (uint32_t i = 0; i < c->spec->networks.count && r == 0; i++)
    r = check_network (c, i);
  return r;
}
