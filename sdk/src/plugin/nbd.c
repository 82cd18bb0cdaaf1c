/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hvkit/nbd.h>
#include <hvkit/tool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEVICES 1024u /* as many as the module makes at most */

static const char no_module[] = "this kernel has no nbd devices: load its module (modprobe nbd), or look at the image with inspect";

/* What the kernel shows of a device that is there, or is in use. */
static int
shows (uint32_t number, const char *what)
{
  char path[64];
  (void) snprintf (path, sizeof path, "/sys/block/nbd%u%s", number, what);
  return access (path, F_OK) == 0;
}

static int
read_device (const char *device, uint32_t *ret, struct hv_err *err)
{
  char again[32];
  unsigned n = DEVICES;
  if (sscanf (device, "/dev/nbd%4u", &n) == 1 && n < DEVICES && snprintf (again, sizeof again, "/dev/nbd%u", n) > 0
      && strcmp (again, device) == 0) {
    *ret = n;
    return shows (n, "") ? 0
                         : hv_err_set (err, HV_E_FAILED_PRECONDITION, "%s", shows (0, "") ? "there is no such device" : no_module);
  }
  return hv_err_set (err, HV_E_INVALID_ARGUMENT, "device '%.60s': /dev/nbd0 and on", device);
}

static int
choose (const struct hv_disk_connect_args *a, uint32_t *ret, struct hv_err *err)
{
  if (HV_HAS (a, device)) {
    int r = read_device (a->device, ret, err);
    return r == 0 && shows (*ret, "/pid") ? hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s' is in use", a->device) : r;
  }
  if (!shows (0, ""))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "%s", no_module);
  for (uint32_t i = 0; shows (i, ""); i++)
    if (!shows (i, "/pid")) {
      *ret = i;
      return 0;
    }
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "all nbd devices are in use: disconnect one");
}

int
hv_nbd_connect (const struct hv_nbd *n, const struct hv_disk_connect_args *a, int32_t fd, const char *format,
                struct hv_disk_connection *ret, struct hv_err *err)
{
  uint32_t number = 0;
  int r = choose (a, &number, err);
  if (r < 0)
    return r;
  char *device = hv_printf (n->host, "/dev/nbd%u", number), *connect = hv_printf (n->host, "--connect=%s", device);
  char *image = hv_printf (n->host, "json:{\"driver\":\"%s\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/3\"}%s}",
                           format, strcmp (format, "qcow2") == 0 ? ",\"backing\":null" : "");
  if (device == NULL || connect == NULL || image == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  const char *args[] = { connect, "--fork", a->read_only ? "--read-only" : "--cache=none", image, NULL };
  const struct hv_tool t = { .host = n->host, .call = n->call, .program = n->qemu_nbd, .args = args, .fds = &fd, .fd_count = 1 };
  r = hv_tool_run (&t, NULL, err);
  HV_SET (ret, path, a->path);
  HV_SET (ret, device, device);
  return r;
}

int
hv_nbd_disconnect (const struct hv_nbd *n, const char *device, struct hv_err *err)
{
  uint32_t number = 0;
  const char *const args[] = { "--disconnect", device, NULL };
  const struct hv_tool t = { .host = n->host, .call = n->call, .program = n->qemu_nbd, .args = args };
  int r = read_device (device, &number, err);
  if (r == 0 && !shows (number, "/pid"))
    r = hv_err_set (err, HV_E_NOT_FOUND, "'%s' shows no image", device);
  return r < 0 ? r : hv_tool_run (&t, NULL, err);
}
