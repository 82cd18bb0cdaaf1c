/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The disk image that is being made: sparse where it is zero, nameless until it is whole. Blocks on the disk: for an offload. */
#ifndef CD_SINK_H
#define CD_SINK_H
#include <hvkit/file.h>

struct cd_sink {
  struct hv_file_new file;
  uint64_t size;       /* bytes so far */
  uint64_t data_bytes; /* of them not in holes */
  uint64_t pushed;     /* told to be written out, so that the sync at the end has little left to do */
  uint64_t limit;      /* of data_bytes */
  uint32_t crc;        /* CRC-32 of all of it, KubeVirt's checksum */
  uint8_t first[HV_FILE_LOOK_BYTES];
};
#define CD_SINK_INIT \
  { \
    .file = HV_FILE_NEW_INIT \
  }

int cd_sink_begin (struct cd_sink *, const char *path, uint64_t limit, struct hv_err *);
int cd_sink_write (struct cd_sink *, const uint8_t *bytes, uint64_t n, struct hv_err *); /* RESOURCE_EXHAUSTED: beyond the limit */
/* Mode 0444, durable, and named. */
int cd_sink_commit (struct cd_sink *, struct hv_err *);
void cd_sink_end (struct cd_sink *); /* what was not committed is gone */
#endif
