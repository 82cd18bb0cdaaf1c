/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known: answered at once, from memory, whatever the machine does. */
#include "toy.h"
#include <string.h>

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- probe --- */

static const struct {
  const char *verb, *why;
} lacking[] = {
#define TOY_LACKS(verb_, why_) { #verb_, why_ },
#include "lacks.h"
#undef TOY_LACKS
};

const char *
toy_lacks (const char *verb)
{
  for (size_t i = 0; i < sizeof lacking / sizeof lacking[0]; i++)
    if (strcmp (lacking[i].verb, verb) == 0)
      return lacking[i].why;
  return NULL;
}

int
toy_probe (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct toy *t = self;
  struct hv_probe *ret = result;
  struct hv_accel *accel = hv_alloc (t->host, sizeof *accel);
  uint32_t n = 0;
  (void) call;
  (void) args;
  while (hv_iface_hypervisor.verbs[n] != NULL)
    n++;
  struct hv_support *verbs = hv_alloc (t->host, n * sizeof *verbs);
  if (accel == NULL || verbs == NULL)
    return no_memory (err);
  for (uint32_t i = 0; i < n; i++) {
    const char *why = toy_lacks (hv_iface_hypervisor.verbs[i]->verb);
    verbs[i].verb = hv_iface_hypervisor.verbs[i]->verb;
    HV_SET (&verbs[i], supported, why == NULL);
    if (why != NULL)
      HV_SET (&verbs[i], reason, why);
  }
  *accel = (struct hv_accel){ .name = "tcg", .works = 1 };
  HV_SET (accel, reason, "nothing is executed");
  ret->backend = "toyhv";
  ret->arch = "amd64";
  ret->accel = "tcg";
  HV_SET (ret, version, toy_plugin.version);
  ret->accels.items = accel;
  ret->accels.count = ret->has.accels = 1;
  ret->verbs.items = verbs;
  ret->verbs.count = n;
  ret->has.verbs = 1;
  return 0;
}

/* --- list, get, native --- */

int
toy_list (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct toy *t = self;
  const struct hv_list_args *a = args;
  struct hv_vm_list *ret = result;
  uint32_t at = 0;
  (void) call;
  while (HV_HAS (a, continue_from) && at < t->count && strcmp (t->vms[at]->name, a->continue_from) <= 0)
    at++;
  uint32_t n = t->count - at < a->limit ? t->count - at : a->limit;
  ret->items.items = hv_alloc (t->host, ((uint64_t) n + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return no_memory (err);
  for (; ret->items.count < n; ret->items.count++) {
    int r = toy_vm_fill (t->vms[at + ret->items.count], &ret->items.items[ret->items.count], err);
    if (r < 0)
      return r;
  }
  if (at + n < t->count) /* a name, not a place: what is defined or undefined in between moves nothing */
    HV_SET (ret, continue_from, t->vms[at + n - 1]->name);
  t->host->api->cursor (t->host, &ret->epoch, &ret->seq);
  ret->has.epoch = ret->has.seq = 1;
  return 0;
}

int
toy_get (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct toy_vm *vm = toy_vm_find (self, ((const struct hv_vm_ref *) args)->vm, err);
  (void) call;
  return vm != NULL ? toy_vm_fill (vm, result, err) : HV_E_NOT_FOUND;
}

int
toy_native (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct toy_vm *vm = toy_vm_find (self, ((const struct hv_vm_ref *) args)->vm, err);
  struct hv_native *ret = result;
  struct toy_document d;
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = toy_vm_read (vm, &d, err);
  ret->format = "argv";
  ret->has.argv = 1;
  return r == 0 ? toy_process_argv (self, &d.machine, &ret->argv, err) : r;
}

/* --- disks --- */

/* The machine's items whose name was asked for; all of them when none was. NOT_FOUND when there is none of that name. */
static int
one_of (const char *vm, const char *kind, const char *name, uint32_t found, struct hv_err *err)
{
  return name == NULL || found > 0 ? 0 : hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no %s '%s'", vm, kind, name);
}

static int
machine_of (void *self, const char *name, struct hv_machine **ret, struct hv_err *err)
{
  const struct toy_vm *vm = toy_vm_find (self, name, err);
  struct toy_document *d = hv_alloc (((struct toy *) self)->host, sizeof *d);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = d != NULL ? toy_vm_read (vm, d, err) : no_memory (err);
  *ret = r == 0 ? toy_live (d) : NULL;
  return r;
}

int
toy_block_info (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_args *a = args;
  struct hv_block_infos *ret = result;
  struct hv_machine *m;
  (void) call;
  int r = machine_of (self, a->vm, &m, err);
  if (r < 0)
    return r;
  ret->items.items = hv_alloc (((struct toy *) self)->host, (m->disks.count + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return no_memory (err);
  for (uint32_t i = 0; i < m->disks.count; i++)
    if (!HV_HAS (a, disk) || strcmp (m->disks.items[i].name, a->disk) == 0)
      toy_disk_info (&m->disks.items[i], &ret->items.items[ret->items.count++]);
  HV_SET (ret, age_ms, 0);
  HV_SET (ret, source, "live");
  return one_of (a->vm, "disk", HV_HAS (a, disk) ? a->disk : NULL, ret->items.count, err);
}

static int
block_stats (struct toy *t, const struct hv_machine *m, const char *disk, struct hv_block_stat **ret, uint32_t *ret_count,
             struct hv_err *err)
{
  struct hv_block_stat *s = hv_alloc (t->host, (m->disks.count + 1) * sizeof *s);
  if (s == NULL)
    return no_memory (err);
  for (uint32_t i = 0; i < m->disks.count; i++) {
    struct hv_block_stat *one = &s[*ret_count];
    if (disk != NULL && strcmp (m->disks.items[i].name, disk) != 0)
      continue;
    one->disk = m->disks.items[i].name;
    HV_SET (one, read_bytes, 0); /* a machine that sleeps reads and writes nothing */
    HV_SET (one, write_bytes, 0);
    HV_SET (one, failed_ops, 0);
    (*ret_count)++;
  }
  *ret = s;
  return 0;
}

int
toy_block_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_args *a = args;
  struct hv_block_stats *ret = result;
  const char *disk = HV_HAS (a, disk) ? a->disk : NULL;
  struct hv_machine *m;
  (void) call;
  int r = machine_of (self, a->vm, &m, err);
  if (r == 0)
    r = block_stats (self, m, disk, &ret->items.items, &ret->items.count, err);
  HV_SET (ret, age_ms, 0);
  return r == 0 ? one_of (a->vm, "disk", disk, ret->items.count, err) : r;
}

int
toy_block_errors (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_args *a = args;
  struct hv_block_errors *ret = result;
  struct hv_machine *m;
  (void) call;
  int r = machine_of (self, a->vm, &m, err);
  if (r < 0)
    return r;
  ret->items.items = hv_alloc (((struct toy *) self)->host, (m->disks.count + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return no_memory (err);
  for (uint32_t i = 0; HV_HAS (a, disk) && i < m->disks.count; i++)
    if (strcmp (m->disks.items[i].name, a->disk) == 0)
      ret->items.items[ret->items.count++] = (struct hv_block_error){ .disk = m->disks.items[i].name };
  return one_of (a->vm, "disk", HV_HAS (a, disk) ? a->disk : NULL, ret->items.count, err);
}

/* --- network cards --- */

static int
interface_stats (struct toy *t, const struct hv_machine *m, const char *nic, struct hv_interface_stat **ret, uint32_t *ret_count,
                 struct hv_err *err)
{
  struct hv_interface_stat *s = hv_alloc (t->host, (m->nics.count + 1) * sizeof *s);
  if (s == NULL)
    return no_memory (err);
  for (uint32_t i = 0; i < m->nics.count; i++) {
    struct hv_interface_stat *one = &s[*ret_count];
    if (nic != NULL && strcmp (m->nics.items[i].name, nic) != 0)
      continue;
    one->nic = m->nics.items[i].name;
    HV_SET (one, tap, m->nics.items[i].tap);
    HV_SET (one, rx_bytes, 0);
    HV_SET (one, tx_bytes, 0);
    (*ret_count)++;
  }
  *ret = s;
  return 0;
}

int
toy_interface_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_interface_args *a = args;
  struct hv_interface_stats *ret = result;
  const char *nic = HV_HAS (a, nic) ? a->nic : NULL;
  struct hv_machine *m;
  (void) call;
  int r = machine_of (self, a->vm, &m, err);
  if (r == 0)
    r = interface_stats (self, m, nic, &ret->items.items, &ret->items.count, err);
  HV_SET (ret, age_ms, 0);
  return r == 0 ? one_of (a->vm, "network card", nic, ret->items.count, err) : r;
}

/* --- figures --- */

static void
memory_stats (const struct toy_document *d, struct hv_memory_stats *ret)
{
  HV_SET (ret, size_bytes, HV_HAS (d, live) ? d->live.memory_bytes : d->machine.memory_bytes);
  HV_SET (ret, resident_bytes, 0);
  HV_SET (ret, age_ms, 0);
  if (HV_HAS (d, balloon_bytes))
    HV_SET (ret, balloon_bytes, d->balloon_bytes);
}

int
toy_memory_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct toy_vm *vm = toy_vm_find (self, ((const struct hv_vm_ref *) args)->vm, err);
  struct toy_document d;
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = toy_vm_read (vm, &d, err);
  if (r == 0)
    memory_stats (&d, result);
  return r;
}

static int
wants (const struct hv_stats_args *a, const char *group)
{
  for (uint32_t i = 0; HV_HAS (a, groups) && i < a->groups.count; i++)
    if (strcmp (a->groups.items[i], group) == 0)
      return 1;
  return !HV_HAS (a, groups);
}

static int
stats_of (const struct toy_vm *vm, const struct hv_stats_args *a, struct hv_vm_stats *ret, struct hv_err *err)
{
  struct toy_document d;
  int r = toy_vm_read (vm, &d, err);
  if (r < 0)
    return r;
  const struct hv_machine *m = toy_live (&d);
  ret->vm = vm->name;
  ret->state = d.state;
  HV_SET (ret, age_ms, 0);
  if (HV_HAS (&d, pid) && wants (a, "cpu")) {
    HV_SET (&ret->cpu, total_ns, 0);
    HV_SET (&ret->cpu, vcpus, m->cpu.sockets * m->cpu.cores * m->cpu.threads);
    ret->has.cpu = 1;
  }
  if (HV_HAS (&d, pid) && wants (a, "memory")) {
    memory_stats (&d, &ret->memory);
    ret->has.memory = 1;
  }
  if (HV_HAS (&d, pid) && wants (a, "block")) {
    r = block_stats (vm->toy, m, NULL, &ret->block.items, &ret->block.count, err);
    ret->has.block = 1;
  }
  if (r == 0 && HV_HAS (&d, pid) && wants (a, "net")) {
    r = interface_stats (vm->toy, m, NULL, &ret->net.items, &ret->net.count, err);
    ret->has.net = 1;
  }
  return r;
}

static int
groups_known (const struct hv_stats_args *a, struct hv_err *err)
{
  static const char *const known[] = { "cpu", "memory", "block", "net" };
  for (uint32_t i = 0; HV_HAS (a, groups) && i < a->groups.count; i++) {
    size_t k = 0;
    while (k < 4 && strcmp (known[k], a->groups.items[i]) != 0)
      k++;
    if (k == 4)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "groups[%u] '%s': one of cpu, memory, block, net", i, a->groups.items[i]);
  }
  return 0;
}

int
toy_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct toy *t = self;
  const struct hv_stats_args *a = args;
  struct hv_stats *ret = result;
  const struct toy_vm *one = HV_HAS (a, vm) ? toy_vm_find (t, a->vm, err) : NULL;
  (void) call;
  if (HV_HAS (a, vm) && one == NULL)
    return HV_E_NOT_FOUND;
  int r = groups_known (a, err);
  if (r < 0)
    return r;
  uint32_t n = one != NULL ? 1 : t->count;
  ret->items.items = hv_alloc (t->host, ((uint64_t) n + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return no_memory (err);
  for (; r == 0 && ret->items.count < n; ret->items.count++)
    r = stats_of (one != NULL ? one : t->vms[ret->items.count], a, &ret->items.items[ret->items.count], err);
  return r;
}
