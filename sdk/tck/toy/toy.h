/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* toyhv: the smallest honest provider of hypervisor/1, to read before writing one. Its machines are processes that sleep: they can
 * be started, ended and killed, they outlive the daemon and are taken over again; what a guest would do is simulated.
 *
 * One VM is one document: what it is, what it is doing, and how its process is known again. It is kept encoded, changed in memory
 * without yielding, and written before anybody is told. */
#ifndef TOY_TOY_H
#define TOY_TOY_H
#include <hvkit/iface/hypervisor.h>

#define TOY_CONFIG(F, T) \
  F (T, U32, _, boot_ms, 0, "how long a machine takes to start", .unit = "ms", .def = "30", .max = 60000) \
  F (T, U32, _, poweroff_ms, 0, "how long a guest takes to power off; 0: it never does", .unit = "ms", .def = "300", .max = 3600000)
HV_RECORD_STRUCT (toy_config, TOY_CONFIG);

#define TOY_DOCUMENT(F, T) \
  F (T, REC, hv_machine, machine, HV_REQUIRED, "the definition") \
  F (T, REC, hv_machine, live, 0, "the machine as it runs") \
  F (T, ENUM, hv_vm_state, state, HV_REQUIRED, "last known state") \
  F (T, STR, _, reason, 0, "of the state") \
  F (T, STR, _, detail, 0, "of the state") \
  F (T, U64, _, since_ms, 0, "of the state") \
  F (T, U64, _, balloon_bytes, 0, "what the guest has") \
  F (T, STR, _, boot_id, 0, "boot that the process belongs to") \
  F (T, U32, _, pid, 0, "its process") \
  F (T, U64, _, start_ticks, 0, "its start time: a pid alone may have been given to another")
HV_RECORD_STRUCT (toy_document, TOY_DOCUMENT);

struct toy_vm;

struct toy {
  struct hv_host *host;
  struct toy_config config;
  struct toy_vm **vms; /* by name */
  uint32_t count, capacity;
};

struct toy_vm {
  struct toy *toy;
  char *name;
  uint8_t *bytes; /* the document */
  uint64_t size;
  uint32_t refs;
  uint32_t state;          /* the document's */
  uint64_t version, saved; /* of the document: in memory, and on disk */
  uint8_t saving, undefined;
  const char *ending; /* the process was told to end: why; static text */
  int32_t pidfd;      /* -1: no process */
  struct hv_watch *watch;
  struct hv_timer *poweroff;
  struct hv_cond *changed;
};

/* --- vm.c --- */
struct toy_vm *toy_vm_new (struct toy *, const char *name, struct hv_err *);
struct toy_vm *toy_vm_find (struct toy *, const char *name, struct hv_err *); /* borrowed, or NULL and NOT_FOUND */
struct toy_vm *toy_vm_hold (struct toy *, const char *name,
                            struct hv_err *); /* the same with a reference: to be used across a yield */
void toy_vm_unref (struct toy_vm *);
HV_CLEAN_DEFINE (toy_vm, struct toy_vm, toy_vm_unref)
void toy_vm_remove (struct toy_vm *);
uint32_t toy_vm_place (const struct toy *, const char *name); /* of the first VM whose name is not less */
/* The document, decoded in the memory of the current call; and back. Neither yields. */
int toy_vm_read (const struct toy_vm *, struct toy_document *ret, struct hv_err *);
int toy_vm_write (struct toy_vm *, const struct toy_document *, struct hv_err *);
int toy_vm_save (struct toy_vm *, struct hv_err *); /* [coro] returns when the disk has the document as it is then */
void toy_vm_save_later (struct toy_vm *);
int toy_vm_forget (struct toy_vm *, struct hv_err *); /* [coro] the document is gone from the disk, and stays so */
/* The one place where a state changes. Publishes; the caller saves. */
int toy_vm_state (struct toy_vm *, uint32_t state, const char *reason, const char *detail, struct hv_err *);
int toy_vm_wrong_state (const struct toy_vm *, struct hv_err *); /* FAILED_PRECONDITION, naming the state */
int toy_vm_fill (const struct toy_vm *, struct hv_vm *ret, struct hv_err *);
struct hv_machine *toy_live (struct toy_document *); /* the live machine where there is one, else the definition */
int toy_load (struct toy *, struct hv_err *);        /* [coro] every document */

/* --- process.c --- */
int toy_process_start (struct toy_vm *, struct hv_err *);
void toy_process_end (struct toy_vm *, const char *why); /* asks; the end is seen by its pidfd */
int toy_process_wait (struct toy_vm *, uint64_t timeout_ms,
                      struct hv_err *); /* [coro] until it is gone: 0, DEADLINE_EXCEEDED, CANCELLED */
int toy_process_adopt (struct toy_vm *, struct hv_err *);
int toy_process_argv (struct toy *, const struct hv_machine *, struct hv_strs *ret, struct hv_err *);

/* --- the verbs --- */
#define TOY_VERB(name) int toy_##name (void *self, struct hv_call *, const void *args, void *result, struct hv_err *)
TOY_VERB (probe);
TOY_VERB (define);
TOY_VERB (start);
TOY_VERB (shutdown);
TOY_VERB (stop);
TOY_VERB (undefine);
TOY_VERB (list);
TOY_VERB (get);
TOY_VERB (native);
TOY_VERB (adopt);
TOY_VERB (stats);
TOY_VERB (agent_command);
TOY_VERB (pause);
TOY_VERB (resume);
TOY_VERB (reset);
TOY_VERB (reboot);
TOY_VERB (block_info);
TOY_VERB (block_stats);
TOY_VERB (block_errors);
TOY_VERB (interface_stats);
TOY_VERB (memory_stats);
TOY_VERB (attach);
TOY_VERB (detach);
TOY_VERB (resize_block);
TOY_VERB (set_memory);
TOY_VERB (set_vcpus);
TOY_VERB (screenshot);
TOY_VERB (send_key);
TOY_VERB (save);
TOY_VERB (restore);

const char *toy_lacks (const char *verb); /* why a verb cannot be called here, or NULL */

/* --- device.c --- */
void toy_disk_info (const struct hv_machine_disk *, struct hv_block_info *ret);

/* --- toy.c --- */
extern const struct hv_plugin toy_plugin;
int toy_start_instance (struct hv_host *, const void *config, void **ret_self, struct hv_err *);
void toy_stop_instance (void *self);
#endif
