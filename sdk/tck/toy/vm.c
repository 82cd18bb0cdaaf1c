/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* VMs: the list, the document of each, and the one function that changes a state. */
#include "toy.h"
#include <string.h>
#include <time.h>

HV_RECORD_TABLE (toy_document, TOY_DOCUMENT, "what is kept of a VM");

#define KEY "vm-%s"

static uint64_t
wall_ms (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_REALTIME, &t);
  return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

/* --- the list --- */

uint32_t
toy_vm_place (const struct toy *t, const char *name)
{
  uint32_t at = 0;
  while (at < t->count && strcmp (t->vms[at]->name, name) < 0)
    at++;
  return at;
}

struct toy_vm *
toy_vm_find (struct toy *t, const char *name, struct hv_err *err)
{
  uint32_t at = toy_vm_place (t, name);
  if (at < t->count && strcmp (t->vms[at]->name, name) == 0)
    return t->vms[at];
  (void) hv_err_set (err, HV_E_NOT_FOUND, "VM '%s' is not defined", name);
  return NULL;
}

struct toy_vm *
toy_vm_hold (struct toy *t, const char *name, struct hv_err *err)
{
  struct toy_vm *vm = toy_vm_find (t, name, err);
  if (vm != NULL)
    vm->refs++;
  return vm;
}

void
toy_vm_unref (struct toy_vm *vm)
{
  if (vm == NULL || --vm->refs > 0)
    return;
  const struct hv_host_api *api = vm->toy->host->api;
  if (vm->watch != NULL)
    api->watch_free (vm->toy->host, vm->watch);
  if (vm->poweroff != NULL)
    api->timer_free (vm->toy->host, vm->poweroff);
  if (vm->changed != NULL)
    api->cond_free (vm->toy->host, vm->changed);
  if (vm->pidfd >= 0)
    (void) close (vm->pidfd);
  free (vm->bytes);
  free (vm->name);
  free (vm);
}

static void
poweroff_now (void *self, void *arg)
{
  (void) self;
  toy_process_end (arg, "shutdown");
}

static int
list_reserve (struct toy *t)
{
  if (t->count < t->capacity)
    return 0;
  uint32_t capacity = t->capacity > 0 ? t->capacity * 2 : 16;
  struct toy_vm **vms = realloc (t->vms, capacity * sizeof (struct toy_vm *));
  if (vms == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  t->vms = vms;
  t->capacity = capacity;
  return 0;
}

struct toy_vm *
toy_vm_new (struct toy *t, const char *name, struct hv_err *err)
{
  struct toy_vm *vm = calloc (1, sizeof *vm);
  if (vm != NULL) {
    *vm = (struct toy_vm){ .toy = t, .refs = 1, .pidfd = -1, .name = strdup (name) };
    vm->changed = t->host->api->cond_new (t->host);
    vm->poweroff = t->host->api->timer_new (t->host, poweroff_now, vm);
  }
  if (vm == NULL || vm->name == NULL || vm->changed == NULL || vm->poweroff == NULL || list_reserve (t) < 0) {
    toy_vm_unref (vm);
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    return NULL;
  }
  uint32_t at = toy_vm_place (t, name);
  memmove (&t->vms[at + 1], &t->vms[at], (t->count - at) * sizeof (struct toy_vm *));
  t->vms[at] = vm;
  t->count++;
  return vm;
}

void
toy_vm_remove (struct toy_vm *vm)
{
  struct toy *t = vm->toy;
  uint32_t at = toy_vm_place (t, vm->name);
  if (at == t->count || t->vms[at] != vm)
    return;
  t->count--;
  memmove (&t->vms[at], &t->vms[at + 1], (t->count - at) * sizeof (struct toy_vm *));
  vm->undefined = 1;
  toy_vm_unref (vm);
}

/* --- the document --- */

int
toy_vm_read (const struct toy_vm *vm, struct toy_document *ret, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  memset (ret, 0, sizeof *ret);
  return h->api->decode (h, &toy_document_record, (struct hv_bin){ vm->bytes, vm->size }, HV_DECODE_OPEN, ret, err);
}

int
toy_vm_write (struct toy_vm *vm, const struct toy_document *d, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  struct hv_bin b = { 0 };
  int r = h->api->encode (h, &toy_document_record, d, &b, err);
  if (r < 0)
    return r;
  uint8_t *bytes = malloc (b.size);
  if (bytes == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  memcpy (bytes, b.data, b.size);
  free (vm->bytes);
  vm->bytes = bytes;
  vm->size = b.size;
  vm->state = d->state;
  vm->version++;
  return 0;
}

static int
put (struct toy_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  struct toy_document d;
  uint64_t version = vm->version;
  int r = toy_vm_read (vm, &d, err);
  if (r < 0)
    return r;
  char *key = hv_printf (h, KEY, vm->name);
  if (key == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  vm->saving = 1;
  r = h->api->store_put (h, key, &toy_document_record, &d, err);
  vm->saving = 0;
  if (r == 0)
    vm->saved = version;
  h->api->cond_wake (h, vm->changed);
  return r;
}

/* One writer at a time; who comes second finds his work done, or does it. */
int
toy_vm_save (struct toy_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  uint64_t wanted = vm->version;
  int r = 0;
  while (r == 0 && vm->saved < wanted && !vm->undefined)
    r = vm->saving ? h->api->cond_wait (h, vm->changed, 10000, err) : put (vm, err);
  return r;
}

/* Nothing is written any more, so that what is deleted does not come back. */
int
toy_vm_forget (struct toy_vm *vm, struct hv_err *err)
{
  struct hv_host *h = vm->toy->host;
  char *key = hv_printf (h, KEY, vm->name);
  int r = key != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  while (r == 0 && vm->saving)
    r = h->api->cond_wait (h, vm->changed, 10000, err);
  if (r < 0)
    return r;
  vm->undefined = 1;
  r = h->api->store_delete (h, key, err);
  vm->undefined = r == 0;
  return r;
}

static void
save_run (void *self, void *arg)
{
  HV_CLEAN (toy_vm) struct toy_vm *vm = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->toy->host);
  (void) self;
  if (toy_vm_save (vm, err) < 0)
    hv_log (vm->toy->host, HV_LOG_ERROR, "VM '%s': %s", vm->name, hv_err_message (err));
}

void
toy_vm_save_later (struct toy_vm *vm)
{
  vm->refs++;
  if (hv_go (vm->toy->host, "save", save_run, vm) < 0)
    toy_vm_unref (vm);
}

/* --- states --- */

static void
publish (struct toy_vm *vm, const struct toy_document *d, uint32_t was)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->toy->host);
  struct hv_lifecycle e = { .vm = vm->name, .state = d->state };
  HV_SET (&e, was, was);
  HV_SET (&e, reason, d->reason);
  if (HV_HAS (d, detail))
    HV_SET (&e, detail, d->detail);
  if (HV_HAS (d, pid))
    HV_SET (&e, pid, d->pid);
  if (hv_publish (vm->toy->host, "lifecycle", &e, err) < 0)
    hv_log (vm->toy->host, HV_LOG_WARNING, "VM '%s': event lost: %s", vm->name, hv_err_message (err));
}

int
toy_vm_state (struct toy_vm *vm, uint32_t state, const char *reason, const char *detail, struct hv_err *err)
{
  struct toy_document d;
  uint32_t was = vm->state;
  if (state == was)
    return 0;
  if (!hv_vm_transitions[was][state])
    return hv_err_set (err, HV_E_INTERNAL, "VM '%s': %s cannot become %s", vm->name, hv_vm_state_words[was],
                       hv_vm_state_words[state]);
  int r = toy_vm_read (vm, &d, err);
  if (r < 0)
    return r;
  d.state = state;
  d.has.detail = detail != NULL;
  d.detail = detail;
  HV_SET (&d, reason, reason);
  HV_SET (&d, since_ms, wall_ms ());
  r = toy_vm_write (vm, &d, err);
  if (r < 0)
    return r;
  publish (vm, &d, was);
  vm->toy->host->api->cond_wake (vm->toy->host, vm->changed);
  return 0;
}

int
toy_vm_wrong_state (const struct toy_vm *vm, struct hv_err *err)
{
  return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
}

struct hv_machine *
toy_live (struct toy_document *d)
{
  return HV_HAS (d, live) ? &d->live : &d->machine;
}

int
toy_vm_fill (const struct toy_vm *vm, struct hv_vm *ret, struct hv_err *err)
{
  struct toy_document d;
  int r = toy_vm_read (vm, &d, err);
  if (r < 0)
    return r;
  const struct hv_machine *m = toy_live (&d);
  ret->vm = vm->name;
  HV_SET (ret, state, d.state);
  HV_SET (ret, uuid, m->uuid);
  HV_SET (ret, reason, d.reason);
  HV_SET (ret, since_ms, d.since_ms);
  HV_SET (ret, memory_bytes, m->memory_bytes);
  HV_SET (ret, vcpus, m->cpu.sockets * m->cpu.cores * m->cpu.threads);
  HV_SET (ret, machine, m->machine);
  HV_SET (ret, agent_connected, 0);
  HV_SET (ret, foreign, 0);
  HV_SET (ret, labels, d.machine.labels);
  HV_SET (ret, age_ms, 0);
  HV_SET (ret, source, vm->pidfd >= 0 ? "live" : "stored");
  if (HV_HAS (&d, detail))
    HV_SET (ret, detail, d.detail);
  if (HV_HAS (&d, pid))
    HV_SET (ret, pid, d.pid);
  return 0;
}

/* --- after a restart --- */

static int
load_one (struct toy *t, const char *key, struct hv_err *err)
{
  struct toy_document d = { 0 };
  int r = t->host->api->store_get (t->host, key, &toy_document_record, &d, err);
  if (r < 0)
    return r;
  struct toy_vm *vm = toy_vm_new (t, d.machine.name, err);
  if (vm == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  r = toy_vm_write (vm, &d, err);
  vm->saved = vm->version;
  return r == 0 ? toy_process_adopt (vm, err) : r;
}

int
toy_load (struct toy *t, struct hv_err *err)
{
  struct hv_strs keys = { 0 };
  int r = t->host->api->store_list (t->host, &keys, err);
  for (uint32_t i = 0; r == 0 && i < keys.count; i++) {
    uint64_t mark = t->host->api->scope_mark (t->host);
    r = load_one (t, keys.items[i], err);
    t->host->api->scope_release (t->host, mark);
  }
  return r;
}
