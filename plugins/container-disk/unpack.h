/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A blob on its way to a disk: bytes as they come from the network → digest → decompression → tar → the one file. Nothing of it is
 * kept but what the file is. Blocks on the disk and uses the processor: for an offload. */
#ifndef CD_UNPACK_H
#define CD_UNPACK_H
#include "manifest.h"
#include "pick.h"
#include "sink.h"

#define CD_CODEC_GUESS 9u /* of a file from a web server: by its first bytes */

struct cd_unpack; /* opaque */

/* `pick`: the blob is a layer, and this chooses; NULL: it is the disk itself. `sink` was begun. `digest` is what the blob has to
 * have, NULL: anything (sha256 is computed). All are borrowed. */
struct cd_unpack *cd_unpack_new (uint32_t codec, struct cd_pick *pick, struct cd_sink *sink, const char *digest, struct hv_err *);
void cd_unpack_free (struct cd_unpack *);
int cd_unpack_push (struct cd_unpack *, const uint8_t *bytes, uint64_t n, struct hv_err *);
/* All of it came: whether it was whole, and has its digest. ret_digest may be NULL. DATA_LOSS. */
int cd_unpack_end (struct cd_unpack *, char ret_digest[CD_DIGEST_MAX], struct hv_err *);
#endif
