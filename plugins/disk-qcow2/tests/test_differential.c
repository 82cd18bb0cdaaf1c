/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is written here against qemu-img, and what qemu-img writes against the reader and the check. */
#include "core/err/err.h"
#include "plugins/disk-qcow2/check.h"
#include "plugins/disk-qcow2/image.h"
#include "plugins/disk-qcow2/tests/qemu.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after those */
#include <cmocka.h>

struct world {
  char *dir;
  struct hv_err *err;
  char path[3][256];
};

static int
setup (void **state)
{
  struct world *w = calloc (1, sizeof *w);
  w->dir = hv_test_dir ();
  w->err = hv_error_new ();
  for (int i = 0; i < 3; i++)
    snprintf (w->path[i], sizeof w->path[i], "%s/%c.img", w->dir, 'a' + i);
  *state = w;
  return 0;
}

static int
teardown (void **state)
{
  struct world *w = *state;
  hv_test_dir_remove (w->dir);
  hv_err_free (w->err);
  free (w);
  return 0;
}

#define A(w) ((w)->path[0])
#define B(w) ((w)->path[1])

static void
must (struct world *w, int rc, const char *what)
{
  if (rc != 0)
    fail_msg ("%s: %d %s", what, rc, hv_err_message (w->err));
}

/* --- what qemu-img says --- */

static void
qemu_img_agrees (const char *path, int code)
{
  int got = RUN ("qemu-img", "check", "-q", "-f", "qcow2", path);
  if (got != code)
    fail_msg ("qemu-img check %s: exit code %d, expected %d", path, got, code);
}

static uint64_t
member (json_t *answer, const char *name)
{
  return (uint64_t) json_integer_value (json_object_get (answer, name));
}

static const char *
text_of (json_t *answer, const char *name)
{
  const char *s = json_string_value (json_object_get (answer, name));
  return s == NULL ? "" : s;
}

static int
truth_of (json_t *answer, const char *name)
{
  return json_is_true (json_object_get (answer, name));
}

/* qemu-img info and the reader have to agree in everything. */
static void
expect_same_info (struct world *w, const char *path)
{
  struct hv_qcow2_image image;
  must (w, hv_qcow2_image_open (path, &image, w->err), path);
  json_t *info = RUN_JSON (NULL, "qemu-img", "info", "-U", "-f", "qcow2", "--output=json", path);
  json_t *data = json_object_get (json_object_get (info, "format-specific"), "data");
  const struct hv_qcow2_header *h = &image.header;
  assert_non_null (data);
  assert_int_equal (h->size_bytes, member (info, "virtual-size"));
  assert_int_equal (1u << h->cluster_bits, member (info, "cluster-size"));
  assert_int_equal ((uint64_t) image.stat.st_blocks * 512, member (info, "actual-size"));
  assert_int_equal (h->refcount_bits, member (data, "refcount-bits"));
  assert_string_equal (h->version == 2 ? "0.10" : "1.1", text_of (data, "compat"));
  assert_string_equal (h->zstd ? "zstd" : "zlib", text_of (data, "compression-type"));
  assert_string_equal (h->backing, text_of (info, "backing-filename"));
  assert_string_equal (h->backing_format, text_of (info, "backing-filename-format"));
  assert_int_equal ((h->compatible & HV_QCOW2_LAZY_REFCOUNT) != 0, truth_of (data, "lazy-refcounts"));
  assert_int_equal ((h->incompatible & HV_QCOW2_EXTENDED_L2) != 0, truth_of (data, "extended-l2"));
  assert_int_equal ((h->incompatible & HV_QCOW2_CORRUPT) != 0, truth_of (data, "corrupt"));
  assert_int_equal ((h->incompatible & HV_QCOW2_DIRTY) != 0, truth_of (info, "dirty-flag"));
  assert_int_equal (h->snapshots, json_array_size (json_object_get (info, "snapshots")));
  json_decref (info);
  hv_qcow2_image_close (&image);
}

/* --- our check beside qemu-img's --- */

static struct hv_qcow2_findings
check (struct world *w, const char *path)
{
  struct hv_qcow2_image image;
  struct hv_qcow2_check *c = NULL;
  int rc;
  must (w, hv_qcow2_image_open (path, &image, w->err), path);
  must (w, hv_qcow2_check_new (&image, &c, w->err), path);
  while ((rc = hv_qcow2_check_step (c, w->err)) == 1) {
  }
  must (w, rc, path);
  struct hv_qcow2_findings found = *hv_qcow2_check_findings (c);
  hv_qcow2_check_free (c);
  hv_qcow2_image_close (&image);
  return found;
}

static void
expect_same_check (struct world *w, const char *path)
{
  struct hv_qcow2_findings found = check (w, path);
  json_t *answer = RUN_JSON (NULL, "qemu-img", "check", "-f", "qcow2", "--output=json", path);
  assert_non_null (answer);
  uint64_t leaks = member (answer, "leaks"), corruptions = member (answer, "corruptions");
  if (found.leaked_clusters != leaks || (found.errors != 0) != (corruptions != 0))
    fail_msg ("%s: %u leaks and %u errors (%s), qemu-img: %u and %u", path, (unsigned) found.leaked_clusters,
              (unsigned) found.errors, found.text[0], (unsigned) leaks, (unsigned) corruptions);
  json_decref (answer);
}

/* --- images written here --- */

static const uint64_t clusters[] = { 512, 1024, 4096, 65536, 262144, 2u << 20 };
static const uint64_t sizes[]
    = { 512, 1024, 65536, 65536 + 512, 1u << 20, (1ull << 30) - 512, 1ull << 30, 25ull << 30, 1ull << 40, 8ull << 40 };

static int
fits (uint64_t size, uint64_t cluster)
{
  return size / (cluster * (cluster / 8)) < 4u << 20;
}

static void
test_create_matrix (void **state)
{
  struct world *w = *state;
  for (size_t c = 0; c < sizeof clusters / sizeof clusters[0]; c++)
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
      struct hv_qcow2_new what = { .path = A (w), .size_bytes = sizes[s], .cluster_bytes = clusters[c] };
      struct hv_qcow2_image made;
      if (!fits (sizes[s], clusters[c]))
        continue;
      must (w, hv_qcow2_image_make (&what, &made, w->err), "make");
      expect_same_info (w, A (w));
      expect_same_check (w, A (w));
      qemu_img_agrees (A (w), 0);
      assert_int_equal (unlink (A (w)), 0);
    }
}

/* A guest's writes, read back through QEMU, at both ends of the disk. */
static void
test_written_images_take_writes (void **state)
{
  struct world *w = *state;
  for (size_t c = 0; c < sizeof clusters / sizeof clusters[0]; c++) {
    struct hv_qcow2_new what = { .path = A (w), .size_bytes = 64u << 20, .cluster_bytes = clusters[c] };
    struct hv_qcow2_image made;
    must (w, hv_qcow2_image_make (&what, &made, w->err), "make");
    assert_int_equal (RUN ("qemu-io", "-f", "qcow2", "-c", "write -P 17 0 3M", "-c", "write -P 18 60M 4M", A (w)), 0);
    assert_int_equal (
        RUN ("qemu-io", "-f", "qcow2", "-c", "read -P 17 0 3M", "-c", "read -P 0 3M 57M", "-c", "read -P 18 60M 4M", A (w)), 0);
    qemu_img_agrees (A (w), 0);
    expect_same_info (w, A (w));
    expect_same_check (w, A (w));
    assert_int_equal (unlink (A (w)), 0);
  }
}

static void
make_overlay (struct world *w, const char *path, const char *base, int base_is_qcow2, uint64_t cluster)
{
  struct hv_qcow2_new what = { .path = path, .cluster_bytes = cluster, .backing = base, .backing_is_qcow2 = base_is_qcow2 };
  struct hv_qcow2_image made;
  must (w, hv_qcow2_image_make (&what, &made, w->err), "overlay");
  expect_same_info (w, path);
  qemu_img_agrees (path, 0);
}

static void
test_overlay_over_qcow2 (void **state)
{
  struct world *w = *state;
  static const char *const options[]
      = { "compat=0.10",         "compat=1.1",       "lazy_refcounts=on", "extended_l2=on",  "compression_type=zstd",
          "refcount_bits=1",     "refcount_bits=64", "cluster_size=512",  "cluster_size=2M", "preallocation=metadata",
          "preallocation=falloc" };
  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
    assert_int_equal (RUN ("qemu-img", "create", "-q", "-f", "qcow2", "-o", options[i], A (w), "20M"), 0);
    assert_int_equal (RUN ("qemu-io", "-f", "qcow2", "-c", "write -P 5 1M 1M", A (w)), 0);
    expect_same_info (w, A (w));
    expect_same_check (w, A (w));
    make_overlay (w, B (w), A (w), 1, 65536);
    assert_int_equal (RUN ("qemu-io", "-f", "qcow2", "-c", "read -P 5 1M 1M", "-c", "write -P 6 10M 1M", B (w)), 0);
    qemu_img_agrees (B (w), 0);
    assert_int_equal (unlink (A (w)) + unlink (B (w)), 0);
  }
}

static void
test_overlay_over_raw (void **state)
{
  struct world *w = *state;
  static const uint64_t lengths[] = { 512, 513, 1000000, 3u << 20 };
  for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
    int fd = open (A (w), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    assert_true (fd >= 0 && pwrite (fd, "hello", 5, 0) == 5 && ftruncate (fd, (off_t) lengths[i]) == 0);
    close (fd);
    make_overlay (w, B (w), A (w), 0, 65536);
    struct hv_qcow2_image image;
    must (w, hv_qcow2_image_open (B (w), &image, w->err), "open");
    hv_qcow2_image_close (&image);
    assert_int_equal (image.header.size_bytes, (lengths[i] + 511) / 512 * 512);
    assert_int_equal (RUN ("qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", A (w), B (w)), 0);
    assert_int_equal (unlink (A (w)) + unlink (B (w)), 0);
  }
}

static void
test_overlay_chain_and_size (void **state)
{
  struct world *w = *state;
  struct hv_qcow2_image made;
  struct hv_qcow2_new what = { .path = A (w), .size_bytes = 8u << 20, .cluster_bytes = 4096 };
  must (w, hv_qcow2_image_make (&what, &made, w->err), "make");
  make_overlay (w, B (w), A (w), 1, 512);
  make_overlay (w, w->path[2], B (w), 1, 2u << 20);
  assert_int_equal (unlink (w->path[2]), 0);
  what = (struct hv_qcow2_new){
    .path = w->path[2], .size_bytes = 4u << 20, .cluster_bytes = 65536, .backing = B (w), .backing_is_qcow2 = 1
  };
  assert_int_equal (hv_qcow2_image_make (&what, &made, w->err), HV_E_INVALID_ARGUMENT); /* smaller than its base */
  what.size_bytes = 16u << 20;
  must (w, hv_qcow2_image_make (&what, &made, w->err), "larger");
  assert_int_equal (made.header.size_bytes, 16u << 20);
  assert_int_equal (hv_qcow2_image_make (&what, &made, w->err), HV_E_ALREADY_EXISTS);
}

/* --- images that QEMU wrote and used --- */

static void
test_check_of_used_images (void **state)
{
  struct world *w = *state;
  static const char *const options[] = { "compat=0.10",     "cluster_size=512", "cluster_size=4k", "extended_l2=on",
                                         "refcount_bits=2", "refcount_bits=32", "compat=1.1" };
  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
    assert_int_equal (RUN ("qemu-img", "create", "-q", "-f", "qcow2", "-o", options[i], A (w), "40M"), 0);
    assert_int_equal (RUN ("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 2M", "-c", "write -z 3M 1M", "-c",
                           "write -P 2 30000k 700k", "-c", "discard 1M 256k", A (w)),
                      0);
    assert_int_equal (RUN ("qemu-img", "snapshot", "-c", "one", A (w)), 0);
    assert_int_equal (RUN ("qemu-io", "-f", "qcow2", "-c", "write -P 3 512k 2M", A (w)), 0);
    expect_same_info (w, A (w));
    expect_same_check (w, A (w));
    assert_int_equal (check (w, A (w)).errors, 0);
    assert_int_equal (unlink (A (w)), 0);
  }
}

static void
test_check_of_compressed_images (void **state)
{
  struct world *w = *state;
  static const char *const options[] = { "compression_type=zlib", "compression_type=zstd", "cluster_size=4k", "cluster_size=2M" };
  assert_int_equal (RUN ("qemu-img", "create", "-q", "-f", "raw", A (w), "12M"), 0);
  assert_int_equal (RUN ("qemu-io", "-f", "raw", "-c", "write -P 1 0 5M", "-c", "write -P 9 7M 3M", A (w)), 0);
  for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
    assert_int_equal (RUN ("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options[i], A (w), B (w)), 0);
    expect_same_info (w, B (w));
    expect_same_check (w, B (w));
    assert_int_equal (check (w, B (w)).errors, 0);
    assert_int_equal (unlink (B (w)), 0);
  }
}

static void
test_check_of_bitmaps (void **state)
{
  struct world *w = *state;
  assert_int_equal (RUN ("qemu-img", "create", "-q", "-f", "qcow2", A (w), "100M"), 0);
  assert_int_equal (RUN ("qemu-img", "bitmap", "--add", "-g", "64k", "-f", "qcow2", A (w), "b0"), 0);
  assert_int_equal (RUN ("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 9M", A (w)), 0);
  assert_int_equal (RUN ("qemu-img", "bitmap", "--add", "-f", "qcow2", A (w), "b1"), 0);
  expect_same_info (w, A (w));
  expect_same_check (w, A (w));
  struct hv_qcow2_findings found = check (w, A (w));
  assert_int_equal (found.errors + found.leaked_clusters, 0);
}

/* The check sees what is wrong: refcounts and entries spoiled one at a time, judged as qemu-img does. */
static void
poke (const char *path, uint64_t at, const void *bytes, size_t n)
{
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  assert_true (fd >= 0 && pwrite (fd, bytes, n, (off_t) at) == (ssize_t) n);
  close (fd);
}

static void
test_check_finds_damage (void **state)
{
  struct world *w = *state;
  /* 64 KiB clusters as qemu-img lays them out: 0 header, 1 refcount table, 2 refcount block, 3 L1, 4 L2, 5… data */
  static const struct {
    uint64_t at;
    uint8_t bytes[8];
    uint32_t n;
    int errors, leaks;
  } damage[] = {
    { 0x20000 + 2 * 5, { 0, 0 }, 2, 1, 0 },                 /* used, refcount 0 */
    { 0x20000 + 2 * 5, { 0, 2 }, 2, 1, 1 },                 /* counted twice, and copied set */
    { 0x40000, { 0, 0, 0, 0, 0, 0, 0, 0 }, 8, 0, 1 },       /* its data cluster is lost */
    { 0x40000, { 0x80, 0, 0, 0, 0, 5, 2, 0 }, 8, 1, 1 },    /* not aligned */
    { 0x40000, { 0x80, 0, 0x7f, 0, 0, 5, 0, 0 }, 8, 1, 1 }, /* beyond the end */
    { 0x40000, { 0x00, 0, 0, 0, 0, 5, 0, 0 }, 8, 1, 0 },    /* copied not set */
    { 0x40000, { 0x80, 0, 0, 0, 0, 6, 0, 0 }, 8, 1, 1 },    /* two entries, one cluster */
    { 0x30000, { 0x80, 0, 0, 0, 0, 3, 0, 0 }, 8, 1, 1 },    /* an L1 table that contains itself */
    { 0x30000, { 0x80, 0, 0, 0, 0, 4, 0, 1 }, 8, 1, 0 },    /* reserved bit */
    { 0x10000, { 0, 0, 0, 0, 0, 2, 2, 0 }, 8, 1, 0 },       /* refcount block not aligned */
  };
  for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
    assert_int_equal (RUN ("qemu-img", "create", "-q", "-f", "qcow2", A (w), "40M"), 0);
    assert_int_equal (RUN ("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 320k", A (w)), 0);
    poke (A (w), damage[i].at, damage[i].bytes, damage[i].n);
    struct hv_qcow2_findings found = check (w, A (w));
    if ((found.errors != 0) != damage[i].errors || (damage[i].leaks && found.leaked_clusters == 0) || found.count == 0)
      fail_msg ("damage %u: %u errors, %u leaks", (unsigned) i, (unsigned) found.errors, (unsigned) found.leaked_clusters);
    int code = RUN ("qemu-img", "check", "-q", "-f", "qcow2", A (w));
    if (code != 2 && code != 1 && damage[i].errors) /* 1: it gave up */
      fail_msg ("damage %u: qemu-img check exits with %d", (unsigned) i, code);
    assert_int_equal (unlink (A (w)), 0);
  }
}

#define TEST(fn) cmocka_unit_test_setup_teardown (fn, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (test_create_matrix),
    TEST (test_written_images_take_writes),
    TEST (test_overlay_over_qcow2),
    TEST (test_overlay_over_raw),
    TEST (test_overlay_chain_and_size),
    TEST (test_check_of_used_images),
    TEST (test_check_of_compressed_images),
    TEST (test_check_of_bitmaps),
    TEST (test_check_finds_damage),
  };
  return cmocka_run_group_tests_name ("qcow2 and qemu-img", tests, NULL, NULL);
}
