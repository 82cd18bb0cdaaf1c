/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See qemu.h. */
#include "qemu.h"
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void
must (int ok, const char *what)
{
  if (ok)
    return;
  perror (what);
  abort ();
}

static char *
read_all (int fd)
{
  size_t used = 0, room = 4096;
  char *text = malloc (room);
  for (;;) {
    must (text != NULL, "malloc");
    ssize_t n = read (fd, text + used, room - used - 1);
    must (n >= 0, "read");
    used += (size_t) n;
    text[used] = '\0';
    if (n == 0)
      return text;
    if (room - used < 2)
      text = realloc (text, room *= 2);
  }
}

int
hv_test_run (char **ret_output, const char *const *argv)
{
  int out[2], status = 0;
  pid_t pid = 0;
  posix_spawn_file_actions_t actions;
  must (pipe2 (out, O_CLOEXEC) == 0, "pipe2");
  posix_spawn_file_actions_init (&actions);
  posix_spawn_file_actions_adddup2 (&actions, out[1], 1);
  if (getenv ("HV_TEST_VERBOSE") == NULL)
    posix_spawn_file_actions_addopen (&actions, 2, "/dev/null", O_WRONLY, 0);
  must (posix_spawnp (&pid, argv[0], &actions, NULL, (char *const *) argv, environ) == 0, argv[0]);
  posix_spawn_file_actions_destroy (&actions);
  close (out[1]);
  char *text = read_all (out[0]);
  close (out[0]);
  must (waitpid (pid, &status, 0) == pid, "waitpid");
  if (ret_output != NULL)
    *ret_output = text;
  else
    free (text);
  return WIFEXITED (status) ? WEXITSTATUS (status) : 128 + WTERMSIG (status);
}

json_t *
hv_test_run_json (int *ret_code, const char *const *argv)
{
  char *text = NULL;
  int code = hv_test_run (&text, argv);
  json_t *answer = json_loads (text, 0, NULL);
  free (text);
  if (ret_code != NULL)
    *ret_code = code;
  return answer;
}

char *
hv_test_dir (void)
{
  const char *tmp = getenv ("TMPDIR");
  char *dir = NULL;
  must (asprintf (&dir, "%s/hvkit-test-XXXXXX", tmp != NULL ? tmp : "/tmp") > 0, "asprintf");
  must (mkdtemp (dir) != NULL, "mkdtemp");
  return dir;
}

void
hv_test_dir_remove (char *dir)
{
  DIR *d = opendir (dir);
  must (d != NULL, dir);
  for (struct dirent *e; (e = readdir (d)) != NULL;)
    if (strcmp (e->d_name, ".") != 0 && strcmp (e->d_name, "..") != 0)
      must (unlinkat (dirfd (d), e->d_name, 0) == 0, e->d_name);
  closedir (d);
  must (rmdir (dir) == 0, dir);
  free (dir);
}
