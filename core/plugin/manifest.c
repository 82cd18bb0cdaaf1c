/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manifests: one JSON file per plugin instance, and core.json. */
#include "core/limits.h"
#include "core/plugin/plugin.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char *const hv_role_words[] = { "nobody", "viewer", "operator", "admin", NULL };

HV_RECORD_TABLE (hv_manifest, HV_MANIFEST, "a plugin instance");
HV_RECORD_TABLE (hv_core_limits, HV_CORE_LIMITS, "limits of the core");
HV_RECORD_TABLE (hv_core_config, HV_CORE_CONFIG, "settings of the core");

static int
file_read (const char *path, char **ret, uint64_t *ret_size, struct hv_err *err)
{
  struct stat st;
  HV_CLEAN (hv_fd) int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0 || fstat (fd, &st) < 0)
    return hv_err_sys (err, errno, "read '%s'", path);
  if (!S_ISREG (st.st_mode) || st.st_size > (off_t) HV_LIMIT_MANIFEST_BYTES)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "'%s': a regular file of at most %u bytes is wanted", path, HV_LIMIT_MANIFEST_BYTES);
  HV_CLEAN (hv_free) char *text = malloc ((size_t) st.st_size + 1);
  if (text == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "read '%s': out of memory", path);
  ssize_t n = read (fd, text, (size_t) st.st_size);
  if (n < 0)
    return hv_err_sys (err, errno, "read '%s'", path);
  text[n] = '\0';
  *ret = HV_STEAL (text);
  *ret_size = (uint64_t) n;
  return 0;
}

/* The line where the last component of a field's path stands in the text; 0 when it does not. */
static unsigned
line_of_key (const char *text, const char *path)
{
  const char *last = path != NULL ? strrchr (path, '.') : NULL;
  const char *key = last != NULL ? last + 1 : path;
  size_t n = key != NULL ? strcspn (key, "[") : 0;
  unsigned line = 1;
  for (const char *p = text; n > 0 && *p != '\0'; p++) {
    if (*p == '\n')
      line++;
    if (*p == '"' && strncmp (p + 1, key, n) == 0 && p[n + 1] == '"')
      return line;
  }
  return 0;
}

/* JSON text → msgpack → record. The bytes live in the arena. */
static int
decode_text (const char *path, const char *text, uint64_t size, const struct hv_record *rec, struct hv_arena *arena, void *out,
             struct hv_err *err)
{
  HV_CLEAN (hv_pack) struct hv_pack p = { 0 };
  int r = hv_json_to_pack (text, size, &p, err);
  if (r < 0)
    return hv_err_wrap (err, r, "%s", path);
  uint8_t *copy = hv_arena_alloc (arena, p.size);
  if (copy == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: out of memory", path);
  memcpy (copy, p.data, p.size);
  struct hv_decode how = { .arena = arena };
  r = hv_record_decode (rec, (struct hv_bin){ copy, p.size }, &how, out, err);
  if (r == 0)
    return 0;
  unsigned line = line_of_key (text, hv_err_data_get (err, "path"));
  return line > 0 ? hv_err_wrap (err, r, "%s:%u", path, line) : hv_err_wrap (err, r, "%s", path);
}

int
hv_manifest_read (const char *path, struct hv_manifest_file **ret, struct hv_err *err)
{
  uint64_t size = 0;
  struct hv_manifest_file *f = calloc (1, sizeof *f);
  if (f == NULL || (f->path = strdup (path)) == NULL) {
    free (f);
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "%s: out of memory", path);
  }
  int r = file_read (path, &f->text, &size, err);
  if (r == 0)
    r = decode_text (path, f->text, size, &hv_manifest_record, &f->arena, &f->manifest, err);
  if (r == 0 && strcmp (f->manifest.name, "bus") == 0)
    r = hv_err_set (err, HV_E_INVALID_ARGUMENT, "%s: name: 'bus' is the core's own", path);
  if (r < 0) {
    hv_manifest_free (f);
    return r;
  }
  *ret = f;
  return 0;
}

void
hv_manifest_free (struct hv_manifest_file *f)
{
  if (f == NULL)
    return;
  hv_arena_free (&f->arena);
  free (f->path);
  free (f->text);
  free (f);
}

int
hv_core_config_read (const char *dir, struct hv_arena *arena, struct hv_core_config *ret, struct hv_err *err)
{
  char path[4096];
  HV_CLEAN (hv_free) char *text = NULL;
  uint64_t size = 0;
  if ((size_t) snprintf (path, sizeof path, "%s/core.json", dir) >= sizeof path)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "manifest directory: the name is too long");
  if (access (path, F_OK) < 0 && errno == ENOENT)
    return hv_record_defaults (&hv_core_config_record, arena, ret, err);
  int r = file_read (path, &text, &size, err);
  return r < 0 ? r : decode_text (path, text, size, &hv_core_config_record, arena, ret, err);
}
