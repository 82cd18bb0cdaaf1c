/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loops: tasks from other threads in order, deadlines against a model, timers and watches that free themselves, the pool, processes. */
#include "core/err/err.h"
#include "core/loop/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

static struct hv_loop *loop;
static struct hv_err *err;

static int
setup (void **state)
{
  (void) state;
  err = hv_error_new ();
  loop = hv_loop_new ("test", err);
  return loop != NULL ? 0 : -1;
}

static int
teardown (void **state)
{
  (void) state;
  hv_loop_free (loop);
  hv_err_free (err);
  return 0;
}

/* --- tasks --- */

enum { POSTERS = 4, POSTS = 25000 };
struct numbered {
  struct hv_task task;
  int poster, number;
};
static struct numbered numbered[POSTERS][POSTS];
static int next_of[POSTERS], arrived, all_arrived;

static void
numbered_run (struct hv_task *t)
{
  struct numbered *n = (struct numbered *) (void *) t;
  assert_int_equal (n->number, next_of[n->poster]++);
  if (++arrived == POSTERS * POSTS)
    all_arrived = 1;
}

static void *
poster_main (void *arg)
{
  struct numbered *mine = arg;
  for (int i = 0; i < POSTS; i++)
    hv_loop_post (loop, &mine[i].task);
  return NULL;
}

static void
test_posts_of_four_threads_in_order (void **state)
{
  pthread_t threads[POSTERS];
  (void) state;
  for (int p = 0; p < POSTERS; p++)
    for (int i = 0; i < POSTS; i++)
      numbered[p][i] = (struct numbered){ { NULL, numbered_run }, p, i };
  for (int p = 0; p < POSTERS; p++)
    assert_int_equal (pthread_create (&threads[p], NULL, poster_main, numbered[p]), 0);
  assert_true (hv_loop_run_until (loop, &all_arrived, 30000));
  for (int p = 0; p < POSTERS; p++)
    (void) pthread_join (threads[p], NULL);
}

static int chain_done;
static struct hv_task chain[3];

static void
chain_run (struct hv_task *t)
{
  if (t == &chain[2])
    chain_done = 1;
  else
    hv_loop_post (loop, t + 1); /* from the loop's own thread: no wake-up, and yet it runs before the loop blocks */
}

static void
test_own_posts_run_before_blocking (void **state)
{
  (void) state;
  for (int i = 0; i < 3; i++)
    chain[i].fn = chain_run;
  hv_loop_post (loop, &chain[0]);
  assert_true (hv_loop_run_until (loop, &chain_done, 5000));
}

/* --- deadlines --- */

enum { DEADLINES = 500 };
static struct hv_deadline deadlines[DEADLINES];
static uint64_t last_fired;
static int fired, armed_count;

static void
deadline_fired (struct hv_deadline *d)
{
  assert_true (d->at_ms >= last_fired); /* in order */
  assert_int_equal (d->index, 0);
  last_fired = d->at_ms;
  fired++;
}

static void
test_deadlines_against_a_model (void **state)
{
  uint64_t base = hv_loop_now_ms () + 5;
  unsigned seed = 12345;
  int armed[DEADLINES] = { 0 };
  (void) state;
  for (int i = 0; i < DEADLINES; i++)
    deadlines[i] = (struct hv_deadline){ .fn = deadline_fired };
  for (int step = 0; step < 20000; step++) {
    seed = seed * 1103515245u + 12345u;
    int i = (int) (seed >> 16) % DEADLINES;
    if ((seed >> 8) % 3 == 0) {
      hv_loop_deadline_disarm (loop, &deadlines[i]);
      armed[i] = 0;
    } else {
      assert_int_equal (hv_loop_deadline_arm (loop, &deadlines[i], base + (seed >> 20) % 50), 0);
      armed[i] = 1;
    }
    assert_int_equal (deadlines[i].index != 0, armed[i]);
  }
  for (int i = 0; i < DEADLINES; i++)
    armed_count += armed[i];
  const int never = 0;
  for (int i = 0; i < 1000 && fired < armed_count; i++)
    (void) hv_loop_run_until (loop, &never, 5);
  assert_int_equal (fired, armed_count);
}

/* --- timers and watches --- */

static struct hv_loop_timer *timer;
static struct hv_loop_watch *watch;
static int timer_count, self_freed;

static void
timer_frees_itself (void *arg)
{
  (void) arg;
  if (++timer_count == 3) {
    hv_loop_timer_free (timer);
    self_freed = 1;
  }
}

static void
test_a_timer_frees_itself (void **state)
{
  (void) state;
  timer = hv_loop_timer_new (loop, timer_frees_itself, NULL);
  hv_loop_timer_set (timer, 1, 1);
  assert_true (hv_loop_run_until (loop, &self_freed, 5000));
  assert_int_equal (timer_count, 3);
  hv_loop_timer_free (NULL);
}

static int watch_freed;
static uint32_t watch_got;

static void
watch_frees_itself (void *arg, uint32_t ready)
{
  (void) arg;
  watch_got = ready;
  hv_loop_watch_free (watch);
  watch_freed = 1;
}

static void
test_a_watch_frees_itself (void **state)
{
  int ends[2];
  const int never = 0;
  (void) state;
  assert_int_equal (pipe2 (ends, O_CLOEXEC), 0);
  watch = hv_loop_watch_new (loop, ends[0], 0, watch_frees_itself, NULL);
  assert_int_equal (write (ends[1], "x", 1), 1);
  (void) hv_loop_run_until (loop, &never, 20);
  assert_false (watch_freed); /* paused */
  hv_loop_watch_set (watch, HV_WAIT_READ);
  assert_true (hv_loop_run_until (loop, &watch_freed, 5000));
  assert_int_equal (watch_got, HV_WAIT_READ);
  (void) close (ends[0]);
  (void) close (ends[1]);
}

/* --- pool --- */

struct job {
  struct hv_pool_job job;
  int *done_count;
  pthread_barrier_t *barrier;
  int ran;
};

static void
job_run (struct hv_pool_job *j)
{
  struct job *x = (struct job *) (void *) j;
  if (x->barrier != NULL)
    (void) pthread_barrier_wait (x->barrier);
  x->ran = 1;
}

static void
job_done (struct hv_task *t)
{
  struct job *x = (struct job *) (void *) ((char *) t - offsetof (struct job, job.done));
  assert_true (hv_loop_is_current (loop));
  assert_int_equal (x->ran, 1);
  (*x->done_count)++;
}

static void
run_jobs (struct hv_pool *pool, struct job *jobs, int n, pthread_barrier_t *barrier, uint32_t last_flags)
{
  static int count;
  const int never = 0;
  count = 0;
  for (int i = 0; i < n; i++) {
    jobs[i] = (struct job){ .job = { .done.fn = job_done, .fn = job_run, .loop = loop }, .done_count = &count, .barrier = barrier };
    hv_pool_submit (pool, &jobs[i].job, i == n - 1 ? last_flags : 0);
  }
  for (int i = 0; i < 1000 && count < n; i++)
    (void) hv_loop_run_until (loop, &never, 5);
  assert_int_equal (count, n);
}

/* A barrier of as many as the pool has threads opens only if they really run side by side; one more only through the reserved one. */
static void
test_pool_runs_side_by_side_and_reserves_one (void **state)
{
  struct job jobs[300];
  pthread_barrier_t four, five;
  (void) state;
  struct hv_pool *pool = hv_pool_new ("test", 4);
  run_jobs (pool, jobs, 300, NULL, 0);
  assert_int_equal (pthread_barrier_init (&four, NULL, 4), 0);
  run_jobs (pool, jobs, 4, &four, 0);
  assert_int_equal (pthread_barrier_init (&five, NULL, 5), 0);
  run_jobs (pool, jobs, 5, &five, HV_OFFLOAD_RESERVED);
  (void) pthread_barrier_destroy (&four);
  (void) pthread_barrier_destroy (&five);
  assert_int_equal (hv_pool_free (pool, 5000), 0);
}

static void
test_pool_counts_what_never_returns (void **state)
{
  struct job *stuck = calloc (1, sizeof *stuck); /* leaked on purpose with its thread, until the barrier opens */
  static pthread_barrier_t barrier;
  static int count;
  const int never = 0;
  (void) state;
  assert_int_equal (pthread_barrier_init (&barrier, NULL, 2), 0);
  struct hv_pool *pool = hv_pool_new ("stuck", 1);
  *stuck = (struct job){ .job = { .done.fn = job_done, .fn = job_run, .loop = loop }, .done_count = &count, .barrier = &barrier };
  hv_pool_submit (pool, &stuck->job, 0);
  (void) hv_loop_run_until (loop, &never, 20);
  assert_int_equal (hv_pool_free (pool, 20), 1);
  (void) pthread_barrier_wait (&barrier);
  for (int i = 0; i < 1000 && count == 0; i++)
    (void) hv_loop_run_until (loop, &never, 5);
  assert_int_equal (count, 1);
  free (stuck);
}

/* --- processes --- */

/* Runs a shell command; returns what it wrote to its standard output. */
static char *
shell (const char *command, const struct hv_spawn *more, int *ret_status)
{
  static char out[8192];
  const char *argv[] = { "/bin/sh", "-c", command, NULL };
  struct hv_spawn s = more != NULL ? *more : (struct hv_spawn){ .stdin_fd = -1, .stderr_fd = -1 };
  int ends[2], status = 0;
  int32_t pid, pidfd;
  size_t n = 0;
  assert_int_equal (pipe2 (ends, O_CLOEXEC), 0);
  s.struct_size = sizeof s;
  s.argv = argv;
  s.stdout_fd = ends[1];
  assert_int_equal (hv_spawn_process (&s, &pid, &pidfd, err), 0);
  (void) close (ends[1]);
  for (ssize_t k; (k = read (ends[0], out + n, sizeof out - 1 - n)) > 0;)
    n += (size_t) k;
  out[n] = '\0';
  (void) close (ends[0]);
  assert_int_equal (waitpid (pid, &status, 0), pid);
  (void) close (pidfd);
  if (ret_status != NULL)
    *ret_status = status;
  return out;
}

static void
test_a_child_has_what_it_was_given_and_nothing_else (void **state)
{
  int secret = open ("/dev/zero", O_RDONLY); /* not even close-on-exec */
  int given = open ("/proc/self/status", O_RDONLY | O_CLOEXEC), status = 0;
  const int32_t fds[] = { given };
  struct hv_spawn s = { .stdin_fd = -1, .stderr_fd = -1, .fds = fds, .fd_count = 1 };
  (void) state;
  assert_true (secret >= 0 && given >= 0);
  assert_string_equal (shell ("for f in /proc/$$/fd/*; do [ -e $f ] && echo ${f##*/}; done", &s, &status), "0\n1\n2\n3\n");
  assert_true (WIFEXITED (status));
  assert_non_null (strstr (shell ("readlink /proc/$$/fd/3", &s, NULL), "/status"));
  assert_string_equal (shell ("readlink /proc/$$/fd/0 /proc/$$/fd/2", &s, NULL), "/dev/null\n/dev/null\n");
  assert_non_null (strstr (shell ("env", NULL, NULL), "LANG=C"));
  assert_null (strstr (shell ("env", NULL, NULL), "HOME="));
  assert_string_equal (shell ("pwd", NULL, NULL), "/\n");
  (void) close (secret);
  (void) close (given);
}

static void
test_a_child_is_a_fresh_process (void **state)
{
  (void) state;
  /* read by the shell itself: one that has just started another program still has its signals blocked */
  char *text = shell ("while read -r l; do case $l in NoNewPrivs*|SigBlk*|SigIgn*) echo \"$l\";; esac; done < /proc/$$/status; "
                      "cat /proc/$$/oom_score_adj; ulimit -c; cut -d' ' -f6 /proc/$$/stat; echo $$",
                      NULL, NULL);
  int no_new = 0, oom = -1, core = -1;
  long session = 0, pid = 0;
  unsigned long long blocked = 1, ignored = 1;
  assert_int_equal (sscanf (text, "SigBlk: %llx SigIgn: %llx NoNewPrivs: %d %d %d %ld %ld", &blocked, &ignored, &no_new, &oom, &core, &session, &pid), 7);
  assert_int_equal (blocked, 0);
  assert_int_equal (ignored, 0);
  assert_int_equal (no_new, 1);
  assert_int_equal (oom, 0);
  assert_int_equal (core, 0);
  assert_int_equal (session, pid);
}

static void
test_limits_and_uid (void **state)
{
  struct hv_spawn s = { .stdin_fd = -1, .stderr_fd = -1, .limit_cpu_s = 7, .limit_fsize_bytes = 1 << 20 };
  (void) state;
  assert_string_equal (shell ("ulimit -t; ulimit -f", &s, NULL), "7\n2048\n");
  if (geteuid () != 0)
    return; /* changing uid is root's */
  s = (struct hv_spawn){ .stdin_fd = -1, .stderr_fd = -1, .uid = 12345, .gid = 23456 };
  assert_string_equal (shell ("id -u; id -g; id -G", &s, NULL), "12345\n23456\n23456\n");
}

static void
test_what_cannot_run_is_an_error (void **state)
{
  const char *argv[] = { "/nonexistent/program", NULL };
  struct hv_spawn s = { .struct_size = sizeof s, .argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 };
  int32_t pid, pidfd;
  (void) state;
  assert_int_equal (hv_spawn_process (&s, &pid, &pidfd, err), HV_E_NOT_FOUND);
  assert_non_null (strstr (hv_err_message (err), "/nonexistent/program"));
  argv[0] = "relative";
  assert_int_equal (hv_spawn_process (&s, &pid, &pidfd, err), HV_E_INVALID_ARGUMENT);
  argv[0] = "/bin/true";
  s.cwd = "/nonexistent";
  assert_true (hv_spawn_process (&s, &pid, &pidfd, err) < 0);
  assert_non_null (strstr (hv_err_message (err), "working directory"));
  assert_int_equal (waitpid (-1, NULL, WNOHANG), -1); /* no zombie */
}

int
main (void)
{
#define T(name) cmocka_unit_test_setup_teardown (name, setup, teardown)
  const struct CMUnitTest tests[] = { T (test_posts_of_four_threads_in_order), T (test_own_posts_run_before_blocking), T (test_deadlines_against_a_model),
                                      T (test_a_timer_frees_itself), T (test_a_watch_frees_itself), T (test_pool_runs_side_by_side_and_reserves_one),
                                      T (test_pool_counts_what_never_returns), T (test_a_child_has_what_it_was_given_and_nothing_else),
                                      T (test_a_child_is_a_fresh_process), T (test_limits_and_uid), T (test_what_cannot_run_is_an_error) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
