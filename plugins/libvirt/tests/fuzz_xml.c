/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* XML that anybody may have given libvirt; and texts that go into XML and have to come back as they were. */
#include "plugins/libvirt/xml/build.h"
#include "plugins/libvirt/xml/caps.h"
#include "plugins/libvirt/xml/read.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check_domain (const char *xml)
{
  struct lv_domain *d = NULL;
  if (lv_domain_read (xml, &d, NULL) < 0)
    return;
  if (d->name == NULL || d->type == NULL)
    abort ();
  for (uint32_t i = 0; i < d->disk_count; i++)
    if (d->disks[i].target == NULL || lv_domain_disk (d, d->disks[i].name) == NULL)
      abort ();
  for (uint32_t i = 0; i < d->nic_count; i++)
    if (lv_domain_nic (d, d->nics[i].name) == NULL)
      abort ();
  lv_domain_free (d);
}

/* What is written can be read again, and a second change of the same kind changes nothing. */
static void
check_edit (const char *xml)
{
  char *once = NULL, *twice = NULL, *other = NULL;
  if (lv_xml_drop_placeholders (xml, &once, NULL) == 0) {
    if (lv_xml_drop_placeholders (once, &twice, NULL) < 0 && strlen (once) <= 1u << 20)
      abort ();
    free (once);
    free (twice);
  }
  if (lv_xml_set_vcpus (xml, 4, &other, NULL) == 0)
    free (other);
  if (lv_xml_move (xml, "/a", "/b", &other, NULL) == 0)
    free (other);
}

static void
check_capabilities (const char *xml)
{
  struct hv_machine m = { .arch = "amd64", .machine = "q35", .cpu = { .model = "max", .sockets = 1, .cores = 1, .threads = 1 } };
  struct lv_caps *c = NULL;
  struct lv_domcaps *d = NULL;
  if (lv_caps_read (xml, &c, NULL) == 0)
    (void) lv_caps_check (c, &m, "qemu", NULL);
  if (lv_domcaps_read (xml, &d, NULL) == 0)
    (void) lv_domcaps_check (d, &m, "kvm", NULL);
  lv_caps_free (c);
  lv_domcaps_free (d);
}

static void
check_text (const char *text)
{
  struct hv_machine_disk disk = { .name = "a", .path = text, .format = HV_DISK_RAW };
  struct hv_machine m
      = { .name = "a", .uuid = "u", .arch = "amd64", .machine = "q35", .firmware = "bios", .memory_bytes = 1 << 26 };
  struct lv_xml_options o = { .type = "qemu" };
  struct lv_domain *d = NULL;
  char *xml = NULL;
  m.cpu = (struct hv_machine_cpu){ .model = "max", .sockets = 1, .cores = 1, .threads = 1 };
  m.watchdog_action = "reset";
  m.disks.items = &disk;
  m.disks.count = 1;
  HV_SET (&disk, serial, text);
  if (lv_xml_build (&m, &o, &xml, NULL) < 0)
    return;
  if (lv_domain_read (xml, &d, NULL) == 0) {
    if (d->disk_count != 1 || strcmp (d->disks[0].path, text) != 0)
      abort ();
  } else if (strlen (xml) <= 1u << 20)
    abort ();
  lv_domain_free (d);
  free (xml);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  struct lv_snapshot *s = NULL;
  char *text = malloc (size + 1);
  if (text == NULL)
    return 0;
  memcpy (text, data, size);
  text[size] = '\0';
  check_domain (text);
  check_edit (text);
  check_capabilities (text);
  check_text (text);
  if (lv_snapshot_read (text, &s, NULL) == 0)
    lv_snapshot_free (s);
  free (text);
  return 0;
}
