/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls of the hypervisor instance that a VM belongs to. */
#include "vmi.h"
#include <hvkit/providers.h>
#include <stdio.h>
#include <string.h>

#define START_MS           120000u
#define SHUTDOWN_MARGIN_MS 60000u

int
vmi_provider_choose (struct vmi *vmi, const struct hv_iface *iface, const char *named, const char *key, const char *does,
                     const char *plugin, const char **ret, struct hv_err *err)
{
  struct hv_strs all = { NULL, 0 };
  int r = hv_providers (vmi->host, iface->name, &all, err);
  if (r < 0)
    return r;
  for (uint32_t i = 0; i < all.count; i++)
    if (named != NULL ? strcmp (all.items[i], named) == 0 : all.count == 1) {
      *ret = all.items[i];
      return 0;
    }
  if (named != NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "the configuration of vmi names '%s', and no running plugin instance of that name %s", named, does);
  if (all.count == 0)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "no running plugin provides %s: %s does", iface->name, plugin);
  return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                     "several plugins do what %s does ('%s', '%s' …): name one in the configuration of vmi (%s)", plugin,
                     all.items[0], all.items[1], key);
}

int
vmi_backend_list (struct vmi *vmi, struct hv_strs *ret, struct hv_err *err)
{
  return hv_providers (vmi->host, hv_iface_hypervisor.name, ret, err);
}

static int
check_provider (const struct hv_strs *all, const char *name, const char *who, struct hv_err *err)
{
  for (uint32_t i = 0; i < all->count; i++)
    if (strcmp (all->items[i], name) == 0)
      return 0;
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "%s names '%s', and no running plugin instance of that name drives machines",
                     who, name);
}

int
vmi_backend_choose (struct vmi *vmi, const char *annotation, const char **ret, struct hv_err *err)
{
  struct hv_strs all = { NULL, 0 };
  int configured = vmi->config != NULL && HV_HAS (vmi->config, backend);
  int r = vmi_backend_list (vmi, &all, err);
  if (r < 0)
    return r;
  if (annotation != NULL || configured) {
    const char *name = annotation != NULL ? annotation : vmi->config->backend;
    r = check_provider (&all, name,
                        annotation != NULL ? "metadata.annotations." VMI_ANNOTATION_BACKEND : "the configuration of vmi", err);
    if (r == 0)
      *ret = name;
    return r;
  }
  if (all.count == 0)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "no running plugin provides hypervisor/1");
  if (all.count > 1)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "several plugins drive machines ('%s', '%s' …): name one in the annotation " VMI_ANNOTATION_BACKEND,
                       all.items[0], all.items[1]);
  *ret = all.items[0];
  return 0;
}

/* --- verbs --- */

static int
call (struct vmi_vm *v, const char *verb, const struct hv_record *args_rec, const void *args, struct hv_vm *result,
      uint32_t timeout_ms, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct hv_call_options o = { .struct_size = sizeof o, .timeout_ms = timeout_ms };
  char method[128];
  (void) snprintf (method, sizeof method, "%s.%s", v->backend, verb);
  return h->api->call (h, method, args_rec, args, result != NULL ? &hv_vm_record : NULL, result, &o, err);
}

static int
call_ref (struct vmi_vm *v, const char *verb, struct hv_vm *result, struct hv_err *err)
{
  struct hv_vm_ref ref = { 0 };
  HV_SET (&ref, vm, v->domain);
  return call (v, verb, &hv_vm_ref_record, &ref, result, 0, err);
}

static int
saw (struct vmi_vm *v, const struct hv_vm *vm, struct hv_err *err)
{
  struct vmi_seen *s = &v->seen;
  s->known = s->defined = 1;
  s->state = vm->state;
  s->agent = vm->agent_connected;
  s->memory_bytes = vm->memory_bytes;
  if (vmi_text_set (&s->reason, vm->reason) < 0 || vmi_text_set (&s->detail, vm->detail) < 0
      || vmi_text_set (&s->accel, vm->accel) < 0 || vmi_text_set (&s->machine, vm->machine) < 0)
    return vmi_no_memory (err);
  return 0;
}

static void
saw_nothing (struct vmi_vm *v)
{
  v->seen.known = 1;
  v->seen.defined = v->seen.agent = 0;
  v->seen.state = HV_VM_STOPPED;
  (void) vmi_text_set (&v->seen.reason, NULL);
  (void) vmi_text_set (&v->seen.detail, NULL);
}

/* The bus says NOT_FOUND for an instance that is not running, too; that is no news about its VMs. */
static int
backend_answers (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_list_args a = { 0 };
  struct hv_host *h = v->vmi->host;
  struct hv_vm_list list;
  char method[128];
  HV_SET (&a, limit, 1);
  (void) snprintf (method, sizeof method, "%s.list", v->backend);
  int r = hv_call_method (h, method, hv_list_args, &a, hv_vm_list, &list, err);
  return r == HV_E_NOT_FOUND ? hv_err_set (err, HV_E_UNAVAILABLE, "'%s' is not running", v->backend) : r;
}

int
vmi_backend_observe (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_vm vm;
  int r = call_ref (v, "get", &vm, err);
  if (r == HV_E_NOT_FOUND) {
    r = backend_answers (v, err);
    if (r == 0)
      r = call_ref (v, "get", &vm, err);
  }
  if (r == HV_E_NOT_FOUND) {
    saw_nothing (v);
    return 0;
  }
  return r < 0 ? hv_err_wrap (err, r, "ask '%s' about VM '%s'", v->backend, v->domain) : saw (v, &vm, err);
}

int
vmi_backend_define (struct vmi_vm *v, const struct hv_machine *m, struct hv_err *err)
{
  struct hv_define_args a = { 0 };
  HV_SET (&a, vm, v->domain);
  HV_SET (&a, machine, *m);
  HV_SET (&a, replace, 1);
  int r = call (v, "define", &hv_define_args_record, &a, NULL, 0, err);
  if (r == 0)
    v->seen.defined = 1;
  return r;
}

int
vmi_backend_start (struct vmi_vm *v, int paused, struct hv_err *err)
{
  struct hv_start_args a = { 0 };
  struct hv_vm vm;
  HV_SET (&a, vm, v->domain);
  if (paused)
    HV_SET (&a, paused, 1);
  int r = call (v, "start", &hv_start_args_record, &a, &vm, START_MS, err);
  return r < 0 ? r : saw (v, &vm, err);
}

int
vmi_backend_shutdown (struct vmi_vm *v, uint64_t grace_ms, struct hv_err *err)
{
  struct hv_shutdown_args a = { 0 };
  struct hv_vm vm;
  if (grace_ms == 0)
    return vmi_backend_simple (v, "stop", err);
  HV_SET (&a, vm, v->domain);
  HV_SET (&a, mode, HV_SHUTDOWN_ACPI);
  HV_SET (&a, grace_ms, grace_ms);
  int r = call (v, "shutdown", &hv_shutdown_args_record, &a, &vm, (uint32_t) grace_ms + SHUTDOWN_MARGIN_MS, err);
  return r < 0 ? r : saw (v, &vm, err);
}

int
vmi_backend_undefine (struct vmi_vm *v, struct hv_err *err)
{
  int r = call_ref (v, "undefine", NULL, err);
  if (r == HV_E_NOT_FOUND)
    r = backend_answers (v, err);
  if (r == 0)
    saw_nothing (v);
  return r;
}

int
vmi_backend_simple (struct vmi_vm *v, const char *verb, struct hv_err *err)
{
  struct hv_vm vm;
  int r = call_ref (v, verb, &vm, err);
  return r < 0 ? r : saw (v, &vm, err);
}
