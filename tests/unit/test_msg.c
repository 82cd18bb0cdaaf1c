/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages: shared bytes and owned descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/msg/msg.h"
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

static int
is_open (int fd)
{
  return fcntl (fd, F_GETFD) >= 0;
}

static int32_t
new_fd (void)
{
  int fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  assert_true (fd >= 0);
  return fd;
}

static void
test_bytes_are_copied (void **state)
{
  char data[] = "\xa3xyz";
  (void) state;
  struct hv_msg *m = hv_msg_new (data, 4, NULL, 0);
  data[1] = '!';
  uint32_t n = 9;
  assert_int_equal (hv_msg_bytes (m).size, 4);
  assert_memory_equal (hv_msg_bytes (m).data, "\xa3xyz", 4);
  (void) hv_msg_fds (m, &n);
  assert_int_equal (n, 0);
  hv_msg_unref (m);
  hv_msg_unref (NULL);
}

static void
test_descriptors_live_as_long (void **state)
{
  int32_t fds[2] = { new_fd (), new_fd () };
  uint32_t n = 0;
  (void) state;
  struct hv_msg *m = hv_msg_new ("\x80", 1, fds, 2);
  const int32_t *have = hv_msg_fds (m, &n);
  assert_int_equal (n, 2);
  assert_int_equal (have[0], fds[0]);
  assert_int_equal (have[1], fds[1]);
  assert_int_equal (hv_msg_bytes (m).data[0], 0x80);
  struct hv_msg *other = hv_msg_ref (m);
  assert_ptr_equal (other, m);
  hv_msg_unref (m);
  assert_true (is_open (fds[0]) && is_open (fds[1]));
  hv_msg_unref (other);
  assert_false (is_open (fds[0]) || is_open (fds[1]));
}

/* A size that cannot be: the descriptors are closed all the same. */
static void
test_failure_takes_descriptors (void **state)
{
  int32_t fd = new_fd ();
  (void) state;
  assert_null (hv_msg_new ("", UINT64_MAX, &fd, 1));
  assert_false (is_open (fd));
}

static void
test_from_pack (void **state)
{
  struct hv_pack p = { 0 };
  (void) state;
  hv_pack_str (&p, "taken over");
  const uint8_t *data = p.data;
  struct hv_msg *m = hv_msg_from_pack (&p);
  assert_ptr_equal (hv_msg_bytes (m).data, data);
  assert_int_equal (hv_msg_bytes (m).size, 11);
  assert_true (p.data == NULL && p.size == 0 && p.capacity == 0);
  hv_msg_unref (m);
  hv_pack_nil (&p);
  p.failed = 1;
  assert_null (hv_msg_from_pack (&p));
  assert_true (p.data == NULL && !p.failed);
}

static void *
hold_and_drop (void *arg)
{
  for (int i = 0; i < 20000; i++)
    hv_msg_unref (hv_msg_ref (arg));
  hv_msg_unref (arg);
  return NULL;
}

static void
test_many_threads (void **state)
{
  pthread_t threads[4];
  (void) state;
  struct hv_msg *m = hv_msg_new ("\x01", 1, NULL, 0);
  for (int i = 0; i < 4; i++)
    assert_int_equal (pthread_create (&threads[i], NULL, hold_and_drop, hv_msg_ref (m)), 0);
  for (int i = 0; i < 4; i++)
    pthread_join (threads[i], NULL);
  assert_int_equal (hv_msg_bytes (m).data[0], 1);
  hv_msg_unref (m);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_bytes_are_copied),
    cmocka_unit_test (test_descriptors_live_as_long),
    cmocka_unit_test (test_failure_takes_descriptors),
    cmocka_unit_test (test_from_pack),
    cmocka_unit_test (test_many_threads),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
