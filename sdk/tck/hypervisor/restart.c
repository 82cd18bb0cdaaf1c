/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon goes and comes back: machines do not notice. */
#include "sdk/tck/hypervisor/suite.h"
#include <signal.h>
#include <string.h>

static void
restart (struct tck *t)
{
  hv_fake_down (t->host);
  char *error = NULL;
  int r = hv_fake_up (t->host, &error);
  if (r < 0) {
    t->host = NULL; /* there is nothing to clean with */
    tck_fail (t, "it does not start again over its own state: %s", error);
  }
}

static void
same (struct tck *t, const json_t *before, const char *vm, const char *state)
{
  static const char *const members[] = { "uuid", "pid", "labels", "memory_bytes", "vcpus", "machine" };
  if (!tck_wait_state (t, vm, state, t->options->settle_ms))
    tck_fail (t, "it was %s; after a restart of the daemon it is %s", state, tck_state (t, vm));
  tck_run (t, 50); /* what is found dead after it was listed as running is dead, too */
  TCK_CHECK (t, tck_is (t, vm, state), "it was %s; a moment after a restart of the daemon it is %s", state, tck_state (t, vm));
  const json_t *after = tck_get (t, vm);
  for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
    const json_t *a = json_object_get (before, members[i]), *b = json_object_get (after, members[i]);
    TCK_CHECK (t, a == b || json_equal (a, b), "%s was %s; after a restart of the daemon it is %s", members[i], tck_dump (t, a),
               tck_dump (t, b));
  }
}

static void
check_stopped (struct tck *t)
{
  const char *vm = tck_name (t, "a");
  json_t *m = tck_machine (t, vm);
  (void) json_object_set_new (m, "labels", json_pack ("{s:s}", "kept", "yes"));
  (void) tck_define_as (t, vm, m);
  const json_t *before = tck_get (t, vm);
  restart (t);
  same (t, before, vm, "stopped");
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
}

static void
check_undefined (struct tck *t)
{
  static const char *const names[] = { "a", "b", "c", "d" };
  for (size_t i = 0; i < 4; i++) {
    const char *vm = i == 0 ? tck_define (t, names[i]) : tck_running (t, names[i]);
    (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
    (void) tck_ok (t, "undefine", "{\"vm\":\"%s\"}", vm); /* right behind it: no late write brings the record back */
  }
  restart (t);
  for (size_t i = 0; i < 4; i++)
    (void) tck_refused (t, HV_E_NOT_FOUND, "get", "{\"vm\":\"%s\"}", tck_name (t, names[i]));
}

static void
check_running (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  const json_t *before = tck_get (t, vm);
  restart (t);
  same (t, before, vm, "running");
}

static void
check_paused (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  (void) tck_ok (t, "start", "{\"vm\":\"%s\",\"paused\":true}", vm);
  const json_t *before = tck_get (t, vm);
  restart (t);
  same (t, before, vm, "paused");
}

static void
check_many (struct tck *t)
{
  static const char *const names[] = { "a", "b", "c", "d" };
  json_t *before[4];
  for (size_t i = 0; i < 4; i++)
    before[i] = tck_get (t, i % 2 == 0 ? tck_running (t, names[i]) : tck_define (t, names[i]));
  restart (t);
  for (size_t i = 0; i < 4; i++)
    same (t, before[i], tck_name (t, names[i]), i % 2 == 0 ? "running" : "stopped");
}

static void
check_controlled (struct tck *t)
{
  static const char *const verbs[] = { "pause", "resume", "stop", "start", "stop", "undefine" };
  const char *vm = tck_running (t, "a");
  restart (t);
  if (!tck_wait_state (t, vm, "running", t->options->settle_ms))
    tck_fail (t, "after a restart of the daemon it is %s", tck_state (t, vm));
  uint64_t from = tck_mark (t);
  for (size_t i = 0; i < 5; i++)
    if (tck_supported (t, verbs[i]))
      (void) tck_ok (t, verbs[i], "{\"vm\":\"%s\"}", vm);
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "running", "stopped");
  (void) tck_ok (t, "undefine", "{\"vm\":\"%s\"}", vm);
}

/* Level, then edge: what is announced of a VM that is taken over begins where it was left. */
static void
check_chain (struct tck *t)
{
  uint64_t from = tck_mark (t);
  const char *vm = tck_running (t, "a");
  restart (t);
  if (!tck_wait_state (t, vm, "running", t->options->settle_ms))
    tck_fail (t, "after a restart of the daemon it is %s", tck_state (t, vm));
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "stopped", "stopped");
}

/* What happened in between nobody saw: that is said, so that whoever follows the events reads the state anew. */
static void
check_gap (struct tck *t)
{
  const char *up = tck_running (t, "a"), *down = tck_define (t, "b");
  uint64_t from = tck_mark (t);
  restart (t);
  const json_t *control = tck_wait_event (t, from, "control", up, t->options->settle_ms);
  TCK_CHECK (t, control != NULL, "a VM was taken over, and there is no control event of it");
  TCK_CHECK (t, json_is_true (json_object_get (control, "connected")) && json_is_true (json_object_get (control, "gap")),
             "the event says %s", tck_dump (t, control));
  TCK_CHECK (t, json_array_size (tck_events (t, from, NULL, down)) == 0, "something is announced of a VM that is stopped: %s",
             tck_dump (t, tck_events (t, from, NULL, down)));
}

static void
check_died (struct tck *t)
{
  uint64_t from = tck_mark (t);
  const char *vm = tck_running (t, "a");
  int64_t pid = tck_int (tck_get (t, vm), "pid");
  char *error = NULL;
  if (pid <= 1 || pid == getpid () || kill ((pid_t) pid, 0) < 0)
    tck_na (t, "a machine of this backend has no process that could be killed");
  hv_fake_down (t->host);
  (void) kill ((pid_t) pid, SIGKILL);
  if (hv_fake_up (t->host, &error) < 0) {
    t->host = NULL;
    tck_fail (t, "it does not start again over its own state: %s", error);
  }
  if (!tck_wait_state (t, vm, "crashed", t->options->settle_ms) && !tck_is (t, vm, "stopped"))
    tck_fail (t, "its process died while the daemon was away; it is %s", tck_state (t, vm));
  TCK_CHECK (t, json_object_get (tck_get (t, vm), "pid") == NULL, "it has a process still");
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "stopped", tck_state (t, vm));
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
}

const struct tck_check tck_restart_checks[] = {
  { "restart.stopped", "a definition survives a restart of the daemon, whole", NULL, check_stopped },
  { "restart.undefined", "what was undefined stays so", NULL, check_undefined },
  { "restart.running", "a running VM goes on in the same process, and is known again", NULL, check_running },
  { "restart.paused", "a paused VM is paused still, in the same process", NULL, check_paused },
  { "restart.many", "every VM is known again, each as it was", NULL, check_many },
  { "restart.controlled", "a VM that was taken over obeys every verb, and its events go on", NULL, check_controlled },
  { "restart.chain", "events before and after a restart are one chain", NULL, check_chain },
  { "restart.gap", "a VM that is taken over is announced by control {connected, gap}: events may have been missed", NULL,
    check_gap },
  { "restart.died", "a machine that died while the daemon was away is found dead, is announced so, and can be started", NULL,
    check_died },
  { NULL, NULL, NULL, NULL },
};
