/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Failures of a VM's disks since it started, as its events told them. */
#include "libvirt.h"
#include <string.h>

static struct lv_disk_fault *
fault_of (struct lv_vm *vm, const char *disk)
{
  for (uint32_t i = 0; i < vm->fault_count; i++)
    if (strcmp (vm->faults[i].disk, disk) == 0)
      return &vm->faults[i];
  struct lv_disk_fault *more = realloc (vm->faults, ((size_t) vm->fault_count + 1) * sizeof *more);
  if (more == NULL)
    return NULL;
  vm->faults = more;
  more[vm->fault_count] = (struct lv_disk_fault){ .disk = strdup (disk) };
  return more[vm->fault_count].disk != NULL ? &more[vm->fault_count++] : NULL;
}

void
lv_fault_note (struct lv_vm *vm, const struct hv_io_error *e)
{
  struct lv_disk_fault *f = HV_HAS (e, disk) ? fault_of (vm, e->disk) : NULL;
  if (f == NULL)
    return;
  f->count++;
  f->last_ms = lv_wall_ms ();
  (void) lv_text_set (&f->reason, e->reason);
  if (strcmp (e->action, "stop") == 0)
    f->fault = e->no_space ? LV_FAULT_NO_SPACE : LV_FAULT_FAILED;
}

void
lv_faults_resumed (struct lv_vm *vm)
{
  for (uint32_t i = 0; i < vm->fault_count; i++)
    vm->faults[i].fault = LV_FAULT_OK;
}

void
lv_faults_clear (struct lv_vm *vm)
{
  for (uint32_t i = 0; i < vm->fault_count; i++) {
    free (vm->faults[i].disk);
    free (vm->faults[i].reason);
  }
  free (vm->faults);
  vm->faults = NULL;
  vm->fault_count = 0;
}
