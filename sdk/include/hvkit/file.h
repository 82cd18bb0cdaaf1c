/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files whose path, name or contents somebody else had a hand in: opened without following links, made whole or not at all.
 *
 *   HV_CLEAN (hv_fd) int fd = -1;
 *   int rc = hv_file_open (path, O_RDONLY, &fd, NULL, err);        an absolute path to a regular file, no link anywhere in it
 *
 *   HV_CLEAN (hv_file_new) struct hv_file_new file = HV_FILE_NEW_INIT;
 *   if ((rc = hv_file_new_begin (&file, path, err)) == 0 && (rc = hv_file_write (file.fd, bytes, n, 0, err)) == 0)
 *     rc = hv_file_new_commit (&file, err);                         the name appears now; what was not committed never does
 *
 * Everything here may block on the disk: run it in hv_offload(). Any thread; a struct hv_file_new is used by one at a time.
 * Functions return 0 or a negative HV_E_*; errors do not name the path (the caller wraps them with it, once). In
 * libhvkit-plugin; Linux ≥ 5.6. */
#ifndef HVKIT_FILE_H
#define HVKIT_FILE_H
#include <fcntl.h>
#include <hvkit/clean.h>
#include <hvkit/err.h>
#include <hvkit/field.h>
#include <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether a path can be given to the functions below: absolute, and ends in a name. INVALID_ARGUMENT says what is wrong. */
int hv_file_check_path (const char *path, struct hv_err *);

/* Whether a path is below one of the directories, judged by its text: it has no ".." (field tables see to that), and no link is
 * followed when it is opened. No directories: everything is allowed. PERMISSION_DENIED lists them. */
int hv_file_check_below (const char *path, const struct hv_strs *directories, struct hv_err *);

/* Opens a regular file for O_RDONLY or O_RDWR. No component of the path may be a symbolic link, and nothing but a regular
 * file is ever opened (what opening a device does, does not happen). *ret_stat may be NULL. FAILED_PRECONDITION: a link, a
 * directory, a device; NOT_FOUND: nothing is there. */
int hv_file_open (const char *path, int32_t flags, int *ret_fd, struct stat *ret_stat, struct hv_err *);

/* Opens the directory that holds `path`; *ret_name is the name in it and points into `path`. */
int hv_file_open_dir (const char *path, int *ret_fd, const char **ret_name, struct hv_err *);

/* Reads exactly n bytes. DATA_LOSS: the file ends before. */
int hv_file_read (int fd, void *buf, uint64_t n, uint64_t offset, struct hv_err *);

/* Reads up to n bytes, fewer only at the end of the file. Returns how many, or a negative HV_E_*. */
int64_t hv_file_read_some (int fd, void *buf, uint64_t n, uint64_t offset, struct hv_err *);

/* Writes all n bytes. RESOURCE_EXHAUSTED: no space. */
int hv_file_write (int fd, const void *buf, uint64_t n, uint64_t offset, struct hv_err *);

/* FAILED_PRECONDITION if another process holds a lock on the file, as QEMU does on every image it runs on. */
int hv_file_check_unused (int fd, struct hv_err *);

/* A file that is being made. Until it is committed it has no name, so neither a crash nor an error leaves anything behind;
 * where the file system cannot do that (O_TMPFILE), it has a name that begins with ".hvkit-" instead. */
struct hv_file_new {
  int32_t fd;       /* write to it; -1: none */
  int32_t dir_fd;   /* its directory */
  const char *name; /* in it; points into the path that was given */
  char temp[48];    /* name until then; "" if it has none */
};
/* clang-format off */
#define HV_FILE_NEW_INIT { -1, -1, NULL, { 0 } }
/* clang-format on */

/* Starts a file with mode 0600. ALREADY_EXISTS if the name is taken (links included). `path` has to live until the end. */
int hv_file_new_begin (struct hv_file_new *, const char *path, struct hv_err *);

/* Gives the file to a user; its group and mode stay. */
int hv_file_new_chown (struct hv_file_new *, uint32_t uid, struct hv_err *);

/* Makes contents and name durable: returns when the disk has both. ALREADY_EXISTS: somebody took the name meanwhile; theirs stays.
 * After a failure the name may or may not be there only if the code is UNKNOWN: the directory could not be synced. */
int hv_file_new_commit (struct hv_file_new *, struct hv_err *);

/* The same for a file that takes the place of one that is there: begin_over does not mind the name, and replace puts the new file
 * there in one step, with owner and mode of the old one (`old_fd`, opened before). Whoever opens the name sees the one or the
 * other, each whole; who has the old one open keeps it. ABORTED: the name is another file's by now. One at a time per path: a
 * process that is killed in the last step leaves a name that begins with ".hvkit-over-", which the next one takes away. */
int hv_file_new_begin_over (struct hv_file_new *, const char *path, struct hv_err *);
int hv_file_new_replace (struct hv_file_new *, int old_fd, struct hv_err *);

/* Closes and forgets. What was not committed is gone. */
void hv_file_new_end (struct hv_file_new *);
__attribute__ ((unused)) static inline void
hv_file_new_cleanup (struct hv_file_new *file)
{
  hv_file_new_end (file);
}

/* Removes the file that `fd` is open on from `path`, durably. FAILED_PRECONDITION if another file has that name by now. */
int hv_file_delete (const char *path, int fd, struct hv_err *);

/* What a file that begins with these bytes looks like ("a qcow2 image"), or NULL: nothing that is known, so it may be raw. Static
 * text. Only good for refusing what contradicts a declared format, never for choosing one. */
const char *hv_file_looks_like (const uint8_t *first, uint64_t n);
#define HV_FILE_LOOK_BYTES 512u /* how many it wants to see */

/* v rounded up to a multiple of `unit` (not 0). 0, or OUT_OF_RANGE if that does not fit; *ret is untouched then. */
static inline int
hv_round_up (uint64_t v, uint64_t unit, uint64_t *ret)
{
  uint64_t rest = v % unit, sum = v;
  if (rest != 0 && __builtin_add_overflow (v, unit - rest, &sum))
    return HV_E_OUT_OF_RANGE;
  *ret = sum;
  return 0;
}

#ifdef __cplusplus
}
#endif
#endif
