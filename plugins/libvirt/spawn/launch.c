/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hvkit-libvirt-launch: runs a daemon of libvirt's with directories of its own where libvirt has its fixed ones, and maybe in a
 * network namespace and without KVM. Nobody but the program it becomes, and what that starts, sees the difference.
 *
 *   hvkit-libvirt-launch --run DIR --state DIR [--net PATH] [--no-kvm FILE] -- PROGRAM [ARG …]
 *
 * What it is told comes from the plugin, which made the directories; it looks at them all the same: a link, or somebody else's
 * directory, ends it. Exit status 125 when it could not get as far as PROGRAM. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void __attribute__ ((noreturn, format (printf, 1, 2))) give_up (const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  (void) fputs ("hvkit-libvirt-launch: ", stderr);
  (void) vfprintf (stderr, fmt, ap);
  (void) fputc ('\n', stderr);
  va_end (ap);
  exit (125);
}

static void
check_dir (const char *path)
{
  struct stat st;
  if (path[0] != '/')
    give_up ("'%s': an absolute path is needed", path);
  if (lstat (path, &st) < 0)
    give_up ("'%s': %s", path, strerror (errno));
  if (!S_ISDIR (st.st_mode))
    give_up ("'%s' is no directory", path);
  if (st.st_uid != geteuid () || (st.st_mode & 022) != 0)
    give_up ("'%s' is not ours alone: its owner is %u, its mode %o", path, (unsigned) st.st_uid, (unsigned) st.st_mode & 07777u);
}

static void
enter_net (const char *path)
{
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns (fd, CLONE_NEWNET) < 0)
    give_up ("network namespace '%s': %s", path, strerror (errno));
  (void) close (fd);
}

/* Made where it is missing: the place of a mount has to exist. */
static void
bind_over (const char *base, const char *name, const char *place)
{
  char from[4096];
  check_dir (base);
  if ((size_t) snprintf (from, sizeof from, "%s/%s", base, name) >= sizeof from)
    give_up ("'%s': the path is too long", base);
  check_dir (from);
  if (mkdir (place, 0755) < 0 && errno != EEXIST)
    give_up ("make '%s': %s", place, strerror (errno));
  if (mount (from, place, NULL, MS_BIND, NULL) < 0)
    give_up ("mount '%s' over '%s': %s", from, place, strerror (errno));
}

/* A plain file that cannot be written to: of a device that is there, even one that does nothing, libvirt thinks that KVM has come
 * meanwhile, and finds out anew what every QEMU can do, at every call. */
static void
hide_kvm (const char *file)
{
  if (access ("/dev/kvm", F_OK) < 0)
    return;
  int fd = open (file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0400);
  if (fd < 0)
    give_up ("'%s': %s", file, strerror (errno));
  (void) close (fd);
  if (mount (file, "/dev/kvm", NULL, MS_BIND, NULL) < 0
      || mount (NULL, "/dev/kvm", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
    give_up ("hide /dev/kvm: %s", strerror (errno));
}

int
main (int argc, char **argv)
{
  static const struct option options[] = {
    { "run", 1, NULL, 'r' }, { "state", 1, NULL, 's' }, { "net", 1, NULL, 'n' }, { "no-kvm", 1, NULL, 'k' }, { NULL, 0, NULL, 0 }
  };
  const char *run = NULL, *state = NULL, *net = NULL, *no_kvm = NULL;
  int which;
  while ((which = getopt_long (argc, argv, "+", options, NULL)) != -1)
    switch (which) {
    case 'r':
      run = optarg;
      break;
    case 's':
      state = optarg;
      break;
    case 'n':
      net = optarg;
      break;
    case 'k':
      no_kvm = optarg;
      break;
    default:
      return 125;
    }
  if (run == NULL || state == NULL || optind >= argc || argv[optind][0] != '/')
    give_up ("--run DIR, --state DIR and a program with an absolute path are needed");
  if (net != NULL)
    enter_net (net);
  /* mounts of the node are seen in here as they come; ours are not seen out there */
  if (unshare (CLONE_NEWNS) < 0 || mount (NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0
      || mount (NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
    give_up ("mount namespace: %s", strerror (errno));
  bind_over (run, "libvirt", "/run/libvirt");
  bind_over (state, "lib", "/var/lib/libvirt");
  bind_over (state, "cache", "/var/cache/libvirt");
  bind_over (state, "log", "/var/log/libvirt");
  bind_over (state, "etc", "/etc/libvirt");
  if (no_kvm != NULL)
    hide_kvm (no_kvm);
  (void) execv (argv[optind], argv + optind);
  give_up ("'%s': %s", argv[optind], strerror (errno));
}
