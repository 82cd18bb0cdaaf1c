/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* toyhv, made wrong on purpose, one fault at a time: what the conformance kit has to see. The reference has no trace of this: its
 * verbs and its host are wrapped from outside. */
#include "../toy.h"
#include <errno.h>
#include <string.h>
#include <time.h>

enum {
#define FAULT(name_, check_, doc_) F_##name_,
#include "faults.h"
#undef FAULT
};
static const char *const mutant_fault_words[] = {
#define FAULT(name_, check_, doc_) #name_,
#include "faults.h"
#undef FAULT
  NULL
};
#define MUTANT_CONFIG(F, T) \
  TOY_CONFIG (F, T) \
  F (T, ENUM, mutant_fault, fault, 0, "what is wrong", .def = "none")
HV_RECORD_STRUCT (mutant_config, MUTANT_CONFIG);
HV_RECORD_TABLE (mutant_config, MUTANT_CONFIG, "configuration of a toyhv that is wrong");

static uint32_t fault;
static const struct hv_host_api *real;
static struct hv_host_api false_api;
static struct toy *toy;
static struct hv_lifecycle held; /* an event that is kept back */
static struct hv_timer *timer;

#define IS(name_) (fault == F_##name_)

static struct toy_vm *
vm_named (const char *name)
{
  return toy != NULL ? toy_vm_find (toy, name, NULL) : NULL;
}

static void
block_ms (long ms)
{
  struct timespec left = { ms / 1000, ms % 1000 * 1000000 };
  while (nanosleep (&left, &left) < 0 && errno == EINTR)
    continue;
}

/* --- its events --- */

static void
hold (const struct hv_lifecycle *e)
{
  held = *e;
  held.vm = strdup (e->vm);
  held.reason = e->has.reason ? strdup (e->reason) : NULL;
  held.has.detail = 0;
}

static void
release (struct hv_host *h)
{
  if (held.vm == NULL)
    return;
  (void) real->publish (h, "lifecycle", &held, NULL);
  free ((char *) (uintptr_t) held.vm);
  free ((char *) (uintptr_t) held.reason);
  memset (&held, 0, sizeof held);
}

static void
release_later (void *self, void *arg)
{
  (void) self;
  release (arg);
}

/* 1: nothing more is to be published. */
static int
keep_back (struct hv_host *h, const struct hv_lifecycle *e)
{
  if (IS (event_dropped))
    return e->state == HV_VM_PAUSED;
  if (IS (define_silent))
    return e->has.reason && strcmp (e->reason, "defined") == 0;
  if (IS (step_skipped))
    return e->state == HV_VM_STARTING;
  if ((IS (events_swapped) && e->state == HV_VM_STARTING) || (IS (event_late) && e->state == HV_VM_PAUSED)) {
    hold (e);
    if (IS (event_late))
      real->timer_set (h, timer, 100, 0);
    return 1;
  }
  return 0;
}

static void
falsify (struct hv_lifecycle *e)
{
  if (IS (was_wrong) && e->has.was)
    HV_SET (e, was, HV_VM_STOPPED);
  if (IS (was_missing))
    e->has.was = 0;
  if (IS (step_skipped) && e->has.was && e->was == HV_VM_STARTING)
    e->was = HV_VM_STOPPED;
  if (IS (event_of_other) && toy->count > 0)
    e->vm = toy->vms[toy->count - 1]->name;
  if (IS (reason_differs))
    HV_SET (e, reason, "because");
}

static int
false_publish (struct hv_host *h, const char *event, const void *data, struct hv_err *err)
{
  if (IS (device_silent) && strcmp (event, "device_added") == 0)
    return 0;
  if ((IS (gap_silent) && strcmp (event, "control") == 0) || (IS (balloon_silent) && strcmp (event, "balloon") == 0))
    return 0;
  if (strcmp (event, "lifecycle") != 0)
    return real->publish (h, event, data, err);
  struct hv_lifecycle e = *(const struct hv_lifecycle *) data;
  if (keep_back (h, &e))
    return 0;
  falsify (&e);
  int r = real->publish (h, event, &e, err);
  if (r == 0 && IS (event_twice) && e.has.was)
    r = real->publish (h, event, &e, err);
  if (IS (events_swapped))
    release (h);
  return r;
}

/* --- its disk --- */

static int
false_put (struct hv_host *h, const char *key, const struct hv_record *rec, const void *doc, struct hv_err *err)
{
  const struct toy_document *d = doc;
  return IS (state_lost) && d->state != HV_VM_STOPPED ? 0 : real->store_put (h, key, rec, doc, err);
}

static int
false_delete (struct hv_host *h, const char *key, struct hv_err *err)
{
  return IS (undefine_forgotten) ? 0 : real->store_delete (h, key, err);
}

/* --- its verbs: f_<verb> stands before toy_<verb> --- */

#define WRAP(name_) static int f_##name_ (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
#define PASS(name_) toy_##name_ (self, call, args, result, err)

WRAP (probe)
{
  struct hv_probe *ret = result;
  int r = PASS (probe);
  if (IS (verb_missing))
    ret->verbs.count--;
  for (uint32_t i = 0; IS (reason_missing) && i < ret->verbs.count; i++)
    ret->verbs.items[i].has.reason = 0;
  return r;
}

WRAP (define)
{
  struct hv_define_args a = *(const struct hv_define_args *) args;
  args = &a;
  if (IS (labels_dropped))
    a.machine.labels.count = a.machine.has.labels = 0;
  if (IS (field_dropped))
    a.machine.arch = "amd64", a.machine.firmware = "bios", a.machine.machine = "q35", a.machine.has.watchdog = 0;
  int r = PASS (define);
  if (r == HV_E_ALREADY_EXISTS && IS (uuid_twice) && vm_named (a.vm) == NULL) {
    a.machine.uuid = "00000000-0000-4000-8000-000000000001";
    r = PASS (define);
  }
  return r;
}

static void
start_again (void *self, void *arg)
{
  struct hv_start_args a = { .vm = arg };
  struct hv_vm result = { 0 };
  (void) self;
  (void) hv_sleep (toy->host, 100, NULL);
  (void) toy_start (toy, NULL, &a, &result, NULL);
  free (arg);
}

WRAP (start)
{
  const struct hv_start_args *a = args;
  if (IS (blocks))
    block_ms (2500);
  int r = PASS (start);
  if (r == HV_E_CANCELLED && IS (start_survives))
    (void) hv_go (toy->host, "again", start_again, strdup (a->vm));
  if (r == 0 && IS (crash_unseen))
    vm_named (a->vm)->ending = "shutdown";
  if (r == HV_E_FAILED_PRECONDITION && IS (refusal_mute))
    return hv_err_set (err, r, "not now");
  return r;
}

static int
blocking (void *arg)
{
  block_ms (*(const long *) arg);
  return 0;
}

WRAP (shutdown)
{
  struct hv_shutdown_args a = *(const struct hv_shutdown_args *) args;
  long ms = 3000;
  args = &a;
  if (IS (grace_unlimited) && a.grace_ms > 0) {
    struct toy_vm *vm = vm_named (a.vm);
    toy->config.poweroff_ms = 0;
    return vm != NULL && toy_shutdown (self, call, &(struct hv_shutdown_args){ .vm = a.vm }, result, err) == 0 ? 0
                                                                                                               : PASS (shutdown);
  }
  int r = PASS (shutdown);
  if (r == HV_E_CANCELLED && IS (ignores_cancel))
    (void) hv_offload (toy->host, blocking, &ms, NULL);
  return r;
}

WRAP (stop)
{
  const struct hv_vm_ref *a = args;
  const struct toy_vm *vm = vm_named (a->vm);
  if (IS (stop_once) && vm != NULL && vm->state == HV_VM_STOPPED)
    return toy_vm_wrong_state (vm, err);
  return PASS (stop);
}

static void
speak (void *self, void *arg)
{
  struct hv_lifecycle e = { .vm = arg, .state = HV_VM_STOPPED };
  (void) self;
  (void) hv_sleep (toy->host, 50, NULL);
  (void) hv_publish (toy->host, "lifecycle", &e, NULL);
  free (arg);
}

WRAP (undefine)
{
  const struct hv_vm_ref *a = args;
  const struct toy_vm *vm = vm_named (a->vm);
  struct hv_vm stopped = { 0 };
  if (IS (unknown_internal) && vm == NULL)
    return hv_err_set (err, HV_E_INTERNAL, "there is something wrong");
  if (IS (undefine_running))
    (void) toy_stop (self, call, args, &stopped, NULL);
  int r = PASS (undefine);
  if (r == 0 && IS (undefined_announces))
    (void) hv_go (toy->host, "speak", speak, strdup (a->vm));
  return r;
}

static void
reverse (struct hv_vm *items, uint32_t count)
{
  for (uint32_t i = 0; i < count / 2; i++) {
    struct hv_vm one = items[i];
    items[i] = items[count - 1 - i];
    items[count - 1 - i] = one;
  }
}

/* A place in the list, as if nothing were ever defined in between. */
static int
list_by_place (const struct hv_list_args *a, struct hv_vm_list *ret, struct hv_err *err)
{
  struct hv_list_args all = { .limit = 5000 };
  uint32_t at = HV_HAS (a, continue_from) ? (uint32_t) strtoul (a->continue_from, NULL, 10) : 0;
  int r = toy_list (toy, NULL, &all, ret, err);
  uint32_t n = ret->items.count - at < a->limit ? ret->items.count - at : a->limit;
  ret->has.continue_from = at + n < ret->items.count;
  ret->continue_from = hv_printf (toy->host, "%u", at + n);
  ret->items.items += at;
  ret->items.count = n;
  return r;
}

WRAP (list)
{
  const struct hv_list_args *a = args;
  struct hv_vm_list *ret = result;
  if (IS (read_waits))
    (void) hv_sleep (toy->host, 200, NULL);
  if (IS (page_by_place))
    return list_by_place (a, ret, err);
  int r = PASS (list);
  if (r == 0 && IS (list_unsorted))
    reverse (ret->items.items, ret->items.count);
  if (r == 0 && IS (page_loses_one) && HV_HAS (a, continue_from) && ret->items.count > 0)
    ret->items.items++, ret->items.count--;
  return r;
}

WRAP (get)
{
  struct hv_vm *ret = result;
  int r = PASS (get);
  if (r == 0 && IS (pid_of_other) && HV_HAS (ret, pid))
    ret->pid = (uint32_t) getpid ();
  return r;
}

WRAP (pause)
{
  const struct toy_vm *vm = vm_named (((const struct hv_vm_ref *) args)->vm);
  if (IS (hidden_wait))
    (void) hv_sleep (toy->host, 2000, NULL);
  if (IS (illegal_accepted) && vm != NULL && vm->state == HV_VM_STOPPED)
    return toy_vm_fill (vm, result, err);
  struct hv_lifecycle again = { .vm = vm != NULL ? vm->name : "", .state = HV_VM_PAUSED };
  if (IS (pause_again) && vm != NULL && vm->state == HV_VM_PAUSED)
    (void) hv_publish (toy->host, "lifecycle", &again, NULL);
  return PASS (pause);
}

WRAP (resume)
{
  const struct toy_vm *vm = vm_named (((const struct hv_vm_ref *) args)->vm);
  struct hv_vm *ret = result;
  if (!IS (wrong_state) || vm == NULL || vm->state != HV_VM_PAUSED)
    return PASS (resume);
  int r = toy_vm_fill (vm, ret, err);
  ret->state = HV_VM_RUNNING;
  return r;
}

WRAP (stats)
{
  struct hv_stats_args a = *(const struct hv_stats_args *) args;
  static const char *const known[] = { "cpu" };
  args = &a;
  if (IS (group_accepted) && HV_HAS (&a, groups))
    HV_SET (&a, groups, ((struct hv_strs){ known, 1 }));
  if (IS (groups_all))
    a.has.groups = 0;
  return PASS (stats);
}

WRAP (attach)
{
  struct hv_attach_args a = *(const struct hv_attach_args *) args;
  args = &a;
  if (IS (attach_defines))
    a.config = 1;
  return PASS (attach);
}

WRAP (set_vcpus)
{
  const struct toy_vm *vm = vm_named (((const struct hv_set_vcpus_args *) args)->vm);
  return IS (vcpus_ignored) && vm != NULL ? toy_vm_fill (vm, result, err) : PASS (set_vcpus);
}

WRAP (save)
{
  if (IS (save_overwrites))
    (void) unlink (((const struct hv_save_args *) args)->path);
  return PASS (save);
}

WRAP (screenshot)
{
  struct hv_screenshot *ret = result;
  int r = PASS (screenshot);
  if (IS (picture_empty))
    ret->width = ret->height = 0;
  return r;
}

WRAP (block_mirror)
{
  (void) self;
  (void) call;
  (void) args;
  (void) result;
  if (IS (unsupported_internal))
    return hv_err_set (err, HV_E_INTERNAL, "%s", toy_lacks ("block_mirror"));
  return hv_err_set (err, HV_E_UNIMPLEMENTED, "%s", IS (unsupported_mute) ? "no" : toy_lacks ("block_mirror"));
}

/* --- the table --- */

static const struct {
  const char *verb;
  int (*handler) (void *, struct hv_call *, const void *, void *, struct hv_err *);
} wrapped[] = { { "probe", f_probe },
                { "define", f_define },
                { "start", f_start },
                { "shutdown", f_shutdown },
                { "stop", f_stop },
                { "undefine", f_undefine },
                { "list", f_list },
                { "get", f_get },
                { "pause", f_pause },
                { "resume", f_resume },
                { "stats", f_stats },
                { "attach", f_attach },
                { "set_vcpus", f_set_vcpus },
                { "save", f_save },
                { "screenshot", f_screenshot },
                { "block_mirror", f_block_mirror } };

static int
mutant_start (struct hv_host *host, const void *config, void **ret_self, struct hv_err *err)
{
  const struct mutant_config *c = config;
  struct toy_config plain = { .boot_ms = c->boot_ms, .poweroff_ms = c->poweroff_ms };
  fault = c->fault;
  real = host->api;
  false_api = *real;
  false_api.publish = false_publish;
  false_api.store_put = false_put;
  false_api.store_delete = false_delete;
  host->api = &false_api;
  timer = real->timer_new (host, release_later, host);
  int r = toy_start_instance (host, &plain, ret_self, err);
  toy = *ret_self;
  return r;
}

static void
mutant_stop (void *self)
{
  struct hv_host *host = toy != NULL ? toy->host : NULL;
  for (uint32_t i = 0; IS (ends_with_daemon) && toy != NULL && i < toy->count; i++)
    toy_process_end (toy->vms[i], "daemon");
  toy = NULL;
  if (host != NULL && timer != NULL)
    real->timer_free (host, timer);
  timer = NULL;
  toy_stop_instance (self);
}

static struct hv_method methods[64];
static const struct hv_method *table[65];
static struct hv_plugin mutant;

HV_PUBLIC const struct hv_plugin *hv_plugin_entry_v1 (void);

HV_PUBLIC const struct hv_plugin *
hv_plugin_entry_v1 (void)
{
  mutant = toy_plugin;
  for (size_t i = 0; toy_plugin.methods[i] != NULL; i++) {
    methods[i] = *toy_plugin.methods[i];
    table[i] = &methods[i];
    for (size_t k = 0; k < sizeof wrapped / sizeof wrapped[0]; k++)
      if (strcmp (methods[i].base->verb, wrapped[k].verb) == 0)
        methods[i].handler = wrapped[k].handler, methods[i].flags &= ~HV_FAST;
  }
  mutant.methods = table;
  mutant.config = &mutant_config_record;
  mutant.start = mutant_start;
  mutant.stop = mutant_stop;
  return &mutant;
}
