/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which command the words mean: the built-in ones, then the methods' own words, then INSTANCE VERB; the longest match wins. */
#include "cli.h"
#include <string.h>

static void
each_of_method (const struct hv_model_method *m, hv_command_fn *fn, void *arg)
{
  const char *at = m->words;
  while (at != NULL && *at != '\0') {
    size_t n = strcspn (at, "|");
    size_t lead = strspn (at, " ");
    size_t tail = n;
    while (tail > lead && at[tail - 1] == ' ')
      tail--;
    if (tail > lead)
      fn (arg, m, at + lead, tail - lead);
    at += n + (at[n] == '|');
  }
}

void
hv_command_each (struct hv_app *app, hv_command_fn *fn, void *arg)
{
  for (uint32_t i = 0; i < hv_builtin_count; i++)
    each_of_method (&hv_builtins[i], fn, arg);
  for (uint32_t i = 0; i < app->model->instance_count; i++)
    for (uint32_t k = 0; k < app->model->instances[i].method_count; k++)
      each_of_method (&app->model->instances[i].methods[k], fn, arg);
  for (uint32_t i = 0; i < app->model->instance_count; i++)
    for (uint32_t k = 0; k < app->model->instances[i].method_count; k++) {
      const struct hv_model_method *m = &app->model->instances[i].methods[k];
      const char *words = hv_node_printf (&app->arena, "%s %s", app->model->instances[i].name, m->verb);
      fn (arg, m, words, strlen (words));
    }
}

static uint32_t
count_words (const char *words, uint64_t n)
{
  uint32_t count = 1;
  for (uint64_t i = 0; i < n; i++)
    count += words[i] == ' ' && words[i + 1] != ' ';
  return count;
}

/* agent-command is agent_command: options are written with dashes, so people write words that way too. */
static int
same_word (const char *typed, const char *word, size_t n)
{
  size_t i = 0;
  while (i < n && typed[i] != '\0' && (typed[i] == word[i] || (typed[i] == '-' && word[i] == '_')))
    i++;
  return i == n && typed[i] == '\0';
}

uint32_t
hv_command_is_prefix (const char *words, uint64_t n, const char *const *typed, uint32_t typed_n)
{
  const char *end = words + n;
  uint32_t i = 0;
  while (i < typed_n && words < end) {
    const char *space = memchr (words, ' ', (size_t) (end - words));
    size_t len = (size_t) ((space != NULL ? space : end) - words);
    if (!same_word (typed[i], words, len))
      break;
    i++;
    words += len;
    words += strspn (words, " ");
  }
  return i;
}

/* --- finding --- */

struct finding {
  const char *const *typed;
  uint32_t typed_n, best, group; /* words matched by a whole command; by the start of one */
  const struct hv_model_method *method;
};

static void
consider (void *arg, const struct hv_model_method *m, const char *words, uint64_t n)
{
  struct finding *f = arg;
  uint32_t matched = hv_command_is_prefix (words, n, f->typed, f->typed_n);
  if (matched > f->group)
    f->group = matched;
  if (matched == count_words (words, n) && matched > f->best) {
    f->best = matched;
    f->method = m;
  }
}

static const char *
join (struct hv_app *app, const char *const *words, uint32_t n)
{
  const char *text = "";
  for (uint32_t i = 0; i < n; i++)
    text = hv_node_printf (&app->arena, "%s%s%s", text, i > 0 ? " " : "", words[i]);
  return text;
}

int
hv_command_find (struct hv_app *app, const char *const *words, uint32_t n, struct hv_command *ret)
{
  struct finding f = { .typed = words, .typed_n = n };
  hv_command_each (app, consider, &f);
  *ret = (struct hv_command){ 0 };
  if (f.method != NULL) {
    ret->method = f.method;
    ret->used = f.best;
    ret->words = join (app, words, f.best);
    return 1;
  }
  if (n > 0)
    ret->group_instance = hv_model_find_instance (app->model, words[0]);
  ret->used = f.group > 0 ? f.group : ret->group_instance != NULL;
  ret->words = join (app, words, ret->used);
  return ret->used > 0 ? 0 : -1;
}

/* --- the nearest --- */

struct names {
  struct hv_app *app;
  struct hv_node *list;
};

static void
collect_first (void *arg, const struct hv_model_method *m, const char *words, uint64_t n)
{
  struct names *names = arg;
  const char *space = memchr (words, ' ', n);
  (void) m;
  uint64_t len = space != NULL ? (uint64_t) (space - words) : n;
  hv_node_append (&names->app->arena, names->list,
                  hv_node_text (&names->app->arena, hv_node_strn (&names->app->arena, words, len)));
}

const char *
hv_command_nearest (struct hv_app *app, const char *word)
{
  struct names names = { app, hv_node_new (&app->arena, HV_NODE_LIST) };
  hv_command_each (app, collect_first, &names);
  const char **list = hv_node_alloc (&app->arena, (names.list->count + 1) * sizeof *list);
  for (uint32_t i = 0; i < names.list->count; i++)
    list[i] = names.list->as.items[i]->as.s.data;
  return hv_nearest (word, strlen (word), list);
}

/* --- what may follow --- */

struct following {
  struct hv_app *app;
  const char *const *typed;
  uint32_t n;
  struct hv_node *seen; /* a map, for its keys */
  const char *text;
};

static void
collect_next (void *arg, const struct hv_model_method *m, const char *words, uint64_t n)
{
  struct following *f = arg;
  const char *end = words + n;
  if (m->hidden || hv_command_is_prefix (words, n, f->typed, f->n) < f->n)
    return;
  for (uint32_t i = 0; i < f->n && words < end; i++) {
    const char *space = memchr (words, ' ', (size_t) (end - words));
    words = space != NULL ? space + strspn (space, " ") : end;
  }
  const char *space = memchr (words, ' ', (size_t) (end - words));
  const char *word = hv_node_strn (&f->app->arena, words, (uint64_t) ((space != NULL ? space : end) - words));
  if (*word == '\0' || hv_node_get (f->seen, word) != NULL)
    return;
  hv_node_put (&f->app->arena, f->seen, word, hv_node_new (&f->app->arena, HV_NODE_NIL));
  f->text = hv_node_printf (&f->app->arena, "%s%s%s", f->text, *f->text != '\0' ? ", " : "", word);
}

const char *
hv_command_next_words (struct hv_app *app, const char *const *typed, uint32_t n)
{
  struct following f = { app, typed, n, hv_node_new (&app->arena, HV_NODE_MAP), "" };
  hv_command_each (app, collect_next, &f);
  return f.text;
}
