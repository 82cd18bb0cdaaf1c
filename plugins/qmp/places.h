/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the devices of a running machine stand. A machine that is started has them in the order of its definition; one that had
 * devices plugged in or taken out since has not, and its state only fits into a machine that is put together the same way. */
#ifndef QMP_PLACES_H
#define QMP_PLACES_H
#include <hvkit/iface/hypervisor.h>
#include <jansson.h>

/* A place is "pci.7", a root port; "lun:3" on the SCSI bus; "port:2" on the USB bus. */
#define QMP_PLACES(F, T) \
  F (T, U32, _, ports, HV_REQUIRED, "PCI root ports", .max = 256) \
  F (T, MAP, _, devices, HV_REQUIRED, "place of each device, by its id in QEMU", .max = 256)
HV_RECORD_STRUCT (qmp_places, QMP_PLACES);

/* Puts a device in its place, if it has one. */
void qmp_places_apply (const struct qmp_places *, json_t *device);
/* In memory of the current call. */
int qmp_places_add (struct hv_host *, struct qmp_places *, const char *id, const char *place);
/* FAILED_PRECONDITION names the first device that stands elsewhere. */
int qmp_places_alike (const struct qmp_places *here, const struct qmp_places *there, struct hv_err *);
#endif
