/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The head of a file that save writes: whose machine it is and what it was made of, before the stream that QEMU wrote. Pure:
 * bytes in, bytes out. All numbers are big-endian.
 *
 *    0  magic, 8 bytes          8  version, u32          12  where the stream begins, u32, a multiple of 4096
 *   16  bytes of machine, u32  20  CRC-32 of the other bytes up to the end of machine, u32
 *   24  bytes of stream, u64   32  token, 16 bytes       48  zero                  64  machine: qmp_saved as msgpack */
#ifndef QMP_STATEFILE_H
#define QMP_STATEFILE_H
#include <hvkit/err.h>
#include <hvkit/field.h>

#define QMP_STATEFILE_FIXED   64u
#define QMP_STATEFILE_PAGE    4096u
#define QMP_STATEFILE_TOKEN   16u
#define QMP_STATEFILE_MACHINE (4u << 20) /* the longest machine */

struct qmp_statefile {
  uint64_t stream_bytes;
  uint32_t head_bytes; /* the stream begins here */
  uint8_t token[QMP_STATEFILE_TOKEN];
  struct hv_bin machine; /* parsed: points into what was parsed */
};

/* How long the head of a file with such a machine is; 0: longer than may be. */
uint32_t qmp_statefile_head_bytes (uint64_t machine_bytes);
/* Writes the head; `out` has room for head_bytes. */
void qmp_statefile_write (const struct qmp_statefile *, uint8_t *out);
/* How many bytes to read for the whole head, from its first QMP_STATEFILE_FIXED. FAILED_PRECONDITION: not such a file, or of a
 * newer version; DATA_LOSS: a damaged one. */
int qmp_statefile_peek (const uint8_t *first, uint32_t *ret_head_bytes, struct hv_err *);
/* The whole head: `n` is what peek said. */
int qmp_statefile_parse (const uint8_t *head, uint64_t n, struct qmp_statefile *ret, struct hv_err *);

/* CRC-32 (IEEE), going on from `crc`; 0 begins. */
uint32_t qmp_crc32 (uint32_t crc, const uint8_t *data, uint64_t n);
#endif
