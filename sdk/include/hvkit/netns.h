/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Something done in another network namespace, and back. In libhvkit-plugin. */
#ifndef HVKIT_NETNS_H
#define HVKIT_NETNS_H
#include <hvkit/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs fn in the namespace that the file `netns` stands for (/run/netns/x, /proc/PID/ns/net); NULL: where the thread is. For a thread
 * of the pool (hv_offload): it visits, and comes back; one that cannot ends the process, since it must not serve anybody again. What
 * fn answers, or NOT_FOUND, PERMISSION_DENIED … for the namespace. */
int hv_netns_visit (const char *netns, int (*fn) (void *arg), void *arg, struct hv_err *err);

#ifdef __cplusplus
}
#endif
#endif
