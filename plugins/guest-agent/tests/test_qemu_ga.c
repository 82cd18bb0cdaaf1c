/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest-agent before a real qemu-ga, which runs here on a UNIX socket in place of a virtio port: what it says has to be understood,
 * and be true of this machine. Only questions are asked. */
#include "plugins/guest-agent/guest-agent.h"
#include "sdk/tck/fakehost.h"
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
/* after those */
#include <cmocka.h>

#define ARGS "{\"vm\":\"here\",\"backend\":\"hv\"}"

extern char **environ;

struct world {
  struct hv_fake *fake;
  pid_t agent;
  int socket;
  char path[256];
};

static int
connected (void *arg)
{
  struct world *w = arg;
  struct sockaddr_un to = { .sun_family = AF_UNIX };
  snprintf (to.sun_path, sizeof to.sun_path, "%.100s", w->path);
  return connect (w->socket, (struct sockaddr *) &to, sizeof to) == 0;
}

/* The backend's part: one line there, one line back. */
static char *
backend (void *arg, const char *args_json, int *ret_code)
{
  struct world *w = arg;
  static char reply[1 << 20];
  size_t n = 0;
  json_t *args = json_loads (args_json, 0, NULL);
  const char *command = json_string_value (json_object_get (args, "command"));
  assert_int_equal (send (w->socket, command, strlen (command), MSG_NOSIGNAL), strlen (command));
  assert_int_equal (send (w->socket, "\n", 1, MSG_NOSIGNAL), 1);
  json_decref (args);
  while (n == 0 || reply[n - 1] != '\n') {
    struct pollfd p = { .fd = w->socket, .events = POLLIN };
    assert_int_equal (poll (&p, 1, 20000), 1);
    ssize_t got = recv (w->socket, reply + n, sizeof reply - 1 - n, 0);
    assert_true (got > 0);
    n += (size_t) got;
  }
  reply[n] = '\0';
  json_t *answer = json_pack ("{s:s}", "reply", reply);
  char *text = json_dumps (answer, 0);
  json_decref (answer);
  *ret_code = 0;
  return text;
}

static int
setup (void **state)
{
  struct world *w = calloc (1, sizeof *w);
  char *dir = NULL;
  w->fake = hv_fake_new (&hv_guest_agent_plugin, NULL, NULL, NULL);
  hv_fake_answer (w->fake, "hv.agent_command", backend, w);
  assert_true (asprintf (&dir, "%s", hv_fake_dir (w->fake)) > 0);
  snprintf (w->path, sizeof w->path, "%s/ga.sock", dir);
  char pidfile[300];
  snprintf (pidfile, sizeof pidfile, "%s/ga.pid", dir);
  char *argv[] = { "qemu-ga", "-m", "unix-listen", "-p", w->path, "-t", dir, "-f", pidfile, NULL };
  if (posix_spawn (&w->agent, "/usr/sbin/qemu-ga", NULL, NULL, argv, environ) != 0)
    fail_msg ("/usr/sbin/qemu-ga cannot be run: install qemu-guest-agent");
  free (dir);
  w->socket = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true (hv_fake_run_until (w->fake, connected, w, 20000));
  *state = w;
  return 0;
}

static int
teardown (void **state)
{
  struct world *w = *state;
  int status;
  close (w->socket);
  kill (w->agent, SIGKILL);
  assert_int_equal (waitpid (w->agent, &status, 0), w->agent);
  unlink (w->path);
  hv_fake_free (w->fake);
  free (w);
  return 0;
}

static json_t *
call (struct world *w, const char *verb, const char *args)
{
  int code = 0;
  char *answer = hv_fake_call (w->fake, verb, args, &code);
  if (code != 0)
    fail_msg ("%s: %d %s", verb, code, answer);
  json_t *json = json_loads (answer, 0, NULL);
  free (answer);
  return json;
}

static const char *
text_at (json_t *answer, const char *name)
{
  const char *s = json_string_value (json_object_get (answer, name));
  return s == NULL ? "(absent)" : s;
}

static int
has_text (json_t *list, const char *text)
{
  size_t i;
  json_t *item;
  json_array_foreach (list, i, item) if (strcmp (json_string_value (item), text) == 0) return 1;
  return 0;
}

static void
test_info (void **state)
{
  struct world *w = *state;
  json_decref (call (w, "ping", ARGS));
  json_t *info = call (w, "info", ARGS);
  assert_true (strlen (text_at (info, "version")) > 0);
  assert_true (has_text (json_object_get (info, "commands"), "guest-get-osinfo"));
  json_decref (info);
}

static void
test_osinfo (void **state)
{
  struct world *w = *state;
  char host[256] = "";
  assert_int_equal (gethostname (host, sizeof host - 1), 0);
  json_t *os = call (w, "osinfo", ARGS);
  assert_string_equal (text_at (os, "hostname"), host);
  assert_string_not_equal (text_at (os, "kernel_release"), "(absent)");
  assert_string_not_equal (text_at (os, "machine"), "(absent)");
  assert_string_not_equal (text_at (os, "id"), "(absent)");
  json_decref (os);
}

static void
test_interfaces (void **state)
{
  struct world *w = *state;
  json_t *answer = call (w, "interfaces", ARGS), *item;
  size_t i;
  int found = 0;
  json_array_foreach (json_object_get (answer, "items"), i, item) if (strcmp (text_at (item, "name"), "lo") == 0) found
      = has_text (json_object_get (item, "addresses"), "127.0.0.1/8");
  assert_true (found);
  json_decref (answer);
}

static void
test_the_others (void **state)
{
  struct world *w = *state;
  static const char *const verbs[] = { "timezone", "users", "hostname" };
  for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
    json_decref (call (w, verbs[i], ARGS));
  json_decref (
      call (w, "command", "{\"vm\":\"here\",\"backend\":\"hv\",\"command\":\"{\\\"execute\\\":\\\"guest-get-time\\\"}\"}"));
}

static void
test_unknown_command (void **state)
{
  struct world *w = *state;
  int code = 0;
  char *answer = hv_fake_call (w->fake, "command",
                               "{\"vm\":\"here\",\"backend\":\"hv\",\"command\":\"{\\\"execute\\\":\\\"guest-dance\\\"}\"}", &code);
  assert_int_equal (code, HV_E_UNIMPLEMENTED);
  free (answer);
}

#define TEST(fn) cmocka_unit_test_setup_teardown (fn, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[]
      = { TEST (test_info), TEST (test_osinfo), TEST (test_interfaces), TEST (test_the_others), TEST (test_unknown_command) };
  return cmocka_run_group_tests_name ("guest-agent and qemu-ga", tests, NULL, NULL);
}
