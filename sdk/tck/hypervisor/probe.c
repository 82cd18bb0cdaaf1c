/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* probe: what the provider says of itself is complete, and true of its verbs. */
#include "sdk/tck/hypervisor/suite.h"
#include <string.h>

static json_t *
rows (struct tck *t)
{
  json_t *list = json_object_get (tck_ok (t, "probe", "{}"), "verbs");
  TCK_CHECK (t, json_is_array (list), "probe lists no verbs");
  return list;
}

static int
in_interface (const char *verb)
{
  for (const struct hv_method *const *v = hv_iface_hypervisor.verbs; *v != NULL; v++)
    if (strcmp ((*v)->verb, verb) == 0)
      return 1;
  return 0;
}

static void
check_complete (struct tck *t)
{
  size_t i, times;
  json_t *row, *list = rows (t);
  for (const struct hv_method *const *v = hv_iface_hypervisor.verbs; *v != NULL; v++) {
    times = 0;
    json_array_foreach (list, i, row) times += strcmp (tck_str (row, "verb"), (*v)->verb) == 0;
    TCK_CHECK (t, times == 1, "verb '%s' is listed %zu times", (*v)->verb, times);
  }
  json_array_foreach (list, i, row)
      TCK_CHECK (t, in_interface (tck_str (row, "verb")), "'%s' is listed and is no verb of hypervisor/1", tck_str (row, "verb"));
}

static void
check_required (struct tck *t)
{
  for (const struct hv_method *const *v = hv_iface_hypervisor.verbs; *v != NULL; v++)
    TCK_CHECK (t, ((*v)->flags & HV_MUST) == 0 || tck_supported (t, (*v)->verb), "'%s' is required and said to be unsupported",
               (*v)->verb);
}

static void
check_reasons (struct tck *t)
{
  size_t i;
  json_t *row;
  json_array_foreach (rows (t), i, row)
      TCK_CHECK (t, json_is_true (json_object_get (row, "supported")) || strlen (tck_str (row, "reason")) >= 10,
                 "'%s' is not supported, and the reason is '%s'", tck_str (row, "verb"), tck_str (row, "reason"));
}

static const char *
args_for (struct tck *t, const char *verb, const char *vm)
{
  if (strcmp (verb, "migrate_in") == 0)
    return tck_text (t, "{\"vm\":\"%s\",\"uri\":\"unix:%s\",\"machine\":%s}", vm, tck_path (t, "in.sock"),
                     tck_dump (t, tck_machine (t, vm)));
  return tck_args (t, verb, vm);
}

static void
check_unsupported (struct tck *t)
{
  size_t i;
  json_t *row;
  const char *vm = tck_define (t, "a");
  json_array_foreach (rows (t), i, row)
  {
    const char *verb = tck_str (row, "verb"), *reason = tck_str (row, "reason"), *args;
    if (json_is_true (json_object_get (row, "supported")) || (args = args_for (t, verb, vm)) == NULL)
      continue;
    const char *text = tck_refused (t, HV_E_UNIMPLEMENTED, verb, "%s", args);
    TCK_CHECK (t, strstr (text, reason) != NULL, "'%s' is refused with '%s'; probe's reason is '%s'", verb, text, reason);
  }
}

static void
check_supported (struct tck *t)
{
  size_t i;
  json_t *row;
  json_array_foreach (rows (t), i, row)
  {
    const char *verb = tck_str (row, "verb"), *args = tck_args (t, verb, tck_name (t, "nobody"));
    if (!json_is_true (json_object_get (row, "supported")) || args == NULL)
      continue;
    struct tck_answer a = tck_call (t, verb, "%s", args);
    TCK_CHECK (t, a.code != HV_E_UNIMPLEMENTED, "'%s' is said to be supported and answers UNIMPLEMENTED: %s", verb, a.text);
  }
}

static void
check_accelerator (struct tck *t)
{
  size_t i;
  int works = 0;
  json_t *row, *probe = tck_ok (t, "probe", "{}");
  TCK_CHECK (t, tck_str (probe, "backend")[0] != '\0' && tck_str (probe, "arch")[0] != '\0', "backend or arch is empty");
  json_array_foreach (json_object_get (probe, "accels"), i, row) works
      |= strcmp (tck_str (row, "name"), tck_str (probe, "accel")) == 0 && json_is_true (json_object_get (row, "works"));
  TCK_CHECK (t, works || json_object_get (probe, "accels") == NULL,
             "the accelerator in use, '%s', is not among those that work: %s", tck_str (probe, "accel"),
             tck_dump (t, json_object_get (probe, "accels")));
}

/* All of it was done before: a check only runs over a provider that started. */
static void
check_load (struct tck *t)
{
  TCK_CHECK (t, json_object_size (t->verbs) > 0, "probe lists no verbs");
}

const struct tck_check tck_probe_checks[] = {
  { TCK_LOAD, "the plugin loads, provides hypervisor/1, starts with its configuration, answers probe, and stops", NULL,
    check_load },
  { "probe.complete", "probe lists every verb of hypervisor/1 exactly once, and nothing else", NULL, check_complete },
  { "probe.required", "verbs flagged HV_MUST are supported by every provider", NULL, check_required },
  { "probe.reasons", "a verb that cannot be called has a reason that says why", NULL, check_reasons },
  { "probe.unsupported", "calling a verb that is not supported answers UNIMPLEMENTED with the reason probe gives", NULL,
    check_unsupported },
  { "probe.supported", "a verb that probe says is supported never answers UNIMPLEMENTED as a whole", NULL, check_supported },
  { "probe.accelerator", "the accelerator in use is one that was found to work", NULL, check_accelerator },
  { NULL, NULL, NULL, NULL },
};
