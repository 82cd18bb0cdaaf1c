/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host.h"
#include "core/err/err.h"
#include "core/limits.h"
#include "core/msg/msg.h"
#include "core/schema/schema.h"
#include <string.h>

static struct hv_arena arena;

static void *
alloc (struct hv_host *h, uint64_t size)
{
  (void) h;
  return hv_arena_alloc (&arena, size);
}

static uint64_t
mark (struct hv_host *h)
{
  (void) h;
  return hv_arena_mark (&arena);
}

static void
release (struct hv_host *h, uint64_t at)
{
  (void) h;
  hv_arena_release (&arena, at);
}

static int
decode (struct hv_host *h, const struct hv_record *rec, struct hv_bin b, uint32_t flags, void *out, struct hv_err *err)
{
  struct hv_decode how = { .arena = &arena, .flags = flags };
  (void) h;
  int r = hv_fence_check (b, HV_LIMIT_ANSWER_BYTES, err);
  return r < 0 ? r : hv_record_decode (rec, b, &how, out, err);
}

static int
encode (struct hv_host *h, const struct hv_record *rec, const void *in, struct hv_bin *ret, struct hv_err *err)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  int r = hv_record_encode (rec, in, &p, err);
  uint8_t *copy = r == 0 ? alloc (h, p.size) : NULL;
  if (copy == NULL)
    return r < 0 ? r : HV_E_RESOURCE_EXHAUSTED;
  memcpy (copy, p.data, p.size);
  *ret = (struct hv_bin){ copy, p.size };
  return 0;
}

struct hv_host *
test_host (void)
{
  static const struct hv_host_api api = { .struct_size = sizeof api,
                                          .abi_major = HV_ABI_MAJOR,
                                          .err_new = hv_error_new,
                                          .alloc = alloc,
                                          .scope_mark = mark,
                                          .scope_release = release,
                                          .decode = decode,
                                          .encode = encode };
  static struct hv_host host = { &api };
  return &host;
}

void
test_host_reset (void)
{
  hv_arena_free (&arena);
}
