/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Migrations between two instances with real QEMU processes whose guests stay at the firmware, and what is left when one side
 * or the line between them goes. The two run on one thread: whoever waits lets both of them run. */
#include "harness.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define CONFIG "{\"accel\":\"tcg\",\"heartbeat_ms\":200,\"command_ms\":2000,\"quit_ms\":2000}"
#define SLOW   ",\"bytes_per_s\":100000"

struct fixture {
  struct hv_fake *from, *to;
  char dir[64], uri[128];
  struct hv_fake_call *call;
};

static void
begin (struct fixture *x)
{
  (void) snprintf (x->dir, sizeof x->dir, "/tmp/hvkit-move-XXXXXX");
  assert_non_null (mkdtemp (x->dir));
  (void) snprintf (x->uri, sizeof x->uri, "unix:%s/s", x->dir);
  x->from = hv_fake_new (&qmp_plugin, CONFIG, NULL, NULL);
  x->to = hv_fake_new (&qmp_plugin, CONFIG, NULL, NULL);
  do_ok (x->from, "define", SMALL_VM ("a", UUID_A));
  do_ok (x->from, "start", "{\"vm\":\"a\"}");
}

static int
defined (struct hv_fake *f)
{
  json_t *j = ok (f, "list", "{}");
  int n = (int) json_array_size (json_object_get (j, "items"));
  json_decref (j);
  return n;
}

static void
await (struct fixture *x, const char *uri)
{
  json_t *j = ok (x->to, "migrate_in", "{\"uri\":\"%s\",%s", uri, SMALL_VM ("a", UUID_A) + 1);
  (void) snprintf (x->uri, sizeof x->uri, "%s", qmp_json_str (j, "uri", ""));
  json_decref (j);
  assert_vm (x->to, "a", "migrating", "incoming");
}

static void
go (struct fixture *x, const char *more)
{
  char args[512];
  (void) snprintf (args, sizeof args, "{\"vm\":\"a\",\"uri\":\"%s\"%s}", x->uri, more);
  x->call = hv_fake_call_start (x->from, "migrate", args);
}

static int
never (void *arg)
{
  (void) arg;
  return 0;
}

static int
is_state (struct hv_fake *f, const char *state)
{
  json_t *j = ok (f, "list", "{}"); /* one look: it may be undefined between two */
  const json_t *vm = json_array_get (json_object_get (j, "items"), 0);
  int same = vm == NULL || state == NULL ? vm == NULL && state == NULL : strcmp (qmp_json_str (vm, "state", ""), state) == 0;
  json_decref (j);
  return same;
}

/* Both run until f's VM is in that state; NULL: not defined any more. */
static void
until (struct fixture *x, struct hv_fake *f, const char *state)
{
  time_t limit = time (NULL) + 30;
  while (!is_state (f, state)) {
    if (time (NULL) > limit) {
      char *s = vm_text (f, "a", "state"), *d = vm_text (f, "a", "detail");
      fail_msg ("VM is %s (%s) and not %s", s, d, state != NULL ? state : "gone");
    }
    (void) hv_fake_run_until (x->from, never, NULL, 5);
    (void) hv_fake_run_until (x->to, never, NULL, 5);
  }
}

static void
end (struct fixture *x)
{
  struct hv_fake *both[] = { x->from, x->to };
  for (int i = 0; i < 2; i++) {
    int waits = is_state (both[i], "migrating"); /* defined only to come */
    if (defined (both[i]))
      do_ok (both[i], "stop", "{\"vm\":\"a\"}");
    if (waits)
      until (x, both[i], NULL);
    if (defined (both[i]))
      do_ok (both[i], "undefine", "{\"vm\":\"a\"}");
  }
  hv_fake_free (x->from);
  hv_fake_free (x->to);
  assert_int_equal (rmdir (x->dir), 0); /* the socket, too, is gone */
}

/* Both run until the source says that its migration is over; the answer, malloc'd. */
static char *
answer (struct fixture *x, int *ret_code)
{
  time_t limit = time (NULL) + 30;
  char *event = NULL;
  while ((event = hv_fake_wait_event (x->from, "qmp.job_completed", 5)) == NULL) {
    assert_true (time (NULL) < limit);
    (void) hv_fake_run_until (x->to, never, NULL, 5);
  }
  free (event);
  return hv_fake_call_finish (x->call, ret_code);
}

static json_t *
moved (struct fixture *x)
{
  int code;
  char *text = answer (x, &code);
  if (code != 0)
    fail_msg ("migrate: %d %s", code, text);
  json_t *j = json_loads (text, 0, NULL);
  free (text);
  assert_vm (x->from, "a", "stopped", "migrated");
  assert_int_equal (pid_of (x->from, "a"), 0);
  return j;
}

static void
not_moved (struct fixture *x, int code, const char *words)
{
  int got;
  char *text = answer (x, &got);
  if (got != code || strstr (text, words) == NULL)
    fail_msg ("%d '%s' and not %d '%s'", got, text, code, words);
  free (text);
}

/* Waits until bytes move. */
static void
flowing (struct fixture *x)
{
  for (int i = 0; i < 2000; i++) {
    char *event = hv_fake_wait_event (x->from, "qmp.migration", 5);
    (void) hv_fake_run_until (x->to, never, NULL, 5);
    int active = event != NULL && strstr (event, "\"active\"") != NULL;
    free (event);
    if (active)
      return;
  }
  fail_msg ("no stream");
}

static void
test_unix (void **state)
{
  struct fixture x;
  struct stat st;
  (void) state;
  begin (&x);
  await (&x, x.uri);
  assert_int_equal (stat (x.uri + 5, &st), 0);
  assert_int_equal (st.st_mode & 0777, 0600);
  do_fail (x.to, "resume", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "is migrating");
  do_fail (x.to, "start", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "is migrating");
  go (&x, "");
  json_t *j = moved (&x);
  assert_true (qmp_json_int (j, "transferred_bytes", 0) > 0);
  assert_true (qmp_json_int (j, "downtime_ms", 0) > 0);
  json_decref (j);
  assert_vm (x.to, "a", "running", "migrated");
  until (&x, x.to, "running");
  hv_fake_restart (x.to);
  assert_vm (x.to, "a", "running", NULL);
  end (&x);
}

static void
test_tcp (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  await (&x, "tcp:127.0.0.1:0");
  char *slash = strrchr (x.uri, '/');
  assert_non_null (slash);
  assert_null (strstr (x.uri, ":0/"));
  char good[128];
  (void) snprintf (good, sizeof good, "%s", x.uri);
  slash[1] = slash[1] == '0' ? '1' : '0'; /* somebody who was not told */
  go (&x, "");
  not_moved (&x, HV_E_FAILED_PRECONDITION, "token");
  assert_vm (x.from, "a", "running", NULL);
  assert_vm (x.to, "a", "migrating", NULL);
  (void) snprintf (x.uri, sizeof x.uri, "%s", good);
  go (&x, ",\"auto_converge\":true");
  json_decref (moved (&x));
  assert_vm (x.to, "a", "running", "migrated");
  end (&x);
}

static void
test_paused (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  do_ok (x.from, "pause", "{\"vm\":\"a\"}");
  await (&x, x.uri);
  go (&x, "");
  json_decref (moved (&x));
  assert_vm (x.to, "a", "paused", "migrated");
  do_ok (x.to, "resume", "{\"vm\":\"a\"}");
  assert_vm (x.to, "a", "running", "resumed");
  end (&x);
}

static void
test_post_copy (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  await (&x, x.uri);
  go (&x, ",\"post_copy\":true,\"bytes_per_s\":4000000");
  json_decref (moved (&x));
  until (&x, x.to, "running");
  end (&x);
}

static void
test_refused (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  go (&x, ""); /* nobody listens */
  not_moved (&x, HV_E_UNAVAILABLE, "connect");
  json_decref (ok (x.to, "migrate_in",
                   "{\"vm\":\"a\",\"uri\":\"%s\",\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A "\",\"memory_bytes\":134217728}}",
                   x.uri));
  go (&x, "");
  not_moved (&x, HV_E_FAILED_PRECONDITION, "machine.memory_bytes is 134217728 here and 67108864 there");
  assert_vm (x.from, "a", "running", NULL);
  assert_vm (x.to, "a", "migrating", NULL); /* still waiting for the right one */
  do_ok (x.to, "stop", "{\"vm\":\"a\"}");
  until (&x, x.to, NULL); /* migrate_in had defined it */
  char *text = fails (x.from, HV_E_UNIMPLEMENTED, "migrate", "{\"vm\":\"a\",\"uri\":\"%s\",\"copy_storage\":true}", x.uri);
  assert_non_null (strstr (text, "copy_storage"));
  free (text);
  do_fail (x.to, "migrate_in",
           "{\"uri\":\"unix:relative\",\"vm\":\"a\",\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A
           "\",\"memory_bytes\":67108864}}",
           HV_E_INVALID_ARGUMENT, "absolute");
  do_fail (x.to, "migrate_in",
           "{\"uri\":\"tcp:1.2.3.4:99999\",\"vm\":\"a\",\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A
           "\",\"memory_bytes\":67108864}}",
           HV_E_INVALID_ARGUMENT, "port");
  assert_int_equal (defined (x.to), 0);
  end (&x);
}

/* What was plugged in stands where it would not stand after a start: that is said before anything moves. */
static void
test_plugged_in (void **state)
{
  struct fixture x;
  char disk[128];
  (void) state;
  begin (&x);
  (void) snprintf (disk, sizeof disk, "%s/disk.img", x.dir);
  FILE *file = fopen (disk, "w");
  assert_true (file != NULL && ftruncate (fileno (file), 1 << 20) == 0 && fclose (file) == 0);
#define DISK "{\"name\":\"later\",\"path\":\"%s\",\"format\":\"raw\",\"read_only\":true}"
  json_decref (ok (x.from, "attach", "{\"vm\":\"a\",\"disk\":" DISK "}", disk));
  await (&x, x.uri);
  go (&x, "");
  not_moved (&x, HV_E_FAILED_PRECONDITION, "disks: how many");
  do_ok (x.to, "stop", "{\"vm\":\"a\"}");
  until (&x, x.to, NULL);
  json_decref (ok (x.to, "migrate_in",
                   "{\"vm\":\"a\",\"uri\":\"%s\",\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A
                   "\",\"memory_bytes\":67108864,\"disks\":[" DISK "]}}",
                   x.uri, disk));
  go (&x, "");
  not_moved (&x, HV_E_FAILED_PRECONDITION, "stands at pci.");
  assert_vm (x.from, "a", "running", NULL);
  assert_int_equal (unlink (disk), 0);
  end (&x);
}

/* One that was defined before stays defined. */
static void
test_defined_before (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  do_ok (x.to, "define", SMALL_VM ("a", UUID_B));
  char *text = fails (x.to, HV_E_ALREADY_EXISTS, "migrate_in", "{\"uri\":\"%s\",%s", x.uri, SMALL_VM ("a", UUID_A) + 1);
  free (text);
  do_ok (x.to, "undefine", "{\"vm\":\"a\"}");
  do_ok (x.to, "define", SMALL_VM ("a", UUID_A));
  await (&x, x.uri);
  go (&x, SLOW);
  flowing (&x);
  hv_fake_call_cancel (x.call);
  not_moved (&x, HV_E_CANCELLED, "");
  until (&x, x.to, "stopped");
  assert_vm (x.to, "a", "stopped", "migration_failed");
  end (&x);
}

static void
test_cancelled (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  int pid = pid_of (x.from, "a");
  await (&x, x.uri);
  go (&x, SLOW);
  flowing (&x);
  hv_fake_call_cancel (x.call);
  not_moved (&x, HV_E_CANCELLED, "");
  until (&x, x.to, NULL);
  assert_vm (x.from, "a", "running", NULL);
  assert_int_equal (pid_of (x.from, "a"), pid);
  (void) snprintf (x.uri, sizeof x.uri, "unix:%s/s", x.dir);
  await (&x, x.uri); /* and again, to the end */
  go (&x, "");
  json_decref (moved (&x));
  end (&x);
}

static void
test_target_dies (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  int pid = pid_of (x.from, "a");
  await (&x, x.uri);
  go (&x, SLOW);
  flowing (&x);
  assert_int_equal (kill (pid_of (x.to, "a"), SIGKILL), 0);
  not_moved (&x, HV_E_ABORTED, "signal 9");
  assert_vm (x.from, "a", "running", NULL);
  assert_int_equal (pid_of (x.from, "a"), pid);
  until (&x, x.to, NULL);
  end (&x);
}

static void
test_source_dies (void **state)
{
  struct fixture x;
  int code;
  (void) state;
  begin (&x);
  await (&x, x.uri);
  go (&x, SLOW);
  flowing (&x);
  assert_int_equal (kill (pid_of (x.from, "a"), SIGKILL), 0);
  free (answer (&x, &code));
  assert_int_not_equal (code, 0);
  assert_vm (x.from, "a", "crashed", "crashed");
  until (&x, x.to, NULL);
  end (&x);
}

static void
test_garbage (void **state)
{
  static const char *const words[]
      = { "GET / HTTP/1.0\r\n\r\n", "HVKMIGR1\xff\xff\xff\xff", "HVKMIGR1\0\0\0\3abc", "QEVM\0\0\0\3and then some more of that" };
  static const size_t sizes[] = { 18, 12, 15, 30 };
  struct fixture x;
  (void) state;
  begin (&x);
  await (&x, x.uri);
  int pid = pid_of (x.to, "a");
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  (void) snprintf (a.sun_path, sizeof a.sun_path, "%s/s", x.dir);
  for (size_t i = 0; i < 4; i++) {
    int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal (connect (fd, (struct sockaddr *) &a, sizeof a), 0);
    assert_true (send (fd, words[i], sizes[i], MSG_NOSIGNAL) > 0);
    (void) hv_fake_run_until (x.to, never, NULL, 50);
    char text[4096];
    ssize_t n = recv (fd, text, sizeof text, MSG_DONTWAIT);
    assert_true (n > 12); /* it was told why */
    (void) close (fd);
  }
  assert_vm (x.to, "a", "migrating", "incoming");
  assert_int_equal (pid_of (x.to, "a"), pid);
  go (&x, "");
  json_decref (moved (&x));
  assert_int_equal (pid_of (x.to, "a"), pid);
  end (&x);
}

static void
test_target_restarts_while_it_waits (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  await (&x, x.uri);
  int pid = pid_of (x.to, "a");
  hv_fake_restart (x.to);
  assert_vm (x.to, "a", "migrating", "incoming");
  assert_int_equal (pid_of (x.to, "a"), pid);
  hv_fake_restart (x.to);
  go (&x, "");
  json_decref (moved (&x));
  assert_vm (x.to, "a", "running", "migrated");
  assert_int_equal (pid_of (x.to, "a"), pid);
  end (&x);
}

static void
test_target_restarts_in_the_middle (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  await (&x, x.uri);
  int pid = pid_of (x.to, "a");
  go (&x, ",\"bytes_per_s\":2000000");
  flowing (&x);
  hv_fake_restart (x.to);
  json_decref (moved (&x));
  until (&x, x.to, "running");
  assert_int_equal (pid_of (x.to, "a"), pid);
  end (&x);
}

static void
test_source_restarts_in_the_middle (void **state)
{
  struct fixture x;
  int code;
  (void) state;
  begin (&x);
  await (&x, x.uri);
  go (&x, ",\"bytes_per_s\":2000000");
  flowing (&x);
  hv_fake_restart (x.from);
  free (hv_fake_call_finish (x.call, &code));
  assert_int_not_equal (code, 0);
  until (&x, x.from, "stopped");
  assert_vm (x.from, "a", "stopped", "migrated");
  until (&x, x.to, "running");
  assert_vm (x.to, "a", "running", "migrated");
  end (&x);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_unix),
    cmocka_unit_test (test_tcp),
    cmocka_unit_test (test_paused),
    cmocka_unit_test (test_post_copy),
    cmocka_unit_test (test_refused),
    cmocka_unit_test (test_defined_before),
    cmocka_unit_test (test_plugged_in),
    cmocka_unit_test (test_cancelled),
    cmocka_unit_test (test_target_dies),
    cmocka_unit_test (test_source_dies),
    cmocka_unit_test (test_garbage),
    cmocka_unit_test (test_target_restarts_while_it_waits),
    cmocka_unit_test (test_target_restarts_in_the_middle),
    cmocka_unit_test (test_source_restarts_in_the_middle),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
