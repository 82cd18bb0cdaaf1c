/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "source.h"
#include "challenge.h"
#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS    4u
#define FIRST_MS    250u
#define REDIRECTS   5u
#define TOKEN_BYTES (64u << 10)

struct cd_source *
cd_source_new (struct cd_http *http, struct hv_host *host, const struct cd_ref *ref, const char *url)
{
  struct cd_source *s = calloc (1, sizeof *s);
  if (s == NULL)
    return NULL;
  *s = (struct cd_source){ .host = host, .http = http, .ref = *ref };
  if (asprintf (&s->origin, "%s", url) < 0)
    s->origin = NULL;
  if (s->origin == NULL) {
    free (s);
    return NULL;
  }
  return s;
}

static void
wipe (char *secret)
{
  if (secret != NULL)
    explicit_bzero (secret, strlen (secret));
  free (secret);
}

void
cd_source_free (struct cd_source *s)
{
  if (s == NULL)
    return;
  cd_credentials_clear (&s->credentials);
  wipe (s->token);
  free (s->origin);
  free (s->ca);
  free (s);
}

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- URLs --- */

static void
url_cleanup (CURLU **u)
{
  curl_url_cleanup (*u);
}
static void
part_cleanup (char **part)
{
  curl_free (*part);
}
#define CLEAN_URL  __attribute__ ((cleanup (url_cleanup)))
#define CLEAN_PART __attribute__ ((cleanup (part_cleanup)))

/* Of scheme, host and port; a port that is not written is the scheme's own. */
static int
same_origin (const char *a, const char *b)
{
  static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
  CLEAN_URL CURLU *x = curl_url (), *y = curl_url ();
  if (x == NULL || y == NULL || curl_url_set (x, CURLUPART_URL, a, 0) != CURLUE_OK
      || curl_url_set (y, CURLUPART_URL, b, 0) != CURLUE_OK)
    return 0;
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    CLEAN_PART char *p = NULL, *q = NULL;
    if (curl_url_get (x, parts[i], &p, CURLU_DEFAULT_PORT) != CURLUE_OK
        || curl_url_get (y, parts[i], &q, CURLU_DEFAULT_PORT) != CURLUE_OK || strcasecmp (p, q) != 0)
      return 0;
  }
  return 1;
}

/* Where a redirect leads. */
static int
next_url (const char *from, const char *location, int plain, char **ret, struct hv_err *err)
{
  CLEAN_URL CURLU *u = curl_url ();
  CLEAN_PART char *scheme = NULL, *user = NULL, *whole = NULL;
  if (u == NULL)
    return no_memory (err);
  if (location == NULL || curl_url_set (u, CURLUPART_URL, from, 0) != CURLUE_OK
      || curl_url_set (u, CURLUPART_URL, location, 0) != CURLUE_OK || curl_url_get (u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK
      || curl_url_get (u, CURLUPART_URL, &whole, 0) != CURLUE_OK)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it redirects to nowhere");
  if (strcmp (scheme, "https") != 0 && !(plain && strcmp (scheme, "http") == 0))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it redirects to '%.200s', which is not https", whole);
  if (curl_url_get (u, CURLUPART_USER, &user, 0) == CURLUE_OK)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it redirects to a URL with credentials in it");
  *ret = strdup (whole);
  return *ret != NULL ? 0 : no_memory (err);
}

/* --- authentication --- */

static const char *
last_two_labels (const char *host)
{
  const char *at = strrchr (host, '.');
  while (at != NULL && at > host && at[-1] != '.')
    at--;
  return at;
}

/* The origin itself; a host that the operator lists; or, by https, one of the same domain, as big registries have. */
static int
may_have_credentials (const struct cd_source *s, const char *realm)
{
  CLEAN_URL CURLU *u = curl_url ();
  CLEAN_PART char *host = NULL, *scheme = NULL;
  char own[256];
  if (same_origin (realm, s->origin))
    return 1;
  if (u == NULL || curl_url_set (u, CURLUPART_URL, realm, 0) != CURLUE_OK || curl_url_get (u, CURLUPART_HOST, &host, 0) != CURLUE_OK
      || curl_url_get (u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
    return 0;
  for (uint32_t i = 0; s->token_hosts != NULL && i < s->token_hosts->count; i++)
    if (strcasecmp (s->token_hosts->items[i], host) == 0)
      return 1;
  cd_host_of (s->ref.host, own, sizeof own);
  const char *a = last_two_labels (host), *b = last_two_labels (own);
  int is_name = strspn (host, "0123456789.") != strlen (host) && host[0] != '[';
  return is_name && a != NULL && b != NULL && strcasecmp (a, b) == 0 && strcmp (scheme, "https") == 0
         && strncmp (s->origin, "https:", 6) == 0;
}

static char *
token_url (const struct cd_source *s, const struct cd_challenge *c)
{
  char scope[320];
  char *url = NULL;
  (void) snprintf (scope, sizeof scope, "repository:%s:pull", s->ref.name);
  CLEAN_PART char *service = curl_easy_escape (NULL, c->service, 0);
  CLEAN_PART char *what = curl_easy_escape (NULL, c->scope[0] != '\0' ? c->scope : scope, 0);
  if (service == NULL || what == NULL
      || asprintf (&url, "%s%sservice=%s&scope=%s", c->realm, strchr (c->realm, '?') != NULL ? "&" : "?", service, what) < 0)
    return NULL;
  return url;
}

static int
read_token (struct cd_source *s, struct cd_transfer *t, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *text = NULL;
  uint64_t n;
  if (t->status == 401 || t->status == 403)
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "its token server refuses %s",
                       s->credentials.user != NULL ? "these credentials" : "who has no credentials");
  if (t->status != 200)
    return hv_err_set (err, HV_E_UNAVAILABLE, "its token server answers with status %ld", t->status);
  int r = cd_transfer_all (t, TOKEN_BYTES, &text, &n, err);
  if (r < 0)
    return hv_err_wrap (err, r, "token server");
  wipe (s->token);
  s->token = cd_token_read (text, n);
  explicit_bzero (text, n);
  return s->token != NULL ? 0 : hv_err_set (err, HV_E_UNAVAILABLE, "its token server gives no token");
}

static int
fetch_token (struct cd_source *s, const struct cd_challenge *c, struct hv_err *err)
{
  if (strncmp (c->realm, "https://", 8) != 0 && !(s->plain && strncmp (c->realm, "http://", 7) == 0))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "its token server '%.200s' is not https", c->realm);
  if (s->credentials.user != NULL && !may_have_credentials (s, c->realm))
    return hv_err_set (err, HV_E_PERMISSION_DENIED,
                       "it wants the credentials sent to '%.200s', another origin; list that host in token_hosts of this plugin's "
                       "configuration if it may have them",
                       c->realm);
  HV_CLEAN (hv_free) char *url = token_url (s, c);
  struct cd_request q
      = { .url = url, .plain = s->plain, .ca = s->ca, .user = s->credentials.user, .password = s->credentials.password };
  struct cd_transfer *t = url != NULL ? cd_transfer_new (s->http, &q, err) : NULL;
  if (t == NULL)
    return url != NULL ? HV_E_RESOURCE_EXHAUSTED : no_memory (err);
  int r = cd_transfer_headers (t, err);
  if (r == 0)
    r = read_token (s, t, err);
  cd_transfer_free (t);
  return r;
}

static int
authenticate (struct cd_source *s, const char *header, struct hv_err *err)
{
  struct cd_challenge c[CD_CHALLENGES];
  int n = header != NULL ? cd_challenge_parse (header, c) : 0, basic = 0;
  for (int i = 0; i < n; i++) {
    if (c[i].scheme == CD_AUTH_BEARER && c[i].realm[0] != '\0') {
      s->auth = CD_AUTH_BEARER;
      return fetch_token (s, &c[i], err);
    }
    basic |= c[i].scheme == CD_AUTH_BASIC;
  }
  if (!basic)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "it wants to be asked in a way that is not known: basic and bearer are");
  if (s->credentials.user == NULL)
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "it wants credentials, and there are none for '%s'", s->ref.host);
  if (s->auth == CD_AUTH_BASIC)
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "it refuses the credentials of '%s'", s->credentials.user);
  s->auth = CD_AUTH_BASIC;
  return 0;
}

/* --- asking --- */

static int
refuse (const struct cd_source *s, const struct cd_transfer *t, struct hv_err *err)
{
  if (t->status == 401 || t->status == 403)
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "it refuses %s (status %ld)",
                       s->credentials.user != NULL ? "these credentials" : "who has no credentials", t->status);
  if (t->status == 404 || t->status == 410)
    return hv_err_set (err, HV_E_NOT_FOUND, "it does not have that (status %ld)", t->status);
  if (t->status == 408 || t->status == 425 || t->status == 429 || t->status >= 500)
    return hv_err_set (err, HV_E_UNAVAILABLE, "it answers with status %ld", t->status);
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it answers with status %ld", t->status);
}

static int
is_redirect (const struct cd_transfer *t)
{
  return t->status == 301 || t->status == 302 || t->status == 303 || t->status == 307 || t->status == 308;
}

/* One place. 0 and *ret; 1: ask again, *url may be another one by now; or an error. */
static int
ask_here (struct cd_source *s, const struct cd_ask *a, char **url, uint32_t *auths, struct cd_transfer **ret, uint32_t *ret_after_s,
          struct hv_err *err)
{
  int ours = same_origin (*url, s->origin);
  struct cd_request q = {
    .url = *url, .plain = s->plain, .ca = s->ca, .header = a->header, .if_none_match = a->if_none_match, .offset = a->offset
  };
  if (ours && s->auth == CD_AUTH_BASIC)
    q.user = s->credentials.user, q.password = s->credentials.password;
  if (ours && s->auth == CD_AUTH_BEARER)
    q.bearer = s->token;
  struct cd_transfer *t = cd_transfer_new (s->http, &q, err);
  int r = t != NULL ? cd_transfer_headers (t, err) : HV_E_RESOURCE_EXHAUSTED;
  if (r == 0 && (t->status == 200 || t->status == 206 || t->status == 304)) {
    *ret = t;
    return 0;
  }
  if (r == 0 && is_redirect (t)) {
    char *next = NULL;
    r = next_url (*url, t->location, s->plain, &next, err);
    if (r == 0) {
      free (*url);
      *url = next;
      r = 1;
    }
  } else if (r == 0 && t->status == 401 && ours && (*auths)++ < 2) {
    r = authenticate (s, t->authenticate, err);
    r = r == 0 ? 1 : r;
  } else if (r == 0)
    r = refuse (s, t, err);
  if (t != NULL)
    *ret_after_s = t->retry_after_s;
  cd_transfer_free (t);
  return r;
}

static int
ask_once (struct cd_source *s, const struct cd_ask *a, struct cd_transfer **ret, uint32_t *ret_after_s, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *url = strdup (a->url);
  uint32_t auths = 0;
  if (url == NULL)
    return no_memory (err);
  for (uint32_t i = 0; i < REDIRECTS + 3; i++) {
    int r = ask_here (s, a, &url, &auths, ret, ret_after_s, err);
    if (r <= 0)
      return r;
  }
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it redirects, or asks for credentials, again and again");
}

int
cd_source_get (struct cd_source *s, const struct cd_ask *a, struct cd_transfer **ret, struct hv_err *err)
{
  for (uint32_t i = 0;; i++) {
    uint32_t after_s = 0;
    int r = ask_once (s, a, ret, &after_s, err);
    if (r != HV_E_UNAVAILABLE || i + 1 == ATTEMPTS)
      return r;
    uint64_t pause = after_s > 0 ? (uint64_t) after_s * 1000 : (uint64_t) FIRST_MS << i;
    if (hv_sleep (s->host, pause, NULL) < 0)
      return hv_err_set (err, HV_E_CANCELLED, "cancelled");
  }
}

/* --- manifests --- */

static int
digest_of (const char *algorithm, const char *bytes, uint64_t n, char ret[CD_DIGEST_MAX], struct hv_err *err)
{
  uint8_t sum[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  int is_512 = strncmp (algorithm, "sha512:", 7) == 0;
  if (EVP_Digest (bytes, n, sum, &size, is_512 ? EVP_sha512 () : EVP_sha256 (), NULL) != 1)
    return hv_err_set (err, HV_E_INTERNAL, "the digest cannot be computed");
  int at = snprintf (ret, CD_DIGEST_MAX, "%s", is_512 ? "sha512:" : "sha256:");
  for (unsigned i = 0; i < size; i++)
    at += snprintf (ret + at, CD_DIGEST_MAX - (size_t) at, "%02x", sum[i]);
  return 0;
}

/* `want`: "" where only the tag is known; then it is what the registry says that it is, at least. */
static int
check_digest (const char *want, const char *said, const char *text, uint64_t n, char ret[CD_DIGEST_MAX], struct hv_err *err)
{
  if (want[0] == '\0' && said != NULL && cd_is_digest (said))
    want = said;
  int r = digest_of (want, text, n, ret, err);
  if (r == 0 && want[0] != '\0' && strcmp (want, ret) != 0)
    r = hv_err_set (err, HV_E_DATA_LOSS, "its manifest has digest %s, and should have %s", ret, want);
  return r;
}

static int
fetch_manifest (struct cd_source *s, const char *name, const char *want, const char *platform, struct cd_manifest *ret,
                char digest[CD_DIGEST_MAX], uint64_t *ret_size, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *url = NULL, *text = NULL;
  struct cd_transfer *t = NULL;
  uint64_t n;
  if (asprintf (&url, "%s/v2/%s/manifests/%s", s->origin, s->ref.name, name) < 0) {
    url = NULL;
    return no_memory (err);
  }
  struct cd_ask a = { .url = url, .header = cd_manifest_accept };
  int r = cd_source_get (s, &a, &t, err);
  if (r == 0)
    r = cd_transfer_all (t, CD_MANIFEST_BYTES_MAX, &text, &n, err);
  if (r == 0)
    r = check_digest (want, t->digest, text, n, digest, err);
  if (r == 0)
    r = cd_manifest_read (text, n, platform, ret, err);
  if (r == 0)
    *ret_size = n;
  cd_transfer_free (t);
  return r;
}

int
cd_source_manifest (struct cd_source *s, const char *platform, struct cd_manifest *ret, char ret_digest[CD_DIGEST_MAX],
                    struct hv_err *err)
{
  uint64_t size;
  char inner[CD_DIGEST_MAX];
  int r = fetch_manifest (s, s->ref.digest[0] != '\0' ? s->ref.digest : s->ref.tag, s->ref.digest, platform, ret, ret_digest, &size,
                          err);
  if (r < 0 || !ret->is_index)
    return r;
  struct cd_descriptor d = ret->items[0];
  r = fetch_manifest (s, d.digest, d.digest, platform, ret, inner, &size, err);
  if (r == 0 && ret->is_index)
    r = hv_err_set (err, HV_E_UNIMPLEMENTED, "its index leads to another index");
  if (r == 0 && size != d.size)
    r = hv_err_set (err, HV_E_DATA_LOSS, "its manifest has %llu bytes, and should have %llu", (unsigned long long) size,
                    (unsigned long long) d.size);
  return r;
}
