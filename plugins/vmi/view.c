/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Objects as they are shown. */
#include "view.h"
#include "quantity.h"
#include <string.h>

HV_RECORD_TABLE (vmi_owner, VMI_OWNER, "an owner");
HV_RECORD_TABLE (vmi_meta_view, VMI_META_VIEW, "metadata");
HV_RECORD_TABLE (vmi_condition_view, VMI_CONDITION_VIEW, "a condition");
HV_RECORD_TABLE (vmi_phase_time, VMI_PHASE_TIME, "when a phase began");
HV_RECORD_TABLE (vmi_os_info, VMI_OS_INFO, "the guest's operating system");
HV_RECORD_TABLE (vmi_topology, VMI_TOPOLOGY, "processor topology");
HV_RECORD_TABLE (vmi_machine_view, VMI_MACHINE_VIEW, "machine type");
HV_RECORD_TABLE (vmi_memory_view, VMI_MEMORY_VIEW, "memory");
HV_RECORD_TABLE (vmi_interface_view, VMI_INTERFACE_VIEW, "a network interface");
HV_RECORD_TABLE (vmi_claim_info, VMI_CLAIM_INFO, "a claim");
HV_RECORD_TABLE (vmi_container_view, VMI_CONTAINER_VIEW, "an image that a volume shows");
HV_RECORD_TABLE (vmi_kernel_status, VMI_KERNEL_STATUS, "files of a direct kernel boot");
HV_RECORD_TABLE (vmi_volume_status, VMI_VOLUME_STATUS, "a volume");
HV_RECORD_TABLE (vmi_vmi_status, VMI_VMI_STATUS, "status of an instance");
HV_RECORD_TABLE (vmi_extra, VMI_EXTRA, "beyond KubeVirt");
HV_RECORD_TABLE (vmi_vmi_view, VMI_VMI_VIEW, "VirtualMachineInstance");
HV_RECORD_TABLE (vmi_vm_status, VMI_VM_STATUS, "status of a virtual machine");
HV_RECORD_TABLE (vmi_vm_view, VMI_VM_VIEW, "VirtualMachine");
HV_RECORD_TABLE (vmi_event_view, VMI_EVENT_VIEW, "something that happened");
HV_RECORD_TABLE (vmi_vmi_list, VMI_VMI_LIST, "instances");
HV_RECORD_TABLE (vmi_vm_list, VMI_VM_LIST, "virtual machines");
HV_RECORD_TABLE (vmi_vmi_description, VMI_VMI_DESCRIPTION, "an instance and its events");
HV_RECORD_TABLE (vmi_vm_description, VMI_VM_DESCRIPTION, "a virtual machine and its events");

static void *
items (struct hv_host *h, uint32_t count, size_t size)
{
  return hv_alloc (h, ((uint64_t) count + 1) * size);
}

/* --- metadata --- */

void
vmi_view_meta (const struct vmi_meta *from, struct vmi_meta_view *to)
{
  HV_SET (to, name, from->name);
  HV_SET (to, namespace, from->namespace);
  if (from->labels.count > 0)
    HV_SET (to, labels, from->labels);
  if (from->annotations.count > 0)
    HV_SET (to, annotations, from->annotations);
}

static void
view_meta (struct vmi_vm *v, const struct vmi_meta *from, struct vmi_meta_view *to)
{
  struct hv_host *h = v->vmi->host;
  vmi_view_meta (from, to);
  HV_SET (to, name, v->name);
  HV_SET (to, namespace, v->namespace_);
  if (v->uid[0] != '\0')
    HV_SET (to, uid, v->uid);
  HV_SET (to, creationTimestamp, vmi_time_text (h, v->created_ms));
  HV_SET (to, generation, v->generation);
}

static int
view_owner (struct vmi_vm *v, struct vmi_meta_view *to, struct hv_err *err)
{
  struct vmi_owner *o = items (v->vmi->host, 1, sizeof *o);
  if (v->kind != VMI_KIND_VM)
    return 0;
  if (o == NULL)
    return vmi_no_memory (err);
  HV_SET (o, apiVersion, "kubevirt.io/v1");
  HV_SET (o, kind, "VirtualMachine");
  HV_SET (o, name, v->name);
  HV_SET (o, uid, v->uid);
  HV_SET (o, controller, 1);
  to->ownerReferences.items = o;
  to->ownerReferences.count = 1;
  to->has.ownerReferences = 1;
  return 0;
}

/* --- parts of the status --- */

static int
view_conditions (struct vmi_vm *v, uint32_t wanted, struct vmi_condition_view **ret, uint32_t *ret_count, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct vmi_condition_view *list = items (h, VMI_CONDITIONS, sizeof *list);
  uint32_t n = 0;
  if (list == NULL)
    return vmi_no_memory (err);
  for (uint32_t i = 0; i < VMI_CONDITIONS; i++) {
    const struct vmi_condition *c = &v->conditions[i];
    const char *message = c->status != 0 ? vmi_condition_message (v, i) : NULL;
    if (c->status == 0 || !(wanted & 1u << i))
      continue;
    HV_SET (&list[n], type, vmi_condition_words[i]);
    HV_SET (&list[n], status, c->status == 2 ? "True" : "False");
    HV_SET (&list[n], lastTransitionTime, vmi_time_text (h, c->since_ms));
    if (c->reason != NULL)
      HV_SET (&list[n], reason, c->reason);
    if (message != NULL)
      HV_SET (&list[n], message, hv_strdup (h, message));
    n++;
  }
  *ret = list;
  *ret_count = n;
  return 0;
}

static int
view_phases (struct vmi_vm *v, struct vmi_vmi_status *s, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  const struct vmi_run *run = &v->run;
  s->phaseTransitionTimestamps.items = items (h, run->transition_count, sizeof *s->phaseTransitionTimestamps.items);
  if (s->phaseTransitionTimestamps.items == NULL)
    return vmi_no_memory (err);
  for (uint32_t i = 0; i < run->transition_count; i++) {
    HV_SET (&s->phaseTransitionTimestamps.items[i], phase, vmi_phase_words[run->transitions[i].phase]);
    HV_SET (&s->phaseTransitionTimestamps.items[i], phaseTransitionTimestamp, vmi_time_text (h, run->transitions[i].at_ms));
  }
  s->phaseTransitionTimestamps.count = run->transition_count;
  s->has.phaseTransitionTimestamps = 1;
  return 0;
}

#define COPY(to, member, from, source) \
  do { \
    if (HV_HAS (from, source)) \
      HV_SET (to, member, (from)->source); \
  } while (0)

static void
view_os (struct vmi_vm *v, struct vmi_os_info *to, struct vmi_extra *extra)
{
  struct hv_agent_osinfo os;
  if (vmi_agent_osinfo (v, &os, NULL) < 0)
    return;
  COPY (to, id, &os, id);
  COPY (to, kernelRelease, &os, kernel_release);
  COPY (to, kernelVersion, &os, kernel_version);
  COPY (to, machine, &os, machine);
  COPY (to, name, &os, name);
  COPY (to, prettyName, &os, pretty_name);
  COPY (to, version, &os, version);
  COPY (to, versionId, &os, version_id);
  COPY (extra, hostname, &os, hostname);
}

static void
view_claim_info (struct vmi_vm *v, const char *claim, struct vmi_volume_status *to)
{
  struct hv_host *h = v->vmi->host;
  const struct vmi_item *c = vmi_item_find (v->vmi, VMI_KIND_CLAIM, v->namespace_, claim);
  struct vmi_claim_object *o = hv_alloc (h, sizeof *o);
  char *size = hv_alloc (h, VMI_QUANTITY_TEXT);
  if (c == NULL || o == NULL || size == NULL
      || h->api->decode (h, &vmi_claim_object_record, vmi_bytes_bin (&c->object), HV_DECODE_OPEN, o, NULL) < 0)
    return;
  vmi_quantity_text (c->bytes, size);
  to->has.persistentVolumeClaimInfo = 1;
  if (o->spec.accessModes.count > 0)
    HV_SET (&to->persistentVolumeClaimInfo, accessModes, o->spec.accessModes);
  to->persistentVolumeClaimInfo.has.capacity = to->persistentVolumeClaimInfo.has.requests = 1;
  HV_SET (&to->persistentVolumeClaimInfo.capacity, storage, size);
  HV_SET (&to->persistentVolumeClaimInfo.requests, storage, o->spec.resources.requests.storage);
  HV_SET (&to->persistentVolumeClaimInfo, volumeMode, VMI_VOLUME_MODE_FILESYSTEM);
}

static const struct vmi_volume *
volume_of (const struct vmi_spec *s, const char *name)
{
  for (uint32_t i = 0; i < s->volumes.count; i++)
    if (strcmp (s->volumes.items[i].name, name) == 0)
      return &s->volumes.items[i];
  return NULL;
}

/* Whether what was pulled for a volume, or for VMI_CHECKSUM_*, is known. */
static int
view_checksum (const struct vmi_vm *v, uint32_t volume, struct vmi_container_view *out)
{
  for (uint32_t i = 0; i < v->run.checksum_count; i++)
    if (v->run.checksums[i].volume == volume) {
      HV_SET (out, checksum, v->run.checksums[i].checksum);
      return 1;
    }
  return 0;
}

static void
view_kernel (const struct vmi_vm *v, struct vmi_vmi_status *to)
{
  struct vmi_kernel_status *k = &to->kernelBootStatus;
  k->has.kernelInfo = view_checksum (v, VMI_CHECKSUM_KERNEL, &k->kernelInfo) != 0;
  k->has.initrdInfo = view_checksum (v, VMI_CHECKSUM_INITRD, &k->initrdInfo) != 0;
  to->has.kernelBootStatus = k->has.kernelInfo || k->has.initrdInfo;
}

static int
view_volumes (struct vmi_vm *v, const struct vmi_spec *s, struct vmi_vmi_status *to, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  uint32_t n = s->domain.devices.disks.count;
  char (*targets)[VMI_TARGET_TEXT] = items (h, n, sizeof *targets);
  to->volumeStatus.items = items (h, n, sizeof *to->volumeStatus.items);
  if (targets == NULL || to->volumeStatus.items == NULL)
    return vmi_no_memory (err);
  vmi_spec_targets (s, targets);
  for (uint32_t i = 0; i < n; i++) {
    struct vmi_volume_status *out = &to->volumeStatus.items[i];
    const struct vmi_volume *volume = volume_of (s, s->domain.devices.disks.items[i].name);
    HV_SET (out, name, s->domain.devices.disks.items[i].name);
    HV_SET (out, target, targets[i]);
    if (volume != NULL && HV_HAS (volume, containerDisk))
      out->has.containerDiskVolume = view_checksum (v, (uint32_t) (volume - s->volumes.items), &out->containerDiskVolume) != 0;
    if (volume != NULL && (HV_HAS (volume, persistentVolumeClaim) || HV_HAS (volume, ephemeral)))
      view_claim_info (v,
                       HV_HAS (volume, ephemeral) ? volume->ephemeral.persistentVolumeClaim.claimName
                                                  : volume->persistentVolumeClaim.claimName,
                       out);
  }
  to->volumeStatus.count = n;
  to->has.volumeStatus = 1;
  return 0;
}

static void
view_machine (struct vmi_vm *v, const struct vmi_spec *s, struct vmi_vmi_status *to)
{
  const char *path;
  uint64_t bytes = v->seen.memory_bytes;
  char *text = hv_alloc (v->vmi->host, VMI_QUANTITY_TEXT);
  to->has.currentCPUTopology = 1;
  HV_SET (&to->currentCPUTopology, cores, s->domain.cpu.cores);
  HV_SET (&to->currentCPUTopology, sockets, s->domain.cpu.sockets);
  HV_SET (&to->currentCPUTopology, threads, s->domain.cpu.threads);
  if (bytes == 0)
    (void) vmi_spec_memory (s, &bytes, &path, NULL);
  if (text != NULL) {
    vmi_quantity_text (bytes, text);
    to->has.memory = 1;
    HV_SET (&to->memory, guestCurrent, text);
  }
  if (v->seen.machine != NULL) {
    to->has.machine = 1;
    HV_SET (&to->machine, type, hv_strdup (v->vmi->host, v->seen.machine));
  }
}

static void
view_extra (struct vmi_vm *v, struct vmi_extra *to)
{
  struct hv_host *h = v->vmi->host;
  HV_SET (to, ready, v->conditions[VMI_READY].status == 2 ? "True" : "False");
  HV_SET (to, domain, v->domain);
  if (v->backend != NULL)
    HV_SET (to, backend, hv_strdup (h, v->backend));
  if (v->seen.accel != NULL && vmi_vm_alive (v))
    HV_SET (to, accel, hv_strdup (h, v->seen.accel));
  if (v->conditions[VMI_AGENT_CONNECTED].status == 2 && v->agent_version != NULL)
    HV_SET (to, agent, hv_strdup (h, v->agent_version));
  if (v->seen.known)
    HV_SET (to, state, v->seen.defined ? hv_vm_state_words[v->seen.state] : "undefined");
}

/* --- whole objects --- */

static int
view_status (struct vmi_vm *v, const struct vmi_spec *s, struct vmi_vmi_status *to, struct hv_err *err)
{
  const uint32_t wanted = ~(1u << VMI_RESTART_REQUIRED);
  int r = view_conditions (v, wanted, &to->conditions.items, &to->conditions.count, err);
  if (r == 0)
    r = view_phases (v, to, err);
  if (r == 0)
    r = view_volumes (v, s, to, err);
  HV_SET (to, nodeName, v->vmi->node.name);
  HV_SET (to, phase, v->run.phase);
  HV_SET (to, qosClass, vmi_spec_qos (s));
  view_machine (v, s, to);
  view_kernel (v, to);
  return r;
}

int
vmi_view_instance (struct vmi_vm *v, struct vmi_vmi_view *ret, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct vmi_virtual_machine *o = hv_alloc (h, sizeof *o);
  struct vmi_spec *s = hv_alloc (h, sizeof *s);
  if (o == NULL || s == NULL)
    return vmi_no_memory (err);
  int r = vmi_vm_object (v, o, err);
  if (r == 0)
    r = vmi_run_spec (v, s, err);
  if (r < 0)
    return r;
  struct vmi_meta meta = { .labels = o->spec.template.metadata.labels, .annotations = o->spec.template.metadata.annotations };
  HV_SET (ret, apiVersion, "kubevirt.io/v1");
  HV_SET (ret, kind, vmi_kind_words[VMI_KIND_VMI]);
  view_meta (v, &meta, &ret->metadata);
  HV_SET (&ret->metadata, uid, v->kind == VMI_KIND_VM ? v->run.uid : v->uid);
  HV_SET (&ret->metadata, creationTimestamp, vmi_time_text (h, v->run.created_ms));
  if (v->run.stop_ms != 0 || v->deleting)
    HV_SET (&ret->metadata, deletionTimestamp, vmi_time_text (h, v->run.stop_ms != 0 ? v->run.stop_ms : vmi_wall_ms ()));
  uint8_t *spec = hv_alloc (h, v->run.spec.size);
  if (spec == NULL)
    return vmi_no_memory (err);
  memcpy (spec, v->run.spec.data, v->run.spec.size);
  HV_SET (ret, spec, ((struct hv_bin){ spec, v->run.spec.size }));
  r = view_owner (v, &ret->metadata, err);
  if (r == 0)
    r = view_status (v, s, &ret->status, err);
  if (r == 0)
    r = vmi_network_view (v, ret, err);
  view_extra (v, &ret->hvkit);
  view_os (v, &ret->status.guestOSInfo, &ret->hvkit);
  if (v->frozen)
    HV_SET (&ret->status, fsFreezeStatus, "frozen");
  ret->has.metadata = ret->has.status = ret->has.hvkit = 1;
  return r;
}

static int
view_broken (struct vmi_vm *v, struct vmi_vm_view *ret)
{
  static const uint8_t empty = 0x80;
  struct vmi_meta meta = { 0 };
  view_meta (v, &meta, &ret->metadata);
  HV_SET (ret, spec, ((struct hv_bin){ &empty, 1 }));
  return 0;
}

int
vmi_view_vm (struct vmi_vm *v, struct vmi_vm_view *ret, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct vmi_virtual_machine *o = hv_alloc (h, sizeof *o);
  const uint32_t wanted = 1u << VMI_READY | 1u << VMI_LIVE_MIGRATABLE | 1u << VMI_RESTART_REQUIRED | 1u << VMI_SYNCHRONIZED
                          | 1u << VMI_PAUSED | 1u << VMI_AGENT_CONNECTED;
  struct vmi_vm_status *s = &ret->status;
  struct hv_bin spec;
  if (o == NULL)
    return vmi_no_memory (err);
  int r = v->broken ? view_broken (v, ret) : vmi_vm_object (v, o, err);
  if (r == 0 && !v->broken)
    r = h->api->encode (h, &vmi_vm_spec_record, &o->spec, &spec, err);
  if (r == 0)
    r = view_conditions (v, wanted, &s->conditions.items, &s->conditions.count, err);
  if (r < 0)
    return r;
  HV_SET (ret, apiVersion, "kubevirt.io/v1");
  HV_SET (ret, kind, vmi_kind_words[VMI_KIND_VM]);
  if (!v->broken) {
    view_meta (v, &o->metadata, &ret->metadata);
    HV_SET (ret, spec, spec);
    HV_SET (s, runStrategy, v->strategy);
  }
  HV_SET (s, created, v->run.exists);
  HV_SET (s, ready, v->conditions[VMI_READY].status == 2);
  HV_SET (s, printableStatus, vmi_printable_status (v));
  HV_SET (s, desiredGeneration, v->generation);
  HV_SET (s, observedGeneration, v->generation);
  view_extra (v, &ret->hvkit);
  ret->has.metadata = ret->has.status = ret->has.hvkit = 1;
  return 0;
}

int
vmi_view_events (struct vmi_vm *v, struct vmi_event_view **ret, uint32_t *ret_count, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct vmi_event_view *list = items (h, v->note_count, sizeof *list);
  if (list == NULL)
    return vmi_no_memory (err);
  for (uint32_t i = 0; i < v->note_count; i++) {
    const struct vmi_note *n = &v->notes[i];
    HV_SET (&list[i], type, n->warning ? "Warning" : "Normal");
    HV_SET (&list[i], reason, n->reason);
    HV_SET (&list[i], message, hv_strdup (h, n->message != NULL ? n->message : ""));
    HV_SET (&list[i], lastTimestamp, vmi_time_text (h, n->time_ms));
    HV_SET (&list[i], count, n->count);
  }
  *ret = list;
  *ret_count = v->note_count;
  return 0;
}
