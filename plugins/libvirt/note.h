/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thing that libvirt told. The meaning of x, y, z and the texts goes by the kind; they are what the callback got, in its order.
 */
#ifndef LV_NOTE_H
#define LV_NOTE_H
#include "libvirt.h"

#define LV_EVENTS      27              /* libvirt 9's: its own sentinel is not for callers */
#define LV_NOTE_CLOSED (LV_EVENTS + 1) /* the connection has ended; x: VIR_CONNECT_CLOSE_REASON_* */

struct lv_note {
  struct lv_note *next;
  int kind; /* VIR_DOMAIN_EVENT_ID_* or LV_NOTE_* */
  unsigned char uuid[VIR_UUID_BUFLEN];
  char name[200];
  long long x, y, z;
  char *a, *b, *c, *d;
};
#endif
