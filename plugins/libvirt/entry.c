/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one exported symbol, apart from the rest so that tests can link the plugin without it. */
#include "libvirt.h"

HV_PLUGIN_REGISTER (lv_plugin)
