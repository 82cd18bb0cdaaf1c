/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A host that can only decode, encode and allocate: for what has no I/O. */
#ifndef VMI_TEST_HOST_H
#define VMI_TEST_HOST_H
#include <hvkit/plugin.h>

struct hv_host *test_host (void);
void test_host_reset (void); /* frees what was allocated */
#endif
