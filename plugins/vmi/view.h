/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the verbs answer: objects in Kubernetes' form, with one member of our own, `hvkit`, for what KubeVirt has no place for. */
#ifndef VMI_VIEW_H
#define VMI_VIEW_H
#include "vmi.h"

#define VMI_OWNER(F, T) \
  F (T, STR, _, apiVersion, HV_REQUIRED, "of the owner") \
  F (T, STR, _, kind, HV_REQUIRED, "of the owner") \
  F (T, STR, _, name, HV_REQUIRED, "of the owner") \
  F (T, STR, _, uid, HV_REQUIRED, "of the owner") \
  F (T, BOOL, _, controller, HV_REQUIRED, "it manages this object")
HV_RECORD_STRUCT (vmi_owner, VMI_OWNER);
#define VMI_META_VIEW(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name") \
  F (T, STR, _, namespace, HV_REQUIRED, "namespace") \
  F (T, STR, _, uid, 0, "unique in space and time") \
  F (T, STR, _, creationTimestamp, 0, "RFC 3339") \
  F (T, STR, _, deletionTimestamp, 0, "RFC 3339; it is being deleted") \
  F (T, U64, _, generation, 0, "counts changes of the spec") \
  F (T, MAP, _, labels, 0, "as applied", .max = 64) \
  F (T, MAP, _, annotations, 0, "as applied", .max = 64) \
  F (T, RECS, vmi_owner, ownerReferences, 0, "objects that made it")
HV_RECORD_STRUCT (vmi_meta_view, VMI_META_VIEW);

#define VMI_CONDITION_VIEW(F, T) \
  F (T, STR, _, type, HV_REQUIRED, "condition") \
  F (T, STR, _, status, HV_REQUIRED, "True or False") \
  F (T, STR, _, lastTransitionTime, 0, "RFC 3339") \
  F (T, STR, _, reason, 0, "one word") \
  F (T, STR, _, message, 0, "for people")
HV_RECORD_STRUCT (vmi_condition_view, VMI_CONDITION_VIEW);

#define VMI_PHASE_TIME(F, T) \
  F (T, STR, _, phase, HV_REQUIRED, "phase") \
  F (T, STR, _, phaseTransitionTimestamp, HV_REQUIRED, "RFC 3339")
HV_RECORD_STRUCT (vmi_phase_time, VMI_PHASE_TIME);
#define VMI_OS_INFO(F, T) \
  F (T, STR, _, id, 0, "debian") \
  F (T, STR, _, kernelRelease, 0, "uname -r") \
  F (T, STR, _, kernelVersion, 0, "uname -v") \
  F (T, STR, _, machine, 0, "x86_64") \
  F (T, STR, _, name, 0, "Debian GNU/Linux") \
  F (T, STR, _, prettyName, 0, "Debian GNU/Linux 12 (bookworm)") \
  F (T, STR, _, version, 0, "12 (bookworm)") \
  F (T, STR, _, versionId, 0, "12")
HV_RECORD_STRUCT (vmi_os_info, VMI_OS_INFO);
#define VMI_TOPOLOGY(F, T) \
  F (T, U32, _, cores, HV_REQUIRED, "cores per socket") \
  F (T, U32, _, sockets, HV_REQUIRED, "sockets") \
  F (T, U32, _, threads, HV_REQUIRED, "threads per core")
HV_RECORD_STRUCT (vmi_topology, VMI_TOPOLOGY);
#define VMI_MACHINE_VIEW(F, T) F (T, STR, _, type, HV_REQUIRED, "machine type, version pinned")
HV_RECORD_STRUCT (vmi_machine_view, VMI_MACHINE_VIEW);
#define VMI_MEMORY_VIEW(F, T) F (T, STR, _, guestCurrent, HV_REQUIRED, "a quantity")
HV_RECORD_STRUCT (vmi_memory_view, VMI_MEMORY_VIEW);
#define VMI_INTERFACE_VIEW(F, T) \
  F (T, STR, _, infoSource, HV_REQUIRED, "who says so: domain, guest-agent") \
  F (T, STR, _, interfaceName, 0, "name in the guest, as its agent says") \
  F (T, STR, _, ipAddress, 0, "first address") \
  F (T, STRS, _, ipAddresses, 0, "addresses") \
  F (T, STR, _, mac, 0, "MAC address") \
  F (T, STR, _, name, 0, "name of its network; absent: the guest made it") \
  F (T, U32, _, queueCount, 0, "queue pairs")
HV_RECORD_STRUCT (vmi_interface_view, VMI_INTERFACE_VIEW);
#define VMI_CLAIM_INFO(F, T) \
  F (T, STRS, _, accessModes, 0, "as claimed") \
  F (T, REC, vmi_storage_list, capacity, 0, "what it has") \
  F (T, REC, vmi_storage_list, requests, 0, "what was asked for") \
  F (T, ENUM, vmi_volume_mode, volumeMode, 0, "Filesystem")
HV_RECORD_STRUCT (vmi_claim_info, VMI_CLAIM_INFO);
#define VMI_CONTAINER_VIEW(F, T) F (T, U32, _, checksum, HV_REQUIRED, "CRC-32 of the file")
HV_RECORD_STRUCT (vmi_container_view, VMI_CONTAINER_VIEW);
#define VMI_VOLUME_STATUS(F, T) \
  F (T, REC, vmi_container_view, containerDiskVolume, 0, "its image, as it was pulled") \
  F (T, STR, _, name, HV_REQUIRED, "volume") \
  F (T, STR, _, target, HV_REQUIRED, "name of its disk: vda, sda …") \
  F (T, REC, vmi_claim_info, persistentVolumeClaimInfo, 0, "its claim")
HV_RECORD_STRUCT (vmi_volume_status, VMI_VOLUME_STATUS);

#define VMI_KERNEL_STATUS(F, T) \
  F (T, REC, vmi_container_view, kernelInfo, 0, "the kernel") \
  F (T, REC, vmi_container_view, initrdInfo, 0, "the initial ramdisk")
HV_RECORD_STRUCT (vmi_kernel_status, VMI_KERNEL_STATUS);

#define VMI_VMI_STATUS(F, T) \
  F (T, RECS, vmi_condition_view, conditions, HV_REQUIRED, "conditions") \
  F (T, REC, vmi_topology, currentCPUTopology, 0, "processor") \
  F (T, STR, _, fsFreezeStatus, 0, "frozen, while the guest's file systems are") \
  F (T, REC, vmi_os_info, guestOSInfo, HV_REQUIRED, "as the guest agent says") \
  F (T, RECS, vmi_interface_view, interfaces, HV_REQUIRED, "network interfaces") \
  F (T, REC, vmi_machine_view, machine, 0, "machine type") \
  F (T, REC, vmi_memory_view, memory, 0, "memory") \
  F (T, STR, _, nodeName, HV_REQUIRED, "this node") \
  F (T, REC, vmi_kernel_status, kernelBootStatus, 0, "files of a direct kernel boot, as they were pulled") \
  F (T, ENUM, vmi_phase, phase, HV_REQUIRED, "phase") \
  F (T, RECS, vmi_phase_time, phaseTransitionTimestamps, HV_REQUIRED, "phases so far") \
  F (T, STR, _, qosClass, 0, "quality of service") \
  F (T, RECS, vmi_volume_status, volumeStatus, HV_REQUIRED, "volumes")
HV_RECORD_STRUCT (vmi_vmi_status, VMI_VMI_STATUS);

/* Beyond KubeVirt, and the cells of the tables. */
#define VMI_EXTRA(F, T) \
  F (T, STR, _, ready, HV_REQUIRED, "True or False, of the condition Ready") \
  F (T, STR, _, domain, HV_REQUIRED, "name of the machine at its backend") \
  F (T, STR, _, backend, 0, "hypervisor instance") \
  F (T, STR, _, accel, 0, "kvm or tcg") \
  F (T, STR, _, ip, 0, "first address of the guest") \
  F (T, STR, _, agent, 0, "version of the guest agent, while it is connected") \
  F (T, STR, _, hostname, 0, "as the guest agent says") \
  F (T, STR, _, state, 0, "state of the machine at its backend")
HV_RECORD_STRUCT (vmi_extra, VMI_EXTRA);

#define VMI_VMI_VIEW(F, T) \
  F (T, STR, _, apiVersion, HV_REQUIRED, "kubevirt.io/v1") \
  F (T, STR, _, kind, HV_REQUIRED, "VirtualMachineInstance") \
  F (T, REC, vmi_meta_view, metadata, HV_REQUIRED, "metadata") \
  F (T, ANY, _, spec, HV_REQUIRED, "spec, with defaults") \
  F (T, REC, vmi_vmi_status, status, HV_REQUIRED, "status") \
  F (T, REC, vmi_extra, hvkit, HV_REQUIRED, "beyond KubeVirt")
HV_RECORD_STRUCT (vmi_vmi_view, VMI_VMI_VIEW);

#define VMI_VM_STATUS(F, T) \
  F (T, RECS, vmi_condition_view, conditions, HV_REQUIRED, "conditions") \
  F (T, BOOL, _, created, HV_REQUIRED, "it has an instance") \
  F (T, BOOL, _, ready, HV_REQUIRED, "its instance is ready") \
  F (T, STR, _, printableStatus, HV_REQUIRED, "Running, Stopped …") \
  F (T, ENUM, vmi_strategy, runStrategy, 0, "in effect") \
  F (T, U64, _, desiredGeneration, HV_REQUIRED, "of the spec") \
  F (T, U64, _, observedGeneration, HV_REQUIRED, "that was looked at")
HV_RECORD_STRUCT (vmi_vm_status, VMI_VM_STATUS);
#define VMI_VM_VIEW(F, T) \
  F (T, STR, _, apiVersion, HV_REQUIRED, "kubevirt.io/v1") \
  F (T, STR, _, kind, HV_REQUIRED, "VirtualMachine") \
  F (T, REC, vmi_meta_view, metadata, HV_REQUIRED, "metadata") \
  F (T, ANY, _, spec, HV_REQUIRED, "spec, as applied") \
  F (T, REC, vmi_vm_status, status, HV_REQUIRED, "status") \
  F (T, REC, vmi_extra, hvkit, HV_REQUIRED, "beyond KubeVirt")
HV_RECORD_STRUCT (vmi_vm_view, VMI_VM_VIEW);

#define VMI_EVENT_VIEW(F, T) \
  F (T, STR, _, type, HV_REQUIRED, "Normal or Warning") \
  F (T, STR, _, reason, HV_REQUIRED, "one word") \
  F (T, STR, _, message, HV_REQUIRED, "for people") \
  F (T, STR, _, lastTimestamp, HV_REQUIRED, "RFC 3339") \
  F (T, U64, _, count, HV_REQUIRED, "how often in a row")
HV_RECORD_STRUCT (vmi_event_view, VMI_EVENT_VIEW);

#define VMI_CURSOR_FIELDS(F, T) \
  F (T, U64, _, epoch, 0, "cursor to watch from") \
  F (T, U64, _, seq, 0, "cursor to watch from")
#define VMI_MORE_FIELD(F, T) F (T, STR, _, continue_from, 0, "pass it back to get the next page; absent: that was all")
#define VMI_VMI_LIST(F, T) \
  F (T, RECS, vmi_vmi_view, items, HV_REQUIRED, "instances, by namespace and name") \
  VMI_MORE_FIELD (F, T) \
  VMI_CURSOR_FIELDS (F, T)
HV_RECORD_STRUCT (vmi_vmi_list, VMI_VMI_LIST);
#define VMI_VM_LIST(F, T) \
  F (T, RECS, vmi_vm_view, items, HV_REQUIRED, "virtual machines, by namespace and name") \
  VMI_MORE_FIELD (F, T) \
  VMI_CURSOR_FIELDS (F, T)
HV_RECORD_STRUCT (vmi_vm_list, VMI_VM_LIST);
#define VMI_VMI_DESCRIPTION(F, T) \
  VMI_VMI_VIEW (F, T) \
  F (T, RECS, vmi_event_view, events, HV_REQUIRED, "what happened lately, oldest first")
HV_RECORD_STRUCT (vmi_vmi_description, VMI_VMI_DESCRIPTION);
#define VMI_VM_DESCRIPTION(F, T) \
  VMI_VM_VIEW (F, T) \
  F (T, RECS, vmi_event_view, events, HV_REQUIRED, "what happened lately, oldest first")
HV_RECORD_STRUCT (vmi_vm_description, VMI_VM_DESCRIPTION);

/* --- claims and nodes --- */

#define VMI_CLAIM_STATUS(F, T) \
  F (T, STR, _, phase, HV_REQUIRED, "Bound when its file is there, else Pending") \
  F (T, REC, vmi_storage_list, capacity, HV_REQUIRED, "size of its disk")
HV_RECORD_STRUCT (vmi_claim_status, VMI_CLAIM_STATUS);
#define VMI_CLAIM_VIEW(F, T) \
  F (T, STR, _, apiVersion, HV_REQUIRED, "v1") \
  F (T, STR, _, kind, HV_REQUIRED, "PersistentVolumeClaim") \
  F (T, REC, vmi_meta_view, metadata, HV_REQUIRED, "metadata") \
  F (T, ANY, _, spec, HV_REQUIRED, "spec, as applied") \
  F (T, REC, vmi_claim_status, status, HV_REQUIRED, "status") \
  F (T, STR, _, path, HV_REQUIRED, "its file on the node")
HV_RECORD_STRUCT (vmi_claim_view, VMI_CLAIM_VIEW);
#define VMI_CLAIM_LIST(F, T) \
  F (T, RECS, vmi_claim_view, items, HV_REQUIRED, "claims, by namespace and name") \
  VMI_MORE_FIELD (F, T) \
  VMI_CURSOR_FIELDS (F, T)
HV_RECORD_STRUCT (vmi_claim_list, VMI_CLAIM_LIST);

/* --- Secrets and ConfigMaps --- */

#define VMI_DATA_EXTRA(F, T) F (T, U32, _, keys, HV_REQUIRED, "how many values it has")
HV_RECORD_STRUCT (vmi_data_extra, VMI_DATA_EXTRA);
#define VMI_SECRET_VIEW(F, T) \
  F (T, STR, _, apiVersion, HV_REQUIRED, "v1") \
  F (T, STR, _, kind, HV_REQUIRED, "Secret") \
  F (T, REC, vmi_meta_view, metadata, HV_REQUIRED, "metadata") \
  F (T, STR, _, type, HV_REQUIRED, "what it is for") \
  F (T, MAP, _, data, HV_SECRET, "values in base64", .max = VMI_DATA_MAX) \
  F (T, BOOL, _, immutable, 0, "it is not changed any more") \
  F (T, REC, vmi_data_extra, hvkit, HV_REQUIRED, "beyond Kubernetes")
HV_RECORD_STRUCT (vmi_secret_view, VMI_SECRET_VIEW);
#define VMI_SECRET_LIST(F, T) \
  F (T, RECS, vmi_secret_view, items, HV_REQUIRED, "Secrets, by namespace and name") \
  VMI_MORE_FIELD (F, T) \
  VMI_CURSOR_FIELDS (F, T)
HV_RECORD_STRUCT (vmi_secret_list, VMI_SECRET_LIST);
#define VMI_CONFIG_MAP_VIEW(F, T) \
  F (T, STR, _, apiVersion, HV_REQUIRED, "v1") \
  F (T, STR, _, kind, HV_REQUIRED, "ConfigMap") \
  F (T, REC, vmi_meta_view, metadata, HV_REQUIRED, "metadata") \
  F (T, MAP, _, data, 0, "values as text", .max = VMI_DATA_MAX) \
  F (T, MAP, _, binaryData, 0, "values in base64", .max = VMI_DATA_MAX) \
  F (T, BOOL, _, immutable, 0, "it is not changed any more") \
  F (T, REC, vmi_data_extra, hvkit, HV_REQUIRED, "beyond Kubernetes")
HV_RECORD_STRUCT (vmi_config_map_view, VMI_CONFIG_MAP_VIEW);
#define VMI_CONFIG_MAP_LIST(F, T) \
  F (T, RECS, vmi_config_map_view, items, HV_REQUIRED, "ConfigMaps, by namespace and name") \
  VMI_MORE_FIELD (F, T) \
  VMI_CURSOR_FIELDS (F, T)
HV_RECORD_STRUCT (vmi_config_map_list, VMI_CONFIG_MAP_LIST);

#define VMI_BACKEND_VIEW(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "hypervisor instance") \
  F (T, STR, _, accel, 0, "accelerator in use") \
  F (T, STR, _, version, 0, "version of what drives the machines") \
  F (T, STR, _, reason, 0, "why it does not answer") \
  F (T, STRS, _, machines, 0, "machine types") \
  F (T, STRS, _, cpuModels, 0, "processor models that can be used")
HV_RECORD_STRUCT (vmi_backend_view, VMI_BACKEND_VIEW);
#define VMI_PLUGIN_VIEW(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "plugin instance") \
  F (T, STR, _, state, HV_REQUIRED, "running, or what it is instead") \
  F (T, STR, _, reason, HV_NULLABLE, "why")
HV_RECORD_STRUCT (vmi_plugin_view, VMI_PLUGIN_VIEW);
#define VMI_NODE_VIEW(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name of the node") \
  F (T, STR, _, status, HV_REQUIRED, "Ready, or NotReady when nothing drives machines") \
  F (T, STR, _, arch, HV_REQUIRED, "Kubernetes' word for its processor") \
  F (T, U32, _, cpus, HV_REQUIRED, "processors that are online") \
  F (T, U64, _, memory_bytes, HV_REQUIRED, "memory", .unit = "bytes") \
  F (T, STRS, _, backends, HV_REQUIRED, "hypervisor instances and their accelerator") \
  F (T, STR, _, kernel, HV_REQUIRED, "uname -r") \
  F (T, U32, _, vms, HV_REQUIRED, "virtual machines that run, or are being started") \
  F (T, U64, _, promised_bytes, HV_REQUIRED, "memory that they are reckoned at", .unit = "bytes") \
  F (T, U64, _, reserved_bytes, HV_REQUIRED, "memory that is not for virtual machines", .unit = "bytes") \
  F (T, RECS, vmi_backend_view, hypervisors, HV_REQUIRED, "what drives machines here") \
  F (T, RECS, vmi_plugin_view, plugins, HV_REQUIRED, "plugin instances and their health")
HV_RECORD_STRUCT (vmi_node_view, VMI_NODE_VIEW);
#define VMI_NODE_LIST(F, T) F (T, RECS, vmi_node_view, items, HV_REQUIRED, "this node")
HV_RECORD_STRUCT (vmi_node_list, VMI_NODE_LIST);

/* --- building them; memory is the call's --- */
void vmi_view_meta (const struct vmi_meta *, struct vmi_meta_view *); /* what the object says itself */
int vmi_view_instance (struct vmi_vm *, struct vmi_vmi_view *ret, struct hv_err *);
int vmi_view_vm (struct vmi_vm *, struct vmi_vm_view *ret, struct hv_err *);
int vmi_view_events (struct vmi_vm *, struct vmi_event_view **ret, uint32_t *ret_count, struct hv_err *);
int vmi_view_secret (struct vmi *, const struct vmi_item *, struct vmi_secret_view *ret, struct hv_err *);
int vmi_view_config_map (struct vmi *, const struct vmi_item *, struct vmi_config_map_view *ret, struct hv_err *);
int vmi_view_claim (struct vmi *, const struct vmi_item *, struct vmi_claim_view *ret, struct hv_err *);

/* --- events --- */
#define VMI_OBJECT_EVENT(F, T) \
  F (T, STR, _, type, HV_REQUIRED, "ADDED, MODIFIED or DELETED") \
  F (T, STR, _, kind, HV_REQUIRED, "VirtualMachine, or an instance on its own") \
  F (T, STR, _, namespace, HV_REQUIRED, "namespace") \
  F (T, STR, _, name, HV_REQUIRED, "name") \
  F (T, STR, _, uid, 0, "of the object") \
  F (T, STR, _, phase, 0, "of its instance; absent: there is none") \
  F (T, STR, _, printableStatus, 0, "Running, Stopped …") \
  F (T, BOOL, _, ready, 0, "it is ready") \
  F (T, BOOL, _, agentConnected, 0, "its guest agent answers") \
  F (T, U64, _, generation, 0, "of its spec")
HV_RECORD_STRUCT (vmi_object_event, VMI_OBJECT_EVENT);
#define VMI_NOTE_EVENT(F, T) \
  F (T, STR, _, kind, HV_REQUIRED, "of the object") \
  F (T, STR, _, namespace, HV_REQUIRED, "of the object") \
  F (T, STR, _, name, HV_REQUIRED, "of the object") \
  F (T, STR, _, type, HV_REQUIRED, "Normal or Warning") \
  F (T, STR, _, reason, HV_REQUIRED, "one word") \
  F (T, STR, _, message, HV_REQUIRED, "for people")
HV_RECORD_STRUCT (vmi_note_event, VMI_NOTE_EVENT);
/* network.c: the instance's interfaces, from what they were connected to and what the guest agent says. */
int vmi_network_view (struct vmi_vm *, struct vmi_vmi_view *, struct hv_err *);
#endif
