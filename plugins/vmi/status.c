/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Conditions and the one-word status. */
#include "vmi.h"
#include <stdio.h>
#include <string.h>

const char *const vmi_condition_words[]
    = { "Ready", "LiveMigratable", "AgentConnected", "Paused", "Synchronized", "RestartRequired", NULL };

static void
set (struct vmi_vm *v, uint32_t which, uint8_t status, const char *reason)
{
  struct vmi_condition *c = &v->conditions[which];
  if (c->status != status)
    c->since_ms = vmi_wall_ms ();
  c->status = status;
  c->reason = reason;
}

static int
is_running (const struct vmi_vm *v)
{
  return v->run.exists && v->run.phase == VMI_RUNNING;
}

static const char *
not_ready_reason (const struct vmi_vm *v)
{
  if (!is_running (v))
    return v->failure != NULL ? "SyncFailed" : "GuestNotRunning";
  if (v->seen.state == HV_VM_UNREACHABLE || v->seen.state == HV_VM_UNMANAGED || v->seen.state == HV_VM_UNKNOWN)
    return "Unreachable";
  if (v->seen.state == HV_VM_PAUSED)
    return "GuestPaused";
  return v->seen.state == HV_VM_RUNNING ? "Terminating" : "GuestNotRunning";
}

static void
set_conditions (struct vmi_vm *v)
{
  int running = is_running (v), ending = v->deleting || v->run.stop_ms != 0 || v->request == VMI_REQUEST_RESTART;
  int ready = running && v->seen.state == HV_VM_RUNNING && !ending;
  int paused = running && v->seen.state == HV_VM_PAUSED;
  const char *why = v->seen.reason != NULL ? v->seen.reason : "";
  set (v, VMI_READY, ready ? 2 : 1, ready ? NULL : not_ready_reason (v));
  set (v, VMI_LIVE_MIGRATABLE, running ? 1 : 0, "DisksNotLiveMigratable");
  /* whoever waits for the agent after a restart means the one that is to come */
  set (v, VMI_AGENT_CONNECTED, running && v->agent_known && v->seen.agent && !ending ? 2 : 0, NULL);
  set (v, VMI_PAUSED, paused ? 2 : 0, strcmp (why, "io_error") == 0 ? "PausedIOError" : "PausedByUser");
  set (v, VMI_SYNCHRONIZED, v->failure != NULL ? 1 : 0, "SyncFailed");
  set (v, VMI_RESTART_REQUIRED, v->restart_paths != NULL ? 2 : 0, "SpecChanged");
}

/* What a restart would bring: the template as it is now against the one the instance was made from. */
static void
find_changes (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  struct vmi_virtual_machine *o = hv_alloc (h, sizeof *o);
  struct hv_bin now;
  char *paths = NULL;
  if (o != NULL && is_running (v) && v->kind == VMI_KIND_VM && vmi_vm_object (v, o, NULL) == 0
      && h->api->encode (h, &vmi_template_record, &o->spec.template, &now, NULL) == 0)
    paths = vmi_diff (h, vmi_bytes_bin (&v->run.template_), now);
  if (paths != NULL)
    paths = hv_printf (h, "spec.template.%s", paths);
  (void) vmi_text_set (&v->restart_paths, paths);
}

static uint64_t
mix (uint64_t hash, uint64_t v)
{
  return (hash ^ v) * UINT64_C (1099511628211);
}

/* Everything that a reader of a list would notice. */
static uint64_t
fingerprint (const struct vmi_vm *v)
{
  uint64_t h = mix (UINT64_C (14695981039346656037), v->generation);
  h = mix (h, v->run.exists ? 1 + v->run.phase : 0);
  h = mix (h, v->strategy << 8 | v->deleting);
  h = mix (h, v->seen.state << 1 | v->seen.agent);
  h = mix (h, (uint64_t) v->agent_changes << 1 | v->frozen);
  for (uint32_t i = 0; i < VMI_CONDITIONS; i++)
    h = mix (h, v->conditions[i].status);
  for (const char *c = vmi_printable_status (v); *c != '\0'; c++)
    h = mix (h, (uint64_t) *c);
  return h;
}

void
vmi_status_update (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  uint64_t mark = h->api->scope_mark (h), print;
  find_changes (v);
  h->api->scope_release (h, mark);
  set_conditions (v);
  print = fingerprint (v);
  if (print != v->published) {
    v->published = print;
    vmi_publish (v, "MODIFIED");
  }
  vmi_vm_wake (v);
}

const char *
vmi_condition_message (struct vmi_vm *v, uint32_t which)
{
  switch (which) {
  case VMI_LIVE_MIGRATABLE:
    return "cannot migrate VMI: its disks are files of this node";
  case VMI_PAUSED:
    return strcmp (v->conditions[which].reason, "PausedIOError") == 0 ? "VMI was paused, low-level IO error detected"
                                                                      : "VMI was paused by user";
  case VMI_SYNCHRONIZED:
    return v->failure;
  case VMI_RESTART_REQUIRED:
    return v->restart_paths;
  default:
    return NULL;
  }
}

static const char *
running_status (const struct vmi_vm *v)
{
  if (v->run.stop_ms != 0 || v->seen.state == HV_VM_STOPPING)
    return "Stopping";
  switch (v->seen.state) {
  case HV_VM_PAUSED:
    return "Paused";
  case HV_VM_UNREACHABLE:
  case HV_VM_UNMANAGED:
  case HV_VM_UNKNOWN:
    return "Unknown";
  default:
    return "Running";
  }
}

const char *
vmi_printable_status (const struct vmi_vm *v)
{
  if (v->broken)
    return "Unknown";
  if (v->deleting)
    return "Terminating";
  if (is_running (v))
    return running_status (v);
  if (vmi_wanted (v) && v->failure_code == HV_E_RESOURCE_EXHAUSTED && v->run.exists && v->run.phase == VMI_PENDING)
    return "ErrorUnschedulable";
  if (vmi_wanted (v))
    return v->failure != NULL ? "CrashLoopBackOff" : v->run.exists && v->run.phase < VMI_SCHEDULED ? "Provisioning" : "Starting";
  return v->run.exists && !vmi_vm_final (v) ? "Stopping" : "Stopped";
}
