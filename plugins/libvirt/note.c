/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt's callbacks are told, on libvirt's thread, goes into a queue in order; the instance takes it from there. */
#include "note.h"
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Shared with the callbacks: libvirt lets go of its reference when it likes, maybe after the instance has ended. */
struct lv_notes {
  pthread_mutex_t lock;
  struct lv_note *first, *last;
  uint32_t count;
  unsigned refs;
  int closed, event_fd, lost;
};

/* A queue that nobody reads for so long is not worth its memory: the state is read anew instead. */
#define NOTES_MAX 65536u

static void
note_free (struct lv_note *n)
{
  free (n->a);
  free (n->b);
  free (n->c);
  free (n->d);
  free (n);
}

void
lv_notes_unref (struct lv_notes *q)
{
  pthread_mutex_lock (&q->lock);
  unsigned left = --q->refs;
  pthread_mutex_unlock (&q->lock);
  if (left > 0)
    return;
  for (struct lv_note *n = q->first, *next; n != NULL; n = next) {
    next = n->next;
    note_free (n);
  }
  (void) close (q->event_fd);
  pthread_mutex_destroy (&q->lock);
  free (q);
}

/* libvirt's word for it. */
static void
notes_unref (void *opaque)
{
  lv_notes_unref (opaque);
}

struct lv_notes *
lv_notes_ref (struct lv_notes *q)
{
  pthread_mutex_lock (&q->lock);
  q->refs++;
  pthread_mutex_unlock (&q->lock);
  return q;
}

static char *
copy (const char *text)
{
  return text != NULL ? strdup (text) : NULL;
}

static struct lv_note *
note_new (virDomainPtr dom, int kind)
{
  struct lv_note *n = calloc (1, sizeof *n);
  if (n == NULL)
    return NULL;
  n->kind = kind;
  if (dom != NULL) {
    (void) virDomainGetUUID (dom, n->uuid);
    (void) snprintf (n->name, sizeof n->name, "%s", virDomainGetName (dom));
  }
  return n;
}

/* NULL: it could not be noted, so something is missing from now on. */
static void
note_put (struct lv_notes *q, struct lv_note *n)
{
  uint64_t one = 1;
  pthread_mutex_lock (&q->lock);
  int kept = n != NULL && !q->closed && q->count < NOTES_MAX;
  if (kept) {
    n->next = NULL;
    if (q->last != NULL)
      q->last->next = n;
    else
      q->first = n;
    q->last = n;
    q->count++;
  } else
    q->lost = 1;
  int tell = !q->closed && (q->count == 1 || !kept);
  pthread_mutex_unlock (&q->lock);
  if (tell)
    (void) !write (q->event_fd, &one, sizeof one);
  if (!kept && n != NULL)
    note_free (n);
}

static void
note_simple (struct lv_notes *q, virDomainPtr dom, int kind, long long x, long long y, const char *a, const char *b, const char *c)
{
  struct lv_note *n = note_new (dom, kind);
  if (n != NULL) {
    n->x = x;
    n->y = y;
    n->a = copy (a);
    n->b = copy (b);
    n->c = copy (c);
  }
  note_put (q, n);
}

/* --- the callbacks, in the order of their numbers --- */

static int
on_lifecycle (virConnectPtr conn, virDomainPtr dom, int event, int detail, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_LIFECYCLE, event, detail, NULL, NULL, NULL);
  return 0;
}

static void
on_reboot (virConnectPtr conn, virDomainPtr dom, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_REBOOT, 0, 0, NULL, NULL, NULL);
}

static void
on_rtc_change (virConnectPtr conn, virDomainPtr dom, long long offset, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_RTC_CHANGE, offset, 0, NULL, NULL, NULL);
}

static void
on_watchdog (virConnectPtr conn, virDomainPtr dom, int action, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_WATCHDOG, action, 0, NULL, NULL, NULL);
}

static void
on_io_error (virConnectPtr conn, virDomainPtr dom, const char *path, const char *alias, int action, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_IO_ERROR, action, 0, path, alias, NULL);
}

static void
on_graphics (virConnectPtr conn, virDomainPtr dom, int phase, const virDomainEventGraphicsAddress *local,
             const virDomainEventGraphicsAddress *remote, const char *scheme, const virDomainEventGraphicsSubject *subject,
             void *opaque)
{
  (void) conn;
  (void) local;
  (void) scheme;
  const char *client = remote != NULL ? remote->node : NULL;
  if (subject != NULL && subject->nidentity > 0 && subject->identities[0].name != NULL)
    client = subject->identities[0].name;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_GRAPHICS, phase, 0, client, NULL, NULL);
}

static void
on_io_error_reason (virConnectPtr conn, virDomainPtr dom, const char *path, const char *alias, int action, const char *reason,
                    void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, action, 0, path, alias, reason);
}

static void
on_control_error (virConnectPtr conn, virDomainPtr dom, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_CONTROL_ERROR, 0, 0, NULL, NULL, NULL);
}

static void
on_block_job (virConnectPtr conn, virDomainPtr dom, const char *disk, int type, int status, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_BLOCK_JOB, type, status, disk, NULL, NULL);
}

static void
on_disk_change (virConnectPtr conn, virDomainPtr dom, const char *was, const char *now, const char *alias, int reason, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_DISK_CHANGE, reason, 0, was, now, alias);
}

static void
on_tray_change (virConnectPtr conn, virDomainPtr dom, const char *alias, int reason, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, reason, 0, alias, NULL, NULL);
}

static void
on_wakeup (virConnectPtr conn, virDomainPtr dom, int reason, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_PMWAKEUP, reason, 0, NULL, NULL, NULL);
}

static void
on_suspend (virConnectPtr conn, virDomainPtr dom, int reason, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_PMSUSPEND, reason, 0, NULL, NULL, NULL);
}

static void
on_balloon (virConnectPtr conn, virDomainPtr dom, unsigned long long actual_kib, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, (long long) actual_kib, 0, NULL, NULL, NULL);
}

static void
on_suspend_disk (virConnectPtr conn, virDomainPtr dom, int reason, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK, reason, 0, NULL, NULL, NULL);
}

static void
on_device_removed (virConnectPtr conn, virDomainPtr dom, const char *alias, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, 0, 0, alias, NULL, NULL);
}

static void
on_block_job_2 (virConnectPtr conn, virDomainPtr dom, const char *target, int type, int status, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, type, status, target, NULL, NULL);
}

/* Lists of parameters come as "name=value" lines; a value is the rest of its line, and libvirt's have no line ends. */
static char *
params_text (virTypedParameterPtr params, int n)
{
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream (&text, &size);
  if (out == NULL)
    return NULL;
  for (int i = 0; i < n; i++) {
    const virTypedParameter *p = &params[i];
    (void) fprintf (out, "%s=", p->field);
    switch (p->type) {
    case VIR_TYPED_PARAM_INT:
      (void) fprintf (out, "%d\n", p->value.i);
      break;
    case VIR_TYPED_PARAM_UINT:
      (void) fprintf (out, "%u\n", p->value.ui);
      break;
    case VIR_TYPED_PARAM_LLONG:
      (void) fprintf (out, "%lld\n", p->value.l);
      break;
    case VIR_TYPED_PARAM_ULLONG:
      (void) fprintf (out, "%llu\n", p->value.ul);
      break;
    case VIR_TYPED_PARAM_DOUBLE:
      (void) fprintf (out, "%g\n", p->value.d);
      break;
    case VIR_TYPED_PARAM_BOOLEAN:
      (void) fprintf (out, "%s\n", p->value.b ? "true" : "false");
      break;
    case VIR_TYPED_PARAM_STRING:
      (void) fprintf (out, "%s\n", p->value.s != NULL ? p->value.s : "");
      break;
    default:
      (void) fprintf (out, "?\n");
      break;
    }
  }
  if (fclose (out) != 0) {
    free (text);
    return NULL;
  }
  return text;
}

static void
note_params (struct lv_notes *q, virDomainPtr dom, int kind, virTypedParameterPtr params, int n_params)
{
  struct lv_note *n = note_new (dom, kind);
  if (n != NULL) {
    n->a = params_text (params, n_params);
    for (int i = 0; kind == VIR_DOMAIN_EVENT_ID_JOB_COMPLETED && i < n_params; i++) {
      const virTypedParameter *p = &params[i];
      if (strcmp (p->field, VIR_DOMAIN_JOB_SUCCESS) == 0 && p->type == VIR_TYPED_PARAM_BOOLEAN)
        n->x = p->value.b ? 1 : -1;
    }
  }
  note_put (q, n);
}

static void
on_tunable (virConnectPtr conn, virDomainPtr dom, virTypedParameterPtr params, int n, void *opaque)
{
  (void) conn;
  note_params (opaque, dom, VIR_DOMAIN_EVENT_ID_TUNABLE, params, n);
}

static void
on_agent (virConnectPtr conn, virDomainPtr dom, int state, int reason, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, state, reason, NULL, NULL, NULL);
}

static void
on_device_added (virConnectPtr conn, virDomainPtr dom, const char *alias, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, 0, 0, alias, NULL, NULL);
}

static void
on_migration (virConnectPtr conn, virDomainPtr dom, int iteration, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, iteration, 0, NULL, NULL, NULL);
}

static void
on_job_completed (virConnectPtr conn, virDomainPtr dom, virTypedParameterPtr params, int n, void *opaque)
{
  (void) conn;
  note_params (opaque, dom, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, params, n);
}

static void
on_removal_failed (virConnectPtr conn, virDomainPtr dom, const char *alias, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, 0, 0, alias, NULL, NULL);
}

static void
on_metadata (virConnectPtr conn, virDomainPtr dom, int type, const char *uri, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, type, 0, uri, NULL, NULL);
}

static void
on_threshold (virConnectPtr conn, virDomainPtr dom, const char *target, const char *path, unsigned long long threshold,
              unsigned long long excess, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_BLOCK_THRESHOLD, (long long) threshold, (long long) excess, target, path, NULL);
}

static void
on_memory_failure (virConnectPtr conn, virDomainPtr dom, int recipient, int action, unsigned int flags, void *opaque)
{
  struct lv_note *n = note_new (dom, VIR_DOMAIN_EVENT_ID_MEMORY_FAILURE);
  (void) conn;
  if (n != NULL) {
    n->x = recipient;
    n->y = action;
    n->z = flags;
  }
  note_put (opaque, n);
}

static void
on_memory_size (virConnectPtr conn, virDomainPtr dom, const char *alias, unsigned long long size_kib, void *opaque)
{
  (void) conn;
  note_simple (opaque, dom, VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE, (long long) size_kib, 0, alias, NULL, NULL);
}

static void
on_close (virConnectPtr conn, int reason, void *opaque)
{
  (void) conn;
  note_simple (opaque, NULL, LV_NOTE_CLOSED, reason, 0, NULL, NULL, NULL);
}

/* --- listening --- */

_Static_assert(VIR_DOMAIN_EVENT_ID_MEMORY_DEVICE_SIZE_CHANGE == LV_EVENTS - 1, "every event of libvirt has a callback");
static const virConnectDomainEventGenericCallback callbacks[LV_EVENTS] = {
#define CALLBACK(id, fn) [VIR_DOMAIN_EVENT_ID_##id] = VIR_DOMAIN_EVENT_CALLBACK (fn)
  CALLBACK (LIFECYCLE, on_lifecycle),
  CALLBACK (REBOOT, on_reboot),
  CALLBACK (RTC_CHANGE, on_rtc_change),
  CALLBACK (WATCHDOG, on_watchdog),
  CALLBACK (IO_ERROR, on_io_error),
  CALLBACK (GRAPHICS, on_graphics),
  CALLBACK (IO_ERROR_REASON, on_io_error_reason),
  CALLBACK (CONTROL_ERROR, on_control_error),
  CALLBACK (BLOCK_JOB, on_block_job),
  CALLBACK (DISK_CHANGE, on_disk_change),
  CALLBACK (TRAY_CHANGE, on_tray_change),
  CALLBACK (PMWAKEUP, on_wakeup),
  CALLBACK (PMSUSPEND, on_suspend),
  CALLBACK (BALLOON_CHANGE, on_balloon),
  CALLBACK (PMSUSPEND_DISK, on_suspend_disk),
  CALLBACK (DEVICE_REMOVED, on_device_removed),
  CALLBACK (BLOCK_JOB_2, on_block_job_2),
  CALLBACK (TUNABLE, on_tunable),
  CALLBACK (AGENT_LIFECYCLE, on_agent),
  CALLBACK (DEVICE_ADDED, on_device_added),
  CALLBACK (MIGRATION_ITERATION, on_migration),
  CALLBACK (JOB_COMPLETED, on_job_completed),
  CALLBACK (DEVICE_REMOVAL_FAILED, on_removal_failed),
  CALLBACK (METADATA_CHANGE, on_metadata),
  CALLBACK (BLOCK_THRESHOLD, on_threshold),
  CALLBACK (MEMORY_FAILURE, on_memory_failure),
  CALLBACK (MEMORY_DEVICE_SIZE_CHANGE, on_memory_size),
#undef CALLBACK
};

/* A driver that does not have one of the events cannot tell it: the test driver has few. The lifecycle is not to be missed. */
int
lv_notes_register (struct lv_notes *q, virConnectPtr conn)
{
  if (virConnectRegisterCloseCallback (conn, on_close, lv_notes_ref (q), notes_unref) < 0)
    lv_notes_unref (q);
  for (int id = 0; id < LV_EVENTS; id++) {
    if (callbacks[id] == NULL
        || virConnectDomainEventRegisterAny (conn, NULL, id, callbacks[id], lv_notes_ref (q), notes_unref) >= 0)
      continue;
    lv_notes_unref (q);
    if (id == VIR_DOMAIN_EVENT_ID_LIFECYCLE)
      return -1;
  }
  return 0;
}

static void
on_notes (void *self, void *arg, uint32_t ready)
{
  struct lv_daemon *d = arg;
  struct lv_notes *q = d->notes;
  uint64_t n;
  (void) self;
  (void) ready;
  (void) !read (q->event_fd, &n, sizeof n);
  pthread_mutex_lock (&q->lock);
  struct lv_note *note = HV_STEAL (q->first), *next;
  int lost = q->lost;
  q->last = NULL;
  q->count = 0;
  q->lost = 0;
  pthread_mutex_unlock (&q->lock);
  for (; note != NULL; note = next) {
    next = note->next;
    d->heard_ms = d->lv->host->api->now_ms ();
    lv_note_apply (d, note);
    note_free (note);
  }
  if (lost) {
    hv_log (d->lv->host, HV_LOG_WARNING, "events of libvirt were lost: what it has now is read anew");
    lv_sync_later (d);
  }
}

struct lv_notes *
lv_notes_new (struct lv_daemon *d, struct hv_err *err)
{
  struct lv_notes *q = calloc (1, sizeof *q);
  if (q != NULL) {
    q->refs = 1;
    q->event_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void) pthread_mutex_init (&q->lock, NULL);
    d->note_watch = q->event_fd >= 0 ? d->lv->host->api->watch_new (d->lv->host, q->event_fd, HV_WAIT_READ, on_notes, d) : NULL;
  }
  if (q == NULL || d->note_watch == NULL)
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory, or of descriptors");
  return q;
}

void
lv_notes_free (struct lv_daemon *d)
{
  if (d->note_watch != NULL)
    d->lv->host->api->watch_free (d->lv->host, HV_STEAL (d->note_watch));
  if (d->notes == NULL)
    return;
  pthread_mutex_lock (&d->notes->lock);
  d->notes->closed = 1;
  pthread_mutex_unlock (&d->notes->lock);
  lv_notes_unref (HV_STEAL (d->notes));
}
