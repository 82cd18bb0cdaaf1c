/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Latency and throughput of the bus over the UNIX socket, beside a raw ping-pong of the same sizes between two processes.
 * usage: bench_rpc SOCKET METHOD ARGS_HEX ROUNDS PIPELINED_CALLS PEER_CPU (-1: any). Prints one JSON object. Every figure is the
 * median of ROUNDS interleaved pairs. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERIAL_CALLS 3000
#define ROUNDS_MAX   64
#define FRAME_MAX    4096
#define PIPELINE_IDS 0x10000u /* ids that always take five bytes: every answer has the same size */

static void
die (const char *what)
{
  perror (what);
  exit (1);
}

static double
now (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int
by_value (const void *a, const void *b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return x < y ? -1 : x > y;
}

static double
median (double *v, int n)
{
  qsort (v, (size_t) n, sizeof *v, by_value);
  return v[n / 2];
}

static void
write_all (int fd, const uint8_t *p, size_t n)
{
  while (n > 0) {
    ssize_t k = write (fd, p, n);
    if (k <= 0)
      die ("write");
    p += k;
    n -= (size_t) k;
  }
}

static void
read_all (int fd, uint8_t *p, size_t n)
{
  while (n > 0) {
    ssize_t k = read (fd, p, n);
    if (k <= 0)
      die ("read");
    p += k;
    n -= (size_t) k;
  }
}

static size_t
make_request (uint8_t *out, const char *method, const uint8_t *args, size_t args_size, uint32_t id)
{
  size_t m = strlen (method), n = 0;
  out[n++] = 0x94;
  out[n++] = 0;
  out[n++] = 0xce;
  for (int s = 24; s >= 0; s -= 8)
    out[n++] = (uint8_t) (id >> s);
  out[n++] = (uint8_t) (0xa0 | m);
  memcpy (out + n, method, m);
  n += m;
  out[n++] = args_size > 0 ? 0x91 : 0x90;
  memcpy (out + n, args, args_size);
  return n + args_size;
}

static int
connect_to (const char *path)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void) snprintf (a.sun_path, sizeof a.sun_path, "%s", path);
  if (fd < 0 || connect (fd, (const struct sockaddr *) &a, sizeof a) < 0)
    die (path);
  return fd;
}

/* The size of one answer: what comes within 200 ms of silence after one request. */
static size_t
answer_size (int fd, const uint8_t *req, size_t n)
{
  uint8_t buf[FRAME_MAX];
  size_t got = 0;
  struct pollfd p = { .fd = fd, .events = POLLIN };
  write_all (fd, req, n);
  while (poll (&p, 1, got > 0 ? 200 : 5000) > 0) {
    ssize_t k = read (fd, buf + got, sizeof buf - got);
    if (k <= 0)
      die ("read");
    got += (size_t) k;
  }
  if (got < 4 || buf[0] != 0x94 || buf[1] != 1 || buf[7] != 0xc0) {
    (void) fprintf (stderr, "the method answered an error: %.*s\n", (int) got, (const char *) buf);
    exit (1);
  }
  return got;
}

static double
serial_p50_us (int fd, const uint8_t *req, size_t n, size_t answer)
{
  static double us[SERIAL_CALLS];
  uint8_t buf[FRAME_MAX];
  for (int i = 0; i < SERIAL_CALLS; i++) {
    double t = now ();
    write_all (fd, req, n);
    read_all (fd, buf, answer);
    us[i] = (now () - t) * 1e6;
  }
  return median (us, SERIAL_CALLS);
}

/* The peer of the raw ping-pong: reads one size, writes the other. */
static int
raw_peer (size_t request, size_t answer, int cpu, pid_t *ret_pid)
{
  int fds[2];
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
    die ("socketpair");
  *ret_pid = fork ();
  if (*ret_pid < 0)
    die ("fork");
  if (*ret_pid > 0) {
    (void) close (fds[1]);
    return fds[0];
  }
  (void) close (fds[0]);
  cpu_set_t one;
  CPU_ZERO (&one);
  if (cpu >= 0) {
    CPU_SET (cpu, &one);
    (void) sched_setaffinity (0, sizeof one, &one);
  }
  uint8_t buf[FRAME_MAX] = { 0 };
  for (;;) {
    size_t got = 0;
    while (got < request) {
      ssize_t k = read (fds[1], buf, request - got);
      if (k <= 0)
        _exit (0);
      got += (size_t) k;
    }
    write_all (fds[1], buf, answer);
  }
}

/* As fast as one connection goes: requests are written whenever the socket takes them, answers are counted by their size. */
static double
pipelined_per_s (int fd, const char *method, const uint8_t *args, size_t args_size, size_t answer, uint32_t calls)
{
  uint8_t one[FRAME_MAX];
  static uint8_t sink[1 << 20];
  size_t n = make_request (one, method, args, args_size, PIPELINE_IDS), total = n * calls, sent = 0;
  uint64_t want = (uint64_t) answer * calls, got = 0;
  uint8_t *all = malloc (total);
  if (all == NULL)
    die ("malloc");
  for (uint32_t i = 0; i < calls; i++)
    (void) make_request (all + i * n, method, args, args_size, PIPELINE_IDS + i);
  double t = now ();
  while (got < want) {
    struct pollfd p = { .fd = fd, .events = (short) (POLLIN | (sent < total ? POLLOUT : 0)) };
    if (poll (&p, 1, 10000) <= 0)
      die ("poll");
    if (p.revents & POLLOUT) {
      ssize_t k = send (fd, all + sent, total - sent < 65536 ? total - sent : 65536, MSG_DONTWAIT | MSG_NOSIGNAL);
      sent += k > 0 ? (size_t) k : 0;
    }
    if (p.revents & (POLLIN | POLLHUP)) {
      ssize_t k = recv (fd, sink, sizeof sink, MSG_DONTWAIT);
      if (k == 0 || (k < 0 && errno != EAGAIN))
        die ("recv");
      got += k > 0 ? (uint64_t) k : 0;
    }
  }
  t = now () - t;
  free (all);
  return calls / t;
}

static size_t
unhex (const char *hex, uint8_t *out)
{
  size_t n = 0;
  for (unsigned v; hex[0] != '\0' && hex[1] != '\0' && sscanf (hex, "%2x", &v) == 1; hex += 2)
    out[n++] = (uint8_t) v;
  return n;
}

int
main (int argc, char **argv)
{
  double raw[ROUNDS_MAX], bus[ROUNDS_MAX], ratio[ROUNDS_MAX], rate[ROUNDS_MAX];
  uint8_t args[1024], req[FRAME_MAX];
  if (argc != 7)
    return 2;
  int rounds = (int) strtol (argv[4], NULL, 10);
  uint32_t calls = (uint32_t) strtoul (argv[5], NULL, 10);
  size_t args_size = unhex (argv[3], args), n = make_request (req, argv[2], args, args_size, PIPELINE_IDS);
  rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
  int fd = connect_to (argv[1]);
  size_t answer = answer_size (fd, req, n);
  pid_t pid;
  int peer = raw_peer (n, answer, (int) strtol (argv[6], NULL, 10), &pid);
  for (int i = 0; i < rounds; i++) {
    raw[i] = serial_p50_us (peer, req, n, answer);
    bus[i] = serial_p50_us (fd, req, n, answer);
    ratio[i] = bus[i] / raw[i];
  }
  (void) close (peer);
  (void) waitpid (pid, NULL, 0);
  for (int i = 0; i < rounds; i++)
    rate[i] = pipelined_per_s (fd, argv[2], args, args_size, answer, calls);
  (void) printf ("{\"raw_p50_us\": %.2f, \"bus_p50_us\": %.2f, \"ratio\": %.3f, \"per_s\": %.0f, \"request_bytes\": %zu, "
                 "\"answer_bytes\": %zu}\n",
                 median (raw, rounds), median (bus, rounds), median (ratio, rounds), median (rate, rounds), n, answer);
  return 0;
}
