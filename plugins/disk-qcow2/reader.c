/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reader.h"
#include <errno.h>
#include <hvkit/file.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define OFFSET_MASK 0x00fffffffffffe00ull
#define COMPRESSED  (1ull << 62)
#define READ_ZERO   1ull /* of a standard entry: reads as zeros */
#define SUBCLUSTERS 32u

struct layer {
  const char *path;
  int is_qcow2, fd;
  uint64_t size, file_bytes; /* that the guest sees; of the file */
  struct hv_qcow2_header h;
  uint64_t *l1; /* host byte order */
  /* the second-level table that was read last */
  uint8_t *l2;
  uint64_t l2_at; /* its number; UINT64_MAX: none */
  /* the compressed cluster that was read last */
  uint8_t *plain, *packed;
  uint64_t plain_at;
};

struct hv_qcow2_reader {
  struct layer *layers;
  uint32_t count;
};

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static int
damaged (struct hv_err *err, const char *what, uint64_t offset)
{
  return hv_err_set (err, HV_E_DATA_LOSS, "damaged: %s at guest offset %llu", what, (unsigned long long) offset);
}

/* --- opening --- */

static uint64_t
cluster_of (const struct layer *l)
{
  return 1ull << l->h.cluster_bits;
}

static uint32_t
entry_bytes (const struct layer *l)
{
  return l->h.incompatible & HV_QCOW2_EXTENDED_L2 ? 16 : 8;
}

static int
load_l1 (struct layer *l, struct hv_err *err)
{
  uint64_t bytes = 8ull * l->h.l1_entries, per_table = cluster_of (l) / entry_bytes (l) * cluster_of (l);
  l->l1 = malloc (bytes + 8);
  l->l2 = malloc (cluster_of (l));
  if (l->l1 == NULL || l->l2 == NULL)
    return no_memory (err);
  if (l->size / per_table + (l->size % per_table != 0) > l->h.l1_entries)
    return hv_err_set (err, HV_E_DATA_LOSS, "damaged: its first table is too short for its size");
  int r = hv_file_read (l->fd, l->l1, bytes, l->h.l1_offset, err);
  for (uint32_t i = 0; r == 0 && i < l->h.l1_entries; i++)
    l->l1[i] = hv_be64 ((const uint8_t *) &l->l1[i]);
  return r;
}

static int
open_qcow2 (struct layer *l, struct hv_err *err)
{
  struct hv_qcow2_image image;
  int r = hv_qcow2_image_open (l->path, &image, err);
  l->fd = image.fd;
  l->h = image.header;
  l->size = image.header.size_bytes;
  l->file_bytes = (uint64_t) image.stat.st_size;
  l->l2_at = l->plain_at = UINT64_MAX;
  if (r == 0 && l->h.incompatible & HV_QCOW2_CORRUPT)
    r = hv_err_set (err, HV_E_DATA_LOSS, "is marked corrupt");
  return r == 0 ? load_l1 (l, err) : r;
}

static int
open_raw (struct layer *l, int trusted, struct hv_err *err)
{
  struct stat st;
  uint8_t first[HV_FILE_LOOK_BYTES];
  int r = hv_file_open (l->path, O_RDONLY, &l->fd, &st, err);
  int64_t n = r == 0 && !trusted ? hv_file_read_some (l->fd, first, sizeof first, 0, err) : 0;
  if (r < 0 || n < 0)
    return r < 0 ? r : (int) n;
  const char *like = n > 0 ? hv_file_looks_like (first, (uint64_t) n) : NULL;
  if (like != NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "given as raw, but it looks like %s: write that as its format, or trusted_raw: true", like);
  l->file_bytes = (uint64_t) st.st_size;
  return hv_round_up (l->file_bytes, 512, &l->size);
}

int
hv_qcow2_sources (const char *path, const struct hv_machine_layer *below, uint32_t below_count, struct hv_qcow2_source *ret,
                  struct hv_err *err)
{
  if (below_count >= HV_QCOW2_LAYERS_MAX)
    return hv_err_set (err, HV_E_OUT_OF_RANGE, "backing: more than %u layers", HV_QCOW2_LAYERS_MAX - 1);
  ret[0] = (struct hv_qcow2_source){ path, 1, 0 };
  for (uint32_t i = 0; i < below_count; i++)
    ret[i + 1] = (struct hv_qcow2_source){ below[i].path, below[i].format == HV_DISK_QCOW2, 1 };
  return 0;
}

int
hv_qcow2_reader_open (const struct hv_qcow2_source *sources, uint32_t count, int alone, struct hv_qcow2_reader **ret,
                      struct hv_err *err)
{
  struct hv_qcow2_reader *r = calloc (1, sizeof *r);
  int rc = r != NULL && (r->layers = calloc (count, sizeof *r->layers)) != NULL ? 0 : no_memory (err);
  for (uint32_t i = 0; rc == 0 && i < count; i++) {
    struct layer *l = &r->layers[r->count++];
    *l = (struct layer){ .path = sources[i].path, .is_qcow2 = sources[i].is_qcow2, .fd = -1 };
    rc = l->is_qcow2 ? open_qcow2 (l, err) : open_raw (l, sources[i].trusted_raw, err);
    int below = i + 1 < count, wants = l->is_qcow2 && l->h.backing_size > 0;
    if (rc == 0 && !alone && below != wants)
      rc = hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       below ? "stands alone, and a layer below it was given"
                             : "has a base, '%.200s', which was not given (backing)",
                       l->h.backing);
    if (rc == 0 && !alone && below && l->h.backing_format[0] != '\0'
        && strcmp (l->h.backing_format, sources[i + 1].is_qcow2 ? "qcow2" : "raw") != 0)
      rc = hv_err_set (err, HV_E_FAILED_PRECONDITION, "says that its base is %s, and it was given as %s", l->h.backing_format,
                       sources[i + 1].is_qcow2 ? "qcow2" : "raw");
    if (rc < 0)
      rc = i > 0 ? hv_err_wrap (err, rc, "layer '%s'", l->path) : rc;
  }
  if (rc < 0)
    hv_qcow2_reader_close (r);
  else
    *ret = r;
  return rc;
}

void
hv_qcow2_reader_close (struct hv_qcow2_reader *r)
{
  for (uint32_t i = 0; r != NULL && i < r->count; i++) {
    struct layer *l = &r->layers[i];
    if (l->fd >= 0)
      (void) close (l->fd);
    free (l->l1);
    free (l->l2);
    free (l->plain);
    free (l->packed);
  }
  if (r != NULL)
    free (r->layers);
  free (r);
}

uint64_t
hv_qcow2_reader_size (const struct hv_qcow2_reader *r)
{
  return r->layers[0].size;
}

int
hv_qcow2_reader_fd (const struct hv_qcow2_reader *r, uint32_t layer)
{
  return r->layers[layer].fd;
}

const struct hv_qcow2_header *
hv_qcow2_reader_header (const struct hv_qcow2_reader *r)
{
  return &r->layers[0].h;
}

int
hv_qcow2_reader_has_base (const struct hv_qcow2_reader *r)
{
  return r->layers[0].is_qcow2 && r->layers[0].h.backing_size > 0;
}

/* --- finding --- */

/* Where one layer says that something is; `has`: the layer has it, as data or as zeros. */
struct piece {
  uint64_t length, host;
  uint8_t has, zero, data, compressed;
};

static int
load_l2 (struct layer *l, uint64_t number, uint64_t offset, const uint8_t **ret, struct hv_err *err)
{
  uint64_t at = l->l1[number] & OFFSET_MASK;
  *ret = NULL;
  if (at == 0)
    return 0;
  if (at % cluster_of (l) != 0 || at >= l->file_bytes)
    return damaged (err, "a table that is not in the file", offset);
  if (l->l2_at != number) {
    l->l2_at = UINT64_MAX;
    int64_t n = hv_file_read_some (l->fd, l->l2, cluster_of (l), at, err);
    if (n < 0)
      return (int) n;
    memset (l->l2 + n, 0, cluster_of (l) - (uint64_t) n);
    l->l2_at = number;
  }
  *ret = l->l2;
  return 0;
}

/* The part of a cluster from `within` on that is of one kind. */
static void
cut_subclusters (const struct layer *l, uint64_t bitmap, uint64_t within, struct piece *p)
{
  uint64_t each = cluster_of (l) / SUBCLUSTERS;
  uint32_t first = (uint32_t) (within / each), i = first;
#define KIND(k) ((bitmap >> (k) &1) | (bitmap >> ((k) + SUBCLUSTERS) & 1) << 1)
  while (i < SUBCLUSTERS && KIND (i) == KIND (first))
    i++;
  p->length = (uint64_t) i * each - within;
  p->zero = KIND (first) >> 1 != 0;
  p->data = (KIND (first) & 1) != 0;
  p->has = p->zero || p->data;
#undef KIND
}

static int
read_entry (const struct layer *l, const uint8_t *l2, uint64_t index, uint64_t offset, struct piece *p, struct hv_err *err)
{
  uint64_t entry = hv_be64 (l2 + index * entry_bytes (l)), within = offset & (cluster_of (l) - 1);
  int extended = entry_bytes (l) == 16;
  *p = (struct piece){ .length = cluster_of (l) - within };
  if (entry & COMPRESSED) {
    p->has = p->data = p->compressed = 1;
    p->host = entry;
    return 0;
  }
  uint64_t at = entry & OFFSET_MASK;
  if (at % cluster_of (l) != 0)
    return damaged (err, "an entry that is not on a cluster", offset);
  if (extended)
    cut_subclusters (l, hv_be64 (l2 + index * 16 + 8), within, p);
  else {
    p->zero = (entry & READ_ZERO) != 0;
    p->data = at != 0;
    p->has = p->zero || p->data;
  }
  if (p->data && at >= l->file_bytes)
    return damaged (err, "an entry that is not in the file", offset);
  p->host = at + within;
  return 0;
}

static int
same_kind (const struct piece *a, const struct piece *b)
{
  if (a->has != b->has || a->zero != b->zero || a->data != b->data || a->compressed || b->compressed)
    return 0;
  return !a->data || a->host + a->length == b->host;
}

/* As far as one table goes and it is of one kind. */
static int
find_qcow2 (struct layer *l, uint64_t offset, struct piece *ret, struct hv_err *err)
{
  const uint8_t *l2;
  uint64_t per_table = cluster_of (l) / entry_bytes (l), cluster = offset >> l->h.cluster_bits, number = cluster / per_table;
  int r = load_l2 (l, number, offset, &l2, err);
  if (r < 0)
    return r;
  if (l2 == NULL) {
    *ret = (struct piece){ .length = ((number + 1) * per_table << l->h.cluster_bits) - offset };
    return 0;
  }
  r = read_entry (l, l2, cluster % per_table, offset, ret, err);
  for (uint64_t i = cluster + 1; r == 0 && i / per_table == number && i << l->h.cluster_bits < l->size; i++) {
    struct piece more;
    if (offset + ret->length != i << l->h.cluster_bits)
      break; /* it ended within its cluster */
    r = read_entry (l, l2, i % per_table, i << l->h.cluster_bits, &more, NULL);
    if (r < 0 || !same_kind (ret, &more))
      return 0; /* what is wrong there is said when it is looked at */
    ret->length += more.length;
  }
  return r;
}

static int
find_raw (struct layer *l, uint64_t offset, struct piece *ret, struct hv_err *err)
{
  *ret = (struct piece){ .has = 1, .host = offset, .length = l->size - offset };
  if (offset >= l->file_bytes) {
    ret->zero = 1;
    return 0;
  }
  off_t data = lseek (l->fd, (off_t) offset, SEEK_DATA);
  if (data < 0 && errno != ENXIO)
    return hv_err_sys (err, errno, "look for data");
  if (data < 0 || (uint64_t) data > offset) {
    ret->zero = 1;
    ret->length = (data < 0 ? l->size : (uint64_t) data) - offset;
    return 0;
  }
  off_t hole = lseek (l->fd, (off_t) offset, SEEK_HOLE);
  if (hole < 0)
    return hv_err_sys (err, errno, "look for a hole");
  ret->data = 1;
  ret->length = (uint64_t) hole - offset;
  return 0;
}

static int
find_in (struct layer *l, uint64_t offset, struct piece *ret, struct hv_err *err)
{
  if (offset >= l->size) { /* a base that is shorter than what is on top of it */
    *ret = (struct piece){ .has = 1, .zero = 1, .length = UINT64_MAX };
    return 0;
  }
  int r = l->is_qcow2 ? find_qcow2 (l, offset, ret, err) : find_raw (l, offset, ret, err);
  if (r == 0 && ret->length > l->size - offset)
    ret->length = l->size - offset;
  return r;
}

int
hv_qcow2_reader_find (struct hv_qcow2_reader *r, uint64_t offset, int alone, struct hv_qcow2_extent *ret, struct hv_err *err)
{
  uint64_t room = r->layers[0].size - offset;
  for (uint32_t i = 0; i < (alone ? 1 : r->count); i++) {
    struct piece p;
    int rc = find_in (&r->layers[i], offset, &p, err);
    if (rc < 0)
      return i > 0 ? hv_err_wrap (err, rc, "layer '%s'", r->layers[i].path) : rc;
    if (p.length < room)
      room = p.length;
    if (!p.has)
      continue;
    *ret = (struct hv_qcow2_extent){
      .length = room, .depth = i, .zero = p.zero, .data = p.data, .compressed = p.compressed, .host_offset = p.host
    };
    return 0;
  }
  *ret = (struct hv_qcow2_extent){ .length = room, .depth = r->count, .zero = 1 };
  return 0;
}

/* --- reading --- */

static int
inflate_cluster (const struct layer *l, const uint8_t *from, uint64_t n, uint8_t *to)
{
  if (l->h.zstd) {
    ZSTD_DCtx *z = ZSTD_createDCtx ();
    ZSTD_inBuffer in = { from, n, 0 };
    ZSTD_outBuffer out = { to, cluster_of (l), 0 };
    size_t left = 1;
    while (z != NULL && out.pos < out.size && left != 0 && in.pos < in.size) {
      left = ZSTD_decompressStream (z, &out, &in);
      if (ZSTD_isError (left))
        break;
    }
    (void) ZSTD_freeDCtx (z);
    return out.pos == out.size ? 0 : -1;
  }
  z_stream z = { .next_in = (Bytef *) (uintptr_t) from, .avail_in = (uInt) n, .next_out = to, .avail_out = (uInt) cluster_of (l) };
  if (inflateInit2 (&z, -12) != Z_OK)
    return -1;
  int rc = inflate (&z, Z_FINISH);
  (void) inflateEnd (&z);
  return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : -1;
}

/* A cluster of its own; its data ends somewhere in its last sector, which the next one may share. */
static int
unpack (struct layer *l, uint64_t entry, uint64_t offset, struct hv_err *err)
{
  uint32_t bits = 62 - (l->h.cluster_bits - 8);
  uint64_t host = entry & ((1ull << bits) - 1), sectors = (entry >> bits & ((1ull << (l->h.cluster_bits - 8)) - 1)) + 1;
  uint64_t n = sectors * 512 - (host & 511), cluster = offset >> l->h.cluster_bits;
  if (l->plain_at == cluster)
    return 0;
  if (l->plain == NULL)
    l->plain = malloc (cluster_of (l));
  if (l->packed == NULL)
    l->packed = malloc (2 * cluster_of (l) + 512);
  if (l->plain == NULL || l->packed == NULL)
    return no_memory (err);
  if (host >= l->file_bytes || n > 2 * cluster_of (l) + 512)
    return damaged (err, "compressed data that is not in the file", offset);
  l->plain_at = UINT64_MAX;
  int64_t got = hv_file_read_some (l->fd, l->packed, n, host, err);
  if (got < 0)
    return (int) got;
  if (inflate_cluster (l, l->packed, (uint64_t) got, l->plain) < 0)
    return damaged (err, "compressed data", offset);
  l->plain_at = cluster;
  return 0;
}

int
hv_qcow2_reader_read (struct hv_qcow2_reader *r, const struct hv_qcow2_extent *e, uint64_t offset, uint8_t *to, uint64_t n,
                      struct hv_err *err)
{
  struct layer *l = e->depth < r->count ? &r->layers[e->depth] : NULL;
  if (e->zero || l == NULL) {
    memset (to, 0, n);
    return 0;
  }
  if (e->compressed) {
    int rc = unpack (l, e->host_offset, offset, err);
    if (rc == 0)
      memcpy (to, l->plain + (offset & (cluster_of (l) - 1)), n);
    return rc;
  }
  int64_t got = hv_file_read_some (l->fd, to, n, e->host_offset, err);
  if (got < 0)
    return (int) got;
  memset (to + got, 0, n - (uint64_t) got); /* the end of the file may be within the last cluster */
  return 0;
}
