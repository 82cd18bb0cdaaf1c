/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Console and display as byte streams. The console's socket is QEMU's own, and serves one client; VNC is handed out by libvirt, to
 * as many as like. */
#include "op.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void
console_ended (void *self, void *arg, int32_t code)
{
  struct lv_vm *vm = arg;
  (void) self;
  (void) code;
  vm->console = NULL;
  lv_vm_unref (vm);
}

void
lv_console_close (struct lv_vm *vm)
{
  struct hv_stream *s = HV_STEAL (vm->console);
  if (s == NULL)
    return;
  vm->lv->host->api->stream_close (vm->lv->host, s);
  lv_vm_unref (vm);
}

static int
socket_connect (const char *path, struct hv_err *err)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  if (strlen (path) >= sizeof a.sun_path)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "socket '%s': the path is too long", path);
  (void) snprintf (a.sun_path, sizeof a.sun_path, "%s", path);
  HV_CLEAN (hv_fd) int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return hv_err_sys (err, errno, "socket");
  if (connect (fd, (struct sockaddr *) &a, sizeof a) < 0)
    return errno == EAGAIN || errno == ECONNREFUSED ? hv_err_set (err, HV_E_UNAVAILABLE, "socket '%s': %s", path, strerror (errno))
                                                    : hv_err_sys (err, errno, "socket '%s'", path);
  int r = fd;
  fd = -1;
  return r;
}

/* QEMU lets one wait besides the one it serves: who was just sent away may still be in the queue. */
static int
console_connect (struct lv_vm *vm, struct hv_err *err)
{
  int fd = -1;
  if (vm->facts->console_path == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the console of VM '%s' is no UNIX socket: use virsh console", vm->name);
  for (int tries = 0; tries < 40 && lv_vm_alive (vm) && vm->facts->console_path != NULL; tries++) {
    fd = socket_connect (vm->facts->console_path, err);
    if (fd != HV_E_UNAVAILABLE || hv_sleep (vm->lv->host, 50, NULL) == HV_E_CANCELLED)
      break;
  }
  return fd;
}

static int
stream_give (struct lv_vm *vm, struct hv_call *call, int fd, const struct hv_stream_options *how, struct hv_stream **ret_handle,
             struct hv_stream_answer *ret, struct hv_err *err)
{
  struct hv_host *h = vm->lv->host;
  if (hv_host_has (h, stream_close))
    return h->api->stream_open (h, call, fd, how, ret_handle, &ret->token, err);
  (void) close (fd);
  return hv_err_set (err, HV_E_UNIMPLEMENTED, "this hvkitd has no byte streams; upgrade it");
}

int
lv_console (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_console_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (!lv_vm_alive (vm) || vm->facts == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s: it has no console", vm->name, hv_vm_state_words[vm->state]);
  if (!vm->facts->has_console)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is defined without a serial console", vm->name);
  if (vm->console != NULL && !a->force)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the console of VM '%s' is in use; force ends that session", vm->name);
  int fd = console_connect (vm, err);
  if (fd < 0)
    return hv_err_wrap (err, fd, "console of VM '%s'", vm->name);
  lv_console_close (vm);
  struct hv_stream_options how
      = { .struct_size = sizeof how, .what = "serial console", .ended = console_ended, .arg = lv_vm_ref (vm) };
  int r = stream_give (vm, call, fd, &how, &vm->console, result, err);
  if (r < 0)
    lv_vm_unref (vm);
  return r;
}

/* out[0]: a descriptor. */
static int
graphics_run (struct lv_work *w)
{
  int fd = virDomainOpenGraphicsFD (w->dom, 0, VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH);
  if (fd < 0)
    return lv_work_fail (w);
  (void) fcntl (fd, F_SETFD, FD_CLOEXEC);
  LV_OP (w)->out[0] = (uint64_t) fd + 1;
  return 0;
}

/* Whoever asked has left: nobody else closes it. */
static void
graphics_clear (struct lv_work *w)
{
  if (LV_OP (w)->out[0] > 0)
    (void) close ((int) LV_OP (w)->out[0] - 1);
}

int
lv_display (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  struct hv_stream_options how = { .struct_size = sizeof how, .what = "display" };
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (!lv_vm_alive (vm))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s: it has no display", vm->name, hv_vm_state_words[vm->state]);
  if (vm->facts != NULL && vm->facts->vnc_path == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is defined without a display", vm->name);
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (graphics_run, "display of VM", 0, NULL, NULL);
  if (op != NULL)
    op->w.clear = graphics_clear;
  int r = lv_op_run (vm, op, 0, err);
  if (r < 0)
    return r;
  int fd = (int) op->out[0] - 1;
  op->out[0] = 0;
  return stream_give (vm, call, fd, &how, NULL, result, err);
}
