/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* virt-freezer: the same program under the name that backup tools call in a virt-launcher pod, with its flags and exit codes
 * (cmd/virt-freezer/main.go of KubeVirt v1.2.2). 0 also where there is no guest agent: a backup goes on, as consistent as it can
 * be. */
#include "cli.h"
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

struct freezer {
  const char *name, *namespace_;
  uint64_t timeout_s;
  int freeze, unfreeze;
};

static int
read_options (int argc, char **argv, struct freezer *f)
{
  static const struct option options[] = { { "freeze", 0, NULL, 'f' },
                                           { "unfreeze", 0, NULL, 'u' },
                                           { "name", 1, NULL, 'n' },
                                           { "namespace", 1, NULL, 's' },
                                           { "unfreezeTimeoutSeconds", 1, NULL, 't' },
                                           { NULL, 0, NULL, 0 } };
  char *end = NULL;
  int ok = 1;
  for (int c; (c = getopt_long (argc, argv, "", options, NULL)) != -1;)
    switch (c) {
    case 'f':
      f->freeze = 1;
      break;
    case 'u':
      f->unfreeze = 1;
      break;
    case 'n':
      f->name = optarg;
      break;
    case 's':
      f->namespace_ = optarg;
      break;
    case 't':
      f->timeout_s = strtoull (optarg, &end, 10);
      ok = ok && *optarg >= '0' && *optarg <= '9' && *end == '\0';
      break;
    default:
      ok = 0;
    }
  return ok && f->name != NULL && f->namespace_ != NULL && (f->freeze || f->unfreeze);
}

static struct hv_node *
reference (struct hv_app *app, const struct freezer *f)
{
  struct hv_node *args = hv_node_new (&app->arena, HV_NODE_MAP);
  hv_node_put (&app->arena, args, "name", hv_node_text (&app->arena, f->name));
  hv_node_put (&app->arena, args, "namespace", hv_node_text (&app->arena, f->namespace_));
  return args;
}

static int
fail (struct hv_app *app)
{
  hv_term_error ("%s", hv_err_message (app->err));
  return HV_EXIT_FAILED;
}

int
hv_freezer_run (struct hv_app *app, int argc, char **argv)
{
  struct freezer f = { .timeout_s = 300 };
  struct hv_node *result = NULL;
  if (!read_options (argc, argv, &f)) {
    hv_term_error ("virt-freezer --freeze|--unfreeze --name NAME --namespace NAMESPACE [--unfreezeTimeoutSeconds N]");
    return HV_EXIT_FAILED;
  }
  if (hv_app_connect (app) != 0)
    return HV_EXIT_FAILED;
  if (hv_run_call (app, "vmi.get_vmi", reference (app, &f), 0, &app->arena, &result) != 0)
    return fail (app);
  const struct hv_node *vmi = hv_node_path (result, "items.0", 7), *extra = hv_node_get (vmi, "hvkit");
  const char *state = hv_node_str (extra, "state");
  if (state == NULL || strcmp (state, "running") != 0) {
    hv_term_error ("%s/%s is %s: unable to freeze/unfreeze", f.namespace_, f.name, state != NULL ? state : "not there");
    return HV_EXIT_FAILED;
  }
  if (hv_node_str (extra, "agent") == NULL) {
    puts ("No guest agent, exiting");
    return HV_EXIT_DONE;
  }
  struct hv_node *args = reference (app, &f);
  if (f.freeze && f.timeout_s > 0)
    hv_node_put (&app->arena, args, "unfreeze_timeout", hv_node_uint (&app->arena, f.timeout_s));
  return hv_run_call (app, f.freeze ? "vmi.freeze" : "vmi.unfreeze", args, 0, &app->arena, &result) != 0 ? fail (app)
                                                                                                         : HV_EXIT_DONE;
}
