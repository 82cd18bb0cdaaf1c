/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UUIDs: random ones for objects, and the name-based firmware UUID that KubeVirt gives a VM. */
#ifndef VMI_UUID_H
#define VMI_UUID_H
#include <hvkit/err.h>

#define VMI_UUID_TEXT 37u

/* Version 4. UNAVAILABLE when the system has no random numbers to give. */
int vmi_uuid_random (char ret[VMI_UUID_TEXT], struct hv_err *);
/* Version 5 (RFC 9562 §5.5) in KubeVirt's namespace for firmware: the same name is the same UUID on every node. */
void vmi_uuid_firmware (const char *vm_name, char ret[VMI_UUID_TEXT]);

/* SHA-1, for version 5 only: identity, not security. The daemon would carry a whole crypto library for it otherwise. */
void vmi_sha1 (const void *data, uint64_t n, uint8_t ret[20]);
#endif
