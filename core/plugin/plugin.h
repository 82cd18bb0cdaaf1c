/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/plugin: manifests, loading, the checks of a plugin's tables, and the supervisor that starts and stops instances in order. */
#ifndef HV_CORE_PLUGIN_H
#define HV_CORE_PLUGIN_H
#include "core/bus/instance.h"

/* --- manifests --- */

#define HV_MANIFEST(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name of the instance; methods are <name>.<verb>", .pattern = "name") \
  F (T, STR, _, plugin, HV_REQUIRED, "shared object: a name in the plugin directory, or an absolute path", .umin = 1, .max = 4096) \
  F (T, ENUM, hv_isolation, isolation, 0, "where it runs: the daemon's own loop, a thread, a process", .def = "thread") \
  F (T, BOOL, _, required, 0, "the daemon does not start without it", .def = "false") \
  F (T, BOOL, _, enabled, 0, "false: the file is checked and listed, nothing is started", .def = "true") \
  F (T, ENUM, hv_role, role, 0, "what it may call on the bus", .def = "operator") \
  F (T, ANY, _, config, 0, "the plugin's own settings")
extern const char *const hv_isolation_words[];
extern const char *const hv_role_words[]; /* nobody, viewer, operator, admin: the index is the role */
HV_RECORD_STRUCT (hv_manifest, HV_MANIFEST);

#define HV_CORE_LIMITS(F, T) \
  F (T, U64, _, request_bytes, 0, "one frame from a client", .unit = "bytes", .umin = 4096, .max = 67108864) \
  F (T, U64, _, answer_bytes, 0, "one frame to a client", .unit = "bytes", .umin = 4096, .max = 268435456) \
  F (T, U64, _, output_bytes, 0, "unsent output of one connection", .unit = "bytes", .umin = 65536, .max = 1073741824) \
  F (T, U32, _, connections, 0, "all together", .umin = 1, .max = 65536) \
  F (T, U32, _, connections_per_uid, 0, "of one uid that is not admin", .umin = 1, .max = 65536) \
  F (T, U32, _, in_flight, 0, "unanswered calls of one connection", .umin = 1, .max = 65536) \
  F (T, U32, _, event_log, 0, "events kept for resuming", .umin = 16, .max = 16777216) \
  F (T, U64, _, event_log_bytes, 0, "and their bytes", .unit = "bytes", .umin = 65536, .max = 4294967296) \
  F (T, U32, _, streams, 0, "byte streams of one instance", .umin = 1, .max = 65536) \
  F (T, U32, _, streams_per_uid, 0, "of one uid that is neither root nor the daemon's", .umin = 1, .max = 65536) \
  F (T, U32, _, stream_token_ms, 0, "a stream's token is good for this long", .unit = "ms", .umin = 10, .max = 3600000)
HV_RECORD_STRUCT (hv_core_limits, HV_CORE_LIMITS);

#define HV_CORE_CONFIG(F, T) \
  F (T, MAP, _, uids, 0, "uid or user name to role: {\"1000\": \"viewer\"}", .max = 256) \
  F (T, MAP, _, gids, 0, "gid or group name to role", .max = 256) \
  F (T, STR, _, socket_mode, 0, "octal mode of the socket file", .def = "0666", .max = 4) \
  F (T, STR, _, log, 0, "log levels: info, or info,qmp=debug", .max = 1024) \
  F (T, REC, hv_core_limits, limits, 0, "absent ones keep their defaults, see limits.h")
HV_RECORD_STRUCT (hv_core_config, HV_CORE_CONFIG);

/* One manifest file as read. `text` decides whether a reload changed it. */
struct hv_manifest_file {
  struct hv_manifest manifest; /* pointers into arena */
  struct hv_arena arena;
  char *path, *text;
};
/* Reads and checks one file. Errors name file and, where a key or JSON is wrong, the line. */
int hv_manifest_read (const char *path, struct hv_manifest_file **ret, struct hv_err *);
void hv_manifest_free (struct hv_manifest_file *);
/* DIR/core.json; absent is all defaults. */
int hv_core_config_read (const char *dir, struct hv_arena *, struct hv_core_config *ret, struct hv_err *);

/* --- loading --- */

/* Opens the shared object after checking that nobody but root and the daemon's uid can have written it or any directory above,
 * and that no component is a symbolic link; then checks its ABI and tables. The code is never unmapped. */
int hv_plugin_load (const char *path, const struct hv_plugin **ret, struct hv_err *);
/* The tables alone: names, access, records, bases, the required verbs of the interfaces it says it provides. */
int hv_plugin_check (const struct hv_plugin *, struct hv_err *);

/* --- supervisor: main loop --- */

struct hv_supervisor;
struct hv_supervisor_config {
  const char *manifest_dir, *plugin_dir, *state_dir, *run_dir; /* copied */
};
struct hv_supervisor *hv_supervisor_new (struct hv_bus *, const struct hv_supervisor_config *, struct hv_err *);
void hv_supervisor_free (struct hv_supervisor *);
/* Reads all manifests and loads all plugins, starting nothing. Every problem is one log line. Returns how many there are. */
uint32_t hv_supervisor_check (struct hv_supervisor *);
/* Starts everything in the order of needs; done (arg, failed) where `failed` counts the required ones that did not start. */
void hv_supervisor_start (struct hv_supervisor *, void (*done) (void *arg, uint32_t failed), void *arg);
/* Rereads the manifests: changed ones are stopped and started, new ones started, removed ones stopped; the rest is not touched. */
void hv_supervisor_reload (struct hv_supervisor *, void (*done) (void *arg, uint32_t failed), void *arg);
void hv_supervisor_stop (struct hv_supervisor *, void (*done) (void *arg, uint32_t leaked), void *arg);
void hv_supervisor_describe (void *supervisor, struct hv_pack *); /* the array of bus.plugins */
#endif
