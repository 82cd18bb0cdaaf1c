/* A whole plugin. Copy this folder, rename hello, change the tables and the handler. */
#include <hvkit/plugin.h>

#define GREET_ARGS(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "who to greet", .umin = 1, .max = 64) \
  F (T, U32, _, times, 0, "how many times", .def = "1", .umin = 1, .max = 10)
HV_RECORD_STRUCT (greet_args, GREET_ARGS);
HV_RECORD_TABLE (greet_args, GREET_ARGS, "arguments of greet");

#define GREETING(F, T) F (T, STR, _, text, HV_REQUIRED, "the greeting")
HV_RECORD_STRUCT (greeting, GREETING);
HV_RECORD_TABLE (greeting, GREETING, "a greeting");

static int
greet (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct greet_args *a = args;
  struct greeting *g = result;
  (void) call;
  g->text = "";
  for (uint32_t i = 0; i < a->times && g->text != NULL; i++)
    g->text = hv_printf (self, "%s%sHello, %s!", g->text, i > 0 ? " " : "", a->name);
  return g->text != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static int
start (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  (void) config;
  (void) err;
  *ret_self = host; /* what every handler gets as `self`; here the host alone will do */
  return 0;
}

static const struct hv_method *const methods[] = { HV_METHOD ("greet", HV_VIEWER, greet, &greet_args_record, &greeting_record, "Greet somebody"), NULL };

static const struct hv_plugin hello = { HV_PLUGIN_HEAD, .name = "hello", .version = "1.0.0", .summary = "says hello", .methods = methods, .start = start };
HV_PLUGIN_REGISTER (hello)
