/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin against a QEMU that is slow, silent, confused or dying, at every step of a start and afterwards. */
#include "harness.h"

#include <ftw.h>
#include <signal.h>
#include <sys/wait.h>

struct fixture {
  char *dir;
  struct hv_fake *f;
};

static void
begin_in (struct fixture *x, const char *dir)
{
  char config[512];
  (void) snprintf (
      config, sizeof config,
      "{\"qemu\":\"%s/qemu\",\"accel\":\"tcg\",\"start_ms\":1500,\"command_ms\":300,\"heartbeat_ms\":100,\"quit_ms\":300,"
      "\"term_ms\":300,\"powerdown_ms\":200}",
      x->dir);
  x->f = hv_fake_new (&qmp_plugin, config, dir, NULL);
}

static void
begin (struct fixture *x, const char *mode)
{
  x->dir = peer_make ();
  begin_in (x, NULL);
  do_ok (x->f, "define", SMALL_VM ("a", UUID_A)); /* waits until the emulator was asked what it can */
  peer_mode (x->dir, mode);
}

static void
end (struct fixture *x)
{
  peer_mode (x->dir, "");
  do_ok (x->f, "stop", "{\"vm\":\"a\"}");
  do_ok (x->f, "undefine", "{\"vm\":\"a\"}");
  hv_fake_free (x->f);
  peer_remove (x->dir);
}

static int
process_gone (void *arg)
{
  const struct fixture *x = arg;
  char path[4096];
  (void) snprintf (path, sizeof path, "%s/run/qmp/" UUID_A "/monitor.sock", hv_fake_dir (x->f));
  return qmp_process_find (UUID_A, "a", path) == 0;
}

static int
is_noted (void *arg)
{
  const struct fixture *x = arg;
  char path[4096];
  (void) snprintf (path, sizeof path, "%s/noted", x->dir);
  return access (path, F_OK) == 0;
}

/* Until the command of note:COMMAND has come. */
static void
wait_noted (struct fixture *x)
{
  assert_true (hv_fake_run_until (x->f, is_noted, x, 10000));
}

/* Whatever goes wrong before the guest runs, the start fails, says why, and no process is left. */
static void
test_failing_starts (void **state)
{
  static const struct {
    const char *mode, *text;
    int code;
  } cases[] = {
    { "greet:no", "not ready", HV_E_UNAVAILABLE },
    { "greet:bad", "not ready", HV_E_UNAVAILABLE },
    { "greet:long", "not ready", HV_E_UNAVAILABLE },
    { "error:qmp_capabilities", "not ready", HV_E_UNAVAILABLE },
    { "die:qmp_capabilities", "told to die", HV_E_FAILED_PRECONDITION },
    { "silent:query-uuid", "no answer to query-uuid", HV_E_DEADLINE_EXCEEDED },
    { "error:query-uuid", "scripted refusal", HV_E_FAILED_PRECONDITION },
    { "status:running", "before it was told to run", HV_E_INTERNAL },
    { "eof:query-status", "query-status", HV_E_UNAVAILABLE },
    { "garbage:query-status", "query-status", HV_E_UNAVAILABLE },
    { "noid:query-status", "query-status", HV_E_UNAVAILABLE },
    { "error:cont", "scripted refusal", HV_E_FAILED_PRECONDITION },
    { "silent:cont", "no answer to cont", HV_E_UNKNOWN },
    { "die:cont", "cont", HV_E_UNKNOWN },
  };
  struct fixture x;
  (void) state;
  begin (&x, "");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    peer_mode (x.dir, cases[i].mode);
    do_fail (x.f, "start", "{\"vm\":\"a\"}", cases[i].code, cases[i].text);
    wait_state (x.f, "a", "stopped");
    assert_vm (x.f, "a", "stopped", "start_failed");
    assert_true (hv_fake_run_until (x.f, process_gone, &x, 5000));
  }
  peer_mode (x.dir, "");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  assert_vm (x.f, "a", "running", NULL);
  end (&x);
}

static void
test_odd_but_right (void **state)
{
  static const char *const modes[] = { "chop", "big", "chop unknown:cont", "unknown:query-uuid unknown:query-status" };
  struct fixture x;
  (void) state;
  begin (&x, "");
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    peer_mode (x.dir, modes[i]);
    do_ok (x.f, "start", "{\"vm\":\"a\"}");
    do_ok (x.f, "pause", "{\"vm\":\"a\"}");
    assert_vm (x.f, "a", "paused", "user");
    do_ok (x.f, "stop", "{\"vm\":\"a\"}");
  }
  end (&x);
}

/* A command without an answer has an unknown outcome; two of them make the VM unreachable; the late answers, with their old
 * ids, bring it back and are not taken for anything newer. */
static void
test_silence (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, "");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  int pid = pid_of (x.f, "a");
  peer_mode (x.dir, "silent:stop silent:query-status");
  do_fail (x.f, "pause", "{\"vm\":\"a\"}", HV_E_UNKNOWN, "no answer to stop");
  wait_state (x.f, "a", "unreachable");
  assert_int_equal (pid_of (x.f, "a"), pid);
  peer_mode (x.dir, "");
  wait_state (x.f, "a", "paused"); /* the stop was carried out after all */
  do_ok (x.f, "resume", "{\"vm\":\"a\"}");
  assert_vm (x.f, "a", "running", NULL);
  end (&x);
}

static char *
wait_gap (struct hv_fake *f)
{
  char *event = hv_fake_wait_event (f, "qmp.control", 10000);
  assert_non_null (event);
  assert_non_null (strstr (event, "\"gap\":true"));
  return event;
}

/* Garbage costs the connection, not the VM: it is made anew and the state read again. */
static void
test_lost_connection (void **state)
{
  static const char *const modes[] = { "garbage:stop", "eof:stop", "noid:stop" };
  struct fixture x;
  (void) state;
  begin (&x, "");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  int pid = pid_of (x.f, "a");
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    peer_mode (x.dir, modes[i]);
    do_fail (x.f, "pause", "{\"vm\":\"a\"}", HV_E_UNKNOWN, "lost during stop");
    peer_mode (x.dir, "");
    free (wait_gap (x.f));
    do_ok (x.f, "pause", "{\"vm\":\"a\"}");
    do_ok (x.f, "resume", "{\"vm\":\"a\"}");
    assert_int_equal (pid_of (x.f, "a"), pid);
  }
  end (&x);
}

/* The connection breaks when a start or an adoption is all but done: it is made anew, as at any other time. */
static void
test_lost_at_last (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, "last:cont last:query-chardev"); /* the last that an adoption asks of a machine without disks and cards */
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  free (wait_gap (x.f));
  free (wait_gap (x.f));
  peer_mode (x.dir, "");
  free (wait_gap (x.f));
  do_ok (x.f, "pause", "{\"vm\":\"a\"}");
  end (&x);
}

static void
test_shutdown (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, "");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  do_ok (x.f, "shutdown", "{\"vm\":\"a\",\"grace_ms\":5000}");
  assert_vm (x.f, "a", "stopped", "shutdown");
  expect_event (x.f, "stopping", "shutdown");
  expect_event (x.f, "stopped", "shutdown");
  /* a guest that ignores the button is stopped when its time is up */
  peer_mode (x.dir, "error:system_powerdown");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  do_ok (x.f, "shutdown", "{\"vm\":\"a\",\"grace_ms\":500}");
  assert_vm (x.f, "a", "stopped", "destroyed");
  /* and one whose QEMU does not even quit gets the signals */
  peer_mode (x.dir, "silent:quit");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  do_ok (x.f, "stop", "{\"vm\":\"a\"}");
  assert_vm (x.f, "a", "stopped", "destroyed");
  end (&x);
}

/* stop does not wait for a start that hangs: it pre-empts it. */
static void
test_stop_preempts_start (void **state)
{
  struct fixture x;
  int code;
  (void) state;
  begin (&x, "greet:no");
  struct hv_fake_call *start = hv_fake_call_start (x.f, "start", "{\"vm\":\"a\"}");
  wait_state (x.f, "a", "starting");
  do_ok (x.f, "stop", "{\"vm\":\"a\"}");
  char *text = hv_fake_call_finish (start, &code);
  assert_true (code == HV_E_ABORTED || code == HV_E_CANCELLED);
  free (text);
  assert_vm (x.f, "a", "stopped", NULL);
  assert_true (hv_fake_run_until (x.f, process_gone, &x, 5000));
  end (&x);
}

static int
remove_entry (const char *path, const struct stat *st, int kind, struct FTW *where)
{
  (void) st;
  (void) kind;
  (void) where;
  return remove (path);
}

/* A daemon in a process of its own, killed at a chosen point of a start. Its directory and its QEMU stay. */
static void
killed_daemon (struct fixture *x, const char *dir, const char *mode)
{
  int status;
  pid_t pid = fork ();
  assert_true (pid >= 0);
  if (pid == 0) {
    begin_in (x, dir);
    do_ok (x->f, "define", SMALL_VM ("a", UUID_A));
    if (mode != NULL)
      peer_mode (x->dir, mode);
    else
      peer_kill_daemon (x->dir);
    free (hv_fake_call (x->f, "start", "{\"vm\":\"a\"}", &status));
    _exit (1);
  }
  assert_int_equal (waitpid (pid, &status, 0), pid);
  assert_true (WIFSIGNALED (status));
  peer_mode (x->dir, "");
}

/* kill -9 of the daemon in the middle of a start: the next one finds the process by its record (or, without a pid in it, by the
 * socket it holds), sees that its guest never ran, and ends it: nobody was ever told of it. If the guest does run, it is kept. */
static void
test_interrupted_starts (void **state)
{
  static const struct {
    const char *mode, *state, *reason;
  } cases[] = {
    { NULL, "stopped", NULL }, /* at once after the spawn: its pid may be recorded or not */
    { "killparent:qmp_capabilities", "stopped", NULL },
    { "killparent:query-status", "stopped", NULL },
    { "killparent:cont", "running", NULL },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct fixture x = { .dir = peer_make () };
    char dir[] = "/tmp/hvkit-qmp-XXXXXX";
    assert_non_null (mkdtemp (dir));
    killed_daemon (&x, dir, cases[i].mode);
    begin_in (&x, dir);
    wait_state (x.f, "a", cases[i].state);
    int running = strcmp (cases[i].state, "running") == 0;
    assert_int_equal (hv_fake_run_until (x.f, process_gone, &x, running ? 0 : 5000), !running);
    if (!running)
      do_ok (x.f, "start", "{\"vm\":\"a\"}");
    end (&x);
    assert_int_equal (nftw (dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
  }
}

/* --- the guest agent --- */

#define PING(n) \
  "{\"vm\":\"a\",\"timeout_ms\":700,\"command\":\"{\\\"execute\\\":\\\"guest-ping\\\",\\\"arguments\\\":{\\\"n\\\":" #n "}}\"}"

static void
assert_reply (struct hv_fake *f, const char *args, const char *expected)
{
  json_t *j = ok (f, "agent_command", "%s", args);
  if (strstr (qmp_json_str (j, "reply", ""), expected) == NULL)
    fail_msg ("'%s' is not in '%s'", expected, qmp_json_str (j, "reply", ""));
  json_decref (j);
}

/* Whatever a guest answers, the call ends in time with the right code, and the next one gets its own answer again. */
static void
test_hostile_agents (void **state)
{
  static const struct {
    const char *mode, *text;
    int code;
  } cases[] = {
    { "agent:silent", "does not answer", HV_E_DEADLINE_EXCEEDED },
    { "agent:late", "does not answer", HV_E_DEADLINE_EXCEEDED },
    { "agent:garbage", "not JSON", HV_E_DATA_LOSS },
    { "agent:deep", "deeper", HV_E_DATA_LOSS },
    { "agent:long", "longer", HV_E_RESOURCE_EXHAUSTED },
    { "agent:flood", "", HV_E_RESOURCE_EXHAUSTED },
    { "agent:close", "closed", HV_E_UNAVAILABLE },
  };
  struct fixture x;
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    begin (&x, "agent");
    do_ok (x.f, "start", "{\"vm\":\"a\"}");
    free (hv_fake_wait_event (x.f, "qmp.agent", 5000));
    assert_reply (x.f, PING (1), "\"n\":1");
    peer_mode (x.dir, cases[i].mode);
    do_fail (x.f, "agent_command", PING (2), cases[i].code, cases[i].text);
    peer_mode (x.dir, "agent");
    if (strcmp (cases[i].mode, "agent:flood") != 0) /* that one never comes back */
      assert_reply (x.f, PING (3), "\"n\":3");
    assert_vm (x.f, "a", "running", NULL); /* and the machine itself is not touched by it */
    end (&x);
  }
}

static void
test_noisy_agent (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, "agent:noise");
  do_fail (x.f, "agent_command", PING (0), HV_E_UNAVAILABLE, "no guest agent");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  free (hv_fake_wait_event (x.f, "qmp.agent", 5000));
  assert_reply (x.f, PING (1), "\"n\":1");
  assert_reply (x.f, PING (2), "\"n\":2");
  assert_reply (x.f, PING (3), "\"n\":3");
  do_fail (x.f, "agent_command", "{\"vm\":\"a\",\"command\":\"guest-ping\"}", HV_E_INVALID_ARGUMENT, "not JSON");
  end (&x);
}

/* A guest that powered off while nobody watched: QEMU waits with -no-shutdown, and is let go. */
static void
test_shut_down_unwatched (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, "");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  peer_mode (x.dir, "status:shutdown");
  hv_fake_restart (x.f);
  wait_state (x.f, "a", "stopped");
  assert_vm (x.f, "a", "stopped", "shutdown");
  end (&x);
}

/* The daemon sees the guest's end, and is gone itself when the process ends. */
static void
test_shut_down_half_watched (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, "");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  int pid = pid_of (x.f, "a");
  peer_mode (x.dir, "status:shutdown silent:quit note:quit");
  wait_noted (&x);
  assert_int_equal (kill (pid, SIGKILL), 0);
  hv_fake_restart (x.f);
  wait_state (x.f, "a", "stopped");
  assert_vm (x.f, "a", "stopped", "shutdown");
  end (&x);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_failing_starts),
    cmocka_unit_test (test_odd_but_right),
    cmocka_unit_test (test_silence),
    cmocka_unit_test (test_lost_connection),
    cmocka_unit_test (test_lost_at_last),
    cmocka_unit_test (test_shutdown),
    cmocka_unit_test (test_stop_preempts_start),
    cmocka_unit_test (test_interrupted_starts),
    cmocka_unit_test (test_shut_down_unwatched),
    cmocka_unit_test (test_shut_down_half_watched),
    cmocka_unit_test (test_hostile_agents),
    cmocka_unit_test (test_noisy_agent),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
