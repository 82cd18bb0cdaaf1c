/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* restore: the machine as it ran when it was saved, waiting for its state, and the file read back into it. */
#include "statefile.h"
#include "transfer.h"
#include <errno.h>
#include <hvkit/file.h>
#include <inttypes.h>
#include <string.h>

struct restore {
  struct hv_call *call;
  const char *path;
  int fd;
  uint8_t *head;
  struct qmp_statefile file;
  struct qmp_transfer done;
  struct hv_err *err;
};

/* --- the file, on a pool thread --- */

static int
restore_open (void *arg)
{
  struct restore *s = arg;
  uint8_t first[QMP_STATEFILE_FIXED];
  uint32_t bytes = 0;
  struct stat st;
  int r = hv_file_open (s->path, O_RDONLY, &s->fd, &st, s->err);
  if (r == 0 && st.st_size < (off_t) sizeof first)
    r = hv_err_set (s->err, HV_E_FAILED_PRECONDITION, "it is not a saved machine");
  if (r == 0)
    r = hv_file_read (s->fd, first, sizeof first, 0, s->err);
  if (r == 0)
    r = qmp_statefile_peek (first, &bytes, s->err);
  if (r < 0)
    return r;
  s->head = malloc (bytes);
  if (s->head == NULL)
    return hv_err_set (s->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  r = hv_file_read (s->fd, s->head, bytes, 0, s->err);
  if (r == 0)
    r = qmp_statefile_parse (s->head, bytes, &s->file, s->err);
  if (r == 0 && (uint64_t) st.st_size - bytes != s->file.stream_bytes)
    r = hv_err_set (s->err, HV_E_DATA_LOSS, "it has %" PRIu64 " bytes of state instead of %" PRIu64, (uint64_t) st.st_size - bytes,
                    s->file.stream_bytes);
  if (r == 0 && lseek (s->fd, (off_t) bytes, SEEK_SET) < 0)
    r = hv_err_sys (s->err, errno, "seek");
  return r;
}

static void
restore_close (struct restore *s)
{
  if (s->fd >= 0)
    (void) close (s->fd);
  free (s->head);
}

/* --- the machine --- */

static int
restore_machine (struct qmp_vm *vm, struct restore *s, struct qmp_saved *ret, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  s->err = err;
  memset (ret, 0, sizeof *ret);
  int r = hv_offload (h, restore_open, s, err);
  if (r == 0)
    r = h->api->decode (h, &qmp_saved_record, s->file.machine, HV_DECODE_OPEN, ret, err);
  if (r < 0)
    return r;
  if (strcasecmp (ret->machine.uuid, vm->uuid) != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it is machine %s; VM '%s' is machine %s", ret->machine.uuid, vm->name,
                       vm->uuid);
  if (strcmp (ret->machine.name, vm->name) != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it is VM '%s', not VM '%s'", ret->machine.name, vm->name);
  return 0;
}

static int
restore_load (struct qmp_vm *vm, void *arg, struct hv_err *err)
{
  static const struct qmp_transfer_how how = { 0 };
  struct restore *s = arg;
  struct hv_host *h = vm->qmp->host;
  int r = qmp_transfer_set (vm, &how, 1, err);
  hv_step (h, "restore.load");
  if (r == 0)
    r = qmp_transfer_in (vm, s->fd, err);
  if (r == 0)
    r = qmp_transfer_wait (vm, s->call, "restore", &s->done, err);
  hv_step (h, "restore.loaded");
  if (vm->pidfd < 0)
    return hv_err_set (err, HV_E_DATA_LOSS, "QEMU could not read it: %s", vm->detail != NULL ? vm->detail : "it does not say why");
  if (r == 0 && s->done.phase != QMP_TRANSFER_COMPLETED)
    return hv_err_set (err, HV_E_DATA_LOSS, "QEMU could not read it: %s", s->done.error);
  return r;
}

static int
restore_run (struct qmp_vm *vm, struct restore *s, int paused, struct hv_err *err)
{
  struct qmp_saved m;
  struct qmp_pending p = { .op = "restore" };
  const struct qmp_launch how = { .op = "restore",
                                  .run_reason = "restored",
                                  .machine = &m.machine,
                                  .places = &m.places,
                                  .paused = (uint8_t) paused,
                                  .incoming = 1,
                                  .load = restore_load,
                                  .arg = s };
  int r = restore_machine (vm, s, &m, err);
  if (r < 0)
    return hv_err_wrap (err, r, "saved machine '%s'", s->path);
  r = qmp_pending_enter (vm, &p, err);
  if (r < 0)
    return r;
  hv_step (vm->qmp->host, "restore.begin");
  r = qmp_launch (vm, &how, err);
  if (r == 0)
    r = qmp_pending_end (vm, err);
  qmp_pending_leave (vm, r);
  return r;
}

int
qmp_restore (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_restore_args *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  struct restore s = { .call = call, .path = a->path, .fd = -1 };
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->launched || qmp_vm_alive (vm) || (vm->state != HV_VM_STOPPED && vm->state != HV_VM_CRASHED))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  uint64_t begun = vm->qmp->host->api->now_ms ();
  int r = qmp_pending_settle (vm, err);
  if (r == 0)
    r = restore_run (vm, &s, a->paused, err);
  restore_close (&s);
  qmp_job_publish (vm, "restore", r, err, vm->qmp->host->api->now_ms () - begun, s.file.stream_bytes);
  qmp_vm_fill (vm, result);
  return r;
}

/* A machine that was being restored is ended by whoever re-adopts it, unless its guest runs already: nothing is left to do. */
int
qmp_restore_resolve (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  (void) p;
  return qmp_pending_end (vm, err);
}
