/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* delete: the intent is written down, the guest is asked to shut down, and the answer comes when nothing is left. */
#include "verbs.h"
#include <string.h>

HV_RECORD_TABLE (vmi_delete_args, VMI_DELETE_ARGS, "arguments of delete");
HV_RECORD_TABLE (vmi_delete_file_args, VMI_DELETE_FILE_ARGS, "arguments of delete");

#define PROGRESS_MS 500u

struct vmi_vm *
vmi_need (struct vmi *vmi, uint32_t kind, const char *namespace_, const char *name, struct hv_err *err)
{
  struct vmi_vm *v = vmi_vm_find (vmi, namespace_, name);
  /* the instance of a VM has its name */
  if (v != NULL && (v->kind == kind || (kind == VMI_KIND_VMI && v->run.exists)))
    return v;
  (void) hv_err_set (err, HV_E_NOT_FOUND, "%s '%s/%s' does not exist", vmi_kind_words[kind], namespace_, name);
  return NULL;
}

static int
begin (struct vmi_vm *v, int64_t grace_s, struct hv_err *err)
{
  const char *backend;
  if (v->gone)
    return 0;
  if (v->backend == NULL) { /* its record was lost; it was wherever VMs go that name no backend */
    int r = vmi_backend_choose (v->vmi, NULL, &backend, err);
    if (r < 0)
      return r;
    if (vmi_text_set (&v->backend, backend) < 0)
      return vmi_no_memory (err);
  }
  int was = v->deleting, lost = v->broken;
  int64_t grace_was = v->grace_s;
  v->deleting = 1;
  v->broken = 0;
  if (grace_s >= 0)
    v->grace_s = grace_s;
  int r = lost ? 0 : vmi_store_save (v, err);
  if (r < 0) {
    v->deleting = (uint8_t) was;
    v->grace_s = grace_was;
  }
  return r;
}

int
vmi_delete_begin (struct vmi_vm *v, int64_t grace_s, struct hv_err *err)
{
  int r = vmi_lock (v->vmi, err);
  if (r < 0)
    return r;
  r = begin (v, grace_s, err);
  vmi_unlock (v->vmi);
  if (r < 0)
    return hv_err_wrap (err, r, "delete '%s/%s'", v->namespace_, v->name);
  vmi_status_update (v);
  vmi_reconcile_now (v);
  if (grace_s == 0 && vmi_vm_alive (v)) /* ends a shutdown that is under way */
    (void) vmi_backend_simple (v, "stop", NULL);
  return 0;
}

int
vmi_delete_wait (struct vmi_vm *v, struct hv_call *call, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  uint64_t begin_ms = h->api->now_ms (), grace_ms = vmi_grace_ms (v);
  while (!v->gone) {
    uint64_t passed = h->api->now_ms () - begin_ms;
    hv_progress (call, vmi_vm_alive (v) ? "shutdown" : "cleanup", passed < grace_ms ? passed : grace_ms, grace_ms, "ms");
    int r = h->api->cond_wait (h, v->changed, PROGRESS_MS, NULL);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return hv_err_set (err, r, "'%s/%s' is still being deleted%s%s", v->namespace_, v->name, v->failure != NULL ? ": " : "",
                         v->failure != NULL ? v->failure : "");
  }
  return 0;
}

static void
fill (struct vmi *vmi, uint32_t kind, const char *namespace_, const char *name, uint32_t result, struct vmi_outcome *out)
{
  HV_SET (out, object, hv_printf (vmi->host, "%s/%s", vmi_resource_words[kind], name));
  HV_SET (out, kind, kind);
  HV_SET (out, namespace, namespace_);
  HV_SET (out, name, name);
  HV_SET (out, result, result);
}

static int
read_grace (const struct vmi_delete_args *a, int64_t *ret, struct hv_err *err)
{
  if (a->grace_period_seconds < 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "grace_period_seconds: must not be negative");
  *ret = HV_HAS (a, grace_period_seconds) ? a->grace_period_seconds : -1;
  return 0;
}

int
vmi_delete_vm (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  const struct vmi_delete_args *a = args;
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  int64_t grace = -1;
  int r = read_grace (a, &grace, err);
  struct vmi_vm *found = r == 0 ? vmi_need (vmi, VMI_KIND_VM, a->namespace, a->name, err) : NULL;
  if (found == NULL)
    return r < 0 ? r : HV_E_NOT_FOUND;
  v = vmi_vm_ref (found);
  r = vmi_delete_begin (v, grace, err);
  if (r == 0 && a->wait)
    r = vmi_delete_wait (v, call, err);
  fill (vmi, VMI_KIND_VM, a->namespace, a->name, VMI_DELETED, result);
  return r;
}

/* An instance of a VM is the VM's to bring back, if its strategy says so. */
static int
end_instance (struct vmi_vm *v, int64_t grace, struct hv_err *err)
{
  uint32_t request = v->request;
  int r = vmi_lock (v->vmi, err);
  if (r < 0)
    return r;
  v->request = v->strategy == VMI_ALWAYS || v->strategy == VMI_RERUN_ON_FAILURE ? VMI_REQUEST_RESTART : VMI_REQUEST_STOP;
  if (grace >= 0)
    v->grace_s = grace;
  r = vmi_store_save (v, err);
  if (r < 0)
    v->request = request;
  vmi_unlock (v->vmi);
  if (r == 0)
    vmi_reconcile_now (v);
  if (r == 0 && grace == 0 && vmi_vm_alive (v))
    (void) vmi_backend_simple (v, "stop", NULL);
  return r;
}

static int
wait_for_end (struct vmi_vm *v, const char *uid, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  int r = 0;
  while (!v->gone && v->run.exists && strcmp (v->run.uid, uid) == 0 && (r == 0 || r == HV_E_DEADLINE_EXCEEDED))
    r = h->api->cond_wait (h, v->changed, PROGRESS_MS, NULL);
  return r == 0 || r == HV_E_DEADLINE_EXCEEDED ? 0 : hv_err_set (err, r, "'%s/%s' is still shutting down", v->namespace_, v->name);
}

int
vmi_delete_vmi (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  const struct vmi_delete_args *a = args;
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  char uid[VMI_UUID_TEXT];
  int64_t grace = -1;
  int r = read_grace (a, &grace, err);
  struct vmi_vm *found = r == 0 ? vmi_need (vmi, VMI_KIND_VMI, a->namespace, a->name, err) : NULL;
  if (found == NULL)
    return r < 0 ? r : HV_E_NOT_FOUND;
  v = vmi_vm_ref (found);
  memcpy (uid, v->run.uid, sizeof uid);
  int own = v->kind == VMI_KIND_VMI;
  r = own ? vmi_delete_begin (v, grace, err) : end_instance (v, grace, err);
  if (r == 0 && a->wait)
    r = own ? vmi_delete_wait (v, call, err) : wait_for_end (v, uid, err);
  fill (vmi, VMI_KIND_VMI, a->namespace, a->name, VMI_DELETED, result);
  return r;
}

/* --- what no machine comes of --- */

static int
spec_uses (const struct vmi_spec *s, const char *claim)
{
  for (uint32_t i = 0; i < s->volumes.count; i++) {
    const struct vmi_volume *v = &s->volumes.items[i];
    if ((HV_HAS (v, persistentVolumeClaim) && strcmp (v->persistentVolumeClaim.claimName, claim) == 0)
        || (HV_HAS (v, ephemeral) && strcmp (v->ephemeral.persistentVolumeClaim.claimName, claim) == 0))
      return 1;
  }
  return 0;
}

static int
is_used (struct vmi_vm *v, const char *claim)
{
  struct hv_host *h = v->vmi->host;
  uint64_t mark = h->api->scope_mark (h);
  struct vmi_virtual_machine *o = hv_alloc (h, sizeof *o);
  struct vmi_spec *s = hv_alloc (h, sizeof *s);
  int used = o == NULL || s == NULL || v->broken; /* whoever cannot be asked may use it */
  if (!used)
    used = vmi_vm_object (v, o, NULL) < 0 || spec_uses (&o->spec.template.spec, claim);
  if (!used && v->run.exists)
    used = vmi_run_spec (v, s, NULL) < 0 || spec_uses (s, claim);
  h->api->scope_release (h, mark);
  return used;
}

static int
remove_claim_file (struct vmi *vmi, const struct vmi_item *c, struct hv_err *err)
{
  for (uint32_t i = 0; i < vmi->vm_count; i++)
    if (strcmp (vmi->vms[i]->namespace_, c->namespace_) == 0 && is_used (vmi->vms[i], c->name))
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "PersistentVolumeClaim '%s/%s' is used by '%s'", c->namespace_, c->name,
                         vmi->vms[i]->name);
  return vmi_volumes_remove_claim (vmi, c, err);
}

static int
remove_item (struct vmi *vmi, uint32_t kind, const char *namespace_, const char *name, struct hv_err *err)
{
  struct vmi_item *it = vmi_item_find (vmi, kind, namespace_, name);
  if (it == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "%s '%s/%s' does not exist", vmi_kind_words[kind], namespace_, name);
  int r = kind == VMI_KIND_CLAIM ? remove_claim_file (vmi, it, err) : 0;
  return r < 0 ? r : vmi_item_delete (vmi, it, err);
}

static int
delete_item (struct vmi *vmi, uint32_t kind, const char *namespace_, const char *name, struct hv_err *err)
{
  int r = vmi_lock (vmi, err);
  if (r < 0)
    return r;
  r = remove_item (vmi, kind, namespace_, name, err);
  vmi_unlock (vmi);
  return r;
}

int
vmi_delete_pvc (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_ref_args *a = args;
  (void) call;
  fill (self, VMI_KIND_CLAIM, a->namespace, a->name, VMI_DELETED, result);
  return delete_item (self, VMI_KIND_CLAIM, a->namespace, a->name, err);
}

/* What runs has its copy of them; the next start of a VM that names one fails, and says so. */
int
vmi_delete_secret (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_ref_args *a = args;
  (void) call;
  fill (self, VMI_KIND_SECRET, a->namespace, a->name, VMI_DELETED, result);
  return delete_item (self, VMI_KIND_SECRET, a->namespace, a->name, err);
}

int
vmi_delete_config_map (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct vmi_ref_args *a = args;
  (void) call;
  fill (self, VMI_KIND_CONFIG_MAP, a->namespace, a->name, VMI_DELETED, result);
  return delete_item (self, VMI_KIND_CONFIG_MAP, a->namespace, a->name, err);
}

/* --- a file's objects --- */

static int
delete_vms (struct vmi *vmi, const struct vmi_manifest *m, int64_t grace, struct hv_call *call, struct vmi_outcomes *ret,
            struct hv_err *err)
{
  struct vmi_vm **held = hv_alloc (vmi->host, m->count * sizeof (struct vmi_vm *));
  int r = held != NULL ? 0 : vmi_no_memory (err);
  for (uint32_t i = 0; i < m->count && r == 0; i++) {
    const struct vmi_object *o = &m->objects[i];
    struct vmi_vm *v = vmi_object_is_machine (o) ? vmi_vm_find (vmi, o->namespace_, o->name) : NULL;
    fill (vmi, o->kind, o->namespace_, o->name, VMI_NOT_FOUND, &ret->items.items[i]);
    if (v == NULL || v->kind != o->kind)
      continue;
    held[i] = vmi_vm_ref (v);
    r = vmi_delete_begin (v, grace, err);
  }
  for (uint32_t i = 0; i < m->count && held != NULL; i++) {
    if (held[i] == NULL)
      continue;
    if (r == 0)
      r = vmi_delete_wait (held[i], call, err);
    vmi_vm_unref (held[i]);
    HV_SET (&ret->items.items[i], result, VMI_DELETED);
  }
  return r;
}

static int
delete_items (struct vmi *vmi, const struct vmi_manifest *m, struct vmi_outcomes *ret, struct hv_err *err)
{
  for (uint32_t i = 0; i < m->count; i++) {
    const struct vmi_object *o = &m->objects[i];
    if (vmi_object_is_machine (o))
      continue;
    int r = delete_item (vmi, o->kind, o->namespace_, o->name, err);
    if (r < 0 && r != HV_E_NOT_FOUND)
      return r;
    if (r == 0)
      HV_SET (&ret->items.items[i], result, VMI_DELETED);
  }
  return 0;
}

int
vmi_delete (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  const struct vmi_delete_file_args *a = args;
  struct vmi_outcomes *ret = result;
  struct vmi_manifest m;
  uint32_t found = 0;
  if (a->grace_period_seconds < 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "grace_period_seconds: must not be negative");
  int r = vmi_manifest_read (vmi->host, a->manifest, a->namespace, &m, err);
  if (r < 0)
    return r;
  ret->items.items = hv_alloc (vmi->host, m.count * sizeof *ret->items.items);
  ret->items.count = m.count;
  if (ret->items.items == NULL)
    return vmi_no_memory (err);
  r = delete_vms (vmi, &m, HV_HAS (a, grace_period_seconds) ? a->grace_period_seconds : -1, call, ret, err);
  if (r == 0)
    r = delete_items (vmi, &m, ret, err);
  for (uint32_t i = 0; i < m.count; i++)
    found += ret->items.items[i].result == VMI_DELETED;
  return r < 0 || found > 0 ? r : hv_err_set (err, HV_E_NOT_FOUND, "none of the manifest's objects exists");
}
