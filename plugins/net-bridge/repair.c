/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attachments taken back: because somebody asked, or because what was begun was cut off. */
#include "net-bridge.h"
#include <string.h>

struct undo_job {
  struct nb *nb;
  const struct nb_document *d;
  int keeps_arp;
  struct hv_err *err;
};

static int
undo_job (void *arg)
{
  struct undo_job *j = arg;
  return nb_bridge_undo (j->nb->host, j->d, j->keeps_arp, j->err);
}

/* Another attachment of the same namespace has set it, or found it set by this one. */
static int
others_need_arp (struct nb *nb, const struct nb_attachment *a)
{
  for (uint32_t i = 0; i < nb->count; i++) {
    const struct nb_attachment *b = nb->all[i];
    if (b != a && b->d.netns_ino == a->d.netns_ino && b->d.netns_dev == a->d.netns_dev && b->d.arp_ignore >= 0)
      return 1;
  }
  return 0;
}

int
nb_take_back (struct nb *nb, struct nb_attachment *a, struct hv_err *err)
{
  struct undo_job j = { nb, &a->d, others_need_arp (nb, a), err };
  int r = a->d.step == NB_DETACHING ? 0 : nb_record_step (nb, a, NB_DETACHING, err);
  hv_step (nb->host, "detach.recorded");
  if (r == 0)
    r = nb_server_stop (nb, a, err);
  if (r == 0)
    r = nb_in_netns (nb, &a->d, undo_job, &j, err);
  if (r == HV_E_NOT_FOUND) { /* the namespace is gone, and with it everything in it */
    hv_log (nb->host, HV_LOG_NOTICE, "attachment of VM '%s', card '%s': %s; nothing is left to undo", a->d.vm, a->d.nic,
            hv_err_message (err));
    r = 0;
  }
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
