/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* HTTP transfers: libcurl's multi interface on the instance's loop. One transfer is one request and its answer; where it leads next
 * (redirects, authentication, another attempt) is its caller's to decide, because credentials must not go everywhere. Everything on
 * the instance's thread. */
#ifndef CD_HTTP_H
#define CD_HTTP_H
#include "ref.h"
#include <hvkit/plugin.h>

#define CD_HTTP_BUFFER (1u << 20) /* of a body, between the network and who takes it: the server waits when it is full */

struct cd_http; /* of an instance */
int cd_http_new (struct hv_host *, struct cd_http **ret, struct hv_err *);
void cd_http_free (struct cd_http *); /* ends what is under way */

struct cd_request {
  const char *url;
  int plain;                   /* http is allowed, too */
  const char *ca;              /* PEM; NULL: the node's */
  const char *user, *password; /* NULL: none */
  const char *bearer;          /* NULL: none */
  const char *header;          /* one more, whole; NULL: none */
  const char *if_none_match;   /* NULL: none */
  uint64_t offset;             /* > 0: the rest from there */
};

struct cd_transfer {
  struct cd_http *http;
  void *easy, *headers;
  char *url, *ca;
  struct hv_cond *changed;
  /* the answer so far */
  long status; /* 0 until the headers are there */
  uint64_t header_bytes, taken, content_length;
  uint8_t has_length, has_range, done, paused;
  uint64_t range_begin;
  char *location, *authenticate, *digest, *etag;
  uint32_t retry_after_s;
  int code; /* once done: 0, or HV_E_* and why */
  char message[320];
  char words[256]; /* libcurl's own; CURL_ERROR_SIZE */
  /* the body that was not taken yet is in one of the buffers, what was taken last in the other */
  uint8_t *buffers[2];
  uint32_t filling;
  uint64_t size;
};

/* NULL: out of memory. */
struct cd_transfer *cd_transfer_new (struct cd_http *, const struct cd_request *, struct hv_err *);
void cd_transfer_free (struct cd_transfer *); /* and gives it up; NULL is fine */
/* [coro] Until the headers are there. 0, or why they do not come (UNAVAILABLE: another attempt may do better). */
int cd_transfer_headers (struct cd_transfer *, struct hv_err *);
/* [coro] The next piece of the body: 1, and *bytes is the transfer's until the next call; 0: that was all; or an error. */
int cd_transfer_body (struct cd_transfer *, const uint8_t **bytes, uint64_t *ret_n, struct hv_err *);
/* [coro] All of the body, of at most `most` bytes; malloc'd, with a NUL behind it. */
int cd_transfer_all (struct cd_transfer *, uint64_t most, char **ret, uint64_t *ret_n, struct hv_err *);
#endif
