/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From an object to a running machine. Every step may be done again after a crash: paths follow from names, and definitions
 * replace each other. */
#include "vmi.h"
#include <string.h>

/* An instance made from the object as it is now. Nothing outside memory is touched. */
int
vmi_new_run (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct vmi_virtual_machine o;
  struct hv_bin template, spec;
  int r = vmi_vm_object (v, &o, err);
  if (r == 0)
    r = h->api->encode (h, &vmi_template_record, &o.spec.template, &template, err);
  if (r == 0)
    r = vmi_spec_defaults (h, &o.spec.template.spec, &v->vmi->node, v->kind == VMI_KIND_VM ? v->name : NULL, err);
  if (r == 0)
    r = h->api->encode (h, &vmi_spec_record, &o.spec.template.spec, &spec, err);
  struct vmi_run run = { .exists = 1 };
  if (r == 0)
    r = vmi_uuid_random (run.uid, err);
  if (r == 0 && (vmi_bytes_set (&run.template_, template) < 0 || vmi_bytes_set (&run.spec, spec) < 0))
    r = vmi_no_memory (err);
  if (r < 0) {
    vmi_run_clear (&run);
    return r;
  }
  run.created_ms = vmi_wall_ms ();
  vmi_run_clear (&v->run);
  v->run = run;
  vmi_vm_phase (v, VMI_PENDING);
  return 0;
}

/* The annotations that count are the VM's; an instance on its own has only one set. */
static int
read_run (struct vmi_vm *v, struct vmi_virtual_machine *o, struct vmi_spec *s, struct vmi_volume_plan **plans, struct hv_err *err)
{
  int r = vmi_vm_object (v, o, err);
  if (r == 0)
    r = vmi_run_spec (v, s, err);
  return r < 0
             ? r
             : vmi_spec_volumes (v->vmi->host, v->vmi->state_dir, v->namespace_, v->name, s, &o->metadata.annotations, plans, err);
}

/* While nothing of it runs, a VM may move to another backend; what it left behind at the old one goes first. */
static int
choose_backend (struct vmi_vm *v, const struct vmi_virtual_machine *o, struct hv_err *err)
{
  const char *backend = NULL;
  int r = vmi_backend_choose (v->vmi, vmi_map_get (&o->metadata.annotations, VMI_ANNOTATION_BACKEND), &backend, err);
  if (r < 0 || strcmp (backend, v->backend) == 0)
    return r;
  if (v->seen.defined && (r = vmi_backend_undefine (v, err)) < 0)
    return r;
  if (vmi_text_set (&v->backend, backend) < 0)
    return vmi_no_memory (err);
  return vmi_store_save (v, err);
}

int
vmi_start_run (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct vmi_virtual_machine *o = hv_alloc (h, sizeof *o);
  struct vmi_spec *s = hv_alloc (h, sizeof *s);
  struct hv_machine *m = hv_alloc (h, sizeof *m);
  struct vmi_volume_plan *plans = NULL;
  struct vmi_boot_files boot = { NULL, NULL };
  if (o == NULL || s == NULL || m == NULL)
    return vmi_no_memory (err);
  int r = read_run (v, o, s, &plans, err);
  if (r == 0)
    r = choose_backend (v, o, err);
  if (r == 0)
    r = vmi_memory_admit (v, err);
  if (r == 0)
    vmi_vm_phase (v, VMI_SCHEDULING);
  if (r == 0)
    r = vmi_volumes_prepare (v, s, plans, err);
  if (r == 0)
    r = vmi_image_pull_kernel (v, &s->domain.firmware.kernelBoot, &boot, err);
  if (r == 0)
    vmi_vm_phase (v, VMI_SCHEDULED);
  if (r == 0)
    r = vmi_spec_machine (h, v->domain, s, plans, &boot, m, err);
  if (r == 0)
    r = vmi_network_attach (v, o, s, m, err);
  if (r == 0)
    r = vmi_backend_define (v, m, err);
  if (r == 0)
    r = vmi_backend_start (v, HV_HAS (s, startStrategy), err);
  return r;
}
