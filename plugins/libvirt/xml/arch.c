/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arch.h"
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

static const struct lv_arch archs[] = {
  { "amd64", "x86_64", (const char *const[]){ "q35", "pc-q35*", NULL }, "vga", 1, 1, 1, NULL },
  { "arm64", "aarch64", (const char *const[]){ "virt", "virt-*", NULL }, "virtio", 1, 1, 0, NULL },
  { "s390x", "s390x", (const char *const[]){ "s390-ccw-virtio", "s390-ccw-virtio-*", NULL }, "virtio", 0, 0, 1, NULL },
};
#define ARCHS (sizeof archs / sizeof archs[0])

const struct lv_arch *
lv_arch_find (const char *name)
{
  for (size_t i = 0; i < ARCHS; i++)
    if (strcmp (archs[i].name, name) == 0)
      return &archs[i];
  return NULL;
}

int
lv_arch_has_machine (const struct lv_arch *a, const char *machine)
{
  for (const char *const *m = a->machines; *m != NULL; m++)
    if (fnmatch (*m, machine, 0) == 0)
      return 1;
  return 0;
}

static void
list_machines (const struct lv_arch *a, char *ret, size_t size)
{
  size_t n = 0;
  ret[0] = '\0';
  for (const char *const *m = a->machines; *m != NULL && n < size; m++)
    n += (size_t) snprintf (ret + n, size - n, "%s%s", m == a->machines ? "" : ", ", *m);
}

static int
check_cpu (const struct lv_arch *a, const struct hv_machine *m, struct hv_err *err)
{
  if (strcmp (a->name, "arm64") == 0 && strcmp (m->cpu.model, "host-model") == 0)
    return hv_err_set (err, HV_E_UNIMPLEMENTED,
                       "machine.cpu.model 'host-model': not on arm64; use host-passthrough, max or a model's name");
  return 0;
}

int
lv_arch_check (const struct hv_machine *m, struct hv_err *err)
{
  const struct lv_arch *a = lv_arch_find (m->arch);
  char machines[128];
  if (a == NULL)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.arch '%s': one of amd64, arm64, s390x", m->arch);
  list_machines (a, machines, sizeof machines);
  if (!lv_arch_has_machine (a, m->machine))
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.machine '%s': on %s there is %s", m->machine, a->name, machines);
  if (strcmp (m->firmware, "bios") == 0 && !a->has_bios)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.firmware 'bios': %s boots with efi", a->name);
  return check_cpu (a, m, err);
}
