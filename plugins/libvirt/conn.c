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
connect_once (struct lv *lv, struct hv_err *err)
{
  struct open_work *o = lv_work_new (sizeof *o, open_run, "connect to libvirt", LV_WORK_NO_CONN | LV_WORK_LIGHT);
  HV_CLEAN (lv_work) struct lv_work *w = (struct lv_work *) o;
  if (o == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  w->clear = open_clear;
  o->notes = lv_notes_ref (lv->notes);
  o->uri = strdup (lv->uri);
  if (o->uri == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  /* one that hangs is waited for: a second one would hang beside it */
  int r = lv_work_run (lv, w, NULL, UINT32_MAX, err);
  if (r < 0)
    return r;
  lv_pool_adopt (lv, HV_STEAL (w->conn));
  lv->libvirt_version = o->libvirt_version;
  lv->hypervisor_version = o->hypervisor_version;
  lv_caps_forget (lv); /* it may be another libvirt, or have another QEMU */
  return 0;
}

static void
say_connected (struct lv *lv)
{
  for (uint32_t i = 0; i < lv->vm_count; i++) {
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (lv->host);
    struct hv_control_event e = { .vm = lv->vms[i]->name, .connected = 1 };
    HV_SET (&e, gap, 1);
    if (lv_vm_alive (lv->vms[i]) && hv_publish (lv->host, "control", &e, err) < 0)
      hv_log (lv->host, HV_LOG_WARNING, "VM '%s': event lost: %s", lv->vms[i]->name, hv_err_message (err));
  }
}

/* Level, then edge: the callbacks are in place before the state is read, and what they tell is applied after it. */
static int
connect_and_read (struct lv *lv, struct hv_err *err)
{
  int r = connect_once (lv, err);
  if (r < 0)
    return r;
  lv->connected = 1;
  lv->heard_ms = lv->connected_ms = lv->host->api->now_ms ();
  (void) lv_text_set (&lv->lost_why, NULL);
  r = lv_sync_all (lv, err);
  if (r == 0 && !lv->connected) /* lost again meanwhile, and nobody else tries */
    r = hv_err_set (err, HV_E_UNAVAILABLE, "the connection to libvirt was lost while its domains were read: %s", lv_why_lost (lv));
  if (r == 0) {
    lv->synced = 1;
    say_connected (lv);
    lv->host->api->cond_wake (lv->host, lv->changed);
  }
  return r;
}

static void
connect_run (void *self, void *arg)
{
  struct lv *lv = arg;
  uint64_t pause = lv->config->retry_ms;
  (void) self;
  for (int said = 0;; said = 1) {
    HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (lv->host);
    int r = connect_and_read (lv, err);
    if (r == 0 || r == HV_E_CANCELLED)
      break;
    if (!said)
      hv_log (lv->host, HV_LOG_WARNING, "%s; trying again", hv_err_message (err));
    lv_connection_drop (lv, hv_err_message (err));
    lv->host->api->cond_wake (lv->host, lv->changed);
    if (hv_sleep (lv->host, pause, NULL) < 0)
      break;
    pause = pause * 2 < RETRY_MAX_MS ? pause * 2 : RETRY_MAX_MS;
  }
  lv->connecting = 0;
}

void
lv_connect_later (struct lv *lv)
{
  if (!lv->connecting && hv_go (lv->host, "connect", connect_run, lv) == 0)
    lv->connecting = 1;
}

/* Whatever was alive is out of sight. */
void
lv_connection_drop (struct lv *lv, const char *why)
{
  lv->connected = lv->synced = 0;
  (void) lv_text_set (&lv->lost_why, why);
  lv_pool_adopt (lv, NULL);
  for (uint32_t i = 0; i < lv->vm_count; i++) {
    lv_vm_drop_dom (lv->vms[i]);
    if (lv_vm_alive (lv->vms[i]))
      lv_vm_set_state (lv->vms[i], HV_VM_UNREACHABLE, "libvirt_lost", why);
  }
}

void
lv_connection_lost (struct lv *lv, const char *why)
{
  if (!lv->connected)
    return;
  hv_log (lv->host, HV_LOG_WARNING, "the connection to libvirt at '%s' is lost: %s", lv->uri, why);
  lv_connection_drop (lv, why);
  lv_connect_later (lv);
}

const char *
lv_why_lost (const struct lv *lv)
{
  if (lv->spawn != NULL && lv_spawn_last_words (lv->spawn)[0] != '\0')
    return lv_spawn_last_words (lv->spawn);
  return lv->lost_why != NULL ? lv->lost_why : "not connected yet";
}

int
lv_wait_connected (struct lv *lv, uint64_t timeout_ms)
{
  struct hv_host *h = lv->host;
  uint64_t end = h->api->now_ms () + timeout_ms;
  while (!lv->synced) {
    uint64_t now = h->api->now_ms ();
    if (now >= end || h->api->cond_wait (h, lv->changed, end - now, NULL) < 0)
      break;
  }
  return lv->synced;
}
