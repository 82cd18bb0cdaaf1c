/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor protocol without any I/O: bytes in, greeting, replies and events out. Whatever breaks the protocol ends it:
 * the connection is dropped and made anew, which is the one resynchronisation that cannot be fooled. */
#ifndef QMP_PROTO_H
#define QMP_PROTO_H
#include "json.h"

#define QMP_GREETING_BYTES (16u << 10)
#define QMP_REPLY_BYTES    (10u << 20)
#define QMP_DEPTH          64u
#define QMP_VALUES         262144u

/* The answer to a command: `ret` is its "return" (borrowed), or NULL and the error's class and text. */
struct qmp_reply {
  uint64_t id;
  const json_t *ret;
  const char *error_class, *error_text;
};

struct qmp_proto_ops {
  void (*greeting) (void *arg, const json_t *version); /* the object with "qemu" and "package" */
  void (*reply) (void *arg, const struct qmp_reply *);
  void (*event) (void *arg, const char *name, const json_t *data); /* data: an object, may be NULL */
};

struct qmp_proto {
  struct qmp_lines lines;
  const struct qmp_proto_ops *ops;
  void *arg;
  int greeted;
};

void qmp_proto_init (struct qmp_proto *, const struct qmp_proto_ops *, void *arg);
void qmp_proto_clear (struct qmp_proto *);
/* Takes bytes and calls ops for every complete line. A negative code: the peer broke the protocol; feed it no more. Ops
 * must not clear the proto. */
int qmp_proto_feed (struct qmp_proto *, const void *data, size_t size, struct hv_err *);
/* One command as a line, malloc'd, or NULL when out of memory. `args` is borrowed and may be NULL. */
char *qmp_proto_command (const char *command, json_t *args, uint64_t id, size_t *ret_size);
#endif
