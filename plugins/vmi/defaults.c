/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* KubeVirt's manifest defaults, in its order. */
#include "quantity.h"
#include "spec.h"
#include "uuid.h"
#include <string.h>

#define DEFAULT_GRACE_S 30

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static void
default_resources (struct vmi_domain *d)
{
  struct vmi_resource_list *q = &d->resources.requests;
  const struct vmi_resource_list *l = &d->resources.limits;
  if (!q->has.cpu && l->has.cpu)
    HV_SET (q, cpu, l->cpu);
  if (!q->has.memory && l->has.memory)
    HV_SET (q, memory, l->memory);
  else if (!q->has.memory && d->memory.has.guest)
    HV_SET (q, memory, d->memory.guest);
  d->has.resources = 1;
  d->resources.has.requests = d->resources.has.requests || q->has.cpu || q->has.memory;
}

static void
default_cpu (struct vmi_domain *d)
{
  struct vmi_cpu *c = &d->cpu;
  const struct vmi_resources *r = &d->resources;
  uint64_t n = 1;
  if (c->cores == 0 && c->sockets == 0 && c->threads == 0 && (r->limits.has.cpu || r->requests.has.cpu)
      && vmi_quantity (r->limits.has.cpu ? r->limits.cpu : r->requests.cpu, &n, NULL) == 0)
    HV_SET (c, sockets, n > 0 ? (uint32_t) n : 1);
  HV_SET (c, cores, c->cores > 0 ? c->cores : 1);
  HV_SET (c, sockets, c->sockets > 0 ? c->sockets : 1);
  HV_SET (c, threads, c->threads > 0 ? c->threads : 1);
  if (!HV_HAS (c, model))
    HV_SET (c, model, "host-model");
  d->has.cpu = 1;
}

/* A tag that moves, "latest" or none, is asked for each time. */
static uint32_t
default_pull_policy (const char *image)
{
  const char *slash = strrchr (image, '/'), *name = slash != NULL ? slash + 1 : image, *tag = strchr (name, ':');
  int moves = strchr (name, '@') == NULL && (tag == NULL || strcmp (tag + 1, "latest") == 0);
  return moves ? VMI_PULL_ALWAYS : VMI_PULL_IF_NOT_PRESENT;
}

static void
default_pull_policies (struct vmi_spec *s)
{
  struct vmi_kernel_boot *b = &s->domain.firmware.kernelBoot;
  if (HV_HAS (b, container) && !HV_HAS (&b->container, imagePullPolicy))
    HV_SET (&b->container, imagePullPolicy, default_pull_policy (b->container.image));
  for (uint32_t i = 0; i < s->volumes.count; i++) {
    struct vmi_container_disk *c = &s->volumes.items[i].containerDisk;
    if (HV_HAS (&s->volumes.items[i], containerDisk) && !HV_HAS (c, imagePullPolicy))
      HV_SET (c, imagePullPolicy, default_pull_policy (c->image));
  }
}

/* A volume that no disk shows gets one of its own. */
static int
default_volume_disks (struct hv_host *h, struct vmi_spec *s, struct hv_err *err)
{
  uint32_t n = s->domain.devices.disks.count;
  struct vmi_disk *items = hv_alloc (h, (n + s->volumes.count + 1) * sizeof *items);
  if (items == NULL)
    return no_memory (err);
  if (n > 0)
    memcpy (items, s->domain.devices.disks.items, n * sizeof *items);
  for (uint32_t i = 0; i < s->volumes.count; i++)
    if (vmi_spec_disk (s, s->volumes.items[i].name) == NULL) {
      HV_SET (&items[n], name, s->volumes.items[i].name);
      n++;
    }
  s->domain.devices.disks.items = items;
  s->domain.devices.disks.count = n;
  s->domain.devices.has.disks = n > 0;
  return 0;
}

static void
default_disk (struct vmi_disk *d)
{
  if (HV_HAS (d, cdrom)) {
    HV_SET (&d->cdrom, readonly, 1);
    HV_SET (&d->cdrom, tray, VMI_TRAY_CLOSED);
    if (!HV_HAS (&d->cdrom, bus))
      HV_SET (&d->cdrom, bus, HV_BUS_SATA);
    return;
  }
  d->has.disk = 1;
  if (!HV_HAS (&d->disk, bus))
    HV_SET (&d->disk, bus, HV_BUS_SATA);
}

static int
default_inputs (struct hv_host *h, struct vmi_devices *d, struct hv_err *err)
{
  struct vmi_input *items = hv_alloc (h, (d->inputs.count + 1) * sizeof *items);
  if (items == NULL)
    return no_memory (err);
  for (uint32_t i = 0; i < d->inputs.count; i++) {
    items[i] = d->inputs.items[i];
    if (!HV_HAS (&items[i], bus))
      HV_SET (&items[i], bus, "usb");
    if (!HV_HAS (&items[i], type))
      HV_SET (&items[i], type, "tablet");
  }
  d->inputs.items = items;
  return 0;
}

/* A VM that says nothing of networks is on its pod's, as KubeVirt's default binding has it. */
static int
default_network (struct hv_host *h, struct vmi_spec *s, struct hv_err *err)
{
  struct vmi_devices *d = &s->domain.devices;
  if (s->networks.count > 0 || d->interfaces.count > 0 || (HV_HAS (d, autoattachPodInterface) && !d->autoattachPodInterface))
    return 0;
  struct vmi_network *n = hv_alloc (h, sizeof *n);
  struct vmi_interface *f = hv_alloc (h, sizeof *f);
  if (n == NULL || f == NULL)
    return no_memory (err);
  HV_SET (n, name, "default");
  n->has.pod = 1;
  HV_SET (f, name, "default");
  f->has.bridge = 1;
  s->networks.items = n;
  d->interfaces.items = f;
  s->networks.count = d->interfaces.count = 1;
  s->has.networks = d->has.interfaces = 1;
  return 0;
}

static void
default_feature (struct vmi_feature_state *f, int given)
{
  if (given && !HV_HAS (f, enabled))
    HV_SET (f, enabled, 1);
}

static int
default_firmware (struct hv_host *h, struct vmi_domain *d, const char *vm_name, struct hv_err *err)
{
  char *uuid = hv_alloc (h, VMI_UUID_TEXT);
  if (HV_HAS (&d->firmware, uuid))
    return 0;
  if (uuid == NULL)
    return no_memory (err);
  d->has.firmware = 1;
  HV_SET (&d->firmware, uuid, uuid);
  if (vm_name == NULL)
    return vmi_uuid_random (uuid, err);
  vmi_uuid_firmware (vm_name, uuid);
  return 0;
}

int
vmi_spec_defaults (struct hv_host *h, struct vmi_spec *s, const struct vmi_node *node, const char *vm_name, struct hv_err *err)
{
  struct vmi_domain *d = &s->domain;
  if (!HV_HAS (s, architecture))
    HV_SET (s, architecture, node->arch);
  if (!HV_HAS (&d->machine, type))
    HV_SET (&d->machine, type, "q35");
  d->has.machine = 1;
  default_resources (d);
  default_cpu (d);
  if (!HV_HAS (s, evictionStrategy))
    HV_SET (s, evictionStrategy, VMI_EVICTION_NONE);
  if (!HV_HAS (s, terminationGracePeriodSeconds))
    HV_SET (s, terminationGracePeriodSeconds, DEFAULT_GRACE_S);
  d->has.devices = d->has.features = 1;
  default_feature (&d->features.acpi, HV_HAS (&d->features, acpi));
  default_feature (&d->features.apic, HV_HAS (&d->features, apic));
  default_pull_policies (s);
  int r = default_volume_disks (h, s, err);
  for (uint32_t i = 0; i < d->devices.disks.count && r == 0; i++)
    default_disk (&d->devices.disks.items[i]);
  if (r == 0)
    r = default_inputs (h, &d->devices, err);
  if (r == 0)
    r = default_network (h, s, err);
  return r < 0 ? r : default_firmware (h, d, vm_name, err);
}

const char *
vmi_spec_qos (const struct vmi_spec *s)
{
  const struct vmi_resource_list *l = &s->domain.resources.limits, *q = &s->domain.resources.requests;
  uint64_t a = 0, b = 0, c = 0, d = 0;
  if (!l->has.cpu && !l->has.memory && !q->has.cpu && !q->has.memory)
    return "BestEffort";
  if (!l->has.cpu || !l->has.memory || !q->has.cpu || !q->has.memory || vmi_quantity_milli (l->cpu, &a, NULL) < 0
      || vmi_quantity_milli (q->cpu, &b, NULL) < 0 || vmi_quantity (l->memory, &c, NULL) < 0
      || vmi_quantity (q->memory, &d, NULL) < 0)
    return "Burstable";
  return a == b && c == d ? "Guaranteed" : "Burstable";
}
