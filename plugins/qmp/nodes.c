/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The block graph, for the command line and for the monitor alike: for every layer a protocol node and a format node, the
 * format always stated and the end of the chain closed, so that QEMU never looks into an image to find out what it is or
 * what it stands on. A node is named by what it is, not by where it stands: names survive every change of the chain, and
 * whoever knows the machine can tell them again. */
#include "argv.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t
fnv1a (uint64_t h, const char *s)
{
  for (; *s != '\0'; s++)
    h = (h ^ (unsigned char) *s) * UINT64_C (0x100000001b3);
  return (h ^ '/') * UINT64_C (0x100000001b3);
}

void
qmp_node_name (char ret[QMP_NODE_NAME], char kind, const char *disk, const char *path)
{
  uint64_t h = fnv1a (fnv1a (UINT64_C (0xcbf29ce484222325), disk), path);
  (void) snprintf (ret, QMP_NODE_NAME, "%c-%016" PRIx64, kind, h);
}

static json_t *
cache_json (int direct)
{
  return json_pack ("{s:b, s:b}", "direct", direct, "no-flush", 0);
}

/* auto-read-only: the file is opened for writing when somebody writes, be it a merge into what was a lower layer. */
json_t *
qmp_node_file (const struct qmp_layer *l)
{
  char name[QMP_NODE_NAME];
  qmp_node_name (name, 'f', l->disk, l->path);
  return json_pack ("{s:s, s:s, s:s, s:o, s:b, s:s}", "driver", "file", "filename", l->path, "node-name", name, "cache",
                    cache_json (l->direct), "auto-read-only", 1, "discard", "unmap");
}

/* `backing` is the path of the layer below; NULL closes the chain. */
json_t *
qmp_node_format (const struct qmp_layer *l, const char *backing)
{
  char name[QMP_NODE_NAME], file[QMP_NODE_NAME], below[QMP_NODE_NAME];
  qmp_node_name (name, 'q', l->disk, l->path);
  qmp_node_name (file, 'f', l->disk, l->path);
  json_t *f = json_pack ("{s:s, s:b, s:s, s:o, s:s, s:s}", "node-name", name, "read-only", l->read_only, "discard", "unmap",
                         "cache", cache_json (l->direct), "driver", hv_disk_format_words[l->format], "file", file);
  if (backing != NULL)
    qmp_node_name (below, 'q', l->disk, backing);
  if (f != NULL && l->format == HV_DISK_QCOW2)
    (void) json_object_set_new (f, "backing", backing != NULL ? json_string (below) : json_null ());
  return f;
}

/* Bottom first: a node is named before it is stood upon. */
void
qmp_nodes_each (const struct hv_machine_disk *d, int direct, qmp_node_fn *fn, void *arg)
{
  for (uint32_t n = d->backing.count; n > 0; n--) {
    const struct hv_machine_layer *b = &d->backing.items[n - 1];
    struct qmp_layer l = { .disk = d->name, .path = b->path, .format = b->format, .read_only = 1, .direct = direct };
    fn (arg, qmp_node_file (&l));
    fn (arg, qmp_node_format (&l, n < d->backing.count ? d->backing.items[n].path : NULL));
  }
  struct qmp_layer top = { .disk = d->name, .path = d->path, .format = d->format, .direct = direct };
  top.read_only = d->read_only || d->media == HV_MEDIA_CDROM;
  fn (arg, qmp_node_file (&top));
  fn (arg, qmp_node_format (&top, d->backing.count > 0 ? d->backing.items[0].path : NULL));
}

static int
node_is (const char *node, const char *disk, const char *path)
{
  char file[QMP_NODE_NAME], format[QMP_NODE_NAME];
  qmp_node_name (file, 'f', disk, path);
  qmp_node_name (format, 'q', disk, path);
  return strcmp (node, file) == 0 || strcmp (node, format) == 0;
}

int
qmp_disk_of_node (const struct hv_machine *m, const char *node, const char **ret_path)
{
  for (uint32_t i = 0; node != NULL && i < m->disks.count; i++) {
    const struct hv_machine_disk *d = &m->disks.items[i];
    for (uint32_t n = 0; n <= d->backing.count; n++) {
      const char *path = n == 0 ? d->path : d->backing.items[n - 1].path;
      if (!node_is (node, d->name, path))
        continue;
      if (ret_path != NULL)
        *ret_path = path;
      return (int) i;
    }
  }
  return -1;
}
