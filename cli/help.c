/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Help, made from the same tables that the daemon checks calls with. */
#include "cli.h"
#include <string.h>

#define LEFT_MAX  36u
#define LINE_MAX_ 110u
#define NEST_MAX  3u

static uint32_t
line_width (void)
{
  uint32_t w = hv_term.out_tty ? hv_term_columns () : 100;
  return w < 40 ? 40 : w > LINE_MAX_ ? LINE_MAX_ : w;
}

static const char *
safe (struct hv_arena *a, const char *s)
{
  return hv_term_safe (a, s, strlen (s));
}

/* In a list a command gets the first thing its text says; the rest is on its own page. */
const char *
hv_help_brief (struct hv_arena *a, const char *doc)
{
  const char *stop = strstr (doc, ". "), *semicolon = strstr (doc, "; ");
  if (stop == NULL || (semicolon != NULL && semicolon < stop))
    stop = semicolon;
  uint64_t n = stop != NULL ? (uint64_t) (stop - doc) : strlen (doc);
  if (stop == NULL && n > 0 && doc[n - 1] == '.')
    n--;
  return hv_term_safe (a, doc, n);
}

static void
heading (const char *text)
{
  printf ("\n%s%s%s\n", hv_term_on (stdout, HV_BOLD), text, hv_term_off (stdout, HV_BOLD));
}

/* --- two columns --- */

struct lines {
  struct hv_arena *arena;
  uint32_t count, capacity, width;
  struct line {
    const char *left, *right;
    uint32_t left_width;
  } * line;
};

static void
add_line (struct lines *l, const char *left, const char *right)
{
  if (l->count == l->capacity) {
    uint32_t capacity = l->capacity == 0 ? 32 : l->capacity * 2;
    struct line *more = hv_node_alloc (l->arena, capacity * sizeof *more);
    if (l->count > 0)
      memcpy (more, l->line, l->count * sizeof *more);
    l->line = more;
    l->capacity = capacity;
  }
  uint32_t w = hv_term_width (left);
  l->line[l->count++] = (struct line){ left, right, w };
  if (w > l->width && w <= LEFT_MAX)
    l->width = w;
}

static void
print_lines (const struct lines *l, FILE *f)
{
  uint32_t right = 2 + l->width + 3;
  for (uint32_t i = 0; i < l->count; i++) {
    const struct line *line = &l->line[i];
    fprintf (f, "  %s", line->left);
    if (*line->right != '\0') {
      if (line->left_width > l->width)
        fprintf (f, "\n%*s", (int) right, "");
      else
        fprintf (f, "%*s", (int) (l->width - line->left_width + 3), "");
      hv_term_wrap (f, line->right, right, line_width ());
    }
    fputc ('\n', f);
  }
}

/* --- how a command is written --- */

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

static const char *
positional_text (struct hv_arena *a, const struct hv_model_method *m)
{
  const char *name, *at = m->positional, *text = "";
  uint64_t n;
  int optional;
  while ((at = hv_args_positional (at, &name, &n, &optional)) != NULL) {
    const struct hv_model_field *f = hv_model_find_field (m->args, name, n);
    if (f == NULL)
      continue;
    const char *dots = strcmp (f->type, "strs") == 0 ? "…" : "";
    text = hv_node_printf (a, optional ? "%s [%s%s]" : "%s %s%s", text, safe (a, hv_args_placeholder (a, f)), dots);
  }
  return text;
}

static int
is_bool (const struct hv_model_field *f)
{
  return strcmp (f->type, "bool") == 0;
}

static const char *
required_text (struct hv_arena *a, const struct hv_model_method *m)
{
  const char *text = "";
  for (uint32_t i = 0; i < m->args->count; i++) {
    const struct hv_model_field *f = &m->args->fields[i];
    char letter = hv_args_short_of (m, f->name);
    if (!f->required || is_positional (m, f->name))
      continue;
    const char *option = letter != 0 ? hv_node_printf (a, "-%c", letter) : hv_node_printf (a, "--%s", f->dashed);
    text = hv_node_printf (a, "%s %s %s", text, safe (a, option), safe (a, hv_value_placeholder (a, f)));
  }
  return text;
}

static const char *
signature (struct hv_arena *a, const struct hv_model_method *m, const char *words, uint64_t n)
{
  return hv_node_printf (a, "%s%s%s", hv_term_safe (a, words, n), positional_text (a, m), required_text (a, m));
}

/* --- lists of commands --- */

struct listing {
  struct hv_app *app;
  struct lines lines;
  const struct hv_model_method *last;
  int builtin;               /* which kind is wanted */
  const char *const *prefix; /* only what begins with these words */
  uint32_t prefix_n;
};

/* The first way to write a method is the one that is shown; INSTANCE VERB is in the instance's own help. */
static void
list_command (void *arg, const struct hv_model_method *m, const char *words, uint64_t n)
{
  struct listing *l = arg;
  struct hv_arena *a = &l->app->arena;
  if (m == l->last || m->hidden || (m->builtin != NULL) != l->builtin || m->words == NULL || words < m->words
      || words >= m->words + strlen (m->words))
    return;
  if (hv_command_is_prefix (words, n, l->prefix, l->prefix_n) < l->prefix_n)
    return;
  l->last = m;
  add_line (&l->lines, signature (a, m, words, n), hv_help_brief (a, m->doc));
}

static struct lines
command_lines (struct hv_app *app, int builtin, const char *const *prefix, uint32_t prefix_n)
{
  struct listing l = { .app = app, .lines = { .arena = &app->arena }, .builtin = builtin, .prefix = prefix, .prefix_n = prefix_n };
  hv_command_each (app, list_command, &l);
  return l.lines;
}

static struct lines
instance_lines (struct hv_app *app)
{
  struct lines l = { .arena = &app->arena };
  for (uint32_t i = 0; i < app->model->instance_count; i++) {
    const struct hv_model_instance *in = &app->model->instances[i];
    add_line (&l, safe (l.arena, in->name), hv_help_brief (l.arena, in->summary));
  }
  return l;
}

struct section {
  const char *title;
  struct lines lines;
};

/* All sections of a page share one left column. */
static void
print_sections (struct section *s, uint32_t n)
{
  uint32_t width = 0;
  for (uint32_t i = 0; i < n; i++)
    width = s[i].lines.width > width ? s[i].lines.width : width;
  for (uint32_t i = 0; i < n; i++) {
    s[i].lines.width = width;
    if (s[i].lines.count == 0)
      continue;
    heading (s[i].title);
    print_lines (&s[i].lines, stdout);
  }
}

/* --- options --- */

/* 1099511627776 bytes are 1Ti to a reader, 5000 ms are 5s. */
static const char *
number_text (struct hv_arena *a, const struct hv_model_field *f, const struct hv_node *n)
{
  if (f->unit != NULL && n->type == HV_NODE_UINT && strcmp (f->unit, "bytes") == 0)
    return hv_format_bytes (a, n->as.u);
  if (f->unit != NULL && n->type == HV_NODE_UINT && n->as.u > 0 && strcmp (f->unit, "ms") == 0)
    return hv_format_ms (a, n->as.u);
  return hv_format_value (a, n, "", 0);
}

static const char *
default_text (struct hv_arena *a, const struct hv_model_field *f)
{
  struct hv_node n = { .type = HV_NODE_UINT };
  char *end = NULL;
  if (f->unit == NULL || *f->def < '0' || *f->def > '9')
    return safe (a, f->def);
  n.as.u = strtoull (f->def, &end, 10);
  return *end == '\0' ? number_text (a, f, &n) : safe (a, f->def);
}

static const char *
range_text (struct hv_arena *a, const struct hv_model_field *f)
{
  if (f->min != NULL && f->max != NULL)
    return hv_node_printf (a, "%s to %s", number_text (a, f, f->min), number_text (a, f, f->max));
  return hv_node_printf (a, f->max != NULL ? "at most %s" : "at least %s", number_text (a, f, f->max != NULL ? f->max : f->min));
}

static int
is_number (const struct hv_model_field *f)
{
  return strcmp (f->type, "u32") == 0 || strcmp (f->type, "u64") == 0 || strcmp (f->type, "i64") == 0
         || strcmp (f->type, "f64") == 0;
}

static const char *
option_doc (struct hv_arena *a, const struct hv_model_field *f)
{
  const char *text = safe (a, f->doc), *extra = "";
  if (f->required)
    extra = "required";
  if (f->def != NULL)
    extra = hv_node_printf (a, "%s%sdefault: %s", extra, *extra != '\0' ? ", " : "", default_text (a, f));
  if (f->file)
    extra = hv_node_printf (a, "%s%s- is standard input", extra, *extra != '\0' ? ", " : "");
  if (is_number (f) && (f->min != NULL || f->max != NULL))
    extra = hv_node_printf (a, "%s%s%s", extra, *extra != '\0' ? ", " : "", range_text (a, f));
  if (strcmp (f->type, "strs") == 0 || strcmp (f->type, "map") == 0 || strcmp (f->type, "records") == 0)
    extra = hv_node_printf (a, "%s%smay be repeated", extra, *extra != '\0' ? ", " : "");
  if (f->deprecated)
    extra = hv_node_printf (a, "%s%sdeprecated", extra, *extra != '\0' ? ", " : "");
  if (strcmp (f->type, "enum") == 0 && strcmp (hv_value_placeholder (a, f), "WORD") == 0)
    for (const char *const *w = f->words; *w != NULL; w++)
      extra = hv_node_printf (a, "%s%s%s", extra, w != f->words ? ", " : *extra != '\0' ? "; one of " : "one of ", safe (a, *w));
  return *extra != '\0' ? hv_node_printf (a, "%s%s(%s)", text, *text != '\0' ? " " : "", extra) : text;
}

static void
add_option (struct lines *l, const struct hv_model_field *f, const char *prefix, char letter)
{
  struct hv_arena *a = l->arena;
  int global = prefix == NULL;
  prefix = global ? "" : prefix;
  const char *before = letter != 0 ? hv_node_printf (a, "-%c, ", letter) : "    ";
  const char *reach
      = !global && *prefix == '\0' && (strcmp (f->name, "help") == 0 || strcmp (f->name, "socket") == 0) ? "arg." : "";
  const char *value = is_bool (f) ? "" : hv_node_printf (a, " %s", safe (a, hv_value_placeholder (a, f)));
  const char *no = is_bool (f) && f->def != NULL && strcmp (f->def, "true") == 0 ? "[no-]" : "";
  add_line (l, hv_node_printf (a, "%s--%s%s%s%s%s", before, no, reach, prefix, safe (a, f->dashed), value), option_doc (a, f));
}

/* -n is everybody's, and means this field. */
static char
letter_of (const struct hv_model_method *m, const struct hv_model_field *f)
{
  char letter = hv_args_short_of (m, f->name);
  return letter == 0 && strcmp (f->name, "namespace") == 0 ? 'n' : letter;
}

static void
add_options (struct lines *l, const struct hv_model_method *m, const struct hv_model_record *rec, const char *prefix,
             uint32_t depth)
{
  for (uint32_t i = 0; i < rec->count; i++) {
    const struct hv_model_field *f = &rec->fields[i];
    if (f->ignored || (depth == 0 && is_positional (m, f->name)) || strcmp (f->type, "fd") == 0)
      continue;
    add_option (l, f, prefix, depth == 0 ? letter_of (m, f) : 0);
    if (strcmp (f->type, "record") == 0 && depth + 1 < NEST_MAX)
      add_options (l, m, f->record, hv_node_printf (l->arena, "%s%s.", prefix, safe (l->arena, f->dashed)), depth + 1);
  }
}

static void
print_positionals (struct hv_arena *a, const struct hv_model_method *m)
{
  struct lines l = { .arena = a };
  const char *name, *at = m->positional;
  uint64_t n;
  int optional;
  while ((at = hv_args_positional (at, &name, &n, &optional)) != NULL) {
    const struct hv_model_field *f = hv_model_find_field (m->args, name, n);
    if (f != NULL)
      add_line (&l, safe (a, hv_args_placeholder (a, f)), option_doc (a, f));
  }
  if (l.count == 0)
    return;
  heading ("Arguments");
  print_lines (&l, stdout);
}

static struct lines
global_lines (struct hv_arena *a)
{
  struct lines l = { .arena = a };
  for (uint32_t i = 0; i < HV_GLOBAL_COUNT; i++)
    if (hv_args_global_applies (&hv_args_globals[i], NULL))
      add_option (&l, &hv_args_globals[i], NULL, hv_args_global_letters[i]);
  return l;
}

/* --- pages --- */

int
hv_help_main (struct hv_app *app)
{
  puts ("hvkit runs virtual machines on this node, through its daemon hvkitd.\n");
  printf ("%sUsage:%s hvkit [--socket PATH] [-n NAMESPACE] [-o table|wide|json|yaml] COMMAND\n", hv_term_on (stdout, HV_BOLD),
          hv_term_off (stdout, HV_BOLD));
  struct section s[] = { { "Commands", command_lines (app, 0, NULL, 0) },
                         { "Plugins (all that one can do: hvkit PLUGIN --help)", instance_lines (app) },
                         { app->client != NULL ? "Built in" : "Commands", command_lines (app, 1, NULL, 0) },
                         { "Options (before or after the command)", global_lines (&app->arena) } };
  print_sections (s, sizeof s / sizeof *s);
  puts ("\nhvkit COMMAND --help explains a command, hvkit api every method of the daemon.");
  if (app->client == NULL)
    printf ("No hvkitd answers at %s; the commands of its plugins are missing here.\n", safe (&app->arena, app->socket));
  return HV_EXIT_DONE;
}

void
hv_help_actions (struct hv_app *app, const struct hv_model_instance *in)
{
  struct lines l = { .arena = &app->arena };
  for (uint32_t i = 0; i < in->method_count; i++) {
    const struct hv_model_method *m = &in->methods[i];
    if (!m->hidden)
      add_line (&l, signature (l.arena, m, m->verb, strlen (m->verb)), hv_help_brief (l.arena, m->doc));
  }
  heading ("Actions");
  print_lines (&l, stdout);
}

static uint32_t
split_words (struct hv_arena *a, const char *text, const char **words, uint32_t max)
{
  uint32_t n = 0;
  while (n < max && *(text += strspn (text, " ")) != '\0') {
    size_t len = strcspn (text, " ");
    words[n++] = hv_node_strn (a, text, len);
    text += len;
  }
  return n;
}

int
hv_help_group (struct hv_app *app, const struct hv_command *c)
{
  struct hv_arena *a = &app->arena;
  const struct hv_model_instance *in = c->group_instance;
  if (in != NULL) {
    printf ("%s%s%s: %s", hv_term_on (stdout, HV_BOLD), safe (a, in->name), hv_term_off (stdout, HV_BOLD), safe (a, in->summary));
    printf ("\n%s%s %s%s%s\n", *in->plugin != '\0' ? "plugin " : "", safe (a, in->plugin), safe (a, in->version),
            *in->provides != '\0' ? ", provides " : "", safe (a, in->provides));
    printf ("\n%sUsage:%s hvkit %s ACTION [options]\n", hv_term_on (stdout, HV_BOLD), hv_term_off (stdout, HV_BOLD),
            safe (a, in->name));
    hv_help_actions (app, in);
    printf ("\nhvkit %s ACTION --help explains one.\n", safe (a, in->name));
    return HV_EXIT_DONE;
  }
  const char *words[8];
  uint32_t count = split_words (a, c->words, words, 8);
  printf ("%sUsage:%s hvkit %s …\n", hv_term_on (stdout, HV_BOLD), hv_term_off (stdout, HV_BOLD), safe (a, c->words));
  struct section s[]
      = { { "Commands", command_lines (app, 0, words, count) }, { "Built in", command_lines (app, 1, words, count) } };
  print_sections (s, 2);
  return HV_EXIT_DONE;
}

struct aliases {
  struct hv_arena *arena;
  const struct hv_model_method *method;
  const char *shown, *text;
};

static void
add_alias (void *arg, const struct hv_model_method *m, const char *words, uint64_t n)
{
  struct aliases *s = arg;
  if (m != s->method || (strlen (s->shown) == n && memcmp (s->shown, words, n) == 0))
    return;
  s->text = hv_node_printf (s->arena, "%s%shvkit %s", s->text, *s->text != '\0' ? ", " : "", hv_term_safe (s->arena, words, n));
}

int
hv_help_method (struct hv_app *app, const struct hv_command *c)
{
  struct hv_arena *a = &app->arena;
  const struct hv_model_method *m = c->method;
  struct lines l = { .arena = a };
  struct aliases aliases = { a, m, c->words, "" };
  add_options (&l, m, m->args, "", 0);
  if (m->watch != NULL)
    add_option (&l, hv_args_global_field ("watch"), NULL, 'w');
  if (m->binary != NULL)
    add_option (&l, hv_args_global_field ("output-file"), NULL, 0);
  if (m->stream != NULL)
    add_option (&l, hv_args_global_field ("proxy"), NULL, 0);
  hv_term_wrap (stdout, safe (a, m->doc), 0, line_width ());
  printf ("\n\n%sUsage:%s hvkit %s%s\n", hv_term_on (stdout, HV_BOLD), hv_term_off (stdout, HV_BOLD),
          signature (a, m, c->words, strlen (c->words)), l.count > 0 ? " [options]" : "");
  hv_command_each (app, add_alias, &aliases);
  if (*aliases.text != '\0')
    printf ("Also:  %s\n", aliases.text);
  print_positionals (a, m);
  if (l.count > 0) {
    heading ("Options");
    print_lines (&l, stdout);
  }
  puts ("\nThe options of every command (-o json, --timeout …) are in hvkit --help.");
  if (m->builtin == NULL) {
    const char *name = safe (a, m->name),
               *who = hv_node_printf (a, "%ss%s", safe (a, m->access), strcmp (m->access, "admin") == 0 ? "" : " and up");
    hv_term_wrap (stdout, hv_node_printf (a, "This is the method %s, for %s; hvkit api %s shows what it answers.", name, who, name),
                  0, line_width ());
    fputc ('\n', stdout);
  }
  return HV_EXIT_DONE;
}

/* --- reference --- */

static const char *
type_text (struct hv_arena *a, const struct hv_model_field *f)
{
  const char *text = f->type;
  if (strcmp (f->type, "enum") == 0 && strcmp (hv_value_placeholder (a, f), "WORD") != 0) {
    text = "";
    for (const char *const *w = f->words; *w != NULL; w++)
      text = hv_node_printf (a, "%s%s%s", text, w != f->words ? "|" : "", *w);
  } else if (strcmp (f->type, "record") == 0 || strcmp (f->type, "records") == 0)
    text = hv_node_printf (a, "%s%s", f->record->name, strcmp (f->type, "records") == 0 ? "[]" : "");
  else if (strcmp (f->type, "strs") == 0)
    text = "str[]";
  if (f->unit != NULL)
    text = hv_node_printf (a, "%s %s", text, f->unit);
  return safe (a, text);
}

static uint32_t
name_width (const struct hv_model_record *rec, uint32_t depth)
{
  uint32_t width = 0;
  for (uint32_t i = 0; i < rec->count; i++) {
    uint32_t w = depth * 2 + (uint32_t) strlen (rec->fields[i].name),
             nested = depth + 1 < 8 ? name_width (rec->fields[i].record, depth + 1) : 0;
    w = w > nested ? w : nested;
    width = w > width ? w : width;
  }
  return width;
}

static void
reference_lines (struct lines *l, const struct hv_model_record *rec, uint32_t depth, uint32_t width)
{
  struct hv_arena *a = l->arena;
  for (uint32_t i = 0; i < rec->count; i++) {
    const struct hv_model_field *f = &rec->fields[i];
    const char *name = hv_node_printf (a, "%*s%s", (int) (depth * 2), "", safe (a, f->name)), *type = type_text (a, f);
    uint32_t pad = hv_term_width (name) < width ? width - hv_term_width (name) : 0;
    add_line (
        l,
        hv_node_printf (a, "%s%*s  %s%s%s", name, (int) pad, "", hv_term_on (stdout, HV_CYAN), type, hv_term_off (stdout, HV_CYAN)),
        option_doc (a, f));
    /* colours take no columns */
    uint32_t w = l->line[l->count - 1].left_width = hv_term_width (name) + pad + 2 + hv_term_width (type);
    if (w <= LEFT_MAX + 10 && w > l->width)
      l->width = w;
    if (depth + 1 < 8)
      reference_lines (l, f->record, depth + 1, width);
  }
}

void
hv_help_fields (FILE *f, struct hv_arena *a, const struct hv_model_record *rec)
{
  struct lines l = { .arena = a };
  uint32_t width = name_width (rec, 0);
  reference_lines (&l, rec, 0, width > 24 ? 24 : width);
  if (l.count == 0)
    fputs ("  none\n", f);
  print_lines (&l, f);
}
