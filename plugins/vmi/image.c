/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Container disks: the image that a volume shows, pulled before each start, and kept in the node's cache for as long as a run of
 * the VM depends on it. */
#include "vmi.h"
#include <hvkit/iface/image.h>
#include <string.h>

/* The only one there is, or the one that the configuration names. */
static int
choose (struct vmi *vmi, const char **ret, struct hv_err *err)
{
  struct hv_strs all = { NULL, 0 };
  int named = vmi->config != NULL && HV_HAS (vmi->config, image);
  int r = vmi_providers (vmi, hv_iface_image.name, &all, err);
  if (r < 0)
    return r;
  for (uint32_t i = 0; i < all.count; i++)
    if (named ? strcmp (all.items[i], vmi->config->image) == 0 : all.count == 1) {
      *ret = all.items[i];
      return 0;
    }
  if (named)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "the configuration of vmi names '%s', and no running plugin instance of that name pulls images",
                       vmi->config->image);
  if (all.count == 0)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "no running plugin provides image/1: container-disk does");
  return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                     "several plugins pull images ('%s', '%s' …): name one in the configuration of vmi (image)", all.items[0],
                     all.items[1]);
}

static char *
user_of (struct vmi_vm *v)
{
  return hv_printf (v->vmi->host, "vmi %s/%s", v->namespace_, v->name);
}

static uint32_t
policy_of (const struct vmi_container_disk *c)
{
  return c->imagePullPolicy == VMI_PULL_ALWAYS  ? HV_PULL_ALWAYS
         : c->imagePullPolicy == VMI_PULL_NEVER ? HV_PULL_NEVER
                                                : HV_PULL_IF_NOT_PRESENT;
}

static int
note_checksum (struct vmi_run *run, uint32_t volume, uint32_t checksum)
{
  uint32_t i = 0;
  while (i < run->checksum_count && run->checksums[i].volume != volume)
    i++;
  struct vmi_checksum *more = i == run->checksum_count ? realloc (run->checksums, (i + 1) * sizeof *more) : run->checksums;
  if (more == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  run->checksums = more;
  memset (&more[i], 0, sizeof more[i]);
  HV_SET (&more[i], volume, volume);
  HV_SET (&more[i], checksum, checksum);
  run->checksum_count += i == run->checksum_count;
  return 0;
}

int
vmi_image_pull (struct vmi_vm *v, struct vmi_volume_plan *p, uint32_t volume, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct hv_image_pull_args a = { .policy = policy_of (p->container) };
  struct hv_image *image = hv_alloc (h, sizeof *image);
  const char *instance = NULL, *user = user_of (v);
  int r = choose (v->vmi, &instance, err);
  const char *method = r == 0 ? hv_printf (h, "%s.pull", instance) : NULL;
  if (r < 0)
    return r;
  if (image == NULL || user == NULL || method == NULL)
    return vmi_no_memory (err);
  HV_SET (&a, image, p->container->image);
  a.has.policy = 1;
  HV_SET (&a, used_by, user);
  if (HV_HAS (p->container, path))
    HV_SET (&a, file, p->container->path);
  if (p->declared)
    HV_SET (&a, format, p->format);
  vmi_note (v, 0, "Pulling", "image '%s' for volume '%s'", p->container->image, p->name);
  r = hv_call_method (h, method, hv_image_pull_args, &a, hv_image, image, err);
  if (r < 0)
    return r;
  vmi_note (v, 0, "Pulled", "image '%s' for volume '%s': %s", p->container->image, p->name, image->digest);
  p->path = image->path;
  p->format = image->format;
  return HV_HAS (image, checksum) && note_checksum (&v->run, volume, image->checksum) < 0 ? vmi_no_memory (err) : 0;
}

/* Nobody is left to be told where the plugin is gone: its cache knows, and the next one of its name hears it when the VM runs
 * again. */
int
vmi_image_release (struct vmi_vm *v, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  struct vmi_spec *s = hv_alloc (h, sizeof *s);
  struct hv_image_release_args a = { 0 };
  const char *instance = NULL, *user = user_of (v);
  int uses = 0;
  if (s == NULL || user == NULL)
    return vmi_no_memory (err);
  int r = v->run.exists ? vmi_run_spec (v, s, err) : 0;
  for (uint32_t i = 0; r == 0 && v->run.exists && i < s->volumes.count; i++)
    uses |= HV_HAS (&s->volumes.items[i], containerDisk);
  if (r < 0 || !uses || choose (v->vmi, &instance, NULL) < 0)
    return r;
  const char *method = hv_printf (h, "%s.release", instance);
  if (method == NULL)
    return vmi_no_memory (err);
  HV_SET (&a, used_by, user);
  return h->api->call (h, method, &hv_image_release_args_record, &a, NULL, NULL, NULL, err);
}
