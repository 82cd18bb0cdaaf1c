/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virtctl's verbs. They change what is wanted; the reconciler does the rest. */
#include "verbs.h"
#include <string.h>

HV_RECORD_TABLE (vmi_stop_args, VMI_STOP_ARGS, "arguments of stop");
HV_RECORD_TABLE (vmi_freeze_args, VMI_FREEZE_ARGS, "arguments of freeze");
HV_RECORD_TABLE (vmi_guest_info, VMI_GUEST_INFO, "what the guest agent knows");

struct change {
  struct vmi_vm *vm;
  uint32_t request;
  int strategy; /* -1: stays */
};

static int
set_strategy (struct vmi_vm *v, uint32_t strategy, struct hv_err *err)
{
  struct vmi_virtual_machine *o = hv_alloc (v->vmi->host, sizeof *o);
  int r = o != NULL ? vmi_vm_object (v, o, err) : vmi_no_memory (err);
  if (r < 0)
    return r;
  if (HV_HAS (&o->spec, running))
    HV_SET (&o->spec, running, strategy == VMI_ALWAYS);
  else
    HV_SET (&o->spec, runStrategy, strategy);
  v->generation++;
  return vmi_vm_take_object (v, o, err);
}

int
vmi_halt (struct vmi_vm *v, struct hv_err *err)
{
  return v->strategy == VMI_HALTED ? 0 : set_strategy (v, VMI_HALTED, err);
}

/* Under the lock. What cannot be written down has not happened. */
static int
commit (struct vmi_vm *v, uint32_t request, int strategy, struct hv_err *err)
{
  uint32_t request_was = v->request, strategy_was = v->strategy;
  uint8_t ran_was = v->ran;
  int r = strategy >= 0 ? set_strategy (v, (uint32_t) strategy, err) : 0;
  v->request = request;
  if (request == VMI_REQUEST_START)
    v->ran = 0;
  if (r == 0)
    r = vmi_store_save (v, err);
  if (r == 0)
    return 0;
  if (strategy >= 0)
    (void) set_strategy (v, strategy_was, NULL);
  v->request = request_was;
  v->ran = ran_was;
  return r;
}

static int
refuse (const struct vmi_vm *v, const char *why, struct hv_err *err)
{
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s/%s' %s", v->namespace_, v->name, why);
}

static int
is_up (const struct vmi_vm *v)
{
  return v->run.exists && !vmi_vm_final (v) && v->run.stop_ms == 0;
}

static int
plan_start (struct vmi_vm *v, uint32_t *ret_request, int *ret_strategy, struct hv_err *err)
{
  if (is_up (v) && vmi_wanted (v))
    return refuse (v, v->run.phase == VMI_RUNNING ? "is already running" : "is being started already", err);
  *ret_request = v->strategy == VMI_HALTED || v->strategy == VMI_ALWAYS ? VMI_REQUEST_NONE : VMI_REQUEST_START;
  *ret_strategy = v->strategy == VMI_HALTED ? (int) VMI_ALWAYS : -1;
  return 0;
}

static int
plan_stop (struct vmi_vm *v, uint32_t *ret_request, int *ret_strategy, struct hv_err *err)
{
  if (!v->run.exists && !vmi_wanted (v))
    return refuse (v, "is not running", err);
  *ret_request = v->strategy == VMI_ALWAYS || v->strategy == VMI_HALTED ? VMI_REQUEST_NONE : VMI_REQUEST_STOP;
  *ret_strategy = v->strategy == VMI_ALWAYS ? (int) VMI_HALTED : -1;
  return 0;
}

static int
plan_restart (struct vmi_vm *v, uint32_t *ret_request, int *ret_strategy, struct hv_err *err)
{
  if (!is_up (v) || v->strategy == VMI_HALTED)
    return refuse (v, "is not running; start it", err);
  *ret_request = VMI_REQUEST_RESTART;
  *ret_strategy = -1;
  return 0;
}

typedef int plan_fn (struct vmi_vm *, uint32_t *, int *, struct hv_err *);

static int
change (struct vmi_vm *v, plan_fn *plan, int64_t grace_s, struct hv_err *err)
{
  uint32_t request = VMI_REQUEST_NONE;
  int strategy = -1;
  int r = vmi_lock (v->vmi, err);
  if (r < 0)
    return r;
  if (v->broken)
    r = refuse (v, "cannot be changed: its record cannot be read; delete it or apply it anew", err);
  else if (v->deleting)
    r = refuse (v, "is being deleted", err);
  else
    r = plan (v, &request, &strategy, err);
  if (r == 0 && grace_s >= 0)
    v->grace_s = grace_s;
  if (r == 0)
    r = commit (v, request, strategy, err);
  vmi_unlock (v->vmi);
  if (r < 0)
    return r;
  vmi_status_update (v);
  vmi_reconcile_now (v);
  return 0;
}

static int
change_named (struct vmi *vmi, const char *namespace_, const char *name, plan_fn *plan, int64_t grace_s, struct hv_err *err)
{
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  struct vmi_vm *found = vmi_vm_find (vmi, namespace_, name); /* or an instance on its own */
  if (found == NULL && (found = vmi_need (vmi, VMI_KIND_VM, namespace_, name, err)) == NULL)
    return HV_E_NOT_FOUND;
  v = vmi_vm_ref (found);
  int r = change (v, plan, grace_s, err);
  if (r == 0 && grace_s == 0 && vmi_vm_alive (v)) /* ends a shutdown that is under way */
    (void) vmi_backend_simple (v, "stop", NULL);
  return r;
}

int
vmi_start (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_ref_args *a = args;
  (void) call;
  (void) result;
  return change_named (self, a->namespace, a->name, plan_start, -1, err);
}

int
vmi_stop (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_stop_args *a = args;
  (void) call;
  (void) result;
  if (a->grace_period_seconds < 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "grace_period_seconds: must not be negative");
  return change_named (self, a->namespace, a->name, plan_stop, HV_HAS (a, grace_period_seconds) ? a->grace_period_seconds : -1,
                       err);
}

int
vmi_restart (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_ref_args *a = args;
  (void) call;
  (void) result;
  return change_named (self, a->namespace, a->name, plan_restart, -1, err);
}

/* --- the running machine --- */

int
vmi_need_running (struct vmi *vmi, const char *namespace_, const char *name, struct vmi_vm **ret, struct hv_err *err)
{
  struct vmi_vm *v = vmi_need (vmi, VMI_KIND_VMI, namespace_, name, err);
  if (v == NULL)
    return HV_E_NOT_FOUND;
  if (!v->run.exists || v->run.phase != VMI_RUNNING)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VirtualMachineInstance '%s/%s' is %s", namespace_, name,
                       v->run.exists ? vmi_phase_words[v->run.phase] : "not started");
  *ret = vmi_vm_ref (v);
  return 0;
}

static int
need_running (struct vmi *vmi, const struct vmi_ref_args *a, struct vmi_vm **ret, struct hv_err *err)
{
  return vmi_need_running (vmi, a->namespace, a->name, ret, err);
}

static int
set_paused (struct vmi *vmi, const struct vmi_ref_args *a, int paused, struct hv_err *err)
{
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  int r = need_running (vmi, a, &v, err);
  if (r < 0)
    return r;
  if ((v->seen.state == HV_VM_PAUSED) == paused)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VirtualMachineInstance '%s/%s' is %s", a->namespace, a->name,
                       paused ? "paused already" : "not paused");
  r = vmi_backend_simple (v, paused ? "pause" : "resume", err);
  if (r < 0)
    return r;
  vmi_note (v, 0, paused ? "Paused" : "Unpaused", "by user");
  if (!paused)
    vmi_agent_set_clock (v);
  vmi_status_update (v);
  return 0;
}

int
vmi_pause (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  (void) result;
  return set_paused (self, args, 1, err);
}

int
vmi_unpause (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  (void) result;
  return set_paused (self, args, 0, err);
}

/* --- the guest --- */

int
vmi_freeze (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  const struct vmi_freeze_args *a = args;
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  struct hv_agent_freeze_args f = { 0 };
  struct hv_agent_freeze_result got;
  (void) call;
  (void) result;
  int r = vmi_need_running (vmi, a->namespace, a->name, &v, err);
  if (r < 0)
    return r;
  HV_SET (&f, vm, hv_strdup (vmi->host, v->domain));
  HV_SET (&f, backend, hv_strdup (vmi->host, v->backend));
  HV_SET (&f, timeout_ms, a->unfreeze_timeout * 1000);
  r = hv_call_method (vmi->host, "guest-agent.freeze", hv_agent_freeze_args, &f, hv_agent_freeze_result, &got, err);
  if (r == 0)
    vmi_note (v, 0, "Frozen", "the guest's file systems are, for at most %u s", a->unfreeze_timeout);
  return r;
}

int
vmi_unfreeze (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  struct hv_agent_args a = { 0 };
  struct hv_agent_freeze_result got;
  (void) call;
  (void) result;
  int r = need_running (vmi, args, &v, err);
  if (r < 0)
    return r;
  HV_SET (&a, vm, hv_strdup (vmi->host, v->domain));
  HV_SET (&a, backend, hv_strdup (vmi->host, v->backend));
  r = hv_call_method (vmi->host, "guest-agent.thaw", hv_agent_args, &a, hv_agent_freeze_result, &got, err);
  if (r == 0)
    vmi_note (v, 0, "Thawed", "by user");
  return r;
}

/* Of a running instance's guest, from what guest-agent knows. */
static int
ask_known (struct vmi *vmi, const void *args, const char *verb, const struct hv_record *record, void *ret, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  struct hv_call_options o = { .struct_size = sizeof o, .max_age_ms = VMI_AGENT_KNOWN_MS };
  struct hv_agent_args a = { 0 };
  int r = need_running (vmi, args, &v, err);
  if (r < 0)
    return r;
  HV_SET (&a, vm, hv_strdup (h, v->domain));
  HV_SET (&a, backend, hv_strdup (h, v->backend));
  const char *method = hv_printf (h, "guest-agent.%s", verb);
  if (method == NULL || a.vm == NULL || a.backend == NULL)
    return vmi_no_memory (err);
  return h->api->call (h, method, &hv_agent_args_record, &a, record, ret, &o, err);
}

int
vmi_userlist (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  return ask_known (self, args, "users", &hv_agent_users_record, result, err);
}

int
vmi_fslist (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  (void) call;
  return ask_known (self, args, "filesystems", &hv_agent_filesystems_record, result, err);
}

#define COPY(to, member, from, source) \
  do { \
    if (HV_HAS (from, source)) \
      HV_SET (to, member, (from)->source); \
  } while (0)

int
vmi_guestosinfo (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  struct vmi_guest_info *ret = result;
  struct hv_agent_info info;
  struct hv_agent_osinfo os;
  (void) call;
  int r = ask_known (vmi, args, "info", &hv_agent_info_record, &info, err);
  if (r == 0)
    r = ask_known (vmi, args, "osinfo", &hv_agent_osinfo_record, &os, err);
  if (r < 0)
    return r;
  HV_SET (ret, guestAgentVersion, info.version);
  HV_SET (ret, supportedCommands, info.commands);
  COPY (ret, hostname, &os, hostname);
  ret->has.os = 1;
  COPY (&ret->os, id, &os, id);
  COPY (&ret->os, kernelRelease, &os, kernel_release);
  COPY (&ret->os, kernelVersion, &os, kernel_version);
  COPY (&ret->os, machine, &os, machine);
  COPY (&ret->os, name, &os, name);
  COPY (&ret->os, prettyName, &os, pretty_name);
  COPY (&ret->os, version, &os, version);
  COPY (&ret->os, versionId, &os, version_id);
  return 0;
}
