/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fetches under way: one for each thing that is fetched, however many wait for it. It goes on while anybody does. */
#ifndef CD_FLIGHT_H
#define CD_FLIGHT_H
#include "container-disk.h"
#include "source.h"

struct cd_flight {
  struct cd_flight *next;
  struct cd *cd;
  uint32_t refs, waiting;
  uint8_t done, claimed; /* claimed: it has one of the places */
  int code;
  char message[480];
  uint64_t done_bytes, total_bytes;
  struct hv_cond *changed;
  /* what it fetches: owned */
  char *key; /* of the image in the cache; for a URL, of the URL */
  char *image, *file, *digest;
  uint32_t format;
  uint8_t has_format, not_modified;
  struct cd_source *source; /* NULL: a file of this node */
  char *url, *etag;
  struct cd_manifest *manifest; /* NULL: the URL is the disk itself */
  char found[CD_DIGEST_MAX];    /* once done: the digest of the image, to find it in the cache */
};

/* Joins the one that fetches `key`, or NULL. */
struct cd_flight *cd_flight_find (struct cd *, const char *key);
/* Takes the members that are owned, all made with malloc, and starts. NULL: out of memory. */
struct cd_flight *cd_flight_start (struct cd *, struct cd_flight *ready, struct hv_err *);
/* [coro] Until it is over; tells `call` how far it is. 0, or its error, or CANCELLED. */
int cd_flight_wait (struct cd_flight *, struct hv_call *call, struct hv_err *);
void cd_flight_leave (struct cd_flight *); /* who has found or started it does so, once */
void cd_flight_clear (struct cd_flight *); /* one that was not started: what it owns */
#endif
