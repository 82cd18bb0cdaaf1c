/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tap devices are made by a net/1 provider; here they are only opened, in the network namespace they live in, and handed
 * to QEMU as descriptors, so that it needs no right to open any itself. */
#include "qmp.h"
#include <errno.h>
#include <fcntl.h>
#include <hvkit/netns.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

struct taps_job {
  const struct hv_machine *machine;
  int32_t *fds;
  uint32_t count; /* opened so far */
  const struct hv_machine_nic *nic;
  struct hv_err *err;
};

static int
tap_open (struct taps_job *j, const struct hv_machine_nic *n)
{
  struct ifreq r = { 0 };
  HV_CLEAN (hv_fd) int fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return hv_err_sys (j->err, errno, "open /dev/net/tun");
  if (if_nametoindex (n->tap) == 0) /* TUNSETIFF would make one */
    return hv_err_set (j->err, HV_E_NOT_FOUND, "tap '%s' does not exist", n->tap);
  memcpy (r.ifr_name, n->tap, strnlen (n->tap, sizeof r.ifr_name - 1));
  r.ifr_flags = (short) (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (n->queues > 1 ? IFF_MULTI_QUEUE : 0));
  if (ioctl (fd, TUNSETIFF, &r) < 0)
    return hv_err_sys (j->err, errno, "tap '%s'", n->tap);
  j->fds[j->count++] = HV_STEAL_FD (fd);
  return 0;
}

static int
nic_open (void *arg)
{
  struct taps_job *j = arg;
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < j->nic->queues; i++)
    r = tap_open (j, j->nic);
  return r < 0 ? hv_err_wrap (j->err, r, "network card '%s'", j->nic->name) : 0;
}

static int
taps_run (void *arg)
{
  struct taps_job *j = arg;
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < j->machine->nics.count; i++) {
    j->nic = &j->machine->nics.items[i];
    r = hv_netns_visit (HV_HAS (j->nic, netns) ? j->nic->netns : NULL, nic_open, j, j->err);
  }
  while (r < 0 && j->count > 0)
    (void) close (j->fds[--j->count]);
  return r;
}

int
qmp_taps_open (struct qmp *q, const struct hv_machine *m, int32_t *fds, struct hv_err *err)
{
  struct taps_job j = { .machine = m, .fds = fds, .err = err };
  return m->nics.count == 0 ? 0 : hv_offload (q->host, taps_run, &j, err);
}
