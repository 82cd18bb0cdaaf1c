/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pull: from the cache, or from where it comes from; and then on record for who asked. */
#include "flight.h"
#include <hvkit/file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX (256u << 10) /* bytes of a file that the configuration names */

struct pulling {
  struct cd *cd;
  const struct hv_image_pull_args *a;
  struct hv_call *call;
  struct cd_ref ref;
  struct cd_want want;
};

static int
no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* --- what is asked for --- */

static int
listed (const struct hv_strs *list, const char *host)
{
  char bare[256];
  cd_host_of (host, bare, sizeof bare);
  for (uint32_t i = 0; i < list->count; i++)
    if (strcasecmp (list->items[i], host) == 0 || strcasecmp (list->items[i], bare) == 0)
      return 1;
  return 0;
}

static int
check_url (const struct pulling *p, struct hv_err *err)
{
  const struct hv_image_pull_args *a = p->a;
  if (HV_HAS (a, file))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "file: a URL is one file, with none inside");
  if (HV_HAS (a, platform))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "platform: a URL is one file, for any platform");
  if (HV_HAS (a, digest) && strncmp (a->digest, "sha256:", 7) != 0)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "digest: of a file, sha256 is computed");
  return p->ref.kind == CD_REF_FILE ? hv_file_check_below (a->image + strlen ("file://"), &p->cd->config->directories, err) : 0;
}

static int
check_args (struct pulling *p, struct hv_err *err)
{
  const struct hv_image_pull_args *a = p->a;
  int r = cd_ref_parse (a->image, HV_HAS (p->cd->config, registry) ? p->cd->config->registry : NULL, &p->ref, err);
  if (r == 0 && HV_HAS (a, digest) && !cd_is_digest (a->digest))
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "digest '%s': sha256: or sha512: and as many digits as that has", a->digest);
  if (r == 0 && p->ref.kind != CD_REF_REGISTRY)
    r = check_url (p, err);
  if (r == 0 && a->plain_http && p->ref.kind == CD_REF_REGISTRY && !cd_is_loopback (p->ref.host)
      && !listed (&p->cd->config->plain_http, p->ref.host))
    r = hv_err_set (
        err, HV_E_PERMISSION_DENIED,
        "plain_http: '%s' is not on this node; list it in plain_http of this plugin's configuration if it is to be trusted",
        p->ref.host);
  p->want = (struct cd_want){ a->image, HV_HAS (a, file) ? a->file : NULL, p->ref.kind == CD_REF_REGISTRY ? a->platform : NULL };
  return r;
}

/* --- where it comes from --- */

struct text_job {
  const char *path;
  uint64_t most;
  char *text; /* malloc'd */
  struct hv_err *err;
};

static int
text_job (void *arg)
{
  struct text_job *j = arg;
  HV_CLEAN (hv_fd) int fd = -1;
  struct stat st;
  int r = hv_file_open (j->path, O_RDONLY, &fd, &st, j->err);
  if (r == 0 && (uint64_t) st.st_size > j->most)
    r = hv_err_set (j->err, HV_E_RESOURCE_EXHAUSTED, "longer than %llu bytes", (unsigned long long) j->most);
  HV_CLEAN (hv_free) char *text = r == 0 ? calloc (1, (size_t) st.st_size + 1) : NULL;
  if (r == 0)
    r = text != NULL ? hv_file_read (fd, text, (uint64_t) st.st_size, 0, j->err) : no_memory (j->err);
  if (r == 0)
    j->text = HV_STEAL (text);
  return r < 0 ? hv_err_wrap (j->err, r, "'%s', of the configuration", j->path) : 0;
}

/* [coro] What the call brought, or the file that the configuration names, read anew each time; *ret is malloc'd, NULL: neither. */
static int
text_or_file (struct cd *cd, int has, const char *text, int has_file, const char *file, uint64_t most, char **ret,
              struct hv_err *err)
{
  struct text_job j = { .path = file, .most = most, .err = err };
  *ret = has ? strdup (text) : NULL;
  if (has)
    return *ret != NULL ? 0 : no_memory (err);
  int r = has_file ? hv_offload (cd->host, text_job, &j, err) : 0;
  *ret = j.text;
  return r;
}

static int
source_secrets (const struct pulling *p, struct cd_source *s, struct hv_err *err)
{
  const struct hv_image_pull_args *a = p->a;
  const struct cd_config *c = p->cd->config;
  char *config = NULL;
  int r = text_or_file (p->cd, HV_HAS (a, ca), a->ca, HV_HAS (c, ca), c->ca, CONFIG_MAX, &s->ca, err);
  if (r == 0)
    r = text_or_file (p->cd, HV_HAS (a, docker_config), a->docker_config, HV_HAS (c, docker_config), c->docker_config, CONFIG_MAX,
                      &config, err);
  if (r == 0 && config != NULL)
    r = cd_credentials_find (config, strlen (config), p->ref.host, &s->credentials, err);
  if (config != NULL)
    explicit_bzero (config, strlen (config));
  free (config);
  return r;
}

/* [coro] */
static struct cd_source *
source_new (const struct pulling *p, struct hv_err *err)
{
  const struct hv_image_pull_args *a = p->a;
  char origin[300];
  int plain = a->plain_http || listed (&p->cd->config->plain_http, p->ref.host) || strncmp (a->image, "http://", 7) == 0;
  (void) snprintf (origin, sizeof origin, "%s://%s", plain && strncmp (a->image, "https://", 8) != 0 ? "http" : "https",
                   p->ref.host);
  struct cd_source *s = cd_source_new (p->cd->http, p->cd->host, &p->ref, origin);
  if (s == NULL) {
    (void) no_memory (err);
    return NULL;
  }
  s->plain = plain;
  s->token_hosts = &p->cd->config->token_hosts;
  if (source_secrets (p, s, err) == 0)
    return s;
  cd_source_free (s);
  return NULL;
}

static char *
etag_of (const struct pulling *p, const struct cd_image *i)
{
  struct cd_document d;
  if (i == NULL || cd_image_read (i, &d, NULL) < 0)
    return NULL;
  for (uint32_t k = 0; k < d.names.count; k++)
    if (strcmp (d.names.items[k].image, p->want.image) == 0 && HV_HAS (&d.names.items[k], etag))
      return strdup (d.names.items[k].etag);
  return NULL;
}

/* What a flight needs, made with malloc: whoever asks first may leave before it is over. */
static int
prepare (const struct pulling *p, struct cd_flight *f, const char *key, struct hv_err *err)
{
  const struct hv_image_pull_args *a = p->a;
  f->key = strdup (key);
  f->image = strdup (a->image);
  f->file = p->want.file != NULL ? strdup (p->want.file) : NULL;
  f->digest = HV_HAS (a, digest) ? strdup (a->digest) : NULL;
  f->has_format = HV_HAS (a, format);
  f->format = a->format;
  int ok = f->key != NULL && f->image != NULL && (f->file != NULL || p->want.file == NULL)
           && (f->digest != NULL || !HV_HAS (a, digest));
  return ok ? 0 : no_memory (err);
}

/* 0 and the flight, which it has to leave; or 1 and the image, which is here already. */
static int
depart_registry (struct pulling *p, struct cd_flight **ret, struct cd_image **ret_image, struct hv_err *err)
{
  struct cd_flight f = { 0 };
  char key[112];
  f.source = source_new (p, err);
  f.manifest = f.source != NULL ? malloc (sizeof *f.manifest) : NULL;
  int r = f.manifest != NULL ? 0 : f.source != NULL ? no_memory (err) : HV_E_INVALID_ARGUMENT;
  if (r < 0 && f.source == NULL && hv_err_code (err) < 0)
    r = hv_err_code (err);
  if (r == 0)
    r = cd_source_manifest (f.source, p->a->platform, f.manifest, f.found, err);
  if (r == 0 && HV_HAS (p->a, digest) && strcmp (p->a->digest, f.found) != 0)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "it has digest %s now, and %s is wanted", f.found, p->a->digest);
  if (r == 0 && (*ret_image = cd_cache_find_digest (p->cd, f.found, p->want.file)) != NULL)
    r = 1;
  if (r == 0) {
    cd_cache_key (f.found, p->want.file, key, sizeof key);
    *ret = cd_flight_find (p->cd, key);
    if (*ret == NULL)
      r = prepare (p, &f, key, err);
  }
  if (r != 0 || *ret != NULL) {
    cd_flight_clear (&f);
    return r;
  }
  *ret = cd_flight_start (p->cd, &f, err);
  return *ret != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
}

static int
depart_url (struct pulling *p, struct cd_flight **ret, struct hv_err *err)
{
  struct cd_flight f = { 0 };
  *ret = cd_flight_find (p->cd, p->a->image);
  if (*ret != NULL)
    return 0;
  int r = prepare (p, &f, p->a->image, err);
  f.url = strdup (p->a->image);
  f.etag = etag_of (p, cd_cache_find (p->cd, &p->want));
  if (r == 0 && f.url == NULL)
    r = no_memory (err);
  if (r == 0 && p->ref.kind == CD_REF_HTTP && (f.source = source_new (p, err)) == NULL)
    r = hv_err_code (err) < 0 ? hv_err_code (err) : HV_E_RESOURCE_EXHAUSTED;
  if (r == 0)
    *ret = cd_flight_find (p->cd, p->a->image); /* another may have been quicker */
  if (r < 0 || *ret != NULL) {
    cd_flight_clear (&f);
    return r;
  }
  *ret = cd_flight_start (p->cd, &f, err);
  return *ret != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
}

/* --- the answer --- */

static int
check_found (const struct pulling *p, const struct cd_image *i, struct hv_err *err)
{
  struct cd_document d;
  int r = cd_image_read (i, &d, err);
  if (r == 0 && HV_HAS (p->a, format) && p->a->format != d.format)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "it was to be %s, and is on record as %s", hv_disk_format_words[p->a->format],
                    hv_disk_format_words[d.format]);
  if (r == 0 && HV_HAS (p->a, digest) && strcmp (p->a->digest, d.digest) != 0)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "it has digest %s, and %s is wanted", d.digest, p->a->digest);
  return r;
}

static int
answer (const struct pulling *p, struct cd_image *i, const char *etag, struct hv_image *ret, struct hv_err *err)
{
  i->pins++;
  int r = check_found (p, i, err);
  if (r == 0)
    r = cd_image_use (i, &p->want, etag, HV_HAS (p->a, used_by) ? p->a->used_by : NULL, err);
  if (r == 0)
    r = cd_image_fill (i, p->a->image, ret, err);
  i->pins--;
  return r;
}

static int
fetch (struct pulling *p, struct hv_image *ret, struct hv_err *err)
{
  struct cd_flight *f = NULL;
  struct cd_image *i = NULL;
  int r = p->ref.kind == CD_REF_REGISTRY ? depart_registry (p, &f, &i, err) : depart_url (p, &f, err);
  if (r == 1)
    return answer (p, i, NULL, ret, err);
  if (r < 0)
    return r;
  r = cd_flight_wait (f, p->call, err);
  if (r == 0) {
    i = f->not_modified ? cd_cache_find (p->cd, &p->want) : cd_cache_find_digest (p->cd, f->found, p->want.file);
    r = i != NULL ? answer (p, i, f->etag, ret, err)
                  : hv_err_set (err, HV_E_ABORTED, "it was fetched, and removed at once: the cache is too small for it");
  }
  cd_flight_leave (f);
  return r;
}

static int
pull (struct pulling *p, struct hv_image *ret, struct hv_err *err)
{
  int r = check_args (p, err);
  struct cd_image *here = r == 0 ? cd_cache_find (p->cd, &p->want) : NULL;
  if (r < 0)
    return r;
  if (here != NULL && p->a->policy != HV_PULL_ALWAYS) {
    r = answer (p, here, NULL, ret, err);
    if (r != HV_E_NOT_FOUND) /* else it was removed at that moment */
      return r;
  }
  if (p->a->policy == HV_PULL_NEVER)
    return hv_err_set (err, HV_E_NOT_FOUND, "it is not in the cache, and the policy is never to fetch it");
  return fetch (p, ret, err);
}

int
cd_pull (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct pulling p = { .cd = self, .a = args, .call = call };
  int r = pull (&p, result, err);
  return r < 0 ? hv_err_wrap (err, r, "pull image '%.500s'", p.a->image) : 0;
}
