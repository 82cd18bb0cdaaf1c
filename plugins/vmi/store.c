/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Documents: "vm_<namespace>_<name>", and those of items.c. A name has no '_', so a key is read back without doubt. */
#include "vmi.h"
#include <stdio.h>
#include <string.h>

#define SAVE_WAIT_MS 600000u

static void
fill_run (const struct vmi_vm *v, struct vmi_document *d)
{
  const struct vmi_run *run = &v->run;
  if (!run->exists)
    return;
  d->has.run = 1;
  HV_SET (&d->run, uid, run->uid);
  HV_SET (&d->run, created_ms, run->created_ms);
  HV_SET (&d->run, phase, run->phase);
  d->run.transitions.items = (struct vmi_transition *) (uintptr_t) run->transitions;
  d->run.transitions.count = run->transition_count;
  d->run.has.transitions = 1;
  HV_SET (&d->run, template, vmi_bytes_bin (&run->template_));
  HV_SET (&d->run, spec, vmi_bytes_bin (&run->spec));
  if (run->stop_ms != 0)
    HV_SET (&d->run, stop_ms, run->stop_ms);
  if (run->network.size > 0)
    HV_SET (&d->run, network, vmi_bytes_bin (&run->network));
  d->run.checksums.items = run->checksums;
  d->run.checksums.count = run->checksum_count;
  d->run.has.checksums = run->checksum_count > 0;
}

static void
fill (const struct vmi_vm *v, struct vmi_document *d)
{
  HV_SET (d, kind, v->kind);
  HV_SET (d, uid, v->uid);
  HV_SET (d, created_ms, v->created_ms);
  HV_SET (d, generation, v->generation);
  HV_SET (d, object, vmi_bytes_bin (&v->object));
  HV_SET (d, backend, v->backend);
  HV_SET (d, request, v->request);
  HV_SET (d, ran, v->ran);
  HV_SET (d, deleting, v->deleting);
  if (v->grace_s >= 0)
    HV_SET (d, grace_s, v->grace_s);
  fill_run (v, d);
}

/* Writers take turns, so that what is written last is what is newest. */
static int
writer_begin (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  int r = 0;
  while (v->saving && r == 0)
    r = h->api->cond_wait (h, v->changed, SAVE_WAIT_MS, err);
  if (r == 0)
    v->saving = 1;
  return r;
}

static void
writer_end (struct vmi_vm *v)
{
  v->saving = 0;
  vmi_vm_wake (v);
}

int
vmi_store_save (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  int r = writer_begin (v, err);
  if (r < 0)
    return r;
  struct vmi_document d = { 0 };
  fill (v, &d);
  /* after its deletion nothing may bring the document back */
  r = v->gone ? hv_err_set (err, HV_E_NOT_FOUND, "'%s/%s' was deleted", v->namespace_, v->name)
              : h->api->store_put (h, v->key, &vmi_document_record, &d, err);
  writer_end (v);
  return r;
}

int
vmi_store_delete (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  int r = writer_begin (v, err);
  if (r < 0)
    return r;
  r = h->api->store_delete (h, v->key, err);
  if (r == 0)
    v->gone = 1;
  writer_end (v);
  return r;
}

/* --- reading back --- */

static int
take_run (struct vmi_vm *v, const struct vmi_run_document *d)
{
  struct vmi_run *run = &v->run;
  uint32_t room = sizeof run->transitions / sizeof *run->transitions;
  run->exists = 1;
  run->phase = d->phase;
  run->created_ms = d->created_ms;
  run->stop_ms = d->stop_ms;
  (void) snprintf (run->uid, sizeof run->uid, "%s", d->uid);
  for (uint32_t i = 0; i < d->transitions.count && i < room; i++)
    run->transitions[run->transition_count++] = d->transitions.items[i];
  run->checksums = d->checksums.count > 0 ? malloc (d->checksums.count * sizeof *run->checksums) : NULL;
  if (d->checksums.count > 0 && run->checksums == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  if (d->checksums.count > 0)
    memcpy (run->checksums, d->checksums.items, d->checksums.count * sizeof *run->checksums);
  run->checksum_count = d->checksums.count;
  if (HV_HAS (d, network) && vmi_bytes_set (&run->network, d->network) < 0)
    return HV_E_RESOURCE_EXHAUSTED;
  return vmi_bytes_set (&run->template_, d->template) < 0 || vmi_bytes_set (&run->spec, d->spec) < 0 ? HV_E_RESOURCE_EXHAUSTED : 0;
}

static int
take (struct vmi_vm *v, const struct vmi_document *d, struct hv_err *err)
{
  struct vmi_virtual_machine o;
  v->kind = d->kind;
  v->created_ms = d->created_ms;
  v->generation = d->generation;
  v->request = d->request;
  v->ran = d->ran;
  v->deleting = d->deleting;
  v->grace_s = HV_HAS (d, grace_s) ? d->grace_s : -1;
  (void) snprintf (v->uid, sizeof v->uid, "%s", d->uid);
  if (vmi_bytes_set (&v->object, d->object) < 0 || vmi_text_set (&v->backend, d->backend) < 0
      || (HV_HAS (d, run) && take_run (v, &d->run) < 0))
    return vmi_no_memory (err);
  int r = vmi_vm_object (v, &o, err);
  return r < 0 ? hv_err_wrap (err, HV_E_DATA_LOSS, "its object") : vmi_vm_take_object (v, &o, err);
}

/* A record that cannot be read is a VM that is shown and left alone. */
static void
take_broken (struct vmi_vm *v, const struct hv_err *err)
{
  v->broken = 1;
  v->kind = VMI_KIND_VM;
  v->created_ms = vmi_wall_ms ();
  (void) vmi_text_set (&v->failure, hv_err_message (err));
  v->failure_code = HV_E_DATA_LOSS;
  hv_log (v->vmi->host, HV_LOG_ERROR, "VM '%s/%s' is shown as unknown: %s", v->namespace_, v->name, hv_err_message (err));
}

static int
load_vm (struct vmi *vmi, const char *namespace_, const char *name, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct vmi_document d = { 0 };
  HV_CLEAN (vmi_vm) struct vmi_vm *v = vmi_vm_new (vmi, namespace_, name, err);
  if (v == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  int r = h->api->store_get (h, v->key, &vmi_document_record, &d, err);
  if (r == 0)
    r = take (v, &d, err);
  if (r == HV_E_DATA_LOSS)
    take_broken (v, err);
  else if (r < 0)
    return r;
  return vmi_vm_add (v, err);
}

static int
load_key (struct vmi *vmi, const char *key, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  char *copy = hv_strdup (h, key);
  char *namespace_ = copy != NULL ? strchr (copy, '_') : NULL, *name = namespace_ != NULL ? strchr (namespace_ + 1, '_') : NULL;
  if (copy == NULL)
    return vmi_no_memory (err);
  if (name == NULL) {
    hv_log (h, HV_LOG_WARNING, "document '%s' is not of this plugin", key);
    return 0;
  }
  *namespace_++ = '\0';
  *name++ = '\0';
  if (strcmp (copy, "vm") == 0)
    return load_vm (vmi, namespace_, name, err);
  int r = vmi_item_load (vmi, copy, namespace_, name, err);
  if (r != HV_E_NOT_FOUND)
    return r;
  hv_log (h, HV_LOG_WARNING, "document '%s' is not of this plugin", key);
  return 0;
}

int
vmi_store_load (struct vmi *vmi, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct hv_strs keys = { NULL, 0 };
  int r = h->api->store_list (h, &keys, err);
  for (uint32_t i = 0; i < keys.count && r == 0; i++)
    r = load_key (vmi, keys.items[i], err);
  return r;
}
