/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list, get, adopt: from what is known. */
#include "libvirt.h"
#include <string.h>

int
lv_list (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct lv *lv = self;
  const struct hv_list_args *a = args;
  struct hv_vm_list *ret = result;
  uint32_t at = 0;
  (void) call;
  while (HV_HAS (a, continue_from) && at < lv->vm_count && strcmp (lv->vms[at]->name, a->continue_from) <= 0)
    at++;
  uint32_t n = lv->vm_count - at < a->limit ? lv->vm_count - at : a->limit;
  ret->items.items = hv_alloc (lv->host, ((uint64_t) n + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (; ret->items.count < n; ret->items.count++)
    lv_vm_fill (lv->vms[at + ret->items.count], &ret->items.items[ret->items.count]);
  if (at + n < lv->vm_count)
    HV_SET (ret, continue_from, lv->vms[at + n - 1]->name);
  lv->host->api->cursor (lv->host, &ret->epoch, &ret->seq);
  ret->has.epoch = ret->has.seq = 1;
  return 0;
}

/* From what events told, unless that may not be as old: then libvirt's daemon is asked. */
int
lv_get (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  struct lv *lv = self;
  struct hv_vm *ret = result;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (lv, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  uint64_t max_age_ms = lv->host->api->max_age_ms (call), now = lv->host->api->now_ms ();
  int ask = max_age_ms > 0 && now - vm->heard_ms >= max_age_ms && vm->overdue == 0;
  int r = ask ? lv_state_read (vm, err) : 0;
  if (r < 0)
    return r;
  lv_vm_fill (vm, ret);
  if (ask)
    HV_SET (ret, source, "live");
  return 0;
}

/* Looks again, now. A foreign domain becomes ours: from here on it is treated as if hvkit had defined it. */
int
lv_adopt (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = lv_sync_vm (vm, err);
  if (r == 0 && vm->foreign && !vm->transient) {
    r = lv_record_put (vm, err);
    if (r == 0)
      vm->foreign = 0;
  }
  lv_vm_fill (vm, result);
  return r;
}
