/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map: where each part of a guest's disk is in the image. */
#include "disk-qcow2.h"
#include "reader.h"
#include <string.h>

struct map_job {
  const struct hv_disk_map_args *a;
  struct hv_disk_extent *items;
  uint32_t count;
  uint64_t next, end; /* where it stopped, where it was to */
  struct hv_err *err;
};

static int
goes_on (const struct hv_disk_extent *x, const struct hv_disk_extent *y)
{
  return x->present == y->present && x->zero == y->zero && x->data == y->data && !x->compressed && !y->compressed
         && (!x->has.host_offset_bytes || x->host_offset_bytes + x->length_bytes == y->host_offset_bytes);
}

static void
add (struct map_job *j, const struct hv_qcow2_extent *e, uint64_t offset, int has_base)
{
  struct hv_disk_extent x = { 0 };
  HV_SET (&x, offset_bytes, offset);
  HV_SET (&x, length_bytes, e->length < j->end - offset ? e->length : j->end - offset);
  HV_SET (&x, present, e->depth == 0);
  HV_SET (&x, zero, e->zero && (e->depth == 0 || !has_base));
  HV_SET (&x, data, e->data);
  if (e->compressed)
    HV_SET (&x, compressed, 1);
  else if (e->data)
    HV_SET (&x, host_offset_bytes, e->host_offset);
  if (j->count > 0 && goes_on (&j->items[j->count - 1], &x))
    j->items[j->count - 1].length_bytes += x.length_bytes;
  else
    j->items[j->count++] = x;
}

static int
map_job (void *arg)
{
  struct map_job *j = arg;
  const struct hv_disk_map_args *a = j->a;
  struct hv_qcow2_source top = { .path = a->path, .is_qcow2 = 1 };
  struct hv_qcow2_reader *r = NULL;
  int rc = hv_qcow2_reader_open (&top, 1, 1, &r, j->err);
  if (rc < 0)
    return rc;
  uint64_t size = hv_qcow2_reader_size (r);
  j->end = HV_HAS (a, length_bytes) && a->length_bytes < size - a->offset_bytes ? a->offset_bytes + a->length_bytes : size;
  if (a->offset_bytes > size)
    rc = hv_err_set (j->err, HV_E_OUT_OF_RANGE, "offset_bytes: beyond its %llu bytes", (unsigned long long) size);
  for (j->next = a->offset_bytes; rc == 0 && j->next < j->end && j->count <= a->limit;) {
    struct hv_qcow2_extent e;
    rc = hv_qcow2_reader_find (r, j->next, 1, &e, j->err);
    if (rc == 0) {
      add (j, &e, j->next, hv_qcow2_reader_has_base (r));
      j->next += e.length;
    }
  }
  hv_qcow2_reader_close (r);
  return rc;
}

int
hv_disk_qcow2_map (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct disk_qcow2 *d = self;
  const struct hv_disk_map_args *a = args;
  struct hv_disk_map_result *ret = result;
  struct map_job j = { .a = a, .items = hv_alloc (d->host, ((uint64_t) a->limit + 2) * sizeof *j.items), .err = err };
  (void) call;
  if (j.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = a->trusted_raw
              ? hv_err_set (err, HV_E_INVALID_ARGUMENT, "trusted_raw: '%s' is given as qcow2; for raw, call disk-raw", a->path)
              : hv_disk_qcow2_allowed (d, a->path, err);
  if (r == 0)
    r = hv_offload (d->host, map_job, &j, err);
  if (r < 0)
    return hv_err_wrap (err, r, "disk '%s'", a->path);
  if (j.count > a->limit) { /* the one too many may go on, so it is told the next time */
    j.count = a->limit;
    j.next = j.items[j.count].offset_bytes;
  }
  ret->items.items = j.items;
  ret->items.count = j.count;
  ret->has.items = 1;
  if (j.next < j.end)
    HV_SET (ret, continue_bytes, j.next);
  return 0;
}
