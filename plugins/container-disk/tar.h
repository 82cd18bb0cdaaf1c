/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A tar stream (ustar, GNU, pax), walked as its bytes come; nothing is extracted. Bounded memory. What it finds is told; what it
 * cannot be sure of ends it. */
#ifndef CD_TAR_H
#define CD_TAR_H
#include <hvkit/err.h>
#include <stdint.h>

#define CD_TAR_PATH_MAX 4096u

#define CD_TAR_FILE      0u
#define CD_TAR_LINK      1u /* hard or symbolic */
#define CD_TAR_DIRECTORY 2u
#define CD_TAR_OTHER     3u

struct cd_tar_entry {
  const char *path; /* relative, without "./" and ".."; "" is the top */
  uint64_t size;    /* bytes of data that follow */
  uint32_t kind;
};

struct cd_tar_ops {
  /* 1: its data is wanted, 0: not, or a negative HV_E_*. */
  int (*entry) (void *arg, const struct cd_tar_entry *, struct hv_err *);
  int (*data) (void *arg, const uint8_t *bytes, uint64_t n, struct hv_err *);
};

struct cd_tar;                                                    /* opaque */
struct cd_tar *cd_tar_new (const struct cd_tar_ops *, void *arg); /* NULL: out of memory */
void cd_tar_free (struct cd_tar *);
/* DATA_LOSS: it is no tar, or damaged; FAILED_PRECONDITION: names that lead out of it; UNIMPLEMENTED; or what an op returned. */
int cd_tar_push (struct cd_tar *, const uint8_t *bytes, uint64_t n, struct hv_err *);
int cd_tar_end (struct cd_tar *, struct hv_err *); /* DATA_LOSS: it ends in the middle of something */
#endif
