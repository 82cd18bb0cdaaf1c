/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stats: the figures of one VM or of all, with their age, and what could not be had. */
#include "libvirt.h"
#include <string.h>

static const char *const groups[] = { "cpu", "memory", "block", "net", NULL }; /* in the order of LV_FIGURES_* */

static int
groups_of (const struct hv_stats_args *a, uint32_t *ret, struct hv_err *err)
{
  *ret = HV_HAS (a, groups) ? 0 : LV_FIGURES_ALL;
  for (uint32_t i = 0; HV_HAS (a, groups) && i < a->groups.count; i++) {
    size_t k = 0;
    while (groups[k] != NULL && strcmp (groups[k], a->groups.items[i]) != 0)
      k++;
    if (groups[k] == NULL)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "groups[%u] '%s': one of cpu, memory, block, net", i, a->groups.items[i]);
    *ret |= 1u << k;
  }
  return 0;
}

/* --- rows --- */

static void
blocks_row (struct lv_vm *vm, struct hv_vm_stats *ret)
{
  struct hv_host *h = vm->lv->host;
  const struct lv_domain *d = vm->facts;
  ret->block.items = hv_alloc (h, ((uint64_t) d->disk_count + 1) * sizeof *ret->block.items);
  for (uint32_t i = 0; ret->block.items != NULL && i < d->disk_count; i++) {
    const struct hv_block_stat *b = d->disks[i].target != NULL ? lv_figures_block (vm, d->disks[i].target) : NULL;
    if (b == NULL)
      continue;
    ret->block.items[ret->block.count] = *b;
    ret->block.items[ret->block.count++].disk = hv_strdup (h, d->disks[i].name);
  }
  ret->has.block = ret->block.items != NULL;
}

void
lv_nics_fill (const struct lv_vm *vm, struct hv_vm_stats *ret)
{
  struct hv_host *h = vm->lv->host;
  const struct lv_figures *f = vm->figures;
  ret->net.items = hv_alloc (h, ((uint64_t) f->nic_count + 1) * sizeof *ret->net.items);
  for (uint32_t i = 0; ret->net.items != NULL && i < f->nic_count; i++) {
    struct hv_interface_stat *s = &ret->net.items[ret->net.count++];
    *s = f->nics[i];
    const char *name = s->nic = hv_strdup (h, f->nics[i].nic);
    HV_SET (s, tap, name);
    for (uint32_t k = 0; k < vm->facts->nic_count; k++)
      if (vm->facts->nics[k].target != NULL && strcmp (vm->facts->nics[k].target, f->nics[i].nic) == 0)
        s->nic = hv_strdup (h, vm->facts->nics[k].name);
  }
  ret->has.net = ret->net.items != NULL;
}

void
lv_memory_fill (const struct lv_vm *vm, struct hv_memory_stats *ret)
{
  const struct lv_figures *f = vm->figures;
  uint64_t now = vm->lv->host->api->now_ms ();
  *ret = f->memory;
  HV_SET (ret, age_ms, now - f->heard_ms);
  if (f->guest_s > 0)
    HV_SET (ret, guest_age_ms, lv_wall_ms () > (uint64_t) f->guest_s * 1000 ? lv_wall_ms () - (uint64_t) f->guest_s * 1000 : 0);
}

static void
stats_row (struct lv_vm *vm, uint32_t wanted, struct hv_vm_stats *ret)
{
  struct hv_host *h = vm->lv->host;
  const char **missing = hv_alloc (h, 4 * sizeof *missing);
  struct hv_strs list = { missing, 0 };
  uint32_t has = vm->figures != NULL && vm->facts != NULL ? vm->figures->has : 0;
  ret->vm = hv_strdup (h, vm->name);
  ret->has.vm = 1;
  HV_SET (ret, state, vm->state);
  HV_SET (ret, age_ms, 0);
  if (missing == NULL || !lv_vm_alive (vm))
    return;
  for (uint32_t k = 0; k < 4; k++)
    if (wanted & 1u << k && !(has & 1u << k))
      missing[list.count++] = groups[k];
  if (list.count > 0)
    HV_SET (ret, missing, list);
  if (has == 0)
    return;
  HV_SET (ret, age_ms, h->api->now_ms () - vm->figures->heard_ms);
  if (wanted & has & LV_FIGURES_CPU) {
    HV_SET (ret, cpu, vm->figures->cpu);
    HV_SET (&ret->cpu, vcpus, vm->facts->vcpus);
  }
  if (wanted & has & LV_FIGURES_MEMORY) {
    lv_memory_fill (vm, &ret->memory);
    ret->has.memory = 1;
  }
  if (wanted & has & LV_FIGURES_BLOCK)
    blocks_row (vm, ret);
  if (wanted & has & LV_FIGURES_NET)
    lv_nics_fill (vm, ret);
}

/* --- the verb --- */

/* All the figures that are wanted are young enough. */
static int
are_fresh (struct lv *lv, const struct lv_vm *one, uint32_t wanted, uint64_t max_age_ms)
{
  uint64_t now = lv->host->api->now_ms ();
  for (uint32_t i = 0; i < lv->vm_count; i++) {
    const struct lv_vm *vm = lv->vms[i];
    if ((one == NULL || one == vm) && lv_vm_alive (vm)
        && (vm->figures == NULL || (vm->figures->has & wanted) != wanted || now - vm->figures->heard_ms > max_age_ms))
      return 0;
  }
  return 1;
}

int
lv_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct lv *lv = self;
  const struct hv_stats_args *a = args;
  struct hv_stats *ret = result;
  uint32_t wanted;
  HV_CLEAN (lv_vm) struct lv_vm *one = HV_HAS (a, vm) ? lv_vm_hold (lv, a->vm, err) : NULL;
  int r = groups_of (a, &wanted, err);
  if (r < 0 || (HV_HAS (a, vm) && one == NULL))
    return r < 0 ? r : HV_E_NOT_FOUND;
  uint64_t max_age_ms = lv->host->api->max_age_ms (call);
  int ask = lv_any_connected (lv) && !are_fresh (lv, one, wanted, max_age_ms)
            && (one == NULL || (lv_vm_alive (one) && one->overdue == 0));
  if (ask)
    r = lv_figures_ask (lv, one, wanted, err); /* what does not answer in time keeps what is known of it */
  if (r == HV_E_CANCELLED)
    return r;
  ret->items.items = hv_alloc (lv->host, ((uint64_t) lv->vm_count + 1) * sizeof *ret->items.items);
  for (uint32_t i = 0; ret->items.items != NULL && i < lv->vm_count; i++)
    if (one == NULL || lv->vms[i] == one)
      stats_row (lv->vms[i], wanted, &ret->items.items[ret->items.count++]);
  return ret->items.items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}
