/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one way to read a member of a guest's answer: with the type that is expected, or an error that names it. */
#ifndef HV_AGENT_JSON_H
#define HV_AGENT_JSON_H
#include "reply.h"

/* What reading needs, and where it is: for errors. */
struct hv_json {
  const struct hv_reply_memory *memory;
  struct hv_err *err;
};

/* UNAVAILABLE, data.reason "bad_reply". */
int hv_json_bad (const struct hv_json *, const char *what);

/* A bounded parse: size, nesting and number of values are checked before anything is built. */
json_t *hv_json_parse (const struct hv_json *, const char *text, uint64_t n);

/* Text members, in the result's memory, without control characters, cut to HV_REPLY_TEXT_MAX. 1: there; 0: not (or null); <0: it is
 * something else. */
int hv_json_text (const struct hv_json *, json_t *object, const char *name, const char **ret);

/* Whole numbers from 0 to max. Same answers; one that is out of range is an error. */
int hv_json_number (const struct hv_json *, json_t *object, const char *name, uint64_t max, uint64_t *ret);

/* A list and how many of its items are to be looked at (≤ HV_REPLY_ITEMS_MAX). Same answers. */
int hv_json_list (const struct hv_json *, json_t *object, const char *name, json_t **ret, uint32_t *ret_count);

/* Zeroed memory of the result for count items, or NULL with the error set. */
void *hv_json_items (const struct hv_json *, uint32_t count, uint64_t item_size);
#endif
