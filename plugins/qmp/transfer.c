/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transfer.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS 100u
#define FD_NAME "hvkit-transfer"
HV_RECORD_TABLE (qmp_saved, QMP_SAVED, "a machine that was saved");

#define BEGIN_MS 30000u /* until QEMU has taken the descriptor and begun */

/* --- how --- */

static json_t *
capability (const char *name, int on)
{
  return json_pack ("{s:s, s:b}", "capability", name, "state", on);
}

int
qmp_transfer_set (struct qmp_vm *vm, const struct qmp_transfer_how *how, int incoming, struct hv_err *err)
{
  HV_CLEAN (json)
  json_t *caps = json_pack ("{s:[o, o, o, o, o]}", "capabilities", capability ("events", 1),
                            capability ("return-path", how->return_path), capability ("auto-converge", how->auto_converge),
                            capability ("postcopy-ram", how->post_copy), capability ("late-block-activate", how->late_activate));
  int r = qmp_control_change (vm, "migrate-set-capabilities", caps, err);
  if (r < 0 || incoming)
    return r;
  /* no limit is a number, too: as large as QEMU takes */
  uint64_t speed = how->bytes_per_s > 0 && how->bytes_per_s < (uint64_t) INT64_MAX ? how->bytes_per_s : (uint64_t) INT64_MAX;
  HV_CLEAN (json)
  json_t *params = json_pack ("{s:I, s:i}", "max-bandwidth", (json_int_t) speed, "downtime-limit",
                              (int) (how->downtime_ms > 0 ? how->downtime_ms : 300));
  return qmp_control_change (vm, "migrate-set-parameters", params, err);
}

/* --- begin --- */

static int
transfer_begin (struct qmp_vm *vm, const char *command, int fd, struct hv_err *err)
{
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "uri", "fd:" FD_NAME);
  HV_CLEAN (json) json_t *close_args = json_pack ("{s:s}", "fdname", FD_NAME);
  int r = qmp_control_pass_fd (vm, FD_NAME, fd, err);
  if (r < 0)
    return r;
  r = qmp_control_long (vm, command, args, BEGIN_MS, err);
  if (r == HV_E_FAILED_PRECONDITION) /* refused: it still holds the descriptor */
    (void) qmp_control_change (vm, "closefd", close_args, NULL);
  return r;
}

int
qmp_transfer_out (struct qmp_vm *vm, int fd, struct hv_err *err)
{
  return transfer_begin (vm, "migrate", fd, err);
}

int
qmp_transfer_in (struct qmp_vm *vm, int fd, struct hv_err *err)
{
  return transfer_begin (vm, "migrate-incoming", fd, err);
}

/* --- where the devices stand --- */

static int
device_get (struct qmp_vm *vm, const char *id, const char *property, json_t **ret, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *path = NULL;
  if (asprintf (&path, "/machine/peripheral/%s", id) < 0)
    path = NULL;
  HV_CLEAN (json) json_t *args = json_pack ("{s:s, s:s}", "path", path != NULL ? path : "", "property", property);
  return qmp_control_query (vm, "qom-get", args, ret, err);
}

/* What guests number themselves is not asked for: the bus that QEMU plugged it into is. */
static int
device_place (struct qmp_vm *vm, const char *id, struct qmp_places *p, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  HV_CLEAN (json) json_t *path = NULL, *value = NULL;
  int r = device_get (vm, id, "parent_bus", &path, err);
  if (r < 0)
    return r;
  const char *slash = json_is_string (path) ? strrchr (json_string_value (path), '/') : NULL, *bus = slash != NULL ? slash + 1 : "";
  const char *property = strcmp (bus, "scsi0.0") == 0 ? "lun" : strcmp (bus, "usb.0") == 0 ? "port" : NULL, *place = bus;
  if (property == NULL && strncmp (bus, "pci.", 4) != 0)
    return 0; /* on a bus where every device has its place */
  if (property != NULL && (r = device_get (vm, id, property, &value, err)) < 0)
    return r;
  if (property != NULL)
    place = json_is_integer (value) ? hv_printf (h, "%s:%lld", property, (long long) json_integer_value (value))
                                    : hv_printf (h, "%s:%s", property, json_is_string (value) ? json_string_value (value) : "");
  return qmp_places_add (h, p, id, place) < 0 ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : 0;
}

int
qmp_transfer_places (struct qmp_vm *vm, struct qmp_places *ret, struct hv_err *err)
{
  HV_CLEAN (json) json_t *args = json_pack ("{s:s}", "path", "/machine/peripheral");
  HV_CLEAN (json) json_t *list = NULL;
  struct qmp_places p = { .has = { .ports = 1, .devices = 1 } };
  json_t *item;
  size_t i;
  int r = qmp_control_query (vm, "qom-list", args, &list, err);
  json_array_foreach (list, i, item)
  {
    const char *id = qmp_json_str (item, "name", "");
    if (strcmp (qmp_json_str (item, "type", ""), "child<pcie-root-port>") == 0)
      p.ports++;
    else if (r == 0 && strncmp (qmp_json_str (item, "type", ""), "child<", 6) == 0)
      r = device_place (vm, id, &p, err);
  }
  if (r == 0)
    *ret = p;
  return r;
}

/* --- how it goes --- */

static const struct {
  const char *status;
  uint32_t phase;
} phases[] = {
  { "none", QMP_TRANSFER_NONE },
  { "completed", QMP_TRANSFER_COMPLETED },
  { "failed", QMP_TRANSFER_FAILED },
  { "cancelled", QMP_TRANSFER_CANCELLED },
  { "postcopy-active", QMP_TRANSFER_SWITCHED },
  { "postcopy-paused", QMP_TRANSFER_BROKEN },
  { "postcopy-recover", QMP_TRANSFER_BROKEN },
};

static uint32_t
phase_of (const char *status)
{
  for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
    if (strcmp (phases[i].status, status) == 0)
      return phases[i].phase;
  return QMP_TRANSFER_ACTIVE; /* setup, active, pre-switchover, device, cancelling … */
}

static uint64_t
figure (const json_t *j, const char *key)
{
  int64_t v = qmp_json_int (j, key, 0);
  return v > 0 ? (uint64_t) v : 0;
}

int
qmp_transfer_query (struct qmp_vm *vm, struct qmp_transfer *ret, struct hv_err *err)
{
  HV_CLEAN (json) json_t *j = NULL;
  uint32_t seen = vm->transfer_events;
  int r = qmp_control_query (vm, "query-migrate", NULL, &j, err);
  if (r < 0)
    return r;
  const json_t *ram = json_object_get (j, "ram");
  *ret = (struct qmp_transfer){ .phase = phase_of (qmp_json_str (j, "status", "none")),
                                .seen = seen,
                                .sent_bytes = figure (ram, "transferred"),
                                .left_bytes = figure (ram, "remaining"),
                                .total_bytes = figure (ram, "total"),
                                .rounds = figure (ram, "dirty-sync-count"),
                                .total_ms = figure (j, "total-time"),
                                .downtime_ms = figure (j, "downtime") };
  (void) snprintf (ret->error, sizeof ret->error, "%s", qmp_json_str (j, "error-desc", ""));
  for (char *c = ret->error; *c != '\0'; c++)
    if ((unsigned char) *c < 0x20 || (unsigned char) *c >= 0x7f)
      *c = '?';
  return 0;
}

int
qmp_transfer_next (struct qmp_vm *vm, struct hv_call *call, const char *phase, struct qmp_transfer *ret, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  for (;;) {
    int r = vm->transfer_events == ret->seen ? h->api->cond_wait (h, vm->changed, POLL_MS, err) : 0;
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
    if (vm->pidfd < 0)
      return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': its process ended", vm->name);
    r = qmp_transfer_query (vm, ret, err);
    if (r == HV_E_CANCELLED)
      return r;
    if (r < 0) {
      ret->seen = vm->transfer_events;
      continue;
    }
    if (call != NULL)
      hv_progress (call, phase, ret->sent_bytes, ret->sent_bytes + ret->left_bytes, "bytes");
    return 0;
  }
}

int
qmp_transfer_wait (struct qmp_vm *vm, struct hv_call *call, const char *phase, struct qmp_transfer *ret, struct hv_err *err)
{
  int r;
  do
    r = qmp_transfer_next (vm, call, phase, ret, err);
  while (r == 0 && (ret->phase == QMP_TRANSFER_ACTIVE || ret->phase == QMP_TRANSFER_SWITCHED));
  return r;
}

int
qmp_transfer_cancel (struct qmp_vm *vm, struct qmp_transfer *ret, struct hv_err *err)
{
  int r = qmp_transfer_query (vm, ret, err);
  if (r < 0 || ret->phase != QMP_TRANSFER_ACTIVE)
    return r;
  r = qmp_control_change (vm, "migrate_cancel", NULL, err);
  return r == 0 ? qmp_transfer_wait (vm, NULL, NULL, ret, err) : r;
}

void
qmp_job_publish (struct qmp_vm *vm, const char *job, int code, const struct hv_err *why, uint64_t total_ms, uint64_t bytes)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  struct hv_job_completed e = { .vm = vm->name, .job = job, .ok = code == 0 };
  if (code < 0)
    HV_SET (&e, reason, hv_err_message (why));
  HV_SET (&e, total_ms, total_ms);
  HV_SET (&e, transferred_bytes, bytes);
  if (hv_publish (vm->qmp->host, "job_completed", &e, err) < 0)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "VM '%s': event lost: %s", vm->name, hv_err_message (err));
}
