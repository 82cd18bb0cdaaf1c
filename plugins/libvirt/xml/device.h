/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices of a machine as elements; for whole domains (build.c) and for one device that is plugged in (hotplug). */
#ifndef LV_XML_DEVICE_H
#define LV_XML_DEVICE_H
#include "build.h"
#include "tree.h"

xmlNodePtr lv_device_disk (struct lv_writer *, xmlNodePtr parent, const struct hv_machine_disk *, const char *target, int direct);
xmlNodePtr lv_device_nic (struct lv_writer *, xmlNodePtr parent, const struct hv_machine_nic *);
void lv_device_alias (struct lv_writer *, xmlNodePtr device, const char *name);   /* ua-NAME */
const char *lv_target_prefix (uint32_t bus);                                      /* vd, sd */
void lv_target_name (const char *prefix, uint32_t index, char *ret, size_t size); /* vda … vdz, vdaa … */
#endif
