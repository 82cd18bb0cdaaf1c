/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk/1's connect and disconnect, for any format: an image as a block device of the node, by qemu-nbd and the kernel's nbd module.
 * In libhvkit-plugin. */
#ifndef HVKIT_NBD_H
#define HVKIT_NBD_H
#include <hvkit/iface/disk.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_NBD_CONFIG(F, T) \
  F (T, STR, _, qemu_nbd, HV_PATH, "program that shows images as block devices", .def = "/usr/bin/qemu-nbd", .max = 4096)

struct hv_nbd {
  struct hv_host *host;
  struct hv_call *call;
  const char *qemu_nbd;
};

/* [coro] Shows the image that is open as `fd`, which stands alone; `format` is its word. qemu-nbd goes on by itself, whatever becomes
 * of the daemon, until it is disconnected. FAILED_PRECONDITION: the kernel has no such devices, or the one that is asked for is in
 * use; RESOURCE_EXHAUSTED: all are. */
int hv_nbd_connect (const struct hv_nbd *, const struct hv_disk_connect_args *, int32_t fd, const char *format,
                    struct hv_disk_connection *ret, struct hv_err *err);
/* [coro] NOT_FOUND: it shows nothing. */
int hv_nbd_disconnect (const struct hv_nbd *, const char *device, struct hv_err *err);

#ifdef __cplusplus
}
#endif
#endif
