/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real QEMU processes through their whole life, including the ends nobody asked for. The guests stay at the firmware. */
#include "harness.h"

#include <signal.h>
#include <sys/stat.h>

#define CONFIG "{\"accel\":\"tcg\",\"heartbeat_ms\":100,\"command_ms\":400,\"quit_ms\":2000}"

static struct hv_fake *
begin (void)
{
  struct hv_fake *f = hv_fake_new (&qmp_plugin, CONFIG, NULL, NULL);
  do_ok (f, "define", SMALL_VM ("a", UUID_A));
  return f;
}

static void
end (struct hv_fake *f)
{
  do_ok (f, "stop", "{\"vm\":\"a\"}");
  do_ok (f, "undefine", "{\"vm\":\"a\"}");
  hv_fake_free (f);
}

static void
test_life (void **state)
{
  struct hv_fake *f = begin ();
  (void) state;
  assert_vm (f, "a", "stopped", "defined");
  do_ok (f, "start", "{\"vm\":\"a\"}");
  assert_vm (f, "a", "running", "booted");
  expect_event (f, "starting", NULL);
  expect_event (f, "running", "booted");
  do_fail (f, "start", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "is running");
  do_fail (f, "undefine", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "is running");
  do_fail (f, "define", SMALL_VM ("a", UUID_A), HV_E_ALREADY_EXISTS, "defined already");
  do_ok (f, "pause", "{\"vm\":\"a\"}");
  assert_vm (f, "a", "paused", "user");
  do_ok (f, "pause", "{\"vm\":\"a\"}");
  do_fail (f, "shutdown", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "paused");
  do_ok (f, "resume", "{\"vm\":\"a\"}");
  assert_vm (f, "a", "running", "resumed");
  do_fail (f, "agent_command", "{\"vm\":\"a\",\"command\":\"{\\\"execute\\\":\\\"guest-ping\\\"}\"}", HV_E_UNAVAILABLE,
           "no guest agent");
  do_ok (f, "stop", "{\"vm\":\"a\"}");
  assert_vm (f, "a", "stopped", "destroyed");
  do_ok (f, "stop", "{\"vm\":\"a\"}");
  do_fail (f, "pause", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "is stopped");
  do_ok (f, "undefine", "{\"vm\":\"a\"}");
  do_fail (f, "get", "{\"vm\":\"a\"}", HV_E_NOT_FOUND, "not defined");
  hv_fake_free (f);
}

static void
test_start_paused (void **state)
{
  struct hv_fake *f = begin ();
  (void) state;
  do_ok (f, "start", "{\"vm\":\"a\",\"paused\":true}");
  assert_vm (f, "a", "paused", "start_paused");
  int pid = pid_of (f, "a");
  hv_fake_restart (f); /* paused on purpose is not a start that was interrupted */
  assert_int_equal (pid_of (f, "a"), pid);
  assert_vm (f, "a", "paused", "start_paused");
  do_ok (f, "resume", "{\"vm\":\"a\"}");
  assert_vm (f, "a", "running", NULL);
  end (f);
}

static void
test_killed (void **state)
{
  struct hv_fake *f = begin ();
  (void) state;
  do_ok (f, "start", "{\"vm\":\"a\"}");
  assert_int_equal (kill (pid_of (f, "a"), SIGKILL), 0);
  expect_event (f, "crashed", "crashed");
  assert_vm (f, "a", "crashed", "crashed");
  char *detail = vm_text (f, "a", "detail");
  assert_non_null (strstr (detail, "signal 9"));
  free (detail);
  assert_int_equal (pid_of (f, "a"), 0);
  do_ok (f, "start", "{\"vm\":\"a\"}");
  assert_vm (f, "a", "running", "booted");
  end (f);
}

static void
test_stuck_and_back (void **state)
{
  struct hv_fake *f = begin ();
  (void) state;
  do_ok (f, "start", "{\"vm\":\"a\"}");
  int pid = pid_of (f, "a");
  assert_int_equal (kill (pid, SIGSTOP), 0);
  wait_state (f, "a", "unreachable");
  do_fail (f, "pause", "{\"vm\":\"a\"}", HV_E_UNAVAILABLE, "is unreachable");
  json_t *j = ok (f, "list", "{}"); /* never waits for a VM */
  assert_int_equal (json_array_size (json_object_get (j, "items")), 1);
  json_decref (j);
  assert_int_equal (kill (pid, SIGCONT), 0);
  wait_state (f, "a", "running");
  assert_int_equal (pid_of (f, "a"), pid);
  do_ok (f, "pause", "{\"vm\":\"a\"}");
  /* and one that stays stuck is still destroyed when asked for */
  assert_int_equal (kill (pid, SIGSTOP), 0);
  wait_state (f, "a", "unreachable");
  end (f);
}

static void
test_restart_adopts (void **state)
{
  struct hv_fake *f = begin ();
  (void) state;
  do_ok (f, "define", SMALL_VM ("b", UUID_B));
  do_ok (f, "start", "{\"vm\":\"a\"}");
  do_ok (f, "start", "{\"vm\":\"b\"}");
  int a = pid_of (f, "a"), b = pid_of (f, "b");
  do_ok (f, "pause", "{\"vm\":\"b\"}");
  hv_fake_restart (f);
  assert_int_equal (pid_of (f, "a"), a);
  assert_int_equal (pid_of (f, "b"), b);
  assert_vm (f, "a", "running", NULL);
  assert_vm (f, "b", "paused", NULL);
  do_ok (f, "resume", "{\"vm\":\"b\"}");
  do_ok (f, "pause", "{\"vm\":\"a\"}");
  do_ok (f, "stop", "{\"vm\":\"b\"}");
  do_ok (f, "undefine", "{\"vm\":\"b\"}");
  end (f);
}

/* While nobody watched, one process is frozen and another is gone. The first is left alone, the second is known to be gone. */
static void
test_restart_finds_trouble (void **state)
{
  struct hv_fake *f = begin ();
  (void) state;
  do_ok (f, "define", SMALL_VM ("b", UUID_B));
  do_ok (f, "start", "{\"vm\":\"a\"}");
  do_ok (f, "start", "{\"vm\":\"b\"}");
  int a = pid_of (f, "a"), b = pid_of (f, "b");
  assert_int_equal (kill (a, SIGSTOP), 0);
  assert_int_equal (kill (b, SIGKILL), 0);
  hv_fake_restart (f);
  wait_state (f, "b", "crashed");
  wait_state (f, "a", "unmanaged");
  assert_int_equal (pid_of (f, "a"), a);
  assert_int_equal (kill (a, 0), 0);
  assert_int_equal (kill (a, SIGCONT), 0);
  wait_state (f, "a", "running");
  assert_int_equal (pid_of (f, "a"), a);
  do_ok (f, "undefine", "{\"vm\":\"b\"}");
  end (f);
}

static void
test_cannot_start (void **state)
{
  struct hv_fake *f = hv_fake_new (&qmp_plugin, CONFIG, NULL, NULL);
  (void) state;
  do_ok (f, "define",
         "{\"vm\":\"a\",\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A
         "\",\"memory_bytes\":67108864,\"disks\":[{\"name\":\"root\",\"path\":\"/nonexistent/"
         "disk.img\",\"format\":\"raw\"}]}}");
  do_fail (f, "start", "{\"vm\":\"a\"}", HV_E_NOT_FOUND, "/nonexistent/disk.img");
  assert_vm (f, "a", "stopped", "defined");
  /* what only QEMU can tell comes back in its own words */
  do_ok (f, "define",
         "{\"vm\":\"a\",\"replace\":true,\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A
         "\",\"memory_bytes\":67108864,\"cpu\":{\"model\":\"no-such-model\"}}}");
  do_fail (f, "start", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "no-such-model");
  assert_vm (f, "a", "stopped", "start_failed");
  assert_int_equal (pid_of (f, "a"), 0);
  end (f);
}

static void
test_refusals (void **state)
{
#define M(more) "{\"vm\":\"a\",\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A "\",\"memory_bytes\":67108864" more "}}"
#define D(more) M (",\"disks\":[{\"name\":\"d\",\"path\":\"/d\",\"format\":\"raw\"" more "}]")
  static const struct {
    const char *args, *text;
    int code;
  } cases[] = {
    { M (",\"firmware\":\"efi-secure\""), "machine.firmware", HV_E_UNIMPLEMENTED },
    { M (",\"arch\":\"arm64\""), "machine.arch", HV_E_UNIMPLEMENTED },
    { M (",\"machine\":\"microvm\""), "machine.machine", HV_E_UNIMPLEMENTED },
    { M (",\"machine\":\"pc-q35-7.2,accel=kvm\""), "machine.machine", HV_E_INVALID_ARGUMENT },
    { M (",\"cpu\":{\"model\":\"max,+x\"}"), "machine.cpu.model", HV_E_INVALID_ARGUMENT },
    { M (",\"cpu\":{\"model\":\"host-passthrough\"}"), "machine.cpu.model", HV_E_UNIMPLEMENTED },
    { M (",\"cpu\":{\"sockets\":16,\"cores\":16,\"threads\":2}"), "machine.cpu", HV_E_UNIMPLEMENTED },
    { M (",\"watchdog\":\"diag288\""), "machine.watchdog", HV_E_UNIMPLEMENTED },
    { M (",\"inputs\":[{\"name\":\"k\",\"type\":\"keyboard\"}]"), "machine.inputs[0].type", HV_E_UNIMPLEMENTED },
    { M (",\"smbios\":{\"colour\":\"red\"}"), "colour", HV_E_INVALID_ARGUMENT },
    { D (",\"media\":\"cdrom\""), "machine.disks[0].bus", HV_E_INVALID_ARGUMENT },
    { D (",\"bus\":\"sata\",\"read_only\":true"), "machine.disks[0].read_only", HV_E_UNIMPLEMENTED },
    { D (",\"backing\":[{\"path\":\"/b\",\"format\":\"raw\"}]"), "machine.disks[0].backing[0]", HV_E_INVALID_ARGUMENT },
    { M (",\"inputs\":[{\"name\":\"k\"},{\"name\":\"k\"}]"), "two devices", HV_E_INVALID_ARGUMENT },
    { "{\"vm\":\"b\",\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A "\",\"memory_bytes\":67108864}}", "differ",
      HV_E_INVALID_ARGUMENT },
    { "{\"vm\":\"../a\",\"machine\":{\"name\":\"../a\",\"uuid\":\"" UUID_A "\",\"memory_bytes\":67108864}}", "machine.name",
      HV_E_INVALID_ARGUMENT },
  };
  struct hv_fake *f = hv_fake_new (&qmp_plugin, CONFIG, NULL, NULL);
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    do_fail (f, "define", cases[i].args, cases[i].code, cases[i].text);
  json_t *j = ok (f, "list", "{}");
  assert_int_equal (json_array_size (json_object_get (j, "items")), 0);
  json_decref (j);
  do_ok (f, "define", SMALL_VM ("a", UUID_A));
  do_fail (f, "define", SMALL_VM ("b", UUID_A), HV_E_ALREADY_EXISTS, "is that of VM 'a'");
  hv_fake_free (f);
}

static void
test_pages (void **state)
{
  static const char *const names[] = { "c", "a", "b" };
  struct hv_fake *f = hv_fake_new (&qmp_plugin, CONFIG, NULL, NULL);
  (void) state;
  for (size_t i = 0; i < 3; i++)
    json_decref (ok (f, "define",
                     "{\"vm\":\"%s\",\"machine\":{\"name\":\"%s\",\"uuid\":\"d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c%zu\",\"memory_"
                     "bytes\":67108864}}",
                     names[i], names[i], i));
  json_t *j = ok (f, "list", "{\"limit\":2}");
  json_t *items = json_object_get (j, "items");
  assert_int_equal (json_array_size (items), 2);
  assert_string_equal (qmp_json_str (json_array_get (items, 1), "vm", ""), "b");
  assert_string_equal (qmp_json_str (j, "continue_from", ""), "b");
  json_t *rest = ok (f, "list", "{\"limit\":2,\"continue_from\":\"b\"}");
  assert_int_equal (json_array_size (json_object_get (rest, "items")), 1);
  assert_null (json_object_get (rest, "continue_from"));
  json_decref (rest);
  json_decref (j);
  hv_fake_restart (f);
  j = ok (f, "list", "{}");
  assert_int_equal (json_array_size (json_object_get (j, "items")), 3);
  json_decref (j);
  hv_fake_free (f);
}

/* Files of ours that the process holds open, other than its logs. */
static int
stray_files (int pid, const char *dir)
{
  char path[64], target[4096];
  int strays = 0;
  for (int fd = 0; fd < 256; fd++) {
    (void) snprintf (path, sizeof path, "/proc/%d/fd/%d", pid, fd);
    ssize_t n = readlink (path, target, sizeof target - 1);
    if (n <= 4)
      continue;
    target[n] = '\0';
    strays += strncmp (target, dir, strlen (dir)) == 0 && strcmp (target + n - 4, ".log") != 0;
  }
  return strays;
}

static void
test_leaves_nothing (void **state)
{
  struct hv_fake *f = begin ();
  struct stat st;
  (void) state;
  do_ok (f, "start", "{\"vm\":\"a\"}");
  char *console = vm_text (f, "a", "console_path");
  assert_int_equal (stat (console, &st), 0);
  assert_int_equal (st.st_mode & 0777, 0600);
  assert_int_equal (stray_files (pid_of (f, "a"), hv_fake_dir (f)), 0);
  do_ok (f, "stop", "{\"vm\":\"a\"}");
  assert_int_not_equal (stat (console, &st), 0);
  do_ok (f, "undefine", "{\"vm\":\"a\"}");
  *strrchr (console, '/') = '\0';
  assert_int_not_equal (stat (console, &st), 0);
  free (console);
  hv_fake_free (f);
}

/* Without its fds: dead, whether or not somebody has reaped it. */
static int
is_dead (void *arg)
{
  char path[64];
  (void) snprintf (path, sizeof path, "/proc/%d/fd/0", *(int *) arg);
  return access (path, F_OK) != 0;
}

static void
damage (struct hv_fake *f)
{
  char path[4096];
  (void) snprintf (path, sizeof path, "%s/state/qmp/docs/vm.a.rec", hv_fake_dir (f));
  FILE *file = fopen (path, "r+");
  assert_non_null (file);
  assert_int_equal (fseek (file, -3, SEEK_END), 0);
  assert_true (fputs ("xyz", file) >= 0);
  assert_int_equal (fclose (file), 0);
}

/* A record that cannot be read any more: the VM is listed as unknown, its process is left alone, and as long as that runs the
 * name is not given away. */
static void
test_damaged_record (void **state)
{
  struct hv_fake *f = begin ();
  (void) state;
  do_ok (f, "start", "{\"vm\":\"a\"}");
  int pid = pid_of (f, "a");
  damage (f);
  for (int i = 0; i < 2; i++) { /* and it stays so */
    hv_fake_restart (f);
    assert_vm (f, "a", "unknown", "record_unreadable");
  }
  do_fail (f, "start", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "is unknown");
  do_fail (f, "stop", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "cannot be read");
  do_fail (f, "undefine", "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "runs it");
  assert_int_equal (kill (pid, SIGKILL), 0);
  assert_true (hv_fake_run_until (f, is_dead, &pid, 5000));
  json_decref (ok (f, "define", "{\"replace\":true,%s", SMALL_VM ("a", UUID_A) + 1));
  assert_vm (f, "a", "stopped", "defined");
  do_ok (f, "start", "{\"vm\":\"a\"}");
  end (f);
}

/* One of everything that needs no network: QEMU takes each option as we write it. */
static void
test_every_device_starts (void **state)
{
  struct hv_fake *f = hv_fake_new (&qmp_plugin, CONFIG, NULL, NULL);
  char path[64] = "/tmp/hvkit-disk-XXXXXX";
  int fd = mkstemp (path);
  (void) state;
  assert_true (fd >= 0 && ftruncate (fd, 1 << 20) == 0);
  (void) close (fd);
#define RO(name, more) "{\"name\":\"" name "\",\"path\":\"%s\",\"format\":\"raw\",\"read_only\":true" more "}"
  json_decref (ok (
      f, "define",
      "{\"vm\":\"a\",\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A "\",\"memory_bytes\":100000000,\"rng\":true,"
      "\"watchdog\":\"i6300esb\",\"watchdog_action\":\"pause\",\"cpu\":{\"cores\":2,\"threads\":2},"
      "\"smbios\":{\"serial\":\"a,b=c\",\"manufacturer\":\"x y\"},"
      "\"inputs\":[{\"name\":\"t0\"},{\"name\":\"t1\",\"bus\":\"virtio\"}],"
      "\"disks\":[" RO ("a", ",\"boot_order\":1,\"serial\":\"S1\"") "," RO (
          "b",
          ",\"bus\":\"scsi\",\"on_error\":"
          "\"enospace\"") "," RO ("c",
                                  ",\"bus"
                                  "\":"
                                  "\"scsi"
                                  "\","
                                  "\"media"
                                  "\":"
                                  "\"cdrom"
                                  "\","
                                  "\"on_"
                                  "error\""
                                  ":\"repo"
                                  "rt\"") "," RO ("d",
                                                  ",\"bus\":\"sata\",\"media\":\"cdrom\"") "," RO ("e",
                                                                                                   ",\"bus\":\"usb\",\"cache\":"
                                                                                                   "\"writeback\"") "," RO ("g",
                                                                                                                            ",\"cac"
                                                                                                                            "he\":"
                                                                                                                            "\"writ"
                                                                                                                            "ethrou"
                                                                                                                            "gh\","
                                                                                                                            "\"on_"
                                                                                                                            "error"
                                                                                                                            "\":"
                                                                                                                            "\"igno"
                                                                                                                            "re\"") "]}}",
      path, path, path, path, path, path));
  do_ok (f, "start", "{\"vm\":\"a\"}");
  assert_vm (f, "a", "running", "booted");
  do_ok (f, "stop", "{\"vm\":\"a\"}");
  json_decref (
      ok (f, "define",
          "{\"vm\":\"a\",\"replace\":true,\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A
          "\",\"memory_bytes\":100000000,\"acpi\":false,\"graphics\":false,\"serial\":false,\"agent\":false,\"balloon\":false,"
          "\"watchdog\":\"itco\",\"disks\":["
          "{\"name\":\"h\",\"path\":\"%s\",\"format\":\"raw\",\"bus\":\"sata\"}]}}",
          path));
  do_ok (f, "start", "{\"vm\":\"a\"}");
  assert_vm (f, "a", "running", "booted");
  assert_int_equal (unlink (path), 0);
  end (f);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_life),           cmocka_unit_test (test_start_paused),   cmocka_unit_test (test_killed),
    cmocka_unit_test (test_stuck_and_back), cmocka_unit_test (test_restart_adopts), cmocka_unit_test (test_restart_finds_trouble),
    cmocka_unit_test (test_cannot_start),   cmocka_unit_test (test_refusals),       cmocka_unit_test (test_pages),
    cmocka_unit_test (test_leaves_nothing), cmocka_unit_test (test_damaged_record), cmocka_unit_test (test_every_device_starts),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
