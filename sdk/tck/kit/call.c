/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Talking to the provider. */
#include "sdk/tck/kit/kit.h"
#include <stdio.h>
#include <string.h>

/* A call that the core lets run for a day is still answered in the time of a check. */
static struct hv_fake_call *
begin (struct tck *t, const char *verb, const char *fmt, va_list ap)
{
  char *args = NULL;
  if (vasprintf (&args, fmt, ap) < 0)
    tck_fail (t, "the kit is out of memory");
  struct hv_fake_call *c = hv_fake_call_start (t->host, verb, args);
  free (args);
  return c;
}

struct tck_answer
tck_end (struct tck *t, struct hv_fake_call *c)
{
  struct tck_answer a = { .text = "" };
  if (!hv_fake_call_wait (c, t->options->check_ms))
    tck_fail (t, "a call was not answered within %llu ms", (unsigned long long) t->options->check_ms);
  struct hv_fake_took took = hv_fake_call_took (c);
  char *text = hv_fake_call_finish (c, &a.code);
  a.ms = took.ms;
  a.seq = took.seq;
  if (a.code == 0)
    a.result = tck_keep (t, json_loads (text, JSON_DECODE_ANY, NULL));
  else
    a.text = tck_text (t, "%s", text);
  free (text);
  return a;
}

struct hv_fake_call *
tck_begin (struct tck *t, const char *verb, const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  struct hv_fake_call *c = begin (t, verb, fmt, ap);
  va_end (ap);
  return c;
}

struct tck_answer
tck_call (struct tck *t, const char *verb, const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  struct hv_fake_call *c = begin (t, verb, fmt, ap);
  va_end (ap);
  return tck_end (t, c);
}

json_t *
tck_ok (struct tck *t, const char *verb, const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  struct tck_answer a = tck_end (t, begin (t, verb, fmt, ap));
  va_end (ap);
  TCK_CHECK (t, a.code == 0, "%s failed: %s: %s", verb, hv_err_name (a.code), a.text);
  return a.result;
}

const char *
tck_refused (struct tck *t, int code, const char *verb, const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  struct tck_answer a = tck_end (t, begin (t, verb, fmt, ap));
  va_end (ap);
  TCK_CHECK (t, a.code != 0, "%s succeeded where %s is due; it answered %s", verb, hv_err_name (code), tck_dump (t, a.result));
  TCK_CHECK (t, a.code == code, "%s answered %s where %s is due: %s", verb, hv_err_name (a.code), hv_err_name (code), a.text);
  TCK_CHECK (t, a.text[0] != '\0', "%s answered %s without a word why", verb, hv_err_name (code));
  return a.text;
}

/* Further members of the arguments, after "vm". */
static const struct {
  const char *verb, *more;
} arguments[] = {
  { "start", "" },
  { "shutdown", "" },
  { "stop", "" },
  { "undefine", "" },
  { "get", "" },
  { "native", "" },
  { "adopt", "" },
  { "stats", "" },
  { "agent_command", ",\"command\":\"{\\\"execute\\\":\\\"guest-ping\\\"}\",\"timeout_ms\":500" },
  { "pause", "" },
  { "resume", "" },
  { "reset", "" },
  { "reboot", "" },
  { "block_info", "" },
  { "block_stats", "" },
  { "block_errors", "" },
  { "interface_stats", "" },
  { "memory_stats", "" },
  { "attach", ",\"disk\":{\"name\":\"d9\",\"path\":\"/nonexistent/d9.img\",\"format\":\"raw\"}" },
  { "detach", ",\"device\":\"d9\"" },
  { "resize_block", ",\"disk\":\"d9\",\"size_bytes\":1048576" },
  { "set_memory", ",\"memory_bytes\":67108864" },
  { "set_vcpus", ",\"vcpus\":1" },
  { "snapshot_create", ",\"snapshot\":\"s\",\"disks\":[{\"disk\":\"d9\",\"path\":\"/nonexistent/d9.qcow2\"}]" },
  { "snapshot_list", "" },
  { "snapshot_revert", ",\"snapshot\":\"s\"" },
  { "snapshot_delete", ",\"snapshot\":\"s\"" },
  { "block_commit", ",\"disk\":\"d9\"" },
  { "block_pull", ",\"disk\":\"d9\"" },
  { "block_mirror", ",\"disk\":\"d9\",\"path\":\"/nonexistent/copy.img\",\"format\":\"raw\"" },
  { "backup_begin", ",\"disks\":[{\"disk\":\"d9\",\"path\":\"/nonexistent/backup.qcow2\"}]" },
  { "backup_end", "" },
  { "save", ",\"path\":\"/nonexistent/state\"" },
  { "restore", ",\"path\":\"/nonexistent/state\"" },
  { "migrate", ",\"uri\":\"unix:/nonexistent/socket\"" },
  { "dump_memory", ",\"path\":\"/nonexistent/dump\"" },
  { "console", "" },
  { "display", "" },
  { "screenshot", "" },
  { "send_key", ",\"keys\":[\"a\"]" },
};

const char *
tck_args (struct tck *t, const char *verb, const char *vm)
{
  for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++)
    if (strcmp (arguments[i].verb, verb) == 0)
      return tck_text (t, "{\"vm\":\"%s\"%s}", vm, arguments[i].more);
  return NULL;
}

int
tck_supported (struct tck *t, const char *verb)
{
  return json_is_true (json_object_get (json_object_get (t->verbs, verb), "supported"));
}

const char *
tck_str (const json_t *j, const char *member)
{
  const char *s = json_string_value (json_object_get (j, member));
  return s != NULL ? s : "";
}

int64_t
tck_int (const json_t *j, const char *member)
{
  const json_t *v = json_object_get (j, member);
  return json_is_integer (v) ? json_integer_value (v) : -1;
}

const char *
tck_dump (struct tck *t, const json_t *j)
{
  char *s = json_dumps (j, JSON_COMPACT | JSON_ENCODE_ANY);
  const char *kept = tck_text (t, "%s", s != NULL ? s : "nothing");
  free (s);
  return kept;
}
