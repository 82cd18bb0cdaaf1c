/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A machine that waits for its state, after migrate_in has answered. */
#ifndef QMP_INCOMING_H
#define QMP_INCOMING_H
#include "peer.h"
#include "qmp.h"

/* Shared by the coroutine that waits and those that talk. */
struct qmp_incoming {
  struct qmp_vm *vm;
  uint32_t refs, talks;
  int listen_fd;
  struct hv_watch *watch;
  char *uri;
  uint8_t ready, streaming, taken, told;
  uint64_t complete_ms;
};

struct qmp_incoming *qmp_incoming_new (struct qmp_vm *, int fd, const char *uri,
                                       struct hv_err *); /* takes the socket, also on failure */
void qmp_incoming_unref (struct qmp_incoming *);
HV_CLEAN_DEFINE (qmp_incoming, struct qmp_incoming, qmp_incoming_unref)
/* The coroutine that waits until the machine is ours or gone; `arg` is the reference, which it takes. */
void qmp_incoming_run (void *self, void *arg);
/* Its guest never ran here, so its process may be ended. `why` is what is said of it. */
void qmp_incoming_end (struct qmp_vm *, const char *why);
#endif
