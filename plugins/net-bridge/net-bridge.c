/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* net-bridge: KubeVirt's way of connecting a guest to the network of a namespace. */
#include "net-bridge.h"
#include <stdlib.h>

HV_RECORD_TABLE (nb_config_network, NB_CONFIG_NETWORK, "a network of the node");
HV_RECORD_TABLE (nb_config, NB_CONFIG, "configuration of net-bridge");

int
nb_no_memory (struct hv_err *err)
{
  return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static void
stop (void *self)
{
  struct nb *nb = self;
  if (nb == NULL)
    return;
  for (uint32_t i = 0; i < nb->count; i++) {
    nb_server_forget (nb, nb->all[i]);
    free (nb->all[i]->key);
    free (nb->all[i]->bytes);
    free (nb->all[i]);
  }
  nb->host->api->cond_free (nb->host, nb->unlocked);
  free (nb->all);
  free (nb);
}

static int
start (struct hv_host *h, const void *config, void **ret_self, struct hv_err *err)
{
  struct nb *nb = calloc (1, sizeof *nb);
  if (nb == NULL)
    return nb_no_memory (err);
  *ret_self = nb;
  nb->host = h;
  nb->config = config;
  nb->unlocked = h->api->cond_new (h);
  int r = nb->unlocked != NULL ? nb_pod_check_pool (nb, err) : nb_no_memory (err);
  if (r == 0)
    r = nb_network_check (nb->config, err);
  if (r == 0)
    r = nb_netns_identify (nb, NULL, &nb->netns_dev, &nb->netns_ino, err);
  if (r == 0)
    r = nb_record_load (nb, err);
  return r == 0 ? nb_repair (nb, err) : r;
}

const struct hv_plugin nb_plugin = {
  HV_PLUGIN_HEAD,
  .name = "net-bridge",
  .version = HV_VERSION,
  .summary = "network cards of VMs on interfaces of network namespaces",
  .license = "LGPL-2.1-or-later",
  .config = &nb_config_record,
  .provides = (const struct hv_iface *const[]){ &hv_iface_net, NULL },
  .methods
  = (const struct hv_method *const[]){ HV_IMPLEMENT (hv_net_verb_attach, nb_attach), HV_IMPLEMENT (hv_net_verb_detach, nb_detach),
                                       HV_IMPLEMENT (hv_net_verb_get, nb_get), HV_IMPLEMENT (hv_net_verb_list, nb_list),
                                       HV_IMPLEMENT (hv_net_verb_stats, nb_stats), NULL },
  .start = start,
  .stop = stop,
};
