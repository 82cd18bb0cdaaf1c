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
  F (T, U32, _, max_sockets, 0, "room for sockets that are plugged in later; absent: no more than there are", .umin = 1, .max = 512) \
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
extern const char *const hv_shutdown_mode_words[]; /* acpi, agent */
#define HV_SHUTDOWN_ACPI  0u
#define HV_SHUTDOWN_AGENT 1u

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
  F (T, ENUM, hv_shutdown_mode, mode, 0, "who is asked: the ACPI power button or the guest agent", .def = "acpi") \
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
  F (T, STR, _, operation, 0, "what is being done to it, or was interrupted and is being repaired: attach, snapshot, save …") \
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

#define HV_CPU_MODEL(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "as in machine.cpu.model") \
  F (T, BOOL, _, usable, HV_REQUIRED, "this node's processor has all of its features, or they are emulated")
HV_RECORD_STRUCT (hv_cpu_model, HV_CPU_MODEL);

#define HV_PROBE(F, T) \
  F (T, STR, _, backend, HV_REQUIRED, "what drives the machines") \
  F (T, STR, _, version, 0, "its version") \
  F (T, STR, _, binary, 0, "its program") \
  F (T, STR, _, arch, HV_REQUIRED, "guest architecture") \
  F (T, STR, _, accel, HV_REQUIRED, "the accelerator in use") \
  F (T, RECS, hv_accel, accels, 0, "every accelerator tried, and what came of it") \
  F (T, STRS, _, machines, 0, "machine types") \
  F (T, RECS, hv_support, verbs, 0, "verb by verb") \
  F (T, RECS, hv_cpu_model, cpu_models, 0, "processor models; absent: not known")
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

/* --- arguments and results of the further verbs --------------------------------------------------------------- */

/* The field that names the VM; the lane's key of every verb that has it. */
#define HV_VM_FIELD_(F, T) F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190)
#define HV_DISK_FIELD_(F, T, flags_) F (T, STR, _, disk, flags_, "name of the disk in the machine", .pattern = "name")

#define HV_REBOOT_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, ENUM, hv_shutdown_mode, mode, 0, "who is asked", .def = "acpi") \
  F (T, U64, _, grace_ms, 0, "wait this long for the guest, then reset it; 0: only ask", .unit = "ms", .def = "0", .max = 86400000)
HV_RECORD_STRUCT (hv_reboot_args, HV_REBOOT_ARGS);

#define HV_BLOCK_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  HV_DISK_FIELD_ (F, T, 0)
HV_RECORD_STRUCT (hv_block_args, HV_BLOCK_ARGS);

#define HV_BLOCK_INFO(F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, STR, _, path, 0, "image file of the top layer") \
  F (T, ENUM, hv_disk_format, format, 0, "its format") \
  F (T, U64, _, virtual_size_bytes, 0, "size the guest sees", .unit = "bytes") \
  F (T, U64, _, allocated_bytes, 0, "space taken on the host", .unit = "bytes") \
  F (T, U32, _, layers, 0, "images in the chain") \
  F (T, BOOL, _, read_only, 0, "writes are refused") \
  F (T, BOOL, _, tray_open, 0, "cdrom: the tray is open")
HV_RECORD_STRUCT (hv_block_info, HV_BLOCK_INFO);
#define HV_BLOCK_INFOS(F, T) \
  F (T, RECS, hv_block_info, items, HV_REQUIRED, "the disks, in the guest's order") \
  F (T, U64, _, age_ms, 0, "age of this answer", .unit = "ms") \
  F (T, STR, _, source, 0, "live, cache or stored")
HV_RECORD_STRUCT (hv_block_infos, HV_BLOCK_INFOS);

#define HV_BLOCK_STAT(F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, U64, _, read_bytes, 0, "read by the guest", .unit = "bytes") \
  F (T, U64, _, read_ops, 0, "read requests") \
  F (T, U64, _, read_time_ns, 0, "time spent in reads", .unit = "ns") \
  F (T, U64, _, write_bytes, 0, "written by the guest", .unit = "bytes") \
  F (T, U64, _, write_ops, 0, "write requests") \
  F (T, U64, _, write_time_ns, 0, "time spent in writes", .unit = "ns") \
  F (T, U64, _, flush_ops, 0, "flush requests") \
  F (T, U64, _, flush_time_ns, 0, "time spent in flushes", .unit = "ns") \
  F (T, U64, _, discard_bytes, 0, "discarded by the guest", .unit = "bytes") \
  F (T, U64, _, discard_ops, 0, "discard requests") \
  F (T, U64, _, failed_ops, 0, "requests of any kind that failed")
HV_RECORD_STRUCT (hv_block_stat, HV_BLOCK_STAT);
#define HV_BLOCK_STATS(F, T) \
  F (T, RECS, hv_block_stat, items, HV_REQUIRED, "counters since the VM started, per disk") \
  F (T, U64, _, age_ms, 0, "age of this answer", .unit = "ms") \
  F (T, STR, _, source, 0, "live, cache or stored")
HV_RECORD_STRUCT (hv_block_stats, HV_BLOCK_STATS);

extern const char *const hv_block_fault_words[]; /* ok, failed, no_space */
#define HV_BLOCK_ERROR(F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, ENUM, hv_block_fault, fault, HV_REQUIRED, "what holds the disk now") \
  F (T, STR, _, operation, 0, "last failure: read, write, flush or discard") \
  F (T, STR, _, reason, 0, "last failure: the system's words") \
  F (T, U64, _, count, 0, "failures since the VM started") \
  F (T, U64, _, last_ms, 0, "time of the last one, ms since 1970", .unit = "ms")
HV_RECORD_STRUCT (hv_block_error, HV_BLOCK_ERROR);
#define HV_BLOCK_ERRORS(F, T) F (T, RECS, hv_block_error, items, HV_REQUIRED, "disks that failed, or all that were asked for")
HV_RECORD_STRUCT (hv_block_errors, HV_BLOCK_ERRORS);

#define HV_INTERFACE_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, nic, 0, "name of the network card in the machine; absent: all", .pattern = "name")
HV_RECORD_STRUCT (hv_interface_args, HV_INTERFACE_ARGS);

/* Seen from the guest: what it received and what it sent. */
#define HV_INTERFACE_STAT(F, T) \
  F (T, STR, _, nic, HV_REQUIRED, "name of the network card in the machine") \
  F (T, STR, _, tap, 0, "tap device on the host") \
  F (T, U64, _, rx_bytes, 0, "received", .unit = "bytes") \
  F (T, U64, _, rx_packets, 0, "received packets") \
  F (T, U64, _, rx_errors, 0, "receive errors") \
  F (T, U64, _, rx_drops, 0, "dropped on the way in") \
  F (T, U64, _, tx_bytes, 0, "sent", .unit = "bytes") \
  F (T, U64, _, tx_packets, 0, "sent packets") \
  F (T, U64, _, tx_errors, 0, "send errors") \
  F (T, U64, _, tx_drops, 0, "dropped on the way out")
HV_RECORD_STRUCT (hv_interface_stat, HV_INTERFACE_STAT);
#define HV_INTERFACE_STATS(F, T) \
  F (T, RECS, hv_interface_stat, items, HV_REQUIRED, "counters since the VM started, per network card") \
  F (T, U64, _, age_ms, 0, "age of this answer", .unit = "ms")
HV_RECORD_STRUCT (hv_interface_stats, HV_INTERFACE_STATS);

#define HV_MEMORY_STATS(F, T) \
  F (T, U64, _, size_bytes, 0, "what the machine was given", .unit = "bytes") \
  F (T, U64, _, balloon_bytes, 0, "what the balloon leaves to the guest", .unit = "bytes") \
  F (T, U64, _, resident_bytes, 0, "resident on the host", .unit = "bytes") \
  F (T, U64, _, swapped_bytes, 0, "swapped out on the host", .unit = "bytes") \
  F (T, U64, _, guest_total_bytes, 0, "the guest's own figure", .unit = "bytes") \
  F (T, U64, _, guest_free_bytes, 0, "the guest's own figure", .unit = "bytes") \
  F (T, U64, _, guest_available_bytes, 0, "the guest's own figure", .unit = "bytes") \
  F (T, U64, _, guest_caches_bytes, 0, "the guest's own figure", .unit = "bytes") \
  F (T, U64, _, guest_swap_in_bytes, 0, "the guest's own figure", .unit = "bytes") \
  F (T, U64, _, guest_swap_out_bytes, 0, "the guest's own figure", .unit = "bytes") \
  F (T, U64, _, guest_major_faults, 0, "the guest's own figure") \
  F (T, U64, _, guest_minor_faults, 0, "the guest's own figure") \
  F (T, U64, _, guest_age_ms, 0, "age of the guest's figures", .unit = "ms") \
  F (T, U64, _, age_ms, 0, "age of this answer", .unit = "ms")
HV_RECORD_STRUCT (hv_memory_stats, HV_MEMORY_STATS);

#define HV_CPU_STATS(F, T) \
  F (T, U64, _, total_ns, 0, "processor time of the machine's process", .unit = "ns") \
  F (T, U64, _, user_ns, 0, "of it in user mode, guest included", .unit = "ns") \
  F (T, U64, _, system_ns, 0, "of it in the host kernel", .unit = "ns") \
  F (T, U32, _, vcpus, 0, "virtual CPUs") \
  F (T, U32, _, threads, 0, "threads of the machine's process")
HV_RECORD_STRUCT (hv_cpu_stats, HV_CPU_STATS);

#define HV_STATS_ARGS(F, T) \
  F (T, STR, _, vm, 0, "domain name; absent: every VM", .umin = 1, .max = 190) \
  F (T, STRS, _, groups, 0, "of cpu, memory, block, net; absent: all", .max = 8)
HV_RECORD_STRUCT (hv_stats_args, HV_STATS_ARGS);
#define HV_VM_STATS(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name") \
  F (T, ENUM, hv_vm_state, state, HV_REQUIRED, "state") \
  F (T, REC, hv_cpu_stats, cpu, 0, "processor time") \
  F (T, REC, hv_memory_stats, memory, 0, "memory") \
  F (T, RECS, hv_block_stat, block, 0, "per disk") \
  F (T, RECS, hv_interface_stat, net, 0, "per network card") \
  F (T, STRS, _, missing, 0, "groups that were asked for and could not be had in time") \
  F (T, U64, _, age_ms, 0, "age of this answer", .unit = "ms")
HV_RECORD_STRUCT (hv_vm_stats, HV_VM_STATS);
#define HV_STATS(F, T) F (T, RECS, hv_vm_stats, items, HV_REQUIRED, "the VMs, by name")
HV_RECORD_STRUCT (hv_stats, HV_STATS);

/* One device, of one kind. */
#define HV_ATTACH_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, REC, hv_machine_disk, disk, 0, "a disk to plug in") \
  F (T, REC, hv_machine_nic, nic, 0, "a network card to plug in") \
  F (T, BOOL, _, live, 0, "into the running machine", .def = "true") \
  F (T, BOOL, _, config, 0, "into the definition, from the next start", .def = "false")
HV_RECORD_STRUCT (hv_attach_args, HV_ATTACH_ARGS);
#define HV_DETACH_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, device, HV_REQUIRED, "name of a disk or network card", .pattern = "name") \
  F (T, BOOL, _, live, 0, "from the running machine", .def = "true") \
  F (T, BOOL, _, config, 0, "from the definition", .def = "false") \
  F (T, U64, _, grace_ms, 0, "how long the guest may take to let go", .unit = "ms", .def = "10000", .max = 600000)
HV_RECORD_STRUCT (hv_detach_args, HV_DETACH_ARGS);
#define HV_DEVICE(F, T) \
  F (T, STR, _, device, HV_REQUIRED, "name in the machine") \
  F (T, STR, _, address, 0, "where the guest sees it")
HV_RECORD_STRUCT (hv_device, HV_DEVICE);

#define HV_RESIZE_BLOCK_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, U64, _, size_bytes, HV_REQUIRED, "new size; a multiple of 512", .unit = "bytes", .umin = 512, .max = 70368744177664)
HV_RECORD_STRUCT (hv_resize_block_args, HV_RESIZE_BLOCK_ARGS);

#define HV_SET_MEMORY_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, U64, _, memory_bytes, HV_REQUIRED, "what the guest is to have", .unit = "bytes", .umin = 1048576, .max = 17592186044416) \
  F (T, BOOL, _, live, 0, "in the running machine", .def = "true") \
  F (T, BOOL, _, config, 0, "in the definition", .def = "false")
HV_RECORD_STRUCT (hv_set_memory_args, HV_SET_MEMORY_ARGS);
#define HV_SET_VCPUS_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, U32, _, vcpus, HV_REQUIRED, "how many", .umin = 1, .max = 512) \
  F (T, BOOL, _, live, 0, "in the running machine", .def = "true") \
  F (T, BOOL, _, config, 0, "in the definition", .def = "false")
HV_RECORD_STRUCT (hv_set_vcpus_args, HV_SET_VCPUS_ARGS);

/* An overlay to be made the top layer of a disk. The file exists: disk/1 made it. */
#define HV_SNAPSHOT_DISK(F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "the new top layer", .max = 4096) \
  F (T, ENUM, hv_disk_format, format, 0, "its format", .def = "qcow2")
HV_RECORD_STRUCT (hv_snapshot_disk, HV_SNAPSHOT_DISK);
#define HV_SNAPSHOT_CREATE_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, snapshot, HV_REQUIRED, "name of the snapshot", .pattern = "name") \
  F (T, RECS, hv_snapshot_disk, disks, HV_REQUIRED, "disks to snapshot, all at one point in time", .umin = 1, .max = 64) \
  F (T, BOOL, _, quiesce, 0, "freeze the guest's file systems meanwhile", .def = "false") \
  F (T, STR, _, memory_path, HV_PATH, "also save the memory here", .max = 4096)
HV_RECORD_STRUCT (hv_snapshot_create_args, HV_SNAPSHOT_CREATE_ARGS);
#define HV_SNAPSHOT_REF(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, snapshot, HV_REQUIRED, "name of the snapshot", .pattern = "name")
HV_RECORD_STRUCT (hv_snapshot_ref, HV_SNAPSHOT_REF);
#define HV_SNAPSHOT(F, T) \
  F (T, STR, _, snapshot, HV_REQUIRED, "name of the snapshot") \
  F (T, STR, _, parent, 0, "snapshot it was taken on") \
  F (T, U64, _, created_ms, 0, "ms since 1970", .unit = "ms") \
  F (T, ENUM, hv_vm_state, state, 0, "state of the VM then") \
  F (T, BOOL, _, has_memory, 0, "the memory was saved too") \
  F (T, BOOL, _, current, 0, "the VM runs on it now") \
  F (T, RECS, hv_snapshot_disk, disks, 0, "what is in it")
HV_RECORD_STRUCT (hv_snapshot, HV_SNAPSHOT);
#define HV_SNAPSHOTS(F, T) F (T, RECS, hv_snapshot, items, HV_REQUIRED, "oldest first")
HV_RECORD_STRUCT (hv_snapshots, HV_SNAPSHOTS);

#define HV_BLOCK_COMMIT_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, STR, _, top, HV_PATH, "layer whose contents go down; absent: the top one", .max = 4096) \
  F (T, STR, _, base, HV_PATH, "layer that takes them; absent: the one below `top`", .max = 4096) \
  F (T, U64, _, bytes_per_s, 0, "speed limit; 0: none", .def = "0")
HV_RECORD_STRUCT (hv_block_commit_args, HV_BLOCK_COMMIT_ARGS);
#define HV_BLOCK_PULL_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, STR, _, base, HV_PATH, "layer that stays below; absent: none", .max = 4096) \
  F (T, U64, _, bytes_per_s, 0, "speed limit; 0: none", .def = "0")
HV_RECORD_STRUCT (hv_block_pull_args, HV_BLOCK_PULL_ARGS);
#define HV_BLOCK_MIRROR_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "existing image that becomes the copy", .max = 4096) \
  F (T, ENUM, hv_disk_format, format, HV_REQUIRED, "its format") \
  F (T, BOOL, _, top_only, 0, "copy the top layer only", .def = "false") \
  F (T, BOOL, _, pivot, 0, "run on the copy when it is complete", .def = "false") \
  F (T, U64, _, bytes_per_s, 0, "speed limit; 0: none", .def = "0")
HV_RECORD_STRUCT (hv_block_mirror_args, HV_BLOCK_MIRROR_ARGS);

#define HV_BACKUP_DISK(F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "push: the target image; pull: scratch space", .max = 4096) \
  F (T, ENUM, hv_disk_format, format, 0, "its format", .def = "qcow2")
HV_RECORD_STRUCT (hv_backup_disk, HV_BACKUP_DISK);
extern const char *const hv_backup_mode_words[]; /* push, pull */
#define HV_BACKUP_BEGIN_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, ENUM, hv_backup_mode, mode, 0, "write the copy, or serve it over NBD", .def = "push") \
  F (T, RECS, hv_backup_disk, disks, HV_REQUIRED, "what to back up, all at one point in time", .umin = 1, .max = 64) \
  F (T, STR, _, checkpoint, 0, "name of a checkpoint to make at that point", .pattern = "name") \
  F (T, STR, _, since, 0, "only what changed since this checkpoint", .pattern = "name") \
  F (T, BOOL, _, quiesce, 0, "freeze the guest's file systems at that point", .def = "false")
HV_RECORD_STRUCT (hv_backup_begin_args, HV_BACKUP_BEGIN_ARGS);
#define HV_BACKUP(F, T) \
  F (T, ENUM, hv_backup_mode, mode, HV_REQUIRED, "push or pull") \
  F (T, STR, _, nbd_path, 0, "pull: UNIX socket of the NBD server; one export per disk, named as the disk")
HV_RECORD_STRUCT (hv_backup, HV_BACKUP);
#define HV_BACKUP_END_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, BOOL, _, abort, 0, "give up what is under way", .def = "false")
HV_RECORD_STRUCT (hv_backup_end_args, HV_BACKUP_END_ARGS);

#define HV_SAVE_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "file for the machine's state; must not exist", .max = 4096)
HV_RECORD_STRUCT (hv_save_args, HV_SAVE_ARGS);
#define HV_RESTORE_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "file that save wrote", .max = 4096) \
  F (T, BOOL, _, paused, 0, "stay paused", .def = "false")
HV_RECORD_STRUCT (hv_restore_args, HV_RESTORE_ARGS);

#define HV_MIGRATE_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, uri, HV_REQUIRED, "where migrate_in listens: unix:PATH or tcp:HOST:PORT", .max = 4096) \
  F (T, BOOL, _, copy_storage, 0, "also copy the disks", .def = "false") \
  F (T, BOOL, _, post_copy, 0, "switch over before all memory is there", .def = "false") \
  F (T, BOOL, _, auto_converge, 0, "slow the guest down if it writes faster than the line", .def = "false") \
  F (T, U64, _, bytes_per_s, 0, "speed limit; 0: none", .def = "0") \
  F (T, U32, _, downtime_ms, 0, "pause that is acceptable", .unit = "ms", .def = "300", .umin = 1, .max = 60000)
HV_RECORD_STRUCT (hv_migrate_args, HV_MIGRATE_ARGS);
#define HV_MIGRATE_RESULT(F, T) \
  F (T, U64, _, total_ms, 0, "from begin to end", .unit = "ms") \
  F (T, U64, _, downtime_ms, 0, "the guest stood still", .unit = "ms") \
  F (T, U64, _, transferred_bytes, 0, "sent", .unit = "bytes")
HV_RECORD_STRUCT (hv_migrate_result, HV_MIGRATE_RESULT);
#define HV_MIGRATE_IN_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, REC, hv_machine, machine, HV_REQUIRED, "the machine as it was defined at the source") \
  F (T, STR, _, uri, HV_REQUIRED, "where to listen: unix:PATH or tcp:HOST:PORT", .max = 4096)
HV_RECORD_STRUCT (hv_migrate_in_args, HV_MIGRATE_IN_ARGS);
#define HV_MIGRATE_IN_RESULT(F, T) F (T, STR, _, uri, HV_REQUIRED, "for migrate at the source")
HV_RECORD_STRUCT (hv_migrate_in_result, HV_MIGRATE_IN_RESULT);

extern const char *const hv_dump_format_words[]; /* elf, kdump-zlib, kdump-lzo, kdump-snappy, win-dmp */
#define HV_DUMP_MEMORY_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "file to write; must not exist", .max = 4096) \
  F (T, ENUM, hv_dump_format, format, 0, "its format", .def = "elf")
HV_RECORD_STRUCT (hv_dump_memory_args, HV_DUMP_MEMORY_ARGS);

/* Byte streams: the token is for bus.attach on a second connection, once. */
#define HV_CONSOLE_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, BOOL, _, force, 0, "end another session of this console", .def = "false")
HV_RECORD_STRUCT (hv_console_args, HV_CONSOLE_ARGS);
#define HV_STREAM_ANSWER(F, T) F (T, STR, _, token, HV_REQUIRED | HV_SECRET | HV_STREAM_TOKEN, "for bus.attach, valid once")
HV_RECORD_STRUCT (hv_stream_answer, HV_STREAM_ANSWER);

extern const char *const hv_log_source_words[]; /* serial, firmware, hypervisor, all */
#define HV_LOG_SERIAL     0u
#define HV_LOG_FIRMWARE   1u
#define HV_LOG_HYPERVISOR 2u
#define HV_LOG_EVERY      3u
#define HV_LOGS_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, ENUM, hv_log_source, source, 0, "whose words; all: each line with its source before it", .def = "serial") \
  F (T, BOOL, _, follow, 0, "go on with what comes, until the machine ends", .def = "false") \
  F (T, U64, _, tail, 0, "only so many of the last lines; absent: all that is kept", .max = 1000000000)
HV_RECORD_STRUCT (hv_logs_args, HV_LOGS_ARGS);

extern const char *const hv_screenshot_format_words[]; /* png, ppm */
#define HV_SCREENSHOT_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, ENUM, hv_screenshot_format, format, 0, "format of the picture", .def = "png")
HV_RECORD_STRUCT (hv_screenshot_args, HV_SCREENSHOT_ARGS);
#define HV_SCREENSHOT(F, T) \
  F (T, BIN, _, picture, HV_REQUIRED, "the picture") \
  F (T, ENUM, hv_screenshot_format, format, HV_REQUIRED, "its format") \
  F (T, U32, _, width, 0, "pixels") \
  F (T, U32, _, height, 0, "pixels")
HV_RECORD_STRUCT (hv_screenshot, HV_SCREENSHOT);

#define HV_SEND_KEY_ARGS(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STRS, _, keys, HV_REQUIRED, "pressed together: ctrl, alt, delete, f1, a …", .umin = 1, .max = 16) \
  F (T, U32, _, hold_ms, 0, "how long", .unit = "ms", .def = "100", .umin = 1, .max = 10000)
HV_RECORD_STRUCT (hv_send_key_args, HV_SEND_KEY_ARGS);

/* --- further events: every libvirt domain event has its place --- */
#define HV_IO_ERROR(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, disk, 0, "name of the disk in the machine") \
  F (T, STR, _, path, 0, "image file") \
  F (T, STR, _, operation, 0, "read, write, flush or discard") \
  F (T, STR, _, action, 0, "what came of it: stop, report or ignore") \
  F (T, STR, _, reason, 0, "the system's words") \
  F (T, BOOL, _, no_space, 0, "the file system is full")
HV_RECORD_STRUCT (hv_io_error, HV_IO_ERROR);

/* device_added, device_removed, device_removal_failed. */
#define HV_DEVICE_EVENT(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, device, HV_REQUIRED, "name in the machine") \
  F (T, STR, _, reason, 0, "why not")
HV_RECORD_STRUCT (hv_device_event, HV_DEVICE_EVENT);

/* memory_size, balloon. */
#define HV_MEMORY_EVENT(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, device, 0, "memory device") \
  F (T, U64, _, size_bytes, HV_REQUIRED, "what the guest has now", .unit = "bytes")
HV_RECORD_STRUCT (hv_memory_event, HV_MEMORY_EVENT);

#define HV_BLOCK_JOB(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, disk, 0, "name of the disk in the machine") \
  F (T, STR, _, job, 0, "name of the job") \
  F (T, STR, _, kind, 0, "commit, pull, mirror or backup") \
  F (T, STR, _, status, HV_REQUIRED, "ready, completed, failed or cancelled") \
  F (T, STR, _, reason, 0, "why it failed")
HV_RECORD_STRUCT (hv_block_job, HV_BLOCK_JOB);

#define HV_BLOCK_THRESHOLD(F, T) \
  HV_VM_FIELD_ (F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, U64, _, threshold_bytes, HV_REQUIRED, "offset that was set", .unit = "bytes") \
  F (T, U64, _, excess_bytes, 0, "how far beyond it the guest wrote", .unit = "bytes")
HV_RECORD_STRUCT (hv_block_threshold, HV_BLOCK_THRESHOLD);

#define HV_WATCHDOG_EVENT(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, action, HV_REQUIRED, "reset, shutdown, poweroff, pause, none …")
HV_RECORD_STRUCT (hv_watchdog_event, HV_WATCHDOG_EVENT);

#define HV_REBOOT_EVENT(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, BOOL, _, by_guest, 0, "the guest did it")
HV_RECORD_STRUCT (hv_reboot_event, HV_REBOOT_EVENT);

#define HV_MIGRATION_EVENT(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, status, HV_REQUIRED, "setup, active, pre-switchover, post-copy, completed, failed, cancelled") \
  F (T, U32, _, iteration, 0, "round over the memory")
HV_RECORD_STRUCT (hv_migration_event, HV_MIGRATION_EVENT);

#define HV_JOB_COMPLETED(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, job, HV_REQUIRED, "save, dump, migrate, backup …") \
  F (T, BOOL, _, ok, HV_REQUIRED, "it succeeded") \
  F (T, STR, _, reason, 0, "why not") \
  F (T, U64, _, total_ms, 0, "how long it took", .unit = "ms") \
  F (T, U64, _, transferred_bytes, 0, "what it moved", .unit = "bytes")
HV_RECORD_STRUCT (hv_job_completed, HV_JOB_COMPLETED);

#define HV_RTC_CHANGE(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, I64, _, offset_s, HV_REQUIRED, "the guest set its clock: distance to UTC", .unit = "s")
HV_RECORD_STRUCT (hv_rtc_change, HV_RTC_CHANGE);

#define HV_GUEST_PANIC(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, action, 0, "pause, poweroff or run") \
  F (T, STR, _, detail, 0, "what the guest said of it")
HV_RECORD_STRUCT (hv_guest_panic, HV_GUEST_PANIC);

#define HV_TRAY_CHANGE(F, T) \
  HV_VM_FIELD_ (F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, BOOL, _, open, HV_REQUIRED, "the tray is open")
HV_RECORD_STRUCT (hv_tray_change, HV_TRAY_CHANGE);

#define HV_DISK_CHANGE(F, T) \
  HV_VM_FIELD_ (F, T) \
  HV_DISK_FIELD_ (F, T, HV_REQUIRED) \
  F (T, STR, _, was_path, 0, "medium before") \
  F (T, STR, _, path, 0, "medium now; absent: none")
HV_RECORD_STRUCT (hv_disk_change, HV_DISK_CHANGE);

#define HV_GRAPHICS_EVENT(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, phase, HV_REQUIRED, "connected, initialized or disconnected") \
  F (T, STR, _, client, 0, "who")
HV_RECORD_STRUCT (hv_graphics_event, HV_GRAPHICS_EVENT);

/* power_management: S3, S4 and the way back. */
#define HV_PM_EVENT(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, phase, HV_REQUIRED, "suspend, suspend_disk or wakeup")
HV_RECORD_STRUCT (hv_pm_event, HV_PM_EVENT);

#define HV_MEMORY_FAILURE(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, recipient, HV_REQUIRED, "hypervisor or guest") \
  F (T, STR, _, action, HV_REQUIRED, "ignore, inject, fatal or reset") \
  F (T, BOOL, _, recursive, 0, "while handling another")
HV_RECORD_STRUCT (hv_memory_failure, HV_MEMORY_FAILURE);

#define HV_NIC_MAC_CHANGE(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, STR, _, nic, HV_REQUIRED, "name of the network card in the machine") \
  F (T, STR, _, was_mac, 0, "before") \
  F (T, STR, _, mac, HV_REQUIRED, "now")
HV_RECORD_STRUCT (hv_nic_mac_change, HV_NIC_MAC_CHANGE);

/* tunable and metadata_change: something of the configuration was changed from outside hvkit. */
#define HV_CONFIG_EVENT(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, MAP, _, changed, 0, "what, and its new value", .max = 64)
HV_RECORD_STRUCT (hv_config_event, HV_CONFIG_EVENT);

/* control: the connection to the hypervisor was lost or is back; events may have been missed in between. */
#define HV_CONTROL_EVENT(F, T) \
  HV_VM_FIELD_ (F, T) \
  F (T, BOOL, _, connected, HV_REQUIRED, "it answers") \
  F (T, BOOL, _, gap, 0, "events may have been missed: read the state")
HV_RECORD_STRUCT (hv_control_event, HV_CONTROL_EVENT);

/* --- the verbs: base tables for HV_IMPLEMENT --- */
extern const struct hv_method hv_hypervisor_probe, hv_hypervisor_define, hv_hypervisor_start, hv_hypervisor_shutdown,
    hv_hypervisor_stop, hv_hypervisor_undefine, hv_hypervisor_list, hv_hypervisor_get, hv_hypervisor_native,
    hv_hypervisor_adopt, hv_hypervisor_stats, hv_hypervisor_agent_command;
extern const struct hv_method hv_hypervisor_pause, hv_hypervisor_resume, hv_hypervisor_reset, hv_hypervisor_reboot,
    hv_hypervisor_block_info, hv_hypervisor_block_stats, hv_hypervisor_block_errors, hv_hypervisor_interface_stats,
    hv_hypervisor_memory_stats, hv_hypervisor_attach, hv_hypervisor_detach, hv_hypervisor_resize_block,
    hv_hypervisor_set_memory, hv_hypervisor_set_vcpus, hv_hypervisor_snapshot_create, hv_hypervisor_snapshot_list,
    hv_hypervisor_snapshot_revert, hv_hypervisor_snapshot_delete, hv_hypervisor_block_commit, hv_hypervisor_block_pull,
    hv_hypervisor_block_mirror, hv_hypervisor_backup_begin, hv_hypervisor_backup_end, hv_hypervisor_save,
    hv_hypervisor_restore, hv_hypervisor_migrate, hv_hypervisor_migrate_in, hv_hypervisor_dump_memory,
    hv_hypervisor_console, hv_hypervisor_display, hv_hypervisor_screenshot, hv_hypervisor_send_key, hv_hypervisor_logs;
extern const struct hv_iface hv_iface_hypervisor;

#ifdef __cplusplus
}
#endif
#endif
