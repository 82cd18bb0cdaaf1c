/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See check.h. The image is hostile: an entry may point anywhere, tables may share clusters or contain themselves. Nothing
 * is followed deeper than table → table → data, so no loop can form; offsets outside of the file are counted, not read. */
#include "check.h"
#include <hvkit/file.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifndef WINDOW_CLUSTERS /* a test makes it tiny */
#define WINDOW_CLUSTERS (16u << 20)
#endif
#define CLUSTERS_MAX       (1ull << 28)
#define STEP_BYTES         (8u << 20) /* read per step */
#define CHUNK_ENTRIES      512u       /* of a first-level table, at a time */
#define BITMAP_ENTRIES_MAX (4u << 20)

#define OFFSET_MASK     0x00fffffffffffe00ull
#define COPIED          (1ull << 63)
#define COMPRESSED      (1ull << 62)
#define L1_RESERVED     0x7f000000000001ffull
#define L2_RESERVED     0x3f000000000001feull
#define L2_EXT_RESERVED 0x3f000000000001ffull
#define TABLE_RESERVED  0x00000000000001ffull
#define BITMAP_RESERVED 0xff000000000001feull

enum table_kind { ACTIVE, SNAPSHOT, BITMAP };
struct table {
  uint64_t offset, entries;
  enum table_kind kind;
};

struct hv_qcow2_check {
  int fd;
  struct hv_qcow2_header h;
  uint64_t file_bytes, cluster, clusters;
  uint8_t *reftable; /* as on disk */
  uint64_t reftable_entries;
  struct table *tables;
  uint64_t table_count, table_room;
  uint64_t snapshot_bytes; /* length of the snapshot table */
  uint8_t *l2, *block;     /* one cluster each */

  uint64_t window, window_size; /* first cluster, clusters */
  uint16_t *expected, *actual;  /* saturating */
  uint64_t table, entry;        /* where the walk is */
  int loaded, first_pass;
  uint64_t read_bytes;
  struct hv_qcow2_findings found;
};

HV_PRINTF (2, 3)
static void
note (struct hv_qcow2_check *c, const char *fmt, ...)
{
  va_list ap;
  if (c->found.count == HV_QCOW2_FINDINGS_MAX)
    return;
  va_start (ap, fmt);
  vsnprintf (c->found.text[c->found.count++], sizeof c->found.text[0], fmt, ap);
  va_end (ap);
}

/* What does not depend on the window is reported in the first pass only. */
static void
structural (struct hv_qcow2_check *c, const char *what, uint64_t entry)
{
  if (!c->first_pass)
    return;
  c->found.errors++;
  note (c, "error: %s (entry %016llx)", what, (unsigned long long) entry);
}

static int
in_window (const struct hv_qcow2_check *c, uint64_t cluster)
{
  return cluster >= c->window && cluster - c->window < c->window_size;
}

/* Counts one reference to each cluster of a range. */
static void
mark (struct hv_qcow2_check *c, uint64_t offset, uint64_t size, const char *what)
{
  uint64_t end, last;
  if (size == 0)
    return;
  if (__builtin_add_overflow (offset, size - 1, &end) || end >> c->h.cluster_bits >= c->clusters) {
    if (c->first_pass) {
      c->found.errors++;
      note (c, "error: %s at %llu lies beyond the end of the file", what, (unsigned long long) offset);
    }
    return;
  }
  last = end >> c->h.cluster_bits;
  for (uint64_t i = offset >> c->h.cluster_bits; i <= last; i++)
    if (in_window (c, i) && c->expected[i - c->window] < UINT16_MAX)
      c->expected[i - c->window]++;
}

/* The part that the file does not have reads as zeros: who refers to it was counted by mark(). */
static int
read_cluster (struct hv_qcow2_check *c, uint64_t offset, uint8_t *to, struct hv_err *err)
{
  int64_t n = hv_file_read_some (c->fd, to, c->cluster, offset, err);
  if (n < 0)
    return (int) n;
  memset (to + n, 0, c->cluster - (uint64_t) n);
  c->read_bytes += c->cluster;
  return 0;
}

/* --- what is known before the walk --- */

static int
add_table (struct hv_qcow2_check *c, uint64_t offset, uint64_t entries, enum table_kind kind, struct hv_err *err)
{
  if (c->table_count == c->table_room) {
    uint64_t room = c->table_room == 0 ? 16 : c->table_room * 2;
    struct table *grown = realloc (c->tables, room * sizeof *grown);
    if (grown == NULL)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    c->tables = grown;
    c->table_room = room;
  }
  c->tables[c->table_count++] = (struct table){ offset, entries, kind };
  return 0;
}

/* A first-level table that a snapshot or bitmap names: taken if it can be one, else an error of the image. */
static int
add_named_table (struct hv_qcow2_check *c, uint64_t offset, uint64_t entries, enum table_kind kind, struct hv_err *err)
{
  uint64_t max = kind == BITMAP ? BITMAP_ENTRIES_MAX : HV_QCOW2_L1_BYTES_MAX / 8, end;
  if (entries == 0)
    return 0;
  if (entries > max || offset % c->cluster != 0 || __builtin_add_overflow (offset, entries * 8, &end) || end > c->file_bytes) {
    structural (c, kind == BITMAP ? "a bitmap's table is out of bounds" : "a snapshot's L1 table is out of bounds", offset);
    return 0;
  }
  return add_table (c, offset, entries, kind, err);
}

static int
list_snapshots (struct hv_qcow2_check *c, struct hv_err *err)
{
  uint64_t at = c->h.snapshots_offset;
  for (uint32_t i = 0; i < c->h.snapshots; i++) {
    uint8_t head[40];
    int rc = hv_file_read (c->fd, head, sizeof head, at, err);
    if (rc == 0)
      rc = add_named_table (c, hv_be64 (head), hv_be32 (head + 8), SNAPSHOT, err);
    if (rc != 0)
      return hv_err_wrap (err, rc, "snapshot table");
    uint64_t id = (uint64_t) head[12] << 8 | head[13], name = (uint64_t) head[14] << 8 | head[15];
    at += (sizeof head + hv_be32 (head + 36) + id + name + 7) & ~7ull; /* ≤ 65536 × 4 GiB: cannot overflow */
  }
  c->snapshot_bytes = at - c->h.snapshots_offset;
  return 0;
}

static int
list_bitmaps (struct hv_qcow2_check *c, struct hv_err *err)
{
  uint64_t at = c->h.bitmaps_offset, end = at + c->h.bitmaps_bytes;
  for (uint32_t i = 0; i < c->h.bitmaps; i++) {
    uint8_t head[24];
    if (end - at < sizeof head) {
      structural (c, "the bitmap directory is too short", i);
      return 0;
    }
    int rc = hv_file_read (c->fd, head, sizeof head, at, err);
    if (rc == 0)
      rc = add_named_table (c, hv_be64 (head), hv_be32 (head + 8), BITMAP, err);
    if (rc != 0)
      return hv_err_wrap (err, rc, "bitmap directory");
    uint64_t size = (sizeof head + hv_be32 (head + 20) + ((uint64_t) head[18] << 8 | head[19]) + 7) & ~7ull;
    at = size > end - at ? end : at + size;
  }
  return 0;
}

static int
read_reftable (struct hv_qcow2_check *c, struct hv_err *err)
{
  uint64_t bytes = (uint64_t) c->h.reftable_clusters << c->h.cluster_bits; /* ≤ 8 MiB, within the file */
  c->reftable = malloc (bytes);
  if (c->reftable == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  c->reftable_entries = bytes / 8;
  return hv_file_read (c->fd, c->reftable, bytes, c->h.reftable_offset, err);
}

static int
prepare (struct hv_qcow2_check *c, struct hv_err *err)
{
  c->window_size = c->clusters < WINDOW_CLUSTERS ? c->clusters : WINDOW_CLUSTERS;
  c->expected = calloc (c->window_size, sizeof *c->expected);
  c->actual = calloc (c->window_size, sizeof *c->actual);
  c->l2 = malloc (c->cluster);
  c->block = malloc (c->cluster);
  if (c->expected == NULL || c->actual == NULL || c->l2 == NULL || c->block == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int rc = read_reftable (c, err);
  if (rc == 0 && c->h.l1_entries != 0)
    rc = add_table (c, c->h.l1_offset, c->h.l1_entries, ACTIVE, err);
  if (rc == 0)
    rc = list_snapshots (c, err);
  if (rc == 0 && c->h.bitmaps != 0)
    rc = list_bitmaps (c, err);
  return rc;
}

int
hv_qcow2_check_new (const struct hv_qcow2_image *image, struct hv_qcow2_check **ret, struct hv_err *err)
{
  struct hv_qcow2_check *c = calloc (1, sizeof *c);
  if (c == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  c->fd = image->fd;
  c->h = image->header;
  c->first_pass = 1;
  c->file_bytes = (uint64_t) image->stat.st_size;
  c->cluster = 1ull << c->h.cluster_bits;
  c->clusters = (c->file_bytes >> c->h.cluster_bits) + (c->file_bytes % c->cluster != 0);
  if (c->h.incompatible & HV_QCOW2_DIRTY)
    note (c, "dirty: it was not closed cleanly, refcounts may be behind");
  int rc = c->clusters > CLUSTERS_MAX
               ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "more than %llu clusters, which is the limit of a check",
                             (unsigned long long) CLUSTERS_MAX)
               : prepare (c, err);
  if (rc == 0)
    *ret = c;
  else
    hv_qcow2_check_free (c);
  return rc;
}

void
hv_qcow2_check_free (struct hv_qcow2_check *c)
{
  if (c == NULL)
    return;
  free (c->reftable);
  free (c->tables);
  free (c->l2);
  free (c->block);
  free (c->expected);
  free (c->actual);
  free (c);
}

/* --- refcounts --- */

static uint64_t
refcount_at (const uint8_t *block, uint64_t i, uint32_t bits)
{
  uint64_t v = 0;
  if (bits < 8)
    return block[i * bits / 8] >> (i * bits % 8) & ((1u << bits) - 1);
  for (uint32_t k = 0; k < bits / 8; k++)
    v = v << 8 | block[i * (bits / 8) + k];
  return v;
}

/* Offset of a refcount block, 0 if there is none that can be read. */
static uint64_t
refblock_offset (const struct hv_qcow2_check *c, uint64_t i)
{
  uint64_t offset = i < c->reftable_entries ? hv_be64 (c->reftable + 8 * i) & OFFSET_MASK : 0;
  return offset % c->cluster == 0 && offset < c->file_bytes ? offset : 0;
}

/* The counts on disk of the window's clusters. */
static int
load_window (struct hv_qcow2_check *c, struct hv_err *err)
{
  uint64_t per_block = c->cluster * 8 / c->h.refcount_bits, end = c->window + c->window_size;
  for (uint64_t i = c->window; i < end;) {
    uint64_t block = i / per_block, stop = (block + 1) * per_block < end ? (block + 1) * per_block : end;
    uint64_t offset = refblock_offset (c, block);
    int rc = offset == 0 ? 0 : read_cluster (c, offset, c->block, err);
    if (rc != 0)
      return hv_err_wrap (err, rc, "refcount block %llu", (unsigned long long) block);
    for (; i < stop; i++) {
      uint64_t v = offset == 0 ? 0 : refcount_at (c->block, i % per_block, c->h.refcount_bits);
      c->actual[i - c->window] = v < UINT16_MAX ? (uint16_t) v : UINT16_MAX;
    }
  }
  return 0;
}

static void
mark_refblocks (struct hv_qcow2_check *c)
{
  for (uint64_t i = 0; i < c->reftable_entries; i++) {
    uint64_t entry = hv_be64 (c->reftable + 8 * i), offset = entry & OFFSET_MASK;
    if (entry & TABLE_RESERVED)
      structural (c, "the refcount table has reserved bits set", entry);
    if (offset == 0)
      continue;
    if (offset % c->cluster != 0)
      structural (c, "a refcount block is not aligned", entry);
    else
      mark (c, offset, c->cluster, "a refcount block");
  }
}

static void
mark_metadata (struct hv_qcow2_check *c)
{
  mark (c, 0, c->cluster, "the header");
  mark (c, c->h.reftable_offset, (uint64_t) c->h.reftable_clusters << c->h.cluster_bits, "the refcount table");
  mark (c, c->h.snapshots_offset, c->snapshot_bytes, "the snapshot table");
  mark (c, c->h.bitmaps_offset, c->h.bitmaps_bytes, "the bitmap directory");
  mark_refblocks (c);
  for (uint64_t i = 0; i < c->table_count; i++)
    mark (c, c->tables[i].offset, c->tables[i].entries * 8, c->tables[i].kind == BITMAP ? "a bitmap's table" : "an L1 table");
}

/* The COPIED bit says that the refcount is exactly one. */
static void
check_copied (struct hv_qcow2_check *c, uint64_t offset, uint64_t entry, const char *what)
{
  uint64_t cluster = offset >> c->h.cluster_bits;
  if (!in_window (c, cluster) || (c->actual[cluster - c->window] == 1) == ((entry & COPIED) != 0))
    return;
  c->found.errors++;
  note (c, "error: %s entry %016llx: its copied bit and refcount %u contradict each other", what, (unsigned long long) entry,
        c->actual[cluster - c->window]);
}

/* --- the walk --- */

static void
walk_compressed (struct hv_qcow2_check *c, uint64_t entry)
{
  unsigned shift = 62 - (c->h.cluster_bits - 8);
  uint64_t offset = entry & ((1ull << shift) - 1);
  uint64_t sectors = ((entry >> shift) & ((1ull << (c->h.cluster_bits - 8)) - 1)) + 1;
  if (entry & COPIED)
    structural (c, "a compressed cluster has its copied bit set", entry);
  mark (c, offset, sectors * 512 - (offset & 511), "a compressed cluster");
}

static void
walk_l2_entry (struct hv_qcow2_check *c, uint64_t entry, uint64_t subclusters, enum table_kind kind)
{
  int extended = (c->h.incompatible & HV_QCOW2_EXTENDED_L2) != 0;
  uint64_t offset = entry & OFFSET_MASK;
  if (entry & COMPRESSED) {
    walk_compressed (c, entry);
    return;
  }
  if (entry & (extended ? L2_EXT_RESERVED : L2_RESERVED))
    structural (c, "an L2 entry has reserved bits set", entry);
  if (extended && (subclusters & subclusters >> 32 & UINT32_MAX) != 0)
    structural (c, "a subcluster is both allocated and zero", entry);
  if (offset == 0)
    return;
  if (offset % c->cluster != 0) {
    structural (c, "a data cluster is not aligned", entry);
    return;
  }
  mark (c, offset, c->cluster, "a data cluster");
  if (kind == ACTIVE)
    check_copied (c, offset, entry, "L2");
}

static int
walk_l2 (struct hv_qcow2_check *c, uint64_t offset, enum table_kind kind, struct hv_err *err)
{
  uint64_t step = c->h.incompatible & HV_QCOW2_EXTENDED_L2 ? 16 : 8;
  int rc = read_cluster (c, offset, c->l2, err);
  if (rc != 0)
    return hv_err_wrap (err, rc, "L2 table");
  for (uint64_t at = 0; at < c->cluster; at += step) {
    uint64_t entry = hv_be64 (c->l2 + at), subclusters = step == 16 ? hv_be64 (c->l2 + at + 8) : 0;
    if (entry != 0 || subclusters != 0)
      walk_l2_entry (c, entry, subclusters, kind);
  }
  return 0;
}

static int
walk_entry (struct hv_qcow2_check *c, uint64_t entry, enum table_kind kind, struct hv_err *err)
{
  uint64_t offset = entry & OFFSET_MASK;
  if (kind == BITMAP && entry & BITMAP_RESERVED)
    structural (c, "a bitmap's table has reserved bits set", entry);
  if (kind != BITMAP && entry & L1_RESERVED)
    structural (c, "an L1 entry has reserved bits set", entry);
  if (offset == 0)
    return 0;
  if (offset % c->cluster != 0) {
    structural (c, kind == BITMAP ? "a bitmap's cluster is not aligned" : "an L2 table is not aligned", entry);
    return 0;
  }
  mark (c, offset, c->cluster, kind == BITMAP ? "a bitmap's cluster" : "an L2 table");
  if (kind == BITMAP || offset >= c->file_bytes)
    return 0;
  if (kind == ACTIVE)
    check_copied (c, offset, entry, "L1");
  return walk_l2 (c, offset, kind, err);
}

/* Goes on in the tables until the step is full. Returns 1 if there is more. */
static int
walk (struct hv_qcow2_check *c, struct hv_err *err)
{
  while (c->table < c->table_count) {
    const struct table *t = &c->tables[c->table];
    uint8_t chunk[8 * CHUNK_ENTRIES];
    uint64_t n = t->entries - c->entry < CHUNK_ENTRIES ? t->entries - c->entry : CHUNK_ENTRIES;
    int rc = hv_file_read (c->fd, chunk, 8 * n, t->offset + 8 * c->entry, err);
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
      rc = walk_entry (c, hv_be64 (chunk + 8 * i), t->kind, err);
      c->entry++;
      if (rc == 0 && c->read_bytes >= STEP_BYTES && c->entry < t->entries)
        return 1;
    }
    if (rc != 0)
      return rc;
    c->read_bytes += 8 * n;
    if (c->entry >= t->entries) {
      c->table++;
      c->entry = 0;
    }
    if (c->read_bytes >= STEP_BYTES)
      return 1;
  }
  return 0;
}

static void
compare (struct hv_qcow2_check *c)
{
  for (uint64_t i = 0; i < c->window_size; i++) {
    uint16_t want = c->expected[i], have = c->actual[i];
    if (want == have)
      continue;
    if (have < want)
      c->found.errors++;
    else
      c->found.leaked_clusters++;
    note (c, "%s: cluster %llu has refcount %u, is referenced %u times", have < want ? "error" : "leak",
          (unsigned long long) (c->window + i), have, want);
  }
}

static int
next_window (struct hv_qcow2_check *c)
{
  c->window += c->window_size;
  if (c->window >= c->clusters)
    return 0;
  if (c->clusters - c->window < c->window_size)
    c->window_size = c->clusters - c->window;
  memset (c->expected, 0, c->window_size * sizeof *c->expected);
  c->table = c->entry = 0;
  c->loaded = c->first_pass = 0;
  return 1;
}

int
hv_qcow2_check_step (struct hv_qcow2_check *c, struct hv_err *err)
{
  c->read_bytes = 0;
  if (!c->loaded) {
    int rc = load_window (c, err);
    if (rc != 0)
      return rc;
    mark_metadata (c);
    c->loaded = 1;
  }
  int rc = walk (c, err);
  if (rc != 0)
    return rc;
  compare (c);
  return next_window (c);
}

void
hv_qcow2_check_progress (const struct hv_qcow2_check *c, uint64_t *ret_done, uint64_t *ret_total)
{
  *ret_done = c->window;
  *ret_total = c->clusters;
  if (c->table_count != 0 && c->table < c->table_count) /* the first table is the active one, mostly the longest */
    *ret_done += c->window_size * (c->table + (c->entry > 0)) / (c->table_count + 1);
  if (*ret_done > *ret_total)
    *ret_done = *ret_total;
}

const struct hv_qcow2_findings *
hv_qcow2_check_findings (const struct hv_qcow2_check *c)
{
  return &c->found;
}
