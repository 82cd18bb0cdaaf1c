/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Migration: from one daemon to another, both in this process, each with its own directories. The guest runs in one place, never in
 * two. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

/* Both daemons go on while one of them is waited for. */
static struct tck_answer
wait_both (struct tck *t, struct tck *other, struct hv_fake_call *c)
{
  uint64_t end = tck_now_ms () + t->options->settle_ms;
  while (!hv_fake_call_wait (c, 5) && tck_now_ms () < end)
    tck_run (other, 5);
  return tck_end (t, c);
}

static int
wait_there (struct tck *t, struct tck *other, const char *vm, const char *state)
{
  uint64_t end = tck_now_ms () + t->options->settle_ms;
  while (!tck_is (other, vm, state) && tck_now_ms () < end) {
    tck_run (t, 5);
    tck_run (other, 5);
  }
  return tck_is (other, vm, state);
}

/* A running VM here, and a daemon there that waits for it. Returns the address. */
static const char *
prepare (struct tck *t, const char *vm, struct tck **ret_other)
{
  json_t *m = tck_machine (t, vm);
  (void) tck_define_as (t, vm, m);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  *ret_other = tck_other (t);
  const json_t *in = tck_ok (*ret_other, "migrate_in", "{\"vm\":\"%s\",\"uri\":\"unix:%s\",\"machine\":%s}", vm,
                             tck_path (t, "in.sock"), tck_dump (t, m));
  TCK_CHECK (t, tck_str (in, "uri")[0] != '\0', "migrate_in answers without an address");
  TCK_CHECK (t, !tck_is (*ret_other, vm, "running"), "it runs there before it was moved");
  return tck_str (in, "uri");
}

static void
check_move (struct tck *t)
{
  struct tck *other;
  const char *vm = tck_name (t, "a"), *uri = prepare (t, vm, &other);
  uint64_t here = tck_mark (t);
  struct tck_answer a = wait_both (t, other, tck_begin (t, "migrate", "{\"vm\":\"%s\",\"uri\":\"%s\"}", vm, uri));
  TCK_CHECK (t, a.code == 0, "migrate: %s: %s", hv_err_name (a.code), a.text);
  if (!wait_there (t, other, vm, "running"))
    tck_fail (t, "migrate succeeded; there it is %s", tck_state (other, vm));
  const char *state = tck_settled (t, vm);
  TCK_CHECK (t, strcmp (state, "stopped") == 0, "it runs there, and here it is %s", state);
  TCK_CHECK (t, json_object_get (tck_get (t, vm), "pid") == NULL, "it runs there, and its process is still here");
  TCK_CHECK (t, strcasecmp (tck_str (tck_get (t, vm), "uuid"), tck_str (tck_get (other, vm), "uuid")) == 0, "its uuid has changed");
  tck_chain (t, tck_events (t, here, "lifecycle", vm), "running", "stopped");
  tck_chain (other, tck_events (other, 0, "lifecycle", vm), "stopped", "running");
  (void) tck_ok (other, "stop", "{\"vm\":\"%s\"}", vm);
}

static void
check_nowhere (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  uint64_t from = tck_mark (t);
  struct tck_answer a = tck_call (t, "migrate", "{\"vm\":\"%s\",\"uri\":\"unix:%s\"}", vm, tck_path (t, "nobody.sock"));
  TCK_CHECK (t, a.code < 0, "it moved to where nobody is");
  TCK_CHECK (t, tck_wait_state (t, vm, "running", t->options->settle_ms), "it could not move, and is %s", tck_state (t, vm));
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "running", "running");
  a = tck_call (t, "migrate", "{\"vm\":\"%s\",\"uri\":\"carrier-pigeon:coop\"}", vm);
  TCK_CHECK (t, a.code == HV_E_INVALID_ARGUMENT || a.code == HV_E_UNIMPLEMENTED, "an address that is none: %s: %s",
             hv_err_name (a.code), a.text);
}

static void
check_states (struct tck *t)
{
  const char *vm = tck_define (t, "a"), *up = tck_running (t, "b");
  const char *text
      = tck_refused (t, HV_E_FAILED_PRECONDITION, "migrate", "{\"vm\":\"%s\",\"uri\":\"unix:%s\"}", vm, tck_path (t, "x.sock"));
  TCK_CHECK (t, strstr (text, "stopped") != NULL, "the refusal does not name the state: %s", text);
  struct tck_answer a = tck_call (t, "migrate_in", "{\"vm\":\"%s\",\"uri\":\"unix:%s\",\"machine\":%s}", up, tck_path (t, "y.sock"),
                                  tck_dump (t, tck_machine (t, up)));
  TCK_CHECK (t, a.code == HV_E_FAILED_PRECONDITION || a.code == HV_E_ALREADY_EXISTS, "migrate_in of a VM that runs here: %s: %s",
             hv_err_name (a.code), a.text);
  TCK_CHECK (t, tck_is (t, up, "running"), "migrate_in was refused, and the VM is %s", tck_state (t, up));
}

static void
check_cancel (struct tck *t)
{
  struct tck *other;
  const char *vm = tck_name (t, "a"), *uri = prepare (t, vm, &other);
  uint64_t from = tck_mark (t);
  struct hv_fake_call *c = tck_begin (t, "migrate", "{\"vm\":\"%s\",\"uri\":\"%s\",\"bytes_per_s\":65536}", vm, uri);
  for (int i = 0; i < 20 && !hv_fake_call_wait (c, 5); i++)
    tck_run (other, 5);
  if (hv_fake_call_wait (c, 0))
    tck_na (t, "it has moved before it could be cancelled: %s", tck_end (t, c).text);
  hv_fake_call_cancel (c);
  struct tck_answer a = wait_both (t, other, c);
  TCK_CHECK (t, a.code == HV_E_CANCELLED, "a migration that was cancelled answers %s: %s", hv_err_name (a.code), a.text);
  TCK_CHECK (t, tck_wait_state (t, vm, "running", t->options->settle_ms), "it was not moved, and is %s", tck_state (t, vm));
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "running", "running");
  tck_run (other, 500);
  struct tck_answer there = tck_call (other, "get", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, there.code == HV_E_NOT_FOUND || strcmp (tck_str (there.result, "state"), "running") != 0, "it runs there, too");
}

/* The daemon there gives up: the guest goes on here. */
static void
check_target_dies (struct tck *t)
{
  struct tck *other;
  const char *vm = tck_name (t, "a"), *uri = prepare (t, vm, &other);
  struct hv_fake_call *c = tck_begin (t, "migrate", "{\"vm\":\"%s\",\"uri\":\"%s\",\"bytes_per_s\":65536}", vm, uri);
  for (int i = 0; i < 20 && !hv_fake_call_wait (c, 5); i++)
    tck_run (other, 5);
  (void) tck_ok (other, "stop", "{\"vm\":\"%s\"}", vm);
  struct tck_answer a = wait_both (t, other, c);
  TCK_CHECK (t, a.code < 0, "it was stopped there meanwhile, and migrate succeeds");
  TCK_CHECK (t, tck_wait_state (t, vm, "running", t->options->settle_ms), "it is gone there, and %s here", tck_state (t, vm));
}

#define NEEDS "migrate migrate_in"
const struct tck_check tck_migration_checks[] = {
  { "migration.move", "migrate moves a running VM to where migrate_in waits: it runs there, is stopped here, with one chain each",
    NEEDS, check_move },
  { "migration.nowhere", "a VM that cannot be moved goes on running", NEEDS, check_nowhere },
  { "migration.states", "a VM without a process is not moved; one that runs is not waited for", NEEDS, check_states },
  { "migration.cancel", "a cancelled migration leaves the VM running here, and only here", NEEDS, check_cancel },
  { "migration.target-dies", "a target that is stopped meanwhile leaves the VM running here", NEEDS, check_target_dies },
  { NULL, NULL, NULL, NULL },
};
