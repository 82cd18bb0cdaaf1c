/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The decoder on bytes that no fence has seen (they are never read past their end all the same), with real tables: what it
 * accepts, it accepts again after encoding, with equal bytes. */
#include "core/err/err.h"
#include "core/msg/msg.h"
#include "core/msg/text.h"
#include "tests/lib/every_type.h"
#include <hvkit/iface/agent.h>
#include <hvkit/iface/disk.h>
#include <hvkit/iface/hypervisor.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t n);

static const struct hv_record *const records[] = { &et_tree_record,         &hv_machine_record,     &et_branch_record,
                                                   &hv_machine_disk_record, &hv_define_args_record, &hv_vm_ref_record };
#define RECORDS (sizeof records / sizeof *records)

static void
check (int ok)
{
  if (!ok)
    abort ();
}

/* A message about hostile bytes is itself clean. */
static void
check_error (const struct hv_err *err)
{
  const char *text = hv_err_message (err), *path = hv_err_data_get (err, "path");
  check (hv_err_code (err) < 0 && text[0] != '\0');
  check (hv_utf8_check ((const uint8_t *) text, strlen (text)) == strlen (text));
  check (path == NULL || hv_utf8_check ((const uint8_t *) path, strlen (path)) == strlen (path));
}

static int
decode (const struct hv_record *rec, struct hv_bin b, uint32_t flags, struct hv_arena *a, void **ret)
{
  struct hv_err *err = hv_error_new ();
  struct hv_decode how = { .arena = a, .flags = flags };
  check (err != NULL);
  *ret = hv_arena_alloc (a, rec->c_size);
  check (*ret != NULL);
  int r = hv_record_decode (rec, b, &how, *ret, err);
  if (r < 0)
    check_error (err);
  else
    check (hv_err_code (err) == 0);
  hv_err_free (err);
  return r;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t n)
{
  struct hv_pack once = { 0 }, twice = { 0 };
  struct hv_arena arena = { 0 };
  void *first, *second;
  if (n < 1)
    return 0;
  const struct hv_record *rec = records[data[0] % RECORDS];
  uint32_t flags = data[0] & 0x80 ? HV_DECODE_OPEN : 0;
  if (decode (rec, (struct hv_bin){ data + 1, n - 1 }, flags, &arena, &first) == 0
      && hv_record_encode (rec, first, &once, NULL) == 0) { /* ANY may be cut short: the fence sees that, not the decoder */
    struct hv_bin o = { once.data, once.size };
    if (hv_fence_check (o, UINT32_MAX, NULL) == 0) {
      check (decode (rec, o, 0, &arena, &second) == 0);
      check (hv_record_encode (rec, second, &twice, NULL) == 0);
      check (once.size == twice.size && memcmp (once.data, twice.data, once.size) == 0);
    }
  }
  hv_pack_clear (&once);
  hv_pack_clear (&twice);
  hv_arena_free (&arena);
  return 0;
}
