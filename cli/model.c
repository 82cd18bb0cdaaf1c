/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bus.describe → the model. What a newer daemon adds is ignored; what an older one leaves out is empty. */
#include "cli.h"
#include <string.h>

static const struct hv_model_record empty_record = { .name = "", .doc = "" };

static const struct hv_model_record *build_record (struct hv_arena *, const struct hv_node *);

static const char *
text_or (const struct hv_node *map, const char *key, const char *otherwise)
{
  const char *s = hv_node_str (map, key);
  return s != NULL ? s : otherwise;
}

static const struct hv_node *
list_of (const struct hv_node *map, const char *key)
{
  static const struct hv_node none = { .type = HV_NODE_LIST };
  const struct hv_node *n = hv_node_get (map, key);
  return n != NULL && n->type == HV_NODE_LIST ? n : &none;
}

static const char *const *
build_words (struct hv_arena *a, const struct hv_node *list)
{
  uint32_t n = 0;
  const char **words = hv_node_alloc (a, (list->count + 1) * sizeof *words);
  for (uint32_t i = 0; i < list->count; i++)
    if (list->as.items[i]->type == HV_NODE_STR)
      words[n++] = list->as.items[i]->as.s.data;
  return words;
}

static const char *
dashed (struct hv_arena *a, const char *name)
{
  char *s = hv_node_strn (a, name, strlen (name));
  for (char *c = s; *c != '\0'; c++)
    if (*c == '_')
      *c = '-';
  return s;
}

/* Ranges are numbers; those of text and lists (lengths) are left to the daemon. */
static const struct hv_node *
build_bound (const struct hv_node *map, const char *key)
{
  const struct hv_node *n = hv_node_get (map, key);
  return n != NULL && (n->type == HV_NODE_UINT || n->type == HV_NODE_INT) ? n : NULL;
}

static const char *
build_default (struct hv_arena *a, const struct hv_node *map)
{
  const struct hv_node *n = hv_node_get (map, "default");
  return n == NULL || n->type == HV_NODE_NIL ? NULL : hv_format_value (a, n, "", 0);
}

static void
build_field (struct hv_arena *a, const struct hv_node *n, struct hv_model_field *f)
{
  const struct hv_node *flags = hv_node_get (n, "flags");
  f->name = text_or (n, "name", "?");
  f->dashed = dashed (a, f->name);
  f->type = text_or (n, "type", "any");
  f->unit = hv_node_str (n, "unit");
  f->doc = text_or (n, "doc", "");
  f->since = hv_node_str (n, "since");
  f->def = build_default (a, n);
  f->min = build_bound (n, "min");
  f->max = build_bound (n, "max");
  f->words = build_words (a, list_of (n, "words"));
  f->record = build_record (a, hv_node_get (n, "record"));
  f->required = (uint8_t) hv_node_has_word (flags, "required");
  f->file = (uint8_t) hv_node_has_word (flags, "file");
  f->path = (uint8_t) hv_node_has_word (flags, "path");
  f->secret = (uint8_t) hv_node_has_word (flags, "secret");
  f->deprecated = (uint8_t) hv_node_has_word (flags, "deprecated");
  f->ignored = (uint8_t) hv_node_has_word (flags, "ignored");
  f->stream = (uint8_t) hv_node_has_word (flags, "stream");
}

static const struct hv_model_record *
build_record (struct hv_arena *a, const struct hv_node *n)
{
  if (n == NULL || n->type != HV_NODE_MAP)
    return &empty_record;
  const struct hv_node *list = list_of (n, "fields");
  struct hv_model_record *r = hv_node_alloc (a, sizeof *r);
  struct hv_model_field *fields = hv_node_alloc (a, (list->count + 1) * sizeof *fields);
  for (uint32_t i = 0; i < list->count; i++)
    build_field (a, list->as.items[i], &fields[i]);
  *r = (struct hv_model_record){ text_or (n, "name", ""), text_or (n, "doc", ""), list->count, fields };
  return r;
}

/* A result that is a byte stream, or one piece of binary data, is not printed but passed on. */
static void
find_payload (struct hv_model_method *m)
{
  uint32_t binaries = 0;
  for (uint32_t i = 0; i < m->result->count; i++) {
    const struct hv_model_field *f = &m->result->fields[i];
    if (f->stream)
      m->stream = f->name;
    if (strcmp (f->type, "bin") != 0)
      continue;
    binaries++;
    m->binary = f->required ? f->name : NULL;
  }
  if (binaries != 1)
    m->binary = NULL;
}

static void
build_method (struct hv_arena *a, const struct hv_model_instance *instance, const struct hv_node *n, struct hv_model_method *m)
{
  const struct hv_node *flags = hv_node_get (n, "flags"), *cli = hv_node_get (n, "cli");
  m->name = text_or (n, "name", "?");
  m->verb = text_or (n, "verb", "?");
  m->doc = text_or (n, "doc", "");
  m->since = hv_node_str (n, "since");
  m->access = text_or (n, "access", "?");
  m->lane = text_or (n, "lane", "none");
  m->key = hv_node_str (n, "key");
  m->timeout_ms = hv_node_u64 (n, "timeout_ms");
  m->read = (uint8_t) hv_node_has_word (flags, "read");
  m->hidden = (uint8_t) hv_node_has_word (flags, "hidden");
  m->progress = (uint8_t) hv_node_has_word (flags, "progress");
  m->args = build_record (a, hv_node_get (n, "args"));
  m->result = build_record (a, hv_node_get (n, "result"));
  m->words = hv_node_str (cli, "words");
  m->positional = hv_node_str (cli, "positional");
  m->columns = hv_node_str (cli, "columns");
  m->wide = hv_node_str (cli, "wide");
  m->list = hv_node_str (cli, "list");
  m->done = hv_node_str (cli, "done");
  m->watch = hv_node_str (cli, "watch");
  m->shorts = hv_node_str (cli, "shorts");
  m->terminal = (uint8_t) hv_node_true (cli, "terminal");
  m->text = (uint8_t) hv_node_true (cli, "text");
  find_payload (m);
  m->instance = instance;
}

static const char *
build_provides (struct hv_arena *a, const struct hv_node *list)
{
  const char *text = "";
  for (uint32_t i = 0; i < list->count; i++)
    text = hv_node_printf (a, "%s%s%s/%llu", text, i > 0 ? ", " : "", text_or (list->as.items[i], "name", "?"),
                           (unsigned long long) hv_node_u64 (list->as.items[i], "major"));
  return text;
}

static void
build_instance (struct hv_arena *a, const struct hv_node *n, struct hv_model_instance *i)
{
  const struct hv_node *methods = list_of (n, "methods"), *events = list_of (n, "events");
  struct hv_model_method *m = hv_node_alloc (a, (methods->count + 1) * sizeof *m);
  struct hv_model_event *e = hv_node_alloc (a, (events->count + 1) * sizeof *e);
  for (uint32_t k = 0; k < methods->count; k++)
    build_method (a, i, methods->as.items[k], &m[k]);
  for (uint32_t k = 0; k < events->count; k++) {
    const struct hv_node *ev = events->as.items[k];
    e[k] = (struct hv_model_event){ text_or (ev, "topic", "?"), text_or (ev, "doc", ""),
                                    build_record (a, hv_node_get (ev, "data")) };
  }
  i->name = text_or (n, "name", "?");
  i->plugin = text_or (n, "plugin", "");
  i->version = text_or (n, "version", "");
  i->summary = text_or (n, "summary", "");
  i->state = text_or (n, "state", "");
  i->provides = build_provides (a, list_of (n, "provides"));
  i->method_count = methods->count;
  i->event_count = events->count;
  i->methods = m;
  i->events = e;
}

const struct hv_model *
hv_model_build (struct hv_arena *a, const struct hv_node *describe)
{
  const struct hv_node *list = list_of (describe, "instances");
  struct hv_model *model = hv_node_alloc (a, sizeof *model);
  struct hv_model_instance *instances = hv_node_alloc (a, (list->count + 1) * sizeof *instances);
  for (uint32_t i = 0; i < list->count; i++)
    build_instance (a, list->as.items[i], &instances[i]);
  *model = (struct hv_model){ describe, list->count, instances };
  return model;
}

/* --- looking up --- */

const struct hv_model_instance *
hv_model_find_instance (const struct hv_model *model, const char *name)
{
  for (uint32_t i = 0; i < model->instance_count; i++)
    if (strcmp (model->instances[i].name, name) == 0)
      return &model->instances[i];
  return NULL;
}

const struct hv_model_method *
hv_model_find_method (const struct hv_model *model, const char *name)
{
  for (uint32_t i = 0; i < model->instance_count; i++)
    for (uint32_t k = 0; k < model->instances[i].method_count; k++)
      if (strcmp (model->instances[i].methods[k].name, name) == 0)
        return &model->instances[i].methods[k];
  return NULL;
}

static int
same_name (const char *field, const char *typed, uint64_t n)
{
  for (uint64_t i = 0; i < n; i++)
    if (field[i] != (typed[i] == '-' ? '_' : typed[i]))
      return 0;
  return field[n] == '\0';
}

const struct hv_model_field *
hv_model_find_field (const struct hv_model_record *r, const char *name, uint64_t n)
{
  for (uint32_t i = 0; i < r->count; i++)
    if ((strlen (r->fields[i].name) == n && memcmp (r->fields[i].name, name, n) == 0) || same_name (r->fields[i].name, name, n))
      return &r->fields[i];
  return NULL;
}
