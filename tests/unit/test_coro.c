/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/coro/coro.h"
#include "core/coro/sanitizer.h"
#include <execinfo.h>
#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct job {
  struct hv_coro *coro;
  uint64_t sum;
  int id, steps, done;
};

static void
count (void *arg)
{
  struct job *j = arg;
  for (int i = 0; i < j->steps; i++) {
    char text[64];
    (void) snprintf (text, sizeof text, "%d:%d", j->id, i);
    hv_coro_suspend ();
    char again[64];
    (void) snprintf (again, sizeof again, "%d:%d", j->id, i);
    assert_string_equal (text, again);
    assert_ptr_equal (hv_coro_self (), j->coro);
    assert_ptr_equal (hv_coro_local (j->coro), j);
    j->sum += (uint64_t) i;
  }
  j->done = 1;
}

/* Thousands at once, resumed in turn, of different length; each keeps its own locals. */
static void
test_many (void **state)
{
  (void) state;
#ifdef HV_CORO_TSAN
  enum { N = 200 }; /* each costs TSan a megabyte */
#else
  enum { N = 3000 };
#endif
  struct hv_sched *s = hv_sched_new (16);
  struct job *jobs = calloc (N, sizeof *jobs);
  assert_non_null (hv_coro_self () == NULL ? s : NULL);
  for (int i = 0; i < N; i++) {
    jobs[i] = (struct job){ .id = i, .steps = i % 7 };
    jobs[i].coro = hv_coro_new (s, count, &jobs[i]);
    assert_non_null (jobs[i].coro);
    hv_coro_set_local (jobs[i].coro, &jobs[i]);
  }
  assert_int_equal (hv_sched_alive (s), N);
  for (int round = 0; round < 7; round++)
    for (int i = 0; i < N; i++)
      if (!jobs[i].done)
        hv_coro_resume (jobs[i].coro);
  for (int i = 0; i < N; i++) {
    assert_int_equal (jobs[i].done, 1);
    assert_int_equal (jobs[i].sum, (uint64_t) (i % 7) * (uint64_t) (i % 7 - 1) / 2);
  }
  assert_int_equal (hv_sched_alive (s), 0);
  assert_int_equal (hv_sched_stacks (s), 16);
  free (jobs);
  hv_sched_free (s);
}

static void
nothing (void *arg)
{
  ++*(int *) arg;
}

/* One after the other: one stack does. */
static void
test_stack_reuse (void **state)
{
  (void) state;
  struct hv_sched *s = hv_sched_new (2);
  int ran = 0;
  for (int i = 0; i < 10000; i++)
    hv_coro_resume (hv_coro_new (s, nothing, &ran));
  assert_int_equal (ran, 10000);
  assert_int_equal (hv_sched_stacks (s), 1);
  hv_sched_free (s);
}

struct nest {
  struct hv_sched *sched;
  int depth, trail[64], trail_n;
};

static void
nest_run (void *arg)
{
  struct nest *n = arg;
  int depth = n->depth++;
  struct hv_coro *me = hv_coro_self (), *inner = NULL;
  n->trail[n->trail_n++] = depth;
  if (depth < 5) {
    inner = hv_coro_new (n->sched, nest_run, n);
    hv_coro_resume (inner);
  }
  assert_ptr_equal (hv_coro_self (), me);
  hv_coro_suspend ();
  assert_ptr_equal (hv_coro_self (), me);
  if (inner != NULL)
    hv_coro_resume (inner);
  n->trail[n->trail_n++] = 100 + depth;
}

/* A coroutine resumes another; suspend returns to that one, not to the thread. */
static void
test_nested (void **state)
{
  (void) state;
  struct nest n = { .sched = hv_sched_new (8) };
  struct hv_coro *c = hv_coro_new (n.sched, nest_run, &n);
  hv_coro_resume (c);
  assert_null (hv_coro_self ());
  assert_int_equal (n.trail_n, 6);
  assert_int_equal (hv_sched_alive (n.sched), 6);
  hv_coro_resume (c);
  const int want[] = { 0, 1, 2, 3, 4, 5, 105, 104, 103, 102, 101, 100 };
  assert_int_equal (n.trail_n, 12);
  assert_memory_equal (n.trail, want, sizeof want);
  assert_int_equal (hv_sched_alive (n.sched), 0);
  hv_sched_free (n.sched);
}

static void
round_upward (void *arg)
{
  volatile double one = 1.0, three = 3.0;
  (void) fesetround (FE_UPWARD);
  ((double *) arg)[0] = one / three;
  hv_coro_suspend ();
  ((double *) arg)[1] = one / three;
  (void) fesetround (FE_TONEAREST);
}

/* The rounding mode belongs to the stack that set it. */
static void
test_floating_point (void **state)
{
  (void) state;
  struct hv_sched *s = hv_sched_new (1);
  double got[2];
  volatile double one = 1.0, three = 3.0;
  double near = one / three;
  struct hv_coro *c = hv_coro_new (s, round_upward, got);
  hv_coro_resume (c);
  assert_true (one / three == near);
  assert_int_equal (fegetround (), FE_TONEAREST);
  hv_coro_resume (c);
  assert_true (got[0] > near && got[1] == got[0]);
  hv_sched_free (s);
}

#if !defined(HV_CORO_ASAN) && !defined(HV_CORO_TSAN)
static __attribute__ ((noinline)) int
recurse (volatile char *above, int n)
{
  volatile char frame[2000];
  frame[0] = above[0];
  frame[1999] = (char) n;
  return n == 1 << 20 ? 0 : recurse (frame, n + 1) + frame[1999];
}

#else
/* What a runaway stack does, without the sanitizers' own idea of it. */
__attribute__ ((no_sanitize ("address", "thread", "undefined"))) static void
walk_down (volatile char *from)
{
  for (int i = 0; i < 1 << 16; i++)
    from[-(ptrdiff_t) 512 * i] = 1;
}
#endif

static char alternate[64 << 10];
static volatile uintptr_t fault_low, fault_high;

static void
on_fault (int signum, siginfo_t *info, void *context)
{
  (void) context;
  uintptr_t at = (uintptr_t) info->si_addr;
  _exit (signum == SIGSEGV && at >= fault_low && at < fault_high ? 42 : 43);
}

static void
overflow (void *arg)
{
  char here = 1;
  (void) arg;
  fault_high = (uintptr_t) &here;
  fault_low = fault_high - (2u << 20);
#if defined(HV_CORO_ASAN) || defined(HV_CORO_TSAN)
  walk_down (&here);
#else
  (void) recurse (&here, 0);
#endif
  _exit (45);
}

static int
overflow_in_child (void)
{
  pid_t pid = fork ();
  if (pid == 0) {
    stack_t alt = { .ss_sp = alternate, .ss_size = sizeof alternate };
    struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    (void) sigaltstack (&alt, NULL);
    (void) sigaction (SIGSEGV, &act, NULL);
    struct hv_sched *s = hv_sched_new (1);
    struct hv_coro *below = hv_coro_new (s, overflow, NULL); /* a neighbour, to be overwritten if there were no guard */
    hv_coro_resume (below != NULL ? hv_coro_new (s, overflow, NULL) : NULL);
    _exit (44);
  }
  int status = 0;
  assert_int_equal (waitpid (pid, &status, 0), pid);
  return WIFEXITED (status) ? WEXITSTATUS (status) : 256 + WTERMSIG (status);
}

static void
test_overflow_hits_guard (void **state)
{
  (void) state;
  assert_int_equal (overflow_in_child (), 42);
}

static void
unwind (void *arg)
{
  void *frames[64];
  *(int *) arg = backtrace (frames, 64);
}

/* An unwinder stops at the first frame of the coroutine. */
static void
test_backtrace_ends (void **state)
{
  (void) state;
  struct hv_sched *s = hv_sched_new (1);
  int n = 0;
  hv_coro_resume (hv_coro_new (s, unwind, &n));
  assert_in_range (n, 2, 8);
  hv_sched_free (s);
}

static void *
thread_run (void *arg)
{
  for (int i = 0; i < 20; i++)
    test_nested (arg);
  test_many (arg);
  return NULL;
}

/* Every thread has schedulers of its own. */
static void
test_threads (void **state)
{
  pthread_t t[3];
  for (int i = 0; i < 3; i++)
    assert_int_equal (pthread_create (&t[i], NULL, thread_run, state), 0);
  for (int i = 0; i < 3; i++)
    (void) pthread_join (t[i], NULL);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_many),           cmocka_unit_test (test_stack_reuse),         cmocka_unit_test (test_nested),
    cmocka_unit_test (test_floating_point), cmocka_unit_test (test_overflow_hits_guard), cmocka_unit_test (test_backtrace_ends),
    cmocka_unit_test (test_threads),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
