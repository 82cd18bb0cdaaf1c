/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest sees of an image, into a new image: raw or qcow2, sparse where it is zero; or, as an overlay, where it is what its
 * base has. In steps of bounded
 * size, so that who runs them can report progress and be cancelled in between; until the end the target has no name. For an
 * offload. */
#ifndef HV_QCOW2_COPY_H
#define HV_QCOW2_COPY_H
#include "reader.h"

struct hv_qcow2_copy; /* opaque */

struct hv_qcow2_target {
  const char *path; /* lives until the end */
  int is_qcow2;
  uint64_t cluster_bytes; /* of qcow2 */
  /* qcow2: an overlay of this; NULL: it stands alone */
  struct hv_qcow2_reader *base;
  const char *base_path;
  int base_is_qcow2;
  uint32_t shared; /* layers of the source from this on are the base's own too; 0: none is */
  int replaces;    /* a file of that name is there, and is replaced at the end */
  int has_owner;
  uint32_t owner_uid;
};

/* Borrows the reader. */
int hv_qcow2_copy_new (struct hv_qcow2_reader *, const struct hv_qcow2_target *, struct hv_qcow2_copy **ret, struct hv_err *err);
void hv_qcow2_copy_free (struct hv_qcow2_copy *);                    /* what was not finished is gone */
int hv_qcow2_copy_step (struct hv_qcow2_copy *, struct hv_err *err); /* 1: there is more to do; 0: all is copied */
uint64_t hv_qcow2_copy_done (const struct hv_qcow2_copy *);          /* bytes of the guest's */
/* Durable, and named; in the place of `old_fd`'s file where it replaces one. */
int hv_qcow2_copy_finish (struct hv_qcow2_copy *, int old_fd, struct hv_err *err);
#endif
