/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secrets and ConfigMaps: what has to be true of them, and their values. Memory is the call's. Pure functions, any thread. */
#ifndef VMI_DATA_H
#define VMI_DATA_H
#include "objects.h"

/* Every value in `data`, as it is kept; INVALID_ARGUMENT with the path of what is no key, no base64, or missing for its type. */
int vmi_secret_settle (struct hv_host *, struct vmi_secret *, struct hv_err *);
int vmi_config_map_check (const struct vmi_config_map *, struct hv_err *);

struct vmi_value {
  const char *key;
  struct hv_bin bytes;
};
struct vmi_values {
  struct vmi_value *items;
  uint32_t count;
};
/* Decoded, in the object's order. */
int vmi_secret_values (struct hv_host *, const struct vmi_secret *, struct vmi_values *ret, struct hv_err *);
int vmi_config_map_values (struct hv_host *, const struct vmi_config_map *, struct vmi_values *ret, struct hv_err *);
const struct vmi_value *vmi_value_find (const struct vmi_values *, const char *key); /* NULL: not there */

/* RFC 4648 with padding; line breaks are passed over, as Kubernetes does. */
int vmi_base64_decode (struct hv_host *, const char *text, struct hv_bin *ret, struct hv_err *);
int vmi_base64_is_valid (const char *text);
char *vmi_base64_encode (struct hv_host *, struct hv_bin); /* NULL: no memory */
#endif
