/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What this node can run: the emulator's version and machine types, asked from the program itself, and the accelerator.
 * Both are kept: the first as long as the program is the same file, the second until the next boot. */
#include "qmp.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

HV_RECORD_TABLE (qmp_node, QMP_NODE, "what was found out about the node");
#define NODE_KEY "node"

/* --- asking QEMU --- */

struct asking {
  struct qmp *qmp;
  struct qmp_monitor *monitor;
  json_t *version, *machines;
  uint8_t done;
};

static void
asking_version (void *arg, const struct qmp_reply *reply)
{
  struct asking *a = arg;
  if (reply != NULL && reply->ret != NULL)
    a->version = json_incref ((json_t *) (uintptr_t) reply->ret);
}

static void
asking_machines (void *arg, const struct qmp_reply *reply)
{
  struct asking *a = arg;
  if (reply != NULL && reply->ret != NULL)
    a->machines = json_incref ((json_t *) (uintptr_t) reply->ret);
}

/* The last answer, or the end of the connection: it would not quit if we left before. */
static void
asking_quit (void *arg, const struct qmp_reply *reply)
{
  struct asking *a = arg;
  (void) reply;
  a->done = 1;
  a->qmp->host->api->cond_wake (a->qmp->host, a->qmp->changed);
}

static void
asking_ready (void *arg)
{
  struct asking *a = arg;
  (void) qmp_monitor_send (a->monitor, "query-version", NULL, asking_version, a);
  (void) qmp_monitor_send (a->monitor, "query-machines", NULL, asking_machines, a);
  (void) qmp_monitor_send (a->monitor, "quit", NULL, asking_quit, a);
}

static void
asking_heard (void *arg)
{
  (void) arg;
}

static void
asking_event (void *arg, const char *name, const json_t *data)
{
  (void) arg;
  (void) name;
  (void) data;
}

static void
asking_lost (void *arg, const char *why)
{
  (void) why;
  asking_quit (arg, NULL);
}

static const struct qmp_monitor_ops asking_ops = { asking_ready, asking_heard, asking_event, asking_lost };

static int
asking_spawn (struct qmp *q, int fd, int32_t *ret_pidfd, struct hv_err *err)
{
  int32_t pid;
  const char *argv[] = { q->config->qemu,
                         "-S",
                         "-machine",
                         "none",
                         "-nodefaults",
                         "-no-user-config",
                         "-display",
                         "none",
                         "-accel",
                         "tcg",
                         "-chardev",
                         "socket,id=monitor0,fd=3",
                         "-mon",
                         "chardev=monitor0,mode=control",
                         NULL };
  struct hv_spawn how = { .struct_size = sizeof how,
                          .flags = HV_SPAWN_ENDS_WITH_US,
                          .argv = argv,
                          .fds = &fd,
                          .fd_count = 1,
                          .stdin_fd = -1,
                          .stdout_fd = -1,
                          .stderr_fd = -1 };
  return q->host->api->spawn (q->host, &how, &pid, ret_pidfd, err);
}

static int
asking_wait (struct asking *a, struct hv_err *err)
{
  struct hv_host *h = a->qmp->host;
  uint64_t end = h->api->now_ms () + a->qmp->config->start_ms;
  while (!a->done) {
    uint64_t now = h->api->now_ms ();
    int r = now < end ? h->api->cond_wait (h, a->qmp->changed, end - now, err) : HV_E_DEADLINE_EXCEEDED;
    if (r < 0)
      return hv_err_set (err, r, "'%s' does not answer", a->qmp->config->qemu);
  }
  return 0;
}

/* The end of a child that was asked to quit, or is made to. */
static void
asking_reap (struct qmp *q, int pidfd)
{
  char status[64];
  if (q->host->api->wait_fd (q->host, pidfd, HV_WAIT_READ, 1000, NULL, NULL) < 0) {
    struct qmp_vm fake = { .pidfd = pidfd };
    qmp_kill (&fake, 9);
    (void) q->host->api->wait_fd (q->host, pidfd, HV_WAIT_READ, 1000, NULL, NULL);
  }
  (void) qmp_process_exit_status (pidfd, status, sizeof status);
}

static int
node_take (struct qmp *q, const json_t *version, const json_t *machines)
{
  const json_t *v = json_object_get (version, "qemu");
  size_t n = json_array_size (machines), kept = 0;
  char text[64];
  (void) snprintf (text, sizeof text, "%" PRId64 ".%" PRId64 ".%" PRId64, qmp_json_int (v, "major", 0),
                   qmp_json_int (v, "minor", 0), qmp_json_int (v, "micro", 0));
  q->machines = calloc (n + 1, sizeof *q->machines);
  if (q->machines == NULL || qmp_text_set (&q->version, text) < 0)
    return HV_E_RESOURCE_EXHAUSTED;
  for (size_t i = 0; i < n; i++) {
    const json_t *m = json_array_get (machines, i);
    const char *name = qmp_json_str (m, "name", NULL);
    if (name == NULL || strncmp (name, "pc-q35-", 7) != 0)
      continue;
    if (strcmp (qmp_json_str (m, "alias", ""), "q35") == 0 && qmp_text_set (&q->q35, name) < 0)
      return HV_E_RESOURCE_EXHAUSTED;
    q->machines[kept] = strdup (name);
    kept += q->machines[kept] != NULL;
  }
  return 0;
}

static int
node_ask (struct qmp *q, struct hv_err *err)
{
  int fds[2];
  int32_t pidfd = -1;
  struct asking a = { .qmp = q };
  if (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
    return hv_err_sys (err, errno, "socket pair");
  int r = asking_spawn (q, fds[1], &pidfd, err);
  (void) close (fds[1]);
  if (r < 0) {
    (void) close (fds[0]);
    return hv_err_wrap (err, r, "'%s'", q->config->qemu);
  }
  HV_CLEAN (hv_fd) int child = pidfd;
  a.monitor = qmp_monitor_open (q->host, fds[0], &asking_ops, &a);
  r = a.monitor != NULL ? asking_wait (&a, err) : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  qmp_monitor_close (a.monitor);
  asking_reap (q, child);
  HV_CLEAN (json) json_t *version = a.version, *machines = a.machines;
  if (r == 0 && (version == NULL || machines == NULL))
    r = hv_err_set (err, HV_E_FAILED_PRECONDITION, "'%s' ended before it said what it can", q->config->qemu);
  if (r == 0 && node_take (q, version, machines) < 0)
    r = hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  return r;
}

/* --- keeping it --- */

static int
binary_identity (const struct qmp *q, char *text, size_t size, struct hv_err *err)
{
  struct stat st;
  if (stat (q->config->qemu, &st) < 0)
    return hv_err_sys (err, errno, "emulator '%s'", q->config->qemu);
  (void) snprintf (text, size, "%s %ju:%ju %jd %jd", q->config->qemu, (uintmax_t) st.st_dev, (uintmax_t) st.st_ino,
                   (intmax_t) st.st_size, (intmax_t) st.st_mtime);
  return 0;
}

static int
node_recall_binary (struct qmp *q, const struct qmp_node *n, const char *identity)
{
  if (!HV_HAS (n, binary) || strcmp (n->binary, identity) != 0 || !HV_HAS (n, version) || !HV_HAS (n, q35))
    return 0;
  q->machines = calloc (n->machines.count + 1, sizeof *q->machines);
  for (uint32_t i = 0; q->machines != NULL && i < n->machines.count; i++)
    q->machines[i] = strdup (n->machines.items[i]);
  return q->machines != NULL && qmp_text_set (&q->version, n->version) == 0 && qmp_text_set (&q->q35, n->q35) == 0;
}

static int
node_recall_accel (struct qmp *q, const struct qmp_node *n)
{
  if (!HV_HAS (n, boot_id) || strcmp (n->boot_id, q->host->api->info (q->host)->boot_id) != 0 || !HV_HAS (n, kvm_works))
    return 0;
  q->kvm_works = n->kvm_works;
  return qmp_text_set (&q->kvm_reason, n->kvm_reason != NULL ? n->kvm_reason : "") == 0;
}

static void
node_keep (struct qmp *q, const char *identity)
{
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (q->host);
  struct qmp_node n = { 0 };
  uint32_t count = 0;
  while (q->machines != NULL && q->machines[count] != NULL)
    count++;
  HV_SET (&n, boot_id, q->host->api->info (q->host)->boot_id);
  if (q->kvm_verdict && !HV_HAS (q->config, kvm_probe)) {
    HV_SET (&n, kvm_works, q->kvm_works);
    HV_SET (&n, kvm_reason, q->kvm_reason != NULL ? q->kvm_reason : "");
  }
  HV_SET (&n, binary, identity);
  HV_SET (&n, version, q->version);
  HV_SET (&n, q35, q->q35 != NULL ? q->q35 : "q35");
  HV_SET (&n, machines, ((struct hv_strs){ (const char *const *) q->machines, count }));
  if (q->host->api->store_put (q->host, NODE_KEY, &qmp_node_record, &n, err) < 0)
    hv_log (q->host, HV_LOG_WARNING, "what was found out about the node is not kept: %s", hv_err_message (err));
}

/* --- finding out --- */

/* An injected or configured verdict is not another node's: with a probe program of its own, nothing is recalled. */
static int
node_accel (struct qmp *q, const struct qmp_node *kept, struct hv_err *err)
{
  int r = 0;
  if (q->config->accel != QMP_ACCEL_AUTO)
    return qmp_text_set (&q->accel, qmp_accel_words[q->config->accel]);
  q->kvm_tried = 1;
  if (HV_HAS (q->config, kvm_probe) || !node_recall_accel (q, kept))
    r = qmp_accel_try (q, &q->kvm_works, &q->kvm_reason, err);
  if (r == HV_E_CANCELLED)
    return r;
  q->kvm_verdict = r == 0;
  if (r < 0) {
    /* what could not even be tried is not relied on, and tried again next time */
    q->kvm_works = 0;
    (void) qmp_text_set (&q->kvm_reason, hv_err_message (err));
  }
  return qmp_text_set (&q->accel, q->kvm_works ? "kvm" : "tcg");
}

static int
node_find_out (struct qmp *q, struct hv_err *err)
{
  char identity[4300];
  struct qmp_node kept = { 0 };
  HV_CLEAN (hv_err) struct hv_err *quiet = hv_err_new (q->host);
  if (q->host->api->store_get (q->host, NODE_KEY, &qmp_node_record, &kept, quiet) < 0)
    kept = (struct qmp_node){ 0 };
  int r = node_accel (q, &kept, quiet);
  if (r < 0)
    return hv_err_set (err, r, "accelerator: %s", hv_err_message (quiet));
  r = binary_identity (q, identity, sizeof identity, err);
  if (r == 0 && !node_recall_binary (q, &kept, identity))
    r = node_ask (q, err);
  if (r == 0)
    node_keep (q, identity);
  return r;
}

static void
node_run (void *self, void *arg)
{
  struct qmp *q = arg;
  HV_CLEAN (hv_err) struct hv_err *err = hv_err_new (q->host);
  (void) self;
  int r = node_find_out (q, err);
  (void) qmp_text_set (&q->node_failure, r < 0 ? hv_err_message (err) : NULL);
  if (r < 0 && r != HV_E_CANCELLED)
    hv_log (q->host, HV_LOG_WARNING, "no machine can be started: %s", hv_err_message (err));
  else if (r == 0)
    hv_log (q->host, HV_LOG_INFO, "QEMU %s, accelerator %s%s%s", q->version, q->accel,
            q->kvm_tried && !q->kvm_works ? "; KVM: " : "", q->kvm_tried && !q->kvm_works ? q->kvm_reason : "");
  q->node_known = 1;
  q->host->api->cond_wake (q->host, q->changed);
}

void
qmp_node_begin (struct qmp *q)
{
  for (uint32_t i = 0; q->machines != NULL && q->machines[i] != NULL; i++)
    free (q->machines[i]);
  free (q->machines);
  q->machines = NULL;
  q->node_known = 0;
  if (hv_go (q->host, "node", node_run, q) < 0) {
    q->node_known = 1;
    (void) qmp_text_set (&q->node_failure, "out of memory");
  }
}

int
qmp_node_wait (struct qmp *q, struct hv_err *err)
{
  if (q->node_known && q->node_failure != NULL)
    qmp_node_begin (q); /* it may have been installed since */
  while (!q->node_known) {
    int r = q->host->api->cond_wait (q->host, q->changed, q->config->start_ms, err);
    if (r < 0)
      return r;
  }
  return q->node_failure == NULL ? 0 : hv_err_set (err, HV_E_FAILED_PRECONDITION, "%s", q->node_failure);
}
