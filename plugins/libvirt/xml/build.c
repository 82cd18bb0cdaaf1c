/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole domain. The order of elements is libvirt's own, so that a person can compare what was asked for with virsh dumpxml. */
#include "arch.h"
#include "check.h"
#include "device.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct build {
  struct lv_writer w;
  xmlNodePtr root, devices;
  const struct hv_machine *m;
  const struct lv_xml_options *o;
  const struct lv_arch *arch;
};

/* --- the machine --- */

static void
add_identity (struct build *b)
{
  (void) lv_element_text (&b->w, b->root, "name", b->m->name);
  xmlNodePtr metadata = lv_element (&b->w, b->root, "metadata", NULL);
  xmlNodePtr kubevirt = lv_element (&b->w, metadata, "kubevirt", "xmlns", "http://kubevirt.io", NULL);
  (void) lv_element (&b->w, kubevirt, "uid", NULL);
}

static void
add_size (struct build *b)
{
  const struct hv_machine_cpu *c = &b->m->cpu;
  char text[32];
  uint32_t vcpus = c->sockets * c->cores * c->threads;
  uint32_t most = HV_HAS (c, max_sockets) ? c->max_sockets * c->cores * c->threads : vcpus;
  (void) snprintf (text, sizeof text, "%" PRIu64, b->m->memory_bytes);
  xmlNodePtr memory = lv_element_text (&b->w, b->root, "memory", text);
  lv_attr (&b->w, memory, "unit", "b");
  (void) snprintf (text, sizeof text, "%" PRIu32, most);
  xmlNodePtr vcpu = lv_element_text (&b->w, b->root, "vcpu", text);
  lv_attr (&b->w, vcpu, "placement", "static");
  if (most > vcpus)
    lv_attr (&b->w, vcpu, "current", "%" PRIu32, vcpus);
  (void) lv_element_text (&b->w, b->root, "iothreads", "1");
}

/* KubeVirt writes the uuid here only, and libvirt copies it. Where an architecture has no SMBIOS it is written where it belongs. */
static void
add_sysinfo (struct build *b)
{
  static const char *const keys[] = { "serial", "manufacturer", "family", "product", "sku", "version", NULL };
  if (!b->arch->smbios) {
    (void) lv_element_text (&b->w, b->root, "uuid", b->m->uuid);
    return;
  }
  xmlNodePtr system = lv_element (&b->w, lv_element (&b->w, b->root, "sysinfo", "type", "smbios", NULL), "system", NULL);
  lv_attr (&b->w, lv_element_text (&b->w, system, "entry", b->m->uuid), "name", "uuid");
  for (size_t k = 0; keys[k] != NULL; k++)
    for (uint32_t i = 0; i < b->m->smbios.count; i++)
      if (strcmp (b->m->smbios.items[i].key, keys[k]) == 0)
        lv_attr (&b->w, lv_element_text (&b->w, system, "entry", b->m->smbios.items[i].value), "name", "%s", keys[k]);
}

static void
add_os (struct build *b)
{
  const struct hv_machine *m = b->m;
  xmlNodePtr os = lv_element (&b->w, b->root, "os", NULL);
  xmlNodePtr type = lv_element_text (&b->w, os, "type", "hvm");
  lv_attr (&b->w, type, "arch", "%s", b->arch->libvirt_name);
  lv_attr (&b->w, type, "machine", "%s", m->machine);
  if (strcmp (m->firmware, "efi") == 0) {
    xmlNodePtr loader = lv_element_text (&b->w, os, "loader", b->o->efi_code);
    lv_attr (&b->w, loader, "readonly", "yes");
    lv_attr (&b->w, loader, "secure", "no");
    lv_attr (&b->w, loader, "type", "pflash");
    xmlNodePtr nvram = lv_element_text (&b->w, os, "nvram", b->o->nvram_path);
    if (!b->w.failed)
      b->w.failed |= xmlNewProp (nvram, (const xmlChar *) "template", (const xmlChar *) b->o->efi_vars) == NULL;
  }
  if (HV_HAS (m, kernel)) {
    (void) lv_element_text (&b->w, os, "kernel", m->kernel.kernel);
    if (HV_HAS (&m->kernel, initrd))
      (void) lv_element_text (&b->w, os, "initrd", m->kernel.initrd);
    if (HV_HAS (&m->kernel, cmdline))
      (void) lv_element_text (&b->w, os, "cmdline", m->kernel.cmdline);
  }
  if (b->arch->smbios)
    (void) lv_element (&b->w, os, "smbios", "mode", "sysinfo", NULL);
}

static void
add_features (struct build *b)
{
  xmlNodePtr features = lv_element (&b->w, b->root, "features", NULL);
  if (b->m->acpi && b->arch->acpi)
    (void) lv_element (&b->w, features, "acpi", NULL);
  if (strcmp (b->arch->name, "amd64") == 0)
    (void) lv_element (&b->w, features, "apic", NULL);
}

/* A named model gets its feature mpx switched off, as KubeVirt does: newer hosts have it no more. */
static void
add_cpu (struct build *b)
{
  static const char *const modes[] = { "host-model", "host-passthrough", "maximum", NULL };
  const struct hv_machine_cpu *c = &b->m->cpu;
  const char *mode = strcmp (c->model, "max") == 0 ? "maximum" : "custom";
  for (size_t i = 0; modes[i] != NULL; i++)
    if (strcmp (c->model, modes[i]) == 0)
      mode = modes[i];
  xmlNodePtr cpu = lv_element (&b->w, b->root, "cpu", "mode", mode, NULL);
  if (strcmp (mode, "custom") == 0)
    (void) lv_element_text (&b->w, cpu, "model", c->model);
  xmlNodePtr t = lv_element (&b->w, cpu, "topology", NULL);
  lv_attr (&b->w, t, "sockets", "%" PRIu32, HV_HAS (c, max_sockets) ? c->max_sockets : c->sockets);
  lv_attr (&b->w, t, "cores", "%" PRIu32, c->cores);
  lv_attr (&b->w, t, "threads", "%" PRIu32, c->threads);
  if (strcmp (mode, "custom") == 0 && strcmp (b->arch->name, "amd64") == 0)
    (void) lv_element (&b->w, cpu, "feature", "name", "mpx", "policy", "disable", NULL);
}

/* The process runs as this uid; the files are made so that it can: nothing is relabelled. */
static void
add_owner (struct build *b)
{
  char label[48];
  if (!HV_HAS (b->m, owner_uid))
    return;
  (void) snprintf (label, sizeof label, "+%" PRIu32 ":+%" PRIu32, b->m->owner_uid, b->m->owner_uid);
  xmlNodePtr n = lv_element (&b->w, b->root, "seclabel", "type", "static", "model", "dac", "relabel", "no", NULL);
  (void) lv_element_text (&b->w, n, "label", label);
}

/* --- devices --- */

static void
add_disks (struct build *b)
{
  uint32_t vd = 0, sd = 0, scsi = 0;
  for (uint32_t i = 0; i < b->m->disks.count; i++) {
    const struct hv_machine_disk *d = &b->m->disks.items[i];
    char target[16];
    lv_target_name (lv_target_prefix (d->bus), d->bus == HV_BUS_VIRTIO ? vd++ : sd++, target, sizeof target);
    xmlNodePtr n = lv_device_disk (&b->w, b->devices, d, target, b->o->direct != NULL && b->o->direct[i]);
    if (d->bus == HV_BUS_SCSI)
      lv_attr (&b->w, lv_element (&b->w, n, "address", "type", "drive", "controller", "0", "bus", "0", NULL), "unit", "%" PRIu32,
               scsi++);
  }
}

static int
needs_usb (const struct hv_machine *m)
{
  for (uint32_t i = 0; i < m->inputs.count; i++)
    if (strcmp (m->inputs.items[i].bus, "usb") == 0)
      return 1;
  for (uint32_t i = 0; i < m->disks.count; i++)
    if (m->disks.items[i].bus == HV_BUS_USB)
      return 1;
  return strcmp (m->arch, "arm64") == 0;
}

static void
add_controllers (struct build *b)
{
  int virtio_serial = b->m->serial || b->m->agent;
  (void) lv_element (&b->w, b->devices, "controller", "type", "usb", "index", "0", "model", needs_usb (b->m) ? "qemu-xhci" : "none",
                     NULL);
  (void) lv_element (&b->w, b->devices, "controller", "type", "scsi", "index", "0", "model", "virtio-non-transitional", NULL);
  if (virtio_serial)
    (void) lv_element (&b->w, b->devices, "controller", "type", "virtio-serial", "index", "0", "model", "virtio-non-transitional",
                       NULL);
}

static void
add_nics (struct build *b)
{
  for (uint32_t i = 0; i < b->m->nics.count; i++)
    (void) lv_device_nic (&b->w, b->devices, &b->m->nics.items[i]);
  for (uint32_t i = 0; i < b->o->placeholders; i++) {
    char name[32];
    xmlNodePtr n = lv_element (&b->w, b->devices, "interface", "type", "ethernet", NULL);
    (void) snprintf (name, sizeof name, "placeholder-%" PRIu32, i + 1);
    (void) lv_element (&b->w, n, "target", "dev", name, "managed", "no", NULL);
    (void) lv_element (&b->w, n, "model", "type", "virtio-non-transitional", NULL);
    lv_device_alias (&b->w, n, name);
  }
}

static void
add_consoles (struct build *b)
{
  if (b->m->serial) {
    xmlNodePtr serial = lv_element (&b->w, b->devices, "serial", "type", "unix", NULL);
    (void) lv_element (&b->w, serial, "source", "mode", "bind", "path", b->o->serial_path, NULL);
    if (b->o->serial_log != NULL)
      (void) lv_element (&b->w, serial, "log", "file", b->o->serial_log, "append", "on", NULL);
    (void) lv_element (&b->w, serial, "target", "port", "0", NULL);
    xmlNodePtr console = lv_element (&b->w, b->devices, "console", "type", "pty", NULL);
    (void) lv_element (&b->w, console, "target", "type", "serial", "port", "0", NULL);
  }
  if (b->m->agent) {
    xmlNodePtr channel = lv_element (&b->w, b->devices, "channel", "type", "unix", NULL);
    (void) lv_element (&b->w, channel, "target", "type", "virtio", "name", "org.qemu.guest_agent.0", NULL);
  }
}

static void
add_display (struct build *b)
{
  if (!b->m->graphics)
    return;
  int vga = strcmp (b->arch->video, "vga") == 0;
  xmlNodePtr graphics = lv_element (&b->w, b->devices, "graphics", "type", "vnc", NULL);
  (void) lv_element (&b->w, graphics, "listen", "type", "socket", "socket", b->o->vnc_path, NULL);
  xmlNodePtr video = lv_element (&b->w, b->devices, "video", NULL);
  (void) lv_element (&b->w, video, "model", "type", b->arch->video, "vram", vga ? "16384" : NULL, "heads", "1", NULL);
}

static void
add_inputs (struct build *b)
{
  for (uint32_t i = 0; i < b->m->inputs.count; i++) {
    const struct hv_machine_input *in = &b->m->inputs.items[i];
    xmlNodePtr n = lv_element (&b->w, b->devices, "input", "type", in->type, "bus", in->bus, "model",
                               strcmp (in->bus, "virtio") == 0 ? "virtio-non-transitional" : NULL, NULL);
    lv_device_alias (&b->w, n, in->name);
  }
}

static void
add_rest (struct build *b)
{
  const struct hv_machine *m = b->m;
  if (HV_HAS (m, watchdog))
    (void) lv_element (&b->w, b->devices, "watchdog", "model", m->watchdog, "action", m->watchdog_action, NULL);
  xmlNodePtr balloon = lv_element (&b->w, b->devices, "memballoon", "model", m->balloon ? "virtio-non-transitional" : "none",
                                   "freePageReporting", m->balloon ? "on" : NULL, NULL);
  if (m->balloon && b->o->balloon_s > 0)
    lv_attr (&b->w, lv_element (&b->w, balloon, "stats", NULL), "period", "%" PRIu32, b->o->balloon_s);
  if (m->rng) {
    xmlNodePtr rng = lv_element (&b->w, b->devices, "rng", "model", "virtio-non-transitional", NULL);
    lv_attr (&b->w, lv_element_text (&b->w, rng, "backend", "/dev/urandom"), "model", "random");
  }
}

static void
add_devices (struct build *b)
{
  b->devices = lv_element (&b->w, b->root, "devices", NULL);
  if (b->o->emulator != NULL)
    (void) lv_element_text (&b->w, b->devices, "emulator", b->o->emulator);
  add_disks (b);
  add_controllers (b);
  add_nics (b);
  add_consoles (b);
  add_inputs (b);
  add_display (b);
  add_rest (b);
}

int
lv_xml_build (const struct hv_machine *m, const struct lv_xml_options *o, char **ret_xml, struct hv_err *err)
{
  struct build b = { .m = m, .o = o };
  int r = lv_xml_check (m, o->type, o->netns, err);
  if (r < 0)
    return r;
  b.arch = lv_arch_find (m->arch);
  b.root = lv_element (&b.w, NULL, "domain", "type", o->type, NULL);
  add_identity (&b);
  add_size (&b);
  add_sysinfo (&b);
  add_os (&b);
  add_features (&b);
  add_cpu (&b);
  add_devices (&b);
  add_owner (&b);
  return lv_writer_end (&b.w, ret_xml, err);
}
