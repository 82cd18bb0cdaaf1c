/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The qcow2 header: reading one from hostile bytes, and laying out a new image. Pure functions over bytes: no file is opened
 * here. Numbers on disk are big-endian. */
#ifndef HV_QCOW2_HEADER_H
#define HV_QCOW2_HEADER_H
#include <hvkit/err.h>

/* Incompatible features: who does not know one must not touch the image. */
#define HV_QCOW2_DIRTY         (1u << 0)
#define HV_QCOW2_CORRUPT       (1u << 1)
#define HV_QCOW2_DATA_FILE     (1u << 2)
#define HV_QCOW2_COMPRESSION   (1u << 3)
#define HV_QCOW2_EXTENDED_L2   (1u << 4)
#define HV_QCOW2_LAZY_REFCOUNT (1u << 0) /* compatible feature */
#define HV_QCOW2_BITMAPS       (1u << 0) /* autoclear feature */

/* Limits; QEMU's where it has one. */
#define HV_QCOW2_CLUSTER_BITS_MIN   9u
#define HV_QCOW2_CLUSTER_BITS_MAX   21u
#define HV_QCOW2_SIZE_MAX           (64ull << 40) /* virtual bytes, disk/1's limit */
#define HV_QCOW2_L1_BYTES_MAX       (32u << 20)
#define HV_QCOW2_REFTABLE_BYTES_MAX (8u << 20)
#define HV_QCOW2_SNAPSHOTS_MAX      65536u
#define HV_QCOW2_BACKING_MAX        1023u
#define HV_QCOW2_LENGTH             112u /* of the headers written here */

struct hv_qcow2_header {
  uint32_t version, cluster_bits;
  uint64_t size_bytes;
  uint64_t l1_offset, reftable_offset, snapshots_offset;
  uint32_t l1_entries, reftable_clusters, snapshots;
  uint32_t refcount_bits;
  uint64_t incompatible, compatible, autoclear;
  uint32_t length, zstd;                  /* zstd: compressed clusters are zstd, not zlib */
  uint64_t bitmaps_offset, bitmaps_bytes; /* bitmap directory; 0: none */
  uint32_t bitmaps;
  uint32_t backing_size;                  /* bytes of `backing`; 0: no base */
  char backing[HV_QCOW2_BACKING_MAX + 1]; /* UTF-8, no control characters */
  char backing_format[16];                /* "" if the header does not say */
};

/* Reads a header. `first` are the first n bytes of a file of file_bytes bytes. Returns 0; or 1 if it needs more of them, *ret_need
 * of them, never more than one cluster (2 MiB); or a negative HV_E_*: INVALID_ARGUMENT     it is not qcow2 DATA_LOSS damaged: a
 * rule of the format is broken, a table lies outside of the file UNIMPLEMENTED        a version or feature that is not known,
 * encryption FAILED_PRECONDITION  sound, but refused: an external data file, a base that is not a plain file name, too large */
int hv_qcow2_header_read (const uint8_t *first, uint64_t n, uint64_t file_bytes, struct hv_qcow2_header *ret, uint64_t *ret_need,
                          struct hv_err *err);

/* Where everything of a new image is: header, refcount table, refcount blocks, L1 table; then nothing. Offsets in clusters. */
struct hv_qcow2_layout {
  uint32_t cluster_bits, l1_entries;
  uint64_t size_bytes;
  uint64_t reftable_clusters, refblocks, l1_clusters, clusters;
};

/* OUT_OF_RANGE if the size cannot be had with this cluster size (the text names one that does). */
int hv_qcow2_layout_make (uint64_t size_bytes, uint64_t cluster_bytes, struct hv_qcow2_layout *ret, struct hv_err *err);

/* Writes the header cluster's used bytes: version 3, extensions, backing name. `buf` has room for HV_QCOW2_HEADER_ROOM bytes.
 * backing and backing_format are both NULL or both not. Returns the number of bytes, or INVALID_ARGUMENT if the name does not fit.
 */
#define HV_QCOW2_HEADER_ROOM 2048u
int hv_qcow2_header_write (const struct hv_qcow2_layout *, const char *backing, const char *backing_format, uint8_t *buf,
                           struct hv_err *err);

/* Whether a name is one that QEMU would take for a file and nothing else. FAILED_PRECONDITION says why not. */
int hv_qcow2_check_backing_name (const char *name, uint64_t n, struct hv_err *err);

static inline uint32_t
hv_be32 (const uint8_t *p)
{
  return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}
static inline uint64_t
hv_be64 (const uint8_t *p)
{
  return (uint64_t) hv_be32 (p) << 32 | hv_be32 (p + 4);
}
static inline void
hv_put_be16 (uint8_t *p, uint16_t v)
{
  p[0] = (uint8_t) (v >> 8);
  p[1] = (uint8_t) v;
}
static inline void
hv_put_be32 (uint8_t *p, uint32_t v)
{
  hv_put_be16 (p, (uint16_t) (v >> 16));
  hv_put_be16 (p + 2, (uint16_t) v);
}
static inline void
hv_put_be64 (uint8_t *p, uint64_t v)
{
  hv_put_be32 (p, (uint32_t) (v >> 32));
  hv_put_be32 (p + 4, (uint32_t) v);
}
#endif
