/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The conformance kit. A check is a function that talks to a provider through the fake host and returns, or ends in tck_fail or
 * tck_na. Every check runs in a process of its own, over a fresh instance of the plugin: nothing that one does, not even a crash,
 * is felt by the next. What functions here return belongs to the check and lives until it ends. */
#ifndef HV_TCK_KIT_H
#define HV_TCK_KIT_H
#include "sdk/tck/fakehost.h"
#include <hvkit/iface/hypervisor.h>
#include <jansson.h>

#define TCK_PREFIX  "tck-" /* VMs whose name begins so are the kit's; no other is touched */
#define TCK_LOAD    "load" /* the first check: without it there is no other */
#define TCK_READ_MS 50u    /* a read from what is known answers in less */

struct tck;

struct tck_check {
  const char *id;    /* "events.chain": stable, for --only and for talking about it */
  const char *rule;  /* what the interface asks for, in one line */
  const char *needs; /* optional verbs, separated by spaces, without which it is not applicable; NULL: none */
  void (*run) (struct tck *);
};
struct tck_suite {
  const char *name;                      /* "hypervisor" */
  const struct tck_check *const *groups; /* NULL-terminated; each ends with a check without id */
  void (*prepare) (struct tck *);        /* before each check: learns what is supported */
  void (*clean) (struct tck *);          /* after each check: leaves nothing behind */
};
extern const struct tck_suite tck_hypervisor;

struct tck_options {
  const char *plugin_path, *config, *dir;
  const char *other_config; /* of a second instance; NULL: the same */
  json_t *machine;    /* template of a machine; NULL: the kit's own */
  uint64_t slack_ms;  /* how late an answer may be that is due at once */
  uint64_t settle_ms; /* how long a machine may take to get anywhere */
  uint64_t check_ms;  /* how long a check may take */
};

struct tck {
  const struct tck_options *options;
  const struct hv_plugin *plugin;
  const struct tck_check *check;
  struct hv_fake *host;
  json_t *kept;                /* everything handed out */
  json_t *verbs;               /* of probe: verb → its row */
  char *files;                 /* directory for the check's own files */
  struct tck *other;           /* a second daemon, for checks that need one */
  void (*before_clean) (void); /* of a check that changed something outside the provider */
  int report_fd;
  uint32_t serial; /* of the next uuid */
};

/* --- ends of a check (kit.c) --- */
void tck_fail (struct tck *, const char *fmt, ...) __attribute__ ((noreturn)) HV_PRINTF (2, 3);
void tck_na (struct tck *, const char *why, ...) __attribute__ ((noreturn)) HV_PRINTF (2, 3); /* does not apply to this provider */
#define TCK_CHECK(t, cond, ...) \
  do { \
    if (!(cond)) \
      tck_fail ((t), __VA_ARGS__); \
  } while (0)

/* Keeps a value, or a text, until the check ends. */
json_t *tck_keep (struct tck *, json_t *);
const char *tck_text (struct tck *, const char *fmt, ...) HV_PRINTF (2, 3);
uint64_t tck_now_ms (void);

/* --- calls (call.c): arguments are printf-formatted JSON --- */
struct tck_answer {
  int code;         /* 0 or HV_E_* */
  json_t *result;   /* NULL after an error */
  const char *text; /* the error's message; "" without */
  uint64_t ms;      /* how long it took */
  uint64_t seq;     /* newest event when it came */
};
struct tck_answer tck_call (struct tck *, const char *verb, const char *fmt, ...) HV_PRINTF (3, 4);
struct hv_fake_call *tck_begin (struct tck *, const char *verb, const char *fmt, ...) HV_PRINTF (3, 4);
struct tck_answer tck_end (struct tck *, struct hv_fake_call *);
/* The same, and the check fails unless it succeeds, or unless it is refused with this code. */
json_t *tck_ok (struct tck *, const char *verb, const char *fmt, ...) HV_PRINTF (3, 4);
const char *tck_refused (struct tck *, int code, const char *verb, const char *fmt, ...) HV_PRINTF (4, 5);
/* Arguments that name this VM and are valid for the verb; NULL for verbs that name none. */
const char *tck_args (struct tck *, const char *verb, const char *vm);
int tck_supported (struct tck *, const char *verb);

const char *tck_str (const json_t *, const char *member); /* "" when absent */
int64_t tck_int (const json_t *, const char *member);     /* -1 when absent */
const char *tck_dump (struct tck *, const json_t *);      /* as text, for messages */

/* --- VMs (vm.c) --- */
json_t *tck_machine (struct tck *, const char *vm);    /* the template with this name and a new uuid: the caller may change it */
const char *tck_name (struct tck *, const char *name); /* with the kit's prefix */
json_t *tck_define_as (struct tck *, const char *vm, const json_t *machine);
const char *tck_define (struct tck *, const char *name);  /* returns the VM's whole name */
const char *tck_running (struct tck *, const char *name); /* defined and started */
json_t *tck_get (struct tck *, const char *vm);
const char *tck_state (struct tck *, const char *vm);
int tck_is (struct tck *, const char *vm, const char *state);
int tck_wait_state (struct tck *, const char *vm, const char *state, uint64_t ms); /* 1 when it is reached */
/* Neither starting nor stopping any more; returns the state. Fails when it does not come to rest. */
const char *tck_settled (struct tck *, const char *vm);
const char *tck_rested (struct tck *, const char *vm, uint64_t ms); /* the same, but what is after this long is good enough */
/* Brings a defined VM into a state by verbs: stopped, running, paused; crashed by killing its process (0 where that cannot be
 * done). The check fails where a verb does. */
int tck_reach (struct tck *, const char *vm, const char *state);
/* The process of the machine is killed behind the provider's back. 0 when it has none that could be. */
int tck_kill (struct tck *, const char *vm);
void tck_run (struct tck *, uint64_t ms); /* lets the provider run for this long */

/* A second daemon over directories of its own; everything here works on it, too. It is cleaned with the first. */
struct tck *tck_other (struct tck *);

/* --- events (event.c) --- */
uint64_t tck_mark (struct tck *); /* the newest event now */
/* What came after `from`, as [{seq, event, data}]; of one VM, and of one event, where they are not NULL. */
json_t *tck_events (struct tck *, uint64_t from, const char *event, const char *vm);
json_t *tck_wait_event (struct tck *, uint64_t from, const char *event, const char *vm,
                        uint64_t ms); /* the first one's data, or NULL */
/* The lifecycle events are one unbroken, legal chain that begins in the state `was` and ends in `state`. */
void tck_chain (struct tck *, const json_t *events, const char *was, const char *state);
void tck_decode (struct tck *, uint64_t from); /* every event after `from` fits its record exactly */
int tck_state_index (const char *word);        /* HV_VM_*, or -1 */

/* --- files (file.c) --- */
const char *tck_path (struct tck *, const char *name);
const char *tck_raw (struct tck *, const char *name, uint64_t size);           /* a sparse image */
const char *tck_overlay (struct tck *, const char *name, const char *backing); /* qcow2 over an image */
void tck_disk_provider (struct tck *);    /* a provider that needs an overlay calls disk-qcow2.overlay: here it is answered */
int64_t tck_file_size (const char *path); /* -1 when there is none */

/* --- running checks (run.c) and telling about it (report.c) --- */
#define TCK_PASS 0u
#define TCK_FAIL 1u
#define TCK_NA   2u
extern const char *const tck_outcome_words[];
struct tck_result {
  const struct tck_check *check;
  uint32_t outcome;
  char *text; /* why it failed, or does not apply; NULL */
  char *log;  /* the last lines that the plugin and the core logged; NULL */
  uint64_t ms;
};
void tck_run_check (const struct tck_suite *, const struct tck_check *, const struct tck_options *, struct tck_result *ret);
void tck_run_clean (const struct tck_suite *, const struct tck_options *);
void tck_result_clear (struct tck_result *);
void tck_adopt_orphans (void); /* before the first check */
void tck_end_orphans (void);   /* after the last: processes that a wrong provider does not know any more */

struct tck_report {
  int json, colour;
  uint32_t counts[3];
  json_t *rows;
};
void tck_report_row (struct tck_report *, const struct tck_result *);
void tck_report_end (struct tck_report *, const char *suite, const struct tck_options *);
#endif
