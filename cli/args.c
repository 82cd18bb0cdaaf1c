/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line behind the command's words: options made from field tables, positionals, and the options every command has.
 * A command's own option comes before a global one of the same name; before the command's words there are only global ones. */
#include "cli.h"
#include <ctype.h>
#include <string.h>

enum global { G_SOCKET, G_NAMESPACE, G_OUTPUT, G_WATCH, G_TIMEOUT, G_PROGRESS, G_COLOR, G_HELP, G_FILE, G_PROXY };

#define GLOBAL(n, t, w, d, ...) \
  { \
    .name = n, .dashed = n, .type = t, .words = (const char *const[]){ w NULL }, .doc = d, __VA_ARGS__ \
  }
#define OUTPUTS    "table", "wide", "json", "yaml",
#define PROGRESSES "auto", "plain", "none",
#define COLORS     "auto", "always", "never",
#define NO_WORDS
const struct hv_model_field hv_args_globals[HV_GLOBAL_COUNT] = {
  GLOBAL ("socket", "str", NO_WORDS, "the daemon's socket; else $HVKIT_SOCKET, else " HV_CLIENT_SOCKET, .path = 1),
  GLOBAL ("namespace", "str", NO_WORDS, "namespace of the objects that are named", .def = NULL),
  GLOBAL ("output", "enum", OUTPUTS, "form of the output", .def = "table"),
  GLOBAL ("watch", "bool", NO_WORDS, "after listing, show what changes", .def = NULL),
  GLOBAL ("timeout", "u64", NO_WORDS, "give up after this long (else the method's own)", .unit = "ms"),
  GLOBAL ("progress", "enum", PROGRESSES, "how long work is shown", .def = "auto"),
  GLOBAL ("color", "enum", COLORS, "colours", .def = "auto"),
  GLOBAL ("help", "bool", NO_WORDS, "this text; after a command, the command's", .def = NULL),
  GLOBAL ("output-file", "str", NO_WORDS, "write the answer's data there (- is standard output)", .path = 1),
  GLOBAL ("proxy", "str", NO_WORDS, "listen there for programs that want the stream, one call for each", .path = 1),
};
const char hv_args_global_letters[HV_GLOBAL_COUNT] = { 0, 'n', 'o', 'w', 0, 0, 0, 'h', 0, 0 };

struct parser {
  struct hv_app *app;
  const struct hv_command *command; /* NULL: only global options */
  const struct hv_model_method *method;
  const struct hv_args *args;
  struct hv_node *map;
  int at;
  const char *positional; /* what is left of it */
};

static int
usage (struct parser *p, const char *text)
{
  const char *words = p->command != NULL ? p->command->words : "";
  hv_term_error ("%s%s%s (see 'hvkit %s%s--help')", words, *words != '\0' ? ": " : "", text, words, *words != '\0' ? " " : "");
  return -1;
}

static int
is_bool (const struct hv_model_field *f)
{
  return strcmp (f->type, "bool") == 0;
}

/* --- setting fields --- */

/* Follows "machine.cpu.cores" down the records. *ret_key is set when the last step names a key of a map field. */
static const struct hv_model_field *
resolve (const struct hv_model_record *rec, const char *path, uint64_t n, const char **ret_key)
{
  const char *end = path + n;
  const struct hv_model_field *f = NULL;
  *ret_key = NULL;
  while (path < end) {
    const char *dot = memchr (path, '.', (size_t) (end - path)), *stop = dot != NULL ? dot : end;
    f = hv_model_find_field (rec, path, (uint64_t) (stop - path));
    if (f == NULL || dot == NULL)
      return f;
    path = dot + 1;
    if (strcmp (f->type, "map") == 0) {
      *ret_key = path;
      return path < end ? f : NULL;
    }
    if (strcmp (f->type, "record") != 0)
      return NULL;
    rec = f->record;
  }
  return NULL;
}

static struct hv_node *
child_map (struct hv_app *app, struct hv_node *map, const char *key)
{
  struct hv_node *n = hv_node_get (map, key);
  if (n != NULL)
    return n->type == HV_NODE_MAP ? n : NULL;
  n = hv_node_new (&app->arena, HV_NODE_MAP);
  hv_node_put (&app->arena, map, key, n);
  return n;
}

/* The map that holds the last step of the path; made on the way. */
static struct hv_node *
holder (struct hv_app *app, const struct hv_model_record *rec, struct hv_node *map, const char *path, uint64_t n)
{
  const char *dot;
  while (map != NULL && (dot = memchr (path, '.', n)) != NULL) {
    const struct hv_model_field *f = hv_model_find_field (rec, path, (uint64_t) (dot - path));
    if (strcmp (f->type, "record") != 0) /* the rest is a key of this map */
      break;
    map = child_map (app, map, f->name);
    rec = f->record;
    n -= (uint64_t) (dot + 1 - path);
    path = dot + 1;
  }
  return map;
}

static void
append_all (struct hv_app *app, struct hv_node *list, struct hv_node *value)
{
  if (value->type != HV_NODE_LIST) {
    hv_node_append (&app->arena, list, value);
    return;
  }
  for (uint32_t i = 0; i < value->count; i++)
    hv_node_append (&app->arena, list, value->as.items[i]);
}

/* Lists and maps grow with every mention; anything else may be given once. */
static int
store (struct hv_app *app, const struct hv_model_field *f, struct hv_node *map, struct hv_node *value, const char **ret_why)
{
  struct hv_node *old = hv_node_get (map, f->name);
  int list = strcmp (f->type, "strs") == 0 || strcmp (f->type, "records") == 0;
  if (old == NULL && list && value->type != HV_NODE_LIST) {
    old = hv_node_new (&app->arena, HV_NODE_LIST);
    hv_node_put (&app->arena, map, f->name, old);
  }
  if (old != NULL && list && old->type == HV_NODE_LIST)
    append_all (app, old, value);
  else if (old != NULL && strcmp (f->type, "map") == 0 && old->type == HV_NODE_MAP && value->type == HV_NODE_MAP)
    for (uint32_t i = 0; i < value->count; i++)
      hv_node_put (&app->arena, old, value->as.items[i]->key, value->as.items[i]);
  else if (old != NULL) {
    *ret_why = "is given twice";
    return -1;
  } else
    hv_node_put (&app->arena, map, f->name, value);
  return 1;
}

int
hv_args_set (struct hv_app *app, const struct hv_model_record *rec, struct hv_node *map, const char *path, uint64_t n,
             const char *text, int json, const char **ret_why)
{
  const char *key;
  const struct hv_model_field *f = resolve (rec, path, n, &key);
  if (f == NULL)
    return 0;
  struct hv_node *value;
  if (key != NULL && !json) {
    value = hv_node_new (&app->arena, HV_NODE_MAP);
    hv_node_put (&app->arena, value, hv_node_strn (&app->arena, key, (uint64_t) (path + n - key)),
                 hv_node_text (&app->arena, text));
  } else
    value = json ? hv_value_json (app, text, ret_why) : hv_value_parse (app, f, text, ret_why);
  if (value == NULL)
    return -1;
  struct hv_node *into = holder (app, rec, map, path, n);
  if (into == NULL) {
    *ret_why = "belongs to something that was given another value";
    return -1;
  }
  return store (app, f, into, value, ret_why);
}

/* --- global options --- */

static int
set_enum (struct hv_app *app, enum global g, const char *value, uint32_t *ret, const char **ret_why)
{
  const struct hv_model_field *f = &hv_args_globals[g];
  if (hv_value_parse (app, f, value, ret_why) == NULL)
    return -1;
  for (*ret = 0; strcmp (f->words[*ret], value) != 0; (*ret)++)
    ;
  return 1;
}

static int
set_global (struct hv_app *app, enum global g, const char *value, const char **ret_why)
{
  struct hv_options *o = &app->opt;
  uint32_t word = 0;
  switch (g) {
  case G_SOCKET:
    o->socket = value;
    return 1;
  case G_FILE:
    o->file = value;
    return 1;
  case G_PROXY:
    o->proxy = value;
    return 1;
  case G_NAMESPACE:
    o->namespace_ = value;
    return 1;
  case G_OUTPUT:
    o->output_given = 1;
    if (set_enum (app, g, value, &word, ret_why) < 0)
      return -1;
    o->output = (enum hv_output) word;
    return 1;
  case G_PROGRESS:
    if (set_enum (app, g, value, &word, ret_why) < 0)
      return -1;
    o->progress = (enum hv_progress_mode) word;
    return 1;
  case G_COLOR:
    if (set_enum (app, g, value, &word, ret_why) < 0)
      return -1;
    return hv_term_init (value);
  case G_TIMEOUT:
    if (hv_value_duration (value, &o->timeout_ms) && o->timeout_ms > 0 && o->timeout_ms <= UINT32_MAX)
      return 1;
    *ret_why = hv_node_printf (&app->arena, "'%s' is not a duration (1500, 30s, 5m)", value);
    return -1;
  case G_WATCH:
    o->watch = strcmp (value, "true") == 0;
    return 1;
  case G_HELP:
    o->help = strcmp (value, "true") == 0;
    return 1;
  }
  return 0;
}

static const struct hv_model_field *
global_by_name (const char *name, uint64_t n)
{
  for (uint32_t i = 0; i < HV_GLOBAL_COUNT; i++)
    if (strlen (hv_args_globals[i].name) == n && memcmp (hv_args_globals[i].name, name, n) == 0)
      return &hv_args_globals[i];
  return NULL;
}

int
hv_args_global_applies (const struct hv_model_field *f, const struct hv_model_method *m)
{
  switch (f - hv_args_globals) {
  case G_WATCH:
    return m == NULL || m->watch != NULL;
  case G_FILE:
    return m != NULL && m->binary != NULL;
  case G_PROXY:
    return m != NULL && m->stream != NULL;
  default:
    return 1;
  }
}

const struct hv_model_field *
hv_args_global_field (const char *name)
{
  return global_by_name (name, strlen (name));
}

static const struct hv_model_field *
global_by_letter (char letter)
{
  for (uint32_t i = 0; i < HV_GLOBAL_COUNT; i++)
    if (hv_args_global_letters[i] == letter && letter != 0)
      return &hv_args_globals[i];
  return NULL;
}

/* --- options --- */

/* An option's field by its one letter, from `shorts`: "f=manifest n=namespace". */
static const struct hv_model_field *
field_by_letter (const struct hv_model_method *m, char letter)
{
  for (const char *s = m->shorts; s != NULL && *(s += strspn (s, " ")) != '\0'; s += strcspn (s, " "))
    if (s[0] == letter && s[1] == '=')
      return hv_model_find_field (m->args, s + 2, strcspn (s + 2, " "));
  return NULL;
}

char
hv_args_short_of (const struct hv_model_method *m, const char *field)
{
  size_t n = strlen (field);
  for (const char *s = m->shorts; s != NULL && *(s += strspn (s, " ")) != '\0'; s += strcspn (s, " "))
    if (s[0] != '\0' && s[1] == '=' && strcspn (s + 2, " ") == n && memcmp (s + 2, field, n) == 0)
      return s[0];
  return 0;
}

/* "--size: 'x' is not a size", but "--size needs a value" */
static int
bad_value (struct parser *p, const char *option, const char *why)
{
  static const char *const sentences[] = { "needs ", "is ", "has to ", "takes ", "belongs " };
  const char *colon = ":";
  for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++)
    if (strncmp (why, sentences[i], strlen (sentences[i])) == 0)
      colon = "";
  return usage (p, hv_node_printf (&p->app->arena, "%s%s %s", option, colon, why));
}

/* Applies an option that was found: to the arguments, or to the program. */
static int
apply (struct parser *p, const struct hv_model_field *global, const char *name, uint64_t n, const char *value, const char *option)
{
  const char *why = "";
  int r = global != NULL ? set_global (p->app, (enum global) (global - hv_args_globals), value, &why)
                         : hv_args_set (p->app, p->method->args, p->map, name, n, value, 0, &why);
  return r < 0 ? bad_value (p, option, why) : 1;
}

static const char *
take_value (struct parser *p)
{
  return p->at + 1 < p->args->argc ? p->args->argv[++p->at] : NULL;
}

static int
unknown_option (struct parser *p, const char *name, uint64_t n)
{
  struct hv_arena *a = &p->app->arena;
  uint32_t fields = p->method != NULL ? p->method->args->count : 0, k = 0;
  const char **names = hv_node_alloc (a, (fields + HV_GLOBAL_COUNT + 1) * sizeof *names);
  for (uint32_t i = 0; i < fields; i++)
    names[k++] = p->method->args->fields[i].dashed;
  for (uint32_t i = 0; i < HV_GLOBAL_COUNT; i++)
    names[k++] = hv_args_globals[i].name;
  const char *near = hv_nearest (name, n, names);
  const char *option = hv_node_strn (a, name, n);
  return usage (p, near != NULL ? hv_node_printf (a, "unknown option --%s, did you mean --%s?", option, near)
                                : hv_node_printf (a, "unknown option --%s", option));
}

/* "no-paused" when `paused` is a boolean */
static const struct hv_model_field *
negated (struct parser *p, const char *name, uint64_t n)
{
  const char *key;
  if (p->method == NULL || n < 4 || strncmp (name, "no-", 3) != 0)
    return NULL;
  const struct hv_model_field *f = resolve (p->method->args, name + 3, n - 3, &key);
  return f != NULL && is_bool (f) ? f : NULL;
}

/* What a command may not redefine: its own fields of these names are written --arg.help and --arg.socket. */
static int
is_reserved (const char *name, uint64_t n)
{
  return (n == 4 && memcmp (name, "help", 4) == 0) || (n == 6 && memcmp (name, "socket", 6) == 0);
}

/* 1 taken, 0 only global options are looked for and this is none, -1 usage. "--arg.NAME" always means the command's own field. */
static int
long_option (struct parser *p, const char *text)
{
  const char *eq = strchr (text, '='), *name = text + 2, *key;
  uint64_t n = eq != NULL ? (uint64_t) (eq - name) : strlen (name);
  const struct hv_model_field *f = NULL, *global = NULL;
  if (p->method != NULL && n > 4 && strncmp (name, "arg.", 4) == 0) {
    name += 4;
    n -= 4;
  }
  if (p->method != NULL && !(name == text + 2 && is_reserved (name, n)))
    f = resolve (p->method->args, name, n, &key);
  if (f == NULL && name == text + 2)
    f = global = global_by_name (name, n);
  if (f == NULL && eq == NULL && negated (p, name, n) != NULL)
    return apply (p, NULL, name + 3, n - 3, "false", text);
  if (f == NULL)
    return p->command == NULL ? 0 : unknown_option (p, name, n);
  const char *value = eq != NULL ? eq + 1 : is_bool (f) ? "true" : take_value (p);
  const char *option = hv_node_printf (&p->app->arena, "--%.*s", (int) n, name);
  if (value == NULL)
    return bad_value (p, option, "needs a value");
  return apply (p, global, name, n, value, option);
}

static int
short_option (struct parser *p, const char *text)
{
  for (const char *c = text + 1; *c != '\0'; c++) {
    const struct hv_model_field *global = NULL, *f = p->method != NULL ? field_by_letter (p->method, *c) : NULL;
    if (f == NULL)
      f = global = global_by_letter (*c);
    const char *option = hv_node_printf (&p->app->arena, "-%c", *c);
    if (f == NULL)
      return p->command == NULL ? 0 : usage (p, hv_node_printf (&p->app->arena, "unknown option %s", option));
    const char *value = "true";
    if (!is_bool (f))
      value = c[1] != '\0' ? c + 1 + (c[1] == '=') : take_value (p);
    if (value == NULL)
      return bad_value (p, option, "needs a value");
    if (apply (p, global, f->name, strlen (f->name), value, option) < 0)
      return -1;
    if (!is_bool (f))
      break;
  }
  return 1;
}

int
hv_args_global (struct hv_app *app, const struct hv_args *args, int *at)
{
  struct parser p = { .app = app, .args = args, .at = *at };
  const char *text = args->argv[*at];
  if (text[0] != '-' || text[1] == '\0')
    return 0;
  int r = text[1] == '-' ? long_option (&p, text) : short_option (&p, text);
  if (r == 1)
    *at = p.at + 1;
  return r;
}

/* --- positionals --- */

const char *
hv_args_positional (const char *at, const char **ret_name, uint64_t *ret_size, int *ret_optional)
{
  if (at == NULL || *(at += strspn (at, " ")) == '\0')
    return NULL;
  size_t n = strcspn (at, " ");
  *ret_name = at;
  *ret_optional = at[n - 1] == '?';
  *ret_size = n - (at[n - 1] == '?');
  return at + n;
}

const char *
hv_args_placeholder (struct hv_arena *a, const struct hv_model_field *f)
{
  size_t n = strlen (f->dashed), unit = f->unit != NULL ? strlen (f->unit) : 0;
  if (unit > 0 && n > unit + 1 && f->dashed[n - unit - 1] == '-' && strcmp (f->dashed + n - unit, f->unit) == 0)
    n -= unit + 1; /* values bring their unit: 10Gi */
  char *s = hv_node_strn (a, f->dashed, n);
  for (char *c = s; *c != '\0'; c++)
    *c = (char) toupper ((unsigned char) *c);
  return s;
}

static int
take_positional (struct parser *p, const char *text)
{
  const char *name, *why = "";
  uint64_t n;
  int optional;
  const char *rest = hv_args_positional (p->positional, &name, &n, &optional);
  if (rest == NULL)
    return usage (p, hv_node_printf (&p->app->arena, "unexpected argument '%s'", text));
  const struct hv_model_field *f = hv_model_find_field (p->method->args, name, n);
  if (f == NULL || strcmp (f->type, "strs") != 0) /* a list takes all that follow */
    p->positional = rest;
  int r = hv_args_set (p->app, p->method->args, p->map, name, n, text, 0, &why);
  if (r > 0)
    return 1;
  return bad_value (p, f != NULL ? hv_args_placeholder (&p->app->arena, f) : text,
                    r < 0 ? why : "is not among the method's fields");
}

static int
is_positional (const struct hv_model_method *m, const char *field)
{
  const char *name, *at = m->positional;
  uint64_t n;
  int optional;
  while ((at = hv_args_positional (at, &name, &n, &optional)) != NULL)
    if (strlen (field) == n && memcmp (field, name, n) == 0)
      return 1;
  return 0;
}

static int
check_required (struct parser *p)
{
  for (uint32_t i = 0; i < p->method->args->count; i++) {
    const struct hv_model_field *f = &p->method->args->fields[i];
    if (!f->required || hv_node_get (p->map, f->name) != NULL)
      continue;
    const char *what = is_positional (p->method, f->name)
                           ? hv_args_placeholder (&p->app->arena, f)
                           : hv_node_printf (&p->app->arena, "--%s %s", f->dashed, hv_value_placeholder (&p->app->arena, f));
    return usage (p, hv_node_printf (&p->app->arena, "%s is missing: %s", what, f->doc));
  }
  return 0;
}

static int
check_meaning (struct parser *p)
{
  if (p->app->opt.file != NULL && p->method->binary == NULL)
    return usage (p, "--output-file is for commands that answer binary data");
  if (p->app->opt.proxy != NULL && p->method->stream == NULL)
    return usage (p, "--proxy is for commands that answer a byte stream");
  return 0;
}

static void
fill_namespace (struct parser *p)
{
  if (p->app->opt.namespace_ != NULL && hv_model_find_field (p->method->args, "namespace", 9) != NULL
      && hv_node_get (p->map, "namespace") == NULL)
    hv_node_put (&p->app->arena, p->map, "namespace", hv_node_text (&p->app->arena, p->app->opt.namespace_));
}

int
hv_args_parse (struct hv_app *app, const struct hv_command *command, const struct hv_args *args, struct hv_node *ret_map)
{
  struct parser p = { .app = app,
                      .command = command,
                      .method = command->method,
                      .args = args,
                      .map = ret_map,
                      .positional = command->method->positional };
  int only_positional = 0;
  for (; p.at < args->argc; p.at++) {
    const char *text = args->argv[p.at];
    int r = 1;
    if (!only_positional && strcmp (text, "--") == 0)
      only_positional = 1;
    else if (only_positional || text[0] != '-' || text[1] == '\0')
      r = take_positional (&p, text);
    else
      r = text[1] == '-' ? long_option (&p, text) : short_option (&p, text);
    if (r < 0)
      return HV_EXIT_USAGE;
    if (app->opt.help)
      return 0;
  }
  fill_namespace (&p);
  return check_meaning (&p) < 0 || check_required (&p) < 0 ? HV_EXIT_USAGE : 0;
}
