/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reset button, and asking the guest to boot anew. */
#include "qmp.h"
#include <string.h>

static int
reset_now (struct qmp_vm *vm, struct hv_err *err)
{
  return qmp_control_change (vm, "system_reset", NULL, err);
}

int
qmp_reset (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, ((const struct hv_vm_ref *) args)->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_need_running (vm, err);
  if (r == 0)
    r = reset_now (vm, err);
  if (r < 0)
    return r;
  qmp_vm_fill (vm, result);
  return 0;
}

static int
has_reset (const struct qmp_vm *vm)
{
  return vm->resets_awaited == 0 || vm->pidfd < 0;
}

/* ACPI has no button for it: a guest is asked through its agent, or by the keys that Linux takes for it. */
static int
reboot_ask (struct qmp_vm *vm, uint32_t mode, struct hv_err *err)
{
  if (mode == HV_SHUTDOWN_AGENT)
    return qmp_agent_exchange (vm, "{\"execute\":\"guest-shutdown\",\"arguments\":{\"mode\":\"reboot\"}}", 5000, 0, NULL, err);
  HV_CLEAN (json)
  json_t *keys = json_pack ("{s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]}", "keys", "type", "qcode", "data", "ctrl", "type", "qcode",
                            "data", "alt", "type", "qcode", "data", "delete");
  return qmp_control_change (vm, "send-key", keys, err);
}

int
qmp_reboot (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_reboot_args *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_need_running (vm, err);
  if (r == 0 && vm->state != HV_VM_RUNNING)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s: its guest cannot be asked", vm->name,
                    hv_vm_state_words[vm->state]);
  if (r < 0)
    return r;
  vm->resets_awaited = 1;
  r = reboot_ask (vm, a->mode, err);
  if (r < 0 && (a->grace_ms == 0 || r == HV_E_CANCELLED))
    return r;
  if (a->grace_ms > 0) {
    r = r < 0 ? HV_E_DEADLINE_EXCEEDED : qmp_vm_wait (vm, has_reset, a->grace_ms, err);
    if (r == HV_E_DEADLINE_EXCEEDED)
      r = reset_now (vm, err);
  }
  if (r < 0)
    return r;
  qmp_vm_fill (vm, result);
  return 0;
}
