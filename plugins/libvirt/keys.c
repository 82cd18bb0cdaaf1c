/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys by the names that people use, and as Linux numbers them, which is what libvirt takes. */
#include "op.h"
#include <linux/input-event-codes.h>
#include <string.h>

static const struct {
  const char *name;
  uint16_t code;
} keys[] = {
#define K(name_, code_) \
  { \
    name_, KEY_##code_ \
  }
  K ("a", A),
  K ("b", B),
  K ("c", C),
  K ("d", D),
  K ("e", E),
  K ("f", F),
  K ("g", G),
  K ("h", H),
  K ("i", I),
  K ("j", J),
  K ("k", K),
  K ("l", L),
  K ("m", M),
  K ("n", N),
  K ("o", O),
  K ("p", P),
  K ("q", Q),
  K ("r", R),
  K ("s", S),
  K ("t", T),
  K ("u", U),
  K ("v", V),
  K ("w", W),
  K ("x", X),
  K ("y", Y),
  K ("z", Z),
  K ("0", 0),
  K ("1", 1),
  K ("2", 2),
  K ("3", 3),
  K ("4", 4),
  K ("5", 5),
  K ("6", 6),
  K ("7", 7),
  K ("8", 8),
  K ("9", 9),
  K ("f1", F1),
  K ("f2", F2),
  K ("f3", F3),
  K ("f4", F4),
  K ("f5", F5),
  K ("f6", F6),
  K ("f7", F7),
  K ("f8", F8),
  K ("f9", F9),
  K ("f10", F10),
  K ("f11", F11),
  K ("f12", F12),
  K ("ctrl", LEFTCTRL),
  K ("ctrl_r", RIGHTCTRL),
  K ("control", LEFTCTRL),
  K ("alt", LEFTALT),
  K ("alt_r", RIGHTALT),
  K ("altgr", RIGHTALT),
  K ("shift", LEFTSHIFT),
  K ("shift_r", RIGHTSHIFT),
  K ("meta_l", LEFTMETA),
  K ("meta_r", RIGHTMETA),
  K ("meta", LEFTMETA),
  K ("win", LEFTMETA),
  K ("super", LEFTMETA),
  K ("menu", COMPOSE),
  K ("esc", ESC),
  K ("escape", ESC),
  K ("ret", ENTER),
  K ("enter", ENTER),
  K ("return", ENTER),
  K ("spc", SPACE),
  K ("space", SPACE),
  K ("tab", TAB),
  K ("backspace", BACKSPACE),
  K ("delete", DELETE),
  K ("del", DELETE),
  K ("insert", INSERT),
  K ("ins", INSERT),
  K ("home", HOME),
  K ("end", END),
  K ("pgup", PAGEUP),
  K ("pageup", PAGEUP),
  K ("pgdn", PAGEDOWN),
  K ("pagedown", PAGEDOWN),
  K ("up", UP),
  K ("down", DOWN),
  K ("left", LEFT),
  K ("right", RIGHT),
  K ("print", SYSRQ),
  K ("printscreen", SYSRQ),
  K ("sysrq", SYSRQ),
  K ("sysreq", SYSRQ),
  K ("pause", PAUSE),
  K ("caps_lock", CAPSLOCK),
  K ("capslock", CAPSLOCK),
  K ("num_lock", NUMLOCK),
  K ("numlock", NUMLOCK),
  K ("scroll_lock", SCROLLLOCK),
  K ("scrolllock", SCROLLLOCK),
  K ("minus", MINUS),
  K ("equal", EQUAL),
  K ("comma", COMMA),
  K ("dot", DOT),
  K ("slash", SLASH),
  K ("backslash", BACKSLASH),
  K ("semicolon", SEMICOLON),
  K ("apostrophe", APOSTROPHE),
  K ("grave_accent", GRAVE),
  K ("bracket_left", LEFTBRACE),
  K ("bracket_right", RIGHTBRACE),
  K ("less", 102ND),
  K ("kp_enter", KPENTER),
  K ("kp_add", KPPLUS),
  K ("kp_subtract", KPMINUS),
  K ("kp_multiply", KPASTERISK),
  K ("kp_divide", KPSLASH),
  K ("kp_decimal", KPDOT),
  K ("kp_0", KP0),
  K ("kp_1", KP1),
  K ("kp_2", KP2),
  K ("kp_3", KP3),
  K ("kp_4", KP4),
  K ("kp_5", KP5),
  K ("kp_6", KP6),
  K ("kp_7", KP7),
  K ("kp_8", KP8),
  K ("kp_9", KP9),
  K ("power", POWER),
  K ("sleep", SLEEP),
  K ("wake", WAKEUP),
#undef K
};

#define KEYS_MAX 16

struct keys_work {
  struct lv_work w;
  unsigned codes[KEYS_MAX], hold_ms;
  int count;
};

static int
code_of (const char *name, unsigned *ret)
{
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
    if (strcasecmp (keys[i].name, name) == 0) {
      *ret = keys[i].code;
      return 0;
    }
  return -1;
}

static int
keys_run (struct lv_work *w)
{
  struct keys_work *k = (struct keys_work *) w;
  return virDomainSendKey (w->dom, VIR_KEYCODE_SET_LINUX, k->hold_ms, k->codes, k->count, 0) < 0 ? lv_work_fail (w) : 0;
}

int
lv_send_key (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_send_key_args *a = args;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  (void) call;
  (void) result;
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r < 0)
    return r;
  struct keys_work *k = lv_work_new (sizeof *k, keys_run, "keys of VM", LV_WORK_CHANGES);
  HV_CLEAN (lv_work) struct lv_work *w = k != NULL ? &k->w : NULL;
  for (uint32_t i = 0; k != NULL && i < a->keys.count && i < KEYS_MAX; i++, k->count++)
    if (code_of (a->keys.items[i], &k->codes[i]) < 0)
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "keys[%u] '%s': the name of a key: ctrl, alt, delete, f1, a, 1, ret …", i,
                         a->keys.items[i]);
  if (k != NULL)
    k->hold_ms = a->hold_ms;
  return lv_work_run (vm->daemon, w, vm, 0, err);
}
