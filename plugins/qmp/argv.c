/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order and the devices are those that libvirt gives KubeVirt's machines, so that a guest sees the same hardware at
 * the same addresses: video at 1, root ports from 2, network cards first behind them. */
#include "argv.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the vector --- */

static void
argv_take (struct qmp_argv *a, char *item)
{
  if (item == NULL || a->failed) {
    free (item);
    a->failed = 1;
    return;
  }
  if (a->count + 2 > a->capacity) {
    uint32_t capacity = a->capacity > 0 ? a->capacity * 2 : 64;
    char **items = realloc (a->items, capacity * sizeof *items);
    if (items == NULL) {
      free (item);
      a->failed = 1;
      return;
    }
    a->items = items;
    a->capacity = capacity;
  }
  a->items[a->count++] = item;
  a->items[a->count] = NULL;
}

void
qmp_argv_add (struct qmp_argv *a, const char *s)
{
  argv_take (a, strdup (s));
}

void
qmp_argv_addf (struct qmp_argv *a, const char *fmt, ...)
{
  char *s = NULL;
  va_list ap;
  va_start (ap, fmt);
  if (vasprintf (&s, fmt, ap) < 0)
    s = NULL;
  va_end (ap);
  argv_take (a, s);
}

void
qmp_argv_json (struct qmp_argv *a, const char *option, json_t *j)
{
  if (a->places != NULL && j != NULL && strcmp (option, "-device") == 0)
    qmp_places_apply (a->places, j);
  qmp_argv_add (a, option);
  argv_take (a, j != NULL ? json_dumps (j, JSON_COMPACT) : NULL);
  json_decref (j);
}

void
qmp_argv_clear (struct qmp_argv *a)
{
  for (uint32_t i = 0; i < a->count; i++)
    free (a->items[i]);
  free (a->items);
  *a = (struct qmp_argv){ 0 };
}

static void
argv_pair (struct qmp_argv *a, const char *option, const char *value)
{
  qmp_argv_add (a, option);
  qmp_argv_add (a, value);
}

/* --- descriptors and slots --- */

void
qmp_fd_plan_make (const struct hv_machine *m, struct qmp_fd_plan *ret)
{
  uint32_t next = 3, taps = 0;
  struct qmp_fd_plan p = { .monitor = next++ };
  if (m->agent)
    p.agent = next++;
  if (m->serial) {
    p.serial = next++;
    p.serial_log = next++;
  }
  p.firmware_log = next++;
  if (strcmp (m->firmware, "efi") == 0)
    p.nvram = next++;
  for (uint32_t i = 0; i < m->nics.count; i++)
    taps += m->nics.items[i].queues;
  p.first_tap = taps > 0 ? next : 0;
  p.count = next + taps - 3;
  *ret = p;
}

void
qmp_pci_place (struct qmp_pci *pci, json_t *device)
{
  char bus[16];
  (void) snprintf (bus, sizeof bus, "pci.%" PRIu32, pci->next++);
  if (device != NULL) {
    (void) json_object_set_new (device, "bus", json_string (bus));
    (void) json_object_set_new (device, "addr", json_string ("0x0"));
  }
}

uint32_t
qmp_usb_inputs (const struct hv_machine *m)
{
  uint32_t n = 0;
  for (uint32_t i = 0; i < m->inputs.count; i++)
    n += strcmp (m->inputs.items[i].bus, "usb") == 0;
  return n;
}

uint32_t
qmp_usb_devices (const struct hv_machine *m)
{
  uint32_t n = qmp_usb_inputs (m);
  for (uint32_t i = 0; i < m->disks.count; i++)
    n += m->disks.items[i].bus == HV_BUS_USB;
  return n;
}

/* Root ports: network cards (and room for some), controllers, disks, small devices, and one spare for plugging in. */
uint32_t
qmp_pci_ports (const struct hv_machine *m)
{
  uint32_t n = m->nics.count > QMP_NIC_PORTS ? m->nics.count : QMP_NIC_PORTS;
  n += (qmp_usb_devices (m) > 0) + 1 + (m->agent != 0) + (m->balloon != 0) + (m->rng != 0) + 1;
  for (uint32_t i = 0; i < m->disks.count; i++)
    n += m->disks.items[i].bus == HV_BUS_VIRTIO;
  for (uint32_t i = 0; i < m->inputs.count; i++)
    n += strcmp (m->inputs.items[i].bus, "virtio") == 0;
  return n;
}

static void
argv_ports (const struct hv_machine *m, struct qmp_argv *a)
{
  uint32_t ports = a->places != NULL ? a->places->ports : qmp_pci_ports (m);
  for (uint32_t i = 0; i < ports; i++) {
    char id[16], addr[16];
    uint32_t slot = 2 + i / 8, function = i % 8;
    (void) snprintf (id, sizeof id, "pci.%" PRIu32, i + 1);
    (void) snprintf (addr, sizeof addr, function == 0 ? "0x%" PRIx32 : "0x%" PRIx32 ".0x%" PRIx32, slot, function);
    json_t *d = json_pack ("{s:s, s:i, s:i, s:s, s:s}", "driver", "pcie-root-port", "port", (int) (16 + i), "chassis",
                           (int) (i + 1), "id", id, "bus", "pcie.0");
    if (d != NULL && function == 0 && i + 1 < ports)
      (void) json_object_set_new (d, "multifunction", json_true ());
    if (d != NULL)
      (void) json_object_set_new (d, "addr", json_string (addr));
    qmp_argv_json (a, "-device", d);
  }
}

/* --- the fixed part --- */

static const char *
cpu_model (const struct hv_machine *m, const char *accel)
{
  int kvm = strcmp (accel, "kvm") == 0;
  if (strcmp (m->cpu.model, "host-model") == 0)
    return kvm ? "host,migratable=on" : "max";
  if (strcmp (m->cpu.model, "host-passthrough") == 0)
    return "host,migratable=off";
  return m->cpu.model;
}

/* Option strings know one escape: a comma in a value is written twice. */
static char *
option_escape (const char *s)
{
  char *out = malloc (strlen (s) * 2 + 1), *at = out;
  for (; out != NULL && *s != '\0'; s++) {
    if (*s == ',')
      *at++ = ',';
    *at++ = *s;
  }
  if (out != NULL)
    *at = '\0';
  return out;
}

static void
argv_smbios (const struct hv_machine *m, struct qmp_argv *a)
{
  HV_CLEAN (hv_free) char *value = NULL;
  if (asprintf (&value, "type=1,uuid=%s", m->uuid) < 0)
    value = NULL;
  for (uint32_t i = 0; i < m->smbios.count && value != NULL; i++) {
    HV_CLEAN (hv_free) char *safe = option_escape (m->smbios.items[i].value);
    char *longer = NULL;
    if (safe == NULL || asprintf (&longer, "%s,%s=%s", value, m->smbios.items[i].key, safe) < 0)
      longer = NULL;
    free (value);
    value = longer;
  }
  qmp_argv_add (a, "-smbios");
  argv_take (a, HV_STEAL (value));
}

static void
argv_processor (const struct hv_machine *m, const struct qmp_argv_how *how, struct qmp_argv *a)
{
  uint64_t memory = qmp_argv_memory (m->memory_bytes);
  qmp_argv_add (a, "-accel");
  if (strcmp (how->accel, "tcg") == 0)
    qmp_argv_addf (a, "tcg,tb-size=%" PRIu32, how->tb_size_mib);
  else
    qmp_argv_add (a, how->accel);
  argv_pair (a, "-cpu", cpu_model (m, how->accel));
  qmp_argv_add (a, "-m");
  qmp_argv_addf (a, "%" PRIu64, memory >> 20);
  qmp_argv_json (a, "-object",
                 json_pack ("{s:s, s:s, s:I}", "qom-type", "memory-backend-ram", "id", "pc.ram", "size", (json_int_t) memory));
  argv_pair (a, "-overcommit", "mem-lock=off");
  qmp_argv_add (a, "-smp");
  uint32_t per_socket = m->cpu.cores * m->cpu.threads;
  uint32_t sockets = HV_HAS (&m->cpu, max_sockets) ? m->cpu.max_sockets : m->cpu.sockets;
  HV_CLEAN (hv_free) char *room = NULL;
  if (sockets > m->cpu.sockets && asprintf (&room, ",maxcpus=%" PRIu32, sockets * per_socket) < 0)
    room = NULL;
  qmp_argv_addf (a, "%" PRIu32 "%s,sockets=%" PRIu32 ",dies=1,cores=%" PRIu32 ",threads=%" PRIu32, m->cpu.sockets * per_socket,
                 room != NULL ? room : "", sockets, m->cpu.cores, m->cpu.threads);
}

static int
is_efi (const struct hv_machine *m)
{
  return strcmp (m->firmware, "efi") == 0;
}

static void
argv_head (const struct hv_machine *m, const struct qmp_argv_how *how, struct qmp_argv *a)
{
  qmp_argv_add (a, how->qemu);
  qmp_argv_add (a, "-name");
  qmp_argv_addf (a, "guest=%s,debug-threads=on", m->name);
  qmp_argv_add (a, "-S");
  qmp_argv_add (a, "-machine");
  qmp_argv_addf (a, "%s,usb=off,dump-guest-core=off,memory-backend=pc.ram%s%s", m->machine, m->acpi ? "" : ",acpi=off",
                 is_efi (m) ? ",pflash0=pflash0,pflash1=pflash1" : "");
  argv_processor (m, how, a);
  argv_pair (a, "-uuid", m->uuid);
  argv_smbios (m, a);
  qmp_argv_add (a, "-no-user-config");
  qmp_argv_add (a, "-nodefaults");
}

static void
argv_chardev (struct qmp_argv *a, const char *id, uint32_t fd, uint32_t log_fd)
{
  json_int_t n = (json_int_t) fd;
  qmp_argv_add (a, "-chardev");
  if (log_fd > 0)
    qmp_argv_addf (a, "socket,id=%s,fd=%d,server=on,wait=off,logfile=/dev/fdset/1,logappend=on", id, (int) n);
  else
    qmp_argv_addf (a, "socket,id=%s,fd=%d,server=on,wait=off", id, (int) n);
}

static void
argv_fdset (struct qmp_argv *a, uint32_t fd, int set, const char *what)
{
  qmp_argv_add (a, "-add-fd");
  qmp_argv_addf (a, "fd=%" PRIu32 ",set=%d,opaque=%s", fd, set, what);
}

/* What the firmware has to say goes into a log. */
static void
argv_firmware_log (const struct qmp_fd_plan *fds, struct qmp_argv *a)
{
  argv_fdset (a, fds->firmware_log, QMP_SET_FIRMWARE_LOG, "firmware-log");
  argv_pair (a, "-chardev", "file,id=firmware-log,path=/dev/fdset/2,append=on");
  qmp_argv_json (a, "-device", json_pack ("{s:s, s:i, s:s}", "driver", "isa-debugcon", "iobase", 0x402, "chardev", "firmware-log"));
}

/* EFI keeps its variables in a file of the machine's own. */
static void
argv_firmware (const struct hv_machine *m, const struct qmp_argv_how *how, const struct qmp_fd_plan *fds, struct qmp_argv *a)
{
  if (!is_efi (m))
    return;
  argv_fdset (a, fds->nvram, QMP_SET_NVRAM, "nvram");
  qmp_argv_json (a, "-blockdev",
                 json_pack ("{s:s, s:s, s:s, s:b, s:s}", "driver", "file", "filename", how->efi_code, "node-name", "pflash0-file",
                            "auto-read-only", 1, "discard", "unmap"));
  qmp_argv_json (
      a, "-blockdev",
      json_pack ("{s:s, s:b, s:s, s:s}", "node-name", "pflash0", "read-only", 1, "driver", "raw", "file", "pflash0-file"));
  qmp_argv_json (a, "-blockdev",
                 json_pack ("{s:s, s:s, s:s, s:b, s:b}", "driver", "file", "filename", "/dev/fdset/3", "node-name", "pflash1-file",
                            "read-only", 0, "auto-read-only", 0));
  qmp_argv_json (
      a, "-blockdev",
      json_pack ("{s:s, s:b, s:s, s:s}", "node-name", "pflash1", "read-only", 0, "driver", "raw", "file", "pflash1-file"));
}

static void
argv_monitor (const struct hv_machine *m, const struct qmp_fd_plan *fds, struct qmp_argv *a)
{
  argv_chardev (a, "monitor0", fds->monitor, 0);
  argv_pair (a, "-mon", "chardev=monitor0,id=monitor,mode=control");
  argv_pair (a, "-rtc", "base=utc");
  qmp_argv_add (a, "-no-shutdown");
  argv_pair (a, "-boot", "strict=on");
  if (!HV_HAS (m, kernel))
    return;
  argv_pair (a, "-kernel", m->kernel.kernel);
  if (HV_HAS (&m->kernel, initrd))
    argv_pair (a, "-initrd", m->kernel.initrd);
  if (HV_HAS (&m->kernel, cmdline))
    argv_pair (a, "-append", m->kernel.cmdline);
}

/* --- devices --- */

json_t *
qmp_nic_device (const struct hv_machine_nic *n)
{
  char netdev[80], id[80];
  (void) snprintf (netdev, sizeof netdev, "host-%s", n->name);
  (void) snprintf (id, sizeof id, "ua-%s", n->name);
  const char *driver = strcmp (n->model, "virtio") == 0 ? "virtio-net-pci-non-transitional" : n->model;
  json_t *d = json_pack ("{s:s, s:s, s:s, s:s}", "driver", driver, "netdev", netdev, "id", id, "mac", n->mac);
  if (d == NULL)
    return NULL;
  if (HV_HAS (n, mtu))
    (void) json_object_set_new (d, "host_mtu", json_integer (n->mtu));
  if (n->queues > 1) {
    (void) json_object_set_new (d, "mq", json_true ());
    (void) json_object_set_new (d, "vectors", json_integer (2 * (json_int_t) n->queues + 2));
  }
  if (HV_HAS (n, boot_order))
    (void) json_object_set_new (d, "bootindex", json_integer (n->boot_order));
  else
    (void) json_object_set_new (d, "romfile", json_string (""));
  return d;
}

static void
argv_nics (const struct hv_machine *m, const struct qmp_fd_plan *fds, struct qmp_pci *pci, struct qmp_argv *a)
{
  uint32_t fd = fds->first_tap;
  for (uint32_t i = 0; i < m->nics.count; i++) {
    const struct hv_machine_nic *n = &m->nics.items[i];
    char netdev[80], numbers[256 * 6 + 1] = "";
    size_t at = 0;
    (void) snprintf (netdev, sizeof netdev, "host-%s", n->name);
    for (uint32_t q = 0; q < n->queues && at < sizeof numbers; q++)
      at += (size_t) snprintf (numbers + at, sizeof numbers - at, "%s%" PRIu32, q > 0 ? ":" : "", fd++);
    qmp_argv_json (a, "-netdev", json_pack ("{s:s, s:s, s:s}", "type", "tap", "id", netdev, n->queues > 1 ? "fds" : "fd", numbers));
    json_t *d = qmp_nic_device (n);
    qmp_pci_place (pci, d);
    qmp_argv_json (a, "-device", d);
  }
  if (pci->next <= QMP_NIC_PORTS)
    pci->next = QMP_NIC_PORTS + 1;
}

static void
argv_device (struct qmp_argv *a, struct qmp_pci *pci, const char *driver, const char *id)
{
  json_t *d = json_pack ("{s:s, s:s}", "driver", driver, "id", id);
  qmp_pci_place (pci, d);
  qmp_argv_json (a, "-device", d);
}

/* The controller's own four ports where they do: guests keep the hardware they had. */
static void
argv_usb (const struct hv_machine *m, struct qmp_pci *pci, struct qmp_argv *a)
{
  json_t *d = json_pack ("{s:s, s:s}", "driver", "qemu-xhci", "id", "usb");
  if (d != NULL && qmp_usb_devices (m) > 4) {
    (void) json_object_set_new (d, "p2", json_integer (QMP_USB_PORTS));
    (void) json_object_set_new (d, "p3", json_integer (QMP_USB_PORTS));
  }
  qmp_pci_place (pci, d);
  qmp_argv_json (a, "-device", d);
}

static void
argv_controllers (const struct hv_machine *m, struct qmp_pci *pci, struct qmp_argv *a)
{
  if (qmp_usb_devices (m) > 0)
    argv_usb (m, pci, a);
  argv_device (a, pci, "virtio-scsi-pci-non-transitional", "scsi0");
  if (m->agent)
    argv_device (a, pci, "virtio-serial-pci-non-transitional", "virtio-serial0");
}

static void
argv_consoles (const struct hv_machine *m, const struct qmp_fd_plan *fds, struct qmp_argv *a)
{
  if (m->serial) {
    argv_fdset (a, fds->serial_log, QMP_SET_SERIAL_LOG, "serial-log");
    argv_chardev (a, "serial0-socket", fds->serial, fds->serial_log);
    qmp_argv_json (
        a, "-device",
        json_pack ("{s:s, s:s, s:s, s:i}", "driver", "isa-serial", "chardev", "serial0-socket", "id", "serial0", "index", 0));
  }
  if (m->agent) {
    argv_chardev (a, "agent0-socket", fds->agent, 0);
    qmp_argv_json (a, "-device",
                   json_pack ("{s:s, s:s, s:i, s:s, s:s, s:s}", "driver", "virtserialport", "bus", "virtio-serial0.0", "nr", 1,
                              "chardev", "agent0-socket", "id", QMP_ID_AGENT, "name", "org.qemu.guest_agent.0"));
  }
}

static void
argv_inputs (const struct hv_machine *m, struct qmp_pci *pci, struct qmp_argv *a)
{
  uint32_t port = 1;
  for (uint32_t i = 0; i < m->inputs.count; i++) {
    const struct hv_machine_input *in = &m->inputs.items[i];
    char id[80], number[12];
    (void) snprintf (id, sizeof id, "ua-%s", in->name);
    (void) snprintf (number, sizeof number, "%" PRIu32, port);
    if (strcmp (in->bus, "virtio") == 0) {
      argv_device (a, pci, "virtio-tablet-pci", id);
      continue;
    }
    port++;
    qmp_argv_json (a, "-device",
                   json_pack ("{s:s, s:s, s:s, s:s}", "driver", "usb-tablet", "id", id, "bus", "usb.0", "port", number));
  }
}

static void
argv_graphics (const struct hv_machine *m, const struct qmp_argv_how *how, struct qmp_argv *a)
{
  if (!m->graphics) {
    argv_pair (a, "-display", "none");
    return;
  }
  HV_CLEAN (hv_free) char *path = option_escape (how->vnc_path);
  qmp_argv_json (a, "-audiodev", json_pack ("{s:s, s:s}", "id", "audio1", "driver", "none"));
  qmp_argv_add (a, "-vnc");
  qmp_argv_addf (a, "vnc=unix:%s,audiodev=audio1", path != NULL ? path : "");
  a->failed |= path == NULL;
  qmp_argv_json (
      a, "-device",
      json_pack ("{s:s, s:s, s:i, s:s, s:s}", "driver", "VGA", "id", "video0", "vgamem_mb", 16, "bus", "pcie.0", "addr", "0x1"));
}

static void
argv_small (const struct hv_machine *m, struct qmp_pci *pci, struct qmp_argv *a)
{
  if (m->balloon) {
    json_t *d = json_pack ("{s:s, s:s, s:b}", "driver", "virtio-balloon-pci-non-transitional", "id", QMP_ID_BALLOON,
                           "free-page-reporting", 1);
    qmp_pci_place (pci, d);
    qmp_argv_json (a, "-device", d);
  }
  if (m->rng) {
    qmp_argv_json (a, "-object", json_pack ("{s:s, s:s}", "qom-type", "rng-builtin", "id", "rng0-source"));
    json_t *d = json_pack ("{s:s, s:s, s:s}", "driver", "virtio-rng-pci-non-transitional", "id", "rng0", "rng", "rng0-source");
    qmp_pci_place (pci, d);
    qmp_argv_json (a, "-device", d);
  }
  if (!HV_HAS (m, watchdog))
    return;
  if (strcmp (m->watchdog, "itco") == 0)
    argv_pair (a, "-global", "ICH9-LPC.noreboot=off");
  else
    qmp_argv_json (a, "-device", json_pack ("{s:s, s:s}", "driver", m->watchdog, "id", "watchdog0"));
  qmp_argv_add (a, "-action");
  qmp_argv_addf (a, "watchdog=%s", m->watchdog_action);
}

uint64_t
qmp_argv_memory (uint64_t bytes)
{
  const uint64_t mib = 1u << 20;
  return (bytes + mib - 1) / mib * mib;
}

int
qmp_argv_make (const struct hv_machine *m, const struct qmp_argv_how *how, struct qmp_argv *ret, struct hv_err *err)
{
  struct qmp_argv a = { .places = how->places };
  struct qmp_fd_plan fds;
  struct qmp_pci pci = { .next = 1 };
  qmp_fd_plan_make (m, &fds);
  argv_head (m, how, &a);
  argv_monitor (m, &fds, &a);
  argv_firmware (m, how, &fds, &a);
  argv_ports (m, &a);
  argv_nics (m, &fds, &pci, &a);
  argv_controllers (m, &pci, &a);
  qmp_disks_args (m, how, &pci, &a);
  argv_consoles (m, &fds, &a);
  argv_inputs (m, &pci, &a);
  argv_graphics (m, how, &a);
  argv_small (m, &pci, &a);
  argv_firmware_log (&fds, &a);
  argv_pair (&a, "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  argv_pair (&a, "-msg", "timestamp=on");
  if (a.failed) {
    qmp_argv_clear (&a);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "command line: out of memory");
  }
  a.places = NULL;
  *ret = a;
  return 0;
}
