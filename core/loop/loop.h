/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/loop: one libev loop per thread with an inbox for tasks from other threads, timers, descriptor watches, a worker
 * pool for blocking calls, and process spawning. libev stays behind this header. */
#ifndef HV_CORE_LOOP_H
#define HV_CORE_LOOP_H
#include <hvkit/plugin.h>

struct hv_loop;

/* Intrusive task: embed it, fill fn, post it. It runs once, on the loop's thread, in the order of posting. */
struct hv_task {
  struct hv_task *next;
  void (*fn) (struct hv_task *);
};

struct hv_loop *hv_loop_new (const char *name, struct hv_err *);
void hv_loop_free (struct hv_loop *); /* not running; remaining tasks are run first */
/* Runs until hv_loop_stop; on the calling thread. */
void hv_loop_run (struct hv_loop *);
/* Runs until `*done` is non-zero or `timeout_ms` passed (tests). Returns *done. */
int hv_loop_run_until (struct hv_loop *, const int *done, uint64_t timeout_ms);
void hv_loop_drain (struct hv_loop *); /* runs the tasks of a loop whose thread has ended, on the calling thread */
void hv_loop_stop (struct hv_loop *);                      /* any thread */
void hv_loop_post (struct hv_loop *, struct hv_task *);    /* any thread; wakes the loop at most once per batch */
int hv_loop_is_current (const struct hv_loop *);           /* called on this loop's thread while it runs (or before it runs at all) */
struct hv_loop *hv_loop_current (void);                    /* of this thread, or NULL */
uint64_t hv_loop_now_ms (void);                            /* CLOCK_MONOTONIC, exact, any thread */
/* Starts a thread named `name` (≤ 15 characters, all signals blocked) that runs the loop; join stops it first. */
int hv_loop_thread_start (struct hv_loop *, struct hv_err *);
void hv_loop_thread_join (struct hv_loop *);

/* Timers. Callback on the loop's thread. after 0 and repeat 0 stops. A timer may free itself in its callback. */
struct hv_loop_timer;
struct hv_loop_timer *hv_loop_timer_new (struct hv_loop *, void (*fn) (void *arg), void *arg);
void hv_loop_timer_set (struct hv_loop_timer *, uint64_t after_ms, uint64_t repeat_ms);
void hv_loop_timer_free (struct hv_loop_timer *); /* NULL is fine */

/* Embedded deadline timers for the hot path: no allocation; a min-heap inside the loop with 1 ms resolution. Arming and
 * disarming cost O(log n); zero-initialised is unarmed. */
struct hv_deadline {
  uint64_t at_ms;
  uint32_t index; /* position in the heap, 1-based; 0 = unarmed */
  void (*fn) (struct hv_deadline *);
};
int hv_loop_deadline_arm (struct hv_loop *, struct hv_deadline *, uint64_t at_ms); /* HV_E_RESOURCE_EXHAUSTED when out of memory */
void hv_loop_deadline_disarm (struct hv_loop *, struct hv_deadline *);

/* Descriptor watches. `wait` and `ready` are HV_WAIT_*. A watch may free itself in its callback. */
struct hv_loop_watch;
struct hv_loop_watch *hv_loop_watch_new (struct hv_loop *, int fd, uint32_t wait, void (*fn) (void *arg, uint32_t ready), void *arg);
void hv_loop_watch_set (struct hv_loop_watch *, uint32_t wait);
void hv_loop_watch_free (struct hv_loop_watch *); /* NULL is fine */

/* --- two connected stream sockets, joined until both directions have ended --- */
struct hv_splice;
struct hv_splice_side {
  int fd;              /* becomes the splice's, also on failure */
  struct hv_bin first; /* was read from it already: copied, and goes to the other side before anything else */
};
/* What is read from one side is written to the other, with a bounded buffer each way; the end of one direction is passed on
 * (shutdown) and the other goes on. `done (arg)` runs once, from the loop, when nothing is left to do, and may free the splice. */
int hv_splice_new (struct hv_loop *, const struct hv_splice_side sides[2], void (*done) (void *arg), void *arg, struct hv_splice **ret);
void hv_splice_moved (const struct hv_splice *, uint64_t ret_bytes[2]); /* bytes that came from each side and were delivered */
void hv_splice_free (struct hv_splice *);                               /* closes both; NULL is fine */

/* Signals, on one loop of the process (main). */
int hv_loop_signal (struct hv_loop *, int signum, void (*fn) (void *arg, int signum), void *arg);

/* Runs before the loop blocks, once per turn (the scheduler of coroutines, output flushing). */
void hv_loop_set_prepare (struct hv_loop *, void (*fn) (void *arg), void *arg);

/* --- worker pool: blocking calls of one owner --- */
struct hv_pool;
/* At most `threads` run at once, plus one that only takes HV_OFFLOAD_RESERVED jobs. Threads start on demand and end when idle 30 s. */
struct hv_pool *hv_pool_new (const char *name, uint32_t threads);
/* `job->fn` runs on a pool thread; afterwards `done` is posted to `loop`. Both are embedded in the caller's object. */
struct hv_pool_job {
  struct hv_task done;
  void (*fn) (struct hv_pool_job *);
  struct hv_loop *loop;
  struct hv_pool_job *next;
};
void hv_pool_submit (struct hv_pool *, struct hv_pool_job *, uint32_t flags); /* any thread; flags: HV_OFFLOAD_RESERVED */
/* Waits up to `deadline_ms` for running jobs, then leaks what never returns. Returns the number leaked. */
uint32_t hv_pool_free (struct hv_pool *, uint64_t deadline_ms);

/* --- processes: see struct hv_spawn for what a child inherits (nothing that is not listed) --- */
int hv_spawn_process (const struct hv_spawn *, int32_t *ret_pid, int32_t *ret_pidfd, struct hv_err *);
#endif
