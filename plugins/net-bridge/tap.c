/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net-bridge.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int
nb_tap_make (const char *name, uint32_t queues, int has_owner, uint32_t owner_uid, struct hv_err *err)
{
  struct ifreq r = { 0 };
  HV_CLEAN (hv_fd) int fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return hv_err_sys (err, errno, "open /dev/net/tun");
  memcpy (r.ifr_name, name, strnlen (name, sizeof r.ifr_name - 1));
  r.ifr_flags = (short) (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0));
  if (ioctl (fd, TUNSETIFF, &r) < 0)
    return hv_err_sys (err, errno, "make tap '%s'", name);
  if (has_owner && ioctl (fd, TUNSETOWNER, (unsigned long) owner_uid) < 0)
    return hv_err_sys (err, errno, "give tap '%s' to uid %u", name, owner_uid);
  if (ioctl (fd, TUNSETPERSIST, 1ul) < 0)
    return hv_err_sys (err, errno, "keep tap '%s'", name);
  return 0;
}
