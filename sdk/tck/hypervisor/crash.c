/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a machine's process that nobody asked for. Not applicable where machines have no process of their own. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

static const char *
crashed (struct tck *t, const char *state)
{
  const char *vm = tck_define (t, "a");
  (void) tck_reach (t, vm, state);
  if (!tck_reach (t, vm, "crashed"))
    tck_na (t, "a machine of this backend has no process that could be killed");
  return vm;
}

static void
check_seen (struct tck *t)
{
  uint64_t from = tck_mark (t);
  const char *vm = crashed (t, "running");
  const json_t *got = tck_get (t, vm), *events = tck_events (t, from, "lifecycle", vm);
  TCK_CHECK (t, json_object_get (got, "pid") == NULL, "it has a process still: %s", tck_dump (t, got));
  TCK_CHECK (t, tck_str (got, "reason")[0] != '\0', "it has no reason");
  TCK_CHECK (t, tck_str (got, "detail")[0] != '\0', "it has no detail: the exit code or signal is lost");
  tck_chain (t, events, "stopped", "crashed");
}

static void
check_again (struct tck *t)
{
  const char *vm = crashed (t, "running");
  uint64_t from = tck_mark (t);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, tck_is (t, vm, "running"), "it is %s", tck_state (t, vm));
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "crashed", "running");
}

static void
check_restart (struct tck *t)
{
  const char *vm = crashed (t, "running");
  hv_fake_restart (t->host);
  TCK_CHECK (t, tck_is (t, vm, "crashed"), "after a restart of the daemon it is %s", tck_state (t, vm));
}

/* A verb that waits for something of the machine does not wait for a dead one. */
static void
check_during (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  struct hv_fake_call *c = tck_begin (t, "shutdown", "{\"vm\":\"%s\",\"grace_ms\":60000}", vm);
  (void) hv_fake_call_wait (c, 20);
  if (!tck_kill (t, vm)) {
    hv_fake_call_cancel (c);
    (void) tck_end (t, c);
    tck_na (t, "a machine of this backend has no process that could be killed");
  }
  TCK_CHECK (t, hv_fake_call_wait (c, t->options->slack_ms + 2000), "its process is dead, and shutdown waits for it");
  (void) tck_end (t, c);
  const char *state = tck_settled (t, vm);
  TCK_CHECK (t, strcmp (state, "crashed") == 0 || strcmp (state, "stopped") == 0, "it is %s", state);
}

const struct tck_check tck_crash_checks[] = {
  { "crash.seen", "a process that dies unasked makes its VM crashed, with a reason, a detail, and one event", NULL, check_seen },
  { "crash.again", "a crashed VM can be started", NULL, check_again },
  { "crash.restart", "a crashed VM is crashed after a restart of the daemon", NULL, check_restart },
  { "crash.during", "a verb does not wait for a machine that died", NULL, check_during },
  { NULL, NULL, NULL, NULL },
};
