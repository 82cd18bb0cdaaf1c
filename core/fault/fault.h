/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/fault: durable steps, and dying at them on purpose. Only in builds with -DHV_FAULTS=ON; in every other build the
 * functions do nothing and the environment is not looked at.
 *
 *   HVKIT_FAULT_LOG=FILE     every step is appended to it, a line "NAME" each, in order
 *   HVKIT_FAULT_KILL=NAME:N  SIGKILL to ourselves at the Nth time (from 1) that this step is reached; NAME may be "*"
 *   HVKIT_FAULT_FULL=N       the Nth document that is written finds no space; N+: nor does any after it
 *   HVKIT_FAULT_BREAK=NAME   hv_fault_broken (NAME) is true: a build that does wrong, for tests that have to notice it */
#ifndef HV_CORE_FAULT_H
#define HV_CORE_FAULT_H
#include <stdint.h>

/* The step `name` of `who` (may be NULL) is reached: "who/name". Any thread. */
void hv_fault_step (const char *who, const char *name);
int hv_fault_broken (const char *name);
int hv_fault_full (void); /* called once for every document that is written */
#endif
