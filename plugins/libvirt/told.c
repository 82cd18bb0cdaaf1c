/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt says of a device or a block job is kept until the verb that waits for it has seen it. */
#include "libvirt.h"

void
lv_device_told (struct lv_vm *vm, const char *device, int kind)
{
  if (lv_text_set (&vm->told_device, device) == 0)
    vm->told_kind = kind;
  lv_vm_wake (vm);
}

void
lv_block_job_told (struct lv_vm *vm, const char *target, int status)
{
  (void) target;
  vm->block_job_status = status;
  lv_vm_wake (vm);
}
