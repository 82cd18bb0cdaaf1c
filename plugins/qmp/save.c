/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* save: the guest stands still, QEMU streams it to a descriptor, and when all of it is on the disk under its name, QEMU goes.
 * The file has no name until it is complete, so its name is the commit: whoever finds the file there goes on, and whoever
 * does not lets the guest run again. */
#include "statefile.h"
#include "transfer.h"
#include <errno.h>
#include <hvkit/file.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

struct save {
  struct qmp_vm *vm;
  struct hv_file_new file;
  struct qmp_statefile head;
  char token[2 * QMP_STATEFILE_TOKEN + 1];
  const char *path;
  struct hv_err *err;
};

/* --- the file, on a pool thread --- */

static int
save_open (void *arg)
{
  struct save *s = arg;
  int r = hv_file_new_begin (&s->file, s->path, s->err);
  if (r == 0 && lseek (s->file.fd, (off_t) s->head.head_bytes, SEEK_SET) < 0)
    r = hv_err_sys (s->err, errno, "seek");
  return r;
}

/* What QEMU wrote gets its head, and then its name. */
static int
save_commit (void *arg)
{
  struct save *s = arg;
  struct stat st;
  HV_CLEAN (hv_free) uint8_t *head = malloc (s->head.head_bytes);
  if (head == NULL)
    return hv_err_set (s->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (fstat (s->file.fd, &st) < 0)
    return hv_err_sys (s->err, errno, "stat");
  if ((uint64_t) st.st_size <= s->head.head_bytes)
    return hv_err_set (s->err, HV_E_INTERNAL, "QEMU wrote nothing");
  s->head.stream_bytes = (uint64_t) st.st_size - s->head.head_bytes;
  qmp_statefile_write (&s->head, head);
  int r = hv_file_write (s->file.fd, head, s->head.head_bytes, 0, s->err);
  return r == 0 ? hv_file_new_commit (&s->file, s->err) : r;
}

/* 1 if the file is there and is ours; 0 if not. A name that was only needed until then is removed. */
static int
save_look (void *arg)
{
  const struct save *s = arg;
  uint8_t first[QMP_STATEFILE_FIXED];
  HV_CLEAN (hv_fd) int fd = -1;
  if (hv_file_open (s->path, O_RDONLY, &fd, NULL, s->err) < 0 || hv_file_read (fd, first, sizeof first, 0, s->err) < 0)
    return 0;
  return memcmp (first + 32, s->head.token, QMP_STATEFILE_TOKEN) == 0;
}

static int
save_unlink (void *arg)
{
  const struct save *s = arg;
  return unlink (s->path) == 0 || errno == ENOENT ? 0 : hv_err_sys (s->err, errno, "remove '%s'", s->path);
}

static void
token_text (const uint8_t *token, char *ret)
{
  for (uint32_t i = 0; i < QMP_STATEFILE_TOKEN; i++)
    (void) snprintf (ret + 2 * i, 3, "%02x", token[i]);
}

static void
token_bytes (const char *text, uint8_t *ret)
{
  for (uint32_t i = 0; i < QMP_STATEFILE_TOKEN && strlen (text) >= 2 * i + 2; i++) {
    const char pair[3] = { text[2 * i], text[2 * i + 1], '\0' };
    ret[i] = (uint8_t) strtoul (pair, NULL, 16);
  }
}

/* --- forward --- */

static int
save_prepare (struct save *s, struct hv_err *err)
{
  struct hv_host *h = s->vm->qmp->host;
  struct qmp_saved saved = { .has = { .machine = 1, .places = 1 } };
  int r = qmp_vm_live (s->vm, &saved.machine, err);
  if (r == 0)
    r = qmp_transfer_places (s->vm, &saved.places, err);
  if (r == 0)
    r = h->api->encode (h, &qmp_saved_record, &saved, &s->head.machine, err);
  if (r < 0)
    return r;
  s->head.head_bytes = qmp_statefile_head_bytes (s->head.machine.size);
  if (s->head.head_bytes == 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "the machine takes more than %u bytes to describe", QMP_STATEFILE_MACHINE);
  if (getrandom (s->head.token, sizeof s->head.token, 0) != (ssize_t) sizeof s->head.token)
    return hv_err_sys (err, errno, "random numbers");
  token_text (s->head.token, s->token);
  s->err = err;
  return hv_offload (h, save_open, s, err);
}

static int
save_begin (struct save *s, struct hv_err *err)
{
  struct hv_host *h = s->vm->qmp->host;
  const char *paths[2] = { s->path, NULL };
  struct qmp_pending p = { .op = "save" };
  HV_SET (&p, running, s->vm->state == HV_VM_RUNNING);
  HV_SET (&p, token, s->token);
  if (s->file.temp[0] != '\0')
    paths[1] = hv_printf (h, "%.*s/%s", (int) (strrchr (s->path, '/') - s->path), s->path, s->file.temp);
  HV_SET (&p, paths, ((struct hv_strs){ paths, paths[1] != NULL ? 2 : 1 }));
  return qmp_pending_enter (s->vm, &p, err);
}

static int
save_failed (const struct save *s, const struct qmp_transfer *t, struct hv_err *err)
{
  struct statvfs fs;
  if (fstatvfs (s->file.fd, &fs) == 0 && fs.f_bavail == 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "no space left on the file system");
  return hv_err_set (err, HV_E_INTERNAL, "QEMU could not write it: %s", t->error[0] != '\0' ? t->error : "it does not say why");
}

static int
save_stream (struct save *s, struct hv_call *call, struct qmp_transfer *t, struct hv_err *err)
{
  static const struct qmp_transfer_how how = { 0 };
  struct qmp_vm *vm = s->vm;
  int r = 0;
  if (vm->state == HV_VM_RUNNING) {
    qmp_vm_set_state (vm, HV_VM_PAUSED, "saving", NULL);
    r = qmp_control_change (vm, "stop", NULL, err);
  }
  if (r == 0)
    r = qmp_transfer_set (vm, &how, 0, err);
  if (r == 0)
    r = qmp_transfer_out (vm, s->file.fd, err);
  if (r == 0)
    r = qmp_transfer_wait (vm, call, "save", t, err);
  return r == 0 && t->phase != QMP_TRANSFER_COMPLETED ? save_failed (s, t, err) : r;
}

static int
save_finish (struct save *s, struct hv_err *err)
{
  struct hv_host *h = s->vm->qmp->host;
  struct qmp_pending p;
  hv_step (h, "save.written");
  int r = hv_offload (h, save_commit, s, err);
  hv_step (h, "save.named");
  if (r == 0 && !qmp_pending_get (s->vm, "save", &p))
    r = hv_err_set (err, HV_E_INTERNAL, "its record was taken away");
  if (r == 0)
    r = qmp_pending_commit (s->vm, &p, err);
  if (r == 0)
    r = qmp_end (s->vm, err);
  return r == 0 ? qmp_pending_end (s->vm, err) : r;
}

static int
save_run (struct save *s, struct hv_call *call, struct qmp_transfer *t, struct hv_err *err)
{
  struct qmp_vm *vm = s->vm;
  int r = save_prepare (s, err);
  if (r == 0)
    r = save_begin (s, err);
  if (r < 0)
    return r;
  hv_step (vm->qmp->host, "save.begin");
  r = save_stream (s, call, t, err);
  if (r == 0)
    r = save_finish (s, err);
  hv_file_new_end (&s->file);
  qmp_pending_leave (vm, r);
  return r;
}

int
qmp_save (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_save_args *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  struct qmp_transfer t = { 0 };
  struct save s = { .vm = vm, .file = HV_FILE_NEW_INIT, .path = a->path };
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = qmp_pending_settle (vm, err);
  if (r == 0)
    r = qmp_vm_need_running (vm, err);
  if (r == 0 && vm->state == HV_VM_SUSPENDED)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is suspended: wake it up first", vm->name);
  if (r < 0)
    return r;
  uint64_t begun = vm->qmp->host->api->now_ms ();
  r = save_run (&s, call, &t, err);
  hv_file_new_end (&s.file);
  if (r < 0)
    r = hv_err_wrap (err, r, "save VM '%s' to '%s'", vm->name, a->path);
  qmp_job_publish (vm, "save", r, err, vm->qmp->host->api->now_ms () - begun, s.head.stream_bytes);
  qmp_vm_fill (vm, result);
  return r;
}

/* --- after an interruption --- */

/* The guest goes on as it was. */
static int
save_back (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  HV_CLEAN (json) json_t *status = NULL;
  struct qmp_transfer t = { 0 };
  int r = qmp_transfer_cancel (vm, &t, err);
  if (r == 0)
    r = qmp_control_query (vm, "query-status", NULL, &status, err);
  if (r == 0 && p->running && !qmp_json_bool (status, "running", 0))
    r = qmp_control_change (vm, "cont", NULL, err);
  else if (r == 0)
    qmp_status_apply (vm, qmp_json_str (status, "status", "paused"));
  return r;
}

static int
is_gone (const struct qmp_vm *vm)
{
  return vm->pidfd < 0;
}

int
qmp_save_resolve (struct qmp_vm *vm, const struct qmp_pending *pending, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  struct qmp_pending p = *pending;
  struct save s = { .vm = vm, .file = HV_FILE_NEW_INIT, .path = p.paths.count > 0 ? p.paths.items[0] : "", .err = err };
  struct save temp = { .path = p.paths.count > 1 ? p.paths.items[1] : "", .err = err };
  int r = 0;
  token_bytes (p.token != NULL ? p.token : "", s.head.token);
  int there = p.committed || hv_offload (h, save_look, &s, err) == 1;
  if (there)
    r = qmp_pending_commit (vm, &p, err);
  if (r == 0 && there && vm->pidfd >= 0)
    r = qmp_end (vm, err);
  if (r == 0 && !there && temp.path[0] != '\0')
    r = hv_offload (h, save_unlink, &temp, err);
  if (r == 0 && !there && vm->pidfd >= 0)
    r = save_back (vm, &p, err);
  if (r < 0 && vm->stop_requested)
    r = qmp_vm_wait (vm, is_gone, 30000, err);
  if (r < 0 && vm->pidfd >= 0)
    return r;
  if (there)
    qmp_vm_set_state (vm, HV_VM_STOPPED, "saved", NULL);
  return qmp_pending_end (vm, err);
}
