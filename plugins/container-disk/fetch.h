/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One blob, from its first byte to its last: asked for again from where it broke off, and unpacked as it comes. */
#ifndef CD_FETCH_H
#define CD_FETCH_H
#include "source.h"
#include "unpack.h"

struct cd_fetch {
  struct hv_host *host;
  struct cd_source *source; /* NULL: `path` is a file of this node */
  const char *url, *path;
  const char *if_none_match;
  uint64_t size; /* UINT64_MAX: not known before */
  struct cd_unpack *unpack;
  /* told after each piece; a negative HV_E_* ends it */
  int (*progress) (void *arg, uint64_t done, struct hv_err *);
  void *arg;
  /* what it came to */
  uint64_t done;
  uint8_t not_modified;
  char *etag; /* malloc'd; the caller's */
};

/* [coro] DATA_LOSS: more or less came than there is; UNAVAILABLE: it broke off again and again without getting any further. */
int cd_fetch_run (struct cd_fetch *, struct hv_err *);
#endif
