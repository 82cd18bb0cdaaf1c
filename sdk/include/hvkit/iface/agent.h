/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/1: the guest agent of a VM, whatever backend runs it. Everything a guest says is hostile input. */
#ifndef HVKIT_IFACE_AGENT_H
#define HVKIT_IFACE_AGENT_H
#include <hvkit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How old an answer is: one that is not may be had with _max_age_ms. */
#define HV_AGENT_AGE_FIELDS_(F, T) \
  F (T, U64, _, age_ms, 0, "age of this answer", .unit = "ms") \
  F (T, STR, _, source, 0, "live or cache")

#define HV_AGENT_ARGS(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190) \
  F (T, STR, _, backend, 0, "instance that runs it; absent: the only hypervisor there is", .max = 64)
HV_RECORD_STRUCT (hv_agent_args, HV_AGENT_ARGS);

#define HV_AGENT_PING(F, T) F (T, U64, _, rtt_us, HV_REQUIRED, "time the guest took to answer", .unit = "us")
HV_RECORD_STRUCT (hv_agent_ping, HV_AGENT_PING);

#define HV_AGENT_INFO(F, T) \
  F (T, STR, _, version, HV_REQUIRED, "version of the agent", .max = 128) \
  F (T, STRS, _, commands, HV_REQUIRED, "commands that are enabled in the guest", .max = 256) \
  HV_AGENT_AGE_FIELDS_ (F, T)
HV_RECORD_STRUCT (hv_agent_info, HV_AGENT_INFO);

#define HV_AGENT_OSINFO(F, T) \
  F (T, STR, _, id, 0, "debian") \
  F (T, STR, _, name, 0, "Debian GNU/Linux") \
  F (T, STR, _, pretty_name, 0, "Debian GNU/Linux 12 (bookworm)") \
  F (T, STR, _, version, 0, "12 (bookworm)") \
  F (T, STR, _, version_id, 0, "12") \
  F (T, STR, _, kernel_release, 0, "uname -r") \
  F (T, STR, _, kernel_version, 0, "uname -v") \
  F (T, STR, _, machine, 0, "x86_64") \
  F (T, STR, _, hostname, 0, "the guest's host name") \
  HV_AGENT_AGE_FIELDS_ (F, T)
HV_RECORD_STRUCT (hv_agent_osinfo, HV_AGENT_OSINFO);

#define HV_AGENT_INTERFACE(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "name in the guest") \
  F (T, STR, _, mac, 0, "hardware address") \
  F (T, STRS, _, addresses, 0, "address/prefix")
HV_RECORD_STRUCT (hv_agent_interface, HV_AGENT_INTERFACE);
#define HV_AGENT_INTERFACES(F, T) \
  F (T, RECS, hv_agent_interface, items, HV_REQUIRED, "the guest's network interfaces") \
  HV_AGENT_AGE_FIELDS_ (F, T)
HV_RECORD_STRUCT (hv_agent_interfaces, HV_AGENT_INTERFACES);

/* --- further verbs ------------------------------------------------------------------------------------------- */

#define HV_AGENT_VM_FIELDS_(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name", .umin = 1, .max = 190) \
  F (T, STR, _, backend, 0, "instance that runs it; absent: the only hypervisor there is", .max = 64)

#define HV_AGENT_HOSTNAME(F, T) \
  F (T, STR, _, hostname, HV_REQUIRED, "the guest's host name") \
  HV_AGENT_AGE_FIELDS_ (F, T)
HV_RECORD_STRUCT (hv_agent_hostname, HV_AGENT_HOSTNAME);

#define HV_AGENT_TIMEZONE(F, T) \
  F (T, STR, _, zone, 0, "name or abbreviation: CET") \
  F (T, I64, _, offset_s, HV_REQUIRED, "seconds east of UTC", .unit = "s") \
  HV_AGENT_AGE_FIELDS_ (F, T)
HV_RECORD_STRUCT (hv_agent_timezone, HV_AGENT_TIMEZONE);

#define HV_AGENT_USER(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "login name") \
  F (T, STR, _, domain, 0, "Windows domain") \
  F (T, U64, _, login_ms, 0, "logged in at, ms since 1970", .unit = "ms")
HV_RECORD_STRUCT (hv_agent_user, HV_AGENT_USER);
#define HV_AGENT_USERS(F, T) \
  F (T, RECS, hv_agent_user, items, HV_REQUIRED, "users that are logged in") \
  HV_AGENT_AGE_FIELDS_ (F, T)
HV_RECORD_STRUCT (hv_agent_users, HV_AGENT_USERS);

#define HV_AGENT_FILESYSTEM(F, T) \
  F (T, STR, _, name, HV_REQUIRED, "device or volume, as the guest names it") \
  F (T, STR, _, mountpoint, HV_REQUIRED, "where it is mounted") \
  F (T, STR, _, type, 0, "ext4, xfs, NTFS …") \
  F (T, U64, _, used_bytes, 0, "in use", .unit = "bytes") \
  F (T, U64, _, total_bytes, 0, "size for ordinary users", .unit = "bytes") \
  F (T, STRS, _, serials, 0, "serial numbers of the disks it is on")
HV_RECORD_STRUCT (hv_agent_filesystem, HV_AGENT_FILESYSTEM);
#define HV_AGENT_FILESYSTEMS(F, T) \
  F (T, RECS, hv_agent_filesystem, items, HV_REQUIRED, "file systems that are mounted") \
  HV_AGENT_AGE_FIELDS_ (F, T)
HV_RECORD_STRUCT (hv_agent_filesystems, HV_AGENT_FILESYSTEMS);

/* A frozen guest that nobody thaws hangs; so the provider thaws it after timeout_ms, whatever happens. */
#define HV_AGENT_FREEZE_ARGS(F, T) \
  HV_AGENT_VM_FIELDS_ (F, T) \
  F (T, STRS, _, mountpoints, 0, "only these; absent: all", .max = 256) \
  F (T, U32, _, timeout_ms, 0, "thawed after this long if nobody does it before", .unit = "ms", .def = "10000", .umin = 100, \
     .max = 600000)
HV_RECORD_STRUCT (hv_agent_freeze_args, HV_AGENT_FREEZE_ARGS);
#define HV_AGENT_FREEZE_RESULT(F, T) F (T, U32, _, filesystems, HV_REQUIRED, "how many were frozen or thawed")
HV_RECORD_STRUCT (hv_agent_freeze_result, HV_AGENT_FREEZE_RESULT);
#define HV_AGENT_THAWED 0u
#define HV_AGENT_FROZEN 1u
extern const char *const hv_agent_freeze_state_words[];
#define HV_AGENT_FREEZE_STATUS(F, T) \
  F (T, ENUM, hv_agent_freeze_state, status, HV_REQUIRED, "as the guest says") \
  HV_AGENT_AGE_FIELDS_ (F, T)
HV_RECORD_STRUCT (hv_agent_freeze_status, HV_AGENT_FREEZE_STATUS);

#define HV_AGENT_EXEC_ARGS(F, T) \
  HV_AGENT_VM_FIELDS_ (F, T) \
  F (T, STR, _, path, HV_REQUIRED, "program in the guest", .umin = 1, .max = 4096) \
  F (T, STRS, _, args, 0, "its arguments; no shell is involved", .max = 256) \
  F (T, STRS, _, env, 0, "NAME=VALUE; absent: the agent's own", .max = 256) \
  F (T, BIN, _, input, 0, "its standard input", .max = 262144) \
  F (T, U32, _, max_output_bytes, 0, "of each of output and error; the rest is cut off", .unit = "bytes", .def = "1048576", \
     .max = 8388608)
HV_RECORD_STRUCT (hv_agent_exec_args, HV_AGENT_EXEC_ARGS);
#define HV_AGENT_EXEC_RESULT(F, T) \
  F (T, I64, _, exit_code, 0, "if it ended by itself") \
  F (T, U32, _, signal, 0, "if a signal ended it; Windows: the exception") \
  F (T, BIN, _, output, 0, "its standard output") \
  F (T, BIN, _, error, 0, "its standard error") \
  F (T, BOOL, _, output_truncated, 0, "there was more") \
  F (T, BOOL, _, error_truncated, 0, "there was more")
HV_RECORD_STRUCT (hv_agent_exec_result, HV_AGENT_EXEC_RESULT);

#define HV_AGENT_SET_TIME_ARGS(F, T) \
  HV_AGENT_VM_FIELDS_ (F, T) \
  F (T, U64, _, time_ns, 0, "ns since 1970; absent: the node's time now", .unit = "ns")
HV_RECORD_STRUCT (hv_agent_set_time_args, HV_AGENT_SET_TIME_ARGS);

#define HV_AGENT_SET_PASSWORD_ARGS(F, T) \
  HV_AGENT_VM_FIELDS_ (F, T) \
  F (T, STR, _, user, HV_REQUIRED, "user in the guest; has to exist", .umin = 1, .max = 256) \
  F (T, STR, _, password, HV_REQUIRED | HV_SECRET, "new password", .max = 1024) \
  F (T, BOOL, _, crypted, 0, "it is what crypt(3) made of it", .def = "false")
HV_RECORD_STRUCT (hv_agent_set_password_args, HV_AGENT_SET_PASSWORD_ARGS);

#define HV_AGENT_USER_REF(F, T) \
  HV_AGENT_VM_FIELDS_ (F, T) \
  F (T, STR, _, user, HV_REQUIRED, "user in the guest", .umin = 1, .max = 256)
HV_RECORD_STRUCT (hv_agent_user_ref, HV_AGENT_USER_REF);
#define HV_AGENT_SSH_KEYS_ARGS(F, T) \
  HV_AGENT_VM_FIELDS_ (F, T) \
  F (T, STR, _, user, HV_REQUIRED, "user in the guest", .umin = 1, .max = 256) \
  F (T, STRS, _, keys, HV_REQUIRED, "lines of authorized_keys", .umin = 1, .max = 256)
HV_RECORD_STRUCT (hv_agent_ssh_keys_args, HV_AGENT_SSH_KEYS_ARGS);
#define HV_AGENT_SSH_KEYS_ADD_ARGS(F, T) \
  HV_AGENT_SSH_KEYS_ARGS (F, T) \
  F (T, BOOL, _, replace, 0, "in place of all that are there", .def = "false")
HV_RECORD_STRUCT (hv_agent_ssh_keys_add_args, HV_AGENT_SSH_KEYS_ADD_ARGS);
#define HV_AGENT_SSH_KEYS(F, T) F (T, STRS, _, keys, HV_REQUIRED, "lines of authorized_keys")
HV_RECORD_STRUCT (hv_agent_ssh_keys, HV_AGENT_SSH_KEYS);

#define HV_AGENT_POWERDOWN 0u
#define HV_AGENT_HALT      1u
#define HV_AGENT_REBOOT    2u
extern const char *const hv_agent_shutdown_mode_words[];
#define HV_AGENT_SHUTDOWN_ARGS(F, T) \
  HV_AGENT_VM_FIELDS_ (F, T) \
  F (T, ENUM, hv_agent_shutdown_mode, mode, 0, "what the guest is asked for", .def = "powerdown")
HV_RECORD_STRUCT (hv_agent_shutdown_args, HV_AGENT_SHUTDOWN_ARGS);

#define HV_AGENT_RAW_ARGS(F, T) \
  HV_AGENT_VM_FIELDS_ (F, T) \
  F (T, STR, _, command, HV_REQUIRED, "one JSON object, as the agent takes it", .umin = 2, .max = 1048576)
HV_RECORD_STRUCT (hv_agent_raw_args, HV_AGENT_RAW_ARGS);
#define HV_AGENT_RAW_RESULT(F, T) F (T, STR, _, reply, HV_REQUIRED, "what the agent returned, as JSON; not to be trusted")
HV_RECORD_STRUCT (hv_agent_raw_result, HV_AGENT_RAW_RESULT);

/* --- events --- */

/* A provider asks guests by itself, as often as it is configured to, and says when one answers something else than before. The value
 * is had with _max_age_ms, from what is known. */
extern const char *const hv_agent_reading_words[]; /* the verbs: info, osinfo, hostname, timezone, users, filesystems, interfaces, freeze_status */
#define HV_AGENT_CHANGED(F, T) \
  F (T, STR, _, vm, HV_REQUIRED, "domain name") \
  F (T, STR, _, backend, HV_REQUIRED, "instance that runs it") \
  F (T, ENUM, hv_agent_reading, what, HV_REQUIRED, "the verb whose answer changed")
HV_RECORD_STRUCT (hv_agent_changed, HV_AGENT_CHANGED);

/* --- the verbs: base tables for HV_IMPLEMENT --- */
extern const struct hv_method hv_agent_verb_ping, hv_agent_verb_info, hv_agent_verb_osinfo, hv_agent_verb_interfaces;
extern const struct hv_method hv_agent_verb_hostname, hv_agent_verb_timezone, hv_agent_verb_users, hv_agent_verb_filesystems,
    hv_agent_verb_freeze, hv_agent_verb_thaw, hv_agent_verb_freeze_status, hv_agent_verb_exec, hv_agent_verb_set_time,
    hv_agent_verb_set_password, hv_agent_verb_ssh_keys_get, hv_agent_verb_ssh_keys_add, hv_agent_verb_ssh_keys_remove,
    hv_agent_verb_shutdown, hv_agent_verb_command;
extern const struct hv_iface hv_iface_agent;

#ifdef __cplusplus
}
#endif
#endif
