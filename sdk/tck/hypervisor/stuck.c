/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine whose process is stopped (SIGSTOP): it does not answer, it is not dead, and nobody else notices. */
#include "sdk/tck/hypervisor/suite.h"
#include <signal.h>
#include <string.h>

static pid_t stopped_pid;

/* The kit ends with every process going on: whatever happens to a check. */
static void
go_on (void)
{
  if (stopped_pid > 1)
    (void) kill (stopped_pid, SIGCONT);
  stopped_pid = 0;
}

static const char *
stuck (struct tck *t, const char *name)
{
  const char *vm = tck_running (t, name);
  int64_t pid = tck_int (tck_get (t, vm), "pid");
  if (pid <= 1 || pid == getpid () || pid == getppid () || kill ((pid_t) pid, SIGSTOP) < 0)
    tck_na (t, "a machine of this backend has no process that could be stopped");
  stopped_pid = (pid_t) pid;
  t->before_clean = go_on;
  return vm;
}

static void
quick (struct tck *t, const char *verb, struct tck_answer a, uint64_t limit)
{
  TCK_CHECK (t, a.code == 0, "%s beside a VM that does not answer: %s: %s", verb, hv_err_name (a.code), a.text);
  TCK_CHECK (t, a.ms <= limit, "%s beside a VM that does not answer takes %llu ms", verb, (unsigned long long) a.ms);
}

static void
check_reads (struct tck *t)
{
  const char *other = tck_running (t, "b"), *vm = stuck (t, "a");
  uint64_t limit = TCK_READ_MS + t->options->slack_ms;
  quick (t, "list", tck_call (t, "list", "{}"), limit);
  quick (t, "get", tck_call (t, "get", "{\"vm\":\"%s\"}", vm), limit);
  quick (t, "get of another", tck_call (t, "get", "{\"vm\":\"%s\"}", other), limit);
}

/* What cannot be had in time is missing, with the rest there. */
static void
check_stats (struct tck *t)
{
  const char *other = tck_running (t, "b"), *vm = stuck (t, "a");
  struct tck_answer a = tck_call (t, "stats", "{}");
  size_t i, found = 0;
  json_t *row;
  quick (t, "stats", a, t->options->slack_ms);
  json_array_foreach (json_object_get (a.result, "items"), i, row) found
      += strcmp (tck_str (row, "vm"), vm) == 0 || strcmp (tck_str (row, "vm"), other) == 0;
  TCK_CHECK (t, found == 2, "stats leaves a VM out: %s", tck_dump (t, a.result));
}

static void
check_others (struct tck *t)
{
  const char *other = tck_define (t, "b"), *vm = stuck (t, "a");
  struct hv_fake_call *c = tck_begin (t, "shutdown", "{\"vm\":\"%s\",\"grace_ms\":60000}", vm);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", other);
  if (tck_supported (t, "pause"))
    quick (t, "pause of another", tck_call (t, "pause", "{\"vm\":\"%s\"}", other), t->options->slack_ms);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", other);
  hv_fake_call_cancel (c);
  (void) tck_end (t, c);
}

static void
check_deadline (struct tck *t)
{
  const char *vm = stuck (t, "a");
  const char *verb = tck_supported (t, "pause") ? "pause" : "shutdown";
  struct tck_answer a = tck_call (t, verb, "{\"vm\":\"%s\",\"_timeout_ms\":500}", vm);
  TCK_CHECK (t, a.ms <= 500 + t->options->slack_ms, "%s with a deadline of 500 ms is answered after %llu ms", verb,
             (unsigned long long) a.ms);
  go_on ();
  const char *state = tck_settled (t, vm);
  TCK_CHECK (t, strcmp (state, "running") == 0 || strcmp (state, "paused") == 0 || strcmp (state, "stopped") == 0,
             "it goes on again and is %s", state);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
}

static void
check_stop (struct tck *t)
{
  const char *vm = stuck (t, "a");
  uint64_t from = tck_mark (t);
  struct tck_answer a = tck_call (t, "stop", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, a.code == 0, "stop: %s: %s", hv_err_name (a.code), a.text);
  TCK_CHECK (t, a.ms <= t->options->settle_ms, "it takes %llu ms", (unsigned long long) a.ms);
  TCK_CHECK (t, tck_is (t, vm, "stopped"), "the VM is %s", tck_state (t, vm));
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "running", "stopped");
}

/* Not dead is not gone: the next daemon neither ends nor forgets it. */
static void
check_restart (struct tck *t)
{
  const char *other = tck_running (t, "b"), *vm = stuck (t, "a");
  uint64_t begin = tck_now_ms ();
  hv_fake_restart (t->host);
  TCK_CHECK (t, tck_now_ms () - begin <= t->options->settle_ms, "the daemon waits for it %llu ms",
             (unsigned long long) (tck_now_ms () - begin));
  if (!tck_wait_state (t, other, "running", t->options->settle_ms))
    tck_fail (t, "another VM is %s", tck_state (t, other));
  TCK_CHECK (t, !tck_is (t, vm, "stopped") && !tck_is (t, vm, "crashed"), "it is taken for %s", tck_state (t, vm));
  TCK_CHECK (t, kill (stopped_pid, 0) == 0, "its process was ended");
  go_on ();
  if (!tck_wait_state (t, vm, "running", t->options->settle_ms))
    tck_fail (t, "it goes on again and is %s", tck_state (t, vm));
}

const struct tck_check tck_stuck_checks[] = {
  { "stuck.reads", "list and get are answered at once while a VM does not answer", NULL, check_reads },
  { "stuck.stats", "stats never waits for a VM that does not answer", NULL, check_stats },
  { "stuck.others", "a VM that does not answer does not hold up another", NULL, check_others },
  { "stuck.deadline", "a change of a VM that does not answer is answered in time; the VM is fine when it goes on", NULL,
    check_deadline },
  { "stuck.stop", "a VM that does not answer is stopped all the same", NULL, check_stop },
  { "stuck.restart", "a VM that does not answer is neither forgotten nor ended by the next daemon", NULL, check_restart },
  { NULL, NULL, NULL, NULL },
};
