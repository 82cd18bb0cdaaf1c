/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hv_machine → the command line of QEMU. Pure: everything that has to be looked up on the node comes in. */
#ifndef QMP_ARGV_H
#define QMP_ARGV_H
#include "places.h"
#include <hvkit/iface/hypervisor.h>
#include <jansson.h>

/* A growing argument vector. Zero-initialised is ready. Running out of memory sets `failed`; check once at the end. */
struct qmp_argv {
  char **items; /* NULL-terminated */
  uint32_t count, capacity, failed;
  const struct qmp_places *places; /* where devices are put, instead of one after the other; NULL: no word on it */
};
void qmp_argv_add (struct qmp_argv *, const char *);
HV_PRINTF (2, 3) void qmp_argv_addf (struct qmp_argv *, const char *fmt, ...);
void qmp_argv_json (struct qmp_argv *, const char *option, json_t *); /* takes the reference; NULL is a failure */
void qmp_argv_clear (struct qmp_argv *);
#define qmp_argv_cleanup qmp_argv_clear

/* The fdsets of those among them that are opened by a path. */
#define QMP_SET_SERIAL_LOG   1
#define QMP_SET_FIRMWARE_LOG 2
#define QMP_SET_NVRAM        3
/* Descriptors QEMU inherits, in this order from 3 on. A number of 0 means there is none. */
struct qmp_fd_plan {
  uint32_t monitor, agent, serial, serial_log, firmware_log, nvram, first_tap, count;
};
void qmp_fd_plan_make (const struct hv_machine *, struct qmp_fd_plan *ret);

/* What the definition does not say. */
struct qmp_argv_how {
  const char *qemu;                /* argv[0] */
  const char *accel;               /* kvm or tcg */
  const char *vnc_path;            /* NULL without graphics */
  uint32_t tb_size_mib;            /* translation buffer under tcg */
  const char *efi_code;            /* firmware efi: its read-only part */
  const uint8_t *direct;           /* per disk: the file system takes O_DIRECT; decides cache auto */
  const struct qmp_places *places; /* of a machine that is put together again; NULL: in order */
};

/* Ids in QEMU of what later commands and events name. */
#define QMP_ID_AGENT     "agent0"
#define QMP_ID_BALLOON   "balloon0"
#define QMP_PATH_BALLOON "/machine/peripheral/" QMP_ID_BALLOON
#define QMP_LAYERS_MAX   17u /* top and 16 below */

/* The machine can be run by this backend; else UNIMPLEMENTED or INVALID_ARGUMENT with the path of the field. */
int qmp_argv_check (const struct hv_machine *, const char *accel, struct hv_err *);
/* Memory in MiB steps, as QEMU is given it. */
uint64_t qmp_argv_memory (uint64_t bytes);
int qmp_argv_make (const struct hv_machine *, const struct qmp_argv_how *, struct qmp_argv *ret, struct hv_err *);

/* Parts. */
struct qmp_pci {
  uint32_t next; /* root port of the next device, from 1 */
};
#define QMP_NIC_PORTS 4u /* kept for network cards, plugged in later or now */
void qmp_disks_args (const struct hv_machine *, const struct qmp_argv_how *, struct qmp_pci *, struct qmp_argv *);
int qmp_disks_check (const struct hv_machine *, struct hv_err *);
int qmp_disk_direct (const struct hv_machine_disk *, int can);
/* The device of a disk, not yet given a place on its bus. */
json_t *qmp_disk_device (const struct hv_machine_disk *, int direct);
json_t *qmp_nic_device (const struct hv_machine_nic *);

/* Block nodes (nodes.c). */
#define QMP_NODE_NAME 32u
struct qmp_layer {
  const char *disk, *path;
  uint32_t format;
  int read_only, direct;
};
/* kind: 'f' the protocol node, 'q' the format node on top of it. */
void qmp_node_name (char ret[QMP_NODE_NAME], char kind, const char *disk, const char *path);
json_t *qmp_node_file (const struct qmp_layer *);
json_t *qmp_node_format (const struct qmp_layer *, const char *backing);
typedef void qmp_node_fn (void *arg, json_t *node); /* takes the reference; NULL: out of memory */
void qmp_nodes_each (const struct hv_machine_disk *, int direct, qmp_node_fn *, void *arg);
/* The disk that a node belongs to, by its index; -1 for what is no node of ours. *ret_path (may be NULL): the layer's image. */
int qmp_disk_of_node (const struct hv_machine *, const char *node, const char **ret_path);
void qmp_pci_place (struct qmp_pci *, json_t *device);
uint32_t qmp_pci_ports (const struct hv_machine *);
/* Devices on the USB controller: inputs have the first ports, disks those behind them. */
#define QMP_USB_PORTS 15u
uint32_t qmp_usb_inputs (const struct hv_machine *);
uint32_t qmp_usb_devices (const struct hv_machine *);
#endif
