/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kubernetes quantities ("4Gi", "500m", "1.5G", "1e3"), exactly. Pure functions, any thread. */
#ifndef VMI_QUANTITY_H
#define VMI_QUANTITY_H
#include <hvkit/err.h>

/* The value in whole units, fractions rounded up as Kubernetes does: "1.5Gi" is 1610612736, "500m" is 1. INVALID_ARGUMENT:
 * not a quantity, or negative; OUT_OF_RANGE: does not fit 64 bits. */
int vmi_quantity (const char *text, uint64_t *ret, struct hv_err *);
/* The same in thousandths: "500m" is 500, "2" is 2000. */
int vmi_quantity_milli (const char *text, uint64_t *ret, struct hv_err *);

#define VMI_QUANTITY_TEXT 32u
/* The canonical text of a number of bytes: the largest binary suffix that leaves no fraction. */
void vmi_quantity_text (uint64_t bytes, char ret[VMI_QUANTITY_TEXT]);
#endif
