/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "make.h"
#include <hvkit/file.h>
#include <hvkit/tool.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LAYER_TEXT 160u /* of one layer in the JSON */

struct job {
  const struct hv_qcow2_made *m;
  struct hv_file_new file;
  struct hv_err *err;
};

static int
begin_job (void *arg)
{
  struct job *j = arg;
  return hv_file_new_begin (&j->file, j->m->target->path, j->err);
}

static int
commit_job (void *arg)
{
  struct job *j = arg;
  int r = j->m->target->has_owner ? hv_file_new_chown (&j->file, j->m->target->owner_uid, j->err) : 0;
  return r == 0 ? hv_file_new_commit (&j->file, j->err) : r;
}

/* The child's 3 is the new file; 4 and on are `fds`. */
static int
make (struct disk_qcow2 *d, const struct hv_qcow2_made *m, const char *const *args, const char *phase, int32_t *fds, uint32_t count,
      struct hv_err *err)
{
  struct job j = { .m = m, .file = HV_FILE_NEW_INIT, .err = err };
  int r = hv_offload (d->host, begin_job, &j, err);
  fds[0] = j.file.fd;
  const struct hv_tool t = { d->host, m->call, d->config->qemu_img, args, fds, count + 1, phase };
  if (r == 0)
    r = hv_tool_run (&t, NULL, err);
  if (r == 0)
    r = hv_offload (d->host, commit_job, &j, err);
  hv_file_new_end (&j.file);
  return r;
}

/* Every layer by its descriptor and with its format, the last on nothing. */
static char *
describe (struct hv_host *h, const struct hv_qcow2_source *sources, uint32_t count)
{
  uint64_t room = (uint64_t) count * LAYER_TEXT;
  char *text = hv_alloc (h, room);
  int at = text != NULL ? snprintf (text, room, "json:") : 0;
  for (uint32_t i = 0; i < count && text != NULL; i++)
    at += snprintf (text + at, room - (uint64_t) at,
                    "%s{\"driver\":\"%s\",\"file\":{\"driver\":\"file\",\"filename\":\"/proc/self/fd/%u\"}%s",
                    i > 0 ? ",\"backing\":" : "", sources[i].is_qcow2 ? "qcow2" : "raw", 4 + i,
                    i + 1 == count && sources[i].is_qcow2 ? ",\"backing\":null" : "");
  for (uint32_t i = 0; i < count && text != NULL; i++)
    at += snprintf (text + at, room - (uint64_t) at, "}");
  return text;
}

int
hv_qcow2_make_compressed (struct disk_qcow2 *d, const struct hv_qcow2_made *m, const struct hv_qcow2_reader *reader,
                          const struct hv_qcow2_source *sources, uint32_t count, struct hv_err *err)
{
  char options[64], *source = describe (d->host, sources, count);
  const char *const args[] = { "convert", "-p", "-c", "-O", "qcow2", "-o", options, source, "/proc/self/fd/3", NULL };
  int32_t fds[HV_QCOW2_LAYERS_MAX + 1];
  (void) snprintf (options, sizeof options, "cluster_size=%" PRIu64, m->target->cluster_bytes);
  if (source == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  for (uint32_t i = 0; i < count; i++)
    fds[i + 1] = hv_qcow2_reader_fd (reader, i);
  return make (d, m, args, "convert", fds, count, err);
}

int
hv_qcow2_make_preallocated (struct disk_qcow2 *d, const struct hv_qcow2_made *m, struct hv_err *err)
{
  char options[96], size[32];
  const char *const args[] = { "create", "-q", "-f", "qcow2", "-o", options, "/proc/self/fd/3", size, NULL };
  int32_t fds[1];
  (void) snprintf (options, sizeof options, "preallocation=falloc,cluster_size=%" PRIu64, m->target->cluster_bytes);
  (void) snprintf (size, sizeof size, "%" PRIu64, m->size_bytes);
  return make (d, m, args, NULL, fds, 0, err);
}
