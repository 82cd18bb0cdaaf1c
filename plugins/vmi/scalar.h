/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a plain YAML scalar means by the core schema of YAML 1.2. */
#ifndef VMI_SCALAR_H
#define VMI_SCALAR_H
#include <hvkit/msg.h>

/* null, ~ and nothing at all. */
int vmi_scalar_is_null (const char *text);
/* Packs null, true, false, a whole number, a number with a fraction, or else the text. 0: a number that no type holds. */
int vmi_scalar_pack (const char *text, struct hv_pack *);
#endif
