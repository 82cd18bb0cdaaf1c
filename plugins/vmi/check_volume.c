/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes, the disks that show them, and what annotations say of them. */
#include "check.h"
#include "data.h"
#include <hvkit/file.h>
#include <stdio.h>
#include <string.h>

/* --- disks --- */

const struct vmi_disk *
vmi_spec_disk (const struct vmi_spec *s, const char *name)
{
  for (uint32_t i = 0; i < s->domain.devices.disks.count; i++)
    if (strcmp (s->domain.devices.disks.items[i].name, name) == 0)
      return &s->domain.devices.disks.items[i];
  return NULL;
}

static const struct vmi_volume *
find_volume (const struct vmi_spec *s, const char *name)
{
  for (uint32_t i = 0; i < s->volumes.count; i++)
    if (strcmp (s->volumes.items[i].name, name) == 0)
      return &s->volumes.items[i];
  return NULL;
}

static int
check_disk (const struct vmi_check *c, uint32_t i)
{
  const struct vmi_disk *d = &c->spec->domain.devices.disks.items[i], *before;
  if (find_volume (c->spec, d->name) == NULL)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "there is no volume of this name", "domain.devices.disks[%u].name", i);
  for (before = c->spec->domain.devices.disks.items; before < d; before++) {
    if (strcmp (before->name, d->name) == 0)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "another disk has this name", "domain.devices.disks[%u].name", i);
    if (d->bootOrder != 0 && before->bootOrder == d->bootOrder)
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "another disk has this place", "domain.devices.disks[%u].bootOrder", i);
  }
  if (HV_HAS (d, disk) && HV_HAS (d, cdrom))
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "it is a disk already", "domain.devices.disks[%u].cdrom", i);
  if (HV_HAS (&d->cdrom, readonly) && !d->cdrom.readonly)
    return vmi_check_refuse (c, HV_E_UNIMPLEMENTED, "a CD-ROM is always read-only", "domain.devices.disks[%u].cdrom.readonly", i);
  if (HV_HAS (&d->cdrom, tray) && d->cdrom.tray != VMI_TRAY_CLOSED)
    return vmi_check_refuse (c, HV_E_UNIMPLEMENTED, "a machine starts with its trays closed", "domain.devices.disks[%u].cdrom.tray",
                             i);
  return 0;
}

static int
check_host_disk (const struct vmi_check *c, const struct vmi_volume *v, uint32_t i)
{
  char path[64];
  uint64_t bytes = 0;
  (void) snprintf (path, sizeof path, "volumes[%u].hostDisk.path", i);
  int r = hv_file_check_path (v->hostDisk.path, c->err);
  if (r < 0)
    return vmi_check_wrap (c, r, path);
  (void) snprintf (path, sizeof path, "volumes[%u].hostDisk.capacity", i);
  r = vmi_check_quantity (c, v->hostDisk.has.capacity, v->hostDisk.capacity, path);
  if (r < 0 || v->hostDisk.type != VMI_HOST_DISK_CREATE)
    return r;
  if (!v->hostDisk.has.capacity)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "required to make the disk", "%s", path);
  (void) vmi_quantity (v->hostDisk.capacity, &bytes, NULL);
  if (vmi_claim_bytes (bytes) == 0)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "must be at least 1Mi", "%s", path);
  return 0;
}

static int
check_container_disk (const struct vmi_check *c, const struct vmi_volume *v, uint32_t i)
{
  char path[64];
  (void) snprintf (path, sizeof path, "volumes[%u].containerDisk.path", i);
  return HV_HAS (&v->containerDisk, path) ? vmi_check_image_path (c, v->containerDisk.path, path) : 0;
}

static int
check_empty_disk (const struct vmi_check *c, const struct vmi_volume *v, uint32_t i)
{
  char path[64];
  uint64_t bytes = 0;
  (void) snprintf (path, sizeof path, "volumes[%u].emptyDisk.capacity", i);
  int r = vmi_check_quantity (c, 1, v->emptyDisk.capacity, path);
  if (r < 0)
    return r;
  (void) vmi_quantity (v->emptyDisk.capacity, &bytes, NULL);
  return vmi_claim_bytes (bytes) > 0 ? 0 : vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "must be at least 1Mi", "%s", path);
}

static int
check_base64 (const struct vmi_check *c, int has, const char *text, const char *path, const char *field)
{
  return !has || vmi_base64_is_valid (text) ? 0
                                            : vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "it is not base64", "%s.%s", path, field);
}

static int
check_cloud_init (const struct vmi_check *c, const struct vmi_cloud_init *s, const char *path)
{
  unsigned user = (unsigned) s->has.userData + s->has.userDataBase64 + s->has.secretRef;
  unsigned network = (unsigned) s->has.networkData + s->has.networkDataBase64 + s->has.networkDataSecretRef;
  if (user > 1)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "give one of userData, userDataBase64, secretRef", "%s", path);
  if (network > 1)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "give one of networkData, networkDataBase64, networkDataSecretRef", "%s",
                             path);
  if (user + network == 0)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "give userData, networkData, or both", "%s", path);
  int r = check_base64 (c, s->has.userDataBase64, s->userDataBase64, path, "userDataBase64");
  return r < 0 ? r : check_base64 (c, s->has.networkDataBase64, s->networkDataBase64, path, "networkDataBase64");
}

/* A machine has one cloud-init. */
static int
check_other_cloud_init (const struct vmi_check *c, uint32_t i)
{
  for (uint32_t k = 0; k < i; k++) {
    const struct vmi_volume *v = &c->spec->volumes.items[k];
    if (HV_HAS (v, cloudInitNoCloud) || HV_HAS (v, cloudInitConfigDrive))
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "another volume is for cloud-init already", "volumes[%u]", i);
  }
  return 0;
}

static int
check_label (const struct vmi_check *c, int has, const char *label, uint32_t i, const char *source)
{
  for (const char *at = has ? label : ""; *at != '\0'; at++)
    if (*at < ' ' || *at > '~')
      return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "only printable ASCII", "volumes[%u].%s.volumeLabel", i, source);
  return 0;
}

static int
check_seed (const struct vmi_check *c, const struct vmi_volume *v, uint32_t i)
{
  char path[64];
  int cloud = HV_HAS (v, cloudInitNoCloud) || HV_HAS (v, cloudInitConfigDrive);
  (void) snprintf (path, sizeof path, "volumes[%u].%s", i,
                   HV_HAS (v, cloudInitNoCloud) ? "cloudInitNoCloud" : "cloudInitConfigDrive");
  int r = cloud ? check_other_cloud_init (c, i) : 0;
  if (r < 0)
    return r;
  if (cloud)
    return check_cloud_init (c, HV_HAS (v, cloudInitNoCloud) ? &v->cloudInitNoCloud : &v->cloudInitConfigDrive, path);
  if (HV_HAS (v, sysprep) && v->sysprep.has.secret + v->sysprep.has.configMap != 1)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "give one of secret, configMap", "volumes[%u].sysprep", i);
  return HV_HAS (v, secret)      ? check_label (c, v->secret.has.volumeLabel, v->secret.volumeLabel, i, "secret")
         : HV_HAS (v, configMap) ? check_label (c, v->configMap.has.volumeLabel, v->configMap.volumeLabel, i, "configMap")
                                 : 0;
}

static unsigned
count_sources (const struct vmi_volume *v)
{
  return (unsigned) v->has.persistentVolumeClaim + v->has.hostDisk + v->has.ephemeral + v->has.containerDisk + v->has.emptyDisk
         + v->has.cloudInitNoCloud + v->has.cloudInitConfigDrive + v->has.secret + v->has.configMap + v->has.sysprep;
}

static int
check_volume (const struct vmi_check *c, uint32_t i)
{
  const struct vmi_volume *v = &c->spec->volumes.items[i];
  if (find_volume (c->spec, v->name) != v)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT, "another volume has this name", "volumes[%u].name", i);
  if (count_sources (v) != 1)
    return vmi_check_refuse (c, HV_E_INVALID_ARGUMENT,
                             "give one of persistentVolumeClaim, hostDisk, ephemeral, containerDisk, emptyDisk, cloudInitNoCloud, "
                             "cloudInitConfigDrive, secret, configMap, sysprep",
                             "volumes[%u]", i);
  return HV_HAS (v, hostDisk)        ? check_host_disk (c, v, i)
         : HV_HAS (v, containerDisk) ? check_container_disk (c, v, i)
         : HV_HAS (v, emptyDisk)     ? check_empty_disk (c, v, i)
         : vmi_volume_is_seed (v)    ? check_seed (c, v, i)
                                     : 0;
}

int
vmi_check_volumes (const struct vmi_check *c)
{
  int r = 0;
  for (uint32_t i = 0; i < c->spec->volumes.count && r == 0; i++)
    r = check_volume (c, i);
  for (uint32_t i = 0; i < c->spec->domain.devices.disks.count && r == 0; i++)
    r = check_disk (c, i);
  return r;
}

/* --- annotations --- */

static int
refuse_annotation (const struct vmi_check *c, const char *key, const char *why)
{
  char path[160];
  (void) snprintf (path, sizeof path, "metadata.annotations.%.100s", key);
  hv_err_set (c->err, HV_E_INVALID_ARGUMENT, "%s: %s", path, why);
  hv_err_data (c->err, "path", path);
  return HV_E_INVALID_ARGUMENT;
}

static int
check_format (const struct vmi_check *c, const struct hv_pair *p)
{
  const struct vmi_volume *v = find_volume (c->spec, p->key + strlen (VMI_ANNOTATION_FORMAT));
  int qcow2 = strcmp (p->value, "qcow2") == 0;
  if (v == NULL)
    return refuse_annotation (c, p->key, "there is no volume of this name");
  if (!qcow2 && strcmp (p->value, "raw") != 0)
    return refuse_annotation (c, p->key, "raw or qcow2");
  if (qcow2 && HV_HAS (v, hostDisk) && v->hostDisk.type == VMI_HOST_DISK_CREATE)
    return refuse_annotation (c, p->key, "what DiskOrCreate makes is raw");
  if (!qcow2 && HV_HAS (v, emptyDisk))
    return refuse_annotation (c, p->key, "an emptyDisk is qcow2");
  if (qcow2 && vmi_volume_is_seed (v))
    return refuse_annotation (c, p->key, "what is made of texts is raw");
  return 0;
}

int
vmi_check_annotations (const struct vmi_check *c)
{
  for (uint32_t i = 0; i < c->annotations->count; i++) {
    const struct hv_pair *p = &c->annotations->items[i];
    if (strncmp (p->key, "hvkit.io/", 9) != 0 || strcmp (p->key, VMI_ANNOTATION_BACKEND) == 0)
      continue;
    if (strcmp (p->key, VMI_ANNOTATION_NETNS) == 0) {
      if (hv_file_check_path (p->value, NULL) < 0)
        return refuse_annotation (c, p->key, "an absolute path, as /run/netns/pod");
      continue;
    }
    if (strncmp (p->key, VMI_ANNOTATION_FORMAT, strlen (VMI_ANNOTATION_FORMAT)) != 0)
      return refuse_annotation (
          c, p->key, "not known; " VMI_ANNOTATION_BACKEND ", " VMI_ANNOTATION_NETNS " and " VMI_ANNOTATION_FORMAT "VOLUME are");
    int r = check_format (c, p);
    if (r < 0)
      return r;
  }
  return 0;
}
