/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See guests.h. */
#include "guests.h"
#include <stdlib.h>
#include <string.h>

struct ga_guest *
ga_guests_find (const struct ga_guests *guests, const char *backend, const char *vm)
{
  for (struct ga_guest *g = guests->first; g != NULL; g = g->next)
    if (strcmp (g->vm, vm) == 0 && strcmp (g->backend, backend) == 0)
      return g;
  return NULL;
}

struct ga_guest *
ga_guests_add (struct ga_guests *guests, const char *backend, const char *vm)
{
  struct ga_guest *g = guests->count < GA_GUESTS_MAX ? calloc (1, sizeof *g) : NULL;
  if (g == NULL)
    return NULL;
  *g = (struct ga_guest){ .refs = 1, .backend = strdup (backend), .vm = strdup (vm), .next = guests->first };
  if (g->backend == NULL || g->vm == NULL) {
    ga_guest_unref (g);
    return NULL;
  }
  guests->first = g;
  guests->count++;
  return g;
}

void
ga_guests_remove (struct ga_guests *guests, struct ga_guest *g)
{
  struct ga_guest **at = &guests->first;
  while (*at != g)
    at = &(*at)->next;
  *at = g->next;
  guests->count--;
  ga_guest_unref (g);
}

void
ga_guest_unref (struct ga_guest *g)
{
  if (--g->refs > 0)
    return;
  for (uint32_t i = 0; i < GA_READINGS; i++)
    free (g->answers[i].reply);
  free (g->backend);
  free (g->vm);
  free (g);
}

int
ga_guest_put (struct ga_guest *g, uint32_t reading, const char *reply, uint64_t now_ms)
{
  struct ga_answer *a = &g->answers[reading];
  a->at_ms = now_ms;
  if (a->reply != NULL && strcmp (a->reply, reply) == 0)
    return 0;
  char *copy = strlen (reply) <= GA_ANSWER_BYTES_MAX ? strdup (reply) : NULL;
  free (a->reply);
  a->reply = copy;
  return copy != NULL;
}

const char *
ga_guest_get (const struct ga_guest *g, uint32_t reading, uint64_t now_ms, uint64_t max_age_ms, uint64_t *ret_age_ms)
{
  const struct ga_answer *a = &g->answers[reading];
  if (a->reply == NULL || now_ms - a->at_ms > max_age_ms)
    return NULL;
  *ret_age_ms = now_ms - a->at_ms;
  return a->reply;
}
