/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One command to the guest agent and its answer. One at a time per VM; after any doubt the channel is synchronised before
 * the next. It is read only while a command is under way, so a chattering guest fills its own buffer and nothing else. */
#include "qmp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

void
qmp_agent_close (struct qmp_vm *vm)
{
  if (vm->agent_busy)
    return; /* whoever is at it sees the end of the connection, and closes it */
  if (vm->agent_fd >= 0)
    (void) close (vm->agent_fd);
  vm->agent_fd = -1;
  qmp_codec_clear (&vm->codec);
}

static int
agent_idle (const struct qmp_vm *vm)
{
  return !vm->agent_busy;
}

static uint64_t
time_left (struct qmp_vm *vm, uint64_t end)
{
  uint64_t now = vm->qmp->host->api->now_ms ();
  return now < end ? end - now : 0;
}

static int
agent_late (struct qmp_vm *vm, struct hv_err *err)
{
  return hv_err_set (err, HV_E_DEADLINE_EXCEEDED, "VM '%s': the guest agent does not answer", vm->name);
}

static int
agent_send (struct qmp_vm *vm, const char *data, size_t size, uint64_t end, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  while (size > 0) {
    ssize_t n = send (vm->agent_fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': guest agent channel: %s", vm->name, strerror (errno));
    if (n < 0) {
      uint64_t left = time_left (vm, end);
      int r = left > 0 ? h->api->wait_fd (h, vm->agent_fd, HV_WAIT_WRITE, left, NULL, err) : HV_E_DEADLINE_EXCEEDED;
      if (r < 0)
        return r == HV_E_DEADLINE_EXCEEDED ? agent_late (vm, err) : r;
      continue;
    }
    data += n;
    size -= (size_t) n;
  }
  return 0;
}

/* Waits for bytes and feeds them. */
static int
agent_receive (struct qmp_vm *vm, uint64_t end, struct hv_err *err)
{
  struct hv_host *h = vm->qmp->host;
  char buf[8192];
  uint64_t left = time_left (vm, end);
  int r = left > 0 ? h->api->wait_fd (h, vm->agent_fd, HV_WAIT_READ, left, NULL, err) : HV_E_DEADLINE_EXCEEDED;
  if (r < 0)
    return r == HV_E_DEADLINE_EXCEEDED ? agent_late (vm, err) : r;
  ssize_t n = recv (vm->agent_fd, buf, sizeof buf, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return 0;
  if (n <= 0)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': the guest agent channel was closed", vm->name);
  return qmp_codec_feed (&vm->codec, buf, (size_t) n, err);
}

static int
agent_next (struct qmp_vm *vm, uint64_t end, json_t **ret, struct hv_err *err)
{
  int r;
  while ((r = qmp_codec_next (&vm->codec, ret, err)) == 0) {
    r = agent_receive (vm, end, err);
    if (r < 0)
      return r;
  }
  return r < 0 ? r : 0;
}

static int
agent_synchronise (struct qmp_vm *vm, uint64_t end, struct hv_err *err)
{
  uint64_t id = 0;
  size_t size;
  json_t *none;
  if (getrandom (&id, sizeof id, 0) != sizeof id)
    return hv_err_sys (err, errno, "random number");
  HV_CLEAN (hv_free) char *line = qmp_codec_sync (&vm->codec, id & ((UINT64_C (1) << 53) - 1), &size);
  if (line == NULL)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
  int r = agent_send (vm, line, size, end, err);
  return r == 0 ? agent_next (vm, end, &none, err) : r;
}

/* Connected and synchronised. What came unasked since the last answer is a doubt. */
static int
agent_ready (struct qmp_vm *vm, uint64_t end, struct hv_err *err)
{
  char one;
  HV_CLEAN (hv_free) char *path = qmp_path (vm, "agent.sock");
  if (vm->agent_fd < 0) {
    qmp_codec_clear (&vm->codec);
    vm->agent_fd = qmp_connect (path, err);
    if (vm->agent_fd < 0)
      return vm->agent_fd;
  }
  if (qmp_codec_clean (&vm->codec) && recv (vm->agent_fd, &one, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
    return 0;
  return agent_synchronise (vm, end, err);
}

static int
agent_run (struct qmp_vm *vm, const char *line, size_t size, uint64_t end, int answered, char **ret_reply, struct hv_err *err)
{
  json_t *reply = NULL;
  int r = agent_ready (vm, end, err);
  if (r == 0)
    r = agent_send (vm, line, size, end, err);
  if (r < 0 || !answered) {
    vm->codec.state = QMP_CODEC_SEEK;
    return r;
  }
  r = agent_next (vm, end, &reply, err);
  HV_CLEAN (json) json_t *owned = reply;
  if (r < 0)
    return r == HV_E_DEADLINE_EXCEEDED ? hv_err_set (
               err, r, "VM '%s': the guest agent took the command and does not answer; what came of it is not known", vm->name)
                                       : r;
  *ret_reply = json_dumps (owned, JSON_COMPACT);
  return *ret_reply != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}

/* A connection that ended, or a guest that floods: begin anew next time. Else it is kept, to be synchronised. */
static void
agent_finish (struct qmp_vm *vm, int r)
{
  vm->agent_busy = 0;
  if (r == HV_E_UNAVAILABLE || r == HV_E_RESOURCE_EXHAUSTED || vm->pidfd < 0)
    qmp_agent_close (vm);
  else if (r < 0)
    qmp_codec_clear (&vm->codec);
  qmp_vm_wake (vm);
}

int
qmp_agent_exchange (struct qmp_vm *vm, const char *command, uint64_t timeout_ms, int answered, char **ret_reply, struct hv_err *err)
{
  size_t size = 0;
  uint64_t end = vm->qmp->host->api->now_ms () + timeout_ms;
  if (!vm->has_agent)
    return hv_err_set (err, HV_E_FAILED_PRECONDITION, "VM '%s' is defined without a guest agent channel", vm->name);
  if (vm->pidfd < 0 || !vm->agent_connected)
    return hv_err_set (err, HV_E_UNAVAILABLE, "VM '%s': no guest agent is connected", vm->name);
  HV_CLEAN (hv_free) char *line = qmp_codec_command (command, &size, err);
  if (line == NULL)
    return hv_err_wrap (err, hv_err_code (err), "command");
  int r = qmp_vm_wait (vm, agent_idle, timeout_ms, err);
  if (r < 0)
    return r;
  vm->agent_busy = 1;
  r = agent_run (vm, line, size, end, answered, ret_reply, err);
  agent_finish (vm, r);
  return r == HV_E_INVALID_ARGUMENT ? hv_err_wrap (err, HV_E_DATA_LOSS, "VM '%s': answer of the guest agent", vm->name) : r;
}

int
qmp_agent_command (void *self, struct hv_call *call, const void *args, void *result, struct hv_err *err)
{
  const struct hv_agent_command_args *a = args;
  struct hv_agent_command_result *ret = result;
  HV_CLEAN (qmp_vm) struct qmp_vm *vm = NULL;
  HV_CLEAN (hv_free) char *reply = NULL;
  struct qmp_vm *found = qmp_vm_find (self, a->vm, err);
  (void) call;
  if (found == NULL)
    return HV_E_NOT_FOUND;
  vm = qmp_vm_ref (found);
  int r = qmp_agent_exchange (vm, a->command, a->timeout_ms, 1, &reply, err);
  if (r < 0)
    return r;
  ret->reply = hv_strdup (vm->qmp->host, reply);
  return ret->reply != NULL ? 0 : hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
}
