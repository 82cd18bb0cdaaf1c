/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk-qcow2 in the fake host: what a caller sees. */
#include "plugins/disk-qcow2/disk-qcow2.h"
#include "plugins/disk-qcow2/header.h"
#include "plugins/disk-qcow2/tests/qemu.h"
#include "sdk/tck/fakehost.h"
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
/* after those */
#include <cmocka.h>

struct world {
  struct hv_fake *fake;
  char *dir;
  char a[256], b[256];
};

static int
setup (void **state)
{
  struct world *w = calloc (1, sizeof *w);
  w->fake = hv_fake_new (&hv_disk_qcow2_plugin, NULL, NULL, NULL);
  w->dir = hv_test_dir ();
  snprintf (w->a, sizeof w->a, "%s/a.qcow2", w->dir);
  snprintf (w->b, sizeof w->b, "%s/b.qcow2", w->dir);
  *state = w;
  return 0;
}

static int
teardown (void **state)
{
  struct world *w = *state;
  hv_fake_free (w->fake);
  hv_test_dir_remove (w->dir);
  free (w);
  return 0;
}

/* Calls with "%s" in the arguments replaced by the paths, and expects a code and a piece of text in the answer. */
static json_t *
call (struct world *w, const char *verb, int code, const char *piece, const char *args, const char *path, const char *path2)
{
  char text[2048];
  int got = 0;
  char *at = text;
  for (const char *p = args; *p != '\0' && at < text + sizeof text - 300; p++) {
    if (p[0] == '$')
      at += snprintf (at, 256, "%s", path);
    else if (p[0] == '@')
      at += snprintf (at, 256, "%s", path2);
    else
      *at++ = *p;
  }
  *at = '\0';
  char *answer = hv_fake_call (w->fake, verb, text, &got);
  if (got != code || (piece != NULL && strstr (answer, piece) == NULL))
    fail_msg ("%s %s: %d %s; expected %d %s", verb, text, got, answer, code, piece == NULL ? "" : piece);
  json_t *json = got == 0 ? json_loads (answer, JSON_DECODE_ANY, NULL) : NULL;
  free (answer);
  return json;
}
#define CALL(w, verb, code, piece, args) json_decref (call ((w), (verb), (code), (piece), (args), (w)->a, (w)->b))

static unsigned
files_in (const char *dir)
{
  unsigned n = 0;
  DIR *d = opendir (dir);
  assert_non_null (d);
  while (readdir (d) != NULL)
    n++;
  closedir (d);
  return n - 2;
}

static void
test_life_of_an_image (void **state)
{
  struct world *w = *state;
  CALL (w, "create", 0, "\"virtual_size_bytes\":1073741824", "{\"path\":\"$\",\"virtual_size_bytes\":1073741824}");
  struct stat st;
  assert_int_equal (stat (w->a, &st), 0);
  assert_int_equal (st.st_mode & 07777, 0600);
  json_t *info = call (w, "info", 0, NULL, "{\"path\":\"$\"}", w->a, w->b);
  assert_string_equal (json_string_value (json_object_get (info, "format")), "qcow2");
  assert_string_equal (json_string_value (json_object_get (info, "compat")), "1.1");
  assert_int_equal (json_integer_value (json_object_get (info, "cluster_size_bytes")), 65536);
  assert_null (json_object_get (info, "backing_path"));
  json_decref (info);
  CALL (w, "check", 0, "\"clean\":true", "{\"path\":\"$\"}");
  CALL (w, "create", HV_E_ALREADY_EXISTS, "already exists", "{\"path\":\"$\",\"virtual_size_bytes\":512}");
  CALL (w, "overlay", 0, "\"backing_format\":\"qcow2\"", "{\"path\":\"@\",\"backing_path\":\"$\",\"backing_format\":\"qcow2\"}");
  assert_int_equal (RUN ("qemu-img", "check", "-q", "-f", "qcow2", w->b), 0);
  CALL (w, "delete", 0, NULL, "{\"path\":\"@\"}");
  CALL (w, "delete", 0, NULL, "{\"path\":\"$\"}");
  CALL (w, "delete", HV_E_NOT_FOUND, w->a, "{\"path\":\"$\"}");
  assert_int_equal (files_in (w->dir), 0);
}

static void
test_arguments (void **state)
{
  struct world *w = *state;
  CALL (w, "create", HV_E_INVALID_ARGUMENT, "512", "{\"path\":\"$\",\"virtual_size_bytes\":1000}");
  CALL (w, "create", HV_E_INVALID_ARGUMENT, "power of two",
        "{\"path\":\"$\",\"virtual_size_bytes\":512,\"cluster_size_bytes\":65535}");
  CALL (w, "create", HV_E_OUT_OF_RANGE, "at least 2048",
        "{\"path\":\"$\",\"virtual_size_bytes\":1099511627776,\"cluster_size_bytes\":512}");
  CALL (w, "create", HV_E_INVALID_ARGUMENT, "path", "{\"path\":\"relative.qcow2\",\"virtual_size_bytes\":512}");
  CALL (w, "create", HV_E_NOT_FOUND, "/nowhere", "{\"path\":\"$/nowhere/x\",\"virtual_size_bytes\":512}");
  CALL (w, "info", HV_E_INVALID_ARGUMENT, "trusted_raw", "{\"path\":\"$\",\"trusted_raw\":true}");
  CALL (w, "overlay", HV_E_INVALID_ARGUMENT, "trusted_raw",
        "{\"path\":\"$\",\"backing_path\":\"@\",\"backing_format\":\"qcow2\",\"trusted_raw\":true}");
  assert_int_equal (files_in (w->dir), 0);
}

static void
write_file (const char *path, const char *bytes, size_t n, off_t length)
{
  int fd = open (path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
  assert_true (fd >= 0 && pwrite (fd, bytes, n, 0) == (ssize_t) n && ftruncate (fd, length) == 0);
  close (fd);
}

/* The declared format counts, and one that is contradicted by the bytes is refused with what to write instead. */
static void
test_declared_format (void **state)
{
  struct world *w = *state;
  write_file (w->a, "hello", 5, 1 << 20);
  CALL (w, "info", HV_E_INVALID_ARGUMENT, "not a qcow2 image: it looks like a raw image", "{\"path\":\"$\"}");
  CALL (w, "check", HV_E_INVALID_ARGUMENT, "raw image", "{\"path\":\"$\"}");
  CALL (w, "delete", HV_E_INVALID_ARGUMENT, "raw image", "{\"path\":\"$\"}");
  CALL (w, "overlay", HV_E_INVALID_ARGUMENT, "raw image", "{\"path\":\"@\",\"backing_path\":\"$\",\"backing_format\":\"qcow2\"}");
  write_file (w->a, "vhdxfile", 8, 1 << 20);
  CALL (w, "info", HV_E_INVALID_ARGUMENT, "a VHDX image", "{\"path\":\"$\"}");
  write_file (w->a, "QFI\xfb", 4, 1 << 20); /* a raw disk whose guest wrote that */
  CALL (w, "overlay", HV_E_FAILED_PRECONDITION, "a qcow2 image",
        "{\"path\":\"@\",\"backing_path\":\"$\",\"backing_format\":\"raw\"}");
  assert_int_equal (files_in (w->dir), 1);
  CALL (w, "overlay", 0, "\"virtual_size_bytes\":1048576",
        "{\"path\":\"@\",\"backing_path\":\"$\",\"backing_format\":\"raw\",\"trusted_raw\":true}");
}

static void
test_links_and_devices (void **state)
{
  struct world *w = *state;
  char dir_link[300], below[320];
  CALL (w, "create", 0, NULL, "{\"path\":\"$\",\"virtual_size_bytes\":512}");
  assert_int_equal (symlink (w->a, w->b), 0);
  CALL (w, "info", HV_E_FAILED_PRECONDITION, "symbolic link", "{\"path\":\"@\"}");
  CALL (w, "delete", HV_E_FAILED_PRECONDITION, "symbolic link", "{\"path\":\"@\"}");
  CALL (w, "create", HV_E_ALREADY_EXISTS, "already exists", "{\"path\":\"@\",\"virtual_size_bytes\":512}");
  assert_int_equal (unlink (w->b), 0);
  assert_int_equal (symlink ("/nonexistent", w->b), 0); /* dangling: still taken */
  CALL (w, "create", HV_E_ALREADY_EXISTS, "already exists", "{\"path\":\"@\",\"virtual_size_bytes\":512}");
  assert_int_equal (unlink (w->b), 0);
  assert_int_equal (mkfifo (w->b, 0600), 0);
  CALL (w, "info", HV_E_FAILED_PRECONDITION, "a pipe", "{\"path\":\"@\"}");
  CALL (w, "info", HV_E_FAILED_PRECONDITION, "a character device", "{\"path\":\"/dev/zero\"}");
  CALL (w, "info", HV_E_FAILED_PRECONDITION, "a directory", "{\"path\":\"/proc\"}");
  snprintf (dir_link, sizeof dir_link, "%s/dir", w->dir);
  assert_int_equal (symlink (w->dir, dir_link), 0);
  snprintf (below, sizeof below, "%s/a.qcow2", dir_link);
  json_decref (call (w, "info", HV_E_FAILED_PRECONDITION, "symbolic link", "{\"path\":\"$\"}", below, ""));
  CALL (w, "info", HV_E_INVALID_ARGUMENT, "..", "{\"path\":\"$/../a.qcow2\"}");
}

static void
test_image_in_use (void **state)
{
  struct world *w = *state;
  CALL (w, "create", 0, NULL, "{\"path\":\"$\",\"virtual_size_bytes\":512}");
  int fd = open (w->a, O_RDWR | O_CLOEXEC);
  struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 }; /* as QEMU does */
  assert_true (fd >= 0 && fcntl (fd, F_OFD_SETLK, &lock) == 0);
  CALL (w, "delete", HV_E_FAILED_PRECONDITION, "in use", "{\"path\":\"$\"}");
  CALL (w, "check", HV_E_FAILED_PRECONDITION, "in use", "{\"path\":\"$\"}");
  CALL (w, "info", 0, NULL, "{\"path\":\"$\"}");
  close (fd);
  CALL (w, "delete", 0, NULL, "{\"path\":\"$\"}");
}

static void
test_owner (void **state)
{
  struct world *w = *state;
  struct stat st;
  if (geteuid () == 0) {
    CALL (w, "create", 0, NULL, "{\"path\":\"$\",\"virtual_size_bytes\":512,\"owner_uid\":54321}");
    assert_int_equal (stat (w->a, &st), 0);
    assert_int_equal (st.st_uid, 54321);
  } else {
    CALL (w, "create", HV_E_PERMISSION_DENIED, "uid 54321", "{\"path\":\"$\",\"virtual_size_bytes\":512,\"owner_uid\":54321}");
    assert_int_equal (files_in (w->dir), 0);
  }
}

static void
test_directories (void **state)
{
  struct world *w = *state;
  char config[300];
  CALL (w, "create", 0, NULL, "{\"path\":\"$\",\"virtual_size_bytes\":512}");
  snprintf (config, sizeof config, "{\"directories\":[\"%s\"]}", w->dir);
  hv_fake_free (w->fake);
  w->fake = hv_fake_new (&hv_disk_qcow2_plugin, config, NULL, NULL);
  CALL (w, "info", 0, NULL, "{\"path\":\"$\"}");
  CALL (w, "overlay", 0, NULL, "{\"path\":\"@\",\"backing_path\":\"$\",\"backing_format\":\"qcow2\"}");
  CALL (w, "overlay", HV_E_PERMISSION_DENIED, "/etc/passwd",
        "{\"path\":\"@\",\"backing_path\":\"/etc/passwd\",\"backing_format\":\"raw\"}");
  CALL (w, "info", HV_E_PERMISSION_DENIED, "directories", "{\"path\":\"/etc/passwd\"}");
  CALL (w, "check", HV_E_PERMISSION_DENIED, "directories", "{\"path\":\"/etc/passwd\"}");
  CALL (w, "delete", HV_E_PERMISSION_DENIED, "directories", "{\"path\":\"/etc/passwd\"}");
  CALL (w, "create", HV_E_PERMISSION_DENIED, "directories", "{\"path\":\"/etc/x\",\"virtual_size_bytes\":512}");
}

/* --- hostile headers, through the whole plugin --- */

static void
make_header (struct world *w, const char *backing, uint32_t at, uint32_t size, uint64_t value)
{
  uint8_t bytes[HV_QCOW2_HEADER_ROOM];
  struct hv_qcow2_layout l;
  assert_int_equal (hv_qcow2_layout_make (1u << 30, 65536, &l, NULL), 0);
  assert_true (hv_qcow2_header_write (&l, backing, backing == NULL ? NULL : "raw", bytes, NULL) > 0);
  if (size == 4)
    hv_put_be32 (bytes + at, (uint32_t) value);
  if (size == 8)
    hv_put_be64 (bytes + at, value);
  write_file (w->a, (const char *) bytes, sizeof bytes, (off_t) (l.clusters << l.cluster_bits));
}

static void
expect_refused (struct world *w, int code, const char *piece)
{
  CALL (w, "info", code, piece, "{\"path\":\"$\"}");
  CALL (w, "check", code, piece, "{\"path\":\"$\"}");
  CALL (w, "overlay", code, piece, "{\"path\":\"@\",\"backing_path\":\"$\",\"backing_format\":\"qcow2\"}");
  assert_int_equal (files_in (w->dir), 1);
}

static void
test_hostile_headers (void **state)
{
  struct world *w = *state;
  make_header (w, NULL, 72, 8, HV_QCOW2_DATA_FILE);
  expect_refused (w, HV_E_FAILED_PRECONDITION, "external file");
  make_header (w, NULL, 72, 8, 1u << 9);
  expect_refused (w, HV_E_UNIMPLEMENTED, "incompatible feature 9");
  make_header (w, "json:{\"driver\":\"nbd\"}", 0, 0, 0);
  expect_refused (w, HV_E_FAILED_PRECONDITION, "not a plain file name");
  make_header (w, NULL, 36, 4, UINT32_MAX);
  expect_refused (w, HV_E_DATA_LOSS, "L1 table");
  make_header (w, NULL, 24, 8, 1ull << 50);
  expect_refused (w, HV_E_FAILED_PRECONDITION, "virtual size");
  make_header (w, NULL, 48, 8, UINT64_MAX << 16);
  expect_refused (w, HV_E_DATA_LOSS, "refcount table");
  CALL (w, "delete", 0, NULL, "{\"path\":\"$\"}"); /* damaged, but qcow2: may be removed */
}

static void
test_truncated_images (void **state)
{
  struct world *w = *state;
  uint8_t bytes[HV_QCOW2_HEADER_ROOM];
  struct hv_qcow2_layout l;
  assert_int_equal (hv_qcow2_layout_make (1u << 30, 65536, &l, NULL), 0);
  assert_true (hv_qcow2_header_write (&l, "/b", "raw", bytes, NULL) > 0);
  for (size_t n = 0; n < 200; n++) {
    write_file (w->a, (const char *) bytes, n, (off_t) n);
    CALL (w, "info", n < 4 ? HV_E_INVALID_ARGUMENT : HV_E_DATA_LOSS, w->a, "{\"path\":\"$\"}");
  }
}

/* 4 Mi L1 entries that all name one L2 table full of entries: hours of work. It is given up when asked to. */
static void
test_check_can_be_cancelled (void **state)
{
  struct world *w = *state;
  struct hv_qcow2_layout l;
  uint8_t header[HV_QCOW2_HEADER_ROOM], *l1;
  char args[300];
  int code = 0;
  assert_int_equal (hv_qcow2_layout_make (1u << 30, 2u << 20, &l, NULL), 0);
  assert_true (hv_qcow2_header_write (&l, NULL, NULL, header, NULL) > 0);
  hv_put_be32 (header + 36, HV_QCOW2_L1_BYTES_MAX / 8);
  uint64_t l1_at = hv_be64 (header + 40), l2_at = l1_at + HV_QCOW2_L1_BYTES_MAX;
  write_file (w->a, (const char *) header, sizeof header, (off_t) (l2_at + (4u << 20)));
  l1 = malloc (HV_QCOW2_L1_BYTES_MAX);
  assert_non_null (l1);
  for (uint32_t i = 0; i < HV_QCOW2_L1_BYTES_MAX / 8; i++)
    hv_put_be64 (l1 + 8 * i, l2_at);
  int fd = open (w->a, O_WRONLY | O_CLOEXEC);
  assert_int_equal (pwrite (fd, l1, HV_QCOW2_L1_BYTES_MAX, (off_t) l1_at), HV_QCOW2_L1_BYTES_MAX);
  close (fd);
  free (l1);
  snprintf (args, sizeof args, "{\"path\":\"%s\"}", w->a);
  struct hv_fake_call *c = hv_fake_call_start (w->fake, "check", args);
  hv_fake_call_cancel (c);
  char *answer = hv_fake_call_finish (c, &code);
  assert_int_equal (code, HV_E_CANCELLED);
  free (answer);
  CALL (w, "check", HV_E_DEADLINE_EXCEEDED, NULL, "{\"path\":\"$\",\"_timeout_ms\":100}");
}

#define TEST(fn) cmocka_unit_test_setup_teardown (fn, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (test_life_of_an_image), TEST (test_arguments),
    TEST (test_declared_format),  TEST (test_links_and_devices),
    TEST (test_image_in_use),     TEST (test_owner),
    TEST (test_directories),      TEST (test_hostile_headers),
    TEST (test_truncated_images), TEST (test_check_can_be_cancelled),
  };
  return cmocka_run_group_tests_name ("disk-qcow2", tests, NULL, NULL);
}
