/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hypervisor/1: what every hypervisor backend does, and the neutral description of a machine it is given.
 *
 * Verbs flagged HV_MUST are required of a provider; for every other `probe` says whether this backend on this node can
 * do it. States are libvirt's plus `unreachable` and `unmanaged`; sizes are bytes. */
#ifndef HVKIT_IFACE_HYPERVISOR_H
#define HVKIT_IFACE_HYPERVISOR_H
#include <hvkit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- words --- */
#define HV_VM_STOPPED     0u /* defined, no process */
#define HV_VM_STARTING    1u
#define HV_VM_RUNNING     2u
#define HV_VM_PAUSED      3u
#define HV_VM_STOPPING    4u /* asked to shut down */
#define HV_VM_CRASHED     5u /* the process died, or the guest panicked */
#define HV_VM_SUSPENDED   6u /* guest-initiated S3 */
#define HV_VM_MIGRATING   7u
#define HV_VM_UNREACHABLE 8u /* alive, but does not answer; see unreachable_since_ms */
#define HV_VM_UNMANAGED   9u /* could not be re-adopted; retried, never killed */
#define HV_VM_UNKNOWN     10u /* its record cannot be read */
#define HV_VM_STATES      11u
extern const char *const hv_vm_state_words[];
/* hv_vm_transitions[from][to]: 1 where a backend may report that change. The one table; exported and tested exhaustively. */
extern const uint8_t hv_vm_transitions[HV_VM_STATES][HV_VM_STATES];

#define HV_DISK_RAW   0u
#define HV_DISK_QCOW2 1u
extern const char *const hv_disk_format_words[]; /* also of disk/1 */
#define HV_BUS_VIRTIO 0u
#define HV_BUS_SATA   1u
#define HV_BUS_SCSI   2u
#define HV_BUS_USB    3u
extern const char *const hv_disk_bus_words[];
#define HV_MEDIA_DISK  0u
#define HV_MEDIA_CDROM 1u
extern const char *const hv_disk_media_words[];
#define HV_CACHE_AUTO         0u /* none where the file system has O_DIRECT, else writethrough (KubeVirt's rule) */
#define HV_CACHE_NONE         1u
#define HV_CACHE_WRITETHROUGH 2u
#define HV_CACHE_WRITEBACK    3u
extern const char *const hv_disk_cache_words[];
#define HV_ONERROR_STOP     0u
#define HV_ONERROR_IGNORE   1u
#define HV_ONERROR_REPORT   2u
#define HV_ONERROR_ENOSPACE 3u
extern const char *const hv_disk_onerror_words[];

/* --- the machine --- */

/* One layer of an image chain below the top: read-only, format always declared. The last layer has no backing. */
#define HV_MACHINE_LAYER(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image file", .max = 4096) \
  F (T, ENUM, hv_disk_format, format, HV_REQUIRED, "its format; never guessed")
HV_RECORD_STRUCT (hv_machine_layer, HV_MACHINE_LAYER);

#define HV_MACHINE_DISK(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "unique in the machine", .pattern = "name") \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image file of the top layer", .max = 4096) \
  F (T, ENUM, hv_disk_format, format, HV_REQUIRED, "format of the top layer") \
  F (T, RECS, hv_machine_layer, backing, 0, "layers below, top first", .max = 16) \
  F (T, ENUM, hv_disk_bus, bus, 0, "how the guest sees it", .def = "virtio") \
  F (T, ENUM, hv_disk_media, media, 0, "disk or cdrom", .def = "disk") \
  F (T, BOOL, _, read_only, 0, "writes are refused", .def = "false") \
  F (T, U32, _, boot_order, 0, "1 boots first; absent: not booted from", .umin = 1, .max = 255) \
  F (T, STR, _, serial, 0, "serial number shown to the guest", .max = 36) \
  F (T, ENUM, hv_disk_cache, cache, 0, "host page cache", .def = "auto") \
  F (T, ENUM, hv_disk_onerror, on_error, 0, "what an I/O error does to the guest", .def = "stop")
HV_RECORD_STRUCT (hv_machine_disk, HV_MACHINE_DISK);

#define HV_MACHINE_NIC(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "unique in the machine", .pattern = "name") \
  F (T, STR, _, model, 0, "device model", .def = "virtio") \
  F (T, STR, _, mac, HV_REQUIRED, "guest MAC address", .pattern = "mac") \
  F (T, STR, _, tap, HV_REQUIRED, "tap device on the host", .max = 15) \
  F (T, STR, _, netns, HV_PATH, "network namespace the tap is in; absent: the daemon's", .max = 4096) \
  F (T, U32, _, mtu, 0, "MTU told to the guest", .umin = 68, .max = 65535) \
  F (T, U32, _, queues, 0, "queue pairs", .def = "1", .umin = 1, .max = 256) \
  F (T, U32, _, boot_order, 0, "1 boots first", .umin = 1, .max = 255)
HV_RECORD_STRUCT (hv_machine_nic, HV_MACHINE_NIC);

#define HV_MACHINE_CPU(F, T) \
  F (T, STR, _, model, 0, "host-model, host-passthrough, max, or a model name", .def = "host-model", .max = 64) \
  F (T, U32, _, sockets, 0, "sockets", .def = "1", .umin = 1, .max = 512) \
  F (T, U32, _, cores, 0, "cores per socket", .def = "1", .umin = 1, .max = 512) \
  F (T, U32, _, threads, 0, "threads per core", .def = "1", .umin = 1, .max = 16)
HV_RECORD_STRUCT (hv_machine_cpu, HV_MACHINE_CPU);

/* Direct kernel boot; absent: the firmware boots from the disks. */
#define HV_MACHINE_KERNEL(F, T) \
  F (T, STR, _, kernel, HV_REQUIRED | HV_PATH, "kernel image", .max = 4096) \
  F (T, STR, _, initrd, HV_PATH, "initial ramdisk", .max = 4096) \
  F (T, STR, _, cmdline, 0, "kernel arguments", .max = 2047)
HV_RECORD_STRUCT (hv_machine_kernel, HV_MACHINE_KERNEL);

#define HV_MACHINE_INPUT(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "unique in the machine", .pattern = "name") \
  F (T, STR, _, type, 0, "tablet", .def = "tablet", .max = 32) \
  F (T, STR, _, bus, 0, "usb or virtio", .def = "usb", .max = 32)
HV_RECORD_STRUCT (hv_machine_input, HV_MACHINE_INPUT);

/* The neutral machine: a backend translates it to argv or domain XML, or answers UNIMPLEMENTED with the field's path. */
#define HV_MACHINE(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "domain name; <namespace>_<name> for KubeVirt objects", .umin = 1, .max = 190) \
  F (T, STR, _, uuid, HV_REQUIRED, "firmware UUID", .pattern = "uuid") \
  F (T, STR, _, arch, 0, "CPU architecture, Kubernetes' word", .def = "amd64", .max = 16) \
  F (T, STR, _, machine, 0, "machine type", .def = "q35", .max = 64) \
  F (T, REC, hv_machine_cpu, cpu, 0, "processor") \
  F (T, U64, _, memory_bytes, HV_REQUIRED, "guest memory", .unit = "bytes", .umin = 1048576, .max = 17592186044416) \
  F (T, BOOL, _, acpi, 0, "ACPI tables", .def = "true") \
  F (T, STR, _, firmware, 0, "bios or efi", .def = "bios", .max = 16) \
  F (T, REC, hv_machine_kernel, kernel, 0, "direct kernel boot") \
  F (T, RECS, hv_machine_disk, disks, 0, "disks, in the guest's order", .max = 64) \
  F (T, RECS, hv_machine_nic, nics, 0, "network cards", .max = 32) \
  F (T, RECS, hv_machine_input, inputs, 0, "input devices", .max = 16) \
  F (T, BOOL, _, serial, 0, "serial console on a UNIX socket, logged", .def = "true") \
  F (T, BOOL, _, graphics, 0, "VGA and VNC on a UNIX socket", .def = "true") \
  F (T, BOOL, _, balloon, 0, "memory balloon", .def = "true") \
  F (T, BOOL, _, rng, 0, "virtio random numbers", .def = "false") \
  F (T, BOOL, _, agent, 0, "guest agent channel", .def = "true") \
  F (T, STR, _, watchdog, 0, "watchdog model, i6300esb or itco", .max = 32) \
  F (T, STR, _, watchdog_action, 0, "what an expired watchdog does", .def = "reset", .max = 32) \
  F (T, U32, _, owner_uid, 0, "uid the machine's process runs as; absent: the backend's default") \
  F (T, MAP, _, smbios, 0, "system information: manufacturer, product, family, sku, version, serial", .max = 8) \
  F (T, MAP, _, labels, 0, "kept and returned, not interpreted", .max = 64)
HV_RECORD_STRUCT (hv_machine, HV_MACHINE);

/* --- arguments and results --- */
#define HV_VM_REF(F, T) F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190)
HV_RECORD_STRUCT (hv_vm_ref, HV_VM_REF);

#define HV_DEFINE_ARGS(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name; equals machine.name", .umin = 1, .max = 190) \
  F (T, REC, hv_machine, machine, HV_REQUIRED, "what to define") \
  F (T, BOOL, _, replace, 0, "replace the definition of a stopped VM", .def = "false")
HV_RECORD_STRUCT (hv_define_args, HV_DEFINE_ARGS);

#define HV_START_ARGS(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190) \
  F (T, BOOL, _, paused, 0, "stop before the first instruction", .def = "false")
HV_RECORD_STRUCT (hv_start_args, HV_START_ARGS);

#define HV_SHUTDOWN_ARGS(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190) \
  F (T, STR, _, mode, 0, "acpi or agent", .def = "acpi", .max = 16) \
  F (T, U64, _, grace_ms, 0, "wait this long for the guest to go, then stop it; 0: only ask", .unit = "ms", .def = "0", .max = 86400000)
HV_RECORD_STRUCT (hv_shutdown_args, HV_SHUTDOWN_ARGS);

#define HV_LIST_ARGS(F, T) \
  F (T, U32, _, limit, 0, "at most this many rows", .def = "500", .umin = 1, .max = 5000) \
  F (T, STR, _, continue_from, 0, "the previous answer's continue_from", .max = 200)
HV_RECORD_STRUCT (hv_list_args, HV_LIST_ARGS);

#define HV_VM(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name") \
  F (T, STR, _, uuid, 0, "firmware UUID") \
  F (T, ENUM, hv_vm_state, state, HV_REQUIRED, "state") \
  F (T, STR, _, reason, 0, "why it is in this state: booted, user, shutdown, destroyed, crashed, io_error, …") \
  F (T, STR, _, detail, 0, "for people: last error, exit code or signal") \
  F (T, U32, _, pid, 0, "process of the machine") \
  F (T, U64, _, since_ms, 0, "time of the last change of state, ms since 1970", .unit = "ms") \
  F (T, U64, _, memory_bytes, 0, "guest memory", .unit = "bytes") \
  F (T, U32, _, vcpus, 0, "virtual CPUs") \
  F (T, BOOL, _, agent_connected, 0, "the guest agent has opened its channel") \
  F (T, BOOL, _, foreign, 0, "not defined through hvkit") \
  F (T, STR, _, accel, 0, "kvm or tcg") \
  F (T, STR, _, machine, 0, "machine type, version pinned") \
  F (T, STR, _, console_path, 0, "UNIX socket of the serial console") \
  F (T, STR, _, vnc_path, 0, "UNIX socket of VNC") \
  F (T, STR, _, log_path, 0, "serial log") \
  F (T, U64, _, unreachable_since_ms, 0, "no reply since, ms since 1970", .unit = "ms") \
  F (T, MAP, _, labels, 0, "from the machine") \
  F (T, U64, _, age_ms, 0, "age of this answer", .unit = "ms") \
  F (T, STR, _, source, 0, "live, cache or stored")
HV_RECORD_STRUCT (hv_vm, HV_VM);

#define HV_VM_LIST(F, T) \
  F (T, RECS, hv_vm, items, HV_REQUIRED, "the VMs, by name") \
  F (T, STR, _, continue_from, 0, "pass it back to get the next page; absent: that was all") \
  F (T, U64, _, epoch, 0, "cursor to watch from") \
  F (T, U64, _, seq, 0, "cursor to watch from")
HV_RECORD_STRUCT (hv_vm_list, HV_VM_LIST);

#define HV_SUPPORT(F, T) \
  F (T, STR, _, verb, HV_REQUIRED, "verb of hypervisor/1") \
  F (T, BOOL, _, supported, HV_REQUIRED, "can be called") \
  F (T, STR, _, reason, 0, "why not, and what would help")
HV_RECORD_STRUCT (hv_support, HV_SUPPORT);

#define HV_ACCEL(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "kvm or tcg") \
  F (T, BOOL, _, works, HV_REQUIRED, "found by running guest code, not by opening a device") \
  F (T, STR, _, reason, 0, "why (not)")
HV_RECORD_STRUCT (hv_accel, HV_ACCEL);

#define HV_PROBE(F, T) \
  F (T, STR, _, backend, HV_REQUIRED, "what drives the machines") \
  F (T, STR, _, version, 0, "its version") \
  F (T, STR, _, binary, 0, "its program") \
  F (T, STR, _, arch, HV_REQUIRED, "guest architecture") \
  F (T, STR, _, accel, HV_REQUIRED, "the accelerator in use") \
  F (T, RECS, hv_accel, accels, 0, "every accelerator tried, and what came of it") \
  F (T, STRS, _, machines, 0, "machine types") \
  F (T, RECS, hv_support, verbs, 0, "verb by verb")
HV_RECORD_STRUCT (hv_probe, HV_PROBE);

#define HV_NATIVE(F, T) \
  F (T, STR, _, format, HV_REQUIRED, "argv or domain-xml") \
  F (T, STRS, _, argv, 0, "command line") \
  F (T, STR, _, xml, 0, "domain XML")
HV_RECORD_STRUCT (hv_native, HV_NATIVE);

#define HV_AGENT_COMMAND_ARGS(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190) \
  F (T, STR, _, command, HV_REQUIRED, "one JSON object, as the agent takes it", .max = 1048576) \
  F (T, U32, _, timeout_ms, 0, "how long to wait for the guest", .unit = "ms", .def = "5000", .umin = 1, .max = 600000)
HV_RECORD_STRUCT (hv_agent_command_args, HV_AGENT_COMMAND_ARGS);
#define HV_AGENT_COMMAND_RESULT(F, T) F (T, STR, _, reply, HV_REQUIRED, "one JSON object, as the agent gave it: {\"return\": …} or {\"error\": …}")
HV_RECORD_STRUCT (hv_agent_command_result, HV_AGENT_COMMAND_RESULT);

/* --- events --- */
#define HV_LIFECYCLE(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name") \
  F (T, ENUM, hv_vm_state, state, HV_REQUIRED, "new state") \
  F (T, ENUM, hv_vm_state, was, 0, "state before") \
  F (T, STR, _, reason, 0, "as in get") \
  F (T, STR, _, detail, 0, "as in get") \
  F (T, U32, _, pid, 0, "process of the machine") \
  F (T, BOOL, _, undefined, 0, "the VM is not defined any more")
HV_RECORD_STRUCT (hv_lifecycle, HV_LIFECYCLE);

#define HV_AGENT_EVENT(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name") \
  F (T, BOOL, _, connected, HV_REQUIRED, "the guest opened or closed the agent channel")
HV_RECORD_STRUCT (hv_agent_event, HV_AGENT_EVENT);

/* --- the verbs: base tables for HV_IMPLEMENT --- */
extern const struct hv_method hv_hypervisor_probe, hv_hypervisor_define, hv_hypervisor_start, hv_hypervisor_shutdown,
    hv_hypervisor_stop, hv_hypervisor_undefine, hv_hypervisor_list, hv_hypervisor_get, hv_hypervisor_native,
    hv_hypervisor_adopt, hv_hypervisor_agent_command, hv_hypervisor_pause, hv_hypervisor_resume;
extern const struct hv_iface hv_iface_hypervisor;

#ifdef __cplusplus
}
#endif
#endif
