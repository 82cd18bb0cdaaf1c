/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables of agent/1: words, records, verbs. Linked into every plugin that provides or calls it. */
#include <hvkit/iface/agent.h>

const char *const hv_agent_freeze_state_words[] = { "thawed", "frozen", NULL };
const char *const hv_agent_shutdown_mode_words[] = { "powerdown", "halt", "reboot", NULL };

const char *const hv_agent_reading_words[]
    = { "info", "osinfo", "hostname", "timezone", "users", "filesystems", "interfaces", "freeze_status", NULL };

HV_RECORD_TABLE (hv_agent_args, HV_AGENT_ARGS, "names a VM");
HV_RECORD_TABLE (hv_agent_ping, HV_AGENT_PING, "the agent answered");
HV_RECORD_TABLE (hv_agent_info, HV_AGENT_INFO, "the agent itself");
HV_RECORD_TABLE (hv_agent_osinfo, HV_AGENT_OSINFO, "the guest's operating system");
HV_RECORD_TABLE (hv_agent_interface, HV_AGENT_INTERFACE, "a network interface in the guest");
HV_RECORD_TABLE (hv_agent_interfaces, HV_AGENT_INTERFACES, "the guest's network interfaces");
HV_RECORD_TABLE (hv_agent_hostname, HV_AGENT_HOSTNAME, "the guest's host name");
HV_RECORD_TABLE (hv_agent_timezone, HV_AGENT_TIMEZONE, "the guest's time zone");
HV_RECORD_TABLE (hv_agent_user, HV_AGENT_USER, "a user that is logged in");
HV_RECORD_TABLE (hv_agent_users, HV_AGENT_USERS, "users that are logged in");
HV_RECORD_TABLE (hv_agent_filesystem, HV_AGENT_FILESYSTEM, "a file system in the guest");
HV_RECORD_TABLE (hv_agent_filesystems, HV_AGENT_FILESYSTEMS, "the guest's file systems");
HV_RECORD_TABLE (hv_agent_freeze_args, HV_AGENT_FREEZE_ARGS, "arguments of freeze");
HV_RECORD_TABLE (hv_agent_freeze_result, HV_AGENT_FREEZE_RESULT, "what was frozen or thawed");
HV_RECORD_TABLE (hv_agent_freeze_status, HV_AGENT_FREEZE_STATUS, "whether the guest is frozen");
HV_RECORD_TABLE (hv_agent_exec_args, HV_AGENT_EXEC_ARGS, "arguments of exec");
HV_RECORD_TABLE (hv_agent_exec_result, HV_AGENT_EXEC_RESULT, "how a program in the guest ended");
HV_RECORD_TABLE (hv_agent_set_time_args, HV_AGENT_SET_TIME_ARGS, "arguments of set_time");
HV_RECORD_TABLE (hv_agent_set_password_args, HV_AGENT_SET_PASSWORD_ARGS, "arguments of set_password");
HV_RECORD_TABLE (hv_agent_user_ref, HV_AGENT_USER_REF, "names a user in the guest");
HV_RECORD_TABLE (hv_agent_ssh_keys_args, HV_AGENT_SSH_KEYS_ARGS, "a user's keys");
HV_RECORD_TABLE (hv_agent_ssh_keys_add_args, HV_AGENT_SSH_KEYS_ADD_ARGS, "arguments of ssh_keys_add");
HV_RECORD_TABLE (hv_agent_ssh_keys, HV_AGENT_SSH_KEYS, "a user's keys");
HV_RECORD_TABLE (hv_agent_shutdown_args, HV_AGENT_SHUTDOWN_ARGS, "arguments of shutdown");
HV_RECORD_TABLE (hv_agent_raw_args, HV_AGENT_RAW_ARGS, "arguments of command");
HV_RECORD_TABLE (hv_agent_changed, HV_AGENT_CHANGED, "a guest says something else than before");
HV_RECORD_TABLE (hv_agent_raw_result, HV_AGENT_RAW_RESULT, "answer to command");

/* --- how the verbs look on the command line --- */
#define HV_VERB(name_, flags_, args_, result_, access_, lane_, key_, timeout_, cli_, doc_) \
  const struct hv_method hv_agent_verb_##name_ = { .struct_size = sizeof (struct hv_method), \
                                                   .flags = (flags_), \
                                                   .verb = #name_, \
                                                   .args = (args_), \
                                                   .result = (result_), \
                                                   .access = HV_ACCESS_CHECKED_ (access_), \
                                                   .lane = (lane_), \
                                                   .key = (key_), \
                                                   .timeout_ms = (timeout_), \
                                                   .cli = (cli_), \
                                                   .doc = (doc_) }
#define HV_VERB_CLI(name_, ...) static const struct hv_cli cli_##name_ = { .struct_size = sizeof (struct hv_cli), __VA_ARGS__ }

HV_VERB_CLI (vm_user, .positional = "vm user", .done = "vm/{vm} keys of {user} changed");
HV_VERB_CLI (ping, .positional = "vm", .columns = "RTT_US=rtt_us");
HV_VERB_CLI (info, .positional = "vm", .columns = "VERSION=version COMMANDS=commands");
HV_VERB_CLI (osinfo, .positional = "vm", .columns = "HOSTNAME=hostname OS=pretty_name KERNEL=kernel_release MACHINE=machine",
             .wide = "ID=id VERSION=version SOURCE=source");
HV_VERB_CLI (interfaces, .positional = "vm", .list = "items", .columns = "NAME=name MAC=mac ADDRESSES=addresses");
HV_VERB_CLI (hostname, .positional = "vm", .columns = "HOSTNAME=hostname");
HV_VERB_CLI (timezone, .positional = "vm", .columns = "ZONE=zone OFFSET_S=offset_s");
HV_VERB_CLI (users, .positional = "vm", .list = "items", .columns = "NAME=name DOMAIN=domain SINCE=login_ms:age");
HV_VERB_CLI (filesystems, .positional = "vm", .list = "items",
             .columns = "MOUNTPOINT=mountpoint TYPE=type USED=used_bytes:bytes SIZE=total_bytes:bytes NAME=name");
HV_VERB_CLI (frozen, .positional = "vm", .done = "vm/{vm}: {filesystems} file systems frozen");
HV_VERB_CLI (thawed, .positional = "vm", .done = "vm/{vm}: {filesystems} file systems thawed");
HV_VERB_CLI (freeze_status, .positional = "vm", .columns = "STATUS=status");
HV_VERB_CLI (exec, .positional = "vm path", .columns = "EXIT=exit_code SIGNAL=signal OUTPUT=output ERROR=error");
HV_VERB_CLI (set_time, .positional = "vm", .done = "vm/{vm} time set");
HV_VERB_CLI (set_password, .positional = "vm user", .done = "vm/{vm} password of {user} set");
HV_VERB_CLI (ssh_keys, .positional = "vm user", .columns = "KEYS=keys");
HV_VERB_CLI (shutdown, .positional = "vm", .done = "vm/{vm} asked to shut down");
HV_VERB_CLI (command, .positional = "vm command");

/* --- the verbs. What asks the guest takes the agent's lane: it answers one question at a time. --- */
HV_VERB (ping, HV_MUST | HV_READ, &hv_agent_args_record, &hv_agent_ping_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000, &cli_ping,
         "Whether the agent answers, and how fast");
HV_VERB (info, HV_MUST | HV_READ, &hv_agent_args_record, &hv_agent_info_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000, &cli_info,
         "The agent's version and the commands it takes");
HV_VERB (osinfo, HV_READ, &hv_agent_args_record, &hv_agent_osinfo_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000, &cli_osinfo,
         "The guest's operating system and host name");
HV_VERB (interfaces, HV_READ, &hv_agent_args_record, &hv_agent_interfaces_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000,
         &cli_interfaces, "The guest's network interfaces and their addresses");
HV_VERB (hostname, HV_READ, &hv_agent_args_record, &hv_agent_hostname_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000, &cli_hostname,
         "The guest's host name");
HV_VERB (timezone, HV_READ, &hv_agent_args_record, &hv_agent_timezone_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000, &cli_timezone,
         "The guest's time zone");
HV_VERB (users, HV_READ, &hv_agent_args_record, &hv_agent_users_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000, &cli_users,
         "Who is logged in");
HV_VERB (filesystems, HV_READ, &hv_agent_args_record, &hv_agent_filesystems_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000,
         &cli_filesystems, "The guest's mounted file systems");
HV_VERB (freeze, 0, &hv_agent_freeze_args_record, &hv_agent_freeze_result_record, HV_OPERATOR, HV_LANE_AGENT, "vm", 120000,
         &cli_frozen, "Flush and freeze the guest's file systems, for a limited time");
HV_VERB (thaw, 0, &hv_agent_args_record, &hv_agent_freeze_result_record, HV_OPERATOR, HV_LANE_AGENT, "vm", 60000, &cli_thawed,
         "Let the guest write again");
HV_VERB (freeze_status, HV_READ, &hv_agent_args_record, &hv_agent_freeze_status_record, HV_VIEWER, HV_LANE_NONE, "vm", 10000,
         &cli_freeze_status, "Whether the guest's file systems are frozen");
HV_VERB (exec, 0, &hv_agent_exec_args_record, &hv_agent_exec_result_record, HV_ADMIN, HV_LANE_AGENT, "vm", 60000, &cli_exec,
         "Run a program in the guest and wait for its end");
HV_VERB (set_time, 0, &hv_agent_set_time_args_record, NULL, HV_OPERATOR, HV_LANE_AGENT, "vm", 10000, &cli_set_time,
         "Set the guest's clock");
HV_VERB (set_password, 0, &hv_agent_set_password_args_record, NULL, HV_ADMIN, HV_LANE_AGENT, "vm", 30000, &cli_set_password,
         "Change a user's password in the guest");
HV_VERB (ssh_keys_get, HV_READ, &hv_agent_user_ref_record, &hv_agent_ssh_keys_record, HV_OPERATOR, HV_LANE_NONE, "vm", 10000,
         &cli_ssh_keys, "The keys a user of the guest may log in with");
HV_VERB (ssh_keys_add, 0, &hv_agent_ssh_keys_add_args_record, NULL, HV_ADMIN, HV_LANE_AGENT, "vm", 30000, &cli_vm_user,
         "Let keys log in as a user of the guest");
HV_VERB (ssh_keys_remove, 0, &hv_agent_ssh_keys_args_record, NULL, HV_ADMIN, HV_LANE_AGENT, "vm", 30000, &cli_vm_user,
         "Take keys of a user of the guest away");
HV_VERB (shutdown, 0, &hv_agent_shutdown_args_record, NULL, HV_OPERATOR, HV_LANE_AGENT, "vm", 10000, &cli_shutdown,
         "Ask the guest to shut down; answers when it was asked, not when it is down");
HV_VERB (command, 0, &hv_agent_raw_args_record, &hv_agent_raw_result_record, HV_ADMIN, HV_LANE_AGENT, "vm", 60000, &cli_command,
         "One command to the agent as it is, and what it returned");

const struct hv_iface hv_iface_agent = {
  .struct_size = sizeof (struct hv_iface),
  .major = 1,
  .name = "agent",
  .doc = "the guest agent of a VM",
  .verbs = (const struct hv_method *const[]){ &hv_agent_verb_ping,
                                              &hv_agent_verb_info,
                                              &hv_agent_verb_osinfo,
                                              &hv_agent_verb_hostname,
                                              &hv_agent_verb_timezone,
                                              &hv_agent_verb_users,
                                              &hv_agent_verb_filesystems,
                                              &hv_agent_verb_interfaces,
                                              &hv_agent_verb_freeze,
                                              &hv_agent_verb_thaw,
                                              &hv_agent_verb_freeze_status,
                                              &hv_agent_verb_exec,
                                              &hv_agent_verb_set_time,
                                              &hv_agent_verb_set_password,
                                              &hv_agent_verb_ssh_keys_get,
                                              &hv_agent_verb_ssh_keys_add,
                                              &hv_agent_verb_ssh_keys_remove,
                                              &hv_agent_verb_shutdown,
                                              &hv_agent_verb_command,
                                              NULL },
  .events
  = (const struct hv_event *const[]){ HV_EVENT ("changed", &hv_agent_changed_record, "A guest says something else than before"),
                                      NULL },
};
