/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pure part of peer.h: addresses and heads of frames. */
#include "peer.h"
#include <stdio.h>
#include <string.h>

#define MAGIC "HVKMIGR1"

static int
bad (const char *what, struct hv_err *err)
{
  return hv_err_set (err, HV_E_INVALID_ARGUMENT, "uri: %s; it is unix:PATH or tcp:HOST:PORT", what);
}

static int
port_is_good (const char *s)
{
  size_t n = strspn (s, "0123456789");
  return n > 0 && n <= 5 && s[n] == '\0' && strtoul (s, NULL, 10) <= 65535;
}

static int
token_is_good (const char *s)
{
  size_t n = strspn (s, "0123456789abcdef");
  return n > 0 && n <= 64 && s[n] == '\0';
}

/* HOST:PORT[/TOKEN], or [ADDRESS]:PORT[/TOKEN]. */
static int
parse_tcp (char *at, struct qmp_uri *u, struct hv_err *err)
{
  char *slash = strchr (at, '/');
  if (slash != NULL) {
    *slash = '\0';
    u->token = slash + 1;
  }
  char *colon = strrchr (at, ':');
  if (colon == NULL || colon == at)
    return bad ("a host and a port are missing", err);
  *colon = '\0';
  u->port = colon + 1;
  if (at[0] == '[' && colon[-1] == ']') {
    colon[-1] = '\0';
    at++;
  } else if (strchr (at, ':') != NULL)
    return bad ("an IPv6 address is written in brackets", err);
  u->host = at;
  if (at[0] == '\0')
    return bad ("the host is missing", err);
  if (!port_is_good (u->port))
    return bad ("the port is a number up to 65535", err);
  return u->token == NULL || token_is_good (u->token) ? 0 : bad ("what follows the port is not a token", err);
}

int
qmp_uri_parse (const char *uri, struct qmp_uri *ret, struct hv_err *err)
{
  size_t n = strlen (uri);
  *ret = (struct qmp_uri){ .path = NULL };
  if (n >= sizeof ret->text)
    return bad ("it is too long", err);
  memcpy (ret->text, uri, n + 1);
  if (strncmp (uri, "tcp:", 4) == 0)
    return parse_tcp (ret->text + 4, ret, err);
  if (strncmp (uri, "unix:", 5) != 0)
    return bad ("what kind of address it is, is missing", err);
  ret->path = ret->text + 5;
  if (ret->path[0] != '/' || strstr (ret->path, "/../") != NULL)
    return bad ("the path is absolute and has no '..'", err);
  return 0;
}

void
qmp_peer_head_write (uint32_t bytes, uint8_t out[QMP_PEER_HEAD])
{
  memcpy (out, MAGIC, 8);
  for (uint32_t i = 0; i < 4; i++)
    out[8 + i] = (uint8_t) (bytes >> (24 - 8 * i));
}

int
qmp_peer_head_parse (const uint8_t head[QMP_PEER_HEAD], uint32_t *ret_bytes, struct hv_err *err)
{
  if (memcmp (head, MAGIC, 8) != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the other side does not speak hvkit's migration protocol, version 1");
  uint32_t n = (uint32_t) head[8] << 24 | (uint32_t) head[9] << 16 | (uint32_t) head[10] << 8 | head[11];
  if (n == 0 || n > QMP_PEER_MAX)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the other side announced %u bytes; up to %u are taken", n, QMP_PEER_MAX);
  *ret_bytes = n;
  return 0;
}
