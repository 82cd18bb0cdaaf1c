/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The head of a saved machine, from a file that anybody may have written. Its checksum is put right where it is told to be, so
 * that what is behind it is reached, too. */
#include "statefile.h"
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check (const uint8_t *data, size_t size)
{
  struct qmp_statefile f;
  uint32_t bytes = 0;
  if (size < QMP_STATEFILE_FIXED || qmp_statefile_peek (data, &bytes, NULL) < 0)
    return;
  if (bytes % QMP_STATEFILE_PAGE != 0 || bytes < QMP_STATEFILE_FIXED)
    abort ();
  if (qmp_statefile_parse (data, size, &f, NULL) < 0)
    return;
  if (size < bytes || f.machine.data != data + QMP_STATEFILE_FIXED || f.machine.size > bytes - QMP_STATEFILE_FIXED)
    abort ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  check (data, size);
  struct qmp_statefile f = { .stream_bytes = size, .machine = { data, size } };
  f.head_bytes = qmp_statefile_head_bytes (size);
  if (f.head_bytes == 0)
    return 0;
  uint8_t *head = malloc (f.head_bytes);
  if (head == NULL)
    return 0;
  qmp_statefile_write (&f, head);
  struct qmp_statefile back;
  if (qmp_statefile_parse (head, f.head_bytes, &back, NULL) < 0 || back.machine.size != size || back.stream_bytes != size
      || (size > 0 && memcmp (back.machine.data, data, size) != 0))
    abort ();
  if (size > 1) { /* one byte is another: that is noticed, wherever it is */
    head[(data[0] << 8 | data[1]) % (QMP_STATEFILE_FIXED + size)] ^= 0x40;
    if (qmp_statefile_parse (head, f.head_bytes, &back, NULL) == 0)
      abort ();
  }
  free (head);
  return 0;
}
