/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's own view: its VMs and what its parts offer each other. Everything runs on the instance's thread. Functions
 * marked [coro] yield: a VM that is used across them is held with a reference. What is kept longer than a call is malloc'd;
 * objects are kept encoded and decoded into the memory of the call that looks at them. */
#ifndef VMI_VMI_H
#define VMI_VMI_H
#include "data.h"
#include "spec.h"
#include "uuid.h"
#include <hvkit/iface/agent.h>
#include <hvkit/iface/disk.h>

#define VMI_CONFIG(F, T) \
  F (T, STR, _, backend, 0, "hypervisor instance for VMs that name none; absent: the only one there is", .pattern = "name") \
  F (T, STR, _, image, 0, "instance that pulls container disks; absent: the only one there is", .pattern = "name") \
  F (T, STR, _, network, 0, "instance that connects network cards; absent: the only one there is", .pattern = "name") \
  F (T, STR, _, genisoimage, HV_PATH, "program that makes ISO 9660 images", .def = "/usr/bin/genisoimage", .umin = 2, .max = 4096) \
  F (T, STR, _, node, 0, "name of this node; absent: its host name", .umin = 1, .max = 63) \
  F (T, U32, _, retry_ms, 0, "a failed start is tried again after this long, then twice as long each time", .unit = "ms", \
     .def = "1000", .umin = 1, .max = 3600000) \
  F (T, U32, _, retry_max_ms, 0, "but at most after this long", .unit = "ms", .def = "300000", .umin = 1, .max = 3600000) \
  F (T, U32, _, settle_ms, 0, "a VM that ran this long has not failed to start", .unit = "ms", .def = "60000", .max = 3600000) \
  F (T, BOOL, _, admission, 0, "a VM is not started when the node's memory is promised to others", .def = "true") \
  F (T, U64, _, memory_reserve_bytes, 0, "of the node's memory, not for VMs", .unit = "bytes", .def = "0") \
  F (T, U32, _, io_retry_ms, 0, "a machine that an I/O error paused is resumed after this long, then twice as long each time", \
     .unit = "ms", .def = "10000", .umin = 1, .max = 3600000) \
  F (T, U32, _, io_retry_max_ms, 0, "but at most after this long", .unit = "ms", .def = "180000", .umin = 1, .max = 3600000) \
  F (T, U32, _, agent_retry_ms, 0, \
     "a guest agent that does not answer is asked again after this long, then twice as long each time", .unit = "ms", \
     .def = "500", .umin = 1, .max = 60000)
HV_RECORD_STRUCT (vmi_config, VMI_CONFIG);

extern const char *const vmi_phase_words[]; /* Pending … Unknown */
#define VMI_PENDING    0u
#define VMI_SCHEDULING 1u
#define VMI_SCHEDULED  2u
#define VMI_RUNNING    3u
#define VMI_SUCCEEDED  4u
#define VMI_FAILED     5u
#define VMI_UNKNOWN    6u
#define VMI_PHASES     7u

extern const char *const vmi_request_words[]; /* none, start, stop, restart: what was asked for besides the strategy */
#define VMI_REQUEST_NONE    0u
#define VMI_REQUEST_START   1u
#define VMI_REQUEST_STOP    2u
#define VMI_REQUEST_RESTART 3u

extern const char *const vmi_condition_words[];
#define VMI_READY            0u
#define VMI_LIVE_MIGRATABLE  1u
#define VMI_AGENT_CONNECTED  2u
#define VMI_PAUSED           3u
#define VMI_SYNCHRONIZED     4u
#define VMI_RESTART_REQUIRED 5u
#define VMI_CONDITIONS       6u

/* --- what is on disk: one document per object --- */

#define VMI_TRANSITION(F, T) \
  F (T, ENUM, vmi_phase, phase, HV_REQUIRED, "phase") \
  F (T, U64, _, at_ms, HV_REQUIRED, "entered at, ms since 1970", .unit = "ms")
HV_RECORD_STRUCT (vmi_transition, VMI_TRANSITION);
#define VMI_CHECKSUM(F, T) \
  F (T, U32, _, volume, HV_REQUIRED, "its place in the spec; or of the kernel, VMI_CHECKSUM_*") \
  F (T, U32, _, checksum, HV_REQUIRED, "CRC-32 of the image that it shows")
HV_RECORD_STRUCT (vmi_checksum, VMI_CHECKSUM);
#define VMI_CHECKSUM_KERNEL 0xfffffffeu
#define VMI_CHECKSUM_INITRD 0xffffffffu
#define VMI_RUN_DOCUMENT(F, T) \
  F (T, STR, _, uid, HV_REQUIRED, "of the instance", .pattern = "uuid") \
  F (T, U64, _, created_ms, HV_REQUIRED, "ms since 1970", .unit = "ms") \
  F (T, ENUM, vmi_phase, phase, HV_REQUIRED, "phase") \
  F (T, RECS, vmi_transition, transitions, HV_REQUIRED, "phases so far", .max = 16) \
  F (T, ANY, _, template, HV_REQUIRED, "template it was made from") \
  F (T, ANY, _, spec, HV_REQUIRED, "its spec, with defaults") \
  F (T, U64, _, stop_ms, 0, "asked to shut down at, ms since 1970", .unit = "ms") \
  F (T, RECS, vmi_checksum, checksums, 0, "of its container disks", .max = 64) \
  F (T, ANY, _, network, 0, "what its network cards were connected to: hv_net_list")
HV_RECORD_STRUCT (vmi_run_document, VMI_RUN_DOCUMENT);
#define VMI_DOCUMENT(F, T) \
  F (T, ENUM, vmi_kind, kind, HV_REQUIRED, "VirtualMachine, or an instance on its own") \
  F (T, STR, _, uid, HV_REQUIRED, "of the object", .pattern = "uuid") \
  F (T, U64, _, created_ms, HV_REQUIRED, "ms since 1970", .unit = "ms") \
  F (T, U64, _, generation, HV_REQUIRED, "counts changes of the spec") \
  F (T, ANY, _, object, HV_REQUIRED, "as it was applied") \
  F (T, STR, _, backend, HV_REQUIRED, "hypervisor instance that has it") \
  F (T, ENUM, vmi_request, request, 0, "asked for", .def = "none") \
  F (T, BOOL, _, ran, 0, "it was started before", .def = "false") \
  F (T, BOOL, _, deleting, 0, "it is being deleted", .def = "false") \
  F (T, I64, _, grace_s, 0, "grace of the deletion", .unit = "s") \
  F (T, REC, vmi_run_document, run, 0, "its instance")
HV_RECORD_STRUCT (vmi_document, VMI_DOCUMENT);

#define VMI_ITEM_DOCUMENT(F, T) \
  F (T, STR, _, uid, HV_REQUIRED, "of the object", .pattern = "uuid") \
  F (T, U64, _, created_ms, HV_REQUIRED, "ms since 1970", .unit = "ms") \
  F (T, U64, _, bytes, 0, "of a claim: size of its disk", .unit = "bytes") \
  F (T, BOOL, _, made, 0, "of a claim: its file was made for it, so it is raw and goes with it", .def = "false") \
  F (T, ANY, _, object, HV_REQUIRED, "as it was applied")
HV_RECORD_STRUCT (vmi_item_document, VMI_ITEM_DOCUMENT);

/* --- in memory --- */

struct vmi_bytes {
  uint8_t *data;
  uint64_t size;
};

/* The instance of a VM: from its start until it is removed. */
struct vmi_run {
  uint8_t exists, cleaned, delayed; /* cleaned: its overlays and definition are gone */
  uint32_t phase, transition_count;
  char uid[VMI_UUID_TEXT];
  uint64_t created_ms, stop_ms;
  struct vmi_transition transitions[8];
  struct vmi_checksum *checksums; /* of container disks that were pulled for it */
  uint32_t checksum_count;
  struct vmi_bytes template_, spec, network; /* network: hv_net_list */
};

/* What the backend said last. */
struct vmi_seen {
  uint8_t known, defined, agent;
  uint32_t state;
  uint64_t memory_bytes;
  char *reason, *detail, *accel, *machine;
};

struct vmi_condition {
  uint8_t status; /* 0: absent, 1: False, 2: True */
  uint64_t since_ms;
  const char *reason; /* static */
};

#define VMI_EVENTS 16u
struct vmi_note {
  uint64_t time_ms, count;
  const char *reason; /* static */
  char *message;
  uint8_t warning;
};

struct vmi_vm {
  struct vmi *vmi;
  uint32_t refs;
  uint32_t kind;
  char *namespace_, *name, *domain, *key, *backend;
  char uid[VMI_UUID_TEXT];
  uint64_t created_ms, generation;
  struct vmi_bytes object;
  uint32_t strategy, request;
  uint8_t ran, deleting, broken, gone; /* broken: its record cannot be read; gone: not on the list any more */
  int64_t grace_s;                     /* of the deletion; -1: the spec's */
  struct vmi_run run;
  struct vmi_seen seen;

  uint8_t saving, busy, dirty; /* a writer, a reconciler is at work; it has to look again */
  uint32_t failures;
  char *failure; /* of the last attempt; NULL: it went well */
  int32_t failure_code;
  struct hv_timer *retry;
  uint8_t waiting; /* for the retry */
  struct hv_cond *changed;

  /* the guest agent */
  uint8_t agent_known, agent_asking;
  uint8_t agent_news, frozen; /* news: the guest says something else than before; frozen: its file systems are */
  uint32_t agent_changes;     /* so far */
  uint32_t agent_failures;
  struct hv_timer *agent_retry;
  struct hv_timer *io_timer; /* resumes it after an I/O error */
  uint8_t io_waiting;
  uint32_t io_retries;
  uint64_t io_resumed_ms;
  char *agent_version;
  struct vmi_bytes osinfo;     /* hv_agent_osinfo */
  struct vmi_bytes interfaces; /* hv_agent_interfaces */
  uint8_t addresses_missing;   /* the agent is asked for them again */

  struct vmi_condition conditions[VMI_CONDITIONS];
  char *restart_paths; /* what a restart would bring into effect; NULL: nothing */
  uint64_t published;  /* hash of what was published last */
  struct vmi_note notes[VMI_EVENTS];
  uint32_t note_count;
};

/* An object that no machine comes of: a claim, a Secret, a ConfigMap. */
struct vmi_item {
  uint32_t kind;
  char *namespace_, *name, *key;
  char uid[VMI_UUID_TEXT];
  uint64_t created_ms;
  struct vmi_bytes object;
  uint64_t bytes; /* of a claim: size of its disk */
  uint8_t made;   /* of a claim: its file was made for it */
};

struct vmi {
  struct hv_host *host;
  const struct vmi_config *config;
  const char *state_dir;
  struct vmi_node node;
  char *node_name;
  struct vmi_vm **vms; /* by namespace and name */
  uint32_t vm_count, vm_capacity;
  struct vmi_item **items;
  uint32_t item_count, item_capacity;
  uint8_t locked; /* somebody changes objects; see vmi_lock */
  struct hv_cond *unlocked;
};

/* --- text.c --- */
int vmi_text_set (char **at, const char *value); /* HV_E_RESOURCE_EXHAUSTED */
int vmi_bytes_set (struct vmi_bytes *, struct hv_bin);
void vmi_bytes_clear (struct vmi_bytes *);
struct hv_bin vmi_bytes_bin (const struct vmi_bytes *);
uint64_t vmi_wall_ms (void);
char *vmi_time_text (struct hv_host *, uint64_t ms); /* RFC 3339; the call's */
int vmi_no_memory (struct hv_err *);

/* --- lock.c: one verb at a time changes objects; held while it writes them down. Waits, unless the call is cancelled [coro] --- */
int vmi_lock (struct vmi *, struct hv_err *);
void vmi_unlock (struct vmi *);

/* --- vm.c: the list --- */
struct vmi_vm *vmi_vm_find (struct vmi *, const char *namespace_, const char *name); /* borrowed; NULL */
struct vmi_vm *vmi_vm_of_domain (struct vmi *, const char *domain);                  /* borrowed; NULL */
struct vmi_vm *vmi_vm_new (struct vmi *, const char *namespace_, const char *name,
                           struct hv_err *); /* not on the list yet; referenced */
int vmi_vm_add (struct vmi_vm *, struct hv_err *);
void vmi_vm_remove (struct vmi_vm *);
struct vmi_vm *vmi_vm_ref (struct vmi_vm *);
void vmi_vm_unref (struct vmi_vm *);
HV_CLEAN_DEFINE (vmi_vm, struct vmi_vm, vmi_vm_unref)
void vmi_vm_wake (struct vmi_vm *);
int vmi_vm_object (struct vmi_vm *, struct vmi_virtual_machine *ret, struct hv_err *); /* decoded in the call's memory */
int vmi_vm_take_object (struct vmi_vm *, const struct vmi_virtual_machine *, struct hv_err *);
int vmi_run_spec (struct vmi_vm *, struct vmi_spec *ret, struct hv_err *);
int vmi_run_template (struct vmi_vm *, struct vmi_template *ret, struct hv_err *);
void vmi_run_clear (struct vmi_run *);
void vmi_vm_phase (struct vmi_vm *, uint32_t phase);
int vmi_vm_alive (const struct vmi_vm *); /* the backend has, or may have, a process */
int vmi_vm_final (const struct vmi_vm *); /* its instance has ended */

/* --- store.c [coro] --- */
int vmi_store_save (struct vmi_vm *, struct hv_err *); /* one writer per VM at a time; the newest state is on disk afterwards */
int vmi_store_delete (struct vmi_vm *, struct hv_err *);
int vmi_store_load (struct vmi *, struct hv_err *);

/* --- items.c: the list of what no machine comes of --- */
struct vmi_item *vmi_item_find (struct vmi *, uint32_t kind, const char *namespace_, const char *name); /* borrowed; NULL */
struct vmi_item *vmi_item_new (struct vmi *, uint32_t kind, const char *namespace_, const char *name,
                               struct hv_err *); /* not on the list yet */
int vmi_item_add (struct vmi *, struct vmi_item *, struct hv_err *);
void vmi_item_free (struct vmi_item *);
HV_CLEAN_DEFINE (vmi_item, struct vmi_item, vmi_item_free)
int vmi_item_save (struct vmi *, struct vmi_item *, struct hv_err *);   /* [coro] */
int vmi_item_delete (struct vmi *, struct vmi_item *, struct hv_err *); /* [coro] and frees it */
/* [coro] The document of that name onto the list; NOT_FOUND: the prefix is of no such kind. */
int vmi_item_load (struct vmi *, const char *prefix, const char *namespace_, const char *name, struct hv_err *);
/* What a Secret or a ConfigMap has, in the call's memory; NOT_FOUND names it. */
int vmi_item_values (struct vmi *, uint32_t kind, const char *namespace_, const char *name, struct vmi_values *ret,
                     struct hv_err *);

/* --- item_apply.c --- */
int vmi_item_check (struct vmi *, const struct vmi_object *, uint64_t *ret_bytes, struct hv_err *);
int vmi_item_apply (struct vmi *, const struct vmi_object *, int dry_run, uint32_t *ret, struct hv_err *); /* [coro] */

/* --- backend.c [coro] --- */
/* The hypervisor instance for a VM: named by the annotation, else the configuration, else the only one. The call's memory. */
int vmi_backend_choose (struct vmi *, const char *annotation, const char **ret, struct hv_err *);
int vmi_backend_list (struct vmi *, struct hv_strs *ret, struct hv_err *);
/* Brings v->seen up to date. A VM that is not defined is an answer; a backend that is not there is UNAVAILABLE. */
int vmi_backend_observe (struct vmi_vm *, struct hv_err *);
int vmi_backend_define (struct vmi_vm *, const struct hv_machine *, struct hv_err *);
int vmi_backend_start (struct vmi_vm *, int paused, struct hv_err *);
int vmi_backend_shutdown (struct vmi_vm *, uint64_t grace_ms, struct hv_err *); /* 0: at once */
int vmi_backend_undefine (struct vmi_vm *, struct hv_err *);                    /* what is not defined is undefined */
int vmi_backend_simple (struct vmi_vm *, const char *verb, struct hv_err *);    /* pause, resume, stop */

/* The provider of an interface that is there: the one that the configuration names, or the only one. `key`: the configuration's;
 * `does`, `plugin`: for errors. backend.c [coro] */
int vmi_provider_choose (struct vmi *, const struct hv_iface *, const char *named, const char *key, const char *does,
                         const char *plugin, const char **ret, struct hv_err *);

/* --- network.c [coro] --- */
/* Connects the machine's network cards, and fills them in. What is connected already stays. */
int vmi_network_attach (struct vmi_vm *, const struct vmi_virtual_machine *, const struct vmi_spec *, struct hv_machine *,
                        struct hv_err *);
int vmi_network_detach (struct vmi_vm *, struct hv_err *); /* all of them */
int vmi_network_misses_addresses (struct vmi_vm *);        /* of an interface that only the guest can tell of */

/* --- image.c [coro] --- */
int vmi_image_pull (struct vmi_vm *, struct vmi_volume_plan *, uint32_t volume,
                    struct hv_err *); /* fills in path and format; the VM depends on it */
int vmi_image_pull_kernel (struct vmi_vm *, const struct vmi_kernel_boot *, struct vmi_boot_files *ret, struct hv_err *);
int vmi_image_release (struct vmi_vm *, struct hv_err *); /* the run depends on none any more */

/* --- seed.c, iso.c: disks made of texts --- */
#define VMI_SEED_FILES 60u /* as many descriptors a child is given, less the image and the list */
struct vmi_seed_file {
  const char *path; /* in the image */
  struct hv_bin bytes;
};
struct vmi_seed {
  const char *label;
  struct vmi_seed_file files[VMI_SEED_FILES];
  uint32_t count;
};
/* What the disk of a volume has, as KubeVirt lays it out; the call's memory. NOT_FOUND: a Secret, a ConfigMap, or a key of it. */
int vmi_seed_fill (struct vmi_vm *, const struct vmi_spec *, const struct vmi_volume *, struct vmi_seed *ret, struct hv_err *);
/* [coro] An ISO 9660 image (Joliet, Rock Ridge) with mode 0600, durable; its directory exists, it does not. */
int vmi_iso_make (struct vmi *, const char *path, const struct vmi_seed *, struct hv_err *);

/* --- volumes.c [coro] --- */
int vmi_volumes_prepare (struct vmi_vm *, const struct vmi_spec *, struct vmi_volume_plan *,
                         struct hv_err *); /* fills in what it finds */
int vmi_volumes_drop_overlays (struct vmi_vm *, struct hv_err *);
/* Whether every claim of a spec has a file or a size. `sizes`: claims of the same manifest. */
int vmi_volumes_check (struct vmi *, const struct vmi_volume_plan *, uint32_t count, const char *namespace_,
                       const struct vmi_manifest *sizes, struct hv_err *);
int vmi_volumes_remove_claim (struct vmi *, const struct vmi_item *, struct hv_err *);
int vmi_volumes_exists (struct vmi *, const char *path, int *ret, struct hv_err *);
void vmi_volumes_sweep (struct vmi *); /* overlays of VMs that are not there any more */

/* --- reconcile.c --- */
void vmi_reconcile (struct vmi_vm *);            /* soon, in a coroutine of its own; any number of times */
void vmi_reconcile_now (struct vmi_vm *);        /* the same, not waiting for a retry's time */
int vmi_halt (struct vmi_vm *, struct hv_err *); /* it stays stopped until somebody starts it; not saved yet */
int vmi_wanted (const struct vmi_vm *);
uint64_t vmi_grace_ms (struct vmi_vm *);
/* [coro] start.c: everything from files to a running machine */
int vmi_start_run (struct vmi_vm *, struct hv_err *);
int vmi_new_run (struct vmi_vm *, struct hv_err *);

/* --- io_error.c --- */
void vmi_io_error_follow (struct vmi_vm *); /* after every observation */
void vmi_io_error_due (void *self, void *vm);

/* --- memory.c --- */
/* RESOURCE_EXHAUSTED when the node does not have the memory that the instance is reckoned at. */
int vmi_memory_admit (struct vmi_vm *, struct hv_err *);
uint64_t vmi_node_memory (void);
/* What the instances that run, or are being started, are reckoned at; but for one (NULL: all). */
uint64_t vmi_memory_promised (struct vmi *, const struct vmi_vm *but, uint32_t *ret_count);

/* --- agent.c --- */
void vmi_agent_set_clock (struct vmi_vm *); /* a guest that stood still does not know what time it is */
#define VMI_AGENT_KNOWN_MS 600000u          /* guest-agent asks oftener than that, and says when something changed */
void vmi_agent_follow (struct vmi_vm *);    /* after every observation */
void vmi_agent_forget (struct vmi_vm *);
int vmi_agent_osinfo (struct vmi_vm *, struct hv_agent_osinfo *ret, struct hv_err *); /* what is known, decoded */
int vmi_agent_interfaces (struct vmi_vm *, struct hv_agent_interfaces *ret, struct hv_err *);

/* --- events.c --- */
HV_PRINTF (4, 5) void vmi_note (struct vmi_vm *, int warning, const char *reason, const char *fmt, ...);
void vmi_publish (struct vmi_vm *, const char *type); /* ADDED or DELETED; changes are found out by vmi_status_update */
void vmi_subscribe (struct vmi *);

/* --- status.c --- */
void vmi_status_update (struct vmi_vm *); /* conditions, and an event if something changed; wakes those who wait */
const char *vmi_printable_status (const struct vmi_vm *);
const char *vmi_condition_message (struct vmi_vm *, uint32_t which);

/* --- diff.c --- */
/* The paths (up to 16, then "…") in which two encoded values differ, joined by ", "; NULL: none. The call's memory. */
char *vmi_diff (struct hv_host *, struct hv_bin a, struct hv_bin b);

/* get.c: whether an object comes after "namespace/name" in a list. */
int vmi_is_after (struct vmi *, const char *namespace_, const char *name, const char *continue_from);

/* --- delete.c --- */
int vmi_delete_begin (struct vmi_vm *, int64_t grace_s, struct hv_err *); /* [coro] the intent is durable; -1: the spec's grace */
int vmi_delete_wait (struct vmi_vm *, struct hv_call *, struct hv_err *); /* [coro] until it is gone */
/* The VM or instance a verb names; NOT_FOUND says of what kind. Borrowed. */
struct vmi_vm *vmi_need (struct vmi *, uint32_t kind, const char *namespace_, const char *name, struct hv_err *);

/* --- verbs --- */
int vmi_apply (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_delete (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_delete_vm (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_delete_vmi (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_delete_secret (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_delete_config_map (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_delete_pvc (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_get_vm (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_get_vmi (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_get_secret (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_get_config_map (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_get_pvc (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_get_node (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_describe_vm (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_describe_vmi (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_start (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_stop (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_restart (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_pause (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_freeze (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_unfreeze (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_unpause (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_console (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_logs (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_vnc (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_screenshot (void *, struct hv_call *, const void *, void *, struct hv_err *);
/* run.c: the instance, referenced; it runs. NOT_FOUND, FAILED_PRECONDITION. */
int vmi_need_running (struct vmi *, const char *namespace_, const char *name, struct vmi_vm **ret, struct hv_err *);
int vmi_wait (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_overhead_verb (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_top (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_userlist (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_fslist (void *, struct hv_call *, const void *, void *, struct hv_err *);
int vmi_guestosinfo (void *, struct hv_call *, const void *, void *, struct hv_err *);
extern const struct hv_plugin vmi_plugin;
#endif
