/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map: which parts of a raw image have blocks, as the file system says. */
#include "disk-raw.h"
#include <errno.h>
#include <hvkit/file.h>
#include <unistd.h>

struct map_job {
  const struct hv_disk_map_args *a;
  struct hv_disk_extent *items;
  uint32_t count;
  uint64_t next, end;
  struct hv_err *err;
};

/* From `at` to where data and hole change places, or to the end. */
static int
find (int fd, uint64_t at, uint64_t end, uint64_t *ret_to, int *ret_data, struct hv_err *err)
{
  off_t data = lseek (fd, (off_t) at, SEEK_DATA);
  if (data < 0 && errno != ENXIO)
    return hv_err_sys (err, errno, "look for data");
  *ret_data = data >= 0 && (uint64_t) data == at;
  off_t to = *ret_data ? lseek (fd, (off_t) at, SEEK_HOLE) : data;
  if (*ret_data && to < 0)
    return hv_err_sys (err, errno, "look for a hole");
  *ret_to = to < 0 || (uint64_t) to > end ? end : (uint64_t) to;
  return 0;
}

static int
map_job (void *arg)
{
  struct map_job *j = arg;
  const struct hv_disk_map_args *a = j->a;
  HV_CLEAN (hv_fd) int fd = -1;
  struct stat st;
  uint64_t size = 0;
  int r = hv_disk_raw_open (a->path, a->trusted_raw, O_RDONLY, &fd, &st, j->err);
  if (r == 0 && hv_round_up ((uint64_t) st.st_size, 512, &size) < 0)
    r = hv_err_set (j->err, HV_E_OUT_OF_RANGE, "too large");
  if (r == 0 && a->offset_bytes > size)
    r = hv_err_set (j->err, HV_E_OUT_OF_RANGE, "offset_bytes: beyond its %llu bytes", (unsigned long long) size);
  if (r < 0)
    return r;
  j->end = HV_HAS (a, length_bytes) && a->length_bytes < size - a->offset_bytes ? a->offset_bytes + a->length_bytes : size;
  for (j->next = a->offset_bytes; r == 0 && j->next < j->end && j->count < a->limit;) {
    struct hv_disk_extent *x = &j->items[j->count++];
    uint64_t to = j->end;
    int data = 0;
    r = find (fd, j->next, j->end, &to, &data, j->err);
    HV_SET (x, offset_bytes, j->next);
    HV_SET (x, length_bytes, to - j->next);
    HV_SET (x, present, 1);
    HV_SET (x, zero, !data);
    HV_SET (x, data, (uint8_t) data);
    if (data)
      HV_SET (x, host_offset_bytes, j->next);
    j->next = to;
  }
  return r;
}

int
hv_disk_raw_map (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_raw *d = self;
  const struct hv_disk_map_args *a = args;
  struct hv_disk_map_result *ret = result;
  struct map_job j = { .a = a, .items = hv_alloc (d->host, ((uint64_t) a->limit + 1) * sizeof *j.items), .err = err };
  (void) call;
  if (j.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = hv_disk_raw_allowed (d, a->path, err);
  if (r == 0)
    r = hv_offload (d->host, map_job, &j, err);
  if (r < 0)
    return hv_err_wrap (err, r, "disk '%s'", a->path);
  ret->items.items = j.items;
  ret->items.count = j.count;
  ret->has.items = 1;
  if (j.next < j.end)
    HV_SET (ret, continue_bytes, j.next);
  return 0;
}
