/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "build.h"
#include <fcntl.h>
#include <unistd.h>

static int
takes_direct (const char *path)
{
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_DIRECT);
  return fd >= 0;
}

int
lv_xml_probe_direct (const struct hv_machine *m, uint8_t *ret_direct)
{
  for (uint32_t i = 0; i < m->disks.count; i++) {
    const struct hv_machine_disk *d = &m->disks.items[i];
    ret_direct[i] = (uint8_t) takes_direct (d->path);
    for (uint32_t k = 0; k < d->backing.count && ret_direct[i]; k++)
      ret_direct[i] = (uint8_t) takes_direct (d->backing.items[k].path);
  }
  return 0;
}
