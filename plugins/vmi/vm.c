/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VMs in memory: the list, references, and what is encoded in them. */
#include "vmi.h"
#include <string.h>

const char *const vmi_phase_words[] = { "Pending", "Scheduling", "Scheduled", "Running", "Succeeded", "Failed", "Unknown", NULL };
const char *const vmi_request_words[] = { "none", "start", "stop", "restart", NULL };

HV_RECORD_TABLE (vmi_transition, VMI_TRANSITION, "a phase and when it began");
HV_RECORD_TABLE (vmi_checksum, VMI_CHECKSUM, "an image that was pulled");
HV_RECORD_TABLE (vmi_run_document, VMI_RUN_DOCUMENT, "an instance");
HV_RECORD_TABLE (vmi_document, VMI_DOCUMENT, "a VM");
HV_RECORD_TABLE (vmi_item_document, VMI_ITEM_DOCUMENT, "an object");

static int
compare (const struct vmi_vm *v, const char *namespace_, const char *name)
{
  int c = strcmp (v->namespace_, namespace_);
  return c != 0 ? c : strcmp (v->name, name);
}

struct vmi_vm *
vmi_vm_find (struct vmi *vmi, const char *namespace_, const char *name)
{
  for (uint32_t i = 0; i < vmi->vm_count; i++)
    if (compare (vmi->vms[i], namespace_, name) == 0)
      return vmi->vms[i];
  return NULL;
}

struct vmi_vm *
vmi_vm_of_domain (struct vmi *vmi, const char *domain)
{
  for (uint32_t i = 0; i < vmi->vm_count; i++)
    if (strcmp (vmi->vms[i]->domain, domain) == 0)
      return vmi->vms[i];
  return NULL;
}

static char *
join (const char *a, const char *between, const char *b)
{
  size_t n = strlen (a) + strlen (between) + strlen (b) + 1;
  char *s = malloc (n), *at = s;
  if (s == NULL)
    return NULL;
  for (const char *const *p = (const char *const[]){ a, between, b, NULL }; *p != NULL; p++)
    at = mempcpy (at, *p, strlen (*p));
  *at = '\0';
  return s;
}

static void
retry_due (void *self, void *arg)
{
  struct vmi_vm *v = arg;
  (void) self;
  v->waiting = 0;
  vmi_reconcile (v);
}

static void
agent_due (void *self, void *arg)
{
  (void) self;
  vmi_agent_follow (arg);
}

struct vmi_vm *
vmi_vm_new (struct vmi *vmi, const char *namespace_, const char *name, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  HV_CLEAN (vmi_vm) struct vmi_vm *v = calloc (1, sizeof *v);
  if (v == NULL) {
    (void) vmi_no_memory (err);
    return NULL;
  }
  v->vmi = vmi;
  v->refs = 1;
  v->grace_s = -1;
  v->namespace_ = strdup (namespace_);
  v->name = strdup (name);
  v->domain = join (namespace_, "_", name);
  v->key = v->domain != NULL ? join ("vm", "_", v->domain) : NULL;
  v->changed = h->api->cond_new (h);
  v->retry = h->api->timer_new (h, retry_due, v);
  v->agent_retry = h->api->timer_new (h, agent_due, v);
  v->io_timer = h->api->timer_new (h, vmi_io_error_due, v);
  if (v->namespace_ != NULL && v->name != NULL && v->key != NULL && v->changed != NULL && v->retry != NULL && v->agent_retry != NULL
      && v->io_timer != NULL)
    return HV_STEAL (v);
  (void) vmi_no_memory (err);
  return NULL;
}

int
vmi_vm_add (struct vmi_vm *v, struct hv_err *err)
{
  struct vmi *vmi = v->vmi;
  uint32_t at = 0;
  if (vmi->vm_count == vmi->vm_capacity) {
    uint32_t capacity = vmi->vm_capacity == 0 ? 8 : vmi->vm_capacity * 2;
    struct vmi_vm **more = realloc (vmi->vms, capacity * sizeof *more);
    if (more == NULL)
      return vmi_no_memory (err);
    vmi->vms = more;
    vmi->vm_capacity = capacity;
  }
  while (at < vmi->vm_count && compare (vmi->vms[at], v->namespace_, v->name) < 0)
    at++;
  memmove (&vmi->vms[at + 1], &vmi->vms[at], (vmi->vm_count - at) * sizeof (struct vmi_vm *));
  vmi->vms[at] = vmi_vm_ref (v);
  vmi->vm_count++;
  return 0;
}

void
vmi_vm_remove (struct vmi_vm *v)
{
  struct vmi *vmi = v->vmi;
  for (uint32_t i = 0; i < vmi->vm_count; i++)
    if (vmi->vms[i] == v) {
      vmi->vm_count--;
      memmove (&vmi->vms[i], &vmi->vms[i + 1], (vmi->vm_count - i) * sizeof (struct vmi_vm *));
      v->gone = 1;
      vmi_vm_wake (v);
      vmi_vm_unref (v);
      return;
    }
}

struct vmi_vm *
vmi_vm_ref (struct vmi_vm *v)
{
  v->refs++;
  return v;
}

void
vmi_run_clear (struct vmi_run *run)
{
  vmi_bytes_clear (&run->template_);
  vmi_bytes_clear (&run->network);
  vmi_bytes_clear (&run->spec);
  free (run->checksums);
  *run = (struct vmi_run){ .exists = 0 };
}

static void
free_texts (struct vmi_vm *v)
{
  char **texts[] = { &v->namespace_,  &v->name,       &v->domain,       &v->key,     &v->backend,       &v->seen.reason,
                     &v->seen.detail, &v->seen.accel, &v->seen.machine, &v->failure, &v->agent_version, &v->restart_paths };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    free (*texts[i]);
  for (uint32_t i = 0; i < VMI_EVENTS; i++)
    free (v->notes[i].message);
}

void
vmi_vm_unref (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  if (--v->refs > 0)
    return;
  h->api->timer_free (h, v->retry);
  h->api->timer_free (h, v->agent_retry);
  h->api->timer_free (h, v->io_timer);
  h->api->cond_free (h, v->changed);
  free_texts (v);
  vmi_bytes_clear (&v->object);
  vmi_bytes_clear (&v->osinfo);
  vmi_bytes_clear (&v->interfaces);
  vmi_run_clear (&v->run);
  free (v);
}

void
vmi_vm_wake (struct vmi_vm *v)
{
  v->vmi->host->api->cond_wake (v->vmi->host, v->changed);
}

int
vmi_vm_object (struct vmi_vm *v, struct vmi_virtual_machine *ret, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  memset (ret, 0, sizeof *ret);
  return h->api->decode (h, &vmi_virtual_machine_record, vmi_bytes_bin (&v->object), HV_DECODE_OPEN, ret, err);
}

int
vmi_vm_take_object (struct vmi_vm *v, const struct vmi_virtual_machine *o, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct hv_bin b;
  int r = h->api->encode (h, &vmi_virtual_machine_record, o, &b, err);
  if (r < 0)
    return r;
  if (vmi_bytes_set (&v->object, b) < 0)
    return vmi_no_memory (err);
  v->strategy = HV_HAS (&o->spec, runStrategy) ? o->spec.runStrategy : o->spec.running ? VMI_ALWAYS : VMI_HALTED;
  return 0;
}

int
vmi_run_spec (struct vmi_vm *v, struct vmi_spec *ret, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  memset (ret, 0, sizeof *ret);
  return h->api->decode (h, &vmi_spec_record, vmi_bytes_bin (&v->run.spec), HV_DECODE_OPEN, ret, err);
}

int
vmi_run_template (struct vmi_vm *v, struct vmi_template *ret, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  memset (ret, 0, sizeof *ret);
  return h->api->decode (h, &vmi_template_record, vmi_bytes_bin (&v->run.template_), HV_DECODE_OPEN, ret, err);
}

/* Enters a phase, once: a retry of a start does not write its history again. */
void
vmi_vm_phase (struct vmi_vm *v, uint32_t phase)
{
  struct vmi_run *run = &v->run;
  uint32_t room = sizeof run->transitions / sizeof *run->transitions;
  if (run->transition_count > 0 && run->phase == phase)
    return;
  run->phase = phase;
  for (uint32_t i = 0; i < run->transition_count; i++)
    if (run->transitions[i].phase == phase)
      return;
  if (run->transition_count < room) {
    struct vmi_transition *t = &run->transitions[run->transition_count++];
    HV_SET (t, phase, phase);
    HV_SET (t, at_ms, vmi_wall_ms ());
  }
}

int
vmi_vm_alive (const struct vmi_vm *v)
{
  return v->seen.defined && v->seen.state != HV_VM_STOPPED && v->seen.state != HV_VM_CRASHED;
}

int
vmi_vm_final (const struct vmi_vm *v)
{
  return v->run.exists && (v->run.phase == VMI_SUCCEEDED || v->run.phase == VMI_FAILED);
}
