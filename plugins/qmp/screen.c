/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pictures of the screen. QEMU writes into a file without a name that we gave it. */
#include "qmp.h"
#include <errno.h>
#include <fcntl.h>
#include <hvkit/file.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PICTURE_MS  10000u
#define PICTURE_MAX (12u << 20) /* fits into an answer */
#define PICTURE_SET 1000000     /* its fdset; ids below belong to the machine */

struct picture {
  int write_fd, read_fd;
  uint8_t *data;
  uint64_t size;
  struct hv_err *err;
};

/* Two descriptors of one file: QEMU opens an fdset only in the very mode that it has. */
static int
picture_open (struct qmp_vm *vm, struct picture *p, struct hv_err *err)
{
  char path[64];
  HV_CLEAN (hv_free) char *dir = qmp_path (vm, "");
  p->write_fd = dir != NULL ? open (dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600) : -1;
  if (p->write_fd < 0)
    return hv_err_sys (err, errno, "file for the picture");
  (void) snprintf (path, sizeof path, "/proc/self/fd/%d", p->write_fd);
  p->read_fd = open (path, O_RDONLY | O_CLOEXEC);
  return p->read_fd < 0 ? hv_err_sys (err, errno, "file for the picture") : 0;
}

static int
picture_read (void *arg)
{
  struct picture *p = arg;
  struct stat st;
  if (fstat (p->read_fd, &st) < 0)
    return hv_err_sys (p->err, errno, "picture");
  if (st.st_size <= 0 || st.st_size > (off_t) PICTURE_MAX)
    return hv_err_set (p->err, HV_E_RESOURCE_EXHAUSTED, "a picture of %lld bytes; the limit is %u", (long long) st.st_size,
                       PICTURE_MAX);
  p->data = malloc ((size_t) st.st_size);
  if (p->data == NULL)
    return hv_err_set (p->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  p->size = (uint64_t) st.st_size;
  return hv_file_read (p->read_fd, p->data, p->size, 0, p->err);
}

static int
picture_take (struct qmp_vm *vm, struct picture *p, const char *format, struct hv_err *err)
{
  HV_CLEAN (json) json_t *set = json_pack ("{s:I}", "fdset-id", (json_int_t) PICTURE_SET);
  HV_CLEAN (json) json_t *how = json_pack ("{s:s, s:s}", "filename", "/dev/fdset/1000000", "format", format);
  int r = qmp_control_add_fd (vm, PICTURE_SET, p->write_fd, "picture", NULL, err);
  if (r < 0)
    return r;
  r = qmp_control_ask (vm, "screendump", how, PICTURE_MS, NULL, err);
  (void) qmp_control_ask (vm, "remove-fd", set, vm->qmp->config->command_ms, NULL, NULL);
  if (r == HV_E_FAILED_PRECONDITION && strcmp (format, "png") == 0)
    return hv_err_wrap (err, r, "picture (ppm is always had)");
  return r == 0 ? hv_offload (vm->qmp->host, picture_read, p, err) : r;
}

static uint32_t
be32 (const uint8_t *p)
{
  return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

/* As the picture itself says. */
static int
picture_size (const struct picture *p, uint32_t *ret_width, uint32_t *ret_height)
{
  unsigned width, height;
  char head[33] = "";
  memcpy (head, p->data, p->size < 32 ? p->size : 32);
  if (p->size >= 24 && memcmp (p->data, "\x89PNG\r\n\x1a\n", 8) == 0) {
    *ret_width = be32 (p->data + 16);
    *ret_height = be32 (p->data + 20);
    return 1;
  }
  if (sscanf (head, "P6 %9u %9u", &width, &height) != 2)
    return 0;
  *ret_width = width;
  *ret_height = height;
  return 1;
}

static int
picture_answer (struct qmp_vm *vm, const struct picture *p, uint32_t format, struct hv_screenshot *ret, struct hv_err *err)
{
  uint8_t *copy = hv_alloc (vm->qmp->host, p->size);
  if (copy == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  memcpy (copy, p->data, p->size);
  ret->picture = (struct hv_bin){ copy, p->size };
  ret->format = format;
  ret->has.picture = ret->has.format = 1;
  ret->has.width = ret->has.height = (uint8_t) picture_size (p, &ret->width, &ret->height);
  return ret->has.width ? 0 : hv_err_set (err, HV_E_INTERNAL, "QEMU wrote something that is no picture");
}

int
qmp_screenshot (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_screenshot_args *a = args;
  struct picture p = { .write_fd = -1, .read_fd = -1, .err = err };
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_need_running (vm, err);
  if (r == 0 && !vm->has_vnc)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is defined without a display", vm->name);
  if (r == 0)
    r = picture_open (vm, &p, err);
  if (r == 0)
    r = picture_take (vm, &p, hv_screenshot_format_words[a->format], err);
  if (r == 0)
    r = picture_answer (vm, &p, a->format, result, err);
  free (p.data);
  if (p.write_fd >= 0)
    (void) close (p.write_fd);
  if (p.read_fd >= 0)
    (void) close (p.read_fd);
  return r;
}
