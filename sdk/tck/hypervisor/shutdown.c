/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* shutdown: only asks, or asks and then stops. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

static void
check_ask (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  uint64_t from = tck_mark (t);
  struct tck_answer a = tck_call (t, "shutdown", "{\"vm\":\"%s\",\"grace_ms\":0}", vm);
  TCK_CHECK (t, a.code == 0, "shutdown: %s", a.text);
  TCK_CHECK (t, a.ms <= t->options->slack_ms, "it takes %llu ms, and only had to ask", (unsigned long long) a.ms);
  tck_run (t, 100);
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "running", tck_state (t, vm));
}

static void
ends (struct tck *t, const char *vm, const char *was)
{
  uint64_t from = tck_mark (t), grace = 200;
  struct tck_answer a = tck_call (t, "shutdown", "{\"vm\":\"%s\",\"grace_ms\":%d}", vm, (int) grace);
  TCK_CHECK (t, a.code == 0, "shutdown: %s: %s", hv_err_name (a.code), a.text);
  TCK_CHECK (t, a.ms <= grace + t->options->settle_ms, "it takes %llu ms", (unsigned long long) a.ms);
  TCK_CHECK (t, strcmp (tck_str (a.result, "state"), "stopped") == 0, "it answers '%s'", tck_str (a.result, "state"));
  TCK_CHECK (t, tck_is (t, vm, "stopped"), "the VM is %s", tck_state (t, vm));
  TCK_CHECK (t, json_object_get (tck_get (t, vm), "pid") == NULL, "its process is still there");
  tck_chain (t, tck_events (t, from, "lifecycle", vm), was, "stopped");
}

static void
check_escalates (struct tck *t)
{
  ends (t, tck_running (t, "a"), "running");
}

static void
check_paused (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  (void) tck_ok (t, "start", "{\"vm\":\"%s\",\"paused\":true}", vm);
  ends (t, vm, "paused");
}

static void
check_agent (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  struct tck_answer a = tck_call (t, "shutdown", "{\"vm\":\"%s\",\"mode\":\"agent\",\"grace_ms\":200}", vm);
  TCK_CHECK (t, a.code == 0, "shutdown: %s: %s", hv_err_name (a.code), a.text);
  TCK_CHECK (t, tck_is (t, vm, "stopped"), "the VM is %s", tck_state (t, vm));
}

const struct tck_check tck_shutdown_checks[] = {
  { "shutdown.ask", "shutdown without grace only asks, and answers at once", NULL, check_ask },
  { "shutdown.escalates", "shutdown with grace ends with the VM stopped, whatever the guest does", NULL, check_escalates },
  { "shutdown.paused", "a guest that is paused and cannot obey is stopped when the grace is over", NULL, check_paused },
  { "shutdown.agent", "a guest without an agent is one that does not obey: with grace it is stopped", NULL, check_agent },
  { NULL, NULL, NULL, NULL },
};
