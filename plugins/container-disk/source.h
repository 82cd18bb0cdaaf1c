/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where an image comes from, as one caller may see it: a registry, or a web server. Redirects, authentication and further attempts
 * are here, and with them the rule that credentials go to the origin they are for, and to no other. */
#ifndef CD_SOURCE_H
#define CD_SOURCE_H
#include "http.h"
#include "manifest.h"

struct cd_source {
  struct hv_host *host;
  struct cd_http *http;
  struct cd_ref ref;
  char *origin;                      /* "https://registry:5000" */
  char *ca;                          /* PEM; NULL: the node's */
  int plain;                         /* http is allowed */
  const struct hv_strs *token_hosts; /* that credentials may be sent to, besides the origin; the configuration's */
  struct cd_credentials credentials;
  uint32_t auth; /* CD_AUTH_*: how it wants to be asked; CD_AUTH_OTHER: not at all */
  char *token;
};

/* NULL: out of memory. The caller fills in credentials, ca, plain, token_hosts. */
struct cd_source *cd_source_new (struct cd_http *, struct hv_host *, const struct cd_ref *, const char *url);
void cd_source_free (struct cd_source *);

struct cd_ask {
  const char *url, *header, *if_none_match; /* the last two may be NULL */
  uint64_t offset;
};
/* [coro] The answer's headers are there, with status 200, 206 or 304. NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE (after several
 * attempts), FAILED_PRECONDITION (where it leads is not gone to). */
int cd_source_get (struct cd_source *, const struct cd_ask *, struct cd_transfer **ret, struct hv_err *);

/* [coro] What the reference names now: its manifest, and its digest. DATA_LOSS: what came does not have the digest that it should.
 */
int cd_source_manifest (struct cd_source *, const char *platform, struct cd_manifest *ret, char ret_digest[CD_DIGEST_MAX],
                        struct hv_err *);
#endif
