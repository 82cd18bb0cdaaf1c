/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xml_fixture.h"
#include <libxml/parser.h>
#include <libxml/xpath.h>

void
lv_fixture_begin (struct lv_fixture *f)
{
  static const struct hv_pair smbios[]
      = { { "manufacturer", "KubeVirt" }, { "product", "None" }, { "family", "KubeVirt" }, { "serial", "A&B <1>" } };
  *f = (struct lv_fixture){ 0 };
  f->layers[0] = (struct hv_machine_layer){ .path = "/base/middle.qcow2", .format = HV_DISK_QCOW2 };
  f->layers[1] = (struct hv_machine_layer){ .path = "/base/disk_1.img", .format = HV_DISK_RAW };
  f->disks[0] = (struct hv_machine_disk){ .name = "rootdisk", .path = "/pvc/disk.img", .format = HV_DISK_RAW };
  HV_SET (&f->disks[0], boot_order, 1);
  f->disks[1]
      = (struct hv_machine_disk){ .name = "cd", .path = "/overlay/disk.qcow2", .format = HV_DISK_QCOW2, .bus = HV_BUS_SATA };
  f->disks[1].media = HV_MEDIA_CDROM;
  f->disks[1].backing.items = f->layers;
  f->disks[1].backing.count = 2;
  HV_SET (&f->disks[1], boot_order, 2);
  f->nics[0]
      = (struct hv_machine_nic){ .name = "default", .model = "virtio", .mac = "ca:5f:48:41:7d:5d", .tap = "tap0", .queues = 1 };
  HV_SET (&f->nics[0], mtu, 1450);
  f->inputs[0] = (struct hv_machine_input){ .name = "tablet1", .type = "tablet", .bus = "usb" };
  memcpy (f->smbios, smbios, sizeof smbios);
  f->m = (struct hv_machine){ .name = "default_ubuntu-amd",
                              .uuid = UUID_A,
                              .arch = "amd64",
                              .machine = "q35",
                              .firmware = "bios",
                              .memory_bytes = 4294967296,
                              .acpi = 1,
                              .serial = 1,
                              .graphics = 1,
                              .balloon = 1,
                              .agent = 1,
                              .watchdog_action = "reset",
                              .cpu = { .model = "host-model", .sockets = 1, .cores = 4, .threads = 1 },
                              .disks = { f->disks, 2 },
                              .nics = { f->nics, 1 },
                              .inputs = { f->inputs, 1 },
                              .smbios = { f->smbios, 4 } };
  f->o = (struct lv_xml_options){ .type = "qemu",
                                  .serial_path = "/run/a/serial.sock",
                                  .serial_log = "/run/a/serial.log",
                                  .vnc_path = "/run/a/vnc.sock",
                                  .efi_code = "/fw/CODE.fd",
                                  .efi_vars = "/fw/VARS.fd",
                                  .nvram_path = "/state/vars.fd",
                                  .balloon_s = 10 };
}

char *
lv_fixture_xml (const struct lv_fixture *f)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  char *xml = NULL;
  if (lv_xml_build (&f->m, &f->o, &xml, err) < 0)
    fail_msg ("not built: %s", hv_err_message (err));
  return xml;
}

void
lv_fixture_refused (const struct lv_fixture *f, int code, const char *text)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_error_new ();
  char *xml = NULL;
  assert_int_equal (lv_xml_build (&f->m, &f->o, &xml, err), code);
  assert_null (xml);
  assert_string_equal (hv_err_message (err), text);
}

static xmlXPathObjectPtr
evaluate (const char *xml, const char *function, const char *xpath)
{
  char expression[512];
  xmlDocPtr doc = xmlReadMemory (xml, (int) strlen (xml), NULL, NULL, XML_PARSE_NONET);
  if (doc == NULL)
    fail_msg ("no XML: %s", xml);
  xmlXPathContextPtr ctx = xmlXPathNewContext (doc);
  assert_true (snprintf (expression, sizeof expression, "%s(%s)", function, xpath) < (int) sizeof expression);
  xmlXPathObjectPtr o = xmlXPathEvalExpression ((const xmlChar *) expression, ctx);
  if (o == NULL)
    fail_msg ("no XPath: %s", expression);
  xmlXPathFreeContext (ctx);
  xmlFreeDoc (doc);
  return o;
}

void
assert_at (const char *xml, const char *xpath, const char *expected)
{
  xmlXPathObjectPtr o = evaluate (xml, "string", xpath);
  if (strcmp ((const char *) o->stringval, expected) != 0)
    fail_msg ("%s is '%s', not '%s', in:\n%s", xpath, (const char *) o->stringval, expected, xml);
  xmlXPathFreeObject (o);
}

void
assert_count (const char *xml, const char *xpath, int expected)
{
  xmlXPathObjectPtr o = evaluate (xml, "count", xpath);
  if ((int) o->floatval != expected)
    fail_msg ("%s is there %d times, not %d, in:\n%s", xpath, (int) o->floatval, expected, xml);
  xmlXPathFreeObject (o);
}
