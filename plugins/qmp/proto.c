/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proto.h"
#include <string.h>

static const struct qmp_json_limits proto_limits = { .depth = QMP_DEPTH, .values = QMP_VALUES };

void
qmp_proto_init (struct qmp_proto *p, const struct qmp_proto_ops *ops, void *arg)
{
  *p = (struct qmp_proto){ .ops = ops, .arg = arg, .lines.max = QMP_GREETING_BYTES };
}

void
qmp_proto_clear (struct qmp_proto *p)
{
  qmp_lines_clear (&p->lines);
}

static int
proto_greeting (struct qmp_proto *p, const json_t *j, struct hv_err *err)
{
  const json_t *version = json_object_get (json_object_get (j, "QMP"), "version");
  if (!json_is_object (version))
    return hv_err_set (err, HV_E_UNAVAILABLE, "the first line is not a QMP greeting");
  p->greeted = 1;
  p->lines.max = QMP_REPLY_BYTES;
  p->ops->greeting (p->arg, version);
  return 0;
}

/* Every command of ours has an integer id, so a reply without one belongs to nobody. */
static int
proto_reply (struct qmp_proto *p, const json_t *j, const json_t *ret, const json_t *error, struct hv_err *err)
{
  const json_t *id = json_object_get (j, "id");
  if (!json_is_integer (id) || json_integer_value (id) < 0)
    return hv_err_set (err, HV_E_UNAVAILABLE, "a reply without the id of a command");
  struct qmp_reply r = { .id = (uint64_t) json_integer_value (id) };
  if (error == NULL) {
    r.ret = ret;
  } else {
    r.error_class = qmp_json_str (error, "class", "GenericError");
    r.error_text = qmp_json_str (error, "desc", "no reason given");
  }
  p->ops->reply (p->arg, &r);
  return 0;
}

static int
proto_line (struct qmp_proto *p, const char *line, size_t size, struct hv_err *err)
{
  HV_CLEAN (json) json_t *j = qmp_json_load (line, size, &proto_limits, err);
  if (j == NULL)
    return HV_E_UNAVAILABLE;
  if (!p->greeted)
    return proto_greeting (p, j, err);
  const json_t *ret = json_object_get (j, "return"), *error = json_object_get (j, "error");
  const char *event = qmp_json_str (j, "event", NULL);
  if (ret != NULL || error != NULL)
    return proto_reply (p, j, ret, error, err);
  if (event == NULL)
    return hv_err_set (err, HV_E_UNAVAILABLE, "a line that is neither reply nor event");
  const json_t *data = json_object_get (j, "data");
  p->ops->event (p->arg, event, json_is_object (data) ? data : NULL);
  return 0;
}

static int
proto_take (struct qmp_proto *p, const void *data, size_t size, struct hv_err *err)
{
  char *line;
  size_t n;
  int r = qmp_lines_add (&p->lines, data, size, err);
  while (r == 0 && qmp_lines_next (&p->lines, &line, &n)) {
    if (n > (p->greeted ? QMP_REPLY_BYTES : QMP_GREETING_BYTES))
      return hv_err_set (err, HV_E_UNAVAILABLE, "line of %zu bytes is too long", n);
    if (n > 0)
      r = proto_line (p, line, n, err);
  }
  return r;
}

/* The greeting has a limit of its own, so it is taken apart from what may be glued to it. */
int
qmp_proto_feed (struct qmp_proto *p, const void *data, size_t size, struct hv_err *err)
{
  const char *at = data;
  int r = 0;
  while (r == 0 && size > 0) {
    const char *end = p->greeted ? NULL : memchr (at, '\n', size);
    size_t n = end != NULL ? (size_t) (end + 1 - at) : size;
    r = proto_take (p, at, n, err);
    at += n;
    size -= n;
  }
  return r;
}

char *
qmp_proto_command (const char *command, json_t *args, uint64_t id, size_t *ret_size)
{
  HV_CLEAN (json) json_t *j = json_pack ("{s:s, s:I}", "execute", command, "id", (json_int_t) id);
  if (j == NULL || (args != NULL && json_object_set (j, "arguments", args) < 0))
    return NULL;
  size_t n = json_dumpb (j, NULL, 0, JSON_COMPACT);
  char *line = n > 0 ? malloc (n + 1) : NULL;
  if (line == NULL)
    return NULL;
  (void) json_dumpb (j, line, n, JSON_COMPACT);
  line[n] = '\n';
  *ret_size = n + 1;
  return line;
}
