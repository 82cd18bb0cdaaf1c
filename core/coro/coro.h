/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/coro: stackful coroutines. All switching of stacks in the project happens in this folder.
 *
 * Each thread that runs coroutines has a scheduler (hv_sched) with a pool of stacks: 256 KiB with a guard page below,
 * 1 MiB under AddressSanitizer; sanitizer fibre annotations (ASan, TSan) are in place. A coroutine runs until it
 * suspends or returns; whoever resumed it continues then. Nothing here knows about loops: core/bus combines the two. */
#ifndef HV_CORE_CORO_H
#define HV_CORE_CORO_H
#include <stddef.h>
#include <stdint.h>

struct hv_sched;
struct hv_coro;

/* `keep` idle stacks stay mapped (their pages are given back with MADV_DONTNEED beyond a few). */
struct hv_sched *hv_sched_new (uint32_t keep);
void hv_sched_free (struct hv_sched *); /* no coroutine may be alive */

/* Creates a coroutine, not running yet. NULL when out of memory. It frees itself when fn returns. */
struct hv_coro *hv_coro_new (struct hv_sched *, void (*fn) (void *arg), void *arg);
/* Switches to it until it suspends or returns. From the scheduler's thread, from outside or from another coroutine. */
void hv_coro_resume (struct hv_coro *);
/* Switches back to whoever resumed the running coroutine. Only inside one. */
void hv_coro_suspend (void);
/* The running coroutine of this thread, or NULL. */
struct hv_coro *hv_coro_self (void);
/* One pointer of the owner's, per coroutine. */
void hv_coro_set_local (struct hv_coro *, void *);
void *hv_coro_local (const struct hv_coro *);
uint32_t hv_sched_alive (const struct hv_sched *);  /* coroutines that have not returned */
uint32_t hv_sched_stacks (const struct hv_sched *); /* stacks mapped, in use or pooled */
#endif
