/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header reader under arbitrary bytes: whatever it accepts keeps the promises of header.h. The first eight bytes say how long
 * the file claims to be. */
#include "plugins/disk-qcow2/header.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
promise (int kept)
{
  if (!kept)
    abort ();
}

static void
check_promises (const struct hv_qcow2_header *h, uint64_t file_bytes)
{
  uint64_t cluster = 1ull << h->cluster_bits;
  promise (h->version == 2 || h->version == 3);
  promise (cluster >= 512 && cluster <= 2u << 20);
  promise (h->size_bytes <= HV_QCOW2_SIZE_MAX);
  promise (h->l1_entries == 0 || (h->l1_offset % cluster == 0 && h->l1_offset + 8ull * h->l1_entries <= file_bytes));
  promise (h->reftable_offset % cluster == 0 && h->reftable_offset + h->reftable_clusters * cluster <= file_bytes);
  promise (h->backing_size <= HV_QCOW2_BACKING_MAX && strlen (h->backing) == h->backing_size);
  promise (strlen (h->backing_format) < sizeof h->backing_format);
  promise ((h->incompatible & HV_QCOW2_DATA_FILE) == 0 && h->incompatible < 32);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct hv_qcow2_header h;
  uint64_t need = 0;
  if (size < 8)
    return 0;
  uint64_t n = size - 8, file_bytes = hv_be64 (data) % (1ull << 50);
  if (file_bytes < n)
    file_bytes = n;
  int rc = hv_qcow2_header_read (data + 8, n, file_bytes, &h, &need, NULL);
  if (rc == 0)
    check_promises (&h, file_bytes);
  if (rc == 1)
    promise (need > n && need <= file_bytes && need <= 2u << 20);
  return 0;
}
