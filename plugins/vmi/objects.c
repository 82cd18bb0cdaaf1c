/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects.h"
#include <string.h>

const char *const vmi_tray_words[] = { "closed", "open", NULL };
const char *const vmi_protocol_words[] = { "TCP", "UDP", "SCTP", NULL };
const char *const vmi_cache_words[] = { "none", "writethrough", "writeback", NULL };
const char *const vmi_host_disk_words[] = { "Disk", "DiskOrCreate", NULL };
const char *const vmi_pull_policy_words[] = { "Always", "IfNotPresent", "Never", NULL };
const char *const vmi_start_strategy_words[] = { "Paused", NULL };
const char *const vmi_eviction_words[] = { "None", "LiveMigrate", "LiveMigrateIfPossible", "External", NULL };
const char *const vmi_strategy_words[] = { "Always", "Halted", "Manual", "RerunOnFailure", "Once", NULL };
const char *const vmi_volume_mode_words[] = { "Filesystem", "Block", NULL };
const char *const vmi_kind_words[]
    = { "VirtualMachine", "VirtualMachineInstance", "PersistentVolumeClaim", "Secret", "ConfigMap", NULL };
const char *const vmi_resource_words[]
    = { "virtualmachine.kubevirt.io", "virtualmachineinstance.kubevirt.io", "persistentvolumeclaim", "secret", "configmap", NULL };

HV_RECORD_TABLE (vmi_meta, VMI_META, "metadata");
HV_RECORD_TABLE (vmi_template_meta, VMI_TEMPLATE_META, "metadata of a template");
HV_RECORD_TABLE (vmi_cpu, VMI_CPU, "processor");
HV_RECORD_TABLE (vmi_memory, VMI_MEMORY, "memory");
HV_RECORD_TABLE (vmi_resource_list, VMI_RESOURCE_LIST, "amounts of resources");
HV_RECORD_TABLE (vmi_resources, VMI_RESOURCES, "resources of the node");
HV_RECORD_TABLE (vmi_machine, VMI_MACHINE, "machine type");
HV_RECORD_TABLE (vmi_feature_state, VMI_FEATURE_STATE, "a feature");
HV_RECORD_TABLE (vmi_features, VMI_FEATURES, "features");
HV_RECORD_TABLE (vmi_kernel_container, VMI_KERNEL_CONTAINER, "image that has a kernel");
HV_RECORD_TABLE (vmi_kernel_boot, VMI_KERNEL_BOOT, "direct kernel boot");
HV_RECORD_TABLE (vmi_firmware, VMI_FIRMWARE, "firmware");
HV_RECORD_TABLE (vmi_disk_target, VMI_DISK_TARGET, "a hard disk");
HV_RECORD_TABLE (vmi_cdrom_target, VMI_CDROM_TARGET, "a CD-ROM");
HV_RECORD_TABLE (vmi_disk, VMI_DISK, "a disk");
HV_RECORD_TABLE (vmi_input, VMI_INPUT, "an input device");
HV_RECORD_EMPTY_TABLE (vmi_bridge, "bridge binding");
HV_RECORD_EMPTY_TABLE (vmi_masquerade, "masquerade binding");
HV_RECORD_TABLE (vmi_port, VMI_PORT, "a port");
HV_RECORD_TABLE (vmi_private_option, VMI_PRIVATE_OPTION, "a private DHCP option");
HV_RECORD_TABLE (vmi_dhcp_options, VMI_DHCP_OPTIONS, "DHCP options");
HV_RECORD_TABLE (vmi_interface, VMI_INTERFACE, "a network interface");
HV_RECORD_TABLE (vmi_devices, VMI_DEVICES, "devices");
HV_RECORD_TABLE (vmi_domain, VMI_DOMAIN, "the machine");
HV_RECORD_TABLE (vmi_claim, VMI_CLAIM, "refers to a claim");
HV_RECORD_TABLE (vmi_ephemeral, VMI_EPHEMERAL, "an overlay over a claim's disk");
HV_RECORD_TABLE (vmi_host_disk, VMI_HOST_DISK, "a file on the node");
HV_RECORD_TABLE (vmi_container_disk, VMI_CONTAINER_DISK, "an image in a registry");
HV_RECORD_TABLE (vmi_empty_disk, VMI_EMPTY_DISK, "an empty disk for one run");
HV_RECORD_TABLE (vmi_local_ref, VMI_LOCAL_REF, "refers to an object of the same namespace");
HV_RECORD_TABLE (vmi_cloud_init, VMI_CLOUD_INIT, "cloud-init");
HV_RECORD_TABLE (vmi_secret_volume, VMI_SECRET_VOLUME, "a Secret as a disk");
HV_RECORD_TABLE (vmi_config_map_volume, VMI_CONFIG_MAP_VOLUME, "a ConfigMap as a disk");
HV_RECORD_TABLE (vmi_sysprep, VMI_SYSPREP, "answers of Windows' setup");
HV_RECORD_TABLE (vmi_volume, VMI_VOLUME, "a volume");
HV_RECORD_EMPTY_TABLE (vmi_pod_network, "the pod's network");
HV_RECORD_TABLE (vmi_multus_network, VMI_MULTUS_NETWORK, "a network of the node");
HV_RECORD_TABLE (vmi_network, VMI_NETWORK, "a network");
HV_RECORD_TABLE (vmi_spec, VMI_SPEC, "spec of a VirtualMachineInstance");
HV_RECORD_TABLE (vmi_template, VMI_TEMPLATE, "template of an instance");
HV_RECORD_TABLE (vmi_vm_spec, VMI_VM_SPEC, "spec of a VirtualMachine");
HV_RECORD_TABLE (vmi_head, VMI_HEAD_FIELDS, "an object");
HV_RECORD_TABLE (vmi_virtual_machine, VMI_VIRTUAL_MACHINE, "VirtualMachine");
HV_RECORD_TABLE (vmi_instance, VMI_INSTANCE, "VirtualMachineInstance");
HV_RECORD_TABLE (vmi_storage_list, VMI_STORAGE_LIST, "amount of storage");
HV_RECORD_TABLE (vmi_claim_resources, VMI_CLAIM_RESOURCES, "resources of a claim");
HV_RECORD_TABLE (vmi_claim_spec, VMI_CLAIM_SPEC, "spec of a PersistentVolumeClaim");
HV_RECORD_TABLE (vmi_claim_object, VMI_CLAIM_OBJECT, "PersistentVolumeClaim");
HV_RECORD_TABLE (vmi_secret, VMI_SECRET, "Secret");
HV_RECORD_TABLE (vmi_config_map, VMI_CONFIG_MAP, "ConfigMap");

const char *
vmi_map_get (const struct hv_map *map, const char *key)
{
  for (uint32_t i = 0; i < map->count; i++)
    if (strcmp (map->items[i].key, key) == 0)
      return map->items[i].value;
  return NULL;
}
