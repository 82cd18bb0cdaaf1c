/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages: bytes and descriptors that many may hold at once; the last one frees them. */
#include "core/msg/msg.h"
#include <stdatomic.h>
#include <string.h>

struct hv_msg {
  _Atomic uint32_t refs;
  uint32_t fd_count;
  uint64_t size;
  uint8_t *data; /* inside this allocation, or a writer's buffer that was taken over */
  uint8_t *taken;
  int32_t fds[];
};

static void
close_all (const int32_t *fds, uint32_t n)
{
  for (uint32_t i = 0; i < n; i++)
    (void) close (fds[i]);
}

struct hv_msg *
hv_msg_new (const void *data, uint64_t n, const int32_t *fds, uint32_t fd_count)
{
  uint64_t fd_bytes = fd_count * (uint64_t) sizeof (int32_t), size;
  struct hv_msg *m = NULL;
  if (!__builtin_add_overflow (sizeof *m + fd_bytes, n, &size))
    m = malloc (size);
  if (m == NULL) {
    close_all (fds, fd_count);
    return NULL;
  }
  *m = (struct hv_msg){ .refs = 1, .fd_count = fd_count, .size = n, .data = (uint8_t *) m->fds + fd_bytes };
  if (fd_count > 0)
    memcpy (m->fds, fds, fd_bytes);
  if (n > 0)
    memcpy (m->data, data, n);
  return m;
}

struct hv_msg *
hv_msg_from_pack (struct hv_pack *p)
{
  struct hv_msg *m = p->failed ? NULL : malloc (sizeof *m);
  if (m == NULL) {
    hv_pack_clear (p);
    return NULL;
  }
  *m = (struct hv_msg){ .refs = 1, .size = p->size, .data = p->data, .taken = p->data };
  *p = (struct hv_pack){ 0 };
  return m;
}

struct hv_msg *
hv_msg_ref (struct hv_msg *m)
{
  atomic_fetch_add_explicit (&m->refs, 1, memory_order_relaxed);
  return m;
}

void
hv_msg_unref (struct hv_msg *m)
{
  if (m == NULL || atomic_fetch_sub_explicit (&m->refs, 1, memory_order_acq_rel) != 1)
    return;
  close_all (m->fds, m->fd_count);
  free (m->taken);
  free (m);
}

struct hv_bin
hv_msg_bytes (const struct hv_msg *m)
{
  return (struct hv_bin){ m->data, m->size };
}

const int32_t *
hv_msg_fds (const struct hv_msg *m, uint32_t *ret_count)
{
  *ret_count = m->fd_count;
  return m->fds;
}
