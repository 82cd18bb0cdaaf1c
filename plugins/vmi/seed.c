/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a guest reads when it is set up: cloud-init's NoCloud and config drive, Secrets, ConfigMaps, the answers of Windows' setup.
 * Names and contents are KubeVirt's, so that a guest cannot tell the difference. */
#include "vmi.h"
#include <jansson.h>
#include <string.h>
#include <strings.h>

static int
add (struct vmi_seed *seed, const char *path, struct hv_bin bytes, struct hv_err *err)
{
  if (seed->count == VMI_SEED_FILES)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "more than %u files", VMI_SEED_FILES);
  seed->files[seed->count++] = (struct vmi_seed_file){ path, bytes };
  return 0;
}

static struct hv_bin
text_bin (const char *text)
{
  return (struct hv_bin){ (const uint8_t *) text, strlen (text) };
}

/* --- cloud-init --- */

/* The value of one of two keys of a Secret. */
static int
secret_value (struct vmi_vm *v, const char *secret, const char *key, const char *other, struct hv_bin *ret, struct hv_err *err)
{
  struct vmi_values values;
  int r = vmi_item_values (v->vmi, VMI_KIND_SECRET, v->namespace_, secret, &values, err);
  if (r < 0)
    return r;
  const struct vmi_value *found = vmi_value_find (&values, key);
  if (found == NULL)
    found = vmi_value_find (&values, other);
  if (found == NULL)
    return hv_err_set (err, HV_E_NOT_FOUND, "Secret '%s/%s' has neither '%s' nor '%s'", v->namespace_, secret, key, other);
  *ret = found->bytes;
  return 0;
}

static int
user_data (struct vmi_vm *v, const struct vmi_cloud_init *c, struct hv_bin *ret, struct hv_err *err)
{
  *ret = text_bin ("#cloud-config\n"); /* cloud-init wants the file */
  if (HV_HAS (c, secretRef))
    return secret_value (v, c->secretRef.name, "userdata", "userData", ret, err);
  if (HV_HAS (c, userDataBase64))
    return vmi_base64_decode (v->vmi->host, c->userDataBase64, ret, err);
  if (HV_HAS (c, userData))
    *ret = text_bin (c->userData);
  return 0;
}

static int
network_data (struct vmi_vm *v, const struct vmi_cloud_init *c, struct hv_bin *ret, struct hv_err *err)
{
  *ret = (struct hv_bin){ NULL, 0 };
  if (HV_HAS (c, networkDataSecretRef))
    return secret_value (v, c->networkDataSecretRef.name, "networkdata", "networkData", ret, err);
  if (HV_HAS (c, networkDataBase64))
    return vmi_base64_decode (v->vmi->host, c->networkDataBase64, ret, err);
  if (HV_HAS (c, networkData))
    *ret = text_bin (c->networkData);
  return 0;
}

static int
add_json (struct vmi_vm *v, struct vmi_seed *seed, const char *path, json_t *json, struct hv_err *err)
{
  char *text = json != NULL ? json_dumps (json, JSON_COMPACT) : NULL;
  char *copy = text != NULL ? hv_strdup (v->vmi->host, text) : NULL;
  free (text);
  json_decref (json);
  return copy != NULL ? add (seed, path, text_bin (copy), err) : vmi_no_memory (err);
}

static int
fill_no_cloud (struct vmi_vm *v, const struct vmi_spec *s, struct hv_bin user, struct hv_bin network, struct vmi_seed *seed,
               struct hv_err *err)
{
  const char *host = HV_HAS (s, hostname) ? s->hostname : v->name;
  seed->label = "cidata";
  int r = add_json (v, seed, "meta-data", json_pack ("{s:s, s:s}", "instance-id", s->domain.firmware.uuid, "local-hostname", host),
                    err);
  if (r == 0)
    r = add (seed, "user-data", user, err);
  return r == 0 && network.size > 0 ? add (seed, "network-config", network, err) : r;
}

static int
fill_config_drive (struct vmi_vm *v, const struct vmi_spec *s, struct hv_bin user, struct hv_bin network, struct vmi_seed *seed,
                   struct hv_err *err)
{
  const char *host = HV_HAS (s, hostname) ? s->hostname : v->name;
  char *id = hv_printf (v->vmi->host, "%s.%s", v->name, v->namespace_);
  seed->label = "config-2";
  if (id == NULL)
    return vmi_no_memory (err);
  int r = add_json (v, seed, "openstack/latest/meta_data.json",
                    json_pack ("{s:s, s:s, s:s}", "instance_id", id, "hostname", host, "uuid", s->domain.firmware.uuid), err);
  if (r == 0)
    r = add (seed, "openstack/latest/user_data", user, err);
  return r == 0 && network.size > 0 ? add (seed, "openstack/latest/network_data.json", network, err) : r;
}

static int
fill_cloud_init (struct vmi_vm *v, const struct vmi_spec *s, const struct vmi_volume *volume, struct vmi_seed *seed,
                 struct hv_err *err)
{
  int no_cloud = HV_HAS (volume, cloudInitNoCloud);
  const struct vmi_cloud_init *c = no_cloud ? &volume->cloudInitNoCloud : &volume->cloudInitConfigDrive;
  struct hv_bin user, network;
  int r = user_data (v, c, &user, err);
  if (r == 0)
    r = network_data (v, c, &network, err);
  if (r < 0)
    return r;
  return no_cloud ? fill_no_cloud (v, s, user, network, seed, err) : fill_config_drive (v, s, user, network, seed, err);
}

/* --- Secrets and ConfigMaps --- */

static int
fill_values (struct vmi_vm *v, uint32_t kind, const char *name, int optional, struct vmi_seed *seed, struct hv_err *err)
{
  struct vmi_values values = { NULL, 0 };
  int there = vmi_item_find (v->vmi, kind, v->namespace_, name) != NULL;
  int r = there || !optional ? vmi_item_values (v->vmi, kind, v->namespace_, name, &values, err) : 0;
  for (uint32_t i = 0; i < values.count && r == 0; i++)
    r = add (seed, values.items[i].key, values.items[i].bytes, err);
  return r;
}

static int
fill_sysprep (struct vmi_vm *v, const struct vmi_sysprep *s, struct vmi_seed *seed, struct hv_err *err)
{
  int secret = HV_HAS (s, secret), found = 0;
  const char *name = secret ? s->secret.name : s->configMap.name;
  seed->label = "unattendCD";
  int r = fill_values (v, secret ? VMI_KIND_SECRET : VMI_KIND_CONFIG_MAP, name, 0, seed, err);
  for (uint32_t i = 0; i < seed->count && r == 0; i++)
    found |= strcasecmp (seed->files[i].path, "autounattend.xml") == 0 || strcasecmp (seed->files[i].path, "unattend.xml") == 0;
  if (r == 0 && !found)
    r = hv_err_set (err, HV_E_NOT_FOUND, "%s '%s/%s' has neither autounattend.xml nor unattend.xml",
                    vmi_kind_words[secret ? VMI_KIND_SECRET : VMI_KIND_CONFIG_MAP], v->namespace_, name);
  return r;
}

int
vmi_seed_fill (struct vmi_vm *v, const struct vmi_spec *s, const struct vmi_volume *volume, struct vmi_seed *ret,
               struct hv_err *err)
{
  *ret = (struct vmi_seed){ .label = "cfgdata" };
  if (HV_HAS (volume, cloudInitNoCloud) || HV_HAS (volume, cloudInitConfigDrive))
    return fill_cloud_init (v, s, volume, ret, err);
  if (HV_HAS (volume, sysprep))
    return fill_sysprep (v, &volume->sysprep, ret, err);
  if (HV_HAS (volume, secret)) {
    if (HV_HAS (&volume->secret, volumeLabel))
      ret->label = volume->secret.volumeLabel;
    return fill_values (v, VMI_KIND_SECRET, volume->secret.secretName, volume->secret.optional, ret, err);
  }
  if (HV_HAS (&volume->configMap, volumeLabel))
    ret->label = volume->configMap.volumeLabel;
  return fill_values (v, VMI_KIND_CONFIG_MAP, volume->configMap.name, volume->configMap.optional, ret, err);
}
