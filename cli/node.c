/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "node.h"
#include <stdlib.h>
#include <string.h>

/* --- memory --- */

void *
hv_node_alloc (struct hv_arena *a, uint64_t size)
{
  void *p = hv_arena_alloc (a, size);
  if (p == NULL) {
    fputs ("hvkit: out of memory\n", stderr);
    exit (1);
  }
  return p;
}

char *
hv_node_strn (struct hv_arena *a, const char *s, uint64_t n)
{
  char *p = hv_node_alloc (a, n + 1);
  if (n > 0)
    memcpy (p, s, n);
  p[n] = '\0';
  return p;
}

char *
hv_node_printf (struct hv_arena *a, const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  int n = vsnprintf (NULL, 0, fmt, ap);
  va_end (ap);
  char *p = hv_node_alloc (a, (uint64_t) n + 1);
  va_start (ap, fmt);
  (void) vsnprintf (p, (size_t) n + 1, fmt, ap);
  va_end (ap);
  return p;
}

/* --- building --- */

struct hv_node *
hv_node_new (struct hv_arena *a, uint32_t type)
{
  struct hv_node *n = hv_node_alloc (a, sizeof *n);
  n->type = type;
  return n;
}

struct hv_node *
hv_node_text (struct hv_arena *a, const char *text)
{
  struct hv_node *n = hv_node_new (a, HV_NODE_STR);
  n->as.s.size = strlen (text);
  n->as.s.data = hv_node_strn (a, text, n->as.s.size);
  return n;
}

struct hv_node *
hv_node_uint (struct hv_arena *a, uint64_t u)
{
  struct hv_node *n = hv_node_new (a, HV_NODE_UINT);
  n->as.u = u;
  return n;
}

static void
reserve (struct hv_arena *a, struct hv_node *n, uint32_t capacity)
{
  if (capacity <= n->capacity)
    return;
  struct hv_node **items = hv_node_alloc (a, (uint64_t) capacity * sizeof *items);
  if (n->count > 0)
    memcpy (items, n->as.items, n->count * sizeof *items);
  n->as.items = items;
  n->capacity = capacity;
}

void
hv_node_append (struct hv_arena *a, struct hv_node *list, struct hv_node *item)
{
  if (list->count == list->capacity)
    reserve (a, list, list->capacity == 0 ? 4 : list->capacity * 2);
  list->as.items[list->count++] = item;
}

static uint32_t
index_of (const struct hv_node *map, const char *key)
{
  uint32_t i = 0;
  while (i < map->count && strcmp (map->as.items[i]->key, key) != 0)
    i++;
  return i;
}

void
hv_node_put (struct hv_arena *a, struct hv_node *map, const char *key, struct hv_node *value)
{
  uint32_t i = index_of (map, key);
  value->key = hv_node_strn (a, key, strlen (key));
  if (i < map->count)
    map->as.items[i] = value;
  else
    hv_node_append (a, map, value);
}

void
hv_node_remove (struct hv_node *map, const char *key)
{
  uint32_t i = index_of (map, key);
  if (i == map->count)
    return;
  map->count--;
  memmove (&map->as.items[i], &map->as.items[i + 1], (map->count - i) * sizeof *map->as.items);
}

/* --- looking --- */

static struct hv_node *
get_n (const struct hv_node *n, const char *key, uint64_t len)
{
  if (n != NULL && n->type == HV_NODE_LIST && len > 0 && len < 9 && strspn (key, "0123456789") >= len) {
    uint64_t i = strtoull (key, NULL, 10);
    return i < n->count ? n->as.items[i] : NULL;
  }
  if (n == NULL || n->type != HV_NODE_MAP)
    return NULL;
  for (uint32_t i = 0; i < n->count; i++)
    if (strncmp (n->as.items[i]->key, key, len) == 0 && n->as.items[i]->key[len] == '\0')
      return n->as.items[i];
  return NULL;
}

struct hv_node *
hv_node_get (const struct hv_node *map, const char *key)
{
  return get_n (map, key, strlen (key));
}

struct hv_node *
hv_node_path (const struct hv_node *n, const char *path, uint64_t size)
{
  const char *end = path + size;
  struct hv_node *at = NULL;
  while (path < end) {
    const char *dot = memchr (path, '.', (size_t) (end - path));
    uint64_t len = (uint64_t) ((dot != NULL ? dot : end) - path);
    at = get_n (n, path, len);
    if (at == NULL)
      return NULL;
    n = at;
    path += len + (dot != NULL);
  }
  return at;
}

const char *
hv_node_str (const struct hv_node *map, const char *key)
{
  const struct hv_node *n = hv_node_get (map, key);
  return n != NULL && n->type == HV_NODE_STR ? n->as.s.data : NULL;
}

uint64_t
hv_node_u64 (const struct hv_node *map, const char *key)
{
  const struct hv_node *n = hv_node_get (map, key);
  return n != NULL && n->type == HV_NODE_UINT ? n->as.u : 0;
}

int
hv_node_true (const struct hv_node *map, const char *key)
{
  const struct hv_node *n = hv_node_get (map, key);
  return n != NULL && n->type == HV_NODE_BOOL && n->as.u != 0;
}

int
hv_node_has_word (const struct hv_node *list, const char *word)
{
  if (list == NULL || list->type != HV_NODE_LIST)
    return 0;
  for (uint32_t i = 0; i < list->count; i++)
    if (list->as.items[i]->type == HV_NODE_STR && strcmp (list->as.items[i]->as.s.data, word) == 0)
      return 1;
  return 0;
}

int
hv_node_is_scalar (const struct hv_node *n)
{
  return n->type < HV_NODE_LIST;
}

/* --- msgpack --- */

static struct hv_node *decode_next (struct hv_arena *, struct hv_read *);

/* Keys that are no text (another program's maps may have them) are shown as what they are. */
static const char *
decode_key (struct hv_arena *a, struct hv_read *r)
{
  const struct hv_node *k = decode_next (a, r);
  if (k->type == HV_NODE_STR)
    return k->as.s.data;
  if (k->type == HV_NODE_UINT)
    return hv_node_printf (a, "%llu", (unsigned long long) k->as.u);
  if (k->type == HV_NODE_INT)
    return hv_node_printf (a, "%lld", (long long) k->as.i);
  return "?";
}

static void
decode_items (struct hv_arena *a, struct hv_read *r, struct hv_node *n, uint32_t count)
{
  reserve (a, n, count);
  for (uint32_t i = 0; i < count; i++) {
    const char *key = n->type == HV_NODE_MAP ? decode_key (a, r) : NULL;
    struct hv_node *item = decode_next (a, r);
    item->key = key;
    hv_node_append (a, n, item);
  }
}

static struct hv_node *
decode_next (struct hv_arena *a, struct hv_read *r)
{
  static const uint32_t types[] = { [HV_MP_BOOL] = HV_NODE_BOOL,  [HV_MP_UINT] = HV_NODE_UINT, [HV_MP_INT] = HV_NODE_INT,
                                    [HV_MP_F64] = HV_NODE_F64,    [HV_MP_STR] = HV_NODE_STR,   [HV_MP_BIN] = HV_NODE_BIN,
                                    [HV_MP_ARRAY] = HV_NODE_LIST, [HV_MP_MAP] = HV_NODE_MAP,   [HV_MP_EXT] = HV_NODE_BIN };
  struct hv_value v;
  struct hv_node *n = hv_node_new (a, HV_NODE_NIL);
  if (!hv_read_next (r, &v))
    return n;
  n->type = v.type < sizeof types / sizeof *types ? types[v.type] : HV_NODE_NIL;
  if (n->type == HV_NODE_BOOL || n->type == HV_NODE_UINT)
    n->as.u = v.as.u;
  else if (n->type == HV_NODE_INT)
    n->as.i = v.as.i;
  else if (n->type == HV_NODE_F64)
    n->as.f = v.as.f;
  else if (n->type == HV_NODE_STR || n->type == HV_NODE_BIN) {
    n->as.s.data = hv_node_strn (a, (const char *) v.as.data, v.size);
    n->as.s.size = v.size;
  } else if (n->type != HV_NODE_NIL)
    decode_items (a, r, n, v.size);
  return n;
}

struct hv_node *
hv_node_decode (struct hv_arena *a, struct hv_bin b)
{
  struct hv_read r = { b.data, b.data + b.size };
  return decode_next (a, &r);
}

static void
encode_items (const struct hv_node *n, struct hv_pack *p)
{
  if (n->type == HV_NODE_MAP)
    hv_pack_map (p, n->count);
  else
    hv_pack_array (p, n->count);
  for (uint32_t i = 0; i < n->count; i++) {
    if (n->type == HV_NODE_MAP)
      hv_pack_str (p, n->as.items[i]->key);
    hv_node_encode (n->as.items[i], p);
  }
}

void
hv_node_encode (const struct hv_node *n, struct hv_pack *p)
{
  switch (n->type) {
  case HV_NODE_BOOL:
    hv_pack_bool (p, n->as.u != 0);
    break;
  case HV_NODE_UINT:
    hv_pack_u64 (p, n->as.u);
    break;
  case HV_NODE_INT:
    hv_pack_i64 (p, n->as.i);
    break;
  case HV_NODE_F64:
    hv_pack_f64 (p, n->as.f);
    break;
  case HV_NODE_STR:
    hv_pack_strn (p, n->as.s.data, n->as.s.size);
    break;
  case HV_NODE_BIN:
    hv_pack_bin (p, n->as.s.data, n->as.s.size);
    break;
  case HV_NODE_LIST:
  case HV_NODE_MAP:
    encode_items (n, p);
    break;
  default:
    hv_pack_nil (p);
  }
}
