/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables of image/1: words, records, verbs. Linked into every plugin that provides or calls it. */
#include <hvkit/iface/image.h>

const char *const hv_pull_policy_words[] = { "if_not_present", "always", "never", NULL };

HV_RECORD_TABLE (hv_image_pull_args, HV_IMAGE_PULL_ARGS, "arguments of pull");
HV_RECORD_TABLE (hv_image, HV_IMAGE, "an image in the cache");
HV_RECORD_TABLE (hv_images, HV_IMAGES, "images in the cache");
HV_RECORD_TABLE (hv_image_ref, HV_IMAGE_REF, "names an image");
HV_RECORD_TABLE (hv_image_release_args, HV_IMAGE_RELEASE_ARGS, "arguments of release");

/* --- how the verbs look on the command line --- */
#define HV_VERB(name_, flags_, args_, result_, access_, lane_, key_, timeout_, cli_, doc_) \
  const struct hv_method hv_image_verb_##name_ = { .struct_size = sizeof (struct hv_method), \
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

#define IMAGE_COLUMNS "IMAGE=image FORMAT=format SIZE=virtual_size_bytes:bytes ALLOCATED=allocated_bytes:bytes PULLED=pulled_ms:age"
#define IMAGE_WIDE    "DIGEST=digest PATH=path CHECKSUM=checksum USED_BY=used_by"
HV_VERB_CLI (pull, .words = "image pull", .positional = "image", .done = "image/{image} pulled");
HV_VERB_CLI (list, .words = "image list", .list = "items", .columns = IMAGE_COLUMNS, .wide = IMAGE_WIDE);
HV_VERB_CLI (get, .words = "image get", .positional = "image", .columns = IMAGE_COLUMNS, .wide = IMAGE_WIDE);
HV_VERB_CLI (removed, .words = "image remove", .positional = "image", .done = "image/{image} removed");

/* --- the verbs --- */
/* No lane: who pulls what is being pulled waits for the same. */
HV_VERB (pull, HV_MUST | HV_PROGRESS, &hv_image_pull_args_record, &hv_image_record, HV_OPERATOR, HV_LANE_NONE, NULL, 86400000,
         &cli_pull, "Get an image into the cache, if it is not there");
HV_VERB (list, HV_MUST | HV_READ, &hv_list_args_record, &hv_images_record, HV_VIEWER, HV_LANE_NONE, NULL, 0, &cli_list,
         "The images in the cache");
HV_VERB (get, HV_MUST | HV_READ, &hv_image_ref_record, &hv_image_record, HV_VIEWER, HV_LANE_NONE, "image", 0, &cli_get,
         "One image in the cache");
HV_VERB (remove, HV_MUST, &hv_image_ref_record, NULL, HV_OPERATOR, HV_LANE_MUTATE, "image", 0, &cli_removed,
         "Take an image out of the cache; one that is in use stays");
HV_VERB (release, HV_MUST, &hv_image_release_args_record, NULL, HV_OPERATOR, HV_LANE_NONE, NULL, 0, NULL,
         "Somebody depends on an image no more");

const struct hv_iface hv_iface_image = {
  .struct_size = sizeof (struct hv_iface),
  .major = 1,
  .name = "image",
  .doc = "disk images from elsewhere",
  .verbs = (const struct hv_method *const[]){ &hv_image_verb_pull, &hv_image_verb_list, &hv_image_verb_get, &hv_image_verb_remove,
                                              &hv_image_verb_release, NULL },
  .events = (const struct hv_event *const[]){ NULL },
};
