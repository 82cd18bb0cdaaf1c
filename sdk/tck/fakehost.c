/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake host: nothing of the core is faked, only the world around the plugin under test. */
#include "sdk/tck/fakehost.h"
#include "core/bus/instance.h"
#include "core/err/err.h"
#include "core/limits.h"
#include "core/plugin/plugin.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#define FAKE_TIMEOUT_MS 60000u

/* One scripted method of another instance, as an instance of its own with one route. */
struct scripted {
  struct scripted *next;
  struct hv_fake *fake;
  char *name, *instance, *verb;
  hv_fake_answer_fn *fn;
  void *arg;
  char *text;
  int code;
  struct hv_method method;
  const struct hv_method *methods[2];
  struct hv_iface iface;
  const struct hv_iface *provides[2];
  struct hv_plugin table;
  struct hv_instance *running;
};

struct hv_fake {
  struct hv_loop *loop;
  struct hv_bus *bus;
  struct hv_instance *core, *instance;
  const struct hv_plugin *plugin;
  struct hv_pack config;
  char *dir, *state, *run;
  int own_dir;
  struct scripted *scripted;
  uint64_t next_event;
};

static void __attribute__ ((noreturn, format (printf, 1, 2))) die (const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  (void) fprintf (stderr, "fake host: ");
  (void) vfprintf (stderr, fmt, ap);
  (void) fputc ('\n', stderr);
  va_end (ap);
  abort ();
}

static void *
must (void *p)
{
  if (p == NULL)
    die ("out of memory");
  return p;
}

static char *
joined (const char *a, const char *between, const char *b)
{
  size_t n = strlen (a) + strlen (between) + strlen (b) + 1;
  char *s = must (malloc (n));
  (void) snprintf (s, n, "%s%s%s", a, between, b);
  return s;
}

static struct hv_pack
json (const char *text)
{
  struct hv_pack p = { 0 };
  struct hv_err *err = hv_error_new ();
  if (hv_json_to_pack (text != NULL ? text : "{}", strlen (text != NULL ? text : "{}"), &p, err) < 0)
    die ("not JSON: %s: %s", text, hv_err_message (err));
  hv_err_free (err);
  return p;
}

/* --- starting and stopping instances, synchronously --- */

struct outcome {
  int done, code;
  char *text;
};

static void
start_done (void *arg, int code, struct hv_err *err)
{
  struct outcome *o = arg;
  o->code = code;
  o->text = code < 0 ? must (strdup (hv_err_message (err))) : NULL;
  o->done = 1;
}

static void
stop_done (void *arg, uint32_t leaked)
{
  struct outcome *o = arg;
  o->code = (int) leaked;
  o->done = 1;
}

static void
instance_stop (struct hv_fake *f, struct hv_instance *i)
{
  struct outcome o = { 0 };
  hv_instance_stop (i, HV_LIMIT_DRAIN_MS, stop_done, &o);
  if (!hv_loop_run_until (f->loop, &o.done, FAKE_TIMEOUT_MS))
    die ("'%s' does not stop", i->name);
  if (o.code != 0)
    die ("'%s' stopped, but %d of its coroutines never returned", i->name, o.code);
  hv_instance_unref (i);
}

static struct hv_instance *
instance_start (struct hv_fake *f, const struct hv_plugin *table, const char *name, struct hv_bin config, char **ret_error)
{
  struct hv_instance *i = NULL;
  struct outcome o = { 0 };
  struct hv_err *err = hv_error_new ();
  struct hv_instance_spec spec = { .plugin = table,
                                   .name = name,
                                   .state_dir = f->state,
                                   .run_dir = f->run,
                                   .config = config,
                                   .isolation = HV_ISOLATION_LOOP,
                                   .role = HV_ADMIN };
  if (hv_instance_new (f->bus, &spec, &i, err) < 0) {
    if (ret_error == NULL)
      die ("'%s': %s", name, hv_err_message (err));
    *ret_error = must (strdup (hv_err_message (err)));
    hv_err_free (err);
    return NULL;
  }
  hv_err_free (err);
  hv_instance_start (i, start_done, &o);
  if (!hv_loop_run_until (f->loop, &o.done, FAKE_TIMEOUT_MS))
    die ("start of '%s' does not return", name);
  if (o.code == 0)
    return i;
  if (ret_error == NULL)
    die ("start of '%s': %s", name, o.text);
  *ret_error = o.text;
  instance_stop (f, i);
  return NULL;
}

/* --- new and free --- */

static void
make_dirs (struct hv_fake *f, const char *dir)
{
  f->own_dir = dir == NULL;
  f->dir = must (strdup (dir != NULL ? dir : "/tmp/hvkit-fake-XXXXXX"));
  if (f->own_dir && mkdtemp (f->dir) == NULL)
    die ("temporary directory: %s", strerror (errno));
  f->state = joined (f->dir, "/", "state");
  f->run = joined (f->dir, "/", "run");
  if ((mkdir (f->state, 0700) < 0 && errno != EEXIST) || (mkdir (f->run, 0711) < 0 && errno != EEXIST))
    die ("directory '%s': %s", f->dir, strerror (errno));
}

static int
remove_entry (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove (path);
}

static void
fake_release (struct hv_fake *f)
{
  while (f->scripted != NULL) {
    struct scripted *s = f->scripted;
    f->scripted = s->next;
    instance_stop (f, s->running);
    free (s->name);
    free (s->instance);
    free (s->verb);
    free (s->text);
    free (s);
  }
  instance_stop (f, f->core);
  hv_bus_free (f->bus);
  hv_loop_free (f->loop);
  if (f->own_dir)
    (void) nftw (f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  hv_pack_clear (&f->config);
  free (f->dir);
  free (f->state);
  free (f->run);
  free (f);
}

struct hv_fake *
hv_fake_new (const struct hv_plugin *plugin, const char *config_json, const char *dir, char **ret_error)
{
  struct hv_fake *f = must (calloc (1, sizeof *f));
  struct hv_err *err = hv_error_new ();
  if (hv_plugin_check (plugin, err) < 0)
    die ("the plugin's tables: %s", hv_err_message (err));
  hv_err_free (err);
  make_dirs (f, dir);
  f->plugin = plugin;
  f->config = json (config_json);
  f->loop = must (hv_loop_new ("fake", NULL));
  f->bus = must (hv_bus_new (f->loop, NULL));
  f->next_event = 1;
  f->core = instance_start (f, &hv_bus_plugin, "bus", (struct hv_bin){ NULL, 0 }, NULL);
  f->instance = instance_start (f, plugin, plugin->name, (struct hv_bin){ f->config.data, f->config.size }, ret_error);
  if (f->instance != NULL)
    return f;
  fake_release (f);
  return NULL;
}

void
hv_fake_free (struct hv_fake *f)
{
  if (f == NULL)
    return;
  hv_fake_down (f);
  fake_release (f);
}

void
hv_fake_down (struct hv_fake *f)
{
  if (f->instance != NULL)
    instance_stop (f, f->instance);
  f->instance = NULL;
}

int
hv_fake_up (struct hv_fake *f, char **ret_error)
{
  f->instance = instance_start (f, f->plugin, f->plugin->name, (struct hv_bin){ f->config.data, f->config.size }, ret_error);
  return f->instance != NULL ? 0 : -1;
}

void
hv_fake_restart (struct hv_fake *f)
{
  hv_fake_down (f);
  (void) hv_fake_up (f, NULL);
}

const char *
hv_fake_dir (const struct hv_fake *f)
{
  return f->dir;
}

/* --- calls --- */

struct hv_fake_call {
  struct hv_fake *fake;
  struct hv_call *call;
  struct outcome outcome;
  uint64_t sent_ms, answered_ms, seq;
};

static void
call_done (struct hv_call *c, void *arg)
{
  struct hv_fake_call *fc = arg;
  static const uint8_t empty = 0x80;
  fc->answered_ms = hv_loop_now_ms ();
  fc->seq = hv_fake_seq (fc->fake);
  struct hv_bin b = hv_call_result (c) != NULL ? hv_msg_bytes (hv_call_result (c)) : (struct hv_bin){ &empty, 1 };
  fc->outcome.code = hv_call_code (c);
  fc->outcome.text = fc->outcome.code < 0 ? must (strdup (hv_err_message (hv_call_error (c)))) : must (hv_pack_to_json (b, 0));
  fc->outcome.done = 1;
  fc->call = NULL;
}

struct hv_fake_call *
hv_fake_call_start (struct hv_fake *f, const char *verb, const char *args_json)
{
  struct hv_fake_call *fc = must (calloc (1, sizeof *fc));
  struct hv_pack args = json (args_json);
  struct hv_err *err = hv_error_new ();
  struct hv_route *route = NULL;
  struct hv_call_request req = { .loop = f->loop,
                                 .done = call_done,
                                 .arg = fc,
                                 .args = { args.data, args.size },
                                 .role = HV_ADMIN,
                                 .deadline_ms = hv_loop_now_ms () + FAKE_TIMEOUT_MS };
  char *name = joined (f->plugin->name, ".", verb);
  fc->fake = f;
  fc->sent_ms = fc->answered_ms = hv_loop_now_ms ();
  int r = hv_bus_route (f->bus, name, strlen (name), &route, err);
  if (r == 0 && (r = hv_call_reserved (req.args, &req, err)) < 0)
    hv_instance_unref (route->instance);
  if (r == 0)
    fc->call = must (hv_call_send (route, &req));
  else
    fc->outcome = (struct outcome){ 1, r, must (strdup (hv_err_message (err))) };
  hv_err_free (err);
  hv_pack_clear (&args);
  free (name);
  return fc;
}

void
hv_fake_call_cancel (struct hv_fake_call *fc)
{
  if (fc->call != NULL)
    hv_call_cancel (fc->call);
}

int
hv_fake_call_wait (struct hv_fake_call *fc, uint64_t timeout_ms)
{
  return hv_loop_run_until (fc->fake->loop, &fc->outcome.done, timeout_ms);
}

struct hv_fake_took
hv_fake_call_took (const struct hv_fake_call *fc)
{
  return (struct hv_fake_took){ fc->answered_ms - fc->sent_ms, fc->seq };
}

char *
hv_fake_call_finish (struct hv_fake_call *fc, int *ret_code)
{
  if (!hv_loop_run_until (fc->fake->loop, &fc->outcome.done, FAKE_TIMEOUT_MS + 1000))
    die ("a call is never answered");
  char *text = fc->outcome.text;
  if (ret_code != NULL)
    *ret_code = fc->outcome.code;
  else if (fc->outcome.code < 0)
    die ("call failed: %s", text);
  free (fc);
  return text;
}

char *
hv_fake_call (struct hv_fake *f, const char *verb, const char *args_json, int *ret_code)
{
  return hv_fake_call_finish (hv_fake_call_start (f, verb, args_json), ret_code);
}

int
hv_fake_attach (struct hv_fake *f, const char *token)
{
  struct hv_stream *s = NULL;
  int ends[2];
  if (hv_stream_claim (f->bus, token, 0, &s, NULL) < 0)
    return -1;
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
    die ("socket pair: %s", strerror (errno));
  hv_stream_attach (s, (struct hv_splice_side){ .fd = ends[0] }, (struct hv_bin){ NULL, 0 });
  return ends[1];
}

/* --- the other instances --- */

static int
scripted_run (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct scripted *s = hv_container (c->route->instance->plugin.methods, struct scripted, methods);
  struct hv_bin b = c->request.args_msg != NULL ? hv_msg_bytes (c->request.args_msg) : c->request.args;
  (void) self;
  (void) args;
  (void) result;
  int code = s->code;
  char *in = must (hv_pack_to_json (b, 0));
  char *out = s->fn != NULL ? s->fn (s->arg, in, &code) : must (strdup (s->text));
  free (in);
  if (code == 0) {
    struct hv_pack p = json (out);
    c->reply_result = must (hv_msg_from_pack (&p));
  } else {
    (void) hv_err_set (err, code, "%s", out);
  }
  free (out);
  return code;
}

static struct scripted *
scripted_new (struct hv_fake *f, const char *instance, const char *verb)
{
  struct scripted *s = must (calloc (1, sizeof *s));
  s->fake = f;
  s->instance = must (strdup (instance));
  s->verb = must (strdup (verb));
  s->name = joined (instance, ".", verb);
  s->table = (struct hv_plugin){ HV_PLUGIN_HEAD, .name = s->instance, .version = "0", .methods = s->methods };
  s->next = f->scripted;
  f->scripted = s;
  return s;
}

static struct scripted *
scripted_method (struct hv_fake *f, const char *method)
{
  const char *dot = strchr (method, '.');
  char instance[64];
  for (struct scripted *s = f->scripted; s != NULL; s = s->next)
    if (strcmp (s->name, method) == 0)
      return s;
  if (dot == NULL || (size_t) (dot - method) >= sizeof instance)
    die ("'%s' is not INSTANCE.VERB", method);
  memcpy (instance, method, (size_t) (dot - method));
  instance[dot - method] = '\0';
  struct scripted *s = scripted_new (f, instance, dot + 1);
  s->method = (struct hv_method){
    .struct_size = sizeof s->method, .flags = HV_CALL_RAW, .verb = s->verb, .handler = scripted_run, .access = HV_VIEWER
  };
  s->methods[0] = &s->method;
  s->running = instance_start (f, &s->table, s->instance, (struct hv_bin){ NULL, 0 }, NULL);
  return s;
}

void
hv_fake_answer (struct hv_fake *f, const char *method, hv_fake_answer_fn *fn, void *arg)
{
  struct scripted *s = scripted_method (f, method);
  s->fn = fn;
  s->arg = arg;
}

void
hv_fake_answer_json (struct hv_fake *f, const char *method, int code, const char *text)
{
  struct scripted *s = scripted_method (f, method);
  s->fn = NULL;
  s->code = code;
  free (s->text);
  s->text = must (strdup (text));
}

void
hv_fake_provide (struct hv_fake *f, const char *instance, const char *iface, uint32_t major)
{
  struct scripted *s = scripted_new (f, instance, "");
  s->iface = (struct hv_iface){ .struct_size = sizeof s->iface, .major = major, .name = must (strdup (iface)), .doc = "scripted" };
  s->provides[0] = &s->iface;
  s->table.provides = s->provides;
  s->running = instance_start (f, &s->table, s->instance, (struct hv_bin){ NULL, 0 }, NULL);
  s->text = (char *) (uintptr_t) s->iface.name; /* freed with it */
}

/* --- events --- */

void
hv_fake_emit (struct hv_fake *f, const char *topic, const char *data_json)
{
  struct hv_pack p = json (data_json);
  if (hv_events_publish (f->bus, topic, (struct hv_bin){ p.data, p.size }) < 0)
    die ("out of memory");
  hv_pack_clear (&p);
}

static int
spin (struct hv_fake *f, uint64_t ms)
{
  const int never = 0;
  return hv_loop_run_until (f->loop, &never, ms);
}

char *
hv_fake_wait_event (struct hv_fake *f, const char *topic_glob, uint64_t timeout_ms)
{
  const char *globs[] = { topic_glob, NULL };
  uint64_t until = hv_loop_now_ms () + timeout_ms;
  for (;;) {
    struct hv_event_cursor c = { .next = f->next_event, .globs = globs };
    struct hv_event_entry e;
    int r = hv_events_next (f->bus, &c, &e);
    if (r < 0)
      die ("the event log was too short for this test");
    if (r == 1) {
      struct hv_bin b = hv_msg_bytes (e.packed);
      char *text = must (hv_pack_to_json ((struct hv_bin){ b.data + e.data_at, b.size - e.data_at }, 0));
      f->next_event = e.seq + 1;
      hv_msg_unref (e.packed);
      return text;
    }
    if (hv_loop_now_ms () >= until)
      return NULL;
    (void) spin (f, 5);
  }
}

uint64_t
hv_fake_seq (struct hv_fake *f)
{
  uint64_t epoch, seq;
  hv_events_head (f->bus, &epoch, &seq);
  return seq;
}

/* The entry is pairs without a map header, the topic is the fourth one's value. */
static char *
event_topic (struct hv_bin packed)
{
  struct hv_read r = { packed.data, packed.data + packed.size };
  struct hv_value v = { 0 };
  for (int i = 0; i < 7; i++)
    (void) hv_read_skip (&r);
  if (!hv_read_next (&r, &v) || v.type != HV_MP_STR)
    die ("an event without a topic");
  char *topic = must (malloc (v.size + 1)); /* it is not terminated: no function for strings may look at it */
  memcpy (topic, v.as.data, v.size);
  topic[v.size] = '\0';
  return topic;
}

int
hv_fake_event_next (struct hv_fake *f, uint64_t *cursor, struct hv_fake_event *ret)
{
  static const char *const all[] = { "*", NULL };
  struct hv_event_cursor c = { .next = *cursor + 1, .globs = all };
  struct hv_event_entry e;
  int r = hv_events_next (f->bus, &c, &e);
  if (r < 0)
    die ("the event log was too short for this test");
  if (r == 0)
    return 0;
  struct hv_bin b = hv_msg_bytes (e.packed);
  struct hv_bin data = { b.data + e.data_at, b.size - e.data_at };
  *ret = (struct hv_fake_event){ .seq = e.seq, .size = data.size };
  ret->topic = event_topic (b);
  ret->json = must (hv_pack_to_json (data, 0));
  ret->data = must (malloc (data.size > 0 ? data.size : 1));
  memcpy (ret->data, data.data, data.size);
  hv_msg_unref (e.packed);
  *cursor = e.seq;
  return 1;
}

void
hv_fake_event_clear (struct hv_fake_event *e)
{
  free (e->topic);
  free (e->json);
  free (e->data);
  memset (e, 0, sizeof *e);
}

int
hv_fake_run_until (struct hv_fake *f, int (*fn) (void *arg), void *arg, uint64_t timeout_ms)
{
  uint64_t until = hv_loop_now_ms () + timeout_ms;
  while (!fn (arg)) {
    if (hv_loop_now_ms () >= until)
      return 0;
    (void) spin (f, 2);
  }
  return 1;
}
