/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt waits for a QEMU that stands still for ever, and says nothing. A running VM that was not heard of for a while is asked
 * something that its QEMU has to answer; when that is overdue, the VM is unreachable (vm.c), and when it comes, it is back. */
#include "libvirt.h"

static int
beat_run (struct lv_work *w)
{
  virDomainStatsRecordPtr *records = NULL;
  virDomainPtr doms[] = { w->dom, NULL };
  int n = virDomainListGetStats (doms, VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU, &records, 0);
  if (n < 0)
    return lv_work_fail (w);
  virDomainStatsRecordListFree (records);
  return 0;
}

static void
beat (void *self, void *arg)
{
  HV_CLEAN (lv_vm) struct lv_vm *vm = arg;
  HV_CLEAN (lv_work) struct lv_work *w = lv_work_new (sizeof *w, beat_run, "heartbeat of VM", 0);
  (void) self;
  (void) lv_work_run (vm->daemon, w, vm, 0, NULL);
  vm->beating = 0;
}

/* One that has something under way is looked after by that. */
void
lv_vm_heartbeat (struct lv_vm *vm)
{
  uint64_t now = vm->lv->host->api->now_ms ();
  if (vm->beating || vm->works != NULL || now - vm->heard_ms < vm->lv->config->heartbeat_ms)
    return;
  if (vm->state != HV_VM_RUNNING && vm->state != HV_VM_PAUSED && vm->state != HV_VM_STOPPING && vm->state != HV_VM_UNREACHABLE)
    return;
  vm->beating = 1;
  if (hv_go (vm->lv->host, "heartbeat", beat, lv_vm_ref (vm)) < 0) {
    vm->beating = 0;
    lv_vm_unref (vm);
  }
}
