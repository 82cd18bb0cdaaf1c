/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "http.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

_Static_assert(CURL_ERROR_SIZE <= sizeof (((struct cd_transfer *) NULL)->words), "room for libcurl's words");

#define CONNECT_S     10L
#define STALL_S       30L /* with fewer than STALL_BYTES in each second */
#define STALL_BYTES   1024L
#define HEADERS_MAX   (32u << 10)
#define WAIT_MS       (24u * 3600 * 1000)
#define ENOUGH        (256u << 10) /* of a body, to make it worth while to look at */
#define RETRY_AFTER_S 30u

struct socket {
  struct hv_watch *watch;
  struct cd_http *http;
  curl_socket_t fd;
};

struct cd_http {
  struct hv_host *host;
  CURLM *multi;
  struct hv_timer *timer;
};

/* --- the loop --- */

static void
finish (struct cd_transfer *t, CURLcode result)
{
  t->done = 1;
  if (result != CURLE_OK && t->code == 0) {
    int unsafe = result == CURLE_PEER_FAILED_VERIFICATION || result == CURLE_SSL_CACERT_BADFILE;
    (void) snprintf (t->message, sizeof t->message, "%s", t->words[0] != '\0' ? t->words : curl_easy_strerror (result));
    t->code = unsafe ? HV_E_PERMISSION_DENIED : result == CURLE_UNSUPPORTED_PROTOCOL ? HV_E_FAILED_PRECONDITION : HV_E_UNAVAILABLE;
  }
  t->http->host->api->cond_wake (t->http->host, t->changed);
}

static void
look_for_ends (struct cd_http *h)
{
  CURLMsg *m;
  int left;
  while ((m = curl_multi_info_read (h->multi, &left)) != NULL) {
    struct cd_transfer *t = NULL;
    if (m->msg == CURLMSG_DONE && curl_easy_getinfo (m->easy_handle, CURLINFO_PRIVATE, &t) == CURLE_OK && t != NULL)
      finish (t, m->data.result);
  }
}

static void
act (struct cd_http *h, curl_socket_t fd, int events)
{
  int running;
  (void) curl_multi_socket_action (h->multi, fd, events, &running);
  look_for_ends (h);
}

static void
on_ready (void *self, void *arg, uint32_t ready)
{
  struct socket *s = arg;
  (void) self;
  act (s->http, s->fd, (ready & HV_WAIT_READ ? CURL_CSELECT_IN : 0) | (ready & HV_WAIT_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_timer (void *self, void *arg)
{
  (void) self;
  act (arg, CURL_SOCKET_TIMEOUT, 0);
}

static int
on_socket (CURL *easy, curl_socket_t fd, int what, void *arg, void *socket)
{
  struct cd_http *h = arg;
  struct socket *s = socket;
  uint32_t wait = (what & CURL_POLL_IN ? HV_WAIT_READ : 0u) | (what & CURL_POLL_OUT ? HV_WAIT_WRITE : 0u);
  (void) easy;
  if (what == CURL_POLL_REMOVE) {
    if (s != NULL)
      h->host->api->watch_free (h->host, s->watch);
    free (s);
    return 0;
  }
  if (s != NULL) {
    h->host->api->watch_set (h->host, s->watch, wait);
    return 0;
  }
  s = calloc (1, sizeof *s);
  if (s == NULL)
    return -1;
  *s = (struct socket){ .http = h, .fd = fd };
  s->watch = h->host->api->watch_new (h->host, fd, wait, on_ready, s);
  if (s->watch == NULL || curl_multi_assign (h->multi, fd, s) != CURLM_OK) {
    if (s->watch != NULL)
      h->host->api->watch_free (h->host, s->watch);
    free (s);
    return -1;
  }
  return 0;
}

static int
on_timeout (CURLM *multi, long ms, void *arg)
{
  struct cd_http *h = arg;
  (void) multi;
  h->host->api->timer_set (h->host, h->timer, ms < 0 ? 0 : ms == 0 ? 1 : (uint64_t) ms, 0); /* 0 would stop it */
  return 0;
}

int
cd_http_new (struct hv_host *host, struct cd_http **ret, struct hv_err *err)
{
  struct cd_http *h = calloc (1, sizeof *h);
  if (h == NULL || curl_global_init (CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    free (h);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "libcurl does not start");
  }
  *h = (struct cd_http){ .host = host, .multi = curl_multi_init () };
  h->timer = host->api->timer_new (host, on_timer, h);
  if (h->multi == NULL || h->timer == NULL) {
    cd_http_free (h);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  (void) curl_multi_setopt (h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  (void) curl_multi_setopt (h->multi, CURLMOPT_SOCKETDATA, h);
  (void) curl_multi_setopt (h->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
  (void) curl_multi_setopt (h->multi, CURLMOPT_TIMERDATA, h);
  *ret = h;
  return 0;
}

void
cd_http_free (struct cd_http *h)
{
  if (h == NULL)
    return;
  if (h->multi != NULL)
    (void) curl_multi_cleanup (h->multi);
  if (h->timer != NULL)
    h->host->api->timer_free (h->host, h->timer);
  curl_global_cleanup ();
  free (h);
}

/* --- what comes --- */

/* Only before the end of the headers, and each once. */
static void
take_text (char **at, const char *value, size_t n)
{
  while (n > 0 && strchr (" \t\r\n", value[n - 1]) != NULL)
    n--;
  while (n > 0 && (*value == ' ' || *value == '\t'))
    value++, n--;
  if (*at == NULL && n < 8192 && memchr (value, '\0', n) == NULL)
    *at = strndup (value, n);
}

static int
take_number (const char *value, size_t n, uint64_t *ret)
{
  uint64_t v = 0;
  size_t i = 0;
  while (i < n && (value[i] == ' ' || value[i] == '\t'))
    i++;
  size_t first = i;
  for (; i < n && value[i] >= '0' && value[i] <= '9'; i++)
    if (__builtin_mul_overflow (v, 10u, &v) || __builtin_add_overflow (v, (uint64_t) (value[i] - '0'), &v))
      return -1;
  if (i == first)
    return -1;
  *ret = v;
  return 0;
}

static void
forget_headers (struct cd_transfer *t)
{
  char **texts[] = { &t->location, &t->authenticate, &t->digest, &t->etag };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    free (*texts[i]);
    *texts[i] = NULL;
  }
  t->has_length = t->has_range = 0;
}

static void
take_header (struct cd_transfer *t, const char *line, size_t n)
{
  struct {
    const char *name;
    char **text;
  } texts[] = { { "location:", &t->location },
                { "www-authenticate:", &t->authenticate },
                { "docker-content-digest:", &t->digest },
                { "etag:", &t->etag } };
  uint64_t v;
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    size_t k = strlen (texts[i].name);
    if (n > k && strncasecmp (line, texts[i].name, k) == 0)
      take_text (texts[i].text, line + k, n - k);
  }
  if (n > 15 && strncasecmp (line, "content-length:", 15) == 0)
    t->has_length = take_number (line + 15, n - 15, &t->content_length) == 0;
  if (n > 20 && strncasecmp (line, "content-range: bytes", 20) == 0)
    t->has_range = take_number (line + 20, n - 20, &t->range_begin) == 0;
  if (n > 12 && strncasecmp (line, "retry-after:", 12) == 0 && take_number (line + 12, n - 12, &v) == 0)
    t->retry_after_s = v < RETRY_AFTER_S ? (uint32_t) v : RETRY_AFTER_S;
}

static size_t
on_header (char *line, size_t size, size_t count, void *arg)
{
  struct cd_transfer *t = arg;
  size_t n = size * count;
  long status = 0;
  t->header_bytes += n;
  if (t->header_bytes > HEADERS_MAX) {
    t->code = HV_E_RESOURCE_EXHAUSTED;
    (void) snprintf (t->message, sizeof t->message, "its headers are longer than %u bytes", HEADERS_MAX);
    return 0;
  }
  if (n > 5 && strncmp (line, "HTTP/", 5) == 0)
    forget_headers (t); /* after "100 Continue", say */
  else if (strspn (line, "\r\n") < n)
    take_header (t, line, n);
  else if (curl_easy_getinfo (t->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status >= 200) {
    t->status = status;
    t->http->host->api->cond_wake (t->http->host, t->changed);
  }
  return n;
}

static size_t
on_body (char *bytes, size_t size, size_t count, void *arg)
{
  struct cd_transfer *t = arg;
  size_t n = size * count;
  if (t->size + n > CD_HTTP_BUFFER) {
    t->paused = 1;
    t->http->host->api->cond_wake (t->http->host, t->changed);
    return CURL_WRITEFUNC_PAUSE;
  }
  memcpy (t->buffers[t->filling] + t->size, bytes, n);
  t->size += n;
  if (t->size >= ENOUGH)
    t->http->host->api->cond_wake (t->http->host, t->changed);
  return n;
}

/* The node's own metadata and the like are nobody's registry. */
static curl_socket_t
on_open (void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
  struct cd_transfer *t = arg;
  const struct sockaddr_in *v4 = (const void *) &a->addr;
  const struct sockaddr_in6 *v6 = (const void *) &a->addr;
  (void) purpose;
  if ((a->family == AF_INET && ntohl (v4->sin_addr.s_addr) >> 16 == 0xa9fe)
      || (a->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL (&v6->sin6_addr))) {
    t->code = HV_E_PERMISSION_DENIED;
    (void) snprintf (t->message, sizeof t->message, "its address is link-local: nothing is fetched from there");
    return CURL_SOCKET_BAD;
  }
  return socket (a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* --- a transfer --- */

#define SET(option, value) (ok = ok && curl_easy_setopt (t->easy, option, value) == CURLE_OK)

static int
set_security (struct cd_transfer *t, const struct cd_request *q)
{
  struct curl_blob ca = { .data = t->ca, .len = t->ca != NULL ? strlen (t->ca) : 0, .flags = CURL_BLOB_NOCOPY };
  int ok = 1;
  SET (CURLOPT_PROTOCOLS_STR, q->plain ? "http,https" : "https");
  SET (CURLOPT_FOLLOWLOCATION, 0L);
  SET (CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
  SET (CURLOPT_PROXY, ""); /* the environment of a daemon is nobody's configuration */
  SET (CURLOPT_SSL_VERIFYPEER, 1L);
  SET (CURLOPT_SSL_VERIFYHOST, 2L);
  SET (CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
  if (t->ca != NULL)
    SET (CURLOPT_CAINFO_BLOB, &ca);
  if (q->user != NULL) {
    SET (CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
    SET (CURLOPT_USERNAME, q->user);
    SET (CURLOPT_PASSWORD, q->password);
  }
  if (q->bearer != NULL) {
    SET (CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    SET (CURLOPT_XOAUTH2_BEARER, q->bearer);
  }
  SET (CURLOPT_OPENSOCKETFUNCTION, on_open);
  SET (CURLOPT_OPENSOCKETDATA, t);
  return ok;
}

static int
add_header (struct cd_transfer *t, const char *text)
{
  struct curl_slist *more = curl_slist_append (t->headers, text);
  if (more != NULL)
    t->headers = more;
  return more != NULL;
}

static int
set_headers (struct cd_transfer *t, const struct cd_request *q)
{
  char range[32], match[1100];
  int ok = add_header (t, "User-Agent: hvkit/" HV_VERSION);
  if (q->header != NULL)
    ok = ok && add_header (t, q->header);
  if (q->if_none_match != NULL && strlen (q->if_none_match) < 1024) {
    (void) snprintf (match, sizeof match, "If-None-Match: %s", q->if_none_match);
    ok = ok && add_header (t, match);
  }
  (void) snprintf (range, sizeof range, "%llu-", (unsigned long long) q->offset);
  if (q->offset > 0)
    SET (CURLOPT_RANGE, range);
  SET (CURLOPT_HTTPHEADER, t->headers);
  return ok;
}

static int
set_transfer (struct cd_transfer *t)
{
  int ok = 1;
  SET (CURLOPT_URL, t->url);
  SET (CURLOPT_PRIVATE, t);
  SET (CURLOPT_NOSIGNAL, 1L);
  SET (CURLOPT_ERRORBUFFER, t->words);
  SET (CURLOPT_CONNECTTIMEOUT, CONNECT_S);
  SET (CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
  SET (CURLOPT_LOW_SPEED_TIME, STALL_S);
  SET (CURLOPT_BUFFERSIZE, 256L << 10);
  SET (CURLOPT_HEADERFUNCTION, on_header);
  SET (CURLOPT_HEADERDATA, t);
  SET (CURLOPT_WRITEFUNCTION, on_body);
  SET (CURLOPT_WRITEDATA, t);
  return ok;
}
#undef SET

struct cd_transfer *
cd_transfer_new (struct cd_http *h, const struct cd_request *q, struct hv_err *err)
{
  struct cd_transfer *t = calloc (1, sizeof *t);
  if (t != NULL) {
    t->http = h;
    t->easy = curl_easy_init ();
    t->url = strdup (q->url);
    t->ca = q->ca != NULL ? strdup (q->ca) : NULL;
    for (size_t i = 0; i < 2; i++)
      t->buffers[i] = malloc (CD_HTTP_BUFFER);
    t->changed = h->host->api->cond_new (h->host);
  }
  if (t != NULL && t->easy != NULL && t->url != NULL && (t->ca != NULL || q->ca == NULL) && t->buffers[0] != NULL
      && t->buffers[1] != NULL && t->changed != NULL && set_transfer (t) && set_security (t, q) && set_headers (t, q)
      && curl_multi_add_handle (h->multi, t->easy) == CURLM_OK)
    return t;
  cd_transfer_free (t);
  (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED,
                     "a transfer cannot be set up: out of memory, or an option that libcurl here does not have");
  return NULL;
}

void
cd_transfer_free (struct cd_transfer *t)
{
  if (t == NULL)
    return;
  if (t->easy != NULL) {
    (void) curl_multi_remove_handle (t->http->multi, t->easy);
    curl_easy_cleanup (t->easy);
  }
  curl_slist_free_all (t->headers);
  if (t->changed != NULL)
    t->http->host->api->cond_free (t->http->host, t->changed);
  forget_headers (t);
  free (t->url);
  free (t->ca);
  free (t->buffers[0]);
  free (t->buffers[1]);
  free (t);
}

/* --- waiting --- */

static int
wait_change (struct cd_transfer *t, struct hv_err *err)
{
  return t->http->host->api->cond_wait (t->http->host, t->changed, WAIT_MS, err);
}

int
cd_transfer_headers (struct cd_transfer *t, struct hv_err *err)
{
  while (t->status == 0 && !t->done) {
    int r = wait_change (t, err);
    if (r < 0)
      return r;
  }
  if (t->status != 0)
    return 0;
  return hv_err_set (err, t->code != 0 ? t->code : HV_E_UNAVAILABLE, "%s",
                     t->message[0] != '\0' ? t->message : "it did not answer");
}

int
cd_transfer_body (struct cd_transfer *t, const uint8_t **bytes, uint64_t *ret_n, struct hv_err *err)
{
  while (t->size < ENOUGH && !t->paused && !t->done) {
    int r = wait_change (t, err);
    if (r < 0)
      return r;
  }
  *bytes = t->buffers[t->filling];
  *ret_n = t->size;
  t->taken += t->size;
  t->filling ^= 1;
  t->size = 0;
  if (t->paused) {
    t->paused = 0;
    (void) curl_easy_pause (t->easy, CURLPAUSE_CONT); /* brings what it held back at once, into the other buffer */
    look_for_ends (t->http);
  }
  if (*ret_n > 0)
    return 1;
  return t->code == 0 ? 0 : hv_err_set (err, t->code, "%s", t->message);
}

int
cd_transfer_all (struct cd_transfer *t, uint64_t most, char **ret, uint64_t *ret_n, struct hv_err *err)
{
  HV_CLEAN (hv_free) char *all = NULL;
  const uint8_t *bytes;
  uint64_t n, size = 0;
  int r;
  while ((r = cd_transfer_body (t, &bytes, &n, err)) > 0) {
    if (n > most - size)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "it is longer than %llu bytes", (unsigned long long) most);
    char *more = realloc (all, size + n + 1);
    if (more == NULL)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    all = more;
    memcpy (all + size, bytes, n);
    size += n;
    all[size] = '\0';
  }
  if (r == 0 && all == NULL && (all = calloc (1, 1)) == NULL)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r < 0)
    return r;
  *ret = HV_STEAL (all);
  *ret_n = size;
  return 0;
}
