/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The header reader under damaged and hostile bytes, and the writer against the reader. */
#include "core/err/err.h"
#include "plugins/disk-qcow2/header.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after those */
#include <cmocka.h>

#define ROOM (8u << 10)

struct image {
  uint8_t bytes[ROOM];
  uint64_t n, file_bytes;
  struct hv_qcow2_header h;
  uint64_t need;
  struct hv_err *err;
};

static int
setup (void **state)
{
  struct image *t = calloc (1, sizeof *t);
  struct hv_qcow2_layout l;
  t->err = hv_error_new ();
  assert_int_equal (hv_qcow2_layout_make (10ull << 30, 65536, &l, t->err), 0);
  int n = hv_qcow2_header_write (&l, "/images/base.img", "raw", t->bytes, t->err);
  assert_true (n > 0);
  t->n = ROOM;
  t->file_bytes = l.clusters << l.cluster_bits;
  *state = t;
  return 0;
}

static int
teardown (void **state)
{
  struct image *t = *state;
  hv_err_free (t->err);
  free (t);
  return 0;
}

/* The bytes are copied to where ASan sees a read past their end. */
static int
read_it (struct image *t)
{
  uint8_t *exact = malloc (t->n == 0 ? 1 : t->n);
  assert_non_null (exact);
  memcpy (exact, t->bytes, t->n);
  int rc = hv_qcow2_header_read (exact, t->n, t->file_bytes, &t->h, &t->need, t->err);
  free (exact);
  return rc;
}

static void
expect (struct image *t, int code, const char *text)
{
  int rc = read_it (t);
  if (rc != code || strstr (hv_err_message (t->err), text) == NULL)
    fail_msg ("got %d '%s', expected %d '%s'", rc, hv_err_message (t->err), code, text);
}

static void
test_reads_what_was_written (void **state)
{
  struct image *t = *state;
  assert_int_equal (read_it (t), 0);
  assert_int_equal (t->h.version, 3);
  assert_int_equal (t->h.size_bytes, 10ull << 30);
  assert_int_equal (t->h.cluster_bits, 16);
  assert_int_equal (t->h.refcount_bits, 16);
  assert_string_equal (t->h.backing, "/images/base.img");
  assert_string_equal (t->h.backing_format, "raw");
}

static void
test_layouts_count_every_cluster (void **state)
{
  struct image *t = *state;
  static const uint64_t sizes[] = { 0, 512, 65536, 1ull << 30, (1ull << 30) + 512, 25ull << 30, 8ull << 40, 64ull << 40 };
  for (uint64_t cluster = 512; cluster <= 2u << 20; cluster *= 2)
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
      struct hv_qcow2_layout l;
      if (hv_qcow2_layout_make (sizes[i], cluster, &l, t->err) != 0) {
        assert_true (sizes[i] / (cluster * (cluster / 8)) >= 4u << 20);
        continue;
      }
      assert_int_equal (l.clusters, 1 + l.reftable_clusters + l.refblocks + l.l1_clusters);
      assert_true (l.refblocks * (cluster / 2) >= l.clusters);
      assert_true (l.reftable_clusters * (cluster / 8) >= l.refblocks);
      assert_true ((uint64_t) l.l1_entries * (cluster / 8) * cluster >= sizes[i]);
    }
}

static void
test_layout_refuses (void **state)
{
  struct image *t = *state;
  struct hv_qcow2_layout l;
  assert_int_equal (hv_qcow2_layout_make (1 << 20, 1000, &l, t->err), HV_E_INVALID_ARGUMENT);
  assert_int_equal (hv_qcow2_layout_make (1 << 20, 256, &l, t->err), HV_E_INVALID_ARGUMENT);
  assert_int_equal (hv_qcow2_layout_make (1 << 20, 4u << 20, &l, t->err), HV_E_INVALID_ARGUMENT);
  assert_int_equal (hv_qcow2_layout_make (1ull << 40, 512, &l, t->err), HV_E_OUT_OF_RANGE);
  assert_non_null (strstr (hv_err_message (t->err), "at least 2048"));
  assert_int_equal (hv_qcow2_layout_make (UINT64_MAX, 65536, &l, t->err), HV_E_OUT_OF_RANGE);
}

/* Whatever a file is cut to, it is an error (or a wish for more bytes of a longer file), never a read past the end. */
static void
test_truncated_at_every_byte (void **state)
{
  struct image *t = *state;
  for (uint64_t n = 0; n < 200; n++) {
    t->n = n;
    t->file_bytes = n;
    int rc = read_it (t);
    if (rc != (n < 4 ? HV_E_INVALID_ARGUMENT : HV_E_DATA_LOSS))
      fail_msg ("cut to %u bytes: %d %s", (unsigned) n, rc, hv_err_message (t->err));
  }
}

static void
test_asks_for_more_bytes (void **state)
{
  struct image *t = *state;
  for (uint64_t n = 4; n < 160; n++) {
    t->n = n;
    int rc = read_it (t);
    if (rc == 1)
      assert_true (t->need > n && t->need <= 65536);
    else
      assert_int_equal (rc, 0);
  }
}

static void
test_every_byte_changed (void **state)
{
  struct image *t = *state;
  for (uint32_t at = 0; at < 200; at++)
    for (uint32_t bit = 0; bit < 8; bit++) {
      t->bytes[at] ^= (uint8_t) (1u << bit);
      int rc = read_it (t); /* ASan and UBSan watch */
      assert_true (rc == 0 || rc == 1 || (rc < 0 && hv_err_message (t->err)[0] != '\0'));
      t->bytes[at] ^= (uint8_t) (1u << bit);
    }
}

struct change {
  uint32_t at, size; /* 4 or 8 */
  uint64_t value;
  int code;
  const char *text;
};

static void
put (struct image *t, uint32_t at, uint32_t size, uint64_t value)
{
  if (size == 8)
    hv_put_be64 (t->bytes + at, value);
  else
    hv_put_be32 (t->bytes + at, (uint32_t) value);
}

static const struct change changes[] = {
  { 0, 4, 0x51464900, HV_E_INVALID_ARGUMENT, "not a qcow2 image" },
  { 4, 4, 1, HV_E_UNIMPLEMENTED, "version 1" },
  { 4, 4, 4, HV_E_UNIMPLEMENTED, "version 4" },
  { 20, 4, 8, HV_E_DATA_LOSS, "cluster_bits" },
  { 20, 4, 22, HV_E_DATA_LOSS, "cluster_bits" },
  { 20, 4, UINT32_MAX, HV_E_DATA_LOSS, "cluster_bits" },
  { 8, 8, 70000, HV_E_DATA_LOSS, "first cluster" },
  { 8, 8, UINT64_MAX, HV_E_DATA_LOSS, "first cluster" },
  { 8, 8, 100, HV_E_DATA_LOSS, "first cluster" }, /* over the header itself */
  { 16, 4, 1024, HV_E_DATA_LOSS, "1023" },
  { 16, 4, UINT32_MAX, HV_E_DATA_LOSS, "1023" },
  { 24, 8, 1ull << 50, HV_E_FAILED_PRECONDITION, "virtual size" }, /* 1 PiB in a small file */
  { 24, 8, UINT64_MAX, HV_E_FAILED_PRECONDITION, "virtual size" },
  { 24, 8, 1ull << 40, HV_E_DATA_LOSS, "too short" },
  { 32, 4, 1, HV_E_UNIMPLEMENTED, "AES" },
  { 32, 4, 2, HV_E_UNIMPLEMENTED, "LUKS" },
  { 32, 4, 9, HV_E_UNIMPLEMENTED, "encrypted" },
  { 36, 4, 1, HV_E_DATA_LOSS, "too short" },
  { 36, 4, UINT32_MAX, HV_E_DATA_LOSS, "32 MiB" },
  { 36, 4, 4u << 20, HV_E_DATA_LOSS, "outside of the file" },
  { 40, 8, 65537, HV_E_DATA_LOSS, "not aligned" },
  { 40, 8, 1ull << 40, HV_E_DATA_LOSS, "outside of the file" },
  { 40, 8, UINT64_MAX - 65535, HV_E_DATA_LOSS, "outside of the file" }, /* offset + size wraps */
  { 48, 8, 3, HV_E_DATA_LOSS, "refcount table is not aligned" },
  { 48, 8, UINT64_MAX - 65535, HV_E_DATA_LOSS, "refcount table lies outside" },
  { 56, 4, 0, HV_E_DATA_LOSS, "missing" },
  { 56, 4, 129, HV_E_DATA_LOSS, "8 MiB" },
  { 56, 4, UINT32_MAX, HV_E_DATA_LOSS, "8 MiB" },
  { 60, 4, 65537, HV_E_DATA_LOSS, "snapshots" },
  { 60, 4, 65536, HV_E_DATA_LOSS, "snapshot table lies outside" },
  { 72, 8, 1u << 2, HV_E_FAILED_PRECONDITION, "external file" },
  { 72, 8, 1u << 5, HV_E_UNIMPLEMENTED, "feature 5" },
  { 72, 8, 1ull << 63, HV_E_UNIMPLEMENTED, "feature 63" },
  { 72, 8, 1u << 3, HV_E_DATA_LOSS, "compression" },
  { 96, 4, 7, HV_E_DATA_LOSS, "refcount_order" },
  { 96, 4, UINT32_MAX, HV_E_DATA_LOSS, "refcount_order" },
  { 100, 4, 96, HV_E_DATA_LOSS, "header_length" },
  { 100, 4, 108, HV_E_DATA_LOSS, "header_length" },
  { 100, 4, UINT32_MAX & ~7u, HV_E_DATA_LOSS, "header_length" },
  { 104, 4, 1u << 24, HV_E_DATA_LOSS, "compression" },
  { 104, 4, 9u << 24, HV_E_UNIMPLEMENTED, "compression type 9" },
  { 116, 4, UINT32_MAX, HV_E_DATA_LOSS, "extension" },
  { 116, 4, 16, HV_E_DATA_LOSS, "" },
  { 116, 4, 0, HV_E_DATA_LOSS, "backing format" },
};

static void
test_hostile_fields (void **state)
{
  struct image *t = *state;
  uint8_t sound[ROOM];
  memcpy (sound, t->bytes, ROOM);
  for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
    put (t, changes[i].at, changes[i].size, changes[i].value);
    expect (t, changes[i].code, changes[i].text);
    memcpy (t->bytes, sound, ROOM);
  }
  assert_int_equal (read_it (t), 0);
}

static void
set_backing (struct image *t, const char *name, uint32_t n)
{
  uint64_t at = hv_be64 (t->bytes + 8);
  memcpy (t->bytes + at, name, n);
  hv_put_be32 (t->bytes + 16, n);
}

static void
test_backing_names (void **state)
{
  struct image *t = *state;
  static const struct {
    const char *name;
    uint32_t n;
    int code;
  } names[] = {
    { "json:{\"driver\":\"file\"}", 22, HV_E_FAILED_PRECONDITION },
    { "nbd://host/export", 17, HV_E_FAILED_PRECONDITION },
    { "fat:rw:/etc", 11, HV_E_FAILED_PRECONDITION },
    { "/a\0b", 4, HV_E_FAILED_PRECONDITION },
    { "/a\nb", 4, HV_E_FAILED_PRECONDITION },
    { "/a\xff", 3, HV_E_FAILED_PRECONDITION },
    { "/a\xc3", 3, HV_E_FAILED_PRECONDITION },        /* cut within a character */
    { "/\xe2\x80", 3, HV_E_FAILED_PRECONDITION },     /* likewise */
    { "/\xed\xa0\x80", 4, HV_E_FAILED_PRECONDITION }, /* a surrogate */
    { "/\xc0\xaf", 3, HV_E_FAILED_PRECONDITION },     /* overlong */
    { "/images/a:b", 11, 0 },                         /* a colon after a slash is a plain name */
    { "base.qcow2", 10, 0 },
    { "/bilder/gr\xc3\xbc\xc3\x9f"
      "e",
      15, 0 },
  };
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    set_backing (t, names[i].name, names[i].n);
    int rc = read_it (t);
    if (rc != names[i].code)
      fail_msg ("name %u: %d %s", (unsigned) i, rc, hv_err_message (t->err));
  }
}

static void
test_unknown_feature_is_named (void **state)
{
  struct image *t = *state;
  struct hv_qcow2_layout l;
  assert_int_equal (hv_qcow2_layout_make (1 << 20, 65536, &l, t->err), 0);
  assert_true (hv_qcow2_header_write (&l, NULL, NULL, t->bytes, t->err) > 0);
  hv_put_be32 (t->bytes + 112, 0x6803f857);
  hv_put_be32 (t->bytes + 116, 48);
  t->bytes[120] = 0;
  t->bytes[121] = 7;
  memcpy (t->bytes + 122, "teleport\x1b[31m", 13);
  hv_put_be64 (t->bytes + 72, 1u << 7);
  expect (t, HV_E_UNIMPLEMENTED, "feature 7 'teleport?[31m'");
}

static void
test_name_fills_the_cluster (void **state)
{
  struct image *t = *state;
  struct hv_qcow2_layout l;
  char name[1025];
  memset (name, 'a', sizeof name);
  name[0] = '/';
  name[1024] = '\0';
  assert_int_equal (hv_qcow2_layout_make (1 << 20, 65536, &l, t->err), 0);
  assert_int_equal (hv_qcow2_header_write (&l, name, "qcow2", t->bytes, t->err), HV_E_INVALID_ARGUMENT);
  name[1023] = '\0';
  assert_true (hv_qcow2_header_write (&l, name, "qcow2", t->bytes, t->err) > 0);
  assert_int_equal (read_it (t), 0);
  assert_string_equal (t->h.backing, name);
  assert_int_equal (hv_qcow2_layout_make (1 << 20, 512, &l, t->err), 0);
  assert_int_equal (hv_qcow2_header_write (&l, name, "qcow2", t->bytes, t->err), HV_E_INVALID_ARGUMENT);
}

#define TEST(fn) cmocka_unit_test_setup_teardown (fn, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (test_reads_what_was_written),   TEST (test_layouts_count_every_cluster),
    TEST (test_layout_refuses),           TEST (test_truncated_at_every_byte),
    TEST (test_asks_for_more_bytes),      TEST (test_every_byte_changed),
    TEST (test_hostile_fields),           TEST (test_backing_names),
    TEST (test_unknown_feature_is_named), TEST (test_name_fills_the_cluster),
  };
  return cmocka_run_group_tests_name ("qcow2 header", tests, NULL, NULL);
}
