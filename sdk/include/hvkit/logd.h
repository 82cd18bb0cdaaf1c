/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit-logd: logs of processes that outlive the daemon. A plugin asks it for a pipe, gives the pipe's write end to the
 * process, and forgets it: hvkit-logd reads whatever comes, keeps the file below its cap, and keeps so many old ones.
 *
 * What is logged comes from guests: the files hold bytes, not text. A log is named by its absolute path below the root that
 * hvkit-logd was started with; NAME.0 is the newest of the old ones.
 *
 * One SOCK_SEQPACKET socket, one struct each way per message, same machine and same build only in so far as `version` says
 * so. A connection does not own what was opened over it: logs go on until the last holder of the write end is gone.
 * hvkit-logd ends when it has neither logs nor connections. Functions block (an offload's work), answer 0 or a negative
 * HV_E_*, and are in libhvkit-plugin. */
#ifndef HVKIT_LOGD_H
#define HVKIT_LOGD_H
#include <hvkit/err.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_LOGD_VERSION 1u
#define HV_LOGD_PATH    4096u
#define HV_LOGD_KEEP    16u /* old files, at most */

#define HV_LOGD_OPEN   1u /* answers with the write end of a new pipe */
#define HV_LOGD_ADOPT  2u /* comes with the read end of a pipe that lost its reader */
#define HV_LOGD_SYNC   3u /* answers when everything that is in the pipe of this log by now is in the file */
#define HV_LOGD_STATUS 4u

struct hv_logd_request {
  uint32_t version, op;
  uint64_t cap_bytes; /* of the current file */
  uint32_t keep;      /* old files */
  uint32_t reserved;
  char path[HV_LOGD_PATH];
};
struct hv_logd_answer {
  uint32_t version;
  int32_t code;        /* 0 or HV_E_* */
  uint64_t logs;       /* open */
  uint64_t bytes;      /* written since it started */
  uint64_t lost_bytes; /* that could not be written */
  char text[256];
};

/* A connection, or UNAVAILABLE when nobody listens. Close it with close(). */
int hv_logd_connect (const char *socket_path, int *ret_fd, struct hv_err *);
/* *ret_fd: the write end, for the process. Inode of the pipe: fstat() it; the read end can be found by it after a loss. */
int hv_logd_open (int connection, const char *path, uint64_t cap_bytes, uint32_t keep, int *ret_fd, struct hv_err *);
int hv_logd_adopt (int connection, const char *path, uint64_t cap_bytes, uint32_t keep, int read_fd, struct hv_err *);
int hv_logd_sync (int connection, const char *path, struct hv_err *);
int hv_logd_status (int connection, struct hv_logd_answer *ret, struct hv_err *);

#ifdef __cplusplus
}
#endif
#endif
