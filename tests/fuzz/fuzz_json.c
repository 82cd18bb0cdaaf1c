/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON text in, msgpack, JSON text out: it is valid UTF-8, and from there on nothing changes any more. */
#include "core/err/err.h"
#include "core/msg/msg.h"
#include "core/msg/text.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t n);

static void
check (int ok)
{
  if (!ok)
    abort ();
}

static char *
to_text (const struct hv_pack *p, int indent)
{
  char *text = hv_pack_to_json ((struct hv_bin){ p->data, p->size }, indent);
  check (text != NULL);
  check (hv_utf8_check ((const uint8_t *) text, strlen (text)) == strlen (text));
  return text;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t n)
{
  struct hv_pack first = { 0 }, second = { 0 };
  struct hv_err *err = hv_error_new ();
  if (hv_json_to_pack ((const char *) data, n, &first, err) == 0) {
    check (hv_fence_check ((struct hv_bin){ first.data, first.size }, UINT32_MAX, NULL) == 0);
    char *text = to_text (&first, n & 1 ? 2 : 0);
    check (hv_json_to_pack (text, strlen (text), &second, NULL) == 0);
    check (first.size == second.size && memcmp (first.data, second.data, first.size) == 0);
    free (text);
  } else {
    const char *message = hv_err_message (err);
    check (hv_utf8_check ((const uint8_t *) message, strlen (message)) == strlen (message));
  }
  hv_err_free (err);
  hv_pack_clear (&first);
  hv_pack_clear (&second);
  return 0;
}
