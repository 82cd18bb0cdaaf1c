/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A person at an instance: its serial console, its display, a picture of its screen. The backend has them; this finds the backend.
 */
#include "verbs.h"
#include <stdio.h>
#include <string.h>

HV_RECORD_TABLE (vmi_console_args, VMI_CONSOLE_ARGS, "arguments of console");
HV_RECORD_TABLE (vmi_logs_args, VMI_LOGS_ARGS, "arguments of logs");
HV_RECORD_TABLE (vmi_screenshot_args, VMI_SCREENSHOT_ARGS, "arguments of screenshot");

static int
forward (struct vmi *vmi, struct vmi_vm *v, const char *verb, const struct hv_record *args_record, const void *args,
         const struct hv_record *result_record, void *result, struct hv_err *err)
{
  char method[128];
  (void) snprintf (method, sizeof method, "%s.%s", v->backend, verb);
  return vmi->host->api->call (vmi->host, method, args_record, args, result_record, result, NULL, err);
}

/* The name is copied: the VM's own may change while the backend is asked. */
static int
find (struct vmi *vmi, const char *namespace_, const char *name, struct vmi_vm **ret, const char **ret_domain, struct hv_err *err)
{
  int r = vmi_need_running (vmi, namespace_, name, ret, err);
  if (r < 0)
    return r;
  *ret_domain = hv_strdup (vmi->host, (*ret)->domain);
  return *ret_domain != NULL ? 0 : vmi_no_memory (err);
}

int
vmi_console (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_console_args *in = args;
  struct hv_console_args a = { 0 };
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  const char *domain = NULL;
  (void) call;
  int r = find (self, in->namespace, in->name, &v, &domain, err);
  if (r < 0)
    return r;
  HV_SET (&a, vm, domain);
  HV_SET (&a, force, in->force);
  return forward (self, v, "console", &hv_console_args_record, &a, &hv_stream_answer_record, result, err);
}

/* Of a machine that has ended too, as long as there is one. */
int
vmi_logs (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_logs_args *in = args;
  struct vmi *vmi = self;
  struct hv_logs_args a = { 0 };
  struct vmi_vm *v = vmi_need (vmi, VMI_KIND_VMI, in->namespace, in->name, err);
  (void) call;
  if (v == NULL)
    return HV_E_NOT_FOUND;
  if (!v->run.exists || !v->seen.defined)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VirtualMachineInstance '%s/%s' is %s: it has no logs", in->namespace,
                       in->name, v->run.exists ? vmi_phase_words[v->run.phase] : "not started");
  const char *domain = hv_strdup (vmi->host, v->domain);
  if (domain == NULL)
    return vmi_no_memory (err);
  HV_CLEAN (vmi_vm) struct vmi_vm *held = vmi_vm_ref (v);
  HV_SET (&a, vm, domain);
  HV_SET (&a, source, in->source);
  HV_SET (&a, follow, in->follow);
  if (HV_HAS (in, tail))
    HV_SET (&a, tail, in->tail);
  return forward (vmi, held, "logs", &hv_logs_args_record, &a, &hv_stream_answer_record, result, err);
}

int
vmi_vnc (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_ref_args *in = args;
  struct hv_vm_ref a = { 0 };
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  const char *domain = NULL;
  (void) call;
  int r = find (self, in->namespace, in->name, &v, &domain, err);
  if (r < 0)
    return r;
  HV_SET (&a, vm, domain);
  return forward (self, v, "display", &hv_vm_ref_record, &a, &hv_stream_answer_record, result, err);
}

int
vmi_screenshot (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_screenshot_args *in = args;
  struct hv_screenshot_args a = { 0 };
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  const char *domain = NULL;
  (void) call;
  int r = find (self, in->namespace, in->name, &v, &domain, err);
  if (r < 0)
    return r;
  HV_SET (&a, vm, domain);
  HV_SET (&a, format, in->format);
  return forward (self, v, "screenshot", &hv_screenshot_args_record, &a, &hv_screenshot_record, result, err);
}
