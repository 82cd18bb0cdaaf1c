/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt says that it can do: its capabilities (architectures, machine types, accelerators), and the capabilities of domains
 * of one kind (processors). And whether a machine can be among them. Any thread; no state. */
#ifndef LV_XML_CAPS_H
#define LV_XML_CAPS_H
#include <hvkit/iface/hypervisor.h>

struct lv_guest {
  char *arch, *emulator; /* libvirt's word; emulator may be NULL */
  char **machines;       /* sorted, versions as numbers: the newest last */
  uint32_t machine_count;
  uint8_t has_kvm, has_qemu;
};
struct lv_caps {
  char *host_arch; /* libvirt's word */
  struct lv_guest *guests;
  uint32_t guest_count;
};
/* INVALID_ARGUMENT for what is no such document, RESOURCE_EXHAUSTED. The caller owns *ret. */
int lv_caps_read (const char *xml, struct lv_caps **ret, struct hv_err *);
void lv_caps_free (struct lv_caps *);                                            /* NULL is fine */
const struct lv_guest *lv_caps_guest (const struct lv_caps *, const char *arch); /* Kubernetes' word; NULL: has no emulator */
/* Kubernetes' word for what libvirt calls an architecture; the same word where it is none of ours. */
const char *lv_caps_arch (const char *libvirt_name);

struct lv_model {
  char *name;
  uint8_t usable; /* on this node's processor, or emulated */
};
struct lv_domcaps {
  char *emulator;
  uint32_t max_vcpus;                                    /* 0: not said */
  uint8_t host_passthrough, host_model, maximum, custom; /* modes that there are */
  struct lv_model *models;
  uint32_t model_count;
};
int lv_domcaps_read (const char *xml, struct lv_domcaps **ret, struct hv_err *);
void lv_domcaps_free (struct lv_domcaps *);

/* `type`: kvm or qemu. UNIMPLEMENTED or FAILED_PRECONDITION with the field's path and what there is. */
int lv_caps_check (const struct lv_caps *, const struct hv_machine *, const char *type, struct hv_err *);
int lv_domcaps_check (const struct lv_domcaps *, const struct hv_machine *, const char *type, struct hv_err *);
HV_CLEAN_DEFINE (lv_caps, struct lv_caps, lv_caps_free)
HV_CLEAN_DEFINE (lv_domcaps, struct lv_domcaps, lv_domcaps_free)
#endif
