/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine with one device more or less. */
#include "qmp.h"
#include <string.h>

#define WITH_ONE_MORE(host, list, item) \
  do { \
    void *more_ = hv_alloc ((host), ((uint64_t) (list).count + 1) * sizeof *(list).items); \
    if (more_ == NULL) \
      return HV_E_RESOURCE_EXHAUSTED; \
    if ((list).count > 0) \
      memcpy (more_, (list).items, (list).count * sizeof *(list).items); \
    (list).items = more_; \
    (list).items[(list).count++] = (item); \
  } while (0)

int
qmp_machine_with (struct hv_host *h, struct hv_machine *m, const struct hv_machine_disk *disk, const struct hv_machine_nic *nic)
{
  if (disk != NULL) {
    WITH_ONE_MORE (h, m->disks, *disk);
    m->has.disks = 1;
  }
  if (nic != NULL) {
    WITH_ONE_MORE (h, m->nics, *nic);
    m->has.nics = 1;
  }
  return 0;
}

int
qmp_machine_without (struct hv_machine *m, const char *name)
{
  for (uint32_t i = 0; i < m->disks.count; i++)
    if (strcmp (m->disks.items[i].name, name) == 0) {
      m->disks.count--;
      memmove (&m->disks.items[i], &m->disks.items[i + 1], (m->disks.count - i) * sizeof m->disks.items[0]);
      return 0;
    }
  for (uint32_t i = 0; i < m->nics.count; i++)
    if (strcmp (m->nics.items[i].name, name) == 0) {
      m->nics.count--;
      memmove (&m->nics.items[i], &m->nics.items[i + 1], (m->nics.count - i) * sizeof m->nics.items[0]);
      return 0;
    }
  return HV_E_NOT_FOUND;
}

const struct hv_machine_disk *
qmp_machine_disk (const struct hv_machine *m, const char *name)
{
  for (uint32_t i = 0; i < m->disks.count; i++)
    if (strcmp (m->disks.items[i].name, name) == 0)
      return &m->disks.items[i];
  return NULL;
}

int
qmp_machine_has (const struct hv_machine *m, const char *name)
{
  for (uint32_t i = 0; i < m->nics.count; i++)
    if (strcmp (m->nics.items[i].name, name) == 0)
      return 1;
  return qmp_machine_disk (m, name) != NULL;
}
