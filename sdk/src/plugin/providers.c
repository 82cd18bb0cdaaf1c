/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <hvkit/providers.h>

/* What is read of bus.describe's answer. */
#define DESCRIBE_ARGS(F, T) F (T, STR, _, iface, HV_REQUIRED, "only providers of this interface")
HV_RECORD_STRUCT (hv_describe_args, DESCRIBE_ARGS);
HV_RECORD_TABLE (hv_describe_args, DESCRIBE_ARGS, "arguments of bus.describe");
#define PROVIDER(F, T) F (T, STR, _, name, HV_REQUIRED, "instance")
HV_RECORD_STRUCT (hv_provider, PROVIDER);
HV_RECORD_TABLE (hv_provider, PROVIDER, "an instance");
#define PROVIDER_LIST(F, T) F (T, RECS, hv_provider, instances, HV_REQUIRED, "instances")
HV_RECORD_STRUCT (hv_provider_list, PROVIDER_LIST);
HV_RECORD_TABLE (hv_provider_list, PROVIDER_LIST, "providers");

int
hv_providers (struct hv_host *h, const char *iface, struct hv_strs *ret, struct hv_err *err)
{
  const struct hv_describe_args a = { .iface = iface, .has.iface = 1 };
  struct hv_provider_list got = { 0 };
  int r = hv_call_method (h, "bus.describe", hv_describe_args, &a, hv_provider_list, &got, err);
  if (r < 0)
    return hv_err_wrap (err, r, "look for providers of %s", iface);
  const char **items = hv_alloc (h, (got.instances.count + 1) * sizeof *items);
  if (items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < got.instances.count; i++)
    items[i] = got.instances.items[i].name;
  *ret = (struct hv_strs){ items, got.instances.count };
  return 0;
}
