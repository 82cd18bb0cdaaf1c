/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* save and restore with real QEMU processes whose guests stay at the firmware, and every way in which they do not work out. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define CONFIG "{\"accel\":\"tcg\",\"heartbeat_ms\":200,\"command_ms\":2000,\"quit_ms\":2000}"

struct fixture {
  struct hv_fake *f;
  char dir[64], path[128];
};

static void
begin (struct fixture *x)
{
  (void) snprintf (x->dir, sizeof x->dir, "/tmp/hvkit-save-XXXXXX");
  assert_non_null (mkdtemp (x->dir));
  (void) snprintf (x->path, sizeof x->path, "%s/a.save", x->dir);
  x->f = hv_fake_new (&qmp_plugin, CONFIG, NULL, NULL);
  do_ok (x->f, "define", SMALL_VM ("a", UUID_A));
}

static void
end (struct fixture *x)
{
  do_ok (x->f, "stop", "{\"vm\":\"a\"}");
  do_ok (x->f, "undefine", "{\"vm\":\"a\"}");
  hv_fake_free (x->f);
  (void) unlink (x->path);
  assert_int_equal (rmdir (x->dir), 0); /* nothing else was left there */
}

static void
save (struct fixture *x)
{
  json_decref (ok (x->f, "save", "{\"vm\":\"a\",\"path\":\"%s\"}", x->path));
}

static void
expect_job (struct hv_fake *f, const char *job, int success)
{
  char *text = hv_fake_wait_event (f, "qmp.job_completed", 5000);
  assert_non_null (text);
  json_t *j = json_loads (text, 0, NULL);
  assert_string_equal (qmp_json_str (j, "job", ""), job);
  assert_int_equal (qmp_json_bool (j, "ok", -1), success);
  json_decref (j);
  free (text);
}

static void
test_there_and_back (void **state)
{
  struct fixture x;
  struct stat st;
  (void) state;
  begin (&x);
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  int pid = pid_of (x.f, "a");
  save (&x);
  assert_vm (x.f, "a", "stopped", "saved");
  expect_job (x.f, "save", 1);
  assert_int_equal (stat (x.path, &st), 0);
  assert_int_equal (st.st_mode & 0777, 0600);
  assert_int_not_equal (kill (pid, 0), 0);
  json_decref (ok (x.f, "restore", "{\"vm\":\"a\",\"path\":\"%s\"}", x.path));
  assert_vm (x.f, "a", "running", "restored");
  expect_job (x.f, "restore", 1);
  free (fails (x.f, HV_E_FAILED_PRECONDITION, "restore", "{\"vm\":\"a\",\"path\":\"%s\"}", x.path)); /* it runs */
  free (fails (x.f, HV_E_ALREADY_EXISTS, "save", "{\"vm\":\"a\",\"path\":\"%s\"}", x.path));
  assert_vm (x.f, "a", "running", NULL);
  do_ok (x.f, "stop", "{\"vm\":\"a\"}");
  json_decref (ok (x.f, "restore", "{\"vm\":\"a\",\"path\":\"%s\",\"paused\":true}", x.path));
  assert_vm (x.f, "a", "paused", "restored");
  do_ok (x.f, "resume", "{\"vm\":\"a\"}");
  assert_vm (x.f, "a", "running", "resumed");
  end (&x);
}

static void
test_paused_guest (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  do_ok (x.f, "pause", "{\"vm\":\"a\"}");
  save (&x);
  assert_vm (x.f, "a", "stopped", "saved");
  free (fails (x.f, HV_E_FAILED_PRECONDITION, "save", "{\"vm\":\"a\",\"path\":\"%s/b\"}", x.dir));
  json_decref (ok (x.f, "restore", "{\"vm\":\"a\",\"path\":\"%s\"}", x.path));
  assert_vm (x.f, "a", "running", "restored");
  end (&x);
}

/* A machine that was changed while it ran is put together again as it was, not as it would be started. */
static void
test_plugged_in (void **state)
{
  static const char *const buses[] = { "virtio", "scsi", "usb" };
  struct fixture x;
  char disk[128];
  (void) state;
  begin (&x);
  (void) snprintf (disk, sizeof disk, "%s/disk.img", x.dir);
  int fd = open (disk, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_true (fd >= 0 && ftruncate (fd, 1 << 20) == 0 && close (fd) == 0);
  json_decref (
      ok (x.f, "define",
          "{\"vm\":\"a\",\"replace\":true,\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A
          "\",\"memory_bytes\":67108864,\"rng\":true,\"inputs\":[{\"name\":\"t\"}],\"disks\":[{\"name\":\"first\",\"path\":\"%s\","
          "\"format\":\"raw\",\"read_only\":true},{\"name\":\"second\",\"path\":\"%s\",\"format\":\"raw\",\"read_only\":true}]}}",
          disk, disk));
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  for (size_t i = 0; i < 3; i++)
    json_decref (
        ok (x.f, "attach",
            "{\"vm\":\"a\",\"disk\":{\"name\":\"later-%s\",\"bus\":\"%s\",\"path\":\"%s\",\"format\":\"raw\",\"read_only\":true}}",
            buses[i], buses[i], disk));
  save (&x);
  json_decref (ok (x.f, "restore", "{\"vm\":\"a\",\"path\":\"%s\"}", x.path));
  assert_vm (x.f, "a", "running", "restored");
  assert_int_equal (unlink (x.path), 0);
  save (&x); /* and once more, from there */
  json_decref (ok (x.f, "restore", "{\"vm\":\"a\",\"path\":\"%s\"}", x.path));
  json_t *j = ok (x.f, "block_info", "{\"vm\":\"a\"}");
  assert_int_equal (json_array_size (json_object_get (j, "items")), 5);
  json_decref (j);
  assert_int_equal (unlink (disk), 0);
  end (&x);
}

/* --- files that are not what they should be --- */

static void
change (const char *path, off_t at, const char *bytes, size_t n)
{
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  assert_true (fd >= 0);
  assert_int_equal (pwrite (fd, bytes, n, at), n);
  assert_int_equal (close (fd), 0);
}

static void
refused (struct fixture *x, int code, const char *words)
{
  char *text = fails (x->f, code, "restore", "{\"vm\":\"a\",\"path\":\"%s\"}", x->path);
  if (strstr (text, words) == NULL)
    fail_msg ("'%s' is not in '%s'", words, text);
  free (text);
  char *state = vm_text (x->f, "a", "state");
  assert_string_equal (state, "stopped");
  free (state);
  assert_int_equal (pid_of (x->f, "a"), 0);
}

static void
test_bad_files (void **state)
{
  struct fixture x;
  struct stat st;
  (void) state;
  begin (&x);
  refused (&x, HV_E_NOT_FOUND, "a.save");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  save (&x);
  assert_int_equal (stat (x.path, &st), 0);
  change (x.path, 100, "XXXX", 4); /* in the machine */
  refused (&x, HV_E_DATA_LOSS, "damaged");
  change (x.path, 0, "HVKSAVF", 7);
  refused (&x, HV_E_FAILED_PRECONDITION, "not a saved machine");
  change (x.path, 0, "HVKSAVE\n\0\0\0\2", 12);
  refused (&x, HV_E_FAILED_PRECONDITION, "format 2");
  assert_int_equal (truncate (x.path, 10), 0);
  refused (&x, HV_E_FAILED_PRECONDITION, "not a saved machine");
  end (&x);
}

static void
test_bad_stream (void **state)
{
  struct fixture x;
  struct stat st;
  (void) state;
  begin (&x);
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  save (&x);
  assert_int_equal (stat (x.path, &st), 0);
  change (x.path, 4096, "garbage", 7); /* QEMU's own head */
  refused (&x, HV_E_DATA_LOSS, "QEMU could not read it");
  assert_vm (x.f, "a", "stopped", "restore_failed");
  assert_int_equal (truncate (x.path, st.st_size / 2), 0);
  refused (&x, HV_E_DATA_LOSS, "bytes of state");
  end (&x);
}

static void
test_another_machine (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  save (&x);
  do_ok (x.f, "undefine", "{\"vm\":\"a\"}");
  do_ok (x.f, "define", SMALL_VM ("a", UUID_B));
  refused (&x, HV_E_FAILED_PRECONDITION, UUID_A);
  refused (&x, HV_E_FAILED_PRECONDITION, UUID_B);
  end (&x);
}

/* --- a save that does not get through: the guest goes on, and there is no file --- */

static void
test_full_disk (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  assert_int_equal (mount ("none", x.dir, "tmpfs", 0, "size=64k"), 0);
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  int pid = pid_of (x.f, "a");
  char *text = fails (x.f, HV_E_RESOURCE_EXHAUSTED, "save", "{\"vm\":\"a\",\"path\":\"%s\"}", x.path);
  assert_non_null (strstr (text, "no space"));
  free (text);
  expect_job (x.f, "save", 0);
  wait_state (x.f, "a", "running");
  assert_int_equal (pid_of (x.f, "a"), pid);
  assert_int_equal (umount (x.dir), 0);
  save (&x); /* and nothing is in the way of the next */
  assert_vm (x.f, "a", "stopped", "saved");
  end (&x);
}

static void
test_cancelled (void **state)
{
  struct fixture x;
  char args[256];
  int code;
  (void) state;
  begin (&x);
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  (void) snprintf (args, sizeof args, "{\"vm\":\"a\",\"path\":\"%s\"}", x.path);
  struct hv_fake_call *c = hv_fake_call_start (x.f, "save", args);
  free (hv_fake_wait_event (x.f, "qmp.migration", 5000));
  hv_fake_call_cancel (c);
  char *text = hv_fake_call_finish (c, &code);
  if (code == 0) { /* it was quicker */
    assert_vm (x.f, "a", "stopped", "saved");
  } else {
    assert_int_equal (code, HV_E_CANCELLED);
    wait_state (x.f, "a", "running");
    assert_int_not_equal (access (x.path, F_OK), 0);
  }
  free (text);
  end (&x);
}

static void
test_killed_meanwhile (void **state)
{
  struct fixture x;
  char args[256];
  int code;
  (void) state;
  begin (&x);
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  int pid = pid_of (x.f, "a");
  assert_int_equal (kill (pid, SIGSTOP), 0);
  (void) snprintf (args, sizeof args, "{\"vm\":\"a\",\"path\":\"%s\"}", x.path);
  struct hv_fake_call *c = hv_fake_call_start (x.f, "save", args);
  free (hv_fake_wait_event (x.f, "qmp.lifecycle", 300));
  assert_int_equal (kill (pid, SIGKILL), 0);
  char *text = hv_fake_call_finish (c, &code);
  assert_int_not_equal (code, 0);
  free (text);
  wait_state (x.f, "a", "crashed");
  assert_int_not_equal (access (x.path, F_OK), 0);
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  end (&x);
}

/* The daemon goes while QEMU does not answer: the next one finds out that nothing was saved and lets the guest go on. */
static void
test_restart_meanwhile (void **state)
{
  struct fixture x;
  char args[256];
  int code;
  (void) state;
  begin (&x);
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  int pid = pid_of (x.f, "a");
  assert_int_equal (kill (pid, SIGSTOP), 0);
  (void) snprintf (args, sizeof args, "{\"vm\":\"a\",\"path\":\"%s\"}", x.path);
  struct hv_fake_call *c = hv_fake_call_start (x.f, "save", args);
  free (hv_fake_wait_event (x.f, "qmp.lifecycle", 300));
  hv_fake_call_cancel (c);
  free (hv_fake_call_finish (c, &code));
  assert_int_equal (code, HV_E_CANCELLED);
  hv_fake_restart (x.f);
  assert_int_equal (kill (pid, SIGCONT), 0);
  wait_state (x.f, "a", "running");
  assert_int_equal (pid_of (x.f, "a"), pid);
  assert_int_not_equal (access (x.path, F_OK), 0);
  save (&x);
  assert_vm (x.f, "a", "stopped", "saved");
  end (&x);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_there_and_back),    cmocka_unit_test (test_paused_guest), cmocka_unit_test (test_plugged_in),
    cmocka_unit_test (test_bad_files),         cmocka_unit_test (test_bad_stream),   cmocka_unit_test (test_another_machine),
    cmocka_unit_test (test_full_disk),         cmocka_unit_test (test_cancelled),    cmocka_unit_test (test_killed_meanwhile),
    cmocka_unit_test (test_restart_meanwhile),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
