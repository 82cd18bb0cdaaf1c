/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One log: a file below its cap, and the old ones beside it. What cannot be written is counted, and said when it can be
 * again; nobody ever waits for a disk that is full. */
#ifndef LOGD_FILE_H
#define LOGD_FILE_H
#include <hvkit/logd.h>

struct logd_file {
  int dir_fd, fd;
  char *name;                                  /* in the directory */
  uint64_t size, cap, written, lost, lost_now; /* lost_now: not yet said in the file */
  uint32_t keep;
  int errnum; /* why */
};

/* `path` is absolute and below `root`, with no link on the way. 0 or a negative HV_E_*. */
int logd_file_open (struct logd_file *, const char *root, const char *path, uint64_t cap, uint32_t keep);
void logd_file_write (struct logd_file *, const void *data, size_t size);
void logd_file_close (struct logd_file *);
#endif
