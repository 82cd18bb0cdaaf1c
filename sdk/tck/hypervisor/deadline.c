/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deadlines and cancellation: nobody waits longer than he said, and what he left behind is in order. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

/* Nobody waits for a call any more: soon it does not hold its VM either, and stop gets through. */
static void
lane_is_free (struct tck *t, const char *vm, const char *verb)
{
  uint64_t begin = tck_now_ms (), limit = t->options->slack_ms;
  for (;;) {
    struct tck_answer a = tck_call (t, "adopt", "{\"vm\":\"%s\"}", vm);
    if (a.code != HV_E_ABORTED || strstr (a.text, "busy") == NULL)
      return;
    TCK_CHECK (t, tck_now_ms () - begin < limit, "%s was given up %llu ms ago and still holds the VM: %s", verb,
               (unsigned long long) (tck_now_ms () - begin), a.text);
    tck_run (t, 20);
  }
}

/* Whatever came of it: the VM comes to rest, its events are whole, and it can be stopped and started. */
static void
in_order (struct tck *t, const char *vm, uint64_t from, const char *was)
{
  const char *state = tck_settled (t, vm);
  TCK_CHECK (t, strcmp (state, "stopped") == 0 || strcmp (state, "running") == 0 || strcmp (state, "paused") == 0, "the VM is %s",
             state);
  tck_chain (t, tck_events (t, from, "lifecycle", vm), was, state);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, tck_is (t, vm, "running"), "afterwards a start leaves the VM %s", tck_state (t, vm));
}

static void
late (struct tck *t, const char *verb, struct tck_answer a, uint64_t deadline)
{
  TCK_CHECK (t, a.ms <= deadline + t->options->slack_ms, "%s with a deadline of %llu ms was answered after %llu ms", verb,
             (unsigned long long) deadline, (unsigned long long) a.ms);
}

static void
check_shutdown (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  uint64_t from = tck_mark (t);
  struct tck_answer a = tck_call (t, "shutdown", "{\"vm\":\"%s\",\"grace_ms\":60000,\"_timeout_ms\":100}", vm);
  late (t, "shutdown", a, 100);
  lane_is_free (t, vm, "shutdown");
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  in_order (t, vm, from, "running");
}

static void
check_start (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  uint64_t from = tck_mark (t);
  struct tck_answer a = tck_call (t, "start", "{\"vm\":\"%s\",\"_timeout_ms\":1}", vm);
  late (t, "start", a, 1);
  lane_is_free (t, vm, "start");
  in_order (t, vm, from, "stopped");
}

static void
check_agent (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  struct tck_answer a = tck_call (t, "agent_command",
                                  "{\"vm\":\"%s\",\"command\":\"{\\\"execute\\\":\\\"guest-ping\\\"}\",\"timeout_ms\":200}", vm);
  late (t, "agent_command (timeout_ms)", a, 200);
}

static void
check_reads (struct tck *t)
{
  static const char *const verbs[]
      = { "list",         "get",   "native",       "stats", "block_info", "block_stats", "block_errors", "interface_stats",
          "memory_stats", "probe", "snapshot_list" };
  const char *vm = tck_running (t, "a");
  for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
    const char *args = tck_args (t, verbs[i], vm);
    if (!tck_supported (t, verbs[i]))
      continue;
    struct tck_answer a = args != NULL ? tck_call (t, verbs[i], "{\"_timeout_ms\":1000,%s", args + 1)
                                       : tck_call (t, verbs[i], "{\"_timeout_ms\":1000}");
    late (t, verbs[i], a, 1000);
    TCK_CHECK (t, a.code == 0, "%s: %s: %s", verbs[i], hv_err_name (a.code), a.text);
  }
}

/* What needs no guest is done at once. */
static void
check_prompt (struct tck *t)
{
  static const char *const verbs[] = { "pause", "pause", "resume", "resume", "adopt", "reset", "stats", "native" };
  const char *vm = tck_running (t, "a");
  for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
    if (!tck_supported (t, verbs[i]))
      continue;
    struct tck_answer a = tck_call (t, verbs[i], "{\"vm\":\"%s\"}", vm);
    TCK_CHECK (t, a.code == 0, "%s: %s", verbs[i], a.text);
    TCK_CHECK (t, a.ms <= t->options->slack_ms, "%s takes %llu ms; nothing in it has to be waited for", verbs[i],
               (unsigned long long) a.ms);
  }
}

static void
check_cancel_start (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  for (uint64_t after = 0; after <= 100; after += 25) {
    uint64_t from = tck_mark (t);
    struct hv_fake_call *c = tck_begin (t, "start", "{\"vm\":\"%s\"}", vm);
    (void) hv_fake_call_wait (c, after);
    hv_fake_call_cancel (c);
    TCK_CHECK (t, hv_fake_call_wait (c, t->options->slack_ms), "a start that was cancelled after %llu ms is not answered",
               (unsigned long long) after);
    struct tck_answer a = tck_end (t, c);
    TCK_CHECK (t, a.code == 0 || a.code == HV_E_CANCELLED, "a start that was cancelled answers %s: %s", hv_err_name (a.code),
               a.text);
    in_order (t, vm, from, "stopped");
    (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  }
}

static void
check_cancel_shutdown (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  uint64_t from = tck_mark (t);
  struct hv_fake_call *c = tck_begin (t, "shutdown", "{\"vm\":\"%s\",\"grace_ms\":60000}", vm);
  (void) hv_fake_call_wait (c, 20);
  hv_fake_call_cancel (c);
  TCK_CHECK (t, hv_fake_call_wait (c, t->options->slack_ms), "a shutdown that was cancelled is not answered");
  struct tck_answer a = tck_end (t, c);
  TCK_CHECK (t, a.code == 0 || a.code == HV_E_CANCELLED, "a shutdown that was cancelled answers %s: %s", hv_err_name (a.code),
             a.text);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  in_order (t, vm, from, "running");
}

const struct tck_check tck_deadline_checks[] = {
  { "deadlines.shutdown", "a shutdown past its deadline is answered, lets go of the VM, and leaves it in order", NULL,
    check_shutdown },
  { "deadlines.start", "a start past its deadline is answered, lets go of the VM, and leaves it in order", NULL, check_start },
  { "deadlines.agent", "agent_command answers within its timeout_ms, whatever the guest does", NULL, check_agent },
  { "deadlines.reads", "reads of a running VM answer within their deadline", NULL, check_reads },
  { "deadlines.prompt", "no hidden waits: what needs no guest is answered at once", NULL, check_prompt },
  { "cancel.start", "a cancelled start answers, and the VM is stopped or running, with events to match", NULL, check_cancel_start },
  { "cancel.shutdown", "a cancelled shutdown answers, and the VM can be stopped and started", NULL, check_cancel_shutdown },
  { NULL, NULL, NULL, NULL },
};
