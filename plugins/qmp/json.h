/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON from a peer that is not trusted: lines are cut and bounded before a parser sees them. */
#ifndef QMP_JSON_H
#define QMP_JSON_H
#include <hvkit/clean.h>
#include <hvkit/err.h>
#include <jansson.h>

HV_CLEAN_DEFINE (json, json_t, json_decref)

/* What one document may cost: nesting, and how many values it may hold (a value takes up to 100 bytes once parsed). */
struct qmp_json_limits {
  uint32_t depth, values;
};

/* One JSON object, or NULL and an error that quotes nothing of the text. The caller owns the reference. Integers that no
 * int64_t holds become INT64_MAX. */
json_t *qmp_json_load (const char *data, size_t size, const struct qmp_json_limits *, struct hv_err *);

/* Members of an object, with a value for what is absent or of another type. */
const char *qmp_json_str (const json_t *object, const char *key, const char *otherwise);
int64_t qmp_json_int (const json_t *object, const char *key, int64_t otherwise);
int qmp_json_bool (const json_t *object, const char *key, int otherwise);

/* Bytes in, lines out. Zero-initialised with `max` set is ready; free with qmp_lines_clear. */
struct qmp_lines {
  char *data;
  size_t size, capacity; /* bytes held */
  size_t at, scanned;    /* begin of the next line; up to where it is known to have no newline */
  size_t max;            /* longest line */
};

/* Appends. RESOURCE_EXHAUSTED: the line that is being received is longer than `max`; nothing more can be had from it. */
int qmp_lines_add (struct qmp_lines *, const void *data, size_t size, struct hv_err *);
/* 1 and the next complete line without its end, valid until the next call of either function; or 0. */
int qmp_lines_next (struct qmp_lines *, char **ret_line, size_t *ret_size);
void qmp_lines_clear (struct qmp_lines *);
#endif
