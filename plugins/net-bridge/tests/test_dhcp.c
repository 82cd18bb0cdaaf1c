/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plugins/net-bridge/dhcp.h"
#include "sdk/tck/fakehost.h"
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* after its prerequisites */
#include <cmocka.h>

/* Memory of the tests, freed at once at the end. */
static void *kept[4096];
static uint32_t kept_count;

static void *
keep (uint64_t size)
{
  assert_true (kept_count < sizeof kept / sizeof *kept);
  return kept[kept_count++] = calloc (1, size);
}

static void *
host_alloc (struct hv_host *h, uint64_t size)
{
  (void) h;
  return keep (size);
}

static struct hv_host_api api = { .struct_size = sizeof api, .alloc = host_alloc };
static struct hv_host host = { .api = &api };

static int
teardown (void **state)
{
  (void) state;
  while (kept_count > 0)
    free (kept[--kept_count]);
  return 0;
}

static uint32_t
ipv4 (const char *text)
{
  struct in_addr a = { 0 };
  assert_int_equal (inet_pton (AF_INET, text, &a), 1);
  return a.s_addr;
}

static void
calicos_gateway_is_on_the_link (void **state)
{
  const struct hv_net_attach_args a = { 0 };
  const char *const servers[] = { "10.96.0.10" };
  const struct hv_strs nameservers = { (const char **) (uintptr_t) servers, 1 };
  const struct nb_lease l = { "k6t-eth0", "ca:5f:48:41:7d:5d", ipv4 ("10.233.97.174"), ipv4 ("169.254.1.1"), 32, 1450, NULL };
  (void) state;
  assert_string_equal (
      nb_dhcp_args (&host, &a, &l, &nameservers),
      "--keep-in-foreground\n--conf-file=/dev/null\n--port=0\n--interface=k6t-eth0\n--bind-interfaces\n"
      "--dhcp-authoritative\n--shared-network=k6t-eth0,10.233.97.174\n"
      "--dhcp-range=10.233.97.174,static,255.255.255.255,86313600\n--dhcp-host=ca:5f:48:41:7d:5d,10.233.97.174,86313600\n"
      "--dhcp-option-force=3,169.254.1.1\n--dhcp-option-force=121,169.254.1.1/32,0.0.0.0,0.0.0.0/0,169.254.1.1\n"
      "--dhcp-option-force=6,10.96.0.10\n--dhcp-option-force=26,1450\n");
}

static void
everything_is_told (void **state)
{
  const char *const servers[] = { "10.0.0.2", "10.0.0.3" }, *const search[] = { "default.svc.cluster.local", "cluster.local" };
  struct hv_net_attach_args a = { 0 };
  const struct nb_lease l = { "k6t-net1", "02:00:00:00:00:01", ipv4 ("10.0.0.9"), 0, 24, 1500, NULL };
  const struct hv_strs none = { NULL, 0 };
  (void) state;
  HV_SET (&a, hostname, "guest");
  HV_SET (&a, domain, "cluster.local");
  HV_SET (&a, nameservers, ((struct hv_strs){ (const char **) (uintptr_t) servers, 2 }));
  HV_SET (&a, search, ((struct hv_strs){ (const char **) (uintptr_t) search, 2 }));
  HV_SET (&a, ntp, ((struct hv_strs){ (const char **) (uintptr_t) servers, 1 }));
  HV_SET (&a, bootfile, "pxe/boot.0");
  HV_SET (&a, tftp_server, "tftp.local");
  static const struct hv_pair options[] = { { "240", "1.2" }, { "241", "x" } };
  HV_SET (&a, options, ((struct hv_map){ options, 2 }));
  assert_int_equal (nb_dhcp_check (&a, NULL), 0);
  assert_true (nb_dhcp_is_asked (&a));
  const char *text = nb_dhcp_args (&host, &a, &l, &none);
  static const char *const lines[] = { "\n--dhcp-range=10.0.0.9,static,255.255.255.0,86313600\n",
                                       "\n--dhcp-host=02:00:00:00:00:01,10.0.0.9,guest,86313600\n",
                                       "\n--dhcp-option=3\n",
                                       "\n--dhcp-option-force=6,10.0.0.2,10.0.0.3\n",
                                       "\n--dhcp-option-force=15,cluster.local\n",
                                       "\n--dhcp-option-force=119,default.svc.cluster.local,cluster.local\n",
                                       "\n--dhcp-option-force=42,10.0.0.2\n",
                                       "\n--dhcp-option-force=67,pxe/boot.0\n",
                                       "\n--dhcp-option-force=66,tftp.local\n",
                                       "\n--dhcp-option-force=240,31:2e:32\n",
                                       "\n--dhcp-option-force=241,120\n" };
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    if (strstr (text, lines[i]) == NULL)
      fail_msg ("no %s in %s", lines[i], text);
  assert_null (strstr (text, "121,"));
  const struct hv_net_attach_args nothing = { 0 };
  assert_false (nb_dhcp_is_asked (&nothing));
  assert_non_null (strstr (nb_dhcp_args (&host, &nothing, &l, &none), "\n--dhcp-option=6\n")); /* not dnsmasq itself */
}

/* Masquerade's guest has one of each family; so have the node's name servers. */
static void
both_families (void **state)
{
  const struct hv_net_attach_args a = { 0 };
  const struct nb_lease l = { "k6t-eth0", "02:00:00:00:00:01", ipv4 ("10.0.2.2"), ipv4 ("10.0.2.1"), 24, 1500, "fd10:0:2::2/120" };
  const char *const servers[] = { "10.96.0.10", "fd00::10" };
  const struct hv_strs nameservers = { (const char **) (uintptr_t) servers, 2 };
  const char *text = nb_dhcp_args (&host, &a, &l, &nameservers);
  static const char *const lines[]
      = { "\n--dhcp-host=02:00:00:00:00:01,10.0.2.2,[fd10:0:2::2],86313600\n", "\n--dhcp-range=fd10:0:2::2,static,120,86313600\n",
          "\n--enable-ra\n", "\n--dhcp-option-force=6,10.96.0.10\n", "\n--dhcp-option-force=option6:dns-server,[fd00::10]\n" };
  (void) state;
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
    if (strstr (text, lines[i]) == NULL)
      fail_msg ("no %s in %s", lines[i], text);
}

static void
private_options_are_kubevirts (void **state)
{
  static const struct hv_pair bad[]
      = { { "223", "a" }, { "255", "a" }, { "240x", "a" }, { "", "a" }, { "240", "a,b" }, { "240", "a\nb" }, { "240", "\"" } };
  (void) state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct hv_net_attach_args a = { 0 };
    HV_SET (&a, options, ((struct hv_map){ &bad[i], 1 }));
    assert_int_equal (nb_dhcp_check (&a, NULL), HV_E_INVALID_ARGUMENT);
  }
}

/* Nothing that a user writes is another argument, another value, or an option of its own. */
static void
what_cannot_be_said_is_refused (void **state)
{
  static const char *const bad_domains[] = { "", "a,b", "a b", "a\nb", "-a", ".a", "a/b", "a_b" };
  static const char *const bad_addresses[] = { "", "1.2.3", "1.2.3.4,5", ":::1", "a", "1.2.3.4\n--x" };
  static const char *const bad_files[] = { "a,b", "a b", "a\nb", "\"", "a\\b", "\x7f" };
  (void) state;
  for (size_t i = 0; i < sizeof bad_domains / sizeof *bad_domains; i++) {
    struct hv_net_attach_args a = { 0 };
    HV_SET (&a, domain, bad_domains[i]);
    assert_int_equal (nb_dhcp_check (&a, NULL), HV_E_INVALID_ARGUMENT);
    const char *one[] = { bad_domains[i] };
    a = (struct hv_net_attach_args){ 0 };
    HV_SET (&a, search, ((struct hv_strs){ one, 1 }));
    assert_int_equal (nb_dhcp_check (&a, NULL), HV_E_INVALID_ARGUMENT);
  }
  for (size_t i = 0; i < sizeof bad_addresses / sizeof *bad_addresses; i++) {
    struct hv_net_attach_args a = { 0 };
    const char *one[] = { bad_addresses[i] };
    HV_SET (&a, nameservers, ((struct hv_strs){ one, 1 }));
    assert_int_equal (nb_dhcp_check (&a, NULL), HV_E_INVALID_ARGUMENT);
    a = (struct hv_net_attach_args){ 0 };
    HV_SET (&a, ntp, ((struct hv_strs){ one, 1 }));
    assert_int_equal (nb_dhcp_check (&a, NULL), HV_E_INVALID_ARGUMENT);
  }
  for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
    struct hv_net_attach_args a = { 0 };
    HV_SET (&a, bootfile, bad_files[i]);
    assert_int_equal (nb_dhcp_check (&a, NULL), HV_E_INVALID_ARGUMENT);
    a = (struct hv_net_attach_args){ 0 };
    HV_SET (&a, tftp_server, bad_files[i]);
    assert_int_equal (nb_dhcp_check (&a, NULL), HV_E_INVALID_ARGUMENT);
  }
}

static void
nameservers_of_the_node (void **state)
{
  struct hv_strs found;
  (void) state;
  assert_int_equal (
      nb_dhcp_nameservers (&host,
                           "# nameserver 9.9.9.9\nsearch a b\nnameserver 127.0.0.53\nnameserver\nnameserver \t10.0.0.2 # x\n"
                           "nameserver fd00::1\nnameserver 0.0.0.0\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver "
                           "10.0.0.3\r\nnameservers 1.1.1.1\nnameserver 10.0.0.4\n"
                           "nameserver 10.0.0.5",
                           &found, NULL),
      0);
  assert_int_equal (found.count, 3);
  assert_string_equal (found.items[0], "10.0.0.2");
  assert_string_equal (found.items[1], "fd00::1");
  assert_string_equal (found.items[2], "10.0.0.3");
  assert_int_equal (nb_dhcp_nameservers (&host, "", &found, NULL), 0);
  assert_int_equal (found.count, 0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown (calicos_gateway_is_on_the_link, teardown),
    cmocka_unit_test_teardown (everything_is_told, teardown),
    cmocka_unit_test_teardown (both_families, teardown),
    cmocka_unit_test (private_options_are_kubevirts),
    cmocka_unit_test_teardown (what_cannot_be_said_is_refused, teardown),
    cmocka_unit_test_teardown (nameservers_of_the_node, teardown),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
