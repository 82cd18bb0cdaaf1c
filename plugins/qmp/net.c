/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters of network cards, as the kernel keeps them for the taps, in whatever namespace those are. What the host sends
 * into a tap is what the guest receives. */
#include "qmp.h"
#include <errno.h>
#include <hvkit/netns.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct counters {
  uint64_t bytes, packets, errors, drops;
};

struct net_job {
  const struct hv_machine *machine;
  const struct hv_machine_nic *nic;
  const char *only; /* NULL: all */
  struct hv_interface_stats *ret;
  struct hv_err *err;
};

static int
line_parse (const char *line, const char *tap, struct counters *rx, struct counters *tx)
{
  char name[64];
  return sscanf (line,
                 " %63[^:]: %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64
                 " %" SCNu64,
                 name, &rx->bytes, &rx->packets, &rx->errors, &rx->drops, &tx->bytes, &tx->packets, &tx->errors, &tx->drops)
             == 9
         && strcmp (name, tap) == 0;
}

/* In the tap's namespace. */
static int
nic_read (void *arg)
{
  struct net_job *j = arg;
  char line[512];
  struct counters host_rx, host_tx;
  int found = 0;
  FILE *f = fopen ("/proc/thread-self/net/dev", "re");
  while (f != NULL && !found && fgets (line, sizeof line, f) != NULL)
    found = line_parse (line, j->nic->tap, &host_rx, &host_tx);
  if (f != NULL)
    (void) fclose (f);
  if (!found)
    return hv_err_set (j->err, HV_E_NOT_FOUND, "tap '%s' does not exist", j->nic->tap);
  struct hv_interface_stat *s = &j->ret->items.items[j->ret->items.count++];
  s->nic = j->nic->name;
  s->has.nic = 1;
  HV_SET (s, tap, j->nic->tap);
  HV_SET (s, rx_bytes, host_tx.bytes);
  HV_SET (s, rx_packets, host_tx.packets);
  HV_SET (s, rx_errors, host_tx.errors);
  HV_SET (s, rx_drops, host_tx.drops);
  HV_SET (s, tx_bytes, host_rx.bytes);
  HV_SET (s, tx_packets, host_rx.packets);
  HV_SET (s, tx_errors, host_rx.errors);
  HV_SET (s, tx_drops, host_rx.drops);
  return 0;
}

static int
net_run (void *arg)
{
  struct net_job *j = arg;
  int r = 0;
  for (uint32_t i = 0; r == 0 && i < j->machine->nics.count; i++) {
    j->nic = &j->machine->nics.items[i];
    if (j->only == NULL || strcmp (j->only, j->nic->name) == 0)
      r = hv_netns_visit (HV_HAS (j->nic, netns) ? j->nic->netns : NULL, nic_read, j, j->err);
  }
  return r;
}

int
qmp_interfaces_read (struct qmp_vm *vm, const char *only, struct hv_interface_stats *ret, struct hv_err *err)
{
  struct hv_machine live;
  struct net_job j = { .machine = &live, .only = only, .ret = ret, .err = err };
  if (vm->nic_count == 0 && vm->live.bytes == NULL) {
    ret->has.items = 1;
    return 0; /* nothing to decode, nothing to visit */
  }
  int r = qmp_vm_live (vm, &live, err);
  if (r < 0)
    return r;
  ret->items.items = hv_alloc (vm->qmp->host, ((uint64_t) live.nics.count + 1) * sizeof *ret->items.items);
  if (ret->items.items == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return live.nics.count == 0 ? 0 : hv_offload (vm->qmp->host, net_run, &j, err);
}

int
qmp_interface_stats (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_interface_args *a = args;
  struct hv_interface_stats *ret = result;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  (void) call;
  int r = vm == NULL ? HV_E_NOT_FOUND : qmp_vm_need_process (vm, err);
  if (r == 0)
    r = qmp_interfaces_read (vm, HV_HAS (a, nic) ? a->nic : NULL, ret, err);
  if (r == 0 && HV_HAS (a, nic) && ret->items.count == 0)
    return hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' has no network card '%s'", vm->name, a->nic);
  HV_SET (ret, age_ms, 0);
  return r;
}
