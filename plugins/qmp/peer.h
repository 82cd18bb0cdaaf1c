/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What two daemons say to each other about a migration, and where they find each other. QEMU is only ever handed connected
 * sockets. A connection begins with a frame of ours (magic, length, a record) and its answer; on one that is a stream, QEMU's
 * own bytes follow. Whether the guest runs here or there is decided by a connection of its own, because it has to be
 * decided even when the stream's is gone:
 *
 *   stream   here come the machine's memory and state, as soon as you say yes
 *   commit   everything is over there and it will never run here again: run it. The answer comes when it runs
 *   abort    it goes on here: forget it
 *
 * The target lets its guest run only after `commit`; the source says `commit` only after QEMU said `completed` and its
 * record says so durably. If the two cannot talk, the guest stands still; it never runs twice. */
#ifndef QMP_PEER_H
#define QMP_PEER_H
#include "places.h"

#define QMP_PEER_HEAD 12u        /* magic and length */
#define QMP_PEER_MAX  (4u << 20) /* longest record */
#define QMP_PEER_MS   10000u     /* how long the other side may take to connect, or to say something */
#define QMP_PEER_NAME 4200u      /* longest uri with its token */

extern const char *const qmp_peer_kind_words[];
#define QMP_PEER_STREAM 0u
#define QMP_PEER_COMMIT 1u
#define QMP_PEER_ABORT  2u

#define QMP_HELLO(F, T) \
  F (T, ENUM, qmp_peer_kind, kind, HV_REQUIRED, "what this connection is for") \
  F (T, STR, _, uuid, HV_REQUIRED, "machine it is about", .pattern = "uuid") \
  F (T, STR, _, token, 0, "from the uri", .max = 64) \
  F (T, BOOL, _, running, 0, "its guest runs, and is to run on", .def = "true") \
  F (T, BOOL, _, post_copy, 0, "it may be switched over before all memory is there", .def = "false") \
  F (T, STR, _, reason, 0, "why it was given up", .max = 4096) \
  F (T, REC, hv_machine, machine, 0, "the machine as it runs") \
  F (T, REC, qmp_places, places, 0, "where its devices stand")
HV_RECORD_STRUCT (qmp_hello, QMP_HELLO);
#define QMP_ANSWER(F, T) \
  F (T, BOOL, _, ok, HV_REQUIRED, "yes") \
  F (T, STR, _, reason, 0, "why not", .max = 4096)
HV_RECORD_STRUCT (qmp_answer, QMP_ANSWER);

/* Where migrate_in listens: "unix:PATH", or "tcp:HOST:PORT", "tcp:[ADDRESS]:PORT", with "/TOKEN" behind it in what migrate_in
 * answers. The text is cut up in place of a copy. */
struct qmp_uri {
  char text[QMP_PEER_NAME];
  const char *path, *host, *port, *token; /* into `text`; NULL: not there */
};
int qmp_uri_parse (const char *, struct qmp_uri *ret, struct hv_err *); /* INVALID_ARGUMENT */

void qmp_peer_head_write (uint32_t bytes, uint8_t out[QMP_PEER_HEAD]);
int qmp_peer_head_parse (const uint8_t head[QMP_PEER_HEAD], uint32_t *ret_bytes, struct hv_err *);

/* --- peer.c [coro]; descriptors are non-blocking --- */
int qmp_peer_connect (struct hv_host *, const char *uri, int *ret_fd, struct hv_err *);
/* Listens. With `again`, a socket file that is in the way is ours, from before a restart. *ret_port: of a TCP address. */
int qmp_peer_listen (struct hv_host *, const char *uri, int again, int *ret_fd, uint32_t *ret_port, struct hv_err *);
/* Sends or receives one record within QMP_PEER_MS; what is received lives in the memory of the current call. */
int qmp_peer_send (struct hv_host *, int fd, const struct hv_record *, const void *, struct hv_err *);
int qmp_peer_receive (struct hv_host *, int fd, const struct hv_record *, void *ret, struct hv_err *);
/* Says hello and waits for a yes. A no is FAILED_PRECONDITION with the other side's words; what it says with a yes is *ret_reason
 * (may be NULL; NULL when it says nothing). */
int qmp_peer_ask (struct hv_host *, int fd, const struct qmp_hello *, const char **ret_reason, struct hv_err *);
int qmp_peer_answer (struct hv_host *, int fd, int ok, const char *reason, struct hv_err *);

/* Whether a machine's state fits into another one; FAILED_PRECONDITION names the first difference. What only this side of the
 * guest knows (paths, taps, labels, who owns it) may differ. */
int qmp_machines_alike (const struct hv_machine *here, const struct hv_machine *there, struct hv_err *);
#endif
