/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Threads are made when they are needed. A libvirt daemon serves 5 requests of a connection at a time, so one that has as many
 * stuck is as good as hung: works are spread over connections that have fewer. */
#define THREADS_MAX    32u
#define THREADS_URGENT 4u
#define SLOTS          16u
#define SLOT_WORKS     4u

struct slot {
  pthread_mutex_t lock; /* held while it is opened */
  virConnectPtr conn;
  uint32_t works; /* under the pool's lock */
};

struct lv_pool {
  pthread_mutex_t lock;
  pthread_cond_t more;
  struct lv_work *first, *last; /* waiting */
  struct lv_work *done;         /* newest first */
  unsigned threads, idle, urgent, refs;
  int stopping, event_fd;
  struct slot slots[SLOTS]; /* 0: the first connection, which conn.c opens */
  char *uri;
};

/* --- the work --- */

void *
lv_work_new (uint64_t size, int (*run) (struct lv_work *), const char *what, uint32_t flags)
{
  struct lv_work *w = calloc (1, size);
  if (w != NULL) {
    w->run = run;
    w->what = what;
    w->flags = flags;
    w->refs = 1;
  }
  return w;
}

static void
pool_unref (struct lv_pool *p)
{
  pthread_mutex_lock (&p->lock);
  unsigned left = --p->refs;
  pthread_mutex_unlock (&p->lock);
  if (left > 0)
    return;
  for (uint32_t i = 0; i < SLOTS; i++) {
    if (p->slots[i].conn != NULL)
      (void) virConnectClose (p->slots[i].conn);
    pthread_mutex_destroy (&p->slots[i].lock);
  }
  pthread_cond_destroy (&p->more);
  pthread_mutex_destroy (&p->lock);
  (void) close (p->event_fd);
  free (p->uri);
  free (p);
}

static int
work_drop (struct lv_work *w)
{
  struct lv_pool *p = w->pool;
  if (p != NULL)
    pthread_mutex_lock (&p->lock);
  int left = --w->refs;
  if (p != NULL)
    pthread_mutex_unlock (&p->lock);
  return left == 0;
}

void
lv_work_unref (struct lv_work *w)
{
  if (w == NULL || !work_drop (w))
    return;
  struct lv_pool *p = w->pool;
  if (w->clear != NULL)
    w->clear (w);
  if (w->dom != NULL)
    (void) virDomainFree (w->dom);
  if (w->conn != NULL)
    (void) virConnectClose (w->conn);
  free (w);
  if (p != NULL)
    pool_unref (p);
}

/* --- errors --- */

static int
code_of (int number)
{
  static const struct {
    int number, code;
  } codes[] = {
    { VIR_ERR_NO_DOMAIN, HV_E_NOT_FOUND },
    { VIR_ERR_NO_DOMAIN_SNAPSHOT, HV_E_NOT_FOUND },
    { VIR_ERR_NO_DOMAIN_CHECKPOINT, HV_E_NOT_FOUND },
    { VIR_ERR_DEVICE_MISSING, HV_E_NOT_FOUND },
    { VIR_ERR_DOM_EXIST, HV_E_ALREADY_EXISTS },
    { VIR_ERR_OPERATION_INVALID, HV_E_FAILED_PRECONDITION },
    { VIR_ERR_OPERATION_DENIED, HV_E_PERMISSION_DENIED },
    { VIR_ERR_ACCESS_DENIED, HV_E_PERMISSION_DENIED },
    { VIR_ERR_AUTH_FAILED, HV_E_PERMISSION_DENIED },
    { VIR_ERR_AUTH_CANCELLED, HV_E_PERMISSION_DENIED },
    { VIR_ERR_AUTH_UNAVAILABLE, HV_E_PERMISSION_DENIED },
    { VIR_ERR_OPERATION_UNSUPPORTED, HV_E_UNIMPLEMENTED },
    { VIR_ERR_NO_SUPPORT, HV_E_UNIMPLEMENTED },
    { VIR_ERR_CONFIG_UNSUPPORTED, HV_E_UNIMPLEMENTED },
    { VIR_ERR_ARGUMENT_UNSUPPORTED, HV_E_UNIMPLEMENTED },
    { VIR_ERR_OPERATION_TIMEOUT, HV_E_ABORTED },
    { VIR_ERR_RESOURCE_BUSY, HV_E_ABORTED },
    { VIR_ERR_OPERATION_ABORTED, HV_E_CANCELLED },
    { VIR_ERR_AGENT_UNRESPONSIVE, HV_E_UNAVAILABLE },
    { VIR_ERR_AGENT_UNSYNCED, HV_E_UNAVAILABLE },
    { VIR_ERR_NO_CONNECT, HV_E_UNAVAILABLE },
    { VIR_ERR_INVALID_ARG, HV_E_INVALID_ARGUMENT },
    { VIR_ERR_XML_ERROR, HV_E_INVALID_ARGUMENT },
    { VIR_ERR_XML_DETAIL, HV_E_INVALID_ARGUMENT },
    { VIR_ERR_XML_INVALID_SCHEMA, HV_E_INVALID_ARGUMENT },
    { VIR_ERR_OVERFLOW, HV_E_INVALID_ARGUMENT },
    { VIR_ERR_NO_MEMORY, HV_E_RESOURCE_EXHAUSTED },
  };
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
    if (codes[i].number == number)
      return codes[i].code;
  return HV_E_INTERNAL;
}

int
lv_work_error (struct lv_work *w, int code, const char *fmt, ...)
{
  va_list ap;
  va_start (ap, fmt);
  (void) vsnprintf (w->message, sizeof w->message, fmt, ap);
  va_end (ap);
  w->code = code;
  return code;
}

/* Any further call of libvirt, a mere question too, replaces its last error. */
int
lv_work_fail (struct lv_work *w)
{
  virErrorPtr e = virGetLastError ();
  int code = e != NULL ? code_of (e->code) : HV_E_INTERNAL;
  char words[sizeof w->message];
  (void) snprintf (words, sizeof words, "%s", e != NULL && e->message != NULL ? e->message : "libvirt gives no reason");
  if (w->conn != NULL && virConnectIsAlive (w->conn) == 0)
    return lv_work_error (w, w->flags & LV_WORK_CHANGES ? HV_E_UNKNOWN : HV_E_UNAVAILABLE,
                          "the connection to libvirt broke while it was under way: %s", words);
  return lv_work_error (w, code, "%s", words);
}

/* --- the worker --- */

/* [worker] The connection of a slot, opened or opened again. */
static int
slot_open (struct lv_work *w)
{
  struct slot *s = &w->pool->slots[w->slot];
  pthread_mutex_lock (&s->lock);
  if (s->conn != NULL && virConnectIsAlive (s->conn) != 1) {
    (void) virConnectClose (s->conn);
    s->conn = NULL;
  }
  if (s->conn == NULL && w->slot != 0) {
    s->conn = virConnectOpen (w->pool->uri);
    if (s->conn != NULL)
      (void) virConnectSetKeepAlive (s->conn, LV_KEEPALIVE_S, LV_KEEPALIVE_COUNT);
  }
  if (s->conn != NULL && virConnectRef (s->conn) == 0)
    w->conn = s->conn;
  pthread_mutex_unlock (&s->lock);
  if (w->conn != NULL)
    return 0;
  virErrorPtr e = virGetLastError ();
  return lv_work_error (w, HV_E_UNAVAILABLE, "libvirt cannot be reached: %s",
                        w->slot != 0 && e != NULL && e->message != NULL ? e->message
                                                                        : "the connection is lost, and being made again");
}

static void
work_perform (struct lv_work *w)
{
  virResetLastError ();
  int r = w->flags & LV_WORK_NO_CONN ? 0 : slot_open (w);
  if (r == 0 && w->about_vm && w->dom == NULL && (w->dom = virDomainLookupByUUID (w->conn, w->uuid)) == NULL)
    r = lv_work_fail (w);
  if (r == 0)
    r = w->run (w);
  w->code = r;
}

static void
work_finish (struct lv_work *w)
{
  struct lv_pool *p = w->pool;
  uint64_t one = 1;
  pthread_mutex_lock (&p->lock);
  if (!(w->flags & LV_WORK_NO_CONN))
    p->slots[w->slot].works--;
  int tell = !p->stopping;
  if (tell) {
    w->next = p->done;
    p->done = w;
  }
  pthread_mutex_unlock (&p->lock);
  if (tell)
    (void) !write (p->event_fd, &one, sizeof one);
  else
    lv_work_unref (w);
}

static struct lv_work *
pool_take (struct lv_pool *p)
{
  pthread_mutex_lock (&p->lock);
  p->idle++;
  while (p->first == NULL && !p->stopping)
    pthread_cond_wait (&p->more, &p->lock);
  p->idle--;
  struct lv_work *w = p->first;
  if (w != NULL) {
    p->first = w->next;
    if (p->first == NULL)
      p->last = NULL;
  } else
    p->threads--;
  pthread_mutex_unlock (&p->lock);
  return w;
}

static void *
worker_run (void *arg)
{
  struct lv_pool *p = arg;
  struct lv_work *w;
  while ((w = pool_take (p)) != NULL) {
    work_perform (w);
    work_finish (w);
  }
  pool_unref (p);
  return NULL;
}

/* --- the instance's side --- */

/* With the lock. */
static int
thread_add (struct lv_pool *p)
{
  pthread_t t;
  pthread_attr_t attr;
  if (pthread_attr_init (&attr) != 0)
    return -1;
  (void) pthread_attr_setdetachstate (&attr, PTHREAD_CREATE_DETACHED);
  int r = pthread_create (&t, &attr, worker_run, p);
  (void) pthread_attr_destroy (&attr);
  if (r != 0)
    return -1;
  p->threads++;
  p->refs++;
  return 0;
}

static uint32_t
slot_choose (struct lv_pool *p, uint32_t flags)
{
  uint32_t best = 1;
  if (flags & LV_WORK_LIGHT)
    return 0;
  for (uint32_t i = 1; i < SLOTS; i++) {
    if (p->slots[i].works < SLOT_WORKS)
      return i;
    if (p->slots[i].works < p->slots[best].works)
      best = i;
  }
  return best;
}

static int
pool_put (struct lv_pool *p, struct lv_work *w)
{
  unsigned most = w->flags & LV_WORK_URGENT ? THREADS_MAX : THREADS_MAX - THREADS_URGENT;
  pthread_mutex_lock (&p->lock);
  unsigned queued = 0;
  for (struct lv_work *q = p->first; q != NULL; q = q->next)
    queued++;
  int r = 0;
  if (p->idle <= queued && p->threads < most)
    r = thread_add (p);
  if (r < 0 && p->threads > 0)
    r = 0;
  if (r == 0) {
    w->slot = slot_choose (p, w->flags);
    if (!(w->flags & LV_WORK_NO_CONN))
      p->slots[w->slot].works++;
    w->refs++;
    if (p->last != NULL)
      p->last->next = w;
    else
      p->first = w;
    p->last = w;
    pthread_cond_signal (&p->more);
  }
  pthread_mutex_unlock (&p->lock);
  return r;
}

/* What somebody waits for is his; what nobody waits for says at least that libvirt answers again. */
static void
work_done (struct lv_daemon *d, struct lv_work *w)
{
  w->finished = 1;
  d->heard_ms = d->lv->host->api->now_ms ();
  if (w->vm != NULL)
    lv_vm_work_done (w->vm, w);
  if (w->done != NULL)
    d->lv->host->api->cond_wake (d->lv->host, w->done);
  lv_work_unref (w);
}

static void
on_done (void *self, void *arg, uint32_t ready)
{
  struct lv_daemon *d = arg;
  uint64_t n;
  (void) self;
  (void) ready;
  (void) !read (d->pool->event_fd, &n, sizeof n);
  pthread_mutex_lock (&d->pool->lock);
  struct lv_work *w = d->pool->done, *next;
  d->pool->done = NULL;
  pthread_mutex_unlock (&d->pool->lock);
  struct lv_work *in_order = NULL;
  for (; w != NULL; w = next) {
    next = w->next;
    w->next = in_order;
    in_order = w;
  }
  for (w = in_order; w != NULL; w = next) {
    next = w->next;
    work_done (d, w);
  }
}

static int
work_wait (struct lv_daemon *d, struct lv_work *w, uint64_t timeout_ms, struct hv_err *err)
{
  struct hv_host *h = d->lv->host;
  uint64_t end = h->api->now_ms () + timeout_ms;
  while (!w->finished) {
    uint64_t now = h->api->now_ms ();
    int r = now < end ? h->api->cond_wait (h, w->done, end - now, err) : HV_E_DEADLINE_EXCEEDED;
    if (r == 0 || w->finished)
      continue;
    w->abandoned = 1;
    if (r == HV_E_CANCELLED && !(w->flags & LV_WORK_CHANGES))
      return r;
    return hv_err_set (err,
                       r == HV_E_CANCELLED          ? r
                       : w->flags & LV_WORK_CHANGES ? HV_E_UNKNOWN
                                                    : HV_E_DEADLINE_EXCEEDED,
                       "libvirt has not answered for %llu ms; what becomes of it is not known",
                       (unsigned long long) (h->api->now_ms () - w->begun_ms));
  }
  return 0;
}

static int
work_begin (struct lv_daemon *d, struct lv_work *w, struct lv_vm *vm, struct hv_err *err)
{
  if (!d->connected && !(w->flags & LV_WORK_NO_CONN))
    return hv_err_set (err, HV_E_UNAVAILABLE, "libvirt cannot be reached at '%s': %s", d->uri, lv_why_lost (d));
  w->done = d->lv->host->api->cond_new (d->lv->host);
  if (w->done == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  w->pool = d->pool;
  pthread_mutex_lock (&d->pool->lock);
  d->pool->refs++;
  pthread_mutex_unlock (&d->pool->lock);
  w->begun_ms = d->lv->host->api->now_ms ();
  if (vm != NULL) {
    w->about_vm = 1;
    memcpy (w->uuid, vm->uuid, sizeof w->uuid);
    (void) snprintf (w->vm_name, sizeof w->vm_name, "%s", vm->name);
    lv_vm_work_begin (vm, w);
  }
  int r = pool_put (d->pool, w);
  if (r < 0 && vm != NULL)
    lv_vm_work_done (vm, w);
  return r < 0 ? hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "no thread for a call of libvirt") : 0;
}

int
lv_work_run (struct lv_daemon *d, struct lv_work *w, struct lv_vm *vm, uint64_t timeout_ms, struct hv_err *err)
{
  if (w == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = work_begin (d, w, vm, err);
  if (r == 0)
    r = work_wait (d, w, timeout_ms != 0 ? timeout_ms : d->lv->config->call_ms, err);
  if (w->done != NULL)
    d->lv->host->api->cond_free (d->lv->host, HV_STEAL (w->done));
  if (r == 0 && w->code < 0)
    r = hv_err_set (err, w->code, "%s", w->message);
  if (r < 0 && vm != NULL)
    return hv_err_wrap (err, r, "%s '%s'", w->what, vm->name);
  return r < 0 ? hv_err_wrap (err, r, "%s", w->what) : r;
}

/* --- beginning and end --- */

int
lv_pool_start (struct lv_daemon *d, struct hv_err *err)
{
  struct lv_pool *p = calloc (1, sizeof *p);
  if (p == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  p->refs = 1;
  p->event_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  p->uri = strdup (d->uri);
  (void) pthread_mutex_init (&p->lock, NULL);
  (void) pthread_cond_init (&p->more, NULL);
  for (uint32_t i = 0; i < SLOTS; i++)
    (void) pthread_mutex_init (&p->slots[i].lock, NULL);
  d->pool = p;
  if (p->event_fd >= 0)
    d->done_watch = d->lv->host->api->watch_new (d->lv->host, p->event_fd, HV_WAIT_READ, on_done, d);
  return p->uri != NULL && d->done_watch != NULL ? 0
                                                 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory, or of descriptors");
}

void
lv_pool_adopt (struct lv_daemon *d, virConnectPtr conn)
{
  struct slot *s = &d->pool->slots[0];
  pthread_mutex_lock (&s->lock);
  virConnectPtr old = s->conn;
  s->conn = conn;
  pthread_mutex_unlock (&s->lock);
  if (old != NULL)
    (void) virConnectClose (old);
}

static void
works_unref (struct lv_work *w)
{
  for (struct lv_work *next; w != NULL; w = next) {
    next = w->next;
    lv_work_unref (w);
  }
}

void
lv_pool_stop (struct lv_daemon *d)
{
  struct lv_pool *p = d->pool;
  if (p == NULL)
    return;
  if (d->done_watch != NULL)
    d->lv->host->api->watch_free (d->lv->host, d->done_watch);
  d->done_watch = NULL;
  pthread_mutex_lock (&p->lock);
  p->stopping = 1;
  struct lv_work *done = HV_STEAL (p->done), *waiting = HV_STEAL (p->first);
  p->last = NULL;
  pthread_cond_broadcast (&p->more);
  pthread_mutex_unlock (&p->lock);
  works_unref (done);
  works_unref (waiting); /* nothing is begun any more */
  d->pool = NULL;
  pool_unref (p);
}
