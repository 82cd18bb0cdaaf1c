/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "challenge.h"
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char *
skip (const char *s, const char *what)
{
  return s + strspn (s, what);
}

static size_t
token_length (const char *s)
{
  return strspn (s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~/");
}

/* A token or a quoted text; into `to`, which may be NULL. NULL: malformed or too long. */
static const char *
value_read (const char *s, char *to, size_t size)
{
  size_t n = 0;
  int quoted = *s == '"';
  for (s += quoted; quoted ? *s != '"' : token_length (s) > 0 || *s == '='; s++) {
    if (quoted && *s == '\\')
      s++;
    if ((unsigned char) *s < ' ' || *s == 0x7f)
      return NULL;
    if (to != NULL && n + 1 >= size)
      return NULL;
    if (to != NULL)
      to[n++] = *s;
  }
  if (to != NULL)
    to[n] = '\0';
  return s + quoted;
}

static const char *
param_read (const char *s, size_t name, struct cd_challenge *c)
{
  const char *value = skip (s + name, " \t") + 1;
  struct {
    const char *name;
    char *to;
    size_t size;
  } known[] = { { "realm", c->realm, sizeof c->realm },
                { "service", c->service, sizeof c->service },
                { "scope", c->scope, sizeof c->scope } };
  value = skip (value, " \t");
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (name == strlen (known[i].name) && strncasecmp (s, known[i].name, name) == 0)
      return known[i].to[0] == '\0' ? value_read (value, known[i].to, known[i].size) : NULL; /* twice */
  return value_read (value, NULL, 0);
}

static uint32_t
scheme_of (const char *s, size_t n)
{
  if (n == 5 && strncasecmp (s, "Basic", n) == 0)
    return CD_AUTH_BASIC;
  return n == 6 && strncasecmp (s, "Bearer", n) == 0 ? CD_AUTH_BEARER : CD_AUTH_OTHER;
}

/* A word with '=' after it is a parameter of the scheme before, any other one a scheme; commas are between them all. */
int
cd_challenge_parse (const char *s, struct cd_challenge ret[CD_CHALLENGES])
{
  struct cd_challenge *c = NULL;
  uint32_t count = 0;
  for (s = skip (s, " \t,"); *s != '\0'; s = skip (s, " \t,")) {
    size_t n = token_length (s);
    if (n == 0)
      return -1;
    if (*skip (s + n, " \t") == '=') {
      if (c == NULL || (s = param_read (s, n, c)) == NULL)
        return -1;
      continue;
    }
    if (count == CD_CHALLENGES)
      break;
    c = &ret[count++];
    memset (c, 0, sizeof *c);
    c->scheme = scheme_of (s, n);
    s += n;
  }
  return (int) count;
}
