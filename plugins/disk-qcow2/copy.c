/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "copy.h"
#include <errno.h>
#include <hvkit/file.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW     (2u << 20) /* read and written at a time; the largest cluster there is */
#define STEP_BYTES (64u << 20)
#define PUSH_BYTES (8u << 20)
#define HOLE       4096u
#define COPIED     (1ull << 63)
#define READ_ZERO  1ull

struct hv_qcow2_copy {
  struct hv_qcow2_reader *reader;
  const struct hv_qcow2_target *target;
  struct hv_file_new file;
  uint64_t size, at, written, pushed;
  uint8_t *window, *below; /* of the base; NULL: there is none */
  /* a qcow2 target: clusters are given out one after the other, each once */
  struct hv_qcow2_layout layout;
  uint64_t next;  /* cluster to give out */
  uint64_t *l1;   /* as on disk */
  uint8_t *l2;    /* as on disk */
  uint64_t l2_at; /* its number */
  int l2_used;
};

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static int
is_zero (const uint8_t *p, uint64_t n)
{
  return p[0] == 0 && memcmp (p, p + 1, n - 1) == 0;
}

/* Told to be written out early, so that the sync at the end has little left to do. */
static int
write_out (struct hv_qcow2_copy *c, const uint8_t *bytes, uint64_t n, uint64_t offset, struct hv_err *err)
{
  int r = n > 0 ? hv_file_write (c->file.fd, bytes, n, offset, err) : 0;
  c->written += n;
  if (r == 0 && c->written - c->pushed >= PUSH_BYTES) {
    (void) sync_file_range (c->file.fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    c->pushed = c->written;
  }
  return r;
}

/* --- raw --- */

static int
put_raw (struct hv_qcow2_copy *c, uint64_t n, struct hv_err *err)
{
  uint64_t run = 0, at = 0;
  for (; at < n; at += HOLE) {
    uint64_t some = n - at < HOLE ? n - at : HOLE;
    if (!is_zero (c->window + at, some)) {
      run += some;
      continue;
    }
    int r = write_out (c, c->window + at - run, run, c->at + at - run, err);
    if (r < 0)
      return r;
    run = 0;
  }
  return write_out (c, c->window + n - run, run, c->at + n - run, err);
}

/* --- qcow2 --- */

static uint64_t
cluster_of (const struct hv_qcow2_copy *c)
{
  return 1ull << c->layout.cluster_bits;
}

static int
flush_l2 (struct hv_qcow2_copy *c, struct hv_err *err)
{
  if (!c->l2_used)
    return 0;
  uint64_t place = c->next++ << c->layout.cluster_bits;
  hv_put_be64 ((uint8_t *) &c->l1[c->l2_at], place | COPIED);
  c->l2_used = 0;
  int r = write_out (c, c->l2, cluster_of (c), place, err);
  memset (c->l2, 0, cluster_of (c));
  return r;
}

static int
put_clusters (struct hv_qcow2_copy *c, const uint8_t *bytes, uint64_t count, uint64_t first, struct hv_err *err)
{
  uint64_t bits = c->layout.cluster_bits, per_table = cluster_of (c) / 8, place = c->next << bits;
  for (uint64_t i = 0; i < count; i++)
    hv_put_be64 (c->l2 + (first + i) % per_table * 8, (c->next++ << bits) | COPIED);
  c->l2_used = 1;
  return write_out (c, bytes, count << bits, place, err);
}

/* What a cluster of the window needs. */
enum need { NOTHING, ZEROS, DATA };

static enum need
need_of (const struct hv_qcow2_copy *c, uint64_t i)
{
  uint64_t at = i << c->layout.cluster_bits;
  int zero = is_zero (c->window + at, cluster_of (c));
  if (c->below == NULL)
    return zero ? NOTHING : DATA;
  return memcmp (c->window + at, c->below + at, cluster_of (c)) == 0 ? NOTHING : zero ? ZEROS : DATA;
}

static void
put_zeros (struct hv_qcow2_copy *c, uint64_t cluster)
{
  hv_put_be64 (c->l2 + cluster % (cluster_of (c) / 8) * 8, READ_ZERO);
  c->l2_used = 1;
}

static int
put_qcow2 (struct hv_qcow2_copy *c, uint64_t n, struct hv_err *err)
{
  uint64_t bits = c->layout.cluster_bits, cluster = cluster_of (c), per_table = cluster / 8, run = 0;
  uint64_t count = (n + cluster - 1) >> bits, first = c->at >> bits;
  memset (c->window + n, 0, (count << bits) - n);
  if (c->below != NULL)
    memset (c->below + n, 0, (count << bits) - n);
  for (uint64_t i = 0; i <= count; i++) {
    enum need need = i < count ? need_of (c, i) : NOTHING;
    int ends = need != DATA || (first + i) / per_table != c->l2_at;
    int r = ends && run > 0 ? put_clusters (c, c->window + ((i - run) << bits), run, first + i - run, err) : 0;
    run = ends ? 0 : run;
    if (r == 0 && i < count && (first + i) / per_table != c->l2_at) {
      r = flush_l2 (c, err);
      c->l2_at = (first + i) / per_table;
    }
    if (r < 0)
      return r;
    if (need == ZEROS)
      put_zeros (c, first + i);
    run += need == DATA;
  }
  return 0;
}

/* Every cluster that was given out has one reference; the counts themselves come last, and count themselves. */
static int
put_refcounts (struct hv_qcow2_copy *c, uint8_t *header, struct hv_err *err)
{
  uint64_t bits = c->layout.cluster_bits, cluster = cluster_of (c), per_block = cluster / 2, blocks = 0, table = 0, total = 0, was;
  do {
    was = total;
    total = c->next + blocks + table;
    blocks = (total + per_block - 1) / per_block;
    table = (8 * blocks + cluster - 1) >> bits;
  } while (total != was);
  HV_CLEAN (hv_free) uint8_t *counts = calloc (blocks, cluster);
  HV_CLEAN (hv_free) uint8_t *entries = calloc (table, cluster);
  if (counts == NULL || entries == NULL)
    return no_memory (err);
  for (uint64_t i = 0; i < total; i++)
    hv_put_be16 (counts + 2 * i, 1);
  for (uint64_t i = 0; i < blocks; i++)
    hv_put_be64 (entries + 8 * i, (c->next + i) << bits);
  hv_put_be64 (header + 48, (c->next + blocks) << bits);
  hv_put_be32 (header + 56, (uint32_t) table);
  int r = hv_file_write (c->file.fd, counts, blocks << bits, c->next << bits, err);
  if (r == 0)
    r = hv_file_write (c->file.fd, entries, table << bits, (c->next + blocks) << bits, err);
  if (r == 0 && ftruncate (c->file.fd, (off_t) (total << bits)) != 0)
    r = hv_err_sys (err, errno, "set the length");
  return r;
}

static int
finish_qcow2 (struct hv_qcow2_copy *c, struct hv_err *err)
{
  uint8_t header[HV_QCOW2_HEADER_ROOM];
  const struct hv_qcow2_target *t = c->target;
  int n = hv_qcow2_header_write (&c->layout, t->base_path,
                                 t->base == NULL    ? NULL
                                 : t->base_is_qcow2 ? "qcow2"
                                                    : "raw",
                                 header, err);
  int r = n < 0 ? n : flush_l2 (c, err);
  hv_put_be64 (header + 40, cluster_of (c)); /* the first table is behind the header */
  if (r == 0)
    r = hv_file_write (c->file.fd, c->l1, c->layout.l1_clusters << c->layout.cluster_bits, cluster_of (c), err);
  if (r == 0)
    r = put_refcounts (c, header, err);
  return r == 0 ? hv_file_write (c->file.fd, header, (uint64_t) n, 0, err) : r;
}

static int
begin_qcow2 (struct hv_qcow2_copy *c, struct hv_err *err)
{
  int r = hv_qcow2_layout_make (c->size, c->target->cluster_bytes, &c->layout, err);
  if (r < 0)
    return r;
  c->next = 1 + c->layout.l1_clusters;
  c->l1 = calloc (c->layout.l1_clusters, cluster_of (c));
  c->l2 = calloc (1, cluster_of (c));
  return c->l1 != NULL && c->l2 != NULL ? 0 : no_memory (err);
}

/* --- both --- */

int
hv_qcow2_copy_new (struct hv_qcow2_reader *reader, const struct hv_qcow2_target *t, struct hv_qcow2_copy **ret, struct hv_err *err)
{
  struct hv_qcow2_copy *c = calloc (1, sizeof *c);
  if (c == NULL)
    return no_memory (err);
  *c = (struct hv_qcow2_copy){ .reader = reader, .target = t, .file = HV_FILE_NEW_INIT, .size = hv_qcow2_reader_size (reader) };
  c->window = malloc (WINDOW);
  c->below = t->base != NULL ? malloc (WINDOW) : NULL;
  int r = c->window != NULL && (c->below != NULL || t->base == NULL) ? 0 : no_memory (err);
  if (r == 0 && t->is_qcow2)
    r = begin_qcow2 (c, err);
  if (r == 0)
    r = t->replaces ? hv_file_new_begin_over (&c->file, t->path, err) : hv_file_new_begin (&c->file, t->path, err);
  if (r == 0 && !t->is_qcow2 && ftruncate (c->file.fd, (off_t) c->size) != 0)
    r = hv_err_sys (err, errno, "set the length");
  if (r < 0)
    hv_qcow2_copy_free (c);
  else
    *ret = c;
  return r;
}

void
hv_qcow2_copy_free (struct hv_qcow2_copy *c)
{
  if (c == NULL)
    return;
  hv_file_new_end (&c->file);
  free (c->window);
  free (c->below);
  free (c->l1);
  free (c->l2);
  free (c);
}

uint64_t
hv_qcow2_copy_done (const struct hv_qcow2_copy *c)
{
  return c->at;
}

/* What a base has, zeros beyond its end. */
static int
fill_below (struct hv_qcow2_copy *c, uint64_t n, struct hv_err *err)
{
  uint64_t size = hv_qcow2_reader_size (c->target->base);
  memset (c->below, 0, n);
  for (uint64_t at = 0; at < n && c->at + at < size;) {
    struct hv_qcow2_extent e;
    int r = hv_qcow2_reader_find (c->target->base, c->at + at, 0, &e, err);
    uint64_t some = r == 0 && e.length < n - at ? e.length : n - at;
    if (r == 0 && !e.zero)
      r = hv_qcow2_reader_read (c->target->base, &e, c->at + at, c->below + at, some, err);
    if (r < 0)
      return r;
    at += some;
  }
  return 0;
}

/* Nothing has to be written for it: it is zero, or of a layer that the base has too. */
static int
is_passed_over (const struct hv_qcow2_copy *c, const struct hv_qcow2_extent *e, uint64_t n)
{
  if (e->length < n)
    return 0;
  return c->below == NULL ? e->zero : c->target->shared > 0 && e->depth >= c->target->shared;
}

/* One window: 1 where there is something in it that may have to be written. What is passed over from end to end is not read. */
static int
fill (struct hv_qcow2_copy *c, uint64_t *ret_n, struct hv_err *err)
{
  uint64_t n = c->size - c->at < WINDOW ? c->size - c->at : WINDOW;
  int any = c->below != NULL;
  for (uint64_t at = 0; at < n;) {
    struct hv_qcow2_extent e;
    int r = hv_qcow2_reader_find (c->reader, c->at + at, 0, &e, err);
    if (r < 0)
      return r;
    if (at == 0 && is_passed_over (c, &e, n)) {
      *ret_n = e.length < c->size - c->at ? e.length - e.length % WINDOW : e.length;
      return 0;
    }
    uint64_t some = e.length < n - at ? e.length : n - at;
    r = hv_qcow2_reader_read (c->reader, &e, c->at + at, c->window + at, some, err);
    if (r < 0)
      return r;
    any |= !e.zero;
    at += some;
  }
  *ret_n = n;
  if (c->below != NULL) {
    int r = fill_below (c, n, err);
    if (r < 0)
      return r;
  }
  return any;
}

int
hv_qcow2_copy_step (struct hv_qcow2_copy *c, struct hv_err *err)
{
  for (uint64_t copied = 0; c->at < c->size && copied < STEP_BYTES;) {
    uint64_t n;
    int r = fill (c, &n, err);
    if (r > 0) {
      r = c->target->is_qcow2 ? put_qcow2 (c, n, err) : put_raw (c, n, err);
      copied += n;
    }
    if (r < 0)
      return r;
    c->at += n;
  }
  return c->at < c->size;
}

int
hv_qcow2_copy_finish (struct hv_qcow2_copy *c, int old_fd, struct hv_err *err)
{
  int r = c->target->is_qcow2 ? finish_qcow2 (c, err) : 0;
  if (r == 0 && c->target->has_owner)
    r = hv_file_new_chown (&c->file, c->target->owner_uid, err);
  if (r < 0)
    return r;
  return c->target->replaces ? hv_file_new_replace (&c->file, old_fd, err) : hv_file_new_commit (&c->file, err);
}
