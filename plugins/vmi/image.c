/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images that a volume shows or that a kernel is in: pulled before each start, and kept in the node's cache for as long as a run
 * of the VM depends on them. */
#include "vmi.h"
#include <hvkit/iface/image.h>
#include <string.h>

static int
choose (struct vmi *vmi, const char **ret, struct hv_err *err)
{
  const char *named = vmi->config != NULL && HV_HAS (vmi->config, image) ? vmi->config->image : NULL;
  return vmi_provider_choose (vmi, &hv_iface_image, named, "image", "pulls images", "container-disk", ret, err);
}

static char *
user_of (struct vmi_vm *v)
{
  return hv_printf (v->vmi->host, "vmi %s/%s", v->namespace_, v->name);
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

/* --- credentials --- */

/* A docker configuration, as text; the older form of a Secret has what is below "auths" in the newer. */
static int
docker_config (struct vmi_vm *v, const char *secret, const char **ret, struct hv_err *err)
{
  struct vmi_values values;
  int r = vmi_item_values (v->vmi, VMI_KIND_SECRET, v->namespace_, secret, &values, err);
  if (r < 0)
    return r;
  const struct vmi_value *new = vmi_value_find (&values, ".dockerconfigjson"), *old = vmi_value_find (&values, ".dockercfg");
  const struct vmi_value *found = new != NULL ? new : old;
  if (found == NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "Secret '%s/%s' has no credentials of a registry: its type has to be %s",
                       v->namespace_, secret, VMI_SECRET_DOCKER);
  *ret = hv_printf (v->vmi->host, new != NULL ? "%.*s" : "{\"auths\":%.*s}", (int) found->bytes.size,
                    (const char *) found->bytes.data);
  return *ret != NULL ? 0 : vmi_no_memory (err);
}

/* --- pull --- */

static uint32_t
policy_of (uint32_t policy)
{
  return policy == VMI_PULL_ALWAYS ? HV_PULL_ALWAYS : policy == VMI_PULL_NEVER ? HV_PULL_NEVER : HV_PULL_IF_NOT_PRESENT;
}

static int
pull (struct vmi_vm *v, struct hv_image_pull_args *a, const char *secret, const char *purpose, uint32_t checksum_of,
      struct hv_image *ret, struct hv_err *err)
{
  struct hv_host *h = v->vmi->host;
  const char *instance = NULL, *user = user_of (v);
  int r = choose (v->vmi, &instance, err);
  const char *method = r == 0 ? hv_printf (h, "%s.pull", instance) : NULL;
  if (r < 0)
    return r;
  if (user == NULL || method == NULL)
    return vmi_no_memory (err);
  HV_SET (a, used_by, user);
  if (secret != NULL) {
    r = docker_config (v, secret, &a->docker_config, err);
    a->has.docker_config = 1;
  }
  if (r < 0)
    return r;
  vmi_note (v, 0, "Pulling", "image '%s' for %s", a->image, purpose);
  r = hv_call_method (h, method, hv_image_pull_args, a, hv_image, ret, err);
  if (r < 0)
    return r;
  vmi_note (v, 0, "Pulled", "image '%s' for %s: %s", a->image, purpose, ret->digest);
  return HV_HAS (ret, checksum) && note_checksum (&v->run, checksum_of, ret->checksum) < 0 ? vmi_no_memory (err) : 0;
}

int
vmi_image_pull (struct vmi_vm *v, struct vmi_volume_plan *p, uint32_t volume, struct hv_err *err)
{
  const struct vmi_container_disk *c = p->container;
  struct hv_image_pull_args a = { 0 };
  struct hv_image *image = hv_alloc (v->vmi->host, sizeof *image);
  char *purpose = hv_printf (v->vmi->host, "volume '%s'", p->name);
  if (image == NULL || purpose == NULL)
    return vmi_no_memory (err);
  HV_SET (&a, image, c->image);
  HV_SET (&a, policy, policy_of (c->imagePullPolicy));
  if (HV_HAS (c, path))
    HV_SET (&a, file, c->path);
  if (p->declared)
    HV_SET (&a, format, p->format);
  int r = pull (v, &a, HV_HAS (c, imagePullSecret) ? c->imagePullSecret : NULL, purpose, volume, image, err);
  p->path = image->path;
  p->format = image->format;
  return r;
}

static int
pull_boot_file (struct vmi_vm *v, const struct vmi_kernel_container *c, const char *file, const char *purpose, uint32_t checksum_of,
                const char **ret, struct hv_err *err)
{
  struct hv_image_pull_args a = { 0 };
  struct hv_image *image = hv_alloc (v->vmi->host, sizeof *image);
  if (image == NULL)
    return vmi_no_memory (err);
  HV_SET (&a, image, c->image);
  HV_SET (&a, policy, policy_of (c->imagePullPolicy));
  HV_SET (&a, file, file);
  HV_SET (&a, format, HV_DISK_RAW);
  int r = pull (v, &a, HV_HAS (c, imagePullSecret) ? c->imagePullSecret : NULL, purpose, checksum_of, image, err);
  *ret = image->path;
  return r < 0 ? hv_err_wrap (err, r, "%s", purpose) : 0;
}

int
vmi_image_pull_kernel (struct vmi_vm *v, const struct vmi_kernel_boot *b, struct vmi_boot_files *ret, struct hv_err *err)
{
  const struct vmi_kernel_container *c = &b->container;
  *ret = (struct vmi_boot_files){ NULL, NULL };
  if (!HV_HAS (b, container))
    return 0;
  int r = pull_boot_file (v, c, c->kernelPath, "the kernel", VMI_CHECKSUM_KERNEL, &ret->kernel, err);
  if (r == 0 && HV_HAS (c, initrdPath))
    r = pull_boot_file (v, c, c->initrdPath, "the initial ramdisk", VMI_CHECKSUM_INITRD, &ret->initrd, err);
  return r;
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
  int uses = 0; /* images */
  if (s == NULL || user == NULL)
    return vmi_no_memory (err);
  int r = v->run.exists ? vmi_run_spec (v, s, err) : 0;
  for (uint32_t i = 0; r == 0 && v->run.exists && i < s->volumes.count; i++)
    uses |= HV_HAS (&s->volumes.items[i], containerDisk);
  uses |= HV_HAS (&s->domain.firmware.kernelBoot, container);
  if (r < 0 || !uses || choose (v->vmi, &instance, NULL) < 0)
    return r;
  const char *method = hv_printf (h, "%s.release", instance);
  if (method == NULL)
    return vmi_no_memory (err);
  HV_SET (&a, used_by, user);
  return h->api->call (h, method, &hv_image_release_args_record, &a, NULL, NULL, NULL, err);
}
