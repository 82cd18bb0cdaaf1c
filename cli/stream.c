/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Methods that answer a byte stream: attached to a terminal, to standard input and output, or (proxy.c) to a socket for other
 * programs. Which methods those are is known from the daemon's tables only. */
#include "cli.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define ESCAPE 0x1d /* ^] as telnet and virsh have it: few programs in a guest want it */

/* --- the terminal --- */

static struct termios before;
static volatile sig_atomic_t is_raw;

static void
terminal_restore (void)
{
  if (is_raw)
    (void) tcsetattr (STDIN_FILENO, TCSADRAIN, &before);
  is_raw = 0;
}

static void
on_end (int sig)
{
  terminal_restore ();
  (void) signal (sig, SIG_DFL);
  (void) raise (sig);
}

/* Every key goes to the other side, Ctrl-C too. Whatever ends us gives the terminal back first. */
static int
terminal_make_raw (void)
{
  struct termios raw;
  if (tcgetattr (STDIN_FILENO, &before) != 0)
    return -1;
  raw = before;
  cfmakeraw (&raw);
  is_raw = 1;
  (void) atexit (terminal_restore);
  (void) signal (SIGTERM, on_end);
  (void) signal (SIGHUP, on_end);
  return tcsetattr (STDIN_FILENO, TCSADRAIN, &raw);
}

/* --- the session --- */

struct session {
  int fd;
  uint8_t raw, in_open, left, told; /* left: by the escape; told: the other side knows that no more comes */
  uint8_t readable;                 /* what comes goes onto a terminal as plain text */
  struct hv_plain plain;
  uint8_t up[65536]; /* typed and not yet taken */
  size_t up_size;
};

static int
write_all (int fd, const uint8_t *data, size_t n)
{
  while (n > 0) {
    ssize_t w = write (fd, data, n);
    if (w < 0 && errno == EINTR && !hv_run_interrupted ())
      continue;
    if (w <= 0)
      return -1;
    data += w;
    n -= (size_t) w;
  }
  return 0;
}

/* On a terminal there is always room to look for the escape, even when the other side takes nothing any more. */
static void
take_input (struct session *s)
{
  uint8_t spare[512];
  size_t room = sizeof s->up - s->up_size;
  uint8_t *to = room > 0 ? s->up + s->up_size : spare;
  ssize_t n = read (STDIN_FILENO, to, room > 0 ? room : sizeof spare);
  if (n < 0 && errno == EINTR)
    return;
  if (n <= 0) {
    s->in_open = 0;
    return;
  }
  const uint8_t *escape = s->raw ? memchr (to, ESCAPE, (size_t) n) : NULL;
  if (escape != NULL)
    s->left = 1;
  if (room > 0)
    s->up_size += escape != NULL ? (size_t) (escape - to) : (size_t) n;
}

static void
send_input (struct session *s)
{
  ssize_t n = s->up_size > 0 ? send (s->fd, s->up, s->up_size, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
  if (n < 0 && errno != EAGAIN && errno != EINTR)
    n = (ssize_t) s->up_size; /* nobody takes it; reading says when it is over */
  if (n > 0) {
    memmove (s->up, s->up + n, s->up_size - (size_t) n);
    s->up_size -= (size_t) n;
  }
  if (!s->in_open && s->up_size == 0 && !s->told) {
    s->told = 1;
    (void) shutdown (s->fd, SHUT_WR);
  }
}

/* 1: there may be more, 0: the other side has ended, -1: our output has. */
static int
take_output (struct session *s)
{
  uint8_t data[65536];
  ssize_t n = recv (s->fd, data, sizeof data, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return 1;
  if (n <= 0)
    return 0;
  if (!s->readable)
    return write_all (STDOUT_FILENO, data, (size_t) n) < 0 ? -1 : 1;
  char text[2 * sizeof data + 4];
  uint64_t size = hv_plain_text (&s->plain, data, (uint64_t) n, text);
  return write_all (STDOUT_FILENO, (uint8_t *) text, size) < 0 ? -1 : 1;
}

static int
session_run (struct session *s)
{
  int r = 1;
  while (r == 1 && !s->left && !hv_run_interrupted ()) {
    int wants_input = s->in_open && (s->raw || s->up_size < sizeof s->up);
    struct pollfd p[2] = { { .fd = wants_input ? STDIN_FILENO : -1, .events = POLLIN },
                           { .fd = s->fd, .events = (short) (POLLIN | (s->up_size > 0 ? POLLOUT : 0)) } };
    if (hv_run_poll (p, 2) < 0)
      continue;
    if (p[0].revents != 0)
      take_input (s);
    send_input (s);
    if (p[1].revents & (POLLIN | POLLHUP | POLLERR))
      r = take_output (s);
  }
  return r;
}

static int
session_status (const struct session *s, int r)
{
  terminal_restore ();
  if (s->raw)
    (void) fputs (s->left ? "\r\nDisconnected.\r\n" : "\r\nThe other side closed the connection.\r\n", stderr);
  if (r < 0 && !hv_run_interrupted ()) {
    hv_term_error ("the output cannot be written");
    return HV_EXIT_FAILED;
  }
  return r == 1 && !s->left ? HV_EXIT_INTERRUPTED : HV_EXIT_DONE;
}

static void
say_connected (struct hv_app *app, const struct hv_model_method *m, const struct hv_node *args)
{
  const char *name, *key = NULL;
  uint64_t n;
  int optional;
  if (hv_args_positional (m->positional, &name, &n, &optional) != NULL) /* the first of them says of what */
    key = hv_node_str (args, hv_node_strn (&app->arena, name, n));
  fprintf (stderr, "Connected to %s%s%s. Ctrl-] leaves.\n", m->verb, key != NULL ? " of " : "",
           key != NULL ? hv_term_safe (&app->arena, key, strlen (key)) : "");
  (void) fflush (stderr);
}

static int
attach (struct hv_app *app, const struct hv_model_method *m, const struct hv_node *args, const char *token)
{
  struct session s = { .fd = -1, .in_open = !m->text, .readable = m->text && hv_term.out_tty };
  int r = hv_client_attach (app->socket, token, NULL, &s.fd, app->err);
  if (r != 0)
    return hv_run_report (app, r);
  s.raw = !m->text && isatty (STDIN_FILENO) == 1 && hv_term.out_tty;
  if (s.raw)
    say_connected (app, m, args);
  if (s.raw && terminal_make_raw () != 0) {
    hv_term_error ("the terminal cannot be made raw: %s", strerror (errno));
    (void) close (s.fd);
    return HV_EXIT_FAILED;
  }
  int status = session_status (&s, session_run (&s));
  (void) close (s.fd);
  return status;
}

int
hv_stream_run (struct hv_app *app, const struct hv_model_method *m, struct hv_node *args)
{
  struct hv_node *result = NULL;
  if (app->opt.proxy != NULL)
    return hv_proxy_run (app, m, args);
  if (hv_term.out_tty && !m->terminal && !m->text) {
    hv_term_error ("%s: its answer is a byte stream that is not for a terminal: give --proxy PATH for a program that connects "
                   "there, or redirect the output",
                   m->verb);
    return HV_EXIT_USAGE;
  }
  int r = hv_run_call (app, m->name, args, m->progress, &app->arena, &result);
  const char *token = r == 0 ? hv_node_str (result, m->stream) : NULL;
  if (r == 0 && token == NULL)
    r = hv_err_set (app->err, HV_E_INTERNAL, "%s: the daemon answered no token", m->name);
  return r != 0 ? hv_run_report (app, r) : attach (app, m, args, token);
}
