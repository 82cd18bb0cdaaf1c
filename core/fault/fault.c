/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/fault/fault.h"
#ifdef HV_FAULTS
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
  pthread_once_t once;
  pthread_mutex_t lock;
  int log_fd;
  char kill_at[128];
  unsigned long left; /* reached this often more: we die */
  const char *broken;
  unsigned long full_in; /* documents until there is no space; 0: there is */
  int stays_full;
} fault = { .once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER, .log_fd = -1 };

static void
fault_read (void)
{
  const char *log = getenv ("HVKIT_FAULT_LOG"), *at = getenv ("HVKIT_FAULT_KILL"), *colon = at != NULL ? strrchr (at, ':') : NULL;
  const char *full = getenv ("HVKIT_FAULT_FULL");
  char *end = NULL;
  fault.broken = getenv ("HVKIT_FAULT_BREAK");
  fault.full_in = full != NULL ? strtoul (full, &end, 10) : 0;
  fault.stays_full = full != NULL && *end == '+';
  if (log != NULL)
    fault.log_fd = open (log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (colon == NULL || (size_t) (colon - at) >= sizeof fault.kill_at)
    return;
  memcpy (fault.kill_at, at, (size_t) (colon - at));
  fault.left = strtoul (colon + 1, NULL, 10);
}

void
hv_fault_step (const char *who, const char *name)
{
  char line[192];
  (void) pthread_once (&fault.once, fault_read);
  if (fault.log_fd < 0 && fault.left == 0)
    return;
  int n = snprintf (line, sizeof line, "%s%s%s\n", who != NULL ? who : "", who != NULL ? "/" : "", name);
  if (n <= 0 || (size_t) n >= sizeof line)
    return;
  pthread_mutex_lock (&fault.lock);
  if (fault.log_fd >= 0)
    (void) !write (fault.log_fd, line, (size_t) n);
  int here = fault.left > 0
             && (strcmp (fault.kill_at, "*") == 0
                 || (strlen (fault.kill_at) == (size_t) n - 1 && memcmp (fault.kill_at, line, (size_t) n - 1) == 0));
  if (here && --fault.left == 0)
    (void) kill (getpid (), SIGKILL);
  pthread_mutex_unlock (&fault.lock);
}

int
hv_fault_broken (const char *name)
{
  (void) pthread_once (&fault.once, fault_read);
  return fault.broken != NULL && strcmp (fault.broken, name) == 0;
}

int
hv_fault_full (void)
{
  (void) pthread_once (&fault.once, fault_read);
  pthread_mutex_lock (&fault.lock);
  int full = fault.full_in == 1;
  if (fault.full_in > 1 || (full && !fault.stays_full))
    fault.full_in--;
  pthread_mutex_unlock (&fault.lock);
  return full;
}
#else
void
hv_fault_step (const char *who, const char *name)
{
  (void) who;
  (void) name;
}

int
hv_fault_broken (const char *name)
{
  (void) name;
  return 0;
}

int
hv_fault_full (void)
{
  return 0;
}
#endif
