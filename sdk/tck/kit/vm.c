/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kit's VMs: made from one template, driven into states by verbs alone. */
#include "sdk/tck/kit/kit.h"
#include <signal.h>
#include <string.h>

const char *
tck_name (struct tck *t, const char *name)
{
  return tck_text (t, TCK_PREFIX "%s", name);
}

/* Unique among this run's checks, and unlikely to be anybody else's. */
static const char *
new_uuid (struct tck *t)
{
  return tck_text (t, "%08x-7463-4b68-8b00-%06x%06x", (unsigned) getpid (), (unsigned) (tck_now_ms () & 0xffffff),
                   (unsigned) ++t->serial);
}

json_t *
tck_machine (struct tck *t, const char *vm)
{
  static const char own[] = "{\"memory_bytes\":67108864}";
  json_t *m = t->options->machine != NULL ? json_deep_copy (t->options->machine) : json_loads (own, 0, NULL);
  m = tck_keep (t, m);
  (void) json_object_set_new (m, "name", json_string (vm));
  (void) json_object_set_new (m, "uuid", json_string (new_uuid (t)));
  return m;
}

json_t *
tck_define_as (struct tck *t, const char *vm, const json_t *machine)
{
  return tck_ok (t, "define", "{\"vm\":\"%s\",\"machine\":%s}", vm, tck_dump (t, machine));
}

const char *
tck_define (struct tck *t, const char *name)
{
  const char *vm = tck_name (t, name);
  (void) tck_define_as (t, vm, tck_machine (t, vm));
  return vm;
}

const char *
tck_running (struct tck *t, const char *name)
{
  const char *vm = tck_define (t, name);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, tck_is (t, vm, "running"), "after start the VM is %s, not running", tck_state (t, vm));
  return vm;
}

json_t *
tck_get (struct tck *t, const char *vm)
{
  return tck_ok (t, "get", "{\"vm\":\"%s\"}", vm);
}

const char *
tck_state (struct tck *t, const char *vm)
{
  return tck_str (tck_get (t, vm), "state");
}

int
tck_is (struct tck *t, const char *vm, const char *state)
{
  return strcmp (tck_state (t, vm), state) == 0;
}

struct awaited {
  struct tck *t;
  const char *vm, *state;
};

static int
is_there (void *arg)
{
  struct awaited *a = arg;
  return tck_is (a->t, a->vm, a->state);
}

int
tck_wait_state (struct tck *t, const char *vm, const char *state, uint64_t ms)
{
  struct awaited a = { t, vm, state };
  return hv_fake_run_until (t->host, is_there, &a, ms);
}

static int
at_rest (void *arg)
{
  struct awaited *a = arg;
  const char *s = tck_state (a->t, a->vm);
  return strcmp (s, "starting") != 0 && strcmp (s, "stopping") != 0;
}

const char *
tck_rested (struct tck *t, const char *vm, uint64_t ms)
{
  struct awaited a = { t, vm, NULL };
  (void) hv_fake_run_until (t->host, at_rest, &a, ms);
  return tck_state (t, vm);
}

const char *
tck_settled (struct tck *t, const char *vm)
{
  struct awaited a = { t, vm, NULL };
  if (!hv_fake_run_until (t->host, at_rest, &a, t->options->settle_ms))
    tck_fail (t, "the VM is still %s after %llu ms", tck_state (t, vm), (unsigned long long) t->options->settle_ms);
  return tck_state (t, vm);
}

int
tck_kill (struct tck *t, const char *vm)
{
  int64_t pid = tck_int (tck_get (t, vm), "pid");
  return pid > 1 && pid != getpid () && pid != getppid () && kill ((pid_t) pid, SIGKILL) == 0;
}

static int
reach_crashed (struct tck *t, const char *vm)
{
  if (!tck_kill (t, vm))
    return 0;
  if (!tck_wait_state (t, vm, "crashed", t->options->settle_ms))
    tck_fail (t, "its process was killed, and %llu ms later the VM is %s, not crashed", (unsigned long long) t->options->settle_ms,
              tck_state (t, vm));
  return 1;
}

int
tck_reach (struct tck *t, const char *vm, const char *state)
{
  const char *now = tck_rested (t, vm, 500); /* a guest that was asked to go and does not is stopped below */
  if (strcmp (now, state) == 0)
    return 1;
  if (strcmp (state, "stopped") == 0 || strcmp (now, "crashed") == 0 || strcmp (now, "running") != 0)
    (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  if (strcmp (state, "running") == 0 || strcmp (state, "crashed") == 0) {
    if (strcmp (now, "running") != 0)
      (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  } else if (strcmp (state, "paused") == 0) {
    if (strcmp (now, "running") == 0)
      (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
    (void) tck_ok (t, "start", "{\"vm\":\"%s\",\"paused\":true}", vm);
  }
  if (strcmp (state, "crashed") == 0 && !reach_crashed (t, vm))
    return 0;
  TCK_CHECK (t, tck_is (t, vm, state), "the VM was to become %s and is %s", state, tck_state (t, vm));
  return 1;
}

static int
never (void *arg)
{
  (void) arg;
  return 0;
}

void
tck_run (struct tck *t, uint64_t ms)
{
  (void) hv_fake_run_until (t->host, never, NULL, ms);
}
