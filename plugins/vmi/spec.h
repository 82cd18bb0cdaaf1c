/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a spec means here: whether this node can run it, its defaults, its volumes, and the machine it makes. Memory is the
 * call's. Nothing here touches a file. */
#ifndef VMI_SPEC_H
#define VMI_SPEC_H
#include "manifest.h"

struct vmi_node {
  const char *name, *arch; /* Kubernetes' words: "amd64" */
};

/* Refuses what cannot be honoured, each with the path of its field. `annotations` are the object's. */
int vmi_spec_check (const struct vmi_spec *, const char *prefix, const struct hv_map *annotations, const struct vmi_node *,
                    struct hv_err *);
/* Fills in what KubeVirt's API server would have, in its order. The spec was checked. */
int vmi_spec_defaults (struct hv_host *, struct vmi_spec *, const struct vmi_node *, const char *vm_name, struct hv_err *);

#define VMI_SOURCE_CLAIM     0u
#define VMI_SOURCE_HOST_DISK 1u
#define VMI_SOURCE_EPHEMERAL 2u
#define VMI_SOURCE_CONTAINER 3u
#define VMI_SOURCE_EMPTY     4u
#define VMI_SOURCE_SEED      5u /* an ISO 9660 image made of texts; see seed.c */
/* The files of a volume. */
struct vmi_volume_plan {
  const char *name;
  uint32_t source, format;
  uint8_t declared;                           /* the format is the manifest's word */
  const char *claim;                          /* NULL unless it is one's */
  const struct vmi_container_disk *container; /* NULL unless it is one */
  const char *path;                           /* the claim's or the host's file; of a container disk, once it was pulled */
  const char *overlay;                        /* NULL where the file itself is the disk */
  uint64_t create_bytes;                      /* size to make it with; 0: it has to exist */
};
/* One plan per volume, in the spec's order. `state_dir` is the instance's. */
int vmi_spec_volumes (struct hv_host *, const char *state_dir, const char *namespace_, const char *name, const struct vmi_spec *,
                      const struct hv_map *annotations, struct vmi_volume_plan **ret, struct hv_err *);
char *vmi_claim_path (struct hv_host *, const char *state_dir, const char *namespace_, const char *claim);
char *vmi_overlay_dir (struct hv_host *, const char *state_dir, const char *domain);

/* Whether a volume's disk is made of texts: cloud-init, a Secret, a ConfigMap, sysprep. */
int vmi_volume_is_seed (const struct vmi_volume *);

/* A Secret or ConfigMap that a spec names. */
struct vmi_reference {
  uint32_t kind;
  const char *name;
  uint8_t optional;
  char path[96]; /* of the field, below the spec */
};
/* All of them, in the call's memory. */
int vmi_spec_references (struct hv_host *, const struct vmi_spec *, struct vmi_reference **ret, uint32_t *ret_count,
                         struct hv_err *);

/* The files of a kernel boot, once they were pulled; NULL: none. */
struct vmi_boot_files {
  const char *kernel, *initrd;
};
/* The neutral machine of a spec that has its defaults. */
int vmi_spec_machine (struct hv_host *, const char *domain, const struct vmi_spec *, const struct vmi_volume_plan *,
                      const struct vmi_boot_files *, struct hv_machine *ret, struct hv_err *);

/* vda, vdb …; sda … for every other bus: the target of each disk, in order. `ret` has room for disks.count. */
#define VMI_TARGET_TEXT 8u
void vmi_spec_targets (const struct vmi_spec *, char (*ret)[VMI_TARGET_TEXT]);

int vmi_spec_memory (const struct vmi_spec *, uint64_t *ret_bytes, const char **ret_path, struct hv_err *);
const struct vmi_network *vmi_spec_network (const struct vmi_spec *, const char *name); /* NULL: none */
const struct vmi_disk *vmi_spec_disk (const struct vmi_spec *, const char *name);       /* NULL: none */
const char *vmi_spec_qos (const struct vmi_spec *);                                     /* Guaranteed, Burstable, BestEffort */
uint64_t vmi_claim_bytes (uint64_t requested);                                          /* as KubeVirt rounds: down to whole MiB */
#endif
