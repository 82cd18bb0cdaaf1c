/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a VM costs its node beyond the guest's own memory, by KubeVirt's formula (pkg/virt-controller/services/renderresources.go,
 * GetMemoryOverhead, of v1.2.2, and its constants of other versions). Pure functions, any thread. */
#ifndef VMI_OVERHEAD_H
#define VMI_OVERHEAD_H
#include "spec.h"

#define VMI_OVERHEAD_VERSION "1.2.2" /* whose figures count here unless others are asked for */

/* All in bytes. */
struct vmi_overhead {
  uint64_t request;   /* what is asked for the guest: requests.memory, else what the guest sees */
  uint64_t pagetable; /* a 512th of it */
  uint64_t processes; /* KubeVirt's own, and QEMU's */
  uint64_t vcpus, io_thread, video, architecture, guaranteed;
  uint64_t overhead; /* all but the request */
};

/* `spec` has its defaults. `version` is of KubeVirt: "1.2.2", "v1.5", "main". */
int vmi_overhead (const struct vmi_spec *, const char *version, struct vmi_overhead *ret, struct hv_err *);
#endif
