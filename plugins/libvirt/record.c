/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The document of each VM that we defined: what libvirt has no place for, and that it is ours. It is written before libvirt is
 * asked to define, and deleted after it was asked to undefine: one without a domain is what an interruption left. */
#include "libvirt.h"
#include <stdio.h>
#include <string.h>

HV_RECORD_TABLE (lv_document, LV_DOCUMENT, "a VM of this instance");

#define KEY_PREFIX "vm."

int
lv_uuid_parse (const char *text, unsigned char *ret)
{
  char hex[33];
  size_t n = 0;
  for (; *text != '\0' && n < 33; text++)
    if (*text != '-')
      hex[n++] = *text;
  if (n != 32)
    return -1;
  for (size_t i = 0; i < VIR_UUID_BUFLEN; i++) {
    unsigned byte;
    if (sscanf (hex + 2 * i, "%2x", &byte) != 1)
      return -1;
    ret[i] = (unsigned char) byte;
  }
  return 0;
}

char *
lv_uuid_text (struct hv_host *h, const unsigned char *u)
{
  return hv_printf (h, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4], u[5],
                    u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

int
lv_record_put (struct lv_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->lv->host;
  char key[256];
  struct lv_document d = { .uuid = lv_uuid_text (h, vm->uuid) };
  if (d.uuid == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  HV_SET (&d, state, vm->state == HV_VM_UNREACHABLE ? vm->state_before : vm->state);
  if (vm->daemon != vm->lv->daemons[0])
    HV_SET (&d, netns, vm->daemon->netns);
  if (vm->label_count > 0)
    HV_SET (&d, labels, ((struct hv_map){ vm->labels, vm->label_count }));
  (void) snprintf (key, sizeof key, KEY_PREFIX "%s", vm->name);
  int r = h->api->store_put (h, key, &lv_document_record, &d, err);
  return r < 0 ? hv_err_wrap (err, r, "record of VM '%s'", vm->name) : 0;
}

/* Changes that come while one is written are in the next. */
static void
save_run (void *self, void *arg)
{
  HV_CLEAN (lv_vm) struct lv_vm *vm = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->lv->host);
  (void) self;
  while (vm->save_again && !vm->undefined && !vm->foreign) {
    vm->save_again = 0;
    if (lv_record_put (vm, err) < 0)
      hv_log (vm->lv->host, HV_LOG_WARNING, "%s", hv_err_message (err));
  }
  vm->saving = 0;
  lv_vm_wake (vm);
}

void
lv_record_save_later (struct lv_vm *vm)
{
  if (vm->foreign || vm->undefined)
    return;
  vm->save_again = 1;
  if (vm->saving)
    return;
  vm->saving = 1;
  if (hv_go (vm->lv->host, "save", save_run, lv_vm_ref (vm)) < 0) {
    vm->saving = 0;
    lv_vm_unref (vm);
  }
}

/* Not while a writer could write it again. */
static int
not_saving (const struct lv_vm *vm)
{
  return !vm->saving;
}

int
lv_record_delete (struct lv *lv, const char *name, struct hv_err *err)
{
  char key[256];
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (lv, name, NULL);
  if (vm != NULL && vm->saving) {
    vm->save_again = 0;
    int r = lv_vm_wait (vm, not_saving, 60000, err);
    if (r < 0)
      return r;
  }
  (void) snprintf (key, sizeof key, KEY_PREFIX "%s", name);
  return lv->host->api->store_delete (lv->host, key, err);
}

static void
delete_run (void *self, void *arg)
{
  HV_CLEAN (lv_vm) struct lv_vm *vm = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->lv->host);
  struct lv_vm *now = lv_vm_find (vm->lv, vm->name, NULL);
  (void) self;
  if (now != NULL && !now->foreign)
    return; /* it was defined again meanwhile */
  if (lv_record_delete (vm->lv, vm->name, err) < 0)
    hv_log (vm->lv->host, HV_LOG_WARNING, "record of VM '%s': %s", vm->name, hv_err_message (err));
}

void
lv_record_delete_later (struct lv_vm *vm)
{
  if (hv_go (vm->lv->host, "forget", delete_run, lv_vm_ref (vm)) < 0)
    lv_vm_unref (vm);
}

/* --- reading them all --- */

static int
load_one (struct lv *lv, const char *key, struct hv_err *err)
{
  struct hv_host *h = lv->host;
  struct lv_document d;
  unsigned char uuid[VIR_UUID_BUFLEN] = { 0 };
  memset (&d, 0, sizeof d);
  int r = h->api->store_get (h, key, &lv_document_record, &d, err);
  if (r == 0 && lv_uuid_parse (d.uuid, uuid) < 0)
    r = hv_err_set (err, HV_E_DATA_LOSS, "its uuid '%s' is none", d.uuid);
  struct lv_daemon *daemon = r == 0 && HV_HAS (&d, netns) ? lv_daemon_of_netns (lv, d.netns, err) : lv->daemons[0];
  struct lv_vm *vm = daemon != NULL ? lv_vm_new (daemon, key + strlen (KEY_PREFIX), uuid, err) : NULL;
  if (vm == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  if (r == 0 && lv_vm_set_labels (vm, &d.labels) < 0)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  vm->state = vm->state_before = r == 0 ? d.state : HV_VM_UNKNOWN;
  vm->known = r == 0;
  if (r == 0)
    return 0; /* what it was; libvirt will say what it is */
  hv_log (h, HV_LOG_ERROR, "VM '%s': %s", vm->name, hv_err_message (err));
  (void) lv_text_set (&vm->reason, "record_unreadable");
  (void) lv_text_set (&vm->detail, hv_err_message (err));
  return r == HV_E_CANCELLED ? r : 0;
}

int
lv_record_load (struct lv *lv, struct hv_err *err)
{
  struct hv_host *h = lv->host;
  struct hv_strs keys = { 0 };
  int r = h->api->store_list (h, &keys, err);
  for (uint32_t i = 0; r == 0 && i < keys.count; i++) {
    if (strncmp (keys.items[i], KEY_PREFIX, strlen (KEY_PREFIX)) != 0)
      continue;
    HV_CLEAN (hv_err) struct hv_err *one = hv_err_new (h);
    uint64_t mark = h->api->scope_mark (h);
    r = load_one (lv, keys.items[i], one);
    h->api->scope_release (h, mark);
    if (r < 0)
      (void) hv_err_set (err, r, "%s", hv_err_message (one));
  }
  return r;
}
