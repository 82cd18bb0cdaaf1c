/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of a VM's disks: sizes and layers, counters, failures. */
#include "op.h"
#include <stdio.h>
#include <string.h>

static int
disk_known (struct lv_vm *vm, const struct hv_block_args *a, struct hv_err *err)
{
  if (vm->facts == NULL)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': libvirt was not asked yet", vm->name);
  if (!HV_HAS (a, disk) || lv_domain_disk (vm->facts, a->disk) != NULL)
    return 0;
  return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no disk '%s'", vm->name, a->disk);
}

static int
is_wanted (const struct hv_block_args *a, const char *disk)
{
  return !HV_HAS (a, disk) || strcmp (a->disk, disk) == 0;
}

/* --- counters --- */

static int
stats_fill (struct lv_vm *vm, const struct hv_block_args *a, int live, struct hv_block_stats *ret, struct hv_err *err)
{
  struct hv_host *h = vm->lv->host;
  const struct lv_domain *d = vm->facts;
  ret->items.items = hv_alloc (h, ((uint64_t) d->disk_count + 1) * sizeof *ret->items.items);
  for (uint32_t i = 0; ret->items.items != NULL && i < d->disk_count; i++) {
    const struct hv_block_stat *s = is_wanted (a, d->disks[i].name) ? lv_figures_block (vm, d->disks[i].target) : NULL;
    if (s == NULL)
      continue;
    ret->items.items[ret->items.count] = *s;
    ret->items.items[ret->items.count++].disk = hv_strdup (h, d->disks[i].name);
  }
  HV_SET (ret, age_ms, h->api->now_ms () - vm->figures->heard_ms);
  HV_SET (ret, source, live ? "live" : "cache");
  return ret->items.items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* 1: the group was read now, 0: what is known is old, but there. [coro] */
int
lv_figures_need (struct lv_vm *vm, uint32_t group, uint64_t max_age_ms, struct hv_err *err)
{
  uint64_t now = vm->lv->host->api->now_ms ();
  int known = vm->figures != NULL && (vm->figures->has & group) == group;
  if (known && max_age_ms > 0 && now - vm->figures->heard_ms <= max_age_ms)
    return 0;
  HV_CLEAN (hv_err) struct hv_err *why = hv_err_new (vm->lv->host);
  int r = vm->overdue == 0 ? lv_figures_ask (vm->lv, vm, group, why) : HV_E_DEADLINE_EXCEEDED;
  if (r == HV_E_CANCELLED)
    return r;
  known = vm->figures != NULL && (vm->figures->has & group) == group;
  if (!known)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s' does not answer, and its figures were never read", vm->name);
  return r == 0 && vm->figures->heard_ms >= now;
}

int
lv_block_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_process (vm, err);
  if (r == 0)
    r = disk_known (vm, a, err);
  if (r == 0)
    r = lv_figures_need (vm, LV_FIGURES_BLOCK, vm->lv->host->api->max_age_ms (call), err);
  return r < 0 ? r : stats_fill (vm, a, r, result, err);
}

/* --- sizes and layers --- */

/* `a`: targets, one per line; `ret`: "capacity allocation\n" for each, "-\n" for one that libvirt cannot say. */
static int
sizes_run (struct lv_work *w)
{
  size_t size = 0;
  FILE *out = open_memstream (&LV_OP (w)->ret, &size);
  for (char *at = LV_OP (w)->a; out != NULL && *at != '\0';) {
    virDomainBlockInfo info;
    char *end = at + strcspn (at, "\n");
    *end = '\0';
    if (virDomainGetBlockInfo (w->dom, at, &info, 0) == 0)
      (void) fprintf (out, "%llu %llu\n", info.capacity, info.allocation);
    else
      (void) fprintf (out, "-\n");
    at = end + 1;
  }
  return out != NULL && fclose (out) == 0 ? 0 : lv_work_error (w, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static void
info_fill (struct hv_host *h, const struct lv_disk *d, struct hv_block_info *ret)
{
  ret->disk = hv_strdup (h, d->name);
  ret->has.disk = 1;
  if (d->path != NULL)
    HV_SET (ret, path, hv_strdup (h, d->path));
  for (uint32_t i = 0; d->format != NULL && hv_disk_format_words[i] != NULL; i++)
    if (strcmp (hv_disk_format_words[i], d->format) == 0)
      HV_SET (ret, format, i);
  HV_SET (ret, layers, d->path != NULL ? d->backing_count + 1 : 0);
  HV_SET (ret, read_only, d->read_only);
}

static int
sizes_take (struct hv_block_infos *ret, const char *lines)
{
  int n = 0;
  for (uint32_t i = 0; i < ret->items.count && lines != NULL && *lines != '\0'; i++) {
    unsigned long long capacity, allocation;
    if (sscanf (lines, "%llu %llu", &capacity, &allocation) == 2) {
      HV_SET (&ret->items.items[i], virtual_size_bytes, capacity);
      HV_SET (&ret->items.items[i], allocated_bytes, allocation);
      n++;
    }
    lines = strchr (lines, '\n') != NULL ? strchr (lines, '\n') + 1 : "";
  }
  return n;
}

int
lv_block_info (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_args *a = args;
  struct hv_block_infos *ret = result;
  struct lv *lv = self;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (lv, a->vm, err);
  char *targets = NULL;
  size_t size = 0;
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->overdue == 0 && vm->daemon->connected)
    (void) lv_sync_vm (vm, NULL); /* what was plugged in or put on top a moment ago */
  int r = disk_known (vm, a, err);
  FILE *out = r == 0 ? open_memstream (&targets, &size) : NULL;
  if (r == 0)
    ret->items.items = hv_alloc (lv->host, ((uint64_t) vm->facts->disk_count + 1) * sizeof *ret->items.items);
  if (r == 0 && (out == NULL || ret->items.items == NULL))
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; r == 0 && i < vm->facts->disk_count; i++)
    if (is_wanted (a, vm->facts->disks[i].name)) {
      info_fill (lv->host, &vm->facts->disks[i], &ret->items.items[ret->items.count++]);
      (void) fprintf (out, "%s\n", vm->facts->disks[i].target);
    }
  if (out != NULL)
    (void) fclose (out);
  HV_CLEAN (lv_op) struct lv_op *op = r == 0 ? lv_op_new (sizes_run, "disks of VM", 0, targets, NULL) : NULL;
  free (targets);
  if (r < 0)
    return r;
  int live = vm->overdue == 0 && lv_op_run (vm, op, lv->config->stats_ms * 5, NULL) == 0 && sizes_take (ret, op->ret) > 0;
  HV_SET (ret, age_ms, live ? 0 : lv->host->api->now_ms () - vm->heard_ms);
  HV_SET (ret, source, live ? "live" : "stored");
  return 0;
}

/* --- failures --- */

/* A guest that an I/O error stopped while nobody listened: libvirt still knows which disk it was. "target error\n" each. */
static int
errors_run (struct lv_work *w)
{
  virDomainDiskErrorPtr list = NULL;
  size_t size = 0;
  int n = virDomainGetDiskErrors (w->dom, NULL, 0, 0);
  if (n > 0)
    list = calloc ((size_t) n, sizeof *list);
  if (n > 0 && list != NULL)
    n = virDomainGetDiskErrors (w->dom, list, (unsigned) n, 0);
  FILE *out = n >= 0 ? open_memstream (&LV_OP (w)->ret, &size) : NULL;
  for (int i = 0; out != NULL && list != NULL && i < n; i++) {
    (void) fprintf (out, "%s %d\n", list[i].disk, list[i].error);
    free (list[i].disk);
  }
  free (list);
  if (out != NULL)
    (void) fclose (out);
  return n < 0 ? lv_work_fail (w) : 0;
}

static uint32_t
error_told (const char *lines, const char *target)
{
  size_t n = strlen (target);
  for (const char *at = lines; at != NULL && *at != '\0'; at = strchr (at, '\n') != NULL ? strchr (at, '\n') + 1 : "")
    if (strncmp (at, target, n) == 0 && at[n] == ' ')
      return at[n + 1] - '0' == VIR_DOMAIN_DISK_ERROR_NO_SPACE ? LV_FAULT_NO_SPACE : LV_FAULT_FAILED;
  return LV_FAULT_OK;
}

static void
error_fill (struct lv_vm *vm, const struct lv_disk *d, const char *told, struct hv_block_error *ret)
{
  struct hv_host *h = vm->lv->host;
  ret->disk = hv_strdup (h, d->name);
  ret->has.disk = 1;
  HV_SET (ret, fault, error_told (told, d->target));
  HV_SET (ret, count, 0);
  for (uint32_t i = 0; i < vm->fault_count; i++) {
    const struct lv_disk_fault *f = &vm->faults[i];
    if (strcmp (f->disk, d->name) != 0)
      continue;
    if (ret->fault == LV_FAULT_OK)
      ret->fault = f->fault;
    HV_SET (ret, count, f->count);
    if (f->reason != NULL)
      HV_SET (ret, reason, hv_strdup (h, f->reason));
    if (f->last_ms > 0)
      HV_SET (ret, last_ms, f->last_ms);
  }
}

int
lv_block_errors (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_args *a = args;
  struct hv_block_errors *ret = result;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  HV_CLEAN (lv_op) struct lv_op *op = NULL;
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : disk_known (vm, a, err);
  if (r < 0)
    return r;
  if (vm->state == HV_VM_PAUSED && vm->overdue == 0) {
    op = lv_op_new (errors_run, "failures of VM", 0, NULL, NULL);
    (void) lv_op_run (vm, op, vm->lv->config->stats_ms * 5, NULL); /* without: what its events told */
  }
  struct hv_host *h = vm->lv->host;
  ret->items.items = hv_alloc (h, ((uint64_t) vm->facts->disk_count + 1) * sizeof *ret->items.items);
  for (uint32_t i = 0; ret->items.items != NULL && i < vm->facts->disk_count; i++) {
    struct hv_block_error e = { 0 };
    if (!is_wanted (a, vm->facts->disks[i].name))
      continue;
    error_fill (vm, &vm->facts->disks[i], op != NULL && op->w.finished ? op->ret : NULL, &e);
    if (HV_HAS (a, disk) || e.count > 0 || e.fault != LV_FAULT_OK)
      ret->items.items[ret->items.count++] = e;
  }
  return ret->items.items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- networks and memory --- */

int
lv_interface_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_interface_args *a = args;
  struct hv_interface_stats *ret = result;
  struct hv_vm_stats all = { 0 };
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_process (vm, err);
  if (r == 0)
    r = lv_vm_need_facts (vm, err);
  if (r == 0 && HV_HAS (a, nic) && lv_domain_nic (vm->facts, a->nic) == NULL)
    r = hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no network card '%s'", vm->name, a->nic);
  if (r == 0)
    r = lv_figures_need (vm, LV_FIGURES_NET, vm->lv->host->api->max_age_ms (call), err);
  if (r < 0)
    return r;
  lv_nics_fill (vm, &all);
  ret->items.items = all.net.items;
  for (uint32_t i = 0; i < all.net.count; i++)
    if (!HV_HAS (a, nic) || strcmp (all.net.items[i].nic, a->nic) == 0)
      ret->items.items[ret->items.count++] = all.net.items[i];
  HV_SET (ret, age_ms, vm->lv->host->api->now_ms () - vm->figures->heard_ms);
  return 0;
}

int
lv_memory_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_process (vm, err);
  if (r == 0)
    r = lv_figures_need (vm, LV_FIGURES_MEMORY, vm->lv->host->api->max_age_ms (call), err);
  if (r >= 0)
    lv_memory_fill (vm, result);
  return r < 0 ? r : 0;
}
