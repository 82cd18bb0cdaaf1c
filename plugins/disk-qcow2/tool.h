/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qemu-img in a child of its own: with the descriptors it is given and no other, limits on memory and time, no shell, and images
 * named by descriptor in JSON, so that nothing that a user or a header wrote is an option or a path to it. */
#ifndef HV_QCOW2_TOOL_H
#define HV_QCOW2_TOOL_H
#include <hvkit/plugin.h>

struct hv_tool {
  struct hv_host *host;
  struct hv_call *call;
  const char *program, *phase; /* phase: of its progress */
  const char *const *args;     /* NULL-terminated */
  const int32_t *fds;          /* the child's 3, 4, … */
  uint32_t fd_count;
};

/* [coro] Until it has ended. Reports progress; a cancelled call ends it. FAILED_PRECONDITION with its words, CANCELLED, NOT_FOUND:
 * there is no such program. */
int hv_tool_run (const struct hv_tool *, struct hv_err *);
#endif
