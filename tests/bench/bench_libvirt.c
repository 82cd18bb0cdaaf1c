/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkitd beside libvirt's own library, on the same domain, from the same process.
 *   bench_libvirt state URI DOMAIN HVKIT_SOCKET N    a state, asked of libvirt, of hvkit's cache, and of libvirt through hvkit
 *   bench_libvirt event URI DOMAIN HVKIT_SOCKET N    a lifecycle event: to a callback of libvirt's, to a subscriber of hvkit, and
 * (on standard input) as the line that `virsh event --loop` prints bench_libvirt stats URI - HVKIT_SOCKET N         the figures of
 * all domains in one call Prints one JSON object. */
#include <libvirt/libvirt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define N_MAX 4096

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
  (void) clock_gettime (CLOCK_MONOTONIC, &t);
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

/* Answers that are older than that would not be asked for anew. */
static void
pause_ms (long ms)
{
  (void) nanosleep (&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
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

/* --- msgpack, by hand: [0, 1, method, [{name: text …, "_max_age_ms": age}]] --- */

static size_t
pack_str (uint8_t *p, const char *s)
{
  size_t n = strlen (s);
  p[0] = 0xd9;
  p[1] = (uint8_t) n;
  memcpy (p + 2, s, n);
  return n + 2;
}

static size_t
request (uint8_t *f, const char *method, const char *vm, int max_age_ms)
{
  size_t n = 0;
  f[n++] = 0x94;
  f[n++] = 0;
  f[n++] = 1;
  n += pack_str (f + n, method);
  f[n++] = 0x91;
  f[n++] = (uint8_t) (0x80 + (vm != NULL) + (max_age_ms > 0));
  if (vm != NULL) {
    n += pack_str (f + n, "vm");
    n += pack_str (f + n, vm);
  }
  if (max_age_ms > 0) {
    n += pack_str (f + n, "_max_age_ms");
    f[n++] = (uint8_t) max_age_ms;
  }
  return n;
}

static double
ask (int fd, const uint8_t *f, size_t n, char *answer, size_t size, int whole)
{
  double begin = now_us ();
  if (send (fd, f, n, MSG_NOSIGNAL) != (ssize_t) n)
    die ("send");
  ssize_t got = recv (fd, answer, size, 0);
  /* a long answer comes in pieces: until none has come for a while */
  double end = now_us ();
  while (whole && got > 0) {
    ssize_t more = recv (fd, answer, size, MSG_DONTWAIT);
    if (more > 0)
      end = now_us ();
    else if (now_us () - end > 3000)
      break;
  }
  if (got <= 0)
    die ("recv");
  return end - begin;
}

static void
state (virDomainPtr dom, const char *socket, const char *name, int n)
{
  static double own[N_MAX], cache[N_MAX], through[N_MAX];
  uint8_t a[512], b[512];
  char answer[65536];
  int fd = connect_to (socket), s, r;
  size_t an = request (a, "libvirt.get", name, 0), bn = request (b, "libvirt.get", name, 1);
  for (int i = 0; i < n; i++) {
    pause_ms (3);
    double begin = now_us ();
    if (virDomainGetState (dom, &s, &r, 0) < 0)
      exit (1);
    own[i] = now_us () - begin;
    pause_ms (3);
    cache[i] = ask (fd, a, an, answer, sizeof answer, 0);
    pause_ms (3);
    through[i] = ask (fd, b, bn, answer, sizeof answer, 0);
  }
  double o = median (own, n), c = median (cache, n), t = median (through, n);
  (void) printf ("{\"own_us\": %.1f, \"cache_us\": %.1f, \"through_us\": %.1f, \"cache\": %.3f, \"through\": %.3f}\n", o, c, t,
                 c / o, t / o);
}

static void
stats (virConnectPtr conn, const char *socket, int n)
{
  static double own[N_MAX], ours[N_MAX];
  uint8_t f[512];
  static char answer[1 << 20];
  int fd = connect_to (socket), count = 0;
  size_t fn = request (f, "libvirt.stats", NULL, 0);
  unsigned groups = VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_BLOCK | VIR_DOMAIN_STATS_INTERFACE;
  for (int i = 0; i < n; i++) {
    virDomainStatsRecordPtr *records = NULL;
    double begin = now_us ();
    count = virConnectGetAllDomainStats (conn, groups, &records,
                                         VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT | VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE);
    own[i] = now_us () - begin;
    if (count < 0)
      exit (1);
    virDomainStatsRecordListFree (records);
    ours[i] = ask (fd, f, fn, answer, sizeof answer, 1);
  }
  double o = median (own, n), u = median (ours, n);
  (void) printf ("{\"domains\": %d, \"own_us\": %.1f, \"ours_us\": %.1f, \"ratio\": %.3f}\n", count, o, u, u / o);
}

/* --- events: three readers, each with a clock of its own --- */

struct reader {
  atomic_int count;
  double at[N_MAX];
  int fd;
  const char *word;
};
static struct reader raw, bus = { .word = "libvirt.lifecycle" }, line = { .word = "'lifecycle'" };

static void
seen (struct reader *r, double at)
{
  int i = atomic_load (&r->count);
  if (i < N_MAX)
    r->at[i] = at;
  atomic_store (&r->count, i + 1);
}

static int
on_lifecycle (virConnectPtr conn, virDomainPtr dom, int event, int detail, void *opaque)
{
  (void) conn;
  (void) dom;
  (void) event;
  (void) detail;
  (void) opaque;
  seen (&raw, now_us ());
  return 0;
}

static void *
run_libvirt (void *arg)
{
  (void) arg;
  while (virEventRunDefaultImpl () == 0)
    continue;
  return NULL;
}

static void *
run_reader (void *arg)
{
  struct reader *r = arg;
  static _Thread_local char buf[65536];
  ssize_t n;
  while ((n = read (r->fd, buf, sizeof buf - 1)) > 0) {
    double at = now_us ();
    for (ssize_t i = 0; i < n; i++)
      if (buf[i] == '\0')
        buf[i] = ' ';
    buf[n] = '\0';
    for (const char *p = buf; (p = strstr (p, r->word)) != NULL; p++)
      seen (r, at);
  }
  return NULL;
}

static void
thread (void *(*fn) (void *), void *arg)
{
  pthread_t t;
  if (pthread_create (&t, NULL, fn, arg) != 0)
    die ("thread");
  (void) pthread_detach (t);
}

static void
wait_all (int n)
{
  double end = now_us () + 10e6;
  while (atomic_load (&raw.count) < n || atomic_load (&bus.count) < n || atomic_load (&line.count) < n) {
    if (now_us () > end) {
      (void) fprintf (stderr, "event %d did not come everywhere: libvirt %d, hvkit %d, virsh %d\n", n, raw.count, bus.count,
                      line.count);
      exit (1);
    }
    pause_ms (1);
  }
}

static void
event (virConnectPtr conn, virDomainPtr dom, const char *socket, int n)
{
  static double added[N_MAX], virsh[N_MAX];
  uint8_t f[256] = { 0x94, 0, 1 };
  size_t fn = 3;
  fn += pack_str (f + fn, "bus.subscribe");
  f[fn++] = 0x91;
  f[fn++] = 0x81;
  fn += pack_str (f + fn, "topics");
  f[fn++] = 0x91;
  fn += pack_str (f + fn, "libvirt.lifecycle");
  char answer[4096];
  bus.fd = connect_to (socket);
  line.fd = 0;
  (void) ask (bus.fd, f, fn, answer, sizeof answer, 0);
  if (virConnectDomainEventRegisterAny (conn, dom, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK (on_lifecycle), NULL,
                                        NULL)
      < 0)
    exit (1);
  thread (run_libvirt, NULL);
  thread (run_reader, &bus);
  thread (run_reader, &line);
  virConnectPtr other = virConnectOpen (virConnectGetURI (conn));
  virDomainPtr same = other != NULL ? virDomainLookupByName (other, virDomainGetName (dom)) : NULL;
  if (same == NULL)
    exit (1);
  pause_ms (500);
  for (int i = 0; i < n; i++) {
    if ((i % 2 == 0 ? virDomainSuspend (same) : virDomainResume (same)) < 0)
      exit (1);
    wait_all (i + 1);
    pause_ms (20);
  }
  for (int i = 0; i < n; i++) {
    added[i] = bus.at[i] - raw.at[i];
    virsh[i] = line.at[i] - raw.at[i];
  }
  (void) printf ("{\"added_us\": %.1f, \"virsh_us\": %.1f}\n", median (added, n), median (virsh, n));
}

int
main (int argc, char **argv)
{
  if (argc != 6)
    return 2;
  int n = (int) strtol (argv[5], NULL, 10);
  n = n < 1 ? 1 : n > N_MAX ? N_MAX : n;
  if (strcmp (argv[1], "event") == 0)
    (void) virEventRegisterDefaultImpl ();
  virConnectPtr conn = virConnectOpen (argv[2]);
  virDomainPtr dom = conn != NULL && strcmp (argv[3], "-") != 0 ? virDomainLookupByName (conn, argv[3]) : NULL;
  if (conn == NULL || (dom == NULL && strcmp (argv[3], "-") != 0))
    return 1;
  if (strcmp (argv[1], "state") == 0)
    state (dom, argv[4], argv[3], n);
  else if (strcmp (argv[1], "stats") == 0)
    stats (conn, argv[4], n);
  else
    event (conn, dom, argv[4], n);
  return 0;
}
