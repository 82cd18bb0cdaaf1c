/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's table, for entry.c and for tests that run it in the fake host. */
#ifndef HV_DISK_QCOW2_H
#define HV_DISK_QCOW2_H
#include <hvkit/iface/disk.h>
#include <hvkit/inspect.h>
#include <hvkit/nbd.h>
#include <hvkit/plugin.h>

#define DISK_CONFIG(F, T) \
  F (T, STRS, _, directories, 0, "images are touched below these only; absent: anywhere", .max = 64) \
  F (T, STR, _, qemu_img, HV_PATH, "program that changes images in place", .def = "/usr/bin/qemu-img", .max = 4096) \
  HV_INSPECT_CONFIG (F, T) \
  HV_NBD_CONFIG (F, T)
HV_RECORD_STRUCT (disk_qcow2_config, DISK_CONFIG);

struct disk_qcow2 {
  struct hv_host *host;
  const struct disk_qcow2_config *config;
};

extern const struct hv_plugin hv_disk_qcow2_plugin;
extern const struct hv_method hv_disk_qcow2_import; /* a verb of our own: a raw image into a qcow2 one, for disk-raw */

int hv_disk_qcow2_allowed (const struct disk_qcow2 *, const char *path, struct hv_err *);
/* Of an image that was just made. [coro] */
int hv_disk_qcow2_describe (struct disk_qcow2 *, const char *path, void *ret_info, struct hv_err *);
int hv_disk_qcow2_map (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_qcow2_resize (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_qcow2_commit (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_qcow2_rebase (void *, struct hv_call *, const void *, void *, struct hv_err *);
/* rebase, of the header alone. [coro] */
int hv_disk_qcow2_rename_base (struct disk_qcow2 *, struct hv_call *, const struct hv_disk_rebase_args *, struct hv_err *);
int hv_disk_qcow2_connect (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_qcow2_disconnect (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_qcow2_inspect (void *, struct hv_call *, const void *, void *, struct hv_err *);
int hv_disk_qcow2_convert (void *, struct hv_call *, const void *, void *, struct hv_err *);
#endif
