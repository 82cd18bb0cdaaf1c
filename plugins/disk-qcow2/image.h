/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2 files: opening one, making one. Everything here blocks on the disk and runs in an offload. Errors do not name the path. */
#ifndef HV_QCOW2_IMAGE_H
#define HV_QCOW2_IMAGE_H
#include "header.h"
#include <sys/stat.h>

struct hv_qcow2_image {
  int fd; /* -1: none */
  struct stat stat;
  struct hv_qcow2_header header;
};

/* Opens read-only and reads the header. Close with hv_qcow2_image_close, also after a failure. */
int hv_qcow2_image_open (const char *path, struct hv_qcow2_image *ret, struct hv_err *err);
void hv_qcow2_image_close (struct hv_qcow2_image *);

/* What to make. Sizes were checked against the limits of disk/1. */
struct hv_qcow2_new {
  const char *path;
  uint64_t size_bytes; /* 0: the base's */
  uint64_t cluster_bytes;
  const char *backing; /* NULL: none */
  int backing_is_qcow2, backing_trusted_raw;
  int has_owner;
  uint32_t owner_uid;
};

/* Makes an empty image, durably and whole. Fills `ret` with its header and stat; the image is not open. */
int hv_qcow2_image_make (const struct hv_qcow2_new *, struct hv_qcow2_image *ret, struct hv_err *err);
#endif
