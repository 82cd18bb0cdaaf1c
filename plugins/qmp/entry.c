/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one exported symbol, apart from the rest so that tests can link the plugin without it. */
#include "qmp.h"

HV_PLUGIN_REGISTER (qmp_plugin)
