/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long an event of QEMU takes to a reader: to a subscriber of hvkitd, and to one that reads a monitor of the same QEMU itself.
 * Both are this process, blocked in recv; the clock starts with the time that QEMU put into the event. Events come from a VNC
 * client that connects and leaves again: neither a command nor the guest is part of it. usage: bench_event HVKIT_SOCKET
 * MONITOR_SOCKET VNC_SOCKET ROUNDS EVENTS. Prints one JSON object. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 64
#define EVENTS_MAX 4096

static void
die (const char *what)
{
  perror (what);
  exit (1);
}

static double
now_us (void)
{
  struct timespec t;
  (void) clock_gettime (CLOCK_REALTIME, &t); /* the clock of QEMU's timestamps */
  return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
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

static int
connect_to (const char *path)
{
  struct sockaddr_un a = { .sun_family = AF_UNIX };
  struct timeval patience = { .tv_sec = 20 };
  int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  (void) snprintf (a.sun_path, sizeof a.sun_path, "%s", path);
  if (fd < 0 || connect (fd, (const struct sockaddr *) &a, sizeof a) < 0)
    die (path);
  (void) setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

static void
send_all (int fd, const void *p, size_t n)
{
  if (send (fd, p, n, MSG_NOSIGNAL) != (ssize_t) n)
    die ("send");
}

/* What came, as text; msgpack's strings are readable in it. Returns when it arrived. */
static double
take (int fd, char *buf, size_t size)
{
  ssize_t n = recv (fd, buf, size - 1, 0);
  double at = now_us ();
  if (n <= 0)
    die ("recv");
  for (ssize_t i = 0; i < n; i++)
    if (buf[i] == '\0')
      buf[i] = ' ';
  buf[n] = '\0';
  return at;
}

static double
take_until (int fd, const char *word)
{
  char buf[65536];
  double at;
  do
    at = take (fd, buf, sizeof buf);
  while (strstr (buf, word) == NULL);
  return at;
}

/* Reads the monitor until the event; when QEMU made it, and when it was here. */
static double
take_event (int fd, const char *event, double *ret_made)
{
  char buf[65536], *stamp;
  unsigned long long s, us;
  double at;
  do
    at = take (fd, buf, sizeof buf);
  while (strstr (buf, event) == NULL);
  stamp = strstr (buf, "\"seconds\": ");
  if (stamp == NULL || sscanf (stamp, "\"seconds\": %llu, \"microseconds\": %llu", &s, &us) != 2) {
    (void) fprintf (stderr, "an event without its time: %s\n", buf);
    exit (1);
  }
  *ret_made = (double) s * 1e6 + (double) us;
  return at;
}

/* One visit of a VNC client: CONNECTED, then DISCONNECTED, which is waited for and not counted. */
static double
visit (const char *vnc_path, int bus, int monitor, int through_bus)
{
  double made, at, seen = 0;
  int vnc = connect_to (vnc_path);
  if (through_bus)
    seen = take_until (bus, "qmp.graphics");
  at = take_event (monitor, "VNC_CONNECTED", &made);
  double took = (through_bus ? seen : at) - made;
  (void) close (vnc);
  (void) take_event (monitor, "VNC_DISCONNECTED", &made);
  if (through_bus)
    (void) take_until (bus, "qmp.graphics");
  return took;
}

static size_t
pack_str (uint8_t *p, const char *s)
{
  size_t n = strlen (s);
  p[0] = (uint8_t) (0xa0 | n);
  memcpy (p + 1, s, n);
  return n + 1;
}

/* [0, 1, "bus.subscribe", [{"topics": [topic]}]] */
static void
subscribe (int fd, const char *topic)
{
  uint8_t f[256] = { 0x94, 0, 1 };
  size_t n = 3;
  n += pack_str (f + n, "bus.subscribe");
  f[n++] = 0x91;
  f[n++] = 0x81;
  n += pack_str (f + n, "topics");
  f[n++] = 0x91;
  n += pack_str (f + n, topic);
  send_all (fd, f, n);
}

static double
p50 (const char *vnc_path, int bus, int monitor, int through_bus, int events)
{
  static double us[EVENTS_MAX];
  char buf[4096];
  if (through_bus) {
    subscribe (bus, "qmp.graphics");
    (void) take (bus, buf, sizeof buf);
  }
  for (int i = 0; i < events; i++)
    us[i] = visit (vnc_path, bus, monitor, through_bus);
  return median (us, events);
}

int
main (int argc, char **argv)
{
  double raw[ROUNDS_MAX], ours[ROUNDS_MAX], ratio[ROUNDS_MAX];
  if (argc != 6)
    return 2;
  int rounds = (int) strtol (argv[4], NULL, 10), events = (int) strtol (argv[5], NULL, 10);
  rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
  events = events < 1 ? 1 : events > EVENTS_MAX ? EVENTS_MAX : events;
  int monitor = connect_to (argv[2]);
  (void) take_until (monitor, "QMP");
  send_all (monitor, "{\"execute\":\"qmp_capabilities\"}\n", 31);
  (void) take_until (monitor, "return");
  for (int i = 0; i < rounds; i++) {
    int bus = connect_to (argv[1]);
    raw[i] = p50 (argv[3], bus, monitor, 0, events);
    ours[i] = p50 (argv[3], bus, monitor, 1, events);
    ratio[i] = ours[i] / raw[i];
    (void) close (bus);
  }
  (void) printf ("{\"raw_p50_us\": %.1f, \"bus_p50_us\": %.1f, \"ratio\": %.3f}\n", median (raw, rounds), median (ours, rounds),
                 median (ratio, rounds));
  return 0;
}
