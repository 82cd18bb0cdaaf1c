/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See answers.h. */
#include "answers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct answer {
  char *key, *reply; /* NULL: a free place */
  uint64_t at_ms;
};

struct hv_answers {
  struct answer all[HV_ANSWERS_MAX];
};

struct hv_answers *
hv_answers_new (void)
{
  return calloc (1, sizeof (struct hv_answers));
}

void
hv_answers_free (struct hv_answers *answers)
{
  for (uint32_t i = 0; answers != NULL && i < HV_ANSWERS_MAX; i++) {
    free (answers->all[i].key);
    free (answers->all[i].reply);
  }
  free (answers);
}

/* A newline is in none of the parts: names have none, and commands are this plugin's own. */
static char *
join (const struct hv_answer_key *key)
{
  char *text = NULL;
  return asprintf (&text, "%s\n%s\n%s", key->backend, key->vm, key->command) < 0 ? NULL : text;
}

static int
matches (const char *text, const struct hv_answer_key *key)
{
  const char *const parts[] = { key->backend, key->vm, key->command };
  for (unsigned i = 0; i < 3; i++) {
    size_t n = strlen (parts[i]);
    if (strncmp (text, parts[i], n) != 0 || text[n] != (i < 2 ? '\n' : '\0'))
      return 0;
    text += n + 1;
  }
  return 1;
}

/* Where it is, or else where it may go: a free place, or the oldest's. */
static struct answer *
place_for (struct hv_answers *answers, const struct hv_answer_key *key)
{
  struct answer *best = &answers->all[0];
  for (uint32_t i = 0; i < HV_ANSWERS_MAX; i++) {
    struct answer *a = &answers->all[i];
    if (a->key != NULL && matches (a->key, key))
      return a;
    if (best->key != NULL && (a->key == NULL || a->at_ms < best->at_ms))
      best = a;
  }
  return best;
}

void
hv_answers_put (struct hv_answers *answers, const struct hv_answer_key *key, const char *reply, uint64_t now_ms)
{
  struct answer *a = place_for (answers, key);
  free (a->key);
  free (a->reply);
  *a = (struct answer){ .at_ms = now_ms };
  if (strlen (reply) > HV_ANSWERS_BYTES_MAX)
    return;
  a->key = join (key);
  a->reply = strdup (reply);
  if (a->key == NULL || a->reply == NULL) {
    free (a->key);
    free (a->reply);
    a->key = a->reply = NULL;
  }
}

const char *
hv_answers_get (const struct hv_answers *answers, const struct hv_answer_key *key, uint64_t now_ms, uint64_t max_age_ms,
                uint64_t *ret_age_ms)
{
  for (uint32_t i = 0; i < HV_ANSWERS_MAX; i++) {
    const struct answer *a = &answers->all[i];
    if (a->key == NULL || !matches (a->key, key))
      continue;
    if (now_ms - a->at_ms > max_age_ms)
      return NULL;
    *ret_age_ms = now_ms - a->at_ms;
    return a->reply;
  }
  return NULL;
}
