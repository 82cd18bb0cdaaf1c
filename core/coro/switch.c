/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first frame of a new stack, per architecture; where there is no assembly, ucontext does everything (slower: it makes
 * system calls to save the signal mask). */
#include "core/coro/switch.h"
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && !defined(HV_CORO_UCONTEXT)

void hv_switch_start (void);

void *
hv_switch_make (void *low, size_t size, void (*entry) (void *), void *arg)
{
  uint64_t *sp = (uint64_t *) (void *) ((char *) low + size);
  *--sp = 0; /* keeps rsp aligned in hv_switch_start, and ends frame-pointer walks */
  *--sp = 0;
  *--sp = (uint64_t) (uintptr_t) hv_switch_start;
  *--sp = 0;                            /* rbp */
  *--sp = (uint64_t) (uintptr_t) arg;   /* rbx */
  *--sp = (uint64_t) (uintptr_t) entry; /* r12 */
  *--sp = 0;
  *--sp = 0;
  *--sp = 0; /* r15 */
  uint32_t mxcsr;
  uint16_t fcw;
  __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(fcw));
  *--sp = (uint64_t) fcw << 32 | mxcsr;
  return sp;
}

#elif defined(__aarch64__) && !defined(HV_CORO_UCONTEXT)

void hv_switch_start (void);

void *
hv_switch_make (void *low, size_t size, void (*entry) (void *), void *arg)
{
  uint64_t *sp = (uint64_t *) (void *) ((char *) low + size - 176), fpcr;
  memset (sp, 0, 176);
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  sp[0] = (uint64_t) (uintptr_t) arg;
  sp[1] = (uint64_t) (uintptr_t) entry;
  sp[11] = (uint64_t) (uintptr_t) hv_switch_start;
  sp[20] = fpcr;
  return sp;
}

#else
#include <ucontext.h>

struct first {
  ucontext_t context;
  void (*entry) (void *);
  void *arg;
};

/* makecontext passes ints only. */
static void
first_run (unsigned high, unsigned low)
{
  struct first *f = (struct first *) (uintptr_t) ((uint64_t) high << 32 | low);
  f->entry (f->arg);
}

void *
hv_switch_make (void *low, size_t size, void (*entry) (void *), void *arg)
{
  size_t own = (sizeof (struct first) + 63) / 64 * 64;
  struct first *f = (struct first *) (void *) ((char *) low + size - own);
  memset (f, 0, sizeof *f);
  f->entry = entry;
  f->arg = arg;
  (void) getcontext (&f->context);
  f->context.uc_stack.ss_sp = low;
  f->context.uc_stack.ss_size = size - own;
  makecontext (&f->context, (void (*) (void)) (uintptr_t) first_run, 2, (unsigned) ((uint64_t) (uintptr_t) f >> 32),
               (unsigned) (uintptr_t) f);
  return &f->context;
}

/* The context of a stack that is left lives on that stack until somebody switches back. */
void
hv_switch_to (void **ret_save, void *to)
{
  ucontext_t here;
  *ret_save = &here;
  (void) swapcontext (&here, to);
}
#endif
