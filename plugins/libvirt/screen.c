/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A picture of the screen. What libvirt gives goes by its version and QEMU's: a PNG or a PPM; who wants the other one gets it made.
 */
#include "op.h"
#include <png.h>
#include <stdio.h>
#include <string.h>

#define PICTURE_MAX (64u << 20)

static int
sink (virStreamPtr st, const char *data, size_t size, void *opaque)
{
  (void) st;
  FILE *out = opaque;
  if (ftello (out) + (off_t) size > (off_t) PICTURE_MAX)
    return -1;
  return fwrite (data, 1, size, out) == size ? (int) size : -1;
}

/* ret: the bytes, out[0]: how many. */
static int
screen_run (struct lv_work *w)
{
  struct lv_op *op = LV_OP (w);
  size_t size = 0;
  virStreamPtr st = virStreamNew (w->conn, 0);
  FILE *out = open_memstream (&op->ret, &size);
  char *mime = st != NULL && out != NULL ? virDomainScreenshot (w->dom, st, 0, 0) : NULL;
  int r = mime == NULL || virStreamRecvAll (st, sink, out) < 0 ? lv_work_fail (w) : 0;
  if (r == 0)
    (void) virStreamFinish (st);
  else if (mime != NULL)
    (void) virStreamAbort (st);
  if (out != NULL)
    (void) fclose (out);
  if (st != NULL)
    (void) virStreamFree (st);
  free (mime);
  op->out[0] = size;
  return r;
}

/* P6, width, height, 255, and three bytes for every pixel. Where those begin; 0: it is none. */
static size_t
ppm_read (const char *data, size_t size, uint32_t *ret_width, uint32_t *ret_height)
{
  unsigned width, height, most;
  int n = 0;
  char head[64];
  (void) snprintf (head, sizeof head, "%.*s", (int) (size < 63 ? size : 63), data);
  if (sscanf (head, "P6 %5u %5u %3u%n", &width, &height, &most, &n) != 3 || most != 255 || width == 0 || height == 0)
    return 0;
  size_t at = (size_t) n + 1;
  if (at > size || (size - at) / 3 / width < height)
    return 0;
  *ret_width = width;
  *ret_height = height;
  return at;
}

struct picture {
  uint32_t width, height;
  const char *pixels; /* three bytes each; the call's, or the work's */
};

static int
png_decode (struct hv_host *h, const char *data, size_t size, struct picture *ret)
{
  png_image image = { .version = PNG_IMAGE_VERSION };
  if (!png_image_begin_read_from_memory (&image, data, size))
    return -1;
  image.format = PNG_FORMAT_RGB;
  void *pixels = PNG_IMAGE_SIZE (image) <= PICTURE_MAX ? hv_alloc (h, PNG_IMAGE_SIZE (image)) : NULL;
  if (pixels == NULL || !png_image_finish_read (&image, NULL, pixels, 0, NULL)) {
    png_image_free (&image);
    return -1;
  }
  *ret = (struct picture){ image.width, image.height, pixels };
  return 0;
}

static int
decode (struct hv_host *h, const char *data, size_t size, struct picture *ret)
{
  if (size > 8 && memcmp (data, "\x89PNG", 4) == 0)
    return png_decode (h, data, size, ret);
  size_t at = ppm_read (data, size, &ret->width, &ret->height);
  ret->pixels = data + at;
  return at > 0 ? 0 : -1;
}

static int
png_encode (struct hv_host *h, const struct picture *p, struct hv_bin *ret)
{
  png_image image = { .version = PNG_IMAGE_VERSION, .width = p->width, .height = p->height, .format = PNG_FORMAT_RGB };
  png_alloc_size_t size = 0;
  if (!png_image_write_to_memory (&image, NULL, &size, 0, p->pixels, 0, NULL))
    return -1;
  void *bytes = hv_alloc (h, size);
  if (bytes == NULL || !png_image_write_to_memory (&image, bytes, &size, 0, p->pixels, 0, NULL))
    return -1;
  *ret = (struct hv_bin){ bytes, size };
  return 0;
}

static int
ppm_encode (struct hv_host *h, const struct picture *p, struct hv_bin *ret)
{
  char head[48];
  int n = snprintf (head, sizeof head, "P6\n%u %u\n255\n", p->width, p->height);
  size_t size = (size_t) p->width * p->height * 3;
  char *bytes = hv_alloc (h, (uint64_t) n + size);
  if (bytes == NULL)
    return -1;
  (void) memcpy (bytes, head, (size_t) n);
  (void) memcpy (bytes + n, p->pixels, size);
  *ret = (struct hv_bin){ (uint8_t *) bytes, (uint64_t) n + size };
  return 0;
}

int
lv_screenshot (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_screenshot_args *a = args;
  struct hv_screenshot *ret = result;
  struct lv *lv = self;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (lv, a->vm, err);
  struct picture p = { 0 };
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r < 0)
    return r;
  if (vm->facts->vnc_path == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is defined without a display", vm->name);
  HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (screen_run, "screenshot of VM", 0, NULL, NULL);
  r = lv_op_run (vm, op, 0, err);
  if (r < 0)
    return r;
  if (decode (lv->host, op->ret, op->out[0], &p) < 0)
    return hv_err_set (err, HV_E_INTERNAL, "screenshot of VM '%s': libvirt gave no picture that can be read", vm->name);
  int png = strcmp (hv_screenshot_format_words[a->format], "png") == 0;
  if ((png ? png_encode (lv->host, &p, &ret->picture) : ppm_encode (lv->host, &p, &ret->picture)) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  ret->has.picture = 1;
  HV_SET (ret, format, a->format);
  HV_SET (ret, width, p.width);
  HV_SET (ret, height, p.height);
  return 0;
}
