/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The groups of checks; each file is one. */
#ifndef HV_TCK_SUITE_H
#define HV_TCK_SUITE_H
#include "sdk/tck/kit/kit.h"

extern const struct tck_check tck_probe_checks[], tck_define_checks[], tck_list_checks[], tck_walk_checks[], tck_event_checks[],
    tck_lane_checks[], tck_deadline_checks[], tck_shutdown_checks[], tck_crash_checks[], tck_restart_checks[], tck_device_checks[],
    tck_stats_checks[], tck_snapshot_checks[], tck_state_checks[], tck_guest_checks[], tck_stuck_checks[], tck_migration_checks[];
#endif
