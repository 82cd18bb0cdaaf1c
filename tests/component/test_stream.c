/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plugin's byte stream in the fake host: what a plugin's own test can do with it, and what the host refuses. */
#include "sdk/tck/fakehost.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#define OPENED(F, T) F (T, STR, _, token, HV_REQUIRED | HV_SECRET | HV_STREAM_TOKEN, "for bus.attach")
HV_RECORD_STRUCT (opened, OPENED);
HV_RECORD_TABLE (opened, OPENED, "result of open");

static struct {
  struct hv_host *host;
  struct hv_stream *stream;
  int far, give, ended, code;
} probe;

static void
probe_ended (void *self, void *arg, int32_t code)
{
  (void) self;
  assert_ptr_equal (arg, &probe);
  probe.ended++;
  probe.code = code;
  probe.stream = NULL;
}

static int
probe_open (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  struct hv_stream_options o = { .struct_size = sizeof o, .what = "the probe's stream", .ended = probe_ended, .arg = &probe };
  (void) self;
  (void) args;
  return probe.host->api->stream_open (probe.host, c, probe.give, &o, &probe.stream, &((struct opened *) result)->token, err);
}

static int
probe_close (void *self, struct hv_call *c, const void *args, void *result, struct hv_err *err)
{
  (void) self;
  (void) c;
  (void) args;
  (void) result;
  (void) err;
  probe.host->api->stream_close (probe.host, probe.stream);
  probe.stream = NULL;
  probe.host->api->stream_close (probe.host, NULL);
  return 0;
}

static int
probe_start (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  (void) config;
  (void) err;
  probe.host = host;
  *ret_self = &probe;
  return hv_host_has (host, stream_close) ? 0 : HV_E_INTERNAL;
}

static const struct hv_method *const methods[] = { HV_METHOD ("open", HV_VIEWER, probe_open, NULL, &opened_record, "opens"),
                                                   HV_METHOD ("close", HV_VIEWER, probe_close, NULL, NULL, "closes"), NULL };
static const struct hv_plugin probe_plugin
    = { HV_PLUGIN_HEAD, .name = "probe", .version = "1", .methods = methods, .start = probe_start };

static int
up (void **state)
{
  int ends[2];
  memset (&probe, 0, sizeof probe);
  assert_int_equal (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  probe.give = ends[0];
  probe.far = ends[1];
  *state = hv_fake_new (&probe_plugin, NULL, NULL, NULL);
  return 0;
}

static int
down (void **state)
{
  hv_fake_free (*state);
  (void) close (probe.far);
  return 0;
}

/* The token of a new stream, malloc'd. */
static char *
open_stream (struct hv_fake *f)
{
  int code = 0;
  char *text = hv_fake_call (f, "open", "{}", &code), *token = NULL;
  assert_int_equal (code, 0);
  assert_int_equal (sscanf (text, "{\"token\":\"%m[0-9a-f]\"}", &token), 1);
  assert_int_equal (strlen (token), 64);
  free (text);
  return token;
}

static int
readable (void *arg)
{
  char c;
  return recv (*(int *) arg, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

static int
has_ended (void *arg)
{
  (void) arg;
  return probe.ended > 0;
}

static void
want_bytes (struct hv_fake *f, int fd, const char *want)
{
  char got[64] = "";
  assert_true (hv_fake_run_until (f, readable, &fd, 10000));
  assert_int_equal (recv (fd, got, sizeof got - 1, MSG_DONTWAIT), (ssize_t) strlen (want));
  assert_string_equal (got, want);
}

static void
test_bytes_both_ways_and_the_end (void **state)
{
  struct hv_fake *f = *state;
  HV_CLEAN (hv_free) char *token = open_stream (f);
  HV_CLEAN (hv_fd) int client = hv_fake_attach (f, token);
  assert_true (client >= 0);
  assert_int_equal (hv_fake_attach (f, token), -1);
  assert_int_equal (send (client, "up", 2, 0), 2);
  want_bytes (f, probe.far, "up");
  assert_int_equal (send (probe.far, "down", 4, 0), 4);
  want_bytes (f, client, "down");
  assert_int_equal (probe.ended, 0);
  assert_int_equal (shutdown (client, SHUT_RDWR), 0);
  assert_true (hv_fake_run_until (f, has_ended, NULL, 10000));
  assert_int_equal (probe.ended, 1);
  assert_int_equal (probe.code, 0);
}

static void
test_closing_is_not_told (void **state)
{
  struct hv_fake *f = *state;
  int code = -1;
  HV_CLEAN (hv_free) char *token = open_stream (f);
  HV_CLEAN (hv_fd) int client = hv_fake_attach (f, token);
  free (hv_fake_call (f, "close", "{}", &code));
  assert_int_equal (code, 0);
  want_bytes (f, client, "");
  want_bytes (f, probe.far, "");
  assert_int_equal (probe.ended, 0);
}

static void
test_stopping_closes (void **state)
{
  struct hv_fake *f = *state;
  HV_CLEAN (hv_free) char *token = open_stream (f);
  HV_CLEAN (hv_fd) int client = hv_fake_attach (f, token);
  hv_fake_restart (f);
  want_bytes (f, client, "");
  want_bytes (f, probe.far, "");
  assert_int_equal (probe.ended, 0);
}

static void
test_only_stream_sockets (void **state)
{
  struct hv_fake *f = *state;
  int fds[2], code = 0, was = probe.give;
  assert_int_equal (pipe (fds), 0);
  probe.give = fds[0];
  HV_CLEAN (hv_free) char *text = hv_fake_call (f, "open", "{}", &code);
  assert_int_equal (code, HV_E_INVALID_ARGUMENT);
  assert_non_null (strstr (text, "stream socket"));
  assert_int_equal (write (fds[1], "x", 1), -1); /* it was taken over, so it is closed */
  assert_int_equal (errno, EPIPE);
  (void) close (fds[1]);
  (void) close (was);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown (test_bytes_both_ways_and_the_end, up, down),
    cmocka_unit_test_setup_teardown (test_closing_is_not_told, up, down),
    cmocka_unit_test_setup_teardown (test_stopping_closes, up, down),
    cmocka_unit_test_setup_teardown (test_only_stream_sockets, up, down),
  };
  (void) signal (SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests_name ("stream", tests, NULL, NULL);
}
