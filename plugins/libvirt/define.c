/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* define, undefine, native: what libvirt keeps. */
#include "libvirt.h"
#include "xml/build.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* KubeVirt's way to leave room for network cards that are plugged in later: the guest sees the other devices at the same
 * addresses whether it has one card or four. */
#define NICS_RESERVED 4u

/* --- define --- */

struct define_work {
  struct lv_work w;
  char *xml;
  uint32_t placeholders;
};

static int
define_once (struct lv_work *w, const char *xml)
{
  if (w->dom != NULL)
    (void) virDomainFree (w->dom);
  w->dom = virDomainDefineXMLFlags (w->conn, xml, 0);
  return w->dom != NULL ? 0 : lv_work_fail (w);
}

/* Twice: once with cards that only take up addresses, then without them. */
static int
define_run (struct lv_work *w)
{
  struct define_work *d = (struct define_work *) w;
  char *now = NULL, *without = NULL;
  int r = define_once (w, d->xml);
  if (r < 0 || d->placeholders == 0)
    return r;
  now = virDomainGetXMLDesc (w->dom, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
  if (now == NULL)
    r = lv_work_fail (w);
  else if (lv_xml_drop_placeholders (now, &without, NULL) < 0)
    r = lv_work_error (w, HV_E_INTERNAL, "libvirt's XML of it cannot be read");
  if (r == 0)
    r = define_once (w, without);
  free (now);
  free (without);
  return r;
}

static void
define_clear (struct lv_work *w)
{
  free (((struct define_work *) w)->xml);
}

struct probe_files {
  const struct hv_machine *m;
  uint8_t *direct;
};

static int
probe_run (void *arg)
{
  struct probe_files *p = arg;
  return lv_xml_probe_direct (p->m, p->direct);
}

/* The directory of its sockets and logs. QEMU makes the sockets, and may be of another uid. */
static int
make_dir (struct lv *lv, const char *dir, const struct hv_machine *m, struct hv_err *err)
{
  (void) lv;
  if (mkdir (dir, 0711) < 0 && errno != EEXIST)
    return hv_err_set (err, hv_err_from_errno (errno), "make directory '%s': %s", dir, strerror (errno));
  if (HV_HAS (m, owner_uid) && chown (dir, m->owner_uid, (gid_t) -1) < 0)
    return hv_err_set (err, hv_err_from_errno (errno), "own directory '%s': %s", dir, strerror (errno));
  return 0;
}

static int
build_xml (struct lv_daemon *d, const struct hv_machine *m, uint32_t *ret_placeholders, char **ret_xml, struct hv_err *err)
{
  struct lv *lv = d->lv;
  struct hv_host *h = lv->host;
  struct lv_xml_options o = { .type = lv->use_kvm ? "kvm" : "qemu", .balloon_s = lv->config->balloon_s };
  const char *dir = hv_printf (h, "%s/%s", h->api->info (h)->run_dir, m->uuid);
  uint8_t *direct = hv_alloc (h, (uint64_t) m->disks.count + 1);
  if (dir == NULL || direct == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  struct probe_files p = { m, direct };
  int r = hv_offload (h, probe_run, &p, err);
  if (r == 0)
    r = make_dir (lv, dir, m, err);
  if (r < 0)
    return r;
  o.netns = d->netns;
  o.emulator = HV_HAS (lv->config, emulator) ? lv->config->emulator : NULL;
  o.serial_path = hv_printf (h, "%s/serial.sock", dir);
  o.serial_log = hv_printf (h, "%s/serial.log", dir);
  o.vnc_path = hv_printf (h, "%s/vnc.sock", dir);
  o.efi_code = lv->config->efi_code;
  o.efi_vars = lv->config->efi_vars;
  o.nvram_path = hv_printf (h, "%s/%s.vars.fd", h->api->info (h)->state_dir, m->uuid);
  o.direct = direct;
  o.placeholders = *ret_placeholders = m->nics.count < NICS_RESERVED ? NICS_RESERVED - m->nics.count : 0;
  if (strncmp (d->uri, "qemu", 4) != 0)
    o.placeholders = *ret_placeholders = 0;
  if (o.serial_path == NULL || o.serial_log == NULL || o.vnc_path == NULL || o.nvram_path == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return lv_xml_build (m, &o, ret_xml, err);
}

static int
may_replace (struct lv_vm *vm, struct hv_err *err)
{
  if (lv_vm_alive (vm))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  return 0;
}

static int
define_check (struct lv *lv, const struct hv_define_args *a, unsigned char *uuid, struct hv_err *err)
{
  const struct hv_machine *m = &a->machine;
  struct lv_vm *found = lv_vm_find (lv, a->vm, NULL);
  if (strcmp (a->vm, m->name) != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "vm '%s' and machine.name '%s' differ", a->vm, m->name);
  if (lv_uuid_parse (m->uuid, uuid) < 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "machine.uuid '%s' is no uuid", m->uuid);
  struct lv_vm *same = lv_vm_find_uuid (lv, uuid);
  if (same != NULL && strcmp (same->name, a->vm) != 0)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "machine.uuid '%s' is that of VM '%s'", m->uuid, same->name);
  if (found != NULL && !a->replace)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "VM '%s' is defined already%s", a->vm, found->foreign ? ", and not by hvkit" : "");
  return found != NULL ? may_replace (found, err) : 0;
}

/* A domain whose uuid changes is another domain to libvirt, and so is one of another libvirt: the old one goes first. */
static int
undefine_run (struct lv_work *w)
{
  unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM
                   | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
  if (virDomainUndefineFlags (w->dom, flags) == 0)
    return 0;
  virErrorPtr e = virGetLastError ();
  if (e != NULL && (e->code == VIR_ERR_NO_SUPPORT || e->code == VIR_ERR_INVALID_ARG) && virDomainUndefine (w->dom) == 0)
    return 0;
  return lv_work_fail (w);
}

static int
undefine_domain (struct lv_vm *vm, struct hv_err *err)
{
  HV_CLEAN (lv_work) struct lv_work *w = lv_work_new (sizeof *w, undefine_run, "undefine VM", LV_WORK_CHANGES | LV_WORK_LIGHT);
  int r = lv_work_run (vm->daemon, w, vm, 0, err);
  return r == HV_E_NOT_FOUND ? 0 : r;
}

static int
define_domain (struct lv_vm *vm, const struct hv_define_args *a, struct hv_err *err)
{
  struct define_work *d = lv_work_new (sizeof *d, define_run, "define VM", LV_WORK_CHANGES);
  HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) d;
  if (d == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  w->clear = define_clear;
  int r = build_xml (vm->daemon, &a->machine, &d->placeholders, &d->xml, err);
  if (r == 0 && lv_vm_set_labels (vm, &a->machine.labels) < 0)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r == 0)
    r = lv_record_put (vm, err);
  if (r < 0)
    return r;
  hv_step (vm->lv->host, "define.recorded");
  r = lv_work_run (vm->daemon, w, NULL, 0, err);
  hv_step (vm->lv->host, "define.defined");
  return r;
}

/* What it was until now, where that is not what it will be. */
static int
leave_old (struct lv_vm *vm, struct lv_daemon *d, const unsigned char *uuid, struct hv_err *err)
{
  int r = memcmp (vm->uuid, uuid, sizeof vm->uuid) != 0 || vm->daemon != d ? undefine_domain (vm, err) : 0;
  if (r < 0)
    return r;
  lv_vm_drop_dom (vm);
  memcpy (vm->uuid, uuid, sizeof vm->uuid);
  struct lv_daemon *old = vm->daemon;
  vm->daemon = lv_daemon_ref (d);
  lv_daemon_leave (old);
  lv_daemon_unref (old);
  return 0;
}

static int
define_take (struct lv_daemon *d, const struct hv_define_args *a, const unsigned char *uuid, struct hv_err *err)
{
  struct lv *lv = d->lv;
  struct lv_vm *found = lv_vm_find (lv, a->vm, NULL), *listed = found != NULL ? found : lv_vm_new (d, a->vm, uuid, err);
  if (listed == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_ref (listed);
  vm->changing++;
  int r = leave_old (vm, d, uuid, err);
  vm->foreign = 0;
  vm->known = 1;
  vm->asked_ms = lv->host->api->now_ms ();
  if (r == 0)
    r = define_domain (vm, a, err);
  vm->asked_ms = lv->host->api->now_ms ();
  vm->changing--;
  if (r == 0)
    r = lv_sync_vm (vm, err);
  if (r == 0)
    (void) lv_text_set (&vm->reason, "defined");
  else if (found == NULL && r != HV_E_UNKNOWN) {
    lv_vm_remove (vm);
    (void) lv_record_delete (lv, a->vm, NULL);
  } else
    lv_sync_later (vm->daemon);
  return r;
}

int
lv_define (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct lv *lv = self;
  const struct hv_define_args *a = args;
  struct lv_daemon *d = NULL;
  unsigned char uuid[VIR_UUID_BUFLEN];
  (void) call;
  int r = define_check (lv, a, uuid, err);
  if (r == 0)
    r = lv_daemon_for (lv, &a->machine, &d, err);
  if (r == 0)
    r = lv_node_wait (d, err);
  if (r == 0)
    r = lv_node_check (d, &a->machine, err);
  if (r == 0)
    r = define_take (d, a, uuid, err);
  lv_daemon_done (d);
  if (r < 0)
    return hv_err_wrap (err, r, "define VM '%s'", a->vm);
  struct lv_vm *vm = lv_vm_find (lv, a->vm, err);
  if (vm == NULL)
    return hv_err_set (err, HV_E_ABORTED, "VM '%s' was undefined by somebody else meanwhile", a->vm);
  lv_vm_announce (vm, "defined", 0);
  lv_vm_fill (vm, result);
  return 0;
}

/* --- undefine --- */

/* What it had in our directories. */
static void
remove_files (struct lv_vm *vm)
{
  static const char *const names[] = { "serial.sock", "serial.log", "vnc.sock", NULL };
  struct hv_host *h = vm->lv->host;
  const char *uuid = lv_uuid_text (h, vm->uuid);
  const char *dir = uuid != NULL ? hv_printf (h, "%s/%s", h->api->info (h)->run_dir, uuid) : NULL;
  for (size_t i = 0; dir != NULL && names[i] != NULL; i++) {
    const char *path = hv_printf (h, "%s/%s", dir, names[i]);
    if (path != NULL)
      (void) unlink (path);
  }
  if (dir != NULL)
    (void) rmdir (dir);
}

int
lv_undefine (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  struct lv *lv = self;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (lv, a->vm, err);
  (void) call;
  (void) result;
  int r = vm == NULL ? HV_E_NOT_FOUND : may_replace (vm, err);
  if (r < 0)
    return r;
  vm->changing++;
  r = undefine_domain (vm, err);
  hv_step (lv->host, "undefine.undefined");
  if (r == 0)
    r = lv_record_delete (lv, vm->name, err);
  vm->changing--;
  if (r < 0) {
    lv_sync_later (vm->daemon);
    return r;
  }
  hv_step (lv->host, "undefine.deleted");
  remove_files (vm);
  lv_vm_announce (vm, "undefined", 1);
  lv_vm_remove (vm);
  lv_daemon_leave (vm->daemon);
  return 0;
}

/* --- native --- */

struct xml_work {
  struct lv_work w;
  char *xml;
};

static int
xml_run (struct lv_work *w)
{
  struct xml_work *x = (struct xml_work *) w;
  x->xml = virDomainGetXMLDesc (w->dom, 0);
  return x->xml != NULL ? 0 : lv_work_fail (w);
}

static void
xml_clear (struct lv_work *w)
{
  free (((struct xml_work *) w)->xml);
}

int
lv_native (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_vm_ref *a = args;
  struct hv_native *ret = result;
  struct lv *lv = self;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (lv, a->vm, err);
  struct xml_work *x = lv_work_new (sizeof *x, xml_run, "read VM", LV_WORK_LIGHT);
  HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) x;
  (void) call;
  if (w != NULL)
    w->clear = xml_clear;
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_work_run (vm->daemon, w, vm, 0, err);
  if (r < 0)
    return r;
  const char *xml = hv_strdup (lv->host, x->xml);
  if (xml == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  ret->format = "domain-xml";
  HV_SET (ret, xml, xml);
  return 0;
}
