/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's table, its beginning and its end. */
#include "toy.h"
#include <stdlib.h>

HV_RECORD_TABLE (toy_config, TOY_CONFIG, "configuration of toyhv");

int
toy_start_instance (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  struct toy *t = calloc (1, sizeof *t);
  if (t == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret_self = t;
  t->host = host;
  t->config = *(const struct toy_config *) config;
  return toy_load (t, err);
}

/* The machines stay: only what this process keeps of them goes. */
void
toy_stop_instance (void *self)
{
  struct toy *t = self;
  if (t == NULL)
    return;
  while (t->count > 0)
    toy_vm_remove (t->vms[t->count - 1]);
  free (t->vms);
  free (t);
}

/* What is known already is answered in place. */
#define TOY_FAST(base_, handler_) \
  &(const struct hv_method) \
  { \
    .struct_size = sizeof (struct hv_method), .flags = HV_FAST | HV_READ, .handler = (handler_), .base = &(base_) \
  }

#define TOY_LACKING(verb_) HV_IMPLEMENT (hv_hypervisor_##verb_, toy_lacking_##verb_)
#define TOY_LACKS(verb_, why_) \
  static int toy_lacking_##verb_ (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err) \
  { \
    (void) self; \
    (void) call; \
    (void) args; \
    (void) result; \
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "%s", toy_lacks (#verb_)); \
  }
#include "lacks.h"
#undef TOY_LACKS

const struct hv_plugin toy_plugin = {
  HV_PLUGIN_HEAD,
  .name = "toyhv",
  .version = "1",
  .summary = "a hypervisor whose machines sleep: the reference for providers of hypervisor/1",
  .license = "LGPL-2.1-or-later",
  .provides = (const struct hv_iface *const[]){ &hv_iface_hypervisor, NULL },
  .config = &toy_config_record,
  .methods = (const struct hv_method *const[]){ HV_IMPLEMENT (hv_hypervisor_probe, toy_probe),
                                                HV_IMPLEMENT (hv_hypervisor_define, toy_define),
                                                HV_IMPLEMENT (hv_hypervisor_start, toy_start),
                                                HV_IMPLEMENT (hv_hypervisor_shutdown, toy_shutdown),
                                                HV_IMPLEMENT (hv_hypervisor_stop, toy_stop),
                                                HV_IMPLEMENT (hv_hypervisor_undefine, toy_undefine),
                                                TOY_FAST (hv_hypervisor_list, toy_list),
                                                TOY_FAST (hv_hypervisor_get, toy_get),
                                                TOY_FAST (hv_hypervisor_native, toy_native),
                                                HV_IMPLEMENT (hv_hypervisor_adopt, toy_adopt),
                                                TOY_FAST (hv_hypervisor_stats, toy_stats),
                                                HV_IMPLEMENT (hv_hypervisor_agent_command, toy_agent_command),
                                                HV_IMPLEMENT (hv_hypervisor_pause, toy_pause),
                                                HV_IMPLEMENT (hv_hypervisor_resume, toy_resume),
                                                HV_IMPLEMENT (hv_hypervisor_reset, toy_reset),
                                                HV_IMPLEMENT (hv_hypervisor_reboot, toy_reboot),
                                                TOY_FAST (hv_hypervisor_block_info, toy_block_info),
                                                TOY_FAST (hv_hypervisor_block_stats, toy_block_stats),
                                                TOY_FAST (hv_hypervisor_block_errors, toy_block_errors),
                                                TOY_FAST (hv_hypervisor_interface_stats, toy_interface_stats),
                                                TOY_FAST (hv_hypervisor_memory_stats, toy_memory_stats),
                                                HV_IMPLEMENT (hv_hypervisor_attach, toy_attach),
                                                HV_IMPLEMENT (hv_hypervisor_detach, toy_detach),
                                                HV_IMPLEMENT (hv_hypervisor_resize_block, toy_resize_block),
                                                HV_IMPLEMENT (hv_hypervisor_set_memory, toy_set_memory),
                                                HV_IMPLEMENT (hv_hypervisor_set_vcpus, toy_set_vcpus),
                                                TOY_FAST (hv_hypervisor_screenshot, toy_screenshot),
                                                HV_IMPLEMENT (hv_hypervisor_send_key, toy_send_key),
                                                HV_IMPLEMENT (hv_hypervisor_save, toy_save),
                                                HV_IMPLEMENT (hv_hypervisor_restore, toy_restore),
#define TOY_LACKS(verb_, why_) TOY_LACKING (verb_),
#include "lacks.h"
#undef TOY_LACKS
                                                NULL },
  .start = toy_start_instance,
  .stop = toy_stop_instance,
};
