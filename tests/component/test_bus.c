/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bus with a plugin on its own thread, called as the RPC server calls it: deadlines, lanes, cancellation, progress, nesting,
 * access, events, stop. */
#include "core/bus/instance.h"
#include "core/err/err.h"
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* --- a plugin that does what the tests ask for --- */

struct probe {
  struct hv_host *host;
  _Atomic int entered, undone, heard;
  _Atomic uint64_t last_seq;
  struct hv_subscription *sub;
};
static struct probe probe;

#define ECHO(F, T) \
  F (T, STR, _, text, HV_REQUIRED, "text", .max = 100) \
  F (T, U32, _, times, 0, "times", .def = "1")
HV_RECORD_STRUCT (echo, ECHO);
HV_RECORD_TABLE (echo, ECHO, "echo");
#define KEYED(F, T) \
  F (T, STR, _, key, HV_REQUIRED, "lane key") \
  F (T, U32, _, ms, 0, "how long", .def = "0")
HV_RECORD_STRUCT (keyed, KEYED);
HV_RECORD_TABLE (keyed, KEYED, "a call on a lane");
#define TICK(F, T) F (T, U64, _, n, HV_REQUIRED, "number")
HV_RECORD_STRUCT (tick, TICK);
HV_RECORD_TABLE (tick, TICK, "tick");

static int
probe_echo (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  const struct echo *a = args;
  struct echo *r = result;
  (void) self;
  (void) c;
  (void) err;
  HV_SET (r, text, a->text);
  HV_SET (r, times, a->times);
  return 0;
}

static int
probe_hold (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct probe *p = self;
  const struct keyed *a = args;
  (void) c;
  (void) result;
  p->entered++;
  int r = a->ms > 0 ? hv_sleep (p->host, a->ms, err) : 0;
  if (r == HV_E_CANCELLED)
    p->undone++;
  return r;
}

static int
probe_fail (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  (void) self;
  (void) c;
  (void) args;
  (void) result;
  hv_err_set (err, HV_E_NOT_FOUND, "no such file");
  hv_err_data (err, "reason", "gone");
  return hv_err_wrap (err, HV_E_NOT_FOUND, "open '%s'", "a.img");
}

static int
probe_work (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct probe *p = self;
  (void) args;
  (void) result;
  for (uint64_t i = 1; i <= 5; i++) {
    hv_progress (c, "copying", i, 5, "bytes");
    int r = hv_sleep (p->host, 1, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int
offloaded (void *arg)
{
  *(int *) arg = 42;
  return 7;
}

static int
probe_offload (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct probe *p = self;
  struct tick *t = result;
  int value = 0;
  (void) c;
  (void) args;
  int r = hv_offload (p->host, offloaded, &value, err);
  HV_SET (t, n, (uint64_t) (value + r));
  return 0;
}

static int
probe_nested (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct probe *p = self;
  struct echo a = { .text = "from inside" };
  (void) c;
  (void) args;
  HV_SET (&a, text, a.text);
  return hv_call_method (p->host, "probe.echo", echo, &a, echo, result, err);
}

static int
probe_nested_hold (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct probe *p = self;
  struct keyed a = { .key = "inner", .ms = 60000, .has = { 1, 1 } };
  (void) c;
  (void) args;
  (void) result;
  return p->host->api->call (p->host, "probe.hold", &keyed_record, &a, NULL, NULL, NULL, err);
}

static int
probe_publish (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct probe *p = self;
  (void) c;
  (void) result;
  for (uint64_t i = 0; i < ((const struct tick *) args)->n; i++) {
    struct tick t = { .n = i };
    int r = hv_publish (p->host, "tick", &t, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static void
probe_heard (void *self, void *arg, const struct hv_event_info *e)
{
  struct probe *p = self;
  (void) arg;
  if (e->seq <= p->last_seq && p->last_seq != 0)
    abort (); /* out of order */
  p->last_seq = e->seq;
  (void) hv_sleep (p->host, 0, NULL); /* a subscriber may yield; order stays */
  p->heard++;
}

static int
probe_start (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  (void) config;
  memset (&probe, 0, sizeof probe);
  probe.host = host;
  probe.sub = host->api->subscribe (host, "probe.tick", probe_heard, NULL);
  *ret_self = &probe;
  return probe.sub != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static const struct hv_method *const methods[] = {
  HV_METHOD ("echo", HV_VIEWER, probe_echo, &echo_record, &echo_record, "echoes", .flags = HV_READ),
  HV_METHOD ("fast", HV_VIEWER, probe_echo, &echo_record, &echo_record, "echoes at once", .flags = HV_READ | HV_FAST),
  HV_METHOD ("hold", HV_OPERATOR, probe_hold, &keyed_record, NULL, "holds its lane", .lane = HV_LANE_MUTATE, .key = "key"),
  HV_METHOD ("destroy", HV_ADMIN, probe_hold, &keyed_record, NULL, "pre-empts", .lane = HV_LANE_DESTROY, .key = "key"),
  HV_METHOD ("read", HV_VIEWER, probe_hold, &keyed_record, NULL, "reads slowly", .flags = HV_READ),
  HV_METHOD ("fail", HV_VIEWER, probe_fail, NULL, NULL, "fails"),
  HV_METHOD ("work", HV_VIEWER, probe_work, NULL, NULL, "reports progress"),
  HV_METHOD ("offload", HV_VIEWER, probe_offload, NULL, &tick_record, "uses the pool"),
  HV_METHOD ("nested", HV_VIEWER, probe_nested, NULL, &echo_record, "calls itself"),
  HV_METHOD ("nested_hold", HV_VIEWER, probe_nested_hold, NULL, NULL, "calls what takes long"),
  HV_METHOD ("publish", HV_VIEWER, probe_publish, &tick_record, NULL, "publishes n ticks"),
  NULL,
};
static const struct hv_plugin probe_plugin = { HV_PLUGIN_HEAD,
                                               .name = "probe",
                                               .version = "1",
                                               .methods = methods,
                                               .events = (const struct hv_event *const[]){ HV_EVENT ("tick", &tick_record, "a tick"), NULL },
                                               .start = probe_start };

/* --- the daemon around it --- */

struct world {
  struct hv_loop *loop;
  struct hv_bus *bus;
  struct hv_instance *instance;
  char dir[64];
};
static struct world w;

struct answer {
  int done, code, progress;
  char *text, *reason;
};

static void
started (void *arg, int code, struct hv_err *err)
{
  struct answer *a = arg;
  (void) err;
  a->code = code;
  a->done = 1;
}

static void
stopped (void *arg, uint32_t leaked)
{
  struct answer *a = arg;
  a->code = (int) leaked;
  a->done = 1;
}

static int
remove_entry (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove (path);
}

static int
world_up (void **state)
{
  struct answer a = { 0 };
  (void) state;
  (void) snprintf (w.dir, sizeof w.dir, "/tmp/hvkit-bus-XXXXXX");
  assert_non_null (mkdtemp (w.dir));
  w.loop = hv_loop_new ("test", NULL);
  w.bus = hv_bus_new (w.loop, NULL);
  struct hv_instance_spec spec = { .plugin = &probe_plugin, .name = "probe", .state_dir = w.dir, .run_dir = w.dir,
                                   .isolation = HV_ISOLATION_THREAD, .role = HV_ADMIN };
  assert_int_equal (hv_instance_new (w.bus, &spec, &w.instance, NULL), 0);
  hv_instance_start (w.instance, started, &a);
  assert_true (hv_loop_run_until (w.loop, &a.done, 10000));
  return a.code;
}

static int
world_down (void **state)
{
  struct answer a = { 0 };
  (void) state;
  if (w.instance != NULL) {
    hv_instance_stop (w.instance, 200, stopped, &a);
    assert_true (hv_loop_run_until (w.loop, &a.done, 20000));
    assert_int_equal (a.code, 0);
    hv_instance_unref (w.instance);
  }
  hv_bus_free (w.bus);
  hv_loop_free (w.loop);
  (void) nftw (w.dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  memset (&w, 0, sizeof w);
  return 0;
}

static void
answered (struct hv_call *c, void *arg)
{
  struct answer *a = arg;
  a->code = hv_call_code (c);
  if (a->code < 0) {
    const char *reason = hv_err_data_get (hv_call_error (c), "reason");
    a->text = strdup (hv_err_message (hv_call_error (c)));
    a->reason = reason != NULL ? strdup (reason) : NULL;
  } else {
    a->text = hv_call_result (c) != NULL ? hv_pack_to_json (hv_msg_bytes (hv_call_result (c)), 0) : strdup ("{}");
  }
  a->done = 1;
}

static void
progressed (void *arg, const char *phase, uint64_t done, uint64_t total, const char *unit)
{
  struct answer *a = arg;
  assert_string_equal (phase, "copying");
  assert_string_equal (unit, "bytes");
  assert_true (done <= total);
  a->progress++;
}

static struct hv_call *
send_as (uint32_t role, struct answer *a, const char *method, const char *args, uint64_t timeout_ms)
{
  struct hv_pack p = { 0 };
  struct hv_err *err = hv_error_new ();
  struct hv_route *route = NULL;
  memset (a, 0, sizeof *a);
  assert_int_equal (hv_json_to_pack (args, strlen (args), &p, err), 0);
  struct hv_call_request req = { .loop = w.loop, .done = answered, .progress = progressed, .arg = a, .args = { p.data, p.size }, .role = role,
                                 .deadline_ms = timeout_ms > 0 ? hv_loop_now_ms () + timeout_ms : 0 };
  int r = hv_bus_route (w.bus, method, strlen (method), &route, err);
  if (r == 0 && (r = hv_call_check_access (route, role, err)) < 0)
    hv_instance_unref (route->instance);
  if (r == 0 && (r = hv_call_reserved (req.args, &req, err)) < 0)
    hv_instance_unref (route->instance);
  struct hv_call *c = NULL;
  if (r == 0)
    c = hv_call_send (route, &req);
  else
    *a = (struct answer){ 1, r, 0, strdup (hv_err_message (err)), NULL };
  hv_pack_clear (&p);
  hv_err_free (err);
  return c;
}

static void
finish (struct answer *a, int want_code, const char *want_text)
{
  assert_true (hv_loop_run_until (w.loop, &a->done, 20000));
  if (want_text != NULL && strstr (a->text, want_text) == NULL)
    fail_msg ("'%s' does not contain '%s'", a->text, want_text);
  assert_int_equal (a->code, want_code);
  free (a->text);
  free (a->reason);
}

static void
call (const char *method, const char *args, int want_code, const char *want_text)
{
  struct answer a;
  (void) send_as (HV_ADMIN, &a, method, args, 0);
  finish (&a, want_code, want_text);
}

static void
run_until_entered (int n)
{
  const int never = 0;
  for (int i = 0; i < 2000 && probe.entered < n; i++)
    (void) hv_loop_run_until (w.loop, &never, 1);
  assert_int_equal (probe.entered, n);
}

/* --- tests --- */

static void
test_answers (void **state)
{
  (void) state;
  call ("probe.echo", "{\"text\":\"hi\"}", 0, "{\"text\":\"hi\",\"times\":1}");
  call ("probe.fast", "{\"text\":\"hi\",\"times\":3}", 0, "\"times\":3");
  call ("probe.offload", "{}", 0, "49");
  call ("probe.nested", "{}", 0, "from inside");
}

static void
test_errors (void **state)
{
  struct answer a;
  (void) state;
  call ("probe.echo", "{}", HV_E_INVALID_ARGUMENT, "text");
  call ("probe.echo", "{\"text\":\"x\",\"tims\":1}", HV_E_INVALID_ARGUMENT, "did you mean 'times'");
  call ("probe.echoo", "{}", HV_E_NOT_FOUND, "did you mean 'echo'");
  call ("nobody.echo", "{}", HV_E_NOT_FOUND, "bus.plugins");
  call ("nodot", "{}", HV_E_INVALID_ARGUMENT, "INSTANCE.VERB");
  call ("probe.echo", "{\"text\":\"x\",\"_timeout_ms\":0}", HV_E_INVALID_ARGUMENT, "deadline");
  call ("probe.echo", "{\"text\":\"x\",\"_timout_ms\":1}", HV_E_INVALID_ARGUMENT, "_timout_ms");
  (void) send_as (HV_ADMIN, &a, "probe.fail", "{}", 0);
  assert_true (hv_loop_run_until (w.loop, &a.done, 20000));
  assert_string_equal (a.reason, "gone");
  finish (&a, HV_E_NOT_FOUND, "open 'a.img': no such file");
}

static void
test_access_comes_before_arguments (void **state)
{
  struct answer a;
  (void) state;
  (void) send_as (HV_VIEWER, &a, "probe.destroy", "{\"nonsense\":true}", 0);
  finish (&a, HV_E_PERMISSION_DENIED, "admin");
}

static void
test_deadline (void **state)
{
  struct answer a;
  (void) state;
  (void) send_as (HV_ADMIN, &a, "probe.read", "{\"key\":\"a\",\"ms\":60000}", 30);
  finish (&a, HV_E_DEADLINE_EXCEEDED, "no answer within");
  (void) send_as (HV_ADMIN, &a, "probe.hold", "{\"key\":\"a\",\"ms\":60000}", 30);
  finish (&a, HV_E_UNKNOWN, "not known");
  const int never = 0;
  for (int i = 0; i < 2000 && probe.undone < 2; i++) /* both were told to stop */
    (void) hv_loop_run_until (w.loop, &never, 1);
  assert_int_equal (probe.undone, 2);
}

static void
test_cancel (void **state)
{
  struct answer a;
  (void) state;
  struct hv_call *c = send_as (HV_ADMIN, &a, "probe.nested_hold", "{}", 0);
  run_until_entered (1);
  hv_call_cancel (c);
  finish (&a, HV_E_CANCELLED, NULL); /* through the nested call, too */
  assert_int_equal (probe.undone, 1);
}

static void
test_detach (void **state)
{
  struct answer a;
  const int never = 0;
  (void) state;
  struct hv_call *c = send_as (HV_ADMIN, &a, "probe.hold", "{\"key\":\"a\",\"ms\":60000}", 0);
  run_until_entered (1);
  hv_call_detach (c);
  for (int i = 0; i < 2000 && probe.undone < 1; i++)
    (void) hv_loop_run_until (w.loop, &never, 1);
  assert_int_equal (probe.undone, 1);
  assert_int_equal (a.done, 0);
}

static void
test_lanes (void **state)
{
  struct answer first, other;
  (void) state;
  struct hv_call *c = send_as (HV_ADMIN, &first, "probe.hold", "{\"key\":\"a\",\"ms\":60000}", 0);
  run_until_entered (1);
  call ("probe.hold", "{\"key\":\"a\"}", HV_E_ABORTED, "probe.hold of 'a' has been running");
  call ("probe.hold", "{\"key\":\"b\"}", 0, NULL);
  call ("probe.read", "{\"key\":\"a\"}", 0, NULL);
  (void) send_as (HV_ADMIN, &other, "probe.hold", "{\"key\":\"b\",\"ms\":1}", 0);
  finish (&other, 0, NULL);
  hv_call_cancel (c);
  finish (&first, HV_E_CANCELLED, NULL);
  call ("probe.hold", "{\"key\":\"a\"}", 0, NULL);
}

static void
test_destroy_preempts (void **state)
{
  struct answer holder, destroyer, late;
  (void) state;
  (void) send_as (HV_ADMIN, &holder, "probe.hold", "{\"key\":\"a\",\"ms\":60000}", 0);
  run_until_entered (1);
  (void) send_as (HV_ADMIN, &destroyer, "probe.destroy", "{\"key\":\"a\",\"ms\":50}", 0);
  finish (&holder, HV_E_ABORTED, "pre-empted");
  (void) send_as (HV_ADMIN, &late, "probe.destroy", "{\"key\":\"a\"}", 0);
  finish (&late, HV_E_ABORTED, "busy: probe.destroy");
  finish (&destroyer, 0, NULL);
  assert_int_equal (probe.undone, 1);
  call ("probe.hold", "{\"key\":\"a\"}", 0, NULL);
}

static void
test_progress (void **state)
{
  struct answer a;
  (void) state;
  (void) send_as (HV_ADMIN, &a, "probe.work", "{\"_progress\":true}", 0);
  assert_true (hv_loop_run_until (w.loop, &a.done, 20000));
  assert_true (a.progress >= 2); /* the first and the last; those between are rate-limited */
  finish (&a, 0, NULL);
  (void) send_as (HV_ADMIN, &a, "probe.work", "{}", 0);
  assert_true (hv_loop_run_until (w.loop, &a.done, 20000));
  assert_int_equal (a.progress, 0);
  finish (&a, 0, NULL);
}

static void
test_events_in_order (void **state)
{
  const int never = 0;
  (void) state;
  call ("probe.publish", "{\"n\":3000}", 0, NULL);
  for (int i = 0; i < 20000 && probe.heard < 3000; i++)
    (void) hv_loop_run_until (w.loop, &never, 1);
  assert_int_equal (probe.heard, 3000);
}

static void
test_event_cursors (void **state)
{
  const char *globs[] = { "probe.*", NULL };
  struct hv_event_cursor c = { .globs = globs };
  struct hv_event_entry e;
  struct hv_err *err = hv_error_new ();
  uint64_t epoch, seq;
  (void) state;
  hv_events_set_limits (w.bus, 100, 1 << 20);
  call ("probe.publish", "{\"n\":50}", 0, NULL);
  hv_events_head (w.bus, &epoch, &seq);
  assert_int_equal (seq, 50);
  assert_int_equal (hv_events_seek (w.bus, epoch, 40, &c, err), 0);
  for (uint64_t want = 41; want <= 50; want++) {
    assert_int_equal (hv_events_next (w.bus, &c, &e), 1);
    assert_int_equal (e.seq, want);
    hv_msg_unref (e.packed);
  }
  assert_int_equal (hv_events_next (w.bus, &c, &e), 0);
  call ("probe.publish", "{\"n\":101}", 0, NULL);
  assert_int_equal (hv_events_next (w.bus, &c, &e), HV_E_OUT_OF_RANGE);
  assert_int_equal (hv_events_seek (w.bus, epoch, 40, &c, err), HV_E_OUT_OF_RANGE);
  assert_non_null (strstr (hv_err_message (err), "too old"));
  assert_int_equal (hv_events_seek (w.bus, epoch - 1, 140, &c, err), HV_E_OUT_OF_RANGE);
  assert_non_null (strstr (hv_err_message (err), "restart"));
  assert_int_equal (hv_events_seek (w.bus, epoch, 999, &c, err), HV_E_OUT_OF_RANGE);
  hv_err_free (err);
}

static void
test_globs (void **state)
{
  (void) state;
  assert_true (hv_glob_match ("*", "a.b"));
  assert_true (hv_glob_match ("*.lifecycle", "qmp.lifecycle"));
  assert_true (hv_glob_match ("a*b*c", "aXbYbZc"));
  assert_false (hv_glob_match ("*.lifecycle", "qmp.agent"));
  assert_false (hv_glob_match ("a", "ab"));
  assert_true (hv_glob_match ("", ""));
}

static void
test_stop_drains_and_cancels (void **state)
{
  struct answer a, stop = { 0 };
  (void) state;
  (void) send_as (HV_ADMIN, &a, "probe.hold", "{\"key\":\"a\",\"ms\":60000}", 0);
  run_until_entered (1);
  hv_instance_stop (w.instance, 50, stopped, &stop);
  finish (&a, HV_E_CANCELLED, NULL);
  assert_true (hv_loop_run_until (w.loop, &stop.done, 20000));
  assert_int_equal (stop.code, 0);
  call ("probe.echo", "{\"text\":\"x\"}", HV_E_NOT_FOUND, "no running plugin");
  hv_instance_unref (w.instance);
  w.instance = NULL;
}

static void
test_many_calls (void **state)
{
  enum { N = 2000 };
  static struct answer many[N];
  (void) state;
  for (int i = 0; i < N; i++)
    (void) send_as (HV_ADMIN, &many[i], "probe.read", "{\"key\":\"a\",\"ms\":1}", 60000);
  for (int i = 0; i < N; i++)
    finish (&many[i], 0, NULL);
  assert_int_equal (probe.entered, N);
}

int
main (void)
{
#define T(name) cmocka_unit_test_setup_teardown (name, world_up, world_down)
  const struct CMUnitTest tests[] = { T (test_answers), T (test_errors), T (test_access_comes_before_arguments), T (test_deadline),
                                      T (test_cancel), T (test_detach), T (test_lanes), T (test_destroy_preempts), T (test_progress),
                                      T (test_events_in_order), T (test_event_cursors), T (test_globs), T (test_stop_drains_and_cancels),
                                      T (test_many_calls) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
