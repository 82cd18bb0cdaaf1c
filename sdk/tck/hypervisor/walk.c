/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The walk: every verb that has to do with the state, from every state that can be reached. Either the VM is then where the table
 * says, and the answer says so, too, or the verb is refused naming the state, and nothing has happened. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

#define REFUSED "!" /* FAILED_PRECONDITION naming the state */

/* What each verb leads to, by the state it is called in; alternatives are separated by '|', and REFUSED may be one. */
struct step {
  const char *verb, *more; /* further arguments */
  const char *stopped, *running, *paused, *crashed;
};

static const char *const states[] = { "stopped", "running", "paused", "crashed" };

static const char *
expected (const struct step *s, const char *state)
{
  const char *const by_state[] = { s->stopped, s->running, s->paused, s->crashed };
  for (size_t i = 0; i < 4; i++)
    if (strcmp (states[i], state) == 0)
      return by_state[i];
  return REFUSED;
}

static int
among (const char *list, const char *word)
{
  size_t n = strlen (word);
  for (const char *at = list; at != NULL; at = strchr (at, '|') != NULL ? strchr (at, '|') + 1 : NULL)
    if (strncmp (at, word, n) == 0 && (at[n] == '|' || at[n] == '\0'))
      return 1;
  return 0;
}

static void
check_refusal (struct tck *t, const struct step *s, const char *vm, const char *state, struct tck_answer a)
{
  const char *want = expected (s, state);
  TCK_CHECK (t, among (want, REFUSED), "%s of a VM that is %s is to lead to '%s' and answers %s: %s", s->verb, state, want,
             hv_err_name (a.code), a.text);
  TCK_CHECK (t, a.code == HV_E_FAILED_PRECONDITION, "%s of a VM that is %s answers %s, not FAILED_PRECONDITION: %s", s->verb, state,
             hv_err_name (a.code), a.text);
  TCK_CHECK (t, strstr (a.text, state) != NULL, "%s of a VM that is %s: the refusal does not name the state: %s", s->verb, state,
             a.text);
  TCK_CHECK (t, tck_is (t, vm, state), "%s was refused, and the VM that was %s is %s", s->verb, state, tck_state (t, vm));
}

static void
check_success (struct tck *t, const struct step *s, const char *vm, const char *state, struct tck_answer a)
{
  const char *want = expected (s, state), *said = tck_str (a.result, "state");
  TCK_CHECK (t, strcmp (want, REFUSED) != 0, "%s of a VM that is %s succeeds; FAILED_PRECONDITION is due", s->verb, state);
  if (strcmp (want, "gone") == 0) {
    (void) tck_refused (t, HV_E_NOT_FOUND, "get", "{\"vm\":\"%s\"}", vm);
    return;
  }
  if (said[0] != '\0')
    TCK_CHECK (t, among (want, said) || (strcmp (said, "stopping") == 0 && among (want, "stopping")),
               "%s of a VM that is %s answers '%s'; due is '%s'", s->verb, state, said, want);
  const char *now = tck_state (t, vm);
  TCK_CHECK (t, among (want, now) || among (want, tck_settled (t, vm)), "%s of a VM that is %s leaves it %s; due is '%s'", s->verb,
             state, now, want);
}

static void
walk (struct tck *t, const struct step *s)
{
  const char *vm = tck_define (t, "a");
  for (size_t i = 0; i < 4; i++) {
    if (!tck_reach (t, vm, states[i]))
      continue;
    uint64_t at = tck_mark (t);
    struct tck_answer a = tck_call (t, s->verb, "{\"vm\":\"%s\"%s}", vm, s->more);
    if (a.code < 0)
      check_refusal (t, s, vm, states[i], a);
    else
      check_success (t, s, vm, states[i], a);
    if (strcmp (expected (s, states[i]), "gone") == 0) {
      vm = tck_define (t, "a");
      continue;
    }
    const char *now = tck_rested (t, vm, 500);
    tck_chain (t, tck_events (t, at, "lifecycle", vm), states[i], now);
  }
}

#define WALK(name_, ...) \
  static void walk_##name_ (struct tck *t) \
  { \
    walk (t, &(const struct step){ __VA_ARGS__ }); \
  }

WALK (start, "start", "", .stopped = "running", .running = REFUSED, .paused = REFUSED, .crashed = "running")
WALK (start_paused, "start", ",\"paused\":true", .stopped = "paused", .running = REFUSED, .paused = REFUSED, .crashed = "paused")
WALK (stop, "stop", "", .stopped = "stopped", .running = "stopped", .paused = "stopped", .crashed = "stopped")
WALK (shutdown, "shutdown", "", .stopped = "stopped", .running = "stopping|stopped|running",
      .paused = REFUSED "|stopping|paused|stopped", .crashed = "crashed|stopped")
WALK (pause, "pause", "", .stopped = REFUSED, .running = "paused", .paused = "paused", .crashed = REFUSED)
WALK (resume, "resume", "", .stopped = REFUSED, .running = "running", .paused = "running", .crashed = REFUSED)
WALK (reset, "reset", "", .stopped = REFUSED, .running = "running", .paused = "paused|running|" REFUSED, .crashed = REFUSED)
WALK (reboot, "reboot", "", .stopped = REFUSED, .running = "running|stopping|stopped", .paused = REFUSED "|paused|running",
      .crashed = REFUSED)
WALK (adopt, "adopt", "", .stopped = "stopped|" REFUSED, .running = "running", .paused = "paused", .crashed = "crashed|" REFUSED)
WALK (undefine, "undefine", "", .stopped = "gone", .running = REFUSED, .paused = REFUSED, .crashed = "gone")
WALK (screenshot, "screenshot", "", .stopped = REFUSED, .running = "running", .paused = "paused|" REFUSED, .crashed = REFUSED)
WALK (send_key, "send_key", ",\"keys\":[\"a\"]", .stopped = REFUSED, .running = "running", .paused = "paused|" REFUSED,
      .crashed = REFUSED)
static void
walk_attach_stopped (struct tck *t)
{
  const char *vm = tck_define (t, "a"), *path = tck_raw (t, "d9.img", 1 << 20);
  const char *text = tck_refused (t, HV_E_FAILED_PRECONDITION, "attach",
                                  "{\"vm\":\"%s\",\"disk\":{\"name\":\"d9\",\"path\":\"%s\",\"format\":\"raw\"}}", vm, path);
  TCK_CHECK (t, strstr (text, "stopped") != NULL, "the refusal does not name the state: %s", text);
}

static void
walk_save_stopped (struct tck *t)
{
  const char *vm = tck_define (t, "a"), *path = tck_path (t, "state");
  const char *text = tck_refused (t, HV_E_FAILED_PRECONDITION, "save", "{\"vm\":\"%s\",\"path\":\"%s\"}", vm, path);
  TCK_CHECK (t, strstr (text, "stopped") != NULL, "the refusal does not name the state: %s", text);
  TCK_CHECK (t, tck_file_size (path) < 0, "a save that was refused left a file");
}

/* Again and again: a verb that finds its work done has nothing to announce. */
static void
check_idempotent (struct tck *t)
{
  static const struct {
    const char *state, *verb;
  } again[] = { { "stopped", "stop" }, { "paused", "pause" }, { "running", "resume" } };
  const char *vm = tck_define (t, "a");
  for (size_t i = 0; i < 3; i++) {
    if (!tck_supported (t, again[i].verb))
      continue;
    (void) tck_reach (t, vm, again[i].state);
    const json_t *before = tck_get (t, vm);
    uint64_t at = tck_mark (t);
    for (int n = 0; n < 2; n++)
      (void) tck_ok (t, again[i].verb, "{\"vm\":\"%s\"}", vm);
    const json_t *events = tck_events (t, at, "lifecycle", vm), *after = tck_get (t, vm);
    TCK_CHECK (t, json_array_size (events) == 0, "%s of a VM that is %s announces %s", again[i].verb, again[i].state,
               tck_dump (t, events));
    TCK_CHECK (t, tck_int (before, "since_ms") == tck_int (after, "since_ms"), "%s of a VM that is %s changes since_ms",
               again[i].verb, again[i].state);
  }
}

const struct tck_check tck_walk_checks[] = {
  { "walk.start", "start: stopped and crashed VMs run; others are refused", NULL, walk_start },
  { "walk.start-paused", "start {paused}: stopped and crashed VMs are paused; others are refused", NULL, walk_start_paused },
  { "walk.stop", "stop: every VM is stopped, also one that was", NULL, walk_stop },
  { "walk.shutdown", "shutdown: asks a running guest; is done for a VM that does not run", NULL, walk_shutdown },
  { "walk.pause", "pause: running and paused VMs are paused; others are refused", "pause", walk_pause },
  { "walk.resume", "resume: paused and running VMs run; others are refused", "resume", walk_resume },
  { "walk.reset", "reset: a running VM goes on running; one without a process is refused", "reset", walk_reset },
  { "walk.reboot", "reboot: asks a running guest; a VM without a process is refused", "reboot", walk_reboot },
  { "walk.adopt", "adopt: never changes the state of a VM that is under control", NULL, walk_adopt },
  { "walk.undefine", "undefine: VMs without a process are forgotten; others are refused", NULL, walk_undefine },
  { "walk.attach", "attach {live}: a VM without a process is refused", "attach", walk_attach_stopped },
  { "walk.save", "save: a VM without a process is refused, and no file is made", "save", walk_save_stopped },
  { "walk.screenshot", "screenshot: a VM without a process is refused", "screenshot", walk_screenshot },
  { "walk.send-key", "send_key: a VM without a process is refused", "send_key", walk_send_key },
  { "walk.idempotent", "stop of a stopped, pause of a paused, resume of a running VM succeed and announce nothing", NULL,
    check_idempotent },
  { NULL, NULL, NULL, NULL },
};
