/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is there: for a plugin that calls another by its interface. In libhvkit-plugin. */
#ifndef HVKIT_PROVIDERS_H
#define HVKIT_PROVIDERS_H
#include <hvkit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The running instances that provide an interface ("hypervisor"), in the call's memory. [coro] */
int hv_providers (struct hv_host *, const char *iface, struct hv_strs *ret, struct hv_err *);

#ifdef __cplusplus
}
#endif
#endif
