/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Life of a client: connecting, the greeting, closing. */
#include "impl.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define DEFAULT_TIMEOUT_MS 5000u
#define DEFAULT_ANSWER     (16u << 20)

struct hv_err *
hv_client_err_new (void)
{
  return hv_error_new ();
}

const char *
hv_client_default_path (void)
{
  const char *env = getenv ("HVKIT_SOCKET");
  return env != NULL && *env != '\0' ? env : HV_CLIENT_SOCKET;
}

uint64_t
hv_client_now_ms (void)
{
  struct timespec ts;
  clock_gettime (CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

uint32_t
hv_client_timeout_of (const struct hv_client_options *o)
{
  return o != NULL && o->timeout_ms != 0 ? o->timeout_ms : DEFAULT_TIMEOUT_MS;
}

/* Connecting blocks only while the daemon's backlog is full; SO_SNDTIMEO bounds that, which a non-blocking connect to a
 * UNIX socket cannot be polled for. */
int
hv_client_open_socket (const char *path, uint32_t timeout_ms, struct hv_err *err)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  if (*path == '\0' || strlen (path) >= sizeof a.sun_path)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "socket path '%s' is empty or longer than %zu bytes", path,
                       sizeof a.sun_path - 1);
  memcpy (a.sun_path, path, strlen (path) + 1);
  HV_CLEAN (hv_fd) int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return hv_err_sys (err, errno, "make a socket");
  struct timeval tv = { .tv_sec = timeout_ms / 1000, .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000 };
  if (setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv) != 0)
    return hv_err_sys (err, errno, "set a timeout on the socket");
  int r;
  do
    r = connect (fd, (const struct sockaddr *)&a, sizeof a);
  while (r != 0 && errno == EINTR);
  if (r != 0 && errno == EACCES)
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "connect to '%s': %s", path, strerror (errno));
  if (r != 0)
    return hv_err_set (err, HV_E_UNAVAILABLE, "connect to '%s': %s", path,
                       errno == EAGAIN ? "the daemon does not accept connections" : strerror (errno));
  return HV_STEAL_FD (fd);
}

static struct hv_client *
client_new (int fd, const struct hv_client_options *o)
{
  struct hv_client *c = calloc (1, sizeof *c);
  if (c == NULL)
    return NULL;
  c->fd = fd;
  c->answer_bytes = o != NULL && o->answer_bytes != 0 ? o->answer_bytes : DEFAULT_ANSWER;
  c->info = (struct hv_client_info){ .struct_size = sizeof c->info, .version = c->version, .role = c->role };
  hv_fence_init (&c->fence, c->answer_bytes);
  return c;
}

static void
client_free (struct hv_client *c)
{
  hv_client_subs_free (c);
  free (c->in.data);
  free (c->out.data);
  (void)close (c->fd);
  free (c);
}

/* The answer of bus.hello; what an older daemon leaves out stays empty. */
static void
take_greeting (struct hv_client *c, struct hv_bin hello)
{
  struct hv_bin limits = hv_client_map_get (hello, "limits");
  hv_client_map_text (hello, "version", c->version, sizeof c->version);
  hv_client_map_text (hello, "role", c->role, sizeof c->role);
  c->info.api_level = (uint32_t)hv_client_map_u64 (hello, "api_level");
  c->info.epoch = hv_client_map_u64 (hello, "epoch");
  c->info.request_bytes = hv_client_map_u64 (limits, "request_bytes");
}

/* A peer that is no hvkitd may never answer, so this deadline has no grace. */
static int
greet (struct hv_client *c, const struct hv_client_options *o, struct hv_err *err)
{
  HV_CLEAN (hv_pack) struct hv_pack args = { 0 }, result = { 0 };
  hv_pack_map (&args, 2);
  hv_pack_str (&args, "client");
  hv_pack_str (&args, o != NULL && o->name != NULL ? o->name : "libhvkit");
  hv_pack_str (&args, "errors");
  hv_pack_str (&args, "map");
  struct hv_client_call_options call = { .struct_size = sizeof call, .timeout_ms = hv_client_timeout_of (o) };
  int r = hv_client_call (c, "bus.hello", hv_client_packed (&args), &call, &result, err);
  if (r == HV_E_DEADLINE_EXCEEDED)
    return hv_err_set (err, HV_E_UNAVAILABLE, "greet the daemon: no answer within %u ms", call.timeout_ms);
  if (r != 0)
    return hv_err_wrap (err, r, "greet the daemon");
  c->grace_ms = HV_CLIENT_GRACE_MS;
  take_greeting (c, hv_client_packed (&result));
  return 0;
}

int
hv_client_connect_fd (int fd, const struct hv_client_options *o, struct hv_client **ret, struct hv_err *err)
{
  int flags = fcntl (fd, F_GETFL);
  if (flags < 0 || fcntl (fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl (fd, F_SETFD, FD_CLOEXEC) != 0) {
    int r = hv_err_sys (err, errno, "prepare the connection");
    (void)close (fd);
    return r;
  }
  struct hv_client *c = client_new (fd, o);
  if (c == NULL) {
    (void)close (fd);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  int r = greet (c, o, err);
  if (r != 0) {
    hv_client_close (c);
    return r;
  }
  *ret = c;
  return 0;
}

int
hv_client_connect (const char *path, const struct hv_client_options *o, struct hv_client **ret, struct hv_err *err)
{
  int fd = hv_client_open_socket (path != NULL ? path : hv_client_default_path (), hv_client_timeout_of (o), err);
  if (fd < 0)
    return fd;
  return hv_client_connect_fd (fd, o, ret, err);
}

void
hv_client_close (struct hv_client *c)
{
  if (c == NULL)
    return;
  c->lost = 1; /* a `done` that calls again is refused */
  hv_client_pending_fail_all (c, HV_E_CANCELLED, "the connection was closed");
  client_free (c);
}

const struct hv_client_info *
hv_client_info (const struct hv_client *c)
{
  return &c->info;
}

int
hv_client_lost (const struct hv_client *c)
{
  return c->lost;
}
