/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt and this node can do. */
#include "libvirt.h"
#include "xml/check.h"
#include <string.h>

int
lv_node_wait (struct lv *lv, struct hv_err *err)
{
  if (lv->connected)
    return 0;
  return hv_err_set (err, HV_E_UNAVAILABLE, "libvirt cannot be reached at '%s': %s", lv->uri,
                     lv->lost_why != NULL ? lv->lost_why : "not connected yet");
}

int
lv_node_check (struct lv *lv, const struct hv_machine *m, struct hv_err *err)
{
  return lv_xml_check (m, lv->use_kvm ? "kvm" : "qemu", err);
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
  const char *version = hv_printf (lv->host, "%lu.%lu.%lu", lv->libvirt_version / 1000000, lv->libvirt_version / 1000 % 1000,
                                   lv->libvirt_version % 1000);
  if (version == NULL || probe_verbs (lv, ret) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  HV_SET (ret, version, version);
  return 0;
}
