/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmi: KubeVirt's VirtualMachine and VirtualMachineInstance objects on one node. */
#include "verbs.h"
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

HV_RECORD_TABLE (vmi_config, VMI_CONFIG, "configuration of vmi");

/* --- start and stop --- */

static const char *
node_arch (const char *machine)
{
  static const char *const words[][2] = { { "x86_64", "amd64" }, { "aarch64", "arm64" } };
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcmp (machine, words[i][0]) == 0)
      return words[i][1];
  return "unknown";
}

static int
find_node (struct vmi *vmi, struct hv_err *err)
{
  struct utsname u;
  if (uname (&u) < 0)
    return hv_err_set (err, HV_E_INTERNAL, "uname");
  vmi->node.arch = node_arch (u.machine);
  if (vmi_text_set (&vmi->node_name, HV_HAS (vmi->config, node) ? vmi->config->node : u.nodename) < 0)
    return vmi_no_memory (err);
  vmi->node.name = vmi->node_name;
  return 0;
}

static void
stop (void *self)
{
  struct vmi *vmi = self;
  if (vmi == NULL)
    return;
  while (vmi->vm_count > 0)
    vmi_vm_remove (vmi->vms[vmi->vm_count - 1]);
  for (uint32_t i = 0; i < vmi->item_count; i++)
    vmi_item_free (vmi->items[i]);
  vmi->host->api->cond_free (vmi->host, vmi->unlocked);
  free (vmi->vms);
  free (vmi->items);
  free (vmi->node_name);
  free (vmi);
}

static int
start (struct hv_host *h, const void *config, void **ret_self, struct hv_err *err)
{
  struct vmi *vmi = calloc (1, sizeof *vmi);
  if (vmi == NULL)
    return vmi_no_memory (err);
  *ret_self = vmi;
  vmi->host = h;
  vmi->config = config;
  vmi->state_dir = h->api->info (h)->state_dir;
  vmi->unlocked = h->api->cond_new (h);
  int r = vmi->unlocked != NULL ? find_node (vmi, err) : vmi_no_memory (err);
  if (r == 0)
    r = vmi_store_load (vmi, err);
  if (r < 0)
    return r;
  vmi_volumes_sweep (vmi);
  vmi_subscribe (vmi);
  for (uint32_t i = 0; i < vmi->vm_count; i++) {
    vmi_status_update (vmi->vms[i]);
    vmi_reconcile (vmi->vms[i]);
  }
  return 0;
}

/* --- the command line --- */

#define CLI(name_, ...) static const struct hv_cli cli_##name_ = { .struct_size = sizeof (struct hv_cli), __VA_ARGS__ }

CLI (apply, .words = "apply", .list = "items", .done = "{object} {result}", .shorts = "f=manifest");
CLI (delete, .words = "delete", .list = "items", .done = "{object} {result}", .shorts = "f=manifest");
CLI (delete_vm, .words = "delete vm", .positional = "name", .done = "{object} {result}");
CLI (delete_vmi, .words = "delete vmi", .positional = "name", .done = "{object} {result}");
CLI (delete_pvc, .words = "delete pvc", .positional = "name", .done = "{object} {result}");
CLI (delete_secret, .words = "delete secret", .positional = "name", .done = "{object} {result}");
CLI (delete_config_map, .words = "delete configmap|delete cm", .positional = "name", .done = "{object} {result}");
CLI (get_vm, .words = "get vm|get vms", .positional = "name?", .list = "items", .watch = "*.object", .shorts = "A=all_namespaces",
     .columns = "NAME=metadata.name STATUS=status.printableStatus READY=hvkit.ready AGE=metadata.creationTimestamp:age",
     .wide = "NAMESPACE=metadata.namespace STRATEGY=status.runStrategy GENERATION=metadata.generation BACKEND=hvkit.backend");
CLI (get_vmi, .words = "get vmi|get vmis", .positional = "name?", .list = "items", .watch = "*.object",
     .shorts = "A=all_namespaces",
     .columns = "NAME=metadata.name PHASE=status.phase AGE=metadata.creationTimestamp:age IP=hvkit.ip NODENAME=status.nodeName "
                "READY=hvkit.ready",
     .wide
     = "NAMESPACE=metadata.namespace BACKEND=hvkit.backend ACCEL=hvkit.accel AGENT=hvkit.agent OS=status.guestOSInfo.prettyName");
CLI (get_pvc, .words = "get pvc|get pvcs", .positional = "name?", .list = "items", .shorts = "A=all_namespaces",
     .columns = "NAME=metadata.name STATUS=status.phase CAPACITY=status.capacity.storage AGE=metadata.creationTimestamp:age",
     .wide = "NAMESPACE=metadata.namespace PATH=path");
CLI (get_secret, .words = "get secret|get secrets", .positional = "name?", .list = "items", .shorts = "A=all_namespaces",
     .columns = "NAME=metadata.name TYPE=type DATA=hvkit.keys AGE=metadata.creationTimestamp:age",
     .wide = "NAMESPACE=metadata.namespace");
CLI (get_config_map, .words = "get configmap|get configmaps|get cm", .positional = "name?", .list = "items",
     .shorts = "A=all_namespaces", .columns = "NAME=metadata.name DATA=hvkit.keys AGE=metadata.creationTimestamp:age",
     .wide = "NAMESPACE=metadata.namespace");
CLI (get_node, .words = "get node|get nodes", .list = "items",
     .columns = "NAME=name STATUS=status ARCH=arch CPUS=cpus MEMORY=memory_bytes:bytes VMS=vms PROMISED=promised_bytes:bytes "
                "BACKENDS=backends",
     .wide = "KERNEL=kernel");
CLI (describe_vm, .words = "describe vm", .positional = "name");
CLI (describe_vmi, .words = "describe vmi", .positional = "name");
CLI (start, .words = "start", .positional = "name", .done = "VM {name} was scheduled to start");
CLI (stop, .words = "stop", .positional = "name", .done = "VM {name} was scheduled to stop");
CLI (restart, .words = "restart", .positional = "name", .done = "VM {name} was scheduled to restart");
CLI (pause, .words = "pause", .positional = "name", .done = "VMI {name} was paused");
CLI (freeze, .words = "freeze", .positional = "name", .done = "VMI {name}: the guest's file systems are frozen");
CLI (unfreeze, .words = "unfreeze", .positional = "name", .done = "VMI {name}: the guest's file systems are thawed");
CLI (unpause, .words = "unpause", .positional = "name", .done = "VMI {name} was unpaused");
CLI (console, .words = "console", .positional = "name", .flags = HV_CLI_TERMINAL);
CLI (logs, .words = "logs", .positional = "name", .flags = HV_CLI_TEXT, .shorts = "f=follow");
CLI (vnc, .words = "vnc", .positional = "name");
CLI (screenshot, .words = "screenshot", .positional = "name");
CLI (wait, .words = "wait vmi", .positional = "name", .done = "virtualmachineinstance.kubevirt.io/{name} condition met");
CLI (overhead, .list = "items", .shorts = "f=manifest",
     .columns = "NAME=name REQUEST=request_bytes OVERHEAD=overhead_bytes TOTAL=total_bytes QOS=qos",
     .wide = "PAGETABLE=pagetable_bytes PROCESSES=processes_bytes VCPUS=vcpus_bytes IOTHREAD=io_thread_bytes VIDEO=video_bytes "
             "GUARANTEED=guaranteed_bytes");
CLI (top, .words = "top|top vmi|top vm", .positional = "name?", .list = "items", .shorts = "A=all_namespaces",
     .columns = "NAME=name CPU(m)=cpu_millicores MEMORY=memory_bytes:bytes GUEST=guest_bytes:bytes RECKONED=reckoned_bytes:bytes",
     .wide = "NAMESPACE=namespace VCPUS=vcpus");
CLI (userlist, .words = "userlist", .positional = "name", .list = "items", .columns = "NAME=name DOMAIN=domain LOGIN=login_ms:age");
CLI (fslist, .words = "fslist", .positional = "name", .list = "items",
     .columns = "MOUNTPOINT=mountpoint TYPE=type USED=used_bytes:bytes SIZE=total_bytes:bytes NAME=name");
CLI (guestosinfo, .words = "guestosinfo", .positional = "name");

/* --- the tables --- */

#define DELETE_MS 86400000u
#define WAIT_MS   300000u

const struct hv_plugin vmi_plugin = {
  HV_PLUGIN_HEAD,
  .name = "vmi",
  .version = HV_VERSION,
  .summary = "KubeVirt virtual machines on one node",
  .license = "LGPL-2.1-or-later",
  .needs = (const struct hv_iface *const[]){ &hv_iface_hypervisor, NULL },
  .config = &vmi_config_record,
  .methods
  = (const struct hv_method *const
         []){ HV_METHOD ("apply", HV_OPERATOR, vmi_apply, &vmi_apply_args_record, &vmi_outcomes_record,
                         "Make objects as a manifest says; answers when that is durable, and the work goes on", .timeout_ms = 60000,
                         .cli = &cli_apply),
              HV_METHOD ("delete", HV_OPERATOR, vmi_delete, &vmi_delete_file_args_record, &vmi_outcomes_record,
                         "Delete the objects of a manifest: shut down, then remove everything but volumes that are not ours",
                         .flags = HV_PROGRESS, .timeout_ms = DELETE_MS, .cli = &cli_delete),
              HV_METHOD ("delete_vm", HV_OPERATOR, vmi_delete_vm, &vmi_delete_args_record, &vmi_outcome_record,
                         "Delete a virtual machine: shut it down, then remove everything but its claims", .flags = HV_PROGRESS,
                         .timeout_ms = DELETE_MS, .cli = &cli_delete_vm),
              HV_METHOD ("delete_vmi", HV_OPERATOR, vmi_delete_vmi, &vmi_delete_args_record, &vmi_outcome_record,
                         "Delete an instance; one of a VirtualMachine comes back if that always runs", .flags = HV_PROGRESS,
                         .timeout_ms = DELETE_MS, .cli = &cli_delete_vmi),
              HV_METHOD ("delete_pvc", HV_OPERATOR, vmi_delete_pvc, &vmi_ref_args_record, &vmi_outcome_record,
                         "Delete a claim that no VM uses, and its file if it was made for it", .cli = &cli_delete_pvc),
              HV_METHOD ("delete_secret", HV_OPERATOR, vmi_delete_secret, &vmi_ref_args_record, &vmi_outcome_record,
                         "Delete a Secret; what runs keeps its copy", .cli = &cli_delete_secret),
              HV_METHOD ("delete_configmap", HV_OPERATOR, vmi_delete_config_map, &vmi_ref_args_record, &vmi_outcome_record,
                         "Delete a ConfigMap; what runs keeps its copy", .cli = &cli_delete_config_map),
              HV_METHOD ("get_vm", HV_VIEWER, vmi_get_vm, &vmi_get_args_record, &vmi_vm_list_record, "Virtual machines",
                         .flags = HV_READ, .cli = &cli_get_vm),
              HV_METHOD ("get_vmi", HV_VIEWER, vmi_get_vmi, &vmi_get_args_record, &vmi_vmi_list_record,
                         "Instances of virtual machines", .flags = HV_READ, .cli = &cli_get_vmi),
              HV_METHOD ("get_pvc", HV_VIEWER, vmi_get_pvc, &vmi_get_args_record, &vmi_claim_list_record, "Claims",
                         .flags = HV_READ, .cli = &cli_get_pvc),
              HV_METHOD ("get_secret", HV_OPERATOR, vmi_get_secret, &vmi_get_args_record, &vmi_secret_list_record,
                         "Secrets, with what they hold", .flags = HV_READ, .cli = &cli_get_secret),
              HV_METHOD ("get_configmap", HV_VIEWER, vmi_get_config_map, &vmi_get_args_record, &vmi_config_map_list_record,
                         "ConfigMaps", .flags = HV_READ, .cli = &cli_get_config_map),
              HV_METHOD ("get_node", HV_VIEWER, vmi_get_node, &vmi_node_args_record, &vmi_node_list_record, "This node",
                         .flags = HV_READ, .timeout_ms = 60000, .cli = &cli_get_node),
              HV_METHOD ("describe_vm", HV_VIEWER, vmi_describe_vm, &vmi_ref_args_record, &vmi_vm_description_record,
                         "A virtual machine and what happened to it lately", .flags = HV_READ, .cli = &cli_describe_vm),
              HV_METHOD ("describe_vmi", HV_VIEWER, vmi_describe_vmi, &vmi_ref_args_record, &vmi_vmi_description_record,
                         "An instance and what happened to it lately", .flags = HV_READ, .cli = &cli_describe_vmi),
              HV_METHOD ("start", HV_OPERATOR, vmi_start, &vmi_ref_args_record, NULL, "Start a virtual machine", .cli = &cli_start),
              HV_METHOD ("stop", HV_OPERATOR, vmi_stop, &vmi_stop_args_record, NULL, "Shut a virtual machine down",
                         .cli = &cli_stop),
              HV_METHOD ("restart", HV_OPERATOR, vmi_restart, &vmi_ref_args_record, NULL,
                         "Shut a virtual machine down and start it again", .cli = &cli_restart),
              HV_METHOD ("pause", HV_OPERATOR, vmi_pause, &vmi_ref_args_record, NULL, "Freeze the processors of an instance",
                         .cli = &cli_pause),
              HV_METHOD ("unpause", HV_OPERATOR, vmi_unpause, &vmi_ref_args_record, NULL, "Let a paused instance go on",
                         .cli = &cli_unpause),
              HV_METHOD ("freeze", HV_OPERATOR, vmi_freeze, &vmi_freeze_args_record, NULL,
                         "Flush and freeze the guest's file systems, for a backup", .cli = &cli_freeze, .timeout_ms = 120000),
              HV_METHOD ("unfreeze", HV_OPERATOR, vmi_unfreeze, &vmi_ref_args_record, NULL, "Let a frozen guest write again",
                         .cli = &cli_unfreeze, .timeout_ms = 60000),
              HV_METHOD ("console", HV_OPERATOR, vmi_console, &vmi_console_args_record, &hv_stream_answer_record,
                         "The serial console of an instance", .cli = &cli_console),
              HV_METHOD ("logs", HV_OPERATOR, vmi_logs, &vmi_logs_args_record, &hv_stream_answer_record,
                         "What an instance has said on its serial console, its firmware and its hypervisor", .cli = &cli_logs),
              HV_METHOD ("vnc", HV_OPERATOR, vmi_vnc, &vmi_ref_args_record, &hv_stream_answer_record,
                         "The display of an instance, for a VNC viewer", .cli = &cli_vnc),
              HV_METHOD ("screenshot", HV_OPERATOR, vmi_screenshot, &vmi_screenshot_args_record, &hv_screenshot_record,
                         "A picture of an instance's screen", .flags = HV_READ, .timeout_ms = 10000, .cli = &cli_screenshot),
              HV_METHOD ("wait", HV_VIEWER, vmi_wait, &vmi_wait_args_record, &vmi_wait_result_record,
                         "Answer when an instance has a phase or a condition, or is gone", .flags = HV_READ, .timeout_ms = WAIT_MS,
                         .cli = &cli_wait),
              HV_METHOD ("overhead", HV_VIEWER, vmi_overhead_verb, &vmi_overhead_args_record, &vmi_overhead_list_record,
                         "The memory that the VMs of a manifest are reckoned at, by KubeVirt's formula", .flags = HV_READ,
                         .cli = &cli_overhead),
              HV_METHOD ("top", HV_VIEWER, vmi_top, &vmi_top_args_record, &vmi_top_list_record,
                         "Processor time and memory that VMs use", .flags = HV_READ, .timeout_ms = 90000, .cli = &cli_top),
              HV_METHOD ("userlist", HV_VIEWER, vmi_userlist, &vmi_ref_args_record, &hv_agent_users_record,
                         "Who is logged in, as the guest agent says", .flags = HV_READ, .timeout_ms = 30000, .cli = &cli_userlist),
              HV_METHOD ("fslist", HV_VIEWER, vmi_fslist, &vmi_ref_args_record, &hv_agent_filesystems_record,
                         "The guest's file systems, as its agent says", .flags = HV_READ, .timeout_ms = 30000, .cli = &cli_fslist),
              HV_METHOD ("guestosinfo", HV_VIEWER, vmi_guestosinfo, &vmi_ref_args_record, &vmi_guest_info_record,
                         "What the guest agent says of its operating system", .flags = HV_READ, .timeout_ms = 30000,
                         .cli = &cli_guestosinfo),
              NULL },
  .events = (const struct hv_event *const[]){ HV_EVENT ("object", &vmi_object_event_record, "An object came, changed or went"),
                                              HV_EVENT ("event", &vmi_note_event_record,
                                                        "Something happened to an object, as Kubernetes' events"),
                                              NULL },
  .start = start,
  .stop = stop,
};
