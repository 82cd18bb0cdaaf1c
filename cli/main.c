/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit: reads the command's words, learns from the daemon what they mean, and runs it. */
#include "cli.h"
#include <string.h>

/* --- the daemon --- */

static const struct hv_node no_description = { .type = HV_NODE_MAP };

static int
describe (struct hv_app *app)
{
  HV_CLEAN (hv_pack) struct hv_pack result = { 0 };
  struct hv_bin none = { NULL, 0 };
  int r = hv_client_call (app->client, "bus.describe", none, NULL, &result, app->err);
  if (r == 0)
    app->model = hv_model_build (&app->arena, hv_node_decode (&app->arena, hv_client_packed (&result)));
  return r;
}

/* "connect to 'PATH': reason" without what the message says anyway */
static const char *
reason_of (struct hv_app *app)
{
  const char *text = hv_err_message (app->err), *lead = hv_node_printf (&app->arena, "connect to '%s': ", app->socket);
  return strncmp (text, lead, strlen (lead)) == 0 ? text + strlen (lead) : text;
}

static int
try_connect (struct hv_app *app)
{
  struct hv_client_options o = { .struct_size = sizeof o, .name = "hvkit" };
  if (app->client != NULL)
    return 0;
  int r = hv_client_connect (app->socket, &o, &app->client, app->err);
  return r != 0 ? r : describe (app);
}

int
hv_app_connect (struct hv_app *app)
{
  int r = try_connect (app);
  if (r == 0)
    return 0;
  if (app->client != NULL) { /* it answered the greeting but would not describe itself */
    (void) hv_run_report (app, r);
    return hv_client_lost (app->client) ? HV_EXIT_UNREACHABLE : HV_EXIT_FAILED;
  }
  const char *hint = r == HV_E_PERMISSION_DENIED ? "this user may not use it" : "is it running?";
  hv_term_error ("cannot reach hvkitd at %s: %s: %s", app->socket, reason_of (app), hint);
  return HV_EXIT_UNREACHABLE;
}

/* --- the words --- */

struct line {
  int argc;
  char **argv;
  int at;
  const char **words;
  int *where; /* in argv */
  uint32_t count;
};

/* The socket has to be known before the command is; --socket means the daemon's wherever it stands. */
static const char *
find_socket (int argc, char **argv)
{
  for (int i = 1; i < argc && strcmp (argv[i], "--") != 0; i++) {
    if (strcmp (argv[i], "--socket") == 0 && i + 1 < argc)
      return argv[i + 1];
    if (strncmp (argv[i], "--socket=", 9) == 0)
      return argv[i] + 9;
  }
  return hv_client_default_path ();
}

/* Words up to the next option. */
static void
take_words (struct line *l)
{
  for (; l->at < l->argc && (l->argv[l->at][0] != '-' || l->argv[l->at][1] == '\0'); l->at++) {
    l->where[l->count] = l->at;
    l->words[l->count++] = l->argv[l->at];
  }
}

static int
unknown_command (struct hv_app *app, const struct line *l, const struct hv_command *c)
{
  const char *word = l->words[c->used];
  const char *near = NULL;
  if (c->used == 0)
    near = hv_command_nearest (app, word);
  else if (c->group_instance != NULL) {
    const struct hv_model_instance *in = c->group_instance;
    const char **verbs = hv_node_alloc (&app->arena, (in->method_count + 1) * sizeof *verbs);
    for (uint32_t i = 0; i < in->method_count; i++)
      verbs[i] = in->methods[i].verb;
    near = hv_nearest (word, strlen (word), verbs);
  }
  const char *lead = c->used > 0 ? hv_node_printf (&app->arena, "%s: ", c->words) : "";
  if (near != NULL)
    hv_term_error ("%sunknown command '%s', did you mean '%s'?", lead, word, near);
  else
    hv_term_error ("%sunknown command '%s' (see 'hvkit %s%s--help')", lead, word, c->words, c->used > 0 ? " " : "");
  return HV_EXIT_USAGE;
}

static int
run_group (struct hv_app *app, const struct line *l, const struct hv_command *c)
{
  if (c->used < l->count)
    return unknown_command (app, l, c);
  if (app->opt.help)
    return hv_help_group (app, c);
  if (l->at < l->argc && l->argv[l->at][0] == '-') {
    hv_term_error ("%s: option %s comes before the command is complete (see 'hvkit %s --help')", c->words, l->argv[l->at],
                   c->words);
    return HV_EXIT_USAGE;
  }
  hv_term_error ("%s needs one of: %s (see 'hvkit %s --help')", c->words, hv_command_next_words (app, l->words, l->count),
                 c->words);
  return HV_EXIT_USAGE;
}

static int
run_command (struct hv_app *app, const struct line *l, const struct hv_command *c)
{
  int first = l->where[c->used - 1] + 1;
  struct hv_args args = { l->argc - first, l->argv + first };
  struct hv_node *map = hv_node_new (&app->arena, HV_NODE_MAP);
  int r = app->opt.help ? 0 : hv_args_parse (app, c, &args, map);
  if (r != 0)
    return r;
  if (app->opt.help)
    return hv_help_method (app, c);
  if (c->method->builtin != NULL && app->opt.watch) {
    hv_term_error ("%s: there is nothing to watch", c->words);
    return HV_EXIT_USAGE;
  }
  return c->method->builtin != NULL ? c->method->builtin (app, map) : hv_run_method (app, c->method, map);
}

/* Global options may stand between the words: "get -o json vm". Returns 1 a method, 0 a group, -1 none, -2 usage. */
static int
find_command (struct hv_app *app, struct line *l, struct hv_command *ret)
{
  for (;;) {
    take_words (l);
    int found = hv_command_find (app, l->words, l->count, ret);
    if (found == 1 || l->at >= l->argc || ret->used < l->count)
      return found;
    struct hv_args args = { l->argc, l->argv };
    int r = hv_args_global (app, &args, &l->at);
    if (r < 0)
      return -2;
    if (r == 0)
      return found;
  }
}

static int
no_command (struct hv_app *app, const struct line *l)
{
  if (l->at < l->argc && !app->opt.help) {
    hv_term_error ("unknown option %s (see 'hvkit --help')", l->argv[l->at]);
    return HV_EXIT_USAGE;
  }
  (void) try_connect (app); /* help without the daemon is short, and says so */
  if (app->opt.help)
    return hv_help_main (app);
  hv_term_error ("a command is missing (see 'hvkit --help')");
  return HV_EXIT_USAGE;
}

/* Built-in commands marked `read` work without a daemon, and say so where it matters. */
static int
run_line (struct hv_app *app, struct line *l)
{
  struct hv_command c;
  int found = find_command (app, l, &c);
  if (found == -2)
    return HV_EXIT_USAGE;
  if (l->count == 0)
    return no_command (app, l);
  int local = found == 1 && c.method->builtin != NULL;
  if (local && c.method->builtin == hv_builtin_run)
    ; /* it has a daemon of its own */
  else if (local && c.method->read)
    (void) try_connect (app);
  else {
    int r = hv_app_connect (app);
    if (r != 0)
      return r;
  }
  if (!local)
    found = find_command (app, l, &c);
  if (found == -2)
    return HV_EXIT_USAGE;
  if (found == 1)
    return run_command (app, l, &c);
  return found == 0 ? run_group (app, l, &c) : unknown_command (app, l, &c);
}

static int
run (struct hv_app *app, int argc, char **argv)
{
  struct line l = { .argc = argc, .argv = argv, .at = 1 };
  l.words = hv_node_alloc (&app->arena, ((uint64_t) argc + 1) * sizeof *l.words);
  l.where = hv_node_alloc (&app->arena, ((uint64_t) argc + 1) * sizeof *l.where);
  if (argc > 0 && strcmp (basename (argv[0]), "virt-freezer") == 0)
    return hv_freezer_run (app, argc, argv);
  if (argc > 1 && strcmp (argv[1], "__complete") == 0) {
    (void) try_connect (app);
    return hv_complete_run (app, argc - 2, argv + 2);
  }
  return run_line (app, &l);
}

int
main (int argc, char **argv)
{
  struct hv_app app = { .err = hv_client_err_new (), .socket = find_socket (argc, argv) };
  (void) hv_term_init ("auto");
  app.model = hv_model_build (&app.arena, &no_description);
  int status = run (&app, argc, argv);
  if ((fflush (stdout) != 0 || ferror (stdout)) && status == HV_EXIT_DONE) {
    hv_term_error ("the output cannot be written");
    status = HV_EXIT_FAILED;
  }
  hv_client_close (app.client);
  hv_err_free (app.err);
  hv_arena_free (&app.arena);
  return status;
}
