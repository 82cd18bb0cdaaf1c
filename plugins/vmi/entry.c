/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmi.h"

HV_PLUGIN_REGISTER (vmi_plugin)
