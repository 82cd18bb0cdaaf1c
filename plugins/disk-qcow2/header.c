/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading a qcow2 header, strictly. Whoever wrote these bytes is not trusted: every number is checked against the file and
 * the limits before it is used, every feature that is not known is refused. See header.h. */
#include "header.h"
#include <hvkit/file.h>
#include <stdio.h>
#include <string.h>

#define MAGIC "QFI\xfb"

#define EXT_END            0u
#define EXT_BACKING_FORMAT 0xE2792ACAu
#define EXT_FEATURE_NAMES  0x6803f857u
#define EXT_BITMAPS        0x23852875u
#define EXT_CRYPTO         0x0537be77u
#define EXT_DATA_FILE      0x44415441u

#define FEATURE_NAME_BYTES 48u
#define SNAPSHOT_BYTES_MIN 40u
#define KNOWN_INCOMPATIBLE (HV_QCOW2_DIRTY | HV_QCOW2_CORRUPT | HV_QCOW2_DATA_FILE | HV_QCOW2_COMPRESSION | HV_QCOW2_EXTENDED_L2)

/* What is read from, and what was found on the way. */
struct reader {
  const uint8_t *bytes;
  uint64_t n, file_bytes;
  struct hv_qcow2_header *h;
  uint64_t need;
  uint64_t backing_offset, extensions_end;
  const uint8_t *names; /* feature name table */
  uint64_t names_size;
  char data_file[256]; /* name of an external data file, printable */
  struct hv_err *err;
};

static int
damaged (struct reader *r, const char *what)
{
  return hv_err_set (r->err, HV_E_DATA_LOSS, "damaged qcow2 header: %s", what);
}

static uint64_t
cluster_bytes (const struct reader *r)
{
  return 1ull << r->h->cluster_bits;
}

/* 0 if bytes [offset, offset + size) can be looked at; 1 if the caller has to bring more first. */
static int
want (struct reader *r, uint64_t offset, uint64_t size, const char *what)
{
  uint64_t end;
  if (__builtin_add_overflow (offset, size, &end) || end > r->file_bytes) {
    char text[96];
    snprintf (text, sizeof text, "the file ends within %s", what);
    return damaged (r, text);
  }
  if (end <= r->n)
    return 0;
  r->need = end;
  return 1;
}

/* Copies what people may see of hostile bytes. */
static void
printable (const uint8_t *from, uint64_t n, char *to, size_t room)
{
  size_t used = 0;
  for (uint64_t i = 0; i < n && from[i] != 0 && used + 1 < room; i++)
    to[used++] = from[i] >= 0x20 && from[i] < 0x7f ? (char) from[i] : '?';
  to[used] = '\0';
}

/* --- the fixed part --- */

static int
read_magic (struct reader *r)
{
  if (r->n < 4 || memcmp (r->bytes, MAGIC, 4) != 0) {
    const char *like = hv_file_looks_like (r->bytes, r->n);
    return hv_err_set (r->err, HV_E_INVALID_ARGUMENT, "not a qcow2 image: it looks like %s", like != NULL ? like : "a raw image");
  }
  int rc = want (r, 0, 72, "the header");
  if (rc != 0)
    return rc;
  r->h->version = hv_be32 (r->bytes + 4);
  if (r->h->version != 2 && r->h->version != 3)
    return hv_err_set (r->err, HV_E_UNIMPLEMENTED, "qcow2 version %u: 2 and 3 are known", r->h->version);
  return 0;
}

static int
read_fixed (struct reader *r)
{
  const uint8_t *b = r->bytes;
  struct hv_qcow2_header *h = r->h;
  h->cluster_bits = hv_be32 (b + 20);
  if (h->cluster_bits < HV_QCOW2_CLUSTER_BITS_MIN || h->cluster_bits > HV_QCOW2_CLUSTER_BITS_MAX)
    return damaged (r, "cluster_bits is not in 9..21");
  r->backing_offset = hv_be64 (b + 8);
  h->backing_size = r->backing_offset != 0 ? hv_be32 (b + 16) : 0;
  h->size_bytes = hv_be64 (b + 24);
  h->l1_entries = hv_be32 (b + 36);
  h->l1_offset = hv_be64 (b + 40);
  h->reftable_offset = hv_be64 (b + 48);
  h->reftable_clusters = hv_be32 (b + 56);
  h->snapshots = hv_be32 (b + 60);
  h->snapshots_offset = hv_be64 (b + 64);
  h->refcount_bits = 16;
  h->length = 72;
  uint32_t crypt = hv_be32 (b + 32);
  if (crypt != 0)
    return hv_err_set (r->err, HV_E_UNIMPLEMENTED, "the image is encrypted (%s): decrypt it first",
                       crypt == 1   ? "AES"
                       : crypt == 2 ? "LUKS"
                                    : "unknown method");
  return 0;
}

static int
read_version_3 (struct reader *r)
{
  struct hv_qcow2_header *h = r->h;
  int rc = want (r, 0, 104, "the header");
  if (rc != 0)
    return rc;
  h->incompatible = hv_be64 (r->bytes + 72);
  h->compatible = hv_be64 (r->bytes + 80);
  h->autoclear = hv_be64 (r->bytes + 88);
  uint32_t order = hv_be32 (r->bytes + 96);
  h->length = hv_be32 (r->bytes + 100);
  if (order > 6)
    return damaged (r, "refcount_order is above 6");
  h->refcount_bits = 1u << order;
  if (h->length < 104 || h->length % 8 != 0 || h->length > cluster_bytes (r))
    return damaged (r, "header_length is below 104, not a multiple of 8, or more than a cluster");
  return want (r, 0, h->length, "the header");
}

static int
read_compression (struct reader *r)
{
  uint8_t type = r->h->length > 104 ? r->bytes[104] : 0;
  int flagged = (r->h->incompatible & HV_QCOW2_COMPRESSION) != 0;
  if (type > 1)
    return hv_err_set (r->err, HV_E_UNIMPLEMENTED, "compression type %u: zlib and zstd are known", type);
  if (flagged != (type != 0))
    return damaged (r, "compression type and its feature bit contradict each other");
  r->h->zstd = type;
  return 0;
}

/* --- extensions and the backing name --- */

static int
read_bitmaps (struct reader *r, const uint8_t *data, uint64_t size)
{
  if (!(r->h->autoclear & HV_QCOW2_BITMAPS))
    return 0; /* a writer that did not know them has made them stale: as if they were not there */
  if (size != 24)
    return damaged (r, "the bitmaps extension is not 24 bytes long");
  r->h->bitmaps = hv_be32 (data);
  r->h->bitmaps_bytes = hv_be64 (data + 8);
  r->h->bitmaps_offset = hv_be64 (data + 16);
  if (r->h->bitmaps == 0 || r->h->bitmaps > 65535 || r->h->bitmaps_bytes > 64u << 20)
    return damaged (r, "the bitmaps extension has too many bitmaps, or none");
  if (r->h->bitmaps_offset % cluster_bytes (r) != 0)
    return damaged (r, "the bitmap directory is not aligned to a cluster");
  return 0;
}

static int
read_extension (struct reader *r, uint32_t type, const uint8_t *data, uint64_t size)
{
  switch (type) {
  case EXT_BACKING_FORMAT:
    if (size == 0 || size >= sizeof r->h->backing_format)
      return damaged (r, "the backing format's name is empty or too long");
    printable (data, size, r->h->backing_format, sizeof r->h->backing_format);
    return 0;
  case EXT_FEATURE_NAMES:
    r->names = data;
    r->names_size = size;
    return 0;
  case EXT_BITMAPS:
    return read_bitmaps (r, data, size);
  case EXT_CRYPTO:
    return hv_err_set (r->err, HV_E_UNIMPLEMENTED, "the image is encrypted (LUKS): decrypt it first");
  case EXT_DATA_FILE:
    printable (data, size, r->data_file, sizeof r->data_file);
    return 0;
  default:
    return 0; /* by the format's rules, extensions that are not known change nothing */
  }
}

static int
read_extensions (struct reader *r)
{
  uint64_t at = r->h->length, end = r->extensions_end;
  while (end - at >= 8) {
    int rc = want (r, at, 8, "the header's extensions");
    if (rc != 0)
      return rc;
    uint32_t type = hv_be32 (r->bytes + at);
    uint64_t size = hv_be32 (r->bytes + at + 4), padded = (size + 7) & ~7ull;
    at += 8;
    if (type == EXT_END)
      return 0;
    if (padded > end - at)
      return damaged (r, "an extension is longer than the room for extensions");
    rc = want (r, at, padded, "the header's extensions");
    if (rc == 0)
      rc = read_extension (r, type, r->bytes + at, size);
    if (rc != 0)
      return rc;
    at += padded;
  }
  return 0;
}

/* Valid UTF-8 without control characters; such a name can be shown and sent. */
static int
is_clean_text (const uint8_t *s, uint64_t n)
{
  for (uint64_t i = 0; i < n;) {
    uint8_t c = s[i];
    unsigned more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;
    if (more > n - i - 1 || c < 0x20 || c == 0x7f)
      return 0;
    uint32_t code = more == 0 ? c : c & (0x3fu >> more);
    for (unsigned k = 1; k <= more; k++) {
      if ((s[i + k] & 0xc0) != 0x80)
        return 0;
      code = code << 6 | (s[i + k] & 0x3fu);
    }
    if ((more == 2 && code < 0x800) || (more == 3 && (code < 0x10000 || code > 0x10ffff)) || (code >= 0xd800 && code < 0xe000)
        || (code >= 0x80 && code < 0xa0))
      return 0;
    i += more + 1;
  }
  return 1;
}

int
hv_qcow2_check_backing_name (const char *name, uint64_t n, struct hv_err *err)
{
  if (memchr (name, 0, n) != NULL || !is_clean_text ((const uint8_t *) name, n))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "the base's name is not text: it has a NUL, control characters, or is not UTF-8");
  for (uint64_t i = 0; i < n && name[i] != '/'; i++)
    if (name[i] == ':') {
      /* "json:…", "nbd:…": QEMU would not open a file of that name but do what it says */
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the base's name is '%.*s', which is not a plain file name: refused",
                         (int) n, name);
    }
  return 0;
}

static int
read_backing_name (struct reader *r)
{
  struct hv_qcow2_header *h = r->h;
  if (h->backing_size == 0)
    return 0;
  int rc = want (r, r->backing_offset, h->backing_size, "the base's name");
  if (rc != 0)
    return rc;
  const char *name = (const char *) r->bytes + r->backing_offset;
  rc = hv_qcow2_check_backing_name (name, h->backing_size, r->err);
  if (rc != 0)
    return rc;
  memcpy (h->backing, name, h->backing_size);
  h->backing[h->backing_size] = '\0';
  return 0;
}

/* Extensions lie between the header and the backing name, or the end of the first cluster. */
static int
place_backing_name (struct reader *r)
{
  uint64_t cluster = cluster_bytes (r);
  r->extensions_end = cluster < r->file_bytes ? cluster : r->file_bytes;
  if (r->backing_offset == 0)
    return 0;
  if (r->h->backing_size > HV_QCOW2_BACKING_MAX)
    return damaged (r, "the base's name is longer than 1023 bytes");
  if (r->backing_offset < r->h->length || r->backing_offset > cluster || r->h->backing_size > cluster - r->backing_offset)
    return damaged (r, "the base's name is not in the first cluster");
  if (r->backing_offset < r->extensions_end)
    r->extensions_end = r->backing_offset;
  return 0;
}

/* --- what it all means --- */

static int
refuse_features (struct reader *r)
{
  uint64_t unknown = r->h->incompatible & ~(uint64_t) KNOWN_INCOMPATIBLE;
  char name[FEATURE_NAME_BYTES] = "";
  if (r->h->incompatible & HV_QCOW2_DATA_FILE)
    return hv_err_set (r->err, HV_E_FAILED_PRECONDITION,
                       "the image keeps its data in an external file ('%s'), which is never opened: convert it to one file first",
                       r->data_file);
  if (r->h->autoclear & 2 && r->data_file[0] != '\0')
    return damaged (r, "it names an external data file without having one");
  if (unknown == 0)
    return 0;
  unsigned bit = (unsigned) __builtin_ctzll (unknown);
  for (uint64_t at = 0; at + FEATURE_NAME_BYTES <= r->names_size; at += FEATURE_NAME_BYTES)
    if (r->names[at] == 0 && r->names[at + 1] == bit)
      printable (r->names + at + 2, FEATURE_NAME_BYTES - 2, name, sizeof name);
  return hv_err_set (r->err, HV_E_UNIMPLEMENTED, "the image has the incompatible feature %u '%s', which is not known", bit,
                     name[0] != '\0' ? name : "without a name");
}

/* Whether a table is aligned and lies within the file. */
static int
check_table (struct reader *r, uint64_t offset, uint64_t size, uint64_t align, const char *what)
{
  uint64_t end;
  char text[96];
  if (offset % align != 0)
    snprintf (text, sizeof text, "%s is not aligned", what);
  else if (__builtin_add_overflow (offset, size, &end) || end > r->file_bytes)
    snprintf (text, sizeof text, "%s lies outside of the file", what);
  else
    return 0;
  return damaged (r, text);
}

static int
check_size (struct reader *r)
{
  struct hv_qcow2_header *h = r->h;
  if (h->size_bytes > HV_QCOW2_SIZE_MAX)
    return hv_err_set (r->err, HV_E_FAILED_PRECONDITION, "the image declares a virtual size of %llu bytes; the limit is %llu",
                       (unsigned long long) h->size_bytes, (unsigned long long) HV_QCOW2_SIZE_MAX);
  unsigned entry = h->incompatible & HV_QCOW2_EXTENDED_L2 ? 4 : 3, covers = 2 * h->cluster_bits - entry;
  if (h->incompatible & HV_QCOW2_EXTENDED_L2 && h->cluster_bits < 14)
    return damaged (r, "extended L2 entries need clusters of at least 16 KiB");
  uint64_t l1_needed = (h->size_bytes >> covers) + ((h->size_bytes & ((1ull << covers) - 1)) != 0);
  if (h->l1_entries < l1_needed)
    return damaged (r, "the L1 table is too short for the virtual size");
  if (h->l1_entries > HV_QCOW2_L1_BYTES_MAX / 8)
    return damaged (r, "the L1 table is larger than 32 MiB");
  return 0;
}

static int
check_tables (struct reader *r)
{
  struct hv_qcow2_header *h = r->h;
  uint64_t cluster = cluster_bytes (r), reftable = (uint64_t) h->reftable_clusters << h->cluster_bits;
  int rc = h->l1_entries == 0 ? 0 : check_table (r, h->l1_offset, 8ull * h->l1_entries, cluster, "the L1 table");
  if (rc != 0)
    return rc;
  if (h->reftable_clusters == 0 || reftable > HV_QCOW2_REFTABLE_BYTES_MAX)
    return damaged (r, "the refcount table is missing, or larger than 8 MiB");
  if (h->snapshots > HV_QCOW2_SNAPSHOTS_MAX)
    return damaged (r, "there are more than 65536 snapshots");
  rc = check_table (r, h->reftable_offset, reftable, cluster, "the refcount table");
  if (rc == 0 && h->snapshots != 0)
    rc = check_table (r, h->snapshots_offset, (uint64_t) SNAPSHOT_BYTES_MIN * h->snapshots, 8, "the snapshot table");
  if (rc == 0 && h->bitmaps != 0)
    rc = check_table (r, h->bitmaps_offset, h->bitmaps_bytes, cluster, "the bitmap directory");
  return rc;
}

typedef int step_fn (struct reader *);

int
hv_qcow2_header_read (const uint8_t *first, uint64_t n, uint64_t file_bytes, struct hv_qcow2_header *ret, uint64_t *ret_need,
                      struct hv_err *err)
{
  static step_fn *const v2[]
      = { place_backing_name, read_extensions, refuse_features, read_backing_name, check_size, check_tables };
  static step_fn *const v3[] = { read_version_3, read_compression };
  struct hv_qcow2_header h = { 0 };
  struct reader r = { .bytes = first, .n = n, .file_bytes = file_bytes, .h = &h, .err = err };
  int rc = read_magic (&r);
  if (rc == 0)
    rc = read_fixed (&r);
  for (size_t i = 0; rc == 0 && h.version == 3 && i < sizeof v3 / sizeof v3[0]; i++)
    rc = v3[i](&r);
  for (size_t i = 0; rc == 0 && i < sizeof v2 / sizeof v2[0]; i++)
    rc = v2[i](&r);
  if (rc == 0)
    *ret = h;
  if (rc == 1)
    *ret_need = r.need;
  return rc;
}
