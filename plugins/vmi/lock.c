/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmi.h"

#define LOCK_MS 600000u

int
vmi_lock (struct vmi *vmi, struct hv_err *err)
{
  struct hv_host *h = vmi->host;
  int r = 0;
  while (vmi->locked && r == 0)
    r = h->api->cond_wait (h, vmi->unlocked, LOCK_MS, err);
  if (r == 0)
    vmi->locked = 1;
  return r;
}

void
vmi_unlock (struct vmi *vmi)
{
  vmi->locked = 0;
  vmi->host->api->cond_wake (vmi->host, vmi->unlocked);
}
