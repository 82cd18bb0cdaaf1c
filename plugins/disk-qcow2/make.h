/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* New images that qemu-img writes, in a child that sees descriptors only: compressed ones, and ones whose blocks are all reserved.
 * They have no name until they are whole. [coro] */
#ifndef HV_QCOW2_MAKE_H
#define HV_QCOW2_MAKE_H
#include "copy.h"
#include "disk-qcow2.h"

struct hv_qcow2_made {
  struct hv_call *call;
  const struct hv_qcow2_target *target;
  uint64_t size_bytes; /* of an empty one */
};

/* What the reader's image shows; `sources` are what it was opened with. */
int hv_qcow2_make_compressed (struct disk_qcow2 *, const struct hv_qcow2_made *, const struct hv_qcow2_reader *,
                              const struct hv_qcow2_source *sources, uint32_t count, struct hv_err *err);
int hv_qcow2_make_preallocated (struct disk_qcow2 *, const struct hv_qcow2_made *, struct hv_err *err);
#endif
