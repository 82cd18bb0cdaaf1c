/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is wanted against what is there, one VM at a time, level-triggered: a coroutine looks at both, does the next step,
 * and looks again until there is nothing left to do. Then it ends; an event, a call or a timer starts the next one. */
#include "vmi.h"
#include <string.h>

#define DONE  0
#define AGAIN 1

int
vmi_wanted (const struct vmi_vm *v)
{
  if (v->deleting || v->broken)
    return 0;
  if (v->strategy == VMI_HALTED)
    return 0;
  if (v->strategy == VMI_ALWAYS || v->request == VMI_REQUEST_RESTART)
    return 1;
  if (v->request != VMI_REQUEST_NONE)
    return v->request == VMI_REQUEST_START;
  if (v->strategy == VMI_MANUAL)
    return v->run.exists && !vmi_vm_final (v);
  if (v->run.exists)
    return v->run.phase != VMI_SUCCEEDED && (v->strategy == VMI_RERUN_ON_FAILURE || v->run.phase != VMI_FAILED);
  return !v->ran;
}

uint64_t
vmi_grace_ms (struct vmi_vm *v)
{
  struct vmi_spec s;
  int64_t seconds = v->grace_s;
  uint64_t passed = 0, now = vmi_wall_ms ();
  if (seconds < 0)
    seconds = v->run.exists && vmi_run_spec (v, &s, NULL) == 0 ? s.terminationGracePeriodSeconds : 30;
  if (v->run.stop_ms != 0 && now > v->run.stop_ms)
    passed = now - v->run.stop_ms;
  uint64_t whole = (uint64_t) seconds * 1000;
  return passed < whole ? whole - passed : 0;
}

/* --- steps --- */

/* The backend's definition, the network and the overlays of a run that has ended; the claims stay. */
static int
clean (struct vmi_vm *v, struct hv_err *err)
{
  int r = v->seen.defined ? vmi_backend_undefine (v, err) : 0;
  if (r == 0)
    r = vmi_network_detach (v, err);
  if (r == 0)
    r = vmi_volumes_drop_overlays (v, err);
  if (r == 0)
    r = vmi_image_release (v, err);
  if (r == 0)
    v->run.cleaned = 1;
  return r < 0 ? hv_err_wrap (err, r, "clean up after VM '%s'", v->domain) : 0;
}

static int
shut_down (struct vmi_vm *v, struct hv_err *err)
{
  if (v->run.exists && v->run.stop_ms == 0) {
    v->run.stop_ms = vmi_wall_ms ();
    vmi_note (v, 0, "ShuttingDown", "asked the guest to shut down");
    vmi_status_update (v);
    int r = vmi_store_save (v, err);
    if (r < 0)
      return r;
  }
  int r = vmi_backend_shutdown (v, vmi_grace_ms (v), err);
  if (r == HV_E_ABORTED || r == HV_E_UNKNOWN || r == HV_E_FAILED_PRECONDITION) {
    /* somebody else stopped it, or it went by itself meanwhile: what is true now is what counts */
    int seen = vmi_backend_observe (v, err);
    if (seen < 0 || vmi_vm_alive (v))
      return seen < 0 ? seen : r;
    r = 0;
  }
  return r < 0 ? hv_err_wrap (err, r, "shut VM '%s' down", v->domain) : AGAIN;
}

static int
forget (struct vmi_vm *v, struct hv_err *err)
{
  int r = vmi_store_delete (v, err);
  if (r < 0)
    return r;
  vmi_note (v, 0, "Deleted", "the VM and what belonged to it are gone");
  vmi_publish (v, "DELETED");
  vmi_vm_remove (v);
  return DONE;
}

static int
tear_down (struct vmi_vm *v, struct hv_err *err)
{
  if (vmi_vm_alive (v))
    return shut_down (v, err);
  int r = clean (v, err);
  return r < 0 ? r : forget (v, err);
}

static int
is_orderly_end (struct vmi_vm *v)
{
  struct vmi_spec s;
  const char *reason = v->seen.reason != NULL ? v->seen.reason : "";
  if (strcmp (reason, "shutdown") == 0)
    return 1;
  if (strcmp (reason, "destroyed") != 0 || vmi_run_spec (v, &s, NULL) < 0)
    return 0;
  /* as KubeVirt: a guest that had the time to shut down and did not, has failed */
  return (HV_HAS (&s.domain.features.acpi, enabled) && !s.domain.features.acpi.enabled) || s.terminationGracePeriodSeconds == 0
         || (v->run.stop_ms != 0 && v->grace_s == 0);
}

/* How long it ran, for telling a VM that fails to start from one that ended. */
static uint64_t
ran_ms (const struct vmi_vm *v)
{
  const struct vmi_run *run = &v->run;
  for (uint32_t i = 0; i < run->transition_count; i++)
    if (run->transitions[i].phase == VMI_RUNNING)
      return vmi_wall_ms () - run->transitions[i].at_ms;
  return 0;
}

/* It goes on elsewhere, or in a file: another one of it would write to the same disks. */
static int
has_moved (const struct vmi_vm *v)
{
  return v->seen.reason != NULL && (strcmp (v->seen.reason, "migrated") == 0 || strcmp (v->seen.reason, "saved") == 0);
}

static int
end_run (struct vmi_vm *v, struct hv_err *err)
{
  int moved = has_moved (v), orderly = moved || is_orderly_end (v);
  int halted = moved ? vmi_halt (v, err) : 0;
  if (halted < 0)
    return halted;
  if (moved)
    v->run.cleaned = 1; /* its disks are needed still */
  const char *reason = v->seen.reason != NULL ? v->seen.reason : "gone", *detail = v->seen.detail;
  uint64_t ms = ran_ms (v);
  vmi_agent_forget (v);
  if (orderly)
    vmi_note (v, 0, "Stopped", "the machine ended (%s)", reason);
  else
    vmi_note (v, 1, "Stopped", "the machine ended (%s)%s%s", reason, detail != NULL ? ": " : "", detail != NULL ? detail : "");
  v->failures = ms >= v->vmi->config->settle_ms || v->run.stop_ms != 0 ? 0 : v->failures + 1;
  vmi_vm_phase (v, orderly ? VMI_SUCCEEDED : VMI_FAILED);
  v->grace_s = -1; /* what a stop asked for was for that run */
  if (v->request == VMI_REQUEST_START)
    v->request = VMI_REQUEST_NONE; /* it was fulfilled */
  int r = vmi_store_save (v, err);
  return r < 0 ? r : AGAIN;
}

static uint64_t
backoff_ms (const struct vmi_vm *v)
{
  const struct vmi_config *c = v->vmi->config;
  uint64_t ms = c->retry_ms;
  for (uint32_t i = 1; i < v->failures && ms < c->retry_max_ms; i++)
    ms *= 2;
  return ms < c->retry_max_ms ? ms : c->retry_max_ms;
}

static void
wait_and_retry (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  v->waiting = 1;
  h->api->timer_set (h, v->retry, backoff_ms (v), 0);
}

/* A VM that keeps ending soon after its start waits before the next one. */
static int
is_delayed (struct vmi_vm *v)
{
  if (v->waiting)
    return 1;
  if (v->failures == 0 || v->run.delayed || v->request != VMI_REQUEST_NONE)
    return 0;
  v->run.delayed = 1;
  (void) vmi_text_set (&v->failure, "the machine ended soon after its start");
  v->failure_code = HV_E_UNAVAILABLE;
  wait_and_retry (v);
  return 1;
}

/* An ended instance is removed when it is to run again or was stopped on purpose, and shown otherwise. */
static int
after_end (struct vmi_vm *v, struct hv_err *err)
{
  int again = vmi_wanted (v), stopped = v->strategy == VMI_HALTED || v->request == VMI_REQUEST_STOP;
  int r = v->run.cleaned ? 0 : clean (v, err);
  if (r < 0)
    return r;
  if ((!again && !stopped) || (again && is_delayed (v)))
    return DONE;
  if (v->request == VMI_REQUEST_RESTART)
    v->request = v->strategy == VMI_MANUAL ? VMI_REQUEST_START : VMI_REQUEST_NONE;
  vmi_run_clear (&v->run);
  v->ran = !again;
  r = vmi_store_save (v, err);
  return r < 0 ? r : AGAIN;
}

/* The machine runs. It may have been started by an earlier daemon, which did not live to write it down. */
static int
adopt (struct vmi_vm *v, struct hv_err *err)
{
  int r = v->run.exists ? 0 : vmi_new_run (v, err);
  if (r < 0)
    return r;
  vmi_vm_phase (v, VMI_RUNNING);
  v->ran = 1;
  vmi_note (v, 0, "Started", "the machine runs on %s (%s)", v->backend, v->seen.accel != NULL ? v->seen.accel : "?");
  vmi_status_update (v);
  r = vmi_store_save (v, err);
  return r < 0 ? r : AGAIN;
}

static int
start (struct vmi_vm *v, struct hv_err *err)
{
  int r = v->run.exists ? 0 : vmi_new_run (v, err);
  if (r == 0)
    vmi_status_update (v);
  if (r == 0)
    r = vmi_start_run (v, err);
  return r < 0 ? r : AGAIN;
}

/* Is there, not started yet, and not wanted any more. */
static int
give_up (struct vmi_vm *v, struct hv_err *err)
{
  int r = clean (v, err);
  if (r < 0)
    return r;
  vmi_run_clear (&v->run);
  r = vmi_store_save (v, err);
  return r < 0 ? r : AGAIN;
}

/* Whether the backend knows what became of the machine; if not, its next event tells. */
static int
is_settled (const struct vmi_vm *v)
{
  return v->seen.state != HV_VM_STARTING && v->seen.state != HV_VM_UNREACHABLE && v->seen.state != HV_VM_UNMANAGED
         && v->seen.state != HV_VM_UNKNOWN;
}

/* Does one thing. AGAIN: look again; DONE: nothing is left to do until something happens. */
static int
step (struct vmi_vm *v, struct hv_err *err)
{
  int r = vmi_backend_observe (v, err);
  if (r < 0)
    return r;
  int alive = vmi_vm_alive (v), final = vmi_vm_final (v);
  if (v->deleting)
    return tear_down (v, err);
  if (alive && (!v->run.exists || v->run.phase < VMI_RUNNING || final))
    return is_settled (v) ? adopt (v, err) : DONE;
  if (alive)
    return !vmi_wanted (v) || v->request == VMI_REQUEST_RESTART || v->run.stop_ms != 0 ? shut_down (v, err) : DONE;
  if (final)
    return after_end (v, err);
  if (v->run.exists && v->run.phase == VMI_RUNNING)
    return end_run (v, err);
  if (vmi_wanted (v)) /* an event may have woken us before a retry is due */
    return v->waiting ? DONE : start (v, err);
  if (!v->run.exists && has_moved (v))
    return DONE; /* whoever has it now needs what is here */
  return v->run.exists || v->seen.defined ? give_up (v, err) : DONE;
}

/* --- when a step fails --- */

static int
is_lasting (int code)
{
  return code == HV_E_INVALID_ARGUMENT || code == HV_E_UNIMPLEMENTED || code == HV_E_FAILED_PRECONDITION || code == HV_E_NOT_FOUND
         || code == HV_E_PERMISSION_DENIED || code == HV_E_DATA_LOSS;
}

/* What runs once, or by hand, is not tried for ever: an error that will not go away by itself ends it. */
static int
is_over (const struct vmi_vm *v, int code)
{
  int once = v->strategy == VMI_ONCE || v->strategy == VMI_MANUAL;
  return once && !v->deleting && v->run.exists && v->run.phase < VMI_RUNNING && !vmi_vm_alive (v) && is_lasting (code);
}

static void
failed (struct vmi_vm *v, int code, struct hv_err *err)
{
  struct hv_err *save = hv_err_new (v->vmi->host);
  v->failures++;
  (void) vmi_text_set (&v->failure, hv_err_message (err));
  v->failure_code = code;
  vmi_note (v, 1, "SyncFailed", "%s", hv_err_message (err));
  if (is_over (v, code)) {
    vmi_vm_phase (v, VMI_FAILED);
    v->request = VMI_REQUEST_NONE;
    if (vmi_store_save (v, save) == 0 && clean (v, save) == 0) {
      hv_err_free (save);
      return;
    }
  }
  hv_err_free (save);
  wait_and_retry (v);
}

static void
succeeded (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  if (v->waiting || (vmi_vm_final (v) && v->failure != NULL))
    return;
  h->api->timer_set (h, v->retry, 0, 0);
  (void) vmi_text_set (&v->failure, NULL);
  v->failure_code = 0;
  vmi_io_error_follow (v);
  if (v->run.phase != VMI_RUNNING)
    return;
  vmi_agent_follow (v);
}

static void
reconcile (void *self, void *arg)
{
  struct vmi_vm *v = arg;
  struct hv_host *h = v->vmi->host;
  struct hv_err *err = hv_err_new (h);
  int r = AGAIN;
  (void) self;
  while (!v->gone && r != HV_E_CANCELLED && (r == AGAIN || v->dirty)) {
    uint64_t mark = h->api->scope_mark (h);
    v->dirty = 0;
    hv_err_free (err);
    err = hv_err_new (h);
    r = step (v, err);
    if (r < 0 && r != HV_E_CANCELLED && !v->gone)
      failed (v, r, err);
    else if (r == DONE && !v->gone)
      succeeded (v);
    if (!v->gone)
      vmi_status_update (v);
    h->api->scope_release (h, mark);
  }
  hv_err_free (err);
  v->busy = 0;
  vmi_vm_unref (v);
}

void
vmi_reconcile (struct vmi_vm *v)
{
  v->dirty = 1;
  if (v->busy || v->gone || v->broken)
    return;
  v->busy = 1;
  if (hv_go (v->vmi->host, "reconcile", reconcile, vmi_vm_ref (v)) == 0)
    return;
  v->busy = 0;
  vmi_vm_unref (v);
  wait_and_retry (v);
}

void
vmi_reconcile_now (struct vmi_vm *v)
{
  struct hv_host *h = v->vmi->host;
  h->api->timer_set (h, v->retry, 0, 0);
  v->waiting = 0;
  v->failures = 0;
  vmi_reconcile (v);
}
