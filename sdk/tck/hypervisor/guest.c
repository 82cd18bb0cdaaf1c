/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Screen, keyboard, console and agent of a guest that may be nothing but firmware. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

static json_t *
picture (struct tck *t, const char *vm, const char *format)
{
  json_t *p = tck_ok (t, "screenshot", "{\"vm\":\"%s\",\"format\":\"%s\"}", vm, format);
  TCK_CHECK (t, strcmp (tck_str (p, "format"), format) == 0, "%s was asked for, it is '%s'", format, tck_str (p, "format"));
  TCK_CHECK (t, tck_int (p, "width") > 0 && tck_int (p, "height") > 0, "it has %lld × %lld pixels",
             (long long) tck_int (p, "width"), (long long) tck_int (p, "height"));
  return p;
}

/* The picture is base64 in JSON: its first bytes are its first characters. */
static void
check_screenshot (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  const char *png = tck_str (picture (t, vm, "png"), "picture"), *ppm = tck_str (picture (t, vm, "ppm"), "picture");
  TCK_CHECK (t, strncmp (png, "iVBORw0KGgo", 11) == 0, "it does not begin as a PNG does: %.16s", png);
  TCK_CHECK (t, strncmp (ppm, "UD", 2) == 0, "it does not begin as a PPM does: %.16s", ppm);
}

static void
check_keys (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  (void) tck_ok (t, "send_key", "{\"vm\":\"%s\",\"keys\":[\"ctrl\",\"alt\",\"f1\"],\"hold_ms\":20}", vm);
  (void) tck_ok (t, "send_key", "{\"vm\":\"%s\",\"keys\":[\"a\"],\"hold_ms\":20}", vm);
  (void) tck_refused (t, HV_E_INVALID_ARGUMENT, "send_key", "{\"vm\":\"%s\",\"keys\":[\"no-such-key\"]}", vm);
  TCK_CHECK (t, tck_is (t, vm, "running"), "afterwards the VM is %s", tck_state (t, vm));
}

static void
stream (struct tck *t, const char *verb)
{
  const char *vm = tck_define (t, "a");
  const char *text = tck_refused (t, HV_E_FAILED_PRECONDITION, verb, "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, strstr (text, "stopped") != NULL, "the refusal does not name the state: %s", text);
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  const char *token = tck_str (tck_ok (t, verb, "{\"vm\":\"%s\"}", vm), "token");
  TCK_CHECK (t, strlen (token) >= 16, "the token is too short to be a secret");
}

static void
check_console (struct tck *t)
{
  stream (t, "console");
  const char *vm = tck_name (t, "a");
  const char *first = tck_str (tck_ok (t, "console", "{\"vm\":\"%s\",\"force\":true}", vm), "token");
  const char *second = tck_str (tck_ok (t, "console", "{\"vm\":\"%s\",\"force\":true}", vm), "token");
  TCK_CHECK (t, strcmp (first, second) != 0, "a token is given out twice");
}

static void
check_display (struct tck *t)
{
  stream (t, "display");
}

/* Of a machine that ended too: what it said last is wanted then. */
static void
check_logs (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  const char *first = tck_str (tck_ok (t, "logs", "{\"vm\":\"%s\",\"follow\":true}", vm), "token");
  const char *second = tck_str (tck_ok (t, "logs", "{\"vm\":\"%s\",\"tail\":10}", vm), "token");
  TCK_CHECK (t, strlen (first) >= 16 && strcmp (first, second) != 0, "the token is too short to be a secret, or given out twice");
  (void) tck_ok (t, "stop", "{\"vm\":\"%s\"}", vm);
  (void) tck_ok (t, "logs", "{\"vm\":\"%s\"}", vm);
}

static void
check_agent (struct tck *t)
{
  static const char ping[] = "{\\\"execute\\\":\\\"guest-ping\\\"}";
  const char *vm = tck_define (t, "a");
  for (int running = 0; running < 2; running++) {
    struct tck_answer a = tck_call (t, "agent_command", "{\"vm\":\"%s\",\"command\":\"%s\",\"timeout_ms\":300}", vm, ping);
    TCK_CHECK (t, a.code == HV_E_UNAVAILABLE || a.code == HV_E_FAILED_PRECONDITION || a.code == HV_E_DEADLINE_EXCEEDED,
               "there is no agent in %s guest, and the answer is %s: %s", running ? "the" : "a stopped", hv_err_name (a.code),
               a.text);
    if (!running)
      (void) tck_ok (t, "start", "{\"vm\":\"%s\"}", vm);
  }
}

const struct tck_check tck_guest_checks[] = {
  { "guest.screenshot", "screenshot answers a picture in the format that was asked for, with its size", "screenshot",
    check_screenshot },
  { "guest.send-key", "send_key presses known keys; an unknown one is INVALID_ARGUMENT", "send_key", check_keys },
  { "guest.console", "console answers a token, another one each time; a VM without a process is refused", "console",
    check_console },
  { "guest.display", "display answers a token; a VM without a process is refused", "display", check_display },
  { "guest.logs", "logs answers a token, of a running machine and of one that has ended", "logs", check_logs },
  { "guest.no-agent", "agent_command without an agent is UNAVAILABLE or FAILED_PRECONDITION, never a success", NULL, check_agent },
  { NULL, NULL, NULL, NULL },
};
