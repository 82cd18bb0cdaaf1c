/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domains and snapshots as libvirt gives them, as others made them, and as nobody should; and changes to them. */
#include "plugins/libvirt/xml/read.h"
#include "xml_fixture.h"

#define DOMAIN \
  "<domain type='qemu' id='3'><name>default_a</name><uuid>" UUID_A "</uuid>" \
  "<memory unit='KiB'>4194304</memory><currentMemory unit='MiB'>2048</currentMemory><vcpu placement='static' current='2'>8</vcpu>" \
  "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>" \
  "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/a&amp;b'><x/></source>" \
  "<backingStore type='file'><format type='raw'/><source file='/base'/><backingStore/></backingStore>" \
  "<target dev='vda' bus='virtio'/><alias name='ua-root'/></disk>" \
  "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/><alias name='sata0-0-0'/></disk>" \
  "<disk type='block' device='disk'><driver type='raw'/><source dev='/dev/x'/><target dev='vdb' bus='virtio'/></disk>" \
  "<interface type='ethernet'><mac address='02:00:00:00:00:01'/><target dev='tap0' managed='no'/><model type='virtio'/>" \
  "<alias name='ua-net'/></interface><interface type='user'/>" \
  "<serial type='unix'><source mode='bind' path='/run/s'/><log file='/run/l' append='on'/></serial>" \
  "<channel type='unix'><target type='virtio' name='other' state='connected'/></channel>" \
  "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>" \
  "<graphics type='spice'/><graphics type='vnc'><listen type='socket' socket='/run/v'/></graphics>" \
  "<memballoon model='virtio'/></devices></domain>"

static struct lv_domain *
read_ok (const char *xml)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  struct lv_domain *d = NULL;
  if (lv_domain_read (xml, &d, err) < 0)
    fail_msg ("%s", hv_err_message (err));
  return d;
}

static void
test_domain (void **state)
{
  HV_CLEAN (lv_domain) struct lv_domain *d = read_ok (DOMAIN);
  (void) state;
  assert_string_equal (d->name, "default_a");
  assert_string_equal (d->uuid, UUID_A);
  assert_string_equal (d->type, "qemu");
  assert_string_equal (d->machine, "pc-q35-7.2");
  assert_string_equal (d->arch, "x86_64");
  assert_true (d->memory_bytes == 4294967296 && d->current_memory_bytes == 2147483648);
  assert_int_equal (d->vcpus, 2);
  assert_int_equal (d->max_vcpus, 8);
  assert_string_equal (d->console_path, "/run/s");
  assert_string_equal (d->log_path, "/run/l");
  assert_string_equal (d->vnc_path, "/run/v");
  assert_true (d->has_console && d->has_agent && d->agent_connected && d->has_balloon);
}

static void
test_disks (void **state)
{
  HV_CLEAN (lv_domain) struct lv_domain *d = read_ok (DOMAIN);
  const struct lv_disk *root = lv_domain_disk (d, "root"), *cd = lv_domain_disk (d, "sda"), *block = lv_domain_disk (d, "vdb");
  (void) state;
  assert_int_equal (d->disk_count, 3);
  assert_non_null (root);
  assert_string_equal (root->path, "/a&b");
  assert_string_equal (root->format, "qcow2");
  assert_string_equal (root->target, "vda");
  assert_string_equal (root->bus, "virtio");
  assert_string_equal (root->alias, "ua-root");
  assert_int_equal (root->backing_count, 1);
  assert_string_equal (root->backing[0].path, "/base");
  assert_string_equal (root->backing[0].format, "raw");
  assert_false (root->read_only);
  assert_non_null (cd);
  assert_null (cd->path);
  assert_string_equal (cd->device, "cdrom");
  assert_true (cd->read_only);
  assert_non_null (block);
  assert_null (block->alias);
  assert_string_equal (block->path, "/dev/x");
  assert_null (lv_domain_disk (d, "vda"));
}

static void
test_nics (void **state)
{
  HV_CLEAN (lv_domain) struct lv_domain *d = read_ok (DOMAIN);
  const struct lv_nic *net = lv_domain_nic (d, "net"), *bare = lv_domain_nic (d, "nic1");
  (void) state;
  assert_int_equal (d->nic_count, 2);
  assert_non_null (net);
  assert_string_equal (net->mac, "02:00:00:00:00:01");
  assert_string_equal (net->target, "tap0");
  assert_string_equal (net->model, "virtio");
  assert_non_null (bare);
  assert_null (bare->mac);
  assert_null (lv_domain_nic (d, "tap0"));
}

/* What was built is read as what it was built from. */
static void
test_round_trip (void **state)
{
  struct lv_fixture f;
  (void) state;
  lv_fixture_begin (&f);
  f.disks[0].path = "/ä ]]> <!-- \"'&amp;\t";
  HV_CLEAN (hv_free) char *xml = lv_fixture_xml (&f);
  HV_CLEAN (lv_domain) struct lv_domain *d = read_ok (xml);
  const struct lv_disk *cd = lv_domain_disk (d, "cd");
  assert_string_equal (d->name, f.m.name);
  assert_true (d->memory_bytes == f.m.memory_bytes);
  assert_int_equal (d->vcpus, 4);
  assert_string_equal (d->console_path, f.o.serial_path);
  assert_string_equal (d->log_path, f.o.serial_log);
  assert_string_equal (d->vnc_path, f.o.vnc_path);
  assert_int_equal (d->disk_count, 2);
  assert_string_equal (d->disks[0].name, "rootdisk");
  assert_string_equal (d->disks[0].path, f.disks[0].path);
  assert_non_null (cd);
  assert_int_equal (cd->backing_count, 2);
  assert_string_equal (cd->backing[1].path, "/base/disk_1.img");
  assert_non_null (lv_domain_nic (d, "default"));
}

static void
test_memory_units (void **state)
{
  static const struct {
    const char *memory;
    uint64_t bytes;
  } cases[] = { { "<memory>1</memory>", 1024 },
                { "<memory unit='b'>1536</memory>", 1536 },
                { "<memory unit='GiB'>3</memory>", 3221225472 },
                { "<memory unit='MB'>5</memory>", 5000000 },
                { "<memory unit='GiB'>18446744073709551615</memory>", 0 },
                { "<memory>many</memory>", 0 },
                { "", 0 } };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char xml[256];
    (void) snprintf (xml, sizeof xml, "<domain type='test'><name>a</name>%s</domain>", cases[i].memory);
    HV_CLEAN (lv_domain) struct lv_domain *d = read_ok (xml);
    assert_true (d->memory_bytes == cases[i].bytes && d->current_memory_bytes == cases[i].bytes);
  }
}

/* --- hostile --- */

static void
assert_refused (const char *xml, const char *text)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  struct lv_domain *d = NULL;
  struct lv_snapshot *s = NULL;
  char *out = NULL;
  assert_int_equal (lv_domain_read (xml, &d, err), HV_E_INVALID_ARGUMENT);
  assert_null (d);
  if (strstr (hv_err_message (err), text) == NULL)
    fail_msg ("'%s' is not in '%s'", text, hv_err_message (err));
  assert_int_equal (lv_snapshot_read (xml, &s, NULL), HV_E_INVALID_ARGUMENT);
  assert_null (s);
  if (strcmp (text, "the XML is no domain") == 0)
    return;
  assert_int_equal (lv_xml_drop_placeholders (xml, &out, NULL), HV_E_INVALID_ARGUMENT);
  assert_int_equal (lv_xml_set_vcpus (xml, 1, &out, NULL), HV_E_INVALID_ARGUMENT);
  assert_int_equal (lv_xml_move (xml, "/a", "/b", &out, NULL), HV_E_INVALID_ARGUMENT);
  assert_null (out);
}

static void
test_hostile (void **state)
{
  static const char *const cases[][2] = {
    { "", "cannot be read" },
    { "<domain", "cannot be read" },
    { "<domain type='qemu'><name>a</name></domain><domain/>", "cannot be read" },
    { "<domain type='qemu'><name>\x01</name></domain>", "cannot be read" },
    { "<domain type='qemu'><name>\xff</name></domain>", "cannot be read" },
    { "<domain type='qemu'><name>&e;</name></domain>", "cannot be read" },
    { "<!DOCTYPE domain><domain type='qemu'><name>a</name></domain>", "document type" },
    { "<!DOCTYPE d SYSTEM 'file:///etc/hostname'><domain type='qemu'><name>a</name></domain>", "document type" },
    { "<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/hostname'>]><domain type='qemu'><name>&e;</name></domain>", "document type" },
    { "<!DOCTYPE d [<!ENTITY a 'x'><!ENTITY b '&a;&a;&a;'>]><domain type='qemu'><name>&b;</name></domain>", "document type" },
    { "<domain/>", "the XML is no domain" },
    { "<network type='qemu'><name>a</name></network>", "the XML is no domain" },
    { "<domain type='qemu'><name>a</name><devices><disk/></devices></domain>", "the XML is no domain" },
  };
  (void) state;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    assert_refused (cases[i][0], cases[i][1]);
}

/* A gigabyte of text from a kilobyte. */
static void
test_laughs (void **state)
{
  char xml[4096];
  size_t n = (size_t) snprintf (xml, sizeof xml, "<!DOCTYPE d [<!ENTITY l0 'lol'>");
  (void) state;
  for (int i = 1; i < 10; i++) {
    n += (size_t) snprintf (xml + n, sizeof xml - n, "<!ENTITY l%d '", i);
    for (int k = 0; k < 10; k++)
      n += (size_t) snprintf (xml + n, sizeof xml - n, "&l%d;", i - 1);
    n += (size_t) snprintf (xml + n, sizeof xml - n, "'>");
  }
  (void) snprintf (xml + n, sizeof xml - n, "]><domain type='&l9;'><name>&l9;</name></domain>");
  assert_refused (xml, "XML");
}

static char *
repeated (const char *head, const char *piece, size_t times, const char *tail)
{
  size_t n = strlen (head), size = strlen (piece);
  char *xml = malloc (n + size * times + strlen (tail) + 1);
  assert_non_null (xml);
  memcpy (xml, head, n);
  for (size_t i = 0; i < times; i++, n += size)
    memcpy (xml + n, piece, size);
  memcpy (xml + n, tail, strlen (tail) + 1);
  return xml;
}

static void
test_size (void **state)
{
  HV_CLEAN (hv_free) char *deep = repeated ("<domain type='qemu'>", "<a>", 300, "");
  HV_CLEAN (hv_free) char *closed = repeated ("", "</a>", 300, "<name>a</name></domain>");
  HV_CLEAN (hv_free) char *both = repeated (deep, closed, 1, "");
  HV_CLEAN (hv_free) char *longest = repeated ("<domain type='qemu'><name>", "a", (1u << 20) - 42, "</name></domain>");
  HV_CLEAN (hv_free) char *too_long = repeated (longest, " ", 1, "");
  (void) state;
  assert_int_equal (strlen (longest), 1u << 20);
  assert_refused (both, "cannot be read");
  assert_refused (too_long, "longer than 1048576 bytes");
  HV_CLEAN (lv_domain) struct lv_domain *d = read_ok (longest);
  assert_int_equal (strlen (d->name), (1u << 20) - 42);
}

/* --- snapshots --- */

static void
test_snapshot (void **state)
{
  static const char xml[] = "<domainsnapshot><name>s2</name><state>disk-snapshot</state><creationTime>1700000000</creationTime>"
                            "<parent><name>s1</name></parent><memory snapshot='no'/><disks>"
                            "<disk name='vda' snapshot='external' type='file'><driver type='qcow2'/><source file='/s2'/></disk>"
                            "<disk name='sda' snapshot='no'><source file='/cd'/></disk></disks><domain "
                            "type='qemu'><name>x</name></domain></domainsnapshot>";
  struct lv_snapshot *made = NULL;
  (void) state;
  assert_int_equal (lv_snapshot_read (xml, &made, NULL), 0);
  HV_CLEAN (lv_snapshot) struct lv_snapshot *s = made;
  assert_string_equal (s->name, "s2");
  assert_string_equal (s->parent, "s1");
  assert_string_equal (s->state, "disk-snapshot");
  assert_true (s->created_s == 1700000000);
  assert_false (s->has_memory);
  assert_int_equal (s->disk_count, 2);
  assert_string_equal (s->disks[0].target, "vda");
  assert_string_equal (s->disks[0].path, "/s2");
  assert_string_equal (s->disks[0].format, "qcow2");
  assert_null (s->disks[1].path);
}

/* --- changes --- */

static void
test_drop_placeholders (void **state)
{
  struct lv_fixture f;
  char *out = NULL;
  (void) state;
  lv_fixture_begin (&f);
  f.o.placeholders = 3;
  HV_CLEAN (hv_free) char *xml = lv_fixture_xml (&f);
  assert_count (xml, "//interface", 4);
  assert_int_equal (lv_xml_drop_placeholders (xml, &out, NULL), 0);
  assert_count (out, "//interface", 1);
  assert_at (out, "//interface/alias/@name", "ua-default");
  assert_count (out, "//disk", 2);
  free (out);
}

static void
assert_vcpus (uint32_t vcpus, const char *most, const char *current, const char *sockets)
{
  static const char xml[] = "<domain><vcpu current='2'>8</vcpu><vcpus><vcpu id='0'/></vcpus>"
                            "<cpu><topology sockets='4' cores='2' threads='1'/></cpu></domain>";
  char *out = NULL;
  assert_int_equal (lv_xml_set_vcpus (xml, vcpus, &out, NULL), 0);
  assert_at (out, "/domain/vcpu", most);
  assert_at (out, "/domain/vcpu/@current", current);
  assert_at (out, "//topology/@sockets", sockets);
  assert_count (out, "/domain/vcpus", 0);
  free (out);
}

static void
test_vcpus (void **state)
{
  char *out = NULL;
  (void) state;
  assert_vcpus (4, "8", "4", "4");
  assert_vcpus (8, "8", "", "4");
  assert_vcpus (12, "12", "", "6");
  static const char whole[] = "<domain><vcpu>8</vcpu><cpu><topology sockets='4' cores='2'/></cpu></domain>";
  assert_int_equal (lv_xml_set_vcpus (whole, 3, &out, NULL), HV_E_INVALID_ARGUMENT);
  assert_int_equal (lv_xml_set_vcpus (whole, 0, &out, NULL), HV_E_INVALID_ARGUMENT);
  assert_int_equal (lv_xml_set_vcpus ("<domain/>", 1, &out, NULL), HV_E_INVALID_ARGUMENT);
  static const char many[] = "<domain><vcpu>8</vcpu><cpu><topology cores='32768' threads='65536' dies='2'/></cpu></domain>";
  static const char most[] = "<domain><vcpu>8</vcpu><cpu><topology cores='32768' threads='32768' dies='4'/></cpu></domain>";
  assert_int_equal (lv_xml_set_vcpus (many, 8, &out, NULL), HV_E_INVALID_ARGUMENT);
  assert_int_equal (lv_xml_set_vcpus (most, 8, &out, NULL), HV_E_INVALID_ARGUMENT);
  assert_null (out);
}

static void
test_move (void **state)
{
  static const char xml[] = "<domain><a x='/run/1/s' y='/run/12/s' z='/run/1'><b c='/run/1/&amp;'/></a><t>/run/1/t</t></domain>";
  char *out = NULL;
  (void) state;
  assert_int_equal (lv_xml_move (xml, "/run/1", "/other", &out, NULL), 0);
  assert_at (out, "//a/@x", "/other/s");
  assert_at (out, "//a/@y", "/run/12/s");
  assert_at (out, "//a/@z", "/run/1");
  assert_at (out, "//b/@c", "/other/&");
  free (out);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_domain),       cmocka_unit_test (test_disks),
    cmocka_unit_test (test_nics),         cmocka_unit_test (test_round_trip),
    cmocka_unit_test (test_memory_units), cmocka_unit_test (test_hostile),
    cmocka_unit_test (test_laughs),       cmocka_unit_test (test_size),
    cmocka_unit_test (test_snapshot),     cmocka_unit_test (test_drop_placeholders),
    cmocka_unit_test (test_vcpus),        cmocka_unit_test (test_move),
  };
  return cmocka_run_group_tests (tests, NULL, NULL);
}
