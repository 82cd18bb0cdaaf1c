/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes from a guest agent. The first byte says how they are cut, and whether the channel is in step already. */
#include "codec.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

static int
take (struct qmp_codec *c, const void *data, size_t size)
{
  int r = qmp_codec_feed (c, data, size, NULL);
  json_t *j = NULL;
  while (r >= 0 && (r = qmp_codec_next (c, &j, NULL)) > 0) {
    if (c->state != QMP_CODEC_SYNCED || (j != NULL && !json_is_object (j)))
      abort ();
    json_decref (j);
  }
  return r;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  static const char echo[] = "\xff{\"return\":7}\n";
  struct qmp_codec c = { 0 };
  size_t n;
  int r = 0;
  if (size == 0)
    return 0;
  size_t piece = (data[0] & 0x7f) + 1u;
  free (qmp_codec_sync (&c, 7, &n));
  if (data[0] & 0x80)
    r = take (&c, echo, sizeof echo - 1);
  for (size_t at = 1; at < size && r >= 0; at += piece)
    r = take (&c, data + at, piece < size - at ? piece : size - at);
  qmp_codec_clear (&c);
  return 0;
}
