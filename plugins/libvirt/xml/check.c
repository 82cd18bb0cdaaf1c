/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which machines this backend runs, told before libvirt is asked. What it cannot is refused with the field's path. */
#include "check.h"
#include "arch.h"
#include <inttypes.h>
#include <libxml/chvalid.h>
#include <libxml/xmlstring.h>
#include <string.h>

static int
in_words (const char *word, const char *const *words)
{
  for (; *words != NULL; words++)
    if (strcmp (word, *words) == 0)
      return 1;
  return 0;
}

static int
refuse (struct hv_err *err, int code, const char *path, const char *value, const char *why)
{
  return hv_err_set (err, code, "%s '%s': %s", path, value, why);
}

/* XML 1.0 has no place for control characters, however they are written, nor for surrogates, U+FFFE, U+FFFF, and what is not
 * UTF-8. */
static int
is_text (const char *s)
{
  static const int least[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* of as many bytes: a longer form than needed is none */
  const unsigned char *at = (const unsigned char *) s;
  size_t rest = strlen (s);
  if (!xmlCheckUTF8 (at)) /* the one below takes a byte for the first of a character that cannot be it */
    return 0;
  while (rest > 0) {
    int size = rest < 4 ? (int) rest : 4;
    int c = xmlGetUTF8Char (at, &size);
    if (c < least[size] || (c < 0x20 ? c != '\t' : c == 0x7f || !xmlIsCharQ ((unsigned) c)))
      return 0;
    at += size;
    rest -= (size_t) size;
  }
  return 1;
}

static int
is_name (const char *s)
{
  if (*s == '\0' || *s == '.' || *s == '-')
    return 0;
  return s[strspn (s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

static int
check_kernel (const struct hv_machine_kernel *k, struct hv_err *err)
{
  const char *bad = !is_text (k->kernel)                           ? "kernel"
                    : HV_HAS (k, initrd) && !is_text (k->initrd)   ? "initrd"
                    : HV_HAS (k, cmdline) && !is_text (k->cmdline) ? "cmdline"
                                                                   : NULL;
  if (bad == NULL)
    return 0;
  return hv_err_set (err, HV_E_INVALID_ARGUMENT, "machine.kernel.%s: it has a control character, or is not UTF-8", bad);
}

static int
check_platform (const struct hv_machine *m, struct hv_err *err)
{
  if (!is_name (m->name))
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.name", m->name, "letters, digits, '.', '_' and '-' only");
  if (!is_name (m->machine))
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.machine", m->machine, "not the name of a machine type");
  if (strcmp (m->firmware, "efi-secure") == 0)
    return refuse (err, HV_E_UNIMPLEMENTED, "machine.firmware", m->firmware, "this backend has no secure boot yet; use efi");
  if (strcmp (m->firmware, "bios") != 0 && strcmp (m->firmware, "efi") != 0)
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.firmware", m->firmware, "one of bios, efi");
  return HV_HAS (m, kernel) ? check_kernel (&m->kernel, err) : 0;
}

static int
check_cpu (const struct hv_machine *m, const char *type, struct hv_err *err)
{
  uint32_t sockets = HV_HAS (&m->cpu, max_sockets) ? m->cpu.max_sockets : m->cpu.sockets;
  uint64_t vcpus = (uint64_t) sockets * m->cpu.cores * m->cpu.threads;
  if (sockets < m->cpu.sockets)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT,
                       "machine.cpu.max_sockets: %" PRIu32 " is less than the %" PRIu32 " sockets there are", sockets,
                       m->cpu.sockets);
  if (vcpus > 255)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.cpu: %" PRIu64 " virtual CPUs; this backend gives 255 at most", vcpus);
  if (!is_name (m->cpu.model))
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.cpu.model", m->cpu.model, "not the name of a processor model");
  if (strcmp (m->cpu.model, "host-passthrough") == 0 && strcmp (type, "kvm") != 0)
    return refuse (err, HV_E_UNIMPLEMENTED, "machine.cpu.model", m->cpu.model,
                   "this node emulates the processor (no KVM); use host-model or max");
  return 0;
}

static int
check_smbios (const struct hv_machine *m, struct hv_err *err)
{
  static const char *const keys[] = { "manufacturer", "product", "family", "sku", "version", "serial", NULL };
  for (uint32_t i = 0; i < m->smbios.count; i++) {
    const struct hv_pair *p = &m->smbios.items[i];
    if (!in_words (p->key, keys))
      return refuse (err, HV_E_INVALID_ARGUMENT, "machine.smbios", p->key,
                     "one of manufacturer, product, family, sku, version, serial");
    if (!is_text (p->value))
      return refuse (err, HV_E_INVALID_ARGUMENT, "machine.smbios", p->key, "control character in its value, or it is not UTF-8");
  }
  return 0;
}

static int
check_nic (const struct hv_machine_nic *n, uint32_t i, const char *netns, struct hv_err *err)
{
  static const char *const models[] = { "virtio", "e1000", "e1000e", "rtl8139", NULL };
  if (!in_words (n->model, models))
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.nics[%" PRIu32 "].model '%s': one of virtio, e1000, e1000e, rtl8139", i,
                       n->model);
  if (strcmp (n->model, "virtio") != 0 && n->queues > 1)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.nics[%" PRIu32 "].queues: only virtio has it", i);
  if (HV_HAS (n, netns) && (netns == NULL || strcmp (n->netns, netns) != 0))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION,
                       "machine.nics[%" PRIu32 "].netns '%s': libvirt's daemon has to run in that namespace; give this instance a "
                       "\"spawn\", and it starts one there, or use the qmp backend",
                       i, n->netns);
  if (!is_text (n->tap))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "machine.nics[%" PRIu32 "].tap: it has a control character, or is not UTF-8", i);
  return 0;
}

static int
check_disk (const struct hv_machine_disk *d, uint32_t i, struct hv_err *err)
{
  const char *bad = !is_text (d->path) ? "path" : HV_HAS (d, serial) && !is_text (d->serial) ? "serial" : NULL;
  for (uint32_t k = 0; k < d->backing.count; k++)
    if (!is_text (d->backing.items[k].path))
      bad = "backing";
  if (bad != NULL)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "machine.disks[%" PRIu32 "].%s: it has a control character, or is not UTF-8", i,
                       bad);
  if (d->media == HV_MEDIA_CDROM && d->bus == HV_BUS_VIRTIO)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.disks[%" PRIu32 "].bus: a cdrom is on sata, scsi or usb", i);
  return 0;
}

static int
check_devices (const struct hv_machine *m, const char *netns, struct hv_err *err)
{
  static const char *const buses[] = { "usb", "virtio", NULL };
  static const char *const watchdogs[] = { "i6300esb", "itco", NULL };
  static const char *const actions[] = { "reset", "shutdown", "poweroff", "pause", "none", "inject-nmi", NULL };
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < m->disks.count; i++)
    r = check_disk (&m->disks.items[i], i, err);
  for (uint32_t i = 0; r == 0 && i < m->nics.count; i++)
    r = check_nic (&m->nics.items[i], i, netns, err);
  for (uint32_t i = 0; r == 0 && i < m->inputs.count; i++) {
    if (strcmp (m->inputs.items[i].type, "tablet") != 0)
      r = hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.inputs[%" PRIu32 "].type '%s': only tablet", i, m->inputs.items[i].type);
    else if (!in_words (m->inputs.items[i].bus, buses))
      r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "machine.inputs[%" PRIu32 "].bus '%s': one of usb, virtio", i,
                      m->inputs.items[i].bus);
  }
  if (r < 0)
    return r;
  if (HV_HAS (m, watchdog) && !in_words (m->watchdog, watchdogs))
    return refuse (err, HV_E_UNIMPLEMENTED, "machine.watchdog", m->watchdog, "one of i6300esb, itco");
  if (HV_HAS (m, watchdog_action) && !in_words (m->watchdog_action, actions))
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.watchdog_action", m->watchdog_action,
                   "one of reset, shutdown, poweroff, pause, none, inject-nmi");
  return 0;
}

static const char *
device_name (const struct hv_machine *m, uint32_t i)
{
  if (i < m->disks.count)
    return m->disks.items[i].name;
  i -= m->disks.count;
  return i < m->nics.count ? m->nics.items[i].name : m->inputs.items[i - m->nics.count].name;
}

/* One name space: names become aliases. */
static int
check_names (const struct hv_machine *m, struct hv_err *err)
{
  uint32_t n = m->disks.count + m->nics.count + m->inputs.count;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = 0; k < i; k++)
      if (strcmp (device_name (m, i), device_name (m, k)) == 0)
        return hv_err_set (err, HV_E_INVALID_ARGUMENT, "machine: two devices are named '%s'", device_name (m, i));
  return 0;
}

int
lv_xml_check (const struct hv_machine *m, const char *type, const char *netns, struct hv_err *err)
{
  int r = check_platform (m, err);
  if (r == 0)
    r = lv_arch_check (m, err);
  if (r == 0)
    r = check_cpu (m, type, err);
  if (r == 0)
    r = check_smbios (m, err);
  if (r == 0)
    r = check_devices (m, netns, err);
  return r == 0 ? check_names (m, err) : r;
}
