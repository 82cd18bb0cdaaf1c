/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt and this node can do. */
#include "libvirt.h"
#include "xml/check.h"
#include <hvkit/kvm.h>
#include <string.h>

int
lv_node_kvm (struct lv *lv, struct hv_err *err)
{
  if (lv->kvm_tried)
    return 0;
  HV_CLEAN (hv_free)
  char *program
      = HV_HAS (lv->config, kvm_probe) ? strdup (lv->config->kvm_probe) : hv_program_beside (&lv_plugin, "hvkit-kvm-probe");
  int r = hv_kvm_try (lv->host, program, &lv->kvm_works, &lv->kvm_reason, err);
  lv->kvm_tried = r == 0;
  return r;
}

/* A pinned accelerator is libvirt's to refuse. */
static int
choose_accel (struct lv *lv, struct hv_err *err)
{
  int r = lv->config->accel == LV_ACCEL_AUTO ? lv_node_kvm (lv, err) : 0;
  lv->use_kvm = lv->config->accel == LV_ACCEL_KVM || (lv->config->accel == LV_ACCEL_AUTO && lv->kvm_works);
  return r;
}

int
lv_node_wait (struct lv *lv, struct hv_err *err)
{
  if (lv->connected)
    return choose_accel (lv, err);
  return hv_err_set (err, HV_E_UNAVAILABLE, "libvirt cannot be reached at '%s': %s", lv->uri,
                     lv->lost_why != NULL ? lv->lost_why : "not connected yet");
}

const char *
lv_netns (const struct lv *lv)
{
  return lv->spawn != NULL && HV_HAS (&lv->config->spawn, netns) ? lv->config->spawn.netns : NULL;
}

int
lv_node_check (struct lv *lv, const struct hv_machine *m, struct hv_err *err)
{
  return lv_xml_check (m, lv->use_kvm ? "kvm" : "qemu", lv_netns (lv), err);
}

static int
probe_verbs (struct lv *lv, struct hv_probe *ret)
{
  uint32_t n = 0;
  while (hv_iface_hypervisor.verbs[n] != NULL)
    n++;
  ret->verbs.items = hv_alloc (lv->host, (uint64_t) n * sizeof *ret->verbs.items);
  if (ret->verbs.items == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (; ret->verbs.count < n; ret->verbs.count++) {
    struct hv_support *s = &ret->verbs.items[ret->verbs.count];
    s->verb = hv_iface_hypervisor.verbs[ret->verbs.count]->verb;
    const char *why = lv_lacks (s->verb);
    s->supported = why == NULL;
    if (why != NULL)
      HV_SET (s, reason, why);
  }
  ret->has.verbs = 1;
  return 0;
}

int
lv_probe (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct lv *lv = self;
  struct hv_probe *ret = result;
  (void) call;
  (void) args;
  int r = lv_node_wait (lv, err);
  if (r < 0)
    return r;
  ret->backend = "libvirt";
  ret->arch = "amd64";
  ret->accel = lv->use_kvm ? "kvm" : "tcg";
  struct hv_accel *accels = hv_alloc (lv->host, 2 * sizeof *accels);
  if (accels == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  accels[0] = (struct hv_accel){ .name = "kvm", .works = lv->kvm_works };
  HV_SET (&accels[0], reason, lv->kvm_tried ? lv->kvm_reason : "not tried: the accelerator is pinned in the configuration");
  accels[1] = (struct hv_accel){ .name = "tcg", .works = 1 };
  HV_SET (&accels[1], reason, "emulation needs nothing from the processor");
  ret->accels.items = accels;
  ret->accels.count = 2;
  ret->has.accels = 1;
  const char *version = hv_printf (lv->host, "%lu.%lu.%lu", lv->libvirt_version / 1000000, lv->libvirt_version / 1000 % 1000,
                                   lv->libvirt_version % 1000);
  if (version == NULL || probe_verbs (lv, ret) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  HV_SET (ret, version, version);
  return 0;
}
