/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's own view: the instance, the images in its cache, and the pulls under way. Everything runs on the instance's thread
 * but what an offload does. */
#ifndef CD_CONTAINER_DISK_H
#define CD_CONTAINER_DISK_H
#include "http.h"
#include "manifest.h"
#include <hvkit/iface/image.h>

#define CD_CONFIG(F, T) \
  F (T, STR, _, registry, 0, "registry of names that name none; absent: they are refused", .max = 255) \
  F (T, STR, _, docker_config, HV_PATH, "a docker config.json: credentials for pulls that bring none", .max = 4096) \
  F (T, STR, _, ca, HV_PATH, "certificate authorities, PEM, for pulls that bring none; absent: the node's", .max = 4096) \
  F (T, STRS, _, plain_http, 0, "registries (host or host:port) that are asked without TLS", .max = 64) \
  F (T, STRS, _, token_hosts, 0, "hosts that credentials may be sent to for a token, besides the registry itself", .max = 64) \
  F (T, U64, _, quota_bytes, 0, "space that the cache may take; what nobody uses goes first; 0: no limit", .unit = "bytes", \
     .def = "0") \
  F (T, U64, _, reserve_bytes, 0, "space that is left free on the cache's file system", .unit = "bytes", .def = "1073741824") \
  F (T, U32, _, parallel, 0, "images that are fetched at a time; more wait", .def = "2", .umin = 1, .max = 16) \
  F (T, STRS, _, directories, 0, "file:// reads below these only; absent: anywhere", .max = 64) \
  F (T, STR, _, qcow2, 0, "instance of disk-qcow2, which says what is in a qcow2 image", .def = "disk-qcow2", .max = 64)
HV_RECORD_STRUCT (cd_config, CD_CONFIG);

/* --- cache.c: what is here --- */

/* How an image was asked for. Several may lead to one. */
#define CD_NAME(F, T) \
  F (T, STR, _, image, HV_REQUIRED, "reference, as it was given") \
  F (T, STR, _, file, 0, "file in the image that was asked for") \
  F (T, STR, _, platform, 0, "platform that was asked for") \
  F (T, STR, _, etag, 0, "of a web server: to ask whether it has changed")
HV_RECORD_STRUCT (cd_name, CD_NAME);

#define CD_DOCUMENT(F, T) \
  F (T, RECS, cd_name, names, HV_REQUIRED, "references that lead here", .max = 256) \
  F (T, STR, _, digest, HV_REQUIRED, "of the image or file") \
  F (T, STR, _, file, 0, "the disk's path in the image") \
  F (T, STR, _, wanted, 0, "the path that was asked for; absent: the one under /disk") \
  F (T, ENUM, hv_disk_format, format, HV_REQUIRED, "decided once, when it was pulled") \
  F (T, U64, _, virtual_size_bytes, 0, "size a guest sees") \
  F (T, U64, _, file_size_bytes, 0, "apparent size") \
  F (T, U64, _, allocated_bytes, 0, "space it takes") \
  F (T, U32, _, checksum, 0, "CRC-32") \
  F (T, U64, _, pulled_ms, 0, "when") \
  F (T, U64, _, used_ms, 0, "when it was asked for last") \
  F (T, STRS, _, used_by, 0, "what depends on it", .max = 4096)
HV_RECORD_STRUCT (cd_document, CD_DOCUMENT);

struct cd;

/* An image in the cache: a file, and a document that says what it is. */
struct cd_image {
  struct cd *cd;
  char key[112];      /* names both */
  uint8_t *bytes;     /* the document, encoded */
  uint64_t size;      /* of it */
  uint64_t allocated; /* bytes that the file takes */
  uint64_t used_ms;
  uint32_t pins;          /* calls that are about to answer with it: it stays */
  uint8_t changing, gone; /* one changes it at a time; it was removed */
};

struct cd {
  struct hv_host *host;
  const struct cd_config *config;
  struct cd_http *http;
  struct cd_image **images;
  uint32_t image_count;
  struct cd_flight *flights;
  uint32_t flying;
  struct hv_cond *landed; /* a flight has ended */
};

struct cd_want { /* how an image is asked for; the texts are the caller's */
  const char *image, *file, *platform;
};

int cd_cache_load (struct cd *, struct hv_err *); /* [coro] and removes what no document speaks of */
void cd_cache_free (struct cd *);
/* Of the call; `names` of a document and its texts live as long. DATA_LOSS cannot be: it was encoded here. */
int cd_image_read (const struct cd_image *, struct cd_document *ret, struct hv_err *);
struct cd_image *cd_cache_find (struct cd *, const struct cd_want *);                             /* NULL: not here. Borrowed */
struct cd_image *cd_cache_find_digest (struct cd *, const char *digest, const char *wanted_file); /* the same */
char *cd_cache_path (struct cd *, const char *key);                                        /* the call's; NULL: out of memory */
void cd_cache_key (const char *digest, const char *wanted_file, char *ret, uint64_t size); /* "" or NULL: the file under /disk */
int cd_cache_add (struct cd *, const char *key, const struct cd_document *, struct cd_image **ret, struct hv_err *); /* [coro] */
/* [coro] Another way to ask leads to it, somebody depends on it; both may be NULL. It was used now. */
int cd_image_use (struct cd_image *, const struct cd_want *, const char *etag, const char *used_by, struct hv_err *);
int cd_image_release (struct cd_image *, const char *used_by, struct hv_err *); /* [coro] */
int cd_image_fill (struct cd_image *, const char *image, struct hv_image *ret, struct hv_err *);
int cd_image_remove (struct cd_image *, struct hv_err *); /* [coro] FAILED_PRECONDITION: somebody depends on it */
/* [coro] What nobody uses goes, the longest unused first, until the quota is kept. */
void cd_cache_collect (struct cd *);
/* Bytes that a new image may take: of the quota, when all that can go has gone, and of the file system. [coro] */
int cd_cache_room (struct cd *, uint64_t *ret, struct hv_err *);
uint64_t cd_cache_bytes (const struct cd *);

/* --- pull.c, verbs.c --- */
int cd_pull (void *, struct hv_call *, const void *, void *, struct hv_err *);
int cd_list (void *, struct hv_call *, const void *, void *, struct hv_err *);
int cd_get (void *, struct hv_call *, const void *, void *, struct hv_err *);
int cd_remove (void *, struct hv_call *, const void *, void *, struct hv_err *);
int cd_release (void *, struct hv_call *, const void *, void *, struct hv_err *);

uint64_t cd_wall_ms (void);
extern const struct hv_plugin cd_plugin;
#endif
