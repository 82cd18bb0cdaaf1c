/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables of disk/1: words, records, verbs. Linked into every plugin that provides or calls it. */
#include <hvkit/iface/disk.h>

const char *const hv_partition_table_words[] = { "none", "mbr", "gpt", NULL };

HV_RECORD_TABLE (hv_disk_ref, HV_DISK_REF, "names an image");
HV_RECORD_TABLE (hv_disk_create_args, HV_DISK_CREATE_ARGS, "arguments of create");
HV_RECORD_TABLE (hv_disk_overlay_args, HV_DISK_OVERLAY_ARGS, "arguments of overlay");
HV_RECORD_TABLE (hv_disk_info, HV_DISK_INFO, "an image");
HV_RECORD_TABLE (hv_disk_check_result, HV_DISK_CHECK_RESULT, "what check found");
HV_RECORD_TABLE (hv_disk_resize_args, HV_DISK_RESIZE_ARGS, "arguments of resize");
HV_RECORD_TABLE (hv_disk_convert_args, HV_DISK_CONVERT_ARGS, "arguments of convert");
HV_RECORD_TABLE (hv_disk_map_args, HV_DISK_MAP_ARGS, "arguments of map");
HV_RECORD_TABLE (hv_disk_extent, HV_DISK_EXTENT, "a range of an image");
HV_RECORD_TABLE (hv_disk_map_result, HV_DISK_MAP_RESULT, "ranges of an image");
HV_RECORD_TABLE (hv_disk_partition, HV_DISK_PARTITION, "a partition");
HV_RECORD_TABLE (hv_disk_inspect_args, HV_DISK_INSPECT_ARGS, "arguments of inspect");
HV_RECORD_TABLE (hv_disk_inspect_result, HV_DISK_INSPECT_RESULT, "what is on a disk");
HV_RECORD_TABLE (hv_disk_commit_args, HV_DISK_COMMIT_ARGS, "arguments of commit");
HV_RECORD_TABLE (hv_disk_rebase_args, HV_DISK_REBASE_ARGS, "arguments of rebase");
HV_RECORD_TABLE (hv_disk_connect_args, HV_DISK_CONNECT_ARGS, "arguments of connect");
HV_RECORD_TABLE (hv_disk_connection, HV_DISK_CONNECTION, "a block device that shows an image");
HV_RECORD_TABLE (hv_disk_disconnect_args, HV_DISK_DISCONNECT_ARGS, "arguments of disconnect");

/* --- how the verbs look on the command line --- */
#define HV_VERB(name_, flags_, args_, result_, access_, lane_, key_, timeout_, cli_, doc_) \
  const struct hv_method hv_disk_verb_##name_ = { .struct_size = sizeof (struct hv_method), \
                                                  .flags = (flags_), \
                                                  .verb = #name_, \
                                                  .args = (args_), \
                                                  .result = (result_), \
                                                  .access = HV_ACCESS_CHECKED_ (access_), \
                                                  .lane = (lane_), \
                                                  .key = (key_), \
                                                  .timeout_ms = (timeout_), \
                                                  .cli = (cli_), \
                                                  .doc = (doc_) }
#define HV_VERB_CLI(name_, ...) static const struct hv_cli cli_##name_ = { .struct_size = sizeof (struct hv_cli), __VA_ARGS__ }

#define INFO_COLUMNS "PATH=path FORMAT=format SIZE=virtual_size_bytes:bytes ALLOCATED=allocated_bytes:bytes BACKING=backing_path"
#define INFO_WIDE \
  "CLUSTER=cluster_size_bytes:bytes COMPAT=compat REFCOUNT=refcount_bits SNAPSHOTS=snapshots DIRTY=dirty CORRUPT=corrupt"
HV_VERB_CLI (info, .positional = "path", .columns = INFO_COLUMNS, .wide = INFO_WIDE);
HV_VERB_CLI (create, .positional = "path virtual_size_bytes", .done = "{path} created");
HV_VERB_CLI (overlay, .positional = "path backing_path backing_format", .done = "{path} created");
HV_VERB_CLI (check, .positional = "path", .columns = "PATH=path CLEAN=clean LEAKED=leaked_clusters ERRORS=errors");
HV_VERB_CLI (deleted, .positional = "path", .done = "{path} deleted");
HV_VERB_CLI (resize, .positional = "path virtual_size_bytes", .done = "{path} resized");
HV_VERB_CLI (convert, .positional = "path target_path target_format", .done = "{target_path} created");
HV_VERB_CLI (map, .positional = "path", .list = "items",
             .columns
             = "OFFSET=offset_bytes LENGTH=length_bytes PRESENT=present ZERO=zero DATA=data HOST_OFFSET=host_offset_bytes");
HV_VERB_CLI (inspect, .positional = "path", .list = "partitions",
             .columns
             = "NUMBER=number START=start_bytes SIZE=size_bytes:bytes TYPE=type_name NAME=name FILESYSTEM=filesystem LABEL=label",
             .wide = "TYPE_ID=type UUID=uuid BOOTABLE=bootable FILESYSTEM_UUID=filesystem_uuid");
HV_VERB_CLI (commit, .positional = "path backing_path backing_format", .done = "{path} committed");
HV_VERB_CLI (rebase, .positional = "path backing_path? backing_format?", .done = "{path} rebased");
HV_VERB_CLI (connect, .positional = "path", .columns = "DEVICE=device PATH=path");
HV_VERB_CLI (disconnect, .positional = "device", .done = "{device} disconnected");

/* --- the verbs --- */
HV_VERB (info, HV_MUST | HV_READ, &hv_disk_ref_record, &hv_disk_info_record, HV_OPERATOR, HV_LANE_NONE, "path", 0, &cli_info,
         "What an image is, from its header alone: sizes, features, base. Nothing it names is opened");
HV_VERB (create, HV_MUST, &hv_disk_create_args_record, &hv_disk_info_record, HV_OPERATOR, HV_LANE_MUTATE, "path", 600000,
         &cli_create, "Make an empty image; it is there whole and durable, or not at all");
HV_VERB (overlay, 0, &hv_disk_overlay_args_record, &hv_disk_info_record, HV_OPERATOR, HV_LANE_MUTATE, "path", 0, &cli_overlay,
         "Make an empty image on top of a read-only base; it is there whole and durable, or not at all");
HV_VERB (check, HV_MUST | HV_READ, &hv_disk_ref_record, &hv_disk_check_result_record, HV_OPERATOR, HV_LANE_NONE, "path", 600000,
         &cli_check, "Follow every reference in an image and report what is wrong; changes nothing");
HV_VERB (delete, HV_MUST, &hv_disk_ref_record, NULL, HV_OPERATOR, HV_LANE_MUTATE, "path", 0, &cli_deleted,
         "Remove an image file of this format. Its base stays");
HV_VERB (resize, HV_PROGRESS, &hv_disk_resize_args_record, &hv_disk_info_record, HV_OPERATOR, HV_LANE_MUTATE, "path", 600000,
         &cli_resize, "Change the size the guest sees");
HV_VERB (convert, HV_PROGRESS, &hv_disk_convert_args_record, &hv_disk_info_record, HV_OPERATOR, HV_LANE_MUTATE, "target_path",
         86400000, &cli_convert, "Copy an image into another format; holes stay holes");
HV_VERB (map, HV_READ, &hv_disk_map_args_record, &hv_disk_map_result_record, HV_OPERATOR, HV_LANE_NONE, "path", 60000, &cli_map,
         "Which ranges have data, read as zeros, or come from the base");
HV_VERB (inspect, HV_READ, &hv_disk_inspect_args_record, &hv_disk_inspect_result_record, HV_OPERATOR, HV_LANE_NONE, "path", 60000,
         &cli_inspect, "Partition table and file systems, as the guest's bytes have them");
HV_VERB (commit, HV_PROGRESS, &hv_disk_commit_args_record, &hv_disk_info_record, HV_OPERATOR, HV_LANE_MUTATE, "path", 86400000,
         &cli_commit, "Merge an overlay into its base");
HV_VERB (rebase, HV_PROGRESS, &hv_disk_rebase_args_record, &hv_disk_info_record, HV_OPERATOR, HV_LANE_MUTATE, "path", 86400000,
         &cli_rebase, "Put an overlay on top of another base; the guest sees the same contents");
HV_VERB (connect, 0, &hv_disk_connect_args_record, &hv_disk_connection_record, HV_ADMIN, HV_LANE_MUTATE, "path", 60000,
         &cli_connect, "Show an image as a block device of the node");
HV_VERB (disconnect, 0, &hv_disk_disconnect_args_record, NULL, HV_ADMIN, HV_LANE_MUTATE, "device", 60000, &cli_disconnect,
         "Take a block device back that connect made");

const struct hv_iface hv_iface_disk = {
  .struct_size = sizeof (struct hv_iface),
  .major = 1,
  .name = "disk",
  .doc = "images of one format",
  .verbs = (const struct hv_method *const[]){ &hv_disk_verb_info, &hv_disk_verb_create, &hv_disk_verb_check, &hv_disk_verb_delete,
                                              &hv_disk_verb_resize, &hv_disk_verb_overlay, &hv_disk_verb_convert, &hv_disk_verb_map,
                                              &hv_disk_verb_inspect, &hv_disk_verb_commit, &hv_disk_verb_rebase,
                                              &hv_disk_verb_connect, &hv_disk_verb_disconnect, NULL },
  .events = (const struct hv_event *const[]){ NULL },
};
