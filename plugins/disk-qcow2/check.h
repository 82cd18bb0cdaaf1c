/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Follows every reference in a qcow2 image and compares the refcounts with what was found, in bounded memory: at most
 * 64 MiB of counters; a larger image is walked several times, a window of its clusters each time. Work comes in steps of
 * bounded size, so that who runs them can report progress and be cancelled in between. Changes nothing. */
#ifndef HV_QCOW2_CHECK_H
#define HV_QCOW2_CHECK_H
#include "image.h"

struct hv_qcow2_check; /* opaque */

#define HV_QCOW2_FINDINGS_MAX 32u

/* `image` has to stay open until the end. RESOURCE_EXHAUSTED: more clusters than 2^28, or no memory. */
int hv_qcow2_check_new (const struct hv_qcow2_image *image, struct hv_qcow2_check **ret, struct hv_err *err);
void hv_qcow2_check_free (struct hv_qcow2_check *);

/* 1: there is more to do; 0: done; else an error, and the check is of no more use. */
int hv_qcow2_check_step (struct hv_qcow2_check *, struct hv_err *);

/* Roughly how far it is, in clusters of the file. */
void hv_qcow2_check_progress (const struct hv_qcow2_check *, uint64_t *ret_done, uint64_t *ret_total);

struct hv_qcow2_findings {
  uint64_t errors, leaked_clusters;
  uint32_t count;
  char text[HV_QCOW2_FINDINGS_MAX][120];
};
const struct hv_qcow2_findings *hv_qcow2_check_findings (const struct hv_qcow2_check *);
#endif
