/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One JSON in, one JSON out. libvirt owns the agent's channel, its framing and its resync. */
#include "libvirt.h"
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <string.h>

struct agent_work {
  struct lv_work w;
  char *command, *reply;
  int timeout_s;
};

/* libvirt turns the agent's own errors into its own; the words after the command's name are the agent's. */
static char *
agent_error (const char *words)
{
  static const char lead[] = "unable to execute QEMU agent command ";
  const char *at = strstr (words, lead);
  const char *desc = at != NULL ? strstr (at, "': ") : NULL;
  if (desc == NULL)
    return NULL;
  desc += 3;
  const char *class = strstr (desc, "has not been found") != NULL || strstr (desc, "has been disabled") != NULL ? "CommandNotFound"
                                                                                                                : "GenericError";
  json_t *j = json_pack ("{s:{s:s,s:s}}", "error", "class", class, "desc", desc);
  char *text = j != NULL ? json_dumps (j, JSON_COMPACT) : NULL;
  json_decref (j);
  return text;
}

static int
agent_run (struct lv_work *w)
{
  struct agent_work *a = (struct agent_work *) w;
  a->reply = virDomainQemuAgentCommand (w->dom, a->command, a->timeout_s, 0);
  if (a->reply != NULL)
    return 0;
  virErrorPtr e = virGetLastError ();
  if (e != NULL && e->message != NULL)
    a->reply = agent_error (e->message);
  return a->reply != NULL ? 0 : lv_work_fail (w);
}

static void
agent_clear (struct lv_work *w)
{
  struct agent_work *a = (struct agent_work *) w;
  free (a->command);
  free (a->reply);
}

static int
agent_check (struct lv_vm *vm, struct hv_err *err)
{
  if (vm->facts != NULL && !vm->facts->has_agent)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' has no agent channel", vm->name);
  if (!vm->agent_connected && lv_vm_alive (vm))
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': no guest agent has opened the channel", vm->name);
  return lv_vm_need_running (vm, err);
}

int
lv_agent_command (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_agent_command_args *a = args;
  struct hv_agent_command_result *ret = result;
  struct lv *lv = self;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (lv, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : agent_check (vm, err);
  if (r < 0)
    return r;
  struct agent_work *x = lv_work_new (sizeof *x, agent_run, "agent of VM", LV_WORK_CHANGES | LV_WORK_LONG);
  HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) x;
  if (x == NULL || (x->command = strdup (a->command)) == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  w->clear = agent_clear;
  x->timeout_s = (int) ((a->timeout_ms + 999) / 1000);
  r = lv_work_run (vm->daemon, w, vm, (uint64_t) a->timeout_ms + 5000, err);
  if (r < 0)
    return r;
  ret->reply = hv_strdup (lv->host, x->reply);
  return ret->reply != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}
