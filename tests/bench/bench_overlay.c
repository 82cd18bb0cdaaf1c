/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An overlay as disk-qcow2 makes it, without bus and socket: bench_overlay BASE OVERLAY makes it durably, twice, removing it each
 * time, and prints how many nanoseconds the second took: a daemon's first overlay is not its thousandth. */
#include "plugins/disk-qcow2/image.h"
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static uint64_t
now_ns (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000000000u + (uint64_t) t.tv_nsec;
}

int
main (int argc, char **argv)
{
  struct hv_qcow2_image made;
  if (argc != 3)
    return 2;
  const struct hv_qcow2_new what = { .path = argv[2], .backing = argv[1], .cluster_bytes = 65536 };
  uint64_t took = 0;
  for (int i = 0; i < 2; i++) {
    uint64_t begin = now_ns ();
    if (hv_qcow2_image_make (&what, &made, NULL) < 0)
      return 1;
    took = now_ns () - begin;
    if (unlink (argv[2]) != 0)
      return 1;
  }
  printf ("%" PRIu64 "\n", took);
  return 0;
}
