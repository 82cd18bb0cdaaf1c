/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What needs a guest: its screen, its keyboard, and its state in a file. */
#include "toy.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int
must_run (const struct toy_vm *vm, struct hv_err *err)
{
  return vm->state == HV_VM_RUNNING || vm->state == HV_VM_PAUSED ? 0 : toy_vm_wrong_state (vm, err);
}

/* --- the screen of somebody who sleeps: one black pixel --- */

static const uint8_t png[] = { 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00,
                               0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00,
                               0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x60, 0x00, 0x00, 0x00, 0x02, 0x00, 0x01,
                               0x48, 0xaf, 0xa4, 0x71, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82 };
static const uint8_t ppm[] = { 'P', '6', '\n', '1', ' ', '1', '\n', '2', '5', '5', '\n', 0, 0, 0 };

int
toy_screenshot (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_screenshot_args *a = args;
  struct hv_screenshot *ret = result;
  const struct toy_vm *vm = toy_vm_find (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = must_run (vm, err);
  if (r < 0)
    return r;
  ret->picture = a->format == 0 ? (struct hv_bin){ png, sizeof png } : (struct hv_bin){ ppm, sizeof ppm };
  ret->format = a->format;
  HV_SET (ret, width, 1);
  HV_SET (ret, height, 1);
  return 0;
}

static int
key_known (const char *key)
{
  static const char *const names[]
      = { "ctrl", "alt", "shift", "meta", "delete", "ret", "esc", "tab", "spc", "up", "down", "left", "right", "home",
          "end",  "f1",  "f2",    "f3",   "f4",     "f5",  "f6",  "f7",  "f8",  "f9", "f10",  "f11",  "f12" };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (strcmp (names[i], key) == 0)
      return 1;
  return key[0] != '\0' && key[1] == '\0' && strchr ("abcdefghijklmnopqrstuvwxyz0123456789", key[0]) != NULL;
}

int
toy_send_key (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_send_key_args *a = args;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  (void) result;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  for (uint32_t i = 0; i < a->keys.count; i++)
    if (!key_known (a->keys.items[i]))
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "keys[%u]: '%s' is no key", i, a->keys.items[i]);
  int r = must_run (vm, err);
  return r == 0 ? hv_sleep (vm->toy->host, a->hold_ms, err) : r;
}

/* --- its state in a file --- */

#define MAGIC "toyhv saved state 1\n"

static int
write_state (const struct toy_vm *vm, const char *path, struct hv_err *err)
{
  struct toy_document d;
  char text[64];
  int r = toy_vm_read (vm, &d, err);
  if (r < 0)
    return r;
  HV_CLEAN (hv_fd) int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return hv_err_sys (err, errno, "'%s'", path);
  int n = snprintf (text, sizeof text, MAGIC "%s\n", d.machine.uuid);
  if (write (fd, text, (size_t) n) == n && fsync (fd) == 0)
    return 0;
  r = hv_err_sys (err, errno, "'%s'", path);
  (void) unlink (path);
  return r;
}

int
toy_save (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_save_args *a = args;
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  (void) call;
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = must_run (vm, err);
  if (r == 0)
    r = write_state (vm, a->path, err);
  if (r < 0)
    return r;
  toy_process_end (vm, "saved");
  r = toy_process_wait (vm, 10000, err);
  if (r == 0)
    r = toy_vm_save (vm, err);
  return r == 0 ? toy_vm_fill (vm, result, err) : r;
}

static int
read_state (const struct toy_vm *vm, const char *path, struct hv_err *err)
{
  struct toy_document d;
  char text[64] = "", want[64];
  int r = toy_vm_read (vm, &d, err);
  if (r < 0)
    return r;
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read (fd, text, sizeof text - 1) < 0)
    return hv_err_sys (err, errno, "'%s'", path);
  (void) snprintf (want, sizeof want, MAGIC "%s\n", d.machine.uuid);
  if (strncmp (text, MAGIC, strlen (MAGIC)) != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "'%s' is no saved state", path);
  if (strcmp (text, want) != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s' is the state of another machine", path);
  return 0;
}

int
toy_restore (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_restore_args *a = args;
  struct hv_start_args start = { .vm = a->vm, .paused = a->paused };
  HV_CLEAN (toy_vm) struct toy_vm *vm = toy_vm_hold (self, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  if (vm->state != HV_VM_STOPPED && vm->state != HV_VM_CRASHED)
    return toy_vm_wrong_state (vm, err);
  int r = read_state (vm, a->path, err);
  return r == 0 ? toy_start (self, call, &start, result, err) : r;
}
