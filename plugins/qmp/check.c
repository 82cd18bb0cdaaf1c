/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which machines this backend runs. What it cannot is refused with the field's path, never left out. */
#include "argv.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int
in_words (const char *word, const char *const *words)
{
  for (; *words != NULL; words++)
    if (strcmp (word, *words) == 0)
      return 1;
  return 0;
}

/* Letters, digits and `more`: for what becomes part of an option string. */
static int
is_plain (const char *s, const char *more)
{
  static const char alnum[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  for (; *s != '\0'; s++)
    if (strchr (alnum, *s) == NULL && strchr (more, *s) == NULL)
      return 0;
  return 1;
}

static int
refuse (struct hv_err *err, int code, const char *path, const char *value, const char *why)
{
  return hv_err_set (err, code, "%s '%s': %s", path, value, why);
}

static int
check_platform (const struct hv_machine *m, struct hv_err *err)
{
  if (!is_plain (m->name, "._-") || m->name[0] == '.' || m->name[0] == '-')
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.name", m->name, "letters, digits, '.', '_' and '-' only");
  if (strcmp (m->arch, "amd64") != 0)
    return refuse (err, HV_E_UNIMPLEMENTED, "machine.arch", m->arch, "this backend runs amd64 only");
  if (strcmp (m->machine, "q35") != 0 && strncmp (m->machine, "pc-q35-", 7) != 0)
    return refuse (err, HV_E_UNIMPLEMENTED, "machine.machine", m->machine, "this backend knows q35 and its versions");
  if (!is_plain (m->machine, "._-"))
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.machine", m->machine, "not the name of a machine type");
  if (strcmp (m->firmware, "efi-secure") == 0)
    return refuse (err, HV_E_UNIMPLEMENTED, "machine.firmware", m->firmware, "this backend has no secure boot yet; use efi");
  if (strcmp (m->firmware, "bios") != 0 && strcmp (m->firmware, "efi") != 0)
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.firmware", m->firmware, "one of bios, efi");
  return 0;
}

static int
check_cpu (const struct hv_machine *m, const char *accel, struct hv_err *err)
{
  uint32_t sockets = HV_HAS (&m->cpu, max_sockets) ? m->cpu.max_sockets : m->cpu.sockets;
  uint64_t vcpus = (uint64_t) sockets * m->cpu.cores * m->cpu.threads;
  if (sockets < m->cpu.sockets)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT,
                       "machine.cpu.max_sockets: %" PRIu32 " is less than the %" PRIu32 " sockets there are", sockets,
                       m->cpu.sockets);
  if (vcpus > 255)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.cpu: %" PRIu64 " virtual CPUs; this backend gives 255 at most", vcpus);
  if (!is_plain (m->cpu.model, "._-") || m->cpu.model[0] == '\0')
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.cpu.model", m->cpu.model, "not the name of a processor model");
  if (strcmp (m->cpu.model, "host-passthrough") == 0 && strcmp (accel, "kvm") != 0)
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
    for (const char *s = p->value; *s != '\0'; s++)
      if ((unsigned char) *s < 0x20 || *s == 0x7f)
        return refuse (err, HV_E_INVALID_ARGUMENT, "machine.smbios", p->key, "control character in its value");
  }
  return 0;
}

static int
check_nics (const struct hv_machine *m, struct hv_err *err)
{
  static const char *const models[] = { "virtio", "e1000", "e1000e", "rtl8139", NULL };
  for (uint32_t i = 0; i < m->nics.count; i++) {
    const struct hv_machine_nic *n = &m->nics.items[i];
    if (!in_words (n->model, models))
      return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.nics[%" PRIu32 "].model '%s': one of virtio, e1000, e1000e, rtl8139", i,
                         n->model);
    if (strcmp (n->model, "virtio") != 0 && (n->queues > 1 || HV_HAS (n, mtu)))
      return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.nics[%" PRIu32 "].%s: only virtio has it", i,
                         n->queues > 1 ? "queues" : "mtu");
  }
  return 0;
}

static int
check_devices (const struct hv_machine *m, struct hv_err *err)
{
  static const char *const buses[] = { "usb", "virtio", NULL };
  static const char *const watchdogs[] = { "i6300esb", "itco", NULL };
  static const char *const actions[] = { "reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi", NULL };
  for (uint32_t i = 0; i < m->inputs.count; i++) {
    if (strcmp (m->inputs.items[i].type, "tablet") != 0)
      return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine.inputs[%" PRIu32 "].type '%s': only tablet", i, m->inputs.items[i].type);
    if (!in_words (m->inputs.items[i].bus, buses))
      return hv_err_set (err, HV_E_INVALID_ARGUMENT, "machine.inputs[%" PRIu32 "].bus '%s': one of usb, virtio", i,
                         m->inputs.items[i].bus);
  }
  if (HV_HAS (m, watchdog) && !in_words (m->watchdog, watchdogs))
    return refuse (err, HV_E_UNIMPLEMENTED, "machine.watchdog", m->watchdog, "one of i6300esb, itco");
  if (HV_HAS (m, watchdog_action) && !in_words (m->watchdog_action, actions))
    return refuse (err, HV_E_INVALID_ARGUMENT, "machine.watchdog_action", m->watchdog_action,
                   "one of reset, shutdown, poweroff, pause, debug, none, inject-nmi");
  if (qmp_usb_devices (m) > QMP_USB_PORTS)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine: %" PRIu32 " USB devices; the controller has %u ports",
                       qmp_usb_devices (m), QMP_USB_PORTS);
  if (qmp_pci_ports (m) > 8 * 28)
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "machine: %" PRIu32 " PCI devices; there is room for 224", qmp_pci_ports (m));
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

/* One name space: names become device ids. */
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
qmp_argv_check (const struct hv_machine *m, const char *accel, struct hv_err *err)
{
  int r = check_platform (m, err);
  if (r == 0)
    r = check_cpu (m, accel, err);
  if (r == 0)
    r = check_smbios (m, err);
  if (r == 0)
    r = qmp_disks_check (m, err);
  if (r == 0)
    r = check_nics (m, err);
  if (r == 0)
    r = check_devices (m, err);
  return r == 0 ? check_names (m, err) : r;
}
