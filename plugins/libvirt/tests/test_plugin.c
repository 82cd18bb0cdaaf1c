/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin on libvirt's test driver: a hypervisor in the process, without machines. And the states, one by one. */
#include "libvirt.h"
#include "sdk/tck/fakehost.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

/* The test driver's domains are the process's, whoever is connected: a test leaves `test` stopped. */
#define CONFIG "{\"uri\":\"test:///default\"}"

static json_t *
ok (struct hv_fake *f, const char *verb, const char *args)
{
  int code;
  HV_CLEAN (hv_free) char *text = hv_fake_call (f, verb, args, &code);
  if (code != 0)
    fail_msg ("%s %s: %s: %s", verb, args, hv_err_name (code), text);
  return json_loads (text, 0, NULL);
}

static void
refused (struct hv_fake *f, int code, const char *words, const char *verb, const char *args)
{
  int got;
  HV_CLEAN (hv_free) char *text = hv_fake_call (f, verb, args, &got);
  if (got != code || strstr (text, words) == NULL)
    fail_msg ("%s %s: %s: %s, and not %s with '%s'", verb, args, hv_err_name (got), text, hv_err_name (code), words);
}

static void
assert_str (json_t *j, const char *member, const char *value)
{
  assert_string_equal (json_string_value (json_object_get (j, member)), value);
}

static void
assert_event (struct hv_fake *f, const char *state, const char *reason)
{
  HV_CLEAN (hv_free) char *text = hv_fake_wait_event (f, "*.lifecycle", 5000);
  assert_non_null (text);
  json_t *j = json_loads (text, 0, NULL);
  assert_str (j, "state", state);
  assert_str (j, "reason", reason);
  json_decref (j);
}

/* A domain that was there before us: listed, foreign, and obeying who names it. */
static void
test_foreign (void **state)
{
  (void) state;
  struct hv_fake *f = hv_fake_new (&lv_plugin, CONFIG, NULL, NULL);
  json_t *list = ok (f, "list", "{}"), *items = json_object_get (list, "items");
  assert_int_equal (json_array_size (items), 1);
  assert_str (json_array_get (items, 0), "vm", "test");
  assert_str (json_array_get (items, 0), "state", "running");
  assert_true (json_is_true (json_object_get (json_array_get (items, 0), "foreign")));
  json_decref (list);
  json_decref (ok (f, "pause", "{\"vm\":\"test\"}"));
  assert_event (f, "paused", "user");
  json_t *got = ok (f, "get", "{\"vm\":\"test\",\"_max_age_ms\":1}");
  assert_str (got, "state", "paused");
  json_decref (got);
  json_decref (ok (f, "resume", "{\"vm\":\"test\"}"));
  assert_event (f, "running", "user");
  json_decref (ok (f, "stop", "{\"vm\":\"test\"}"));
  assert_event (f, "stopping", "destroy");
  assert_event (f, "stopped", "destroyed");
  refused (f, HV_E_FAILED_PRECONDITION, "stopped", "pause", "{\"vm\":\"test\"}");
  refused (f, HV_E_NOT_FOUND, "'none'", "get", "{\"vm\":\"none\"}");
  hv_fake_free (f);
}

/* What a machine does not have is said in one line, and the rest goes on. */
static void
test_machine_lacks (void **state)
{
  (void) state;
  struct hv_fake *f = hv_fake_new (&lv_plugin, CONFIG, NULL, NULL);
  json_decref (ok (f, "start", "{\"vm\":\"test\"}"));
  refused (f, HV_E_FAILED_PRECONDITION, "no agent channel", "agent_command", "{\"vm\":\"test\",\"command\":\"{}\"}");
  refused (f, HV_E_FAILED_PRECONDITION, "without a serial console", "console", "{\"vm\":\"test\"}");
  refused (f, HV_E_NOT_FOUND, "no disk 'vdz'", "resize_block", "{\"vm\":\"test\",\"disk\":\"vdz\",\"size_bytes\":1024}");
  refused (f, HV_E_INVALID_ARGUMENT, "keys[1] 'hyperspace'", "send_key", "{\"vm\":\"test\",\"keys\":[\"a\",\"hyperspace\"]}");
  json_decref (ok (f, "list", "{}"));
  json_decref (ok (f, "stop", "{\"vm\":\"test\"}"));
  hv_fake_free (f);
}

/* An instance whose libvirt is not there starts, says so, and ends at once. */
static void
test_nobody_there (void **state)
{
  (void) state;
  struct hv_fake *f
      = hv_fake_new (&lv_plugin, "{\"uri\":\"qemu+unix:///system?socket=/nonexistent/socket\",\"adopt_ms\":100}", NULL, NULL);
  json_t *list = ok (f, "list", "{}");
  assert_int_equal (json_array_size (json_object_get (list, "items")), 0);
  json_decref (list);
  refused (f, HV_E_UNAVAILABLE, "/nonexistent/socket", "probe", "{}");
  hv_fake_free (f);
}

/* Every state that libvirt 9 has leads to one of ours that is not `unknown`, whatever its reason. */
static void
test_states (void **state)
{
  (void) state;
  for (int s = VIR_DOMAIN_RUNNING; s <= VIR_DOMAIN_PMSUSPENDED; s++)
    for (int reason = 0; reason < 16; reason++) {
      struct lv_state is = lv_state_of (s, reason);
      assert_true (is.state < HV_VM_STATES && is.state != HV_VM_UNKNOWN);
      assert_true (is.reason != NULL && is.reason[0] != '\0');
    }
  assert_int_equal (lv_state_of (VIR_DOMAIN_NOSTATE, 0).state, HV_VM_UNKNOWN);
  assert_int_equal (lv_state_of (VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED).state, HV_VM_CRASHED);
  assert_int_equal (lv_state_of (VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED).state, HV_VM_STOPPED);
  assert_int_equal (lv_state_of (VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR).state, HV_VM_PAUSED);
  assert_string_equal (lv_state_of (VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR).reason, "io_error");
  assert_int_equal (lv_state_of (VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_CRASHED).state, HV_VM_CRASHED);
}

/* libvirt's loop is one per process: instances come and go, and it goes on. */
static void
test_many_instances (void **state)
{
  (void) state;
  for (int i = 0; i < 3; i++) {
    struct hv_fake *f = hv_fake_new (&lv_plugin, CONFIG, NULL, NULL);
    hv_fake_restart (f);
    json_decref (ok (f, "start", "{\"vm\":\"test\"}"));
    json_decref (ok (f, "stop", "{\"vm\":\"test\"}"));
    hv_fake_free (f);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[]
      = { cmocka_unit_test (test_foreign), cmocka_unit_test (test_machine_lacks), cmocka_unit_test (test_nobody_there),
          cmocka_unit_test (test_states), cmocka_unit_test (test_many_instances) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
