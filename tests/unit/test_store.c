/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store's promise: what put acknowledged is there, whole, whatever happened; what cannot be read is set aside and said. */
#include "core/err/err.h"
#include "core/store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

static char dir[64];
static struct hv_store *store;
static struct hv_err *err;

static int
remove_entry (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
  (void) st;
  (void) type;
  (void) ftw;
  return remove (path);
}

static void
reopen (void)
{
  hv_store_close (store);
  store = NULL;
  assert_int_equal (hv_store_open (dir, &store, err), 0);
}

static int
setup (void **state)
{
  (void) state;
  (void) snprintf (dir, sizeof dir, "/tmp/hvkit-store-XXXXXX");
  assert_non_null (mkdtemp (dir));
  err = hv_error_new ();
  store = NULL;
  return hv_store_open (dir, &store, err);
}

static int
teardown (void **state)
{
  (void) state;
  hv_store_fault ("", 0, 0);
  hv_store_close (store);
  hv_err_free (err);
  return nftw (dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static int
put (const char *key, const char *text)
{
  return hv_store_put (store, key, (struct hv_bin){ (const uint8_t *) text, strlen (text) }, err);
}

static void
expect (const char *key, const char *text)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  assert_int_equal (hv_store_get (store, key, &p, err), 0);
  assert_int_equal (p.size, strlen (text));
  assert_memory_equal (p.data, text, p.size);
}

static int
get_code (const char *key)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  return hv_store_get (store, key, &p, err);
}

static void
path_of (const char *name, char *out)
{
  (void) snprintf (out, 200, "%s/%s", dir, name);
}

static void
test_put_get_delete (void **state)
{
  (void) state;
  assert_int_equal (put ("a", "one"), 0);
  assert_int_equal (put ("a", "two"), 0);
  assert_int_equal (put ("b.c_D-9", "three"), 0);
  assert_int_equal (put ("empty", ""), 0);
  reopen ();
  expect ("a", "two");
  expect ("b.c_D-9", "three");
  expect ("empty", "");
  struct hv_strs keys;
  assert_int_equal (hv_store_list (store, &keys, err), 0);
  assert_int_equal (keys.count, 3);
  assert_string_equal (keys.items[0], "a");
  free ((void *) (uintptr_t) keys.items);
  assert_int_equal (hv_store_delete (store, "a", err), 0);
  assert_int_equal (hv_store_delete (store, "a", err), 0); /* absent is success */
  assert_int_equal (get_code ("a"), HV_E_NOT_FOUND);
}

static void
test_keys_are_names (void **state)
{
  char longer[202];
  (void) state;
  memset (longer, 'a', 201);
  longer[201] = '\0';
  const char *bad[] = { "", ".hidden", "a/b", "../a", "a b", "ä", longer };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal (put (bad[i], "x"), HV_E_INVALID_ARGUMENT);
    assert_int_equal (get_code (bad[i]), HV_E_INVALID_ARGUMENT);
    assert_int_equal (hv_store_delete (store, bad[i], err), HV_E_INVALID_ARGUMENT);
  }
  longer[200] = '\0';
  assert_int_equal (put (longer, "x"), 0);
  expect (longer, "x");
}

static uint64_t
inode_of (const char *file)
{
  struct stat st;
  char path[200];
  path_of (file, path);
  assert_int_equal (stat (path, &st), 0);
  return st.st_ino;
}

/* What is there already is not written again: neither the file nor a step of its making. What only looks like it is. */
static void
test_same_again (void **state)
{
  (void) state;
  assert_int_equal (put ("a", "same"), 0);
  uint64_t first = inode_of ("a.rec");
  hv_store_fault ("write", 1, ENOSPC);
  assert_int_equal (put ("a", "same"), 0);
  assert_int_equal (inode_of ("a.rec"), first);
  assert_int_equal (put ("a", "else"), HV_E_RESOURCE_EXHAUSTED); /* the fault was still waiting */
  assert_int_equal (put ("a", "else"), 0);
  expect ("a", "else");
  char path[200];
  path_of ("a.rec", path);
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  struct stat st;
  assert_int_equal (fstat (fd, &st), 0);
  assert_int_equal (pwrite (fd, "?", 1, st.st_size - 1), 1);
  assert_int_equal (close (fd), 0);
  assert_int_equal (put ("a", "else"), 0);
  expect ("a", "else");
}

/* A write or rename that fails leaves the old document and no temporary; the store goes on. */
static void
test_failed_steps_change_nothing (void **state)
{
  const char *steps[] = { "write", "rename" };
  (void) state;
  assert_int_equal (put ("a", "old"), 0);
  for (size_t i = 0; i < 2; i++) {
    hv_store_fault (steps[i], 1, ENOSPC);
    assert_int_equal (put ("a", "new"), HV_E_RESOURCE_EXHAUSTED);
    expect ("a", "old");
    char temp[200];
    path_of (".new-a", temp);
    assert_int_equal (access (temp, F_OK), -1);
    assert_false (hv_store_read_only (store));
  }
  assert_int_equal (put ("a", "new"), 0);
  expect ("a", "new");
}

/* After a failed fsync nothing is written any more, and reading goes on. */
static void
test_failed_fsync_makes_read_only (void **state)
{
  const char *steps[] = { "fsync", "fsyncdir" };
  (void) state;
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal (put ("a", "old"), 0);
    hv_store_fault (steps[i], 1, EIO);
    assert_true (put ("a", "new") < 0);
    assert_true (hv_store_read_only (store));
    assert_int_equal (put ("b", "x"), HV_E_UNAVAILABLE);
    assert_int_equal (hv_store_delete (store, "a", err), HV_E_UNAVAILABLE);
    assert_true (get_code ("a") == 0);
    reopen ();
    assert_false (hv_store_read_only (store));
  }
}

static void
damage (const char *name, off_t at, const void *bytes, size_t n, off_t cut)
{
  char path[200];
  path_of (name, path);
  int fd = open (path, O_WRONLY | O_CLOEXEC);
  assert_true (fd >= 0);
  if (n > 0)
    assert_int_equal (pwrite (fd, bytes, n, at), (ssize_t) n);
  if (cut >= 0)
    assert_int_equal (ftruncate (fd, cut), 0);
  (void) close (fd);
}

static void
test_damage_is_set_aside (void **state)
{
  const struct {
    off_t at;
    const char *bytes;
    size_t n;
    off_t cut;
    const char *word;
  } cases[] = { { 0, "X", 1, -1, "begin" }, { 32, "X", 1, -1, "checksum" }, { 0, "", 0, 34, "short" }, { 0, "", 0, 3, "size" }, { 0, "", 0, 0, "size" } };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal (put ("a", "document"), 0);
    damage ("a.rec", cases[i].at, cases[i].bytes, cases[i].n, cases[i].cut);
    assert_int_equal (get_code ("a"), HV_E_DATA_LOSS);
    assert_non_null (strstr (hv_err_message (err), cases[i].word));
    assert_int_equal (get_code ("a"), HV_E_DATA_LOSS); /* still, from where it was set aside */
    struct hv_strs keys;
    assert_int_equal (hv_store_list (store, &keys, err), 0);
    assert_int_equal (keys.count, 1);
    free ((void *) (uintptr_t) keys.items);
    assert_int_equal (put ("a", "again"), 0);
    expect ("a", "again");
    assert_int_equal (hv_store_delete (store, "a", err), 0);
    assert_int_equal (get_code ("a"), HV_E_NOT_FOUND);
  }
}

static void
test_newer_format_is_refused_and_kept (void **state)
{
  (void) state;
  assert_int_equal (put ("a", "document"), 0);
  damage ("a.rec", 8, "\x02\x00\x00\x00", 4, -1);
  assert_int_equal (get_code ("a"), HV_E_FAILED_PRECONDITION);
  damage ("a.rec", 8, "\x01\x00\x00\x00", 4, -1);
  expect ("a", "document");
}

static void
test_leftovers_go (void **state)
{
  char temp[200];
  (void) state;
  path_of (".new-a", temp);
  int fd = open (temp, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  assert_true (fd >= 0);
  (void) close (fd);
  reopen ();
  assert_int_equal (access (temp, F_OK), -1);
}

/* kill -9 while a child writes documents of one letter each: afterwards there is one whole document, never a mixture. */
static void
test_killed_while_writing (void **state)
{
  char text[3000];
  (void) state;
  memset (text, 'a', sizeof text);
  assert_int_equal (hv_store_put (store, "a", (struct hv_bin){ (uint8_t *) text, sizeof text }, err), 0);
  for (int round = 0; round < 20; round++) {
    int ready[2];
    assert_int_equal (pipe2 (ready, O_CLOEXEC), 0);
    pid_t pid = fork ();
    if (pid == 0)
      for (unsigned i = 0;; i++) {
        memset (text, 'a' + (int) (i % 26), 100 + i % 2900);
        (void) hv_store_put (store, "a", (struct hv_bin){ (uint8_t *) text, 100 + i % 2900 }, NULL);
        if (write (ready[1], "", 1) < 0)
          _exit (1);
      }
    char byte[64];
    assert_true (read (ready[0], byte, (size_t) (1 + round)) > 0);
    (void) kill (pid, SIGKILL);
    (void) waitpid (pid, NULL, 0);
    (void) close (ready[0]);
    (void) close (ready[1]);
    reopen ();
    HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
    assert_int_equal (hv_store_get (store, "a", &p, err), 0);
    for (uint64_t i = 1; i < p.size; i++)
      assert_int_equal (p.data[i], p.data[0]);
  }
}

static void
test_crc32c (void **state)
{
  (void) state;
  assert_int_equal (hv_crc32c ("123456789", 9), 0xe3069283u); /* the check value of CRC-32C */
  assert_int_equal (hv_crc32c ("", 0), 0);
}

int
main (void)
{
#define T(name) cmocka_unit_test_setup_teardown (name, setup, teardown)
  const struct CMUnitTest tests[] = { T (test_put_get_delete), T (test_keys_are_names), T (test_same_again), T (test_failed_steps_change_nothing),
                                      T (test_failed_fsync_makes_read_only), T (test_damage_is_set_aside), T (test_newer_format_is_refused_and_kept),
                                      T (test_leftovers_go), T (test_killed_while_writing), T (test_crc32c) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
