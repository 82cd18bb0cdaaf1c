/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* container-disk: image/1. Disk images from OCI registries, web servers and files, in a cache of the node. This file is its table,
 * its beginning and its end. */
#include "container-disk.h"
#include <stdlib.h>

HV_RECORD_TABLE (cd_config, CD_CONFIG, "configuration of container-disk");

static void
stop (void *self)
{
  struct cd *cd = self;
  if (cd == NULL)
    return;
  cd_http_free (cd->http);
  cd_cache_free (cd);
  if (cd->landed != NULL)
    cd->host->api->cond_free (cd->host, cd->landed);
  free (cd);
}

static int
start (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  struct cd *cd = calloc (1, sizeof *cd);
  if (cd == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret_self = cd;
  *cd = (struct cd){ .host = host, .config = config, .landed = host->api->cond_new (host) };
  int r = cd->landed != NULL ? cd_http_new (host, &cd->http, err) : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return r == 0 ? cd_cache_load (cd, err) : r;
}

const struct hv_plugin cd_plugin = {
  HV_PLUGIN_HEAD,
  .name = "container-disk",
  .version = HV_VERSION,
  .summary = "disk images from registries, web servers and files",
  .license = "LGPL-2.1-or-later",
  .provides = (const struct hv_iface *const[]){ &hv_iface_image, NULL },
  .config = &cd_config_record,
  .methods
  = (const struct hv_method *const[]){ HV_IMPLEMENT (hv_image_verb_pull, cd_pull), HV_IMPLEMENT (hv_image_verb_list, cd_list),
                                       HV_IMPLEMENT (hv_image_verb_get, cd_get), HV_IMPLEMENT (hv_image_verb_remove, cd_remove),
                                       HV_IMPLEMENT (hv_image_verb_release, cd_release), NULL },
  .start = start,
  .stop = stop,
};
