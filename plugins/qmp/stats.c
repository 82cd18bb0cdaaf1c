/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures of one VM or of all. Processor, memory and networks come from the kernel, at once; disks from every QEMU, asked
 * all together. One that does not answer within the budget holds up nobody: its last figures are given, with their age. */
#include "qmp.h"
#include <string.h>

static const char *const groups[] = { "cpu", "memory", "block", "net", NULL };

static int
wants (const struct hv_stats_args *a, const char *group)
{
  if (!HV_HAS (a, groups))
    return 1;
  for (uint32_t i = 0; i < a->groups.count; i++)
    if (strcmp (a->groups.items[i], group) == 0)
      return 1;
  return 0;
}

static int
groups_check (const struct hv_stats_args *a, struct hv_err *err)
{
  for (uint32_t i = 0; HV_HAS (a, groups) && i < a->groups.count; i++) {
    size_t k = 0;
    while (groups[k] != NULL && strcmp (groups[k], a->groups.items[i]) != 0)
      k++;
    if (groups[k] == NULL)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "groups[%u] '%s': one of cpu, memory, block, net", i, a->groups.items[i]);
  }
  return 0;
}

/* --- asking many at once --- */

struct round {
  struct qmp *qmp;
  struct qmp_vm **vms; /* held */
  uint32_t count;
  uint64_t begin_ms, max_age_ms;
};

static int
is_fresh (const struct round *r, const struct qmp_vm *vm)
{
  return r->max_age_ms > 0 && vm->sample.block_ms != 0 && vm->sample.block_ms + r->max_age_ms >= r->begin_ms;
}

/* Guests report on their own clock, and the balloon's size comes as an event: asking more often makes work for every QEMU and
 * tells nothing. */
static int
is_reported (const struct round *r, const struct qmp_vm *vm)
{
  uint64_t every_ms = (vm->qmp->config->balloon_s > 0 ? vm->qmp->config->balloon_s : 1) * 1000u;
  return vm->sample.memory_ms != 0 && vm->sample.memory_ms + every_ms > r->begin_ms;
}

/* Not waited for: what cannot be asked, and what has been silent before. */
static int
is_awaited (const struct qmp_vm *vm)
{
  return vm->sample.block_asked != 0 && !vm->sample.lags && vm->misses == 0 && vm->state != HV_VM_UNREACHABLE;
}

static void
round_ask (struct round *r, int memory)
{
  for (uint32_t i = 0; i < r->count; i++) {
    if (!is_fresh (r, r->vms[i]))
      (void) qmp_sample_blocks (r->vms[i]);
    if (memory && !is_reported (r, r->vms[i]))
      (void) qmp_sample_memory (r->vms[i]);
  }
}

static uint32_t
round_open (const struct round *r)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < r->count; i++)
    n += is_awaited (r->vms[i]);
  return n;
}

static void
round_wait (struct round *r)
{
  struct qmp *q = r->qmp;
  uint64_t end = r->begin_ms + q->config->stats_ms;
  q->sampling++;
  while (round_open (r) > 0) {
    uint64_t now = q->host->api->now_ms ();
    if (now >= end || q->host->api->cond_wait (q->host, q->sampled, end - now, NULL) == HV_E_CANCELLED)
      break;
  }
  q->sampling--;
  for (uint32_t i = 0; i < r->count; i++)
    r->vms[i]->sample.lags = r->vms[i]->sample.block_asked != 0;
}

/* --- one VM's row --- */

static int
net_row (struct qmp_vm *vm, struct hv_vm_stats *ret)
{
  struct hv_interface_stats all = { 0 };
  if (qmp_interfaces_read (vm, NULL, &all, NULL) < 0)
    return 0;
  ret->net.items = all.items.items;
  ret->net.count = all.items.count;
  ret->has.net = 1;
  return 1;
}

static int
block_row (struct qmp_vm *vm, struct hv_vm_stats *ret, uint64_t now)
{
  const struct qmp_sample *s = &vm->sample;
  if (s->block_ms == 0)
    return 0;
  ret->block.items = hv_alloc (vm->qmp->host, ((uint64_t) s->block_count + 1) * sizeof *ret->block.items);
  if (ret->block.items == NULL)
    return 0;
  for (uint32_t i = 0; i < s->block_count; i++) {
    struct hv_block_stat *b = &ret->block.items[ret->block.count++];
    *b = s->blocks[i].stat;
    b->disk = hv_strdup (vm->qmp->host, s->blocks[i].disk); /* the sample may be replaced while we wait for another VM */
  }
  ret->has.block = 1;
  HV_SET (ret, age_ms, now - s->block_ms);
  return 1;
}

static void
miss (struct hv_vm_stats *ret, const char *group)
{
  ((const char **) (uintptr_t) ret->missing.items)[ret->missing.count++] = group; /* row_begin made room */
}

/* What the kernel knows. It is read while the QEMUs are at theirs. */
static void
row_begin (struct qmp_vm *vm, const struct hv_stats_args *a, struct hv_vm_stats *ret)
{
  ret->missing.items = hv_alloc (vm->qmp->host, 2 * sizeof *ret->missing.items);
  ret->vm = hv_strdup (vm->qmp->host, vm->name);
  ret->has.vm = 1;
  if (ret->missing.items == NULL || vm->pidfd < 0)
    return;
  if (wants (a, "cpu")) {
    ret->has.cpu = qmp_process_cpu (vm->pid, &ret->cpu) == 0;
    HV_SET (&ret->cpu, vcpus, vm->live_vcpus > 0 ? vm->live_vcpus : vm->vcpus);
  }
  if (wants (a, "memory"))
    ret->has.memory = qmp_process_memory (vm->pid, &ret->memory) == 0;
  if (wants (a, "net") && !net_row (vm, ret))
    miss (ret, "net");
}

/* The rest. Of one that has ended meanwhile there is nothing to say but that. */
static void
row_end (struct qmp_vm *vm, const struct hv_stats_args *a, struct hv_vm_stats *ret, uint64_t now)
{
  HV_SET (ret, state, vm->state);
  HV_SET (ret, age_ms, 0);
  if (vm->pidfd < 0)
    ret->has.cpu = ret->has.memory = ret->has.net = 0;
  if (vm->pidfd < 0 || ret->missing.items == NULL)
    return;
  if (ret->has.memory)
    qmp_memory_known (vm, &ret->memory, now);
  if (wants (a, "block") && !block_row (vm, ret, now))
    miss (ret, "block");
  ret->has.missing = ret->missing.count > 0;
}

/* --- the verb --- */

static int
round_begin (struct round *r, struct qmp *q, const struct hv_stats_args *a, struct hv_err *err)
{
  struct qmp_vm *one = HV_HAS (a, vm) ? qmp_vm_find (q, a->vm, err) : NULL;
  if (HV_HAS (a, vm) && one == NULL)
    return HV_E_NOT_FOUND;
  uint32_t n = one != NULL ? 1 : q->vm_count;
  r->vms = hv_alloc (q->host, ((uint64_t) n + 1) * sizeof (struct qmp_vm *));
  if (r->vms == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (; r->count < n; r->count++)
    r->vms[r->count] = qmp_vm_ref (one != NULL ? one : q->vms[r->count]);
  return 0;
}

int
qmp_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct qmp *q = self;
  const struct hv_stats_args *a = args;
  struct hv_stats *ret = result;
  struct round r = { .qmp = q, .begin_ms = q->host->api->now_ms (), .max_age_ms = q->host->api->max_age_ms (call) };
  int code = groups_check (a, err);
  if (code == 0)
    code = round_begin (&r, q, a, err);
  if (code < 0)
    return code;
  if (wants (a, "block"))
    round_ask (&r, wants (a, "memory"));
  ret->items.items = hv_alloc (q->host, ((uint64_t) r.count + 1) * sizeof *ret->items.items);
  for (uint32_t i = 0; ret->items.items != NULL && i < r.count; i++)
    row_begin (r.vms[i], a, &ret->items.items[ret->items.count++]);
  if (wants (a, "block"))
    round_wait (&r);
  for (uint32_t i = 0; i < ret->items.count; i++)
    row_end (r.vms[i], a, &ret->items.items[i], q->host->api->now_ms ());
  for (uint32_t i = 0; i < r.count; i++)
    qmp_vm_unref (r.vms[i]);
  return ret->items.items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}
