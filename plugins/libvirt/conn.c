/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The connection that hears: made when the instance starts, and again whenever it is lost. A VM of a libvirt that cannot be
 * reached is unreachable, never gone. */
#include "libvirt.h"
#include <string.h>

#define RETRY_MAX_MS 5000u

struct open_work {
  struct lv_work w;
  struct lv_notes *notes;
  char *uri;
  unsigned long libvirt_version, hypervisor_version;
};

/* The uri and the notes outlive the instance in the work: an open that hangs may end long after it. */
static int
open_run (struct lv_work *w)
{
  struct open_work *o = (struct open_work *) w;
  w->conn = virConnectOpen (o->uri);
  if (w->conn == NULL)
    return lv_work_fail (w);
  (void) virConnectSetKeepAlive (w->conn, LV_KEEPALIVE_S, LV_KEEPALIVE_COUNT); /* a local driver has none, and needs none */
  if (lv_notes_register (o->notes, w->conn) < 0)
    return lv_work_fail (w);
  (void) virConnectGetLibVersion (w->conn, &o->libvirt_version);
  (void) virConnectGetVersion (w->conn, &o->hypervisor_version);
  return 0;
}

static void
open_clear (struct lv_work *w)
{
  struct open_work *o = (struct open_work *) w;
  lv_notes_unref (o->notes);
  free (o->uri);
}

static int
connect_once (struct lv_daemon *d, struct hv_err *err)
{
  struct open_work *o = lv_work_new (sizeof *o, open_run, "connect to libvirt", LV_WORK_NO_CONN | LV_WORK_LIGHT);
  HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) o;
  if (o == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  w->clear = open_clear;
  o->notes = lv_notes_ref (d->notes);
  o->uri = strdup (d->uri);
  if (o->uri == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  /* one that hangs is waited for: a second one would hang beside it */
  int r = lv_work_run (d, w, NULL, UINT32_MAX, err);
  if (r < 0)
    return r;
  lv_pool_adopt (d, HV_STEAL (w->conn));
  d->libvirt_version = o->libvirt_version;
  d->hypervisor_version = o->hypervisor_version;
  lv_caps_forget (d); /* it may be another libvirt, or have another QEMU */
  return 0;
}

static void
say_connected (struct lv_daemon *d)
{
  for (uint32_t i = 0; i < d->lv->vm_count; i++) {
    const struct lv_vm *vm = d->lv->vms[i];
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (d->lv->host);
    struct hv_control_event e = { .vm = vm->name, .connected = 1 };
    HV_SET (&e, gap, 1);
    if (vm->daemon == d && lv_vm_alive (vm) && hv_publish (d->lv->host, "control", &e, err) < 0)
      hv_log (d->lv->host, HV_LOG_WARNING, "VM '%s': event lost: %s", vm->name, hv_err_message (err));
  }
}

/* Level, then edge: the callbacks are in place before the state is read, and what they tell is applied after it. */
static int
connect_and_read (struct lv_daemon *d, struct hv_err *err)
{
  int r = connect_once (d, err);
  if (r < 0)
    return r;
  d->connected = 1;
  d->heard_ms = d->connected_ms = d->lv->host->api->now_ms ();
  (void) lv_text_set (&d->lost_why, NULL);
  r = lv_sync_all (d, err);
  if (r == 0 && !d->connected) /* lost again meanwhile, and nobody else tries */
    r = hv_err_set (err, HV_E_UNAVAILABLE, "the connection to libvirt was lost while its domains were read: %s", lv_why_lost (d));
  if (r == 0) {
    d->synced = 1;
    say_connected (d);
    d->lv->host->api->cond_wake (d->lv->host, d->lv->changed);
  }
  return r;
}

static void
connect_run (void *self, void *arg)
{
  HV_CLEAN (lv_daemon) struct lv_daemon *d = arg;
  uint64_t pause = d->lv->config->retry_ms;
  (void) self;
  for (int said = 0; !d->leaving; said = 1) {
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (d->lv->host);
    int r = connect_and_read (d, err);
    if (r == 0 || r == HV_E_CANCELLED || d->leaving)
      break;
    if (!said)
      hv_log (d->lv->host, HV_LOG_WARNING, "%s; trying again", hv_err_message (err));
    lv_connection_drop (d, hv_err_message (err));
    d->lv->host->api->cond_wake (d->lv->host, d->lv->changed);
    if (hv_sleep (d->lv->host, pause, NULL) < 0)
      break;
    pause = pause * 2 < RETRY_MAX_MS ? pause * 2 : RETRY_MAX_MS;
  }
  d->connecting = 0;
  lv_daemon_leave (d); /* its last machine may have gone while nobody looked */
}

void
lv_connect_later (struct lv_daemon *d)
{
  if (d->connecting || d->leaving)
    return;
  d->connecting = hv_go (d->lv->host, "connect", connect_run, lv_daemon_ref (d)) == 0;
  if (!d->connecting)
    lv_daemon_unref (d);
}

/* Whatever was alive is out of sight. */
void
lv_connection_drop (struct lv_daemon *d, const char *why)
{
  d->connected = d->synced = 0;
  (void) lv_text_set (&d->lost_why, why);
  lv_pool_adopt (d, NULL);
  for (uint32_t i = 0; i < d->lv->vm_count; i++) {
    struct lv_vm *vm = d->lv->vms[i];
    if (vm->daemon != d)
      continue;
    lv_vm_drop_dom (vm);
    if (lv_vm_alive (vm))
      lv_vm_set_state (vm, HV_VM_UNREACHABLE, "libvirt_lost", why);
  }
}

void
lv_connection_lost (struct lv_daemon *d, const char *why)
{
  if (!d->connected)
    return;
  hv_log (d->lv->host, HV_LOG_WARNING, "the connection to libvirt at '%s' is lost: %s", d->uri, why);
  lv_connection_drop (d, why);
  lv_connect_later (d);
}

const char *
lv_why_lost (const struct lv_daemon *d)
{
  if (d->spawn != NULL && lv_spawn_last_words (d->spawn)[0] != '\0')
    return lv_spawn_last_words (d->spawn);
  return d->lost_why != NULL ? d->lost_why : "not connected yet";
}

int
lv_wait_connected (struct lv_daemon *d, uint64_t timeout_ms)
{
  struct hv_host *h = d->lv->host;
  uint64_t end = h->api->now_ms () + timeout_ms;
  while (!d->synced) {
    uint64_t now = h->api->now_ms ();
    if (now >= end || h->api->cond_wait (h, d->lv->changed, end - now, NULL) < 0)
      break;
  }
  return d->synced;
}
