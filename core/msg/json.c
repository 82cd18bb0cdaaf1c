/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON ⇄ msgpack. The reader is jansson's, behind a scan that bounds depth; the writer is ours, since every byte that goes to a
 * person or a program has to be valid UTF-8 and every integer exact. */
#include "core/limits.h"
#include "core/msg/msg.h"
#include "core/msg/text.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* --- reading --- */

static int
syntax_error (struct hv_err *err, int line, int column, const char *what)
{
  return hv_err_set (err, HV_E_INVALID_ARGUMENT, "line %d, column %d: %s", line, column, what);
}

/* jansson recurses as deep as the text says: so the text is asked first. */
static int
check_depth (const char *text, uint64_t n, struct hv_err *err)
{
  uint32_t depth = 0;
  int in_string = 0, line = 1;
  uint64_t line_start = 0;
  for (uint64_t i = 0; i < n; i++) {
    char c = text[i];
    if (c == '\n') {
      line++;
      line_start = i + 1;
    } else if (in_string) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_string = 0;
    } else if (c == '"') {
      in_string = 1;
    } else if (c == '{' || c == '[') {
      if (++depth > HV_LIMIT_DEPTH)
        return syntax_error (err, line, (int) (i - line_start) + 1, "nested deeper than 32 levels");
    } else if ((c == '}' || c == ']') && depth > 0) {
      depth--;
    }
  }
  return 0;
}

static void
pack_json (const json_t *j, struct hv_pack *p)
{
  const char *key;
  json_t *item;
  size_t i;
  switch (json_typeof (j)) {
  case JSON_OBJECT:
    hv_pack_map (p, (uint32_t) json_object_size (j));
    json_object_foreach ((json_t *) (uintptr_t) j, key, item)
    {
      hv_pack_str (p, key);
      pack_json (item, p);
    }
    break;
  case JSON_ARRAY:
    hv_pack_array (p, (uint32_t) json_array_size (j));
    json_array_foreach (j, i, item) pack_json (item, p);
    break;
  case JSON_STRING:
    hv_pack_strn (p, json_string_value (j), json_string_length (j));
    break;
  case JSON_INTEGER:
    hv_pack_i64 (p, json_integer_value (j));
    break;
  case JSON_REAL:
    hv_pack_f64 (p, json_real_value (j));
    break;
  case JSON_TRUE:
    hv_pack_bool (p, 1);
    break;
  case JSON_FALSE:
    hv_pack_bool (p, 0);
    break;
  default:
    hv_pack_nil (p);
    break;
  }
}

int
hv_json_to_pack (const char *text, uint64_t n, struct hv_pack *p, struct hv_err *err)
{
  json_error_t e;
  if (n > HV_LIMIT_ANSWER_BYTES)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "JSON of more than %u bytes", HV_LIMIT_ANSWER_BYTES);
  int r = check_depth (text, n, err);
  if (r < 0)
    return r;
  json_t *j = json_loadb (text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
  if (j == NULL) {
    hv_text_clean (e.text); /* it quotes the input */
    return syntax_error (err, e.line, e.column, e.text);
  }
  pack_json (j, p);
  json_decref (j);
  return p->failed ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory") : 0;
}

/* --- writing --- */

struct out {
  struct hv_pack buf; /* a growing buffer; here its bytes are text */
  int indent;
};

static void
put (struct out *o, const char *s, uint64_t n)
{
  hv_pack_raw (&o->buf, s, n);
}

static void
puts_ (struct out *o, const char *s)
{
  put (o, s, strlen (s));
}

static void
newline (struct out *o, unsigned depth)
{
  if (o->indent == 0)
    return;
  put (o, "\n", 1);
  for (unsigned i = 0; i < depth * (unsigned) o->indent; i++)
    put (o, " ", 1);
}

static void
put_escaped (struct out *o, uint8_t c)
{
  char text[8];
  const char *short_forms = "\"\"\\\\\bb\ff\nn\rr\tt";
  for (const char *f = short_forms; *f != '\0'; f += 2)
    if ((uint8_t) *f == c) {
      text[0] = '\\';
      text[1] = f[1];
      put (o, text, 2);
      return;
    }
  (void) snprintf (text, sizeof text, "\\u%04x", c);
  put (o, text, 6);
}

static int
is_escaped (uint8_t c)
{
  return c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

static void
put_string (struct out *o, const uint8_t *s, uint64_t n)
{
  put (o, "\"", 1);
  for (uint64_t i = 0; i < n;) {
    uint64_t run = i;
    unsigned len = 1;
    while (run < n && !is_escaped (s[run]) && (len = s[run] < 0x80 ? 1 : hv_utf8_length (s + run, n - run)) > 0)
      run += len;
    put (o, (const char *) s + i, run - i);
    if (run < n && len == 0)
      puts_ (o, "\xef\xbf\xbd");
    else if (run < n)
      put_escaped (o, s[run]);
    i = run + 1;
  }
  put (o, "\"", 1);
}

static void
put_base64 (struct out *o, const uint8_t *s, uint64_t n)
{
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  put (o, "\"", 1);
  for (uint64_t i = 0; i < n; i += 3) {
    uint32_t v = (uint32_t) s[i] << 16 | (i + 1 < n ? (uint32_t) s[i + 1] << 8 : 0) | (i + 2 < n ? s[i + 2] : 0);
    char four[4]
        = { digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=', i + 2 < n ? digits[v & 63] : '=' };
    put (o, four, 4);
  }
  put (o, "\"", 1);
}

static void
put_number (struct out *o, const struct hv_value *v)
{
  char text[HV_F64_TEXT];
  if (v->type == HV_MP_UINT)
    (void) snprintf (text, sizeof text, "%" PRIu64, v->as.u);
  else if (v->type == HV_MP_INT)
    (void) snprintf (text, sizeof text, "%" PRId64, v->as.i);
  else
    (void) hv_f64_text (v->as.f, text); /* JSON has no infinity: null */
  puts_ (o, text);
}

static int put_value (struct out *o, struct hv_read *r, unsigned depth);

/* A key of JSON is text: numbers and words are quoted. A list or map as a key is written as the base64 of its bytes, since
 * quoting the quotes of keys within keys would double the text with every level. */
static int
put_key (struct out *o, struct hv_read *r, unsigned depth)
{
  struct hv_read probe = *r;
  struct hv_value v;
  if (!hv_read_next (&probe, &v))
    return 0;
  if (v.type == HV_MP_STR || v.type == HV_MP_BIN || v.type == HV_MP_EXT)
    return put_value (o, r, depth);
  if (v.type == HV_MP_ARRAY || v.type == HV_MP_MAP) {
    struct hv_bin whole = hv_read_skip (r);
    put_base64 (o, whole.data, whole.size);
    return whole.size > 0;
  }
  put (o, "\"", 1);
  int ok = put_value (o, r, depth);
  put (o, "\"", 1);
  return ok;
}

static int
put_items (struct out *o, struct hv_read *r, const struct hv_value *v, unsigned depth)
{
  int map = v->type == HV_MP_MAP;
  put (o, map ? "{" : "[", 1);
  for (uint32_t i = 0; i < v->size; i++) {
    if (i > 0)
      put (o, ",", 1);
    newline (o, depth + 1);
    if (map && !put_key (o, r, depth + 1))
      return 0;
    if (map)
      puts_ (o, o->indent > 0 ? ": " : ":");
    if (!put_value (o, r, depth + 1))
      return 0;
  }
  if (v->size > 0)
    newline (o, depth);
  put (o, map ? "}" : "]", 1);
  return 1;
}

static int
put_value (struct out *o, struct hv_read *r, unsigned depth)
{
  struct hv_value v;
  if (depth > HV_LIMIT_DEPTH || !hv_read_next (r, &v))
    return 0;
  switch (v.type) {
  case HV_MP_NIL:
    puts_ (o, "null");
    return 1;
  case HV_MP_BOOL:
    puts_ (o, v.as.u ? "true" : "false");
    return 1;
  case HV_MP_STR:
    put_string (o, v.as.data, v.size);
    return 1;
  case HV_MP_BIN:
  case HV_MP_EXT:
    put_base64 (o, v.as.data, v.size);
    return 1;
  case HV_MP_ARRAY:
  case HV_MP_MAP:
    return put_items (o, r, &v, depth);
  default:
    put_number (o, &v);
    return 1;
  }
}

char *
hv_pack_to_json (struct hv_bin value, int indent)
{
  struct hv_read r = { value.data, value.data + value.size };
  struct out o = { .indent = indent };
  if (!put_value (&o, &r, 0) || o.buf.failed) {
    hv_pack_clear (&o.buf);
    return NULL;
  }
  put (&o, "", 1);
  if (o.buf.failed) {
    hv_pack_clear (&o.buf);
    return NULL;
  }
  return (char *) o.buf.data;
}
