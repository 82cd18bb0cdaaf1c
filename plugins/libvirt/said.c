/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a machine has said: the files that libvirt (virtlogd, where it has one) writes for it, as a byte stream. */
#include "libvirt.h"
#include "spawn/spawn.h"
#include <hvkit/logs.h>

static int
vm_alive (void *arg)
{
  return lv_vm_alive (arg);
}

static void
vm_release (void *arg)
{
  lv_vm_unref (arg);
}

static const char *
qemu_log (const struct lv_vm *vm)
{
  struct hv_host *h = vm->lv->host;
  const struct lv_daemon *d = vm->daemon;
  if (d != NULL && d->spawn != NULL)
    return hv_printf (h, "%s/log/qemu/%s.log", lv_spawn_state_dir (d->spawn), vm->name);
  return hv_printf (h, "%s/%s.log", vm->lv->config->qemu_logs, vm->name);
}

/* Of the serial console and of QEMU; libvirt has none of the firmware's. */
static int
find (const struct lv_vm *vm, uint32_t source, struct hv_logs *logs, struct hv_err *err)
{
  const char *serial = vm->facts != NULL ? vm->facts->log_path : NULL;
  if (source == HV_LOG_FIRMWARE)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "libvirt keeps no log of the firmware; define the VM with the qmp backend");
  if (source == HV_LOG_SERIAL && serial == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "its serial console has no log: <log file='…'/> is missing in its domain XML");
  if (source != HV_LOG_SERIAL)
    logs->source[logs->sources++] = (struct hv_log_source){ qemu_log (vm), source == HV_LOG_EVERY ? "qemu     | " : NULL };
  if (source != HV_LOG_HYPERVISOR && serial != NULL)
    logs->source[logs->sources++]
        = (struct hv_log_source){ hv_strdup (vm->lv->host, serial), source == HV_LOG_EVERY ? "serial   | " : NULL };
  for (uint32_t i = 0; i < logs->sources; i++)
    if (logs->source[i].path == NULL)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return 0;
}

int
lv_logs (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_logs_args *a = args;
  struct hv_stream_answer *ret = result;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  struct hv_logs logs
      = { .follow = a->follow, .lines = HV_HAS (a, tail) ? a->tail : HV_LOG_ALL, .what = "logs", .alive = vm_alive };
  int r = find (vm, a->source, &logs, err);
  if (r < 0)
    return hv_err_wrap (err, r, "VM '%s'", vm->name);
  logs.release = vm_release;
  logs.arg = lv_vm_ref (vm);
  r = hv_logs_stream (vm->lv->host, call, &logs, &ret->token, err);
  HV_SET (ret, token, ret->token);
  return r < 0 ? hv_err_wrap (err, r, "VM '%s'", vm->name) : 0;
}
