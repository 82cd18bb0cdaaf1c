/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Methods whose answer is one piece of binary data (a picture): into a file, or as it is down a pipe; never onto a terminal. */
#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int
write_file (const char *path, const struct hv_node *data, struct hv_err *err)
{
  HV_CLEAN (hv_fd) int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  const char *at = data->as.s.data, *end = at + data->as.s.size;
  if (fd < 0)
    return hv_err_sys (err, errno, "write '%s'", path);
  while (at < end) {
    ssize_t n = write (fd, at, (size_t) (end - at));
    if (n < 0 && errno != EINTR)
      return hv_err_sys (err, errno, "write '%s'", path);
    at += n > 0 ? n : 0;
  }
  return 0;
}

/* The result without the data, and with where that went instead. */
static void
print_rest (struct hv_app *app, const struct hv_model_method *m, const struct hv_node *result)
{
  static const struct hv_model_field size
      = { .name = "size_bytes", .dashed = "size-bytes", .type = "u64", .unit = "bytes", .doc = "" };
  static const struct hv_model_record rest = { .name = "", .doc = "", .count = 1, .fields = &size };
  struct hv_node *map = hv_node_new (&app->arena, HV_NODE_MAP);
  hv_node_put (&app->arena, map, "file", hv_node_text (&app->arena, app->opt.file));
  for (uint32_t i = 0; i < result->count; i++) {
    struct hv_node *n = result->as.items[i];
    if (strcmp (n->key, m->binary) == 0)
      hv_node_put (&app->arena, map, "size_bytes", hv_node_uint (&app->arena, n->as.s.size));
    else
      hv_node_put (&app->arena, map, n->key, n);
  }
  if (app->opt.output == HV_OUTPUT_JSON)
    hv_output_json (stdout, map, 2);
  else if (app->opt.output == HV_OUTPUT_YAML)
    hv_output_yaml (stdout, map);
  else
    hv_output_view (stdout, &app->arena, map, &rest, 0);
}

int
hv_binary_run (struct hv_app *app, const struct hv_model_method *m, struct hv_node *args)
{
  struct hv_node *result = NULL;
  const char *file = app->opt.file;
  if (file == NULL && hv_term.out_tty) {
    hv_term_error ("%s: its answer is binary: give --output-file FILE, or redirect the output", m->verb);
    return HV_EXIT_USAGE;
  }
  int r = hv_run_call (app, m->name, args, m->progress, &app->arena, &result);
  const struct hv_node *data = r == 0 ? hv_node_get (result, m->binary) : NULL;
  if (r == 0 && (data == NULL || data->type != HV_NODE_BIN))
    r = hv_err_set (app->err, HV_E_INTERNAL, "%s: the daemon answered no '%s'", m->name, m->binary);
  int to_stdout = file == NULL || strcmp (file, "-") == 0;
  if (r == 0 && !to_stdout)
    r = write_file (file, data, app->err);
  if (r != 0)
    return hv_run_report (app, r);
  if (to_stdout)
    (void) fwrite (data->as.s.data, 1, data->as.s.size, stdout); /* main looks at ferror */
  else
    print_rest (app, m, result);
  return hv_run_interrupted () ? HV_EXIT_INTERRUPTED : HV_EXIT_DONE;
}
