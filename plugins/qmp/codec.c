/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "codec.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct qmp_json_limits codec_limits = { .depth = QMP_AGENT_DEPTH, .values = QMP_AGENT_VALUES };

void
qmp_codec_clear (struct qmp_codec *c)
{
  qmp_lines_clear (&c->lines);
  *c = (struct qmp_codec){ .state = QMP_CODEC_SEEK };
}

char *
qmp_codec_sync (struct qmp_codec *c, uint64_t id, size_t *ret_size)
{
  char *line = NULL;
  qmp_codec_clear (c);
  c->lines.max = QMP_AGENT_BYTES;
  c->sync_id = id;
  int n = asprintf (&line, "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" PRIu64 "}}\n", id);
  if (n < 0)
    return NULL;
  *ret_size = (size_t) n;
  return line;
}

static int
codec_discard (struct qmp_codec *c, size_t n, struct hv_err *err)
{
  c->discarded += n;
  if (c->discarded > QMP_AGENT_DISCARD)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "the guest floods its agent channel: %" PRIu64 " bytes that are no answer",
                       c->discarded);
  return 0;
}

int
qmp_codec_feed (struct qmp_codec *c, const void *data, size_t size, struct hv_err *err)
{
  const char *at = data, *mark = memrchr (data, 0xff, size);
  int r = 0;
  if (mark != NULL && c->state != QMP_CODEC_SYNCED) {
    /* whatever came before the newest 0xFF belongs to an earlier conversation */
    r = codec_discard (c, (size_t) (mark - at) + c->lines.size, err);
    qmp_lines_clear (&c->lines);
    size -= (size_t) (mark + 1 - at);
    at = mark + 1;
    c->state = QMP_CODEC_ECHO;
  } else if (c->state == QMP_CODEC_SEEK) {
    return codec_discard (c, size, err);
  }
  return r < 0 ? r : qmp_lines_add (&c->lines, at, size, err);
}

/* Only the echo of our number ends the search: a stale 0xFF, or one that the guest made up, starts it again. */
static int
codec_echo (struct qmp_codec *c, const char *line, size_t n, struct hv_err *err)
{
  HV_CLEAN (json) json_t *j = qmp_json_load (line, n, &codec_limits, NULL);
  const json_t *id = json_object_get (j, "return");
  if (json_is_integer (id) && (uint64_t) json_integer_value (id) == c->sync_id) {
    c->state = QMP_CODEC_SYNCED;
    return 1;
  }
  c->state = QMP_CODEC_SEEK;
  int r = codec_discard (c, n + c->lines.size, err);
  qmp_lines_clear (&c->lines);
  return r;
}

int
qmp_codec_next (struct qmp_codec *c, json_t **ret, struct hv_err *err)
{
  char *line;
  size_t n = 0;
  *ret = NULL;
  if (c->state == QMP_CODEC_SEEK)
    return 0;
  do {
    if (!qmp_lines_next (&c->lines, &line, &n))
      return 0;
  } while (n == 0);
  if (n > QMP_AGENT_BYTES)
    return hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "answer of %zu bytes is longer than %u", n, QMP_AGENT_BYTES);
  if (c->state == QMP_CODEC_ECHO)
    return codec_echo (c, line, n, err);
  *ret = qmp_json_load (line, n, &codec_limits, err);
  return *ret != NULL ? 1 : HV_E_INVALID_ARGUMENT;
}

int
qmp_codec_clean (const struct qmp_codec *c)
{
  return c->state == QMP_CODEC_SYNCED && c->lines.at == c->lines.size;
}

char *
qmp_codec_command (const char *text, size_t *ret_size, struct hv_err *err)
{
  HV_CLEAN (json) json_t *j = qmp_json_load (text, strlen (text), &codec_limits, err);
  if (j == NULL)
    return NULL;
  if (qmp_json_str (j, "execute", NULL) == NULL) {
    (void) hv_err_set (err, HV_E_INVALID_ARGUMENT, "not a command: \"execute\" is missing");
    return NULL;
  }
  size_t n = json_dumpb (j, NULL, 0, JSON_COMPACT);
  char *line = n > 0 ? malloc (n + 1) : NULL;
  if (line == NULL) {
    (void) hv_err_set (err, HV_E_RESOURCE_EXHAUSTED, "out of memory");
    return NULL;
  }
  (void) json_dumpb (j, line, n, JSON_COMPACT);
  line[n] = '\n';
  *ret_size = n + 1;
  return line;
}
