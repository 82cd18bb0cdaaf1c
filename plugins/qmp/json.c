/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"
#include <string.h>

/* Counts nesting and values of a text without recursion and without allocation. jansson then sees only what is bounded;
 * it decides about everything else. */
static int
json_measure (const char *data, size_t size, const struct qmp_json_limits *limits, struct hv_err *err)
{
  uint32_t depth = 0, values = 1;
  int in_string = 0;
  for (size_t i = 0; i < size; i++) {
    char c = data[i];
    if (in_string) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_string = 0;
      continue;
    }
    in_string = c == '"';
    if (c == '{' || c == '[')
      depth++;
    if ((c == '}' || c == ']') && depth > 0)
      depth--;
    values += c == ',' || c == ':' || c == '[' || c == '{';
    if (depth > limits->depth)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "JSON is nested deeper than %u", limits->depth);
    if (values > limits->values)
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "JSON has more than %u values", limits->values);
  }
  return 0;
}

/* QEMU writes a 64-bit "unknown" as 18446744073709551615, which jansson refuses together with all the rest of the line. Such
 * numbers become the largest that it takes. Works in place; returns whether there was one. `change` 0: only looks. */
static int
json_clamp (char *data, size_t size, int change)
{
  static const char most[] = "9223372036854775807";
  int in_string = 0, found = 0;
  for (size_t i = 0; i < size; i++) {
    size_t digits = 0;
    if (data[i] == '\\' && in_string)
      i++;
    else if (data[i] == '"')
      in_string = !in_string;
    while (!in_string && i + digits < size && data[i + digits] >= '0' && data[i + digits] <= '9')
      digits++;
    int whole = digits > 0 && (i == 0 || strchr (":,[ ", data[i - 1]) != NULL) && (i + digits == size || data[i + digits] != '.');
    if (whole && (digits > 19 || (digits == 19 && memcmp (data + i, most, 19) > 0))) {
      found = 1;
      if (change) {
        memset (data + i, ' ', digits);
        memcpy (data + i, most, 19);
      }
    }
    if (digits > 0)
      i += digits - 1;
  }
  return found;
}

/* Parses a copy in which large numbers are clamped, if there are any. */
static json_t *
json_parse (const char *data, size_t size, json_error_t *where)
{
  if (!json_clamp ((char *) (uintptr_t) data, size, 0))
    return json_loadb (data, size, 0, where);
  HV_CLEAN (hv_free) char *copy = malloc (size);
  if (copy == NULL)
    return NULL;
  memcpy (copy, data, size);
  (void) json_clamp (copy, size, 1);
  return json_loadb (copy, size, 0, where);
}

json_t *
qmp_json_load (const char *data, size_t size, const struct qmp_json_limits *limits, struct hv_err *err)
{
  json_error_t where = { 0 };
  if (json_measure (data, size, limits, err) < 0)
    return NULL;
  json_t *j = json_parse (data, size, &where);
  if (j == NULL) {
    (void) hv_err_set (err, HV_E_INVALID_ARGUMENT, "not JSON (byte %d)", where.position);
    return NULL;
  }
  if (!json_is_object (j)) {
    (void) hv_err_set (err, HV_E_INVALID_ARGUMENT, "JSON, but not an object");
    json_decref (j);
    return NULL;
  }
  return j;
}

const char *
qmp_json_str (const json_t *object, const char *key, const char *otherwise)
{
  const char *s = json_string_value (json_object_get (object, key));
  return s != NULL ? s : otherwise;
}

int64_t
qmp_json_int (const json_t *object, const char *key, int64_t otherwise)
{
  const json_t *v = json_object_get (object, key);
  return json_is_integer (v) ? (int64_t) json_integer_value (v) : otherwise;
}

int
qmp_json_bool (const json_t *object, const char *key, int otherwise)
{
  const json_t *v = json_object_get (object, key);
  return json_is_boolean (v) ? json_is_true (v) : otherwise;
}

/* --- lines --- */

/* What was handed out is dropped; what is left moves to the front, so memory follows the longest line only. */
static void
lines_compact (struct qmp_lines *l)
{
  if (l->at == 0)
    return;
  memmove (l->data, l->data + l->at, l->size - l->at);
  l->size -= l->at;
  l->scanned -= l->at;
  l->at = 0;
}

static int
lines_reserve (struct qmp_lines *l, size_t more, struct hv_err *err)
{
  size_t need, capacity = l->capacity > 0 ? l->capacity : 1024;
  if (__builtin_add_overflow (l->size, more, &need))
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "line is too long");
  while (capacity < need)
    if (__builtin_mul_overflow (capacity, 2, &capacity))
      return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "line is too long");
  if (capacity == l->capacity)
    return 0;
  char *data = realloc (l->data, capacity);
  if (data == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  l->data = data;
  l->capacity = capacity;
  return 0;
}

int
qmp_lines_add (struct qmp_lines *l, const void *data, size_t size, struct hv_err *err)
{
  lines_compact (l);
  int r = lines_reserve (l, size, err);
  if (r < 0 || size == 0)
    return r;
  memcpy (l->data + l->size, data, size);
  l->size += size;
  /* complete lines are bounded when they are taken; what counts here is the one that does not end */
  const char *last = memrchr (l->data, '\n', l->size);
  size_t open = last != NULL ? l->size - (size_t) (last + 1 - l->data) : l->size;
  if (open > l->max)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "line is longer than %zu bytes", l->max);
  return 0;
}

int
qmp_lines_next (struct qmp_lines *l, char **ret_line, size_t *ret_size)
{
  if (l->scanned >= l->size)
    return 0;
  char *end = memchr (l->data + l->scanned, '\n', l->size - l->scanned);
  if (end == NULL) {
    l->scanned = l->size;
    return 0;
  }
  char *line = l->data + l->at;
  size_t n = (size_t) (end - line);
  l->at = (size_t) (end + 1 - l->data);
  l->scanned = l->at;
  if (n > 0 && line[n - 1] == '\r')
    n--;
  *ret_line = line;
  *ret_size = n;
  return 1;
}

void
qmp_lines_clear (struct qmp_lines *l)
{
  size_t max = l->max;
  free (l->data);
  memset (l, 0, sizeof *l);
  l->max = max;
}
