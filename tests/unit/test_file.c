/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit/file.h: what is opened, what is made, and what is left behind if it is not. */
#include "core/err/err.h"
#include <dirent.h>
#include <hvkit/file.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
/* after those */
#include <cmocka.h>

#ifndef HV_TEST_LEAVES_TEMPORARY
#define HV_TEST_LEAVES_TEMPORARY 0 /* a killed process may leave a ".hvkit-" file */
#endif

struct world {
  char dir[64], a[96], b[96];
  struct hv_err *err;
};

static int
setup (void **state)
{
  struct world *w = calloc (1, sizeof *w);
  snprintf (w->dir, sizeof w->dir, "/tmp/hvkit-file-XXXXXX");
  assert_non_null (mkdtemp (w->dir));
  snprintf (w->a, sizeof w->a, "%s/a", w->dir);
  snprintf (w->b, sizeof w->b, "%s/b", w->dir);
  w->err = hv_error_new ();
  *state = w;
  return 0;
}

static unsigned
files_in (const char *dir, int remove_them)
{
  unsigned n = 0;
  DIR *d = opendir (dir);
  assert_non_null (d);
  for (struct dirent *e; (e = readdir (d)) != NULL;)
    if (strcmp (e->d_name, ".") != 0 && strcmp (e->d_name, "..") != 0) {
      n++;
      if (remove_them)
        assert_int_equal (unlinkat (dirfd (d), e->d_name, 0), 0);
    }
  closedir (d);
  return n;
}

static int
teardown (void **state)
{
  struct world *w = *state;
  (void) files_in (w->dir, 1);
  assert_int_equal (rmdir (w->dir), 0);
  hv_err_free (w->err);
  free (w);
  return 0;
}

static void
make (struct world *w, const char *path, const char *text)
{
  HV_CLEAN (hv_file_new) struct hv_file_new file = HV_FILE_NEW_INIT;
  assert_int_equal (hv_file_new_begin (&file, path, w->err), 0);
  assert_int_equal (hv_file_write (file.fd, text, strlen (text), 0, w->err), 0);
  assert_int_equal (hv_file_new_commit (&file, w->err), 0);
}

static void
test_paths (void **state)
{
  struct world *w = *state;
  static const char *const bad[] = { "", "a", "./a", "/", "/tmp/", "/tmp/.", "/tmp/.." };
  assert_int_equal (hv_file_check_path (NULL, w->err), HV_E_INVALID_ARGUMENT);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal (hv_file_check_path (bad[i], w->err), HV_E_INVALID_ARGUMENT);
  assert_int_equal (hv_file_check_path ("/a", w->err), 0);
}

static void
test_nothing_before_commit (void **state)
{
  struct world *w = *state;
  struct hv_file_new file = HV_FILE_NEW_INIT;
  assert_int_equal (hv_file_new_begin (&file, w->a, w->err), 0);
  assert_int_equal (hv_file_write (file.fd, "x", 1, 0, w->err), 0);
  assert_int_not_equal (access (w->a, F_OK), 0);
  hv_file_new_end (&file);
  assert_int_equal (files_in (w->dir, 0), 0);
  hv_file_new_end (&file); /* again is fine */
}

static void
test_commit (void **state)
{
  struct world *w = *state;
  struct stat st;
  mode_t was = umask (0377);
  make (w, w->a, "hello");
  umask (was);
  assert_int_equal (stat (w->a, &st), 0);
  assert_int_equal (st.st_mode & 07777, 0600);
  assert_int_equal (st.st_size, 5);
  assert_int_equal (st.st_nlink, 1);
  assert_int_equal (files_in (w->dir, 0), 1);
}

/* Who took the name between begin and commit keeps it. */
static void
test_commit_never_replaces (void **state)
{
  struct world *w = *state;
  struct hv_file_new file = HV_FILE_NEW_INIT;
  assert_int_equal (hv_file_new_begin (&file, w->a, w->err), 0);
  make (w, w->a, "theirs");
  assert_int_equal (hv_file_new_commit (&file, w->err), HV_E_ALREADY_EXISTS);
  hv_file_new_end (&file);
  HV_CLEAN (hv_fd) int fd = -1;
  char text[6];
  assert_int_equal (hv_file_open (w->a, O_RDONLY, &fd, NULL, w->err), 0);
  assert_int_equal (hv_file_read (fd, text, 6, 0, w->err), 0);
  assert_memory_equal (text, "theirs", 6);
  assert_int_equal (files_in (w->dir, 0), 1);
}

/* Killed at any moment, the process that makes a file leaves it whole or not at all. */
static void
test_killed (void **state)
{
  struct world *w = *state;
  for (unsigned round = 0; round < 40; round++) {
    int status, go[2];
    assert_int_equal (pipe (go), 0);
    pid_t pid = fork ();
    if (pid == 0) {
      struct hv_file_new file = HV_FILE_NEW_INIT;
      char block[4096];
      memset (block, 'x', sizeof block);
      (void) hv_file_new_begin (&file, w->a, NULL);
      (void) hv_file_write (file.fd, block, sizeof block, 0, NULL);
      if (round % 2 == 0)
        assert_true (write (go[1], "", 1) == 1);
      (void) hv_file_new_commit (&file, NULL);
      if (round % 2 != 0)
        assert_true (write (go[1], "", 1) == 1);
      for (;;)
        pause ();
    }
    char byte;
    assert_int_equal (read (go[0], &byte, 1), 1);
    kill (pid, SIGKILL);
    assert_int_equal (waitpid (pid, &status, 0), pid);
    close (go[0]);
    close (go[1]);
    struct stat st;
    int there = stat (w->a, &st) == 0;
    if (there)
      assert_int_equal (st.st_size, 4096);
    assert_true (there || round % 2 == 0);
    unsigned left = files_in (w->dir, 1);
    assert_true (left == (there ? 1u : 0u) || (HV_TEST_LEAVES_TEMPORARY && left == 1));
  }
}

/* In the place of another, in one step, with its owner and mode; or not at all. */
static void
test_replace (void **state)
{
  struct world *w = *state;
  struct hv_file_new file = HV_FILE_NEW_INIT;
  struct stat st;
  char text[4] = "";
  make (w, w->a, "old");
  assert_int_equal (chmod (w->a, 0640), 0);
  int old = open (w->a, O_RDONLY | O_CLOEXEC);
  assert_int_equal (hv_file_new_begin_over (&file, w->a, w->err), 0);
  assert_int_equal (hv_file_write (file.fd, "new", 3, 0, w->err), 0);
  hv_file_new_end (&file);
  assert_int_equal (files_in (w->dir, 0), 1); /* it was not replaced */
  assert_int_equal (hv_file_new_begin_over (&file, w->a, w->err), 0);
  assert_int_equal (hv_file_write (file.fd, "new", 3, 0, w->err), 0);
  assert_int_equal (hv_file_new_replace (&file, old, w->err), 0);
  assert_int_equal (fstat (file.fd, &st), 0);
  assert_int_equal (st.st_mode & 07777, 0640);
  hv_file_new_end (&file);
  assert_int_equal (files_in (w->dir, 0), 1);
  assert_int_equal (hv_file_read (old, text, 3, 0, w->err), 0);
  assert_string_equal (text, "old"); /* who has it open keeps it */
  int now = open (w->a, O_RDONLY | O_CLOEXEC);
  assert_int_equal (hv_file_read (now, text, 3, 0, w->err), 0);
  assert_string_equal (text, "new");
  /* `old` is not what the name is any more */
  assert_int_equal (hv_file_new_begin_over (&file, w->a, w->err), 0);
  assert_int_equal (hv_file_new_replace (&file, old, w->err), HV_E_ABORTED);
  hv_file_new_end (&file);
  assert_int_equal (files_in (w->dir, 0), 1);
  close (old);
  close (now);
}

static void
test_open_refuses (void **state)
{
  struct world *w = *state;
  int fd = -1;
  make (w, w->a, "x");
  assert_int_equal (symlink (w->a, w->b), 0);
  assert_int_equal (hv_file_open (w->b, O_RDONLY, &fd, NULL, w->err), HV_E_FAILED_PRECONDITION);
  assert_int_equal (hv_file_open (w->dir, O_RDONLY, &fd, NULL, w->err), HV_E_FAILED_PRECONDITION);
  assert_int_equal (hv_file_open ("/dev/null", O_RDONLY, &fd, NULL, w->err), HV_E_FAILED_PRECONDITION);
  assert_int_equal (hv_file_open ("/proc/self/exe", O_RDONLY, &fd, NULL, w->err), HV_E_FAILED_PRECONDITION);
  assert_int_equal (hv_file_open ("/nonexistent/x", O_RDONLY, &fd, NULL, w->err), HV_E_NOT_FOUND);
  assert_int_equal (fd, -1);
}

static void
test_reads (void **state)
{
  struct world *w = *state;
  HV_CLEAN (hv_fd) int fd = -1;
  char buf[16];
  make (w, w->a, "0123456789");
  assert_int_equal (hv_file_open (w->a, O_RDONLY, &fd, NULL, w->err), 0);
  assert_int_equal (hv_file_read_some (fd, buf, sizeof buf, 4, w->err), 6);
  assert_int_equal (hv_file_read_some (fd, buf, sizeof buf, 40, w->err), 0);
  assert_int_equal (hv_file_read (fd, buf, 4, 8, w->err), HV_E_DATA_LOSS);
  assert_int_equal (hv_file_read (fd, buf, 4, UINT64_MAX - 1, w->err), HV_E_OUT_OF_RANGE);
  assert_int_equal (hv_file_write (fd, buf, 4, (uint64_t) INT64_MAX, w->err), HV_E_OUT_OF_RANGE);
}

/* What is deleted is what was looked at, not what has its name by now. */
static void
test_delete_checks_identity (void **state)
{
  struct world *w = *state;
  HV_CLEAN (hv_fd) int fd = -1;
  make (w, w->a, "first");
  assert_int_equal (hv_file_open (w->a, O_RDONLY, &fd, NULL, w->err), 0);
  make (w, w->b, "second");
  assert_int_equal (rename (w->b, w->a), 0);
  assert_int_equal (hv_file_delete (w->a, fd, w->err), HV_E_FAILED_PRECONDITION);
  assert_int_equal (access (w->a, F_OK), 0);
  close (HV_STEAL_FD (fd));
  assert_int_equal (hv_file_open (w->a, O_RDONLY, &fd, NULL, w->err), 0);
  assert_int_equal (hv_file_delete (w->a, fd, w->err), 0);
  assert_int_equal (files_in (w->dir, 0), 0);
}

static void
test_locks (void **state)
{
  struct world *w = *state;
  HV_CLEAN (hv_fd) int fd = -1;
  HV_CLEAN (hv_fd) int other = -1;
  struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 203, .l_len = 1 };
  make (w, w->a, "x");
  assert_int_equal (hv_file_open (w->a, O_RDONLY, &fd, NULL, w->err), 0);
  assert_int_equal (hv_file_open (w->a, O_RDWR, &other, NULL, w->err), 0);
  assert_int_equal (hv_file_check_unused (fd, w->err), 0);
  assert_int_equal (fcntl (other, F_OFD_SETLK, &lock), 0);
  assert_int_equal (hv_file_check_unused (fd, w->err), HV_E_FAILED_PRECONDITION);
}

static void
test_round_up (void **state)
{
  (void) state;
  uint64_t v = 7;
  assert_int_equal (hv_round_up (0, 512, &v), 0);
  assert_int_equal (v, 0);
  assert_int_equal (hv_round_up (513, 512, &v), 0);
  assert_int_equal (v, 1024);
  assert_int_equal (hv_round_up (UINT64_MAX, 512, &v), HV_E_OUT_OF_RANGE);
  assert_int_equal (v, 1024);
}

static void
test_looks (void **state)
{
  (void) state;
  assert_null (hv_file_looks_like ((const uint8_t *) "", 0));
  assert_null (hv_file_looks_like ((const uint8_t *) "QFI", 3));
  assert_string_equal (hv_file_looks_like ((const uint8_t *) "QFI\xfb", 4), "a qcow2 image");
  assert_null (hv_file_looks_like ((const uint8_t *) "\xeb\x63\x90GRUB", 7));
}

#define TEST(fn) cmocka_unit_test_setup_teardown (fn, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (test_paths),
    TEST (test_nothing_before_commit),
    TEST (test_commit),
    TEST (test_commit_never_replaces),
    TEST (test_killed),
    TEST (test_replace),
    TEST (test_open_refuses),
    TEST (test_reads),
    TEST (test_delete_checks_identity),
    TEST (test_locks),
    cmocka_unit_test (test_round_up),
    cmocka_unit_test (test_looks),
  };
  return cmocka_run_group_tests_name ("file", tests, NULL, NULL);
}
