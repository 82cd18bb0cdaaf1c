/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole image of arbitrary bytes, walked as a guest's disk: every extent is inside the disk, and its bytes can be read or are refused. */
#include "plugins/disk-qcow2/reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEPS 300u
#define PIECE 65536u

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
walk (struct hv_qcow2_reader *r, int alone)
{
  static uint8_t bytes[PIECE];
  uint64_t end = hv_qcow2_reader_size (r), at = 0;
  for (uint32_t i = 0; i < STEPS && at < end; i++) {
    struct hv_qcow2_extent e;
    if (hv_qcow2_reader_find (r, at, alone, &e, NULL) < 0) {
      at += 512; /* damaged here; perhaps not there */
      continue;
    }
    if (e.length == 0 || e.length > end - at)
      abort ();
    if (!alone)
      (void) hv_qcow2_reader_read (r, &e, at, bytes, e.length < PIECE ? e.length : PIECE, NULL);
    at += e.length;
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static char path[64];
  struct hv_qcow2_reader *r = NULL;
  if (path[0] == '\0')
    (void) snprintf (path, sizeof path, "/tmp/hvkit-fuzz-%d.qcow2", (int) getpid ());
  FILE *f = fopen (path, "we");
  if (f == NULL)
    abort ();
  (void) fwrite (data, 1, size, f);
  (void) fclose (f);
  const struct hv_qcow2_source source = { path, 1, 0 };
  if (hv_qcow2_reader_open (&source, 1, 1, &r, NULL) == 0) {
    walk (r, 1);
    if (!hv_qcow2_reader_has_base (r))
      walk (r, 0);
    hv_qcow2_reader_close (r);
  }
  (void) unlink (path);
  return 0;
}
