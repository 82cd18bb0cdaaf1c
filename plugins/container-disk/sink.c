/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sink.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define HOLE 4096u
#define PUSH (8u << 20)

int
cd_sink_begin (struct cd_sink *s, const char *path, uint64_t limit, struct hv_err *err)
{
  s->limit = limit;
  s->crc = (uint32_t) crc32_z (0, NULL, 0);
  return hv_file_new_begin (&s->file, path, err);
}

static int
is_zero (const uint8_t *p, uint64_t n)
{
  return p[0] == 0 && memcmp (p, p + 1, n - 1) == 0;
}

/* Up to the next boundary, so that a block that came in two pieces is looked at as two. */
static uint64_t
piece (uint64_t offset, uint64_t n)
{
  uint64_t room = HOLE - offset % HOLE;
  return n < room ? n : room;
}

static int
write_run (struct cd_sink *s, const uint8_t *bytes, uint64_t n, uint64_t offset, struct hv_err *err)
{
  if (n == 0)
    return 0;
  s->data_bytes += n;
  if (s->data_bytes > s->limit)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "the disk is larger than the %llu bytes that are left for it",
                       (unsigned long long) s->limit);
  return hv_file_write (s->file.fd, bytes, n, offset, err);
}

static void
push_out (struct cd_sink *s)
{
  if (s->size - s->pushed < PUSH)
    return;
  (void) sync_file_range (s->file.fd, (off_t) s->pushed, (off_t) (s->size - s->pushed), SYNC_FILE_RANGE_WRITE);
  s->pushed = s->size;
}

int
cd_sink_write (struct cd_sink *s, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  uint64_t run = 0, at = 0; /* bytes that wait to be written, and where they end */
  if (s->size < sizeof s->first)
    memcpy (s->first + s->size, bytes, n < sizeof s->first - s->size ? n : sizeof s->first - s->size);
  s->crc = (uint32_t) crc32_z (s->crc, bytes, n);
  while (at < n) {
    uint64_t some = piece (s->size + at, n - at);
    if (!is_zero (bytes + at, some))
      run += some;
    else {
      int r = write_run (s, bytes + at - run, run, s->size + at - run, err);
      if (r < 0)
        return r;
      run = 0;
    }
    at += some;
  }
  int r = write_run (s, bytes + n - run, run, s->size + n - run, err);
  s->size += n;
  push_out (s);
  return r;
}

int
cd_sink_commit (struct cd_sink *s, struct hv_err *err)
{
  if (ftruncate (s->file.fd, (off_t) s->size) < 0)
    return hv_err_sys (err, errno, "set the length");
  if (fchmod (s->file.fd, 0444) < 0)
    return hv_err_sys (err, errno, "set the mode");
  return hv_file_new_commit (&s->file, err);
}

void
cd_sink_end (struct cd_sink *s)
{
  hv_file_new_end (&s->file);
}
