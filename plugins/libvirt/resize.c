/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes that change while the guest runs: of a disk, of the memory, the number of processors. */
#include "op.h"
#include "xml/build.h"
#include <inttypes.h>
#include <string.h>

/* --- disks --- */

/* x: bytes; out: capacity before, after. */
static int
resize_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  virDomainBlockInfo info;
  if (virDomainGetBlockInfo (w->dom, op->a, &info, 0) < 0)
    return lv_work_fail (w);
  if (op->x < info.capacity)
    return lv_work_error (w, HV_E_FAILED_PRECONDITION, "it has %llu bytes and is not made smaller under a running guest",
                          info.capacity);
  if (op->x != info.capacity && virDomainBlockResize (w->dom, op->a, op->x, VIR_DOMAIN_BLOCK_RESIZE_BYTES) < 0)
    return lv_work_fail (w);
  if (virDomainGetBlockInfo (w->dom, op->a, &info, 0) < 0)
    return lv_work_fail (w);
  op->out[0] = info.capacity;
  op->out[1] = info.allocation;
  return 0;
}

int
lv_resize_block (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_resize_block_args *a = args;
  struct hv_block_info *ret = result;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r < 0)
    return r;
  const struct lv_disk *d = lv_domain_disk (vm->facts, a->disk);
  if (d == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no disk '%s'", vm->name, a->disk);
  if (a->size_bytes % 512 != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "size_bytes %" PRIu64 ": a multiple of 512 is needed", a->size_bytes);
  if (d->read_only)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "disk '%s' of VM '%s' is read-only", a->disk, vm->name);
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (resize_run, "resize a disk of VM", LV_WORK_CHANGES, d->target, NULL);
  if (op != NULL)
    op->x = a->size_bytes;
  r = lv_op_run (vm, op, 0, err);
  if (r < 0)
    return hv_err_wrap (err, r, "resize disk '%s'", a->disk);
  ret->disk = a->disk;
  HV_SET (ret, virtual_size_bytes, op->out[0]);
  HV_SET (ret, allocated_bytes, op->out[1]);
  return 0;
}

/* --- memory --- */

/* In the definition the most it can have comes first when it grows, and last when it shrinks. */
static int
memory_config (virDomainPtr dom, unsigned long kib)
{
  unsigned most = VIR_DOMAIN_AFFECT_CONFIG | VIR_DOMAIN_MEM_MAXIMUM;
  if (virDomainSetMemoryFlags (dom, kib, most) == 0)
    return virDomainSetMemoryFlags (dom, kib, VIR_DOMAIN_AFFECT_CONFIG);
  return virDomainSetMemoryFlags (dom, kib, VIR_DOMAIN_AFFECT_CONFIG) < 0 ? -1 : virDomainSetMemoryFlags (dom, kib, most);
}

static int
memory_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  unsigned long kib = (unsigned long) (op->x / 1024);
  if (op->flags & VIR_DOMAIN_AFFECT_LIVE && virDomainSetMemoryFlags (w->dom, kib, VIR_DOMAIN_AFFECT_LIVE) < 0)
    return lv_work_fail (w);
  if (op->flags & VIR_DOMAIN_AFFECT_CONFIG && memory_config (w->dom, kib) < 0)
    return lv_work_fail (w);
  return 0;
}

static int
memory_check (struct lv_vm *vm, const struct hv_set_memory_args *a, struct hv_err *err)
{
  if (!a->live && !a->config)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "neither live nor config: there is nothing to do");
  int r = a->live ? lv_vm_need_running (vm, err) : 0;
  if (r < 0 || !a->live)
    return r;
  if (!vm->facts->has_balloon)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' has no balloon: its memory cannot be changed while it runs",
                       vm->name);
  if (a->memory_bytes > vm->facts->memory_bytes)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' was started with %" PRIu64 " bytes and cannot have more", vm->name,
                       vm->facts->memory_bytes);
  return 0;
}

int
lv_set_memory (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_set_memory_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : memory_check (vm, a, err);
  if (r < 0)
    return r;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (memory_run, "set memory of VM", LV_WORK_CHANGES, NULL, NULL);
  if (op != NULL) {
    op->x = a->memory_bytes;
    op->flags = (a->live ? VIR_DOMAIN_AFFECT_LIVE : 0u) | (a->config ? VIR_DOMAIN_AFFECT_CONFIG : 0u);
  }
  r = lv_op_run (vm, op, 0, err);
  if (r == 0)
    r = lv_sync_vm (vm, err);
  if (r == 0)
    lv_vm_fill (vm, result);
  return r;
}

/* --- processors --- */

/* The definition's topology goes with the number, so the definition is written anew. */
static int
vcpus_config (struct lv_work *w)
{
  char *now = virDomainGetXMLDesc (w->dom, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE), *with = NULL;
  int r = now == NULL ? lv_work_fail (w) : 0;
  if (r == 0 && (r = lv_xml_set_vcpus (now, (uint32_t) LV_OP (w)->x, &with, NULL)) < 0)
    r = lv_work_error (w, r, "%s",
                       r == HV_E_INVALID_ARGUMENT ? "the number is not a multiple of its cores and threads per socket"
                                                  : "out of memory");
  virDomainPtr dom = r == 0 ? virDomainDefineXML (w->conn, with) : NULL;
  if (r == 0 && dom == NULL)
    r = lv_work_fail (w);
  if (dom != NULL)
    (void) virDomainFree (dom);
  free (now);
  free (with);
  return r;
}

static int
vcpus_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  if (op->flags & VIR_DOMAIN_AFFECT_LIVE && virDomainSetVcpusFlags (w->dom, (unsigned) op->x, VIR_DOMAIN_AFFECT_LIVE) < 0)
    return lv_work_fail (w);
  return op->flags & VIR_DOMAIN_AFFECT_CONFIG ? vcpus_config (w) : 0;
}

static int
vcpus_check (struct lv_vm *vm, const struct hv_set_vcpus_args *a, struct hv_err *err)
{
  if (!a->live && !a->config)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "neither live nor config: there is nothing to do");
  int r = a->live ? lv_vm_need_running (vm, err) : 0;
  if (r == 0 && a->live && a->vcpus > vm->facts->max_vcpus)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' was started with room for %" PRIu32 " processors (cpu.max_sockets)",
                    vm->name, vm->facts->max_vcpus);
  if (r == 0 && a->live && a->vcpus < vm->facts->vcpus)
    r = hv_err_set (err, HV_E_UNIMPLEMENTED, "VM '%s' has %" PRIu32 " processors; none is taken off while it runs", vm->name,
                    vm->facts->vcpus);
  return r;
}

int
lv_set_vcpus (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_set_vcpus_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : vcpus_check (vm, a, err);
  if (r < 0)
    return r;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (vcpus_run, "set processors of VM", LV_WORK_CHANGES, NULL, NULL);
  if (op != NULL) {
    op->x = a->vcpus;
    op->flags = (a->live ? VIR_DOMAIN_AFFECT_LIVE : 0u) | (a->config ? VIR_DOMAIN_AFFECT_CONFIG : 0u);
  }
  r = lv_op_run (vm, op, 0, err);
  if (r == 0)
    r = lv_sync_vm (vm, err);
  if (r == 0)
    lv_vm_fill (vm, result);
  return r;
}
