/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plugin as an older SDK would have built it: every table is shorter than today's, and says so in struct_size. Its binary is kept
 * beside it and loaded by a test, for ever. It includes nothing: these are the old headers. Built by: sdk/abi/old/build */
#include <stddef.h>
#include <stdint.h>

struct hv_field { /* up to and including record: no words, pattern, since */
  uint32_t struct_size, type, flags, offset, has_offset, item_size;
  const char *name, *doc, *unit, *def;
  int64_t min;
  uint64_t umin, max;
  const void *record;
};
struct hv_record {
  uint32_t struct_size, c_size;
  const char *name, *doc;
  const struct hv_field *const *fields;
};
struct hv_method { /* no cli, doc, since, base */
  uint32_t struct_size, flags;
  const char *verb;
  int (*handler) (void *, void *, const void *, void *, void *);
  const struct hv_record *args, *result;
  uint32_t access, lane;
  const char *key;
  uint32_t timeout_ms, reserved;
};
struct hv_event { /* no doc, since */
  uint32_t struct_size, flags;
  const char *name;
  const struct hv_record *data;
};
struct hv_plugin { /* no stop */
  uint32_t struct_size;
  uint16_t abi_major, abi_minor;
  const char *name, *version, *summary, *license;
  const void *provides, *needs;
  const struct hv_record *config;
  const struct hv_method *const *methods;
  const struct hv_event *const *events;
  int (*start) (void *, const void *, void **, void *);
};

struct numbers {
  uint64_t a, b;
  struct {
    uint8_t a, b;
  } has;
};
static const struct hv_field field_a = { sizeof field_a, 4, 1, offsetof (struct numbers, a), offsetof (struct numbers, has.a), 0, "a", "first", NULL, NULL, 0, 0, 1000, NULL };
static const struct hv_field field_b = { sizeof field_b, 4, 0, offsetof (struct numbers, b), offsetof (struct numbers, has.b), 0, "b", "second", NULL, "7", 0, 0, 1000, NULL };
static const struct hv_field *const number_fields[] = { &field_a, &field_b, NULL };
static const struct hv_record numbers = { sizeof numbers, sizeof (struct numbers), "numbers", "two numbers", number_fields };

static int
add (void *self, void *call, const void *args, void *result, void *err)
{
  const struct numbers *in = args;
  struct numbers *out = result;
  (void) self;
  (void) call;
  (void) err;
  out->a = in->a + in->b;
  return 0;
}

static int
start (void *host, const void *config, void **ret_self, void *err)
{
  (void) config;
  (void) err;
  *ret_self = host;
  return 0;
}

static const struct hv_method method_add = { sizeof method_add, 2, "add", add, &numbers, &numbers, 1, 0, NULL, 0, 0 };
static const struct hv_method *const methods[] = { &method_add, NULL };
static const struct hv_event event_added = { sizeof event_added, 0, "added", &numbers };
static const struct hv_event *const events[] = { &event_added, NULL };
static const struct hv_plugin plugin = { sizeof plugin, 1, 0, "short-tables", "0.9", "built against shorter tables", "LGPL-2.1-or-later", NULL, NULL, NULL, methods, events, start };

__attribute__ ((visibility ("default"))) const struct hv_plugin *hv_plugin_entry_v1 (void);
const struct hv_plugin *
hv_plugin_entry_v1 (void)
{
  return &plugin;
}
