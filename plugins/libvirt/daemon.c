/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The libvirt daemons that the instance speaks with. libvirt opens a machine's tap itself, in the namespace that it runs in; so a
 * machine whose card is in another namespace needs a libvirt there: one of our own for each, started when the first machine wants
 * it and ended when the last has gone. */
#include "libvirt.h"
#include <hvkit/kvm.h>
#include <string.h>

/* --- objects --- */

static void
daemon_clear (struct lv_daemon *d)
{
  lv_notes_free (d);
  lv_pool_stop (d);
  lv_spawn_leave (HV_STEAL (d->spawn));
  lv_caps_forget (d);
}

struct lv_daemon *
lv_daemon_ref (struct lv_daemon *d)
{
  d->refs++;
  return d;
}

void
lv_daemon_unref (struct lv_daemon *d)
{
  if (d == NULL || --d->refs > 0)
    return;
  daemon_clear (d);
  free (d->netns);
  free (d->uri);
  free (d->lost_why);
  free (d);
}

/* The list holds the reference. */
static struct lv_daemon *
daemon_new (struct lv *lv, const char *netns, struct hv_err *err)
{
  struct lv_daemon **more = realloc (lv->daemons, ((size_t) lv->daemon_count + 1) * sizeof (struct lv_daemon *));
  struct lv_daemon *d = more != NULL ? calloc (1, sizeof *d) : NULL;
  if (more != NULL)
    lv->daemons = more;
  if (d != NULL)
    *d = (struct lv_daemon){ .lv = lv, .refs = 1 };
  if (d == NULL || lv_text_set (&d->netns, netns) < 0) {
    lv_daemon_unref (d);
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    return NULL;
  }
  lv->daemons[lv->daemon_count++] = d;
  return d;
}

static void
daemon_remove (struct lv_daemon *d)
{
  struct lv *lv = d->lv;
  for (uint32_t i = 0; i < lv->daemon_count; i++)
    if (lv->daemons[i] == d) {
      lv->daemon_count--;
      memmove (&lv->daemons[i], &lv->daemons[i + 1], (lv->daemon_count - i) * sizeof (struct lv_daemon *));
      lv_daemon_unref (d);
      return;
    }
}

static struct lv_daemon *
daemon_find (const struct lv *lv, const char *netns)
{
  for (uint32_t i = 0; i < lv->daemon_count; i++)
    if (lv->daemons[i]->netns != NULL && strcmp (lv->daemons[i]->netns, netns) == 0)
      return lv->daemons[i];
  return NULL;
}

struct lv_daemon *
lv_daemon_of_netns (struct lv *lv, const char *netns, struct hv_err *err)
{
  struct lv_daemon *d = daemon_find (lv, netns);
  return d != NULL ? d : daemon_new (lv, netns, err);
}

int
lv_any_connected (const struct lv *lv)
{
  for (uint32_t i = 0; i < lv->daemon_count; i++)
    if (lv->daemons[i]->connected)
      return 1;
  return 0;
}

static uint32_t
daemon_vms (const struct lv_daemon *d, int alive)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < d->lv->vm_count; i++)
    n += d->lv->vms[i]->daemon == d && (!alive || lv_vm_alive (d->lv->vms[i]));
  return n;
}

/* --- starting --- */

/* Our own daemon has ended, and is started again: the connection does not have to find out by itself. */
static void
on_ended (void *arg, const char *why)
{
  lv_connection_lost (arg, why);
}

static int
start_process (struct lv_daemon *d, struct hv_err *err)
{
  struct lv *lv = d->lv;
  const struct lv_spawn_config *c = &lv->config->spawn;
  int first = lv->daemons[0] == d;
  HV_CLEAN (hv_free)
  char *program = HV_HAS (c, launcher) ? strdup (c->launcher) : hv_program_beside (&lv_plugin, "hvkit-libvirt-launch");
  if (program == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = c->kvm == LV_SPAWN_KVM_AUTO ? lv_node_kvm (lv, err) : 0;
  struct lv_spawn_how how = { .launcher = program, .netns = d->netns, .own_place = !first, .kvm = lv->kvm_works };
  how.ended = on_ended;
  how.arg = d;
  if (r == 0)
    r = lv_spawn_start (lv->host, c, &how, &d->spawn, err);
  return r < 0 ? hv_err_wrap (err, r, "spawn") : 0;
}

/* Processes, workers, and the ear; the connection is made by conn.c. */
static int
daemon_start (struct lv_daemon *d, struct hv_err *err)
{
  int r = HV_HAS (d->lv->config, spawn) ? start_process (d, err) : 0;
  if (r == 0 && lv_text_set (&d->uri, d->spawn != NULL ? lv_spawn_uri (d->spawn) : d->lv->config->uri) < 0)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r == 0)
    r = lv_pool_start (d, err);
  if (r == 0 && (d->notes = lv_notes_new (d, err)) == NULL)
    r = HV_E_RESOURCE_EXHAUSTED;
  if (r == 0)
    lv_connect_later (d);
  else
    daemon_clear (d);
  return r;
}

int
lv_daemon_first (struct lv *lv, struct hv_err *err)
{
  const struct lv_config *c = lv->config;
  if (HV_HAS (c, spawn) && HV_HAS (c, uri))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "config: uri and spawn: one of them, since spawn brings its own");
  struct lv_daemon *d = daemon_new (lv, HV_HAS (c, spawn) && HV_HAS (&c->spawn, netns) ? c->spawn.netns : NULL, err);
  return d != NULL ? daemon_start (d, err) : HV_E_RESOURCE_EXHAUSTED;
}

static void
start_run (void *self, void *arg)
{
  HV_CLEAN (lv_daemon) struct lv_daemon *d = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (d->lv->host);
  (void) self;
  if (daemon_start (d, err) < 0) {
    hv_log (d->lv->host, HV_LOG_ERROR, "libvirt in network namespace '%s': %s", d->netns, hv_err_message (err));
    (void) lv_text_set (&d->lost_why, hv_err_message (err));
  }
  d->starting = 0;
  d->lv->host->api->cond_wake (d->lv->host, d->lv->changed);
}

void
lv_daemons_start (struct lv *lv)
{
  for (uint32_t i = 1; i < lv->daemon_count; i++) {
    struct lv_daemon *d = lv->daemons[i];
    d->starting = hv_go (lv->host, "start libvirt", start_run, lv_daemon_ref (d)) == 0;
    if (!d->starting)
      lv_daemon_unref (d);
  }
}

/* --- one for a machine --- */

/* The namespace of its cards; NULL: hvkitd's. */
static int
netns_of (const struct hv_machine *m, const char **ret, struct hv_err *err)
{
  *ret = NULL;
  for (uint32_t i = 0; i < m->nics.count; i++) {
    const char *one = HV_HAS (&m->nics.items[i], netns) ? m->nics.items[i].netns : NULL;
    if (i > 0 && (one == NULL ? *ret != NULL : *ret == NULL || strcmp (one, *ret) != 0))
      return hv_err_set (err, HV_E_UNIMPLEMENTED,
                         "machine.nics[%u].netns: on libvirt the cards of a machine are in one network namespace; use the qmp "
                         "backend for more",
                         (unsigned) i);
    *ret = one;
  }
  return 0;
}

static int
wait_settled (struct lv *lv, const char *netns, struct hv_err *err)
{
  struct hv_host *h = lv->host;
  uint64_t end = h->api->now_ms () + lv->config->spawn.ready_ms, now = 0;
  for (struct lv_daemon *d; (d = daemon_find (lv, netns)) != NULL && (d->leaving || d->starting);) {
    now = h->api->now_ms ();
    int r = now < end ? h->api->cond_wait (h, lv->changed, end - now, err) : HV_E_DEADLINE_EXCEEDED;
    if (r < 0 && (r == HV_E_CANCELLED || now >= end))
      return hv_err_set (err, r, "libvirt in network namespace '%s' is being started or ended", netns);
  }
  return 0;
}

static void
end_process (struct lv_daemon *d, int forget, const char *why)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (d->lv->host);
  d->leaving = 1;
  if (d->pool != NULL)
    lv_connection_drop (d, why);
  if (d->spawn != NULL && lv_spawn_end (HV_STEAL (d->spawn), forget, err) < 0)
    hv_log (d->lv->host, HV_LOG_WARNING, "libvirt in network namespace '%s': %s", d->netns, hv_err_message (err));
}

/* A namespace that was removed and made anew under its name is another one, and what runs in the old one does not get out. */
static int
check_place (struct lv_daemon **at, struct hv_err *err)
{
  struct lv_daemon *d = *at;
  struct lv *lv = d->lv;
  if (d->spawn == NULL || lv_spawn_in_place (d->spawn))
    return 0;
  if (daemon_vms (d, 1) > 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "network namespace '%s' was made anew, and machines run in the one that had this name before: stop them",
                       d->netns);
  hv_log (lv->host, HV_LOG_NOTICE, "network namespace '%s' was made anew: its libvirt is started again in it", d->netns);
  end_process (d, 0, "its network namespace was made anew");
  struct lv_daemon *fresh = daemon_new (lv, d->netns, err);
  for (uint32_t i = 0; fresh != NULL && i < lv->vm_count; i++)
    if (lv->vms[i]->daemon == d) {
      lv->vms[i]->daemon = lv_daemon_ref (fresh);
      lv_daemon_unref (d);
    }
  if (fresh != NULL)
    *at = fresh;
  d->leaving = fresh != NULL;
  if (fresh != NULL)
    daemon_remove (d);
  lv->host->api->cond_wake (lv->host, lv->changed);
  return fresh != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
}

static int
make_ready (struct lv_daemon *d, struct hv_err *err)
{
  int r = 0;
  if (d->pool == NULL && !d->starting) {
    d->starting = 1;
    r = daemon_start (d, err);
    d->starting = 0;
  }
  if (r == 0 && !lv_wait_connected (d, d->lv->config->spawn.ready_ms))
    r = hv_err_set (err, HV_E_UNAVAILABLE, "libvirt in network namespace '%s' is not ready after %u ms: %s", d->netns,
                    (unsigned) d->lv->config->spawn.ready_ms, lv_why_lost (d));
  return r;
}

int
lv_daemon_for (struct lv *lv, const struct hv_machine *m, struct lv_daemon **ret, struct hv_err *err)
{
  const char *netns;
  int r = netns_of (m, &netns, err);
  if (r < 0)
    return r;
  struct lv_daemon *d = lv->daemons[0];
  if (netns != NULL && HV_HAS (lv->config, spawn)) {
    r = wait_settled (lv, netns, err);
    d = r == 0 ? lv_daemon_of_netns (lv, netns, err) : NULL;
    if (d == NULL)
      return r < 0 ? r : HV_E_RESOURCE_EXHAUSTED;
    r = check_place (&d, err);
    if (r < 0)
      return r;
  }
  (void) lv_daemon_ref (d);
  d->wanted++;
  r = d == lv->daemons[0] ? 0 : make_ready (d, err);
  if (r < 0)
    lv_daemon_done (d);
  else
    *ret = d;
  return r;
}

void
lv_daemon_done (struct lv_daemon *d)
{
  if (d == NULL)
    return;
  d->wanted--;
  lv_daemon_leave (d);
  lv_daemon_unref (d);
}

/* --- ending --- */

void
lv_daemon_leave (struct lv_daemon *d)
{
  struct lv *lv = d->lv;
  if (d == lv->daemons[0] || d->leaving || d->starting || d->wanted > 0 || daemon_vms (d, 0) > 0)
    return;
  end_process (d, 1, "it is being ended: no machine is left in its network namespace");
  daemon_remove (d);
  lv->host->api->cond_wake (lv->host, lv->changed);
}

void
lv_daemons_free (struct lv *lv)
{
  for (uint32_t i = 0; i < lv->daemon_count; i++) {
    daemon_clear (lv->daemons[i]);
    lv_daemon_unref (lv->daemons[i]);
  }
  free (lv->daemons);
  lv->daemons = NULL;
  lv->daemon_count = 0;
}
