/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pick.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK   "disk/"
#define HIDES  ".wh."
#define OPAQUE ".wh..wh..opq"

int
cd_pick_begin (struct cd_pick *p, const char *file, struct hv_err *err)
{
  *p = (struct cd_pick){ .layer = UINT32_MAX };
  if (file == NULL)
    return 0;
  if (file[0] != '/' || file[1] == '\0' || file[strlen (file) - 1] == '/' || strlen (file) >= sizeof p->want)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "file '%.200s': an absolute path in the image", file);
  (void) snprintf (p->want, sizeof p->want, "%s", file + 1);
  return 0;
}

void
cd_pick_layer (struct cd_pick *p)
{
  p->layer++;
  p->hidden_above = p->hidden_count;
  p->opaque_above = p->opaque;
}

/* The directory that holds what is looked for, with a slash at its end. */
static size_t
directory (const struct cd_pick *p)
{
  if (p->want[0] == '\0')
    return strlen (DISK);
  const char *slash = strrchr (p->want, '/');
  return slash != NULL ? (size_t) (slash - p->want) + 1 : 0;
}

/* 1: in that directory, and its name there; 0: elsewhere. */
static int
is_in_directory (const struct cd_pick *p, const char *path, const char **ret_name)
{
  size_t n = directory (p);
  const char *dir = p->want[0] == '\0' ? DISK : p->want;
  if (strncmp (path, dir, n) != 0 || path[n] == '\0' || strchr (path + n, '/') != NULL)
    return 0;
  *ret_name = path + n;
  return 1;
}

/* A part of the way to it. */
static int
is_above (const struct cd_pick *p, const char *path)
{
  size_t n = strlen (path);
  const char *dir = p->want[0] == '\0' ? DISK : p->want;
  return n > 0 && n < directory (p) && strncmp (dir, path, n) == 0 && dir[n] == '/';
}

static int
is_hidden (const struct cd_pick *p, const char *name)
{
  for (uint32_t i = 0; i < p->hidden_above; i++)
    if (strcmp (p->hidden[i], name) == 0)
      return 1;
  return p->opaque_above;
}

static int
hide (struct cd_pick *p, const char *name, struct hv_err *err)
{
  if (strcmp (name, OPAQUE) == 0) {
    p->opaque = 1;
    return 0;
  }
  if (p->hidden_count == CD_PICK_HIDDEN_MAX)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "the image removes more than %u files beside its disk", CD_PICK_HIDDEN_MAX);
  char *copy = strdup (name + strlen (HIDES));
  if (copy == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  p->hidden[p->hidden_count++] = copy;
  return 0;
}

static int
take_file (struct cd_pick *p, const struct cd_tar_entry *e, struct hv_err *err)
{
  if (e->kind == CD_TAR_LINK)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'/%.200s' in the image is a link: a disk is a regular file", e->path);
  if (e->kind == CD_TAR_DIRECTORY && p->want[0] == '\0')
    return 0;
  if (e->kind != CD_TAR_FILE)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "'/%.200s' in the image is no regular file", e->path);
  if (p->is_found && strcmp (p->found, e->path) == 0)
    return p->found_in < p->layer ? 0 : hv_err_set (err, HV_E_FAILED_PRECONDITION, "the layer has '/%.200s' twice", e->path);
  if (p->is_found)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "the image has two disks, '/%.100s' and '/%.100s': name one (path)", p->found,
                       e->path);
  (void) snprintf (p->found, sizeof p->found, "%s", e->path);
  p->is_found = 1;
  p->found_in = p->layer;
  return 1;
}

int
cd_pick_entry (struct cd_pick *p, const struct cd_tar_entry *e, struct hv_err *err)
{
  const char *name;
  if (is_above (p, e->path))
    return e->kind == CD_TAR_DIRECTORY
               ? 0
               : hv_err_set (err, HV_E_FAILED_PRECONDITION,
                             "'/%.200s' in the image is no directory: the disk is looked for below it", e->path);
  if (!is_in_directory (p, e->path, &name))
    return 0;
  if (strncmp (name, HIDES, strlen (HIDES)) == 0)
    return hide (p, name, err);
  if (is_hidden (p, name) || (p->want[0] != '\0' && strcmp (p->want, e->path) != 0))
    return 0;
  return take_file (p, e, err);
}

int
cd_pick_is_settled (const struct cd_pick *p)
{
  if (p->opaque)
    return 1;
  for (uint32_t i = 0; p->want[0] != '\0' && i < p->hidden_count; i++)
    if (strcmp (p->hidden[i], p->want + directory (p)) == 0)
      return 1;
  return p->want[0] != '\0' && p->is_found;
}

int
cd_pick_end (const struct cd_pick *p, struct hv_err *err)
{
  if (p->is_found)
    return 0;
  return p->want[0] != '\0' ? hv_err_set (err, HV_E_NOT_FOUND, "the image has no file '/%s'", p->want)
                            : hv_err_set (err, HV_E_NOT_FOUND, "the image has no disk: there is no file under /disk");
}

void
cd_pick_clear (struct cd_pick *p)
{
  for (uint32_t i = 0; i < p->hidden_count; i++)
    free (p->hidden[i]);
  p->hidden_count = 0;
}
