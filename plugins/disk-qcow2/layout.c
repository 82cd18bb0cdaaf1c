/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A new qcow2 image: where its tables are, and its header. See header.h. */
#include "header.h"
#include <hvkit/file.h>
#include <string.h>

#define EXT_BACKING_FORMAT 0xE2792ACAu

static uint64_t
divide_up (uint64_t v, uint64_t by)
{
  return v / by + (v % by != 0);
}

static uint64_t
l1_bytes_for (uint64_t size, uint64_t cluster)
{
  return 8 * divide_up (size, cluster * (cluster / 8));
}

int
hv_qcow2_layout_make (uint64_t size_bytes, uint64_t cluster_bytes, struct hv_qcow2_layout *ret, struct hv_err *err)
{
  if ((cluster_bytes & (cluster_bytes - 1)) != 0 || cluster_bytes < 512 || cluster_bytes > 2u << 20)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "cluster_size_bytes: not a power of two from 512 to 2097152");
  if (size_bytes > HV_QCOW2_SIZE_MAX)
    return hv_err_set (err, HV_E_OUT_OF_RANGE, "virtual_size_bytes: more than %llu", (unsigned long long) HV_QCOW2_SIZE_MAX);
  if (l1_bytes_for (size_bytes, cluster_bytes) > HV_QCOW2_L1_BYTES_MAX) {
    uint64_t enough = cluster_bytes;
    while (l1_bytes_for (size_bytes, enough) > HV_QCOW2_L1_BYTES_MAX)
      enough *= 2;
    return hv_err_set (err, HV_E_OUT_OF_RANGE, "cluster_size_bytes: too small for an image of this size, which needs at least %llu",
                       (unsigned long long) enough);
  }
  struct hv_qcow2_layout l = { .cluster_bits = (uint32_t) __builtin_ctzll (cluster_bytes), .size_bytes = size_bytes };
  uint64_t per_block = cluster_bytes / 2, was = 0;
  l.l1_entries = (uint32_t) (l1_bytes_for (size_bytes, cluster_bytes) / 8);
  l.l1_clusters = divide_up (8ull * l.l1_entries, cluster_bytes);
  if (l.l1_clusters == 0)
    l.l1_clusters = 1;
  /* the blocks count themselves and the table that lists them: repeat until nothing changes. Both only grow. */
  do {
    was = l.clusters;
    l.clusters = 1 + l.reftable_clusters + l.refblocks + l.l1_clusters;
    l.refblocks = divide_up (l.clusters, per_block);
    l.reftable_clusters = divide_up (8 * l.refblocks, cluster_bytes);
  } while (l.clusters != was);
  *ret = l;
  return 0;
}

static uint32_t
put_extension (uint8_t *to, uint32_t type, const char *text)
{
  uint32_t n = (uint32_t) strlen (text);
  hv_put_be32 (to, type);
  hv_put_be32 (to + 4, n);
  memcpy (to + 8, text, n);
  return 8 + ((n + 7) & ~7u);
}

int
hv_qcow2_header_write (const struct hv_qcow2_layout *l, const char *backing, const char *backing_format, uint8_t *buf,
                       struct hv_err *err)
{
  uint64_t cluster = 1ull << l->cluster_bits, name = backing == NULL ? 0 : strlen (backing);
  uint32_t at = HV_QCOW2_LENGTH;
  memset (buf, 0, HV_QCOW2_HEADER_ROOM);
  memcpy (buf, "QFI\xfb", 4);
  hv_put_be32 (buf + 4, 3);
  hv_put_be32 (buf + 20, l->cluster_bits);
  hv_put_be64 (buf + 24, l->size_bytes);
  hv_put_be32 (buf + 36, l->l1_entries);
  hv_put_be64 (buf + 40, (1 + l->reftable_clusters + l->refblocks) << l->cluster_bits);
  hv_put_be64 (buf + 48, cluster);
  hv_put_be32 (buf + 56, (uint32_t) l->reftable_clusters);
  hv_put_be32 (buf + 96, 4); /* refcounts of 16 bits */
  hv_put_be32 (buf + 100, HV_QCOW2_LENGTH);
  if (backing_format != NULL)
    at += put_extension (buf + at, EXT_BACKING_FORMAT, backing_format);
  at += 8; /* the end of the extensions is eight zero bytes */
  if (name == 0)
    return (int) at;
  if (name > HV_QCOW2_BACKING_MAX || at + name > cluster)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "backing_path: %llu bytes do not fit into the header with this cluster size",
                       (unsigned long long) name);
  hv_put_be64 (buf + 8, at);
  hv_put_be32 (buf + 16, (uint32_t) name);
  memcpy (buf + at, backing, name);
  return (int) (at + name);
}
