/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* apply: everything in the file is checked before anything is changed; then each object is stored, machines last. The answer
 * comes when intent is durable. What it takes to get there is the reconciler's work, and begins at once. */
#include "verbs.h"
#include <string.h>

const char *const vmi_result_words[] = { "created", "configured", "unchanged", "deleted", "not found", NULL };
HV_RECORD_TABLE (vmi_apply_args, VMI_APPLY_ARGS, "arguments of apply");
HV_RECORD_TABLE (vmi_outcome, VMI_OUTCOME, "what came of an object");
HV_RECORD_TABLE (vmi_outcomes, VMI_OUTCOMES, "what came of the objects");

/* --- checks --- */

static int
check_existing (struct vmi *vmi, const struct vmi_object *o, struct hv_err *err)
{
  const struct vmi_vm *v = vmi_vm_find (vmi, o->namespace_, o->name);
  if (v == NULL || v->broken)
    return 0;
  if (v->deleting)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s/%s' is being deleted", o->namespace_, o->name);
  if (v->kind == o->kind)
    return 0;
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s/%s' is there as a %s already", o->namespace_, o->name,
                     vmi_kind_words[v->kind]);
}

static int
is_there (struct vmi *vmi, const struct vmi_manifest *m, const char *namespace_, const struct vmi_reference *ref)
{
  for (uint32_t i = 0; i < m->count; i++)
    if (m->objects[i].kind == ref->kind && strcmp (m->objects[i].name, ref->name) == 0
        && strcmp (m->objects[i].namespace_, namespace_) == 0)
      return 1;
  return vmi_item_find (vmi, ref->kind, namespace_, ref->name) != NULL;
}

static int
check_references (struct vmi *vmi, const struct vmi_object *o, const struct vmi_manifest *m, struct hv_err *err)
{
  struct vmi_reference *refs;
  uint32_t n = 0;
  int r = vmi_spec_references (vmi->host, &o->vm.spec.template.spec, &refs, &n, err);
  for (uint32_t i = 0; i < n && r == 0; i++) {
    if (refs[i].optional || is_there (vmi, m, o->namespace_, &refs[i]))
      continue;
    char *path = hv_printf (vmi->host, "%s.%s", vmi_object_prefix (o), refs[i].path);
    r = hv_err_set (err, HV_E_NOT_FOUND, "%s: there is no %s '%s/%s': add it to the file, or apply it before", path,
                    vmi_kind_words[refs[i].kind], o->namespace_, refs[i].name);
    hv_err_data (err, "path", path);
  }
  return r;
}

static int
check_vm (struct vmi *vmi, const struct vmi_object *o, const struct vmi_manifest *m, struct hv_err *err)
{
  const struct vmi_spec *s = &o->vm.spec.template.spec;
  const struct hv_map *annotations = &o->vm.metadata.annotations;
  struct vmi_volume_plan *plans;
  const char *backend;
  int r = vmi_spec_check (s, vmi_object_prefix (o), annotations, &vmi->node, err);
  if (r == 0)
    r = check_existing (vmi, o, err);
  if (r == 0)
    r = vmi_spec_volumes (vmi->host, vmi->state_dir, o->namespace_, o->name, s, annotations, &plans, err);
  if (r == 0)
    r = vmi_volumes_check (vmi, plans, s->volumes.count, o->namespace_, m, err);
  if (r == 0)
    r = check_references (vmi, o, m, err);
  return r < 0 ? r : vmi_backend_choose (vmi, vmi_map_get (annotations, VMI_ANNOTATION_BACKEND), &backend, err);
}

static int
check_all (struct vmi *vmi, const struct vmi_manifest *m, struct hv_err *err)
{
  int r = 0;
  for (uint32_t i = 0; i < m->count && r == 0; i++) {
    const struct vmi_object *o = &m->objects[i];
    uint64_t bytes;
    r = vmi_object_is_machine (o) ? check_vm (vmi, o, m, err) : vmi_item_check (vmi, o, &bytes, err);
    if (r < 0)
      return hv_err_wrap (err, vmi_manifest_place (m, o, r, err), "manifest");
  }
  return r;
}

/* --- VMs --- */

static int
set_backend (struct vmi_vm *v, const struct vmi_object *o, struct hv_err *err)
{
  const char *backend;
  int r = vmi_backend_choose (v->vmi, vmi_map_get (&o->vm.metadata.annotations, VMI_ANNOTATION_BACKEND), &backend, err);
  return r < 0 ? r : vmi_text_set (&v->backend, backend) < 0 ? vmi_no_memory (err) : 0;
}

static int
create_vm (struct vmi *vmi, const struct vmi_object *o, struct hv_err *err)
{
  HV_CLEAN (vmi_vm) struct vmi_vm *v = vmi_vm_new (vmi, o->namespace_, o->name, err);
  if (v == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  v->kind = o->kind;
  v->created_ms = vmi_wall_ms ();
  v->generation = 1;
  int r = vmi_uuid_random (v->uid, err);
  if (r == 0)
    r = vmi_vm_take_object (v, &o->vm, err);
  if (r == 0)
    r = set_backend (v, o, err);
  if (r == 0)
    r = vmi_store_save (v, err);
  if (r == 0)
    r = vmi_vm_add (v, err);
  if (r < 0)
    return r;
  vmi_publish (v, "ADDED");
  vmi_note (v, 0, "Created", "on backend '%s'", v->backend);
  vmi_reconcile (v);
  return 0;
}

/* What was kept in memory is put back if it cannot be written down. */
static int
change_vm (struct vmi_vm *v, const struct vmi_object *o, struct hv_err *err)
{
  struct vmi_bytes old = v->object;
  uint32_t strategy = v->strategy, request = v->request;
  v->object = (struct vmi_bytes){ NULL, 0 };
  int r = vmi_vm_take_object (v, &o->vm, err);
  v->generation++;
  if (v->strategy != strategy)
    v->request = VMI_REQUEST_NONE;
  if (r == 0)
    r = vmi_store_save (v, err);
  if (r < 0) {
    vmi_bytes_clear (&v->object);
    v->object = old;
    v->strategy = strategy;
    v->request = request;
    v->generation--;
    return r;
  }
  vmi_bytes_clear (&old);
  vmi_note (v, 0, "Updated", "generation %llu", (unsigned long long) v->generation);
  vmi_status_update (v);
  vmi_reconcile_now (v);
  return 0;
}

static int
replace_broken (struct vmi_vm *v, const struct vmi_object *o, struct hv_err *err)
{
  int r = set_backend (v, o, err);
  if (r == 0 && v->uid[0] == '\0')
    r = vmi_uuid_random (v->uid, err);
  v->broken = 0;
  v->kind = o->kind;
  r = r < 0 ? r : change_vm (v, o, err);
  v->broken = r < 0;
  return r;
}

static int
apply_vm (struct vmi *vmi, const struct vmi_object *o, int dry_run, uint32_t *ret, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  HV_CLEAN (vmi_vm) struct vmi_vm *v = NULL;
  struct vmi_vm *found = vmi_vm_find (vmi, o->namespace_, o->name);
  struct hv_bin object;
  if (found != NULL)
    v = vmi_vm_ref (found);
  int r = h->api->encode (h, &vmi_virtual_machine_record, &o->vm, &object, err);
  if (r < 0)
    return r;
  int same = v != NULL && v->object.size == object.size && memcmp (v->object.data, object.data, object.size) == 0;
  *ret = v == NULL ? VMI_CREATED : same ? VMI_UNCHANGED : VMI_CONFIGURED;
  if (v != NULL && !same && v->kind == VMI_KIND_VMI && !v->broken)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "an instance cannot be changed (%s); delete it first",
                       vmi_diff (h, vmi_bytes_bin (&v->object), object));
  if (dry_run || same)
    return 0;
  if (v == NULL)
    return create_vm (vmi, o, err);
  return v->broken ? replace_broken (v, o, err) : change_vm (v, o, err);
}

static int
apply_one (struct vmi *vmi, const struct vmi_object *o, int dry_run, struct vmi_outcome *out, struct hv_err *err)
{
  uint32_t result = VMI_UNCHANGED;
  int r = vmi_object_is_machine (o) ? apply_vm (vmi, o, dry_run, &result, err) : vmi_item_apply (vmi, o, dry_run, &result, err);
  if (r < 0)
    return hv_err_wrap (err, r, "%s '%s/%s'", vmi_kind_words[o->kind], o->namespace_, o->name);
  HV_SET (out, object, hv_printf (vmi->host, "%s/%s", vmi_resource_words[o->kind], o->name));
  HV_SET (out, kind, o->kind);
  HV_SET (out, namespace, o->namespace_);
  HV_SET (out, name, o->name);
  HV_SET (out, result, result);
  return 0;
}

/* Machines last: they need what is beside them. */
static int
apply_all (struct vmi *vmi, const struct vmi_manifest *m, int dry_run, struct vmi_outcomes *ret, struct hv_err *err)
{
  int r = check_all (vmi, m, err);
  for (int machines = 0; machines <= 1; machines++)
    for (uint32_t i = 0; i < m->count && r == 0; i++)
      if (vmi_object_is_machine (&m->objects[i]) == machines)
        r = apply_one (vmi, &m->objects[i], dry_run, &ret->items.items[i], err);
  return r;
}

static void
run_once (struct vmi_manifest *m)
{
  for (uint32_t i = 0; i < m->count; i++) {
    struct vmi_vm_spec *s = &m->objects[i].vm.spec;
    s->has.running = 0;
    HV_SET (s, runStrategy, VMI_ONCE);
  }
}

int
vmi_apply (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  const struct vmi_apply_args *a = args;
  struct vmi_outcomes *ret = result;
  struct vmi_manifest m;
  (void) call;
  int r = vmi_manifest_read (vmi->host, a->manifest, a->namespace, &m, err);
  if (r < 0)
    return r;
  if (a->once)
    run_once (&m);
  ret->items.items = hv_alloc (vmi->host, m.count * sizeof *ret->items.items);
  ret->items.count = m.count;
  if (ret->items.items == NULL)
    return vmi_no_memory (err);
  r = vmi_lock (vmi, err);
  if (r < 0)
    return r;
  r = apply_all (vmi, &m, a->dry_run, ret, err);
  vmi_unlock (vmi);
  return r;
}
