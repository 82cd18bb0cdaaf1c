/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers of guests that are not old yet, for callers that do not mind (_max_age_ms). Bounded: the oldest makes room. */
#ifndef HV_AGENT_ANSWERS_H
#define HV_AGENT_ANSWERS_H
#include <stdint.h>

#define HV_ANSWERS_MAX       256u        /* all together */
#define HV_ANSWERS_BYTES_MAX (16u << 10) /* of one; longer ones are not kept */

struct hv_answers; /* opaque */

struct hv_answers *hv_answers_new (void); /* NULL: out of memory */
void hv_answers_free (struct hv_answers *);

/* Which question to whom. `backend` is "" where the caller left it open. */
struct hv_answer_key {
  const char *backend, *vm, *command;
};

/* Keeps a copy. Out of memory, it is just not there. */
void hv_answers_put (struct hv_answers *, const struct hv_answer_key *, const char *reply, uint64_t now_ms);

/* The reply if it is at most max_age_ms old, else NULL. Borrowed until the next put. */
const char *hv_answers_get (const struct hv_answers *, const struct hv_answer_key *, uint64_t now_ms, uint64_t max_age_ms,
                            uint64_t *ret_age_ms);
#endif
