/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading: lists and descriptions. */
#include "verbs.h"
#include <string.h>

HV_RECORD_TABLE (vmi_get_args, VMI_GET_ARGS, "arguments of get");
HV_RECORD_TABLE (vmi_ref_args, VMI_REF_ARGS, "names an object");

static int
is_listed (const struct vmi_vm *v, const struct vmi_get_args *a, uint32_t kind)
{
  if (kind == VMI_KIND_VM ? v->kind != VMI_KIND_VM : !v->run.exists)
    return 0;
  if (!a->all_namespaces && strcmp (v->namespace_, a->namespace) != 0)
    return 0;
  return !HV_HAS (a, name) || strcmp (v->name, a->name) == 0;
}

/* "namespace/name", the order of the list. */
int
vmi_is_after (struct vmi *vmi, const char *own_namespace, const char *name, const char *continue_from)
{
  const char *slash = strchr (continue_from, '/');
  char *namespace_ = slash != NULL ? hv_strdup (vmi->host, continue_from) : NULL;
  if (namespace_ == NULL)
    return 1;
  namespace_[slash - continue_from] = '\0';
  int c = strcmp (own_namespace, namespace_);
  return c > 0 || (c == 0 && strcmp (name, slash + 1) > 0);
}

/* The VMs to show, in the call's memory; *ret_more is where the next page begins, or NULL. */
static struct vmi_vm **
select_rows (struct vmi *vmi, const struct vmi_get_args *a, uint32_t kind, uint32_t *ret_count, char **ret_more)
{
  struct vmi_vm **rows = hv_alloc (vmi->host, (vmi->vm_count + 1) * sizeof (struct vmi_vm *));
  uint32_t n = 0;
  *ret_more = NULL;
  for (uint32_t i = 0; rows != NULL && i < vmi->vm_count; i++) {
    struct vmi_vm *v = vmi->vms[i];
    if (!is_listed (v, a, kind) || (HV_HAS (a, continue_from) && !vmi_is_after (vmi, v->namespace_, v->name, a->continue_from)))
      continue;
    if (n == a->limit) {
      *ret_more = hv_printf (vmi->host, "%s/%s", rows[n - 1]->namespace_, rows[n - 1]->name);
      break;
    }
    rows[n++] = v;
  }
  *ret_count = n;
  return rows;
}

static int
none (const struct vmi_get_args *a, uint32_t kind, uint32_t count, struct hv_err *err)
{
  if (count > 0 || !HV_HAS (a, name))
    return 0;
  return hv_err_set (err, HV_E_NOT_FOUND, "%s '%s/%s' does not exist", vmi_kind_words[kind], a->namespace, a->name);
}

int
vmi_get_vm (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  struct vmi_vm_list *ret = result;
  char *more;
  uint32_t n = 0;
  (void) call;
  vmi->host->api->cursor (vmi->host, &ret->epoch, &ret->seq);
  ret->has.epoch = ret->has.seq = 1;
  struct vmi_vm **rows = select_rows (vmi, args, VMI_KIND_VM, &n, &more);
  ret->items.items = hv_alloc (vmi->host, (n + 1) * sizeof *ret->items.items);
  if (rows == NULL || ret->items.items == NULL)
    return vmi_no_memory (err);
  int r = none (args, VMI_KIND_VM, n, err);
  for (; ret->items.count < n && r == 0; ret->items.count++)
    r = vmi_view_vm (rows[ret->items.count], &ret->items.items[ret->items.count], err);
  if (more != NULL)
    HV_SET (ret, continue_from, more);
  return r;
}

int
vmi_get_vmi (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  struct vmi_vmi_list *ret = result;
  char *more;
  uint32_t n = 0;
  (void) call;
  vmi->host->api->cursor (vmi->host, &ret->epoch, &ret->seq);
  ret->has.epoch = ret->has.seq = 1;
  struct vmi_vm **rows = select_rows (vmi, args, VMI_KIND_VMI, &n, &more);
  ret->items.items = hv_alloc (vmi->host, (n + 1) * sizeof *ret->items.items);
  if (rows == NULL || ret->items.items == NULL)
    return vmi_no_memory (err);
  int r = none (args, VMI_KIND_VMI, n, err);
  for (; ret->items.count < n && r == 0; ret->items.count++)
    r = vmi_view_instance (rows[ret->items.count], &ret->items.items[ret->items.count], err);
  if (more != NULL)
    HV_SET (ret, continue_from, more);
  return r;
}

int
vmi_describe_vm (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_ref_args *a = args;
  struct vmi_vm_description *ret = result;
  struct vmi_vm_view view = { 0 };
  struct vmi_vm *v = vmi_need (self, VMI_KIND_VM, a->namespace, a->name, err);
  (void) call;
  if (v == NULL)
    return HV_E_NOT_FOUND;
  int r = vmi_view_vm (v, &view, err);
  HV_SET (ret, apiVersion, view.apiVersion);
  HV_SET (ret, kind, view.kind);
  HV_SET (ret, metadata, view.metadata);
  HV_SET (ret, spec, view.spec);
  HV_SET (ret, status, view.status);
  HV_SET (ret, hvkit, view.hvkit);
  return r < 0 ? r : vmi_view_events (v, &ret->events.items, &ret->events.count, err);
}

int
vmi_describe_vmi (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_ref_args *a = args;
  struct vmi_vmi_description *ret = result;
  struct vmi_vmi_view view = { 0 };
  struct vmi_vm *v = vmi_need (self, VMI_KIND_VMI, a->namespace, a->name, err);
  (void) call;
  if (v == NULL)
    return HV_E_NOT_FOUND;
  if (!v->run.exists)
    return hv_err_set (err, HV_E_NOT_FOUND, "VirtualMachineInstance '%s/%s' has not been started yet", a->namespace, a->name);
  int r = vmi_view_instance (v, &view, err);
  HV_SET (ret, apiVersion, view.apiVersion);
  HV_SET (ret, kind, view.kind);
  HV_SET (ret, metadata, view.metadata);
  HV_SET (ret, spec, view.spec);
  HV_SET (ret, status, view.status);
  HV_SET (ret, hvkit, view.hvkit);
  return r < 0 ? r : vmi_view_events (v, &ret->events.items, &ret->events.count, err);
}
