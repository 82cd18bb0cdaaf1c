/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The head of a saved machine, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "statefile.h"

static void
test_crc (void **state)
{
  (void) state;
  assert_int_equal (qmp_crc32 (0, (const uint8_t *) "123456789", 9), 0xcbf43926);
  assert_int_equal (qmp_crc32 (qmp_crc32 (0, (const uint8_t *) "1234", 4), (const uint8_t *) "56789", 5), 0xcbf43926);
}

static void
test_sizes (void **state)
{
  (void) state;
  assert_int_equal (qmp_statefile_head_bytes (0), 4096);
  assert_int_equal (qmp_statefile_head_bytes (4096 - QMP_STATEFILE_FIXED), 4096);
  assert_int_equal (qmp_statefile_head_bytes (4097 - QMP_STATEFILE_FIXED), 8192);
  assert_int_equal (qmp_statefile_head_bytes (QMP_STATEFILE_MACHINE), QMP_STATEFILE_MACHINE + 4096);
  assert_int_equal (qmp_statefile_head_bytes (QMP_STATEFILE_MACHINE + 1u), 0);
}

static void
test_every_byte (void **state)
{
  static const uint8_t machine[] = "what a machine is made of";
  struct qmp_statefile f = { .stream_bytes = UINT64_C (0x123456789a), .machine = { machine, sizeof machine } }, back;
  uint8_t head[4096];
  (void) state;
  f.head_bytes = qmp_statefile_head_bytes (sizeof machine);
  for (uint8_t i = 0; i < QMP_STATEFILE_TOKEN; i++)
    f.token[i] = i;
  qmp_statefile_write (&f, head);
  assert_int_equal (qmp_statefile_parse (head, sizeof head, &back, NULL), 0);
  assert_int_equal (back.stream_bytes, f.stream_bytes);
  assert_int_equal (back.machine.size, sizeof machine);
  assert_memory_equal (back.machine.data, machine, sizeof machine);
  assert_memory_equal (back.token, f.token, QMP_STATEFILE_TOKEN);
  for (size_t i = 0; i < QMP_STATEFILE_FIXED + sizeof machine; i++) {
    head[i] ^= 1;
    assert_true (qmp_statefile_parse (head, sizeof head, &back, NULL) < 0);
    head[i] ^= 1;
  }
  for (size_t n = 0; n < sizeof head; n += 63)
    assert_true (qmp_statefile_parse (head, n, &back, NULL) < 0);
}

int
main (void)
{
  const struct CMUnitTest tests[]
      = { cmocka_unit_test (test_crc), cmocka_unit_test (test_sizes), cmocka_unit_test (test_every_byte) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
