/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine that its backend paused because a disk failed is resumed after a while: the disk may have room again. The times are
 * those of virt-handler's FailRetryManager: 10 s, then twice as long each time up to 3 min; a machine that ran for 30 s since
 * begins anew. */
#include "vmi.h"
#include <string.h>

#define RAN_WELL_MS 30000u

static int
is_stuck (const struct vmi_vm *v)
{
  return v->run.exists && v->run.phase == VMI_RUNNING && v->run.stop_ms == 0 && !v->deleting && !v->gone
         && v->seen.state == HV_VM_PAUSED && v->seen.reason != NULL && strcmp (v->seen.reason, "io_error") == 0;
}

static void
resuming (void *self, void *arg)
{
  struct vmi_vm *v = arg;
  struct hv_host *h = v->vmi->host;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (h);
  (void) self;
  if (is_stuck (v)) {
    int r = vmi_backend_simple (v, "resume", err);
    v->io_retries++;
    v->io_resumed_ms = h->api->now_ms ();
    if (r == 0)
      vmi_note (v, 0, "Unpaused", "after an I/O error, to try again");
    else if (r != HV_E_CANCELLED)
      hv_log (h, HV_LOG_DEBUG, "VM '%s' is not resumed: %s", v->domain, hv_err_message (err));
  }
  if (!v->gone)
    vmi_reconcile (v); /* which looks what became of it, and comes back here */
  vmi_vm_unref (v);
}

void
vmi_io_error_due (void *self, void *arg)
{
  struct vmi_vm *v = arg;
  (void) self;
  v->io_waiting = 0;
  if (hv_go (v->vmi->host, "resume", resuming, vmi_vm_ref (v)) == 0)
    return;
  vmi_vm_unref (v);
  vmi_io_error_follow (v);
}

void
vmi_io_error_follow (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  const struct vmi_config *c = v->vmi->config;
  uint64_t ms = c->io_retry_ms;
  if (!is_stuck (v)) {
    if (v->io_waiting)
      h->api->timer_set (h, v->io_timer, 0, 0);
    v->io_waiting = 0;
    return;
  }
  if (v->io_waiting)
    return;
  if (v->io_resumed_ms != 0 && h->api->now_ms () - v->io_resumed_ms > RAN_WELL_MS)
    v->io_retries = 0;
  for (uint32_t i = 0; i < v->io_retries && ms < c->io_retry_max_ms; i++)
    ms *= 2;
  v->io_waiting = 1;
  h->api->timer_set (h, v->io_timer, ms < c->io_retry_max_ms ? ms : c->io_retry_max_ms, 0);
}
