/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VMs of an instance: the list, what is kept of each, and the one function that changes a state. */
#include "qmp.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t
qmp_wall_ms (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_REALTIME, &t);
  return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

/* Replaces a kept text; NULL or equal text is handled. `*at` is unchanged when out of memory. */
int
qmp_text_set (char **at, const char *value)
{
  char *copy = NULL;
  if (value != NULL && (copy = strdup (value)) == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  free (*at);
  *at = copy;
  return 0;
}

/* --- the list, sorted by name --- */

static uint32_t
list_place (const struct qmp *q, const char *name, int *ret_found)
{
  uint32_t low = 0, high = q->vm_count;
  *ret_found = 0;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    int c = strcmp (q->vms[mid]->name, name);
    if (c == 0)
      *ret_found = 1;
    if (c < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

static int
list_reserve (struct qmp *q)
{
  if (q->vm_count < q->vm_capacity)
    return 0;
  uint32_t capacity = q->vm_capacity > 0 ? q->vm_capacity * 2 : 16;
  struct qmp_vm **vms = realloc (q->vms, capacity * sizeof (struct qmp_vm *));
  if (vms == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  q->vms = vms;
  q->vm_capacity = capacity;
  return 0;
}

struct qmp_vm *
qmp_vm_new (struct qmp *q, const char *name, struct hv_err *err)
{
  int found;
  struct qmp_vm *vm = calloc (1, sizeof *vm);
  if (vm != NULL) {
    *vm = (struct qmp_vm){ .qmp = q, .refs = 1, .pidfd = -1, .agent_fd = -1, .since_ms = qmp_wall_ms () };
    vm->name = strdup (name);
    vm->changed = q->host->api->cond_new (q->host);
  }
  if (vm == NULL || vm->name == NULL || vm->changed == NULL || list_reserve (q) < 0) {
    qmp_vm_unref (vm);
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    return NULL;
  }
  uint32_t at = list_place (q, name, &found);
  memmove (&q->vms[at + 1], &q->vms[at], (q->vm_count - at) * sizeof (struct qmp_vm *));
  q->vms[at] = vm;
  q->vm_count++;
  return vm;
}

struct qmp_vm *
qmp_vm_find (struct qmp *q, const char *name, struct hv_err *err)
{
  int found;
  uint32_t at = list_place (q, name, &found);
  if (found)
    return q->vms[at];
  (void) hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' is not defined", name);
  return NULL;
}

struct qmp_vm *
qmp_vm_hold (struct qmp *q, const char *name, struct hv_err *err)
{
  struct qmp_vm *vm = qmp_vm_find (q, name, err);
  return vm != NULL ? qmp_vm_ref (vm) : NULL;
}

void
qmp_vm_remove (struct qmp_vm *vm)
{
  int found;
  struct qmp *q = vm->qmp;
  uint32_t at = list_place (q, vm->name, &found);
  if (!found || q->vms[at] != vm)
    return;
  q->vm_count--;
  memmove (&q->vms[at], &q->vms[at + 1], (q->vm_count - at) * sizeof (struct qmp_vm *));
  vm->undefined = 1;
  qmp_vm_unref (vm);
}

struct qmp_vm *
qmp_vm_ref (struct qmp_vm *vm)
{
  vm->refs++;
  return vm;
}

char **
qmp_mac_of (struct qmp_vm *vm, const char *nic)
{
  for (uint32_t i = 0; i < vm->mac_count; i++)
    if (strcmp (vm->macs[i].nic, nic) == 0)
      return &vm->macs[i].mac;
  struct qmp_nic_mac *more = realloc (vm->macs, ((size_t) vm->mac_count + 1) * sizeof *more);
  if (more == NULL)
    return NULL;
  vm->macs = more;
  more[vm->mac_count] = (struct qmp_nic_mac){ .nic = strdup (nic) };
  return more[vm->mac_count].nic != NULL ? &more[vm->mac_count++].mac : NULL;
}

static void
vm_free_macs (struct qmp_vm *vm)
{
  for (uint32_t i = 0; i < vm->mac_count; i++) {
    free (vm->macs[i].nic);
    free (vm->macs[i].mac);
  }
  free (vm->macs);
}

static void
vm_free_labels (struct qmp_vm *vm)
{
  for (uint32_t i = 0; i < vm->label_count; i++) {
    free ((char *) (uintptr_t) vm->labels[i].key);
    free ((char *) (uintptr_t) vm->labels[i].value);
  }
  free (vm->labels);
  vm->labels = NULL;
  vm->label_count = 0;
}

void
qmp_vm_unref (struct qmp_vm *vm)
{
  if (vm == NULL || --vm->refs > 0)
    return;
  qmp_control_close (vm);
  qmp_exit_forget (vm);
  qmp_agent_close (vm);
  if (vm->changed != NULL)
    vm->qmp->host->api->cond_free (vm->qmp->host, vm->changed);
  vm_free_labels (vm);
  free (vm->name);
  free (vm->uuid);
  free (vm->machine.bytes);
  free (vm->live.bytes);
  free (vm->pending.bytes);
  free (vm->snapshots.bytes);
  free (vm->machine_type);
  free (vm->reason);
  free (vm->detail);
  free (vm->accel);
  free (vm->io_error);
  free (vm->end_detail);
  free (vm->refused_device);
  qmp_sample_clear (&vm->sample);
  qmp_faults_clear (vm);
  vm_free_macs (vm);
  free (vm);
}

/* --- the definition --- */

static int
vm_copy_labels (struct qmp_vm *vm, const struct hv_map *from)
{
  vm_free_labels (vm);
  if (from->count == 0)
    return 0;
  vm->labels = calloc (from->count, sizeof *vm->labels);
  if (vm->labels == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (; vm->label_count < from->count; vm->label_count++) {
    struct hv_pair *p = &vm->labels[vm->label_count];
    p->key = strdup (from->items[vm->label_count].key);
    p->value = strdup (from->items[vm->label_count].value);
    if (p->key == NULL || p->value == NULL) {
      vm->label_count++;
      return HV_E_RESOURCE_EXHAUSTED;
    }
  }
  return 0;
}

/* The new bytes, not yet in place of the old ones. */
static int
kept_encode (struct hv_host *h, const struct hv_record *rec, const void *in, struct qmp_kept *ret, struct hv_err *err)
{
  struct hv_bin b = { 0 };
  int r = h->api->encode (h, rec, in, &b, err);
  if (r < 0)
    return r;
  uint8_t *bytes = malloc (b.size);
  if (bytes == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  memcpy (bytes, b.data, b.size);
  *ret = (struct qmp_kept){ bytes, b.size };
  return 0;
}

int
qmp_kept_set (struct hv_host *h, struct qmp_kept *kept, const struct hv_record *rec, const void *in, struct hv_err *err)
{
  struct qmp_kept k = { 0 };
  int r = in != NULL ? kept_encode (h, rec, in, &k, err) : 0;
  if (r < 0)
    return r;
  free (kept->bytes);
  *kept = k;
  return 0;
}

int
qmp_kept_get (struct hv_host *h, const struct qmp_kept *kept, const struct hv_record *rec, void *ret, struct hv_err *err)
{
  memset (ret, 0, rec->c_size);
  if (kept->bytes == NULL)
    return 0;
  int r = h->api->decode (h, rec, (struct hv_bin){ kept->bytes, kept->size }, HV_DECODE_OPEN, ret, err);
  return r < 0 ? r : 1;
}

int
qmp_vm_set_machine (struct qmp_vm *vm, const struct hv_machine *m, struct hv_err *err)
{
  struct qmp_kept k = { 0 };
  int r = kept_encode (vm->qmp->host, &hv_machine_record, m, &k, err);
  if (r < 0)
    return r;
  if (qmp_text_set (&vm->uuid, m->uuid) < 0 || qmp_text_set (&vm->machine_type, m->machine) < 0
      || vm_copy_labels (vm, &m->labels) < 0) {
    free (k.bytes);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  free (vm->machine.bytes);
  vm->machine = k;
  vm->memory_bytes = m->memory_bytes;
  vm->vcpus = m->cpu.sockets * m->cpu.cores * m->cpu.threads;
  vm->has_console = m->serial;
  vm->has_vnc = m->graphics;
  vm->has_agent = m->agent;
  vm->has_balloon = m->balloon;
  vm->nic_count = m->nics.count;
  return 0;
}

int
qmp_vm_machine (struct qmp_vm *vm, struct hv_machine *ret, struct hv_err *err)
{
  int r = qmp_kept_get (vm->qmp->host, &vm->machine, &hv_machine_record, ret, err);
  if (r == 0)
    return hv_err_set (err, HV_E_DATA_LOSS, "VM '%s': its record cannot be read", vm->name);
  return r < 0 ? r : 0;
}

int
qmp_vm_live (struct qmp_vm *vm, struct hv_machine *ret, struct hv_err *err)
{
  int r = qmp_kept_get (vm->qmp->host, &vm->live, &hv_machine_record, ret, err);
  return r == 0 ? qmp_vm_machine (vm, ret, err) : r < 0 ? r : 0;
}

int
qmp_vm_set_live (struct qmp_vm *vm, const struct hv_machine *m, struct hv_err *err)
{
  int r = qmp_kept_set (vm->qmp->host, &vm->live, &hv_machine_record, m, err);
  if (r == 0)
    vm->live_vcpus = m != NULL ? m->cpu.sockets * m->cpu.cores * m->cpu.threads : 0;
  return r;
}

int
qmp_vm_split (struct qmp_vm *vm, struct hv_err *err)
{
  struct hv_machine m;
  if (vm->live.bytes != NULL || !vm->launched)
    return 0;
  int r = qmp_vm_machine (vm, &m, err);
  return r == 0 ? qmp_vm_set_live (vm, &m, err) : r;
}

/* --- states --- */

int
qmp_vm_need_process (struct qmp_vm *vm, struct hv_err *err)
{
  return vm->pidfd >= 0 ? 0 : hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
}

int
qmp_vm_need_running (struct qmp_vm *vm, struct hv_err *err)
{
  if (vm->state == HV_VM_RUNNING || vm->state == HV_VM_PAUSED || vm->state == HV_VM_SUSPENDED)
    return 0;
  if (vm->state == HV_VM_UNREACHABLE || vm->state == HV_VM_UNMANAGED)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s' is %s: %s", vm->name, hv_vm_state_words[vm->state],
                       vm->detail != NULL ? vm->detail : "it does not answer");
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
}

int
qmp_vm_alive (const struct qmp_vm *vm)
{
  return vm->pidfd >= 0 || (vm->launched && vm->state == HV_VM_UNMANAGED);
}

void
qmp_vm_wake (struct qmp_vm *vm)
{
  vm->qmp->host->api->cond_wake (vm->qmp->host, vm->changed);
}

static void
vm_publish (struct qmp_vm *vm, uint32_t was)
{
  struct hv_host *h = vm->qmp->host;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (h);
  struct hv_lifecycle e = { .vm = vm->name };
  HV_SET (&e, state, vm->state);
  HV_SET (&e, was, was);
  if (vm->reason != NULL)
    HV_SET (&e, reason, vm->reason);
  if (vm->detail != NULL)
    HV_SET (&e, detail, vm->detail);
  if (vm->pid > 0)
    HV_SET (&e, pid, (uint32_t) vm->pid);
  if (hv_publish (h, "lifecycle", &e, err) < 0)
    hv_log (h, HV_LOG_WARNING, "VM '%s': event lost: %s", vm->name, hv_err_message (err));
}

void
qmp_vm_set_state (struct qmp_vm *vm, uint32_t state, const char *reason, const char *detail)
{
  uint32_t was = vm->state;
  if (state == was)
    return;
  if (!hv_vm_transitions[was][state]) {
    hv_log (vm->qmp->host, HV_LOG_ERROR, "VM '%s': %s cannot become %s (%s)", vm->name, hv_vm_state_words[was],
            hv_vm_state_words[state], reason);
    return;
  }
  vm->state = state;
  vm->since_ms = qmp_wall_ms ();
  if (qmp_text_set (&vm->reason, reason) < 0 || qmp_text_set (&vm->detail, detail) < 0)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "VM '%s': out of memory: the reason '%s' is not kept", vm->name, reason);
  if (state == HV_VM_UNREACHABLE)
    vm->unreachable_since_ms = vm->since_ms;
  else
    vm->unreachable_since_ms = 0;
  vm_publish (vm, was);
  qmp_vm_wake (vm);
}

int
qmp_vm_wait (struct qmp_vm *vm, int (*test) (const struct qmp_vm *), uint64_t timeout_ms, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  uint64_t end = h->api->now_ms () + timeout_ms;
  while (!test (vm)) {
    uint64_t now = h->api->now_ms ();
    if (now >= end)
      return hv_err_set (err, HV_E_DEADLINE_EXCEEDED, "VM '%s': nothing happened within %llu ms", vm->name,
                         (unsigned long long) timeout_ms);
    int r = h->api->cond_wait (h, vm->changed, end - now, err);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
  }
  return 0;
}

/* --- what callers see --- */

static void
fill_paths (const struct qmp_vm *vm, struct hv_vm *ret)
{
  const struct {
    uint8_t wanted;
    const char *name, **at;
    uint8_t *has;
  } paths[] = { { vm->has_console, "serial.sock", &ret->console_path, &ret->has.console_path },
                { vm->has_console, "serial.log", &ret->log_path, &ret->has.log_path },
                { vm->has_vnc, "vnc/vnc.sock", &ret->vnc_path, &ret->has.vnc_path } };
  struct hv_host *h = vm->qmp->host;
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    char *p = paths[i].wanted && vm->uuid != NULL ? hv_printf (h, "%s/%s/%s", h->api->info (h)->run_dir, vm->uuid, paths[i].name)
                                                  : NULL;
    if (p != NULL) {
      *paths[i].at = p;
      *paths[i].has = 1;
    }
  }
}

#define FILL(ret, member, value) \
  do { \
    if ((value) != 0) \
      HV_SET (ret, member, value); \
  } while (0)

void
qmp_vm_fill (const struct qmp_vm *vm, struct hv_vm *ret)
{
  struct qmp_pending pending;
  memset (ret, 0, sizeof *ret);
  ret->vm = vm->name;
  HV_SET (ret, state, vm->state);
  FILL (ret, uuid, vm->uuid);
  FILL (ret, reason, vm->reason);
  FILL (ret, detail, vm->detail);
  FILL (ret, pid, vm->pid > 0 ? (uint32_t) vm->pid : 0);
  FILL (ret, since_ms, vm->since_ms);
  FILL (ret, memory_bytes, vm->memory_bytes);
  FILL (ret, vcpus, vm->live_vcpus > 0 ? vm->live_vcpus : vm->vcpus);
  FILL (ret, accel, vm->accel);
  FILL (ret, machine, vm->machine_type);
  FILL (ret, unreachable_since_ms, vm->unreachable_since_ms);
  if (qmp_kept_get (vm->qmp->host, &vm->pending, &qmp_pending_record, &pending, NULL) > 0)
    HV_SET (ret, operation, pending.op);
  HV_SET (ret, agent_connected, vm->agent_connected);
  HV_SET (ret, foreign, 0);
  if (vm->label_count > 0)
    HV_SET (ret, labels, ((struct hv_map){ vm->labels, vm->label_count }));
  if (qmp_vm_alive (vm))
    fill_paths (vm, ret);
  HV_SET (ret, age_ms, vm->monitor != NULL ? vm->qmp->host->api->now_ms () - vm->heard_ms : 0);
  HV_SET (ret, source, vm->monitor != NULL ? "cache" : "stored");
}
