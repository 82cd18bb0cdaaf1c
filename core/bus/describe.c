/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What bus.describe answers: every instance's tables, as the CLI, completion, docs and other clients read them. */
#include "core/bus/private.h"
#include <stdio.h>
#include <string.h>

static void
pair (struct hv_pack *p, const char *key, const char *value, uint32_t *count)
{
  if (value == NULL)
    return;
  hv_pack_str (p, key);
  hv_pack_str (p, value);
  (*count)++;
}

static void
describe_cli (const struct hv_cli *cli, struct hv_pack *p)
{
  struct hv_cli c = { 0 };
  uint32_t n = 0;
  if (cli == NULL) {
    hv_pack_nil (p);
    return;
  }
  memcpy (&c, cli, cli->struct_size < sizeof c ? cli->struct_size : sizeof c);
  uint64_t map = hv_pack_map_open (p);
  pair (p, "words", c.words, &n);
  pair (p, "positional", c.positional, &n);
  pair (p, "columns", c.columns, &n);
  pair (p, "wide", c.wide, &n);
  pair (p, "list", c.list, &n);
  pair (p, "done", c.done, &n);
  pair (p, "watch", c.watch, &n);
  pair (p, "shorts", c.shorts, &n);
  if (c.flags & HV_CLI_TERMINAL) {
    hv_pack_str (p, "terminal");
    hv_pack_bool (p, 1);
    n++;
  }
  if (c.flags & HV_CLI_TEXT) {
    hv_pack_str (p, "text");
    hv_pack_bool (p, 1);
    n++;
  }
  hv_pack_map_close (p, map, n);
}

static void
describe_flags (uint32_t flags, struct hv_pack *p)
{
  static const struct {
    uint32_t bit;
    const char *word;
  } words[]
      = { { HV_FAST, "fast" }, { HV_READ, "read" }, { HV_HIDDEN, "hidden" }, { HV_MUST, "must" }, { HV_PROGRESS, "progress" } };
  uint32_t n = 0;
  uint64_t list = hv_pack_array_open (p);
  for (size_t k = 0; k < sizeof words / sizeof *words; k++)
    if (flags & words[k].bit) {
      hv_pack_str (p, words[k].word);
      n++;
    }
  hv_pack_array_close (p, list, n);
}

static void
describe_record (const char *key, const struct hv_record *rec, struct hv_pack *p, uint32_t *count)
{
  hv_pack_str (p, key);
  if (rec != NULL)
    hv_record_describe (rec, p);
  else
    hv_pack_nil (p);
  (*count)++;
}

static void
describe_method (const struct hv_route *r, struct hv_pack *p)
{
  static const char *const access[] = { "nobody", "viewer", "operator", "admin" };
  static const char *const lanes[] = { "none", "mutate", "destroy", "agent" };
  const struct hv_method *m = &r->method;
  uint32_t n = 0;
  uint64_t map = hv_pack_map_open (p);
  pair (p, "name", r->name, &n);
  pair (p, "verb", m->verb, &n);
  pair (p, "doc", m->doc, &n);
  pair (p, "since", m->since != NULL ? m->since : "0.1.0", &n);
  pair (p, "access", access[m->access & 3], &n);
  pair (p, "lane", lanes[m->lane & 3], &n);
  pair (p, "key", m->key, &n);
  hv_pack_str (p, "timeout_ms");
  hv_pack_u64 (p, m->timeout_ms != 0 ? m->timeout_ms : (m->flags & HV_READ) ? 5000 : 30000);
  hv_pack_str (p, "flags");
  describe_flags (m->flags, p);
  hv_pack_str (p, "cli");
  describe_cli (m->cli, p);
  n += 3;
  describe_record ("args", m->args, p, &n);
  describe_record ("result", m->result, p, &n);
  hv_pack_map_close (p, map, n);
}

static void
describe_provides (const struct hv_instance *i, struct hv_pack *p)
{
  uint32_t n = 0;
  uint64_t list = hv_pack_array_open (p);
  for (const struct hv_iface *const *f = i->plugin.provides; f != NULL && *f != NULL; f++, n++) {
    hv_pack_map (p, 2);
    hv_pack_str (p, "name");
    hv_pack_str (p, (*f)->name);
    hv_pack_str (p, "major");
    hv_pack_u64 (p, (*f)->major);
  }
  hv_pack_array_close (p, list, n);
}

static void
describe_events (const struct hv_instance *i, struct hv_pack *p)
{
  uint32_t n = 0;
  uint64_t list = hv_pack_array_open (p);
  for (const struct hv_event *const *e = i->events; *e != NULL; e++, n++) {
    char topic[256];
    uint32_t members = 0;
    (void) snprintf (topic, sizeof topic, "%s.%s", i->name, (*e)->name);
    uint64_t map = hv_pack_map_open (p);
    pair (p, "topic", topic, &members);
    pair (p, "doc", (*e)->struct_size > offsetof (struct hv_event, doc) ? (*e)->doc : NULL, &members);
    describe_record ("data", (*e)->data, p, &members);
    hv_pack_map_close (p, map, members);
  }
  hv_pack_array_close (p, list, n);
}

void
hv_describe_instance (struct hv_instance *i, struct hv_pack *p)
{
  uint32_t n = 0;
  uint64_t map = hv_pack_map_open (p);
  pair (p, "name", i->name, &n);
  pair (p, "plugin", i->plugin.name, &n);
  pair (p, "version", i->plugin.version, &n);
  pair (p, "summary", i->plugin.summary, &n);
  pair (p, "state", hv_instance_state_words[atomic_load (&i->state)], &n);
  hv_pack_str (p, "provides");
  describe_provides (i, p);
  hv_pack_str (p, "methods");
  hv_pack_array (p, i->route_count);
  for (uint32_t k = 0; k < i->route_count; k++)
    describe_method (&i->routes[k], p);
  hv_pack_str (p, "events");
  describe_events (i, p);
  hv_pack_map_close (p, map, n + 3);
}
