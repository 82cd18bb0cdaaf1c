/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attachments taken back: because somebody asked, or because what was begun was cut off. */
#include "net-bridge.h"
#include <string.h>

struct undo_job {
  struct nb *nb;
  const struct nb_document *d;
  const char *sysctls; /* to be set back */
  int drop_bridge;     /* of the node: nobody else is on it */
  struct hv_err *err;
};

static int
undo_rules (const struct undo_job *j, struct nb_nft *n)
{
  if (!j->d->guarded && j->d->kind != NB_MASQUERADE)
    return 0;
  nb_guard_remove (j->d, n);
  if (j->d->kind == NB_MASQUERADE)
    nb_masquerade_nat_remove (j->d, n);
  return nb_nft_commit (n, "take the rules of its frames away", j->err);
}

static int
undo_job (void *arg)
{
  struct undo_job *j = arg;
  struct hv_host *h = j->nb->host;
  struct nb_nft n;
  nb_nft_begin (&n);
  int r = undo_rules (j, &n);
  hv_step (h, "detach.unruled");
  if (r == 0)
    r = j->d->kind == NB_NETWORK      ? nb_network_undo (h, j->d, j->drop_bridge, j->err)
        : j->d->kind == NB_MASQUERADE ? nb_masquerade_undo (h, j->d, j->err)
                                      : nb_bridge_undo (h, j->d, j->err);
  if (r == 0)
    r = nb_sysctl_restore (j->sysctls, j->err);
  hv_step (h, "detach.undone");
  nb_nft_end (&n);
  return r;
}

/* A bridge of the node that was made here goes with the last that is on it. */
static int
is_last_on_bridge (struct nb *nb, const struct nb_attachment *a)
{
  for (uint32_t i = 0; i < nb->count; i++)
    if (nb->all[i] != a && nb->all[i]->d.kind == NB_NETWORK && strcmp (nb->all[i]->d.bridge, a->d.bridge) == 0)
      return 0;
  return a->d.bridge_made;
}

static int
undo (struct nb *nb, struct nb_attachment *a, struct hv_err *err)
{
  struct undo_job j = { nb, &a->d, nb_sysctl_due (nb, a, 0), is_last_on_bridge (nb, a), err };
  int r = nb_server_stop (nb, a, err);
  if (r < 0)
    return r;
  if (HV_HAS (&a->d, uplink))
    return nb_pod_undo (nb, a, err); /* the namespace goes, and all in it */
  r = nb_in_netns (nb, &a->d, undo_job, &j, err);
  if (r != HV_E_NOT_FOUND)
    return r;
  hv_log (nb->host, HV_LOG_NOTICE, "attachment of VM '%s', card '%s': %s; nothing is left to undo", a->d.vm, a->d.nic,
          hv_err_message (err));
  return 0;
}

int
nb_take_back (struct nb *nb, struct nb_attachment *a, struct hv_err *err)
{
  int r = a->d.step == NB_DETACHING ? 0 : nb_record_step (nb, a, NB_DETACHING, err);
  hv_step (nb->host, "detach.recorded");
  if (r == 0)
    r = undo (nb, a, err);
  if (r == 0)
    r = nb_record_delete (nb, a, err);
  hv_step (nb->host, "detach.done");
  return r;
}

/* Nobody was told that it is there: what was begun is taken back, and whoever asked for it asks again. */
int
nb_repair (struct nb *nb, struct hv_err *err)
{
  for (uint32_t i = 0; i < nb->count;) {
    struct nb_attachment *a = nb->all[i];
    if (strcmp (a->d.boot, nb->host->api->info (nb->host)->boot_id) != 0) {
      int r = nb_record_delete (nb, a, err); /* nothing of it outlived the node's restart */
      if (r < 0)
        return r;
      continue;
    }
    if (a->d.step == NB_ATTACHED) {
      a->server = NB_SERVER_LOST;
      nb_server_want (nb, a);
      i++;
      continue;
    }
    hv_log (nb->host, HV_LOG_NOTICE, "VM '%s', card '%s' was cut off while %s: it is taken back", a->d.vm, a->d.nic,
            nb_step_words[a->d.step]);
    int r = nb_take_back (nb, a, err);
    if (r == HV_E_CANCELLED)
      return r;
    if (r < 0) {
      hv_log (nb->host, HV_LOG_ERROR, "VM '%s', card '%s' cannot be taken back: %s", a->d.vm, a->d.nic, hv_err_message (err));
      i++; /* it stays on record; detach tries again */
    }
  }
  return 0;
}
