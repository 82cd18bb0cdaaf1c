/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every event of QEMU's that means something, and what becomes of it; those that mean nothing here become nothing. */
#include "harness.h"

#include <fcntl.h>
#include <unistd.h>

struct fixture {
  char *dir;
  struct hv_fake *f;
  char image[4096], node[QMP_NODE_NAME];
  uint64_t cursor;
};

static void
begin (struct fixture *x)
{
  char config[4200];
  x->dir = peer_make ();
  (void) snprintf (x->image, sizeof x->image, "%s/a.img", x->dir);
  int fd = open (x->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  assert_true (fd >= 0);
  assert_int_equal (ftruncate (fd, 1 << 20), 0);
  assert_int_equal (close (fd), 0);
  qmp_node_name (x->node, 'q', "root", x->image);
  (void) snprintf (
      config, sizeof config,
      "{\"qemu\":\"%s/qemu\",\"accel\":\"tcg\",\"start_ms\":10000,\"heartbeat_ms\":600000,\"quit_ms\":300,\"term_ms\":300}",
      x->dir);
  x->f = hv_fake_new (&qmp_plugin, config, NULL, NULL);
  json_decref (ok (x->f, "define",
                   "{\"vm\":\"a\",\"machine\":{\"name\":\"a\",\"uuid\":\"" UUID_A "\",\"memory_bytes\":67108864,"
                   "\"disks\":[{\"name\":\"root\",\"path\":\"%s\",\"format\":\"raw\"}]}}",
                   x->image));
  do_ok (x->f, "start", "{\"vm\":\"a\"}");
  x->cursor = hv_fake_seq (x->f);
}

static void
end (struct fixture *x)
{
  peer_mode (x->dir, "");
  do_ok (x->f, "stop", "{\"vm\":\"a\"}");
  do_ok (x->f, "undefine", "{\"vm\":\"a\"}");
  hv_fake_free (x->f);
  assert_int_equal (unlink (x->image), 0);
  peer_remove (x->dir);
}

/* `data` without its braces; NODE in it stands for the disk's node. */
static void
say (struct fixture *x, const char *name, const char *data)
{
  char event[8192], filled[4096];
  const char *mark = strstr (data, "NODE");
  if (mark != NULL)
    (void) snprintf (filled, sizeof filled, "%.*s%s%s", (int) (mark - data), data, x->node, mark + 4);
  (void) snprintf (event, sizeof event, "{\"event\":\"%s\",\"timestamp\":{\"seconds\":1,\"microseconds\":1},\"data\":{%s}}", name,
                   mark != NULL ? filled : data);
  peer_event (x->dir, "a", event);
}

/* The peer takes the event's file away when it says it. */
static int
has_said (void *arg)
{
  struct fixture *x = arg;
  char path[4300];
  (void) snprintf (path, sizeof path, "%s/event-a", x->dir);
  return access (path, F_OK) < 0;
}

struct next {
  struct fixture *x;
  struct hv_fake_event e;
};

static int
next_is_there (void *arg)
{
  struct next *n = arg;
  return hv_fake_event_next (n->x->f, &n->x->cursor, &n->e);
}

/* The next event, whatever it is, has this topic and all these members; null: it has no such member. */
static void
expect (struct fixture *x, const char *topic, const char *members)
{
  struct next n = { .x = x };
  const char *key;
  json_t *v;
  if (!hv_fake_run_until (x->f, next_is_there, &n, 10000))
    fail_msg ("no event came, %s was expected", topic);
  json_t *want = json_loads (members, 0, NULL), *got = json_loads (n.e.json, 0, NULL);
  assert_non_null (want);
  assert_non_null (got);
  if (strcmp (n.e.topic, topic) != 0)
    fail_msg ("%s %s came, %s was expected", n.e.topic, n.e.json, topic);
  assert_string_equal (qmp_json_str (got, "vm", ""), "a");
  json_object_foreach (want, key, v)
  {
    const json_t *has = json_object_get (got, key);
    if (json_is_null (v) ? has != NULL : !json_equal (v, has))
      fail_msg ("%s: %s of %s is not as in %s", topic, key, n.e.json, members);
  }
  json_decref (want);
  json_decref (got);
  hv_fake_event_clear (&n.e);
}

struct meaning {
  const char *name, *data, *topic, *members;
};

static const struct meaning meanings[] = {
  { "RESET", "\"guest\":true,\"reason\":\"guest-reset\"", "qmp.reboot", "{\"by_guest\":true}" },
  { "RESET", "\"guest\":false,\"reason\":\"host-qmp-system-reset\"", "qmp.reboot", "{\"by_guest\":false}" },
  { "WATCHDOG", "\"action\":\"none\"", "qmp.watchdog", "{\"action\":\"none\"}" },
  { "GUEST_CRASHLOADED", "\"action\":\"run\"", "qmp.guest_panic", "{\"action\":\"run\"}" },
  { "SUSPEND_DISK", "", "qmp.power_management", "{\"phase\":\"suspend_disk\"}" },
  { "VSERPORT_CHANGE", "\"id\":\"agent0\",\"open\":true", "qmp.agent", "{\"connected\":true}" },
  { "VSERPORT_CHANGE", "\"id\":\"agent0\",\"open\":false", "qmp.agent", "{\"connected\":false}" },
  { "BLOCK_IO_ERROR", "\"node-name\":\"NODE\",\"operation\":\"read\",\"action\":\"report\",\"reason\":\"Input/output error\"",
    "qmp.io_error",
    "{\"disk\":\"root\",\"operation\":\"read\",\"action\":\"report\",\"reason\":\"Input/output error\",\"no_space\":false}" },
  { "BLOCK_IO_ERROR", "\"node-name\":\"q-0000000000000000\",\"operation\":\"write\",\"action\":\"report\"", "qmp.io_error",
    "{\"disk\":null,\"operation\":\"write\"}" },
  { "BLOCK_IMAGE_CORRUPTED", "\"node-name\":\"NODE\",\"msg\":\"bad refcount\",\"fatal\":true", "qmp.io_error",
    "{\"disk\":\"root\",\"operation\":\"metadata\",\"reason\":\"bad refcount\"}" },
  { "BLOCK_WRITE_THRESHOLD", "\"node-name\":\"NODE\",\"write-threshold\":4096,\"amount-exceeded\":512", "qmp.block_threshold",
    "{\"disk\":\"root\",\"threshold_bytes\":4096,\"excess_bytes\":512}" },
  { "BLOCK_JOB_READY", "\"device\":\"merge-root\",\"type\":\"commit\"", "qmp.block_job",
    "{\"disk\":\"root\",\"kind\":\"commit\",\"status\":\"ready\"}" },
  { "BLOCK_JOB_COMPLETED", "\"device\":\"merge-root\",\"type\":\"stream\"", "qmp.block_job",
    "{\"disk\":\"root\",\"kind\":\"pull\",\"status\":\"completed\"}" },
  { "BLOCK_JOB_COMPLETED", "\"device\":\"merge-root\",\"type\":\"commit\",\"error\":\"No space left on device\"", "qmp.block_job",
    "{\"status\":\"failed\",\"reason\":\"No space left on device\"}" },
  { "BLOCK_JOB_CANCELLED", "\"device\":\"merge-root\",\"type\":\"commit\"", "qmp.block_job", "{\"status\":\"cancelled\"}" },
  { "BLOCK_JOB_ERROR", "\"device\":\"merge-root\",\"operation\":\"write\",\"action\":\"report\"", "qmp.io_error",
    "{\"disk\":\"root\",\"operation\":\"write\"}" },
  { "BALLOON_CHANGE", "\"actual\":33554432", "qmp.balloon", "{\"size_bytes\":33554432}" },
  { "MEMORY_DEVICE_SIZE_CHANGE", "\"id\":\"vmem0\",\"size\":1048576,\"qom-path\":\"/machine\"", "qmp.memory_size",
    "{\"device\":\"vmem0\",\"size_bytes\":1048576}" },
  { "MEM_UNPLUG_ERROR", "\"device\":\"dimm0\",\"msg\":\"busy\"", "qmp.device_removal_failed",
    "{\"device\":\"dimm0\",\"reason\":\"busy\"}" },
  { "DEVICE_UNPLUG_GUEST_ERROR", "\"device\":\"ua-root\",\"path\":\"/machine/peripheral/ua-root\"", "qmp.device_removal_failed",
    "{\"device\":\"root\"}" },
  { "RTC_CHANGE", "\"offset\":-3600,\"qom-path\":\"/machine\"", "qmp.rtc_change", "{\"offset_s\":-3600}" },
  { "DEVICE_TRAY_MOVED", "\"device\":\"\",\"id\":\"ua-root\",\"tray-open\":true", "qmp.tray_change",
    "{\"disk\":\"root\",\"open\":true}" },
  { "MEMORY_FAILURE", "\"recipient\":\"guest\",\"action\":\"inject\",\"flags\":{\"action-required\":false,\"recursive\":true}",
    "qmp.memory_failure", "{\"recipient\":\"guest\",\"action\":\"inject\",\"recursive\":true}" },
  { "MIGRATION", "\"status\":\"postcopy-active\"", "qmp.migration", "{\"status\":\"post-copy\"}" },
  { "MIGRATION", "\"status\":\"failed\"", "qmp.migration", "{\"status\":\"failed\"}" },
  { "MIGRATION_PASS", "\"pass\":3", "qmp.migration", "{\"status\":\"active\",\"iteration\":3}" },
  { "VNC_CONNECTED", "\"client\":{\"service\":\"5\",\"host\":\"h\",\"family\":\"unix\",\"websocket\":false}", "qmp.graphics",
    "{\"phase\":\"connected\",\"client\":\"5\"}" },
  { "VNC_INITIALIZED", "\"client\":{\"service\":\"5\"}", "qmp.graphics", "{\"phase\":\"initialized\"}" },
  { "VNC_DISCONNECTED", "\"client\":{\"service\":\"5\"}", "qmp.graphics", "{\"phase\":\"disconnected\"}" },
  { "SUSPEND", "", "qmp.power_management", "{\"phase\":\"suspend\"}" },
  { NULL, NULL, "qmp.lifecycle", "{\"state\":\"suspended\",\"reason\":\"guest\"}" },
  { "WAKEUP", "", "qmp.power_management", "{\"phase\":\"wakeup\"}" },
  { NULL, NULL, "qmp.lifecycle", "{\"state\":\"running\",\"reason\":\"guest\"}" },
  { "DEVICE_DELETED", "\"device\":\"ua-root\",\"path\":\"/machine/peripheral/ua-root\"", "qmp.device_removed",
    "{\"device\":\"root\"}" },
  { "GUEST_PANICKED", "\"action\":\"pause\",\"info\":{\"type\":\"hyper-v\"}", "qmp.guest_panic",
    "{\"action\":\"pause\",\"detail\":\"hyper-v\"}" },
  { NULL, NULL, "qmp.lifecycle", "{\"state\":\"crashed\",\"reason\":\"guest_panic\"}" },
};

static void
test_meanings (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x);
  for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
    if (meanings[i].name != NULL)
      say (&x, meanings[i].name, meanings[i].data);
    expect (&x, meanings[i].topic, meanings[i].members);
  }
  end (&x);
}

/* Odd and unknown ones: none of them is an event here, none ends anything. What comes after them is the proof. */
static void
test_nothing (void **state)
{
  static const struct {
    const char *name, *data;
  } cases[] = {
    { "POWERDOWN", "" },
    { "ACPI_DEVICE_OST", "\"info\":{\"slot\":\"0\",\"slot-type\":\"DIMM\",\"source\":1,\"status\":0}" },
    { "NETDEV_STREAM_CONNECTED", "\"netdev-id\":\"n\"" },
    { "SOMETHING_NEWER", "\"x\":[1,2,3]" },
    { "JOB_STATUS_CHANGE", "\"id\":\"merge-root\",\"status\":\"running\"" },
    { "DUMP_COMPLETED", "\"result\":{\"total\":1,\"status\":\"completed\",\"completed\":1}" },
    { "VSERPORT_CHANGE", "\"id\":\"other\",\"open\":true" },
    { "DEVICE_DELETED", "\"path\":\"/machine/peripheral/ua-root/virtio-backend\"" },
    { "DEVICE_TRAY_MOVED", "\"device\":\"\",\"id\":\"foreign\",\"tray-open\":true" },
    { "BALLOON_CHANGE", "\"actual\":\"much\"" },
    { "BLOCK_WRITE_THRESHOLD", "\"node-name\":\"q-0000000000000000\"" },
    { "MEMORY_DEVICE_SIZE_CHANGE", "" },
    { "MIGRATION", "\"status\":\"wait-unplug\"" },
  };
  struct fixture x;
  (void) state;
  begin (&x);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    say (&x, cases[i].name, cases[i].data);
    assert_true (hv_fake_run_until (x.f, has_said, &x, 10000));
  }
  say (&x, "WATCHDOG", "\"action\":\"none\"");
  expect (&x, "qmp.watchdog", "{}");
  assert_vm (x.f, "a", "running", NULL);
  end (&x);
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_meanings), cmocka_unit_test (test_nothing) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
