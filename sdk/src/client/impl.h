/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of libhvkit's client share. One connection, one thread. */
#ifndef HV_CLIENT_IMPL_H
#define HV_CLIENT_IMPL_H
#include "core/err/err.h"
#include "core/msg/msg.h"
#include <hvkit/client.h>

#define HV_CLIENT_BUCKETS     256u
#define HV_CLIENT_OUT_MAX     (64u << 20)
#define HV_CLIENT_GRACE_MS    2000u /* a silent daemon gets this much longer than the call's own deadline */
#define HV_CLIENT_READ_BYTES  65536u
#define HV_CLIENT_READ_ROUNDS 16u /* per hv_client_process: a chatty daemon does not starve the caller's loop */

/* A call that is not answered yet. */
struct hv_client_pending {
  struct hv_client_pending *next;
  hv_client_done_fn *done;
  hv_client_progress_fn *progress;
  void *done_arg, *progress_arg;
  uint64_t deadline_ms; /* monotonic; 0: none */
  uint32_t id;
  char method[]; /* for error texts */
};

struct hv_client_sub {
  struct hv_client_sub *next;
  uint64_t id;
  hv_client_event_fn *event;
  hv_client_dropped_fn *dropped;
  void *arg;
};

/* Bytes [at, size) are waiting. */
struct hv_client_buf {
  uint8_t *data;
  uint64_t at, size, capacity;
};

struct hv_client {
  int fd;
  uint32_t next_id, pending_count, busy; /* busy: callbacks are running */
  uint32_t grace_ms;
  uint8_t lost, write_broken;
  uint64_t answer_bytes, next_deadline_ms;
  struct hv_client_buf in, out;
  struct hv_fence fence;
  struct hv_client_pending *buckets[HV_CLIENT_BUCKETS];
  struct hv_client_sub *subs;
  struct hv_client_info info;
  char version[64], role[32];
  char why[160]; /* why it is lost */
};

uint64_t hv_client_now_ms (void);
uint32_t hv_client_timeout_of (const struct hv_client_options *);
int hv_client_open_socket (const char *path, uint32_t timeout_ms, struct hv_err *); /* a descriptor, or a negative code */

/* buffer */
int hv_client_buf_room (struct hv_client_buf *, uint64_t n); /* 0 or RESOURCE_EXHAUSTED */
int hv_client_buf_append (struct hv_client_buf *, const void *, uint64_t n);
void hv_client_buf_consume (struct hv_client_buf *, uint64_t n);

/* io */
HV_PRINTF (2, 3)
void hv_client_fail (struct hv_client *, const char *fmt, ...); /* the connection is lost; tells every pending call */
int hv_client_lost_error (const struct hv_client *, struct hv_err *);
int hv_client_may_block (const struct hv_client *, struct hv_err *); /* FAILED_PRECONDITION inside a callback */

/* calls */
struct hv_client_pending *hv_client_pending_take (struct hv_client *, uint32_t id);
struct hv_client_pending *hv_client_pending_find (struct hv_client *, uint32_t id);
void hv_client_pending_fail_all (struct hv_client *, int code, const char *why);
void hv_client_pending_expire (struct hv_client *);
int hv_client_send_request (struct hv_client *, const char *method, struct hv_bin args, struct hv_client_pending *,
                            struct hv_err *);

/* frames */
int hv_client_dispatch (struct hv_client *,
                        struct hv_bin frame); /* 0, or negative: the peer does not speak the protocol; why is set */
int hv_client_wire_error (struct hv_bin value, struct hv_err *); /* decodes an error off the wire; returns its code */

/* events */
void hv_client_on_event (struct hv_client *, struct hv_bin map);
void hv_client_on_dropped (struct hv_client *, struct hv_bin map);
void hv_client_subs_free (struct hv_client *);

/* maps on the wire: the value of a key, or a size of 0 */
struct hv_bin hv_client_map_get (struct hv_bin map, const char *key);
uint64_t hv_client_map_u64 (struct hv_bin map, const char *key);
void hv_client_map_text (struct hv_bin map, const char *key, char *to, uint64_t size); /* cut to fit; "" if absent */
#endif
