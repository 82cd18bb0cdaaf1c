/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An address from a caller, and the head of what a stranger says to the socket that waits for a migration. */
#include "peer.h"
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static void
check_uri (const char *text)
{
  static struct qmp_uri u;
  if (qmp_uri_parse (text, &u, NULL) < 0)
    return;
  int tcp = u.host != NULL && u.port != NULL && u.path == NULL;
  int path = u.path != NULL && u.host == NULL && u.token == NULL && u.path[0] == '/';
  if (tcp == path || (u.token != NULL && strlen (u.token) > 64) || (tcp && (u.host[0] == '\0' || strlen (u.port) > 5)))
    abort ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  uint32_t n = 0;
  char *text = malloc (size + 1);
  if (text == NULL)
    return 0;
  memcpy (text, data, size);
  text[size] = '\0';
  check_uri (text);
  free (text);
  if (size >= QMP_PEER_HEAD && qmp_peer_head_parse (data, &n, NULL) == 0) {
    uint8_t head[QMP_PEER_HEAD];
    qmp_peer_head_write (n, head);
    if (n == 0 || n > QMP_PEER_MAX || memcmp (head, data, sizeof head) != 0)
      abort ();
  }
  return 0;
}
