/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "yaml.h"
#include "scalar.h"
#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* A list or map that is open. Keys point into `keys`, a heap of NUL-terminated names. */
struct level {
  uint64_t mark;
  uint32_t count, keys_at;
  uint32_t key_starts[VMI_YAML_KEYS];
  uint8_t is_map, want_key;
};

struct reader {
  yaml_parser_t parser;
  struct hv_pack *pack;
  struct hv_err *err;
  struct level *levels; /* VMI_YAML_DEPTH */
  uint32_t depth;
  struct hv_pack keys; /* only a growable buffer here */
  /* looking for a line */
  const char *path;
  uint32_t found_line, found_size;
  char place[512];
  uint32_t place_size[VMI_YAML_DEPTH + 1];
};

static uint32_t
line_of (const yaml_event_t *e)
{
  return (uint32_t) e->start_mark.line + 1;
}

#define REFUSE(r, e, ...) refuse ((r), line_of (e), HV_E_INVALID_ARGUMENT, __VA_ARGS__)

HV_PRINTF (4, 5)
static int
refuse (struct reader *r, uint32_t line, int code, const char *fmt, ...)
{
  char text[256];
  va_list ap;
  va_start (ap, fmt);
  (void) vsnprintf (text, sizeof text, fmt, ap);
  va_end (ap);
  return hv_err_set (r->err, code, "line %u: %s", line, text);
}

static int
next (struct reader *r, yaml_event_t *e)
{
  if (yaml_parser_parse (&r->parser, e))
    return 0;
  uint32_t line = (uint32_t) r->parser.problem_mark.line + 1;
  if (r->parser.error == YAML_MEMORY_ERROR)
    return refuse (r, line, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return refuse (r, line, HV_E_INVALID_ARGUMENT, "%s", r->parser.problem != NULL ? r->parser.problem : "not YAML");
}

/* --- places, for vmi_yaml_line --- */

HV_PRINTF (2, 3)
static void
place_set (struct reader *r, const char *fmt, ...)
{
  uint32_t at = r->depth > 0 ? r->place_size[r->depth - 1] : 0;
  va_list ap;
  va_start (ap, fmt);
  int n = vsnprintf (r->place + at, sizeof r->place - at, fmt, ap);
  va_end (ap);
  r->place_size[r->depth] = n < 0 || (uint32_t) n >= sizeof r->place - at ? (uint32_t) sizeof r->place - 1 : at + (uint32_t) n;
}

/* The place that begins the wanted path and is the longest so far is the best line to name. */
static void
place_compare (struct reader *r, uint32_t line)
{
  uint32_t n = r->place_size[r->depth];
  if (r->path == NULL || strncmp (r->path, r->place, n) != 0 || (n > 0 && strchr (".[", r->path[n]) == NULL))
    return;
  if (n > r->found_size || r->found_line == 0) {
    r->found_line = line;
    r->found_size = n;
  }
}

/* --- values --- */

static struct level *
top (struct reader *r)
{
  return r->depth > 0 ? &r->levels[r->depth - 1] : NULL;
}

/* Before a value: its place in the list or map that is open. */
static void
enter (struct reader *r, const yaml_event_t *e)
{
  struct level *l = top (r);
  if (l == NULL)
    r->place_size[0] = 0;
  if (l == NULL || l->is_map)
    return;
  place_set (r, "[%u]", l->count);
  place_compare (r, line_of (e));
}

static void
leave (struct reader *r)
{
  struct level *l = top (r);
  if (l == NULL)
    return;
  l->count++;
  l->want_key = l->is_map;
}

static int
check_key (struct reader *r, const yaml_event_t *e, struct level *l)
{
  const char *key = (const char *) e->data.scalar.value;
  if (strlen (key) != e->data.scalar.length)
    return REFUSE (r, e, "a key with a NUL character");
  if (e->data.scalar.plain_implicit && strcmp (key, "<<") == 0)
    return REFUSE (r, e, "merge keys (<<) are not allowed in a manifest");
  if (e->data.scalar.plain_implicit && vmi_scalar_is_null (key))
    return REFUSE (r, e, "a key that is null");
  if (l->count >= VMI_YAML_KEYS)
    return refuse (r, line_of (e), HV_E_RESOURCE_EXHAUSTED, "a map with more than %u keys", VMI_YAML_KEYS);
  for (uint32_t i = 0; i < l->count; i++)
    if (strcmp ((const char *) r->keys.data + l->key_starts[i], key) == 0)
      return REFUSE (r, e, "the key '%.60s' is there twice", key);
  return 0;
}

static int
read_key (struct reader *r, const yaml_event_t *e, struct level *l)
{
  int rc = check_key (r, e, l);
  if (rc < 0)
    return rc;
  l->key_starts[l->count] = (uint32_t) r->keys.size;
  hv_pack_raw (&r->keys, e->data.scalar.value, e->data.scalar.length + 1);
  hv_pack_strn (r->pack, (const char *) e->data.scalar.value, e->data.scalar.length);
  l->want_key = 0;
  place_set (r, "%s%s", r->place_size[r->depth - 1] > 0 ? "." : "", (const char *) e->data.scalar.value);
  place_compare (r, line_of (e));
  return 0;
}

static int
read_scalar (struct reader *r, const yaml_event_t *e)
{
  struct level *l = top (r);
  const char *text = (const char *) e->data.scalar.value;
  if (e->data.scalar.anchor != NULL || e->data.scalar.tag != NULL)
    return REFUSE (r, e, "%s are not allowed in a manifest", e->data.scalar.anchor != NULL ? "anchors" : "tags");
  if (l != NULL && l->is_map && l->want_key)
    return read_key (r, e, l);
  enter (r, e);
  if (strlen (text) != e->data.scalar.length)
    return REFUSE (r, e, "text with a NUL character");
  if (!e->data.scalar.plain_implicit)
    hv_pack_strn (r->pack, text, e->data.scalar.length);
  else if (!vmi_scalar_pack (text, r->pack))
    return REFUSE (r, e, "the number '%.60s' is too large, or not finite", text);
  leave (r);
  return 0;
}

static int
open_level (struct reader *r, const yaml_event_t *e, int is_map, const yaml_char_t *anchor, const yaml_char_t *tag)
{
  struct level *l = top (r);
  if (anchor != NULL || tag != NULL)
    return REFUSE (r, e, "%s are not allowed in a manifest", anchor != NULL ? "anchors" : "tags");
  if (l != NULL && l->is_map && l->want_key)
    return REFUSE (r, e, "a key must be text");
  if (r->depth >= VMI_YAML_DEPTH)
    return refuse (r, line_of (e), HV_E_RESOURCE_EXHAUSTED, "nested deeper than %u", VMI_YAML_DEPTH);
  enter (r, e);
  l = &r->levels[r->depth++];
  r->place_size[r->depth] = r->place_size[r->depth - 1];
  l->is_map = l->want_key = (uint8_t) is_map;
  l->count = 0;
  l->keys_at = (uint32_t) r->keys.size;
  l->mark = is_map ? hv_pack_map_open (r->pack) : hv_pack_array_open (r->pack);
  return 0;
}

static void
close_level (struct reader *r)
{
  struct level *l = &r->levels[--r->depth];
  if (l->is_map)
    hv_pack_map_close (r->pack, l->mark, l->count);
  else
    hv_pack_array_close (r->pack, l->mark, l->count);
  r->keys.size = l->keys_at;
  leave (r);
}

static int
read_event (struct reader *r, const yaml_event_t *e)
{
  switch (e->type) {
  case YAML_SCALAR_EVENT:
    return read_scalar (r, e);
  case YAML_SEQUENCE_START_EVENT:
    return open_level (r, e, 0, e->data.sequence_start.anchor, e->data.sequence_start.tag);
  case YAML_MAPPING_START_EVENT:
    return open_level (r, e, 1, e->data.mapping_start.anchor, e->data.mapping_start.tag);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT:
    close_level (r);
    return 0;
  case YAML_ALIAS_EVENT:
    return REFUSE (r, e, "aliases are not allowed in a manifest");
  default:
    return REFUSE (r, e, "not expected here");
  }
}

/* One document into r->pack, up to and including its end. */
static int
read_document (struct reader *r)
{
  int rc = 0, end = 0;
  r->place_size[0] = 0;
  while (rc == 0 && !end) {
    yaml_event_t e;
    rc = next (r, &e);
    if (rc < 0)
      return rc;
    end = e.type == YAML_DOCUMENT_END_EVENT;
    if (!end)
      rc = read_event (r, &e);
    if (rc == 0 && (r->pack->failed || r->keys.failed))
      rc = refuse (r, line_of (&e), HV_E_RESOURCE_EXHAUSTED, "out of memory");
    yaml_event_delete (&e);
  }
  return rc;
}

static int
is_nil (const struct hv_pack *p)
{
  return p->size == 1 && p->data[0] == 0xc0;
}

/* Keeps a document that is not empty. */
static int
keep (struct reader *r, struct vmi_yaml *y, uint32_t number, uint32_t line)
{
  struct vmi_yaml_doc *d = &y->docs[y->count];
  d->number = number;
  d->line = line;
  r->pack = &d->pack;
  int rc = read_document (r);
  if (rc == 0 && is_nil (&d->pack))
    hv_pack_clear (&d->pack);
  else
    y->count++; /* also after a failure: it is cleared with the others */
  return rc;
}

static int
read_documents (struct reader *r, struct vmi_yaml *y)
{
  uint32_t number = 0;
  int rc = 0, end = 0;
  while (rc == 0 && !end) {
    yaml_event_t e;
    rc = next (r, &e);
    if (rc < 0)
      return rc;
    uint32_t line = line_of (&e);
    yaml_event_type_t type = e.type;
    yaml_event_delete (&e);
    end = type == YAML_STREAM_END_EVENT;
    if (type != YAML_DOCUMENT_START_EVENT)
      continue;
    if (++number > VMI_YAML_DOCUMENTS)
      return refuse (r, line, HV_E_RESOURCE_EXHAUSTED, "more than %u documents", VMI_YAML_DOCUMENTS);
    rc = keep (r, y, number, line);
  }
  return rc;
}

static int
reader_open (struct reader *r, const char *text, uint64_t size, struct hv_err *err)
{
  r->err = err;
  r->levels = calloc (VMI_YAML_DEPTH, sizeof *r->levels);
  if (r->levels == NULL || !yaml_parser_initialize (&r->parser)) {
    free (r->levels);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  yaml_parser_set_encoding (&r->parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string (&r->parser, (const unsigned char *) text, size);
  return 0;
}

static void
reader_close (struct reader *r)
{
  yaml_parser_delete (&r->parser);
  free (r->levels);
  hv_pack_clear (&r->keys);
}

int
vmi_yaml_read (const char *text, uint64_t size, struct vmi_yaml *ret, struct hv_err *err)
{
  struct reader r = { .depth = 0 };
  *ret = (struct vmi_yaml){ .count = 0 };
  if (size > VMI_YAML_BYTES)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "a manifest of %llu bytes; at most %u are taken", (unsigned long long) size,
                       VMI_YAML_BYTES);
  int rc = reader_open (&r, text, size, err);
  if (rc < 0)
    return rc;
  rc = read_documents (&r, ret);
  reader_close (&r);
  if (rc < 0)
    vmi_yaml_clear (ret);
  return rc;
}

void
vmi_yaml_clear (struct vmi_yaml *y)
{
  for (uint32_t i = 0; i < y->count; i++)
    hv_pack_clear (&y->docs[i].pack);
  y->count = 0;
}

uint32_t
vmi_yaml_line (const char *text, uint64_t size, uint32_t number, const char *path)
{
  struct reader r = { .depth = 0 };
  struct hv_pack pack = { 0 };
  uint32_t seen = 0;
  if (path == NULL || reader_open (&r, text, size, NULL) < 0)
    return 0;
  r.pack = &pack;
  for (int rc = 0, end = 0; rc == 0 && !end;) {
    yaml_event_t e;
    if (next (&r, &e) < 0)
      break;
    uint32_t line = line_of (&e);
    int start = e.type == YAML_DOCUMENT_START_EVENT;
    end = e.type == YAML_STREAM_END_EVENT;
    yaml_event_delete (&e);
    if (!start)
      continue;
    if (++seen == number) {
      r.path = path;
      r.found_line = line;
    }
    hv_pack_clear (&pack);
    rc = read_document (&r);
    end = seen == number;
  }
  reader_close (&r);
  hv_pack_clear (&pack);
  return r.found_line;
}
