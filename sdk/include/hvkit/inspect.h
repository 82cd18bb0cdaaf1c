/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk/1's inspect, for any format: the partition table and the file systems of a guest's disk, as sfdisk and blkid see them in a
 * child of their own (tool.h). In libhvkit-plugin. */
#ifndef HVKIT_INSPECT_H
#define HVKIT_INSPECT_H
#include <hvkit/iface/disk.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_INSPECT_CONFIG(F, T) \
  F (T, STR, _, sfdisk, HV_PATH, "program that reads partition tables", .def = "/usr/sbin/sfdisk", .max = 4096) \
  F (T, STR, _, blkid, HV_PATH, "program that knows file systems", .def = "/usr/sbin/blkid", .max = 4096)

struct hv_inspect {
  struct hv_host *host;
  struct hv_call *call;
  const char *sfdisk, *blkid;
  int32_t fd;          /* what the guest sees, from its first byte on; read only */
  uint64_t size_bytes; /* of it */
  /* [coro] Sees to it that a range can be read from `fd`, where not all of it is there from the beginning. NULL: all is. */
  int (*fill) (void *arg, uint64_t offset, uint64_t n, struct hv_err *err);
  void *arg;
};

/* [coro] Fills all but `path`. The strings are the call's. */
int hv_inspect_run (const struct hv_inspect *, struct hv_disk_inspect_result *ret, struct hv_err *err);

#ifdef __cplusplus
}
#endif
#endif
