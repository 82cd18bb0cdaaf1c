/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs that rotate, read from their beginning or their last lines, and followed. NAME is written to and becomes NAME.0, which
 * becomes NAME.1 …: hvkit-logd and virtlogd both do it so. A reader goes by the file that it has open, not by the name: what was
 * written before a rotation is read to its end, then what came after it. In libhvkit-plugin. */
#ifndef HVKIT_LOGS_H
#define HVKIT_LOGS_H
#include <hvkit/plugin.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_LOG_FILES_MAX 17u /* of one log: the current one and the old ones */
#define HV_LOG_ALL       UINT64_MAX

struct hv_log_reader;

/* `path` is absolute, its directory is there; the log itself may come later. `lines`: of the end, so many; HV_LOG_ALL: everything
 * that is still kept. Blocks on the disk, as reading does: an offload's work. NOT_FOUND: no such directory. */
int hv_log_reader_new (const char *path, uint64_t lines, struct hv_log_reader **ret, struct hv_err *);
/* Bytes put into `buffer`; 0: there are no more now. */
size_t hv_log_reader_read (struct hv_log_reader *, void *buffer, size_t size);
/* Times that files were put away, unread, before the reader came to them. */
uint64_t hv_log_reader_gaps (const struct hv_log_reader *);
void hv_log_reader_free (struct hv_log_reader *); /* NULL is fine */

#define HV_LOG_SOURCES 4u
#define HV_LOG_MARK    16u /* bytes of a mark, at most */

struct hv_log_source {
  const char *path; /* copied */
  const char *mark; /* before each of its lines; constant; NULL: bytes as they are */
};
struct hv_logs {
  struct hv_log_source source[HV_LOG_SOURCES];
  uint32_t sources;
  uint8_t follow;
  uint64_t lines;
  const char *what;            /* for the log: "logs of VM 'a'" */
  int (*alive) (void *arg);    /* whether somebody may still write; followed no longer than that. On the instance's thread */
  void (*release) (void *arg); /* once, at the end, also when hv_logs_stream failed. NULL is fine */
  void *arg;
};

/* [coro] Logs as a byte stream, one way: its token is the answer of `call`. What the caller sends is not read. */
int hv_logs_stream (struct hv_host *, struct hv_call *call, const struct hv_logs *, const char **ret_token, struct hv_err *);

#ifdef __cplusplus
}
#endif
#endif
