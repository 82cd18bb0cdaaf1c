/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fetch.h"
#include <stdlib.h>
#include <string.h>

#define FAILS_MAX   4u
#define PAUSE_MS    250u
#define PIECE_BYTES (1u << 20)

/* --- into the image --- */

struct push_job {
  struct cd_unpack *unpack;
  const uint8_t *bytes;
  uint64_t n;
  struct hv_err *err;
};

static int
push_job (void *arg)
{
  struct push_job *j = arg;
  return cd_unpack_push (j->unpack, j->bytes, j->n, j->err);
}

static int
push (struct cd_fetch *f, const uint8_t *bytes, uint64_t n, struct hv_err *err)
{
  if (n > f->size - f->done)
    return hv_err_set (err, HV_E_DATA_LOSS, "more than the %llu bytes that it should have came", (unsigned long long) f->size);
  struct push_job j = { f->unpack, bytes, n, err };
  int r = hv_offload (f->host, push_job, &j, err);
  f->done += n;
  return r < 0 ? r : f->progress (f->arg, f->done, err);
}

/* --- from the network --- */

/* A server that does not know ranges begins anew: what is here already is passed over. */
static int
check_answer (struct cd_fetch *f, const struct cd_transfer *t, uint64_t *ret_skip, struct hv_err *err)
{
  *ret_skip = f->done > 0 && t->status == 200 ? f->done : 0;
  if (t->status == 206 && (!t->has_range || t->range_begin != f->done))
    return hv_err_set (err, HV_E_DATA_LOSS, "it answers with another part than it was asked for");
  uint64_t rest = f->size - f->done + *ret_skip;
  if (f->size != UINT64_MAX && t->has_length && t->content_length != rest)
    return hv_err_set (err, HV_E_DATA_LOSS, "it says that %llu bytes come, and there should be %llu",
                       (unsigned long long) t->content_length, (unsigned long long) rest);
  if (f->done == 0 && f->size == UINT64_MAX && t->has_length)
    f->size = t->content_length;
  if (f->etag != NULL && f->done > 0 && (t->etag == NULL || strcmp (t->etag, f->etag) != 0))
    return hv_err_set (err, HV_E_ABORTED, "it was changed while it was fetched");
  if (f->etag == NULL && t->etag != NULL)
    f->etag = strdup (t->etag);
  return 0;
}

/* 0: the connection ended, orderly or not, and *ret_why says how; or an error that another attempt does not mend. */
static int
take_body (struct cd_fetch *f, struct cd_transfer *t, uint64_t skip, struct hv_err *err)
{
  const uint8_t *bytes;
  uint64_t n;
  int r;
  while ((r = cd_transfer_body (t, &bytes, &n, err)) > 0) {
    uint64_t over = n < skip ? n : skip;
    skip -= over;
    int p = n > over ? push (f, bytes + over, n - over, err) : 0;
    if (p < 0)
      return p;
  }
  return r;
}

static int
fetch_once (struct cd_fetch *f, int *ret_mend, struct hv_err *err)
{
  struct cd_ask a = { .url = f->url, .if_none_match = f->done == 0 ? f->if_none_match : NULL, .offset = f->done };
  struct cd_transfer *t = NULL;
  uint64_t skip = 0;
  *ret_mend = 0;
  int r = cd_source_get (f->source, &a, &t, err); /* has made several attempts */
  if (r == 0 && t->status == 304)
    f->not_modified = 1;
  else if (r == 0) {
    r = check_answer (f, t, &skip, err);
    if (r == 0) {
      r = take_body (f, t, skip, err);
      int whole = f->size != UINT64_MAX ? f->done == f->size : r == 0;
      *ret_mend = !whole && (r == 0 || r == HV_E_UNAVAILABLE);
      if (r == 0 && !whole)
        r = hv_err_set (err, HV_E_UNAVAILABLE, "the connection ended after %llu of %llu bytes", (unsigned long long) f->done,
                        (unsigned long long) f->size);
      else if (whole && r == HV_E_UNAVAILABLE)
        r = 0; /* all that was to come has come */
    }
  }
  cd_transfer_free (t);
  return r;
}

static int
fetch_network (struct cd_fetch *f, struct hv_err *err)
{
  for (uint32_t fails = 0;;) {
    uint64_t before = f->done;
    int mend, r = fetch_once (f, &mend, err);
    if (r == 0 || !mend)
      return r;
    fails = f->done > before ? 1 : fails + 1;
    if (fails == FAILS_MAX)
      return r;
    if (hv_sleep (f->host, (uint64_t) PAUSE_MS << fails, NULL) < 0)
      return hv_err_set (err, HV_E_CANCELLED, "cancelled");
  }
}

/* --- from a file --- */

struct read_job {
  int fd;
  uint8_t *buf;
  uint64_t offset;
  int64_t n;
  struct hv_err *err;
};

static int
read_job (void *arg)
{
  struct read_job *j = arg;
  j->n = hv_file_read_some (j->fd, j->buf, PIECE_BYTES, j->offset, j->err);
  return j->n < 0 ? (int) j->n : 0;
}

struct open_job {
  const char *path;
  int fd;
  struct hv_err *err;
};

static int
open_job (void *arg)
{
  struct open_job *j = arg;
  return hv_file_open (j->path, O_RDONLY, &j->fd, NULL, j->err);
}

static int
fetch_file (struct cd_fetch *f, struct hv_err *err)
{
  struct open_job o = { f->path, -1, err };
  HV_CLEAN (hv_free) uint8_t *buf = malloc (PIECE_BYTES);
  int r = buf != NULL ? hv_offload (f->host, open_job, &o, err) : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  HV_CLEAN (hv_fd) int fd = o.fd;
  while (r == 0) {
    struct read_job j = { fd, buf, f->done, 0, err };
    r = hv_offload (f->host, read_job, &j, err);
    if (r < 0 || j.n == 0)
      break;
    r = push (f, buf, (uint64_t) j.n, err);
  }
  return r;
}

int
cd_fetch_run (struct cd_fetch *f, struct hv_err *err)
{
  return f->source != NULL ? fetch_network (f, err) : fetch_file (f, err);
}
