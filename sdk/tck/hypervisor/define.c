/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* define, undefine, get, native: a definition is kept as it was given, once. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

static void
check_round_trip (struct tck *t)
{
  const char *vm = tck_name (t, "a");
  json_t *m = tck_machine (t, vm);
  (void) json_object_set_new (m, "labels", json_pack ("{s:s,s:s}", "tier", "gold", "note", "ünïcode"));
  (void) json_object_set_new (m, "cpu", json_pack ("{s:i,s:i}", "sockets", 1, "cores", 2));
  json_t *defined = tck_define_as (t, vm, m), *got = tck_get (t, vm);
  for (const json_t *at = defined; at != NULL; at = at == defined ? got : NULL) {
    const char *verb = at == got ? "get" : "define";
    TCK_CHECK (t, strcmp (tck_str (at, "vm"), vm) == 0, "%s: vm is '%s'", verb, tck_str (at, "vm"));
    TCK_CHECK (t, strcasecmp (tck_str (at, "uuid"), tck_str (m, "uuid")) == 0, "%s: uuid is '%s'", verb, tck_str (at, "uuid"));
    TCK_CHECK (t, strcmp (tck_str (at, "state"), "stopped") == 0, "%s: state is '%s'", verb, tck_str (at, "state"));
    TCK_CHECK (t, tck_int (at, "memory_bytes") == tck_int (m, "memory_bytes"), "%s: memory_bytes is %lld of %lld", verb,
               (long long) tck_int (at, "memory_bytes"), (long long) tck_int (m, "memory_bytes"));
    TCK_CHECK (t, tck_int (at, "vcpus") == 2, "%s: vcpus is %lld, defined were 1 × 2", verb, (long long) tck_int (at, "vcpus"));
    TCK_CHECK (t, json_equal (json_object_get (at, "labels"), json_object_get (m, "labels")), "%s: labels are %s", verb,
               tck_dump (t, json_object_get (at, "labels")));
    TCK_CHECK (t, json_object_get (at, "pid") == NULL, "%s: a VM that was only defined has a process", verb);
  }
}

static void
check_duplicate (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  const json_t *before = tck_get (t, vm), *again = tck_machine (t, vm);
  (void) tck_refused (t, HV_E_ALREADY_EXISTS, "define", "{\"vm\":\"%s\",\"machine\":%s}", vm, tck_dump (t, again));
  TCK_CHECK (t, strcmp (tck_str (before, "uuid"), tck_str (tck_get (t, vm), "uuid")) == 0,
             "the refused definition replaced the first one");
}

static void
check_replace (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  json_t *m = tck_machine (t, vm);
  (void) json_object_set_new (m, "labels", json_pack ("{s:s}", "second", "yes"));
  (void) tck_ok (t, "define", "{\"vm\":\"%s\",\"replace\":true,\"machine\":%s}", vm, tck_dump (t, m));
  const json_t *got = tck_get (t, vm);
  TCK_CHECK (t, strcasecmp (tck_str (got, "uuid"), tck_str (m, "uuid")) == 0, "uuid is still that of the first definition");
  TCK_CHECK (t, json_equal (json_object_get (got, "labels"), json_object_get (m, "labels")), "labels are still the first ones");
}

static void
check_replace_running (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  const char *text = tck_refused (t, HV_E_FAILED_PRECONDITION, "define", "{\"vm\":\"%s\",\"replace\":true,\"machine\":%s}", vm,
                                  tck_dump (t, tck_machine (t, vm)));
  TCK_CHECK (t, strstr (text, "running") != NULL, "the refusal does not name the state: %s", text);
}

static void
check_uuid (struct tck *t)
{
  const char *a = tck_define (t, "a"), *b = tck_name (t, "b");
  json_t *m = tck_machine (t, b);
  (void) json_object_set_new (m, "uuid", json_string (tck_str (tck_get (t, a), "uuid")));
  (void) tck_refused (t, HV_E_ALREADY_EXISTS, "define", "{\"vm\":\"%s\",\"machine\":%s}", b, tck_dump (t, m));
  (void) tck_refused (t, HV_E_NOT_FOUND, "get", "{\"vm\":\"%s\"}", b);
}

static void
check_name (struct tck *t)
{
  const char *a = tck_name (t, "a"), *b = tck_name (t, "b");
  (void) tck_refused (t, HV_E_INVALID_ARGUMENT, "define", "{\"vm\":\"%s\",\"machine\":%s}", a, tck_dump (t, tck_machine (t, b)));
  (void) tck_refused (t, HV_E_NOT_FOUND, "get", "{\"vm\":\"%s\"}", a);
  (void) tck_refused (t, HV_E_NOT_FOUND, "get", "{\"vm\":\"%s\"}", b);
}

static void
check_unknown (struct tck *t)
{
  const char *verb;
  json_t *row;
  json_object_foreach (t->verbs, verb, row)
  {
    const char *args = tck_args (t, verb, tck_name (t, "nobody"));
    if (args != NULL && json_is_true (json_object_get (row, "supported")))
      (void) tck_refused (t, HV_E_NOT_FOUND, verb, "%s", args);
  }
}

static void
check_undefine (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  (void) tck_ok (t, "undefine", "{\"vm\":\"%s\"}", vm);
  (void) tck_refused (t, HV_E_NOT_FOUND, "get", "{\"vm\":\"%s\"}", vm);
  (void) tck_refused (t, HV_E_NOT_FOUND, "undefine", "{\"vm\":\"%s\"}", vm);
  (void) tck_define (t, "a"); /* the name is free again */
}

static void
check_undefine_running (struct tck *t)
{
  const char *vm = tck_running (t, "a");
  const char *text = tck_refused (t, HV_E_FAILED_PRECONDITION, "undefine", "{\"vm\":\"%s\"}", vm);
  TCK_CHECK (t, strstr (text, "running") != NULL, "the refusal does not name the state: %s", text);
  TCK_CHECK (t, tck_is (t, vm, "running"), "the VM is %s after an undefine that was refused", tck_state (t, vm));
}

static void
check_native (struct tck *t)
{
  const char *vm = tck_define (t, "a");
  const json_t *native = tck_ok (t, "native", "{\"vm\":\"%s\"}", vm);
  const char *format = tck_str (native, "format"), *text = tck_dump (t, native);
  TCK_CHECK (t, strcmp (format, "argv") == 0 || strcmp (format, "domain-xml") == 0, "format is '%s'", format);
  TCK_CHECK (t, json_array_size (json_object_get (native, "argv")) > 0 || tck_str (native, "xml")[0] != '\0', "it is empty");
  TCK_CHECK (t, strstr (text, vm) != NULL, "it does not name the machine: %s", text);
  TCK_CHECK (t, strcasestr (text, tck_str (tck_get (t, vm), "uuid")) != NULL, "the uuid is not in it: %s", text);
}

/* Whatever define cannot honour it refuses; it never takes a word and drops it. */
static void
check_refuses (struct tck *t)
{
  static const char *const words[] = { "arch", "machine", "firmware", "watchdog" };
  const char *vm = tck_name (t, "a");
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    json_t *m = tck_machine (t, vm);
    (void) json_object_set_new (m, words[i], json_string ("no-such-thing"));
    struct tck_answer a = tck_call (t, "define", "{\"vm\":\"%s\",\"machine\":%s}", vm, tck_dump (t, m));
    TCK_CHECK (t, a.code == HV_E_UNIMPLEMENTED || a.code == HV_E_INVALID_ARGUMENT, "machine.%s 'no-such-thing': define answers %s",
               words[i], hv_err_name (a.code));
    TCK_CHECK (t, strstr (a.text, words[i]) != NULL, "the refusal does not name the field '%s': %s", words[i], a.text);
  }
  (void) tck_refused (t, HV_E_NOT_FOUND, "get", "{\"vm\":\"%s\"}", vm);
}

const struct tck_check tck_define_checks[] = {
  { "define.round-trip", "define and get give back name, uuid, memory, vcpus and labels as they were defined", NULL,
    check_round_trip },
  { "define.duplicate", "a name that is defined already is ALREADY_EXISTS, and the definition stays", NULL, check_duplicate },
  { "define.replace", "replace: true replaces the definition of a stopped VM", NULL, check_replace },
  { "define.replace-running", "the definition of a running VM is not replaced: FAILED_PRECONDITION naming the state", NULL,
    check_replace_running },
  { "define.uuid", "two VMs cannot have the same uuid: ALREADY_EXISTS, and nothing is defined", NULL, check_uuid },
  { "define.name", "vm and machine.name have to be the same: INVALID_ARGUMENT, and nothing is defined", NULL, check_name },
  { "define.refuses", "what cannot be honoured is refused by the name of its field; nothing is dropped silently", NULL,
    check_refuses },
  { "define.unknown", "every supported verb that names a VM answers NOT_FOUND for one that is not defined", NULL, check_unknown },
  { "define.undefine", "after undefine the VM is NOT_FOUND and its name is free", NULL, check_undefine },
  { "define.undefine-running", "a running VM is not undefined: FAILED_PRECONDITION naming the state", NULL,
    check_undefine_running },
  { "define.native", "native shows the definition in the backend's form, with name and uuid", NULL, check_native },
  { NULL, NULL, NULL, NULL },
};
