/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* migrate_in: a machine that waits for its state. The listening socket is ours; QEMU gets the one connection that said hello
 * properly, so whatever else connects costs nothing but itself. Its guest runs when the other side commits (peer.h).
 *
 * If the stream breaks or the other side gives up, the process is ended: stopped (migration_failed). A VM that only
 * migrate_in defined is undefined again then: it would be a second copy of a machine that runs elsewhere. If everything has
 * come and no word follows, the VM becomes paused (migration_unconfirmed), and `resume` is the operator's word instead. */
#include "incoming.h"
#include "transfer.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define LOOK_MS    1000u
#define LINGER_MS  3000u  /* after its end, for the other side to ask why */
#define CONFIRM_MS 60000u /* no word for so long: somebody has to decide */
#define LOAD_MS    10000u /* from `commit` until QEMU has read the last of it */
#define TALKS      16u    /* connections at a time */

void
qmp_incoming_unref (struct qmp_incoming *in)
{
  struct hv_host *h = in->vm->qmp->host;
  if (--in->refs > 0)
    return;
  if (in->watch != NULL)
    h->api->watch_free (h, in->watch);
  if (in->listen_fd >= 0)
    (void) close (in->listen_fd);
  qmp_vm_unref (in->vm);
  free (in->uri);
  free (in);
}

static void
on_connection (void *self, void *arg, uint32_t ready)
{
  struct qmp_incoming *in = arg;
  (void) self;
  (void) ready;
  in->ready = 1;
  in->vm->qmp->host->api->watch_set (in->vm->qmp->host, in->watch, 0);
  qmp_vm_wake (in->vm);
}

/* Takes the socket. */
struct qmp_incoming *
qmp_incoming_new (struct qmp_vm *vm, int fd, const char *uri, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  struct qmp_incoming *in = calloc (1, sizeof *in);
  if (in == NULL) {
    (void) close (fd);
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    return NULL;
  }
  *in = (struct qmp_incoming){ .vm = qmp_vm_ref (vm), .refs = 1, .listen_fd = fd, .uri = strdup (uri) };
  in->watch = h->api->watch_new (h, fd, HV_WAIT_READ, on_connection, in);
  if (in->watch != NULL && in->uri != NULL)
    return in;
  qmp_incoming_unref (in);
  (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return NULL;
}

static int
is_gone (const struct qmp_vm *vm)
{
  return vm->pidfd < 0;
}

/* Its guest never ran here, so it may be ended. */
void
qmp_incoming_end (struct qmp_vm *vm, const char *why)
{
  if (vm->pidfd < 0 || !vm->incoming)
    return;
  (void) qmp_text_set (&vm->end_detail, why);
  qmp_kill (vm, SIGKILL);
}

/* --- what the other side says --- */

int
qmp_incoming_take (struct qmp_vm *vm, int run, struct hv_err *err)
{
  struct qmp_pending p;
  vm->run_reason = "migrated";
  int r = run ? qmp_control_change (vm, "cont", NULL, err) : 0;
  if (r < 0)
    return r;
  vm->acknowledged = 1;
  vm->incoming = 0;
  if (qmp_pending_get (vm, "migrate_in", &p)) { /* it stays defined, even if it ends at once */
    HV_SET (&p, made, 0);
    (void) qmp_kept_set (vm->qmp->host, &vm->pending, &qmp_pending_record, &p, NULL);
  }
  if (!run)
    qmp_vm_set_state (vm, HV_VM_PAUSED, "migrated", NULL);
  else if (vm->state != HV_VM_RUNNING)
    qmp_control_refresh (vm);
  if (run)
    qmp_control_post (vm, "announce-self"); /* switches learn where it is now */
  qmp_vm_wake (vm);
  return 0;
}

/* Its state fits into what waits here. */
static int
stream_check (struct qmp_vm *vm, const struct qmp_hello *hello, struct hv_err *err)
{
  struct hv_machine live;
  struct qmp_places places;
  if (!HV_HAS (hello, machine) || !HV_HAS (hello, places))
    return hv_err_set (err, HV_E_INVALID_ARGUMENT, "what the machine is made of is missing");
  int r = qmp_vm_live (vm, &live, err);
  if (r == 0)
    r = qmp_machines_alike (&live, &hello->machine, err);
  if (r == 0)
    r = qmp_transfer_places (vm, &places, err);
  return r == 0 ? qmp_places_alike (&places, &hello->places, err) : r;
}

static int
stream_prepare (struct qmp_vm *vm, const struct qmp_hello *hello, struct hv_err *err)
{
  const struct qmp_transfer_how how = { .return_path = 1, .post_copy = hello->post_copy, .late_activate = hello->running };
  struct qmp_pending p;
  int r = stream_check (vm, hello, err);
  if (r == 0)
    r = qmp_transfer_set (vm, &how, 1, err);
  if (r < 0 || !qmp_pending_get (vm, "migrate_in", &p))
    return r;
  HV_SET (&p, running, hello->running); /* what `commit` will mean, also to the next daemon */
  return qmp_pending_begin (vm, &p, err);
}

static int
talk_stream (struct qmp_incoming *in, int fd, const struct qmp_hello *hello, struct hv_err *err)
{
  struct qmp_vm *vm = in->vm;
  if (in->streaming)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "a stream has begun already");
  in->streaming = 1;
  int r = stream_prepare (vm, hello, err);
  if (r < 0) {
    in->streaming = 0; /* the right one may still come */
    return r;
  }
  hv_step (vm->qmp->host, "incoming.begin");
  r = qmp_transfer_in (vm, fd, err);
  if (r < 0)
    qmp_incoming_end (vm, hv_err_message (err));
  return r;
}

/* The last bytes may still be on their way through QEMU. */
static int
talk_commit (struct qmp_incoming *in, struct hv_err *err)
{
  struct qmp_vm *vm = in->vm;
  struct hv_host *h = vm->qmp->host;
  struct qmp_pending p = { 0 };
  struct qmp_transfer t = { .phase = QMP_TRANSFER_NONE };
  uint64_t end = h->api->now_ms () + LOAD_MS;
  if (in->taken || !vm->incoming)
    return vm->acknowledged ? 0
                            : hv_err_set (err, HV_E_FAILED_PRECONDITION, "it is gone: %s", vm->detail != NULL ? vm->detail : "");
  int r = in->streaming ? qmp_transfer_query (vm, &t, err) : 0;
  while (r == 0 && t.phase == QMP_TRANSFER_ACTIVE && h->api->now_ms () < end)
    r = qmp_transfer_next (vm, NULL, NULL, &t, err);
  if (r < 0)
    return r;
  if (t.phase != QMP_TRANSFER_COMPLETED && t.phase != QMP_TRANSFER_SWITCHED)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "not everything has come: %s", t.error);
  hv_step (h, "incoming.commit");
  if (in->taken || !vm->incoming)
    return 0; /* somebody else was quicker */
  r = qmp_incoming_take (vm, !qmp_pending_get (vm, "migrate_in", &p) || p.running, err);
  in->taken = r == 0;
  return r;
}

/* Its own trouble first: the answer is what the other side did not know. */
static void
talk_abort (struct qmp_incoming *in, const char *why)
{
  struct qmp_vm *vm = in->vm;
  char text[2100];
  if (in->streaming)
    (void) qmp_vm_wait (vm, is_gone, LINGER_MS / 2, NULL);
  (void) snprintf (text, sizeof text, "the other side gave up: %s", why != NULL ? why : "it does not say why");
  qmp_incoming_end (vm, text);
}

static int
talk_known (struct qmp_incoming *in, const struct qmp_hello *hello, struct hv_err *err)
{
  struct qmp_uri *u = hv_alloc (in->vm->qmp->host, sizeof *u);
  unsigned differ = 0;
  if (u == NULL || qmp_uri_parse (in->uri, u, err) < 0)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  if (u->token != NULL) {
    differ = !HV_HAS (hello, token) || strlen (u->token) != strlen (hello->token);
    for (size_t i = 0; !differ && u->token[i] != '\0'; i++)
      differ |= (unsigned char) (u->token[i] ^ hello->token[i]);
  }
  if (differ)
    return hv_err_set (err, HV_E_PERMISSION_DENIED, "the token is wrong: use the uri that migrate_in answered");
  if (strcasecmp (hello->uuid, in->vm->uuid) != 0)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "machine %s is awaited here", in->vm->uuid);
  return 0;
}

struct talk {
  struct qmp_incoming *in;
  int fd;
};

static int
talk_handle (struct qmp_incoming *in, int fd, struct hv_err *err)
{
  struct qmp_hello hello;
  int r = qmp_peer_receive (in->vm->qmp->host, fd, &qmp_hello_record, &hello, err);
  if (r == 0)
    r = talk_known (in, &hello, err);
  if (r < 0)
    return r;
  if (hello.kind == QMP_PEER_STREAM)
    return talk_stream (in, fd, &hello, err);
  if (hello.kind == QMP_PEER_COMMIT)
    return talk_commit (in, err);
  talk_abort (in, HV_HAS (&hello, reason) ? hello.reason : NULL);
  (void) qmp_peer_answer (in->vm->qmp->host, fd, 1, in->vm->state == HV_VM_STOPPED ? in->vm->detail : NULL, NULL);
  in->told = 1;
  return 1;
}

static void
talk_run (void *self, void *arg)
{
  struct talk *t = arg;
  struct qmp_incoming *in = t->in;
  struct hv_host *h = in->vm->qmp->host;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (h);
  (void) self;
  int r = talk_handle (in, t->fd, err);
  if (r < 0)
    hv_log (h, HV_LOG_WARNING, "VM '%s': a connection for its migration is refused: %s", in->vm->name, hv_err_message (err));
  if (r <= 0 && qmp_peer_answer (h, t->fd, r == 0, r < 0 ? hv_err_message (err) : NULL, NULL) == 0 && in->taken)
    in->told = 1;
  (void) close (t->fd);
  free (t);
  in->talks--;
  qmp_vm_wake (in->vm);
  qmp_incoming_unref (in);
}

static void
incoming_accept (struct qmp_incoming *in)
{
  struct hv_host *h = in->vm->qmp->host;
  int fd;
  while (in->talks < TALKS && (fd = accept4 (in->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
    struct talk *t = malloc (sizeof *t);
    if (t != NULL)
      *t = (struct talk){ in, fd };
    if (t == NULL || hv_go (h, "migration", talk_run, t) < 0) {
      (void) close (fd);
      free (t);
      break;
    }
    in->refs++;
    in->talks++;
  }
  if (in->talks >= TALKS)
    return; /* again when one of them is done */
  in->ready = 0;
  h->api->watch_set (h, in->watch, HV_WAIT_READ);
}

/* --- waiting --- */

static void
incoming_look (struct qmp_incoming *in)
{
  struct qmp_vm *vm = in->vm;
  uint64_t now = vm->qmp->host->api->now_ms ();
  struct qmp_transfer t;
  if (!in->streaming || qmp_transfer_query (vm, &t, NULL) < 0)
    return;
  if (t.phase == QMP_TRANSFER_FAILED || t.phase == QMP_TRANSFER_CANCELLED)
    qmp_incoming_end (vm, t.error[0] != '\0' ? t.error : "the stream broke");
  if (t.phase == QMP_TRANSFER_COMPLETED && in->complete_ms == 0)
    in->complete_ms = now;
  if (in->complete_ms != 0 && now - in->complete_ms >= CONFIRM_MS && vm->incoming)
    qmp_vm_set_state (vm, HV_VM_PAUSED, "migration_unconfirmed",
                      "everything has come, but the other side did not say that it will not go on there; resume it if it does not");
}

/* Until it is ours, or gone. CANCELLED: the daemon ends, and the next one goes on waiting. */
static int
incoming_wait (struct qmp_incoming *in)
{
  struct qmp_vm *vm = in->vm;
  struct hv_host *h = vm->qmp->host;
  while (vm->pidfd >= 0 && vm->incoming) {
    uint64_t mark = h->api->scope_mark (h);
    if (in->ready)
      incoming_accept (in);
    int r = h->api->cond_wait (h, vm->changed, LOOK_MS, NULL);
    if (r == HV_E_DEADLINE_EXCEEDED)
      incoming_look (in);
    h->api->scope_release (h, mark);
    if (r == HV_E_CANCELLED)
      return r;
  }
  return 0;
}

/* The other side may have to hear what became of it. */
static int
incoming_linger (struct qmp_incoming *in, uint64_t ms)
{
  struct hv_host *h = in->vm->qmp->host;
  uint64_t now, end = h->api->now_ms () + ms;
  while ((!in->told || in->talks > 0) && (now = h->api->now_ms ()) < end) {
    if (in->ready)
      incoming_accept (in);
    if (h->api->cond_wait (h, in->vm->changed, end - now, NULL) == HV_E_CANCELLED)
      return HV_E_CANCELLED;
  }
  return 0;
}

static void
incoming_unlink (const char *uri)
{
  if (strncmp (uri, "unix:", 5) == 0)
    (void) unlink (uri + 5);
}

/* It is over: taken, or gone for good. */
static int
incoming_close (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  if (p->uri != NULL)
    incoming_unlink (p->uri);
  if (vm->undefined)
    return 0;
  hv_step (vm->qmp->host, "incoming.done");
  if (vm->pidfd >= 0 || p->committed || !p->made)
    return qmp_pending_end (vm, err);
  return qmp_undefine_vm (vm, err);
}

/* It runs here, and the record says so before anything else; the socket goes before the record forgets it. */
static int
incoming_taken (struct qmp_incoming *in, struct hv_err *err)
{
  struct qmp_vm *vm = in->vm;
  struct qmp_pending p;
  if (!qmp_pending_get (vm, "migrate_in", &p))
    return 0;
  int r = qmp_pending_commit (vm, &p, err);
  hv_step (vm->qmp->host, "incoming.taken");
  if (r == 0 && in->taken)
    r = incoming_linger (in, LINGER_MS);
  return r == 0 ? incoming_close (vm, &p, err) : r;
}

static int
incoming_follow (struct qmp_incoming *in, struct hv_err *err)
{
  struct qmp_vm *vm = in->vm;
  struct qmp_pending p;
  int r = incoming_wait (in);
  if (r == 0 && vm->acknowledged)
    return incoming_taken (in, err);
  if (r == 0 && in->streaming)
    r = incoming_linger (in, LINGER_MS);
  if (r < 0)
    return r;
  return qmp_pending_get (vm, "migrate_in", &p) ? incoming_close (vm, &p, err) : 0;
}

void
qmp_incoming_run (void *self, void *arg)
{
  HV_CLEAN (qmp_incoming) struct qmp_incoming *in = arg;
  struct qmp_vm *vm = in->vm;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (vm->qmp->host);
  (void) self;
  int r = incoming_follow (in, err);
  if (r < 0 && r != HV_E_CANCELLED)
    hv_log (vm->qmp->host, HV_LOG_WARNING, "VM '%s': migration to here: %s", vm->name, hv_err_message (err));
  vm->resolving = 0;
  qmp_vm_wake (vm);
}

/* --- after an interruption --- */

/* What QEMU says decides: it runs, then it was taken; it waits, then so do we. */
int
qmp_incoming_resolve (struct qmp_vm *vm, const struct qmp_pending *p, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  HV_CLEAN (json) json_t *status = NULL;
  struct qmp_transfer t;
  uint32_t port;
  int fd = -1;
  if (vm->pidfd < 0)
    return incoming_close (vm, p, err);
  int r = qmp_control_query (vm, "query-status", NULL, &status, err);
  if (r == 0)
    r = qmp_transfer_query (vm, &t, err);
  if (r == 0)
    r = qmp_peer_listen (h, p->uri, 1, &fd, &port, err);
  if (r < 0)
    return r;
  HV_CLEAN (qmp_incoming) struct qmp_incoming *in = qmp_incoming_new (vm, fd, p->uri, err);
  if (in == NULL)
    return HV_E_RESOURCE_EXHAUSTED;
  in->streaming = t.phase != QMP_TRANSFER_NONE;
  vm->run_reason = "migrated";
  if (vm->acknowledged || qmp_json_bool (status, "running", 0)) { /* whoever said so may ask again */
    vm->acknowledged = in->taken = 1;
    vm->incoming = 0;
  }
  return incoming_follow (in, err);
}
