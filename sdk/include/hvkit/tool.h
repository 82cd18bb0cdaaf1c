/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program that looks at, or changes, what somebody hostile may have written: in a child of its own, with the descriptors that it
 * is given and no other, limits on memory and time, no shell. Files are named to it as /proc/self/fd/3 and on, so that nothing that
 * a user wrote is an option or a path to it. In libhvkit-plugin. */
#ifndef HVKIT_TOOL_H
#define HVKIT_TOOL_H
#include <hvkit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_TOOL_ARGS_MAX 16u
#define HV_TOOL_TEXT_MAX 65536u /* bytes kept of what it says */

struct hv_tool {
  struct hv_host *host;
  struct hv_call *call;    /* whose end is the child's; NULL: nobody's */
  const char *program;     /* absolute */
  const char *const *args; /* NULL-terminated, without the program */
  const int32_t *fds;      /* the child's 3, 4, … */
  uint32_t fd_count;
  const char *phase; /* it tells its progress as qemu-img -p does, which is passed on under this name; NULL: it does not */
};

/* What it said; the call's memory, or NULL where nobody asked. */
struct hv_tool_result {
  int32_t status; /* of its exit */
  const char *out, *errors;
};

/* [coro] Until it has ended; a cancelled call ends it. With `ret`, every exit is a result; without, one with a status other than 0
 * is FAILED_PRECONDITION with the first line of its errors. CANCELLED; NOT_FOUND: there is no such program; INTERNAL: a signal
 * ended it. */
int hv_tool_run (const struct hv_tool *, struct hv_tool_result *ret, struct hv_err *);

#ifdef __cplusplus
}
#endif
#endif
