/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One connection to the monitor of one QEMU. It is driven by a watch and holds no coroutine while nothing happens.
 * Replies are matched by id only; what nobody waits for any more is counted and dropped. */
#ifndef QMP_MONITOR_H
#define QMP_MONITOR_H
#include "proto.h"
#include <hvkit/plugin.h>

#define QMP_MONITOR_GREETING    0u /* connected, nothing heard yet */
#define QMP_MONITOR_NEGOTIATING 1u
#define QMP_MONITOR_READY       2u
#define QMP_MONITOR_LOST        3u /* no more can be had from it */

struct qmp_monitor;

/* `reply` is NULL when the connection was lost first. Borrowed. */
typedef void qmp_monitor_done_fn (void *arg, const struct qmp_reply *reply);

/* None of these may close the monitor, except `lost`, which comes at most once and last. */
struct qmp_monitor_ops {
  void (*ready) (void *arg);
  void (*heard) (void *arg); /* anything at all came */
  void (*event) (void *arg, const char *name, const json_t *data);
  void (*lost) (void *arg, const char *why);
};

/* Takes over `fd`, a connected non-blocking socket, also on failure. NULL when out of memory. */
struct qmp_monitor *qmp_monitor_open (struct hv_host *, int fd, const struct qmp_monitor_ops *, void *arg);
/* Every command that waits gets its `done` with NULL. NULL is fine. */
void qmp_monitor_close (struct qmp_monitor *);
uint32_t qmp_monitor_state (const struct qmp_monitor *);
uint64_t qmp_monitor_dropped (const struct qmp_monitor *); /* replies that nobody waited for */

/* Queues a command; `done` runs exactly once unless the command is forgotten first. Returns its id, or 0 when the monitor
 * is not ready (or out of memory). `args` is borrowed, may be NULL. */
uint64_t qmp_monitor_send (struct qmp_monitor *, const char *command, json_t *args, qmp_monitor_done_fn *done, void *arg);
/* The same with a descriptor that goes along (getfd, add-fd); it stays the caller's. 0 also when the socket takes nothing now. */
uint64_t qmp_monitor_send_fd (struct qmp_monitor *, const char *command, json_t *args, int fd, qmp_monitor_done_fn *done,
                              void *arg);
/* Nobody waits for this command any more: its late reply is dropped. */
void qmp_monitor_forget (struct qmp_monitor *, uint64_t id);
/* Reads what is there without waiting, as the watch would: before a verdict that depends on what QEMU said last. */
void qmp_monitor_drain (struct qmp_monitor *);
#endif
