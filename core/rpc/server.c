/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The listener: who may connect, as what, and how many. */
#include "core/err/err.h"
#include "core/limits.h"
#include "core/log/log.h"
#include "core/rpc/private.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ACCEPT_PAUSE_MS 100u
#define GROUPS_MAX      256

void
hv_rpc_config_defaults (struct hv_rpc_config *c)
{
  *c = (struct hv_rpc_config){ .request_bytes = HV_LIMIT_REQUEST_BYTES,
                               .answer_bytes = HV_LIMIT_ANSWER_BYTES,
                               .output_bytes = HV_LIMIT_OUTPUT_BYTES,
                               .output_soft_bytes = HV_LIMIT_OUTPUT_SOFT_BYTES,
                               .connections = HV_LIMIT_CONNECTIONS,
                               .connections_per_uid = HV_LIMIT_CONNECTIONS_PER_UID,
                               .in_flight = HV_LIMIT_IN_FLIGHT,
                               .socket_mode = 0666 };
}

/* --- roles --- */

static uint32_t
role_listed (const struct hv_rpc_role *list, uint32_t n, uint32_t id)
{
  uint32_t best = 0;
  for (uint32_t i = 0; i < n; i++)
    if (list[i].uid == id && list[i].role > best)
      best = list[i].role;
  return best;
}

/* root and the daemon's own uid are admin; others have what core.json gives their uid or one of their groups. */
static uint32_t
role_of (const struct hv_rpc *rpc, int fd, uint32_t uid, uint32_t gid)
{
  const struct hv_rpc_config *c = &rpc->config;
  gid_t groups[GROUPS_MAX];
  socklen_t size = sizeof groups;
  if (uid == 0 || uid == (uint32_t) geteuid ())
    return HV_ADMIN;
  uint32_t best = role_listed (c->uid_roles, c->uid_role_count, uid), r = role_listed (c->gid_roles, c->gid_role_count, gid);
  best = r > best ? r : best;
  if (fd < 0 || getsockopt (fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
    return best;
  for (size_t i = 0; i < size / sizeof *groups; i++) {
    r = role_listed (c->gid_roles, c->gid_role_count, (uint32_t) groups[i]);
    best = r > best ? r : best;
  }
  return best;
}

static uint32_t
conns_of_uid (const struct hv_rpc *rpc, uint32_t uid)
{
  uint32_t n = 0;
  for (struct hv_list *l = rpc->conns.next; l != &rpc->conns; l = l->next)
    n += hv_container (l, struct hv_conn, node)->peer.uid == uid;
  return n;
}

static int
rpc_admit (struct hv_rpc *rpc, int fd, uint32_t uid, uint32_t gid)
{
  uint32_t role = role_of (rpc, fd, uid, gid);
  if (role == 0)
    hv_log_line ("rpc", HV_LOG_NOTICE, "uid %u has no role; its calls will be refused", uid);
  if (rpc->conn_count >= rpc->config.connections || (role != HV_ADMIN && conns_of_uid (rpc, uid) >= rpc->config.connections_per_uid)) {
    hv_log_line ("rpc", HV_LOG_WARNING, "connection of uid %u refused: too many are open (%u)", uid, rpc->conn_count);
    rpc->refused++;
    return HV_E_RESOURCE_EXHAUSTED;
  }
  if (hv_conn_new (rpc, fd, uid, role) == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  rpc->accepted++;
  return 0;
}

int
hv_rpc_adopt (struct hv_rpc *rpc, int fd, uint32_t uid, uint32_t gid)
{
  int r = rpc_admit (rpc, fd, uid, gid);
  if (r < 0)
    (void) close (fd);
  return r;
}

/* --- accepting --- */

static void
accept_resume (void *arg)
{
  hv_loop_watch_set (((struct hv_rpc *) arg)->watch, HV_WAIT_READ);
}

/* Out of descriptors: the spare one lets us take the peer and turn it away, then accepting pauses instead of spinning. */
static void
accept_starved (struct hv_rpc *rpc)
{
  (void) close (rpc->spare_fd);
  int fd = accept4 (rpc->listen_fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd >= 0)
    (void) close (fd);
  rpc->spare_fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  rpc->refused++;
  hv_log_line ("rpc", HV_LOG_ERROR, "out of file descriptors: a connection was turned away");
  hv_loop_watch_set (rpc->watch, 0);
  hv_loop_timer_set (rpc->accept_pause, ACCEPT_PAUSE_MS, 0);
}

static void
accept_ready (void *arg, uint32_t ready)
{
  struct hv_rpc *rpc = arg;
  (void) ready;
  for (int i = 0; i < 64; i++) {
    struct ucred who;
    socklen_t size = sizeof who;
    int fd = accept4 (rpc->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE)
        accept_starved (rpc);
      return;
    }
    if (getsockopt (fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
      (void) close (fd);
    else
      (void) hv_rpc_adopt (rpc, fd, (uint32_t) who.uid, (uint32_t) who.gid);
  }
}

/* --- before the loop blocks, and when events came --- */

static void
rpc_prepare (void *arg)
{
  struct hv_rpc *rpc = arg;
  while (!hv_list_empty (&rpc->dirty))
    hv_conn_settle (hv_container (rpc->dirty.next, struct hv_conn, dirty_node));
}

static void
rpc_events (void *arg)
{
  struct hv_rpc *rpc = arg;
  for (struct hv_list *l = rpc->conns.next; l != &rpc->conns; l = l->next) {
    struct hv_conn *c = hv_container (l, struct hv_conn, node);
    if (c->subs != NULL)
      hv_conn_dirty (c);
  }
}

/* --- the socket file --- */

static int
socket_address (const char *path, struct sockaddr_un *ret, struct hv_err *err)
{
  memset (ret, 0, sizeof *ret);
  ret->sun_family = AF_UNIX;
  if (strlen (path) >= sizeof ret->sun_path)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "socket '%s': the path is longer than %zu bytes", path, sizeof ret->sun_path - 1);
  memcpy (ret->sun_path, path, strlen (path) + 1);
  return 0;
}

static int
socket_in_use (const char *path, struct hv_err *err)
{
  struct sockaddr_un a;
  int r = socket_address (path, &a, err);
  if (r < 0)
    return r;
  HV_CLEAN (hv_fd) int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect (fd, (const struct sockaddr *) &a, sizeof a) == 0)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "socket '%s': another daemon answers there", path);
  return 0;
}

static int
rpc_listen (struct hv_rpc *rpc, struct hv_err *err)
{
  char temp[sizeof ((struct sockaddr_un *) 0)->sun_path + 32];
  struct sockaddr_un a;
  struct stat st;
  (void) snprintf (temp, sizeof temp, "%s.%ld", rpc->path, (long) getpid ());
  int r = socket_in_use (rpc->path, err);
  if (r == 0)
    r = socket_address (temp, &a, err);
  if (r < 0)
    return r;
  rpc->listen_fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  (void) unlink (temp);
  if (rpc->listen_fd < 0 || bind (rpc->listen_fd, (const struct sockaddr *) &a, sizeof a) < 0)
    return hv_err_sys (err, errno, "socket '%s'", rpc->path);
  if (chmod (temp, rpc->config.socket_mode) < 0 || listen (rpc->listen_fd, 128) < 0 || stat (temp, &st) < 0 || rename (temp, rpc->path) < 0) {
    r = hv_err_sys (err, errno, "socket '%s'", rpc->path);
    (void) unlink (temp);
    return r;
  }
  rpc->socket_dev = st.st_dev;
  rpc->socket_ino = st.st_ino;
  return 0;
}

static struct hv_rpc_role *
roles_copy (const struct hv_rpc_role *from, uint32_t n)
{
  struct hv_rpc_role *to = calloc (n > 0 ? n : 1, sizeof *to);
  if (to != NULL && n > 0)
    memcpy (to, from, n * sizeof *to);
  return to;
}

int
hv_rpc_new (struct hv_bus *bus, const char *path, const struct hv_rpc_config *config, struct hv_rpc **ret, struct hv_err *err)
{
  struct hv_rpc *rpc = calloc (1, sizeof *rpc);
  if (rpc == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  rpc->bus = bus;
  rpc->loop = hv_bus_loop (bus);
  rpc->config = *config;
  rpc->config.uid_roles = roles_copy (config->uid_roles, config->uid_role_count);
  rpc->config.gid_roles = roles_copy (config->gid_roles, config->gid_role_count);
  rpc->listen_fd = -1;
  rpc->spare_fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  rpc->scratch = hv_error_new ();
  rpc->path = strdup (path);
  hv_list_init (&rpc->conns);
  hv_list_init (&rpc->dirty);
  int r = rpc->path != NULL && rpc->config.uid_roles != NULL && rpc->config.gid_roles != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
  if (r == 0)
    r = rpc_listen (rpc, err);
  if (r == 0)
    rpc->watch = hv_loop_watch_new (rpc->loop, rpc->listen_fd, HV_WAIT_READ, accept_ready, rpc);
  rpc->accept_pause = hv_loop_timer_new (rpc->loop, accept_resume, rpc);
  if (r < 0) {
    hv_rpc_free (rpc);
    return r;
  }
  hv_loop_set_prepare (rpc->loop, rpc_prepare, rpc);
  hv_events_set_reader (bus, rpc_events, rpc);
  *ret = rpc;
  return 0;
}

/* Only the socket that we made goes: a successor may have renamed its own over it. */
static void
rpc_unlink (struct hv_rpc *rpc)
{
  struct stat st;
  if (stat (rpc->path, &st) == 0 && st.st_dev == rpc->socket_dev && st.st_ino == rpc->socket_ino)
    (void) unlink (rpc->path);
}

void
hv_rpc_free (struct hv_rpc *rpc)
{
  if (rpc == NULL)
    return;
  hv_events_set_reader (rpc->bus, NULL, NULL);
  hv_loop_set_prepare (rpc->loop, NULL, NULL);
  hv_loop_watch_free (rpc->watch);
  hv_loop_timer_free (rpc->accept_pause);
  if (rpc->path != NULL && rpc->socket_ino != 0)
    rpc_unlink (rpc);
  while (!hv_list_empty (&rpc->conns))
    hv_conn_close (hv_container (rpc->conns.next, struct hv_conn, node), NULL);
  if (rpc->listen_fd >= 0)
    (void) close (rpc->listen_fd);
  if (rpc->spare_fd >= 0)
    (void) close (rpc->spare_fd);
  free ((void *) (uintptr_t) rpc->config.uid_roles);
  free ((void *) (uintptr_t) rpc->config.gid_roles);
  hv_err_free (rpc->scratch);
  free (rpc->path);
  free (rpc);
}

void
hv_rpc_stats (void *arg, struct hv_pack *p)
{
  const struct hv_rpc *r = arg;
  const struct {
    const char *name;
    uint64_t value;
  } rows[] = { { "connections", r->conn_count }, { "accepted", r->accepted }, { "refused", r->refused }, { "requests", r->requests },
               { "notifications", r->notifications }, { "protocol_errors", r->protocol_errors },
               { "dropped_subscribers", r->dropped_subscribers }, { "bytes_in", r->bytes_in }, { "bytes_out", r->bytes_out } };
  hv_pack_map (p, sizeof rows / sizeof *rows);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hv_pack_str (p, rows[i].name);
    hv_pack_u64 (p, rows[i].value);
  }
}
