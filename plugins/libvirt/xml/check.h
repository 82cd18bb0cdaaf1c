/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LV_XML_CHECK_H
#define LV_XML_CHECK_H
#include <hvkit/iface/hypervisor.h>

/* `type`: "kvm" or "qemu". `netns`: the network namespace that libvirt's daemon runs in; NULL: the daemon's. INVALID_ARGUMENT,
 * UNIMPLEMENTED or FAILED_PRECONDITION with the field's path. */
int lv_xml_check (const struct hv_machine *, const char *type, const char *netns, struct hv_err *);
#endif
