/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one exported function. Apart from the rest, so that a test can link the rest. */
#include "net-bridge.h"

HV_PLUGIN_REGISTER (nb_plugin)
