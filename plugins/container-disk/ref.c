/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ref.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static int
bad (struct hv_err *err, const char *text, const char *why)
{
  return hv_err_set (err, HV_E_INVALID_ARGUMENT, "image '%.200s': %s", text, why);
}

int
cd_is_digest (const char *text)
{
  size_t digits = strncmp (text, "sha256:", 7) == 0 ? 64 : strncmp (text, "sha512:", 7) == 0 ? 128 : 0;
  return digits > 0 && strspn (text + 7, DIGITS "abcdef") == digits && text[7 + digits] == '\0';
}

void
cd_host_of (const char *host_port, char *ret, uint64_t size)
{
  const char *end = strchr (host_port, ']'), *colon = strchr (end != NULL ? end : host_port, ':');
  size_t n = colon != NULL ? (size_t) (colon - host_port) : strlen (host_port);
  if (n >= size)
    n = size - 1;
  memcpy (ret, host_port, n);
  ret[n] = '\0';
}

int
cd_is_loopback (const char *host_port)
{
  char host[256];
  unsigned a, b, c, d;
  char rest;
  cd_host_of (host_port, host, sizeof host);
  if (strcmp (host, "localhost") == 0 || strcmp (host, "[::1]") == 0)
    return 1;
  return sscanf (host, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &rest) == 4 && a == 127 && b < 256 && c < 256 && d < 256;
}

/* A name, an IPv4 address, or an IPv6 address in brackets; and a port. */
static int
is_host (const char *s)
{
  size_t n = s[0] == '[' ? strspn (s + 1, DIGITS "abcdefABCDEF:.") + 1 : strspn (s, LOWER UPPER DIGITS ".-");
  if (s[0] == '[' && (n < 3 || s[n++] != ']'))
    return 0;
  if (n == 0 || s[0] == '-' || s[0] == '.')
    return 0;
  if (s[n] == '\0')
    return 1;
  unsigned long port = strtoul (s + n + 1, NULL, 10);
  return s[n] == ':' && s[n + 1] != '\0' && strspn (s + n + 1, DIGITS) == strlen (s + n + 1) && strlen (s + n + 1) <= 5 && port > 0
         && port < 65536;
}

/* Parts of lower-case letters and digits, joined by '.', '_', '-' in between, and by '/'. */
static int
is_repository (const char *s)
{
  char before = '/';
  for (; *s != '\0'; before = *s++) {
    int letter = strchr (LOWER DIGITS, *s) != NULL, joins = strchr ("._-", *s) != NULL;
    if (!letter && !joins && *s != '/')
      return 0;
    if (before == '/' && !letter)
      return 0;
    if (*s == '/' && strchr ("._-", before) != NULL)
      return 0;
  }
  return strchr (LOWER DIGITS, before) != NULL;
}

static int
is_tag (const char *s)
{
  size_t n = strlen (s);
  return n > 0 && n <= 128 && s[0] != '.' && s[0] != '-' && strspn (s, LOWER UPPER DIGITS "._-") == n;
}

static int
parse_url (const char *text, struct cd_ref *ret, struct hv_err *err)
{
  for (const char *c = text; *c != '\0'; c++)
    if ((unsigned char) *c <= ' ' || *c == 0x7f)
      return bad (err, text, "a URL has neither spaces nor control characters");
  if (strncmp (text, "file://", 7) == 0) {
    ret->kind = CD_REF_FILE;
    return text[7] == '/' ? 0 : bad (err, text, "file:// is followed by an absolute path");
  }
  ret->kind = CD_REF_HTTP;
  if (strncmp (text, "https://", 8) != 0 && strncmp (text, "http://", 7) != 0)
    return bad (err, text, "a URL begins with https://, http:// or file://");
  const char *host = strstr (text, "://") + 3;
  size_t n = strcspn (host, "/?#");
  if (memchr (host, '@', n) != NULL)
    return bad (err, text, "credentials do not belong into a URL");
  if (n == 0 || n >= sizeof ret->host)
    return bad (err, text, "it names no host");
  memcpy (ret->host, host, n);
  ret->host[n] = '\0';
  return is_host (ret->host) ? 0 : bad (err, text, "its host is not one");
}

/* What is before the first '/' is a registry where it cannot be part of a name. */
static int
has_registry (const char *text, const char *slash)
{
  size_t n = slash != NULL ? (size_t) (slash - text) : 0;
  return n > 0
         && (memchr (text, '.', n) != NULL || memchr (text, ':', n) != NULL || (n == 9 && strncmp (text, "localhost", 9) == 0));
}

static int
copy (char *to, size_t size, const char *from, size_t n)
{
  if (n >= size)
    return -1;
  memcpy (to, from, n);
  to[n] = '\0';
  return 0;
}

static int
parse_host (const char **text, const char *registry, struct cd_ref *ret)
{
  const char *slash = strchr (*text, '/');
  if (!has_registry (*text, slash))
    return copy (ret->host, sizeof ret->host, registry, strlen (registry));
  const char *host = *text;
  *text = slash + 1;
  return copy (ret->host, sizeof ret->host, host, (size_t) (slash - host));
}

int
cd_ref_parse (const char *text, const char *registry, struct cd_ref *ret, struct hv_err *err)
{
  const char *all = text;
  struct cd_ref r = { .kind = CD_REF_REGISTRY };
  if (strstr (text, "://") != NULL) {
    int code = parse_url (text, &r, err);
    if (code == 0)
      *ret = r;
    return code;
  }
  if (!has_registry (text, strchr (text, '/')) && (registry == NULL || registry[0] == '\0'))
    return bad (err, all, "it names no registry: write HOST/NAME:TAG, or set \"registry\" in the configuration of this plugin");
  if (parse_host (&text, registry, &r) < 0 || !is_host (r.host))
    return bad (err, all, "its registry is no host name or address");
  const char *at = strchr (text, '@'), *colon = strchr (text, ':');
  if (at != NULL && colon > at)
    colon = NULL;
  const char *end = at != NULL ? at : text + strlen (text), *name_end = colon != NULL ? colon : end;
  if (copy (r.name, sizeof r.name, text, (size_t) (name_end - text)) < 0 || !is_repository (r.name))
    return bad (err, all, "its name has parts of lower-case letters and digits, with '.', '_' and '-' in between, 255 at most");
  if (colon != NULL && (copy (r.tag, sizeof r.tag, colon + 1, (size_t) (end - colon - 1)) < 0 || !is_tag (r.tag)))
    return bad (err, all, "its tag has letters, digits, '.', '_' and '-', 128 at most");
  if (at != NULL && (copy (r.digest, sizeof r.digest, at + 1, strlen (at + 1)) < 0 || !cd_is_digest (r.digest)))
    return bad (err, all, "its digest is not sha256: or sha512: and as many digits as that has");
  if (colon == NULL && at == NULL)
    (void) snprintf (r.tag, sizeof r.tag, "latest");
  *ret = r;
  return 0;
}
