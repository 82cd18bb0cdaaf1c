/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The Secrets and ConfigMaps that a spec names. */
#include "spec.h"
#include <stdio.h>

#define PER_VOLUME 3u /* at most; and one of the kernel */

struct references {
  struct vmi_reference *items;
  uint32_t count;
};

HV_PRINTF (5, 6)
static void
add (struct references *to, uint32_t kind, const char *name, int optional, const char *fmt, ...)
{
  struct vmi_reference *r = &to->items[to->count++];
  va_list ap;
  *r = (struct vmi_reference){ .kind = kind, .name = name, .optional = optional != 0 };
  va_start (ap, fmt);
  (void) vsnprintf (r->path, sizeof r->path, fmt, ap);
  va_end (ap);
}

static void
add_cloud_init (struct references *to, const struct vmi_cloud_init *c, uint32_t i, const char *source)
{
  if (HV_HAS (c, secretRef))
    add (to, VMI_KIND_SECRET, c->secretRef.name, 0, "volumes[%u].%s.secretRef.name", i, source);
  if (HV_HAS (c, networkDataSecretRef))
    add (to, VMI_KIND_SECRET, c->networkDataSecretRef.name, 0, "volumes[%u].%s.networkDataSecretRef.name", i, source);
}

static void
add_volume (struct references *to, const struct vmi_volume *v, uint32_t i)
{
  if (HV_HAS (v, containerDisk) && HV_HAS (&v->containerDisk, imagePullSecret))
    add (to, VMI_KIND_SECRET, v->containerDisk.imagePullSecret, 0, "volumes[%u].containerDisk.imagePullSecret", i);
  if (HV_HAS (v, cloudInitNoCloud))
    add_cloud_init (to, &v->cloudInitNoCloud, i, "cloudInitNoCloud");
  if (HV_HAS (v, cloudInitConfigDrive))
    add_cloud_init (to, &v->cloudInitConfigDrive, i, "cloudInitConfigDrive");
  if (HV_HAS (v, secret))
    add (to, VMI_KIND_SECRET, v->secret.secretName, v->secret.optional, "volumes[%u].secret.secretName", i);
  if (HV_HAS (v, configMap))
    add (to, VMI_KIND_CONFIG_MAP, v->configMap.name, v->configMap.optional, "volumes[%u].configMap.name", i);
  if (HV_HAS (v, sysprep) && HV_HAS (&v->sysprep, secret))
    add (to, VMI_KIND_SECRET, v->sysprep.secret.name, 0, "volumes[%u].sysprep.secret.name", i);
  if (HV_HAS (v, sysprep) && HV_HAS (&v->sysprep, configMap))
    add (to, VMI_KIND_CONFIG_MAP, v->sysprep.configMap.name, 0, "volumes[%u].sysprep.configMap.name", i);
}

int
vmi_spec_references (struct hv_host *h, const struct vmi_spec *s, struct vmi_reference **ret, uint32_t *ret_count,
                     struct hv_err *err)
{
  const struct vmi_kernel_boot *b = &s->domain.firmware.kernelBoot;
  struct references all = { hv_alloc (h, (s->volumes.count * PER_VOLUME + 1) * sizeof *all.items), 0 };
  if (all.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (HV_HAS (b, container) && HV_HAS (&b->container, imagePullSecret))
    add (&all, VMI_KIND_SECRET, b->container.imagePullSecret, 0, "domain.firmware.kernelBoot.container.imagePullSecret");
  for (uint32_t i = 0; i < s->volumes.count; i++)
    add_volume (&all, &s->volumes.items[i], i);
  *ret = all.items;
  *ret_count = all.count;
  return 0;
}
