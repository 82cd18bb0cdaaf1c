/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Console and display as byte streams. QEMU's console talks to one client at a time, so there is one session; VNC shares
 * itself among many. */
#include "qmp.h"
#include <stdio.h>
#include <string.h>

static void
console_ended (void *self, void *arg, int32_t code)
{
  struct qmp_vm *vm = arg;
  (void) self;
  (void) code;
  vm->console = NULL;
  qmp_vm_unref (vm);
}

/* Ends the session that there is, if any. */
void
qmp_console_close (struct qmp_vm *vm)
{
  struct hv_host *h = vm->qmp->host;
  struct hv_stream *s = HV_STEAL (vm->console);
  if (s == NULL)
    return;
  h->api->stream_close (h, s);
  qmp_vm_unref (vm);
}

static int
stream_connect (struct qmp_vm *vm, const char *socket, const char *what, int *ret_fd, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *path = qmp_path (vm, socket);
  if (vm->pidfd < 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s: it has no %s", vm->name, hv_vm_state_words[vm->state], what);
  /* QEMU lets one wait besides the one it serves: who was just sent away may still be in the queue */
  for (int tries = 0; (*ret_fd = qmp_connect (path, err)) == HV_E_UNAVAILABLE && tries < 40 && vm->pidfd >= 0; tries++)
    if (hv_sleep (vm->qmp->host, 50, NULL) == HV_E_CANCELLED)
      return hv_err_set (err, HV_E_CANCELLED, "%s of VM '%s': cancelled", what, vm->name);
  return *ret_fd < 0 ? hv_err_wrap (err, *ret_fd, "%s of VM '%s'", what, vm->name) : 0;
}

static int
stream_give (struct qmp_vm *vm, struct hv_call *call, int fd, const struct hv_stream_options *how, struct hv_stream **ret_handle,
             struct hv_stream_answer *ret, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  if (hv_host_has (h, stream_close))
    return h->api->stream_open (h, call, fd, how, ret_handle, &ret->token, err);
  (void) close (fd);
  return hv_err_set (err, HV_E_UNIMPLEMENTED, "this hvkitd has no byte streams; upgrade it");
}

int
qmp_console (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_console_args *a = args;
  int fd = -1;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (!vm->has_console)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is defined without a serial console", vm->name);
  if (vm->console != NULL && !a->force)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the console of VM '%s' is in use; force ends that session", vm->name);
  int r = stream_connect (vm, "serial.sock", "console", &fd, err);
  if (r < 0)
    return r;
  qmp_console_close (vm);
  struct hv_stream_options how
      = { .struct_size = sizeof how, .what = "serial console", .ended = console_ended, .arg = qmp_vm_ref (vm) };
  r = stream_give (vm, call, fd, &how, &vm->console, result, err);
  if (r < 0)
    qmp_vm_unref (vm);
  return r;
}

int
qmp_display (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  int fd = -1;
  struct hv_stream_options how = { .struct_size = sizeof how, .what = "display" };
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (!vm->has_vnc)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is defined without a display", vm->name);
  int r = stream_connect (vm, "vnc/vnc.sock", "display", &fd, err);
  return r == 0 ? stream_give (vm, call, fd, &how, NULL, result, err) : r;
}
