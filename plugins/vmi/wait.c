/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wait: until an instance has a phase or a condition, or is gone. */
#include "verbs.h"
#include <string.h>
#include <strings.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
HV_RECORD_TABLE (vmi_wait_args, VMI_WAIT_ARGS, "arguments of wait");
#pragma GCC diagnostic pop
HV_RECORD_TABLE (vmi_wait_result, VMI_WAIT_RESULT, "what was waited for");

#define ROUND_MS 60000u

/* What is waited for: a phase, a condition, or the end of the object. */
struct goal {
  int phase, condition; /* -1: not this */
  int status;           /* of the condition: 1 False, 2 True */
  int gone;
};

static int
word_index (const char *const *words, const char *text, size_t n)
{
  for (int i = 0; words[i] != NULL; i++)
    if (strlen (words[i]) == n && strncasecmp (words[i], text, n) == 0)
      return i;
  return -1;
}

/* "Running", "phase=Running", "Ready", "condition=Ready", "condition=Ready=False", "delete". */
static int
parse (const char *text, struct goal *ret, struct hv_err *err)
{
  struct goal g = { -1, -1, 2, 0 };
  const char *word = text;
  int any = 1, phases = 1;
  if (strncmp (word, "condition=", 10) == 0)
    word += 10, phases = 0;
  else if (strncmp (word, "phase=", 6) == 0)
    word += 6, any = 0;
  size_t n = strcspn (word, "=");
  if (any)
    g.condition = word_index (vmi_condition_words, word, n);
  if (phases)
    g.phase = word_index (vmi_phase_words, word, n);
  g.gone = any && phases && (strcasecmp (word, "delete") == 0 || strcasecmp (word, "deleted") == 0);
  if (word[n] == '=')
    g.status = strcasecmp (word + n + 1, "true") == 0 ? 2 : strcasecmp (word + n + 1, "false") == 0 ? 1 : 0;
  if ((g.phase < 0 && g.condition < 0 && !g.gone) || g.status == 0 || (word[n] == '=' && g.condition < 0))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT,
                       "for: '%s' is neither a phase (Pending, Scheduling, Scheduled, Running, Succeeded, Failed) nor a condition "
                       "(Ready, AgentConnected, Paused, LiveMigratable, Synchronized, RestartRequired), nor delete",
                       text);
  *ret = g;
  return 0;
}

static int
is_reached (const struct vmi_vm *v, const struct goal *g)
{
  if (g->gone)
    return v->gone;
  if (g->phase >= 0)
    return v->run.exists && v->run.phase == (uint32_t) g->phase;
  return g->status == 2 ? v->conditions[g->condition].status == 2 : v->conditions[g->condition].status != 2;
}

/* An instance that has ended for good will not become what it is not. */
static int
is_hopeless (const struct vmi_vm *v, const struct goal *g)
{
  return !g->gone && vmi_vm_final (v) && !vmi_wanted (v) && !v->busy;
}

static int
wait_on (struct vmi_vm *v, const struct goal *g, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  while (!is_reached (v, g)) {
    if (v->gone)
      return hv_err_set (err, HV_E_NOT_FOUND, "'%s/%s' was deleted", v->namespace_, v->name);
    if (is_hopeless (v, g))
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s/%s' has ended: %s%s%s", v->namespace_, v->name,
                         vmi_phase_words[v->run.phase], v->failure != NULL ? ": " : "", v->failure != NULL ? v->failure : "");
    int r = h->api->cond_wait (h, v->changed, ROUND_MS, NULL);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return hv_err_set (err, r, "'%s/%s' is %s%s%s", v->namespace_, v->name,
                         v->run.exists ? vmi_phase_words[v->run.phase] : vmi_printable_status (v), v->failure != NULL ? ": " : "",
                         v->failure != NULL ? v->failure : "");
  }
  return 0;
}

int
vmi_wait (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  const struct vmi_wait_args *a = args;
  struct vmi_wait_result *ret = result;
  uint64_t begin_ms = vmi->host->api->now_ms ();
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  struct goal g = { 0 };
  (void) call;
  int r = parse (a->until, &g, err);
  if (r < 0)
    return r;
  struct vmi_vm *found = vmi_vm_find (vmi, a->namespace, a->name);
  HV_SET (ret, name, a->name);
  HV_SET (ret, waited_ms, 0);
  if (found == NULL)
    return g.gone ? 0 : hv_err_set (err, HV_E_NOT_FOUND, "VirtualMachineInstance '%s/%s' does not exist", a->namespace, a->name);
  v = vmi_vm_ref (found);
  r = wait_on (v, &g, err);
  if (r == 0 && v->run.exists)
    HV_SET (ret, phase, vmi_phase_words[v->run.phase]);
  HV_SET (ret, waited_ms, vmi->host->api->now_ms () - begin_ms);
  return r;
}
