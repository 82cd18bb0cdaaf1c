/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/coro/coro.h"
#include "core/coro/sanitizer.h"
#include "core/coro/switch.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Sanitizers make frames several times larger. */
#if defined(HV_CORO_ASAN) || defined(HV_CORO_TSAN)
#define STACK_BYTES ((size_t) 1 << 20)
#else
#define STACK_BYTES ((size_t) 256 << 10)
#endif
/* Wider than a page, so that a frame with a large buffer cannot step over it; address space only. */
#define GUARD_BYTES ((size_t) 64 << 10)
/* Idle stacks that keep their pages: the ones that are taken next. */
#define WARM 4u

/* Lies at the top of its own stack. */
struct hv_coro {
  struct hv_sched *sched;
  struct hv_coro *resumer; /* coroutine that resumed this one; NULL: the thread's own stack */
  void *context, *resumer_context;
  void (*fn) (void *);
  void *arg, *local;
  uint8_t running, done;
  struct hv_san san, resumer_san;
};

/* An idle stack; lies where the coroutine was. */
struct idle {
  struct idle *next;
};

struct hv_sched {
  struct idle *idle;
  uint32_t idle_count, keep, alive, stacks;
};

#define HEAD_BYTES ((sizeof (struct hv_coro) + 63) / 64 * 64)

static _Thread_local struct hv_coro *self;

static char *
stack_of (void *head)
{
  return (char *) head + HEAD_BYTES - STACK_BYTES;
}

static void *
stack_map (void)
{
  char *low = mmap (NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (low == MAP_FAILED)
    return NULL;
  if (mprotect (low, GUARD_BYTES, PROT_NONE) < 0) {
    (void) munmap (low, GUARD_BYTES + STACK_BYTES);
    return NULL;
  }
  return low + GUARD_BYTES + STACK_BYTES - HEAD_BYTES;
}

static void
stack_unmap (void *head)
{
  char *low = stack_of (head);
#ifdef HV_CORO_ASAN
  __asan_unpoison_memory_region (low, STACK_BYTES);
#endif
  (void) munmap (low - GUARD_BYTES, GUARD_BYTES + STACK_BYTES);
}

/* The last one that became idle is the warmest. */
static void *
stack_take (struct hv_sched *s)
{
  struct idle *i = s->idle;
  if (i == NULL) {
    void *head = stack_map ();
    s->stacks += head != NULL;
    return head;
  }
  s->idle = i->next;
  s->idle_count--;
  return i;
}

static void
stack_give (struct hv_sched *s, void *head)
{
  if (s->idle_count >= s->keep) {
    stack_unmap (head);
    s->stacks--;
    return;
  }
  if (s->idle_count >= WARM) {
    /* All but the pages at the top, which every coroutine touches. */
    size_t page = (size_t) sysconf (_SC_PAGESIZE);
    (void) madvise (stack_of (head), STACK_BYTES - 2 * page, MADV_DONTNEED);
  }
  struct idle *i = head;
  i->next = s->idle;
  s->idle = i;
  s->idle_count++;
}

struct hv_sched *
hv_sched_new (uint32_t keep)
{
  struct hv_sched *s = calloc (1, sizeof *s);
  if (s != NULL)
    s->keep = keep;
  return s;
}

void
hv_sched_free (struct hv_sched *s)
{
  while (s != NULL && s->idle != NULL)
    stack_unmap (stack_take (s));
  free (s);
}

static void
coro_entry (void *arg)
{
  struct hv_coro *c = arg;
  hv_san_arrive (&c->san, &c->resumer_san);
  c->fn (c->arg);
  c->done = 1;
  hv_san_leave (&c->san, &c->resumer_san, 1);
  hv_switch_to (&c->context, c->resumer_context);
  abort (); /* not reached: nobody resumes what is done */
}

struct hv_coro *
hv_coro_new (struct hv_sched *s, void (*fn) (void *arg), void *arg)
{
  struct hv_coro *c = stack_take (s);
  if (c == NULL)
    return NULL;
  *c = (struct hv_coro){ .sched = s, .fn = fn, .arg = arg };
  hv_san_new (&c->san, stack_of (c), STACK_BYTES);
  c->context = hv_switch_make (stack_of (c), STACK_BYTES - HEAD_BYTES, coro_entry, c);
  s->alive++;
  return c;
}

static void
coro_free (struct hv_coro *c)
{
  struct hv_sched *s = c->sched;
  s->alive--;
  hv_san_free (&c->san);
  stack_give (s, c);
}

void
hv_coro_resume (struct hv_coro *c)
{
  if (c->running)
    abort (); /* itself, or one that waits for it to suspend */
  struct hv_san here = { 0 };
  c->resumer = self;
  c->running = 1;
  hv_san_caller (&c->resumer_san);
  self = c;
  hv_san_leave (&here, &c->san, 0);
  hv_switch_to (&c->resumer_context, c->context);
  hv_san_arrive (&here, NULL);
  self = c->resumer;
  c->running = 0;
  if (c->done)
    coro_free (c);
}

void
hv_coro_suspend (void)
{
  struct hv_coro *c = self;
  hv_san_leave (&c->san, &c->resumer_san, 0);
  hv_switch_to (&c->context, c->resumer_context);
  hv_san_arrive (&c->san, &c->resumer_san);
}

struct hv_coro *
hv_coro_self (void)
{
  return self;
}

void
hv_coro_set_local (struct hv_coro *c, void *local)
{
  c->local = local;
}

void *
hv_coro_local (const struct hv_coro *c)
{
  return c->local;
}

uint32_t
hv_sched_alive (const struct hv_sched *s)
{
  return s->alive;
}

uint32_t
hv_sched_stacks (const struct hv_sched *s)
{
  return s->stacks;
}
