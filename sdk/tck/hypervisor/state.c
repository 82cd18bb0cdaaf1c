/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a machine in a file: save, restore, dump_memory. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

static const char *
saved (struct tck *t)
{
  const char *vm = tck_running (t, "a"), *path = tck_path (t, "state");
  uint64_t from = tck_mark (t);
  const json_t *answer = tck_ok (t, "save", "{\"vm\":\"%s\",\"path\":\"%s\"}", vm, path);
  TCK_CHECK (t, strcmp (tck_str (answer, "state"), "stopped") == 0, "it answers '%s'", tck_str (answer, "state"));
  TCK_CHECK (t, tck_is (t, vm, "stopped"), "the VM is %s", tck_state (t, vm));
  TCK_CHECK (t, tck_file_size (path) > 0, "the file has %lld bytes", (long long) tck_file_size (path));
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "running", "stopped");
  return vm;
}

static void
check_save (struct tck *t)
{
  const char *vm = saved (t), *path = tck_path (t, "state");
  uint64_t from = tck_mark (t);
  (void) tck_ok (t, "restore", "{\"vm\":\"%s\",\"path\":\"%s\"}", vm, path);
  TCK_CHECK (t, tck_is (t, vm, "running"), "after restore the VM is %s", tck_state (t, vm));
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "stopped", "running");
}

static void
check_restore_paused (struct tck *t)
{
  const char *vm = saved (t);
  (void) tck_ok (t, "restore", "{\"vm\":\"%s\",\"path\":\"%s\",\"paused\":true}", vm, tck_path (t, "state"));
  TCK_CHECK (t, tck_is (t, vm, "paused"), "after restore {paused} the VM is %s", tck_state (t, vm));
}

static void
check_save_exists (struct tck *t)
{
  const char *vm = tck_running (t, "a"), *path = tck_raw (t, "state", 512);
  (void) tck_refused (t, HV_E_ALREADY_EXISTS, "save", "{\"vm\":\"%s\",\"path\":\"%s\"}", vm, path);
  TCK_CHECK (t, tck_file_size (path) == 512, "the file that was there has %lld bytes now", (long long) tck_file_size (path));
  TCK_CHECK (t, tck_is (t, vm, "running"), "the VM is %s", tck_state (t, vm));
}

static void
check_restore_refused (struct tck *t)
{
  const char *vm = tck_define (t, "a"), *garbage = tck_raw (t, "garbage", 65536);
  (void) tck_refused (t, HV_E_NOT_FOUND, "restore", "{\"vm\":\"%s\",\"path\":\"%s\"}", vm, tck_path (t, "none"));
  struct tck_answer a = tck_call (t, "restore", "{\"vm\":\"%s\",\"path\":\"%s\"}", vm, garbage);
  TCK_CHECK (t, a.code < 0, "a file that save never wrote was restored");
  TCK_CHECK (t, strcmp (tck_settled (t, vm), "stopped") == 0, "afterwards the VM is %s", tck_state (t, vm));
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  const char *text = tck_refused (t, HV_E_FAILED_PRECONDITION, "restore", "{\"vm\":\"%s\",\"path\":\"%s\"}", vm, garbage);
  TCK_CHECK (t, strstr (text, "running") != NULL, "the refusal does not name the state: %s", text);
}

static void
check_dump (struct tck *t)
{
  const char *vm = tck_running (t, "a"), *path = tck_path (t, "dump"), *there = tck_raw (t, "there", 512);
  (void) tck_ok (t, "dump_memory", "{\"vm\":\"%s\",\"path\":\"%s\"}", vm, path);
  TCK_CHECK (t, tck_file_size (path) > 0, "the file has %lld bytes", (long long) tck_file_size (path));
  TCK_CHECK (t, tck_is (t, vm, "running"), "afterwards the VM is %s", tck_state (t, vm));
  (void) tck_refused (t, HV_E_ALREADY_EXISTS, "dump_memory", "{\"vm\":\"%s\",\"path\":\"%s\"}", vm, there);
}

const struct tck_check tck_state_checks[] = {
  { "state.save", "save writes a file and stops the VM; restore goes on from it", "save restore", check_save },
  { "state.restore-paused", "restore {paused} leaves the VM paused", "save restore", check_restore_paused },
  { "state.save-exists", "save never writes over a file: ALREADY_EXISTS, and the VM goes on", "save", check_save_exists },
  { "state.restore-refused", "restore of nothing, of garbage, or of a running VM is refused and leaves the VM as it was", "restore",
    check_restore_refused },
  { "state.dump", "dump_memory writes a file and the VM goes on; it never writes over one", "dump_memory", check_dump },
  { NULL, NULL, NULL, NULL },
};
