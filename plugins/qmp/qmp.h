/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin's own view: the instance, its VMs, and what its parts offer each other. Everything runs on the instance's
 * thread; functions marked [coro] yield, so a VM that is used across them is held with a reference. */
#ifndef QMP_QMP_H
#define QMP_QMP_H
#include "argv.h"
#include "codec.h"
#include "monitor.h"

extern const char *const qmp_accel_words[];
#define QMP_ACCEL_AUTO 0u
#define QMP_ACCEL_KVM  1u
#define QMP_ACCEL_TCG  2u

#define QMP_CONFIG(F, T) \
  F (T, STR, _, qemu, HV_PATH, "the emulator", .def = "/usr/bin/qemu-system-x86_64", .max = 4096) \
  F (T, ENUM, qmp_accel, accel, 0, "auto tries KVM by running guest code; kvm and tcg pin it", .def = "auto") \
  F (T, STR, _, kvm_probe, HV_PATH, "program that tries KVM; absent: hvkit-kvm-probe beside the plugin", .max = 4096) \
  F (T, STR, _, qcow2, 0, "instance that makes qcow2 overlays (disk/1)", .def = "disk-qcow2", .max = 64) \
  F (T, U32, _, uid, 0, "uid machines run as when they name none; 0: the daemon's own", .def = "0") \
  F (T, U32, _, tb_size_mib, 0, "translation buffer of an emulated machine", .unit = "MiB", .def = "256", .umin = 8, .max = 4096) \
  F (T, U32, _, start_ms, 0, "how long QEMU may take until its monitor is ready", .unit = "ms", .def = "30000", .umin = 100, \
     .max = 600000) \
  F (T, U32, _, command_ms, 0, "how long a monitor command may take", .unit = "ms", .def = "5000", .umin = 10, .max = 600000) \
  F (T, U32, _, heartbeat_ms, 0, "a silent monitor is asked this often; two misses make the VM unreachable", .unit = "ms", \
     .def = "10000", .umin = 20, .max = 600000) \
  F (T, U32, _, stats_ms, 0, "how long stats waits for machines that do not answer", .unit = "ms", .def = "15", .umin = 1, \
     .max = 10000) \
  F (T, U32, _, balloon_s, 0, "how often guests report their memory; 0: never", .unit = "s", .def = "5", .max = 3600) \
  F (T, U32, _, quit_ms, 0, "how long QEMU may take to quit before it gets a signal", .unit = "ms", .def = "2000", .umin = 1, \
     .max = 60000) \
  F (T, U32, _, term_ms, 0, "how long after SIGTERM before SIGKILL", .unit = "ms", .def = "2000", .umin = 1, .max = 60000) \
  F (T, U32, _, powerdown_ms, 0, "the power button is pressed again this often", .unit = "ms", .def = "5000", .umin = 100, \
     .max = 600000) \
  F (T, U32, _, adopt_ms, 0, "how long a restart waits for running VMs to answer", .unit = "ms", .def = "5000", .umin = 10, \
     .max = 60000) \
  F (T, STR, _, efi_code, HV_PATH, "EFI firmware, the read-only part", .def = "/usr/share/OVMF/OVMF_CODE_4M.fd", .max = 4096) \
  F (T, STR, _, efi_vars, HV_PATH, "EFI variables that a machine begins with", .def = "/usr/share/OVMF/OVMF_VARS_4M.fd", \
     .max = 4096) \
  F (T, STR, _, logd, HV_PATH, "program that keeps the logs; absent: hvkit-logd beside the plugin", .max = 4096) \
  F (T, STR, _, logd_socket, HV_PATH, "where it listens; absent: beside this instance's run directory, for all instances", \
     .max = 100) \
  F (T, U32, _, log_keep, 0, "older logs that are kept beside one", .def = "2", .max = 16) \
  F (T, U64, _, log_bytes, 0, "a log of a VM is put aside when it is as long", .unit = "bytes", .def = "4194304", .umin = 65536, \
     .max = 1073741824)
HV_RECORD_STRUCT (qmp_config, QMP_CONFIG);

/* A snapshot: for every disk in it, the layers that were its contents then, top first, and the overlay that was put on them. */
#define QMP_SNAPSHOT_DISK(F, T) \
  F (T, STR, _, disk, HV_REQUIRED, "name of the disk") \
  F (T, STR, _, path, HV_REQUIRED, "the overlay that was put on top") \
  F (T, ENUM, hv_disk_format, format, HV_REQUIRED, "of the overlay") \
  F (T, RECS, hv_machine_layer, layers, HV_REQUIRED, "the disk as it was")
HV_RECORD_STRUCT (qmp_snapshot_disk, QMP_SNAPSHOT_DISK);
#define QMP_SNAPSHOT(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "its name") \
  F (T, STR, _, parent, 0, "snapshot it was taken on") \
  F (T, U64, _, created_ms, HV_REQUIRED, "ms since 1970") \
  F (T, ENUM, hv_vm_state, state, HV_REQUIRED, "state of the VM then") \
  F (T, STR, _, memory_path, 0, "file with the machine's state then") \
  F (T, RECS, qmp_snapshot_disk, disks, HV_REQUIRED, "what is in it")
HV_RECORD_STRUCT (qmp_snapshot, QMP_SNAPSHOT);
#define QMP_SNAPSHOTS(F, T) \
  F (T, RECS, qmp_snapshot, items, HV_REQUIRED, "oldest first") \
  F (T, STR, _, current, 0, "the one that the disks stand on")
HV_RECORD_STRUCT (qmp_snapshots, QMP_SNAPSHOTS);

/* An operation whose side effects may or may not have happened: written before them, cleared together with what they lead
 * to. Whoever finds one asks QEMU what is true and finishes it one way or the other (pending.c). */
#define QMP_PENDING(F, T) \
  F (T, STR, _, op, HV_REQUIRED, "attach, snapshot, merge, revert, discard, save, restore, dump, migrate or migrate_in") \
  F (T, BOOL, _, config, 0, "the definition changes, too") \
  F (T, STR, _, device, 0, "name of the device") \
  F (T, REC, hv_machine_disk, disk, 0, "disk that is plugged in") \
  F (T, REC, hv_machine_nic, nic, 0, "network card that is plugged in") \
  F (T, REC, qmp_snapshot, snapshot, 0, "snapshot that is made") \
  F (T, STRS, _, paths, 0, "files that are made, and removed again unless it succeeds") \
  F (T, BOOL, _, running, 0, "its guest ran before") \
  F (T, STR, _, token, 0, "what tells ours from others: a file, a connection") \
  F (T, STR, _, uri, 0, "where the two sides of a migration meet") \
  F (T, BOOL, _, made, 0, "the VM was defined by it") \
  F (T, BOOL, _, committed, 0, "it cannot be taken back any more")
HV_RECORD_STRUCT (qmp_pending, QMP_PENDING);

/* One document per VM: its definition and what it is doing. Written before a process is started, again with its pid before
 * the guest may run, and at every later change of state. */
#define QMP_DOCUMENT(F, T) \
  F (T, REC, hv_machine, machine, HV_REQUIRED, "the definition, machine type pinned") \
  F (T, ENUM, hv_vm_state, state, HV_REQUIRED, "last known state") \
  F (T, STR, _, reason, 0, "of the state") \
  F (T, STR, _, detail, 0, "of the state") \
  F (T, U64, _, since_ms, 0, "of the state") \
  F (T, BOOL, _, launched, 0, "a process was about to be started, or runs") \
  F (T, BOOL, _, acknowledged, 0, "its start was completed: from here on it is never ended unasked") \
  F (T, BOOL, _, guest_off, 0, "the guest has shut down: its process is all that is left, and is being ended") \
  F (T, STR, _, boot_id, 0, "boot the process belongs to") \
  F (T, U32, _, pid, 0, "process") \
  F (T, U64, _, start_ticks, 0, "its start time, from /proc") \
  F (T, STR, _, accel, 0, "kvm or tcg") \
  F (T, U64, _, qemu_log, 0, "inode of its pipe") \
  F (T, U64, _, serial_log, 0, "inode of its pipe") \
  F (T, U64, _, firmware_log, 0, "inode of its pipe") \
  F (T, REC, hv_machine, live, 0, "the machine as it runs, where that is not the definition") \
  F (T, REC, qmp_pending, pending, 0, "an operation that is under way") \
  F (T, REC, qmp_snapshots, snapshots, 0, "its snapshots")
HV_RECORD_STRUCT (qmp_document, QMP_DOCUMENT);

struct qmp;

#define QMP_LOGS         3u
#define QMP_LOG_QEMU     0u
#define QMP_LOG_SERIAL   1u
#define QMP_LOG_FIRMWARE 2u
extern const char *const qmp_log_names[QMP_LOGS];

/* Figures that only QEMU has, with the time they were heard (monotonic ms, 0: never). */
struct qmp_sample_block {
  char *disk;
  struct hv_block_stat stat;
};
struct qmp_sample {
  struct qmp_sample_block *blocks;
  uint32_t block_count;
  uint8_t lags; /* it was waited for, and did not answer in time */
  uint64_t block_ms, memory_ms;
  uint64_t block_asked, memory_asked; /* id of the question that is under way, or 0 */
  int64_t guest_s;                    /* when the guest's figures were made, wall clock */
  struct hv_memory_stats memory;      /* what the balloon and the guest say */
};

/* Failures of a disk since the VM started. */
#define QMP_FAULT_OK       0u /* as in hv_block_fault_words */
#define QMP_FAULT_FAILED   1u
#define QMP_FAULT_NO_SPACE 2u
struct qmp_nic_mac {
  char *nic, *mac;
};
struct qmp_disk_fault {
  char *disk, *operation, *reason;
  uint64_t count, last_ms;
  uint32_t fault;
};

/* A verdict on the node, kept across restarts. */
#define QMP_NODE(F, T) \
  F (T, STR, _, boot_id, 0, "boot in which the accelerator was tried") \
  F (T, BOOL, _, kvm_works, 0, "KVM ran guest code") \
  F (T, STR, _, kvm_reason, 0, "why not") \
  F (T, STR, _, binary, 0, "identity of the emulator that was asked") \
  F (T, STR, _, version, 0, "its version") \
  F (T, STR, _, q35, 0, "what its alias q35 stands for") \
  F (T, STRS, _, machines, 0, "its machine types")
HV_RECORD_STRUCT (qmp_node, QMP_NODE);

/* A record that is kept encoded: a VM that idles holds bytes, not structs. */
struct qmp_kept {
  uint8_t *bytes;
  uint64_t size;
};

struct qmp_vm {
  struct qmp *qmp;
  uint32_t refs;
  char *name, *uuid;
  struct qmp_kept machine, live; /* hv_machine: the definition; what runs, empty where that is the same */
  struct qmp_kept pending, snapshots;
  /* of the definition, for list and get */
  uint64_t memory_bytes;
  uint32_t vcpus, live_vcpus; /* live: 0 where that is the same */
  char *machine_type;
  struct hv_pair *labels;
  uint32_t label_count;
  uint32_t nic_count;
  uint8_t has_console, has_vnc, has_agent, has_balloon;

  uint32_t state;
  char *reason, *detail;
  uint64_t since_ms; /* wall clock */
  uint64_t heard_ms; /* monotonic: QEMU last said something */
  uint64_t unreachable_since_ms;
  char *accel;

  /* the process */
  int32_t pid, pidfd;
  uint64_t start_ticks;
  uint8_t launched, acknowledged, agent_connected;
  uint8_t stop_requested, shutdown_seen, letting_go, by_guest, panicked, settling, saving, adopting, undefined, reachable_again,
      managed, unsaved, resolving, incoming, take_back;
  uint32_t adopt_delay_ms;
  struct hv_watch *exit_watch;
  struct qmp_monitor *monitor;
  uint32_t misses;
  uint64_t heartbeat;             /* id of the one that is under way, or 0 */
  uint64_t retry_ms, retry_at_ms; /* next attempt to connect again */
  struct hv_stream *console;      /* the session of the serial console, if there is one */
  char *refused_device;           /* the guest would not let it go */
  char *end_detail;               /* what is to be said of its end; NULL: what it looks like */
  const char *run_reason;         /* what its first run is called: booted, restored, migrated; static */
  uint64_t stood_ms;              /* monotonic: the guest last stopped */
  uint32_t transfer_events;       /* how often QEMU said something about a migration */
  char *io_error;                 /* reason of the last failure that stopped the guest */

  /* the agent's channel */
  int agent_fd;
  uint8_t agent_busy;
  struct qmp_codec codec;

  uint64_t log_pipes[QMP_LOGS]; /* inodes; 0: none */
  struct qmp_sample sample;
  struct qmp_disk_fault *faults;
  uint32_t fault_count;
  struct qmp_nic_mac *macs; /* of network cards whose guest changed them */
  uint32_t mac_count;
  uint32_t resets_awaited;

  struct hv_cond *changed; /* woken by everything that happens to this VM */
};

struct qmp {
  struct hv_host *host;
  const struct qmp_config *config;
  struct qmp_vm **vms; /* by name */
  uint32_t vm_count, vm_capacity;
  struct hv_timer *tick;
  struct hv_cond *changed, *sampled;
  int logd_fd, logd_pidfd; /* the connection that tells whether it lives */
  struct hv_watch *logd_watch;
  uint8_t logd_starting;
  uint32_t adopting, sampling; /* how many are at it */

  /* the node */
  uint8_t node_known;
  char *accel, *kvm_reason, *version, *q35, *node_failure;
  uint8_t kvm_works, kvm_tried, kvm_verdict; /* verdict: the probe ran to its end */
  char **machines;                           /* NULL-terminated */
};

/* --- vm.c: objects and states --- */
struct qmp_vm *qmp_vm_new (struct qmp *, const char *name, struct hv_err *);  /* added to the list; the list holds the reference */
struct qmp_vm *qmp_vm_find (struct qmp *, const char *name, struct hv_err *); /* borrowed; NOT_FOUND */
struct qmp_vm *qmp_vm_ref (struct qmp_vm *);
void qmp_vm_unref (struct qmp_vm *);
HV_CLEAN_DEFINE (qmp_vm, struct qmp_vm, qmp_vm_unref)
void qmp_vm_remove (struct qmp_vm *); /* from the list */
int qmp_vm_set_machine (struct qmp_vm *, const struct hv_machine *, struct hv_err *);
int qmp_vm_machine (struct qmp_vm *, struct hv_machine *ret, struct hv_err *); /* decoded in the memory of the current call */
/* The machine as it runs: with what was plugged in and put on top since. The definition when it does not run. */
int qmp_vm_live (struct qmp_vm *, struct hv_machine *ret, struct hv_err *);
int qmp_vm_set_live (struct qmp_vm *, const struct hv_machine *, struct hv_err *); /* NULL: the same as the definition */
/* Before one of the two changes: a machine that runs gets a live record of its own. */
int qmp_vm_split (struct qmp_vm *, struct hv_err *);
/* RUNNING, PAUSED or SUSPENDED; UNAVAILABLE when it does not answer, else FAILED_PRECONDITION with what it is. */
int qmp_vm_need_running (struct qmp_vm *, struct hv_err *);
int qmp_vm_need_process (struct qmp_vm *, struct hv_err *); /* alive, answering or not; else FAILED_PRECONDITION */
/* Kept records: 1 and the record in the memory of the current call, 0 and zeroes when there is none. Setting NULL clears. */
int qmp_kept_get (struct hv_host *, const struct qmp_kept *, const struct hv_record *, void *ret, struct hv_err *);
int qmp_kept_set (struct hv_host *, struct qmp_kept *, const struct hv_record *, const void *, struct hv_err *);
/* The one place where a state changes: refuses what the table does not allow, publishes the rest. `detail` may be NULL. */
void qmp_vm_set_state (struct qmp_vm *, uint32_t state, const char *reason, const char *detail);
void qmp_vm_wake (struct qmp_vm *);
struct qmp_vm *qmp_vm_hold (struct qmp *, const char *name, struct hv_err *); /* a reference; NULL and NOT_FOUND */
int qmp_vm_alive (const struct qmp_vm *);                                     /* has a process, as far as is known */
/* Waits until `test` holds; DEADLINE_EXCEEDED, CANCELLED. [coro] */
int qmp_vm_wait (struct qmp_vm *, int (*test) (const struct qmp_vm *), uint64_t timeout_ms, struct hv_err *);
void qmp_vm_fill (const struct qmp_vm *, struct hv_vm *ret); /* borrows the VM's strings; console and VNC paths are the call's */
int qmp_text_set (char **at, const char *value);
char **qmp_mac_of (struct qmp_vm *, const char *nic); /* where its address is kept; NULL when out of memory */
uint64_t qmp_wall_ms (void);

/* --- record.c --- */
int qmp_record_save (struct qmp_vm *, struct hv_err *); /* [coro] one writer per VM; returns when the disk has it */
/* [coro] The same; what cannot be written is not so: definition, live machine, snapshots and pending go back to what the
 * disk says. */
int qmp_record_commit (struct qmp_vm *, struct hv_err *);
int qmp_record_define (struct qmp_vm *, const struct hv_machine *, struct hv_err *); /* [coro] another definition, committed */
void qmp_record_save_later (struct qmp_vm *);             /* the same from a callback, in a coroutine of its own */
int qmp_record_load (struct qmp *, struct hv_err *);      /* [coro] every VM */
int qmp_record_delete (struct qmp_vm *, struct hv_err *); /* [coro] */

/* --- pending.c: operations whose side effects outlive us [coro] --- */
int qmp_pending_begin (struct qmp_vm *, const struct qmp_pending *, struct hv_err *); /* durable on return: now act */
int qmp_pending_end (struct qmp_vm *, struct hv_err *);                               /* saves the record, too */
int qmp_pending_resolve (struct qmp_vm *, struct hv_err *);                           /* after an interruption */
void qmp_pending_later (struct qmp_vm *);                                             /* the same, in a coroutine of its own */
int qmp_pending_settle (struct qmp_vm *, struct hv_err *); /* nothing is pending any more: before a new operation */
/* After a failure: whether it may have happened all the same. Then it is resolved, and the caller leaves it alone. */
int qmp_pending_in_doubt (struct qmp_vm *, int code);
/* For operations that wait long: nobody else resolves them meanwhile. leave() ends that, and what is still pending then is
 * resolved: here if it failed, by a coroutine of its own if that is not possible here. */
int qmp_pending_enter (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);
void qmp_pending_leave (struct qmp_vm *, int code);
int qmp_pending_commit (struct qmp_vm *, struct qmp_pending *, struct hv_err *); /* from here on it goes forward only */
int qmp_pending_get (struct qmp_vm *, const char *op, struct qmp_pending *ret);  /* 1 if that is what is pending */
/* What a pending operation calls the end of the process: saved, migrated, restore_failed, migration_failed; NULL: nothing. */
const char *qmp_pending_end_reason (struct qmp_vm *);
int qmp_save_resolve (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);
int qmp_restore_resolve (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);
int qmp_migrate_resolve (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);
int qmp_incoming_resolve (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);

/* --- incoming.c --- */
int qmp_incoming_take (struct qmp_vm *, int run, struct hv_err *); /* what has come is ours, and runs if it is to; [coro] */

/* --- process.c --- */
int qmp_process_start_ticks (int32_t pid, uint64_t *ret);
int qmp_process_has_uuid (int32_t pid, const char *uuid);
/* The process that was started for this machine and listens at monitor_path, or 0. uuid may be NULL. */
int32_t qmp_process_find (const char *uuid, const char *name, const char *monitor_path);
int32_t qmp_process_find_by_name (const char *run_dir, const char *name);
/* A pidfd of the process that was recorded, or NOT_FOUND when it is gone (or its number was given to another). */
int qmp_process_open (int32_t pid, uint64_t start_ticks, const char *uuid, int32_t *ret_pidfd, struct hv_err *);
int qmp_process_exit_status (int32_t pidfd, char *text,
                             size_t size); /* 1 and "exit status 1", "signal 9 (Killed)"; 0: not ours to know */
int qmp_process_cpu (int32_t pid, struct hv_cpu_stats *ret);
int qmp_process_memory (int32_t pid, struct hv_memory_stats *ret);

/* --- paths.c: the run directory of a VM --- */
char *qmp_path (const struct qmp_vm *, const char *name); /* malloc'd; "" names the directory itself */
int qmp_paths_make (struct qmp_vm *, uint32_t uid, struct hv_err *);
void qmp_paths_remove (struct qmp_vm *, int keep_logs);
int qmp_listen (const char *path, struct hv_err *);  /* a listening socket, 0600 */
int qmp_connect (const char *path, struct hv_err *); /* non-blocking */
char *qmp_log_tail (struct qmp_vm *, const char *name,
                    uint32_t lines); /* malloc'd, printable, joined by " | "; NULL when there is none */

/* --- nvram.c: EFI variables of a machine [coro] --- */
int qmp_nvram_open (struct qmp_vm *, struct hv_err *); /* made from the template if it is not there; for reading and writing */
void qmp_nvram_remove (struct qmp_vm *);
void qmp_nvram_sweep (struct qmp *); /* before anything else changes the list */

/* --- logs.c: pipes to hvkit-logd [coro] --- */
int qmp_logs_ready (struct qmp *, struct hv_err *);                /* it runs; started if need be */
int qmp_log_open (struct qmp_vm *, uint32_t log, struct hv_err *); /* a pipe's write end, for QEMU */
void qmp_log_sync (struct qmp_vm *, uint32_t log);                 /* what was written is in the file */
void qmp_logs_adopt (struct qmp_vm *);                             /* whoever keeps logs now has this VM's */
void qmp_logs_close (struct qmp *);

/* --- control.c: a VM's monitor --- */
int qmp_control_open (struct qmp_vm *, int fd, struct hv_err *); /* takes the socket */
void qmp_control_close (struct qmp_vm *);
int qmp_control_ready (const struct qmp_vm *);
/* To be called by who has looked after a machine alone (settling, adopting): a connection that was lost meanwhile is made anew. */
void qmp_control_settled (struct qmp_vm *);
/* Runs one command and waits for its reply. *ret (may be NULL) is the "return" and the caller's. DEADLINE_EXCEEDED for a
 * command without side effect, UNKNOWN for one with; UNAVAILABLE when the monitor was lost. [coro] */
int qmp_control_query (struct qmp_vm *, const char *command, json_t *args, json_t **ret, struct hv_err *);
int qmp_control_change (struct qmp_vm *, const char *command, json_t *args, struct hv_err *);
/* A query with a time of its own. */
int qmp_control_ask (struct qmp_vm *, const char *command, json_t *args, uint32_t timeout_ms, json_t **ret, struct hv_err *);
/* The same with a time of its own, for what takes QEMU longer. */
int qmp_control_long (struct qmp_vm *, const char *command, json_t *args, uint32_t timeout_ms, struct hv_err *);
/* Gives QEMU a descriptor: under a name, for "fd:NAME" (one use), or into an fdset, as /dev/fdset/SET. The caller's stays its own.
 */
int qmp_control_pass_fd (struct qmp_vm *, const char *name, int fd, struct hv_err *);
int qmp_control_add_fd (struct qmp_vm *, int64_t set, int fd, const char *opaque, int64_t *ret_fd, struct hv_err *);
void qmp_control_post (struct qmp_vm *, const char *command); /* no answer wanted */
/* Asks for the status and takes it over, without waiting. */
void qmp_control_refresh (struct qmp_vm *);
void qmp_control_heartbeat (struct qmp_vm *);
void qmp_status_apply (struct qmp_vm *, const char *status);
/* RUNNING and its like for what query-status says; *ret_reason is static. */
uint32_t qmp_status_state (const char *status, const char **ret_reason);

/* --- event.c --- */
void qmp_event_handle (struct qmp_vm *, const char *name, const json_t *data);

/* --- watch.c: the end of a process --- */
int qmp_exit_watch (struct qmp_vm *, struct hv_err *); /* after pid and pidfd are set */
void qmp_exit_forget (struct qmp_vm *);
void qmp_kill (struct qmp_vm *, int signum);

/* --- adopt.c --- */
void qmp_adopt_all (struct qmp *);                         /* [coro] in parallel, waits at most config->adopt_ms */
int qmp_adopt_one (struct qmp_vm *, struct hv_err *);      /* [coro] */
void qmp_adopt_later (struct qmp_vm *, uint32_t delay_ms); /* from a timer or a watch */

/* --- node.c, accel.c: what can be run here --- */
void qmp_node_begin (struct qmp *);                /* starts finding out */
int qmp_node_wait (struct qmp *, struct hv_err *); /* [coro] until it is known */
char *qmp_program_beside (const char *name);       /* in the plugin's directory; malloc'd, NULL when out of memory */
int qmp_accel_try (struct qmp *, uint8_t *ret_works, char **ret_reason, struct hv_err *); /* [coro] */

/* --- machine.c: a machine with a device more or less, in the memory of the current call --- */
int qmp_machine_with (struct hv_host *, struct hv_machine *, const struct hv_machine_disk *, const struct hv_machine_nic *);
int qmp_machine_without (struct hv_machine *, const char *device); /* NOT_FOUND */
const struct hv_machine_disk *qmp_machine_disk (const struct hv_machine *, const char *name);
int qmp_machine_has (const struct hv_machine *, const char *device);

/* --- plug.c: devices of a running machine [coro] --- */
#define QMP_ADDRESS 64u
/* Plugs in one of the two. UNKNOWN: it may or may not be there now; else a failure leaves nothing behind. */
int qmp_plug (struct qmp_vm *, const struct hv_machine_disk *, const struct hv_machine_nic *, char address[QMP_ADDRESS],
              struct hv_err *);
void qmp_nodes_drop (struct qmp_vm *, const struct hv_machine_disk *); /* what the disk stood on */
void qmp_netdev_drop (struct qmp_vm *, const char *nic);
int qmp_device_exists (struct qmp_vm *, const char *name, struct hv_err *); /* 1, 0 or an error */

/* --- chain.c: the layers of disks and what snapshots make of them; see there --- */
int qmp_chain_layers (struct hv_host *, const struct hv_machine_disk *, struct hv_machine_layer **ret, uint32_t *ret_count);
void qmp_chain_set (struct hv_machine_disk *, const char *path, uint32_t format, const struct hv_machine_layer *, uint32_t count);
int qmp_chain_drop (struct hv_machine_disk *, const char *path);
int qmp_chain_depth (const struct hv_machine_disk *, const char *path);
int qmp_snapshots_get (struct qmp_vm *, struct qmp_snapshots *ret, struct hv_err *);
int qmp_snapshots_set (struct qmp_vm *, const struct qmp_snapshots *, struct hv_err *);
struct qmp_snapshot *qmp_snapshot_find (const struct qmp_snapshots *, const char *name);
int qmp_snapshot_stands_on (const struct qmp_snapshot *, const char *disk, const char *path);
void qmp_snapshots_without (struct qmp_snapshots *, const char *name, const char *disk, const char *path);
int qmp_snapshots_mention (const struct qmp_snapshots *, const char *name, const char *disk);
void qmp_snapshot_fill (const struct qmp_snapshots *, const struct qmp_snapshot *, struct hv_snapshot_disk *disks,
                        struct hv_snapshot *ret);

/* --- snapshot.c, merge.c, revert.c: what an interruption left [coro] --- */
int qmp_snapshot_resolve (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);
int qmp_merge_resolve (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);
int qmp_discard_resolve (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);

/* --- sample.c: figures that only QEMU has; none of these waits --- */
int qmp_sample_blocks (struct qmp_vm *); /* asks; 0: cannot */
int qmp_sample_memory (struct qmp_vm *);
void qmp_sample_begin (struct qmp_vm *); /* the guest is to report, from now on */
void qmp_sample_clear (struct qmp_sample *);
int qmp_device_of_path (const char *qom_path, char *ret_name, size_t size); /* 1 and the name of a device of the machine */
void qmp_memory_known (const struct qmp_vm *, struct hv_memory_stats *ret, uint64_t now_ms); /* added to what the kernel said */
int qmp_interfaces_read (struct qmp_vm *, const char *only, struct hv_interface_stats *ret, struct hv_err *); /* [coro] */

/* --- block.c: failures of disks --- */
void qmp_fault_note (struct qmp_vm *, const struct hv_io_error *);
void qmp_faults_resumed (struct qmp_vm *);
void qmp_faults_clear (struct qmp_vm *);

/* --- streams.c --- */
void qmp_console_close (struct qmp_vm *);

/* --- hotplug.c --- */
void qmp_device_gone (struct qmp_vm *, const char *name); /* QEMU said so; from a callback */
int qmp_attach_resolve (struct qmp_vm *, const struct qmp_pending *, struct hv_err *);
int qmp_devices_reconcile (struct qmp_vm *, struct hv_err *);

/* --- files.c, taps.c: what the machine stands on [coro] --- */
int qmp_files_probe (struct qmp *, const struct hv_machine *, uint8_t *ret_direct, int strict, struct hv_err *);
int qmp_file_size (const char *path, uint32_t format, uint64_t *ret_bytes, struct hv_err *); /* blocks: in an offload */
int qmp_files_size (struct qmp *, const char *path, uint32_t format, uint64_t *ret_bytes,
                    struct hv_err *); /* as the guest sees it */
int qmp_taps_open (struct qmp *, const struct hv_machine *, int32_t *fds, struct hv_err *);

/* --- start.c, stop.c, agent.c --- */
/* How a machine is started. */
struct qmp_launch {
  const struct hv_machine *machine; /* NULL: the definition */
  const struct qmp_places *places;  /* NULL: its devices one after the other */
  uint8_t paused;
  uint8_t incoming;       /* it waits for a machine's state instead of booting */
  const char *op;         /* for errors: start, restore … */
  const char *run_reason; /* booted, restored … */
  /* Brings that state before the guest may run; NULL: it keeps waiting, and is not acknowledged. */
  int (*load) (struct qmp_vm *, void *arg, struct hv_err *);
  void *arg;
};
int qmp_launch (struct qmp_vm *, const struct qmp_launch *, struct hv_err *); /* [coro] */
int qmp_end (struct qmp_vm *, struct hv_err *);                               /* [coro] the process is gone afterwards */
void qmp_let_go (struct qmp_vm *); /* its guest is off: records that, then tells the process to end */
int qmp_agent_exchange (struct qmp_vm *, const char *command, uint64_t timeout_ms, int answered, char **ret_reply,
                        struct hv_err *); /* [coro] */
void qmp_agent_close (struct qmp_vm *);
int qmp_native_argv (struct qmp_vm *, const struct hv_machine *, const struct qmp_places *, int strict, struct qmp_argv *ret,
                     struct hv_err *); /* [coro] */

/* --- verbs --- */
/* What define checks before it takes a machine, and what it makes of one: machine type pinned, memory in whole MiB. */
int qmp_define_check (struct qmp *, const char *name, const struct hv_machine *, struct hv_err *); /* [coro] */
void qmp_define_pin (const struct qmp *, struct hv_machine *);
int qmp_undefine_vm (struct qmp_vm *, struct hv_err *); /* [coro] it has no process; announced */
void qmp_announce (struct qmp_vm *, const char *reason, int undefined);
int qmp_probe (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_define (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_undefine (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_start (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_shutdown (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_stop (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_list (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_get (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_native (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_adopt (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_agent_command (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_pause (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_resume (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_attach (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_block_info (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_block_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_block_errors (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_interface_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_memory_stats (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_reset (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_reboot (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_send_key (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_screenshot (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_dump_memory (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_logs (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_console (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_display (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_snapshot_create (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_snapshot_list (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_snapshot_revert (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_snapshot_delete (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_resize_block (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_set_memory (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_set_vcpus (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_save (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_restore (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_migrate (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_migrate_in (void *, struct hv_call *, const void *, void *, struct hv_err *);
int qmp_detach (void *, struct hv_call *, const void *, void *, struct hv_err *);

/* --- lacks.c: verbs that only say why they cannot be called --- */
const char *qmp_lacks (const char *verb); /* why, or NULL */
#define QMP_LACKS(verb_, why_) int qmp_lacking_##verb_ (void *, struct hv_call *, const void *, void *, struct hv_err *);
#include "lacks.h"
#undef QMP_LACKS
extern const struct hv_plugin qmp_plugin;
#endif
