/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Figures that only QEMU has, kept per VM with their age. They are asked for without waiting, for many VMs at once; who
 * does not answer in time is answered for from what was heard last. */
#include "qmp.h"
#include <string.h>

static uint64_t
now_ms (const struct qmp_vm *vm)
{
  return vm->qmp->host->api->now_ms ();
}

/* "/machine/peripheral/ua-root/virtio-backend" → "root", and "ua-root", too: QEMU has the id where the very device has one, which
 * is so on SATA and SCSI, and the path where a part of it holds the disk. */
int
qmp_device_of_path (const char *path, char *ret, size_t size)
{
  static const char above[] = "/machine/peripheral/", prefix[] = "ua-";
  if (path != NULL && strncmp (path, above, sizeof above - 1) == 0)
    path += sizeof above - 1;
  if (path == NULL || strncmp (path, prefix, sizeof prefix - 1) != 0)
    return 0;
  path += sizeof prefix - 1;
  size_t n = strcspn (path, "/");
  if (n == 0 || n >= size)
    return 0;
  memcpy (ret, path, n);
  ret[n] = '\0';
  return 1;
}

static uint64_t
counter (const json_t *stats, const char *key)
{
  int64_t v = qmp_json_int (stats, key, 0);
  return v > 0 ? (uint64_t) v : 0;
}

static void
block_fill (const json_t *s, struct hv_block_stat *b)
{
  HV_SET (b, read_bytes, counter (s, "rd_bytes"));
  HV_SET (b, read_ops, counter (s, "rd_operations"));
  HV_SET (b, read_time_ns, counter (s, "rd_total_time_ns"));
  HV_SET (b, write_bytes, counter (s, "wr_bytes"));
  HV_SET (b, write_ops, counter (s, "wr_operations"));
  HV_SET (b, write_time_ns, counter (s, "wr_total_time_ns"));
  HV_SET (b, flush_ops, counter (s, "flush_operations"));
  HV_SET (b, flush_time_ns, counter (s, "flush_total_time_ns"));
  HV_SET (b, discard_bytes, counter (s, "unmap_bytes"));
  HV_SET (b, discard_ops, counter (s, "unmap_operations"));
  HV_SET (b, failed_ops,
          counter (s, "failed_rd_operations") + counter (s, "failed_wr_operations") + counter (s, "failed_flush_operations")
              + counter (s, "failed_unmap_operations"));
}

void
qmp_sample_clear (struct qmp_sample *s)
{
  for (uint32_t i = 0; i < s->block_count; i++)
    free (s->blocks[i].disk);
  free (s->blocks);
  *s = (struct qmp_sample){ 0 };
}

static void
blocks_take (struct qmp_vm *vm, const json_t *list)
{
  size_t i, n = json_array_size (list);
  json_t *item;
  char name[80];
  struct qmp_sample *s = &vm->sample;
  struct qmp_sample_block *blocks = calloc (n + 1, sizeof *blocks);
  uint32_t count = 0;
  if (blocks == NULL)
    return; /* the older ones stand */
  json_array_foreach (list, i, item)
  {
    if (!qmp_device_of_path (qmp_json_str (item, "qdev", NULL), name, sizeof name) || (blocks[count].disk = strdup (name)) == NULL)
      continue;
    block_fill (json_object_get (item, "stats"), &blocks[count].stat);
    blocks[count].stat.disk = blocks[count].disk;
    count++;
  }
  for (uint32_t k = 0; k < s->block_count; k++)
    free (s->blocks[k].disk);
  free (s->blocks);
  s->blocks = blocks;
  s->block_count = count;
  s->block_ms = now_ms (vm);
}

static void
blocks_done (void *arg, const struct qmp_reply *reply)
{
  struct qmp_vm *vm = arg;
  vm->sample.block_asked = 0;
  vm->sample.lags = 0;
  if (reply != NULL && json_is_array (reply->ret)) /* anything else says nothing: what was heard before stands */
    blocks_take (vm, reply->ret);
  if (vm->qmp->sampling > 0)
    vm->qmp->host->api->cond_wake (vm->qmp->host, vm->qmp->sampled);
  qmp_vm_wake (vm);
}

/* One question at a time: an answer that is late is as good as any. */
int
qmp_sample_blocks (struct qmp_vm *vm)
{
  struct qmp_sample *s = &vm->sample;
  if (s->block_asked != 0)
    return 1;
  if (!qmp_control_ready (vm))
    return 0;
  s->block_asked = qmp_monitor_send (vm->monitor, "query-blockstats", NULL, blocks_done, vm);
  return s->block_asked != 0;
}

/* --- memory, as the guest has it --- */

static void
guest_figure (const json_t *stats, const char *key, uint64_t *ret, uint8_t *has)
{
  int64_t v = qmp_json_int (stats, key, INT64_MAX);
  *has = v >= 0 && v != INT64_MAX; /* the guest says nothing of it */
  *ret = *has ? (uint64_t) v : 0;
}

static void
guest_take (struct qmp_vm *vm, const json_t *ret)
{
  struct hv_memory_stats *m = &vm->sample.memory;
  const json_t *s = json_object_get (ret, "stats");
#define FIGURE(member, key) guest_figure (s, key, &m->member, &m->has.member)
  FIGURE (guest_total_bytes, "stat-total-memory");
  FIGURE (guest_free_bytes, "stat-free-memory");
  FIGURE (guest_available_bytes, "stat-available-memory");
  FIGURE (guest_caches_bytes, "stat-disk-caches");
  FIGURE (guest_swap_in_bytes, "stat-swap-in");
  FIGURE (guest_swap_out_bytes, "stat-swap-out");
  FIGURE (guest_major_faults, "stat-major-faults");
  FIGURE (guest_minor_faults, "stat-minor-faults");
#undef FIGURE
  vm->sample.guest_s = qmp_json_int (ret, "last-update", 0);
}

static void
guest_done (void *arg, const struct qmp_reply *reply)
{
  struct qmp_vm *vm = arg;
  vm->sample.memory_asked = 0;
  if (reply != NULL && reply->ret != NULL) {
    guest_take (vm, reply->ret);
    vm->sample.memory_ms = now_ms (vm);
  }
  qmp_vm_wake (vm);
}

static void
balloon_done (void *arg, const struct qmp_reply *reply)
{
  struct qmp_vm *vm = arg;
  int64_t actual = reply != NULL && reply->ret != NULL ? qmp_json_int (reply->ret, "actual", -1) : -1;
  if (actual >= 0)
    HV_SET (&vm->sample.memory, balloon_bytes, (uint64_t) actual);
}

int
qmp_sample_memory (struct qmp_vm *vm)
{
  struct qmp_sample *s = &vm->sample;
  if (s->memory_asked != 0)
    return 1;
  if (!vm->has_balloon || !qmp_control_ready (vm))
    return 0;
  HV_CLEAN (json) json_t *args = json_pack ("{s:s, s:s}", "path", QMP_PATH_BALLOON, "property", "guest-stats");
  (void) qmp_monitor_send (vm->monitor, "query-balloon", NULL, balloon_done, vm);
  s->memory_asked = args != NULL ? qmp_monitor_send (vm->monitor, "qom-get", args, guest_done, vm) : 0;
  return s->memory_asked != 0;
}

static void
polling_done (void *arg, const struct qmp_reply *reply)
{
  (void) arg;
  (void) reply;
}

/* The guest's driver reports only when it is asked to. */
void
qmp_sample_begin (struct qmp_vm *vm)
{
  if (!vm->has_balloon || vm->qmp->config->balloon_s == 0 || !qmp_control_ready (vm))
    return;
  HV_CLEAN (json)
  json_t *args = json_pack ("{s:s, s:s, s:I}", "path", QMP_PATH_BALLOON, "property", "guest-stats-polling-interval", "value",
                            (json_int_t) vm->qmp->config->balloon_s);
  if (args != NULL)
    (void) qmp_monitor_send (vm->monitor, "qom-set", args, polling_done, vm);
}
