/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a machine has said: the files that hvkit-logd writes for it, as a byte stream. */
#include "qmp.h"
#include <hvkit/logs.h>
#include <stdlib.h>

#define COUNT(a) (sizeof (a) / sizeof (a)[0])

static int
vm_alive (void *arg)
{
  const struct qmp_vm *vm = arg;
  return vm->pidfd >= 0;
}

static void
vm_release (void *arg)
{
  qmp_vm_unref (arg);
}

/* Whose words, in the order in which a machine comes up. */
static const struct {
  uint32_t source, log;
  const char *mark;
} kept[] = { { HV_LOG_HYPERVISOR, QMP_LOG_QEMU, "qemu     | " },
             { HV_LOG_FIRMWARE, QMP_LOG_FIRMWARE, "firmware | " },
             { HV_LOG_SERIAL, QMP_LOG_SERIAL, "serial   | " } };

int
qmp_logs (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_logs_args *a = args;
  struct hv_stream_answer *ret = result;
  char *paths[COUNT (kept)] = { NULL };
  int r = 0;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (a->source == HV_LOG_SERIAL && !vm->has_console)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is defined without a serial console", vm->name);
  struct hv_logs logs
      = { .follow = a->follow, .lines = HV_HAS (a, tail) ? a->tail : HV_LOG_ALL, .what = "logs", .alive = vm_alive };
  for (uint32_t i = 0; r == 0 && i < COUNT (kept); i++) {
    if (a->source != HV_LOG_EVERY && a->source != kept[i].source)
      continue;
    paths[i] = qmp_path (vm, qmp_log_names[kept[i].log]);
    r = paths[i] != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    if (r == 0 && vm->pidfd >= 0)
      qmp_log_sync (vm, kept[i].log); /* what was said until now is there */
    logs.source[logs.sources++] = (struct hv_log_source){ paths[i], a->source == HV_LOG_EVERY ? kept[i].mark : NULL };
  }
  logs.release = vm_release;
  logs.arg = r == 0 ? qmp_vm_ref (vm) : NULL;
  if (r == 0)
    r = hv_logs_stream (vm->qmp->host, call, &logs, &ret->token, err);
  HV_SET (ret, token, ret->token);
  for (uint32_t i = 0; i < COUNT (kept); i++)
    free (paths[i]);
  return r < 0 ? hv_err_wrap (err, r, "VM '%s'", vm->name) : 0;
}
