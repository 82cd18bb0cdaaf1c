/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness.h"

#include <sys/stat.h>

#define WAIT_MS 20000

static json_t *
call (struct hv_fake *f, const char *verb, const char *args, int *ret_code, char **ret_text)
{
  char *text = hv_fake_call (f, verb, args, ret_code);
  if (*ret_code == 0) {
    json_t *j = json_loads (text, 0, NULL);
    assert_non_null (j);
    free (text);
    return j;
  }
  *ret_text = text;
  return NULL;
}

json_t *
ok (struct hv_fake *f, const char *verb, const char *fmt, ...)
{
  char *args, *text = NULL;
  int code;
  va_list ap;
  va_start (ap, fmt);
  assert_true (vasprintf (&args, fmt, ap) >= 0);
  va_end (ap);
  json_t *j = call (f, verb, args, &code, &text);
  if (j == NULL)
    fail_msg ("%s %s: %d %s", verb, args, code, text);
  free (args);
  return j;
}

char *
fails (struct hv_fake *f, int code, const char *verb, const char *fmt, ...)
{
  char *args, *text = NULL;
  int got;
  va_list ap;
  va_start (ap, fmt);
  assert_true (vasprintf (&args, fmt, ap) >= 0);
  va_end (ap);
  json_t *j = call (f, verb, args, &got, &text);
  if (j != NULL || got != code)
    fail_msg ("%s %s: %d (not %d) %s", verb, args, got, code, text != NULL ? text : "");
  free (args);
  return text;
}

void
do_ok (struct hv_fake *f, const char *verb, const char *args)
{
  json_decref (ok (f, verb, "%s", args));
}

void
do_fail (struct hv_fake *f, const char *verb, const char *args, int code, const char *text)
{
  char *message = fails (f, code, verb, "%s", args);
  if (strstr (message, text) == NULL)
    fail_msg ("%s: '%s' is not in '%s'", verb, text, message);
  free (message);
}

char *
vm_text (struct hv_fake *f, const char *vm, const char *member)
{
  json_t *j = ok (f, "get", "{\"vm\":\"%s\"}", vm);
  char *s = strdup (qmp_json_str (j, member, ""));
  json_decref (j);
  return s;
}

int
pid_of (struct hv_fake *f, const char *vm)
{
  json_t *j = ok (f, "get", "{\"vm\":\"%s\"}", vm);
  int pid = (int) qmp_json_int (j, "pid", 0);
  json_decref (j);
  return pid;
}

void
assert_vm (struct hv_fake *f, const char *vm, const char *state, const char *reason)
{
  char *s = vm_text (f, vm, "state"), *r = vm_text (f, vm, "reason");
  assert_string_equal (s, state);
  if (reason != NULL)
    assert_string_equal (r, reason);
  free (s);
  free (r);
}

struct waiting {
  struct hv_fake *f;
  const char *vm, *state;
};

static int
in_state (void *arg)
{
  struct waiting *w = arg;
  char *s = vm_text (w->f, w->vm, "state");
  int same = strcmp (s, w->state) == 0;
  free (s);
  return same;
}

void
wait_state (struct hv_fake *f, const char *vm, const char *state)
{
  struct waiting w = { f, vm, state };
  if (!hv_fake_run_until (f, in_state, &w, WAIT_MS)) {
    char *s = vm_text (f, vm, "state"), *d = vm_text (f, vm, "detail");
    fail_msg ("VM %s is %s (%s) and not %s", vm, s, d, state);
  }
}

void
expect_event (struct hv_fake *f, const char *state, const char *reason)
{
  for (;;) {
    char *text = hv_fake_wait_event (f, "qmp.lifecycle", WAIT_MS);
    if (text == NULL)
      fail_msg ("no event '%s'", state);
    json_t *j = json_loads (text, 0, NULL);
    int match = strcmp (qmp_json_str (j, "state", ""), state) == 0;
    if (match && reason != NULL)
      assert_string_equal (qmp_json_str (j, "reason", ""), reason);
    json_decref (j);
    free (text);
    if (match)
      return;
  }
}

/* --- the scripted QEMU --- */

static void
file_write (const char *dir, const char *name, const char *text, mode_t mode)
{
  char path[4096], temp[4100];
  (void) snprintf (path, sizeof path, "%s/%s", dir, name);
  (void) snprintf (temp, sizeof temp, "%s.new", path);
  FILE *out = fopen (temp, "w");
  assert_non_null (out);
  assert_true (fputs (text, out) >= 0);
  assert_int_equal (fclose (out), 0);
  assert_int_equal (chmod (temp, mode), 0);
  assert_int_equal (rename (temp, path), 0);
}

char *
peer_make (void)
{
  char *dir = strdup ("/tmp/hvkit-peer-XXXXXX"), script[4800];
  assert_non_null (mkdtemp (dir));
  (void) snprintf (script, sizeof script,
                   "#!/bin/sh\nif [ -e %s/kill ]; then rm %s/kill; kill -9 $PPID; fi\nexec /usr/bin/python3 %s %s \"$@\"\n", dir,
                   dir, QMP_PEER, dir);
  file_write (dir, "qemu", script, 0755);
  peer_mode (dir, "");
  return dir;
}

void
peer_mode (const char *dir, const char *mode)
{
  file_write (dir, "mode", mode, 0644);
}

void
peer_event (const char *dir, const char *vm, const char *event)
{
  char name[64];
  (void) snprintf (name, sizeof name, "event-%s", vm);
  file_write (dir, name, event, 0644);
}

void
peer_kill_daemon (const char *dir)
{
  file_write (dir, "kill", "", 0644);
}

void
peer_remove (char *dir)
{
  static const char *const names[] = { "qemu", "mode", "kill" };
  for (size_t i = 0; i < 3; i++) {
    char path[4096];
    (void) snprintf (path, sizeof path, "%s/%s", dir, names[i]);
    (void) unlink (path);
  }
  (void) rmdir (dir);
  free (dir);
}
