/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a spec with its defaults to files and to the neutral machine. */
#include "quantity.h"
#include "spec.h"
#include <stdio.h>
#include <string.h>

uint64_t
vmi_claim_bytes (uint64_t requested)
{
  return requested & ~(uint64_t) 1048575;
}

char *
vmi_claim_path (struct hv_host *h, const char *state_dir, const char *namespace_, const char *claim)
{
  return hv_printf (h, "%s/volumes/%s/%s/disk.img", state_dir, namespace_, claim);
}

char *
vmi_overlay_dir (struct hv_host *h, const char *state_dir, const char *domain)
{
  return hv_printf (h, "%s/overlays/%s", state_dir, domain);
}

/* --- volumes --- */

static void
declare_format (struct hv_host *h, const struct hv_map *annotations, struct vmi_volume_plan *p)
{
  const char *key = hv_printf (h, VMI_ANNOTATION_FORMAT "%s", p->name);
  const char *value = key != NULL ? vmi_map_get (annotations, key) : NULL;
  p->declared = value != NULL;
  p->format = value != NULL && strcmp (value, "qcow2") == 0 ? HV_DISK_QCOW2 : HV_DISK_RAW;
}

static void
plan_host_disk (const struct vmi_host_disk *d, struct vmi_volume_plan *p)
{
  uint64_t bytes = 0;
  p->source = VMI_SOURCE_HOST_DISK;
  p->path = d->path;
  if (d->type == VMI_HOST_DISK_CREATE && vmi_quantity (d->capacity, &bytes, NULL) == 0)
    p->create_bytes = vmi_claim_bytes (bytes);
}

int
vmi_volume_is_seed (const struct vmi_volume *v)
{
  return HV_HAS (v, cloudInitNoCloud) || HV_HAS (v, cloudInitConfigDrive) || HV_HAS (v, secret) || HV_HAS (v, configMap)
         || HV_HAS (v, sysprep);
}

/* They are made anew for each run, in the directory that goes with it. */
static int
plan_run_file (struct hv_host *h, const char *dir, const struct vmi_volume *v, struct vmi_volume_plan *p)
{
  int seed = vmi_volume_is_seed (v);
  char *path = hv_printf (h, seed ? "%s/%s.iso" : "%s/%s.qcow2", dir, v->name);
  if (seed) {
    p->source = VMI_SOURCE_SEED;
    p->path = path;
  } else if (HV_HAS (v, emptyDisk)) {
    uint64_t bytes = 0;
    p->source = VMI_SOURCE_EMPTY;
    p->path = path;
    p->format = HV_DISK_QCOW2;
    if (vmi_quantity (v->emptyDisk.capacity, &bytes, NULL) == 0)
      p->create_bytes = vmi_claim_bytes (bytes);
  } else {
    p->source = VMI_SOURCE_CONTAINER;
    p->container = &v->containerDisk;
    p->overlay = path;
  }
  return path != NULL;
}

static int
plan_claim (struct hv_host *h, const char *state_dir, const char *namespace_, const char *dir, const struct vmi_volume *v,
            struct vmi_volume_plan *p)
{
  int ephemeral = HV_HAS (v, ephemeral);
  p->source = ephemeral ? VMI_SOURCE_EPHEMERAL : VMI_SOURCE_CLAIM;
  p->claim = ephemeral ? v->ephemeral.persistentVolumeClaim.claimName : v->persistentVolumeClaim.claimName;
  p->path = vmi_claim_path (h, state_dir, namespace_, p->claim);
  p->overlay = ephemeral ? hv_printf (h, "%s/%s.qcow2", dir, v->name) : NULL;
  return p->path != NULL && (!ephemeral || p->overlay != NULL);
}

int
vmi_spec_volumes (struct hv_host *h, const char *state_dir, const char *namespace_, const char *name, const struct vmi_spec *s,
                  const struct hv_map *annotations, struct vmi_volume_plan **ret, struct hv_err *err)
{
  struct vmi_volume_plan *plans = hv_alloc (h, (s->volumes.count + 1) * sizeof *plans);
  char *dir = plans != NULL ? hv_printf (h, "%s/overlays/%s_%s", state_dir, namespace_, name) : NULL;
  int whole = dir != NULL;
  for (uint32_t i = 0; i < s->volumes.count && whole; i++) {
    const struct vmi_volume *v = &s->volumes.items[i];
    struct vmi_volume_plan *p = &plans[i];
    p->name = v->name;
    declare_format (h, annotations, p);
    if (HV_HAS (v, hostDisk))
      plan_host_disk (&v->hostDisk, p);
    else if (HV_HAS (v, containerDisk) || HV_HAS (v, emptyDisk) || vmi_volume_is_seed (v))
      whole = plan_run_file (h, dir, v, p);
    else
      whole = plan_claim (h, state_dir, namespace_, dir, v, p);
  }
  if (!whole)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  *ret = plans;
  return 0;
}

/* --- disks --- */

static const struct vmi_volume_plan *
find_plan (const struct vmi_spec *s, const struct vmi_volume_plan *plans, const char *name)
{
  for (uint32_t i = 0; i < s->volumes.count; i++)
    if (strcmp (plans[i].name, name) == 0)
      return &plans[i];
  return NULL;
}

static int
disk_files (struct hv_host *h, const struct vmi_volume_plan *p, struct hv_machine_disk *out, struct hv_err *err)
{
  if (p->overlay == NULL) {
    HV_SET (out, path, p->path);
    HV_SET (out, format, p->format);
    return 0;
  }
  struct hv_machine_layer *base = hv_alloc (h, sizeof *base);
  if (base == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  HV_SET (base, path, p->path);
  HV_SET (base, format, p->format);
  HV_SET (out, path, p->overlay);
  HV_SET (out, format, HV_DISK_QCOW2);
  out->backing.items = base;
  out->backing.count = 1;
  out->has.backing = 1;
  return 0;
}

static int
make_disk (struct hv_host *h, const struct vmi_disk *d, const struct vmi_volume_plan *p, struct hv_machine_disk *out,
           struct hv_err *err)
{
  int cdrom = HV_HAS (d, cdrom);
  HV_SET (out, name, d->name);
  HV_SET (out, bus, cdrom ? d->cdrom.bus : d->disk.bus);
  HV_SET (out, media, cdrom ? HV_MEDIA_CDROM : HV_MEDIA_DISK);
  HV_SET (out, read_only, cdrom || d->disk.readonly);
  if (HV_HAS (d, bootOrder))
    HV_SET (out, boot_order, d->bootOrder);
  if (HV_HAS (d, serial))
    HV_SET (out, serial, d->serial);
  HV_SET (out, cache, HV_HAS (d, cache) ? HV_CACHE_NONE + d->cache : HV_CACHE_AUTO);
  HV_SET (out, on_error, HV_HAS (d, errorPolicy) ? d->errorPolicy : HV_ONERROR_STOP);
  return disk_files (h, p, out, err);
}

static int
make_disks (struct hv_host *h, const struct vmi_spec *s, const struct vmi_volume_plan *plans, struct hv_machine *m,
            struct hv_err *err)
{
  uint32_t n = s->domain.devices.disks.count;
  int r = 0;
  m->disks.items = hv_alloc (h, (n + 1) * sizeof *m->disks.items);
  if (m->disks.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  m->disks.count = n;
  m->has.disks = n > 0;
  for (uint32_t i = 0; i < n && r == 0; i++) {
    const struct vmi_disk *d = &s->domain.devices.disks.items[i];
    const struct vmi_volume_plan *p = find_plan (s, plans, d->name);
    r = p != NULL ? make_disk (h, d, p, &m->disks.items[i], err)
                  : hv_err_set (err, HV_E_INVALID_ARGUMENT, "disk '%s' has no volume", d->name);
  }
  return r;
}

static int
make_inputs (struct hv_host *h, const struct vmi_devices *d, struct hv_machine *m, struct hv_err *err)
{
  m->inputs.items = hv_alloc (h, (d->inputs.count + 1) * sizeof *m->inputs.items);
  if (m->inputs.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  m->inputs.count = d->inputs.count;
  m->has.inputs = d->inputs.count > 0;
  for (uint32_t i = 0; i < d->inputs.count; i++) {
    HV_SET (&m->inputs.items[i], name, d->inputs.items[i].name);
    HV_SET (&m->inputs.items[i], type, d->inputs.items[i].type);
    HV_SET (&m->inputs.items[i], bus, d->inputs.items[i].bus);
  }
  return 0;
}

static int
on_unless_false (int has, int value)
{
  return !has || value;
}

static void
make_board (const struct vmi_spec *s, struct hv_machine *m)
{
  const struct vmi_domain *d = &s->domain;
  const struct vmi_devices *v = &d->devices;
  HV_SET (m, uuid, d->firmware.uuid);
  HV_SET (m, arch, s->architecture);
  HV_SET (m, machine, d->machine.type);
  m->has.cpu = 1;
  HV_SET (&m->cpu, model, d->cpu.model);
  HV_SET (&m->cpu, sockets, d->cpu.sockets);
  HV_SET (&m->cpu, cores, d->cpu.cores);
  HV_SET (&m->cpu, threads, d->cpu.threads);
  HV_SET (m, acpi, (uint8_t) on_unless_false (d->features.acpi.has.enabled, d->features.acpi.enabled));
  HV_SET (m, graphics, (uint8_t) on_unless_false (v->has.autoattachGraphicsDevice, v->autoattachGraphicsDevice));
  HV_SET (m, serial, (uint8_t) on_unless_false (v->has.autoattachSerialConsole, v->autoattachSerialConsole));
  HV_SET (m, balloon, (uint8_t) on_unless_false (v->has.autoattachMemBalloon, v->autoattachMemBalloon));
  HV_SET (m, agent, 1);
}

static void
make_kernel (const struct vmi_kernel_boot *b, const struct vmi_boot_files *files, struct hv_machine *m)
{
  if (files->kernel == NULL)
    return;
  m->has.kernel = 1;
  HV_SET (&m->kernel, kernel, files->kernel);
  if (files->initrd != NULL)
    HV_SET (&m->kernel, initrd, files->initrd);
  if (HV_HAS (b, kernelArgs))
    HV_SET (&m->kernel, cmdline, b->kernelArgs);
}

int
vmi_spec_machine (struct hv_host *h, const char *domain, const struct vmi_spec *s, const struct vmi_volume_plan *plans,
                  const struct vmi_boot_files *boot, struct hv_machine *ret, struct hv_err *err)
{
  static const struct hv_pair smbios[] = { { "manufacturer", "KubeVirt" }, { "product", "None" }, { "family", "KubeVirt" } };
  const char *path = NULL;
  struct hv_machine m = { 0 };
  uint64_t memory = 0;
  int r = vmi_spec_memory (s, &memory, &path, err);
  if (r < 0)
    return hv_err_wrap (err, r, "%s", path);
  HV_SET (&m, name, domain);
  HV_SET (&m, memory_bytes, memory);
  HV_SET (&m, smbios, (struct hv_map){ smbios, sizeof smbios / sizeof *smbios });
  make_board (s, &m);
  make_kernel (&s->domain.firmware.kernelBoot, boot, &m);
  r = make_disks (h, s, plans, &m, err);
  if (r == 0)
    r = make_inputs (h, &s->domain.devices, &m, err);
  if (r == 0)
    *ret = m;
  return r;
}

/* --- names in the guest --- */

/* a … z, aa, ab …: base 26 without a zero. */
static void
target_name (const char *prefix, uint32_t n, char ret[VMI_TARGET_TEXT])
{
  char letters[4] = { 0 };
  unsigned at = sizeof letters - 1;
  for (n++; n > 0 && at > 0; n = (n - 1) / 26)
    letters[--at] = (char) ('a' + (n - 1) % 26);
  (void) snprintf (ret, VMI_TARGET_TEXT, "%s%s", prefix, letters + at);
}

void
vmi_spec_targets (const struct vmi_spec *s, char (*ret)[VMI_TARGET_TEXT])
{
  uint32_t vd = 0, sd = 0;
  for (uint32_t i = 0; i < s->domain.devices.disks.count; i++) {
    const struct vmi_disk *d = &s->domain.devices.disks.items[i];
    int virtio = (HV_HAS (d, cdrom) ? d->cdrom.bus : d->disk.bus) == HV_BUS_VIRTIO;
    target_name (virtio ? "vd" : "sd", virtio ? vd++ : sd++, ret[i]);
  }
}
