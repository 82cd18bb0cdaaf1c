/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one exported function. Apart from the rest, so that a test can link the rest. */
#include "guest-agent.h"

HV_PLUGIN_REGISTER (hv_guest_agent_plugin)
