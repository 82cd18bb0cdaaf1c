/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A fake host for component tests: the core's own bus, loop and schema around one plugin that is linked into the test, and
 * scripted answers in place of every other plugin. All functions run on the test's thread and drive the loop themselves;
 * they abort with a message on misuse. JSON in, JSON out, so that a test reads like a conversation. */
#ifndef HV_TCK_FAKEHOST_H
#define HV_TCK_FAKEHOST_H
#include <hvkit/plugin.h>

struct hv_fake;

/* Starts `plugin` as an instance named plugin->name with this config ("{}" or NULL: defaults). `dir` holds its state and run
 * directories and is kept; NULL makes a temporary one that hv_fake_free removes. On a failing start: NULL and *ret_error
 * (malloc'd text; may be NULL to abort instead). */
struct hv_fake *hv_fake_new (const struct hv_plugin *plugin, const char *config_json, const char *dir, char **ret_error);
void hv_fake_free (struct hv_fake *);
/* Stops and starts the instance over the same directories (what a restart of the daemon does to it). */
void hv_fake_restart (struct hv_fake *);
/* The two halves of it, for what happens while the daemon is away. hv_fake_up returns 0, or -1 and *ret_error (malloc'd; may be
 * NULL to abort instead); in between nothing may be called. */
void hv_fake_down (struct hv_fake *);
int hv_fake_up (struct hv_fake *, char **ret_error);
const char *hv_fake_dir (const struct hv_fake *);

/* Calls a verb of the plugin and runs the loop until it answers. Returns malloc'd text: the result as JSON and *ret_code 0, or the
 * error's message and its HV_E_* code. */
char *hv_fake_call (struct hv_fake *, const char *verb, const char *args_json, int *ret_code);
/* The same, not waiting: a handle to collect with hv_fake_finish, or to cancel first. */
struct hv_fake_call;
struct hv_fake_call *hv_fake_call_start (struct hv_fake *, const char *verb, const char *args_json);
void hv_fake_call_cancel (struct hv_fake_call *);
char *hv_fake_call_finish (struct hv_fake_call *, int *ret_code);
/* Runs the loop until it is answered, or for this long; 1 if it is. It is still to be collected. */
int hv_fake_call_wait (struct hv_fake_call *, uint64_t timeout_ms);
/* About an answer that came: how long it took, and the newest event there was when it came. */
struct hv_fake_took {
  uint64_t ms, seq;
};
struct hv_fake_took hv_fake_call_took (const struct hv_fake_call *);

/* What a call of the plugin to "instance.verb" is answered with: JSON and code 0, or a message and a code. */
typedef char *hv_fake_answer_fn (void *arg, const char *args_json, int *ret_code); /* returns malloc'd text */
void hv_fake_answer (struct hv_fake *, const char *method, hv_fake_answer_fn *, void *arg);
void hv_fake_answer_json (struct hv_fake *, const char *method, int code, const char *text);
/* Interfaces that bus.describe says a scripted instance provides: ("qmp", "hypervisor", 1). */
void hv_fake_provide (struct hv_fake *, const char *instance, const char *iface, uint32_t major);

/* Attaches to a byte stream that a call of hv_fake_call was answered with: the client's end of it, a blocking stream socket, or -1 when
 * the token is not good (any more). Bytes move while the loop runs (hv_fake_run_until). */
int hv_fake_attach (struct hv_fake *, const char *token);

/* Publishes an event as if another instance had ("qmp.lifecycle", JSON). */
void hv_fake_emit (struct hv_fake *, const char *topic, const char *data_json);
/* Waits for the next event of the plugin whose topic matches; returns its data as malloc'd JSON, or NULL after the timeout. Events
 * that came earlier and were not taken count. */
char *hv_fake_wait_event (struct hv_fake *, const char *topic_glob, uint64_t timeout_ms);
/* Reading the event log without taking from it. `*cursor` is the seq of the last event read; hv_fake_seq is the newest one's.
 * Returns 1 and the event, whose members are the caller's to free (`data` is msgpack), or 0 when there is none yet. */
struct hv_fake_event {
  uint64_t seq;
  char *topic, *json;
  uint8_t *data;
  uint64_t size;
};
uint64_t hv_fake_seq (struct hv_fake *);
int hv_fake_event_next (struct hv_fake *, uint64_t *cursor, struct hv_fake_event *ret);
void hv_fake_event_clear (struct hv_fake_event *);
/* Runs the loop until fn (arg) is true; 0 after the timeout. */
int hv_fake_run_until (struct hv_fake *, int (*fn) (void *arg), void *arg, uint64_t timeout_ms);
#endif
