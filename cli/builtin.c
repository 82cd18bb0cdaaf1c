/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands that hvkit has whatever is loaded. They are methods like the daemon's: the same parser, help and completion. */
#include "cli.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- ping, version --- */

static double
elapsed_us (const struct timespec *from)
{
  struct timespec now;
  clock_gettime (CLOCK_MONOTONIC, &now);
  return (double) (now.tv_sec - from->tv_sec) * 1e6 + (double) (now.tv_nsec - from->tv_nsec) / 1e3;
}

static void
print_map (struct hv_app *app, const struct hv_node *map)
{
  if (app->opt.output == HV_OUTPUT_YAML)
    hv_output_yaml (stdout, map);
  else
    hv_output_json (stdout, map, 2);
}

static int
run_ping (struct hv_app *app, struct hv_node *args)
{
  struct hv_node *result, *map = hv_node_new (&app->arena, HV_NODE_MAP);
  struct timespec start;
  (void) args;
  clock_gettime (CLOCK_MONOTONIC, &start);
  int r = hv_run_call (app, "bus.ping", NULL, 0, &app->arena, &result);
  if (r != 0)
    return hv_run_report (app, r);
  double us = elapsed_us (&start);
  const struct hv_client_info *info = hv_client_info (app->client);
  if (app->opt.output <= HV_OUTPUT_WIDE) {
    printf ("hvkitd %s answered in %.2f ms\n", hv_term_safe (&app->arena, info->version, strlen (info->version)), us / 1000);
    return HV_EXIT_DONE;
  }
  hv_node_put (&app->arena, map, "version", hv_node_text (&app->arena, info->version));
  hv_node_put (&app->arena, map, "rtt_us", hv_node_uint (&app->arena, (uint64_t) us));
  print_map (app, map);
  return HV_EXIT_DONE;
}

static int
run_version (struct hv_app *app, struct hv_node *args)
{
  struct hv_arena *a = &app->arena;
  struct hv_node *map = hv_node_new (a, HV_NODE_MAP);
  const struct hv_client_info *info = app->client != NULL ? hv_client_info (app->client) : NULL;
  (void) args;
  if (app->opt.output <= HV_OUTPUT_WIDE) {
    printf ("hvkit   %s\n", HV_VERSION);
    if (info != NULL)
      printf ("hvkitd  %s, API level %u, at %s\n", hv_term_safe (a, info->version, strlen (info->version)), info->api_level,
              hv_term_safe (a, app->socket, strlen (app->socket)));
    else
      printf ("hvkitd  does not answer at %s\n", hv_term_safe (a, app->socket, strlen (app->socket)));
    return HV_EXIT_DONE;
  }
  hv_node_put (a, map, "client", hv_node_text (a, HV_VERSION));
  hv_node_put (a, map, "daemon", info != NULL ? hv_node_text (a, info->version) : hv_node_new (a, HV_NODE_NIL));
  if (info != NULL)
    hv_node_put (a, map, "api_level", hv_node_uint (a, info->api_level));
  hv_node_put (a, map, "socket", hv_node_text (a, app->socket));
  print_map (app, map);
  return HV_EXIT_DONE;
}

/* --- call --- */

/* A value for a key that no table describes: JSON where it is some, else text. */
static struct hv_node *
guess (struct hv_app *app, const char *text)
{
  const char *ignored;
  struct hv_node *n = hv_value_json (app, text, &ignored);
  return n != NULL ? n : hv_node_text (&app->arena, text);
}

/* Tables describe most keys; the reserved arguments (_timeout_ms) and those of newer methods go as they are. */
static int
set_pair (struct hv_app *app, const struct hv_model_method *m, struct hv_node *map, const char *pair, const char **ret_why)
{
  const char *eq = strchr (pair, '=');
  if (eq == NULL || eq == pair) {
    *ret_why = "is neither key=value nor key:=JSON";
    return -1;
  }
  int json = eq[-1] == ':';
  uint64_t n = (uint64_t) (eq - pair) - (uint64_t) json;
  const char *value = eq + 1;
  if (!json && value[0] == '@') {
    struct hv_node *file = hv_value_file (app, NULL, value + 1, ret_why);
    if (file == NULL)
      return -1;
    hv_node_put (&app->arena, map, hv_node_strn (&app->arena, pair, n), file);
    return 1;
  }
  int r = m != NULL ? hv_args_set (app, m->args, map, pair, n, value, json, ret_why) : 0;
  if (r != 0)
    return r;
  struct hv_node *node = json ? hv_value_json (app, value, ret_why) : guess (app, value);
  if (node == NULL)
    return -1;
  hv_node_put (&app->arena, map, hv_node_strn (&app->arena, pair, n), node);
  return 1;
}

static struct hv_node *
call_arguments (struct hv_app *app, const struct hv_model_method *m, const struct hv_node *list, const char **ret_at,
                const char **ret_why)
{
  struct hv_node *map = hv_node_new (&app->arena, HV_NODE_MAP);
  for (uint32_t i = 0; list != NULL && i < list->count; i++) {
    const char *text = list->as.items[i]->as.s.data;
    *ret_at = text;
    if (strcmp (text, "-") == 0) {
      const struct hv_node *file = hv_value_file (app, NULL, text, ret_why);
      if (file == NULL)
        return NULL;
      text = file->as.s.data;
    }
    if (list->count == 1 && text[strspn (text, " \t\r\n")] == '{')
      return hv_value_json (app, text, ret_why);
    if (set_pair (app, m, map, text, ret_why) < 0)
      return NULL;
  }
  return map;
}

static int
run_call (struct hv_app *app, struct hv_node *args)
{
  const char *name = hv_node_str (args, "method"), *why = "", *at = "";
  const struct hv_model_method *m = hv_model_find_method (app->model, name);
  struct hv_node *result, *map = call_arguments (app, m, hv_node_get (args, "arguments"), &at, &why);
  if (map == NULL) {
    hv_term_error ("call: '%s': %s", at, why);
    return HV_EXIT_USAGE;
  }
  int r = hv_run_call (app, name, map, m != NULL && m->progress, &app->arena, &result);
  if (r != 0)
    return hv_run_report (app, r);
  if (app->opt.output_given && m != NULL)
    hv_output_result (app, m, map, result);
  else
    print_map (app, result);
  return hv_run_interrupted () ? HV_EXIT_INTERRUPTED : HV_EXIT_DONE;
}

/* --- plugins --- */

#define ITEM_FIELDS \
  FIELD ("name", "str", "instance"), FIELD ("plugin", "str", "plugin"), FIELD ("version", "str", "its version"), \
      FIELD ("state", "str", "state"), FIELD ("reason", "str", "why it is in this state"), \
      FIELD ("summary", "str", "what it does")
#define FIELD(n, t, d) \
  { \
    .name = n, .dashed = n, .type = t, .doc = d, .words = no_words, .record = &no_record \
  }
#define NEEDED(n, t, d) \
  { \
    .name = n, .dashed = n, .type = t, .doc = d, .words = no_words, .record = &no_record, .required = 1 \
  }
#define RECORD(id, ...) \
  static const struct hv_model_field id##_fields[] = { __VA_ARGS__ }; \
  static const struct hv_model_record id = { #id, "", sizeof id##_fields / sizeof *id##_fields, id##_fields }

static const char *const no_words[] = { NULL };
static const struct hv_model_record no_record = { .name = "", .doc = "" };
RECORD (plugin_item, ITEM_FIELDS);
static const struct hv_model_field plugins_fields[] = {
  { .name = "items", .dashed = "items", .type = "records", .doc = "the plugins", .words = no_words, .record = &plugin_item }
};
static const struct hv_model_record plugins_result = { "plugins", "", 1, plugins_fields };

/* bus.plugins, as a method with columns */
static const struct hv_model_method plugins_method = {
  .name = "bus.plugins",
  .args = &no_record,
  .result = &plugins_result,
  .list = "items",
  .columns = "NAME=name PLUGIN=plugin VERSION=version STATE=state ISOLATION=isolation PROVIDES=provides",
  .wide = "REQUIRED=required:bool ROLE=role PATH=path",
};

static int
is_trouble (const char *state)
{
  return state != NULL && (strcmp (state, "refused") == 0 || strcmp (state, "failed") == 0);
}

static int
run_plugin_list (struct hv_app *app, struct hv_node *args)
{
  struct hv_node *result;
  int r = hv_run_call (app, "bus.plugins", args, 0, &app->arena, &result);
  if (r != 0)
    return hv_run_report (app, r);
  hv_output_result (app, &plugins_method, args, result);
  const struct hv_node *items = hv_node_get (result, "items");
  const char *gap = "\n";
  for (uint32_t i = 0; app->opt.output <= HV_OUTPUT_WIDE && items != NULL && i < items->count; i++) {
    const char *name = hv_node_str (items->as.items[i], "name"), *reason = hv_node_str (items->as.items[i], "reason");
    if (!is_trouble (hv_node_str (items->as.items[i], "state")) || name == NULL || reason == NULL)
      continue;
    printf ("%s%s%s:%s %s\n", gap, hv_term_on (stdout, HV_RED), hv_term_safe (&app->arena, name, strlen (name)),
            hv_term_off (stdout, HV_RED), hv_term_safe (&app->arena, reason, strlen (reason)));
    gap = "";
  }
  return HV_EXIT_DONE;
}

static const struct hv_node *
find_item (const struct hv_node *items, const char *name)
{
  for (uint32_t i = 0; items != NULL && i < items->count; i++) {
    const char *item = hv_node_str (items->as.items[i], "name");
    if (item != NULL && strcmp (item, name) == 0)
      return items->as.items[i];
  }
  return NULL;
}

static int
run_plugin_inspect (struct hv_app *app, struct hv_node *args)
{
  struct hv_node *result;
  const char *name = hv_node_str (args, "name");
  int r = hv_run_call (app, "bus.plugins", NULL, 0, &app->arena, &result);
  if (r != 0)
    return hv_run_report (app, r);
  const struct hv_node *item = find_item (hv_node_get (result, "items"), name);
  if (item == NULL) {
    (void) hv_err_set (app->err, HV_E_NOT_FOUND, "there is no plugin instance '%s' (hvkit plugin list shows them)", name);
    return hv_run_report (app, HV_E_NOT_FOUND);
  }
  if (app->opt.output > HV_OUTPUT_WIDE) {
    print_map (app, item);
    return HV_EXIT_DONE;
  }
  hv_output_view (stdout, &app->arena, item, &plugin_item, 0);
  struct hv_command c = { .group_instance = hv_model_find_instance (app->model, name) };
  if (c.group_instance != NULL)
    hv_help_actions (app, c.group_instance);
  return HV_EXIT_DONE;
}

/* --- help COMMAND --- */

static int
run_help (struct hv_app *app, struct hv_node *args)
{
  const struct hv_node *list = hv_node_get (args, "command");
  uint32_t n = list != NULL ? list->count : 0;
  const char **words = hv_node_alloc (&app->arena, (n + 1) * sizeof *words);
  struct hv_command c;
  for (uint32_t i = 0; i < n; i++)
    words[i] = list->as.items[i]->as.s.data;
  int r = n > 0 ? hv_command_find (app, words, n, &c) : -1;
  if (n == 0)
    return hv_help_main (app);
  if (r < 0 || c.used < n) {
    hv_term_error ("there is no command '%s'", words[r < 0 ? 0 : c.used]);
    return HV_EXIT_USAGE;
  }
  return r == 1 ? hv_help_method (app, &c) : hv_help_group (app, &c);
}

/* --- the tables --- */

static const char *const shells[] = { "bash", "zsh", "fish", NULL };
RECORD (api_args, FIELD ("name", "str", "an instance, a method or an event's topic"));
RECORD (call_args, NEEDED ("method", "str", "INSTANCE.VERB"),
        FIELD ("arguments", "strs", "key=value, key=@FILE or key:=JSON; or one JSON object; - reads it"));
RECORD (events_args, FIELD ("topic", "strs", "only events whose topic matches this pattern (qmp.*)"),
        FIELD ("since", "str", "first those after this place, EPOCH:SEQ"),
        { .name = "count",
          .dashed = "count",
          .type = "u64",
          .doc = "end after so many",
          .words = no_words,
          .record = &no_record,
          .min = &(const struct hv_node){ .type = HV_NODE_UINT, .as.u = 1 } });
RECORD (inspect_args, NEEDED ("name", "str", "instance"));
RECORD (completion_args, { .name = "shell",
                           .dashed = "shell",
                           .type = "enum",
                           .doc = "which shell",
                           .words = shells,
                           .record = &no_record,
                           .required = 1 });
RECORD (run_args, NEEDED ("file", "str", "manifest of one virtual machine, and of what it needs; - reads it"),
        FIELD ("grace_period_seconds", "u64", "for the guest to shut down, instead of the manifest's own"),
        FIELD ("start_timeout", "u64", "seconds it may take until it runs (300)"),
        FIELD ("state_dir", "str", "what the VM keeps (/var/lib/hvkit-run/FILE's name)"),
        FIELD ("run_dir", "str", "sockets and logs (/run/hvkit-run/FILE's name)"),
        FIELD ("manifests", "str", "the plugins (/etc/hvkit/plugins.d)"),
        FIELD ("plugin_dir", "str", "where the plugins' files are, instead of where they were installed"),
        FIELD ("hvkitd", "str", "the daemon's program (the one beside this)"));
RECORD (help_args, FIELD ("command", "strs", "the command's words"));

#define BUILTIN(words_, doc_, fn, args_, ...) \
  { \
    .name = words_, .verb = words_, .words = words_, .doc = doc_, .access = "viewer", .builtin = fn, .args = args_, \
    .result = &no_record, __VA_ARGS__ \
  }

const struct hv_model_method hv_builtins[] = {
  BUILTIN ("api", "methods and events of the daemon, or all about one", hv_builtin_api, &api_args, .positional = "name?"),
  BUILTIN ("call", "call any method; prints its result as JSON", run_call, &call_args, .positional = "method arguments?"),
  BUILTIN ("events", "show what happens, until Ctrl-C", hv_builtin_events, &events_args, .positional = NULL),
  BUILTIN ("run", "run one VM in the foreground; the exit status is what became of it", hv_builtin_run, &run_args,
           .positional = NULL, .read = 1, .shorts = "f=file"),
  BUILTIN ("plugin list", "plugin instances and their state", run_plugin_list, &no_record, .positional = NULL),
  BUILTIN ("plugin inspect", "one plugin instance and its actions", run_plugin_inspect, &inspect_args, .positional = "name"),
  BUILTIN ("ping", "ask whether the daemon answers", run_ping, &no_record, .positional = NULL),
  BUILTIN ("version", "versions of hvkit and hvkitd", run_version, &no_record, .read = 1),
  BUILTIN ("completion", "a script that completes hvkit's commands in a shell", hv_builtin_completion, &completion_args,
           .positional = "shell", .read = 1),
  BUILTIN ("help", "this text, or a command's", run_help, &help_args, .positional = "command?", .read = 1),
};
const uint32_t hv_builtin_count = sizeof hv_builtins / sizeof *hv_builtins;
