/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys by the names that people use, and as QEMU's. */
#include "qmp.h"
#include <string.h>

/* Names that QEMU has otherwise. Everything else is QEMU's own: a, 1, f1, ctrl, alt, shift, esc, up, kp_enter … */
static const struct {
  const char *name, *qcode;
} aliases[] = { { "enter", "ret" },
                { "return", "ret" },
                { "escape", "esc" },
                { "del", "delete" },
                { "ins", "insert" },
                { "space", "spc" },
                { "control", "ctrl" },
                { "win", "meta_l" },
                { "super", "meta_l" },
                { "meta", "meta_l" },
                { "pageup", "pgup" },
                { "pagedown", "pgdn" },
                { "printscreen", "print" },
                { "sysreq", "sysrq" },
                { "capslock", "caps_lock" },
                { "numlock", "num_lock" },
                { "scrolllock", "scroll_lock" },
                { "altgr", "alt_r" } };

static const char *
qcode_of (const char *key)
{
  for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
    if (strcasecmp (aliases[i].name, key) == 0)
      return aliases[i].qcode;
  return key;
}

static int
key_check (const char *key, uint32_t at, struct hv_err *err)
{
  for (const char *s = key; *s != '\0'; s++)
    if (strchr ("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *s) == NULL)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "keys[%u] '%s': the name of a key: ctrl, alt, delete, f1, a, 1, ret …", at,
                         key);
  return 0;
}

int
qmp_send_key (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_send_key_args *a = args;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  HV_CLEAN (json) json_t *keys = json_array ();
  (void) call;
  (void) result;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_need_running (vm, err);
  if (r < 0)
    return r;
  for (uint32_t i = 0; r == 0 && i < a->keys.count; i++) {
    char lower[64];
    size_t n = strlen (a->keys.items[i]);
    r = n > 0 && n < sizeof lower ? key_check (a->keys.items[i], i, err)
                                  : hv_err_set (err, HV_E_INVALID_ARGUMENT, "keys[%u]: not the name of a key", i);
    for (size_t k = 0; r == 0 && k <= n; k++)
      lower[k] = (char) (a->keys.items[i][k] >= 'A' && a->keys.items[i][k] <= 'Z' ? a->keys.items[i][k] + 32 : a->keys.items[i][k]);
    if (r == 0)
      (void) json_array_append_new (keys, json_pack ("{s:s, s:s}", "type", "qcode", "data", qcode_of (lower)));
  }
  HV_CLEAN (json) json_t *how = json_pack ("{s:O, s:I}", "keys", keys, "hold-time", (json_int_t) a->hold_ms);
  if (r == 0)
    r = qmp_control_change (vm, "send-key", how, err);
  /* QEMU names the parameter that it does not know */
  return r == HV_E_FAILED_PRECONDITION ? hv_err_wrap (err, HV_E_INVALID_ARGUMENT, "keys") : r;
}
