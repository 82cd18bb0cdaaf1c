/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of the XML share: a machine that has something of everything, and questions about a document as XPath. */
#ifndef LV_XML_FIXTURE_H
#define LV_XML_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err/err.h"
#include "plugins/libvirt/xml/build.h"

#define UUID_A "d3c2dac2-71b8-5a49-a5a6-7f3bdb93e2c3"

struct lv_fixture {
  struct hv_machine m;
  struct hv_machine_disk disks[4];
  struct hv_machine_layer layers[2];
  struct hv_machine_nic nics[2];
  struct hv_machine_input inputs[2];
  struct hv_pair smbios[6];
  struct lv_xml_options o;
};

/* The reference VM: what KubeVirt makes of it, in our words. */
void lv_fixture_begin (struct lv_fixture *);
/* The XML of the fixture's machine; free(). It has to be accepted. */
char *lv_fixture_xml (const struct lv_fixture *);
/* The fixture's machine has to be refused like this; `text` is all of the message. */
void lv_fixture_refused (const struct lv_fixture *, int code, const char *text);

/* string(xpath) is this; count(xpath) is this many. */
void assert_at (const char *xml, const char *xpath, const char *expected);
void assert_count (const char *xml, const char *xpath, int expected);
#endif
