/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt says it can do, and machines that are among it or not. */
#include "plugins/libvirt/xml/caps.h"
#include "xml_fixture.h"

#define CAPS \
  "<capabilities><host><uuid>8813fb2b-128e-4c5d-a848-b42f95891baa</uuid><cpu><arch>x86_64</arch><model>kvm64</model></cpu></host>" \
  "<guest><os_type>hvm</os_type><arch name='i686'><emulator>/usr/bin/qemu-system-i386</emulator>" \
  "<machine maxCpus='255'>pc</machine><domain type='qemu'/></arch></guest>" \
  "<guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize><emulator>/usr/bin/qemu-system-x86_64</emulator>" \
  "<machine maxCpus='255'>pc-i440fx-7.2</machine><machine maxCpus='288'>pc-q35-2.10</machine>" \
  "<machine maxCpus='288' deprecated='yes'>pc-q35-2.4</machine><machine canonical='pc-q35-7.2' maxCpus='288'>q35</machine>" \
  "<machine maxCpus='288'>pc-q35-7.2</machine><machine>microvm</machine><domain type='qemu'/></arch></guest></capabilities>"
#define DOMCAPS \
  "<domainCapabilities><path>/usr/bin/qemu-system-x86_64</path><domain>qemu</domain><machine>pc-q35-7.2</machine>" \
  "<arch>x86_64</arch><vcpu max='8'/><cpu><mode name='host-passthrough' supported='no'/>" \
  "<mode name='maximum' supported='yes'><enum name='maximumMigratable'><value>on</value></enum></mode>" \
  "<mode name='host-model' supported='yes'><model fallback='forbid'>EPYC</model><vendor>AMD</vendor></mode>" \
  "<mode name='custom' supported='yes'><model usable='yes' vendor='Intel'>Westmere</model><model usable='no'>EPYC</model>" \
  "<model usable='unknown'>qemu64</model></mode></cpu></domainCapabilities>"

static struct lv_caps *
caps_ok (const char *xml)
{
  struct lv_caps *c = NULL;
  assert_int_equal (lv_caps_read (xml, &c, NULL), 0);
  return c;
}

static struct lv_domcaps *
domcaps_ok (const char *xml)
{
  struct lv_domcaps *d = NULL;
  assert_int_equal (lv_domcaps_read (xml, &d, NULL), 0);
  return d;
}

static void
test_capabilities (void **state)
{
  static const char *const sorted[] = { "microvm", "pc-i440fx-7.2", "pc-q35-2.4", "pc-q35-2.10", "pc-q35-7.2", "q35" };
  HV_CLEAN (lv_caps) struct lv_caps *c = caps_ok (CAPS);
  const struct lv_guest *g = lv_caps_guest (c, "amd64");
  (void) state;
  assert_string_equal (c->host_arch, "x86_64");
  assert_int_equal (c->guest_count, 2);
  assert_non_null (g);
  assert_string_equal (g->emulator, "/usr/bin/qemu-system-x86_64");
  assert_true (g->has_qemu && !g->has_kvm);
  assert_int_equal (g->machine_count, 6);
  for (int i = 0; i < 6; i++)
    assert_string_equal (g->machines[i], sorted[i]);
  assert_null (lv_caps_guest (c, "arm64"));
  assert_null (lv_caps_guest (c, "i686"));
  assert_string_equal (lv_caps_arch ("aarch64"), "arm64");
  assert_string_equal (lv_caps_arch ("x86_64"), "amd64");
  assert_string_equal (lv_caps_arch ("riscv64"), "riscv64");
}

static void
test_domain_capabilities (void **state)
{
  HV_CLEAN (lv_domcaps) struct lv_domcaps *d = domcaps_ok (DOMCAPS);
  (void) state;
  assert_string_equal (d->emulator, "/usr/bin/qemu-system-x86_64");
  assert_int_equal (d->max_vcpus, 8);
  assert_true (!d->host_passthrough && d->host_model && d->maximum && d->custom);
  assert_int_equal (d->model_count, 3);
  assert_string_equal (d->models[0].name, "Westmere");
  assert_true (d->models[0].usable && !d->models[1].usable && d->models[2].usable);
  HV_CLEAN (lv_domcaps) struct lv_domcaps *bare = domcaps_ok ("<domainCapabilities/>");
  assert_true (bare->emulator == NULL && bare->max_vcpus == 0 && bare->model_count == 0 && !bare->custom);
}

static void
test_no_capabilities (void **state)
{
  static const char *const cases[] = { "",
                                       "<a/>",
                                       "<capabilities",
                                       "<capabilities/>",
                                       "<capabilities><host/></capabilities>",
                                       "<!DOCTYPE capabilities><capabilities/>",
                                       "<capabilities><host><cpu><arch>x</arch></cpu></host><guest/></capabilities>" };
  struct lv_caps *c = NULL;
  struct lv_domcaps *d = NULL;
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_int_equal (lv_caps_read (cases[i], &c, NULL), HV_E_INVALID_ARGUMENT);
    assert_int_equal (lv_domcaps_read (cases[i], &d, NULL), HV_E_INVALID_ARGUMENT);
  }
  assert_null (c);
  assert_null (d);
}

static void
assert_machine (const struct lv_fixture *f, const char *type, int code, const char *text)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  HV_CLEAN (lv_caps) struct lv_caps *c = caps_ok (CAPS);
  assert_int_equal (lv_caps_check (c, &f->m, type, err), code);
  assert_string_equal (hv_err_message (err), text);
}

static void
test_machines (void **state)
{
  struct lv_fixture f;
  (void) state;
  lv_fixture_begin (&f);
  assert_machine (&f, "qemu", 0, "");
  assert_machine (&f, "kvm", HV_E_FAILED_PRECONDITION, "machine.arch 'amd64': libvirt has no KVM for it here");
  f.m.machine = "pc-q35-2.4"; /* it is older, but it is there */
  assert_machine (&f, "qemu", 0, "");
  f.m.machine = "pc-q35-9.0";
  assert_machine (&f, "qemu", HV_E_UNIMPLEMENTED,
                  "machine.machine 'pc-q35-9.0': libvirt has no such type here; it has q35, pc-q35-7.2, pc-q35-2.10, pc-q35-2.4");
  f.m.arch = "arm64";
  assert_machine (&f, "qemu", HV_E_UNIMPLEMENTED, "machine.arch 'arm64': libvirt has no emulator for it here; it has i686, amd64");
}

static void
assert_model (const struct lv_fixture *f, const char *type, int code, const char *text)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  HV_CLEAN (lv_domcaps) struct lv_domcaps *d = domcaps_ok (DOMCAPS);
  assert_int_equal (lv_domcaps_check (d, &f->m, type, err), code);
  assert_string_equal (hv_err_message (err), text);
}

static void
test_models (void **state)
{
  static const char *const fine[] = { "host-model", "max", "Westmere", "qemu64", "EPYC" };
  struct lv_fixture f;
  (void) state;
  lv_fixture_begin (&f);
  for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
    f.m.cpu.model = fine[i];
    assert_model (&f, "qemu", 0, "");
  }
  assert_model (&f, "kvm", HV_E_UNIMPLEMENTED,
                "machine.cpu.model 'EPYC': this node's processor lacks some of its features; usable are Westmere, qemu64");
  f.m.cpu.model = "Pentium9";
  assert_model (&f, "qemu", HV_E_UNIMPLEMENTED,
                "machine.cpu.model 'Pentium9': libvirt does not know it here; usable are Westmere, qemu64");
  f.m.cpu.model = "host-passthrough";
  assert_model (&f, "kvm", HV_E_UNIMPLEMENTED,
                "machine.cpu.model 'host-passthrough': libvirt does not have it here; usable are Westmere, qemu64");
  f.m.cpu.model = "max";
  HV_SET (&f.m.cpu, max_sockets, 3);
  assert_model (&f, "qemu", HV_E_UNIMPLEMENTED, "machine.cpu: 12 virtual CPUs; machine type 'q35' takes 8 here");
}

/* A list that is too long for a message says that it goes on. */
static void
test_long_list (void **state)
{
  char xml[8192];
  size_t n = (size_t) snprintf (xml, sizeof xml, "<domainCapabilities><cpu><mode name='custom' supported='yes'>");
  struct lv_fixture f;
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  (void) state;
  for (int i = 0; i < 100; i++)
    n += (size_t) snprintf (xml + n, sizeof xml - n, "<model usable='yes'>Processor%d</model>", i);
  (void) snprintf (xml + n, sizeof xml - n, "</mode></cpu></domainCapabilities>");
  HV_CLEAN (lv_domcaps) struct lv_domcaps *d = domcaps_ok (xml);
  lv_fixture_begin (&f);
  f.m.cpu.model = "X";
  assert_int_equal (lv_domcaps_check (d, &f.m, "qemu", err), HV_E_UNIMPLEMENTED);
  const char *text = hv_err_message (err), *end = strstr (text, ", ...");
  assert_non_null (strstr (text, "Processor0, Processor1, "));
  assert_non_null (end);
  assert_string_equal (end, ", ...");
}

int
main (void)
{
  const struct CMUnitTest tests[] = { cmocka_unit_test (test_capabilities),    cmocka_unit_test (test_domain_capabilities),
                                      cmocka_unit_test (test_no_capabilities), cmocka_unit_test (test_machines),
                                      cmocka_unit_test (test_models),          cmocka_unit_test (test_long_list) };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
