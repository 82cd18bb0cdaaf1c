/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An ISO 9660 image of texts, by genisoimage in a child that sees nothing but their descriptors: neither its arguments nor its
 * list has a word that a user wrote, except names of files and the label. */
#include "vmi.h"
#include <errno.h>
#include <hvkit/file.h>
#include <hvkit/tool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FIXED 2u /* the image and the list come first: the child's 3 and 4 */
#define FIRST 3u /* of the child's descriptors that are given to it */
#define NONE  "none"

struct making {
  const char *path;
  const struct vmi_seed *seed;
  struct hv_file_new file;
  int32_t fds[VMI_SEED_FILES + FIXED];
  uint32_t count;
  struct hv_err *err;
};

static int
text_fd (struct making *m, const void *bytes, uint64_t n)
{
  int fd = memfd_create ("hvkit-seed", MFD_CLOEXEC);
  if (fd < 0)
    return hv_err_sys (m->err, errno, "memfd_create");
  m->fds[m->count++] = fd;
  return hv_file_write (fd, bytes, n, 0, m->err);
}

/* genisoimage's list, "name in the image=file" each. Names are checked where they come from: no '=', no backslash, no line break. A
 * list has to have something, so one without files names an empty one, which is hidden. */
static int
make_list (struct making *m)
{
  char line[600], *list = calloc (VMI_SEED_FILES + 1, sizeof line);
  size_t at = 0, room = (VMI_SEED_FILES + 1) * sizeof line;
  if (list == NULL)
    return vmi_no_memory (m->err);
  for (uint32_t i = 0; i < m->seed->count || (i == 0 && m->seed->count == 0); i++)
    at += (size_t) snprintf (list + at, room - at, "/%s=/proc/self/fd/%u\n", m->seed->count > 0 ? m->seed->files[i].path : NONE,
                             FIRST + FIXED + i);
  int r = text_fd (m, list, at);
  free (list);
  return r;
}

static int
begin (void *arg)
{
  struct making *m = arg;
  int r = hv_file_new_begin (&m->file, m->path, m->err);
  if (r < 0)
    return r;
  m->fds[m->count++] = m->file.fd;
  r = make_list (m);
  for (uint32_t i = 0; i < m->seed->count && r == 0; i++)
    r = text_fd (m, m->seed->files[i].bytes.data, m->seed->files[i].bytes.size);
  if (r == 0 && m->seed->count == 0)
    r = text_fd (m, "", 0);
  return r;
}

static int
commit (void *arg)
{
  struct making *m = arg;
  return hv_file_new_commit (&m->file, m->err);
}

static int
run (struct vmi *vmi, const struct making *m, struct hv_err *err)
{
  const char *args[] = { "-quiet",
                         "-f",
                         "-r",
                         "-J",
                         "-joliet-long",
                         "-V",
                         m->seed->label,
                         "-o",
                         "/proc/self/fd/3",
                         "-graft-points",
                         "-path-list",
                         "/proc/self/fd/4",
                         NULL,
                         NULL,
                         NULL,
                         NULL,
                         NULL };
  uint32_t n = 12;
  if (m->seed->count == 0)
    for (uint32_t i = 0; i < 2; i++) {
      args[n++] = i == 0 ? "-hide" : "-hide-joliet";
      args[n++] = "/proc/self/fd/5";
    }
  struct hv_tool tool
      = { .host = vmi->host, .program = vmi->config->genisoimage, .args = args, .fds = m->fds, .fd_count = m->count };
  return hv_tool_run (&tool, NULL, err);
}

int
vmi_iso_make (struct vmi *vmi, const char *path, const struct vmi_seed *seed, struct hv_err *err)
{
  struct making *m = hv_alloc (vmi->host, sizeof *m);
  if (m == NULL)
    return vmi_no_memory (err);
  *m = (struct making){ .path = path, .seed = seed, .file = HV_FILE_NEW_INIT, .err = err };
  int r = hv_offload (vmi->host, begin, m, err);
  if (r == 0)
    r = run (vmi, m, err);
  if (r == 0)
    r = hv_offload (vmi->host, commit, m, err);
  for (uint32_t i = 1; i < m->count; i++) /* the first is the file's own */
    (void) close (m->fds[i]);
  hv_file_new_end (&m->file);
  return r < 0 ? hv_err_wrap (err, r, "make '%s'", path) : 0;
}
