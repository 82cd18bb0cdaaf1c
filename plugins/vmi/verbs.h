/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arguments and results of the verbs. */
#ifndef VMI_VERBS_H
#define VMI_VERBS_H
#include "view.h"

#define VMI_NAMESPACE_FIELD(F, T) F (T, STR, _, namespace, 0, "namespace", .def = "default", .pattern = "name")
#define VMI_NAME_FIELD(F, T)      F (T, STR, _, name, HV_REQUIRED, "name of the object", .pattern = "subdomain")

#define VMI_APPLY_ARGS(F, T) \
  F (T, STR, _, manifest, HV_REQUIRED | HV_FILE, "YAML or JSON, up to 64 documents", .umin = 1, .max = 1048576) \
  F (T, BOOL, _, dry_run, 0, "check everything and change nothing", .def = "false") \
  F (T, BOOL, _, once, 0, "each VM runs once, from its start to its end, whatever its strategy", .def = "false") \
  F (T, STR, _, namespace, 0, "for objects that name none", .def = "default", .pattern = "name")
HV_RECORD_STRUCT (vmi_apply_args, VMI_APPLY_ARGS);
extern const char *const vmi_result_words[]; /* created, configured, unchanged, deleted, not found */
#define VMI_CREATED    0u
#define VMI_CONFIGURED 1u
#define VMI_UNCHANGED  2u
#define VMI_DELETED    3u
#define VMI_NOT_FOUND  4u
#define VMI_OUTCOME(F, T) \
  F (T, STR, _, object, HV_REQUIRED, "virtualmachine.kubevirt.io/name") \
  F (T, ENUM, vmi_kind, kind, HV_REQUIRED, "kind") \
  F (T, STR, _, namespace, HV_REQUIRED, "namespace") \
  F (T, STR, _, name, HV_REQUIRED, "name") \
  F (T, ENUM, vmi_result, result, HV_REQUIRED, "what came of it")
HV_RECORD_STRUCT (vmi_outcome, VMI_OUTCOME);
#define VMI_OUTCOMES(F, T) F (T, RECS, vmi_outcome, items, HV_REQUIRED, "object by object")
HV_RECORD_STRUCT (vmi_outcomes, VMI_OUTCOMES);

#define VMI_DELETE_FILE_ARGS(F, T) \
  F (T, STR, _, manifest, HV_REQUIRED | HV_FILE, "its objects are deleted", .umin = 1, .max = 1048576) \
  F (T, I64, _, grace_period_seconds, 0, "instead of the VM's own; 0: at once", .unit = "s", .max = 86400) \
  F (T, STR, _, namespace, 0, "for objects that name none", .def = "default", .pattern = "name")
HV_RECORD_STRUCT (vmi_delete_file_args, VMI_DELETE_FILE_ARGS);
#define VMI_DELETE_ARGS(F, T) \
  VMI_NAME_FIELD (F, T) \
  VMI_NAMESPACE_FIELD (F, T) \
  F (T, I64, _, grace_period_seconds, 0, "instead of the VM's own; 0: at once", .unit = "s", .max = 86400) \
  F (T, BOOL, _, wait, 0, "answer when it is gone", .def = "true")
HV_RECORD_STRUCT (vmi_delete_args, VMI_DELETE_ARGS);

#define VMI_REF_ARGS(F, T) \
  VMI_NAME_FIELD (F, T) \
  VMI_NAMESPACE_FIELD (F, T)
HV_RECORD_STRUCT (vmi_ref_args, VMI_REF_ARGS);
#define VMI_CONSOLE_ARGS(F, T) \
  VMI_NAME_FIELD (F, T) \
  VMI_NAMESPACE_FIELD (F, T) \
  F (T, BOOL, _, force, 0, "end another session of this console", .def = "false")
HV_RECORD_STRUCT (vmi_console_args, VMI_CONSOLE_ARGS);
#define VMI_LOGS_ARGS(F, T) \
  VMI_NAME_FIELD (F, T) \
  VMI_NAMESPACE_FIELD (F, T) \
  F (T, ENUM, hv_log_source, source, 0, "whose words: the serial console's, the firmware's, the hypervisor's, or all, marked", \
     .def = "serial") \
  F (T, BOOL, _, follow, 0, "go on with what comes, until the machine ends", .def = "false") \
  F (T, U64, _, tail, 0, "only so many of the last lines; absent: all that is kept", .max = 1000000000)
HV_RECORD_STRUCT (vmi_logs_args, VMI_LOGS_ARGS);
#define VMI_SCREENSHOT_ARGS(F, T) \
  VMI_NAME_FIELD (F, T) \
  VMI_NAMESPACE_FIELD (F, T) \
  F (T, ENUM, hv_screenshot_format, format, 0, "format of the picture", .def = "png")
HV_RECORD_STRUCT (vmi_screenshot_args, VMI_SCREENSHOT_ARGS);
#define VMI_STOP_ARGS(F, T) \
  VMI_NAME_FIELD (F, T) \
  VMI_NAMESPACE_FIELD (F, T) \
  F (T, I64, _, grace_period_seconds, 0, "instead of the VM's own; 0: at once", .unit = "s", .max = 86400)
HV_RECORD_STRUCT (vmi_stop_args, VMI_STOP_ARGS);

/* KubeVirt thaws by itself after five minutes. */
#define VMI_FREEZE_ARGS(F, T) \
  VMI_NAME_FIELD (F, T) \
  VMI_NAMESPACE_FIELD (F, T) \
  F (T, U32, _, unfreeze_timeout, 0, "thawed after this long if nobody does it before", .unit = "s", .def = "300", .umin = 1, \
     .max = 600)
HV_RECORD_STRUCT (vmi_freeze_args, VMI_FREEZE_ARGS);

#define VMI_GET_ARGS(F, T) \
  F (T, STR, _, name, 0, "only this one", .pattern = "subdomain") \
  VMI_NAMESPACE_FIELD (F, T) \
  F (T, BOOL, _, all_namespaces, 0, "of every namespace", .def = "false") \
  F (T, U32, _, limit, 0, "at most this many rows", .def = "200", .umin = 1, .max = 1000) \
  F (T, STR, _, continue_from, 0, "the previous answer's continue_from", .max = 400)
HV_RECORD_STRUCT (vmi_get_args, VMI_GET_ARGS);
HV_RECORD_EMPTY_STRUCT (vmi_node_args);

#define VMI_OVERHEAD_ARGS(F, T) \
  F (T, STR, _, manifest, HV_REQUIRED | HV_FILE, "YAML or JSON, up to 64 documents", .umin = 1, .max = 1048576) \
  F (T, STR, _, kubevirt, 0, "whose figures: 1.2.2, v1.5, main", .def = "1.2.2", .umin = 1, .max = 32) \
  F (T, STR, _, namespace, 0, "for objects that name none", .def = "default", .pattern = "name")
HV_RECORD_STRUCT (vmi_overhead_args, VMI_OVERHEAD_ARGS);
#define VMI_OVERHEAD_ROW(F, T) \
  F (T, STR, _, namespace, HV_REQUIRED, "namespace") \
  F (T, STR, _, name, HV_REQUIRED, "name") \
  F (T, U64, _, request_bytes, HV_REQUIRED, "asked for the guest", .unit = "bytes") \
  F (T, U64, _, overhead_bytes, HV_REQUIRED, "beyond that", .unit = "bytes") \
  F (T, U64, _, total_bytes, HV_REQUIRED, "both", .unit = "bytes") \
  F (T, U64, _, pagetable_bytes, HV_REQUIRED, "of the overhead: page tables", .unit = "bytes") \
  F (T, U64, _, processes_bytes, HV_REQUIRED, "of it: KubeVirt's processes, and QEMU's own", .unit = "bytes") \
  F (T, U64, _, vcpus_bytes, HV_REQUIRED, "of it: virtual CPUs", .unit = "bytes") \
  F (T, U64, _, io_thread_bytes, HV_REQUIRED, "of it: the I/O thread", .unit = "bytes") \
  F (T, U64, _, video_bytes, HV_REQUIRED, "of it: the display", .unit = "bytes") \
  F (T, U64, _, guaranteed_bytes, HV_REQUIRED, "of it: for what is guaranteed", .unit = "bytes") \
  F (T, STR, _, qos, HV_REQUIRED, "quality of service")
HV_RECORD_STRUCT (vmi_overhead_row, VMI_OVERHEAD_ROW);
#define VMI_OVERHEAD_LIST(F, T) F (T, RECS, vmi_overhead_row, items, HV_REQUIRED, "the VMs of the manifest")
HV_RECORD_STRUCT (vmi_overhead_list, VMI_OVERHEAD_LIST);

#define VMI_TOP_MAX 1000u
#define VMI_TOP_ARGS(F, T) \
  F (T, STR, _, name, 0, "only this one", .pattern = "subdomain") \
  VMI_NAMESPACE_FIELD (F, T) \
  F (T, BOOL, _, all_namespaces, 0, "of every namespace", .def = "false") \
  F (T, U32, _, interval_ms, 0, "how long processor time is measured", .unit = "ms", .def = "1000", .umin = 100, .max = 60000)
HV_RECORD_STRUCT (vmi_top_args, VMI_TOP_ARGS);
#define VMI_TOP_ROW(F, T) \
  F (T, STR, _, namespace, HV_REQUIRED, "namespace") \
  F (T, STR, _, name, HV_REQUIRED, "name") \
  F (T, U32, _, cpu_millicores, 0, "processor time used; 1000 is one processor") \
  F (T, U32, _, vcpus, 0, "virtual CPUs") \
  F (T, U64, _, memory_bytes, 0, "resident memory of its process", .unit = "bytes") \
  F (T, U64, _, guest_bytes, 0, "memory the guest has", .unit = "bytes") \
  F (T, U64, _, reckoned_bytes, HV_REQUIRED, "what it is reckoned at, as 'overhead' says", .unit = "bytes")
HV_RECORD_STRUCT (vmi_top_row, VMI_TOP_ROW);
#define VMI_TOP_LIST(F, T) F (T, RECS, vmi_top_row, items, HV_REQUIRED, "VMs that run")
HV_RECORD_STRUCT (vmi_top_list, VMI_TOP_LIST);

/* `for` is the word of kubectl and a keyword of C. */
#define VMI_WAIT_ARGS(F, T) \
  VMI_NAME_FIELD (F, T) \
  VMI_NAMESPACE_FIELD (F, T) \
  F (T, STR, _, until, HV_REQUIRED, "phase (Running), condition (AgentConnected, condition=Ready), or delete", .name = "for", \
     .umin = 1, .max = 64)
HV_RECORD_STRUCT (vmi_wait_args, VMI_WAIT_ARGS);
#define VMI_WAIT_RESULT(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name of the object") \
  F (T, STR, _, phase, 0, "of the instance") \
  F (T, U64, _, waited_ms, HV_REQUIRED, "how long it took", .unit = "ms")
HV_RECORD_STRUCT (vmi_wait_result, VMI_WAIT_RESULT);

#define VMI_GUEST_INFO(F, T) \
  F (T, STR, _, guestAgentVersion, HV_REQUIRED, "version of the agent") \
  F (T, STR, _, hostname, 0, "the guest's host name") \
  F (T, REC, vmi_os_info, os, HV_REQUIRED, "operating system") \
  F (T, STRS, _, supportedCommands, HV_REQUIRED, "commands that are enabled in the guest")
HV_RECORD_STRUCT (vmi_guest_info, VMI_GUEST_INFO);
#endif
