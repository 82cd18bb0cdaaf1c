/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The qmp backend: QEMU driven directly over its monitor protocol. This file is its table, its beginning and its end. */
#include "qmp.h"
#include <string.h>

const char *const qmp_accel_words[] = { "auto", "kvm", "tcg", NULL };
HV_RECORD_TABLE (qmp_config, QMP_CONFIG, "configuration of the qmp backend");

/* Everything that happens on the clock, for all VMs, in one timer: an idle VM holds none of its own. */
static void
qmp_tick (void *self, void *arg)
{
  struct qmp *q = arg;
  uint64_t now = q->host->api->now_ms ();
  (void) self;
  for (uint32_t i = 0; i < q->vm_count; i++) {
    struct qmp_vm *vm = q->vms[i];
    if (vm->retry_at_ms != 0 && now >= vm->retry_at_ms && !vm->adopting && !vm->stop_requested)
      qmp_adopt_later (vm, 0);
    if (vm->unsaved && !vm->saving)
      qmp_record_save_later (vm); /* there may be space again */
    if (vm->pidfd < 0)
      continue;
    qmp_control_heartbeat (vm);
  }
}

static void
qmp_stop_instance (void *self)
{
  struct qmp *q = self;
  if (q == NULL)
    return;
  q->host->api->timer_free (q->host, q->tick);
  while (q->vm_count > 0) {
    qmp_console_close (q->vms[q->vm_count - 1]);
    qmp_vm_remove (q->vms[q->vm_count - 1]);
  }
  free (q->vms);
  qmp_logs_close (q);
  if (q->logd_pidfd >= 0)
    (void) close (q->logd_pidfd);
  q->host->api->cond_free (q->host, q->changed);
  q->host->api->cond_free (q->host, q->sampled);
  for (uint32_t i = 0; q->machines != NULL && q->machines[i] != NULL; i++)
    free (q->machines[i]);
  free (q->machines);
  free (q->accel);
  free (q->kvm_reason);
  free (q->version);
  free (q->q35);
  free (q->node_failure);
  free (q);
}

static int
qmp_start_instance (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  struct qmp *q = calloc (1, sizeof *q);
  if (q == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret_self = q;
  *q = (struct qmp){ .host = host, .config = config, .logd_fd = -1, .logd_pidfd = -1 };
  q->changed = host->api->cond_new (host);
  q->sampled = host->api->cond_new (host);
  q->tick = host->api->timer_new (host, qmp_tick, q);
  if (q->changed == NULL || q->sampled == NULL || q->tick == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = qmp_record_load (q, err);
  if (r < 0)
    return hv_err_wrap (err, r, "read the records");
  qmp_nvram_sweep (q);
  qmp_node_begin (q);
  qmp_adopt_all (q);
  host->api->timer_set (host, q->tick, q->config->heartbeat_ms, q->config->heartbeat_ms);
  return 0;
}

/* What is known already is answered in place. */
#define QMP_FAST(base_, handler_) \
  &(const struct hv_method) \
  { \
    .struct_size = sizeof (struct hv_method), .flags = HV_FAST | HV_READ, .handler = (handler_), .base = &(base_) \
  }

const struct hv_plugin qmp_plugin = {
  HV_PLUGIN_HEAD,
  .name = "qmp",
  .version = HV_VERSION,
  .summary = "virtual machines on QEMU, driven over QMP",
  .license = "LGPL-2.1-or-later",
  .provides = (const struct hv_iface *const[]){ &hv_iface_hypervisor, NULL },
  .config = &qmp_config_record,
  /* clang-format off */
  .methods = (const struct hv_method *const[]){
    HV_IMPLEMENT (hv_hypervisor_probe, qmp_probe),
    HV_IMPLEMENT (hv_hypervisor_define, qmp_define),
    HV_IMPLEMENT (hv_hypervisor_start, qmp_start),
    HV_IMPLEMENT (hv_hypervisor_shutdown, qmp_shutdown),
    HV_IMPLEMENT (hv_hypervisor_stop, qmp_stop),
    HV_IMPLEMENT (hv_hypervisor_undefine, qmp_undefine),
    QMP_FAST (hv_hypervisor_list, qmp_list),
    QMP_FAST (hv_hypervisor_get, qmp_get),
    HV_IMPLEMENT (hv_hypervisor_native, qmp_native),
    HV_IMPLEMENT (hv_hypervisor_adopt, qmp_adopt),
    HV_IMPLEMENT (hv_hypervisor_stats, qmp_stats),
    HV_IMPLEMENT (hv_hypervisor_agent_command, qmp_agent_command),
    HV_IMPLEMENT (hv_hypervisor_pause, qmp_pause),
    HV_IMPLEMENT (hv_hypervisor_resume, qmp_resume),
    HV_IMPLEMENT (hv_hypervisor_attach, qmp_attach),
    HV_IMPLEMENT (hv_hypervisor_detach, qmp_detach),
    HV_IMPLEMENT (hv_hypervisor_resize_block, qmp_resize_block),
    HV_IMPLEMENT (hv_hypervisor_set_memory, qmp_set_memory),
    HV_IMPLEMENT (hv_hypervisor_set_vcpus, qmp_set_vcpus),
    HV_IMPLEMENT (hv_hypervisor_snapshot_create, qmp_snapshot_create),
    HV_IMPLEMENT (hv_hypervisor_snapshot_list, qmp_snapshot_list),
    HV_IMPLEMENT (hv_hypervisor_snapshot_revert, qmp_snapshot_revert),
    HV_IMPLEMENT (hv_hypervisor_snapshot_delete, qmp_snapshot_delete),
    HV_IMPLEMENT (hv_hypervisor_save, qmp_save),
    HV_IMPLEMENT (hv_hypervisor_restore, qmp_restore),
    HV_IMPLEMENT (hv_hypervisor_migrate, qmp_migrate),
    HV_IMPLEMENT (hv_hypervisor_migrate_in, qmp_migrate_in),
    HV_IMPLEMENT (hv_hypervisor_logs, qmp_logs),
    HV_IMPLEMENT (hv_hypervisor_console, qmp_console),
    HV_IMPLEMENT (hv_hypervisor_display, qmp_display),
    HV_IMPLEMENT (hv_hypervisor_reset, qmp_reset),
    HV_IMPLEMENT (hv_hypervisor_reboot, qmp_reboot),
    HV_IMPLEMENT (hv_hypervisor_block_info, qmp_block_info),
    HV_IMPLEMENT (hv_hypervisor_block_stats, qmp_block_stats),
    HV_IMPLEMENT (hv_hypervisor_block_errors, qmp_block_errors),
    HV_IMPLEMENT (hv_hypervisor_interface_stats, qmp_interface_stats),
    HV_IMPLEMENT (hv_hypervisor_memory_stats, qmp_memory_stats),
    HV_IMPLEMENT (hv_hypervisor_screenshot, qmp_screenshot),
    HV_IMPLEMENT (hv_hypervisor_send_key, qmp_send_key),
    HV_IMPLEMENT (hv_hypervisor_dump_memory, qmp_dump_memory),
#define QMP_LACKS(verb_, why_) HV_IMPLEMENT (hv_hypervisor_##verb_, qmp_lacking_##verb_),
#include "lacks.h"
#undef QMP_LACKS
    NULL },
  /* clang-format on */
  .start = qmp_start_instance,
  .stop = qmp_stop_instance,
};
