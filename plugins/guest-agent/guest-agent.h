/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's table, for entry.c and for tests that run it in the fake host. */
#ifndef HV_GUEST_AGENT_H
#define HV_GUEST_AGENT_H
#include <hvkit/plugin.h>

extern const struct hv_plugin hv_guest_agent_plugin;
#endif
