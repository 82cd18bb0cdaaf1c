/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses of migrations, heads of frames, and machines that are alike or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "peer.h"

static void
test_good (void **state)
{
  static const struct {
    const char *uri, *path, *host, *port, *token;
  } cases[] = {
    { "unix:/run/x", "/run/x", NULL, NULL, NULL },
    { "tcp:node-2.local:49152", NULL, "node-2.local", "49152", NULL },
    { "tcp:10.0.0.1:0", NULL, "10.0.0.1", "0", NULL },
    { "tcp:[fd00::1]:49152/0123456789abcdef", NULL, "fd00::1", "49152", "0123456789abcdef" },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct qmp_uri u;
    assert_int_equal (qmp_uri_parse (cases[i].uri, &u, NULL), 0);
    const char *want[] = { cases[i].path, cases[i].host, cases[i].port, cases[i].token },
               *got[] = { u.path, u.host, u.port, u.token };
    for (int k = 0; k < 4; k++)
      if (want[k] == NULL)
        assert_null (got[k]);
      else
        assert_string_equal (got[k], want[k]);
  }
}

static void
test_bad (void **state)
{
  static const char *const cases[]
      = { "",         "x",           "unix:",      "unix:x",      "unix:/a/../b",  "tcp:",          "tcp:host",
          "tcp::1",   "tcp:h:",      "tcp:h:x",    "tcp:h:65536", "tcp:h:123456",  "tcp:fd00::1:1", "tcp:[]:1",
          "tcp:h:1/", "tcp:h:1/xyz", "tcp:h:1 /a", "fd:3",        "exec:rm -rf /", "tcp:h:-1",      "tcp:h:1/A" };
  char longest[QMP_PEER_NAME + 2];
  struct qmp_uri u;
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    if (qmp_uri_parse (cases[i], &u, NULL) != HV_E_INVALID_ARGUMENT)
      fail_msg ("'%s' is accepted", cases[i]);
  memset (longest, 'a', sizeof longest);
  memcpy (longest, "unix:/", 6);
  longest[sizeof longest - 1] = '\0';
  assert_int_equal (qmp_uri_parse (longest, &u, NULL), HV_E_INVALID_ARGUMENT);
}

static void
test_heads (void **state)
{
  uint8_t head[QMP_PEER_HEAD];
  uint32_t n = 0;
  (void) state;
  qmp_peer_head_write (QMP_PEER_MAX, head);
  assert_int_equal (qmp_peer_head_parse (head, &n, NULL), 0);
  assert_int_equal (n, QMP_PEER_MAX);
  qmp_peer_head_write (QMP_PEER_MAX + 1, head);
  assert_true (qmp_peer_head_parse (head, &n, NULL) < 0);
  qmp_peer_head_write (0, head);
  assert_true (qmp_peer_head_parse (head, &n, NULL) < 0);
  qmp_peer_head_write (1, head);
  for (int i = 0; i < 8; i++) {
    head[i] ^= 1;
    assert_true (qmp_peer_head_parse (head, &n, NULL) < 0);
    head[i] ^= 1;
  }
}

static void
test_alike (void **state)
{
  struct hv_machine_disk disk = { .name = "root", .path = "/a" }, other = { .name = "root", .path = "/elsewhere" };
  struct hv_machine_nic nic = { .name = "n", .model = "virtio", .mac = "02:00:00:00:00:01", .tap = "t0", .queues = 1 }, far = nic;
  struct hv_machine a = { .name = "a",
                          .uuid = "u",
                          .machine = "pc-q35-7.2",
                          .memory_bytes = 1 << 26,
                          .cpu = { .model = "max", .sockets = 1, .cores = 1, .threads = 1 } };
  a.disks.items = &disk;
  a.nics.items = &nic;
  a.disks.count = a.nics.count = 1;
  struct hv_machine b = a;
  b.disks.items = &other;
  b.nics.items = &far;
  far.tap = "t1"; /* as paths do, taps differ between nodes */
  (void) state;
  assert_int_equal (qmp_machines_alike (&a, &b, NULL), 0);
#define DIFFERS(change, back) \
  do { \
    change; \
    assert_int_equal (qmp_machines_alike (&a, &b, NULL), HV_E_FAILED_PRECONDITION); \
    back; \
    assert_int_equal (qmp_machines_alike (&a, &b, NULL), 0); \
  } while (0)
  DIFFERS (b.machine = "pc-q35-7.1", b.machine = a.machine);
  DIFFERS (b.memory_bytes++, b.memory_bytes--);
  DIFFERS (b.cpu.cores = 2, b.cpu.cores = 1);
  DIFFERS (b.watchdog = "itco", b.watchdog = NULL);
  DIFFERS (b.balloon = 1, b.balloon = 0);
  DIFFERS (b.disks.count = 0, b.disks.count = 1);
  DIFFERS (other.name = "data", other.name = "root");
  DIFFERS (other.bus = HV_BUS_SCSI, other.bus = HV_BUS_VIRTIO);
  DIFFERS (far.mac = "02:00:00:00:00:02", far.mac = nic.mac);
  DIFFERS (far.queues = 2, far.queues = 1);
}

int
main (void)
{
  const struct CMUnitTest tests[]
      = { cmocka_unit_test (test_good), cmocka_unit_test (test_bad), cmocka_unit_test (test_heads), cmocka_unit_test (test_alike) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
