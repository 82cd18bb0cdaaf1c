/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether KVM runs a guest here, tried; for every plugin that has the choice. In libhvkit-plugin. */
#ifndef HVKIT_KVM_H
#define HVKIT_KVM_H
#include <hvkit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A program that was installed beside the plugin: `symbol` is any object of the plugin. malloc'ed; NULL when out of memory. Any
 * thread. */
char *hv_program_beside (const void *symbol, const char *name);

/* [coro] Runs `program` (hvkit-kvm-probe), which runs 64-bit guest code as kernels do, for at most 5 s. *ret_works: it ran to its
 * end; *ret_reason (malloc'ed, the one before is freed): its words, or why there are none. RESOURCE_EXHAUSTED, CANCELLED, or why
 * the program cannot be started. */
int hv_kvm_try (struct hv_host *, const char *program, uint8_t *ret_works, char **ret_reason, struct hv_err *);

#ifdef __cplusplus
}
#endif
#endif
