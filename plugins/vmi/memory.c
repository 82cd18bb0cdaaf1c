/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The node's memory: what VMs are reckoned at, what they use, and whether one more fits. */
#include "overhead.h"
#include "quantity.h"
#include "verbs.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

HV_RECORD_TABLE (vmi_overhead_args, VMI_OVERHEAD_ARGS, "arguments of overhead");
HV_RECORD_TABLE (vmi_overhead_row, VMI_OVERHEAD_ROW, "what a VM is reckoned at");
HV_RECORD_TABLE (vmi_overhead_list, VMI_OVERHEAD_LIST, "what VMs are reckoned at");
HV_RECORD_TABLE (vmi_top_args, VMI_TOP_ARGS, "arguments of top");
HV_RECORD_TABLE (vmi_top_row, VMI_TOP_ROW, "what a VM uses");
HV_RECORD_TABLE (vmi_top_list, VMI_TOP_LIST, "what VMs use");

/* --- overhead --- */

static int
fill_row (struct vmi *vmi, struct vmi_object *o, const char *version, struct vmi_overhead_row *ret, struct hv_err *err)
{
  struct vmi_spec *s = &o->vm.spec.template.spec;
  struct vmi_overhead v;
  int r = vmi_spec_check (s, vmi_object_prefix (o), &o->vm.metadata.annotations, &vmi->node, err);
  if (r == 0)
    r = vmi_spec_defaults (vmi->host, s, &vmi->node, o->kind == VMI_KIND_VM ? o->name : NULL, err);
  if (r == 0)
    r = vmi_overhead (s, version, &v, err);
  if (r < 0)
    return r;
  HV_SET (ret, namespace, o->namespace_);
  HV_SET (ret, name, o->name);
  HV_SET (ret, request_bytes, v.request);
  HV_SET (ret, overhead_bytes, v.overhead);
  HV_SET (ret, total_bytes, v.request + v.overhead);
  HV_SET (ret, pagetable_bytes, v.pagetable);
  HV_SET (ret, processes_bytes, v.processes);
  HV_SET (ret, vcpus_bytes, v.vcpus);
  HV_SET (ret, io_thread_bytes, v.io_thread);
  HV_SET (ret, video_bytes, v.video);
  HV_SET (ret, guaranteed_bytes, v.guaranteed);
  HV_SET (ret, qos, vmi_spec_qos (s));
  return 0;
}

int
vmi_overhead_verb (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  const struct vmi_overhead_args *a = args;
  struct vmi_overhead_list *ret = result;
  struct vmi_manifest m;
  (void) call;
  int r = vmi_manifest_read (vmi->host, a->manifest, a->namespace, &m, err);
  struct vmi_overhead_row *rows = r == 0 ? hv_alloc (vmi->host, (m.count + 1) * sizeof *rows) : NULL;
  if (r == 0 && rows == NULL)
    r = vmi_no_memory (err);
  for (uint32_t i = 0; r == 0 && i < m.count; i++) {
    struct vmi_object *o = &m.objects[i];
    if (!vmi_object_is_machine (o))
      continue;
    r = fill_row (vmi, o, a->kubevirt, &rows[ret->items.count], err);
    if (r < 0)
      return hv_err_wrap (err, vmi_manifest_place (&m, o, r, err), "manifest");
    ret->items.count++;
  }
  ret->items.items = rows;
  return r;
}

/* --- one more --- */

/* What an instance is reckoned at; 0 where that cannot be said. */
static uint64_t
reckon (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  uint64_t mark = h->api->scope_mark (h), bytes = 0;
  struct vmi_spec *s = hv_alloc (h, sizeof *s);
  struct vmi_overhead o;
  if (s != NULL && v->run.exists && vmi_run_spec (v, s, NULL) == 0 && vmi_overhead (s, VMI_OVERHEAD_VERSION, &o, NULL) == 0)
    bytes = o.request + o.overhead;
  h->api->scope_release (h, mark);
  return bytes;
}

uint64_t
vmi_node_memory (void)
{
  return (uint64_t) sysconf (_SC_PHYS_PAGES) * (uint64_t) sysconf (_SC_PAGESIZE);
}

uint64_t
vmi_memory_promised (struct vmi *vmi, const struct vmi_vm *but, uint32_t *ret_count)
{
  uint64_t bytes = 0;
  *ret_count = 0;
  for (uint32_t i = 0; i < vmi->vm_count; i++) {
    struct vmi_vm *v = vmi->vms[i];
    if (v == but || !v->run.exists || vmi_vm_final (v) || (v->run.phase < VMI_SCHEDULED && !vmi_vm_alive (v)))
      continue;
    bytes += reckon (v);
    ++*ret_count;
  }
  return bytes;
}

int
vmi_memory_admit (struct vmi_vm *v, struct hv_err *err)
{
  const struct vmi_config *c = v->vmi->config;
  uint32_t count = 0;
  uint64_t node = vmi_node_memory (), kept = c->memory_reserve_bytes, others = vmi_memory_promised (v->vmi, v, &count),
           mine = reckon (v);
  char texts[3][VMI_QUANTITY_TEXT];
  if (!c->admission)
    return 0;
  if (kept < node && others <= node - kept && mine <= node - kept - others)
    return 0;
  vmi_quantity_text ((mine + 1048575) / 1048576 * 1048576, texts[0]);
  vmi_quantity_text ((others + 1048575) / 1048576 * 1048576, texts[1]);
  vmi_quantity_text ((kept < node ? node - kept : 0) / 1048576 * 1048576, texts[2]);
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED,
                     "insufficient memory: it is reckoned at %s, and the node has %s, of which %s are promised to %u VMs that run; "
                     "stop one of them, or ask for less in domain.resources.requests.memory",
                     texts[0], texts[2], texts[1], count);
}

/* --- top --- */

static int
stats_of (struct vmi *vmi, const char *backend, struct hv_stats *ret, struct hv_err *err)
{
  static const char *const groups[] = { "cpu", "memory" };
  struct hv_stats_args a = { 0 };
  const char *method = hv_printf (vmi->host, "%s.stats", backend);
  if (method == NULL)
    return vmi_no_memory (err);
  HV_SET (&a, groups, ((struct hv_strs){ (const char **) groups, 2 }));
  return hv_call_method (vmi->host, method, hv_stats_args, &a, hv_stats, ret, err);
}

static const struct hv_vm_stats *
stats_find (const struct hv_stats *all, const char *domain)
{
  for (uint32_t i = 0; i < all->items.count; i++)
    if (strcmp (all->items.items[i].vm, domain) == 0)
      return &all->items.items[i];
  return NULL;
}

static int
is_shown (const struct vmi_vm *v, const struct vmi_top_args *a, const char *backend)
{
  return v->run.exists && v->run.phase == VMI_RUNNING && v->backend != NULL && strcmp (v->backend, backend) == 0
         && (a->all_namespaces || strcmp (v->namespace_, a->namespace) == 0)
         && (!HV_HAS (a, name) || strcmp (v->name, a->name) == 0);
}

static int
fill_top (struct vmi_vm *v, const struct hv_vm_stats *before, const struct hv_vm_stats *after, uint64_t passed_ns,
          struct vmi_top_row *ret)
{
  struct hv_host *h = v->vmi->host;
  const char *namespace_ = hv_strdup (h, v->namespace_), *name = hv_strdup (h, v->name);
  if (namespace_ == NULL || name == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  HV_SET (ret, namespace, namespace_);
  HV_SET (ret, name, name);
  if (before != NULL && HV_HAS (&before->cpu, total_ns) && HV_HAS (&after->cpu, total_ns)
      && after->cpu.total_ns >= before->cpu.total_ns && passed_ns > 0)
    HV_SET (ret, cpu_millicores, (uint32_t) ((after->cpu.total_ns - before->cpu.total_ns) * 1000 / passed_ns));
  if (HV_HAS (&after->cpu, vcpus))
    HV_SET (ret, vcpus, after->cpu.vcpus);
  if (HV_HAS (&after->memory, resident_bytes))
    HV_SET (ret, memory_bytes, after->memory.resident_bytes);
  if (HV_HAS (&after->memory, size_bytes))
    HV_SET (ret, guest_bytes, after->memory.size_bytes);
  HV_SET (ret, reckoned_bytes, reckon (v));
  return 0;
}

/* The VMs of one backend, by what they used in a while. */
static int
top_of (struct vmi *vmi, const struct vmi_top_args *a, const char *backend, struct vmi_top_list *ret, struct vmi_top_row *rows,
        struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  struct hv_stats before, after;
  uint64_t begin_ms = h->api->now_ms ();
  int r = stats_of (vmi, backend, &before, err);
  if (r == 0)
    r = hv_sleep (h, a->interval_ms, err);
  uint64_t passed_ns = (h->api->now_ms () - begin_ms) * 1000000u;
  if (r == 0)
    r = stats_of (vmi, backend, &after, err);
  for (uint32_t i = 0; r == 0 && i < vmi->vm_count; i++) {
    struct vmi_vm *v = vmi->vms[i];
    const struct hv_vm_stats *now = is_shown (v, a, backend) ? stats_find (&after, v->domain) : NULL;
    if (now != NULL && ret->items.count < VMI_TOP_MAX)
      r = fill_top (v, stats_find (&before, v->domain), now, passed_ns, &rows[ret->items.count++]);
  }
  return r == HV_E_RESOURCE_EXHAUSTED ? vmi_no_memory (err) : r;
}

int
vmi_top (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct vmi *vmi = self;
  const struct vmi_top_args *a = args;
  struct vmi_top_list *ret = result;
  struct hv_strs backends = { NULL, 0 };
  (void) call;
  int r = HV_HAS (a, name) && vmi_need (vmi, VMI_KIND_VMI, a->namespace, a->name, err) == NULL ? HV_E_NOT_FOUND : 0;
  if (r == 0)
    r = vmi_backend_list (vmi, &backends, err);
  struct vmi_top_row *rows = r == 0 ? hv_alloc (vmi->host, VMI_TOP_MAX * sizeof *rows) : NULL;
  if (r == 0 && rows == NULL)
    r = vmi_no_memory (err);
  for (uint32_t i = 0; r == 0 && i < backends.count; i++)
    r = top_of (vmi, a, backends.items[i], ret, rows, err);
  ret->items.items = rows;
  return r;
}
