/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lanes: one change at a time per VM; stop pre-empts; reads and other VMs are not touched by it. The core keeps the lanes; what is
 * checked is that the provider gives up when it is told to, and waits nowhere else. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

/* A shutdown whose guest takes its time. Not applicable when the guest was faster than the next call. */
static struct hv_fake_call *
slow (struct tck *t, const char *vm)
{
  struct hv_fake_call *c = tck_begin (t, "shutdown", "{\"vm\":\"%s\",\"grace_ms\":60000}", vm);
  if (hv_fake_call_wait (c, 20))
    tck_na (t, "the guest powers off at once: there is nothing to interrupt (%s)", tck_end (t, c).text);
  return c;
}

static int
still_runs (struct hv_fake_call *c)
{
  return !hv_fake_call_wait (c, 0);
}

static void
check_busy (struct tck *t)
{
  static const char *const verbs[] = { "start", "undefine", "adopt", "pause", "shutdown" };
  const char *vm = tck_running (t, "a");
  struct hv_fake_call *c = slow (t, vm);
  for (size_t i = 0; i < 5; i++) {
    if (!tck_supported (t, verbs[i]))
      continue;
    struct tck_answer a = tck_call (t, verbs[i], "%s", tck_args (t, verbs[i], vm));
    if (!still_runs (c))
      break;
    TCK_CHECK (t, a.code == HV_E_ABORTED, "%s during a shutdown answers %s: %s", verbs[i], hv_err_name (a.code), a.text);
    TCK_CHECK (t, strstr (a.text, "shutdown") != NULL, "the answer does not name the holder: %s", a.text);
  }
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  (void) tck_end (t, c);
}

static void
check_others (struct tck *t)
{
  const char *a = tck_running (t, "a"), *b = tck_define (t, "b");
  struct hv_fake_call *c = slow (t, a);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", b);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", b);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", a);
  (void) tck_end (t, c);
}

/* The one that was pre-empted says so; it had not the time to succeed, unless the VM is where it was to be. */
static void
preempted (struct tck *t, const char *vm, struct hv_fake_call *c, const char *verb)
{
  struct tck_answer stop = tck_call (t, "stop", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, stop.code == 0, "stop during a %s: %s: %s", verb, hv_err_name (stop.code), stop.text);
  TCK_CHECK (t, hv_fake_call_wait (c, t->options->slack_ms), "stop is done, and the %s it pre-empted is not answered", verb);
  struct tck_answer a = tck_end (t, c);
  TCK_CHECK (t, a.code == 0 || a.code == HV_E_ABORTED || a.code == HV_E_CANCELLED, "the %s that was pre-empted answers %s: %s",
             verb, hv_err_name (a.code), a.text);
  TCK_CHECK (t, tck_is (t, vm, "stopped"), "after stop the VM is %s", tck_state (t, vm));
  tck_run (t, 200);
  TCK_CHECK (t, tck_is (t, vm, "stopped"), "a while after stop the VM is %s", tck_state (t, vm));
}

static void
check_preempt_shutdown (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  preempted (t, vm, slow (t, vm), "shutdown");
}

static void
check_preempt_start (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  uint64_t from = tck_mark (t);
  struct hv_fake_call *c = tck_begin (t, "start", "{\"vm\":\"%s\"}", vm);
  (void) hv_fake_call_wait (c, 5);
  preempted (t, vm, c, "start");
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "stopped", "stopped");
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, tck_is (t, vm, "running"), "the next start leaves the VM %s", tck_state (t, vm));
}

static void
check_free_after (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  (void) tck_refused (t, HV_E_FAILED_PRECONDITION, tck_supported (t, "pause") ? "pause" : "reset", "{\"vm\":\"%s\"}", vm);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
}

/* --- reads --- */

static void
reads_are_quick (struct tck *t, const char *vm, struct hv_fake_call *c, const char *during)
{
  const char *const reads[] = { "list", "get" };
  for (size_t i = 0; i < 2; i++) {
    uint64_t best = UINT64_MAX, worst = 0;
    for (int n = 0; n < 5; n++) {
      struct tck_answer a = i == 0 ? tck_call (t, reads[i], "{}") : tck_call (t, reads[i], "{\"vm\":\"%s\"}", vm);
      TCK_CHECK (t, a.code == 0, "%s during a %s: %s", reads[i], during, a.text);
      best = a.ms < best ? a.ms : best;
      worst = a.ms > worst ? a.ms : worst;
    }
    TCK_CHECK (t, best < TCK_READ_MS && worst < TCK_READ_MS + t->options->slack_ms, "%s takes %llu to %llu ms during a %s",
               reads[i], (unsigned long long) best, (unsigned long long) worst, during);
  }
  (void) tck_call (t, "stop", "{\"vm\":\"%s\"}", vm);
  (void) tck_end (t, c);
}

static void
check_reads_shutdown (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  reads_are_quick (t, vm, slow (t, vm), "shutdown");
}

static void
check_reads_start (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  struct hv_fake_call *c = tck_begin (t, "start", "{\"vm\":\"%s\"}", vm);
  reads_are_quick (t, vm, c, "start");
}

const struct tck_check tck_lane_checks[] = {
  { "lanes.busy", "a second change of a VM is ABORTED, naming the one under way", NULL, check_busy },
  { "lanes.others", "a change of one VM does not hold up another VM", NULL, check_others },
  { "lanes.stop-shutdown", "stop pre-empts a shutdown, which answers ABORTED; the VM is stopped and stays so", NULL,
    check_preempt_shutdown },
  { "lanes.stop-start", "stop pre-empts a start, which answers ABORTED; the VM is stopped and stays so", NULL,
    check_preempt_start },
  { "lanes.free", "a call that failed holds nothing", NULL, check_free_after },
  { "lanes.reads-shutdown", "list and get are answered at once while a VM shuts down", NULL, check_reads_shutdown },
  { "lanes.reads-start", "list and get are answered at once while a VM starts", NULL, check_reads_start },
  { NULL, NULL, NULL, NULL },
};
