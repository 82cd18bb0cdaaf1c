/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manifests and indexes of OCI images and of Docker's (schema 2), and docker's config.json. Pure functions over bytes, bounded
 * before they are parsed. */
#ifndef CD_MANIFEST_H
#define CD_MANIFEST_H
#include "ref.h"

#define CD_MANIFEST_BYTES_MAX (4u << 20)
#define CD_LAYERS_MAX         128u
#define CD_BLOB_BYTES_MAX     (64ull << 30)

#define CD_CODEC_PLAIN 0u
#define CD_CODEC_GZIP  1u
#define CD_CODEC_ZSTD  2u

struct cd_descriptor {
  char digest[CD_DIGEST_MAX];
  uint64_t size; /* bytes */
  uint32_t codec;
};

struct cd_manifest {
  uint32_t is_index; /* items[0] is the manifest of the platform that was asked for */
  uint32_t count;
  struct cd_descriptor items[CD_LAYERS_MAX]; /* layers, lowest first */
};

/* `platform`: os/architecture[/variant]. DATA_LOSS: it is none, or makes no sense; NOT_FOUND: not for this platform, no layers;
 * UNIMPLEMENTED: of a kind that is not known. */
int cd_manifest_read (const char *json, uint64_t n, const char *platform, struct cd_manifest *ret, struct hv_err *err);
/* The text in `Accept`. */
extern const char cd_manifest_accept[];

/* A token server's answer: malloc'd, or NULL. */
char *cd_token_read (const char *json, uint64_t n);

struct cd_credentials {
  char *user, *password; /* malloc'd; both NULL: none */
};
/* Those for a registry. INVALID_ARGUMENT: it is no config.json; UNIMPLEMENTED: what it says for it cannot be used. */
int cd_credentials_find (const char *json, uint64_t n, const char *host, struct cd_credentials *ret, struct hv_err *err);
void cd_credentials_clear (struct cd_credentials *); /* and wipes them */
#endif
