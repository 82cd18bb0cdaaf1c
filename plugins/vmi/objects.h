/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The KubeVirt and Kubernetes objects that are understood, as field tables named as their types. What is not in a table is
 * refused by name and path. Field names are Kubernetes' own, so they are in camel case. */
#ifndef VMI_OBJECTS_H
#define VMI_OBJECTS_H
#include <hvkit/iface/hypervisor.h>

/* In Kubernetes an optional field that is null is absent. */
#define VMI_OPT HV_NULLABLE
/* Owned by an API server: taken as kubectl apply does, and not kept. */
#define VMI_SERVER_FIELD(F, T, name_) F (T, ANY, _, name_, HV_IGNORED, "owned by the server")

/* --- metadata --- */

#define VMI_META(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name of the object", .pattern = "subdomain") \
  F (T, STR, _, namespace, VMI_OPT, "namespace; absent: the call's, else default", .pattern = "name") \
  F (T, MAP, _, labels, VMI_OPT, "kept and shown", .max = 64) \
  F (T, MAP, _, annotations, VMI_OPT, "kept and shown; those that begin with hvkit.io/ are read", .max = 64) \
  VMI_SERVER_FIELD (F, T, uid) \
  VMI_SERVER_FIELD (F, T, resourceVersion) \
  VMI_SERVER_FIELD (F, T, generation) \
  VMI_SERVER_FIELD (F, T, creationTimestamp) \
  VMI_SERVER_FIELD (F, T, managedFields) \
  VMI_SERVER_FIELD (F, T, finalizers) \
  VMI_SERVER_FIELD (F, T, ownerReferences)
HV_RECORD_STRUCT (vmi_meta, VMI_META);

/* Of a template: it has no name of its own. */
#define VMI_TEMPLATE_META(F, T) \
  F (T, MAP, _, labels, VMI_OPT, "of the instance", .max = 64) \
  F (T, MAP, _, annotations, VMI_OPT, "of the instance", .max = 64) \
  VMI_SERVER_FIELD (F, T, creationTimestamp)
HV_RECORD_STRUCT (vmi_template_meta, VMI_TEMPLATE_META);

/* --- domain --- */

#define VMI_CPU(F, T) \
  F (T, U32, _, cores, VMI_OPT, "cores per socket", .max = 512) \
  F (T, U32, _, sockets, VMI_OPT, "sockets", .max = 512) \
  F (T, U32, _, threads, VMI_OPT, "threads per core", .max = 16) \
  F (T, STR, _, model, VMI_OPT, "host-model, host-passthrough, or a model's name", .umin = 1, .max = 64)
HV_RECORD_STRUCT (vmi_cpu, VMI_CPU);

#define VMI_MEMORY(F, T) F (T, STR, _, guest, VMI_OPT | HV_SCALAR, "memory the guest sees, a quantity", .umin = 1, .max = 64)
HV_RECORD_STRUCT (vmi_memory, VMI_MEMORY);

#define VMI_RESOURCE_LIST(F, T) \
  F (T, STR, _, cpu, VMI_OPT | HV_SCALAR, "a quantity", .umin = 1, .max = 64) \
  F (T, STR, _, memory, VMI_OPT | HV_SCALAR, "a quantity", .umin = 1, .max = 64)
HV_RECORD_STRUCT (vmi_resource_list, VMI_RESOURCE_LIST);
#define VMI_RESOURCES(F, T) \
  F (T, REC, vmi_resource_list, limits, VMI_OPT, "at most") \
  F (T, REC, vmi_resource_list, requests, VMI_OPT, "at least")
HV_RECORD_STRUCT (vmi_resources, VMI_RESOURCES);

#define VMI_MACHINE(F, T) F (T, STR, _, type, VMI_OPT, "q35 or one of its versions", .umin = 1, .max = 64)
HV_RECORD_STRUCT (vmi_machine, VMI_MACHINE);
#define VMI_FEATURE_STATE(F, T) F (T, BOOL, _, enabled, VMI_OPT, "on unless false")
HV_RECORD_STRUCT (vmi_feature_state, VMI_FEATURE_STATE);
#define VMI_FEATURES(F, T) \
  F (T, REC, vmi_feature_state, acpi, VMI_OPT, "ACPI tables") \
  F (T, REC, vmi_feature_state, apic, VMI_OPT, "interrupt controller; every machine has it")
HV_RECORD_STRUCT (vmi_features, VMI_FEATURES);
extern const char *const vmi_pull_policy_words[];
#define VMI_PULL_ALWAYS         0u
#define VMI_PULL_IF_NOT_PRESENT 1u
#define VMI_PULL_NEVER          2u
#define VMI_KERNEL_CONTAINER(F, T) \
  F (T, STR, _, image, HV_REQUIRED, "image in a registry", .max = 1024) \
  F (T, STR, _, imagePullSecret, VMI_OPT, "Secret with the credentials", .pattern = "subdomain") \
  F (T, ENUM, vmi_pull_policy, imagePullPolicy, VMI_OPT, "when it is pulled") \
  F (T, STR, _, kernelPath, VMI_OPT, "the kernel in the image", .umin = 2, .max = 4096) \
  F (T, STR, _, initrdPath, VMI_OPT, "the initial ramdisk in the image", .umin = 2, .max = 4096)
HV_RECORD_STRUCT (vmi_kernel_container, VMI_KERNEL_CONTAINER);
#define VMI_KERNEL_BOOT(F, T) \
  F (T, REC, vmi_kernel_container, container, VMI_OPT, "image that has the kernel") \
  F (T, STR, _, kernelArgs, VMI_OPT, "arguments of the kernel", .max = 2047)
HV_RECORD_STRUCT (vmi_kernel_boot, VMI_KERNEL_BOOT);
#define VMI_FIRMWARE(F, T) \
  F (T, STR, _, uuid, VMI_OPT, "shown to the guest", .pattern = "uuid") \
  F (T, REC, vmi_kernel_boot, kernelBoot, VMI_OPT, "a kernel that is started without the disks")
HV_RECORD_STRUCT (vmi_firmware, VMI_FIRMWARE);

extern const char *const vmi_tray_words[]; /* closed, open */
#define VMI_TRAY_CLOSED 0u
#define VMI_DISK_TARGET(F, T) \
  F (T, ENUM, hv_disk_bus, bus, VMI_OPT, "how the guest sees it; absent: sata") \
  F (T, BOOL, _, readonly, VMI_OPT, "writes are refused")
HV_RECORD_STRUCT (vmi_disk_target, VMI_DISK_TARGET);
#define VMI_CDROM_TARGET(F, T) \
  F (T, ENUM, hv_disk_bus, bus, VMI_OPT, "how the guest sees it; absent: sata") \
  F (T, BOOL, _, readonly, VMI_OPT, "always true") \
  F (T, ENUM, vmi_tray, tray, VMI_OPT, "closed")
HV_RECORD_STRUCT (vmi_cdrom_target, VMI_CDROM_TARGET);

extern const char *const vmi_cache_words[]; /* none, writethrough, writeback */
#define VMI_DISK(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "names the volume it shows", .pattern = "name") \
  F (T, U32, _, bootOrder, VMI_OPT, "1 boots first", .umin = 1, .max = 255) \
  F (T, REC, vmi_disk_target, disk, VMI_OPT, "a hard disk") \
  F (T, REC, vmi_cdrom_target, cdrom, VMI_OPT, "a CD-ROM") \
  F (T, STR, _, serial, VMI_OPT, "serial number shown to the guest", .umin = 1, .max = 36) \
  F (T, ENUM, vmi_cache, cache, VMI_OPT, "host page cache") \
  F (T, ENUM, hv_disk_onerror, errorPolicy, VMI_OPT, "what an I/O error does to the guest")
HV_RECORD_STRUCT (vmi_disk, VMI_DISK);

#define VMI_INPUT(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name of the device", .pattern = "name") \
  F (T, STR, _, type, VMI_OPT, "tablet", .max = 32) \
  F (T, STR, _, bus, VMI_OPT, "usb or virtio", .max = 32)
HV_RECORD_STRUCT (vmi_input, VMI_INPUT);

HV_RECORD_EMPTY_STRUCT (vmi_bridge);
HV_RECORD_EMPTY_STRUCT (vmi_masquerade);
extern const char *const vmi_protocol_words[]; /* TCP, UDP, SCTP */
#define VMI_PORT(F, T) \
  F (T, STR, _, name, VMI_OPT, "name of the port", .pattern = "name") \
  F (T, U32, _, port, HV_REQUIRED, "number", .umin = 1, .max = 65535) \
  F (T, ENUM, vmi_protocol, protocol, VMI_OPT, "absent: TCP")
HV_RECORD_STRUCT (vmi_port, VMI_PORT);
#define VMI_PRIVATE_OPTION(F, T) \
  F (T, U32, _, option, HV_REQUIRED, "number", .umin = 224, .max = 254) \
  F (T, STR, _, value, HV_REQUIRED, "text", .max = 253)
HV_RECORD_STRUCT (vmi_private_option, VMI_PRIVATE_OPTION);
#define VMI_DHCP_OPTIONS(F, T) \
  F (T, STR, _, bootFileName, VMI_OPT, "option 67", .max = 255) \
  F (T, STR, _, tftpServerName, VMI_OPT, "option 66", .max = 255) \
  F (T, STRS, _, ntpServers, VMI_OPT, "option 42", .max = 16) \
  F (T, RECS, vmi_private_option, privateOptions, VMI_OPT, "options 224 to 254", .max = 31)
HV_RECORD_STRUCT (vmi_dhcp_options, VMI_DHCP_OPTIONS);
#define VMI_INTERFACE(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "names the network it is on", .pattern = "name") \
  F (T, REC, vmi_bridge, bridge, VMI_OPT, "bridged to the network") \
  F (T, REC, vmi_masquerade, masquerade, VMI_OPT, "behind NAT") \
  F (T, STR, _, model, VMI_OPT, "virtio, e1000, e1000e, rtl8139, ne2k_pci or pcnet", .umin = 1, .max = 32) \
  F (T, STR, _, macAddress, VMI_OPT, "absent: the network's choice", .pattern = "mac") \
  F (T, U32, _, bootOrder, VMI_OPT, "1 boots first", .umin = 1, .max = 255) \
  F (T, RECS, vmi_port, ports, VMI_OPT, "masquerade: led to the guest; absent: all of them", .max = 256) \
  F (T, REC, vmi_dhcp_options, dhcpOptions, VMI_OPT, "told to the guest by DHCP")
HV_RECORD_STRUCT (vmi_interface, VMI_INTERFACE);

#define VMI_DEVICES(F, T) \
  F (T, RECS, vmi_disk, disks, VMI_OPT, "disks, in the guest's order", .max = 64) \
  F (T, RECS, vmi_input, inputs, VMI_OPT, "input devices", .max = 16) \
  F (T, RECS, vmi_interface, interfaces, VMI_OPT, "network interfaces", .max = 32) \
  F (T, BOOL, _, networkInterfaceMultiqueue, VMI_OPT, "as many queue pairs as there are virtual CPUs") \
  F (T, BOOL, _, autoattachPodInterface, VMI_OPT, "false: no network unless one is listed") \
  F (T, BOOL, _, autoattachGraphicsDevice, VMI_OPT, "false: no VGA and VNC") \
  F (T, BOOL, _, autoattachSerialConsole, VMI_OPT, "false: no serial console") \
  F (T, BOOL, _, autoattachMemBalloon, VMI_OPT, "false: no memory balloon")
HV_RECORD_STRUCT (vmi_devices, VMI_DEVICES);

#define VMI_DOMAIN(F, T) \
  F (T, REC, vmi_cpu, cpu, VMI_OPT, "processor") \
  F (T, REC, vmi_devices, devices, VMI_OPT, "devices") \
  F (T, REC, vmi_features, features, VMI_OPT, "features of the machine") \
  F (T, REC, vmi_firmware, firmware, VMI_OPT, "firmware") \
  F (T, REC, vmi_machine, machine, VMI_OPT, "machine type") \
  F (T, REC, vmi_memory, memory, VMI_OPT, "memory") \
  F (T, REC, vmi_resources, resources, VMI_OPT, "resources of the node")
HV_RECORD_STRUCT (vmi_domain, VMI_DOMAIN);

/* --- volumes and networks --- */

#define VMI_CLAIM(F, T) F (T, STR, _, claimName, HV_REQUIRED, "name of a PersistentVolumeClaim", .pattern = "name")
HV_RECORD_STRUCT (vmi_claim, VMI_CLAIM);
#define VMI_EPHEMERAL(F, T) F (T, REC, vmi_claim, persistentVolumeClaim, HV_REQUIRED, "the base, which is not written")
HV_RECORD_STRUCT (vmi_ephemeral, VMI_EPHEMERAL);
extern const char *const vmi_host_disk_words[]; /* Disk, DiskOrCreate */
#define VMI_HOST_DISK_DISK   0u
#define VMI_HOST_DISK_CREATE 1u
#define VMI_HOST_DISK(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image file on the node", .umin = 2, .max = 1023) \
  F (T, ENUM, vmi_host_disk, type, HV_REQUIRED, "Disk: it exists; DiskOrCreate: made if it does not") \
  F (T, STR, _, capacity, VMI_OPT | HV_SCALAR, "size to make it with, a quantity", .umin = 1, .max = 64)
HV_RECORD_STRUCT (vmi_host_disk, VMI_HOST_DISK);
#define VMI_CONTAINER_DISK(F, T) \
  F (T, STR, _, image, HV_REQUIRED, "image in a registry", .max = 1024) \
  F (T, STR, _, imagePullSecret, VMI_OPT, "Secret with the credentials", .pattern = "subdomain") \
  F (T, ENUM, vmi_pull_policy, imagePullPolicy, VMI_OPT, "when it is pulled") \
  F (T, STR, _, path, VMI_OPT, "the disk in the image; absent: the one file under /disk", .umin = 2, .max = 4096)
HV_RECORD_STRUCT (vmi_container_disk, VMI_CONTAINER_DISK);
#define VMI_EMPTY_DISK(F, T) F (T, STR, _, capacity, HV_REQUIRED | HV_SCALAR, "its size, a quantity", .umin = 1, .max = 64)
HV_RECORD_STRUCT (vmi_empty_disk, VMI_EMPTY_DISK);

#define VMI_LOCAL_REF(F, T) F (T, STR, _, name, HV_REQUIRED, "name of an object in the same namespace", .pattern = "subdomain")
HV_RECORD_STRUCT (vmi_local_ref, VMI_LOCAL_REF);
#define VMI_CLOUD_INIT(F, T) \
  F (T, STR, _, userData, VMI_OPT, "cloud-init's user data") \
  F (T, STR, _, userDataBase64, VMI_OPT, "the same in base64") \
  F (T, REC, vmi_local_ref, secretRef, VMI_OPT, "Secret that has the user data, under userdata or userData") \
  F (T, STR, _, networkData, VMI_OPT, "cloud-init's network configuration") \
  F (T, STR, _, networkDataBase64, VMI_OPT, "the same in base64") \
  F (T, REC, vmi_local_ref, networkDataSecretRef, VMI_OPT, \
     "Secret that has the network configuration, under networkdata or networkData")
HV_RECORD_STRUCT (vmi_cloud_init, VMI_CLOUD_INIT);
#define VMI_SECRET_VOLUME(F, T) \
  F (T, STR, _, secretName, HV_REQUIRED, "name of a Secret in the same namespace", .pattern = "subdomain") \
  F (T, BOOL, _, optional, VMI_OPT, "without it the disk is empty") \
  F (T, STR, _, volumeLabel, VMI_OPT, "label of the file system; absent: cfgdata", .umin = 1, .max = 32)
HV_RECORD_STRUCT (vmi_secret_volume, VMI_SECRET_VOLUME);
#define VMI_CONFIG_MAP_VOLUME(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name of a ConfigMap in the same namespace", .pattern = "subdomain") \
  F (T, BOOL, _, optional, VMI_OPT, "without it the disk is empty") \
  F (T, STR, _, volumeLabel, VMI_OPT, "label of the file system; absent: cfgdata", .umin = 1, .max = 32)
HV_RECORD_STRUCT (vmi_config_map_volume, VMI_CONFIG_MAP_VOLUME);
#define VMI_SYSPREP(F, T) \
  F (T, REC, vmi_local_ref, secret, VMI_OPT, "Secret that has autounattend.xml or unattend.xml") \
  F (T, REC, vmi_local_ref, configMap, VMI_OPT, "ConfigMap that has it")
HV_RECORD_STRUCT (vmi_sysprep, VMI_SYSPREP);

#define VMI_VOLUME(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name of the volume", .pattern = "name") \
  F (T, REC, vmi_claim, persistentVolumeClaim, VMI_OPT, "a claim's disk.img") \
  F (T, REC, vmi_host_disk, hostDisk, VMI_OPT, "a file on the node") \
  F (T, REC, vmi_ephemeral, ephemeral, VMI_OPT, "an overlay that lives as long as one run") \
  F (T, REC, vmi_container_disk, containerDisk, VMI_OPT, "an image in a registry, under an overlay that lives as long as one run") \
  F (T, REC, vmi_empty_disk, emptyDisk, VMI_OPT, "an empty disk that lives as long as one run") \
  F (T, REC, vmi_cloud_init, cloudInitNoCloud, VMI_OPT, "a disk that cloud-init reads (NoCloud), made for each run") \
  F (T, REC, vmi_cloud_init, cloudInitConfigDrive, VMI_OPT, "the same in the form of OpenStack's config drive") \
  F (T, REC, vmi_secret_volume, secret, VMI_OPT, "a disk with the values of a Secret as files, made for each run") \
  F (T, REC, vmi_config_map_volume, configMap, VMI_OPT, "a disk with the values of a ConfigMap as files, made for each run") \
  F (T, REC, vmi_sysprep, sysprep, VMI_OPT, "a disk with the answers of Windows' setup, made for each run")
HV_RECORD_STRUCT (vmi_volume, VMI_VOLUME);

HV_RECORD_EMPTY_STRUCT (vmi_pod_network);
#define VMI_MULTUS_NETWORK(F, T) \
  F (T, STR, _, networkName, HV_REQUIRED, "network of the node, [NAMESPACE/]NAME", .umin = 1, .max = 127)
HV_RECORD_STRUCT (vmi_multus_network, VMI_MULTUS_NETWORK);
#define VMI_NETWORK(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name of the network", .pattern = "name") \
  F (T, REC, vmi_pod_network, pod, VMI_OPT, "the pod's network") \
  F (T, REC, vmi_multus_network, multus, VMI_OPT, "a further network")
HV_RECORD_STRUCT (vmi_network, VMI_NETWORK);

/* --- VirtualMachineInstance, VirtualMachine --- */

extern const char *const vmi_eviction_words[]; /* None, LiveMigrate, LiveMigrateIfPossible, External */
#define VMI_EVICTION_NONE 0u
extern const char *const vmi_start_strategy_words[]; /* Paused */
#define VMI_SPEC(F, T) \
  F (T, STR, _, architecture, VMI_OPT, "CPU architecture, Kubernetes' word", .umin = 1, .max = 16) \
  F (T, REC, vmi_domain, domain, HV_REQUIRED, "the machine") \
  F (T, STR, _, hostname, VMI_OPT, "name the guest is told; absent: the VM's", .pattern = "name") \
  F (T, ENUM, vmi_eviction, evictionStrategy, VMI_OPT, "None: this node has nowhere to move it to") \
  F (T, RECS, vmi_network, networks, VMI_OPT, "networks", .max = 32) \
  F (T, MAP, _, nodeSelector, VMI_OPT, "labels the node must have", .max = 64) \
  F (T, ENUM, vmi_start_strategy, startStrategy, VMI_OPT, "Paused: the guest does not run before somebody unpauses it") \
  F (T, I64, _, terminationGracePeriodSeconds, VMI_OPT, "how long the guest may take to shut down", .unit = "s", .max = 86400) \
  F (T, RECS, vmi_volume, volumes, VMI_OPT, "what the disks show", .max = 64)
HV_RECORD_STRUCT (vmi_spec, VMI_SPEC);

#define VMI_TEMPLATE(F, T) \
  F (T, REC, vmi_template_meta, metadata, VMI_OPT, "metadata of the instance") \
  F (T, REC, vmi_spec, spec, HV_REQUIRED, "the instance")
HV_RECORD_STRUCT (vmi_template, VMI_TEMPLATE);

extern const char *const vmi_strategy_words[]; /* Always, Halted, Manual, RerunOnFailure, Once */
#define VMI_ALWAYS           0u
#define VMI_HALTED           1u
#define VMI_MANUAL           2u
#define VMI_RERUN_ON_FAILURE 3u
#define VMI_ONCE             4u
#define VMI_VM_SPEC(F, T) \
  F (T, BOOL, _, running, VMI_OPT, "true: Always, false: Halted; instead of runStrategy") \
  F (T, ENUM, vmi_strategy, runStrategy, VMI_OPT, "when it runs") \
  F (T, REC, vmi_template, template, HV_REQUIRED, "the instance it makes")
HV_RECORD_STRUCT (vmi_vm_spec, VMI_VM_SPEC);

#define VMI_HEAD_FIELDS(F, T) \
  F (T, STR, _, apiVersion, HV_REQUIRED, "group and version", .max = 128) \
  F (T, STR, _, kind, HV_REQUIRED, "type of the object", .max = 128)
HV_RECORD_STRUCT (vmi_head, VMI_HEAD_FIELDS);

#define VMI_VIRTUAL_MACHINE(F, T) \
  VMI_HEAD_FIELDS (F, T) \
  F (T, REC, vmi_meta, metadata, HV_REQUIRED, "name and labels") \
  F (T, REC, vmi_vm_spec, spec, HV_REQUIRED, "what is wanted") \
  VMI_SERVER_FIELD (F, T, status)
HV_RECORD_STRUCT (vmi_virtual_machine, VMI_VIRTUAL_MACHINE);

#define VMI_INSTANCE(F, T) \
  VMI_HEAD_FIELDS (F, T) \
  F (T, REC, vmi_meta, metadata, HV_REQUIRED, "name and labels") \
  F (T, REC, vmi_spec, spec, HV_REQUIRED, "what is wanted") \
  VMI_SERVER_FIELD (F, T, status)
HV_RECORD_STRUCT (vmi_instance, VMI_INSTANCE);

/* --- PersistentVolumeClaim --- */

#define VMI_STORAGE_LIST(F, T) F (T, STR, _, storage, HV_REQUIRED | HV_SCALAR, "size, a quantity", .umin = 1, .max = 64)
HV_RECORD_STRUCT (vmi_storage_list, VMI_STORAGE_LIST);
#define VMI_CLAIM_RESOURCES(F, T) F (T, REC, vmi_storage_list, requests, HV_REQUIRED, "what is wanted")
HV_RECORD_STRUCT (vmi_claim_resources, VMI_CLAIM_RESOURCES);
extern const char *const vmi_volume_mode_words[]; /* Filesystem, Block */
#define VMI_VOLUME_MODE_FILESYSTEM 0u
#define VMI_CLAIM_SPEC(F, T) \
  F (T, STRS, _, accessModes, VMI_OPT, "ReadWriteOnce and its like; one node satisfies all", .max = 4) \
  F (T, REC, vmi_claim_resources, resources, HV_REQUIRED, "how large") \
  F (T, ENUM, vmi_volume_mode, volumeMode, VMI_OPT, "Filesystem")
HV_RECORD_STRUCT (vmi_claim_spec, VMI_CLAIM_SPEC);
#define VMI_CLAIM_OBJECT(F, T) \
  VMI_HEAD_FIELDS (F, T) \
  F (T, REC, vmi_meta, metadata, HV_REQUIRED, "name and labels") \
  F (T, REC, vmi_claim_spec, spec, HV_REQUIRED, "what is wanted") \
  VMI_SERVER_FIELD (F, T, status)
HV_RECORD_STRUCT (vmi_claim_object, VMI_CLAIM_OBJECT);

/* --- Secret, ConfigMap --- */

#define VMI_DATA_MAX 256u /* keys */
#define VMI_SECRET(F, T) \
  VMI_HEAD_FIELDS (F, T) \
  F (T, REC, vmi_meta, metadata, HV_REQUIRED, "name and labels") \
  F (T, STR, _, type, VMI_OPT, "Opaque, or what it is for", .umin = 1, .max = 128) \
  F (T, MAP, _, data, VMI_OPT | HV_SECRET, "values in base64", .max = VMI_DATA_MAX) \
  F (T, MAP, _, stringData, VMI_OPT | HV_SECRET, "values as text; kept in data", .max = VMI_DATA_MAX) \
  F (T, BOOL, _, immutable, VMI_OPT, "it is not changed any more")
HV_RECORD_STRUCT (vmi_secret, VMI_SECRET);
#define VMI_CONFIG_MAP(F, T) \
  VMI_HEAD_FIELDS (F, T) \
  F (T, REC, vmi_meta, metadata, HV_REQUIRED, "name and labels") \
  F (T, MAP, _, data, VMI_OPT, "values as text", .max = VMI_DATA_MAX) \
  F (T, MAP, _, binaryData, VMI_OPT, "values in base64", .max = VMI_DATA_MAX) \
  F (T, BOOL, _, immutable, VMI_OPT, "it is not changed any more")
HV_RECORD_STRUCT (vmi_config_map, VMI_CONFIG_MAP);
#define VMI_SECRET_OPAQUE     "Opaque"
#define VMI_SECRET_DOCKER     "kubernetes.io/dockerconfigjson"
#define VMI_SECRET_DOCKER_OLD "kubernetes.io/dockercfg"

#define VMI_KIND_VM         0u
#define VMI_KIND_VMI        1u
#define VMI_KIND_CLAIM      2u
#define VMI_KIND_SECRET     3u
#define VMI_KIND_CONFIG_MAP 4u
#define VMI_KINDS           5u
extern const char *const vmi_kind_words[];     /* VirtualMachine, VirtualMachineInstance, PersistentVolumeClaim … */
extern const char *const vmi_resource_words[]; /* virtualmachine.kubevirt.io …, as kubectl prints them */

#define VMI_ANNOTATION_BACKEND "hvkit.io/backend"
#define VMI_ANNOTATION_NETNS   "hvkit.io/netns"          /* network namespace that is the pod's; absent: one is made for the VM */
#define VMI_ANNOTATION_FORMAT  "hvkit.io/volume-format." /* followed by the volume's name: raw or qcow2 */
const char *vmi_map_get (const struct hv_map *, const char *key); /* NULL: not there */
#endif
