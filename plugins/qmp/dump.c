/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's memory into a file. The file has no name until it is complete, so a crash leaves none. */
#include "qmp.h"
#include <hvkit/file.h>
#include <string.h>

struct dump {
  struct qmp_vm *vm;
  struct hv_call *call;
  struct hv_file_new file;
  const char *path;
  struct hv_err *err;
};

static int
dump_open (void *arg)
{
  struct dump *d = arg;
  return hv_file_new_begin (&d->file, d->path, d->err);
}

static int
dump_commit (void *arg)
{
  struct dump *d = arg;
  return hv_file_new_commit (&d->file, d->err);
}

static void
dump_announce (struct qmp_vm *vm, int ok, const char *reason)
{
  struct hv_job_completed e = { .vm = vm->name, .job = "dump", .ok = (uint8_t) ok };
  if (reason != NULL)
    HV_SET (&e, reason, reason);
  (void) hv_publish (vm->qmp->host, "job_completed", &e, NULL);
}

static int
dump_begin (struct dump *d, uint32_t format, struct hv_err *err)
{
  HV_CLEAN (json)
  json_t *args
      = json_pack ("{s:b, s:s, s:b, s:s}", "paging", 0, "protocol", "fd:dump", "detach", 1, "format", hv_dump_format_words[format]);
  int r = qmp_control_pass_fd (d->vm, "dump", d->file.fd, err);
  return r == 0 ? qmp_control_change (d->vm, "dump-guest-memory", args, err) : r;
}

/* 1 done, 0 not yet. The poll is for an event that gets lost. */
static int
dump_look (struct dump *d, struct hv_err *err)
{
  HV_CLEAN (json) json_t *s = NULL;
  int r = qmp_control_query (d->vm, "query-dump", NULL, &s, err);
  if (r < 0)
    return r;
  hv_progress (d->call, "dump", (uint64_t) qmp_json_int (s, "completed", 0), (uint64_t) qmp_json_int (s, "total", 0), "bytes");
  const char *status = qmp_json_str (s, "status", "none");
  if (strcmp (status, "failed") == 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "QEMU could not write it; is there space?");
  return strcmp (status, "completed") == 0;
}

static int
dump_follow (struct dump *d, struct hv_err *err)
{
  struct hv_host *h = d->vm->qmp->host;
  for (;;) {
    int r = dump_look (d, err);
    if (r != 0)
      return r < 0 ? r : 0;
    r = h->api->cond_wait (h, d->vm->changed, 200, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
  }
}

int
qmp_dump_memory (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_dump_memory_args *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  struct dump d = { .vm = vm, .call = call, .file = HV_FILE_NEW_INIT, .path = a->path, .err = err };
  (void) result;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_need_running (vm, err);
  if (r < 0)
    return r;
  r = hv_offload (vm->qmp->host, dump_open, &d, err);
  if (r == 0 && (r = dump_begin (&d, a->format, err)) == 0) {
    r = dump_follow (&d, err);
    if (r == 0)
      r = hv_offload (vm->qmp->host, dump_commit, &d, err);
    dump_announce (vm, r == 0, r < 0 ? hv_err_message (err) : NULL);
  }
  hv_file_new_end (&d.file);
  return r < 0 ? hv_err_wrap (err, r, "dump memory of VM '%s' to '%s'", vm->name, a->path) : 0;
}
