/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manifest.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX  24u
#define VALUES_MAX 65536u

const char cd_manifest_accept[] = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, "
                                  "application/vnd.docker.distribution.manifest.v2+json, "
                                  "application/vnd.docker.distribution.manifest.list.v2+json";

/* --- JSON, bounded: what would make the parser recurse or allocate too much does not get there --- */

static int
is_bounded (const char *text, uint64_t n)
{
  uint32_t depth = 0, values = 0;
  int in_text = 0;
  for (uint64_t i = 0; i < n; i++) {
    char c = text[i];
    if (in_text) {
      i += c == '\\';
      in_text = c != '"';
    } else if (c == '"')
      in_text = 1;
    else if (c == '[' || c == '{') {
      values++;
      if (++depth > DEPTH_MAX)
        return 0;
    } else if (c == ']' || c == '}')
      depth -= depth > 0;
    else
      values += c == ',';
    if (values > VALUES_MAX)
      return 0;
  }
  return 1;
}

static json_t *
parse (const char *text, uint64_t n)
{
  return n <= CD_MANIFEST_BYTES_MAX && is_bounded (text, n) ? json_loadb (text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
}

static const char *
text_of (const json_t *object, const char *name)
{
  const char *s = json_string_value (json_object_get (object, name));
  return s != NULL ? s : "";
}

/* --- descriptors --- */

static int
read_descriptor (const json_t *j, uint32_t i, uint64_t max, struct cd_descriptor *ret, struct hv_err *err)
{
  const char *digest = text_of (j, "digest");
  const json_t *size = json_object_get (j, "size");
  if (!cd_is_digest (digest))
    return hv_err_set (err, HV_E_DATA_LOSS, "its manifest makes no sense: entry %u has no digest", (unsigned) i);
  if (!json_is_integer (size) || json_integer_value (size) <= 0)
    return hv_err_set (err, HV_E_DATA_LOSS, "its manifest makes no sense: entry %u has no size", (unsigned) i);
  ret->size = (uint64_t) json_integer_value (size);
  if (ret->size > max)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "entry %u of its manifest has %llu bytes; the limit is %llu", (unsigned) i,
                       (unsigned long long) ret->size, (unsigned long long) max);
  memcpy (ret->digest, digest, strlen (digest) + 1);
  return 0;
}

static int
read_codec (const char *type, uint32_t *ret, struct hv_err *err)
{
  static const struct {
    const char *type;
    uint32_t codec;
  } known[] = {
    { "application/vnd.oci.image.layer.v1.tar", CD_CODEC_PLAIN },
    { "application/vnd.oci.image.layer.v1.tar+gzip", CD_CODEC_GZIP },
    { "application/vnd.oci.image.layer.v1.tar+zstd", CD_CODEC_ZSTD },
    { "application/vnd.docker.image.rootfs.diff.tar", CD_CODEC_PLAIN },
    { "application/vnd.docker.image.rootfs.diff.tar.gzip", CD_CODEC_GZIP },
    { "application/vnd.docker.image.rootfs.diff.tar.zstd", CD_CODEC_ZSTD },
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (strcmp (type, known[i].type) == 0) {
      *ret = known[i].codec;
      return 0;
    }
  return hv_err_set (err, HV_E_UNIMPLEMENTED, "it has a layer of type '%.100s'; tar, plain or with gzip or zstd, is known", type);
}

/* --- an index --- */

static int
is_for (const json_t *entry, const char *platform)
{
  const json_t *p = json_object_get (entry, "platform");
  const char *os = text_of (p, "os"), *arch = text_of (p, "architecture"), *variant = text_of (p, "variant");
  size_t n = strlen (os), k = strlen (arch);
  if (strncmp (platform, os, n) != 0 || platform[n] != '/' || strncmp (platform + n + 1, arch, k) != 0)
    return 0;
  const char *rest = platform + n + 1 + k;
  return rest[0] == '\0' || (rest[0] == '/' && strcmp (rest + 1, variant) == 0);
}

static int
read_index (const json_t *entries, const char *platform, struct cd_manifest *ret, struct hv_err *err)
{
  size_t i;
  json_t *entry;
  ret->is_index = ret->count = 1;
  json_array_foreach (entries, i, entry) if (is_for (entry, platform)) return read_descriptor (
      entry, (uint32_t) i, CD_MANIFEST_BYTES_MAX, &ret->items[0], err);
  return hv_err_set (err, HV_E_NOT_FOUND, "it has nothing for platform '%s', among %zu entries", platform,
                     json_array_size (entries));
}

/* --- a manifest --- */

static int
read_layers (const json_t *layers, struct cd_manifest *ret, struct hv_err *err)
{
  size_t i;
  json_t *layer;
  if (json_array_size (layers) == 0)
    return hv_err_set (err, HV_E_NOT_FOUND, "it has no layers, so no disk");
  if (json_array_size (layers) > CD_LAYERS_MAX)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "it has %zu layers; the limit is %u", json_array_size (layers), CD_LAYERS_MAX);
  ret->is_index = 0;
  ret->count = 0;
  json_array_foreach (layers, i, layer)
  {
    struct cd_descriptor *d = &ret->items[ret->count++];
    int r = read_descriptor (layer, (uint32_t) i, CD_BLOB_BYTES_MAX, d, err);
    if (r == 0)
      r = read_codec (text_of (layer, "mediaType"), &d->codec, err);
    if (r < 0)
      return r;
  }
  return 0;
}

static int
read_either (const json_t *j, const char *platform, struct cd_manifest *ret, struct hv_err *err)
{
  const json_t *manifests = json_object_get (j, "manifests"), *layers = json_object_get (j, "layers");
  if (json_integer_value (json_object_get (j, "schemaVersion")) == 1)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "its manifest is of Docker's old schema 1: push the image anew");
  if (json_is_array (manifests) == json_is_array (layers)) /* read one way by one, and another way by another */
    return hv_err_set (err, HV_E_DATA_LOSS, "its manifest makes no sense: %s",
                       layers != NULL ? "both an index and a manifest" : "neither an index nor a manifest");
  return json_is_array (manifests) ? read_index (manifests, platform, ret, err) : read_layers (layers, ret, err);
}

int
cd_manifest_read (const char *json, uint64_t n, const char *platform, struct cd_manifest *ret, struct hv_err *err)
{
  json_t *j = parse (json, n);
  int r = json_is_object (j) ? read_either (j, platform, ret, err)
                             : hv_err_set (err, HV_E_DATA_LOSS, "its manifest is not JSON, or beyond the limits");
  json_decref (j);
  return r;
}

char *
cd_token_read (const char *json, uint64_t n)
{
  json_t *j = parse (json, n);
  const char *token = text_of (j, "token")[0] != '\0' ? text_of (j, "token") : text_of (j, "access_token");
  int ok = token[0] != '\0' && strpbrk (token, "\r\n") == NULL;
  char *copy = ok ? strdup (token) : NULL;
  json_decref (j);
  return copy;
}

/* --- config.json --- */

/* "https://host/v1/" is the host, too. */
static int
names (const char *key, const char *host)
{
  const char *scheme = strstr (key, "://");
  if (scheme != NULL)
    key = scheme + 3;
  size_t n = strcspn (key, "/");
  return strlen (host) == n && strncmp (key, host, n) == 0;
}

static int
take_pair (char *pair, struct cd_credentials *ret)
{
  char *colon = strchr (pair, ':');
  if (colon == NULL)
    return -1;
  *colon = '\0';
  ret->user = strdup (pair);
  ret->password = strdup (colon + 1);
  return ret->user != NULL && ret->password != NULL ? 0 : -1;
}

static int
take_auth (const char *text, struct cd_credentials *ret)
{
  size_t n = strlen (text);
  unsigned char *plain = n <= 65536 && n % 4 == 0 ? calloc (1, n + 1) : NULL;
  int size = plain != NULL ? EVP_DecodeBlock (plain, (const unsigned char *) text, (int) n) : -1;
  int r
      = size > 0 && strlen ((char *) plain) + 2 >= (size_t) size ? take_pair ((char *) plain, ret) : -1; /* up to two of padding */
  if (plain != NULL)
    explicit_bzero (plain, n);
  free (plain);
  return r;
}

static int
take_entry (const json_t *config, const json_t *entry, const char *host, struct cd_credentials *ret, struct hv_err *err)
{
  if (text_of (entry, "identitytoken")[0] != '\0')
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "docker_config: an identity token for '%s' cannot be used; log in with a password",
                       host);
  if (text_of (entry, "auth")[0] != '\0')
    return take_auth (text_of (entry, "auth"), ret) == 0
               ? 0
               : hv_err_set (err, HV_E_INVALID_ARGUMENT, "docker_config: 'auth' of '%s' is not base64 of USER:PASSWORD", host);
  if (text_of (entry, "username")[0] != '\0') {
    ret->user = strdup (text_of (entry, "username"));
    ret->password = strdup (text_of (entry, "password"));
    return ret->user != NULL && ret->password != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  if (text_of (config, "credsStore")[0] != '\0' || text_of (json_object_get (config, "credHelpers"), host)[0] != '\0')
    return hv_err_set (err, HV_E_UNIMPLEMENTED,
                       "docker_config: the credentials for '%s' are in a helper program, which is not run; put them into 'auths'",
                       host);
  return 0;
}

int
cd_credentials_find (const char *json, uint64_t n, const char *host, struct cd_credentials *ret, struct hv_err *err)
{
  json_t *j = parse (json, n), *entry = NULL, *value;
  const char *key;
  *ret = (struct cd_credentials){ NULL, NULL };
  if (!json_is_object (j)) {
    json_decref (j);
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "docker_config: it is not the contents of a config.json");
  }
  json_object_foreach (json_object_get (j, "auths"), key, value) if (entry == NULL && names (key, host)) entry = value;
  int r = take_entry (j, entry, host, ret, err);
  json_decref (j);
  if (r < 0)
    cd_credentials_clear (ret);
  return r;
}

void
cd_credentials_clear (struct cd_credentials *c)
{
  if (c->password != NULL)
    explicit_bzero (c->password, strlen (c->password));
  free (c->user);
  free (c->password);
  *c = (struct cd_credentials){ NULL, NULL };
}
