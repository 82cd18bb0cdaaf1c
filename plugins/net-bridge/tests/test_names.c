/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugins/net-bridge/names.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after its prerequisites */
#include <cmocka.h>

static void
names_are_kubevirts (void **state)
{
  static const struct {
    const char *name;
    uint32_t ordinal;
    const char *bridge, *port, *tap;
  } all[] = {
    { "eth0", 0, "k6t-eth0", "eth0-nic", "tap0" },
    { "eth0", 3, "k6t-eth0", "eth0-nic", "tap0" },
    { "net1", 1, "k6t-net1", "net1-nic", "tap1" },
    { "net12", 4, "k6t-net12", "net12-nic", "tap12" },
    { "pod16477688c0e", 1, "k6t-16477688c0e", "16477688c0e-nic", "tap16477688c0e" },
    { "enp1s0", 2, "k6t-enp1s0", "enp1s0-nic", "tap2" },
    { "network", 5, "k6t-network", "network-nic", "tap5" },
  };
  struct nb_names n;
  (void) state;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    assert_int_equal (nb_names_make (all[i].name, all[i].ordinal, &n, NULL), 0);
    assert_string_equal (n.bridge, all[i].bridge);
    assert_string_equal (n.port, all[i].port);
    assert_string_equal (n.tap, all[i].tap);
  }
}

static void
bad_names_are_refused (void **state)
{
  static const char *const bad[]
      = { "", ".", "..", "a/b", "a b", "a:1", "a%d", "abcdefghijkl", "eth\n0", "a\"b", "a;b", "a{b", "-a", ".a", "eth\xc3\xa4" };
  struct nb_names n;
  (void) state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal (nb_names_make (bad[i], 0, &n, NULL), HV_E_INVALID_ARGUMENT);
}

static void
what_is_derived_stays (void **state)
{
  uint64_t hash = nb_names_hash ("/var/lib/a", "default_vm", "default");
  char link[IFNAMSIZ];
  uint8_t mac[6], other[6];
  (void) state;
  assert_true (hash == nb_names_hash ("/var/lib/a", "default_vm", "default"));
  assert_true (hash != nb_names_hash ("/var/lib/b", "default_vm", "default"));
  assert_true (nb_names_hash ("", "ab", "c") != nb_names_hash ("", "a", "bc"));
  nb_names_link (link, "tap", hash);
  assert_int_equal (strlen (link), 13);
  assert_memory_equal (link, "tap", 3);
  nb_names_mac (mac, hash);
  assert_int_equal (mac[0], 2); /* locally administered, of one */
  nb_names_mac (other, nb_names_hash ("/var/lib/a", "default_vm", "second"));
  assert_memory_not_equal (mac, other, sizeof mac);
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (names_are_kubevirts), cmocka_unit_test (bad_names_are_refused),
                                      cmocka_unit_test (what_is_derived_stays) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
