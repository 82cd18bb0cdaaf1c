/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin that the benches call: one typed method with a typed result, a coroutine per call, on its own thread. */
#include <errno.h>
#include <hvkit/plugin.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADD_ARGS(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "text that comes back", .max = 64) \
  F (T, U64, _, a, HV_REQUIRED, "summand") \
  F (T, U64, _, b, 0, "summand", .def = "1")
HV_RECORD_STRUCT (add_args, ADD_ARGS);
HV_RECORD_TABLE (add_args, ADD_ARGS, "arguments of add");
#define ADD(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "the text") \
  F (T, U64, _, sum, HV_REQUIRED, "a + b")
HV_RECORD_STRUCT (add, ADD);
HV_RECORD_TABLE (add, ADD, "result of add");

static int
bench_add (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  const struct add_args *a = args;
  struct add *r = result;
  (void) self;
  (void) c;
  (void) err;
  r->name = a->name;
  r->sum = a->a + a->b;
  return 0;
}

#define BURST_ARGS(F, T) F (T, U32, _, count, HV_REQUIRED, "events to publish", .umin = 1, .max = 1000000)
HV_RECORD_STRUCT (burst_args, BURST_ARGS);
HV_RECORD_TABLE (burst_args, BURST_ARGS, "arguments of burst");
#define TICK(F, T) F (T, U32, _, n, HV_REQUIRED, "number of the event in its burst")
HV_RECORD_STRUCT (tick, TICK);
HV_RECORD_TABLE (tick, TICK, "one event");

static struct hv_host *host;

static int
bench_burst (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  (void) self;
  (void) c;
  (void) result;
  for (uint32_t i = 0; i < ((const struct burst_args *) args)->count; i++) {
    struct tick t = { .n = i };
    int r = hv_publish (host, "tick", &t, err);
    if (r == 0 && i % 1000 == 999)
      r = hv_sleep (host, 1, err); /* readers of a live log, not of a memory dump */
    if (r < 0)
      return r;
  }
  return 0;
}

#define STREAM_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED, "UNIX socket whose listener is the far end", .max = 100) \
  F (T, BOOL, _, keep, 0, "leave the one before as it is", .def = "false")
HV_RECORD_STRUCT (stream_args, STREAM_ARGS);
HV_RECORD_TABLE (stream_args, STREAM_ARGS, "arguments of stream");
#define STREAM(F, T) F (T, STR, _, token, HV_REQUIRED | HV_SECRET | HV_STREAM_TOKEN, "for bus.attach")
HV_RECORD_STRUCT (stream, STREAM);
HV_RECORD_TABLE (stream, STREAM, "result of stream");
#define ENDED(F, T) F (T, I64, _, code, HV_REQUIRED, "0, or why")
HV_RECORD_STRUCT (ended, ENDED);
HV_RECORD_TABLE (ended, ENDED, "a stream ended by itself");

static struct hv_stream *stream; /* the one of bench.stream; a new one ends it */

static void
bench_stream_ended (void *self, void *arg, int32_t code)
{
  struct ended e = { .code = code };
  (void) self;
  (void) arg;
  stream = NULL;
  (void) hv_publish (host, "ended", &e, NULL);
}

static int
bench_stream (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct hv_stream_options o = { .struct_size = sizeof o, .what = "the bench's stream", .ended = bench_stream_ended };
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  const struct stream_args *in = args;
  const char *path = in->path;
  (void) self;
  memcpy (a.sun_path, path, strlen (path));
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect (fd, (const struct sockaddr *) &a, sizeof a) < 0) {
    int r = hv_err_sys (err, errno, "connect to '%s'", path);
    if (fd >= 0)
      (void) close (fd);
    return r;
  }
  if (in->keep)
    return host->api->stream_open (host, c, fd, NULL, NULL, &((struct stream *) result)->token, err);
  host->api->stream_close (host, stream);
  stream = NULL;
  return host->api->stream_open (host, c, fd, &o, &stream, &((struct stream *) result)->token, err);
}

static int
bench_unstream (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  (void) self;
  (void) c;
  (void) args;
  (void) result;
  (void) err;
  host->api->stream_close (host, stream);
  stream = NULL;
  return 0;
}

static int
bench_start (struct hv_host *h, const void *config, void **ret_self, struct hv_err *err)
{
  (void) config;
  (void) err;
  host = h;
  *ret_self = h;
  return 0;
}

static const struct hv_plugin plugin = {
  HV_PLUGIN_HEAD,
  .name = "bench",
  .version = "1.0.0",
  .summary = "what the benches and event tests call",
  .license = "LGPL-2.1-or-later",
  .methods
  = (const struct hv_method *const[]){ HV_METHOD ("add", HV_VIEWER, bench_add, &add_args_record, &add_record, "adds",
                                                  .flags = HV_READ),
                                       HV_METHOD ("burst", HV_OPERATOR, bench_burst, &burst_args_record, NULL, "publishes events",
                                                  .timeout_ms = 600000),
                                       HV_METHOD ("stream", HV_VIEWER, bench_stream, &stream_args_record, &stream_record,
                                                  "opens a byte stream; ends the one before"),
                                       HV_METHOD ("unstream", HV_VIEWER, bench_unstream, NULL, NULL, "ends the byte stream"),
                                       NULL },
  .events = (const struct hv_event *const[]){ HV_EVENT ("tick", &tick_record, "one event of a burst"),
                                              HV_EVENT ("ended", &ended_record, "a byte stream ended by itself"), NULL },
  .start = bench_start,
};
HV_PLUGIN_REGISTER (plugin)
