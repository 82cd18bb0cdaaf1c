/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The supervisor: which manifests there are, in what order their instances start, and what became of each. */
#include "core/err/err.h"
#include "core/limits.h"
#include "core/log/log.h"
#include "core/plugin/plugin.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
  struct hv_supervisor *owner;
  struct hv_manifest_file *file; /* NULL when it could not be read */
  char *path, *reason;
  const struct hv_plugin *table;
  struct hv_instance *instance;
  uint32_t state; /* HV_INSTANCE_* */
  uint8_t seen, marked;
  uint32_t started; /* how many were started before it */
};

struct hv_supervisor {
  struct hv_bus *bus;
  char *manifest_dir, *plugin_dir, *state_dir, *run_dir;
  struct item **items;
  uint32_t count;
  struct item **order; /* of the start under way */
  uint32_t order_count, order_at;
  uint32_t leaked, starts;
  uint8_t stopping;
  void (*done) (void *, uint32_t);
  void *arg;
};

static const char *
item_name (const struct item *i)
{
  if (i->file != NULL)
    return i->file->manifest.name;
  const char *slash = strrchr (i->path, '/');
  return slash != NULL ? slash + 1 : i->path;
}

/* A refusal is one line: what, why, what to do. The same text stands in bus.plugins. */
static void
item_fail (struct item *i, uint32_t state, const struct hv_err *err)
{
  i->state = state;
  free (i->reason);
  i->reason = strdup (hv_err_message (err));
  hv_log_line ("plugin", HV_LOG_ERROR, "plugin '%s' %s: %s", item_name (i), state == HV_INSTANCE_REFUSED ? "refused" : "failed to start",
               hv_err_message (err));
}

static void
item_free (struct item *i)
{
  hv_instance_unref (i->instance);
  hv_manifest_free (i->file);
  free (i->path);
  free (i->reason);
  free (i);
}

/* --- reading the directory --- */

static int
is_manifest (const struct dirent *d)
{
  size_t n = strlen (d->d_name);
  return d->d_name[0] != '.' && n > 5 && strcmp (d->d_name + n - 5, ".json") == 0 && strcmp (d->d_name, "core.json") != 0;
}

static struct item *
item_of_path (const struct hv_supervisor *s, const char *path)
{
  for (uint32_t k = 0; k < s->count; k++)
    if (strcmp (s->items[k]->path, path) == 0)
      return s->items[k];
  return NULL;
}

static struct item *
item_add (struct hv_supervisor *s, const char *path)
{
  struct item **more = realloc (s->items, (s->count + 1) * sizeof *more);
  struct item *i = calloc (1, sizeof *i);
  if (more != NULL)
    s->items = more;
  if (more == NULL || i == NULL || (i->path = strdup (path)) == NULL) {
    free (i);
    return NULL;
  }
  i->owner = s;
  i->state = HV_INSTANCE_STOPPED;
  s->items[s->count++] = i;
  return i;
}

static int
name_taken (const struct hv_supervisor *s, const struct item *self, const char *name)
{
  for (uint32_t k = 0; k < s->count; k++)
    if (s->items[k] != self && s->items[k]->file != NULL && s->items[k]->seen && strcmp (s->items[k]->file->manifest.name, name) == 0)
      return 1;
  return 0;
}

static void
item_load (struct item *i, struct hv_err *err)
{
  const struct hv_manifest *m = &i->file->manifest;
  char path[4096];
  int r = 0;
  if (!m->enabled) { /* nor is its code in the process: this node may not even have the libraries that it wants */
    i->state = HV_INSTANCE_DISABLED;
    return;
  }
  if (m->plugin[0] == '/')
    r = (size_t) snprintf (path, sizeof path, "%s", m->plugin) < sizeof path ? 0 : HV_E_INVALID_ARGUMENT;
  else
    r = (size_t) snprintf (path, sizeof path, "%s/%s", i->owner->plugin_dir, m->plugin) < sizeof path ? 0 : HV_E_INVALID_ARGUMENT;
  if (r < 0)
    (void) hv_err_set (err, r, "%s: plugin: the path is too long", i->path);
  else if (m->isolation == HV_ISOLATION_PROCESS)
    r = hv_err_set (err, HV_E_UNIMPLEMENTED, "%s: isolation: 'process' is not available in this version; use 'thread'", i->path);
  else
    r = hv_plugin_load (path, &i->table, err);
  if (r < 0)
    item_fail (i, HV_INSTANCE_REFUSED, err);
}

/* Reads one file into its item. A file that did not change since it was read leaves the item alone. */
static void
item_read (struct hv_supervisor *s, const char *path)
{
  struct hv_err *err = hv_error_new ();
  struct hv_manifest_file *f = NULL;
  struct item *i = item_of_path (s, path);
  int r = hv_manifest_read (path, &f, err);
  if (i == NULL)
    i = item_add (s, path);
  if (i != NULL && r == 0 && i->file != NULL && strcmp (i->file->text, f->text) == 0 && i->state <= HV_INSTANCE_RUNNING) {
    i->seen = 1;
    hv_manifest_free (f);
  } else if (i != NULL) {
    i->marked = i->instance != NULL; /* has to stop before the new one starts */
    i->seen = 1;
    if (r == 0 && name_taken (s, i, f->manifest.name))
      r = hv_err_set (err, HV_E_ALREADY_EXISTS, "%s: name: another manifest has '%s' already", path, f->manifest.name);
    if (!i->marked) {
      hv_manifest_free (i->file);
      i->file = f;
      i->state = HV_INSTANCE_STOPPED;
      if (r < 0)
        item_fail (i, HV_INSTANCE_REFUSED, err);
      else
        item_load (i, err);
    } else {
      hv_manifest_free (f); /* read anew once it has stopped */
    }
  }
  hv_err_free (err);
}

static uint32_t
read_all (struct hv_supervisor *s)
{
  struct dirent **names = NULL;
  int n = scandir (s->manifest_dir, &names, is_manifest, alphasort);
  if (n < 0)
    hv_log_line ("plugin", HV_LOG_ERROR, "manifest directory '%s': %s", s->manifest_dir, strerror (errno));
  for (uint32_t k = 0; k < s->count; k++)
    s->items[k]->seen = 0;
  for (int k = 0; k < n; k++) {
    char path[4096];
    if ((uint32_t) k < HV_LIMIT_PLUGINS && (size_t) snprintf (path, sizeof path, "%s/%s", s->manifest_dir, names[k]->d_name) < sizeof path)
      item_read (s, path);
    free (names[k]);
  }
  free (names);
  return n < 0 ? 1 : 0;
}

/* --- order --- */

static int
table_lists (const struct hv_iface *const *list, const char *name)
{
  for (; list != NULL && *list != NULL; list++)
    if (strcmp ((*list)->name, name) == 0)
      return 1;
  return 0;
}

static int
startable (const struct item *i)
{
  return i->table != NULL && i->instance == NULL && i->state == HV_INSTANCE_STOPPED;
}

static int
ordered (const struct hv_supervisor *s, const struct item *i)
{
  for (uint32_t k = 0; k < s->order_count; k++)
    if (s->order[k] == i)
      return 1;
  return 0;
}

/* Whether everything that would provide what it needs comes before it, or runs already. */
static int
needs_met (const struct hv_supervisor *s, const struct item *i)
{
  for (const struct hv_iface *const *f = i->table->needs; f != NULL && *f != NULL; f++)
    for (uint32_t k = 0; k < s->count; k++)
      if (startable (s->items[k]) && s->items[k] != i && !ordered (s, s->items[k]) && table_lists (s->items[k]->table->provides, (*f)->name))
        return 0;
  return 1;
}

static void
report_cycle (struct hv_supervisor *s)
{
  char names[1024] = "";
  size_t n = 0;
  struct hv_err *err = hv_error_new ();
  for (uint32_t k = 0; k < s->count; k++)
    if (startable (s->items[k]) && !ordered (s, s->items[k]) && n < sizeof names - 80)
      n += (size_t) snprintf (names + n, sizeof names - n, "%s%s", n > 0 ? " → " : "", item_name (s->items[k]));
  for (uint32_t k = 0; k < s->count; k++)
    if (startable (s->items[k]) && !ordered (s, s->items[k])) {
      (void) hv_err_set (err, HV_E_FAILED_PRECONDITION, "these need each other to start: %s", names);
      item_fail (s->items[k], HV_INSTANCE_FAILED, err);
    }
  hv_err_free (err);
}

static void
make_order (struct hv_supervisor *s)
{
  uint32_t before;
  free (s->order);
  s->order = calloc (s->count > 0 ? s->count : 1, sizeof *s->order);
  s->order_count = s->order_at = 0;
  do {
    before = s->order_count;
    for (uint32_t k = 0; s->order != NULL && k < s->count; k++)
      if (startable (s->items[k]) && !ordered (s, s->items[k]) && needs_met (s, s->items[k]))
        s->order[s->order_count++] = s->items[k];
  } while (s->order_count > before);
  report_cycle (s);
}

/* --- start --- */

static int
provider_runs (const struct hv_supervisor *s, const char *iface)
{
  for (uint32_t k = 0; k < s->count; k++)
    if (s->items[k]->state == HV_INSTANCE_RUNNING && table_lists (s->items[k]->table->provides, iface))
      return 1;
  return 0;
}

static int
check_needs (const struct hv_supervisor *s, const struct item *i, struct hv_err *err)
{
  for (const struct hv_iface *const *f = i->table->needs; f != NULL && *f != NULL; f++)
    if (!provider_runs (s, (*f)->name))
      return hv_err_set (err, HV_E_FAILED_PRECONDITION, "it needs a running provider of %s/%u and there is none", (*f)->name, (*f)->major);
  return 0;
}

static uint32_t
required_missing (const struct hv_supervisor *s)
{
  uint32_t n = 0;
  for (uint32_t k = 0; k < s->count; k++) {
    const struct item *i = s->items[k];
    n += i->file != NULL && i->file->manifest.required && i->file->manifest.enabled && i->state != HV_INSTANCE_RUNNING;
  }
  return n;
}

static void start_next (struct hv_supervisor *s);

static void
item_running (struct item *i)
{
  i->state = HV_INSTANCE_RUNNING;
  free (HV_STEAL (i->reason));
  hv_log_line ("plugin", HV_LOG_INFO, "'%s' (%s %s) is running", item_name (i), i->table->name, i->table->version);
  start_next (i->owner);
}

static void
item_undo_done (void *arg, uint32_t leaked)
{
  struct item *i = arg;
  (void) leaked;
  hv_instance_unref (HV_STEAL (i->instance));
  start_next (i->owner);
}

/* A start() that failed may have left timers, watches and a thread behind: the instance is stopped like a running one. */
static void
item_start_done (void *arg, int code, struct hv_err *err)
{
  struct item *i = arg;
  if (code == 0) {
    item_running (i);
    return;
  }
  (void) hv_err_wrap (err, code, "start");
  item_fail (i, HV_INSTANCE_FAILED, err);
  hv_instance_stop (i->instance, 0, item_undo_done, i);
}

static void
item_start (struct item *i)
{
  struct hv_supervisor *s = i->owner;
  const struct hv_manifest *m = &i->file->manifest;
  struct hv_err *err = hv_error_new ();
  struct hv_instance_spec spec = { .plugin = i->table, .name = m->name, .path = i->path, .state_dir = s->state_dir, .run_dir = s->run_dir,
                                   .config = m->config, .isolation = m->isolation, .role = m->role };
  int r = check_needs (s, i, err);
  if (r == 0)
    r = hv_instance_new (s->bus, &spec, &i->instance, err);
  if (r == 0) {
    i->state = HV_INSTANCE_STARTING;
    i->started = ++s->starts;
    hv_err_free (err);
    hv_instance_start (i->instance, item_start_done, i);
    return;
  }
  if (hv_err_code (err) == HV_E_INVALID_ARGUMENT)
    (void) hv_err_wrap (err, r, "%s", i->path);
  item_fail (i, HV_INSTANCE_FAILED, err);
  hv_err_free (err);
  start_next (s);
}

static void
start_next (struct hv_supervisor *s)
{
  if (s->order_at < s->order_count) {
    item_start (s->order[s->order_at++]);
    return;
  }
  void (*done) (void *, uint32_t) = HV_STEAL (s->done);
  if (done != NULL)
    done (s->arg, required_missing (s));
}

void
hv_supervisor_start (struct hv_supervisor *s, void (*done) (void *arg, uint32_t failed), void *arg)
{
  s->done = done;
  s->arg = arg;
  (void) read_all (s);
  make_order (s);
  start_next (s);
}

/* --- stop and reload --- */

static void stop_one (struct hv_supervisor *s);

static void
item_stopped (void *arg, uint32_t leaked)
{
  struct item *i = arg;
  struct hv_supervisor *s = i->owner;
  hv_log_line ("plugin", HV_LOG_INFO, "'%s' has stopped", item_name (i));
  i->state = HV_INSTANCE_STOPPED;
  i->marked = 0;
  s->leaked += leaked;
  hv_instance_unref (HV_STEAL (i->instance));
  stop_one (s);
}

static void
stop_finished (struct hv_supervisor *s)
{
  if (s->stopping) {
    void (*done) (void *, uint32_t) = HV_STEAL (s->done);
    if (done != NULL)
      done (s->arg, s->leaked);
    return;
  }
  for (uint32_t k = 0; k < s->count; k++)
    if (!s->items[k]->seen) { /* its file is gone */
      item_free (s->items[k]);
      s->items[k--] = s->items[--s->count];
    }
  (void) read_all (s);
  make_order (s);
  start_next (s);
}

/* The marked ones, last started first: what others were started on goes last. */
static void
stop_one (struct hv_supervisor *s)
{
  struct item *next = NULL;
  for (uint32_t k = 0; k < s->count; k++)
    if (s->items[k]->marked && (next == NULL || s->items[k]->started > next->started))
      next = s->items[k];
  if (next == NULL) {
    stop_finished (s);
    return;
  }
  next->state = HV_INSTANCE_STOPPING;
  hv_instance_stop (next->instance, HV_LIMIT_DRAIN_MS, item_stopped, next);
}

void
hv_supervisor_stop (struct hv_supervisor *s, void (*done) (void *arg, uint32_t leaked), void *arg)
{
  s->done = done;
  s->arg = arg;
  s->stopping = 1;
  for (uint32_t k = 0; k < s->count; k++)
    s->items[k]->marked = s->items[k]->instance != NULL;
  stop_one (s);
}

void
hv_supervisor_reload (struct hv_supervisor *s, void (*done) (void *arg, uint32_t failed), void *arg)
{
  s->done = done;
  s->arg = arg;
  if (read_all (s) > 0) {
    start_next (s); /* an unreadable directory changes nothing */
    return;
  }
  for (uint32_t k = 0; k < s->count; k++)
    if (!s->items[k]->seen)
      s->items[k]->marked = s->items[k]->instance != NULL;
  stop_one (s);
}

uint32_t
hv_supervisor_check (struct hv_supervisor *s)
{
  uint32_t bad = read_all (s);
  struct hv_err *err = hv_error_new ();
  for (uint32_t k = 0; k < s->count; k++) {
    struct item *i = s->items[k];
    int r = startable (i) && i->table->config != NULL && i->file->manifest.config.size > 0 ? 0 : 1;
    if (r == 0) {
      struct hv_arena arena = { 0 };
      struct hv_decode how = { .arena = &arena };
      void *out = hv_arena_alloc (&arena, i->table->config->c_size);
      r = out != NULL ? hv_record_decode (i->table->config, i->file->manifest.config, &how, out, err) : HV_E_RESOURCE_EXHAUSTED;
      if (r < 0) {
        (void) hv_err_wrap (err, r, "%s: config", i->path);
        item_fail (i, HV_INSTANCE_REFUSED, err);
      }
      hv_arena_free (&arena);
    }
    bad += i->state == HV_INSTANCE_REFUSED;
  }
  make_order (s);
  for (uint32_t k = 0; k < s->count; k++)
    bad += s->items[k]->state == HV_INSTANCE_FAILED;
  hv_err_free (err);
  return bad;
}

/* --- made and unmade --- */

struct hv_supervisor *
hv_supervisor_new (struct hv_bus *bus, const struct hv_supervisor_config *c, struct hv_err *err)
{
  struct hv_supervisor *s = calloc (1, sizeof *s);
  if (s != NULL) {
    s->bus = bus;
    s->manifest_dir = strdup (c->manifest_dir);
    s->plugin_dir = strdup (c->plugin_dir);
    s->state_dir = strdup (c->state_dir);
    s->run_dir = strdup (c->run_dir);
  }
  if (s != NULL && s->manifest_dir != NULL && s->plugin_dir != NULL && s->state_dir != NULL && s->run_dir != NULL)
    return s;
  hv_supervisor_free (s);
  (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return NULL;
}

void
hv_supervisor_free (struct hv_supervisor *s)
{
  if (s == NULL)
    return;
  for (uint32_t k = 0; k < s->count; k++)
    item_free (s->items[k]);
  free (s->items);
  free (s->order);
  free (s->manifest_dir);
  free (s->plugin_dir);
  free (s->state_dir);
  free (s->run_dir);
  free (s);
}

static void
describe_item (const struct item *i, struct hv_pack *p)
{
  const struct hv_manifest *m = i->file != NULL ? &i->file->manifest : NULL;
  uint32_t n = 0;
  hv_pack_map (p, 11);
  hv_pack_str (p, "name");
  hv_pack_str (p, item_name (i));
  hv_pack_str (p, "plugin");
  hv_pack_str (p, i->table != NULL ? i->table->name : m != NULL ? m->plugin : NULL);
  hv_pack_str (p, "path");
  hv_pack_str (p, i->path);
  hv_pack_str (p, "version");
  hv_pack_str (p, i->table != NULL ? i->table->version : NULL);
  hv_pack_str (p, "summary");
  hv_pack_str (p, i->table != NULL ? i->table->summary : NULL);
  hv_pack_str (p, "state");
  hv_pack_str (p, hv_instance_state_words[i->state]);
  hv_pack_str (p, "isolation");
  hv_pack_str (p, m != NULL ? hv_isolation_words[m->isolation] : NULL);
  hv_pack_str (p, "required");
  hv_pack_bool (p, m != NULL && m->required);
  hv_pack_str (p, "role");
  hv_pack_str (p, m != NULL ? hv_role_words[m->role] : NULL);
  hv_pack_str (p, "provides");
  uint64_t list = hv_pack_array_open (p);
  for (const struct hv_iface *const *f = i->table != NULL ? i->table->provides : NULL; f != NULL && *f != NULL; f++, n++) {
    char text[128];
    (void) snprintf (text, sizeof text, "%s/%u", (*f)->name, (*f)->major);
    hv_pack_str (p, text);
  }
  hv_pack_array_close (p, list, n);
  hv_pack_str (p, "reason");
  hv_pack_str (p, i->reason);
}

void
hv_supervisor_describe (void *arg, struct hv_pack *p)
{
  const struct hv_supervisor *s = arg;
  hv_pack_array (p, s->count);
  for (uint32_t k = 0; k < s->count; k++)
    describe_item (s->items[k], p);
}
