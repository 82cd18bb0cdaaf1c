/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Completion: the shell asks `hvkit __complete WORDS…`, whose last word is the one being typed. Each line of the answer is a
 * candidate, a tab and what it is; the line ":file" asks the shell for file names. */
#include "cli.h"
#include <string.h>

#define LOOKUP_TIMEOUT_MS 1500u /* nobody waits longer for a Tab */

static void
offer (struct hv_app *app, const char *typed, const char *candidate, const char *doc)
{
  if (strncmp (candidate, typed, strlen (typed)) != 0)
    return;
  printf ("%s\t%s\n", hv_term_safe (&app->arena, candidate, strlen (candidate)), hv_help_brief (&app->arena, doc));
}

/* --- values --- */

/* A method that lists the objects this command is about: of the same instance, needing no arguments; best if its words end alike.
 */
static const struct hv_model_method *
lister (const struct hv_model_method *m)
{
  const struct hv_model_method *best = NULL;
  const char *noun = m->words != NULL ? strrchr (m->words, ' ') : NULL;
  for (uint32_t i = 0; m->instance != NULL && i < m->instance->method_count; i++) {
    const struct hv_model_method *l = &m->instance->methods[i];
    int needs = 0;
    for (uint32_t k = 0; k < l->args->count; k++)
      needs |= l->args->fields[k].required;
    if (!l->read || l->list == NULL || needs)
      continue;
    const char *other = l->words != NULL ? strrchr (l->words, ' ') : NULL;
    int alike = noun != NULL && other != NULL && strcmp (noun, other) == 0;
    if (best == NULL || alike)
      best = l;
    if (alike)
      break;
  }
  return best;
}

static void
offer_objects (struct hv_app *app, const struct hv_model_method *m, const struct hv_model_field *f, const char *typed)
{
  const struct hv_model_method *l = lister (m);
  struct hv_node *result, *args = hv_node_new (&app->arena, HV_NODE_MAP);
  if (l == NULL)
    return;
  if (app->opt.namespace_ != NULL && hv_model_find_field (l->args, "namespace", 9) != NULL)
    hv_node_put (&app->arena, args, "namespace", hv_node_text (&app->arena, app->opt.namespace_));
  app->opt.timeout_ms = LOOKUP_TIMEOUT_MS;
  if (hv_run_call (app, l->name, args, 0, &app->arena, &result) != 0)
    return;
  const struct hv_node *rows = hv_node_get (result, l->list);
  struct hv_table *t = hv_table_new (&app->arena, l->columns, NULL);
  for (uint32_t i = 0; rows != NULL && rows->type == HV_NODE_LIST && i < rows->count; i++) {
    const struct hv_node *v = hv_node_get (rows->as.items[i], f->name);
    if (v == NULL && t->columns > 0)
      v = hv_node_path (rows->as.items[i], t->column[0].path, t->column[0].path_size);
    if (v != NULL && v->type == HV_NODE_STR)
      offer (app, typed, v->as.s.data, "");
  }
}

static void
offer_value (struct hv_app *app, const struct hv_model_field *f, const char *typed)
{
  if (f->file || f->path) {
    puts (":file");
    return;
  }
  if (strcmp (f->type, "bool") == 0) {
    offer (app, typed, "true", "");
    offer (app, typed, "false", "");
  }
  for (const char *const *w = f->words; *w != NULL; w++)
    offer (app, typed, *w, "");
}

/* --- what the built-in commands take --- */

static void
offer_methods (struct hv_app *app, const char *typed, int all)
{
  for (uint32_t i = 0; i < app->model->instance_count; i++) {
    const struct hv_model_instance *in = &app->model->instances[i];
    if (all)
      offer (app, typed, in->name, in->summary);
    for (uint32_t k = 0; k < in->method_count; k++)
      offer (app, typed, in->methods[k].name, in->methods[k].doc);
    for (uint32_t k = 0; all && k < in->event_count; k++)
      offer (app, typed, in->events[k].topic, in->events[k].doc);
  }
}

static void
offer_keys (struct hv_app *app, const char *method, const char *typed)
{
  const struct hv_model_method *m = hv_model_find_method (app->model, method);
  for (uint32_t i = 0; m != NULL && i < m->args->count; i++)
    offer (app, typed, hv_node_printf (&app->arena, "%s=", m->args->fields[i].name), m->args->fields[i].doc);
}

static int
offer_builtin (struct hv_app *app, const struct hv_model_method *m, const char *field, const char *first, const char *typed)
{
  if (strcmp (field, "topic") == 0)
    for (uint32_t i = 0; i < app->model->instance_count; i++)
      for (uint32_t k = 0; k < app->model->instances[i].event_count; k++)
        offer (app, typed, app->model->instances[i].events[k].topic, app->model->instances[i].events[k].doc);
  else if (strcmp (m->name, "api") == 0)
    offer_methods (app, typed, 1);
  else if (strcmp (m->name, "call") == 0 && strcmp (field, "method") == 0)
    offer_methods (app, typed, 0);
  else if (strcmp (m->name, "call") == 0)
    offer_keys (app, first, typed);
  else if (strcmp (m->name, "plugin inspect") == 0)
    for (uint32_t i = 0; i < app->model->instance_count; i++)
      offer (app, typed, app->model->instances[i].name, app->model->instances[i].summary);
  else
    return 0;
  return 1;
}

/* --- options and words --- */

static void
offer_options (struct hv_app *app, const struct hv_model_method *m, const char *typed)
{
  for (uint32_t i = 0; m != NULL && i < m->args->count; i++)
    if (!m->args->fields[i].ignored)
      offer (app, typed, hv_node_printf (&app->arena, "--%s", m->args->fields[i].dashed), m->args->fields[i].doc);
  for (uint32_t i = 0; i < HV_GLOBAL_COUNT; i++)
    if (hv_args_global_applies (&hv_args_globals[i], m)
        && (m == NULL || hv_model_find_field (m->args, hv_args_globals[i].name, strlen (hv_args_globals[i].name)) == NULL))
      offer (app, typed, hv_node_printf (&app->arena, "--%s", hv_args_globals[i].name), hv_args_globals[i].doc);
}

struct wording {
  struct hv_app *app;
  const char *const *words;
  uint32_t n;
  const char *typed, *last;
};

static void
offer_word (void *arg, const struct hv_model_method *m, const char *words, uint64_t n)
{
  struct wording *w = arg;
  const char *end = words + n;
  if (m->hidden || hv_command_is_prefix (words, n, w->words, w->n) < w->n)
    return;
  for (uint32_t i = 0; i < w->n; i++) {
    const char *space = memchr (words, ' ', (size_t) (end - words));
    if (space == NULL)
      return;
    words = space + 1;
  }
  const char *space = memchr (words, ' ', (size_t) (end - words));
  const char *word = hv_node_strn (&w->app->arena, words, (uint64_t) ((space != NULL ? space : end) - words));
  const struct hv_model_instance *in = w->n == 0 && space != NULL ? hv_model_find_instance (w->app->model, word) : NULL;
  if (strcmp (word, w->last) != 0)
    offer (w->app, w->typed, word, in != NULL ? in->summary : space != NULL ? "" : m->doc);
  w->last = word;
}

/* --- the line --- */

struct line {
  struct hv_app *app;
  const char **words; /* without options */
  uint32_t count;
  struct hv_command command;
  int found;
  const struct hv_model_field *value_of; /* the word being typed is this option's value */
};

static const struct hv_model_field *
option_field (struct line *l, const char *text)
{
  const struct hv_model_method *m = l->found == 1 ? l->command.method : NULL;
  const struct hv_model_field *f = NULL;
  if (text[1] != '-') {
    for (uint32_t i = 0; m != NULL && i < m->args->count && f == NULL; i++)
      if (hv_args_short_of (m, m->args->fields[i].name) == text[1])
        f = &m->args->fields[i];
    for (uint32_t i = 0; i < HV_GLOBAL_COUNT && f == NULL; i++)
      if (hv_args_global_letters[i] == text[1])
        f = &hv_args_globals[i];
    return text[2] == '\0' ? f : NULL;
  }
  if (m != NULL)
    f = hv_model_find_field (m->args, text + 2, strlen (text + 2));
  for (uint32_t i = 0; i < HV_GLOBAL_COUNT && f == NULL; i++)
    if (strcmp (hv_args_globals[i].name, text + 2) == 0)
      f = &hv_args_globals[i];
  return f;
}

static void
read_line (struct line *l, int argc, char **argv)
{
  l->words = hv_node_alloc (&l->app->arena, ((uint64_t) argc + 1) * sizeof *l->words);
  for (int i = 0; i + 1 < argc; i++) {
    const char *text = argv[i];
    l->value_of = NULL;
    if (text[0] != '-' || text[1] == '\0') {
      l->words[l->count++] = text;
      l->found = hv_command_find (l->app, l->words, l->count, &l->command);
      continue;
    }
    const struct hv_model_field *f = strchr (text, '=') == NULL ? option_field (l, text) : NULL;
    if (f == NULL || strcmp (f->type, "bool") == 0)
      continue;
    if (i + 2 < argc && strcmp (argv[i + 1], "=") == 0) /* bash takes "--a=b" for three words */
      i++;
    if (i + 2 < argc) {
      if (f == &hv_args_globals[1])
        l->app->opt.namespace_ = argv[i + 1];
      i++;
    } else
      l->value_of = f;
  }
}

static void
offer_positional (struct line *l, const char *typed)
{
  const struct hv_model_method *m = l->command.method;
  const char *name, *at = m->positional;
  uint64_t n = 0;
  int optional;
  const struct hv_model_field *f = NULL;
  for (uint32_t i = l->command.used; (at = hv_args_positional (at, &name, &n, &optional)) != NULL; i++) {
    f = hv_model_find_field (m->args, name, n);
    if (i >= l->count || (f != NULL && strcmp (f->type, "strs") == 0))
      break;
    f = NULL;
  }
  if (f == NULL)
    return;
  if (m->builtin != NULL && offer_builtin (l->app, m, f->name, l->count > l->command.used ? l->words[l->command.used] : "", typed))
    return;
  if (strcmp (f->type, "str") == 0 && !f->file && !f->path)
    offer_objects (l->app, m, f, typed);
  else
    offer_value (l->app, f, typed);
}

static void
complete_value (struct line *l, const char *typed)
{
  const struct hv_model_method *m = l->found == 1 ? l->command.method : NULL;
  if (m != NULL && m->builtin != NULL && offer_builtin (l->app, m, l->value_of->name, "", typed))
    return;
  if (l->value_of->path && hv_args_global_field (l->value_of->name) == l->value_of)
    puts (":file");
  else
    offer_value (l->app, l->value_of, typed);
}

int
hv_complete_run (struct hv_app *app, int argc, char **argv)
{
  struct line l = { .app = app, .found = -1 };
  if (argc > 0 && strcmp (argv[0], "--") == 0) {
    argc--;
    argv++;
  }
  const char *typed = argc > 0 ? argv[argc - 1] : "";
  read_line (&l, argc, argv);
  struct wording w = { app, l.words, l.count, typed, "" };
  if (l.value_of != NULL)
    complete_value (&l, strcmp (typed, "=") == 0 ? "" : typed);
  else if (typed[0] == '-')
    offer_options (app, l.found == 1 ? l.command.method : NULL, typed);
  else if (l.found == 1)
    offer_positional (&l, typed);
  else
    hv_command_each (app, offer_word, &w);
  return HV_EXIT_DONE;
}

/* --- the scripts --- */

static const char bash_script[]
    = "# hvkit completion for bash: source <(hvkit completion bash)\n"
      "_hvkit ()\n"
      "{\n"
      "  local cur=${COMP_WORDS[COMP_CWORD]} line out\n"
      "  COMPREPLY=()\n"
      "  out=$(\"${COMP_WORDS[0]}\" __complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null) || return\n"
      "  if [[ $out == :file* ]]; then\n"
      "    compopt -o filenames 2>/dev/null\n"
      "    [[ $cur == = ]] && cur=\n"
      "    while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen -f -- \"$cur\")\n"
      "    return\n"
      "  fi\n"
      "  while IFS= read -r line; do\n"
      "    line=${line%%$'\\t'*}\n"
      "    [[ -n $line ]] && COMPREPLY+=(\"$(printf %q \"$line\")\")\n"
      "  done <<<\"$out\"\n"
      "  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
      "}\n"
      "complete -F _hvkit hvkit\n";

static const char zsh_script[] = "#compdef hvkit\n"
                                 "# hvkit completion for zsh: source <(hvkit completion zsh)\n"
                                 "_hvkit ()\n"
                                 "{\n"
                                 "  local -a lines described\n"
                                 "  local line\n"
                                 "  lines=(\"${(@f)$(\"${words[1]}\" __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
                                 "  if [[ ${lines[1]} == :file ]]; then\n"
                                 "    _files\n"
                                 "    return\n"
                                 "  fi\n"
                                 "  for line in \"${lines[@]}\"; do\n"
                                 "    [[ -n $line ]] && described+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
                                 "  done\n"
                                 "  _describe hvkit described\n"
                                 "}\n"
                                 "compdef _hvkit hvkit\n";

static const char fish_script[] = "# hvkit completion for fish: hvkit completion fish | source\n"
                                  "function __hvkit_complete\n"
                                  "  set -l words (commandline -opc) (commandline -ct)\n"
                                  "  set -l out (command $words[1] __complete -- $words[2..-1] 2>/dev/null)\n"
                                  "  if test \"$out[1]\" = ':file'\n"
                                  "    __fish_complete_path (commandline -ct)\n"
                                  "  else\n"
                                  "    string join \\n -- $out\n"
                                  "  end\n"
                                  "end\n"
                                  "complete -c hvkit -f -a '(__hvkit_complete)'\n";

int
hv_builtin_completion (struct hv_app *app, struct hv_node *args)
{
  const char *shell = hv_node_str (args, "shell");
  (void) app;
  fputs (strcmp (shell, "zsh") == 0 ? zsh_script : strcmp (shell, "fish") == 0 ? fish_script : bash_script, stdout);
  return HV_EXIT_DONE;
}
