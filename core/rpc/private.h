/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* core/rpc: what its own files share. */
#ifndef HV_CORE_RPC_PRIVATE_H
#define HV_CORE_RPC_PRIVATE_H
#include "core/bus/instance.h"
#include "core/rpc/rpc.h"

struct hv_conn;

struct hv_rpc {
  struct hv_bus *bus;
  struct hv_loop *loop;
  struct hv_rpc_config config;
  char *path;
  int listen_fd, spare_fd;
  dev_t socket_dev;
  ino_t socket_ino;
  struct hv_loop_watch *watch;
  struct hv_loop_timer *accept_pause;
  struct hv_list conns, dirty; /* dirty: have output to flush before the loop blocks */
  uint32_t conn_count;
  struct hv_err *scratch; /* an unset error, so that a call that works allocates none */
  uint64_t accepted, refused, requests, notifications, protocol_errors, dropped_subscribers, bytes_in, bytes_out;
};

/* A subscription of a connection: a place in the event log. */
struct hv_conn_sub {
  struct hv_conn_sub *next;
  struct hv_event_cursor cursor;
  char **globs;
  uint32_t id;
  char *method;          /* of the notification */
  struct hv_pack prefix; /* items of the prefix array, without its header */
  uint32_t prefix_count;
  uint8_t has_prefix;
};

/* A call that is not answered yet. */
struct hv_conn_call {
  struct hv_list node;
  struct hv_conn *conn;
  struct hv_call *call;
  uint32_t id;
};

struct hv_conn {
  struct hv_list node, dirty_node;
  struct hv_peer peer;
  struct hv_rpc *rpc;
  int fd;
  struct hv_loop_watch *watch;
  uint8_t *in;
  uint64_t in_size, in_capacity, in_at; /* bytes in_at … in_size are not consumed */
  struct hv_fence fence;
  struct hv_pack out;
  uint64_t out_at; /* bytes before are sent */
  struct hv_list calls;
  uint32_t call_count, next_sub, sub_count;
  struct hv_conn_sub *subs;
  struct hv_stream *stream; /* claimed by bus.attach: after the answer the descriptor goes there */
  uint8_t error_map, closing, paused, corked, in_read;
};

/* conn.c */
struct hv_conn *hv_conn_new (struct hv_rpc *, int fd, uint32_t uid, uint32_t role);
void hv_conn_close (struct hv_conn *, const char *why); /* why: NULL when the peer left */
void hv_conn_flush (struct hv_conn *);
void hv_conn_dirty (struct hv_conn *); /* flush before the loop blocks */
void hv_conn_settle (struct hv_conn *); /* … which is this */
uint64_t hv_conn_queued (const struct hv_conn *);
/* dispatch.c */
void hv_conn_frame (struct hv_conn *, struct hv_bin frame); /* one whole frame */
void hv_conn_detach_calls (struct hv_conn *);
/* subscribe.c */
void hv_conn_pump (struct hv_conn *); /* events to every subscription, while the output has room */
void hv_conn_free_subs (struct hv_conn *);
int hv_conn_subscribe (struct hv_peer *, const struct hv_strs *, const struct hv_event_cursor *, const struct hv_notify_shape *, uint32_t *, struct hv_err *);
int hv_conn_unsubscribe (struct hv_peer *, uint32_t id, struct hv_err *);
int hv_conn_cancel (struct hv_peer *, uint32_t id);
int hv_conn_attach (struct hv_peer *, const char *token, struct hv_err *);
void hv_conn_set_error_map (struct hv_peer *, int on);
#endif
