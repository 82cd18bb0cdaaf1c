/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a frame from the daemon means, and the small readers for maps that passed the fence. */
#include "impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- maps --- */

struct hv_bin
hv_client_map_get (struct hv_bin map, const char *key)
{
  struct hv_read r = { map.data, map.data + map.size };
  struct hv_value v, k;
  if (map.size == 0 || !hv_read_next (&r, &v) || v.type != HV_MP_MAP)
    return (struct hv_bin){ NULL, 0 };
  for (uint32_t i = 0; i < v.size; i++) {
    struct hv_bin raw = hv_read_skip (&r), value = hv_read_skip (&r);
    struct hv_read kr = { raw.data, raw.data + raw.size };
    if (hv_read_next (&kr, &k) && k.type == HV_MP_STR && k.size == strlen (key) && memcmp (k.as.data, key, k.size) == 0)
      return value;
  }
  return (struct hv_bin){ NULL, 0 };
}

static int
value_of (struct hv_bin b, struct hv_value *ret)
{
  struct hv_read r = { b.data, b.data + b.size };
  return b.size > 0 && hv_read_next (&r, ret);
}

uint64_t
hv_client_map_u64 (struct hv_bin map, const char *key)
{
  struct hv_value v;
  return value_of (hv_client_map_get (map, key), &v) && v.type == HV_MP_UINT ? v.as.u : 0;
}

static void
value_text (const struct hv_value *v, char *to, uint64_t size)
{
  if (v->type == HV_MP_STR)
    (void)snprintf (to, size, "%.*s", (int)(v->size < size ? v->size : size - 1), (const char *)v->as.data);
  else if (v->type == HV_MP_UINT)
    (void)snprintf (to, size, "%" PRIu64, v->as.u);
  else if (v->type == HV_MP_INT)
    (void)snprintf (to, size, "%" PRId64, v->as.i);
  else if (v->type == HV_MP_BOOL)
    (void)snprintf (to, size, "%s", v->as.u ? "true" : "false");
  else
    to[0] = '\0';
}

void
hv_client_map_text (struct hv_bin map, const char *key, char *to, uint64_t size)
{
  struct hv_value v;
  to[0] = '\0';
  if (value_of (hv_client_map_get (map, key), &v))
    value_text (&v, to, size);
}

/* --- errors --- */

/* "NOT_FOUND" at the start of the text is HV_E_NOT_FOUND; a name this library does not know is UNKNOWN. */
static int
code_of (const char *name, uint64_t n)
{
  for (int32_t code = HV_E_CANCELLED; code >= HV_E_UNAUTHENTICATED; code--) {
    const char *known = hv_err_name (code);
    if (strlen (known) == n && memcmp (known, name, n) == 0)
      return code;
  }
  return HV_E_UNKNOWN;
}

static void
take_data (struct hv_bin data, struct hv_err *err)
{
  struct hv_read r = { data.data, data.data + data.size };
  struct hv_value m, k, v;
  if (data.size == 0 || !hv_read_next (&r, &m) || m.type != HV_MP_MAP)
    return;
  for (uint32_t i = 0; i < m.size; i++) {
    struct hv_bin key = hv_read_skip (&r), value = hv_read_skip (&r);
    char name[128], text[4096];
    if (!value_of (key, &k) || k.type != HV_MP_STR || !value_of (value, &v))
      continue;
    value_text (&k, name, sizeof name);
    value_text (&v, text, sizeof text);
    hv_err_data (err, name, text);
  }
}

static int
text_error (struct hv_value v, struct hv_err *err)
{
  const char *text = (const char *)v.as.data, *colon = memchr (text, ':', v.size);
  uint64_t n = colon != NULL ? (uint64_t)(colon - text) : 0;
  int code = code_of (text, n);
  uint64_t skip = code != HV_E_UNKNOWN || (n == 7 && memcmp (text, "UNKNOWN", 7) == 0) ? n + 1 : 0;
  if (skip > 0 && skip < v.size && text[skip] == ' ')
    skip++;
  return hv_err_set (err, code, "%.*s", (int)(v.size - skip), text + skip);
}

int
hv_client_wire_error (struct hv_bin value, struct hv_err *err)
{
  struct hv_read r = { value.data, value.data + value.size };
  struct hv_value v, text;
  if (!hv_read_next (&r, &v))
    return hv_err_set (err, HV_E_UNKNOWN, "the daemon reported an error without a text");
  if (v.type == HV_MP_STR)
    return text_error (v, err);
  if (v.type == HV_MP_ARRAY && v.size == 2) {
    (void)hv_read_skip (&r);
    if (hv_read_next (&r, &text) && text.type == HV_MP_STR)
      return text_error (text, err);
  }
  if (v.type != HV_MP_MAP || !value_of (hv_client_map_get (value, "message"), &text) || text.type != HV_MP_STR)
    return hv_err_set (err, HV_E_UNKNOWN, "the daemon reported an error in a form this client does not know");
  char name[32];
  hv_client_map_text (value, "code", name, sizeof name);
  int code = hv_err_set (err, code_of (name, strlen (name)), "%.*s", (int)text.size, (const char *)text.as.data);
  take_data (hv_client_map_get (value, "data"), err);
  return code;
}

/* --- frames --- */

static void
on_response (struct hv_client *c, const struct hv_frame *f)
{
  struct hv_client_pending *p = hv_client_pending_take (c, f->id);
  struct hv_value v;
  if (p == NULL) /* answered too late: its deadline was enforced on this side */
    return;
  if (p->done != NULL && value_of (f->error, &v) && v.type != HV_MP_NIL) {
    struct hv_err *err = hv_error_new ();
    p->done (p->done_arg, hv_client_wire_error (f->error, err), (struct hv_bin){ NULL, 0 }, err);
    hv_err_free (err);
  } else if (p->done != NULL) {
    p->done (p->done_arg, 0, f->args, NULL);
  }
  free (p);
}

static void
on_progress (struct hv_client *c, struct hv_bin map)
{
  char phase[80], unit[32];
  struct hv_client_progress g = { .struct_size = sizeof g, .phase = phase, .unit = unit };
  g.id = (uint32_t)hv_client_map_u64 (map, "id");
  g.done = hv_client_map_u64 (map, "done");
  g.total = hv_client_map_u64 (map, "total");
  hv_client_map_text (map, "phase", phase, sizeof phase);
  hv_client_map_text (map, "unit", unit, sizeof unit);
  struct hv_client_pending *p = hv_client_pending_find (c, g.id);
  if (p != NULL && p->progress != NULL)
    p->progress (p->progress_arg, &g);
}

static int
is (struct hv_bin name, const char *text)
{
  return name.size == strlen (text) && memcmp (name.data, text, name.size) == 0;
}

/* A notification this version does not know is ignored: a newer daemon may have more. */
static void
on_notification (struct hv_client *c, const struct hv_frame *f, struct hv_bin map)
{
  if (is (f->method, "event"))
    hv_client_on_event (c, map);
  else if (is (f->method, "progress"))
    on_progress (c, map);
  else if (is (f->method, "bus.dropped"))
    hv_client_on_dropped (c, map);
}

int
hv_client_dispatch (struct hv_client *c, struct hv_bin frame)
{
  struct hv_frame f = { 0 };
  struct hv_bin map = { NULL, 0 };
  struct hv_err *err = hv_error_new ();
  int r = hv_frame_parse (frame, &f, err);
  if (r == 0 && f.kind == 2)
    r = hv_frame_args (f.args, &map, err);
  if (r == 0 && f.kind == 0)
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "a request, which daemons do not make");
  if (r != 0)
    hv_client_fail (c, "connection closed: what the daemon sent is not msgpack-RPC: %s", hv_err_message (err));
  else if (f.kind == 1)
    on_response (c, &f);
  else
    on_notification (c, &f, map);
  hv_err_free (err);
  return r;
}
