/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes from a monitor. The first byte says how they are cut. */
#include "proto.h"

static void
on_greeting (void *arg, const json_t *version)
{
  (void) arg;
  (void) version;
}

static void
on_reply (void *arg, const struct qmp_reply *r)
{
  (void) arg;
  if (r->ret == NULL && (r->error_class == NULL || r->error_text == NULL))
    abort ();
}

static void
on_event (void *arg, const char *name, const json_t *data)
{
  (void) arg;
  if (name == NULL || (data != NULL && !json_is_object (data)))
    abort ();
}

static const struct qmp_proto_ops ops = { on_greeting, on_reply, on_event };

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const char greeting[] = "{\"QMP\":{\"version\":{}}}\n";
  struct qmp_proto p;
  int r = 0;
  if (size == 0)
    return 0;
  size_t piece = (data[0] & 0x7f) + 1u;
  qmp_proto_init (&p, &ops, NULL);
  if (data[0] & 0x80)
    r = qmp_proto_feed (&p, greeting, sizeof greeting - 1, NULL);
  for (size_t at = 1; at < size && r == 0; at += piece)
    r = qmp_proto_feed (&p, data + at, piece < size - at ? piece : size - at, NULL);
  qmp_proto_clear (&p);
  return 0;
}
