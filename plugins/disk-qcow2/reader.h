/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest sees of an image and of the layers below it: where each byte is, and the bytes. Layers are those that the caller
 * names; nothing that a header names is opened. Entries are hostile: what points outside of its file is DATA_LOSS. Blocks on the
 * disk: for an offload. Errors name the layer's path where there are several. */
#ifndef HV_QCOW2_READER_H
#define HV_QCOW2_READER_H
#include "image.h"
#include <hvkit/iface/disk.h>

#define HV_QCOW2_LAYERS_MAX 17u

struct hv_qcow2_reader; /* opaque; one thread at a time */

struct hv_qcow2_source {
  const char *path;
  int is_qcow2, trusted_raw;
};

/* `path` and the layers below it, which were recorded when it was put on top of them; at most HV_QCOW2_LAYERS_MAX, into `ret`. */
int hv_qcow2_sources (const char *path, const struct hv_machine_layer *below, uint32_t below_count, struct hv_qcow2_source *ret,
                      struct hv_err *err);
/* Top first. FAILED_PRECONDITION: a layer is missing that the one above it needs, or one is too many; one is not of its format. */
/* `alone`: only the first is looked at, whatever it stands on. */
int hv_qcow2_reader_open (const struct hv_qcow2_source *layers, uint32_t count, int alone, struct hv_qcow2_reader **ret,
                          struct hv_err *err);
void hv_qcow2_reader_close (struct hv_qcow2_reader *);
uint64_t hv_qcow2_reader_size (const struct hv_qcow2_reader *);                        /* bytes that the guest sees */
const struct hv_qcow2_header *hv_qcow2_reader_header (const struct hv_qcow2_reader *); /* of the top layer, qcow2 */
int hv_qcow2_reader_has_base (const struct hv_qcow2_reader *);                         /* of the top layer */
int hv_qcow2_reader_fd (const struct hv_qcow2_reader *, uint32_t layer);               /* of a layer, 0 is the top; borrowed */

struct hv_qcow2_extent {
  uint64_t length;    /* bytes, at least 1 */
  uint32_t depth;     /* layer that has it; the number of layers: none does */
  uint8_t zero, data; /* reads as zeros; has blocks in the file */
  uint8_t compressed;
  uint64_t host_offset; /* with data, not compressed: where in its file */
};
/* What is at an offset: of the top layer alone (`alone`), or as the guest sees it. Reads tables only. */
int hv_qcow2_reader_find (struct hv_qcow2_reader *, uint64_t offset, int alone, struct hv_qcow2_extent *ret, struct hv_err *err);
/* The bytes of an extent that was found at `offset`; n is at most its length. */
int hv_qcow2_reader_read (struct hv_qcow2_reader *, const struct hv_qcow2_extent *, uint64_t offset, uint8_t *to, uint64_t n,
                          struct hv_err *err);
#endif
