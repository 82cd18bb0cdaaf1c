/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls of libvirt's API, on threads of our own. libvirt blocks for as long as its daemon or a QEMU does, and cannot be told to
 * give up; so whoever waits may leave at a deadline while the thread keeps the work until libvirt returns. A work is therefore
 * shared: what a call needs and what it brings is in the work, and never on the stack of the one who waits. */
#ifndef LV_WORK_H
#define LV_WORK_H
#include <hvkit/plugin.h>
#include <libvirt/libvirt.h>
#include <pthread.h>

struct lv_daemon;
struct lv_work;
struct lv_vm;

#define LV_WORK_CHANGES 1u  /* what it leads to is not known when the connection breaks, or nobody waits for it any more */
#define LV_WORK_LIGHT   2u  /* answered by the libvirt daemon alone, no QEMU is asked: goes over the first connection */
#define LV_WORK_URGENT  4u  /* has a thread even when all others are stuck: for destroy */
#define LV_WORK_NO_CONN 8u  /* brings its own connection */
#define LV_WORK_LONG    16u /* may take as long as it likes: its VM is not unreachable because of it */

/* The beginning of every work. Allocated with lv_work_new; a kind of work appends what it needs. */
struct lv_work {
  int (*run) (struct lv_work *);    /* [worker] with `conn`, and `dom` if it is about a VM; 0 or HV_E_* (lv_work_fail) */
  void (*clear) (struct lv_work *); /* [any thread] frees what was appended; NULL: nothing to free */
  const char *what;                 /* "start of VM": for messages */
  uint32_t flags;
  virConnectPtr conn; /* references; while it runs */
  virDomainPtr dom;
  /* what it came to; to be read once lv_work_run has returned 0 or its error */
  int code;
  char message[480];

  /* --- work.c's own --- */
  struct lv_pool *pool;
  struct lv_work *next;
  struct lv_vm *vm; /* instance's thread only: whose list of works it is in; NULL */
  struct lv_work *vm_next;
  unsigned char uuid[VIR_UUID_BUFLEN];
  char vm_name[200];
  uint64_t begun_ms;
  uint32_t slot;
  uint8_t about_vm, finished, abandoned, overdue;
  int refs; /* under the pool's lock */
  struct hv_cond *done;
};

/* `size` bytes, zeroed, of which the first are the work. NULL when out of memory. */
void *lv_work_new (uint64_t size, int (*run) (struct lv_work *), const char *what, uint32_t flags);
void lv_work_unref (struct lv_work *);
HV_CLEAN_DEFINE (lv_work, struct lv_work, lv_work_unref)

/* [coro] Hands it to a worker and waits, for at most `timeout_ms` (0: the configured time) or until the call is given up. `vm`, may
 * be NULL, is whom it is about: `dom` is looked up for it. Returns what run returned; UNKNOWN (LV_WORK_CHANGES) or
 * DEADLINE_EXCEEDED when it did not end in time, UNAVAILABLE when libvirt cannot be reached, CANCELLED. A NULL work is out of
 * memory. */
int lv_work_run (struct lv_daemon *, struct lv_work *, struct lv_vm *vm, uint64_t timeout_ms, struct hv_err *);

/* [worker] Takes libvirt's last error over: "what: libvirt's words". Always returns a negative HV_E_*. */
int lv_work_fail (struct lv_work *);
HV_PRINTF (3, 4) int lv_work_error (struct lv_work *, int code, const char *fmt, ...);

/* The pool of a daemon. */
int lv_pool_start (struct lv_daemon *, struct hv_err *);
void lv_pool_stop (struct lv_daemon *);                 /* waits for nobody: what hangs keeps its thread */
void lv_pool_adopt (struct lv_daemon *, virConnectPtr); /* the first connection; NULL: it is lost. Takes the reference */
#endif
