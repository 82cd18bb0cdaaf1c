/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: what a subscriber is told is all that happened, in order, once. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

static void
life (struct tck *t, const char *vm)
{
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  if (tck_supported (t, "pause") && tck_supported (t, "resume")) {
    (void) tck_ok (t, "pause", "{\"vm\":\"%s\"}", vm);
    (void) tck_ok (t, "resume", "{\"vm\":\"%s\"}", vm);
  }
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\",\"paused\":true}", vm);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
}

static void
check_chain (struct tck *t)
{
  uint64_t from = tck_mark (t);
  const char *vm = tck_define (t, "a");
  life (t, vm);
  tck_run (t, 200);
  tck_chain (t, tck_events (t, from, "lifecycle", vm), "stopped", "stopped");
}

/* The states that a verb goes through, in this order; others may lie between. */
static void
passes (struct tck *t, const json_t *events, const char *const *states)
{
  size_t i = 0, at = 0;
  for (; states[at] != NULL; at++) {
    while (i < json_array_size (events)
           && strcmp (tck_str (json_object_get (json_array_get (events, i), "data"), "state"), states[at]) != 0)
      i++;
    TCK_CHECK (t, i < json_array_size (events), "'%s' is not announced, or not in its place: %s", states[at], tck_dump (t, events));
  }
}

static void
check_order (struct tck *t)
{
  static const char *const up[] = { "starting", "running", NULL }, *const up_paused[] = { "starting", "paused", NULL },
                           *const down[] = { "stopped", NULL };
  const char *vm = tck_define (t, "a");
  uint64_t from = tck_mark (t);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  passes (t, tck_events (t, from, "lifecycle", vm), up);
  from = tck_mark (t);
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  const json_t *events = tck_events (t, from, "lifecycle", vm);
  passes (t, events, down);
  const json_t *last = json_object_get (json_array_get (events, json_array_size (events) - 1), "data");
  TCK_CHECK (t, strcmp (tck_str (last, "state"), "stopped") == 0, "'stopped' is not the last word of stop: %s",
             tck_dump (t, events));
  from = tck_mark (t);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\",\"paused\":true}", vm);
  passes (t, tck_events (t, from, "lifecycle", vm), up_paused);
}

/* The last event that is not younger than the answer says what the answer says. */
static void
told_by (struct tck *t, const char *vm, uint64_t from, struct tck_answer a)
{
  const char *state = tck_str (a.result, "state"), *told = NULL;
  size_t i;
  json_t *e;
  json_array_foreach (tck_events (t, from, "lifecycle", vm), i, e) if ((uint64_t) tck_int (e, "seq") <= a.seq) told
      = tck_str (json_object_get (e, "data"), "state");
  TCK_CHECK (t, told != NULL, "the answer says '%s' before any event does", state);
  TCK_CHECK (t, strcmp (told, state) == 0, "the answer says '%s', the last event before it '%s'", state, told);
}

static void
check_before_answer (struct tck *t)
{
  static const char *const verbs[] = { "start", "pause", "resume", "stop" };
  const char *vm = tck_define (t, "a");
  for (size_t i = 0; i < 4; i++) {
    uint64_t from = tck_mark (t);
    if (!tck_supported (t, verbs[i]))
      continue;
    struct tck_answer a = tck_call (t, verbs[i], "{\"vm\":\"%s\"}", vm);
    TCK_CHECK (t, a.code == 0, "%s: %s", verbs[i], a.text);
    told_by (t, vm, from, a);
  }
}

static void
agrees (struct tck *t, const char *vm, uint64_t from)
{
  static const char *const members[] = { "state", "reason" };
  json_t *events = tck_events (t, from, "lifecycle", vm), *got = tck_get (t, vm);
  json_t *last = json_object_get (json_array_get (events, json_array_size (events) - 1), "data");
  for (size_t i = 0; i < 2; i++)
    TCK_CHECK (t, json_object_get (last, members[i]) == NULL || strcmp (tck_str (last, members[i]), tck_str (got, members[i])) == 0,
               "%s: the last event says '%s', get says '%s'", members[i], tck_str (last, members[i]), tck_str (got, members[i]));
  TCK_CHECK (t,
             json_object_get (last, "pid") == NULL || json_object_get (got, "pid") == NULL
                 || tck_int (last, "pid") == tck_int (got, "pid"),
             "pid: the last event says %lld, get says %lld", (long long) tck_int (last, "pid"), (long long) tck_int (got, "pid"));
}

static void
check_agree (struct tck *t)
{
  uint64_t from = tck_mark (t);
  const char *vm = tck_define (t, "a"), *verbs[] = { "start", "pause", "resume", "stop" };
  for (size_t i = 0; i < 4; i++)
    if (tck_supported (t, verbs[i])) {
      (void) tck_ok (t, verbs[i], "{\"vm\":\"%s\"}", vm);
      agrees (t, vm, from);
    }
}

static void
check_decode (struct tck *t)
{
  uint64_t from = tck_mark (t);
  const char *vm = tck_define (t, "a");
  life (t, vm);
  (void) tck_ok (t, "undefine", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, json_array_size (tck_events (t, from, NULL, vm)) > 0, "there were no events");
  tck_decode (t, from);
}

static void
check_defined (struct tck *t)
{
  uint64_t from = tck_mark (t);
  const char *vm = tck_name (t, "a");
  struct tck_answer a = tck_call (t, "define", "{\"vm\":\"%s\",\"machine\":%s}", vm, tck_dump (t, tck_machine (t, vm)));
  TCK_CHECK (t, a.code == 0, "define: %s", a.text);
  told_by (t, vm, from, a);
}

static void
check_undefined (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  uint64_t from = tck_mark (t);
  (void) tck_ok (t, "undefine", "{\"vm\":\"%s\"}", vm);
  tck_run (t, 400);
  const json_t *events = tck_events (t, from, NULL, vm);
  TCK_CHECK (t, json_array_size (events) > 0, "undefine is not announced");
  const json_t *first = json_array_get (events, 0);
  TCK_CHECK (t, json_is_true (json_object_get (json_object_get (first, "data"), "undefined")),
             "it is not announced as undefined: %s", tck_dump (t, first));
  TCK_CHECK (t, json_array_size (events) == 1, "something is announced of a VM that is no more: %s", tck_dump (t, events));
}

static void
check_own (struct tck *t)
{
  const char *a = tck_define (t, "a"), *b = tck_define (t, "b");
  uint64_t from = tck_mark (t);
  life (t, a);
  TCK_CHECK (t, json_array_size (tck_events (t, from, NULL, b)) == 0, "what was done to one VM is announced of another: %s",
             tck_dump (t, tck_events (t, from, NULL, b)));
}

static void
check_pid (struct tck *t)
{
  const char *a = tck_running (t, "a"), *b = tck_running (t, "b");
  int64_t pa = tck_int (tck_get (t, a), "pid"), pb = tck_int (tck_get (t, b), "pid");
  if (pa < 0 && pb < 0)
    tck_na (t, "machines of this backend have no process of their own");
  TCK_CHECK (t, pa > 0 && pb > 0 && pa != pb, "two running VMs have the processes %lld and %lld", (long long) pa, (long long) pb);
  TCK_CHECK (t, pa != getpid () && pb != getpid (), "a machine's process is said to be the provider's own");
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", a);
  TCK_CHECK (t, tck_int (tck_get (t, a), "pid") < 0, "a stopped VM has process %lld", (long long) tck_int (tck_get (t, a), "pid"));
}

const struct tck_check tck_event_checks[] = {
  { "events.chain",
    "lifecycle events form one chain: `was` is the state before, every step is in hv_vm_transitions, none comes twice", NULL,
    check_chain },
  { "events.order", "starting comes before running or paused; stopped comes last", NULL, check_order },
  { "events.before-answer", "the event of a change is published no later than the answer of the verb that caused it", NULL,
    check_before_answer },
  { "events.agree", "the last lifecycle event and get say the same of state, reason and process", NULL, check_agree },
  { "events.decode", "every event fits the record of its table exactly", NULL, check_decode },
  { "events.defined", "define is announced by a lifecycle event", NULL, check_defined },
  { "events.undefined", "undefine is announced with undefined: true, and nothing follows of that VM", NULL, check_undefined },
  { "events.own", "an event names the VM it is about: nothing is announced of another", NULL, check_own },
  { "events.pid", "pid is the machine's own process, and is gone with it", NULL, check_pid },
  { NULL, NULL, NULL, NULL },
};
