/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/bus: the functions of the host vtable, by the file of their noun. Instance's loop; what each promises is in
 * <hvkit/plugin.h>. */
#ifndef HV_CORE_HOST_H
#define HV_CORE_HOST_H
#include "core/bus/private.h"

static inline struct hv_instance *
hv_instance_of (struct hv_host *h)
{
  return (struct hv_instance *) (void *) h;
}

/* host.c */
void *hv_host_alloc (struct hv_host *, uint64_t size);
/* wait.c */
int hv_host_go (struct hv_host *, const char *name, hv_coro_fn *fn, void *arg);
int hv_host_sleep (struct hv_host *, uint64_t ms, struct hv_err *);
int hv_host_wait_fd (struct hv_host *, int32_t fd, uint32_t wait, uint64_t timeout_ms, uint32_t *ret_ready, struct hv_err *);
int hv_host_offload (struct hv_host *, int (*fn) (void *), void *arg, uint32_t flags, struct hv_err *);
struct hv_cond *hv_host_cond_new (struct hv_host *);
int hv_host_cond_wait (struct hv_host *, struct hv_cond *, uint64_t timeout_ms, struct hv_err *);
void hv_host_cond_wake (struct hv_host *, struct hv_cond *);
void hv_host_cond_free (struct hv_host *, struct hv_cond *);
struct hv_fiber *hv_host_fiber (struct hv_instance *, const char *what,
                                struct hv_err *); /* the running one; NULL and INTERNAL outside a coroutine */
void hv_instance_release_conds (struct hv_instance *);
/* watch.c */
struct hv_timer *hv_host_timer_new (struct hv_host *, hv_timer_fn *fn, void *arg);
void hv_host_timer_set (struct hv_host *, struct hv_timer *, uint64_t after_ms, uint64_t repeat_ms);
void hv_host_timer_free (struct hv_host *, struct hv_timer *);
struct hv_watch *hv_host_watch_new (struct hv_host *, int32_t fd, uint32_t wait, hv_watch_fn *fn, void *arg);
void hv_host_watch_set (struct hv_host *, struct hv_watch *, uint32_t wait);
void hv_host_watch_free (struct hv_host *, struct hv_watch *);
int hv_host_spawn (struct hv_host *, const struct hv_spawn *how, int32_t *ret_pid, int32_t *ret_pidfd, struct hv_err *);
void hv_instance_release_watches (struct hv_instance *); /* and timers */
/* outgoing.c */
int hv_host_call (struct hv_host *, const char *method, const struct hv_record *args_rec, const void *args,
                  const struct hv_record *result_rec, void *result, const struct hv_call_options *opts, struct hv_err *);
/* subscription.c */
int hv_host_publish (struct hv_host *, const char *event, const void *data, struct hv_err *);
struct hv_subscription *hv_host_subscribe (struct hv_host *, const char *glob, hv_event_fn *fn, void *arg);
void hv_host_unsubscribe (struct hv_host *, struct hv_subscription *);
void hv_host_cursor (struct hv_host *, uint64_t *ret_epoch, uint64_t *ret_seq);
void hv_instance_release_subscriptions (struct hv_instance *);
/* document.c */
int hv_host_store_put (struct hv_host *, const char *key, const struct hv_record *rec, const void *doc, struct hv_err *);
int hv_host_store_get (struct hv_host *, const char *key, const struct hv_record *rec, void *doc, struct hv_err *);
int hv_host_store_delete (struct hv_host *, const char *key, struct hv_err *);
int hv_host_store_list (struct hv_host *, struct hv_strs *ret, struct hv_err *);
/* stream.c */
int hv_host_stream_open (struct hv_host *, struct hv_call *, int32_t fd, const struct hv_stream_options *, struct hv_stream **ret,
                         const char **ret_token, struct hv_err *);
void hv_host_stream_close (struct hv_host *, struct hv_stream *);
void hv_instance_release_streams (struct hv_instance *);
#endif
