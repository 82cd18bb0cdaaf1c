/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The head of a msgpack-RPC frame. */
#include "core/limits.h"
#include "core/msg/msg.h"

static int
bad (struct hv_err *err, const char *what)
{
  return hv_err_set (err, HV_E_INVALID_ARGUMENT, "not a msgpack-RPC frame: %s", what);
}

static int
read_number (struct hv_read *r, uint32_t *ret)
{
  struct hv_value v;
  if (!hv_read_next (r, &v) || v.type != HV_MP_UINT || v.as.u > UINT32_MAX)
    return 0;
  *ret = (uint32_t) v.as.u;
  return 1;
}

/* Names appear in errors and logs: they are plain from the start. */
static int
is_plain (const uint8_t *s, uint32_t n)
{
  for (uint32_t i = 0; i < n; i++)
    if (s[i] <= 0x20 || s[i] >= 0x7f)
      return 0;
  return 1;
}

static int
read_method (struct hv_read *r, struct hv_bin *ret)
{
  struct hv_value v;
  if (!hv_read_next (r, &v) || v.type != HV_MP_STR || v.size == 0 || v.size > HV_LIMIT_METHOD_BYTES
      || !is_plain (v.as.data, v.size))
    return 0;
  *ret = (struct hv_bin){ v.as.data, v.size };
  return 1;
}

static int
read_params (struct hv_read *r, struct hv_bin *ret)
{
  struct hv_read probe = *r;
  struct hv_value v;
  *ret = hv_read_skip (r);
  return hv_read_next (&probe, &v) && v.type == HV_MP_ARRAY;
}

int
hv_frame_parse (struct hv_bin frame, struct hv_frame *ret, struct hv_err *err)
{
  struct hv_read r = { frame.data, frame.data + frame.size };
  struct hv_frame f = { 0 };
  struct hv_value list;
  if (!hv_read_next (&r, &list) || list.type != HV_MP_ARRAY || list.size < 3 || list.size > 4)
    return bad (err, "a list of 3 or 4 values is wanted");
  if (!read_number (&r, &f.kind) || f.kind > 2 || list.size != (f.kind == 2 ? 3 : 4))
    return bad (err, "it begins with 0 (request) and has 4 values, 1 (response) and 4, or 2 (notification) and 3");
  if (f.kind != 2 && !read_number (&r, &f.id))
    return bad (err, "the message id is a number from 0 to 4294967295");
  if (f.kind == 1) {
    f.error = hv_read_skip (&r);
    f.args = hv_read_skip (&r);
  } else if (!read_method (&r, &f.method)) {
    return bad (err, "the method is a text of 1 to 100 printable ASCII characters");
  } else if (!read_params (&r, &f.args)) {
    return bad (err, "the parameters are a list");
  }
  if (f.args.size == 0 || (f.kind == 1 && f.error.size == 0) || r.at != r.end)
    return bad (err, "it is cut short, or bytes follow it");
  *ret = f;
  return 0;
}

int
hv_frame_args (struct hv_bin params, struct hv_bin *ret, struct hv_err *err)
{
  static const uint8_t empty_map = 0x80;
  struct hv_read r = { params.data, params.data + params.size };
  struct hv_value list, first;
  struct hv_bin empty = { &empty_map, 1 };
  if (!hv_read_next (&r, &list) || list.type != HV_MP_ARRAY || list.size > 1)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "one map of named arguments is wanted: [{name: value}]");
  struct hv_read probe = r;
  if (list.size == 0) {
    *ret = empty;
    return 0;
  }
  if (!hv_read_next (&probe, &first))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "the arguments are cut short");
  if (first.type == HV_MP_NIL || (first.type == HV_MP_ARRAY && first.size == 0))
    *ret = empty;
  else if (first.type == HV_MP_MAP)
    *ret = hv_read_skip (&r);
  else
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "one map of named arguments is wanted: [{name: value}]");
  return 0;
}
