/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Base64 (RFC 4648), as Kubernetes' Secrets and guest agents have it. Any thread. In libhvkit-plugin. */
#ifndef HVKIT_BASE64_H
#define HVKIT_BASE64_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_BASE64_ENCODED(n) (((n) + 2) / 3 * 4 + 1) /* bytes that the text of n bytes takes, with its end */
void hv_base64_encode (const uint8_t *bytes, uint64_t n, char *ret);

/* Line breaks are passed over; anything else that is no digit, and padding that is missing or stands elsewhere, makes it no base64.
 * 0: it is none. `ret` has room for three bytes of four characters; NULL: it is only looked at. */
int hv_base64_decode (const char *text, uint8_t *ret, uint64_t *ret_n);

#ifdef __cplusplus
}
#endif
#endif
