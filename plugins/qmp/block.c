/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of a VM's disks: sizes and layers, counters, failures. */
#include "qmp.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ANSWER_MS 500u

static int
disk_known (struct qmp_vm *vm, const struct hv_machine *m, const struct hv_block_args *a, struct hv_err *err)
{
  if (!HV_HAS (a, disk) || qmp_machine_disk (m, a->disk) != NULL)
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
has_answered (const struct qmp_vm *vm)
{
  return vm->sample.block_asked == 0;
}

static int
stats_fill (struct qmp_vm *vm, const struct hv_block_args *a, struct hv_block_stats *ret, struct hv_err *err)
{
  const struct qmp_sample *s = &vm->sample;
  struct hv_host *h = vm->qmp->host;
  ret->items.items = hv_alloc (h, ((uint64_t) s->block_count + 1) * sizeof *ret->items.items);
  for (uint32_t i = 0; ret->items.items != NULL && i < s->block_count; i++)
    if (is_wanted (a, s->blocks[i].disk)) {
      struct hv_block_stat *b = &ret->items.items[ret->items.count++];
      *b = s->blocks[i].stat;
      b->disk = hv_strdup (h, s->blocks[i].disk);
    }
  uint64_t age = h->api->now_ms () - s->block_ms;
  HV_SET (ret, age_ms, age);
  HV_SET (ret, source, s->block_asked == 0 && age < ANSWER_MS ? "live" : "cache");
  return ret->items.items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

int
qmp_block_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_args *a = args;
  struct hv_machine live;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_need_process (vm, err);
  if (r == 0)
    r = qmp_vm_live (vm, &live, err);
  if (r == 0)
    r = disk_known (vm, &live, a, err);
  if (r < 0)
    return r;
  struct hv_host *h = vm->qmp->host;
  uint64_t max_age = h->api->max_age_ms (call);
  int fresh = vm->sample.block_ms != 0 && vm->sample.block_ms + max_age >= h->api->now_ms ();
  if (!fresh && qmp_sample_blocks (vm))
    r = qmp_vm_wait (vm, has_answered, ANSWER_MS, err);
  if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
    return r;
  if (vm->sample.block_ms == 0)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s' does not answer, and its counters were never read", vm->name);
  return stats_fill (vm, a, result, err);
}

/* --- sizes and layers --- */

struct info_job {
  struct qmp *qmp;
  const struct hv_machine *machine;
  const struct hv_block_args *args;
  struct hv_block_infos *ret;
  struct hv_err *err;
};

/* What the files themselves say. */
static int
info_run (void *arg)
{
  struct info_job *j = arg;
  for (uint32_t i = 0; i < j->machine->disks.count; i++) {
    const struct hv_machine_disk *d = &j->machine->disks.items[i];
    struct stat st;
    if (!is_wanted (j->args, d->name))
      continue;
    struct hv_block_info *b = &j->ret->items.items[j->ret->items.count++];
    b->disk = d->name;
    b->has.disk = 1;
    HV_SET (b, path, d->path);
    HV_SET (b, format, d->format);
    HV_SET (b, layers, d->backing.count + 1);
    HV_SET (b, read_only, d->read_only || d->media == HV_MEDIA_CDROM);
    if (stat (d->path, &st) == 0)
      HV_SET (b, allocated_bytes, (uint64_t) st.st_blocks * 512);
    if (qmp_file_size (d->path, d->format, &b->virtual_size_bytes, NULL) == 0)
      b->has.virtual_size_bytes = 1;
  }
  return 0;
}

static struct hv_block_info *
info_of (struct hv_block_infos *all, const char *disk)
{
  for (uint32_t i = 0; i < all->items.count; i++)
    if (strcmp (all->items.items[i].disk, disk) == 0)
      return &all->items.items[i];
  return NULL;
}

/* What QEMU says is newer than what the files say: a qcow2 header is written late. */
static void
info_merge (struct hv_block_infos *all, const json_t *list)
{
  size_t i;
  json_t *item;
  char name[80];
  json_array_foreach (list, i, item)
  {
    struct hv_block_info *b
        = qmp_device_of_path (qmp_json_str (item, "qdev", NULL), name, sizeof name) ? info_of (all, name) : NULL;
    const json_t *inserted = json_object_get (item, "inserted"), *image = json_object_get (inserted, "image");
    if (b == NULL)
      continue;
    if (image != NULL)
      HV_SET (b, virtual_size_bytes, (uint64_t) qmp_json_int (image, "virtual-size", (int64_t) b->virtual_size_bytes));
    if (json_object_get (item, "tray_open") != NULL)
      HV_SET (b, tray_open, (uint8_t) qmp_json_bool (item, "tray_open", 0));
  }
}

/* query-block within a time that a reader can bear; NULL when there is no answer. */
static json_t *
blocks_query (struct qmp_vm *vm)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  HV_CLEAN (json) json_t *list = NULL;
  if (vm->pidfd < 0 || vm->misses > 0 || vm->state == HV_VM_UNREACHABLE
      || qmp_control_ask (vm, "query-block", NULL, ANSWER_MS, &list, err) < 0)
    return NULL;
  return json_is_array (list) ? HV_STEAL (list) : NULL;
}

int
qmp_block_info (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_args *a = args;
  struct hv_block_infos *ret = result;
  struct hv_machine live;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_live (vm, &live, err);
  if (r == 0)
    r = disk_known (vm, &live, a, err);
  if (r < 0)
    return r;
  struct info_job j = { .qmp = vm->qmp, .machine = &live, .args = a, .ret = ret, .err = err };
  ret->items.items = hv_alloc (vm->qmp->host, ((uint64_t) live.disks.count + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  r = hv_offload (vm->qmp->host, info_run, &j, err);
  if (r < 0)
    return r;
  HV_CLEAN (json) json_t *list = blocks_query (vm);
  info_merge (ret, list);
  HV_SET (ret, age_ms, 0);
  HV_SET (ret, source, list != NULL ? "live" : "stored");
  return 0;
}

/* --- failures --- */

static struct qmp_disk_fault *
fault_of (struct qmp_vm *vm, const char *disk)
{
  for (uint32_t i = 0; i < vm->fault_count; i++)
    if (strcmp (vm->faults[i].disk, disk) == 0)
      return &vm->faults[i];
  struct qmp_disk_fault *more = realloc (vm->faults, ((size_t) vm->fault_count + 1) * sizeof *more);
  if (more == NULL)
    return NULL;
  vm->faults = more;
  more[vm->fault_count] = (struct qmp_disk_fault){ .disk = strdup (disk) };
  return more[vm->fault_count].disk != NULL ? &more[vm->fault_count++] : NULL;
}

void
qmp_fault_note (struct qmp_vm *vm, const struct hv_io_error *e)
{
  struct qmp_disk_fault *f = HV_HAS (e, disk) ? fault_of (vm, e->disk) : NULL;
  if (f == NULL)
    return;
  f->count++;
  f->last_ms = qmp_wall_ms ();
  (void) qmp_text_set (&f->operation, e->operation);
  (void) qmp_text_set (&f->reason, e->reason);
  if (strcmp (e->action, "stop") == 0)
    f->fault = e->no_space ? QMP_FAULT_NO_SPACE : QMP_FAULT_FAILED;
}

/* The guest runs again: what failed is tried again, and says so if it fails again. */
void
qmp_faults_resumed (struct qmp_vm *vm)
{
  for (uint32_t i = 0; i < vm->fault_count; i++)
    vm->faults[i].fault = QMP_FAULT_OK;
}

void
qmp_faults_clear (struct qmp_vm *vm)
{
  for (uint32_t i = 0; i < vm->fault_count; i++) {
    free (vm->faults[i].disk);
    free (vm->faults[i].operation);
    free (vm->faults[i].reason);
  }
  free (vm->faults);
  vm->faults = NULL;
  vm->fault_count = 0;
}

/* A guest that an I/O error stopped while nobody listened: QEMU still knows which disk it was. */
static void
faults_learn (struct qmp_vm *vm, const json_t *list)
{
  size_t i;
  json_t *item;
  char name[80];
  json_array_foreach (list, i, item)
  {
    const char *status = qmp_json_str (item, "io-status", "ok");
    if (strcmp (status, "ok") == 0 || !qmp_device_of_path (qmp_json_str (item, "qdev", NULL), name, sizeof name))
      continue;
    struct qmp_disk_fault *f = fault_of (vm, name);
    if (f != NULL && f->fault == QMP_FAULT_OK)
      f->fault = strcmp (status, "nospace") == 0 ? QMP_FAULT_NO_SPACE : QMP_FAULT_FAILED;
  }
}

static void
error_fill (struct qmp_vm *vm, const char *disk, struct hv_block_error *ret)
{
  struct hv_host *h = vm->qmp->host;
  ret->disk = hv_strdup (h, disk);
  ret->has.disk = 1;
  HV_SET (ret, fault, QMP_FAULT_OK);
  HV_SET (ret, count, 0);
  for (uint32_t i = 0; i < vm->fault_count; i++) {
    const struct qmp_disk_fault *f = &vm->faults[i];
    if (strcmp (f->disk, disk) != 0)
      continue;
    HV_SET (ret, fault, f->fault);
    HV_SET (ret, count, f->count);
    if (f->operation != NULL)
      HV_SET (ret, operation, hv_strdup (h, f->operation));
    if (f->reason != NULL)
      HV_SET (ret, reason, hv_strdup (h, f->reason));
    if (f->last_ms > 0)
      HV_SET (ret, last_ms, f->last_ms);
  }
}

int
qmp_block_errors (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_block_args *a = args;
  struct hv_block_errors *ret = result;
  struct hv_machine live;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_live (vm, &live, err);
  if (r == 0)
    r = disk_known (vm, &live, a, err);
  if (r < 0)
    return r;
  if (vm->state == HV_VM_PAUSED && vm->reason != NULL && strcmp (vm->reason, "io_error") == 0) {
    HV_CLEAN (json) json_t *list = blocks_query (vm);
    faults_learn (vm, list);
  }
  ret->items.items = hv_alloc (vm->qmp->host, ((uint64_t) live.disks.count + 1) * sizeof *ret->items.items);
  for (uint32_t i = 0; ret->items.items != NULL && i < live.disks.count; i++) {
    struct hv_block_error e = { 0 };
    if (!is_wanted (a, live.disks.items[i].name))
      continue;
    error_fill (vm, live.disks.items[i].name, &e);
    if (HV_HAS (a, disk) || e.count > 0 || e.fault != QMP_FAULT_OK)
      ret->items.items[ret->items.count++] = e;
  }
  return ret->items.items != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}
