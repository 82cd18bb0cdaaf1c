/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* migrate: the side that a machine leaves. Its guest runs on here until QEMU says that everything is over there. Then, and only
 * then, the record says that it is gone for good, the other side is told to let it run, and QEMU is ended. Before that point
 * every failure leaves it running here; after it, none makes it run here again. */
#include "peer.h"
#include "transfer.h"
#include <stdio.h>
#include <string.h>

#define COMMIT_MS 30000u /* how long a caller waits for the other side to be told; it is told until it hears */
#define RETRY_MS  500u
#define LISTEN_MS 2000u /* until somebody listens there */
#define ROUNDS    2u    /* over the memory, before a post-copy switch */

struct leaving {
  struct qmp_vm *vm;
  struct hv_call *call; /* NULL after a restart */
  struct qmp_pending p;
  struct qmp_transfer t;
  uint8_t post_copy, switching, told, aborted;
  uint64_t told_ms;
};

/* --- words with the other side --- */

static int
say (struct qmp_vm *vm, const struct qmp_pending *p, uint32_t kind, const char *reason, const char **ret_answer, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  struct qmp_uri *u = hv_alloc (h, sizeof *u);
  struct qmp_hello hello = { .kind = kind, .uuid = vm->uuid };
  HV_CLEAN (hv_fd) int fd = -1;
  if (u == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = qmp_uri_parse (p->uri != NULL ? p->uri : "", u, err);
  if (r == 0 && u->token != NULL)
    HV_SET (&hello, token, u->token);
  if (reason != NULL)
    HV_SET (&hello, reason, hv_printf (h, "%.2000s", reason));
  if (r == 0)
    r = qmp_peer_connect (h, p->uri, &fd, err);
  return r == 0 ? qmp_peer_ask (h, fd, &hello, ret_answer, err) : r;
}

/* Opens the connection that QEMU gets. */
static int
say_stream (struct leaving *l, const struct hv_migrate_args *a, int *ret_fd, struct hv_err *err)
{
  struct hv_host *h = l->vm->qmp->host;
  struct qmp_uri *u = hv_alloc (h, sizeof *u);
  struct qmp_hello hello = { .kind = QMP_PEER_STREAM, .uuid = l->vm->uuid };
  HV_CLEAN (hv_fd) int fd = -1;
  if (u == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = qmp_uri_parse (a->uri, u, err);
  if (r == 0)
    r = qmp_vm_live (l->vm, &hello.machine, err);
  if (r == 0)
    r = qmp_transfer_places (l->vm, &hello.places, err);
  if (r < 0)
    return r;
  hello.has.machine = hello.has.places = 1;
  if (u->token != NULL)
    HV_SET (&hello, token, u->token);
  HV_SET (&hello, running, l->p.running);
  HV_SET (&hello, post_copy, a->post_copy);
  r = qmp_peer_connect (h, a->uri, &fd, err);
  for (uint64_t end = h->api->now_ms () + LISTEN_MS; r == HV_E_UNAVAILABLE && h->api->now_ms () < end;) {
    r = hv_sleep (h, LISTEN_MS / 20, err); /* the daemon there may be restarting */
    if (r == 0)
      r = qmp_peer_connect (h, a->uri, &fd, err);
  }
  if (r == 0)
    r = qmp_peer_ask (h, fd, &hello, NULL, err);
  if (r == 0)
    *ret_fd = HV_STEAL_FD (fd);
  return r;
}

/* --- forward --- */

/* From here on it never runs here again, whatever happens: durable first, then the other side is told. */
static int
leave_commit (struct leaving *l, struct hv_err *err)
{
  struct hv_host *h = l->vm->qmp->host;
  hv_step (h, "migrate.completed");
  int r = qmp_pending_commit (l->vm, &l->p, err);
  hv_step (h, "migrate.commit");
  return r;
}

static int
leave_tell (struct leaving *l, struct hv_err *err)
{
  struct hv_host *h = l->vm->qmp->host;
  if (l->told)
    return 0;
  uint64_t mark = h->api->scope_mark (h);
  int r = say (l->vm, &l->p, QMP_PEER_COMMIT, NULL, NULL, err);
  h->api->scope_release (h, mark);
  if (r == 0) {
    l->told = 1;
    l->told_ms = h->api->now_ms ();
  }
  return r;
}

/* `limit_ms` 0: as long as it takes. UNKNOWN when nobody was there to be told. */
static int
leave_tell_all (struct leaving *l, uint64_t limit_ms, struct hv_err *err)
{
  struct hv_host *h = l->vm->qmp->host;
  uint64_t end = h->api->now_ms () + limit_ms;
  int r = leave_tell (l, err);
  while (r < 0 && r != HV_E_CANCELLED && r != HV_E_FAILED_PRECONDITION && !l->vm->undefined
         && (limit_ms == 0 || h->api->now_ms () < end)) {
    r = hv_sleep (h, RETRY_MS, err);
    if (r == 0)
      r = leave_tell (l, err);
  }
  if (r == 0 || r == HV_E_CANCELLED || r == HV_E_FAILED_PRECONDITION)
    return r;
  (void) hv_err_wrap (err, r, "everything has moved, but the other side is not told yet that it may run");
  return hv_err_set (err, HV_E_UNKNOWN, "%s", hv_err_message (err));
}

static int
leave_switch (struct leaving *l, struct hv_err *err)
{
  int r = leave_commit (l, err);
  if (r < 0)
    return r;
  r = leave_tell (l, err); /* again with every look, until it works */
  return r == HV_E_CANCELLED ? r : 0;
}

/* One look at how it goes. 1: go on looking, 0: completed. */
static int
leave_look (struct leaving *l, struct hv_err *err)
{
  struct qmp_vm *vm = l->vm;
  int r = qmp_transfer_next (vm, l->call, "migrate", &l->t, err);
  if (r < 0)
    return r;
  switch (l->t.phase) {
  case QMP_TRANSFER_ACTIVE:
    if (l->post_copy && !l->switching && l->t.rounds >= ROUNDS) {
      l->switching = 1;
      r = qmp_control_change (vm, "migrate-start-postcopy", NULL, err);
    }
    return r < 0 ? r : 1;
  case QMP_TRANSFER_SWITCHED:
    r = leave_switch (l, err);
    return r < 0 ? r : 1;
  case QMP_TRANSFER_COMPLETED:
    return 0;
  case QMP_TRANSFER_BROKEN:
    return hv_err_set (err, HV_E_DATA_LOSS, "the guest runs at the other side, and the rest of its memory cannot get there");
  case QMP_TRANSFER_CANCELLED:
    return hv_err_set (err, HV_E_ABORTED, "it was taken back");
  default:
    return hv_err_set (err, HV_E_ABORTED, "QEMU gave up: %s", l->t.error[0] != '\0' ? l->t.error : "it does not say why");
  }
}

static int
leave_follow (struct leaving *l, struct hv_err *err)
{
  struct hv_host *h = l->vm->qmp->host;
  int r = 1;
  while (r > 0) {
    uint64_t mark = h->api->scope_mark (h);
    r = leave_look (l, err);
    h->api->scope_release (h, mark);
  }
  return r;
}

/* QEMU is ended in any case: whether or not the other side could be told, this one is over. Until it is told, it is pending. */
static int
leave_finish (struct leaving *l, uint64_t limit_ms, struct hv_err *err)
{
  struct qmp_vm *vm = l->vm;
  int r = leave_commit (l, err);
  if (r < 0)
    return r;
  int told = leave_tell_all (l, limit_ms, err);
  if (told == HV_E_CANCELLED)
    return told;
  r = vm->pidfd >= 0 ? qmp_end (vm, told < 0 ? NULL : err) : 0;
  qmp_vm_set_state (vm, HV_VM_STOPPED, "migrated", NULL);
  hv_step (vm->qmp->host, "migrate.done");
  if (r == 0 && told != HV_E_UNKNOWN)
    r = qmp_pending_end (vm, told < 0 ? NULL : err);
  return told < 0 ? told : r;
}

/* Nobody waits for this one: it goes on until the other side is there again, or the VM is undefined here. */
static int
leave_finish_later (struct leaving *l, struct hv_err *err)
{
  int r = leave_finish (l, 1, err);
  if (r != HV_E_UNKNOWN)
    return r;
  hv_log (l->vm->qmp->host, HV_LOG_WARNING, "VM '%s': %s", l->vm->name, hv_err_message (err));
  r = leave_tell_all (l, 0, err);
  if (r == HV_E_CANCELLED || l->vm->undefined)
    return r;
  return qmp_pending_end (l->vm, err);
}

/* --- back --- */

/* QEMU lets its guest run on by itself when a migration fails; one that it does not let run is not told to. */
static int
leave_back (struct leaving *l, struct hv_err *err)
{
  struct qmp_vm *vm = l->vm;
  HV_CLEAN (json) json_t *status = NULL;
  if (!l->aborted)
    (void) say (vm, &l->p, QMP_PEER_ABORT, vm->take_back ? "it was cancelled" : "it failed", NULL, NULL);
  if (vm->pidfd >= 0) {
    int r = qmp_control_query (vm, "query-status", NULL, &status, err);
    if (r < 0)
      return r;
    qmp_status_apply (vm, qmp_json_str (status, "status", "paused"));
  }
  vm->take_back = 0;
  return qmp_pending_end (vm, err);
}

/* --- the verb --- */

static int
leave_begin (struct leaving *l, const struct hv_migrate_args *a, struct hv_err *err)
{
  const struct qmp_transfer_how how = { .return_path = 1,
                                        .post_copy = a->post_copy,
                                        .auto_converge = a->auto_converge,
                                        .bytes_per_s = a->bytes_per_s,
                                        .downtime_ms = a->downtime_ms };
  struct qmp_vm *vm = l->vm;
  HV_CLEAN (hv_fd) int fd = -1;
  int r = qmp_transfer_set (vm, &how, 0, err); /* what cannot be done is refused before anybody is asked for anything */
  if (r == 0)
    r = say_stream (l, a, &fd, err);
  if (r == 0)
    r = qmp_pending_enter (vm, &l->p, err);
  if (r < 0)
    return r;
  hv_step (vm->qmp->host, "migrate.begin");
  return qmp_transfer_out (vm, fd, err);
}

/* What the other side knows of it is worth more than that the connection broke. */
static void
leave_explain (struct leaving *l, int code, struct hv_err *err)
{
  const char *answer = NULL;
  if (code == HV_E_CANCELLED || l->p.committed)
    return;
  l->aborted = 1;
  if (say (l->vm, &l->p, QMP_PEER_ABORT, hv_err_message (err), &answer, NULL) == 0 && answer != NULL)
    (void) hv_err_set (err, code, "%s; the other side: %s", hv_err_message (err), answer);
}

static int
leave_check (struct qmp_vm *vm, const struct hv_migrate_args *a, struct hv_err *err)
{
  if (a->copy_storage)
    return hv_err_set (err, HV_E_UNIMPLEMENTED,
                       "copy_storage: disks are not copied along; put them on storage that both nodes reach, or mirror them first");
  int r = qmp_pending_settle (vm, err);
  if (r == 0)
    r = qmp_vm_need_running (vm, err);
  if (r == 0 && vm->state == HV_VM_SUSPENDED)
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is suspended: wake it up first", vm->name);
  return r;
}

static int
leave_run (struct leaving *l, const struct hv_migrate_args *a, struct hv_err *err)
{
  int r = leave_begin (l, a, err);
  if (r < 0 && l->vm->pending.bytes == NULL)
    return r;
  if (r == 0)
    r = leave_follow (l, err);
  if (r == 0)
    r = leave_finish (l, COMMIT_MS, err);
  else
    leave_explain (l, r, err);
  if (r == HV_E_ABORTED && !l->p.committed)
    (void) leave_back (l, NULL);
  l->vm->take_back = r == HV_E_CANCELLED && hv_cancelled (l->call);
  if (r == HV_E_CANCELLED && !l->vm->take_back) {
    l->vm->resolving = 0; /* not its caller, but the daemon goes: the next one follows it to its end */
  } else if (r < 0 && l->p.committed) {
    l->vm->resolving = 0;
    qmp_pending_later (l->vm);
  } else
    qmp_pending_leave (l->vm, r);
  return r;
}

int
qmp_migrate (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_migrate_args *a = args;
  struct hv_migrate_result *ret = result;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = qmp_vm_hold (self, a->vm, err);
  if (vm == NULL)
    return HV_E_NOT_FOUND;
  int r = leave_check (vm, a, err);
  if (r < 0)
    return r;
  struct leaving l = { .vm = vm, .call = call, .post_copy = a->post_copy, .p = { .op = "migrate" } };
  uint64_t begun = vm->qmp->host->api->now_ms ();
  HV_SET (&l.p, running, vm->state == HV_VM_RUNNING);
  HV_SET (&l.p, uri, a->uri);
  vm->stood_ms = 0;
  r = leave_run (&l, a, err);
  if (r < 0)
    r = hv_err_wrap (err, r, "migrate VM '%s' to '%s'", vm->name, a->uri);
  uint64_t total = vm->qmp->host->api->now_ms () - begun;
  qmp_job_publish (vm, "migrate", r, err, total, l.t.sent_bytes);
  HV_SET (ret, total_ms, total);
  HV_SET (ret, transferred_bytes, l.t.sent_bytes);
  /* from when it stopped here until it was known to run there, where that was seen */
  HV_SET (ret, downtime_ms, vm->stood_ms > 0 && l.told_ms > vm->stood_ms ? l.told_ms - vm->stood_ms : l.t.downtime_ms);
  return r;
}

/* --- after an interruption --- */

int
qmp_migrate_resolve (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  struct leaving l = { .vm = vm, .p = *p };
  int r = 0;
  if (vm->pidfd >= 0 && vm->take_back && !p->committed)
    r = qmp_transfer_cancel (vm, &l.t, err);
  if (r == 0 && vm->pidfd >= 0)
    r = leave_follow (&l, err);
  if (vm->pidfd < 0)
    return l.p.committed ? leave_finish_later (&l, err) : leave_back (&l, err);
  if (r == 0)
    return leave_finish_later (&l, err);
  /* BROKEN stays as it is: the guest is not here any more, and its memory is */
  return r == HV_E_ABORTED && !l.p.committed ? leave_back (&l, err) : r;
}
