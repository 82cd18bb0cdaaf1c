/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this node cannot do is refused with the path of the field, never left out. */
#include "check.h"
#include <stdio.h>
#include <string.h>

int
vmi_check_refuse (const struct vmi_check *c, int code, const char *why, const char *fmt, ...)
{
  char path[256];
  va_list ap;
  int at = snprintf (path, sizeof path, "%s.", c->prefix);
  va_start (ap, fmt);
  (void) vsnprintf (path + at, sizeof path - (size_t) at, fmt, ap);
  va_end (ap);
  hv_err_set (c->err, code, "%s: %s", path, why);
  hv_err_data (c->err, "path", path);
  return code;
}

int
vmi_check_wrap (const struct vmi_check *c, int code, const char *path)
{
  char text[256];
  (void) snprintf (text, sizeof text, "%s.%s", c->prefix, path);
  hv_err_wrap (c->err, code, "%s", text);
  hv_err_data (c->err, "path", text);
  return code;
}

/* --- the node --- */

static int
check_selector (const struct vmi_check *c)
{
  const struct {
    const char *key, *value;
  } labels[]
      = { { "kubernetes.io/arch", c->node->arch }, { "kubernetes.io/hostname", c->node->name }, { "kubernetes.io/os", "linux" } };
  for (uint32_t i = 0; i < c->spec->nodeSelector.count; i++) {
    const struct hv_pair *p = &c->spec->nodeSelector.items[i];
    const char *have = NULL;
    char why[256];
    for (size_t k = 0; k < sizeof labels / sizeof *labels; k++)
      if (strcmp (labels[k].key, p->key) == 0)
        have = labels[k].value;
    if (have != NULL && strcmp (have, p->value) == 0)
      continue;
    (void) snprintf (why, sizeof why,
                     have != NULL ? "wants '%.60s', this node has '%.60s'" : "wants '%.60s', this node has no such label", p->value,
                     have != NULL ? have : "");
    return vmi_check_refuse (c, HV_E_FAILED_PRECONDITION, why, "nodeSelector.%s", p->key);
  }
  return 0;
}

static int
check_node (const struct vmi_check *c)
{
  const struct vmi_spec *s = c->spec;
  char why[128];
  (void) snprintf (why, sizeof why, "'%.16s': this node runs %.16s", HV_HAS (s, architecture) ? s->architecture : "",
                   c->node->arch);
  if (HV_HAS (s, architecture) && strcmp (s->architecture, c->node->arch) != 0)
    return vmi_check_refuse (c, HV_E_FAILED_PRECONDITION, why, "architecture");
  if (HV_HAS (s, evictionStrategy) && s->evictionStrategy != VMI_EVICTION_NONE)
    return vmi_check_refuse (c, HV_E_UNIMPLEMENTED, "only None: this is one node, there is nowhere to move the VM to",
                             "evictionStrategy");
  if (s->terminationGracePeriodSeconds < 0)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "must not be negative", "terminationGracePeriodSeconds");
  return check_selector (c);
}

/* --- the machine --- */

int
vmi_check_quantity (const struct vmi_check *c, int has, const char *text, const char *path)
{
  uint64_t v;
  int r = has ? vmi_quantity (text, &v, c->err) : 0;
  return r < 0 ? vmi_check_wrap (c, r, path) : 0;
}

static int
check_resources (const struct vmi_check *c)
{
  const struct vmi_resource_list *l = &c->spec->domain.resources.limits, *q = &c->spec->domain.resources.requests;
  const struct vmi_memory *m = &c->spec->domain.memory;
  uint64_t limit = 0, request = 0;
  int r = vmi_check_quantity (c, l->has.cpu, l->cpu, "domain.resources.limits.cpu");
  if (r == 0)
    r = vmi_check_quantity (c, l->has.memory, l->memory, "domain.resources.limits.memory");
  if (r == 0)
    r = vmi_check_quantity (c, q->has.cpu, q->cpu, "domain.resources.requests.cpu");
  if (r == 0)
    r = vmi_check_quantity (c, q->has.memory, q->memory, "domain.resources.requests.memory");
  if (r == 0)
    r = vmi_check_quantity (c, m->has.guest, m->guest, "domain.memory.guest");
  if (r < 0)
    return r;
  if (l->has.cpu && q->has.cpu && vmi_quantity_milli (l->cpu, &limit, NULL) == 0 && vmi_quantity_milli (q->cpu, &request, NULL) == 0
      && request > limit)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "more than the limit", "domain.resources.requests.cpu");
  if (l->has.memory && q->has.memory && vmi_quantity (l->memory, &limit, NULL) == 0 && vmi_quantity (q->memory, &request, NULL) == 0
      && request > limit)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "more than the limit", "domain.resources.requests.memory");
  return 0;
}

int
vmi_spec_memory (const struct vmi_spec *s, uint64_t *ret_bytes, const char **ret_path, struct hv_err *err)
{
  const struct vmi_resources *r = &s->domain.resources;
  const char *text = HV_HAS (&s->domain.memory, guest) ? s->domain.memory.guest
                     : r->requests.has.memory          ? r->requests.memory
                     : r->limits.has.memory            ? r->limits.memory
                                                       : NULL;
  *ret_path = HV_HAS (&s->domain.memory, guest) || text == NULL ? "domain.memory.guest"
              : r->requests.has.memory                          ? "domain.resources.requests.memory"
                                                                : "domain.resources.limits.memory";
  if (text == NULL)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "required, unless domain.resources has the memory");
  return vmi_quantity (text, ret_bytes, err);
}

static int
check_memory (const struct vmi_check *c)
{
  const char *path = NULL;
  uint64_t bytes = 0;
  int r = vmi_spec_memory (c->spec, &bytes, &path, c->err);
  if (r < 0)
    return vmi_check_wrap (c, r, path);
  if (bytes < 1048576 || bytes > UINT64_C (17592186044416))
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "a guest has 1Mi to 16Ti of memory", "%s", path);
  return 0;
}

static int
check_cpu (const struct vmi_check *c)
{
  const struct vmi_cpu *p = &c->spec->domain.cpu;
  const struct vmi_resource_list *l = &c->spec->domain.resources.limits, *q = &c->spec->domain.resources.requests;
  uint64_t n = (uint64_t) (p->cores ? p->cores : 1) * (p->sockets ? p->sockets : 1) * (p->threads ? p->threads : 1), wanted = 0;
  if (n > 512)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "more than 512 virtual CPUs", "domain.cpu");
  if (p->cores == 0 && p->sockets == 0 && p->threads == 0 && (l->has.cpu || q->has.cpu)
      && vmi_quantity (l->has.cpu ? l->cpu : q->cpu, &wanted, NULL) == 0 && wanted > 512)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "more than 512 virtual CPUs", "domain.resources.%s.cpu",
                             l->has.cpu ? "limits" : "requests");
  return 0;
}

static int
check_machine (const struct vmi_check *c)
{
  const struct vmi_domain *d = &c->spec->domain;
  if (HV_HAS (&d->machine, type) && strcmp (d->machine.type, "q35") != 0 && strncmp (d->machine.type, "pc-q35-", 7) != 0)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "q35 or pc-q35-VERSION", "domain.machine.type");
  if (HV_HAS (&d->features.apic, enabled) && !d->features.apic.enabled)
    return vmi_check_refuse (c, HV_E_UNIMPLEMENTED, "a q35 machine cannot be had without it", "domain.features.apic.enabled");
  for (uint32_t i = 0; i < d->devices.inputs.count; i++) {
    const struct vmi_input *in = &d->devices.inputs.items[i];
    if (HV_HAS (in, type) && strcmp (in->type, "tablet") != 0)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "only tablet", "domain.devices.inputs[%u].type", i);
    if (HV_HAS (in, bus) && strcmp (in->bus, "usb") != 0 && strcmp (in->bus, "virtio") != 0)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "usb or virtio", "domain.devices.inputs[%u].bus", i);
    for (uint32_t k = 0; k < i; k++)
      if (strcmp (d->devices.inputs.items[k].name, in->name) == 0)
        return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "another input has this name", "domain.devices.inputs[%u].name", i);
  }
  return 0;
}

int
vmi_check_image_path (const struct vmi_check *c, const char *value, const char *path)
{
  for (const char *at = value; at != NULL; at = strchr (at + 1, '/'))
    if (at[0] != '/' || strncmp (at, "/../", 4) == 0 || strcmp (at, "/..") == 0)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "an absolute path in the image, without '..'", "%s", path);
  return 0;
}

static int
check_kernel (const struct vmi_check *c)
{
  const struct vmi_kernel_boot *b = &c->spec->domain.firmware.kernelBoot;
  const struct vmi_kernel_container *k = &b->container;
  static const char at[] = "domain.firmware.kernelBoot.container";
  if (!HV_HAS (&c->spec->domain.firmware, kernelBoot))
    return 0;
  if (!HV_HAS (b, container))
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "required: it has the kernel", "%s", at);
  if (!HV_HAS (k, kernelPath))
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "required: the kernel in the image", "%s.kernelPath", at);
  int r = vmi_check_image_path (c, k->kernelPath, "domain.firmware.kernelBoot.container.kernelPath");
  return r < 0 || !HV_HAS (k, initrdPath)
             ? r
             : vmi_check_image_path (c, k->initrdPath, "domain.firmware.kernelBoot.container.initrdPath");
}

int
vmi_spec_check (const struct vmi_spec *s, const char *prefix, const struct hv_map *annotations, const struct vmi_node *node,
                struct hv_err *err)
{
  const struct vmi_check c = { s, prefix, annotations, node, err };
  static int (*const checks[]) (const struct vmi_check *)
      = { check_node,   check_resources,   check_memory,          check_cpu,         check_machine,
          check_kernel, vmi_check_volumes, vmi_check_annotations, vmi_check_networks };
  int r = 0;
  for (size_t i = 0; i < sizeof checks / sizeof *checks && r == 0; i++)
    r = checks[i](&c);
  return r;
}
