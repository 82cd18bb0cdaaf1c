/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an architecture has: KubeVirt's emulated machines, and what the devices are called there. */
#ifndef LV_XML_ARCH_H
#define LV_XML_ARCH_H
#include <hvkit/iface/hypervisor.h>

struct lv_arch {
  const char *name, *libvirt_name; /* amd64, x86_64 */
  const char *const *machines;     /* patterns, as KubeVirt allows them by default: "q35*"; NULL-terminated */
  const char *video;               /* model of the display */
  uint8_t acpi, smbios, has_bios;  /* acpi: has it at all; has_bios: boots without EFI */
  const char *default_cpu;         /* what host-model is where it cannot be had; NULL: host-model works */
};
const struct lv_arch *lv_arch_find (const char *name);                 /* Kubernetes' word; NULL: not known */
int lv_arch_has_machine (const struct lv_arch *, const char *machine); /* one of its patterns fits */
/* Architecture, machine type and processor model go together; UNIMPLEMENTED with the field's path and what there is. */
int lv_arch_check (const struct hv_machine *, struct hv_err *);
#endif
