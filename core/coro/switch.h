/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine-dependent part of core/coro: one way to leave a stack and continue on another. */
#ifndef HV_CORE_CORO_SWITCH_H
#define HV_CORE_CORO_SWITCH_H
#include <stddef.h>

/* Prepares the stack [low, low + size) so that the first switch to the returned context calls entry (arg), which must not
 * return. size is a multiple of 16, low is page-aligned. */
void *hv_switch_make (void *low, size_t size, void (*entry) (void *), void *arg);

/* Leaves the current stack, writes its context to *ret_save, and continues in `to`. Keeps what the ABI says a callee keeps. */
void hv_switch_to (void **ret_save, void *to);
#endif
