/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest agent's framing without any I/O. The guest is hostile: it may answer late, twice, never, endlessly, or with
 * something else. After every doubt the channel is synchronised: everything up to a 0xFF byte and the echo of a number
 * that we chose is thrown away, and how much may be thrown away is bounded. */
#ifndef QMP_CODEC_H
#define QMP_CODEC_H
#include "json.h"

#define QMP_AGENT_BYTES   (1u << 20) /* one message */
#define QMP_AGENT_DISCARD (4u << 20) /* thrown away while synchronising */
#define QMP_AGENT_DEPTH   32u
#define QMP_AGENT_VALUES  65536u

#define QMP_CODEC_SEEK   0u /* discards until 0xFF */
#define QMP_CODEC_ECHO   1u /* the next line has to be the echo */
#define QMP_CODEC_SYNCED 2u /* every line is an answer */

struct qmp_codec {
  struct qmp_lines lines;
  uint32_t state;
  uint64_t sync_id, discarded;
};

void qmp_codec_clear (struct qmp_codec *);
/* Starts over: what was received is forgotten. Returns the line to send, malloc'd (a 0xFF, then guest-sync-delimited). */
char *qmp_codec_sync (struct qmp_codec *, uint64_t id, size_t *ret_size);
/* Takes bytes from the guest. RESOURCE_EXHAUSTED: it sends more than it may; INVALID_ARGUMENT: an answer is not JSON. */
int qmp_codec_feed (struct qmp_codec *, const void *data, size_t size, struct hv_err *);
/* 1 and the next answer (the caller owns it); 0: more bytes are needed; negative: as above. While not synced: 0, or 1
 * with *ret NULL at the moment of synchronisation. */
int qmp_codec_next (struct qmp_codec *, json_t **ret, struct hv_err *);
/* In step, and nothing is left of what came: whatever comes next was asked for. */
int qmp_codec_clean (const struct qmp_codec *);
/* A command of the caller's as one line, malloc'd: checked to be one object with "execute". */
char *qmp_codec_command (const char *text, size_t *ret_size, struct hv_err *);
#endif
