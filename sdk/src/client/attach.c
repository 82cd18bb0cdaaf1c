/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A byte stream: one request on a connection of its own, and from its answer on the descriptor is the caller's. */
#include "impl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_MAX 65536u

static int
send_token (int fd, const char *token, struct hv_err *err)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  hv_pack_array (&p, 4);
  hv_pack_u64 (&p, 0);
  hv_pack_u64 (&p, 1);
  hv_pack_str (&p, "bus.attach");
  hv_pack_array (&p, 1);
  hv_pack_map (&p, 1);
  hv_pack_str (&p, "token");
  hv_pack_str (&p, token);
  if (p.failed)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "attach: out of memory");
  if (send (fd, p.data, p.size, MSG_NOSIGNAL) != (ssize_t) p.size) /* fits any socket's buffer */
    return hv_err_set (err, HV_E_UNAVAILABLE, "attach: %s", strerror (errno));
  return 0;
}

/* One byte, so that none of the stream's own is taken. 1, or a negative code. */
static int
next_byte (int fd, uint8_t *ret, uint64_t until_ms, struct hv_err *err)
{
  for (;;) {
    uint64_t now = hv_client_now_ms ();
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int r = now < until_ms ? poll (&p, 1, (int) (until_ms - now)) : 0;
    ssize_t n = r > 0 ? recv (fd, ret, 1, MSG_DONTWAIT) : -1;
    if (n == 1)
      return 1;
    if (r == 0)
      return hv_err_set (err, HV_E_UNAVAILABLE, "attach: the daemon does not answer");
    if (n == 0)
      return hv_err_set (err, HV_E_UNAVAILABLE, "attach: connection closed");
    if (errno != EINTR && errno != EAGAIN)
      return hv_err_set (err, HV_E_UNAVAILABLE, "attach: %s", strerror (errno));
  }
}

static int
is_nil (struct hv_bin value)
{
  struct hv_read r = { value.data, value.data + value.size };
  struct hv_value v;
  return hv_read_next (&r, &v) && v.type == HV_MP_NIL;
}

static int
take_answer (int fd, uint64_t until_ms, struct hv_err *err)
{
  HV_CLEAN (hv_free) uint8_t *frame = malloc (ANSWER_MAX);
  struct hv_fence fence;
  struct hv_frame f = { 0 };
  uint64_t n = 0, size;
  int scan = HV_FENCE_MORE;
  if (frame == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "attach: out of memory");
  hv_fence_init (&fence, ANSWER_MAX);
  while (scan == HV_FENCE_MORE && n < ANSWER_MAX) {
    int r = next_byte (fd, frame + n, until_ms, err);
    if (r < 0)
      return r;
    n++;
    scan = hv_fence_scan (&fence, frame, n, &size);
  }
  if (scan != HV_FENCE_DONE || hv_frame_parse ((struct hv_bin){ frame, n }, &f, NULL) != 0 || f.kind != 1)
    return hv_err_set (err, HV_E_UNAVAILABLE, "attach: what the daemon sent is not an answer");
  return is_nil (f.error) ? 0 : hv_client_wire_error (f.error, err);
}

int
hv_client_attach_fd (int fd, const char *token, const struct hv_client_options *o, struct hv_err *err)
{
  int flags = fcntl (fd, F_GETFL);
  int r = flags < 0 || fcntl (fd, F_SETFL, flags & ~O_NONBLOCK) != 0 || fcntl (fd, F_SETFD, FD_CLOEXEC) != 0
              ? hv_err_sys (err, errno, "prepare the connection")
              : send_token (fd, token, err);
  if (r == 0)
    r = take_answer (fd, hv_client_now_ms () + hv_client_timeout_of (o), err);
  if (r != 0)
    (void) close (fd);
  return r;
}

int
hv_client_attach (const char *path, const char *token, const struct hv_client_options *o, int *ret_fd, struct hv_err *err)
{
  struct timeval never = { 0 };
  int fd = hv_client_open_socket (path != NULL ? path : hv_client_default_path (), hv_client_timeout_of (o), err);
  if (fd < 0)
    return fd;
  int r = hv_client_attach_fd (fd, token, o, err);
  if (r != 0)
    return r;
  (void) setsockopt (fd, SOL_SOCKET, SO_SNDTIMEO, &never, sizeof never);
  *ret_fd = fd;
  return 0;
}
