/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The VMs of an instance: the list, what is kept of each, and the one function that changes a state. */
#include "libvirt.h"
#include <string.h>
#include <time.h>

uint64_t
lv_wall_ms (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_REALTIME, &t);
  return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

/* Replaces a kept text; NULL or equal text is handled. `*at` is unchanged when out of memory. */
int
lv_text_set (char **at, const char *value)
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
list_place (const struct lv *lv, const char *name, int *ret_found)
{
  uint32_t low = 0, high = lv->vm_count;
  *ret_found = 0;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    int c = strcmp (lv->vms[mid]->name, name);
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
list_reserve (struct lv *lv)
{
  if (lv->vm_count < lv->vm_capacity)
    return 0;
  uint32_t capacity = lv->vm_capacity > 0 ? lv->vm_capacity * 2 : 16;
  struct lv_vm **vms = realloc (lv->vms, capacity * sizeof (struct lv_vm *));
  if (vms == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  lv->vms = vms;
  lv->vm_capacity = capacity;
  return 0;
}

struct lv_vm *
lv_vm_new (struct lv_daemon *d, const char *name, const unsigned char *uuid, struct hv_err *err)
{
  int found;
  struct lv *lv = d->lv;
  struct lv_vm *vm = calloc (1, sizeof *vm);
  if (vm != NULL) {
    *vm = (struct lv_vm){ .lv = lv, .daemon = lv_daemon_ref (d), .refs = 1, .since_ms = lv_wall_ms () };
    memcpy (vm->uuid, uuid, sizeof vm->uuid);
    vm->name = strdup (name);
    vm->changed = lv->host->api->cond_new (lv->host);
  }
  if (vm == NULL || vm->name == NULL || vm->changed == NULL || list_reserve (lv) < 0) {
    lv_vm_unref (vm);
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    return NULL;
  }
  uint32_t at = list_place (lv, name, &found);
  memmove (&lv->vms[at + 1], &lv->vms[at], (lv->vm_count - at) * sizeof (struct lv_vm *));
  lv->vms[at] = vm;
  lv->vm_count++;
  return vm;
}

struct lv_vm *
lv_vm_find (struct lv *lv, const char *name, struct hv_err *err)
{
  int found;
  uint32_t at = list_place (lv, name, &found);
  if (found)
    return lv->vms[at];
  (void) hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' is not defined", name);
  return NULL;
}

struct lv_vm *
lv_vm_find_uuid (struct lv *lv, const unsigned char *uuid)
{
  for (uint32_t i = 0; i < lv->vm_count; i++)
    if (memcmp (lv->vms[i]->uuid, uuid, VIR_UUID_BUFLEN) == 0)
      return lv->vms[i];
  return NULL;
}

struct lv_vm *
lv_vm_hold (struct lv *lv, const char *name, struct hv_err *err)
{
  struct lv_vm *vm = lv_vm_find (lv, name, err);
  return vm != NULL ? lv_vm_ref (vm) : NULL;
}

void
lv_vm_remove (struct lv_vm *vm)
{
  int found;
  struct lv *lv = vm->lv;
  uint32_t at = list_place (lv, vm->name, &found);
  if (!found || lv->vms[at] != vm)
    return;
  lv->vm_count--;
  memmove (&lv->vms[at], &lv->vms[at + 1], (lv->vm_count - at) * sizeof (struct lv_vm *));
  vm->undefined = 1;
  vm->defined = 0;
  lv_vm_wake (vm);
  lv_vm_unref (vm);
}

struct lv_vm *
lv_vm_ref (struct lv_vm *vm)
{
  vm->refs++;
  return vm;
}

static void
free_labels (struct lv_vm *vm)
{
  for (uint32_t i = 0; i < vm->label_count; i++) {
    free ((char *) (uintptr_t) vm->labels[i].key);
    free ((char *) (uintptr_t) vm->labels[i].value);
  }
  free (vm->labels);
  vm->labels = NULL;
  vm->label_count = 0;
}

int
lv_vm_set_labels (struct lv_vm *vm, const struct hv_map *from)
{
  free_labels (vm);
  if (from->count == 0)
    return 0;
  vm->labels = calloc (from->count, sizeof *vm->labels);
  if (vm->labels == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  for (uint32_t i = 0; i < from->count; i++) {
    struct hv_pair *p = &vm->labels[vm->label_count++];
    p->key = strdup (from->items[i].key);
    p->value = strdup (from->items[i].value);
    if (p->key == NULL || p->value == NULL)
      return HV_E_RESOURCE_EXHAUSTED;
  }
  return 0;
}

void
lv_vm_unref (struct lv_vm *vm)
{
  if (vm == NULL || --vm->refs > 0)
    return;
  for (struct lv_work *w = vm->works, *next; w != NULL; w = next) {
    next = w->vm_next;
    w->vm = NULL;
  }
  if (vm->changed != NULL)
    vm->lv->host->api->cond_free (vm->lv->host, vm->changed);
  free_labels (vm);
  lv_vm_drop_dom (vm);
  lv_domain_free (vm->facts);
  lv_faults_clear (vm);
  lv_figures_free (vm->figures);
  free (vm->told_device);
  free (vm->name);
  free (vm->reason);
  free (vm->detail);
  lv_daemon_unref (vm->daemon);
  free (vm);
}

/* --- works that are about it --- */

void
lv_vm_drop_dom (struct lv_vm *vm)
{
  if (vm->dom != NULL)
    (void) virDomainFree (HV_STEAL (vm->dom));
}

/* One that was looked up on this connection is not looked up again. */
static void
keep_dom (struct lv_vm *vm, const struct lv_work *w)
{
  if (w->code == HV_E_NOT_FOUND)
    lv_vm_drop_dom (vm);
  else if (w->flags & LV_WORK_LIGHT && w->code == 0 && vm->dom == NULL && vm->daemon->connected
           && w->begun_ms >= vm->daemon->connected_ms && w->dom != NULL && virDomainRef (w->dom) == 0)
    vm->dom = w->dom;
}

void
lv_vm_work_begin (struct lv_vm *vm, struct lv_work *w)
{
  if (w->flags & LV_WORK_LIGHT && vm->dom != NULL && virDomainRef (vm->dom) == 0)
    w->dom = vm->dom;
  w->vm = vm;
  w->vm_next = vm->works;
  vm->works = w;
}

/* A VM that did not answer, and now does, is asked how it is. */
void
lv_vm_work_done (struct lv_vm *vm, struct lv_work *w)
{
  struct lv_work **at = &vm->works;
  while (*at != NULL && *at != w)
    at = &(*at)->vm_next;
  if (*at == NULL)
    return;
  *at = w->vm_next;
  w->vm = NULL;
  keep_dom (vm, w);
  vm->heard_ms = vm->lv->host->api->now_ms ();
  if (w->overdue)
    vm->overdue--;
  if (!vm->undefined && ((w->overdue && vm->overdue == 0) || w->abandoned))
    lv_sync_vm_later (vm);
}

void
lv_vm_check_overdue (struct lv_vm *vm)
{
  uint64_t now = vm->lv->host->api->now_ms ();
  for (struct lv_work *w = vm->works; w != NULL; w = w->vm_next) {
    if (w->overdue || w->flags & (LV_WORK_LONG | LV_WORK_LIGHT) || now - w->begun_ms < vm->lv->config->overdue_ms)
      continue;
    w->overdue = 1;
    vm->overdue++;
  }
  if (vm->overdue > 0 && lv_vm_alive (vm) && vm->state != HV_VM_UNREACHABLE)
    lv_vm_set_state (vm, HV_VM_UNREACHABLE, "monitor_silent", "its process is alive, but does not answer libvirt");
}

/* --- states --- */

int
lv_vm_alive (const struct lv_vm *vm)
{
  switch (vm->state == HV_VM_UNREACHABLE ? vm->state_before : vm->state) {
  case HV_VM_STOPPED:
    return 0;
  case HV_VM_CRASHED:
    return vm->pid > 0; /* the guest panicked, and its machine stays */
  default:
    return 1;
  }
}

int
lv_vm_need_process (struct lv_vm *vm, struct hv_err *err)
{
  return lv_vm_alive (vm) ? 0 : hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
}

int
lv_vm_need_facts (struct lv_vm *vm, struct hv_err *err)
{
  return vm->facts != NULL
             ? 0
             : hv_err_set (err, HV_E_UNAVAILABLE,
                           "VM '%s': what it is made of is not known: its XML was not read, or is longer than 1 MiB", vm->name);
}

int
lv_vm_need_running (struct lv_vm *vm, struct hv_err *err)
{
  if (vm->state == HV_VM_RUNNING || vm->state == HV_VM_PAUSED || vm->state == HV_VM_SUSPENDED || vm->state == HV_VM_STOPPING)
    return lv_vm_need_facts (vm, err);
  if (vm->state == HV_VM_UNREACHABLE || vm->state == HV_VM_UNMANAGED)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s' is %s: %s", vm->name, hv_vm_state_words[vm->state],
                       vm->detail != NULL ? vm->detail : "it does not answer");
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
}

void
lv_vm_wake (struct lv_vm *vm)
{
  vm->lv->host->api->cond_wake (vm->lv->host, vm->changed);
}

static void
vm_publish (struct lv_vm *vm, const struct hv_lifecycle *e)
{
  struct hv_host *h = vm->lv->host;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (h);
  if (hv_publish (h, "lifecycle", e, err) < 0)
    hv_log (h, HV_LOG_WARNING, "VM '%s': event lost: %s", vm->name, hv_err_message (err));
}

void
lv_vm_announce (struct lv_vm *vm, const char *reason, int undefined)
{
  struct hv_lifecycle e = { .vm = vm->name };
  HV_SET (&e, state, vm->state);
  HV_SET (&e, reason, reason);
  if (undefined)
    HV_SET (&e, undefined, 1);
  vm_publish (vm, &e);
}

static void
vm_take_state (struct lv_vm *vm, uint32_t state, const char *reason, const char *detail)
{
  if (state == HV_VM_UNREACHABLE)
    vm->state_before = vm->state;
  vm->state = state;
  vm->since_ms = lv_wall_ms ();
  vm->unreachable_since_ms = state == HV_VM_UNREACHABLE ? vm->since_ms : 0;
  if (lv_text_set (&vm->reason, reason) < 0 || lv_text_set (&vm->detail, detail) < 0)
    hv_log (vm->lv->host, HV_LOG_WARNING, "VM '%s': out of memory: the reason '%s' is not kept", vm->name, reason);
  if (state != HV_VM_STOPPING)
    vm->shutdown_asked = 0;
  if (state == HV_VM_STOPPED || state == HV_VM_CRASHED || state == HV_VM_STARTING)
    vm->pid = 0;
  if (state == HV_VM_STOPPED || state == HV_VM_CRASHED)
    vm->agent_connected = 0;
  if (state == HV_VM_RUNNING) {
    lv_faults_resumed (vm);
    vm->awaited = 0;
  }
}

void
lv_vm_set_state (struct lv_vm *vm, uint32_t state, const char *reason, const char *detail)
{
  uint32_t was = vm->state;
  if (state == was)
    return;
  if (!hv_vm_transitions[was][state]) {
    hv_log (vm->lv->host, HV_LOG_ERROR, "VM '%s': %s cannot become %s (%s)", vm->name, hv_vm_state_words[was],
            hv_vm_state_words[state], reason);
    return;
  }
  vm_take_state (vm, state, reason, detail);
  struct hv_lifecycle e = { .vm = vm->name };
  HV_SET (&e, state, vm->state);
  HV_SET (&e, was, was);
  if (vm->reason != NULL)
    HV_SET (&e, reason, vm->reason);
  if (vm->detail != NULL)
    HV_SET (&e, detail, vm->detail);
  if (vm->pid > 0)
    HV_SET (&e, pid, (uint32_t) vm->pid);
  vm_publish (vm, &e);
  lv_record_save_later (vm);
  lv_vm_wake (vm);
}

void
lv_vm_begin_state (struct lv_vm *vm, uint32_t state, const char *reason, const char *detail)
{
  vm_take_state (vm, state, reason, detail);
  lv_vm_wake (vm);
}

int
lv_vm_wait (struct lv_vm *vm, int (*test) (const struct lv_vm *), uint64_t timeout_ms, struct hv_err *err)
{
  struct hv_host *h = vm->lv->host;
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

#define FILL(ret, member, value) \
  do { \
    if ((value) != 0) \
      HV_SET (ret, member, value); \
  } while (0)

static void
fill_facts (const struct lv_vm *vm, struct hv_vm *ret)
{
  const struct lv_domain *d = vm->facts;
  if (d == NULL)
    return;
  FILL (ret, memory_bytes, d->memory_bytes);
  FILL (ret, vcpus, d->vcpus);
  FILL (ret, machine, d->machine);
  if (!lv_vm_alive (vm))
    return;
  if (d->type != NULL)
    HV_SET (ret, accel, strcmp (d->type, "kvm") == 0 ? "kvm" : "tcg");
  FILL (ret, console_path, d->console_path);
  FILL (ret, vnc_path, d->vnc_path);
  FILL (ret, log_path, d->log_path);
}

void
lv_vm_fill (const struct lv_vm *vm, struct hv_vm *ret)
{
  struct hv_host *h = vm->lv->host;
  char *uuid = lv_uuid_text (h, vm->uuid);
  memset (ret, 0, sizeof *ret);
  ret->vm = vm->name;
  HV_SET (ret, state, vm->state);
  FILL (ret, uuid, uuid);
  FILL (ret, reason, vm->reason);
  FILL (ret, detail, vm->detail);
  FILL (ret, pid, vm->pid > 0 ? (uint32_t) vm->pid : 0);
  FILL (ret, since_ms, vm->since_ms);
  FILL (ret, unreachable_since_ms, vm->unreachable_since_ms);
  fill_facts (vm, ret);
  HV_SET (ret, agent_connected, vm->agent_connected);
  HV_SET (ret, foreign, vm->foreign);
  if (vm->label_count > 0)
    HV_SET (ret, labels, ((struct hv_map){ vm->labels, vm->label_count }));
  HV_SET (ret, age_ms, vm->heard_ms != 0 ? h->api->now_ms () - vm->heard_ms : 0);
  HV_SET (ret, source, vm->heard_ms != 0 ? "cache" : "stored");
}
