/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "caps.h"
#include "arch.h"
#include "tree.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- capabilities --- */

static int
by_version (const void *a, const void *b)
{
  return strverscmp (*(char *const *) a, *(char *const *) b);
}

static int
read_machines (const xmlNode *arch, struct lv_guest *g)
{
  g->machines = calloc ((size_t) lv_count (arch, "machine") + 1, sizeof *g->machines);
  for (const xmlNode *c = lv_child (arch, "machine"); g->machines != NULL && c != NULL; c = lv_next (c)) {
    g->machines[g->machine_count] = lv_text_of (c);
    if (g->machines[g->machine_count] == NULL)
      return -1;
    g->machine_count++;
  }
  if (g->machines == NULL)
    return -1;
  qsort (g->machines, g->machine_count, sizeof *g->machines, by_version);
  return 0;
}

static int
read_guest (const xmlNode *guest, struct lv_guest *g)
{
  const xmlNode *arch = lv_child (guest, "arch");
  g->arch = lv_attr_of (arch, "name");
  g->emulator = lv_text_of (lv_child (arch, "emulator"));
  for (const xmlNode *c = lv_child (arch, "domain"); c != NULL; c = lv_next (c)) {
    g->has_kvm |= (uint8_t) lv_attr_is (c, "type", "kvm");
    g->has_qemu |= (uint8_t) lv_attr_is (c, "type", "qemu");
  }
  return g->arch != NULL ? read_machines (arch, g) : -1;
}

static int
read_caps (const xmlNode *root, struct lv_caps *c)
{
  c->host_arch = lv_text_of (lv_child (lv_child (lv_child (root, "host"), "cpu"), "arch"));
  c->guests = calloc ((size_t) lv_count (root, "guest") + 1, sizeof *c->guests);
  if (c->host_arch == NULL || c->guests == NULL)
    return -1;
  for (const xmlNode *g = lv_child (root, "guest"); g != NULL; g = lv_next (g))
    if (read_guest (g, &c->guests[c->guest_count++]) < 0)
      return -1;
  return 0;
}

int
lv_caps_read (const char *xml, struct lv_caps **ret, struct hv_err *err)
{
  xmlDocPtr doc = lv_xml_parse (xml, err);
  if (doc == NULL)
    return HV_E_INVALID_ARGUMENT;
  const xmlNode *root = xmlDocGetRootElement (doc);
  HV_CLEAN (lv_caps) struct lv_caps *c = calloc (1, sizeof *c);
  int ok = c != NULL && strcmp ((const char *) root->name, "capabilities") == 0 && read_caps (root, c) == 0;
  xmlFreeDoc (doc);
  if (!ok)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "the XML is no capabilities of libvirt");
  *ret = HV_STEAL (c);
  return 0;
}

void
lv_caps_free (struct lv_caps *c)
{
  for (uint32_t i = 0; c != NULL && i < c->guest_count; i++) {
    for (uint32_t k = 0; k < c->guests[i].machine_count; k++)
      free (c->guests[i].machines[k]);
    free (c->guests[i].machines);
    free (c->guests[i].arch);
    free (c->guests[i].emulator);
  }
  if (c != NULL) {
    free (c->guests);
    free (c->host_arch);
  }
  free (c);
}

const char *
lv_caps_arch (const char *libvirt_name)
{
  static const char *const ours[] = { "amd64", "arm64", "s390x" };
  for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
    if (strcmp (lv_arch_find (ours[i])->libvirt_name, libvirt_name) == 0)
      return ours[i];
  return libvirt_name;
}

const struct lv_guest *
lv_caps_guest (const struct lv_caps *c, const char *arch)
{
  const struct lv_arch *a = lv_arch_find (arch);
  for (uint32_t i = 0; a != NULL && i < c->guest_count; i++)
    if (strcmp (c->guests[i].arch, a->libvirt_name) == 0)
      return &c->guests[i];
  return NULL;
}

/* --- capabilities of domains of a kind --- */

static int
has_mode (const xmlNode *cpu, const char *name)
{
  for (const xmlNode *c = lv_child (cpu, "mode"); c != NULL; c = lv_next (c))
    if (lv_attr_is (c, "name", name))
      return lv_attr_is (c, "supported", "yes");
  return 0;
}

static int
read_models (const xmlNode *cpu, struct lv_domcaps *d)
{
  const xmlNode *mode = lv_child (cpu, "mode");
  while (mode != NULL && !lv_attr_is (mode, "name", "custom"))
    mode = lv_next (mode);
  d->models = calloc ((size_t) lv_count (mode, "model") + 1, sizeof *d->models);
  for (const xmlNode *c = lv_child (mode, "model"); d->models != NULL && c != NULL; c = lv_next (c)) {
    d->models[d->model_count] = (struct lv_model){ lv_text_of (c), !lv_attr_is (c, "usable", "no") };
    if (d->models[d->model_count].name == NULL)
      return -1;
    d->model_count++;
  }
  return d->models != NULL ? 0 : -1;
}

static int
read_domcaps (const xmlNode *root, struct lv_domcaps *d)
{
  const xmlNode *cpu = lv_child (root, "cpu");
  HV_CLEAN (hv_free) char *max = lv_attr_of (lv_child (root, "vcpu"), "max");
  unsigned long n = max != NULL ? strtoul (max, NULL, 10) : 0;
  d->max_vcpus = n <= UINT32_MAX ? (uint32_t) n : UINT32_MAX;
  d->emulator = lv_text_of (lv_child (root, "path"));
  d->host_passthrough = (uint8_t) has_mode (cpu, "host-passthrough");
  d->host_model = (uint8_t) has_mode (cpu, "host-model");
  d->maximum = (uint8_t) has_mode (cpu, "maximum");
  d->custom = (uint8_t) has_mode (cpu, "custom");
  return read_models (cpu, d);
}

int
lv_domcaps_read (const char *xml, struct lv_domcaps **ret, struct hv_err *err)
{
  xmlDocPtr doc = lv_xml_parse (xml, err);
  if (doc == NULL)
    return HV_E_INVALID_ARGUMENT;
  const xmlNode *root = xmlDocGetRootElement (doc);
  HV_CLEAN (lv_domcaps) struct lv_domcaps *d = calloc (1, sizeof *d);
  int ok = d != NULL && strcmp ((const char *) root->name, "domainCapabilities") == 0 && read_domcaps (root, d) == 0;
  xmlFreeDoc (doc);
  if (!ok)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "the XML is no capabilities of domains");
  *ret = HV_STEAL (d);
  return 0;
}

void
lv_domcaps_free (struct lv_domcaps *d)
{
  for (uint32_t i = 0; d != NULL && i < d->model_count; i++)
    free (d->models[i].name);
  if (d != NULL) {
    free (d->models);
    free (d->emulator);
  }
  free (d);
}

/* --- is a machine among them? --- */

struct listing {
  char text[400];
  size_t size;
};

/* What does not fit is left out, and that is seen. */
static void
list_add (struct listing *l, const char *word)
{
  size_t n = strlen (word);
  if (l->size + n + 8 < sizeof l->text)
    l->size += (size_t) snprintf (l->text + l->size, sizeof l->text - l->size, "%s%s", l->size > 0 ? ", " : "", word);
  else if (l->size > 0 && l->text[l->size - 1] != '.')
    l->size += (size_t) snprintf (l->text + l->size, sizeof l->text - l->size, ", ...");
}

static int
refuse_arch (const struct lv_caps *c, const struct hv_machine *m, struct hv_err *err)
{
  struct listing l = { .size = 0 };
  for (uint32_t i = 0; i < c->guest_count; i++)
    list_add (&l, lv_caps_arch (c->guests[i].arch));
  return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.arch '%s': libvirt has no emulator for it here; it has %s", m->arch,
                     l.size > 0 ? l.text : "none");
}

/* The newest first, as one of them is most likely meant; of those that can be asked for at all. */
static int
refuse_machine (const struct lv_guest *g, const struct hv_machine *m, struct hv_err *err)
{
  struct listing l = { .size = 0 };
  for (uint32_t i = g->machine_count; i > 0; i--)
    if (lv_arch_has_machine (lv_arch_find (m->arch), g->machines[i - 1]))
      list_add (&l, g->machines[i - 1]);
  return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.machine '%s': libvirt has no such type here; it has %s", m->machine,
                     l.size > 0 ? l.text : "none");
}

int
lv_caps_check (const struct lv_caps *c, const struct hv_machine *m, const char *type, struct hv_err *err)
{
  const struct lv_guest *g = lv_caps_guest (c, m->arch);
  if (g == NULL)
    return refuse_arch (c, m, err);
  if (strcmp (type, "kvm") == 0 ? !g->has_kvm : !g->has_qemu)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "machine.arch '%s': libvirt %s for it here", m->arch,
                       g->has_kvm ? "has KVM only" : "has no KVM");
  for (uint32_t i = 0; i < g->machine_count; i++)
    if (strcmp (g->machines[i], m->machine) == 0)
      return 0;
  return refuse_machine (g, m, err);
}

static int
refuse_model (const struct lv_domcaps *d, const char *model, const char *why, struct hv_err *err)
{
  struct listing l = { .size = 0 };
  for (uint32_t i = 0; i < d->model_count; i++)
    if (d->models[i].usable)
      list_add (&l, d->models[i].name);
  return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.cpu.model '%s': %s; usable are %s", model, why,
                     l.size > 0 ? l.text : "none");
}

/* Whether the processor lacks something is asked for KVM only: an emulated one is libvirt's to compare. */
static int
check_model (const struct lv_domcaps *d, const char *model, const char *type, struct hv_err *err)
{
  for (uint32_t i = 0; i < d->model_count; i++)
    if (strcmp (d->models[i].name, model) == 0)
      return d->models[i].usable || strcmp (type, "kvm") != 0
                 ? 0
                 : refuse_model (d, model, "this node's processor lacks some of its features", err);
  return refuse_model (d, model, "libvirt does not know it here", err);
}

int
lv_domcaps_check (const struct lv_domcaps *d, const struct hv_machine *m, const char *type, struct hv_err *err)
{
  const struct {
    const char *model;
    uint8_t there;
  } modes[] = { { "host-passthrough", d->host_passthrough }, { "host-model", d->host_model }, { "max", d->maximum } };
  uint64_t vcpus = (uint64_t) (HV_HAS (&m->cpu, max_sockets) ? m->cpu.max_sockets : m->cpu.sockets) * m->cpu.cores * m->cpu.threads;
  if (d->max_vcpus > 0 && vcpus > d->max_vcpus)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.cpu: %" PRIu64 " virtual CPUs; machine type '%s' takes %" PRIu32 " here",
                       vcpus, m->machine, d->max_vcpus);
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
    if (strcmp (modes[i].model, m->cpu.model) == 0)
      return modes[i].there ? 0 : refuse_model (d, m->cpu.model, "libvirt does not have it here", err);
  return check_model (d, m->cpu.model, type, err);
}
