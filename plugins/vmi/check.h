/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between check.c, check_volume.c and check_network.c. */
#ifndef VMI_CHECK_H
#define VMI_CHECK_H
#include "quantity.h"
#include "spec.h"
#include <stdarg.h>

struct vmi_check {
  const struct vmi_spec *spec;
  const char *prefix; /* of the spec in its object */
  const struct hv_map *annotations;
  const struct vmi_node *node;
  struct hv_err *err;
};

/* "<prefix>.<path>: why", and data.path; returns code. */
HV_PRINTF (4, 5) int vmi_check_refuse (const struct vmi_check *, int code, const char *why, const char *fmt, ...);
/* The same around an error that is set already. */
int vmi_check_wrap (const struct vmi_check *, int code, const char *path);
int vmi_check_quantity (const struct vmi_check *, int has, const char *text, const char *path);

int vmi_check_image_path (const struct vmi_check *, const char *value, const char *path); /* of a file in a container image */

/* --- check_volume.c --- */
int vmi_check_volumes (const struct vmi_check *);     /* and the disks that show them */
int vmi_check_annotations (const struct vmi_check *); /* the formats of volumes, and no unknown one of ours */

/* --- check_network.c --- */
int vmi_check_networks (const struct vmi_check *); /* and the interfaces on them */
#endif
