/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "toy.h"

HV_PLUGIN_REGISTER (toy_plugin)
