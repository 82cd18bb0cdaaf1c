/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's table, for entry.c and for tests that run it in the fake host. */
#ifndef HV_DISK_RAW_H
#define HV_DISK_RAW_H
#include <hvkit/inspect.h>
#include <hvkit/nbd.h>
#include <hvkit/plugin.h>
#include <sys/stat.h>

#define DISK_CONFIG(F, T) \
  F (T, STRS, _, directories, 0, "images are touched below these only; absent: anywhere", .max = 64) \
  F (T, STR, _, qcow2, 0, "instance of disk-qcow2, which writes qcow2 images", .def = "disk-qcow2", .max = 64) \
  HV_INSPECT_CONFIG (F, T) \
  HV_NBD_CONFIG (F, T)
HV_RECORD_STRUCT (disk_raw_config, DISK_CONFIG);

struct disk_raw {
  struct hv_host *host;
  const struct disk_raw_config *config;
};

int hv_disk_raw_allowed (const struct disk_raw *, const char *path, struct hv_err *);
/* For an offload. Opens a raw image, for O_RDONLY or O_RDWR; one that looks like another format is refused unless it is trusted. */
int hv_disk_raw_open (const char *path, int trusted_raw, int flags, int *ret_fd, struct stat *ret_stat, struct hv_err *);
int hv_disk_raw_fill (const char *path, const struct stat *, struct hv_disk_info *ret, struct hv_err *);
int hv_disk_raw_map (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_raw_resize (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_raw_connect (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_raw_disconnect (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_raw_inspect (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_raw_convert (void *, struct hv_call *, const void *, void *, struct hv_err *);

extern const struct hv_plugin hv_disk_raw_plugin;
#endif
