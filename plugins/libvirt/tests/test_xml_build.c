/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What every field of a machine becomes in the domain, and what is refused before libvirt sees it. */
#include "xml_fixture.h"
#include <sys/stat.h>
#include <unistd.h>

#define DISK(n) "/domain/devices/disk[" #n "]"
#define NIC(n)  "/domain/devices/interface[" #n "]"

static void
test_reference (void **state)
{
  static const char *const nodes[][2] = {
    { "/domain/@type", "qemu" },
    { "/domain/name", "default_ubuntu-amd" },
    { "/domain/memory", "4294967296" },
    { "/domain/memory/@unit", "b" },
    { "/domain/vcpu", "4" },
    { "/domain/vcpu/@placement", "static" },
    { "/domain/vcpu/@current", "" },
    { "/domain/iothreads", "1" },
    { "/domain/sysinfo/@type", "smbios" },
    { "/domain/sysinfo/system/entry[@name='uuid']", UUID_A },
    { "/domain/sysinfo/system/entry[@name='manufacturer']", "KubeVirt" },
    { "/domain/sysinfo/system/entry[@name='serial']", "A&B <1>" },
    { "/domain/os/type", "hvm" },
    { "/domain/os/type/@arch", "x86_64" },
    { "/domain/os/type/@machine", "q35" },
    { "/domain/os/smbios/@mode", "sysinfo" },
    { "/domain/cpu/@mode", "host-model" },
    { "/domain/cpu/topology/@sockets", "1" },
    { "/domain/cpu/topology/@cores", "4" },
    { "/domain/cpu/topology/@threads", "1" },
    { "/domain/devices/controller[@type='usb']/@model", "qemu-xhci" },
    { "/domain/devices/controller[@type='scsi']/@model", "virtio-non-transitional" },
    { "/domain/devices/controller[@type='virtio-serial']/@model", "virtio-non-transitional" },
    { "/domain/devices/serial/@type", "unix" },
    { "/domain/devices/serial/source/@mode", "bind" },
    { "/domain/devices/serial/source/@path", "/run/a/serial.sock" },
    { "/domain/devices/serial/log/@file", "/run/a/serial.log" },
    { "/domain/devices/serial/log/@append", "on" },
    { "/domain/devices/channel/target/@name", "org.qemu.guest_agent.0" },
    { "/domain/devices/graphics/@type", "vnc" },
    { "/domain/devices/graphics/listen/@socket", "/run/a/vnc.sock" },
    { "/domain/devices/video/model/@type", "vga" },
    { "/domain/devices/video/model/@vram", "16384" },
    { "/domain/devices/input/@bus", "usb" },
    { "/domain/devices/input/alias/@name", "ua-tablet1" },
    { "/domain/devices/memballoon/@model", "virtio-non-transitional" },
    { "/domain/devices/memballoon/@freePageReporting", "on" },
    { "/domain/devices/memballoon/stats/@period", "10" },
    { DISK (1) "/@device", "disk" },
    { DISK (1) "/@model", "virtio-non-transitional" },
    { DISK (1) "/driver/@type", "raw" },
    { DISK (1) "/driver/@cache", "writethrough" },
    { DISK (1) "/driver/@error_policy", "stop" },
    { DISK (1) "/driver/@discard", "unmap" },
    { DISK (1) "/source/@file", "/pvc/disk.img" },
    { DISK (1) "/target/@dev", "vda" },
    { DISK (1) "/target/@bus", "virtio" },
    { DISK (1) "/boot/@order", "1" },
    { DISK (1) "/alias/@name", "ua-rootdisk" },
    { DISK (2) "/@device", "cdrom" },
    { DISK (2) "/@model", "" },
    { DISK (2) "/target/@dev", "sda" },
    { DISK (2) "/target/@tray", "closed" },
    { DISK (2) "/backingStore/format/@type", "qcow2" },
    { DISK (2) "/backingStore/source/@file", "/base/middle.qcow2" },
    { DISK (2) "/backingStore/backingStore/format/@type", "raw" },
    { DISK (2) "/backingStore/backingStore/source/@file", "/base/disk_1.img" },
    { NIC (1) "/@type", "ethernet" },
    { NIC (1) "/mac/@address", "ca:5f:48:41:7d:5d" },
    { NIC (1) "/target/@dev", "tap0" },
    { NIC (1) "/target/@managed", "no" },
    { NIC (1) "/model/@type", "virtio-non-transitional" },
    { NIC (1) "/mtu/@size", "1450" },
    { NIC (1) "/rom/@enabled", "no" },
    { NIC (1) "/alias/@name", "ua-default" },
  };
  struct lv_fixture f;
  (void) state;
  lv_fixture_begin (&f);
  HV_CLEAN (hv_free) char *xml = lv_fixture_xml (&f);
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
    assert_at (xml, nodes[i][0], nodes[i][1]);
  assert_count (xml, "/domain/features/acpi | /domain/features/apic", 2);
  assert_count (xml, DISK (1) "/readonly", 0);
  assert_count (xml, DISK (2) "/readonly", 1);
  assert_count (xml, DISK (1) "/backingStore", 0);
  assert_count (xml, "//watchdog | //rng | //loader | //kernel | //seclabel | //emulator | /domain/uuid", 0);
  assert_count (xml, NIC (1) "/driver | " NIC (1) "/boot", 0);
}

/* One change to the reference, and what it does. */
#define CHANGED(change, xpath, expected) \
  do { \
    struct lv_fixture f; \
    lv_fixture_begin (&f); \
    change; \
    char *xml = lv_fixture_xml (&f); \
    assert_at (xml, xpath, expected); \
    free (xml); \
  } while (0)
#define GONE(change, xpath, expected) \
  do { \
    struct lv_fixture f; \
    lv_fixture_begin (&f); \
    change; \
    char *xml = lv_fixture_xml (&f); \
    assert_count (xml, xpath, expected); \
    free (xml); \
  } while (0)

static void
test_platform (void **state)
{
  (void) state;
  CHANGED (f.m.machine = "pc-q35-7.2", "//os/type/@machine", "pc-q35-7.2");
  CHANGED (f.o.type = "kvm", "/domain/@type", "kvm");
  CHANGED (f.o.emulator = "/usr/bin/q", "//emulator", "/usr/bin/q");
  GONE (f.m.acpi = 0, "/domain/features/acpi", 0);
  CHANGED (f.m.firmware = "efi", "/domain/os/loader", "/fw/CODE.fd");
  CHANGED (f.m.firmware = "efi", "/domain/os/loader/@type", "pflash");
  CHANGED (f.m.firmware = "efi", "/domain/os/loader/@readonly", "yes");
  CHANGED (f.m.firmware = "efi", "/domain/os/nvram", "/state/vars.fd");
  CHANGED (f.m.firmware = "efi", "/domain/os/nvram/@template", "/fw/VARS.fd");
#define KERNEL \
  HV_SET (&f.m, kernel, ((struct hv_machine_kernel){ .kernel = "/k" })); \
  HV_SET (&f.m.kernel, initrd, "/i"); \
  HV_SET (&f.m.kernel, cmdline, "a=\"b\" <c>")
  CHANGED (KERNEL, "/domain/os/kernel", "/k");
  CHANGED (KERNEL, "/domain/os/initrd", "/i");
  CHANGED (KERNEL, "/domain/os/cmdline", "a=\"b\" <c>");
  CHANGED (HV_SET (&f.m, owner_uid, 107), "/domain/seclabel[@model='dac'][@relabel='no']/label", "+107:+107");
}

static void
test_cpu (void **state)
{
  (void) state;
  CHANGED (f.m.cpu.model = "max", "/domain/cpu/@mode", "maximum");
  CHANGED ((f.m.cpu.model = "host-passthrough", f.o.type = "kvm"), "/domain/cpu/@mode", "host-passthrough");
  CHANGED (f.m.cpu.model = "Westmere", "/domain/cpu/@mode", "custom");
  CHANGED (f.m.cpu.model = "Westmere", "/domain/cpu/model", "Westmere");
  CHANGED (f.m.cpu.model = "Westmere", "/domain/cpu/feature[@name='mpx']/@policy", "disable");
  CHANGED (f.m.cpu.threads = 2, "/domain/vcpu", "8");
  CHANGED (HV_SET (&f.m.cpu, max_sockets, 4), "/domain/vcpu", "16");
  CHANGED (HV_SET (&f.m.cpu, max_sockets, 4), "/domain/vcpu/@current", "4");
  CHANGED (HV_SET (&f.m.cpu, max_sockets, 4), "/domain/cpu/topology/@sockets", "4");
  CHANGED (f.m.memory_bytes = 17592186044416, "/domain/memory", "17592186044416");
}

static void
test_devices (void **state)
{
  (void) state;
  GONE (f.m.serial = 0, "//serial | //console", 0);
  GONE (f.o.serial_log = NULL, "//serial/log", 0);
  GONE (f.m.agent = 0, "//channel", 0);
  GONE ((f.m.agent = 0, f.m.serial = 0), "//controller[@type='virtio-serial']", 0);
  GONE (f.m.graphics = 0, "//graphics | //video", 0);
  GONE (f.o.balloon_s = 0, "//memballoon/stats", 0);
  CHANGED (f.m.balloon = 0, "//memballoon/@model", "none");
  GONE (f.m.balloon = 0, "//memballoon/stats | //memballoon/@freePageReporting", 0);
  CHANGED (f.m.rng = 1, "//rng[@model='virtio-non-transitional']/backend[@model='random']", "/dev/urandom");
  CHANGED (HV_SET (&f.m, watchdog, "i6300esb"), "//watchdog/@model", "i6300esb");
  CHANGED ((HV_SET (&f.m, watchdog, "itco"), HV_SET (&f.m, watchdog_action, "pause")), "//watchdog/@action", "pause");
  CHANGED (f.m.inputs.count = 0, "//controller[@type='usb']/@model", "none");
  CHANGED (f.inputs[0].bus = "virtio", "//input/@model", "virtio-non-transitional");
  CHANGED (f.inputs[0].bus = "virtio", "//controller[@type='usb']/@model", "none");
  CHANGED ((f.m.inputs.count = 0, f.disks[1].bus = HV_BUS_USB), "//controller[@type='usb']/@model", "qemu-xhci");
}

static void
test_disks (void **state)
{
  static const uint8_t direct[] = { 1, 0 };
  (void) state;
  CHANGED (f.o.direct = direct, DISK (1) "/driver/@cache", "none");
  CHANGED (f.o.direct = direct, DISK (2) "/driver/@cache", "writethrough");
  CHANGED ((f.o.direct = direct, f.disks[0].cache = HV_CACHE_WRITEBACK), DISK (1) "/driver/@cache", "writeback");
  CHANGED (f.disks[1].cache = HV_CACHE_NONE, DISK (2) "/driver/@cache", "none");
  CHANGED (f.disks[0].on_error = HV_ONERROR_REPORT, DISK (1) "/driver/@error_policy", "report");
  CHANGED (f.disks[0].on_error = HV_ONERROR_ENOSPACE, DISK (1) "/driver/@error_policy", "enospace");
  CHANGED (HV_SET (&f.disks[0], serial, "S'1\"<&>"), DISK (1) "/serial", "S'1\"<&>");
  CHANGED (f.disks[0].path = "/a \"b\"&'c'/ü\t.img", DISK (1) "/source/@file", "/a \"b\"&'c'/ü\t.img");
  GONE (f.disks[0].read_only = 1, DISK (1) "/readonly", 1);
  GONE (f.disks[0].has.boot_order = 0, DISK (1) "/boot", 0);
  GONE (f.disks[0].format = HV_DISK_QCOW2, DISK (1) "/backingStore[not(*)]", 1); /* the end of a chain is said */
  GONE (f.layers[1].format = HV_DISK_QCOW2, DISK (2) "//backingStore[not(*)]", 1);
  CHANGED (f.disks[0].bus = HV_BUS_SCSI, DISK (1) "/target/@dev", "sda");
  CHANGED (f.disks[0].bus = HV_BUS_SCSI, DISK (1) "/address/@unit", "0");
  CHANGED (f.disks[0].bus = HV_BUS_SCSI, DISK (2) "/target/@dev", "sdb");
  CHANGED (f.disks[0].bus = HV_BUS_USB, DISK (1) "/target/@bus", "usb");
}

static void
test_nics (void **state)
{
  (void) state;
  CHANGED (f.nics[0].model = "e1000e", NIC (1) "/model/@type", "e1000e");
  CHANGED (f.nics[0].queues = 4, NIC (1) "/driver/@queues", "4");
  CHANGED (HV_SET (&f.nics[0], boot_order, 3), NIC (1) "/boot/@order", "3");
  GONE (HV_SET (&f.nics[0], boot_order, 3), NIC (1) "/rom", 0);
  GONE (f.nics[0].has.mtu = 0, "//mtu", 0);
  GONE (f.o.placeholders = 3, "//interface", 4);
  CHANGED (f.o.placeholders = 3, NIC (4) "/alias/@name", "ua-placeholder-3");
  CHANGED (f.o.placeholders = 3, NIC (2) "/target/@managed", "no");
}

static void
test_architectures (void **state)
{
  (void) state;
#define ARM  (f.m.arch = "arm64", f.m.machine = "virt", f.m.firmware = "efi", f.m.cpu.model = "max")
#define S390 (f.m.arch = "s390x", f.m.machine = "s390-ccw-virtio", f.m.inputs.count = 0)
  CHANGED (ARM, "//os/type/@arch", "aarch64");
  CHANGED (ARM, "//video/model/@type", "virtio");
  GONE (ARM, "//video/model/@vram | //features/apic", 0);
  CHANGED ((ARM, f.m.inputs.count = 0), "//controller[@type='usb']/@model", "qemu-xhci");
  CHANGED (S390, "//os/type/@arch", "s390x");
  CHANGED (S390, "/domain/uuid", UUID_A); /* no SMBIOS that could hold it */
  GONE (S390, "//sysinfo | //os/smbios | //features/acpi", 0);
  GONE ((ARM, f.m.cpu.model = "cortex-a57"), "//cpu/feature", 0);
}

/* --- what is refused --- */

#define REFUSED(change, code, text) \
  do { \
    struct lv_fixture f; \
    lv_fixture_begin (&f); \
    change; \
    lv_fixture_refused (&f, code, text); \
  } while (0)

static void
test_unknown_platform (void **state)
{
  (void) state;
  REFUSED (f.m.arch = "arm64", HV_E_UNIMPLEMENTED, "machine.machine 'q35': on arm64 there is virt, virt-*");
  REFUSED (f.m.machine = "virt", HV_E_UNIMPLEMENTED, "machine.machine 'virt': on amd64 there is q35, pc-q35*");
  REFUSED (f.m.machine = "pc-i440fx-7.2", HV_E_UNIMPLEMENTED, "machine.machine 'pc-i440fx-7.2': on amd64 there is q35, pc-q35*");
  REFUSED (f.m.arch = "s390x", HV_E_UNIMPLEMENTED, "machine.machine 'q35': on s390x there is s390-ccw-virtio, s390-ccw-virtio-*");
  REFUSED (f.m.arch = "x86_64", HV_E_UNIMPLEMENTED, "machine.arch 'x86_64': one of amd64, arm64, s390x");
  REFUSED ((f.m.arch = "arm64", f.m.machine = "virt"), HV_E_UNIMPLEMENTED, "machine.firmware 'bios': arm64 boots with efi");
  REFUSED ((ARM, f.m.cpu.model = "host-model"), HV_E_UNIMPLEMENTED,
           "machine.cpu.model 'host-model': not on arm64; use host-passthrough, max or a model's name");
  REFUSED (f.m.cpu.model = "host-passthrough", HV_E_UNIMPLEMENTED,
           "machine.cpu.model 'host-passthrough': this node emulates the processor (no KVM); use host-model or max");
  REFUSED (f.m.machine = "q35,accel=kvm", HV_E_INVALID_ARGUMENT, "machine.machine 'q35,accel=kvm': not the name of a machine type");
  REFUSED (f.m.cpu.model = "", HV_E_INVALID_ARGUMENT, "machine.cpu.model '': not the name of a processor model");
  REFUSED (f.m.firmware = "efi-secure", HV_E_UNIMPLEMENTED,
           "machine.firmware 'efi-secure': this backend has no secure boot yet; use efi");
  REFUSED (f.m.firmware = "uboot", HV_E_INVALID_ARGUMENT, "machine.firmware 'uboot': one of bios, efi");
  REFUSED (HV_SET (&f.m.cpu, max_sockets, 64), HV_E_UNIMPLEMENTED, "machine.cpu: 256 virtual CPUs; this backend gives 255 at most");
  REFUSED ((f.m.cpu.sockets = 2, HV_SET (&f.m.cpu, max_sockets, 1)), HV_E_INVALID_ARGUMENT,
           "machine.cpu.max_sockets: 1 is less than the 2 sockets there are");
  REFUSED ((f.m.cpu.cores = 512, f.m.cpu.sockets = 512, f.m.cpu.threads = 16384), HV_E_UNIMPLEMENTED,
           "machine.cpu: 4294967296 virtual CPUs; this backend gives 255 at most");
}

static void
test_unknown_devices (void **state)
{
  (void) state;
  REFUSED (f.nics[0].model = "ne2k", HV_E_UNIMPLEMENTED, "machine.nics[0].model 'ne2k': one of virtio, e1000, e1000e, rtl8139");
  REFUSED ((f.nics[0].model = "e1000", f.nics[0].queues = 2), HV_E_UNIMPLEMENTED, "machine.nics[0].queues: only virtio has it");
  REFUSED (f.disks[1].bus = HV_BUS_VIRTIO, HV_E_UNIMPLEMENTED, "machine.disks[1].bus: a cdrom is on sata, scsi or usb");
  REFUSED (f.inputs[0].type = "mouse", HV_E_UNIMPLEMENTED, "machine.inputs[0].type 'mouse': only tablet");
  REFUSED (f.inputs[0].bus = "ps2", HV_E_INVALID_ARGUMENT, "machine.inputs[0].bus 'ps2': one of usb, virtio");
  REFUSED (HV_SET (&f.m, watchdog, "ib700"), HV_E_UNIMPLEMENTED, "machine.watchdog 'ib700': one of i6300esb, itco");
  REFUSED (HV_SET (&f.m, watchdog_action, "explode"), HV_E_INVALID_ARGUMENT,
           "machine.watchdog_action 'explode': one of reset, shutdown, poweroff, pause, none, inject-nmi");
  REFUSED (f.smbios[0].key = "bios", HV_E_INVALID_ARGUMENT,
           "machine.smbios 'bios': one of manufacturer, product, family, sku, version, serial");
  REFUSED (f.inputs[0].name = "rootdisk", HV_E_INVALID_ARGUMENT, "machine: two devices are named 'rootdisk'");
  REFUSED (f.disks[1].name = "default", HV_E_INVALID_ARGUMENT, "machine: two devices are named 'default'");
}

/* Texts that XML cannot hold, in every field that comes from outside. */
static void
test_hostile (void **state)
{
  static const char *const texts[]
      = { "/a\nb",     "/a\rb",         "/\x01",         "/\x1b[2J",          "/\x7f",    "/\xc3", "/\xff", "/\xc0\xaf",
          "/\xa7\xa7", "/\xed\xa0\x80", "/\xef\xbf\xbf", "/\xf4\x90\x80\x80", "/\xc0\x89" };
#define BAD "it has a control character, or is not UTF-8"
  (void) state;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    const char *t = texts[i];
    REFUSED (f.disks[0].path = t, HV_E_INVALID_ARGUMENT, "machine.disks[0].path: " BAD);
    REFUSED (f.layers[1].path = t, HV_E_INVALID_ARGUMENT, "machine.disks[1].backing: " BAD);
    REFUSED (HV_SET (&f.disks[0], serial, t), HV_E_INVALID_ARGUMENT, "machine.disks[0].serial: " BAD);
    REFUSED (f.nics[0].tap = t, HV_E_INVALID_ARGUMENT, "machine.nics[0].tap: " BAD);
    REFUSED (HV_SET (&f.m, kernel, ((struct hv_machine_kernel){ .kernel = t })), HV_E_INVALID_ARGUMENT,
             "machine.kernel.kernel: " BAD);
    REFUSED ((HV_SET (&f.m, kernel, ((struct hv_machine_kernel){ .kernel = "/k" })), HV_SET (&f.m.kernel, initrd, t)),
             HV_E_INVALID_ARGUMENT, "machine.kernel.initrd: " BAD);
    REFUSED ((HV_SET (&f.m, kernel, ((struct hv_machine_kernel){ .kernel = "/k" })), HV_SET (&f.m.kernel, cmdline, t)),
             HV_E_INVALID_ARGUMENT, "machine.kernel.cmdline: " BAD);
    REFUSED (f.smbios[0].value = t, HV_E_INVALID_ARGUMENT,
             "machine.smbios 'manufacturer': control character in its value, or it is not UTF-8");
  }
  REFUSED (f.m.name = "../a", HV_E_INVALID_ARGUMENT, "machine.name '../a': letters, digits, '.', '_' and '-' only");
  REFUSED (f.m.name = "", HV_E_INVALID_ARGUMENT, "machine.name '': letters, digits, '.', '_' and '-' only");
}

/* --- one device --- */

static void
test_one_device (void **state)
{
  struct lv_fixture f;
  char *xml = NULL;
  (void) state;
  lv_fixture_begin (&f);
  f.disks[0].bus = HV_BUS_SCSI;
  assert_int_equal (lv_xml_disk (&f.disks[0], "sdc", 2, 1, &xml, NULL), 0);
  assert_at (xml, "/disk/target/@dev", "sdc");
  assert_at (xml, "/disk/address/@unit", "2");
  assert_at (xml, "/disk/driver/@cache", "none");
  assert_at (xml, "/disk/alias/@name", "ua-rootdisk");
  free (xml);
  assert_int_equal (lv_xml_nic (&f.nics[0], &xml, NULL), 0);
  assert_at (xml, "/interface/alias/@name", "ua-default");
  assert_at (xml, "/interface/target/@managed", "no");
  free (xml);
}

static void
test_targets (void **state)
{
  static const char *const used[] = { "vda", "vdc", "sda" };
  char expected[8], *many[703];
  (void) state;
  HV_CLEAN (hv_free) char *b = lv_xml_free_target (HV_BUS_VIRTIO, used, 3);
  HV_CLEAN (hv_free) char *s = lv_xml_free_target (HV_BUS_USB, used, 3);
  HV_CLEAN (hv_free) char *none = lv_xml_free_target (HV_BUS_SATA, NULL, 0);
  assert_string_equal (b, "vdb");
  assert_string_equal (s, "sdb");
  assert_string_equal (none, "sda");
  for (uint32_t i = 0; i < 703; i++)
    many[i] = lv_xml_free_target (HV_BUS_VIRTIO, (const char *const *) many, i);
  for (int i = 0; i < 703; i++) {
    char *at = expected + snprintf (expected, sizeof expected, "vd");
    if (i >= 702)
      *at++ = (char) ('a' + i / 702 - 1);
    if (i >= 26)
      *at++ = (char) ('a' + (i - 26) / 26 % 26);
    *at++ = (char) ('a' + i % 26);
    *at = '\0';
    assert_string_equal (many[i], expected);
    free (many[i]);
  }
}

static void
test_small_documents (void **state)
{
  static const struct lv_xml_snapshot_disk disks[] = { { "vda", "/s/<1>.qcow2", "qcow2" }, { "sda", NULL, NULL } };
  char *xml = NULL;
  (void) state;
  assert_int_equal (lv_xml_snapshot ("s&1", disks, 2, &xml, NULL), 0);
  assert_at (xml, "/domainsnapshot/name", "s&1");
  assert_at (xml, "//disk[@name='vda']/@snapshot", "external");
  assert_at (xml, "//disk[@name='vda']/source/@file", "/s/<1>.qcow2");
  assert_at (xml, "//disk[@name='vda']/driver/@type", "qcow2");
  assert_at (xml, "//disk[@name='sda']/@snapshot", "no");
  assert_count (xml, "//disk[@name='sda']/*", 0);
  free (xml);
  assert_int_equal (lv_xml_copy_target ("/c&.raw", "raw", &xml, NULL), 0);
  assert_at (xml, "/disk/source/@file", "/c&.raw");
  assert_at (xml, "/disk/driver/@type", "raw");
  free (xml);
}

/* A file that is not there takes no O_DIRECT, and one layer that does not spoils the chain. */
static void
test_direct (void **state)
{
  char dir[] = "hvkit-direct-XXXXXX", path[64]; /* in the build tree: tmpfs has no O_DIRECT on older kernels */
  uint8_t direct[2] = { 9, 9 };
  struct lv_fixture f;
  (void) state;
  assert_non_null (mkdtemp (dir));
  (void) snprintf (path, sizeof path, "%s/a", dir);
  FILE *file = fopen (path, "w");
  assert_non_null (file);
  assert_int_equal (fclose (file), 0);
  lv_fixture_begin (&f);
  f.disks[0].path = path;
  f.disks[1].path = path;
  assert_int_equal (lv_xml_probe_direct (&f.m, direct), 0);
  assert_int_equal (direct[0], 1);
  assert_int_equal (direct[1], 0);
  f.layers[0].path = f.layers[1].path = path;
  assert_int_equal (lv_xml_probe_direct (&f.m, direct), 0);
  assert_int_equal (direct[1], 1);
  (void) unlink (path);
  (void) rmdir (dir);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_reference),
    cmocka_unit_test (test_platform),
    cmocka_unit_test (test_cpu),
    cmocka_unit_test (test_devices),
    cmocka_unit_test (test_disks),
    cmocka_unit_test (test_nics),
    cmocka_unit_test (test_architectures),
    cmocka_unit_test (test_unknown_platform),
    cmocka_unit_test (test_unknown_devices),
    cmocka_unit_test (test_hostile),
    cmocka_unit_test (test_one_device),
    cmocka_unit_test (test_targets),
    cmocka_unit_test (test_small_documents),
    cmocka_unit_test (test_direct),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
