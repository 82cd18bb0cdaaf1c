/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt and this node can do. */
#include "libvirt.h"
#include "xml/arch.h"
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

/* What could not even be tried is not relied on, and tried again next time. */
static int
try_kvm (struct lv *lv, struct hv_err *err)
{
  HV_CLEAN (hv_err) struct hv_err *why = hv_err_new (lv->host);
  int r = lv_node_kvm (lv, why);
  if (r == HV_E_CANCELLED)
    return hv_err_set (err, r, "%s", hv_err_message (why));
  if (r < 0) {
    lv->kvm_works = 0;
    (void) lv_text_set (&lv->kvm_reason, hv_err_message (why));
  }
  return 0;
}

/* A pinned accelerator is libvirt's to refuse. Where KVM works, libvirt may still have none: its daemon may not see the device. */
static int
choose_accel (struct lv_daemon *d, struct hv_err *err)
{
  struct lv *lv = d->lv;
  const struct lv_caps *caps = NULL;
  lv->use_kvm = lv->config->accel == LV_ACCEL_KVM;
  if (lv->config->accel != LV_ACCEL_AUTO)
    return 0;
  int r = try_kvm (lv, err);
  if (r == 0 && lv->kvm_works)
    r = lv_caps_ask (d, &caps, err);
  const struct lv_guest *g = caps != NULL ? lv_caps_guest (caps, lv_caps_arch (caps->host_arch)) : NULL;
  lv->use_kvm = r == 0 && lv->kvm_works && (g == NULL || g->has_kvm);
  return r;
}

int
lv_node_wait (struct lv_daemon *d, struct hv_err *err)
{
  if (d->connected)
    return choose_accel (d, err);
  return hv_err_set (err, HV_E_UNAVAILABLE, "libvirt cannot be reached at '%s': %s", d->uri, lv_why_lost (d));
}

/* An emulator of the configuration is not the one that libvirt's list is about. */
int
lv_node_check (struct lv_daemon *d, const struct hv_machine *m, struct hv_err *err)
{
  const struct lv *lv = d->lv;
  const char *type = lv->use_kvm ? "kvm" : "qemu";
  const struct lv_caps *caps = NULL;
  const struct lv_domcaps *domcaps = NULL;
  int r = lv_xml_check (m, type, d->netns, err);
  if (r == 0 && !HV_HAS (lv->config, emulator)) {
    r = lv_caps_ask (d, &caps, err);
    if (r == 0 && caps != NULL)
      r = lv_caps_check (caps, m, type, err);
  }
  if (r == 0)
    r = lv_domcaps_ask (d, m->arch, m->machine, &domcaps, err);
  return r == 0 && domcaps != NULL ? lv_domcaps_check (domcaps, m, type, err) : r;
}

/* --- probe --- */

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

static int
probe_accels (struct lv *lv, struct hv_probe *ret)
{
  struct hv_accel *accels = hv_alloc (lv->host, 2 * sizeof *accels);
  if (accels == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  int refused = lv->config->accel == LV_ACCEL_AUTO && lv->kvm_works && !lv->use_kvm;
  accels[0] = (struct hv_accel){ .name = "kvm", .works = lv->kvm_works && !refused };
  HV_SET (&accels[0], reason,
          refused                              ? "guest code runs on it, but libvirt has no KVM here"
          : lv->config->accel == LV_ACCEL_AUTO ? lv->kvm_reason
                                               : "not tried: the accelerator is pinned in the configuration");
  accels[1] = (struct hv_accel){ .name = "tcg", .works = 1 };
  HV_SET (&accels[1], reason, "emulation needs nothing from the processor");
  ret->accels.items = accels;
  ret->accels.count = 2;
  ret->has.accels = 1;
  return 0;
}

/* The machine types of the node's architecture that can be asked for. */
static int
probe_machines (struct lv *lv, const struct lv_guest *g, struct hv_probe *ret)
{
  const char **names = hv_alloc (lv->host, ((uint64_t) g->machine_count + 1) * sizeof *names);
  uint32_t n = 0;
  for (uint32_t i = 0; names != NULL && i < g->machine_count; i++)
    if (lv_arch_has_machine (lv_arch_find (ret->arch), g->machines[i])
        && (names[n++] = hv_strdup (lv->host, g->machines[i])) == NULL)
      return HV_E_RESOURCE_EXHAUSTED;
  if (names == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  HV_SET (ret, machines, ((struct hv_strs){ names, n }));
  return 0;
}

static int
probe_models (struct lv *lv, const struct lv_domcaps *d, struct hv_probe *ret)
{
  struct hv_cpu_model *models = hv_alloc (lv->host, ((uint64_t) d->model_count + 1) * sizeof *models);
  for (uint32_t i = 0; models != NULL && i < d->model_count; i++) {
    models[i] = (struct hv_cpu_model){ .name = hv_strdup (lv->host, d->models[i].name), .usable = d->models[i].usable };
    if (models[i].name == NULL)
      return HV_E_RESOURCE_EXHAUSTED;
  }
  ret->cpu_models.items = models;
  ret->cpu_models.count = d->model_count;
  ret->has.cpu_models = 1;
  return models != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
}

/* The emulator is what libvirt says that it takes. */
static int
probe_capabilities (struct lv *lv, struct hv_probe *ret, struct hv_err *err)
{
  const struct lv_caps *caps = NULL;
  const struct lv_domcaps *d = NULL;
  struct lv_daemon *first = lv->daemons[0];
  int r = lv_caps_ask (first, &caps, err);
  const char *arch = caps != NULL ? lv_caps_arch (caps->host_arch) : "amd64";
  ret->arch = hv_strdup (lv->host, arch);
  if (r < 0 || caps == NULL || ret->arch == NULL)
    return r;
  const struct lv_guest *g = lv_caps_guest (caps, arch);
  if (g != NULL && probe_machines (lv, g, ret) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (g != NULL && (lv->use_kvm ? g->has_kvm : g->has_qemu)) /* a pinned accelerator may not be there */
    r = lv_domcaps_ask (first, ret->arch, NULL, &d, err);
  if (r < 0 || d == NULL)
    return r;
  const char *binary = hv_strdup (lv->host, d->emulator != NULL ? d->emulator : "");
  if (binary == NULL || probe_models (lv, d, ret) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (binary[0] != '\0')
    HV_SET (ret, binary, binary);
  return 0;
}

int
lv_probe (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct lv *lv = self;
  struct hv_probe *ret = result;
  (void) call;
  (void) args;
  const struct lv_daemon *first = lv->daemons[0];
  int r = lv_node_wait (lv->daemons[0], err);
  if (r == 0)
    r = probe_capabilities (lv, ret, err);
  if (r < 0)
    return r;
  ret->backend = "libvirt";
  ret->accel = lv->use_kvm ? "kvm" : "tcg";
  const char *version = hv_printf (lv->host, "%lu.%lu.%lu", first->libvirt_version / 1000000, first->libvirt_version / 1000 % 1000,
                                   first->libvirt_version % 1000);
  if (version == NULL || ret->arch == NULL || probe_accels (lv, ret) < 0 || probe_verbs (lv, ret) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  HV_SET (ret, version, version);
  return 0;
}
