/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-agent in the fake host, before a backend whose guest says whatever the test wants. */
#include "plugins/guest-agent/guest-agent.h"
#include "plugins/guest-agent/reply.h"
#include "sdk/tck/fakehost.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after those */
#include <cmocka.h>

#define VM "{\"vm\":\"a\",\"backend\":\"hv\"}"

struct world {
  struct hv_fake *fake;
  const char *replies[4]; /* to the commands in the order they come; then the last one again */
  unsigned asked;
  char commands[4][256];
};

/* The backend: notes the command, gives the next reply. */
static char *
backend (void *arg, const char *args_json, int *ret_code)
{
  struct world *w = arg;
  unsigned i = w->asked < 3 ? w->asked : 3;
  json_t *args = json_loads (args_json, 0, NULL);
  snprintf (w->commands[i], sizeof w->commands[i], "%s", json_string_value (json_object_get (args, "command")));
  json_decref (args);
  while (i > 0 && w->replies[i] == NULL)
    i--;
  w->asked++;
  json_t *answer = json_pack ("{s:s}", "reply", w->replies[i]);
  char *text = json_dumps (answer, 0);
  json_decref (answer);
  *ret_code = 0;
  return text;
}

static int
setup (void **state)
{
  struct world *w = calloc (1, sizeof *w);
  w->fake = hv_fake_new (&hv_guest_agent_plugin, NULL, NULL, NULL);
  hv_fake_answer (w->fake, "hv.agent_command", backend, w);
  *state = w;
  return 0;
}

static int
teardown (void **state)
{
  struct world *w = *state;
  hv_fake_free (w->fake);
  free (w);
  return 0;
}

/* The answer as JSON, owned by the caller; NULL if an error was expected. */
static json_t *
call (struct world *w, const char *verb, const char *args, int code, const char *piece)
{
  int got = 0;
  w->asked = 0;
  char *answer = hv_fake_call (w->fake, verb, args, &got);
  if (got != code || strstr (answer, piece) == NULL)
    fail_msg ("%s: %d %s; expected %d %s", verb, got, answer, code, piece);
  json_t *json = got == 0 ? json_loads (answer, 0, NULL) : NULL;
  free (answer);
  return json;
}

static json_t *
asked (struct world *w, const char *verb, const char *reply, int code, const char *piece)
{
  memset (w->replies, 0, sizeof w->replies);
  w->replies[0] = reply;
  return call (w, verb, VM, code, piece);
}
#define EXPECT(w, verb, reply, code, piece) json_decref (asked ((w), (verb), (reply), (code), (piece)))

static const char *
text_at (json_t *answer, const char *name)
{
  const char *s = json_string_value (json_object_get (answer, name));
  return s == NULL ? "(absent)" : s;
}

static void
test_ping (void **state)
{
  struct world *w = *state;
  EXPECT (w, "ping", "{\"return\":{}}", 0, "rtt_us");
  assert_string_equal (w->commands[0], "{\"execute\":\"guest-ping\"}");
}

static void
test_info (void **state)
{
  struct world *w = *state;
  json_t *info = asked (w, "info",
                        "{\"return\":{\"version\":\"7.2.0\",\"supported_commands\":[{\"name\":\"guest-ping\",\"enabled\":true},"
                        "{\"name\":\"guest-exec\",\"enabled\":false},{\"name\":\"guest-info\",\"enabled\":true}]}}",
                        0, "7.2.0");
  assert_int_equal (json_array_size (json_object_get (info, "commands")), 2);
  json_decref (info);
}

static void
test_osinfo_has_the_host_name (void **state)
{
  struct world *w = *state;
  w->replies[0] = "{\"return\":{\"id\":\"debian\",\"name\":\"Debian GNU/Linux\",\"pretty-name\":\"Debian GNU/Linux 12 (bookworm)\","
                  "\"version\":\"12 (bookworm)\",\"version-id\":\"12\",\"machine\":\"x86_64\",\"kernel-release\":\"6.1.0\","
                  "\"kernel-version\":\"#1 SMP\"}}";
  w->replies[1] = "{\"return\":{\"host-name\":\"guest-17\"}}";
  json_t *os = call (w, "osinfo", VM, 0, "live");
  assert_string_equal (text_at (os, "id"), "debian");
  assert_string_equal (text_at (os, "pretty_name"), "Debian GNU/Linux 12 (bookworm)");
  assert_string_equal (text_at (os, "version_id"), "12");
  assert_string_equal (text_at (os, "kernel_release"), "6.1.0");
  assert_string_equal (text_at (os, "hostname"), "guest-17");
  json_decref (os);
  w->replies[1] = "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"The command guest-get-host-name has not been found\"}}";
  os = call (w, "osinfo", VM, 0, "live");
  assert_string_equal (text_at (os, "hostname"), "(absent)");
  json_decref (os);
  assert_string_equal (w->commands[1], "{\"execute\":\"guest-get-host-name\"}");
}

static void
test_interfaces (void **state)
{
  struct world *w = *state;
  json_t *answer = asked (
      w, "interfaces",
      "{\"return\":[{\"name\":\"lo\",\"hardware-address\":\"00:00:00:00:00:00\",\"ip-addresses\":[{\"ip-address-type\":\"ipv4\","
      "\"ip-address\":\"127.0.0.1\",\"prefix\":8},{\"ip-address-type\":\"ipv6\",\"ip-address\":\"::1\",\"prefix\":128},"
      "{\"ip-address\":\"not an address\",\"prefix\":1},{\"ip-address\":\"1.2.3.4\",\"prefix\":33}]},"
      "{\"name\":\"ib0\",\"hardware-address\":\"a0:00:02:20:fe:80:00:00:00:00:00:00\"}]}",
      0, "127.0.0.1/8");
  json_t *items = json_object_get (answer, "items"), *lo = json_array_get (items, 0), *ib = json_array_get (items, 1);
  assert_int_equal (json_array_size (items), 2);
  assert_int_equal (json_array_size (json_object_get (lo, "addresses")), 2);
  assert_string_equal (json_string_value (json_array_get (json_object_get (lo, "addresses"), 1)), "::1/128");
  assert_string_equal (text_at (lo, "mac"), "00:00:00:00:00:00");
  assert_string_equal (text_at (ib, "mac"), "(absent)");
  json_decref (answer);
}

static void
test_smaller_verbs (void **state)
{
  struct world *w = *state;
  EXPECT (w, "hostname", "{\"return\":{\"host-name\":\"x\"}}", 0, "\"hostname\":\"x\"");
  EXPECT (w, "timezone", "{\"return\":{\"zone\":\"CET\",\"offset\":3600}}", 0, "\"offset_s\":3600");
  EXPECT (w, "timezone", "{\"return\":{\"offset\":-3600}}", 0, "\"offset_s\":-3600");
  EXPECT (w, "timezone", "{\"return\":{\"offset\":86401}}", HV_E_UNAVAILABLE, "offset");
  EXPECT (w, "users", "{\"return\":[{\"user\":\"root\",\"login-time\":1700000000.5}]}", 0, "\"login_ms\":1700000000500");
  EXPECT (w, "users", "{\"return\":[{\"user\":\"root\",\"login-time\":1e300}]}", 0, "\"name\":\"root\"");
  EXPECT (w, "filesystems",
          "{\"return\":[{\"name\":\"vda1\",\"mountpoint\":\"/\",\"type\":\"ext4\",\"used-bytes\":1,\"total-bytes\":2,"
          "\"disk\":[{\"serial\":\"s1\",\"bus-type\":\"virtio\"}]}]}",
          0, "\"serials\":[\"s1\"]");
}

static void
test_guest_errors (void **state)
{
  struct world *w = *state;
  EXPECT (w, "ping", "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"The command guest-ping has not been found\"}}",
          HV_E_UNIMPLEMENTED, "guest agent of 'a'");
  EXPECT (w, "ping", "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"Command guest-ping has been disabled\"}}",
          HV_E_FAILED_PRECONDITION, "disabled");
  EXPECT (w, "ping", "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no \\u001b[31mway\"}}", HV_E_FAILED_PRECONDITION,
          "refused: no [31mway");
  EXPECT (w, "ping", "{\"error\":{}}", HV_E_FAILED_PRECONDITION, "no reason given");
}

/* Each is an answer that makes no sense, and nothing worse. */
static void
test_hostile_replies (void **state)
{
  struct world *w = *state;
  static const char *const replies[] = {
    "",
    "{",
    "null",
    "[]",
    "7",
    "\"return\"",
    "{\"return\":1,\"return\":2}",
    "{\"id\":1}",
    "{\"error\":\"x\"}",
    "{\"error\":{\"desc\":1}}",
    "{\"return\":[]}",
    "{\"return\":\"x\"}",
    "{\"return\":{\"version\":1}}",
    "{\"return\":{\"version\":\"\\ud800\"}}",
    "{\"return\":{\"version\":\"a\\u0000b\"}}",
    "{\"return\":{\"supported_commands\":{}}}",
    "{\"return\":{\"supported_commands\":[{\"enabled\":true,\"name\":[]}]}}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}"
    "}}}}}}}}}}}",
  };
  for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++)
    EXPECT (w, "info", replies[i], HV_E_UNAVAILABLE, "makes no sense");
  EXPECT (w, "interfaces", "{\"return\":{}}", HV_E_UNAVAILABLE, "a list was expected");
  EXPECT (w, "interfaces", "{\"return\":[{\"name\":\"x\",\"ip-addresses\":[{\"ip-address\":\"::1\",\"prefix\":-1}]}]}",
          HV_E_UNAVAILABLE, "prefix");
  EXPECT (w, "interfaces", "{\"return\":[{\"name\":\"x\",\"ip-addresses\":[7,null,[]]}]}", 0, "\"name\":\"x\"");
  EXPECT (w, "interfaces", "{\"return\":[7,null,[]]}", 0, "\"name\":\"\"");
}

static void
test_texts_are_cleaned_and_cut (void **state)
{
  struct world *w = *state;
  char reply[9000] = "{\"return\":{\"host-name\":\"";
  EXPECT (w, "hostname", "{\"return\":{\"host-name\":\"a\\u001b]0;x\\u0007\\u009b\\u007f\\n\\u202eb\"}}", 0,
          "\"hostname\":\"a]0;xb\"");
  size_t n = strlen (reply);
  for (unsigned i = 0; i < 2500; i++, n += 3)
    memcpy (reply + n, "\xe2\x82\xac", 4); /* a character of three bytes: 4096 is within one */
  memcpy (reply + n, "\"}}", 4);
  json_t *host = asked (w, "hostname", reply, 0, "hostname");
  assert_int_equal (strlen (text_at (host, "hostname")), 4095);
  json_decref (host);
}

static char *
repeat (const char *head, const char *item, unsigned count, const char *tail)
{
  char *text = malloc (strlen (head) + count * (strlen (item) + 1) + strlen (tail) + 1), *at = text;
  assert_non_null (text);
  at = stpcpy (at, head);
  for (unsigned i = 0; i < count; i++)
    at = stpcpy (stpcpy (at, i == 0 ? "" : ","), item);
  memcpy (at, tail, strlen (tail) + 1);
  return text;
}

static void
test_lists_are_cut (void **state)
{
  struct world *w = *state;
  char *reply = repeat ("{\"return\":[", "{\"name\":\"e\",\"ip-addresses\":[]}", 5000, "]}");
  json_t *answer = asked (w, "interfaces", reply, 0, "items");
  assert_int_equal (json_array_size (json_object_get (answer, "items")), HV_REPLY_ITEMS_MAX);
  json_decref (answer);
  free (reply);
  reply = repeat ("{\"return\":[", "[]", 40000, "]}");
  EXPECT (w, "interfaces", reply, HV_E_UNAVAILABLE, "too many values");
  free (reply);
  reply = repeat ("{\"return\":\"", "xxxxxxxxxxxxxxxx", 70000, "\"}");
  EXPECT (w, "interfaces", reply, HV_E_UNAVAILABLE, "1 MiB");
  free (reply);
}

static void
test_raw_command (void **state)
{
  struct world *w = *state;
  w->replies[0] = "{\"return\":{\"count\":1,\"text\":\"\xe2\x80\xae\"}}";
  json_t *r = call (w, "command", "{\"vm\":\"a\",\"backend\":\"hv\",\"command\":\"{ \\\"execute\\\": \\\"guest-x\\\" }\\n\"}", 0,
                    "count");
  assert_string_equal (text_at (r, "reply"), "{\"count\":1,\"text\":\"\\u202E\"}");
  json_decref (r);
  assert_string_equal (w->commands[0], "{\"execute\":\"guest-x\"}");
  json_decref (call (w, "command", "{\"vm\":\"a\",\"backend\":\"hv\",\"command\":\"[]\"}", HV_E_INVALID_ARGUMENT, "execute"));
  assert_int_equal (w->asked, 0);
}

static void
test_backend_is_found (void **state)
{
  struct world *w = *state;
  w->replies[0] = "{\"return\":{}}";
  json_decref (call (w, "ping", "{\"vm\":\"a\"}", HV_E_UNIMPLEMENTED, "no hypervisor"));
  hv_fake_provide (w->fake, "one", "hypervisor", 1);
  hv_fake_answer_json (w->fake, "one.agent_command", HV_E_UNAVAILABLE, "the guest does not answer");
  json_decref (call (w, "ping", "{\"vm\":\"a\"}", HV_E_UNAVAILABLE, "guest agent of 'a'"));
  hv_fake_provide (w->fake, "two", "hypervisor", 1);
  json_decref (call (w, "ping", "{\"vm\":\"a\"}", HV_E_INVALID_ARGUMENT, "backend: required"));
}

/* What is known is good enough for those who say so, and for nobody else. */
static void
test_answers_that_are_not_old (void **state)
{
  struct world *w = *state;
  EXPECT (w, "hostname", "{\"return\":{\"host-name\":\"first\"}}", 0, "\"hostname\":\"first\"");
  w->replies[0] = "{\"return\":{\"host-name\":\"second\"}}";
  json_t *host = call (w, "hostname", "{\"vm\":\"a\",\"backend\":\"hv\",\"_max_age_ms\":60000}", 0, "\"hostname\":\"first\"");
  assert_string_equal (text_at (host, "source"), "cache");
  json_decref (host);
  assert_int_equal (w->asked, 0);
  json_decref (call (w, "hostname", "{\"vm\":\"b\",\"backend\":\"hv\",\"_max_age_ms\":60000}", 0, "\"hostname\":\"second\""));
  EXPECT (w, "hostname", "{\"return\":{\"host-name\":\"third\"}}", 0, "\"source\":\"live\"");
  assert_int_equal (w->asked, 1);
  json_decref (call (w, "ping", "{\"vm\":\"a\",\"backend\":\"hv\",\"_max_age_ms\":60000}", 0, "rtt_us"));
  assert_int_equal (w->asked, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown (fn, setup, teardown)

/* --- what changes the guest --- */

static void
say (struct world *w, const char *a, const char *b, const char *c)
{
  const char *const all[] = { a, b, c, NULL };
  memcpy (w->replies, all, sizeof all);
}

#define PID "{\"return\":{\"pid\":7}}"

static void
test_exec (void **state)
{
  struct world *w = *state;
  static const char args[]
      = "{\"vm\":\"a\",\"backend\":\"hv\",\"path\":\"/bin/x\",\"args\":[\"1\",\"b c\"],\"max_output_bytes\":2}";
  say (w, PID, "{\"return\":{\"exited\":false}}",
       "{\"return\":{\"exited\":true,\"exitcode\":3,\"out-data\":\"aGkh\",\"err-data\":\"\",\"err-truncated\":true}}");
  json_t *got = call (w, "exec", args, 0, "exit_code");
  assert_int_equal (json_integer_value (json_object_get (got, "exit_code")), 3);
  assert_null (json_object_get (got, "signal"));
  assert_true (json_is_true (json_object_get (got, "output_truncated")));
  assert_true (json_is_true (json_object_get (got, "error_truncated")));
  json_decref (got);
  assert_string_equal (w->commands[0], "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/x\",\"arg\":[\"1\",\"b c\"],"
                                       "\"capture-output\":true}}");
  assert_string_equal (w->commands[1], "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":7}}");
  say (w, "{\"return\":{\"pid\":\"7\"}}", NULL, NULL);
  json_decref (call (w, "exec", args, HV_E_UNAVAILABLE, "number of a process"));
  say (w, "{\"return\":{}}", NULL, NULL);
  json_decref (call (w, "exec", args, HV_E_UNAVAILABLE, "number of a process"));
  static const char *const bad[] = { "\"exitcode\":\"3\"",  "\"signal\":-1",        "\"signal\":1.5", "\"out-data\":5",
                                     "\"out-data\":\"a-\"", "\"err-data\":\"abc\"", "\"err-data\":[]" };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char reply[128];
    (void) snprintf (reply, sizeof reply, "{\"return\":{\"exited\":true,%s}}", bad[i]);
    say (w, PID, reply, NULL);
    json_decref (call (w, "exec", args, HV_E_UNAVAILABLE, "makes no sense"));
  }
}

static void
test_passwords_and_keys (void **state)
{
  struct world *w = *state;
  say (w, "{\"return\":{}}", NULL, NULL);
  json_decref (call (w, "set_password", "{\"vm\":\"a\",\"backend\":\"hv\",\"user\":\"root\",\"password\":\"pass\"}", 0, "{}"));
  assert_string_equal (w->commands[0], "{\"execute\":\"guest-set-user-password\",\"arguments\":{\"username\":\"root\",\"password\":"
                                       "\"cGFzcw==\",\"crypted\":false}}");
  json_decref (call (w, "ssh_keys_add",
                     "{\"vm\":\"a\",\"backend\":\"hv\",\"user\":\"u\",\"keys\":[\"ssh-ed25519 A\"],\"replace\":true}", 0, "{}"));
  assert_string_equal (w->commands[0], "{\"execute\":\"guest-ssh-add-authorized-keys\",\"arguments\":{\"username\":\"u\",\"keys\":["
                                       "\"ssh-ed25519 A\"],\"reset\":true}}");
  json_decref (call (w, "ssh_keys_add", "{\"vm\":\"a\",\"backend\":\"hv\",\"user\":\"u\",\"keys\":[\"a\\nb\"]}",
                     HV_E_INVALID_ARGUMENT, "keys[0]"));
  json_decref (call (w, "ssh_keys_remove", "{\"vm\":\"a\",\"backend\":\"hv\",\"user\":\"u\",\"keys\":[\"\"]}",
                     HV_E_INVALID_ARGUMENT, "keys[0]"));
  static const char ref[] = "{\"vm\":\"a\",\"backend\":\"hv\",\"user\":\"u\"}";
  say (w, "{\"return\":{\"keys\":[\"one\",\"two\\u001b[2J\"]}}", NULL, NULL);
  json_t *got = call (w, "ssh_keys_get", ref, 0, "one");
  assert_int_equal (json_array_size (json_object_get (got, "keys")), 2);
  assert_null (strchr (json_string_value (json_array_get (json_object_get (got, "keys"), 1)), 0x1b));
  json_decref (got);
  static const char *const bad[] = { "{\"return\":{\"keys\":[5]}}", "{\"return\":{\"keys\":{}}}", "{\"return\":{\"keys\":\"x\"}}" };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    say (w, bad[i], NULL, NULL);
    json_decref (call (w, "ssh_keys_get", ref, HV_E_UNAVAILABLE, "makes no sense"));
  }
}

static void
test_freezing (void **state)
{
  struct world *w = *state;
  hv_fake_answer_json (w->fake, "hv.get", 0, "{\"vm\":\"a\",\"state\":\"running\"}");
  say (w, "{\"return\":\"thawed\"}", "{\"return\":4}", NULL);
  json_decref (call (w, "freeze", "{\"vm\":\"a\",\"backend\":\"hv\",\"mountpoints\":[\"/\",\"/home\"]}", 0, "\"filesystems\":4"));
  assert_string_equal (w->commands[0], "{\"execute\":\"guest-fsfreeze-status\"}");
  assert_string_equal (w->commands[1],
                       "{\"execute\":\"guest-fsfreeze-freeze-list\",\"arguments\":{\"mountpoints\":[\"/\",\"/home\"]}}");
  say (w, "{\"return\":\"frozen\"}", NULL, NULL);
  json_decref (call (w, "freeze", VM, 0, "\"filesystems\":0"));
  assert_int_equal (w->asked, 1);
  json_decref (call (w, "freeze_status", VM, 0, "\"frozen\""));
  say (w, "{\"return\":\"frozen\"}", "{\"return\":4}", NULL);
  json_decref (call (w, "thaw", VM, 0, "\"filesystems\":4"));
  assert_string_equal (w->commands[1], "{\"execute\":\"guest-fsfreeze-thaw\"}");
  say (w, "{\"return\":\"thawed\"}", NULL, NULL);
  json_decref (call (w, "thaw", VM, 0, "\"filesystems\":0")); /* its hooks do not run again */
  assert_int_equal (w->asked, 1);
  say (w, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"no status\"}}", "{\"return\":4}", NULL);
  json_decref (call (w, "thaw", VM, 0, "\"filesystems\":4")); /* one that does not say is thawed */
  say (w, "{\"return\":\"thawed\"}", "{\"error\":{\"class\":\"GenericError\",\"desc\":\"a hook failed\"}}", "{\"return\":1}");
  json_decref (call (w, "freeze", VM, HV_E_FAILED_PRECONDITION, "a hook failed"));
  assert_string_equal (w->commands[2], "{\"execute\":\"guest-fsfreeze-thaw\"}"); /* a part of it may be frozen */
  static const char *const bad[] = { "{\"return\":5}", "{\"return\":\"melting\"}", "{\"return\":{}}" };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    say (w, bad[i], NULL, NULL);
    json_decref (call (w, "freeze", VM, HV_E_UNAVAILABLE, "makes no sense"));
  }
  say (w, "{\"return\":-1}", NULL, NULL);
  json_decref (call (w, "thaw", VM, HV_E_UNAVAILABLE, "makes no sense"));
  hv_fake_answer_json (w->fake, "hv.get", 0, "{\"vm\":\"a\",\"state\":\"migrating\"}");
  json_decref (call (w, "freeze", VM, HV_E_FAILED_PRECONDITION, "migrating"));
  assert_int_equal (w->asked, 0);
}

static int
was_asked_twice (void *arg)
{
  return ((struct world *) arg)->asked >= 2;
}

/* A guest that was not thawed when the daemon ended is thawed by the next. */
static void
test_thawed_after_a_restart (void **state)
{
  struct world *w = *state;
  hv_fake_answer_json (w->fake, "hv.get", 0, "{\"vm\":\"a\",\"state\":\"running\"}");
  say (w, "{\"return\":\"thawed\"}", "{\"return\":1}", NULL);
  json_decref (call (w, "freeze", "{\"vm\":\"a b/c.d\",\"backend\":\"hv\",\"timeout_ms\":100}", 0, "\"filesystems\":1"));
  w->asked = 0;
  say (w, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"busy\"}}", "{\"return\":1}", NULL); /* and not at once */
  hv_fake_restart (w->fake);
  assert_true (hv_fake_run_until (w->fake, was_asked_twice, w, 20000));
  assert_string_equal (w->commands[1], "{\"execute\":\"guest-fsfreeze-thaw\"}");
}

/* --- by itself --- */

/* A guest that answers what it is asked, whatever order that comes in. */
struct guest {
  unsigned asked, of_users, silent;
  const char *users;
};

static char *
answering (void *arg, const char *args_json, int *ret_code)
{
  static const char *const said[][2] = {
    { "guest-info", "{\"version\":\"8.0\",\"supported_commands\":[]}" },
    { "guest-get-osinfo", "{\"id\":\"debian\"}" },
    { "guest-get-host-name", "{\"host-name\":\"h\"}" },
    { "guest-fsfreeze-status", "\"thawed\"" },
    { "guest-network-get-interfaces", "[]" },
  };
  struct guest *g = arg;
  const char *answer = NULL;
  char *reply = NULL, *text = NULL;
  g->asked++;
  if (g->silent) {
    *ret_code = HV_E_DEADLINE_EXCEEDED;
    return strdup ("it does not answer");
  }
  for (size_t i = 0; i < sizeof said / sizeof *said; i++)
    if (strstr (args_json, said[i][0]) != NULL)
      answer = said[i][1];
  if (strstr (args_json, "guest-get-users") != NULL) {
    g->of_users++;
    answer = g->users;
  }
  if (asprintf (&reply, answer != NULL ? "{\"return\":%s}" : "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"no\"}}", answer)
      < 0)
    return NULL;
  json_t *all = json_pack ("{s:s}", "reply", reply);
  text = json_dumps (all, 0);
  json_decref (all);
  free (reply);
  *ret_code = 0;
  return text;
}

static int
users_are_known (void *arg)
{
  return ((struct guest *) arg)->of_users >= 3;
}

static void
expect_changed (struct world *w, const char *what)
{
  char *e = hv_fake_wait_event (w->fake, "guest-agent.changed", 20000);
  if (e == NULL || strstr (e, what) == NULL)
    fail_msg ("%s: %s was expected", e != NULL ? e : "nothing", what);
  free (e);
}

static void
test_polled_while_connected (void **state)
{
  struct world *w = *state;
  struct guest g = { .users = "[]" };
  hv_fake_free (w->fake);
  w->fake = hv_fake_new (&hv_guest_agent_plugin, "{\"user_ms\":50,\"freeze_ms\":0}", NULL, NULL);
  hv_fake_answer (w->fake, "hv.agent_command", answering, &g);
  hv_fake_emit (w->fake, "hv.agent", "{\"vm\":\"a\",\"connected\":true}");
  static const char *const all[] = { "info", "osinfo", "hostname", "users", "interfaces" }; /* of the others it knows nothing */
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    expect_changed (w, all[i]);
  assert_true (hv_fake_run_until (w->fake, users_are_known, &g, 20000));
  unsigned before = g.asked;
  json_decref (call (w, "osinfo", "{\"vm\":\"a\",\"backend\":\"hv\",\"_max_age_ms\":60000}", 0, "\"source\":\"cache\""));
  g.users = "[{\"user\":\"root\",\"login-time\":1.5}]";
  expect_changed (w, "users"); /* and of nothing else */
  json_decref (call (w, "users", "{\"vm\":\"a\",\"backend\":\"hv\",\"_max_age_ms\":60000}", 0, "root"));
  assert_true (g.asked > before && g.asked - before < 100);
  /* a paused guest is not asked, nor one whose agent is gone; what they said stays */
  hv_fake_emit (w->fake, "hv.lifecycle", "{\"vm\":\"a\",\"state\":\"paused\"}");
  (void) hv_fake_run_until (w->fake, users_are_known, &(struct guest){ 0 }, 100);
  before = g.asked;
  (void) hv_fake_run_until (w->fake, users_are_known, &(struct guest){ 0 }, 300);
  assert_int_equal (g.asked, before);
  hv_fake_emit (w->fake, "hv.lifecycle", "{\"vm\":\"a\",\"state\":\"running\"}");
  g.of_users = 0;
  assert_true (hv_fake_run_until (w->fake, users_are_known, &g, 20000));
  hv_fake_emit (w->fake, "hv.agent", "{\"vm\":\"a\",\"connected\":false}");
  (void) hv_fake_run_until (w->fake, users_are_known, &(struct guest){ 0 }, 100);
  before = g.asked;
  (void) hv_fake_run_until (w->fake, users_are_known, &(struct guest){ 0 }, 300);
  assert_int_equal (g.asked, before);
  json_decref (call (w, "users", "{\"vm\":\"a\",\"backend\":\"hv\",\"_max_age_ms\":60000}", 0, "root"));
  /* and goes with the machine */
  hv_fake_emit (w->fake, "hv.lifecycle", "{\"vm\":\"a\",\"state\":\"stopped\"}");
  (void) hv_fake_run_until (w->fake, users_are_known, &(struct guest){ 0 }, 100);
  json_decref (call (w, "users", "{\"vm\":\"a\",\"backend\":\"hv\",\"_max_age_ms\":60000}", 0, "\"source\":\"live\""));
}

/* One that says nothing is not asked everything, again and again: others wait for their turn. */
static void
test_a_silent_guest_is_left_alone (void **state)
{
  struct world *w = *state;
  struct guest g = { .silent = 1 };
  hv_fake_answer (w->fake, "hv.agent_command", answering, &g);
  hv_fake_emit (w->fake, "hv.agent", "{\"vm\":\"a\",\"connected\":true}");
  (void) hv_fake_run_until (w->fake, users_are_known, &(struct guest){ 0 }, 1000);
  assert_int_equal (g.asked, 1);
}

/* Those that connected before the plugin was there. */
static void
test_connected_before (void **state)
{
  struct world *w = *state;
  struct guest g = { .users = "[]" };
  hv_fake_answer (w->fake, "hv.agent_command", answering, &g);
  hv_fake_provide (w->fake, "hv", "hypervisor", 1);
  hv_fake_answer_json (w->fake, "hv.list", 0, "{\"items\":[{\"vm\":\"a\",\"state\":\"running\",\"agent_connected\":true}]}");
  hv_fake_restart (w->fake);
  expect_changed (w, "info");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (test_ping),
    TEST (test_info),
    TEST (test_osinfo_has_the_host_name),
    TEST (test_interfaces),
    TEST (test_smaller_verbs),
    TEST (test_guest_errors),
    TEST (test_hostile_replies),
    TEST (test_texts_are_cleaned_and_cut),
    TEST (test_lists_are_cut),
    TEST (test_raw_command),
    TEST (test_backend_is_found),
    TEST (test_answers_that_are_not_old),
    TEST (test_exec),
    TEST (test_passwords_and_keys),
    TEST (test_freezing),
    TEST (test_thawed_after_a_restart),
    TEST (test_polled_while_connected),
    TEST (test_a_silent_guest_is_left_alone),
    TEST (test_connected_before),
  };
  return cmocka_run_group_tests_name ("guest-agent", tests, NULL, NULL);
}
