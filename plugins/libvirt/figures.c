/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures of all domains in one call of libvirt. libvirt stops at the first QEMU that stands still, for ever; so a call that does
 * not come back in time is left alone, and the next one passes over the domain that the first one still holds (NOWAIT). */
#include "libvirt.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS_MAX 4

void
lv_figures_free (struct lv_figures *f)
{
  if (f == NULL)
    return;
  for (uint32_t i = 0; i < f->block_count; i++)
    free ((char *) (uintptr_t) f->blocks[i].disk);
  for (uint32_t i = 0; i < f->nic_count; i++)
    free ((char *) (uintptr_t) f->nics[i].nic);
  free (f->blocks);
  free (f->block_physical);
  free (f->nics);
  free (f);
}

/* --- typed parameters --- */

static const virTypedParameter *
param (virDomainStatsRecordPtr r, const char *name)
{
  return virTypedParamsGet (r->params, r->nparams, name);
}

HV_PRINTF (3, 4)
static int
number (virDomainStatsRecordPtr r, uint64_t *ret, const char *fmt, ...)
{
  char name[64];
  va_list ap;
  va_start (ap, fmt);
  (void) vsnprintf (name, sizeof name, fmt, ap);
  va_end (ap);
  const virTypedParameter *p = param (r, name);
  if (p == NULL)
    return 0;
  switch (p->type) {
  case VIR_TYPED_PARAM_INT:
    *ret = (uint64_t) p->value.i;
    return p->value.i >= 0;
  case VIR_TYPED_PARAM_UINT:
    *ret = p->value.ui;
    return 1;
  case VIR_TYPED_PARAM_LLONG:
    *ret = (uint64_t) p->value.l;
    return p->value.l >= 0;
  case VIR_TYPED_PARAM_ULLONG:
    *ret = p->value.ul;
    return 1;
  default:
    return 0;
  }
}

static const char *
text (virDomainStatsRecordPtr r, const char *group, uint32_t index)
{
  char name[64];
  (void) snprintf (name, sizeof name, "%s.%" PRIu32 ".name", group, index);
  const virTypedParameter *p = param (r, name);
  return p != NULL && p->type == VIR_TYPED_PARAM_STRING ? p->value.s : NULL;
}

#define TAKE(to, member, scale, ...) \
  do { \
    uint64_t value_; \
    if (number (r, &value_, __VA_ARGS__)) \
      HV_SET (to, member, value_ *(scale)); \
  } while (0)

static int
read_cpu (virDomainStatsRecordPtr r, struct lv_figures *f)
{
  uint64_t vcpus;
  TAKE (&f->cpu, total_ns, 1, "cpu.time");
  TAKE (&f->cpu, user_ns, 1, "cpu.user");
  TAKE (&f->cpu, system_ns, 1, "cpu.system");
  if (number (r, &vcpus, "vcpu.current"))
    HV_SET (&f->cpu, vcpus, (uint32_t) vcpus);
  return f->cpu.has.total_ns;
}

static int
read_memory (virDomainStatsRecordPtr r, struct lv_figures *f)
{
  struct hv_memory_stats *m = &f->memory;
  uint64_t update = 0;
  TAKE (m, size_bytes, 1024, "balloon.maximum");
  TAKE (m, balloon_bytes, 1024, "balloon.current");
  TAKE (m, resident_bytes, 1024, "balloon.rss");
  TAKE (m, guest_total_bytes, 1024, "balloon.available");
  TAKE (m, guest_free_bytes, 1024, "balloon.unused");
  TAKE (m, guest_available_bytes, 1024, "balloon.usable");
  TAKE (m, guest_caches_bytes, 1024, "balloon.disk_caches");
  TAKE (m, guest_swap_in_bytes, 1024, "balloon.swap_in");
  TAKE (m, guest_swap_out_bytes, 1024, "balloon.swap_out");
  TAKE (m, guest_major_faults, 1, "balloon.major_fault");
  TAKE (m, guest_minor_faults, 1, "balloon.minor_fault");
  if (number (r, &update, "balloon.last-update"))
    f->guest_s = (int64_t) update;
  return m->has.balloon_bytes && m->has.resident_bytes;
}

static int
read_blocks (virDomainStatsRecordPtr r, struct lv_figures *f)
{
  uint64_t n = 0, told = 0;
  if (!number (r, &n, "block.count") || n > 1024)
    return 0;
  f->blocks = calloc (n + 1, sizeof *f->blocks);
  f->block_physical = calloc (3 * (n + 1), sizeof *f->block_physical);
  if (f->blocks == NULL || f->block_physical == NULL)
    return 0;
  f->block_allocation = f->block_physical + n + 1;
  f->block_capacity = f->block_allocation + n + 1;
  for (uint32_t i = 0; i < n; i++) {
    struct hv_block_stat *b = &f->blocks[f->block_count];
    const char *name = text (r, "block", i);
    if (name == NULL || (b->disk = strdup (name)) == NULL)
      continue;
    b->has.disk = 1;
    TAKE (b, read_bytes, 1, "block.%" PRIu32 ".rd.bytes", i);
    TAKE (b, read_ops, 1, "block.%" PRIu32 ".rd.reqs", i);
    TAKE (b, read_time_ns, 1, "block.%" PRIu32 ".rd.times", i);
    TAKE (b, write_bytes, 1, "block.%" PRIu32 ".wr.bytes", i);
    TAKE (b, write_ops, 1, "block.%" PRIu32 ".wr.reqs", i);
    TAKE (b, write_time_ns, 1, "block.%" PRIu32 ".wr.times", i);
    TAKE (b, flush_ops, 1, "block.%" PRIu32 ".fl.reqs", i);
    TAKE (b, flush_time_ns, 1, "block.%" PRIu32 ".fl.times", i);
    (void) number (r, &f->block_physical[f->block_count], "block.%" PRIu32 ".physical", i);
    (void) number (r, &f->block_allocation[f->block_count], "block.%" PRIu32 ".allocation", i);
    (void) number (r, &f->block_capacity[f->block_count], "block.%" PRIu32 ".capacity", i);
    told += b->has.read_bytes;
    f->block_count++;
  }
  return n == 0 || told > 0; /* names alone: libvirt did not get to ask QEMU */
}

static int
read_nics (virDomainStatsRecordPtr r, struct lv_figures *f)
{
  uint64_t n = 0;
  if (!number (r, &n, "net.count") || n > 1024)
    return 0;
  f->nics = calloc (n + 1, sizeof *f->nics);
  for (uint32_t i = 0; f->nics != NULL && i < n; i++) {
    struct hv_interface_stat *s = &f->nics[f->nic_count];
    const char *name = text (r, "net", i);
    if (name == NULL || (s->nic = strdup (name)) == NULL)
      continue;
    s->has.nic = 1;
    TAKE (s, rx_bytes, 1, "net.%" PRIu32 ".rx.bytes", i);
    TAKE (s, rx_packets, 1, "net.%" PRIu32 ".rx.pkts", i);
    TAKE (s, rx_errors, 1, "net.%" PRIu32 ".rx.errs", i);
    TAKE (s, rx_drops, 1, "net.%" PRIu32 ".rx.drop", i);
    TAKE (s, tx_bytes, 1, "net.%" PRIu32 ".tx.bytes", i);
    TAKE (s, tx_packets, 1, "net.%" PRIu32 ".tx.pkts", i);
    TAKE (s, tx_errors, 1, "net.%" PRIu32 ".tx.errs", i);
    TAKE (s, tx_drops, 1, "net.%" PRIu32 ".tx.drop", i);
    f->nic_count++;
  }
  return f->nics != NULL;
}

struct lv_figures *
lv_figures_read (virDomainStatsRecordPtr r, uint64_t now_ms)
{
  struct lv_figures *f = calloc (1, sizeof *f);
  if (f == NULL)
    return NULL;
  f->heard_ms = now_ms;
  (void) virDomainGetUUID (r->dom, f->uuid);
  f->has |= read_cpu (r, f) ? LV_FIGURES_CPU : 0;
  f->has |= read_memory (r, f) ? LV_FIGURES_MEMORY : 0;
  f->has |= read_blocks (r, f) ? LV_FIGURES_BLOCK : 0;
  f->has |= read_nics (r, f) ? LV_FIGURES_NET : 0;
  return f;
}

/* --- keeping them --- */

void
lv_figures_merge (struct lv_figures **into, struct lv_figures *from)
{
  struct lv_figures *old = *into;
  if (old == NULL) {
    *into = from;
    return;
  }
  if (!(from->has & LV_FIGURES_CPU))
    from->cpu = old->cpu;
  if (!(from->has & LV_FIGURES_MEMORY)) {
    from->memory = old->memory;
    from->guest_s = old->guest_s;
  }
#define SWAP(member) \
  do { \
    void *t_ = from->member; \
    from->member = old->member; \
    old->member = t_; \
  } while (0)
  if (!(from->has & LV_FIGURES_BLOCK) && old->has & LV_FIGURES_BLOCK) {
    SWAP (blocks);
    SWAP (block_physical);
    SWAP (block_allocation);
    SWAP (block_capacity);
    uint32_t n = from->block_count;
    from->block_count = old->block_count;
    old->block_count = n;
  }
  if (!(from->has & LV_FIGURES_NET) && old->has & LV_FIGURES_NET) {
    SWAP (nics);
    uint32_t n = from->nic_count;
    from->nic_count = old->nic_count;
    old->nic_count = n;
  }
#undef SWAP
  /* one age for all: that of the oldest group */
  if ((from->has & old->has) != (from->has | old->has))
    from->heard_ms = old->heard_ms;
  from->has |= old->has;
  *into = from;
  lv_figures_free (old);
}

const struct hv_block_stat *
lv_figures_block (const struct lv_vm *vm, const char *target)
{
  for (uint32_t i = 0; vm->figures != NULL && i < vm->figures->block_count; i++)
    if (strcmp (vm->figures->blocks[i].disk, target) == 0)
      return &vm->figures->blocks[i];
  return NULL;
}

/* --- asking --- */

struct ask_work {
  struct lv_work w;
  unsigned groups;
  uint64_t now_ms;
  struct lv_figures **items;
  int count;
};

static uint64_t
monotonic_ms (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static int
ask_run (struct lv_work *w)
{
  struct ask_work *a = (struct ask_work *) w;
  virDomainStatsRecordPtr *records = NULL;
  virDomainPtr one[] = { w->dom, NULL };
  int n = w->dom != NULL
              ? virDomainListGetStats (one, a->groups, &records, VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
              : virConnectGetAllDomainStats (w->conn, a->groups, &records,
                                             VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT | VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE);
  if (n < 0)
    return lv_work_fail (w);
  a->items = calloc ((size_t) n + 1, sizeof (struct lv_figures *));
  for (int i = 0; a->items != NULL && i < n; i++)
    if ((a->items[a->count] = lv_figures_read (records[i], monotonic_ms ())) != NULL)
      a->count++;
  virDomainStatsRecordListFree (records);
  return a->items != NULL ? 0 : lv_work_error (w, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static void
ask_clear (struct lv_work *w)
{
  struct ask_work *a = (struct ask_work *) w;
  for (int i = 0; i < a->count; i++)
    lv_figures_free (a->items[i]);
  free (a->items);
}

static void
ask_take (struct lv *lv, struct ask_work *a)
{
  for (int i = 0; i < a->count; i++) {
    struct lv_vm *vm = lv_vm_find_uuid (lv, a->items[i]->uuid);
    if (vm == NULL)
      continue;
    if (a->items[i]->has & (LV_FIGURES_MEMORY | LV_FIGURES_BLOCK))
      vm->heard_ms = a->items[i]->heard_ms; /* its QEMU answered */
    lv_figures_merge (&vm->figures, HV_STEAL (a->items[i]));
  }
}

static int
ask_daemon (struct lv_daemon *d, struct lv_vm *one, unsigned wanted, uint64_t timeout_ms, struct hv_err *err)
{
  int r = 0;
  for (int i = 0; i < (one != NULL ? 1 : ROUNDS_MAX); i++) {
    struct ask_work *a = lv_work_new (sizeof *a, ask_run, one != NULL ? "stats of VM" : "stats", 0);
    HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) a;
    if (a == NULL)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    w->clear = ask_clear;
    a->groups = wanted;
    r = lv_work_run (d, w, one, timeout_ms, err);
    if (r == 0)
      ask_take (d->lv, a);
    if (r != HV_E_DEADLINE_EXCEEDED)
      break;
  }
  return r;
}

/* Those of one namespace after the other; they are few, and one that does not answer takes its time only once. */
int
lv_figures_ask (struct lv *lv, struct lv_vm *one, uint32_t groups, struct hv_err *err)
{
  unsigned wanted
      = (groups & LV_FIGURES_CPU ? VIR_DOMAIN_STATS_CPU_TOTAL : 0u) | (groups & LV_FIGURES_MEMORY ? VIR_DOMAIN_STATS_BALLOON : 0u)
        | (groups & LV_FIGURES_BLOCK ? VIR_DOMAIN_STATS_BLOCK : 0u) | (groups & LV_FIGURES_NET ? VIR_DOMAIN_STATS_INTERFACE : 0u);
  if (one != NULL)
    return ask_daemon (one->daemon, one, wanted, lv->config->stats_ms, err);
  int r = 0;
  for (uint32_t i = 0; i < lv->daemon_count && r != HV_E_CANCELLED; i++) {
    HV_CLEAN (lv_daemon) struct lv_daemon *d = lv_daemon_ref (lv->daemons[i]);
    int this = d->connected ? ask_daemon (d, NULL, wanted, lv->config->stats_ms, err) : 0;
    r = this < 0 ? this : r;
  }
  return r;
}
