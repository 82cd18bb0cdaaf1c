/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "eventloop.h"
#include <ev.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdlib.h>

/* A handle (fd >= 0) or a timer. Added, changed and removed by any thread; the libev watcher belongs to the loop's thread and
 * follows when the loop comes by: libvirt changes a handle at every call, and most of these changes take themselves back. */
struct item {
  struct item *next;
  int id, fd, events, timeout_ms;
  uint8_t removed, dirty;
  union {
    virEventHandleCallback handle;
    virEventTimeoutCallback timeout;
  } fire;
  virFreeCallback free_opaque;
  void *opaque;
  ev_io io;
  ev_timer timer;
};

static struct {
  pthread_once_t once;
  pthread_mutex_t lock; /* of everything below */
  pthread_mutex_t users_lock;
  struct ev_loop *ev;
  ev_async wake;
  struct item *items;
  int next_id, dirty, quit, registered;
  unsigned users;
  pthread_t thread;
} loop = { .once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER, .users_lock = PTHREAD_MUTEX_INITIALIZER, .next_id = 1 };

/* --- what the loop's thread does --- */

static int
to_libev (int events)
{
  return (events & VIR_EVENT_HANDLE_READABLE ? EV_READ : 0) | (events & VIR_EVENT_HANDLE_WRITABLE ? EV_WRITE : 0);
}

static int
from_libev (int revents)
{
  return (revents & EV_READ ? VIR_EVENT_HANDLE_READABLE : 0) | (revents & EV_WRITE ? VIR_EVENT_HANDLE_WRITABLE : 0)
         | (revents & EV_ERROR ? VIR_EVENT_HANDLE_ERROR : 0);
}

/* A callback may change any item, so it runs without the lock; its own item stays: only this thread frees items. */
static void
on_io (struct ev_loop *ev, ev_io *w, int revents)
{
  struct item *i = w->data;
  (void) ev;
  pthread_mutex_lock (&loop.lock);
  int wanted = i->removed ? 0 : from_libev (revents) & (i->events | VIR_EVENT_HANDLE_ERROR);
  pthread_mutex_unlock (&loop.lock);
  if (wanted != 0)
    i->fire.handle (i->id, i->fd, wanted, i->opaque);
}

static void
on_timer (struct ev_loop *ev, ev_timer *w, int revents)
{
  struct item *i = w->data;
  (void) ev;
  (void) revents;
  pthread_mutex_lock (&loop.lock);
  int wanted = !i->removed && i->timeout_ms >= 0;
  pthread_mutex_unlock (&loop.lock);
  if (wanted)
    i->fire.timeout (i->id, i->opaque);
}

static void
item_apply (struct item *i)
{
  if (i->fd >= 0) {
    ev_io_stop (loop.ev, &i->io);
    ev_io_set (&i->io, i->fd, to_libev (i->events));
    if (!i->removed && to_libev (i->events) != 0)
      ev_io_start (loop.ev, &i->io);
    return;
  }
  ev_timer_stop (loop.ev, &i->timer);
  if (i->removed || i->timeout_ms < 0)
    return;
  double s = (double) i->timeout_ms / 1000;
  ev_now_update (loop.ev);
  ev_timer_set (&i->timer, s, s > 0 ? s : 0.0001); /* 0 means: at every turn until it is changed */
  ev_timer_start (loop.ev, &i->timer);
}

/* The removed ones are taken out of the list under the lock, and let go of without it: libvirt's free callbacks take locks. */
static struct item *
items_apply (void)
{
  struct item *gone = NULL;
  pthread_mutex_lock (&loop.lock);
  for (struct item **at = &loop.items; *at != NULL;) {
    struct item *i = *at;
    if (i->dirty)
      item_apply (i);
    i->dirty = 0;
    if (!i->removed) {
      at = &i->next;
      continue;
    }
    *at = i->next;
    i->next = gone;
    gone = i;
  }
  loop.dirty = 0;
  pthread_mutex_unlock (&loop.lock);
  return gone;
}

static void
on_wake (struct ev_loop *ev, ev_async *w, int revents)
{
  (void) w;
  (void) revents;
  for (struct item *i = items_apply (), *next; i != NULL; i = next) {
    next = i->next;
    if (i->free_opaque != NULL)
      i->free_opaque (i->opaque);
    free (i);
  }
  pthread_mutex_lock (&loop.lock);
  int quit = loop.quit;
  pthread_mutex_unlock (&loop.lock);
  if (quit)
    ev_break (ev, EVBREAK_ALL);
}

static void *
loop_run (void *arg)
{
  (void) arg;
  (void) ev_run (loop.ev, 0);
  return NULL;
}

/* --- what libvirt calls, from any thread --- */

static void
item_touch (struct item *i)
{
  i->dirty = 1;
  if (!loop.dirty)
    ev_async_send (loop.ev, &loop.wake);
  loop.dirty = 1;
}

static int
item_add (struct item *i)
{
  ev_init (&i->io, on_io);
  ev_init (&i->timer, on_timer);
  i->io.data = i->timer.data = i;
  pthread_mutex_lock (&loop.lock);
  i->id = loop.next_id++;
  i->next = loop.items;
  loop.items = i;
  item_touch (i);
  int id = i->id;
  pthread_mutex_unlock (&loop.lock);
  return id;
}

static int
add_handle (int fd, int events, virEventHandleCallback cb, void *opaque, virFreeCallback ff)
{
  struct item *i = calloc (1, sizeof *i);
  if (i == NULL)
    return -1;
  *i = (struct item){ .fd = fd, .events = events, .fire.handle = cb, .opaque = opaque, .free_opaque = ff };
  return item_add (i);
}

static int
add_timeout (int timeout_ms, virEventTimeoutCallback cb, void *opaque, virFreeCallback ff)
{
  struct item *i = calloc (1, sizeof *i);
  if (i == NULL)
    return -1;
  *i = (struct item){ .fd = -1, .timeout_ms = timeout_ms, .fire.timeout = cb, .opaque = opaque, .free_opaque = ff };
  return item_add (i);
}

static struct item *
item_find (int id)
{
  struct item *i = loop.items;
  while (i != NULL && (i->id != id || i->removed))
    i = i->next;
  return i;
}

static void
update_handle (int id, int events)
{
  pthread_mutex_lock (&loop.lock);
  struct item *i = item_find (id);
  if (i != NULL && i->events != events) {
    i->events = events;
    item_touch (i);
  }
  pthread_mutex_unlock (&loop.lock);
}

static void
update_timeout (int id, int timeout_ms)
{
  pthread_mutex_lock (&loop.lock);
  struct item *i = item_find (id);
  if (i != NULL) {
    i->timeout_ms = timeout_ms;
    item_touch (i);
  }
  pthread_mutex_unlock (&loop.lock);
}

static int
remove_item (int id)
{
  pthread_mutex_lock (&loop.lock);
  struct item *i = item_find (id);
  if (i != NULL) {
    i->removed = 1;
    item_touch (i);
  }
  pthread_mutex_unlock (&loop.lock);
  return i != NULL ? 0 : -1;
}

/* --- beginning and end --- */

/* Errors are told to whoever asked; libvirt would print them, too. */
static void
on_error (void *opaque, virErrorPtr e)
{
  (void) opaque;
  (void) e;
}

static void
loop_register (void)
{
  loop.ev = ev_loop_new (EVFLAG_AUTO | EVFLAG_NOSIGMASK);
  if (loop.ev == NULL)
    return;
  ev_async_init (&loop.wake, on_wake);
  ev_async_start (loop.ev, &loop.wake);
  virEventRegisterImpl (add_handle, update_handle, remove_item, add_timeout, update_timeout, remove_item);
  loop.registered = virInitialize () == 0;
  virSetErrorFunc (NULL, on_error);
}

int
lv_eventloop_enter (struct hv_err *err)
{
  int r = 0;
  (void) pthread_once (&loop.once, loop_register);
  if (!loop.registered)
    return hv_err_set (err, HV_E_INTERNAL, "libvirt's event loop cannot be set up");
  pthread_mutex_lock (&loop.users_lock);
  loop.quit = 0;
  if (loop.users == 0 && pthread_create (&loop.thread, NULL, loop_run, NULL) != 0)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "no thread for libvirt's event loop");
  else
    loop.users++;
  pthread_mutex_unlock (&loop.users_lock);
  return r;
}

/* What is left in the list then belongs to connections that a hung library still holds; it goes on when the loop does. */
void
lv_eventloop_leave (void)
{
  pthread_mutex_lock (&loop.users_lock);
  if (--loop.users == 0) {
    pthread_mutex_lock (&loop.lock);
    loop.quit = 1;
    pthread_mutex_unlock (&loop.lock);
    ev_async_send (loop.ev, &loop.wake);
    (void) pthread_join (loop.thread, NULL);
  }
  pthread_mutex_unlock (&loop.users_lock);
}
