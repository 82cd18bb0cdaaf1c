/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's own view: the instance, its VMs, and what its parts offer each other. Everything runs on the instance's thread
 * but what a worker does (work.h) and libvirt's callbacks (note.c). Functions marked [coro] yield, so a VM that is used across
 * them is held with a reference. libvirt keeps the definitions; what is kept here of a VM is what events and lists told. */
#ifndef LV_LIBVIRT_H
#define LV_LIBVIRT_H
#include "eventloop.h"
#include "spawn/spawn.h"
#include "work.h"
#include "xml/caps.h"
#include "xml/read.h"
#include <hvkit/iface/hypervisor.h>
#include <libvirt/virterror.h>
#include <stdlib.h>

#define LV_KEEPALIVE_S     2 /* libvirt's daemon is asked for a sign of life this often, and given up after as many misses */
#define LV_KEEPALIVE_COUNT 4u

#define LV_CONFIG(F, T) \
  F (T, STR, _, uri, 0, "connection URI; not with spawn", .def = "qemu:///system", .max = 4096) \
  F (T, REC, lv_spawn_config, spawn, 0, "a libvirt daemon of our own instead of one that is there") \
  F (T, ENUM, lv_accel, accel, 0, "auto takes KVM where guest code runs on it; kvm and tcg pin it", .def = "auto") \
  F (T, STR, _, emulator, HV_PATH, "the emulator; absent: what libvirt takes", .max = 4096) \
  F (T, STR, _, kvm_probe, HV_PATH, "program that tries KVM; absent: hvkit-kvm-probe beside the plugin", .max = 4096) \
  F (T, U32, _, call_ms, 0, "how long a call of libvirt may take", .unit = "ms", .def = "30000", .umin = 100, .max = 600000) \
  F (T, U32, _, start_ms, 0, "how long starting a machine may take", .unit = "ms", .def = "60000", .umin = 100, .max = 600000) \
  F (T, U32, _, overdue_ms, 0, "a call about a VM that takes longer makes it unreachable", .unit = "ms", .def = "3000", \
     .umin = 50, .max = 600000) \
  F (T, U32, _, heartbeat_ms, 0, "a running VM that was not heard of is asked this often", .unit = "ms", .def = "10000", \
     .umin = 50, .max = 600000) \
  F (T, U32, _, adopt_ms, 0, "how long a start of this instance waits for libvirt", .unit = "ms", .def = "5000", .umin = 10, \
     .max = 60000) \
  F (T, U32, _, retry_ms, 0, "pause before the second attempt to connect; it doubles up to 5 s", .unit = "ms", .def = "100", \
     .umin = 10, .max = 60000) \
  F (T, U32, _, stats_ms, 0, "how long stats waits for machines that do not answer", .unit = "ms", .def = "200", .umin = 1, \
     .max = 10000) \
  F (T, U32, _, powerdown_ms, 0, "the power button is pressed again this often", .unit = "ms", .def = "5000", .umin = 100, \
     .max = 600000) \
  F (T, STR, _, efi_code, HV_PATH, "EFI firmware, the read-only part", .def = "/usr/share/OVMF/OVMF_CODE_4M.fd", .max = 4096) \
  F (T, STR, _, efi_vars, HV_PATH, "EFI variables that a machine begins with", .def = "/usr/share/OVMF/OVMF_VARS_4M.fd", \
     .max = 4096) \
  F (T, STR, _, qemu_logs, HV_PATH, "where libvirt keeps QEMU's own logs; with spawn that is known", \
     .def = "/var/log/libvirt/qemu", .max = 4096) \
  F (T, U32, _, balloon_s, 0, "how often guests report their memory; 0: never", .unit = "s", .def = "10", .max = 3600)
extern const char *const lv_accel_words[];
#define LV_ACCEL_AUTO 0u
#define LV_ACCEL_KVM  1u
#define LV_ACCEL_TCG  2u
HV_RECORD_STRUCT (lv_config, LV_CONFIG);

/* What libvirt has no place for. A domain without such a document is foreign. */
#define LV_DOCUMENT(F, T) \
  F (T, STR, _, uuid, HV_REQUIRED, "of the domain that we defined") \
  F (T, ENUM, hv_vm_state, state, 0, "what it was last, to tell what changed while nobody watched", .def = "stopped") \
  F (T, STR, _, netns, 0, "network namespace of the libvirt daemon of our own that has it") \
  F (T, MAP, _, labels, 0, "kept and returned", .max = 64)
HV_RECORD_STRUCT (lv_document, LV_DOCUMENT);

struct lv;
struct lv_notes;
struct lv_note;

/* Figures of a domain as libvirt gave them; which groups it gave says `has`. Disks go by their target, network cards by their tap
 * (`disk` and `nic` hold these, and are owned). */
#define LV_FIGURES_CPU    1u
#define LV_FIGURES_MEMORY 2u
#define LV_FIGURES_BLOCK  4u
#define LV_FIGURES_NET    8u
#define LV_FIGURES_ALL    15u
struct lv_figures {
  unsigned char uuid[VIR_UUID_BUFLEN];
  uint32_t has;
  uint64_t heard_ms; /* monotonic */
  struct hv_cpu_stats cpu;
  struct hv_memory_stats memory;
  int64_t guest_s; /* when the guest's own figures were made, wall clock; 0: unknown */
  struct hv_block_stat *blocks;
  uint64_t *block_physical, *block_allocation, *block_capacity; /* bytes */
  struct hv_interface_stat *nics;
  uint32_t block_count, nic_count;
};

#define LV_FAULT_OK       0u /* as in hv_block_fault_words */
#define LV_FAULT_FAILED   1u
#define LV_FAULT_NO_SPACE 2u
struct lv_disk_fault {
  char *disk, *reason;
  uint64_t count, last_ms;
  uint32_t fault;
};

/* A libvirt daemon that the instance speaks with: the one of its configuration, and those of our own in network namespaces that
 * machines live in. Each has its connection, its workers, and its domains; a name is one VM's in all of them. */
struct lv_daemon {
  struct lv *lv;
  uint32_t refs;
  char *netns; /* it lives in; NULL: hvkitd's, or not known */
  char *uri;
  struct lv_spawn *spawn; /* NULL: somebody else's */
  struct lv_pool *pool;
  struct hv_watch *done_watch;
  struct lv_notes *notes;
  struct hv_watch *note_watch;
  uint8_t connected, connecting, synced, syncing, sync_again;
  uint8_t starting, leaving; /* its processes are being started; it is being ended */
  uint32_t wanted;           /* by verbs that are about to give it a machine */
  char *lost_why;
  uint64_t connected_ms;                             /* monotonic: since when this connection is there */
  uint64_t heard_ms;                                 /* monotonic: libvirt last answered */
  struct lv_caps *caps;                              /* of this connection; NULL: not asked yet, or it has none */
  struct lv_kind *kinds;                             /* of domains, whose capabilities were asked for on this connection */
  uint64_t connections;                              /* how many there were */
  unsigned long libvirt_version, hypervisor_version; /* major * 1000000 + minor * 1000 + release */
};

struct lv_vm {
  struct lv *lv;
  struct lv_daemon *daemon; /* that has it; a reference */
  uint32_t refs;
  char *name;
  unsigned char uuid[VIR_UUID_BUFLEN];
  uint8_t defined;   /* libvirt knows it, as far as was heard last */
  uint8_t transient; /* libvirt forgets it when it ends */
  uint8_t awaited;   /* it is to migrate here */
  uint8_t known;     /* its state is what it was last; if not, the first one that is heard is no change */
  uint8_t foreign, undefined, agent_connected;

  uint32_t state;
  char *reason, *detail;
  uint64_t since_ms, unreachable_since_ms; /* wall clock */
  uint32_t state_before;                   /* it became unreachable */
  uint64_t heard_ms;                       /* monotonic: libvirt last told something about it */
  uint64_t asked_ms;                       /* monotonic: we last changed something: events may be older than that */
  uint32_t changing;                       /* verbs that are at it */
  int32_t pid;
  uint8_t pid_searching, syncing, sync_again, shutdown_asked, beating, saving, save_again;

  struct lv_domain *facts; /* of its XML as it runs, or as it is defined; NULL until it was read */
  struct hv_pair *labels;
  uint32_t label_count;

  virDomainPtr dom;             /* on the first connection; saves looking it up. NULL: not known */
  struct lv_work *works;        /* under way, or hung */
  uint32_t overdue;             /* of them */
  struct lv_figures *figures;   /* the newest of each group; NULL: never asked */
  struct lv_disk_fault *faults; /* failures of disks since it started */
  uint32_t fault_count;
  struct hv_stream *console;
  uint32_t jobs_ended;                 /* since we listen */
  uint8_t job_failed;                  /* the last of them */
  uint64_t job_downtime_ms, job_bytes; /* of the last job that ended */
  uint64_t resets;                     /* how often the guest began anew */
  char *told_device;                   /* hotplug: what libvirt said last of a device */
  int told_kind;
  int block_job_status; /* of the last block job that ended, -1: none */

  struct hv_cond *changed; /* woken by everything that happens to this VM */
};

struct lv {
  struct hv_host *host;
  const struct lv_config *config;
  struct lv_daemon **daemons; /* the first is the one of the configuration */
  uint32_t daemon_count;
  uint8_t entered;
  struct lv_vm **vms; /* by name */
  uint32_t vm_count, vm_capacity;
  struct hv_timer *tick;
  struct hv_cond *changed;
  uint8_t use_kvm, kvm_tried, kvm_works;
  char *kvm_reason;
};

/* --- vm.c: objects and states --- */
struct lv_vm *lv_vm_new (struct lv_daemon *, const char *name, const unsigned char *uuid,
                         struct hv_err *);                                 /* the list holds the reference */
struct lv_vm *lv_vm_find (struct lv *, const char *name, struct hv_err *); /* borrowed; NOT_FOUND */
struct lv_vm *lv_vm_find_uuid (struct lv *, const unsigned char *uuid);    /* borrowed; NULL */
struct lv_vm *lv_vm_hold (struct lv *, const char *name, struct hv_err *); /* a reference; NOT_FOUND */
struct lv_vm *lv_vm_ref (struct lv_vm *);
void lv_vm_unref (struct lv_vm *);
HV_CLEAN_DEFINE (lv_vm, struct lv_vm, lv_vm_unref)
void lv_vm_remove (struct lv_vm *); /* from the list */
int lv_vm_set_labels (struct lv_vm *, const struct hv_map *);
/* The one place where a state changes: refuses what the table does not allow, publishes the rest. `detail` may be NULL. */
void lv_vm_set_state (struct lv_vm *, uint32_t state, const char *reason, const char *detail);
void lv_vm_begin_state (struct lv_vm *, uint32_t state, const char *reason,
                        const char *detail);                             /* what it is when we come to know it */
void lv_vm_announce (struct lv_vm *, const char *reason, int undefined); /* a lifecycle event without a change of state */
void lv_vm_wake (struct lv_vm *);
int lv_vm_alive (const struct lv_vm *); /* has a process, as far as is known */
int lv_vm_need_running (struct lv_vm *, struct hv_err *);
int lv_vm_need_facts (struct lv_vm *, struct hv_err *); /* its XML was read; else UNAVAILABLE */
int lv_vm_need_process (struct lv_vm *, struct hv_err *);
/* Waits until `test` holds; DEADLINE_EXCEEDED, CANCELLED. [coro] */
int lv_vm_wait (struct lv_vm *, int (*test) (const struct lv_vm *), uint64_t timeout_ms, struct hv_err *);
void lv_vm_fill (const struct lv_vm *, struct hv_vm *ret); /* borrows the VM's strings */
void lv_vm_work_begin (struct lv_vm *, struct lv_work *);
void lv_vm_work_done (struct lv_vm *, struct lv_work *);
void lv_vm_drop_dom (struct lv_vm *); /* the connection is lost, or the domain is another one */
void lv_vm_check_overdue (struct lv_vm *);
int lv_text_set (char **at, const char *value);
uint64_t lv_wall_ms (void);

/* --- state.c: libvirt's states and ours --- */
struct lv_state {
  uint32_t state;
  const char *reason; /* static */
};
struct lv_state lv_state_of (int libvirt_state, int libvirt_reason);
/* Takes a state that libvirt gave for an answer; what we know better (asked to shut down, starting) stays. */
void lv_state_take (struct lv_vm *, int libvirt_state, int libvirt_reason);
/* What libvirt was asked for at that time may be older than what a verb has done since, or is doing. */
int lv_state_is_stale (const struct lv_vm *, uint64_t asked_at_ms);
int lv_state_read (struct lv_vm *, struct hv_err *); /* [coro] asks libvirt's daemon, no QEMU */
void lv_state_read_later (struct lv_vm *);

/* --- daemon.c: the libvirt daemons of the instance --- */
struct lv_daemon *lv_daemon_ref (struct lv_daemon *);
void lv_daemon_unref (struct lv_daemon *);
HV_CLEAN_DEFINE (lv_daemon, struct lv_daemon, lv_daemon_unref)
int lv_daemon_first (struct lv *, struct hv_err *); /* [coro] the one of the configuration, started where it is ours */
/* The one of a namespace, listed; NULL: out of memory. It is not started. Borrowed. */
struct lv_daemon *lv_daemon_of_netns (struct lv *, const char *netns, struct hv_err *);
void lv_daemons_start (struct lv *); /* those of namespaces, in coroutines of their own */
/* Which has to have a machine, ready: started where it is not there yet. It stays until lv_daemon_done. [coro] */
int lv_daemon_for (struct lv *, const struct hv_machine *, struct lv_daemon **ret, struct hv_err *);
void lv_daemon_done (struct lv_daemon *); /* [coro] NULL is fine */
/* In a namespace, and no VM is left there: it is ended. The caller has a reference. [coro] */
void lv_daemon_leave (struct lv_daemon *);
void lv_daemons_free (struct lv *);
int lv_any_connected (const struct lv *);

/* --- conn.c: one connection that hears, made again whenever it is lost --- */
void lv_connect_later (struct lv_daemon *);
void lv_connection_lost (struct lv_daemon *, const char *why);
void lv_connection_drop (struct lv_daemon *, const char *why);   /* the same, and nobody tries again because of it */
const char *lv_why_lost (const struct lv_daemon *);              /* for errors: our own daemon's last words, or what libvirt said */
int lv_wait_connected (struct lv_daemon *, uint64_t timeout_ms); /* [coro] 1: connected and all domains read */

/* --- sync.c: the level: what libvirt has now --- */
int lv_sync_all (struct lv_daemon *, struct hv_err *); /* [coro] */
int lv_sync_vm (struct lv_vm *, struct hv_err *);      /* [coro] state and XML of one; NOT_FOUND: libvirt knows it no more */
void lv_sync_vm_later (struct lv_vm *);
void lv_sync_later (struct lv_daemon *); /* all of them, soon: something was missed */

/* --- process.c: its process, found in /proc; only where libvirt is on this machine --- */
void lv_process_find_later (struct lv_vm *);
void lv_process_find (struct lv_vm *); /* [coro] */

/* --- record.c --- */
int lv_uuid_parse (const char *text, unsigned char *ret);              /* 0; -1: is none */
char *lv_uuid_text (struct hv_host *, const unsigned char *uuid);      /* the call's; NULL: out of memory */
int lv_record_load (struct lv *, struct hv_err *);                     /* [coro] every VM */
int lv_record_put (struct lv_vm *, struct hv_err *);                   /* [coro] */
void lv_record_save_later (struct lv_vm *);                            /* its state has changed */
int lv_record_delete (struct lv *, const char *name, struct hv_err *); /* [coro] */
void lv_record_delete_later (struct lv_vm *);

/* --- note.c: what libvirt's callbacks were told, in order --- */
struct lv_notes *lv_notes_new (struct lv_daemon *, struct hv_err *);
void lv_notes_free (struct lv_daemon *);                  /* the instance listens no more */
struct lv_notes *lv_notes_ref (struct lv_notes *);        /* [any thread] */
void lv_notes_unref (struct lv_notes *);                  /* [any thread] */
int lv_notes_register (struct lv_notes *, virConnectPtr); /* [worker] every domain event, and the connection's end */
/* --- event.c --- */
void lv_note_apply (struct lv_daemon *, const struct lv_note *);
/* What verbs wait for. From a callback. */
void lv_device_told (struct lv_vm *, const char *device, int kind); /* kind: VIR_DOMAIN_EVENT_ID_DEVICE_* */
void lv_block_job_told (struct lv_vm *, const char *target, int status);
void lv_reset_told (struct lv_vm *);

/* --- streams.c --- */
void lv_console_close (struct lv_vm *);

/* --- fault.c: failures of disks --- */
void lv_fault_note (struct lv_vm *, const struct hv_io_error *);
void lv_faults_resumed (struct lv_vm *); /* the guest runs again: what failed is tried again */
void lv_faults_clear (struct lv_vm *);

/* --- figures.c --- */
struct lv_figures *lv_figures_read (virDomainStatsRecordPtr, uint64_t now_ms); /* [worker] NULL: out of memory */
void lv_figures_free (struct lv_figures *);
/* The groups that `from` has go into `*into`, which is made where it is NULL; `from` is used up. */
void lv_figures_merge (struct lv_figures **into, struct lv_figures *from);
/* Asks libvirt about one VM, or all; waits stats_ms. What does not answer in time keeps its older figures. [coro] */
int lv_figures_ask (struct lv *, struct lv_vm *one, uint32_t groups, struct hv_err *);
const struct hv_block_stat *lv_figures_block (const struct lv_vm *, const char *target); /* NULL: not known */
/* 1: these groups were read now, 0: what is known is old, but there; UNAVAILABLE: it never was. [coro] */
int lv_figures_need (struct lv_vm *, uint32_t groups, uint64_t max_age_ms, struct hv_err *);
void lv_nics_fill (const struct lv_vm *, struct hv_vm_stats *ret);
void lv_memory_fill (const struct lv_vm *, struct hv_memory_stats *ret);

/* --- heartbeat.c: a running VM that is not heard of is asked something that its QEMU has to answer --- */
void lv_vm_heartbeat (struct lv_vm *);

/* --- capability.c: what libvirt says it can do, asked once for each connection. Where it cannot say, there is nothing: 0 and NULL
 * --- */
int lv_caps_ask (struct lv_daemon *, const struct lv_caps **ret, struct hv_err *); /* [coro] borrowed until the next yield */
int lv_domcaps_ask (struct lv_daemon *, const char *arch, const char *machine, const struct lv_domcaps **ret,
                    struct hv_err *); /* [coro] the same; for use_kvm */
void lv_caps_forget (struct lv_daemon *);

/* --- node.c: what libvirt and this node can do --- */
int lv_node_kvm (struct lv *, struct hv_err *);         /* [coro] whether KVM runs guest code here; tried once */
int lv_node_wait (struct lv_daemon *, struct hv_err *); /* [coro] until it is known */
int lv_node_check (struct lv_daemon *, const struct hv_machine *,
                   struct hv_err *); /* [coro] architecture, machine type, processor */

/* --- verbs --- */
int lv_probe (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_define (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_undefine (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_start (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_shutdown (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_stop (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_list (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_get (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_native (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_adopt (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_agent_command (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_pause (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_resume (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_block_info (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_block_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_block_errors (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_interface_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_memory_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_attach (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_detach (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_resize_block (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_set_memory (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_set_vcpus (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_snapshot_create (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_snapshot_list (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_snapshot_delete (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_block_commit (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_block_pull (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_block_mirror (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_backup_begin (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_backup_end (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_save (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_restore (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_migrate (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_migrate_in (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_dump_memory (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_logs (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_console (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_display (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_screenshot (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_send_key (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_reset (void *, struct hv_call *, const void *, void *, struct hv_err *);
int lv_reboot (void *, struct hv_call *, const void *, void *, struct hv_err *);

/* --- lacks.c: verbs that only say why they cannot be called --- */
const char *lv_lacks (const char *verb); /* why, or NULL */
#define LV_LACKS(verb_, why_) int lv_lacking_##verb_ (void *, struct hv_call *, const void *, void *, struct hv_err *);
#include "lacks.h"
#undef LV_LACKS
extern const struct hv_plugin lv_plugin;
#endif
