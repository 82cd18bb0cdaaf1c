/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From one libvirt to another, peer to peer: once begun, it goes on whatever becomes of us. The address that migrate_in gives is
 * CONNECTION#DIRECTORY#URI: where the other libvirt is reached, where the machine's sockets and logs are there, and where its
 * QEMU listens. */
#include "op.h"
#include "xml/build.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* unix:PATH and tcp:HOST:PORT, as libvirt writes them. The call's; NULL: none of them, or no memory. */
static char *
libvirt_uri (struct hv_host *h, const char *uri)
{
  if (strncmp (uri, "unix:/", 6) == 0)
    return hv_printf (h, "unix://%s", uri + 5);
  const char *host = strncmp (uri, "tcp:", 4) == 0 ? uri + 4 : NULL;
  if (host == NULL || strchr (host, ':') == NULL || strchr (host, '#') != NULL)
    return NULL;
  return hv_printf (h, "tcp://%s", host);
}

/* --- there --- */

static int
arrive_check (struct lv *lv, const struct hv_migrate_in_args *a, struct lv_daemon **ret, struct hv_err *err)
{
  struct lv_vm *vm = lv_vm_find (lv, a->vm, NULL);
  if (strcmp (a->vm, a->machine.name) != 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "vm '%s' and machine.name '%s' differ", a->vm, a->machine.name);
  if (vm != NULL && lv_vm_alive (vm))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s here", a->vm, hv_vm_state_words[vm->state]);
  int r = lv_daemon_for (lv, &a->machine, ret, err);
  if (r == 0)
    r = lv_node_wait (*ret, err);
  return r == 0 ? lv_node_check (*ret, &a->machine, err) : r;
}

static int
arrive (struct lv_daemon *d, const struct hv_migrate_in_args *a, struct hv_migrate_in_result *ret, struct hv_err *err)
{
  struct lv *lv = d->lv;
  unsigned char uuid[VIR_UUID_BUFLEN];
  struct hv_host *h = lv->host;
  const char *dir = hv_printf (h, "%s/%s", h->api->info (h)->run_dir, a->machine.uuid), *uri = libvirt_uri (h, a->uri);
  if (uri == NULL || lv_uuid_parse (a->machine.uuid, uuid) < 0)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "uri '%s': unix:PATH or tcp:HOST:PORT", a->uri);
  if (dir == NULL || strchr (dir, '#') != NULL || strchr (d->uri, '#') != NULL)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "a path with '#' in it cannot be put into an address");
  if (mkdir (dir, 0711) < 0 && errno != EEXIST)
    return hv_err_sys (err, errno, "make directory '%s'", dir);
  struct lv_vm *vm = lv_vm_find (lv, a->vm, NULL);
  if (vm == NULL)
    vm = lv_vm_new (d, a->vm, uuid, err);
  if (vm == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  if (vm->daemon != d)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is defined in another network namespace here: undefine it", a->vm);
  HV_CLEAN (lv_vm) struct lv_vm *held = lv_vm_ref (vm);
  memcpy (vm->uuid, uuid, sizeof vm->uuid);
  vm->foreign = 0;
  vm->awaited = vm->known = 1;
  if (lv_vm_set_labels (vm, &a->machine.labels) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = lv_record_put (vm, err);
  ret->uri = hv_printf (h, "%s#%s#%s", d->uri, dir, uri);
  return r < 0 ? r : ret->uri != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

int
lv_migrate_in (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct lv_daemon *d = NULL;
  (void) call;
  int r = arrive_check (self, args, &d, err);
  if (r == 0)
    r = arrive (d, args, result, err);
  lv_daemon_done (d);
  return r;
}

/* --- here --- */

struct move_work {
  struct lv_work w;
  char *conn_uri, *dir, *uri, *own_dir;
  uint64_t bytes_per_s, downtime_ms;
  unsigned flags;
  uint64_t total_ms, stood_ms, sent_bytes;
};

static void
move_clear (struct lv_work *w)
{
  struct move_work *m = (struct move_work *) w;
  free (m->conn_uri);
  free (m->dir);
  free (m->uri);
  free (m->own_dir);
}

/* The same machine, with its sockets and logs where they are there. */
static char *
moved_xml (struct lv_work *w, unsigned flags)
{
  struct move_work *m = (struct move_work *) w;
  char *now = virDomainGetXMLDesc (w->dom, VIR_DOMAIN_XML_SECURE | flags), *there = NULL;
  if (now == NULL)
    return (void) lv_work_fail (w), NULL;
  if (lv_xml_move (now, m->own_dir, m->dir, &there, NULL) < 0)
    (void) lv_work_error (w, HV_E_INTERNAL, "libvirt's XML of it cannot be read");
  free (now);
  return there;
}

static int
move_params (struct move_work *m, const char *live, const char *config, virTypedParameterPtr *params, int *n)
{
  int most = 0, r = 0;
  r |= virTypedParamsAddString (params, n, &most, VIR_MIGRATE_PARAM_URI, m->uri);
  r |= virTypedParamsAddString (params, n, &most, VIR_MIGRATE_PARAM_DEST_XML, live);
  r |= virTypedParamsAddString (params, n, &most, VIR_MIGRATE_PARAM_PERSIST_XML, config);
  if (m->bytes_per_s > 0) /* MiB/s is the smallest that libvirt knows */
    r |= virTypedParamsAddULLong (params, n, &most, VIR_MIGRATE_PARAM_BANDWIDTH,
                                  m->bytes_per_s >> 20 > 0 ? m->bytes_per_s >> 20 : 1);
  return r;
}

static void
move_figures (struct move_work *m)
{
  virTypedParameterPtr params = NULL;
  int type = 0, n = 0;
  unsigned long long value;
  if (virDomainGetJobStats (m->w.dom, &type, &params, &n, VIR_DOMAIN_JOB_STATS_COMPLETED) < 0)
    return;
  if (virTypedParamsGetULLong (params, n, VIR_DOMAIN_JOB_TIME_ELAPSED, &value) == 1)
    m->total_ms = value;
  if (virTypedParamsGetULLong (params, n, VIR_DOMAIN_JOB_DOWNTIME, &value) == 1)
    m->stood_ms = value;
  if (virTypedParamsGetULLong (params, n, VIR_DOMAIN_JOB_DATA_PROCESSED, &value) == 1)
    m->sent_bytes = value;
  virTypedParamsFree (params, n);
}

static int
move_run (struct lv_work *w)
{
  struct move_work *m = (struct move_work *) w;
  virTypedParameterPtr params = NULL;
  int n = 0, r = 0;
  char *live = moved_xml (w, VIR_DOMAIN_XML_MIGRATABLE), *config = live != NULL ? moved_xml (w, VIR_DOMAIN_XML_INACTIVE) : NULL;
  if (live == NULL || config == NULL)
    r = w->code;
  else if (move_params (m, live, config, &params, &n) < 0)
    r = lv_work_error (w, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  (void) virDomainMigrateSetMaxDowntime (w->dom, m->downtime_ms, 0); /* one that is not taken is libvirt's own */
  if (r == 0 && virDomainMigrateToURI3 (w->dom, m->conn_uri, params, (unsigned) n, m->flags) < 0)
    r = lv_work_fail (w);
  if (r == 0)
    move_figures (m);
  virTypedParamsFree (params, n);
  free (live);
  free (config);
  return r;
}

/* CONNECTION#DIRECTORY#URI. */
static int
move_address (struct lv_vm *vm, const char *address, struct move_work *m, struct hv_err *err)
{
  struct hv_host *h = vm->lv->host;
  const char *first = strchr (address, '#'), *last = strrchr (address, '#');
  if (first == NULL || last == first || strstr (address, "://") == NULL)
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "uri '%s': is none that migrate_in of a libvirt backend gave", address);
  const char *uuid = lv_uuid_text (h, vm->uuid);
  m->conn_uri = strndup (address, (size_t) (first - address));
  m->dir = strndup (first + 1, (size_t) (last - first - 1));
  m->uri = strdup (last + 1);
  if (uuid == NULL || asprintf (&m->own_dir, "%s/%s", h->api->info (h)->run_dir, uuid) < 0)
    m->own_dir = NULL;
  return m->conn_uri != NULL && m->dir != NULL && m->uri != NULL && m->own_dir != NULL
             ? 0
             : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static unsigned
move_flags (const struct hv_migrate_args *a, const char *conn_uri)
{
  unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST;
  if (a->post_copy)
    flags |= VIR_MIGRATE_POSTCOPY;
  if (a->auto_converge)
    flags |= VIR_MIGRATE_AUTO_CONVERGE;
  if (strncmp (conn_uri, "qemu+unix:///", 13) == 0)
    flags |= VIR_MIGRATE_UNSAFE; /* on this very node: the files are the same ones, whatever their file system is */
  return flags;
}

static int
post_copy_run (struct lv_work *w)
{
  return virDomainMigrateStartPostCopy (w->dom, 0) < 0 ? lv_work_fail (w) : 0;
}

struct switch_over {
  struct lv_vm *vm; /* held */
  int over;
  uint32_t refs;
};

static void
switch_unref (struct switch_over *s)
{
  if (--s->refs > 0)
    return;
  lv_vm_unref (s->vm);
  free (s);
}

/* libvirt takes it once the first round over the memory has begun. */
static void
switch_run (void *self, void *arg)
{
  struct switch_over *s = arg;
  int done = 0;
  (void) self;
  while (!done && !s->over && hv_sleep (s->vm->lv->host, 100, NULL) == 0 && !s->over) {
    HV_CLEAN (lv_op) struct lv_op *op = lv_op_new (post_copy_run, "post-copy of VM", LV_WORK_LIGHT, NULL, NULL);
    done = lv_op_run (s->vm, op, 0, NULL) == 0;
  }
  switch_unref (s);
}

static int
move (struct lv_vm *vm, const struct hv_migrate_args *a, struct hv_call *call, struct move_work *m, struct hv_err *err)
{
  struct switch_over *s = a->post_copy ? calloc (1, sizeof *s) : NULL;
  if (a->post_copy && s == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (s != NULL) {
    *s = (struct switch_over){ .vm = lv_vm_ref (vm), .refs = 1 };
    if (hv_go (vm->lv->host, "post-copy", switch_run, s) == 0)
      s->refs++;
  }
  int r = lv_work_long (vm, &m->w, call, "migrate", err);
  if (s != NULL) {
    s->over = 1;
    switch_unref (s);
  }
  return r;
}

int
lv_migrate (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_migrate_args *a = args;
  struct hv_migrate_result *ret = result;
  HV_CLEAN (lv_vm) struct lv_vm *vm = lv_vm_hold (self, a->vm, err);
  int r = vm == NULL ? HV_E_NOT_FOUND : lv_vm_need_running (vm, err);
  if (r == 0 && a->copy_storage)
    r = hv_err_set (err, HV_E_UNIMPLEMENTED, "copy_storage: disks are not copied; put them where both nodes see them");
  if (r < 0)
    return r;
  struct move_work *m = lv_work_new (sizeof *m, move_run, "migrate VM", LV_WORK_CHANGES);
  HV_CLEAN (lv_work) struct lv_work *w = m != NULL ? &m->w : NULL;
  if (m == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  w->clear = move_clear;
  r = move_address (vm, a->uri, m, err);
  if (r < 0)
    return r;
  m->flags = move_flags (a, m->conn_uri);
  m->bytes_per_s = a->bytes_per_s;
  m->downtime_ms = a->downtime_ms;
  r = move (vm, a, call, m, err);
  hv_step (vm->lv->host, "migrate.done");
  if (r < 0) {
    lv_sync_vm_later (vm);
    return r;
  }
  HV_SET (ret, total_ms, m->total_ms);
  HV_SET (ret, downtime_ms, m->stood_ms);
  HV_SET (ret, transferred_bytes, m->sent_bytes);
  return lv_sync_vm (vm, err);
}
