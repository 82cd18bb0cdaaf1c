/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs as a byte stream: one coroutine for each who reads. The disk is read on the pool; a slow reader stops us, and nobody else.
 */
#include <errno.h>
#include <hvkit/clean.h>
#include <hvkit/logs.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>

#define CHUNK    16384u
#define LOOK_MS  1000u /* whether the machine and the reader are still there */
#define LEAVE_MS 50u

struct source {
  struct hv_log_reader *reader;
  const char *mark;
  uint64_t gaps;
  uint8_t in_line; /* its last line has no end yet */
};

struct session {
  struct hv_host *host;
  struct hv_stream *stream; /* NULL: it has ended */
  int fd, inotify;
  uint32_t sources, current;
  uint8_t follow;
  int (*alive) (void *arg);
  void (*release) (void *arg);
  void *arg;
  struct source source[HV_LOG_SOURCES];
  size_t got;
  char in[CHUNK], out[CHUNK * (HV_LOG_MARK + 1) + HV_LOG_MARK + 1];
};

static void
session_free (struct session *s)
{
  for (uint32_t i = 0; i < s->sources; i++)
    hv_log_reader_free (s->source[i].reader);
  hv_fd_cleanup (&s->fd);
  hv_fd_cleanup (&s->inotify);
  if (s->release != NULL)
    s->release (s->arg);
  free (s);
}

static void
stream_ended (void *self, void *arg, int32_t code)
{
  struct session *s = arg;
  (void) self;
  (void) code;
  s->stream = NULL;
}

/* --- writing --- */

/* 0, or < 0: nobody listens any more, or we are to end. */
static int
say (struct session *s, const char *data, size_t size)
{
  while (size > 0) {
    ssize_t n = s->stream != NULL ? send (s->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
    if (n > 0) {
      data += n;
      size -= (size_t) n;
      continue;
    }
    if (s->stream == NULL || (errno != EAGAIN && errno != EINTR))
      return -1;
    int r = s->host->api->wait_fd (s->host, s->fd, HV_WAIT_WRITE, LOOK_MS, NULL, NULL);
    if (r < 0 && r != HV_E_DEADLINE_EXCEEDED)
      return r;
  }
  return 0;
}

static size_t
append (char *out, size_t at, const char *text)
{
  size_t n = strlen (text);
  memcpy (out + at, text, n);
  return at + n;
}

/* Each line with its source before it; a line that another source broke into goes on as one of its own. */
static size_t
mark_lines (struct session *s, uint32_t k)
{
  struct source *src = &s->source[k], *other = &s->source[s->current];
  size_t at = 0;
  if (s->current != k && other->in_line) {
    s->out[at++] = '\n';
    other->in_line = 0;
  }
  s->current = k;
  for (size_t i = 0; i < s->got; i++) {
    if (!src->in_line)
      at = append (s->out, at, src->mark);
    src->in_line = s->in[i] != '\n';
    s->out[at++] = s->in[i];
  }
  return at;
}

static int
say_gap (struct session *s, struct source *src)
{
  uint64_t gaps = hv_log_reader_gaps (src->reader);
  static const char text[] = "\n[hvkit: the log was rotated faster than it was read; some of it is missing here]\n";
  if (gaps == src->gaps)
    return 0;
  src->gaps = gaps;
  src->in_line = 0;
  return say (s, text, sizeof text - 1);
}

/* --- reading --- */

struct read_job {
  struct session *s;
  uint32_t k;
};

static int
read_run (void *arg)
{
  struct read_job *j = arg;
  j->s->got = hv_log_reader_read (j->s->source[j->k].reader, j->s->in, sizeof j->s->in);
  return 0;
}

/* 1: there was something, 0: there was not, < 0: that was all. */
static int
pass (struct session *s)
{
  int any = 0;
  for (uint32_t k = 0; k < s->sources; k++) {
    struct read_job j = { s, k };
    do {
      int r = hv_offload (s->host, read_run, &j, NULL);
      if (r < 0)
        return r;
      int marked = s->source[k].mark != NULL;
      size_t n = s->got > 0 && marked ? mark_lines (s, k) : s->got;
      if (say_gap (s, &s->source[k]) < 0 || say (s, marked ? s->out : s->in, n) < 0)
        return -1;
      any |= s->got > 0;
    } while (s->got > 0 && !s->follow);
  }
  return any;
}

static int
wait_for_more (struct session *s)
{
  char events[4096];
  if (s->inotify < 0)
    return hv_sleep (s->host, LOOK_MS / 4, NULL);
  int r = s->host->api->wait_fd (s->host, s->inotify, HV_WAIT_READ, LOOK_MS, NULL, NULL);
  while (read (s->inotify, events, sizeof events) > 0)
    ;
  return r == HV_E_DEADLINE_EXCEEDED ? 0 : r;
}

static void
session_run (void *self, void *arg)
{
  struct session *s = arg;
  int r = 0;
  (void) self;
  while (r >= 0 && s->stream != NULL) {
    int writes = s->follow && s->alive (s->arg); /* asked first: what it wrote before it ended is read below */
    r = pass (s);
    if (r == 0 && !writes)
      break;
    if (r == 0)
      r = wait_for_more (s);
  }
  hv_fd_cleanup (&s->fd); /* the other side hears that this was all, and goes */
  while (s->stream != NULL && r != HV_E_CANCELLED)
    r = hv_sleep (s->host, LEAVE_MS, NULL);
  if (s->stream != NULL)
    s->host->api->stream_close (s->host, s->stream);
  session_free (s);
}

/* --- beginning --- */

struct begin_job {
  struct session *s;
  const struct hv_logs *logs;
  struct hv_err *err;
};

static int
begin_run (void *arg)
{
  struct begin_job *j = arg;
  struct session *s = j->s;
  int r = 0;
  for (uint32_t k = 0; r == 0 && k < j->logs->sources; k++) {
    const char *path = j->logs->source[k].path, *slash = strrchr (path, '/');
    r = hv_log_reader_new (path, j->logs->lines, &s->source[k].reader, j->err);
    s->source[k].mark = j->logs->source[k].mark;
    s->sources += r == 0;
    HV_CLEAN (hv_free) char *dir = r == 0 && s->inotify >= 0 ? strndup (path, (size_t) (slash - path)) : NULL;
    if (dir != NULL && inotify_add_watch (s->inotify, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
      hv_fd_cleanup (&s->inotify); /* looked at now and then instead */
    if (r < 0)
      (void) hv_err_wrap (j->err, r, "log '%s'", path);
  }
  return r;
}

static int
session_give (struct session *s, struct hv_call *call, const char *what, const char **ret_token, struct hv_err *err)
{
  int pair[2];
  struct hv_stream_options how = { .struct_size = sizeof how, .what = what, .ended = stream_ended, .arg = s };
  if (!hv_host_has (s->host, stream_close))
    return hv_err_set (err, HV_E_UNIMPLEMENTED, "this hvkitd has no byte streams; upgrade it");
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
    return hv_err_sys (err, errno, "socket");
  s->fd = pair[0];
  int r = s->host->api->stream_open (s->host, call, pair[1], &how, &s->stream, ret_token, err);
  if (r < 0)
    return r;
  r = hv_go (s->host, "logs", session_run, s);
  if (r < 0) {
    s->host->api->stream_close (s->host, s->stream);
    return hv_err_set (err, r, "out of memory");
  }
  return 0;
}

int
hv_logs_stream (struct hv_host *h, struct hv_call *call, const struct hv_logs *logs, const char **ret_token, struct hv_err *err)
{
  struct session *s = calloc (1, sizeof *s);
  if (s == NULL) {
    if (logs->release != NULL)
      logs->release (logs->arg);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  }
  s->host = h;
  s->fd = -1;
  s->inotify = logs->follow ? inotify_init1 (IN_NONBLOCK | IN_CLOEXEC) : -1;
  s->follow = logs->follow;
  s->alive = logs->alive;
  s->release = logs->release;
  s->arg = logs->arg;
  struct begin_job j = { s, logs, err };
  int r = hv_offload (h, begin_run, &j, err);
  if (r == 0)
    r = session_give (s, call, logs->what, ret_token, err);
  if (r < 0)
    session_free (s);
  return r;
}
