/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit api: the daemon's methods and events as it describes them. */
#include "cli.h"
#include <inttypes.h>
#include <string.h>

static const char *
safe (struct hv_arena *a, const char *s)
{
  return hv_term_safe (a, s, strlen (s));
}

static void
bold (const char *text)
{
  printf ("%s%s%s", hv_term_on (stdout, HV_BOLD), text, hv_term_off (stdout, HV_BOLD));
}

static uint32_t
name_width (struct hv_arena *a, const struct hv_model_instance *in)
{
  uint32_t width = 16;
  for (uint32_t i = 0; i < in->method_count; i++) {
    uint32_t w = hv_term_width (safe (a, in->methods[i].name));
    width = w > width ? w : width;
  }
  for (uint32_t i = 0; i < in->event_count; i++) {
    uint32_t w = hv_term_width (safe (a, in->events[i].topic));
    width = w > width ? w : width;
  }
  return width > 40 ? 40 : width;
}

static void
print_entry (struct hv_arena *a, const char *name, const char *doc, uint32_t width, const char *mark)
{
  printf ("  %s %-*s   ", mark, (int) width, safe (a, name));
  hv_term_wrap (stdout, hv_help_brief (a, doc), width + 7, hv_term.out_tty ? hv_term_columns () : 110);
  fputc ('\n', stdout);
}

static void
print_instance (struct hv_app *app, const struct hv_model_instance *in)
{
  struct hv_arena *a = &app->arena;
  uint32_t width = name_width (a, in);
  bold (safe (a, in->name));
  printf ("%s%s  %s%s%s%s\n", *in->version != '\0' ? " " : "", safe (a, in->version), safe (a, in->summary),
          *in->provides != '\0' ? " [" : "", safe (a, in->provides), *in->provides != '\0' ? "]" : "");
  for (uint32_t i = 0; i < in->method_count; i++)
    print_entry (a, in->methods[i].name, in->methods[i].doc, width, in->methods[i].read ? "·" : "•");
  for (uint32_t i = 0; i < in->event_count; i++)
    print_entry (a, in->events[i].topic, in->events[i].doc, width, "~");
}

static void
print_method (struct hv_app *app, const struct hv_model_method *m)
{
  struct hv_arena *a = &app->arena;
  bold (safe (a, m->name));
  printf ("  %s\n\n", safe (a, m->doc));
  printf ("  access    %s\n", safe (a, m->access));
  printf ("  kind      %s%s\n", m->read ? "read, no side effects" : "changes something", m->progress ? ", reports progress" : "");
  if (strcmp (m->lane, "none") != 0)
    printf ("  lane      %s%s%s\n", safe (a, m->lane), m->key != NULL ? ", one at a time per " : "",
            m->key != NULL ? safe (a, m->key) : "");
  if (m->timeout_ms != 0)
    printf ("  deadline  %s, unless the caller sets another\n", hv_format_ms (a, m->timeout_ms));
  if (m->since != NULL)
    printf ("  since     %s\n", safe (a, m->since));
  printf ("  command   hvkit %s %s%s%s\n", safe (a, m->instance->name), safe (a, m->verb), m->words != NULL ? ", hvkit " : "",
          m->words != NULL ? hv_term_safe (a, m->words, strcspn (m->words, "|")) : "");
  fputc ('\n', stdout);
  bold ("Arguments\n");
  hv_help_fields (stdout, a, m->args);
  fputc ('\n', stdout);
  bold ("Result\n");
  hv_help_fields (stdout, a, m->result);
}

static int
print_event (struct hv_app *app, const char *topic)
{
  struct hv_arena *a = &app->arena;
  for (uint32_t i = 0; i < app->model->instance_count; i++)
    for (uint32_t k = 0; k < app->model->instances[i].event_count; k++) {
      const struct hv_model_event *e = &app->model->instances[i].events[k];
      if (strcmp (e->topic, topic) != 0)
        continue;
      bold (safe (a, e->topic));
      printf ("  event: %s\n\n", safe (a, e->doc));
      bold ("Data\n");
      hv_help_fields (stdout, a, e->data);
      return 1;
    }
  return 0;
}

/* --- as data --- */

static const struct hv_node *
find_named (const struct hv_node *list, const char *key, const char *name)
{
  for (uint32_t i = 0; list != NULL && list->type == HV_NODE_LIST && i < list->count; i++) {
    const char *s = hv_node_str (list->as.items[i], key);
    if (s != NULL && strcmp (s, name) == 0)
      return list->as.items[i];
  }
  return NULL;
}

static const struct hv_node *
find_raw (const struct hv_node *describe, const char *name)
{
  const struct hv_node *instances = hv_node_get (describe, "instances"), *found = find_named (instances, "name", name);
  for (uint32_t i = 0; found == NULL && instances != NULL && i < instances->count; i++) {
    found = find_named (hv_node_get (instances->as.items[i], "methods"), "name", name);
    if (found == NULL)
      found = find_named (hv_node_get (instances->as.items[i], "events"), "topic", name);
  }
  return found;
}

static int
unknown (struct hv_app *app, const char *name)
{
  uint32_t n = 0;
  const char **names;
  for (uint32_t i = 0; i < app->model->instance_count; i++)
    n += app->model->instances[i].method_count;
  names = hv_node_alloc (&app->arena, (n + 1) * sizeof *names);
  n = 0;
  for (uint32_t i = 0; i < app->model->instance_count; i++)
    for (uint32_t k = 0; k < app->model->instances[i].method_count; k++)
      names[n++] = app->model->instances[i].methods[k].name;
  const char *near = hv_nearest (name, strlen (name), names);
  if (near != NULL)
    hv_term_error ("api: there is no method, event or instance '%s', did you mean '%s'?", name, near);
  else
    hv_term_error ("api: there is no method, event or instance '%s'", name);
  return HV_EXIT_FAILED;
}

int
hv_builtin_api (struct hv_app *app, struct hv_node *args)
{
  const char *name = hv_node_str (args, "name");
  const struct hv_node *raw = name != NULL ? find_raw (app->model->raw, name) : app->model->raw;
  if (raw == NULL)
    return unknown (app, name);
  if (app->opt.output == HV_OUTPUT_JSON)
    hv_output_json (stdout, raw, 2);
  else if (app->opt.output == HV_OUTPUT_YAML)
    hv_output_yaml (stdout, raw);
  else if (name == NULL) {
    for (uint32_t i = 0; i < app->model->instance_count; i++) {
      if (i > 0)
        fputc ('\n', stdout);
      print_instance (app, &app->model->instances[i]);
    }
    printf ("\n%s• changes something   · only reads   ~ event%s     hvkit api NAME shows one with its arguments and result\n",
            hv_term_on (stdout, HV_DIM), hv_term_off (stdout, HV_DIM));
  } else if (hv_model_find_method (app->model, name) != NULL)
    print_method (app, hv_model_find_method (app->model, name));
  else if (hv_model_find_instance (app->model, name) != NULL)
    print_instance (app, hv_model_find_instance (app->model, name));
  else
    (void) print_event (app, name);
  return HV_EXIT_DONE;
}
