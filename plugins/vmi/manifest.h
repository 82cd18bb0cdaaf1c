/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A manifest: the objects of one file, decoded and checked one by one. */
#ifndef VMI_MANIFEST_H
#define VMI_MANIFEST_H
#include "objects.h"

/* An instance without a VirtualMachine is kept in the form of one too: kind says what it is, its spec is the template. */
struct vmi_object {
  uint32_t kind, number; /* VMI_KIND_*, document in the file */
  const char *namespace_, *name;
  struct vmi_virtual_machine vm;
  struct vmi_claim_object claim;
  struct vmi_secret secret; /* everything in data */
  struct vmi_config_map config_map;
};
struct vmi_manifest {
  const char *text;
  uint64_t size;
  struct vmi_object *objects;
  uint32_t count;
};

/* Reads every document; `default_namespace` is for those that name none. Memory is the call's; text is borrowed. */
int vmi_manifest_read (struct hv_host *, const char *text, const char *default_namespace, struct vmi_manifest *ret,
                       struct hv_err *);
/* Prefixes an error about an object with its document and, if the error has data.path, with the line. Returns code. */
int vmi_manifest_place (const struct vmi_manifest *, const struct vmi_object *, int code, struct hv_err *);
/* A VirtualMachine, or an instance on its own. */
int vmi_object_is_machine (const struct vmi_object *);
/* What an error's path begins with: "spec.template.spec" or "spec". */
const char *vmi_object_prefix (const struct vmi_object *);
#endif
