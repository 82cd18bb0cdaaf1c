/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk/1: images of one format. The format is the provider's (disk-raw, disk-qcow2): declared, never guessed. */
#ifndef HVKIT_IFACE_DISK_H
#define HVKIT_IFACE_DISK_H
#include <hvkit/iface/hypervisor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raw has no header, so what its first bytes look like says nothing once a guest has written to it. A provider refuses a
 * file that looks like another format unless the caller has it on record as raw and says so with trusted_raw. */
#define HV_DISK_TRUSTED_RAW_FIELD_(F, T) \
  F (T, BOOL, _, trusted_raw, 0, "recorded as raw: what its bytes look like is not considered", .def = "false")

#define HV_DISK_REF(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image file", .umin = 1, .max = 4096) \
  HV_DISK_TRUSTED_RAW_FIELD_ (F, T)
HV_RECORD_STRUCT (hv_disk_ref, HV_DISK_REF);

#define HV_DISK_CREATE_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "file to make; must not exist", .umin = 1, .max = 4096) \
  F (T, U64, _, virtual_size_bytes, HV_REQUIRED, "size the guest sees; a multiple of 512", .unit = "bytes", .umin = 512, \
     .max = 70368744177664) \
  F (T, BOOL, _, preallocate, 0, "reserve all blocks now", .def = "false") \
  F (T, U32, _, cluster_size_bytes, 0, "qcow2 only", .unit = "bytes", .umin = 512, .max = 2097152) \
  F (T, U32, _, owner_uid, 0, "uid the file is given to")
HV_RECORD_STRUCT (hv_disk_create_args, HV_DISK_CREATE_ARGS);

#define HV_DISK_OVERLAY_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "overlay to make; must not exist", .umin = 1, .max = 4096) \
  F (T, STR, _, backing_path, HV_REQUIRED | HV_PATH, "read-only base", .umin = 1, .max = 1023) \
  F (T, ENUM, hv_disk_format, backing_format, HV_REQUIRED, "format of the base") \
  HV_DISK_TRUSTED_RAW_FIELD_ (F, T) \
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
  F (T, BOOL, _, clean, HV_REQUIRED, "neither errors nor leaks") \
  F (T, U64, _, leaked_clusters, 0, "allocated, referenced by nothing") \
  F (T, U64, _, errors, 0, "references that are wrong") \
  F (T, STRS, _, findings, 0, "what was found, the first 32")
HV_RECORD_STRUCT (hv_disk_check_result, HV_DISK_CHECK_RESULT);

/* --- further verbs ------------------------------------------------------------------------------------------- */

#define HV_DISK_RESIZE_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image file; no VM runs on it", .umin = 1, .max = 4096) \
  F (T, U64, _, virtual_size_bytes, HV_REQUIRED, "new size; a multiple of 512", .unit = "bytes", .umin = 512, \
     .max = 70368744177664) \
  F (T, BOOL, _, allow_shrink, 0, "cut off what is beyond a smaller size", .def = "false") \
  F (T, BOOL, _, preallocate, 0, "reserve the new blocks now", .def = "false") \
  HV_DISK_TRUSTED_RAW_FIELD_ (F, T)
HV_RECORD_STRUCT (hv_disk_resize_args, HV_DISK_RESIZE_ARGS);

/* The source is of the provider's format; the target's is named. */
#define HV_DISK_CONVERT_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image to read; no VM runs on it", .umin = 1, .max = 4096) \
  F (T, STR, _, target_path, HV_REQUIRED | HV_PATH, "file to make; must not exist", .umin = 1, .max = 4096) \
  F (T, ENUM, hv_disk_format, target_format, HV_REQUIRED, "format to write") \
  F (T, RECS, hv_machine_layer, backing, 0, "layers below the source, top first; all it may read besides itself", .max = 16) \
  F (T, BOOL, _, compress, 0, "qcow2: compress clusters", .def = "false") \
  F (T, U32, _, cluster_size_bytes, 0, "qcow2: cluster size of the target", .unit = "bytes", .umin = 512, .max = 2097152) \
  F (T, U32, _, owner_uid, 0, "uid the target is given to") \
  HV_DISK_TRUSTED_RAW_FIELD_ (F, T)
HV_RECORD_STRUCT (hv_disk_convert_args, HV_DISK_CONVERT_ARGS);

#define HV_DISK_MAP_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image file", .umin = 1, .max = 4096) \
  F (T, U64, _, offset_bytes, 0, "where to begin; the previous answer's continue_bytes", .unit = "bytes", .def = "0") \
  F (T, U64, _, length_bytes, 0, "how much to describe; absent: to the end", .unit = "bytes", .umin = 1) \
  F (T, U32, _, limit, 0, "at most this many extents", .def = "1000", .umin = 1, .max = 10000) \
  HV_DISK_TRUSTED_RAW_FIELD_ (F, T)
HV_RECORD_STRUCT (hv_disk_map_args, HV_DISK_MAP_ARGS);
#define HV_DISK_EXTENT(F, T) \
  F (T, U64, _, offset_bytes, HV_REQUIRED, "where the guest sees it", .unit = "bytes") \
  F (T, U64, _, length_bytes, HV_REQUIRED, "length", .unit = "bytes") \
  F (T, BOOL, _, present, HV_REQUIRED, "in this image, not in its base") \
  F (T, BOOL, _, zero, HV_REQUIRED, "reads as zeros") \
  F (T, BOOL, _, data, HV_REQUIRED, "has blocks in the file") \
  F (T, BOOL, _, compressed, 0, "qcow2: compressed") \
  F (T, U64, _, host_offset_bytes, 0, "where it is in the file", .unit = "bytes")
HV_RECORD_STRUCT (hv_disk_extent, HV_DISK_EXTENT);
#define HV_DISK_MAP_RESULT(F, T) \
  F (T, RECS, hv_disk_extent, items, HV_REQUIRED, "extents, in the guest's order, without gaps") \
  F (T, U64, _, continue_bytes, 0, "pass it as offset_bytes to get the rest; absent: that was all", .unit = "bytes")
HV_RECORD_STRUCT (hv_disk_map_result, HV_DISK_MAP_RESULT);

#define HV_DISK_INSPECT_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image file", .umin = 1, .max = 4096) \
  HV_DISK_TRUSTED_RAW_FIELD_ (F, T) \
  F (T, RECS, hv_machine_layer, backing, 0, "layers below it, top first; all it may read besides itself", .max = 16)
HV_RECORD_STRUCT (hv_disk_inspect_args, HV_DISK_INSPECT_ARGS);
#define HV_PARTITION_TABLE_NONE 0u
#define HV_PARTITION_TABLE_MBR  1u
#define HV_PARTITION_TABLE_GPT  2u
extern const char *const hv_partition_table_words[];
#define HV_DISK_PARTITION(F, T) \
  F (T, U32, _, number, HV_REQUIRED, "number in the table, from 1") \
  F (T, U64, _, start_bytes, HV_REQUIRED, "first byte", .unit = "bytes") \
  F (T, U64, _, size_bytes, HV_REQUIRED, "length", .unit = "bytes") \
  F (T, STR, _, type, HV_REQUIRED, "GPT: type GUID; MBR: type byte in hexadecimal") \
  F (T, STR, _, type_name, 0, "the type in words") \
  F (T, STR, _, uuid, 0, "GPT: the partition's own GUID") \
  F (T, STR, _, name, 0, "GPT: name") \
  F (T, BOOL, _, bootable, 0, "MBR: active; GPT: legacy BIOS bootable") \
  F (T, STR, _, filesystem, 0, "ext4, xfs, vfat … as its superblock says") \
  F (T, STR, _, label, 0, "label of the file system") \
  F (T, STR, _, filesystem_uuid, 0, "UUID of the file system")
HV_RECORD_STRUCT (hv_disk_partition, HV_DISK_PARTITION);
#define HV_DISK_INSPECT_RESULT(F, T) \
  F (T, STR, _, path, HV_REQUIRED, "image file") \
  F (T, U64, _, virtual_size_bytes, HV_REQUIRED, "size the guest sees", .unit = "bytes") \
  F (T, ENUM, hv_partition_table, table, HV_REQUIRED, "kind of partition table") \
  F (T, STR, _, disk_id, 0, "GPT: disk GUID; MBR: disk signature") \
  F (T, U32, _, sector_size_bytes, 0, "sector size the table counts in", .unit = "bytes") \
  F (T, RECS, hv_disk_partition, partitions, HV_REQUIRED, "partitions, by number") \
  F (T, STR, _, filesystem, 0, "without a table: the file system on the whole disk") \
  F (T, STRS, _, problems, 0, "what is wrong with the table")
HV_RECORD_STRUCT (hv_disk_inspect_result, HV_DISK_INSPECT_RESULT);

#define HV_DISK_COMMIT_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "overlay whose contents go down; no VM runs on it", .umin = 1, .max = 4096) \
  F (T, STR, _, backing_path, HV_REQUIRED | HV_PATH, "its base, which takes them; nothing else depends on it", .umin = 1, \
     .max = 1023) \
  F (T, ENUM, hv_disk_format, backing_format, HV_REQUIRED, "format of the base") \
  F (T, BOOL, _, keep, 0, "keep the contents in the overlay too", .def = "false") \
  HV_DISK_TRUSTED_RAW_FIELD_ (F, T)
HV_RECORD_STRUCT (hv_disk_commit_args, HV_DISK_COMMIT_ARGS);

#define HV_DISK_REBASE_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "overlay; no VM runs on it", .umin = 1, .max = 4096) \
  F (T, STR, _, backing_path, HV_PATH, "its new base; absent: none, everything is copied in", .umin = 1, .max = 1023) \
  F (T, ENUM, hv_disk_format, backing_format, 0, "format of the new base; required with backing_path") \
  F (T, BOOL, _, header_only, 0, "the new base has the same contents: write its name and copy nothing", .def = "false") \
  F (T, RECS, hv_machine_layer, backing, 0, "layers below it now, top first; needed unless header_only", .max = 16) \
  HV_DISK_TRUSTED_RAW_FIELD_ (F, T)
HV_RECORD_STRUCT (hv_disk_rebase_args, HV_DISK_REBASE_ARGS);

/* A block device of the node that shows the image, for tools that want one. Needs the nbd kernel module. */
#define HV_DISK_CONNECT_ARGS(F, T) \
  F (T, STR, _, path, HV_REQUIRED | HV_PATH, "image file; no VM runs on it", .umin = 1, .max = 4096) \
  F (T, BOOL, _, read_only, 0, "writes are refused", .def = "true") \
  F (T, STR, _, device, HV_PATH, "device to use; absent: a free one", .umin = 1, .max = 64) \
  HV_DISK_TRUSTED_RAW_FIELD_ (F, T)
HV_RECORD_STRUCT (hv_disk_connect_args, HV_DISK_CONNECT_ARGS);
#define HV_DISK_CONNECTION(F, T) \
  F (T, STR, _, path, HV_REQUIRED, "image file") \
  F (T, STR, _, device, HV_REQUIRED, "/dev/nbd0 …")
HV_RECORD_STRUCT (hv_disk_connection, HV_DISK_CONNECTION);
#define HV_DISK_DISCONNECT_ARGS(F, T) F (T, STR, _, device, HV_REQUIRED | HV_PATH, "as connect answered", .umin = 1, .max = 64)
HV_RECORD_STRUCT (hv_disk_disconnect_args, HV_DISK_DISCONNECT_ARGS);

/* --- the verbs: base tables for HV_IMPLEMENT --- */
extern const struct hv_method hv_disk_verb_info, hv_disk_verb_create, hv_disk_verb_overlay, hv_disk_verb_check, hv_disk_verb_delete;
extern const struct hv_method hv_disk_verb_resize, hv_disk_verb_convert, hv_disk_verb_map, hv_disk_verb_inspect,
    hv_disk_verb_commit, hv_disk_verb_rebase, hv_disk_verb_connect, hv_disk_verb_disconnect;
extern const struct hv_iface hv_iface_disk;

#ifdef __cplusplus
}
#endif
#endif
