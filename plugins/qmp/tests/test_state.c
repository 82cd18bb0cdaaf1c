/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of transitions, pair by pair, and the function that honours it. The host is a few lines that count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/err/err.h"
#include "qmp.h"

/* What a backend may report, one line per state; a change here is a change of the contract. */
static const char *const allowed[HV_VM_STATES] = {
  [HV_VM_STOPPED] = "starting unmanaged unknown",
  [HV_VM_STARTING] = "stopped running paused stopping crashed migrating unreachable unmanaged unknown",
  [HV_VM_RUNNING] = "stopped paused stopping crashed suspended migrating unreachable unmanaged unknown",
  [HV_VM_PAUSED] = "stopped running stopping crashed suspended migrating unreachable unmanaged unknown",
  [HV_VM_STOPPING] = "stopped running paused crashed suspended unreachable unmanaged unknown",
  [HV_VM_CRASHED] = "stopped starting running paused stopping unreachable unmanaged unknown",
  [HV_VM_SUSPENDED] = "stopped running paused stopping crashed migrating unreachable unmanaged unknown",
  [HV_VM_MIGRATING] = "stopped running paused stopping crashed unreachable unmanaged unknown",
  [HV_VM_UNREACHABLE] = "stopped running paused stopping crashed suspended migrating unmanaged unknown",
  [HV_VM_UNMANAGED] = "stopped running paused stopping crashed suspended migrating unreachable unknown",
  [HV_VM_UNKNOWN] = "stopped running paused stopping crashed suspended migrating unreachable unmanaged",
};

static int
is_listed (uint32_t from, uint32_t to)
{
  size_t n = strlen (hv_vm_state_words[to]);
  const char *at = allowed[from];
  while ((at = strstr (at, hv_vm_state_words[to])) != NULL) {
    if ((at == allowed[from] || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' '))
      return 1;
    at += n;
  }
  return 0;
}

static void
test_table (void **state)
{
  (void) state;
  for (uint32_t from = 0; from < HV_VM_STATES; from++) {
    assert_non_null (hv_vm_state_words[from]);
    for (uint32_t to = 0; to < HV_VM_STATES; to++)
      assert_int_equal (hv_vm_transitions[from][to], is_listed (from, to));
  }
  assert_null (hv_vm_state_words[HV_VM_STATES]);
}

/* --- a host that counts --- */

static int published, errors;
static struct hv_lifecycle last;

static int
count_publish (struct hv_host *h, const char *event, const void *data, struct hv_err *err)
{
  (void) h;
  (void) err;
  assert_string_equal (event, "lifecycle");
  last = *(const struct hv_lifecycle *) data;
  published++;
  return 0;
}

static void
count_log (struct hv_host *h, int32_t level, const char *fmt, va_list ap)
{
  (void) h;
  (void) fmt;
  (void) ap;
  errors += level == HV_LOG_ERROR;
}

static void
ignore_cond (struct hv_host *h, struct hv_cond *c)
{
  (void) h;
  (void) c;
}

static void
test_every_pair (void **state)
{
  const struct hv_host_api api = {
    .struct_size = sizeof api, .err_new = hv_error_new, .publish = count_publish, .logv = count_log, .cond_wake = ignore_cond
  };
  struct hv_host host = { .api = &api };
  struct qmp q = { .host = &host };
  char name[] = "vm";
  (void) state;
  for (uint32_t from = 0; from < HV_VM_STATES; from++)
    for (uint32_t to = 0; to < HV_VM_STATES; to++) {
      struct qmp_vm vm = { .qmp = &q, .name = name, .state = from };
      published = errors = 0;
      qmp_vm_set_state (&vm, to, "why", "detail");
      int change = from != to && hv_vm_transitions[from][to];
      assert_int_equal (vm.state, change ? to : from);
      assert_int_equal (published, change);
      assert_int_equal (errors, from != to && !change);
      if (change) {
        assert_int_equal (last.state, to);
        assert_int_equal (last.was, from);
        assert_string_equal (last.reason, "why");
        assert_int_equal (vm.unreachable_since_ms != 0, to == HV_VM_UNREACHABLE);
      }
      free (vm.reason);
      free (vm.detail);
    }
}

static void
test_status_words (void **state)
{
  static const struct {
    const char *status;
    uint32_t state;
    const char *reason;
  } cases[] = {
    { "running", HV_VM_RUNNING, "running" },      { "paused", HV_VM_PAUSED, "user" },
    { "io-error", HV_VM_PAUSED, "io_error" },     { "shutdown", HV_VM_STOPPING, "shutdown" },
    { "suspended", HV_VM_SUSPENDED, "guest" },    { "guest-panicked", HV_VM_CRASHED, "guest_panic" },
    { "inmigrate", HV_VM_MIGRATING, "incoming" }, { "a word of the year 2040", HV_VM_PAUSED, "other" },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const char *reason;
    assert_int_equal (qmp_status_state (cases[i].status, &reason), cases[i].state);
    assert_string_equal (reason, cases[i].reason);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[]
      = { cmocka_unit_test (test_table), cmocka_unit_test (test_every_pair), cmocka_unit_test (test_status_words) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
