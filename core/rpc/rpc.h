/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/rpc: the msgpack-RPC server on a UNIX socket. Main loop only.
 *
 * A connection's bytes pass the fence before anything decodes them; a failed scan costs that peer its connection and nothing
 * else. The peer's uid (SO_PEERCRED) gives its role; access is checked before arguments are decoded. Output that the peer does
 * not take stops the reading of its requests first and, above a hard limit, ends the connection. */
#ifndef HV_CORE_RPC_H
#define HV_CORE_RPC_H
#include "core/bus/bus.h"

struct hv_rpc;

struct hv_rpc_role {
  uint32_t uid, role;
};
struct hv_rpc_config {
  uint64_t request_bytes, answer_bytes, output_bytes, output_soft_bytes;
  uint32_t connections, connections_per_uid, in_flight;
  const struct hv_rpc_role *uid_roles, *gid_roles; /* copied; gid_roles compare the peer's primary gid and its group list */
  uint32_t uid_role_count, gid_role_count;
  uint32_t socket_mode; /* of the socket file */
};
void hv_rpc_config_defaults (struct hv_rpc_config *);

/* Listens at `path`: bound under a temporary name beside it and renamed, so that its existence means readiness. A socket left by
 * a daemon that is gone is replaced; a live one is ALREADY_EXISTS. */
int hv_rpc_new (struct hv_bus *, const char *path, const struct hv_rpc_config *, struct hv_rpc **ret, struct hv_err *);
/* Closes the listener and unlinks the socket; connections get what is already queued for them, best effort. */
void hv_rpc_free (struct hv_rpc *);
/* Serves a connected socket as a peer of the given uid (tests, fuzzing); takes the descriptor over. */
int hv_rpc_adopt (struct hv_rpc *, int fd, uint32_t uid, uint32_t gid);
void hv_rpc_stats (void *rpc, struct hv_pack *); /* a map */
#endif
