/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backup_begin, backup_end: libvirt's backup jobs. Pushed, libvirt writes the copies, and the answer comes when they are whole;
 * pulled, they are served over NBD from the answer on until backup_end. */
#include "op.h"
#include "xml/build.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 250u

/* [worker] x: a freeze of the guest's file systems around the point in time. */
static int
begin_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  if (op->x && virDomainFSFreeze (w->dom, NULL, 0, 0) < 0)
    return lv_work_fail (w);
  int r = virDomainBackupBegin (w->dom, op->a, op->b, 0) < 0 ? lv_work_fail (w) : 0;
  if (op->x && virDomainFSThaw (w->dom, NULL, 0, 0) < 0 && r == 0)
    r = lv_work_fail (w); /* it says so: the guest stands still */
  return r;
}

/* [worker] out: is there a job, done, of all. */
static int
look_run (struct lv_work *w)
{
  virDomainJobInfo info;
  if (virDomainGetJobInfo (w->dom, &info) < 0)
    return lv_work_fail (w);
  LV_OP (w)->out[0] = info.type != VIR_DOMAIN_JOB_NONE;
  LV_OP (w)->out[1] = info.dataProcessed;
  LV_OP (w)->out[2] = info.dataTotal;
  return 0;
}

static int
end_run (struct lv_work *w)
{
  return virDomainAbortJob (w->dom) < 0 ? lv_work_fail (w) : 0;
}

/* --- what is asked for --- */

static int
take_disks (struct lv_vm *vm, const struct hv_backup_begin_args *a, struct lv_xml_backup_disk *disks, struct hv_err *err)
{
  for (uint32_t i = 0; i < vm->facts->disk_count; i++)
    disks[i].target = vm->facts->disks[i].target;
  for (uint32_t k = 0; k < a->disks.count; k++) {
    const struct hv_backup_disk *d = &a->disks.items[k];
    const struct lv_disk *of = lv_domain_disk (vm->facts, d->disk);
    if (of == NULL)
      return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no disk '%s'", vm->name, d->disk);
    struct lv_xml_backup_disk *to = &disks[of - vm->facts->disks];
    if (to->path != NULL)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "disks[%u]: disk '%s' is named twice", k, d->disk);
    if (access (d->path, F_OK) == 0)
      return hv_err_set (err, HV_E_ALREADY_EXISTS, "disks[%u].path: file '%s' exists", k, d->path);
    *to = (struct lv_xml_backup_disk){ to->target, d->path, hv_disk_format_words[d->format], d->disk };
  }
  return 0;
}

static int
begin_op (struct lv_vm *vm, const struct hv_backup_begin_args *a, const char *nbd_path, struct lv_op **ret, struct hv_err *err)
{
  struct lv_xml_backup_disk *disks = hv_alloc (vm->lv->host, ((uint64_t) vm->facts->disk_count + 1) * sizeof *disks);
  struct lv_xml_backup b = { HV_HAS (a, since) ? a->since : NULL, nbd_path, disks, vm->facts->disk_count };
  HV_CLEAN (hv_free) char *xml = NULL, *checkpoint = NULL;
  if (disks == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = take_disks (vm, a, disks, err);
  if (r == 0)
    r = lv_xml_backup (&b, &xml, err);
  if (r == 0 && HV_HAS (a, checkpoint))
    r = lv_xml_checkpoint (a->checkpoint, &b, &checkpoint, err);
  if (r < 0)
    return r;
  *ret = lv_op_new (begin_run, "back up VM", LV_WORK_CHANGES | LV_WORK_LONG, xml, checkpoint);
  if (*ret == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  (*ret)->x = a->quiesce;
  return 0;
}

/* --- following a pushed one --- */

/* 1: it is over. */
static int
push_look (struct lv_vm *vm, struct hv_call *call, struct hv_err *err)
{
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (look_run, "backup of VM", LV_WORK_LIGHT, NULL, NULL);
  int r = lv_op_run (vm, op, 0, err);
  if (r < 0)
    return r;
  if (op->out[0])
    hv_progress (call, "backup", op->out[1], op->out[2], "bytes");
  return !op->out[0];
}

static int
push_follow (struct lv_vm *vm, struct hv_call *call, uint32_t ended_before, struct hv_err *err)
{
  int r = 0;
  while (r == 0) {
    if (hv_sleep (vm->lv->host, LOOK_MS, NULL) == HV_E_CANCELLED) {
      lv_abort_later (vm);
      return hv_err_set (err, HV_E_CANCELLED, "cancelled; the copies are not whole");
    }
    if (!lv_vm_alive (vm))
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' ended meanwhile; the copies are not whole", vm->name);
    r = push_look (vm, call, err);
  }
  /* the event says how it ended, and comes with the end or a moment later */
  for (int i = 0; r > 0 && i < 20 && vm->jobs_ended == ended_before; i++)
    if (hv_sleep (vm->lv->host, 50, NULL) == HV_E_CANCELLED)
      break;
  if (r > 0 && vm->jobs_ended == ended_before)
    return hv_err_set (err, HV_E_UNKNOWN, "libvirt has not said how it ended");
  if (r > 0 && vm->job_failed)
    return hv_err_set (err, HV_E_ABORTED, "it failed or was given up; the copies are not whole");
  return r < 0 ? r : 0;
}

/* --- the verbs --- */

int
lv_backup_begin (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_backup_begin_args *a = args;
  struct hv_backup *ret = result;
  struct lv *lv = self;
  struct hv_host *h = lv->host;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (lv, a->vm, err);
  HV_CLEAN (lv_op) struct lv_op *op = NULL;
  int pull = strcmp (hv_backup_mode_words[a->mode], "pull") == 0;
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r == 0)
    r = lv_sync_vm (vm, err);
  if (r < 0)
    return r;
  const char *uuid = lv_uuid_text (h, vm->uuid);
  const char *nbd_path = pull && uuid != NULL ? hv_printf (h, "%s/%s/backup.sock", h->api->info (h)->run_dir, uuid) : NULL;
  if (pull && nbd_path == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  uint32_t ended = vm->jobs_ended;
  r = begin_op (vm, a, nbd_path, &op, err);
  if (r == 0)
    r = lv_op_run (vm, op, 0, err);
  hv_step (h, "backup.begun");
  if (r == 0 && !pull)
    r = push_follow (vm, call, ended, err);
  if (r < 0)
    return hv_err_wrap (err, r, "back up VM '%s'", vm->name);
  ret->mode = a->mode;
  if (pull)
    HV_SET (ret, nbd_path, nbd_path);
  return 0;
}

/* A pulled one ends so; a pushed one is given up, which its backup_begin says. */
int
lv_backup_end (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_backup_end_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  (void) result;
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r < 0)
    return r;
  HV_CLEAN (lv_op) struct lv_op *look = lv_op_new (look_run, "backup of VM", LV_WORK_LIGHT, NULL, NULL);
  r = lv_op_run (vm, look, 0, err);
  if (r == 0 && !look->out[0])
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s': no backup is under way", vm->name);
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (end_run, "end the backup of VM", LV_WORK_CHANGES | LV_WORK_LIGHT, NULL, NULL);
  return r == 0 ? lv_op_run (vm, op, 0, err) : r;
}
