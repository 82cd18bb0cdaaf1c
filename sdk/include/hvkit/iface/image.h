/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* image/1: disk images from elsewhere (a registry, a web server, a file), kept in a cache of the node under their digest.
 * What a provider has pulled is read-only and does not change; overlays are made on top of it. */
#ifndef HVKIT_IFACE_IMAGE_H
#define HVKIT_IFACE_IMAGE_H
#include <hvkit/iface/hypervisor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_PULL_IF_NOT_PRESENT 0u
#define HV_PULL_ALWAYS         1u
#define HV_PULL_NEVER          2u
extern const char *const hv_pull_policy_words[];

/* A reference is registry[:port]/name[:tag][@digest], or a URL (https://…, http://…, file://…) of one disk image. */
#define HV_IMAGE_PULL_ARGS(F, T) \
  F (T, STR, _, image, HV_REQUIRED, "reference", .umin = 1, .max = 2048) \
  F (T, ENUM, hv_pull_policy, policy, 0, "when the source is asked", .def = "if_not_present") \
  F (T, STR, _, file, HV_PATH, "file inside the image; absent: the one under /disk", .max = 4096) \
  F (T, ENUM, hv_disk_format, format, 0, "what it has to be; absent: what its header says, decided once and recorded") \
  F (T, STR, _, digest, 0, "what the source has to have: sha256:…", .max = 256) \
  F (T, STR, _, platform, 0, "os/architecture, of an index", .def = "linux/amd64", .max = 64) \
  F (T, STR, _, docker_config, HV_SECRET, "credentials: contents of a docker config.json", .max = 262144) \
  F (T, STR, _, ca, 0, "certificate authorities to trust instead of the node's, PEM", .max = 262144) \
  F (T, BOOL, _, plain_http, 0, "no TLS, for registries on loopback", .def = "false") \
  F (T, STR, _, used_by, 0, "who will depend on it: it stays until released", .umin = 1, .max = 512)
HV_RECORD_STRUCT (hv_image_pull_args, HV_IMAGE_PULL_ARGS);

#define HV_IMAGE(F, T) \
  F (T, STR, _, image, HV_REQUIRED, "reference it was pulled by") \
  F (T, STR, _, digest, HV_REQUIRED, "of the image or file: sha256:…") \
  F (T, STR, _, path, HV_REQUIRED, "the disk image on the node; read-only") \
  F (T, STR, _, file, 0, "its name inside the image") \
  F (T, ENUM, hv_disk_format, format, HV_REQUIRED, "its format, as recorded when it was pulled") \
  F (T, U64, _, virtual_size_bytes, 0, "size a guest sees", .unit = "bytes") \
  F (T, U64, _, file_size_bytes, 0, "apparent size of the file", .unit = "bytes") \
  F (T, U64, _, allocated_bytes, 0, "space taken on the node", .unit = "bytes") \
  F (T, U32, _, checksum, 0, "CRC-32 of the file, KubeVirt's checksum") \
  F (T, U64, _, pulled_ms, 0, "ms since 1970", .unit = "ms") \
  F (T, U64, _, used_ms, 0, "last used, ms since 1970", .unit = "ms") \
  F (T, STRS, _, used_by, 0, "what depends on it; while there is any, it stays")
HV_RECORD_STRUCT (hv_image, HV_IMAGE);
#define HV_IMAGES(F, T) \
  F (T, RECS, hv_image, items, HV_REQUIRED, "images, by reference") \
  F (T, STR, _, continue_from, 0, "pass it back to get the next page; absent: that was all") \
  F (T, U64, _, cache_bytes, 0, "space taken by all", .unit = "bytes") \
  F (T, U64, _, quota_bytes, 0, "space they may take; 0: no limit", .unit = "bytes")
HV_RECORD_STRUCT (hv_images, HV_IMAGES);

#define HV_IMAGE_REF(F, T) F (T, STR, _, image, HV_REQUIRED, "reference or digest", .umin = 1, .max = 2048)
HV_RECORD_STRUCT (hv_image_ref, HV_IMAGE_REF);

#define HV_IMAGE_RELEASE_ARGS(F, T) \
  F (T, STR, _, image, 0, "reference or digest; absent: every image", .umin = 1, .max = 2048) \
  F (T, STR, _, used_by, HV_REQUIRED, "who depends on it no more, as pull was told", .umin = 1, .max = 512)
HV_RECORD_STRUCT (hv_image_release_args, HV_IMAGE_RELEASE_ARGS);

/* --- the verbs: base tables for HV_IMPLEMENT --- */
extern const struct hv_method hv_image_verb_pull, hv_image_verb_list, hv_image_verb_get, hv_image_verb_remove, hv_image_verb_release;
extern const struct hv_iface hv_iface_image;

#ifdef __cplusplus
}
#endif
#endif
