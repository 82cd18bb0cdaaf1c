/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The level: what libvirt has now. Read whole after every connect and whenever something may have been missed, and one by one
 * when something happened to a domain. */
#include "libvirt.h"
#include <stdio.h>
#include <string.h>

/* What one domain is now; made by a worker. */
struct seen {
  char *name;
  unsigned char uuid[VIR_UUID_BUFLEN];
  int state, reason, persistent, gone;
  struct lv_domain *facts;
};

static void
seen_clear (struct seen *s)
{
  free (s->name);
  lv_domain_free (s->facts);
}

/* [worker] A domain may go while it is looked at. */
static int
seen_read (virDomainPtr dom, struct seen *s)
{
  char *xml = virDomainGetXMLDesc (dom, 0);
  s->name = strdup (virDomainGetName (dom));
  if (xml != NULL)
    (void) lv_domain_read (xml, &s->facts, NULL); /* what cannot be read is not known, and the rest is */
  int ok = xml != NULL && s->name != NULL && virDomainGetUUID (dom, s->uuid) == 0
           && (s->persistent = virDomainIsPersistent (dom)) >= 0 && virDomainGetState (dom, &s->state, &s->reason, 0) == 0;
  free (xml);
  return ok ? 0 : -1;
}

static void
take (struct lv_vm *vm, struct seen *s, uint64_t asked_at_ms)
{
  vm->defined = 1;
  vm->transient = s->persistent == 0;
  if (s->facts != NULL) {
    lv_domain_free (vm->facts);
    vm->facts = HV_STEAL (s->facts);
  }
  if (!lv_state_is_stale (vm, asked_at_ms))
    lv_state_take (vm, s->state, s->reason);
  if (vm->facts != NULL && lv_vm_alive (vm) && vm->facts->agent_connected != vm->agent_connected && vm->changing == 0) {
    struct hv_agent_event e = { .vm = vm->name, .connected = vm->facts->agent_connected };
    vm->agent_connected = vm->facts->agent_connected;
    (void) hv_publish (vm->lv->host, "agent", &e, NULL);
  }
  lv_vm_wake (vm);
}

/* --- one --- */

struct one_work {
  struct lv_work w;
  struct seen seen;
};

static int
one_run (struct lv_work *w)
{
  return seen_read (w->dom, &((struct one_work *) w)->seen) < 0 ? lv_work_fail (w) : 0;
}

static void
one_clear (struct lv_work *w)
{
  seen_clear (&((struct one_work *) w)->seen);
}

int
lv_sync_vm (struct lv_vm *vm, struct hv_err *err)
{
  struct one_work *o = lv_work_new (sizeof *o, one_run, "read VM", LV_WORK_LIGHT);
  HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) o;
  if (w != NULL)
    w->clear = one_clear;
  uint64_t now = vm->lv->host->api->now_ms ();
  int r = lv_work_run (vm->daemon, w, vm, 0, err);
  if (r == 0)
    take (vm, &o->seen, now);
  return r;
}

static void
sync_vm_run (void *self, void *arg)
{
  HV_CLEAN (lv_vm) struct lv_vm *vm = arg;
  (void) self;
  do {
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->lv->host);
    vm->sync_again = 0;
    int r = vm->daemon->connected && !vm->undefined ? lv_sync_vm (vm, err) : 0;
    if (r == HV_E_NOT_FOUND && vm->changing == 0)
      lv_sync_later (vm->daemon);
    else if (r < 0 && r != HV_E_NOT_FOUND && r != HV_E_CANCELLED)
      hv_log (vm->lv->host, HV_LOG_WARNING, "%s", hv_err_message (err));
  } while (vm->sync_again);
  vm->syncing = 0;
}

void
lv_sync_vm_later (struct lv_vm *vm)
{
  vm->sync_again = 1;
  if (vm->syncing)
    return;
  vm->syncing = 1;
  if (hv_go (vm->lv->host, "read", sync_vm_run, lv_vm_ref (vm)) < 0) {
    vm->syncing = 0;
    lv_vm_unref (vm);
  }
}

/* --- all --- */

struct all_work {
  struct lv_work w;
  struct seen *items;
  uint32_t count;
};

static int
all_run (struct lv_work *w)
{
  struct all_work *a = (struct all_work *) w;
  virDomainPtr *domains = NULL;
  int n = virConnectListAllDomains (w->conn, &domains, 0);
  if (n < 0)
    return lv_work_fail (w);
  a->items = calloc ((size_t) n + 1, sizeof *a->items);
  for (int i = 0; i < n; i++) {
    if (a->items != NULL && seen_read (domains[i], &a->items[a->count]) == 0)
      a->count++;
    else if (a->items != NULL)
      seen_clear (&a->items[a->count]), memset (&a->items[a->count], 0, sizeof *a->items);
    (void) virDomainFree (domains[i]);
  }
  free (domains);
  if (virConnectIsAlive (w->conn) == 0)
    return lv_work_fail (w);
  return a->items != NULL ? 0 : lv_work_error (w, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static void
all_clear (struct lv_work *w)
{
  struct all_work *a = (struct all_work *) w;
  for (uint32_t i = 0; i < a->count; i++)
    seen_clear (&a->items[i]);
  free (a->items);
}

/* A domain that was undefined behind our back is no VM any more; one that somebody defined anew under its name is his. */
static void
gone (struct lv_vm *vm)
{
  if (vm->changing > 0 || vm->awaited)
    return;
  if (lv_vm_alive (vm))
    lv_vm_set_state (vm, HV_VM_STOPPED, "gone", "libvirt does not know it any more");
  lv_vm_announce (vm, "undefined", 1);
  if (!vm->foreign)
    lv_record_delete_later (vm);
  lv_vm_remove (vm);
}

static void
take_one (struct lv_daemon *d, struct seen *s, uint64_t asked_at_ms)
{
  struct lv_vm *vm = lv_vm_find (d->lv, s->name, NULL);
  if (vm != NULL && vm->daemon != d) { /* two libvirts, one name: only one of them can be asked about it */
    hv_log (d->lv->host, HV_LOG_WARNING, "domain '%s' of libvirt at '%s' is not shown: another libvirt has a VM of this name",
            s->name, d->uri);
    return;
  }
  if (vm != NULL && memcmp (vm->uuid, s->uuid, sizeof vm->uuid) != 0) {
    gone (vm);
    vm = lv_vm_find (d->lv, s->name, NULL);
    if (vm != NULL)
      return; /* it is being changed; the next look will tell */
  }
  int fresh = vm == NULL;
  if (fresh && (vm = lv_vm_new (d, s->name, s->uuid, NULL)) == NULL)
    return;
  if (fresh)
    vm->foreign = 1;
  take (vm, s, asked_at_ms);
  if (fresh && d->synced)
    lv_vm_announce (vm, "defined", 0);
}

static int
was_seen (const struct all_work *a, const struct lv_vm *vm)
{
  for (uint32_t i = 0; i < a->count; i++)
    if (memcmp (a->items[i].uuid, vm->uuid, sizeof vm->uuid) == 0)
      return 1;
  return 0;
}

int
lv_sync_all (struct lv_daemon *d, struct hv_err *err)
{
  struct all_work *a = lv_work_new (sizeof *a, all_run, "list the domains", LV_WORK_LIGHT);
  HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) a;
  if (w != NULL)
    w->clear = all_clear;
  uint64_t begun = d->lv->host->api->now_ms ();
  int r = lv_work_run (d, w, NULL, 0, err);
  if (r < 0)
    return r;
  for (uint32_t i = d->lv->vm_count; i-- > 0;)
    if (d->lv->vms[i]->daemon == d && !was_seen (a, d->lv->vms[i]) && d->lv->vms[i]->asked_ms <= begun)
      gone (d->lv->vms[i]);
  for (uint32_t i = 0; i < a->count; i++)
    take_one (d, &a->items[i], begun);
  return 0;
}

static void
sync_run (void *self, void *arg)
{
  HV_CLEAN (lv_daemon) struct lv_daemon *d = arg;
  (void) self;
  do {
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (d->lv->host);
    d->sync_again = 0;
    if (d->connected && lv_sync_all (d, err) < 0)
      hv_log (d->lv->host, HV_LOG_WARNING, "%s", hv_err_message (err));
  } while (d->sync_again);
  d->syncing = 0;
  lv_daemon_leave (d);
}

void
lv_sync_later (struct lv_daemon *d)
{
  d->sync_again = 1;
  if (d->syncing)
    return;
  d->syncing = hv_go (d->lv->host, "list", sync_run, lv_daemon_ref (d)) == 0;
  if (!d->syncing)
    lv_daemon_unref (d);
}
