/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What guests said last, and when: one of each kind of answer for each guest. Readers take it from here without disturbing the
 * guest; the poller (poll.h) keeps it fresh. It stays when an agent disconnects, and goes with the machine. No host is needed here.
 */
#ifndef HV_AGENT_GUESTS_H
#define HV_AGENT_GUESTS_H
#include <stdint.h>

#define GA_GUESTS_MAX       4096u       /* more are asked each time */
#define GA_ANSWER_BYTES_MAX (32u << 10) /* of one; longer ones are not kept */

/* Kinds of answers: the order of hv_agent_reading_words. */
#define GA_INFO          0u
#define GA_OSINFO        1u
#define GA_HOSTNAME      2u
#define GA_TIMEZONE      3u
#define GA_USERS         4u
#define GA_FILESYSTEMS   5u
#define GA_INTERFACES    6u
#define GA_FREEZE_STATUS 7u
#define GA_READINGS      8u

struct hv_timer;
struct guest_agent;

struct ga_answer {
  char *reply; /* as it came, checked; NULL: none yet */
  uint64_t at_ms;
};
struct ga_plan {
  uint64_t due_ms, interval_ms; /* interval 0: it was not asked for yet */
};
struct ga_guest {
  struct ga_guest *next;
  uint32_t refs;
  char *backend, *vm;
  struct ga_answer answers[GA_READINGS];

  /* the poller's */
  struct guest_agent *agent;
  struct hv_timer *timer;
  struct ga_plan plans[GA_READINGS];
  uint8_t connected, paused, polling;
};

struct ga_guests {
  struct ga_guest *first;
  uint32_t count;
};

struct ga_guest *ga_guests_find (const struct ga_guests *, const char *backend, const char *vm); /* borrowed; NULL */
struct ga_guest *ga_guests_add (struct ga_guests *, const char *backend,
                                const char *vm);               /* borrowed; NULL: no memory, or too many */
void ga_guests_remove (struct ga_guests *, struct ga_guest *); /* and gives the list's reference up */
void ga_guest_unref (struct ga_guest *);

/* Keeps a copy. 1: it is another answer than before, 0: the same, or it cannot be kept. */
int ga_guest_put (struct ga_guest *, uint32_t reading, const char *reply, uint64_t now_ms);
/* The answer if it is at most max_age_ms old, else NULL. Borrowed until the next put. */
const char *ga_guest_get (const struct ga_guest *, uint32_t reading, uint64_t now_ms, uint64_t max_age_ms, uint64_t *ret_age_ms);
#endif
