/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables of hypervisor/1: words, transitions, records, verbs, events. Linked into every plugin that provides or calls it. */
#include <hvkit/iface/hypervisor.h>

const char *const hv_vm_state_words[] = { "stopped",   "starting",  "running",     "paused",    "stopping", "crashed",
                                          "suspended", "migrating", "unreachable", "unmanaged", "unknown",  NULL };
const char *const hv_disk_format_words[] = { "raw", "qcow2", NULL };
const char *const hv_disk_bus_words[] = { "virtio", "sata", "scsi", "usb", NULL };
const char *const hv_disk_media_words[] = { "disk", "cdrom", NULL };
const char *const hv_disk_cache_words[] = { "auto", "none", "writethrough", "writeback", NULL };
const char *const hv_disk_onerror_words[] = { "stop", "ignore", "report", "enospace", NULL };
const char *const hv_shutdown_mode_words[] = { "acpi", "agent", NULL };
const char *const hv_block_fault_words[] = { "ok", "failed", "no_space", NULL };
const char *const hv_backup_mode_words[] = { "push", "pull", NULL };
const char *const hv_dump_format_words[] = { "elf", "kdump-zlib", "kdump-lzo", "kdump-snappy", "win-dmp", NULL };
const char *const hv_log_source_words[] = { "serial", "firmware", "hypervisor", "all", NULL };
const char *const hv_screenshot_format_words[] = { "png", "ppm", NULL };

/* Rows: from, columns: to. A change to itself is none. A record may turn out unreadable whatever the VM did; a process
 * may be found that no record explains (unmanaged), or lost sight of (unreachable), whenever there is one. */
/* clang-format off */
const uint8_t hv_vm_transitions[HV_VM_STATES][HV_VM_STATES] = {
  /*                     stopped starting running paused stopping crashed suspended migrating unreachable unmanaged unknown */
  [HV_VM_STOPPED]     = { 0,     1,       0,      0,     0,       0,      0,        0,        0,          1,        1 },
  [HV_VM_STARTING]    = { 1,     0,       1,      1,     1,       1,      0,        1,        1,          1,        1 },
  [HV_VM_RUNNING]     = { 1,     0,       0,      1,     1,       1,      1,        1,        1,          1,        1 },
  [HV_VM_PAUSED]      = { 1,     0,       1,      0,     1,       1,      1,        1,        1,          1,        1 },
  [HV_VM_STOPPING]    = { 1,     0,       1,      1,     0,       1,      1,        0,        1,          1,        1 },
  [HV_VM_CRASHED]     = { 1,     1,       1,      1,     1,       0,      0,        0,        1,          1,        1 },
  [HV_VM_SUSPENDED]   = { 1,     0,       1,      1,     1,       1,      0,        1,        1,          1,        1 },
  [HV_VM_MIGRATING]   = { 1,     0,       1,      1,     1,       1,      0,        0,        1,          1,        1 },
  [HV_VM_UNREACHABLE] = { 1,     0,       1,      1,     1,       1,      1,        1,        0,          1,        1 },
  [HV_VM_UNMANAGED]   = { 1,     0,       1,      1,     1,       1,      1,        1,        1,          0,        1 },
  [HV_VM_UNKNOWN]     = { 1,     0,       1,      1,     1,       1,      1,        1,        1,          1,        0 },
};
/* clang-format on */

HV_RECORD_TABLE (hv_machine_layer, HV_MACHINE_LAYER, "one layer of an image chain below the top");
HV_RECORD_TABLE (hv_machine_disk, HV_MACHINE_DISK, "a disk");
HV_RECORD_TABLE (hv_machine_nic, HV_MACHINE_NIC, "a network card");
HV_RECORD_TABLE (hv_machine_cpu, HV_MACHINE_CPU, "the processor");
HV_RECORD_TABLE (hv_machine_kernel, HV_MACHINE_KERNEL, "direct kernel boot");
HV_RECORD_TABLE (hv_machine_input, HV_MACHINE_INPUT, "an input device");
HV_RECORD_TABLE (hv_machine, HV_MACHINE, "the neutral machine");
HV_RECORD_TABLE (hv_vm_ref, HV_VM_REF, "names a VM");
HV_RECORD_TABLE (hv_define_args, HV_DEFINE_ARGS, "arguments of define");
HV_RECORD_TABLE (hv_start_args, HV_START_ARGS, "arguments of start");
HV_RECORD_TABLE (hv_shutdown_args, HV_SHUTDOWN_ARGS, "arguments of shutdown");
HV_RECORD_TABLE (hv_list_args, HV_LIST_ARGS, "arguments of list");
HV_RECORD_TABLE (hv_vm, HV_VM, "a VM as its backend sees it");
HV_RECORD_TABLE (hv_vm_list, HV_VM_LIST, "VMs");
HV_RECORD_TABLE (hv_support, HV_SUPPORT, "whether a verb can be called here");
HV_RECORD_TABLE (hv_accel, HV_ACCEL, "an accelerator");
HV_RECORD_TABLE (hv_cpu_model, HV_CPU_MODEL, "a processor model");
HV_RECORD_TABLE (hv_probe, HV_PROBE, "what this backend on this node can do");
HV_RECORD_TABLE (hv_native, HV_NATIVE, "the backend's own form of a definition");
HV_RECORD_TABLE (hv_agent_command_args, HV_AGENT_COMMAND_ARGS, "arguments of agent_command");
HV_RECORD_TABLE (hv_agent_command_result, HV_AGENT_COMMAND_RESULT, "answer of the guest agent");
HV_RECORD_TABLE (hv_lifecycle, HV_LIFECYCLE, "a VM changed its state");
HV_RECORD_TABLE (hv_agent_event, HV_AGENT_EVENT, "the guest agent came or went");
HV_RECORD_TABLE (hv_reboot_args, HV_REBOOT_ARGS, "arguments of reboot");
HV_RECORD_TABLE (hv_block_args, HV_BLOCK_ARGS, "names a VM and maybe one of its disks");
HV_RECORD_TABLE (hv_block_info, HV_BLOCK_INFO, "a disk of a VM");
HV_RECORD_TABLE (hv_block_infos, HV_BLOCK_INFOS, "disks of a VM");
HV_RECORD_TABLE (hv_block_stat, HV_BLOCK_STAT, "counters of a disk");
HV_RECORD_TABLE (hv_block_stats, HV_BLOCK_STATS, "counters of disks");
HV_RECORD_TABLE (hv_block_error, HV_BLOCK_ERROR, "failures of a disk");
HV_RECORD_TABLE (hv_block_errors, HV_BLOCK_ERRORS, "failures of disks");
HV_RECORD_TABLE (hv_interface_args, HV_INTERFACE_ARGS, "names a VM and maybe one of its network cards");
HV_RECORD_TABLE (hv_interface_stat, HV_INTERFACE_STAT, "counters of a network card");
HV_RECORD_TABLE (hv_interface_stats, HV_INTERFACE_STATS, "counters of network cards");
HV_RECORD_TABLE (hv_memory_stats, HV_MEMORY_STATS, "memory of a VM");
HV_RECORD_TABLE (hv_cpu_stats, HV_CPU_STATS, "processor time of a VM");
HV_RECORD_TABLE (hv_stats_args, HV_STATS_ARGS, "arguments of stats");
HV_RECORD_TABLE (hv_vm_stats, HV_VM_STATS, "statistics of a VM");
HV_RECORD_TABLE (hv_stats, HV_STATS, "statistics of VMs");
HV_RECORD_TABLE (hv_attach_args, HV_ATTACH_ARGS, "arguments of attach");
HV_RECORD_TABLE (hv_detach_args, HV_DETACH_ARGS, "arguments of detach");
HV_RECORD_TABLE (hv_device, HV_DEVICE, "a device that was plugged in");
HV_RECORD_TABLE (hv_resize_block_args, HV_RESIZE_BLOCK_ARGS, "arguments of resize_block");
HV_RECORD_TABLE (hv_set_memory_args, HV_SET_MEMORY_ARGS, "arguments of set_memory");
HV_RECORD_TABLE (hv_set_vcpus_args, HV_SET_VCPUS_ARGS, "arguments of set_vcpus");
HV_RECORD_TABLE (hv_snapshot_disk, HV_SNAPSHOT_DISK, "a disk in a snapshot");
HV_RECORD_TABLE (hv_snapshot_create_args, HV_SNAPSHOT_CREATE_ARGS, "arguments of snapshot_create");
HV_RECORD_TABLE (hv_snapshot_ref, HV_SNAPSHOT_REF, "names a snapshot");
HV_RECORD_TABLE (hv_snapshot, HV_SNAPSHOT, "a snapshot");
HV_RECORD_TABLE (hv_snapshots, HV_SNAPSHOTS, "snapshots of a VM");
HV_RECORD_TABLE (hv_block_commit_args, HV_BLOCK_COMMIT_ARGS, "arguments of block_commit");
HV_RECORD_TABLE (hv_block_pull_args, HV_BLOCK_PULL_ARGS, "arguments of block_pull");
HV_RECORD_TABLE (hv_block_mirror_args, HV_BLOCK_MIRROR_ARGS, "arguments of block_mirror");
HV_RECORD_TABLE (hv_backup_disk, HV_BACKUP_DISK, "a disk in a backup");
HV_RECORD_TABLE (hv_backup_begin_args, HV_BACKUP_BEGIN_ARGS, "arguments of backup_begin");
HV_RECORD_TABLE (hv_backup, HV_BACKUP, "a backup that has begun");
HV_RECORD_TABLE (hv_backup_end_args, HV_BACKUP_END_ARGS, "arguments of backup_end");
HV_RECORD_TABLE (hv_save_args, HV_SAVE_ARGS, "arguments of save");
HV_RECORD_TABLE (hv_restore_args, HV_RESTORE_ARGS, "arguments of restore");
HV_RECORD_TABLE (hv_migrate_args, HV_MIGRATE_ARGS, "arguments of migrate");
HV_RECORD_TABLE (hv_migrate_result, HV_MIGRATE_RESULT, "how a migration went");
HV_RECORD_TABLE (hv_migrate_in_args, HV_MIGRATE_IN_ARGS, "arguments of migrate_in");
HV_RECORD_TABLE (hv_migrate_in_result, HV_MIGRATE_IN_RESULT, "where a migration is awaited");
HV_RECORD_TABLE (hv_dump_memory_args, HV_DUMP_MEMORY_ARGS, "arguments of dump_memory");
HV_RECORD_TABLE (hv_console_args, HV_CONSOLE_ARGS, "arguments of console");
HV_RECORD_TABLE (hv_stream_answer, HV_STREAM_ANSWER, "a byte stream");
HV_RECORD_TABLE (hv_logs_args, HV_LOGS_ARGS, "arguments of logs");
HV_RECORD_TABLE (hv_screenshot_args, HV_SCREENSHOT_ARGS, "arguments of screenshot");
HV_RECORD_TABLE (hv_screenshot, HV_SCREENSHOT, "a picture of the screen");
HV_RECORD_TABLE (hv_send_key_args, HV_SEND_KEY_ARGS, "arguments of send_key");
HV_RECORD_TABLE (hv_io_error, HV_IO_ERROR, "a disk failed");
HV_RECORD_TABLE (hv_device_event, HV_DEVICE_EVENT, "a device came, went, or would not go");
HV_RECORD_TABLE (hv_memory_event, HV_MEMORY_EVENT, "the size of the memory changed");
HV_RECORD_TABLE (hv_block_job, HV_BLOCK_JOB, "a block job changed its status");
HV_RECORD_TABLE (hv_block_threshold, HV_BLOCK_THRESHOLD, "the guest wrote beyond a threshold");
HV_RECORD_TABLE (hv_watchdog_event, HV_WATCHDOG_EVENT, "the watchdog expired");
HV_RECORD_TABLE (hv_reboot_event, HV_REBOOT_EVENT, "the machine was reset");
HV_RECORD_TABLE (hv_migration_event, HV_MIGRATION_EVENT, "a migration went on");
HV_RECORD_TABLE (hv_job_completed, HV_JOB_COMPLETED, "a job ended");
HV_RECORD_TABLE (hv_rtc_change, HV_RTC_CHANGE, "the guest set its clock");
HV_RECORD_TABLE (hv_guest_panic, HV_GUEST_PANIC, "the guest panicked");
HV_RECORD_TABLE (hv_tray_change, HV_TRAY_CHANGE, "a tray was opened or closed");
HV_RECORD_TABLE (hv_disk_change, HV_DISK_CHANGE, "a medium was changed");
HV_RECORD_TABLE (hv_graphics_event, HV_GRAPHICS_EVENT, "a graphics client came or went");
HV_RECORD_TABLE (hv_pm_event, HV_PM_EVENT, "the guest went to sleep or woke up");
HV_RECORD_TABLE (hv_memory_failure, HV_MEMORY_FAILURE, "the host's memory failed");
HV_RECORD_TABLE (hv_nic_mac_change, HV_NIC_MAC_CHANGE, "the guest changed a MAC address");
HV_RECORD_TABLE (hv_config_event, HV_CONFIG_EVENT, "configuration was changed");
HV_RECORD_TABLE (hv_control_event, HV_CONTROL_EVENT, "the connection to the hypervisor was lost or is back");

/* --- how the verbs look on the command line --- */
#define HV_VERB_CLI(name_, ...) static const struct hv_cli cli_##name_ = { .struct_size = sizeof (struct hv_cli), __VA_ARGS__ }

#define VM_COLUMNS \
  "NAME=vm STATE=state REASON=reason PID=pid VCPUS=vcpus MEMORY=memory_bytes:bytes AGENT=agent_connected:bool SINCE=since_ms:age"
#define VM_WIDE "ACCEL=accel MACHINE=machine UUID=uuid DETAIL=detail"
HV_VERB_CLI (plain, .positional = NULL);
HV_VERB_CLI (vm, .positional = "vm");
HV_VERB_CLI (console, .positional = "vm", .flags = HV_CLI_TERMINAL);
HV_VERB_CLI (logs, .positional = "vm", .flags = HV_CLI_TEXT, .shorts = "f=follow");
HV_VERB_CLI (get, .positional = "vm", .columns = VM_COLUMNS, .wide = VM_WIDE, .watch = "lifecycle");
HV_VERB_CLI (list, .columns = VM_COLUMNS, .wide = VM_WIDE, .list = "items", .watch = "lifecycle");
HV_VERB_CLI (defined, .positional = "vm", .done = "vm/{vm} defined");
HV_VERB_CLI (started, .positional = "vm", .done = "vm/{vm} {state}");
HV_VERB_CLI (shutdown, .positional = "vm", .done = "vm/{vm} {state}");
HV_VERB_CLI (stopped, .positional = "vm", .done = "vm/{vm} {state}");
HV_VERB_CLI (undefined, .positional = "vm", .done = "vm/{vm} undefined");
HV_VERB_CLI (paused, .positional = "vm", .done = "vm/{vm} {state}");
HV_VERB_CLI (resumed, .positional = "vm", .done = "vm/{vm} {state}");
HV_VERB_CLI (reset, .positional = "vm", .done = "vm/{vm} reset");
HV_VERB_CLI (rebooted, .positional = "vm", .done = "vm/{vm} rebooting");
HV_VERB_CLI (agent, .positional = "vm command");
HV_VERB_CLI (vm_disk, .positional = "vm disk");
HV_VERB_CLI (vm_snapshot, .positional = "vm snapshot");
HV_VERB_CLI (detached, .positional = "vm device", .done = "vm/{vm} {device} detached");
HV_VERB_CLI (reverted, .positional = "vm snapshot", .done = "vm/{vm} is at snapshot {snapshot}");
HV_VERB_CLI (merged, .positional = "vm snapshot", .done = "vm/{vm} snapshot {snapshot} deleted");
HV_VERB_CLI (resized, .positional = "vm disk size_bytes");
HV_VERB_CLI (set_memory, .positional = "vm memory_bytes", .done = "vm/{vm} memory set");
HV_VERB_CLI (set_vcpus, .positional = "vm vcpus", .done = "vm/{vm} virtual CPUs set");
HV_VERB_CLI (saved, .positional = "vm path", .done = "vm/{vm} saved to {path}");
HV_VERB_CLI (restored, .positional = "vm path", .done = "vm/{vm} {state}");
HV_VERB_CLI (dumped, .positional = "vm path", .done = "vm/{vm} memory dumped to {path}");
HV_VERB_CLI (keys, .positional = "vm keys", .done = "vm/{vm} keys sent");
HV_VERB_CLI (stats, .positional = "vm?", .list = "items",
             .columns = "NAME=vm STATE=state CPU=cpu.total_ns:ns VCPUS=cpu.vcpus RESIDENT=memory.resident_bytes:bytes "
                        "MEMORY=memory.size_bytes:bytes READ=block.read_bytes:bytes WRITTEN=block.write_bytes:bytes "
                        "RECEIVED=net.rx_bytes:bytes SENT=net.tx_bytes:bytes AGE=age_ms:ms",
             .wide
             = "GUEST_FREE=memory.guest_available_bytes:bytes READ_OPS=block.read_ops WRITE_OPS=block.write_ops MISSING=missing");
HV_VERB_CLI (block_info, .positional = "vm disk?", .list = "items",
             .columns
             = "DISK=disk FORMAT=format SIZE=virtual_size_bytes:bytes ALLOCATED=allocated_bytes:bytes LAYERS=layers PATH=path",
             .wide = "READ_ONLY=read_only:bool TRAY_OPEN=tray_open:bool");
HV_VERB_CLI (block_stats, .positional = "vm disk?", .list = "items",
             .columns
             = "DISK=disk READ=read_bytes:bytes READ_OPS=read_ops WRITTEN=write_bytes:bytes WRITE_OPS=write_ops FLUSHES=flush_ops",
             .wide = "READ_TIME=read_time_ns:ns WRITE_TIME=write_time_ns:ns FLUSH_TIME=flush_time_ns:ns "
                     "DISCARDED=discard_bytes:bytes FAILED=failed_ops");
HV_VERB_CLI (block_errors, .positional = "vm disk?", .list = "items",
             .columns = "DISK=disk FAULT=fault OPERATION=operation COUNT=count LAST=last_ms:age REASON=reason");
HV_VERB_CLI (interface_stats, .positional = "vm nic?", .list = "items",
             .columns = "NIC=nic TAP=tap RECEIVED=rx_bytes:bytes SENT=tx_bytes:bytes RX_DROPS=rx_drops TX_DROPS=tx_drops",
             .wide = "RX_PACKETS=rx_packets TX_PACKETS=tx_packets RX_ERRORS=rx_errors TX_ERRORS=tx_errors");
HV_VERB_CLI (snapshots, .positional = "vm", .list = "items",
             .columns
             = "SNAPSHOT=snapshot PARENT=parent CREATED=created_ms:age STATE=state MEMORY=has_memory:bool CURRENT=current:bool");

/* --- the verbs --- */
#define HV_VERB(name_, verb_, flags_, args_, result_, access_, lane_, key_, timeout_, cli_, doc_) \
  const struct hv_method hv_hypervisor_##name_ = { .struct_size = sizeof (struct hv_method), \
                                                   .flags = (flags_), \
                                                   .verb = (verb_), \
                                                   .args = (args_), \
                                                   .result = (result_), \
                                                   .access = HV_ACCESS_CHECKED_ (access_), \
                                                   .lane = (lane_), \
                                                   .key = (key_), \
                                                   .timeout_ms = (timeout_), \
                                                   .cli = (cli_), \
                                                   .doc = (doc_) }

HV_VERB (probe, "probe", HV_MUST | HV_READ, NULL, &hv_probe_record, HV_VIEWER, HV_LANE_NONE, NULL, 60000, &cli_plain,
         "What this backend on this node can do: accelerators as tried, verbs with the reason where one is missing");
HV_VERB (define, "define", HV_MUST, &hv_define_args_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 30000, &cli_defined,
         "Record a machine under its name; nothing runs");
HV_VERB (start, "start", HV_MUST, &hv_start_args_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 60000, &cli_started,
         "Run a defined machine; answers when the guest executes, or is paused before its first instruction");
HV_VERB (shutdown, "shutdown", HV_MUST, &hv_shutdown_args_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 86400000,
         &cli_shutdown, "Ask the guest to power off; with grace_ms wait for it, then stop it");
HV_VERB (stop, "stop", HV_MUST, &hv_vm_ref_record, &hv_vm_record, HV_OPERATOR, HV_LANE_DESTROY, "vm", 60000, &cli_stopped,
         "Destroy: end the machine now, whatever the guest does. Pre-empts other operations");
HV_VERB (undefine, "undefine", HV_MUST, &hv_vm_ref_record, NULL, HV_OPERATOR, HV_LANE_MUTATE, "vm", 30000, &cli_undefined,
         "Forget a stopped VM. Its disks stay");
HV_VERB (list, "list", HV_MUST | HV_READ, &hv_list_args_record, &hv_vm_list_record, HV_VIEWER, HV_LANE_NONE, NULL, 5000, &cli_list,
         "The VMs of this backend, from what is known; never waits for one of them");
HV_VERB (get, "get", HV_MUST | HV_READ, &hv_vm_ref_record, &hv_vm_record, HV_VIEWER, HV_LANE_NONE, "vm", 5000, &cli_get,
         "One VM, from what is known; never waits for it");
HV_VERB (native, "native", HV_MUST | HV_READ, &hv_vm_ref_record, &hv_native_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000, &cli_vm,
         "The definition in the backend's own form: command line or domain XML");
HV_VERB (adopt, "adopt", HV_MUST, &hv_vm_ref_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 30000, &cli_get,
         "Try again to take over a VM that runs but is not under control. Never ends it");
HV_VERB (stats, "stats", HV_MUST | HV_READ, &hv_stats_args_record, &hv_stats_record, HV_VIEWER, HV_LANE_NONE, NULL, 5000,
         &cli_stats, "Processor, memory, block and network figures; what cannot be had in time is listed as missing");
HV_VERB (agent_command, "agent_command", HV_MUST, &hv_agent_command_args_record, &hv_agent_command_result_record, HV_OPERATOR,
         HV_LANE_AGENT, "vm", 610000, &cli_agent,
         "One command to the guest agent and its answer, both as JSON; the backend owns framing and resync");
HV_VERB (pause, "pause", 0, &hv_vm_ref_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 0, &cli_paused,
         "Stop the virtual CPUs");
HV_VERB (resume, "resume", 0, &hv_vm_ref_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 0, &cli_resumed,
         "Let the virtual CPUs run again");
HV_VERB (reset, "reset", 0, &hv_vm_ref_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 0, &cli_reset,
         "Press the reset button");
HV_VERB (reboot, "reboot", 0, &hv_reboot_args_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 86400000, &cli_rebooted,
         "Ask the guest to boot anew");
HV_VERB (block_info, "block_info", HV_READ, &hv_block_args_record, &hv_block_infos_record, HV_VIEWER, HV_LANE_NONE, "vm", 0,
         &cli_block_info, "Disks: sizes and chain");
HV_VERB (block_stats, "block_stats", HV_READ, &hv_block_args_record, &hv_block_stats_record, HV_VIEWER, HV_LANE_NONE, "vm", 0,
         &cli_block_stats, "Disks: counters");
HV_VERB (block_errors, "block_errors", HV_READ, &hv_block_args_record, &hv_block_errors_record, HV_VIEWER, HV_LANE_NONE, "vm", 0,
         &cli_block_errors, "Disks: failures");
HV_VERB (interface_stats, "interface_stats", HV_READ, &hv_interface_args_record, &hv_interface_stats_record, HV_VIEWER,
         HV_LANE_NONE, "vm", 0, &cli_interface_stats, "Network cards: counters");
HV_VERB (memory_stats, "memory_stats", HV_READ, &hv_vm_ref_record, &hv_memory_stats_record, HV_VIEWER, HV_LANE_NONE, "vm", 0,
         &cli_vm, "Memory: what the host and the guest say");
HV_VERB (attach, "attach", 0, &hv_attach_args_record, &hv_device_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 0, &cli_vm,
         "Plug in a disk or a network card");
HV_VERB (detach, "detach", 0, &hv_detach_args_record, NULL, HV_OPERATOR, HV_LANE_MUTATE, "vm", 610000, &cli_detached,
         "Unplug a device; answers when the guest has let go");
HV_VERB (resize_block, "resize_block", 0, &hv_resize_block_args_record, &hv_block_info_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 0,
         &cli_resized, "Grow a disk under a running guest");
HV_VERB (set_memory, "set_memory", 0, &hv_set_memory_args_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 0,
         &cli_set_memory, "Change the memory of the guest");
HV_VERB (set_vcpus, "set_vcpus", 0, &hv_set_vcpus_args_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 0, &cli_set_vcpus,
         "Change the number of virtual CPUs");
HV_VERB (snapshot_create, "snapshot_create", HV_PROGRESS, &hv_snapshot_create_args_record, &hv_snapshot_record, HV_OPERATOR,
         HV_LANE_MUTATE, "vm", 600000, &cli_vm_snapshot, "Snapshot disks, all at one point in time, and maybe the memory");
HV_VERB (snapshot_list, "snapshot_list", HV_READ, &hv_vm_ref_record, &hv_snapshots_record, HV_VIEWER, HV_LANE_NONE, "vm", 0,
         &cli_snapshots, "Snapshots of a VM");
HV_VERB (snapshot_revert, "snapshot_revert", 0, &hv_snapshot_ref_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 600000,
         &cli_reverted, "Go back to a snapshot");
HV_VERB (snapshot_delete, "snapshot_delete", HV_PROGRESS, &hv_snapshot_ref_record, NULL, HV_OPERATOR, HV_LANE_MUTATE, "vm",
         86400000, &cli_merged, "Remove a snapshot; its data is merged, not lost");
HV_VERB (block_commit, "block_commit", HV_PROGRESS, &hv_block_commit_args_record, &hv_block_info_record, HV_OPERATOR,
         HV_LANE_MUTATE, "vm", 86400000, &cli_vm_disk, "Merge layers downwards under a running guest");
HV_VERB (block_pull, "block_pull", HV_PROGRESS, &hv_block_pull_args_record, &hv_block_info_record, HV_OPERATOR, HV_LANE_MUTATE,
         "vm", 86400000, &cli_vm_disk, "Merge layers upwards under a running guest");
HV_VERB (block_mirror, "block_mirror", HV_PROGRESS, &hv_block_mirror_args_record, &hv_block_info_record, HV_OPERATOR,
         HV_LANE_MUTATE, "vm", 86400000, &cli_vm_disk, "Copy a disk under a running guest");
HV_VERB (backup_begin, "backup_begin", HV_PROGRESS, &hv_backup_begin_args_record, &hv_backup_record, HV_OPERATOR, HV_LANE_MUTATE,
         "vm", 86400000, &cli_vm, "Back up disks as they are at one point in time");
HV_VERB (backup_end, "backup_end", 0, &hv_backup_end_args_record, NULL, HV_OPERATOR, HV_LANE_MUTATE, "vm", 0, &cli_vm,
         "End a backup that is served, or give one up");
HV_VERB (save, "save", HV_PROGRESS, &hv_save_args_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 3600000, &cli_saved,
         "Write the machine's state to a file and stop it");
HV_VERB (restore, "restore", HV_PROGRESS, &hv_restore_args_record, &hv_vm_record, HV_OPERATOR, HV_LANE_MUTATE, "vm", 3600000,
         &cli_restored, "Go on from a file that save wrote");
HV_VERB (migrate, "migrate", HV_PROGRESS, &hv_migrate_args_record, &hv_migrate_result_record, HV_OPERATOR, HV_LANE_MUTATE, "vm",
         86400000, &cli_vm, "Move a running VM to where migrate_in waits; it runs on here unless it answers that it has moved");
HV_VERB (migrate_in, "migrate_in", 0, &hv_migrate_in_args_record, &hv_migrate_in_result_record, HV_OPERATOR, HV_LANE_MUTATE, "vm",
         60000, &cli_vm, "Wait for a VM that migrates here; defined if it is not, and then undefined again if it does not come");
HV_VERB (dump_memory, "dump_memory", HV_PROGRESS, &hv_dump_memory_args_record, NULL, HV_ADMIN, HV_LANE_MUTATE, "vm", 3600000,
         &cli_dumped, "Write the guest's memory to a file, for debugging");
HV_VERB (console, "console", 0, &hv_console_args_record, &hv_stream_answer_record, HV_OPERATOR, HV_LANE_NONE, "vm", 0, &cli_console,
         "The serial console as a byte stream");
HV_VERB (display, "display", 0, &hv_vm_ref_record, &hv_stream_answer_record, HV_OPERATOR, HV_LANE_NONE, "vm", 0, &cli_vm,
         "VNC as a byte stream");
HV_VERB (screenshot, "screenshot", HV_READ, &hv_screenshot_args_record, &hv_screenshot_record, HV_OPERATOR, HV_LANE_NONE, "vm",
         10000, &cli_vm, "A picture of the screen");
HV_VERB (send_key, "send_key", 0, &hv_send_key_args_record, NULL, HV_OPERATOR, HV_LANE_MUTATE, "vm", 0, &cli_keys,
         "Press keys together");

HV_VERB (logs, "logs", 0, &hv_logs_args_record, &hv_stream_answer_record, HV_OPERATOR, HV_LANE_NONE, "vm", 0, &cli_logs,
         "What the serial console, the firmware and the hypervisor have said, as a byte stream");

const struct hv_iface hv_iface_hypervisor = {
  .struct_size = sizeof (struct hv_iface),
  .major = 1,
  .name = "hypervisor",
  .doc = "Runs virtual machines",
  .verbs = (const struct hv_method *const[]){ &hv_hypervisor_probe,
                                              &hv_hypervisor_define,
                                              &hv_hypervisor_start,
                                              &hv_hypervisor_shutdown,
                                              &hv_hypervisor_stop,
                                              &hv_hypervisor_undefine,
                                              &hv_hypervisor_list,
                                              &hv_hypervisor_get,
                                              &hv_hypervisor_native,
                                              &hv_hypervisor_adopt,
                                              &hv_hypervisor_stats,
                                              &hv_hypervisor_agent_command,
                                              &hv_hypervisor_pause,
                                              &hv_hypervisor_resume,
                                              &hv_hypervisor_reset,
                                              &hv_hypervisor_reboot,
                                              &hv_hypervisor_block_info,
                                              &hv_hypervisor_block_stats,
                                              &hv_hypervisor_block_errors,
                                              &hv_hypervisor_interface_stats,
                                              &hv_hypervisor_memory_stats,
                                              &hv_hypervisor_attach,
                                              &hv_hypervisor_detach,
                                              &hv_hypervisor_resize_block,
                                              &hv_hypervisor_set_memory,
                                              &hv_hypervisor_set_vcpus,
                                              &hv_hypervisor_snapshot_create,
                                              &hv_hypervisor_snapshot_list,
                                              &hv_hypervisor_snapshot_revert,
                                              &hv_hypervisor_snapshot_delete,
                                              &hv_hypervisor_block_commit,
                                              &hv_hypervisor_block_pull,
                                              &hv_hypervisor_block_mirror,
                                              &hv_hypervisor_backup_begin,
                                              &hv_hypervisor_backup_end,
                                              &hv_hypervisor_save,
                                              &hv_hypervisor_restore,
                                              &hv_hypervisor_migrate,
                                              &hv_hypervisor_migrate_in,
                                              &hv_hypervisor_dump_memory,
                                              &hv_hypervisor_console,
                                              &hv_hypervisor_display,
                                              &hv_hypervisor_screenshot,
                                              &hv_hypervisor_send_key,
                                              &hv_hypervisor_logs,
                                              NULL },
  .events = (const struct hv_event
                 *const[]){ HV_EVENT ("lifecycle", &hv_lifecycle_record, "A VM changed its state", .flags = HV_MUST),
                            HV_EVENT ("agent", &hv_agent_event_record, "The guest agent opened or closed its channel"),
                            HV_EVENT ("io_error", &hv_io_error_record, "A disk failed"),
                            HV_EVENT ("device_added", &hv_device_event_record, "A device was plugged in"),
                            HV_EVENT ("device_removed", &hv_device_event_record, "A device is gone from the guest"),
                            HV_EVENT ("device_removal_failed", &hv_device_event_record, "The guest would not let a device go"),
                            HV_EVENT ("memory_size", &hv_memory_event_record, "A memory device changed its size"),
                            HV_EVENT ("balloon", &hv_memory_event_record, "The balloon changed"),
                            HV_EVENT ("block_job", &hv_block_job_record, "A block job changed its status"),
                            HV_EVENT ("block_threshold", &hv_block_threshold_record, "The guest wrote beyond a threshold"),
                            HV_EVENT ("watchdog", &hv_watchdog_event_record, "The watchdog expired"),
                            HV_EVENT ("reboot", &hv_reboot_event_record, "The machine was reset"),
                            HV_EVENT ("migration", &hv_migration_event_record, "A migration went on"),
                            HV_EVENT ("job_completed", &hv_job_completed_record, "A job ended"),
                            HV_EVENT ("rtc_change", &hv_rtc_change_record, "The guest set its clock"),
                            HV_EVENT ("guest_panic", &hv_guest_panic_record, "The guest panicked"),
                            HV_EVENT ("tray_change", &hv_tray_change_record, "A tray was opened or closed"),
                            HV_EVENT ("disk_change", &hv_disk_change_record, "A medium was changed"),
                            HV_EVENT ("graphics", &hv_graphics_event_record, "A graphics client came or went"),
                            HV_EVENT ("power_management", &hv_pm_event_record, "The guest went to sleep or woke up"),
                            HV_EVENT ("memory_failure", &hv_memory_failure_record, "Memory of the host failed under the guest"),
                            HV_EVENT ("nic_mac_change", &hv_nic_mac_change_record, "The guest changed a MAC address"),
                            HV_EVENT ("tunable", &hv_config_event_record, "A tunable was changed"),
                            HV_EVENT ("metadata_change", &hv_config_event_record, "Metadata was changed"),
                            HV_EVENT ("control", &hv_control_event_record, "The connection to the hypervisor was lost or is back"),
                            NULL },
};
