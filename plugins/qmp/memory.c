/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory of a VM: what the kernel says of its process, what the balloon leaves it, what its guest reports. */
#include "qmp.h"
#include <string.h>

#define ANSWER_MS 500u

/* Adds what is known without asking anybody to what the kernel said. */
void
qmp_memory_known (const struct qmp_vm *vm, struct hv_memory_stats *ret, uint64_t now)
{
  const struct qmp_sample *s = &vm->sample;
  const struct hv_memory_stats kernel = *ret;
  int64_t guest_age_ms = (int64_t) qmp_wall_ms () - s->guest_s * 1000;
  *ret = s->memory;
  if (HV_HAS (&kernel, resident_bytes))
    HV_SET (ret, resident_bytes, kernel.resident_bytes);
  if (HV_HAS (&kernel, swapped_bytes))
    HV_SET (ret, swapped_bytes, kernel.swapped_bytes);
  HV_SET (ret, size_bytes, vm->memory_bytes);
  if (s->guest_s > 0)
    HV_SET (ret, guest_age_ms, guest_age_ms > 0 ? (uint64_t) guest_age_ms : 0);
  HV_SET (ret, age_ms, s->memory_ms != 0 ? now - s->memory_ms : 0);
}

static int
has_answered (const struct qmp_vm *vm)
{
  return vm->sample.memory_asked == 0;
}

int
qmp_memory_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  struct hv_memory_stats *ret = result;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_need_process (vm, err);
  if (r < 0)
    return r;
  struct hv_host *h = vm->qmp->host;
  uint64_t max_age = h->api->max_age_ms (call), now = h->api->now_ms ();
  int fresh = vm->sample.memory_ms != 0 && vm->sample.memory_ms + max_age >= now;
  if (!fresh && qmp_sample_memory (vm))
    r = qmp_vm_wait (vm, has_answered, ANSWER_MS, err);
  if (r < 0 && r != HV_E_DEADLINE_EXCEEDED) /* late: what the kernel knows, and what the guest said last */
    return r;
  (void) qmp_process_memory (vm->pid, ret); /* has it ended, the kernel says nothing of it any more */
  qmp_memory_known (vm, ret, h->api->now_ms ());
  return 0;
}
