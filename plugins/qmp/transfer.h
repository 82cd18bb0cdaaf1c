/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine's memory and state on their way out of QEMU or into it: what save, restore and both sides of a migration share. */
#ifndef QMP_TRANSFER_H
#define QMP_TRANSFER_H
#include "qmp.h"

/* How; every capability and every parameter is set each time, so that nothing is left of the last one. */
struct qmp_transfer_how {
  uint8_t return_path, post_copy, auto_converge;
  uint8_t late_activate; /* incoming: disks are taken over by `cont`, not before */
  uint64_t bytes_per_s;  /* 0: no limit */
  uint32_t downtime_ms;  /* 0: QEMU's own */
};
int qmp_transfer_set (struct qmp_vm *, const struct qmp_transfer_how *, int incoming, struct hv_err *);

/* Begins, out to or in from a descriptor, which stays the caller's. */
int qmp_transfer_out (struct qmp_vm *, int fd, struct hv_err *);
int qmp_transfer_in (struct qmp_vm *, int fd, struct hv_err *);

#define QMP_TRANSFER_NONE      0u /* nothing was begun */
#define QMP_TRANSFER_ACTIVE    1u
#define QMP_TRANSFER_SWITCHED  2u /* post-copy: the guest is over there, some of its memory is not */
#define QMP_TRANSFER_COMPLETED 3u
#define QMP_TRANSFER_FAILED    4u
#define QMP_TRANSFER_CANCELLED 5u
#define QMP_TRANSFER_BROKEN    6u /* post-copy: the rest of the memory does not come */
struct qmp_transfer {
  uint32_t phase;
  uint32_t seen; /* events so far */
  uint64_t sent_bytes, left_bytes, total_bytes, total_ms, downtime_ms, rounds;
  char error[256]; /* QEMU's words, printable; "" when it has none */
};
int qmp_transfer_query (struct qmp_vm *, struct qmp_transfer *ret, struct hv_err *);
/* Waits for something to happen, at most a moment, and asks then. A monitor that does not answer is no end of it: that is said by
 * the process (UNAVAILABLE) or by the caller (CANCELLED). `call` gets progress; it may be NULL. */
int qmp_transfer_next (struct qmp_vm *, struct hv_call *call, const char *phase, struct qmp_transfer *ret, struct hv_err *);
/* The same until it is over, one way or the other: COMPLETED, FAILED or CANCELLED (or NONE). */
int qmp_transfer_wait (struct qmp_vm *, struct hv_call *call, const char *phase, struct qmp_transfer *ret, struct hv_err *);
/* Takes it back and waits; *ret says what came of it, which may be COMPLETED. */
int qmp_transfer_cancel (struct qmp_vm *, struct qmp_transfer *ret, struct hv_err *);

/* Where the devices of this machine stand. */
int qmp_transfer_places (struct qmp_vm *, struct qmp_places *ret, struct hv_err *);

/* A machine that was saved: what stands before the stream. */
#define QMP_SAVED(F, T) \
  F (T, REC, hv_machine, machine, HV_REQUIRED, "the machine as it ran") \
  F (T, REC, qmp_places, places, HV_REQUIRED, "where its devices stood")
HV_RECORD_STRUCT (qmp_saved, QMP_SAVED);

/* The event job_completed. `err` says why not when code < 0. */
void qmp_job_publish (struct qmp_vm *, const char *job, int code, const struct hv_err *, uint64_t total_ms, uint64_t bytes);
#endif
