/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one exported function. Apart from the rest, so that a test can link the rest. */
#include "container-disk.h"

HV_PLUGIN_REGISTER (cd_plugin)
