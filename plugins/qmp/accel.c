/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does KVM run a guest? Opening the device, creating a machine, even running real-mode code all succeed on nodes where every
 * kernel hangs, so a small program runs 64-bit guest code as kernels do, and its word counts. */
#include "qmp.h"
#include <hvkit/kvm.h>
#include <string.h>

char *
qmp_program_beside (const char *name)
{
  return hv_program_beside (&qmp_plugin, name);
}

int
qmp_accel_try (struct qmp *q, uint8_t *ret_works, char **ret_reason, struct hv_err *err)
{
  HV_CLEAN (hv_free)
  char *program = HV_HAS (q->config, kvm_probe) ? strdup (q->config->kvm_probe) : qmp_program_beside ("hvkit-kvm-probe");
  return hv_kvm_try (q->host, program, ret_works, ret_reason, err);
}
