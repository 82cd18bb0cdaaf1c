/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bump allocation: a chain of chunks, newest first. A mark is the number of bytes handed out so far. */
#include "core/schema/schema.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN 2032u /* with its head, what malloc rounds to 2 KiB */
#define KEEP_MAX  (16u << 10)

struct hv_arena_chunk {
  struct hv_arena_chunk *next;
  uint64_t size, used, base; /* base: used_total when it was made */
  _Alignas(16) uint8_t data[];
};

void *
hv_arena_alloc (struct hv_arena *a, uint64_t size)
{
  uint64_t n;
  struct hv_arena_chunk *c = a->head;
  if (__builtin_add_overflow (size, 15, &n))
    return NULL;
  n &= ~(uint64_t) 15;
  n = n == 0 ? 16 : n;
  if (c == NULL || c->size - c->used < n) {
    uint64_t want = c != NULL ? c->size * 2 : CHUNK_MIN, total;
    want = want > (1u << 20) ? 1u << 20 : want;
    want = want < n ? n : want;
    if (__builtin_add_overflow (want, sizeof *c, &total) || (c = malloc (total)) == NULL)
      return NULL;
    *c = (struct hv_arena_chunk){ .next = a->head, .size = want, .base = a->used_total };
    a->head = c;
  }
  void *p = c->data + c->used;
  c->used += n;
  a->used_total += n;
  memset (p, 0, n);
  return p;
}

uint64_t
hv_arena_mark (struct hv_arena *a)
{
  return a->used_total;
}

/* Everything is released: one chunk stays for the next call, the newest (the largest) unless that was an exception. */
static void
reset (struct hv_arena *a)
{
  struct hv_arena_chunk *keep = a->head;
  while (keep != NULL && keep->size > KEEP_MAX && keep->next != NULL)
    keep = keep->next;
  while (a->head != NULL) {
    struct hv_arena_chunk *c = a->head;
    a->head = c->next;
    if (c != keep)
      free (c);
  }
  if (keep != NULL) {
    keep->next = NULL;
    keep->used = keep->base = 0;
  }
  a->head = keep;
  a->used_total = 0;
}

void
hv_arena_release (struct hv_arena *a, uint64_t mark)
{
  if (mark == 0) {
    reset (a);
    return;
  }
  while (a->head != NULL && a->head->base >= mark && a->head->next != NULL) {
    struct hv_arena_chunk *c = a->head;
    a->head = c->next;
    free (c);
  }
  if (a->head != NULL && mark >= a->head->base)
    a->head->used = mark - a->head->base;
  a->used_total = mark;
}

void
hv_arena_free (struct hv_arena *a)
{
  while (a->head != NULL) {
    struct hv_arena_chunk *c = a->head;
    a->head = c->next;
    free (c);
  }
  a->used_total = 0;
}
