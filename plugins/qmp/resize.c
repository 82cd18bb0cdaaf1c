/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes that change while the guest runs: of a disk, of the memory, the number of processors. */
#include "qmp.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- disks --- */

/* The size that the guest sees, as the node says. */
static int
node_size (struct qmp_vm *vm, const char *node, uint64_t *ret, struct hv_err *err)
{
  size_t i;
  json_t *item;
  HV_CLEAN (json) json_t *args = json_pack ("{s:b}", "flat", 1);
  HV_CLEAN (json) json_t *list = NULL;
  int r = qmp_control_query (vm, "query-named-block-nodes", args, &list, err);
  json_array_foreach (list, i, item)
  {
    if (strcmp (qmp_json_str (item, "node-name", ""), node) != 0)
      continue;
    *ret = (uint64_t) qmp_json_int (json_object_get (item, "image"), "virtual-size", 0);
    return 0;
  }
  return r < 0 ? r : hv_err_set (err, HV_E_INTERNAL, "QEMU has no node '%s'", node);
}

static int
resize_check (struct qmp_vm *vm, const struct hv_resize_block_args *a, const struct hv_machine_disk *d, uint64_t now,
              struct hv_err *err)
{
  if (a->size_bytes % 512 != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "size_bytes %" PRIu64 ": a multiple of 512 is needed", a->size_bytes);
  if (d->read_only || d->media == HV_MEDIA_CDROM)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "disk '%s' of VM '%s' is read-only", d->name, vm->name);
  if (a->size_bytes < now)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "disk '%s' of VM '%s' has %" PRIu64 " bytes and is not made smaller under a running guest", d->name,
                       vm->name, now);
  return 0;
}

int
qmp_resize_block (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_resize_block_args *a = args;
  struct hv_block_info *ret = result;
  struct hv_machine live;
  char node[QMP_NODE_NAME];
  uint64_t size = 0;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_need_running (vm, err);
  if (r == 0)
    r = qmp_vm_live (vm, &live, err);
  const struct hv_machine_disk *d = r == 0 ? qmp_machine_disk (&live, a->disk) : NULL;
  if (r == 0 && d == NULL)
    r = hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no disk '%s'", vm->name, a->disk);
  if (r < 0)
    return r;
  qmp_node_name (node, 'q', d->name, d->path);
  HV_CLEAN (json) json_t *how = json_pack ("{s:s, s:I}", "node-name", node, "size", (json_int_t) a->size_bytes);
  r = node_size (vm, node, &size, err);
  if (r == 0)
    r = resize_check (vm, a, d, size, err);
  if (r == 0 && size != a->size_bytes)
    r = qmp_control_long (vm, "block_resize", how, 60000, err);
  if (r == 0)
    r = node_size (vm, node, &size, err);
  if (r < 0)
    return hv_err_wrap (err, r, "resize disk '%s'", a->disk);
  ret->disk = d->name;
  HV_SET (ret, path, d->path);
  HV_SET (ret, format, d->format);
  HV_SET (ret, virtual_size_bytes, size);
  HV_SET (ret, layers, d->backing.count + 1);
  return 0;
}

/* --- memory --- */

static int
set_balloon (struct qmp_vm *vm, const struct hv_machine *live, uint64_t bytes, struct hv_err *err)
{
  if (!live->balloon)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' has no balloon: its memory cannot be changed while it runs",
                       vm->name);
  if (bytes > live->memory_bytes)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' was started with %" PRIu64 " bytes and cannot have more", vm->name,
                       live->memory_bytes);
  HV_CLEAN (json) json_t *args = json_pack ("{s:I}", "value", (json_int_t) bytes);
  return qmp_control_change (vm, "balloon", args, err);
}

int
qmp_set_memory (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_set_memory_args *a = args;
  struct hv_machine live, m;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : a->live ? qmp_vm_need_running (vm, err) : 0;
  if (r == 0 && !a->live && !a->config)
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "neither live nor config: there is nothing to do");
  if (r == 0)
    r = qmp_vm_split (vm, err);
  if (r == 0)
    r = qmp_vm_live (vm, &live, err);
  if (r == 0 && a->live)
    r = set_balloon (vm, &live, a->memory_bytes, err);
  if (r == 0 && a->config)
    r = qmp_vm_machine (vm, &m, err);
  if (r == 0 && a->config) {
    m.memory_bytes = qmp_argv_memory (a->memory_bytes);
    r = qmp_vm_set_machine (vm, &m, err);
  }
  if (r == 0)
    r = qmp_record_commit (vm, err);
  if (r < 0)
    return vm == NULL ? r : hv_err_wrap (err, r, "set memory of VM '%s'", vm->name);
  qmp_vm_fill (vm, result);
  return 0;
}

/* --- processors --- */

/* A place for one processor, as query-hotpluggable-cpus has it. */
struct slot {
  const json_t *item;
  int64_t order; /* socket, core, thread */
};

static int64_t
slot_order (const json_t *item)
{
  const json_t *p = json_object_get (item, "props");
  return qmp_json_int (p, "socket-id", 0) * 65536 + qmp_json_int (p, "core-id", 0) * 256 + qmp_json_int (p, "thread-id", 0);
}

static int
slot_compare (const void *a, const void *b)
{
  const struct slot *x = a, *y = b;
  return (x->order > y->order) - (x->order < y->order);
}

/* Sorted, in the memory of the current call; they borrow from *ret_list. */
static int
slots_read (struct qmp_vm *vm, json_t **ret_list, struct slot **ret, size_t *ret_used, struct hv_err *err)
{
  size_t i;
  json_t *item;
  int r = qmp_control_query (vm, "query-hotpluggable-cpus", NULL, ret_list, err);
  if (r < 0)
    return r;
  struct slot *slots = hv_alloc (vm->qmp->host, (json_array_size (*ret_list) + 1) * sizeof *slots);
  if (slots == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret_used = 0;
  json_array_foreach (*ret_list, i, item)
  {
    slots[i] = (struct slot){ item, slot_order (item) };
    *ret_used += json_object_get (item, "qom-path") != NULL;
  }
  qsort (slots, json_array_size (*ret_list), sizeof *slots, slot_compare);
  *ret = slots;
  return 0;
}

static int
slot_plug (struct qmp_vm *vm, const struct slot *s, struct hv_err *err)
{
  char id[32];
  (void) snprintf (id, sizeof id, "vcpu-%" PRId64, s->order);
  HV_CLEAN (json) json_t *args = json_deep_copy (json_object_get (s->item, "props"));
  if (args == NULL || json_object_set_new (args, "driver", json_string (qmp_json_str (s->item, "type", ""))) < 0
      || json_object_set_new (args, "id", json_string (id)) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return qmp_control_change (vm, "device_add", args, err);
}

static int
slot_unplug (struct qmp_vm *vm, const struct slot *s, struct hv_err *err)
{
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "id", qmp_json_str (s->item, "qom-path", ""));
  return qmp_control_change (vm, "device_del", args, err);
}

/* Processors leave when the guest has parked them; QEMU's list tells when. */
static int
vcpus_wait (struct qmp_vm *vm, size_t wanted, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  uint64_t end = h->api->now_ms () + 15000;
  for (;;) {
    HV_CLEAN (json) json_t *list = NULL;
    struct slot *slots;
    size_t used = 0;
    uint64_t mark = h->api->scope_mark (h);
    int r = slots_read (vm, &list, &slots, &used, err);
    h->api->scope_release (h, mark);
    if (r < 0 || used == wanted)
      return r;
    uint64_t now = h->api->now_ms ();
    if (now >= end)
      return hv_err_set (err, HV_E_UNKNOWN, "the guest runs on %zu processors still; it may let them go later", used);
    r = h->api->cond_wait (h, vm->changed, end - now < 500 ? end - now : 500, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
  }
}

static int
vcpus_change (struct qmp_vm *vm, size_t wanted, struct hv_err *err)
{
  HV_CLEAN (json) json_t *list = NULL;
  struct slot *slots = NULL;
  size_t used = 0;
  int r = slots_read (vm, &list, &slots, &used, err);
  size_t n = json_array_size (list);
  if (r == 0 && wanted > n)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "VM '%s' was started with room for %zu processors; define it with a larger cpu.max_sockets", vm->name, n);
  for (size_t i = 0; r == 0 && used < wanted && i < n; i++)
    if (json_object_get (slots[i].item, "qom-path") == NULL) {
      r = slot_plug (vm, &slots[i], err);
      used++;
    }
  for (size_t i = n, left = used; r == 0 && left > wanted && i-- > 0;)
    if (json_object_get (slots[i].item, "qom-path") != NULL) {
      r = slot_unplug (vm, &slots[i], err);
      left--;
    }
  return r == 0 ? vcpus_wait (vm, wanted, err) : r;
}

static int
vcpus_live (struct qmp_vm *vm, uint32_t wanted, uint32_t sockets, struct hv_err *err)
{
  struct hv_machine live;
  int r = vcpus_change (vm, wanted, err);
  if (r == 0)
    r = qmp_vm_live (vm, &live, err);
  if (r < 0)
    return r;
  live.cpu.sockets = sockets;
  live.cpu.has.sockets = live.has.cpu = 1;
  return qmp_vm_set_live (vm, &live, err);
}

static int
vcpus_config (struct qmp_vm *vm, uint32_t sockets, struct hv_err *err)
{
  struct hv_machine m;
  int r = qmp_vm_machine (vm, &m, err);
  if (r < 0)
    return r;
  m.cpu.sockets = sockets;
  m.cpu.has.sockets = m.has.cpu = 1;
  r = qmp_argv_check (&m, vm->accel != NULL ? vm->accel : "tcg", err);
  return r == 0 ? qmp_vm_set_machine (vm, &m, err) : r;
}

int
qmp_set_vcpus (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_set_vcpus_args *a = args;
  struct hv_machine m;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : a->live ? qmp_vm_need_running (vm, err) : 0;
  if (r == 0 && !a->live && !a->config)
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "neither live nor config: there is nothing to do");
  if (r == 0)
    r = qmp_vm_split (vm, err);
  if (r == 0)
    r = qmp_vm_live (vm, &m, err);
  if (r < 0)
    return r;
  uint32_t per_socket = m.cpu.cores * m.cpu.threads;
  if (a->vcpus % per_socket != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "vcpus %" PRIu32 ": VM '%s' has sockets of %" PRIu32 "; give a multiple of that",
                       a->vcpus, vm->name, per_socket);
  if (a->live)
    r = vcpus_live (vm, a->vcpus, a->vcpus / per_socket, err);
  if (r == 0 && a->config)
    r = vcpus_config (vm, a->vcpus / per_socket, err);
  if (r == 0) /* the processors of a running machine are there, written down or not */
    r = a->live ? qmp_record_save (vm, err) : qmp_record_commit (vm, err);
  if (r < 0)
    return hv_err_wrap (err, r, "set processors of VM '%s'", vm->name);
  qmp_vm_fill (vm, result);
  return 0;
}
