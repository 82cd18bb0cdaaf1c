/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backups and the checkpoints that later ones build on. */
#include "build.h"
#include "tree.h"

int
lv_xml_backup (const struct lv_xml_backup *b, char **ret_xml, struct hv_err *err)
{
  struct lv_writer w = { 0 };
  xmlNodePtr root = lv_element (&w, NULL, "domainbackup", "mode", b->nbd_path != NULL ? "pull" : "push", NULL);
  if (b->since != NULL)
    (void) lv_element_text (&w, root, "incremental", b->since);
  if (b->nbd_path != NULL)
    (void) lv_element (&w, root, "server", "transport", "unix", "socket", b->nbd_path, NULL);
  xmlNodePtr all = lv_element (&w, root, "disks", NULL);
  for (uint32_t i = 0; i < b->disk_count; i++) {
    const struct lv_xml_backup_disk *d = &b->disks[i];
    int in = d->path != NULL;
    xmlNodePtr n = lv_element (&w, all, "disk", "name", d->target, "backup", in ? "yes" : "no", "type", in ? "file" : NULL,
                               "exportname", in && b->nbd_path != NULL ? d->export_name : NULL, NULL);
    if (!in)
      continue; /* one that is left out */
    (void) lv_element (&w, n, "driver", "type", d->format, NULL);
    (void) lv_element (&w, n, b->nbd_path != NULL ? "scratch" : "target", "file", d->path, NULL);
  }
  return lv_writer_end (&w, ret_xml, err);
}

int
lv_xml_checkpoint (const char *name, const struct lv_xml_backup *b, char **ret_xml, struct hv_err *err)
{
  struct lv_writer w = { 0 };
  xmlNodePtr root = lv_element (&w, NULL, "domaincheckpoint", NULL);
  (void) lv_element_text (&w, root, "name", name);
  xmlNodePtr all = lv_element (&w, root, "disks", NULL);
  for (uint32_t i = 0; i < b->disk_count; i++)
    (void) lv_element (&w, all, "disk", "name", b->disks[i].target, "checkpoint", b->disks[i].path != NULL ? "bitmap" : "no", NULL);
  return lv_writer_end (&w, ret_xml, err);
}
