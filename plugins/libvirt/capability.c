/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt says it can do. It does not change while a connection lasts, and it is some kilobytes, so it is asked for once. A
 * driver that cannot say (test:///default has no processors) is asked to define what it is told to. */
#include "libvirt.h"
#include "op.h"
#include "xml/arch.h"
#include <string.h>

#define KINDS_MAX 32u

/* Domains of one architecture, machine type and accelerator. */
struct lv_kind {
  struct lv_kind *next;
  char *key;
  struct lv_domcaps *caps; /* NULL: libvirt cannot say */
};

static void
kind_free (struct lv_kind *k)
{
  lv_domcaps_free (k->caps);
  free (k->key);
  free (k);
}

void
lv_caps_forget (struct lv_daemon *d)
{
  lv_caps_free (d->caps);
  d->caps = NULL;
  d->connections++;
  while (d->kinds != NULL) {
    struct lv_kind *k = d->kinds;
    d->kinds = k->next;
    kind_free (k);
  }
}

/* --- capabilities --- */

static int
caps_run (struct lv_work *w)
{
  LV_OP (w)->ret = virConnectGetCapabilities (w->conn);
  return LV_OP (w)->ret == NULL ? lv_work_fail (w) : 0;
}

int
lv_caps_ask (struct lv_daemon *d, const struct lv_caps **ret, struct hv_err *err)
{
  *ret = d->caps;
  if (d->caps != NULL)
    return 0;
  uint64_t connection = d->connections;
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (caps_run, "read libvirt's capabilities", LV_WORK_LIGHT, NULL, NULL);
  struct lv_caps *caps = NULL;
  int r = lv_work_run (d, op != NULL ? &op->w : NULL, NULL, 0, err);
  if (r == HV_E_UNIMPLEMENTED)
    return 0;
  if (r == 0)
    r = lv_caps_read (op->ret, &caps, err);
  if (r < 0)
    return r;
  if (connection != d->connections || d->caps != NULL) { /* another was quicker, or it is of a connection that is lost */
    lv_caps_free (caps);
    return d->caps != NULL ? lv_caps_ask (d, ret, err)
                           : hv_err_set (err, HV_E_UNAVAILABLE, "the connection to libvirt was lost meanwhile");
  }
  *ret = d->caps = caps;
  return 0;
}

/* --- capabilities of domains --- */

/* `a`: architecture and, in the next line, accelerator and, in the next, the machine type, if any; `b`: the emulator. */
static int
domcaps_run (struct lv_work *w)
{
  char *arch = LV_OP (w)->a, *type = strchr (arch, '\n') + 1, *machine = strchr (type, '\n') + 1;
  type[-1] = machine[-1] = '\0';
  LV_OP (w)->ret = virConnectGetDomainCapabilities (w->conn, LV_OP (w)->b, arch, machine[0] != '\0' ? machine : NULL, type, 0);
  return LV_OP (w)->ret == NULL ? lv_work_fail (w) : 0;
}

static struct lv_kind *
kind_find (const struct lv_daemon *d, const char *key)
{
  struct lv_kind *k = d->kinds;
  while (k != NULL && strcmp (k->key, key) != 0)
    k = k->next;
  return k;
}

/* Takes the capabilities. The oldest of too many goes. */
static int
kind_add (struct lv_daemon *d, const char *key, struct lv_domcaps *caps)
{
  struct lv_kind *k = calloc (1, sizeof *k), **at = &d->kinds;
  if (k == NULL || lv_text_set (&k->key, key) < 0) {
    lv_domcaps_free (caps);
    free (k);
    return HV_E_RESOURCE_EXHAUSTED;
  }
  k->caps = caps;
  k->next = d->kinds;
  d->kinds = k;
  for (uint32_t n = 0; *at != NULL && n < KINDS_MAX; n++)
    at = &(*at)->next;
  if (*at != NULL) {
    kind_free (*at);
    *at = NULL;
  }
  return 0;
}

/* The call's; NULL: out of memory. */
static const char *
kind_key (const struct lv_daemon *d, const char *arch, const char *machine)
{
  const struct lv_arch *a = lv_arch_find (arch);
  return hv_printf (d->lv->host, "%s\n%s\n%s", a != NULL ? a->libvirt_name : arch, d->lv->use_kvm ? "kvm" : "qemu",
                    machine != NULL ? machine : "");
}

int
lv_domcaps_ask (struct lv_daemon *d, const char *arch, const char *machine, const struct lv_domcaps **ret, struct hv_err *err)
{
  const char *key = kind_key (d, arch, machine);
  const struct lv_kind *known = key != NULL ? kind_find (d, key) : NULL;
  *ret = known != NULL ? known->caps : NULL;
  if (known != NULL)
    return 0;
  uint64_t connection = d->connections;
  const char *emulator = HV_HAS (d->lv->config, emulator) ? d->lv->config->emulator : NULL;
  HV_CLEAN (lv_op)
  struct lv_op *op = key != NULL ? lv_op_new (domcaps_run, "read the capabilities of domains", LV_WORK_LIGHT, key, emulator) : NULL;
  struct lv_domcaps *caps = NULL;
  int r = lv_work_run (d, op != NULL ? &op->w : NULL, NULL, 0, err);
  if (r == 0)
    r = lv_domcaps_read (op->ret, &caps, err);
  if (r < 0 && r != HV_E_UNIMPLEMENTED)
    return r;
  if (connection != d->connections) {
    lv_domcaps_free (caps);
    return hv_err_set (err, HV_E_UNAVAILABLE, "the connection to libvirt was lost meanwhile");
  }
  if (kind_find (d, key) != NULL) /* another was quicker */
    lv_domcaps_free (caps);
  else if (kind_add (d, key, caps) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret = kind_find (d, key)->caps;
  return 0;
}
