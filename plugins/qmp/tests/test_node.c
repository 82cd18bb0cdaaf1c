/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The accelerator's verdict, from whatever the probe program says, and the command line that follows from it. */
#include "harness.h"

#include <sys/stat.h>

struct fixture {
  char dir[32], probe[64];
  struct hv_fake *f;
};

static void
begin (struct fixture *x, const char *script)
{
  char config[256];
  (void) snprintf (x->dir, sizeof x->dir, "/tmp/hvkit-node-XXXXXX");
  assert_non_null (mkdtemp (x->dir));
  (void) snprintf (x->probe, sizeof x->probe, "%s/probe", x->dir);
  FILE *out = fopen (x->probe, "w");
  assert_non_null (out);
  assert_true (fprintf (out, "#!/bin/sh\n%s\n", script) > 0);
  assert_int_equal (fclose (out), 0);
  assert_int_equal (chmod (x->probe, 0755), 0);
  (void) snprintf (config, sizeof config, "{\"kvm_probe\":\"%s\"}", x->probe);
  x->f = hv_fake_new (&qmp_plugin, config, NULL, NULL);
}

static void
end (struct fixture *x)
{
  hv_fake_free (x->f);
  (void) unlink (x->probe);
  (void) rmdir (x->dir);
}

static void
assert_accel (struct hv_fake *f, const char *accel, int works, const char *reason)
{
  json_t *j = ok (f, "probe", "{}"), *kvm = json_array_get (json_object_get (j, "accels"), 0);
  assert_string_equal (qmp_json_str (j, "accel", ""), accel);
  assert_int_equal (qmp_json_bool (kvm, "works", -1), works);
  if (strstr (qmp_json_str (kvm, "reason", ""), reason) == NULL)
    fail_msg ("'%s' is not in '%s'", reason, qmp_json_str (kvm, "reason", ""));
  json_decref (j);
}

static void
test_verdicts (void **state)
{
  static const struct {
    const char *script, *accel, *reason;
    int works;
  } cases[] = {
    { "echo 64-bit guest code runs", "kvm", "guest code runs", 1 },
    { "echo an exception: KVM gave up; exit 1", "tcg", "an exception: KVM gave up", 0 },
    { "exit 1", "tcg", "ended with status 1", 0 },
    { "kill -11 $$", "tcg", "ended with signal 11", 0 },
    { "echo partial; exec sleep 60", "tcg", "guest code hangs", 0 },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct fixture x;
    begin (&x, cases[i].script);
    assert_accel (x.f, cases[i].accel, cases[i].works, cases[i].reason);
    end (&x);
  }
}

static void
test_pinned (void **state)
{
  struct hv_fake *f = hv_fake_new (&qmp_plugin, "{\"accel\":\"kvm\",\"kvm_probe\":\"/nonexistent\"}", NULL, NULL);
  (void) state;
  assert_accel (f, "kvm", 0, "pinned");
  hv_fake_free (f);
  f = hv_fake_new (&qmp_plugin, "{\"kvm_probe\":\"/nonexistent\"}", NULL, NULL);
  assert_accel (f, "tcg", 0, "/nonexistent");
  hv_fake_free (f);
}

static void
test_no_emulator (void **state)
{
  struct hv_fake *f = hv_fake_new (&qmp_plugin, "{\"qemu\":\"/nonexistent/qemu\",\"accel\":\"tcg\"}", NULL, NULL);
  (void) state;
  do_fail (f, "probe", "{}", HV_E_FAILED_PRECONDITION, "/nonexistent/qemu");
  do_fail (f, "define", SMALL_VM ("a", UUID_A), HV_E_FAILED_PRECONDITION, "/nonexistent/qemu");
  hv_fake_free (f);
  f = hv_fake_new (&qmp_plugin, "{\"qemu\":\"/bin/true\",\"accel\":\"tcg\"}", NULL, NULL);
  do_fail (f, "probe", "{}", HV_E_FAILED_PRECONDITION, "before it said what it can");
  hv_fake_free (f);
}

/* --- command lines --- */

#define REFERENCE \
  "{\"vm\":\"default_ubuntu-amd\",\"machine\":{\"name\":\"default_ubuntu-amd\",\"uuid\":\"" UUID_A \
  "\",\"machine\":\"pc-q35-7.2\"," \
  "\"memory_bytes\":4294967296,\"cpu\":{\"model\":\"host-model\",\"cores\":4},\"smbios\":{\"manufacturer\":\"KubeVirt\"," \
  "\"product\":\"None\"," \
  "\"family\":\"KubeVirt\"},\"inputs\":[{\"name\":\"tablet1\"}]," \
  "\"disks\":[{\"name\":\"rootdisk\",\"path\":\"/pvc/disk.img\",\"format\":\"raw\",\"boot_order\":1,\"cache\":\"none\"}," \
  "{\"name\":\"containerdisk\",\"path\":\"/overlay/" \
  "disk.qcow2\",\"format\":\"qcow2\",\"bus\":\"sata\",\"media\":\"cdrom\",\"boot_order\":2," \
  "\"cache\":\"none\",\"backing\":[{\"path\":\"/base/disk_1.img\",\"format\":\"raw\"}]}]}}"

static json_t *
argv_of (struct hv_fake *f, const char *vm)
{
  json_t *j = ok (f, "native", "{\"vm\":\"%s\"}", vm), *argv = json_object_get (j, "argv");
  assert_string_equal (qmp_json_str (j, "format", ""), "argv");
  json_incref (argv);
  json_decref (j);
  return argv;
}

/* The value after the n-th `option`. */
static const char *
value (const json_t *argv, const char *option, size_t nth)
{
  for (size_t i = 0; i + 1 < json_array_size (argv); i++)
    if (strcmp (json_string_value (json_array_get (argv, i)), option) == 0 && nth-- == 0)
      return json_string_value (json_array_get (argv, i + 1));
  return NULL;
}

static int
has (const json_t *argv, const char *word)
{
  for (size_t i = 0; i < json_array_size (argv); i++)
    if (strcmp (json_string_value (json_array_get (argv, i)), word) == 0)
      return 1;
  return 0;
}

static void
assert_value (const json_t *argv, const char *option, const char *expected)
{
  const char *got = value (argv, option, 0);
  assert_non_null (got);
  assert_string_equal (got, expected);
}

/* `expected` is JSON; the n-th option of the command line has to hold all its members (it may hold more). */
static void
assert_object (const json_t *argv, const char *option, size_t nth, const char *expected)
{
  const char *key, *text = value (argv, option, nth);
  json_t *want = json_loads (expected, 0, NULL), *got = text != NULL ? json_loads (text, 0, NULL) : NULL, *v;
  assert_non_null (want);
  assert_non_null (got);
  json_object_foreach (want, key, v)
  {
    if (!json_equal (v, json_object_get (got, key)))
      fail_msg ("%s %zu: '%s' of %s is not as in %s", option, nth, key, text, expected);
  }
  json_decref (want);
  json_decref (got);
}

/* The devices and addresses that libvirt gives KubeVirt's reference machine, network placeholders included. */
static const char *const reference_devices[] = {
  "{\"driver\":\"qemu-xhci\",\"bus\":\"pci.5\",\"addr\":\"0x0\"}",
  "{\"driver\":\"virtio-scsi-pci-non-transitional\",\"bus\":\"pci.6\",\"addr\":\"0x0\"}",
  "{\"driver\":\"virtio-serial-pci-non-transitional\",\"bus\":\"pci.7\",\"addr\":\"0x0\"}",
  "{\"driver\":\"virtio-blk-pci-non-transitional\",\"bus\":\"pci.8\",\"addr\":\"0x0\",\"drive\":\"q-617ede0207177f4f\",\"id\":\"ua-rootdisk\","
  "\"bootindex\":1,"
  "\"write-cache\":\"on\",\"werror\":\"stop\",\"rerror\":\"stop\"}",
  "{\"driver\":\"ide-cd\",\"bus\":\"ide.0\",\"drive\":\"q-e1d7187c16c8a47e\",\"id\":\"ua-containerdisk\",\"bootindex\":2,\"write-cache\":"
  "\"on\",\"werror\":\"stop\","
  "\"rerror\":\"stop\"}",
  "{\"driver\":\"isa-serial\",\"index\":0}",
  "{\"driver\":\"virtserialport\",\"bus\":\"virtio-serial0.0\",\"nr\":1,\"name\":\"org.qemu.guest_agent.0\"}",
  "{\"driver\":\"usb-tablet\",\"id\":\"ua-tablet1\",\"bus\":\"usb.0\",\"port\":\"1\"}",
  "{\"driver\":\"VGA\",\"vgamem_mb\":16,\"bus\":\"pcie.0\",\"addr\":\"0x1\"}",
  "{\"driver\":\"virtio-balloon-pci-non-transitional\",\"free-page-reporting\":true,\"bus\":\"pci.9\",\"addr\":\"0x0\"}",
};

static const char *const reference_nodes[] = {
  "{\"driver\":\"file\",\"filename\":\"/pvc/"
  "disk.img\",\"node-name\":\"f-617ede0207177f4f\",\"cache\":{\"direct\":true,\"no-flush\":false},\"discard\":\"unmap\"}",
  "{\"driver\":\"raw\",\"node-name\":\"q-617ede0207177f4f\",\"file\":\"f-617ede0207177f4f\",\"read-only\":false,\"cache\":{\"direct\":true,\"no-"
  "flush\":false}}",
  "{\"driver\":\"file\",\"filename\":\"/base/disk_1.img\",\"node-name\":\"f-2dfd5ddc97941ae4\",\"auto-read-only\":true}",
  "{\"driver\":\"raw\",\"node-name\":\"q-2dfd5ddc97941ae4\",\"file\":\"f-2dfd5ddc97941ae4\",\"read-only\":true}",
  "{\"driver\":\"file\",\"filename\":\"/overlay/disk.qcow2\",\"node-name\":\"f-e1d7187c16c8a47e\",\"auto-read-only\":true}",
  "{\"driver\":\"qcow2\",\"node-name\":\"q-e1d7187c16c8a47e\",\"file\":\"f-e1d7187c16c8a47e\",\"backing\":\"q-2dfd5ddc97941ae4\",\"read-only\":true}",
};

static void
test_reference (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, "echo runs");
  do_ok (x.f, "define", REFERENCE);
  json_t *argv = argv_of (x.f, "default_ubuntu-amd");
  assert_value (argv, "-name", "guest=default_ubuntu-amd,debug-threads=on");
  assert_value (argv, "-machine", "pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram");
  assert_value (argv, "-accel", "kvm");
  assert_value (argv, "-cpu", "host,migratable=on");
  assert_value (argv, "-m", "4096");
  assert_value (argv, "-smp", "4,sockets=1,dies=1,cores=4,threads=1");
  assert_value (argv, "-uuid", UUID_A);
  assert_value (argv, "-smbios", "type=1,uuid=" UUID_A ",manufacturer=KubeVirt,product=None,family=KubeVirt");
  assert_value (argv, "-overcommit", "mem-lock=off");
  assert_value (argv, "-rtc", "base=utc");
  assert_value (argv, "-boot", "strict=on");
  assert_value (argv, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  assert_value (argv, "-msg", "timestamp=on");
  assert_true (has (argv, "-S") && has (argv, "-no-user-config") && has (argv, "-nodefaults") && has (argv, "-no-shutdown"));
  for (size_t i = 0; i < 10; i++) {
    char port[256];
    (void) snprintf (port, sizeof port,
                     "{\"driver\":\"pcie-root-port\",\"port\":%zu,\"chassis\":%zu,\"id\":\"pci.%zu\",\"bus\":\"pcie.0\",\"addr\":"
                     "\"0x%zu%s%.0zu\"%s}",
                     16 + i, i + 1, i + 1, 2 + i / 8, i % 8 != 0 ? ".0x" : "", i % 8, i % 8 == 0 ? ",\"multifunction\":true" : "");
    assert_object (argv, "-device", i, port);
  }
  for (size_t i = 0; i < sizeof reference_devices / sizeof reference_devices[0]; i++)
    assert_object (argv, "-device", 10 + i, reference_devices[i]);
  /* one more than libvirt's: the port that the firmware logs to */
  assert_object (argv, "-device", 10 + sizeof reference_devices / sizeof reference_devices[0],
                 "{\"driver\":\"isa-debugcon\",\"iobase\":1026}");
  assert_null (value (argv, "-device", 11 + sizeof reference_devices / sizeof reference_devices[0]));
  for (size_t i = 0; i < sizeof reference_nodes / sizeof reference_nodes[0]; i++)
    assert_object (argv, "-blockdev", i, reference_nodes[i]);
  assert_null (value (argv, "-blockdev", sizeof reference_nodes / sizeof reference_nodes[0]));
  json_decref (argv);
  end (&x);
}

#define ODD \
  "{\"vm\":\"odd\",\"machine\":{\"name\":\"odd\",\"uuid\":\"" UUID_B \
  "\",\"memory_bytes\":100000000,\"acpi\":false,\"graphics\":false,\"serial\":false," \
  "\"agent\":false,\"balloon\":false,\"rng\":true,\"watchdog\":\"i6300esb\",\"watchdog_action\":\"poweroff\"," \
  "\"kernel\":{\"kernel\":\"/boot/k,id=x\",\"initrd\":\"/boot/i\",\"cmdline\":\"console=ttyS0,115200 a=\\\"b\\\"\"}," \
  "\"smbios\":{\"serial\":\"a,file=/etc/shadow\"}," \
  "\"nics\":[{\"name\":\"net0\",\"mac\":\"02:00:00:00:00:01\",\"tap\":\"tap0\",\"mtu\":1450,\"queues\":2}," \
  "{\"name\":\"net1\",\"mac\":\"02:00:00:00:00:02\",\"tap\":\"tap1\",\"model\":\"e1000e\",\"boot_order\":3}]," \
  "\"disks\":[{\"name\":\"a\",\"path\":\"/" \
  "a,b\\\"c\",\"format\":\"qcow2\",\"bus\":\"scsi\",\"cache\":\"writethrough\",\"on_error\":\"enospace\",\"serial\":\"S1\"}," \
  "{\"name\":\"b\",\"path\":\"/b\",\"format\":\"raw\",\"bus\":\"scsi\",\"cache\":\"writeback\",\"read_only\":true}," \
  "{\"name\":\"c\",\"path\":\"/c\",\"format\":\"raw\",\"bus\":\"usb\",\"cache\":\"none\"}]}}"

static void
test_every_option (void **state)
{
  struct fixture x;
  (void) state;
  begin (&x, "exit 1");
  do_ok (x.f, "define", ODD);
  json_t *argv = argv_of (x.f, "odd");
  assert_value (argv, "-machine", "pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram,acpi=off");
  assert_value (argv, "-accel", "tcg,tb-size=256");
  assert_value (argv, "-cpu", "max");
  assert_value (argv, "-m", "96"); /* 100 MB, rounded up to MiB */
  assert_value (argv, "-kernel", "/boot/k,id=x");
  assert_value (argv, "-initrd", "/boot/i");
  assert_value (argv, "-append", "console=ttyS0,115200 a=\"b\"");
  assert_value (argv, "-smbios", "type=1,uuid=" UUID_B ",serial=a,,file=/etc/shadow");
  assert_value (argv, "-display", "none");
  assert_value (argv, "-action", "watchdog=poweroff");
  assert_null (value (argv, "-vnc", 0));
  assert_null (value (argv, "-chardev", 2)); /* the monitor and the firmware's log only */
  assert_object (argv, "-netdev", 0, "{\"type\":\"tap\",\"id\":\"host-net0\",\"fds\":\"5:6\"}");
  assert_object (argv, "-netdev", 1, "{\"type\":\"tap\",\"id\":\"host-net1\",\"fd\":\"7\"}");
  assert_object (argv, "-object", 1, "{\"qom-type\":\"rng-builtin\"}");
  size_t first = 0;
  const char *text;
  while ((text = value (argv, "-device", first)) != NULL && strstr (text, "pcie-root-port") != NULL)
    first++;
  static const char *const devices[] = {
    "{\"driver\":\"virtio-net-pci-non-transitional\",\"bus\":\"pci.1\",\"mac\":\"02:00:00:00:00:01\",\"host_mtu\":1450,\"mq\":true,"
    "\"vectors\":6,\"romfile\":\"\"}",
    "{\"driver\":\"e1000e\",\"bus\":\"pci.2\",\"bootindex\":3}",
    "{\"driver\":\"qemu-xhci\",\"bus\":\"pci.5\"}",
    "{\"driver\":\"virtio-scsi-pci-non-transitional\",\"bus\":\"pci.6\"}",
    "{\"driver\":\"scsi-hd\",\"bus\":\"scsi0.0\",\"lun\":0,\"write-cache\":\"off\",\"werror\":\"enospc\",\"rerror\":\"report\","
    "\"serial\":\"S1\"}",
    "{\"driver\":\"scsi-hd\",\"bus\":\"scsi0.0\",\"lun\":1,\"write-cache\":\"on\"}",
    "{\"driver\":\"usb-storage\",\"bus\":\"usb.0\",\"port\":\"1\"}",
    "{\"driver\":\"virtio-rng-pci-non-transitional\",\"bus\":\"pci.7\"}",
    "{\"driver\":\"i6300esb\"}",
  };
  for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
    assert_object (argv, "-device", first + i, devices[i]);
  assert_null (value (argv, "-device", first + 1 + sizeof devices / sizeof devices[0])); /* behind the firmware's port */
  assert_object (argv, "-blockdev", 0, "{\"filename\":\"/a,b\\\"c\",\"cache\":{\"direct\":false,\"no-flush\":false}}");
  assert_object (argv, "-blockdev", 1, "{\"driver\":\"qcow2\",\"backing\":null,\"read-only\":false}"); /* nothing below: closed */
  assert_object (argv, "-blockdev", 3, "{\"driver\":\"raw\",\"read-only\":true,\"cache\":{\"direct\":false,\"no-flush\":false}}");
  assert_object (argv, "-blockdev", 5, "{\"cache\":{\"direct\":true,\"no-flush\":false}}");
  json_decref (argv);
  end (&x);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_verdicts),  cmocka_unit_test (test_pinned),       cmocka_unit_test (test_no_emulator),
    cmocka_unit_test (test_reference), cmocka_unit_test (test_every_option),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
