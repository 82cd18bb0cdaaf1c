/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk/1: images of one format. The format is the provider's (disk-raw, disk-qcow2): declared, never guessed. */
#ifndef HVKIT_IFACE_DISK_H
#define HVKIT_IFACE_DISK_H
#include <hvkit/iface/hypervisor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HV_DISK_REF(F, T) F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image file", .umin = 1, .max = 4096)
HV_RECORD_STRUCT (hv_disk_ref, HV_DISK_REF);

#define HV_DISK_CREATE_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "file to make; must not exist", .umin = 1, .max = 4096) \
  F (T, U64, _, virtual_size_bytes, HV_REQUIRED, "size the guest sees; a multiple of 512", .unit = "bytes", .umin = 512, .max = 70368744177664) \
  F (T, BOOL, _, preallocate, 0, "reserve all blocks now", .def = "false") \
  F (T, U32, _, cluster_size_bytes, 0, "qcow2 only", .unit = "bytes", .umin = 512, .max = 2097152) \
  F (T, U32, _, owner_uid, 0, "uid the file is given to")
HV_RECORD_STRUCT (hv_disk_create_args, HV_DISK_CREATE_ARGS);

#define HV_DISK_OVERLAY_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "overlay to make; must not exist", .umin = 1, .max = 4096) \
  F (T, STR, _, backing_path, HV_REQUIRED | HV_PATH, "read-only base", .umin = 1, .max = 1023) \
  F (T, ENUM, hv_disk_format, backing_format, HV_REQUIRED, "format of the base") \
  F (T, U64, _, virtual_size_bytes, 0, "absent: the base's", .unit = "bytes", .umin = 512, .max = 70368744177664) \
  F (T, U32, _, cluster_size_bytes, 0, "cluster size", .unit = "bytes", .def = "65536", .umin = 512, .max = 2097152) \
  F (T, U32, _, owner_uid, 0, "uid the file is given to")
HV_RECORD_STRUCT (hv_disk_overlay_args, HV_DISK_OVERLAY_ARGS);

#define HV_DISK_INFO(F, T) \
  F (T, STR, _, path, HV_REQUIRED, "image file") \
  F (T, ENUM, hv_disk_format, format, HV_REQUIRED, "declared format") \
  F (T, U64, _, virtual_size_bytes, HV_REQUIRED, "size the guest sees", .unit = "bytes") \
  F (T, U64, _, allocated_bytes, HV_REQUIRED, "space taken on the host", .unit = "bytes") \
  F (T, U64, _, file_size_bytes, 0, "apparent size of the file", .unit = "bytes") \
  F (T, U32, _, cluster_size_bytes, 0, "qcow2: cluster size", .unit = "bytes") \
  F (T, STR, _, compat, 0, "qcow2: 0.10 or 1.1") \
  F (T, U32, _, refcount_bits, 0, "qcow2: width of a refcount") \
  F (T, STR, _, compression, 0, "qcow2: zlib or zstd") \
  F (T, BOOL, _, lazy_refcounts, 0, "qcow2: lazy refcounts") \
  F (T, BOOL, _, dirty, 0, "qcow2: was not closed cleanly") \
  F (T, BOOL, _, corrupt, 0, "qcow2: marked corrupt") \
  F (T, BOOL, _, extended_l2, 0, "qcow2: subclusters") \
  F (T, U32, _, snapshots, 0, "qcow2: internal snapshots") \
  F (T, STR, _, backing_path, 0, "qcow2: base as the header names it") \
  F (T, ENUM, hv_disk_format, backing_format, 0, "qcow2: base's format as the header declares it")
HV_RECORD_STRUCT (hv_disk_info, HV_DISK_INFO);

#define HV_DISK_CHECK_RESULT(F, T) \
  F (T, STR, _, path, HV_REQUIRED, "image file") \
  F (T, BOOL, _, clean, HV_REQUIRED, "no error found") \
  F (T, U64, _, leaked_clusters, 0, "allocated, referenced by nothing") \
  F (T, U64, _, errors, 0, "references that are wrong") \
  F (T, STRS, _, findings, 0, "what was found, the first 32")
HV_RECORD_STRUCT (hv_disk_check_result, HV_DISK_CHECK_RESULT);

extern const struct hv_method hv_disk_verb_info, hv_disk_verb_create, hv_disk_verb_overlay, hv_disk_verb_check, hv_disk_verb_delete;
extern const struct hv_iface hv_iface_disk;

#ifdef __cplusplus
}
#endif
#endif
