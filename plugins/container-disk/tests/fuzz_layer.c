/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A layer: compressed or not, in pieces, with the disk chosen as for a real image. The first byte says how. */
#include "plugins/container-disk/unpack.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct cd_sink sink = { .file = HV_FILE_NEW_INIT, .limit = 1u << 20 };
  struct cd_pick pick;
  if (size < 2)
    return 0;
  uint8_t how = *data++;
  uint64_t piece = (how >> 3) + 1u;
  size--;
  sink.file.fd = memfd_create ("layer", MFD_CLOEXEC);
  if (sink.file.fd < 0 || cd_pick_begin (&pick, how & 4 ? "/a/b" : NULL, NULL) < 0)
    abort ();
  cd_pick_layer (&pick);
  struct cd_unpack *u = cd_unpack_new (how & 3 ? (how & 3) - 1u : CD_CODEC_GUESS, how & 128 ? NULL : &pick, &sink, NULL, NULL);
  int r = u != NULL ? 0 : -1;
  for (size_t at = 0; r == 0 && at < size; at += piece)
    r = cd_unpack_push (u, data + at, size - at < piece ? size - at : piece, NULL);
  if (r == 0)
    (void) cd_unpack_end (u, NULL, NULL);
  if (strstr (pick.found, "..") != NULL && (strncmp (pick.found, "../", 3) == 0 || strstr (pick.found, "/../") != NULL))
    abort ();
  if (sink.data_bytes > sink.size)
    abort ();
  cd_unpack_free (u);
  cd_pick_clear (&pick);
  cd_sink_end (&sink);
  return 0;
}
