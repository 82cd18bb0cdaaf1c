/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What AddressSanitizer and ThreadSanitizer must be told about a change of stack; nothing in other builds. */
#ifndef HV_CORE_CORO_SANITIZER_H
#define HV_CORE_CORO_SANITIZER_H
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HV_CORO_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define HV_CORO_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(HV_CORO_ASAN)
#define HV_CORO_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(HV_CORO_TSAN)
#define HV_CORO_TSAN 1
#endif

/* One stack as the sanitizers see it. */
struct hv_san {
  const void *low;
  size_t size;
  void *fake; /* ASan's stand-in for locals, while this stack is left */
  void *tsan;
};

#ifdef HV_CORO_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HV_CORO_TSAN
#include <sanitizer/tsan_interface.h>
#endif

static inline void
hv_san_new (struct hv_san *s, void *low, size_t size)
{
  *s = (struct hv_san){ .low = low, .size = size };
#ifdef HV_CORO_ASAN
  __asan_unpoison_memory_region (low, size); /* frames of the last user that never returned */
#endif
#ifdef HV_CORO_TSAN
  s->tsan = __tsan_create_fiber (0);
#endif
}

static inline void
hv_san_free (struct hv_san *s)
{
  (void) s;
#ifdef HV_CORO_TSAN
  __tsan_destroy_fiber (s->tsan);
#endif
}

/* Right before leaving `from`. `last`: it is never come back to. */
__attribute__ ((always_inline)) static inline void
hv_san_leave (struct hv_san *from, const struct hv_san *to, int last)
{
  (void) from;
  (void) to;
  (void) last;
#ifdef HV_CORO_ASAN
  __sanitizer_start_switch_fiber (last ? NULL : &from->fake, to->low, to->size);
#endif
#ifdef HV_CORO_TSAN
  __tsan_switch_to_fiber (to->tsan, 0);
#endif
}

/* First thing after arriving on `on`; fills the bounds of the stack that was left if `left` is given. */
__attribute__ ((always_inline)) static inline void
hv_san_arrive (struct hv_san *on, struct hv_san *left)
{
  (void) on;
  (void) left;
#ifdef HV_CORO_ASAN
  __sanitizer_finish_switch_fiber (on->fake, left != NULL ? &left->low : NULL, left != NULL ? &left->size : NULL);
#endif
}

/* The stack of whoever resumes a coroutine, before it does. */
static inline void
hv_san_caller (struct hv_san *s)
{
  (void) s;
#ifdef HV_CORO_TSAN
  s->tsan = __tsan_get_current_fiber ();
#endif
}
#endif
