/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What changes the guest: programs, clock, passwords, keys, its end. */
#include "ask.h"
#include "json.h"
#include <hvkit/base64.h>
#include <string.h>
#include <time.h>

#define CHANGE_MS     20000u
#define SHUTDOWN_MS   1000u /* an agent that obeys does not answer */
#define EXEC_POLL_MS  20u
#define EXEC_POLL_MAX 500u

#define QUESTION(a, ms) \
  { \
    .vm = (a)->vm, .backend = HV_HAS ((a), backend) ? (a)->backend : NULL, .answer_ms = (ms) \
  }

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static void *
call_alloc (void *arg, uint64_t size)
{
  return hv_alloc (arg, size);
}

static json_t *
texts (const struct hv_strs *all)
{
  json_t *list = json_array ();
  for (uint32_t i = 0; i < all->count; i++)
    (void) json_array_append_new (list, json_string (all->items[i]));
  return list;
}

static int
no_return (struct guest_agent *self, struct hv_call *call, const struct question *q, json_t *command, struct hv_err *err)
{
  return ga_do (self, call, q, command, NULL, err);
}

/* --- exec --- */

static json_t *
exec_command (const struct hv_agent_exec_args *a)
{
  json_t *arguments = json_pack ("{s:s, s:o, s:b}", "path", a->path, "arg", texts (&a->args), "capture-output", 1);
  if (HV_HAS (a, env))
    (void) json_object_set_new (arguments, "env", texts (&a->env));
  char *input = HV_HAS (a, input) ? malloc (HV_BASE64_ENCODED (a->input.size)) : NULL;
  if (HV_HAS (a, input) && input == NULL) {
    json_decref (arguments);
    return NULL; /* out of memory: not without what it is to read */
  }
  if (input != NULL) {
    hv_base64_encode (a->input.data, a->input.size, input);
    (void) json_object_set_new (arguments, "input-data", json_string (input));
  }
  free (input);
  return json_pack ("{s:s, s:o}", "execute", "guest-exec", "arguments", arguments);
}

/* Up to `most` bytes of what the guest says its program wrote. */
static int
take_output (const struct hv_json *j, struct hv_host *h, json_t *status, const char *member, uint32_t most, struct hv_bin *ret,
             uint8_t *ret_cut)
{
  json_t *text = json_object_get (status, member);
  uint64_t n = 0;
  if (text == NULL)
    return 0;
  if (!json_is_string (text))
    return hv_json_bad (j, "text was expected of a program's output");
  uint8_t *bytes = hv_alloc (h, json_string_length (text) / 4 * 3 + 1);
  if (bytes == NULL)
    return no_memory (j->err);
  if (!hv_base64_decode (json_string_value (text), bytes, &n))
    return hv_json_bad (j, "base64 was expected of a program's output");
  *ret_cut |= n > most;
  *ret = (struct hv_bin){ bytes, n < most ? n : most };
  return 1;
}

static int
take_status (struct hv_host *h, json_t *status, uint32_t most, struct hv_agent_exec_result *ret, struct hv_err *err)
{
  const struct hv_reply_memory memory = { call_alloc, h };
  const struct hv_json j = { &memory, err };
  json_t *code = json_object_get (status, "exitcode");
  uint64_t signal = 0;
  uint8_t cut = json_is_true (json_object_get (status, "out-truncated")),
          error_cut = json_is_true (json_object_get (status, "err-truncated"));
  if (code != NULL && !json_is_integer (code))
    return hv_json_bad (&j, "a whole number was expected of an exit code");
  if (code != NULL)
    HV_SET (ret, exit_code, json_integer_value (code));
  int rc = hv_json_number (&j, status, "signal", UINT32_MAX, &signal);
  if (rc > 0)
    HV_SET (ret, signal, (uint32_t) signal);
  struct hv_bin output = { NULL, 0 }, error = { NULL, 0 };
  if (rc >= 0)
    rc = take_output (&j, h, status, "out-data", most, &output, &cut);
  if (rc >= 0)
    rc = take_output (&j, h, status, "err-data", most, &error, &error_cut);
  HV_SET (ret, output, output);
  HV_SET (ret, error, error);
  HV_SET (ret, output_truncated, cut);
  HV_SET (ret, error_truncated, error_cut);
  return rc < 0 ? rc : 0;
}

/* Nothing can be done about one that does not end: the agent has no word for it. */
static int
await_end (struct guest_agent *self, struct hv_call *call, const struct hv_agent_exec_args *a, int64_t pid,
           struct hv_agent_exec_result *ret, struct hv_err *err)
{
  struct hv_host *h = self->host;
  const struct question q = QUESTION (a, CHANGE_MS);
  uint64_t pause = EXEC_POLL_MS;
  for (;; pause = pause < EXEC_POLL_MAX / 2 ? pause * 2 : EXEC_POLL_MAX) {
    json_t *status = NULL;
    int rc
        = ga_do (self, call, &q, json_pack ("{s:s, s:{s:I}}", "execute", "guest-exec-status", "arguments", "pid", (json_int_t) pid),
                 &status, err);
    int ended = rc == 0 && json_is_true (json_object_get (status, "exited"));
    if (ended)
      rc = take_status (h, status, a->max_output_bytes, ret, err);
    json_decref (status);
    if (rc < 0 || ended)
      return rc;
    uint64_t left = h->api->deadline_left_ms (call);
    if (left <= pause)
      return hv_err_set (err, HV_E_DEADLINE_EXCEEDED, "'%s' still runs in the guest, as its process %lld", a->path,
                         (long long) pid);
    rc = hv_sleep (h, pause, err);
    if (rc < 0)
      return hv_err_wrap (err, rc, "'%s' still runs in the guest, as its process %lld", a->path, (long long) pid);
  }
}

int
ga_exec (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct guest_agent *self = arg;
  const struct hv_agent_exec_args *a = args;
  const struct question q = QUESTION (a, CHANGE_MS);
  json_t *value = NULL;
  int rc = ga_do (self, call, &q, exec_command (a), &value, err);
  json_t *pid = json_object_get (value, "pid");
  int64_t number = json_integer_value (pid);
  if (rc == 0 && !json_is_integer (pid))
    rc = hv_json_bad (&(struct hv_json){ NULL, err }, "the number of a process was expected");
  json_decref (value);
  return rc < 0 ? rc : await_end (self, call, a, number, result, err);
}

/* --- clock, password --- */

int
ga_set_time (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_agent_set_time_args *a = args;
  const struct question q = QUESTION (a, CHANGE_MS);
  struct timespec now;
  (void) result;
  (void) clock_gettime (CLOCK_REALTIME, &now);
  uint64_t ns = HV_HAS (a, time_ns) ? a->time_ns : (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
  if (ns > INT64_MAX)
    return hv_err_set (err, HV_E_OUT_OF_RANGE, "time_ns: %llu is after the year 2262", (unsigned long long) ns);
  return no_return (arg, call, &q, json_pack ("{s:s, s:{s:I}}", "execute", "guest-set-time", "arguments", "time", (json_int_t) ns),
                    err);
}

int
ga_set_password (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_agent_set_password_args *a = args;
  const struct question q = QUESTION (a, CHANGE_MS);
  char text[HV_BASE64_ENCODED (1024)];
  (void) result;
  size_t n = strlen (a->password);
  if (n > 1024)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "password: longer than 1024 bytes");
  hv_base64_encode ((const uint8_t *) a->password, n, text);
  int rc = no_return (arg, call, &q,
                      json_pack ("{s:s, s:{s:s, s:s, s:b}}", "execute", "guest-set-user-password", "arguments", "username", a->user,
                                 "password", text, "crypted", (int) a->crypted),
                      err);
  explicit_bzero (text, sizeof text);
  return rc;
}

/* --- keys --- */

/* A line break in one would be another. */
static int
check_keys (const struct hv_strs *keys, struct hv_err *err)
{
  for (uint32_t i = 0; i < keys->count; i++)
    for (const char *c = keys->items[i]; *c != '\0' || c == keys->items[i]; c++)
      if ((unsigned char) *c < ' ' || *c == 0x7f)
        return hv_err_set (err, HV_E_INVALID_ARGUMENT, "keys[%u]: empty, or more than one line of printable text", i);
  return 0;
}

int
ga_ssh_keys_get (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct guest_agent *self = arg;
  const struct hv_agent_user_ref *a = args;
  const struct question q = QUESTION (a, CHANGE_MS);
  const struct hv_reply_memory memory = { call_alloc, self->host };
  const struct hv_json j = { &memory, err };
  struct hv_agent_ssh_keys *ret = result;
  json_t *value = NULL, *list = NULL;
  uint32_t count = 0, used = 0;
  int rc = ga_do (self, call, &q,
                  json_pack ("{s:s, s:{s:s}}", "execute", "guest-ssh-get-authorized-keys", "arguments", "username", a->user),
                  &value, err);
  if (rc == 0)
    rc = hv_json_list (&j, value, "keys", &list, &count);
  const char **keys = rc >= 0 ? hv_json_items (&j, count, sizeof *keys) : NULL;
  if (rc >= 0 && keys == NULL)
    rc = HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; rc >= 0 && i < count; i++) {
    json_t *one = json_pack ("{s:O}", "key", json_array_get (list, i)); /* read as any other text member */
    rc = hv_json_text (&j, one, "key", &keys[used]);
    used += rc > 0;
    json_decref (one);
  }
  json_decref (value);
  HV_SET (ret, keys, ((struct hv_strs){ keys, used }));
  return rc < 0 ? rc : 0;
}

int
ga_ssh_keys_add (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_agent_ssh_keys_add_args *a = args;
  const struct question q = QUESTION (a, CHANGE_MS);
  (void) result;
  int rc = check_keys (&a->keys, err);
  return rc < 0 ? rc
                : no_return (arg, call, &q,
                             json_pack ("{s:s, s:{s:s, s:o, s:b}}", "execute", "guest-ssh-add-authorized-keys", "arguments",
                                        "username", a->user, "keys", texts (&a->keys), "reset", (int) a->replace),
                             err);
}

int
ga_ssh_keys_remove (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_agent_ssh_keys_args *a = args;
  const struct question q = QUESTION (a, CHANGE_MS);
  (void) result;
  int rc = check_keys (&a->keys, err);
  return rc < 0 ? rc
                : no_return (arg, call, &q,
                             json_pack ("{s:s, s:{s:s, s:o}}", "execute", "guest-ssh-remove-authorized-keys", "arguments",
                                        "username", a->user, "keys", texts (&a->keys)),
                             err);
}

/* --- shutdown --- */

int
ga_shutdown (void *arg, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_agent_shutdown_args *a = args;
  const struct question q = QUESTION (a, SHUTDOWN_MS);
  (void) result;
  int rc = no_return (
      arg, call, &q,
      json_pack ("{s:s, s:{s:s}}", "execute", "guest-shutdown", "arguments", "mode", hv_agent_shutdown_mode_words[a->mode]), err);
  return rc == HV_E_DEADLINE_EXCEEDED && ((struct guest_agent *) arg)->host->api->deadline_left_ms (call) > 0 ? 0 : rc;
}
