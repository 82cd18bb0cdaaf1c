/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk-raw in the fake host: what a caller sees. */
#include "plugins/disk-raw/disk-raw.h"
#include "sdk/tck/fakehost.h"
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
  char path[256];
};

static int
setup (void **state)
{
  struct world *w = calloc (1, sizeof *w);
  w->fake = hv_fake_new (&hv_disk_raw_plugin, NULL, NULL, NULL);
  snprintf (w->path, sizeof w->path, "%s/disk.img", hv_fake_dir (w->fake));
  *state = w;
  return 0;
}

static int
teardown (void **state)
{
  struct world *w = *state;
  hv_fake_free (w->fake);
  free (w);
  return 0;
}

/* Calls with the path and further members, and expects a code and a piece of text in the answer. */
static void
call (struct world *w, const char *verb, const char *more, int code, const char *piece)
{
  char args[512];
  int got = 0;
  snprintf (args, sizeof args, "{\"path\":\"%s\"%s}", w->path, more);
  char *answer = hv_fake_call (w->fake, verb, args, &got);
  if (got != code || strstr (answer, piece) == NULL)
    fail_msg ("%s %s: %d %s; expected %d %s", verb, args, got, answer, code, piece);
  free (answer);
}

static void
write_file (const char *path, const void *bytes, size_t n, off_t length)
{
  int fd = open (path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
  assert_true (fd >= 0 && pwrite (fd, bytes, n, 0) == (ssize_t) n && ftruncate (fd, length) == 0);
  close (fd);
}

static void
test_life_of_an_image (void **state)
{
  struct world *w = *state;
  struct stat st;
  call (w, "create", ",\"virtual_size_bytes\":1048576", 0, "\"virtual_size_bytes\":1048576");
  assert_int_equal (stat (w->path, &st), 0);
  assert_int_equal (st.st_mode & 07777, 0600);
  assert_int_equal (st.st_size, 1048576);
  assert_int_equal (st.st_blocks, 0);
  call (w, "info", "", 0, "\"format\":\"raw\"");
  call (w, "info", "", 0, "\"allocated_bytes\":0");
  call (w, "check", "", 0, "\"clean\":true");
  call (w, "create", ",\"virtual_size_bytes\":512", HV_E_ALREADY_EXISTS, "already exists");
  call (w, "delete", "", 0, "");
  call (w, "info", "", HV_E_NOT_FOUND, w->path);
}

static void
test_preallocated (void **state)
{
  struct world *w = *state;
  struct stat st;
  call (w, "create", ",\"virtual_size_bytes\":1048576,\"preallocate\":true", 0, "\"allocated_bytes\":");
  assert_int_equal (stat (w->path, &st), 0);
  assert_true (st.st_blocks * 512 >= 1048576);
}

static void
test_odd_length (void **state)
{
  struct world *w = *state;
  write_file (w->path, "x", 1, 1000);
  call (w, "info", "", 0, "\"virtual_size_bytes\":1024");
  call (w, "check", "", 0, "not a multiple of 512");
}

static void
test_looks_like_something_else (void **state)
{
  struct world *w = *state;
  static const struct {
    const char *bytes, *what;
    size_t n;
  } files[] = {
    { "QFI\xfb\0\0\0\3", "a qcow2 image", 8 },      { "KDMV", "a VMDK image", 4 },    { "vhdxfile", "a VHDX image", 8 },
    { "# Disk DescriptorFile", "a VMDK desc", 21 }, { "conectix", "a VHD image", 8 },
  };
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    write_file (w->path, files[i].bytes, files[i].n, 4096);
    call (w, "info", "", HV_E_FAILED_PRECONDITION, files[i].what);
    call (w, "info", "", HV_E_FAILED_PRECONDITION, "trusted_raw");
    call (w, "check", "", HV_E_FAILED_PRECONDITION, files[i].what);
    call (w, "delete", "", HV_E_FAILED_PRECONDITION, files[i].what);
    call (w, "info", ",\"trusted_raw\":true", 0, "\"virtual_size_bytes\":4096");
  }
  call (w, "delete", ",\"trusted_raw\":true", 0, "");
}

static void
test_arguments (void **state)
{
  struct world *w = *state;
  struct stat st;
  call (w, "create", ",\"virtual_size_bytes\":1000", HV_E_INVALID_ARGUMENT, "multiple of 512");
  call (w, "create", ",\"virtual_size_bytes\":512,\"cluster_size_bytes\":512", HV_E_UNIMPLEMENTED, "cluster_size_bytes");
  call (w, "create", ",\"virtual_size_bytes\":140737488355328", HV_E_INVALID_ARGUMENT, "virtual_size_bytes");
  call (w, "create", ",\"virtual_size_byte\":512", HV_E_INVALID_ARGUMENT, "virtual_size_bytes");
  assert_int_not_equal (stat (w->path, &st), 0);
}

/* Another file under the same name is not deleted in its place: here the link itself is what is there. */
static void
test_link_is_not_followed (void **state)
{
  struct world *w = *state;
  char target[300];
  struct stat st;
  snprintf (target, sizeof target, "%s.target", w->path);
  write_file (target, "data", 4, 512);
  assert_int_equal (symlink (target, w->path), 0);
  call (w, "info", "", HV_E_FAILED_PRECONDITION, "symbolic link");
  call (w, "delete", "", HV_E_FAILED_PRECONDITION, "symbolic link");
  call (w, "create", ",\"virtual_size_bytes\":512", HV_E_ALREADY_EXISTS, "exists");
  assert_int_equal (stat (target, &st), 0);
}

static void
test_directories (void **state)
{
  (void) state;
  struct world w = { .fake = hv_fake_new (&hv_disk_raw_plugin, "{\"directories\":[\"/images/\",\"/tmp\"]}", NULL, NULL) };
  snprintf (w.path, sizeof w.path, "/images2/a");
  call (&w, "info", "", HV_E_PERMISSION_DENIED, "'/images2/a' is not below '/images/'");
  call (&w, "create", ",\"virtual_size_bytes\":512", HV_E_PERMISSION_DENIED, "directories");
  call (&w, "delete", "", HV_E_PERMISSION_DENIED, "directories");
  call (&w, "check", "", HV_E_PERMISSION_DENIED, "directories");
  snprintf (w.path, sizeof w.path, "/images/a");
  call (&w, "info", "", HV_E_NOT_FOUND, "/images/a");
  snprintf (w.path, sizeof w.path, "%s/a", hv_fake_dir (w.fake));
  call (&w, "create", ",\"virtual_size_bytes\":512", strncmp (w.path, "/tmp/", 5) == 0 ? 0 : HV_E_PERMISSION_DENIED, "");
  hv_fake_free (w.fake);
}

#define TEST(fn) cmocka_unit_test_setup_teardown (fn, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (test_life_of_an_image),          TEST (test_preallocated), TEST (test_odd_length),
    TEST (test_looks_like_something_else), TEST (test_arguments),    TEST (test_link_is_not_followed),
    cmocka_unit_test (test_directories),
  };
  return cmocka_run_group_tests_name ("disk-raw", tests, NULL, NULL);
}
