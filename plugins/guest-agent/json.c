/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See json.h. */
#include "json.h"
#include <string.h>

int
hv_json_bad (const struct hv_json *j, const char *what)
{
  hv_err_set (j->err, HV_E_UNAVAILABLE, "the guest agent's answer makes no sense: %s", what);
  hv_err_data (j->err, "reason", "bad_reply");
  return HV_E_UNAVAILABLE;
}

/* Jansson recurses and allocates as it parses: what would make it do too much of either does not get there. */
static int
scan (const struct hv_json *j, const char *text, uint64_t n)
{
  uint32_t depth = 0, values = 0;
  int in_text = 0;
  if (n > HV_REPLY_BYTES_MAX)
    return hv_json_bad (j, "it is longer than 1 MiB");
  for (uint64_t i = 0; i < n; i++) {
    char c = text[i];
    if (in_text) {
      i += c == '\\';
      in_text = c != '"';
    } else if (c == '"') {
      in_text = 1;
    } else if (c == '[' || c == '{') {
      values++;
      if (++depth > HV_REPLY_DEPTH_MAX)
        return hv_json_bad (j, "it is nested too deeply");
    } else if (c == ']' || c == '}') {
      depth -= depth > 0;
    } else {
      values += c == ',';
    }
    if (values > HV_REPLY_VALUES_MAX)
      return hv_json_bad (j, "it has too many values");
  }
  return 0;
}

json_t *
hv_json_parse (const struct hv_json *j, const char *text, uint64_t n)
{
  if (scan (j, text, n) != 0)
    return NULL;
  json_t *value = json_loadb (text, n, JSON_REJECT_DUPLICATES, NULL);
  if (value == NULL)
    (void) hv_json_bad (j, "it is not JSON"); /* jansson's own words quote the guest's bytes */
  return value;
}

/* Bytes at `s` that must not reach a terminal or a log: C0 and C1 controls, DEL, and the marks that turn the direction of writing.
 * `s` is valid UTF-8 and NUL-terminated. */
static unsigned
control_length (const unsigned char *s)
{
  if (s[0] < 0x20 || s[0] == 0x7f)
    return 1;
  if (s[0] == 0xc2 && s[1] < 0xa0)
    return 2;
  if (s[0] == 0xe2 && s[1] == 0x80 && s[2] >= 0xaa && s[2] <= 0xae)
    return 3;
  if (s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9)
    return 3;
  return 0;
}

static unsigned
char_length (unsigned char c)
{
  return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static void
clean (const char *from, char *to, size_t room)
{
  const unsigned char *s = (const unsigned char *) from;
  size_t used = 0;
  while (*s != '\0') {
    unsigned skip = control_length (s), n = char_length (*s);
    if (skip == 0) {
      if (used + n >= room)
        break;
      memcpy (to + used, s, n);
      used += n;
    }
    s += skip != 0 ? skip : n;
  }
  to[used] = '\0';
}

static int
wrong_type (const struct hv_json *j, const char *name, const char *expected)
{
  int rc = hv_json_bad (j, expected);
  return hv_err_wrap (j->err, rc, "member '%s'", name);
}

int
hv_json_text (const struct hv_json *j, json_t *object, const char *name, const char **ret)
{
  json_t *v = json_object_get (object, name);
  if (v == NULL || json_is_null (v))
    return 0;
  if (!json_is_string (v))
    return wrong_type (j, name, "a text was expected");
  size_t n = json_string_length (v);
  size_t room = (n < HV_REPLY_TEXT_MAX ? n : HV_REPLY_TEXT_MAX) + 1;
  char *copy = j->memory->alloc (j->memory->arg, room);
  if (copy == NULL)
    return hv_err_set (j->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  clean (json_string_value (v), copy, room);
  *ret = copy;
  return 1;
}

int
hv_json_number (const struct hv_json *j, json_t *object, const char *name, uint64_t max, uint64_t *ret)
{
  json_t *v = json_object_get (object, name);
  if (v == NULL || json_is_null (v))
    return 0;
  if (!json_is_integer (v) || json_integer_value (v) < 0 || (uint64_t) json_integer_value (v) > max)
    return wrong_type (j, name, "a whole number in its range was expected");
  *ret = (uint64_t) json_integer_value (v);
  return 1;
}

int
hv_json_list (const struct hv_json *j, json_t *object, const char *name, json_t **ret, uint32_t *ret_count)
{
  json_t *v = json_object_get (object, name);
  if (v == NULL || json_is_null (v))
    return 0;
  if (!json_is_array (v))
    return wrong_type (j, name, "a list was expected");
  size_t n = json_array_size (v);
  *ret = v;
  *ret_count = n < HV_REPLY_ITEMS_MAX ? (uint32_t) n : HV_REPLY_ITEMS_MAX;
  return 1;
}

void *
hv_json_items (const struct hv_json *j, uint32_t count, uint64_t item_size)
{
  void *items = j->memory->alloc (j->memory->arg, (uint64_t) (count == 0 ? 1 : count) * item_size);
  if (items == NULL)
    (void) hv_err_set (j->err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return items;
}
