/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A value as a tree: what the daemon answered, or arguments while they are put together. It all lives in an arena. */
#ifndef HV_CLI_NODE_H
#define HV_CLI_NODE_H
#include "core/schema/schema.h"
#include <hvkit/msg.h>
#include <stdio.h>

#define HV_NODE_NIL  0u
#define HV_NODE_BOOL 1u
#define HV_NODE_UINT 2u
#define HV_NODE_INT  3u /* negative */
#define HV_NODE_F64  4u
#define HV_NODE_STR  5u
#define HV_NODE_BIN  6u
#define HV_NODE_LIST 7u
#define HV_NODE_MAP  8u

struct hv_node {
  uint32_t type, count, capacity;
  const char *key; /* in a map */
  union {
    uint64_t u; /* also BOOL */
    int64_t i;
    double f;
    struct {
      const char *data; /* NUL-terminated, may have NULs inside */
      uint64_t size;
    } s;
    struct hv_node **items; /* LIST and MAP */
  } as;
};

/* Memory of the program: ends it with a message when there is none. */
void *hv_node_alloc (struct hv_arena *, uint64_t size);
char *hv_node_strn (struct hv_arena *, const char *, uint64_t n);
HV_PRINTF (2, 3) char *hv_node_printf (struct hv_arena *, const char *fmt, ...);

struct hv_node *hv_node_new (struct hv_arena *, uint32_t type);
struct hv_node *hv_node_text (struct hv_arena *, const char *);
struct hv_node *hv_node_uint (struct hv_arena *, uint64_t);
void hv_node_append (struct hv_arena *, struct hv_node *list, struct hv_node *item);
void hv_node_put (struct hv_arena *, struct hv_node *map, const char *key, struct hv_node *value); /* replaces; the key is copied */
void hv_node_remove (struct hv_node *map, const char *key);

/* Lookups accept NULL and values of another type, and then find nothing. */
struct hv_node *hv_node_get (const struct hv_node *map, const char *key);
struct hv_node *hv_node_path (const struct hv_node *, const char *path, uint64_t n); /* "status.phase", "items.0.name" */
const char *hv_node_str (const struct hv_node *map, const char *key);                /* NULL unless it is text */
uint64_t hv_node_u64 (const struct hv_node *map, const char *key);                   /* 0 */
int hv_node_true (const struct hv_node *map, const char *key);                       /* 0 */
int hv_node_has_word (const struct hv_node *list, const char *word);
int hv_node_is_scalar (const struct hv_node *);

/* One msgpack value that passed the fence. */
struct hv_node *hv_node_decode (struct hv_arena *, struct hv_bin);
void hv_node_encode (const struct hv_node *, struct hv_pack *);
#endif
