/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* References: registry[:port]/name[:tag][@digest], or the URL of one file. Pure functions over text. */
#ifndef CD_REF_H
#define CD_REF_H
#include <hvkit/err.h>
#include <stdint.h>

#define CD_DIGEST_MAX 136u /* "sha512:" and 128 digits, and the end */

#define CD_REF_REGISTRY 0u
#define CD_REF_HTTP     1u
#define CD_REF_FILE     2u

struct cd_ref {
  uint32_t kind;
  char host[256];             /* of a registry, as it goes into a URL: name or address, and port */
  char name[256];             /* repository */
  char tag[129];              /* "" only where there is a digest */
  char digest[CD_DIGEST_MAX]; /* ""; or algorithm:hexadecimal */
};

/* `registry`: for names without one; NULL or "": they are refused. INVALID_ARGUMENT says what is wrong with the text. */
int cd_ref_parse (const char *text, const char *registry, struct cd_ref *ret, struct hv_err *err);

/* sha256:… or sha512:…, lower case; nothing else is a digest. */
int cd_is_digest (const char *text);

/* host[:port] without the port, brackets and all. */
void cd_host_of (const char *host_port, char *ret, uint64_t size);
/* 127.0.0.0/8, [::1], localhost. */
int cd_is_loopback (const char *host_port);
#endif
