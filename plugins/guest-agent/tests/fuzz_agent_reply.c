/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The reply decoders under arbitrary bytes: what they accept keeps the limits. The first byte chooses the decoder. */
#include "plugins/guest-agent/reply.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

struct block {
  struct block *next;
  _Alignas(16) unsigned char bytes[];
};

static void *
alloc (void *arg, uint64_t size)
{
  struct block **list = arg, *b = calloc (1, sizeof *b + size);
  if (b == NULL)
    return NULL;
  b->next = *list;
  *list = b;
  return b->bytes;
}

static void
check_text (const char *s)
{
  for (; s != NULL && *s != '\0'; s++)
    if ((unsigned char) *s < 0x20 || *s == 0x7f)
      abort ();
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static hv_reply_decode_fn *const decoders[] = { hv_reply_info,  hv_reply_osinfo,     hv_reply_hostname,   hv_reply_timezone,
                                                  hv_reply_users, hv_reply_interfaces, hv_reply_filesystems };
  union {
    struct hv_agent_info info;
    struct hv_agent_osinfo os;
    struct hv_agent_hostname host;
    struct hv_agent_timezone zone;
    struct hv_agent_users users;
    struct hv_agent_interfaces nics;
    struct hv_agent_filesystems fs;
  } out;
  struct block *blocks = NULL;
  const struct hv_reply_memory memory = { alloc, &blocks };
  json_t *value = NULL;
  if (size == 0)
    return 0;
  memset (&out, 0, sizeof out);
  unsigned which = data[0] % 7;
  if (hv_reply_parse ((const char *) data + 1, size - 1, &value, NULL) == 0) {
    if (decoders[which](&memory, value, &out, NULL) == 0 && which == 2)
      check_text (out.host.hostname);
    json_decref (value);
  }
  while (blocks != NULL) {
    struct block *next = blocks->next;
    free (blocks);
    blocks = next;
  }
  return 0;
}
