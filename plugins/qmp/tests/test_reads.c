/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures with their age: one machine that is stopped dead, one that never answered, one that nobody asks; and failures of
 * disks from the event to the guest that goes on. */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define STATS_MS "100" /* long enough for a loaded machine, so that what is measured is the waiting */

struct fixture {
  char *dir;
  struct hv_fake *f;
};

static const char *const names[] = { "a", "b", "c" };

static void
machine_begin (struct fixture *x, size_t n)
{
  char image[4096];
  (void) snprintf (image, sizeof image, "%s/%s.img", x->dir, names[n]);
  int fd = open (image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  assert_true (fd >= 0);
  assert_int_equal (ftruncate (fd, 1 << 20), 0);
  assert_int_equal (close (fd), 0);
  json_decref (ok (x->f, "define",
                   "{\"vm\":\"%s\",\"machine\":{\"name\":\"%s\",\"uuid\":\"d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c%zu\","
                   "\"memory_bytes\":67108864,\"disks\":[{\"name\":\"root\",\"path\":\"%s\",\"format\":\"raw\"}]}}",
                   names[n], names[n], n, image));
}

static void
begin (struct fixture *x, size_t machines)
{
  char config[512];
  x->dir = peer_make ();
  (void) snprintf (config, sizeof config,
                   "{\"qemu\":\"%s/qemu\",\"accel\":\"tcg\",\"start_ms\":10000,\"command_ms\":1000,\"heartbeat_ms\":600000,"
                   "\"stats_ms\":" STATS_MS ",\"quit_ms\":300,\"term_ms\":300}",
                   x->dir);
  x->f = hv_fake_new (&qmp_plugin, config, NULL, NULL);
  for (size_t i = 0; i < machines; i++) {
    machine_begin (x, i);
    json_decref (ok (x->f, "start", "{\"vm\":\"%s\"}", names[i]));
  }
}

static void
end (struct fixture *x, size_t machines)
{
  char image[4096];
  peer_mode (x->dir, "");
  for (size_t i = 0; i < machines; i++) {
    json_decref (ok (x->f, "stop", "{\"vm\":\"%s\"}", names[i]));
    json_decref (ok (x->f, "undefine", "{\"vm\":\"%s\"}", names[i]));
    (void) snprintf (image, sizeof image, "%s/%s.img", x->dir, names[i]);
    assert_int_equal (unlink (image), 0);
  }
  hv_fake_free (x->f);
  peer_remove (x->dir);
}

/* The rows of stats, and how long it took. */
static json_t *
stats (struct fixture *x, const char *args, uint64_t *ret_ms)
{
  int code;
  struct hv_fake_call *c = hv_fake_call_start (x->f, "stats", args);
  assert_true (hv_fake_call_wait (c, 10000));
  *ret_ms = hv_fake_call_took (c).ms;
  char *text = hv_fake_call_finish (c, &code);
  if (code != 0)
    fail_msg ("stats %s: %d %s", args, code, text);
  json_t *j = json_loads (text, 0, NULL), *items = json_incref (json_object_get (j, "items"));
  json_decref (j);
  free (text);
  return items;
}

static const json_t *
row_of (const json_t *rows, const char *vm)
{
  size_t i;
  json_t *row;
  json_array_foreach (rows, i, row)
  {
    if (strcmp (qmp_json_str (row, "vm", ""), vm) == 0)
      return row;
  }
  fail_msg ("no row of '%s'", vm);
  return NULL;
}

static int64_t
read_bytes (const json_t *row)
{
  return qmp_json_int (json_array_get (json_object_get (row, "block"), 0), "read_bytes", -1);
}

/* One machine that is stopped dead costs the budget once, the others nothing, and is answered for from what it said last. */
static void
test_stopped_dead (void **state)
{
  struct fixture x;
  uint64_t ms;
  (void) state;
  begin (&x, 3);
  int pid = pid_of (x.f, "b");
  json_t *before = stats (&x, "{}", &ms);
  int64_t was = read_bytes (row_of (before, "b"));
  assert_true (was > 0);
  assert_int_equal (kill (pid, SIGSTOP), 0);
  json_t *once = stats (&x, "{}", &ms);
  assert_true (ms >= 99); /* both ends are cut to whole milliseconds */
  for (int i = 0; i < 3; i++) {
    json_t *again = stats (&x, "{}", &ms);
    if (ms >= 99)
      fail_msg ("stats waited %ju ms for a machine that had not answered before", (uintmax_t) ms);
    assert_int_equal (read_bytes (row_of (again, "b")), was);
    assert_true (qmp_json_int (row_of (again, "b"), "age_ms", -1) >= 100);
    assert_null (json_object_get (row_of (again, "b"), "missing"));
    assert_non_null (json_object_get (row_of (again, "b"), "cpu"));
    assert_true (read_bytes (row_of (again, "a")) > read_bytes (row_of (once, "a")));
    assert_true (read_bytes (row_of (again, "c")) > read_bytes (row_of (once, "c")));
    json_decref (again);
  }
  json_t *j = ok (x.f, "block_stats", "{\"vm\":\"b\"}");
  assert_string_equal (qmp_json_str (j, "source", ""), "cache");
  assert_true (qmp_json_int (j, "age_ms", -1) >= 100);
  json_decref (j);
  assert_int_equal (kill (pid, SIGCONT), 0);
  j = ok (x.f, "block_stats", "{\"vm\":\"b\"}");
  assert_string_equal (qmp_json_str (j, "source", ""), "live");
  json_decref (j);
  json_t *after = stats (&x, "{}", &ms);
  assert_true (read_bytes (row_of (after, "b")) > was);
  json_decref (before);
  json_decref (once);
  json_decref (after);
  end (&x, 3);
}

static void
test_never_answered (void **state)
{
  struct fixture x;
  uint64_t ms;
  (void) state;
  begin (&x, 1);
  peer_mode (x.dir, "silent:query-blockstats");
  json_t *rows = stats (&x, "{\"vm\":\"a\"}", &ms), *missing = json_object_get (row_of (rows, "a"), "missing");
  assert_int_equal (json_array_size (missing), 1);
  assert_string_equal (json_string_value (json_array_get (missing, 0)), "block");
  assert_null (json_object_get (row_of (rows, "a"), "block"));
  json_decref (rows);
  do_fail (x.f, "block_stats", "{\"vm\":\"a\"}", HV_E_UNAVAILABLE, "never read");
  peer_mode (x.dir, "");
  json_t *j = ok (x.f, "block_stats", "{\"vm\":\"a\"}"); /* the late answer is taken */
  assert_int_equal (json_array_size (json_object_get (j, "items")), 1);
  json_decref (j);
  end (&x, 1);
}

/* Refused, or of another shape than it should have: no figures, and none lost. */
static void
test_no_figures (void **state)
{
  static const char *const modes[] = { "odd:query-blockstats odd:qom-get odd:query-balloon odd:query-block",
                                       "error:query-blockstats error:qom-get error:query-balloon error:query-block" };
  struct fixture x;
  uint64_t ms;
  (void) state;
  for (size_t i = 0; i < 2; i++) {
    begin (&x, 1);
    peer_mode (x.dir, modes[i]);
    do_fail (x.f, "block_stats", "{\"vm\":\"a\"}", HV_E_UNAVAILABLE, "never read");
    json_t *j = ok (x.f, "memory_stats", "{\"vm\":\"a\"}");
    assert_null (json_object_get (j, "guest_total_bytes"));
    assert_null (json_object_get (j, "balloon_bytes"));
    assert_int_equal (qmp_json_int (j, "size_bytes", 0), 64 << 20);
    json_decref (j);
    j = ok (x.f, "block_info", "{\"vm\":\"a\"}");
    assert_string_equal (qmp_json_str (j, "source", ""), "stored");
    assert_int_equal (qmp_json_int (json_array_get (json_object_get (j, "items"), 0), "virtual_size_bytes", 0), 1 << 20);
    json_decref (j);
    peer_mode (x.dir, "");
    do_ok (x.f, "block_stats", "{\"vm\":\"a\"}");
    peer_mode (x.dir, modes[i]);
    json_t *rows = stats (&x, "{}", &ms);
    assert_int_equal (read_bytes (row_of (rows, "a")), 4096);
    json_decref (rows);
    end (&x, 1);
  }
}

/* Whoever accepts old figures gets them without a question: this machine would die of one. */
static void
test_old_enough (void **state)
{
  struct fixture x;
  uint64_t ms;
  (void) state;
  begin (&x, 1);
  do_ok (x.f, "block_stats", "{\"vm\":\"a\"}");
  do_ok (x.f, "memory_stats", "{\"vm\":\"a\"}");
  peer_mode (x.dir, "die:query-blockstats die:qom-get die:query-balloon");
  json_decref (stats (&x, "{\"_max_age_ms\":600000}", &ms));
  do_ok (x.f, "block_stats", "{\"vm\":\"a\",\"_max_age_ms\":600000}");
  do_ok (x.f, "memory_stats", "{\"vm\":\"a\",\"_max_age_ms\":600000}");
  json_decref (stats (&x, "{\"groups\":[\"cpu\",\"net\"]}", &ms)); /* nor for what only the kernel knows */
  assert_vm (x.f, "a", "running", NULL);
  int pid = pid_of (x.f, "a");
  json_decref (stats (&x, "{}", &ms)); /* and now it is asked */
  wait_state (x.f, "a", "crashed");
  assert_true (pid > 0);
  end (&x, 1);
}

static void
test_block_figures (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, 1);
  json_t *j = ok (x.f, "block_stats", "{\"vm\":\"a\"}"), *disk = json_array_get (json_object_get (j, "items"), 0);
  assert_int_equal (json_array_size (json_object_get (j, "items")), 1); /* nodes without a device are nobody's */
  assert_string_equal (qmp_json_str (disk, "disk", ""), "root");
  assert_int_equal (qmp_json_int (disk, "read_bytes", 0), 4096);
  assert_int_equal (qmp_json_int (disk, "write_ops", 0), 1);
  assert_int_equal (qmp_json_int (disk, "flush_ops", 0), 7);
  assert_int_equal (qmp_json_int (disk, "discard_bytes", 0), 9);
  assert_int_equal (qmp_json_int (disk, "failed_ops", 0), 3);
  json_decref (j);
  do_fail (x.f, "block_stats", "{\"vm\":\"a\",\"disk\":\"none\"}", HV_E_NOT_FOUND, "none");
  j = ok (x.f, "block_info", "{\"vm\":\"a\"}"); /* QEMU knows better than the file */
  assert_string_equal (qmp_json_str (j, "source", ""), "live");
  assert_int_equal (qmp_json_int (json_array_get (json_object_get (j, "items"), 0), "virtual_size_bytes", 0), 1 << 30);
  json_decref (j);
  do_ok (x.f, "stop", "{\"vm\":\"a\"}");
  j = ok (x.f, "block_info", "{\"vm\":\"a\"}");
  assert_string_equal (qmp_json_str (j, "source", ""), "stored");
  assert_int_equal (qmp_json_int (json_array_get (json_object_get (j, "items"), 0), "virtual_size_bytes", 0), 1 << 20);
  json_decref (j);
  static const char *const counters[] = { "block_stats", "interface_stats", "memory_stats" };
  for (size_t i = 0; i < 3; i++)
    do_fail (x.f, counters[i], "{\"vm\":\"a\"}", HV_E_FAILED_PRECONDITION, "stopped");
  end (&x, 1);
}

static void
test_memory_figures (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, 1);
  json_t *j = ok (x.f, "memory_stats", "{\"vm\":\"a\"}");
  assert_int_equal (qmp_json_int (j, "size_bytes", 0), 64 << 20);
  assert_int_equal (qmp_json_int (j, "balloon_bytes", 0), 60 << 20);
  assert_int_equal (qmp_json_int (j, "guest_total_bytes", 0), 50 << 20);
  assert_int_equal (qmp_json_int (j, "guest_free_bytes", 0), 20 << 20);
  assert_null (json_object_get (j, "guest_swap_in_bytes")); /* the guest does not say; that is not zero */
  assert_null (json_object_get (j, "guest_caches_bytes"));
  assert_true (qmp_json_int (j, "resident_bytes", 0) > 0);
  assert_true (qmp_json_int (j, "guest_age_ms", -1) >= 0);
  json_decref (j);
  end (&x, 1);
}

/* --- failures --- */

static json_t *
root_errors (struct fixture *x)
{
  json_t *j = ok (x->f, "block_errors", "{\"vm\":\"a\",\"disk\":\"root\"}");
  json_t *row = json_incref (json_array_get (json_object_get (j, "items"), 0));
  json_decref (j);
  assert_non_null (row);
  return row;
}

static void
assert_errors (struct fixture *x, const char *fault, int64_t count)
{
  json_t *row = root_errors (x);
  assert_string_equal (qmp_json_str (row, "fault", ""), fault);
  assert_int_equal (qmp_json_int (row, "count", -1), count);
  json_decref (row);
}

/* What QEMU says when a write fails, on the node of the disk that the machine has. */
static void
fail_write (struct fixture *x, int no_space, const char *action, const char *reason)
{
  char image[4096], node[QMP_NODE_NAME], event[4096];
  (void) snprintf (image, sizeof image, "%s/a.img", x->dir);
  qmp_node_name (node, 'q', "root", image);
  (void) snprintf (event, sizeof event,
                   "{\"event\":\"BLOCK_IO_ERROR\",\"timestamp\":{\"seconds\":1,\"microseconds\":1},\"data\":{\"device\":\"\","
                   "\"node-name\":\"%s\",\"operation\":\"write\",\"action\":\"%s\",\"nospace\":%s,\"reason\":\"%s\"}}",
                   node, action, no_space ? "true" : "false", reason);
  peer_event (x->dir, "a", event);
  char *text = hv_fake_wait_event (x->f, "qmp.io_error", 10000);
  assert_non_null (text);
  json_t *e = json_loads (text, 0, NULL);
  assert_string_equal (qmp_json_str (e, "disk", ""), "root");
  assert_string_equal (qmp_json_str (e, "path", ""), image);
  assert_string_equal (qmp_json_str (e, "operation", ""), "write");
  assert_string_equal (qmp_json_str (e, "action", ""), action);
  assert_string_equal (qmp_json_str (e, "reason", ""), reason);
  assert_int_equal (qmp_json_bool (e, "no_space", -1), no_space);
  json_decref (e);
  free (text);
}

static void
guest_stands (struct fixture *x)
{
  peer_mode (x->dir, "status:io-error iostatus:nospace");
  peer_event (x->dir, "a", "{\"event\":\"STOP\",\"timestamp\":{\"seconds\":1,\"microseconds\":1}}");
  wait_state (x->f, "a", "paused");
}

static void
test_failures (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, 1);
  assert_errors (&x, "ok", 0);
  fail_write (&x, 0, "report", "Input/output error"); /* the guest was told; the disk goes on */
  assert_errors (&x, "ok", 1);
  fail_write (&x, 1, "stop", "No space left on device");
  guest_stands (&x);
  assert_vm (x.f, "a", "paused", "io_error");
  char *detail = vm_text (x.f, "a", "detail");
  assert_string_equal (detail, "No space left on device");
  free (detail);
  assert_errors (&x, "no_space", 2);
  /* QEMU's io-status stays behind in what query-block says; the guest running is what counts */
  peer_mode (x.dir, "iostatus:nospace");
  do_ok (x.f, "resume", "{\"vm\":\"a\"}");
  assert_errors (&x, "ok", 2);
  json_t *row = root_errors (&x);
  assert_string_equal (qmp_json_str (row, "reason", ""), "No space left on device");
  assert_string_equal (qmp_json_str (row, "operation", ""), "write");
  assert_true (qmp_json_int (row, "last_ms", 0) > 0);
  json_decref (row);
  do_ok (x.f, "stop", "{\"vm\":\"a\"}");
  peer_mode (x.dir, "");
  do_ok (x.f, "start", "{\"vm\":\"a\"}");
  assert_errors (&x, "ok", 0); /* another run, another count */
  end (&x, 1);
}

/* It happened while nobody listened: the status and QEMU's own mark say what it was. */
static void
test_failure_unwatched (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, 1);
  guest_stands (&x);
  hv_fake_restart (x.f);
  wait_state (x.f, "a", "paused");
  assert_vm (x.f, "a", "paused", "io_error");
  assert_errors (&x, "no_space", 0);
  end (&x, 1);
}

/* An answer that makes no sense takes no disk away: the machine is adopted when there is one that does. */
static void
test_odd_devices (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, 1);
  peer_mode (x.dir, "odd:qom-list");
  hv_fake_restart (x.f);
  wait_state (x.f, "a", "unmanaged");
  assert_errors (&x, "ok", 0);
  do_fail (x.f, "adopt", "{\"vm\":\"a\"}", HV_E_INTERNAL, "no list");
  peer_mode (x.dir, "");
  do_ok (x.f, "adopt", "{\"vm\":\"a\"}");
  assert_vm (x.f, "a", "running", NULL);
  assert_errors (&x, "ok", 0);
  end (&x, 1);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_stopped_dead),      cmocka_unit_test (test_never_answered), cmocka_unit_test (test_old_enough),
    cmocka_unit_test (test_block_figures),     cmocka_unit_test (test_memory_figures), cmocka_unit_test (test_failures),
    cmocka_unit_test (test_failure_unwatched), cmocka_unit_test (test_odd_devices),    cmocka_unit_test (test_no_figures),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
