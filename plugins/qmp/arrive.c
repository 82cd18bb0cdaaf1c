/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* migrate_in until it answers: the VM is defined if it is not, the address is ours, QEMU waits. incoming.c goes on from there. */
#include "incoming.h"
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/* What migrate is to be given: with the port that it became, and on TCP with a secret. */
static char *
answer_uri (struct hv_host *h, const char *uri, uint32_t port)
{
  struct qmp_uri *u = hv_alloc (h, sizeof *u);
  uint64_t secret[2];
  if (u == NULL || qmp_uri_parse (uri, u, NULL) < 0)
    return NULL;
  if (u->path != NULL)
    return hv_strdup (h, uri);
  if (getrandom (secret, sizeof secret, 0) != (ssize_t) sizeof secret)
    return NULL;
  int v6 = strchr (u->host, ':') != NULL;
  return hv_printf (h, "tcp:%s%s%s:%u/%016llx%016llx", v6 ? "[" : "", u->host, v6 ? "]" : "", port, (unsigned long long) secret[0],
                    (unsigned long long) secret[1]);
}

static int
arrive_check (struct qmp *q, const struct hv_migrate_in_args *a, struct hv_err *err)
{
  struct qmp_vm *vm = qmp_vm_find (q, a->vm, NULL);
  int r = qmp_define_check (q, a->vm, &a->machine, err);
  if (r == 0 && vm != NULL)
    r = qmp_pending_settle (vm, err);
  if (r < 0 || vm == NULL)
    return r;
  if (vm->launched || qmp_vm_alive (vm) || (vm->state != HV_VM_STOPPED && vm->state != HV_VM_CRASHED))
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is %s", vm->name, hv_vm_state_words[vm->state]);
  if (strcasecmp (vm->uuid, a->machine.uuid) != 0)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "VM '%s' is defined already, as machine %s", vm->name, vm->uuid);
  return 0;
}

/* The VM, defined by us if it is not. */
static struct qmp_vm *
arrive_define (struct qmp *q, const char *name, const struct hv_machine *m, int *ret_made, struct hv_err *err)
{
  struct qmp_vm *vm = qmp_vm_find (q, name, NULL);
  *ret_made = vm == NULL;
  if (vm == NULL)
    vm = qmp_vm_new (q, name, err);
  else
    return qmp_vm_ref (vm);
  if (vm == NULL)
    return NULL;
  if (qmp_vm_set_machine (vm, m, err) == 0 && qmp_text_set (&vm->reason, "defined") == 0)
    return qmp_vm_ref (vm);
  qmp_vm_remove (vm);
  return NULL;
}

struct arrival {
  struct qmp_vm *vm;
  struct hv_machine machine;
  const char *uri; /* what is answered */
  struct qmp_incoming *in;
  int fd, made;
};

static void
arrival_cleanup (struct arrival *x)
{
  if (x->fd >= 0)
    (void) close (x->fd);
  if (x->in != NULL)
    qmp_incoming_unref (x->in);
  qmp_vm_unref (x->vm);
}

/* A socket file is only made when the record knows of it, a TCP port only known when it is open. */
static int
arrive_address (struct qmp *q, struct arrival *x, const char *uri, struct hv_err *err)
{
  struct qmp_uri *u = hv_alloc (q->host, sizeof *u);
  struct stat st;
  uint32_t port = 0;
  int r = u != NULL ? qmp_uri_parse (uri, u, err) : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (r == 0 && u->path != NULL && lstat (u->path, &st) == 0)
    return hv_err_set (err, HV_E_ALREADY_EXISTS, "'%s' is there already", u->path);
  if (r == 0 && u->path == NULL)
    r = qmp_peer_listen (q->host, uri, 0, &x->fd, &port, err);
  if (r < 0)
    return r;
  x->uri = answer_uri (q->host, uri, port);
  return x->uri != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

static int
arrive_listen (struct arrival *x, struct hv_err *err)
{
  struct hv_host *h = x->vm->qmp->host;
  struct qmp_pending p;
  uint32_t port;
  int r = x->fd >= 0 ? 0 : qmp_peer_listen (h, x->uri, 0, &x->fd, &port, err);
  hv_step (h, "incoming.listen");
  if (r == 0)
    x->in = qmp_incoming_new (x->vm, HV_STEAL_FD (x->fd), x->uri, err);
  if (r == 0)
    return x->in != NULL ? 0 : HV_E_RESOURCE_EXHAUSTED;
  if (qmp_pending_get (x->vm, "migrate_in", &p)) { /* whose it is that is there now, we do not know */
    p.uri = NULL;
    p.has.uri = 0;
    (void) qmp_kept_set (h, &x->vm->pending, &qmp_pending_record, &p, NULL);
  }
  return r;
}

static int
arrive_launch (struct arrival *x, struct hv_err *err)
{
  const struct qmp_launch how
      = { .op = "migrate_in", .machine = x->made ? NULL : &x->machine, .incoming = 1, .run_reason = "migrated" };
  struct hv_host *h = x->vm->qmp->host;
  int r = arrive_listen (x, err);
  if (r == 0)
    r = qmp_launch (x->vm, &how, err);
  if (r < 0)
    return r;
  if (hv_go (h, "incoming", qmp_incoming_run, x->in) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  x->in = NULL; /* the coroutine's now */
  return 0;
}

static int
arrive_run (struct arrival *x, struct hv_err *err)
{
  struct qmp_vm *vm = x->vm;
  struct qmp_pending p = { .op = "migrate_in" };
  HV_SET (&p, uri, x->uri);
  HV_SET (&p, made, (uint8_t) x->made);
  int r = qmp_pending_enter (vm, &p, err);
  if (r < 0) {
    if (x->made)
      qmp_vm_remove (vm);
    return r;
  }
  hv_step (vm->qmp->host, "incoming.recorded");
  if (x->made)
    qmp_announce (vm, "defined", 0);
  r = arrive_launch (x, err);
  if (r < 0) {
    qmp_incoming_end (vm, "migrate_in failed");
    qmp_pending_leave (vm, r);
  }
  return r;
}

int
qmp_migrate_in (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  struct qmp *q = self;
  const struct hv_migrate_in_args *a = args;
  struct hv_migrate_in_result *ret = result;
  HV_CLEAN (arrival) struct arrival x = { .machine = a->machine, .fd = -1 };
  (void) call;
  int r = arrive_check (q, a, err);
  if (r == 0)
    r = arrive_address (q, &x, a->uri, err);
  if (r == 0) {
    qmp_define_pin (q, &x.machine);
    x.vm = arrive_define (q, a->vm, &x.machine, &x.made, err);
    r = x.vm != NULL ? arrive_run (&x, err) : HV_E_RESOURCE_EXHAUSTED;
  }
  if (r < 0)
    return hv_err_wrap (err, r, "wait for VM '%s' at '%s'", a->vm, a->uri);
  ret->uri = x.uri;
  return 0;
}
